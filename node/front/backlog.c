#include "node/front/backlog.h"

#include "node/front/zmtp.h"

#include <assert.h>
#include <stdlib.h>

#define BYTES_PER_EVENT 128u /* of wire bytes, for which there is one entry in the index */

struct entry {
    uint32_t at; /* in `bytes` */
    uint32_t len;
    uint16_t topic_at; /* in the event */
    uint16_t topic_len;
};

struct backlog {
    unsigned char *bytes;
    struct entry *entries;
    size_t size;    /* of bytes */
    size_t count;   /* of entries */
    size_t next_at; /* where the next event is put */
    uint64_t first;
    uint64_t end;
};

struct backlog *backlog_new(size_t bytes)
{
    struct backlog *backlog = calloc(1, sizeof *backlog);
    if (backlog == NULL)
        return NULL;
    backlog->count = bytes / (BYTES_PER_EVENT + sizeof *backlog->entries);
    backlog->size = backlog->count * BYTES_PER_EVENT;
    assert(backlog->size > 0 && backlog->size <= UINT32_MAX);
    backlog->bytes = malloc(backlog->size);
    backlog->entries = malloc(backlog->count * sizeof *backlog->entries);
    if (backlog->bytes == NULL || backlog->entries == NULL)
        backlog_destroy(&backlog);
    return backlog;
}

void backlog_destroy(struct backlog **backlog)
{
    if (*backlog == NULL)
        return;
    free((*backlog)->bytes);
    free((*backlog)->entries);
    free(*backlog);
    *backlog = NULL;
}

uint64_t backlog_first(const struct backlog *backlog)
{
    return backlog->first;
}

uint64_t backlog_end(const struct backlog *backlog)
{
    return backlog->end;
}

static struct entry *entry_of(const struct backlog *backlog, uint64_t number)
{
    return &backlog->entries[number % backlog->count];
}

/* Drops the oldest events until `len` bytes are free at `at`. Those that are there lie between the
 * first one's place and next_at, around the end of the ring or not. */
static void make_room(struct backlog *backlog, size_t at, size_t len)
{
    while (backlog->first < backlog->end) {
        const struct entry *oldest = entry_of(backlog, backlog->first);
        bool is_in_the_way = oldest->at < at + len && at < (size_t)oldest->at + oldest->len;
        /* One that the writer has just passed over, to begin again at 0, goes too: it is older
         * than all that stands before it. */
        bool is_behind = backlog->next_at > at && oldest->at >= backlog->next_at;
        bool has_no_entry = backlog->end - backlog->first == backlog->count;
        if (!is_in_the_way && !is_behind && !has_no_entry)
            return;
        backlog->first++;
    }
}

bool backlog_add(struct backlog *backlog, struct text topic, struct text body)
{
    unsigned char topic_header[ZMTP_HEADER_MAX];
    unsigned char body_header[ZMTP_HEADER_MAX];
    size_t topic_at = zmtp_put_header(topic_header, ZMTP_MORE, topic.len);
    size_t body_header_len = zmtp_put_header(body_header, 0, body.len);
    size_t len = topic_at + topic.len + body_header_len + body.len;
    if (len > backlog->size / 4 || topic.len > UINT16_MAX)
        return false;
    size_t at = backlog->next_at + len <= backlog->size ? backlog->next_at : 0;
    make_room(backlog, at, len);
    unsigned char *to = backlog->bytes + at;
    memcpy(to, topic_header, topic_at);
    memcpy(to + topic_at, topic.data, topic.len);
    memcpy(to + topic_at + topic.len, body_header, body_header_len);
    memcpy(to + topic_at + topic.len + body_header_len, body.data, body.len);
    *entry_of(backlog, backlog->end) = (struct entry){.at = (uint32_t)at,
                                                      .len = (uint32_t)len,
                                                      .topic_at = (uint16_t)topic_at,
                                                      .topic_len = (uint16_t)topic.len};
    backlog->end++;
    backlog->next_at = at + len;
    return true;
}

struct backlog_event backlog_at(const struct backlog *backlog, uint64_t number)
{
    assert(number >= backlog->first && number < backlog->end);
    const struct entry *entry = entry_of(backlog, number);
    const unsigned char *wire = backlog->bytes + entry->at;
    return (struct backlog_event){
        wire, entry->len, {(const char *)wire + entry->topic_at, entry->topic_len}};
}
