/* The pool of kept connections: limits, lines, lives. Servers and gets are those of the client's tests. */
#include <sys/resource.h>

struct pool_limit { aio_task task; aio_server *server; aio_session *session; struct get_url *gets[6]; int i;
    double began; };
SCENARIO(pool_limit, .may = CLIENT_MAY)
{
    AIO_BEGIN(pool_limit);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    self->session = aio_session_open(.limit = 2);
    REQUIRE(self->session);
    self->began = aio_loop_time(aio_get_running_loop());
    for (self->i = 0; self->i < 6; self->i++) {
        self->gets[self->i] = get_task(self->session, aio_server_port(self->server), "/slow", no_timeouts);
        REQUIRE(self->gets[self->i]);
    }
    AIO_AWAIT(aio_sleep(0.5));
    CHECK_INT(aio_session_busy(self->session), 2);
    aio_task_cancel(self->gets[2]);                /* the first of those who wait: the next one has its place */
    AIO_AWAIT(aio_wait(self->gets, 6));
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 15, 0.5);
    for (self->i = 0; self->i < 6; self->i++) {
        CHECK_INT(aio_future_cancelled(self->gets[self->i]), self->i == 2);
        if (self->i == 2) continue;
        CHECK_STR(self->gets[self->i]->body, "late");
        CHECK_INT(self->gets[self->i]->reused, self->i > 2);
        CHECK_NEAR(self->gets[self->i]->seconds, self->i < 2 ? 5 : self->i < 5 ? 10 : 15, 0.5); /* in order */
    }
    CHECK_INT(aio_session_idle(self->session), 2);
    AIO_FINALLY;
        aio_unref_all(self->gets, 6);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A total that runs out in the line names the pool. */
