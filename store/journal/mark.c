#include "store/journal/mark.h"

#include "store/hash.h"
#include "store/journal/disk.h"
#include "store/journal/part.h"

#include <assert.h>

/*     0  8  magic        16  8  number     32  24  zeros
 *     8  8  journal id   24  8  zeros      56   8  checksum of all before it */
#define MARK_MAGIC UINT64_C(0x6b72614d64636c61) /* "alcdMark" */
#define SUM_AT (MARK_BYTES - 8)

void mark_write(int fd, uint64_t journal_id, uint64_t number)
{
    unsigned char bytes[MARK_BYTES] = {0};
    assert(fd >= 0 && number > 0);
    part_put_number(bytes, MARK_MAGIC, 8);
    part_put_number(bytes + 8, journal_id, 8);
    part_put_number(bytes + 16, number, 8);
    part_put_number(bytes + SUM_AT, hash_bytes(bytes, SUM_AT, 0), 8);
    (void)disk_write(fd, bytes, sizeof bytes, 0);
}

bool mark_read(int fd, uint64_t *journal_id, uint64_t *number)
{
    unsigned char bytes[MARK_BYTES];
    size_t got = 0;
    assert(fd >= 0);
    if (!disk_read(fd, bytes, sizeof bytes, 0, &got) || got < sizeof bytes ||
        part_get_number(bytes, 8) != MARK_MAGIC ||
        part_get_number(bytes + SUM_AT, 8) != hash_bytes(bytes, SUM_AT, 0))
        return false;
    *journal_id = part_get_number(bytes + 8, 8);
    *number = part_get_number(bytes + 16, 8);
    return true;
}
