#include "tools/zmq_send/bench/commits.h"

#include "tools/zmq_send/clock.h"
#include "tools/zmq_send/report.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

static int commit_one(MDB_env *env, MDB_dbi *table, uint64_t n)
{
    char value[100] = "";
    MDB_txn *txn;
    MDB_val k = {sizeof n, &n};
    MDB_val v = {sizeof value, value};
    int rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, table);
    if (rc == 0)
        rc = mdb_put(txn, *table, &k, &v, 0);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

/* Returns LMDB's code. */
static int commit_for(const char *path, double seconds, struct commits *out)
{
    MDB_env *env = NULL;
    MDB_dbi table;
    int rc = mdb_env_create(&env);
    if (rc == 0)
        rc = mdb_env_open(env, path, 0, 0600);
    int64_t began_ms = clock_now_ms();
    int64_t until_ms = began_ms + (int64_t)(seconds * 1000);
    for (uint64_t n = 0; rc == 0 && clock_now_ms() < until_ms; n++) {
        uint64_t before_ns = clock_now_ns();
        rc = commit_one(env, &table, n % 1000);
        latency_add(&out->latency, clock_now_ns() - before_ns, 1);
    }
    out->seconds += (double)(clock_now_ms() - began_ms) / 1000;
    if (env != NULL)
        mdb_env_close(env);
    return rc;
}

static void remove_file(const char *path, const char *name)
{
    char file[PATH_BYTES];
    snprintf(file, sizeof file, "%s/%s", path, name);
    unlink(file);
}

bool commits_run(const char *directory, double seconds, struct commits *out)
{
    char path[PATH_BYTES - 32];
    snprintf(path, sizeof path, "%s/zmq-send-bench-XXXXXX", directory);
    if (mkdtemp(path) == NULL) {
        complain("cannot make a directory in %s: %s", directory, strerror(errno));
        return false;
    }
    int rc = commit_for(path, seconds, out);
    if (rc != 0)
        complain("cannot commit in %s: %s", path, mdb_strerror(rc));
    remove_file(path, "data.mdb");
    remove_file(path, "lock.mdb");
    rmdir(path);
    return rc == 0;
}
