/* Without the C library's declaration of connect, whose type no definition in ISO C can have. */
#undef _GNU_SOURCE
#define _DEFAULT_SOURCE

#include "tools/zmq_send/intake.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 65536

/* What may wait, in bytes of memory as libzmq uses it: for each frame a structure, and as long as a
 * frame of a read waits, all of the buffer that it was read into. */
#define WAITING_MAX ((uint64_t)8 << 20)
#define BYTES_A_FRAME 64u
#define BYTES_A_READ ((uint64_t)20 << 10)

struct intake {
    bool is_watched;
    bool is_over;  /* nothing more is let in */
    bool was_full; /* since all were taken */
    struct zmtp zmtp;
    uint64_t unfinished; /* bytes of memory: of the message that has begun ... */
    uint64_t waiting;    /* ... and of whole ones since all were taken */
};

/* `connect` and `recv` belong to the process, and so do these. All is kept by `lock`. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_started;
static bool is_stopped;
static struct intake intakes[DESCRIPTORS_MAX];

static struct intake *find(int fd)
{
    bool is_watched = fd >= 0 && fd < DESCRIPTORS_MAX && intakes[fd].is_watched;
    return is_watched ? &intakes[fd] : NULL;
}

/* ---- what libzmq calls ---- */

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    bool has_place = fd >= 0 && fd < DESCRIPTORS_MAX;
    pthread_mutex_lock(&lock);
    bool must_watch = is_started;
    if (must_watch && has_place)
        intakes[fd] = (struct intake){.is_watched = true, .zmtp = zmtp_begin()};
    pthread_mutex_unlock(&lock);
    if (must_watch && !has_place) {
        errno = EMFILE;
        return -1;
    }
    return (int)syscall(SYS_connect, fd, address, len);
}

static ssize_t kernel_recv(int fd, void *buffer, size_t size, int flags)
{
    return (ssize_t)syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

/* False: the connection is over. What libzmq had read before has been given to its owner, who
 * wakes up and takes it. */
static bool wait_for_room(struct intake *intake)
{
    while (intake->waiting > WAITING_MAX && !intake->is_over && !is_stopped) {
        intake->was_full = true;
        pthread_cond_wait(&changed, &lock);
    }
    return !intake->is_over && !is_stopped;
}

/* Returns how many of the bytes libzmq may see. A connection that broke a limit is not closed, as
 * the descriptor is libzmq's: it finds the end of the stream. */
static ssize_t count(struct intake *intake, int fd, const void *bytes, size_t len)
{
    uint64_t frames = intake->zmtp.frames;
    uint64_t messages = intake->zmtp.messages;
    size_t good = zmtp_take(&intake->zmtp, bytes, len);
    frames = intake->zmtp.frames - frames;
    intake->unfinished += len + frames * BYTES_A_FRAME + (frames > 0 ? BYTES_A_READ : 0);
    if (intake->zmtp.messages > messages) {
        intake->waiting += intake->unfinished;
        intake->unfinished = 0;
    }
    if (intake->zmtp.fault != ZMTP_GOOD) {
        intake->is_over = true;
        shutdown(fd, SHUT_RDWR);
    }
    return (ssize_t)good;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    pthread_mutex_lock(&lock);
    struct intake *intake = find(fd);
    bool may_read = intake == NULL || wait_for_room(intake);
    pthread_mutex_unlock(&lock);
    if (!may_read)
        return 0;
    ssize_t len = kernel_recv(fd, buffer, size, flags);
    if (len <= 0 || intake == NULL)
        return len;
    pthread_mutex_lock(&lock);
    len = count(intake, fd, buffer, (size_t)len);
    pthread_mutex_unlock(&lock);
    return len;
}

/* ---- for zmq-send ---- */

void intake_start(void)
{
    pthread_mutex_lock(&lock);
    is_started = true;
    pthread_mutex_unlock(&lock);
}

void intake_stop(void)
{
    pthread_mutex_lock(&lock);
    is_stopped = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

bool intake_drained(int fd)
{
    bool was_full = false;
    pthread_mutex_lock(&lock);
    struct intake *intake = find(fd);
    if (intake != NULL) {
        was_full = intake->was_full;
        intake->was_full = false;
        intake->waiting = 0;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return was_full;
}

void intake_end(int fd)
{
    pthread_mutex_lock(&lock);
    struct intake *intake = find(fd);
    if (intake != NULL)
        intake->is_over = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

enum zmtp_fault intake_fault(int fd)
{
    pthread_mutex_lock(&lock);
    struct intake *intake = find(fd);
    enum zmtp_fault fault = intake == NULL ? ZMTP_GOOD : intake->zmtp.fault;
    pthread_mutex_unlock(&lock);
    return fault;
}