struct pool_timeout { aio_task task; aio_server *server; aio_session *session; struct get_url *gets[2]; };
SCENARIO(pool_timeout, .may = CLIENT_MAY)
{
    AIO_BEGIN(pool_timeout);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    self->session = aio_session_open(.limit_per_host = 1);
    REQUIRE(self->session);
    static const aio_timeouts connect = { 0, 2, 0, 0 };
    self->gets[0] = get_task(self->session, aio_server_port(self->server), "/slow", connect);
    self->gets[1] = get_task(self->session, aio_server_port(self->server), "/slow", connect);
    AIO_AWAIT(aio_gather(self->gets, 2));
    CHECK_INT(self->gets[0]->code, 0);
    CHECK_INT(self->gets[1]->code, AIO_ETIMEOUT);
    CHECK_STR(self->gets[1]->phase, "pool");
    CHECK(strstr(self->gets[1]->message, "`connect` is 2 s") != NULL);
    CHECK_NEAR(self->gets[1]->seconds, 2, 0.1);
    AIO_FINALLY;
        aio_unref_all(self->gets, 2);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Gets one after the other; `wait` seconds between; how many connections the server saw. */
struct pool_twice { aio_task task; const char *says; int end, expected; double wait, keepalive; bool force_close;
    aio_server *server; aio_session *session; struct get_url *get; int i; };
static AIO_CORO(pool_twice)
{
    AIO_BEGIN(pool_twice);
    script_says(&the_script, self->says, self->end);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    self->session = aio_session_open(.keepalive_timeout = self->keepalive, .force_close = self->force_close);
    REQUIRE(self->session);
    for (self->i = 0; self->i < 2; self->i++) {
        self->get = get_task(self->session, aio_server_port(self->server), "/", no_timeouts);
        AIO_AWAIT((struct get_url *)aio_ref(self->get));
        CHECK_INT(self->get->code, 0);
        CHECK_STR(self->get->body, "hello");
        aio_unref(self->get);
        self->get = NULL;
        AIO_AWAIT(aio_sleep(self->wait));
    }
    CHECK_INT(the_script.served, self->expected);
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

struct pool_reuse { aio_task task; };
SCENARIO(pool_reuse, .may = CLIENT_MAY)
{
    AIO_BEGIN(pool_reuse);
    AIO_AWAIT(AIO_CALL(pool_twice, .says = HEAD_5 "hello", .end = END_STAY, .expected = 1));
    AIO_AWAIT(AIO_CALL(pool_twice, .says = HEAD_5 "hello", .end = END_STAY, .wait = 14, .expected = 1));
    AIO_AWAIT(AIO_CALL(pool_twice, .says = HEAD_5 "hello", .end = END_STAY, .wait = 16, .expected = 2));
    AIO_AWAIT(AIO_CALL(pool_twice, .says = HEAD_5 "hello", .end = END_STAY, .wait = 3, .keepalive = 2, .expected = 2));
    AIO_AWAIT(AIO_CALL(pool_twice, .says = HEAD_5 "hello", .end = END_STAY, .force_close = true, .expected = 2));
    AIO_AWAIT(AIO_CALL(pool_twice, .says = HEAD_5 "hello", .end = END_CLOSE, .wait = 1, .expected = 2));
    AIO_AWAIT(AIO_CALL(pool_twice, .says = HEAD_5 "hello", .end = END_CLOSE, .expected = 2)); /* seen, or retried */
    AIO_AWAIT(AIO_CALL(pool_twice, .says = HEAD_5 "hello!", .end = END_STAY, .wait = 1, .expected = 2)); /* too much */
    AIO_AWAIT(AIO_CALL(pool_twice, .says = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
                       .end = END_STAY, .expected = 2));
    AIO_AWAIT(AIO_CALL(pool_twice, .says = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 5\r\n\r\nhello",
                       .end = END_STAY, .wait = 3, .expected = 2));
    AIO_AWAIT(AIO_CALL(pool_twice, .says = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", .end = END_STAY,
                       .expected = 2));
    AIO_END;
}

/* Who waits for a host that has no connection, and gives up, leaves nothing of that host behind. */
struct pool_forgets { aio_task task; aio_server *server; aio_session *session; struct get_url *gets[2]; int i; };
SCENARIO(pool_forgets, .may = CLIENT_MAY)
{
    static const aio_timeouts connect = { 0, 2, 0, 0 };
    AIO_BEGIN(pool_forgets);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "0.0.0.0", 0));
    REQUIRE(self->session = aio_session_open(.limit = 1));
    for (self->i = 0; self->i < 2; self->i++) {
        REQUIRE(self->gets[self->i] = get_task(self->session, 0, "", connect));
        snprintf(self->gets[self->i]->url, sizeof self->gets[self->i]->url, "http://127.0.0.%d:%d/slow",
                 self->i + 1, aio_server_port(self->server));
    }
    AIO_AWAIT(aio_gather(self->gets, 2));
    CHECK_INT(self->gets[0]->code, 0);
    CHECK_INT(self->gets[1]->code, AIO_ETIMEOUT);
    CHECK_STR(self->gets[1]->phase, "pool");
    CHECK_INT(aio_session_idle(self->session), 1);
    CHECK_INT(self->session->connector->origin_count, 1);
    AIO_FINALLY;
        aio_unref_all(self->gets, 2);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* The place of one host's connection goes to a request for another host. */
struct pool_two_hosts { aio_task task; aio_server *server; aio_session *session; struct get_url *gets[2]; int i; };
SCENARIO(pool_two_hosts, .may = CLIENT_MAY)
{
    static const aio_timeouts soon = { 20, 0, 0, 0 };
    AIO_BEGIN(pool_two_hosts);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "0.0.0.0", 0));
    REQUIRE(self->session = aio_session_open(.limit = 1));
    for (self->i = 0; self->i < 2; self->i++) {
        REQUIRE(self->gets[self->i] = get_task(self->session, 0, "", soon));
        snprintf(self->gets[self->i]->url, sizeof self->gets[self->i]->url, "http://127.0.0.%d:%d/slow",
                 self->i + 1, aio_server_port(self->server));
    }
    AIO_AWAIT(aio_gather(self->gets, 2));
    for (self->i = 0; self->i < 2; self->i++) {
        CHECK_STR(self->gets[self->i]->message, "");
        CHECK_STR(self->gets[self->i]->body, "late");
        CHECK_NEAR(self->gets[self->i]->seconds, 5 + 5 * self->i, 0.5);
    }
    AIO_FINALLY;
        aio_unref_all(self->gets, 2);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Connections that are idle since different times: each is closed when its own time has come. */
