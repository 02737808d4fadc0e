/* Replays the trace of a node and cuts the power at each point of it, in many ways; whatever a cut
 * leaves must be a store that holds all that had left the node.
 *
 *   power_loss --work DIR --end FILE [--states N] [--seed N] [--lies none|file|meta] TRACE...
 *
 * `--end`: what the node's data file held in the end, so that no write is missing from the trace.
 * `--lies`: the disk does not sync what it was told to sync. That must be noticed, which shows that
 * the checks can fail. Prints one line of figures as JSON. Exit 0: no state was wrong; 1: some
 * were; 2: it could not be tried. */
#include "tests/faults/power_loss_disk.h"
#include "tests/faults/power_loss_oracle.h"

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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALL_SUBSETS_MAX 7u           /* units that wait: up to here all subsets are tried */
#define TORN_TRIES 24u               /* and beyond whole ones so many with torn writes */
#define SAMPLES 128u                 /* where more wait */
#define FEW_STATES 8u                /* a point with no more is always tried */
#define ATOMIC_MAX 3u                /* units that wait, with no more states than that */
#define START_SHARE (UINT32_MAX / 3) /* of the points of a start that are tried, at least */
#define GO_ON_EVERY 16u              /* of the states also takes a command */
#define WRONG_MAX 20u                /* states, and no more are looked for */

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

/* Lives in memory that the process that does the work shares with the one that waits for it. */
struct figures {
    uint64_t states;
    uint64_t of_sort[SORT_COUNT];
    uint64_t points;
    uint64_t points_left_out;
    uint64_t meta_in_flight; /* states in the middle of a write that syncs */
    uint64_t entries_in_doubt;
    uint64_t several_commits; /* states with what more than one commit wrote still on its way */
    uint64_t waiting_max;
    uint64_t went_on;  /* states that took one more command */
    uint64_t finished; /* of these: a commit was cut off, and was finished first */
    uint64_t wrong;
    uint64_t died; /* of the wrong ones: the checker did not survive them */
};

struct campaign {
    struct trace trace;
    struct oracle oracle;
    struct disk disk;
    const char *end;      /* a file */
    char model[PATH_MAX]; /* directories */
    char hidden[PATH_MAX];
    char copy[PATH_MAX];
    enum disk_lies lies;
    uint64_t seed;
    uint64_t states_wanted;
    uint64_t share;  /* of the points with many states that are tried, in 2^32nds */
    uint64_t resume; /* states that an earlier process did */
    uint64_t state;  /* number of the one at hand */
    uint64_t point;
    size_t messages; /* that have left */
    bool in_flight;  /* a write that syncs */
    struct figures *figures;
    struct unit_fate *fates;
    size_t fate_capacity;
};

/* ---- points and plans ---- */

static size_t plans_at(size_t waiting)
{
    if (waiting == 0)
        return 1;
    return waiting <= ALL_SUBSETS_MAX ? ((size_t)1 << waiting) + TORN_TRIES : SAMPLES;
}

/* A few that fit a sector each have two fates each. */
static bool are_atomic(const struct disk *disk)
{
    bool are = disk->unit_count > 0 && disk->unit_count <= ATOMIC_MAX;
    for (size_t i = 0; are && i < disk->unit_count; i++) {
        const struct unit *unit = &disk->units[i];
        are = unit->kind != UNIT_WRITE || unit->at % SECTOR_BYTES + unit->len <= SECTOR_BYTES;
    }
    return are;
}

