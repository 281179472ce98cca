/* What of kqueue(2) aio.h uses, on Linux' epoll, as FreeBSD's and macOS' manuals describe it: for trying the kqueue
 * poller where there is none. libkqueue takes a socket's error away (SO_ERROR), which a kqueue only tells. One queue
 * for a descriptor; `udata` is not kept. */
#ifndef TESTS_KQUEUE_SYS_EVENT_H
#define TESTS_KQUEUE_SYS_EVENT_H
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <time.h>

#define EVFILT_READ  (-1)
#define EVFILT_WRITE (-2)
enum { EV_ADD = 1, EV_DELETE = 2, EV_ONESHOT = 16, EV_ERROR = 0x4000, EV_EOF = 0x8000, KQUEUE_FDS = 65536 };
struct kevent {
    uintptr_t      ident;
    short          filter;
    unsigned short flags;
    unsigned       fflags;
    intptr_t       data;
    void          *udata;
};
#define EV_SET(event, the_ident, the_filter, the_flags, the_fflags, the_data, the_udata)                     \
    do {                                                                                                     \
        struct kevent *to_set = (event);                                                                     \
        memset(to_set, 0, sizeof *to_set);                                                                   \
        to_set->ident = (the_ident);                                                                         \
        to_set->filter = (short)(the_filter);                                                                \
        to_set->flags = (unsigned short)(the_flags);                                                         \
        to_set->fflags = (the_fflags);                                                                       \
        to_set->data = (the_data);                                                                           \
        to_set->udata = (the_udata);                                                                         \
    } while (0)

static unsigned char kqueue_armed[KQUEUE_FDS]; /* of each descriptor: 1 read, 2 write */

static int kqueue(void) { return epoll_create1(0); }

/* epoll knows what is armed. A descriptor that was closed is unknown there, and what was armed for it has gone. */
static int kqueue_tell(int queue, int fd, int fresh)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.data.fd = fd;
    int armed = __atomic_load_n(&kqueue_armed[fd], __ATOMIC_RELAXED);
    event.events = ((armed & 1) ? EPOLLIN | EPOLLRDHUP : 0u) | ((armed & 2) ? EPOLLOUT : 0u);
    if (!armed) return epoll_ctl(queue, EPOLL_CTL_DEL, fd, &event);
    if (epoll_ctl(queue, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
    if (errno != ENOENT || !fresh) return -1;
    __atomic_store_n(&kqueue_armed[fd], (unsigned char)fresh, __ATOMIC_RELAXED);
    event.events = fresh == 1 ? EPOLLIN | EPOLLRDHUP : EPOLLOUT;
    return epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
}

static int kqueue_change(int queue, const struct kevent *change)
{
    int fd = (int)change->ident, bit = change->filter == EVFILT_READ ? 1 : 2;
    int armed = __atomic_load_n(&kqueue_armed[fd], __ATOMIC_RELAXED);
    bool add = (change->flags & EV_ADD) != 0;
    if (!add && !(armed & bit)) return errno = ENOENT, -1;
    __atomic_store_n(&kqueue_armed[fd], (unsigned char)(add ? armed | bit : armed & ~bit), __ATOMIC_RELAXED);
    return kqueue_tell(queue, fd, add ? bit : 0);
}

/* What epoll says of a descriptor, as an event of each filter that is armed, which then is so no more. */
static int kqueue_events(int queue, const struct epoll_event *said, struct kevent *events)
{
    int fd = said->data.fd, armed = kqueue_armed[fd], count = 0, unread = 0;
    bool error = (said->events & EPOLLERR) != 0, gone = error || (said->events & EPOLLHUP);
    bool is[2] = { gone || (said->events & (EPOLLIN | EPOLLRDHUP)), gone || (said->events & EPOLLOUT) };
    for (int i = 0; i < 2; i++) {
        if (!is[i] || !(armed & (1 << i))) continue;
        bool end = gone || (i == 0 && (said->events & EPOLLRDHUP));
        EV_SET(&events[count], (uintptr_t)fd, i ? EVFILT_WRITE : EVFILT_READ, EV_ONESHOT | (end ? EV_EOF : 0),
               end && error ? (unsigned)EIO : 0u, i || ioctl(fd, FIONREAD, &unread) < 0 ? 1 : unread, NULL);
        armed &= ~(1 << i);
        count++;
    }
    __atomic_store_n(&kqueue_armed[fd], (unsigned char)armed, __ATOMIC_RELAXED);
    kqueue_tell(queue, fd, 0);
    return count;
}

static int kevent(int queue, const struct kevent *changes, int count, struct kevent *events, int capacity,
                  const struct timespec *timeout)
{
    struct epoll_event said[64];
    struct pollfd all = { queue, POLLIN, 0 };
    int have = 0, most = capacity / 2 < 64 ? capacity / 2 : 64;
    for (int i = 0; i < count; i++) {
        if (kqueue_change(queue, &changes[i]) == 0) continue;
        if (have == capacity) return -1;
        events[have] = changes[i];
        events[have].flags = EV_ERROR;
        events[have++].data = errno;
    }
    if (have || !capacity) return have;
    if (ppoll(&all, 1, timeout, NULL) < 0) return -1;
    int n = epoll_wait(queue, said, most, 0);
    for (int i = 0; i < n; i++) have += kqueue_events(queue, &said[i], events + have);
    return n < 0 ? -1 : have;
}
#endif
