/* Never a wrong answer from a damaged file: bits are flipped, pages zeroed, overwritten and
 * swapped, and the file is cut; then everything is asked that the whole store answers, and commands
 * are run. A store is refused, or all its answers are those of the whole one; a record that rots
 * while it is open is an error for who asks for it.
 *
 * CORRUPTIONS (200) of them, from CORRUPTION_FIRST_SEED (1) on. Some are tried a second time with
 * the look at the pages turned off, to see what LMDB and the records' checksums notice by
 * themselves: that is printed and not judged. */
#include "tests/support/sample_store.h"

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

/* What became of a damaged store; of those below, the exit status of the process that looked. */
enum fate { UNAFFECTED = 10, REFUSED, DETECTED, WRONG, DIED, FATES_END };
#define FATES ((int)FATES_END - (int)UNAFFECTED)

static const char *const fate_names[FATES] = {"unaffected", "refused", "detected", "wrong", "died"};

enum kind { FLIP_ONE, FLIP_SEVERAL, ZERO_PAGE, ZERO_SECTOR, OVERWRITE, CUT, COPY_PAGE, KINDS };

static const char *const kind_names[KINDS] = {
    "one bit flipped",         "several bits", "page zeroed",
    "512 bytes zeroed",        "overwritten",  "file cut short",
    "page copied over another"};

struct truth {
    char directory[128];
    char *file; /* data.mdb of the whole store */
    size_t size;
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
    for (unsigned after = 0; after < 3 * ORDERS; after += 100)
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

static void put_file(const struct truth *truth, const char *bytes, size_t size)
{
    char path[160];
    snprintf(path, sizeof path, "%s/lock.mdb", truth->directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/data.mdb", truth->directory);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    bool is_written = fd >= 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size && close(fd) == 0;
    assert(is_written);
}

static void get_file(struct truth *truth)
{
    char path[160];
    struct stat status;
    snprintf(path, sizeof path, "%s/data.mdb", truth->directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_open = fd >= 0 && fstat(fd, &status) == 0;
    assert(is_open);
    truth->size = (size_t)status.st_size;
    truth->file = malloc(truth->size);
    assert(truth->file != NULL);
    bool is_read = pread(fd, truth->file, truth->size, 0) == (ssize_t)truth->size;
    assert(is_read);
    close(fd);
}

static void make_truth(struct truth *truth)
{
    struct sample_lines commands = {NULL, 0, 0};
    struct sample sample;
    *truth = (struct truth){.file = NULL};
    sample_directory_make(truth->directory);
    sample_commands(&commands, ORDERS);
    sample_make(truth->directory, &commands);
    list_questions(&truth->questions, &commands);
    list_moves(&truth->moves);
    get_file(truth);
    bool is_open = sample_open(&sample, truth->directory, UINT64_MAX);
    assert(is_open);
    for (size_t i = 0; i < line_count(truth); i++)
        sample_lines_add(&truth->answers, "%s", sample_ask(&sample, line_at(truth, i)));
    sample_close(&sample);
    sample_lines_release(&commands);
}

static void release_truth(struct truth *truth)
{
    sample_directory_remove(truth->directory);
    sample_lines_release(&truth->questions);
    sample_lines_release(&truth->moves);
    sample_lines_release(&truth->answers);
    free(truth->file);
}

/* ---- damage ---- */

struct damage {
    enum kind kind;
    size_t at;
    size_t size; /* of the file */
};

/* Damages the copy; somewhere in it, mostly where something is. */
static struct damage do_damage(char *bytes, size_t size, uint64_t seed)
{
    uint64_t chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < 8; i++)
        draw(&chance, 2);
    struct damage d = {(enum kind)(seed % KINDS), (size_t)draw(&chance, size), size};
    size_t page = d.at / PAGE_BYTES * PAGE_BYTES;
    size_t length;
    switch (d.kind) {
    case FLIP_ONE:
        bytes[d.at] = (char)(bytes[d.at] ^ 1 << draw(&chance, 8));
        break;
    case FLIP_SEVERAL:
        for (uint64_t i = 2 + draw(&chance, 20); i > 0; i--) {
            size_t at = page + (size_t)draw(&chance, PAGE_BYTES);
            bytes[at] = (char)(bytes[at] ^ 1 << draw(&chance, 8));
        }
        break;
    case ZERO_PAGE:
        memset(bytes + page, 0, PAGE_BYTES);
        break;
    case ZERO_SECTOR:
        memset(bytes + d.at / SECTOR_BYTES * SECTOR_BYTES, 0, SECTOR_BYTES);
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
        memmove(bytes + page, bytes + (size_t)draw(&chance, size / PAGE_BYTES) * PAGE_BYTES,
                PAGE_BYTES);
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
    if (sample_open(&sample, truth->directory, check_bytes))
        fate = ask_all(truth, &sample);
    else
        fate = strstr(sample.error, "damaged") != NULL ? REFUSED : WRONG;
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

static void print_counts(const char *title, uint64_t counts[KINDS][FATES])
{
    printf("%-26s", title);
    for (int fate = 0; fate < FATES; fate++)
        printf("%12s", fate_names[fate]);
    for (int kind = 0; kind < (int)KINDS; kind++) {
        printf("\n%-26s", kind_names[kind]);
        for (int fate = 0; fate < FATES; fate++)
            printf("%12llu", (unsigned long long)counts[kind][fate]);
    }
    printf("\n");
}

/* False: a wrong answer, or the process died. */
static bool corrupt(const struct truth *truth, uint64_t seed, uint64_t walked[KINDS][FATES],
                    uint64_t unwalked[KINDS][FATES])
{
    char *bytes = malloc(truth->size);
    assert(bytes != NULL);
    memcpy(bytes, truth->file, truth->size);
    struct damage d = do_damage(bytes, truth->size, seed);
    put_file(truth, bytes, d.size);
    enum fate fate = look_apart(truth, UINT64_MAX);
    walked[d.kind][(int)fate - (int)UNAFFECTED]++;
    if (seed / KINDS % UNWALKED_EVERY == 0) {
        put_file(truth, bytes, d.size);
        unwalked[d.kind][(int)look_apart(truth, 0) - (int)UNAFFECTED]++;
    }
    free(bytes);
    if (fate != WRONG && fate != DIED)
        return true;
    fprintf(stderr, "CORRUPTION_FIRST_SEED=%llu CORRUPTIONS=1: %s at byte %zu of page %zu: %s\n",
            (unsigned long long)seed, kind_names[d.kind], d.at % PAGE_BYTES, d.at / PAGE_BYTES,
            fate_names[(int)fate - (int)UNAFFECTED]);
    return false;
}

int main(void)
{
    static uint64_t walked[KINDS][FATES];
    static uint64_t unwalked[KINDS][FATES];
    uint64_t first = number_from_environment("CORRUPTION_FIRST_SEED", 1);
    uint64_t count = number_from_environment("CORRUPTIONS", 200);
    uint64_t failures = 0;
    struct truth truth;
    make_truth(&truth);
    put_file(&truth, truth.file, truth.size);
    if (look_apart(&truth, UINT64_MAX) != UNAFFECTED) {
        fprintf(stderr, "the whole store does not give its own answers\n");
        failures++;
    }
    printf("a store of %zu pages, %zu questions and commands\n", truth.size / PAGE_BYTES,
           line_count(&truth));
    for (uint64_t seed = first; seed < first + count; seed++)
        failures += !corrupt(&truth, seed, walked, unwalked);
    print_counts("with the look at pages", walked);
    print_counts("without it", unwalked);
    release_truth(&truth);
    return failures > 0;
}
