/* The seam of aio.h as the tests hold it: aio__os with every entry replaced.
 *
 * It counts calls, allocations, descriptors and threads, fails the Nth of them, shortens reads and writes, shuffles what
 * is ready, and owns the time. `seam` says what to do and what has happened; seam_begin and seam_end frame one run.
 *
 * When an entry comes into struct aio__os, add it here: a row in SEAM_CALLS with every errno that it can give, and a
 * wrapper: SEAM_PLAIN, SEAM_STREAM for what moves bytes, or one by hand. It is then installed, and part of call torture.
 *
 * The time is virtual, one for each thread. A wait looks at the real descriptors with a timeout of 0 first. If nothing is
 * ready, time jumps to the end of the wait, so no test sleeps. Two things come from outside of the process's own steps
 * and get a real, short wait before time jumps: bytes on their way through the kernel (SEAM_SETTLE, when sockets are
 * watched or threads idle), and jobs of threads and children (SEAM_GRACE, while the loop has jobs, or seam.outside, which
 * tests may count up with threads of their own, is not 0). A wait without end waits really: for whatever comes, or for
 * the watchdog. */
#include <sys/socket.h>
#include <sys/stat.h>

enum { SEAM_SETTLE = 1, SEAM_GRACE = 20 /* ms */, SEAM_FDS = 65536 };

#if AIO__LINUX
#define SEAM_CALLS_LINUX(X)                                                                       \
    X(epoll_create1, EMFILE, ENFILE, ENOMEM) X(epoll_ctl, ENOMEM, ENOSPC) X(epoll_wait, EINTR)    \
    X(eventfd, EMFILE, ENFILE, ENOMEM)
#else
#define SEAM_CALLS_LINUX(X)
#endif
/* X(entry, every errno that it can give): EINTR, and EAGAIN of a descriptor, must be invisible. */
#define SEAM_CALLS(X)                                                                             \
    X(poll, EINTR, ENOMEM) X(pipe, EMFILE, ENFILE) X(fcntl, EBADF)                                \
    X(read, EINTR, EAGAIN, ECONNRESET, EIO) X(write, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOSPC)    \
    X(close, EINTR, EIO) X(mutex_init, ENOMEM) X(cond_init, ENOMEM) X(thread, EAGAIN)             \
    X(sigaction, EINVAL)                                                                          \
    SEAM_CALLS_LINUX(X)

enum seam_call {
#define SEAM_ENUM(name, ...) CALL_##name,
    SEAM_CALLS(SEAM_ENUM)
    CALLS
};
static const struct { const char *name; int errors[12]; } seam_calls[] = {
#define SEAM_ROW(name, ...) { #name, { __VA_ARGS__ } },
    SEAM_CALLS(SEAM_ROW)
};

enum { SLICE_NONE, SLICE_ONE, SLICE_RANDOM };
static struct seam {
    long     fail_alloc;        /* to do: the number of the allocation that fails; 0: none */
    bool     fail_on;           /* and all after it */
    int      fail_call, error;  /* the call that fails, with which errno */
    long     fail_at;           /* the how manieth of them; 0: none */
    int      slice;
    bool     shuffle;
    uint64_t seed;
    aio_loop *loop;             /* of the run */
    int      touched;           /* what happened: the code of the visible fault that was injected, or 0 */
    bool     fired;             /* a fault was injected, visible or not */
    bool     bad_close;         /* a descriptor was closed that was not open */
    long     allocations, live, calls[CALLS], threads, outside;
    int      highest;           /* descriptor seen */
    uint64_t random;
} seam;
static struct aio__os seam_real;
static __thread int64_t seam_now = INT64_C(1000000000000);

#define SEAM_ADD(counter, n) __atomic_add_fetch(&(counter), (n), __ATOMIC_SEQ_CST)
#define SEAM_SET(place, value) __atomic_store_n(&(place), (value), __ATOMIC_SEQ_CST)
#define SEAM_GET(place) __atomic_load_n(&(place), __ATOMIC_SEQ_CST)

