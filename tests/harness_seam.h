/* The seam of aio.h as the tests hold it: aio__os with every entry replaced.
 *
 * It counts calls, allocations, descriptors and threads, fails the Nth of them, shortens reads and writes, shuffles
 * what is ready, and owns the time. `seam` says what to do and what has happened; seam_begin and seam_end frame one
 * run.
 *
 * When an entry comes into struct aio__os, add it here: a row in SEAM_CALLS with every errno that it can give, and a
 * wrapper in harness_calls.h: SEAM_PLAIN, SEAM_STREAM for what moves bytes, or one by hand. It is then installed, and
 * part of call torture. The test seam_is_complete says what was forgotten.
 *
 * The time is virtual, one for each thread. A wait looks at the real descriptors with a timeout of 0 first. If nothing
 * is ready, time jumps to the end of the wait, so no test sleeps. Two things come from outside of the process's own
 * steps and get a real, short wait before time jumps: bytes on their way through the kernel (SEAM_SETTLE, when sockets
 * are watched and one was used since the last such wait, or threads are idle), and jobs of threads and children
 * (SEAM_GRACE, longer on a busy machine, while the loop has jobs, or seam.outside, which tests may count up with threads
 * of their own, is not 0).
 * It does not jump at all while a thread looks names up, however long the machine takes to run it: a getaddrinfo that
 * hangs is not counted in seam.lookups, but is idle (names_getaddrinfo). A test that waits for a child, however long
 * that takes, counts seam.lookups up, too. A wait without end waits really: for whatever comes, or for the watchdog.
 * So do all waits of a loop in another thread: what it waits for is the work of threads that may not have run yet. */
#include <malloc.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/sysinfo.h>
#endif

enum { SEAM_SETTLE = 250, SEAM_GRACE = 20000 /* microseconds */, SEAM_FDS = 65536 };

#if AIO__LINUX
#define SEAM_CALLS_LINUX(X)                                                                       \
    X(epoll_create1, EMFILE, ENFILE, ENOMEM) X(epoll_ctl, ENOMEM, ENOSPC) X(epoll_wait, EINTR)    \
    X(eventfd, EMFILE, ENFILE, ENOMEM) X(pidfd_open, ENOSYS, EMFILE)                                \
    X(sendfile, EINTR, EAGAIN, EPIPE, ECONNRESET, EINVAL, EIO, ENOMEM) X(madvise, ENOMEM, EINVAL)
#else
#define SEAM_CALLS_LINUX(X)
#endif
#if AIO__KQUEUE
#define SEAM_CALLS_KQUEUE(X) X(kqueue, EMFILE, ENFILE, ENOMEM) X(kevent, EINTR)
#else
#define SEAM_CALLS_KQUEUE(X)
#endif
#if !defined(AIO_NO_TLS) && AIO__TLS_LIBRARY
#define SEAM_CALLS_TLS_LIBRARY(X)                                                                 \
    X(SSL_CTX_new_ex, ENOMEM) X(OSSL_LIB_CTX_new, ENOMEM) X(OSSL_PROVIDER_load, ENOMEM)           \
    X(OSSL_PROVIDER_try_load, ENOMEM) X(OSSL_PROVIDER_add_builtin, ENOMEM)
