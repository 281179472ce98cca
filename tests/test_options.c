/* Options: what a timeout may be, in every option and function that takes one; structs by pointer. */
#include "options_with.h"

/* What a call says of its arguments: 0 or a code. Takes the awaitable. */
static int options_code(void *awaitable)
{
    const aio_exception *error = awaitable && aio_future_done(awaitable) ? aio_future_exception(awaitable) : NULL;
    int code = !awaitable ? errno : error ? error->code : 0;
    if (awaitable && !error) aio_future_cancel(awaitable);
    aio_unref(awaitable);
    return code;
}

static aio_future *options_pending[1];
static aio_stream *options_client; /* never called */
static void *options_handle(aio_stream *stream, void *arg) { (void)arg; options_client = stream; return NULL; }
static void *options_answer(aio_request *request, void *arg) { (void)request; (void)arg; return NULL; }

struct options_block { aio_task task; int result; double seconds; int how; };
static AIO_CORO(options_block)
{
    AIO_BEGIN(options_block);
    AIO_TRY {
        if (self->how == 0) AIO_TIMEOUT(self->seconds) { }
        else AIO_TIMEOUT(1) { self->result = aio_timeout_reschedule(self, self->seconds); }
    } AIO_CATCH {
        self->result = aio_caught(self)->code;
    } AIO_END_TRY
    AIO_END;
}

static int options_blocked(double seconds, int how)
{
    int code = 0;
    struct options_block *block = AIO_CALL(options_block, .seconds = seconds, .how = how);
    aio_ref(block);
    if (!aio_loop_run_until_complete(aio_get_event_loop(), block, NULL)) code = block->result;
    aio_unref(block);
    return code;
}

#define OPTIONS_CONNECT(member)  options_code(aio_open_connection("127.0.0.1", 1, .member = t))
#define OPTIONS_LISTEN(member)   options_code(aio_start_server(options_handle, NULL, "127.0.0.1", 0, .member = t))
#define OPTIONS_HTTP(member)     options_code(aio_start_http_server(options_answer, NULL, "127.0.0.1", 0, .member = t))
#define OPTIONS_GET(member)      options_code(aio_session_get(session, "http://x/", .timeout = { .member = t }))
#define OPTIONS_SESSION(...)     options_session(aio_session_open(__VA_ARGS__))
#define OPTIONS_RESOLVER(member) options_resolver(aio_resolver_open(.nameservers = "1.1.1.1", .no_hosts = true, \
                                                                    .resolv_conf = "/dev/null", .member = t))

static int options_session(aio_session *session)
{
    int code = session ? 0 : errno;
    if (session) aio_unref(aio_session_close(session));
    return code;
}

static int options_resolver(aio_resolver *resolver)
{
    int code = resolver ? 0 : errno;
    aio_resolver_close(resolver);
    return code;
}

static int options_runner(double t)
{
    aio_loop *loop = aio_get_event_loop();
    aio_runner *runner = aio_runner_open(.turn = { .seconds = t });
    int code = runner ? 0 : errno;
    aio_runner_close(runner);
    aio_set_event_loop(loop);
    return code;
}

