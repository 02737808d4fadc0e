/* Never a wrong answer from a damaged file: bits are flipped, pages zeroed, overwritten and
 * swapped, and files are cut, of the tables and of the journal; then everything is asked that the
 * whole store answers, and commands are run.
 *
 * Damaged tables are made anew by the start, where that is needed, and all answers are those of the
 * whole store. A damaged journal is refused, or makes no difference, or is noticed by whoever reads
 * what stands there, as a start does not read all of it. An end of it that was never told to be
 * durable is cut off.
 *
 * CORRUPTIONS (200) of them, from CORRUPTION_FIRST_SEED (1) on. Some of the tables are tried a
 * second time with the look at the pages turned off, to see what LMDB and the records' checksums
 * notice by themselves: that is printed and not judged. */
#include "store/journal/part.h"
#include "store/lmdb/directory.h"
#include "tests/support/sample_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORDERS 300u
#define PAGE_BYTES ((size_t)4096)
#define SECTOR_BYTES ((size_t)512)
#define CHILD_SECONDS 60u
#define UNWALKED_EVERY 4u
#define JOURNAL_EVERY 2u /* damages one of its files in place of the tables */
#define REBUILD_EVERY 3u /* and of these the tables are missing too */
#define REFUSALS 3000u   /* that fill the first segment of the journal */
#define FILES_MAX 16u

/* What became of a damaged store: the exit status of the process that looked. */
enum fate { UNAFFECTED = 10, REBUILT, REFUSED, DETECTED, WRONG, DIED, FATES_END };
#define FATES ((int)FATES_END - (int)UNAFFECTED)

static const char *const fate_names[FATES] = {"unaffected", "rebuilt", "refused",
                                              "detected",   "wrong",   "died"};

enum kind { FLIP_ONE, FLIP_SEVERAL, ZERO_PAGE, ZERO_SECTOR, OVERWRITE, CUT, COPY_PAGE, KINDS };

static const char *const kind_names[KINDS] = {
    "one bit flipped",         "several bits", "page zeroed",
    "512 bytes zeroed",        "overwritten",  "file cut short",
    "page copied over another"};

struct file {
    char name[96]; /* in the data directory */
    char *bytes;
    size_t size;
    size_t used; /* behind these it has zeros alone */
};

struct truth {
    char whole[128];              /* the store, as it was made */
    char directory[128];          /* the one that is damaged */
    struct file files[FILES_MAX]; /* the tables, and then those of the journal */
    size_t file_count;
    struct sample_lines questions; /* they change nothing, repeated ids among them */
    struct sample_lines moves;     /* they do */
    struct sample_lines answers;   /* to questions, then to moves */
};

/* ---- chance ---- */

static uint64_t draw(uint64_t *state, uint64_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % n;
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? strtoull(value, NULL, 10) : otherwise;
}

/* ---- the truth ---- */

static void list_questions(struct sample_lines *out, const struct sample_lines *commands)
{
    sample_lines_add(out, "ListProducts");
    for (unsigned i = 0; i < 6; i++) {
        sample_lines_add(out, "GetStock P%u", i);
        sample_lines_add(out, "ListBatches P%u", i);
    }
    for (unsigned i = 0; i < 60; i++)
        sample_lines_add(out, "GetBatch batch-%u", i);
    for (unsigned i = 0; i <= ORDERS; i++)
        sample_lines_add(out, "GetAllocations order-%u", i);
    for (unsigned after = 0; after < REFUSALS + 3 * ORDERS; after += 100)
        sample_lines_add(out, "GetEvents after=%u limit=100", after);
    for (size_t i = 0; i < commands->count; i++) {
        if (strstr(commands->items[i], " id=") != NULL)
            sample_lines_add(out, "%s", commands->items[i]);
    }
}

static void list_moves(struct sample_lines *out)
{
    for (unsigned i = 0; i < 60; i++) {
        sample_lines_add(out, "Allocate order-%u P%u %u", i * 5, i * 5 % 5, 1 + i * 5 % 7);
        sample_lines_add(out, "Allocate new-%u P%u 1 id=new-%u", i, i % 5, i);
        sample_lines_add(out, "ChangeBatchQuantity batch-%u %u", i, i % 9);
        sample_lines_add(out, "Deallocate order-%u P%u", i * 5 + 2, (i * 5 + 2) % 5);
        sample_lines_add(out, "CreateBatch last-%u P%u 3", i, i % 5);
    }
    sample_lines_add(out, "ListProducts");
}

