/* The test harness.
 *
 * TEST(name) { ... }      a function; runs once on each poller, and with an allocation for each object
 * SCENARIO(name) { ... }  a coroutine (struct name, AIO_BEGIN(name) ... AIO_END as ever; its members are zero), written
 *                         once and run in every way of the table `ways` below
 * Options follow the name: .skip = KIND_CALL | KIND_SLICE (say why beside it), .may = { ECONNRESET } (codes that a
 * fault may turn into on its way, beside its own). KIND_DEBUG: it counts or prints what debug mode would change, and
 * runs without that. With AIO_DEBUG=1 all others are in it: then the loop may report anything but what was left open.
 * KIND_AGAIN: it has no loop, so that the first way tells all. KIND_OWN: not with an allocation for each object, as it
 * is about slabs, or about freed memory, of which checkers tell first.
 *
 * CHECK(condition), CHECK_INT(actual, expected), CHECK_NEAR(actual, expected, within), CHECK_STR, CHECK_PTR,
 * CHECK_BYTES(actual, length, expected[, length]), CHECK_ABORTS("message", statement); UNREACHED(): a check that fails;
 * REQUIRE(condition), in a scenario: a CHECK that, failing, raises what was injected; CAUGHT(code), in AIO_CATCH: a
 * CHECK that, failing, raises what was caught again; ALWAYS(condition): see below; expect_report("part"): such a report
 * of the loop is wanted.
 *
 * When a check counts. A run is untouched until a fault that a program can see was injected: a failed allocation, a
 * failed call (EINTR, and EAGAIN of a descriptor, are no such fault), a cancel. Untouched, every CHECK counts, the
 * scenario must end without an error, and the loop must have nothing to report. Once touched, CHECK and REQUIRE no
 * longer count (ALWAYS does), reports are fine, and the scenario may end at once: with success, with the code that was
 * injected (ENOMEM, the errno; AIO_ECANCELLED), with one of .may, or with a group of those. Touched or not, nothing may
 * be left: no allocation, descriptor, thread, future. So a scenario releases what it owns in AIO_FINALLY, before that
 * awaits: an await there may fail, too. Tasks that it leaves running are cancelled and waited for, as aio_run does.
 *
 * Every test has a process of its own, which a watchdog ends; a way that crashes or hangs is named, the others go on.
 *
 * usage: build/test [--list] [--torture] [--way NAME,...] [--at RUN] [--seed N] [--sample N] [--seconds N]
 *                   [--jobs N] [--here] [NAME...]
 *   NAME: the test of that name, or else all whose name contains it. --sample: so many runs of a way, else 40.
 *   --torture: every run of every way, or the sample, and on until the fault is no longer reached.
 *   --here: in this process, for a debugger. --seconds: what the watchdog allows one run, else 60. --jobs: tests at a
 *   time, else twice as many as there are processors. AIO_POLLER: only that poller.
 *
 * harness_seam.h is the seam with its faults and its time; harness_ways.h the ways of a test, harness_run.h all. */
#include <sys/mman.h>
#include <sys/wait.h>

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include "harness_seam.h"

enum { KIND_PLAIN = 1, KIND_ALLOC = 2, KIND_CALL = 4, KIND_SLICE = 8, KIND_CANCEL = 16, KIND_SHUFFLE = 32,
       KIND_DEBUG = 64, KIND_EMBED = 128, KIND_AGAIN = 256, KIND_OWN = 512 };
static const struct way { const char *name, *poller; int kind, variant; } ways[] = {
    { "epoll", "epoll", KIND_PLAIN, 0 },
    { "poll", "poll", KIND_PLAIN, 0 },
    { "kqueue", "kqueue", KIND_PLAIN, 0 },
    { "plain-alloc", NULL, KIND_PLAIN, 1 },   /* no slabs: checkers see every object */
    { "embed", "epoll", KIND_EMBED, 0 },      /* inside another loop, which calls aio_loop_run_once */
    { "alloc-one", NULL, KIND_ALLOC, 0 },     /* the Nth allocation fails */
    { "alloc-on", NULL, KIND_ALLOC, 1 },      /* and all after it */
    { "call", NULL, KIND_CALL, 0 },           /* the Nth call of each kind fails with each of its errnos */
    { "call-poll", "poll", KIND_CALL, 0 },
    { "slice-one", NULL, KIND_SLICE, SLICE_ONE },
    { "slice-random", NULL, KIND_SLICE, SLICE_RANDOM },
    { "slice-poll", "poll", KIND_SLICE, SLICE_ONE },
    { "cancel", NULL, KIND_CANCEL, 0 },       /* cancelled after the Nth iteration, so at every await in every state */
    { "cancel-again", NULL, KIND_CANCEL, 1 }, /* and, if it has not ended then, after the next one again */
    { "shuffle", NULL, KIND_SHUFFLE, 0 },     /* what is ready comes in seeded random order */
    { "shuffle-poll", "poll", KIND_SHUFFLE, 0 },
};
enum { WAYS = sizeof ways / sizeof *ways, MOST = 5 /* failures that a way prints */ };