struct pool_sweeps { aio_task task; aio_server *server; aio_session *session; struct get_url *gets[3]; int i; };
SCENARIO(pool_sweeps, .may = CLIENT_MAY)
{
    static const char *const paths[] = { "/slow", "/slow", "/a" };
    AIO_BEGIN(pool_sweeps);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open(.keepalive_timeout = 7));
    for (self->i = 0; self->i < 3; self->i++) {
        self->gets[self->i] = get_task(self->session, aio_server_port(self->server), paths[self->i], no_timeouts);
        REQUIRE(self->gets[self->i]);
        if (self->i == 0) AIO_AWAIT(aio_sleep(1));
    }
    AIO_AWAIT(aio_gather(self->gets, 3));
    CHECK_INT(aio_session_idle(self->session), 3);
    AIO_AWAIT(aio_sleep(2.5)); /* to 8.5: they are idle since 1, 5 and 6 */
    CHECK_INT(aio_session_idle(self->session), 2);
    AIO_AWAIT(aio_sleep(4));
    CHECK_INT(aio_session_idle(self->session), 1);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_session_idle(self->session), 0);
    AIO_FINALLY;
        aio_unref_all(self->gets, 3);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Twenty hosts one after the other with room for two connections: idle ones of other hosts give way. */
struct pool_hosts { aio_task task; aio_server *server; aio_session *session; struct get_url *get; int i; };
SCENARIO(pool_hosts, .may = CLIENT_MAY, .skip = KIND_CALL) /* the calls of twenty equal requests fail no other way */
{
    AIO_BEGIN(pool_hosts);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "0.0.0.0", 0));
    self->session = aio_session_open(.limit = 2);
    REQUIRE(self->session);
    for (self->i = 1; self->i <= 20; self->i++) {
        self->get = AIO_CALL(get_url, .session = self->session);
        REQUIRE(self->get);
        snprintf(self->get->url, sizeof self->get->url, "http://127.0.0.%d:%d/a", self->i,
                 aio_server_port(self->server));
        self->get = aio_create_task(self->get);
        AIO_AWAIT((struct get_url *)aio_ref(self->get));
        CHECK_INT(self->get->status, 200);
        CHECK(aio_session_idle(self->session) <= 2);
        aio_unref(self->get);
        self->get = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A server that answers before it was asked is not believed. */
struct pool_early { aio_task task; aio_server *server; aio_session *session; struct get_url *get; };
SCENARIO(pool_early, .may = CLIENT_MAY)
{
    AIO_BEGIN(pool_early);
    script_says(&the_script, HEAD_5 "hello", END_STAY);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    self->session = aio_session_open(.limit = 1);
    REQUIRE(self->session);
    self->get = get_task(self->session, aio_server_port(self->server), "/a", no_timeouts);
    AIO_AWAIT((struct get_url *)aio_ref(self->get));
    CHECK_INT(aio_session_idle(self->session), 1);
    aio__connection *idle;
    idle = AIO__CONTAINER(self->session->connector->idle.next, aio__connection, link);
    struct aio_server *server;
    server = self->server; /* its end of the idle connection speaks */
    aio_stream *other;
    other = aio__clients_next(&server->clients, NULL);
    REQUIRE(other && idle->stream);
    REQUIRE(aio_stream_write(other, HEAD_5 "false", strlen(HEAD_5 "false")) == 0);
    AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(aio_session_idle(self->session), 0);
    aio_unref(self->get);
    self->get = get_task(self->session, aio_server_port(self->server), "/b", no_timeouts);
    AIO_AWAIT((struct get_url *)aio_ref(self->get));
    CHECK_STR(self->get->body, "/b -");
    CHECK(!self->get->reused);
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Closing a session ends what waits for an answer, for a connection, in its line; what has not begun fails when it does,
 * though the session has gone. */
struct pool_close { aio_task task; aio_server *server; aio_session *session; struct get_url *gets[4]; int i;
    aio_future *closed; };
SCENARIO(pool_close, .may = CLIENT_MAY)
{
    AIO_BEGIN(pool_close);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    for (self->i = 0; self->i < 4; self->i++) {
        if (!self->session) self->session = aio_session_open(.limit = 2);
        REQUIRE(self->session);
        self->gets[self->i] = get_task(self->session, aio_server_port(self->server), "/slow", no_timeouts);
        REQUIRE(self->gets[self->i]);
        if (self->i == 0) AIO_AWAIT(aio_sleep(1));
        if (self->i < 2) continue;
        if (self->i == 2) AIO_AWAIT(aio_sleep(0));
        self->closed = aio_session_close(self->session);
        self->session = NULL;
        AIO_AWAIT(self->closed);
    }
    AIO_AWAIT(aio_wait(self->gets, 4));
    for (self->i = 0; self->i < 4; self->i++) {
        CHECK_INT(self->gets[self->i]->code, AIO_ERUNTIME);
        CHECK(strstr(self->gets[self->i]->message, "closed") != NULL);
        CHECK_NEAR(self->gets[self->i]->seconds, self->i ? 0 : 1, 0.1);
    }
    AIO_FINALLY;
        aio_unref_all(self->gets, 4);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A close with requests on their way ends when they have, one without at once. Until then the session is there, and
 * closed all the same: a request of it, or another close, is refused. */
struct pool_close_waits { aio_task task; aio_server *server; aio_session *session, *closing; struct get_url *get;
    aio_future *closed, *waits; int i; };
SCENARIO(pool_close_waits, .may = CLIENT_MAY)
{
    AIO_BEGIN(pool_close_waits);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    self->closed = aio_session_close(self->session);
    self->session = NULL;
    CHECK(aio_future_done(self->closed));
    AIO_AWAIT(self->closed);
    REQUIRE(self->session = aio_session_open());
    self->get = get_task(self->session, aio_server_port(self->server), "/slow", no_timeouts);
    REQUIRE(self->get);
    AIO_AWAIT(aio_sleep(1));
    self->waits = aio_session_close(self->closing = self->session);
    self->session = NULL;
    CHECK(!aio_future_done(self->waits) && !aio_future_done(self->get));
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            if (self->i) AIO_AWAIT(aio_session_get(self->closing, "http://127.0.0.1:1/"));
            else AIO_AWAIT(aio_session_close(self->closing));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ERUNTIME);
        } AIO_END_TRY;
    }
    AIO_AWAIT((aio_future *)aio_ref(self->waits));
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_future_done(self->get));
    CHECK_INT(self->get->code, AIO_ERUNTIME);
    AIO_FINALLY;
        aio_unref(self->get);
        aio_unref(self->waits);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* The client and the server of one process run out of descriptors together: whoever is accepted gets on, and in the
 * end everybody has. The limit is the kernel's. */
