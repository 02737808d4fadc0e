/* Replays the trace of a node and cuts the power at each point of it, in many ways; whatever a cut
 * leaves must be a store that holds all that had left the node.
 *
 *   power_loss --work DIR --end DIR [--begin DIR] [--keep DIR] [--states N] [--seed N]
 *              [--starts] [--lies none|journal|tables|names] TRACE...
 *
 * `--end`: the node's data directory as it was in the end, so that no write is missing from the
 * trace. `--begin`: as it was in the beginning, all on disk; else there was none. `--keep`: a
 * directory for one of the states, one whose journal had to be cut if there is one. `--starts`: no
 * point before the first message is left out. `--lies`: the disk does not sync what it was told to
 * sync. That must be noticed, which shows that the checks can fail. Prints one line of figures as
 * JSON. Exit 0: no state was wrong; 1: some were; 2: it could not be tried. */
#include "tests/faults/power_loss_disk.h"
#include "tests/faults/power_loss_oracle.h"
#include "tests/faults/power_loss_plan.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FEW_STATES 4u                 /* a point with no more is one of few states */
#define FEW_SHARE 3u                  /* of the states wanted, one in so many are at such points */
#define START_SHARE (UINT32_MAX / 8u) /* of the points of a first start, at least */
#define ROUND_SHARE (UINT32_MAX / 3u) /* and of those at the end of a transaction of LMDB */
#define GO_ON_EVERY 16u               /* of the states also takes a command */
#define WRONG_MAX 20u                 /* states, and no more are looked for */

/* Lives in memory that the process that does the work shares with the one that waits for it. */
struct figures {
    uint64_t states;
    uint64_t of_sort[SORT_COUNT];
    uint64_t points;
    uint64_t points_left_out;
    uint64_t meta_in_flight; /* states in the middle of a write that syncs */
    uint64_t names_in_doubt;
    uint64_t renames_in_doubt; /* of segments */
    uint64_t stuck;            /* states with what a sync that failed left behind */
    uint64_t making_tables;
    uint64_t waiting_max;
    struct oracle_figures seen;
    uint64_t wrong;
    uint64_t died; /* of the wrong ones: the checker did not survive them */
};

struct campaign {
    struct trace trace;
    struct oracle oracle;
    struct disk disk;
    const char *end; /* directories; the next two may be NULL */
    const char *begin;
    const char *keep;
    bool tries_starts;    /* all points before the first message */
    bool begins_whole;    /* the tables in `begin` need not be made anew */
    char model[PATH_MAX]; /* directories */
    char hidden[PATH_MAX];
    char copy[PATH_MAX];
    enum disk_lies lies;
    uint64_t seed;
    uint64_t states_wanted;
    uint64_t share;     /* of the points with many states that are tried, in 2^32nds */
    uint64_t few_share; /* and of those with few */
    uint64_t resume;    /* states that an earlier process did */
    uint64_t state;     /* number of the one at hand */
    uint64_t point;
    size_t entry;    /* of the trace */
    size_t messages; /* that have left */
    bool in_flight;  /* a write that syncs */
    struct figures *figures;
    struct unit_fate *fates;
    size_t fate_capacity;
};

/* ---- points and plans ---- */

static bool has_failed(const struct trace_entry *entry)
{
    return entry->kind == TRACE_FAILED ||
           (entry->kind == TRACE_SYNCED && (entry->at & TRACE_SYNC_FAILED) != 0);
}

/* Points at which a segment gets its name, and those where something fails, are few in a long life,
 * and all are tried. Where a failed sync left something behind one is tried for certain. */
static uint64_t share_of(const struct campaign *c, size_t states)
{
    uint64_t share = states > FEW_STATES ? c->share : c->few_share;
    if (c->in_flight && share < ROUND_SHARE)
        share = ROUND_SHARE;
    if (c->entry < c->trace.count && has_failed(&c->trace.entries[c->entry]))
        return UINT32_MAX;
    for (size_t i = 0; i < c->disk.unit_count; i++)
        if (c->disk.units[i].change_count == 2 ||
            (c->disk.units[i].is_stuck && c->figures->stuck == 0))
            return UINT32_MAX;
    uint64_t of_start = c->tries_starts ? UINT32_MAX : START_SHARE;
    return c->messages == 0 && share < of_start ? of_start : share;
}

/* ---- one state ---- */