/* The n-th option or function that takes a timeout, with this one: 0 or a code; -1: there are no more. */
static int options_timeout(int n, double t, aio_session *session, aio_concurrent_future *ended)
{
    aio_loop *loop = aio_get_event_loop();
    switch (n) {
    case 0: return options_code(aio_wait(options_pending, 1, .timeout = t));
    case 1: return options_code(aio_as_completed(options_pending, 1, .timeout = t));
    case 2: return options_code(aio_wait_for(aio_future_create(), t)) == EINVAL ? EINVAL : 0;
    case 3: return options_code(aio_wait_for(aio_sleep(1), t)) == EINVAL ? EINVAL : 0;
    case 4: return options_blocked(t, 0);
    case 5: return options_blocked(t, 1);
    case 6: return aio_concurrent_wait(ended, t);
    case 7: return aio_loop_set_slow_callback_duration(loop, t);
    case 8: return aio_loop_set_turn_limits(loop, .seconds = t);
    case 9: return options_runner(t);
    case 10: return OPTIONS_CONNECT(connect_timeout);
    case 11: return OPTIONS_CONNECT(tls_timeout);
    case 12: return OPTIONS_CONNECT(tls_shutdown_timeout);
    case 13: return OPTIONS_CONNECT(happy_eyeballs_delay);
    case 14: return OPTIONS_CONNECT(proxy_timeout);
    case 15: return OPTIONS_LISTEN(tls_timeout);
    case 16: return OPTIONS_LISTEN(tls_shutdown_timeout);
    case 17: return OPTIONS_HTTP(tls_timeout);
    case 18: return OPTIONS_HTTP(tls_shutdown_timeout);
    case 19: return OPTIONS_HTTP(header_timeout);
    case 20: return OPTIONS_HTTP(keepalive_timeout);
    case 21: return OPTIONS_HTTP(body_timeout);
    case 22: return OPTIONS_HTTP(body_total_timeout);
    case 23: return OPTIONS_HTTP(write_timeout);
    case 24: return OPTIONS_GET(total);
    case 25: return OPTIONS_GET(connect);
    case 26: return OPTIONS_GET(sock_connect);
    case 27: return OPTIONS_GET(sock_read);
    case 28: return OPTIONS_SESSION(.timeout = { .total = t });
    case 29: return OPTIONS_SESSION(.timeout = { .connect = t });
    case 30: return OPTIONS_SESSION(.timeout = { .sock_connect = t });
    case 31: return OPTIONS_SESSION(.timeout = { .sock_read = t });
    case 32: return OPTIONS_SESSION(.keepalive_timeout = t);
    case 33: return OPTIONS_SESSION(.happy_eyeballs_delay = t);
    case 34: return OPTIONS_SESSION(.ttl_dns_cache = t);
    case 35: return OPTIONS_RESOLVER(timeout);
    case 36: return OPTIONS_RESOLVER(max_ttl);
    case 37: return OPTIONS_RESOLVER(negative_ttl);
    default: return -1;
    }
}

/* Every one takes the same values, and refuses the same. */
TEST(options_timeouts)
{
    static const double good[] = { 0, AIO_UNLIMITED, AIO_NOW, 1e-9, 5, 1e12 };
    const double bad[] = { NAN, INFINITY, -INFINITY, -0.5, -1.5, -3, -1e9 };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *session = aio_session_open();
    aio_concurrent_future *ended = aio_run_coroutine_threadsafe(loop, AIO_CALL(options_block, .seconds = 1));
    options_pending[0] = aio_future_create();
    CHECK_INT(aio_loop_run_until_complete(loop, aio_sleep(0.01), NULL), 0);
    int n = 0;
    for (; options_timeout(n, 5, session, ended) >= 0; n++) {
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
            int code = options_timeout(n, good[i], session, ended);
            if (code) fail("timeout %d refuses %g: %d", n, good[i], code);
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            int code = options_timeout(n, bad[i], session, ended);
            if (code != EINVAL) fail("timeout %d takes %g: %d", n, bad[i], code);
        }
    }
    CHECK_INT(n, 38);
    aio_future_cancel(options_pending[0]);
    aio_unref(options_pending[0]);
    aio_concurrent_release(ended);
    aio_loop_run_until_complete(loop, aio_session_close(session), NULL);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}

/* 0 is the default, AIO_UNLIMITED none, AIO_NOW at once. */
TEST(options_timeout_values)
{
    CHECK_INT(aio__timeout_ns(0, 2), 2000000000);
    CHECK_INT(aio__timeout_ns(0, AIO_NOW), 0);
    CHECK_INT(aio__timeout_ns(0, AIO_UNLIMITED), INT64_MAX);
    CHECK_INT(aio__timeout_ns(AIO_NOW, 2), 0);
    CHECK_INT(aio__timeout_ns(AIO_UNLIMITED, 2), INT64_MAX);
    CHECK_INT(aio__timeout_ns(1e-9, 2), 1);
    CHECK_INT(aio__timeout_ns(-0.0, 2), 2000000000);
    CHECK(aio__timeout_ns(1e300, 2) > INT64_MAX / 4 && aio__timeout_ns(1e300, 2) < INT64_MAX);
    CHECK(aio__timeout_option(INT64_MAX) == AIO_UNLIMITED && aio__timeout_option(0) == AIO_NOW);
    CHECK(aio__timeout_option(1500000000) == 1.5);
}