enum { STARVED = 40, STARVED_LEFT = 16 };
struct pool_starved { aio_task task; aio_server *server; aio_session *session; struct get_url *gets[STARVED];
    bool force_close; int round; double began; struct rlimit limit; };
SCENARIO(pool_starved, .may = CLIENT_MAY, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL | KIND_SLICE /* too many */)
{
    AIO_BEGIN(pool_starved);
    getrlimit(RLIMIT_NOFILE, &self->limit);
    for (self->round = 0; self->round < 2; self->round++) {
        AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
        self->session = aio_session_open(.force_close = self->round == 1);
        REQUIRE(self->session);
        struct rlimit tight;
        int first;
        first = dup(0);
        close(first);
        tight = self->limit;
        tight.rlim_cur = (rlim_t)first + STARVED_LEFT;
        setrlimit(RLIMIT_NOFILE, &tight);
        expect_report("accept: ");
        for (int i = 0; i < STARVED; i++)
            self->gets[i] = get_task(self->session, aio_server_port(self->server), "/text", no_timeouts);
        self->began = aio_loop_time(aio_get_running_loop());
        AIO_AWAIT(aio_gather(self->gets, STARVED));
        for (int i = 0; i < STARVED; i++) CHECK_INT(self->gets[i]->code, 0);
        CHECK(aio_loop_time(aio_get_running_loop()) - self->began < 20);
        setrlimit(RLIMIT_NOFILE, &self->limit);
        aio_unref_all(self->gets, STARVED);
        memset(self->gets, 0, sizeof self->gets);
        AIO_AWAIT(aio_session_close(self->session));
        self->session = NULL;
        AIO_AWAIT(aio_server_wait_closed(self->server));
        self->server = NULL;
    }
    AIO_FINALLY;
        setrlimit(RLIMIT_NOFILE, &self->limit);
        aio_unref_all(self->gets, STARVED);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* What a request on a kept connection costs: the client sends once and receives once, as its peer does, and neither
 * allocates. */
enum { KEPT = 20 };
static long calls_but_polls(void)
{
    long all = 0;
    for (int i = 0; i < CALLS; i++)
        if (!strstr(seam_calls[i].name, "poll") && strcmp(seam_calls[i].name, "kevent") != 0) all += seam.calls[i];
    return all;
}
struct pool_counts { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; int i; long calls, allocations; };
/* The ways left out change the counts. */
SCENARIO(pool_counts, .may = CLIENT_MAY, .skip = KIND_ALLOC | KIND_CALL | KIND_SLICE | KIND_DEBUG)
{
    AIO_BEGIN(pool_counts);
    script_says(&the_script, HEAD_5 "hello", END_STAY);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/some/path?and=query", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < 2 * KEPT; self->i++) {
        if (self->i == KEPT) {
            self->calls = calls_but_polls();
            self->allocations = seam.allocations;
        }
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_INT(self->text.length, 5);
        aio_response_release(self->r);
        self->r = NULL;
    }
    if (now.w->kind == KIND_PLAIN && !now.w->variant) {
        CHECK_INT(calls_but_polls() - self->calls, 4 * KEPT);
        CHECK_INT(seam.allocations - self->allocations, 0);
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* For each connection to an address: one socket, no lookup, and no question how its connect has ended. */
struct pool_counts_new { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; int i; long names, outcomes, calls; };
SCENARIO(pool_counts_new, .may = CLIENT_MAY, .skip = KIND_ALLOC | KIND_CALL | KIND_SLICE /* they change the counts */)
{
    AIO_BEGIN(pool_counts_new);
    script_says(&the_script, HEAD_5 "hello", END_STAY);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.force_close = true);
    REQUIRE(self->session);
    for (self->i = 0; self->i < 3; self->i++) {
        self->names = seam.calls[CALL_getaddrinfo];
        self->outcomes = seam.calls[CALL_getsockopt];
        self->calls = seam.calls[CALL_socket];
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_INT(self->text.length, 5);
        aio_response_release(self->r);
        self->r = NULL;
        if (now.w->kind != KIND_PLAIN || now.w->variant) continue;
        CHECK_INT(seam.calls[CALL_getaddrinfo] - self->names, 0);
        CHECK_INT(seam.calls[CALL_getsockopt] - self->outcomes, AIO__LINUX ? 0 : 1);
        CHECK_INT(seam.calls[CALL_socket] - self->calls, 1);
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* More origins than the table had room for, each with its own connection: all are found again. */
struct pool_grows { aio_task task; aio_server *server; aio_session *session; struct get_url *get; int i; };
SCENARIO(pool_grows, .may = CLIENT_MAY, .skip = KIND_CALL) /* the calls of forty equal requests fail no other way */
{
    AIO_BEGIN(pool_grows);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "0.0.0.0", 0));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < 40; self->i++) {
        self->get = AIO_CALL(get_url, .session = self->session);
        REQUIRE(self->get);
        snprintf(self->get->url, sizeof self->get->url, "http://127.0.0.%d:%d/a", self->i % 20 + 1,
                 aio_server_port(self->server));
        self->get = aio_create_task(self->get);
        AIO_AWAIT((struct get_url *)aio_ref(self->get));
        CHECK_INT(self->get->reused, self->i >= 20);
        aio_unref(self->get);
        self->get = NULL;
    }
    CHECK_INT(aio_session_idle(self->session), 20);
    CHECK_INT(self->session->connector->origin_count, 20);
    CHECK_INT(self->session->connector->bucket_count, 32);
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A user's Connection: close is meant for us, too, though the server would keep the connection. */
struct pool_user_closes { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; int i; };
SCENARIO(pool_user_closes, .may = CLIENT_MAY)
{
    static const char *const closes[] = { "connection", "Close", NULL };
    AIO_BEGIN(pool_user_closes);
    script_says(&the_script, HEAD_5 "hello", END_STAY);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .headers = closes));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        aio_response_release(self->r);
        self->r = NULL;
        CHECK_INT(aio_session_idle(self->session), 0);
        CHECK_INT(the_script.served, self->i + 1);
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Many sessions: each is found, and one that has gone is not. */
TEST(session_many)
{
    enum { MANY = 40 };
    aio_session *sessions[MANY];
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    for (int i = 0; i < MANY; i++) sessions[i] = aio_session_open();
    for (int i = 0; i < MANY; i++) CHECK(sessions[i] && aio__session_is_open(sessions[i]));
    for (int i = 0; i < MANY; i += 2) CHECK_INT(client_code(loop, aio_session_close(sessions[i])), 0);
    for (int i = 0; i < MANY; i++) CHECK_INT(aio__session_is_open(sessions[i]), i % 2);
    CHECK_INT(client_code(loop, aio_session_close(sessions[0])), AIO_ERUNTIME);
    for (int i = 1; i < MANY; i += 2) CHECK_INT(client_code(loop, aio_session_close(sessions[i])), 0);
    aio_loop_free(loop);
}