#else
#define SEAM_CALLS_TLS_LIBRARY(X)
#endif
#ifndef AIO_NO_TLS
#define SEAM_CALLS_TLS(X)                                                                         \
    X(SSL_CTX_new, ENOMEM) X(SSL_new, ENOMEM) X(BIO_new, ENOMEM) X(BIO_meth_new, ENOMEM)          \
    X(SSL_CTX_use_certificate_chain_file, AIO_ETLS) X(SSL_CTX_use_PrivateKey_file, AIO_ETLS)      \
    X(SSL_CTX_load_verify_locations, AIO_ETLS) X(SSL_CTX_set_default_verify_paths, AIO_ETLS)      \
    X(SSL_CTX_set_cipher_list, AIO_ETLS) X(SSL_set_SSL_CTX, ENOMEM) X(X509_digest, ENOMEM)        \
    X(EVP_Digest, ENOMEM) X(BIO_new_mem_buf, ENOMEM) X(PEM_read_bio_X509, AIO_ETLS)                \
    X(EVP_MD_CTX_new, ENOMEM) X(EVP_DigestInit_ex, ENOMEM) X(EVP_DigestUpdate, ENOMEM)            \
    X(EVP_DigestFinal_ex, ENOMEM)                                                                 \
    X(PEM_read_bio_PrivateKey, AIO_ETLS) X(SSL_CTX_use_certificate, AIO_ETLS)                     \
    X(SSL_CTX_use_PrivateKey, AIO_ETLS) X(X509_STORE_add_cert, AIO_ETLS)                          \
    X(X509_STORE_add_lookup, AIO_ETLS) X(X509_load_crl_file, AIO_ETLS)                            \
    X(SSL_set_alpn_protos, ENOMEM)                                                                \
    X(SSL_CTX_set_alpn_protos, AIO_ETLS) X(SSL_ctrl, ENOMEM) X(SSL_set1_host, ENOMEM)             \
    X(X509_VERIFY_PARAM_set1_ip_asc, ENOMEM)                                                      \
    X(SSL_do_handshake, AIO_ETLS, ECONNRESET) X(SSL_read, AIO_ETLS, ECONNRESET)                   \
    X(SSL_peek, AIO_ETLS, ECONNRESET) X(SSL_write, AIO_ETLS, ECONNRESET)                          \
    X(SSL_shutdown, AIO_ETLS, ECONNRESET)                                                         \
    SEAM_CALLS_TLS_LIBRARY(X)
#else
#define SEAM_CALLS_TLS(X)
#endif
/* X(entry, every error that it can give): EINTR, and EAGAIN of a descriptor, must be invisible. */
#define SEAM_CALLS(X)                                                                             \
    X(poll, EINTR, ENOMEM) X(pipe, EMFILE, ENFILE) X(fcntl, EBADF)                                \
    X(read, EINTR, EAGAIN, ECONNRESET, EIO) X(write, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOSPC)    \
    X(close, EINTR, EIO) X(mutex_init, ENOMEM) X(cond_init, ENOMEM) X(thread, EAGAIN)             \
    X(sigaction, EINVAL) X(at_fork, ENOMEM)                                                       \
    X(socket, EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES) X(bind, EADDRINUSE, EACCES)                \
    X(listen, EADDRINUSE) X(accept, EINTR, EAGAIN, ECONNABORTED, EMFILE, ENFILE, ENOBUFS, ENOMEM) \
    X(connect, EINTR, ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EADDRNOTAVAIL) X(shutdown, ENOTCONN)  \
    X(recv, EINTR, EAGAIN, ECONNRESET, ETIMEDOUT, ENOMEM)                                         \
    X(send, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM)                                    \
    X(sendmsg, EINTR, EAGAIN, EPIPE, ECONNRESET, ENOBUFS, ENOMEM)                                 \
    X(getsockopt, ENOBUFS) X(setsockopt, ENOMEM) X(getsockname, ENOBUFS) X(getpeername, ENOTCONN) \
    X(recvmsg, EINTR, EAGAIN, ECONNREFUSED, ENOMEM)                                               \
    X(pipe_write, EINTR, EAGAIN, EPIPE) X(spawn, EAGAIN, ENOMEM, ENOENT) X(waitpid, EINTR)        \
    X(spawn_fork, EAGAIN, EMFILE) X(wait_ended, EINTR) X(getpwnam_r, EINTR, EIO)                  \
    X(getgrnam_r, EINTR, EMFILE)                                                                  \
    X(fstat, EIO) X(pread, EINTR, EIO)                                                            \
    X(socketpair, EMFILE, ENFILE, ENOMEM) X(chmod, EPERM)                                          \
    X(unlink, EACCES) X(stat, EACCES) X(lstat, EACCES) X(open, EINTR, ENOENT, EACCES, EMFILE, ENFILE)              \
    X(openat, EINTR, ENOENT, EACCES, EMFILE, ENFILE)                                              \
    X(openat_cached, EINTR, EAGAIN, ENOSYS, ENOENT, EACCES, EMFILE, ENFILE)                       \
    X(create, EEXIST, EACCES, ENOSPC, EINTR) X(append, EACCES, ENOSPC, EINTR) X(iconv_open, EINVAL, ENOMEM, EMFILE) \
    X(open_mode, EINTR, ENOENT, EACCES, EMFILE, ENFILE) X(pwrite, EINTR, ENOSPC, EIO)              \
    X(ftruncate, EINTR, EIO) X(mkdir, EACCES) X(rmdir, EACCES) X(listdir, ENOENT, EMFILE)         \
    X(fsync, EINTR, EIO) X(rename, EACCES, EXDEV)                                                 \
    X(getentropy, EIO) X(getaddrinfo, EAI_AGAIN, EAI_NONAME, EAI_MEMORY, EAI_SYSTEM)              \
    X(getnameinfo, EAI_AGAIN, EAI_MEMORY, EAI_SYSTEM)                                             \
    SEAM_CALLS_LINUX(X) SEAM_CALLS_KQUEUE(X) SEAM_CALLS_TLS(X)

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
    bool     stirred;           /* a socket was used since time jumped last: bytes may be on their way */
    bool     bad_close;         /* a descriptor was closed that was not open */
    const char *mistaken;       /* a step of TLS that could take an error of others for its own */
    long     allocations, live, bytes /* of what is live */, calls[CALLS], threads, idle, outside, lookups;
    int      highest;           /* descriptor seen */
    uint64_t random;
} seam;
static struct aio__os seam_real;
static __thread int64_t seam_now = INT64_C(1000000000000);
static __thread bool seam_other; /* a thread that the run has begun */

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
    if (memory) SEAM_ADD(seam.bytes, (long)malloc_usable_size(memory));
    return memory;
}

