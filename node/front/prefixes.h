/* What one subscriber has subscribed to: a set of prefixes, kept in byte order.
 *
 * Whether a topic begins with one of them is told by one binary search, however many there are. Let
 * P be a prefix of the topic T in the set. Whatever stands between P and T in byte order begins
 * with P too. So the last one that is not behind T begins with P, and its root, the shortest one in
 * the set that it begins with, is P or shorter, and a prefix of T as well:
 *
 *     Allocated/RED-C       its own root
 *     Allocated/RED-CHAIR/  root Allocated/RED-C     T = Allocated/RED-CLOCK/ stands behind it, and
 *                                                    begins with its root: yes. */
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