/* What a session keeps for its next requests is bounded, however many there were at once. */
TEST(session_spares, .skip = KIND_DEBUG /* there each response has a block of its own */)
{
    enum { MANY = AIO__SPARES + 10 };
    aio__reply *replies[MANY];
    size_t kept[2] = { 0, 0 };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *session = aio_session_open();
    for (int i = 0; i < MANY; i++) {
        aio__operation *op = aio__operation_open(session);
        replies[i] = aio__reply_open(op);
        aio__operation_unref(op); /* the reply is its last owner */
    }
    for (int i = 0; i < MANY; i++) aio__reply_unref(replies[i]);
    for (const aio__reply *r = session->spares; r; r = r->spare) kept[0]++;
    for (const aio__operation *op = session->spare_operations; op; op = op->spare) kept[1]++;
    CHECK_INT(kept[0], AIO__SPARES);
    CHECK_INT(kept[1], AIO__SPARES - 1); /* the last one finds as many replies as there may be */
    CHECK_INT(session->spare_count, AIO__SPARES);
    CHECK_INT(client_code(loop, aio_session_close(session)), 0);
    aio_loop_free(loop);
}

/* What one of each takes: the ten largest objects of a connection and a request (the test below sees that no other is
 * as large), and what else there are many of. A change here is one of what these cost. */
