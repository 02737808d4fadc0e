/* Without the C library's declaration of accept4, whose type no definition in ISO C can have. */
#undef _GNU_SOURCE
#define _DEFAULT_SOURCE

#include "node/gate.h"

#include "node/handshake.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES_PER_PAGE 1024
#define FIRST_BYTES 1024
#define PAGES (GATE_DESCRIPTORS_MAX / ENTRIES_PER_PAGE)

struct entry {
    struct gate_counts counts;
    _Atomic bool is_cut;
    _Atomic bool is_accepted;   /* just now, and not registered yet */
    struct handshake handshake; /* libzmq's I/O thread has it */
    _Atomic bool is_registered; /* a connection that libzmq waits for; others are left alone */
    /* The next ones are kept by `lock`, under which the one above is written. */
    int epoll_fd;
    struct epoll_event wanted; /* what libzmq asked for last */
};

/* `recv` and `epoll_ctl` belong to the process, and so do these. */
static _Atomic(struct entry *) pages[PAGES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct entry *find(int fd)
{
    if (fd < 0 || fd >= GATE_DESCRIPTORS_MAX)
        return NULL;
    struct entry *page = atomic_load_explicit(&pages[fd / ENTRIES_PER_PAGE], memory_order_acquire);
    return page == NULL ? NULL : &page[fd % ENTRIES_PER_PAGE];
}

/* Requires the lock. NULL: no memory, and the descriptor is not counted. */
static struct entry *find_or_make(int fd)
{
    struct entry *entry = find(fd);
    if (entry != NULL || fd < 0 || fd >= GATE_DESCRIPTORS_MAX)
        return entry;
    struct entry *page = calloc(ENTRIES_PER_PAGE, sizeof *page);
    if (page == NULL)
        return NULL;
    atomic_store_explicit(&pages[fd / ENTRIES_PER_PAGE], page, memory_order_release);
    return find(fd);
}

static int kernel_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    return (int)syscall(SYS_epoll_ctl, epoll_fd, operation, fd, event);
}

/* Requires the lock. Asks the kernel for what libzmq wants, reading left out while it pauses. The
 * end of a connection is reported all the same. */
