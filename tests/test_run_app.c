/* aio_run_app: a program that serves an application in several threads until a signal comes. */

static int run_app_port, run_app_holder, run_app_started, run_app_ended, run_app_code, run_app_rounds;
static unsigned run_app_threads; /* bits of those that have answered */
static __thread int run_app_own;

/* A port that is this test's, as long as a socket that does not listen has it. */
static void run_app_hold(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof address;
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    run_app_holder = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(run_app_holder, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(run_app_holder, (struct sockaddr *)&address, length)
        || getsockname(run_app_holder, (struct sockaddr *)&address, &length)) fail("no port");
    run_app_port = ntohs(address.sin_port);
    run_app_started = run_app_ended = run_app_code = run_app_own = 0;
    run_app_threads = 0;
}

static void *run_app_hello(aio_request *request, void *arg)
{
    __atomic_fetch_or(&run_app_threads, 1u << run_app_own, __ATOMIC_SEQ_CST);
    return (void)arg, aio_request_respond(request, 200, .text = "hello");
}

/* One that ends only when it is dropped. */
struct run_app_stays { aio_task task; aio_request *request; };
static AIO_CORO(run_app_stays)
{
    AIO_BEGIN(run_app_stays);
    AIO_AWAIT(aio_request_start(self->request, 200));
    AIO_AWAIT(aio_request_chunk(self->request, "x", 1));
    for (;;) AIO_AWAIT(aio_sleep(1000));
    AIO_END;
}
static void *run_app_stay(aio_request *request, void *arg)
{
    __atomic_fetch_or(&run_app_threads, 1u << run_app_own, __ATOMIC_SEQ_CST);
    return (void)arg, AIO_CALL(run_app_stays, .request = request);
}

/* Asks over connections of its own, as often as it takes until all threads have answered, then sends the signals; of
 * more than one signal the connections stay meanwhile. */