enum size_kind { SIZE_LARGEST, SIZE_LARGEST_NAMED /* a name or a URL of less than 64 bytes behind it */, SIZE_OTHER };
static const struct { const char *name; size_t size, most; enum size_kind kind; } size_rows[] = {
    { "aio__reply", sizeof(aio__reply), 1600, SIZE_LARGEST }, { "aio__served", sizeof(aio__served), 856, SIZE_LARGEST },
    { "aio__racing", sizeof(struct aio__racing), 808, SIZE_LARGEST_NAMED },
    { "aio__requesting", sizeof(struct aio__requesting), 640, SIZE_LARGEST_NAMED },
    { "aio__connect", sizeof(struct aio__connect), 584, SIZE_LARGEST_NAMED },
    { "aio__operation", sizeof(aio__operation), 488, SIZE_LARGEST },
    { "aio_stream", sizeof(aio_stream), 288, SIZE_LARGEST },
    { "aio__addresses", sizeof(aio__addresses), 160, SIZE_LARGEST }, /* of one address */
    { "aio__dialing", sizeof(struct aio__dialing), 136, SIZE_LARGEST },
    { "aio__serving_step", sizeof(struct aio__serving_step), 128, SIZE_LARGEST },
    { "aio_session", sizeof(aio_session), 896, SIZE_OTHER }, /* one for all requests */
    { "aio__body_reader", sizeof(aio__body_reader), 312, SIZE_OTHER }, /* in a reply, and in a served */
    { "aio__http_head", sizeof(aio__http_head), 224, SIZE_OTHER }, /* so, too */
    { "aio__connection", sizeof(aio__connection), 96, SIZE_OTHER }, { "aio_task", sizeof(aio_task), 104, SIZE_OTHER },
};
enum { SIZE_ROWS = sizeof size_rows / sizeof *size_rows };