static void count_state(struct campaign *c, enum sort sort)
{
    struct figures *f = c->figures;
    const struct disk *disk = &c->disk;
    bool has_name = false;
    bool has_rename = false;
    bool has_stuck = false;
    f->states++;
    f->of_sort[sort]++;
    if (disk->unit_count > f->waiting_max)
        f->waiting_max = disk->unit_count;
    for (size_t i = 0; i < disk->unit_count; i++) {
        has_name |= disk->units[i].kind == UNIT_NAME;
        has_rename |= disk->units[i].change_count == 2;
        has_stuck |= disk->units[i].is_stuck;
    }
    f->names_in_doubt += has_name;
    f->renames_in_doubt += has_rename;
    f->stuck += has_stuck;
    f->making_tables += disk->makes_tables;
    f->meta_in_flight += c->in_flight;
}

static void complain(const struct campaign *c, const struct plan *plan, const char *text)
{
    const struct disk *disk = &c->disk;
    fprintf(stderr,
            "WRONG: state %" PRIu64 " at point %" PRIu64 ", after entry %zu of the trace and %zu "
            "messages, plan %d %" PRIx64 "\n",
            c->state - 1, c->point, c->entry, c->messages, (int)plan->sort, plan->which);
    for (size_t i = 0; i < disk->unit_count && i < 64; i++) {
        const struct unit *unit = &disk->units[i];
        if (unit->kind == UNIT_NAME)
            fprintf(stderr, "    %d name %s %s %s\n", (int)c->fates[i].fate,
                    unit->changes[0].inode != NULL ? "made" : "gone", unit->changes[0].name->path,
                    unit->change_count == 2 ? unit->changes[1].name->path : "");
        else
            fprintf(stderr, "    %d %s%s of inode %s: %zu bytes at %zu\n", (int)c->fates[i].fate,
                    unit->kind == UNIT_WRITE ? "write" : "length",
                    unit->is_stuck ? " (its sync failed)" : "", unit->inode->name, unit->len,
                    unit->at);
    }
    fprintf(stderr, "%s\n", text);
}

/* Any of those that had to be cut, or before there is one, the newest of all. */
static void keep_some(const struct campaign *c, uint64_t cut_before, uint64_t chance)
{
    uint64_t cut = c->figures->seen.cut;
    if (c->keep != NULL && (cut == 0 || (cut > cut_before && chance % cut == 0)))
        oracle_keep(&c->oracle, c->keep);
}

static void try_state(struct campaign *c, const struct plan *plan)
{
    uint64_t chance = mixed(c->seed + c->state);
    if (c->state++ < c->resume || c->figures->wrong >= WRONG_MAX)
        return;
    count_state(c, plan->sort);
    for (size_t i = 0; i < c->disk.unit_count; i++) {
        uint64_t own = mixed(chance + i);
        c->fates[i] = (struct unit_fate){plan_fate(plan, i, own >> 32), own};
    }
    bool is_rough = plan->sort == SORT_torn || plan->sort == SORT_random;
    char *text = NULL;
    size_t len = 0;
    FILE *why = open_memstream(&text, &len);
    assert(why != NULL);
    disk_cut(&c->disk, c->fates,
             is_rough ? (enum length_fate)(chance % 3) : LENGTH_OF_WHAT_IS_THERE, chance >> 8);
    const struct oracle_state state = {.messages = c->messages,
                                       .makes_tables = c->disk.makes_tables,
                                       .goes_on = c->messages == 0 || chance % GO_ON_EVERY == 0,
                                       .chance = mixed(chance)};
    uint64_t cut_before = c->figures->seen.cut;
    bool good = oracle_check(&c->oracle, &state, &c->figures->seen, why);
    keep_some(c, cut_before, chance);
    disk_mend(&c->disk);
    fclose(why);
    if (!good) {
        c->figures->wrong++;
        complain(c, plan, text);
    }
    free(text);
}

static void make_room_for_fates(struct campaign *c)
{
    if (c->disk.unit_count < c->fate_capacity)
        return;
    c->fate_capacity = 2 * c->disk.unit_count + 1;
    c->fates = realloc(c->fates, c->fate_capacity * sizeof *c->fates);
    assert(c->fates != NULL);
}

/* The power may go now. */
static void try_point(struct campaign *c)
{
    size_t states = plans_at(&c->disk);
    uint64_t chance = mixed(c->seed ^ mixed(c->point++));
    if (chance >> 32 > share_of(c, states)) {
        c->figures->points_left_out += c->resume == 0;
        return;
    }
    c->figures->points += c->resume == 0;
    make_room_for_fates(c);
    for (size_t i = 0; i < states; i++) {
        struct plan plan = plan_at(&c->disk, i, mixed(chance + i));
        try_state(c, &plan);
    }
}

/* ---- the trace ---- */

/* What a cut may leave grows with each write, and shrinks with each sync; what must be there grows
 * with each message. So the worst moments are before a sync, and when messages have left. */
static bool is_worst_before(const struct trace *trace, size_t index)
{
    const struct trace_entry *entry = &trace->entries[index];
    bool has_sent = index > 0 && trace->entries[index - 1].kind == TRACE_SENT;
    return entry->kind == TRACE_SYNCED || (has_sent && entry->kind != TRACE_SENT);
}

