#include "node/parked.h"

#include <assert.h>
#include <stdlib.h>

struct parked_message {
    struct parked_message *next;
    struct message_size size;
    zmq_msg_t frames[];
};

/* A message may be moved by libzmq alone, not with memcpy. */
static void move_frames(zmq_msg_t *to, zmq_msg_t *from, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        zmq_msg_init(&to[i]);
        zmq_msg_move(&to[i], &from[i]);
        zmq_msg_close(&from[i]);
    }
}

bool parked_add(struct parked *parked, zmq_msg_t *frames, const struct message_size *size)
{
    struct parked_message *message = malloc(sizeof *message + size->kept * sizeof *frames);
    if (message == NULL)
        return false;
    message->next = NULL;
    message->size = *size;
    move_frames(message->frames, frames, size->kept);
    if (parked->first == NULL)
        parked->first = message;
    else
        parked->last->next = message;
    parked->last = message;
    return true;
}

void parked_take(struct parked *parked, zmq_msg_t *frames, struct message_size *size)
{
    struct parked_message *message = parked->first;
    assert(message != NULL);
    *size = message->size;
    move_frames(frames, message->frames, size->kept);
    parked->first = message->next;
    free(message);
}

size_t parked_clear(struct parked *parked)
{
    size_t cleared = 0;
    while (parked->first != NULL) {
        struct parked_message *message = parked->first;
        parked->first = message->next;
        for (size_t i = 0; i < message->size.kept; i++)
            zmq_msg_close(&message->frames[i]);
        free(message);
        cleared++;
    }
    return cleared;
}
