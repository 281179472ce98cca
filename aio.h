/* aio.h: asyncio and aiohttp for C, in one file.
 * SPDX-License-Identifier: MIT-0 OR Unlicense
 *
 *   An event loop, coroutines, tasks, futures, gather and wait, TCP and TLS streams, and an HTTP/1.1 client and
 *   server, with nothing beyond libc and OpenSSL. Who knows asyncio knows the names.
 *
 * FIRST PROGRAM
 *
 *   #define AIO_IMPLEMENTATION                      // in exactly one source file
 *   #include "aio.h"
 *   #include <stdio.h>
 *
 *   struct greet { aio_task task; const char *name; double delay; };
 *   static AIO_CORO(greet)
 *   {
 *       AIO_BEGIN(greet);
 *       AIO_AWAIT(aio_sleep(self->delay));
 *       printf("hello %s\n", self->name);
 *       AIO_END;
 *   }
 *   int main(void) { return aio_run(AIO_CALL(greet, .name = "world", .delay = 1.0)); }
 *
 *   cc hello.c -lssl -lcrypto -lpthread             (with -DAIO_NO_TLS: cc hello.c -lpthread)
 *
 *   Add -O2 -DAIO_STATIC to a program of one source file: what it does not use is then not even compiled.
 *
 *   Include it as "aio.h", with quotes, and keep its folder off -I: <aio.h> is a POSIX header of its own. Where
 *   `make install` has put it, it is <aio/aio.h>, and `pkg-config --cflags --libs aio` says how to compile.
 *
 * COROUTINES
 *
 *   A coroutine is a struct and a function. The struct begins with `aio_task task`; its other members are the
 *   arguments, the locals that must outlive an await, and, named `result`, what it returns. The function is
 *   AIO_CORO(name) { AIO_BEGIN(name); ... AIO_END; } and finds its struct as `self`.
 *
 *   AIO_CALL(name, .argument = value, ...)   makes a coroutine object, which has not started
 *   AIO_AWAIT(expr);                         waits for any awaitable
 *   AIO_AWAIT(lhs, expr);                    and takes its result, type-checked
 *   AIO_RETURN(value);  AIO_RETURN();        through AIO_FINALLY, if there is one
 *   AIO_RAISE(code);  AIO_RAISE(code, "format", ...);
 *   AIO_TRY { ... } AIO_CATCH { ... } AIO_END_TRY;      in a handler: aio_caught(self), AIO_RERAISE();
 *     AIO_CATCH is `except Exception`: AIO_ECANCELLED, a cancellation, passes it. AIO_CATCH_ALL takes that, too;
 *     AIO_CATCH_CODE(AIO_ETIMEOUT, ECONNREFUSED) only these. Several handlers may follow each other.
 *   AIO_FINALLY;                             what follows, up to AIO_END, runs on every way out, and may await
 *   AIO_ASYNC_FOR(lhs, expr) { ... }         awaits expr again and again: to the end of a stream or a queue
 *   AIO_ASYNC_WITH(enter, exit) { ... }      awaits enter; exit runs, and may await, on every way out of the block
 *   AIO_ASYNC_WITH_AS(lhs, enter, exit) { ... }   and enter's result is kept: async with enter as lhs
 *   AIO_TIMEOUT(seconds) { ... }             AIO_ETIMEOUT for what takes longer
 *   AIO_TASK_GROUP(group) { ... }            waits for the tasks made in `group`; one that fails ends them all
 *
 *   Three rules. C locals do not survive an await, nor the way into AIO_CATCH or AIO_FINALLY: keep them in the struct
 *   (gcc and clang warn of what they see of it between AIO_BEGIN and AIO_END; C++ refuses it). One await a line; other
 *   macros of these may share it, each once. No await inside a `switch` of yours (the program stops and says so).
 *   `break` and `continue` inside AIO_ASYNC_WITH, AIO_TIMEOUT and AIO_TASK_GROUP leave that block.
 *
 * OWNERSHIP
 *
 *   One future is taken, an array is lent. What you await, or hand to a function that takes one awaitable
 *   (aio_create_task, aio_wait_for, aio_shield), is no longer yours. What you pass as an array (aio_gather, aio_wait,
 *   aio_as_completed) stays yours, so that you can read its `result` afterwards; aio_unref gives it back.
 *   aio_ref makes one more owner. NULL for an awaitable means out of memory: awaiting it raises ENOMEM.
 *
 * ERRORS
 *
 *   An aio_exception has a code (errno values for what the system says, AIO_E... for what is ours), a phase, a message
 *   and the traceback of the awaits that it passed. One that nobody catches ends aio_run, which prints it.
 *
 * OPTIONS
 *
 *   AIO_IMPLEMENTATION   the implementation is compiled here
 *   AIO_STATIC           everything is static to this source file, and what it does not use is left out
 *   AIO_API              what stands before each function, if not `extern` (with AIO_STATIC: `static`), the same in
 *                        each file: __declspec(dllexport), __attribute__((visibility("default")))
 *   AIO_NO_TLS           without OpenSSL
 *   AIO_NO_LINUX         only what POSIX has, on Linux too
 *   AIO_MALLOC(n), AIO_REALLOC(p, n), AIO_FREE(p)   thread-safe, aligned as malloc's; all three or none
 *
 *   Options of a call are members of a struct whose zero is the default, written as .name = value after the
 *   arguments. Each such call has another one, named ..._with, that takes the struct by pointer, NULL for the
 *   defaults: aio_open_connection_with(host, port, &options), where aio_connect_options options = { .tls = true };
 *   aio_session_request_with is that of aio_session_get and its like, too. In the environment:
 *   AIO_POLLER=poll|epoll, AIO_DEBUG=1.
 *
 * CONTENTS
 *
 *    1. Linkage and compilers
 *    2. Errors
 *    3. Futures
 *    4. Tasks and coroutines
 *    5. Event loop
 *    6. Combinators
 *    7. Timeouts and task groups
 *    8. Locks and queues
 *    9. Threads
 *   10. Signals
 *   11. Streams
 *   12. Transports and protocols
 *   13. Descriptors
 *   14. Datagrams
 *   15. Resolver
 *   16. Subprocesses
 *   17. URLs and headers
 *   18. Cookies
 *   19. HTTP client
 *   20. HTTP server
 *   21. Introspection
 *   22. Platform and the seam
 *   23. Memory
 *   24. Errors and tracebacks
 *   25. The loop's data
 *   26. Pollers
 *   27. Futures: states and waiters
 *   28. Timers
 *   29. Futures: owners and callbacks
 *   30. Tasks and coroutines: steps and cancellation
 *   31. Event loop: iterations and callbacks
 *   32. Combinators: how they wait
 *   33. Timeouts and task groups: scopes
 *   34. Locks: first in, first out
 *   35. Queues: getters and putters
 *   36. Threads: executor and concurrent futures
 *   37. Signals: the self-pipe
 *   38. Running a program
 *   39. Names: getaddrinfo's threads
 *   40. TLS: OpenSSL over our own BIO
 *   41. Streams: buffers and transports
 *   42. Descriptors: readers, writers, sock_ calls, pipes and files
 *   43. Datagrams: UDP endpoints
 *   44. Resolver: DNS messages and servers
 *   45. Subprocesses: pidfd and pipes
 *   46. URLs
 *   47. Headers
 *   48. Cookies: the jar
 *   49. HTTP messages
 *   50. HTTP bodies: framing, stages, reader
 *   51. Proxies: HTTP CONNECT and SOCKS
 *   52. Connecting: names and addresses
 *   53. Transports: protocols over streams
 *   54. Connections: the pool
 *   55. HTTP client: session, request, response
 *   56. HTTP server: connections and handlers
 *   57. Introspection: task dump and call graph
 *
 * LICENCE: MIT-0 or public domain, as you like. Its text, the history, and where to report a vulnerability are at the
 * end of the file.
 */
#ifndef AIO_H_INCLUDED
#define AIO_H_INCLUDED

#if defined(AIO_IMPLEMENTATION) && !defined(_GNU_SOURCE)
#if defined(_FEATURES_H) || defined(__DARWIN_C_LEVEL) || defined(_SYS_CDEFS_H_)
#error "aio.h: #include it, with AIO_IMPLEMENTATION, before any system header, or compile this file with -D_GNU_SOURCE"
#endif
#define _GNU_SOURCE 1 /* memmem, accept4, pipe2 and struct ucred are behind it */
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ============================================================================
 * 1. Linkage and compilers
 *
 * The version, how declarations are exported, and what differs between C and C++, gcc and clang.
 * ============================================================================ */

#define AIO_VERSION        "0.1.0"
#define AIO_VERSION_NUMBER 100 /* major * 10000 + minor * 100 + patch */

#ifndef AIO_API
#ifdef AIO_STATIC
#define AIO_API static __attribute__((__unused__))
#else
#define AIO_API extern
#endif
#endif

#define AIO__INLINE static inline __attribute__((__unused__)) /* what the macros expand to, where a call would cost */
#define AIO__PRINTF(string, first) __attribute__((__format__(__printf__, string, first)))
#define AIO__COLD                  __attribute__((__cold__, __noinline__)) /* rare: small, and out of the way */
#define AIO__FALLTHROUGH           __attribute__((__fallthrough__))
#ifdef __clang__
#define AIO__ARGS_BEGIN \
    _Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wmissing-field-initializers\"")
#define AIO__ARGS_END    _Pragma("clang diagnostic pop")
#else
#define AIO__ARGS_BEGIN
#define AIO__ARGS_END
#endif
/* Between AIO_BEGIN and AIO_END compilers say what a coroutine must not do, whatever the user's flags: keep C locals
 * across an await, take a result of another type, return without AIO_RETURN. */
#ifdef __clang__
#define AIO__CHECKS_BEGIN \
    _Pragma("clang diagnostic push") _Pragma("clang diagnostic warning \"-Wconditional-uninitialized\"")              \
    _Pragma("clang diagnostic warning \"-Wsometimes-uninitialized\"") AIO__CHECKS_TYPES
#elif defined(__cplusplus)
#define AIO__CHECKS_BEGIN _Pragma("GCC diagnostic push")
#else
#define AIO__CHECKS_LAST _Pragma("GCC diagnostic ignored \"-Wjump-misses-init\"") /* nothing is read after AIO_END */
#define AIO__CHECKS_BEGIN \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic warning \"-Wjump-misses-init\"") AIO__CHECKS_TYPES
#endif
#ifdef __cplusplus
#define AIO__CHECKS_TYPES
#else
#define AIO__CHECKS_TYPES                                                                                             \
    _Pragma("GCC diagnostic error \"-Wincompatible-pointer-types\"")                                                  \
    _Pragma("GCC diagnostic error \"-Wint-conversion\"") _Pragma("GCC diagnostic error \"-Wreturn-type\"")
#endif
#ifndef AIO__CHECKS_LAST
#define AIO__CHECKS_LAST
#endif
#define AIO__CHECKS_END  _Pragma("GCC diagnostic pop")
#define AIO__QUIET_BEGIN _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wshadow\"")
#define AIO__QUIET_END   _Pragma("GCC diagnostic pop")

/* AIO__OPTIONS(type, .a = 1, ...) is a `const type *` that lives as long as the call it is an argument of. */
#ifdef __cplusplus
#define AIO__OPTIONS(type, ...)                                                                                       \
    (&static_cast<const type &>([&]() -> type {                                                                       \
        _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wmissing-field-initializers\"")              \
        type aio__options = { __VA_ARGS__ };                                                                          \
        _Pragma("GCC diagnostic pop") return aio__options; }()))
#else
#define AIO__OPTIONS(type, ...) (AIO__ARGS_BEGIN __extension__ &(const type){ __VA_ARGS__ } AIO__ARGS_END)
#endif

/* After a member that initialisers may leave out: without it, C++ compilers warn of that. */
#if defined(__cplusplus) && __cplusplus >= 201402L
#define AIO__UNSET = {}
#else
#define AIO__UNSET
#endif

/* First in a function that takes options: for NULL, all of them are 0. */
#define AIO__DEFAULTS(type, options)            \
    static const type aio__defaults AIO__UNSET; \
    if (!(options)) (options) = &aio__defaults

/* clang looks for what is not initialised in functions that begin where one of these warnings is on; this one, which is
 * about C++'s references, has it look. */
#if defined(__clang__) && defined(__has_warning)
#if __has_warning("-Wuninitialized-const-reference")
#pragma clang diagnostic warning "-Wuninitialized-const-reference"
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* AIO_VERSION of the implementation that is linked in; AIO_VERSION itself is that of the header included. */
AIO_API const char *aio_version(void);

typedef struct aio_loop aio_loop;
typedef struct aio_future aio_future;
typedef struct aio_task aio_task;

/* A piece of bytes, with a NUL after it where it is said so. Whether it is borrowed or owned is said where it is
 * given. */
typedef struct aio_text {
    const char *data;
    size_t      length;
} aio_text;

/* ============================================================================
 * 2. Errors
 *
 * Codes, and the exception that carries one. errno values stand for what the system says; the list below is ours.
 * ============================================================================ */

/* X(name, asyncio's or aiohttp's name, text) */
#define AIO__ERRORS(X)                                                                                \
    X(AIO_ECANCELLED, "CancelledError", "cancelled")                                                  \
    X(AIO_ETIMEOUT, "TimeoutError", "timed out")                                                      \
    X(AIO_ESTOPITERATION, "StopAsyncIteration", "the iterator has ended")                             \
    X(AIO_EINVALIDSTATE, "InvalidStateError", "invalid state")                                        \
    X(AIO_ERUNTIME, "RuntimeError", "wrong use")                                                      \
    X(AIO_ENOLOOP, "RuntimeError", "no running event loop")                                           \
    X(AIO_ELOOPRUNNING, "RuntimeError", "this event loop is already running")                         \
    X(AIO_ELOOPCLOSED, "RuntimeError", "event loop is closed")                                        \
    X(AIO_ESTOPPED, "RuntimeError", "event loop stopped before Future completed")                     \
    X(AIO_EWRONGLOOP, "RuntimeError", "attached to a different loop")                                 \
    X(AIO_EWRONGTHREAD, "RuntimeError", "called from another thread than the loop's")                 \
    X(AIO_EGROUP, "ExceptionGroup", "several errors")                                                 \
    X(AIO_EBROKENBARRIER, "BrokenBarrierError", "the barrier is broken")                              \
    X(AIO_EQUEUEEMPTY, "QueueEmpty", "the queue is empty")                                            \
    X(AIO_EQUEUEFULL, "QueueFull", "the queue is full")                                               \
    X(AIO_EQUEUESHUTDOWN, "QueueShutDown", "the queue is shut down")                                  \
    X(AIO_EINCOMPLETE, "IncompleteReadError", "the stream ended early")                               \
    X(AIO_ELIMIT, "LimitOverrunError", "a limit was exceeded")                                        \
    X(AIO_ERESOLVE, "gaierror", "the name cannot be resolved")                                        \
    X(AIO_ETLS, "SSLError", "TLS failed")                                                             \
    X(AIO_ECERTIFICATE, "SSLCertVerificationError", "the certificate is not valid")                   \
    X(AIO_EURL, "InvalidURL", "the URL is not valid")                                                 \
    X(AIO_EHTTP, "BadHttpMessage", "the HTTP message is not valid")                                   \
    X(AIO_ESTATUS, "ClientResponseError", "the server answered with an error status")                 \
    X(AIO_EDISCONNECTED, "ServerDisconnectedError", "the server closed the connection")               \
    X(AIO_EREDIRECTS, "TooManyRedirects", "too many redirects")                                       \
    X(AIO_EPAYLOAD, "ClientPayloadError", "the body is incomplete")                                   \
    X(AIO_ECONTENT, "ContentTypeError", "the content has another type than expected")                 \
    X(AIO_EPROXY, "ProxyError", "the proxy refused, or is none")

enum aio_code {
    AIO__EFIRST = 10000, /* above any errno */
#define AIO__CODE(name, python, text) name,
    AIO__ERRORS(AIO__CODE)
#undef AIO__CODE
    AIO__ELAST
};

/* One place that an error passed on its way out. */
typedef struct aio_traceback_entry {
    const char *file, *name; /* of the coroutine; static strings */
    int         line;
} aio_traceback_entry;

/* An error. Read-only; belongs to who gave it, unless said otherwise. */
typedef struct aio_exception aio_exception;
struct aio_exception {
    int                   code;      /* errno or AIO_E... */
    const char           *phase;     /* "resolve", "connect", "TLS handshake", ...; "" if there is none */
    const char           *message;   /* names the thing: host, address, limit; one line, control bytes as \x0a */
    aio_traceback_entry  *traceback; /* innermost first */
    int                   traceback_count;
    int                   traceback_left_out; /* places that a long way out had beyond the bound */
    size_t                consumed;  /* of a read's AIO_ELIMIT: so many unread bytes can be taken without a piece of the
                                        separator; readline has dropped them. asyncio: LimitOverrunError.consumed */
    size_t                expected;  /* of AIO_EINCOMPLETE: so many bytes were asked for; 0: all up to a separator */
    size_t                partial;   /* and so many came, which are unread. asyncio: IncompleteReadError */
    aio_exception       **members;   /* of a group (AIO_EGROUP): all of its errors */
    int                   member_count;
    int                   refs;      /* private; negative: static */
};

/* The class name that Python would print for a code: "TimeoutError", "ConnectionRefusedError", "OSError". */
AIO_API const char *aio_code_name(int code);
/* What a code means, as strerror() says it. Static text for AIO_E..., strerror's for errno values. */
AIO_API const char *aio_code_text(int code);
/* Writes "name: message" and the traceback to a stdio stream (a FILE *). asyncio: traceback.print_exception. */
AIO_API void aio_exception_print(const aio_exception *exception, void *file);

/* ============================================================================
 * 3. Futures
 *
 * aio_future is the base of everything awaitable. A typed future is a struct that begins with one and has a member
 * `result`. Functions take `void *` where any such struct, or a coroutine's, may stand.
 * ============================================================================ */

/* What a coroutine's function gives: a struct, so that no plain `return` compiles. */
typedef struct AIO_RETURN_is_missing { int how; } aio_step;
enum { AIO__SUSPENDED, AIO__FINISHED, AIO__GO_TO_LINE /* on from t->line */ }; /* aio_step.how */
#ifdef __cplusplus
#define AIO__STEP(how)  aio_step { how }
#else
#define AIO__STEP(how)  ((aio_step){ how })
#endif
#define AIO_SUSPENDED   AIO__STEP(AIO__SUSPENDED)
#define AIO_FINISHED    AIO__STEP(AIO__FINISHED)
#define AIO__AGAIN      AIO__STEP(AIO__GO_TO_LINE)
typedef aio_step aio_coro_fn(aio_task *);

/* A link in one list: the loop's ready queue, or the waiters of a future. */
typedef struct aio__node aio__node;
struct aio__node { aio__node *next, *prev; };

typedef struct aio__ops aio__ops;

enum { AIO__NEW = 0xA0, AIO__PENDING, AIO__DONE, AIO__CANCELLED }; /* aio_future.state; the last two are final */

struct aio_future { /* all private: use the functions */
    uint32_t        refs;    /* owners; AIO__UNCOUNTED for a part of the loop */
    uint8_t         state;
    uint8_t         slab;    /* size class */
    uint16_t        flags;
    aio_loop       *loop;
    aio_exception  *error;
    union {
        aio__node *first;  /* a future's waiters, a ring; NULL if there are none */
        aio_task  *parent; /* a coroutine's: what awaits it */
    } waiters;
    union {
        aio_coro_fn    *coro;
        const aio__ops *ops; /* of a future that is no coroutine; NULL for a plain one */
    } run;
};

/* Called when a future is done. */
typedef void aio_done_callback(aio_future *future, void *arg);

/* AIO_FUTURE(struct answer): a new pending future of that type (a struct whose first member is an aio_future), for the
 * current loop, with one owner. NULL without memory or loop. asyncio: loop.create_future */
#define AIO_FUTURE(type) ((type *)aio__future_new(sizeof(type), __FILE__, __LINE__))
AIO_API void *aio__future_new(size_t size, const char *file, int line);
/* A plain one, without a result. */
#define aio_future_create() AIO_FUTURE(aio_future)

/* One more owner / one less. NULL is fine. aio_ref gives its argument back. */
AIO_API void *aio_ref(void *awaitable);
AIO_API void  aio_unref(void *awaitable);
/* aio_unref for each of an array of `count` pointers to awaitables; NULLs are fine. The pointers become NULL. */
AIO_API void  aio_unref_all(void *array, size_t count);

AIO_API bool aio_future_done(const void *future);
AIO_API bool aio_future_cancelled(const void *future);
/* The error of a future that is done, or NULL; marks it as seen. Borrowed. asyncio: Future.exception */
AIO_API const aio_exception *aio_future_exception(void *future);
/* Asks to cancel. False if it is done already. For a task: as aio_task_cancel. */
AIO_API bool aio_future_cancel(void *future);

/* Each gives 0, or AIO_EINVALIDSTATE when the future is done already (which changes nothing), or EINVAL. */
#define aio_future_set_result(future, value) \
    (aio__future_settable(future) ? (void)((future)->result = (value)) : (void)0, aio_future_set_done(future))
AIO_API bool aio__future_settable(const void *future);
AIO_API int  aio_future_set_done(void *future);
AIO_API int  aio_future_set_exception(void *future, int code, const char *format, ...) AIO__PRINTF(3, 4);

/* callback(future, arg) runs through call_soon once the future is done, or soon when it is already. 0 or ENOMEM. */
AIO_API int aio_future_add_done_callback(void *future, aio_done_callback *callback, void *arg);
/* Takes back every registration of this pair; gives their number. */
AIO_API int aio_future_remove_done_callback(void *future, aio_done_callback *callback, void *arg);

/* ============================================================================
 * 4. Tasks and coroutines
 *
 * The macros of the manual above. A coroutine's state is the source line where it stands; aio__await decides
 * whether it goes on at once or is suspended there.
 * ============================================================================ */

typedef struct aio__attachment aio__attachment;

struct aio_task { /* private; 104 bytes on 64-bit */
    aio_future     future;
#if UINTPTR_MAX < UINT64_MAX
    void          *unused;   /* see aio__node_is_task */
#endif
    aio__node      node;     /* in the ready queue, or among the waiters of what it awaits */
    union {
        aio_task *root;      /* a coroutine that another one awaits: the task it runs in */
        aio_task *leaf;      /* a task: its innermost coroutine */
    } link;
    aio_future    *awaiting;
    aio_exception *thrown;   /* on its way out */
    aio_exception *caught;   /* of the latest handler */
    aio__attachment    *extra;    /* name, open AIO_TIMEOUT and AIO_ASYNC_WITH blocks */
    int32_t        line;
    uint16_t       cancels;  /* cancel() less uncancel() */
    uint8_t        must_cancel, exiting; /* must_cancel: AIO__CANCEL_... */
};

/* What every loop begins with. `awaits`: how many more awaits of what is done go on at once before the turn's budget
 * is looked at. */
struct aio__head { int32_t awaits; };

/* A task that sleeps for 0 s has the loop's own future for it: counting its owners would cost each step a wait for the
 * store of the step before. */
#define AIO__COUNTED(future) ((int32_t)(future)->refs >= 0)
#define AIO__UNCOUNTED       0xC0000000u

/* A coroutine's state: one of the first four, or a line and which of the places there, so that different macros may
 * share a line. */
enum {
    AIO__START = 0, AIO__EXIT = -1, AIO__LEAVE = -2, AIO__WHO = -3,
    AIO__LINES = 0xFFFFFF,
    AIO__AT_AWAIT = 0, AIO__AT_FOR = 1 << 24, AIO__AT_TRY = 2 << 24, AIO__AT_TIMEOUT = 3 << 24, AIO__AT_WITH = 4 << 24,
    AIO__AT_WITH_EXIT = 5 << 24, AIO__AT_WITH_LEFT = 6 << 24, AIO__AT_GROUP = 7 << 24, AIO__AT_GROUP_LEFT = 8 << 24
};
#define AIO__AT(place) (AIO__AT_##place + __LINE__)
/* A label: a function has one of a name, so that compilers say its name when a macro stands twice on a line. */
#define AIO__ONCE(rule)         AIO__ONCE_(rule, __LINE__)
#define AIO__ONCE_(rule, line)  AIO__ONCE__(rule, line)
#define AIO__ONCE__(rule, line) rule##_##line: __attribute__((__unused__))
#define AIO__CASE(label) AIO__FALLTHROUGH; case label:
/* The coroutine. The constant is AIO_BEGIN's, and stands first, for the message where there is none. */
#define AIO__T ((void)AIO_BEGIN_is_missing, aio__t)
struct AIO_END_is_missing { char size[32]; };

/* ---- defining a coroutine ---- */

/* Aligned, which is a fifth of a switch. The tag is another one between AIO_BEGIN and AIO_END, where no coroutine can
 * be defined. */
#define AIO_CORO(name)                                                                                      \
    __attribute__((__aligned__(sizeof(struct AIO_END_is_missing)))) aio_step name##_coro(aio_task *aio__t)
#define AIO_BEGIN(name)                                                                                     \
    AIO__CHECKS_BEGIN                                                                                       \
    AIO__QUIET_BEGIN enum AIO_END_is_missing { aio__handler = AIO__EXIT, AIO_BEGIN_is_missing }; AIO__QUIET_END \
    typedef char struct_begins_with_aio_task[offsetof(struct name, task) ? -1 : 1] __attribute__((__unused__)); \
    struct name *const self = (struct name *)(void *)aio__t;                                                \
    const char *const aio__me = #name;                                                                      \
    switch (aio__t->line) {                                                                                 \
    case AIO__START:
#define AIO_FINALLY AIO__CASE(AIO__EXIT) aio__finally(AIO__T)
#define AIO_END     AIO__CHECKS_LAST AIO__FALLTHROUGH; case AIO__LEAVE: break; \
                    default: return aio__elsewhere(AIO__T, aio__me, __FILE__); } \
                    (void)self; return AIO_FINISHED; AIO__CHECKS_END

/* ---- inside one ---- */
#define AIO__FAILED __builtin_expect(aio__t->awaiting->error != NULL, 0)
#define AIO__SUSPEND(expr)                                                              \
    AIO__ONCE(one_await_a_line);                                                        \
    if (aio__await(AIO__T, (expr), AIO__AT(AWAIT))) return AIO_SUSPENDED;               \
    AIO__CASE(AIO__AT(AWAIT))                                              \
    if (AIO__FAILED) return aio__failed(aio__t, aio__handler)
#define AIO__RESULT(expr)          (((__typeof__(expr))(void *)aio__t->awaiting)->result)
#define AIO__PICK(_1, _2, N, ...)  N
#define AIO_AWAIT(...)             AIO__PICK(__VA_ARGS__, AIO__AWAIT_TO, AIO__AWAIT, 0)(__VA_ARGS__)
#define AIO__AWAIT(expr)           do { AIO__SUSPEND(expr); aio__release(aio__t); } while (0)
#define AIO__AWAIT_TO(lhs, expr)   do { AIO__SUSPEND(expr); (lhs) = AIO__RESULT(expr); aio__release(aio__t); } while (0)
/* Suspends; the `else` that follows is where it goes on, as it does when there was nothing to wait for. (A case label
 * would be fallen into there, which compilers warn of; an ordinary one is not.) */
#define AIO__RESUME_AT(place, rule)             AIO__RESUME_AT_(place, rule, __LINE__)
#define AIO__RESUME_AT_(place, rule, line)      AIO__RESUME_AT__(place, rule, line)
#define AIO__RESUME_AT__(place, rule, line)                                                         \
    { AIO__ONCE__(rule, line); return AIO_SUSPENDED; case AIO__AT_##place + line: goto aio__##place##_##line; } \
    else aio__##place##_##line:
#define AIO_ASYNC_FOR(lhs, expr)                                                                    \
    for (;;)                                                                                        \
        if (aio__await(AIO__T, (expr), AIO__AT(FOR))) AIO__RESUME_AT(FOR, one_AIO_ASYNC_FOR_a_line) \
        if (aio__stopped(aio__t)) break;                                                            \
        else if (AIO__FAILED) return aio__failed(aio__t, aio__handler);                             \
        else if ((void)((lhs) = AIO__RESULT(expr)), aio__release(aio__t), 0) { }                    \
        else

/* AIO_RETURN() or AIO_RETURN(value): AIO__IS_EMPTY(...) is 1 for no argument. A comma appears, among the four tries,
 * only where nothing stands between AIO__COMMA and the parentheses. */
#define AIO__COMMA(...)                                 ,
#define AIO__NINTH(a, b, c, d, e, f, g, h, n, ...)      n
#define AIO__HAS_COMMA(...)                             AIO__NINTH(__VA_ARGS__, 1, 1, 1, 1, 1, 1, 1, 0, 0)
#define AIO__IS_EMPTY(...)                                                                     \
    AIO__IS_EMPTY_(AIO__HAS_COMMA(__VA_ARGS__), AIO__HAS_COMMA(AIO__COMMA __VA_ARGS__),         \
                   AIO__HAS_COMMA(__VA_ARGS__ ()), AIO__HAS_COMMA(AIO__COMMA __VA_ARGS__ ()))
#define AIO__IS_EMPTY_(a, b, c, d)                      AIO__IS_EMPTY__(a, b, c, d)
#define AIO__IS_EMPTY__(a, b, c, d)                     AIO__HAS_COMMA(AIO__EMPTY_##a##b##c##d)
#define AIO__EMPTY_0001                                 ,
#define AIO__RETURN_0(...)                              self->result = __VA_ARGS__
#define AIO__RETURN_1(...)                              (void)0
#define AIO__RETURN_(empty)                             AIO__RETURN__(empty)
#define AIO__RETURN__(empty)                            AIO__RETURN_##empty
#define AIO_RETURN(...) \
    do { AIO__RETURN_(AIO__IS_EMPTY(__VA_ARGS__))(__VA_ARGS__); return aio__unwind(AIO__T, AIO__EXIT); } while (0)

#define AIO_RAISE(...)    return aio__raise(AIO__T, aio__handler, __LINE__, AIO__RAISED(__VA_ARGS__))
#define AIO__RAISED(...)  AIO__RAISED_(AIO__HAS_COMMA(__VA_ARGS__), __VA_ARGS__)
#define AIO__RAISED_(more, ...)  AIO__RAISED__(more, __VA_ARGS__)
#define AIO__RAISED__(more, ...) AIO__RAISED_##more(__VA_ARGS__)
#define AIO__RAISED_0(code)      code, NULL
#define AIO__RAISED_1(code, ...) code, __VA_ARGS__
/* Raises a future's error, or any exception, as it is: one more place is added to its traceback. */
#define AIO_RAISE_EXCEPTION(exception) \
    return aio__throw(AIO__T, aio__handler, __LINE__, aio_exception_ref(exception))
/* In a handler, or after it: raises what was caught again, traceback and all. */
#define AIO_RERAISE() return aio__reraise(AIO__T, aio__handler)

/* The enum constant makes the handler lexical: the innermost block that declares it names where an error goes. What no
 * handler takes goes on at AIO_END_TRY, where the constant is the outer one again. */
#define AIO_TRY       (void)AIO_BEGIN_is_missing; AIO__ONCE(one_AIO_TRY_a_line); \
                      AIO__CASE(AIO__AT(TRY)) if (!aio__t->thrown) { \
                      AIO__QUIET_BEGIN enum { aio__handler = AIO__AT(TRY) }; AIO__QUIET_END
#define AIO_CATCH            } else if (aio__catch(aio__t)) {
#define AIO_CATCH_ALL        } else if (aio__catch_all(aio__t)) {
#define AIO_CATCH_CODE(...)  } else if (aio__catch_code(aio__t, __VA_ARGS__, 0)) {
#define AIO_END_TRY          } else { return aio__unwind(aio__t, aio__handler); }

/* Blocks with an exit. The block's record (in task.extra) knows its own exit label and the handler outside of it, so
 * an error whose handler lies outside, and AIO_RETURN, find the exit first (aio__unwind). The inner `while` catches
 * the body's break and continue; the outer `for` then runs the exit. */
#define AIO__BLOCK(place, rule, close)                                                              \
    for (;;)                                                                                        \
        if (aio__block_left(aio__t)) {                                                              \
            AIO__ONCE(rule);                                                                        \
            AIO__CASE(AIO__AT(place))                                                  \
            close;                                                                                  \
            if (aio__block_onward(aio__t, aio__handler)) return AIO__AGAIN;                         \
            break;                                                                                  \
        } else while (aio__block_entered(aio__t))
#define AIO_TIMEOUT(seconds)                                                                        \
    if (aio__timeout_open(AIO__T, AIO__AT(TIMEOUT), (seconds), aio__handler)) return AIO__AGAIN;    \
    else AIO__BLOCK(TIMEOUT, one_AIO_TIMEOUT_a_line, aio__timeout_close(aio__t))
#define AIO_TIMEOUT_AT(when)                                                                        \
    if (aio__timeout_at_open(AIO__T, AIO__AT(TIMEOUT), (when), aio__handler)) return AIO__AGAIN;    \
    else AIO__BLOCK(TIMEOUT, one_AIO_TIMEOUT_a_line, aio__timeout_close(aio__t))
/* `enter` is awaited. `leave` is an awaitable, which is awaited, or an int: 0 or an error code, which is raised. */
#define AIO_ASYNC_WITH(enter, leave) AIO__WITH((void)0, enter, leave)
/* The same, and enter's result is kept. async with enter as lhs */
#define AIO_ASYNC_WITH_AS(lhs, enter, leave) \
    AIO__WITH(AIO__FAILED ? (void)0 : (void)((lhs) = AIO__RESULT(enter)), enter, leave)
#define AIO__WITH(keep, enter, leave)                                                               \
    if (aio__with_open(AIO__T, AIO__AT(WITH_EXIT), aio__handler)) return AIO__AGAIN;                \
    else if (aio__await(aio__t, (enter), AIO__AT(WITH)))                                            \
        AIO__RESUME_AT(WITH, one_AIO_ASYNC_WITH_a_line)                                             \
    if (keep, aio__with_failed(aio__t, aio__handler)) return AIO__AGAIN;                            \
    else AIO__BLOCK(WITH_EXIT, one_AIO_ASYNC_WITH_ends_here,                                        \
        if (aio__with_close(aio__t, (intptr_t)(leave), __builtin_classify_type(leave) == 5,         \
                            AIO__AT(WITH_LEFT))) return AIO_SUSPENDED;                              \
        AIO__CASE(AIO__AT(WITH_LEFT)) aio__with_closed(aio__t))

/* The exception of this coroutine's latest handler; never NULL after one. Borrowed. */
#define aio_caught(self) aio__caught(&(self)->task)

/* ---- calling one ---- */
#define AIO_CALL(...) AIO__CALL(__VA_ARGS__, )
#ifdef __cplusplus
#define AIO__CALL(name, ...)                                                                                    \
    ([&]() -> struct name * {                                                                                   \
        _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wmissing-field-initializers\"")        \
        struct name aio__arguments = { .task = {}, __VA_ARGS__ };                                               \
        _Pragma("GCC diagnostic pop")                                                                           \
        return (struct name *)aio__make(sizeof(struct name), &aio__arguments, name##_coro, __FILE__, __LINE__);  \
    }())
#else
#define AIO__CALL(name, ...)                                                                                    \
    ((struct name *)aio__make(sizeof(struct name),                                                              \
        AIO__ARGS_BEGIN &(struct name){ .task = { .line = 0 }, __VA_ARGS__ } AIO__ARGS_END,                     \
        name##_coro, __FILE__, __LINE__))
#endif

typedef struct aio_task_options {
    const char *name;        /* copied */
    bool        eager_start; /* runs at once, up to its first suspension. asyncio: eager_start=True */
} aio_task_options;

/* aio_create_task(coroutine, .name = "...", .eager_start = true): schedules it and gives it back, of its own type, with
 * one owner (you) beside the loop, which keeps a running task alive whatever its owners do. Takes the coroutine.
 * NULL without memory, without a running loop, or for NULL. asyncio: create_task */
#define aio_create_task(...) AIO__CREATE_TASK(AIO__HAS_COMMA(__VA_ARGS__), __VA_ARGS__)
#define AIO__CREATE_TASK(more, ...)   AIO__CREATE_TASK_(more, __VA_ARGS__)
#define AIO__CREATE_TASK_(more, ...)  AIO__CREATE_TASK_##more(__VA_ARGS__)
#define AIO__CREATE_TASK_0(coroutine) aio_create_task_with(coroutine, NULL)
#define AIO__CREATE_TASK_1(coroutine, ...) \
    aio_create_task_with(coroutine, AIO__OPTIONS(aio_task_options, __VA_ARGS__))
#define aio_create_task_with(coroutine, options) ((__typeof__(coroutine))aio__create_task((coroutine), (options)))
AIO_API void *aio__create_task(void *coroutine, const aio_task_options *options);
/* aio_ensure_future(awaitable): the awaitable (taken), of the same type. A coroutine becomes a task; one that others
 * wait for, too, a future that can be cancelled alone; any other stays as it is. asyncio: ensure_future */
#define aio_ensure_future(awaitable) ((__typeof__(awaitable))aio__ensure_future((awaitable), sizeof *(awaitable)))
AIO_API void *aio__ensure_future(void *awaitable, size_t size);

/* The running task / all tasks of the running loop that are not done, each with one more owner (you): `tasks` is filled
 * up to `capacity`; gives how many there are. asyncio: current_task, all_tasks */
AIO_API aio_task *aio_current_task(void);
AIO_API size_t    aio_all_tasks(aio_task **tasks, size_t capacity);

/* Asks a task to cancel: AIO_ECANCELLED is raised where it awaits. False if it is done. The message may be NULL; it is
 * copied. asyncio: Task.cancel(msg) */
AIO_API bool        aio_task_cancel(void *task);
AIO_API bool        aio_task_cancel_message(void *task, const char *message);
/* cancel() requests not taken back yet / takes one back, gives what is left. asyncio: Task.cancelling, Task.uncancel */
AIO_API int         aio_task_cancelling(const void *task);
AIO_API int         aio_task_uncancel(void *task);
/* The name; "Task" if none was given. / Copies one. 0 or ENOMEM. */
AIO_API const char *aio_task_name(const void *task);
AIO_API int         aio_task_set_name(void *task, const char *name);

/* Wakes after `delay` seconds; at the next iteration for 0 or less. EINVAL if NaN or infinite. Outside of a running
 * loop, it is made for the one that is set, as a future is. asyncio: sleep */
AIO_API aio_future *aio_sleep(double delay);

/* Private: what the macros call. */
AIO_API void *aio__new(size_t size, aio_coro_fn *coro, const char *file, int line);
AIO_API int   aio__await_pending(aio_task *t);
AIO_API void  aio__give_back(aio_future *future);
AIO_API int   aio__stopped(aio_task *t);
AIO_API void  aio__finally(aio_task *t);
AIO_API AIO__COLD aio_step aio__failed(aio_task *t, int handler);
AIO_API aio_step aio__unwind(aio_task *t, int where);
AIO_API AIO__COLD aio_step aio__elsewhere(const aio_task *t, const char *name, const char *file);
AIO__PRINTF(5, 6)
AIO_API AIO__COLD aio_step aio__raise(aio_task *t, int handler, int line, int code, const char *format, ...);
AIO_API AIO__COLD aio_step aio__throw(aio_task *t, int handler, int line, aio_exception *exception);
AIO_API AIO__COLD aio_step aio__reraise(aio_task *t, int handler);
AIO_API int   aio__catch(aio_task *t);
AIO_API int   aio__catch_all(aio_task *t);
AIO_API int   aio__catch_code(aio_task *t, int code, ...);
AIO_API const aio_exception *aio__caught(const aio_task *t);
AIO_API int   aio__block_left(aio_task *t);
AIO_API int   aio__block_entered(aio_task *t);
AIO_API int   aio__block_onward(aio_task *t, int handler);
AIO_API int   aio__timeout_open(aio_task *t, int line, double seconds, int handler);
AIO_API int   aio__timeout_at_open(aio_task *t, int line, double when, int handler);
AIO_API void  aio__timeout_close(aio_task *t);
AIO_API int   aio__with_open(aio_task *t, int line, int handler);
AIO_API int   aio__with_failed(aio_task *t, int handler);
AIO_API int   aio__with_close(aio_task *t, intptr_t leave, bool is_awaitable, int line);
AIO_API void  aio__with_closed(aio_task *t);

/* A new coroutine. Only the arguments are copied; the base in front of them is made in place. Inline, as then their
 * size is known, and the compiler drops the base of the literal that they come in. */
__attribute__((__always_inline__)) AIO__INLINE
void *aio__make(size_t size, const void *arguments, aio_coro_fn *coro, const char *file, int line)
{
    aio_task *t = (aio_task *)aio__new(size, coro, file, line);
    if (t) __builtin_memcpy((char *)t + sizeof *t, (const char *)arguments + sizeof *t, size - sizeof *t);
    /* gcc 12 makes one 128-bit move of two members and then forgets the pointer in it: what `.sum = &sum` points to
     * would count as unchanged after the run. No instruction comes of this but those that make the literal's base. */
    if (size > sizeof *t) __asm__ __volatile__("" : : "r"(arguments) : "memory");
    return t;
}

/* 0: the coroutine goes on at once; 1: it is suspended at `line`. Takes the awaitable. */
AIO__INLINE int aio__await(aio_task *t, void *awaitable, int line)
{
    aio_future *f = (aio_future *)awaitable;
    t->line = line;
    t->awaiting = f;
    if (f && f->state == AIO__DONE && f->refs && --((struct aio__head *)(void *)t->future.loop)->awaits > 0) return 0;
    return aio__await_pending(t);
}

/* What was awaited is done with. t->awaiting stays as it is until the next await: nobody looks at it while t runs. */
AIO__INLINE void aio__release(aio_task *t)
{
    if (AIO__COUNTED(t->awaiting)) aio__give_back(t->awaiting);
}

/* ============================================================================
 * 5. Event loop
 *
 * One loop a thread. Everything here is for the loop's own thread, but aio_loop_call_soon_threadsafe.
 * ============================================================================ */

/* What a task may do without waiting before others have their turn: what has data, an item or a lock for it at once
 * goes on at once, until one of these is reached; then it goes on after all that is ready by then. */
typedef struct aio_turn_limits {
    size_t   bytes;    /* read; 256 KiB by default */
    unsigned messages; /* requests, datagrams, connections, lines, awaits of what is done: 128 */
    double   seconds;  /* 0.0005 */
} aio_turn_limits;

/* Runs the coroutine (taken) in a new loop, as asyncio.run does: cancels the tasks that are left, waits for them, ends
 * the executor, closes. The first SIGINT cancels the coroutine, the second ends the program; SIGINT is left alone if it
 * has another than its default action. Gives 0; or 1 after an error, which is printed with its traceback; or 130 when
 * SIGINT has ended it. */
#define aio_run(...) AIO__RUN(__VA_ARGS__, )
#define AIO__RUN(coroutine, ...) aio_run_with((coroutine), AIO__OPTIONS(aio_run_options, __VA_ARGS__))
typedef struct aio_run_options {
    bool debug;       /* debug mode; also by AIO_DEBUG=1 in the environment */
    bool keep_sigint; /* SIGINT is left alone in any case */
    aio_turn_limits turn;
} aio_run_options;
AIO_API int aio_run_with(void *coroutine, const aio_run_options *options);

/* Several runs in one loop: aio_runner_open(.debug = true), with the options of aio_run. NULL, with errno: ENOMEM,
 * those of aio_new_event_loop, AIO_ELOOPRUNNING inside a running loop. asyncio: Runner */
typedef struct aio_runner aio_runner;
#define aio_runner_open(...) aio_runner_open_with(AIO__OPTIONS(aio_run_options, __VA_ARGS__))
AIO_API aio_runner *aio_runner_open_with(const aio_run_options *options);
AIO_API aio_loop   *aio_runner_loop(aio_runner *runner);
/* Runs the coroutine (taken); its tasks go on in the next run. As aio_run gives 0, 1 or 130, but prints nothing: the
 * error is put into `error` if that is not NULL (a new owner: aio_exception_unref). asyncio: Runner.run */
AIO_API int         aio_runner_run(aio_runner *runner, void *coroutine, aio_exception **error);
/* Ends as aio_run does. NULL is fine. asyncio: Runner.close */
AIO_API void        aio_runner_close(aio_runner *runner);

/* A policy makes loops: its poller is what it is about. asyncio: policies */
typedef struct aio_policy {
    const char *name; /* "epoll", "poll" */
} aio_policy;
/* The policy of that name, or NULL if there is none here (epoll exists on Linux only). */
AIO_API const aio_policy *aio_policy_find(const char *name);
/* For this thread; NULL: the default (AIO_POLLER in the environment, else the best one). asyncio:
 * set_event_loop_policy */
AIO_API void              aio_set_event_loop_policy(const aio_policy *policy);
AIO_API const aio_policy *aio_get_event_loop_policy(void);

/* A new loop of the thread's policy; NULL, with errno set, without memory or descriptors. */
AIO_API aio_loop *aio_new_event_loop(void);
/* The running loop of this thread, or NULL. */
AIO_API aio_loop *aio_get_running_loop(void);
/* The running one, else the one set, or NULL. */
AIO_API aio_loop *aio_get_event_loop(void);
AIO_API void      aio_set_event_loop(aio_loop *loop);

/* Runs until the future or coroutine (taken) is done. 0, or an error code: the future's own (which is reported to
 * `error` if that is not NULL, as a new owner: aio_exception_unref), AIO_ESTOPPED, AIO_ELOOPRUNNING,
 * AIO_ELOOPCLOSED. */
AIO_API int    aio_loop_run_until_complete(aio_loop *loop, void *awaitable, aio_exception **error);
/* Runs until aio_loop_stop. 0 or an error code. */
AIO_API int    aio_loop_run_forever(aio_loop *loop);
/* The current iteration is finished, then the loop returns; before a run: it runs one iteration. */
AIO_API void   aio_loop_stop(aio_loop *loop);
/* Idempotent. 0, or AIO_ELOOPRUNNING. */
AIO_API int    aio_loop_close(aio_loop *loop);
/* Closes it and gives its memory back, with every future of it. NULL is fine. */
AIO_API void   aio_loop_free(aio_loop *loop);
AIO_API bool   aio_loop_is_running(const aio_loop *loop);
AIO_API bool   aio_loop_is_closed(const aio_loop *loop);
/* Seconds of the loop's monotonic clock. */
AIO_API double aio_loop_time(const aio_loop *loop);
/* The same of the running loop; as they share one clock, it is right without one, too. */
AIO_API double aio_time(void);
/* "epoll", "poll". */
AIO_API const char *aio_loop_poller(const aio_loop *loop);

typedef void aio_callback(void *arg);
/* A callback that is to run. A value, safe to keep: cancelling what has run, or what never was, does nothing. */
typedef struct aio_handle {
    aio_loop *loop;
    uint32_t  index, generation; /* generation 0: none, the call failed (errno says why) */
} aio_handle;
/* callback(arg) in the next iteration, first come first served. On an error: generation 0 and errno: EINVAL, ENOMEM,
 * AIO_ELOOPCLOSED, AIO_EWRONGTHREAD. */
AIO_API aio_handle aio_loop_call_soon(aio_loop *loop, aio_callback *callback, void *arg);
/* ... `delay` seconds from now / at that time of aio_loop_time. In the order of their times, those that have passed,
 * too; equal times in the order made. */
AIO_API aio_handle aio_loop_call_later(aio_loop *loop, double delay, aio_callback *callback, void *arg);
AIO_API aio_handle aio_loop_call_at(aio_loop *loop, double when, aio_callback *callback, void *arg);
/* From any thread; wakes the loop. 0, ENOMEM, EINVAL or AIO_ELOOPCLOSED. */
AIO_API int        aio_loop_call_soon_threadsafe(aio_loop *loop, aio_callback *callback, void *arg);
/* True if it was still to run. Idempotent. */
AIO_API bool       aio_handle_cancel(aio_handle handle);
/* True while it is still to run. */
AIO_API bool       aio_handle_pending(aio_handle handle);

/* What the loop has to say of errors that have nowhere else to go. exception may be NULL. */
typedef void aio_exception_handler(aio_loop *loop, const char *message, const aio_exception *exception, void *arg);
/* NULL: the default, which prints to stderr. */
AIO_API void aio_loop_set_exception_handler(aio_loop *loop, aio_exception_handler *handler, void *arg);
AIO_API void aio_loop_call_exception_handler(aio_loop *loop, const char *message, const aio_exception *exception);

/* Debug mode reports what was made where and never awaited, retrieved or released. */
AIO_API void aio_loop_set_debug(aio_loop *loop, bool debug);
AIO_API bool aio_loop_get_debug(const aio_loop *loop);
/* Steps of at least this many seconds are reported, in every mode: 0.1 by default; 0 reports none. EINVAL for NaN or
 * negative. asyncio: loop.slow_callback_duration */
AIO_API int  aio_loop_set_slow_callback_duration(aio_loop *loop, double seconds);
/* aio_loop_set_turn_limits(loop, .messages = 1000): what is not named gets its default. 0; EINVAL for NaN or negative
 * seconds. */
#define aio_loop_set_turn_limits(...) AIO__SET_TURN(__VA_ARGS__, )
#define AIO__SET_TURN(loop, ...) aio_loop_set_turn_limits_with((loop), AIO__OPTIONS(aio_turn_limits, __VA_ARGS__))
AIO_API int  aio_loop_set_turn_limits_with(aio_loop *loop, const aio_turn_limits *limits);

/* One more owner of an exception / one less. NULL is fine. */
AIO_API aio_exception *aio_exception_ref(const aio_exception *exception);
AIO_API void           aio_exception_unref(const aio_exception *exception);

/* ============================================================================
 * 6. Combinators
 *
 * gather, wait, wait_for, as_completed, shield.
 * ============================================================================ */

/* For a `.timeout`, or any delay: not at all. In an option 0, the default, is none: it waits for ever. */
#define AIO_NOW (-1.0)

/* The arrays of this room are lent: pointers to any awaitables, `count` of them. Coroutines in one are scheduled as
 * tasks, in order; every entry stays the caller's, who reads its `result` and gives it back (aio_unref_all). An entry
 * that stands twice is one child; a NULL is a child whose error is ENOMEM. EINVAL: NULL for the array. AIO_EWRONGLOOP:
 * an entry of another loop. AIO_ERUNTIME: a coroutine that is being awaited already. AIO_ENOLOOP: no loop. */

typedef struct aio_gather_options {
    bool return_exceptions; /* waits for all and raises nothing: ask aio_future_exception of each entry */
} aio_gather_options;

/* aio_gather(array, count, .return_exceptions = true): done when all children are, at once for none of them. The first
 * error, a child's own cancellation included, is raised while its siblings run on, whose errors are then nobody's.
 * Cancelling it cancels every pending child; it ends cancelled once they have ended. asyncio: gather */
#define aio_gather(...)                    AIO__GATHER(__VA_ARGS__, )
#define AIO__GATHER(array, count, ...) \
    aio_gather_with((array), (count), AIO__OPTIONS(aio_gather_options, __VA_ARGS__))
AIO_API aio_future *aio_gather_with(void *array, size_t count, const aio_gather_options *options);

typedef enum { AIO_ALL_COMPLETED, AIO_FIRST_COMPLETED, AIO_FIRST_EXCEPTION } aio_return_when;

typedef struct aio_wait_options {
    double          timeout;     /* seconds; 0: none; AIO_NOW, or any negative: what is done at the next iteration */
    aio_return_when return_when; /* AIO_FIRST_EXCEPTION: an error that is no cancellation, or all are done */
} aio_wait_options;
typedef struct aio_wait_future {
    aio_future future;
    size_t     result; /* how many entries are done */
} aio_wait_future;

/* aio_wait(array, count, .timeout = 1.5, .return_when = AIO_FIRST_COMPLETED): its result is how many entries are done;
 * aio_future_done(array[i]) tells which, or aio_wait_partition. The children's errors are not raised; a timeout raises
 * nothing and cancels nothing; neither does cancelling the wait cancel them. EINVAL also for no entries, and for a
 * timeout that is no finite number. asyncio: wait */
#define aio_wait(...)                      AIO__WAIT(__VA_ARGS__, )
#define AIO__WAIT(array, count, ...)       aio_wait_with((array), (count), AIO__OPTIONS(aio_wait_options, __VA_ARGS__))
AIO_API aio_wait_future *aio_wait_with(void *array, size_t count, const aio_wait_options *options);
/* Moves the entries that are done (or NULL) to the front, in their order; gives their number. What follows them is
 * pending. asyncio: done, pending = await wait(...) */
AIO_API size_t aio_wait_partition(void *array, size_t count);

/* aio_wait_for(awaitable, seconds): the awaitable (taken), of the same type, with the same result or error; after so
 * many seconds it is cancelled and waited for; what it then still gives or raises counts, else AIO_ETIMEOUT is raised.
 * 0 or less: one that is done gives its result, any other is cancelled at once, a coroutine before its first step. A
 * coroutine runs in the task that awaits it. Of what the pointer leads to, only `result` is to be used. EINVAL for
 * seconds that are no finite number. asyncio: wait_for */
#define aio_wait_for(awaitable, seconds) \
    ((__typeof__(awaitable))aio__wait_for((awaitable), sizeof *(awaitable), (seconds)))
AIO_API void *aio__wait_for(void *awaitable, size_t size, double seconds);

/* aio_shield(awaitable): the awaitable (taken; a coroutine becomes a task), of the same type, with the same result or
 * error. Cancelling the shield, or what awaits it, leaves the inner one running, whose error, if nobody else retrieves
 * it, goes to the loop's exception handler. When the inner one is cancelled, so is the shield. asyncio: shield */
#define aio_shield(awaitable) ((__typeof__(awaitable))aio__shield((awaitable), sizeof *(awaitable)))
AIO_API void *aio__shield(void *awaitable, size_t size);

/* A pointer that converts to any pointer without a cast, in C++ too. */
#ifdef __cplusplus
}
struct aio_any {
    void *pointer;
    template <class T> operator T *() const { return static_cast<T *>(pointer); }
};
extern "C" {
#else
typedef void *aio_any;
#endif

typedef struct aio_as_completed_options {
    double timeout; /* seconds from now; 0: none; AIO_NOW, or any negative: only what is done already */
} aio_as_completed_options;
typedef struct aio_completions aio_completions;
typedef struct aio_completions_future {
    aio_future future;
    aio_any    result; /* an entry of the array, done; borrowed */
} aio_completions_future;

/* aio_as_completed(array, count, .timeout = 5.0): an iterator over the entries in the order in which they end, each
 * once however often it stands there. Yours: aio_unref it. The entries stay valid as long as it lives. After the
 * timeout every step that is left raises AIO_ETIMEOUT; the tasks are not cancelled. A NULL entry is a step that raises
 * ENOMEM. NULL, with errno, without memory or for wrong arguments (see above). asyncio: as_completed
 *
 *   self->all = aio_as_completed(self->page, 3);
 *   AIO_ASYNC_FOR(self->done, aio_as_completed_next(self->all)) printf("%zu\n", self->done->result); */
#define aio_as_completed(...) AIO__AS_COMPLETED(__VA_ARGS__, )
#define AIO__AS_COMPLETED(array, count, ...) \
    aio_as_completed_with((array), (count), AIO__OPTIONS(aio_as_completed_options, __VA_ARGS__))
AIO_API aio_completions *aio_as_completed_with(void *array, size_t count, const aio_as_completed_options *options);
/* The next one that is done; AIO_ESTOPITERATION after the last. Cancelling it loses no entry. */
AIO_API aio_completions_future *aio_as_completed_next(aio_completions *completions);

/* ============================================================================
 * 7. Timeouts and task groups
 *
 * AIO_TIMEOUT is above; here is what reschedules it, and the task group.
 * ============================================================================ */

/* AIO_TIMEOUT(seconds) { ... } (section 4) cancels its task after so many seconds, counted from its beginning; at 0 or
 * less at the first await that suspends. When that cancel, and no other, leads out of the block, it becomes
 * AIO_ETIMEOUT; a block that ends all the same, or with another error, has not timed out. Blocks nest. EINVAL is
 * raised for NaN and infinity. AIO_TIMEOUT_AT(when): at that time of aio_loop_time. asyncio: timeout, timeout_at */

/* Counts the innermost AIO_TIMEOUT around this line, in this coroutine, anew: so many seconds from now. 0, EINVAL,
 * ENOMEM, or AIO_EINVALIDSTATE: it has expired already, or there is none. asyncio: Timeout.reschedule */
#define aio_timeout_reschedule(self, seconds) aio__timeout_reschedule(&(self)->task, (seconds))
AIO_API int aio__timeout_reschedule(aio_task *t, double seconds);
/* Whether it has expired. asyncio: Timeout.expired */
#define aio_timeout_expired(self) aio__timeout_expired(&(self)->task)
AIO_API bool aio__timeout_expired(const aio_task *t);

/* AIO_TASK_GROUP(self->group) { ... }: self->group, an aio_task_group *, is a new group; tasks are made in it; at its
 * end the block waits for all of them. The first that fails cancels the others, and once the body; an error of the body
 * cancels them, too. In the end all of these errors are raised together: AIO_EGROUP, with members. A cancel from
 * outside cancels the tasks and is raised after they have ended; if one has failed, that error is, and the cancel at
 * the next await. Afterwards self->group is NULL. asyncio: TaskGroup */
typedef struct aio_task_group aio_task_group;
#define AIO_TASK_GROUP(group)                                                                                       \
    if (!((group) = aio__group_open(AIO__T, AIO__AT(GROUP), aio__handler))) return AIO__AGAIN;                      \
    else AIO__BLOCK(GROUP, one_AIO_TASK_GROUP_a_line,                                                               \
        if (aio__await(aio__t, aio__group_join(aio__t), AIO__AT(GROUP_LEFT))) return AIO_SUSPENDED;                 \
        AIO__CASE(AIO__AT(GROUP_LEFT)) aio__group_closed(aio__t); (group) = NULL)
/* aio_task_group_create_task(group, coroutine, .name = "..."): takes the coroutine; gives the task, of its own type,
 * borrowed: it is freed when it is done, unless you aio_ref it at once. The tasks of a group may make more. NULL, with
 * errno, and the coroutine released: ENOMEM; EINVAL: no group; AIO_ERUNTIME: the group is ending because of an error or
 * a cancel, or has ended. asyncio: TaskGroup.create_task */
#define aio_task_group_create_task(...) AIO__GROUP_TASK(__VA_ARGS__, )
#define AIO__GROUP_TASK(group, coroutine, ...) \
    aio_task_group_create_task_with(group, coroutine, AIO__OPTIONS(aio_task_options, __VA_ARGS__))
#define aio_task_group_create_task_with(group, coroutine, options) \
    ((__typeof__(coroutine))aio__group_create_task((group), (coroutine), (options)))
AIO_API void *aio__group_create_task(aio_task_group *group, void *coroutine, const aio_task_options *options);
AIO_API aio_task_group *aio__group_open(aio_task *t, int line, int handler);
AIO_API void *aio__group_join(aio_task *t);
AIO_API void  aio__group_closed(aio_task *t);

/* ============================================================================
 * 8. Locks and queues
 *
 * Lock, Semaphore, BoundedSemaphore, Event, Condition, Barrier; Queue, PriorityQueue, LifoQueue.
 *
 * A lock, event, condition, semaphore or barrier is a struct of yours: a static one, a member of a coroutine or of any
 * object. Zero is ready to use (semaphores and barriers need their number). It owns nothing while nobody waits, so that
 * there is nothing to free; it must not move, or go, while somebody does, unless aio_..._destroy has given everyone who
 * waits AIO_ERUNTIME. It belongs to the loop of those who wait. An operation that needs not wait is done by the call,
 * without an allocation; one that must wait takes its place in the queue when it is awaited.
 *
 * The functions that give an int give 0 or an error code, so that they serve as the exit of AIO_ASYNC_WITH: EINVAL for
 * NULL, AIO_EWRONGTHREAD, or what is named. Awaitables fail with EINVAL, AIO_ENOLOOP, AIO_EWRONGLOOP or ENOMEM.
 * ============================================================================ */

/* Private: who waits, first come first served. */
typedef struct aio__loop_link aio__loop_link;
struct aio__loop_link { /* among those of the loop */
    aio__node node;
    void    (*forget)(aio__loop_link *);
};
typedef struct aio__wait_queue {
    aio__node *first, *next; /* a ring of places; `next`: the first that was not called yet */
    size_t     called;       /* who is to go on but has not yet */
    aio_loop  *loop;         /* of those who wait; NULL: nobody does */
    aio__loop_link   tie;
} aio__wait_queue;
#define AIO__WAIT_QUEUE { NULL, NULL, 0, NULL, { { NULL, NULL }, NULL } }
typedef struct aio__wait_node { /* one who waits */
    aio__node  node;
    aio__wait_queue *queue;   /* NULL: in none, or in one that was destroyed */
    aio_task  *task;
    bool       called;
    int        code;   /* of an aio__waiter: what its latest step gave */
} aio__wait_node;
typedef struct __attribute__((__aligned__(16))) aio__waiter { /* a coroutine; a result or an item may follow */
    aio_task    task;
    const void *use;   /* aio__waiting: what it waits for */
    void       *object;
    aio__wait_node  wait;
} aio__waiter;

/* asyncio: Event */
typedef struct aio_event { /* private */
    struct aio__event_future *waiting;
    bool                      set;
} aio_event;
/* Waits until it is set. All who wait share one future: a waiter costs nothing beyond its task. asyncio: Event.wait */
AIO_API aio_future *aio_event_wait(aio_event *event);
/* Wakes all who wait, even if it is cleared at once. asyncio: Event.set */
AIO_API int         aio_event_set(aio_event *event);
AIO_API void        aio_event_clear(aio_event *event);
AIO_API bool        aio_event_is_set(const aio_event *event);
AIO_API int         aio_event_destroy(aio_event *event);

/* asyncio: Lock */
typedef struct aio_lock { /* private */
    aio__wait_queue queue;
    bool      locked;
} aio_lock;
/* AIO_ASYNC_WITH(aio_lock_acquire(&lock), aio_lock_release(&lock)) { ... }. Fair: nobody overtakes who waits. A waiter
 * that is cancelled hands on what it was given. asyncio: Lock.acquire */
AIO_API aio_future *aio_lock_acquire(aio_lock *lock);
/* AIO_ERUNTIME if it is not locked. asyncio: Lock.release */
AIO_API int         aio_lock_release(aio_lock *lock);
AIO_API bool        aio_lock_locked(const aio_lock *lock);
AIO_API int         aio_lock_destroy(aio_lock *lock);

/* asyncio: Semaphore, BoundedSemaphore. aio_semaphore s = AIO_SEMAPHORE(3); zero is one of the value 0. */
typedef struct aio_semaphore { /* private */
    aio__wait_queue queue;
    int       value, bound;
    bool      bounded;
} aio_semaphore;
#define AIO_SEMAPHORE(initial)         { AIO__WAIT_QUEUE, (initial), 0, false }
#define AIO_BOUNDED_SEMAPHORE(initial) { AIO__WAIT_QUEUE, (initial), (initial), true }
/* What the macros do, for one that exists already and that nobody waits for. EINVAL for a negative value. */
AIO_API int         aio_semaphore_init(aio_semaphore *semaphore, int value);
AIO_API int         aio_semaphore_init_bounded(aio_semaphore *semaphore, int value);
/* Takes one, or waits for one in turn. asyncio: Semaphore.acquire */
AIO_API aio_future *aio_semaphore_acquire(aio_semaphore *semaphore);
/* EINVAL if a bounded one would exceed its initial value; EOVERFLOW at INT_MAX. asyncio: Semaphore.release */
AIO_API int         aio_semaphore_release(aio_semaphore *semaphore);
/* True if acquiring would wait. asyncio: Semaphore.locked */
AIO_API bool        aio_semaphore_locked(const aio_semaphore *semaphore);
AIO_API int         aio_semaphore_destroy(aio_semaphore *semaphore);

/* asyncio: Condition. Zero has a lock of its own; AIO_CONDITION(&lock) uses one of yours. */
typedef struct aio_condition { /* private */
    aio__wait_queue queue;
    aio_lock  own, *lock;
} aio_condition;
#define AIO_CONDITION(shared) { AIO__WAIT_QUEUE, { AIO__WAIT_QUEUE, false }, (shared) }
/* AIO_ASYNC_WITH(aio_condition_acquire(&c), aio_condition_release(&c)) { ... } */
AIO_API aio_future *aio_condition_acquire(aio_condition *condition);
AIO_API int         aio_condition_release(aio_condition *condition);
AIO_API bool        aio_condition_locked(const aio_condition *condition);
/* Releases the lock, waits for a notification, and has the lock again, even when it is cancelled (then whoever waits is
 * notified instead). AIO_ERUNTIME without the lock. asyncio: Condition.wait */
AIO_API aio_future *aio_condition_wait(aio_condition *condition);
/* Waits as often as predicate(arg) is false. asyncio: Condition.wait_for */
AIO_API aio_future *aio_condition_wait_for(aio_condition *condition, bool (*predicate)(void *arg), void *arg);
/* Notifies `count`, or all, of those who wait. AIO_ERUNTIME without the lock. asyncio: Condition.notify, notify_all */
AIO_API int         aio_condition_notify(aio_condition *condition, size_t count);
AIO_API int         aio_condition_notify_all(aio_condition *condition);
/* Those who wait do not get the lock back. A lock of yours must be there as long as anyone waits. */
AIO_API int         aio_condition_destroy(aio_condition *condition);

/* asyncio: Barrier. aio_barrier b = AIO_BARRIER(3); */
typedef struct aio_barrier { /* private */
    aio__wait_queue queue;
    int       parties, count;
    int       state;
} aio_barrier;
#define AIO_BARRIER(parties) { AIO__WAIT_QUEUE, (parties), 0, 0 }
typedef struct aio_barrier_task { aio__waiter waiter; int result; } aio_barrier_task;
/* For one that exists already and that nobody waits for. EINVAL for less than one. */
AIO_API int               aio_barrier_init(aio_barrier *barrier, int parties);
/* Waits until all parties do; the result is a number from 0 to parties - 1, another for each. A waiter that is
 * cancelled only leaves. Raises AIO_EBROKENBARRIER after an abort, and in who waits at a reset. asyncio:
 * Barrier.wait */
AIO_API aio_barrier_task *aio_barrier_wait(aio_barrier *barrier);
/* Empties it: as new, when all who wait have left. / Breaks it, until a reset. asyncio: Barrier.reset, Barrier.abort */
AIO_API int               aio_barrier_reset(aio_barrier *barrier);
AIO_API int               aio_barrier_abort(aio_barrier *barrier);
AIO_API bool              aio_barrier_broken(const aio_barrier *barrier);
AIO_API int               aio_barrier_parties(const aio_barrier *barrier);
/* How many wait for the others to come. asyncio: Barrier.n_waiting */
AIO_API int               aio_barrier_waiting(const aio_barrier *barrier);
AIO_API int               aio_barrier_destroy(aio_barrier *barrier);

/* A queue of items of one type, copied by value. asyncio: Queue
 *
 *   aio_queue *queue = aio_queue_create(struct job, .maxsize = 10);
 *   AIO_AWAIT(aio_queue_put(queue, &self->job));
 *   AIO_AWAIT(self->job, aio_queue_get(queue, struct job));
 *
 * What an item points to belongs to whoever has the item; to the queue while it is in there. */
typedef struct aio_queue aio_queue;
typedef struct aio_queue_options {
    long   maxsize;                                   /* 0 or less: unbounded */
    bool   lifo;                                      /* the latest item first. asyncio: LifoQueue */
    int  (*compare)(const void *a, const void *b);    /* the least first, equals in order. asyncio: PriorityQueue */
    void (*drop)(void *item);                         /* for each item that nobody will get */
} aio_queue_options;
/* NULL without memory, or with errno EINVAL (both lifo and compare; a type aligned to more than 16 bytes). */
#define aio_queue_create(...) AIO__QUEUE_CREATE(__VA_ARGS__, )
#define AIO__QUEUE_CREATE(type, ...) aio_queue_create_with(type, AIO__OPTIONS(aio_queue_options, __VA_ARGS__))
#define aio_queue_create_with(type, options) aio__queue_create(sizeof(type), __alignof__(type), (options))
AIO_API aio_queue *aio__queue_create(size_t size, size_t alignment, const aio_queue_options *options);
/* Drops what is in it; raises AIO_EQUEUESHUTDOWN in all who get or put, AIO_ERUNTIME in all who join. NULL is fine. Not
 * freed on an error: AIO_EWRONGTHREAD. */
AIO_API int        aio_queue_free(aio_queue *queue);

/* Copies *item, at once, and waits while the queue is full. Every item counts as unfinished until
 * aio_queue_task_done. AIO_EQUEUESHUTDOWN; EINVAL for an item of another size. asyncio: Queue.put */
#define aio_queue_put(queue, item)        aio__queue_put((queue), (item), sizeof *(item))
#define aio_queue_put_nowait(queue, item) aio__queue_put_nowait((queue), (item), sizeof *(item))
AIO_API aio_future *aio__queue_put(aio_queue *queue, const void *item, size_t size);
/* 0, AIO_EQUEUEFULL, AIO_EQUEUESHUTDOWN, ENOMEM. asyncio: Queue.put_nowait */
AIO_API int         aio__queue_put_nowait(aio_queue *queue, const void *item, size_t size);

#ifdef __cplusplus
extern "C++" { template <typename type> struct aio__got { aio__waiter waiter; type result; }; }
#define AIO__GOT(type) aio__got<type>
#else
#define AIO__GOT(type) __typeof__(struct { aio__waiter waiter; type result; })
#endif

/* Waits while it is empty; the result is an item of the type, which was the one given to aio_queue_create (EINVAL for
 * another size). AIO_EQUEUESHUTDOWN. asyncio: Queue.get */
#define aio_queue_get(queue, type) ((AIO__GOT(type) *)aio__queue_get((queue), sizeof(type)))
AIO_API void *aio__queue_get(aio_queue *queue, size_t size);
/* The same for AIO_ASYNC_FOR, which ends when the queue is shut down and empty:
 * AIO_ASYNC_FOR(self->job, aio_queue_next(queue, struct job)) { ... } */
#define aio_queue_next(queue, type) ((AIO__GOT(type) *)aio__queue_next((queue), sizeof(type)))
AIO_API void *aio__queue_next(aio_queue *queue, size_t size);
/* Copies one to *item: 0, AIO_EQUEUEEMPTY, AIO_EQUEUESHUTDOWN. asyncio: Queue.get_nowait */
#define aio_queue_get_nowait(queue, item) aio__queue_get_nowait((queue), (item), sizeof *(item))
AIO_API int   aio__queue_get_nowait(aio_queue *queue, void *item, size_t size);

AIO_API size_t aio_queue_size(const aio_queue *queue);
AIO_API long   aio_queue_maxsize(const aio_queue *queue);
AIO_API bool   aio_queue_empty(const aio_queue *queue);
AIO_API bool   aio_queue_full(const aio_queue *queue);
/* One item that was got has been worked on. EINVAL if there is none. asyncio: Queue.task_done */
AIO_API int         aio_queue_task_done(aio_queue *queue);
/* Waits until no item is unfinished. asyncio: Queue.join */
AIO_API aio_future *aio_queue_join(aio_queue *queue);
/* No more puts; gets go on until it is empty, or, if `immediate`, it is emptied at once, and those items count as done.
 * Those who wait, and all after them, get AIO_EQUEUESHUTDOWN. asyncio: Queue.shutdown */
AIO_API int         aio_queue_shutdown(aio_queue *queue, bool immediate);

/* ============================================================================
 * 9. Threads
 *
 * Blocking calls in threads of an executor, and coroutines run from other threads. A job is a function: it gives a
 * pointer, or fails with aio_job_raise. Awaitables are for the loop's own thread, as everywhere.
 * ============================================================================ */

typedef void *aio_job(void *arg);
typedef struct aio_job_future {
    aio_future future;
    void      *result; /* what the job gave */
} aio_job_future;
typedef struct aio_job_options {
    void (*drop)(void *result); /* gets a result that nobody waits for any more; from any thread */
    void (*skip)(void *arg);    /* called in place of the job when it is cancelled before a thread took it */
} aio_job_options;

/* Inside a job: it fails with this error when it returns. Gives NULL: `return aio_job_raise(ENOENT, "no %s", name);` */
AIO_API void *aio_job_raise(int code, const char *format, ...) AIO__PRINTF(2, 3);

/* aio_to_thread(function, arg, .drop = ..., .skip = ...): function(arg) in a thread of the running loop's default
 * executor. Awaiting it gives its result. Cancelling it ends the wait at once: a job that no thread has taken never
 * runs; one that runs cannot be stopped, and its late result is dropped: `arg` must live until then. Errors: ENOMEM,
 * EAGAIN when there is no thread and none can be made, AIO_ERUNTIME after the executor's end, AIO_ENOLOOP.
 * asyncio: to_thread */
#define aio_to_thread(function, ...) AIO__TO_THREAD(function, __VA_ARGS__, )
#define AIO__TO_THREAD(function, arg, ...) \
    aio_to_thread_with((function), (arg), AIO__OPTIONS(aio_job_options, __VA_ARGS__))
AIO_API aio_job_future *aio_to_thread_with(aio_job *function, void *arg, const aio_job_options *options);

/* A pool of threads, made when there are jobs for them and kept for the next. It may serve several loops. */
typedef struct aio_executor aio_executor;
typedef struct aio_executor_options {
    int  max_workers; /* 0: min(32, cores + 4) */
} aio_executor_options;
/* aio_executor_open(.max_workers = n). NULL, with errno: ENOMEM, EINVAL. asyncio: ThreadPoolExecutor */
#define aio_executor_open(...) aio_executor_open_with(AIO__OPTIONS(aio_executor_options, __VA_ARGS__))
AIO_API aio_executor *aio_executor_open_with(const aio_executor_options *options);
/* Waits for its jobs, the queued ones too, then frees it: this blocks the thread. 0, or EDEADLK inside one of its
 * jobs. NULL is fine. asyncio: Executor.shutdown(wait=True) */
AIO_API int aio_executor_close(aio_executor *executor);

/* As aio_to_thread, in an executor; NULL: the loop's default one. asyncio: loop.run_in_executor */
#define aio_loop_run_in_executor(loop, executor, function, ...) \
    AIO__RUN_IN_EXECUTOR(loop, executor, function, __VA_ARGS__, )
#define AIO__RUN_IN_EXECUTOR(loop, executor, function, arg, ...) \
    aio_loop_run_in_executor_with((loop), (executor), (function), (arg), AIO__OPTIONS(aio_job_options, __VA_ARGS__))
AIO_API aio_job_future *aio_loop_run_in_executor_with(aio_loop *loop, aio_executor *executor, aio_job *function,
                                                      void *arg, const aio_job_options *options);
/* The loop takes the executor and closes it when it closes itself. 0, or AIO_EINVALIDSTATE when it has one already, or
 * EINVAL, AIO_ELOOPCLOSED, AIO_EWRONGTHREAD. asyncio: loop.set_default_executor */
AIO_API int         aio_loop_set_default_executor(aio_loop *loop, aio_executor *executor);
/* No new jobs; done when every job of the default executor is, the queued ones too. aio_run does it.
 * asyncio: loop.shutdown_default_executor */
AIO_API aio_future *aio_loop_shutdown_default_executor(aio_loop *loop);

/* A coroutine that another thread waits for. It is for any thread but the loop's; release it when you are done. */
typedef struct aio_concurrent_future aio_concurrent_future;
/* Runs the coroutine (taken) as a task of a loop that runs, or will run, in another thread. NULL, with errno: ENOMEM,
 * EINVAL (no coroutine, or it has started), AIO_ELOOPCLOSED. asyncio: run_coroutine_threadsafe */
#define aio_run_coroutine_threadsafe(loop, coroutine) \
    aio__run_threadsafe((loop), (coroutine), sizeof(*(coroutine)))
AIO_API aio_concurrent_future *aio__run_threadsafe(aio_loop *loop, void *coroutine, size_t size);
/* Waits until the coroutine has ended, at most `seconds` (INFINITY: as long as it takes). 0 when it has, whatever came
 * of it; AIO_ETIMEOUT; EINVAL for NaN; EDEADLK in the loop's own thread. asyncio: Future.result(timeout) */
AIO_API int  aio_concurrent_wait(aio_concurrent_future *future, double seconds);
AIO_API bool aio_concurrent_done(aio_concurrent_future *future);
AIO_API bool aio_concurrent_cancelled(aio_concurrent_future *future);
/* Cancels the task. It is done when the task has ended, which may take time, or may end in another way. False if it is
 * done already. */
AIO_API bool aio_concurrent_cancel(aio_concurrent_future *future);
/* The error of one that is done, or NULL. A copy that shares nothing with the loop's; yours until the release. A loop
 * that closes before the coroutine has ended makes it AIO_ELOOPCLOSED. */
AIO_API const aio_exception *aio_concurrent_exception(aio_concurrent_future *future);
/* aio_concurrent_result(future, struct fetch): what the coroutine, a struct fetch, returned; zero before it is done. */
#define aio_concurrent_result(future, type) (((const type *)aio__concurrent_frame((future), sizeof(type)))->result)
/* A copy of the coroutine's struct as it was at its end, with its `task` zeroed; all zero before that. */
AIO_API const void *aio__concurrent_frame(aio_concurrent_future *future, size_t size);
/* The last call. The coroutine goes on. NULL is fine. */
AIO_API void aio_concurrent_release(aio_concurrent_future *future);

/* ============================================================================
 * 10. Signals
 *
 * Handlers that run in the loop. A signal belongs to one loop of the process at a time; no disposition is changed but
 * of signals that were asked for (and of SIGINT during aio_run), and each is put back at the end.
 * ============================================================================ */

/* callback(arg) runs in the loop after each arrival of the signal; several before the loop comes to it are one.
 * Replaces the callback of the same loop. 0; EINVAL for no signal and for one that cannot be caught (SIGKILL, SIGSTOP);
 * EBUSY when another loop has it; AIO_ELOOPCLOSED, AIO_EWRONGTHREAD. asyncio: loop.add_signal_handler */
AIO_API int  aio_loop_add_signal_handler(aio_loop *loop, int signum, aio_callback *callback, void *arg);
/* Puts back what was there before. False if this loop has no handler for it. asyncio: loop.remove_signal_handler */
AIO_API bool aio_loop_remove_signal_handler(aio_loop *loop, int signum);

/* ============================================================================
 * 11. Streams
 *
 * TCP and TLS connections and servers.
 * ============================================================================ */

/* ---- TLS ---- */

/* How a side of TLS is set up; shared by connections, counted. Made once, it loads certificates once. */
typedef struct aio_tls_context aio_tls_context;
enum { AIO_VERIFY_FULL = 0, AIO_VERIFY_NONE = 1 };
enum { AIO_TLS_SESSIONS = 128 };

typedef struct aio_tls_options {
    int         verify;     /* AIO_VERIFY_FULL: chain and host name; AIO_VERIFY_NONE: neither, unsafe */
    const char *ca_file;    /* PEM; instead of the system's certificate authorities */
    const char *ca_path;
    const char *cert_file;  /* PEM chain: a server's, or a client's for a server that asks */
    const char *key_file;   /* PEM; NULL: in cert_file */
    const char *alpn;       /* comma-separated, most wanted first: "http/1.1" */
    bool        server;     /* for aio_start_server; needs cert_file */
    bool        require_client_cert; /* a server's: clients must show one that ca_file or ca_path vouches for */
    bool        request_client_cert; /* the same for clients that show one; others are served, too */
    const char *key_password;
    const char *fingerprint;/* SHA-256 of the other end's certificate, which must be this one besides all else: 64
                               hexadecimal digits, with or without colons. aiohttp: Fingerprint */
    const char *min_version, *max_version; /* "1.2", "1.3"; NULL: from 1.2 on, up to the latest. "1.0" and "1.1" need
                               ciphers of "DEFAULT@SECLEVEL=0" as well */
    const char *ciphers;    /* up to TLS 1.2, as OpenSSL lists them: "ECDHE+AESGCM"; NULL: OpenSSL's choice */
    int         sessions;   /* a client's: so many are kept, to be resumed by later connections to the same name and
                               port with this context; 0: AIO_TLS_SESSIONS; below 0: none */
} aio_tls_options;

/* aio_tls_context_create(.ca_file = "...", ...): one owner. TLS 1.2 at least, unless .min_version says otherwise. NULL
 * on an error, which aio_tls_context_error() then explains, with the name of the file (static text of this thread).
 * asyncio: ssl.create_default_context */
#define aio_tls_context_create(...) aio_tls_context_create_with(AIO__OPTIONS(aio_tls_options, __VA_ARGS__))
AIO_API aio_tls_context *aio_tls_context_create_with(const aio_tls_options *options);
AIO_API const char      *aio_tls_context_error(void);
/* For clients that ask a server for this name (SNI), "a.test" or "*.a.test": it shows the certificate of `other`,
 * another server's context, and speaks its ALPN protocols; for other names, those of its own. Of several that fit, the
 * one added last. Keeps a reference: contexts added to each other are never freed. 0, ENOMEM, or EINVAL, which
 * aio_tls_context_error() then explains. From any thread. Python: SSLContext.sni_callback */
AIO_API int aio_tls_context_add_host(aio_tls_context *context, const char *name, aio_tls_context *other);
/* One more owner, given back / one less. NULL is fine. From any thread. */
AIO_API aio_tls_context *aio_tls_context_ref(aio_tls_context *context);
AIO_API void             aio_tls_context_unref(aio_tls_context *context);

/* ---- streams ---- */

/* A connection: bytes in order, both ways. asyncio's StreamReader and StreamWriter in one. */
typedef struct aio_stream aio_stream;

typedef struct aio_stream_task { aio_task task; aio_stream *result; } aio_stream_task;
typedef struct aio_size_task { aio_task task; size_t result; } aio_size_task;
/* `result` is borrowed from the stream: valid until its next read, or its end. A NUL stands after it. */
typedef struct aio_text_future { aio_future future; aio_text result; } aio_text_future;

enum { AIO_UNLIMITED = -1 }; /* for a limit or a timeout of which 0 is the default: none */

typedef struct aio_connect_options {
    bool             tls;             /* with the default context: system authorities, verification on */
    aio_tls_context *tls_context;     /* with this one, a client's; borrowed until the connection stands */
    const char      *server_hostname; /* for SNI and the host check; NULL: the host */
    double           connect_timeout; /* seconds for each address; 0, AIO_UNLIMITED: none but the system's */
    double           tls_timeout;     /* of the handshake; 0: 60 s */
    double           tls_shutdown_timeout; /* seconds that closing waits for the peer's close_notify; 0: it does
                                              not wait, as no protocol with ends of its own needs it (RFC 8446, 6.1) */
    size_t           limit;           /* of a line; up to twice as much is read ahead; 0: 64 KiB */
    int              family;          /* AF_INET, AF_INET6; 0: both */
    const char      *local_host;      /* address to connect from */
    struct aio_resolver *resolver;    /* asked for the host's addresses; NULL: the system, in a thread */
    double           happy_eyeballs_delay; /* seconds; 0: 0.25, at least 0.01; AIO_UNLIMITED: addresses in turn */
    const char      *proxy;           /* "socks5h://user:password@host:1080", see below; NULL or "": none */
    const char *const *proxy_headers; /* of CONNECT: names and values by turns, then NULL; borrowed likewise */
    aio_tls_context *proxy_tls_context; /* for https:// proxies; NULL: the default one; borrowed likewise */
    double           proxy_timeout;   /* with each proxy, its TLS included; 0: 60 s; AIO_UNLIMITED: none */
} aio_connect_options;

/* Proxies. `proxy` is a URL: http://, https:// (CONNECT, the latter within TLS), socks4://, socks5:// (the host's name
 * is looked up here), socks4a://, socks5h:// (by the proxy); host:port alone is http. The port is 80, 443 or 1080 by
 * default; user and password are percent-encoded. Several, up to AIO_PROXIES_MAX, with commas or blanks between them,
 * stand one behind the other: the first is connected to, and leads to the second. Errors have the phase "proxy", and
 * say what was asked of which proxy: AIO_EPROXY for one that refuses, ends early or speaks something else, the codes of
 * TLS and lookups; AIO_ELIMIT for an answer to CONNECT whose head is longer than `limit`; AIO_EURL, AIO_ELIMIT for a
 * `proxy` that is none. */
enum { AIO_PROXIES_MAX = 8 };

/* The proxies that the environment has for a URL, "" for none, as `proxy` takes them: SCHEME_proxy (http_proxy for
 * http and ws, https_proxy for https and wss), else all_proxy; each in lower case, else in upper case, but HTTP_PROXY
 * not in a CGI program (REQUEST_METHOD). A variable that is empty says: none. no_proxy has, with commas or blanks
 * between them, hosts that are asked directly: a name, which stands for all below it, too, with a dot before it or not;
 * an address, a network (10.0.0.0/8); host:port for one port only; "*" for all. 0, AIO_EURL, ENOMEM, or ENAMETOOLONG
 * for the buffer. aiohttp: helpers.get_env_proxy_for_url */
AIO_API int aio_proxy_from_env(const char *url, char *buffer, size_t size);

/* aio_open_connection(host, port, .tls = true, ...): result: a stream of yours (end it with aio_stream_close or
 * aio_stream_wait_closed). The host's addresses are tried with a head start of happy_eyeballs_delay for each, IPv6 and
 * IPv4 by turns, and the first connection wins (RFC 8305); the error names all that failed. EINVAL for an option that
 * cannot be. asyncio: open_connection */
#define aio_open_connection(...) AIO__OPEN_CONNECTION(__VA_ARGS__, )
#define AIO__OPEN_CONNECTION(host, port, ...) \
    aio_open_connection_with((host), (port), AIO__OPTIONS(aio_connect_options, __VA_ARGS__))
AIO_API aio_stream_task *aio_open_connection_with(const char *host, int port, const aio_connect_options *options);
/* The same over a unix socket. asyncio: open_unix_connection */
#define aio_open_unix_connection(...) AIO__OPEN_UNIX_CONNECTION(__VA_ARGS__, )
#define AIO__OPEN_UNIX_CONNECTION(path, ...) \
    aio_open_unix_connection_with((path), AIO__OPTIONS(aio_connect_options, __VA_ARGS__))
AIO_API aio_stream_task *aio_open_unix_connection_with(const char *path, const aio_connect_options *options);

enum { AIO_STREAM_LIMIT = 65536, AIO_STREAM_READ_ALL_LIMIT = 268435456 };

/* Reads. One reader at a time: AIO_ERUNTIME for a second one. A read that is cancelled has taken nothing. The errors
 * are the system's codes (ECONNRESET, ...) in the phase "read", ENOMEM (nothing is lost), AIO_ETLS for a TLS
 * connection that ends without close_notify, ECONNABORTED when the stream is ended under the reader.
 *
 * Up to n bytes, as soon as there are any; none at the end of the stream, which ends an AIO_ASYNC_FOR. asyncio:
 * StreamReader.read(n) */
AIO_API aio_text_future *aio_stream_read(aio_stream *stream, size_t n);
/* Everything up to the end; AIO_ELIMIT above `max` bytes (0: AIO_STREAM_READ_ALL_LIMIT). asyncio: read(-1) */
AIO_API aio_text_future *aio_stream_read_all(aio_stream *stream, size_t max);
/* Exactly n. AIO_EINCOMPLETE at an early end (aio_exception.expected, .partial); what came is then left for
 * aio_stream_read. asyncio: readexactly */
AIO_API aio_text_future *aio_stream_readexactly(aio_stream *stream, size_t n);
/* Up to and with '\n'; at the end of the stream what is left of it. AIO_ELIMIT for a line of more bytes than the
 * limit: that line is dropped, what comes of it later, too. asyncio: readline */
AIO_API aio_text_future *aio_stream_readline(aio_stream *stream);
/* Up to and with the separator, which is borrowed until then. AIO_ELIMIT when it does not come within the limit (the
 * data stays), AIO_EINCOMPLETE at an early end (so here), EINVAL for an empty one. asyncio: readuntil */
AIO_API aio_text_future *aio_stream_readuntil(aio_stream *stream, const char *separator, size_t length);
/* True when nothing is unread and nothing will come: asks the system, if nobody is reading. asyncio: at_eof */
AIO_API bool             aio_stream_at_eof(aio_stream *stream);

/* For parsers of protocols, which look at what has come in place, and take what they have understood: a loop of
 * aio_stream_unread, aio_stream_consume, and aio_stream_more when that is not enough.
 *
 * What has come, and no read has taken; nothing is read for it. Borrowed: valid until the stream's next read, or its
 * end. Empty for NULL. The result of the latest read may lose its NUL by it. */
AIO_API aio_text aio_stream_unread(aio_stream *stream);
/* Takes the first n of them, at most all there are. What aio_stream_unread has given stays where it is. */
AIO_API void     aio_stream_consume(aio_stream *stream, size_t n);
/* Waits until more is unread than now. result: all that is, which stays unread. At the end of the stream as much as
 * before, which ends an AIO_ASYNC_FOR. No limit applies: who parses has one of its own. */
AIO_API aio_text_future *aio_stream_more(aio_stream *stream);

/* Sends what the socket takes at once and keeps a copy of the rest. 0; EINVAL; EPIPE after aio_stream_write_eof; or
 * the code of the error that broke the stream (EPIPE, ECONNRESET, ENOMEM, AIO_ETLS, ...), now or before. Never
 * SIGPIPE. asyncio: StreamWriter.write, writelines */
AIO_API int aio_stream_write(aio_stream *stream, const void *data, size_t length);
AIO_API int aio_stream_writelines(aio_stream *stream, const aio_text *pieces, size_t count);
/* Waits while more than the high-water mark is unsent, until the low one is reached. The error that broke the stream
 * says how many bytes were not sent. Any number may wait. asyncio: drain */
AIO_API aio_future *aio_stream_drain(aio_stream *stream);
/* Bytes. EINVAL if low > high. By default 64 KiB and a quarter of that. asyncio: set_write_buffer_limits */
AIO_API int  aio_stream_set_write_buffer_limits(aio_stream *stream, size_t high, size_t low);
AIO_API void aio_stream_get_write_buffer_limits(const aio_stream *stream, size_t *high, size_t *low);
/* Ends our direction after what is unsent; reading goes on. 0, also when it is ended already, or a code as
 * aio_stream_write gives; ENOTSUP over TLS. asyncio: write_eof */
AIO_API int  aio_stream_write_eof(aio_stream *stream);
/* False over TLS. asyncio: can_write_eof */
AIO_API bool aio_stream_can_write_eof(const aio_stream *stream);
/* True when it takes no more writes: it is being closed, or has broken. asyncio: is_closing */
AIO_API bool aio_stream_is_closing(const aio_stream *stream);
/* Goes over to TLS, as STARTTLS has it, with what both sides have agreed on in the clear; a server's stream with a
 * server's context. The context and the name (for SNI and the host check; NULL on a server) are borrowed until it is
 * done. Refuses, with AIO_ERUNTIME, when anything is unread or unsent: what was put in before TLS must not count as
 * said within it; until it is done, writes give AIO_ERUNTIME. On a TLS stream, TLS within TLS begins, as https proxies
 * need it. After an error the stream is only good for being closed. ENOTSUP for one that has a protocol. asyncio:
 * loop.start_tls, StreamWriter.start_tls */
AIO_API aio_future *aio_stream_start_tls(aio_stream *stream, aio_tls_context *context, const char *server_hostname);
/* Sends `count` bytes of a file (0: up to its end), from `offset` on, after what was written before: without copying
 * them through the program where the system can, else piece by piece under the high-water mark. result: how many.
 * `file` is a descriptor of yours, whose own position neither matters nor moves. Meanwhile writes give AIO_ERUNTIME.
 * AIO_EINCOMPLETE for a file that ends before that; every error says how many bytes of it were sent. After an error or
 * a cancel a part of the file has gone out, and the stream is only good for being closed. asyncio: loop.sendfile */
AIO_API aio_size_task *aio_stream_sendfile(aio_stream *stream, int file, int64_t offset, size_t count);
/* How much is unsent. */
AIO_API size_t aio_stream_write_buffer_size(const aio_stream *stream);

/* Takes the stream. Sends what is left in the background, for up to 30 s, then closes. NULL is fine. A server's stream
 * is the server's: nothing happens. asyncio: close */
AIO_API void aio_stream_close(aio_stream *stream);
/* Takes the stream: closes it as above and waits for that. An error if not everything could be sent (AIO_ETIMEOUT
 * after the 30 s), which says how many bytes were left, or if the close_notify of .tls_shutdown_timeout did not come
 * (AIO_ETIMEOUT; AIO_ETLS or the system's code when the peer hung up instead); EINVAL for a server's stream. asyncio:
 * close, wait_closed */
AIO_API aio_future *aio_stream_wait_closed(aio_stream *stream);
/* Takes the stream. Drops what is unsent; the peer sees a reset, and over TLS no close_notify. NULL is fine. A server's
 * stream is not taken: its handler's reads and writes fail with ECONNABORTED, and it is reset when that ends. asyncio:
 * transport.abort */
AIO_API void aio_stream_abort(aio_stream *stream);

/* The socket; "127.0.0.1:8000" of either end ("" if there is none); the negotiated "TLSv1.3", cipher and ALPN
 * protocol, NULL without TLS. Text goes to buffer, which is given back. asyncio: get_extra_info */
AIO_API int         aio_stream_fileno(const aio_stream *stream);
AIO_API const char *aio_stream_peername(const aio_stream *stream, char *buffer, size_t size);
AIO_API const char *aio_stream_sockname(const aio_stream *stream, char *buffer, size_t size);
AIO_API const char *aio_stream_tls_version(const aio_stream *stream);
AIO_API const char *aio_stream_tls_cipher(const aio_stream *stream);
AIO_API const char *aio_stream_alpn(const aio_stream *stream, char *buffer, size_t size);
/* The name that the client asked the server for (SNI), on both ends; NULL if there was none. */
AIO_API const char *aio_stream_tls_server_name(const aio_stream *stream);
/* Whether TLS went on from an earlier connection, without a new exchange of certificates. Python: session_reused */
AIO_API bool        aio_stream_tls_reused(const aio_stream *stream);

typedef struct aio_certificate {
    const char          *subject, *issuer; /* "CN=a.test,O=Some" (RFC 2253) */
    const char *const   *names;            /* that it is for: DNS names and IP addresses; a NULL behind the last */
    size_t               name_count;
    int64_t              not_before, not_after; /* seconds since 1970 */
    const char          *fingerprint;      /* SHA-256, 64 hexadecimal digits */
    const unsigned char *der;              /* the whole of it */
    size_t               der_length;
} aio_certificate;

/* What the other end showed, whether it was verified or not: yours (aio_certificate_free; NULL is fine). NULL if it
 * showed none, or without memory. asyncio: get_extra_info('peercert') */
AIO_API aio_certificate *aio_stream_peer_certificate(const aio_stream *stream);
AIO_API void             aio_certificate_free(aio_certificate *certificate);

/* ---- servers ---- */

typedef struct aio_server aio_server;
typedef struct aio_server_task { aio_task task; aio_server *result; } aio_server_task;

/* Makes the coroutine that serves one client: return AIO_CALL(name, .stream = stream). The stream stays the server's:
 * it is closed when the coroutine ends. NULL: no memory, the client is dropped. An error of the coroutine is
 * reported. */
typedef void *aio_client_handler(aio_stream *stream, void *arg);

typedef struct aio_server_options {
    aio_tls_context *tls_context; /* made with .server = true; borrowed until the server stands, which has its own */
    double           tls_timeout; /* of a handshake; 0: 60 s */
    double           tls_shutdown_timeout; /* as for aio_open_connection */
    int              backlog;     /* 0: 100; also how many clients are accepted in one go */
    size_t           limit;       /* as for aio_open_connection */
    int              family;
    bool             reuse_port;  /* several servers, of several processes or threads, share the port */
    int              max_clients; /* 0: no limit; above it clients wait in the backlog */
} aio_server_options;

/* aio_start_server(handler, arg, host, port, ...): listens on every address of `host` (NULL: all interfaces); port 0:
 * the system chooses (aio_server_port). result: a server of yours (aio_server_wait_closed). Without descriptors or
 * memory for a client it says so in a report, and accepts again after 1 s, or when a client has gone; a loop's servers
 * have one descriptor in reserve. Errors: the system's in the phase "listen" (EADDRINUSE, EACCES, ...), AIO_ERESOLVE,
 * EINVAL. asyncio: start_server */
#define aio_start_server(...) AIO__START_SERVER(__VA_ARGS__, )
#define AIO__START_SERVER(handler, arg, host, port, ...) \
    aio_start_server_with((handler), (arg), (host), (port), AIO__OPTIONS(aio_server_options, __VA_ARGS__))
AIO_API aio_server_task *aio_start_server_with(aio_client_handler *handler, void *arg, const char *host, int port,
                                               const aio_server_options *options);
/* Listens on a unix socket; a stale socket file is replaced, and ours is removed in the end. ENAMETOOLONG for a path
 * that no socket can have. asyncio: start_unix_server */
#define aio_start_unix_server(...) AIO__START_UNIX_SERVER(__VA_ARGS__, )
#define AIO__START_UNIX_SERVER(handler, arg, path, ...) \
    aio_start_unix_server_with((handler), (arg), (path), AIO__OPTIONS(aio_server_options, __VA_ARGS__))
AIO_API aio_server_task *aio_start_unix_server_with(aio_client_handler *handler, void *arg, const char *path,
                                                    const aio_server_options *options);
/* The port of its sockets; 0 for a unix socket. */
AIO_API int  aio_server_port(const aio_server *server);
/* Stops listening; clients go on. Idempotent. asyncio: Server.close / Takes the server: closes it, waits until the
 * last client has gone, then frees it. asyncio: wait_closed */
AIO_API void aio_server_close(aio_server *server);
AIO_API aio_future *aio_server_wait_closed(aio_server *server);
/* Cancels the handlers' tasks and closes their streams, sending what is left / dropping it. asyncio: close_clients,
 * abort_clients */
AIO_API void aio_server_close_clients(aio_server *server);
AIO_API void aio_server_abort_clients(aio_server *server);
/* How many streams are open. */
AIO_API size_t aio_server_client_count(const aio_server *server);
/* Waits until it is cancelled, then closes the server and its clients and raises on. Does not take it. Cancelled, too,
 * when the server is closed by others; AIO_ERUNTIME when it is closed already or awaited twice. asyncio:
 * serve_forever */
AIO_API aio_future *aio_server_serve_forever(aio_server *server);

/* ============================================================================
 * 12. Transports and protocols
 *
 * Connections for those who want callbacks: no coroutine, no task, no read that waits.
 * ============================================================================ */

/* A connection whose bytes go to a protocol. It is a stream without reads: any other aio_stream_ function takes it
 * (peername, tls_cipher, drain, ...). The loop owns it: it is valid until connection_lost has returned. */
typedef struct aio_stream aio_transport;

/* What happens to a connection. Each callback may be NULL. `self` is what the connection keeps: .size bytes, zero at
 * first, which last until connection_lost has returned; or, with no .size, the `arg` of who made the connection. The
 * struct must outlive the connections: make it `static const`.
 *
 * The order: connection_made, data_received any number of times, eof_received at most once, connection_lost exactly
 * once, as a callback of its own (or when the loop closes), and nothing after it. A coroutine that waits for one of
 * them awaits a future which that one completes. asyncio: Protocol, BufferedProtocol */
typedef struct aio_protocol {
    size_t size AIO__UNSET;
    void (*connection_made)(void *self, aio_transport *transport, void *arg) AIO__UNSET;
    /* The data is borrowed until it returns. Not after aio_transport_close or aio_transport_abort. */
    void (*data_received)(void *self, aio_transport *transport, const char *data, size_t length) AIO__UNSET;
    /* The peer has ended its direction. True: ours stays open until aio_transport_close; over TLS it never does. NULL
     * is as false. */
    bool (*eof_received)(void *self, aio_transport *transport) AIO__UNSET;
    /* NULL after the peer's end, aio_transport_close, aio_transport_abort; else the error that broke it, borrowed. */
    void (*connection_lost)(void *self, aio_transport *transport, const aio_exception *exception) AIO__UNSET;
    /* More than the high-water mark is unsent (it may be called inside a write) / no more than the low one. In turn. */
    void (*pause_writing)(void *self, aio_transport *transport) AIO__UNSET;
    void (*resume_writing)(void *self, aio_transport *transport) AIO__UNSET;
    /* Instead of data_received: where to put what comes, and how much room there is / what has come. No room breaks
     * the connection with AIO_ERUNTIME. */
    void *(*get_buffer)(void *self, aio_transport *transport, size_t *size) AIO__UNSET;
    void (*buffer_updated)(void *self, aio_transport *transport, size_t length) AIO__UNSET;
} aio_protocol;

typedef struct aio_transport_task { aio_task task; aio_future *aio__held; aio_transport *result; } aio_transport_task;

/* aio_create_connection(protocol, arg, host, port, .tls = true, ...), with the options and errors of
 * aio_open_connection: connects, and is done when connection_made has run. result: the transport. asyncio:
 * loop.create_connection, loop.create_unix_connection */
#define aio_create_connection(...) AIO__CREATE_CONNECTION(__VA_ARGS__, )
#define AIO__CREATE_CONNECTION(protocol, arg, host, port, ...) \
    aio_create_connection_with((protocol), (arg), (host), (port), AIO__OPTIONS(aio_connect_options, __VA_ARGS__))
AIO_API aio_transport_task *aio_create_connection_with(const aio_protocol *protocol, void *arg, const char *host,
                                                       int port, const aio_connect_options *options);
#define aio_create_unix_connection(...) AIO__CREATE_UNIX_CONNECTION(__VA_ARGS__, )
#define AIO__CREATE_UNIX_CONNECTION(protocol, arg, path, ...) \
    aio_create_unix_connection_with((protocol), (arg), (path), AIO__OPTIONS(aio_connect_options, __VA_ARGS__))
AIO_API aio_transport_task *aio_create_unix_connection_with(const aio_protocol *protocol, void *arg, const char *path,
                                                            const aio_connect_options *options);

/* aio_create_server(protocol, arg, host, port, ...): as aio_start_server, each client with callbacks. asyncio:
 * loop.create_server, loop.create_unix_server */
#define aio_create_server(...) AIO__CREATE_SERVER(__VA_ARGS__, )
#define AIO__CREATE_SERVER(protocol, arg, host, port, ...) \
    aio_create_server_with((protocol), (arg), (host), (port), AIO__OPTIONS(aio_server_options, __VA_ARGS__))
AIO_API aio_server_task *aio_create_server_with(const aio_protocol *protocol, void *arg, const char *host, int port,
                                                const aio_server_options *options);
#define aio_create_unix_server(...) AIO__CREATE_UNIX_SERVER(__VA_ARGS__, )
#define AIO__CREATE_UNIX_SERVER(protocol, arg, path, ...) \
    aio_create_unix_server_with((protocol), (arg), (path), AIO__OPTIONS(aio_server_options, __VA_ARGS__))
AIO_API aio_server_task *aio_create_unix_server_with(const aio_protocol *protocol, void *arg, const char *path,
                                                     const aio_server_options *options);

/* As of streams: a write tries to send at once and keeps a copy of the rest; EPIPE when it is closing, so that a write
 * in connection_lost does no harm. A server's transport can be closed as any other. */
#define aio_transport_write(transport, data, length)       aio_stream_write((transport), (data), (length))
#define aio_transport_writelines(transport, pieces, count) aio_stream_writelines((transport), (pieces), (count))
#define aio_transport_write_eof(transport)                 aio_stream_write_eof(transport)
#define aio_transport_can_write_eof(transport)             aio_stream_can_write_eof(transport)
#define aio_transport_is_closing(transport)                aio_stream_is_closing(transport)
#define aio_transport_get_write_buffer_size(transport)     aio_stream_write_buffer_size(transport)
#define aio_transport_get_write_buffer_limits(transport, high, low) \
    aio_stream_get_write_buffer_limits((transport), (high), (low))
#define aio_transport_set_write_buffer_limits(transport, high, low) \
    aio_stream_set_write_buffer_limits((transport), (high), (low))
/* No more data_received; what is unsent goes out, for up to 30 s, then connection_lost comes / drops what is unsent;
 * the peer sees a reset. Idempotent. NULL is fine. */
#define aio_transport_close(transport)                     aio_stream_close(transport)
#define aio_transport_abort(transport)                     aio_stream_abort(transport)
/* No data_received until it is resumed: the peer waits. Idempotent. asyncio: pause_reading, resume_reading,
 * is_reading */
AIO_API void aio_transport_pause_reading(aio_transport *transport);
AIO_API void aio_transport_resume_reading(aio_transport *transport);
AIO_API bool aio_transport_is_reading(const aio_transport *transport);
/* Another protocol, with its `self`, from the next event on. The memory of .size stays until the end. */
AIO_API void aio_transport_set_protocol(aio_transport *transport, const aio_protocol *protocol, void *self);
AIO_API const aio_protocol *aio_transport_get_protocol(const aio_transport *transport);
AIO_API void *aio_transport_get_self(const aio_transport *transport);

/* ============================================================================
 * 13. Descriptors
 *
 * Descriptors of the program's own, or of another library's, in the loop: callbacks and raw sockets.
 * ============================================================================ */

/* Registrations are level-triggered: the callback runs again in every iteration as long as the descriptor is ready, so
 * that it may leave something unread. It stays the caller's, and is to be removed before it is closed. A regular file
 * is always ready. It may be a blocking one: only who uses it must not block. */

/* callback(arg) whenever `fd` can be read (also at its end, or with an error) / written. Replaces the callback of
 * before. 0; EINVAL; EBADF for no open descriptor; EBUSY when a stream, or a coroutine in aio_sock_..., waits for it;
 * ENOMEM, ENOSPC; AIO_ELOOPCLOSED, AIO_EWRONGTHREAD. asyncio: loop.add_reader, loop.add_writer */
AIO_API int  aio_loop_add_reader(aio_loop *loop, int fd, aio_callback *callback, void *arg);
AIO_API int  aio_loop_add_writer(aio_loop *loop, int fd, aio_callback *callback, void *arg);
/* The callback does not run any more, not even if it is due. False if there was none. asyncio: loop.remove_reader,
 * loop.remove_writer */
AIO_API bool aio_loop_remove_reader(aio_loop *loop, int fd);
AIO_API bool aio_loop_remove_writer(aio_loop *loop, int fd);

typedef struct aio_fd_task { aio_task task; int result; } aio_fd_task;

/* Sockets of the caller's own, which stay his. Buffers and data are borrowed until the end of the await. One coroutine
 * may wait for a socket in each direction: AIO_ERUNTIME for the second. A cancel loses nothing that was received.
 *
 * Up to `size` bytes into the buffer, as soon as there are any: their number; 0 at the end of the stream, which ends
 * an AIO_ASYNC_FOR. C has no bytes objects, so both names are one. asyncio: loop.sock_recv, loop.sock_recv_into */
AIO_API aio_size_task *aio_sock_recv_into(int fd, void *buffer, size_t size);
#define aio_sock_recv(fd, buffer, size) aio_sock_recv_into((fd), (buffer), (size))
/* All of it. After an error or a cancel nobody knows how much was sent. asyncio: loop.sock_sendall */
AIO_API aio_future    *aio_sock_sendall(int fd, const void *data, size_t length);
/* Sends `count` bytes of a file (0: up to its end), from `offset` on, as aio_stream_sendfile does. asyncio:
 * loop.sock_sendfile */
AIO_API aio_size_task *aio_sock_sendfile(int fd, int file, int64_t offset, size_t count);
/* A client's socket, non-blocking and closed on exec, yours to close. The listening one must be non-blocking: EINVAL.
 * asyncio: loop.sock_accept */
AIO_API aio_fd_task   *aio_sock_accept(int fd);
/* Connects to a `struct sockaddr` of that length, which is copied. The socket must be non-blocking: EINVAL. asyncio:
 * loop.sock_connect */
AIO_API aio_future    *aio_sock_connect(int fd, const void *address, size_t length);
/* The next datagram, which may be empty: its length. Its sender's `struct sockaddr` goes to `address`, which has room
 * for *length bytes; *length is then what it needs, as recvfrom has it. NULL, NULL: nobody asks. A datagram longer than
 * the buffer is lost: EMSGSIZE. asyncio: loop.sock_recvfrom, loop.sock_recvfrom_into */
AIO_API aio_size_task *aio_sock_recvfrom(int fd, void *buffer, size_t size, void *address, size_t *length);
/* One datagram to a `struct sockaddr` of that length, which is copied; how much was sent. asyncio: loop.sock_sendto */
AIO_API aio_size_task *aio_sock_sendto(int fd, const void *data, size_t size, const void *address, size_t length);

/* A stream that reads from / writes to a pipe, a terminal or another character device, or a socket: 0 and 1, say. It
 * takes the descriptor when it succeeds, and makes it non-blocking until it is closed. aio_stream_write_eof closes a
 * pipe. EINVAL for a regular file, which is always ready. asyncio: loop.connect_read_pipe, loop.connect_write_pipe */
AIO_API aio_stream_task *aio_connect_read_pipe(int fd);
AIO_API aio_stream_task *aio_connect_write_pipe(int fd);

/* ============================================================================
 * 14. Datagrams
 *
 * UDP endpoints.
 * ============================================================================ */

/* A socket for datagrams: whole messages, which may be lost, doubled or out of order. Its errors do not end it: a
 * refusal that the network reports (ECONNREFUSED), or a datagram longer than `limit` (EMSGSIZE), which is dropped,
 * goes to .error_received; without one it is raised by a receive, once. */
typedef struct aio_datagram_endpoint aio_datagram_endpoint;
typedef struct aio_endpoint_task { aio_task task; aio_datagram_endpoint *result; } aio_endpoint_task;

/* Borrowed from the endpoint: valid until its next receive, or its end. */
typedef struct aio_datagram {
    const char *data;    /* a NUL follows */
    size_t      length;
    const char *address; /* the sender's: "127.0.0.1:53", "[::1]:53", "[fe80::1%2]:53" */
} aio_datagram;
typedef struct aio_datagram_task { aio_task task; aio_datagram result; } aio_datagram_task;

typedef void aio_error_received(aio_datagram_endpoint *endpoint, const aio_exception *exception, void *arg);

typedef struct aio_endpoint_options {
    const char *local_host;     /* to receive at; NULL: any interface, if there is a local_port or no remote_host */
    int         local_port;     /* 0: the system chooses */
    const char *remote_host;    /* connected: only its datagrams are received, and sends need no address */
    int         remote_port;
    int         family;         /* AF_INET, AF_INET6; 0: what the hosts have */
    bool        broadcast;      /* may send to broadcast addresses */
    bool        reuse_port;     /* several endpoints, of several processes or threads, share the port */
    int         sock;           /* a datagram socket, above 0, instead of hosts: taken, unless this fails */
    size_t      limit;          /* of a datagram that is received, in bytes; 0, and at most: 65535 */
    aio_error_received *error_received; /* must not end the endpoint */
    void       *arg;
} aio_endpoint_options;

/* aio_create_datagram_endpoint(.local_port = 5353, ...), or with a .remote_host: result: an endpoint of yours (end it
 * with aio_datagram_close or aio_datagram_wait_closed). Addresses are tried in turn; the error names all that failed.
 * asyncio: loop.create_datagram_endpoint */
#define aio_create_datagram_endpoint(...) \
    aio_create_datagram_endpoint_with(AIO__OPTIONS(aio_endpoint_options, __VA_ARGS__))
AIO_API aio_endpoint_task *aio_create_datagram_endpoint_with(const aio_endpoint_options *options);

/* The next datagram. One receiver at a time: AIO_ERUNTIME. A cancel loses none. When the endpoint is closed it raises
 * AIO_ESTOPITERATION: AIO_ASYNC_FOR(self->datagram, aio_datagram_receive(self->endpoint)) { ... } asyncio:
 * DatagramProtocol.datagram_received */
AIO_API aio_datagram_task *aio_datagram_receive(aio_datagram_endpoint *endpoint);
/* Sends at once, or keeps a copy until the socket takes it. The address is as datagrams have it, numeric; NULL for
 * a connected endpoint. 0; EINVAL: a wrong address; EDESTADDRREQ, EISCONN: none, or one too many; EMSGSIZE: too long;
 * what the system says; EPIPE once it is closing; ENOMEM. asyncio: DatagramTransport.sendto */
AIO_API int         aio_datagram_sendto(aio_datagram_endpoint *endpoint, const void *data, size_t length,
                                        const char *address);
#define aio_datagram_send(endpoint, data, length) aio_datagram_sendto((endpoint), (data), (length), NULL)
/* Waits while more than 64 KiB are kept, until a quarter of that is. */
AIO_API aio_future *aio_datagram_drain(aio_datagram_endpoint *endpoint);
/* Takes the endpoint: what is kept is sent in the background, for up to 30 s. NULL is fine. asyncio: close */
AIO_API void        aio_datagram_close(aio_datagram_endpoint *endpoint);
/* Takes the endpoint, and waits for that. */
AIO_API aio_future *aio_datagram_wait_closed(aio_datagram_endpoint *endpoint);
/* Takes the endpoint; drops what is kept. asyncio: abort */
AIO_API void        aio_datagram_abort(aio_datagram_endpoint *endpoint);
/* Its own port and socket; "127.0.0.1:8000" of either end ("" if there is none) in buffer, which is given back. */
AIO_API int         aio_datagram_port(const aio_datagram_endpoint *endpoint);
AIO_API int         aio_datagram_fileno(const aio_datagram_endpoint *endpoint);
AIO_API const char *aio_datagram_sockname(const aio_datagram_endpoint *endpoint, char *buffer, size_t size);
AIO_API const char *aio_datagram_peername(const aio_datagram_endpoint *endpoint, char *buffer, size_t size);

/* ============================================================================
 * 15. Resolver
 *
 * Names looked up in the DNS without threads and without libc: aiohttp's AsyncResolver, aiodns' DNSResolver.
 * ============================================================================ */

/* Asks name servers itself (RFC 1035, 2308, 5452, 6891) and keeps what they say as long as they say. */
typedef struct aio_resolver aio_resolver;

typedef struct aio_resolver_options {
    const char *nameservers;  /* "1.1.1.1, 8.8.8.8#5353, [::1]#53", 16 at most; NULL: resolv.conf's, else 127.0.0.1 */
    const char *search;       /* up to 16 domains for short names: "a.test b.test"; NULL: resolv.conf's; "": none */
    int         ndots;        /* names with so many dots are tried as they are first; 0: resolv.conf's, else 1 */
    double      timeout;      /* seconds for one try at one server; 0: resolv.conf's, else 5 */
    int         attempts;     /* tries at each server; 0: resolv.conf's, else 2 */
    bool        rotate;       /* begins with another server each time; else with the one that answered last */
    int         port;         /* of servers that have none; 0: 53 */
    bool        no_hosts;     /* the hosts file is not looked at */
    bool        case_random;  /* random case in questions, to be repeated in answers ("0x20"): not all servers do */
    int         cache_size;   /* answers kept, least used go first; 0: 256; negative: none */
    double      max_ttl;      /* seconds that an answer is kept at most; 0: a day */
    double      negative_ttl; /* the same for "there is no such name"; 0: 15 minutes; negative: not kept */
    const char *resolv_conf;  /* NULL: "/etc/resolv.conf"; read once, now */
    const char *hosts;        /* NULL: "/etc/hosts"; read once, now; up to 1 MiB of it */
} aio_resolver_options;

/* aio_resolver_open(.nameservers = "1.1.1.1", ...): a resolver of the current loop, yours. NULL with errno: EINVAL for
 * an option that is not valid, ENOMEM, AIO_ENOLOOP, those of reading a file that is there. aiodns: DNSResolver */
#define aio_resolver_open(...) AIO__RESOLVER_OPEN(__VA_ARGS__)
#define AIO__RESOLVER_OPEN(...) aio_resolver_open_with(AIO__OPTIONS(aio_resolver_options, __VA_ARGS__))
AIO_API aio_resolver *aio_resolver_open_with(const aio_resolver_options *options);
/* Takes the resolver. Calls that still run, or have yet to begin, fail with AIO_ERUNTIME; the loop's end closes what
 * was left open. NULL is fine. */
AIO_API void aio_resolver_close(aio_resolver *resolver);
/* Forgets every answer. aiohttp: clear_dns_cache */
AIO_API void   aio_resolver_clear_cache(aio_resolver *resolver);
AIO_API size_t aio_resolver_cache_count(const aio_resolver *resolver);

/* Addresses of a host, with its port. Yours: aio_addresses_free, before the loop's end, which frees what was left. */
typedef struct aio_addresses aio_addresses;
typedef struct aio_addresses_task { aio_task task; aio_addresses *result; } aio_addresses_task;
AIO_API void   aio_addresses_free(aio_addresses *addresses); /* NULL is fine */
AIO_API size_t aio_addresses_count(const aio_addresses *addresses);
/* "1.2.3.4:80", "[::1]:80" in buffer, which is given back / AF_INET, AF_INET6 / a struct sockaddr, borrowed. */
AIO_API const char *aio_addresses_text(const aio_addresses *addresses, size_t i, char *buffer, size_t size);
AIO_API int         aio_addresses_family(const aio_addresses *addresses, size_t i);
AIO_API const void *aio_addresses_sockaddr(const aio_addresses *addresses, size_t i, size_t *length);

typedef struct aio_resolve_options {
    int  family; /* AF_INET, AF_INET6; 0: both */
} aio_resolve_options;

/* aio_resolver_resolve(resolver, host, port, .family = AF_INET): result: addresses, at least one. A numeric host stands
 * for itself; else in turn: the hosts file, "localhost" (RFC 6761), the DNS with the search list. A and AAAA are asked
 * at once; IPv6 stands first where there is a route. Once one kind is there, the other one gets 0.25 s more. Errors:
 * AIO_ERESOLVE (no such name, no address, a server that fails), AIO_ETIMEOUT, EINVAL; they name host, servers, reasons.
 * aiohttp: AsyncResolver.resolve */
#define aio_resolver_resolve(...) AIO__RESOLVER_RESOLVE(__VA_ARGS__, )
#define AIO__RESOLVER_RESOLVE(resolver, host, port, ...) \
    aio_resolver_resolve_with((resolver), (host), (port), AIO__OPTIONS(aio_resolve_options, __VA_ARGS__))
AIO_API aio_addresses_task *aio_resolver_resolve_with(aio_resolver *resolver, const char *host, int port,
                                                      const aio_resolve_options *options);

enum { /* types of records; any other number may be asked for, too */
    AIO_DNS_A = 1, AIO_DNS_NS = 2, AIO_DNS_CNAME = 5, AIO_DNS_SOA = 6, AIO_DNS_PTR = 12, AIO_DNS_MX = 15,
    AIO_DNS_TXT = 16, AIO_DNS_AAAA = 28, AIO_DNS_SRV = 33
};

typedef struct aio_dns_record {
    int      type;
    uint32_t ttl;        /* seconds that are left */
    int      preference; /* of MX; the priority of SRV */
    int      weight, port; /* of SRV */
    aio_text data;       /* address or name as text; TXT: its strings joined; other types: the bytes that came */
} aio_dns_record;

/* Yours: aio_dns_answer_free, before the loop's end, which frees what was forgotten. */
typedef struct aio_dns_answer {
    const char     *name;    /* whose records they are: the end of the aliases. Bytes that are not plain: \ddd */
    const char     *server;  /* who said so: "1.1.1.1:53" */
    bool            cached;
    size_t          count;
    aio_dns_record *records;
} aio_dns_answer;
typedef struct aio_dns_task { aio_task task; aio_dns_answer *result; } aio_dns_task;
AIO_API void aio_dns_answer_free(aio_dns_answer *answer); /* NULL is fine */

/* One type's records of a name, which is taken as it is: neither the hosts file nor the search list counts. AIO_DNS_PTR
 * takes an address, too. Aliases are followed. Errors as above. aiodns: DNSResolver.query */
AIO_API aio_dns_task *aio_resolver_query(aio_resolver *resolver, const char *name, int type);

/* ============================================================================
 * 16. Subprocesses
 *
 * Programs run and waited for; their standard streams as streams.
 * ============================================================================ */

/* A program that runs. asyncio: subprocess.Process */
typedef struct aio_process aio_process;
typedef struct aio_process_task { aio_task task; aio_process *result; } aio_process_task;
typedef struct aio_process_future { aio_future future; int result; } aio_process_future;

enum { /* a standard stream of the program: one of these, or a descriptor above 0, which it gets a copy of */
    AIO_INHERIT = 0,
    AIO_PIPE = -1,   /* aio_process_stdin, ...stdout, ...stderr */
    AIO_STDOUT = -2, /* .err: where .out goes */
    AIO_DEVNULL = -3
};
enum { AIO_RUNNING = -1000 }; /* the return code of a program that has not ended */

typedef struct aio_process_options {
    int                in, out, err; /* asyncio's stdin, stdout, stderr, which are macros in C */
    const char        *cwd;          /* its working directory; NULL: ours */
    const char *const *env;          /* "NAME=value", ..., NULL: all of its environment; NULL: ours */
    size_t             limit;        /* of a line, as for aio_open_connection */
    bool               new_session;  /* of its own, as setsid makes it. asyncio: start_new_session */
    bool               new_group;    /* a process group of its own: kill(-pid) reaches its children. process_group=0 */
    bool               keep_signals; /* those that this thread blocks, and this process ignores, it blocks and ignores,
                                      * too; else none. restore_signals=False */
} aio_process_options;

/* aio_create_subprocess_exec(argv, .out = AIO_PIPE, ...): starts argv[0], looked for in PATH, with the arguments argv,
 * up to a NULL. It inherits no descriptor but its standard streams. result: a process of yours (aio_process_release).
 * Errors name the program, and its .cwd: ENOENT, EACCES, ...; EMFILE; ENOMEM; EINVAL. asyncio:
 * create_subprocess_exec */
#define aio_create_subprocess_exec(...) AIO__CREATE_SUBPROCESS(__VA_ARGS__, )
#define AIO__CREATE_SUBPROCESS(argv, ...) \
    aio_create_subprocess_exec_with((argv), AIO__OPTIONS(aio_process_options, __VA_ARGS__))
AIO_API aio_process_task *aio_create_subprocess_exec_with(const char *const *argv, const aio_process_options *options);
/* The same for a command of /bin/sh. asyncio: create_subprocess_shell */
#define aio_create_subprocess_shell(...) AIO__CREATE_SUBPROCESS_SHELL(__VA_ARGS__, )
#define AIO__CREATE_SUBPROCESS_SHELL(command, ...) \
    aio_create_subprocess_shell_with((command), AIO__OPTIONS(aio_process_options, __VA_ARGS__))
AIO_API aio_process_task *aio_create_subprocess_shell_with(const char *command, const aio_process_options *options);

/* Our ends of its pipes; NULL for what is none, or is closed. Borrowed from the process; aio_stream_close ends one,
 * aio_stream_write_eof its input. asyncio: Process.stdin, stdout, stderr */
AIO_API aio_stream *aio_process_stdin(const aio_process *process);
AIO_API aio_stream *aio_process_stdout(const aio_process *process);
AIO_API aio_stream *aio_process_stderr(const aio_process *process);

AIO_API int aio_process_pid(const aio_process *process);
/* How it ended: its exit status, or minus the signal that killed it; AIO_RUNNING before that. 255 if somebody else has
 * waited for it. asyncio: Process.returncode */
AIO_API int aio_process_returncode(const aio_process *process);
/* Waits for its end; result: the return code. Several may wait; cancelling one leaves the program as it is. A program
 * that fills a pipe which nobody reads does not end. asyncio: Process.wait */
AIO_API aio_process_future *aio_process_wait(aio_process *process);

typedef struct aio_process_output {
    aio_text out, err;     /* of its pipes; borrowed from the process */
    int      returncode;
} aio_process_output;
typedef struct aio_output_task { aio_task task; aio_process_output result; } aio_output_task;
/* Sends the input (borrowed until the end of the await), ends it, reads what the program writes, waits for its end. A
 * program that does not read all of its input is no error (EPIPE). AIO_ELIMIT above AIO_STREAM_READ_ALL_LIMIT bytes of
 * output; EINVAL: input, but no pipe for it. asyncio: Process.communicate */
AIO_API aio_output_task *aio_process_communicate(aio_process *process, const void *input, size_t length);

/* 0, ESRCH when it has ended, EINVAL. asyncio: Process.send_signal, terminate (SIGTERM), kill (SIGKILL) */
AIO_API int aio_process_send_signal(aio_process *process, int signum);
AIO_API int aio_process_terminate(aio_process *process);
AIO_API int aio_process_kill(aio_process *process);
/* The last call, best in AIO_FINALLY: closes its pipes; a program that still runs is killed, and waited for in the
 * background. So does the end of the loop. NULL is fine. */
AIO_API void aio_process_release(aio_process *process);

/* ============================================================================
 * 17. URLs and headers
 *
 * URLs as yarl has them, headers as multidict.CIMultiDict has them: what the HTTP client and server have in common.
 * ============================================================================ */

/* A URL taken apart, as yarl.URL has it (RFC 3986). Made by aio_url_parse or aio_url_join, freed by aio_url_clear; a
 * zeroed one is empty. Every part points into one block that the URL owns. A part that is absent has data NULL; one
 * that is there and empty has length 0. `text`, `user`, `password` and `host` end in a NUL. */
typedef struct aio_url {
    char    *block;     /* owns the bytes of all parts */
    aio_text text;      /* the whole URL in normal form, with user info and fragment */
    aio_text scheme;    /* in lower case */
    aio_text user;      /* decoded */
    aio_text password;  /* decoded */
    aio_text host;      /* in lower case; IPv6 without brackets and in its shortest form, with %zone if it has one */
    aio_text authority; /* host and port as a Host header has them: IPv6 in brackets, the default port left out */
    aio_text path;      /* percent-encoded, without dot segments; "/" at least, where there is a host */
    aio_text query;     /* percent-encoded, without the '?' */
    aio_text fragment;  /* percent-encoded, without the '#' */
    aio_text target;    /* path and query: what a request line has */
    uint16_t port;      /* 1 to 65535, by scheme when the URL names none; 0 where neither is known */
    bool     is_tls;    /* https and wss */
    bool     is_http;   /* http, https, ws and wss */
    bool     is_ipv4;
    bool     is_ipv6;
} aio_url;

/* Parses an absolute URL of any scheme: yarl.URL(text). Spaces and other bytes that do not belong are percent-encoded,
 * %XX of unreserved characters decoded (RFC 3986 6.2.2), dot segments removed, the default port dropped; leading spaces
 * are skipped. Refused: control characters; a host that is empty, is not ASCII (write it in punycode, xn--...), or
 * looks like a number without being an IPv4 address in four decimal parts; ports but 1 to 65535; more than
 * AIO_URL_MAX bytes.
 * Gives 0, AIO_EURL or ENOMEM; on an error `url` is zeroed and *reason (may be NULL) is a static text that says why. */
AIO_API int aio_url_parse(aio_url *url, const char *text, size_t length, const char **reason);

/* Resolves a reference against a base (RFC 3986 5.3): base.join(URL(reference)). `url` may not be `base`. A fragment
 * of the base is not inherited. Result and errors as aio_url_parse. */
AIO_API int aio_url_join(aio_url *url, const aio_url *base, const char *reference, size_t length, const char **reason);

/* `base` with an encoded query appended to its own: what `params=` does. The fragment is kept. `url` may not be
 * `base`. */
AIO_API int aio_url_extend_query(aio_url *url, const aio_url *base, const char *query, size_t length,
                                 const char **reason);

/* Frees what the URL owns and zeroes it. */
AIO_API void aio_url_clear(aio_url *url);

/* Whether both have the same scheme, host and port: the rule by which credentials travel. False for URLs without a
 * host. */
AIO_API bool aio_url_same_origin(const aio_url *a, const aio_url *b);

enum { AIO_URL_MAX = 65536 };

/* Headers: an ordered multi-map with names of any case, as multidict.CIMultiDict. A zeroed one is empty. Texts it gives
 * end in a NUL and are valid until the next change. */
typedef struct aio__field { uint32_t name, name_length, value, value_length; } aio__field;
typedef struct aio_headers {
    char       *text;     /* owned: names and values, each with a NUL */
    aio__field *fields;   /* owned: where they are in text, in order */
    uint32_t    length, capacity, wasted, count, room;
} aio_headers;

/* Adds a field after those there are: headers.add(). EINVAL when the name is not a token (RFC 9110 5.6.2) or the value
 * has a control character but HTAB; AIO_ELIMIT over 16 MiB in all; ENOMEM. The headers are unchanged on an error. */
AIO_API int aio_headers_add(aio_headers *headers, const char *name, const char *value);
/* Gives the first field of this name the value, in its place, and removes the others: headers[name] = value. Result
 * and errors as aio_headers_add. */
AIO_API int aio_headers_set(aio_headers *headers, const char *name, const char *value);
/* Removes all fields of the name: how many there were. */
AIO_API size_t aio_headers_remove(aio_headers *headers, const char *name);
/* The first value of the name; data is NULL when there is none. */
AIO_API aio_text aio_headers_get(const aio_headers *headers, const char *name);
/* Steps through all fields: start with *position 0, ends with false. */
AIO_API bool aio_headers_next(const aio_headers *headers, size_t *position, aio_text *name, aio_text *value);
/* Steps through the values of one name: headers.getall(name). */
AIO_API bool aio_headers_next_of(const aio_headers *headers, const char *name, size_t *position, aio_text *value);
/* Frees everything; the headers are empty and can be used again. */
AIO_API void aio_headers_clear(aio_headers *headers);

/* The standard phrase of a status ("Not Found" of 404), or "" when it has none: http.HTTPStatus(status).phrase. */
AIO_API const char *aio_http_reason(int status);

/* ============================================================================
 * 18. Cookies
 *
 * The jar that responses fill and requests are filled from (RFC 6265, and 6265bis where browsers follow it).
 * ============================================================================ */

typedef enum { AIO_SAME_SITE_UNSET, AIO_SAME_SITE_NONE, AIO_SAME_SITE_LAX, AIO_SAME_SITE_STRICT } aio_same_site;

/* One cookie of a jar. Read-only; valid until the jar changes. All texts end in a NUL. */
typedef struct aio_cookie {
    aio_text      name, value;
    aio_text      domain;    /* in lower case, without a leading dot; "": every host */
    aio_text      path;
    int64_t       expires;   /* seconds since 1970; 0: it lives as long as the jar */
    aio_same_site same_site; /* kept and saved; requests of a program have no site that it could mean */
    bool          host_only; /* for `domain` alone, not for what is below it */
    bool          secure, http_only;
} aio_cookie;

typedef struct aio_cookie_jar aio_cookie_jar;
typedef struct aio_cookie_jar_options {
    bool               unsafe;           /* hosts that are IP addresses have cookies, too. aiohttp: unsafe */
    const char *const *treat_as_secure;  /* origins ("http://a.test:81") that count as https; up to NULL */
    /* A file in the form of publicsuffix.org's list: no cookie is taken for a name that stands there (co.uk). Names of
     * one label (com, local) are never taken, with or without it. NULL: none */
    const char        *public_suffixes;
    size_t             max_cookies;      /* in all; the one not used for longest goes. 0: 3300 */
    size_t             max_per_domain;   /* the same for one domain; 0: 180 */
} aio_cookie_jar_options;

/* aio_cookie_jar_open(.unsafe = true, ...): an empty jar with one owner, for one or several sessions of one thread.
 * NULL, with errno: ENOMEM; EINVAL: an origin that is no http(s) URL, or a file with an invalid line; what reading
 * that file gave. aiohttp: CookieJar */
#define aio_cookie_jar_open(...) aio_cookie_jar_open_with(AIO__OPTIONS(aio_cookie_jar_options, __VA_ARGS__))
AIO_API aio_cookie_jar *aio_cookie_jar_open_with(const aio_cookie_jar_options *options);
/* One more owner / one less; the last frees it. NULL is fine. */
AIO_API aio_cookie_jar *aio_cookie_jar_ref(aio_cookie_jar *jar);
AIO_API void            aio_cookie_jar_unref(aio_cookie_jar *jar);

/* Takes the value of one Set-Cookie field that came from this URL. 0; EINVAL: it is refused, and *reason (may be NULL)
 * is a static text that says why; ENOMEM. aiohttp: update_cookies */
AIO_API int aio_cookie_jar_update(aio_cookie_jar *jar, const aio_url *url, const char *text, size_t length,
                                  const char **reason);
/* A cookie of the program's own, for the URL's host and whole site; for every host if the URL is NULL. Without
 * expiry. EINVAL: the name is no token, or the value has a control character, a semicolon or is longer than 4096 bytes.
 * aiohttp: update_cookies({name: value}, url) */
AIO_API int aio_cookie_jar_set(aio_cookie_jar *jar, const aio_url *url, const char *name, const char *value);
/* What a request to this URL has to say in its Cookie field: "a=1; b=2", longer paths first, then older ones. Text of
 * the jar's, until its next call; data is NULL when no cookie is for this URL. 0 or ENOMEM. aiohttp: filter_cookies */
AIO_API int aio_cookie_jar_filter(aio_cookie_jar *jar, const aio_url *url, aio_text *text);

/* The cookie made after `previous`, the first for NULL; NULL after the last. aiohttp: iterating over a jar */
AIO_API const aio_cookie *aio_cookie_jar_next(aio_cookie_jar *jar, const aio_cookie *previous);
AIO_API size_t aio_cookie_jar_count(const aio_cookie_jar *jar);
/* Removes the cookies for which `predicate` is true, all for NULL; gives how many. aiohttp: clear(predicate) */
AIO_API size_t aio_cookie_jar_clear(aio_cookie_jar *jar, bool (*predicate)(const aio_cookie *, void *), void *arg);
/* Removes those of a domain and of all below it. aiohttp: clear_domain */
AIO_API size_t aio_cookie_jar_clear_domain(aio_cookie_jar *jar, const char *domain);

/* Writes all cookies to a file in the form that curl and browsers' exports have (cookies.txt), readable by its owner
 * alone (0600), whole or not at all. 0 or a code. / Adds those of such a file to the jar. 0; what reading gave;
 * AIO_ELIMIT over 16 MiB; EINVAL: *line (may be NULL) is the first that is invalid, and nothing was taken. Both block,
 * as files do. aiohttp: save, load */
AIO_API int aio_cookie_jar_save(aio_cookie_jar *jar, const char *path);
AIO_API int aio_cookie_jar_load(aio_cookie_jar *jar, const char *path, int *line);

/* ============================================================================
 * 19. HTTP client
 *
 * aiohttp's ClientSession, request and response. Lists of headers and parameters are arrays of texts that alternate
 * names and values and end in a NULL: static const char *const headers[] = { "Accept", "text/html", NULL };
 * ============================================================================ */

/* Seconds; 0: the default, AIO_UNLIMITED: none. The error of one that ran out is AIO_ETIMEOUT; its `phase` is "pool",
 * "resolve", "connect", "proxy", "TLS handshake", "send", "headers" or "body". asyncio: aiohttp.ClientTimeout */
typedef struct aio_timeouts {
    double total;        /* of a request up to the end of its response's body; default 300 */
    double connect;      /* until there is a connection: waiting for the pool, name, TCP, TLS; default none */
    double sock_connect; /* of TCP's connect, each address, and of a tunnel, each proxy; default 30 */
    double sock_read;    /* from the request's last byte to the response, and between two pieces of it; default none */
} aio_timeouts;

/* Where a request's time went, in seconds; 0 for what it did not need. */
typedef struct aio_response_times {
    double pool, resolve, connect, proxy, tls, send;
    double wait;         /* for the response's head */
    double receive;      /* of the body, as far as it has come */
    bool   reused;       /* the connection had served another request before */
} aio_response_times;

typedef struct aio_session aio_session;
typedef struct aio_response aio_response;

typedef struct aio_session_options {
    int                limit;             /* requests at once; 0: 100. Others wait, first come first served a host */
    int                limit_per_host;    /* the same for one scheme, host and port; 0: none */
    const char        *base_url;          /* what relative URLs are relative to */
    const char *const *headers;           /* of every request that does not give them itself */
    aio_timeouts       timeout;           /* of requests that give none */
    /* for https; NULL: the default, which verifies. The session keeps a reference */
    aio_tls_context   *tls_context;
    bool               raise_for_status;  /* a status from 400 on is an error of the request: AIO_ESTATUS */
    bool               force_close;       /* no connection is kept for another request */
    double             keepalive_timeout; /* seconds that an idle connection is kept; 0: 15, AIO_UNLIMITED: for ever */
    int                max_line_size, max_field_size, max_headers; /* of a response's head; 0: 8190, 8190, 128 */
    bool               strict;            /* responses are read without the leniencies (see below) */
    size_t             max_body;          /* bytes that aio_response_read takes; 0: AIO_STREAM_READ_ALL_LIMIT */
    size_t             read_bufsize;      /* up to twice as much of a body is read ahead; 0: 64 KiB */
    int                family;            /* AF_INET, AF_INET6; 0: both */
    const char        *local_host;        /* address to connect from */
    double             happy_eyeballs_delay; /* as for aio_open_connection */
    struct aio_resolver *resolver;        /* asked for hosts' addresses; borrowed. NULL: the system, in a thread */
    double             ttl_dns_cache;     /* seconds that the system's answers are kept, 256 at most; 0: 10 */
    bool               no_dns_cache;      /* they are not kept. aiohttp: use_dns_cache=False */
    const char        *proxy;             /* of requests that name none, as aio_open_connection takes it */
    const char *const *proxy_headers;     /* of CONNECT; Proxy-Authorization comes of the proxy's URL */
    aio_tls_context   *proxy_tls_context; /* for https:// proxies; NULL: the default. The session keeps a reference */
    /* Else the proxies are those of the environment (aio_proxy_from_env), at each request anew; and Authorization, when
     * neither headers nor URL have it, is of $NETRC or ~/.netrc: up to 1 MiB, read then and there; one with an error
     * counts as empty */
    bool               trust_env;
} aio_session_options;

/* Responses are read as browsers and curl read them. What RFC 9112 does not allow, and is taken unless .strict is set:
 * lines of the head that end in LF alone; header lines that are folded, which become one with a space; several spaces
 * before the status or the reason; an end of the connection instead of the empty line after the head, or of what
 * follows the last chunk. Lengths, chunk sizes and Transfer-Encoding are read strictly in any case. */

/* aio_session_open(.limit = 100, ...): a session of this thread's loop. NULL, with errno: ENOMEM, AIO_ENOLOOP, EINVAL
 * (a header, a number or a timeout that is none), AIO_EURL (the base URL, a proxy). aiohttp: ClientSession,
 * TCPConnector */
#define aio_session_open(...) aio_session_open_with(AIO__OPTIONS(aio_session_options, __VA_ARGS__))
AIO_API aio_session *aio_session_open_with(const aio_session_options *options);
/* Takes the session: requests on their way fail, connections are closed for good. Responses that are left still have to
 * be released. NULL is fine. aiohttp: session.close() */
AIO_API aio_future *aio_session_close(aio_session *session);
/* Connections that serve a request / that wait for the next one. */
AIO_API size_t aio_session_busy(const aio_session *session);
AIO_API size_t aio_session_idle(const aio_session *session);

typedef struct aio_request_options {
    const char *const *headers;         /* take the place of the session's and of the automatic ones */
    const aio_headers *header_fields;   /* the same in another form */
    const char *const *params;          /* encoded, and added to the URL's query */
    const void        *data;            /* the body ... */
    size_t             data_length;     /* ... of that many bytes */
    const char        *json;            /* a body of JSON text, up to its NUL, with the content type of JSON */
    bool               borrow_data;     /* data or json stay where they are until the response: they are not copied */
    aio_timeouts       timeout;         /* what is 0 is as the session has it */
    bool               raise_for_status;/* besides the session's */
    const char        *proxy;           /* takes the place of the session's; "": none, nor the environment's */
} aio_request_options;

typedef struct aio_response_task { aio_task task; aio_response *result; } aio_response_task;

/* aio_session_get(session, url, .params = ..., .timeout = { .total = 10 }): sends a request and gives its response as
 * soon as the head is there: yours, to be released. What it is given is copied. Errors: AIO_EURL, EINVAL, AIO_ERESOLVE,
 * errno values of connect, AIO_ETLS, AIO_ECERTIFICATE, AIO_EDISCONNECTED, AIO_EHTTP, AIO_ELIMIT, AIO_ETIMEOUT,
 * AIO_ESTATUS, AIO_EPROXY, AIO_ERUNTIME (the session is closed); the message names method and URL. A user in the URL
 * becomes Authorization. Through a proxy that speaks HTTP, http:// URLs are asked for in absolute form; all else goes
 * through a tunnel. aiohttp: session.get(url) */
#define aio_session_get(...)     AIO__SESSION_REQUEST("GET", __VA_ARGS__, )
#define aio_session_post(...)    AIO__SESSION_REQUEST("POST", __VA_ARGS__, )
#define aio_session_put(...)     AIO__SESSION_REQUEST("PUT", __VA_ARGS__, )
#define aio_session_patch(...)   AIO__SESSION_REQUEST("PATCH", __VA_ARGS__, )
#define aio_session_delete(...)  AIO__SESSION_REQUEST("DELETE", __VA_ARGS__, )
#define aio_session_head(...)    AIO__SESSION_REQUEST("HEAD", __VA_ARGS__, )
#define aio_session_request(session, method, ...) AIO__SESSION_REQUEST(method, session, __VA_ARGS__, )
#define AIO__SESSION_REQUEST(method, session, url, ...) \
    aio_session_request_with((session), (method), (url), AIO__OPTIONS(aio_request_options, __VA_ARGS__))
AIO_API aio_response_task *aio_session_request_with(aio_session *session, const char *method, const char *url,
                                                    const aio_request_options *options);

struct aio_response { /* read-only */
    int                status;   /* 200 */
    int                version;  /* of HTTP/1.x: 0 or 1 */
    const char        *reason;   /* "OK"; may be empty */
    const char        *method;   /* of the request */
    const char        *url;      /* in normal form */
    aio_headers        headers;
    int64_t            content_length; /* of HEAD and 304 what a body would have; -1: not known beforehand */
    aio_response_times times;
};

typedef struct aio_text_task { aio_task task; aio_text result; } aio_text_task;

/* The whole body (what of it was not read yet); the same text again when it is called again. It belongs to the response
 * and ends in a NUL. AIO_ELIMIT over the session's max_body, AIO_EPAYLOAD when it is cut short. aiohttp: read(),
 * text() */
AIO_API aio_text_task *aio_response_read(aio_response *response);
AIO_API aio_text_task *aio_response_text(aio_response *response);
/* The next piece of the body, as it comes; none at its end, where AIO_ASYNC_FOR ends. It is borrowed until the next
 * call. Who reads slowly slows the server down. aiohttp: content.iter_any() */
AIO_API aio_text_task *aio_response_read_chunk(aio_response *response);
/* The response's head as it came, byte for byte, from the status line to the empty line. aiohttp: raw_headers */
AIO_API aio_text aio_response_head(const aio_response *response);
/* The fields that came after a chunked body, once all of it has been read; before, and if there were none, an empty
 * list. They are up to the server: what concerns framing or the connection means nothing there. NULL without memory. */
AIO_API const aio_headers *aio_response_trailers(aio_response *response);
/* Fails with AIO_ESTATUS for a status from 400 on. aiohttp: raise_for_status() */
AIO_API aio_future *aio_response_raise_for_status(const aio_response *response);
/* Takes the response. Its connection goes back to the pool if the body has been read or has come already, else it is
 * closed. NULL is fine. aiohttp: release() / the connection is closed in any case: close() */
AIO_API void aio_response_release(aio_response *response);
AIO_API void aio_response_close(aio_response *response);

/* ============================================================================
 * 20. HTTP server
 *
 * A small HTTP/1.1 server: handler coroutines, keep-alive, chunked bodies, TLS. It is an aio_server: aio_server_port,
 * aio_server_close, aio_server_wait_closed and the others are for it, too. aio_server_close ends connections between
 * two requests; those that serve one end after it.
 * ============================================================================ */

/* A request that came. Belongs to the server, and lives until its handler's coroutine ends. Its texts end in a NUL. */
typedef struct aio_request {
    aio_text    method;
    aio_text    target;   /* as it came */
    aio_text    path;     /* percent-encoded, begins with '/'; "*" of OPTIONS, host:port of CONNECT */
    aio_text    query;    /* percent-encoded, without the '?'; data NULL: there is none */
    aio_text    authority; /* host, or host:port, that is asked: of the target, else of Host; "": HTTP/1.0 without it */
    aio_headers headers;
    int         version;  /* of HTTP/1.x: 0 or 1 */
    aio_stream *stream;   /* whose peername may be asked for */
    void       *arg;      /* what the server was started with */
} aio_request;

/* Makes the coroutine that answers: return AIO_CALL(name, .request = request). If it ends with an error, or without an
 * answer, the client gets status 500. NULL: no memory, status 503. */
typedef void *aio_request_handler(aio_request *request, void *arg);

typedef struct aio_http_server_options {
    aio_tls_context *tls_context;       /* made with .server = true; https. The server keeps a reference */
    double           tls_timeout;       /* as for aio_start_server */
    double           tls_shutdown_timeout; /* too, but 0: 2; what comes meanwhile is dropped */
    double           header_timeout;    /* seconds from a request's first byte to the end of its head; 0: 60 */
    double           keepalive_timeout; /* seconds that a connection may wait for a request; 0: 75 */
    double           body_timeout;      /* seconds between two pieces of a request's body; 0: 60 */
    double           body_total_timeout; /* seconds from the first wait for a body to its end; 0: 300 */
    double           write_timeout;     /* seconds in which a client must take 64 KiB of an answer, or its end; 0: 60 */
    size_t           max_body;          /* bytes that aio_request_read takes, else status 413; 0: 1 MiB */
    int              max_line_size, max_field_size, max_headers; /* 0: 8190, 8190, 128 */
    int              backlog;           /* these as for aio_start_server */
    bool             reuse_port;
    int              max_clients;
    int              family;
} aio_http_server_options;

/* aio_start_http_server(handler, arg, host, port, ...): as aio_start_server. aiohttp: web.Server, TCPSite */
#define aio_start_http_server(...) AIO__START_HTTP_SERVER(__VA_ARGS__, )
#define AIO__START_HTTP_SERVER(handler, arg, host, port, ...) \
    aio_start_http_server_with((handler), (arg), (host), (port), AIO__OPTIONS(aio_http_server_options, __VA_ARGS__))
AIO_API aio_server_task *aio_start_http_server_with(aio_request_handler *handler, void *arg, const char *host, int port,
                                                    const aio_http_server_options *options);

/* The whole body (what of it was not read yet); it belongs to the request and ends in a NUL. AIO_ELIMIT over max_body
 * (the client gets 413 if nobody catches it), AIO_EPAYLOAD when it is cut short. aiohttp: request.read() */
AIO_API aio_text_task *aio_request_read(aio_request *request);
/* The next piece of it; none at its end, where AIO_ASYNC_FOR ends. Borrowed until the next call. */
AIO_API aio_text_task *aio_request_read_chunk(aio_request *request);

/* The value of a parameter of the query, decoded ("+" is a space), and of repeated ones the index-th: data NULL when
 * there is none. Belongs to the request, and ends in a NUL. aiohttp: request.query.get(name), getall
 *   aio_request_query(request, "name")    aio_request_query(request, "name", index) */
#define aio_request_query(...) AIO__REQUEST_QUERY(__VA_ARGS__, 0, )
#define AIO__REQUEST_QUERY(request, name, index, ...) aio_request_query_at((request), (name), (index))
AIO_API aio_text aio_request_query_at(aio_request *request, const char *name, size_t index);
/* One after the other, from *position 0 on; false at the end. Theirs as above. */
AIO_API bool aio_request_query_next(aio_request *request, size_t *position, aio_text *name, aio_text *value);

typedef struct aio_respond_options {
    const char *const *headers;       /* names and values, up to a NULL; take the place of the automatic ones */
    const aio_headers *header_fields; /* the same in another form */
    /* default: of text "text/plain; charset=utf-8", else "application/octet-stream" */
    const char        *content_type;
    const char        *text;          /* a body up to its NUL; or: */
    const void        *body;
    size_t             length;        /* of `body`; in aio_request_start: of what follows, if it is known */
    bool               close;         /* the connection is closed after this answer */
} aio_respond_options;

/* aio_request_respond(request, status, .text = "..."): answers. Awaiting it waits until the client keeps up. What it is
 * given is copied or sent before it returns. AIO_ERUNTIME when there was an answer already, EINVAL for a header that is
 * none, or one that the server writes itself (Content-Length, Transfer-Encoding, Connection). aiohttp: web.Response */
#define aio_request_respond(...) AIO__REQUEST_RESPOND(__VA_ARGS__, )
#define AIO__REQUEST_RESPOND(request, status, ...) \
    aio_request_respond_with((request), (status), AIO__OPTIONS(aio_respond_options, __VA_ARGS__))
AIO_API aio_future *aio_request_respond_with(aio_request *request, int status, const aio_respond_options *options);
/* An answer in pieces: begin, any number of chunks, end. Without .length it is chunked (for HTTP/1.0: ended by
 * closing). AIO_ERUNTIME out of order, EINVAL when .length is not kept. aiohttp: web.StreamResponse prepare, write,
 * write_eof */
#define aio_request_start(...) AIO__REQUEST_START(__VA_ARGS__, )
#define AIO__REQUEST_START(request, status, ...) \
    aio_request_start_with((request), (status), AIO__OPTIONS(aio_respond_options, __VA_ARGS__))
AIO_API aio_future *aio_request_start_with(aio_request *request, int status, const aio_respond_options *options);
AIO_API aio_future *aio_request_chunk(aio_request *request, const void *data, size_t length);
AIO_API aio_future *aio_request_end(aio_request *request);

typedef struct aio_upgrade_options {
    const char        *protocol;      /* one that the request's Upgrade field offers; not of CONNECT */
    const char *const *headers;       /* these two as for aio_request_respond */
    const aio_headers *header_fields;
} aio_upgrade_options;

/* aio_request_upgrade(request, .protocol = "websocket"): answers 101 (to CONNECT 200), and gives the stream, with what
 * has come behind the head unread. It speaks no HTTP any more; it is the server's, and closes when the handler ends.
 * EINVAL when the client asks for nothing of the kind, AIO_ERUNTIME when there was an answer or the body is unread.
 * aiohttp: web.WebSocketResponse */
#define aio_request_upgrade(...) AIO__REQUEST_UPGRADE(__VA_ARGS__, )
#define AIO__REQUEST_UPGRADE(request, ...) \
    aio_request_upgrade_with((request), AIO__OPTIONS(aio_upgrade_options, __VA_ARGS__))
AIO_API aio_stream_task *aio_request_upgrade_with(aio_request *request, const aio_upgrade_options *options);

/* ============================================================================
 * 21. Introspection
 *
 * Who awaits what: the tasks of a loop as a tree, on demand or on a signal. `file` is a stdio stream (a FILE *).
 * ============================================================================ */

/* Every task of this thread's loop that is not done: its name, the lines where its coroutines stand, outermost first,
 * and what the innermost one awaits. */
AIO_API void aio_print_tasks(void *file);
/* One task (or any future): the same, and then downwards through what it awaits (tasks, gather, wait, shield, groups),
 * and upwards to who awaits it. Long chains and wide gathers are cut, and say so. asyncio: print_call_graph */
AIO_API void aio_print_call_graph(const void *task, void *file);
/* aio_print_tasks to stderr whenever the signal arrives. Codes and removal as aio_loop_add_signal_handler. */
AIO_API int  aio_print_tasks_on_signal(aio_loop *loop, int signum);

#ifdef __cplusplus
}
#endif
#endif /* AIO_H_INCLUDED */

#ifdef AIO_IMPLEMENTATION
#ifndef AIO__IMPLEMENTATION_INCLUDED
#define AIO__IMPLEMENTATION_INCLUDED

/* ============================================================================
 * 22. Platform and the seam
 *
 * System headers, and aio__os: the one table through which every allocation, system call, OpenSSL call and reading of
 * the clock goes. A test replaces an entry to fail the Nth call, to shorten a read, or to own the time. A program
 * that never writes to the table pays nothing for it: the compiler sees that.
 * ============================================================================ */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h> /* getentropy */
#endif
#if defined(__linux__) && !defined(AIO_NO_LINUX)
#define AIO__LINUX 1
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#else
#define AIO__LINUX 0
#endif
#ifndef AIO_NO_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#if OPENSSL_VERSION_NUMBER >= 0x30000000L && OPENSSL_VERSION_NUMBER < 0x30200000L && !defined(LIBRESSL_VERSION_NUMBER)
#define AIO__TLS_LIBRARY 1 /* see aio__tls_library */
#include <openssl/core_dispatch.h>
#include <openssl/provider.h>
#else
#define AIO__TLS_LIBRARY 0
#endif
#endif
#ifdef MSG_NOSIGNAL
#define AIO__NOSIGNAL MSG_NOSIGNAL
#else
#define AIO__NOSIGNAL 0
#endif

#ifndef AIO_MALLOC
#define AIO_MALLOC(size)           malloc(size)
#define AIO_REALLOC(pointer, size) realloc(pointer, size)
#define AIO_FREE(pointer)          free(pointer)
#endif

#define AIO__NOINLINE            __attribute__((__noinline__)) /* keeps rare paths' registers out of hot ones */
#define AIO__LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define AIO__UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define AIO__CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

#ifdef __cplusplus
extern "C" {
#endif

AIO_API const char *aio_version(void) { return AIO_VERSION; }

static void *aio__os_malloc(size_t size) { return AIO_MALLOC(size); }
static void *aio__os_realloc(void *pointer, size_t size) { return AIO_REALLOC(pointer, size); }
static void aio__os_free(void *pointer) { AIO_FREE(pointer); }

/* Nanoseconds of the monotonic clock. */
static int64_t aio__os_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t aio__os_wall(void) { return (int64_t)time(NULL); }

/* Days from 1970-01-01 to that date; months count from 0. A year is counted from March on: its leap day is then the
 * last one. */
static int64_t aio__days(int64_t year, int month, int64_t day)
{
    int64_t early = month < 2, since = month - 2 + 12 * early;
    year -= early;
    return 365 * year + year / 4 - year / 100 + year / 400 + (153 * since + 2) / 5 + day - 719469;
}

/* Zeroes a secret, though nobody reads it afterwards. */
static void aio__wipe(void *data, size_t length)
{
    volatile char *at = (volatile char *)data;
    while (length--) *at++ = 0;
}

static int aio__os_fcntl(int fd, int command, int value) { return fcntl(fd, command, value); }
static int aio__os_open(const char *path, int flags) { return open(path, flags | O_CLOEXEC); }
/* A new file, for its owner alone. */
static int aio__os_create(const char *path) { return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); }
static int aio__os_stat(const char *path, struct stat *status) { return stat(path, status); }
static int aio__os_fstat(int fd, struct stat *status) { return fstat(fd, status); }

/* glibc declares a transparent union for addresses, which no pointer to a function matches. */
static int aio__os_bind(int fd, const struct sockaddr *address, socklen_t length) { return bind(fd, address, length); }
#if AIO__LINUX
enum { AIO__SOCKET_FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC }; /* elsewhere aio__socket and aio__accept set them */
static int aio__os_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    return accept4(fd, address, length, AIO__SOCKET_FLAGS);
}
#else
enum { AIO__SOCKET_FLAGS = 0 };
static int aio__os_accept(int fd, struct sockaddr *address, socklen_t *length) { return accept(fd, address, length); }
#endif
static int aio__os_connect(int fd, const struct sockaddr *to, socklen_t length) { return connect(fd, to, length); }
static int aio__os_getsockname(int fd, struct sockaddr *name, socklen_t *length)
{
    return getsockname(fd, name, length);
}
static int aio__os_getpeername(int fd, struct sockaddr *name, socklen_t *length)
{
    return getpeername(fd, name, length);
}

/* Nanoseconds < 0: until it is signalled. 0, or ETIMEDOUT. The condition is of aio__os_cond_init. */
static int aio__os_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t nanoseconds)
{
    if (nanoseconds < 0) return pthread_cond_wait(condition, mutex);
    struct timespec until;
#ifdef __APPLE__
    until.tv_sec = (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    return pthread_cond_timedwait_relative_np(condition, mutex, &until);
#else
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t most = INT32_MAX, seconds = nanoseconds / 1000000000;
    until.tv_sec += (time_t)(seconds < most ? seconds : most);
    until.tv_nsec += (long)(nanoseconds % 1000000000);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    return pthread_cond_timedwait(condition, mutex, &until);
#endif
}

/* A condition that counts time on the monotonic clock. 0 or a code. */
static int aio__os_cond_init(pthread_cond_t *condition)
{
#ifdef __APPLE__
    return pthread_cond_init(condition, NULL);
#else
    pthread_condattr_t attributes;
    int code = pthread_condattr_init(&attributes);
    if (code) return code;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    code = pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return code;
#endif
}

static int aio__os_mutex_init(pthread_mutex_t *mutex) { return pthread_mutex_init(mutex, NULL); }

static int aio__os_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
    return pthread_create(thread, NULL, run, arg);
}

static int aio__os_join(pthread_t thread) { return pthread_join(thread, NULL); }

static int aio__os_cores(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }

static int aio__os_sigaction(int signum, const struct sigaction *action, struct sigaction *old)
{
    return sigaction(signum, action, old);
}

static int aio__os_pipe(int *fds)
{
#if AIO__LINUX
    return pipe2(fds, O_CLOEXEC); /* no other thread's child gets them in between */
#else
    return pipe(fds);
#endif
}

/* A call that may raise SIGPIPE, without it: one that comes is taken back, unless there was one already. */
#define AIO__NO_SIGPIPE(call)                                                                       \
    do {                                                                                            \
        sigset_t only, before, after, old;                                                          \
        int signum;                                                                                 \
        sigemptyset(&only);                                                                         \
        sigaddset(&only, SIGPIPE);                                                                  \
        sigemptyset(&before);                                                                       \
        sigpending(&before);                                                                        \
        pthread_sigmask(SIG_BLOCK, &only, &old);                                                    \
        ssize_t n = (call);                                                                         \
        int code = errno;                                                                           \
        if (n < 0 && code == EPIPE && !sigismember(&before, SIGPIPE) && sigpending(&after) == 0     \
            && sigismember(&after, SIGPIPE)) sigwait(&only, &signum);                               \
        pthread_sigmask(SIG_SETMASK, &old, NULL);                                                   \
        errno = code;                                                                               \
        return n;                                                                                   \
    } while (0)

static ssize_t aio__os_pipe_write(int fd, const void *data, size_t length)
{
    AIO__NO_SIGPIPE(write(fd, data, length));
}

static ssize_t aio__os_pread(int fd, void *data, size_t length, int64_t offset)
{
    return pread(fd, data, length, (off_t)offset);
}

#if AIO__LINUX
static ssize_t aio__os_sendfile(int to, int file, int64_t offset, size_t length)
{
    off_t at = (off_t)offset;
    AIO__NO_SIGPIPE(sendfile(to, file, &at, length));
}
#endif

/* What a program is started with. */
typedef struct aio__spawn {
    char *const *argv, *const *env; /* env NULL: ours */
    const char  *cwd;
    int          stdio[3];          /* a descriptor above 2, or AIO_INHERIT, AIO_STDOUT, AIO_DEVNULL */
    bool         new_session, new_group, keep_signals;
} aio__spawn;

/* 0 or a code, that of exec and chdir in the child included. */
static int aio__os_spawn(pid_t *pid, const aio__spawn *spawn)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int code = posix_spawn_file_actions_init(&actions);
    if (code) return code;
    code = posix_spawnattr_init(&attributes);
    if (code) {
        posix_spawn_file_actions_destroy(&actions);
        return code;
    }
    for (int i = 0; i < 3 && !code; i++) {
        int from = spawn->stdio[i];
        if (from == AIO_DEVNULL) code = posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
        else if (from == AIO_STDOUT) code = posix_spawn_file_actions_adddup2(&actions, 1, i);
        else if (from != AIO_INHERIT) code = posix_spawn_file_actions_adddup2(&actions, from, i);
    }
    /* descriptors above 2 stay here */
#if AIO__LINUX && defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 34)
    if (!code) code = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
#else
    long most = sysconf(_SC_OPEN_MAX);
    for (int fd = 3; fd < (most > 0 && most < 65536 ? most : 65536) && !code; fd++) {
        int kept = fcntl(fd, F_GETFD);
        if (kept >= 0 && !(kept & FD_CLOEXEC)) code = posix_spawn_file_actions_addclose(&actions, fd);
    }
#endif
    if (!code && spawn->cwd) code = posix_spawn_file_actions_addchdir_np(&actions, spawn->cwd);
    short flags = spawn->keep_signals ? 0 : POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    sigset_t none, all; /* what this thread blocks, and the process ignores, would outlast exec */
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
#ifdef POSIX_SPAWN_SETSID
    if (spawn->new_session) flags |= POSIX_SPAWN_SETSID;
#else
    if (spawn->new_session) code = ENOTSUP;
#endif
    if (spawn->new_group && !spawn->new_session) flags |= POSIX_SPAWN_SETPGROUP;
    if (!code) code = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!code) code = posix_spawnattr_setsigmask(&attributes, &none);
    if (!code) code = posix_spawnattr_setflags(&attributes, flags);
    if (!code)
        code = posix_spawnp(pid, spawn->argv[0], &actions, &attributes, spawn->argv, spawn->env ? spawn->env : environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

/* Blocks until the child has ended; it stays to be reaped. 0, or -1 with errno. */
static int aio__os_wait_ended(pid_t pid)
{
    siginfo_t info;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
}

#if AIO__LINUX
static int aio__os_pidfd_open(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    errno = ENOSYS;
    return -1;
#endif
}
#endif

/* OpenSSL's calls that have nothing to fail for. */
#define AIO__TLS_CALLS(X)                                                                           \
    X(BIO_clear_flags) X(BIO_set_flags) X(BIO_get_data) X(BIO_set_data) X(BIO_get_new_index)        \
    X(BIO_meth_set_create) X(BIO_meth_set_ctrl) X(BIO_meth_set_read) X(BIO_meth_set_write)          \
    X(BIO_set_init) X(ERR_clear_error) X(ERR_peek_error) X(ERR_reason_error_string)                 \
    X(SSL_CIPHER_get_name) X(SSL_CTX_ctrl) X(SSL_CTX_set_alpn_select_cb)                            \
    X(SSL_CTX_set_default_read_buffer_len) X(SSL_CTX_set_options) X(SSL_CTX_set_session_id_context) \
    X(SSL_CTX_set_verify) X(SSL_get0_alpn_selected) X(SSL_get0_param) X(SSL_get_current_cipher)     \
    X(SSL_get_verify_result) X(SSL_get_version) X(SSL_has_pending) X(SSL_is_init_finished)          \
    X(SSL_select_next_proto) X(SSL_set_accept_state) X(SSL_set_bio) X(SSL_set_connect_state)        \
    X(ASN1_STRING_get0_data) X(ASN1_STRING_length) X(ASN1_TIME_to_tm) X(BIO_ctrl) X(BIO_free)       \
    X(BIO_s_mem) X(BIO_write) X(EVP_sha256) X(GENERAL_NAMES_free) X(OPENSSL_sk_num)                 \
    X(OPENSSL_sk_value) X(SSL_CTX_callback_ctrl) X(SSL_CTX_set_default_passwd_cb)                   \
    X(SSL_CTX_set_default_passwd_cb_userdata) X(SSL_get_servername) X(SSL_get_peer_certificate)     \
    X(X509_NAME_print_ex) X(X509_free) X(X509_get0_notAfter) X(X509_get0_notBefore)                 \
    X(X509_get_ext_d2i) X(X509_get_issuer_name) X(X509_get_subject_name) X(i2d_X509)                \
    X(SSL_CTX_sess_set_new_cb) X(SSL_CTX_set_num_tickets) X(SSL_SESSION_free)                       \
    X(SSL_SESSION_get_protocol_version) X(SSL_SESSION_is_resumable) X(SSL_get_rbio)                 \
    X(SSL_session_reused) X(SSL_set_session) X(SSL_set_shutdown)                                    \
    X(SSL_set_hostflags) X(TLS_client_method) X(TLS_server_method) X(X509_verify_cert_error_string)
#define AIO__TLS_LIBRARY_CALLS(X)                                                                 \
    X(EVP_default_properties_is_fips_enabled) X(OSSL_LIB_CTX_free) X(OSSL_PROVIDER_do_all)          \
    X(OSSL_PROVIDER_get0_name) X(OSSL_PROVIDER_get0_provider_ctx) X(OSSL_PROVIDER_get_capabilities) \
    X(OSSL_PROVIDER_query_operation)
#define AIO__CALL_TYPE(name)  typedef __typeof__(name) aio__call_##name;
#define AIO__CALL_FIELD(name) aio__call_##name *name;
#define AIO__CALL_ENTRY(name) name,
#ifndef AIO_NO_TLS
AIO__TLS_CALLS(AIO__CALL_TYPE)
#if AIO__TLS_LIBRARY
AIO__TLS_LIBRARY_CALLS(AIO__CALL_TYPE)
#endif
#endif

struct aio__os {
    bool    plain; /* no slabs: every object is an allocation of its own, which can fail and which checkers see */
    void   *(*malloc)(size_t);
    void   *(*realloc)(void *, size_t);
    void    (*free)(void *);
    int64_t (*clock)(void);
    int64_t (*wall)(void);  /* seconds since 1970 */
    int     (*poll)(struct pollfd *, nfds_t, int);
    int     (*pipe)(int *);
    int     (*fcntl)(int, int, int);
    ssize_t (*read)(int, void *, size_t);
    ssize_t (*write)(int, const void *, size_t);
    int     (*close)(int);
    int     (*mutex_init)(pthread_mutex_t *); /* these five give 0 or a code */
    int     (*cond_init)(pthread_cond_t *);
    int     (*cond_wait)(pthread_cond_t *, pthread_mutex_t *, int64_t);
    int     (*thread)(pthread_t *, void *(*)(void *), void *);
    int     (*join)(pthread_t);
    int     (*detach)(pthread_t);
    int     (*cores)(void);
    int     (*sigaction)(int, const struct sigaction *, struct sigaction *);
    int     (*socket)(int, int, int);
    int     (*bind)(int, const struct sockaddr *, socklen_t);
    int     (*listen)(int, int);
    int     (*accept)(int, struct sockaddr *, socklen_t *);
    int     (*connect)(int, const struct sockaddr *, socklen_t);
    int     (*shutdown)(int, int);
    ssize_t (*recv)(int, void *, size_t, int);
    ssize_t (*send)(int, const void *, size_t, int);
    ssize_t (*sendmsg)(int, const struct msghdr *, int);
    ssize_t (*recvmsg)(int, struct msghdr *, int);
    int     (*getsockopt)(int, int, int, void *, socklen_t *);
    int     (*setsockopt)(int, int, int, const void *, socklen_t);
    int     (*getsockname)(int, struct sockaddr *, socklen_t *);
    int     (*getpeername)(int, struct sockaddr *, socklen_t *);
    int     (*unlink)(const char *);
    int     (*stat)(const char *, struct stat *);
    int     (*fstat)(int, struct stat *);
    ssize_t (*pread)(int, void *, size_t, int64_t);
    ssize_t (*pipe_write)(int, const void *, size_t);
    int     (*spawn)(pid_t *, const aio__spawn *); /* 0 or a code */
    pid_t   (*waitpid)(pid_t, int *, int);
    int     (*wait_ended)(pid_t);
    int     (*kill)(pid_t, int);
    int     (*getaddrinfo)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    void    (*freeaddrinfo)(struct addrinfo *);
    int     (*open)(const char *, int);
    int     (*create)(const char *);
    int     (*fsync)(int);
    int     (*rename)(const char *, const char *);
    int     (*getentropy)(void *, size_t); /* random bytes that nobody can guess; 256 at most */
#if AIO__LINUX
    int     (*epoll_create1)(int);
    int     (*epoll_ctl)(int, int, int, struct epoll_event *);
    int     (*epoll_wait)(int, struct epoll_event *, int, int);
    int     (*eventfd)(unsigned, int);
    int     (*pidfd_open)(pid_t);
    ssize_t (*sendfile)(int, int, int64_t, size_t);
#endif
#ifndef AIO_NO_TLS
    SSL_CTX    *(*SSL_CTX_new)(const SSL_METHOD *);
    void        (*SSL_CTX_free)(SSL_CTX *);
    int         (*SSL_CTX_use_certificate_chain_file)(SSL_CTX *, const char *);
    int         (*SSL_CTX_use_PrivateKey_file)(SSL_CTX *, const char *, int);
    int         (*SSL_CTX_load_verify_locations)(SSL_CTX *, const char *, const char *);
    int         (*SSL_CTX_set_default_verify_paths)(SSL_CTX *);
    int         (*SSL_CTX_set_alpn_protos)(SSL_CTX *, const unsigned char *, unsigned);
    int         (*SSL_CTX_set_cipher_list)(SSL_CTX *, const char *);
    SSL_CTX    *(*SSL_set_SSL_CTX)(SSL *, SSL_CTX *);
    int         (*X509_digest)(const X509 *, const EVP_MD *, unsigned char *, unsigned *);
    SSL        *(*SSL_new)(SSL_CTX *);
    long        (*SSL_ctrl)(SSL *, int, long, void *);
    int         (*SSL_set1_host)(SSL *, const char *);
    int         (*X509_VERIFY_PARAM_set1_ip_asc)(X509_VERIFY_PARAM *, const char *);
    void        (*SSL_free)(SSL *);
    BIO        *(*BIO_new)(const BIO_METHOD *);
    BIO_METHOD *(*BIO_meth_new)(int, const char *);
    int         (*SSL_do_handshake)(SSL *);
    void        (*SSL_CTX_set_msg_callback)(SSL_CTX *, void (*)(int, int, int, const void *, size_t, SSL *, void *));
    int         (*SSL_read)(SSL *, void *, int);
    int         (*SSL_peek)(SSL *, void *, int);
    int         (*SSL_write)(SSL *, const void *, int);
    int         (*SSL_shutdown)(SSL *);
    int         (*SSL_get_error)(const SSL *, int);
#if AIO__TLS_LIBRARY
    SSL_CTX       *(*SSL_CTX_new_ex)(OSSL_LIB_CTX *, const char *, const SSL_METHOD *);
    OSSL_LIB_CTX  *(*OSSL_LIB_CTX_new)(void);
    OSSL_PROVIDER *(*OSSL_PROVIDER_load)(OSSL_LIB_CTX *, const char *);
    OSSL_PROVIDER *(*OSSL_PROVIDER_try_load)(OSSL_LIB_CTX *, const char *, int);
    int            (*OSSL_PROVIDER_add_builtin)(OSSL_LIB_CTX *, const char *, OSSL_provider_init_fn *);
#endif
    AIO__TLS_CALLS(AIO__CALL_FIELD)
#if AIO__TLS_LIBRARY
    AIO__TLS_LIBRARY_CALLS(AIO__CALL_FIELD)
#endif
#endif
};
static struct aio__os aio__os = {
    false, aio__os_malloc, aio__os_realloc, aio__os_free, aio__os_clock, aio__os_wall, poll, aio__os_pipe,
    aio__os_fcntl, read, write, close,
    aio__os_mutex_init, aio__os_cond_init, aio__os_cond_wait, aio__os_thread, aio__os_join, pthread_detach,
    aio__os_cores,
    aio__os_sigaction, socket, aio__os_bind, listen, aio__os_accept, aio__os_connect, shutdown, recv, send, sendmsg,
    recvmsg, getsockopt, setsockopt, aio__os_getsockname, aio__os_getpeername, unlink, aio__os_stat,
    aio__os_fstat, aio__os_pread, aio__os_pipe_write, aio__os_spawn, waitpid, aio__os_wait_ended, kill, getaddrinfo,
    freeaddrinfo, aio__os_open, aio__os_create, fsync, rename, getentropy,
#if AIO__LINUX
    epoll_create1, epoll_ctl, epoll_wait, eventfd, aio__os_pidfd_open, aio__os_sendfile,
#endif
#ifndef AIO_NO_TLS
    SSL_CTX_new, SSL_CTX_free, SSL_CTX_use_certificate_chain_file, SSL_CTX_use_PrivateKey_file,
    SSL_CTX_load_verify_locations, SSL_CTX_set_default_verify_paths, SSL_CTX_set_alpn_protos,
    SSL_CTX_set_cipher_list, SSL_set_SSL_CTX, X509_digest, SSL_new, SSL_ctrl,
    SSL_set1_host, X509_VERIFY_PARAM_set1_ip_asc, SSL_free, BIO_new, BIO_meth_new, SSL_do_handshake,
    SSL_CTX_set_msg_callback, SSL_read, SSL_peek, SSL_write, SSL_shutdown, SSL_get_error,
#if AIO__TLS_LIBRARY
    SSL_CTX_new_ex, OSSL_LIB_CTX_new, OSSL_PROVIDER_load, OSSL_PROVIDER_try_load, OSSL_PROVIDER_add_builtin,
#endif
    AIO__TLS_CALLS(AIO__CALL_ENTRY)
#if AIO__TLS_LIBRARY
    AIO__TLS_LIBRARY_CALLS(AIO__CALL_ENTRY)
#endif
#endif
};

/* A misuse that cannot be given back as an error: says what and where, and ends the program. */
static void aio__abort(const char *what, const char *file, int line)
{
    fprintf(stderr, "aio.h: %s (%s:%d)\n", what, file, line);
    abort();
}

/* Non-blocking and closed on exec. 0, or -1 with errno. */
static int aio__fd_prepare(int fd)
{
    int status = aio__os.fcntl(fd, F_GETFL, 0);
    if (status < 0 || aio__os.fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0) return -1;
    return aio__os.fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : 0;
}

/* Closes what a failed call leaves; errno stays. -1. */
static int aio__close_failed(int fd)
{
    int code = errno;
    aio__os.close(fd);
    errno = code;
    return -1;
}

static int aio__socket_prepared(int fd)
{
    return fd < 0 || AIO__SOCKET_FLAGS != 0 || aio__fd_prepare(fd) == 0 ? fd : aio__close_failed(fd);
}

/* Sockets, non-blocking and closed on exec; -1 with errno. */
static int aio__socket(int family, int type)
{
    return aio__socket_prepared(aio__os.socket(family, type | AIO__SOCKET_FLAGS, 0));
}

static int aio__accept(int fd) { return aio__socket_prepared(aio__os.accept(fd, NULL, NULL)); }

/* ============================================================================
 * 23. Memory
 *
 * General allocations (aio__malloc), and the slabs of a loop: free lists by size class, carved from blocks of 64 KiB.
 * A heap keeps every object of one kind of use: `frames` all begin with an aio_future, so that the live ones can be
 * visited. With aio__os.plain, in debug mode, and above 1 KiB an object has an allocation of its own, a prefix before
 * it, and a place in a list. Blocks go back when the loop is freed.
 * ============================================================================ */

enum { AIO__GRAIN = 16, AIO__SLAB_MAX = 1024, AIO__CLASSES = AIO__SLAB_MAX / AIO__GRAIN, AIO__SLAB_BLOCK = 65536 - 64 };

typedef struct aio__block_head aio__block_head;
struct aio__block_head { /* a block; the slots follow */
    aio__block_head *next;
    size_t           slot;
};

/* What a free slot is. `refs` stands where an aio_future has its own: 0 says that nobody lives here. */
typedef struct aio__slot aio__slot;
struct aio__slot {
    uint32_t   refs;
    aio__slot *next;
};

/* Before an object that has an allocation of its own. */
typedef struct __attribute__((__aligned__(16))) aio__prefix {
    aio__node   node;   /* in heap.own */
    const char *file;   /* where it was made, in debug mode */
    int         line;
    int         listed;
} __attribute__((__aligned__(16))) aio__prefix;

typedef struct aio__heap {
    aio__slot       *free[AIO__CLASSES];
    char            *bump[AIO__CLASSES], *end[AIO__CLASSES]; /* what is left of the newest block of a class */
    aio__block_head *blocks[AIO__CLASSES];                   /* newest first */
    aio__node        own;
} aio__heap;

/* the latest failure of this thread: tells NULL the error from NULL the slip */
static __thread bool aio__out_of_memory;

/* What an allocation gave. An allocator of the user's need not set errno. */
static void *aio__allocated(void *memory)
{
    if (AIO__LIKELY(memory != NULL)) return memory;
    aio__out_of_memory = true;
    errno = ENOMEM;
    return NULL;
}

static void *aio__malloc(size_t size) { return aio__allocated(aio__os.malloc(size ? size : 1)); }

static void *aio__calloc(size_t size)
{
    void *memory = aio__malloc(size);
    if (memory) memset(memory, 0, size);
    return memory;
}

static void *aio__realloc(void *pointer, size_t size)
{
    return aio__allocated(aio__os.realloc(pointer, size ? size : 1));
}

static void aio__free(void *pointer)
{
    if (pointer) aio__os.free(pointer);
}

static char *aio__strndup(const char *text, size_t length)
{
    char *copy = (char *)aio__malloc(length + 1);
    if (!copy) return NULL;
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

/* The order of the stores keeps compilers from making one wide store of two: who reads a half of it at once, as the
 * loop does, would wait. */
static inline void aio__ring_insert(aio__node *before, aio__node *node)
{
    aio__node *last = before->prev;
    node->next = before;
    before->prev = node;
    node->prev = last;
    last->next = node;
}

static void aio__ring_remove(aio__node *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

static void aio__ring_clear(aio__node *ring) { ring->next = ring->prev = ring; }

static bool aio__ring_empty(const aio__node *ring) { return ring->next == ring; }

static void *aio__heap_refill(aio__heap *heap, size_t class_)
{
    size_t slot = (class_ + 1) * AIO__GRAIN;
    aio__block_head *block = (aio__block_head *)aio__malloc(AIO__SLAB_BLOCK);
    if (!block) return NULL;
    block->next = heap->blocks[class_];
    block->slot = slot;
    heap->blocks[class_] = block;
    char *first = (char *)block + ((sizeof *block + AIO__GRAIN - 1) & ~(size_t)(AIO__GRAIN - 1));
    heap->bump[class_] = first + slot;
    heap->end[class_] = (char *)block + AIO__SLAB_BLOCK;
    return first;
}

/* A slot for `size` bytes, at most AIO__SLAB_MAX, not cleared; NULL without memory. */
static inline void *aio__heap_slot(aio__heap *heap, size_t size)
{
    size_t class_ = (size - 1) / AIO__GRAIN;
    aio__slot *slot = heap->free[class_];
    if (AIO__LIKELY(slot != NULL)) {
        heap->free[class_] = slot->next;
        return slot;
    }
    char *bump = heap->bump[class_];
    size_t step = (class_ + 1) * AIO__GRAIN;
    if (!bump || (size_t)(heap->end[class_] - bump) < step) return aio__heap_refill(heap, class_);
    heap->bump[class_] = bump + step;
    return bump;
}

static inline void aio__heap_give(aio__heap *heap, void *memory, size_t size)
{
    size_t class_ = (size - 1) / AIO__GRAIN;
    aio__slot *slot = (aio__slot *)memory;
    slot->refs = 0;
    slot->next = heap->free[class_];
    heap->free[class_] = slot;
}

/* An object with an allocation of its own; heap may be NULL: it is then in no list. */
static void *aio__heap_own(aio__heap *heap, size_t size, const char *file, int line)
{
    aio__prefix *prefix = (aio__prefix *)aio__malloc(sizeof *prefix + size);
    if (!prefix) return NULL;
    prefix->file = file;
    prefix->line = line;
    prefix->listed = heap != NULL;
    if (heap) aio__ring_insert(&heap->own, &prefix->node);
    return prefix + 1;
}

static void aio__heap_disown(void *memory)
{
    aio__prefix *prefix = (aio__prefix *)memory - 1;
    if (prefix->listed) aio__ring_remove(&prefix->node);
    aio__os.free(prefix);
}

/* An object that is no future. The same size is needed to free it. */
static void *aio__pool_alloc(aio__heap *heap, size_t size)
{
    if (aio__os.plain || size > AIO__SLAB_MAX) return aio__heap_own(heap, size, NULL, 0);
    return aio__heap_slot(heap, size);
}

static void aio__pool_free(aio__heap *heap, void *memory, size_t size)
{
    if (aio__os.plain || size > AIO__SLAB_MAX) aio__heap_disown(memory);
    else aio__heap_give(heap, memory, size);
}

/* Calls visit for every live object of a heap of futures. It must not make or free any. */
static void aio__heap_each(aio__heap *heap, void (*visit)(void *object, void *arg), void *arg)
{
    for (int i = 0; i < AIO__CLASSES; i++) {
        for (aio__block_head *block = heap->blocks[i]; block; block = block->next) {
            char *slot = (char *)block + ((sizeof *block + AIO__GRAIN - 1) & ~(size_t)(AIO__GRAIN - 1));
            char *end = block == heap->blocks[i] ? heap->bump[i] : (char *)block + AIO__SLAB_BLOCK;
            for (; (size_t)(end - slot) >= block->slot; slot += block->slot)
                if (((aio__slot *)(void *)slot)->refs) visit(slot, arg);
        }
    }
    aio__node *next;
    for (aio__node *node = heap->own.next; node != &heap->own; node = next) {
        next = node->next;
        visit(AIO__CONTAINER(node, aio__prefix, node) + 1, arg);
    }
}

static void aio__heap_clear(aio__heap *heap)
{
    while (!aio__ring_empty(&heap->own)) aio__heap_disown(AIO__CONTAINER(heap->own.next, aio__prefix, node) + 1);
    for (int i = 0; i < AIO__CLASSES; i++) {
        while (heap->blocks[i]) {
            aio__block_head *block = heap->blocks[i];
            heap->blocks[i] = block->next;
            aio__os.free(block);
        }
        heap->free[i] = NULL;
        heap->bump[i] = heap->end[i] = NULL;
    }
}

/* Bytes on their way: data[start..end) is what is there. A zeroed one is empty. */
typedef struct aio__buffer {
    char  *data; /* owned */
    size_t start, end, capacity;
} aio__buffer;

/* Makes room for n more bytes after the end: moves what is there to the front if that does it, else grows. */
AIO__NOINLINE static bool aio__buffer_grow(aio__buffer *buffer, size_t n)
{
    size_t length = buffer->end - buffer->start, capacity = buffer->capacity;
    if (n > SIZE_MAX / 4 || length > SIZE_MAX / 4) return false;
    if (buffer->start) {
        memmove(buffer->data, buffer->data + buffer->start, length);
        buffer->start = 0;
        buffer->end = length;
        if (capacity - length >= n && length <= capacity / 2) return true;
    }
    capacity = capacity / 2 + length + n;
    if (capacity < 256) capacity = 256;
    char *data = (char *)aio__realloc(buffer->data, capacity);
    if (!data) return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

static bool aio__buffer_reserve(aio__buffer *buffer, size_t n)
{
    return buffer->capacity - buffer->end >= n || aio__buffer_grow(buffer, n);
}

AIO__NOINLINE static bool aio__buffer_append(aio__buffer *buffer, const char *data, size_t n)
{
    if (!n) return true;
    if (!aio__buffer_reserve(buffer, n)) return false;
    memcpy(buffer->data + buffer->end, data, n);
    buffer->end += n;
    return true;
}

/* ---- files, whole ---- */

/* A file's bytes, and a NUL behind them; yours in any case. 0, ENOMEM, what reading it gave, or AIO_ELIMIT: it has more
 * than `most`, and those are there. */
static int aio__file_read(const char *path, size_t most, aio__buffer *text)
{
    int fd, code = 0;
    memset(text, 0, sizeof *text);
    do fd = aio__os.open(path, O_RDONLY); while (fd < 0 && errno == EINTR);
    if (fd < 0) return errno;
    for (ssize_t n = 1; !code && n;) {
        if (text->end > most) code = AIO_ELIMIT;
        else if (!aio__buffer_reserve(text, 4096)) code = ENOMEM;
        else if ((n = aio__os.read(fd, text->data + text->end, 4095)) > 0) text->end += (size_t)n;
        else if (n && errno != EINTR && errno != EAGAIN) code = errno;
    }
    aio__os.close(fd);
    if (code == AIO_ELIMIT) text->end = most;
    if (text->data) text->data[text->end] = '\0';
    return code;
}

static int aio__file_write(int fd, const char *data, size_t length)
{
    while (length) {
        ssize_t n = aio__os.write(fd, data, length);
        if (n < 0 && errno != EINTR && errno != EAGAIN) return errno;
        if (n < 0) continue;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

/* Writes a new file, for its owner alone, and puts it in the place of `path`: whole or not at all. 0 or a code. */
static int aio__file_replace(const char *path, const char *data, size_t length)
{
    uint64_t random;
    size_t size = strlen(path) + 18;
    char *made = (char *)aio__malloc(size);
    if (!made) return ENOMEM;
    int fd = -1, code = 0;
    if (aio__os.getentropy(&random, sizeof random) < 0) code = errno;
    if (!code) snprintf(made, size, "%s.%016llx", path, (unsigned long long)random);
    if (!code && (fd = aio__os.create(made)) < 0) code = errno;
    if (!code) {
        code = aio__file_write(fd, data, length);
        if (!code && aio__os.fsync(fd) < 0) code = errno;
        if (aio__os.close(fd) < 0 && errno != EINTR && !code) code = errno;
        if (!code && aio__os.rename(made, path) < 0) code = errno;
        if (code) aio__os.unlink(made);
    }
    aio__free(made);
    return code;
}

/* ============================================================================
 * 24. Errors and tracebacks
 *
 * Making, copying and printing exceptions. The two that must never fail for want of memory, ENOMEM and a bare
 * AIO_ECANCELLED, are static; all others are one allocation each, and ENOMEM stands in for one that cannot be made.
 * ============================================================================ */


enum { AIO__MESSAGE_MAX = 512, AIO__TRACEBACK_MAX = 64 };

static const struct { const char *name, *text; } aio__code_table[] = {
#define AIO__ENTRY(name, python, text) { python, text },
    AIO__ERRORS(AIO__ENTRY)
#undef AIO__ENTRY
};

static const struct { int code; const char *name; } aio__errno_table[] = {
    { ENOMEM, "MemoryError" }, { EINVAL, "ValueError" }, { ECONNREFUSED, "ConnectionRefusedError" },
    { ECONNRESET, "ConnectionResetError" }, { ECONNABORTED, "ConnectionAbortedError" }, { EPIPE, "BrokenPipeError" },
    { ENOENT, "FileNotFoundError" }, { EEXIST, "FileExistsError" }, { EACCES, "PermissionError" },
    { EPERM, "PermissionError" }, { EINTR, "InterruptedError" }, { ECHILD, "ChildProcessError" },
    { ESRCH, "ProcessLookupError" }, { ENOTDIR, "NotADirectoryError" }, { EISDIR, "IsADirectoryError" },
    { ETIMEDOUT, "TimeoutError" }, { ENOSYS, "NotImplementedError" },
};

AIO_API const char *aio_code_name(int code)
{
    if (code > AIO__EFIRST && code < AIO__ELAST) return aio__code_table[code - AIO__EFIRST - 1].name;
    for (size_t i = 0; i < sizeof aio__errno_table / sizeof *aio__errno_table; i++)
        if (aio__errno_table[i].code == code) return aio__errno_table[i].name;
    return "OSError";
}

/* Whether it is one of a list that ends with 0. */
static bool aio__code_in(int code, const int *codes)
{
    while (*codes && *codes != code) codes++;
    return *codes == code;
}

AIO_API const char *aio_code_text(int code)
{
    if (code > AIO__EFIRST && code < AIO__ELAST) return aio__code_table[code - AIO__EFIRST - 1].text;
    return strerror(code);
}

static aio_exception aio__no_memory = { ENOMEM, "", "out of memory", NULL, 0, 0, 0, 0, 0, NULL, 0, -1 };
static aio_exception aio__cancelled = { AIO_ECANCELLED, "", "cancelled", NULL, 0, 0, 0, 0, 0, NULL, 0, -1 };

AIO_API aio_exception *aio_exception_ref(const aio_exception *exception)
{
    aio_exception *e = (aio_exception *)(uintptr_t)exception;
    if (e && e->refs >= 0) e->refs++;
    return e;
}

AIO_API AIO__NOINLINE void aio_exception_unref(const aio_exception *exception)
{
    aio_exception *e = (aio_exception *)(uintptr_t)exception;
    if (!e || e->refs < 0 || --e->refs > 0) return;
    for (int i = 0; i < e->member_count; i++) aio_exception_unref(e->members[i]);
    aio__free(e->members);
    aio__free(e->traceback);
    aio__free(e);
}

/* One owner; never NULL. `phase` is static text; the message is copied behind the struct. */
static aio_exception *aio__exception_text(int code, const char *phase, const char *message)
{
    size_t length = strlen(message);
    aio_exception *e = (aio_exception *)aio__calloc(sizeof *e + length + 1);
    if (!e) return code == AIO_ECANCELLED ? &aio__cancelled : &aio__no_memory;
    memcpy(e + 1, message, length + 1);
    e->code = code;
    e->phase = phase;
    e->message = (const char *)(e + 1);
    e->refs = 1;
    return e;
}

/* How many bytes at `text` are one character that moves no terminal and ends no line: of UTF-8, no control character. 0:
 * the first is none of such. */
static size_t aio__shown_length(const unsigned char *text)
{
    size_t n = *text < 0xc2 ? 1 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : *text < 0xf5 ? 4 : 0;
    if (n == 1) return *text >= 0x20 && *text < 0x7f;
    for (size_t i = 1; i < n; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    return *text == 0xc2 && text[1] < 0xa0 ? 0 : n;
}

/* Writes the text of a message so that bytes of a peer or a user can do no harm in a log: others than the above as \xNN,
 * which nothing is done to when the text becomes part of another message. `out` has four bytes for each. */
static void aio__message_escape(char *out, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    while (*text) {
        size_t n = aio__shown_length((const unsigned char *)text);
        if (!n) {
            unsigned char c = (unsigned char)*text++;
            *out++ = '\\';
            *out++ = 'x';
            *out++ = digits[c >> 4];
            *out++ = digits[c & 15];
        }
        for (; n; n--) *out++ = *text++;
    }
    *out = '\0';
}

/* Every message is made here: of at most AIO__MESSAGE_MAX bytes before it is escaped. */
static void aio__message_make(char out[4 * AIO__MESSAGE_MAX], const char *format, va_list arguments)
{
    char message[AIO__MESSAGE_MAX];
    vsnprintf(message, sizeof message, format, arguments);
    aio__message_escape(out, message);
}

static aio_exception *aio__exception_va(int code, const char *phase, const char *format, va_list arguments)
{
    if (code == ENOMEM) return &aio__no_memory;
    char message[4 * AIO__MESSAGE_MAX];
    if (!format) return aio__exception_text(code, phase, aio_code_text(code));
    aio__message_make(message, format, arguments);
    return aio__exception_text(code, phase, message);
}

AIO__PRINTF(3, 4)
static AIO__COLD aio_exception *aio__exception(int code, const char *phase, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    aio_exception *e = aio__exception_va(code, phase, format, arguments);
    va_end(arguments);
    return e;
}

/* Sets the counts of an error that was just made, unless there was no memory for it. Gives it back. */
static AIO__COLD aio_exception *aio__exception_counts(aio_exception *e, size_t consumed, size_t expected,
                                                      size_t partial)
{
    if (e->refs < 0) return e;
    e->consumed = consumed;
    e->expected = expected;
    e->partial = partial;
    return e;
}

/* A copy that shares nothing with the original, as another thread, or another way out, needs it. Never NULL. */
static AIO__COLD aio_exception *aio__exception_copy(const aio_exception *from)
{
    if (from->refs < 0) return aio_exception_ref(from);
    aio_exception *e = aio__exception_text(from->code, from->phase, from->message);
    if (e->refs < 0) return e;
    aio__exception_counts(e, from->consumed, from->expected, from->partial);
    e->traceback_left_out = from->traceback_left_out;
    if (from->traceback_count) {
        size_t count = (size_t)from->traceback_count, room = 1;
        while (room < count) room *= 2; /* as aio__exception_add expects it */
        e->traceback = (aio_traceback_entry *)aio__malloc(room * sizeof *from->traceback);
        if (e->traceback) {
            memcpy(e->traceback, from->traceback, count * sizeof *from->traceback);
            e->traceback_count = from->traceback_count;
        } else e->traceback_left_out += from->traceback_count;
    }
    if (from->member_count) {
        e->members = (aio_exception **)aio__malloc((size_t)from->member_count * sizeof *e->members);
        for (int i = 0; e->members && i < from->member_count; i++, e->member_count++)
            e->members[i] = aio__exception_copy(from->members[i]);
    }
    return e;
}

/* Adds the place that the error has just passed; beyond the bound it is only counted. */
static AIO__COLD void aio__exception_add(aio_exception *e, const char *file, const char *name, int line)
{
    if (e->refs < 0) return;
    int n = e->traceback_count;
    if (n < AIO__TRACEBACK_MAX && (n & (n - 1)) == 0) { /* room for 1, 2, 4, ... */
        void *more = aio__realloc(e->traceback, (size_t)(n ? 2 * n : 1) * sizeof *e->traceback);
        if (more) e->traceback = (aio_traceback_entry *)more;
        else n = AIO__TRACEBACK_MAX;
    }
    if (n >= AIO__TRACEBACK_MAX) {
        e->traceback_left_out++;
        return;
    }
    e->traceback[n].file = file;
    e->traceback[n].name = name;
    e->traceback[n].line = line;
    e->traceback_count++;
}

static AIO__COLD void aio__exception_print_at(const aio_exception *e, FILE *out, int depth)
{
    int indent = 2 * depth;
    if (e->traceback_count) fprintf(out, "%*sTraceback (most recent await last):\n", indent, "");
    if (e->traceback_left_out) fprintf(out, "%*s  ... %d more\n", indent, "", e->traceback_left_out);
    for (int i = e->traceback_count - 1; i >= 0; i--) {
        const aio_traceback_entry *entry = &e->traceback[i];
        fprintf(out, "%*s  %s:%d, in %s\n", indent, "", entry->file, entry->line, entry->name);
    }
    fprintf(out, "%*s%s: %s\n", indent, "", aio_code_name(e->code), e->message);
    for (int i = 0; i < e->member_count; i++) {
        fprintf(out, "%*s  --- %d of %d ---\n", indent, "", i + 1, e->member_count);
        if (depth < 8) aio__exception_print_at(e->members[i], out, depth + 1);
    }
}

AIO_API void aio_exception_print(const aio_exception *exception, void *file)
{
    if (exception && file) aio__exception_print_at(exception, (FILE *)file, 0);
}


/* ============================================================================
 * 25. The loop's data
 *
 * The types that the rooms below share: handles, descriptors, timers, the poller's interface, and the loop itself.
 * ============================================================================ */

/* A callback in the ready queue or among a future's waiters. Objects lie at multiples of 16, a handle's node at offset
 * 0 of it and a coroutine's node at an odd multiple of the pointer size: an address tells which one a node is in. */
typedef struct aio__work aio__work;
struct aio__work {
    aio__node node;
    void    (*run)(aio__work *);
    void     *owner;
} __attribute__((__aligned__(2 * sizeof(void *))));

static inline bool aio__node_is_task(const aio__node *node) { return ((uintptr_t)node & sizeof(void *)) != 0; }

typedef char aio__check_task_node[(offsetof(aio_task, node) & sizeof(void *)) ? 1 : -1];

/* The kind of a future that is no coroutine. Each may be NULL. */
struct aio__ops {
    const char *name;
    /* Asks a pending one to cancel; `why` is borrowed. False: it cannot. NULL: it becomes cancelled at once. */
    bool (*cancel)(aio_future *, aio_exception *why);
    /* Its last owner is gone: gives back references and pool memory. Other memory would leak when a loop dies. */
    void (*destroy)(aio_future *);
    /* Who it waits for: the i-th, or NULL after the last. For the call graph. */
    aio_future *(*child)(aio_future *, size_t i);
};

enum { /* aio_future.flags */
    AIO__F_CORO = 1,      /* a coroutine: an aio_task */
    AIO__F_TASK = 2,      /* scheduled as a task of its own */
    AIO__F_YIELD = 4,     /* the loop's own, for sleep(0) */
    AIO__F_OWN = 8,       /* has an allocation of its own (aio__heap_own) */
    AIO__F_SEEN = 16,     /* its error was retrieved */
    AIO__F_SHARED = 32,   /* a cancelled waiter only leaves it; it goes on for the others */
    AIO__F_IN_TIMERS = 64,/* a sleep that is in the timer heap */
    AIO__F_DEAD = 128,    /* a sleep without owners: freed when the timer heap drops it */
    AIO__F_QUIET = 256,   /* an error nobody retrieves is not reported */
    AIO__F_STATIC = 512,  /* part of the loop */
    AIO__F_ASKED = 1024,  /* a task that aio_run has cancelled at its end */
    AIO__F_END = 2048,    /* an empty result at the end of a stream: AIO_ASYNC_FOR ends there */
    AIO__F_HOLDS = 4096,  /* a coroutine that owns the awaitable in its first member after the task, as aio__wrapper */
    AIO__F_MARK = 8192,   /* seen already, while an array of futures is gone through */
    AIO__F_NAMED = 16384  /* a coroutine of many uses: aio__named */
};
typedef struct aio__descriptor aio__descriptor;
enum { AIO__READ = 1, AIO__WRITE = 2, AIO__HANGUP = 4, AIO__ERROR = 8 };

/* A registered file descriptor. A poller sets `ready`; what waits for it is in `reader` and `writer`. */
struct aio__descriptor {
    int         fd;
    /* AIO__READ, AIO__WRITE: worth a try; AIO__HANGUP: the peer has gone, reads end at 0 or an error;
       AIO__ERROR: the socket has one to tell, which the reader's work hears of */
    uint8_t     ready;
    uint8_t     want;   /* directions whose work waits for readiness */
    bool        always; /* a regular file: every try is worth it */
    bool        added;
    uint8_t     level;  /* not 0: level-triggered, in these directions; else edge-triggered in both */
    uint32_t    slot;   /* the poll poller's index */
    aio__work reader, writer;
};

/* A poller tells when descriptors are ready. A completion poller (io_uring) fits behind it by posting a poll request
 * for what `want` names and marking it ready on completion. Each gives 0, or -1 with errno. */
typedef struct aio__poller {
    aio_policy policy;
    int  (*open)(aio_loop *);
    void (*close)(aio_loop *);
    int  (*add)(aio_loop *, aio__descriptor *);
    void (*want)(aio_loop *, aio__descriptor *); /* `want` has changed; NULL: it need not know */
    /* `level` has changed, or may be unknown to it; NULL: it need not know */
    int  (*level)(aio_loop *, aio__descriptor *);
    void (*remove)(aio_loop *, aio__descriptor *);
    int  (*wait)(aio_loop *, int64_t timeout);   /* nanoseconds; negative: until something happens */
} aio__poller;

typedef struct aio__timer {
    uint64_t seq;
    void   (*fire)(struct aio__timer *); /* NULL: cancelled, dropped when the heap comes to it */
    void    *owner;
} aio__timer;

/* One of the timer heap. `what` is an aio__timer with the lowest bit set, or a sleep. */
typedef struct aio__entry {
    int64_t   when;
    uintptr_t what;
} aio__entry;

/* What a callback of call_soon and call_later is. */
typedef struct aio__scheduled {
    aio__work  work;
    aio_callback *callback;
    void         *arg;
    aio__timer   *timer;
    uint32_t      index;
    bool          ready;
} aio__scheduled;

typedef struct aio__scheduled_slot {
    aio__scheduled *call;
    uint32_t   generation, next_free;
} aio__scheduled_slot;

/* To be done when a loop closes, last made first. */
typedef struct aio__closer {
    struct aio__closer *next;
    void (*close)(aio_loop *, struct aio__closer *);
} aio__closer;

typedef struct aio__threadsafe_call {
    struct aio__threadsafe_call *next;
    aio_callback *callback;
    void         *arg;
    bool          kept; /* part of another object: it is not freed, and it is called even when the loop closes first */
} aio__threadsafe_call;

/* What refers to waiters of a loop from outside of its memory: forgets them when the loop closes. */
typedef struct aio__wait_queues {
    aio__closer closer;
    aio__node   ring;   /* of aio__loop_link */
    bool        open;
} aio__wait_queues;

/* While steps take less than AIO__SHORT_STEP ns on average, reading the clock after each would be a good part of the
 * cost: it is read less often, down to once in AIO__RECENT steps. */
enum { AIO__RECENT = 128, AIO__SHORT_STEP = 200 };
enum { AIO__CALLBACK = INT32_MIN }; /* aio__recent.line: no coroutine */

/* What ran lately: named in the report of a slow step. 16 bytes, as every step writes one. */
typedef struct aio__recent {
    union {
        aio_coro_fn  *coro;
        aio_callback *callback;
    } what;
    int line;
} aio__recent;

/* What a turn, one step of a task or one work, has used of its budget. */
typedef struct aio__turn {
    uint64_t id;       /* whose this is: aio__turn_id */
    size_t   bytes, seen_bytes; /* seen: when the clock was read */
    uint32_t messages, seen_messages;
    bool     over;
} aio__turn;

struct aio_loop {
    struct aio__head head;
    uint32_t       awaits_span; /* what head.awaits began with: 1 to AIO__TURN_AWAITS */
    uint32_t       left;      /* steps before the clock is read again; the one that runs is in recent[left] */
    uint32_t       span;      /* how many that were at the latest reading: 1 to AIO__RECENT */
    aio__node      ready;     /* what is to run, in order; no task's, as its address tells */
    aio__work    mark;      /* the end of an iteration that does not end with a coroutine's node; is never run */
    aio__work      due;       /* while timers that are due fire: where the next callback goes; is never run */
    aio_task      *current;   /* the task of the running step */
    uint32_t       looks;     /* readings of the clock between steps */
    /* the next iteration asks the poller or has timers to run, though the queue is not empty */
    bool           attend;
    bool           running, stopping, closed, debug;
    int            eager_depth;
    size_t         task_count;
    int64_t        now;       /* of the latest reading */
    aio__turn      turn;
    size_t         turn_bytes;  /* the limits of one */
    uint32_t       turn_messages;
    int64_t        turn_time;   /* nanoseconds */
    int64_t        awaits_clock;/* when head.awaits was set */
    const aio_task *busy;       /* never waits: since when, and until when it was seen so; only compared */
    int64_t        busy_since, busy_until;
    uint64_t       busy_id;     /* its turn that began where the one before was over */
    aio__heap      frames, pool;
    aio_future     yield, done;
    aio_future     failed;    /* done, with an error: what a coroutine awaits that is to throw `thrown` */
    aio_future     parked;    /* never done: who stands in a wait queue awaits it, until it may go on */
    aio__wait_queues wait_queues;
    /* timers: a 4-ary heap */
    aio__entry    *entries;
    void          *entry_memory; /* what they stand in */
    size_t         entry_count, entry_capacity, entry_dead;
    uint64_t       timer_seq;
    /* handles */
    aio__scheduled_slot *slots;
    uint32_t       slot_count, slot_capacity, slot_free;
    /* poller */
    const aio__poller *poller;
    int            epoll_fd;
    void          *poll_data;
    size_t         poll_count, poll_capacity;
    size_t         descriptor_count;
    /* other threads */
    pthread_mutex_t mutex;     /* guards `incoming` and `incoming_closed` */
    aio__threadsafe_call *incoming, **incoming_tail;
    aio__threadsafe_call *taken; /* the loop's own: of those that came, the ones that are still to be made */
    bool           incoming_closed;
    int            wake_read, wake_write;
    aio__descriptor wake;
    aio__closer   *closers;
    /* of the rooms below; each ends it by a closer of its own */
    void          *lookups, *streams, *sessions, *foreigns, *endpoints, *processes, *resolvers;
    void          *buffers;   /* unused ones of AIO__READ_BUFFER bytes, each with the next one's address in front */
    int            buffer_count;
    /* executor, jobs and concurrent futures */
    struct aio_executor *executor; /* the default one, made when it is first used */
    aio__node      jobs, concurrents; /* what other threads still do for this loop, or wait for */
    aio__closer    threads_closer;
    aio_future     executor_empty; /* once it is shut down: done when its last thread has ended */
    bool           executor_ended;
    /* signals */
    void         (*on_wake)(aio_loop *);
    aio__closer    signals_closer;
    int            signalled;   /* atomic: a handler has run */
    /* reports */
    aio_exception_handler *handler;
    void          *handler_arg;
    int64_t        slow;      /* nanoseconds; 0: none */
    int64_t        poll_clock;/* when the poller was asked last */
    uint32_t       unpolled;  /* steps from then to the latest reading of the clock */
    int64_t        step_clock;/* since when the steps after it run, which have no times of their own */
    aio__recent    recent[AIO__RECENT];
};

typedef char aio__check_ready_node[(offsetof(aio_loop, ready) & sizeof(void *)) ? -1 : 1];

static __thread aio_loop *aio__running; /* the loop that runs in this thread */
static __thread aio_loop *aio__set;     /* aio_set_event_loop */
static __thread const aio_policy *aio__policy;

static aio_loop *aio__loop_now(void) { return aio__running ? aio__running : aio__set; }

/* ---- reports ---- */

AIO_API void aio_loop_set_exception_handler(aio_loop *loop, aio_exception_handler *handler, void *arg)
{
    loop->handler = handler;
    loop->handler_arg = arg;
}

AIO_API void aio_loop_call_exception_handler(aio_loop *loop, const char *message, const aio_exception *exception)
{
    if (loop && loop->handler) {
        loop->handler(loop, message, exception, loop->handler_arg);
        return;
    }
    fprintf(stderr, "aio.h: %s\n", message);
    aio_exception_print(exception, stderr);
}

AIO__PRINTF(3, 4)
static AIO__COLD void aio__report(aio_loop *loop, const aio_exception *exception, const char *format, ...)
{
    char message[4 * AIO__MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    aio__message_make(message, format, arguments);
    va_end(arguments);
    aio_loop_call_exception_handler(loop, message, exception);
}

/* Where a coroutine's function was written; the function answers itself, without running. */
typedef struct aio__probe {
    aio_task    task;
    const char *name, *file;
} aio__probe;

static AIO__COLD void aio__who(aio_coro_fn *coro, aio__probe *probe)
{
    memset(probe, 0, sizeof *probe);
    probe->task.line = AIO__WHO;
    coro(&probe->task);
}

typedef struct aio__named { /* a coroutine with AIO__F_NAMED */
    aio_task    task;
    const void *use;   /* a struct that begins with a name */
} aio__named;

static AIO__COLD void aio__who_is(const aio_task *t, aio__probe *probe)
{
    aio__who(t->future.run.coro, probe);
    if (t->future.flags & AIO__F_NAMED) probe->name = *(const char *const *)((const aio__named *)(const void *)t)->use;
}

static int aio__line_of(int line) { return line < 0 ? 0 : line & AIO__LINES; }

/* ---- the ready queue ---- */

static void aio__enqueue(aio_loop *loop, aio__node *node) { aio__ring_insert(&loop->ready, node); }

/* For a coroutine's node, which is never taken out of the middle of the queue: `prev` of such a node, and `next` once
 * it runs, are not kept up there. Each step saves three stores by that, and stores are what it waits for. */
static inline void aio__enqueue_task(aio_loop *loop, aio_task *t)
{
    aio__node *last = loop->ready.prev;
    t->node.next = &loop->ready;
    loop->ready.prev = &t->node;
    last->next = &t->node;
}

/* ---- the budget of a turn ----
 *
 * No peer holds the loop: what could go on at once asks whether the turn is over, and then goes to the back of the
 * ready queue. An operation that finds what it wants there
 *
 *   - asks aio__turn_over before it takes anything: if so it does not finish at once, but is pending, and does its work
 *     in a turn of its own. (A coroutine awaits aio__turn_end; a descriptor's work asks aio__descriptor_wait again, or
 *     enqueues itself.) So a cancel finds it with nothing taken, and nothing is lost.
 *   - says with aio__turn_spent what it took. What goes on in a loop of its own (reads until EAGAIN, messages out of
 *     one buffer) stops there when that says true, and goes on in another turn.
 *
 * Bytes and messages are counted, awaits of what is done as messages (aio__await_in_turn); now and then the clock is
 * read. */

enum { AIO__TURN_BYTES = 262144, AIO__TURN_MESSAGES = 128, AIO__TURN_TIME = 500000 /* ns */ };
enum { AIO__TURN_LOOK = 8, AIO__TURN_LOOK_BYTES = 65536, AIO__TURN_AWAITS = 64 }; /* of those between two readings */

/* Another one for each turn, at no cost for any. */
static inline uint64_t aio__turn_id(const aio_loop *loop) { return (uint64_t)loop->looks << 32 | loop->left; }

/* Whether what could go on at once is to let others run. */
static inline bool aio__turn_over(const aio_loop *loop)
{
    return AIO__UNLIKELY(loop->turn.over) && loop->turn.id == aio__turn_id(loop);
}

static aio__turn *aio__turn_now(aio_loop *loop)
{
    uint64_t id = aio__turn_id(loop);
    if (loop->turn.id == id) return &loop->turn;
    memset(&loop->turn, 0, sizeof loop->turn);
    loop->turn.id = id;
    return &loop->turn;
}

static bool aio__turn_late(const aio_loop *loop, int64_t now) { return now - loop->step_clock >= loop->turn_time; }

/* The next await of what is done looks, too. */
static void aio__turn_exhaust(aio_loop *loop)
{
    aio__turn_now(loop)->over = true;
    loop->head.awaits = 1;
}

/* The running turn has taken so much: true if it is over. */
static bool aio__turn_spent(aio_loop *loop, size_t bytes, uint32_t messages)
{
    aio__turn *turn = aio__turn_now(loop);
    turn->bytes += bytes;
    turn->messages += messages;
    bool over = turn->over || turn->bytes >= loop->turn_bytes || turn->messages >= loop->turn_messages;
    if (!over && (turn->bytes - turn->seen_bytes >= AIO__TURN_LOOK_BYTES ||
                  turn->messages - turn->seen_messages >= AIO__TURN_LOOK)) {
        turn->seen_bytes = turn->bytes;
        turn->seen_messages = turn->messages;
        over = aio__turn_late(loop, aio__os.clock());
    }
    if (over) aio__turn_exhaust(loop);
    return over;
}

/* What a coroutine awaits whose turn is over. */
static aio_future *aio__turn_end(aio_loop *loop) { return &loop->yield; }

/* ============================================================================
 * 26. Pollers
 *
 * epoll, edge-triggered, one registration a descriptor; and poll, whose list names what is wanted at the moment. They
 * only set `ready` and queue the works that waited: no code of a user's runs while they look at descriptors.
 * ============================================================================ */


/* Something is ready: what waited for it runs in the next iteration. */
static void aio__descriptor_ready(aio_loop *loop, aio__descriptor *d, int ready)
{
    d->ready = (uint8_t)(d->ready | ready);
    int woken = d->want & ready;
    d->want = (uint8_t)(d->want & ~woken);
    if ((woken & (AIO__READ | AIO__ERROR)) && !d->reader.node.next) aio__enqueue(loop, &d->reader.node);
    if ((woken & AIO__WRITE) && !d->writer.node.next) aio__enqueue(loop, &d->writer.node);
}

/* Queues the direction's work as soon as a try is worth it, which may be now. */
static void aio__descriptor_wait(aio_loop *loop, aio__descriptor *d, int direction)
{
    aio__work *work = direction == AIO__WRITE ? &d->writer : &d->reader;
    if (work->node.next) return;
    if (d->always || (d->ready & direction)) {
        aio__enqueue(loop, &work->node);
        return;
    }
    d->want = (uint8_t)(d->want | direction);
    if (loop->poller->want) loop->poller->want(loop, d);
}

/* A try said EAGAIN, or gave less than was asked for: nothing more until the poller says so. */
static void aio__descriptor_drained(aio__descriptor *d, int direction)
{
    if (direction == AIO__READ && (d->ready & AIO__HANGUP)) return;
    d->ready = (uint8_t)(d->ready & ~direction);
}

static void aio__descriptor_unwait(aio_loop *loop, aio__descriptor *d, int direction)
{
    aio__work *work = direction == AIO__WRITE ? &d->writer : &d->reader;
    if (work->node.next) aio__ring_remove(&work->node);
    d->want = (uint8_t)(d->want & ~direction);
    if (loop->poller->want) loop->poller->want(loop, d);
}

static int aio__descriptor_add(aio_loop *loop, aio__descriptor *d, int fd)
{
    d->fd = fd;
    d->ready = d->want = 0;
    d->always = false;
    d->reader.node.next = d->writer.node.next = NULL;
    if (loop->poller->add(loop, d) < 0) {
        if (errno != EPERM) return -1;
        d->always = true; /* epoll's answer to a regular file, which never blocks */
        return 0;
    }
    d->added = true;
    loop->descriptor_count++;
    return 0;
}

static void aio__descriptor_remove(aio_loop *loop, aio__descriptor *d)
{
    aio__descriptor_unwait(loop, d, AIO__READ);
    aio__descriptor_unwait(loop, d, AIO__WRITE);
    if (!d->added) return;
    d->added = false;
    loop->descriptor_count--;
    loop->poller->remove(loop, d);
}

/* Milliseconds for a wait of `timeout` nanoseconds: rounded up, so that a timer never finds itself early. */
static int aio__milliseconds(int64_t timeout)
{
    if (timeout < 0) return -1;
    int64_t ms = timeout / 1000000 + (timeout % 1000000 != 0);
    return ms > 86400000 ? 86400000 : (int)ms;
}

#if AIO__LINUX
static int aio__epoll_open(aio_loop *loop)
{
    loop->epoll_fd = aio__os.epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll_fd < 0 ? -1 : 0;
}

static void aio__epoll_close(aio_loop *loop) { aio__os.close(loop->epoll_fd); }

static int aio__epoll_control(aio_loop *loop, int operation, aio__descriptor *d)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    if (d->level) event.events = ((d->level & AIO__READ) ? EPOLLIN : 0u) | ((d->level & AIO__WRITE) ? EPOLLOUT : 0u);
    event.data.ptr = d;
    return aio__os.epoll_ctl(loop->epoll_fd, operation, d->fd, &event);
}

static int aio__epoll_add(aio_loop *loop, aio__descriptor *d) { return aio__epoll_control(loop, EPOLL_CTL_ADD, d); }

/* A descriptor that was closed, and opened again under the same number, is unknown here. */
static int aio__epoll_level(aio_loop *loop, aio__descriptor *d)
{
    int result = aio__epoll_control(loop, EPOLL_CTL_MOD, d);
    return result < 0 && errno == ENOENT ? aio__epoll_add(loop, d) : result;
}

static void aio__epoll_remove(aio_loop *loop, aio__descriptor *d)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    aio__os.epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, d->fd, &event);
}

static int aio__epoll_wait(aio_loop *loop, int64_t timeout)
{
    struct epoll_event events[256];
    int n = aio__os.epoll_wait(loop->epoll_fd, events, 256, aio__milliseconds(timeout));
    if (n < 0) return errno == EINTR ? 0 : -1;
    for (int i = 0; i < n; i++) {
        uint32_t e = events[i].events;
        int ready = 0;
        if (e & (EPOLLIN | EPOLLPRI)) ready |= AIO__READ;
        if (e & EPOLLOUT) ready |= AIO__WRITE;
        if (e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) ready |= AIO__READ | AIO__HANGUP;
        if (e & (EPOLLHUP | EPOLLERR)) ready |= AIO__WRITE;
        if (e & EPOLLERR) ready |= AIO__ERROR;
        aio__descriptor_ready(loop, (aio__descriptor *)events[i].data.ptr, ready);
    }
    return 0;
}
#endif

/* What the poll poller keeps: the list for poll(2), and whose each entry is. */
typedef struct aio__poll_data {
    struct pollfd    *fds;
    aio__descriptor **owners;
} aio__poll_data;

static int aio__poll_open(aio_loop *loop)
{
    loop->poll_data = aio__calloc(sizeof(aio__poll_data));
    loop->poll_count = loop->poll_capacity = 0;
    return loop->poll_data ? 0 : -1;
}

static void aio__poll_close(aio_loop *loop)
{
    aio__poll_data *data = (aio__poll_data *)loop->poll_data;
    aio__free(data->fds);
    aio__free(data->owners);
    aio__free(data);
    loop->poll_data = NULL;
}

static int aio__poll_grow(aio_loop *loop, aio__poll_data *data)
{
    size_t capacity = loop->poll_capacity ? 2 * loop->poll_capacity : 16;
    struct pollfd *fds = (struct pollfd *)aio__realloc(data->fds, capacity * sizeof *fds);
    if (!fds) return -1;
    data->fds = fds;
    aio__descriptor **owners = (aio__descriptor **)aio__realloc(data->owners, capacity * sizeof *owners);
    if (!owners) return -1;
    data->owners = owners;
    loop->poll_capacity = capacity;
    return 0;
}

static int aio__poll_add(aio_loop *loop, aio__descriptor *d)
{
    aio__poll_data *data = (aio__poll_data *)loop->poll_data;
    if (loop->poll_count == loop->poll_capacity && aio__poll_grow(loop, data) < 0) return -1;
    d->slot = (uint32_t)loop->poll_count++;
    data->fds[d->slot].fd = -1 - d->fd; /* negative: poll passes over it; nothing is wanted yet */
    data->fds[d->slot].events = 0;
    data->fds[d->slot].revents = 0;
    data->owners[d->slot] = d;
    return 0;
}

static void aio__poll_want(aio_loop *loop, aio__descriptor *d)
{
    if (!d->added) return;
    struct pollfd *entry = &((aio__poll_data *)loop->poll_data)->fds[d->slot];
    entry->events = (short)(((d->want & AIO__READ) ? POLLIN : 0) | ((d->want & AIO__WRITE) ? POLLOUT : 0));
    entry->fd = d->want ? d->fd : -1 - d->fd;
}

static void aio__poll_remove(aio_loop *loop, aio__descriptor *d)
{
    aio__poll_data *data = (aio__poll_data *)loop->poll_data;
    size_t last = --loop->poll_count;
    data->fds[d->slot] = data->fds[last];
    data->owners[d->slot] = data->owners[last];
    data->owners[d->slot]->slot = d->slot;
}

static int aio__poll_wait(aio_loop *loop, int64_t timeout)
{
    aio__poll_data *data = (aio__poll_data *)loop->poll_data;
    int n = aio__os.poll(data->fds, (nfds_t)loop->poll_count, aio__milliseconds(timeout));
    if (n < 0) return errno == EINTR ? 0 : -1;
    for (size_t i = 0; n > 0 && i < loop->poll_count; i++) {
        short e = data->fds[i].revents;
        if (!e) continue;
        n--;
        int ready = 0;
        if (e & (POLLIN | POLLPRI)) ready |= AIO__READ;
        if (e & POLLOUT) ready |= AIO__WRITE;
        if (e & (POLLHUP | POLLERR | POLLNVAL)) ready |= AIO__READ | AIO__WRITE;
        if (e & POLLERR) ready |= AIO__ERROR;
        aio__descriptor_ready(loop, data->owners[i], ready);
        aio__poll_want(loop, data->owners[i]);
    }
    return 0;
}

static const aio__poller aio__pollers[] = { /* the best first */
#if AIO__LINUX
    { { "epoll" }, aio__epoll_open, aio__epoll_close, aio__epoll_add, NULL, aio__epoll_level, aio__epoll_remove,
      aio__epoll_wait },
#endif
    { { "poll" }, aio__poll_open, aio__poll_close, aio__poll_add, aio__poll_want, NULL, aio__poll_remove,
      aio__poll_wait },
};

AIO_API const aio_policy *aio_policy_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof aio__pollers / sizeof *aio__pollers; i++)
        if (!strcmp(aio__pollers[i].policy.name, name)) return &aio__pollers[i].policy;
    return NULL;
}

AIO_API void aio_set_event_loop_policy(const aio_policy *policy) { aio__policy = policy; }

AIO_API AIO__COLD const aio_policy *aio_get_event_loop_policy(void)
{
    if (aio__policy) return aio__policy;
    const char *name = getenv("AIO_POLLER");
    if (!name || !*name) return &aio__pollers[0].policy;
    const aio_policy *policy = aio_policy_find(name);
    if (policy) return policy;
    fprintf(stderr, "aio.h: AIO_POLLER=%s: there is no such poller here; taking %s\n", name,
            aio__pollers[0].policy.name);
    return &aio__pollers[0].policy;
}


/* ============================================================================
 * 27. Futures: states and waiters
 *
 * States, waiters, callbacks, and the end of a future's life. Completing one moves its whole ring of waiters to the
 * ready queue at once. May call the loop's queue and timers.
 * ============================================================================ */

/* Aborts, naming the function, when what it was given is no awaitable. */
static aio_future *aio__future_of(const void *awaitable, const char *function)
{
    aio_future *future = (aio_future *)(uintptr_t)awaitable;
    if (AIO__UNLIKELY((future->state & 0xFC) != AIO__NEW || future->refs == 0))
        aio__abort("not a future, or one that is freed already: the struct must begin with aio_task or aio_future",
                   function, 0);
    return future;
}

/* Memory for a future or coroutine of `size` bytes: the first `clear` are zero, and the base is that of a new one with
 * one owner. loop may be NULL: it joins one when it is first used. NULL without memory. */
static inline aio_future *aio__frame_alloc(aio_loop *loop, size_t size, size_t clear, const char *file, int line)
{
    aio_future *future;
    bool own = aio__os.plain || !loop || size > AIO__SLAB_MAX || loop->debug;
    if (AIO__LIKELY(!own)) future = (aio_future *)aio__heap_slot(&loop->frames, size);
    else future = (aio_future *)aio__heap_own(loop ? &loop->frames : NULL, size, file, line);
    if (AIO__UNLIKELY(!future)) return NULL;
    size_t half = __builtin_constant_p(clear) && clear > 64 && clear <= 128 ? 64 : 0;
    if (half) memset(future, 0, half); /* gcc makes it `rep stos` above 64 bytes, which is slow to start */
    memset((char *)future + half, 0, clear - half);
    future->refs = 1;
    future->state = AIO__NEW;
    future->slab = (uint8_t)((size - 1) / AIO__GRAIN);
    future->flags = own ? AIO__F_OWN : 0;
    future->loop = loop;
    return future;
}

static void aio__frame_free(aio_future *future)
{
    if (AIO__UNLIKELY(future->flags & AIO__F_OWN)) aio__heap_disown(future);
    else aio__heap_give(&future->loop->frames, future, ((size_t)future->slab + 1) * AIO__GRAIN);
}

/* A pending future with one owner; the rest of the struct is zero. NULL without memory. */
AIO__NOINLINE
static void *aio__future_make(aio_loop *loop, const aio__ops *ops, size_t size, const char *file, int line)
{
    aio_future *future = aio__frame_alloc(loop, size, size, file, line);
    if (!future) return NULL;
    future->state = AIO__PENDING;
    future->run.ops = ops;
    return future;
}

static const char *aio__made_at(const aio_future *future, int *line)
{
    const aio__prefix *prefix = (const aio__prefix *)(const void *)future - 1;
    *line = (future->flags & AIO__F_OWN) ? prefix->line : 0;
    return (future->flags & AIO__F_OWN) && prefix->file ? prefix->file : NULL;
}

/* The waiters run in the next iteration, first come first served. */
static void aio__future_wake(aio_future *future)
{
    aio__node *first = future->waiters.first;
    if (!first) return;
    aio__node *ready = &future->loop->ready, *last = first->prev;
    future->waiters.first = NULL;
    first->prev = ready->prev;
    ready->prev->next = first;
    last->next = ready;
    ready->prev = last;
}

static void aio__future_finish(aio_future *future, int state)
{
    future->state = (uint8_t)state;
    aio__future_wake(future);
}

/* Takes the exception. */
AIO__NOINLINE static void aio__future_fail(aio_future *future, aio_exception *exception)
{
    future->error = exception;
    aio__future_finish(future, exception->code == AIO_ECANCELLED ? AIO__CANCELLED : AIO__DONE);
}

static void aio__waiters_add(aio_future *future, aio__node *node)
{
    if (future->waiters.first) {
        aio__ring_insert(future->waiters.first, node);
    } else {
        node->next = node->prev = node;
        future->waiters.first = node;
    }
}

static void aio__waiters_remove(aio_future *future, aio__node *node)
{
    if (future->waiters.first == node) future->waiters.first = node->next == node ? NULL : node->next;
    aio__ring_remove(node);
}

/* A future that is done already, with an error. Takes the exception; it is not reported when nobody looks at it. */
static aio_future *aio__failed_future(aio_loop *loop, aio_exception *exception)
{
    aio_future *future = (aio_future *)aio__future_make(loop, NULL, sizeof *future, NULL, 0);
    if (!future) {
        aio_exception_unref(exception);
        return NULL;
    }
    future->error = exception;
    future->state = AIO__DONE;
    return future;
}

AIO__PRINTF(2, 3)
static AIO__COLD aio_future *aio__failure(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    aio_exception *exception = aio__exception_va(code, "", format, arguments);
    va_end(arguments);
    return aio__failed_future(aio__loop_now(), exception);
}

AIO_API void *aio__future_new(size_t size, const char *file, int line)
{
    aio_loop *loop = aio__loop_now();
    if (!loop || loop->closed) return NULL;
    return aio__future_make(loop, NULL, size, file, line);
}

AIO_API void *aio_ref(void *awaitable)
{
    if (!awaitable) return NULL;
    aio_future *future = aio__future_of(awaitable, "aio_ref");
    if (AIO__COUNTED(future)) future->refs++;
    return awaitable;
}

AIO_API bool aio_future_done(const void *future)
{
    return future && aio__future_of(future, "aio_future_done")->state >= AIO__DONE;
}

AIO_API bool aio_future_cancelled(const void *future)
{
    return future && aio__future_of(future, "aio_future_cancelled")->state == AIO__CANCELLED;
}

AIO_API const aio_exception *aio_future_exception(void *future)
{
    if (!future) return &aio__no_memory;
    aio_future *f = aio__future_of(future, "aio_future_exception");
    if (f->state < AIO__DONE) return NULL;
    f->flags |= AIO__F_SEEN;
    return f->error;
}

AIO_API bool aio__future_settable(const void *future)
{
    if (!future) return false;
    const aio_future *f = aio__future_of(future, "aio_future_set_result");
    return f->state == AIO__PENDING && !(f->flags & AIO__F_CORO);
}

AIO_API int aio_future_set_done(void *future)
{
    if (!future) return EINVAL;
    if (!aio__future_settable(future)) return AIO_EINVALIDSTATE;
    aio__future_finish((aio_future *)future, AIO__DONE);
    return 0;
}

AIO_API int aio_future_set_exception(void *future, int code, const char *format, ...)
{
    if (!future || code <= 0) return EINVAL;
    if (!aio__future_settable(future)) return AIO_EINVALIDSTATE;
    va_list arguments;
    va_start(arguments, format);
    aio__future_fail((aio_future *)future, aio__exception_va(code, "", format, arguments));
    va_end(arguments);
    return 0;
}

/* ============================================================================
 * 28. Timers
 *
 * A 4-ary heap of 16-byte entries, ordered by time, then by when they were made; the four children of one share a line
 * of the processor's cache. A cancelled one stays as a dead entry until the heap comes to it, or until, with it, dead
 * ones are more than half of over 100. All that is due in one pass is queued in order of its times before any task that
 * it wakes.
 * ============================================================================ */

typedef struct aio__sleep { /* what aio_sleep gives */
    aio_future future;
    uint64_t   seq;
} aio__sleep;

static uint64_t aio__entry_seq(uintptr_t what)
{
    return (what & 1) ? ((aio__timer *)(what - 1))->seq : ((aio__sleep *)what)->seq;
}

static inline bool aio__entry_before(const aio__entry *a, const aio__entry *b)
{
    if (AIO__LIKELY(a->when != b->when)) return a->when < b->when;
    return aio__entry_seq(a->what) < aio__entry_seq(b->what);
}

static void aio__entry_up(aio__entry *heap, size_t i, aio__entry entry)
{
    while (i > 0) {
        size_t parent = (i - 1) / 4;
        if (!aio__entry_before(&entry, &heap[parent])) break;
        heap[i] = heap[parent];
        i = parent;
    }
    heap[i] = entry;
}

/* The first to come of the up to four entries from `c` on. Which one it is cannot be predicted, so no branch asks. */
static inline size_t aio__entry_first(const aio__entry *heap, size_t count, size_t c)
{
    if (AIO__LIKELY(count - c >= 4)) {
        size_t a = c + aio__entry_before(&heap[c + 1], &heap[c]);
        size_t b = c + 2 + aio__entry_before(&heap[c + 3], &heap[c + 2]);
        return a + (b - a) * aio__entry_before(&heap[b], &heap[a]);
    }
    size_t best = c;
    while (++c < count)
        if (aio__entry_before(&heap[c], &heap[best])) best = c;
    return best;
}

/* The grandchildren are on their way from memory while the children are compared. */
static void aio__entry_down(aio__entry *heap, size_t count, size_t i, aio__entry entry)
{
    for (size_t c; (c = 4 * i + 1) < count; ) {
        for (size_t k = 4 * c + 1; k < 4 * c + 17; k += 4)
            if (k < count) __builtin_prefetch(&heap[k]);
        size_t first = aio__entry_first(heap, count, c);
        if (!aio__entry_before(&heap[first], &entry)) break;
        heap[i] = heap[first];
        i = first;
    }
    heap[i] = entry;
}

enum { AIO__CACHE_LINE = 64 };

/* Room for more. entries[1], the first child, stands at the beginning of a cache line. 0 or ENOMEM. */
static int aio__timers_grow(aio_loop *loop)
{
    size_t capacity = loop->entry_capacity ? 2 * loop->entry_capacity : 64;
    void *memory = aio__malloc(capacity * sizeof *loop->entries + AIO__CACHE_LINE);
    if (!memory) return ENOMEM;
    uintptr_t second = (uintptr_t)memory + sizeof *loop->entries + AIO__CACHE_LINE - 1;
    second &= ~(uintptr_t)(AIO__CACHE_LINE - 1);
    aio__entry *entries = (aio__entry *)second - 1;
    if (loop->entry_count) memcpy(entries, loop->entries, loop->entry_count * sizeof *entries);
    aio__free(loop->entry_memory);
    loop->entry_memory = memory;
    loop->entries = entries;
    loop->entry_capacity = capacity;
    return 0;
}

/* 0 or ENOMEM. */
static int aio__timers_push(aio_loop *loop, int64_t when, uintptr_t what)
{
    if (loop->entry_count == loop->entry_capacity && aio__timers_grow(loop)) return ENOMEM;
    aio__entry entry = { when, what };
    if (when <= loop->now) loop->attend = true;
    aio__entry_up(loop->entries, loop->entry_count++, entry);
    return 0;
}

static aio__entry aio__timers_pop(aio_loop *loop)
{
    aio__entry top = loop->entries[0], last = loop->entries[--loop->entry_count];
    if (loop->entry_count) aio__entry_down(loop->entries, loop->entry_count, 0, last);
    return top;
}

static bool aio__entry_dead(uintptr_t what)
{
    if (what & 1) return !((aio__timer *)(what - 1))->fire;
    return ((aio__sleep *)what)->future.state >= AIO__DONE || (((aio__sleep *)what)->future.flags & AIO__F_DEAD);
}

/* A dead entry has left the heap. */
static void aio__entry_drop(aio_loop *loop, uintptr_t what)
{
    loop->entry_dead--;
    if (what & 1) {
        aio__pool_free(&loop->pool, (void *)(what - 1), sizeof(aio__timer));
        return;
    }
    aio__sleep *sleep_ = (aio__sleep *)what;
    sleep_->future.flags = (uint16_t)(sleep_->future.flags & ~AIO__F_IN_TIMERS);
    if (sleep_->future.flags & AIO__F_DEAD) aio__frame_free(&sleep_->future);
}

/* Drops every dead entry and builds the heap again: O(n), and as many were cancelled since the last time. */
static void aio__timers_rebuild(aio_loop *loop)
{
    size_t kept = 0, count = loop->entry_count;
    for (size_t i = 0; i < count; i++) {
        aio__entry entry = loop->entries[i];
        if (aio__entry_dead(entry.what)) aio__entry_drop(loop, entry.what);
        else loop->entries[kept++] = entry;
    }
    loop->entry_count = kept;
    for (size_t i = kept / 4 + 1; i-- > 0;)
        if (i < kept) aio__entry_down(loop->entries, kept, i, loop->entries[i]);
}

/* One more of them is dead, and looks so. */
static void aio__entry_died(aio_loop *loop)
{
    if (++loop->entry_dead > 100 && loop->entry_dead * 2 > loop->entry_count) aio__timers_rebuild(loop);
}

static void aio__timers_trim(aio_loop *loop)
{
    while (loop->entry_dead && loop->entry_count && aio__entry_dead(loop->entries[0].what))
        aio__entry_drop(loop, aio__timers_pop(loop).what);
}

/* A timer calls fire(timer) at `when`, from the loop, and is freed after that. NULL without memory. */
static aio__timer *aio__timer_start(aio_loop *loop, int64_t when, void (*fire)(aio__timer *), void *owner)
{
    aio__timer *timer = (aio__timer *)aio__pool_alloc(&loop->pool, sizeof *timer);
    if (!timer) return NULL;
    timer->seq = loop->timer_seq++;
    timer->fire = fire;
    timer->owner = owner;
    if (aio__timers_push(loop, when, (uintptr_t)timer | 1) == 0) return timer;
    aio__pool_free(&loop->pool, timer, sizeof *timer);
    return NULL;
}

/* The timer is not the caller's any more. NULL is fine. */
static void aio__timer_cancel(aio_loop *loop, aio__timer *timer)
{
    if (!timer) return;
    timer->fire = NULL;
    aio__entry_died(loop);
}

/* seconds → nanoseconds from now, or -1 for NaN and infinities. The end of time is 146 years away. */
static int64_t aio__deadline(int64_t now, double seconds)
{
    if (!(seconds == seconds) || seconds - seconds != 0) return -1;
    double ns = seconds * 1e9;
    if (ns > 4.6e18) ns = 4.6e18;
    if (ns < 0) ns = 0;
    int64_t whole = (int64_t)ns;
    return now + whole + ((double)whole < ns); /* rounded up: what is due never finds itself early */
}

/* The same, but what is negative lies in the past; INT64_MIN for NaN and infinities. */
static int64_t aio__moment(int64_t now, double seconds)
{
    int64_t distance = aio__deadline(0, seconds < 0 ? -seconds : seconds);
    return distance < 0 ? INT64_MIN : seconds < 0 ? now - distance : now + distance;
}

/* Nanoseconds of a timeout's option, and of its default; 0: none; negative: it is no number. */
static int64_t aio__timeout_ns(double seconds, double otherwise)
{
    if (seconds == 0) seconds = otherwise;
    if (seconds == (double)AIO_UNLIMITED || seconds == 0) return 0;
    return seconds < 0 ? -1 : aio__deadline(0, seconds);
}

static int64_t aio__after(aio_loop *loop, int64_t nanoseconds)
{
    return nanoseconds > 0 ? loop->now + nanoseconds : INT64_MAX;
}

static void aio__sleep_fire(aio_loop *loop, aio__sleep *sleep_)
{
    (void)loop;
    sleep_->future.flags = (uint16_t)(sleep_->future.flags & ~AIO__F_IN_TIMERS);
    aio__future_finish(&sleep_->future, AIO__DONE);
}

static void aio__timer_due(aio_loop *loop, uintptr_t what)
{
    if (aio__entry_dead(what)) {
        aio__entry_drop(loop, what);
    } else if (what & 1) {
        aio__timer *timer = (aio__timer *)(what - 1);
        timer->fire(timer);
        aio__pool_free(&loop->pool, timer, sizeof *timer);
    } else {
        aio__sleep_fire(loop, (aio__sleep *)what);
    }
}

enum { AIO__DUE = 16 };

/* Everything due goes where it belongs: waiters of sleeps into the ready queue. In groups: of what the heap gives,
 * first the sleeps and then the coroutines behind them are asked for from memory, and come all at the same time. What
 * one that fires does to a later one of its group is seen when that one's turn comes. */
static void aio__timers_run(aio_loop *loop)
{
    uintptr_t due[AIO__DUE];
    size_t count;
    if (!loop->entry_count || loop->entries[0].when > loop->now) return;
    aio__enqueue(loop, &loop->due.node); /* callbacks go before it, what they wake after it */
    do {
        for (count = 0; count < AIO__DUE && loop->entry_count && loop->entries[0].when <= loop->now; count++) {
            due[count] = aio__timers_pop(loop).what;
            __builtin_prefetch((const void *)due[count]);
        }
        for (size_t i = 0; i < count; i++) {
            const char *waiter = (due[i] & 1) ? NULL : (const char *)((aio__sleep *)due[i])->future.waiters.first;
            if (!waiter) continue;
            __builtin_prefetch(waiter);
            __builtin_prefetch(waiter + AIO__CACHE_LINE);
        }
        for (size_t i = 0; i < count; i++) aio__timer_due(loop, due[i]);
    } while (count == AIO__DUE);
    aio__ring_remove(&loop->due.node);
}

static AIO__COLD void aio__timers_close(aio_loop *loop)
{
    while (loop->entry_count) {
        uintptr_t what = loop->entries[--loop->entry_count].what;
        if (what & 1) aio__pool_free(&loop->pool, (void *)(what - 1), sizeof(aio__timer));
        else if (((aio__sleep *)what)->future.flags & AIO__F_DEAD)
            aio__frame_free((aio_future *)what);
        else ((aio__sleep *)what)->future.flags &= (uint16_t)~AIO__F_IN_TIMERS;
    }
    aio__free(loop->entry_memory);
    loop->entry_memory = NULL;
    loop->entries = NULL;
    loop->entry_capacity = loop->entry_dead = 0;
}

/* ============================================================================
 * 29. Futures: owners and callbacks
 *
 * The making of coroutines, what they carry beside their frames, the end of a future's life with what is reported then,
 * and done callbacks.
 * ============================================================================ */

enum { AIO__EXTRA_NAME, AIO__EXTRA_CANCEL, AIO__EXTRA_BLOCK };

struct aio__attachment { /* from the loop's pool */
    aio__attachment *next;
    int         kind;
    size_t      size;
};

typedef struct aio__name {
    aio__attachment extra;
    char       text[1];
} aio__name;

typedef struct aio__cancel_reason { /* of a cancel that waits for the task's next step */
    aio__attachment     extra;
    aio_exception *why;
} aio__cancel_reason;

enum { AIO__BLOCK_OPENING, AIO__BLOCK_FRESH, AIO__BLOCK_BODY, AIO__BLOCK_EXITING };         /* aio__block.stage */
enum { AIO__GO_ON, AIO__GO_RAISE, AIO__GO_RETURN };                 /* aio__block.after */

typedef struct aio__block { /* an open AIO_TIMEOUT, AIO_ASYNC_WITH or AIO_TASK_GROUP */
    aio__attachment     extra;
    int            exit_line, outer; /* its own exit; the handler outside of it */
    uint8_t        stage, after;
    bool           expired;
    bool           astray, told;     /* a goto led out of it; and that was reported */
    int            cancels;          /* the task's count when it was opened */
    aio_exception *error;            /* after the exit, with AIO__GO_RAISE */
    aio__timer    *timer;
    aio_task      *frame;
    bool           timed;            /* an AIO_TIMEOUT */
    int64_t        opened;           /* of one: when */
    aio_task_group *group;           /* of an AIO_TASK_GROUP: one owner */
} aio__block;

static aio__attachment *aio__attachment_find(const aio_task *t, int kind)
{
    aio__attachment *extra = t->extra;
    while (extra && extra->kind != kind) extra = extra->next;
    return extra;
}

/* A record of `size` bytes, zero but for its base, in front of the others. NULL without memory. */
static aio__attachment *aio__attachment_add(aio_task *t, int kind, size_t size)
{
    aio__attachment *extra = (aio__attachment *)aio__pool_alloc(&t->future.loop->pool, size);
    if (!extra) return NULL;
    memset(extra, 0, size);
    extra->kind = kind;
    extra->size = size;
    extra->next = t->extra;
    t->extra = extra;
    return extra;
}

static void aio__attachment_drop(aio_task *t, aio__attachment *extra)
{
    aio__attachment **link = &t->extra;
    while (*link != extra) link = &(*link)->next;
    *link = extra->next;
    if (extra->kind == AIO__EXTRA_CANCEL) aio_exception_unref(((aio__cancel_reason *)(void *)extra)->why);
    if (extra->kind == AIO__EXTRA_BLOCK) {
        aio__block *block = (aio__block *)(void *)extra;
        aio__timer_cancel(t->future.loop, block->timer);
        aio_exception_unref(block->error);
    }
    aio__pool_free(&t->future.loop->pool, extra, extra->size);
}

static inline aio_task *aio__root(aio_task *t) { return (t->future.flags & AIO__F_TASK) ? t : t->link.root; }

/* Joins a future made outside of a loop; 0, or AIO_EWRONGLOOP. */
static int aio__adopt(aio_loop *loop, aio_future *future)
{
    if (AIO__LIKELY(future->loop == loop)) return 0;
    if (future->loop) return AIO_EWRONGLOOP;
    aio__prefix *prefix = (aio__prefix *)(void *)future - 1;
    aio__ring_insert(&loop->frames.own, &prefix->node);
    prefix->listed = true;
    future->loop = loop;
    return 0;
}

/* ---- the life of a coroutine ---- */

/* The name that was given, or else the coroutine's: for reports. */
static AIO__COLD const char *aio__task_label(const aio_task *t)
{
    const aio__name *name = (const aio__name *)(const void *)aio__attachment_find(t, AIO__EXTRA_NAME);
    if (name) return name->text;
    aio__probe probe;
    aio__who_is(t, &probe);
    return probe.name;
}

AIO_API void *aio__new(size_t size, aio_coro_fn *coro, const char *file, int line)
{
    aio_task *t = (aio_task *)(void *)aio__frame_alloc(aio__running, size, sizeof *t, file, line);
    if (AIO__UNLIKELY(!t)) return NULL;
    t->future.flags = (uint16_t)(t->future.flags | AIO__F_CORO);
    t->future.run.coro = coro;
    return t;
}

/* What a report calls a future. */
static const char *aio__label(const aio_future *future)
{
    if (future->flags & AIO__F_CORO) return aio__task_label((const aio_task *)(const void *)future);
    return future->run.ops ? future->run.ops->name : "future";
}

enum { AIO__MADE_MAX = 256 };

/* " (made at file:line)" in `text`, which is AIO__MADE_MAX long; nothing if that is not known. */
static AIO__COLD const char *aio__made_text(const aio_future *future, char *text)
{
    int line;
    const char *file = aio__made_at(future, &line);
    text[0] = 0;
    if (file) snprintf(text, AIO__MADE_MAX, " (made at %s:%d)", file, line);
    return text;
}

static AIO__COLD void aio__report_unawaited(const aio_future *future)
{
    char made[AIO__MADE_MAX];
    aio__report(future->loop ? future->loop : aio__loop_now(), NULL, "coroutine '%s' was never awaited%s",
                aio__label(future), aio__made_text(future, made));
}

typedef struct aio__wrapper { /* a coroutine with AIO__F_HOLDS; what it holds is let go even if it never ran */
    aio_task task;
    void    *held;
} aio__wrapper;

/* One that never started was forgotten. Without a loop there is no debug mode: that one is always reported. */
static void aio__coroutine_destroy(const aio_task *t)
{
    if (t->future.flags & AIO__F_HOLDS) aio_unref(((const aio__wrapper *)(const void *)t)->held);
    if (t->future.state == AIO__NEW && (!t->future.loop || t->future.loop->debug)) aio__report_unawaited(&t->future);
}

static bool aio__error_unseen(const aio_future *future)
{
    bool kept = !(future->flags & (AIO__F_SEEN | AIO__F_QUIET));
    return kept && future->error && future->state == AIO__DONE && future->loop;
}

static AIO__COLD void aio__report_unseen(const aio_future *future)
{
    char made[AIO__MADE_MAX];
    aio__report(future->loop, future->error, "error of '%s' was never retrieved%s", aio__label(future),
                aio__made_text(future, made));
}

static void aio__attachments_drop(aio_task *t)
{
    while (AIO__UNLIKELY(t->extra != NULL)) aio__attachment_drop(t, t->extra);
}

/* One owner less. After the last one it ends. */
AIO_API void aio__give_back(aio_future *future)
{
    if (--future->refs) return;
    if (future->flags & AIO__F_CORO) aio__coroutine_destroy((aio_task *)(void *)future);
    else if (future->run.ops && future->run.ops->destroy) future->run.ops->destroy(future);
    if (AIO__UNLIKELY(future->error != NULL)) {
        if (aio__error_unseen(future)) aio__report_unseen(future);
        aio_exception_unref(future->error);
        future->error = NULL;
    }
    if (future->flags & AIO__F_CORO) aio__attachments_drop((aio_task *)(void *)future);
    if (future->flags & AIO__F_IN_TIMERS) { /* the timer heap frees it, when it comes to it */
        future->refs = 1;
        future->flags |= AIO__F_DEAD;
        if (future->state < AIO__DONE) aio__entry_died(future->loop);
        return;
    }
    aio__frame_free(future);
}

AIO_API void aio_unref(void *awaitable)
{
    aio_future *future = (aio_future *)awaitable;
    if (!future) return;
    if (AIO__UNLIKELY(future->refs == 0)) aio__abort("unref of a future that is freed already", "aio_unref", 0);
    if (AIO__COUNTED(future)) aio__give_back(future);
}

AIO_API void aio_unref_all(void *array, size_t count)
{
    void **futures = (void **)array;
    for (size_t i = 0; i < count; i++) {
        aio_unref(futures[i]);
        futures[i] = NULL;
    }
}

/* ---- done callbacks ---- */

typedef struct aio__done_call { /* a done callback; holds a reference to its future */
    aio__work        work;
    aio_done_callback *callback;
    void              *arg;
} aio__done_call;

static void aio__done_run(aio__work *work)
{
    aio__done_call call = *AIO__CONTAINER(work, aio__done_call, work);
    aio_future *future = (aio_future *)work->owner;
    aio__pool_free(&future->loop->pool, work, sizeof call);
    call.callback(future, call.arg);
    aio_unref(future);
}

AIO_API int aio_future_add_done_callback(void *future, aio_done_callback *callback, void *arg)
{
    if (!future || !callback) return EINVAL;
    aio_future *f = aio__future_of(future, "aio_future_add_done_callback");
    if (!f->loop || ((f->flags & AIO__F_CORO) && !(f->flags & AIO__F_TASK))) return EINVAL;
    aio__done_call *call = (aio__done_call *)aio__pool_alloc(&f->loop->pool, sizeof *call);
    if (!call) return ENOMEM;
    call->work.run = aio__done_run;
    call->work.owner = aio_ref(f);
    call->callback = callback;
    call->arg = arg;
    if (f->state >= AIO__DONE) aio__enqueue(f->loop, &call->work.node);
    else aio__waiters_add(f, &call->work.node);
    return 0;
}

AIO_API int aio_future_remove_done_callback(void *future, aio_done_callback *callback, void *arg)
{
    if (!future) return 0;
    aio_future *f = aio__future_of(future, "aio_future_remove_done_callback");
    int removed = 0;
    aio__node *node = f->state >= AIO__DONE ? NULL : f->waiters.first, *last = node ? node->prev : NULL;
    while (node) {
        aio__node *next = node == last ? NULL : node->next;
        aio__done_call *call = (aio__done_call *)(void *)node;
        if (!aio__node_is_task(node) && call->work.run == aio__done_run && call->callback == callback &&
            call->arg == arg) {
            aio__waiters_remove(f, node);
            aio__pool_free(&f->loop->pool, call, sizeof *call);
            removed++;
        }
        node = next;
    }
    for (int i = 0; i < removed; i++) aio_unref(f);
    return removed;
}

/* ============================================================================
 * 30. Tasks and coroutines: steps and cancellation
 *
 * What the coroutine macros call, the steps of tasks, cancellation, and the reports of what was forgotten. A step runs
 * the innermost coroutine; one that it awaits runs next in the same loop, and one that ends hands over to its parent:
 * one C frame however deep the awaits are.
 * ============================================================================ */

/* The coroutine's function has returned for good, and left something. */
AIO__NOINLINE static void aio__coroutine_clear(aio_task *t)
{
    for (aio__attachment *extra = t->extra, *next; extra; extra = next) { /* reports want the name */
        next = extra->next;
        if (extra->kind != AIO__EXTRA_NAME) aio__attachment_drop(t, extra);
    }
    aio_exception_unref(t->caught);
    t->caught = NULL;
    if (t->thrown) {
        aio_exception_unref(t->future.error);
        t->future.error = t->thrown;
        t->thrown = NULL;
    }
    if (t->future.error && t->future.error->code == AIO_ECANCELLED) t->future.state = AIO__CANCELLED;
}

static inline void aio__coroutine_finish(aio_task *t)
{
    t->future.state = AIO__DONE;
    if (AIO__UNLIKELY(t->thrown || t->future.error || t->caught || t->extra)) aio__coroutine_clear(t);
}

/* aio_task.must_cancel. ASKED: it throws at its next step. LEFT: it left what it awaited, so that uncancel() comes too
 * late. MOVED: its turn was over at an await of what is done, and it goes on from there in any case: that may be a lock
 * that it has now. */
enum { AIO__CANCEL_ASKED = 1, AIO__CANCEL_LEFT = 2, AIO__CANCEL_MOVED = 4 };

static aio_exception *aio__take_reason(aio_task *root)
{
    root->must_cancel &= AIO__CANCEL_MOVED;
    aio__cancel_reason *reason = (aio__cancel_reason *)(void *)aio__attachment_find(root, AIO__EXTRA_CANCEL);
    if (!reason) return &aio__cancelled;
    aio_exception *why = aio_exception_ref(reason->why);
    aio__attachment_drop(root, &reason->extra);
    return why;
}

/* The last step of a task that was asked to cancel and did not notice. */
static AIO__COLD void aio__task_cancelled_late(aio_task *root)
{
    aio_exception *why = aio__take_reason(root);
    if (!root->future.error) {
        root->future.error = why;
        root->future.state = AIO__CANCELLED;
    } else aio_exception_unref(why);
}

static inline void aio__task_finish(aio_loop *loop, aio_task *root)
{
    if (AIO__UNLIKELY(root->must_cancel)) aio__task_cancelled_late(root);
    loop->task_count--;
    aio__future_wake(&root->future);
    aio__give_back(&root->future);
}

/* The next thing that t does is to throw this (taken), instead of what it awaited. */
static void aio__throw_next(aio_task *t, aio_exception *why)
{
    aio_future *f = t->awaiting;
    t->thrown = why;
    t->awaiting = &t->future.loop->failed;
    if (!f) return;
    f->flags |= AIO__F_SEEN; /* an error of its own comes too late */
    aio_unref(f);
}

/* A task whose turn was over once more: it is named when it has not waited for anything for as long as a slow step. A
 * step that was slow itself is named as that. */
static void aio__busy_look(aio_loop *loop, const aio_task *root, const aio_task *t)
{
    int64_t took = loop->now - loop->busy_since;
    if (!loop->slow || loop->now - loop->step_clock >= loop->slow) {
        loop->busy = NULL;
        return;
    }
    if (loop->busy == root && loop->busy_id == aio__turn_id(loop)) {
        loop->busy_until = loop->now;
        if (took < loop->slow) return;
        aio__probe probe;
        aio__who_is(t, &probe);
        aio__report(loop, NULL, "slow task: %.0f ms without waiting for anything, at %s:%d, in %s", (double)took / 1e6,
                    probe.file, aio__line_of(t->line), probe.name);
    } else if (loop->busy && loop->busy != root && loop->now - loop->busy_until < loop->slow) return;
    loop->busy = root;
    loop->busy_since = loop->busy_until = loop->now;
}

/* t awaits what is done, and head.awaits have gone on at once since the last time. 1: its turn is over, and it goes on
 * when others had theirs. A cancel that it could not throw where it stood before is thrown here. */
static AIO__COLD int aio__await_in_turn(aio_task *t)
{
    aio_loop *loop = t->future.loop;
    aio_task *root = aio__root(t);
    int64_t now = aio__os.clock();
    aio__turn *turn = aio__turn_now(loop);
    turn->messages += loop->awaits_span;
    bool over = turn->over || turn->messages >= loop->turn_messages || aio__turn_late(loop, now);
    if (now - loop->awaits_clock > (int64_t)AIO__SHORT_STEP * loop->awaits_span) loop->awaits_span = 1;
    else if (loop->awaits_span < AIO__TURN_AWAITS) loop->awaits_span *= 2;
    loop->awaits_clock = now;
    loop->head.awaits = (int32_t)loop->awaits_span;
    if (!over) return 0;
    if (root->must_cancel) {
        aio__throw_next(t, aio__take_reason(root));
        return 0;
    }
    loop->now = now;
    aio__busy_look(loop, root, t);
    root->must_cancel = AIO__CANCEL_MOVED;
    aio__enqueue_task(loop, t);
    return 1;
}

/* The task goes on after its turn was over. A cancel that came meanwhile is thrown at its next await. */
static void aio__task_moved(aio_loop *loop, aio_task *root)
{
    root->must_cancel &= (uint8_t)~AIO__CANCEL_MOVED;
    if (root->must_cancel) aio__turn_exhaust(loop);
    if (loop->busy == root) loop->busy_id = aio__turn_id(loop);
}

/* What a cancelled task throws, in t, its innermost coroutine. True if it has not had a step: none of it runs. */
static bool aio__task_cancelled(aio_loop *loop, aio_task *root, aio_task *t)
{
    if (root->must_cancel & AIO__CANCEL_MOVED) {
        aio__task_moved(loop, root);
        return false;
    }
    aio_exception *why = aio__take_reason(root);
    if (t->line != AIO__START) {
        aio__throw_next(t, why);
        return false;
    }
    t->thrown = why;
    aio__coroutine_finish(t);
    aio__task_finish(loop, root);
    return true;
}

static aio__block *aio__block_top(aio_task *t)
{
    return (aio__block *)(void *)aio__attachment_find(t, AIO__EXTRA_BLOCK);
}

static AIO__COLD void aio__report_astray(aio_task *t, aio__block *block, const char *what)
{
    if (block->told) return;
    block->told = true;
    aio__probe probe;
    aio__who_is(t, &probe);
    int place = block->exit_line & ~AIO__LINES;
    aio__report(t->future.loop, NULL, "%s at %s:%d, in '%s', was left by goto: %s",
                place == AIO__AT_TIMEOUT ? "AIO_TIMEOUT" : place == AIO__AT_GROUP ? "AIO_TASK_GROUP" : "AIO_ASYNC_WITH",
                probe.file, aio__line_of(block->exit_line), probe.name, what);
}

/* t's function has returned for good. If a goto led out of one of its blocks, that exit is run first, which is where t
 * goes on; then it ends with what it would have ended with. */
static AIO__COLD bool aio__block_astray(aio_task *t)
{
    aio__block *block = aio__block_top(t);
    if (!block || block->stage != AIO__BLOCK_BODY) return false;
    aio__report_astray(t, block, "it is closed only at the end");
    block->astray = true;
    block->stage = AIO__BLOCK_EXITING;
    block->error = t->thrown ? t->thrown : t->future.error;
    t->thrown = t->future.error = NULL;
    t->line = block->exit_line;
    return true;
}

/* t, in the task `root`, has had a step. Runs what it starts, then what it returns to, until the task is suspended or
 * done. */
AIO__NOINLINE static void aio__task_go_on(aio_loop *loop, aio_task *root, aio_task *t, aio_step step)
{
    for (;;) {
        if (step.how == AIO__SUSPENDED) {
            if (root->link.leaf == t) return;
            t = root->link.leaf;
        } else if (step.how == AIO__FINISHED && !(AIO__UNLIKELY(t->extra != NULL) && aio__block_astray(t))) {
            aio_task *parent = t->future.waiters.parent;
            aio__coroutine_finish(t);
            if (t == root) {
                aio__task_finish(loop, root);
                return;
            }
            t->future.waiters.parent = NULL;
            root->link.leaf = t = parent;
            if (AIO__UNLIKELY(--loop->head.awaits <= 0) && aio__await_in_turn(t)) return;
        }
        step = t->future.run.coro(t);
    }
}

/* t is the innermost coroutine of its task. Mostly it is suspended again, and there is nothing more to do. */
static inline void aio__task_step(aio_loop *loop, aio_task *t)
{
    aio_task *root = aio__root(t);
    loop->current = root;
    if (AIO__UNLIKELY(root->must_cancel) && aio__task_cancelled(loop, root, t)) return;
    aio_step step = t->future.run.coro(t);
    if (AIO__UNLIKELY(step.how != AIO__SUSPENDED || root->link.leaf != t)) aio__task_go_on(loop, root, t, step);
}

/* What a task awaits, whose innermost coroutine is `leaf`; NULL if it runs, or has not started. */
static aio_future *aio__awaited(const aio_task *leaf)
{
    const aio_task *root = aio__root((aio_task *)(uintptr_t)leaf);
    return leaf->line == AIO__START || root->future.loop->current == root ? NULL : leaf->awaiting;
}

/* ---- await ---- */

/* An await that cannot be: the coroutine goes on at once, with this error. */
static AIO__COLD int aio__await_fails(aio_task *t, aio_future *f, aio_exception *why)
{
    aio_unref(f);
    t->awaiting = NULL;
    aio__throw_next(t, why);
    return 0;
}

static AIO__COLD int aio__await_null(aio_task *t)
{
    bool memory = aio__out_of_memory;
    aio__out_of_memory = false;
    return aio__await_fails(t, NULL, memory ? &aio__no_memory : aio__exception(EINVAL, "", "NULL was awaited"));
}

/* The task has a cancel to throw: it no longer waits for others' future, and goes on. */
static void aio__leave_shared(aio_task *t, aio_future *f)
{
    aio__waiters_remove(f, &t->node);
    aio__root(t)->must_cancel = AIO__CANCEL_LEFT;
    aio__enqueue_task(t->future.loop, t);
}

static bool aio__cancel(aio_future *f, aio_exception *why);
static void aio__cancel_later(aio_task *root, aio_exception *why);

/* A task that was cancelled while it ran, and now awaits f: that is cancelled. */
static void aio__await_cancelled(aio_task *t, aio_future *f)
{
    aio_task *root = aio__root(t);
    if (f->flags & AIO__F_SHARED) {
        aio__leave_shared(t, f);
        return;
    }
    aio_exception *why = aio__take_reason(root);
    if (!aio__cancel(f, why)) aio__cancel_later(root, why);
    aio_exception_unref(why);
}

/* Starts a coroutine within the caller's task. */
static int aio__await_coroutine(aio_task *t, aio_task *child)
{
    if (child->future.state != AIO__NEW)
        return aio__await_fails(t, NULL, aio__exception(AIO_ERUNTIME, "", "coroutine is being awaited already"));
    child->future.state = AIO__PENDING;
    aio_task *root = aio__root(t);
    child->future.waiters.parent = t;
    child->link.root = root;
    root->link.leaf = child;
    return 1;
}

/* Pending futures that are not awaited in the plain way. 1: suspended. */
static int aio__await_special(aio_task *t, aio_future *f)
{
    aio_loop *loop = t->future.loop;
    if (aio__adopt(loop, f))
        return aio__await_fails(t, f, aio__exception(AIO_EWRONGLOOP, "",
                                                     "the awaited future is attached to a different loop"));
    if ((f->flags & (AIO__F_CORO | AIO__F_TASK)) == AIO__F_CORO) return aio__await_coroutine(t, (aio_task *)(void *)f);
    if (f == &aio__root(t)->future)
        return aio__await_fails(t, f, aio__exception(AIO_ERUNTIME, "", "Task cannot await on itself"));
    aio__waiters_add(f, &t->node);
    if (AIO__UNLIKELY(aio__root(t)->must_cancel)) aio__await_cancelled(t, f);
    return 1;
}

/* Done, maybe with an error; aio__await has counted it unless it was cancelled. */
static int aio__await_done(aio_task *t)
{
    struct aio__head *head = &t->future.loop->head;
    if (t->awaiting->state != AIO__DONE) head->awaits--;
    return head->awaits > 0 ? 0 : aio__await_in_turn(t);
}

AIO__NOINLINE static int aio__await_other(aio_task *t)
{
    aio_future *f = t->awaiting;
    if (!f) return aio__await_null(t);
    aio__future_of(f, "AIO_AWAIT");
    return f->state < AIO__DONE ? aio__await_special(t, f) : aio__await_done(t);
}

/* aio__await for all that is not done with a result. */
AIO_API int aio__await_pending(aio_task *t)
{
    if (AIO__UNLIKELY(!t->awaiting || !(t->awaiting->flags & AIO__F_YIELD))) return aio__await_other(t);
    aio__enqueue_task(t->future.loop, t);
    return 1;
}

/* Adds the place where t stands to the error that it throws; the error becomes its own, if others have it too. */
static AIO__COLD void aio__trace(aio_task *t)
{
    if (t->thrown->refs < 0) return;
    if (t->thrown->refs > 1) {
        aio_exception *copy = aio__exception_copy(t->thrown);
        if (copy->code != t->thrown->code) return;
        aio_exception_unref(t->thrown);
        t->thrown = copy;
    }
    aio__probe probe;
    aio__who_is(t, &probe);
    aio__exception_add(t->thrown, probe.file, probe.name, aio__line_of(t->line));
}

/* The error of what was awaited becomes what t throws, if that is nothing yet. */
static void aio__take_error(aio_task *t)
{
    aio_future *f = t->awaiting;
    if (!t->thrown) {
        f->flags |= AIO__F_SEEN;
        if (f->refs == 1) { /* moved, not shared */
            t->thrown = f->error;
            f->error = NULL;
        } else t->thrown = aio_exception_ref(f->error);
        aio_unref(f);
    }
    aio__trace(t);
}

AIO_API aio_step aio__failed(aio_task *t, int handler)
{
    aio__take_error(t);
    return aio__unwind(t, handler);
}

AIO_API int aio__stopped(aio_task *t)
{
    bool end = t->awaiting->error ? t->awaiting->error->code == AIO_ESTOPITERATION
        : (t->awaiting->flags & AIO__F_END) != 0;
    if (AIO__LIKELY(!end)) return 0;
    t->awaiting->flags |= AIO__F_SEEN;
    aio__release(t);
    return 1;
}

/* ---- raise, catch, finally ---- */

/* Takes the exception. */
static void aio__throw_at(aio_task *t, int line, aio_exception *exception)
{
    t->thrown = exception;
    t->line = line;
    aio__trace(t);
}

AIO_API aio_step aio__throw(aio_task *t, int handler, int line, aio_exception *exception)
{
    aio__throw_at(t, line, exception ? exception : aio__exception(AIO_ERUNTIME, "", "no exception to raise"));
    return aio__unwind(t, handler);
}

AIO_API aio_step aio__raise(aio_task *t, int handler, int line, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    aio_exception *exception = aio__exception_va(code > 0 ? code : AIO_ERUNTIME, "", format, arguments);
    va_end(arguments);
    return aio__throw(t, handler, line, exception);
}

AIO_API aio_step aio__reraise(aio_task *t, int handler)
{
    t->thrown = t->caught ? t->caught : aio__exception(AIO_ERUNTIME, "", "no exception to re-raise");
    t->caught = NULL;
    return aio__unwind(t, handler);
}

AIO_API int aio__catch_all(aio_task *t)
{
    aio_exception_unref(t->caught);
    t->caught = t->thrown;
    t->thrown = NULL;
    return 1;
}

AIO_API int aio__catch(aio_task *t) { return t->thrown->code != AIO_ECANCELLED && aio__catch_all(t); }

/* `code` and what follows it, up to 0, are those that the handler takes. */
AIO_API int aio__catch_code(aio_task *t, int code, ...)
{
    va_list codes;
    va_start(codes, code);
    while (code && code != t->thrown->code) code = va_arg(codes, int);
    va_end(codes);
    return code && aio__catch_all(t);
}

AIO_API const aio_exception *aio__caught(const aio_task *t) { return t->caught; }

AIO_API void aio__finally(aio_task *t)
{
    t->exiting = 1;
    t->future.error = t->thrown;
    t->thrown = NULL;
}

/* No line of the coroutine's: it is asked who it is, or leaves without AIO_FINALLY, or has lost its way. */
AIO_API aio_step aio__elsewhere(const aio_task *t, const char *name, const char *file)
{
    if (t->line == AIO__EXIT) return AIO_FINISHED;
    if (t->line == AIO__WHO) {
        aio__probe *probe = (aio__probe *)(void *)(uintptr_t)t;
        probe->name = name;
        probe->file = file;
        return AIO_FINISHED;
    }
    fprintf(stderr, "aio.h: in %s: there is no way back to this line: AIO_AWAIT inside a switch? (%s:%d)\n", name, file,
            aio__line_of(t->line));
    abort();
}

/* Goes to where an error whose handler is `where`, or with AIO__EXIT and no error a return, leads: to the exit of a
 * block that it leaves; to AIO_FINALLY on the first way out; out of a coroutine that is in it. */
AIO_API aio_step aio__unwind(aio_task *t, int where)
{
    aio__block *block = aio__block_top(t);
    if (block && block->stage == AIO__BLOCK_BODY && (t->thrown ? block->outer == where : where == AIO__EXIT)) {
        block->stage = AIO__BLOCK_EXITING;
        block->after = t->thrown ? AIO__GO_RAISE : AIO__GO_RETURN;
        block->error = t->thrown;
        t->thrown = NULL;
        where = block->exit_line;
    } else if (where == AIO__EXIT && t->exiting) where = AIO__LEAVE;
    t->line = where;
    return AIO__AGAIN;
}

/* ---- blocks with an exit ---- */

/* An open block cannot be: raises instead. */
static AIO__COLD int aio__block_fails(aio_task *t, aio__block *block, int line, int handler, aio_exception *why)
{
    if (block) aio__attachment_drop(t, &block->extra);
    aio__throw(t, handler, line, why);
    return 1;
}

/* A block that is open already cannot be entered but by way of a goto out of it. */
static void aio__block_reopened(aio_task *t, int line)
{
    for (aio__attachment *extra = t->extra; extra; extra = extra->next) {
        aio__block *block = (aio__block *)(void *)extra;
        if (AIO__UNLIKELY(extra->kind == AIO__EXTRA_BLOCK && block->exit_line == line && block->stage == AIO__BLOCK_BODY))
            aio__report_astray(t, block, "it is entered again while it is open");
    }
}

/* NULL, and ENOMEM is raised, without memory. */
static aio__block *aio__block_open(aio_task *t, int line, int handler, int stage)
{
    aio__block_reopened(t, line);
    aio__block *block = (aio__block *)(void *)aio__attachment_add(t, AIO__EXTRA_BLOCK, sizeof *block);
    if (!block) {
        aio__block_fails(t, NULL, line, handler, &aio__no_memory);
        return NULL;
    }
    block->exit_line = line;
    block->outer = handler;
    block->stage = (uint8_t)stage;
    block->frame = t;
    return block;
}

AIO_API int aio__block_left(aio_task *t)
{
    aio__block *block = aio__block_top(t);
    if (block->stage != AIO__BLOCK_BODY) return 0;
    block->stage = AIO__BLOCK_EXITING;
    return 1;
}

AIO_API int aio__block_entered(aio_task *t)
{
    aio__block *block = aio__block_top(t);
    if (block->stage != AIO__BLOCK_FRESH) return 0;
    block->stage = AIO__BLOCK_BODY;
    return 1;
}

/* After the exit: 1 if what led out of the block goes on, to t->line. */
AIO_API int aio__block_onward(aio_task *t, int handler)
{
    aio__block *block = aio__block_top(t);
    int after = block->after;
    bool astray = block->astray;
    t->thrown = block->error;
    block->error = NULL;
    aio__attachment_drop(t, &block->extra);
    if (astray) t->line = AIO__LEAVE;
    if (astray) return 1;
    if (after == AIO__GO_ON) return 0;
    aio__unwind(t, after == AIO__GO_RAISE ? handler : AIO__EXIT);
    return 1;
}

AIO_API int aio__with_open(aio_task *t, int line, int handler)
{
    return !aio__block_open(t, line, handler, AIO__BLOCK_OPENING);
}

/* Takes its error, or lets what was awaited go. */
static void aio__await_over(aio_task *t)
{
    if (t->awaiting->error) aio__take_error(t);
    else aio__release(t);
}

AIO_API int aio__with_failed(aio_task *t, int handler)
{
    aio__block *block = aio__block_top(t);
    aio__await_over(t);
    block->stage = AIO__BLOCK_FRESH;
    if (!t->thrown) return 0;
    aio__attachment_drop(t, &block->extra);
    aio__unwind(t, handler);
    return 1;
}

AIO_API int aio__with_close(aio_task *t, intptr_t leave, bool is_awaitable, int line)
{
    if (is_awaitable) return aio__await(t, (void *)leave, line);
    t->line = line;
    t->awaiting = NULL;
    if (leave) aio__throw_at(t, line, aio__exception(leave > 0 ? (int)leave : AIO_ERUNTIME, "", NULL));
    return 0;
}

AIO_API void aio__with_closed(aio_task *t)
{
    if (t->awaiting) aio__await_over(t);
    if (!t->thrown) return;
    aio__block *block = aio__block_top(t);
    aio_exception_unref(block->error);
    block->error = t->thrown;
    block->after = AIO__GO_RAISE;
    t->thrown = NULL;
}

/* ---- tasks ---- */

AIO_API int aio_task_set_name(void *task, const char *name)
{
    if (!task || !name) return EINVAL;
    aio_task *t = (aio_task *)(void *)aio__future_of(task, "aio_task_set_name");
    if (!t->future.loop || !(t->future.flags & AIO__F_TASK)) return EINVAL;
    if (t->future.state >= AIO__DONE) return AIO_EINVALIDSTATE;
    aio__attachment *old = aio__attachment_find(t, AIO__EXTRA_NAME);
    size_t length = strlen(name);
    aio__name *record = (aio__name *)(void *)aio__attachment_add(t, AIO__EXTRA_NAME, sizeof *record + length);
    if (!record) return ENOMEM;
    memcpy(record->text, name, length);
    if (old) aio__attachment_drop(t, old);
    return 0;
}

AIO_API const char *aio_task_name(const void *task)
{
    if (!task) return "Task";
    const aio_task *t = (const aio_task *)(const void *)aio__future_of(task, "aio_task_name");
    if (!(t->future.flags & AIO__F_CORO)) return "Task";
    const aio__name *name = (const aio__name *)(const void *)aio__attachment_find(t, AIO__EXTRA_NAME);
    return name ? name->text : "Task";
}

enum { AIO__EAGER_MAX = 64 }; /* eager starts within eager starts: each takes C stack */

AIO__NOINLINE static void aio__task_start_eager(aio_loop *loop, aio_task *t)
{
    aio_task *current = loop->current, *leaf = current ? current->link.leaf : NULL;
    aio_future *awaiting = leaf ? leaf->awaiting : NULL;
    if (leaf) leaf->awaiting = NULL; /* it runs, too, though it is not the current one in the meantime */
    loop->eager_depth++;
    aio__task_step(loop, t);
    loop->eager_depth--;
    if (leaf) leaf->awaiting = awaiting;
    loop->current = current;
}

AIO_API void *aio__create_task(void *coroutine, const aio_task_options *options)
{
    aio_loop *loop = aio__loop_now();
    if (!coroutine) return NULL;
    aio_task *t = (aio_task *)(void *)aio__future_of(coroutine, "aio_create_task");
    if (AIO__UNLIKELY(!(t->future.flags & AIO__F_CORO) || t->future.state != AIO__NEW))
        aio__abort("aio_create_task needs a coroutine that has not started", "aio_create_task", t->line);
    int code = loop ? loop->closed ? AIO_ELOOPCLOSED : aio__adopt(loop, &t->future) : AIO_ENOLOOP;
    if (AIO__UNLIKELY(code != 0)) {
        aio_unref(t);
        errno = code;
        return NULL;
    }
    t->future.state = AIO__PENDING;
    t->future.flags |= AIO__F_TASK;
    if (options && options->name && aio_task_set_name(t, options->name)) {
        t->future.state = AIO__CANCELLED; /* nobody has forgotten to await it */
        aio_unref(t);
        return NULL;
    }
    t->future.refs++;
    loop->task_count++;
    t->link.leaf = t;
    if (options && options->eager_start && aio__running == loop && loop->eager_depth < AIO__EAGER_MAX)
        aio__task_start_eager(loop, t);
    else aio__enqueue_task(loop, t);
    return t;
}

AIO_API aio_task *aio_current_task(void) { return aio__running ? aio__running->current : NULL; }

typedef struct aio__task_list {
    aio_task **tasks;
    size_t     capacity, count;
} aio__task_list;

static void aio__list_task(void *object, void *arg)
{
    aio_task *t = (aio_task *)object;
    aio__task_list *list = (aio__task_list *)arg;
    if (!(t->future.flags & AIO__F_TASK) || t->future.state >= AIO__DONE) return;
    if (list->count < list->capacity) list->tasks[list->count] = (aio_task *)aio_ref(t);
    list->count++;
}

AIO_API size_t aio_all_tasks(aio_task **tasks, size_t capacity)
{
    aio__task_list list = { tasks, capacity, 0 };
    aio_loop *loop = aio__loop_now();
    if (loop && !loop->closed) aio__heap_each(&loop->frames, aio__list_task, &list);
    return list.count;
}

/* ---- cancellation ---- */

/* The task throws at its next step. */
static void aio__cancel_later(aio_task *root, aio_exception *why)
{
    root->must_cancel = (uint8_t)((root->must_cancel & AIO__CANCEL_MOVED) | AIO__CANCEL_ASKED);
    if (why->refs < 0 || aio__attachment_find(root, AIO__EXTRA_CANCEL)) return;
    aio__cancel_reason *reason =
        (aio__cancel_reason *)(void *)aio__attachment_add(root, AIO__EXTRA_CANCEL, sizeof *reason);
    if (reason) reason->why = aio_exception_ref(why);
}

/* What a task that is asked to cancel awaits, if the request goes on to that; NULL if it is dealt with here. */
static aio_future *aio__cancel_task(aio_task *root, aio_exception *why)
{
    aio_task *leaf = root->link.leaf;
    aio_future *f = aio__awaited(leaf);
    if (root->cancels < UINT16_MAX) root->cancels++;
    if (!f || f->state >= AIO__DONE || (f->flags & AIO__F_YIELD) || root->must_cancel) {
        aio__cancel_later(root, why);
        return NULL;
    }
    if (!(f->flags & AIO__F_SHARED)) return f;
    aio__cancel_later(root, why);
    aio__leave_shared(leaf, f);
    return NULL;
}

/* Iterative: a chain of tasks that await tasks may be long. `why` is borrowed. */
static bool aio__cancel(aio_future *f, aio_exception *why)
{
    if (f->state >= AIO__DONE) return false;
    const aio_task *mark = NULL; /* Brent's: a task seen before, which moves on after 1, 2, 4, ... steps */
    for (size_t step = 0, lap = 1;;) {
        if (f->flags & AIO__F_TASK) {
            aio_task *root = (aio_task *)(void *)f;
            f = aio__cancel_task(root, why);
            if (!f) return true;
            if (root == mark) { /* tasks that await each other: this one gives up */
                aio__cancel_later(root, why);
                aio__leave_shared(root->link.leaf, f);
                return true;
            }
            if (++step == lap) {
                mark = root;
                lap *= 2;
                step = 0;
            }
            if (!(f->flags & AIO__F_CORO) && f->run.ops && f->run.ops->cancel) {
                if (!f->run.ops->cancel(f, why)) aio__cancel_later(root, why);
                return true;
            }
        } else if (f->flags & AIO__F_CORO) { /* not started: it never will */
            if (f->state != AIO__NEW) return false;
            f->error = aio_exception_ref(why);
            f->state = AIO__CANCELLED;
            return true;
        } else if (f->flags & AIO__F_STATIC) {
            return false;
        } else if (f->run.ops && f->run.ops->cancel) {
            return f->run.ops->cancel(f, why);
        } else {
            aio__future_fail(f, aio_exception_ref(why));
            return true;
        }
    }
}

AIO_API bool aio_future_cancel(void *future)
{
    return future && aio__cancel(aio__future_of(future, "aio_future_cancel"), &aio__cancelled);
}

AIO_API bool aio_task_cancel(void *task)
{
    return task && aio__cancel(aio__future_of(task, "aio_task_cancel"), &aio__cancelled);
}

AIO_API bool aio_task_cancel_message(void *task, const char *message)
{
    if (!task) return false;
    aio_exception *why = message ? aio__exception_text(AIO_ECANCELLED, "", message) : &aio__cancelled;
    bool asked = aio__cancel(aio__future_of(task, "aio_task_cancel_message"), why);
    aio_exception_unref(why);
    return asked;
}

/* The task, or NULL for a future that is none. */
static aio_task *aio__task_of(const void *task, const char *function)
{
    aio_future *f = task ? aio__future_of(task, function) : NULL;
    return f && (f->flags & AIO__F_TASK) ? (aio_task *)(void *)f : NULL;
}

AIO_API int aio_task_cancelling(const void *task)
{
    aio_task *t = aio__task_of(task, "aio_task_cancelling");
    return t ? t->cancels : 0;
}

AIO_API int aio_task_uncancel(void *task)
{
    aio_task *t = aio__task_of(task, "aio_task_uncancel");
    if (!t) return 0;
    bool asked = t->must_cancel & AIO__CANCEL_ASKED;
    if (t->cancels && --t->cancels == 0 && asked) aio_exception_unref(aio__take_reason(t));
    return t->cancels;
}

/* ---- sleep ---- */

static bool aio__sleep_cancel(aio_future *future, aio_exception *why)
{
    aio__future_fail(future, aio_exception_ref(why));
    aio__entry_died(future->loop);
    return true;
}

static const aio__ops aio__sleep_ops = { "sleep", aio__sleep_cancel, NULL, NULL };

/* A sleep until `when`, nanoseconds of the loop's clock. */
static aio_future *aio__sleep_until(aio_loop *loop, int64_t when)
{
    aio__sleep *sleep_ = (aio__sleep *)aio__future_make(loop, &aio__sleep_ops, sizeof *sleep_, NULL, 0);
    if (!sleep_) return NULL;
    sleep_->seq = loop->timer_seq++;
    if (aio__timers_push(loop, when, (uintptr_t)sleep_)) {
        aio_unref(sleep_);
        return NULL;
    }
    sleep_->future.flags |= AIO__F_IN_TIMERS;
    return &sleep_->future;
}

AIO__NOINLINE static aio_future *aio__sleep_for(aio_loop *loop, double delay)
{
    if (!loop) return aio__failure(AIO_ENOLOOP, "aio_sleep: no event loop");
    int64_t when = aio__deadline(aio__os.clock(), delay);
    if (when < 0) return aio__failure(EINVAL, "aio_sleep: the delay is not a finite number");
    return delay > 0 ? aio__sleep_until(loop, when) : &loop->yield;
}

AIO_API aio_future *aio_sleep(double delay)
{
    aio_loop *loop = aio__loop_now();
    return AIO__LIKELY(loop && delay == 0) ? &loop->yield : aio__sleep_for(loop, delay);
}

/* What lives when a loop closes: tasks can never go on; in debug mode every other future was forgotten by someone, but
 * for what such a task awaits. */
static AIO__COLD void aio__frame_close(void *object, void *arg)
{
    aio_future *future = (aio_future *)object;
    aio_loop *loop = (aio_loop *)arg;
    char made[AIO__MADE_MAX];
    bool pending = future->state < AIO__DONE;
    if (pending && (future->flags & AIO__F_TASK)) {
        aio__probe probe;
        const aio_task *leaf = ((aio_task *)object)->link.leaf;
        aio__who_is(leaf, &probe);
        aio__report(loop, NULL, "task '%s' was destroyed but it is pending (at %s:%d)%s", aio__label(future),
                    probe.file,
                    aio__line_of(leaf->line), aio__made_text(future, made));
    } else if (aio__error_unseen(future)) {
        aio__report_unseen(future);
        future->flags |= AIO__F_SEEN;
    } else if (loop->debug && future->state == AIO__NEW) {
        aio__report_unawaited(future);
    } else if (loop->debug && !(future->flags & AIO__F_IN_TIMERS) && !(pending && future->waiters.first)) {
        aio__report(loop, NULL, "'%s' was never released%s", aio__label(future), aio__made_text(future, made));
    }
    if (!pending) return;
    future->state = AIO__CANCELLED;
    future->flags |= AIO__F_QUIET;
}

static void aio__frames_close(aio_loop *loop) { aio__heap_each(&loop->frames, aio__frame_close, loop); }

/* Exceptions are no memory of the loop's. */
static AIO__COLD void aio__frame_clear(void *object, void *arg)
{
    (void)arg;
    aio_task *t = (aio_task *)object;
    aio_exception_unref(t->future.error);
    if (!(t->future.flags & AIO__F_CORO)) return;
    aio_exception_unref(t->thrown);
    aio_exception_unref(t->caught);
    for (aio__attachment *extra = t->extra; extra; extra = extra->next) {
        if (extra->kind == AIO__EXTRA_CANCEL) aio_exception_unref(((aio__cancel_reason *)(void *)extra)->why);
        if (extra->kind == AIO__EXTRA_BLOCK) aio_exception_unref(((aio__block *)(void *)extra)->error);
    }
}

/* ============================================================================
 * 31. Event loop: iterations and callbacks
 *
 * Iterations, callbacks, the clock, reports. One iteration: trim the timers, poll, queue what is due, then run what was
 * ready when it began. While work is queued and steps are short, the clock is read only once in AIO__RECENT steps, and
 * timers and the poller are attended to only when their time has come: between iterations after AIO__POLL_EVERY, and
 * within one, however many are ready, once AIO__POLL_LATE has passed since the last time.
 * ============================================================================ */

AIO_API aio_loop *aio_get_running_loop(void) { return aio__running; }
AIO_API aio_loop *aio_get_event_loop(void) { return aio__loop_now(); }
AIO_API void      aio_set_event_loop(aio_loop *loop) { aio__set = loop; }
AIO_API bool      aio_loop_is_running(const aio_loop *loop) { return loop && loop->running; }
AIO_API bool      aio_loop_is_closed(const aio_loop *loop) { return !loop || loop->closed; }
AIO_API const char *aio_loop_poller(const aio_loop *loop) { return loop->poller->policy.name; }
AIO_API void      aio_loop_set_debug(aio_loop *loop, bool debug) { loop->debug = debug; }
AIO_API bool      aio_loop_get_debug(const aio_loop *loop) { return loop->debug; }


AIO_API double aio_loop_time(const aio_loop *loop)
{
    (void)loop;
    return (double)aio__os.clock() / 1e9;
}

AIO_API double aio_time(void) { return aio_loop_time(aio__running); }

AIO_API int aio_loop_set_slow_callback_duration(aio_loop *loop, double seconds)
{
    if (!loop || !(seconds >= 0)) return EINVAL;
    loop->slow = seconds > 4e9 ? 0 : (int64_t)(seconds * 1e9);
    return 0;
}

AIO_API int aio_loop_set_turn_limits_with(aio_loop *loop, const aio_turn_limits *limits)
{
    AIO__DEFAULTS(aio_turn_limits, limits);
    if (!loop || !(limits->seconds >= 0)) return EINVAL;
    loop->turn_bytes = limits->bytes ? limits->bytes : AIO__TURN_BYTES;
    loop->turn_messages = limits->messages ? limits->messages : AIO__TURN_MESSAGES;
    loop->turn_time = !limits->seconds ? AIO__TURN_TIME : limits->seconds > 1e9 ? INT64_MAX
        : (int64_t)(limits->seconds * 1e9);
    return 0;
}

/* "file:line, in name" of a step; or "callback 0x...". Gives its length. */
static size_t aio__recent_name(const aio__recent *recent, char *text, size_t size)
{
    aio__probe probe;
    int length;
    if (recent->line == AIO__CALLBACK) {
        length = snprintf(text, size, "callback %p", (void *)(uintptr_t)recent->what.callback);
    } else {
        aio__who(recent->what.coro, &probe);
        int line = aio__line_of(recent->line);
        if (line) length = snprintf(text, size, "%s:%d, in %s", probe.file, line, probe.name);
        else length = snprintf(text, size, "%s, the first step of %s", probe.file, probe.name);
    }
    return length < 0 ? 0 : (size_t)length;
}

/* The steps since the last look took too long. With one step in between it is known which; else all of the few are
 * named, each kind once, and from then on the clock is read after each. */
static AIO__COLD void aio__report_slow(aio_loop *loop, int64_t took)
{
    char list[AIO__MESSAGE_MAX - 64];
    size_t used = 0;
    list[0] = 0;
    for (uint32_t i = loop->span; i-- > loop->left && used < sizeof list - 1;) {
        const aio__recent *recent = &loop->recent[i], *other = &loop->recent[loop->span - 1];
        while (other->line != recent->line || other->what.coro != recent->what.coro) other--;
        if (other != recent) continue; /* it is named */
        if (used) used += (size_t)snprintf(list + used, sizeof list - used, ", ");
        if (used < sizeof list) used += aio__recent_name(recent, list + used, sizeof list - used);
    }
    const char *one = loop->span - loop->left > 1 ? "one of " : "";
    aio__report(loop, NULL, "slow step: %.0f ms in %s%s", (double)took / 1e6, one, list);
    loop->span = 1;
}

/* While the queue is never empty the poller is asked after so many nanoseconds, or steps, which holds also where the
 * clock stands still. */
enum { AIO__POLL_EVERY = 20000, AIO__POLL_LATE = 1000000, AIO__POLL_STEPS = 4096 };

/* Reads the clock and looks at what ran since the last time. */
static void aio__look(aio_loop *loop)
{
    loop->now = aio__os.clock();
    int64_t took = loop->now - loop->step_clock;
    uint32_t count = loop->span - loop->left;
    if (AIO__UNLIKELY(loop->slow && took >= loop->slow && count)) aio__report_slow(loop, took);
    else if (count && took > (int64_t)AIO__SHORT_STEP * count) loop->span = 1;
    else if (count && loop->span < AIO__RECENT) loop->span *= 2;
    loop->step_clock = loop->now;
    loop->left = loop->span;
    loop->looks++;
    loop->unpolled += count;
    if (loop->now - loop->poll_clock >= AIO__POLL_EVERY || loop->unpolled >= AIO__POLL_STEPS ||
        (loop->entry_count && loop->entries[0].when <= loop->now))
        loop->attend = true;
}

/* How long the poller may wait: nothing while something is to run, else until the next timer. */
static int64_t aio__poll_timeout(aio_loop *loop)
{
    if (loop->stopping || !aio__ring_empty(&loop->ready)) return 0;
    if (!loop->entry_count) return -1;
    int64_t left = loop->entries[0].when - loop->now;
    return left > 0 ? left : 0;
}

/* Trims the timers, asks the poller, queues what is due. 0, or the code of a poller that failed. */
AIO__NOINLINE static int aio__attend(aio_loop *loop, bool wait)
{
    aio__timers_trim(loop);
    if (loop->left != loop->span) aio__look(loop);
    loop->attend = false;
    int64_t timeout = wait ? aio__poll_timeout(loop) : 0;
    if (loop->poller->wait(loop, timeout) < 0) return errno;
    if (timeout != 0) loop->step_clock = loop->now = aio__os.clock();
    loop->poll_clock = loop->now;
    loop->unpolled = 0;
    aio__timers_run(loop);
    return 0;
}

/* Between two steps of an iteration. A poller that fails is asked again, and heard, at the next iteration. */
AIO__NOINLINE static void aio__look_between(aio_loop *loop)
{
    aio__look(loop);
    if (loop->now - loop->poll_clock < AIO__POLL_LATE && loop->unpolled < AIO__POLL_STEPS) return;
    loop->current = NULL;
    if (aio__attend(loop, false)) loop->attend = true;
}

/* What it costs is paid for every step: no call but the step itself. */
static inline void aio__run_node(aio_loop *loop, aio__node *node)
{
    aio__recent *recent = &loop->recent[--loop->left];
    if (AIO__LIKELY(aio__node_is_task(node))) {
        aio_task *t = AIO__CONTAINER(node, aio_task, node);
        recent->what.coro = t->future.run.coro;
        recent->line = t->line;
        aio__task_step(loop, t);
    } else {
        aio__work *work = (aio__work *)(void *)node;
        node->next = NULL;
        if (work == &loop->mark) {
            loop->left++; /* no step */
            return;
        }
        recent->what.callback = (aio_callback *)(uintptr_t)work->run;
        recent->line = AIO__CALLBACK;
        loop->current = NULL;
        work->run(work);
    }
    if (AIO__UNLIKELY(loop->left == 0)) aio__look_between(loop);
}

/* One iteration: up to the node that is the last one now. 0, or the code of a poller that failed. */
static int aio__run_once(aio_loop *loop)
{
    if (aio__ring_empty(&loop->ready) || loop->attend) {
        int code = aio__attend(loop, true);
        if (code) return code;
    }
    aio__node *ready = &loop->ready, *node;
    if (aio__ring_empty(ready)) return 0;
    if (!aio__node_is_task(ready->prev)) aio__enqueue(loop, &loop->mark.node); /* work may be taken out */
    const aio__node *last = ready->prev;
    do {
        aio__node *next = (node = ready->next)->next;
        ready->next = next;
        if (!aio__node_is_task(next)) next->prev = ready;
        aio__run_node(loop, node);
    } while (node != last);
    loop->current = NULL;
    return 0;
}

AIO_API void aio_loop_stop(aio_loop *loop) { loop->stopping = true; }

/* 0, or why a run cannot begin. */
static int aio__loop_can_run(const aio_loop *loop)
{
    if (!loop) return EINVAL;
    if (loop->closed) return AIO_ELOOPCLOSED;
    return loop->running || aio__running ? AIO_ELOOPRUNNING : 0;
}

static void aio__run_begin(aio_loop *loop)
{
    loop->running = true;
    aio__running = loop;
    loop->step_clock = loop->now = aio__os.clock();
    loop->left = loop->span;
    loop->attend = true;
}

AIO_API int aio_loop_run_forever(aio_loop *loop)
{
    int code = aio__loop_can_run(loop);
    if (code) return code;
    aio__run_begin(loop);
    do code = aio__run_once(loop); while (!code && !loop->stopping);
    if (loop->left != loop->span) aio__look(loop); /* the last steps may have been slow, too */
    loop->stopping = false;
    loop->running = false;
    aio__running = NULL;
    return code;
}

/* ---- handles ---- */

/* 0, or why nothing can be scheduled from here. */
static int aio__loop_can_schedule(const aio_loop *loop)
{
    if (!loop) return EINVAL;
    if (loop->closed) return AIO_ELOOPCLOSED;
    return loop->running && aio__running != loop ? AIO_EWRONGTHREAD : 0;
}

static aio__scheduled *aio__scheduled_new(aio_loop *loop, aio_callback *callback, void *arg)
{
    if (loop->slot_free == 0) {
        uint32_t capacity = loop->slot_capacity ? 2 * loop->slot_capacity : 16;
        aio__scheduled_slot *slots = (aio__scheduled_slot *)aio__realloc(loop->slots, capacity * sizeof *slots);
        if (!slots) return NULL;
        memset(slots + loop->slot_capacity, 0, (capacity - loop->slot_capacity) * sizeof *slots);
        for (uint32_t i = capacity; i-- > loop->slot_capacity;) {
            slots[i].next_free = loop->slot_free;
            loop->slot_free = i + 1; /* index + 1; 0 ends the list */
        }
        loop->slots = slots;
        loop->slot_capacity = capacity;
    }
    aio__scheduled *call = (aio__scheduled *)aio__pool_alloc(&loop->pool, sizeof *call);
    if (!call) return NULL;
    memset(call, 0, sizeof *call);
    call->callback = callback;
    call->arg = arg;
    call->work.owner = loop;
    call->index = loop->slot_free - 1;
    aio__scheduled_slot *slot = &loop->slots[call->index];
    loop->slot_free = slot->next_free;
    slot->call = call;
    if (++slot->generation == 0) slot->generation = 1;
    return call;
}

static void aio__scheduled_free(aio_loop *loop, aio__scheduled *call)
{
    aio__scheduled_slot *slot = &loop->slots[call->index];
    slot->call = NULL;
    slot->next_free = loop->slot_free;
    loop->slot_free = call->index + 1;
    aio__pool_free(&loop->pool, call, sizeof *call);
}

static void aio__scheduled_run(aio__work *work)
{
    aio__scheduled *call = AIO__CONTAINER(work, aio__scheduled, work);
    aio_loop *loop = (aio_loop *)work->owner;
    aio_callback *callback = call->callback;
    void *arg = call->arg;
    loop->recent[loop->left].what.callback = callback;
    aio__scheduled_free(loop, call);
    callback(arg);
}

static aio_handle aio__handle_of(aio_loop *loop, aio__scheduled *call, int code)
{
    aio_handle handle = { NULL, 0, 0 };
    if (!call) {
        errno = code;
        return handle;
    }
    handle.loop = loop;
    handle.index = call->index;
    handle.generation = loop->slots[call->index].generation;
    return handle;
}

AIO_API aio_handle aio_loop_call_soon(aio_loop *loop, aio_callback *callback, void *arg)
{
    int code = callback ? aio__loop_can_schedule(loop) : EINVAL;
    aio__scheduled *call = code ? NULL : aio__scheduled_new(loop, callback, arg);
    if (!call) return aio__handle_of(loop, NULL, code ? code : ENOMEM);
    call->work.run = aio__scheduled_run;
    call->ready = true;
    aio__enqueue(loop, &call->work.node);
    return aio__handle_of(loop, call, 0);
}

static void aio__scheduled_fire(aio__timer *timer)
{
    aio__scheduled *call = (aio__scheduled *)timer->owner;
    call->timer = NULL;
    call->ready = true;
    call->work.run = aio__scheduled_run;
    aio__ring_insert(&((aio_loop *)call->work.owner)->due.node, &call->work.node);
}

static aio_handle aio__scheduled_when(aio_loop *loop, int64_t when, aio_callback *callback, void *arg)
{
    int code = callback && when != INT64_MIN ? aio__loop_can_schedule(loop) : EINVAL;
    aio__scheduled *call = code ? NULL : aio__scheduled_new(loop, callback, arg);
    if (!call) return aio__handle_of(loop, NULL, code ? code : ENOMEM);
    call->timer = aio__timer_start(loop, when, aio__scheduled_fire, call);
    if (call->timer) return aio__handle_of(loop, call, 0);
    aio__scheduled_free(loop, call);
    return aio__handle_of(loop, NULL, ENOMEM);
}

AIO_API aio_handle aio_loop_call_later(aio_loop *loop, double delay, aio_callback *callback, void *arg)
{
    if (loop && delay <= 0) loop->attend = true;
    return aio__scheduled_when(loop, aio__moment(aio__os.clock(), delay), callback, arg);
}

AIO_API aio_handle aio_loop_call_at(aio_loop *loop, double when, aio_callback *callback, void *arg)
{
    return aio__scheduled_when(loop, aio__moment(0, when), callback, arg);
}

AIO_API bool aio_handle_pending(aio_handle handle)
{
    return handle.generation && handle.index < handle.loop->slot_capacity &&
           handle.loop->slots[handle.index].generation == handle.generation && handle.loop->slots[handle.index].call;
}

AIO_API bool aio_handle_cancel(aio_handle handle)
{
    if (!aio_handle_pending(handle)) return false;
    aio__scheduled *call = handle.loop->slots[handle.index].call;
    if (call->ready) aio__ring_remove(&call->work.node);
    else aio__timer_cancel(handle.loop, call->timer);
    aio__scheduled_free(handle.loop, call);
    return true;
}

/* ---- other threads ---- */


static void aio__wake_take(aio_loop *loop)
{
    char drain[64];
    while (aio__os.read(loop->wake_read, drain, sizeof drain) == (ssize_t)sizeof drain) { }
    aio__descriptor_drained(&loop->wake, AIO__READ);
    pthread_mutex_lock(&loop->mutex);
    loop->taken = loop->incoming;
    loop->incoming = NULL;
    loop->incoming_tail = &loop->incoming;
    pthread_mutex_unlock(&loop->mutex);
}

/* Makes the calls that have come, as many as the turn's budget allows; the others before any that come later. */
static void aio__wake_run(aio__work *work)
{
    aio_loop *loop = (aio_loop *)work->owner;
    if (!loop->taken) aio__wake_take(loop);
    for (bool over = false; loop->taken && !over; over = aio__turn_spent(loop, 0, 1)) {
        aio__threadsafe_call *call = loop->taken;
        bool kept = call->kept; /* one that is kept may be gone after it */
        loop->taken = call->next;
        loop->recent[loop->left].what.callback = call->callback;
        call->callback(call->arg);
        if (!kept) aio__free(call);
    }
    if (!loop->taken) aio__descriptor_wait(loop, &loop->wake, AIO__READ);
    else if (!work->node.next) aio__enqueue(loop, &work->node);
    if (loop->on_wake) loop->on_wake(loop);
}

/* From any thread; needs no memory. 0 or AIO_ELOOPCLOSED. */
static int aio__threadsafe_post(aio_loop *loop, aio__threadsafe_call *call)
{
    call->next = NULL;
    pthread_mutex_lock(&loop->mutex);
    bool closed = loop->incoming_closed, first = !loop->incoming;
    if (!closed) {
        *loop->incoming_tail = call;
        loop->incoming_tail = &call->next;
        /* within the mutex, so that the loop cannot close the descriptor in between; a full pipe wakes as well */
        static const uint64_t one = 1;
        while (first && aio__os.write(loop->wake_write, &one, sizeof one) < 0 && errno == EINTR) { }
    }
    pthread_mutex_unlock(&loop->mutex);
    return closed ? AIO_ELOOPCLOSED : 0;
}

AIO_API int aio_loop_call_soon_threadsafe(aio_loop *loop, aio_callback *callback, void *arg)
{
    if (!loop || !callback) return EINVAL;
    if (aio__running == loop) return aio_loop_call_soon(loop, callback, arg).generation ? 0 : errno; /* in line */
    aio__threadsafe_call *call = (aio__threadsafe_call *)aio__malloc(sizeof *call);
    if (!call) return ENOMEM;
    call->callback = callback;
    call->arg = arg;
    call->kept = false;
    int code = aio__threadsafe_post(loop, call);
    if (code) aio__free(call);
    return code;
}

static AIO__COLD int aio__wake_open(aio_loop *loop)
{
    int fds[2];
#if AIO__LINUX
    fds[0] = fds[1] = aio__os.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fds[0] < 0) return -1;
#else
    if (aio__os.pipe(fds) < 0) return -1;
    if (aio__fd_prepare(fds[0]) < 0 || aio__fd_prepare(fds[1]) < 0) {
        aio__os.close(fds[0]);
        aio__os.close(fds[1]);
        return -1;
    }
#endif
    loop->wake_read = fds[0];
    loop->wake_write = fds[1];
    loop->wake.reader.run = aio__wake_run;
    loop->wake.reader.owner = loop;
    if (aio__descriptor_add(loop, &loop->wake, fds[0]) < 0) {
        aio__os.close(fds[0]);
        if (fds[1] != fds[0]) aio__os.close(fds[1]);
        return -1;
    }
    aio__descriptor_wait(loop, &loop->wake, AIO__READ);
    return 0;
}

/* ---- life ---- */

static void aio__static_future(aio_loop *loop, aio_future *future, int state, int flags)
{
    memset(future, 0, sizeof *future);
    future->refs = AIO__UNCOUNTED;
    future->state = (uint8_t)state;
    future->flags = (uint16_t)(flags | AIO__F_STATIC);
    future->loop = loop;
}

AIO_API AIO__COLD aio_loop *aio_new_event_loop(void)
{
    aio_loop *loop = (aio_loop *)aio__calloc(sizeof *loop);
    if (!loop) return NULL;
    aio__ring_clear(&loop->ready);
    aio__ring_clear(&loop->frames.own);
    aio__ring_clear(&loop->pool.own);
    aio__static_future(loop, &loop->yield, AIO__PENDING, AIO__F_YIELD);
    aio__static_future(loop, &loop->done, AIO__DONE, 0);
    aio__static_future(loop, &loop->failed, AIO__DONE, 0);
    loop->failed.error = &aio__cancelled;
    aio__static_future(loop, &loop->parked, AIO__PENDING, AIO__F_SHARED);
    loop->incoming_tail = &loop->incoming;
    aio__ring_clear(&loop->jobs);
    aio__ring_clear(&loop->concurrents);
    loop->slow = 100000000;
    loop->span = loop->awaits_span = 1;
    aio_loop_set_turn_limits_with(loop, NULL);
    const char *debug = getenv("AIO_DEBUG");
    loop->debug = debug && *debug && *debug != '0';
    loop->poller = (const aio__poller *)(const void *)aio_get_event_loop_policy();
    int code = aio__os.mutex_init(&loop->mutex);
    if (!code) {
        if (loop->poller->open(loop) < 0) {
            code = errno;
        } else if (aio__wake_open(loop) < 0) {
            code = errno;
            loop->poller->close(loop);
        }
        if (!code) return loop;
        pthread_mutex_destroy(&loop->mutex);
    }
    aio__free(loop);
    errno = code;
    return NULL;
}

static void aio__loop_at_close(aio_loop *loop, aio__closer *closer)
{
    closer->next = loop->closers;
    loop->closers = closer;
}

static AIO__COLD void aio__calls_close(aio_loop *loop)
{
    for (uint32_t i = 0; i < loop->slot_capacity; i++) {
        aio__scheduled *call = loop->slots[i].call;
        if (!call) continue;
        if (call->ready) aio__ring_remove(&call->work.node);
        aio__scheduled_free(loop, call);
    }
    aio__free(loop->slots);
    loop->slots = NULL;
    loop->slot_capacity = loop->slot_free = 0;
}

/* From here on other threads are refused. A call that was posted is dropped, or, if it is kept, made now. */
static AIO__COLD void aio__incoming_close(aio_loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    loop->incoming_closed = true;
    aio__threadsafe_call *calls[] = { loop->taken, loop->incoming };
    loop->taken = loop->incoming = NULL;
    pthread_mutex_unlock(&loop->mutex);
    for (int i = 0; i < 2; i++) {
        for (aio__threadsafe_call *call = calls[i], *next; call; call = next) {
            next = call->next;
            if (call->kept) call->callback(call->arg);
            else aio__free(call);
        }
    }
}

AIO_API AIO__COLD int aio_loop_close(aio_loop *loop)
{
    if (!loop || loop->closed) return 0;
    if (loop->running) return AIO_ELOOPRUNNING;
    aio__incoming_close(loop);
    while (loop->closers) {
        aio__closer *closer = loop->closers;
        loop->closers = closer->next;
        closer->close(loop, closer);
    }
    aio__descriptor_remove(loop, &loop->wake);
    aio__os.close(loop->wake_read);
    if (loop->wake_write != loop->wake_read) aio__os.close(loop->wake_write);
    aio__calls_close(loop);
    aio__frames_close(loop);
    aio__timers_close(loop);
    loop->poller->close(loop);
    loop->closed = true;
    if (aio__set == loop) aio__set = NULL;
    return 0;
}

AIO_API AIO__COLD void aio_loop_free(aio_loop *loop)
{
    if (!loop) return;
    if (aio_loop_close(loop)) aio__abort("aio_loop_free of a running loop", "aio_loop_free", 0);
    aio__heap_each(&loop->frames, aio__frame_clear, NULL);
    aio__heap_clear(&loop->frames);
    aio__heap_clear(&loop->pool);
    pthread_mutex_destroy(&loop->mutex);
    aio__free(loop);
}

/* ---- futures that are kept ---- */

static void aio__yield_done(void *arg)
{
    aio_future *future = (aio_future *)arg;
    if (future->state == AIO__PENDING) aio__future_finish(future, AIO__DONE);
    aio_unref(future);
}

/* A work that waits for this future, or has just been queued by it, does so no more. */
static void aio__work_leave(aio__work *work, aio_future *f)
{
    if (work->node.next && f->state < AIO__DONE) aio__waiters_remove(f, &work->node);
    else if (work->node.next) aio__ring_remove(&work->node);
}

/* Stands for another future, and looks like one of its type: when that ends, all of it but the base is copied here,
 * over the members below. So nothing of them is to be touched once the state is final, but by a shield that was
 * cancelled. */
typedef struct aio__forward {
    aio_future  future;  /* while a wait_for is pending: `error` is why it is being cancelled */
    aio_future *inner;   /* one owner */
    aio__timer *timer;   /* of a wait_for */
    size_t      size;    /* of the inner future's type */
    double      seconds;
    bool        expired, shield;
    __attribute__((__aligned__(16))) aio__work work; /* among inner's waiters; of a shield it owns the forward, too */
} aio__forward;

static aio_exception *aio__timed_out(int code, double seconds)
{
    return aio__exception(code, "", "timed out after %.3g s", seconds > 0 ? seconds : 0.0);
}

/* Becomes what the inner future is. */
static void aio__forward_finish(aio__forward *p, aio_future *inner)
{
    aio_exception *why = p->future.error;
    p->future.error = NULL;
    aio__timer_cancel(p->future.loop, p->timer);
    if (inner->error) {
        inner->flags |= AIO__F_SEEN;
        bool cancelled = inner->state == AIO__CANCELLED;
        if (cancelled && p->expired && !why) aio__future_fail(&p->future, aio__timed_out(AIO_ETIMEOUT, p->seconds));
        else aio__future_fail(&p->future, aio_exception_ref(cancelled && why ? why : inner->error));
    } else {
        size_t base = (inner->flags & AIO__F_CORO) ? sizeof(aio_task) : sizeof(aio_future), size = p->size;
        if (size > base) memcpy((char *)p + base, (char *)inner + base, size - base);
        p->future.flags |= inner->flags & AIO__F_END;
        aio__future_finish(&p->future, AIO__DONE);
    }
    aio_exception_unref(why);
}

static void aio__forward_run(aio__work *work)
{
    aio__forward *p = (aio__forward *)work->owner;
    aio_future *inner = p->inner;
    bool shield = p->shield;
    if (p->future.state < AIO__DONE) aio__forward_finish(p, inner);
    aio_unref(inner);
    if (shield) aio_unref(p);
}

static void aio__forward_destroy(aio_future *future)
{
    aio__forward *p = (aio__forward *)(void *)future;
    if (future->state >= AIO__DONE) return;
    aio__timer_cancel(future->loop, p->timer);
    aio__work_leave(&p->work, p->inner);
    aio_unref(p->inner);
}

static aio_future *aio__forward_child(aio_future *future, size_t i)
{
    return i == 0 && future->state < AIO__DONE ? ((aio__forward *)(void *)future)->inner : NULL;
}

/* Ends with this error, and leaves the inner future to others. */
static void aio__forward_leave(aio__forward *p, aio_exception *error)
{
    aio__timer_cancel(p->future.loop, p->timer);
    aio__work_leave(&p->work, p->inner);
    aio_unref(p->inner);
    aio__future_fail(&p->future, error);
}

static bool aio__forward_cancel(aio_future *future, aio_exception *why)
{
    aio__forward_leave((aio__forward *)(void *)future, aio_exception_ref(why));
    return true;
}

static const aio__ops aio__forward_ops = { "forward", aio__forward_cancel, aio__forward_destroy, aio__forward_child };

/* Takes the inner future, which is pending. NULL without memory. */
static aio__forward *aio__forward_make(const aio__ops *ops, aio_future *inner, size_t size)
{
    size_t whole = size > sizeof(aio__forward) ? size : sizeof(aio__forward);
    aio__forward *p = (aio__forward *)aio__future_make(inner->loop, ops, whole, NULL, 0);
    if (!p) {
        aio_unref(inner);
        return NULL;
    }
    p->inner = inner;
    p->size = size;
    p->work.run = aio__forward_run;
    p->work.owner = p;
    aio__waiters_add(inner, &p->work.node);
    return p;
}

/* For what keeps a future, not awaits it at once: sleep(0) is no future of its own until then. Takes it. */
static aio_future *aio__real_future(aio_future *f)
{
    if (!f || !(f->flags & AIO__F_YIELD)) return f;
    aio_loop *loop = f->loop;
    aio_unref(f);
    aio_future *future = (aio_future *)aio__future_make(loop, NULL, sizeof *future, NULL, 0);
    if (!future) return NULL;
    if (aio_loop_call_soon(loop, aio__yield_done, aio_ref(future)).generation) return future;
    aio_unref(future);
    aio_unref(future);
    return NULL;
}

/* One that others wait for, too, must not be cancelled for them: what is given in its place is only the caller's. */
AIO_API void *aio__ensure_future(void *awaitable, size_t size)
{
    if (!awaitable) return NULL;
    aio_future *f = aio__future_of(awaitable, "aio_ensure_future");
    if ((f->flags & AIO__F_CORO) && !(f->flags & AIO__F_TASK) && f->state == AIO__NEW)
        return aio__create_task(f, NULL);
    if ((f->flags & AIO__F_SHARED) && f->state < AIO__DONE) return aio__forward_make(&aio__forward_ops, f, size);
    return aio__real_future(f);
}

/* ---- running ---- */

static void aio__stop_when_done(aio_future *future, void *arg)
{
    (void)future;
    aio_loop_stop((aio_loop *)arg);
}

AIO_API int aio_loop_run_until_complete(aio_loop *loop, void *awaitable, aio_exception **error)
{
    if (error) *error = NULL;
    int code = awaitable ? aio__loop_can_run(loop) : aio__out_of_memory ? ENOMEM : EINVAL;
    if (code) {
        aio_unref(awaitable);
        return code;
    }
    aio_loop *set = aio__set;
    aio__set = loop;
    aio_future *f = (aio_future *)aio__ensure_future(awaitable, sizeof *f);
    aio__set = set;
    if (!f) return errno;
    if (aio__adopt(loop, f)) code = AIO_EWRONGLOOP;
    else code = aio_future_add_done_callback(f, aio__stop_when_done, loop);
    if (!code) {
        code = aio_loop_run_forever(loop);
        aio_future_remove_done_callback(f, aio__stop_when_done, loop);
        if (!code && f->state < AIO__DONE) code = AIO_ESTOPPED;
    }
    if (!code && f->error) {
        f->flags |= AIO__F_SEEN;
        code = f->error->code;
        if (error) *error = aio_exception_ref(f->error);
    }
    aio_unref(f);
    return code;
}

/* ============================================================================
 * 32. Combinators: how they wait
 *
 * Futures over futures. Each child carries a small record of the combinator among its waiters.
 * ============================================================================ */

/* A future whose cancelling means to cancel others. They wait in a list, since a chain of such futures may be longer
 * than the C stack is deep. */
typedef struct aio__cancel_chain aio__cancel_chain;
struct aio__cancel_chain {
    aio__cancel_chain *next;
    void        (*run)(aio__cancel_chain *);
};

static __thread aio__cancel_chain *aio__cancel_chains;
static __thread bool aio__cascading;

static void aio__cancel_chain_start(aio__cancel_chain *cascade)
{
    cascade->next = aio__cancel_chains;
    aio__cancel_chains = cascade;
    if (aio__cascading) return;
    aio__cascading = true;
    while (aio__cancel_chains) {
        cascade = aio__cancel_chains;
        aio__cancel_chains = cascade->next;
        cascade->run(cascade);
    }
    aio__cascading = false;
}

typedef struct aio__combinator { /* a gather, wait or as_completed; works, children and, of the last, order follow */
    aio_future   future;     /* while a gather is pending: `error` is why it is being cancelled */
    size_t       result;     /* of a wait: how base entries are done */
    size_t       count, pending;
    aio__work *works;    /* among the waiters of the children; node.next is NULL for one that waits for nothing */
    aio_future **children;   /* each holds a reference; NULL: the entry was NULL, or is let go */
    aio__timer  *timer;
    aio__cancel_chain cascade;    /* of a gather */
    uint8_t      mode;       /* aio_return_when */
    bool         keep_errors, cancelling;
} aio__combinator;

/* 0, or why these cannot be waited for. */
static int aio__combinator_check(aio_loop *loop, void **array, size_t count, const char *function)
{
    if (!loop) return AIO_ENOLOOP;
    if (loop->closed) return AIO_ELOOPCLOSED;
    if (!array && count) return EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (!array[i]) continue;
        aio_future *f = aio__future_of(array[i], function);
        if (f->loop && f->loop != loop) return AIO_EWRONGLOOP;
        if ((f->flags & (AIO__F_CORO | AIO__F_TASK)) == AIO__F_CORO && f->state == AIO__PENDING) return AIO_ERUNTIME;
    }
    return 0;
}

/* A pending one, without children yet: a struct of `head` bytes, and `extra` more for each. NULL without memory. */
static aio__combinator *aio__combinator_make(aio_loop *loop, const aio__ops *ops, size_t head, size_t count,
                                             size_t extra)
{
    size_t each = sizeof(aio__work) + sizeof(aio_future *) + extra;
    head = (head + 15) & ~(size_t)15;
    if (count > (SIZE_MAX / 2 - head) / each) {
        aio__out_of_memory = true;
        return NULL;
    }
    aio__combinator *base = (aio__combinator *)aio__future_make(loop, ops, head + count * each, NULL, 0);
    if (!base) return NULL;
    base->works = (aio__work *)(void *)((char *)base + head);
    base->children = (aio_future **)(void *)(base->works + count);
    base->count = count;
    return base;
}

/* Coroutines become tasks, in order, before anything is waited for. */
static void aio__combinator_schedule(aio_loop *loop, void **array, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        aio_future *f = (aio_future *)array[i];
        if (!f) continue;
        aio__adopt(loop, f);
        if ((f->flags & AIO__F_CORO) && f->state == AIO__NEW) {
            aio_loop *set = aio__set;
            aio__set = loop;
            aio__create_task(f, NULL);
            aio__set = set;
        } else if (f->flags & AIO__F_YIELD) array[i] = aio__real_future(f);
    }
}

/* Keeps the i-th entry, and waits for it if it is pending. One that stood in the array before needs no second work:
 * the latest of its waiters is a work of ours. */
static void aio__combinator_watch(aio__combinator *base, size_t i, aio_future *f, void (*run)(aio__work *))
{
    f->refs++;
    base->children[i] = f;
    if (f->state >= AIO__DONE) return;
    uintptr_t last = f->waiters.first ? (uintptr_t)f->waiters.first->prev : 0;
    if (last >= (uintptr_t)base->works && last < (uintptr_t)(base->works + base->count)) return;
    base->works[i].run = run;
    base->works[i].owner = base;
    base->pending++;
    aio__waiters_add(f, &base->works[i].node);
}

/* Waits no more for the children that are left, and lets all go. */
static void aio__combinator_leave(aio__combinator *base)
{
    for (size_t i = 0; i < base->count; i++) {
        aio_future *f = base->children[i];
        if (!f) continue;
        base->children[i] = NULL;
        aio__work_leave(&base->works[i], f);
        aio_unref(f);
    }
    aio__timer_cancel(base->future.loop, base->timer);
    base->timer = NULL;
}

static void aio__combinator_destroy(aio_future *future) { aio__combinator_leave((aio__combinator *)(void *)future); }

static aio_future *aio__combinator_child(aio_future *future, size_t i)
{
    aio__combinator *base = (aio__combinator *)(void *)future;
    for (size_t k = 0; k < base->count; k++)
        if (base->works[k].node.next && base->children[k]->state < AIO__DONE && i-- == 0) return base->children[k];
    return NULL;
}

/* What the caller gets instead of a combinator. */
static aio_future *aio__combinator_refused(int code, const char *function)
{
    return aio__failure(code, "%s: %s", function, code == EINVAL ? "wrong arguments" : aio_code_text(code));
}

/* ---- gather ---- */

/* The gather ends: with this error, or with why it was cancelled, or well. The exception is borrowed. */
static void aio__gather_finish(aio__combinator *g, aio_exception *error)
{
    for (size_t i = 0; error && i < g->count; i++) /* their errors come too late for anybody */
        if (g->children[i]) g->children[i]->flags |= AIO__F_QUIET;
    aio_exception *why = g->future.error;
    g->future.error = aio_exception_ref(error ? error : why);
    aio_exception_unref(why);
    aio__combinator_leave(g);
    error = g->future.error;
    aio__future_finish(&g->future, error && error->code == AIO_ECANCELLED ? AIO__CANCELLED : AIO__DONE);
}

/* True if the gather ends with this child's error. */
static bool aio__gather_failed(aio__combinator *g, aio_future *child)
{
    if (!child->error) return false;
    child->flags |= AIO__F_SEEN;
    if (g->keep_errors) return false;
    aio__gather_finish(g, child->error);
    return true;
}

static void aio__gather_run(aio__work *work)
{
    aio__combinator *g = (aio__combinator *)work->owner;
    aio_future *child = g->children[work - g->works];
    g->pending--;
    if (aio__gather_failed(g, child)) return;
    g->children[work - g->works] = NULL;
    aio_unref(child);
    if (!g->pending) aio__gather_finish(g, NULL);
}

/* Asks every child that is pending; one that is shared with others is only left. */
static void aio__gather_cancel_children(aio__cancel_chain *cascade)
{
    aio__combinator *g = AIO__CONTAINER(cascade, aio__combinator, cascade);
    for (size_t i = 0; i < g->count; i++) {
        aio_future *child = g->children[i];
        if (!g->works[i].node.next || child->state >= AIO__DONE) continue;
        if (!(child->flags & AIO__F_SHARED)) {
            aio__cancel(child, g->future.error);
            continue;
        }
        aio__work_leave(&g->works[i], child);
        g->children[i] = NULL;
        aio_unref(child);
        g->pending--;
    }
    g->cancelling = false;
    if (!g->pending) aio__gather_finish(g, NULL);
    aio_unref(g);
}

static bool aio__gather_cancel(aio_future *future, aio_exception *why)
{
    aio__combinator *g = (aio__combinator *)(void *)future;
    if (g->cancelling) return true;
    if (!aio__combinator_child(future, 0)) return false;
    if (!future->error) future->error = aio_exception_ref(why);
    future->refs++;
    g->cancelling = true;
    g->cascade.run = aio__gather_cancel_children;
    aio__cancel_chain_start(&g->cascade);
    return true;
}

static const aio__ops aio__gather_ops = {
    "gather", aio__gather_cancel, aio__combinator_destroy, aio__combinator_child
};

AIO_API aio_future *aio_gather_with(void *array, size_t count, const aio_gather_options *options)
{
    AIO__DEFAULTS(aio_gather_options, options);
    void **entries = (void **)array;
    aio_loop *loop = aio__loop_now();
    int code = aio__combinator_check(loop, entries, count, "aio_gather");
    if (code) return aio__combinator_refused(code, "aio_gather");
    aio__combinator *g = aio__combinator_make(loop, &aio__gather_ops, sizeof *g, count, 0);
    if (!g) return NULL;
    g->keep_errors = options->return_exceptions;
    aio__combinator_schedule(loop, entries, count);
    aio_exception *first = NULL;
    for (size_t i = 0; i < count; i++) {
        aio_future *f = (aio_future *)entries[i];
        if (f) aio__combinator_watch(g, i, f, aio__gather_run);
        aio_exception *error = !f ? &aio__no_memory : f->state >= AIO__DONE ? f->error : NULL;
        if (f && error) f->flags |= AIO__F_SEEN;
        if (!first && !g->keep_errors) first = error;
    }
    if (first || !g->pending) aio__gather_finish(g, first);
    return &g->future;
}

/* ---- wait ---- */

static void aio__wait_finish(aio__combinator *w)
{
    for (size_t i = 0; i < w->count; i++) w->result += !w->children[i] || w->children[i]->state >= AIO__DONE;
    aio__combinator_leave(w);
    aio__future_finish(&w->future, AIO__DONE);
}

/* Is this one, which is done, enough? NULL: it was NULL. */
static bool aio__wait_enough(const aio__combinator *w, const aio_future *f)
{
    if (w->mode == AIO_FIRST_COMPLETED) return true;
    return w->mode == AIO_FIRST_EXCEPTION && (!f || (f->error && f->state != AIO__CANCELLED));
}

static void aio__wait_run(aio__work *work)
{
    aio__combinator *w = (aio__combinator *)work->owner;
    w->pending--;
    if (!w->pending || aio__wait_enough(w, w->children[work - w->works])) aio__wait_finish(w);
}

static void aio__wait_fire(aio__timer *timer)
{
    aio__combinator *w = (aio__combinator *)timer->owner;
    w->timer = NULL;
    aio__wait_finish(w);
}

static bool aio__wait_cancel(aio_future *future, aio_exception *why)
{
    aio__combinator_leave((aio__combinator *)(void *)future);
    aio__future_fail(future, aio_exception_ref(why));
    return true;
}

static const aio__ops aio__wait_ops = { "wait", aio__wait_cancel, aio__combinator_destroy, aio__combinator_child };

/* Starts the timer of an option: 0 is none, a negative one is due at the next iteration. 0, EINVAL or ENOMEM. */
static int aio__combinator_limit(aio__combinator *base, double seconds, void (*fire)(aio__timer *))
{
    int64_t when = seconds < 0 ? 0 : aio__deadline(aio__os.clock(), seconds);
    if (when < 0 || seconds - seconds != 0) return EINVAL;
    if (seconds == 0) return 0;
    base->timer = aio__timer_start(base->future.loop, when, fire, base);
    return base->timer ? 0 : ENOMEM;
}

AIO_API aio_wait_future *aio_wait_with(void *array, size_t count, const aio_wait_options *options)
{
    AIO__DEFAULTS(aio_wait_options, options);
    void **entries = (void **)array;
    aio_loop *loop = aio__loop_now();
    int code = count ? aio__combinator_check(loop, entries, count, "aio_wait") : EINVAL;
    if (code) return (aio_wait_future *)(void *)aio__combinator_refused(code, "aio_wait");
    aio__combinator *w = aio__combinator_make(loop, &aio__wait_ops, sizeof *w, count, 0);
    if (!w) return NULL;
    w->mode = (uint8_t)options->return_when;
    code = aio__combinator_limit(w, options->timeout, aio__wait_fire);
    if (code) {
        aio_unref(w);
        return code == ENOMEM ? NULL : (aio_wait_future *)(void *)aio__combinator_refused(code, "aio_wait");
    }
    aio__combinator_schedule(loop, entries, count);
    bool enough = false;
    for (size_t i = 0; i < count; i++) {
        aio_future *f = (aio_future *)entries[i];
        if (f) aio__combinator_watch(w, i, f, aio__wait_run);
        if (!f || f->state >= AIO__DONE) enough |= aio__wait_enough(w, f);
    }
    if (enough || !w->pending) aio__wait_finish(w);
    return (aio_wait_future *)(void *)w;
}

AIO_API size_t aio_wait_partition(void *array, size_t count)
{
    void **entries = (void **)array;
    size_t done = 0;
    for (size_t i = 0; entries && i < count; i++) {
        if (entries[i] && !aio_future_done(entries[i])) continue;
        void *entry = entries[i];
        entries[i] = entries[done];
        entries[done++] = entry;
    }
    return done;
}

/* ---- as_completed ---- */

struct aio_completions {
    aio__combinator    base;
    aio_future **order;           /* the entries that are done, as they ended; NULL for a NULL */
    size_t       total;           /* steps there are in all */
    size_t       finished, taken; /* in `order`: how base; the next to be given */
    size_t       handed;          /* steps given, timeouts included */
    aio__node    waiting;         /* steps that wait, first come first served */
    bool         expired;
};

typedef struct aio__completions_step { /* of aio_as_completed_next; while it waits it owns the iterator, too */
    aio_future       future;
    aio_any          result;
    aio__node        node;
    aio_completions *of;
} aio__completions_step;

static void aio__completions_destroy(aio_future *future)
{
    aio_completions *c = (aio_completions *)(void *)future;
    aio__combinator_leave(&c->base);
}

static const aio__ops aio__completions_ops = { "as_completed", NULL, aio__completions_destroy, aio__combinator_child };

/* The step ends, if it can by now. */
static bool aio__completions_give(aio_completions *c, aio__completions_step *step)
{
    aio_exception *error = NULL;
    if (c->taken < c->finished) {
        void *entry = c->order[c->taken++];
        memcpy(&step->result, &entry, sizeof entry);
        if (!entry) error = &aio__no_memory;
    } else if (c->handed == c->total) {
        error = aio__exception(AIO_ESTOPITERATION, "", NULL);
    } else if (c->expired) {
        error = aio__exception(AIO_ETIMEOUT, "", "as_completed: %zu of %zu have not ended in time",
                               c->total - c->handed, c->total);
    } else return false;
    if (c->handed < c->total) c->handed++;
    if (error) aio__future_fail(&step->future, error);
    else aio__future_finish(&step->future, AIO__DONE);
    return true;
}

/* Steps that wait are served. May end the iterator's life. */
static void aio__completions_serve(aio_completions *c)
{
    c->base.future.refs++;
    while (!aio__ring_empty(&c->waiting)) {
        aio__completions_step *step = AIO__CONTAINER(c->waiting.next, aio__completions_step, node);
        if (!aio__completions_give(c, step)) break;
        aio__ring_remove(&step->node);
        aio_unref(c);
    }
    aio_unref(c);
}

static void aio__completions_run(aio__work *work)
{
    aio_completions *c = (aio_completions *)work->owner;
    c->order[c->finished++] = c->base.children[work - c->base.works];
    aio__completions_serve(c);
}

/* What has ended by now counts, whether or not its work ran. */
static void aio__completions_fire(aio__timer *timer)
{
    aio_completions *c = (aio_completions *)timer->owner;
    c->base.timer = NULL;
    c->expired = true;
    for (size_t i = 0; i < c->base.count; i++) {
        aio_future *f = c->base.children[i];
        if (!c->base.works[i].node.next) continue;
        aio__work_leave(&c->base.works[i], f);
        if (f->state >= AIO__DONE) c->order[c->finished++] = f;
    }
    aio__completions_serve(c);
}

/* Those that are done already come first, as they stand in the array. */
static void aio__completions_begin(aio_completions *c, void **entries)
{
    size_t count = c->base.count;
    for (size_t i = 0; i < count; i++) {
        aio_future *f = (aio_future *)entries[i];
        if (f && (f->flags & AIO__F_MARK)) continue;
        c->total++;
        if (f) {
            f->flags |= AIO__F_MARK;
            aio__combinator_watch(&c->base, i, f, aio__completions_run);
        }
        if (!f || f->state >= AIO__DONE) c->order[c->finished++] = f;
    }
    for (size_t i = 0; i < count; i++)
        if (entries[i]) ((aio_future *)entries[i])->flags &= (uint16_t)~AIO__F_MARK;
}

AIO_API aio_completions *aio_as_completed_with(void *array, size_t count, const aio_as_completed_options *options)
{
    AIO__DEFAULTS(aio_as_completed_options, options);
    void **entries = (void **)array;
    aio_loop *loop = aio__loop_now();
    aio_completions *c = NULL;
    int code = aio__combinator_check(loop, entries, count, "aio_as_completed");
    if (!code) {
        c = (aio_completions *)(void *)aio__combinator_make(loop, &aio__completions_ops, sizeof *c, count,
                                                          sizeof *c->order);
        code = c ? aio__combinator_limit(&c->base, options->timeout, aio__completions_fire) : ENOMEM;
    }
    if (code) {
        aio_unref(c);
        errno = code;
        return NULL;
    }
    c->order = c->base.children + count;
    aio__ring_clear(&c->waiting);
    aio__combinator_schedule(loop, entries, count);
    aio__completions_begin(c, entries);
    return c;
}

static void aio__completions_step_leave(aio__completions_step *step)
{
    aio__ring_remove(&step->node);
    aio_unref(step->of);
}

static void aio__completions_step_destroy(aio_future *future)
{
    if (future->state < AIO__DONE) aio__completions_step_leave((aio__completions_step *)(void *)future);
}

static bool aio__completions_step_cancel(aio_future *future, aio_exception *why)
{
    aio__completions_step_leave((aio__completions_step *)(void *)future);
    aio__future_fail(future, aio_exception_ref(why));
    return true;
}

static aio_future *aio__completions_step_child(aio_future *future, size_t i)
{
    return aio__combinator_child(&((aio__completions_step *)(void *)future)->of->base.future, i);
}

static const aio__ops aio__completions_step_ops = {
    "as_completed", aio__completions_step_cancel, aio__completions_step_destroy, aio__completions_step_child
};

AIO_API aio_completions_future *aio_as_completed_next(aio_completions *completions)
{
    if (!completions) return NULL;
    aio_future *f = aio__future_of(completions, "aio_as_completed_next");
    aio__completions_step *step =
        (aio__completions_step *)aio__future_make(f->loop, &aio__completions_step_ops, sizeof *step, NULL, 0);
    if (!step) return NULL;
    step->of = completions;
    if (!aio__ring_empty(&completions->waiting) || !aio__completions_give(completions, step)) {
        f->refs++;
        aio__ring_insert(&completions->waiting, &step->node);
    }
    return (aio_completions_future *)(void *)step;
}

/* ---- shield ---- */

static const aio__ops aio__shield_ops = { "shield", NULL, aio__forward_destroy, aio__forward_child };

AIO_API void *aio__shield(void *awaitable, size_t size)
{
    if (!awaitable) return NULL;
    aio_future *f = aio__future_of(awaitable, "aio_shield");
    aio_loop *loop = aio__loop_now();
    if (f->state >= AIO__DONE) return f;
    int code = aio__combinator_check(loop, &awaitable, 1, "aio_shield");
    if (code) {
        if (code != AIO_ERUNTIME) aio_unref(f); /* else it is what awaits it that owns it */
        return aio__combinator_refused(code, "aio_shield");
    }
    aio__adopt(loop, f);
    bool shared = f->flags & AIO__F_SHARED;
    f = (aio_future *)aio__ensure_future(f, size);
    if (!f || shared) return f; /* what stands for a shared one is its shield: others see to its end */
    aio__forward *p = aio__forward_make(&aio__shield_ops, f, size);
    if (!p) return NULL;
    p->shield = true;
    p->future.refs++;
    return p;
}

/* ============================================================================
 * 33. Timeouts and task groups: scopes
 *
 * What AIO_TIMEOUT calls, and groups of tasks that end together.
 * ============================================================================ */

static aio__block *aio__timeout_top(const aio_task *t)
{
    for (aio__attachment *extra = t->extra; extra; extra = extra->next)
        if (extra->kind == AIO__EXTRA_BLOCK && ((aio__block *)(void *)extra)->timed) return (aio__block *)(void *)extra;
    return NULL;
}

/* The cancel carries the message of the timeout and gathers the traceback that it is going to have. */
static void aio__timeout_fire(aio__timer *timer)
{
    aio__block *block = (aio__block *)timer->owner;
    aio_future *task = &aio__root(block->frame)->future;
    block->timer = NULL;
    block->expired = true;
    aio_exception *why = aio__timed_out(AIO_ECANCELLED, (double)(task->loop->now - block->opened) / 1e9);
    if (why->code != AIO_ECANCELLED) why = &aio__cancelled;
    aio__cancel(task, why);
    aio_exception_unref(why);
}

/* When the timer is to fire: what is over already, before anything else. -1: not a finite number. */
static int64_t aio__timeout_when(int64_t now, int64_t base, double seconds)
{
    int64_t when = aio__deadline(base, seconds);
    return when > now || when < 0 ? when : 0;
}

/* 1: it cannot be, an error is thrown. */
static int aio__timeout_start(aio_task *t, int line, int64_t now, int64_t when, int handler)
{
    if (when < 0)
        return aio__block_fails(t, NULL, line, handler, aio__exception(EINVAL, "", "the timeout is no finite number"));
    aio__block *block = aio__block_open(t, line, handler, AIO__BLOCK_FRESH);
    if (!block) return 1;
    block->timed = true;
    block->opened = now;
    block->cancels = aio__root(t)->cancels;
    block->timer = aio__timer_start(t->future.loop, when, aio__timeout_fire, block);
    return block->timer ? 0 : aio__block_fails(t, block, line, handler, &aio__no_memory);
}

AIO_API int aio__timeout_open(aio_task *t, int line, double seconds, int handler)
{
    int64_t now = aio__os.clock();
    return aio__timeout_start(t, line, now, aio__timeout_when(now, now, seconds), handler);
}

AIO_API int aio__timeout_at_open(aio_task *t, int line, double when, int handler)
{
    int64_t now = aio__os.clock();
    return aio__timeout_start(t, line, now, aio__timeout_when(now, 0, when), handler);
}

AIO_API void aio__timeout_close(aio_task *t)
{
    aio__block *block = aio__block_top(t);
    aio__timer_cancel(t->future.loop, block->timer);
    block->timer = NULL;
    if (!block->expired || aio_task_uncancel(aio__root(t)) > block->cancels) return;
    if (!block->error || block->error->code != AIO_ECANCELLED) return;
    aio_exception *error = block->error;
    if (error->refs == 1) {
        error->code = AIO_ETIMEOUT;
        return;
    }
    block->error = aio__exception(AIO_ETIMEOUT, "", "%s", error->refs < 0 ? "timed out" : error->message);
    aio_exception_unref(error);
}

AIO_API int aio__timeout_reschedule(aio_task *t, double seconds)
{
    aio__block *block = aio__timeout_top(t);
    if (!block || !block->timer) return AIO_EINVALIDSTATE;
    int64_t now = aio__os.clock(), when = aio__timeout_when(now, now, seconds);
    if (when < 0) return EINVAL;
    aio__timer *timer = aio__timer_start(t->future.loop, when, aio__timeout_fire, block);
    if (!timer) return ENOMEM;
    aio__timer_cancel(t->future.loop, block->timer);
    block->timer = timer;
    return 0;
}

AIO_API bool aio__timeout_expired(const aio_task *t)
{
    const aio__block *block = aio__timeout_top(t);
    return block && block->expired;
}

/* ---- wait_for ---- */

/* Of a plain future, whose type has no room for a coroutine's base. */

static bool aio__wait_for_cancel(aio_future *future, aio_exception *why)
{
    aio__forward *p = (aio__forward *)(void *)future;
    if (p->inner->flags & AIO__F_SHARED) {
        aio__forward_leave(p, aio_exception_ref(why));
        return true;
    }
    if (!aio__cancel(p->inner, why)) return false;
    if (!future->error) future->error = aio_exception_ref(why);
    return true;
}

static const aio__ops aio__wait_for_ops = {
    "wait_for", aio__wait_for_cancel, aio__forward_destroy, aio__forward_child
};

static void aio__wait_for_expire(aio__forward *p)
{
    p->expired = true;
    if (p->inner->flags & AIO__F_SHARED) aio__forward_leave(p, aio__timed_out(AIO_ETIMEOUT, p->seconds));
    else aio__cancel(p->inner, &aio__cancelled);
}

static void aio__wait_for_fire(aio__timer *timer)
{
    aio__forward *p = (aio__forward *)timer->owner;
    p->timer = NULL;
    aio__wait_for_expire(p);
}

static aio__forward *aio__wait_for_future(aio_future *inner, size_t size, double seconds)
{
    aio__forward *p = aio__forward_make(&aio__wait_for_ops, inner, size);
    if (!p) return NULL;
    p->seconds = seconds;
    if (seconds <= 0) {
        aio__wait_for_expire(p);
        return p;
    }
    p->timer = aio__timer_start(inner->loop, aio__deadline(aio__os.clock(), seconds), aio__wait_for_fire, p);
    if (p->timer) return p;
    aio_unref(p);
    return NULL;
}

/* Of a coroutine or task: a coroutine that looks like one of its type. When the inner one has ended all of it but the
 * base is copied here, over the members below. */
struct aio__wait_for {
    aio_task    task;
    aio_future *inner; /* one owner: AIO__F_HOLDS */
    double      seconds;
    size_t      size;
    int         cancels; /* of the task, when the wait began */
};

static void aio__wait_for_begin(struct aio__wait_for *w)
{
    w->cancels = aio__root(&w->task)->cancels;
    aio__cancel(w->inner, &aio__cancelled);
}

static bool aio__wait_for_over(const struct aio__wait_for *w)
{
    return w->task.caught->code == AIO_ECANCELLED && aio__root((aio_task *)(uintptr_t)&w->task)->cancels <= w->cancels;
}

static void aio__wait_for_end(struct aio__wait_for *w)
{
    aio_future *inner = w->inner;
    size_t base = sizeof(aio_task), size = w->size;
    w->task.future.flags = (uint16_t)((w->task.future.flags & ~AIO__F_HOLDS) | (inner->flags & AIO__F_END));
    if (size > base) memcpy((char *)w + base, (char *)inner + base, size - base);
    aio_unref(inner);
}

static AIO_CORO(aio__wait_for)
{
    AIO_BEGIN(aio__wait_for);
    if (self->seconds > 0) {
        AIO_TIMEOUT(self->seconds) AIO_AWAIT(aio_ref(self->inner));
    } else {
        aio__wait_for_begin(self);
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->inner));
        } AIO_CATCH_ALL {
            if (!aio__wait_for_over(self)) AIO_RERAISE();
            AIO_RAISE(AIO_ETIMEOUT, "timed out after 0 s");
        } AIO_END_TRY
    }
    aio__wait_for_end(self);
    AIO_END;
}

static void *aio__wait_for_coroutine(aio_future *inner, size_t size, double seconds)
{
    size_t whole = size > sizeof(struct aio__wait_for) ? size : sizeof(struct aio__wait_for);
    struct aio__wait_for *w = (struct aio__wait_for *)(void *)aio__frame_alloc(aio__running, whole, whole, NULL, 0);
    if (!w) {
        aio_unref(inner);
        return NULL;
    }
    w->task.future.flags = (uint16_t)(w->task.future.flags | AIO__F_CORO | AIO__F_HOLDS);
    w->task.future.run.coro = aio__wait_for_coro;
    w->inner = inner;
    w->seconds = seconds;
    w->size = size;
    return w;
}

AIO_API void *aio__wait_for(void *awaitable, size_t size, double seconds)
{
    if (!awaitable) return NULL;
    aio_future *f = aio__future_of(awaitable, "aio_wait_for");
    bool mine = (f->flags & (AIO__F_CORO | AIO__F_TASK)) != AIO__F_CORO || f->state != AIO__PENDING;
    if (!mine || aio__deadline(0, seconds) < 0) {
        if (mine) aio_unref(f);
        return aio__combinator_refused(mine ? EINVAL : AIO_ERUNTIME, "aio_wait_for");
    }
    if (f->state >= AIO__DONE) return f;
    if (f->flags & AIO__F_CORO) return aio__wait_for_coroutine(f, size, seconds);
    f = aio__real_future(f);
    return f ? aio__wait_for_future(f, size, seconds) : NULL;
}

/* ---- task groups ---- */

struct aio_task_group {
    aio_future   future;   /* done when the block's end has nothing left to wait for; `error`: what it raises */
    aio_task    *root;     /* the task of the block; NULL when that has ended */
    aio__node    children; /* by aio__group_child.link */
    aio__cancel_chain cascade;
    bool         aborting, exiting;
    bool         asked;    /* it cancelled its block's task, and has to take that back */
};

typedef struct aio__group_child {
    aio__work work; /* among the task's waiters; its owner is the group */
    aio__node   link;
    aio_task   *task;   /* one owner */
} aio__group_child;

static void aio__group_cancel_children(aio__cancel_chain *cascade)
{
    aio_task_group *g = AIO__CONTAINER(cascade, aio_task_group, cascade);
    for (aio__node *node = g->children.next; node != &g->children; node = node->next)
        aio__cancel(&AIO__CONTAINER(node, aio__group_child, link)->task->future, &aio__cancelled);
    aio_unref(g);
}

static void aio__group_abort(aio_task_group *g)
{
    if (g->aborting) return;
    g->aborting = true;
    g->future.refs++;
    g->cascade.run = aio__group_cancel_children;
    aio__cancel_chain_start(&g->cascade);
}

/* One more error (borrowed) to be raised; a cancel gives way to it. */
static void aio__group_error(aio_task_group *g, aio_exception *error)
{
    aio_exception *e = g->future.error;
    if (!e || e->code == AIO_ECANCELLED) {
        aio_exception_unref(e);
        e = g->future.error = aio__exception(AIO_EGROUP, "", "unhandled errors in a task group");
    }
    int n = e->member_count;
    bool room = e->refs > 0;
    if (room && (n & (n - 1)) == 0) { /* room for 1, 2, 4, ... */
        void *more = aio__realloc(e->members, (size_t)(n ? 2 * n : 1) * sizeof *e->members);
        if (more) e->members = (aio_exception **)more;
        else room = false;
    }
    if (room) e->members[e->member_count++] = aio_exception_ref(error);
    else aio__report(g->future.loop, error, "no memory to keep an error of a task group");
}

static bool aio__group_cancel(aio_future *future, aio_exception *why)
{
    aio_task_group *g = (aio_task_group *)(void *)future;
    if (!future->error) future->error = aio_exception_ref(why);
    aio__group_abort(g);
    return true;
}

static aio_future *aio__group_nth(aio_future *future, size_t i)
{
    aio_task_group *g = (aio_task_group *)(void *)future;
    for (aio__node *node = g->children.next; node != &g->children; node = node->next)
        if (i-- == 0) return &AIO__CONTAINER(node, aio__group_child, link)->task->future;
    return NULL;
}

static const aio__ops aio__group_ops = { "task group", aio__group_cancel, NULL, aio__group_nth };

static void aio__group_child_run(aio__work *work)
{
    aio__group_child *child = AIO__CONTAINER(work, aio__group_child, work);
    aio_task_group *g = (aio_task_group *)work->owner;
    aio_task *task = child->task;
    aio__ring_remove(&child->link);
    aio__pool_free(&g->future.loop->pool, child, sizeof *child);
    if (task->future.error && task->future.state != AIO__CANCELLED) {
        task->future.flags |= AIO__F_SEEN;
        aio__group_error(g, task->future.error);
        if (!g->aborting && !g->exiting) {
            g->asked = true;
            aio__cancel(&g->root->future, &aio__cancelled);
        }
        aio__group_abort(g);
    }
    aio_unref(task);
    if (g->exiting && aio__ring_empty(&g->children)) aio__future_finish(&g->future, AIO__DONE);
}

AIO_API aio_task_group *aio__group_open(aio_task *t, int line, int handler)
{
    aio__block *block = aio__block_open(t, line, handler, AIO__BLOCK_FRESH);
    if (!block) return NULL;
    aio_task_group *g =
        (aio_task_group *)aio__future_make(t->future.loop, &aio__group_ops, sizeof *g, NULL, 0);
    if (!g) {
        aio__block_fails(t, block, line, handler, &aio__no_memory);
        return NULL;
    }
    g->future.flags |= AIO__F_QUIET;
    g->root = aio__root(t);
    aio__ring_clear(&g->children);
    block->group = g;
    block->cancels = g->root->cancels;
    return g;
}

/* The body has ended, with block->error or without: what its end awaits. */
AIO_API void *aio__group_join(aio_task *t)
{
    aio__block *block = aio__block_top(t);
    aio_task_group *g = block->group;
    bool foreign = !g->asked || aio_task_uncancel(g->root) > block->cancels;
    g->exiting = true;
    if (block->error) {
        aio__group_abort(g);
        if (block->error->code == AIO_ECANCELLED) {
            if (foreign && !g->future.error) g->future.error = aio_exception_ref(block->error);
            aio_exception_unref(block->error);
            block->error = NULL;
            block->after = AIO__GO_ON;
        }
    }
    if (aio__ring_empty(&g->children)) aio__future_finish(&g->future, AIO__DONE);
    return aio_ref(g);
}

/* All tasks have ended. What is raised: every error, or else the cancel from outside. */
AIO_API void aio__group_closed(aio_task *t)
{
    aio__block *block = aio__block_top(t);
    aio_task_group *g = block->group;
    aio__release(t);
    if (t->thrown && !g->future.error) g->future.error = aio_exception_ref(t->thrown);
    aio_exception_unref(t->thrown);
    if (block->error) aio__group_error(g, block->error);
    aio_exception_unref(block->error);
    block->error = NULL;
    t->thrown = g->future.error;
    g->future.error = NULL;
    if (t->thrown) {
        block->after = AIO__GO_RAISE;
        if (t->thrown->code != AIO_ECANCELLED && g->root->cancels > block->cancels)
            aio__cancel_later(g->root, &aio__cancelled); /* not lost: it is raised at the next await */
        aio__trace(t);
        block->error = t->thrown;
        t->thrown = NULL;
    }
    g->root = NULL;
    block->group = NULL;
    aio_unref(g);
}

/* 0, or why no task can be made in it. */
static int aio__group_refuses(aio_task_group *g)
{
    if (!g) return EINVAL;
    aio__future_of(g, "aio_task_group_create_task");
    return !g->root || g->aborting || (g->exiting && aio__ring_empty(&g->children)) ? AIO_ERUNTIME : 0;
}

AIO_API void *aio__group_create_task(aio_task_group *group, void *coroutine, const aio_task_options *options)
{
    if (!coroutine) return NULL;
    aio_future *f = aio__future_of(coroutine, "aio_task_group_create_task");
    aio__group_child *child = NULL;
    int code = aio__group_refuses(group);
    if (!code) {
        child = (aio__group_child *)aio__pool_alloc(&group->future.loop->pool, sizeof *child);
        if (!child) code = ENOMEM;
    }
    if (code) {
        if (f->state == AIO__NEW) aio__cancel(f, &aio__cancelled);
        aio_unref(f);
        errno = code;
        return NULL;
    }
    aio_loop *loop = group->future.loop;
    aio_task *task = (aio_task *)aio__create_task(coroutine, options);
    if (!task) {
        aio__pool_free(&loop->pool, child, sizeof *child);
        return NULL;
    }
    child->work.run = aio__group_child_run;
    child->work.owner = group;
    child->task = task;
    aio__ring_insert(&group->children, &child->link);
    if (task->future.state >= AIO__DONE) aio__enqueue(loop, &child->work.node);
    else aio__waiters_add(&task->future, &child->work.node);
    return task;
}

/* ============================================================================
 * 34. Locks: first in, first out
 *
 * Who waits is a coroutine with a place in a wait queue. It is called in turn, and takes what it waited for when it
 * runs; one
 * that is cancelled after its call hands it on. Waiting needs no memory but the coroutine's. An event is simpler: all
 * who wait for it share one future. A loop that closes makes the wait queues forget those who waited in it.
 * ============================================================================ */

/* ---- wait queues ---- */

static aio__wait_node *aio__wait_node_of(aio__node *node) { return AIO__CONTAINER(node, aio__wait_node, node); }

static void aio__wait_queues_close(aio_loop *loop, aio__closer *closer)
{
    (void)closer;
    aio__node *ring = &loop->wait_queues.ring;
    while (!aio__ring_empty(ring)) {
        aio__loop_link *tie = AIO__CONTAINER(ring->next, aio__loop_link, node);
        aio__ring_remove(&tie->node);
        tie->forget(tie);
    }
}

static void aio__loop_link_on(aio_loop *loop, aio__loop_link *tie, void (*forget)(aio__loop_link *))
{
    aio__wait_queues *queues = &loop->wait_queues;
    if (!queues->open) {
        queues->open = true;
        queues->closer.close = aio__wait_queues_close;
        aio__ring_clear(&queues->ring);
        aio__loop_at_close(loop, &queues->closer);
    }
    tie->forget = forget;
    aio__ring_insert(&queues->ring, &tie->node);
}

static void aio__wait_queue_forget(aio__loop_link *tie)
{
    aio__wait_queue *queue = AIO__CONTAINER(tie, aio__wait_queue, tie);
    memset(queue, 0, sizeof *queue);
}

/* 0, or why nobody can be woken from here. */
static int aio__wait_queue_check(const aio__wait_queue *queue)
{
    return queue->loop ? aio__loop_can_schedule(queue->loop) : 0;
}

/* 0, or AIO_EWRONGLOOP. */
static int aio__wait_queue_enter(aio__wait_queue *queue, aio__wait_node *wait, aio_task *task)
{
    aio_loop *loop = task->future.loop;
    if (queue->loop && queue->loop != loop) return AIO_EWRONGLOOP;
    wait->queue = queue;
    wait->task = task;
    wait->called = false;
    if (queue->first) {
        aio__ring_insert(queue->first, &wait->node);
    } else {
        wait->node.next = wait->node.prev = queue->first = &wait->node;
        queue->loop = loop;
        aio__loop_link_on(loop, &queue->tie, aio__wait_queue_forget);
    }
    if (!queue->next) queue->next = &wait->node;
    return 0;
}

static aio__node *aio__wait_queue_after(const aio__wait_queue *queue, const aio__node *node)
{
    return node->next == queue->first ? NULL : node->next;
}

static void aio__wait_queue_leave(aio__wait_node *wait)
{
    aio__wait_queue *queue = wait->queue;
    aio__node *node = &wait->node;
    wait->queue = NULL;
    if (wait->called) queue->called--;
    if (queue->next == node) queue->next = aio__wait_queue_after(queue, node);
    if (node->next == node) {
        queue->first = NULL;
        queue->loop = NULL;
        aio__ring_remove(&queue->tie.node);
        return;
    }
    if (queue->first == node) queue->first = node->next;
    aio__ring_remove(node);
}

/* It stays, but is not to be called any more: it stands before all who are. */
static void aio__wait_queue_pass(aio__wait_node *wait)
{
    aio__wait_queue *queue = wait->queue;
    aio__wait_queue_leave(wait);
    aio__wait_queue_enter(queue, wait, wait->task);
    if (queue->next == &wait->node) queue->next = NULL;
    queue->first = &wait->node;
}

/* The first who was not called yet, and is not about to leave because it was cancelled; or NULL. */
static aio__wait_node *aio__wait_queue_next(aio__wait_queue *queue)
{
    while (queue->next && aio__root(aio__wait_node_of(queue->next)->task)->must_cancel)
        queue->next = aio__wait_queue_after(queue, queue->next);
    return queue->next ? aio__wait_node_of(queue->next) : NULL;
}

/* What a coroutine awaits that stands in a wait queue. */
static aio_future *aio__park(const aio_task *t)
{
    return &t->future.loop->parked;
}

static void aio__unpark(aio_task *t)
{
    aio_loop *loop = t->future.loop;
    aio__waiters_remove(&loop->parked, &t->node);
    t->awaiting = &loop->done; /* a cancel from now on finds that it is to run already */
    aio__enqueue_task(loop, t);
}

/* False if there is nobody to call. */
static bool aio__wait_queue_call(aio__wait_queue *queue)
{
    aio__wait_node *wait = aio__wait_queue_next(queue);
    if (!wait) return false;
    queue->next = aio__wait_queue_after(queue, &wait->node);
    queue->called++;
    wait->called = true;
    aio__unpark(wait->task);
    return true;
}

/* Everyone goes on, and finds that the queue is no more. */
static int aio__wait_queue_destroy(aio__wait_queue *queue)
{
    int code = aio__wait_queue_check(queue);
    if (code) return code;
    while (queue->first) {
        aio__wait_node *wait = aio__wait_node_of(queue->first);
        bool parked = !wait->called && !aio__root(wait->task)->must_cancel;
        aio__wait_queue_leave(wait);
        if (parked) aio__unpark(wait->task);
    }
    return 0;
}

/* 0, or why nobody can wait there now. */
static int aio__wait_queue_closed(const aio__wait_queue *queue)
{
    aio_loop *loop = aio__loop_now();
    if (!queue) return EINVAL;
    if (!loop) return AIO_ENOLOOP;
    return !queue->loop || queue->loop == loop ? 0 : AIO_EWRONGLOOP;
}

static aio_future *aio__refused(int code, const char *function)
{
    return aio__failure(code, "%s: %s", function, code == EINVAL ? "wrong argument" :
                        code == AIO_EWRONGLOOP ? "others wait for it in a different loop" : aio_code_text(code));
}

static aio_future *aio__done_now(void)
{
    return &aio__loop_now()->done;
}

/* ---- waiters ---- */

/* What it is to wait for a lock, a semaphore, a barrier or a queue. */
typedef struct aio__waiting {
    const char *function;              /* which makes the waiter; first, as AIO__F_NAMED wants it */
    const char *end;                   /* in a message: what it waited for is no more */
    int         gone;                  /* the code then */
    int       (*step)(aio__waiter *);  /* tries, at first and when it was called. 0, AIO__PARK or an error code */
    void      (*leave)(aio__waiter *); /* at its end, cancelled or not */
} aio__waiting;

#define AIO__WAITING(waiter) ((const aio__waiting *)(waiter)->use)

enum { AIO__PARK = -1, AIO__LATER = -2 }; /* it stands in a wait queue now; it tries first when its turn has come */

static int aio__waiter_enter(aio__waiter *w, aio__wait_queue *queue)
{
    int code = aio__wait_queue_enter(queue, &w->wait, &w->task);
    return code ? code : AIO__PARK;
}

/* Out of the queue, if it stands in one; true if it had been called there. */
static bool aio__waiter_out(aio__waiter *w)
{
    if (!w->wait.queue) return false;
    bool called = w->wait.called;
    aio__wait_queue_leave(&w->wait);
    return called;
}

static AIO_CORO(aio__waiter)
{
    AIO_BEGIN(aio__waiter);
    if (self->wait.code == AIO__LATER) AIO_AWAIT(aio__turn_end(self->task.future.loop));
    while ((self->wait.code = AIO__WAITING(self)->step(self)) == AIO__PARK) {
        AIO_AWAIT(aio__park(&self->task));
        if (!self->wait.queue)
            AIO_RAISE(AIO__WAITING(self)->gone, "the %s while it was awaited", AIO__WAITING(self)->end);
    }
    if (self->wait.code) AIO_RAISE(self->wait.code);
    AIO_FINALLY;
    if (self->wait.code != AIO__PARK || self->wait.queue) AIO__WAITING(self)->leave(self);
    AIO_END;
}

/* A new one, with `extra` bytes behind it. NULL without memory. */
static void *aio__waiter_make(const aio__waiting *use, void *object, size_t extra)
{
    aio__waiter *w = (aio__waiter *)(void *)aio__frame_alloc(aio__running, sizeof *w + extra, sizeof *w, NULL, 0);
    if (!w) return NULL;
    w->task.future.flags = (uint16_t)(w->task.future.flags | AIO__F_CORO | AIO__F_NAMED);
    w->task.future.run.coro = aio__waiter_coro;
    w->use = use;
    w->object = object;
    return w;
}

/* For what could be had at once, but the turn is over. NULL is fine. */
static void *aio__waiter_later(void *waiter)
{
    if (waiter) ((aio__waiter *)waiter)->wait.code = AIO__LATER;
    return waiter;
}

/* `try_` says whether it can be had at once, and takes it if asked to; `queue` is the object's first member. */
static inline aio_future *aio__acquire(const aio__waiting *use, aio__wait_queue *queue, bool (*try_)(void *, bool take))
{
    int refused = aio__wait_queue_closed(queue);
    if (refused) return aio__refused(refused, use->function);
    bool later = aio__turn_over(aio__loop_now());
    if (AIO__LIKELY(!later) && try_(queue, true)) return aio__done_now();
    void *waiter = aio__waiter_make(use, queue, 0);
    return (aio_future *)(later && try_(queue, false) ? aio__waiter_later(waiter) : waiter);
}

/* ---- events ---- */

typedef struct aio__event_future { /* of all who wait for an event; owned by them alone */
    aio_future future;
    aio_event *event; /* NULL once it was set, destroyed, or its loop closed */
    aio__loop_link   tie;
} aio__event_future;

static bool aio__event_cancel(aio_future *future, aio_exception *why)
{
    (void)future;
    (void)why;
    return false;
}

static void aio__event_forget(aio__loop_link *tie)
{
    aio__event_future *f = AIO__CONTAINER(tie, aio__event_future, tie);
    f->event->waiting = NULL;
    f->event = NULL;
}

static void aio__event_detach(aio__event_future *f)
{
    if (!f->event) return;
    aio__ring_remove(&f->tie.node);
    aio__event_forget(&f->tie);
}

static void aio__event_drop(aio_future *future) { aio__event_detach((aio__event_future *)(void *)future); }

static const aio__ops aio__event_ops = { "event", aio__event_cancel, aio__event_drop, NULL };

AIO_API aio_future *aio_event_wait(aio_event *event)
{
    aio_loop *loop = aio__loop_now();
    if (!event || !loop) return aio__refused(event ? AIO_ENOLOOP : EINVAL, "aio_event_wait");
    if (event->set) return aio__done_now();
    aio__event_future *f = event->waiting;
    if (f && f->future.loop != loop) return aio__refused(AIO_EWRONGLOOP, "aio_event_wait");
    if (f) return (aio_future *)aio_ref(&f->future);
    f = (aio__event_future *)aio__future_make(loop, &aio__event_ops, sizeof *f, NULL, 0);
    if (!f) return NULL;
    f->future.flags |= AIO__F_SHARED;
    f->event = event;
    event->waiting = f;
    aio__loop_link_on(loop, &f->tie, aio__event_forget);
    return &f->future;
}

AIO_API int aio_event_set(aio_event *event)
{
    if (!event) return EINVAL;
    aio__event_future *f = event->waiting;
    int code = f ? aio__loop_can_schedule(f->future.loop) : 0;
    if (code) return code;
    event->set = true;
    if (!f) return 0;
    aio__event_detach(f);
    aio__future_finish(&f->future, AIO__DONE);
    return 0;
}

AIO_API void aio_event_clear(aio_event *event)
{
    if (event) event->set = false;
}

AIO_API bool aio_event_is_set(const aio_event *event) { return event && event->set; }

AIO_API int aio_event_destroy(aio_event *event)
{
    if (!event) return EINVAL;
    aio__event_future *f = event->waiting;
    if (!f) return 0;
    int code = aio__loop_can_schedule(f->future.loop);
    if (code) return code;
    aio__event_detach(f);
    f->future.flags |= AIO__F_QUIET;
    aio__future_fail(&f->future, aio__exception(AIO_ERUNTIME, "", "the event was destroyed while it was awaited"));
    return 0;
}

/* ---- locks ---- */

/* Whether it is free, and nobody waits who was first. */
static inline bool aio__lock_try(void *object, bool take)
{
    aio_lock *lock = (aio_lock *)object;
    if (lock->locked || lock->queue.called || aio__wait_queue_next(&lock->queue)) return false;
    lock->locked = take;
    return true;
}

/* After a release, or when one who was called did not take it. */
static void aio__lock_call(aio_lock *lock)
{
    if (!lock->locked && !lock->queue.called) aio__wait_queue_call(&lock->queue);
}

static int aio__lock_step(aio__waiter *w)
{
    aio_lock *lock = (aio_lock *)w->object;
    if (!w->wait.queue) return aio__lock_try(lock, true) ? 0 : aio__waiter_enter(w, &lock->queue);
    lock->locked = true;
    return 0;
}

static void aio__lock_leave(aio__waiter *w)
{
    if (!w->wait.queue) return;
    aio__wait_queue_leave(&w->wait);
    aio__lock_call((aio_lock *)w->object);
}

static const aio__waiting aio__lock_wait = {
    "aio_lock_acquire", "lock was destroyed", AIO_ERUNTIME, aio__lock_step, aio__lock_leave
};

AIO_API aio_future *aio_lock_acquire(aio_lock *lock)
{
    return aio__acquire(&aio__lock_wait, lock ? &lock->queue : NULL, aio__lock_try);
}

AIO_API int aio_lock_release(aio_lock *lock)
{
    if (!lock) return EINVAL;
    if (!lock->locked) return AIO_ERUNTIME;
    int code = aio__wait_queue_check(&lock->queue);
    if (code) return code;
    lock->locked = false;
    aio__lock_call(lock);
    return 0;
}

AIO_API bool aio_lock_locked(const aio_lock *lock) { return lock && lock->locked; }

AIO_API int aio_lock_destroy(aio_lock *lock) { return lock ? aio__wait_queue_destroy(&lock->queue) : EINVAL; }

/* ---- semaphores ---- */

static bool aio__semaphore_full(aio_semaphore *s)
{
    return s->value <= 0 || s->queue.called || aio__wait_queue_next(&s->queue);
}

/* Who is called has one already. */
static bool aio__semaphore_call(aio_semaphore *s)
{
    if (s->value <= 0 || !aio__wait_queue_call(&s->queue)) return false;
    s->value--;
    return true;
}

static bool aio__semaphore_try(void *object, bool take)
{
    aio_semaphore *s = (aio_semaphore *)object;
    if (aio__semaphore_full(s)) return false;
    s->value -= take;
    return true;
}

static int aio__semaphore_step(aio__waiter *w)
{
    aio_semaphore *s = (aio_semaphore *)w->object;
    return w->wait.queue || aio__semaphore_try(s, true) ? 0 : aio__waiter_enter(w, &s->queue);
}

/* One who was called, and then cancelled, gives it back; then as many go on as there is value for. */
static void aio__semaphore_leave(aio__waiter *w)
{
    aio_semaphore *s = (aio_semaphore *)w->object;
    if (!w->wait.queue) return;
    if (aio__waiter_out(w) && w->wait.code) s->value++;
    while (aio__semaphore_call(s)) { }
}

static const aio__waiting aio__semaphore_wait = {
    "aio_semaphore_acquire", "semaphore was destroyed", AIO_ERUNTIME, aio__semaphore_step, aio__semaphore_leave
};

AIO_API int aio_semaphore_init(aio_semaphore *semaphore, int value)
{
    if (!semaphore || value < 0) return EINVAL;
    memset(semaphore, 0, sizeof *semaphore);
    semaphore->value = value;
    return 0;
}

AIO_API int aio_semaphore_init_bounded(aio_semaphore *semaphore, int value)
{
    int code = aio_semaphore_init(semaphore, value);
    if (code) return code;
    semaphore->bound = value;
    semaphore->bounded = true;
    return 0;
}

AIO_API aio_future *aio_semaphore_acquire(aio_semaphore *semaphore)
{
    if (semaphore && semaphore->value < 0) return aio__refused(EINVAL, "aio_semaphore_acquire");
    return aio__acquire(&aio__semaphore_wait, semaphore ? &semaphore->queue : NULL, aio__semaphore_try);
}

AIO_API int aio_semaphore_release(aio_semaphore *semaphore)
{
    if (!semaphore || (semaphore->bounded && semaphore->value >= semaphore->bound)) return EINVAL;
    if (semaphore->value == INT_MAX) return EOVERFLOW;
    int code = aio__wait_queue_check(&semaphore->queue);
    if (code) return code;
    semaphore->value++;
    aio__semaphore_call(semaphore);
    return 0;
}

AIO_API bool aio_semaphore_locked(const aio_semaphore *semaphore)
{
    return semaphore && aio__semaphore_full((aio_semaphore *)(uintptr_t)semaphore);
}

AIO_API int aio_semaphore_destroy(aio_semaphore *semaphore)
{
    return semaphore ? aio__wait_queue_destroy(&semaphore->queue) : EINVAL;
}

/* ---- conditions ---- */

struct aio__condition_wait {
    aio_task       task;
    aio_condition *condition;
    aio_lock      *lock;   /* once it was released; NULL: not to be had again */
    aio__wait_node     wait;  /* in the condition's queue, to the end */
    aio__wait_node     turn;   /* in the lock's */
    bool           held;
};

struct aio__condition_wait_for {
    aio_task       task;
    aio_condition *condition;
    bool         (*predicate)(void *);
    void          *arg;
};

static aio_lock *aio__condition_lock(const aio_condition *c)
{
    return c->lock ? c->lock : (aio_lock *)(uintptr_t)&c->own;
}

/* 0, or why it cannot wait: then the lock is still held, if it was. */
static int aio__condition_enter(struct aio__condition_wait *self)
{
    aio_lock *lock = aio__condition_lock(self->condition);
    if (!lock->locked) return AIO_ERUNTIME;
    int code = aio__wait_queue_enter(&self->condition->queue, &self->wait, &self->task);
    if (code) return code;
    code = aio_lock_release(lock);
    if (code) {
        aio__wait_queue_leave(&self->wait);
        return code;
    }
    self->lock = lock;
    return 0;
}

/* Takes the place of an earlier error. */
static void aio__condition_fail(aio_task *t, aio_exception *error)
{
    aio_exception_unref(t->future.error);
    t->future.error = error;
}

/* True while the lock is still to be waited for. */
static bool aio__condition_relock(struct aio__condition_wait *self)
{
    if (self->held || !self->lock || !self->wait.queue) return false;
    self->held = aio__lock_try(self->lock, true);
    return !self->held && aio__wait_queue_enter(&self->lock->queue, &self->turn, &self->task) == 0;
}

/* It was called to the lock, or cancelled before. */
static void aio__condition_relocked(struct aio__condition_wait *self, bool cancelled)
{
    if (cancelled) aio__condition_fail(&self->task, aio_exception_ref(self->task.caught));
    if (!self->turn.queue) {
        self->lock = NULL;
        aio_exception *gone = aio__exception(AIO_ERUNTIME, "", "the lock was destroyed while it was awaited");
        aio__condition_fail(&self->task, gone);
        return;
    }
    if (!cancelled) self->held = self->lock->locked = true;
    aio__wait_queue_leave(&self->turn);
    aio__lock_call(self->lock);
}

/* A notification that it cannot use goes to another. */
static void aio__condition_leave(struct aio__condition_wait *self)
{
    if (!self->wait.queue) return;
    bool hand_on = self->wait.called && self->task.future.error;
    aio__wait_queue_leave(&self->wait);
    if (hand_on) aio__wait_queue_call(&self->condition->queue);
}

static AIO_CORO(aio__condition_wait)
{
    AIO_BEGIN(aio__condition_wait);
    if (aio__condition_enter(self)) AIO_RAISE(AIO_ERUNTIME, "cannot wait on a condition without having its lock");
    AIO_AWAIT(aio__park(&self->task));
    if (!self->wait.queue) AIO_RAISE(AIO_ERUNTIME, "the condition was destroyed while it was awaited");
    AIO_FINALLY;
    if (self->wait.queue && !self->wait.called) aio__wait_queue_pass(&self->wait);
    while (aio__condition_relock(self)) {
        AIO_TRY {
            AIO_AWAIT(aio__park(&self->task));
            aio__condition_relocked(self, false);
        } AIO_CATCH_ALL {
            aio__condition_relocked(self, true);
        } AIO_END_TRY;
    }
    aio__condition_leave(self);
    AIO_END;
}

static AIO_CORO(aio__condition_wait_for)
{
    AIO_BEGIN(aio__condition_wait_for);
    while (!self->predicate(self->arg)) AIO_AWAIT(aio_condition_wait(self->condition));
    AIO_END;
}

AIO_API aio_future *aio_condition_acquire(aio_condition *condition)
{
    if (!condition) return aio__refused(EINVAL, "aio_condition_acquire");
    return aio_lock_acquire(aio__condition_lock(condition));
}

AIO_API int aio_condition_release(aio_condition *condition)
{
    return condition ? aio_lock_release(aio__condition_lock(condition)) : EINVAL;
}

AIO_API bool aio_condition_locked(const aio_condition *condition)
{
    return condition && aio__condition_lock(condition)->locked;
}

AIO_API aio_future *aio_condition_wait(aio_condition *condition)
{
    int refused = aio__wait_queue_closed(condition ? &condition->queue : NULL);
    if (refused) return aio__refused(refused, "aio_condition_wait");
    return (aio_future *)AIO_CALL(aio__condition_wait, .condition = condition);
}

AIO_API aio_future *aio_condition_wait_for(aio_condition *condition, bool (*predicate)(void *arg), void *arg)
{
    int refused = aio__wait_queue_closed(condition ? &condition->queue : NULL);
    if (refused) return aio__refused(refused, "aio_condition_wait_for");
    if (!predicate) return aio__refused(EINVAL, "aio_condition_wait_for");
    return (aio_future *)AIO_CALL(aio__condition_wait_for, .condition = condition, .predicate = predicate, .arg = arg);
}

AIO_API int aio_condition_notify(aio_condition *condition, size_t count)
{
    if (!condition) return EINVAL;
    if (!aio__condition_lock(condition)->locked) return AIO_ERUNTIME;
    int code = aio__wait_queue_check(&condition->queue);
    while (!code && count && aio__wait_queue_call(&condition->queue)) count--;
    return code;
}

AIO_API int aio_condition_notify_all(aio_condition *condition) { return aio_condition_notify(condition, SIZE_MAX); }

AIO_API int aio_condition_destroy(aio_condition *condition)
{
    if (!condition) return EINVAL;
    int code = aio__wait_queue_check(&condition->own.queue);
    if (!code) code = aio__wait_queue_destroy(&condition->queue);
    return code ? code : aio__wait_queue_destroy(&condition->own.queue);
}

/* ---- barriers ---- */

enum { AIO__FILLING, AIO__DRAINING, AIO__RESETTING, AIO__BROKEN }; /* aio_barrier.state */

static void aio__wait_queue_call_all(aio__wait_queue *queue)
{
    while (aio__wait_queue_call(queue)) { }
}

/* Its result is -1 until it is counted. */
static int aio__barrier_step(aio__waiter *w)
{
    aio_barrier *b = (aio_barrier *)w->object;
    int *result = &((aio_barrier_task *)(void *)w)->result;
    aio__waiter_out(w);
    if (*result >= 0) {
        if (b->state != AIO__FILLING) return b->state == AIO__DRAINING ? 0 : AIO_EBROKENBARRIER;
    } else if (b->state == AIO__BROKEN) {
        return AIO_EBROKENBARRIER;
    } else if (b->state == AIO__FILLING) {
        *result = b->count++;
        if (b->count == b->parties) {
            b->state = AIO__DRAINING;
            aio__wait_queue_call_all(&b->queue);
            return 0;
        }
    }
    return aio__waiter_enter(w, &b->queue);
}

/* The last to leave opens it for those who come next. */
static void aio__barrier_leave(aio__waiter *w)
{
    aio_barrier *b = (aio_barrier *)w->object;
    aio__waiter_out(w);
    if (((aio_barrier_task *)(void *)w)->result < 0 || --b->count) return;
    if (b->state != AIO__BROKEN) b->state = AIO__FILLING;
    aio__wait_queue_call_all(&b->queue);
}

static const aio__waiting aio__barrier_wait = {
    "aio_barrier_wait", "barrier was destroyed", AIO_ERUNTIME, aio__barrier_step, aio__barrier_leave
};

AIO_API int aio_barrier_init(aio_barrier *barrier, int parties)
{
    if (!barrier || parties < 1) return EINVAL;
    memset(barrier, 0, sizeof *barrier);
    barrier->parties = parties;
    return 0;
}

AIO_API aio_barrier_task *aio_barrier_wait(aio_barrier *barrier)
{
    int refused = aio__wait_queue_closed(barrier ? &barrier->queue : NULL);
    if (!refused && barrier->parties < 1) refused = EINVAL;
    if (refused) return (aio_barrier_task *)(void *)aio__refused(refused, "aio_barrier_wait");
    const size_t extra = sizeof(aio_barrier_task) - sizeof(aio__waiter);
    aio_barrier_task *t = (aio_barrier_task *)aio__waiter_make(&aio__barrier_wait, barrier, extra);
    if (t) t->result = -1;
    return t;
}

AIO_API int aio_barrier_reset(aio_barrier *barrier)
{
    if (!barrier) return EINVAL;
    int code = aio__wait_queue_check(&barrier->queue);
    if (code) return code;
    barrier->state = barrier->count ? AIO__RESETTING : AIO__FILLING;
    aio__wait_queue_call_all(&barrier->queue);
    return 0;
}

AIO_API int aio_barrier_abort(aio_barrier *barrier)
{
    if (!barrier) return EINVAL;
    int code = aio__wait_queue_check(&barrier->queue);
    if (code) return code;
    barrier->state = AIO__BROKEN;
    aio__wait_queue_call_all(&barrier->queue);
    return 0;
}

AIO_API bool aio_barrier_broken(const aio_barrier *barrier) { return barrier && barrier->state == AIO__BROKEN; }

AIO_API int aio_barrier_parties(const aio_barrier *barrier) { return barrier ? barrier->parties : 0; }

AIO_API int aio_barrier_waiting(const aio_barrier *barrier)
{
    return barrier && barrier->state == AIO__FILLING ? barrier->count : 0;
}

AIO_API int aio_barrier_destroy(aio_barrier *barrier)
{
    if (!barrier) return EINVAL;
    int code = aio__wait_queue_destroy(&barrier->queue);
    if (!code) barrier->count = barrier->state = 0;
    return code;
}

/* ============================================================================
 * 35. Queues: getters and putters
 *
 * Queue, PriorityQueue and LifoQueue over one array of items, which is a ring, a stack or a heap. Getters and putters
 * stand in wait queues; one who is called looks again, for another may have come first. One who cannot use its
 * call hands it
 * on.
 * ============================================================================ */

struct aio_queue {
    aio_queue_options options;
    size_t    size, stride;           /* of an item; of its slot, which in a priority queue has its number behind it */
    char     *slots;                  /* a ring, or a heap; then one slot to move items by, and one to drop them from */
    size_t    head, count, capacity;  /* the capacity is a power of two */
    uint64_t  number;                 /* of the next item */
    size_t    unfinished;
    aio_event finished;
    aio__wait_queue getters, putters;
    bool      shut;
};

typedef char aio__check_got[sizeof(aio__waiter) % 16 == 0 ? 1 : -1];

/* ---- items ---- */

static char *aio__queue_slot(const aio_queue *q, size_t i)
{
    return q->slots + ((q->head + i) & (q->capacity - 1)) * q->stride;
}

static char *aio__queue_spare(const aio_queue *q, size_t i) { return q->slots + (q->capacity + i) * q->stride; }

/* 0 or ENOMEM. */
static int aio__queue_grow(aio_queue *q)
{
    size_t capacity = q->capacity ? 2 * q->capacity : 8;
    if (capacity > SIZE_MAX / 2 / q->stride - 2) return ENOMEM;
    char *slots = (char *)aio__malloc((capacity + 2) * q->stride);
    if (!slots) return ENOMEM;
    size_t first = q->capacity - q->head; /* it is full: two pieces */
    if (q->count) {
        memcpy(slots, q->slots + q->head * q->stride, first * q->stride);
        memcpy(slots + first * q->stride, q->slots, q->head * q->stride);
    }
    aio__free(q->slots);
    q->slots = slots;
    q->head = 0;
    q->capacity = capacity;
    return 0;
}

/* Whether the one goes out before the other. */
static bool aio__queue_before(const aio_queue *q, const char *a, const char *b)
{
    uint64_t m, n;
    int order = q->options.compare(a, b);
    if (order) return order < 0;
    memcpy(&m, a + q->stride - sizeof m, sizeof m);
    memcpy(&n, b + q->stride - sizeof n, sizeof n);
    return m < n;
}

/* Slot i is free: what is in the spare slot moves up from there. */
static void aio__queue_up(aio_queue *q, size_t i)
{
    const char *item = aio__queue_spare(q, 0);
    while (i && aio__queue_before(q, item, aio__queue_slot(q, (i - 1) / 2))) {
        memcpy(aio__queue_slot(q, i), aio__queue_slot(q, (i - 1) / 2), q->stride);
        i = (i - 1) / 2;
    }
    memcpy(aio__queue_slot(q, i), item, q->stride);
}

/* The first slot is free: what is in the spare slot moves down from there. */
static void aio__queue_down(aio_queue *q)
{
    const char *item = aio__queue_spare(q, 0);
    size_t i = 0, child;
    while ((child = 2 * i + 1) < q->count) {
        if (child + 1 < q->count && aio__queue_before(q, aio__queue_slot(q, child + 1), aio__queue_slot(q, child)))
            child++;
        if (!aio__queue_before(q, aio__queue_slot(q, child), item)) break;
        memcpy(aio__queue_slot(q, i), aio__queue_slot(q, child), q->stride);
        i = child;
    }
    memcpy(aio__queue_slot(q, i), item, q->stride);
}

/* 0 or ENOMEM. */
static int aio__queue_store(aio_queue *q, const void *item)
{
    if (q->count == q->capacity && aio__queue_grow(q)) return ENOMEM;
    char *slot = q->options.compare ? aio__queue_spare(q, 0) : aio__queue_slot(q, q->count);
    memcpy(slot, item, q->size);
    if (q->options.compare) {
        memcpy(slot + q->stride - sizeof q->number, &q->number, sizeof q->number);
        q->number++;
        aio__queue_up(q, q->count);
    }
    q->count++;
    return 0;
}

/* There is one. */
static void aio__queue_take(aio_queue *q, void *item)
{
    q->count--;
    memcpy(item, aio__queue_slot(q, q->options.lifo ? q->count : 0), q->size);
    if (q->options.compare && q->count) {
        memcpy(aio__queue_spare(q, 0), aio__queue_slot(q, q->count), q->stride);
        aio__queue_down(q);
    } else if (!q->options.compare && !q->options.lifo) q->head = (q->head + 1) & (q->capacity - 1);
}

static void aio__queue_clear(aio_queue *q)
{
    while (q->count) {
        char *item = aio__queue_spare(q, 1);
        aio__queue_take(q, item);
        if (q->options.drop) q->options.drop(item);
        if (q->unfinished) q->unfinished--;
    }
}

AIO_API aio_queue *aio__queue_create(size_t size, size_t alignment, const aio_queue_options *options)
{
    AIO__DEFAULTS(aio_queue_options, options);
    if (alignment > 16 || (options->lifo && options->compare) || size > SIZE_MAX / 64) {
        errno = EINVAL;
        return NULL;
    }
    aio_queue *q = (aio_queue *)aio__calloc(sizeof *q);
    if (!q) return NULL;
    q->options = *options;
    q->size = size;
    size_t slot = size + (options->compare ? sizeof q->number : 0);
    q->stride = slot ? (slot + 15) & ~(size_t)15 : 16;
    return q;
}

AIO_API size_t aio_queue_size(const aio_queue *queue) { return queue ? queue->count : 0; }

AIO_API long aio_queue_maxsize(const aio_queue *queue) { return queue ? queue->options.maxsize : 0; }

AIO_API bool aio_queue_empty(const aio_queue *queue) { return !queue || queue->count == 0; }

AIO_API bool aio_queue_full(const aio_queue *queue)
{
    return queue && queue->options.maxsize > 0 && queue->count >= (size_t)queue->options.maxsize;
}

/* 0, or why the queue cannot be used from here. */
static int aio__queue_check(const aio_queue *q)
{
    int code = aio__wait_queue_check(&q->getters);
    if (!code) code = aio__wait_queue_check(&q->putters);
    return code || !q->finished.waiting ? code : aio__loop_can_schedule(q->finished.waiting->future.loop);
}

/* ---- put ---- */

AIO_API int aio__queue_put_nowait(aio_queue *queue, const void *item, size_t size)
{
    if (!queue || !item || size != queue->size) return EINVAL;
    int code = aio__queue_check(queue);
    if (code) return code;
    if (queue->shut) return AIO_EQUEUESHUTDOWN;
    if (aio_queue_full(queue)) return AIO_EQUEUEFULL;
    if (aio__queue_store(queue, item)) return ENOMEM;
    queue->unfinished++;
    aio_event_clear(&queue->finished);
    aio__wait_queue_call(&queue->getters);
    return 0;
}

/* The item is behind the waiter, as it is of a getter. */
static int aio__putter_step(aio__waiter *w)
{
    aio_queue *q = (aio_queue *)w->object;
    aio__waiter_out(w);
    return q->shut || !aio_queue_full(q) ? aio__queue_put_nowait(q, w + 1, q->size) : aio__waiter_enter(w, &q->putters);
}

/* One who could not use its call, for it was cancelled or memory failed, hands it on. */
static void aio__putter_leave(aio__waiter *w)
{
    aio_queue *q = (aio_queue *)w->object;
    bool called = aio__waiter_out(w) || w->wait.code == ENOMEM;
    if (called && !aio_queue_full(q)) aio__wait_queue_call(&q->putters);
}

static const aio__waiting aio__putter = {
    "aio_queue_put", "queue was freed", AIO_EQUEUESHUTDOWN, aio__putter_step, aio__putter_leave
};

AIO_API aio_future *aio__queue_put(aio_queue *queue, const void *item, size_t size)
{
    int refused = aio__wait_queue_closed(queue ? &queue->putters : NULL);
    if (refused) return aio__refused(refused, "aio_queue_put");
    if (!item || size != queue->size)
        return aio__failure(EINVAL, "aio_queue_put: the item is not of this queue's type");
    bool later = !queue->shut && !aio_queue_full(queue) && aio__turn_over(aio__loop_now());
    if (!later && (queue->shut || !aio_queue_full(queue))) {
        int code = aio__queue_put_nowait(queue, item, size);
        return code ? aio__failure(code, NULL) : aio__done_now();
    }
    aio__waiter *putter = (aio__waiter *)aio__waiter_make(&aio__putter, queue, size);
    if (putter) memcpy(putter + 1, item, size);
    return (aio_future *)(later ? aio__waiter_later(putter) : putter);
}

/* ---- get ---- */

AIO_API int aio__queue_get_nowait(aio_queue *queue, void *item, size_t size)
{
    if (!queue || !item || size != queue->size) return EINVAL;
    int code = aio__queue_check(queue);
    if (code) return code;
    if (!queue->count) return queue->shut ? AIO_EQUEUESHUTDOWN : AIO_EQUEUEEMPTY;
    aio__queue_take(queue, item);
    aio__wait_queue_call(&queue->putters);
    return 0;
}

static int aio__getter_step(aio__waiter *w)
{
    aio_queue *q = (aio_queue *)w->object;
    aio__waiter_out(w);
    return q->count || q->shut ? aio__queue_get_nowait(q, w + 1, q->size) : aio__waiter_enter(w, &q->getters);
}

static void aio__getter_leave(aio__waiter *w)
{
    aio_queue *q = (aio_queue *)w->object;
    if (aio__waiter_out(w) && q->count) aio__wait_queue_call(&q->getters);
}

static const aio__waiting aio__getter = {
    "aio_queue_get", "queue was freed", AIO_EQUEUESHUTDOWN, aio__getter_step, aio__getter_leave
};

static int aio__next_step(aio__waiter *w)
{
    int code = aio__getter_step(w);
    return code == AIO_EQUEUESHUTDOWN ? AIO_ESTOPITERATION : code;
}

static const aio__waiting aio__next_getter = {
    "aio_queue_next", "queue was freed", AIO_ESTOPITERATION, aio__next_step, aio__getter_leave
};

static void *aio__queue_getter(aio_queue *queue, size_t size, const aio__waiting *use)
{
    int refused = aio__wait_queue_closed(queue ? &queue->getters : NULL);
    if (refused) return aio__refused(refused, use->function);
    if (size != queue->size) return aio__failure(EINVAL, "%s: not the type of this queue's items", use->function);
    aio__waiter *getter = (aio__waiter *)aio__waiter_make(use, queue, size);
    if (!getter) return NULL;
    if (queue->count && aio__turn_over(aio__loop_now())) return aio__waiter_later(getter);
    if (!queue->count || aio__queue_get_nowait(queue, getter + 1, size)) return getter;
    getter->task.future.flags = (uint16_t)(getter->task.future.flags & ~AIO__F_CORO);
    getter->task.future.run.ops = NULL;
    getter->task.future.state = AIO__DONE;
    return getter;
}

AIO_API void *aio__queue_get(aio_queue *queue, size_t size) { return aio__queue_getter(queue, size, &aio__getter); }

AIO_API void *aio__queue_next(aio_queue *queue, size_t size)
{
    return aio__queue_getter(queue, size, &aio__next_getter);
}

/* ---- work, and the end ---- */

AIO_API int aio_queue_task_done(aio_queue *queue)
{
    if (!queue || !queue->unfinished) return EINVAL;
    int code = aio__queue_check(queue);
    if (code) return code;
    return --queue->unfinished ? 0 : aio_event_set(&queue->finished);
}

AIO_API aio_future *aio_queue_join(aio_queue *queue)
{
    if (!queue || !aio__loop_now()) return aio__refused(queue ? AIO_ENOLOOP : EINVAL, "aio_queue_join");
    return queue->unfinished ? aio_event_wait(&queue->finished) : aio__done_now();
}

AIO_API int aio_queue_shutdown(aio_queue *queue, bool immediate)
{
    if (!queue) return EINVAL;
    int code = aio__queue_check(queue);
    if (code) return code;
    queue->shut = true;
    if (immediate) {
        aio__queue_clear(queue);
        if (!queue->unfinished) aio_event_set(&queue->finished);
    }
    aio__wait_queue_call_all(&queue->getters);
    aio__wait_queue_call_all(&queue->putters);
    return 0;
}

AIO_API int aio_queue_free(aio_queue *queue)
{
    if (!queue) return 0;
    int code = aio__queue_check(queue);
    if (code) return code;
    aio__wait_queue_destroy(&queue->getters);
    aio__wait_queue_destroy(&queue->putters);
    aio_event_destroy(&queue->finished);
    queue->shut = true;
    aio__queue_clear(queue);
    aio__free(queue->slots);
    aio__free(queue);
    return 0;
}

/* ============================================================================
 * 36. Threads: executor and concurrent futures
 *
 * The only room that starts threads, but for the resolver's. An executor owns its threads and queue, under its mutex.
 * A job is shared by its executor and by its loop: `loop` and `state` are under the executor's mutex, the future is
 * touched in the loop's thread only. A concurrent future is shared by its loop and by who waits, under its own mutex.
 * Mutexes are taken in this order: concurrent future or executor, then loop.
 * ============================================================================ */

enum { AIO__JOB_QUEUED, AIO__JOB_RUNNING, AIO__JOB_POSTED, AIO__JOB_REFUSED }; /* refused: the loop is closing */

typedef struct aio__job aio__job;

typedef struct aio__job_future {
    aio_job_future base;
    aio__job      *job; /* NULL once it is done or cancelled */
} aio__job_future;

struct aio__job {
    aio__threadsafe_call post;    /* what tells the loop that it is over */
    aio__node        queue_node;  /* in executor->queue */
    aio__node        loop_node;   /* in loop->jobs, while the loop waits for it */
    aio_executor    *executor;
    aio_loop        *loop;        /* NULL: nobody waits */
    aio__job_future *future;      /* owned; NULL: cancelled */
    int              state;
    aio_job         *function;
    void            *arg, *result;
    aio_exception   *error;
    void           (*drop)(void *);
    void           (*skip)(void *);
};

typedef struct aio__worker {
    struct aio__worker *next;
    aio_executor       *executor;
    pthread_t           thread;
} aio__worker;

struct aio_executor {
    pthread_mutex_t mutex;
    pthread_cond_t  work;
    aio__node       queue;
    int             queued, idle, alive, most;
    int             refs;         /* atomic: of its owner, and of jobs */
    bool            closing;
    aio__worker    *workers;
    aio_loop       *loop;         /* to be told when the last thread has ended */
    aio__threadsafe_call post;
};

static __thread aio__job *aio__job_running;        /* of this thread */
static __thread aio_executor *aio__job_executor;   /* whose thread this is */

AIO_API void *aio_job_raise(int code, const char *format, ...)
{
    aio__job *job = aio__job_running;
    if (!job || job->error) return NULL;
    va_list arguments;
    va_start(arguments, format);
    job->error = aio__exception_va(code > 0 ? code : AIO_ERUNTIME, "", format, arguments);
    va_end(arguments);
    return NULL;
}

/* 0 or a code: then there is neither. */
static int aio__sync_init(pthread_mutex_t *mutex, pthread_cond_t *condition)
{
    int code = aio__os.mutex_init(mutex);
    if (code) return code;
    code = aio__os.cond_init(condition);
    if (code) pthread_mutex_destroy(mutex);
    return code;
}

static void aio__sync_destroy(pthread_mutex_t *mutex, pthread_cond_t *condition)
{
    pthread_cond_destroy(condition);
    pthread_mutex_destroy(mutex);
}

/* ---- executors ---- */

static void aio__executor_unref(aio_executor *executor)
{
    if (__atomic_sub_fetch(&executor->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    aio__sync_destroy(&executor->mutex, &executor->work);
    aio__free(executor);
}

AIO_API aio_executor *aio_executor_open_with(const aio_executor_options *options)
{
    AIO__DEFAULTS(aio_executor_options, options);
    int cores = aio__os.cores(), most = options->max_workers;
    aio_executor *executor = most < 0 ? NULL : (aio_executor *)aio__calloc(sizeof *executor);
    errno = most < 0 ? EINVAL : ENOMEM;
    if (!executor) return NULL;
    if (cores < 1) cores = 1;
    executor->most = most ? most : cores + 4 < 32 ? cores + 4 : 32;
    executor->refs = 1;
    aio__ring_clear(&executor->queue);
    int code = aio__sync_init(&executor->mutex, &executor->work);
    if (!code) return executor;
    aio__free(executor);
    errno = code;
    return NULL;
}

AIO_API int aio_executor_close(aio_executor *executor)
{
    if (!executor) return 0;
    if (aio__job_executor == executor) return EDEADLK;
    pthread_mutex_lock(&executor->mutex);
    executor->closing = true;
    pthread_cond_broadcast(&executor->work);
    pthread_mutex_unlock(&executor->mutex);
    while (executor->workers) {
        aio__worker *worker = executor->workers;
        executor->workers = worker->next;
        aio__os.join(worker->thread);
        aio__free(worker);
    }
    aio__executor_unref(executor);
    return 0;
}

static void aio__job_free(aio__job *job)
{
    aio_exception_unref(job->error);
    aio__executor_unref(job->executor);
    aio__free(job);
}

/* What came of a job that nobody waits for. */
static void aio__job_drop(aio__job *job)
{
    if (job->drop && !job->error) job->drop(job->result);
    aio__job_free(job);
}

/* In the executor's thread, after the function has returned. */
static void aio__job_over(aio__job *job)
{
    aio_executor *executor = job->executor;
    pthread_mutex_lock(&executor->mutex);
    bool orphan = !job->loop;
    if (!orphan) {
        job->state = AIO__JOB_POSTED;
        if (aio__threadsafe_post(job->loop, &job->post)) job->state = AIO__JOB_REFUSED;
    }
    pthread_mutex_unlock(&executor->mutex);
    if (orphan) aio__job_drop(job);
}

/* Called with the executor's mutex held. NULL: no more to come. */
static aio__job *aio__job_next(aio_executor *executor)
{
    while (aio__ring_empty(&executor->queue)) {
        if (executor->closing) return NULL;
        executor->idle++;
        aio__os.cond_wait(&executor->work, &executor->mutex, -1);
        executor->idle--;
    }
    aio__job *job = AIO__CONTAINER(executor->queue.next, aio__job, queue_node);
    aio__ring_remove(&job->queue_node);
    executor->queued--;
    job->state = AIO__JOB_RUNNING;
    return job;
}

static void *aio__worker_main(void *arg)
{
    aio_executor *executor = ((aio__worker *)arg)->executor;
    aio__job *job;
    aio__job_executor = executor;
    pthread_mutex_lock(&executor->mutex);
    while ((job = aio__job_next(executor)) != NULL) {
        pthread_mutex_unlock(&executor->mutex);
        aio__job_running = job;
        job->result = job->function(job->arg);
        aio__job_running = NULL;
        aio__job_over(job);
        pthread_mutex_lock(&executor->mutex);
    }
    if (--executor->alive == 0 && executor->loop) aio__threadsafe_post(executor->loop, &executor->post);
    pthread_mutex_unlock(&executor->mutex);
    return NULL;
}

/* One more thread; with the mutex held. 0 or a code. */
static int aio__worker_start(aio_executor *executor)
{
    aio__worker *worker = (aio__worker *)aio__malloc(sizeof *worker);
    if (!worker) return ENOMEM;
    worker->executor = executor;
    int code = aio__os.thread(&worker->thread, aio__worker_main, worker);
    if (code) {
        aio__free(worker);
        return code;
    }
    worker->next = executor->workers;
    executor->workers = worker;
    executor->alive++;
    return 0;
}

/* Queues a job. Fewer threads than wished are no error; none at all is. 0 or a code. */
static int aio__executor_submit(aio_executor *executor, aio__job *job)
{
    int code = 0;
    pthread_mutex_lock(&executor->mutex);
    if (executor->closing) code = AIO_ERUNTIME;
    else if (executor->queued >= executor->idle && executor->alive < executor->most) {
        code = aio__worker_start(executor);
        if (executor->alive) code = 0;
    }
    if (!code) {
        aio__ring_insert(&executor->queue, &job->queue_node);
        executor->queued++;
        __atomic_add_fetch(&executor->refs, 1, __ATOMIC_RELAXED);
        pthread_cond_signal(&executor->work);
    }
    pthread_mutex_unlock(&executor->mutex);
    return code;
}

/* ---- jobs of a loop ---- */

/* In the loop's thread: the job is over. */
static void aio__job_done(void *arg)
{
    aio__job *job = (aio__job *)arg;
    aio__job_future *future = job->future;
    aio__ring_remove(&job->loop_node);
    if (!future) {
        aio__job_drop(job);
        return;
    }
    future->job = NULL;
    future->base.result = job->result;
    if (job->error) aio__future_fail(&future->base.future, aio_exception_ref(job->error));
    else aio__future_finish(&future->base.future, AIO__DONE);
    aio_unref(future);
    aio__job_free(job);
}

/* The loop waits no longer: takes a job out of the queue, or leaves it to its thread. Its future is not touched. */
static void aio__job_leave(aio__job *job)
{
    aio_executor *executor = job->executor;
    pthread_mutex_lock(&executor->mutex);
    int state = job->state;
    job->future = NULL;
    if (state != AIO__JOB_POSTED) aio__ring_remove(&job->loop_node);
    if (state == AIO__JOB_RUNNING) job->loop = NULL;
    if (state == AIO__JOB_QUEUED) {
        aio__ring_remove(&job->queue_node);
        executor->queued--;
    }
    pthread_mutex_unlock(&executor->mutex);
    if (state == AIO__JOB_REFUSED) aio__job_drop(job);
    if (state != AIO__JOB_QUEUED) return;
    if (job->skip) job->skip(job->arg);
    aio__job_free(job);
}

static bool aio__job_cancel(aio_future *f, aio_exception *why)
{
    aio__job_future *future = (aio__job_future *)(void *)f;
    aio__job *job = future->job;
    future->job = NULL;
    aio__job_leave(job);
    aio__future_fail(f, aio_exception_ref(why));
    aio_unref(f);
    return true;
}

static const aio__ops aio__job_ops = { "executor job", aio__job_cancel, NULL, NULL };

static void aio__concurrent_close(aio__node *node);

/* The loop closes: who still waits for it is told, queued jobs are skipped, running ones waited for. */
static void aio__threads_close(aio_loop *loop, aio__closer *closer)
{
    (void)closer;
    while (!aio__ring_empty(&loop->concurrents)) aio__concurrent_close(loop->concurrents.next);
    while (!aio__ring_empty(&loop->jobs)) {
        aio__job *job = AIO__CONTAINER(loop->jobs.next, aio__job, loop_node);
        aio__job_cancel(&job->future->base.future, &aio__cancelled);
    }
    aio_executor_close(loop->executor);
    loop->executor = NULL;
}

static void aio__threads_use(aio_loop *loop)
{
    if (loop->threads_closer.close) return;
    loop->threads_closer.close = aio__threads_close;
    aio__loop_at_close(loop, &loop->threads_closer);
}

/* Makes what the job and its future need, and queues it. 0 or a code. */
static int aio__job_start(aio_executor *executor, aio__job_future *future, aio_job *function, void *arg,
                          const aio_job_options *options)
{
    aio_loop *loop = future->base.future.loop;
    aio__job *job = (aio__job *)aio__calloc(sizeof *job);
    if (!job) return ENOMEM;
    job->function = function;
    job->arg = arg;
    job->drop = options->drop;
    job->skip = options->skip;
    job->post.callback = aio__job_done;
    job->post.arg = job;
    job->post.kept = true;
    job->executor = executor;
    job->loop = loop;
    job->future = future;
    aio__ring_insert(&loop->jobs, &job->loop_node);
    int code = aio__executor_submit(executor, job);
    if (!code) {
        future->job = job;
        aio_ref(future);
        return 0;
    }
    aio__ring_remove(&job->loop_node);
    aio__free(job);
    return code;
}

/* The executor that a job goes to; NULL, with errno, if there is none. */
static aio_executor *aio__executor_of(aio_loop *loop, aio_executor *executor)
{
    errno = AIO_ERUNTIME;
    if (executor || loop->executor_ended) return executor;
    if (!loop->executor) loop->executor = aio_executor_open(.max_workers = 0);
    return loop->executor;
}

AIO_API aio_job_future *aio_loop_run_in_executor_with(aio_loop *loop, aio_executor *executor, aio_job *function,
                                                      void *arg, const aio_job_options *options)
{
    AIO__DEFAULTS(aio_job_options, options);
    int code = !loop ? AIO_ENOLOOP : function ? aio__loop_can_schedule(loop) : EINVAL;
    aio__job_future *future =
        (aio__job_future *)aio__future_make(code ? aio__loop_now() : loop, &aio__job_ops, sizeof *future, NULL, 0);
    if (!future) return NULL;
    if (!code) {
        aio__threads_use(loop);
        executor = aio__executor_of(loop, executor);
        code = executor ? aio__job_start(executor, future, function, arg, options) : errno;
    }
    if (!code) return &future->base;
    const char *why = code == AIO_ERUNTIME ? "the executor takes no more jobs" : aio_code_text(code);
    future->base.future.error = aio__exception(code, "", "run in executor: %s", why);
    future->base.future.state = AIO__DONE;
    return &future->base;
}

AIO_API aio_job_future *aio_to_thread_with(aio_job *function, void *arg, const aio_job_options *options)
{
    return aio_loop_run_in_executor_with(aio_get_running_loop(), NULL, function, arg, options);
}

AIO_API int aio_loop_set_default_executor(aio_loop *loop, aio_executor *executor)
{
    int code = executor ? aio__loop_can_schedule(loop) : EINVAL;
    if (code) return code;
    if (loop->executor || loop->executor_ended) return AIO_EINVALIDSTATE;
    loop->executor = executor;
    aio__threads_use(loop);
    return 0;
}

/* In the loop's thread: the last thread of the default executor has ended. */
static void aio__executor_emptied(void *arg)
{
    aio_loop *loop = (aio_loop *)arg;
    if (loop->executor_empty.state == AIO__PENDING) aio__future_finish(&loop->executor_empty, AIO__DONE);
}

/* Its threads end when its queue is empty, and the last one tells the loop. Gives how many there are. */
static int aio__executor_end(aio_loop *loop, aio_executor *executor)
{
    pthread_mutex_lock(&executor->mutex);
    executor->closing = true;
    executor->loop = loop;
    executor->post.callback = aio__executor_emptied;
    executor->post.arg = loop;
    executor->post.kept = true;
    int alive = executor->alive;
    pthread_cond_broadcast(&executor->work);
    pthread_mutex_unlock(&executor->mutex);
    return alive;
}

AIO_API aio_future *aio_loop_shutdown_default_executor(aio_loop *loop)
{
    int code = aio__loop_can_schedule(loop);
    if (code) return aio__failure(code, "shutdown_default_executor: %s", aio_code_text(code));
    if (!loop->executor_ended) {
        loop->executor_ended = true;
        aio__static_future(loop, &loop->executor_empty, AIO__PENDING, AIO__F_SHARED);
        aio__threads_use(loop);
        if (!loop->executor || aio__executor_end(loop, loop->executor) == 0) aio__executor_emptied(loop);
    }
    return (aio_future *)aio_ref(&loop->executor_empty);
}

/* ---- concurrent futures ---- */

struct aio_concurrent_future {
    aio__work     done;      /* among the task's waiters */
    aio__node       node;      /* in loop->concurrents, from the task's start to its end */
    aio__threadsafe_call start, cancel;
    pthread_mutex_t mutex;
    pthread_cond_t  ended;
    int             refs;      /* atomic: of who waits, and of the loop */
    aio_loop       *loop;      /* under the mutex, as the next four; NULL once it is done */
    int             state;
    bool            cancelling;
    aio_exception  *error;
    aio_task       *task;      /* the loop's thread only, until it is done; owned */
    size_t          size;      /* of the coroutine's struct */
    char           *frame;     /* it, all zero, and behind that, from its end on, as it then was */
};

static void aio__concurrent_unref(aio_concurrent_future *future)
{
    if (__atomic_sub_fetch(&future->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    aio__sync_destroy(&future->mutex, &future->ended);
    aio_exception_unref(future->error);
    aio__free(future->frame);
    aio__free(future);
}

/* In the loop's thread: takes the error, gives the loop's share back. */
static void aio__concurrent_finish(aio_concurrent_future *future, aio_exception *error)
{
    pthread_mutex_lock(&future->mutex);
    future->error = error;
    future->state = error && error->code == AIO_ECANCELLED ? AIO__CANCELLED : AIO__DONE;
    future->loop = NULL;
    pthread_cond_broadcast(&future->ended);
    pthread_mutex_unlock(&future->mutex);
    aio__concurrent_unref(future);
}

/* The task has ended. What is taken over from it shares nothing with the loop. */
static void aio__concurrent_done(aio__work *work)
{
    aio_concurrent_future *future = AIO__CONTAINER(work, aio_concurrent_future, done);
    aio_task *t = future->task;
    future->task = NULL;
    memcpy(future->frame + future->size + sizeof *t, t + 1, future->size - sizeof *t);
    t->future.flags |= AIO__F_SEEN;
    aio_exception *error = t->future.error ? aio__exception_copy(t->future.error) : NULL;
    aio__ring_remove(&future->node);
    aio_unref(t);
    aio__concurrent_finish(future, error);
}

/* The loop closes before the task has ended. */
static void aio__concurrent_close(aio__node *node)
{
    aio_concurrent_future *future = AIO__CONTAINER(node, aio_concurrent_future, node);
    aio_task *t = future->task;
    if (t->future.state >= AIO__DONE) { /* it has, a moment ago */
        aio__ring_remove(&future->done.node);
        aio__concurrent_done(&future->done);
        return;
    }
    aio__waiters_remove(&t->future, &future->done.node);
    future->task = NULL;
    aio__ring_remove(&future->node);
    aio_unref(t);
    aio__concurrent_finish(future, aio__exception(AIO_ELOOPCLOSED, "", NULL));
}

/* A coroutine that will not run, without complaint that nobody awaited it. */
static void aio__coroutine_drop(aio_task *t)
{
    aio__cancel(&t->future, &aio__cancelled);
    aio_unref(t);
}

static void aio__concurrent_start(void *arg)
{
    aio_concurrent_future *future = (aio_concurrent_future *)arg;
    aio_loop *loop = future->loop;
    aio_task *t = future->task;
    if (loop->incoming_closed) {
        future->task = NULL;
        aio__coroutine_drop(t);
        aio__concurrent_finish(future, aio__exception(AIO_ELOOPCLOSED, "", NULL));
        return;
    }
    aio__threads_use(loop);
    aio__ring_insert(&loop->concurrents, &future->node);
    aio__create_task(t, NULL); /* cannot fail: it needs no memory without a name */
    aio__waiters_add(&t->future, &future->done.node);
}

static void aio__concurrent_cancel(void *arg)
{
    aio_concurrent_future *future = (aio_concurrent_future *)arg;
    if (future->task && !future->task->future.loop->incoming_closed)
        aio__cancel(&future->task->future, &aio__cancelled);
    aio__concurrent_unref(future);
}

/* A coroutine of no loop, for another thread's to adopt: one that was made under a running loop is copied. NULL, with
 * errno; the argument is taken in any case. */
static aio_task *aio__coroutine_free_of_loop(aio_loop *loop, aio_task *t, size_t size)
{
    if (!t->future.loop || t->future.loop == loop) return t;
    int code = t->future.slab == (uint8_t)((size - 1) / AIO__GRAIN) ? 0 : EINVAL, line;
    const char *file = aio__made_at(&t->future, &line);
    aio_task *copy = code ? NULL : (aio_task *)(void *)aio__frame_alloc(NULL, size, sizeof *t, file, line);
    if (copy) {
        memcpy(copy + 1, t + 1, size - sizeof *t);
        copy->future.flags |= AIO__F_CORO;
        copy->future.run.coro = t->future.run.coro;
    }
    aio__coroutine_drop(t);
    errno = code ? code : ENOMEM;
    return copy;
}

/* The object alone: nothing is posted. NULL without memory. */
static aio_concurrent_future *aio__concurrent_new(aio_loop *loop, size_t size)
{
    aio_concurrent_future *future = (aio_concurrent_future *)aio__calloc(sizeof *future);
    if (!future) return NULL;
    future->refs = 2;
    future->state = AIO__PENDING;
    future->loop = loop;
    future->size = size;
    future->done.run = aio__concurrent_done;
    future->start.callback = aio__concurrent_start;
    future->cancel.callback = aio__concurrent_cancel;
    future->start.arg = future->cancel.arg = future;
    future->start.kept = future->cancel.kept = true;
    future->frame = size < SIZE_MAX / 2 ? (char *)aio__calloc(2 * size) : NULL;
    if (future->frame && aio__sync_init(&future->mutex, &future->ended) == 0) return future;
    aio__free(future->frame);
    aio__free(future);
    return NULL;
}

AIO_API aio_concurrent_future *aio__run_threadsafe(aio_loop *loop, void *coroutine, size_t size)
{
    errno = aio__out_of_memory ? ENOMEM : EINVAL;
    if (!coroutine) return NULL;
    aio_task *t = (aio_task *)(void *)aio__future_of(coroutine, "aio_run_coroutine_threadsafe");
    bool fresh = (t->future.flags & AIO__F_CORO) && t->future.state == AIO__NEW && size >= sizeof *t;
    int code = loop && fresh ? 0 : EINVAL;
    if (!code && !(t = aio__coroutine_free_of_loop(loop, t, size))) return NULL;
    aio_concurrent_future *future = code ? NULL : aio__concurrent_new(loop, size);
    if (future) {
        future->task = t;
        code = aio__threadsafe_post(loop, &future->start);
        if (!code) return future;
        future->refs = 1;
        aio__concurrent_unref(future);
    }
    if (fresh) aio__coroutine_drop(t);
    else aio_unref(t);
    errno = code ? code : ENOMEM;
    return NULL;
}

AIO_API int aio_concurrent_wait(aio_concurrent_future *future, double seconds)
{
    if (!future || seconds != seconds) return EINVAL;
    int64_t until = aio__deadline(aio__os.clock(), seconds < 0 ? 0 : seconds); /* -1: without end */
    int code = 0;
    pthread_mutex_lock(&future->mutex);
    if (future->state < AIO__DONE && future->loop == aio__running) code = EDEADLK;
    while (!code && future->state < AIO__DONE) {
        int64_t left = until < 0 ? -1 : until - aio__os.clock();
        if (until >= 0 && left <= 0) code = AIO_ETIMEOUT;
        else if (aio__os.cond_wait(&future->ended, &future->mutex, left) == ETIMEDOUT) until = 0;
    }
    pthread_mutex_unlock(&future->mutex);
    return code;
}

static int aio__concurrent_state(aio_concurrent_future *future)
{
    if (!future) return AIO__PENDING;
    pthread_mutex_lock(&future->mutex);
    int state = future->state;
    pthread_mutex_unlock(&future->mutex);
    return state;
}

AIO_API bool aio_concurrent_done(aio_concurrent_future *future)
{
    return aio__concurrent_state(future) >= AIO__DONE;
}

AIO_API bool aio_concurrent_cancelled(aio_concurrent_future *future)
{
    return aio__concurrent_state(future) == AIO__CANCELLED;
}

AIO_API bool aio_concurrent_cancel(aio_concurrent_future *future)
{
    if (!future) return false;
    pthread_mutex_lock(&future->mutex);
    bool pending = future->state < AIO__DONE;
    if (pending && !future->cancelling) {
        future->cancelling = true;
        __atomic_add_fetch(&future->refs, 1, __ATOMIC_RELAXED);
        /* refused by a loop that is closing: that ends the future as well */
        if (aio__threadsafe_post(future->loop, &future->cancel)) __atomic_sub_fetch(&future->refs, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&future->mutex);
    return pending;
}

AIO_API const aio_exception *aio_concurrent_exception(aio_concurrent_future *future)
{
    return aio__concurrent_state(future) >= AIO__DONE ? future->error : NULL;
}

AIO_API const void *aio__concurrent_frame(aio_concurrent_future *future, size_t size)
{
    if (!future || size > future->size)
        aio__abort("aio_concurrent_result of another type than the coroutine's", "aio_concurrent_result", 0);
    return future->frame + (aio__concurrent_state(future) < AIO__DONE ? 0 : future->size);
}

AIO_API void aio_concurrent_release(aio_concurrent_future *future)
{
    if (future) aio__concurrent_unref(future);
}

/* ============================================================================
 * 37. Signals: the self-pipe
 *
 * One table for the process, an entry a signal, changed under its mutex. The handler takes no lock: it marks the entry
 * and writes to the descriptor that wakes the loop (the self-pipe). Who takes an entry out of use waits until no
 * handler is inside any more, so that none writes to a descriptor that is closed.
 * ============================================================================ */

enum { AIO__SIGNALS = 128 };

typedef struct aio__signal {
    aio_loop        *loop;      /* atomic; NULL: not ours */
    int              pending;   /* atomic */
    aio_callback    *callback;  /* the loop's thread only; NULL while only aio_run wants it */
    void            *arg;
    aio_callback    *interrupt; /* aio_run's, for SIGINT */
    void            *interrupt_arg;
    struct sigaction old;
} aio__signal;

static aio__signal aio__signal_table[AIO__SIGNALS];
static pthread_mutex_t aio__signal_mutex = PTHREAD_MUTEX_INITIALIZER;
static int aio__signal_inside; /* atomic: handlers that run at the moment, in any thread */

/* Async-signal-safe. */
static void aio__on_signal(int signum)
{
    static const uint64_t one = 1;
    int code = errno;
    __atomic_add_fetch(&aio__signal_inside, 1, __ATOMIC_SEQ_CST);
    aio_loop *loop = __atomic_load_n(&aio__signal_table[signum].loop, __ATOMIC_SEQ_CST);
    if (loop) {
        __atomic_store_n(&aio__signal_table[signum].pending, 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&loop->signalled, 1, __ATOMIC_SEQ_CST);
        while (aio__os.write(loop->wake_write, &one, sizeof one) < 0 && errno == EINTR) { }
    }
    __atomic_sub_fetch(&aio__signal_inside, 1, __ATOMIC_SEQ_CST);
    errno = code;
}

/* In the loop: the callbacks of all signals that have arrived. */
static void aio__signals_look(aio_loop *loop)
{
    if (!__atomic_exchange_n(&loop->signalled, 0, __ATOMIC_SEQ_CST)) return;
    for (int i = 1; i < AIO__SIGNALS; i++) {
        aio__signal *entry = &aio__signal_table[i];
        if (__atomic_load_n(&entry->loop, __ATOMIC_SEQ_CST) != loop) continue;
        if (!__atomic_exchange_n(&entry->pending, 0, __ATOMIC_SEQ_CST)) continue;
        if (entry->callback) entry->callback(entry->arg);
        else if (entry->interrupt) entry->interrupt(entry->interrupt_arg);
    }
}

/* When that cannot be told it is: we have put it in. */
static bool aio__signal_is_ours(int signum)
{
    struct sigaction now;
    if (aio__os.sigaction(signum, NULL, &now) < 0) return true;
    return now.sa_handler == aio__on_signal;
}

/* 0 or a code. `once`: after the first signal the default action is back, even if the loop never comes to it. */
static int aio__signal_install(int signum, bool once, struct sigaction *old)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = aio__on_signal;
    action.sa_flags = once ? (int)(SA_RESTART | SA_RESETHAND) : SA_RESTART;
    sigemptyset(&action.sa_mask);
    return aio__os.sigaction(signum, &action, old) < 0 ? errno : 0;
}

/* With the mutex held: puts the old disposition back, unless someone has put in his own meanwhile. */
static void aio__signal_free(aio__signal *entry, int signum)
{
    if (aio__signal_is_ours(signum) && aio__os.sigaction(signum, &entry->old, NULL) < 0)
        aio__os.sigaction(signum, &entry->old, NULL); /* nothing else would ever put it back */
    __atomic_store_n(&entry->loop, NULL, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&aio__signal_inside, __ATOMIC_SEQ_CST)) { }
    __atomic_store_n(&entry->pending, 0, __ATOMIC_SEQ_CST);
    entry->callback = entry->interrupt = NULL;
}

static void aio__signals_close(aio_loop *loop, aio__closer *closer)
{
    (void)closer;
    pthread_mutex_lock(&aio__signal_mutex);
    for (int i = 1; i < AIO__SIGNALS; i++)
        if (__atomic_load_n(&aio__signal_table[i].loop, __ATOMIC_SEQ_CST) == loop)
            aio__signal_free(&aio__signal_table[i], i);
    pthread_mutex_unlock(&aio__signal_mutex);
    loop->on_wake = NULL;
}

static void aio__signals_use(aio_loop *loop)
{
    if (loop->signals_closer.close) return;
    loop->signals_closer.close = aio__signals_close;
    loop->on_wake = aio__signals_look;
    aio__loop_at_close(loop, &loop->signals_closer);
}

/* With the mutex held: makes the signal the loop's. 0 or a code. */
static int aio__signal_take(aio_loop *loop, aio__signal *entry, int signum, bool once)
{
    aio_loop *owner = __atomic_load_n(&entry->loop, __ATOMIC_SEQ_CST);
    if (owner && owner != loop) return EBUSY;
    aio__signals_use(loop);
    if (owner) return aio__signal_install(signum, once, NULL);
    __atomic_store_n(&entry->loop, loop, __ATOMIC_SEQ_CST); /* first: no signal may find a handler alone */
    int code = aio__signal_install(signum, once, &entry->old);
    if (code) __atomic_store_n(&entry->loop, NULL, __ATOMIC_SEQ_CST);
    return code;
}

static bool aio__signal_is_one(int signum) { return signum > 0 && signum < AIO__SIGNALS; }

AIO_API int aio_loop_add_signal_handler(aio_loop *loop, int signum, aio_callback *callback, void *arg)
{
    int code = aio__signal_is_one(signum) && callback ? aio__loop_can_schedule(loop) : EINVAL;
    if (code) return code;
    aio__signal *entry = &aio__signal_table[signum];
    pthread_mutex_lock(&aio__signal_mutex);
    code = aio__signal_take(loop, entry, signum, false);
    if (!code) {
        entry->callback = callback;
        entry->arg = arg;
    }
    pthread_mutex_unlock(&aio__signal_mutex);
    return code;
}

AIO_API bool aio_loop_remove_signal_handler(aio_loop *loop, int signum)
{
    if (!aio__signal_is_one(signum) || aio__loop_can_schedule(loop)) return false;
    aio__signal *entry = &aio__signal_table[signum];
    pthread_mutex_lock(&aio__signal_mutex);
    bool found = __atomic_load_n(&entry->loop, __ATOMIC_SEQ_CST) == loop && entry->callback;
    if (found) {
        entry->callback = NULL;
        if (!entry->interrupt) aio__signal_free(entry, signum);
        else if (aio__signal_is_ours(signum)) aio__signal_install(signum, true, NULL);
    }
    pthread_mutex_unlock(&aio__signal_mutex);
    return found;
}

/* For aio_run: the first SIGINT calls back, the next one acts as ever. False: someone else wants SIGINT. */
static bool aio__interrupt_begin(aio_loop *loop, aio_callback *callback, void *arg)
{
    struct sigaction now;
    aio__signal *entry = &aio__signal_table[SIGINT];
    pthread_mutex_lock(&aio__signal_mutex);
    bool ok = aio__os.sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_DFL &&
              !__atomic_load_n(&entry->loop, __ATOMIC_SEQ_CST) && aio__signal_take(loop, entry, SIGINT, true) == 0;
    if (ok) {
        entry->interrupt = callback;
        entry->interrupt_arg = arg;
    }
    pthread_mutex_unlock(&aio__signal_mutex);
    return ok;
}

static void aio__interrupt_end(void)
{
    aio__signal *entry = &aio__signal_table[SIGINT];
    pthread_mutex_lock(&aio__signal_mutex);
    entry->interrupt = NULL;
    if (!entry->callback) aio__signal_free(entry, SIGINT);
    pthread_mutex_unlock(&aio__signal_mutex);
}

/* ============================================================================
 * 38. Running a program
 *
 * aio_run: one loop from beginning to end. It needs no memory of its own to end in order: what waits is on the stack.
 * ============================================================================ */

enum { AIO__RUN_FEW = 64, AIO__RUN_ROUNDS = 8 };

static void aio__stopper_run(aio__work *work) { aio_loop_stop((aio_loop *)work->owner); }

/* Runs the loop until the future is done, or until somebody stops it. 0, or the code of a loop that failed. */
static int aio__run_until_done(aio_loop *loop, aio_future *future)
{
    if (future->state >= AIO__DONE) return 0;
    aio__work stopper; /* a waiter that stops the loop */
    stopper.run = aio__stopper_run;
    stopper.owner = loop;
    aio__waiters_add(future, &stopper.node);
    int code = aio_loop_run_forever(loop);
    if (future->state < AIO__DONE) aio__waiters_remove(future, &stopper.node);
    else if (stopper.node.next) aio__ring_remove(&stopper.node);
    return code;
}

static void aio__list_unasked(void *object, void *arg)
{
    aio_task *t = (aio_task *)object;
    aio__task_list *list = (aio__task_list *)arg;
    if (!(t->future.flags & AIO__F_TASK) || t->future.state >= AIO__DONE || (t->future.flags & AIO__F_ASKED)) return;
    if (list->count == list->capacity) return;
    t->future.flags |= AIO__F_ASKED;
    list->tasks[list->count++] = (aio_task *)aio_ref(t);
}

/* Cancels the listed tasks, waits for each, and reports the errors they ended with. */
static void aio__run_cancel(aio_loop *loop, aio__task_list *list)
{
    for (size_t i = 0; i < list->count; i++) aio__cancel(&list->tasks[i]->future, &aio__cancelled);
    for (size_t i = 0; i < list->count; i++) {
        aio_task *t = list->tasks[i];
        while (t->future.state < AIO__DONE && aio__run_until_done(loop, &t->future) == 0) { }
        if (t->future.state == AIO__DONE && t->future.error) {
            t->future.flags |= AIO__F_SEEN;
            aio__report(loop, t->future.error, "unhandled error of task '%s' while the program was ending",
                        aio__task_label(t));
        }
        aio_unref(t);
    }
}

/* Cancels every task that is left, and those that they start while they end, for a bounded number of rounds. Without
 * memory for a list of all it takes a few at a time. */
static void aio__run_cancel_all(aio_loop *loop)
{
    for (int round = 0; round < AIO__RUN_ROUNDS && loop->task_count; round++) {
        aio_task *few[AIO__RUN_FEW];
        aio_task **all = (aio_task **)aio__malloc(loop->task_count * sizeof *all);
        aio__task_list list = { all ? all : few, all ? loop->task_count : (size_t)AIO__RUN_FEW, 0 };
        do {
            list.count = 0;
            aio__heap_each(&loop->frames, aio__list_unasked, &list);
            aio__run_cancel(loop, &list);
        } while (list.count == list.capacity);
        aio__free(all);
    }
}

/* What is left is cancelled, late callbacks run, and the loop is freed. */
static void aio__run_end(aio_loop *loop)
{
    aio__run_cancel_all(loop);
    aio_future *empty = loop->executor ? aio_loop_shutdown_default_executor(loop) : NULL;
    while (empty && empty->state < AIO__DONE && aio__run_until_done(loop, empty) == 0) { }
    aio_unref(empty);
    aio_loop_stop(loop);
    aio_loop_run_forever(loop);
    aio_loop_free(loop);
}

/* 0; or why there is no coroutine to run. */
static int aio__run_check(const void *coroutine) { return coroutine ? 0 : aio__out_of_memory ? ENOMEM : EINVAL; }

/* A run that cannot begin drops the coroutine, without complaint that nobody awaited it. */
static void aio__run_refuse(void *coroutine, const char *who)
{
    if (coroutine) aio__cancel(aio__future_of(coroutine, who), &aio__cancelled);
    aio_unref(coroutine);
}

struct aio_runner {
    aio_loop   *loop, *set; /* `set`: what was set before */
    aio_future *main;       /* while it runs; borrowed */
    bool        keep_sigint, interrupted;
};

static void aio__run_interrupted(void *arg)
{
    aio_runner *runner = (aio_runner *)arg;
    aio_exception *why = aio__exception(AIO_ECANCELLED, "", "interrupted by SIGINT");
    runner->interrupted = aio__cancel(runner->main, why);
    aio_exception_unref(why);
}

/* Runs the coroutine in the loop. Gives its error (a new owner), or NULL. */
static aio_exception *aio__run_main(aio_runner *runner, void *coroutine)
{
    aio_loop *loop = runner->loop;
    aio_future *f = (aio_future *)aio__ensure_future(coroutine, sizeof *f);
    if (!f) return &aio__no_memory;
    runner->main = f;
    runner->interrupted = false;
    bool interruptible = !runner->keep_sigint && aio__interrupt_begin(loop, aio__run_interrupted, runner);
    int code = aio__adopt(loop, f);
    if (!code) code = aio__run_until_done(loop, f);
    if (!code && f->state < AIO__DONE) code = AIO_ESTOPPED;
    if (interruptible) aio__interrupt_end();
    f->flags |= AIO__F_SEEN;
    aio_exception *error = code ? aio__exception(code, "", NULL) : aio_exception_ref(f->error);
    aio_unref(f);
    return error;
}

/* 0 or a code. */
static int aio__runner_begin(aio_runner *runner, const aio_run_options *options)
{
    runner->set = aio__set;
    runner->keep_sigint = options->keep_sigint;
    if (!(options->turn.seconds >= 0)) return EINVAL;
    runner->loop = aio__running ? NULL : aio_new_event_loop();
    if (!runner->loop) return aio__running ? AIO_ELOOPRUNNING : errno;
    aio_loop_set_turn_limits_with(runner->loop, &options->turn);
    if (options->debug) runner->loop->debug = true;
    return 0;
}

static void aio__runner_end(aio_runner *runner)
{
    aio__set = runner->loop;
    aio__run_end(runner->loop);
    aio__set = runner->set;
}

AIO_API int aio_runner_run(aio_runner *runner, void *coroutine, aio_exception **error)
{
    int code = aio__run_check(coroutine), status = 1;
    aio_exception *e;
    if (!code) code = runner ? aio__loop_can_run(runner->loop) : EINVAL;
    if (code) {
        aio__run_refuse(coroutine, "aio_runner_run");
        e = aio__exception(code, "", NULL);
    } else {
        aio__set = runner->loop;
        e = aio__run_main(runner, coroutine);
        aio__set = runner->set;
        if (!e) status = 0;
        else if (runner->interrupted && e->code == AIO_ECANCELLED) status = 130;
    }
    if (error) *error = e;
    else aio_exception_unref(e);
    return status;
}

AIO_API aio_runner *aio_runner_open_with(const aio_run_options *options)
{
    AIO__DEFAULTS(aio_run_options, options);
    aio_runner *runner = (aio_runner *)aio__calloc(sizeof *runner);
    int code = runner ? aio__runner_begin(runner, options) : ENOMEM;
    if (!code) return runner;
    aio__free(runner);
    errno = code;
    return NULL;
}

AIO_API aio_loop *aio_runner_loop(aio_runner *runner) { return runner ? runner->loop : NULL; }

AIO_API void aio_runner_close(aio_runner *runner)
{
    if (!runner) return;
    aio__runner_end(runner);
    aio__free(runner);
}

AIO_API int aio_run_with(void *coroutine, const aio_run_options *options)
{
    AIO__DEFAULTS(aio_run_options, options);
    aio_runner runner;
    memset(&runner, 0, sizeof runner);
    int code = aio__run_check(coroutine);
    if (!code) code = aio__runner_begin(&runner, options);
    if (code) {
        aio__run_refuse(coroutine, "aio_run");
        fprintf(stderr, "aio.h: aio_run: %s\n", aio_code_text(code));
        return 1;
    }
    aio_exception *error;
    int status = aio_runner_run(&runner, coroutine, &error);
    aio__runner_end(&runner);
    aio_exception_print(error, stderr);
    if (status == 130) fprintf(stderr, "KeyboardInterrupt\n");
    aio_exception_unref(error);
    return status;
}

/* ============================================================================
 * 39. Names: getaddrinfo's threads
 *
 * Lookups in threads of their own, the process's, at most AIO__LOOKUP_THREADS at once; the others queue. One that is
 * given up is orphaned: its waiter goes on at once, and its thread, never joined, frees it when getaddrinfo returns.
 * A thread ends when the queue is empty. May call futures and the loop's door for other threads.
 * ============================================================================ */

enum { AIO__LOOKUP_THREADS = 8, AIO__ADDRESSES_MAX = 64 }; /* at once in the process; addresses tried of one name */

typedef struct aio__address {
    struct sockaddr_storage storage;
    socklen_t               length;
} aio__address;

/* One lookup. Shared by the thread that does it and the future that waits for it; the threads' mutex guards `refs`,
 * `future` and `loop`. A lookup without a future is orphaned: its thread, when it is done with it, frees it. */
typedef struct aio__lookup {
    aio__threadsafe_call post; /* the answer on its way to the loop, which needs no memory */
    struct aio__lookup *next; /* in the threads' queue */
    aio__node           node; /* in its loop's list */
    int                 refs;
    aio_loop           *loop;
    struct aio__lookup_future *future;
    char                host[256], service[32];
    struct addrinfo     hints;
    int                 status;       /* of getaddrinfo */
    int                 system_error; /* errno, with EAI_SYSTEM */
    struct addrinfo    *found;
} aio__lookup;

typedef struct aio__addresses { /* what a lookup gives; of the loop's pool */
    size_t       size;
    int          count;
    aio__address at[1];
} aio__addresses;

typedef struct aio__lookup_future {
    aio_future      future;
    aio__addresses *result; /* the future's */
    aio__lookup    *lookup; /* NULL when it is answered or given up */
} aio__lookup_future;

/* The process's threads for lookups. They end when there is nothing to do, and are never joined. */
static struct {
    pthread_mutex_t mutex;
    aio__lookup    *queue, **tail;
    int             threads;
} aio__lookup_threads = { PTHREAD_MUTEX_INITIALIZER, NULL, NULL, 0 };

static void aio__lookup_unref(aio__lookup *lookup) /* under the threads' mutex */
{
    if (--lookup->refs) return;
    if (lookup->found) aio__os.freeaddrinfo(lookup->found);
    aio__free(lookup);
}

static aio__addresses *aio__addresses_copy(aio_loop *loop, const struct addrinfo *found)
{
    int count = 0;
    for (const struct addrinfo *a = found; a && count < AIO__ADDRESSES_MAX; a = a->ai_next) count++;
    size_t size = sizeof(aio__addresses) + (size_t)count * sizeof(aio__address);
    aio__addresses *addresses = (aio__addresses *)aio__pool_alloc(&loop->pool, size);
    if (!addresses) return NULL;
    memset(addresses, 0, size);
    addresses->size = size;
    for (const struct addrinfo *a = found; a && addresses->count < count; a = a->ai_next) {
        if (a->ai_addrlen > sizeof(struct sockaddr_storage)) continue;
        aio__address *address = &addresses->at[addresses->count++];
        memcpy(&address->storage, a->ai_addr, a->ai_addrlen);
        address->length = a->ai_addrlen;
    }
    return addresses;
}

static aio_exception *aio__lookup_error(const aio__lookup *lookup)
{
    if (!lookup->status || lookup->status == EAI_MEMORY) return &aio__no_memory;
    const char *why = lookup->status == EAI_SYSTEM ? strerror(lookup->system_error) : gai_strerror(lookup->status);
    return aio__exception(AIO_ERESOLVE, "resolve", "resolve %s: %s", lookup->host[0] ? lookup->host : "*", why);
}

/* Gives getaddrinfo's status. */
static int aio__lookup_ask(aio__lookup *lookup, int flags)
{
    struct addrinfo hints = lookup->hints;
    hints.ai_flags |= flags;
    return aio__os.getaddrinfo(lookup->host[0] ? lookup->host : NULL, lookup->service, &hints, &lookup->found);
}

/* In the loop's thread: the answer reaches who still waits for it. */
static void aio__lookup_done(void *arg)
{
    aio__lookup *lookup = (aio__lookup *)arg;
    aio__lookup_future *f = lookup->future;
    if (f && f->future.state < AIO__DONE) {
        f->lookup = NULL;
        if (!lookup->status) f->result = aio__addresses_copy(f->future.loop, lookup->found);
        if (f->result) aio__future_finish(&f->future, AIO__DONE);
        else aio__future_fail(&f->future, aio__lookup_error(lookup));
    }
    pthread_mutex_lock(&aio__lookup_threads.mutex);
    if (lookup->node.next) aio__ring_remove(&lookup->node);
    if (f) aio__lookup_unref(lookup);
    aio__lookup_unref(lookup);
    pthread_mutex_unlock(&aio__lookup_threads.mutex);
}

static void *aio__lookup_threads_run(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&aio__lookup_threads.mutex);
    while (aio__lookup_threads.queue) {
        aio__lookup *lookup = aio__lookup_threads.queue;
        aio__lookup_threads.queue = lookup->next;
        if (lookup->loop && lookup->future) {
            pthread_mutex_unlock(&aio__lookup_threads.mutex);
            lookup->status = aio__lookup_ask(lookup, 0);
            lookup->system_error = errno;
            pthread_mutex_lock(&aio__lookup_threads.mutex);
        }
        /* within the mutex: the loop cannot be freed before it has taken its lookups back (aio__lookups_close) */
        bool wanted = lookup->loop && lookup->future;
        if (wanted && aio__threadsafe_post(lookup->loop, &lookup->post) == 0) continue;
        aio__lookup_unref(lookup);
    }
    aio__lookup_threads.threads--;
    pthread_mutex_unlock(&aio__lookup_threads.mutex);
    return NULL;
}

/* Nobody waits for it any more, if it is still on its way. */
static void aio__lookup_orphan(aio__lookup_future *f)
{
    aio__lookup *lookup = f->lookup;
    f->lookup = NULL;
    if (!lookup) return;
    pthread_mutex_lock(&aio__lookup_threads.mutex);
    if (lookup->node.next) aio__ring_remove(&lookup->node);
    lookup->future = NULL;
    aio__lookup_unref(lookup);
    pthread_mutex_unlock(&aio__lookup_threads.mutex);
}

static bool aio__lookup_cancel(aio_future *future, aio_exception *why)
{
    aio__lookup_orphan((aio__lookup_future *)(void *)future);
    aio__future_fail(future, aio_exception_ref(why));
    return true;
}

static void aio__lookup_destroy(aio_future *future)
{
    aio__lookup_future *f = (aio__lookup_future *)(void *)future;
    aio__lookup_orphan(f);
    if (f->result) aio__pool_free(&future->loop->pool, f->result, f->result->size);
}

static const aio__ops aio__lookup_ops = { "getaddrinfo", aio__lookup_cancel, aio__lookup_destroy, NULL };

/* What a loop has of one kind; its closing ends what is left of them. */
typedef struct aio__owned {
    aio__closer closer;
    aio__node   ring;
} aio__owned;

/* The one at that place in the loop, made when it is needed first: `size` bytes that begin with it, the others zero.
 * NULL without memory. */
static void *aio__owned_of(aio_loop *loop, void **place, size_t size, void (*end)(aio_loop *, aio__closer *))
{
    aio__owned *owned = (aio__owned *)*place;
    if (owned || !(owned = (aio__owned *)aio__calloc(size))) return owned;
    aio__ring_clear(&owned->ring);
    owned->closer.close = end;
    aio__loop_at_close(loop, &owned->closer);
    *place = owned;
    return owned;
}

/* Open lookups become orphans. */
static void aio__lookups_close(aio_loop *loop, aio__closer *closer)
{
    aio__owned *lookups = AIO__CONTAINER(closer, aio__owned, closer);
    pthread_mutex_lock(&aio__lookup_threads.mutex);
    while (!aio__ring_empty(&lookups->ring)) {
        aio__lookup *lookup = AIO__CONTAINER(lookups->ring.next, aio__lookup, node);
        aio__ring_remove(&lookup->node);
        lookup->loop = NULL;
        if (lookup->future) lookup->future->lookup = NULL;
        if (lookup->future) aio__lookup_unref(lookup);
    }
    pthread_mutex_unlock(&aio__lookup_threads.mutex);
    loop->lookups = NULL;
    aio__free(lookups);
}

/* Queues it; 0, or the code of a thread that cannot be started when there is none at all. */
static int aio__lookup_threads_submit(aio__owned *lookups, aio__lookup *lookup)
{
    int code = 0;
    pthread_mutex_lock(&aio__lookup_threads.mutex);
    if (!aio__lookup_threads.queue) aio__lookup_threads.tail = &aio__lookup_threads.queue;
    *aio__lookup_threads.tail = lookup;
    aio__lookup_threads.tail = &lookup->next;
    if (aio__lookup_threads.threads < AIO__LOOKUP_THREADS) {
        pthread_t thread;
        code = aio__os.thread(&thread, aio__lookup_threads_run, NULL);
        if (code == 0) {
            aio__lookup_threads.threads++;
            aio__os.detach(thread);
        }
    }
    if (aio__lookup_threads.threads) code = 0;
    if (code) aio__lookup_threads.queue = NULL; /* without a thread the queue was empty before */
    else aio__ring_insert(&lookups->ring, &lookup->node);
    pthread_mutex_unlock(&aio__lookup_threads.mutex);
    return code;
}

/* A numeric address needs no thread. */
static aio__addresses *aio__lookup_numeric(aio_loop *loop, aio__lookup *lookup)
{
    if (aio__lookup_ask(lookup, AI_NUMERICHOST | AI_NUMERICSERV)) return NULL;
    aio__addresses *addresses = aio__addresses_copy(loop, lookup->found);
    aio__os.freeaddrinfo(lookup->found);
    lookup->found = NULL;
    return addresses;
}

static void aio__lookup_fill(aio__lookup *lookup, const char *host, int port, int family, int flags)
{
    lookup->hints.ai_family = family;
    lookup->hints.ai_socktype = SOCK_STREAM;
    lookup->hints.ai_flags = flags;
    if (host) memcpy(lookup->host, host, strlen(host) + 1);
    snprintf(lookup->service, sizeof lookup->service, "%d", port);
}

/* One that is its future's and its thread's. NULL without memory. */
static aio__lookup *aio__lookup_new(aio__lookup_future *f)
{
    aio__lookup *lookup = f ? (aio__lookup *)aio__calloc(sizeof *lookup) : NULL;
    if (!lookup) return NULL;
    lookup->post.callback = aio__lookup_done;
    lookup->post.arg = lookup;
    lookup->post.kept = true;
    lookup->refs = 2;
    lookup->loop = f->future.loop;
    lookup->future = f;
    return lookup;
}

static void *aio__resolve_failure(int code, const char *host, const char *why)
{
    return aio__failed_future(aio__loop_now(), aio__exception(code, "resolve", "resolve %.255s: %s", host ? host : "*",
                                                              why));
}

/* What is wrong with the arguments, or NULL. */
static const char *aio__resolve_problem(const char *host, int port)
{
    if (port < 0 || port > 65535) return "the port is not in 0..65535";
    return host && strlen(host) > 255 ? "the host name is too long" : NULL;
}

/* Addresses of a host for a port; NULL host with AI_PASSIVE: all interfaces. The result is the future's. */
static aio__lookup_future *aio__resolve(aio_loop *loop, const char *host, int port, int family, int flags)
{
    const char *why = aio__resolve_problem(host, port);
    if (why) return (aio__lookup_future *)aio__resolve_failure(EINVAL, host, why);
    aio__lookup_future *f = (aio__lookup_future *)aio__future_make(loop, &aio__lookup_ops, sizeof *f, NULL, 0);
    aio__owned *lookups =
        (aio__owned *)aio__owned_of(loop, &loop->lookups, sizeof *lookups, aio__lookups_close);
    aio__lookup *lookup = lookups ? aio__lookup_new(f) : NULL;
    if (!lookup) {
        aio_unref(f);
        return NULL;
    }
    aio__lookup_fill(lookup, host, port, family, flags);
    f->result = aio__lookup_numeric(loop, lookup);
    int code = f->result ? 0 : aio__lookup_threads_submit(lookups, lookup);
    if (!f->result && !code) {
        f->lookup = lookup;
        return f;
    }
    aio__free(lookup);
    f->future.state = AIO__DONE;
    if (!code) return f;
    aio_unref(f);
    return (aio__lookup_future *)aio__resolve_failure(code, host, "no thread to do it");
}

/* What a resolver gives: freed by who has it, or with the loop that it is linked to. */
struct aio_addresses {
    aio__node      link;
    aio__addresses list;
};

/* What connecting has to know of a resolver. */
struct aio_resolver {
    aio_addresses_task *(*resolve)(struct aio_resolver *, const char *host, int port, int family);
};

AIO_API void aio_addresses_free(aio_addresses *addresses)
{
    if (!addresses) return;
    aio__ring_remove(&addresses->link);
    aio__free(addresses);
}

/* "1.2.3.4:80", "[::1]:80", "[fe80::1%2]:80", a path, or "" */
static const char *aio__address_text(const struct sockaddr_storage *storage, socklen_t length, char *buffer,
                                     size_t size)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)storage;
    const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)storage;
    char host[INET6_ADDRSTRLEN], scope[12] = "";
    int family = storage->ss_family;
    bool six = family == AF_INET6;
    buffer[0] = 0;
    if (six && in6->sin6_scope_id) snprintf(scope, sizeof scope, "%%%u", (unsigned)in6->sin6_scope_id);
    if (family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path))
        snprintf(buffer, size, "%.*s", (int)(length - offsetof(struct sockaddr_un, sun_path)), un->sun_path);
    else if ((six || family == AF_INET)
             && inet_ntop(family, six ? (const void *)&in6->sin6_addr : &in->sin_addr, host, sizeof host))
        snprintf(buffer, size, six ? "[%s%s]:%d" : "%s%s:%d", host, scope, ntohs(six ? in6->sin6_port : in->sin_port));
    return buffer;
}


/* ============================================================================
 * 40. TLS: OpenSSL over our own BIO
 *
 * Contexts, verification, and one connection's handshake, reads and writes over a descriptor. The BIO sends and
 * receives by the seam, without SIGPIPE. Every call begins with an empty error queue. May call descriptors and errors.
 * ============================================================================ */

enum { AIO__IO_AGAIN = -1, AIO__IO_FAILED = -2 }; /* what a read or write gives that is no count */

/* Why a call on a descriptor, which set errno, gave nothing: AIO__IO_AGAIN, the poller will tell; or AIO__IO_FAILED. */
static AIO__NOINLINE ssize_t aio__io_none(aio__descriptor *d, int direction)
{
    if (errno != EAGAIN && errno != EWOULDBLOCK) return AIO__IO_FAILED;
    d->ready = (uint8_t)(d->ready & ~direction);
    return AIO__IO_AGAIN;
}

#ifndef AIO_NO_TLS

struct aio_tls_context {
    int      refs; /* atomic */
    SSL_CTX *ctx;
    bool     verify;
    bool     server;
    unsigned char alpn[128]; /* as on the wire */
    unsigned alpn_length;
    aio__node sessions;      /* a client's, to be resumed: aio__tls_session, the latest last; the mutex guards them */
    int      session_count, session_limit;
    char     fingerprint[65]; /* that the other end's certificate must have; "": any */
    struct aio__tls_host *hosts; /* a server's; the mutex guards them */
};

typedef struct aio__tls_host { /* the certificate for a name that clients ask for */
    struct aio__tls_host *next;
    aio_tls_context      *context; /* one owner more */
    char                  name[1];
} aio__tls_host;

enum {
    AIO__TLS_KEPT = 32,
    AIO__TLS_PROBE = 4096,    /* bytes at once while little has come for the reader: OpenSSL takes all it is given */
    AIO__TLS_CHATTER = 32,    /* messages of TLS itself (KeyUpdates, tickets), each of which may cost 20 us; then */
    AIO__TLS_CHATTY = 1024,   /* so many bytes come at once, and in a turn, */
    AIO__TLS_QUIET = 1048576  /* until the reader had so many */
};

/* One TLS connection over a descriptor, or over another one. */
typedef struct aio__tls {
    SSL             *ssl;
    struct aio__tls *lower;     /* what it stands on, and owns; NULL: the descriptor itself */
    aio__descriptor *d;
    aio_loop        *loop;
    bool             read_wants_write, write_wants_read;
    bool             fed;       /* the reader got a good deal from the latest read */
    uint8_t          chatter;   /* messages of TLS itself, up to AIO__TLS_CHATTER, and since them */
    uint32_t         payload;   /* bytes for the reader */
    bool             failed;    /* no close_notify may be sent any more */
    bool             close_notify;   /* it has been sent, */
    bool             awaits_answer, lingers; /* the peer's is waited for, and the time for that runs */
    uint8_t          kept_at, kept_end;
    char             kept[AIO__TLS_KEPT]; /* an alert about a handshake that failed, not taken by the socket yet */
    double           shutdown_timeout;  /* seconds that the peer's close_notify is waited for */
    aio_tls_context *context;   /* one owner more */
    int              error;     /* errno of the socket under it */
    unsigned long    reason;    /* OpenSSL's; the lower layer, through which the alert went, has cleared the queue */
    char             key[1];    /* "name:port", under which its sessions are kept; empty: they are not */
} aio__tls;

static __thread char aio__tls_message[256]; /* why the latest context could not be made */

AIO_API const char *aio_tls_context_error(void) { return aio__tls_message; }

/* ---- the BIO: OpenSSL's reads and writes, over send and recv of our own, without SIGPIPE ---- */

static ssize_t aio__tls_recv(aio__tls *tls, char *data, size_t length);
static ssize_t aio__tls_send(aio__tls *tls, const char *data, size_t length);

/* Bytes, AIO__IO_AGAIN, AIO__IO_FAILED with errno, or the lower layer's error. */
static ssize_t aio__tls_push(aio__tls *tls, const char *data, size_t length)
{
    ssize_t n;
    if (tls->lower) {
        if (!tls->reason) tls->reason = aio__os.ERR_peek_error();
        return aio__tls_send(tls->lower, data, length);
    }
    do n = aio__os.send(tls->d->fd, data, length, AIO__NOSIGNAL); while (n < 0 && errno == EINTR);
    return n >= 0 ? n : aio__io_none(tls->d, AIO__WRITE);
}

/* Sends what is kept, in all layers. False: the socket does not take it yet. */
static bool aio__tls_flush(aio__tls *tls)
{
    for (; tls; tls = tls->lower) {
        while (tls->kept_at < tls->kept_end) {
            ssize_t n = aio__tls_push(tls, tls->kept + tls->kept_at, (size_t)(tls->kept_end - tls->kept_at));
            if (n == AIO__IO_AGAIN) return false;
            tls->kept_at = n < 0 ? tls->kept_end : (uint8_t)(tls->kept_at + n);
        }
    }
    return true;
}

static aio__tls *aio__bio_begin(BIO *bio)
{
    aio__os.BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    return (aio__tls *)aio__os.BIO_get_data(bio);
}

/* What was sent or received below, for the BIO: the wants of a lower layer become the wants of this one. */
static int aio__bio_end(BIO *bio, aio__tls *tls, ssize_t n, bool writes)
{
    if (n >= 0) return (int)n;
    int wants = writes ? BIO_FLAGS_WRITE : BIO_FLAGS_READ;
    if (n == AIO__IO_AGAIN) aio__os.BIO_set_flags(bio, wants | BIO_FLAGS_SHOULD_RETRY);
    else tls->error = tls->lower ? tls->lower->error : errno;
    return -1;
}

/* OpenSSL tries an alert about a failed handshake only once: what is as small is kept until the socket takes it. */
static int aio__bio_write(BIO *bio, const char *data, int length)
{
    aio__tls *tls = aio__bio_begin(bio);
    bool empty = tls->kept_at == tls->kept_end;
    ssize_t n = empty ? aio__tls_push(tls, data, (size_t)length) : (ssize_t)AIO__IO_AGAIN;
    if (empty) tls->kept_at = tls->kept_end = 0;
    if (n == AIO__IO_AGAIN && length <= AIO__TLS_KEPT - tls->kept_end && !aio__os.SSL_is_init_finished(tls->ssl)) {
        memcpy(tls->kept + tls->kept_end, data, (size_t)length);
        tls->kept_end = (uint8_t)(tls->kept_end + length);
        return length;
    }
    return aio__bio_end(bio, tls, n, !tls->lower || !tls->lower->write_wants_read);
}

/* A message of TLS itself has come: OpenSSL goes on until it has bytes for the reader, or the BIO has none. */
static void aio__tls_heard(int writes, int version, int type, const void *data, size_t length, SSL *ssl, void *arg)
{
    (void)version, (void)data, (void)length, (void)arg;
    aio__tls *tls = (aio__tls *)aio__os.BIO_get_data(aio__os.SSL_get_rbio(ssl));
    if (writes || type >= SSL3_RT_APPLICATION_DATA) return; /* above it: pieces of a record */
    if (tls->chatter < AIO__TLS_CHATTER) tls->chatter++;
    aio__turn_spent(tls->loop, 0, 1);
}

/* How much OpenSSL may have at once; 0: nothing more in this turn. */
static int aio__tls_allowance(aio__tls *tls, int length)
{
    bool chatty = tls->chatter == AIO__TLS_CHATTER;
    int most = chatty ? (int)AIO__TLS_CHATTY : tls->fed ? length : (int)AIO__TLS_PROBE;
    if (aio__turn_over(tls->loop)) return 0;
    if (chatty) aio__turn_exhaust(tls->loop);
    return length < most ? length : most;
}

/* While the turn is over it has nothing, though the descriptor stays ready: who waits then has a turn of its own. */
static int aio__bio_read(BIO *bio, char *data, int length)
{
    aio__tls *tls = aio__bio_begin(bio);
    ssize_t n = AIO__IO_AGAIN;
    length = aio__tls_allowance(tls, length);
    if (!length) return aio__bio_end(bio, tls, n, false);
    if (tls->lower) {
        n = aio__tls_recv(tls->lower, data, (size_t)length);
        return aio__bio_end(bio, tls, n, tls->lower->read_wants_write);
    }
    if (tls->d->ready & AIO__READ) {
        do n = aio__os.recv(tls->d->fd, data, (size_t)length, 0); while (n < 0 && errno == EINTR);
        if (n < 0) n = aio__io_none(tls->d, AIO__READ);
        else if (n > 0 && n < length) aio__descriptor_drained(tls->d, AIO__READ);
    }
    return aio__bio_end(bio, tls, n, false);
}

static long aio__bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int aio__bio_create(BIO *bio)
{
    aio__os.BIO_set_init(bio, 1);
    return 1;
}

static pthread_mutex_t aio__tls_mutex = PTHREAD_MUTEX_INITIALIZER;
static BIO_METHOD *aio__bio_method;                /* these two live as long as the process; the mutex guards them */
static aio_tls_context *aio__tls_default_context;


static void aio__bio_setup(void)
{
    BIO_METHOD *method = aio__os.BIO_meth_new(aio__os.BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "aio.h");
    if (!method) return;
    aio__os.BIO_meth_set_write(method, aio__bio_write);
    aio__os.BIO_meth_set_read(method, aio__bio_read);
    aio__os.BIO_meth_set_ctrl(method, aio__bio_control);
    aio__os.BIO_meth_set_create(method, aio__bio_create);
    aio__bio_method = method;
}

/* ---- a library context for clients ----
 *
 * OpenSSL 3.0 and 3.1 offer the key of every certificate that they load or are shown to all decoders that there are,
 * also to those of private keys and parameters: 0.1 ms for each certificate, a fifth of a handshake, and 25 ms for the
 * system's authorities. A client without a certificate of its own needs only those of public keys. It gets a library
 * context in which OpenSSL's default provider does everything, and shows no other decoders. Where OpenSSL was set up in
 * another way (FIPS, other providers), a client stays with that. */

#if AIO__TLS_LIBRARY
static OSSL_LIB_CTX  *aio__tls_library;           /* these live as long as the process, too */
static OSSL_PROVIDER *aio__tls_provider;
static OSSL_ALGORITHM aio__tls_decoders[6];       /* the last one is empty */

static const OSSL_ALGORITHM *aio__tls_query(void *provider, int operation, int *no_store)
{
    (void)provider;
    if (operation == OSSL_OP_DECODER) {
        *no_store = 0;
        return aio__tls_decoders;
    }
    return aio__os.OSSL_PROVIDER_query_operation(aio__tls_provider, operation, no_store);
}

static int aio__tls_capabilities(void *provider, const char *capability, OSSL_CALLBACK *callback, void *arg)
{
    (void)provider;
    return aio__os.OSSL_PROVIDER_get_capabilities(aio__tls_provider, capability, callback, arg);
}

static int aio__tls_provide(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                            void **provider)
{
    static const OSSL_DISPATCH functions[] = {
        { OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))aio__tls_query },
        { OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))aio__tls_capabilities },
        { 0, NULL }
    };
    (void)core, (void)in;
    *out = functions;
    *provider = aio__os.OSSL_PROVIDER_get0_provider_ctx(aio__tls_provider);
    return 1;
}

/* The decoders of the public keys that a certificate of TLS can have. False if they are not as expected. */
static bool aio__tls_choose_decoders(void)
{
    static const char *const kinds[] = { "EC", "RSA", "RSA-PSS", "ED25519", "ED448" };
    size_t count = sizeof kinds / sizeof *kinds, kept = 0, length;
    int no_store = 0;
    const OSSL_ALGORITHM *at = aio__os.OSSL_PROVIDER_query_operation(aio__tls_provider, OSSL_OP_DECODER, &no_store);
    for (; at && at->algorithm_names && kept < count; at++) {
        if (!strstr(at->property_definition, "input=der,structure=SubjectPublicKeyInfo")) continue;
        length = strcspn(at->algorithm_names, ":");
        for (size_t i = 0; i < count; i++)
            if (strlen(kinds[i]) == length && !memcmp(at->algorithm_names, kinds[i], length))
                aio__tls_decoders[kept++] = *at;
    }
    return kept == count;
}

static int aio__tls_is_default(OSSL_PROVIDER *provider, void *only)
{
    if (strcmp(aio__os.OSSL_PROVIDER_get0_name(provider), "default") != 0) *(bool *)only = false;
    return 1;
}

/* NULL for OpenSSL's own. Called with the mutex. */
static OSSL_LIB_CTX *aio__tls_library_get(void)
{
    bool only = true;
    aio__os.OSSL_PROVIDER_do_all(NULL, aio__tls_is_default, &only);
    if (!only || aio__os.EVP_default_properties_is_fips_enabled(NULL)) return NULL;
    if (aio__tls_library) return aio__tls_library;
    if (!aio__tls_provider) aio__tls_provider = aio__os.OSSL_PROVIDER_try_load(NULL, "default", 1);
    OSSL_LIB_CTX *made = aio__tls_provider ? aio__os.OSSL_LIB_CTX_new() : NULL;
    if (made && aio__tls_choose_decoders() && aio__os.OSSL_PROVIDER_add_builtin(made, "aio.h", aio__tls_provide) &&
        aio__os.OSSL_PROVIDER_load(made, "aio.h")) return aio__tls_library = made;
    aio__os.OSSL_LIB_CTX_free(made);
    aio__os.ERR_clear_error();
    return NULL;
}
#endif

/* ---- sessions: what a server gave a client for later connections ---- */

/* How many of one name and port are kept: what a burst of connections brings, the next one uses. */
static int aio__tls_sessions_each(const aio_tls_context *context)
{
    return context->session_limit - context->session_limit / 3;
}

typedef struct aio__tls_session {
    aio__node    link;     /* in the context's sessions */
    SSL_SESSION *session;  /* owned */
    char         key[1];
} aio__tls_session;

static void aio__tls_session_drop(aio_tls_context *context, aio__tls_session *kept)
{
    aio__ring_remove(&kept->link);
    context->session_count--;
    aio__os.SSL_SESSION_free(kept->session);
    aio__free(kept);
}

/* The latest of a key, or NULL. Those that are more than `most`, or of no use any more, are dropped. */
static aio__tls_session *aio__tls_session_find(aio_tls_context *context, const char *key, int most)
{
    aio__tls_session *found = NULL;
    aio__node *node = context->sessions.prev;
    while (node != &context->sessions) {
        aio__tls_session *kept = AIO__CONTAINER(node, aio__tls_session, link);
        node = node->prev;
        if (strcmp(kept->key, key)) continue;
        if (most-- <= 0 || !aio__os.SSL_SESSION_is_resumable(kept->session)) aio__tls_session_drop(context, kept);
        else if (!found) found = kept;
    }
    return found;
}

/* OpenSSL has a session for later connections. 1: it is ours from now on. */
static int aio__tls_remember(SSL *ssl, SSL_SESSION *session)
{
    aio__tls *tls = (aio__tls *)aio__os.BIO_get_data(aio__os.SSL_get_rbio(ssl));
    aio_tls_context *context = tls->context;
    size_t length = strlen(tls->key);
    aio__tls_session *kept = length ? (aio__tls_session *)aio__calloc(sizeof *kept + length) : NULL;
    if (!kept) return 0;
    kept->session = session;
    memcpy(kept->key, tls->key, length);
    bool once = aio__os.SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
    pthread_mutex_lock(&aio__tls_mutex);
    aio__ring_insert(&context->sessions, &kept->link);
    context->session_count++;
    aio__tls_session_find(context, kept->key, once ? aio__tls_sessions_each(context) : 1);
    if (context->session_count > context->session_limit)
        aio__tls_session_drop(context, AIO__CONTAINER(context->sessions.next, aio__tls_session, link));
    pthread_mutex_unlock(&aio__tls_mutex);
    return 1;
}

/* Resumes a session, if there is one. One of TLS 1.3 is good for one connection (RFC 8446, C.4). */
static void aio__tls_resume(aio__tls *tls)
{
    pthread_mutex_lock(&aio__tls_mutex);
    aio__tls_session *kept = aio__tls_session_find(tls->context, tls->key, aio__tls_sessions_each(tls->context));
    if (kept) {
        aio__os.SSL_set_session(tls->ssl, kept->session);
        if (aio__os.SSL_SESSION_get_protocol_version(kept->session) >= TLS1_3_VERSION)
            aio__tls_session_drop(tls->context, kept);
    }
    pthread_mutex_unlock(&aio__tls_mutex);
}

/* The handshake failed: what was resumed is not tried again. */
static void aio__tls_forget(aio__tls *tls)
{
    if (!tls->key[0]) return;
    pthread_mutex_lock(&aio__tls_mutex);
    aio__tls_session_find(tls->context, tls->key, 0);
    pthread_mutex_unlock(&aio__tls_mutex);
}

/* ---- contexts ---- */

static SSL_CTX *aio__tls_ctx_new(const aio_tls_options *options)
{
    if (options->server) return aio__os.SSL_CTX_new(aio__os.TLS_server_method());
#if AIO__TLS_LIBRARY
    if (!options->cert_file) {
        pthread_mutex_lock(&aio__tls_mutex);
        OSSL_LIB_CTX *library = aio__tls_library_get();
        pthread_mutex_unlock(&aio__tls_mutex);
        if (library) return aio__os.SSL_CTX_new_ex(library, NULL, aio__os.TLS_client_method());
    }
#endif
    return aio__os.SSL_CTX_new(aio__os.TLS_client_method());
}

/* "TLS: what name: why"; without `why`, what OpenSSL says. */
static void aio__tls_context_fail(const char *what, const char *name, const char *why)
{
    unsigned long error = why ? 0 : aio__os.ERR_peek_error();
    if (error) why = aio__os.ERR_reason_error_string(error);
    if (!why && ERR_GET_LIB(error) == ERR_LIB_SYS) why = strerror(ERR_GET_REASON(error));
    snprintf(aio__tls_message, sizeof aio__tls_message, "TLS: %s %.150s: %s", what, name, why ? why : "OpenSSL failed");
    aio__os.ERR_clear_error();
}

/* "h2,http/1.1" → the wire's form. False if it does not fit. */
static bool aio__alpn_encode(aio_tls_context *context, const char *list)
{
    while (list && *list) {
        size_t n = strcspn(list, ",");
        if (n == 0 || n > 255 || context->alpn_length + n + 1 > sizeof context->alpn) return false;
        context->alpn[context->alpn_length++] = (unsigned char)n;
        memcpy(context->alpn + context->alpn_length, list, n);
        context->alpn_length += (unsigned)n;
        list += n + (list[n] == ',');
    }
    return true;
}

static int aio__alpn_select(SSL *ssl, const unsigned char **out, unsigned char *length, const unsigned char *in,
                            unsigned in_length, void *arg)
{
    (void)ssl;
    aio_tls_context *context = (aio_tls_context *)arg;
    unsigned char *chosen;
    if (aio__os.SSL_select_next_proto(&chosen, length, context->alpn, context->alpn_length, in, in_length) !=
        OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301, 3.2 */
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* "*.a.test" is for one more label. */
static bool aio__tls_host_is(const char *pattern, const char *name)
{
    if (*pattern == '*') name = strchr(name, '.');
    return name && !strcasecmp(pattern + (*pattern == '*'), name);
}

/* A client has said whom it wants. */
static int aio__tls_choose(SSL *ssl, int *alert, void *arg)
{
    aio_tls_context *context = (aio_tls_context *)arg;
    const char *name = aio__os.SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    pthread_mutex_lock(&aio__tls_mutex);
    aio__tls_host *host = name ? context->hosts : NULL;
    while (host && !aio__tls_host_is(host->name, name)) host = host->next;
    bool done = !host || aio__os.SSL_set_SSL_CTX(ssl, host->context->ctx);
    pthread_mutex_unlock(&aio__tls_mutex);
    *alert = SSL_AD_INTERNAL_ERROR;
    return done ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int aio__tls_password(char *buffer, int size, int writing, void *password)
{
    size_t length = password ? strlen((const char *)password) : 0;
    (void)writing;
    if (length > (size_t)size) return -1;
    if (length) memcpy(buffer, password, length);
    return (int)length;
}

/* The file that could not be loaded, or NULL. */
static const char *aio__tls_load(aio_tls_context *context, const aio_tls_options *o)
{
    SSL_CTX *ctx = context->ctx;
    const char *key = o->key_file ? o->key_file : o->cert_file;
    aio__os.SSL_CTX_set_default_passwd_cb(ctx, aio__tls_password); /* without it OpenSSL would ask the terminal */
    aio__os.SSL_CTX_set_default_passwd_cb_userdata(ctx, (void *)(uintptr_t)o->key_password);
    if (o->cert_file && aio__os.SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) != 1) return o->cert_file;
    if (key && aio__os.SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) return key;
    if (o->ca_file || o->ca_path) {
        if (aio__os.SSL_CTX_load_verify_locations(ctx, o->ca_file, o->ca_path) != 1)
            return o->ca_file ? o->ca_file : o->ca_path;
    } else if (!o->server && context->verify && aio__os.SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return "the system's certificate authorities";
    }
    return NULL;
}

/* OpenSSL's number of a version, 0 for none that there is. */
static int aio__tls_version(const char *text, int otherwise)
{
    static const char *const names[] = { "1.0", "1.1", "1.2", "1.3" };
    if (!text) return otherwise;
    if (!strncmp(text, "TLSv", 4)) text += 4;
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, names[i])) return TLS1_VERSION + i;
    return 0;
}

/* 64 hexadecimal digits, maybe with colons between the pairs, as small letters; NULL: none. */
static bool aio__tls_fingerprint(char *out, const char *text)
{
    int n = 0;
    if (!text) return true;
    for (; *text; text++) {
        if (*text == ':' && n && n % 2 == 0) continue;
        if (n == 64 || !strchr("0123456789abcdefABCDEF", *text)) return false;
        out[n++] = (char)(*text | 32);
    }
    return n == 64;
}

/* What is wrong with the options, or NULL. */
static const char *aio__tls_check(aio_tls_context *context, const aio_tls_options *o)
{
    static const char *const texts[] = {
        "a server needs a cert_file", "a key_file needs its cert_file", "a key_password needs its cert_file",
        "require_client_cert is a server's", "request_client_cert is a server's",
        "require_client_cert needs a ca_file or ca_path", "request_client_cert needs a ca_file or ca_path",
        "the ALPN list is not valid", "the fingerprint is not 64 hexadecimal digits",
        "the min_version is none of 1.0, 1.1, 1.2, 1.3", "the max_version is none of 1.0, 1.1, 1.2, 1.3",
        "the min_version is above the max_version",
    };
    int min = aio__tls_version(o->min_version, TLS1_2_VERSION), max = aio__tls_version(o->max_version, TLS1_3_VERSION);
    bool bare = !o->cert_file, alone = !o->ca_file & !o->ca_path, client = !o->server;
    const int wrong[] = { /* without branches */
        o->server & bare, !!o->key_file & bare, !!o->key_password & bare,
        o->require_client_cert & client, o->request_client_cert & client,
        o->require_client_cert & alone, o->request_client_cert & alone,
        !aio__alpn_encode(context, o->alpn), !aio__tls_fingerprint(context->fingerprint, o->fingerprint),
        !min, !max, min > max,
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (wrong[i]) return texts[i];
    return NULL;
}

/* What does not depend on files. */
static void aio__tls_context_set(aio_tls_context *context, const aio_tls_options *o)
{
    SSL_CTX *ctx = context->ctx;
    const struct { int what; long value; } settings[] = {
        { SSL_CTRL_SET_MIN_PROTO_VERSION, aio__tls_version(o->min_version, TLS1_2_VERSION) },
        { SSL_CTRL_SET_MAX_PROTO_VERSION, aio__tls_version(o->max_version, 0) },
        { SSL_CTRL_MODE,
          SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS },
        { SSL_CTRL_SET_READ_AHEAD, 1 },
        { SSL_CTRL_SET_SESS_CACHE_MODE, o->server ? SSL_SESS_CACHE_SERVER
                                                  : SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL },
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        aio__os.SSL_CTX_ctrl(ctx, settings[i].what, settings[i].value, NULL);
    aio__os.SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
    aio__os.SSL_CTX_set_msg_callback(ctx, aio__tls_heard);
    aio__os.SSL_CTX_set_default_read_buffer_len(ctx, 33792); /* for two whole records */
    int verify = context->verify && !o->server ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
    if (o->request_client_cert) verify = SSL_VERIFY_PEER;
    if (o->require_client_cert) verify = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    aio__os.SSL_CTX_set_verify(ctx, verify, NULL);
    if (!o->server) {
        aio__os.SSL_CTX_sess_set_new_cb(ctx, aio__tls_remember);
        return;
    }
    aio__os.SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"aio.h", 5);
    aio__os.SSL_CTX_set_num_tickets(ctx, 1);
    /* without other hosts, too: only names that are acknowledged stay with a session of TLS 1.2 */
    aio__os.SSL_CTX_ctrl(ctx, SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG, 0, context);
    aio__os.SSL_CTX_callback_ctrl(ctx, SSL_CTRL_SET_TLSEXT_SERVERNAME_CB, (void (*)(void))aio__tls_choose);
    if (context->alpn_length) aio__os.SSL_CTX_set_alpn_select_cb(ctx, aio__alpn_select, context);
}

static bool aio__tls_context_fill(aio_tls_context *context, const aio_tls_options *o)
{
    SSL_CTX *ctx = context->ctx;
    aio__tls_context_set(context, o);
    const char *what = "cannot load", *name = aio__tls_load(context, o);
    aio__os.SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    if (!name && o->ciphers && aio__os.SSL_CTX_set_cipher_list(ctx, o->ciphers) != 1) {
        what = "the ciphers";
        name = o->ciphers;
    } else if (!name && context->alpn_length && !o->server &&
               aio__os.SSL_CTX_set_alpn_protos(ctx, context->alpn, context->alpn_length) != 0) {
        what = "ALPN";
        name = o->alpn;
    }
    if (name) aio__tls_context_fail(what, name, NULL);
    return !name;
}

AIO_API aio_tls_context *aio_tls_context_create_with(const aio_tls_options *options)
{
    AIO__DEFAULTS(aio_tls_options, options);
    aio__os.ERR_clear_error();
    pthread_mutex_lock(&aio__tls_mutex);
    if (!aio__bio_method) aio__bio_setup();
    pthread_mutex_unlock(&aio__tls_mutex);
    aio_tls_context *context = (aio_tls_context *)aio__calloc(sizeof *context);
    if (!context) {
        aio__tls_context_fail("no", "context", "out of memory");
        return NULL;
    }
    context->refs = 1;
    context->server = options->server;
    context->verify = options->verify != AIO_VERIFY_NONE;
    context->session_limit = options->sessions ? options->sessions : AIO_TLS_SESSIONS;
    aio__ring_clear(&context->sessions);
    const char *wrong = aio__tls_check(context, options);
    if (!wrong) context->ctx = aio__tls_ctx_new(options);
    if (wrong || !context->ctx || !aio__bio_method) aio__tls_context_fail("no", "context", wrong);
    else if (aio__tls_context_fill(context, options)) return context;
    aio_tls_context_unref(context);
    return NULL;
}

AIO_API aio_tls_context *aio_tls_context_ref(aio_tls_context *context)
{
    if (context) __atomic_add_fetch(&context->refs, 1, __ATOMIC_RELAXED);
    return context;
}

AIO_API void aio_tls_context_unref(aio_tls_context *context)
{
    if (!context || __atomic_sub_fetch(&context->refs, 1, __ATOMIC_ACQ_REL)) return;
    if (context->ctx) aio__os.SSL_CTX_free(context->ctx);
    for (aio__tls_host *host = context->hosts, *next; host; host = next) {
        next = host->next;
        aio_tls_context_unref(host->context);
        aio__free(host);
    }
    while (context->session_count)
        aio__tls_session_drop(context, AIO__CONTAINER(context->sessions.next, aio__tls_session, link));
    aio__free(context);
}

AIO_API int aio_tls_context_add_host(aio_tls_context *context, const char *name, aio_tls_context *other)
{
    const char *wrong = !context || !context->server ? "the context is not a server's"
                      : !other || !other->server || other == context ? "the context to add is not another server's"
                      : !name || !*name || strchr(name + 1, '*') || (*name == '*' && name[1] != '.') ? "not a name"
                      : NULL;
    if (wrong) {
        aio__tls_context_fail("host", name ? name : "NULL", wrong);
        return EINVAL;
    }
    aio__tls_host *host = (aio__tls_host *)aio__calloc(sizeof *host + strlen(name));
    if (!host) return ENOMEM;
    memcpy(host->name, name, strlen(name));
    host->context = aio_tls_context_ref(other);
    pthread_mutex_lock(&aio__tls_mutex);
    host->next = context->hosts;
    context->hosts = host;
    pthread_mutex_unlock(&aio__tls_mutex);
    return 0;
}

/* ---- the other end's certificate ---- */

/* 64 digits and a NUL. False without memory. */
static bool aio__certificate_digest(const X509 *certificate, char *text)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!aio__os.X509_digest(certificate, aio__os.EVP_sha256(), digest, &length) || length != 32) return false;
    for (unsigned i = 0; i < length; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return true;
}

/* Seconds since 1970. */
static int64_t aio__certificate_time(const ASN1_TIME *when)
{
    struct tm at;
    memset(&at, 0, sizeof at);
    aio__os.ASN1_TIME_to_tm(when, &at);
    int64_t days = aio__days(at.tm_year + 1900, at.tm_mon, at.tm_mday);
    return ((days * 24 + at.tm_hour) * 60 + at.tm_min) * 60 + at.tm_sec;
}

/* Text and a NUL behind it. False without memory. */
static bool aio__certificate_put(BIO *out, const char *text)
{
    int size = (int)strlen(text) + 1;
    return aio__os.BIO_write(out, text, size) == size;
}

/* A DNS name or address as text. False for what is neither, or not printable. */
static bool aio__certificate_name(const GENERAL_NAME *name, char text[256])
{
    if (name->type != GEN_DNS && name->type != GEN_IPADD) return false;
    const unsigned char *data = aio__os.ASN1_STRING_get0_data(name->d.ia5);
    int length = aio__os.ASN1_STRING_length(name->d.ia5), i = 0;
    if (name->type == GEN_IPADD)
        return (length == 4 || length == 16) && inet_ntop(length == 4 ? AF_INET : AF_INET6, data, text, 256);
    for (; i < length && i < 255 && data[i] > ' ' && data[i] < 127; i++) text[i] = (char)data[i];
    text[i] = 0;
    return i && i == length;
}

/* Writes all names. Gives how many; -1 without memory. */
static int aio__certificate_names(const X509 *certificate, BIO *out)
{
    GENERAL_NAMES *all = (GENERAL_NAMES *)aio__os.X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    const OPENSSL_STACK *stack = (const OPENSSL_STACK *)(const void *)all;
    int count = 0;
    char text[256];
    for (int i = 0; all && count >= 0 && i < aio__os.OPENSSL_sk_num(stack); i++)
        if (aio__certificate_name((const GENERAL_NAME *)aio__os.OPENSSL_sk_value(stack, i), text))
            count = aio__certificate_put(out, text) ? count + 1 : -1;
    aio__os.GENERAL_NAMES_free(all);
    return count;
}

/* One block: the struct, the array of names, all texts, the DER. */
static aio_certificate *aio__certificate_make(X509 *from, BIO *out)
{
    char fingerprint[65], *data = NULL;
    bool whole = aio__certificate_digest(from, fingerprint) && aio__certificate_put(out, fingerprint) &&
        aio__os.X509_NAME_print_ex(out, aio__os.X509_get_subject_name(from), 0, XN_FLAG_RFC2253) >= 0 &&
        aio__certificate_put(out, "") &&
        aio__os.X509_NAME_print_ex(out, aio__os.X509_get_issuer_name(from), 0, XN_FLAG_RFC2253) >= 0 &&
        aio__certificate_put(out, "");
    int names = whole ? aio__certificate_names(from, out) : -1, der = aio__os.i2d_X509(from, NULL);
    size_t length = (size_t)aio__os.BIO_ctrl(out, BIO_CTRL_INFO, 0, &data);
    size_t pointers = ((size_t)names + 1) * sizeof(char *);
    if (names < 0 || der <= 0) return NULL;
    aio_certificate *made = (aio_certificate *)aio__calloc(sizeof *made + pointers + length + (size_t)der);
    if (!made) return NULL;
    const char **name = (const char **)(void *)(made + 1);
    char *text = (char *)name + pointers;
    unsigned char *end = (unsigned char *)text + length;
    memcpy(text, data, length);
    made->names = name;
    made->name_count = (size_t)names;
    made->der = end;
    made->der_length = (size_t)der;
    aio__os.i2d_X509(from, &end);
    made->fingerprint = text;
    made->subject = text += sizeof fingerprint;
    made->issuer = text += strlen(text) + 1;
    for (int i = 0; i < names; i++) name[i] = text += strlen(text) + 1;
    made->not_before = aio__certificate_time(aio__os.X509_get0_notBefore(from));
    made->not_after = aio__certificate_time(aio__os.X509_get0_notAfter(from));
    return made;
}

/* NULL for none, or without memory. */
static aio_certificate *aio__tls_certificate(const aio__tls *tls)
{
    X509 *from = aio__os.SSL_get_peer_certificate(tls->ssl);
    BIO *out = from ? aio__os.BIO_new(aio__os.BIO_s_mem()) : NULL;
    aio_certificate *made = out ? aio__certificate_make(from, out) : NULL;
    if (out) aio__os.BIO_free(out);
    aio__os.X509_free(from);
    aio__os.ERR_clear_error();
    return made;
}

/* ---- one connection ---- */

/* With the layers below it. */
static void aio__tls_free(aio__tls *tls)
{
    while (tls) {
        aio__tls *lower = tls->lower;
        if (tls->ssl) { /* a connection that ends without a close_notify leaves its session good (RFC 5246, 7.2.1) */
            aio__os.SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
            aio__os.SSL_free(tls->ssl);
        }
        aio_tls_context_unref(tls->context);
        aio__free(tls);
        tls = lower;
    }
    aio__os.ERR_clear_error();
}

/* Names the host that the certificate must be for; a numeric one is compared as an address. A name's last dot, which
 * says that it is complete, is no part of it here (RFC 6066, section 3). 0 or a code. */
static int aio__tls_name(SSL *ssl, const char *host, bool verify)
{
    char name[256];
    unsigned char address[16];
    size_t length = strcspn(host, "%"); /* a zone is nothing to the other side (RFC 6874 4) */
    if (length && host[length - 1] == '.') length--;
    if (!length || length >= sizeof name) return EINVAL;
    memcpy(name, host, length);
    name[length] = 0;
    bool is_address = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
    if (!is_address &&
        aio__os.SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) != 1) return ENOMEM;
    if (!verify) return 0;
    if (is_address) return aio__os.X509_VERIFY_PARAM_set1_ip_asc(aio__os.SSL_get0_param(ssl), name) == 1 ? 0 : ENOMEM;
    aio__os.SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return aio__os.SSL_set1_host(ssl, name) == 1 ? 0 : ENOMEM;
}

/* On d, or on the connection `lower`, which is taken if it succeeds. NULL with errno: ENOMEM, or EINVAL for a name that
 * none can be. `host` is NULL on a server; port 0: it is not known. */
static aio__tls *aio__tls_new(aio_tls_context *context, aio_loop *loop, aio__descriptor *d, aio__tls *lower,
                              const char *host, int port)
{
    aio__os.ERR_clear_error();
    int code = ENOMEM;
    size_t room = host && context->session_limit > 0 ? strlen(host) + sizeof ":65535" : 0;
    aio__tls *tls = (aio__tls *)aio__calloc(sizeof *tls + room);
    BIO *bio = NULL;
    if (tls) {
        if (room) snprintf(tls->key, room, "%s:%d", host, port);
        tls->context = aio_tls_context_ref(context);
        tls->loop = loop;
        tls->d = d;
        tls->ssl = aio__os.SSL_new(context->ctx);
        if (tls->ssl) bio = aio__os.BIO_new(aio__bio_method);
    }
    if (bio) {
        aio__os.BIO_set_data(bio, tls);
        aio__os.SSL_set_bio(tls->ssl, bio, bio);
        if (context->server) aio__os.SSL_set_accept_state(tls->ssl);
        else aio__os.SSL_set_connect_state(tls->ssl);
        code = host ? aio__tls_name(tls->ssl, host, context->verify) : 0;
    }
    if (!code) {
        if (room) aio__tls_resume(tls);
        tls->lower = lower;
        return tls;
    }
    aio__tls_free(tls);
    errno = code;
    return NULL;
}


/* The result of an SSL_ call in the terms of the streams: bytes, 0 for the end, AIO__IO_AGAIN, AIO__IO_FAILED. */
static ssize_t aio__tls_outcome(aio__tls *tls, int n, bool *wants_other, int other)
{
    *wants_other = false;
    if (n > 0) return n;
    int error = aio__os.SSL_get_error(tls->ssl, n);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        *wants_other = error == other;
        return AIO__IO_AGAIN;
    }
    if (error == SSL_ERROR_ZERO_RETURN) return 0;
    tls->failed = true;
    return AIO__IO_FAILED;
}

static ssize_t aio__tls_recv(aio__tls *tls, char *data, size_t length)
{
    aio__os.ERR_clear_error();
    int n = aio__os.SSL_read(tls->ssl, data, length > INT_MAX ? INT_MAX : (int)length);
    tls->fed = n >= AIO__TLS_PROBE / 4;
    if (n > 0) tls->payload += (uint32_t)n;
    if (tls->payload >= AIO__TLS_QUIET) tls->chatter = 0, tls->payload = 0;
    return aio__tls_outcome(tls, n, &tls->read_wants_write, SSL_ERROR_WANT_WRITE);
}

/* The next byte, which stays to be read. Asks the socket, whatever the poller has said. */
static ssize_t aio__tls_peek(aio__tls *tls, char *byte)
{
    tls->d->ready |= AIO__READ;
    aio__os.ERR_clear_error();
    int n = aio__os.SSL_peek(tls->ssl, byte, 1);
    return aio__tls_outcome(tls, n, &tls->read_wants_write, SSL_ERROR_WANT_WRITE);
}

/* Never 0: a peer that has said close_notify and then closed lets OpenSSL tell of the close_notify only. */
static ssize_t aio__tls_send(aio__tls *tls, const char *data, size_t length)
{
    aio__os.ERR_clear_error();
    int n = aio__os.SSL_write(tls->ssl, data, length > INT_MAX ? INT_MAX : (int)length);
    ssize_t sent = aio__tls_outcome(tls, n, &tls->write_wants_read, SSL_ERROR_WANT_READ);
    if (sent) return sent;
    if (!tls->error) tls->error = EPIPE;
    tls->failed = true;
    return AIO__IO_FAILED;
}


/* The direction that the handshake waits for, 0 when it is done, AIO__IO_FAILED. */
static int aio__tls_handshake(aio__tls *tls)
{
    if (!aio__tls_flush(tls)) return AIO__WRITE;
    aio__os.ERR_clear_error();
    int n = aio__os.SSL_do_handshake(tls->ssl);
    int error = n == 1 ? SSL_ERROR_NONE : aio__os.SSL_get_error(tls->ssl, n);
    bool writes = tls->kept_at < tls->kept_end;
    if (error == SSL_ERROR_WANT_WRITE || (writes && (n == 1 || error == SSL_ERROR_WANT_READ))) return AIO__WRITE;
    if (n == 1) return 0;
    if (error == SSL_ERROR_WANT_READ) return AIO__READ;
    tls->failed = true;
    aio__tls_forget(tls);
    return AIO__IO_FAILED;
}

/* Says close_notify, the upper layers first. False: the socket does not take it yet, and it is to be said again. */
static bool aio__tls_close_notify(aio__tls *tls)
{
    for (; tls; tls = tls->lower) {
        if (tls->close_notify || tls->failed || !aio__os.SSL_is_init_finished(tls->ssl)) continue;
        aio__os.ERR_clear_error();
        int n = aio__os.SSL_shutdown(tls->ssl);
        tls->close_notify = n >= 0 || aio__os.SSL_get_error(tls->ssl, n) != SSL_ERROR_WANT_WRITE;
        if (!tls->close_notify) return false;
    }
    return true;
}

/* After our close_notify: whether the peer's has come, never will (tls->failed), or is not waited for.
 * What comes before it
 * is dropped, so much at once: the rest may be in OpenSSL already, and the socket silent. */
static bool aio__tls_answered(aio__tls *tls)
{
    char unread[4096];
    ssize_t n = 0;
    for (int i = 0; i < 16 && tls->shutdown_timeout > 0 && tls->close_notify; i++) {
        n = aio__tls_recv(tls, unread, sizeof unread);
        if (n <= 0) break;
    }
    if (n > 0) tls->d->ready |= AIO__READ;
    tls->awaits_answer = n > 0 || n == AIO__IO_AGAIN;
    return !tls->awaits_answer;
}

/* What has come and nobody reads (session tickets, an answer to a close_notify) is taken out of the socket:
 * closed with it,
 * the socket would send a reset, which may overtake our bytes. */
static void aio__tls_drop_unread(aio__tls *tls)
{
    char unread[1024];
    for (int i = 0; i < 256 && aio__os.recv(tls->d->fd, unread, sizeof unread, 0) > 0; i++) { }
}

/* Why the latest call failed, for `peer`. Never NULL. */
static aio_exception *aio__tls_error(aio__tls *tls, const char *phase, const char *peer)
{
    unsigned long error = aio__os.ERR_peek_error();
    if (!error) error = tls->reason;
    const char *reason = error ? aio__os.ERR_reason_error_string(error) : NULL, *hint = "";
    int code = AIO_ETLS, why = error && ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    if (!aio__os.SSL_is_init_finished(tls->ssl) &&
        (why == SSL_R_WRONG_VERSION_NUMBER || why == SSL_R_HTTP_REQUEST || why == SSL_R_HTTPS_PROXY_REQUEST))
        hint = "the peer does not speak TLS: ";
    if (why > SSL_AD_REASON_OFFSET) hint = "the peer says: ";
    if (error && ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE) return &aio__no_memory;
    if (why == SSL_R_CERTIFICATE_VERIFY_FAILED)
        return aio__exception(AIO_ECERTIFICATE, phase, "%s with %s: certificate verify failed: %s", phase, peer,
                              aio__os.X509_verify_cert_error_string(aio__os.SSL_get_verify_result(tls->ssl)));
    if (tls->error) {
        code = tls->error;
        reason = strerror(tls->error);
        hint = "";
    } else if (!error) {
        reason = aio__os.SSL_is_init_finished(tls->ssl) ? "the peer closed the connection without close_notify"
                                                : "the peer closed the connection";
    }
    return aio__exception(code, phase, "%s with %s: %s%s", phase, peer, hint, reason ? reason : "OpenSSL failed");
}

/* Holds the certificate against the fingerprint that it must have. NULL, or the error. */
static aio_exception *aio__tls_pinned(aio__tls *tls, const char *peer)
{
    char is[65] = "none";
    const char *wanted = tls->context->fingerprint;
    if (!*wanted) return NULL;
    X509 *shown = aio__os.SSL_get_peer_certificate(tls->ssl);
    bool known = !shown || aio__certificate_digest(shown, is);
    aio__os.X509_free(shown);
    if (known && !strcmp(is, wanted)) return NULL;
    tls->failed = true;
    aio__tls_forget(tls);
    if (!known) return &aio__no_memory;
    return aio__exception(AIO_ECERTIFICATE, "TLS handshake",
                          "TLS handshake with %s: the certificate's fingerprint is %s, expected %s", peer, is, wanted);
}

static bool aio__tls_has_pending(const aio__tls *tls)
{
    while (tls && !aio__os.SSL_has_pending(tls->ssl)) tls = tls->lower;
    return tls != NULL;
}

/* The default client context, made at the first use: system authorities, verification on. Borrowed; NULL: see
 * aio_tls_context_error. */
static aio_tls_context *aio__tls_default(void)
{
    pthread_mutex_lock(&aio__tls_mutex);
    aio_tls_context *found = aio__tls_default_context;
    pthread_mutex_unlock(&aio__tls_mutex);
    if (found) return found;
    aio_tls_context *made = aio_tls_context_create(.verify = AIO_VERIFY_FULL);
    pthread_mutex_lock(&aio__tls_mutex);
    found = aio__tls_default_context;
    if (!found) found = aio__tls_default_context = made;
    pthread_mutex_unlock(&aio__tls_mutex);
    if (found != made) aio_tls_context_unref(made);
    return found;
}


#else /* AIO_NO_TLS */

struct aio_tls_context { int refs; };

AIO_API const char *aio_tls_context_error(void) { return "TLS: compiled with AIO_NO_TLS"; }

AIO_API aio_tls_context *aio_tls_context_create_with(const aio_tls_options *options)
{
    (void)options;
    return NULL;
}

AIO_API int aio_tls_context_add_host(aio_tls_context *context, const char *name, aio_tls_context *other)
{
    return (void)context, (void)name, (void)other, ENOTSUP;
}

AIO_API aio_tls_context *aio_tls_context_ref(aio_tls_context *context) { return context; }
AIO_API void aio_tls_context_unref(aio_tls_context *context) { (void)context; }
static aio_tls_context *aio__tls_default(void) { return NULL; }

#endif

/* ============================================================================
 * 41. Streams: buffers and transports
 *
 * Reading, writing, a connect to one address, listening; plain or over TLS. A stream owns its descriptor, what came
 * and is unread, and what is written and unsent; each buffer exists only while there is something in it. Nothing is
 * read ahead of a reader: the peer waits. A write is tried at once. What is open is in aio__streams, and ends with the
 * loop. May call names, TLS, descriptors, timers, futures and coroutines.
 * ============================================================================ */


enum {
    AIO__READ_BUFFER = 131072 - 64, /* reads go into these; the loop keeps some. malloc would mmap for 128 KiB */
    AIO__BUFFERS_KEPT = 8,
    AIO__SMALL = 1024,         /* up to this, input that must wait for its reader is copied out of the big buffer */
    AIO__IOV_MAX = 16,         /* pieces of one sendmsg */
    AIO__CLOSE_TIMEOUT = 30    /* seconds that a closing stream may take to send what is left */
};

enum { AIO__SCANNED = 0x1FFFFFFF };
enum {
    AIO__READ_SOME, AIO__READ_EXACTLY, AIO__READ_LINE, AIO__READ_UNTIL, AIO__READ_ALL, AIO__READ_MORE, AIO__READ_READY
};

typedef struct aio__read { /* a read that waits, or has its result */
    aio_text_future base;
    aio_stream     *stream;
    const char     *separator;
    uint32_t        n;         /* how much, or the separator's length */
    unsigned        scanned : 29; /* of the buffered bytes: no separator begins there */
    unsigned        mode : 3;
} aio__read;

typedef struct aio__out { /* bytes that wait for the socket: [start, end) behind this */
    size_t start, end, capacity;
} aio__out;

typedef struct aio__transport_ops {
    bool (*end)(aio_stream *);     /* false: the stream is to end now */
    void (*written)(aio_stream *); /* what is unsent has grown, or its limits are others */
} aio__transport_ops;

typedef struct aio__transport { /* what a stream has whose bytes go to a protocol; see that room */
    aio__work         soon;  /* calls connection_made, and later connection_lost */
    const aio__transport_ops *ops;
    const aio_protocol *protocol;
    void               *self, *arg; /* the protocol's */
    size_t              size;  /* of this allocation */
    bool                made, ending, lost; /* connection_made has run; connection_lost is due; it has run */
    bool                paused, full;       /* reading is paused; the protocol was told to pause writing */
} aio__transport;

struct aio_stream {
    aio__descriptor d;
    aio__work     ended;     /* among the waiters of `task` */
    aio_loop       *loop;
    struct aio__tls *tls;
    aio__transport *transport; /* NULL: its bytes go to who reads them */
    aio__node       link;      /* in server->clients or loop->streams */
    char           *in;        /* unread: in[in_start, in_end); NULL while idle */
    aio__out       *out;       /* unsent; NULL while idle */
    uint32_t        in_start, in_end, in_capacity, limit, high, low;
    aio__read      *reader;    /* the read that waits; not owned */
    aio_future     *drained;   /* what drainers wait for */
    aio_future     *closed;    /* what wait_closed gave */
    aio_exception  *error;     /* broke the stream */
    aio__timer     *timer;     /* of closing */
    char           *name;      /* host or path that was connected to, for messages; NULL: the peer's address */
    aio_server     *server;    /* whose client this is */
    aio_task       *task;      /* its handler's */
    bool            eof;       /* the peer has ended its direction */
    bool            cut;       /* a NUL stands at in_start, after what a read has given, in the place of `behind` */
    char            behind;
    aio_stream    **home;      /* a pipe of a process: where that keeps it */
    aio_stream    **held;      /* a file is being sent, or TLS begins: where that keeps it; no one else may write */
    bool            closing, wants_eof, aborting, is_pipe;
    bool            was_blocking; /* a pipe that was the program's: to be again when we close it */
    bool            raw_write; /* `drained` waits for the socket itself, see aio__stream_wait */
    bool            at_limit;  /* the rest of a line that was over the limit is still to come */
    bool            lost;      /* something written will never be sent; `error` says why */
};

/* Completes a future from a callback of the loop. A single task that waits for it goes on at once: its step is this
 * one's last act, as if the event itself had resumed it. */
static void aio__finish_and_step(aio_loop *loop, aio_future *future)
{
    aio__node *node = future->waiters.first;
    future->state = AIO__DONE;
    if (!node || node->next != node || !aio__node_is_task(node) || loop->current) {
        aio__future_wake(future);
        return;
    }
    future->waiters.first = NULL;
    aio__task_step(loop, AIO__CONTAINER(node, aio_task, node));
    loop->current = NULL;
}

/* ---- names ---- */

static const char *aio__stream_name(int fd, bool peer, char *buffer, size_t size)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    memset(&storage, 0, sizeof storage);
    if (!buffer || !size) return "";
    int status = peer ? aio__os.getpeername(fd, (struct sockaddr *)&storage, &length)
                      : aio__os.getsockname(fd, (struct sockaddr *)&storage, &length);
    buffer[0] = 0;
    return status < 0 ? buffer : aio__address_text(&storage, length, buffer, size);
}

AIO_API int aio_stream_fileno(const aio_stream *stream) { return stream ? stream->d.fd : -1; }

AIO_API const char *aio_stream_peername(const aio_stream *stream, char *buffer, size_t size)
{
    return stream ? aio__stream_name(stream->d.fd, true, buffer, size) : "";
}

AIO_API const char *aio_stream_sockname(const aio_stream *stream, char *buffer, size_t size)
{
    return stream ? aio__stream_name(stream->d.fd, false, buffer, size) : "";
}

#ifndef AIO_NO_TLS
AIO_API const char *aio_stream_tls_version(const aio_stream *stream)
{
    return stream && stream->tls ? aio__os.SSL_get_version(stream->tls->ssl) : NULL;
}

AIO_API const char *aio_stream_tls_cipher(const aio_stream *stream)
{
    return stream && stream->tls ? aio__os.SSL_CIPHER_get_name(aio__os.SSL_get_current_cipher(stream->tls->ssl)) : NULL;
}

AIO_API const char *aio_stream_tls_server_name(const aio_stream *stream)
{
    return stream && stream->tls ? aio__os.SSL_get_servername(stream->tls->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
}

AIO_API aio_certificate *aio_stream_peer_certificate(const aio_stream *stream)
{
    return stream && stream->tls ? aio__tls_certificate(stream->tls) : NULL;
}

AIO_API bool aio_stream_tls_reused(const aio_stream *stream)
{
    return stream && stream->tls && aio__os.SSL_session_reused(stream->tls->ssl) != 0;
}

AIO_API const char *aio_stream_alpn(const aio_stream *stream, char *buffer, size_t size)
{
    const unsigned char *protocol = NULL;
    unsigned length = 0;
    if (stream && stream->tls) aio__os.SSL_get0_alpn_selected(stream->tls->ssl, &protocol, &length);
    if (!length || !buffer || !size) return NULL;
    snprintf(buffer, size, "%.*s", (int)length, (const char *)protocol);
    return buffer;
}
#else
AIO_API const char *aio_stream_tls_version(const aio_stream *stream) { return (void)stream, (const char *)NULL; }
AIO_API const char *aio_stream_tls_cipher(const aio_stream *stream) { return (void)stream, (const char *)NULL; }
AIO_API bool aio_stream_tls_reused(const aio_stream *stream) { return (void)stream, false; }
AIO_API const char *aio_stream_tls_server_name(const aio_stream *stream) { return (void)stream, (const char *)NULL; }
AIO_API aio_certificate *aio_stream_peer_certificate(const aio_stream *stream)
{
    return (void)stream, (aio_certificate *)NULL;
}
AIO_API const char *aio_stream_alpn(const aio_stream *stream, char *buffer, size_t size)
{
    return (void)stream, (void)buffer, (void)size, (const char *)NULL;
}
#endif

AIO_API void aio_certificate_free(aio_certificate *certificate) { aio__free(certificate); }

static const char *aio__stream_peer(const aio_stream *s, char *buffer, size_t size)
{
    if (s->name) return s->name;
    aio__stream_name(s->d.fd, true, buffer, size);
    return buffer[0] ? buffer : "the peer";
}

/* ---- buffers ---- */

static char *aio__read_buffer_take(aio_loop *loop)
{
    char *buffer = (char *)loop->buffers;
    if (!buffer) return (char *)aio__malloc(AIO__READ_BUFFER);
    memcpy(&loop->buffers, buffer, sizeof loop->buffers);
    loop->buffer_count--;
    return buffer;
}

static void aio__read_buffer_give(aio_loop *loop, char *buffer)
{
    if (loop->buffer_count >= AIO__BUFFERS_KEPT) {
        aio__free(buffer);
        return;
    }
    memcpy(buffer, &loop->buffers, sizeof loop->buffers);
    loop->buffers = buffer;
    loop->buffer_count++;
}

static AIO__NOINLINE void aio__in_free(aio_stream *s)
{
    if (!s->in) return;
    if (s->in_capacity <= AIO__SMALL) aio__pool_free(&s->loop->pool, s->in, s->in_capacity);
    else if (s->in_capacity == AIO__READ_BUFFER) aio__read_buffer_give(s->loop, s->in);
    else aio__free(s->in);
    s->in = NULL;
    s->in_start = s->in_end = s->in_capacity = 0;
    s->cut = false;
}

static void aio__in_set(aio_stream *s, char *buffer, size_t length, size_t capacity)
{
    s->in = buffer;
    s->in_start = 0;
    s->in_end = (uint32_t)length;
    s->in_capacity = (uint32_t)capacity;
    buffer[length] = 0;
}

/* The first n unread bytes are taken, and have a NUL after them until aio__in_mend. */
static void aio__in_take(aio_stream *s, size_t n)
{
    s->in_start += (uint32_t)n;
    s->cut = s->in != NULL;
    if (!s->cut) return;
    s->behind = s->in[s->in_start];
    s->in[s->in_start] = 0;
}

/* Before anybody looks at what is unread. */
static void aio__in_mend(aio_stream *s)
{
    if (s->cut) s->in[s->in_start] = s->behind;
    s->cut = false;
}

/* Room for `more` bytes and a NUL behind the unread ones, in a buffer of at least AIO__READ_BUFFER. False without
 * memory. */
static bool aio__in_reserve(aio_stream *s, size_t more)
{
    size_t unread = s->in_end - s->in_start, capacity = AIO__READ_BUFFER;
    if (s->in_capacity > s->in_end + more) return true;
    while (capacity <= unread + more) capacity *= 2;
    if (capacity > UINT32_MAX) return false;
    if (s->in_capacity > AIO__READ_BUFFER && !s->in_start) { /* large: the system moves it without copying */
        char *larger = (char *)aio__realloc(s->in, capacity);
        if (larger) aio__in_set(s, larger, unread, capacity);
        return larger != NULL;
    }
    char *buffer = capacity == AIO__READ_BUFFER ? aio__read_buffer_take(s->loop) : (char *)aio__malloc(capacity);
    if (!buffer) return false;
    if (unread) memcpy(buffer, s->in + s->in_start, unread);
    aio__in_free(s);
    aio__in_set(s, buffer, unread, capacity);
    return true;
}

/* ---- receiving ---- */

/* The system's error, unless there was one before: "write to 127.0.0.1:80: Broken pipe". */
static AIO__NOINLINE ssize_t aio__stream_failed(aio_stream *s, int code, const char *phase, const char *what)
{
    char peer[128];
    if (!s->error)
        s->error = aio__exception(code, phase, "%s %s: %s", what, aio__stream_peer(s, peer, sizeof peer),
                                  strerror(code));
    return AIO__IO_FAILED;
}

#ifndef AIO_NO_TLS
static AIO__NOINLINE ssize_t aio__stream_tls_failed(aio_stream *s, const char *phase)
{
    char peer[128];
    if (!s->error) s->error = aio__tls_error(s->tls, phase, aio__stream_peer(s, peer, sizeof peer));
    return AIO__IO_FAILED;
}
#endif

/* Bytes, 0 at the end of the stream, AIO__IO_AGAIN, or AIO__IO_FAILED with s->error. */
static ssize_t aio__stream_recv(aio_stream *s, char *data, size_t length)
{
#ifndef AIO_NO_TLS
    if (s->tls) {
        ssize_t got = aio__tls_recv(s->tls, data, length);
        return got == AIO__IO_FAILED ? aio__stream_tls_failed(s, "TLS read") : got;
    }
#endif
    ssize_t n;
    do n = s->is_pipe ? aio__os.read(s->d.fd, data, length) : aio__os.recv(s->d.fd, data, length, 0);
    while (n < 0 && errno == EINTR);
    if (AIO__LIKELY(n > 0)) {
        if ((size_t)n < length) aio__descriptor_drained(&s->d, AIO__READ);
        return n;
    }
    if (n == 0 || aio__io_none(&s->d, AIO__READ) == AIO__IO_AGAIN) return n;
    return aio__stream_failed(s, errno, "read", "read from");
}

/* One read, behind what is unread: up to twice the limit of a stream, or what is wanted. What little came into an empty
 * buffer moves to a small one: a reader that takes its time does not keep a big one. */
static ssize_t aio__stream_fill(aio_stream *s, size_t wanted)
{
    if (s->in_start == s->in_end) aio__in_free(s);
    size_t unread = s->in_end - s->in_start;
    if (!aio__in_reserve(s, wanted > 4096 ? wanted : unread ? 4096 : AIO__READ_BUFFER - 1)) return AIO__IO_FAILED;
    size_t space = s->in_capacity - s->in_end - 1, most = 2 * (size_t)s->limit;
    if (most < wanted) most = wanted;
    ssize_t n = aio__stream_recv(s, s->in + s->in_end, space < most ? space : most);
    if (n <= 0) {
        if (n == 0) s->eof = true;
        if (!unread) aio__in_free(s);
        return n;
    }
    s->in_end += (uint32_t)n;
    s->in[s->in_end] = 0;
    if (unread || n >= AIO__SMALL) return n;
    size_t room = ((size_t)n + AIO__GRAIN) & ~(size_t)(AIO__GRAIN - 1); /* with a NUL */
    char *small_ = (char *)aio__pool_alloc(&s->loop->pool, room);
    if (!small_) return n;
    memcpy(small_, s->in, (size_t)n);
    aio__in_free(s);
    aio__in_set(s, small_, (size_t)n, room);
    return n;
}

/* ---- reads ---- */

/* The first n unread bytes are the result; they stay where they are until the next read. */
static bool aio__read_give(aio__read *op, size_t n)
{
    aio_stream *s = op->stream;
    bool more = op->mode == AIO__READ_MORE;
    op->base.result.data = n ? s->in + s->in_start : "";
    if (s->eof && n <= (more ? op->n : 0)) op->base.future.flags |= AIO__F_END;
    op->base.result.length = n;
    if (!more) aio__in_take(s, n);
    return true;
}

/* The place behind the separator in the unread bytes, or 0. */
static size_t aio__read_find(aio__read *op)
{
    aio_stream *s = op->stream;
    size_t length = s->in_end - s->in_start;
    if (!length) return 0;
    const char *start = s->in + s->in_start;
    size_t at = op->scanned;
    for (; at + op->n <= length; at++) {
        const char *hit = (const char *)memchr(start + at, op->separator[0], length - op->n + 1 - at);
        at = hit ? (size_t)(hit - start) : length - op->n;
        if (hit && !memcmp(hit, op->separator, op->n)) return at + op->n;
    }
    op->scanned = at < AIO__SCANNED ? (unsigned)at & AIO__SCANNED : (unsigned)AIO__SCANNED;
    return 0;
}

/* Takes the exception. True, as what settles a read. */
static bool aio__read_fail(aio__read *op, aio_exception *exception)
{
    op->base.future.error = exception;
    return true;
}

static AIO__NOINLINE bool aio__read_over(aio__read *op, const char *what, unsigned limit, size_t consumed)
{
    aio_exception *error = aio__exception(AIO_ELIMIT, "read", "%s the limit of %u bytes", what, limit);
    return aio__read_fail(op, aio__exception_counts(error, consumed, 0, 0));
}

static AIO__NOINLINE bool aio__read_short(aio__read *op, size_t length)
{
    bool exactly = op->mode == AIO__READ_EXACTLY;
    aio_exception *error = exactly
        ? aio__exception(AIO_EINCOMPLETE, "read", "the stream ended after %zu of %u bytes", length, op->n)
        : aio__exception(AIO_EINCOMPLETE, "read", "the stream ended after %zu bytes, before the separator", length);
    return aio__read_fail(op, aio__exception_counts(error, 0, exactly ? op->n : 0, length));
}

/* In a line that was over the limit: drops what is there of it. False when more of it is to come. */
static bool aio__read_line_drop(aio__read *op)
{
    aio_stream *s = op->stream;
    size_t end = aio__read_find(op);
    s->in_start += (uint32_t)(end ? end : s->in_end - s->in_start);
    op->scanned = 0;
    s->at_limit = !end && !s->eof;
    return !s->at_limit;
}

/* readline and readuntil; true when there is a result or an error. The limit does not count the separator. */
static bool aio__read_separated(aio__read *op)
{
    aio_stream *s = op->stream;
    bool is_line = op->mode == AIO__READ_LINE;
    if (is_line && s->at_limit && !aio__read_line_drop(op)) return false;
    size_t end = aio__read_find(op), length = s->in_end - s->in_start;
    if (end ? end - op->n > s->limit : length + 1 > (size_t)s->limit + op->n) {
        size_t consumed = end && !is_line ? end - op->n : end ? end : is_line ? length : op->scanned;
        if (is_line) s->in_start += (uint32_t)consumed;
        if (is_line) s->at_limit = !end && !s->eof;
        return aio__read_over(op, end ? "the separator was found behind" : "no separator within", s->limit, consumed);
    }
    if (!end && !s->eof) return false;
    return end || is_line ? aio__read_give(op, end ? end : length) : aio__read_short(op, length);
}

/* True when the buffered bytes, or the end, settle it. */
static bool aio__read_try(aio__read *op)
{
    aio_stream *s = op->stream;
    size_t length = s->in_end - s->in_start;
    bool enough = s->eof;
    switch (op->mode) {
    case AIO__READ_SOME:
        enough = enough || length || !op->n;
        if (length > op->n) length = op->n;
        break;
    case AIO__READ_EXACTLY:
        if (length < op->n) return s->eof && aio__read_short(op, length);
        enough = true;
        length = op->n;
        break;
    case AIO__READ_MORE: enough = enough || length > op->n; break;
    case AIO__READ_ALL:
        if (length > op->n) return aio__read_over(op, "there is more to read than", op->n, length);
        break;
    default: return aio__read_separated(op);
    }
    return enough && aio__read_give(op, length);
}

static bool aio__stream_has_input(const aio_stream *s)
{
#ifndef AIO_NO_TLS
    if (s->tls && s->tls->failed) return false;
    if (s->tls && aio__tls_has_pending(s->tls)) return true;
#endif
    return (s->d.ready & AIO__READ) || s->error; /* the poller is not asked any more when a write has failed */
}

/* Reads until the operation is settled (true), there is nothing to read, or the turn is over: then it is to go on in
 * the next, see aio__read_wait. A write that failed ends the stream for reads when all that had come is read: a server
 * may have answered before it hung up. */
static bool aio__read_advance(aio__read *op)
{
    aio_stream *s = op->stream;
    if (aio__turn_over(s->loop)) return false;
    if (op->mode == AIO__READ_READY) return (s->d.ready & AIO__READ) != 0;
    aio__in_mend(s);
    for (;;) {
        bool aborted = s->aborting && s->error;
        if (!aborted && aio__read_try(op)) return true;
        size_t wanted = op->mode == AIO__READ_EXACTLY ? op->n - (s->in_end - s->in_start) : 0;
        ssize_t n = AIO__IO_AGAIN;
        if (!aborted && aio__stream_has_input(s)) n = aio__stream_fill(s, wanted);
        if (n > 0 && aio__turn_spent(s->loop, (size_t)n, 0)) return aio__read_try(op);
        if (n > 0) continue;
        if (n == AIO__IO_AGAIN && !s->error) return false;
        if (n == 0 && !s->error) continue;
        if (s->error) s->eof = false;
        return aio__read_fail(op, s->error ? aio_exception_ref(s->error) : &aio__no_memory);
    }
}

/* Waits for more, or, when the turn is over, for the next. An idle stream keeps no buffer. */
static void aio__read_wait(aio_stream *s)
{
    int direction = AIO__READ;
    if (aio__turn_over(s->loop)) {
        if (!s->d.reader.node.next) aio__enqueue(s->loop, &s->d.reader.node);
        return;
    }
    if (s->in_start == s->in_end) aio__in_free(s);
#ifndef AIO_NO_TLS
    if (s->tls && s->tls->read_wants_write) direction = AIO__WRITE;
#endif
    aio__descriptor_wait(s->loop, &s->d, direction);
}

static bool aio__stream_flush(aio_stream *s);

/* Unsent bytes wait until the socket is readable: TLS may want that. */
static bool aio__write_wants_read(const aio_stream *s)
{
#ifndef AIO_NO_TLS
    return s->tls && ((s->tls->write_wants_read && s->out) || s->tls->awaits_answer);
#else
    return (void)s, false;
#endif
}

static void aio__stream_on_readable(aio__work *work)
{
    aio_stream *s = (aio_stream *)work->owner;
    if (aio__write_wants_read(s) && !aio__stream_flush(s)) return;
    aio__read *op = s->reader;
    if (!op) return;
    if (!aio__read_advance(op)) {
        aio__read_wait(s);
        return;
    }
    s->reader = NULL;
    aio__finish_and_step(s->loop, &op->base.future);
}

static void aio__read_leave(aio__read *op)
{
    if (op->stream && op->stream->reader == op) {
        op->stream->reader = NULL;
        if (!aio__write_wants_read(op->stream)) aio__descriptor_unwait(op->stream->loop, &op->stream->d, AIO__READ);
    }
    op->stream = NULL;
}

static bool aio__read_cancel(aio_future *future, aio_exception *why)
{
    aio__read_leave((aio__read *)(void *)future);
    aio__future_fail(future, aio_exception_ref(why));
    return true;
}

static void aio__read_destroy(aio_future *future)
{
    if (future->state < AIO__DONE) aio__read_leave((aio__read *)(void *)future);
}

static const aio__ops aio__read_ops = { "read", aio__read_cancel, aio__read_destroy, NULL };

static aio_text_future *aio__stream_read(aio_stream *s, int mode, size_t n, const char *separator)
{
    if (!s) return (aio_text_future *)(void *)aio__failure(EINVAL, "read of no stream");
    if (s->reader || s->transport)
        return (aio_text_future *)(void *)aio__failure(AIO_ERUNTIME, s->reader
            ? "another coroutine is reading from this stream" : "what this stream receives goes to its protocol");
    aio__read *op = (aio__read *)aio__future_make(s->loop, &aio__read_ops, sizeof *op, NULL, 0);
    if (!op) return NULL;
    op->stream = s;
    op->n = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
    op->mode = (unsigned)mode & 7;
    op->separator = separator;
    if (mode != AIO__READ_LINE) s->at_limit = false;
    if (aio__read_advance(op)) {
        op->base.future.state = AIO__DONE;
    } else {
        s->reader = op;
        aio__read_wait(s);
    }
    return &op->base;
}

AIO_API aio_text_future *aio_stream_read(aio_stream *stream, size_t n)
{
    return aio__stream_read(stream, AIO__READ_SOME, n, NULL);
}

AIO_API aio_text_future *aio_stream_read_all(aio_stream *stream, size_t max)
{
    return aio__stream_read(stream, AIO__READ_ALL, max ? max : (size_t)AIO_STREAM_READ_ALL_LIMIT, NULL);
}

AIO_API aio_text_future *aio_stream_readexactly(aio_stream *stream, size_t n)
{
    if (n > UINT32_MAX / 2)
        return (aio_text_future *)(void *)aio__failure(EINVAL, "readexactly: %zu bytes are too many", n);
    return aio__stream_read(stream, AIO__READ_EXACTLY, n, NULL);
}

AIO_API aio_text_future *aio_stream_readline(aio_stream *stream)
{
    return aio__stream_read(stream, AIO__READ_LINE, 1, "\n");
}

AIO_API aio_text_future *aio_stream_readuntil(aio_stream *stream, const char *separator, size_t length)
{
    if (!separator || !length) return (aio_text_future *)(void *)aio__failure(EINVAL, "readuntil: an empty separator");
    return aio__stream_read(stream, AIO__READ_UNTIL, length, separator);
}

/* Whether the next read would find the end. Takes nothing, as what a read has given is still to be valid. */
static bool aio__stream_sees_end(aio_stream *s)
{
    char next;
    ssize_t n;
#ifndef AIO_NO_TLS
    if (s->tls) {
        n = s->tls->failed ? (ssize_t)AIO__IO_AGAIN : aio__tls_peek(s->tls, &next);
        if (n == AIO__IO_FAILED) aio__stream_tls_failed(s, "TLS read");
        return n == 0;
    }
#endif
    if (s->is_pipe) {
        struct pollfd pipe = { s->d.fd, POLLIN, 0 };
        return aio__os.poll(&pipe, 1, 0) > 0 && (pipe.revents & (POLLIN | POLLHUP)) == POLLHUP;
    }
    do n = aio__os.recv(s->d.fd, &next, 1, MSG_PEEK); while (n < 0 && errno == EINTR);
    return n == 0;
}

AIO_API bool aio_stream_at_eof(aio_stream *stream)
{
    aio_stream *s = stream;
    if (!s) return true;
    if (s->in_start != s->in_end) return false;
    if (!s->eof && !s->reader && !s->transport && !s->error) s->eof = aio__stream_sees_end(s);
    return s->eof;
}

AIO_API aio_text aio_stream_unread(aio_stream *stream)
{
    aio_text unread = { "", 0 };
    if (!stream || !stream->in) return unread;
    aio__in_mend(stream);
    unread.data = stream->in + stream->in_start;
    unread.length = stream->in_end - stream->in_start;
    return unread;
}

AIO_API void aio_stream_consume(aio_stream *stream, size_t n)
{
    size_t unread = stream ? stream->in_end - stream->in_start : 0;
    if (stream) aio__in_mend(stream);
    if (stream) stream->in_start += (uint32_t)(n < unread ? n : unread);
}

AIO_API aio_text_future *aio_stream_more(aio_stream *stream)
{
    return aio__stream_read(stream, AIO__READ_MORE, aio_stream_unread(stream).length, NULL);
}

/* The peer has ended its direction: what is unread is the last. */
static bool aio__stream_ended(const aio_stream *s) { return s->eof; }

/* What broke the stream, or NULL. Borrowed. */
static const aio_exception *aio__stream_error(const aio_stream *s) { return s->error; }

/* ---- idle: watched by the room that keeps it, which reads nothing ---- */

/* Nothing is unread, and nothing keeps more from coming. */
static bool aio__stream_quiet(const aio_stream *s) { return !s->error && !s->eof && s->in_start == s->in_end; }

/* Whether the peer is silent, as it has to be while there is no request: no byte, no end, no error. */
static bool aio__stream_silent(aio_stream *s)
{
    return aio__stream_quiet(s) && (!aio__stream_has_input(s) || aio__stream_fill(s, 0) == AIO__IO_AGAIN);
}

/* The room's work runs when something comes. */
static void aio__stream_idle(aio_stream *s, void (*run)(aio__work *), void *owner)
{
    aio__in_free(s);
    s->d.reader.run = run;
    s->d.reader.owner = owner;
    aio__descriptor_wait(s->loop, &s->d, AIO__READ);
}

static void aio__stream_busy(aio_stream *s)
{
    aio__descriptor_unwait(s->loop, &s->d, AIO__READ);
    s->d.reader.run = aio__stream_on_readable;
    s->d.reader.owner = s;
}

/* ---- writing ---- */

#ifndef AIO_NO_TLS
/* Small pieces go into one record. After AIO__IO_AGAIN OpenSSL wants the same bytes again: they are kept in a row. */
static ssize_t aio__stream_send_tls(aio_stream *s, const aio_text *pieces, size_t count, size_t offset)
{
    char joined[16384];
    const char *data = pieces[0].data + offset;
    size_t length = pieces[0].length - offset;
    if (count > 1 && length < sizeof joined) {
        memcpy(joined, data, length);
        data = joined;
        for (size_t i = 1; i < count && length < sizeof joined; i++) {
            size_t room = sizeof joined - length, n = pieces[i].length < room ? pieces[i].length : room;
            if (n) memcpy(joined + length, pieces[i].data, n);
            length += n;
        }
    }
    ssize_t sent = aio__tls_send(s->tls, data, length);
    return sent == AIO__IO_FAILED ? aio__stream_tls_failed(s, "TLS write") : sent;
}
#endif

/* Sends pieces, of the first one what follows `offset`, at least a byte; as much as the socket takes. Bytes,
 * AIO__IO_AGAIN, or AIO__IO_FAILED with s->error. */
static ssize_t aio__stream_send(aio_stream *s, const aio_text *pieces, size_t count, size_t offset)
{
#ifndef AIO_NO_TLS
    if (s->tls) return aio__stream_send_tls(s, pieces, count, offset);
#endif
    ssize_t n;
    const char *data = pieces[0].data + offset;
    size_t length = pieces[0].length - offset;
    if (s->is_pipe) {
        do n = aio__os.pipe_write(s->d.fd, data, length); while (n < 0 && errno == EINTR);
    } else if (count == 1) {
        do n = aio__os.send(s->d.fd, data, length, AIO__NOSIGNAL); while (n < 0 && errno == EINTR);
    } else {
        struct iovec vector[AIO__IOV_MAX];
        struct msghdr message;
        memset(&message, 0, sizeof message);
        size_t used = count < AIO__IOV_MAX ? count : (size_t)AIO__IOV_MAX;
        for (size_t i = 0; i < used; i++) {
            vector[i].iov_base = (void *)(uintptr_t)(i ? pieces[i].data : data);
            vector[i].iov_len = i ? pieces[i].length : length;
        }
        message.msg_iov = vector;
        message.msg_iovlen = (__typeof__(message.msg_iovlen))used;
        do n = aio__os.sendmsg(s->d.fd, &message, AIO__NOSIGNAL); while (n < 0 && errno == EINTR);
    }
    if (AIO__LIKELY(n >= 0) || aio__io_none(&s->d, AIO__WRITE) == AIO__IO_AGAIN) return n;
    return aio__stream_failed(s, errno, "write", "write to");
}

static size_t aio__unsent(const aio_stream *s) { return s->out ? s->out->end - s->out->start : 0; }

/* Keeps what could not be sent. False without memory. What was sent since makes room when it is the greater part. */
static bool aio__out_append(aio_stream *s, const char *data, size_t length)
{
    aio__out *out = s->out;
    size_t unsent = aio__unsent(s), capacity = 1024;
    if (length > SIZE_MAX / 4 - unsent) return false;
    if (out && out->capacity - out->end < length && out->start >= unsent && out->capacity - unsent >= length) {
        memmove(out + 1, (char *)(out + 1) + out->start, unsent);
        out->start = 0;
        out->end = unsent;
    }
    if (!out || out->capacity - out->end < length) {
        while (capacity < unsent + length) capacity *= 2;
        aio__out *more = (aio__out *)aio__malloc(sizeof *more + capacity);
        if (!more) return false;
        if (unsent) memcpy(more + 1, (char *)(out + 1) + out->start, unsent);
        more->start = 0;
        more->end = unsent;
        more->capacity = capacity;
        aio__free(out);
        s->out = out = more;
    }
    memcpy((char *)(out + 1) + out->end, data, length);
    out->end += length;
    return true;
}

static void aio__out_free(aio_stream *s)
{
    aio__free(s->out);
    s->out = NULL;
}

/* Completes a future of ours that may have been cancelled meanwhile; takes it and the error. NULL is fine for both. */
static void aio__settle(aio_future *future, aio_exception *error)
{
    if (!future || future->state >= AIO__DONE) aio_exception_unref(error);
    else if (error) aio__future_fail(future, error);
    else aio__future_finish(future, AIO__DONE);
    aio_unref(future);
}

static void aio__drained(aio_stream *s, aio_exception *error)
{
    aio_future *future = s->drained;
    s->drained = NULL;
    aio__settle(future, error);
}

/* The error of s, and how much was not sent. A new owner. */
static aio_exception *aio__error_unsent(const aio_exception *error, size_t unsent)
{
    if (!unsent) return aio_exception_ref(error);
    return aio__exception(error->code, error->phase, "%s (%zu bytes not sent)", error->message, unsent);
}

static aio_exception *aio__stream_lost(aio_stream *s) { return aio__error_unsent(s->error, aio__unsent(s)); }

/* The stream cannot send any more: who waits to write hears it, and who reads, after what has come. */
static void aio__stream_broken(aio_stream *s)
{
    s->lost = true;
    if (s->drained) aio__drained(s, aio__stream_lost(s));
    if ((s->reader || s->transport) && !s->d.reader.node.next) aio__enqueue(s->loop, &s->d.reader.node);
}

static void aio__write_wait(aio_stream *s)
{
    int direction = AIO__WRITE;
    if (aio__write_wants_read(s)) direction = AIO__READ;
    aio__descriptor_wait(s->loop, &s->d, direction);
}

/* Tries to send at once; *at and *offset come to where the rest begins. False when the stream broke. */
static bool aio__write_now(aio_stream *s, const aio_text *pieces, size_t count, size_t *at, size_t *offset)
{
    while (*at < count) {
        if (pieces[*at].length) {
            ssize_t n = aio__stream_send(s, pieces + *at, count - *at, *offset);
            if (n < 0) return n == AIO__IO_AGAIN;
            aio__turn_spent(s->loop, (size_t)n, 0);
            *offset += (size_t)n;
        }
        while (*at < count && *offset >= pieces[*at].length) *offset -= pieces[(*at)++].length;
    }
    return true;
}

/* 0, or why nothing more may be written. */
static int aio__write_refused(const aio_stream *s)
{
    if (s->closing || s->wants_eof) return EPIPE;
    if (s->held) return AIO_ERUNTIME;
    return s->error ? s->error->code : 0;
}

/* A write broke the stream: the error says how much of it was not sent. Gives the code. */
static AIO__NOINLINE int aio__write_failed(aio_stream *s, const aio_text *pieces, size_t count, size_t offset)
{
    size_t left = 0;
    aio_exception *error = s->error;
    for (size_t i = 0; i < count; i++) left += pieces[i].length;
    s->error = aio__error_unsent(error, left - offset);
    aio_exception_unref(error);
    aio__stream_broken(s);
    return s->error->code;
}

AIO_API int aio_stream_writelines(aio_stream *stream, const aio_text *pieces, size_t count)
{
    aio_stream *s = stream;
    size_t i = 0, offset = 0;
    if (!s || (!pieces && count)) return EINVAL;
    int code = aio__write_refused(s);
    if (code) return code;
    if (!s->out && !aio__write_now(s, pieces, count, &i, &offset))
        return aio__write_failed(s, pieces + i, count - i, offset);
    if (i == count) return 0;
    for (; i < count; i++, offset = 0) {
        if (!pieces[i].length || aio__out_append(s, pieces[i].data + offset, pieces[i].length - offset)) continue;
        s->error = &aio__no_memory; /* part of the data is gone: nothing may follow it */
        aio__stream_broken(s);
        return ENOMEM;
    }
    if (s->out) aio__write_wait(s);
    if (s->transport) s->transport->ops->written(s);
    return 0;
}

AIO_API int aio_stream_write(aio_stream *stream, const void *data, size_t length)
{
    aio_text piece = { (const char *)data, length };
    if (!data && length) return EINVAL;
    return aio_stream_writelines(stream, &piece, 1);
}

AIO_API size_t aio_stream_write_buffer_size(const aio_stream *stream) { return stream ? aio__unsent(stream) : 0; }

AIO_API int aio_stream_set_write_buffer_limits(aio_stream *stream, size_t high, size_t low)
{
    if (!stream || low > high || high > UINT32_MAX) return EINVAL;
    stream->high = (uint32_t)high;
    stream->low = (uint32_t)low;
    if (stream->transport) stream->transport->ops->written(stream);
    return 0;
}

AIO_API void aio_stream_get_write_buffer_limits(const aio_stream *stream, size_t *high, size_t *low)
{
    *high = stream ? stream->high : 0;
    *low = stream ? stream->low : 0;
}

static const aio__ops aio__drain_ops = { "drain", NULL, NULL, NULL };

/* The future that drainers share; NULL without memory. A new owner. */
static aio_future *aio__drain_future(aio_stream *s)
{
    if (!s->drained) {
        s->drained = (aio_future *)aio__future_make(s->loop, &aio__drain_ops, sizeof *s->drained, NULL, 0);
        if (!s->drained) return NULL;
        s->drained->flags |= AIO__F_SHARED | AIO__F_QUIET;
    }
    return (aio_future *)aio_ref(s->drained);
}

AIO_API aio_future *aio_stream_drain(aio_stream *stream)
{
    aio_stream *s = stream;
    if (!s) return aio__failure(EINVAL, "drain of no stream");
    if (s->error) return aio__failed_future(s->loop, aio__stream_lost(s));
    if (aio__unsent(s) > s->high || s->drained) return aio__drain_future(s);
    return &s->loop->done;
}

static void aio__stream_end(aio_stream *s);

/* Others may have the open file, too: a shell its terminal. */
static void aio__fd_block(int fd)
{
    int status = aio__os.fcntl(fd, F_GETFL, 0);
    if (status >= 0) aio__os.fcntl(fd, F_SETFL, status & ~O_NONBLOCK);
}

/* Ends our direction. False, with s->error, if it cannot. */
static bool aio__stream_shutdown(aio_stream *s)
{
    if (s->is_pipe) {
        aio__descriptor_remove(s->loop, &s->d);
        if (s->was_blocking) aio__fd_block(s->d.fd);
        aio__os.close(s->d.fd);
        s->d.fd = -1;
        s->was_blocking = false;
        return true;
    }
    if (aio__os.shutdown(s->d.fd, SHUT_WR) == 0) return true;
    aio__stream_failed(s, errno, "write", "end of data for");
    return false;
}

/* Nothing is left to send, or can be: TLS has said close_notify as well. */
static bool aio__stream_said_all(aio_stream *s)
{
#ifndef AIO_NO_TLS
    if (s->tls && !aio__tls_flush(s->tls)) return false;
#endif
    if (s->error || s->aborting) return true;
    if (aio__unsent(s)) return false;
#ifndef AIO_NO_TLS
    if (!s->tls) return true;
    if (!aio__tls_close_notify(s->tls) || !aio__tls_answered(s->tls)) return false;
    s->lost = s->tls->close_notify && s->tls->failed;
    if (s->lost) aio__stream_tls_failed(s, "TLS close");
#endif
    return true;
}

static void aio__stream_close_timeout(aio__timer *timer)
{
    aio_stream *s = (aio_stream *)timer->owner;
    char peer[128];
    const char *what = "not all was sent";
    double seconds = AIO__CLOSE_TIMEOUT;
    s->timer = NULL;
#ifndef AIO_NO_TLS
    if (s->tls && s->tls->awaits_answer) {
        what = "no close_notify";
        seconds = s->tls->shutdown_timeout;
    }
#endif
    if (!s->error) {
        s->lost = true;
        s->error = aio__exception(AIO_ETIMEOUT, "close", "close of %s: %s within %g s",
                                  aio__stream_peer(s, peer, sizeof peer), what, seconds);
    }
    aio__stream_end(s);
}

/* Waits for what closing still needs: that the socket takes the rest, or TLS's answer. False without memory. */
static bool aio__stream_linger(aio_stream *s)
{
    double seconds = s->timer ? 0 : AIO__CLOSE_TIMEOUT;
#ifndef AIO_NO_TLS
    if (s->tls && s->tls->awaits_answer && !s->tls->lingers) {
        s->tls->lingers = true;
        seconds = s->tls->shutdown_timeout;
    }
#endif
    if (seconds > 0) {
        aio__timer_cancel(s->loop, s->timer);
        s->timer = aio__timer_start(s->loop, aio__deadline(aio__os.clock(), seconds), aio__stream_close_timeout, s);
    }
    if (s->timer) aio__write_wait(s);
    else if (!s->error) s->error = &aio__no_memory;
    return s->timer != NULL;
}

/* Sends what is kept. False when the stream has ended with that. */
static bool aio__stream_flush(aio_stream *s)
{
    if (!s->out && !s->closing) return true;
    while (s->out && !s->error) {
        aio_text piece = { (char *)(s->out + 1) + s->out->start, aio__unsent(s) };
        ssize_t n = aio__stream_send(s, &piece, 1, 0);
        if (n == AIO__IO_AGAIN) {
            aio__write_wait(s);
            break;
        }
        if (n > 0) s->out->start += (size_t)n;
        if (n > 0 && s->out->start == s->out->end) aio__out_free(s);
        if (n > 0 && aio__turn_spent(s->loop, (size_t)n, 0) && s->out) {
            aio__write_wait(s);
            break;
        }
    }
    if (!s->error && aio__unsent(s) <= (s->held ? 0 : s->low)) aio__drained(s, NULL);
    if (s->error || (!s->out && s->wants_eof && !aio__stream_shutdown(s))) aio__stream_broken(s);
    if (!s->closing) return true;
    if (!aio__stream_said_all(s) && aio__stream_linger(s)) return true;
    aio__stream_end(s);
    return false;
}

static void aio__stream_on_writable(aio__work *work)
{
    aio_stream *s = (aio_stream *)work->owner;
    if (s->raw_write) aio__drained(s, NULL);
    s->raw_write = false;
#ifndef AIO_NO_TLS
    if (s->tls && s->tls->read_wants_write && (s->reader || s->transport)) {
        s->tls->read_wants_write = false;
        s->d.ready |= AIO__READ;
        if (!s->d.reader.node.next) aio__enqueue(s->loop, &s->d.reader.node);
    }
#endif
    aio__stream_flush(s);
}

AIO_API bool aio_stream_can_write_eof(const aio_stream *stream) { return stream && !stream->tls; }

AIO_API bool aio_stream_is_closing(const aio_stream *stream)
{
    return !stream || stream->closing || stream->aborting || stream->error;
}

AIO_API int aio_stream_write_eof(aio_stream *stream)
{
    aio_stream *s = stream;
    if (!s) return EINVAL;
    if (s->tls) return ENOTSUP;
    if (s->wants_eof && !s->closing) return s->error ? s->error->code : 0;
    int code = aio__write_refused(s);
    if (code) return code;
    s->wants_eof = true;
    if (aio__unsent(s) || aio__stream_shutdown(s)) return 0;
    aio__stream_broken(s);
    return s->error->code;
}


/* ---- beginning and end ---- */

static void aio__streams_close(aio_loop *loop, aio__closer *closer);

/* The ring of what is open in a loop, and the closer that ends it with the loop. */
typedef struct aio__streams {
    aio__closer closer;
    aio__node   ring, servers;
    int         spare;   /* a descriptor in reserve for the servers, see aio__server_accept; -1: none */
    bool        closing; /* the stream that ends now ends with the loop */
} aio__streams;

static aio__streams *aio__streams_of(aio_loop *loop)
{
    if (loop->streams) return (aio__streams *)loop->streams;
    aio__streams *streams = (aio__streams *)aio__calloc(sizeof *streams);
    if (!streams) return NULL;
    aio__ring_clear(&streams->ring);
    aio__ring_clear(&streams->servers);
    streams->spare = -1;
    streams->closer.close = aio__streams_close;
    aio__loop_at_close(loop, &streams->closer);
    loop->streams = streams;
    return streams;
}

/* Takes the descriptor if it succeeds. NULL with errno. */
static aio_stream *aio__stream_over(aio_loop *loop, int fd, size_t limit)
{
    aio__streams *streams = aio__streams_of(loop);
    aio_stream *s = streams ? (aio_stream *)aio__pool_alloc(&loop->pool, sizeof *s) : NULL;
    if (!s) {
        errno = ENOMEM;
        return NULL;
    }
    memset(s, 0, sizeof *s);
    s->loop = loop;
    s->limit = !limit ? (uint32_t)AIO_STREAM_LIMIT : limit < AIO__SCANNED ? (uint32_t)limit : (uint32_t)AIO__SCANNED;
    s->high = 65536;
    s->low = 16384;
    s->d.reader.run = aio__stream_on_readable;
    s->d.writer.run = aio__stream_on_writable;
    s->d.reader.owner = s->d.writer.owner = s;
    if (aio__descriptor_add(loop, &s->d, fd) < 0) {
        int code = errno;
        aio__pool_free(&loop->pool, s, sizeof *s);
        errno = code;
        return NULL;
    }
    s->d.ready = AIO__WRITE;
    aio__ring_insert(&streams->ring, &s->link);
    return s;
}

/* Takes the descriptor, whatever happens. NULL with errno. */
static aio_stream *aio__stream_new(aio_loop *loop, int fd, size_t limit)
{
    aio_stream *s = aio__stream_over(loop, fd, limit);
    if (!s) aio__close_failed(fd);
    return s;
}

/* What every connection has: small messages go at once, and no SIGPIPE comes where send cannot forbid it. */
static void aio__stream_options(int fd, bool is_tcp)
{
    int one = 1;
    if (is_tcp) aio__os.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
#ifdef SO_NOSIGPIPE
    aio__os.setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
}

static void aio__server_client_left(aio_server *server);

/* Closes the socket and frees everything; of a transport after connection_lost. */
static void aio__stream_end(aio_stream *s)
{
    if (s->transport && s->transport->ops->end(s)) return;
    aio_loop *loop = s->loop;
    aio_future *closed = s->closed;
    aio_server *server = s->server;
    aio_exception *lost = closed && s->error && (s->lost || aio__unsent(s)) ? aio__stream_lost(s) : NULL;
    aio__timer_cancel(loop, s->timer);
    if (s->reader) {
        aio__read *op = s->reader;
        s->reader = NULL;
        op->stream = NULL;
        aio__future_fail(&op->base.future,
                         aio__exception(ECONNABORTED, "read", "the stream was closed while being read"));
    }
    if (s->drained)
        aio__drained(s, aio__exception(ECONNABORTED, "write", "the stream was closed while being drained"));
#ifndef AIO_NO_TLS
    if (s->tls) {
        (void)aio__stream_said_all(s);
        aio__tls_drop_unread(s->tls);
        aio__tls_free(s->tls);
    }
#endif
    aio__descriptor_remove(loop, &s->d);
    if (s->home) *s->home = NULL;
    if (s->held) *s->held = NULL;
    if (s->was_blocking) aio__fd_block(s->d.fd);
    if (s->d.fd >= 0) aio__os.close(s->d.fd);
    aio__in_free(s);
    aio__out_free(s);
    aio_exception_unref(s->error);
    aio__free(s->name);
    aio__ring_remove(&s->link);
    if (s->ended.node.next && s->task->future.state < AIO__DONE) aio__waiters_remove(&s->task->future, &s->ended.node);
    else if (s->ended.node.next) aio__ring_remove(&s->ended.node);
    aio_unref(s->task);
    if (s->transport) aio__pool_free(&loop->pool, s->transport, s->transport->size);
    aio__pool_free(&loop->pool, s, sizeof *s);
    aio__settle(closed, lost);
    if (server) aio__server_client_left(server);
}

static void aio__stream_begin_close(aio_stream *s)
{
    if (s->closing) return;
    s->closing = true;
    if (s->home) *s->home = NULL;
    s->home = NULL;
    if (aio__stream_said_all(s) || !aio__stream_linger(s)) aio__stream_end(s);
}

AIO_API void aio_stream_close(aio_stream *stream)
{
    if (stream && (!stream->server || stream->transport)) aio__stream_begin_close(stream);
}

static const aio__ops aio__closed_ops = { "wait_closed", NULL, NULL, NULL };

AIO_API aio_future *aio_stream_wait_closed(aio_stream *stream)
{
    aio_stream *s = stream;
    if (!s || (s->server && !s->transport) || s->closing)
        return aio__failure(EINVAL, "wait_closed of a stream that is not the caller's");
    aio_future *closed = (aio_future *)aio__future_make(s->loop, &aio__closed_ops, sizeof *closed, NULL, 0);
    if (closed) s->closed = (aio_future *)aio_ref(closed);
    aio__stream_begin_close(s);
    return closed;
}

/* The peer sees a reset. */
static void aio__stream_reset(aio_stream *s)
{
    struct linger reset = { 1, 0 };
    if (s->transport && s->transport->ending) return;
    aio__os.setsockopt(s->d.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (!s->error && aio__unsent(s) && !s->transport)
        s->error = aio__exception(ECONNABORTED, "close", "the stream was aborted");
    s->closing = s->aborting = true;
    aio__stream_end(s);
}

/* Aborts a server's client when its handler ends, which hears of it. Takes the exception. */
static void aio__stream_break(aio_stream *s, aio_exception *why)
{
    s->aborting = true;
    if (s->error) aio_exception_unref(why);
    else s->error = why;
    aio__stream_broken(s);
}

AIO_API void aio_stream_abort(aio_stream *stream)
{
    if (!stream) return;
    if (!stream->server || stream->transport) {
        aio__stream_reset(stream);
        return;
    }
    aio__stream_break(stream, aio__exception(ECONNABORTED, "close", "the stream was aborted"));
}

/* ---- waiting for the socket itself, for connect and the handshake ---- */

/* A coroutine that has not started, all zero. */
static void *aio__new_zeroed(size_t size, aio_coro_fn *coro)
{
    aio_task *t = (aio_task *)(void *)aio__frame_alloc(aio__running, size, size, __FILE__, __LINE__);
    if (!t) return NULL;
    t->future.flags = (uint16_t)(t->future.flags | AIO__F_CORO);
    t->future.run.coro = coro;
    return t;
}

static aio_future *aio__stream_wait(aio_stream *s, int direction)
{
    if (direction == AIO__READ) return (aio_future *)(void *)aio__stream_read(s, AIO__READ_READY, 0, NULL);
    aio_future *future = aio__drain_future(s);
    if (!future) return NULL;
    s->raw_write = true;
    aio__descriptor_wait(s->loop, &s->d, AIO__WRITE);
    return future;
}

struct aio__tls_start { /* host: NULL on a server */
    aio_task         task;
    aio_stream      *stream; /* NULL: it has ended meanwhile */
    aio_tls_context *context;
    const char      *host;
    int              port, wants;
    double           timeout, shutdown_timeout;
    aio_exception   *error;
    char             peer[128];
};

#ifndef AIO_NO_TLS
/* The direction that the handshake waits for; 0 when it is done; AIO__IO_FAILED with s->error. */
static int aio__handshake_step(aio_stream *s, const char *peer)
{
    int wants = aio__tls_handshake(s->tls);
    if (wants > 0) return wants;
    s->error = wants ? aio__tls_error(s->tls, "TLS handshake", peer) : aio__tls_pinned(s->tls, peer);
    return s->error ? AIO__IO_FAILED : 0;
}
#endif

static AIO_CORO(aio__tls_start)
{
    AIO_BEGIN(aio__tls_start);
    self->stream->held = &self->stream;
    if (!self->host) self->host = aio__stream_peer(self->stream, self->peer, sizeof self->peer);
#ifdef AIO_NO_TLS
    AIO_RAISE(ENOTSUP, "TLS with %s: compiled with AIO_NO_TLS", self->host);
#else
    aio__tls *tls;
    tls = aio__tls_new(self->context, self->stream->loop, &self->stream->d, self->stream->tls,
                       self->context->server ? NULL : self->host, self->port);
    if (!tls)
        AIO_RAISE(errno, "TLS with %s: %s", self->host,
                  errno == EINVAL ? "not a name that a server can have" : "no memory");
    tls->shutdown_timeout = self->shutdown_timeout;
    self->stream->tls = tls;
    AIO_TRY {
        AIO_TIMEOUT(self->timeout > 0 ? self->timeout : 60) {
            while (self->stream && (self->wants = aio__handshake_step(self->stream, self->host)) > 0)
                AIO_AWAIT(aio__stream_wait(self->stream, self->wants));
            if (!self->stream) AIO_RAISE(ECONNABORTED, "TLS handshake with %s: the stream was closed", self->host);
            if (self->wants) AIO_RAISE_EXCEPTION(self->stream->error);
        }
    } AIO_CATCH_ALL {
        bool late;
        late = aio_caught(self)->code == AIO_ETIMEOUT;
        self->error = aio__exception(late ? AIO_ETIMEOUT : ECONNABORTED, "TLS handshake", "TLS handshake with %s: %s",
                                     self->host, late ? "timed out" : "given up");
        if (self->stream) self->stream->tls->failed = true;
        if (self->stream && !self->stream->error) self->stream->error = aio_exception_ref(self->error);
        if (!late) AIO_RERAISE();
        AIO_RAISE_EXCEPTION(self->error);
    } AIO_END_TRY;
#endif
    AIO_FINALLY;
        if (self->stream) self->stream->held = NULL;
        aio_exception_unref(self->error);
    AIO_END;
}

/* Goes over to TLS. host: NULL on a server, else with its port. */
static aio_future *aio__tls_begin(aio_stream *s, aio_tls_context *context, const char *host, int port,
                                  double timeout, double shutdown_timeout)
{
    struct aio__tls_start *self = (struct aio__tls_start *)aio__new_zeroed(sizeof *self, aio__tls_start_coro);
    if (!self) return NULL;
    self->stream = s;
    self->context = context;
    self->host = host;
    self->port = port;
    self->timeout = timeout;
    self->shutdown_timeout = shutdown_timeout;
    return &self->task.future;
}

static bool aio__tls_context_is_for(const aio_tls_context *context, bool server)
{
#ifndef AIO_NO_TLS
    return !context || context->server == server;
#else
    return (void)context, (void)server, true;
#endif
}

AIO_API aio_future *aio_stream_start_tls(aio_stream *stream, aio_tls_context *context, const char *server_hostname)
{
    aio_stream *s = stream;
    bool server = s && s->server;
    int code = EINVAL;
    const char *why = NULL;
    if (!s || !context || s->closing) {
        why = "no stream to start it on";
    } else if (!aio__tls_context_is_for(context, server) || server == (server_hostname != NULL)) {
        why = "a client needs a client's context and a name, a server a server's";
    } else if (s->error) {
        return aio__failed_future(s->loop, aio_exception_ref(s->error));
    } else if (s->transport) {
        code = ENOTSUP;
        why = "the stream has a protocol";
    } else if (s->reader || s->held || s->in_start != s->in_end || aio__unsent(s)) {
        code = AIO_ERUNTIME;
        why = "the stream has a reader or writer, or bytes unread or unsent";
    }
    if (why) return aio__failure(code, "start_tls: %s", why);
    return aio__tls_begin(s, context, server_hostname, 0, 0, 0);
}

/* ---- connecting ---- */

/* Starts a connect; a stream whose socket is on its way (or there already). NULL with errno. */
static aio_stream *aio__connect_begin(aio_loop *loop, const aio__address *to, const aio__address *from, size_t limit)
{
    int fd = aio__socket(to->storage.ss_family, SOCK_STREAM);
    if (fd < 0) return NULL;
    int status = from ? aio__os.bind(fd, (const struct sockaddr *)&from->storage, from->length) : 0;
    bool under_way = status == 0;
    if (under_way) {
        aio__stream_options(fd, to->storage.ss_family != AF_UNIX);
        do status = aio__os.connect(fd, (const struct sockaddr *)&to->storage, to->length);
        while (status < 0 && errno == EINTR);
        if (status < 0 && errno == EISCONN) status = 0;
        under_way = status == 0 || errno == EINPROGRESS || errno == EALREADY;
    }
    if (!under_way) {
        aio__close_failed(fd);
        return NULL;
    }
    aio_stream *s = aio__stream_new(loop, fd, limit);
    if (s && status < 0) s->d.ready = 0;
    return s;
}

/* 0, or why the connect failed. */
static int aio__connect_outcome(aio_stream *s)
{
    int code = 0;
    socklen_t length = sizeof code;
    if (aio__os.getsockopt(s->d.fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0) return errno;
    return code;
}

#define AIO__CONNECT_ERROR "connect to %s (%s): %s" /* address, host, reason */
struct aio__connecting { /* to one address, for who has no more; hosts are the Connecting room's */
    aio_task            task;
    aio_stream         *result;
    const aio__address *to;
    const char         *host;
    int                 code;
    aio_exception      *error;
    char                text[128];
};
static AIO_CORO(aio__connecting)
{
    AIO_BEGIN(aio__connecting);
    self->result = aio__connect_begin(self->task.future.loop, self->to, NULL, 0);
    self->code = self->result ? 0 : errno;
    if (self->result && !self->result->d.ready) {
        AIO_AWAIT(aio__stream_wait(self->result, AIO__WRITE));
        self->code = aio__connect_outcome(self->result);
    }
    if (self->code) {
        aio__address_text(&self->to->storage, self->to->length, self->text, sizeof self->text);
        self->error = aio__exception(self->code, "connect", AIO__CONNECT_ERROR, self->text, self->host,
                                     aio_code_text(self->code));
        AIO_RAISE_EXCEPTION(self->error);
    }
    AIO_FINALLY;
        aio_exception_unref(self->error);
        if (self->task.future.error && self->result) aio__stream_reset(self->result);
        if (self->task.future.error) self->result = NULL;
    AIO_END;
}

/* The address to connect from: *from, NULL for any. False if there is none of that family. */
static bool aio__local_for(const aio__lookup_future *local, int family, const aio__address **from)
{
    *from = NULL;
    if (!local) return true;
    for (int i = 0; i < local->result->count && !*from; i++)
        if (local->result->at[i].storage.ss_family == family) *from = &local->result->at[i];
    return *from != NULL;
}

/* Puts a copy of text at *at and moves *at on; NULL stays NULL. */
static const char *aio__keep(char **at, const char *text)
{
    if (!text) return NULL;
    size_t size = strlen(text) + 1;
    char *kept = *at;
    memcpy(kept, text, size);
    *at += size;
    return kept;
}

static size_t aio__text_size(const char *text) { return text ? strlen(text) + 1 : 0; }

/* 0, or ENAMETOOLONG, EINVAL. */
static int aio__unix_address(const char *path, aio__address *address)
{
    struct sockaddr_un *un = (struct sockaddr_un *)(void *)&address->storage;
    size_t length = path ? strlen(path) : 0;
    if (!length) return EINVAL;
    if (length >= sizeof un->sun_path) return ENAMETOOLONG;
    memset(address, 0, sizeof *address);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, length);
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return 0;
}

/* ---- servers ---- */

enum {
    AIO__LISTENERS_MAX = 16, /* sockets of one server */
    AIO__ACCEPT_PAUSE = 1,   /* seconds without descriptors */
    AIO__ACCEPT_COST = 8,    /* messages that one client is, in the budget of a turn */
    AIO__PORT_TRIES = 8      /* ports that the system may choose until one is free with both families */
};

typedef struct aio__listener {
    aio__descriptor d;
    aio_server     *server;
    aio__timer     *pause;
} aio__listener;

struct aio_server {
    aio__listener       listeners[AIO__LISTENERS_MAX];
    aio__node           link;     /* in aio__streams.servers */
    aio_loop           *loop;
    int                 listener_count, port;
    aio_client_handler *handler;
    const aio_protocol *protocol; /* of its clients; NULL: the handler makes coroutines */
    void               *arg;
    aio_server_options  options;
    aio__node           clients;  /* streams */
    size_t              client_count;
    aio_future         *closed;   /* wait_closed's */
    struct aio__serve_forever *forever;
    void               *service;  /* of the room that speaks its protocol */
    void              (*end_idle)(aio_server *); /* clients between two requests: one; all, if it is closing */
    void              (*on_free)(void *service);
    int                 busy;     /* it is being looked at: not to be freed */
    bool                closing, full;
    bool                starved;  /* it has reported that it cannot accept, and could not since */
    bool                owned;    /* nobody will call wait_closed: it goes when the last client has gone */
    char                path[128];/* of a unix socket, whose file has these: */
    dev_t               device;
    ino_t               inode;
};

struct aio__serve_forever { aio_task task; aio_server *server; aio_future *never; };

/* Puts a descriptor in reserve, or, with the last server gone, gives it back. */
static void aio__spare_keep(aio_loop *loop)
{
    aio__streams *streams = (aio__streams *)loop->streams;
    bool wanted = !aio__ring_empty(&streams->servers);
    if (wanted == (streams->spare >= 0)) return;
    if (!wanted) aio__os.close(streams->spare);
    streams->spare = wanted ? aio__os.fcntl(loop->wake.fd, F_DUPFD_CLOEXEC, 0) : -1; /* of what is sure to be there */
}

static void aio__server_free(aio_server *server)
{
    aio_future *closed = server->closed;
    if (server->forever) server->forever->server = NULL;
    if (server->on_free) server->on_free(server->service);
    aio__ring_remove(&server->link);
    aio__spare_keep(server->loop);
    aio_tls_context_unref(server->options.tls_context);
    aio__free(server);
    aio__settle(closed, NULL);
}

/* Frees it when it is closed, nobody is to call wait_closed any more, and the last client has gone. */
static void aio__server_settle(aio_server *server)
{
    if (server->closing && !server->client_count && !server->busy && (server->closed || server->owned))
        aio__server_free(server);
}

static void aio__listener_resume(aio__timer *timer)
{
    aio__listener *listener = (aio__listener *)timer->owner;
    listener->pause = NULL;
    aio__descriptor_wait(listener->server->loop, &listener->d, AIO__READ);
}

/* No descriptor or memory for one more client: the others go on, and accepting is tried again in a second, or when one
 * of them has gone. */
static void aio__listener_pause(aio__listener *listener, int code)
{
    aio_loop *loop = listener->server->loop;
    int64_t when = aio__deadline(aio__os.clock(), AIO__ACCEPT_PAUSE);
    if (!listener->server->starved)
        aio__report(loop, NULL, "accept: %s; accepting again in %d s", strerror(code), AIO__ACCEPT_PAUSE);
    listener->server->starved = true;
    if (listener->server->end_idle) listener->server->end_idle(listener->server);
    listener->pause = aio__timer_start(loop, when, aio__listener_resume, listener);
    if (!listener->pause) aio__descriptor_wait(loop, &listener->d, AIO__READ);
}

static void aio__server_client_left(aio_server *server)
{
    server->client_count--;
    aio__spare_keep(server->loop);
    bool again = server->full;
    server->full = false;
    for (int i = 0; i < server->listener_count && !server->closing; i++) {
        aio__listener *listener = &server->listeners[i];
        if (!again && !listener->pause) continue;
        aio__timer_cancel(server->loop, listener->pause);
        listener->pause = NULL;
        aio__descriptor_wait(server->loop, &listener->d, AIO__READ);
    }
    aio__server_settle(server);
}

/* A peer that goes away is no error of the server's. */
static bool aio__peer_went(int code)
{
    return code == ECONNRESET || code == EPIPE || code == ECONNABORTED || code == ETIMEDOUT;
}

/* So of all members of a group. */
static bool aio__peers_went(const aio_exception *error)
{
    if (error->code != AIO_EGROUP) return aio__peer_went(error->code);
    for (int i = 0; i < error->member_count; i++)
        if (!aio__peers_went(error->members[i])) return false;
    return true;
}

/* The handler's task is done. */
static void aio__client_done(aio__work *work)
{
    aio_stream *s = (aio_stream *)work->owner;
    aio_future *f = &s->task->future;
    if (s->transport) { /* that was the handshake */
        aio_unref(s->task);
        s->task = NULL;
        return;
    }
    if (f->error && f->state == AIO__DONE && !(f->flags & AIO__F_SEEN)) {
        f->flags |= AIO__F_SEEN;
        if (s->loop->debug || !aio__peers_went(f->error))
            aio__report(s->loop, f->error, "error in the handler of a client");
    }
    if (s->aborting) aio__stream_reset(s);
    else aio__stream_begin_close(s);
}

/* Watches the handler. False without memory. */
static bool aio__client_serve(aio_stream *s, void *coroutine)
{
    s->task = (aio_task *)aio__create_task(coroutine, NULL);
    if (!s->task) return false;
    s->ended.run = aio__client_done;
    s->ended.owner = s;
    aio__waiters_add(&s->task->future, &s->ended.node);
    return true;
}

struct aio__tls_client { aio_task task; aio_stream *stream; void *handler; }; /* the handshake, then the handler */
static AIO_CORO(aio__tls_client)
{
    AIO_BEGIN(aio__tls_client);
    AIO_TRY {
        const aio_server_options *o;
        o = &self->stream->server->options;
        AIO_AWAIT(aio__tls_begin(self->stream, o->tls_context, NULL, 0, o->tls_timeout, o->tls_shutdown_timeout));
    } AIO_CATCH {
        if (self->stream->loop->debug) aio__report(self->stream->loop, aio_caught(self), "a client's TLS failed");
        AIO_RETURN(); /* a peer that cannot TLS is no error of the server's */
    } AIO_END_TRY;
    self->handler = self->stream->server->handler(self->stream, self->stream->server->arg);
    if (self->handler) AIO_AWAIT((aio_future *)self->handler);
    else if (!self->stream->transport) self->stream->aborting = true;
    AIO_END;
}

static void aio__server_take(aio_server *server, int fd, bool is_unix)
{
    aio__stream_options(fd, !is_unix);
    aio_stream *s = aio__stream_new(server->loop, fd, server->options.limit);
    if (!s) {
        aio__report(server->loop, NULL, "accept: %s; a client was dropped", strerror(errno));
        return;
    }
    s->server = server;
    server->client_count++;
    aio__ring_remove(&s->link);
    aio__ring_insert(&server->clients, &s->link);
    void *coroutine = server->options.tls_context ? (void *)AIO_CALL(aio__tls_client, .stream = s)
                                                  : server->handler(s, server->arg);
    if (s->transport) return; /* callbacks serve it */
    if (!coroutine || !aio__client_serve(s, coroutine)) aio__stream_reset(s);
}

/* Codes of accept that concern one client, or nothing at all. */
static bool aio__accept_passes(int code)
{
    return code == ECONNABORTED || code == EINTR || code == EPROTO || code == EPERM || code == ENETDOWN ||
           code == EHOSTDOWN || code == EHOSTUNREACH || code == ENETUNREACH || code == EOPNOTSUPP ||
           code == ENOPROTOOPT;
}

/* The reserve lets a server take one client more than there are descriptors: clients of the same process, which have
 * the others, could else wait for it for ever, and it for them. */
static int aio__server_accept(aio_server *server, int listening)
{
    aio__streams *streams = (aio__streams *)server->loop->streams;
    int fd = aio__accept(listening);
    if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || streams->spare < 0) return fd;
    aio__os.close(streams->spare);
    streams->spare = -1;
    fd = aio__accept(listening);
    int code = errno;
    if (fd < 0) aio__spare_keep(server->loop);
    errno = code;
    return fd;
}

/* Takes who waits, until the turn is over. False when it is not to go on: full, paused or closed. */
static bool aio__listener_accept(aio__listener *listener)
{
    aio_server *server = listener->server;
    aio__spare_keep(server->loop);
    while (!server->closing) {
        if (server->options.max_clients && server->client_count >= (size_t)server->options.max_clients) {
            server->full = true;
            return false;
        }
        int fd = aio__server_accept(server, listener->d.fd);
        if (fd >= 0) {
            aio__server_take(server, fd, server->path[0] != 0);
            if (aio__turn_spent(server->loop, 0, AIO__ACCEPT_COST)) break;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            listener->d.ready = 0;
            server->starved = false;
            return true;
        } else if (!aio__accept_passes(errno)) {
            aio__listener_pause(listener, errno);
            return false;
        }
    }
    return !server->closing;
}

static void aio__listener_on_readable(aio__work *work)
{
    aio__listener *listener = (aio__listener *)work->owner;
    aio_server *server = listener->server;
    server->busy++; /* a handler's maker may close the server */
    bool again = aio__listener_accept(listener);
    server->busy--;
    if (again) aio__descriptor_wait(server->loop, &listener->d, AIO__READ);
    aio__server_settle(server);
}

/* The options that this address needs, set. False with errno. */
static bool aio__listen_prepare(const aio_server *server, int fd, int family)
{
    int one = 1;
    if (family != AF_UNIX) aio__os.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6) aio__os.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (!server->options.reuse_port) return true;
#ifdef SO_REUSEPORT
    return aio__os.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0;
#else
    errno = ENOTSUP;
    return false;
#endif
}

/* Where an address has its port; NULL: it has none. */
static in_port_t *aio__address_port(struct sockaddr_storage *storage)
{
    if (storage->ss_family == AF_INET) return &((struct sockaddr_in *)(void *)storage)->sin_port;
    return storage->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)(void *)storage)->sin6_port : NULL;
}

/* A socket that listens; -1 with errno. */
static int aio__listen_socket(const aio_server *server, const aio__address *address, int port)
{
    int family = address->storage.ss_family;
    aio__address to = *address;
    in_port_t *place = aio__address_port(&to.storage);
    int fd = aio__socket(family, SOCK_STREAM);
    if (fd < 0) return -1;
    if (place) *place = htons((uint16_t)port);
    if (aio__listen_prepare(server, fd, family) &&
        aio__os.bind(fd, (const struct sockaddr *)&to.storage, to.length) == 0 &&
        aio__os.listen(fd, server->options.backlog) == 0) return fd;
    return aio__close_failed(fd);
}

/* The port that the system chose; -1 with errno. */
static int aio__listen_port(int fd)
{
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    memset(&storage, 0, sizeof storage);
    if (aio__os.getsockname(fd, (struct sockaddr *)&storage, &length) < 0) return -1;
    const in_port_t *place = aio__address_port(&storage);
    return place ? ntohs(*place) : 0;
}

/* 0 or a code. */
static int aio__server_listen(aio_server *server, const aio__address *address)
{
    if (server->listener_count == AIO__LISTENERS_MAX) return 0;
    int fd = aio__listen_socket(server, address, server->port);
    if (fd < 0) return errno;
    int port = server->port ? server->port : aio__listen_port(fd);
    aio__listener *listener = &server->listeners[server->listener_count];
    listener->server = server;
    listener->d.reader.run = aio__listener_on_readable;
    listener->d.reader.owner = listener;
    if (port < 0 || aio__descriptor_add(server->loop, &listener->d, fd) < 0) {
        aio__close_failed(fd);
        return errno;
    }
    server->port = port;
    server->listener_count++;
    aio__descriptor_wait(server->loop, &listener->d, AIO__READ);
    return 0;
}

/* 0 or a code. The file is remembered, to be removed in the end if it still is the same. */
static int aio__server_listen_unix(aio_server *server, const aio__address *address, const char *path)
{
    struct stat status;
    int code = aio__server_listen(server, address);
    if (code) return code;
    snprintf(server->path, sizeof server->path, "%.127s", path);
    if (aio__os.stat(path, &status) < 0) return errno;
    server->device = status.st_dev;
    server->inode = status.st_ino;
    return 0;
}

static void aio__server_unlink(const aio_server *server)
{
    struct stat status;
    if (!server->path[0] || aio__os.stat(server->path, &status) < 0) return;
    if (!server->inode || (status.st_dev == server->device && status.st_ino == server->inode))
        aio__os.unlink(server->path);
}

static void aio__server_unlisten(aio_server *server)
{
    for (int i = 0; i < server->listener_count; i++) {
        aio__listener *listener = &server->listeners[i];
        aio__timer_cancel(server->loop, listener->pause);
        listener->pause = NULL;
        aio__descriptor_remove(server->loop, &listener->d);
        aio__os.close(listener->d.fd);
    }
}

AIO_API void aio_server_close(aio_server *server)
{
    if (!server || server->closing) return;
    server->closing = true;
    aio__server_unlisten(server);
    aio__server_unlink(server);
    if (server->end_idle) server->end_idle(server);
    if (server->forever) aio__cancel(server->forever->never, &aio__cancelled);
}

static aio_server *aio__server_new(aio_loop *loop, aio_client_handler *handler, void *arg,
                                   const aio_server_options *options)
{
    aio__streams *streams = aio__streams_of(loop);
    aio_server *server = streams ? (aio_server *)aio__calloc(sizeof *server) : NULL;
    if (!server) return NULL;
    server->loop = loop;
    server->handler = handler;
    server->arg = arg;
    server->options = *options;
    if (server->options.backlog <= 0) server->options.backlog = 100;
    aio_tls_context_ref(server->options.tls_context);
    aio__ring_clear(&server->clients);
    aio__ring_insert(&streams->servers, &server->link);
    aio__spare_keep(loop);
    return server;
}

struct aio__serve { /* start_server */
    aio_task            task;
    aio_server         *result;
    aio_client_handler *handler;
    const aio_protocol *protocol;
    void               *arg;
    aio_server_options  options;
    aio__lookup_future *lookup;
    aio_server         *server;
    int                 port, code;
    aio_exception      *error;
    aio__address        address;     /* of a unix socket */
    char                host[256];   /* "": all interfaces; a unix socket's path */
};

/* A socket for each address. 0 or a code. The port that the system chose for the first one may be in use with another
 * family: then it is to choose again. */
static int aio__server_listen_all(aio_server *server, const aio__addresses *addresses)
{
    int code = 0, tries = server->port ? 1 : AIO__PORT_TRIES;
    for (int i = 0; i < addresses->count && !code; i++) {
        code = aio__server_listen(server, &addresses->at[i]);
        if (code == EAFNOSUPPORT && addresses->count > 1) code = 0; /* no IPv6 here */
        if (code != EADDRINUSE || !server->listener_count || --tries == 0) continue;
        aio__server_unlisten(server);
        server->listener_count = server->port = code = 0;
        i = -1;
    }
    return code || server->listener_count ? code : EADDRNOTAVAIL;
}

static void aio__unix_unstale(const char *path, const aio__address *address);

static AIO_CORO(aio__serve)
{
    AIO_BEGIN(aio__serve);
    self->server = aio__server_new(self->task.future.loop, self->handler, self->arg, &self->options);
    if (!self->server) AIO_RAISE(ENOMEM);
    self->server->port = self->port;
    self->server->protocol = self->protocol;
    if (self->address.length) {
        aio__unix_unstale(self->host, &self->address);
        self->code = aio__server_listen_unix(self->server, &self->address, self->host);
    } else {
        self->lookup = aio__resolve(self->task.future.loop, self->host[0] ? self->host : NULL, self->port,
                                    self->options.family, AI_PASSIVE);
        AIO_AWAIT(aio_ref(self->lookup));
        self->code = aio__server_listen_all(self->server, self->lookup->result);
    }
    if (self->code && self->address.length)
        self->error = aio__exception(self->code, "listen", "listen on %s: %s", self->host, strerror(self->code));
    else if (self->code)
        self->error = aio__exception(self->code, "listen", "listen on %s port %d: %s", self->host[0] ? self->host : "*",
                                     self->port, strerror(self->code));
    if (self->error) AIO_RAISE_EXCEPTION(self->error);
    AIO_RETURN(self->server);
    AIO_FINALLY;
        aio_exception_unref(self->error);
        aio_unref(self->lookup);
        if (self->task.future.error && self->server) {
            aio_server_close(self->server);
            aio__server_free(self->server);
        }
        if (self->task.future.error) self->result = NULL;
    AIO_END;
}

static aio_server_task *aio__serve_new(aio_client_handler *handler, void *arg, const char *host, int port,
                                       const aio__address *address, const aio_server_options *options)
{
    const char *wrong = !handler ? "no handler"
                      : !aio__tls_context_is_for(options->tls_context, true) ? "the TLS context is a client's"
                      : strlen(host) > 255 ? "the host name is too long" : NULL;
    if (wrong) return (aio_server_task *)(void *)aio__failure(EINVAL, "start_server: %s", wrong);
    struct aio__serve *self = (struct aio__serve *)aio__new_zeroed(sizeof *self, aio__serve_coro);
    if (!self) return NULL;
    self->handler = handler;
    self->arg = arg;
    self->options = *options;
    self->port = port;
    if (address) self->address = *address;
    memcpy(self->host, host, strlen(host) + 1);
    return (aio_server_task *)(void *)self;
}

AIO_API aio_server_task *aio_start_server_with(aio_client_handler *handler, void *arg, const char *host, int port,
                                               const aio_server_options *options)
{
    AIO__DEFAULTS(aio_server_options, options);
    return aio__serve_new(handler, arg, host ? host : "", port, NULL, options);
}

/* A socket file that nobody listens on is in the way of a new one. */
static void aio__unix_unstale(const char *path, const aio__address *address)
{
    struct stat status;
    if (aio__os.stat(path, &status) < 0 || !S_ISSOCK(status.st_mode)) return;
    int fd = aio__socket(AF_UNIX, SOCK_STREAM);
    if (fd < 0) return;
    int connected;
    do connected = aio__os.connect(fd, (const struct sockaddr *)&address->storage, address->length);
    while (connected < 0 && errno == EINTR);
    if (connected < 0 && errno == ECONNREFUSED) aio__os.unlink(path);
    aio__os.close(fd);
}

AIO_API aio_server_task *aio_start_unix_server_with(aio_client_handler *handler, void *arg, const char *path,
                                                    const aio_server_options *options)
{
    AIO__DEFAULTS(aio_server_options, options);
    aio__address address;
    int code = aio__unix_address(path, &address);
    if (code)
        return (aio_server_task *)(void *)aio__failure(code, "unix socket %.200s: %s", path ? path : "",
                                                       strerror(code));
    return aio__serve_new(handler, arg, path, 0, &address, options);
}

AIO_API int aio_server_port(const aio_server *server) { return server ? server->port : 0; }
AIO_API size_t aio_server_client_count(const aio_server *server) { return server ? server->client_count : 0; }

static void aio__server_end_clients(aio_server *server, bool abort_)
{
    server->busy++;
    for (aio__node *node = server->clients.next, *next; node != &server->clients; node = next) {
        aio_stream *s = AIO__CONTAINER(node, aio_stream, link);
        next = node->next;
        s->aborting = s->aborting || abort_;
        if (s->task) aio_task_cancel(s->task);
        if (s->transport && !abort_) aio__stream_begin_close(s);
        /* closing: its handler has ended; it was sending what is left */
        if (abort_ && (s->closing || s->transport)) aio__stream_reset(s);
    }
    server->busy--;
    aio__server_settle(server);
}

AIO_API void aio_server_close_clients(aio_server *server)
{
    if (server) aio__server_end_clients(server, false);
}

AIO_API void aio_server_abort_clients(aio_server *server)
{
    if (server) aio__server_end_clients(server, true);
}

static const aio__ops aio__server_closed_ops = { "server.wait_closed", NULL, NULL, NULL };

AIO_API aio_future *aio_server_wait_closed(aio_server *server)
{
    if (!server || server->closed) return aio__failure(EINVAL, "wait_closed of a server that is not the caller's");
    aio_future *closed =
        (aio_future *)aio__future_make(server->loop, &aio__server_closed_ops, sizeof *closed, NULL, 0);
    aio_server_close(server);
    if (!closed) server->owned = true;
    else server->closed = (aio_future *)aio_ref(closed);
    aio__server_settle(server);
    return closed;
}

static AIO_CORO(aio__serve_forever)
{
    AIO_BEGIN(aio__serve_forever);
    if (self->server->closing || self->server->forever)
        AIO_RAISE(AIO_ERUNTIME, "serve_forever: %s", self->server->closing ? "the server is closed"
                                                                           : "it is being awaited already");
    self->never = aio_future_create();
    if (self->never) self->server->forever = self;
    AIO_AWAIT(aio_ref(self->never));
    AIO_FINALLY;
        aio_unref(self->never);
        if (self->server && self->server->forever == self) {
            self->server->forever = NULL;
            aio_server_close(self->server);
            aio_server_close_clients(self->server);
        }
    AIO_END;
}

AIO_API aio_future *aio_server_serve_forever(aio_server *server)
{
    if (!server) return aio__failure(EINVAL, "serve_forever of no server");
    return (aio_future *)(void *)AIO_CALL(aio__serve_forever, .server = server);
}

/* Ends the streams of a ring: a protocol hears of it within this. */
static void aio__streams_end(aio__streams *streams, aio__node *ring)
{
    while (!aio__ring_empty(ring)) {
        aio_stream *s = AIO__CONTAINER(ring->next, aio_stream, link);
        s->server = NULL;
        s->closing = streams->closing = true;
        aio__stream_end(s);
    }
}

/* The loop closes: so does every socket. */
static void aio__streams_close(aio_loop *loop, aio__closer *closer)
{
    aio__streams *streams = AIO__CONTAINER(closer, aio__streams, closer);
    while (!aio__ring_empty(&streams->servers)) {
        aio_server *server = AIO__CONTAINER(streams->servers.next, aio_server, link);
        aio_server_close(server);
        aio__streams_end(streams, &server->clients);
        aio__server_free(server);
    }
    aio__streams_end(streams, &streams->ring);
    while (loop->buffers) {
        char *buffer = aio__read_buffer_take(loop);
        aio__free(buffer);
    }
    loop->streams = NULL;
    aio__free(streams);
}

/* ============================================================================
 * 42. Descriptors: readers, writers, sock_ calls, pipes and files
 *
 * A table of foreign descriptors by number, each registered level-triggered while somebody wants it, as its owner may
 * leave bytes unread. Then streams over pipes of the program's own, and files on their way out. May call streams.
 * ============================================================================ */

/* The descriptor of somebody else. One for each number that ever was here: it stays until the loop closes, as a poller
 * may still tell of a descriptor that was closed before it was removed. */
typedef struct aio__fd_watch {
    aio__descriptor d;
    aio_loop       *loop;
    struct { aio_callback *callback; void *arg; } of[2]; /* reader, writer; d.level tells which there are */
} aio__fd_watch;

typedef struct aio__fd_watches { /* loop->foreigns */
    aio__owned     owned;    /* its ring is not used */
    aio__fd_watch **at;       /* by descriptor */
    size_t         capacity;
} aio__fd_watches;

/* A future for readiness, once. */
typedef struct aio__until {
    aio_future  future;
    aio__fd_watch *watch; /* NULL: it does not wait any more */
    int         direction;
} aio__until;

static void aio__until_run(void *arg);

static void aio__fd_watch_arm(aio__fd_watch *w, int direction)
{
    w->d.ready = (uint8_t)(w->d.ready & ~direction);
    aio__descriptor_wait(w->loop, &w->d, direction);
}

/* Armed again before the callback, which may remove it. */
static void aio__fd_watch_run(aio__fd_watch *w, int direction)
{
    aio_callback *callback = w->of[direction == AIO__WRITE].callback;
    void *arg = w->of[direction == AIO__WRITE].arg;
    aio__fd_watch_arm(w, direction);
    callback(arg);
}

static void aio__fd_watch_on_readable(aio__work *h) { aio__fd_watch_run((aio__fd_watch *)h->owner, AIO__READ); }
static void aio__fd_watch_on_writable(aio__work *h) { aio__fd_watch_run((aio__fd_watch *)h->owner, AIO__WRITE); }

/* One direction, or both. */
static void aio__fd_watch_remove(aio__fd_watch *w, int directions)
{
    w->d.level = (uint8_t)(w->d.level & ~directions);
    if (!w->d.level) {
        aio__descriptor_remove(w->loop, &w->d);
        w->d.always = false;
        return;
    }
    aio__descriptor_unwait(w->loop, &w->d, directions);
    if (w->d.added && w->loop->poller->level && w->loop->poller->level(w->loop, &w->d) < 0) {
        aio__descriptor_remove(w->loop, &w->d); /* the kernel would go on to tell of what nobody wants */
        if (aio__descriptor_add(w->loop, &w->d, w->d.fd) < 0) w->d.always = true;
        aio__fd_watch_arm(w, w->d.level);
    }
}

static void aio__fd_watches_close(aio_loop *loop, aio__closer *closer)
{
    aio__fd_watches *foreigns = AIO__CONTAINER(closer, aio__fd_watches, owned.closer);
    for (size_t fd = 0; fd < foreigns->capacity; fd++) {
        aio__fd_watch *w = foreigns->at[fd];
        if (!w) continue;
        for (int i = 0; i < 2; i++)
            if ((w->d.level & (i ? AIO__WRITE : AIO__READ)) && w->of[i].callback == aio__until_run)
                ((aio__until *)w->of[i].arg)->watch = NULL;
        aio__fd_watch_remove(w, AIO__READ | AIO__WRITE);
    }
    aio__free(foreigns->at);
    aio__free(foreigns);
    loop->foreigns = NULL;
}

static aio__fd_watch *aio__fd_watch_find(const aio_loop *loop, int fd)
{
    const aio__fd_watches *foreigns = (const aio__fd_watches *)loop->foreigns;
    return foreigns && fd >= 0 && (size_t)fd < foreigns->capacity ? foreigns->at[fd] : NULL;
}

/* The one of that descriptor, which may be new. NULL without memory. */
static aio__fd_watch *aio__fd_watch_of(aio_loop *loop, int fd)
{
    aio__fd_watches *foreigns =
        (aio__fd_watches *)aio__owned_of(loop, &loop->foreigns, sizeof *foreigns, aio__fd_watches_close);
    aio__fd_watch *w = aio__fd_watch_find(loop, fd);
    if (w || !foreigns) return w;
    size_t capacity = foreigns->capacity ? foreigns->capacity : 64;
    while (capacity <= (size_t)fd) capacity *= 2;
    if (capacity != foreigns->capacity) {
        aio__fd_watch **at = (aio__fd_watch **)aio__realloc(foreigns->at, capacity * sizeof *at);
        if (!at) return NULL;
        memset(at + foreigns->capacity, 0, (capacity - foreigns->capacity) * sizeof *at);
        foreigns->at = at;
        foreigns->capacity = capacity;
    }
    w = (aio__fd_watch *)aio__pool_alloc(&loop->pool, sizeof *w);
    if (!w) return NULL;
    memset(w, 0, sizeof *w);
    w->loop = loop;
    w->d.fd = fd;
    w->d.reader.run = aio__fd_watch_on_readable;
    w->d.writer.run = aio__fd_watch_on_writable;
    w->d.reader.owner = w->d.writer.owner = w;
    foreigns->at[fd] = w;
    return w;
}

/* epoll refuses a descriptor that it has already; poll would take it twice. */
static bool aio__fd_watch_is_taken(const aio_loop *loop, int fd)
{
    const aio__poll_data *data = (const aio__poll_data *)loop->poll_data;
    for (size_t i = 0; data && i < loop->poll_count; i++)
        if (data->owners[i]->fd == fd) return true;
    return false;
}

/* Tells the poller of d.level. 0 or a code. */
static int aio__fd_watch_register(aio__fd_watch *w)
{
    if (w->d.always) return 0;
    if (w->d.added) return w->loop->poller->level && w->loop->poller->level(w->loop, &w->d) < 0 ? errno : 0;
    if (aio__fd_watch_is_taken(w->loop, w->d.fd)) return EBUSY;
    if (aio__descriptor_add(w->loop, &w->d, w->d.fd) == 0) return 0;
    return errno == EEXIST ? EBUSY : errno;
}

static int aio__fd_watch_add(aio_loop *loop, int fd, int direction, aio_callback *callback, void *arg)
{
    int code = fd >= 0 && callback ? aio__loop_can_schedule(loop) : EINVAL, i = direction == AIO__WRITE;
    if (!code && aio__os.fcntl(fd, F_GETFD, 0) < 0) code = errno;
    aio__fd_watch *w = code ? NULL : aio__fd_watch_of(loop, fd);
    if (!w) return code ? code : ENOMEM;
    uint8_t before = w->d.level;
    if ((before & direction) && (callback == aio__until_run || w->of[i].callback == aio__until_run)) return EBUSY;
    w->d.level = (uint8_t)(before | direction);
    code = aio__fd_watch_register(w);
    if (code) {
        w->d.level = before;
        return code;
    }
    w->of[i].callback = callback;
    w->of[i].arg = arg;
    aio__descriptor_unwait(loop, &w->d, direction); /* what is due is the callback's of before */
    aio__fd_watch_arm(w, direction);
    return 0;
}

static bool aio__fd_watch_drop(aio_loop *loop, int fd, int direction)
{
    if (!loop || aio__loop_can_schedule(loop)) return false;
    aio__fd_watch *w = aio__fd_watch_find(loop, fd);
    if (!w || !(w->d.level & direction) || w->of[direction == AIO__WRITE].callback == aio__until_run) return false;
    aio__fd_watch_remove(w, direction);
    return true;
}

AIO_API int aio_loop_add_reader(aio_loop *loop, int fd, aio_callback *callback, void *arg)
{
    return aio__fd_watch_add(loop, fd, AIO__READ, callback, arg);
}

AIO_API int aio_loop_add_writer(aio_loop *loop, int fd, aio_callback *callback, void *arg)
{
    return aio__fd_watch_add(loop, fd, AIO__WRITE, callback, arg);
}

AIO_API bool aio_loop_remove_reader(aio_loop *loop, int fd) { return aio__fd_watch_drop(loop, fd, AIO__READ); }
AIO_API bool aio_loop_remove_writer(aio_loop *loop, int fd) { return aio__fd_watch_drop(loop, fd, AIO__WRITE); }

/* ---- raw sockets ---- */

static void aio__until_leave(aio__until *until)
{
    if (until->watch) aio__fd_watch_remove(until->watch, until->direction);
    until->watch = NULL;
}

static void aio__until_run(void *arg)
{
    aio__until *until = (aio__until *)arg;
    aio__until_leave(until);
    aio__finish_and_step(until->future.loop, &until->future);
}

static bool aio__until_cancel(aio_future *future, aio_exception *why)
{
    aio__until_leave((aio__until *)(void *)future);
    aio__future_fail(future, aio_exception_ref(why));
    return true;
}

static void aio__until_destroy(aio_future *future) { aio__until_leave((aio__until *)(void *)future); }

static const aio__ops aio__until_ops = { "readiness of a descriptor", aio__until_cancel, aio__until_destroy, NULL };

static aio_future *aio__until_ready(int fd, int direction)
{
    aio_loop *loop = aio__loop_now();
    aio__until *until = (aio__until *)aio__future_make(loop, &aio__until_ops, sizeof *until, NULL, 0);
    if (!until) return NULL;
    int code = aio__fd_watch_add(loop, fd, direction, aio__until_run, until);
    if (!code) {
        until->watch = aio__fd_watch_find(loop, fd);
        until->direction = direction;
        return &until->future;
    }
    aio_unref(until);
    if (code == EBUSY) return aio__failure(AIO_ERUNTIME, "descriptor %d: something else waits for it already", fd);
    return aio__failure(code, "descriptor %d: %s", fd, strerror(code));
}

static bool aio__would_block(int code) { return code == EAGAIN || code == EWOULDBLOCK; }

/* 0, or why the descriptor is of no use here. */
static int aio__sock_check(int fd)
{
    int status = aio__os.fcntl(fd, F_GETFL, 0);
    return status < 0 ? errno : status & O_NONBLOCK ? 0 : EINVAL;
}

/* A call on a socket, tried at once and again whenever the socket is ready. What it gives is in front: of the type that
 * its caller sees. */
struct aio__sock_call {
    aio_task     task;
    union { size_t size; int fd; } result;
    int          fd, direction, code;
    int        (*attempt)(struct aio__sock_call *); /* 0; EINPROGRESS: again when it is ready; or a code */
    const char  *what;   /* "send to", for errors */
    const char  *wrong;  /* with the arguments: EINVAL */
    char        *data;
    size_t       size;
    bool         begun;  /* a connect that is under way */
    void        *sender; /* of a datagram: where its address is wanted, and its room */
    size_t      *room;
    aio__address peer;   /* who it is for, or from; zero: not known */
};
typedef char aio__check_sock_result[offsetof(struct aio__sock_call, result) == offsetof(aio_size_task, result) &&
                                    offsetof(struct aio__sock_call, result) == offsetof(aio_fd_task, result) ? 1 : -1];

/* What the call has to wait for, or its error. */
static aio_future *aio__sock_turn(struct aio__sock_call *self)
{
    char peer[128];
    if (self->code == EINPROGRESS) return aio__until_ready(self->fd, self->direction);
    aio__address_text(&self->peer.storage, self->peer.length, peer, sizeof peer);
    return aio__failure(self->code, "%s %s%sdescriptor %d: %s", self->what, peer, peer[0] ? " by " : "", self->fd,
                        self->wrong ? self->wrong : strerror(self->code));
}

static AIO_CORO(aio__sock_call)
{
    AIO_BEGIN(aio__sock_call);
    while ((self->code = self->wrong ? EINVAL : self->attempt(self)) != 0) AIO_AWAIT(aio__sock_turn(self));
    AIO_END;
}

static struct aio__sock_call *aio__sock_calling(int (*attempt)(struct aio__sock_call *), const char *what, int fd,
                                                int direction, const void *data, size_t size)
{
    struct aio__sock_call *self = (struct aio__sock_call *)aio__new_zeroed(sizeof *self, aio__sock_call_coro);
    if (!self) return NULL;
    self->attempt = attempt;
    self->what = what;
    self->fd = fd;
    self->direction = direction;
    self->data = (char *)(uintptr_t)data;
    self->size = size;
    if (!data && size) self->wrong = "no data";
    return self;
}

/* The same for a call that has an address. */
static struct aio__sock_call *aio__sock_call_to(struct aio__sock_call *self, const void *address, size_t length)
{
    if (!self) return NULL;
    if (address && length >= sizeof(sa_family_t) && length <= sizeof self->peer.storage) {
        memcpy(&self->peer.storage, address, length);
        self->peer.length = (socklen_t)length;
    } else self->wrong = "no address";
    return self;
}

/* What errno means for an attempt. */
static int aio__sock_code(void) { return aio__would_block(errno) ? EINPROGRESS : errno; }

static int aio__sock_recv(struct aio__sock_call *self)
{
    ssize_t n;
    do n = aio__os.recv(self->fd, self->data, self->size, MSG_DONTWAIT); while (n < 0 && errno == EINTR);
    if (n < 0) return aio__sock_code();
    self->result.size = (size_t)n;
    if (!n && self->size) self->task.future.flags |= AIO__F_END;
    return 0;
}

AIO_API aio_size_task *aio_sock_recv_into(int fd, void *buffer, size_t size)
{
    return (aio_size_task *)(void *)aio__sock_calling(aio__sock_recv, "receive from", fd, AIO__READ, buffer, size);
}

/* Sends a part; -1 with errno. */
static ssize_t aio__sock_send(int fd, const char *data, size_t length)
{
    ssize_t n;
    do n = aio__os.send(fd, data, length, AIO__NOSIGNAL | MSG_DONTWAIT); while (n < 0 && errno == EINTR);
    return n;
}

static int aio__sock_sendall(struct aio__sock_call *self)
{
    while (self->size) {
        ssize_t n = aio__sock_send(self->fd, self->data, self->size);
        if (n < 0) return aio__sock_code();
        self->data += n;
        self->size -= (size_t)n;
    }
    return 0;
}

AIO_API aio_future *aio_sock_sendall(int fd, const void *data, size_t length)
{
    return (aio_future *)(void *)aio__sock_calling(aio__sock_sendall, "send to", fd, AIO__WRITE, data, length);
}

/* 0 or a code: a call that would block the program is refused. */
static int aio__sock_must_not_block(struct aio__sock_call *self)
{
    int code = aio__sock_check(self->fd);
    if (code == EINVAL) self->wrong = "it must be non-blocking";
    return code;
}

static int aio__sock_accept(struct aio__sock_call *self)
{
    int code = aio__sock_must_not_block(self);
    while (!code && (self->result.fd = aio__accept(self->fd)) < 0)
        if (!aio__accept_passes(errno) || errno == EOPNOTSUPP) code = aio__sock_code();
    return code;
}

AIO_API aio_fd_task *aio_sock_accept(int fd)
{
    struct aio__sock_call *self = aio__sock_calling(aio__sock_accept, "accept on", fd, AIO__READ, NULL, 0);
    if (self) self->result.fd = -1;
    return (aio_fd_task *)(void *)self;
}

static int aio__sock_outcome(int fd)
{
    int code = 0;
    socklen_t length = sizeof code;
    return aio__os.getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) < 0 ? errno : code;
}

/* A connect that is interrupted goes on by itself. */
static int aio__sock_connect(struct aio__sock_call *self)
{
    if (self->begun) return aio__sock_outcome(self->fd);
    int code = aio__sock_must_not_block(self);
    self->begun = true;
    if (code || aio__os.connect(self->fd, (const struct sockaddr *)&self->peer.storage, self->peer.length) == 0)
        return code;
    return errno == EINTR || errno == EALREADY ? EINPROGRESS : errno;
}

AIO_API aio_future *aio_sock_connect(int fd, const void *address, size_t length)
{
    return (aio_future *)(void *)aio__sock_call_to(
        aio__sock_calling(aio__sock_connect, "connect to", fd, AIO__WRITE, NULL, 0), address, length);
}

static void aio__message(struct msghdr *message, struct iovec *piece, void *address, socklen_t length)
{
    memset(message, 0, sizeof *message);
    message->msg_name = length ? address : NULL;
    message->msg_namelen = length;
    message->msg_iov = piece;
    message->msg_iovlen = 1;
}

static int aio__sock_datagram(struct aio__sock_call *self)
{
    bool receives = self->direction == AIO__READ;
    struct iovec piece = { self->data, self->size };
    struct msghdr message;
    aio__message(&message, &piece, &self->peer.storage,
                 receives ? (socklen_t)sizeof self->peer.storage : self->peer.length);
    ssize_t n;
    do n = receives ? aio__os.recvmsg(self->fd, &message, MSG_DONTWAIT)
                    : aio__os.sendmsg(self->fd, &message, AIO__NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0) return aio__sock_code();
    self->result.size = (size_t)n;
    self->peer.length = message.msg_namelen;
    if (receives && (message.msg_flags & MSG_TRUNC)) return EMSGSIZE;
    if (!self->room) return 0;
    size_t needed = message.msg_namelen;
    memcpy(self->sender, &self->peer.storage, needed < *self->room ? needed : *self->room);
    *self->room = needed;
    return 0;
}

AIO_API aio_size_task *aio_sock_recvfrom(int fd, void *buffer, size_t size, void *address, size_t *length)
{
    struct aio__sock_call *self = aio__sock_calling(aio__sock_datagram, "receive from", fd, AIO__READ, buffer, size);
    if (!self) return NULL;
    self->sender = address;
    self->room = length;
    if (!address != !length) self->wrong = "an address and its length belong together";
    return (aio_size_task *)(void *)self;
}

AIO_API aio_size_task *aio_sock_sendto(int fd, const void *data, size_t size, const void *address, size_t length)
{
    return (aio_size_task *)(void *)aio__sock_call_to(
        aio__sock_calling(aio__sock_datagram, "send to", fd, AIO__WRITE, data, size), address, length);
}

/* ---- pipes ---- */

struct aio__piping { aio_task task; aio_stream *result; int fd, code, refused; };

/* 0 with self->result, or a code; the descriptor is then as it was. */
static int aio__pipe_open(struct aio__piping *self)
{
    struct stat status;
    char name[32];
    int flags = aio__os.fcntl(self->fd, F_GETFL, 0);
    if (flags < 0 || aio__os.fstat(self->fd, &status) < 0) return errno;
    if ((flags & O_ACCMODE) == self->refused) return EBADF;
    if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode) && !S_ISSOCK(status.st_mode)) return EINVAL;
    if (!(flags & O_NONBLOCK) && aio__os.fcntl(self->fd, F_SETFL, flags | O_NONBLOCK) < 0) return errno;
    aio_stream *s = self->result = aio__stream_over(self->task.future.loop, self->fd, 0);
    if (!s) {
        int code = errno;
        if (!(flags & O_NONBLOCK)) aio__fd_block(self->fd);
        return code;
    }
    s->is_pipe = !S_ISSOCK(status.st_mode);
    s->was_blocking = !(flags & O_NONBLOCK);
    snprintf(name, sizeof name, "descriptor %d", self->fd);
    s->name = aio__strndup(name, strlen(name));
    return 0;
}

static AIO_CORO(aio__piping)
{
    AIO_BEGIN(aio__piping);
    self->code = aio__pipe_open(self);
    if (self->code)
        AIO_RAISE(self->code, "a stream of descriptor %d: %s", self->fd,
                  self->code == EINVAL ? "it is no pipe, socket or character device" :
                  self->code == EBADF ? "not open, or not in this direction" : strerror(self->code));
    AIO_END;
}

static aio_stream_task *aio__connect_pipe(int fd, int refused)
{
    return (aio_stream_task *)(void *)AIO_CALL(aio__piping, .fd = fd, .refused = refused);
}

AIO_API aio_stream_task *aio_connect_read_pipe(int fd) { return aio__connect_pipe(fd, O_WRONLY); }
AIO_API aio_stream_task *aio_connect_write_pipe(int fd) { return aio__connect_pipe(fd, O_RDONLY); }

/* ---- files ---- */

enum { AIO__FILE_PIECE = 1048576 }; /* sent in one call */

struct aio__file_send {
    aio_task       task;
    size_t         result, count;
    aio_stream    *stream;       /* NULL: none, or it has ended meanwhile */
    int            socket, file, code;
    bool           is_stream, copies; /* copies: the kernel does not do it by itself */
    bool           done;
    int64_t        offset;
    ssize_t        got;          /* of the latest piece: bytes, 0 at the file's end, AIO__IO_AGAIN, AIO__IO_FAILED */
};

/* Sends a piece by reading it. Errors of the socket, and of the file, are in self->code. */
static ssize_t aio__file_send_copy(struct aio__file_send *self, size_t wanted)
{
    aio_loop *loop = self->task.future.loop;
    aio_stream *s = self->stream;
    char *buffer = aio__read_buffer_take(loop);
    ssize_t n = -1;
    self->code = ENOMEM;
    if (buffer) {
        do n = aio__os.pread(self->file, buffer, wanted < AIO__READ_BUFFER ? wanted : (size_t)AIO__READ_BUFFER,
                              self->offset);
        while (n < 0 && errno == EINTR);
        self->code = n < 0 ? errno : 0;
        if (s) s->held = NULL;
        if (n > 0 && s) self->code = aio_stream_write(s, buffer, (size_t)n);
        if (n > 0 && !s && (n = aio__sock_send(self->socket, buffer, (size_t)n)) < 0) self->code = errno;
        if (s) s->held = &self->stream;
        aio__read_buffer_give(loop, buffer);
    }
    if (!self->code) return n;
    if (!aio__would_block(self->code)) return AIO__IO_FAILED;
    self->code = 0;
    return AIO__IO_AGAIN;
}

/* Sends a piece. After AIO__IO_FAILED without a code it is to be tried again, by copying. */
static ssize_t aio__file_send_piece(struct aio__file_send *self)
{
    size_t wanted = self->count ? self->count - self->result : (size_t)AIO__FILE_PIECE;
    if (wanted > AIO__FILE_PIECE) wanted = AIO__FILE_PIECE;
    if (self->copies) return aio__file_send_copy(self, wanted);
    ssize_t n = -1;
    errno = ENOSYS;
#if AIO__LINUX
    do n = aio__os.sendfile(self->socket, self->file, self->offset, wanted); while (n < 0 && errno == EINTR);
#endif
    if (n >= 0) return n;
    if (aio__would_block(errno)) {
        if (self->stream) aio__descriptor_drained(&self->stream->d, AIO__WRITE);
        return AIO__IO_AGAIN;
    }
    self->copies = !aio__peer_went(errno); /* what else is wrong, if anything is, reading and writing tell better */
    self->code = self->copies ? 0 : errno;
    if (self->stream && self->code) {
        aio__stream_failed(self->stream, self->code, "write", "write to");
        aio__stream_broken(self->stream);
    }
    return AIO__IO_FAILED;
}

/* Before the next piece: for a stream all that was written before it has gone out, or, when it is copied, all that is
 * above the high-water mark. */
static aio_future *aio__file_send_turn(struct aio__file_send *self)
{
    aio_stream *s = self->stream;
    bool full = self->got == AIO__IO_AGAIN;
    if (!self->is_stream) return full ? aio__until_ready(self->socket, AIO__WRITE) : aio_sleep(0);
    if (!s) return aio__failure(ECONNABORTED, "the stream was closed");
    if (s->error || self->copies) return aio_stream_drain(s);
    if (aio__unsent(s)) return aio__drain_future(s);
    return full ? aio__stream_wait(s, AIO__WRITE) : aio_sleep(0);
}

/* 0, or why it cannot be. */
static int aio__file_send_begin(struct aio__file_send *self)
{
    aio_stream *s = self->stream;
    if (self->offset < 0 || (int64_t)(off_t)self->offset != self->offset || (self->is_stream && !s)) return EINVAL;
    if (!s) self->copies = aio__sock_check(self->socket) != 0; /* sendfile would block */
    if (!s) return 0;
    if (s->held) {
        self->stream = NULL;
        return AIO_ERUNTIME;
    }
    if (s->closing || s->wants_eof) return EPIPE;
    s->held = &self->stream;
    self->socket = s->d.fd;
    self->copies = s->tls != NULL;
    return 0;
}

static void aio__file_send_step(struct aio__file_send *self)
{
    if (self->is_stream && !self->stream) return; /* its turn says so */
    ssize_t got = self->got = aio__file_send_piece(self);
    if (got == 0 && self->count) self->code = AIO_EINCOMPLETE;
    if (got > 0) {
        self->offset += got;
        self->result += (size_t)got;
    }
    self->done = got == 0 || self->code || (got > 0 && self->result == self->count);
}

/* The error, if there was one, says how far it came. Who drains meanwhile goes on. */
static void aio__file_send_end(struct aio__file_send *self)
{
    aio_stream *s = self->stream;
    aio_exception *error = self->task.future.error;
    int code = error ? error->code : self->code;
    if (code && code != AIO_ECANCELLED) {
        if (!error && s) error = aio_exception_ref(s->error);
        const char *why = code == AIO_EINCOMPLETE ? "the file ended" : error ? error->message : aio_code_text(code);
        self->task.future.error =
            aio__exception(code, "sendfile", "sendfile: after %zu bytes: %s", self->result, why);
        if (code == AIO_EINCOMPLETE) aio__exception_counts(self->task.future.error, 0, self->count, self->result);
        aio_exception_unref(error);
    }
    if (!s || s->held != &self->stream) return;
    s->held = NULL;
    s->raw_write = false;
    if (!aio__unsent(s)) aio__drained(s, NULL);
}

static AIO_CORO(aio__file_send)
{
    AIO_BEGIN(aio__file_send);
    self->code = aio__file_send_begin(self);
    self->done = self->code != 0;
    while (!self->done) {
        AIO_AWAIT(aio__file_send_turn(self));
        aio__file_send_step(self);
    }
    AIO_FINALLY;
        aio__file_send_end(self);
    AIO_END;
}

static aio_size_task *aio__sendfile(aio_stream *stream, bool is_stream, int fd, int file, int64_t offset, size_t count)
{
    struct aio__file_send *self = (struct aio__file_send *)aio__new_zeroed(sizeof *self, aio__file_send_coro);
    if (!self) return NULL;
    self->count = count;
    self->stream = stream;
    self->socket = fd;
    self->file = file;
    self->is_stream = is_stream;
    self->offset = offset;
    return (aio_size_task *)(void *)self;
}

AIO_API aio_size_task *aio_stream_sendfile(aio_stream *stream, int file, int64_t offset, size_t count)
{
    return aio__sendfile(stream, true, -1, file, offset, count);
}

AIO_API aio_size_task *aio_sock_sendfile(int fd, int file, int64_t offset, size_t count)
{
    return aio__sendfile(NULL, false, fd, file, offset, count);
}

/* ============================================================================
 * 43. Datagrams: UDP endpoints
 *
 * One edge-triggered socket an endpoint; a queue of what could not be sent at once. May call Descriptors and Names.
 * ============================================================================ */

enum {
    AIO__DATAGRAM_MAX = 65535,
    AIO__DATAGRAM_HIGH = 65536, AIO__DATAGRAM_LOW = 16384, /* bytes kept, for drain */
    AIO__DATAGRAM_TEXT = 80    /* of an address */
};

typedef struct aio__kept { /* a datagram that waits for the socket; its bytes follow */
    struct aio__kept *next;
    aio__address      to;      /* length 0: where the socket is connected to */
    size_t            length;
} aio__kept;

struct aio_datagram_endpoint {
    aio__descriptor d;
    aio_loop       *loop;
    aio__node       link;      /* in the loop's ring */
    aio__kept      *first, **last;
    size_t          kept;      /* bytes of them */
    char           *buffer;    /* of the loop's; NULL while nothing is received */
    size_t          limit;
    aio_future     *readable;  /* what the receiver awaits; not owned */
    aio_future     *drained, *closed;
    aio_exception  *error;     /* for the next receive */
    aio_error_received *error_received;
    void           *arg;
    aio__timer     *timer;     /* of closing */
    int             refs;      /* its user, and a receive */
    bool            connected, closing, ended, receiving;
    char            from[AIO__DATAGRAM_TEXT];
};

/* ---- addresses ---- */

/* From the address's bytes. */
static void aio__address_set(aio__address *to, int family, const void *bytes, int port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&to->storage;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&to->storage;
    bool six = family == AF_INET6;
    memset(to, 0, sizeof *to);
    to->length = six ? (socklen_t)sizeof *in6 : (socklen_t)sizeof *in;
    to->storage.ss_family = (sa_family_t)family;
    memcpy(six ? (void *)&in6->sin6_addr : (void *)&in->sin_addr, bytes, six ? 16 : 4);
    *(six ? &in6->sin6_port : &in->sin_port) = htons((uint16_t)port);
}

/* Decimal digits up to `most`: what follows them, or NULL if there are none, or too many. */
static const char *aio__decimal(const char *text, uint64_t most, uint32_t *value)
{
    uint64_t n = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && n <= most; at++) n = n * 10 + (uint64_t)(*at - '0');
    *value = (uint32_t)n;
    return at == text || n > most ? NULL : at;
}

/* "127.0.0.1:53" or "[fe80::1%2]:53". False: it is none. */
static bool aio__datagram_to(const char *text, aio__address *to)
{
    unsigned char bytes[16];
    char host[INET6_ADDRSTRLEN];
    uint32_t port, scope = 0;
    bool six = text[0] == '[';
    size_t length = strcspn(text + six, six ? "%]" : ":");
    if (length >= sizeof host) return false;
    memcpy(host, text + six, length);
    host[length] = 0;
    text += length + six;
    if (six && *text == '%') text = aio__decimal(text + 1, UINT32_MAX, &scope);
    if (six && text) text = *text == ']' ? text + 1 : NULL;
    if (!text || *text != ':') return false;
    text = aio__decimal(text + 1, 65535, &port);
    if (!text || *text || inet_pton(six ? AF_INET6 : AF_INET, host, bytes) != 1) return false;
    aio__address_set(to, six ? AF_INET6 : AF_INET, bytes, (int)port);
    if (six) ((struct sockaddr_in6 *)(void *)&to->storage)->sin6_scope_id = scope;
    return true;
}

/* ---- errors ---- */

/* Takes the exception. */
static void aio__datagram_error(aio_datagram_endpoint *e, aio_exception *exception)
{
    if (e->error_received) {
        e->error_received(e, exception, e->arg);
        aio_exception_unref(exception);
        return;
    }
    aio_exception_unref(e->error);
    e->error = exception;
    aio_future *readable = e->readable;
    if (!readable) return;
    e->readable = NULL;
    aio__descriptor_unwait(e->loop, &e->d, AIO__READ);
    aio__future_finish(readable, AIO__DONE);
}

/* The network, or the system, has said it of a datagram that was kept, or sent before. */
static void aio__datagram_late(aio_datagram_endpoint *e, const char *phase, const char *what, int code)
{
    aio__datagram_error(e, aio__exception(code, phase, "%s: %s", what, strerror(code)));
}

/* What the network says of an earlier datagram, though it is a send that hears it. */
static bool aio__datagram_heard(int code)
{
    static const int codes[] = { ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, 0 };
    return aio__code_in(code, codes);
}

/* What the next receive would say again; whatever else it says is of an earlier datagram. */
static bool aio__datagram_lasting(int code)
{
    static const int codes[] = { EBADF, ENOTSOCK, ENOTCONN, EFAULT, EINVAL, ENOMEM, 0 };
    return aio__code_in(code, codes);
}

/* ---- end ---- */

static void aio__endpoint_unref(aio_datagram_endpoint *e)
{
    if (--e->refs == 0) aio__pool_free(&e->loop->pool, e, sizeof *e);
}

static void aio__endpoint_settle(aio_future **place)
{
    aio_future *future = *place;
    *place = NULL;
    if (future && future->state < AIO__DONE) aio__future_finish(future, AIO__DONE);
    aio_unref(future);
}

/* Closes the socket; who receives hears of it. */
static void aio__endpoint_end(aio_datagram_endpoint *e)
{
    aio_future *readable = e->readable;
    e->ended = e->closing = true;
    aio__timer_cancel(e->loop, e->timer);
    aio__descriptor_remove(e->loop, &e->d);
    aio__os.close(e->d.fd);
    while (e->first) {
        aio__kept *kept = e->first;
        e->first = kept->next;
        aio__free(kept);
    }
    if (e->buffer) aio__read_buffer_give(e->loop, e->buffer);
    e->buffer = NULL;
    aio_exception_unref(e->error);
    e->error = NULL;
    aio__ring_remove(&e->link);
    e->readable = NULL;
    if (readable) aio__future_finish(readable, AIO__DONE);
    aio__endpoint_settle(&e->drained);
    aio__endpoint_settle(&e->closed);
    aio__endpoint_unref(e);
}

static void aio__endpoint_timeout(aio__timer *timer)
{
    aio_datagram_endpoint *e = (aio_datagram_endpoint *)timer->owner;
    e->timer = NULL;
    aio__endpoint_end(e);
}

static void aio__endpoint_close(aio_datagram_endpoint *e)
{
    int64_t when = aio__deadline(aio__os.clock(), AIO__CLOSE_TIMEOUT);
    e->closing = true;
    if (e->first) e->timer = aio__timer_start(e->loop, when, aio__endpoint_timeout, e);
    if (!e->timer) aio__endpoint_end(e);
}

static void aio__endpoints_close(aio_loop *loop, aio__closer *closer)
{
    aio__owned *endpoints = AIO__CONTAINER(closer, aio__owned, closer);
    while (!aio__ring_empty(&endpoints->ring))
        aio__endpoint_end(AIO__CONTAINER(endpoints->ring.next, aio_datagram_endpoint, link));
    while (loop->buffers) aio__free(aio__read_buffer_take(loop));
    loop->endpoints = NULL;
    aio__free(endpoints);
}

/* ---- sending ---- */

/* 0 or a code. An error that belongs to an earlier datagram is taken out of the way first. */
static int aio__datagram_send(aio_datagram_endpoint *e, const aio__address *to, const char *data, size_t length)
{
    struct iovec piece = { (void *)(uintptr_t)data, length };
    struct msghdr message;
    aio__message(&message, &piece, (void *)(uintptr_t)&to->storage, to->length);
    for (int tries = 0;; tries++) {
        ssize_t n;
        do n = aio__os.sendmsg(e->d.fd, &message, AIO__NOSIGNAL); while (n < 0 && errno == EINTR);
        if (n >= 0) return 0;
        int code = errno;
        if (!e->connected || tries || !aio__datagram_heard(code)) return code;
        aio__datagram_late(e, "send", "a datagram was not delivered", code);
    }
}

static void aio__endpoint_on_writable(aio__work *work)
{
    aio_datagram_endpoint *e = (aio_datagram_endpoint *)work->owner;
    while (e->first) {
        aio__kept *kept = e->first;
        int code = aio__datagram_send(e, &kept->to, (const char *)(kept + 1), kept->length);
        if (aio__would_block(code)) {
            aio__descriptor_drained(&e->d, AIO__WRITE);
            aio__descriptor_wait(e->loop, &e->d, AIO__WRITE);
            break;
        }
        if (code) aio__datagram_late(e, "send", "a datagram could not be sent", code);
        e->first = kept->next;
        if (!e->first) e->last = &e->first;
        e->kept -= kept->length;
        bool over = aio__turn_spent(e->loop, kept->length, 1);
        aio__free(kept);
        if (over && e->first) {
            aio__descriptor_wait(e->loop, &e->d, AIO__WRITE);
            break;
        }
    }
    if (e->kept <= AIO__DATAGRAM_LOW) aio__endpoint_settle(&e->drained);
    if (!e->first && e->closing) aio__endpoint_end(e);
}

static int aio__datagram_keep(aio_datagram_endpoint *e, const aio__address *to, const void *data, size_t length)
{
    aio__kept *kept = (aio__kept *)aio__malloc(sizeof *kept + length);
    if (!kept) return ENOMEM;
    kept->next = NULL;
    kept->to = *to;
    kept->length = length;
    if (length) memcpy(kept + 1, data, length);
    *e->last = kept;
    e->last = &kept->next;
    e->kept += length;
    aio__descriptor_wait(e->loop, &e->d, AIO__WRITE);
    return 0;
}

AIO_API int aio_datagram_sendto(aio_datagram_endpoint *endpoint, const void *data, size_t length, const char *address)
{
    aio_datagram_endpoint *e = endpoint;
    aio__address to;
    to.length = 0;
    if (!e || (!data && length)) return EINVAL;
    if (e->closing) return EPIPE;
    if (!address && !e->connected) return EDESTADDRREQ;
    if (address && e->connected) return EISCONN;
    if (address && !aio__datagram_to(address, &to)) return EINVAL;
    if (length > AIO__DATAGRAM_MAX) return EMSGSIZE;
    if (!e->first) {
        int code = aio__datagram_send(e, &to, (const char *)data, length);
        if (!aio__would_block(code)) return code;
        aio__descriptor_drained(&e->d, AIO__WRITE);
    }
    return aio__datagram_keep(e, &to, data, length);
}

AIO_API aio_future *aio_datagram_drain(aio_datagram_endpoint *endpoint)
{
    aio_datagram_endpoint *e = endpoint;
    if (!e) return aio__failure(EINVAL, "drain of no endpoint");
    if (e->kept <= AIO__DATAGRAM_HIGH) return &e->loop->done;
    if (!e->drained) {
        e->drained = (aio_future *)aio__future_make(e->loop, &aio__drain_ops, sizeof *e->drained, NULL, 0);
        if (!e->drained) return NULL;
        e->drained->flags |= AIO__F_SHARED | AIO__F_QUIET;
    }
    return (aio_future *)aio_ref(e->drained);
}

/* ---- receiving ---- */

typedef struct aio__readable { /* a future for the socket's readiness */
    aio_future             future;
    aio_datagram_endpoint *endpoint; /* a reference */
} aio__readable;

static void aio__readable_leave(aio__readable *r)
{
    aio_datagram_endpoint *e = r->endpoint;
    if (e->readable != &r->future) return;
    e->readable = NULL;
    aio__descriptor_unwait(e->loop, &e->d, AIO__READ);
    if (e->error_received) aio__descriptor_wait(e->loop, &e->d, AIO__ERROR);
}

static bool aio__readable_cancel(aio_future *future, aio_exception *why)
{
    aio__readable_leave((aio__readable *)(void *)future);
    aio__future_fail(future, aio_exception_ref(why));
    return true;
}

static void aio__readable_destroy(aio_future *future)
{
    aio__readable *r = (aio__readable *)(void *)future;
    aio__readable_leave(r);
    aio__endpoint_unref(r->endpoint);
}

static const aio__ops aio__readable_ops = { "datagram", aio__readable_cancel, aio__readable_destroy, NULL };

/* The callback hears of a refusal when it comes, and not with the next call; it may close the endpoint. */
static void aio__endpoint_hear(aio_datagram_endpoint *e)
{
    int code = 0;
    socklen_t length = sizeof code;
    if (!e->error_received) return;
    if (e->d.ready & AIO__ERROR) {
        e->d.ready = (uint8_t)(e->d.ready & ~AIO__ERROR);
        if (aio__os.getsockopt(e->d.fd, SOL_SOCKET, SO_ERROR, &code, &length) == 0 && code)
            aio__datagram_late(e, "receive", "a datagram was not delivered", code);
    }
    if (!e->ended) aio__descriptor_wait(e->loop, &e->d, AIO__ERROR);
}

static void aio__endpoint_on_readable(aio__work *work)
{
    aio_datagram_endpoint *e = (aio_datagram_endpoint *)work->owner;
    aio__endpoint_hear(e);
    if (e->ended) return;
    aio_future *readable = e->readable;
    e->readable = NULL;
    if (readable) aio__finish_and_step(e->loop, readable);
}

static aio_future *aio__endpoint_readable(aio_datagram_endpoint *e)
{
    aio__readable *r = (aio__readable *)aio__future_make(e->loop, &aio__readable_ops, sizeof *r, NULL, 0);
    if (!r) return NULL;
    r->endpoint = e;
    e->refs++;
    e->readable = &r->future;
    aio__descriptor_wait(e->loop, &e->d, AIO__READ);
    return &r->future;
}

/* One datagram into the endpoint's buffer. 0; EAGAIN, also when an error of an earlier one has gone its way; a code. */
static int aio__datagram_recv(aio_datagram_endpoint *e, aio_datagram *datagram)
{
    struct sockaddr_storage from;
    struct msghdr message;
    if (!e->buffer && !(e->buffer = aio__read_buffer_take(e->loop))) return ENOMEM;
    struct iovec piece = { e->buffer, e->limit };
    memset(&from, 0, sizeof from);
    aio__message(&message, &piece, &from, sizeof from);
    ssize_t n;
    do n = aio__os.recvmsg(e->d.fd, &message, 0); while (n < 0 && errno == EINTR);
    if (n < 0) {
        int code = errno;
        if (aio__would_block(code)) aio__descriptor_drained(&e->d, AIO__READ);
        else if (aio__datagram_lasting(code)) return code;
        else aio__datagram_late(e, "receive", "a datagram was not delivered", code);
        return EAGAIN;
    }
    aio__address_text(&from, message.msg_namelen, e->from, sizeof e->from);
    if (message.msg_flags & MSG_TRUNC) {
        aio__datagram_error(e, aio__exception(EMSGSIZE, "receive",
            "a datagram from %s is longer than the limit of %zu bytes", e->from, e->limit));
        return EAGAIN;
    }
    e->buffer[n] = 0;
    datagram->data = e->buffer;
    datagram->length = (size_t)n;
    datagram->address = e->from;
    return 0;
}

struct aio__receiving { aio_task task; aio_datagram result; aio_datagram_endpoint *endpoint; aio_exception *error;
                        bool mine; };

/* True: that is its end. */
static bool aio__receiving_fails(struct aio__receiving *self, int code, const char *why)
{
    self->error = aio__exception(code, "receive", "receive a datagram: %s", why);
    return true;
}

/* The result, or the error. False: there is nothing yet, or the others are to have their turn first. */
static bool aio__datagram_next(struct aio__receiving *self)
{
    aio_datagram_endpoint *e = self->endpoint;
    bool first = !self->mine;
    if (e->ended) return aio__receiving_fails(self, AIO_ESTOPITERATION, "the endpoint was closed");
    if (first && e->receiving) return aio__receiving_fails(self, AIO_ERUNTIME, "another coroutine is receiving");
    if (first) e->refs++;
    e->receiving = self->mine = true;
    self->error = e->error;
    e->error = NULL;
    if (self->error) return true;
    if (aio__turn_over(e->loop)) return false;
    int code = aio__datagram_recv(e, &self->result);
    aio__turn_spent(e->loop, code ? 0 : self->result.length, 1);
    if (aio__would_block(code)) {
        aio__read_buffer_give(e->loop, e->buffer);
        e->buffer = NULL;
        return false;
    }
    return !code || aio__receiving_fails(self, code, strerror(code));
}

static void aio__receiving_end(struct aio__receiving *self)
{
    if (self->error) self->task.future.error = self->error;
    if (!self->mine) return;
    self->endpoint->receiving = false;
    aio__endpoint_unref(self->endpoint);
}

static AIO_CORO(aio__receiving)
{
    AIO_BEGIN(aio__receiving);
    while (!aio__datagram_next(self)) AIO_AWAIT(aio__endpoint_readable(self->endpoint));
    AIO_FINALLY;
        aio__receiving_end(self);
    AIO_END;
}

AIO_API aio_datagram_task *aio_datagram_receive(aio_datagram_endpoint *endpoint)
{
    if (!endpoint) return (aio_datagram_task *)(void *)aio__failure(EINVAL, "receive from no endpoint");
    struct aio__receiving *self = (struct aio__receiving *)aio__new_zeroed(sizeof *self, aio__receiving_coro);
    if (self) self->endpoint = endpoint;
    return (aio_datagram_task *)(void *)self;
}

/* ---- beginning ---- */

/* Takes the descriptor, unless it fails: NULL with errno. */
static aio_datagram_endpoint *aio__endpoint_new(aio_loop *loop, int fd, bool connected, const aio_endpoint_options *o)
{
    aio__owned *endpoints =
        (aio__owned *)aio__owned_of(loop, &loop->endpoints, sizeof *endpoints, aio__endpoints_close);
    aio_datagram_endpoint *e = endpoints ? (aio_datagram_endpoint *)aio__pool_alloc(&loop->pool, sizeof *e) : NULL;
    errno = ENOMEM;
    if (!e) return NULL;
    memset(e, 0, sizeof *e);
    e->loop = loop;
    e->refs = 1;
    e->last = &e->first;
    e->limit = o->limit && o->limit < AIO__DATAGRAM_MAX ? o->limit : (size_t)AIO__DATAGRAM_MAX;
    e->error_received = o->error_received;
    e->arg = o->arg;
    e->connected = connected;
    e->d.reader.run = aio__endpoint_on_readable;
    e->d.writer.run = aio__endpoint_on_writable;
    e->d.reader.owner = e->d.writer.owner = e;
    if (aio__descriptor_add(loop, &e->d, fd) == 0) {
        e->d.ready = AIO__READ | AIO__WRITE;
        aio__ring_insert(&endpoints->ring, &e->link);
        aio__endpoint_hear(e);
        return e;
    }
    int code = errno;
    aio__pool_free(&loop->pool, e, sizeof *e);
    errno = code;
    return NULL;
}

static aio_endpoint_options aio__endpoint_plain; /* no option is set; never written to */

/* A socket with its options, bound and connected as wanted: NULL for none, but not for both. -1 with errno. */
static int aio__endpoint_socket(const aio__address *local, const aio__address *remote, const aio_endpoint_options *o)
{
    int one = 1, status = 0;
    int fd = aio__socket((remote ? remote : local)->storage.ss_family, SOCK_DGRAM);
    if (fd < 0) return -1;
    if (o->broadcast) status = aio__os.setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one);
#ifdef SO_REUSEPORT
    if (!status && o->reuse_port) status = aio__os.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
#endif
    if (!status && local) status = aio__os.bind(fd, (const struct sockaddr *)&local->storage, local->length);
    if (!status && remote)
        do status = aio__os.connect(fd, (const struct sockaddr *)&remote->storage, remote->length);
        while (status < 0 && errno == EINTR);
    return status ? aio__close_failed(fd) : fd;
}

/* An endpoint over such a socket. NULL with errno. */
static aio_datagram_endpoint *aio__endpoint_open(aio_loop *loop, const aio__address *local, const aio__address *remote,
                                                 const aio_endpoint_options *o)
{
    int fd = aio__endpoint_socket(local, remote, o);
    aio_datagram_endpoint *e = fd < 0 ? NULL : aio__endpoint_new(loop, fd, remote != NULL, o);
    if (!e && fd >= 0) aio__close_failed(fd);
    return e;
}

struct aio__open_endpoint {
    aio_task               task;
    aio_datagram_endpoint *result;
    aio_endpoint_options   options;
    aio__lookup_future    *lookups[2]; /* local, remote; NULL: not wanted */
    bool                   binds;
    int                    i, code;
    char                   message[400];
    char                   text[1]; /* both hosts */
};

/* The i-th try: 0, or a code, whose text is then in the message. */
static int aio__endpoint_try(struct aio__open_endpoint *self, int i)
{
    aio__lookup_future *local = self->lookups[0], *remote = self->lookups[1];
    const aio__address *to = &(remote ? remote : local)->result->at[i], *from = to;
    char address[AIO__DATAGRAM_TEXT];
    errno = EADDRNOTAVAIL;
    if (!remote || aio__local_for(local, to->storage.ss_family, &from))
        self->result = aio__endpoint_open(self->task.future.loop, from, remote ? to : NULL, &self->options);
    if (self->result) return 0;
    int code = errno;
    size_t used = strlen(self->message);
    snprintf(self->message + used, sizeof self->message - used, "%sdatagrams %s %s: %s", used ? "; " : "",
             remote ? "to" : "at", aio__address_text(&to->storage, to->length, address, sizeof address),
             strerror(code));
    return code;
}

/* The caller's own socket: 0, or a code with its message. */
static int aio__endpoint_take(struct aio__open_endpoint *self)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    int fd = self->options.sock;
    bool connected = aio__os.getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
    if (aio__fd_prepare(fd) == 0)
        self->result = aio__endpoint_new(self->task.future.loop, fd, connected, &self->options);
    if (self->result) return 0;
    int code = errno;
    snprintf(self->message, sizeof self->message, "datagrams of socket %d: %s", fd, strerror(code));
    return code;
}

static int aio__endpoint_begin(struct aio__open_endpoint *self)
{
    const aio__lookup_future *first = self->lookups[self->lookups[1] != NULL];
    int code = self->options.sock ? aio__endpoint_take(self) : AIO_ERESOLVE;
    for (int i = 0; first && i < first->result->count && code; i++) code = aio__endpoint_try(self, i);
    return code;
}

/* Local, remote: what is wanted of it is looked up. NULL without memory. */
static aio_future *aio__endpoint_lookup(struct aio__open_endpoint *self, int i)
{
    const aio_endpoint_options *o = &self->options;
    aio_loop *loop = self->task.future.loop;
    if (i ? !o->remote_host : !self->binds) return &loop->done;
    self->lookups[i] = aio__resolve(loop, i ? o->remote_host : o->local_host, i ? o->remote_port : o->local_port,
                                    o->family, i ? 0 : AI_PASSIVE);
    return (aio_future *)aio_ref(self->lookups[i]);
}

static AIO_CORO(aio__open_endpoint)
{
    AIO_BEGIN(aio__open_endpoint);
    for (self->i = 0; self->i < 2; self->i++) AIO_AWAIT(aio__endpoint_lookup(self, self->i));
    self->code = aio__endpoint_begin(self);
    if (self->code) AIO_RAISE(self->code, "%s", self->message);
    AIO_FINALLY;
        aio_unref_all(self->lookups, 2);
    AIO_END;
}

AIO_API aio_endpoint_task *aio_create_datagram_endpoint_with(const aio_endpoint_options *o)
{
    AIO__DEFAULTS(aio_endpoint_options, o);
    size_t texts = aio__text_size(o->local_host) + aio__text_size(o->remote_host);
    struct aio__open_endpoint *self =
        (struct aio__open_endpoint *)aio__new_zeroed(sizeof *self + texts, aio__open_endpoint_coro);
    if (!self) return NULL;
    char *at = self->text;
    self->options = *o;
    self->options.local_host = aio__keep(&at, o->local_host);
    self->options.remote_host = aio__keep(&at, o->remote_host);
    self->binds = !o->sock && (o->local_host || o->local_port || !o->remote_host);
    if (o->sock) self->options.remote_host = NULL;
    return (aio_endpoint_task *)(void *)self;
}

AIO_API void aio_datagram_close(aio_datagram_endpoint *endpoint)
{
    if (endpoint && !endpoint->closing) aio__endpoint_close(endpoint);
}

AIO_API aio_future *aio_datagram_wait_closed(aio_datagram_endpoint *endpoint)
{
    aio_datagram_endpoint *e = endpoint;
    if (!e || e->closing) return aio__failure(EINVAL, "wait_closed of an endpoint that is not the caller's");
    aio_future *closed = (aio_future *)aio__future_make(e->loop, &aio__closed_ops, sizeof *closed, NULL, 0);
    if (closed) e->closed = (aio_future *)aio_ref(closed);
    aio__endpoint_close(e);
    return closed;
}

AIO_API void aio_datagram_abort(aio_datagram_endpoint *endpoint)
{
    if (endpoint && !endpoint->closing) aio__endpoint_end(endpoint);
}

AIO_API int aio_datagram_fileno(const aio_datagram_endpoint *endpoint) { return endpoint ? endpoint->d.fd : -1; }

AIO_API const char *aio_datagram_sockname(const aio_datagram_endpoint *endpoint, char *buffer, size_t size)
{
    return endpoint ? aio__stream_name(endpoint->d.fd, false, buffer, size) : "";
}

AIO_API const char *aio_datagram_peername(const aio_datagram_endpoint *endpoint, char *buffer, size_t size)
{
    return endpoint ? aio__stream_name(endpoint->d.fd, true, buffer, size) : "";
}

AIO_API int aio_datagram_port(const aio_datagram_endpoint *endpoint)
{
    char name[AIO__DATAGRAM_TEXT];
    const char *colon = endpoint ? strrchr(aio_datagram_sockname(endpoint, name, sizeof name), ':') : NULL;
    return colon ? (int)strtol(colon + 1, NULL, 10) : 0;
}

/* ============================================================================
 * 44. Resolver: DNS messages and servers
 *
 * A stub resolver (RFC 1035, 2308, 5452, 6891): the strict reading of messages, an endpoint for one question each, TCP
 * where UDP does not do, servers in turn, the cache, aliases, the hosts file and the search list. One question is asked
 * once at a time, however many wait for its answer. Owns resolvers and what they give. May call names, streams,
 * datagrams and what is above.
 * ============================================================================ */

enum {
    AIO__DNS_NAME = 255,        /* bytes of a name in a message */
    AIO__DNS_TEXT = 1024,       /* of one as text, every byte escaped */
    AIO__DNS_UDP = 1232,        /* bytes of a reply over UDP that every network lets through whole */
    AIO__DNS_QUERY = 2 + 12 + AIO__DNS_NAME + 4 + 11,
    AIO__DNS_SERVERS = 16, AIO__DNS_SEARCH = 16, AIO__DNS_NDOTS = 15,
    AIO__DNS_CHAIN = 16,        /* aliases followed */
    AIO__DNS_STRANGERS = 32,    /* replies that do not fit, after which TCP is asked: somebody guesses */
    AIO__DNS_KEPT = 4096,       /* bytes of an answer that the cache takes */
    AIO__DNS_BUCKETS = 1 << 16, /* of the cache at most, however many answers it may keep */
    AIO__DNS_FILE = 1 << 20
};
#define AIO__DNS_PATIENCE 0.25
#define AIO__DNS_CLOSED   "the resolver was closed"
enum { AIO__DNS_OK = 0, AIO__DNS_FORMERR = 1, AIO__DNS_SERVFAIL = 2, AIO__DNS_NXDOMAIN = 3, AIO__DNS_NOTIMP = 4 };

/* ---- messages ---- */

typedef struct aio__dns_name { /* labels with their lengths, the empty one last; as in a message, without pointers */
    uint8_t       length;      /* 0: no name */
    unsigned char wire[AIO__DNS_NAME];
} aio__dns_name;

typedef struct aio__dns_record { /* one in a message */
    aio__dns_name name;
    int           type, class_;
    uint32_t      ttl;
    size_t        at, length;  /* of its data */
} aio__dns_record;

/* What becomes of a name in one message: FOUND records; NONE of that type; NXDOMAIN; an alias that leads ELSEWHERE. */
enum { AIO__DNS_FOUND, AIO__DNS_NONE, AIO__DNS_NO_NAME, AIO__DNS_ELSEWHERE, AIO__DNS_TOO_LONG };

typedef struct aio__dns_message { /* a reply that was checked; of the loop's pool, shared by the cache and who asked */
    int           refs, server;
    int64_t       made;        /* on the loop's clock */
    size_t        length;
    unsigned char data[1];
} aio__dns_message;

typedef struct aio__dns_found { /* what a question has come to */
    aio__dns_message *message; /* a reference, or NULL */
    aio__dns_name     name;    /* where the aliases ended */
    int               type, fate;
    uint32_t          age;     /* seconds in the cache */
    bool              cached;
} aio__dns_found;

typedef struct aio__dns_question {
    aio__dns_name name;        /* its letters in the case in which they are asked */
    int           type, id;
    bool          cased, edns;
    size_t        length;      /* of the query in `packet`, behind two bytes for TCP */
    unsigned char packet[AIO__DNS_QUERY];
} aio__dns_question;

static int aio__dns_u16(const unsigned char *at) { return at[0] << 8 | at[1]; }

static uint32_t aio__dns_u32(const unsigned char *at)
{
    return (uint32_t)aio__dns_u16(at) << 16 | (uint32_t)aio__dns_u16(at + 2);
}

static unsigned char *aio__dns_put16(unsigned char *at, int value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
    return at + 2;
}

static void aio__dns_name_copy(aio__dns_name *to, const aio__dns_name *from)
{
    to->length = from->length;
    memcpy(to->wire, from->wire, from->length);
}

/* "www.example.com", with or without its last dot. False: an empty label or one above 63 bytes, above 255 bytes in all,
 * or bytes that no host has (an international name must come encoded). */
static bool aio__dns_name_parse(aio__dns_name *name, const char *text, size_t length)
{
    size_t used = 0, at = 0;
    name->length = 0;
    if (length == 1 && *text == '.') at = 1;
    else if (!length) return false;
    while (at < length) {
        const char *dot = (const char *)memchr(text + at, '.', length - at);
        size_t n = dot ? (size_t)(dot - text) - at : length - at;
        if (!n || n > 63 || used + n + 2 > AIO__DNS_NAME) return false;
        for (size_t i = at; i < at + n; i++)
            if (text[i] <= ' ' || text[i] >= 0x7F || text[i] == '\\') return false;
        name->wire[used] = (unsigned char)n;
        memcpy(name->wire + used + 1, text + at, n);
        used += n + 1;
        at += n + 1;
    }
    name->wire[used] = 0;
    name->length = (uint8_t)(used + 1);
    return true;
}

/* Takes the name at *at, and moves *at behind it. A pointer must lead to before the place that it is reached from, and
 * not into the header, so there is no going round. RFC 1035 4.1.4 */
static bool aio__dns_name_read(aio__dns_name *name, const unsigned char *data, size_t length, size_t *at)
{
    size_t here = *at, used = 0, floor_ = *at;
    bool jumped = false;
    for (;;) {
        if (here >= length) return false;
        size_t n = data[here];
        if (n >= 0xC0) {
            if (here + 1 >= length) return false;
            size_t to = (n & 0x3F) << 8 | data[here + 1];
            if (!jumped) *at = here + 2;
            jumped = true;
            if (to >= floor_ || to < 12) return false;
            here = floor_ = to;
            continue;
        }
        if (n > 63 || n + 1 > length - here || used + n + 1 > AIO__DNS_NAME) return false;
        memcpy(name->wire + used, data + here, n + 1);
        used += n + 1;
        here += n + 1;
        if (n == 0) break;
    }
    if (!jumped) *at = here;
    name->length = (uint8_t)used;
    return true;
}

/* Lengths are below 'A': lowering the whole wire form leaves them alone. */
static unsigned char aio__dns_lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c; }

static bool aio__dns_name_equal(const aio__dns_name *a, const aio__dns_name *b)
{
    if (a->length != b->length) return false;
    for (size_t i = 0; i < a->length; i++)
        if (aio__dns_lower(a->wire[i]) != aio__dns_lower(b->wire[i])) return false;
    return true;
}

/* Without the last dot, "." for the root; gives its length. `text` has AIO__DNS_TEXT bytes. RFC 4343 2.1 */
static size_t aio__dns_name_text(const aio__dns_name *name, char *text)
{
    size_t used = 0;
    for (size_t at = 0; at < name->length && name->wire[at]; at += name->wire[at] + (size_t)1) {
        if (at) text[used++] = '.';
        for (size_t i = at + 1; i <= at + name->wire[at]; i++) {
            unsigned c = name->wire[i];
            bool plain = c > ' ' && c < 0x7F && c != '.' && c != '\\';
            if (plain) text[used++] = (char)c;
            else used += (size_t)snprintf(text + used, 5, "\\%03u", c);
        }
    }
    if (!used) text[used++] = '.';
    text[used] = 0;
    return used;
}

/* Takes the record at *at: its frame only. */
static bool aio__dns_record_read(const unsigned char *data, size_t length, size_t *at, aio__dns_record *record)
{
    if (!aio__dns_name_read(&record->name, data, length, at) || length - *at < 10) return false;
    const unsigned char *fixed = data + *at;
    record->type = aio__dns_u16(fixed);
    record->class_ = aio__dns_u16(fixed + 2);
    record->ttl = aio__dns_u32(fixed + 4);
    if (record->ttl > INT32_MAX) record->ttl = 0; /* RFC 2181 8 */
    record->length = (size_t)aio__dns_u16(fixed + 8);
    record->at = *at + 10;
    *at = record->at + record->length;
    return *at <= length;
}

typedef struct aio__dns_type { /* how a type's data is made up: bytes, names, bytes; not TXT's, which is strings */
    uint8_t type, before, names, after;
    char    text[8];
} aio__dns_type;

/* NULL: data of that type is bytes to us. */
static const aio__dns_type *aio__dns_type_of(int type)
{
    static const aio__dns_type types[] = {
        { AIO_DNS_A, 4, 0, 0, "A" }, { AIO_DNS_NS, 0, 1, 0, "NS" }, { AIO_DNS_CNAME, 0, 1, 0, "CNAME" },
        { AIO_DNS_SOA, 0, 2, 20, "SOA" }, { AIO_DNS_PTR, 0, 1, 0, "PTR" }, { AIO_DNS_MX, 2, 1, 0, "MX" },
        { AIO_DNS_TXT, 0, 0, 0, "TXT" }, { AIO_DNS_AAAA, 16, 0, 0, "AAAA" }, { AIO_DNS_SRV, 6, 1, 0, "SRV" },
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type) return &types[i];
    return NULL;
}

/* Whether the data is what its type says, to the byte. */
static bool aio__dns_data_valid(const unsigned char *data, const aio__dns_record *record)
{
    const aio__dns_type *shape = aio__dns_type_of(record->type);
    size_t at = record->at, end = record->at + record->length;
    aio__dns_name name;
    if (record->class_ != 1 || !shape) return true;
    if (record->type == AIO_DNS_TXT) {
        while (at < end) at += data[at] + (size_t)1;
        return at == end && record->length;
    }
    at += shape->before;
    for (int i = 0; i < shape->names; i++)
        if (!aio__dns_name_read(&name, data, end, &at)) return false;
    return at + shape->after == end;
}

/* Whether all records that the header counts are there, are well made, and end where the message ends. */
static bool aio__dns_whole(const unsigned char *data, size_t length, size_t at)
{
    int sections[3] = { aio__dns_u16(data + 6), aio__dns_u16(data + 8), aio__dns_u16(data + 10) }, options = 0;
    aio__dns_record record;
    for (int section = 0; section < 3; section++)
        for (int i = 0; i < sections[section]; i++) {
            if (!aio__dns_record_read(data, length, &at, &record) || !aio__dns_data_valid(data, &record)) return false;
            if (record.type != 41) continue; /* OPT: RFC 6891 6.1.1 */
            if (section != 2 || record.name.length != 1 || options++) return false;
        }
    return at == length;
}

enum { AIO__DNS_FITS, AIO__DNS_STRANGER, AIO__DNS_CUT, AIO__DNS_BROKEN };

/* Whether a message answers the question: id, question, direction. A stranger's is passed over; BROKEN is the
 * server's own. */
static int aio__dns_judge(const unsigned char *data, size_t length, const aio__dns_question *question)
{
    size_t at = 12;
    aio__dns_name name;
    if (length < 12 || aio__dns_u16(data) != question->id || (data[2] & 0xF8) != 0x80) return AIO__DNS_STRANGER;
    int rcode = data[3] & 15;
    bool refused = rcode == AIO__DNS_FORMERR || rcode == AIO__DNS_NOTIMP;
    if (length == 12 && refused && !aio__dns_u16(data + 4)) return AIO__DNS_FITS; /* of servers that know no EDNS */
    if (aio__dns_u16(data + 4) != 1 || !aio__dns_name_read(&name, data, length, &at) || length - at < 4)
        return AIO__DNS_STRANGER;
    if (!aio__dns_name_equal(&name, &question->name)) return AIO__DNS_STRANGER;
    if (question->cased && memcmp(name.wire, question->name.wire, name.length) != 0) return AIO__DNS_STRANGER;
    if (aio__dns_u16(data + at) != question->type || aio__dns_u16(data + at + 2) != 1) return AIO__DNS_STRANGER;
    if (data[2] & 2) return AIO__DNS_CUT;
    return aio__dns_whole(data, length, at + 4) ? AIO__DNS_FITS : AIO__DNS_BROKEN;
}

static int aio__dns_rcode(const aio__dns_message *message) { return message->data[3] & 15; }

typedef struct aio__dns_walk { /* through the records behind a message's question */
    const aio__dns_message *message;
    size_t                  at;
    int                     answers, left;
    aio__dns_record         record;
} aio__dns_walk;

/* Before the answers and so many records of what follows them. */
static void aio__dns_walk_begin(aio__dns_walk *walk, const aio__dns_message *message, int more)
{
    const unsigned char *data = message->data;
    walk->message = message;
    walk->at = 12;
    walk->answers = walk->left = 0;
    if (!aio__dns_u16(data + 4) || !aio__dns_name_read(&walk->record.name, data, message->length, &walk->at)) return;
    walk->at += 4;
    walk->answers = aio__dns_u16(data + 6);
    walk->left = walk->answers + more;
}

/* The next record of the Internet's class and, unless that is NULL, of that name. */
static bool aio__dns_walk_on(aio__dns_walk *walk, const aio__dns_name *name)
{
    aio__dns_record *record = &walk->record;
    while (walk->left-- > 0 && aio__dns_record_read(walk->message->data, walk->message->length, &walk->at, record))
        if (record->class_ == 1 && (!name || aio__dns_name_equal(&record->name, name))) return true;
    return false;
}

/* The SOA of a negative answer: how long it holds, in seconds; -1: there is none. RFC 2308 5 */
static int64_t aio__dns_denial(const aio__dns_message *message)
{
    aio__dns_walk walk;
    const aio__dns_record *record = &walk.record;
    int authorities = aio__dns_u16(message->data + 8);
    aio__dns_walk_begin(&walk, message, authorities);
    while (aio__dns_walk_on(&walk, NULL)) {
        if (walk.left >= authorities || record->type != AIO_DNS_SOA) continue;
        uint32_t minimum = aio__dns_u32(message->data + record->at + record->length - 4);
        if (minimum > INT32_MAX) minimum = 0;
        return minimum < record->ttl ? minimum : record->ttl;
    }
    return -1;
}

/* One step from a name: its records of that type, or else its alias. Lowers *ttl to theirs. */
static bool aio__dns_step(const aio__dns_message *message, const aio__dns_name *name, int type, aio__dns_name *alias,
                          uint32_t *ttl)
{
    aio__dns_walk walk;
    const aio__dns_record *record = &walk.record;
    bool found = false;
    uint32_t alias_ttl = UINT32_MAX;
    alias->length = 0;
    aio__dns_walk_begin(&walk, message, 0);
    while (aio__dns_walk_on(&walk, name)) {
        if (record->type == type) {
            found = true;
            if (record->ttl < *ttl) *ttl = record->ttl;
        } else if (record->type == AIO_DNS_CNAME && !alias->length) {
            size_t target = record->at;
            alias_ttl = record->ttl;
            if (!aio__dns_name_read(alias, message->data, message->length, &target)) alias->length = 0;
        }
    }
    if (!found && alias->length && alias_ttl < *ttl) *ttl = alias_ttl;
    return found;
}

/* Follows the name through the message's aliases, to where they end. Other names' records count for nothing. */
static int aio__dns_follow(const aio__dns_message *message, aio__dns_name *name, int type, int *hops, uint32_t *ttl)
{
    aio__dns_name alias;
    bool moved = false;
    while (!aio__dns_step(message, name, type, &alias, ttl)) {
        if (!alias.length) {
            if (aio__dns_rcode(message) == AIO__DNS_NXDOMAIN) return AIO__DNS_NO_NAME;
            return moved && aio__dns_denial(message) < 0 ? AIO__DNS_ELSEWHERE : AIO__DNS_NONE;
        }
        if (++*hops > AIO__DNS_CHAIN) return AIO__DNS_TOO_LONG;
        aio__dns_name_copy(name, &alias);
        moved = true;
    }
    return AIO__DNS_FOUND;
}

/* Writes the query. 0, or an errno of the source of random numbers. */
static int aio__dns_ask(aio__dns_question *question)
{
    static const unsigned char opt[11] = { 0, 0, 41, AIO__DNS_UDP >> 8, AIO__DNS_UDP & 255 };
    unsigned char random[2 + AIO__DNS_NAME / 8 + 1], *at = question->packet + 2;
    if (aio__os.getentropy(random, sizeof random) < 0) return errno;
    question->id = aio__dns_u16(random);
    for (size_t i = 0; question->cased && i < question->name.length; i++) {
        unsigned char c = aio__dns_lower(question->name.wire[i]);
        bool upper = c >= 'a' && c <= 'z' && (random[2 + i / 8] >> (i & 7) & 1);
        question->name.wire[i] = upper ? (unsigned char)(c - 32) : c;
    }
    memset(at, 0, 12);
    aio__dns_put16(at, question->id);
    at[2] = 1; /* recursion desired */
    at[5] = 1; /* one question */
    at[11] = question->edns; /* one record behind it */
    memcpy(at + 12, question->name.wire, question->name.length);
    at = aio__dns_put16(at + 12 + question->name.length, question->type);
    at = aio__dns_put16(at, 1);
    memcpy(at, opt, sizeof opt);
    if (question->edns) at += sizeof opt;
    question->length = (size_t)(at - question->packet) - 2;
    aio__dns_put16(question->packet, (int)question->length);
    return 0;
}

/* ---- a loop's resolvers ---- */

typedef struct aio__dns_all {
    aio__owned owned; /* resolvers */
    unsigned   opened; /* how many, ever */
    aio__node  given; /* addresses and answers that users have */
} aio__dns_all;

typedef struct aio__dns_server {
    aio__address address;
    bool         plain;        /* it knows no EDNS */
    char         text[64];
} aio__dns_server;

typedef struct aio__dns_entry { /* of the cache */
    aio__node              link; /* by use, latest last */
    struct aio__dns_entry *next; /* in its bucket */
    uint32_t               hash;
    int                    type;
    int64_t                until;
    aio__dns_name          name;
    aio__dns_message      *message;
} aio__dns_entry;

typedef struct aio__dns_bucket { /* by name and type */
    aio__dns_entry        *kept;
    struct aio__dns_lookup *asked; /* those on their way */
} aio__dns_bucket;

typedef struct aio__dns {
    aio_resolver     base;     /* first */
    aio__node        link;
    aio_loop        *loop;
    aio__dns_all    *all;
    unsigned         number;   /* among those ever opened */
    int              refs;
    bool             closed, rotate, cased;
    int              ndots, seconds, attempts, server_count, search_count; /* seconds: as files say it */
    unsigned         current;  /* server */
    double           timeout;
    int64_t          max_ttl, negative_ttl; /* seconds */
    char            *hosts;    /* the file's text, or NULL */
    aio__node        used;     /* entries */
    aio__dns_bucket *buckets;
    size_t           entry_count, entry_limit, bucket_count;
    aio__dns_server  servers[AIO__DNS_SERVERS];
    aio__dns_name    search[AIO__DNS_SEARCH];
} aio__dns;

static aio__dns *aio__dns_ref(aio__dns *dns)
{
    dns->refs++;
    return dns;
}

static aio__dns_message *aio__dns_message_new(aio_loop *loop, const char *data, size_t length)
{
    aio__dns_message *message = (aio__dns_message *)aio__pool_alloc(&loop->pool, sizeof *message + length);
    if (!message) return NULL;
    message->refs = 1;
    message->server = 0;
    message->made = aio__os.clock();
    message->length = length;
    memcpy(message->data, data, length);
    return message;
}

static aio__dns_message *aio__dns_message_ref(aio__dns_message *message)
{
    if (message) message->refs++;
    return message;
}

/* Gives back the message at that place, which becomes NULL; it may be NULL. */
static void aio__dns_message_drop(aio_loop *loop, aio__dns_message **place)
{
    aio__dns_message *message = *place;
    *place = NULL;
    if (message && --message->refs == 0) aio__pool_free(&loop->pool, message, sizeof *message + message->length);
}

/* ---- the cache ---- */

static uint32_t aio__dns_hash(const aio__dns_name *name, int type)
{
    uint32_t hash = 2166136261u ^ (uint32_t)type;
    for (size_t i = 0; i < name->length; i++) hash = (hash ^ aio__dns_lower(name->wire[i])) * 16777619u;
    return hash ^ hash >> 15;
}

static aio__dns_bucket *aio__dns_bucket_of(const aio__dns *dns, uint32_t hash)
{
    return &dns->buckets[hash & (dns->bucket_count - 1)];
}

static void aio__dns_forget(aio__dns *dns, aio__dns_entry *entry)
{
    aio__dns_entry **at = &aio__dns_bucket_of(dns, entry->hash)->kept;
    while (*at != entry) at = &(*at)->next;
    *at = entry->next;
    aio__ring_remove(&entry->link);
    dns->entry_count--;
    aio__dns_message_drop(dns->loop, &entry->message);
    aio__free(entry);
}

static aio__dns_entry *aio__dns_oldest(aio__dns *dns) { return AIO__CONTAINER(dns->used.next, aio__dns_entry, link); }

static aio__dns_entry *aio__dns_find(aio__dns *dns, const aio__dns_name *name, int type)
{
    uint32_t hash = aio__dns_hash(name, type);
    aio__dns_entry *entry = aio__dns_bucket_of(dns, hash)->kept;
    while (entry && (entry->hash != hash || entry->type != type || !aio__dns_name_equal(&entry->name, name)))
        entry = entry->next;
    return entry;
}

/* What is known of the name and type in `found`. False: nothing. */
static bool aio__dns_recall(aio__dns *dns, aio__dns_found *found)
{
    aio__dns_entry *entry = aio__dns_find(dns, &found->name, found->type);
    if (!entry) return false;
    int64_t now = aio__os.clock();
    if (now >= entry->until) {
        aio__dns_forget(dns, entry);
        return false;
    }
    aio__ring_remove(&entry->link);
    aio__ring_insert(&dns->used, &entry->link);
    found->message = aio__dns_message_ref(entry->message);
    found->age = (uint32_t)((now - entry->message->made) / 1000000000);
    return true;
}

/* Seconds for which an answer may be kept. */
static int64_t aio__dns_lifetime(const aio__dns *dns, const aio__dns_message *message, const aio__dns_name *name,
                                 int type)
{
    aio__dns_name end;
    uint32_t ttl = UINT32_MAX;
    int hops = 0;
    aio__dns_name_copy(&end, name);
    int fate = aio__dns_follow(message, &end, type, &hops, &ttl);
    int64_t seconds = ttl < dns->max_ttl ? (int64_t)ttl : dns->max_ttl;
    if (fate == AIO__DNS_FOUND || fate == AIO__DNS_ELSEWHERE) return seconds;
    if (fate == AIO__DNS_TOO_LONG) return 0;
    int64_t denial = aio__dns_denial(message);
    if (denial > dns->negative_ttl) denial = dns->negative_ttl;
    return denial < seconds ? denial : seconds;
}

/* No memory: it is not kept, which only costs time. */
static void aio__dns_remember(aio__dns *dns, aio__dns_message *message, const aio__dns_name *name, int type)
{
    int64_t seconds = aio__dns_lifetime(dns, message, name, type);
    aio__dns_entry *entry = aio__dns_find(dns, name, type);
    if (entry) aio__dns_forget(dns, entry);
    if (seconds <= 0 || message->length > AIO__DNS_KEPT || !dns->entry_limit) return;
    entry = (aio__dns_entry *)aio__calloc(sizeof *entry);
    if (!entry) return;
    if (dns->entry_count == dns->entry_limit) aio__dns_forget(dns, aio__dns_oldest(dns));
    entry->hash = aio__dns_hash(name, type);
    entry->type = type;
    aio__dns_name_copy(&entry->name, name);
    entry->message = aio__dns_message_ref(message);
    entry->until = message->made + seconds * 1000000000;
    aio__dns_bucket *bucket = aio__dns_bucket_of(dns, entry->hash);
    entry->next = bucket->kept;
    bucket->kept = entry;
    aio__ring_insert(&dns->used, &entry->link);
    dns->entry_count++;
}

AIO_API void aio_resolver_clear_cache(aio_resolver *resolver)
{
    aio__dns *dns = (aio__dns *)(void *)resolver;
    while (dns && dns->entry_count) aio__dns_forget(dns, aio__dns_oldest(dns));
}

AIO_API size_t aio_resolver_cache_count(const aio_resolver *resolver)
{
    return resolver ? ((const aio__dns *)(const void *)resolver)->entry_count : 0;
}

/* NULL is fine. */
static void aio__dns_unref(aio__dns *dns)
{
    if (!dns || --dns->refs) return;
    aio_resolver_clear_cache(&dns->base);
    aio__ring_remove(&dns->link);
    aio__free(dns->buckets);
    aio__free(dns->hosts);
    aio__free(dns);
}

/* ---- one question ---- */

struct aio__dns_lookup { /* to the servers in turn: a task that all wait for who ask the same */
    aio_task          task;
    aio__dns_message *result;
    struct aio__dns_lookup *next; /* in its bucket, while it is on its way */
    aio__dns         *dns, *held;
    int               waiters;
    int               tries, first, server;
    int               code;       /* of the error, without a result: AIO_ETIMEOUT when no server has said anything */
    aio__dns_question question;
    char              why[300];   /* of each server, in the latest round */
};

struct aio__dns_exchange { /* with one server: UDP; TCP (RFC 7766) for what is too long, and when somebody guesses */
    aio_task               task;
    struct aio__dns_lookup *lookup; /* gets the result */
    aio_datagram_endpoint *endpoint;
    aio_stream            *stream;
    aio_datagram           datagram;
    aio_text               text;
    int                    fate, strangers;
    int                    part;    /* of the reply over TCP: its size, itself */
};

static const aio__address *aio__dns_server_of(const struct aio__dns_exchange *self)
{
    return &self->lookup->dns->servers[self->lookup->server].address;
}

/* Sends the query, if it was not sent yet, from a socket of its own, so that its port is the system's random choice
 * (RFC 5452 9.2); then the next reply. */
static aio_datagram_task *aio__dns_hear(struct aio__dns_exchange *self)
{
    struct aio__dns_lookup *lookup = self->lookup;
    if (self->endpoint) return aio_datagram_receive(self->endpoint);
    const aio__address *to = aio__dns_server_of(self);
    int code = aio__dns_ask(&lookup->question); /* fails without random numbers */
    if (!code) {
        self->endpoint = aio__endpoint_open(lookup->dns->loop, NULL, to, &aio__endpoint_plain);
        code = self->endpoint ? aio_datagram_send(self->endpoint, lookup->question.packet + 2, lookup->question.length)
                              : errno;
    }
    if (code) return (aio_datagram_task *)(void *)aio__failure(code, "%s", aio_code_text(code));
    return aio_datagram_receive(self->endpoint);
}

static void aio__dns_weigh(struct aio__dns_exchange *self, const char *data, size_t length)
{
    self->text.data = data;
    self->text.length = length;
    self->fate = aio__dns_judge((const unsigned char *)data, length, &self->lookup->question);
}

/* A new connection to the server. */
static aio_stream_task *aio__dns_connect(const struct aio__dns_exchange *self)
{
    struct aio__connecting *tcp = (struct aio__connecting *)aio__new_zeroed(sizeof *tcp, aio__connecting_coro);
    if (!tcp) return NULL;
    tcp->to = aio__dns_server_of(self);
    tcp->host = "TCP";
    return (aio_stream_task *)(void *)tcp;
}

/* Sends the query and gives the size of the reply; then the reply. */
static aio_text_future *aio__dns_read(struct aio__dns_exchange *self)
{
    const aio__dns_question *question = &self->lookup->question;
    if (self->part++)
        return aio_stream_readexactly(self->stream, (size_t)aio__dns_u16((const unsigned char *)self->text.data));
    int code = aio_stream_write(self->stream, question->packet, question->length + 2);
    if (code) return (aio_text_future *)(void *)aio__failure(code, "over TCP: %s", aio_code_text(code));
    return aio_stream_readexactly(self->stream, 2);
}

/* The answer becomes the lookup's. 0 or a code. */
static int aio__dns_accept(const struct aio__dns_exchange *self)
{
    struct aio__dns_lookup *lookup = self->lookup;
    if (self->fate != AIO__DNS_FITS) return AIO_ERESOLVE;
    lookup->result = aio__dns_message_new(lookup->dns->loop, self->text.data, self->text.length);
    return lookup->result ? 0 : ENOMEM;
}

static AIO_CORO(aio__dns_exchange)
{
    int code;
    AIO_BEGIN(aio__dns_exchange);
    do {
        AIO_AWAIT(self->datagram, aio__dns_hear(self));
        aio__dns_weigh(self, self->datagram.data, self->datagram.length);
    } while (self->fate == AIO__DNS_STRANGER && ++self->strangers < AIO__DNS_STRANGERS);
    if (self->fate == AIO__DNS_STRANGER || self->fate == AIO__DNS_CUT) {
        AIO_AWAIT(self->stream, aio__dns_connect(self));
        while (self->part < 2) AIO_AWAIT(self->text, aio__dns_read(self));
        aio__dns_weigh(self, self->text.data, self->text.length);
    }
    code = aio__dns_accept(self);
    if (code) AIO_RAISE(code, "a malformed reply%s", self->stream ? " over TCP" : "");
    AIO_FINALLY;
        aio_datagram_abort(self->endpoint);
        aio_stream_close(self->stream);
    AIO_END;
}

/* ---- all servers ---- */

/* A number that is 0 is not said. */
static void aio__dns_blame(struct aio__dns_lookup *self, const char *reason, int number)
{
    size_t used = strlen(self->why);
    snprintf(self->why + used, sizeof self->why - used, "%s%s: %.120s%.0d", used ? "; " : "",
             self->dns->servers[self->server].text, reason, number);
}

/* Whether the reply is an answer; a server's failure is noted, and the next one is asked. */
static bool aio__dns_answers_it(struct aio__dns_lookup *self)
{
    static const char names[7][9] = { "", "FORMERR", "SERVFAIL", "", "NOTIMP", "REFUSED", "RCODE " };
    aio__dns *dns = self->dns;
    int rcode = aio__dns_rcode(self->result);
    if (rcode == AIO__DNS_OK || rcode == AIO__DNS_NXDOMAIN) {
        self->result->server = self->server;
        if (!dns->rotate) dns->current = (unsigned)self->server;
        aio__dns_remember(dns, self->result, &self->question.name, self->question.type);
        return true;
    }
    if (self->question.edns && (rcode == AIO__DNS_FORMERR || rcode == AIO__DNS_NOTIMP)) {
        dns->servers[self->server].plain = true; /* and once more */
        self->tries--;
    } else {
        aio__dns_blame(self, names[rcode < 6 ? rcode : 6], rcode < 6 ? 0 : rcode);
        self->code = AIO_ERESOLVE;
    }
    aio__dns_message_drop(dns->loop, &self->result);
    return false;
}

/* Chooses the server for the next try. False: there is an answer, or no server left. */
static bool aio__dns_turn(struct aio__dns_lookup *self)
{
    aio__dns *dns = self->dns;
    if ((self->result && aio__dns_answers_it(self)) || self->code == AIO_ERUNTIME) return false;
    int turn = self->tries % dns->server_count;
    if (self->tries == dns->attempts * dns->server_count) return false;
    if (!self->tries) self->first = (int)(dns->current % (unsigned)dns->server_count);
    if (!self->tries && dns->rotate) dns->current++;
    if (!turn) self->why[0] = 0;
    self->tries++;
    self->server = (self->first + turn) % dns->server_count;
    self->question.cased = dns->cased;
    self->question.edns = !dns->servers[self->server].plain;
    return true;
}

/* NULL without memory. */
static struct aio__dns_exchange *aio__dns_try(struct aio__dns_lookup *self)
{
    struct aio__dns_exchange *exchange =
        (struct aio__dns_exchange *)aio__new_zeroed(sizeof *exchange, aio__dns_exchange_coro);
    if (exchange) exchange->lookup = self;
    return exchange;
}

/* A try has failed. False: that is nothing that another server could help. */
static bool aio__dns_try_failed(struct aio__dns_lookup *self, const aio_exception *error)
{
    bool late = error->code == AIO_ETIMEOUT;
    if (self->dns->closed) {
        self->code = AIO_ERUNTIME;
        snprintf(self->why, sizeof self->why, AIO__DNS_CLOSED);
        return true;
    }
    if (error->code == AIO_ECANCELLED || error->code == ENOMEM) return false;
    if (!late) self->code = AIO_ERESOLVE;
    aio__dns_blame(self, late ? "no answer in time" : error->message, 0);
    return true;
}

/* It is no longer on its way. */
static void aio__dns_unlist(struct aio__dns_lookup *self)
{
    uint32_t hash = aio__dns_hash(&self->question.name, self->question.type);
    struct aio__dns_lookup **at = &aio__dns_bucket_of(self->dns, hash)->asked;
    while (*at && *at != self) at = &(*at)->next;
    if (*at) *at = self->next;
}

static AIO_CORO(aio__dns_lookup)
{
    AIO_BEGIN(aio__dns_lookup);
    self->held = aio__dns_ref(self->dns);
    while (aio__dns_turn(self)) {
        AIO_TRY {
            AIO_AWAIT(aio_wait_for(aio__dns_try(self), self->dns->timeout));
        } AIO_CATCH_ALL {
            if (!aio__dns_try_failed(self, aio_caught(self))) AIO_RERAISE();
        } AIO_END_TRY;
    }
    if (!self->result) AIO_RAISE(self->code, "%s", self->why);
    AIO_FINALLY;
        if (!self->waiters || self->task.future.error) aio__dns_message_drop(self->task.future.loop, &self->result);
        aio__dns_unlist(self);
        aio__dns_unref(self->held);
    AIO_END;
}

/* The lookup of that name and type, one more waiter for it: the one on its way, or a new one. NULL without memory. */
static struct aio__dns_lookup *aio__dns_join(aio__dns *dns, const aio__dns_name *name, int type)
{
    aio__dns_bucket *bucket = aio__dns_bucket_of(dns, aio__dns_hash(name, type));
    struct aio__dns_lookup *lookup = bucket->asked;
    while (lookup && (lookup->question.type != type || !aio__dns_name_equal(&lookup->question.name, name)))
        lookup = lookup->next;
    if (lookup) {
        lookup->waiters++;
        return (struct aio__dns_lookup *)aio_ref(lookup);
    }
    lookup = (struct aio__dns_lookup *)aio__new_zeroed(sizeof *lookup, aio__dns_lookup_coro);
    if (!lookup) return NULL;
    lookup->dns = dns;
    aio__dns_name_copy(&lookup->question.name, name);
    lookup->question.type = type;
    lookup->waiters = 1;
    lookup->code = AIO_ETIMEOUT;
    lookup->task.future.flags |= AIO__F_SHARED | AIO__F_SEEN | AIO__F_QUIET;
    if (!aio_create_task(lookup, .eager_start = true)) return NULL;
    if (aio_future_done(lookup)) return lookup;
    lookup->next = bucket->asked;
    bucket->asked = lookup;
    return lookup;
}

/* One waiter less; the last one ends it. NULL is fine. */
static void aio__dns_part(struct aio__dns_lookup *lookup)
{
    if (lookup && --lookup->waiters == 0) {
        aio__dns_unlist(lookup);
        if (aio_future_done(lookup)) aio__dns_message_drop(lookup->task.future.loop, &lookup->result);
        else aio_task_cancel(lookup);
    }
    aio_unref(lookup);
}

/* ---- aliases ---- */

struct aio__dns_chase { /* to the end of the aliases; a name that is not there is a result, too */
    aio_task               task;
    aio__dns_found         found;  /* its message is for who awaits this, once it is done without an error */
    aio__dns              *dns, *held;
    struct aio__dns_lookup *lookup;
    int                    hops;
};
/* What the name's records, or its alias, are to be waited for. */
static aio_future *aio__dns_seek(struct aio__dns_chase *self)
{
    aio__dns *dns = self->dns;
    aio__dns_found *found = &self->found;
    if (found->fate == AIO__DNS_TOO_LONG)
        return aio__failure(AIO_ERESOLVE, "%s: more than %d aliases", dns->servers[found->message->server].text,
                            AIO__DNS_CHAIN);
    if (dns->closed) return aio__failure(AIO_ERUNTIME, AIO__DNS_CLOSED);
    aio__dns_message_drop(dns->loop, &found->message);
    found->cached = aio__dns_recall(dns, found);
    if (found->cached) return &dns->loop->done;
    self->lookup = aio__dns_join(dns, &found->name, found->type);
    return (aio_future *)aio_ref(self->lookup);
}

/* Takes what was waited for. True: there is more to seek. */
static bool aio__dns_lead(struct aio__dns_chase *self)
{
    aio__dns_found *found = &self->found;
    uint32_t ttl = UINT32_MAX; /* for those who ask */
    if (self->lookup) {
        found->message = aio__dns_message_ref(self->lookup->result);
        found->age = 0;
        aio__dns_part(self->lookup);
        self->lookup = NULL;
    }
    found->fate = aio__dns_follow(found->message, &found->name, found->type, &self->hops, &ttl);
    return found->fate == AIO__DNS_ELSEWHERE || found->fate == AIO__DNS_TOO_LONG;
}

static AIO_CORO(aio__dns_chase)
{
    AIO_BEGIN(aio__dns_chase);
    self->held = aio__dns_ref(self->dns);
    do {
        AIO_AWAIT(aio__dns_seek(self));
    } while (aio__dns_lead(self));
    AIO_FINALLY;
        if (self->task.future.error) aio__dns_message_drop(self->task.future.loop, &self->found.message);
        aio__dns_part(self->lookup);
        aio__dns_unref(self->held);
    AIO_END;
}

/* ---- records for users ---- */

/* The next piece, number i, of a record's data as aio_dns_record has it; *at is moved behind it. `word` has room for
 * it. */
static aio_text aio__dns_piece(const aio__dns_type *shape, const unsigned char *data, size_t end, size_t *at, int i,
                               char *word)
{
    aio_text piece = { word, 0 };
    aio__dns_name name;
    if (!shape || shape->type == AIO_DNS_TXT) { /* bytes; strings with their lengths */
        size_t head = shape != NULL;
        piece.data = (const char *)data + *at + head;
        piece.length = shape ? data[*at] : end - *at;
        *at += head + piece.length;
    } else if (!shape->names) {
        inet_ntop(shape->type == AIO_DNS_A ? AF_INET : AF_INET6, data + *at, word, AIO__DNS_TEXT);
        piece.length = strlen(word);
        *at = end;
    } else {
        if (i) *word++ = ' ';
        else *at += shape->before;
        if (i < shape->names) { /* was found valid */
            piece.length = aio__dns_name_read(&name, data, end, at) ? aio__dns_name_text(&name, word) : 0;
        } else {
            piece.length = (size_t)snprintf(word, 12, "%u", aio__dns_u32(data + *at));
            *at += 4;
        }
        piece.length += i > 0;
    }
    return piece;
}

/* Appends the data of a record, with a NUL. */
static bool aio__dns_data_append(aio__buffer *text, const unsigned char *data, const aio__dns_record *from)
{
    const aio__dns_type *shape = aio__dns_type_of(from->type);
    size_t at = from->at, end = from->at + from->length;
    char word[AIO__DNS_TEXT + 1];
    for (int i = 0; at < end; i++) {
        aio_text piece = aio__dns_piece(shape, data, end, &at, i, word);
        if (!aio__buffer_append(text, piece.data, piece.length)) return false;
    }
    return aio__buffer_append(text, "", 1);
}

typedef struct aio__dns_given { /* an answer: the struct, its records, its text, in one allocation */
    aio__node      link;
    aio_dns_answer answer;
    aio_dns_record records[1];
} aio__dns_given;

AIO_API void aio_dns_answer_free(aio_dns_answer *answer)
{
    if (!answer) return;
    aio__dns_given *given = AIO__CONTAINER(answer, aio__dns_given, answer);
    aio__ring_remove(&given->link);
    aio__free(given);
}

static void aio__dns_record_fill(aio_dns_record *to, const aio__dns_found *found, const aio__dns_record *from)
{
    const unsigned char *data = found->message->data + from->at;
    to->type = from->type;
    to->ttl = from->ttl > found->age ? from->ttl - found->age : 0;
    if (from->type == AIO_DNS_MX || from->type == AIO_DNS_SRV) to->preference = aio__dns_u16(data);
    if (from->type != AIO_DNS_SRV) return;
    to->weight = aio__dns_u16(data + 2);
    to->port = aio__dns_u16(data + 4);
}

/* Behind the head of `block`, which has room for every record: server, name and the records' data, each with a NUL. The
 * records get all but the place of their data, which may still move. False without memory. */
static bool aio__dns_collect(aio__buffer *block, size_t head, const char *server, const aio__dns_found *found)
{
    char name[AIO__DNS_TEXT];
    aio__dns_walk walk;
    if (!aio__buffer_reserve(block, head)) return false;
    memset(block->data, 0, block->end = head);
    size_t length = aio__dns_name_text(&found->name, name) + 1;
    if (!aio__buffer_append(block, server, strlen(server) + 1) || !aio__buffer_append(block, name, length))
        return false;
    aio__dns_walk_begin(&walk, found->message, 0);
    while (aio__dns_walk_on(&walk, &found->name)) {
        size_t begun = block->end;
        if (walk.record.type != found->type) continue;
        if (!aio__dns_data_append(block, found->message->data, &walk.record)) return false;
        aio__dns_given *given = (aio__dns_given *)(void *)block->data;
        aio_dns_record *to = &given->records[given->answer.count++];
        aio__dns_record_fill(to, found, &walk.record);
        to->data.length = block->end - begun - 1;
    }
    return true;
}

/* NULL without memory. */
static aio_dns_answer *aio__dns_answer(aio__dns_all *all, const char *server, const aio__dns_found *found)
{
    aio__buffer block = { NULL, 0, 0, 0 };
    size_t most = (size_t)aio__dns_u16(found->message->data + 6);
    size_t head = sizeof(aio__dns_given) + most * sizeof(aio_dns_record);
    if (!aio__dns_collect(&block, head, server, found)) {
        aio__free(block.data);
        return NULL;
    }
    aio__dns_given *given = (aio__dns_given *)(void *)block.data;
    aio_dns_answer *answer = &given->answer;
    char *at = block.data + head;
    answer->cached = found->cached;
    answer->records = given->records;
    answer->server = at;
    answer->name = at += strlen(at) + 1;
    at += strlen(at) + 1;
    for (size_t i = 0; i < answer->count; i++) {
        answer->records[i].data.data = at;
        at += answer->records[i].data.length + 1;
    }
    aio__ring_insert(&all->given, &given->link);
    return answer;
}

/* ---- names ---- */

struct aio__dns_resolve { /* a host's addresses, or one type's records */
    aio_task       task;
    union { aio_addresses *addresses; aio_dns_answer *answer; } result;
    aio__dns      *dns, *held;    /* not held, it may have been closed, and its place be another one's: */
    unsigned       number;        /* dns's */
    int            port, family;
    int            type;          /* of records; 0: addresses */
    struct aio__dns_chase *asked[2]; /* AAAA, A */
    size_t         kinds, done;
    int            step;          /* of the search */
    aio__dns_name  name;          /* this step's */
    aio_addresses *list;
    aio_exception *error;
    aio_wait_options wait;
    char           why[200];      /* the name is not there */
    char           host[256];
};

static aio_addresses *aio__dns_addresses_new(aio__dns_all *all, int capacity)
{
    aio_addresses *addresses =
        (aio_addresses *)aio__calloc(sizeof *addresses + (size_t)capacity * sizeof(aio__address));
    if (addresses) aio__ring_insert(&all->given, &addresses->link);
    return addresses;
}

static void aio__dns_take_list(struct aio__dns_resolve *self)
{
    self->result.addresses = self->list;
    self->list = NULL;
}

static void aio__dns_address_add(aio__addresses *list, int family, const void *bytes, int port)
{
    aio__address_set(&list->at[list->count++], family, bytes, port);
}

/* The family of a numeric address, which goes into `bytes`; 0: it is invalid. */
static int aio__dns_family(const char *text, unsigned char bytes[16])
{
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;
    return inet_pton(family, text, bytes) == 1 ? family : 0;
}

/* A numeric address, maybe with a scope. 0; EINVAL: it is invalid; ENOMEM. */
static int aio__dns_numeric(const char *host, int port, aio__address *address)
{
    unsigned char bytes[16];
    aio__lookup lookup;
    if (!aio__dns_family(host, bytes) && !strchr(host, ':')) return EINVAL; /* "127.1" is no address */
    memset(&lookup, 0, sizeof lookup);
    aio__lookup_fill(&lookup, host, port, 0, AI_NUMERICHOST | AI_NUMERICSERV);
    int status = aio__lookup_ask(&lookup, 0);
    if (status) return status == EAI_MEMORY ? ENOMEM : EINVAL;
    memcpy(&address->storage, lookup.found->ai_addr, lookup.found->ai_addrlen);
    address->length = lookup.found->ai_addrlen;
    aio__os.freeaddrinfo(lookup.found);
    return 0;
}

/* The word at *at, which is moved behind it; empty at the end. */
static aio_text aio__dns_word(const char **at, const char *end, const char *separators)
{
    aio_text word;
    while (*at < end && strchr(separators, **at)) ++*at;
    word.data = *at;
    while (*at < end && !strchr(separators, **at)) ++*at;
    word.length = (size_t)(*at - word.data);
    return word;
}

static bool aio__dns_word_is(aio_text word, const char *text)
{
    return word.length == strlen(text) && strncasecmp(word.data, text, word.length) == 0;
}

/* The end of a line without its comment; *next becomes the line after it. */
static const char *aio__dns_line(const char *line, const char *marks, const char **next)
{
    size_t length = strcspn(line, "\n");
    *next = line + length + (line[length] == '\n');
    for (size_t i = 0; i < length; i++)
        if (strchr(marks, line[i])) return line + i;
    return line + length;
}

/* The addresses that a hosts file's text, which may be NULL, has for a name, up to the bound. */
static void aio__dns_hosts(const struct aio__dns_resolve *self, const char *text, const char *name, size_t length,
                           aio__addresses *list)
{
    static const char blanks[] = " \t\r";
    while (text && *text && list->count < AIO__ADDRESSES_MAX) {
        const char *at = text, *end = aio__dns_line(at, "#", &text);
        aio_text address = aio__dns_word(&at, end, blanks), word;
        unsigned char bytes[16];
        char numeric[INET6_ADDRSTRLEN];
        if (!address.length || address.length >= sizeof numeric) continue;
        do word = aio__dns_word(&at, end, blanks);
        while (word.length && (word.length != length || strncasecmp(word.data, name, length) != 0));
        if (!word.length) continue;
        memcpy(numeric, address.data, address.length);
        numeric[address.length] = 0;
        int family = aio__dns_family(numeric, bytes);
        if (family && (!self->family || self->family == family))
            aio__dns_address_add(list, family, bytes, self->port);
    }
}

static bool aio__dns_is_localhost(const char *host, size_t length)
{
    if (length < 9 || strncasecmp(host + length - 9, "localhost", 9) != 0) return false;
    return length == 9 || host[length - 10] == '.';
}

/* `reason` NULL: what the code says. */
static void aio__dns_fail(struct aio__dns_resolve *self, int code, const char *reason)
{
    const aio__dns_type *type = aio__dns_type_of(self->type);
    char kind[16] = "";
    if (type) snprintf(kind, sizeof kind, " (%s)", type->text);
    else if (self->type) snprintf(kind, sizeof kind, " (TYPE%d)", self->type);
    if (!self->error) self->error = aio__exception(code, "resolve", "resolve %s%s: %s", self->host, kind,
                                                   reason ? reason : aio_code_text(code));
}

/* The resolver, held from now on. False: it was closed before this call began. */
static bool aio__dns_hold(struct aio__dns_resolve *self)
{
    const aio__dns_all *all = (const aio__dns_all *)self->task.future.loop->resolvers;
    const aio__node *ring = all ? &all->owned.ring : NULL, *node = ring ? ring->next : NULL;
    while (node != ring && AIO__CONTAINER(node, aio__dns, link) != self->dns) node = node->next;
    if (node == ring || self->dns->number != self->number || self->dns->closed) return false;
    self->held = aio__dns_ref(self->dns);
    return true;
}

/* What needs no server: a numeric address, the hosts file's addresses, localhost's. They become the result. */
static void aio__dns_known(struct aio__dns_resolve *self)
{
    size_t length = strlen(self->host);
    if (self->type) return;
    self->list = aio__dns_addresses_new(self->dns->all, AIO__ADDRESSES_MAX);
    aio__addresses *list = self->list ? &self->list->list : NULL;
    int code = list ? aio__dns_numeric(self->host, self->port, &list->at[0]) : ENOMEM;
    if (code == ENOMEM) {
        aio__dns_fail(self, code, NULL);
        return;
    }
    list->count = code == 0;
    if (!code && self->family && list->at[0].storage.ss_family != self->family)
        aio__dns_fail(self, AIO_ERESOLVE, "an address of the other family");
    if (length > 1 && self->host[length - 1] == '.') length--;
    if (code) aio__dns_hosts(self, self->dns->hosts, self->host, length, list);
    if (!list->count && aio__dns_is_localhost(self->host, length))
        aio__dns_hosts(self, "::1 localhost\n127.0.0.1 localhost", "localhost", 9, list);
    if (list->count && !self->error) aio__dns_take_list(self);
}

/* The name of this step of the search; an empty one is to be passed over. False: there are no more. */
static bool aio__dns_candidate(struct aio__dns_resolve *self)
{
    const aio__dns *dns = self->dns;
    aio__dns_name *name = &self->name;
    size_t length = strlen(self->host);
    int dots = 0, searched = self->type || self->host[length - 1] == '.' ? 0 : dns->search_count;
    for (size_t i = 0; i < length; i++) dots += self->host[i] == '.';
    int plain = !searched || dots >= dns->ndots ? 0 : searched, step = self->step++;
    if (!aio__dns_name_parse(name, self->host, length) || step == plain) return step <= searched;
    const aio__dns_name *domain = &dns->search[plain ? step : step - 1];
    size_t base = name->length - (size_t)1;
    name->length = 0;
    if (step > searched || base + domain->length > AIO__DNS_NAME) return step <= searched;
    memcpy(name->wire + base, domain->wire, domain->length);
    name->length = (uint8_t)(base + domain->length);
    return true;
}

/* Whether the system knows a way to an address: a datagram socket is connected without a packet. RFC 6724 rule 1 */
static bool aio__dns_has_route(const aio__address *to)
{
    int fd = aio__endpoint_socket(NULL, to, &aio__endpoint_plain);
    if (fd >= 0) aio__os.close(fd);
    return fd >= 0;
}

/* The reply to one of the questions, if it has records. */
static const aio__dns_found *aio__dns_reply(const struct aio__dns_resolve *self, size_t i)
{
    const struct aio__dns_chase *asked = self->asked[i];
    if (i >= self->kinds || asked->task.future.state != AIO__DONE || asked->task.future.error) return NULL;
    return asked->found.fate == AIO__DNS_FOUND ? &asked->found : NULL;
}

static void aio__dns_addresses_take(struct aio__dns_resolve *self, size_t i)
{
    const aio__dns_found *found = aio__dns_reply(self, i);
    aio__addresses *list = &self->list->list;
    int most = list->count + AIO__ADDRESSES_MAX / 2;
    aio__dns_walk walk;
    if (!found) return;
    aio__dns_walk_begin(&walk, found->message, 0);
    while (list->count < most && aio__dns_walk_on(&walk, &found->name))
        if (walk.record.type == found->type)
            aio__dns_address_add(list, found->type == AIO_DNS_A ? AF_INET : AF_INET6,
                                 found->message->data + walk.record.at, self->port);
}

/* The addresses of both kinds; IPv4 goes before IPv6 where there is no way to the latter. */
static void aio__dns_addresses_join(struct aio__dns_resolve *self)
{
    aio__addresses *list = &self->list->list;
    aio__dns_addresses_take(self, 0);
    size_t first = list->count && aio__dns_reply(self, 1) && !aio__dns_has_route(&list->at[0]);
    if (first) list->count = 0;
    aio__dns_addresses_take(self, 1);
    if (first) aio__dns_addresses_take(self, 0);
    aio__dns_take_list(self);
}

/* What the questions of this step have come to: a result, an error, or neither: there is no such name. */
static void aio__dns_settle(struct aio__dns_resolve *self)
{
    const aio__dns_found *found = aio__dns_reply(self, 0);
    if (found && self->type) {
        const char *server = self->dns->servers[found->message->server].text;
        self->result.answer = aio__dns_answer(self->dns->all, server, found);
        if (!self->result.answer) aio__dns_fail(self, ENOMEM, NULL);
        return;
    }
    if (found || aio__dns_reply(self, 1)) {
        aio__dns_addresses_join(self);
        return;
    }
    for (size_t i = 0; i < self->kinds; i++) {
        const aio_exception *error = self->asked[i]->task.future.error;
        found = &self->asked[i]->found;
        if (error) aio__dns_fail(self, error->code, error->message);
        else snprintf(self->why, sizeof self->why, "%s: %s%s", self->dns->servers[found->message->server].text,
                      found->fate == AIO__DNS_NO_NAME ? "NXDOMAIN (there is no such name)" : "no such record",
                      found->cached ? ", as the cache has it" : "");
    }
}

/* Ends the questions: those that are still open are cancelled. */
static void aio__dns_leave(struct aio__dns_resolve *self)
{
    for (; self->kinds; self->kinds--) {
        struct aio__dns_chase *asked = self->asked[self->kinds - 1];
        asked->task.future.flags |= AIO__F_SEEN | AIO__F_QUIET;
        if (aio_future_done(asked)) aio__dns_message_drop(self->task.future.loop, &asked->found.message);
        else aio_task_cancel(asked);
        aio_unref(asked);
    }
}

static void aio__dns_chase_begin(struct aio__dns_resolve *self, int type)
{
    struct aio__dns_chase *asked = (struct aio__dns_chase *)aio__new_zeroed(sizeof *asked, aio__dns_chase_coro);
    if (!asked) {
        aio__dns_fail(self, ENOMEM, NULL);
        return;
    }
    asked->dns = self->dns;
    aio__dns_name_copy(&asked->found.name, &self->name);
    asked->found.type = type;
    self->asked[self->kinds++] = asked;
    aio__create_task(asked, NULL); /* cannot fail: it needs no memory without a name */
}

/* All questions of the next step at once. False: there is nothing more to ask. */
static bool aio__dns_begin(struct aio__dns_resolve *self)
{
    if (!self->held && !aio__dns_hold(self)) aio__dns_fail(self, AIO_ERUNTIME, AIO__DNS_CLOSED);
    else if (!self->step) aio__dns_known(self);
    do {
        if (self->result.addresses || self->error) return false;
        if (aio__dns_candidate(self)) continue;
        aio__dns_fail(self, AIO_ERESOLVE, self->why[0] ? self->why : "not a valid name");
        return false;
    } while (!self->name.length);
    self->wait.return_when = AIO_FIRST_COMPLETED;
    self->wait.timeout = 0;
    if (self->type) aio__dns_chase_begin(self, self->type);
    else if (self->family != AF_INET) aio__dns_chase_begin(self, AIO_DNS_AAAA);
    if (!self->type && self->family != AF_INET6) aio__dns_chase_begin(self, AIO_DNS_A);
    return !self->error;
}

/* Whether the others are to be waited for, too, and how long: not for ever once there is an address. */
static bool aio__dns_patient(struct aio__dns_resolve *self)
{
    bool again = self->done < self->kinds && self->wait.return_when == AIO_FIRST_COMPLETED;
    self->wait.return_when = AIO_ALL_COMPLETED;
    if (aio__dns_reply(self, 0) || aio__dns_reply(self, 1)) self->wait.timeout = AIO__DNS_PATIENCE;
    return again;
}

static AIO_CORO(aio__dns_resolve)
{
    AIO_BEGIN(aio__dns_resolve);
    while (aio__dns_begin(self)) {
        do {
            AIO_AWAIT(self->done, aio_wait_with(self->asked, self->kinds, &self->wait));
        } while (aio__dns_patient(self));
        aio__dns_settle(self);
        aio__dns_leave(self);
    }
    if (self->error) AIO_RAISE_EXCEPTION(self->error);
    AIO_FINALLY;
        aio__dns_leave(self);
        aio_addresses_free(self->list);
        aio_exception_unref(self->error);
        aio__dns_unref(self->held);
    AIO_END;
}

/* A failed one for wrong arguments; NULL without memory. */
static void *aio__dns_new(aio_resolver *resolver, const char *host, int port, int family, int type)
{
    const char *why = aio__resolve_problem(host, port);
    if (!resolver || !host || !*host || (family && family != AF_INET && family != AF_INET6) || type < 0 || type > 65535)
        why = "wrong arguments";
    if (why) return aio__resolve_failure(EINVAL, host, why);
    struct aio__dns_resolve *self =
        (struct aio__dns_resolve *)aio__new_zeroed(sizeof *self, aio__dns_resolve_coro);
    if (!self) return NULL;
    self->dns = (aio__dns *)(void *)resolver;
    self->number = self->dns->number;
    self->port = port;
    self->family = family;
    self->type = type;
    memcpy(self->host, host, strlen(host) + 1);
    return self;
}

static aio_addresses_task *aio__dns_start(aio_resolver *resolver, const char *host, int port, int family)
{
    return (aio_addresses_task *)aio__dns_new(resolver, host, port, family, 0);
}

AIO_API aio_addresses_task *aio_resolver_resolve_with(aio_resolver *resolver, const char *host, int port,
                                                      const aio_resolve_options *options)
{
    AIO__DEFAULTS(aio_resolve_options, options);
    return aio__dns_start(resolver, host, port, options->family);
}

/* The name under which an address has its PTR records (RFC 1035 3.5, 3596 2.5). False: it is no address. */
static bool aio__dns_reverse(const char *text, char *name, size_t size)
{
    unsigned char bytes[16];
    size_t used = 0;
    int family = aio__dns_family(text, bytes);
    bool six = family == AF_INET6;
    if (!family) return false;
    for (int i = six ? 16 : 4; i-- > 0;)
        used += (size_t)(six ? snprintf(name + used, size - used, "%x.%x.", bytes[i] & 15u, bytes[i] >> 4)
                             : snprintf(name + used, size - used, "%u.", bytes[i]));
    snprintf(name + used, size - used, six ? "ip6.arpa" : "in-addr.arpa");
    return true;
}

AIO_API aio_dns_task *aio_resolver_query(aio_resolver *resolver, const char *name, int type)
{
    char reverse[80];
    aio__dns_name wire;
    if (name && type == AIO_DNS_PTR && aio__dns_reverse(name, reverse, sizeof reverse)) name = reverse;
    if (name && *name && !aio__dns_name_parse(&wire, name, strlen(name)))
        return (aio_dns_task *)aio__resolve_failure(EINVAL, name, "not a valid name");
    return (aio_dns_task *)aio__dns_new(resolver, name, 0, 0, type ? type : -1);
}

AIO_API size_t aio_addresses_count(const aio_addresses *addresses)
{
    return addresses ? (size_t)addresses->list.count : 0;
}

AIO_API const char *aio_addresses_text(const aio_addresses *addresses, size_t i, char *buffer, size_t size)
{
    if (size) buffer[0] = 0;
    if (!size || i >= aio_addresses_count(addresses)) return buffer;
    return aio__address_text(&addresses->list.at[i].storage, addresses->list.at[i].length, buffer, size);
}

AIO_API int aio_addresses_family(const aio_addresses *addresses, size_t i)
{
    return i < aio_addresses_count(addresses) ? addresses->list.at[i].storage.ss_family : 0;
}

AIO_API const void *aio_addresses_sockaddr(const aio_addresses *addresses, size_t i, size_t *length)
{
    if (length) *length = 0;
    if (i >= aio_addresses_count(addresses)) return NULL;
    if (length) *length = addresses->list.at[i].length;
    return &addresses->list.at[i].storage;
}

/* ---- opening ---- */

/* The text of a file, up to the bound; NULL without the file. 0 or an errno. */
static int aio__dns_file(const char *path, char **text)
{
    aio__buffer buffer;
    int code = aio__file_read(path, AIO__DNS_FILE, &buffer);
    if (code == AIO_ELIMIT) code = 0;
    *text = code ? NULL : buffer.data;
    if (code) aio__free(buffer.data);
    return code == ENOENT || code == EACCES || code == ENOTDIR ? 0 : code;
}

/* A decimal number from 0 to `most`; -1: invalid. */
static int aio__dns_number(const char *text, size_t length, int most)
{
    int value = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return -1;
        value = value * 10 + (text[i] - '0');
        if (value > most) return -1;
    }
    return length ? value : -1;
}

/* "1.1.1.1", "1.1.1.1#53", "1.1.1.1:53", "::1", "::1#53", "[::1]:53". 0, EINVAL or ENOMEM. */
static int aio__dns_server_add(aio__dns *dns, aio_text word, int port)
{
    aio__dns_server *server = &dns->servers[dns->server_count];
    char text[80], *host = text, *mark;
    if (word.length >= sizeof text || dns->server_count == AIO__DNS_SERVERS) return EINVAL;
    memcpy(text, word.data, word.length);
    text[word.length] = 0;
    if (*text == '[') {
        mark = text + strcspn(++host, "]") + 1;
        if (*mark) *mark++ = 0;
        else mark = text; /* there is no end */
    } else {
        mark = text + strcspn(text, "#");
        if (!*mark) mark = text + strcspn(text, ":");
        if (strchr(mark + (*mark != 0), ':')) mark = text + word.length;
    }
    if (*mark) port = strchr("#:", *mark) ? aio__dns_number(mark + 1, strlen(mark + 1), 65535) : 0;
    *mark = 0;
    if (port < 1) return EINVAL;
    int code = aio__dns_numeric(host, port, &server->address);
    if (code) return code;
    dns->server_count++;
    aio__address_text(&server->address.storage, server->address.length, server->text, sizeof server->text);
    return 0;
}

/* A search list. A dot before a domain is passed over, as libc does. A domain that is not valid, or one too many, costs
 * itself in a file, and the whole list where a program gives it. 0 or EINVAL. */
static int aio__dns_search_set(aio__dns *dns, const char *at, const char *end, bool strict)
{
    dns->search_count = 0;
    for (;;) {
        aio_text word = aio__dns_word(&at, end, " \t\r,");
        if (!word.length) return 0;
        size_t dot = word.length > 1 && word.data[0] == '.' && word.data[1] != '.';
        bool valid = dns->search_count < AIO__DNS_SEARCH &&
                     aio__dns_name_parse(&dns->search[dns->search_count], word.data + dot, word.length - dot);
        if (!valid && strict) return EINVAL;
        dns->search_count += valid;
    }
}

static void aio__dns_conf_option(aio__dns *dns, aio_text word)
{
    static const struct { char name[9]; uint8_t least, most; uint16_t place; } options[] = {
        { "ndots", 0, AIO__DNS_NDOTS, offsetof(aio__dns, ndots) }, { "timeout", 1, 30, offsetof(aio__dns, seconds) },
        { "attempts", 1, 5, offsetof(aio__dns, attempts) },
    };
    const char *colon = (const char *)memchr(word.data, ':', word.length);
    if (aio__dns_word_is(word, "rotate")) dns->rotate = true;
    if (!colon) return;
    int value = aio__dns_number(colon + 1, word.length - (size_t)(colon + 1 - word.data), 1000);
    word.length = (size_t)(colon - word.data);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (value >= options[i].least && aio__dns_word_is(word, options[i].name))
            *(int *)(void *)((char *)dns + options[i].place) = value < options[i].most ? value : options[i].most;
}

/* resolv.conf(5). What is not understood is passed over, as libc does. 0 or ENOMEM. */
static int aio__dns_conf(aio__dns *dns, const char *text, int port, bool servers)
{
    static const char blanks[] = " \t\r";
    const char *next = text;
    while (next && *next) {
        const char *at = next, *end = aio__dns_line(at, "#;", &next);
        aio_text key = aio__dns_word(&at, end, blanks), word;
        if (servers && aio__dns_word_is(key, "nameserver")) {
            word = aio__dns_word(&at, end, blanks);
            if (word.length && aio__dns_server_add(dns, word, port) == ENOMEM) return ENOMEM;
        } else if (aio__dns_word_is(key, "search") || aio__dns_word_is(key, "domain")) {
            aio__dns_search_set(dns, at, end, false);
        } else if (aio__dns_word_is(key, "options")) {
            while ((word = aio__dns_word(&at, end, blanks)).length) aio__dns_conf_option(dns, word);
        }
    }
    return 0;
}

static int aio__dns_servers_set(aio__dns *dns, const char *text, int port)
{
    const char *end = text + strlen(text);
    int code = 0;
    for (;;) {
        aio_text word = aio__dns_word(&text, end, " \t\r\n,;");
        if (!word.length || code) break;
        code = aio__dns_server_add(dns, word, port);
    }
    return code ? code : dns->server_count ? 0 : EINVAL;
}

/* Seconds that an answer may be kept. */
static int64_t aio__dns_seconds(double wanted, int64_t usual)
{
    if (!(wanted > 0)) return wanted < 0 ? 0 : usual;
    return wanted < INT32_MAX ? (int64_t)wanted : INT32_MAX;
}

/* The files, below the options. 0 or a code. */
static int aio__dns_files(aio__dns *dns, const aio_resolver_options *o, int port)
{
    char *text = NULL;
    int code = o->nameservers ? aio__dns_servers_set(dns, o->nameservers, port) : 0;
    if (!code) code = aio__dns_file(o->resolv_conf ? o->resolv_conf : "/etc/resolv.conf", &text);
    if (!code) code = aio__dns_conf(dns, text, port, !o->nameservers);
    aio__free(text);
    if (!code && !dns->server_count) code = aio__dns_servers_set(dns, "127.0.0.1", port);
    if (!code && o->search) code = aio__dns_search_set(dns, o->search, o->search + strlen(o->search), true);
    if (!code && !o->no_hosts) code = aio__dns_file(o->hosts ? o->hosts : "/etc/hosts", &dns->hosts);
    return code;
}

/* Options over files over what is usual. 0 or a code. */
static int aio__dns_configure(aio__dns *dns, const aio_resolver_options *o)
{
    int port = o->port ? o->port : 53;
    if (port < 1 || port > 65535 || o->ndots < 0 || o->attempts < 0 || !(o->timeout >= 0 && o->timeout < 1e9) ||
        !(o->max_ttl >= 0) || o->negative_ttl != o->negative_ttl) return EINVAL;
    int code = aio__dns_files(dns, o, port);
    if (code) return code;
    if (o->ndots) dns->ndots = o->ndots;
    if (o->attempts) dns->attempts = o->attempts;
    dns->timeout = o->timeout > 0 ? o->timeout : dns->seconds;
    dns->rotate = dns->rotate || o->rotate;
    dns->cased = o->case_random;
    dns->max_ttl = aio__dns_seconds(o->max_ttl, 86400);
    dns->negative_ttl = aio__dns_seconds(o->negative_ttl, 900);
    dns->entry_limit = o->cache_size < 0 ? 0 : o->cache_size ? (size_t)o->cache_size : 256;
    for (dns->bucket_count = 64; dns->bucket_count < dns->entry_limit && dns->bucket_count < AIO__DNS_BUCKETS;)
        dns->bucket_count *= 2;
    dns->buckets = (aio__dns_bucket *)aio__calloc(dns->bucket_count * sizeof *dns->buckets);
    return dns->buckets ? 0 : ENOMEM;
}

static void aio__dns_all_close(aio_loop *loop, aio__closer *closer)
{
    aio__dns_all *all = AIO__CONTAINER(closer, aio__dns_all, owned.closer);
    while (!aio__ring_empty(&all->owned.ring)) {
        aio__dns *dns = AIO__CONTAINER(all->owned.ring.next, aio__dns, link);
        dns->refs = 1;
        aio__dns_unref(dns);
    }
    while (!aio__ring_empty(&all->given)) { /* each begins with its link */
        aio__node *given = all->given.next;
        aio__ring_remove(given);
        aio__free(given);
    }
    loop->resolvers = NULL;
    aio__free(all);
}

static aio__dns_all *aio__dns_all_of(aio_loop *loop)
{
    aio__dns_all *all = (aio__dns_all *)aio__owned_of(loop, &loop->resolvers, sizeof *all, aio__dns_all_close);
    if (all && !all->given.next) aio__ring_clear(&all->given);
    return all;
}

AIO_API aio_resolver *aio_resolver_open_with(const aio_resolver_options *options)
{
    AIO__DEFAULTS(aio_resolver_options, options);
    aio_loop *loop = aio__loop_now();
    errno = AIO_ENOLOOP;
    if (!loop || loop->closed) return NULL;
    errno = ENOMEM;
    aio__dns_all *all = aio__dns_all_of(loop);
    aio__dns *dns = all ? (aio__dns *)aio__calloc(sizeof *dns) : NULL;
    if (!dns) return NULL;
    dns->base.resolve = aio__dns_start;
    dns->loop = loop;
    dns->all = all;
    dns->number = ++all->opened;
    dns->refs = 1;
    dns->ndots = 1;
    dns->attempts = 2;
    dns->seconds = 5;
    aio__ring_clear(&dns->used);
    aio__ring_insert(&all->owned.ring, &dns->link);
    int code = aio__dns_configure(dns, options);
    if (!code) return &dns->base;
    aio__dns_unref(dns);
    errno = code;
    return NULL;
}

AIO_API void aio_resolver_close(aio_resolver *resolver)
{
    aio__dns *dns = (aio__dns *)(void *)resolver;
    if (!dns) return;
    dns->closed = true;
    for (size_t i = 0; i < dns->bucket_count; i++)
        for (struct aio__dns_lookup *lookup = dns->buckets[i].asked; lookup; lookup = lookup->next)
            aio_task_cancel(lookup);
    aio__dns_unref(dns);
}

/* ---- the system's answers, kept for a while ---- */

enum { AIO__NAMES_KEPT = 256 };

/* A resolver that asks getaddrinfo, and keeps what it said for `ttl`: aiohttp's ttl_dns_cache. */
typedef struct aio__names {
    aio_resolver base;  /* first */
    aio_loop    *loop;
    aio__node    ring;  /* by use, latest last */
    int          count;
    int64_t      ttl;   /* nanoseconds; 0: for ever */
} aio__names;

typedef struct aio__kept_name {
    aio__node           link;
    int64_t             until;
    aio__lookup_future *lookup; /* on its way, or done */
    int                 port, family;
    char                host[1];
} aio__kept_name;

static void aio__name_forget(aio__names *names, aio__node *node)
{
    aio__kept_name *kept = AIO__CONTAINER(node, aio__kept_name, link);
    names->count--;
    aio__ring_remove(&kept->link);
    aio_unref(kept->lookup);
    aio__free(kept);
}

/* One that is still good, which becomes the latest, or NULL. An error is not kept beyond those who wait for it. */
static aio__kept_name *aio__name_find(aio__names *names, const char *host, int port, int family)
{
    for (aio__node *node = names->ring.prev; node != &names->ring; node = node->prev) {
        aio__kept_name *kept = AIO__CONTAINER(node, aio__kept_name, link);
        if (kept->port != port || kept->family != family || strcasecmp(kept->host, host) != 0) continue;
        if (kept->lookup->future.error || aio__os.clock() >= kept->until) {
            aio__name_forget(names, node);
            return NULL;
        }
        aio__ring_remove(node);
        aio__ring_insert(&names->ring, node);
        return kept;
    }
    return NULL;
}

/* The lookup that is known or on its way, or a new one; one more owner. NULL without memory. */
static aio__lookup_future *aio__names_lookup(aio__names *names, const char *host, int port, int family)
{
    aio__kept_name *kept = aio__name_find(names, host, port, family);
    if (kept) return (aio__lookup_future *)aio_ref(kept->lookup);
    aio__lookup_future *lookup = aio__resolve(names->loop, host, port, family, 0);
    if (!lookup || aio_future_done(lookup)) return lookup; /* a numeric address, or an error */
    size_t length = strlen(host);
    kept = (aio__kept_name *)aio__malloc(sizeof *kept + length);
    if (!kept) return lookup;
    if (names->count == AIO__NAMES_KEPT) aio__name_forget(names, names->ring.next);
    kept->until = names->ttl ? aio__os.clock() + names->ttl : INT64_MAX;
    kept->port = port;
    kept->family = family;
    kept->lookup = (aio__lookup_future *)aio_ref(lookup);
    memcpy(kept->host, host, length + 1);
    lookup->future.flags |= AIO__F_SHARED | AIO__F_QUIET;
    aio__ring_insert(&names->ring, &kept->link);
    names->count++;
    return lookup;
}

struct aio__naming { aio_task task; aio_addresses *result; aio__names *names; aio__lookup_future *lookup;
                     int port, family; char host[1]; };
static AIO_CORO(aio__naming)
{
    aio__dns_all *all;
    AIO_BEGIN(aio__naming);
    self->lookup = aio__names_lookup(self->names, self->host, self->port, self->family);
    AIO_AWAIT(aio_ref(self->lookup));
    all = aio__dns_all_of(self->task.future.loop);
    self->result = all ? aio__dns_addresses_new(all, self->lookup->result->count) : NULL;
    if (!self->result) AIO_RAISE(ENOMEM);
    self->result->list.count = self->lookup->result->count;
    memcpy(self->result->list.at, self->lookup->result->at, (size_t)self->result->list.count * sizeof(aio__address));
    AIO_FINALLY;
        aio_unref(self->lookup);
    AIO_END;
}

static aio_addresses_task *aio__names_start(aio_resolver *resolver, const char *host, int port, int family)
{
    size_t length = strlen(host);
    struct aio__naming *self = (struct aio__naming *)aio__new_zeroed(sizeof *self + length, aio__naming_coro);
    if (!self) return NULL;
    self->names = (aio__names *)(void *)resolver;
    self->port = port;
    self->family = family;
    memcpy(self->host, host, length);
    return (aio_addresses_task *)(void *)self;
}

/* NULL without memory. Nobody may be asking when it is closed. */
static aio_resolver *aio__names_open(aio_loop *loop, int64_t ttl)
{
    aio__names *names = (aio__names *)aio__calloc(sizeof *names);
    if (!names) return NULL;
    names->base.resolve = aio__names_start;
    names->loop = loop;
    names->ttl = ttl;
    aio__ring_clear(&names->ring);
    return &names->base;
}

/* NULL is fine. */
static void aio__names_close(aio_resolver *resolver)
{
    aio__names *names = (aio__names *)(void *)resolver;
    while (names && names->count) aio__name_forget(names, names->ring.next);
    aio__free(names);
}

/* ============================================================================
 * 45. Subprocesses: pidfd and pipes
 *
 * Children of a loop in a ring, each with a descriptor that tells of its end, or a thread that waits for it. Pipes are
 * streams. Nothing but this room reaps them.
 * ============================================================================ */

enum { AIO__LOST = 255 }; /* the return code when somebody else has reaped it */

struct aio_process {
    aio__descriptor      d;         /* a pidfd */
    aio__threadsafe_call ended;     /* of the thread that waits where there is no pidfd */
    pthread_t            thread;
    aio_loop            *loop;
    aio__node            link;      /* in the loop's ring */
    aio_stream          *streams[3];
    aio_process_future  *exited;    /* for all who wait */
    pid_t                pid;
    int                  returncode;
    bool                 has_pidfd, has_thread, released;
};

/* ---- its end ---- */

static void aio__process_free(aio_process *p)
{
    for (int i = 0; i < 3; i++) aio_stream_abort(p->streams[i]);
    aio__ring_remove(&p->link);
    aio_unref(p->exited);
    aio__free(p);
}

/* It has ended, in that way. Frees it when its user is done with it. */
static void aio__process_ended(aio_process *p, int returncode)
{
    aio_process_future *exited = p->exited;
    p->returncode = returncode;
    if (p->has_pidfd) {
        aio__descriptor_remove(p->loop, &p->d);
        aio__os.close(p->d.fd);
    }
    if (p->has_thread) aio__os.join(p->thread);
    p->has_pidfd = p->has_thread = false;
    if (exited) exited->result = returncode;
    if (exited && exited->future.state < AIO__DONE) aio__future_finish(&exited->future, AIO__DONE);
    if (p->released) aio__process_free(p);
}

/* Takes the child's status from the system. False if it still runs. */
static bool aio__process_reap(aio_process *p, int options)
{
    int status = 0;
    pid_t pid;
    do pid = aio__os.waitpid(p->pid, &status, options); while (pid < 0 && errno == EINTR);
    if (pid == 0) return false;
    if (pid < 0) aio__process_ended(p, AIO__LOST);
    else if (WIFSIGNALED(status)) aio__process_ended(p, -WTERMSIG(status));
    else aio__process_ended(p, WEXITSTATUS(status));
    return true;
}

#if AIO__LINUX
static void aio__process_on_readable(aio__work *work)
{
    aio_process *p = (aio_process *)work->owner;
    aio__descriptor_drained(&p->d, AIO__READ);
    if (!aio__process_reap(p, WNOHANG)) aio__descriptor_wait(p->loop, &p->d, AIO__READ);
}
#endif

/* In the loop, or when it closes. */
static void aio__process_told(void *arg) { aio__process_reap((aio_process *)arg, 0); }

/* The thread of a process: it does not reap, so the number stays the child's until the loop has heard of its end. */
static void *aio__process_thread(void *arg)
{
    aio_process *p = (aio_process *)arg;
    while (aio__os.wait_ended(p->pid) < 0 && errno == EINTR) { }
    aio__threadsafe_post(p->loop, &p->ended);
    return NULL;
}

/* Learns of its end by a pidfd, or else by a thread. 0 or a code. */
static int aio__process_watch(aio_process *p)
{
#if AIO__LINUX
    int fd = aio__os.pidfd_open(p->pid);
    if (fd >= 0) {
        p->d.reader.run = aio__process_on_readable;
        p->d.reader.owner = p;
        p->has_pidfd = aio__descriptor_add(p->loop, &p->d, fd) == 0;
        if (p->has_pidfd) {
            aio__descriptor_wait(p->loop, &p->d, AIO__READ);
            return 0;
        }
        aio__os.close(fd);
    }
#endif
    p->ended.callback = aio__process_told;
    p->ended.arg = p;
    p->ended.kept = true;
    int code = aio__os.thread(&p->thread, aio__process_thread, p);
    p->has_thread = code == 0;
    return code;
}

/* Its user is done with it, or never got it: it ends in the background. */
static void aio__process_abandon(aio_process *p)
{
    p->released = true;
    aio__os.kill(p->pid, SIGKILL);
    for (int i = 0; i < 3; i++) aio_stream_abort(p->streams[i]);
    if (p->exited->future.refs > 1) return;
    aio_unref(p->exited); /* nobody waits */
    p->exited = NULL;
}

/* The loop closes: so does every child, at once. */
static void aio__processes_close(aio_loop *loop, aio__closer *closer)
{
    aio__owned *processes = AIO__CONTAINER(closer, aio__owned, closer);
    while (!aio__ring_empty(&processes->ring)) {
        aio_process *p = AIO__CONTAINER(processes->ring.next, aio_process, link);
        p->released = true;
        if (p->returncode == AIO_RUNNING) {
            aio__os.kill(p->pid, SIGKILL);
            aio__process_reap(p, 0);
        } else aio__process_free(p);
    }
    loop->processes = NULL;
    aio__free(processes);
}

/* ---- its beginning ---- */

struct aio__spawning {
    aio_task            task;
    aio_process        *result;
    aio_process_options options;
    int                 code;
    char              **argv, **env; /* in space */
    char               *space[1];    /* pointers, then text */
};

static void aio__close_all(int *fds)
{
    for (int i = 0; i < 3; i++)
        if (fds[i] > 2) aio__os.close(fds[i]);
}

/* A descriptor above 2, in place of this one, which is closed. -1 with errno. */
static int aio__fd_raise(int fd)
{
    if (fd > 2) return fd;
    int raised = aio__os.fcntl(fd, F_DUPFD_CLOEXEC, 3), code = errno;
    aio__os.close(fd);
    errno = code;
    return raised;
}

/* The child's end, and for a pipe our own, of standard stream i. 0 or a code. */
static int aio__stdio_open(int wanted, int i, int *child, int *ours)
{
    int fds[2];
    *child = wanted;
    if (wanted == AIO_INHERIT || wanted == AIO_DEVNULL || (wanted == AIO_STDOUT && i == 2)) return 0;
    *child = -1;
    if (wanted > 0) return (*child = aio__os.fcntl(wanted, F_DUPFD_CLOEXEC, 3)) < 0 ? errno : 0;
    if (wanted != AIO_PIPE) return EINVAL;
    if (aio__os.pipe(fds) < 0) return errno;
    *child = aio__fd_raise(fds[i != 0]);
    int code = *child < 0 ? errno : 0;
    *ours = aio__fd_raise(fds[i == 0]);
    if (*ours < 0 && !code) code = errno;
    if (!code && (aio__fd_prepare(*ours) < 0 || aio__os.fcntl(*child, F_SETFD, FD_CLOEXEC) < 0)) code = errno;
    return code;
}

/* The program is started; its ends of pipes are closed here. 0 or a code. */
static int aio__process_start(aio_process *p, const struct aio__spawning *self, int *ours)
{
    const int wanted[3] = { self->options.in, self->options.out, self->options.err };
    aio__spawn spawn = { self->argv, self->env, self->options.cwd, { 0, 0, 0 }, self->options.new_session,
                         self->options.new_group, self->options.keep_signals };
    int code = 0;
    for (int i = 0; i < 3 && !code; i++) code = aio__stdio_open(wanted[i], i, &spawn.stdio[i], &ours[i]);
    if (!code) code = aio__os.spawn(&p->pid, &spawn);
    aio__close_all(spawn.stdio);
    return code;
}

/* Our ends become streams; takes them. 0 or a code. */
static int aio__process_streams(aio_process *p, const struct aio__spawning *self, int *ours)
{
    static const char *const names[3] = { "stdin", "stdout", "stderr" };
    char name[160];
    int code = 0;
    for (int i = 0; i < 3; i++) {
        int fd = ours[i];
        ours[i] = -1;
        if (fd < 0) continue;
        aio_stream *s = p->streams[i] = aio__stream_new(p->loop, fd, self->options.limit);
        if (!s) {
            code = errno;
            continue;
        }
        s->is_pipe = true;
        s->home = &p->streams[i];
        snprintf(name, sizeof name, "the %s of %.120s", names[i], self->argv[0]);
        s->name = aio__strndup(name, strlen(name));
    }
    return code;
}

static aio_process *aio__process_new(aio_loop *loop)
{
    aio__owned *processes =
        (aio__owned *)aio__owned_of(loop, &loop->processes, sizeof *processes, aio__processes_close);
    aio_process *p = processes ? (aio_process *)aio__calloc(sizeof *p) : NULL;
    if (!p) return NULL;
    static const aio__ops ops = { "end of a process", NULL, NULL, NULL };
    p->loop = loop;
    p->returncode = AIO_RUNNING;
    p->exited = (aio_process_future *)aio__future_make(loop, &ops, sizeof *p->exited, NULL, 0);
    if (!p->exited) {
        aio__free(p);
        return NULL;
    }
    p->exited->future.flags |= AIO__F_SHARED | AIO__F_QUIET;
    aio__ring_insert(&processes->ring, &p->link);
    return p;
}

/* 0 with self->result, or a code. */
static int aio__process_open(struct aio__spawning *self)
{
    int ours[3] = { -1, -1, -1 };
    aio_process *p = aio__process_new(self->task.future.loop);
    if (!p) return ENOMEM;
    int code = aio__process_start(p, self, ours);
    if (code) {
        aio__close_all(ours);
        aio__process_free(p);
        return code;
    }
    code = aio__process_watch(p);
    int streams = aio__process_streams(p, self, ours);
    if (!code && !streams) {
        self->result = p;
        return 0;
    }
    aio__process_abandon(p);
    if (code) aio__process_reap(p, 0); /* nobody would tell of its end */
    return code ? code : streams;
}

static AIO_CORO(aio__spawning)
{
    AIO_BEGIN(aio__spawning);
    self->code = aio__process_open(self);
    if (self->code) AIO_RAISE(self->code, "start %.120s%s%.200s: %s", self->argv[0], self->options.cwd ? " in " : "",
                              self->options.cwd ? self->options.cwd : "", strerror(self->code));
    AIO_END;
}

/* The bytes of a vector's text; *count grows by its entries and the NULL. */
static size_t aio__vector_size(const char *const *vector, size_t *count)
{
    size_t size = 0;
    for (size_t i = 0; vector && vector[i]; i++, ++*count) size += strlen(vector[i]) + 1;
    ++*count;
    return size;
}

/* A copy with its pointers at *slot and its text at *at, which move on. */
static char **aio__vector_keep(char ***slot, char **at, const char *const *vector)
{
    char **kept = *slot;
    if (!vector) return NULL;
    for (; *vector; vector++, ++*slot) **slot = (char *)(uintptr_t)aio__keep(at, *vector);
    *(*slot)++ = NULL;
    return kept;
}

AIO_API aio_process_task *aio_create_subprocess_exec_with(const char *const *argv, const aio_process_options *o)
{
    AIO__DEFAULTS(aio_process_options, o);
    if (!argv || !argv[0] || !argv[0][0])
        return (aio_process_task *)(void *)aio__failure(EINVAL, "create_subprocess: no program");
    size_t count = 0, size = aio__vector_size(argv, &count);
    size += aio__vector_size(o->env, &count) + aio__text_size(o->cwd);
    struct aio__spawning *self = (struct aio__spawning *)aio__new_zeroed(
        sizeof *self + count * sizeof *self->space + size, aio__spawning_coro);
    if (!self) return NULL;
    char **slot = self->space, *at = (char *)(self->space + count);
    self->options = *o;
    self->argv = aio__vector_keep(&slot, &at, argv);
    self->env = aio__vector_keep(&slot, &at, o->env);
    self->options.cwd = aio__keep(&at, o->cwd);
    return (aio_process_task *)(void *)self;
}

AIO_API aio_process_task *aio_create_subprocess_shell_with(const char *command, const aio_process_options *options)
{
    const char *argv[] = { "/bin/sh", "-c", command, NULL };
    if (!command) return (aio_process_task *)(void *)aio__failure(EINVAL, "create_subprocess_shell: no command");
    return aio_create_subprocess_exec_with(argv, options);
}

/* ---- while it runs ---- */

AIO_API aio_stream *aio_process_stdin(const aio_process *process) { return process ? process->streams[0] : NULL; }
AIO_API aio_stream *aio_process_stdout(const aio_process *process) { return process ? process->streams[1] : NULL; }
AIO_API aio_stream *aio_process_stderr(const aio_process *process) { return process ? process->streams[2] : NULL; }
AIO_API int aio_process_pid(const aio_process *process) { return process ? (int)process->pid : -1; }
AIO_API int aio_process_returncode(const aio_process *process) { return process ? process->returncode : AIO_RUNNING; }

AIO_API aio_process_future *aio_process_wait(aio_process *process)
{
    if (!process) return (aio_process_future *)(void *)aio__failure(EINVAL, "wait for no process");
    return (aio_process_future *)aio_ref(process->exited);
}

AIO_API int aio_process_send_signal(aio_process *process, int signum)
{
    if (!process) return EINVAL;
    if (process->returncode != AIO_RUNNING) return ESRCH;
    return aio__os.kill(process->pid, signum) < 0 ? errno : 0;
}

AIO_API int aio_process_terminate(aio_process *process) { return aio_process_send_signal(process, SIGTERM); }
AIO_API int aio_process_kill(aio_process *process) { return aio_process_send_signal(process, SIGKILL); }

AIO_API void aio_process_release(aio_process *process)
{
    aio_process *p = process;
    if (!p || p->released) return;
    if (p->returncode == AIO_RUNNING) aio__process_abandon(p);
    else aio__process_free(p);
}

/* ---- communicate ---- */

struct aio__feeding { aio_task task; aio_process *process; const char *input; size_t length; };

/* Writes the next piece; waits until it is sent. */
static aio_future *aio__feed(struct aio__feeding *self)
{
    aio_stream *s = self->process->streams[0];
    size_t n = self->length < AIO__READ_BUFFER ? self->length : (size_t)AIO__READ_BUFFER;
    int code = aio_stream_write(s, self->input, n);
    self->input += n;
    self->length -= n;
    return code ? aio__failure(code, "%s", aio_code_text(code)) : aio_stream_drain(s);
}

/* A program that has read enough is no error. After any other one the process may be gone. */
static void aio__feeding_end(struct aio__feeding *self)
{
    aio_exception *error = self->task.future.error;
    if (error && error->code != EPIPE && error->code != ECONNRESET) return;
    aio_exception_unref(error);
    self->task.future.error = NULL;
    if (aio_stream_write_eof(self->process->streams[0])) aio_stream_abort(self->process->streams[0]);
}

static AIO_CORO(aio__feeding)
{
    AIO_BEGIN(aio__feeding);
    aio_stream_set_write_buffer_limits(self->process->streams[0], 0, 0); /* drained: all is sent, no error is to come */
    while (self->length) AIO_AWAIT(aio__feed(self));
    AIO_FINALLY;
        aio__feeding_end(self);
    AIO_END;
}

static struct aio__feeding *aio__feeding_new(aio_process *process, const char *input, size_t length)
{
    struct aio__feeding *self = (struct aio__feeding *)aio__new_zeroed(sizeof *self, aio__feeding_coro);
    if (!self) return NULL;
    self->process = process;
    self->input = input;
    self->length = length;
    return self;
}

struct aio__communicating { aio_task task; aio_process_output result; aio_process *process; const char *input;
                            size_t length, count; void *parts[3]; aio_text_future *texts[3]; };

/* Starts what is to be done with each stream that there is, and waits for all of it. */
static aio_future *aio__communicate_begin(struct aio__communicating *self)
{
    aio_stream **streams = self->process->streams;
    if (self->length && !streams[0]) return aio__failure(EINVAL, "communicate: input, but no pipe for it");
    for (int i = 0; i < 3; i++) {
        if (!streams[i]) continue;
        if (i) self->parts[self->count++] = self->texts[i] = aio_stream_read_all(streams[i], 0);
        else self->parts[self->count++] = aio__feeding_new(self->process, self->input, self->length);
    }
    return (aio_future *)(void *)aio_gather(self->parts, self->count);
}

static AIO_CORO(aio__communicating)
{
    AIO_BEGIN(aio__communicating);
    AIO_AWAIT(aio__communicate_begin(self));
    AIO_AWAIT(self->result.returncode, aio_process_wait(self->process));
    if (self->texts[1]) self->result.out = self->texts[1]->result;
    if (self->texts[2]) self->result.err = self->texts[2]->result;
    AIO_FINALLY;
        for (size_t i = 0; i < self->count; i++) aio_future_cancel(self->parts[i]);
        aio_unref_all(self->parts, self->count);
    AIO_END;
}

AIO_API aio_output_task *aio_process_communicate(aio_process *process, const void *input, size_t length)
{
    if (!process || (!input && length))
        return (aio_output_task *)(void *)aio__failure(EINVAL, "communicate: no process, or no input");
    struct aio__communicating *self =
        (struct aio__communicating *)aio__new_zeroed(sizeof *self, aio__communicating_coro);
    if (!self) return NULL;
    self->process = process;
    self->input = (const char *)input;
    self->length = length;
    return (aio_output_task *)(void *)self;
}

/* ============================================================================
 * 46. URLs
 *
 * RFC 3986 with yarl's habits: splits a reference, checks and normalises each part, writes the whole into one block.
 * Owns nothing beyond the block of each aio_url. Calls memory and buffers only.
 * ============================================================================ */

enum { /* classes of bytes; a name is what the class may be in without being encoded */
    AIO__TOKEN = 0x01, AIO__PATH = 0x02, AIO__QUERY = 0x04, AIO__UNRESERVED = 0x08,
    AIO__FORM = 0x10, AIO__DIGIT = 0x20, AIO__HEX = 0x40, AIO__HOST = 0x80
};
static const unsigned char aio__byte_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0x07, 0, 0x01, 0x07, 0x01, 0x07, 0x07, 0x06, 0x06, 0x17, 0x07, 0x06, 0x9f, 0x9f, 0x06,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x06, 0x06, 0, 0x06, 0, 0x04,
    0x06, 0xdf, 0xdf, 0xdf, 0xdf, 0xdf, 0xdf, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f,
    0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0, 0, 0, 0x01, 0x9f,
    0x01, 0xdf, 0xdf, 0xdf, 0xdf, 0xdf, 0xdf, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f,
    0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0x9f, 0, 0x01, 0, 0x0f, 0
};

static inline bool aio__is(char c, unsigned wanted)
{
    return (aio__byte_class[(unsigned char)c] & wanted) != 0;
}

static inline char aio__lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline bool aio__is_letter(char c)
{
    return aio__lower(c) >= 'a' && aio__lower(c) <= 'z';
}

static inline int aio__hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = aio__lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static aio_text aio__text(const char *data, size_t length)
{
    aio_text text;
    text.data = data;
    text.length = length;
    return text;
}

/* Equal but for the case of ASCII letters. */
static bool aio__same_word(const char *a, size_t a_length, const char *b, size_t b_length)
{
    if (a_length != b_length) return false;
    for (size_t i = 0; i < a_length; i++)
        if (a[i] != b[i] && aio__lower(a[i]) != aio__lower(b[i])) return false;
    return true;
}

#define AIO__SAME_WORD(data, length, literal) aio__same_word((data), (length), "" literal, sizeof(literal) - 1)

/* Whether there is a control character; HTAB counts as one only if `tab`. Eight bytes a step: a byte b < 0x20 or
 * b == 0x7f leaves its high bit set. */
static bool aio__has_control(const char *data, size_t n, bool tab)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    for (size_t i = 0, end; i < n; i = end) {
        end = n - i < 8 ? n : i + 8;
        if (end - i == 8) {
            uint64_t word, delete_mark;
            memcpy(&word, data + i, 8);
            delete_mark = word ^ (ones * 0x7f);
            if (!((((word - ones * 0x20) & ~word) | ((delete_mark - ones) & ~delete_mark)) & high)) continue;
        }
        for (size_t k = i; k < end; k++) {
            unsigned char c = (unsigned char)data[k];
            if ((c < 0x20 && (tab || c != '\t')) || c == 0x7f) return true;
        }
    }
    return false;
}

enum { AIO__QUOTE_PLUS = 1, AIO__QUOTE_AGAIN = 2 };

/* %XX at the beginning of n bytes: the byte that it stands for. */
static bool aio__percent(const char *data, size_t n, char *c)
{
    if (n < 3 || *data != '%' || !aio__is(data[1], AIO__HEX) || !aio__is(data[2], AIO__HEX)) return false;
    *c = (char)(aio__hex_value(data[1]) * 16 + aio__hex_value(data[2]));
    return true;
}

/* Writes n bytes with those outside the class `keep` as %XX: at most three bytes for each. AIO__QUOTE_PLUS: a space
 * becomes '+'. AIO__QUOTE_AGAIN: the text may be encoded already: %XX stays, with upper-case digits, or is decoded if
 * unreserved. Gives where it ends. */
static char *aio__quote(char *out, const char *data, size_t n, unsigned keep, unsigned how)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        char c = data[i];
        bool kept = aio__is(c, keep);
        if (!kept && (how & AIO__QUOTE_AGAIN) && aio__percent(data + i, n - i, &c)) {
            i += 2;
            kept = aio__is(c, AIO__UNRESERVED);
        } else if (c == ' ' && (how & AIO__QUOTE_PLUS)) {
            kept = true;
            c = '+';
        }
        *out++ = kept ? c : '%';
        if (kept) continue;
        *out++ = digits[(unsigned char)c >> 4];
        *out++ = digits[(unsigned char)c & 15];
    }
    return out;
}

/* Writes n bytes with %XX decoded, and, with AIO__QUOTE_PLUS, '+' as a space; a '%' without two digits stays. Gives
 * where it ends. */
static char *aio__unquote(char *out, const char *data, size_t n, unsigned how)
{
    for (size_t i = 0; i < n; i++) {
        char c = data[i];
        if (c == '+' && (how & AIO__QUOTE_PLUS)) c = ' ';
        else if (aio__percent(data + i, n - i, &c)) i += 2;
        *out++ = c;
    }
    return out;
}

/* Appends name=value as application/x-www-form-urlencoded has it, after a '&' if the buffer has pairs already. */
static bool aio__form_pair(aio__buffer *out, aio_text name, aio_text value)
{
    if (!aio__buffer_reserve(out, 3 * (name.length + value.length) + 2)) return false;
    char *at = out->data + out->end;
    if (out->end > out->start) *at++ = '&';
    at = aio__quote(at, name.data, name.length, AIO__FORM, AIO__QUOTE_PLUS);
    *at++ = '=';
    at = aio__quote(at, value.data, value.length, AIO__FORM, AIO__QUOTE_PLUS);
    out->end = (size_t)(at - out->data);
    return true;
}

/* An address in one of RFC 4291's notations, or of four decimal parts without leading zeros, the only one that
 * everybody reads alike. 16 or 4, the bytes it has written; 0 for anything else. */
static size_t aio__ip_parse(const char *text, size_t n, unsigned char *address)
{
    char copy[INET6_ADDRSTRLEN];
    if (n >= sizeof copy) return 0;
    memcpy(copy, text, n);
    copy[n] = '\0';
    bool six = strchr(copy, ':') != NULL;
    if (inet_pton(six ? AF_INET6 : AF_INET, copy, address) != 1) return 0;
    return six ? 16 : 4;
}

/* Where the longest run of at least two zero groups begins (8: there is none), and how long it is: RFC 5952 4.2. */
static int aio__ipv6_zeros(const unsigned char address[16], int *length)
{
    int best = 8, run = 0;
    *length = 1;
    for (int i = 0; i < 8; i++) {
        run = address[2 * i] || address[2 * i + 1] ? 0 : run + 1;
        if (run > *length) {
            *length = run;
            best = i + 1 - run;
        }
    }
    return best;
}

/* Writes the one form of RFC 5952; IPv4-mapped addresses with their dots. Gives the length; out takes 46 bytes. */
static size_t aio__ipv6_format(const unsigned char address[16], char *out)
{
    static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255 };
    int zeros, start = aio__ipv6_zeros(address, &zeros), n = 0;
    if (!memcmp(address, mapped, 12))
        return (size_t)snprintf(out, 46, "::ffff:%u.%u.%u.%u", (unsigned)address[12], (unsigned)address[13],
                                (unsigned)address[14], (unsigned)address[15]);
    for (int i = 0; i < 8; i++) {
        if (i == start) {
            out[n++] = ':';
            out[n++] = ':';
            i += zeros - 1;
            continue;
        }
        n += snprintf(out + n, (size_t)(46 - n), i && i != start + zeros ? ":%x" : "%x",
                      (unsigned)address[2 * i] << 8 | address[2 * i + 1]);
    }
    return (size_t)n;
}

enum { AIO__HOST_MAX = 253, AIO__LABEL_MAX = 63, AIO__ZONE_MAX = 32 };

typedef struct aio__url_parts {
    aio_text scheme, authority, base_path, path, query, more, fragment; /* base_path: before path; more: of the query */
} aio__url_parts;

/* A URL on its way into its block, which is large enough from the start. */
typedef struct aio__url_writer {
    aio_url *url;
    char    *at;             /* in the block: where the next byte goes */
    aio_text user, password; /* as they came */
    unsigned default_port;
} aio__url_writer;

/* What has been written since then. */
static aio_text aio__url_writer_since(const aio__url_writer *writer, const char *start)
{
    return aio__text(start, (size_t)(writer->at - start));
}

/* inet_aton reads such names as addresses, each in a way of its own: the last label a decimal, octal or hex number. */
static bool aio__host_looks_numeric(const char *name, size_t n)
{
    if (name[n - 1] == '.') n--;
    size_t start = n, i;
    while (start && name[start - 1] != '.') start--;
    bool hex = n - start >= 2 && name[start] == '0' && aio__lower(name[start + 1]) == 'x';
    for (i = start + (hex ? 2 : 0); i < n; i++)
        if (!aio__is(name[i], hex ? AIO__HEX : AIO__DIGIT)) return false;
    return i > start;
}

static const char *aio__url_writer_host(aio__url_writer *writer, const char *text, size_t n)
{
    unsigned char address[16];
    size_t label = 0, shown = n && text[n - 1] == '.' ? n - 1 : n;
    if (!shown) return "the host is empty";
    if (shown > AIO__HOST_MAX) return "the host is longer than 253 bytes";
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] >= 0x80) return "the host is not ASCII: write it in punycode (xn--...)";
        if (!aio__is(text[i], AIO__HOST)) return "the host has a character that no host has";
        if (text[i] == '.' && !label) return "the host has an empty label";
        label = text[i] == '.' ? 0 : label + 1;
        if (label > AIO__LABEL_MAX) return "the host has a label longer than 63 bytes";
        *writer->at++ = aio__lower(text[i]);
    }
    if (!aio__host_looks_numeric(text, n)) return NULL;
    writer->url->is_ipv4 = aio__ip_parse(text, n, address) == 4;
    return writer->url->is_ipv4 ? NULL
        : "the host looks like a number but is not an IPv4 address in four decimal parts";
}

/* What stands between brackets; RFC 6874 writes the zone after "%25", most people after '%': then it must not look like
 * an encoded byte, which another reader would decode. */
AIO__NOINLINE static const char *aio__url_writer_ipv6(aio__url_writer *writer, const char *text, size_t n)
{
    unsigned char address[16];
    char encoded;
    const char *percent = (const char *)memchr(text, '%', n);
    size_t length = percent ? (size_t)(percent - text) : n, zone = length + 1;
    writer->url->is_ipv6 = aio__ip_parse(text, length, address) == 16;
    if (!writer->url->is_ipv6) return "the host in brackets is not an IPv6 address";
    writer->at += aio__ipv6_format(address, writer->at);
    if (!percent) return NULL;
    if (n - zone >= 2 && text[zone] == '2' && text[zone + 1] == '5') zone += 2;
    else if (aio__percent(percent, n - length, &encoded)) return "the host in brackets has an encoded byte";
    if (zone == n || n - zone > AIO__ZONE_MAX) return "the IPv6 zone is empty or longer than 32 bytes";
    *writer->at++ = '%';
    for (size_t i = zone; i < n; i++) {
        if (!aio__is(text[i], AIO__UNRESERVED)) return "the IPv6 zone has a character that no zone has";
        *writer->at++ = text[i];
    }
    return NULL;
}

/* The length of the scheme before a ':'; 0: there is none. */
static size_t aio__url_scheme(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && (aio__is_letter(text[i]) || (i && (aio__is(text[i], AIO__DIGIT) || memchr("+-.", text[i], 3)))))
        i++;
    return i < n && text[i] == ':' ? i : 0;
}

/* RFC 3986 appendix B: takes a reference apart; whatever the bytes, the parts are all of them. */
static void aio__url_split(const char *text, size_t n, aio__url_parts *parts)
{
    const char *end = text + n, *stop;
    memset(parts, 0, sizeof *parts);
    if ((stop = (const char *)memchr(text, '#', n))) {
        parts->fragment = aio__text(stop + 1, (size_t)(end - stop - 1));
        end = stop;
    }
    if ((stop = (const char *)memchr(text, '?', (size_t)(end - text)))) {
        parts->query = aio__text(stop + 1, (size_t)(end - stop - 1));
        end = stop;
    }
    size_t scheme = aio__url_scheme(text, (size_t)(end - text));
    if (scheme) {
        parts->scheme = aio__text(text, scheme);
        text += scheme + 1;
    }
    if (end - text >= 2 && text[0] == '/' && text[1] == '/') {
        const char *start = text + 2;
        stop = (const char *)memchr(start, '/', (size_t)(end - start));
        text = stop ? stop : end;
        parts->authority = aio__text(start, (size_t)(text - start));
    }
    parts->path = aio__text(text, (size_t)(end - text));
}

/* RFC 3986 5.2.4, in place, for a path that begins with '/'. Gives the new length. */
static size_t aio__url_remove_dots(char *path, size_t n)
{
    size_t in = 0, out = 0;
    while (in < n) {
        size_t end = in + 1;
        while (end < n && path[end] != '/') end++;
        size_t length = end - in - 1;
        bool one = length == 1 && path[in + 1] == '.';
        bool two = length == 2 && path[in + 1] == '.' && path[in + 2] == '.';
        if (two)
            while (out && path[--out] != '/') { }
        if (!one && !two) {
            memmove(path + out, path + in, end - in);
            out += end - in;
        } else if (end == n) {
            path[out++] = '/';
        }
        in = end;
    }
    return out;
}

/* What is known of the scheme. */
static const char *aio__url_writer_scheme(aio__url_writer *writer, aio_text scheme)
{
    static const struct { char name[8]; uint16_t port; bool is_http, is_tls; } known[] = {
        { "http", 80, true, false }, { "https", 443, true, true }, { "ws", 80, true, false },
        { "wss", 443, true, true }, { "ftp", 21, false, false }, { "socks4", 1080, false, false },
        { "socks4a", 1080, false, false }, { "socks5", 1080, false, false }, { "socks5h", 1080, false, false }
    };
    if (!scheme.length) return "the URL has no scheme (http://...)";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!aio__same_word(scheme.data, scheme.length, known[i].name, strlen(known[i].name))) continue;
        writer->url->port = known[i].port;
        writer->url->is_http = known[i].is_http;
        writer->url->is_tls = known[i].is_tls;
    }
    writer->default_port = writer->url->port;
    return NULL;
}

static const char *aio__url_writer_port(aio__url_writer *writer, const char *at, const char *end)
{
    unsigned port = 0;
    if (at == end) return NULL;
    for (; at < end; at++) {
        if (!aio__is(*at, AIO__DIGIT)) return "the port is not a number";
        port = port * 10 + (unsigned)(*at - '0');
        if (port > 65535) return "the port is above 65535";
    }
    writer->url->port = (uint16_t)port;
    return port ? NULL : "the port is 0";
}

/* Takes an authority apart: user info up to the last '@', as yarl and browsers read it, then host and port. Writes the
 * host and its NUL. */
AIO__NOINLINE static const char *aio__url_writer_authority(aio__url_writer *writer, aio_text text)
{
    const char *host = text.data, *end = text.data + text.length, *stop, *why, *start = writer->at;
    if (memchr(text.data, '\\', text.length)) return "the host part has a backslash";
    for (const char *at = text.data; at < end; at++)
        if (*at == '@') host = at + 1;
    if (host > text.data) {
        const char *info_end = host - 1, *colon = (const char *)memchr(text.data, ':', (size_t)(info_end - text.data));
        writer->user = aio__text(text.data, (size_t)((colon ? colon : info_end) - text.data));
        if (colon) writer->password = aio__text(colon + 1, (size_t)(info_end - colon - 1));
    }
    if (host < end && *host == '[') {
        stop = (const char *)memchr(host, ']', (size_t)(end - host));
        if (!stop) return "the host has '[' without ']'";
        why = aio__url_writer_ipv6(writer, host + 1, (size_t)(stop - host - 1));
        stop++;
        if (!why && stop < end && *stop != ':') why = "the host in brackets is followed by something else than a port";
    } else {
        if (!text.length && !writer->url->is_http) return NULL;
        stop = (const char *)memchr(host, ':', (size_t)(end - host));
        if (!stop) stop = end;
        why = aio__url_writer_host(writer, host, (size_t)(stop - host));
    }
    writer->url->host = aio__url_writer_since(writer, start);
    *writer->at++ = '\0';
    return why || stop == end ? why : aio__url_writer_port(writer, stop + 1, end);
}

static void aio__url_writer_quote(aio__url_writer *writer, aio_text text, unsigned keep, unsigned how)
{
    writer->at = aio__quote(writer->at, text.data, text.length, keep, how | AIO__QUOTE_AGAIN);
}

/* Writes user info, host and port in normal form. */
static void aio__url_writer_put_authority(aio__url_writer *writer)
{
    aio_url *url = writer->url;
    *writer->at++ = '/';
    *writer->at++ = '/';
    aio__url_writer_quote(writer, writer->user, AIO__UNRESERVED, 0);
    if (writer->password.data) *writer->at++ = ':';
    aio__url_writer_quote(writer, writer->password, AIO__UNRESERVED, 0);
    if (writer->user.data) *writer->at++ = '@';
    const char *start = writer->at;
    if (url->is_ipv6) *writer->at++ = '[';
    writer->at = aio__quote(writer->at, url->host.data, url->host.length, AIO__PATH, 0); /* the zone's '%' as %25 */
    if (url->is_ipv6) *writer->at++ = ']';
    if (url->port != writer->default_port) writer->at += snprintf(writer->at, 8, ":%u", (unsigned)url->port);
    url->authority = aio__url_writer_since(writer, start);
}

AIO__NOINLINE static const char *aio__url_writer_path(aio__url_writer *writer, const aio__url_parts *parts)
{
    char *path = writer->at;
    bool has_host = parts->authority.data != NULL;
    aio__url_writer_quote(writer, parts->base_path, AIO__PATH, 0);
    aio__url_writer_quote(writer, parts->path, AIO__PATH, 0);
    if (writer->at > path && *path == '/') writer->at = path + aio__url_remove_dots(path, (size_t)(writer->at - path));
    else if (has_host) *writer->at++ = '/';
    writer->url->path = aio__url_writer_since(writer, path);
    if (!has_host && writer->at - path >= 2 && path[0] == '/' && path[1] == '/')
        return "the path begins with '//' and there is no host";
    return NULL;
}

static aio_text aio__url_writer_tail(aio__url_writer *writer, char mark, aio_text text, aio_text more, unsigned how)
{
    if (!text.data && !more.length) return text;
    *writer->at++ = mark;
    const char *start = writer->at;
    aio__url_writer_quote(writer, text, AIO__QUERY, how);
    if (text.length && more.length) *writer->at++ = '&';
    aio__url_writer_quote(writer, more, AIO__QUERY, how);
    return aio__url_writer_since(writer, start);
}

/* After the URL itself: user or password, decoded, with a NUL. RFC 7617 has no control characters in them. */
static const char *aio__url_writer_secret(aio__url_writer *writer, aio_text raw, aio_text *decoded)
{
    char *start = writer->at;
    if (!raw.data) return NULL;
    writer->at = aio__unquote(start, raw.data, raw.length, 0);
    *decoded = aio__url_writer_since(writer, start);
    *writer->at++ = '\0';
    return aio__has_control(start, decoded->length, true) ? "the user info has a control character" : NULL;
}

static const char *aio__url_writer_write(aio__url_writer *writer, const aio__url_parts *parts)
{
    aio_url *url = writer->url;
    const char *why = aio__url_writer_scheme(writer, parts->scheme);
    if (!why && parts->authority.data) why = aio__url_writer_authority(writer, parts->authority);
    else if (!why && url->is_http) why = "the URL has no host";
    if (why) return why;
    char *start = writer->at;
    for (size_t i = 0; i < parts->scheme.length; i++) *writer->at++ = aio__lower(parts->scheme.data[i]);
    url->scheme = aio__url_writer_since(writer, start);
    *writer->at++ = ':';
    if (parts->authority.data) aio__url_writer_put_authority(writer);
    why = aio__url_writer_path(writer, parts);
    url->query = aio__url_writer_tail(writer, '?', parts->query, parts->more, url->is_http ? AIO__QUOTE_PLUS : 0);
    url->target = aio__url_writer_since(writer, url->path.data);
    url->fragment = aio__url_writer_tail(writer, '#', parts->fragment, aio__text(NULL, 0), 0);
    url->text = aio__url_writer_since(writer, start);
    *writer->at++ = '\0';
    if (!why) why = aio__url_writer_secret(writer, writer->user, &url->user);
    if (!why) why = aio__url_writer_secret(writer, writer->password, &url->password);
    return !why && url->text.length > AIO_URL_MAX ? "the URL is longer than 65536 bytes" : why;
}

/* A URL as a message may show it, which need not be one: without user info. What stands before the last '@' may be a
 * password, whatever is wrong with the rest. */
static const char *aio__url_shown(const char *url, char *text, size_t size)
{
    if (!url) return "NULL";
    const char *at = strrchr(url, '@'), *scheme = strstr(url, "://");
    bool known = scheme && at && scheme < at && aio__url_scheme(url, strlen(url)) == (size_t)(scheme - url);
    if (!at) return url;
    snprintf(text, size, "%.*s***%s", known && scheme - url < 32 ? (int)(scheme - url) + 3 : 0, url, at);
    return text;
}

/* Checks, normalises and writes the parts into a URL of their own; or fails at once, if `why` is set. Every byte may
 * become three; the authority is there once more, decoded. What is left of the room is for an IPv6 address, twice, and
 * for what joins the parts. */
static int aio__url_compose(aio_url *url, const aio__url_parts *parts, const char *why, const char **reason)
{
    aio__url_writer writer;
    const aio__url_parts *p = parts;
    int code = AIO_EURL;
    memset(url, 0, sizeof *url);
    memset(&writer, 0, sizeof writer);
    writer.url = url;
    if (!why) {
        url->block = writer.at = (char *)aio__malloc(128 + p->scheme.length + 4 * p->authority.length
            + 3 * (p->base_path.length + p->path.length + p->query.length + p->more.length + p->fragment.length));
        if (!url->block) code = ENOMEM;
        why = url->block ? aio__url_writer_write(&writer, p) : "out of memory";
    }
    if (!why) return 0;
    if (reason) *reason = why;
    aio_url_clear(url);
    return code;
}

/* What no URL may have, so that nothing after it meets a control character. */
static const char *aio__url_problem(aio_text text)
{
    if (text.length > AIO_URL_MAX) return "the URL is longer than 65536 bytes";
    return aio__has_control(text.data, text.length, true) ? "the URL has a control character" : NULL;
}

/* Takes a URL, or a reference, apart, without the spaces before it. NULL, or what is wrong with it. */
static const char *aio__url_read(const char *text, size_t length, aio__url_parts *parts)
{
    if (!text) return "the URL is NULL";
    for (; length && *text == ' '; length--) text++;
    const char *why = aio__url_problem(aio__text(text, length));
    if (!why) aio__url_split(text, length, parts);
    return why;
}

AIO_API int aio_url_parse(aio_url *url, const char *text, size_t length, const char **reason)
{
    aio__url_parts parts;
    const char *why = aio__url_read(text, length, &parts);
    return aio__url_compose(url, &parts, why, reason);
}

/* The authority as the URL's text has it, with user info. */
static aio_text aio__url_raw_authority(const aio_url *url)
{
    const char *start = url->scheme.data + url->scheme.length + 3;
    return url->authority.data ? aio__text(start, (size_t)(url->path.data - start)) : aio__text(NULL, 0);
}

/* What a reference without a scheme has of its base (RFC 3986 5.2.2). */
static void aio__url_inherit(aio__url_parts *parts, const aio_url *base)
{
    parts->scheme = base->scheme;
    if (parts->authority.data) return;
    parts->authority = aio__url_raw_authority(base);
    if (!parts->path.length) {
        parts->path = base->path;
        if (!parts->query.data) parts->query = base->query;
    } else if (*parts->path.data != '/') {
        parts->base_path = base->path;
        while (parts->base_path.length && parts->base_path.data[parts->base_path.length - 1] != '/')
            parts->base_path.length--;
    }
}

AIO_API int aio_url_join(aio_url *url, const aio_url *base, const char *reference, size_t length, const char **reason)
{
    aio__url_parts parts;
    const char *why = base->block ? aio__url_read(reference, length, &parts) : "the base URL is empty";
    if (!why && !parts.scheme.data) aio__url_inherit(&parts, base);
    return aio__url_compose(url, &parts, why, reason);
}

AIO_API int aio_url_extend_query(aio_url *url, const aio_url *base, const char *query, size_t length,
                                 const char **reason)
{
    aio__url_parts parts;
    memset(&parts, 0, sizeof parts);
    aio__url_inherit(&parts, base);
    parts.more = aio__text(query, length);
    parts.fragment = base->fragment;
    return aio__url_compose(url, &parts, aio__url_problem(parts.more), reason);
}

AIO_API void aio_url_clear(aio_url *url)
{
    aio__free(url->block);
    memset(url, 0, sizeof *url);
}

AIO_API bool aio_url_same_origin(const aio_url *a, const aio_url *b)
{
    return a->host.data && b->host.data && a->port == b->port
        && aio__same_word(a->scheme.data, a->scheme.length, b->scheme.data, b->scheme.length)
        && aio__same_word(a->host.data, a->host.length, b->host.data, b->host.length);
}

/* ============================================================================
 * 47. Headers
 *
 * The multi-map: one block of text and an index into it. Growing copies what is alive into a new block, and frees the
 * old one only after the new field is in, so that a value may come from the headers themselves. Calls memory only.
 * ============================================================================ */

enum { AIO__HEADERS_MAX = 16 * 1024 * 1024 };

static const char *aio__header_name_problem(const char *name, size_t n)
{
    if (!n) return "a header name is empty";
    for (size_t i = 0; i < n; i++)
        if (!aio__is(name[i], AIO__TOKEN)) return "a header name has a character that no token has";
    return NULL;
}

static const char *aio__header_value_problem(const char *value, size_t n)
{
    return aio__has_control(value, n, false) ? "a header value has a control character" : NULL;
}

/* Framing is the library's own business: a second opinion about it is how requests are smuggled. */
static bool aio__is_framing(const char *name, size_t n)
{
    return AIO__SAME_WORD(name, n, "content-length") || AIO__SAME_WORD(name, n, "transfer-encoding");
}

#define AIO__NO_FRAMING "Content-Length and Transfer-Encoding are not to be given"

/* NULL, or what is wrong with an array of headers. */
static const char *aio__pairs_problem(const char *const *pairs)
{
    for (size_t i = 0; pairs && pairs[i]; i += 2) {
        const char *why = aio__header_name_problem(pairs[i], strlen(pairs[i]));
        if (why) return why;
        if (!pairs[i + 1]) return "a header has no value: the list must alternate names and values, and end in NULL";
        if ((why = aio__header_value_problem(pairs[i + 1], strlen(pairs[i + 1])))) return why;
        if (aio__is_framing(pairs[i], strlen(pairs[i]))) return AIO__NO_FRAMING;
    }
    return NULL;
}

/* The index of the first field of this name from `from` on, or the count. */
static uint32_t aio__headers_find(const aio_headers *headers, const char *name, size_t n, uint32_t from)
{
    const char first = n ? aio__lower(*name) : '\0';
    for (uint32_t i = from; i < headers->count; i++) {
        const aio__field *field = &headers->fields[i];
        const char *there = headers->text + field->name;
        if (field->name_length == n && aio__lower(*there) == first && aio__same_word(there, n, name, n)) return i;
    }
    return headers->count;
}

/* Makes the index take at least `room` fields. */
static bool aio__headers_index(aio_headers *headers, uint32_t room)
{
    if (room <= headers->room) return true;
    uint32_t wanted = headers->room ? headers->room * 2 : 16;
    if (wanted < room) wanted = room;
    aio__field *fields = (aio__field *)aio__realloc(headers->fields, (size_t)wanted * sizeof *fields);
    if (!fields) return false;
    headers->fields = fields;
    headers->room = wanted;
    return true;
}

static uint32_t aio__headers_store(aio_headers *headers, const char *data, size_t n)
{
    uint32_t at = headers->length;
    if (n) memmove(headers->text + at, data, n);
    headers->text[at + n] = '\0';
    headers->length += (uint32_t)n + 1;
    return at;
}

/* Moves what is alive into a block with room for `more` bytes; the old block is handed to the caller. */
static bool aio__headers_move(aio_headers *headers, size_t more, char **old)
{
    size_t capacity = (size_t)(headers->length - headers->wasted) + more;
    if (headers->text) capacity += capacity / 2;
    if (capacity < 256) capacity = 256;
    char *text = (char *)aio__malloc(capacity);
    if (!text) return false;
    *old = headers->text;
    headers->text = text;
    headers->capacity = (uint32_t)capacity;
    headers->length = headers->wasted = 0;
    for (uint32_t i = 0; i < headers->count; i++) {
        aio__field *field = &headers->fields[i];
        field->name = aio__headers_store(headers, *old + field->name, field->name_length);
        field->value = aio__headers_store(headers, *old + field->value, field->value_length);
    }
    return true;
}

/* Adds a field without looking at its bytes. */
static int aio__headers_append(aio_headers *headers, const char *name, size_t name_length, const char *value,
                               size_t value_length)
{
    if (name_length > AIO__HEADERS_MAX || value_length > AIO__HEADERS_MAX) return AIO_ELIMIT;
    size_t more = name_length + value_length + 2;
    char *old = NULL;
    if (headers->length - headers->wasted + more > AIO__HEADERS_MAX) return AIO_ELIMIT;
    if (!aio__headers_index(headers, headers->count + 1)) return ENOMEM;
    if (headers->capacity - headers->length < more && !aio__headers_move(headers, more, &old)) return ENOMEM;
    aio__field *field = &headers->fields[headers->count++];
    field->name_length = (uint32_t)name_length;
    field->value_length = (uint32_t)value_length;
    field->name = aio__headers_store(headers, name, name_length);
    field->value = aio__headers_store(headers, value, value_length);
    aio__free(old);
    return 0;
}

/* Removes the fields of a name from the index `from` on. */
static size_t aio__headers_drop(aio_headers *headers, const char *name, size_t n, uint32_t from)
{
    uint32_t kept = from;
    for (uint32_t i = from; i < headers->count; i++) {
        aio__field field = headers->fields[i];
        if (aio__same_word(headers->text + field.name, field.name_length, name, n))
            headers->wasted += field.name_length + field.value_length + 2;
        else
            headers->fields[kept++] = field;
    }
    size_t dropped = headers->count - kept;
    headers->count = kept;
    return dropped;
}

/* As aio_headers_set, without looking at the bytes. */
static int aio__headers_put(aio_headers *headers, const char *name, size_t name_length, const char *value,
                            size_t value_length)
{
    uint32_t at = aio__headers_find(headers, name, name_length, 0);
    if (at == headers->count) return aio__headers_append(headers, name, name_length, value, value_length);
    aio__field *field = &headers->fields[at];
    if (value_length <= field->value_length) {
        char *text = headers->text;
        memmove(text + field->name, name, name_length);
        if (value_length) memmove(text + field->value, value, value_length);
        text[field->value + value_length] = '\0';
        headers->wasted += field->value_length - (uint32_t)value_length;
        field->value_length = (uint32_t)value_length;
    } else {
        int code = aio__headers_append(headers, name, name_length, value, value_length);
        if (code) return code;
        field = &headers->fields[at];
        headers->wasted += field->name_length + field->value_length + 2;
        *field = headers->fields[--headers->count];
    }
    aio__headers_drop(headers, headers->text + field->name, field->name_length, at + 1);
    return 0;
}

static aio_text aio__headers_value(const aio_headers *headers, const char *name, size_t n)
{
    uint32_t at = aio__headers_find(headers, name, n, 0);
    if (at == headers->count) return aio__text(NULL, 0);
    return aio__text(headers->text + headers->fields[at].value, headers->fields[at].value_length);
}

/* Forgets the fields and keeps the memory. */
static void aio__headers_reset(aio_headers *headers)
{
    headers->length = headers->wasted = headers->count = 0;
}

AIO_API int aio_headers_add(aio_headers *headers, const char *name, const char *value)
{
    if (!name || !value || aio__header_name_problem(name, strlen(name))
        || aio__header_value_problem(value, strlen(value)))
        return EINVAL;
    return aio__headers_append(headers, name, strlen(name), value, strlen(value));
}

AIO_API int aio_headers_set(aio_headers *headers, const char *name, const char *value)
{
    if (!name || !value || aio__header_name_problem(name, strlen(name))
        || aio__header_value_problem(value, strlen(value)))
        return EINVAL;
    return aio__headers_put(headers, name, strlen(name), value, strlen(value));
}

AIO_API size_t aio_headers_remove(aio_headers *headers, const char *name)
{
    return name ? aio__headers_drop(headers, name, strlen(name), 0) : 0;
}

AIO_API aio_text aio_headers_get(const aio_headers *headers, const char *name)
{
    return name ? aio__headers_value(headers, name, strlen(name)) : aio__text(NULL, 0);
}

AIO_API bool aio_headers_next(const aio_headers *headers, size_t *position, aio_text *name, aio_text *value)
{
    if (*position >= headers->count) return false;
    const aio__field *field = &headers->fields[(*position)++];
    if (name) *name = aio__text(headers->text + field->name, field->name_length);
    if (value) *value = aio__text(headers->text + field->value, field->value_length);
    return true;
}

AIO_API bool aio_headers_next_of(const aio_headers *headers, const char *name, size_t *position, aio_text *value)
{
    if (!name || *position >= headers->count) return false;
    uint32_t at = aio__headers_find(headers, name, strlen(name), (uint32_t)*position);
    *position = at;
    return aio_headers_next(headers, position, NULL, value);
}

AIO_API void aio_headers_clear(aio_headers *headers)
{
    aio__free(headers->text);
    aio__free(headers->fields);
    memset(headers, 0, sizeof *headers);
}

/* ============================================================================
 * 48. Cookies: the jar
 *
 * Cookies hang on their domains, which stand in a hash table, and in a ring in the order in which they were made. A
 * request asks for its host and for each name above it. Calls memory, URLs and words of headers only.
 * ============================================================================ */

enum {
    AIO__COOKIES = 3300, AIO__COOKIES_OF_DOMAIN = 180, AIO__COOKIE_MAX = 4096, /* bytes of name and value */
    AIO__COOKIE_ATTRIBUTE_MAX = 1024, AIO__COOKIE_FILE_MAX = 16 * 1024 * 1024
};
/* Later than any date that can be written in four digits. */
#define AIO__COOKIE_LAST INT64_C(253402300799)

typedef struct aio__cookie_domain {
    struct aio__cookie_domain *next; /* of the same slot */
    aio__node cookies;
    size_t    count, length;
    uint32_t  hash;
    char      name[1];
} aio__cookie_domain;

typedef struct aio__cookie {
    aio_cookie          shown;       /* its texts follow */
    aio__node           link;        /* in the jar's ring */
    aio__node           of_domain;
    aio__cookie_domain *domain;
    uint64_t            made, used;  /* the jar's count of changes and uses then */
    size_t              size;        /* of the whole */
} aio__cookie;

/* What a Set-Cookie field, or a line of a file, says. */
typedef struct aio__cookie_said {
    aio_text      name, value, domain, path;
    int64_t       expires;   /* 0: none; negative: it has gone already */
    aio_same_site same_site;
    bool          has_domain, has_max_age, host_only, secure, http_only;
} aio__cookie_said;

struct aio_cookie_jar {
    size_t               refs;
    aio__node            cookies;     /* oldest first */
    size_t               count, max_cookies, max_per_domain;
    aio__cookie_domain **domains;     /* a hash table; its capacity is a power of two */
    size_t               domain_count, domain_capacity;
    uint64_t             clock;       /* of `made` and `used` */
    bool                 unsafe;
    aio_url             *secure;      /* origins that count as https */
    size_t               secure_count;
    char                *suffixes;    /* rules, each with a NUL: "co.uk", "*.ck", "!www.ck" */
    uint32_t            *suffix_slots;/* a hash table of their places, plus one */
    size_t               suffix_capacity;
    aio__cookie        **found;       /* of the latest filter */
    size_t               found_capacity;
    aio__buffer          header;
};

/* ---- dates ---- */

/* The number that begins the token: `least` to `most` digits, and no other digit behind them. -1: none does. */
static int aio__cookie_digits(aio_text *at, int least, int most)
{
    int value = 0, n = 0;
    while (at->length && aio__is(*at->data, AIO__DIGIT)) {
        if (++n > most) return -1;
        value = value * 10 + (*at->data - '0');
        at->data++;
        at->length--;
    }
    return n < least ? -1 : value;
}

/* "1:2:3" at the beginning of a token: seconds of the day. -1: it is no time; -2: it is one out of range. */
static int aio__cookie_clock(aio_text token)
{
    int part[3];
    for (int i = 0; i < 3; i++) {
        part[i] = aio__cookie_digits(&token, 1, 2);
        if (part[i] < 0 || (i < 2 && (!token.length || *token.data != ':'))) return -1;
        if (i < 2) token = aio__text(token.data + 1, token.length - 1);
    }
    return part[0] > 23 || part[1] > 59 || part[2] > 59 ? -2 : (part[0] * 60 + part[1]) * 60 + part[2];
}

/* A token's month, from 0; -1 for none. */
static int aio__cookie_month(aio_text token)
{
    static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (int i = 0; token.length >= 3 && i < 12; i++)
        if (aio__same_word(token.data, 3, months + 3 * i, 3)) return i;
    return -1;
}

/* A date as cookies have been sent with it (RFC 6265 5.1.1): seconds since 1970, not 0. False: it is none. */
static bool aio__cookie_date(aio_text text, int64_t *seconds)
{
    int clock = -1, day = -1, month = -1, year = -1;
    for (size_t i = 0; i < text.length;) {
        size_t start = i;
        while (i < text.length && (aio__is(text.data[i], AIO__DIGIT) || aio__is_letter(text.data[i])
                                   || text.data[i] == ':' || (unsigned char)text.data[i] >= 0x80)) i++;
        if (i == start && ++i) continue;
        aio_text token = aio__text(text.data + start, i - start), rest = token;
        int value;
        if (clock == -1 && (value = aio__cookie_clock(token)) != -1) clock = value;
        else if (day < 0 && (value = aio__cookie_digits(&rest, 1, 2)) >= 0) day = value;
        else if (month < 0 && (value = aio__cookie_month(token)) >= 0) month = value;
        else if (year < 0 && (rest = token, value = aio__cookie_digits(&rest, 2, 4)) >= 0) year = value;
    }
    if (year >= 70 && year <= 99) year += 1900;
    if (year >= 0 && year <= 69) year += 2000;
    if (clock < 0 || day < 1 || day > 31 || month < 0 || year < 1601) return false;
    *seconds = aio__days(year, month, day) * 86400 + clock;
    if (!*seconds) *seconds = -1;
    return true;
}

/* ---- domains ---- */

static uint32_t aio__cookie_hash(const char *text, size_t n)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash;
}

/* Whether `host` is `domain` or lies below it (RFC 6265 5.1.3); neither is an address. */
static bool aio__cookie_below(aio_text host, aio_text domain)
{
    if (host.length < domain.length || memcmp(host.data + host.length - domain.length, domain.data, domain.length) != 0)
        return false;
    return host.length == domain.length || host.data[host.length - domain.length - 1] == '.';
}

/* Whether a request's path is `path` or lies below it (RFC 6265 5.1.4). */
static bool aio__cookie_path_matches(aio_text asked, aio_text path)
{
    if (asked.length < path.length || memcmp(asked.data, path.data, path.length) != 0) return false;
    return asked.length == path.length || path.data[path.length - 1] == '/' || asked.data[path.length] == '/';
}

static bool aio__cookie_suffix_rule(const aio_cookie_jar *jar, const char *mark, const char *name, size_t n)
{
    size_t before = strlen(mark);
    uint32_t hash = aio__cookie_hash(mark, before);
    for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    for (size_t i = hash; jar->suffix_capacity; i++) {
        uint32_t at = jar->suffix_slots[i & (jar->suffix_capacity - 1)];
        if (!at) return false;
        const char *rule = jar->suffixes + at - 1;
        if (strncmp(rule, mark, before) == 0 && strncmp(rule + before, name, n) == 0 && !rule[before + n]) return true;
    }
    return false;
}

/* Whether anybody may have a name below this one: publicsuffix.org's rules, the last of which is "*". */
static bool aio__cookie_is_suffix(const aio_cookie_jar *jar, aio_text name)
{
    const char *dot = (const char *)memchr(name.data, '.', name.length);
    if (!dot) return true;
    if (aio__cookie_suffix_rule(jar, "!", name.data, name.length)) return false;
    return aio__cookie_suffix_rule(jar, "", name.data, name.length)
        || aio__cookie_suffix_rule(jar, "*", dot, name.length - (size_t)(dot - name.data));
}

static aio__cookie_domain **aio__cookie_slot(const aio_cookie_jar *jar, uint32_t hash, const char *name, size_t n)
{
    aio__cookie_domain **slot = &jar->domains[hash & (jar->domain_capacity - 1)];
    while (*slot && ((*slot)->length != n || memcmp((*slot)->name, name, n) != 0)) slot = &(*slot)->next;
    return slot;
}

/* NULL: the jar has none of it. */
static aio__cookie_domain *aio__cookie_domain_find(const aio_cookie_jar *jar, const char *name, size_t n)
{
    return jar->domain_capacity ? *aio__cookie_slot(jar, aio__cookie_hash(name, n), name, n) : NULL;
}

static bool aio__cookie_domains_grow(aio_cookie_jar *jar)
{
    size_t capacity = jar->domain_capacity ? jar->domain_capacity * 2 : 16;
    aio__cookie_domain **old = jar->domains;
    aio__cookie_domain **domains = (aio__cookie_domain **)aio__calloc(capacity * sizeof *domains);
    if (!domains) return false;
    for (size_t i = 0; i < jar->domain_capacity; i++)
        for (aio__cookie_domain *domain = old[i], *next; domain; domain = next) {
            aio__cookie_domain **slot = &domains[domain->hash & (capacity - 1)];
            next = domain->next;
            domain->next = *slot;
            *slot = domain;
        }
    aio__free(old);
    jar->domains = domains;
    jar->domain_capacity = capacity;
    return true;
}

/* The domain of this name, new if there was none; NULL without memory. */
static aio__cookie_domain *aio__cookie_domain_of(aio_cookie_jar *jar, aio_text name)
{
    aio__cookie_domain *domain = aio__cookie_domain_find(jar, name.data, name.length);
    if (domain) return domain;
    if (jar->domain_count == jar->domain_capacity && !aio__cookie_domains_grow(jar)) return NULL;
    domain = (aio__cookie_domain *)aio__calloc(sizeof *domain + name.length);
    if (!domain) return NULL;
    if (name.length) memcpy(domain->name, name.data, name.length);
    domain->length = name.length;
    domain->hash = aio__cookie_hash(name.data, name.length);
    aio__ring_clear(&domain->cookies);
    *aio__cookie_slot(jar, domain->hash, name.data, name.length) = domain;
    jar->domain_count++;
    return domain;
}

static void aio__cookie_domain_settle(aio_cookie_jar *jar, aio__cookie_domain *domain)
{
    if (domain->count) return;
    *aio__cookie_slot(jar, domain->hash, domain->name, domain->length) = domain->next;
    jar->domain_count--;
    aio__free(domain);
}

/* ---- cookies ---- */

/* Frees a cookie; what it said is not left in memory. Its domain stays. */
static void aio__cookie_free(aio_cookie_jar *jar, aio__cookie *cookie)
{
    aio__ring_remove(&cookie->link);
    aio__ring_remove(&cookie->of_domain);
    cookie->domain->count--;
    jar->count--;
    aio__wipe(cookie, cookie->size);
    aio__free(cookie);
}

static void aio__cookie_drop(aio_cookie_jar *jar, aio__cookie *cookie)
{
    aio__cookie_domain *domain = cookie->domain;
    aio__cookie_free(jar, cookie);
    aio__cookie_domain_settle(jar, domain);
}

static bool aio__cookie_expired(const aio__cookie *cookie, int64_t now)
{
    return cookie->shown.expires && cookie->shown.expires <= now;
}

/* Makes room for one more: of the domain, if it has all that it may have, else of the jar. */
static void aio__cookie_evict(aio_cookie_jar *jar, aio__cookie_domain *domain)
{
    bool full = domain->count >= jar->max_per_domain;
    if (!full && jar->count < jar->max_cookies) return;
    aio__node *ring = full ? &domain->cookies : &jar->cookies;
    aio__cookie *worst = NULL;
    int64_t now = aio__os.wall();
    for (aio__node *node = ring->next; node != ring; node = node->next) {
        aio__cookie *cookie = full ? AIO__CONTAINER(node, aio__cookie, of_domain)
                                   : AIO__CONTAINER(node, aio__cookie, link);
        if (!worst || cookie->used < worst->used) worst = cookie;
        if (aio__cookie_expired(cookie, now) && (worst = cookie)) break;
    }
    if (!worst) return;
    if (worst->domain == domain) aio__cookie_free(jar, worst);
    else aio__cookie_drop(jar, worst);
}

static bool aio__text_is(aio_text a, aio_text b)
{
    return a.length == b.length && (!a.length || memcmp(a.data, b.data, a.length) == 0);
}

/* The cookie that one of this name, path and scope takes the place of. */
static aio__cookie *aio__cookie_find(const aio_cookie_jar *jar, const aio__cookie_said *said)
{
    aio__cookie_domain *domain = aio__cookie_domain_find(jar, said->domain.data, said->domain.length);
    for (aio__node *node = domain ? domain->cookies.next : NULL; node && node != &domain->cookies; node = node->next) {
        aio__cookie *cookie = AIO__CONTAINER(node, aio__cookie, of_domain);
        if (cookie->shown.host_only == said->host_only && aio__text_is(cookie->shown.name, said->name)
            && aio__text_is(cookie->shown.path, said->path)) return cookie;
    }
    return NULL;
}

static aio_text aio__cookie_copy(char **at, aio_text text)
{
    char *start = *at;
    if (text.length) memcpy(start, text.data, text.length);
    start[text.length] = '\0';
    *at += text.length + 1;
    return aio__text(start, text.length);
}

static aio__cookie *aio__cookie_new(const aio__cookie_said *said)
{
    size_t size = sizeof(aio__cookie) + said->name.length + said->value.length + said->domain.length
                + said->path.length + 4;
    aio__cookie *cookie = (aio__cookie *)aio__calloc(size);
    if (!cookie) return NULL;
    char *at = (char *)(cookie + 1);
    cookie->size = size;
    cookie->shown.name = aio__cookie_copy(&at, said->name);
    cookie->shown.value = aio__cookie_copy(&at, said->value);
    cookie->shown.domain = aio__cookie_copy(&at, said->domain);
    cookie->shown.path = aio__cookie_copy(&at, said->path);
    cookie->shown.expires = said->expires;
    cookie->shown.same_site = said->same_site;
    cookie->shown.host_only = said->host_only;
    cookie->shown.secure = said->secure;
    cookie->shown.http_only = said->http_only;
    return cookie;
}

/* Puts it in, in the place of one like it, whose age it has; one that has expired only removes that. 0 or ENOMEM. */
static int aio__cookie_store(aio_cookie_jar *jar, const aio__cookie_said *said)
{
    aio__cookie *old = aio__cookie_find(jar, said), *cookie;
    if (said->expires < 0 || (said->expires && said->expires <= aio__os.wall())) {
        if (old) aio__cookie_drop(jar, old);
        return 0;
    }
    aio__cookie_domain *domain = (cookie = aio__cookie_new(said)) ? aio__cookie_domain_of(jar, said->domain) : NULL;
    if (!domain) {
        aio__free(cookie);
        return ENOMEM;
    }
    cookie->domain = domain;
    cookie->made = old ? old->made : ++jar->clock;
    cookie->used = ++jar->clock;
    if (old) {
        aio__ring_insert(&old->link, &cookie->link);
        aio__cookie_free(jar, old);
    } else {
        aio__cookie_evict(jar, domain);
        aio__ring_insert(&jar->cookies, &cookie->link);
    }
    aio__ring_insert(&domain->cookies, &cookie->of_domain);
    domain->count++;
    jar->count++;
    return 0;
}

/* ---- what a Set-Cookie field says ---- */

static aio_text aio__cookie_trim(const char *start, const char *end)
{
    while (start < end && (*start == ' ' || *start == '\t')) start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t')) end--;
    return aio__text(start, (size_t)(end - start));
}

/* Seconds from now as a time; beyond the last date it is that date. */
static void aio__cookie_max_age(aio__cookie_said *said, aio_text value)
{
    const char *at = value.data, *end = at + value.length;
    bool negative = at < end && *at == '-';
    int64_t seconds = 0;
    if (negative) at++;
    if (at == end) return;
    for (; at < end; at++) {
        if (!aio__is(*at, AIO__DIGIT)) return;
        if (seconds < AIO__COOKIE_LAST) seconds = seconds * 10 + (*at - '0');
    }
    said->has_max_age = true;
    said->expires = negative || !seconds ? -1 : seconds + aio__os.wall();
    if (said->expires > AIO__COOKIE_LAST) said->expires = AIO__COOKIE_LAST;
}

static void aio__cookie_attribute(aio__cookie_said *said, aio_text name, aio_text value)
{
    if (value.length > AIO__COOKIE_ATTRIBUTE_MAX) return;
    if (AIO__SAME_WORD(name.data, name.length, "expires")) {
        int64_t when;
        if (!said->has_max_age && aio__cookie_date(value, &when)) said->expires = when;
    } else if (AIO__SAME_WORD(name.data, name.length, "max-age")) {
        aio__cookie_max_age(said, value);
    } else if (AIO__SAME_WORD(name.data, name.length, "domain")) {
        if (value.length && *value.data == '.') value = aio__text(value.data + 1, value.length - 1);
        said->has_domain = value.length != 0;
        said->domain = value;
    } else if (AIO__SAME_WORD(name.data, name.length, "path")) {
        said->path = value.length && *value.data == '/' ? value : aio__text(NULL, 0);
    } else if (AIO__SAME_WORD(name.data, name.length, "secure")) {
        said->secure = true;
    } else if (AIO__SAME_WORD(name.data, name.length, "httponly")) {
        said->http_only = true;
    } else if (AIO__SAME_WORD(name.data, name.length, "samesite")) {
        said->same_site = AIO__SAME_WORD(value.data, value.length, "strict") ? AIO_SAME_SITE_STRICT
                        : AIO__SAME_WORD(value.data, value.length, "lax") ? AIO_SAME_SITE_LAX
                        : AIO__SAME_WORD(value.data, value.length, "none") ? AIO_SAME_SITE_NONE
                        : AIO_SAME_SITE_UNSET;
    }
}

/* NULL, or why there is no cookie in it (RFC 6265bis 5.6). */
static const char *aio__cookie_parse(aio__cookie_said *said, const char *text, size_t length)
{
    const char *end = text + length, *at = text;
    memset(said, 0, sizeof *said);
    if (aio__has_control(text, length, false)) return "a control character";
    for (bool first = true; at <= end; first = false) {
        const char *stop = at < end ? (const char *)memchr(at, ';', (size_t)(end - at)) : NULL;
        if (!stop) stop = end;
        const char *equals = stop > at ? (const char *)memchr(at, '=', (size_t)(stop - at)) : NULL;
        aio_text name = aio__cookie_trim(at, equals ? equals : stop);
        aio_text value = equals ? aio__cookie_trim(equals + 1, stop) : aio__text("", 0);
        if (first && (!equals || !name.length)) return "no name";
        if (first && name.length + value.length > AIO__COOKIE_MAX) return "a name and a value of more than 4096 bytes";
        if (first && memchr(name.data, '\t', name.length)) return "a tab in its name";
        if (first) {
            said->name = name;
            said->value = value;
        } else
            aio__cookie_attribute(said, name, value);
        at = stop + 1;
    }
    return NULL;
}

/* Up to the last '/' of the request's path, without it. */
static aio_text aio__cookie_default_path(const aio_url *url)
{
    size_t n = url->path.length;
    while (n > 1 && url->path.data[n - 1] != '/') n--;
    return n > 1 ? aio__text(url->path.data, n - 1) : aio__text("/", 1);
}

static bool aio__cookie_origin_is_secure(const aio_cookie_jar *jar, const aio_url *url)
{
    if (url->is_tls) return true;
    for (size_t i = 0; i < jar->secure_count; i++)
        if (aio_url_same_origin(&jar->secure[i], url)) return true;
    return false;
}

/* Whether a cookie without Secure would hide a secure one that the origin may not touch (RFC 6265bis 5.7). */
static bool aio__cookie_hides_secure(const aio_cookie_jar *jar, const aio__cookie_said *said)
{
    for (const aio__node *node = jar->cookies.next; node != &jar->cookies; node = node->next) {
        const aio_cookie *cookie = &AIO__CONTAINER(node, aio__cookie, link)->shown;
        if (cookie->secure && aio__text_is(cookie->name, said->name)
            && aio__cookie_path_matches(said->path, cookie->path)
            && (aio__cookie_below(cookie->domain, said->domain) || aio__cookie_below(said->domain, cookie->domain)))
            return true;
    }
    return false;
}

/* NULL, or why this URL may not set it; the domain is what it will be kept under, written into `lower`. */
static const char *aio__cookie_scope(const aio_cookie_jar *jar, const aio_url *url, aio__cookie_said *said, char *lower)
{
    bool address = url->is_ipv4 || url->is_ipv6;
    if (!url->host.length) return "its URL has no host";
    if (address && !jar->unsafe) return "its host is an address";
    said->host_only = true;
    if (said->has_domain) {
        for (size_t i = 0; i < said->domain.length; i++) lower[i] = aio__lower(said->domain.data[i]);
        aio_text domain = aio__text(lower, said->domain.length);
        bool same = aio__text_is(domain, url->host), suffix = !address && aio__cookie_is_suffix(jar, domain);
        if (suffix && !same) return "its domain is a public suffix";
        if (!same && (address || !aio__cookie_below(url->host, domain))) return "its domain is not that of its URL";
        said->host_only = suffix || address;
    }
    if (said->host_only) said->domain = url->host;
    else said->domain.data = lower;
    return NULL;
}

static bool aio__cookie_begins(aio_text name, const char *prefix)
{
    size_t n = strlen(prefix);
    return name.length >= n && aio__same_word(name.data, n, prefix, n);
}

/* NULL, or what is asked of it that does not hold (RFC 6265bis 5.7). */
static const char *aio__cookie_security(const aio_cookie_jar *jar, const aio_url *url, const aio__cookie_said *said)
{
    bool secure = aio__cookie_origin_is_secure(jar, url);
    if (said->secure && !secure) return "it is Secure, its URL is not";
    if (!said->secure && !secure && aio__cookie_hides_secure(jar, said)) return "it would hide a secure one";
    if (!said->secure && (aio__cookie_begins(said->name, "__Secure-") || aio__cookie_begins(said->name, "__Host-")))
        return "its prefix asks for Secure";
    if (aio__cookie_begins(said->name, "__Host-")
        && (said->has_domain || said->path.length != 1)) return "its prefix asks for no Domain and for Path=/";
    return NULL;
}

AIO_API int aio_cookie_jar_update(aio_cookie_jar *jar, const aio_url *url, const char *text, size_t length,
                                  const char **reason)
{
    aio__cookie_said said;
    char lower[AIO__COOKIE_ATTRIBUTE_MAX];
    const char *why = !jar || !url || (!text && length) ? "no jar, URL or text" : NULL;
    if (reason) *reason = NULL;
    if (!why) why = aio__cookie_parse(&said, text, length);
    if (!why) why = aio__cookie_scope(jar, url, &said, lower);
    if (!why) {
        bool has_path = said.path.length != 0;
        if (!has_path) said.path = aio__cookie_default_path(url);
        why = aio__cookie_security(jar, url, &said);
        if (!why && !has_path && aio__cookie_begins(said.name, "__Host-")) why = "its prefix asks for Path=/";
    }
    if (reason) *reason = why;
    return why ? EINVAL : aio__cookie_store(jar, &said);
}

AIO_API int aio_cookie_jar_set(aio_cookie_jar *jar, const aio_url *url, const char *name, const char *value)
{
    aio__cookie_said said;
    memset(&said, 0, sizeof said);
    if (!jar || !name || !value || aio__header_name_problem(name, strlen(name)) || strlen(value) > AIO__COOKIE_MAX
        || strchr(value, ';') || aio__has_control(value, strlen(value), false)) return EINVAL;
    said.name = aio__text(name, strlen(name));
    said.value = aio__cookie_trim(value, value + strlen(value));
    said.domain = url ? url->host : aio__text("", 0);
    said.path = aio__text("/", 1);
    said.host_only = url != NULL;
    return aio__cookie_store(jar, &said);
}

/* ---- what a request has to say ---- */

/* Puts it among those found: longer paths first, then older ones. False without memory. */
static bool aio__cookie_found(aio_cookie_jar *jar, size_t n, aio__cookie *cookie)
{
    if (n == jar->found_capacity) {
        size_t capacity = n ? n * 2 : 16;
        aio__cookie **found = (aio__cookie **)aio__realloc(jar->found, capacity * sizeof *found);
        if (!found) return false;
        jar->found = found;
        jar->found_capacity = capacity;
    }
    size_t length = cookie->shown.path.length;
    for (; n; n--) {
        const aio__cookie *before = jar->found[n - 1];
        if (before->shown.path.length > length) break;
        if (before->shown.path.length == length && before->made < cookie->made) break;
        jar->found[n] = jar->found[n - 1];
    }
    jar->found[n] = cookie;
    return true;
}

/* Those of one domain that are for the URL; what has expired goes. 0 or ENOMEM. */
static int aio__cookie_collect(aio_cookie_jar *jar, aio_text name, const aio_url *url, size_t *n)
{
    aio__cookie_domain *domain = aio__cookie_domain_find(jar, name.data, name.length);
    if (!domain) return 0;
    bool own = aio__text_is(name, url->host), secure = aio__cookie_origin_is_secure(jar, url);
    int64_t now = aio__os.wall();
    for (aio__node *node = domain->cookies.next, *next; node != &domain->cookies; node = next) {
        aio__cookie *cookie = AIO__CONTAINER(node, aio__cookie, of_domain);
        next = node->next;
        if (aio__cookie_expired(cookie, now)) aio__cookie_free(jar, cookie);
        else if ((own || !cookie->shown.host_only) && (secure || !cookie->shown.secure)
                 && aio__cookie_path_matches(url->path, cookie->shown.path)) {
            if (!aio__cookie_found(jar, *n, cookie)) return ENOMEM;
            cookie->used = ++jar->clock;
            ++*n;
        }
    }
    aio__cookie_domain_settle(jar, domain);
    return 0;
}

AIO_API int aio_cookie_jar_filter(aio_cookie_jar *jar, const aio_url *url, aio_text *text)
{
    size_t n = 0;
    *text = aio__text(NULL, 0);
    if (!jar || !jar->count || !url || !url->host.length || !url->is_http) return 0;
    bool address = url->is_ipv4 || url->is_ipv6;
    int code = aio__cookie_collect(jar, aio__text("", 0), url, &n);
    if (!code && (!address || jar->unsafe)) code = aio__cookie_collect(jar, url->host, url, &n);
    for (size_t i = 0; !code && !address && i < url->host.length; i++)
        if (url->host.data[i] == '.')
            code = aio__cookie_collect(jar, aio__text(url->host.data + i + 1, url->host.length - i - 1), url, &n);
    jar->header.start = jar->header.end = 0;
    for (size_t i = 0; !code && i < n; i++) {
        const aio_cookie *cookie = &jar->found[i]->shown;
        if ((i && !aio__buffer_append(&jar->header, "; ", 2))
            || !aio__buffer_append(&jar->header, cookie->name.data, cookie->name.length)
            || !aio__buffer_append(&jar->header, "=", 1)
            || !aio__buffer_append(&jar->header, cookie->value.data, cookie->value.length)) code = ENOMEM;
    }
    if (!code && n && !aio__buffer_append(&jar->header, "", 1)) code = ENOMEM;
    if (!code && n) *text = aio__text(jar->header.data, jar->header.end - 1);
    return code;
}

/* ---- the jar ---- */

AIO_API const aio_cookie *aio_cookie_jar_next(aio_cookie_jar *jar, const aio_cookie *previous)
{
    if (!jar) return NULL;
    aio__node *node = previous ? ((aio__cookie *)(uintptr_t)(const void *)previous)->link.next : jar->cookies.next;
    int64_t now = aio__os.wall();
    for (aio__node *next; node != &jar->cookies; node = next) {
        aio__cookie *cookie = AIO__CONTAINER(node, aio__cookie, link);
        next = node->next;
        if (!aio__cookie_expired(cookie, now)) return &cookie->shown;
        aio__cookie_drop(jar, cookie);
    }
    return NULL;
}

AIO_API size_t aio_cookie_jar_count(const aio_cookie_jar *jar) { return jar ? jar->count : 0; }

AIO_API size_t aio_cookie_jar_clear(aio_cookie_jar *jar, bool (*predicate)(const aio_cookie *, void *), void *arg)
{
    size_t n = 0;
    for (aio__node *node = jar ? jar->cookies.next : NULL, *next; node && node != &jar->cookies; node = next) {
        aio__cookie *cookie = AIO__CONTAINER(node, aio__cookie, link);
        next = node->next;
        if (predicate && !predicate(&cookie->shown, arg)) continue;
        aio__cookie_drop(jar, cookie);
        n++;
    }
    return n;
}

static bool aio__cookie_is_below(const aio_cookie *cookie, void *domain)
{
    return cookie->domain.length && aio__cookie_below(cookie->domain, *(const aio_text *)domain);
}

AIO_API size_t aio_cookie_jar_clear_domain(aio_cookie_jar *jar, const char *domain)
{
    char lower[256];
    size_t n = 0;
    if (!domain) return 0;
    if (*domain == '.') domain++;
    for (; domain[n] && n < sizeof lower; n++) lower[n] = aio__lower(domain[n]);
    aio_text name = aio__text(lower, n);
    return n && n < sizeof lower ? aio_cookie_jar_clear(jar, aio__cookie_is_below, &name) : 0;
}

AIO_API aio_cookie_jar *aio_cookie_jar_ref(aio_cookie_jar *jar)
{
    if (jar) jar->refs++;
    return jar;
}

AIO_API void aio_cookie_jar_unref(aio_cookie_jar *jar)
{
    if (!jar || --jar->refs) return;
    aio_cookie_jar_clear(jar, NULL, NULL);
    for (size_t i = 0; i < jar->secure_count; i++) aio_url_clear(&jar->secure[i]);
    aio__wipe(jar->header.data, jar->header.capacity);
    aio__free(jar->header.data);
    aio__free(jar->secure);
    aio__free(jar->domains);
    aio__free(jar->suffixes);
    aio__free(jar->suffix_slots);
    aio__free(jar->found);
    aio__free(jar);
}

/* ---- the list of public suffixes ---- */

/* One character of UTF-8 at the beginning of n bytes; how many it takes, 0 if they are none. */
static size_t aio__utf8_point(const char *text, size_t n, uint32_t *point)
{
    unsigned char first = (unsigned char)*text;
    size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    if (!length || length > n) return 0;
    *point = length == 1 ? first : first & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c & 0xC0) != 0x80) return 0;
        *point = *point << 6 | (c & 0x3Fu);
    }
    bool is = length < 3 || (length == 3 ? *point >= 0x800 && (*point & 0xFFFFF800) != 0xD800
                                         : *point >= 0x10000 && *point <= 0x10FFFF);
    return is ? length : 0;
}

/* One of punycode's numbers (RFC 3492 6.3). False: the label would be too long. */
static bool aio__punycode_number(char *out, size_t *length, uint32_t q, uint32_t bias)
{
    for (uint32_t k = 36;; k += 36) {
        uint32_t t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias, digit = q < t ? q : t + (q - t) % (36 - t);
        if (*length >= AIO__LABEL_MAX) return false;
        out[(*length)++] = (char)(digit < 26 ? 'a' + digit : '0' + digit - 26);
        if (q < t) return true;
        q = (q - t) / (36 - t);
    }
}

static uint32_t aio__punycode_bias(uint32_t delta, uint32_t count, bool first)
{
    uint32_t bias = 0;
    delta = first ? delta / 700 : delta / 2;
    delta += delta / count;
    for (; delta > 455; bias += 36) delta /= 35;
    return bias + 36 * delta / (delta + 38);
}

/* Writes a label that is not all ASCII as host names have it, "xn--..." (RFC 3492): up to AIO__LABEL_MAX bytes. Its
 * length; 0: it is no UTF-8, or too long. */
static size_t aio__punycode(const char *label, size_t n, char *out)
{
    uint32_t points[AIO__LABEL_MAX], next = 128, delta = 0, bias = 72, count = 0, done = 0;
    size_t length = 4;
    for (size_t i = 0, used; i < n; i += used) {
        if (count == AIO__LABEL_MAX || !(used = aio__utf8_point(label + i, n - i, &points[count]))) return 0;
        count++;
    }
    memcpy(out, "xn--", 4);
    for (uint32_t i = 0; i < count; i++) {
        if (points[i] >= 128) continue;
        if (length == AIO__LABEL_MAX) return 0;
        out[length++] = aio__lower((char)points[i]);
        done++;
    }
    const uint32_t basic = done;
    if (basic && length == AIO__LABEL_MAX) return 0;
    if (basic) out[length++] = '-';
    for (; done < count; delta++, next++) {
        uint32_t least = UINT32_MAX;
        for (uint32_t i = 0; i < count; i++)
            if (points[i] >= next && points[i] < least) least = points[i];
        delta += (least - next) * (done + 1);
        next = least;
        for (uint32_t i = 0; i < count; i++) {
            if (points[i] < next) delta++;
            if (points[i] != next) continue;
            if (!aio__punycode_number(out, &length, delta, bias)) return 0;
            bias = aio__punycode_bias(delta, done + 1, done == basic);
            delta = 0;
            done++;
        }
    }
    return length;
}

/* Writes a rule in lower case and its labels as host names have them: at most AIO__LABEL_MAX + 1 bytes a label, and a
 * mark. Gives where it ends; NULL: it is none. */
static char *aio__suffix_rule(char *out, const char *rule, size_t n)
{
    if (n && *rule == '!') *out++ = *rule++, n--;
    for (size_t i = 0; i <= n;) {
        const char *dot = i < n ? (const char *)memchr(rule + i, '.', n - i) : NULL;
        size_t length = dot ? (size_t)(dot - rule) - i : n - i;
        bool ascii = true;
        for (size_t k = 0; k < length; k++) ascii = ascii && (unsigned char)rule[i + k] < 0x80;
        if (!length || (ascii && length > AIO__LABEL_MAX)) return NULL;
        for (size_t k = 0; ascii && k < length; k++) out[k] = aio__lower(rule[i + k]);
        if (!ascii && !(length = aio__punycode(rule + i, length, out))) return NULL;
        out += length;
        if (!dot) break;
        *out++ = '.';
        i = (size_t)(dot - rule) + 1;
    }
    *out++ = '\0';
    return out;
}

static void aio__suffix_add(aio_cookie_jar *jar, uint32_t at)
{
    const char *rule = jar->suffixes + at;
    uint32_t i = aio__cookie_hash(rule, strlen(rule));
    while (jar->suffix_slots[i & (jar->suffix_capacity - 1)]) i++;
    jar->suffix_slots[i & (jar->suffix_capacity - 1)] = at + 1;
}

/* One rule a line, up to the first space; lines that begin with "//" are comments. 0, EINVAL or ENOMEM. */
static int aio__suffixes_parse(aio_cookie_jar *jar, const char *text, size_t length)
{
    size_t lines = 1, capacity = 16, most = 0;
    for (size_t i = 0; i < length; i++) {
        lines += text[i] == '\n';
        most += text[i] == '\n' || text[i] == '.' ? 1 : (unsigned char)text[i] < 0x80 ? 1 : AIO__LABEL_MAX;
    }
    while (capacity < 2 * lines) capacity *= 2;
    if (!(jar->suffixes = (char *)aio__malloc(most + 3))) return ENOMEM;
    if (!(jar->suffix_slots = (uint32_t *)aio__calloc(capacity * sizeof *jar->suffix_slots))) return ENOMEM;
    jar->suffix_capacity = capacity;
    char *out = jar->suffixes;
    for (const char *at = text, *end = text + length; at < end;) {
        const char *stop = (const char *)memchr(at, '\n', (size_t)(end - at)), *last = at;
        if (!stop) stop = end;
        while (last < stop && (unsigned char)*last > ' ') last++;
        if (last > at && !(last - at >= 2 && at[0] == '/' && at[1] == '/')) {
            uint32_t start = (uint32_t)(out - jar->suffixes);
            if (!(out = aio__suffix_rule(out, at, (size_t)(last - at)))) return EINVAL;
            aio__suffix_add(jar, start);
        }
        at = stop + 1;
    }
    return 0;
}

static int aio__suffixes_read(aio_cookie_jar *jar, const char *path)
{
    aio__buffer text;
    int code = aio__file_read(path, AIO__COOKIE_FILE_MAX, &text);
    if (!code) code = aio__suffixes_parse(jar, text.data, text.end);
    aio__free(text.data);
    return code;
}

static int aio__cookie_jar_origins(aio_cookie_jar *jar, const char *const *origins)
{
    size_t count = 0;
    while (origins && origins[count]) count++;
    if (count && !(jar->secure = (aio_url *)aio__calloc(count * sizeof *jar->secure))) return ENOMEM;
    for (; jar->secure_count < count; jar->secure_count++) {
        const char *text = origins[jar->secure_count];
        aio_url *url = &jar->secure[jar->secure_count];
        int code = aio_url_parse(url, text, strlen(text), NULL);
        if (code) return code == ENOMEM ? code : EINVAL;
        if (url->is_http) continue;
        aio_url_clear(url);
        return EINVAL;
    }
    return 0;
}

AIO_API aio_cookie_jar *aio_cookie_jar_open_with(const aio_cookie_jar_options *options)
{
    AIO__DEFAULTS(aio_cookie_jar_options, options);
    const aio_cookie_jar_options *o = options;
    aio_cookie_jar *jar = (aio_cookie_jar *)aio__calloc(sizeof *jar);
    if (!jar) {
        errno = ENOMEM;
        return NULL;
    }
    jar->refs = 1;
    aio__ring_clear(&jar->cookies);
    jar->unsafe = o->unsafe;
    jar->max_cookies = o->max_cookies ? o->max_cookies : AIO__COOKIES;
    jar->max_per_domain = o->max_per_domain ? o->max_per_domain : AIO__COOKIES_OF_DOMAIN;
    int code = aio__cookie_jar_origins(jar, o->treat_as_secure);
    if (!code && o->public_suffixes) code = aio__suffixes_read(jar, o->public_suffixes);
    if (!code) return jar;
    aio_cookie_jar_unref(jar);
    errno = code;
    return NULL;
}

/* ---- its file ---- */

/* cookies.txt: domain, whether what is below it is meant, path, Secure, expiry and name, each with a tab behind it, and
 * the value. HttpOnly is a prefix; SameSite, which that form has not, a comment before the line. */
static const char *const aio__same_sites[] = { "", "# SameSite=None\n", "# SameSite=Lax\n", "# SameSite=Strict\n" };
#define AIO__HTTP_ONLY "#HttpOnly_"

static bool aio__cookie_write(aio__buffer *out, const aio_cookie *cookie)
{
    char numbers[64];
    const char *same_site = aio__same_sites[cookie->same_site];
    int n = snprintf(numbers, sizeof numbers, "\t%s\t%lld\t", cookie->secure ? "TRUE" : "FALSE",
                     (long long)cookie->expires);
    return aio__buffer_append(out, same_site, strlen(same_site))
        && (!cookie->http_only || aio__buffer_append(out, AIO__HTTP_ONLY, strlen(AIO__HTTP_ONLY)))
        && (cookie->host_only || aio__buffer_append(out, ".", 1))
        && aio__buffer_append(out, cookie->domain.data, cookie->domain.length)
        && aio__buffer_append(out, cookie->host_only ? "\tFALSE\t" : "\tTRUE\t", cookie->host_only ? 7 : 6)
        && aio__buffer_append(out, cookie->path.data, cookie->path.length)
        && aio__buffer_append(out, numbers, (size_t)n)
        && aio__buffer_append(out, cookie->name.data, cookie->name.length) && aio__buffer_append(out, "\t", 1)
        && aio__buffer_append(out, cookie->value.data, cookie->value.length) && aio__buffer_append(out, "\n", 1);
}

AIO_API int aio_cookie_jar_save(aio_cookie_jar *jar, const char *path)
{
    static const char head[] = "# Netscape HTTP Cookie File\n";
    aio__buffer text;
    if (!jar || !path || !*path) return EINVAL;
    memset(&text, 0, sizeof text);
    int code = aio__buffer_append(&text, head, sizeof head - 1) ? 0 : ENOMEM;
    for (const aio_cookie *cookie = NULL; !code && (cookie = aio_cookie_jar_next(jar, cookie));)
        if (!aio__cookie_write(&text, cookie)) code = ENOMEM;
    if (!code) code = aio__file_replace(path, text.data, text.end);
    aio__wipe(text.data, text.capacity);
    aio__free(text.data);
    return code;
}

/* Splits a line at its first six tabs. False: there are fewer. */
static bool aio__cookie_columns(aio_text line, aio_text *column)
{
    for (int i = 0; i < 6; i++) {
        const char *tab = line.length ? (const char *)memchr(line.data, '\t', line.length) : NULL;
        if (!tab) return false;
        column[i] = aio__text(line.data, (size_t)(tab - line.data));
        line = aio__text(tab + 1, line.length - column[i].length - 1);
    }
    column[6] = line;
    return true;
}

static bool aio__cookie_truth(aio_text word, bool *value)
{
    *value = AIO__SAME_WORD(word.data, word.length, "true");
    return *value || AIO__SAME_WORD(word.data, word.length, "false");
}

/* One line that is no comment. False: it is invalid. */
static bool aio__cookie_read(aio__cookie_said *said, aio_text line)
{
    aio_text column[7];
    bool below;
    if (aio__has_control(line.data, line.length, false) || !aio__cookie_columns(line, column)) return false;
    if (!aio__cookie_truth(column[1], &below) || !aio__cookie_truth(column[3], &said->secure)) return false;
    said->host_only = !below;
    said->domain = column[0];
    if (said->domain.length && *said->domain.data == '.')
        said->domain = aio__text(said->domain.data + 1, said->domain.length - 1);
    for (size_t i = 0; i < said->domain.length; i++)
        if (said->domain.data[i] != aio__lower(said->domain.data[i])) return false;
    said->path = column[2];
    said->name = column[5];
    said->value = column[6];
    if (!said->path.length || *said->path.data != '/' || !said->name.length || column[4].length > 12) return false;
    for (size_t i = 0; i < column[4].length; i++) {
        if (!aio__is(column[4].data[i], AIO__DIGIT)) return false;
        said->expires = said->expires * 10 + (column[4].data[i] - '0');
    }
    return column[4].length && (said->domain.length || below)
        && said->name.length + said->value.length <= AIO__COOKIE_MAX
        && !memchr(said->value.data, ';', said->value.length);
}

/* The SameSite that a comment of ours gives the next line. */
static aio_same_site aio__cookie_comment(aio_text line)
{
    for (int i = 1; i < 4; i++)
        if (aio__text_is(line, aio__text(aio__same_sites[i], strlen(aio__same_sites[i]) - 1))) return (aio_same_site)i;
    return AIO_SAME_SITE_UNSET;
}

/* Goes through the lines; takes them only if `store`. 0, ENOMEM, or EINVAL with the line. */
static int aio__cookie_lines(aio_cookie_jar *jar, aio_text text, bool store, int *line)
{
    const size_t prefix = strlen(AIO__HTTP_ONLY);
    aio_same_site same_site = AIO_SAME_SITE_UNSET;
    *line = 0;
    for (const char *at = text.data, *end = at + text.length, *next; at < end; at = next) {
        const char *stop = (const char *)memchr(at, '\n', (size_t)(end - at));
        next = stop ? stop + 1 : end;
        if (!stop) stop = end;
        if (stop > at && stop[-1] == '\r') stop--;
        ++*line;
        aio__cookie_said said;
        memset(&said, 0, sizeof said);
        said.same_site = same_site;
        said.http_only = (size_t)(stop - at) > prefix && memcmp(at, AIO__HTTP_ONLY, prefix) == 0;
        if (said.http_only) at += prefix;
        bool comment = !said.http_only && stop > at && *at == '#';
        same_site = comment ? aio__cookie_comment(aio__text(at, (size_t)(stop - at))) : AIO_SAME_SITE_UNSET;
        if (comment || stop == at) continue;
        if (!aio__cookie_read(&said, aio__text(at, (size_t)(stop - at)))) return EINVAL;
        int code = store ? aio__cookie_store(jar, &said) : 0;
        if (code) return code;
    }
    return 0;
}

AIO_API int aio_cookie_jar_load(aio_cookie_jar *jar, const char *path, int *line)
{
    aio__buffer text;
    int at = 0;
    if (line) *line = 0;
    if (!jar || !path || !*path) return EINVAL;
    int code = aio__file_read(path, AIO__COOKIE_FILE_MAX, &text);
    if (!code) code = aio__cookie_lines(jar, aio__text(text.data, text.end), false, &at);
    if (code == EINVAL && line) *line = at;
    if (!code) code = aio__cookie_lines(jar, aio__text(text.data, text.end), true, &at);
    if (text.data) aio__wipe(text.data, text.capacity);
    aio__free(text.data);
    return code;
}

/* ============================================================================
 * 49. HTTP messages
 *
 * RFC 9112: heads in and out, body framing, dates. The parser goes line by line over the bytes as they arrive, and
 * copies nothing until the head is whole. What a hostile peer may send is refused with a reason. Responses are read
 * with the leniencies that `lenient` names, none of which touches framing; requests without. Owns nothing but the
 * headers it fills.
 * ============================================================================ */

enum {
    AIO__HTTP_LINE_MAX = 8190,         /* bytes of a start line */
    AIO__HTTP_FIELD_MAX = 8190,        /* bytes of a header line */
    AIO__HTTP_HEADERS_MAX = 128,       /* header lines, also of trailers */
    AIO__HTTP_HEAD_MAX = 131072,       /* bytes of a head: what a stream holds before it stops reading */
    AIO__HTTP_BLANK_LINES_MAX = 4,     /* empty lines before a request (RFC 9112 2.2) */
    AIO__CHUNK_DIGITS_MAX = 15,        /* hex digits of a chunk size */
    AIO__CHUNK_EXTENSION_MAX = 1024,   /* bytes of one chunk's extensions */
    AIO__CHUNK_EXCESS_MAX = 16384,     /* bytes of extensions beyond what the body's bytes pay for, one by one */
    AIO__CHUNK_TINY = 16,              /* a chunk below this many bytes is tiny */
    AIO__CHUNK_TINY_MAX = 1048576,     /* tiny chunks of one body */
    AIO__TRAILERS_MAX = 8190           /* bytes of all trailers */
};

enum { AIO__MORE = -1 }; /* the bytes so far are good, and not all */

/* What a response may do that RFC 9112 does not allow, and browsers and curl take. Fields that decide about framing and
 * connection are read strictly in any case. */
enum {
    AIO__LENIENT_BARE_LF = 1, /* lines of the head end in LF alone */
    AIO__LENIENT_FOLDED = 2,  /* a header line goes on in the next one, which begins with white space (5.2) */
    AIO__LENIENT_SPACES = 4,  /* several spaces before the status, or before the reason */
    AIO__LENIENT_NO_END = 8,  /* the connection is closed before the empty line of a head, or after the last chunk */
    AIO__LENIENT_ALL = 15
};

typedef struct aio__http_limits { uint32_t line, field, count, total; } aio__http_limits;

/* One head on its way in. Zeroed but for what the caller sets; aio__http_head_reset makes it ready for the next. */
typedef struct aio__http_head {
    /* set by the caller */
    aio__http_limits limits;     /* 0: the default */
    aio_headers *headers;        /* where the fields go; reset at the start, and filled when the head is whole */
    bool is_request;
    unsigned char lenient;       /* AIO__LENIENT_...; of a response */
    bool is_connect;             /* the answer to CONNECT: one that agrees has no body, whatever its fields say */
    /* on the way */
    size_t   scanned;            /* bytes in which no line end is left to find */
    size_t   line;               /* where the unfinished line begins */
    uint32_t fields, blank_lines;
    uint32_t host;               /* which of the fields is Host, if has_host */
    bool     started, whole, folded, has_upgrade, has_encoding, has_host;
    bool     connection_close, connection_keep, connection_upgrade;
    size_t   at[2], width[2];    /* reason, or method and target */
    /* results; texts lie in the headers' block and are valid until the headers change */
    aio_text method, target, reason;
    aio_text raw;                /* of a response: the head as it came */
    uint64_t length;             /* Content-Length */
    int      status, minor;      /* HTTP/1.minor */
    bool     has_length, chunked;
    bool     keep_alive;         /* as version and Connection have it; a body until close overrules it */
    bool     upgrade;            /* Connection: upgrade and an Upgrade field */
    bool     expect_continue, expect_other;
    const char *problem;         /* after an error: why, a static text */
    int      refuse;             /* after an error: the status with which a server refuses such a request */
} aio__http_head;

static int aio__http_fail(aio__http_head *head, int refuse, const char *why)
{
    head->problem = why;
    head->refuse = refuse;
    return refuse == 414 || refuse == 431 ? AIO_ELIMIT : AIO_EHTTP;
}

static inline void aio__http_head_reset(aio__http_head *head, aio_headers *headers, bool is_request)
{
    aio__http_limits limits = head->limits;
    unsigned char lenient = head->lenient;
    bool is_connect = head->is_connect;
    memset(head, 0, sizeof *head);
    if (!limits.line) limits.line = AIO__HTTP_LINE_MAX;
    if (!limits.field) limits.field = AIO__HTTP_FIELD_MAX;
    if (!limits.count) limits.count = AIO__HTTP_HEADERS_MAX;
    if (!limits.total) limits.total = AIO__HTTP_HEAD_MAX;
    head->limits = limits;
    head->lenient = lenient;
    head->is_connect = is_connect;
    head->headers = headers;
    head->is_request = is_request;
    aio__headers_reset(headers);
}

#define AIO__NOT_HTTP "the answer does not begin with an HTTP status line"

/* "HTTP/1.x" in eight bytes; a response's later minor versions are read as 1.1 (RFC 9110 2.5). */
static int aio__http_version(aio__http_head *head, const char *text)
{
    if (memcmp(text, "HTTP/", 5) != 0 || !aio__is(text[5], AIO__DIGIT) || text[6] != '.'
        || !aio__is(text[7], AIO__DIGIT))
        return aio__http_fail(head, 400, "the start line has no HTTP version");
    if (text[5] != '1' || (head->is_request && text[7] > '1'))
        return aio__http_fail(head, 505, "the HTTP version is not 1.0 or 1.1");
    head->minor = text[7] == '0' ? 0 : 1;
    return 0;
}

static int aio__http_status_line(aio__http_head *head, const char *data, size_t at, size_t end)
{
    const char *text = data + at;
    bool spaces = (head->lenient & AIO__LENIENT_SPACES) != 0;
    if (end - at < 12 || text[8] != ' ') return aio__http_fail(head, 400, AIO__NOT_HTTP);
    int code = aio__http_version(head, text);
    if (code) return code;
    at += 9;
    while (spaces && at < end && data[at] == ' ') at++;
    text = data + at;
    if (end - at < 3 || !aio__is(text[0], AIO__DIGIT) || !aio__is(text[1], AIO__DIGIT) || !aio__is(text[2], AIO__DIGIT)
        || text[0] == '0' || (end - at > 3 && text[3] != ' '))
        return aio__http_fail(head, 400, "the status is not exactly three digits from 100 on");
    head->status = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
    at += end - at > 3 ? 4 : 3;
    while (spaces && at < end && data[at] == ' ') at++;
    head->at[0] = at;
    head->width[0] = end - at;
    if (aio__has_control(data + head->at[0], head->width[0], false))
        return aio__http_fail(head, 400, "the reason phrase has a control character");
    return 0;
}

/* host[:port] of a Host field, of a CONNECT, of a target (RFC 9110 7.2, RFC 3986 3.2): letters, digits, '-', '.', '_',
 * or an IPv6 address in brackets, without a zone. No user info: nobody may take one host for another. Gives the length
 * of the port's digits, -1 if it is no authority. */
static int aio__http_authority_port(const char *text, size_t n)
{
    unsigned char address[16];
    size_t i = 0, port;
    unsigned value = 0;
    if (n && *text == '[') {
        const char *end = (const char *)memchr(text, ']', n);
        if (!end || aio__ip_parse(text + 1, (size_t)(end - text) - 1, address) != 16) return -1;
        i = (size_t)(end - text) + 1;
    } else {
        while (i < n && aio__is(text[i], AIO__HOST)) i++;
    }
    if (!i) return -1;
    if (i == n) return 0;
    if (text[i++] != ':') return -1;
    for (port = i; i < n; i++) {
        if (!aio__is(text[i], AIO__DIGIT)) return -1;
        value = value * 10 + (unsigned)(text[i] - '0');
        if (value > 65535) return -1;
    }
    return (int)(n - port);
}

/* The host and port of a target in absolute form; {NULL, 0} of one in another form. */
static aio_text aio__http_target_authority(aio_text target)
{
    const char *end = target.data + target.length;
    size_t scheme = *target.data == '/' ? 0 : aio__url_scheme(target.data, target.length);
    if (!scheme || target.length - scheme < 3 || memcmp(target.data + scheme, "://", 3) != 0)
        return aio__text(NULL, 0);
    const char *start = target.data + scheme + 3, *at = start;
    while (at < end && *at != '/' && *at != '?') at++;
    return aio__text(start, (size_t)(at - start));
}

/* The four forms of a target (RFC 9112 3.2), by its first byte and the method. */
static bool aio__http_target_fits(aio_text method, aio_text target)
{
    if (method.length == 7 && !memcmp(method.data, "CONNECT", 7))
        return aio__http_authority_port(target.data, target.length) > 0;
    if (*target.data == '/') return true;
    if (*target.data == '*') return target.length == 1 && method.length == 7 && !memcmp(method.data, "OPTIONS", 7);
    aio_text authority = aio__http_target_authority(target);
    return authority.data && aio__http_authority_port(authority.data, authority.length) >= 0;
}

static int aio__http_request_line(aio__http_head *head, const char *data, size_t at, size_t end)
{
    size_t i = at, target;
    while (i < end && aio__is(data[i], AIO__TOKEN)) i++;
    if (i == at || i == end || data[i] != ' ') return aio__http_fail(head, 400, "the request's method is not a token");
    head->at[0] = at;
    head->width[0] = i - at;
    target = ++i;
    while (i < end && data[i] > ' ' && data[i] < 0x7f && data[i] != '#') i++;
    if (i == target || i == end || data[i] != ' ')
        return aio__http_fail(head, 400, "the request's target is empty or has a character that no target has");
    if (end - i != 9) return aio__http_fail(head, 400, "the start line has no HTTP version");
    head->at[1] = target;
    head->width[1] = i - target;
    int code = aio__http_version(head, data + i + 1);
    if (!code && !aio__http_target_fits(aio__text(data + at, head->width[0]), aio__text(data + target, head->width[1])))
        return aio__http_fail(head, 400, "the request's target does not fit its method");
    return code;
}

/* Takes the next element off a comma-separated list (RFC 9110 5.6.1), without its white space; may be empty. */
static bool aio__http_list_next(aio_text *rest, aio_text *item)
{
    if (!rest->data) return false;
    const char *comma = rest->length ? (const char *)memchr(rest->data, ',', rest->length) : NULL;
    const char *start = rest->data, *end = comma ? comma : start + rest->length;
    if (comma) *rest = aio__text(comma + 1, rest->length - (size_t)(comma - start) - 1);
    else *rest = aio__text(NULL, 0);
    while (start < end && (*start == ' ' || *start == '\t')) start++;
    while (end > start && (end[-1] == ' ' || end[-1] == '\t')) end--;
    *item = aio__text(start, (size_t)(end - start));
    return true;
}

static int aio__http_content_length(aio__http_head *head, aio_text value)
{
    uint64_t length = 0;
    if (!value.length) return aio__http_fail(head, 400, "Content-Length is empty");
    for (size_t i = 0; i < value.length; i++) {
        if (!aio__is(value.data[i], AIO__DIGIT)) return aio__http_fail(head, 400, "Content-Length is not digits only");
        unsigned digit = (unsigned)(value.data[i] - '0');
        if (length > (uint64_t)(INT64_MAX - digit) / 10)
            return aio__http_fail(head, 400, "Content-Length is too large");
        length = length * 10 + digit;
    }
    if (head->has_length && head->length != length) return aio__http_fail(head, 400, "two Content-Lengths differ");
    head->has_length = true;
    head->length = length;
    return 0;
}

/* Only "chunked", once: it is the one coding we know, and nothing may come after it. */
static int aio__http_transfer_encoding(aio__http_head *head, aio_text value)
{
    aio_text item;
    head->has_encoding = true;
    while (aio__http_list_next(&value, &item)) {
        if (!item.length) continue;
        if (head->chunked) return aio__http_fail(head, 400, "chunked is not the last transfer coding");
        if (!AIO__SAME_WORD(item.data, item.length, "chunked"))
            return aio__http_fail(head, 501, "Transfer-Encoding has a coding other than chunked");
        head->chunked = true;
    }
    return 0;
}

/* Words that decide about framing and connection, found by their length. */
typedef enum {
    AIO__WORD_OTHER, AIO__WORD_HOST, AIO__WORD_CLOSE, AIO__WORD_EXPECT, AIO__WORD_UPGRADE, AIO__WORD_CONNECTION,
    AIO__WORD_CONTENT_LENGTH, AIO__WORD_TRANSFER_ENCODING, AIO__WORD_KEEP_ALIVE
} aio__word;

static aio__word aio__http_word(aio_text word, bool is_name)
{
    static const char words[][18] = {
        "", "host", "close", "expect", "upgrade", "connection", "content-length", "transfer-encoding", "keep-alive"
    };
    static const unsigned char by_length[18] = {
        0, 0, 0, 0, AIO__WORD_HOST, AIO__WORD_CLOSE, AIO__WORD_EXPECT, AIO__WORD_UPGRADE, 0, 0, AIO__WORD_CONNECTION, 0,
        0, 0, AIO__WORD_CONTENT_LENGTH, 0, 0, AIO__WORD_TRANSFER_ENCODING
    };
    unsigned at = word.length < sizeof by_length ? by_length[word.length] : 0;
    if (at == AIO__WORD_CONNECTION && !is_name) at = AIO__WORD_KEEP_ALIVE;
    return at && aio__same_word(word.data, word.length, words[at], word.length) ? (aio__word)at : AIO__WORD_OTHER;
}

static void aio__http_connection(aio__http_head *head, aio_text value)
{
    aio_text item;
    while (aio__http_list_next(&value, &item)) {
        aio__word word = aio__http_word(item, false);
        if (word == AIO__WORD_CLOSE) head->connection_close = true;
        if (word == AIO__WORD_KEEP_ALIVE) head->connection_keep = true;
        if (word == AIO__WORD_UPGRADE) head->connection_upgrade = true;
    }
}

static int aio__http_known_field(aio__http_head *head, aio_text name, aio_text value)
{
    if (head->is_connect && head->status / 100 == 2) return 0; /* RFC 9110, 9.3.6 */
    switch (aio__http_word(name, true)) {
    case AIO__WORD_HOST:
        if (head->has_host && head->is_request) return aio__http_fail(head, 400, "the request has two Host fields");
        head->has_host = true;
        head->host = head->fields - 1;
        if (head->is_request && value.length && aio__http_authority_port(value.data, value.length) < 0)
            return aio__http_fail(head, 400, "Host is not a host and a port");
        return 0;
    case AIO__WORD_EXPECT:
        if (AIO__SAME_WORD(value.data, value.length, "100-continue")) head->expect_continue = head->is_request;
        else head->expect_other = head->is_request;
        return 0;
    case AIO__WORD_UPGRADE:
        head->has_upgrade = true;
        return 0;
    case AIO__WORD_CONNECTION:
        aio__http_connection(head, value);
        return 0;
    case AIO__WORD_CONTENT_LENGTH:
        return aio__http_content_length(head, value);
    case AIO__WORD_TRANSFER_ENCODING:
        return aio__http_transfer_encoding(head, value);
    default:
        return 0;
    }
}

/* Notes the place of a field, which has been checked. */
static int aio__http_add_field(aio__http_head *head, const char *data, size_t at, size_t colon, size_t from, size_t to)
{
    aio__field *field = &head->headers->fields[head->fields++];
    field->name = (uint32_t)at;
    field->name_length = (uint32_t)(colon - at);
    field->value = (uint32_t)from;
    field->value_length = (uint32_t)(to - from);
    return aio__http_known_field(head, aio__text(data + at, colon - at), aio__text(data + from, to - from));
}

/* A header line that goes on in another one (RFC 9112 5.2), whose white space is before `from`: aio__http_unfold makes
 * one line of it. Not of a field that decides about framing or the connection. */
static int aio__http_fold(aio__http_head *head, const char *data, size_t from, size_t to)
{
    aio__field *field = head->fields ? &head->headers->fields[head->fields - 1] : NULL;
    if (head->is_request || !(head->lenient & AIO__LENIENT_FOLDED) || !field
        || aio__http_word(aio__text(data + field->name, field->name_length), true) != AIO__WORD_OTHER)
        return aio__http_fail(head, 400, "a header line is folded");
    if (from == to) return 0;
    if (!field->value_length) field->value = (uint32_t)from;
    field->value_length = (uint32_t)to - field->value;
    head->folded = true;
    return 0;
}

/* One header line without its end: checked, and its place noted. */
static int aio__http_field_line(aio__http_head *head, const char *data, size_t at, size_t end)
{
    size_t i = at, from, to = end;
    bool folded = data[at] == ' ' || data[at] == '\t';
    while (i < end && aio__is(data[i], AIO__TOKEN)) i++;
    if (!folded && (i == end || data[i] != ':'))
        return aio__http_fail(head, 400, "a header line has no name and colon");
    if (!folded && i == at) return aio__http_fail(head, 400, "a header name is empty");
    for (from = folded ? at : i + 1; from < to && (data[from] == ' ' || data[from] == '\t');) from++;
    while (to > from && (data[to - 1] == ' ' || data[to - 1] == '\t')) to--;
    if (aio__has_control(data + from, to - from, false))
        return aio__http_fail(head, 400, "a header value has a control character");
    if (folded) return aio__http_fold(head, data, from, to);
    if (head->fields >= head->limits.count) return aio__http_fail(head, 431, "the head has too many fields");
    if (!aio__headers_index(head->headers, head->fields + 1)) {
        aio__http_fail(head, 503, "out of memory");
        return ENOMEM;
    }
    return aio__http_add_field(head, data, at, i, from, to);
}

/* The first byte from i on that ends a value's run: a control character, a tab too, or n. */
static inline size_t aio__http_run(const char *data, size_t i, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
    for (; n - i >= 8; i += 8) {
        uint64_t word, delete_mark;
        memcpy(&word, data + i, 8);
        delete_mark = word ^ (ones * 0x7f);
        if ((((word - ones * 0x20) & ~word) | ((delete_mark - ones) & ~delete_mark)) & high) break;
    }
    while (i < n && (unsigned char)data[i] >= 0x20 && data[i] != 0x7f) i++;
    return i;
}

/* A header line as nearly all are, whole, in one pass. Gives where the next one begins; 0 for any other line, of which
 * aio__http_line says what it is. *code: of a field that is refused. */
static inline size_t aio__http_plain_line(aio__http_head *head, const char *data, size_t at, size_t n, int *code)
{
    size_t i = at, from, to, end;
    if (n > head->limits.total) n = head->limits.total;
    while (i < n && aio__is(data[i], AIO__TOKEN)) i++;
    if (i >= n || i == at || data[i] != ':') return 0;
    for (from = i + 1; from < n && data[from] == ' ';) from++;
    end = to = aio__http_run(data, from, n);
    if (n - end < 2 || data[end] != '\r' || data[end + 1] != '\n' || end - at > head->limits.field
        || head->fields >= head->limits.count || head->fields >= head->headers->room) return 0;
    while (to > from && data[to - 1] == ' ') to--;
    *code = aio__http_add_field(head, data, at, i, from, to);
    return end + 2;
}

/* What the fields say together. */
static int aio__http_judge(aio__http_head *head)
{
    if (head->has_encoding && head->has_length)
        return aio__http_fail(head, 400, "the head has Transfer-Encoding and Content-Length");
    if (head->has_encoding && !head->chunked) return aio__http_fail(head, 400, "Transfer-Encoding is empty");
    if (head->has_encoding && !head->minor) return aio__http_fail(head, 400, "Transfer-Encoding in HTTP/1.0");
    if (head->is_request && head->minor && !head->has_host) return aio__http_fail(head, 400, "the request has no Host");
    head->keep_alive = !head->connection_close && (head->minor || head->connection_keep);
    head->upgrade = head->connection_upgrade && head->has_upgrade;
    return 0;
}

/* Makes one line of each value that came in several: a space for each fold. */
static void aio__http_unfold(aio_headers *headers, char *text)
{
    for (uint32_t i = 0; i < headers->count; i++) {
        aio__field *field = &headers->fields[i];
        char *at = text + field->value, *end = at + field->value_length, *out = at;
        while (at < end) {
            if (*at != '\r' && *at != '\n') {
                *out++ = *at++;
                continue;
            }
            while (out[-1] == ' ' || out[-1] == '\t') out--;
            while (*at == '\r' || *at == '\n' || *at == ' ' || *at == '\t') at++;
            *out++ = ' ';
        }
        field->value_length = (uint32_t)(out - text) - field->value;
    }
}

/* Makes room for n bytes in the headers' block, which are not kept. */
static int aio__http_block(aio__http_head *head, size_t n)
{
    aio_headers *headers = head->headers;
    if (headers->capacity >= n) return 0;
    size_t capacity = n < 1024 ? 1024 : n;
    char *block = (char *)aio__malloc(capacity);
    if (!block) {
        aio__http_fail(head, 503, "out of memory");
        return ENOMEM;
    }
    aio__free(headers->text);
    headers->text = block;
    headers->capacity = (uint32_t)capacity;
    return 0;
}

/* Copies the whole head into the headers' block and puts a NUL after each name and value: there is a byte to spare,
 * the colon or the line's end. Of a response a copy follows that stays as it came. */
static int aio__http_take(aio__http_head *head, const char *data, size_t n)
{
    aio_headers *headers = head->headers;
    size_t all = head->is_request ? n : 2 * n;
    int code = aio__http_block(head, all);
    if (code) return code;
    char *text = headers->text;
    memcpy(text, data, n);
    if (!head->is_request) head->raw = aio__text((char *)memcpy(text + n, data, n), n);
    headers->length = (uint32_t)all;
    headers->count = head->fields;
    headers->wasted = 0;
    if (head->folded) aio__http_unfold(headers, text);
    for (uint32_t i = 0; i < head->fields; i++) {
        const aio__field *field = &headers->fields[i];
        text[field->name + field->name_length] = text[field->value + field->value_length] = '\0';
    }
    for (int i = 0; i < 2; i++)
        if (head->at[i] || head->width[i]) text[head->at[i] + head->width[i]] = '\0';
    if (head->is_request) {
        head->method = aio__text(text + head->at[0], head->width[0]);
        head->target = aio__text(text + head->at[1], head->width[1]);
    } else {
        head->reason = aio__text(text + head->at[0], head->width[0]);
    }
    head->whole = true;
    return 0;
}

/* What an answer may be that is not HTTP's, by its first bytes. */
static const struct { unsigned char length; char bytes[5]; const char *problem; } aio__other_protocols[] = {
    { 2, "\x16\x03", AIO__NOT_HTTP ": it looks like TLS (https)" },
    { 2, "\x15\x03", AIO__NOT_HTTP ": it looks like a refusal of TLS (https)" },
    { 4, "SSH-", AIO__NOT_HTTP ": it looks like SSH" },
    { 2, "\0\0", AIO__NOT_HTTP ": it looks like HTTP/2" },
    { 3, "220", AIO__NOT_HTTP ": it looks like FTP or SMTP" },
    { 4, "-ERR", AIO__NOT_HTTP ": it looks like Redis or POP3" },
    { 3, "+OK", AIO__NOT_HTTP ": it looks like POP3" },
    { 4, "* OK", AIO__NOT_HTTP ": it looks like IMAP" },
};

/* An answer does not begin as HTTP's do. `whole`: no more of its line is to come. */
static int aio__http_other_protocol(aio__http_head *head, const char *text, size_t n, bool whole)
{
    for (size_t i = 0; i < sizeof aio__other_protocols / sizeof *aio__other_protocols; i++) {
        size_t length = aio__other_protocols[i].length;
        if (memcmp(text, aio__other_protocols[i].bytes, n < length ? n : length) != 0) continue;
        if (n >= length) return aio__http_fail(head, 400, aio__other_protocols[i].problem);
        if (!whole) return 0;
    }
    return aio__http_fail(head, 400, AIO__NOT_HTTP);
}

/* Whether the first bytes of a start line already show that it is none. `whole`: they are all of the line. */
static int aio__http_first_bytes(aio__http_head *head, const char *text, size_t n, bool whole)
{
    if (!n || (n == 1 && *text == '\r')) return 0;
    if (!head->is_request && memcmp(text, "HTTP/", n < 5 ? n : 5) != 0)
        return aio__http_other_protocol(head, text, n, whole);
    if (head->is_request && !aio__is(*text, AIO__TOKEN))
        return aio__http_fail(head, 400, "the request's method is not a token");
    return 0;
}

/* One line; `end` is where its LF is. */
static int aio__http_line(aio__http_head *head, const char *data, size_t at, size_t end)
{
    bool has_cr = end > at && data[end - 1] == '\r';
    size_t stop = has_cr ? end - 1 : end;
    uint32_t limit = head->started ? head->limits.field : head->limits.line;
    if (!head->started && aio__http_first_bytes(head, data + at, stop - at, true)) return AIO_EHTTP;
    if (stop - at > limit)
        return head->started ? aio__http_fail(head, 431, "a header line is too long")
                             : aio__http_fail(head, 414, "the start line is too long");
    if (end >= head->limits.total) return aio__http_fail(head, 431, "the head is too long");
    if (!has_cr && (head->is_request || !(head->lenient & AIO__LENIENT_BARE_LF)))
        return aio__http_fail(head, 400, "a line ends without CR");
    if (stop > at && head->started) return aio__http_field_line(head, data, at, stop);
    if (stop > at) {
        head->started = true;
        return head->is_request ? aio__http_request_line(head, data, at, stop)
                                : aio__http_status_line(head, data, at, stop);
    }
    if (!head->started) {
        if (head->is_request && ++head->blank_lines <= AIO__HTTP_BLANK_LINES_MAX) return 0;
        return aio__http_fail(head, 400, "the message begins with an empty line");
    }
    int code = aio__http_judge(head);
    return code ? code : aio__http_take(head, data, end + 1);
}

/* No line end in what there is: whether it can still become a line. The one byte more is for a CR. */
static int aio__http_wait(aio__http_head *head, const char *data, size_t n)
{
    size_t length = n - head->line;
    if (head->started) {
        if (length > (size_t)head->limits.field + 1) return aio__http_fail(head, 431, "a header line is too long");
    } else {
        if (aio__http_first_bytes(head, data + head->line, length, false)) return AIO_EHTTP;
        if (length > (size_t)head->limits.line + 1) return aio__http_fail(head, 414, "the start line is too long");
    }
    return n >= head->limits.total ? aio__http_fail(head, 431, "the head is too long") : AIO__MORE;
}

/* The value of Host; {"", 0} without one. */
static aio_text aio__http_host(const aio__http_head *head)
{
    if (!head->has_host) return aio__text("", 0);
    const aio__field *field = &head->headers->fields[head->host];
    return aio__text(head->headers->text + field->value, field->value_length);
}

/* Goes on with a head; `data` holds all n bytes since its first, also those given before (it may have moved). 0: it is
 * whole, *used bytes long. AIO__MORE: call again with more bytes. Else AIO_EHTTP, AIO_ELIMIT or ENOMEM, with
 * head->problem; the head is of no use then until it is reset. */
static inline int aio__http_head_feed(aio__http_head *head, const char *data, size_t n, size_t *used)
{
    int code = 0;
    while (head->scanned < n) {
        size_t at = head->line, next = 0;
        if (head->started && head->scanned == at) next = aio__http_plain_line(head, data, at, n, &code);
        if (next) head->scanned = head->line = next;
        if (code) return code;
        if (next) continue;
        const char *lf = (const char *)memchr(data + head->scanned, '\n', n - head->scanned);
        if (!lf) break;
        size_t end = (size_t)(lf - data);
        head->scanned = head->line = end + 1;
        code = aio__http_line(head, data, at, end);
        if (code) return code;
        if (head->whole) {
            *used = end + 1;
            return 0;
        }
    }
    head->scanned = n;
    return n ? aio__http_wait(head, data, n) : AIO__MORE;
}

/* The peer has closed after n bytes of a head that is not whole. 0: it counts as whole, with all n; AIO__MORE: it does
 * not; or a code. */
static inline int aio__http_head_closed(aio__http_head *head, const char *data, size_t n)
{
    if (!(head->lenient & AIO__LENIENT_NO_END) || head->is_request || !head->started || head->line != n)
        return AIO__MORE;
    int code = aio__http_judge(head);
    return code ? code : aio__http_take(head, data, n);
}

/* timeout=N of a Keep-Alive field in seconds, or -1. */
static inline long aio__http_keep_alive_timeout(aio_text value)
{
    aio_text item;
    while (aio__http_list_next(&value, &item)) {
        long seconds = 0;
        size_t i = 8;
        if (item.length <= 8 || !AIO__SAME_WORD(item.data, 8, "timeout=")) continue;
        while (i < item.length && i < 17 && aio__is(item.data[i], AIO__DIGIT))
            seconds = seconds * 10 + (item.data[i++] - '0');
        if (i == item.length) return seconds;
    }
    return -1;
}

static bool aio__buffer_word(aio__buffer *out, const char *text)
{
    return aio__buffer_append(out, text, strlen(text));
}

/* Appends one field; the bytes have been checked when they came into the headers. */
static bool aio__http_put_field(aio__buffer *out, aio_text name, aio_text value)
{
    return aio__buffer_append(out, name.data, name.length) && aio__buffer_append(out, ": ", 2)
        && aio__buffer_append(out, value.data, value.length) && aio__buffer_append(out, "\r\n", 2);
}

static bool aio__http_put_named(aio__buffer *out, const char *name, const char *value)
{
    return aio__http_put_field(out, aio__text(name, strlen(name)), aio__text(value, strlen(value)));
}

/* Appends host and port of a URL for the other side, to which a zone is nothing (RFC 6874 4). */
static bool aio__http_put_host(aio__buffer *out, const aio_url *url)
{
    const char *at = url->authority.data, *end = at + url->authority.length;
    const char *zone = url->is_ipv6 ? (const char *)memchr(at, '%', url->authority.length) : NULL;
    if (zone && !aio__buffer_append(out, at, (size_t)(zone - at))) return false;
    if (zone) at = (const char *)memchr(zone, ']', (size_t)(end - zone));
    return aio__buffer_append(out, at, (size_t)(end - at));
}

/* Appends all fields and the empty line. */
static bool aio__http_put_headers(aio__buffer *out, const aio_headers *headers)
{
    aio_text name, value;
    size_t position = 0;
    while (aio_headers_next(headers, &position, &name, &value))
        if (!aio__http_put_field(out, name, value)) return false;
    return aio__buffer_append(out, "\r\n", 2);
}

/* Appends the first line of a response. */
static bool aio__http_put_status(aio__buffer *out, int status)
{
    char line[16] = "HTTP/1.1 000 ";
    line[9] = (char)('0' + status / 100);
    line[10] = (char)('0' + status / 10 % 10);
    line[11] = (char)('0' + status % 10);
    return aio__buffer_append(out, line, 13) && aio__buffer_word(out, aio_http_reason(status))
        && aio__buffer_append(out, "\r\n", 2);
}

/* Writes a number and its NUL. Gives where it begins in `text`. */
static const char *aio__http_number(char text[21], uint64_t n)
{
    char *at = text + 20;
    *at = '\0';
    do *--at = (char)('0' + n % 10); while (n /= 10);
    return at;
}

/* Writes the line before a chunk of `size` bytes, at most 18 bytes; the chunk is to be followed by CR LF. */
static inline size_t aio__http_chunk_line(char *out, uint64_t size)
{
    size_t digits = 1;
    for (uint64_t rest = size >> 4; rest; rest >>= 4) digits++;
    for (size_t i = digits; i-- > 0; size >>= 4) out[i] = "0123456789abcdef"[size & 15];
    out[digits] = '\r';
    out[digits + 1] = '\n';
    return digits + 2;
}

#define AIO__HTTP_LAST_CHUNK "0\r\n\r\n"

AIO_API const char *aio_http_reason(int status)
{
    static const struct { int status; const char *phrase; } known[] = {
        { 100, "Continue" }, { 101, "Switching Protocols" }, { 102, "Processing" }, { 103, "Early Hints" },
        { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 203, "Non-Authoritative Information" },
        { 204, "No Content" }, { 205, "Reset Content" }, { 206, "Partial Content" }, { 207, "Multi-Status" },
        { 208, "Already Reported" }, { 226, "IM Used" }, { 300, "Multiple Choices" }, { 301, "Moved Permanently" },
        { 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" }, { 305, "Use Proxy" },
        { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
        { 402, "Payment Required" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" }, { 407, "Proxy Authentication Required" }, { 408, "Request Timeout" },
        { 409, "Conflict" }, { 410, "Gone" }, { 411, "Length Required" }, { 412, "Precondition Failed" },
        { 413, "Content Too Large" }, { 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" }, { 417, "Expectation Failed" }, { 418, "I'm a Teapot" },
        { 421, "Misdirected Request" }, { 422, "Unprocessable Content" }, { 423, "Locked" },
        { 424, "Failed Dependency" }, { 425, "Too Early" }, { 426, "Upgrade Required" },
        { 428, "Precondition Required" }, { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" },
        { 451, "Unavailable For Legal Reasons" }, { 500, "Internal Server Error" }, { 501, "Not Implemented" },
        { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" }, { 506, "Variant Also Negotiates" }, { 507, "Insufficient Storage" },
        { 508, "Loop Detected" }, { 510, "Not Extended" }, { 511, "Network Authentication Required" }
    };
    size_t low = 0, high = sizeof known / sizeof *known;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (known[middle].status < status) low = middle + 1;
        else high = middle;
    }
    return low < sizeof known / sizeof *known && known[low].status == status ? known[low].phrase : "";
}

enum { AIO__HTTP_DATE_LENGTH = 29 };

static void aio__put_two(char *out, int value)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
}

/* Writes an IMF-fixdate (RFC 9110 5.6.7), 29 bytes and a NUL, of seconds since 1970; clamped to the years 1 to 9999.
 * Years are counted from March, so that the leap day is the last of its year. */
static void aio__http_date(char *out, int64_t seconds)
{
    static const char days[] = "ThuFriSatSunMonTueWed", months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
    const int64_t first = INT64_C(-62135596800), last = INT64_C(253402300799);
    int64_t clamped = seconds < first ? first : seconds > last ? last : seconds;
    int64_t since = (clamped - first) / 86400;              /* days since 0001-01-01 */
    int second = (int)((clamped - first) % 86400);
    int day = (int)since + 306;                             /* days since 0000-03-01 */
    int weekday = (int)((since + 4) % 7);                   /* 0001-01-01 was a Monday */
    int era = day / 146097, of_era = day % 146097;
    int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (5 * of_year + 2) / 153;
    year += era * 400 + (month >= 10);
    memcpy(out, "Www, dd Mmm yyyy hh:mm:ss GMT", 30);
    memcpy(out, days + 3 * weekday, 3);
    aio__put_two(out + 5, of_year - (153 * month + 2) / 5 + 1);
    memcpy(out + 8, months + 3 * month, 3);
    aio__put_two(out + 12, year / 100);
    aio__put_two(out + 14, year % 100);
    aio__put_two(out + 17, second / 3600);
    aio__put_two(out + 20, second / 60 % 60);
    aio__put_two(out + 23, second % 60);
}

/* The date of a second, written once; a zeroed one is empty. */
typedef struct aio__http_clock { int64_t second; char text[AIO__HTTP_DATE_LENGTH + 1]; } aio__http_clock;

static inline const char *aio__http_clock_text(aio__http_clock *clock, int64_t second)
{
    if (clock->second != second || !clock->text[0]) {
        aio__http_date(clock->text, second);
        clock->second = second;
    }
    return clock->text;
}

/* ============================================================================
 * 50. HTTP bodies: framing, stages, reader
 *
 * A body on its way in (RFC 9112 6 and 7), for the client and the server. The framing tells data from what is between;
 * decoders, if there are any, make of it the data that are meant; a limit; and the user, who has pieces in place, or
 * the whole. Each is asked for what it has, and told how much of that was taken: what is not taken stays where it is,
 * and no byte is looked at twice. Also what waits for the rest of it, with deadlines. Calls streams, messages, timers,
 * futures.
 * ============================================================================ */

/* ---- framing ---- */

typedef enum { AIO__BODY_NONE, AIO__BODY_LENGTH, AIO__BODY_CHUNKED, AIO__BODY_CLOSE } aio__body_kind;
typedef enum { AIO__BODY_MORE, AIO__BODY_DATA, AIO__BODY_DONE, AIO__BODY_ERROR } aio__body_step;
typedef enum {
    AIO__CHUNK_SIZE, AIO__CHUNK_EXTENSION, AIO__CHUNK_SIZE_LF, AIO__CHUNK_DATA, AIO__CHUNK_DATA_CR, AIO__CHUNK_DATA_LF,
    AIO__CHUNK_SIZE_SPACE, AIO__TRAILER_START, AIO__TRAILER_NAME, AIO__TRAILER_VALUE, AIO__TRAILER_LF,
    AIO__CHUNK_END_LF,
    AIO__CHUNK_END, AIO__CHUNK_BAD
} aio__chunk_state;

/* The framing: gives slices of the input, holds no bytes but the trailers'. */
typedef struct aio__body {
    aio__body_kind   kind;
    aio__chunk_state state;      /* only of chunked, but CHUNK_END and CHUNK_BAD are of all */
    uint64_t         left;       /* bytes of data still to come: of the body, or of this chunk */
    uint64_t         received;   /* bytes of data so far */
    uint32_t         digits, extension, excess, tiny, trailer_bytes, trailer_lines;
    const char      *problem;    /* after an error: why */
    unsigned char    lenient;    /* AIO__LENIENT_NO_END or 0 */
    aio__buffer     *trailers;   /* where their lines go; NULL: they are checked and dropped */
} aio__body;

static void aio__body_start(aio__body *body, aio__body_kind kind, uint64_t length)
{
    memset(body, 0, sizeof *body);
    body->kind = kind;
    if (kind == AIO__BODY_LENGTH) body->left = length;
    if (kind == AIO__BODY_NONE || (kind == AIO__BODY_LENGTH && !length)) body->state = AIO__CHUNK_END;
}

/* The body that follows a head (RFC 9112 6.3). `method`: of the request, also where the head is a response's. Gives
 * whether the connection can carry another message after it: keep-alive, and neither a body until close, nor a
 * tunnel. */
static inline bool aio__http_body_of(const aio__http_head *head, aio_text method, aio__body *body)
{
    bool connect = method.length == 7 && !memcmp(method.data, "CONNECT", 7);
    bool head_only = method.length == 4 && !memcmp(method.data, "HEAD", 4);
    bool tunnel = !head->is_request && (head->status == 101 || (head->status / 100 == 2 && connect));
    bool bodyless = !head->is_request && (tunnel || head_only || head->status / 100 == 1 || head->status == 204
                                          || head->status == 304);
    aio__body_start(body, bodyless ? AIO__BODY_NONE : head->chunked ? AIO__BODY_CHUNKED
                        : head->has_length ? AIO__BODY_LENGTH : head->is_request ? AIO__BODY_NONE : AIO__BODY_CLOSE,
                    head->length);
    body->lenient = head->is_request ? 0 : head->lenient & AIO__LENIENT_NO_END;
    return head->keep_alive && !tunnel && body->kind != AIO__BODY_CLOSE;
}

static aio__chunk_state aio__chunk_fail(aio__body *body, const char *why)
{
    body->problem = why;
    return AIO__CHUNK_BAD;
}

/* The line of a chunk's size is over. */
static aio__chunk_state aio__chunk_begin(aio__body *body)
{
    uint32_t paid = body->left < body->excess ? (uint32_t)body->left : body->excess;
    body->excess = body->excess - paid + body->extension;
    if (body->excess > AIO__CHUNK_EXCESS_MAX) return aio__chunk_fail(body, "the chunk extensions are too long in all");
    if (!body->left) return AIO__TRAILER_START;
    if (body->left < AIO__CHUNK_TINY && ++body->tiny > AIO__CHUNK_TINY_MAX)
        return aio__chunk_fail(body, "the body has too many tiny chunks");
    return AIO__CHUNK_DATA;
}

static aio__chunk_state aio__chunk_size_byte(aio__body *body, char c)
{
    int digit = aio__hex_value(c);
    if (digit >= 0) {
        if (++body->digits > AIO__CHUNK_DIGITS_MAX)
            return aio__chunk_fail(body, "a chunk size has more than 15 digits");
        body->left = body->left * 16 + (unsigned)digit;
        return AIO__CHUNK_SIZE;
    }
    if (!body->digits) return aio__chunk_fail(body, "a chunk size is not hexadecimal");
    if (c == '\r') return AIO__CHUNK_SIZE_LF;
    if (c == ' ' || c == '\t') return AIO__CHUNK_SIZE_SPACE;
    return c == ';' ? AIO__CHUNK_EXTENSION : aio__chunk_fail(body, "a chunk size is not hexadecimal");
}

/* A byte of the trailers. */
static aio__chunk_state aio__trailer_byte(aio__body *body, char c)
{
    bool is_end = body->state == AIO__TRAILER_START && c == '\r';
    if (++body->trailer_bytes > AIO__TRAILERS_MAX) return aio__chunk_fail(body, "the trailers are too long");
    if (body->trailers && !is_end && !aio__buffer_append(body->trailers, &c, 1)) return aio__chunk_fail(body, NULL);
    switch (body->state) {
    case AIO__TRAILER_START:
        if (c == '\r') return AIO__CHUNK_END_LF;
        if (++body->trailer_lines > AIO__HTTP_HEADERS_MAX) return aio__chunk_fail(body, "there are too many trailers");
        return aio__is(c, AIO__TOKEN) ? AIO__TRAILER_NAME : aio__chunk_fail(body, "a trailer's name is not a token");
    case AIO__TRAILER_NAME:
        if (c == ':') return AIO__TRAILER_VALUE;
        return aio__is(c, AIO__TOKEN) ? AIO__TRAILER_NAME : aio__chunk_fail(body, "a trailer's name is not a token");
    case AIO__TRAILER_VALUE:
        if (c == '\r') return AIO__TRAILER_LF;
        if (aio__has_control(&c, 1, false)) return aio__chunk_fail(body, "a trailer has a control character");
        return AIO__TRAILER_VALUE;
    default:
        return c == '\n' ? AIO__TRAILER_START : aio__chunk_fail(body, "a trailer's CR is not followed by LF");
    }
}

/* One byte of the framing between the data. */
static aio__chunk_state aio__chunk_byte(aio__body *body, char c)
{
    switch (body->state) {
    case AIO__CHUNK_SIZE:
        return aio__chunk_size_byte(body, c);
    case AIO__CHUNK_SIZE_SPACE: /* RFC 9112 7.1.1 has it before a ';' only */
        if (++body->extension > AIO__CHUNK_EXTENSION_MAX) return aio__chunk_fail(body, "a chunk extension is too long");
        if (c == ' ' || c == '\t') return AIO__CHUNK_SIZE_SPACE;
        return c == ';' ? AIO__CHUNK_EXTENSION : aio__chunk_fail(body, "a chunk size is not hexadecimal");
    case AIO__CHUNK_EXTENSION:
        if (c == '\r') return AIO__CHUNK_SIZE_LF;
        if (aio__has_control(&c, 1, false)) return aio__chunk_fail(body, "a chunk extension has a control character");
        if (++body->extension > AIO__CHUNK_EXTENSION_MAX) return aio__chunk_fail(body, "a chunk extension is too long");
        return AIO__CHUNK_EXTENSION;
    case AIO__CHUNK_SIZE_LF:
        return c == '\n' ? aio__chunk_begin(body) : aio__chunk_fail(body, "a chunk size's CR is not followed by LF");
    case AIO__CHUNK_DATA_CR:
        return c == '\r' ? AIO__CHUNK_DATA_LF : aio__chunk_fail(body, "a chunk is not followed by CR LF");
    case AIO__CHUNK_DATA_LF:
        if (c != '\n') return aio__chunk_fail(body, "a chunk is not followed by CR LF");
        body->left = body->digits = body->extension = 0;
        return AIO__CHUNK_SIZE;
    case AIO__CHUNK_END_LF:
        return c == '\n' ? AIO__CHUNK_END : aio__chunk_fail(body, "the last CR is not followed by LF");
    default:
        return aio__trailer_byte(body, c);
    }
}

/* How many of the next bytes are data for certain, so that they can be read straight to where they belong, and then be
 * told by aio__body_took; UINT64_MAX for a body until close. */
static uint64_t aio__body_ahead(const aio__body *body)
{
    if (body->state >= AIO__CHUNK_END) return 0;
    if (body->kind == AIO__BODY_CLOSE) return UINT64_MAX;
    return body->kind == AIO__BODY_LENGTH || body->state == AIO__CHUNK_DATA ? body->left : 0;
}

static void aio__body_took(aio__body *body, size_t n)
{
    body->received += n;
    if (body->kind == AIO__BODY_CLOSE) return;
    body->left -= n;
    if (!body->left) body->state = body->kind == AIO__BODY_LENGTH ? AIO__CHUNK_END : AIO__CHUNK_DATA_CR;
}

/* Takes n bytes up to the next data, or the body's end. Gives how many. */
static size_t aio__body_frame(aio__body *body, const char *data, size_t n)
{
    size_t i = 0;
    while (i < n && body->state < AIO__CHUNK_END && !aio__body_ahead(body))
        body->state = aio__chunk_byte(body, data[i++]);
    return i;
}

/* Takes the next step through n bytes, of which it uses *used. AIO__BODY_DATA: *out is a piece of them, call again with
 * the rest. AIO__BODY_MORE: all are used. AIO__BODY_DONE: the body is over, what is not used is not its.
 * AIO__BODY_ERROR: body->problem; NULL: out of memory. */
static inline aio__body_step aio__body_feed(aio__body *body, const char *data, size_t n, size_t *used, aio_text *out)
{
    size_t at = aio__body_frame(body, data, n);
    *used = at;
    *out = aio__text(NULL, 0);
    if (body->state >= AIO__CHUNK_END) return body->state == AIO__CHUNK_END ? AIO__BODY_DONE : AIO__BODY_ERROR;
    if (at == n) return AIO__BODY_MORE;
    uint64_t ahead = aio__body_ahead(body);
    *out = aio__text(data + at, n - at < ahead ? n - at : (size_t)ahead);
    *used = at + out->length;
    aio__body_took(body, out->length);
    return AIO__BODY_DATA;
}

/* The peer has closed: whether that is where the body ends. Else body->problem says what is missing. */
static inline bool aio__body_closed(aio__body *body)
{
    if (body->state == AIO__CHUNK_END) return true;
    if (body->state == AIO__CHUNK_BAD) return false;
    bool ended = body->state == AIO__TRAILER_START || body->state == AIO__CHUNK_END_LF; /* the last chunk has come */
    if (body->kind == AIO__BODY_CLOSE || (ended && body->lenient)) {
        body->state = AIO__CHUNK_END;
        return true;
    }
    body->problem = body->kind == AIO__BODY_LENGTH ? "the connection was closed before Content-Length bytes had come"
                                                   : "the connection was closed before the last chunk";
    body->state = AIO__CHUNK_BAD;
    return false;
}

/* ---- deadlines ---- */

/* Raises an exception that is handed over. */
#define AIO__THROW(exception) return aio__throw(aio__t, aio__handler, __LINE__, (exception))

/* A deadline for whatever coroutine is inside. Its timer is lazy: one that comes too early is set anew, so that a later
 * deadline costs nothing. */
typedef struct aio__watch {
    aio_loop   *loop;
    aio__timer *timer;
    int64_t     timer_when, deadline; /* deadline INT64_MAX: none */
    aio_task   *frame;                /* the coroutine inside */
    int         cancels;              /* its task's count when it came in */
    bool        expired, no_memory;
    bool        asked;                /* the coroutine was cancelled for it */
} aio__watch;

static void aio__watch_fire(aio__timer *timer);

static void aio__watch_expire(aio__watch *w, bool no_memory)
{
    w->expired = true;
    w->no_memory = no_memory;
    w->deadline = INT64_MAX;
    w->asked = w->frame != NULL;
    if (w->frame) aio_task_cancel(aio__root(w->frame));
}

/* False without memory. */
static bool aio__watch_arm(aio__watch *w)
{
    if (w->deadline == INT64_MAX || (w->timer && w->timer_when <= w->deadline)) return true;
    aio__timer_cancel(w->loop, w->timer);
    w->timer_when = w->deadline;
    w->timer = aio__timer_start(w->loop, w->deadline, aio__watch_fire, w);
    return w->timer != NULL;
}

static void aio__watch_fire(aio__timer *timer)
{
    aio__watch *w = (aio__watch *)timer->owner;
    w->timer = NULL;
    if (w->deadline <= w->loop->now) aio__watch_expire(w, false);
    else if (!aio__watch_arm(w)) aio__watch_expire(w, true);
}

/* INT64_MAX: no deadline any more. False without memory. */
static bool aio__watch_until(aio__watch *w, int64_t deadline)
{
    w->deadline = deadline;
    return aio__watch_arm(w);
}

static void aio__watch_enter(aio__watch *w, aio_task *frame)
{
    w->frame = frame;
    w->cancels = aio__root(frame)->cancels;
}

/* The coroutine leaves. True if it leaves because of the deadline, and not also because somebody else cancelled it. */
static bool aio__watch_leave(aio__watch *w, const aio_exception *why)
{
    aio_task *frame = w->frame;
    if (!frame) return false;
    w->frame = NULL;
    bool asked = w->asked;
    w->asked = false;
    if (asked && aio_task_uncancel(aio__root(frame)) > w->cancels) return false;
    return w->expired && why && why->code == AIO_ECANCELLED;
}

static void aio__watch_end(aio__watch *w)
{
    aio__timer_cancel(w->loop, w->timer);
    w->timer = NULL;
    w->deadline = INT64_MAX;
}

/* ---- decoders ---- */

/* A decoder: the first member of what it needs besides. */
typedef struct aio__stage aio__stage;
struct aio__stage {
    /* Makes other data of n bytes, of which it uses *used; `last`: none come after them. AIO__BODY_DATA: *out, which
     * lies in its own memory, and stays there until the next call. AIO__BODY_MORE: all n are used. AIO__BODY_DONE: no
     * more comes of it. AIO__BODY_ERROR: stage->problem says why; NULL: out of memory. */
    aio__body_step (*feed)(aio__stage *stage, const char *data, size_t n, bool last, size_t *used, aio_text *out);
    void         (*end)(aio__stage *stage); /* frees it */
    aio__stage    *below;   /* what it is fed by; NULL: the framing */
    aio_text       out;     /* what it has given, and nobody has taken */
    bool           over;    /* there is no more to come of it */
    const char    *problem;
};

/* ---- the reader ---- */

typedef struct aio__body_reader aio__body_reader;

typedef struct aio__body_owner { /* what owns a reader is told */
    void         (*ended)(aio__body_reader *);   /* when a read has come to the body's end */
    bool         (*waiting)(aio__body_reader *); /* before every wait; false without memory */
    aio_exception *(*failed)(aio__body_reader *, const aio_exception *); /* the error for the user, a new owner */
    void         (*hold)(aio__body_reader *, int more); /* one more or one less who needs it */
} aio__body_owner;

struct aio__body_reader {
    aio_stream    *stream;   /* NULL: there is nothing to come any more */
    aio__body      body;
    aio__stage    *top;      /* the last decoder; NULL: none */
    aio__buffer    content;  /* what has been collected; [0, start) was given out in pieces */
    aio__buffer    trailer_lines;
    aio_headers    trailers; /* made of them when they are asked for */
    size_t         max;
    aio__watch     watch;
    const aio__body_owner *owner;
    bool           whole;    /* content is the result of a read */
    bool           reading;
};

/* The body that follows a head is the next to be read. Gives whether the connection can carry a message after it. */
static bool aio__body_open(aio__body_reader *in, const aio__http_head *head, aio_text method, aio_stream *stream)
{
    bool again = aio__http_body_of(head, method, &in->body);
    in->body.trailers = &in->trailer_lines;
    in->stream = in->body.state == AIO__CHUNK_END ? NULL : stream;
    return again;
}

/* Forgets the last body and keeps the memory. */
static void aio__body_reset(aio__body_reader *in)
{
    for (aio__stage *stage = in->top, *below; stage; stage = below) {
        below = stage->below;
        stage->end(stage);
    }
    in->top = NULL;
    in->stream = NULL;
    in->whole = false;
    in->content.start = in->content.end = in->trailer_lines.start = in->trailer_lines.end = 0;
    if (in->trailers.count) aio__headers_reset(&in->trailers);
    in->watch.expired = in->watch.no_memory = in->watch.asked = false;
    in->watch.deadline = INT64_MAX;
}

static void aio__body_clear(aio__body_reader *in)
{
    aio__body_reset(in);
    aio__free(in->content.data);
    aio__free(in->trailer_lines.data);
    aio_headers_clear(&in->trailers);
}

/* Puts a decoder on top of those that are there; the reader's from now on. */
static inline void aio__body_decode(aio__body_reader *in, aio__stage *stage)
{
    stage->below = in->top;
    in->top = stage;
}

/* What has been collected, and not given out in pieces. */
static aio_text aio__body_collected(const aio__body_reader *in)
{
    return aio__text(in->content.data ? in->content.data + in->content.start : "", in->content.end - in->content.start);
}

/* What has come of the framing's data, in place. AIO__BODY_ERROR: body.problem, or the connection is gone. */
static aio__body_step aio__body_peek_framed(aio__body_reader *in, aio_text *piece)
{
    aio__body *body = &in->body;
    for (;;) {
        if (body->state == AIO__CHUNK_END) return AIO__BODY_DONE;
        if (body->state == AIO__CHUNK_BAD || !in->stream) return AIO__BODY_ERROR;
        *piece = aio_stream_unread(in->stream);
        uint64_t ahead = aio__body_ahead(body);
        if (ahead && piece->length) {
            if (piece->length > ahead) piece->length = (size_t)ahead;
            return AIO__BODY_DATA;
        }
        if (piece->length) aio_stream_consume(in->stream, aio__body_frame(body, piece->data, piece->length));
        else if (!aio__stream_ended(in->stream)) return AIO__BODY_MORE;
        else if (!aio__body_closed(body)) return AIO__BODY_ERROR;
    }
}

static void aio__body_take(aio__body_reader *in, aio__stage *stage, size_t n)
{
    if (stage) {
        stage->out = aio__text(stage->out.data + n, stage->out.length - n);
    } else {
        aio_stream_consume(in->stream, n);
        aio__body_took(&in->body, n);
    }
}

/* What a stage has, in place (NULL: the framing); the same again until aio__body_take takes of it. */
static aio__body_step aio__body_peek(aio__body_reader *in, aio__stage *stage, aio_text *piece)
{
    if (!stage) return aio__body_peek_framed(in, piece);
    while (!stage->out.length) {
        aio_text fed;
        size_t used;
        aio__body_step step = aio__body_peek(in, stage->below, &fed);
        if (step == AIO__BODY_MORE || step == AIO__BODY_ERROR || (step == AIO__BODY_DONE && stage->over)) return step;
        if (step == AIO__BODY_DONE) fed = aio__text("", 0);
        if (stage->over) { /* what is left below is of no use, but has to be taken */
            aio__body_take(in, stage->below, fed.length);
            continue;
        }
        aio__body_step made = stage->feed(stage, fed.data, fed.length, step == AIO__BODY_DONE, &used, &stage->out);
        if (made == AIO__BODY_ERROR || (made == AIO__BODY_MORE && step == AIO__BODY_DONE)) {
            if (made == AIO__BODY_MORE) stage->problem = "the encoded body ends too soon";
            if (stage->problem) in->body.state = AIO__CHUNK_BAD;
            in->body.problem = stage->problem;
            return AIO__BODY_ERROR;
        }
        if (step == AIO__BODY_DATA) aio__body_take(in, stage->below, used);
        if (made != AIO__BODY_DATA) stage->out = aio__text("", 0);
        stage->over = made == AIO__BODY_DONE;
    }
    *piece = stage->out;
    return AIO__BODY_DATA;
}

/* The next piece of what has come. AIO__BODY_DATA, MORE, DONE or ERROR, as aio__body_peek gives them. */
static aio__body_step aio__body_next(aio__body_reader *in, aio_text *piece)
{
    aio__body_step step = AIO__BODY_DATA;
    *piece = aio__body_collected(in);
    if (!in->whole && piece->length) {
        in->content.start = in->content.end;
    } else {
        step = aio__body_peek(in, in->top, piece);
        if (step == AIO__BODY_DATA) aio__body_take(in, in->top, piece->length);
        else *piece = aio__text("", 0);
    }
    return step;
}

/* How long what is not given out yet will be at least. */
static uint64_t aio__body_declared(const aio__body_reader *in)
{
    uint64_t held = in->content.end - in->content.start;
    return held + (in->stream && !in->top && in->body.kind == AIO__BODY_LENGTH ? in->body.left : 0);
}

/* Collects what has come. AIO__BODY_DATA: that, or what is to come, is more than `max`, and what does not fit is left.
 * Anything else as above; ENOMEM is AIO__BODY_ERROR without a problem, and nothing is lost. */
static aio__body_step aio__body_collect(aio__body_reader *in, size_t max)
{
    if (aio__body_declared(in) > max) return AIO__BODY_DATA;
    for (;;) {
        aio_text piece;
        size_t held = in->content.end - in->content.start;
        aio__body_step step = aio__body_peek(in, in->top, &piece);
        if (step != AIO__BODY_DATA) return step;
        if (held > max || piece.length > max - held) return AIO__BODY_DATA;
        if (!aio__buffer_append(&in->content, piece.data, piece.length)) return AIO__BODY_ERROR;
        aio__body_take(in, in->top, piece.length);
    }
}

/* Ends the content in a NUL. False without memory. */
static bool aio__body_seal(aio__body_reader *in)
{
    if (!aio__buffer_reserve(&in->content, 1)) return false;
    in->content.data[in->content.end] = 0;
    return in->whole = true;
}

static aio_exception *aio__body_error(const aio__body_reader *in)
{
    if (in->body.state == AIO__CHUNK_BAD && in->body.problem)
        return aio__exception(AIO_EPAYLOAD, "body", "%s", in->body.problem);
    if (in->stream) return &aio__no_memory;
    return aio__exception(AIO_EPAYLOAD, "body", "the connection was closed before the end of the body");
}

/* Takes the next line of trailers, which have been checked. */
static bool aio__trailer_next(aio_text *rest, aio_text *name, aio_text *value)
{
    const char *end = rest->length ? (const char *)memchr(rest->data, '\r', rest->length) : NULL;
    if (!end) return false;
    const char *colon = (const char *)memchr(rest->data, ':', (size_t)(end - rest->data));
    *name = aio__text(rest->data, (size_t)(colon - rest->data));
    *rest = aio__text(end + 2, rest->length - (size_t)(end + 2 - rest->data));
    for (colon++; colon < end && (*colon == ' ' || *colon == '\t');) colon++;
    while (end > colon && (end[-1] == ' ' || end[-1] == '\t')) end--;
    *value = aio__text(colon, (size_t)(end - colon));
    return true;
}

/* The trailers of a body that is over. NULL without memory. */
static const aio_headers *aio__body_trailers(aio__body_reader *in)
{
    aio_text rest = aio__text(in->trailer_lines.data, in->trailer_lines.end), name, value;
    if (in->trailers.count || in->body.state != AIO__CHUNK_END) return &in->trailers;
    while (aio__trailer_next(&rest, &name, &value)) {
        if (!aio__headers_append(&in->trailers, name.data, name.length, value.data, value.length)) continue;
        aio__headers_reset(&in->trailers);
        return NULL;
    }
    return &in->trailers;
}

/* ---- a user who reads ---- */

/* Reads the rest of the body, or waits for the next piece. */
struct aio__body_reading {
    aio_task       task;
    aio_text       result;
    aio__body_reader *in;
    aio_text       more;
    aio_exception *error;
    bool           all, mine; /* mine: it is this coroutine that reads */
};

/* Takes what has come. True: more has to come. False: there is the result, or self->error. */
static bool aio__body_reading_more(struct aio__body_reading *self)
{
    aio__body_reader *in = self->in;
    aio__body_step step = self->all ? aio__body_collect(in, in->max) : aio__body_next(in, &self->result);
    if (step == AIO__BODY_MORE) return true;
    if (step == AIO__BODY_DONE && in->stream) in->owner->ended(in);
    if (step == AIO__BODY_ERROR) self->error = aio__body_error(in);
    if (step == AIO__BODY_ERROR || !self->all) return false;
    if (step == AIO__BODY_DATA)
        self->error = aio__exception(AIO_ELIMIT, "body", "the body is longer than the limit of %zu bytes", in->max);
    else if (!aio__body_seal(in)) self->error = &aio__no_memory;
    self->result = aio__body_collected(in);
    return false;
}

/* Whether it can wait for more; else self->error. */
static bool aio__body_reading_waits(struct aio__body_reading *self)
{
    aio__body_reader *in = self->in;
    if (in->watch.expired) self->error = aio_exception_ref(&aio__cancelled);
    else if (!in->owner->waiting(in)) self->error = &aio__no_memory;
    return !self->error;
}

static AIO_CORO(aio__body_reading)
{
    AIO_BEGIN(aio__body_reading);
    if (self->in->reading) AIO_RAISE(AIO_ERUNTIME, "another coroutine is reading this body");
    self->in->reading = self->mine = true;
    self->in->owner->hold(self->in, 1);
    aio__watch_enter(&self->in->watch, &self->task);
    AIO_TRY {
        while (aio__body_reading_more(self) && aio__body_reading_waits(self))
            AIO_AWAIT(self->more, aio_stream_more(self->in->stream));
        if (self->error) AIO__THROW(self->error);
    } AIO_CATCH_ALL {
        AIO__THROW(self->in->owner->failed(self->in, aio_caught(self)));
    } AIO_END_TRY;
    if (!self->result.length) self->task.future.flags |= AIO__F_END;
    AIO_FINALLY;
        if (self->mine) {
            aio__watch_leave(&self->in->watch, NULL);
            self->in->reading = false;
            self->in->owner->hold(self->in, -1);
        }
    AIO_END;
}

/* What has come already needs no coroutine. An error is there for it still, as what is not taken stays. */
static aio_text_task *aio__body_read(aio__body_reader *in, bool all)
{
    struct aio__body_reading *reading =
        (struct aio__body_reading *)aio__new_zeroed(sizeof *reading, aio__body_reading_coro);
    if (!reading) return NULL;
    aio_future *f = &reading->task.future;
    reading->in = in;
    reading->all = all;
    if (in->reading || in->watch.expired || aio__body_reading_more(reading)) return (aio_text_task *)(void *)reading;
    if (reading->error) {
        aio_exception_unref(reading->error);
        reading->error = NULL;
    } else {
        f->state = AIO__DONE;
        f->flags = (uint16_t)((f->flags & ~AIO__F_CORO) | (reading->result.length ? 0 : AIO__F_END));
        f->run.ops = NULL;
    }
    return (aio_text_task *)(void *)reading;
}

/* ============================================================================
 * 51. Proxies: HTTP CONNECT and SOCKS
 *
 * From a stream to a proxy to one through it: HTTP's CONNECT (RFC 9110 9.3.6), SOCKS4 and 4a, SOCKS5 (RFC 1928, 1929),
 * for each proxy of a chain. A handshake is a machine that is fed what the proxy says, and says what to send next. Then
 * what the environment has to say of proxies, and .netrc of passwords. Calls URLs, HTTP messages, names, streams, TLS.
 * ============================================================================ */

enum {
    AIO__PROXY_TIMEOUT = 60,     /* seconds for the handshake with one proxy */
    AIO__PROXY_TEXT_MAX = 255,   /* bytes of a name, user or password that SOCKS can send, and of a name for CONNECT */
    AIO__PROXY_INTERIM_MAX = 16, /* 1xx responses before CONNECT's own */
    AIO__SOCKS_MAX = 8 + 2 * (AIO__PROXY_TEXT_MAX + 1) /* bytes of a SOCKS request: two texts with a NUL */
};

/* ---- which proxies ---- */

enum {
    AIO__PROXY_HTTP, AIO__PROXY_HTTPS, AIO__PROXY_SOCKS4, AIO__PROXY_SOCKS4A, AIO__PROXY_SOCKS5, AIO__PROXY_SOCKS5H,
    AIO__PROXY_KINDS
};
static const char *const aio__proxy_schemes[] = { "http", "https", "socks4", "socks4a", "socks5", "socks5h" };
static const char *const aio__proxy_names[] = { "CONNECT", "CONNECT", "SOCKS4", "SOCKS4a", "SOCKS5", "SOCKS5" };

typedef struct aio__proxy_url {
    aio_url url;
    int     kind, port;
} aio__proxy_url;

typedef struct aio__proxies {
    int        count;
    aio__proxy_url at[AIO_PROXIES_MAX];
} aio__proxies;

/* Takes the next word off a list whose words stand between commas and blanks. */
static bool aio__word_next(aio_text *rest, aio_text *word)
{
    const char *end = rest->data + rest->length, *from = rest->data, *to;
    while (from < end && (*from == ',' || (unsigned char)*from <= ' ')) from++;
    for (to = from; to < end && *to != ',' && (unsigned char)*to > ' ';) to++;
    *word = aio__text(from, (size_t)(to - from));
    *rest = aio__text(to, (size_t)(end - to));
    return word->length != 0;
}

/* NULL, or what is wrong with the proxy that the URL names. */
static const char *aio__proxy_judge(aio__proxy_url *proxy)
{
    const aio_url *url = &proxy->url;
    const aio_text user = url->user, password = url->password;
    for (proxy->kind = 0; proxy->kind < AIO__PROXY_KINDS; proxy->kind++) {
        const char *scheme = aio__proxy_schemes[proxy->kind];
        if (aio__same_word(url->scheme.data, url->scheme.length, scheme, strlen(scheme))) break;
    }
    if (proxy->kind == AIO__PROXY_KINDS) return "its scheme is not http, https, socks4, socks4a, socks5 or socks5h";
    if (!url->host.length) return "it has no host";
    proxy->port = url->port ? url->port : 1080;
    if (proxy->kind <= AIO__PROXY_HTTPS)
        return user.length && memchr(user.data, ':', user.length) ? "its user has a colon" : NULL;
    if (user.length > AIO__PROXY_TEXT_MAX || password.length > AIO__PROXY_TEXT_MAX)
        return "its user or password is longer than 255 bytes";
    if (proxy->kind >= AIO__PROXY_SOCKS5) return NULL;
    if (password.length) return "SOCKS4 has no passwords";
    return user.length && memchr(user.data, 0, user.length) ? "its user has a NUL" : NULL;
}

/* 0, or a code with *reason. The URL of a proxy that did not parse is empty. */
static int aio__proxy_parse(aio__proxy_url *proxy, aio_text word, const char **reason)
{
    size_t prefix = memmem(word.data, word.length, "://", 3) ? 0 : 7;
    char *whole = (char *)aio__malloc(prefix + word.length);
    memset(proxy, 0, sizeof *proxy);
    *reason = "out of memory";
    if (!whole) return ENOMEM;
    memcpy(whole, "http://", prefix);
    memcpy(whole + prefix, word.data, word.length);
    int code = aio_url_parse(&proxy->url, whole, prefix + word.length, reason);
    aio__free(whole);
    if (code) return code;
    *reason = aio__proxy_judge(proxy);
    return *reason ? AIO_EURL : 0;
}

static void aio__proxies_free(aio__proxies *proxies)
{
    for (int i = 0; proxies && i < proxies->count; i++) aio_url_clear(&proxies->at[i].url);
    aio__free(proxies);
}

/* A list of proxies; NULL for an empty one. 0, or a code with *reason. */
static int aio__proxies_parse(aio__proxies **parsed, const char *list, const char **reason)
{
    aio_text rest = aio__text(list, strlen(list)), word;
    int code = 0;
    aio__proxies *proxies = NULL;
    *parsed = NULL;
    *reason = "out of memory";
    while (!code && aio__word_next(&rest, &word)) {
        if (!proxies && !(proxies = (aio__proxies *)aio__calloc(sizeof *proxies))) return ENOMEM;
        if (proxies->count == AIO_PROXIES_MAX) {
            *reason = "there are more than AIO_PROXIES_MAX of them";
            code = AIO_ELIMIT;
        } else code = aio__proxy_parse(&proxies->at[proxies->count++], word, reason);
    }
    if (code) aio__proxies_free(proxies);
    else *parsed = proxies;
    return code;
}

/* ---- the handshake with one of them ---- */

enum { AIO__HOP_CONNECT, AIO__HOP_SOCKS4, AIO__HOP_METHOD, AIO__HOP_PASSWORD, AIO__HOP_SOCKS5 }; /* the reply to */

typedef struct aio__hop {
    const aio__proxy_url *proxy;
    const char    *host;         /* where it is to connect to */
    int            port, state, interim;
    size_t         ip_length;    /* of host's address: 4, 16; 0: a name, which the proxy looks up */
    unsigned char  ip[16];
    aio__buffer    out;          /* what is to be sent next */
    aio_headers    headers;
    aio__http_head head;
    char           problem[AIO__MESSAGE_MAX / 2];
} aio__hop;

/* "a.test:80", "[::1]:80" */
static const char *aio__host_port(const char *host, int port, char *buffer, size_t size)
{
    bool brackets = strchr(host, ':') != NULL;
    snprintf(buffer, size, brackets ? "[%.*s]:%d" : "%.*s:%d", AIO__PROXY_TEXT_MAX, host, port);
    return buffer;
}

AIO__PRINTF(2, 3)
static int aio__hop_fail(aio__hop *hop, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(hop->problem, sizeof hop->problem, format, arguments);
    va_end(arguments);
    return AIO_EPROXY;
}

/* An error on the way, as the user is to see it. */
static aio_exception *aio__hop_error(const aio__hop *hop, const aio_exception *why)
{
    char to[AIO__PROXY_TEXT_MAX + 12], by[AIO__PROXY_TEXT_MAX + 12];
    return aio__exception(why->code, "proxy", "%s to %s by proxy %s: %s", aio__proxy_names[hop->proxy->kind],
                          aio__host_port(hop->host, hop->port, to, sizeof to),
                          aio__host_port(hop->proxy->url.host.data, hop->proxy->port, by, sizeof by), why->message);
}

/* One of the 3 bytes that become 4 letters: of "user:password". */
static unsigned aio__basic_byte(aio_text user, aio_text password, size_t i)
{
    if (i < user.length) return (unsigned char)user.data[i];
    if (i == user.length) return ':';
    i -= user.length + 1;
    return i < password.length ? (unsigned char)password.data[i] : 0;
}

/* Appends a field with credentials (RFC 7617). False without memory. */
static bool aio__put_basic(aio__buffer *out, const char *field, aio_text user, aio_text password)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = user.length + 1 + password.length;
    if (!aio__buffer_word(out, field) || !aio__buffer_word(out, ": Basic ")) return false;
    for (size_t i = 0; i < n; i += 3) {
        char four[4];
        unsigned bits = 0;
        for (size_t k = i; k < i + 3; k++) bits = bits << 8 | aio__basic_byte(user, password, k);
        for (size_t k = 0; k < 4; k++) four[k] = i + k > n ? '=' : letters[bits >> (18 - 6 * k) & 63];
        if (!aio__buffer_append(out, four, 4)) return false;
    }
    return aio__buffer_append(out, "\r\n", 2);
}

/* What is to be sent next ends at `end`; then comes the reply to it. AIO__MORE or ENOMEM. */
static int aio__hop_ask(aio__hop *hop, int state, const char *data, const char *end)
{
    hop->state = state;
    return aio__buffer_append(&hop->out, data, (size_t)(end - data)) ? AIO__MORE : ENOMEM;
}

static int aio__connect_ask(aio__hop *hop, const char *const *headers)
{
    char host[AIO__PROXY_TEXT_MAX + 1], to[AIO__PROXY_TEXT_MAX + 12], line[2 * sizeof to + 32];
    const aio_url *url = &hop->proxy->url;
    snprintf(host, sizeof host, "%.*s", (int)strcspn(hop->host, "%"), hop->host); /* without a zone (RFC 6874 4) */
    aio__host_port(host, hop->port, to, sizeof to);
    int n = snprintf(line, sizeof line, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", to, to);
    bool stored = aio__buffer_append(&hop->out, line, (size_t)n);
    if (url->user.data || url->password.data)
        stored = stored && aio__put_basic(&hop->out, "Proxy-Authorization", url->user, url->password);
    for (; stored && headers && headers[0]; headers += 2)
        stored = aio__http_put_field(&hop->out, aio__text(headers[0], strlen(headers[0])),
                                     aio__text(headers[1], strlen(headers[1])));
    hop->head.is_connect = true;
    hop->head.lenient = AIO__LENIENT_ALL;
    aio__http_head_reset(&hop->head, &hop->headers, false);
    memcpy(line, "\r\n", 2);
    return stored ? aio__hop_ask(hop, AIO__HOP_CONNECT, line, line + 2) : ENOMEM;
}

/* Puts bytes at `at`; the place behind them. */
static char *aio__lay(char *at, const void *data, size_t n)
{
    if (n) memcpy(at, data, n);
    return at + n;
}

static int aio__socks4_ask(aio__hop *hop)
{
    char ask[AIO__SOCKS_MAX], *at = aio__lay(ask, "\4\1", 2);
    const aio_text user = hop->proxy->url.user;
    uint16_t port = htons((uint16_t)hop->port);
    at = aio__lay(at, &port, 2);
    at = aio__lay(at, hop->ip_length ? (const char *)hop->ip : "\0\0\0\1", 4); /* 0.0.0.1: a name follows */
    at = aio__lay(at, user.data, user.length);
    *at++ = 0;
    at = aio__lay(at, hop->host, hop->ip_length ? 0 : strlen(hop->host) + 1);
    return aio__hop_ask(hop, AIO__HOP_SOCKS4, ask, at);
}

static int aio__socks5_ask(aio__hop *hop)
{
    char ask[AIO__SOCKS_MAX], *at = aio__lay(ask, "\5\1\0\3", 4);
    size_t n = strlen(hop->host);
    uint16_t port = htons((uint16_t)hop->port);
    if (hop->ip_length) ask[3] = hop->ip_length == 4 ? 1 : 4;
    else *at++ = (char)n;
    at = hop->ip_length ? aio__lay(at, hop->ip, hop->ip_length) : aio__lay(at, hop->host, n);
    at = aio__lay(at, &port, 2);
    return aio__hop_ask(hop, AIO__HOP_SOCKS5, ask, at);
}

static int aio__password_ask(aio__hop *hop)
{
    char ask[AIO__SOCKS_MAX], *at = ask;
    const aio_text user = hop->proxy->url.user, password = hop->proxy->url.password;
    *at++ = 1;
    *at++ = (char)user.length;
    at = aio__lay(at, user.data, user.length);
    *at++ = (char)password.length;
    at = aio__lay(at, password.data, password.length);
    return aio__hop_ask(hop, AIO__HOP_PASSWORD, ask, at);
}

/* Whether the name is to be looked up here. An address is none; it is then known. */
static bool aio__hop_looks_up(aio__hop *hop)
{
    hop->ip_length = aio__ip_parse(hop->host, strlen(hop->host), hop->ip);
    return !hop->ip_length && (hop->proxy->kind == AIO__PROXY_SOCKS4 || hop->proxy->kind == AIO__PROXY_SOCKS5);
}

/* Takes the first address that the proxy can be given. */
static int aio__hop_found(aio__hop *hop, const aio__addresses *addresses)
{
    for (int i = 0; i < addresses->count && !hop->ip_length; i++) {
        const struct sockaddr_storage *at = &addresses->at[i].storage;
        if (at->ss_family == AF_INET) {
            hop->ip_length = 4;
            memcpy(hop->ip, &((const struct sockaddr_in *)(const void *)at)->sin_addr, 4);
        } else if (at->ss_family == AF_INET6 && hop->proxy->kind == AIO__PROXY_SOCKS5) {
            hop->ip_length = 16;
            memcpy(hop->ip, &((const struct sockaddr_in6 *)(const void *)at)->sin6_addr, 16);
        }
    }
    return hop->ip_length ? 0 : aio__hop_fail(hop, "the name has no address that this proxy could be given");
}

/* Begins: `out` is the first to be sent. AIO__MORE or a code. */
static int aio__hop_begin(aio__hop *hop, const char *const *headers)
{
    static const char methods[] = "\5\2\0\2\5\1\0"; /* none or a password; none */
    const char *ask = hop->proxy->url.user.data ? methods : methods + 4;
    size_t n = strlen(hop->host);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)hop->host[i] <= ' ' || (unsigned char)hop->host[i] >= 0x7f)
            return aio__hop_fail(hop, "the host has a character that no host has");
    if (n > AIO__PROXY_TEXT_MAX) return aio__hop_fail(hop, "the host is longer than 255 bytes");
    if (hop->port < 0 || hop->port > 65535) return aio__hop_fail(hop, "the port is not one");
    if (hop->proxy->kind <= AIO__PROXY_HTTPS) return aio__connect_ask(hop, headers);
    if (hop->proxy->kind >= AIO__PROXY_SOCKS5) return aio__hop_ask(hop, AIO__HOP_METHOD, ask, ask + ask[1] + 2);
    return hop->ip_length == 16 ? aio__hop_fail(hop, "SOCKS4 has no IPv6 addresses") : aio__socks4_ask(hop);
}

static int aio__socks4_reply(aio__hop *hop, const unsigned char *data, size_t n, size_t *used)
{
    static const char *const words[] = {
        "the request was rejected or failed", "the proxy reached no identd here", "identd here names another user"
    };
    if (data[0] != 0) return aio__hop_fail(hop, "the reply is not of SOCKS4: its version is %d", data[0]);
    if (n < 2) return AIO__MORE;
    if (data[1] >= 91 && data[1] <= 93) return aio__hop_fail(hop, "%s", words[data[1] - 91]);
    if (data[1] != 90) return aio__hop_fail(hop, "unknown reply %d", data[1]);
    *used = n < 8 ? 0 : 8;
    return n < 8 ? AIO__MORE : 0;
}

/* RFC 1928, section 6 */
static int aio__socks5_reply(aio__hop *hop, const unsigned char *data, size_t n, size_t *used)
{
    static const char *const words[] = {
        "general SOCKS server failure", "connection not allowed by ruleset", "network unreachable", "host unreachable",
        "connection refused", "TTL expired", "command not supported", "address type not supported"
    };
    if (n < 2) return AIO__MORE;
    if (data[1] > 8) return aio__hop_fail(hop, "unknown reply %d", data[1]);
    if (data[1]) return aio__hop_fail(hop, "%s", words[data[1] - 1]);
    if (n < 5) return AIO__MORE;
    size_t length = data[3] == 1 ? 4 : data[3] == 4 ? 16 : data[3] == 3 ? 1 + (size_t)data[4] : 0;
    if (!length) return aio__hop_fail(hop, "the reply has an address of the unknown type %d", data[3]);
    if (n < 6 + length) return AIO__MORE;
    *used = 6 + length;
    return 0;
}

/* What SOCKS5 has before its request: the choice of a method, and the verdict on user and password. */
static int aio__socks5_greeting(aio__hop *hop, const unsigned char *data, size_t n, size_t *used)
{
    bool has_user = hop->proxy->url.user.data != NULL;
    if (n < 2) return AIO__MORE;
    *used = 2;
    if (hop->state == AIO__HOP_PASSWORD) {
        if (data[1]) return aio__hop_fail(hop, "the user or the password is wrong (status %d)", data[1]);
        return aio__socks5_ask(hop);
    }
    if (data[1] == 0xFF)
        return aio__hop_fail(hop, has_user ? "the proxy takes neither a user nor none" : "the proxy wants a user");
    if (data[1] == 0) return aio__socks5_ask(hop);
    if (data[1] != 2 || !has_user)
        return aio__hop_fail(hop, "the proxy chose a method that was not offered: %d", data[1]);
    return aio__password_ask(hop);
}

static int aio__connect_reply(aio__hop *hop, const char *data, size_t n, size_t *used)
{
    aio__http_head *head = &hop->head;
    int code = aio__http_head_feed(head, data, n, used);
    if (code == ENOMEM || code == AIO__MORE) return code;
    if (code) {
        aio__hop_fail(hop, "%s", head->problem);
        return code == AIO_ELIMIT ? code : AIO_EPROXY;
    }
    if (head->status / 100 == 2) return 0;
    if (head->status / 100 != 1 || head->status == 101)
        return aio__hop_fail(hop, "%d %.*s", head->status, head->reason.length < 100 ? (int)head->reason.length : 100,
                             head->reason.data);
    if (++hop->interim > AIO__PROXY_INTERIM_MAX) return aio__hop_fail(hop, "there are too many 1xx responses");
    aio__http_head_reset(head, &hop->headers, false);
    return AIO__MORE;
}

/* Goes on with what the proxy has said and was not *used yet. 0: the tunnel stands; AIO__MORE: it is to say more, after
 * it was sent `out` if there is any; or a code with hop->problem. */
static int aio__hop_feed(aio__hop *hop, const char *data, size_t n, size_t *used)
{
    const unsigned char *bytes = (const unsigned char *)data;
    *used = 0;
    if (!n) return AIO__MORE;
    if (hop->state == AIO__HOP_CONNECT) return aio__connect_reply(hop, data, n, used);
    if (hop->state == AIO__HOP_SOCKS4) return aio__socks4_reply(hop, bytes, n, used);
    if (bytes[0] != (hop->state == AIO__HOP_PASSWORD ? 1 : 5))
        return aio__hop_fail(hop, "the reply is not of SOCKS5: its version is %d", bytes[0]);
    return hop->state == AIO__HOP_SOCKS5 ? aio__socks5_reply(hop, bytes, n, used)
                                         : aio__socks5_greeting(hop, bytes, n, used);
}

/* Sends and reads as far as that goes. Result as above. */
static int aio__hop_step(aio__hop *hop, aio_stream *s)
{
    for (;;) {
        if (hop->out.end) {
            int code = aio_stream_write(s, hop->out.data, hop->out.end);
            hop->out.end = 0;
            if (code && code != EPIPE && code != ECONNRESET) { /* else what the proxy had to say may have come */
                const aio_exception *error = aio__stream_error(s);
                aio__hop_fail(hop, "%s", error ? error->message : aio_code_text(code));
                return code;
            }
        }
        aio_text unread = aio_stream_unread(s);
        size_t used;
        int code = aio__hop_feed(hop, unread.data, unread.length, &used);
        aio_stream_consume(s, used);
        if (code == AIO__MORE && !used && aio__stream_ended(s))
            return aio__hop_fail(hop, "the proxy closed the connection");
        if (code != AIO__MORE || !used) return code;
    }
}

/* ---- a host's addresses ---- */

/* What was asked for them: options.resolver's task, or a lookup. NULL: nothing yet. */
typedef struct aio__finding {
    aio_future *future;
    bool        is_task;
} aio__finding;

/* Asks; to be awaited. */
static aio_future *aio__find(aio__finding *f, const aio_connect_options *o, const char *host, int port, int family)
{
    f->is_task = o->resolver != NULL;
    f->future = f->is_task ? (aio_future *)(void *)o->resolver->resolve(o->resolver, host, port, family)
        : (aio_future *)(void *)aio__resolve(aio__running, host, port, family, 0);
    return (aio_future *)aio_ref(f->future);
}

static const aio__addresses *aio__found(const aio__finding *f)
{
    return f->is_task ? &((const aio_addresses_task *)(const void *)f->future)->result->list
        : ((const aio__lookup_future *)(const void *)f->future)->result;
}

/* Gives back what there is. */
static void aio__find_end(aio__finding *f)
{
    if (f->future && f->is_task && f->future->state == AIO__DONE && !f->future->error)
        aio_addresses_free(((aio_addresses_task *)(void *)f->future)->result);
    aio_unref(f->future);
    f->future = NULL;
}

/* ---- through all of them ---- */

struct aio__tunnel { /* on a stream to the first */
    aio_task            task;
    aio_stream         *stream;
    const aio__proxies *proxies;
    const aio_connect_options *options;
    const char         *host;    /* where the last one is to connect to */
    int                 port, i, code;
    double              timeout;
    aio_tls_context    *context; /* of TLS with the proxy that is next; NULL: none */
    aio__finding        found;
    aio_text            more;
    aio__hop            hop;
    aio_exception      *error;
};

static void aio__tunnel_clear(struct aio__tunnel *t)
{
    aio__find_end(&t->found);
    aio__free(t->hop.out.data);
    aio_headers_clear(&t->hop.headers);
    memset(&t->hop, 0, sizeof t->hop);
}

/* The proxy that is next, and where it leads. 0, or a code with hop.problem. */
static int aio__tunnel_next(struct aio__tunnel *t)
{
    const aio__proxy_url *proxy = &t->proxies->at[t->i];
    bool last = t->i + 1 == t->proxies->count;
    aio__tunnel_clear(t);
    t->hop.proxy = proxy;
    t->hop.host = last ? t->host : proxy[1].url.host.data;
    t->hop.port = last ? t->port : proxy[1].port;
    t->hop.head.limits.total = t->stream->limit;
    t->context = NULL;
    if (aio_stream_unread(t->stream).length)
        return aio__hop_fail(&t->hop, "there were bytes before this proxy was asked");
    if (proxy->kind != AIO__PROXY_HTTPS) return 0;
    t->context = t->options->proxy_tls_context ? t->options->proxy_tls_context : aio__tls_default();
    if (t->context) return 0;
    aio__hop_fail(&t->hop, "%s", aio_tls_context_error());
    return AIO_ETLS;
}

static AIO_CORO(aio__tunnel)
{
    AIO_BEGIN(aio__tunnel);
    AIO_TRY {
        for (; self->i < self->proxies->count; self->i++) {
            self->code = aio__tunnel_next(self);
            AIO_TIMEOUT(self->timeout) {
                if (self->context)
                    AIO_AWAIT(aio__tls_begin(self->stream, self->context, self->hop.proxy->url.host.data,
                                             self->hop.proxy->port, self->options->tls_timeout, 0));
                if (!self->code && aio__hop_looks_up(&self->hop)) {
                    AIO_AWAIT(aio__find(&self->found, self->options, self->hop.host, self->hop.port,
                        self->hop.proxy->kind == AIO__PROXY_SOCKS4 ? AF_INET : self->options->family));
                    self->code = aio__hop_found(&self->hop, aio__found(&self->found));
                }
                if (!self->code) self->code = aio__hop_begin(&self->hop, self->options->proxy_headers);
                while (self->code == AIO__MORE
                       && (self->code = aio__hop_step(&self->hop, self->stream)) == AIO__MORE)
                    AIO_AWAIT(self->more, aio_stream_more(self->stream));
                if (self->code) AIO_RAISE(self->code, "%s", self->hop.problem);
            }
        }
        if (self->options->tls_context && aio_stream_unread(self->stream).length)
            AIO_RAISE(AIO_EPROXY, "there were bytes before TLS");
    } AIO_CATCH {
        if (aio_caught(self)->code == ENOMEM) AIO_RERAISE();
        AIO_RAISE_EXCEPTION(self->error = aio__hop_error(&self->hop, aio_caught(self)));
    } AIO_END_TRY;
    AIO_FINALLY;
        aio__tunnel_clear(self);
        aio_exception_unref(self->error);
    AIO_END;
}

/* Leads a stream to the first proxy on to the host. */
static aio_future *aio__tunnel_through(const aio__proxies *proxies, aio_stream *s, const char *host, int port,
                                       const aio_connect_options *o)
{
    struct aio__tunnel *t = (struct aio__tunnel *)aio__new_zeroed(sizeof *t, aio__tunnel_coro);
    if (!t) return NULL;
    t->stream = s;
    t->proxies = proxies;
    t->options = o;
    t->host = host;
    t->port = port;
    t->timeout = o->proxy_timeout < 0 ? 1e9 : o->proxy_timeout == 0 ? (double)AIO__PROXY_TIMEOUT
        : o->proxy_timeout;
    return (aio_future *)(void *)t;
}

/* ---- what the environment says ---- */

/* SCHEME_proxy, or in upper case: NULL when there is none. The scheme has `n` bytes; -1: up to its NUL. HTTP_PROXY is
 * what a CGI program's client may have sent as a header "Proxy". */
static const char *aio__proxy_variable(const char *scheme, int n)
{
    char name[40];
    if (snprintf(name, sizeof name, "%.*s_proxy", n, scheme) >= (int)sizeof name) return NULL;
    const char *value = getenv(name);
    if (value || (!strcmp(name, "http_proxy") && getenv("REQUEST_METHOD"))) return value;
    for (char *c = name; *c; c++)
        if (aio__is_letter(*c)) *c = (char)(*c & ~0x20);
    return getenv(name);
}

/* An address, or a network as 10.0.0.0/8, against one. */
static bool aio__no_proxy_address(aio_text word, const unsigned char *ip, size_t ip_length)
{
    unsigned char own[16];
    const char *slash = (const char *)memchr(word.data, '/', word.length);
    size_t n = slash ? (size_t)(slash - word.data) : word.length;
    int bits = (int)ip_length * 8;
    if (slash) bits = aio__dns_number(slash + 1, word.length - n - 1, bits);
    if (aio__ip_parse(word.data, n, own) != ip_length) return false;
    for (int i = 0; i < bits; i++)
        if ((own[i / 8] ^ ip[i / 8]) & 0x80 >> i % 8) return false;
    return bits >= 0;
}

/* A name: the host itself, or a domain that it is in. */
static bool aio__no_proxy_name(aio_text word, aio_text host)
{
    if (word.length > 1 && word.data[0] == '*' && word.data[1] == '.') word = aio__text(word.data + 1, word.length - 1);
    while (word.length && *word.data == '.') word = aio__text(word.data + 1, word.length - 1);
    if (word.length && word.data[word.length - 1] == '.') word.length--;
    if (host.length && host.data[host.length - 1] == '.') host.length--;
    if (!word.length || word.length > host.length) return false;
    size_t before = host.length - word.length;
    return (!before || host.data[before - 1] == '.')
        && aio__same_word(host.data + before, word.length, word.data, word.length);
}

/* Takes ":80" off a word that ends in it, and the brackets of an IPv6 address: -1 if there is none. */
static int aio__word_port(aio_text *word)
{
    const char *data = word->data;
    size_t n = word->length;
    int port = -1;
    while (n && aio__is(data[n - 1], AIO__DIGIT)) n--;
    const char *colon = (const char *)memchr(data, ':', n);
    if (colon && (colon == data + n - 1 || (data[n - 1] == ':' && data[n - 2] == ']')))
        port = aio__dns_number(data + n, word->length - n, 65535);
    if (port >= 0) word->length = n - 1;
    n = word->length;
    if (n > 1 && data[0] == '[' && data[n - 1] == ']') *word = aio__text(data + 1, n - 2);
    return port;
}

static bool aio__no_proxy(const char *list, const aio_url *url)
{
    unsigned char ip[16];
    aio_text rest = aio__text(list, strlen(list)), host = url->host, word;
    const char *zone = host.length ? (const char *)memchr(host.data, '%', host.length) : NULL;
    if (zone) host.length = (size_t)(zone - host.data);
    size_t ip_length = aio__ip_parse(host.data, host.length, ip);
    while (aio__word_next(&rest, &word)) {
        if (word.length == 1 && *word.data == '*') return true;
        int port = aio__word_port(&word);
        if (!word.length || (port >= 0 && port != url->port)) continue;
        if (ip_length ? aio__no_proxy_address(word, ip, ip_length) : aio__no_proxy_name(word, host)) return true;
    }
    return false;
}

/* The proxies for a URL, as they stand in the environment; NULL for none. */
static const char *aio__proxy_of(const aio_url *url)
{
    if (!url->host.length) return NULL;
    const char *found = url->is_http ? aio__proxy_variable(url->is_tls ? "https" : "http", -1)
        : aio__proxy_variable(url->scheme.data, (int)url->scheme.length);
    if (!found) found = aio__proxy_variable("all", -1);
    const char *except = found && *found ? aio__proxy_variable("no", -1) : NULL;
    return !found || !*found || (except && aio__no_proxy(except, url)) ? NULL : found;
}

AIO_API int aio_proxy_from_env(const char *url, char *buffer, size_t size)
{
    aio_url parsed;
    if (!url || !buffer || !size) return EINVAL;
    *buffer = 0;
    int code = aio_url_parse(&parsed, url, strlen(url), NULL);
    if (code) return code;
    const char *found = aio__proxy_of(&parsed);
    if (found && strlen(found) >= size) code = ENAMETOOLONG;
    else if (found) memcpy(buffer, found, strlen(found) + 1);
    aio_url_clear(&parsed);
    return code;
}

/* ---- .netrc ---- */

typedef struct aio__netrc { char *at, *end; } aio__netrc; /* what is unread; what was read may have been written over */

static bool aio__netrc_blank(char c) { return memchr(" \t\r\n", c, 4) != NULL; }

static void aio__netrc_skip(aio__netrc *n, bool comments)
{
    while (n->at < n->end && (aio__netrc_blank(*n->at) || (comments && *n->at == '#'))) {
        if (*n->at == '#') while (n->at < n->end && *n->at != '\n') n->at++;
        else n->at++;
    }
}

/* The next token: a backslash makes the next character an ordinary one, quotes are around those with blanks. Empty at
 * the end. In a keyword's place '#' begins a comment. */
static aio_text aio__netrc_token(aio__netrc *n, bool keyword)
{
    aio__netrc_skip(n, keyword);
    bool quoted = n->at < n->end && *n->at == '"';
    if (quoted) n->at++;
    char *start = n->at, *to = start;
    while (n->at < n->end && (quoted ? *n->at != '"' : !aio__netrc_blank(*n->at))) {
        if (*n->at == '\\' && n->at + 1 < n->end) n->at++;
        *to++ = *n->at++;
    }
    if (n->at < n->end) n->at++;
    return aio__text(start, (size_t)(to - start));
}

/* A macro is what follows the line of its name, and ends with an empty line. */
static void aio__netrc_skip_macro(aio__netrc *n)
{
    bool empty = false;
    aio__netrc_token(n, false);
    n->at--; /* back to the end of the name: in its line */
    while (n->at < n->end && !empty) {
        char *line = (char *)memchr(n->at, '\n', (size_t)(n->end - n->at));
        n->at = line ? line + 1 : n->end;
        size_t left = (size_t)(n->end - n->at);
        empty = left && (*n->at == '\n' || (left > 1 && !memcmp(n->at, "\r\n", 2)));
    }
}

/* Looks a host up in the text of a .netrc, which it spoils and whose parts the results are: the entry of that machine,
 * the last if there are several, or else the default. False if there is none, or the text is wrong somewhere. */
static bool aio__netrc_find(char *text, size_t length, aio_text host, aio_text *user, aio_text *password)
{
    enum { LOGIN, ACCOUNT, PASSWORD, OTHER, ANY, MACHINE, MACRO, NONE, WORDS = 7 };
    static const struct { const char *word; int is; } words[WORDS] = {
        { "login", LOGIN }, { "user", LOGIN }, { "account", ACCOUNT }, { "password", PASSWORD }, { "default", ANY },
        { "machine", MACHINE }, { "macdef", MACRO }
    };
    static const aio_text none[3] = { { "", 0 }, { "", 0 }, { "", 0 } };
    aio__netrc n = { text, text + length };
    aio_text found[3], word;
    int entry = NONE, best = OTHER; /* whose members come now, and whose were found: of ANY, of this MACHINE, OTHER */
    memcpy(found, none, sizeof found);
    while ((word = aio__netrc_token(&n, true)).length || n.at < n.end) {
        int is = NONE;
        for (int k = 0; k < WORDS && is == NONE; k++)
            if (word.length == strlen(words[k].word) && !memcmp(word.data, words[k].word, word.length))
                is = words[k].is;
        if (is == NONE || (is < OTHER && entry == NONE)) return false;
        if (is == MACRO) {
            aio__netrc_skip_macro(&n);
            entry = NONE;
            continue;
        }
        if (is != ANY) word = aio__netrc_token(&n, false);
        if (is < OTHER) {
            if (entry != OTHER) found[is] = word;
            continue;
        }
        if (!word.length) return false;
        bool same = is == ANY || aio__same_word(word.data, word.length, host.data, host.length);
        entry = same && is >= best ? is : OTHER;
        if (entry == OTHER) continue;
        best = entry;
        memcpy(found, none, sizeof found);
    }
    *user = found[LOGIN].length ? found[LOGIN] : found[ACCOUNT];
    *password = found[PASSWORD];
    return best != OTHER && (user->length || password->length);
}

/* The text of $NETRC, or of ~/.netrc; NULL if there is none that could be read. 0 or ENOMEM. */
static int aio__netrc_read(char **text)
{
    char path[1024];
    const char *name = getenv("NETRC"), *home = getenv("HOME");
    *text = NULL;
    if (!name && !home) return 0;
    int n = name ? snprintf(path, sizeof path, "%s", name) : snprintf(path, sizeof path, "%s/.netrc", home);
    int code = n < (int)sizeof path ? aio__dns_file(path, text) : 0;
    return code == ENOMEM ? code : 0;
}

/* ============================================================================
 * 52. Connecting: names and addresses
 *
 * From a host's name to a stream: the name is looked up, its addresses race; proxies lead on from there; TLS is put on
 * what stands. Calls names, streams, TLS and proxies.
 * ============================================================================ */

/* Where the time of a request goes. */
enum {
    AIO__PHASE_POOL, AIO__PHASE_RESOLVE, AIO__PHASE_CONNECT, AIO__PHASE_PROXY, AIO__PHASE_TLS, AIO__PHASE_SEND,
    AIO__PHASE_HEADERS, AIO__PHASE_BODY, AIO__PHASES
};
typedef struct aio__phases {
    aio_loop *loop;
    int64_t   since, spent[AIO__PHASES]; /* nanoseconds */
    int       phase;
} aio__phases;

/* NULL is fine: nobody asks. */
static void aio__phase_enter(aio__phases *phases, int phase)
{
    if (!phases) return;
    phases->spent[phases->phase] += phases->loop->now - phases->since;
    phases->since = phases->loop->now;
    phases->phase = phase;
}

struct aio__connect { /* a name, its addresses, then TLS */
    aio_task            task;
    aio_stream         *result;
    aio__finding        found;
    aio__addresses      only;         /* a unix socket's, instead */
    const aio__addresses *addresses;  /* of one of the two */
    aio__lookup_future *local;
    aio_connect_options options;
    int64_t             delay;        /* nanoseconds between attempts; 0: none begins while another is under way */
    int64_t             allowed;      /* nanoseconds for each attempt; 0: any */
    aio__phases        *phases;       /* of the request that this is for, or NULL */
    aio__proxies       *proxies;      /* NULL: none */
    aio_exception      *error;
    int                 port, target_port;
    const char         *host;         /* to connect to: the target, or the first proxy */
    const char         *target, *name;/* in text */
    char                text[1];      /* host, server name, local host, proxies: each with its NUL */
};

/* ---- addresses: happy eyeballs ---- */

enum {
    AIO__ATTEMPTS_APART = 10000000, /* nanoseconds at least, RFC 8305, section 8 */
    AIO__RACE_MORE = 32             /* bytes of a message kept for how many more there are */
};

typedef struct aio__attempt { /* one address */
    struct aio__racing *race;
    const aio__address *to;
    aio_stream         *stream;       /* on its way; NULL: not yet, or not any more */
    int64_t             deadline;
} aio__attempt;

/* All addresses of a host, RFC 8305, section 5: the first connection wins. An attempt is a stream that is on its way;
 * what happens to it, or a timer, wakes the one coroutine that looks after them all. */
struct aio__racing {
    aio_task            task;
    aio_stream         *result;
    const struct aio__connect *connect;
    int                 count, started, under_way;
    int64_t             next;         /* when the next attempt may start */
    aio_future         *event;
    aio__timer         *timer;
    aio_exception      *error;
    int                 code, left_out; /* what attempts failed with, and how many have no room in the message */
    size_t              used;
    char                text[AIO__MESSAGE_MAX];
    aio__attempt        attempts[1];
};

static void aio__race_wake(struct aio__racing *race)
{
    if (race->event && race->event->state < AIO__DONE) aio__future_finish(race->event, AIO__DONE);
}

static void aio__race_on_timer(aio__timer *timer)
{
    struct aio__racing *race = (struct aio__racing *)timer->owner;
    race->timer = NULL;
    aio__race_wake(race);
}

static void aio__attempt_on_writable(aio__work *work) { aio__race_wake(((aio__attempt *)work->owner)->race); }

/* A lack of descriptors or memory is remembered as the code: it says nothing of the host, and may pass. */
static void aio__attempt_fail(aio__attempt *attempt, int code, const char *why)
{
    struct aio__racing *race = attempt->race;
    char address[128];
    size_t room = sizeof race->text - AIO__RACE_MORE - race->used;
    aio_stream_close(attempt->stream);
    attempt->stream = NULL;
    if (attempt == &race->attempts[race->started - 1]) race->next = race->task.future.loop->now;
    if (race->code != EMFILE && race->code != ENFILE && race->code != ENOBUFS && race->code != ENOMEM)
        race->code = code;
    aio__address_text(&attempt->to->storage, attempt->to->length, address, sizeof address);
    int n = snprintf(race->text + race->used, room, "%s" AIO__CONNECT_ERROR, race->used ? "; " : "", address,
                     race->connect->host, why);
    if (race->left_out || (size_t)n >= room) race->text[race->used] = 0, race->left_out++;
    else race->used += (size_t)n;
}

static void aio__race_start(struct aio__racing *race)
{
    const struct aio__connect *c = race->connect;
    aio__attempt *attempt = &race->attempts[race->started++];
    const aio__address *from;
    race->next = aio__after(race->task.future.loop, c->delay);
    if (!aio__local_for(c->local, attempt->to->storage.ss_family, &from)) {
        aio__attempt_fail(attempt, EADDRNOTAVAIL, "the local host is not of its family");
        return;
    }
    aio_stream *s = aio__connect_begin(race->task.future.loop, attempt->to, from, c->options.limit);
    if (!s) {
        aio__attempt_fail(attempt, errno, strerror(errno));
        return;
    }
    attempt->stream = s;
    attempt->deadline = c->allowed ? aio__os.clock() + c->allowed : INT64_MAX;
    s->d.writer.run = aio__attempt_on_writable;
    s->d.writer.owner = attempt;
    if (!s->d.ready) aio__descriptor_wait(s->loop, &s->d, AIO__WRITE);
}

/* What has become of it: it has won, failed, or is under way. */
static void aio__attempt_look(aio__attempt *attempt)
{
    aio_stream *s = attempt->stream;
    if (!s) return;
    int code = 0;
    if (s->d.ready & AIO__WRITE) code = aio__connect_outcome(s);
    else if (attempt->deadline <= s->loop->now) code = AIO_ETIMEOUT;
    else {
        attempt->race->under_way++;
        return;
    }
    if (code) {
        aio__attempt_fail(attempt, code, aio_code_text(code));
        return;
    }
    aio__descriptor_unwait(s->loop, &s->d, AIO__WRITE);
    s->d.writer.run = aio__stream_on_writable;
    s->d.writer.owner = s;
    attempt->race->result = s;
    attempt->stream = NULL;
}

/* Starts what is due. True when it is to wait for the attempts under way; false when it is over. */
static bool aio__race_goes_on(struct aio__racing *race)
{
    for (;;) {
        race->under_way = 0;
        for (int i = 0; i < race->started && !race->result; i++) aio__attempt_look(&race->attempts[i]);
        if (race->result) return false;
        bool due = !race->under_way || race->next <= race->task.future.loop->now;
        if (race->started == race->count || !due) return race->under_way > 0;
        aio__race_start(race);
    }
}

/* A timer for what comes first: the next attempt, or the end of one that takes too long. False without memory. */
static bool aio__race_arm(struct aio__racing *race)
{
    aio_loop *loop = race->task.future.loop;
    int64_t when = race->started < race->count ? race->next : INT64_MAX;
    for (int i = 0; i < race->started; i++)
        if (race->attempts[i].stream && race->attempts[i].deadline < when) when = race->attempts[i].deadline;
    aio__timer_cancel(loop, race->timer);
    race->timer = when < INT64_MAX ? aio__timer_start(loop, when, aio__race_on_timer, race) : NULL;
    return race->timer || when == INT64_MAX;
}

static aio_exception *aio__race_error(struct aio__racing *race)
{
    if (!race->count) return aio__exception(AIO_ERESOLVE, "resolve", "resolve %s: no address", race->connect->host);
    if (race->left_out) snprintf(race->text + race->used, AIO__RACE_MORE, "; and %d more", race->left_out);
    return aio__exception_text(race->code, "connect", race->text);
}

static const aio__ops aio__race_ops = { "connect", NULL, NULL, NULL };

static AIO_CORO(aio__racing)
{
    AIO_BEGIN(aio__racing);
    while (aio__race_goes_on(self)) {
        self->event = (aio_future *)aio__future_make(self->task.future.loop, &aio__race_ops, sizeof *self->event, NULL,
                                                     0);
        if (!self->event || !aio__race_arm(self)) AIO_RAISE(ENOMEM);
        AIO_AWAIT(aio_ref(self->event));
        aio_unref(self->event);
        self->event = NULL;
    }
    if (!self->result) AIO_RAISE_EXCEPTION(self->error = aio__race_error(self));
    AIO_FINALLY;
        aio_unref(self->event);
        aio_exception_unref(self->error);
        aio__timer_cancel(self->task.future.loop, self->timer);
        for (int i = 0; i < self->started; i++)
            aio_stream_close(self->attempts[i].stream);
        if (self->task.future.error) aio_stream_close(self->result);
        if (self->task.future.error) self->result = NULL;
    AIO_END;
}

/* The first address of the first one's family, or of the others, from `i` on. */
static int aio__address_next(const aio__addresses *addresses, int i, bool other)
{
    int family = addresses->count ? addresses->at[0].storage.ss_family : 0;
    while (i < addresses->count && (addresses->at[i].storage.ss_family != family) != other) i++;
    return i;
}

/* The resolver's order, but the families by turns. NULL without memory. */
static aio_stream_task *aio__race_new(const struct aio__connect *c)
{
    const aio__addresses *addresses = c->addresses;
    struct aio__racing *race = (struct aio__racing *)aio__new_zeroed(
        sizeof *race + (size_t)addresses->count * sizeof *race->attempts, aio__racing_coro);
    if (!race) return NULL;
    race->connect = c;
    race->count = addresses->count;
    int at[2] = { 0, aio__address_next(addresses, 0, true) };
    for (int i = 0, side = 0; i < race->count; i++, side = !side && at[1] < race->count) {
        if (at[side] == race->count) side = !side;
        race->attempts[i].race = race;
        race->attempts[i].to = &addresses->at[c->delay ? at[side] : i];
        at[side] = aio__address_next(addresses, at[side] + 1, side);
    }
    return (aio_stream_task *)(void *)race;
}

/* ---- a connection ---- */

/* Before anything is asked for: the proxies, of which the first is what is connected to, and TLS. NULL or an error. */
static aio_exception *aio__connect_prepare(struct aio__connect *c)
{
    const char *reason;
    if (c->options.proxy) {
        aio__phase_enter(c->phases, AIO__PHASE_PROXY);
        int code = aio__proxies_parse(&c->proxies, c->options.proxy, &reason);
        if (code) return aio__exception(code, "proxy", "proxy for %s: %s", c->target, reason);
    }
    if (c->proxies) {
        c->host = c->proxies->at[0].url.host.data;
        c->port = c->proxies->at[0].port;
    }
    if (c->options.tls && !c->options.tls_context && !(c->options.tls_context = aio__tls_default()))
        return aio__exception(AIO_ETLS, "", "%s", aio_tls_context_error());
    aio__phase_enter(c->phases, AIO__PHASE_RESOLVE);
    return NULL;
}

/* Both resolvers give a host's A and AAAA records together, so no attempt has to wait for the other kind. */
static AIO_CORO(aio__connect)
{
    AIO_BEGIN(aio__connect);
    self->error = aio__connect_prepare(self);
    if (self->error) AIO_RAISE_EXCEPTION(self->error);
    self->addresses = &self->only;
    if (!self->only.count) {
        AIO_AWAIT(aio__find(&self->found, &self->options, self->host, self->port, self->options.family));
        self->addresses = aio__found(&self->found);
    }
    if (self->options.local_host) {
        self->local = aio__resolve(self->task.future.loop, self->options.local_host, 0, 0, AI_PASSIVE);
        AIO_AWAIT(aio_ref(self->local));
    }
    aio__phase_enter(self->phases, AIO__PHASE_CONNECT);
    AIO_AWAIT(self->result, aio__race_new(self));
    if (self->proxies) {
        aio__phase_enter(self->phases, AIO__PHASE_PROXY);
        AIO_AWAIT(aio__tunnel_through(self->proxies, self->result, self->target, self->target_port, &self->options));
    }
    self->result->name = aio__strndup(self->target, strlen(self->target));
    if (self->options.tls_context) {
        aio__phase_enter(self->phases, AIO__PHASE_TLS);
        AIO_AWAIT(aio__tls_begin(self->result, self->options.tls_context, self->name, self->target_port,
                                 self->options.tls_timeout, self->options.tls_shutdown_timeout));
    }
    AIO_FINALLY;
        if (self->task.future.error) aio_stream_close(self->result); /* in order: what was told last reaches the peer */
        if (self->task.future.error) self->result = NULL;
        aio_exception_unref(self->error);
        aio__proxies_free(self->proxies);
        aio__find_end(&self->found);
        aio_unref(self->local);
    AIO_END;
}

/* A connection to a host, or to the unix socket of a path. `why`, and its code, if not NULL: what is wrong already. */
static aio_stream_task *aio__connect_new(const char *target, int port, bool is_path, int code, const char *why,
                                         const aio_connect_options *o)
{
    const char *name = o->server_hostname ? o->server_hostname : target, *of = "";
    int64_t delay = aio__timeout_ns(o->happy_eyeballs_delay, 0.25), allowed = aio__timeout_ns(o->connect_timeout, 0);
    if (!aio__tls_context_is_for(o->tls_context, false) || !aio__tls_context_is_for(o->proxy_tls_context, false))
        why = "the TLS context is a server's";
    else if (delay < 0 || allowed < 0) why = "happy_eyeballs_delay or connect_timeout is no number of seconds";
    else if (!why && (why = aio__pairs_problem(o->proxy_headers))) of = "proxy_headers: ";
    if (why)
        return (aio_stream_task *)(void *)aio__failure(code, "open_connection to '%.200s': %s%s", target ? target : "",
                                                       of, why);
    size_t texts = aio__text_size(target) + aio__text_size(name) + aio__text_size(o->local_host)
        + aio__text_size(o->proxy);
    struct aio__connect *self = (struct aio__connect *)aio__new_zeroed(sizeof *self + texts, aio__connect_coro);
    if (!self) return NULL;
    char *at = self->text;
    self->options = *o;
    self->delay = delay && delay < AIO__ATTEMPTS_APART ? (int64_t)AIO__ATTEMPTS_APART : delay;
    self->allowed = allowed;
    self->port = self->target_port = port;
    self->host = self->target = aio__keep(&at, target);
    self->name = aio__keep(&at, name);
    self->options.local_host = is_path ? NULL : aio__keep(&at, o->local_host);
    self->options.proxy = aio__keep(&at, o->proxy);
    self->only.count = is_path;
    if (is_path) aio__unix_address(target, &self->only.at[0]);
    return (aio_stream_task *)(void *)self;
}

AIO_API aio_stream_task *aio_open_connection_with(const char *host, int port, const aio_connect_options *options)
{
    AIO__DEFAULTS(aio_connect_options, options);
    return aio__connect_new(host, port, false, EINVAL, host && *host ? NULL : "there is no host", options);
}

AIO_API aio_stream_task *aio_open_unix_connection_with(const char *path, const aio_connect_options *options)
{
    AIO__DEFAULTS(aio_connect_options, options);
    aio__address address;
    const char *name = options->server_hostname;
    int code = aio__unix_address(path, &address);
    const char *why = code ? strerror(code)
        : options->tls && !options->tls_context ? "TLS over a unix socket needs .tls_context"
        : options->tls_context && (!name || !*name) ? "TLS over a unix socket needs .server_hostname"
        : options->proxy && *options->proxy ? "there are no proxies for unix sockets" : NULL;
    return aio__connect_new(path, 0, true, code ? code : EINVAL, why, options);
}

/* ============================================================================
 * 53. Transports: protocols over streams
 *
 * A stream with an aio__transport: its descriptor's works run what is here, which reads into a buffer of the loop's
 * and calls the protocol. It ends by connection_lost, which is queued; only after that the stream is freed. May call
 * streams, connecting and servers.
 * ============================================================================ */

static bool aio__loop_is_closing(const aio_loop *loop) { return ((const aio__streams *)loop->streams)->closing; }

static void aio__transport_fail(aio_stream *s, aio_exception *error)
{
    if (!s->error) s->error = error;
    s->closing = true;
    aio__stream_end(s);
}

/* Waits for what comes next, unless nothing is to be read; an error is told even then. `again`: a read is worth a try,
 * as far as we know (what TLS has buffered may be a part of a record). */
static void aio__transport_wait(aio_stream *s, bool again)
{
    bool reads = !s->transport->paused && !s->eof;
    if (!s->transport->made || s->closing || s->d.reader.node.next) return;
    if (s->error || (reads && again && aio__stream_has_input(s))) aio__enqueue(s->loop, &s->d.reader.node);
    else if (reads) aio__read_wait(s);
}

static void aio__transport_lose(aio_stream *s)
{
    aio__transport *t = s->transport;
    aio_exception *error = s->error ? aio__stream_lost(s) : NULL;
    t->lost = true;
    ((aio__streams *)s->loop->streams)->closing = false; /* what the callback ends waits for its turn */
    if (t->protocol->connection_lost) t->protocol->connection_lost(t->self, s, error);
    aio_exception_unref(error);
}

/* connection_made, or connection_lost. */
static void aio__transport_soon(aio__work *work)
{
    aio_stream *s = (aio_stream *)work->owner;
    aio__transport *t = s->transport;
    if (t->made) {
        aio__transport_lose(s);
        aio__stream_end(s);
        return;
    }
    t->made = true;
    if (t->ending) aio__enqueue(s->loop, &t->soon.node);
    if (t->protocol->connection_made) t->protocol->connection_made(t->self, s, t->arg);
    aio__transport_wait(s, true);
}

/* The connection is over: connection_lost is due. False when it has run, and the stream is to be freed. */
static bool aio__transport_end(aio_stream *s)
{
    aio__transport *t = s->transport;
    bool now = aio__loop_is_closing(s->loop), queued = t->soon.node.next != NULL;
    if (t->lost) return false;
    if (t->ending && !now) return true;
    t->ending = s->closing = true;
    aio__timer_cancel(s->loop, s->timer);
    s->timer = NULL;
    aio__descriptor_unwait(s->loop, &s->d, AIO__READ);
    aio__descriptor_unwait(s->loop, &s->d, AIO__WRITE);
    if (now && queued) aio__ring_remove(&t->soon.node);
    if (now && t->made) aio__transport_lose(s);
    else if (t->made && !queued) aio__enqueue(s->loop, &t->soon.node);
    return !now;
}

/* ---- reading ---- */

static void aio__transport_eof(aio_stream *s)
{
    aio__transport *t = s->transport;
    s->eof = true;
    bool keep = t->protocol->eof_received && t->protocol->eof_received(t->self, s);
    if (!keep || s->tls) aio__stream_begin_close(s);
}

/* One read: what came goes to the protocol, to the one that gave the buffer. False if nothing did. */
static bool aio__transport_receive(aio_stream *s)
{
    const aio_protocol *p = s->transport->protocol;
    void *self = s->transport->self;
    size_t size = AIO__READ_BUFFER;
    ssize_t n = AIO__IO_FAILED;
    bool theirs = p->get_buffer != NULL;
    char *buffer = theirs ? (char *)p->get_buffer(self, s, &size) : aio__read_buffer_take(s->loop);
    if (s->closing) return false;
    if (buffer && size) n = aio__stream_recv(s, buffer, size);
    else if (theirs && !s->error) s->error = aio__exception(AIO_ERUNTIME, "read", "get_buffer gave no room");
    if (n > 0 && !theirs && p->data_received) p->data_received(self, s, buffer, (size_t)n);
    if (n > 0 && theirs && p->buffer_updated) p->buffer_updated(self, s, (size_t)n);
    if (buffer && !theirs) aio__read_buffer_give(s->loop, buffer);
    if (n > 0 || (n == AIO__IO_AGAIN && !s->error)) return n > 0;
    if (n == 0 && !s->error) aio__transport_eof(s);
    else aio__transport_fail(s, &aio__no_memory);
    return false;
}

/* No more than the low-water mark is unsent, after all had been told to wait. */
static void aio__transport_sent(aio_stream *s)
{
    aio__transport *t = s->transport;
    if (!t->full || s->error || aio__unsent(s) > s->low) return;
    t->full = false;
    if (t->protocol->resume_writing) t->protocol->resume_writing(t->self, s);
}

static void aio__transport_on_readable(aio__work *work)
{
    aio_stream *s = (aio_stream *)work->owner;
    aio__transport *t = s->transport;
    if (aio__write_wants_read(s)) {
        aio__stream_flush(s);
        aio__transport_sent(s);
    }
    if (!t->made || s->closing) return;
    bool got = false;
    if (!t->paused && !s->eof && aio__stream_has_input(s)) got = aio__transport_receive(s);
    else if (s->error) aio__transport_fail(s, NULL);
    aio__transport_wait(s, got);
}

static void aio__transport_on_writable(aio__work *work)
{
    aio_stream *s = (aio_stream *)work->owner;
    aio__stream_on_writable(work);
    aio__transport_sent(s);
}

static void aio__transport_written(aio_stream *s)
{
    aio__transport *t = s->transport;
    if (t->full) aio__transport_sent(s);
    if (t->full || s->error || aio__unsent(s) <= s->high) return;
    t->full = true;
    if (t->protocol->pause_writing) t->protocol->pause_writing(t->self, s);
}

/* Makes a transport of a stream that nobody reads. False without memory. */
static bool aio__transport_attach(aio_stream *s, const aio_protocol *protocol, void *arg)
{
    static const aio__transport_ops ops = { aio__transport_end, aio__transport_written };
    size_t size = sizeof(aio__transport) + protocol->size;
    aio__transport *t = (aio__transport *)aio__pool_alloc(&s->loop->pool, size);
    if (!t) return false;
    memset(t, 0, size);
    t->protocol = protocol;
    t->size = size;
    t->self = protocol->size ? (void *)(t + 1) : arg;
    t->arg = arg;
    t->ops = &ops;
    t->soon.run = aio__transport_soon;
    t->soon.owner = s;
    s->d.reader.run = aio__transport_on_readable;
    s->d.writer.run = aio__transport_on_writable;
    s->transport = t;
    aio__enqueue(s->loop, &t->soon.node);
    return true;
}

AIO_API void aio_transport_pause_reading(aio_transport *transport)
{
    if (transport && transport->transport) transport->transport->paused = true;
}

AIO_API void aio_transport_resume_reading(aio_transport *transport)
{
    if (!transport || !transport->transport) return;
    transport->transport->paused = false;
    aio__transport_wait(transport, true);
}

AIO_API bool aio_transport_is_reading(const aio_transport *transport)
{
    return transport && transport->transport && !transport->transport->paused && !transport->closing;
}

AIO_API void aio_transport_set_protocol(aio_transport *transport, const aio_protocol *protocol, void *self)
{
    if (!transport || !transport->transport || !protocol) return;
    transport->transport->protocol = protocol;
    transport->transport->self = self;
}

AIO_API const aio_protocol *aio_transport_get_protocol(const aio_transport *transport)
{
    return transport && transport->transport ? transport->transport->protocol : NULL;
}

AIO_API void *aio_transport_get_self(const aio_transport *transport)
{
    return transport && transport->transport ? transport->transport->self : NULL;
}

/* ---- connecting and serving ---- */

struct aio__creating { /* an aio_transport_task; `held`: the coroutine that opens the stream */
    aio_task            task;
    aio_future         *held;
    aio_transport      *result;
    const aio_protocol *protocol;
    void               *arg;
};
static AIO_CORO(aio__creating)
{
    aio_stream_task *opening;
    AIO_BEGIN(aio__creating);
    opening = (aio_stream_task *)(void *)self->held;
    self->task.future.flags = (uint16_t)(self->task.future.flags & ~AIO__F_HOLDS);
    AIO_AWAIT(self->result, opening);
    if (!aio__transport_attach(self->result, self->protocol, self->arg)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(aio_sleep(0)); /* connection_made stands in the queue before us, connection_lost at the earliest behind */
    AIO_FINALLY;
        if (self->task.future.error) {
            aio_stream_abort(self->result);
            self->result = NULL;
        }
    AIO_END;
}

/* Takes what opens the stream. */
static aio_transport_task *aio__create(const aio_protocol *protocol, void *arg, aio_stream_task *opening)
{
    struct aio__creating *self = protocol && opening
        ? AIO_CALL(aio__creating, .held = &opening->task.future, .protocol = protocol, .arg = arg) : NULL;
    if (self) self->task.future.flags = (uint16_t)(self->task.future.flags | AIO__F_HOLDS);
    else aio_unref(opening);
    if (!protocol) return (aio_transport_task *)(void *)aio__failure(EINVAL, "create_connection: no protocol");
    return (aio_transport_task *)(void *)self;
}

AIO_API aio_transport_task *aio_create_connection_with(const aio_protocol *protocol, void *arg, const char *host,
                                                       int port, const aio_connect_options *options)
{
    return aio__create(protocol, arg, aio_open_connection_with(host, port, options));
}

AIO_API aio_transport_task *aio_create_unix_connection_with(const aio_protocol *protocol, void *arg, const char *path,
                                                            const aio_connect_options *options)
{
    return aio__create(protocol, arg, aio_open_unix_connection_with(path, options));
}

/* The handler of a server whose clients have a protocol. */
static void *aio__transport_accepted(aio_stream *stream, void *arg)
{
    aio__transport_attach(stream, stream->server->protocol, arg);
    return NULL;
}

/* Gives a server that is about to start its protocol. */
static aio_server_task *aio__serve_protocol(aio_server_task *task, const aio_protocol *protocol)
{
    if (task && task->task.future.run.coro == aio__serve_coro)
        ((struct aio__serve *)(void *)task)->protocol = protocol;
    return task;
}

AIO_API aio_server_task *aio_create_server_with(const aio_protocol *protocol, void *arg, const char *host, int port,
                                                const aio_server_options *options)
{
    aio_client_handler *handler = protocol ? aio__transport_accepted : NULL;
    return aio__serve_protocol(aio_start_server_with(handler, arg, host, port, options), protocol);
}

AIO_API aio_server_task *aio_create_unix_server_with(const aio_protocol *protocol, void *arg, const char *path,
                                                     const aio_server_options *options)
{
    aio_client_handler *handler = protocol ? aio__transport_accepted : NULL;
    return aio__serve_protocol(aio_start_unix_server_with(handler, arg, path, options), protocol);
}

/* ============================================================================
 * 54. Connections: the pool
 *
 * The client's connector: keep-alive connections by origin, and who waits for one. A connection object is the right to
 * one of `limit` places; it is busy, and has no stream yet or one, or it is idle, and its socket is watched so that a
 * peer's close is seen at once. Who waits stands in the queue of its origin; origins that have waiters take turns.
 * Calls streams, timers and futures.
 * ============================================================================ */

typedef struct aio__connector aio__connector;
typedef struct aio__origin aio__origin;

typedef struct aio__connection { /* one of the connector's places */
    aio__node   link;      /* in connector->busy, or, oldest first, in connector->idle */
    aio__node   idle;      /* in host->idle, oldest first */
    aio__origin  *host;
    aio_stream *stream;    /* NULL: not connected yet, or not any more */
    aio__body_reader *reader; /* busy: what reads from the stream */
    int64_t     expires;   /* idle: when it is closed */
    int64_t     keepalive; /* nanoseconds that it may be idle, by Keep-Alive: timeout; 0: the connector's */
    bool        reused;
} aio__connection;

/* A place in the line of a host. `got` is granted, and is then the owner's. */
typedef struct aio__ticket {
    aio__node        node;   /* next is NULL when it is not in a line */
    aio__origin       *host;
    aio_future      *future; /* done when there is something in `got`, or failed */
    aio__connection *got;
} aio__ticket;

struct aio__origin { /* one scheme, host and port; exists while it has connections or waiters */
    aio__origin *next;       /* in its bucket */
    aio__connector *connector;
    aio__node  idle, waiters;
    aio__node  waiting_origins;     /* in connector->waiting_origins: has waiters, and is below its own limit */
    int        busy;
    uint32_t   hash;
    bool       is_tls;
    size_t     length;
    char       authority[1];
};

struct aio__connector {
    aio_loop   *loop;
    int         limit, limit_per_host;  /* 0: none */
    size_t      busy_count, idle_count;
    aio__node   busy, idle, waiting_origins;
    aio__origin **buckets;
    size_t      bucket_count, host_count;
    aio__timer *sweep;
    int64_t     keepalive;  /* nanoseconds */
    size_t      ceiling;    /* how many connections there were descriptors for when one was refused; 0: never */
    bool        closed;
};

static void aio__connector_serve(aio__connector *c);

static uint32_t aio__authority_hash(aio_text authority, bool is_tls)
{
    uint32_t hash = is_tls ? 2166136261u ^ 1 : 2166136261u;
    for (size_t i = 0; i < authority.length; i++) hash = (hash ^ (unsigned char)authority.data[i]) * 16777619u;
    return hash;
}

static bool aio__connector_grow(aio__connector *c)
{
    if (c->host_count < c->bucket_count) return true;
    size_t count = c->bucket_count ? 2 * c->bucket_count : 8;
    aio__origin **buckets = (aio__origin **)aio__calloc(count * sizeof *buckets);
    if (!buckets) return false;
    for (size_t i = 0; i < c->bucket_count; i++) {
        for (aio__origin *host = c->buckets[i], *next; host; host = next) {
            next = host->next;
            host->next = buckets[host->hash & (count - 1)];
            buckets[host->hash & (count - 1)] = host;
        }
    }
    aio__free(c->buckets);
    c->buckets = buckets;
    c->bucket_count = count;
    return true;
}

/* NULL without memory. */
static aio__origin *aio__connector_origin(aio__connector *c, aio_text authority, bool is_tls)
{
    uint32_t hash = aio__authority_hash(authority, is_tls);
    aio__origin *host = c->bucket_count ? c->buckets[hash & (c->bucket_count - 1)] : NULL;
    for (; host; host = host->next)
        if (host->hash == hash && host->is_tls == is_tls && host->length == authority.length
            && !memcmp(host->authority, authority.data, authority.length)) return host;
    if (!aio__connector_grow(c)) return NULL;
    host = (aio__origin *)aio__calloc(sizeof *host + authority.length);
    if (!host) return NULL;
    host->connector = c;
    aio__ring_clear(&host->idle);
    aio__ring_clear(&host->waiters);
    host->hash = hash;
    host->is_tls = is_tls;
    host->length = authority.length;
    memcpy(host->authority, authority.data, authority.length);
    host->next = c->buckets[hash & (c->bucket_count - 1)];
    c->buckets[hash & (c->bucket_count - 1)] = host;
    c->host_count++;
    return host;
}

/* A host without connections and waiters goes. */
static void aio__origin_leave(aio__connector *c, aio__origin *host)
{
    if (host->busy || !aio__ring_empty(&host->idle) || !aio__ring_empty(&host->waiters)) return;
    aio__origin **place = &c->buckets[host->hash & (c->bucket_count - 1)];
    while (*place != host) place = &(*place)->next;
    *place = host->next;
    c->host_count--;
    aio__free(host);
}

/* Whether it stands among the waiting_origins follows from its waiters and its limit. */
static void aio__origin_update(aio__connector *c, aio__origin *host)
{
    bool is = host->waiting_origins.next != NULL;
    bool should = !aio__ring_empty(&host->waiters) && (!c->limit_per_host || host->busy < c->limit_per_host);
    if (should && !is) aio__ring_insert(&c->waiting_origins, &host->waiting_origins);
    if (!should && is) aio__ring_remove(&host->waiting_origins);
}

/* ---- idle connections ---- */

/* An idle one is no longer that; it has its place among the busy. */
static void aio__connection_wake(aio__connector *c, aio__connection *connection)
{
    aio__stream_busy(connection->stream);
    aio__ring_remove(&connection->link);
    aio__ring_remove(&connection->idle);
    aio__ring_insert(&c->busy, &connection->link);
    c->idle_count--;
    c->busy_count++;
    connection->host->busy++;
}

/* An idle one is closed. Its host may go. */
static void aio__connection_retire(aio__connector *c, aio__connection *connection)
{
    aio__origin *host = connection->host;
    aio__stream_busy(connection->stream);
    aio_stream_close(connection->stream);
    aio__ring_remove(&connection->link);
    aio__ring_remove(&connection->idle);
    c->idle_count--;
    aio__pool_free(&c->loop->pool, connection, sizeof *connection);
    aio__origin_leave(c, host);
}

static void aio__connection_on_readable(aio__work *work)
{
    aio__connection *connection = (aio__connection *)work->owner;
    aio_stream *s = connection->stream;
    if (aio__stream_silent(s)) aio__stream_idle(s, aio__connection_on_readable, connection);
    else aio__connection_retire(connection->host->connector, connection);
}

static void aio__connector_sweep(aio__timer *timer)
{
    aio__connector *c = (aio__connector *)timer->owner;
    int64_t first = INT64_MAX;
    aio__node *next;
    c->sweep = NULL;
    for (aio__node *node = c->idle.next; node != &c->idle; node = next) {
        aio__connection *connection = AIO__CONTAINER(node, aio__connection, link);
        next = node->next;
        if (connection->expires <= c->loop->now) aio__connection_retire(c, connection);
        else if (connection->expires < first) first = connection->expires;
    }
    if (first != INT64_MAX) c->sweep = aio__timer_start(c->loop, first, aio__connector_sweep, c);
}

/* The host's oldest idle connection, now busy; or NULL. One that has died is a place without a stream. */
static aio__connection *aio__origin_reuse(aio__connector *c, aio__origin *host)
{
    if (aio__ring_empty(&host->idle)) return NULL;
    aio__connection *connection = AIO__CONTAINER(host->idle.next, aio__connection, idle);
    aio__connection_wake(c, connection);
    connection->reused = connection->expires > c->loop->now && aio__stream_silent(connection->stream);
    if (connection->reused) return connection;
    aio_stream_close(connection->stream); /* its place is as good as a new one's */
    connection->stream = NULL;
    return connection;
}

/* ---- places ---- */

static bool aio__connector_has_place(const aio__connector *c)
{
    return (!c->ceiling || c->busy_count < c->ceiling) && (!c->limit || c->busy_count < (size_t)c->limit);
}

/* A connection of this host: an idle one, or a place without a stream. NULL without memory. */
static aio__connection *aio__connection_get(aio__connector *c, aio__origin *host)
{
    aio__connection *connection = aio__origin_reuse(c, host);
    if (connection) return connection;
    connection = (aio__connection *)aio__pool_alloc(&c->loop->pool, sizeof *connection);
    if (!connection) return NULL;
    memset(connection, 0, sizeof *connection);
    connection->host = host;
    aio__ring_insert(&c->busy, &connection->link);
    c->busy_count++;
    host->busy++;
    return connection;
}

static void aio__ticket_finish(aio__connector *c, aio__ticket *ticket, aio_exception *error)
{
    aio_future *future = ticket->future;
    aio__ring_remove(&ticket->node);
    aio__origin_update(c, ticket->host);
    ticket->future = NULL;
    if (future->state < AIO__DONE) {
        if (error) aio__future_fail(future, error);
        else aio__future_finish(future, AIO__DONE);
    } else aio_exception_unref(error);
    aio_unref(future);
}

/* Places go to those who wait, one host after the other. */
static void aio__connector_serve(aio__connector *c)
{
    while (!aio__ring_empty(&c->waiting_origins) && aio__connector_has_place(c)) {
        aio__origin *host = AIO__CONTAINER(c->waiting_origins.next, aio__origin, waiting_origins);
        aio__ticket *ticket = AIO__CONTAINER(host->waiters.next, aio__ticket, node);
        aio__ring_remove(&host->waiting_origins);
        ticket->got = aio__connection_get(c, host);
        aio__ticket_finish(c, ticket, ticket->got ? NULL : &aio__no_memory);
        if (ticket->got) continue;
        ticket->host = NULL;
        aio__origin_leave(c, host);
    }
}

static const aio__ops aio__ticket_ops = { "wait for a connection", NULL, NULL, NULL };

/* Puts a ticket into its origin's line, at its end, or at its front if it has been there. False without memory. */
static bool aio__ticket_queue(aio__connector *c, aio__ticket *ticket, bool first)
{
    ticket->future = (aio_future *)aio__future_make(c->loop, &aio__ticket_ops, sizeof *ticket->future, NULL, 0);
    if (!ticket->future) return false;
    aio__ring_insert(first ? ticket->host->waiters.next : &ticket->host->waiters, &ticket->node);
    aio__origin_update(c, ticket->host);
    return true;
}

/* 0: ticket->got is there; AIO__MORE: ticket->future tells; or a code. */
static int aio__connector_take(aio__connector *c, aio__ticket *ticket, aio_text authority, bool is_tls)
{
    aio__origin *host = aio__connector_origin(c, authority, is_tls);
    if (!host) return ENOMEM;
    ticket->host = host;
    bool free_ = aio__ring_empty(&host->waiters) && (!c->limit_per_host || host->busy < c->limit_per_host);
    if (free_ && aio__connector_has_place(c)) {
        ticket->got = aio__connection_get(c, host);
        if (ticket->got) return 0;
    } else if (aio__ticket_queue(c, ticket, false)) {
        return AIO__MORE;
    }
    ticket->host = NULL;
    aio__origin_leave(c, host);
    return ENOMEM;
}

/* The place of a connection without a stream becomes free. */
static void aio__connection_free(aio__connector *c, aio__connection *connection)
{
    aio__origin *host = connection->host;
    aio__ring_remove(&connection->link);
    c->busy_count--;
    host->busy--;
    aio__pool_free(&c->loop->pool, connection, sizeof *connection);
    aio__origin_update(c, host);
    aio__origin_leave(c, host);
}

/* The ticket's owner gives up. */
static void aio__ticket_leave(aio__connector *c, aio__ticket *ticket)
{
    if (ticket->future) aio__ticket_finish(c, ticket, aio_exception_ref(&aio__cancelled));
    if (ticket->host && !ticket->got) aio__origin_leave(c, ticket->host);
    ticket->host = NULL;
}

static void aio__connection_park(aio__connector *c, aio__connection *connection)
{
    aio__origin *host = connection->host;
    connection->reader = NULL;
    connection->expires = c->loop->now + (connection->keepalive ? connection->keepalive : c->keepalive);
    aio__ring_remove(&connection->link);
    aio__ring_insert(&c->idle, &connection->link);
    aio__ring_insert(&host->idle, &connection->idle);
    c->busy_count--;
    c->idle_count++;
    host->busy--;
    aio__stream_idle(connection->stream, aio__connection_on_readable, connection);
    aio__origin_update(c, host);
    if (!c->sweep) c->sweep = aio__timer_start(c->loop, connection->expires, aio__connector_sweep, c);
    if (!c->sweep || (c->limit && c->idle_count > (size_t)c->limit))
        aio__connection_retire(c, AIO__CONTAINER(c->idle.next, aio__connection, link));
}

/* Ends the stream of a connection that keeps its place. Nobody waits for what is unsent. */
static void aio__connection_hang_up(aio__connection *connection)
{
    aio_stream *s = connection->stream;
    connection->stream = NULL;
    connection->reused = false;
    if (connection->reader) connection->reader->stream = NULL;
    if (s && aio__unsent(s)) aio_stream_abort(s);
    else aio_stream_close(s);
}

/* Gives a busy connection back; `keep`: it may serve another request, unless the peer has said too much. */
static void aio__connection_release(aio__connector *c, aio__connection *connection, bool keep)
{
    aio_stream *s = connection->stream;
    if (keep && !c->closed && s && aio__stream_quiet(s) && !aio__unsent(s)) {
        aio__connection_park(c, connection);
    } else {
        aio__connection_hang_up(connection);
        aio__connection_free(c, connection);
    }
    if (!c->busy_count) c->ceiling = 0;
    aio__connector_serve(c);
}

/* A connect had no descriptor: the place goes back, for an idle connection of the host, or to the front of the line
 * until another one is free; the connections that there are are as many as there can be. False: there is none. */
static bool aio__connector_starved(aio__connector *c, aio__ticket *ticket)
{
    aio__origin *host = ticket->host;
    if (c->busy_count < 2 && !c->idle_count) return false;
    if (aio__ring_empty(&host->idle) && c->idle_count) {
        aio__connection_retire(c, AIO__CONTAINER(c->idle.next, aio__connection, link));
        return true;
    }
    if (!aio__ticket_queue(c, ticket, true)) return false;
    aio__connection_free(c, ticket->got);
    ticket->got = NULL;
    c->ceiling = c->busy_count + (aio__ring_empty(&host->idle) ? 0 : 1);
    aio__connector_serve(c);
    return true;
}

/* A connect has succeeded: there may be descriptors for one more. */
static void aio__connector_connected(aio__connector *c)
{
    if (c->ceiling) c->ceiling++;
}

static void aio__connector_open(aio__connector *c, aio_loop *loop, int limit, int limit_per_host, int64_t keepalive)
{
    memset(c, 0, sizeof *c);
    c->loop = loop;
    c->limit = limit;
    c->limit_per_host = limit_per_host;
    c->keepalive = keepalive;
    aio__ring_clear(&c->busy);
    aio__ring_clear(&c->idle);
    aio__ring_clear(&c->waiting_origins);
}

/* Closes every connection, also those in use. */
static void aio__connector_close(aio__connector *c)
{
    c->closed = true;
    aio__timer_cancel(c->loop, c->sweep);
    c->sweep = NULL;
    while (!aio__ring_empty(&c->idle)) aio__connection_retire(c, AIO__CONTAINER(c->idle.next, aio__connection, link));
    for (aio__node *node = c->busy.next; node != &c->busy; node = node->next)
        aio__connection_hang_up(AIO__CONTAINER(node, aio__connection, link));
}

/* Frees what the connector owns; its connections are gone. */
static void aio__connector_free(aio__connector *c)
{
    aio__timer_cancel(c->loop, c->sweep);
    for (size_t i = 0; i < c->bucket_count; i++) {
        while (c->buckets[i]) {
            aio__origin *host = c->buckets[i];
            c->buckets[i] = host->next;
            aio__free(host);
        }
    }
    aio__free(c->buckets);
    c->buckets = NULL;
}

/* ============================================================================
 * 55. HTTP client: session, request, response
 *
 * One request is one coroutine (aio__fetching), whose frame holds copies of what it was given. Everything else of a
 * request and its response is an exchange, which outlives the coroutine as the user's aio_response, and is used again,
 * buffers and timer and all, so that a request on a kept connection allocates little. Calls the connector.
 * ============================================================================ */

enum {
    AIO__SPARES = 64,            /* exchanges that a session keeps */
    AIO__SPARE_CONTENT = 65536,  /* bytes of body that one of them keeps room for */
    AIO__EAGER = 16384,          /* a body of which at most that many bytes have come with the head is taken at once */
    AIO__INTERIM_MAX = 64        /* 1xx responses before one response */
};

/* The members of aio_timeouts, in their order. */
enum { AIO__TIMEOUT_TOTAL, AIO__TIMEOUT_CONNECT, AIO__TIMEOUT_SOCK_CONNECT, AIO__TIMEOUT_SOCK_READ, AIO__TIMEOUTS };

static const char *const aio__phase_names[] = {
    "pool", "resolve", "connect", "proxy", "TLS handshake", "send", "headers", "body"
};

struct aio_session {
    aio__connector    connector;
    aio__node         link;       /* in aio__sessions.ring */
    aio__node         live;       /* exchanges */
    struct aio__exchange *spares; /* by `spare` */
    int               spare_count, refs, in_flight; /* refs: the user's, and each live exchange's */
    aio_future       *closed;     /* done when nothing is in flight */
    aio_url           base;
    aio_headers       headers;
    aio_session_options options;
    aio_resolver     *names;      /* what is used for want of options.resolver; NULL: the system */
    bool              has_base, is_closed;
};

typedef struct aio__exchange {
    aio_response   response;   /* first: what the user has */
    aio__node      node;       /* in session->live */
    struct aio__exchange *spare;
    aio_session   *session;
    int            refs;
    aio__ticket    ticket;     /* ticket.got: the connection */
    aio__body_reader in;
    aio__http_head head;
    aio__buffer    out;        /* the request's head */
    aio_text       data;       /* and its body */
    aio_url        url;
    aio_url        via;        /* the proxy that is asked in absolute form; or empty */
    aio__buffer    route;      /* the key, and the proxies of the tunnel, each with its NUL */
    aio_text       key;        /* of the connection: the origin, and all proxies on the way */
    const char    *tunnel;     /* in route; NULL: none */
    aio__phases    phases;
    int64_t        limits[AIO__TIMEOUTS]; /* nanoseconds; 0: none */
    int64_t        total_at, connect_at;
    bool           keep;       /* the connection may be used again after this exchange */
    bool           heard;      /* a byte of the response has come */
    bool           retried;
    int            interim;
    char           method[32];
} aio__exchange;

static void aio__session_unref(aio_session *session);

/* ---- the loop's sessions ---- */

typedef struct aio__sessions {
    aio__closer closer;
    aio__node   ring;
} aio__sessions;

static void aio__exchange_clear(aio__exchange *x)
{
    aio_url_clear(&x->url);
    aio_url_clear(&x->via);
    aio__free(x->route.data);
    aio_headers_clear(&x->response.headers);
    aio__free(x->out.data);
    aio__body_clear(&x->in);
}

static void aio__session_clear(aio_session *session)
{
    aio__connector_free(&session->connector);
    aio_url_clear(&session->base);
    aio_headers_clear(&session->headers);
    aio_tls_context_unref(session->options.tls_context);
    aio_tls_context_unref(session->options.proxy_tls_context);
    aio__free((void *)(uintptr_t)session->options.proxy);
    aio__free((void *)(uintptr_t)session->options.proxy_headers);
    aio__free((void *)(uintptr_t)session->options.local_host);
    aio__names_close(session->names);
    aio__ring_remove(&session->link);
    aio__free(session);
}

/* The loop closes: what was forgotten goes with it. */
static void aio__sessions_close(aio_loop *loop, aio__closer *closer)
{
    aio__sessions *sessions = AIO__CONTAINER(closer, aio__sessions, closer);
    while (!aio__ring_empty(&sessions->ring)) {
        aio_session *session = AIO__CONTAINER(sessions->ring.next, aio_session, link);
        for (aio__node *node = session->live.next; node != &session->live; node = node->next)
            aio__exchange_clear(AIO__CONTAINER(node, aio__exchange, node));
        for (aio__exchange *x = session->spares; x; x = x->spare) aio__exchange_clear(x);
        aio__session_clear(session);
    }
    loop->sessions = NULL;
    aio__free(sessions);
}

static aio__sessions *aio__sessions_of(aio_loop *loop)
{
    if (loop->sessions) return (aio__sessions *)loop->sessions;
    aio__sessions *sessions = (aio__sessions *)aio__calloc(sizeof *sessions);
    if (!sessions) return NULL;
    aio__ring_clear(&sessions->ring);
    sessions->closer.close = aio__sessions_close;
    aio__loop_at_close(loop, &sessions->closer);
    loop->sessions = sessions;
    return sessions;
}

/* Whether it is one of the loop's that is not closed; `session` may be what was one once. */
static bool aio__session_is_open(const aio_session *session)
{
    aio_loop *loop = aio__loop_now();
    if (!loop || !loop->sessions) return false;
    const aio__node *ring = &((const aio__sessions *)loop->sessions)->ring;
    for (const aio__node *node = ring->next; node != ring; node = node->next)
        if (node == &session->link) return !session->is_closed;
    return false;
}

/* ---- exchanges ---- */

static void aio__exchange_ended(aio__body_reader *in);
static bool aio__exchange_waiting(aio__body_reader *in);
static aio_exception *aio__exchange_failed(aio__body_reader *in, const aio_exception *why);
static void aio__exchange_hold(aio__body_reader *in, int more);
static const aio__body_owner aio__exchange_owner = {
    aio__exchange_ended, aio__exchange_waiting, aio__exchange_failed, aio__exchange_hold
};

static void aio__exchange_free(aio_loop *loop, aio__exchange *x)
{
    aio__watch_end(&x->in.watch);
    aio__exchange_clear(x);
    aio__pool_free(&loop->pool, x, sizeof *x);
}

/* A clean one, used before or new; NULL without memory. */
static aio__exchange *aio__exchange_open(aio_session *session)
{
    aio_loop *loop = session->connector.loop;
    aio__exchange *x = session->spares;
    if (x) {
        session->spares = x->spare;
        session->spare_count--;
    } else {
        x = (aio__exchange *)aio__pool_alloc(&loop->pool, sizeof *x);
        if (!x) return NULL;
        memset(x, 0, sizeof *x);
        x->in.watch.loop = x->phases.loop = loop;
        x->in.watch.deadline = INT64_MAX;
        x->in.owner = &aio__exchange_owner;
        x->in.max = session->options.max_body;
        x->head.lenient = session->options.strict ? 0 : AIO__LENIENT_ALL;
        x->head.limits.line = (uint32_t)session->options.max_line_size;
        x->head.limits.field = (uint32_t)session->options.max_field_size;
        x->head.limits.count = (uint32_t)session->options.max_headers;
    }
    x->session = session;
    x->refs = 1;
    session->refs++;
    aio__ring_insert(&session->live, &x->node);
    return x;
}

static void aio__exchange_unref(aio__exchange *x)
{
    aio_session *session = x->session;
    if (--x->refs) return;
    aio__ring_remove(&x->node);
    if (session->spare_count < AIO__SPARES && !session->is_closed) {
        aio__body_reset(&x->in);
        aio_url_clear(&x->url);
        if (x->via.block) aio_url_clear(&x->via);
        if (x->in.content.capacity > AIO__SPARE_CONTENT) {
            aio__free(x->in.content.data);
            memset(&x->in.content, 0, sizeof x->in.content);
        }
        x->spare = session->spares;
        session->spares = x;
        session->spare_count++;
    } else {
        aio__exchange_free(session->connector.loop, x);
    }
    aio__session_unref(session);
}

/* Somebody waits for a part of the exchange, or has stopped doing that. */
static void aio__session_flight(aio_session *session, int more)
{
    session->in_flight += more;
    if (session->in_flight || !session->closed) return;
    aio_future *closed = session->closed;
    session->closed = NULL;
    if (closed->state < AIO__DONE) aio__future_finish(closed, AIO__DONE);
    aio_unref(closed);
}

static void aio__exchange_hold(aio__body_reader *in, int more)
{
    aio__exchange *x = AIO__CONTAINER(in, aio__exchange, in);
    aio_session *session = x->session;
    session->refs++;
    if (more > 0) x->refs++;
    else aio__exchange_unref(x);
    aio__session_flight(session, more);
    aio__session_unref(session);
}

static double aio__seconds(int64_t nanoseconds) { return (double)nanoseconds / 1e9; }

/* The numbers of aio_response_times are those of the phases, in their order. */
static void aio__exchange_times(aio__exchange *x, int phase)
{
    double times[AIO__PHASES];
    aio__phase_enter(&x->phases, phase);
    for (int i = 0; i < AIO__PHASES; i++) times[i] = aio__seconds(x->phases.spent[i]);
    memcpy(&x->response.times, times, sizeof times);
}

/* The exchange is done with its connection. */
static void aio__exchange_disconnect(aio__exchange *x, bool keep)
{
    aio__connector *c = &x->session->connector;
    aio__connection *connection = x->ticket.got;
    x->in.stream = NULL;
    x->in.watch.deadline = INT64_MAX;
    x->ticket.got = NULL;
    if (connection) aio__connection_release(c, connection, keep);
    else aio__ticket_leave(c, &x->ticket);
    x->ticket.host = NULL;
}

static void aio__exchange_ended(aio__body_reader *in)
{
    aio__exchange *x = AIO__CONTAINER(in, aio__exchange, in);
    aio__exchange_times(x, AIO__PHASE_BODY);
    aio__exchange_disconnect(x, x->keep);
}

/* The sooner of the total's end and another one. */
static bool aio__exchange_until(aio__exchange *x, int64_t deadline)
{
    return aio__watch_until(&x->in.watch, deadline < x->total_at ? deadline : x->total_at);
}

static bool aio__exchange_waiting(aio__body_reader *in)
{
    aio__exchange *x = AIO__CONTAINER(in, aio__exchange, in);
    bool sends = x->phases.phase == AIO__PHASE_SEND;
    return aio__exchange_until(x, sends ? INT64_MAX : aio__after(in->watch.loop, x->limits[AIO__TIMEOUT_SOCK_READ]));
}

static int aio__shown(size_t length) { return length > 160 ? 160 : (int)length; }

/* "GET http://host/path", without user and fragment. */
static const char *aio__exchange_name(const aio__exchange *x, char *text, size_t size)
{
    const aio_url *url = &x->url;
    if (!url->block) snprintf(text, size, "%.32s", x->method);
    else snprintf(text, size, "%.32s %s://%.*s%.*s", x->method, url->is_tls ? "https" : "http",
                  aio__shown(url->authority.length), url->authority.data, aio__shown(url->target.length),
                  url->target.data);
    return text;
}

/* Which limit ran out, for a message. */
static aio_exception *aio__exchange_timeout(const aio__exchange *x)
{
    static const char *const names[] = { "total", "connect", "sock_connect", "sock_read" };
    char name[400];
    const char *phase = aio__phase_names[x->phases.phase];
    int limit = x->total_at <= x->in.watch.loop->now ? AIO__TIMEOUT_TOTAL
              : x->phases.phase < AIO__PHASE_SEND ? AIO__TIMEOUT_CONNECT : AIO__TIMEOUT_SOCK_READ;
    return aio__exception(AIO_ETIMEOUT, phase, "%s: timed out in phase %s: the limit `%s` is %g s",
                          aio__exchange_name(x, name, sizeof name), phase, names[limit],
                          aio__seconds(x->limits[limit]));
}

/* An error as the user is to see it: with method, URL and phase. A new owner. */
static aio_exception *aio__exchange_error(aio__exchange *x, const aio_exception *why)
{
    char name[400];
    bool expired = aio__watch_leave(&x->in.watch, why);
    if (expired && x->in.watch.no_memory) return &aio__no_memory;
    if (x->session->is_closed && (expired || why->code != AIO_ECANCELLED))
        return aio__exception(AIO_ERUNTIME, aio__phase_names[x->phases.phase], "%s: the session was closed",
                              aio__exchange_name(x, name, sizeof name));
    if (expired) return aio__exchange_timeout(x);
    if (why->code == AIO_ECANCELLED || why->code == ENOMEM) return aio_exception_ref(why);
    return aio__exception(why->code, aio__phase_names[x->phases.phase], "%s: %s",
                          aio__exchange_name(x, name, sizeof name), why->message);
}

static aio_exception *aio__exchange_failed(aio__body_reader *in, const aio_exception *why)
{
    aio__exchange *x = AIO__CONTAINER(in, aio__exchange, in);
    aio_exception *error = aio__exchange_error(x, why);
    if (error->code != AIO_ELIMIT && error->code != AIO_ECANCELLED) aio__exchange_disconnect(x, false);
    return error;
}

/* ---- what a request is given ---- */

struct aio__fetching { /* the coroutine of a request */
    aio_task          task;
    aio_response     *result;
    aio_session      *session;
    aio__exchange    *x;
    aio_timeouts      timeout;
    const char       *method, *url, *proxy, *content_type; /* these in text, or static */
    const char       *headers, *params;  /* name NUL value NUL ... */
    size_t            header_count, param_count; /* pairs */
    aio_text          data, more;
    aio_exception    *error;
    int               code;
    bool              raise_for_status;
    char              text[1];
};

static size_t aio__pairs_size(const char *const *pairs, size_t *count)
{
    size_t size = 0, n = 0;
    for (; pairs && pairs[n]; n++) size += strlen(pairs[n]) + 1;
    *count = n / 2;
    return size;
}

static void aio__pairs_keep(char **at, const char *const *pairs)
{
    for (size_t i = 0; pairs && pairs[i]; i++) aio__keep(at, pairs[i]);
}

/* The next pair of a list that aio__pairs_keep made. */
static void aio__pair_next(const char **at, aio_text *name, aio_text *value)
{
    *name = aio__text(*at, strlen(*at));
    *value = aio__text(*at + name->length + 1, strlen(*at + name->length + 1));
    *at = value->data + value->length + 1;
}

static const char *aio__fields_problem(const aio_headers *headers)
{
    aio_text name;
    size_t position = 0;
    while (headers && aio_headers_next(headers, &position, &name, NULL))
        if (aio__is_framing(name.data, name.length)) return AIO__NO_FRAMING;
    return NULL;
}

/* How often a field is given, in a list or as fields. */
static size_t aio__fields_count(const char *const *pairs, const aio_headers *headers, const char *name)
{
    size_t count = 0, n = strlen(name), position = 0;
    aio_text value;
    for (size_t i = 0; pairs && pairs[i]; i += 2) count += aio__same_word(pairs[i], strlen(pairs[i]), name, n);
    while (headers && aio_headers_next_of(headers, name, &position, &value)) count++;
    return count;
}

/* Timeouts in nanoseconds, each as `mine` has it, or else `its`, or by default. False if one is none. */
static bool aio__timeouts_read(int64_t limits[AIO__TIMEOUTS], const aio_timeouts *mine, const aio_timeouts *its)
{
    static const double defaults[AIO__TIMEOUTS] = { 300, 0, 30, 0 };
    double seconds[AIO__TIMEOUTS], otherwise[AIO__TIMEOUTS];
    bool fit = true;
    memcpy(seconds, mine, sizeof seconds);
    memcpy(otherwise, its, sizeof otherwise);
    for (int i = 0; i < AIO__TIMEOUTS; i++) {
        limits[i] = aio__timeout_ns(seconds[i] == 0 ? otherwise[i] : seconds[i], defaults[i]);
        fit = fit && limits[i] >= 0;
    }
    return fit;
}

static const char *aio__request_problem(aio_session *session, const char *method, const char *url,
                                        const aio_request_options *o)
{
    int64_t limits[AIO__TIMEOUTS];
    size_t count;
    if (!session) return "no session";
    if (!url) return "no URL";
    if (!method || !*method || strlen(method) > 31 || aio__header_name_problem(method, strlen(method)))
        return "the method is not a token of up to 31 characters";
    const char *why = aio__pairs_problem(o->headers);
    if (!why) why = aio__fields_problem(o->header_fields);
    if (!why && aio__fields_count(o->headers, o->header_fields, "Host") > 1) why = "there is more than one Host";
    if (why) return why;
    for (count = 0; o->params && o->params[count]; count++) { }
    if (count % 2) return "params has a name without a value";
    if (!o->data && o->data_length) return "no data, but a data_length";
    if (o->data && o->json) return "data and json exclude each other";
    if (!aio__timeouts_read(limits, &o->timeout, &o->timeout)) return "a timeout is not a positive number of seconds";
    return NULL;
}

static void aio__fetching_keep(struct aio__fetching *self, const aio_request_options *o, aio_text data)
{
    char *at = self->text;
    aio_text name, value;
    size_t position = 0;
    self->url = aio__keep(&at, self->url);
    self->method = aio__keep(&at, self->method);
    self->proxy = aio__keep(&at, o->proxy);
    self->headers = at;
    aio__pairs_keep(&at, o->headers);
    while (o->header_fields && aio_headers_next(o->header_fields, &position, &name, &value)) {
        aio__keep(&at, name.data);
        aio__keep(&at, value.data);
    }
    self->params = at;
    aio__pairs_keep(&at, o->params);
    self->data = data;
    if (data.length && !o->borrow_data) {
        memcpy(at, data.data, data.length);
        self->data.data = at;
    }
}

/* ---- the request's way ---- */

static bool aio__pairs_have(const char *at, size_t count, aio_text name)
{
    aio_text one, value;
    for (size_t i = 0; i < count; i++) {
        aio__pair_next(&at, &one, &value);
        if (aio__same_word(one.data, one.length, name.data, name.length)) return true;
    }
    return false;
}

/* Whether the user, or the session, gives a field itself. */
static bool aio__fetching_has(const struct aio__fetching *f, const char *name)
{
    size_t n = strlen(name);
    return aio__pairs_have(f->headers, f->header_count, aio__text(name, n))
        || aio__headers_value(&f->session->headers, name, n).data;
}

/* Appends one field of the request; Connection: close is also for us, and what is for a proxy never for an origin. */
static bool aio__request_field(aio__exchange *x, aio_text name, aio_text value)
{
    if (!x->via.block && AIO__SAME_WORD(name.data, name.length, "proxy-authorization")) return true;
    if (AIO__SAME_WORD(name.data, name.length, "connection") && AIO__SAME_WORD(value.data, value.length, "close"))
        x->keep = false;
    return aio__http_put_field(&x->out, name, value);
}

static bool aio__request_auto(aio__exchange *x, const struct aio__fetching *f, const char *name, const char *value)
{
    return aio__fetching_has(f, name) || aio__http_put_named(&x->out, name, value);
}

static bool aio__among(const char *word, const char *const *words)
{
    while (*words && strcmp(word, *words) != 0) words++;
    return *words != NULL;
}

/* The fields that aiohttp adds by itself. A body that is known to be empty says so where a body is usual. */
static bool aio__request_autos(aio__exchange *x, const struct aio__fetching *f)
{
    static const char *const usual[] = { "POST", "PUT", "PATCH", NULL };
    char length[21];
    if (!aio__request_auto(x, f, "Accept", "*/*") || !aio__request_auto(x, f, "User-Agent", "aio.h")) return false;
    if (f->content_type && !aio__request_auto(x, f, "Content-Type", f->content_type)) return false;
    if (f->session->options.force_close && !aio__request_auto(x, f, "Connection", "close")) return false;
    return (!f->content_type && !aio__among(x->method, usual))
        || aio__http_put_named(&x->out, "Content-Length", aio__http_number(length, f->data.length));
}

/* Credentials that no header gives: the URL's, or those of .netrc; and the proxy's. False without memory. */
static bool aio__request_credentials(aio__exchange *x, const struct aio__fetching *f)
{
    char *netrc = NULL;
    aio_text user = x->url.user, password = x->url.password;
    const aio_url *via = &x->via;
    if ((via->user.data || via->password.data) && !aio__fetching_has(f, "Proxy-Authorization")
        && !aio__put_basic(&x->out, "Proxy-Authorization", via->user, via->password)) return false;
    bool there = user.data || password.data;
    if ((!there && !f->session->options.trust_env) || aio__fetching_has(f, "Authorization")) return true;
    if (!there && aio__netrc_read(&netrc)) return false;
    if (netrc) there = aio__netrc_find(netrc, strlen(netrc), x->url.host, &user, &password);
    bool stored = !there || aio__put_basic(&x->out, "Authorization", user, password);
    aio__free(netrc);
    return stored;
}

/* Writes the request's head. False without memory. */
static bool aio__request_head(aio__exchange *x, const struct aio__fetching *f)
{
    aio_text name, value;
    size_t position = 0;
    const char *at = f->headers;
    x->out.start = x->out.end = 0;
    x->keep = !f->session->options.force_close;
    if (!aio__buffer_word(&x->out, x->method) || !aio__buffer_append(&x->out, " ", 1)) return false;
    if (x->via.block && (!aio__buffer_word(&x->out, "http://") || !aio__http_put_host(&x->out, &x->url))) return false;
    if (!aio__buffer_append(&x->out, x->url.target.data, x->url.target.length)
        || !aio__buffer_word(&x->out, " HTTP/1.1\r\n")) return false;
    if (!aio__fetching_has(f, "Host") && (!aio__buffer_word(&x->out, "Host: ") || !aio__http_put_host(&x->out, &x->url)
                                          || !aio__buffer_append(&x->out, "\r\n", 2))) return false;
    while (aio_headers_next(&f->session->headers, &position, &name, &value)) {
        if (f->header_count && aio__pairs_have(f->headers, f->header_count, name)) continue;
        if (!aio__request_field(x, name, value)) return false;
    }
    for (size_t i = 0; i < f->header_count; i++) {
        aio__pair_next(&at, &name, &value);
        if (!aio__request_field(x, name, value)) return false;
    }
    return aio__request_credentials(x, f) && aio__request_autos(x, f) && aio__buffer_append(&x->out, "\r\n", 2);
}

/* The URL with base and parameters. 0, or a code with *reason. */
static int aio__request_url(aio__exchange *x, const struct aio__fetching *f, const char **reason)
{
    const aio_session *session = f->session;
    aio_url plain, *parsed = f->param_count ? &plain : &x->url;
    size_t length = strlen(f->url);
    *reason = "out of memory";
    int code = session->has_base ? aio_url_join(parsed, &session->base, f->url, length, reason)
                                 : aio_url_parse(parsed, f->url, length, reason);
    if (!code && f->param_count) {
        aio__buffer query = { NULL, 0, 0, 0 };
        aio_text name, value;
        const char *at = f->params;
        bool stored = true;
        for (size_t i = 0; i < f->param_count && stored; i++) {
            aio__pair_next(&at, &name, &value);
            stored = aio__form_pair(&query, name, value);
        }
        code = stored ? aio_url_extend_query(&x->url, &plain, query.data, query.end, reason) : ENOMEM;
        aio_url_clear(&plain);
        aio__free(query.data);
    }
    if (!code && (!x->url.is_http || x->url.scheme.length > 5 || x->url.scheme.data[0] != 'h')) {
        *reason = "the URL's scheme is not http or https";
        code = AIO_EURL;
    }
    return code;
}

/* Which proxies there are on the way: a tunnel, and at its end, for http, one that is asked in absolute form. 0, or a
 * code with *reason. */
static int aio__request_route(aio__exchange *x, const struct aio__fetching *f, const char **reason)
{
    const aio_session_options *o = &f->session->options;
    const char *proxy = f->proxy ? f->proxy : o->proxy;
    if (!proxy && o->trust_env) proxy = aio__proxy_of(&x->url);
    aio_text rest = aio__text(proxy, proxy ? strlen(proxy) : 0), word, last = { NULL, 0 };
    size_t tunnel = rest.length;
    x->key = x->url.authority;
    x->tunnel = NULL;
    while (rest.length && aio__word_next(&rest, &word)) last = word;
    if (!last.length) return 0;
    if (!x->url.is_tls) { /* what does not parse is left to the tunnel, whose errors tell of proxies */
        aio__proxy_url end;
        bool asked = !aio__proxy_parse(&end, last, reason) && end.kind <= AIO__PROXY_HTTPS;
        if (asked) x->via = end.url;
        else aio_url_clear(&end.url);
        if (asked) tunnel = (size_t)(last.data - proxy);
    }
    *reason = "out of memory";
    x->route.start = x->route.end = 0;
    if (!aio__buffer_reserve(&x->route, x->key.length + strlen(proxy) + tunnel + 3)) return ENOMEM;
    char *at = x->route.data, *key = at;
    at = aio__lay(at, x->key.data, x->key.length);
    *at++ = ' ';
    at = aio__lay(at, proxy, strlen(proxy) + 1);
    x->key = aio__text(key, (size_t)(at - key) - 1);
    x->tunnel = at;
    *aio__lay(at, proxy, tunnel) = '\0';
    return 0;
}

/* Makes the exchange ready for this request. 0, or a code with *reason. */
static int aio__exchange_prepare(aio__exchange *x, const struct aio__fetching *f, const char **reason)
{
    const aio_session *session = f->session;
    aio_loop *loop = x->in.watch.loop;
    memcpy(x->method, f->method, strlen(f->method) + 1);
    x->heard = x->retried = false;
    x->interim = 0;
    x->data = f->data;
    x->in.reading = x->in.watch.expired = x->in.watch.no_memory = x->in.watch.asked = false;
    memset(x->phases.spent, 0, sizeof x->phases.spent);
    x->phases.since = loop->now;
    x->phases.phase = AIO__PHASE_POOL;
    aio__timeouts_read(x->limits, &f->timeout, &session->options.timeout);
    x->total_at = aio__after(loop, x->limits[AIO__TIMEOUT_TOTAL]);
    x->connect_at = aio__after(loop, x->limits[AIO__TIMEOUT_CONNECT]);
    memset(&x->response.times, 0, sizeof x->response.times);
    int code = aio__request_url(x, f, reason);
    if (!code) code = aio__request_route(x, f, reason);
    if (code) return code;
    return aio__request_head(x, f) ? 0 : ENOMEM;
}

/* Connects; the stream is then the connection's. Without descriptors it waits until one is free. */
struct aio__dialing { aio_task task; aio__exchange *x; aio_stream_task *connect; aio_stream *stream; };
static aio_stream_task *aio__exchange_connect(aio__exchange *x)
{
    const aio_session_options *o = &x->session->options;
    aio_connect_options options;
    memset(&options, 0, sizeof options);
    const aio_url *to = x->via.block ? &x->via : &x->url;
    options.tls = to->is_tls;
    if (to->is_tls) options.tls_context = x->via.block ? o->proxy_tls_context : o->tls_context;
    options.connect_timeout = aio__seconds(x->limits[AIO__TIMEOUT_SOCK_CONNECT]);
    options.limit = o->read_bufsize;
    options.family = o->family;
    options.local_host = o->local_host;
    options.happy_eyeballs_delay = o->happy_eyeballs_delay;
    options.resolver = o->resolver ? o->resolver : x->session->names;
    options.proxy = x->tunnel;
    options.proxy_headers = o->proxy_headers;
    options.proxy_tls_context = o->proxy_tls_context;
    options.proxy_timeout = x->limits[AIO__TIMEOUT_SOCK_CONNECT] ? options.connect_timeout : (double)AIO_UNLIMITED;
    aio_stream_task *task = aio_open_connection_with(to->host.data, to->port, &options);
    if (task && task->task.future.run.coro == aio__connect_coro)
        ((struct aio__connect *)(void *)task)->phases = &x->phases;
    return task;
}

/* Whether it was for want of descriptors that there is no connection, and there may be one yet. */
static bool aio__exchange_starved(aio__exchange *x, int code)
{
    return (code == EMFILE || code == ENFILE) && aio__connector_starved(&x->session->connector, &x->ticket);
}

static AIO_CORO(aio__dialing)
{
    AIO_BEGIN(aio__dialing);
    for (;;) {
        AIO_TRY {
            AIO_AWAIT(self->stream, aio__exchange_connect(self->x));
            break;
        } AIO_CATCH {
            if (!aio__exchange_starved(self->x, aio_caught(self)->code)) AIO_RERAISE();
        } AIO_END_TRY;
        aio__phase_enter(&self->x->phases, AIO__PHASE_POOL);
        if (self->x->ticket.future) AIO_AWAIT(aio_ref(self->x->ticket.future));
        if (self->x->ticket.got && self->x->ticket.got->stream) AIO_RETURN();
    }
    self->x->ticket.got->stream = self->stream;
    aio__connector_connected(&self->x->session->connector);
    AIO_END;
}

/* The request has been sent, or never will be: now the answer is waited for. */
static void aio__exchange_sent(aio_future *future, void *arg)
{
    aio__exchange *x = (aio__exchange *)arg;
    (void)future;
    if (x->in.stream && x->phases.phase == AIO__PHASE_SEND) {
        aio__phase_enter(&x->phases, AIO__PHASE_HEADERS);
        if (!aio__exchange_waiting(&x->in)) aio__watch_expire(&x->in.watch, true);
    }
    aio__exchange_hold(&x->in, -1);
}

/* A part of the request is left to the stream. 0 or a code. */
static int aio__exchange_sending(aio__exchange *x)
{
    x->in.stream->low = 0; /* it is drained when all is sent */
    aio_future *sent = aio__drain_future(x->in.stream);
    int code = sent ? aio_future_add_done_callback(sent, aio__exchange_sent, x) : ENOMEM;
    if (!code) aio__exchange_hold(&x->in, 1);
    aio_unref(sent);
    return code;
}

/* Sends the request: head and body in one go. 0 or a code. */
static int aio__exchange_send(aio__exchange *x)
{
    aio__connection *connection = x->ticket.got;
    aio_stream *s = connection->stream;
    aio__phase_enter(&x->phases, AIO__PHASE_SEND);
    connection->reader = &x->in;
    x->in.stream = s;
    x->heard = false;
    aio__http_head_reset(&x->head, &x->response.headers, false);
    if (x->session->is_closed) return ECONNABORTED;
    if (!aio__stream_silent(s)) {
        bool ended = aio__stream_ended(s);
        if (aio__stream_error(s)) return aio__stream_error(s)->code;
        if (!ended && !aio_stream_unread(s).length) return ENOMEM;
        x->head.problem = ended ? "the server closed the connection before the request"
                                : "the server spoke before the request";
        return ended ? AIO_EDISCONNECTED : AIO_EHTTP;
    }
    aio_text pieces[2] = { aio__text(x->out.data, x->out.end), x->data };
    int code = aio_stream_writelines(s, pieces, x->data.length ? 2 : 1);
    if (!code && aio__unsent(s)) return aio__exchange_sending(x);
    if (code == EPIPE || code == ECONNRESET) code = 0; /* what the server had to say may have come */
    aio__phase_enter(&x->phases, AIO__PHASE_HEADERS);
    return code;
}

/* The head is there: fills the response in, and takes a short body that came with it. False without memory. */
static bool aio__exchange_begin(aio__exchange *x)
{
    aio_response *response = &x->response;
    aio__connection *connection = x->ticket.got;
    aio_stream *s = x->in.stream;
    response->status = x->head.status;
    response->version = x->head.minor;
    response->reason = x->head.reason.data ? x->head.reason.data : "";
    response->method = x->method;
    response->url = x->url.text.data;
    if (!aio__body_open(&x->in, &x->head, aio__text(x->method, strlen(x->method)), s)) x->keep = false;
    bool described = x->head.status == 304 || !strcmp(x->method, "HEAD"); /* the body is another response's */
    response->content_length = x->head.has_length ? (int64_t)x->head.length : -1;
    if (x->in.body.kind == AIO__BODY_NONE && !described) response->content_length = 0;
    response->times.reused = connection->reused;
    long kept = aio__http_keep_alive_timeout(aio__headers_value(&response->headers, "keep-alive", 10));
    int64_t most = x->session->connector.keepalive, its = kept * INT64_C(1000000000);
    if (kept == 0) x->keep = false;
    connection->keepalive = kept > 0 && its < most ? its : 0;
    aio__exchange_times(x, AIO__PHASE_BODY);
    if (!x->in.stream) aio__exchange_ended(&x->in);
    if (aio_stream_unread(s).length > AIO__EAGER) return true;
    aio__body_step step = aio__body_collect(&x->in, SIZE_MAX);
    if (step == AIO__BODY_DONE && x->in.stream) aio__exchange_ended(&x->in);
    return step != AIO__BODY_ERROR || x->in.body.problem;
}

/* Looks at what has come. 0: the response has begun; AIO__MORE: more has to come; or a code. */
static int aio__exchange_listen(aio__exchange *x)
{
    for (;;) {
        aio_stream *s = x->in.stream;
        if (!s) return ECONNABORTED;
        aio_text unread = aio_stream_unread(s);
        size_t used = 0, n = unread.length;
        if (n) x->heard = true;
        int code = aio__http_head_feed(&x->head, unread.data, n, &used);
        if (code == AIO__MORE && aio__stream_ended(s)) {
            code = aio__http_head_closed(&x->head, unread.data, n);
            used = n;
        }
        if (code == AIO__MORE && aio__stream_ended(s)) {
            x->head.problem = n ? "the server closed the connection within the response's head"
                                : "the server closed the connection without an answer";
            return AIO_EDISCONNECTED;
        }
        if (code == AIO__MORE && !aio__exchange_waiting(&x->in)) return ENOMEM;
        if (code) return code;
        aio_stream_consume(s, used);
        if (x->head.status / 100 != 1 || x->head.status == 101) return aio__exchange_begin(x) ? 0 : ENOMEM;
        if (++x->interim > AIO__INTERIM_MAX) {
            x->head.problem = "there are too many 1xx responses";
            return AIO_ELIMIT;
        }
        aio__http_head_reset(&x->head, &x->response.headers, false);
    }
}

/* Whether a request that failed on a connection that had been idle is sent once more, on a new one: the server may have
 * closed it at that very moment. */
static bool aio__exchange_retry(aio__exchange *x, const aio_exception *why)
{
    static const char *const idempotent[] = { "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", NULL };
    aio__connection *connection = x->ticket.got;
    int code = why->code;
    bool gone = code == AIO_EDISCONNECTED || code == ECONNRESET || code == EPIPE || code == AIO_ETLS;
    if (!connection || !connection->reused || x->heard || x->retried || !gone || x->session->is_closed) return false;
    x->retried = aio__among(x->method, idempotent);
    if (x->retried) aio__connection_hang_up(connection);
    return x->retried;
}

/* What a code of the steps above means. */
static aio_exception *aio__exchange_problem(const aio__exchange *x, int code)
{
    const aio_stream *s = x->in.stream;
    if (code == ENOMEM) return &aio__no_memory;
    if (s && s->error && s->error->code == code) return aio_exception_ref(s->error);
    return aio__exception(code, "", "%s", x->head.problem ? x->head.problem : aio_code_text(code));
}

/* The error of a status from 400 on. A new owner. */
static aio_exception *aio__response_status_error(const aio_response *response)
{
    char name[400];
    return aio__exception(AIO_ESTATUS, "", "%s: %d %s",
                          aio__exchange_name((const aio__exchange *)(const void *)response, name, sizeof name),
                          response->status, response->reason);
}

/* Begins: with an exchange that is ready for the request. NULL or an error, a new owner. */
static aio_exception *aio__fetching_begin(struct aio__fetching *self)
{
    const char *reason = "out of memory";
    int code = ENOMEM;
    if (!aio__session_is_open(self->session)) {
        code = AIO_ERUNTIME;
        reason = "the session is closed";
    } else if ((self->x = aio__exchange_open(self->session))) {
        aio__session_flight(self->session, 1);
        code = aio__exchange_prepare(self->x, self, &reason);
    }
    char shown[201];
    if (code) return aio__exception(code, "", "%.32s %.200s: %s", self->method,
                                    aio__url_shown(self->url, shown, sizeof shown), reason);
    aio__watch_enter(&self->x->in.watch, &self->task);
    return NULL;
}

/* Takes a place of the pool, unless it has one. 0, AIO__MORE: the ticket's future tells; or a code. */
static int aio__exchange_place(aio__exchange *x)
{
    if (!aio__exchange_until(x, x->connect_at)) return ENOMEM;
    if (x->ticket.got) return 0;
    return aio__connector_take(&x->session->connector, &x->ticket, x->key, x->url.is_tls);
}

/* The coroutine ends. Its exchange is the user's now, as the response, or was in vain. */
static void aio__fetching_end(aio__exchange *x, bool failed)
{
    aio_session *session = x->session;
    session->refs++;
    aio__watch_leave(&x->in.watch, NULL);
    if (failed) {
        aio__exchange_disconnect(x, false);
        aio__exchange_unref(x);
    }
    aio__session_flight(session, -1);
    aio__session_unref(session);
}

static AIO_CORO(aio__fetching)
{
    AIO_BEGIN(aio__fetching);
    self->error = aio__fetching_begin(self);
    if (self->error) AIO__THROW(self->error);
    for (;;) {
        AIO_TRY {
            self->code = aio__exchange_place(self->x);
            if (self->code == AIO__MORE) {
                AIO_AWAIT(aio_ref(self->x->ticket.future));
                self->code = 0;
            }
            if (!self->code && !self->x->ticket.got->stream) AIO_AWAIT(AIO_CALL(aio__dialing, .x = self->x));
            if (!self->code) self->code = aio__exchange_send(self->x);
            while (!self->code && (self->code = aio__exchange_listen(self->x)) == AIO__MORE) {
                AIO_AWAIT(self->more, aio_stream_more(self->x->in.stream));
                self->code = 0;
            }
            if (self->code) AIO__THROW(aio__exchange_problem(self->x, self->code));
            break;
        } AIO_CATCH_ALL {
            if (!aio__exchange_retry(self->x, aio_caught(self)))
                AIO__THROW(aio__exchange_error(self->x, aio_caught(self)));
        } AIO_END_TRY;
    }
    if ((self->raise_for_status || self->session->options.raise_for_status) && self->x->response.status >= 400)
        AIO__THROW(aio__response_status_error(&self->x->response));
    self->result = &self->x->response;
    AIO_FINALLY;
        if (self->x) aio__fetching_end(self->x, self->task.future.error != NULL);
    AIO_END;
}

AIO_API aio_response_task *aio_session_request_with(aio_session *session, const char *method, const char *url,
                                                    const aio_request_options *options)
{
    AIO__DEFAULTS(aio_request_options, options);
    const aio_request_options *o = options;
    const char *why = aio__request_problem(session, method, url, o);
    char shown[201];
    if (why) return (aio_response_task *)(void *)aio__failure(EINVAL, "%.32s %.200s: %s", method ? method : "request",
                                                              aio__url_shown(url, shown, sizeof shown), why);
    aio_text data = o->json ? aio__text(o->json, strlen(o->json)) : aio__text((const char *)o->data, o->data_length);
    size_t headers, params, field_bytes = 0, size = strlen(url) + strlen(method) + 2 + aio__text_size(o->proxy);
    size += aio__pairs_size(o->headers, &headers) + aio__pairs_size(o->params, &params);
    if (o->header_fields) field_bytes = o->header_fields->length;
    size += field_bytes + (o->borrow_data ? 0 : data.length);
    struct aio__fetching *self = (struct aio__fetching *)aio__new_zeroed(sizeof *self + size, aio__fetching_coro);
    if (!self) return NULL;
    self->session = session;
    self->method = method;
    self->url = url;
    self->timeout = o->timeout;
    self->raise_for_status = o->raise_for_status;
    self->header_count = headers + (o->header_fields ? o->header_fields->count : 0);
    self->param_count = params;
    self->content_type = o->json ? "application/json" : o->data ? "application/octet-stream" : NULL;
    aio__fetching_keep(self, o, data);
    return (aio_response_task *)(void *)self;
}

/* ---- responses ---- */

AIO_API aio_text_task *aio_response_read(aio_response *response)
{
    if (!response) return (aio_text_task *)(void *)aio__failure(EINVAL, "read of no response");
    return aio__body_read(&((aio__exchange *)(void *)response)->in, true);
}

AIO_API aio_text_task *aio_response_text(aio_response *response) { return aio_response_read(response); }

AIO_API aio_text_task *aio_response_read_chunk(aio_response *response)
{
    if (!response) return (aio_text_task *)(void *)aio__failure(EINVAL, "read of no response");
    return aio__body_read(&((aio__exchange *)(void *)response)->in, false);
}

AIO_API aio_text aio_response_head(const aio_response *response)
{
    return response ? ((const aio__exchange *)(const void *)response)->head.raw : aio__text("", 0);
}

AIO_API const aio_headers *aio_response_trailers(aio_response *response)
{
    return response ? aio__body_trailers(&((aio__exchange *)(void *)response)->in) : NULL;
}

AIO_API aio_future *aio_response_raise_for_status(const aio_response *response)
{
    if (!response) return aio__failure(EINVAL, "raise_for_status of no response");
    aio_loop *loop = ((const aio__exchange *)(const void *)response)->in.watch.loop;
    if (response->status >= 400) return aio__failed_future(loop, aio__response_status_error(response));
    return &loop->done;
}

AIO_API void aio_response_release(aio_response *response)
{
    aio__exchange *x = (aio__exchange *)(void *)response;
    aio_text piece;
    if (!x) return;
    while (x->in.stream && !x->in.reading && aio__body_next(&x->in, &piece) == AIO__BODY_DATA) { }
    if (x->in.stream && x->in.body.state == AIO__CHUNK_END) aio__exchange_ended(&x->in);
    if (x->ticket.got) aio__exchange_disconnect(x, false);
    aio__exchange_unref(x);
}

AIO_API void aio_response_close(aio_response *response)
{
    aio__exchange *x = (aio__exchange *)(void *)response;
    if (!x) return;
    if (x->ticket.got) aio__exchange_disconnect(x, false);
    aio__exchange_unref(x);
}

/* ---- sessions ---- */

/* A copy of a list of headers, in one block. NULL without memory. */
static const char *const *aio__pairs_copy(const char *const *pairs)
{
    size_t count, size = aio__pairs_size(pairs, &count);
    const char **copy = (const char **)aio__malloc((2 * count + 1) * sizeof *copy + size);
    if (!copy) return NULL;
    char *at = (char *)(copy + 2 * count + 1);
    for (size_t i = 0; i < 2 * count; i++) copy[i] = aio__keep(&at, pairs[i]);
    copy[2 * count] = NULL;
    return copy;
}

/* Keeps what a session is told of proxies. 0 or a code. */
static int aio__session_proxies(aio_session_options *kept, const aio_session_options *o)
{
    aio__proxies *proxies;
    const char *reason;
    if (o->proxy_headers && !(kept->proxy_headers = aio__pairs_copy(o->proxy_headers))) return ENOMEM;
    if (!o->proxy) return 0;
    kept->proxy = aio__strndup(o->proxy, strlen(o->proxy));
    if (!kept->proxy) return ENOMEM;
    int code = aio__proxies_parse(&proxies, o->proxy, &reason);
    if (!code) aio__proxies_free(proxies);
    return code;
}

static int aio__session_fill(aio_session *session, const aio_session_options *o)
{
    int64_t names_ttl = aio__timeout_ns(o->ttl_dns_cache, 10), keepalive = aio__timeout_ns(o->keepalive_timeout, 15);
    int64_t limits[AIO__TIMEOUTS];
    if (names_ttl < 0 || keepalive < 0 || aio__pairs_problem(o->headers)
        || aio__fields_count(o->headers, NULL, "Host") > 1 || aio__pairs_problem(o->proxy_headers)
        || !aio__timeouts_read(limits, &o->timeout, &o->timeout)
        || o->max_line_size < 0 || o->max_field_size < 0 || o->max_headers < 0
        || aio__timeout_ns(o->happy_eyeballs_delay, 0) < 0 || o->limit < AIO_UNLIMITED
        || o->limit_per_host < AIO_UNLIMITED) return EINVAL;
    int limit = o->limit == 0 ? 100 : o->limit;
    aio__connector_open(&session->connector, session->connector.loop, limit < 0 ? 0 : limit,
                        o->limit_per_host < 0 ? 0 : o->limit_per_host, keepalive ? keepalive : INT64_MAX / 4);
    session->options = *o;
    session->options.tls_context = aio_tls_context_ref(o->tls_context);
    session->options.proxy_tls_context = aio_tls_context_ref(o->proxy_tls_context);
    session->options.proxy = NULL;
    session->options.proxy_headers = NULL;
    if (!session->options.max_body) session->options.max_body = AIO_STREAM_READ_ALL_LIMIT;
    session->options.local_host = o->local_host ? aio__strndup(o->local_host, strlen(o->local_host)) : NULL;
    if (o->local_host && !session->options.local_host) return ENOMEM;
    if (!o->resolver && !o->no_dns_cache && !(session->names = aio__names_open(session->connector.loop, names_ttl)))
        return ENOMEM;
    int code = aio__session_proxies(&session->options, o);
    if (code) return code;
    for (size_t i = 0; o->headers && o->headers[i]; i += 2) {
        code = aio_headers_add(&session->headers, o->headers[i], o->headers[i + 1]);
        if (code) return code;
    }
    session->has_base = o->base_url != NULL;
    return o->base_url ? aio_url_parse(&session->base, o->base_url, strlen(o->base_url), NULL) : 0;
}

AIO_API aio_session *aio_session_open_with(const aio_session_options *options)
{
    AIO__DEFAULTS(aio_session_options, options);
    aio_loop *loop = aio__loop_now();
    errno = AIO_ENOLOOP;
    if (!loop || loop->closed) return NULL;
    errno = ENOMEM;
    aio__sessions *sessions = aio__sessions_of(loop);
    aio_session *session = sessions ? (aio_session *)aio__calloc(sizeof *session) : NULL;
    if (!session) return NULL;
    session->connector.loop = loop;
    session->refs = 1;
    aio__ring_clear(&session->live);
    aio__ring_insert(&sessions->ring, &session->link);
    int code = aio__session_fill(session, options);
    if (!code) return session;
    aio__session_clear(session);
    errno = code;
    return NULL;
}

static void aio__session_unref(aio_session *session)
{
    if (--session->refs) return;
    while (session->spares) {
        aio__exchange *x = session->spares;
        session->spares = x->spare;
        aio__exchange_free(session->connector.loop, x);
    }
    aio__session_clear(session);
}

static const aio__ops aio__session_closed_ops = { "session.close", NULL, NULL, NULL };

AIO_API aio_future *aio_session_close(aio_session *session)
{
    aio_loop *loop = aio__loop_now();
    if (!loop) return aio__failure(AIO_ENOLOOP, "close of a session: no loop");
    if (session && !aio__session_is_open(session))
        return aio__failure(AIO_ERUNTIME, "the session is closed already, or of another loop");
    aio_future *closed = &loop->done;
    if (session) {
        session->is_closed = true;
        for (aio__node *node = session->live.next; node != &session->live; node = node->next) {
            aio__watch *w = &AIO__CONTAINER(node, aio__exchange, node)->in.watch;
            if (w->frame && !w->expired) aio__watch_expire(w, false);
        }
        aio__connector_close(&session->connector);
        if (session->in_flight) {
            closed = (aio_future *)aio__future_make(loop, &aio__session_closed_ops, sizeof *closed, NULL, 0);
            session->closed = (aio_future *)aio_ref(closed);
        }
        aio__session_unref(session);
    }
    return closed;
}

AIO_API size_t aio_session_busy(const aio_session *session) { return session ? session->connector.busy_count : 0; }
AIO_API size_t aio_session_idle(const aio_session *session) { return session ? session->connector.idle_count : 0; }

/* ============================================================================
 * 56. HTTP server: connections and handlers
 *
 * One connection is one coroutine (aio__serving) in an aio_server: a head, its handler, what is left of the body, the
 * next head; so pipelined requests are answered in order. What it knows is an aio__served, which begins with the user's
 * aio_request. Calls streams, messages, and the reader of bodies.
 * ============================================================================ */

enum {
    AIO__REQUEST_MAX = 1048576,  /* default of max_body */
    AIO__SKIP_MAX = 262144,      /* bytes of a body nobody reads that are skipped to keep the connection; else: close */
    AIO__TAKE_MIN = 65536,       /* bytes of an answer that a client must take in each write_timeout */
    /* After the last answer the connection closes in stages (RFC 9112 9.6): our direction ends, what comes is dropped,
     * so that no reset takes the answer away, until the client ends its own, or for at most: */
    AIO__LINGER_MAX = 4194304,   /* bytes, */
    AIO__LINGER_IDLE = 2,        /* seconds in which nothing comes, */
    AIO__LINGER_TOTAL = 30       /* seconds in all */
};
enum { AIO__QUIT = -2 }; /* a connection's end without an answer */

typedef struct aio__service { /* what the connections of one server share; owned by the aio_server */
    aio_request_handler    *handler;
    void                   *arg;
    aio_http_server_options options;
    int64_t                 header, keepalive, body, body_total, write; /* nanoseconds; 0: no limit */
    aio__http_clock         clock;
    aio__node               requests; /* of its connections, a ring */
} aio__service;

typedef enum { AIO__UNANSWERED, AIO__ANSWERING, AIO__ANSWERED } aio__answer;

typedef struct aio__served {
    aio_request    request;  /* first: what the handler has */
    aio__node      node;     /* in service->requests */
    aio__service  *service;
    aio_stream    *stream;   /* the server's */
    aio__http_head head;
    aio__body_reader in;
    aio__buffer    out;      /* the answer's head */
    aio__buffer    parts;    /* of the target: what is followed by more of it, each with a NUL; then room for: */
    char          *decoded;  /* names and values of the query, each where it stands in the query */
    uint64_t       left;     /* bytes to come of an answer whose length was given */
    uint64_t       skipped;
    int64_t        body_until; /* when body_total_timeout ends; INT64_MAX before the first wait */
    int64_t        linger_until;
    aio__timer    *writing;  /* while something of an answer is unsent: of write_timeout */
    uint64_t       written, taken; /* bytes: since that timer began; of them taken by the client when it began anew */
    aio__answer    answer;
    bool           idle;     /* between two requests */
    bool           keep;     /* another request may follow */
    bool           chunked, bodyless; /* the answer */
    bool           connect;  /* the method is CONNECT */
    bool           upgraded; /* the stream is the handler's */
    bool           wants_continue, too_large, bad_body, late_body;
} aio__served;

/* ---- requests in ---- */

static void aio__served_ended(aio__body_reader *in) { in->stream = NULL; }

static void aio__served_hold(aio__body_reader *in, int more) { (void)in, (void)more; }

/* The client has not begun with its body, and waits for 100 to do so. */
static bool aio__served_continues(const aio__served *r)
{
    return r->wants_continue && !r->in.body.received && !r->in.body.digits && !aio_stream_unread(r->stream).length;
}

static bool aio__served_waiting(aio__body_reader *in)
{
    aio__served *r = AIO__CONTAINER(in, aio__served, in);
    if (r->answer == AIO__UNANSWERED && aio__served_continues(r)) {
        static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
        aio_stream_write(r->stream, interim, sizeof interim - 1); /* an error comes back with the read */
        r->wants_continue = false;
    }
    if (r->body_until == INT64_MAX) r->body_until = aio__after(in->watch.loop, r->service->body_total);
    int64_t until = aio__after(in->watch.loop, r->service->body);
    return aio__watch_until(&in->watch, until < r->body_until ? until : r->body_until);
}

static aio_exception *aio__served_failed(aio__body_reader *in, const aio_exception *why)
{
    aio__served *r = AIO__CONTAINER(in, aio__served, in);
    bool expired = aio__watch_leave(&in->watch, why);
    if (expired && in->watch.no_memory) return &aio__no_memory;
    if (!expired && (why->code == AIO_ECANCELLED || why->code == ENOMEM)) return aio_exception_ref(why);
    r->keep = false;
    r->late_body = expired;
    r->too_large = why->code == AIO_ELIMIT;
    r->bad_body = why->code == AIO_EPAYLOAD;
    bool in_all = r->body_until <= in->watch.loop->now;
    if (expired) return aio__exception(AIO_ETIMEOUT, "body", "the client %s %g s",
                                       in_all ? "did not send the body within" : "sent nothing of the body for",
                                       aio__seconds(in_all ? r->service->body_total : r->service->body));
    return aio__exception(why->code, "body", "the body of %.32s %.200s: %s", r->request.method.data,
                          r->request.target.data, why->message);
}

static const aio__body_owner aio__served_owner = {
    aio__served_ended, aio__served_waiting, aio__served_failed, aio__served_hold
};

/* NULL without memory. */
static aio__served *aio__served_open(aio__service *service, aio_stream *stream)
{
    aio__served *r = (aio__served *)aio__pool_alloc(&stream->loop->pool, sizeof *r);
    if (!r) return NULL;
    memset(r, 0, sizeof *r);
    r->service = service;
    r->stream = r->request.stream = stream;
    r->request.arg = service->arg;
    r->in.watch.loop = stream->loop;
    r->in.watch.deadline = INT64_MAX;
    r->in.max = service->options.max_body;
    r->in.owner = &aio__served_owner;
    r->head.limits.line = (uint32_t)service->options.max_line_size;
    r->head.limits.field = (uint32_t)service->options.max_field_size;
    r->head.limits.count = (uint32_t)service->options.max_headers;
    aio__ring_insert(&service->requests, &r->node);
    return r;
}

static void aio__served_clear(aio__served *r)
{
    aio_headers_clear(&r->request.headers);
    aio__body_clear(&r->in);
    aio__free(r->out.data);
    aio__free(r->parts.data);
}

static void aio__served_close(aio__served *r)
{
    aio_loop *loop = r->in.watch.loop;
    aio__watch_end(&r->in.watch);
    aio__timer_cancel(loop, r->writing);
    aio__served_clear(r);
    aio__ring_remove(&r->node);
    aio__pool_free(&loop->pool, r, sizeof *r);
}

/* Makes it ready for the next head. */
static void aio__served_reset(aio__served *r)
{
    aio__http_head_reset(&r->head, &r->request.headers, true);
    aio__body_reset(&r->in);
    r->answer = AIO__UNANSWERED;
    r->idle = true;
    r->too_large = r->bad_body = r->late_body = false;
    r->skipped = 0;
    r->body_until = INT64_MAX;
    r->in.watch.deadline = aio__after(r->in.watch.loop, r->service->keepalive);
}

/* A copy with a NUL; it may move the earlier ones. False without memory. */
static bool aio__served_part(aio__buffer *parts, aio_text text)
{
    return aio__buffer_append(parts, text.data, text.length) && aio__buffer_append(parts, "", 1);
}

/* Splits the target: origin form, or absolute form (RFC 9112 3.2), whose authority counts, not Host's (3.2.2). False
 * without memory. */
static bool aio__served_split(aio__served *r)
{
    aio_request *request = &r->request;
    const char *at = request->target.data, *end = at + request->target.length;
    bool absolute = *at != '/' && *at != '*', connect = absolute && r->connect;
    aio_text authority = !absolute ? aio__http_host(&r->head)
                       : connect ? request->target : aio__http_target_authority(request->target);
    if (absolute && !connect) at = authority.data + authority.length;
    const char *mark = (const char *)memchr(at, '?', (size_t)(end - at));
    request->path = aio__text(at, (size_t)((mark ? mark : end) - at));
    request->query = mark ? aio__text(mark + 1, (size_t)(end - mark - 1)) : aio__text(NULL, 0);
    request->authority = authority;
    if (!request->path.length) request->path = aio__text("/", 1);
    if (!mark && (!absolute || connect)) return true;
    r->parts.start = r->parts.end = 0;
    if (!aio__served_part(&r->parts, request->path)) return false;
    if (absolute && !aio__served_part(&r->parts, authority)) return false;
    if (!aio__buffer_reserve(&r->parts, request->query.length + 1)) return false;
    r->decoded = r->parts.data + r->parts.end;
    request->path.data = r->parts.data;
    if (absolute) request->authority.data = r->parts.data + request->path.length + 1;
    return true;
}

/* The head is there. 0, or the status with which it is refused. */
static int aio__served_begin(aio__served *r)
{
    aio__http_head *head = &r->head;
    r->request.method = head->method;
    r->request.target = head->target;
    r->request.version = head->minor;
    r->connect = head->method.length == 7 && !memcmp(head->method.data, "CONNECT", 7);
    bool stored = aio__served_split(r);
    r->keep = aio__body_open(&r->in, head, head->method, r->stream);
    r->wants_continue = head->expect_continue && head->minor && r->in.stream;
    return !stored ? 503 : head->expect_other ? 417 : 0;
}

/* Looks at what has come. 0: a head is there; AIO__MORE: more has to come; AIO__QUIT; or the status of a refusal. */
static int aio__served_receive(aio__served *r)
{
    aio_stream *s = r->stream;
    aio_text unread = aio_stream_unread(s);
    size_t used = 0;
    if (r->idle && unread.length) {
        r->idle = false;
        r->in.watch.deadline = aio__after(s->loop, r->service->header);
    }
    int code = aio__http_head_feed(&r->head, unread.data, unread.length, &used);
    if (code == AIO__MORE) {
        if (aio__stream_ended(s) || (r->idle && s->server && s->server->closing)) return AIO__QUIT;
        return aio__watch_arm(&r->in.watch) ? AIO__MORE : 503;
    }
    if (code) return r->head.refuse;
    aio_stream_consume(s, used);
    return aio__served_begin(r);
}

/* ---- answers out ---- */

/* Whether the user gives a field himself. */
static bool aio__answer_has(const aio_respond_options *o, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; o->headers && o->headers[i]; i += 2)
        if (aio__same_word(o->headers[i], strlen(o->headers[i]), name, n)) return true;
    return o->header_fields && aio__headers_value(o->header_fields, name, n).data;
}

static const char *aio__answer_problem(const aio_respond_options *o)
{
    const char *why = aio__pairs_problem(o->headers);
    if (!why) why = aio__fields_problem(o->header_fields);
    if (!why && aio__answer_has(o, "Connection")) why = "use .close for Connection";
    if (!why && o->content_type) why = aio__header_value_problem(o->content_type, strlen(o->content_type));
    if (!why && o->content_type && aio__answer_has(o, "Content-Type"))
        why = "content_type and a header Content-Type exclude each other";
    if (!why && o->text && o->body) why = "text and body exclude each other";
    return why;
}

static bool aio__answer_headers(aio__buffer *out, const aio_respond_options *o)
{
    for (size_t i = 0; o->headers && o->headers[i]; i += 2)
        if (!aio__http_put_named(out, o->headers[i], o->headers[i + 1])) return false;
    return o->header_fields ? aio__http_put_headers(out, o->header_fields) : aio__buffer_append(out, "\r\n", 2);
}

/* Whether what is left of the body will be skipped, so that another request can follow it. */
static bool aio__served_will_skip(const aio__served *r)
{
    if (!r->in.stream) return true;
    if (r->in.body.kind == AIO__BODY_LENGTH) return r->in.body.left <= AIO__SKIP_MAX;
    aio__body rest = r->in.body; /* of chunks only what is there is known */
    rest.trailers = NULL;
    aio_text unread = aio_stream_unread(r->stream), piece;
    for (size_t used; ; unread = aio__text(unread.data + used, unread.length - used)) {
        aio__body_step step = aio__body_feed(&rest, unread.data, unread.length, &used, &piece);
        if (step != AIO__BODY_DATA) return step == AIO__BODY_DONE;
    }
}

/* Writes the head of an answer. `length`: of the body, UINT64_MAX when it is not known. 0 or a code. */
static int aio__answer_head(aio__served *r, int status, const aio_respond_options *o, uint64_t length)
{
    aio__buffer *out = &r->out;
    char number[21];
    bool tunnel = r->connect && status / 100 == 2; /* RFC 9110 9.3.6: no length, no body */
    bool empty = status == 204 || status == 304 || tunnel, known = length != UINT64_MAX;
    aio_text method = r->request.method;
    r->bodyless = empty || (method.length == 4 && !memcmp(method.data, "HEAD", 4));
    r->chunked = !empty && !known && r->request.version > 0;
    if (o->close || tunnel || (!known && !r->chunked && !empty)
        || aio__served_continues(r) /* the client may send the body, or not */
        || (r->stream->server && r->stream->server->closing) || !aio__served_will_skip(r)) r->keep = false;
    out->start = out->end = 0;
    if (!aio__http_put_status(out, status)) return ENOMEM;
    const char *const fields[][2] = {
        { "Date", aio__http_clock_text(&r->service->clock, aio__os.wall()) },
        { "Content-Type", empty ? NULL : o->content_type ? o->content_type : o->text ? "text/plain; charset=utf-8"
                          : length ? "application/octet-stream" : NULL },
        { "Content-Length", empty || !known ? NULL : aio__http_number(number, length) },
        { "Transfer-Encoding", r->chunked ? "chunked" : NULL },
        { "Connection", tunnel ? NULL : !r->keep ? "close" : r->request.version ? NULL : "keep-alive" }
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i][1] && !aio__answer_has(o, fields[i][0]) && !aio__http_put_named(out, fields[i][0], fields[i][1]))
            return ENOMEM;
    return aio__answer_headers(out, o) ? 0 : ENOMEM;
}

static void aio__answer_taken(aio__timer *timer);

static bool aio__answer_watch(aio__served *r)
{
    aio_loop *loop = r->stream->loop;
    r->writing = aio__timer_start(loop, aio__after(loop, r->service->write), aio__answer_taken, r);
    return r->writing != NULL;
}

/* A write_timeout is over: the client has taken all, or enough, or is given up. The socket may take more than it has
 * told, as it tells of large room only. */
static void aio__answer_taken(aio__timer *timer)
{
    aio__served *r = (aio__served *)timer->owner;
    r->writing = NULL;
    aio__stream_flush(r->stream);
    size_t unsent = aio_stream_write_buffer_size(r->stream);
    if (!unsent || aio__stream_error(r->stream)) return;
    uint64_t taken = r->written - unsent;
    bool enough = taken - r->taken >= AIO__TAKE_MIN;
    unsigned long long last = taken - r->taken;
    r->taken = taken;
    if (enough && aio__answer_watch(r)) return;
    aio__stream_break(r->stream, enough ? &aio__no_memory
        : aio__exception(ETIMEDOUT, "write", "the client took %llu bytes of the answer within %g s", last,
                         aio__seconds(r->service->write)));
}

/* Sends pieces of an answer; the future of the client's keeping up. */
static aio_future *aio__answer_send(aio__served *r, const aio_text *pieces, size_t count)
{
    aio_stream *s = r->stream;
    int code = aio_stream_writelines(s, pieces, count);
    for (size_t i = 0; r->writing && i < count; i++) r->written += pieces[i].length;
    if (!code && !r->writing && r->service->write && aio_stream_write_buffer_size(s)) {
        r->written = aio_stream_write_buffer_size(s);
        r->taken = 0;
        if (!aio__answer_watch(r)) aio__stream_break(s, &aio__no_memory);
    }
    if (!code) return aio_stream_drain(s);
    r->keep = false;
    if (s->error) return aio__failed_future(s->loop, aio_exception_ref(s->error));
    return aio__failure(code, "the answer to %.32s %.200s: %s", r->request.method.data,
                        r->request.target.data, aio_code_text(code));
}

static aio__served *aio__served_of(aio_request *request) { return (aio__served *)(void *)request; }

/* Whether there can be no answer now; *refused then says why (NULL without memory). */
static bool aio__answer_refused(aio_request *request, int status, const aio_respond_options *o, aio_future **refused)
{
    const char *why = request ? aio__answer_problem(o) : "there is no request";
    int code = EINVAL;
    if (status < 200 || status > 999) why = "the status is not 200 to 999";
    if (request && aio__served_of(request)->answer != AIO__UNANSWERED) {
        why = "it has an answer already";
        code = AIO_ERUNTIME;
    }
    if (why)
        *refused = aio__failure(code, "the answer to %.32s %.200s: %s", request ? request->method.data : "",
                                request ? request->target.data : "", why);
    return why != NULL;
}

AIO_API aio_future *aio_request_respond_with(aio_request *request, int status, const aio_respond_options *options)
{
    AIO__DEFAULTS(aio_respond_options, options);
    aio_future *refused;
    if (aio__answer_refused(request, status, options, &refused)) return refused;
    aio__served *r = aio__served_of(request);
    aio_text body = options->text ? aio__text(options->text, strlen(options->text))
                                  : aio__text((const char *)options->body, options->length);
    if (body.length && !body.data) return aio__failure(EINVAL, "answer: a length, but no body");
    int code = aio__answer_head(r, status, options, body.length);
    if (code) return aio__failure(code, "the answer's head: %s", aio_code_text(code));
    r->answer = AIO__ANSWERED;
    aio_text pieces[2] = { aio__text(r->out.data, r->out.end), body };
    return aio__answer_send(r, pieces, body.length && !r->bodyless ? 2 : 1);
}

AIO_API aio_future *aio_request_start_with(aio_request *request, int status, const aio_respond_options *options)
{
    AIO__DEFAULTS(aio_respond_options, options);
    aio_future *refused;
    if (aio__answer_refused(request, status, options, &refused)) return refused;
    if (options->text || options->body) return aio__failure(EINVAL, "request_start: the body goes into chunks");
    aio__served *r = aio__served_of(request);
    r->left = options->length ? options->length : UINT64_MAX;
    int code = aio__answer_head(r, status, options, r->left);
    if (code) return aio__failure(code, "the answer's head: %s", aio_code_text(code));
    r->answer = AIO__ANSWERING;
    aio_text head = aio__text(r->out.data, r->out.end);
    return aio__answer_send(r, &head, 1);
}

AIO_API aio_future *aio_request_chunk(aio_request *request, const void *data, size_t length)
{
    if (!request || (!data && length)) return aio__failure(EINVAL, "request_chunk: no request, or no data");
    aio__served *r = aio__served_of(request);
    if (r->answer != AIO__ANSWERING) return aio__failure(AIO_ERUNTIME, "request_chunk before aio_request_start");
    if (r->left != UINT64_MAX && length > r->left)
        return aio__failure(EINVAL, "request_chunk: more than the %llu bytes that were announced are left",
                            (unsigned long long)r->left);
    if (r->left != UINT64_MAX) r->left -= length;
    if (!length || r->bodyless) return aio_stream_drain(r->stream);
    char line[20];
    aio_text pieces[3] = { aio__text(line, 0), aio__text((const char *)data, length), aio__text("\r\n", 2) };
    if (!r->chunked) return aio__answer_send(r, pieces + 1, 1);
    pieces[0].length = aio__http_chunk_line(line, length);
    return aio__answer_send(r, pieces, 3);
}

AIO_API aio_future *aio_request_end(aio_request *request)
{
    if (!request) return aio__failure(EINVAL, "request_end of no request");
    aio__served *r = aio__served_of(request);
    if (r->answer != AIO__ANSWERING) return aio__failure(AIO_ERUNTIME, "request_end before aio_request_start");
    if (r->left != UINT64_MAX && r->left && !r->bodyless)
        return aio__failure(EINVAL, "request_end: %llu bytes fewer than announced", (unsigned long long)r->left);
    r->answer = AIO__ANSWERED;
    aio_text last = aio__text(AIO__HTTP_LAST_CHUNK, sizeof AIO__HTTP_LAST_CHUNK - 1);
    if (!r->chunked || r->bodyless) return aio_stream_drain(r->stream);
    return aio__answer_send(r, &last, 1);
}

AIO_API aio_text_task *aio_request_read(aio_request *request)
{
    if (!request) return (aio_text_task *)(void *)aio__failure(EINVAL, "read of no request");
    return aio__body_read(&aio__served_of(request)->in, true);
}

AIO_API aio_text_task *aio_request_read_chunk(aio_request *request)
{
    if (!request) return (aio_text_task *)(void *)aio__failure(EINVAL, "read of no request");
    return aio__body_read(&aio__served_of(request)->in, false);
}

AIO_API bool aio_request_query_next(aio_request *request, size_t *position, aio_text *name, aio_text *value)
{
    if (!request || !request->query.data) return false;
    const char *query = request->query.data, *end = query + request->query.length, *at = query + *position;
    while (at < end && *at == '&') at++;
    if (at >= end) return false;
    const char *stop = (const char *)memchr(at, '&', (size_t)(end - at));
    if (!stop) stop = end;
    const char *equals = (const char *)memchr(at, '=', (size_t)(stop - at)), *name_end = equals ? equals : stop;
    char *decoded = aio__served_of(request)->decoded + (at - query);
    char *over = aio__unquote(decoded, at, (size_t)(name_end - at), AIO__QUOTE_PLUS);
    *over = '\0'; /* a byte is to spare: the '=', the '&', or the one behind */
    *name = aio__text(decoded, (size_t)(over - decoded));
    *value = aio__text(over, 0);
    *position = (size_t)(stop - query);
    if (!equals) return true;
    decoded += equals + 1 - at;
    over = aio__unquote(decoded, equals + 1, (size_t)(stop - equals - 1), AIO__QUOTE_PLUS);
    *over = '\0';
    *value = aio__text(decoded, (size_t)(over - decoded));
    return true;
}

AIO_API aio_text aio_request_query_at(aio_request *request, const char *name, size_t index)
{
    aio_text found, value;
    size_t position = 0, length = name ? strlen(name) : 0;
    while (name && aio_request_query_next(request, &position, &found, &value))
        if (found.length == length && !memcmp(found.data, name, length) && !index--) return value;
    return aio__text(NULL, 0);
}

/* ---- taking the stream ---- */

/* Whether a comma-separated list has the protocol (RFC 9110 7.8). */
static bool aio__served_offers(const aio__served *r, const char *protocol)
{
    aio_text name, value, item;
    size_t position = 0, length = strlen(protocol);
    while (aio_headers_next(&r->request.headers, &position, &name, &value)) {
        if (!AIO__SAME_WORD(name.data, name.length, "upgrade")) continue;
        while (aio__http_list_next(&value, &item))
            if (aio__same_word(item.data, item.length, protocol, length)) return true;
    }
    return false;
}

/* Why the stream cannot be taken, or NULL. */
static const char *aio__upgrade_problem(const aio__served *r, const aio_upgrade_options *o)
{
    const char *why = aio__pairs_problem(o->headers);
    if (!why) why = aio__fields_problem(o->header_fields);
    if (r->in.stream) why = "its body has not been read";
    if (r->connect) return why ? why : o->protocol ? "a CONNECT names no protocol" : NULL;
    if (!r->head.upgrade || !r->head.minor) return "the client asks for no upgrade";
    return why ? why : !o->protocol || !*o->protocol || !aio__served_offers(r, o->protocol)
        ? "the client does not offer that protocol" : NULL;
}

/* Writes the head of what agrees: 200 to CONNECT, else 101. 0 or a code. */
static int aio__upgrade_head(aio__served *r, const aio_upgrade_options *o)
{
    aio__buffer *out = &r->out;
    aio_respond_options fields;
    memset(&fields, 0, sizeof fields);
    fields.headers = o->headers;
    fields.header_fields = o->header_fields;
    out->start = out->end = 0;
    bool fits = aio__http_put_status(out, r->connect ? 200 : 101);
    if (fits && !r->connect)
        fits = aio__http_put_named(out, "Connection", "upgrade") && aio__http_put_named(out, "Upgrade", o->protocol);
    if (!fits || !aio__answer_headers(out, &fields)) return ENOMEM;
    return aio_stream_write(r->stream, out->data, out->end);
}

struct aio__upgrading { aio_task task; aio_stream *result; aio_stream *stream; int code; };
static AIO_CORO(aio__upgrading)
{
    AIO_BEGIN(aio__upgrading);
    if (self->code) AIO_RAISE(self->code, "upgrade of a request: %s", aio_code_text(self->code));
    AIO_AWAIT(aio_stream_drain(self->stream));
    AIO_RETURN(self->stream);
    AIO_END;
}

AIO_API aio_stream_task *aio_request_upgrade_with(aio_request *request, const aio_upgrade_options *options)
{
    AIO__DEFAULTS(aio_upgrade_options, options);
    aio__served *r = aio__served_of(request);
    const char *why = !request ? "there is no request" : r->answer != AIO__UNANSWERED ? "it has an answer already"
                    : aio__upgrade_problem(r, options);
    if (why) return (aio_stream_task *)(void *)aio__failure(request && (r->in.stream || r->answer != AIO__UNANSWERED)
                                                            ? AIO_ERUNTIME : EINVAL, "upgrade of a request: %s", why);
    struct aio__upgrading *upgrading = AIO_CALL(aio__upgrading, .stream = r->stream);
    if (!upgrading) return NULL;
    upgrading->code = aio__upgrade_head(r, options);
    r->answer = AIO__ANSWERED;
    r->upgraded = true;
    r->keep = false;
    aio__timer_cancel(r->stream->loop, r->writing);
    r->writing = NULL;
    return (aio_stream_task *)(void *)upgrading;
}

/* ---- a connection ---- */

/* An answer of the server's own. */
static void aio__served_refuse(aio__served *r, int status)
{
    aio_respond_options o;
    char text[64];
    memset(&o, 0, sizeof o);
    snprintf(text, sizeof text, "%d: %s\n", status, aio_http_reason(status));
    o.text = text;
    o.close = true;
    r->keep = false;
    if (!r->request.method.data) r->request.method = r->request.target = aio__text("", 0);
    aio_unref(aio_request_respond_with(&r->request, status, &o));
}

/* The handler has failed: the client gets a status if it is not too late. */
static void aio__served_error(aio__served *r, const aio_exception *why)
{
    aio_stream *s = r->stream;
    if (s->error) { /* the client has gone */
        r->keep = false;
        return;
    }
    int status = r->too_large ? 413 : r->bad_body ? 400 : why->code == AIO_ETIMEOUT && r->late_body ? 408
               : why->code == ENOMEM ? 503 : 500;
    if (status >= 500)
        aio__report(s->loop, why, "error in the handler of %.32s %.200s", r->request.method.data,
                    r->request.target.data);
    if (r->answer == AIO__UNANSWERED) aio__served_refuse(r, status);
    r->keep = false;
}

/* The handler has ended. */
static void aio__served_settle(aio__served *r)
{
    if (r->answer == AIO__UNANSWERED && !aio__stream_error(r->stream)) {
        aio__report(r->stream->loop, NULL, "the handler of %.32s %.200s gave no answer",
                    r->request.method.data, r->request.target.data);
        aio__served_refuse(r, 500);
    }
    if (r->answer == AIO__ANSWERING) r->keep = false; /* cut short, and seen to be */
    if (r->stream->server && r->stream->server->closing) r->keep = false;
}

/* Skips what the handler has left of the body. AIO__MORE, or 0 when that is over, one way or the other. */
static int aio__served_skip(aio__served *r)
{
    aio_text piece;
    while (r->keep && r->in.stream) {
        aio__body_step step = aio__body_next(&r->in, &piece);
        r->skipped += piece.length;
        if (step == AIO__BODY_DONE) r->in.stream = NULL;
        if (step == AIO__BODY_DONE) break;
        if (step == AIO__BODY_MORE && aio__served_waiting(&r->in)) return AIO__MORE;
        if (step == AIO__BODY_DATA && r->skipped <= AIO__SKIP_MAX) continue;
        r->keep = false;
    }
    return 0;
}

/* Drops what a client sends after its last answer. AIO__MORE, or 0. */
static int aio__served_drop(aio__served *r)
{
    aio_stream *s = r->stream;
    size_t unread = aio_stream_unread(s).length;
    aio_stream_consume(s, unread);
    r->skipped += unread;
    if (aio__stream_ended(s) || aio__stream_error(s) || r->skipped > AIO__LINGER_MAX || r->in.watch.expired) return 0;
    int64_t until = aio__after(s->loop, AIO__LINGER_IDLE * INT64_C(1000000000));
    return aio__watch_until(&r->in.watch, until < r->linger_until ? until : r->linger_until) ? AIO__MORE : 0;
}

/* Whether the connection closes in stages. TLS has stages of its own. */
static bool aio__served_lingers(const aio__served *r)
{
    const aio_stream *s = r->stream;
    return r->answer != AIO__UNANSWERED && !r->upgraded && !aio__stream_error(s) && !aio__stream_ended(s)
        && !aio_stream_tls_version(s);
}

/* All is sent: our direction ends. */
static void aio__served_half_close(aio__served *r)
{
    aio_stream_write_eof(r->stream);
    r->skipped = 0;
    r->in.watch.expired = false;
    r->linger_until = aio__after(r->stream->loop, AIO__LINGER_TOTAL * INT64_C(1000000000));
}

/* Waits as long as the step says AIO__MORE: for a head, for the rest of its body, for a client's end. The result is
 * what the step gave in the end, or AIO__QUIT. */
struct aio__serving_step { aio_task task; int result; aio__served *in; int (*step)(aio__served *); aio_text more; };
static AIO_CORO(aio__serving_step)
{
    AIO_BEGIN(aio__serving_step);
    aio__watch_enter(&self->in->in.watch, &self->task);
    AIO_TRY {
        while ((self->result = self->step(self->in)) == AIO__MORE)
            AIO_AWAIT(self->more, aio_stream_more(self->in->stream));
    } AIO_CATCH_ALL {
        self->result = AIO__QUIT;
        if (aio__watch_leave(&self->in->in.watch, aio_caught(self))) {
            if (self->step == aio__served_receive && !self->in->idle) self->result = 408;
        } else if (aio_caught(self)->code == AIO_ECANCELLED) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_FINALLY;
        aio__watch_leave(&self->in->in.watch, NULL);
        self->in->in.watch.deadline = INT64_MAX;
    AIO_END;
}

static struct aio__serving_step *aio__served_wait(aio__served *r, int (*step)(aio__served *))
{
    return AIO_CALL(aio__serving_step, .in = r, .step = step);
}

struct aio__serving { aio_task task; aio__service *service; aio_stream *stream; aio__served *in; int code; };
static AIO_CORO(aio__serving)
{
    AIO_BEGIN(aio__serving);
    self->in = aio__served_open(self->service, self->stream);
    if (!self->in) AIO_RAISE(ENOMEM);
    do {
        aio__served_reset(self->in);
        self->code = aio__served_receive(self->in); /* a pipelined request needs no wait */
        if (self->code == AIO__MORE) AIO_AWAIT(self->code, aio__served_wait(self->in, aio__served_receive));
        if (self->code == AIO__QUIT) break;
        if (self->code) {
            aio__served_refuse(self->in, self->code);
            break;
        }
        AIO_TRY {
            AIO_AWAIT((aio_future *)self->service->handler(&self->in->request, self->service->arg));
        } AIO_CATCH {
            aio__served_error(self->in, aio_caught(self));
        } AIO_END_TRY;
        aio__served_settle(self->in);
        AIO_AWAIT(aio_stream_drain(self->stream));
        if (self->in->keep && self->in->in.stream) {
            AIO_AWAIT(self->code, aio__served_wait(self->in, aio__served_skip));
            if (self->code) break;
        }
    } while (self->in->keep);
    if (aio__served_lingers(self->in)) {
        aio_stream_set_write_buffer_limits(self->stream, 0, 0);
        AIO_AWAIT(aio_stream_drain(self->stream));
        aio__served_half_close(self->in);
        AIO_AWAIT(aio__served_wait(self->in, aio__served_drop));
    }
    AIO_FINALLY;
        if (self->in) aio__served_close(self->in);
    AIO_END;
}

/* ---- servers ---- */

static void *aio__http_client(aio_stream *stream, void *arg)
{
    struct aio__serving *self = (struct aio__serving *)aio__new_zeroed(sizeof *self, aio__serving_coro);
    if (!self) return NULL;
    self->service = (aio__service *)arg;
    self->stream = stream;
    return self;
}

/* The server stops listening: connections between two requests end. Or it lacks descriptors: one that has been used
 * ends for one that waits to be accepted. */
static void aio__service_end_idle(aio_server *server)
{
    aio__service *service = (aio__service *)server->service;
    for (aio__node *node = service->requests.next; node != &service->requests; node = node->next) {
        aio__served *r = AIO__CONTAINER(node, aio__served, node);
        if (!r->idle || !r->in.watch.frame || r->in.watch.expired) continue;
        if (!server->closing && !r->keep) continue;
        aio__watch_expire(&r->in.watch, false);
        if (!server->closing) return;
    }
}

static void aio__service_free(void *memory)
{
    aio__service *service = (aio__service *)memory;
    for (aio__node *node = service->requests.next; node != &service->requests; node = node->next)
        aio__served_clear(AIO__CONTAINER(node, aio__served, node));
    aio__free(service);
}

struct aio__http_serving {
    aio_task                task;
    aio_server             *result;
    aio__service           *service;
    aio_request_handler    *handler;
    void                   *arg;
    aio_http_server_options options;
    int                     port;
    bool                    any; /* all interfaces */
    char                    host[256];
};

static aio__service *aio__service_new(const struct aio__http_serving *from)
{
    aio__service *service = (aio__service *)aio__calloc(sizeof *service);
    if (!service) return NULL;
    service->handler = from->handler;
    service->arg = from->arg;
    service->options = from->options;
    if (!service->options.max_body) service->options.max_body = AIO__REQUEST_MAX;
    service->header = aio__timeout_ns(from->options.header_timeout, 60);
    service->keepalive = aio__timeout_ns(from->options.keepalive_timeout, 75);
    service->body = aio__timeout_ns(from->options.body_timeout, 60);
    service->body_total = aio__timeout_ns(from->options.body_total_timeout, 300);
    service->write = aio__timeout_ns(from->options.write_timeout, 60);
    aio__ring_clear(&service->requests);
    return service;
}

static aio_server_task *aio__http_listen(const struct aio__http_serving *from)
{
    aio_server_options options;
    memset(&options, 0, sizeof options);
    options.tls_context = from->options.tls_context;
    options.tls_timeout = from->options.tls_timeout;
    options.tls_shutdown_timeout = from->options.tls_shutdown_timeout;
    if (options.tls_shutdown_timeout == 0) options.tls_shutdown_timeout = AIO__LINGER_IDLE;
    options.backlog = from->options.backlog;
    options.reuse_port = from->options.reuse_port;
    options.max_clients = from->options.max_clients;
    options.family = from->options.family;
    return aio_start_server_with(aio__http_client, from->service, from->any ? NULL : from->host, from->port, &options);
}

static AIO_CORO(aio__http_serving)
{
    AIO_BEGIN(aio__http_serving);
    self->service = aio__service_new(self);
    if (!self->service) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->result, aio__http_listen(self));
    self->result->service = self->service;
    self->result->end_idle = aio__service_end_idle;
    self->result->on_free = aio__service_free;
    AIO_FINALLY;
        if (self->task.future.error) aio__free(self->service);
    AIO_END;
}

AIO_API aio_server_task *aio_start_http_server_with(aio_request_handler *handler, void *arg, const char *host, int port,
                                                    const aio_http_server_options *options)
{
    AIO__DEFAULTS(aio_http_server_options, options);
    const aio_http_server_options *o = options;
    const char *why = !handler ? "no handler" : host && strlen(host) > 255 ? "the host name is too long" : NULL;
    if (aio__timeout_ns(o->header_timeout, 60) < 0 || aio__timeout_ns(o->keepalive_timeout, 75) < 0
        || aio__timeout_ns(o->body_timeout, 60) < 0 || aio__timeout_ns(o->body_total_timeout, 300) < 0
        || aio__timeout_ns(o->write_timeout, 60) < 0) why = "a timeout is not a positive number of seconds";
    if (o->max_line_size < 0 || o->max_field_size < 0 || o->max_headers < 0) why = "a limit is negative";
    if (why) return (aio_server_task *)(void *)aio__failure(EINVAL, "start_http_server: %s", why);
    struct aio__http_serving *self =
        (struct aio__http_serving *)aio__new_zeroed(sizeof *self, aio__http_serving_coro);
    if (!self) return NULL;
    self->handler = handler;
    self->arg = arg;
    self->options = *o;
    self->port = port;
    self->any = !host;
    snprintf(self->host, sizeof self->host, "%s", host ? host : "");
    return (aio_server_task *)(void *)self;
}

/* ============================================================================
 * 57. Introspection: task dump and call graph
 *
 * Walks what waits for what, and only reads. Called by nobody above. Downwards through the frames of a task to what the
 * innermost awaits, and that one's children (ops->child); upwards through the waiters. A path may lead in a circle, and
 * a child may have many parents: what is on the path already is not entered again, and each dimension has a bound.
 * ============================================================================ */

enum { AIO__GRAPH_DEPTH = 64, AIO__GRAPH_FRAMES = 64, AIO__GRAPH_CHILDREN = 100, AIO__GRAPH_LINES = 10000 };

typedef struct aio__path { /* from where the walk began to where it is */
    const struct aio__path *up;
    const aio_future       *future;
    FILE                   *out;
    int                     depth;
    int                    *lines; /* entered so far, all over the tree */
} aio__path;

/* False, and says so, if the walk goes no further here. */
static bool aio__path_enter(aio__path *path, const aio__path *up, const aio_future *future)
{
    path->up = up;
    path->future = future;
    path->out = up->out;
    path->depth = up->depth + 1;
    path->lines = up->lines;
    int indent = 2 * path->depth;
    for (const aio__path *seen = up; seen->up; seen = seen->up) {
        if (seen->future != future) continue;
        fprintf(path->out, "%*s(a circle: see above)\n", indent, "");
        return false;
    }
    if (path->depth < AIO__GRAPH_DEPTH && ++*path->lines < AIO__GRAPH_LINES) return true;
    fprintf(path->out, "%*s...\n", indent, "");
    return false;
}

/* The coroutine that `t` awaits within the same task, or NULL if t is the innermost. */
static const aio_task *aio__frame_inner(const aio_task *t)
{
    bool last = t->future.state == AIO__NEW || aio__root((aio_task *)(uintptr_t)t)->link.leaf == t;
    return last ? NULL : (const aio_task *)(const void *)t->awaiting;
}

static void aio__print_frame(FILE *out, int indent, const aio_task *t)
{
    aio__probe probe;
    aio__who_is(t, &probe);
    if (t->line == AIO__START && t->future.loop && t->future.loop->current != aio__root((aio_task *)(uintptr_t)t))
        fprintf(out, "%*s%s, in %s (not started)\n", indent, "", probe.file, probe.name);
    else if (aio__line_of(t->line))
        fprintf(out, "%*s%s:%d, in %s\n", indent, "", probe.file, aio__line_of(t->line), probe.name);
    else fprintf(out, "%*s%s, in %s\n", indent, "", probe.file, probe.name);
}

/* The lines of a task's coroutines, outermost first; gives the innermost. */
static const aio_task *aio__print_frames(FILE *out, int indent, const aio_task *root)
{
    long count = 1, i = 0;
    const aio_task *inner;
    for (const aio_task *t = root; (inner = aio__frame_inner(t)) != NULL; t = inner) count++;
    for (const aio_task *t = root;; t = inner, i++) {
        bool shown = i < AIO__GRAPH_FRAMES / 2 || count - i <= AIO__GRAPH_FRAMES / 2;
        if (shown) aio__print_frame(out, indent, t);
        else if (i == AIO__GRAPH_FRAMES / 2) fprintf(out, "%*s... %ld more\n", indent, "", count - AIO__GRAPH_FRAMES);
        inner = aio__frame_inner(t);
        if (!inner) return t;
    }
}

/* "task 'name'", "gather", "future", and its state if it waits for nothing. */
static void aio__print_title(FILE *out, const aio_future *f)
{
    if (f->flags & AIO__F_CORO)
        fprintf(out, "%s '%s'", (f->flags & AIO__F_TASK) ? "task" : "coroutine",
                aio__task_label((const aio_task *)(const void *)f));
    else if (f->flags & AIO__F_YIELD) fputs("sleep(0)", out);
    else fputs(f->run.ops ? f->run.ops->name : "future", out);
    if (f->state >= AIO__DONE) fputs(f->state == AIO__CANCELLED ? " (cancelled)" : " (done)", out);
    else if (f->loop && f == (const aio_future *)f->loop->current) fputs(" (running)", out);
    fputc('\n', out);
}

static void aio__graph_down(const aio__path *up, const aio_future *f);

static void aio__graph_children(const aio__path *path, const aio_future *f)
{
    if (f->state >= AIO__DONE || !f->run.ops || !f->run.ops->child) return;
    size_t i = 0;
    aio_future *child;
    while ((child = f->run.ops->child((aio_future *)(uintptr_t)f, i)) != NULL && i++ < AIO__GRAPH_CHILDREN)
        aio__graph_down(path, child);
    if (child) fprintf(path->out, "%*s... and more\n", 2 * path->depth + 2, "");
}

static void aio__graph_down(const aio__path *up, const aio_future *f)
{
    aio__path path;
    if (!aio__path_enter(&path, up, f)) return;
    int indent = 2 * path.depth;
    fprintf(path.out, "%*s", indent, "");
    aio__print_title(path.out, f);
    if (!(f->flags & AIO__F_CORO)) {
        aio__graph_children(&path, f);
        return;
    }
    if (f->state >= AIO__DONE) return;
    const aio_task *leaf = aio__print_frames(path.out, indent + 2, (const aio_task *)(const void *)f);
    const aio_future *awaited = aio__awaited(leaf);
    if (awaited) aio__graph_down(&path, awaited);
}

typedef struct aio__search { /* is this a live future? */
    const void *what;
    bool        found;
} aio__search;

static void aio__search_visit(void *object, void *arg)
{
    aio__search *search = (aio__search *)arg;
    if (object == search->what) search->found = true;
}

/* The future that a waiter belongs to: the waiting task's, or a combinator's; NULL for others. */
static const aio_future *aio__waiter_of(const aio_future *f, aio__node *node)
{
    if (aio__node_is_task(node)) return &aio__root(AIO__CONTAINER(node, aio_task, node))->future;
    aio__work *work = (aio__work *)(void *)node;
    aio__search search = { work->owner, false };
    if (work->owner == f) return NULL; /* a done callback */
    aio__heap_each(&f->loop->frames, aio__search_visit, &search);
    return search.found ? (const aio_future *)work->owner : NULL;
}

static void aio__graph_up(const aio__path *up, const aio_future *f)
{
    if (f->state >= AIO__DONE || !f->loop || ((f->flags & AIO__F_CORO) && !(f->flags & AIO__F_TASK))) return;
    aio__node *first = f->waiters.first, *node = first;
    for (int i = 0; node && i < AIO__GRAPH_CHILDREN; i++) {
        aio__path path;
        const aio_future *waiter = aio__waiter_of(f, node);
        if (waiter && aio__path_enter(&path, up, waiter)) {
            fprintf(path.out, "%*sawaited by ", 2 * path.depth, "");
            aio__print_title(path.out, waiter);
            if (waiter->flags & AIO__F_CORO)
                aio__print_frames(path.out, 2 * path.depth + 2, (const aio_task *)(const void *)waiter);
            aio__graph_up(&path, waiter);
        }
        node = node->next == first ? NULL : node->next;
    }
    if (node) fprintf(up->out, "%*s... and more\n", 2 * up->depth + 2, "");
}

AIO_API void aio_print_call_graph(const void *task, void *file)
{
    if (!task || !file) return;
    const aio_future *f = aio__future_of(task, "aio_print_call_graph");
    int lines = 0;
    aio__path top = { NULL, NULL, (FILE *)file, -1, &lines };
    aio__graph_down(&top, f);
    aio__path begin = { &top, f, (FILE *)file, -1, &lines };
    aio__graph_up(&begin, f);
}

static void aio__print_task(void *object, void *arg)
{
    const aio_task *t = (const aio_task *)object;
    FILE *out = (FILE *)arg;
    if (!(t->future.flags & AIO__F_TASK) || t->future.state >= AIO__DONE) return;
    aio__print_title(out, &t->future);
    const aio_task *leaf = aio__print_frames(out, 2, t);
    const aio_future *awaited = aio__awaited(leaf);
    if (!awaited) return;
    fputs("  awaits ", out);
    aio__print_title(out, awaited);
}

AIO_API void aio_print_tasks(void *file)
{
    aio_loop *loop = aio__loop_now();
    if (!file) return;
    size_t count = loop && !loop->closed ? loop->task_count : 0;
    fprintf((FILE *)file, "%zu task%s\n", count, count == 1 ? "" : "s");
    if (count) aio__heap_each(&loop->frames, aio__print_task, file);
}

static void aio__print_tasks_now(void *arg)
{
    (void)arg;
    aio_print_tasks(stderr);
}

AIO_API int aio_print_tasks_on_signal(aio_loop *loop, int signum)
{
    return aio_loop_add_signal_handler(loop, signum, aio__print_tasks_now, NULL);
}


#ifdef __cplusplus
}
#endif
#endif /* AIO__IMPLEMENTATION_INCLUDED */
#endif /* AIO_IMPLEMENTATION */

/*
HISTORY

0.1.0, not released: the first version.

------------------------------------------------------------------------------
VULNERABILITIES

Report one as a private security advisory of the repository that you have this file from, or, if it has none, in its
issue tracker, without what an attacker would need.

------------------------------------------------------------------------------
aio.h is available under either of two licences; choose the one you prefer.

------------------------------------------------------------------------------
ALTERNATIVE A: MIT No Attribution (MIT-0)

Copyright (c) 2026 the aio.h authors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.

------------------------------------------------------------------------------
ALTERNATIVE B: Public Domain (www.unlicense.org)

This is free and unencumbered software released into the public domain.

Anyone is free to copy, modify, publish, use, compile, sell, or distribute
this software, either in source code form or as a compiled binary, for any
purpose, commercial or non-commercial, and by any means.

In jurisdictions that recognize copyright laws, the author or authors of this
software dedicate any and all copyright interest in the software to the public
domain. We make this dedication for the benefit of the public at large and to
the detriment of our heirs and successors. We intend this dedication to be an
overt act of relinquishment in perpetuity of all present and future rights to
this software under copyright law.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN
ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
*/