/* splitmix64: the same numbers for the same seed. */
static uint64_t seam_random(void)
{
    uint64_t z = seam.seed + SEAM_ADD(seam.random, 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* ---- memory ---- */
static bool seam_no_memory(void)
{
    long n = SEAM_ADD(seam.allocations, 1);
    if (!seam.fail_alloc || n < seam.fail_alloc || (n > seam.fail_alloc && !seam.fail_on)) return false;
    SEAM_SET(seam.fired, true);
    SEAM_SET(seam.touched, ENOMEM);
    errno = ENOMEM;
    return true;
}

static void *seam_malloc(size_t size)
{
    void *memory = seam_no_memory() ? NULL : malloc(size);
    if (memory) SEAM_ADD(seam.live, 1);
    return memory;
}

static void *seam_realloc(void *old, size_t size)
{
    void *memory = seam_no_memory() ? NULL : realloc(old, size);
    if (memory && !old) SEAM_ADD(seam.live, 1);
    return memory;
}

static void seam_free(void *memory)
{
    if (memory) SEAM_ADD(seam.live, -1);
    free(memory);
}

/* ---- time ---- */
static int64_t seam_clock(void) { return seam_now; }
static void clock_advance(double seconds) { seam_now += (int64_t)(seconds * 1e9); }

/* How long to wait really before time may jump by `timeout` ms. */
static int seam_real_wait(int timeout, bool sockets)
{
    bool jobs = SEAM_GET(seam.outside) || (aio__running && !aio__ring_empty(&aio__running->jobs));
    int grace = jobs ? SEAM_GRACE : sockets || SEAM_GET(seam.threads) ? SEAM_SETTLE : 0;
    return timeout < 0 ? -1 : timeout < grace ? timeout : grace;
}

/* ---- descriptors ---- */
static struct { int epoll; uint32_t events; void *owner; } seam_watched[SEAM_FDS];

/* The loop's own pair, which cannot fail but by EINTR, and whose bytes are not cut. */
static bool seam_is_wake(int fd)
{
    return fd >= 0 && seam.loop && (fd == seam.loop->wake_read || fd == seam.loop->wake_write);
}

/* True for pipes and stream sockets, which may give or take any part of the bytes at any time. */
static bool seam_is_stream(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    struct stat status;
    if (fd < 0 || seam_is_wake(fd)) return false;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0) return type == SOCK_STREAM;
    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

/* After a call that could have done more: an edge-triggered poller would never tell again, the kernel would. */
static void seam_rearm(int fd)
{
#if AIO__LINUX
    struct epoll_event event;
    if (fd < 0 || fd >= SEAM_FDS || !seam_watched[fd].epoll) return;
    memset(&event, 0, sizeof event);
    event.events = seam_watched[fd].events;
    event.data.ptr = seam_watched[fd].owner;
    int code = errno;
    seam_real.epoll_ctl(seam_watched[fd].epoll - 1, EPOLL_CTL_MOD, fd, &event);
    errno = code;
#else
    (void)fd;
#endif
}

/* Whether this call is the one to fail; errno is then set. */
static bool seam_fault(int call, int fd)
{
    long n = SEAM_ADD(seam.calls[call], 1);
    if (call != seam.fail_call || n != seam.fail_at) return false;
    bool again = seam.error == EAGAIN && fd >= 0;
    if (seam.error != EINTR && seam_is_wake(fd)) return false;
    if (again && !seam_is_stream(fd)) return false;
    if (again) seam_rearm(fd);
    SEAM_SET(seam.fired, true);
    if (!again && seam.error != EINTR) SEAM_SET(seam.touched, seam.error);
    errno = seam.error;
    return true;
}

static size_t seam_slice(int fd, size_t size)
{
    if (!seam.slice || size < 2 || !seam_is_stream(fd)) return size;
    seam_rearm(fd);
    return seam.slice == SLICE_ONE ? 1 : 1 + (size_t)(seam_random() % size);
}

#define SEAM_PLAIN(type, name, parameters, fd, arguments) \
    static type seam_##name parameters { return seam_fault(CALL_##name, (fd)) ? (type)-1 : seam_real.name arguments; }
/* `size` is the parameter that says how many bytes. */
#define SEAM_STREAM(name, parameters, fd, size, arguments)        \
    static ssize_t seam_##name parameters                         \
    {                                                             \
        if (seam_fault(CALL_##name, (fd))) return -1;             \
        (size) = seam_slice((fd), (size));                        \
        return seam_real.name arguments;                          \
    }
/* For what gives 0 or a code. */
#define SEAM_CODE(name, parameters, arguments) \
    static int seam_##name parameters { return seam_fault(CALL_##name, -1) ? errno : seam_real.name arguments; }
SEAM_CODE(mutex_init, (pthread_mutex_t *mutex), (mutex))
SEAM_CODE(cond_init, (pthread_cond_t *condition), (condition))
SEAM_PLAIN(int, sigaction, (int number, const struct sigaction *action, struct sigaction *old), -1, (number, action, old))
SEAM_PLAIN(int, pipe, (int *fds), -1, (fds))
SEAM_PLAIN(int, fcntl, (int fd, int command, int value), -1, (fd, command, value))
SEAM_STREAM(read, (int fd, void *data, size_t size), fd, size, (fd, data, size))
SEAM_STREAM(write, (int fd, const void *data, size_t size), fd, size, (fd, data, size))

/* The descriptor is closed whatever close says. */
static int seam_close(int fd)
{
    if (fd >= 0 && fd < SEAM_FDS) seam_watched[fd].epoll = 0;
    if (fd > SEAM_GET(seam.highest)) SEAM_SET(seam.highest, fd);
    int result = seam_real.close(fd);
    if (result < 0 && errno == EBADF) seam.bad_close = true;
    return seam_fault(CALL_close, -1) ? -1 : result;
}

/* poll cannot tell in another order, but it can tell of some now and of the others next time. */
static int seam_poll_shuffle(struct pollfd *fds, nfds_t count, int ready)
{
    for (nfds_t i = 0; seam.shuffle && i < count && ready > 1; i++) {
        if (!fds[i].revents || seam_random() % 2) continue;
        fds[i].revents = 0;
        ready--;
    }
    return ready;
}

static int seam_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (seam_fault(CALL_poll, -1)) return -1;
    int ready = seam_real.poll(fds, count, 0);
    if (!ready && timeout) ready = seam_real.poll(fds, count, seam_real_wait(timeout, count > 1));
    if (!ready && timeout > 0) seam_now += (int64_t)timeout * 1000000;
    return seam_poll_shuffle(fds, count, ready);
}

#if AIO__LINUX
SEAM_PLAIN(int, epoll_create1, (int flags), -1, (flags))
SEAM_PLAIN(int, eventfd, (unsigned value, int flags), -1, (value, flags))

static int seam_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    if (operation != EPOLL_CTL_DEL && seam_fault(CALL_epoll_ctl, -1)) return -1;
    int result = seam_real.epoll_ctl(epoll, operation, fd, event);
    if (result < 0 || fd >= SEAM_FDS) return result;
    seam_watched[fd].epoll = operation == EPOLL_CTL_DEL ? 0 : epoll + 1;
    seam_watched[fd].events = event->events;
    seam_watched[fd].owner = event->data.ptr;
    return 0;
}

static int seam_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout)
{
    if (seam_fault(CALL_epoll_wait, -1)) return -1;
    int ready = seam_real.epoll_wait(epoll, events, capacity, 0);
    bool sockets = aio__running && aio__running->descriptor_count > 1;
    if (!ready && timeout) ready = seam_real.epoll_wait(epoll, events, capacity, seam_real_wait(timeout, sockets));
    if (!ready && timeout > 0) seam_now += (int64_t)timeout * 1000000;
    for (int i = ready - 1; seam.shuffle && i > 0; i--) {
        int other = (int)(seam_random() % (uint64_t)(i + 1));
        struct epoll_event event = events[i];
        events[i] = events[other];
        events[other] = event;
    }
    return ready;
}
#endif

/* ---- threads ---- */
struct seam_thread { void *(*run)(void *); void *arg; };

static void *seam_thread_run(void *arg)
{
    struct seam_thread thread = *(struct seam_thread *)arg;
    free(arg);
    void *result = thread.run(thread.arg);
    SEAM_ADD(seam.threads, -1);
    return result;
}

static int seam_thread(pthread_t *id, void *(*run)(void *), void *arg)
{
    if (seam_fault(CALL_thread, -1)) return errno;
    struct seam_thread *thread = (struct seam_thread *)malloc(sizeof *thread);
    thread->run = run;
    thread->arg = arg;
    SEAM_ADD(seam.threads, 1);
    int code = seam_real.thread(id, seam_thread_run, thread);
    if (code) SEAM_ADD(seam.threads, -1);
    if (code) free(thread);
    return code;
}

/* ---- a run ---- */
static int seam_descriptors(void)
{
    int open_ = 0;
    for (int fd = 0; fd < seam.highest + 64; fd++) open_ += fcntl(fd, F_GETFD) >= 0;
    return open_;
}

static void seam_install(void)
{
    seam_real = aio__os;
    aio__os.malloc = seam_malloc;
    aio__os.realloc = seam_realloc;
    aio__os.free = seam_free;
    aio__os.clock = seam_clock;
#define SEAM_INSTALL(name, ...) aio__os.name = seam_##name;
    SEAM_CALLS(SEAM_INSTALL)
}

/* Everything untouched, nothing counted. `plain`: every object is an allocation of its own. */
static void seam_begin(bool plain, uint64_t seed)
{
    int highest = seam.highest;
    memset(&seam, 0, sizeof seam);
    seam.highest = highest;
    seam.seed = seed;
    aio__os.plain = plain;
    aio__out_of_memory = false;
    seam_now = INT64_C(1000000000000);
}
