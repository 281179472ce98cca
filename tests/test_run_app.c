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
    return (void)arg, AIO_CALL(run_app_stays, .request = request);
}

/* Asks over connections of its own, as often as it takes until all threads have answered, then sends the signals. */
struct run_app_client {
    aio_task task; unsigned threads; const char *path; int signals; aio_stream *stream; aio_text text; char said[80]; int i;
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
        if (self->signals > 1) break;
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    for (run_app_rounds = self->i; self->signals--;) {
        kill(getpid(), self->signals ? SIGINT : self->i ? SIGTERM : SIGINT);
        AIO_AWAIT(aio_sleep(0.02));
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
    AIO_END;
}

struct run_app_plan { unsigned threads; const char *path; int signals; int fails; };

/* In each thread; the first one's has the client beside it. */
struct run_app_begin { aio_task task; const struct run_app_plan *plan; int which; };
static AIO_CORO(run_app_begin)
{
    AIO_BEGIN(run_app_begin);
    AIO_AWAIT(aio_sleep(0));
    self->which = __atomic_fetch_add(&run_app_started, 1, __ATOMIC_SEQ_CST);
    run_app_own = self->which;
    if (self->plan->fails == self->which + 1) AIO_RAISE(EDOM, "no startup");
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
    aio_http_server_options server = { .reuse_port = true };
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
    static const struct run_app_plan plan = { 1, "/", 1, 0 };
    CHECK_INT(run_app_run(&plan, 0, 5), 0);
    CHECK(run_app_started == 1 && run_app_ended == 1);
}

TEST(run_app_three_threads)
{
    static const struct run_app_plan plan = { 7, "/", 1, 0 };
    CHECK_INT(run_app_run(&plan, 3, 5), 0);
    CHECK(run_app_started == 3 && run_app_ended == 3 && run_app_threads == 7);
}

/* A handler goes on for ever: the first signal waits for it, the second one does not. */
TEST(run_app_second_signal)
{
    static const struct run_app_plan plan = { 0, "/stay", 2, 0 };
    CHECK_INT(run_app_run(&plan, 3, AIO_UNLIMITED), 130);
    CHECK_INT(run_app_ended, run_app_started);
}

/* A thread cannot begin: the others end, and what it was is said. */
TEST(run_app_thread_fails)
{
    static const struct run_app_plan plan = { 0, NULL, 0, 2 };
    CHECK_INT(run_app_run(&plan, 3, 5), 1);
    CHECK_INT(run_app_ended, run_app_started - 1);
}

TEST(run_app_refuses)
{
    static const struct run_app_plan plan = { 0, NULL, 0, 1 };
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