static int apply(struct entry *entry, int fd)
{
    struct epoll_event event = entry->wanted;
    if (atomic_load_explicit(&entry->counts.is_paused, memory_order_relaxed))
        event.events &= ~(uint32_t)EPOLLIN;
    return kernel_epoll_ctl(entry->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

static bool has_to_wait(struct gate_counts *counts)
{
    return gate_ahead(counts) > atomic_load_explicit(&counts->ahead_max, memory_order_relaxed) ||
           atomic_load_explicit(&counts->is_held, memory_order_relaxed);
}

/* Pauses or goes on as it should be by now. */
static void adjust(struct entry *entry, int fd)
{
    pthread_mutex_lock(&lock);
    bool should_pause = has_to_wait(&entry->counts);
    if (entry->is_registered &&
        should_pause != atomic_load_explicit(&entry->counts.is_paused, memory_order_relaxed)) {
        atomic_store_explicit(&entry->counts.is_paused, should_pause, memory_order_relaxed);
        apply(entry, fd);
    }
    pthread_mutex_unlock(&lock);
}

/* ---- what libzmq calls ---- */

static void reset(struct entry *entry, int epoll_fd)
{
    entry->is_registered = true;
    entry->epoll_fd = epoll_fd;
    entry->handshake = (struct handshake){0};
    atomic_store_explicit(&entry->counts.taken, 0, memory_order_relaxed);
    /* The guard may be late: until it knows the connection, not more than a handshake. */
    int64_t ahead_max = GATE_UNLIMITED;
    if (atomic_exchange_explicit(&entry->is_accepted, false, memory_order_relaxed))
        ahead_max = FIRST_BYTES -
                    (int64_t)atomic_load_explicit(&entry->counts.delivered, memory_order_relaxed);
    atomic_store_explicit(&entry->counts.ahead_max, ahead_max, memory_order_relaxed);
    atomic_store_explicit(&entry->counts.resume_at, ahead_max, memory_order_relaxed);
    atomic_store_explicit(&entry->counts.is_held, false, memory_order_relaxed);
    atomic_store_explicit(&entry->counts.is_paused, false, memory_order_relaxed);
    atomic_store_explicit(&entry->is_cut, false, memory_order_relaxed);
}

int accept4(int listener, struct sockaddr *address, socklen_t *len, int flags);

int accept4(int listener, struct sockaddr *address, socklen_t *len, int flags)
{
    int fd = (int)syscall(SYS_accept4, listener, address, len, flags);
    pthread_mutex_lock(&lock);
    struct entry *entry = find_or_make(fd);
    if (entry != NULL)
        atomic_store_explicit(&entry->is_accepted, true, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    return fd;
}

int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
    pthread_mutex_lock(&lock);
    struct entry *entry = find_or_make(fd);
    int rc;
    if (entry == NULL) {
        rc = kernel_epoll_ctl(epoll_fd, operation, fd, event);
    } else if (operation == EPOLL_CTL_MOD && entry->is_registered) {
        entry->wanted = *event;
        rc = apply(entry, fd);
    } else {
        rc = kernel_epoll_ctl(epoll_fd, operation, fd, event);
        entry->is_registered = false;
        if (rc == 0 && operation == EPOLL_CTL_ADD) {
            entry->wanted = *event;
            reset(entry, epoll_fd);
        }
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

static ssize_t kernel_recv(int fd, void *buffer, size_t size, int flags)
{
    return (ssize_t)syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL);
}

/* A byte more than it may be ahead: then it pauses. Requires: it has not to wait. */
static size_t room_for(struct gate_counts *counts)
{
    int64_t ahead_max = atomic_load_explicit(&counts->ahead_max, memory_order_relaxed);
    int64_t ahead = gate_ahead(counts);
    if (ahead_max == GATE_UNLIMITED)
        return SIZE_MAX;
    return ahead < ahead_max ? (size_t)(ahead_max - ahead) + 1 : 1;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    struct entry *entry = find(fd);
    if (entry != NULL && atomic_load_explicit(&entry->is_cut, memory_order_relaxed))
        return 0;
    if (entry == NULL || !entry->is_registered)
        return kernel_recv(fd, buffer, size, flags);
    if (has_to_wait(&entry->counts)) {
        adjust(entry, fd);
        errno = EAGAIN;
        return -1;
    }
    size_t room = room_for(&entry->counts);
    ssize_t len = kernel_recv(fd, buffer, size < room ? size : room, flags);
    if (len <= 0)
        return len;
    uint64_t taken = atomic_load_explicit(&entry->counts.taken, memory_order_relaxed);
    atomic_store_explicit(&entry->counts.taken, taken + (uint64_t)len, memory_order_relaxed);
    if (has_to_wait(&entry->counts))
        adjust(entry, fd);
    return handshake_pass(&entry->handshake, buffer, (size_t)len) ? len : 0;
}

/* ---- for the node ---- */

bool gate_is_in_place(void)
{
    for (size_t i = 0; i < PAGES; i++)
        if (atomic_load_explicit(&pages[i], memory_order_acquire) != NULL)
            return true;
    return false;
}

struct gate_counts *gate_counts(int fd)
{
    pthread_mutex_lock(&lock);
    struct entry *entry = find_or_make(fd);
    pthread_mutex_unlock(&lock);
    return entry == NULL ? NULL : &entry->counts;
}

static void adjust_if_needed(struct entry *entry, int fd)
{
    if (has_to_wait(&entry->counts) !=
        atomic_load_explicit(&entry->counts.is_paused, memory_order_relaxed))
        adjust(entry, fd);
}

void gate_set_ahead_max(int fd, int64_t bytes, int64_t resume_at)
{
    struct entry *entry = find(fd);
    if (entry == NULL)
        return;
    atomic_store_explicit(&entry->counts.ahead_max, bytes, memory_order_relaxed);
    atomic_store_explicit(&entry->counts.resume_at, resume_at, memory_order_relaxed);
    adjust_if_needed(entry, fd);
}

void gate_hold(int fd, bool hold)
{
    struct entry *entry = find(fd);
    if (entry == NULL)
        return;
    atomic_store_explicit(&entry->counts.is_held, hold, memory_order_relaxed);
    adjust_if_needed(entry, fd);
}

void gate_deliver(int fd, struct gate_counts *counts, size_t bytes)
{
    if (counts == NULL)
        return;
    uint64_t delivered = atomic_load_explicit(&counts->delivered, memory_order_relaxed);
    atomic_store_explicit(&counts->delivered, delivered + bytes, memory_order_relaxed);
    if (!atomic_load_explicit(&counts->is_paused, memory_order_relaxed))
        return;
    /* Not for each message, or it would go on and off all the time. */
    int64_t resume_at = atomic_load_explicit(&counts->resume_at, memory_order_relaxed);
    if (gate_ahead(counts) <= resume_at)
        adjust(find(fd), fd);
}

/* Never closes it: the descriptor is libzmq's. */
void gate_cut_off(int fd)
{
    struct entry *entry = find(fd);
    if (entry != NULL)
        atomic_store_explicit(&entry->is_cut, true, memory_order_relaxed);
    shutdown(fd, SHUT_RDWR);
}