static void begin_disk(struct campaign *c, enum disk_lies lies)
{
    disk_init(&c->disk, c->model, c->hidden, lies);
    c->messages = 0;
    if (c->begin == NULL)
        return;
    disk_begin(&c->disk, c->begin);
    c->disk.makes_tables = !c->begins_whole;
}

/* Goes through the trace. `point` is called at each moment that matters. */
static void go_through(struct campaign *c, void (*point)(struct campaign *))
{
    begin_disk(c, c->lies);
    c->state = c->point = 0;
    for (c->entry = 0; c->entry < c->trace.count; c->entry++) {
        const struct trace_entry *entry = &c->trace.entries[c->entry];
        if (is_worst_before(&c->trace, c->entry))
            point(c);
        disk_take(&c->disk, entry);
        c->messages += entry->kind == TRACE_SENT;
        if (disk_is_synced_write(entry)) {
            c->in_flight = true;
            point(c);
            c->in_flight = false;
            disk_settle_write(&c->disk, entry);
        }
    }
    point(c);
    disk_release(&c->disk);
}

static bool is_same_file(const char *path, const char *other_path)
{
    FILE *file = fopen(path, "rb");
    FILE *other = fopen(other_path, "rb");
    bool same = file != NULL && other != NULL;
    for (int byte = 0; same && byte != EOF;) {
        byte = getc(file);
        same = byte == getc(other);
    }
    if (file != NULL)
        fclose(file);
    if (other != NULL)
        fclose(other);
    return same;
}

/* In the end the model must be what the node really left. */
static bool is_whole_trace(struct campaign *c)
{
    char path[PATH_MAX + 256];
    char end[PATH_MAX + 256];
    bool good = true;
    disk_settle_all(&c->disk);
    for (size_t i = 0; i < c->disk.name_count; i++) {
        const struct disk_name *name = c->disk.names[i];
        if (name->shown == NULL || name->shown->fd < 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", c->model, name->path);
        snprintf(end, sizeof end, "%s/%s", c->end, name->path);
        if (is_same_file(path, end))
            continue;
        good = false;
        fprintf(stderr, "the trace does not end in %s\n", end);
    }
    return good;
}

/* What there would be if nothing was lost. */
static void note_doubt(struct campaign *c)
{
    make_room_for_fates(c);
    for (size_t i = 0; i < c->disk.unit_count; i++)
        c->fates[i] = (struct unit_fate){FATE_KEPT, 0};
    disk_cut(&c->disk, c->fates, LENGTH_OF_WHAT_IS_THERE, 0);
    oracle_doubts(&c->oracle, c->messages);
    disk_mend(&c->disk);
}

/* First the run as it was, on a disk that keeps all. */
static bool learn(struct campaign *c)
{
    begin_disk(c, DISK_IS_HONEST);
    for (size_t i = 0; i < c->trace.count; i++) {
        const struct trace_entry *entry = &c->trace.entries[i];
        if (has_failed(entry) || (entry->is_new_process && i > 0))
            note_doubt(c);
        disk_take(&c->disk, entry);
        if (disk_is_synced_write(entry))
            disk_settle_write(&c->disk, entry);
        c->messages += entry->kind == TRACE_SENT;
    }
    bool good = is_whole_trace(c) && oracle_learn(&c->oracle, stderr);
    for (size_t i = 0; good && i < c->trace.count; i++) {
        const struct trace_entry *entry = &c->trace.entries[i];
        if (entry->kind == TRACE_SENT)
            good = oracle_learn_sent(&c->oracle, entry->bytes, entry->len, stderr);
    }
    disk_release(&c->disk);
    return good;
}

static uint64_t many_states; /* at points that have more than a few, and at the others */
static uint64_t few_states;

static void count_point(struct campaign *c)
{
    size_t states = plans_at(&c->disk);
    *(states > FEW_STATES ? &many_states : &few_states) += states;
}

static void choose_share(struct campaign *c)
{
    go_through(c, count_point);
    uint64_t few = c->states_wanted / FEW_SHARE;
    few = few_states < few ? few_states : few;
    uint64_t many = c->states_wanted - few;
    c->few_share = few >= few_states ? UINT32_MAX : (few << 32) / few_states;
    c->share = many >= many_states ? UINT32_MAX : (many << 32) / many_states;
}

/* ---- the campaign ---- */

/* A state may kill who looks at it. So it is a child that looks; where it dies, the next one goes
 * on behind that state. */
static void try_all(struct campaign *c)
{
    struct figures *f = c->figures;
    while (f->wrong < WRONG_MAX) {
        c->resume = f->states;
        fflush(NULL);
        pid_t child = fork();
        assert(child >= 0);
        if (child == 0) {
            go_through(c, try_point);
            _exit(0);
        }
        int status;
        if (waitpid(child, &status, 0) != child)
            abort();
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return;
        fprintf(stderr, "WRONG: the checker died (status %d) of state %" PRIu64 "\n", status,
                f->states - 1);
        f->wrong++;
        f->died++;
    }
}

static void print_figures(const struct campaign *c)
{
    const struct figures *f = c->figures;
    printf("{\"states\": %" PRIu64 ", \"points\": %" PRIu64 ", \"points_left_out\": %" PRIu64
           ", \"entries\": %zu, \"events\": %zu, \"messages\": %zu, \"files\": %zu",
           f->states, f->points, f->points_left_out, c->oracle.entries.count, c->oracle.event_count,
           c->oracle.message_count, c->trace.name_count);
#define SORT(name) printf(", \"%s\": %" PRIu64, #name, f->of_sort[SORT_##name]);
    SORTS(SORT)
#undef SORT
#define FIGURE(name, value) printf(", \"" name "\": %" PRIu64, value)
    FIGURE("meta_in_flight", f->meta_in_flight);
    FIGURE("names_in_doubt", f->names_in_doubt);
    FIGURE("renames_in_doubt", f->renames_in_doubt);
    FIGURE("stuck", f->stuck);
    FIGURE("making_tables", f->making_tables);
    FIGURE("waiting_max", f->waiting_max);
    FIGURE("cut", f->seen.cut);
    FIGURE("rebuilt", f->seen.rebuilt);
    FIGURE("refused_and_there", f->seen.refused);
    FIGURE("no_more_than_told", f->seen.lost);
    FIGURE("went_on", f->seen.went_on);
    FIGURE("wrong", f->wrong);
    FIGURE("died", f->died);
#undef FIGURE
    printf("}\n");
}

static void make_directory(char out[PATH_MAX], const char *work, const char *name)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", work, name);
    if (len < PATH_MAX && (mkdir(out, 0700) == 0 || errno == EEXIST))
        return;
    perror(out);
    exit(2);
}