typedef struct test {
    const char  *name, *file;
    void       (*function)(void);
    void      *(*scenario)(void);
    int          skip;
    int          may[8];
    struct test *next;
} test;
static test *tests, **tests_end = &tests;

#define TEST_ADD(test_name, member, value, ...)                                                                 \
    static test test_name##_test = { .name = #test_name, .file = __FILE__, .member = (value), __VA_ARGS__ };    \
    __attribute__((__constructor__)) static void test_name##_add(void)                                          \
    {                                                                                                           \
        *tests_end = &test_name##_test;                                                                         \
        tests_end = &test_name##_test.next;                                                                     \
    }
#define TEST(...) TEST_(__VA_ARGS__, )
#define TEST_(name, ...) static void name##_body(void); TEST_ADD(name, function, name##_body, __VA_ARGS__) \
    static void name##_body(void)
#define SCENARIO(...) SCENARIO_(__VA_ARGS__, )
#define SCENARIO_(name, ...) static AIO_CORO(name); static void *name##_make(void) { return AIO_CALL(name); } \
    TEST_ADD(name, scenario, name##_make, __VA_ARGS__) static AIO_CORO(name)

static struct { /* options */
    bool     torture, here;
    long     at, seconds, jobs, sample;
    uint64_t seed;
    const char *way, *poller;
} options = { false, false, -2, 60, 0, -1, 1, NULL, NULL };

/* Binds a socket to *port, 0 being any, which it is set to, and does not listen: connects are refused, and neither
 * another test nor the connect itself can come to have the port. The descriptor, or 0. */
static int port_hold(int *port, bool reuse)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = reuse;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((in_port_t)*port);
    if (fd < 0) return 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, length) || getsockname(fd, (struct sockaddr *)&address, &length)) {
        close(fd);
        return 0;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

/* A port at which nobody listens, for as long as the tests run. */
static int dead_port;

static struct shared { long passed, failed, run; int way; bool done; } *with_parent; /* with the parent process */
static struct { /* this way */
    const test *t;
    const struct way *w;
    long        n, runs, failures, iterations;
    bool        cancelled;
    int         reports;
    const char *wanted_report;
    char        report[256];
} now;

/* ---- checks ---- */
static bool touched(void) { return SEAM_GET(seam.touched) || now.cancelled; }

AIO__PRINTF(1, 2)
static void fail(const char *format, ...)
{
    va_list arguments;
    if (++now.failures > MOST) return;
    printf("# ");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n#   alone: build/test --seed %llu --way %s --at %ld %s\n", (unsigned long long)options.seed, now.w->name,
           now.n, now.t->name);
    fflush(stdout);
}

static bool check_true(bool ok, bool always, const char *text, const char *file, int line)
{
    if (!ok && (always || !touched())) fail("%s:%d: %s is false", file, line, text);
    return ok;
}

static bool check_int(long long a, long long b, const char *text, const char *file, int line)
{
    if (a != b && !touched()) fail("%s:%d: %s is %lld, expected %lld", file, line, text, a, b);
    return a == b;
}

static bool check_near(double a, double b, double within, const char *text, const char *file, int line)
{
    bool ok = a - b <= within && b - a <= within;
    if (!ok && !touched()) fail("%s:%d: %s is %.9g, expected %.9g within %g", file, line, text, a, b, within);
    return ok;
}

static bool check_ptr(const void *a, const void *b, const char *text, const char *file, int line)
{
    if (a != b && !touched()) fail("%s:%d: %s is %p, expected %p", file, line, text, a, b);
    return a == b;
}

static void escape(char *out, const char *data, size_t length)
{
    size_t used = 0;
    for (size_t i = 0; i < length && used < 500; i++) {
        bool plain = data[i] >= ' ' && data[i] <= '~' && data[i] != '\\';
        used += (size_t)snprintf(out + used, 8, plain ? "%c" : "\\x%02x", plain ? data[i] : (unsigned char)data[i]);
    }
    out[used] = 0;
}

static bool check_bytes(const void *a, size_t n, const void *b, size_t m, const char *text, const char *file, int line)
{
    char got[512], wanted[512];
    bool ok = (a || !n) && n == m && (n == 0 || memcmp(a, b, n) == 0);
    if (ok || touched()) return ok;
    escape(got, a ? (const char *)a : "(null)", a ? n : 6);
    escape(wanted, (const char *)b, m);
    fail("%s:%d: %s is \"%s\" (%zu), expected \"%s\" (%zu)", file, line, text, got, n, wanted, m);
    return false;
}

