#include "tests/faults/power_loss_plan.h"

#define ALL_SUBSETS_MAX 4u /* units that wait: up to here all subsets are tried */
#define TORN_TRIES 8u      /* and beyond whole ones so many with torn writes */
#define SAMPLES 24u        /* where more wait */

static size_t plans_of(size_t waiting)
{
    if (waiting == 0)
        return 1;
    return waiting <= ALL_SUBSETS_MAX ? ((size_t)1 << waiting) + TORN_TRIES : SAMPLES;
}

/* A few that fit a sector each, and names, have two fates each. */
static bool are_atomic(const struct disk *disk)
{
    bool are = disk->unit_count <= ALL_SUBSETS_MAX;
    for (size_t i = 0; are && i < disk->unit_count; i++) {
        const struct unit *unit = &disk->units[i];
        are = unit->kind != UNIT_WRITE || unit->at % SECTOR_BYTES + unit->len <= SECTOR_BYTES;
    }
    return are;
}

size_t plans_at(const struct disk *disk)
{
    return are_atomic(disk) ? (size_t)1 << disk->unit_count : plans_of(disk->unit_count);
}

static struct plan plan_of_sample(size_t index, size_t waiting, uint64_t chance)
{
    if (index < 2)
        return (struct plan){index == 0 ? SORT_none : SORT_all, 0};
    static const enum sort sorts[] = {SORT_alone, SORT_all_but, SORT_prefix, SORT_random,
                                      SORT_torn};
    enum sort sort = sorts[index % (sizeof sorts / sizeof *sorts)];
    bool is_about_one = sort != SORT_random && sort != SORT_torn;
    return (struct plan){sort, is_about_one ? chance % waiting : chance};
}

static struct plan plan_of_subset(size_t index, size_t waiting)
{
    size_t subsets = (size_t)1 << waiting;
    if (index == 0 || index == subsets - 1)
        return (struct plan){index == 0 ? SORT_none : SORT_all, 0};
    return (struct plan){SORT_subset, index};
}

struct plan plan_at(const struct disk *disk, size_t index, uint64_t chance)
{
    size_t waiting = disk->unit_count;
    if (are_atomic(disk))
        return plan_of_subset(index, waiting);
    if (waiting > ALL_SUBSETS_MAX)
        return plan_of_sample(index, waiting, chance);
    if (index >= (size_t)1 << waiting)
        return (struct plan){SORT_torn, chance};
    return plan_of_subset(index, waiting);
}

enum fate plan_fate(const struct plan *plan, size_t unit, uint64_t chance)
{
    bool is_kept = false;
    switch (plan->sort) {
    case SORT_all:
        is_kept = true;
        break;
    case SORT_subset:
        is_kept = (plan->which >> unit & 1) != 0;
        break;
    case SORT_alone:
        is_kept = unit == plan->which;
        break;
    case SORT_all_but:
        is_kept = unit != plan->which;
        break;
    case SORT_prefix:
        is_kept = unit <= plan->which;
        break;
    case SORT_random: /* many or few of them, as the seed says */
        is_kept = chance % 8 <= plan->which % 8;
        break;
    case SORT_torn:
        return (enum fate)(chance % 4);
    default:
        break;
    }
    return is_kept ? FATE_KEPT : FATE_LOST;
}