enum { RUN_APP_KEPT = 100 };
struct run_app_client {
    aio_task task; unsigned threads; const char *path; int signals; aio_stream *stream, *kept[RUN_APP_KEPT];
    aio_text text; char said[80]; int i;
};
static AIO_CORO(run_app_client)
{
    AIO_BEGIN(run_app_client);
    for (; self->i < 1000 && (!self->i || run_app_threads != self->threads); self->i++) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", run_app_port));
        snprintf(self->said, sizeof self->said, "GET %s HTTP/1.0\r\n\r\n", self->path);
        aio_stream_write(self->stream, self->said, strlen(self->said));
        AIO_AWAIT(self->text, aio_stream_read(self->stream, 100));
        CHECK(!memcmp(self->text.data, "HTTP/1.1 200 OK", 15));
        if (self->signals > 1 && self->i < RUN_APP_KEPT) self->kept[self->i] = self->stream;
        else aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    for (run_app_rounds = self->i; self->signals--;) {
        kill(getpid(), self->signals || self->kept[0] ? SIGINT : self->i ? SIGTERM : SIGINT);
        AIO_AWAIT(aio_sleep(0.02));
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        for (int i = 0; i < RUN_APP_KEPT; i++) aio_stream_abort(self->kept[i]);
    AIO_END;
}

struct run_app_plan { unsigned threads; const char *path; int signals; int fails, code; };

/* In each thread; the first one's has the client beside it. */
struct run_app_begin { aio_task task; const struct run_app_plan *plan; int which; };
static AIO_CORO(run_app_begin)
{
    AIO_BEGIN(run_app_begin);
    AIO_AWAIT(aio_sleep(0));
    self->which = __atomic_fetch_add(&run_app_started, 1, __ATOMIC_SEQ_CST);
    run_app_own = self->which;
    if (self->plan->fails == self->which + 1) AIO_RAISE(self->plan->code, "no startup");
    if (!self->which && self->plan->path)
        aio_unref(aio_create_task(AIO_CALL(run_app_client, .threads = self->plan->threads, .path = self->plan->path,
                                           .signals = self->plan->signals)));
    AIO_END;
}
static void *run_app_startup(void *plan)
{
    return AIO_CALL(run_app_begin, .plan = (const struct run_app_plan *)plan);
}

static void *run_app_cleanup(void *plan)
{
    __atomic_add_fetch(&run_app_ended, 1, __ATOMIC_SEQ_CST);
    return (void)plan, aio_sleep(0);
}

static int run_app_run(const struct run_app_plan *plan, int threads, double seconds)
{
    aio_http_server_options server = { .reuse_port = threads < 2 }; /* several have it of themselves */
    run_app_hold();
    aio_app *app = aio_app_open();
    aio_app_route(app, "GET", "/", run_app_hello, NULL);
    aio_app_route(app, "GET", "/stay", run_app_stay, NULL);
    int status = aio_run_app(app, "127.0.0.1", run_app_port, .threads = threads, .shutdown_timeout = seconds,
                             .quiet = true, .startup = run_app_startup, .cleanup = run_app_cleanup, .server = &server,
                             .arg = (void *)(uintptr_t)plan);
    close(run_app_holder);
    return status;
}

TEST(run_app_one_thread)
{
    static const struct run_app_plan plan = { 1, "/", 1, 0, 0 };
    CHECK_INT(run_app_run(&plan, 0, 5), 0);
    CHECK(run_app_started == 1 && run_app_ended == 1);
}

TEST(run_app_three_threads)
{
    static const struct run_app_plan plan = { 7, "/", 1, 0, 0 };
    CHECK_INT(run_app_run(&plan, 3, 5), 0);
    CHECK(run_app_started == 3 && run_app_ended == 3 && run_app_threads == 7);
}

/* A handler goes on for ever in each thread: the first signal waits for them, the second one does not. */
TEST(run_app_second_signal)
{
    static const struct run_app_plan plan = { 7, "/stay", 2, 0, 0 };
    CHECK_INT(run_app_run(&plan, 3, AIO_UNLIMITED), 130);
    CHECK(run_app_started == 3 && run_app_ended == 3 && run_app_threads == 7);
}

/* A thread cannot begin: the others end, and what it was is said. */
TEST(run_app_thread_fails)
{
    static const struct run_app_plan plans[] = {
        { 0, NULL, 0, 2, EDOM }, { 0, NULL, 0, 1, EDOM }, { 0, NULL, 0, 2, AIO_ECANCELLED },
        { 0, NULL, 0, 1, AIO_ECANCELLED } /* of itself: nobody has stopped it */
    };
    for (int i = 0; i < 4; i++) {
        CHECK_INT(run_app_run(&plans[i], 3, 5), 1);
        CHECK_INT(run_app_ended, run_app_started - 1);
    }
}

TEST(run_app_refuses)
{
    static const struct run_app_plan plan = { 0, NULL, 0, 1, EDOM };
    aio_http_server_options server = { .sock = 7 };
    CHECK_INT(run_app_run(&plan, 1, 5), 1);
    CHECK(run_app_started == 1 && !run_app_ended);
    CHECK_INT(aio_run_app(NULL, "127.0.0.1", 0), 1);
    CHECK_INT(aio_run_app(aio_app_open(), "127.0.0.1", 0, .threads = -2), 1);
    CHECK_INT(aio_run_app(aio_app_open(), "127.0.0.1", 0, .shutdown_timeout = -3), 1);
    CHECK_INT(aio_run_app(aio_app_open(), "127.0.0.1", 0, .threads = 2, .server = &server), 1);
    aio_app *app = aio_app_open();
    aio_app_route(app, "GET", "/{a", run_app_hello, NULL);
    CHECK_INT(aio_run_app(app, "127.0.0.1", 0), 1);
}

/* ---- unix sockets, and sockets that were inherited ---- */

static char run_app_path[2][80];
static int run_app_wanted; /* threads */
static struct stat run_app_file;

/* Asks at each of these, a path or "", which is the port, once all threads have begun, and then ends the program. */
struct run_app_visit { aio_task task; const char *const *targets; aio_stream *stream; aio_text text; int i, tries; };
static AIO_CORO(run_app_visit)
{
    AIO_BEGIN(run_app_visit);
    do AIO_AWAIT(aio_sleep(0.002));
    while (self->tries++ < 2000 && __atomic_load_n(&run_app_started, __ATOMIC_SEQ_CST) < run_app_wanted);
    for (; self->targets[self->i]; self->i++) {
        if (*self->targets[self->i]) AIO_AWAIT(self->stream, aio_open_unix_connection(self->targets[self->i]));
        else AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", run_app_port));
        aio_stream_write(self->stream, "GET / HTTP/1.0\r\n\r\n", 18);
        AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
        CHECK(!memcmp(self->text.data, "HTTP/1.1 200 OK", 15));
        aio_stream_abort(self->stream);
        self->stream = NULL;
        run_app_rounds++;
    }
    stat(run_app_path[0], &run_app_file);
    AIO_FINALLY;
        kill(getpid(), SIGTERM);
        aio_stream_abort(self->stream);
    AIO_END;
}
static void *run_app_visits(void *targets)
{
    if (!__atomic_fetch_add(&run_app_started, 1, __ATOMIC_SEQ_CST))
        aio_unref(aio_create_task(AIO_CALL(run_app_visit, .targets = (const char *const *)targets)));
    return aio_sleep(0);
}

static aio_app *run_app_make(int threads)
{
    run_app_hold();
    run_app_wanted = threads > 1 ? threads : 1;
    run_app_rounds = 0;
    memset(&run_app_file, 0, sizeof run_app_file);
    for (int i = 0; i < 2; i++) {
        snprintf(run_app_path[i], sizeof run_app_path[i], "/tmp/aio-run-%ld-%d", (long)getpid(), i);
        unlink(run_app_path[i]);
    }
    aio_app *app = aio_app_open();
    aio_app_route(app, "GET", "/", run_app_hello, NULL);
    return app;
}

/* A socket that is bound to a path, and listens if it is to. */
static int run_app_socket(const char *path, bool listens)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || (listens && listen(fd, 10))) fail("no socket");
    return fd;
}

