#include "store/lmdb/pages.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool lmdb_pages_check_file(int fd, uint64_t limit_bytes, enum lmdb_pages_depth *depth,
                           struct lmdb_pages_found *found, char error[LMDB_PAGES_ERROR_BYTES])
{
    struct stat file;
    if (fstat(fd, &file) != 0 || file.st_size <= 0) {
        snprintf(error, LMDB_PAGES_ERROR_BYTES, "it is empty");
        return false;
    }
    size_t len = (size_t)file.st_size;
    void *bytes = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) {
        snprintf(error, LMDB_PAGES_ERROR_BYTES, "it cannot be read: %s", strerror(errno));
        return false;
    }
    if (len > limit_bytes)
        *depth = LMDB_PAGES_METAS;
    if (*depth != LMDB_PAGES_METAS)
        madvise(bytes, len, MADV_WILLNEED); /* it is read in the order of the keys */
    bool is_whole = lmdb_pages_check(bytes, len, depth, found, error);
    munmap(bytes, len);
    return is_whole;
}