static void *seam_realloc(void *old, size_t size)
{
    long before = old ? (long)malloc_usable_size(old) : 0;
    void *memory = seam_no_memory() ? NULL : realloc(old, size);
    if (memory && !old) SEAM_ADD(seam.live, 1);
    if (memory) SEAM_ADD(seam.bytes, (long)malloc_usable_size(memory) - before);
    return memory;
}

static void seam_free(void *memory)
{
    if (memory) SEAM_ADD(seam.live, -1);
    if (memory) SEAM_ADD(seam.bytes, -(long)malloc_usable_size(memory));
    free(memory);
}

/* ---- time ---- */
static int64_t seam_clock(void) { return seam_now; }
static int64_t seam_wall(void) { return INT64_C(1767225600) + seam_now / 1000000000 - 1000; } /* starts with 2026 */
static void clock_advance(double seconds) { seam_now += (int64_t)(seconds * 1e9); }

/* How many times as long as on an idle machine of two processors a thread may wait for one. Asked without a descriptor,
 * whose number a test might want. */
static int seam_crowd(void)
{
    enum { MOST = 25 };
#ifdef __linux__
    struct sysinfo info;
    unsigned long load = sysinfo(&info) ? 0 : info.loads[0] >> (SI_LOAD_SHIFT + 1);
    return load < MOST ? (int)load + 1 : MOST;
#else
    return MOST;
#endif
}

/* Waits really, before time may jump by `timeout` ms, until a descriptor is ready. What poll gives. */
static int seam_grace(bool sockets)
{
    bool jobs = SEAM_GET(seam.outside) || SEAM_GET(seam.threads) > SEAM_GET(seam.idle) || (aio__running
        && !aio__ring_empty(&aio__running->jobs));
    bool stirred = __atomic_exchange_n(&seam.stirred, false, __ATOMIC_SEQ_CST);
    return jobs ? SEAM_GRACE * seam_crowd() : (sockets && stirred) || SEAM_GET(seam.threads) ? SEAM_SETTLE : 0;
}

static int seam_real_wait(struct pollfd *fds, nfds_t count, int timeout, bool sockets)
{
    int grace = seam_grace(sockets);
    if (timeout < 0 || seam_other) return seam_real.poll(fds, count, timeout);
    if (timeout < grace / 1000) grace = timeout * 1000;
#if AIO__LINUX
    struct timespec wait = { 0, grace * 1000 };
    return ppoll(fds, count, &wait, NULL);
#else
    return seam_real.poll(fds, count, (grace + 999) / 1000);
#endif
}

/* ---- descriptors ---- */
static struct { int epoll; uint32_t events; void *owner; } seam_watched[SEAM_FDS];