TEST(struct_sizes)
{
    for (int i = 0; i < SIZE_ROWS; i++)
        if (sizeof(void *) == 8 && !CHECK(size_rows[i].size <= size_rows[i].most))
            printf("# %s: %zu bytes, at most %zu\n", size_rows[i].name, size_rows[i].size, size_rows[i].most);
}

/* Looks at all objects of the loop in each of its iterations. One as large as the smallest of the largest is one of
 * those. */
static struct { aio_loop *loop; const void *but; size_t smallest; bool seen[SIZE_ROWS]; } size_watch;
static bool sizes_of(aio__heap *heap)
{
    for (aio__node *node = heap->own.next; node && node != &heap->own; node = node->next) {
        aio__prefix *prefix = AIO__CONTAINER(node, aio__prefix, node);
        bool known = prefix->size < size_watch.smallest || prefix + 1 == size_watch.but;
        for (int i = 0; i < SIZE_ROWS; i++) {
            size_t behind = size_rows[i].kind == SIZE_LARGEST_NAMED ? 64 : 1;
            bool is = size_rows[i].kind != SIZE_OTHER && prefix->size - size_rows[i].size < behind;
            size_watch.seen[i] |= is;
            known |= is;
        }
        if (!CHECK(known)) {
            printf("# one of %lu bytes\n", (unsigned long)prefix->size);
            return false;
        }
    }
    return true;
}

static void sizes_look(void *unused)
{
    (void)unused;
    if (!size_watch.loop || !sizes_of(&size_watch.loop->frames) || !sizes_of(&size_watch.loop->pool)) return;
    aio_loop_call_soon(size_watch.loop, sizes_look, NULL);
}

static void *sizes_handler(aio_request *request, void *unused)
{
    (void)unused;
    return aio_request_respond(request, 200, .text = "hello");
}

struct sizes_of_request { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[40]; int i; };
static AIO_CORO(sizes_of_request)
{
    AIO_BEGIN(sizes_of_request);
    AIO_AWAIT(self->server, aio_start_http_server(sizes_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    size_watch.loop = aio_get_running_loop();
    size_watch.but = self;
    sizes_look(NULL);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_BYTES(self->text.data, self->text.length, "hello");
        aio_response_release(self->r);
    }
    size_watch.loop = NULL;
    AIO_AWAIT(aio_session_close(self->session));
    AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Each object with an allocation of its own, so that all are in a list, with their sizes. */
TEST(struct_sizes_are_the_largest, .skip = KIND_DEBUG)
{
    bool plain = aio__plain;
    memset(&size_watch, 0, sizeof size_watch);
    for (int i = 0; i < SIZE_ROWS; i++)
        if (size_rows[i].kind != SIZE_OTHER && (!size_watch.smallest || size_rows[i].size < size_watch.smallest))
            size_watch.smallest = size_rows[i].size;
    aio__plain = true;
    CHECK_INT(aio_run(AIO_CALL(sizes_of_request)), 0);
    aio__plain = plain;
    for (int i = 0; i < SIZE_ROWS; i++)
        if (size_rows[i].kind != SIZE_OTHER && !CHECK(size_watch.seen[i])) printf("# no %s\n", size_rows[i].name);
}