static enum disk_lies lies_of(const char *name)
{
    static const char *const names[] = {"none", "journal", "tables", "names"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum disk_lies)i;
    fprintf(stderr, "power_loss: there is no lie %s\n", name);
    exit(2);
}

static void read_options(struct campaign *c, int argc, char **argv)
{
    static const struct option options[] = {{"work", required_argument, NULL, 'w'},
                                            {"end", required_argument, NULL, 'e'},
                                            {"states", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"lies", required_argument, NULL, 'l'},
                                            {"begin", required_argument, NULL, 'b'},
                                            {"keep", required_argument, NULL, 'k'},
                                            {"starts", no_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    const char *work = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'w')
            work = optarg;
        else if (option == 'e')
            c->end = optarg;
        else if (option == 'b')
            c->begin = optarg;
        else if (option == 't')
            c->tries_starts = true;
        else if (option == 'k')
            c->keep = optarg;
        else if (option == 'n')
            c->states_wanted = strtoull(optarg, NULL, 10);
        else if (option == 's')
            c->seed = mixed(strtoull(optarg, NULL, 10));
        else if (option == 'l')
            c->lies = lies_of(optarg);
        else
            exit(2);
    }
    if (work == NULL || c->end == NULL || optind >= argc) {
        fprintf(stderr, "power_loss: --work, --end and a trace are needed\n");
        exit(2);
    }
    make_directory(c->model, work, "model");
    make_directory(c->hidden, work, "hidden");
    make_directory(c->copy, work, "copy");
    c->trace = trace_read(argv + optind, (size_t)(argc - optind));
}

/* Memory that a child shares. */
static struct figures *shared_figures(void)
{
    void *memory = mmap(NULL, sizeof(struct figures), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(memory != MAP_FAILED);
    return memory;
}

int main(int argc, char **argv)
{
    struct campaign *c = calloc(1, sizeof *c);
    assert(c != NULL);
    c->states_wanted = 1000;
    /* A store touches a little of much memory: most of the time would go into huge pages. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    c->figures = shared_figures();
    read_options(c, argc, argv);
    oracle_init(&c->oracle, c->model, c->copy);
    if (c->begin != NULL)
        c->begins_whole = oracle_begin(&c->oracle, c->begin);
    if (learn(c)) {
        choose_share(c);
        try_all(c);
    } else {
        c->figures->wrong++;
    }
    print_figures(c);
    int status = c->figures->wrong == 0 ? 0 : 1;
    oracle_release(&c->oracle);
    trace_release(&c->trace);
    munmap(c->figures, sizeof *c->figures);
    free(c->fates);
    free(c);
    return status;
}