/* The loop's own pair, which cannot fail but by EINTR, and whose bytes are not cut. */
static bool seam_is_wake(int fd)
{
    return fd >= 0 && seam.loop && (fd == seam.loop->wake_read || fd == seam.loop->wake_write);
}

/* SOCK_STREAM for pipes and stream sockets, which may give or take any part of the bytes at any time; the type of other
 * sockets; 0 for the rest. */
static int seam_type(int fd)
{
    int type = 0;
    socklen_t length = sizeof type;
    struct stat status;
    if (fd < 0 || seam_is_wake(fd)) return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0) return type;
    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) ? SOCK_STREAM : 0;
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

/* What has the kernel send something to another socket: bytes, a handshake, an end, room for more. */
static bool seam_stirs(int call)
{
    switch (call) {
    case CALL_connect: case CALL_accept: case CALL_send: case CALL_sendmsg: case CALL_recv: case CALL_recvmsg:
    case CALL_shutdown: case CALL_close: return true;
#if AIO__LINUX
    case CALL_sendfile: return true;
#endif
    default: return false;
    }
}

/* Whether this call is the one to fail; errno is then set. */
static bool seam_fault(int call, int fd)
{
    long n = SEAM_ADD(seam.calls[call], 1);
    if (seam_stirs(call)) SEAM_SET(seam.stirred, true);
    if (call != seam.fail_call || n != seam.fail_at) return false;
    bool again = seam.error == EAGAIN && fd >= 0;
    if (seam.error != EINTR && seam_is_wake(fd)) return false;
    if (again && !seam_type(fd)) return false;
    if (again) seam_rearm(fd);
    SEAM_SET(seam.fired, true);
    bool lookup = call == CALL_getaddrinfo || call == CALL_getnameinfo;
    if (!again && seam.error != EINTR) SEAM_SET(seam.touched, lookup ? AIO_ERESOLVE : seam.error);
    if (lookup && seam.error == EAI_MEMORY) SEAM_SET(seam.touched, ENOMEM);
    errno = seam.error;
    return true;
}

static size_t seam_slice(int fd, size_t size)
{
    if (!seam.slice || size < 2 || seam_type(fd) != SOCK_STREAM) return size;
    seam_rearm(fd);
    return seam.slice == SLICE_ONE ? 1 : 1 + (size_t)(seam_random() % size);
}

#include "harness_calls.h"

/* ---- a run ---- */
/* How many are open: asked in batches, one call each. */
static int seam_descriptors(void)
{
    struct pollfd batch[128];
    int open_ = 0;
    for (int first = 0; first < seam.highest + 320 /* shells keep 255 */; first += 128) {
        for (int i = 0; i < 128; i++) {
            batch[i].fd = first + i;
            batch[i].events = batch[i].revents = 0;
        }
        while (poll(batch, 128, 0) < 0) {}
        for (int i = 0; i < 128; i++) open_ += !(batch[i].revents & POLLNVAL);
    }
    return open_;
}

static void seam_install(void)
{
    if (seam_real.malloc) return;
    seam_real = aio__os;
    aio__os.malloc = seam_malloc;
    aio__os.realloc = seam_realloc;
    aio__os.free = seam_free;
    aio__os.clock = seam_clock;
    aio__os.wall = seam_wall;
    aio__os.iconv_close = seam_iconv_close;
#define SEAM_INSTALL(name, ...) aio__os.name = seam_##name;
    SEAM_CALLS(SEAM_INSTALL)
    aio__os.cond_wait = seam_cond_wait;
#ifndef AIO_NO_TLS
    aio__os.SSL_free = seam_SSL_free;
    aio__os.SSL_CTX_free = seam_SSL_CTX_free;
    aio__os.EVP_MD_CTX_free = seam_EVP_MD_CTX_free;
    aio__os.SSL_get_error = seam_SSL_get_error;
#endif
}

/* Everything untouched, nothing counted. `plain`: every object is an allocation of its own. */
static void seam_begin(bool plain, uint64_t seed)
{
    int highest = seam.highest;
    memset(&seam, 0, sizeof seam);
    seam.highest = highest;
    seam.seed = seed;
    aio__plain = plain;
    aio__out_of_memory = false;
    seam_now = INT64_C(1000000000000);
}
