/* Host names to addresses, in a thread of its own: a name server that is silent holds up nobody. */
#ifndef NODE_FRONT_LOOKUP_H
#define NODE_FRONT_LOOKUP_H

#include "node/front/address.h"

struct lookup;

/* Begins to look a name up. NULL: no memory, or no thread. */
struct lookup *lookup_start(const struct address_name *name);

/* Whether it has ended. */
bool lookup_is_done(const struct lookup *lookup);

/* One of the addresses that were found, by turns with `turn`. False: none was. Requires: it is
 * done.
 */
bool lookup_address(const struct lookup *lookup, unsigned turn, struct address *out);

/* One that is not done goes on, and frees itself when it is. */
void lookup_destroy(struct lookup **lookup);

#endif