static size_t states_at(const struct disk *disk)
{
    return are_atomic(disk) ? (size_t)1 << disk->unit_count : plans_at(disk->unit_count);
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

static struct plan plan_at(size_t index, size_t waiting, uint64_t chance)
{
    if (waiting > ALL_SUBSETS_MAX)
        return plan_of_sample(index, waiting, chance);
    size_t subsets = (size_t)1 << waiting;
    if (index >= subsets)
        return (struct plan){SORT_torn, chance};
    if (index == 0 || index == subsets - 1)
        return (struct plan){index == 0 ? SORT_none : SORT_all, 0};
    return (struct plan){SORT_subset, index};
}

static enum fate fate_of(const struct plan *plan, size_t unit, uint64_t chance)
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

/* ---- one state ---- */

static void copy_file(const char *from, const char *to, const char *name)
{
    char path[PATH_MAX + 16];
    unsigned char bytes[65536];
    snprintf(path, sizeof path, "%s/%s", to, name);
    unlink(path);
    snprintf(path, sizeof path, "%s/%s", from, name);
    int in = open(path, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return; /* the cut took it */
    snprintf(path, sizeof path, "%s/%s", to, name);
    int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert(out >= 0);
    ssize_t len;
    while ((len = read(in, bytes, sizeof bytes)) > 0)
        if (write(out, bytes, (size_t)len) != len)
            abort();
    close(in);
    close(out);
}

/* LMDB never syncs its locks: they may be anything. They are made when the marker is on disk. */
static void spoil_locks(const char *directory, uint64_t chance)
{
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/node.lock", directory);
    bool has_marker = access(path, F_OK) == 0;
    snprintf(path, sizeof path, "%s/lock.mdb", directory);
    if (!has_marker) {
        unlink(path);
        return;
    }
    uint64_t locks[1024];
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++)
        locks[i] = mixed(chance + i);
    FILE *file = fopen(path, "wb");
    assert(file != NULL);
    fwrite(locks, 1, chance % sizeof locks, file);
    fclose(file);
}

static bool goes_on(struct campaign *c, uint64_t chance, FILE *why)
{
    copy_file(c->model, c->copy, "data.mdb");
    copy_file(c->model, c->copy, "node.lock");
    spoil_locks(c->copy, chance);
    c->figures->went_on++;
    return oracle_goes_on(&c->oracle, c->copy, &c->figures->finished, why);
}

static void count_state(struct campaign *c, enum sort sort)
{
    struct figures *f = c->figures;
    const struct disk *disk = &c->disk;
    bool has_entry = false;
    f->states++;
    f->of_sort[sort]++;
    if (disk->unit_count > f->waiting_max)
        f->waiting_max = disk->unit_count;
    for (size_t i = 0; i < disk->unit_count; i++)
        has_entry |= disk->units[i].kind == UNIT_ENTRY;
    f->entries_in_doubt += has_entry;
    f->meta_in_flight += c->in_flight;
    f->several_commits +=
        disk->unit_count > 0 && disk->units[0].commit != disk->units[disk->unit_count - 1].commit;
}

static void try_state(struct campaign *c, const struct plan *plan)
{
    uint64_t chance = mixed(c->seed + c->state);
    if (c->state++ < c->resume || c->figures->wrong >= WRONG_MAX)
        return;
    count_state(c, plan->sort);
    for (size_t i = 0; i < c->disk.unit_count; i++) {
        uint64_t own = mixed(chance + i);
        c->fates[i] = (struct unit_fate){fate_of(plan, i, own >> 32), own};
    }
    bool is_rough = plan->sort == SORT_torn || plan->sort == SORT_random;
    char *text = NULL;
    size_t len = 0;
    FILE *why = open_memstream(&text, &len);
    assert(why != NULL);
    disk_cut(&c->disk, c->fates,
             is_rough ? (enum length_fate)(chance % 3) : LENGTH_OF_WHAT_IS_THERE, chance >> 8);
    bool goes = c->messages == 0 || chance % GO_ON_EVERY == 0;
    goes = goes || oracle_is_cut_off(&c->oracle);
    bool good =
        oracle_check(&c->oracle, c->messages, why) && (!goes || goes_on(c, mixed(chance), why));
    disk_mend(&c->disk);
    fclose(why);
    if (!good) {
        c->figures->wrong++;
        fprintf(stderr,
                "WRONG: state %" PRIu64 " at point %" PRIu64 ", %zu waiting, plan %d %" PRIx64
                "\n%s\n",
                c->state - 1, c->point, c->disk.unit_count, (int)plan->sort, plan->which, text);
    }
    free(text);
}

/* The power may go now. */
static void try_point(struct campaign *c)
{
    size_t waiting = c->disk.unit_count;
    size_t states = states_at(&c->disk);
    uint64_t chance = mixed(c->seed ^ mixed(c->point++));
    uint64_t share = c->messages == 0 && c->share < START_SHARE ? START_SHARE : c->share;
    if (states > FEW_STATES && chance >> 32 > share) {
        c->figures->points_left_out += c->resume == 0;
        return;
    }
    c->figures->points += c->resume == 0;
    if (waiting > c->fate_capacity) {
        c->fate_capacity = 2 * waiting;
        c->fates = realloc(c->fates, c->fate_capacity * sizeof *c->fates);
        assert(c->fates != NULL);
    }
    for (size_t i = 0; i < states; i++) {
        struct plan plan = plan_at(i, waiting, mixed(chance + i));
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

/* Goes through the trace. `point` is called at each moment that matters. */
static void go_through(struct campaign *c, void (*point)(struct campaign *))
{
    disk_init(&c->disk, c->model, c->hidden, c->lies);
    c->messages = 0;
    c->state = c->point = 0;
    for (size_t i = 0; i < c->trace.count; i++) {
        const struct trace_entry *entry = &c->trace.entries[i];
        if (is_worst_before(&c->trace, i))
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

static void sync_by_hand(struct disk *disk, const char *name)
{
    struct trace_entry sync = {.kind = TRACE_SYNCED, .name = name};
    disk_take(disk, &sync);
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
    char path[PATH_MAX + 16];
    sync_by_hand(&c->disk, "data.mdb");
    snprintf(path, sizeof path, "%s/data.mdb", c->model);
    bool good = is_same_file(path, c->end);
    if (!good)
        fprintf(stderr, "the trace does not end in %s\n", c->end);
    return good;
}

/* First the run as it was, on a disk that keeps all. */
static bool learn(struct campaign *c)
{
    bool good = true;
    disk_init(&c->disk, c->model, c->hidden, DISK_IS_HONEST);
    for (size_t i = 0; good && i < c->trace.count; i++) {
        const struct trace_entry *entry = &c->trace.entries[i];
        disk_take(&c->disk, entry);
        if (entry->kind == TRACE_SENT)
            good = oracle_learn_sent(&c->oracle, entry->bytes, entry->len, stderr);
        if (!disk_is_synced_write(entry))
            continue;
        disk_settle_write(&c->disk, entry);
        sync_by_hand(&c->disk, ".");
        sync_by_hand(&c->disk, "..");
        good = oracle_learn(&c->oracle, stderr);
    }
    good = good && is_whole_trace(c);
    disk_release(&c->disk);
    return good;
}

static uint64_t many_states; /* at points that have more than a few, and at the others */
static uint64_t few_states;

static void count_point(struct campaign *c)
{
    size_t states = states_at(&c->disk);
    *(states > FEW_STATES ? &many_states : &few_states) += states;
}

static void choose_share(struct campaign *c)
{
    go_through(c, count_point);
    uint64_t left = c->states_wanted > few_states ? c->states_wanted - few_states : 0;
    c->share = left >= many_states ? UINT32_MAX : (left << 32) / many_states;
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
           ", \"commits\": %zu, \"events\": %zu, \"messages\": %zu",
           f->states, f->points, f->points_left_out, c->oracle.commit_count, c->oracle.events.count,
           c->oracle.message_count);
#define SORT(name) printf(", \"%s\": %" PRIu64, #name, f->of_sort[SORT_##name]);
    SORTS(SORT)
#undef SORT
    printf(", \"meta_in_flight\": %" PRIu64 ", \"entries_in_doubt\": %" PRIu64
           ", \"several_commits\": %" PRIu64 ", \"waiting_max\": %" PRIu64 ", \"went_on\": %" PRIu64
           ", \"finished\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"died\": %" PRIu64 "}\n",
           f->meta_in_flight, f->entries_in_doubt, f->several_commits, f->waiting_max, f->went_on,
           f->finished, f->wrong, f->died);
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
    if (strcmp(name, "file") == 0)
        return DISK_SYNCS_NO_FILE;
    return strcmp(name, "meta") == 0 ? DISK_SYNCS_NO_META : DISK_IS_HONEST;
}

static void read_options(struct campaign *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"work", required_argument, NULL, 'w'},   {"end", required_argument, NULL, 'e'},
        {"states", required_argument, NULL, 'n'}, {"seed", required_argument, NULL, 's'},
        {"lies", required_argument, NULL, 'l'},   {NULL, 0, NULL, 0}};
    const char *work = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'w')
            work = optarg;
        else if (option == 'e')
            c->end = optarg;
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
    c->figures = shared_figures();
    read_options(c, argc, argv);
    oracle_init(&c->oracle, c->model);
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