static const char *line_at(const struct truth *truth, size_t i)
{
    size_t questions = truth->questions.count;
    return i < questions ? truth->questions.items[i] : truth->moves.items[i - questions];
}

static size_t line_count(const struct truth *truth)
{
    return truth->questions.count + truth->moves.count;
}

static void put_file(const struct truth *truth, const char *name, const char *bytes, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", truth->directory, name);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    bool is_written = fd >= 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size && close(fd) == 0;
    assert(is_written);
}

static void get_file(struct truth *truth, const char *name)
{
    char path[256];
    struct stat status;
    struct file *file = &truth->files[truth->file_count++];
    assert(truth->file_count <= FILES_MAX);
    snprintf(file->name, sizeof file->name, "%s", name);
    snprintf(path, sizeof path, "%s/%s", truth->whole, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_open = fd >= 0 && fstat(fd, &status) == 0;
    assert(is_open);
    file->size = (size_t)status.st_size;
    file->bytes = malloc(file->size);
    assert(file->bytes != NULL);
    bool is_read = pread(fd, file->bytes, file->size, 0) == (ssize_t)file->size;
    assert(is_read);
    close(fd);
    file->used = file->size;
    while (file->used > 1 && file->bytes[file->used - 1] == '\0')
        file->used--;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static void get_files(struct truth *truth)
{
    char path[160];
    const struct dirent *entry;
    get_file(truth, DIRECTORY_TABLES);
    snprintf(path, sizeof path, "%s/" DIRECTORY_JOURNAL, truth->whole);
    DIR *names = opendir(path);
    assert(names != NULL);
    while ((entry = readdir(names)) != NULL) {
        char name[96];
        snprintf(name, sizeof name, DIRECTORY_JOURNAL "/%.64s", entry->d_name);
        if (entry->d_name[0] != '.')
            get_file(truth, name);
    }
    closedir(names);
    qsort(truth->files + 1, truth->file_count - 1, sizeof *truth->files, by_name);
}

/* Refused allocations fill more than a segment of the journal, and change next to nothing. */
static void list_commands(struct sample_lines *out)
{
    sample_lines_add(out, "CreateBatch bulk BULK 1");
    for (unsigned i = 0; i < REFUSALS; i++)
        sample_lines_add(out, "Allocate refused-%0200u BULK 2", i);
    sample_commands(out, ORDERS);
}

static void make_truth(struct truth *truth)
{
    struct sample_lines commands = {NULL, 0, 0};
    struct sample sample;
    *truth = (struct truth){.file_count = 0};
    sample_directory_make(truth->whole);
    sample_directory_make(truth->directory);
    list_commands(&commands);
    sample_make(truth->whole, &commands);
    list_questions(&truth->questions, &commands);
    list_moves(&truth->moves);
    get_files(truth);
    sample_directory_copy(truth->whole, truth->directory);
    bool is_open = sample_open(&sample, truth->directory, UINT64_MAX);
    assert(is_open);
    for (size_t i = 0; i < line_count(truth); i++)
        sample_lines_add(&truth->answers, "%s", sample_ask(&sample, line_at(truth, i)));
    sample_close(&sample);
    sample_lines_release(&commands);
}

static void release_truth(struct truth *truth)
{
    sample_directory_remove(truth->whole);
    sample_directory_remove(truth->directory);
    sample_lines_release(&truth->questions);
    sample_lines_release(&truth->moves);
    sample_lines_release(&truth->answers);
    for (size_t i = 0; i < truth->file_count; i++)
        free(truth->files[i].bytes);
}

/* ---- damage ---- */

struct damage {
    enum kind kind;
    size_t at;
    size_t size; /* of the file */
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damages the copy; somewhere in the part of it where something is. */
static struct damage do_damage(char *bytes, const struct file *file, uint64_t seed)
{
    size_t size = file->size;
    uint64_t chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 8; i++)
        draw(&chance, 2);
    struct damage d = {(enum kind)(seed % KINDS), (size_t)draw(&chance, file->used), size};
    size_t page = d.at / PAGE_BYTES * PAGE_BYTES;
    size_t length;
    switch (d.kind) {
    case FLIP_ONE:
        bytes[d.at] = (char)(bytes[d.at] ^ 1 << draw(&chance, 8));
        break;
    case FLIP_SEVERAL:
        for (uint64_t i = 2 + draw(&chance, 20); i > 0; i--) {
            size_t at = page + (size_t)draw(&chance, PAGE_BYTES);
            if (at < size)
                bytes[at] = (char)(bytes[at] ^ 1 << draw(&chance, 8));
        }
        break;
    case ZERO_PAGE:
        memset(bytes + page, 0, smaller(PAGE_BYTES, size - page));
        break;
    case ZERO_SECTOR:
        page = d.at / SECTOR_BYTES * SECTOR_BYTES;
        memset(bytes + page, 0, smaller(SECTOR_BYTES, size - page));
        break;
    case OVERWRITE:
        length = 1 + (size_t)draw(&chance, PAGE_BYTES);
        for (size_t at = d.at; at < size && at < d.at + length; at++)
            bytes[at] = (char)draw(&chance, 256);
        break;
    case CUT:
        d.size = d.at;
        break;
    default:
        length = (size_t)draw(&chance, file->used) / PAGE_BYTES * PAGE_BYTES;
        memmove(bytes + page, bytes + length,
                smaller(PAGE_BYTES, size - (page > length ? page : length)));
    }
    return d;
}

/* ---- looking ---- */

static bool says_damaged(const char *answer)
{
    return answer == NULL || strstr(answer, "storage_failed") != NULL;
}

/* Asks everything. After a command that found damage the state may be another one. */
static enum fate ask_all(const struct truth *truth, struct sample *sample)
{
    enum fate fate = UNAFFECTED;
    for (size_t i = 0; i < line_count(truth); i++) {
        const char *answer = sample_ask(sample, line_at(truth, i));
        if (says_damaged(answer)) {
            fate = DETECTED;
            if (answer == NULL || i >= truth->questions.count)
                return fate;
        } else if (strcmp(answer, truth->answers.items[i]) != 0) {
            fprintf(stderr, "%s\n  expected: %.300s\n  actual:   %.300s\n", line_at(truth, i),
                    truth->answers.items[i], answer);
            return WRONG;
        }
    }
    return fate;
}

static enum fate look(const struct truth *truth, uint64_t check_bytes)
{
    struct sample sample;
    enum fate fate;
    if (sample_open(&sample, truth->directory, check_bytes)) {
        fate = ask_all(truth, &sample);
        if (fate == UNAFFECTED && lmdb_store_why_rebuilt(sample.store) != NULL)
            fate = REBUILT;
    } else {
        fate = strstr(sample.error, "damaged") != NULL ||
                       strstr(sample.error, "has no journal") != NULL
                   ? REFUSED
                   : WRONG;
        if (fate == WRONG)
            fprintf(stderr, "%s\n", sample.error);
    }
    sample_close(&sample);
    return fate;
}

/* In a process of its own, which LMDB may end. */
static enum fate look_apart(const struct truth *truth, uint64_t check_bytes)
{
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    assert(child >= 0);
    if (child == 0) {
        alarm(CHILD_SECONDS);
        if (check_bytes == 0 && freopen("/dev/null", "w", stderr) == NULL)
            _exit(DIED);
        _exit((int)look(truth, check_bytes));
    }
    pid_t ended = waitpid(child, &status, 0);
    assert(ended == child);
    bool is_fate = WIFEXITED(status) && WEXITSTATUS(status) >= (int)UNAFFECTED &&
                   WEXITSTATUS(status) < (int)FATES_END;
    return is_fate ? (enum fate)WEXITSTATUS(status) : DIED;
}

/* ---- all of it ---- */

struct counts {
    const char *title;
    uint64_t of[KINDS][FATES];
};

static void print_counts(const struct counts *counts)
{
    printf("%-26s", counts->title);
    for (int fate = 0; fate < FATES; fate++)
        printf("%12s", fate_names[fate]);
    for (int kind = 0; kind < (int)KINDS; kind++) {
        printf("\n%-26s", kind_names[kind]);
        for (int fate = 0; fate < FATES; fate++)
            printf("%12llu", (unsigned long long)counts->of[kind][fate]);
    }
    printf("\n");
}

static enum fate try_once(const struct truth *truth, const struct file *file, const char *bytes,
                          const struct damage *damage, uint64_t check_bytes, struct counts *counts)
{
    put_file(truth, file->name, bytes, damage->size);
    enum fate fate = look_apart(truth, check_bytes);
    counts->of[damage->kind][(int)fate - (int)UNAFFECTED]++;
    return fate;
}

static bool report(uint64_t seed, const struct file *file, const struct damage *d, enum fate fate)
{
    fprintf(stderr,
            "CORRUPTION_FIRST_SEED=%llu CORRUPTIONS=1: %s at byte %zu of page %zu of %s: %s\n",
            (unsigned long long)seed, kind_names[d->kind], d->at % PAGE_BYTES, d->at / PAGE_BYTES,
            file->name, fate_names[(int)fate - (int)UNAFFECTED]);
    return false;
}

/* False: anything but right answers. */
static bool corrupt_tables(const struct truth *truth, uint64_t seed, struct counts *walked,
                           struct counts *unwalked)
{
    const struct file *file = &truth->files[0];
    char *bytes = malloc(file->size);
    assert(bytes != NULL);
    memcpy(bytes, file->bytes, file->size);
    struct damage d = do_damage(bytes, file, seed);
    sample_directory_copy(truth->whole, truth->directory);
    enum fate fate = try_once(truth, file, bytes, &d, UINT64_MAX, walked);
    if (seed / KINDS / JOURNAL_EVERY % UNWALKED_EVERY == 0) {
        sample_directory_copy(truth->whole, truth->directory);
        try_once(truth, file, bytes, &d, 0, unwalked);
    }
    free(bytes);
    return fate == UNAFFECTED || fate == REBUILT || report(seed, file, &d, fate);
}

/* False: a wrong answer, or the process died; or a start that read all of it did not notice. */
static bool corrupt_journal(const struct truth *truth, uint64_t seed, struct counts *with,
                            struct counts *without)
{
    bool has_tables = seed / JOURNAL_EVERY % REBUILD_EVERY != 0;
    const struct file *file =
        &truth->files[1 + seed / JOURNAL_EVERY / REBUILD_EVERY % (truth->file_count - 1)];
    char *bytes = malloc(file->size > 0 ? file->size : 1);
    char path[160];
    assert(bytes != NULL);
    memcpy(bytes, file->bytes, file->size);
    struct damage d = do_damage(bytes, file, seed);
    sample_directory_copy(truth->whole, truth->directory);
    snprintf(path, sizeof path, "%s/" DIRECTORY_TABLES, truth->directory);
    if (!has_tables)
        unlink(path);
    enum fate fate = try_once(truth, file, bytes, &d, UINT64_MAX, has_tables ? with : without);
    free(bytes);
    return fate == (has_tables ? UNAFFECTED : REBUILT) || fate == REFUSED ||
           (has_tables && fate == DETECTED) || report(seed, file, &d, fate);
}

/* ---- an end of the journal that nobody was told of ---- */

/* The end of the last part in a segment. */
static size_t end_of_parts(const char *bytes, size_t size)
{
    size_t at = 4096; /* behind the segment's head */
    while (at + PART_HEAD_BYTES <= size) {
        const unsigned char *head = (const unsigned char *)bytes + at;
        if (part_get_number(head, 8) != PART_MAGIC)
            break;
        at += part_bytes((size_t)part_get_number(head + 36, 4));
    }
    return at;
}

/* The segment of the store with one command more, and where its last entry begins and ends. */
static char *segment_with_one_more(const struct truth *truth, const struct file *segment,
                                   size_t *begin, size_t *end)
{
    struct sample sample;
    char path[256];
    char *bytes = malloc(segment->size);
    sample_directory_copy(truth->whole, truth->directory);
    bool is_open = sample_open(&sample, truth->directory, UINT64_MAX);
    const char *answer = is_open ? sample_ask(&sample, "CreateBatch unheard P1 1 id=unheard") : "";
    assert(bytes != NULL && answer != NULL && strncmp(answer, "ok", 2) == 0);
    sample_close(&sample);
    snprintf(path, sizeof path, "%s/%s", truth->directory, segment->name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_read = fd >= 0 && pread(fd, bytes, segment->size, 0) == (ssize_t)segment->size;
    assert(is_read);
    close(fd);
    *begin = end_of_parts(segment->bytes, segment->size);
    *end = end_of_parts(bytes, segment->size);
    assert(*end > *begin);
    return bytes;
}

/* The whole entry is there, or nothing of it; and all that was told is there in any case. */
static bool look_at_torn_end(const struct truth *truth, bool is_whole)
{
    struct sample sample;
    bool is_open = sample_open(&sample, truth->directory, UINT64_MAX);
    bool is_right = is_open && lmdb_store_has_cut(sample.store) == !is_whole;
    const char *answer = is_right ? sample_ask(&sample, "GetBatch unheard") : "none";
    is_right = is_right && (strncmp(answer, "ok", 2) == 0) == is_whole;
    for (size_t i = 0; is_right && !is_whole && i < truth->questions.count; i += 7)
        is_right = strcmp(sample_ask(&sample, line_at(truth, i)), truth->answers.items[i]) == 0;
    if (!is_right)
        fprintf(stderr, "a torn end: %s\n", is_open ? answer : sample.error);
    sample_close(&sample);
    return is_right;
}

/* An entry of which only a beginning was written: what is behind it are zeros. */
static uint64_t tear_the_end(const struct truth *truth)
{
    const struct file *segment = &truth->files[1];
    for (size_t i = 1; i < truth->file_count; i++) /* the last one that is in use */
        if (strstr(truth->files[i].name, ".segment") != NULL && truth->files[i].used > 4096)
            segment = &truth->files[i];
    uint64_t failures = 0;
    size_t begin;
    size_t end;
    char *bytes = segment_with_one_more(truth, segment, &begin, &end);
    char *torn = malloc(segment->size);
    assert(torn != NULL);
    for (size_t written = begin + 1; written <= end; written += written + 9 < end ? 9 : 1) {
        memcpy(torn, segment->bytes, segment->size);
        memcpy(torn + begin, bytes + begin, written - begin);
        bool is_whole = memcmp(torn, bytes, end) == 0; /* the rest is zeros */
        sample_directory_copy(truth->whole, truth->directory);
        put_file(truth, segment->name, torn, segment->size);
        failures += !look_at_torn_end(truth, is_whole);
    }
    free(bytes);
    free(torn);
    return failures;
}

int main(void)
{
    static struct counts all[] = {{.title = "tables, with the look at pages"},
                                  {.title = "tables, without it"},
                                  {.title = "journal"},
                                  {.title = "journal without tables"}};
    uint64_t first = number_from_environment("CORRUPTION_FIRST_SEED", 1);
    uint64_t count = number_from_environment("CORRUPTIONS", 200);
    struct truth truth;
    make_truth(&truth);
    uint64_t failures = 0;
    sample_directory_copy(truth.whole, truth.directory);
    if (look_apart(&truth, UINT64_MAX) != UNAFFECTED) {
        fprintf(stderr, "the whole store does not give its own answers\n");
        failures++;
    }
    printf("%zu pages of tables, %zu files of the journal, %zu questions and commands\n",
           truth.files[0].size / PAGE_BYTES, truth.file_count - 1, line_count(&truth));
    for (uint64_t seed = first; seed < first + count; seed++)
        failures += seed % JOURNAL_EVERY == 0 ? !corrupt_journal(&truth, seed, &all[2], &all[3])
                                              : !corrupt_tables(&truth, seed, &all[0], &all[1]);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        print_counts(&all[i]);
    failures += tear_the_end(&truth);
    release_truth(&truth);
    return failures > 0;
}