/* A path alone, where a stale file is, with its mode; the same beside a port, in three threads. The file is gone in the
 * end. */
TEST(run_app_path)
{
    static const char *const alone[] = { run_app_path[0], run_app_path[0], NULL };
    static const char *const both[] = { run_app_path[0], "", run_app_path[0], "", run_app_path[0], NULL };
    aio_http_server_options server = { .mode = 0640, .reuse_port = true };
    aio_app *app = run_app_make(1);
    close(run_app_socket(run_app_path[0], false));
    CHECK_INT(aio_run_app(app, NULL, 0, .path = run_app_path[0], .server = &server, .quiet = true, .startup = run_app_visits,
                          .arg = (void *)(uintptr_t)alone), 0);
    CHECK_INT(run_app_rounds, 2);
    CHECK_INT(run_app_file.st_mode & 0777, 0640);
    CHECK(stat(run_app_path[0], &run_app_file) < 0);
    close(run_app_holder);
    app = run_app_make(3);
    CHECK_INT(aio_run_app(app, "127.0.0.1", run_app_port, .path = run_app_path[0], .server = &server, .quiet = true,
                          .threads = 3, .startup = run_app_visits, .arg = (void *)(uintptr_t)both), 0);
    CHECK_INT(run_app_rounds, 5);
    CHECK_INT(run_app_started, 3);
    CHECK(stat(run_app_path[0], &run_app_file) < 0);
    close(run_app_holder);
}

/* Two sockets from a service manager, in one thread and in three; and none, where what is said else counts. A file that
 * others have made stays. */