struct options_kid { aio_task task; int result; };
static AIO_CORO(options_kid)
{
    AIO_BEGIN(options_kid);
    AIO_AWAIT(aio_sleep(1000));
    AIO_RETURN(7);
    AIO_END;
}

/* The same of waits: none, and at once. */
struct options_waits {
    aio_task            task;
    struct options_kid *kid[1];
    size_t              done;
    int                 got, i;
    aio_completions    *all;
    double              from;
};
#define OPTIONS_KID ((struct options_kid *)aio_ref(self->kid[0]))
SCENARIO(options_waits)
{
    AIO_BEGIN(options_waits);
    for (self->i = 0; self->i < 4; self->i++) {
        self->from = aio_loop_time(aio_get_running_loop());
        REQUIRE(self->kid[0] = aio_create_task(AIO_CALL(options_kid)));
        AIO_AWAIT(self->done, aio_wait(self->kid, 1, .timeout = AIO_NOW));
        CHECK_INT(self->done, 0);
        REQUIRE(self->all = aio_as_completed(self->kid, 1, .timeout = AIO_NOW));
        AIO_TRY {
            AIO_AWAIT(aio_as_completed_next(self->all));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ETIMEOUT);
        } AIO_END_TRY
        aio_unref(self->all);
        REQUIRE(self->all = aio_as_completed(self->kid, 1, .timeout = AIO_UNLIMITED));
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->from, 0, 0.01);
        if (self->i == 0) AIO_AWAIT(self->done, aio_wait(self->kid, 1, .timeout = AIO_UNLIMITED));
        else if (self->i == 1) AIO_AWAIT(aio_as_completed_next(self->all));
        else if (self->i == 2) AIO_AWAIT(self->got, aio_wait_for(OPTIONS_KID, AIO_UNLIMITED));
        else AIO_TIMEOUT(AIO_UNLIMITED) { AIO_AWAIT(OPTIONS_KID); }
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->from, 1000, 0.01);
        CHECK_INT(self->kid[0]->result, 7);
        aio_unref(self->all);
        self->all = NULL;
        aio_unref_all(self->kid, 1);
    }
    AIO_FINALLY;
    aio_unref(self->all);
    if (self->kid[0]) aio_task_cancel(self->kid[0]);
    aio_unref_all(self->kid, 1);
    AIO_END;
}

/* A moment may be over; none need ever come. */
struct options_at { aio_task task; int late; };
SCENARIO(options_at)
{
    AIO_BEGIN(options_at);
    AIO_TRY {
        AIO_TIMEOUT_AT(aio_loop_time(aio_get_running_loop()) - 1) { AIO_AWAIT(aio_sleep(1)); }
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        self->late++;
    } AIO_END_TRY
    AIO_TIMEOUT_AT(AIO_UNLIMITED) { AIO_AWAIT(aio_sleep(1)); }
    CHECK_INT(self->late, 1);
    AIO_END;
}

TEST(options_by_pointer) { CHECK_INT(with_all(), 0); }

/* Of tasks, which keep their type. */
struct options_tasks { aio_task task; aio_task_group *group; struct options_block *made; };
SCENARIO(options_tasks)
{
    static const aio_task_options named = { .name = "named" };
    AIO_BEGIN(options_tasks);
    REQUIRE(self->made = aio_create_task_with(AIO_CALL(options_block, .seconds = 1), &named));
    CHECK_STR(aio_task_name(self->made), "named");
    AIO_AWAIT(self->made);
    REQUIRE(self->made = aio_create_task_with(AIO_CALL(options_block, .seconds = 1), NULL));
    AIO_AWAIT(self->made);
    AIO_TASK_GROUP(self->group) {
        self->made = aio_task_group_create_task_with(self->group, AIO_CALL(options_block, .seconds = 1), &named);
        REQUIRE(self->made);
        CHECK_STR(aio_task_name(self->made), "named");
        REQUIRE(aio_task_group_create_task_with(self->group, AIO_CALL(options_block, .seconds = 1), NULL));
    }
    AIO_END;
}
