/* Which states are built of what waits at a point: of few units all subsets, and some with torn
 * writes; of many, samples. */
#ifndef FAULTS_POWER_LOSS_PLAN_H
#define FAULTS_POWER_LOSS_PLAN_H

#include "tests/faults/power_loss_disk.h"

/* How a state was chosen. */
#define SORTS(SORT)                                                                                \
    SORT(none) SORT(all) SORT(subset) SORT(alone) SORT(all_but) SORT(prefix) SORT(random) SORT(torn)

enum sort {
#define SORT(name) SORT_##name,
    SORTS(SORT)
#undef SORT
        SORT_COUNT
};

struct plan {
    enum sort sort;
    uint64_t which; /* a mask, a unit or a count of them, or a seed */
};

/* How many there are. */
size_t plans_at(const struct disk *disk);

/* The one of that index. */
struct plan plan_at(const struct disk *disk, size_t index, uint64_t chance);

/* What becomes of a unit, by its index. */
enum fate plan_fate(const struct plan *plan, size_t unit, uint64_t chance);

#endif