TEST(run_app_listen_fds)
{
    static const char *const two[] = { run_app_path[0], run_app_path[1], run_app_path[0], NULL }, *const port[] = { "", NULL };
    aio_http_server_options server = { .reuse_port = true }, other = { .sock = 999 }; /* which does not count then */
    char pid[20];
    int kept[2];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    for (int threads = 0; threads < 4; threads += 3) {
        aio_app *app = run_app_make(threads);
        for (int i = 0; i < 2; i++) {
            int fd = run_app_socket(run_app_path[i], true);
            kept[i] = fd == AIO_LISTEN_FDS_START + i ? -1 : fcntl(AIO_LISTEN_FDS_START + i, F_DUPFD_CLOEXEC, 50);
            dup2(fd, AIO_LISTEN_FDS_START + i);
            if (fd != AIO_LISTEN_FDS_START + i) close(fd);
        }
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "2", 1);
        CHECK_INT(aio_run_app(app, "127.0.0.1", run_app_port, .path = "/none/such", .listen_fds = true, .quiet = true,
                              .server = &other, .threads = threads, .startup = run_app_visits,
                              .arg = (void *)(uintptr_t)two), 0);
        CHECK_INT(run_app_rounds, 3);
        CHECK_INT(run_app_started, threads ? threads : 1);
        CHECK(fcntl(AIO_LISTEN_FDS_START, F_GETFD) < 0 && fcntl(AIO_LISTEN_FDS_START + 1, F_GETFD) < 0);
        for (int i = 0; i < 2; i++) {
            CHECK(stat(run_app_path[i], &run_app_file) == 0);
            unlink(run_app_path[i]);
            if (kept[i] >= 0) dup2(kept[i], AIO_LISTEN_FDS_START + i), close(kept[i]);
        }
        unsetenv("LISTEN_FDS");
        close(run_app_holder);
    }
    aio_app *app = run_app_make(1);
    CHECK_INT(aio_run_app(app, "127.0.0.1", run_app_port, .listen_fds = true, .quiet = true, .server = &server,
                          .startup = run_app_visits, .arg = (void *)(uintptr_t)port), 0);
    CHECK_INT(run_app_rounds, 1);
    close(run_app_holder);
}

/* Where it listens, in how many threads, and how it ends, is said on stderr, unless it is to be quiet. */
TEST(run_app_says_where, .skip = KIND_DEBUG)
{
    static const char *const both[] = { "", run_app_path[0], NULL };
    for (int i = 0; i < 3; i++) {
        char wanted[200] = "";
        aio_http_server_options server = { .reuse_port = true };
        aio_app *app = run_app_make(i == 1 ? 3 : 1);
        signal_capture();
        int code = aio_run_app(app, "127.0.0.1", run_app_port, .path = run_app_path[0], .server = &server,
                               .quiet = i == 2, .threads = i == 1 ? 3 : 0, .startup = run_app_visits,
                               .arg = (void *)(uintptr_t)both);
        if (i == 2) fputs("-", stderr);
        if (i < 2) snprintf(wanted, sizeof wanted, "Running on http://127.0.0.1:%d, unix:%s%s (Ctrl-C ends it)\n",
                            run_app_port, run_app_path[0], i ? " in 3 threads" : "");
        CHECK_STR(signal_captured(), i < 2 ? wanted : "-");
        CHECK_INT(code, 0);
        close(run_app_holder);
    }
}

/* What cannot be: a path that is too long, one in a folder that is not there, beside a port and alone, a socket that
 * does not listen behind one that does. Nothing is left. */
TEST(run_app_places_fail)
{
    char longest[200];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    aio_http_server_options server = { .reuse_port = true };
    CHECK_INT(aio_run_app(run_app_make(1), NULL, 0, .path = longest, .quiet = true), 1);
    close(run_app_holder);
    CHECK_INT(aio_run_app(run_app_make(1), NULL, 0, .path = "/none/such", .quiet = true), 1);
    close(run_app_holder);
    for (int threads = 0; threads < 3; threads += 2) {
        aio_app *app = run_app_make(1);
        CHECK_INT(aio_run_app(app, "127.0.0.1", run_app_port, .path = threads ? "/none/such" : longest, .quiet = true,
                              .threads = threads, .server = &server), 1);
        close(run_app_holder);
    }
    server.sock = run_app_holder = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(aio_run_app(aio_app_open(), NULL, 0, .quiet = true, .server = &server), 1);
    close(run_app_holder);
}