static bool check_str(const char *a, const char *b, const char *text, const char *file, int line)
{
    if (!a || !b) return check_ptr(a, b, text, file, line);
    return check_bytes(a, strlen(a), b, strlen(b), text, file, line);
}

#define CHECK(condition)        check_true(!!(condition), false, #condition, __FILE__, __LINE__)
#define ALWAYS(condition)       check_true(!!(condition), true, #condition, __FILE__, __LINE__)
#define UNREACHED()             check_true(false, false, "that this place is reached", __FILE__, __LINE__)
#define CHECK_INT(a, b)         check_int((long long)(a), (long long)(b), #a, __FILE__, __LINE__)
#define CHECK_NEAR(a, b, d)     check_near((double)(a), (double)(b), (d), #a, __FILE__, __LINE__)
#define CHECK_PTR(a, b)         check_ptr((a), (b), #a, __FILE__, __LINE__)
#define CHECK_STR(a, b)         check_str((a), (b), #a, __FILE__, __LINE__)
/* (actual, length, text) or (actual, length, expected, length) */
#define CHECK_BYTES(a, n, ...)  CHECK_BYTES_(a, n, __VA_ARGS__, strlen(CHECK_FIRST(__VA_ARGS__, 0)), 0)
#define CHECK_BYTES_(a, n, b, m, ...) check_bytes((a), (n), (b), (m), #a, __FILE__, __LINE__)
#define CHECK_FIRST(a, ...)     ((const char *)(a))
#define REQUIRE(condition) \
    do if (!CHECK(condition)) AIO_RAISE(require_code(), "%s", #condition); while (0)
#define CAUGHT(expected) \
    do if (!CHECK_INT(aio_caught(self)->code, (expected))) AIO_RERAISE(); while (0)

/* In a child process: `statement` must end it by abort(), with `message` on stderr. */
#define CHECK_ABORTS(message, statement)                                      \
    do {                                                                      \
        int abort_pipe[2];                                                    \
        pid_t abort_child = abort_begin(abort_pipe);                          \
        if (abort_child == 0) { statement; _exit(0); }                        \
        abort_end(abort_child, abort_pipe, (message), __FILE__, __LINE__);    \
    } while (0)

static pid_t abort_begin(int *fds)
{
    fflush(stdout);
    pid_t child = pipe(fds) == 0 ? fork() : -1;
    if (child != 0) return child;
    dup2(fds[1], 2);
    signal(SIGABRT, SIG_DFL);
    alarm((unsigned)options.seconds);
    return 0;
}

static void abort_end(pid_t child, int *fds, const char *message, const char *file, int line)
{
    char text[4096];
    size_t length = 0;
    ssize_t n;
    int status = 0;
    close(fds[1]);
    while (length < sizeof text - 1
           && (n = read(fds[0], text + length, sizeof text - 1 - length)) > 0) length += (size_t)n;
    text[length] = 0;
    close(fds[0]);
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) fail("%s:%d: it did not abort: status %d", file, line,
                                                                  status);
    if (!strstr(text, message)) fail("%s:%d: stderr was \"%s\", expected \"%s\"", file, line, text, message);
}

static int require_code(void) { return seam.touched ? seam.touched : now.cancelled ? AIO_ECANCELLED : AIO_ERUNTIME; }

static void expect_report(const char *part) { now.wanted_report = part; }

static void on_report(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)loop, (void)exception, (void)arg;
    bool fine = getenv("AIO_DEBUG") && !strstr(message, "was never closed") && !strstr(message, "was never released");
    if (now.wanted_report && strstr(message, now.wanted_report)) now.wanted_report = NULL;
    else if (!fine && now.reports++ == 0) snprintf(now.report, sizeof now.report, "%s", message);
}

/* A copy of the bytes that ends where the memory ends, so that reading beyond them is a crash; until the next one. */
static char *at_the_edge(const void *data, size_t n)
{
    static char *edge;
    size_t room = (size_t)64 * 4096, page = (size_t)sysconf(_SC_PAGESIZE);
    if (!edge) {
        void *memory = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || mprotect((char *)memory + room, page, PROT_NONE)) abort();
        edge = (char *)memory + room;
    }
    if (n) memcpy(edge - n, data, n);
    return edge - n;
}

/* Memory, zero, for as long as the process lives. Where leaks are looked for, each process of the tests is searched
 * through, its static arrays too. */
static void *kept(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory) abort();
    return memory;
}

/* So many rows of a table: all in the plain ways, slices and shuffles; `some` in the ways of many runs, where the
 * others would go through the same code again. */
static int rows_of(int all, int some)
{
    return now.w->kind & (KIND_ALLOC | KIND_CALL | KIND_CANCEL) ? some : all;
}

#include "harness_run.h"
