/* What one subscriber has subscribed to: a set of prefixes, kept in byte order.
 *
 * Whether a topic begins with one of them is told by one binary search, however many there are. Of
 * the prefixes of a topic T in the set, let P be the longest. Whatever stands between P and T in
 * byte order begins with P too. So the last prefix that is not behind T is P, or has P above it in
 * the chain `within` (the longest prefix in the set that it begins with itself):
 *
 *     Allocated/            within nothing
 *     Allocated/RED-C       within Allocated/
 *     Allocated/RED-CHAIR/  within Allocated/RED-C     T = Allocated/RED-CLOCK/ stands behind it:
 *                                                      no; above it Allocated/RED-C: yes. */
#ifndef NODE_FRONT_PREFIXES_H
#define NODE_FRONT_PREFIXES_H

#include "domain/base/text.h"

struct prefix;

/* All zeros: empty. */
struct prefixes {
    struct prefix **sorted;
    size_t count;
    size_t capacity;
    size_t memory; /* bytes that it takes, roughly */
};

enum prefix_added { PREFIX_ADDED, PREFIX_WAS_THERE, PREFIX_NO_MEMORY };

/* Adds a prefix, which may be empty. It counts how often it was added. */
enum prefix_added prefixes_add(struct prefixes *prefixes, struct text prefix);

/* Takes it back once. False: it is not there. */
bool prefixes_remove(struct prefixes *prefixes, struct text prefix);

/* Whether the topic begins with one of them. */
bool prefixes_match(const struct prefixes *prefixes, struct text topic);

void prefixes_release(struct prefixes *prefixes);

#endif
