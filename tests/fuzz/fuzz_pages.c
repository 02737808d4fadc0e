/* Fuzzes the look at the pages of a data file: whatever its bytes are, it must end without harm,
 * and where it says that all is whole, LMDB must find in the file what was in it before, and be
 * able to write to it. A number of a meta page may be changed so that the snapshot before the
 * newest one counts: that is harmless, as a start brings any snapshot up to what the journal says.
 *
 * The input is a list of edits of a small whole store, of four bytes each: a byte to change, of
 * which page (2 bytes: the offset; 1: the page, from the first one on), and the bits of it that are
 * turned. A first byte that is odd cuts the file to the next three bytes' length. */
#include "store/hash.h"
#include "store/lmdb/env.h"
#include "tests/support/sample_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define ORDERS 60u
#define LIVES 6u               /* that it has, so that pages were freed and used again */
#define META_TXN ((size_t)144) /* offset of the number in a meta page */
#define PAGE_BYTES ((size_t)4096)

static const char *const tables[] = {
#define TABLE(upper, lower, what) #lower,
    LMDB_TABLES(TABLE)
#undef TABLE
};

static struct {
    char directory[128];
    int fd;
    unsigned char *whole;
    unsigned char *edited;
    size_t size;
    uint64_t contents; /* a hash of all records of the whole store, ... */
    uint64_t before;   /* ... and of those in the snapshot before its newest one */
} base;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static MDB_env *open_file(void)
{
    MDB_env *env;
    CHECK(mdb_env_create(&env) == 0);
    CHECK(mdb_env_set_maxdbs(env, TABLES) == 0);
    CHECK(mdb_env_set_mapsize(env, SAMPLE_MAP_BYTES) == 0);
    CHECK(mdb_env_open(env, base.directory, MDB_NOLOCK | MDB_NOSYNC, 0600) == 0);
    return env;
}

static uint64_t hash_table(MDB_txn *txn, const char *name, uint64_t hash)
{
    MDB_dbi table;
    MDB_cursor *cursor;
    MDB_val k;
    MDB_val v;
    CHECK(mdb_dbi_open(txn, name, 0, &table) == 0);
    CHECK(mdb_cursor_open(txn, table, &cursor) == 0);
    int rc;
    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        hash = hash_bytes(k.mv_data, k.mv_size, hash);
        hash = hash_bytes(v.mv_data, v.mv_size, hash);
    }
    CHECK(rc == MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    return hash;
}

/* Reads all of the file with LMDB, then writes to each table, so that it uses its free pages. */
static uint64_t read_and_write(void)
{
    MDB_env *env = open_file();
    uint64_t hash = 0;
    for (unsigned round = 0; round < 3; round++) {
        MDB_txn *txn;
        CHECK(mdb_txn_begin(env, NULL, 0, &txn) == 0);
        for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
            MDB_dbi table;
            uint64_t key = UINT64_MAX - round;
            if (round == 0)
                hash = hash_table(txn, tables[i], hash);
            CHECK(mdb_dbi_open(txn, tables[i], 0, &table) == 0);
            MDB_val k = {sizeof key, &key};
            MDB_val v = {sizeof key, &key};
            CHECK(mdb_put(txn, table, &k, &v, 0) == 0);
        }
        CHECK(mdb_txn_commit(txn) == 0);
    }
    mdb_env_close(env);
    return hash;
}

static void put_file(const unsigned char *bytes, size_t size)
{
    CHECK(ftruncate(base.fd, 0) == 0);
    CHECK(pwrite(base.fd, bytes, size, 0) == (ssize_t)size);
}

static void forget(void)
{
    sample_directory_remove(base.directory);
    free(base.whole);
    free(base.edited);
}

/* The same each time: no round is written but the last one of each life. */
static void make_store(void)
{
    struct sample_lines commands = {NULL, 0, 0};
    sample_directory_make(base.directory);
    sample_commands(&commands, ORDERS);
    sample_events_behind = UINT64_MAX;
    for (size_t i = 0; i < LIVES; i++) {
        size_t from = commands.count * i / LIVES;
        size_t to = commands.count * (i + 1) / LIVES;
        const struct sample_lines some = {commands.items + from, to - from, to - from};
        sample_make(base.directory, &some);
    }
    sample_lines_release(&commands);
}

/* Makes the meta page of the newest snapshot the older one. */
static void go_back_one(void)
{
    uint64_t txns[2];
    for (size_t i = 0; i < 2; i++)
        memcpy(&txns[i], base.edited + i * PAGE_BYTES + META_TXN, sizeof *txns);
    size_t newest = txns[1] > txns[0];
    CHECK(txns[newest] == txns[1 - newest] + 1 && txns[newest] > 2);
    txns[newest] -= 2;
    memcpy(base.edited + newest * PAGE_BYTES + META_TXN, &txns[newest], sizeof *txns);
}

static void make_base(void)
{
    struct stat status;
    char path[160];
    make_store();
    snprintf(path, sizeof path, "%s/data.mdb", base.directory);
    base.fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(base.fd >= 0 && fstat(base.fd, &status) == 0);
    base.size = (size_t)status.st_size;
    base.whole = malloc(base.size);
    base.edited = malloc(base.size);
    CHECK(base.whole != NULL && base.edited != NULL);
    CHECK(pread(base.fd, base.whole, base.size, 0) == status.st_size);
    base.contents = read_and_write();
    memcpy(base.edited, base.whole, base.size);
    go_back_one();
    put_file(base.edited, base.size);
    base.before = read_and_write();
    atexit(forget);
}

static size_t edit(const uint8_t *data, size_t size)
{
    size_t length = base.size;
    memcpy(base.edited, base.whole, base.size);
    if (size >= 4 && data[0] % 2 == 1) {
        length = ((size_t)data[1] | (size_t)data[2] << 8 | (size_t)data[3] << 16) % (length + 1);
        data += 3;
        size -= 3;
    }
    for (size_t i = 1; i + 4 <= size; i += 4) {
        size_t offset = ((size_t)data[i] | (size_t)data[i + 1] << 8) % PAGE_BYTES;
        size_t at = (data[i + 2] * PAGE_BYTES + offset) % base.size;
        base.edited[at] ^= data[i + 3];
    }
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lmdb_pages_found found;
    char error[LMDB_PAGES_ERROR_BYTES];
    enum lmdb_pages_depth depth = LMDB_PAGES_METAS;
    if (base.whole == NULL)
        make_base();
    size_t length = edit(data, size);
    /* A copy of its own length, so that a read behind its end is seen. */
    unsigned char *copy = malloc(length > 0 ? length : 1);
    CHECK(copy != NULL);
    memcpy(copy, base.edited, length);
    lmdb_pages_check(copy, length, &depth, &found, error);
    depth = LMDB_PAGES_RECORDS;
    bool is_whole = lmdb_pages_check(copy, length, &depth, &found, error);
    free(copy);
    if (is_whole) {
        put_file(base.edited, length);
        uint64_t contents = read_and_write();
        CHECK(contents == base.contents || contents == base.before);
    }
    return 0;
}
