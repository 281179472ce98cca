/* Servers that end in order, and servers on sockets that others have made. */

/* /slow answers after 5 s, /stuck after 1000 s, /ws is a WebSocket that waits, others answer at once. */
struct ending { aio_task task; aio_request *request; aio_ws *ws; aio_ws_message message; };
static AIO_CORO(ending)
{
    AIO_BEGIN(ending);
    if (!strcmp(self->request->path.data, "/ws")) {
        AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request));
        AIO_ASYNC_FOR(self->message, aio_ws_receive(self->ws)) {}
        AIO_RETURN();
    }
    if (!strcmp(self->request->path.data, "/big")) {
        static char *zeros;
        if (!zeros) zeros = (char *)kept(8 << 20);
        aio_unref(aio_request_respond(self->request, 200, .body = zeros, .length = 8 << 20)); /* not waited for */
        AIO_RETURN();
    }
    if (!strcmp(self->request->path.data, "/slow")) AIO_AWAIT(aio_sleep(5));
    if (!strcmp(self->request->path.data, "/stuck")) AIO_AWAIT(aio_sleep(1000));
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = "done"));
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *ending_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(ending, .request = request); }

struct ending_ws {
    aio_task task; aio_session *session; int port, code; char url[50]; aio_ws *ws; aio_ws_message message;
};
static AIO_CORO(ending_ws)
{
    AIO_BEGIN(ending_ws);
    self->session = aio_session_open();
    if (!self->session) AIO_RAISE(ENOMEM);
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/ws", self->port);
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url));
    AIO_ASYNC_FOR(self->message, aio_ws_receive(self->ws)) {}
    self->code = aio_ws_close_code(self->ws);
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

static double ending_began;
static double ending_took(void) { return aio_loop_time(aio_get_running_loop()) - ending_began; }

#define ENDED "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n"

/* An idle connection and a WebSocket (1001) end at once, a slow request gets its answer, one that is stuck none. */
struct shutdown_in_order { aio_task task; aio_server *server; struct talk *talks[3]; struct ending_ws *ws; int i; };
SCENARIO(shutdown_in_order, .may = { EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, AIO_EHANDSHAKE, AIO_EDISCONNECTED,
                                     ECONNABORTED, ETIMEDOUT })
{
    static const char *const said[] = { "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /stuck HTTP/1.1\r\nHost: h\r\n\r\n" };
    AIO_BEGIN(shutdown_in_order);
    AIO_AWAIT(self->server, aio_start_http_server(ending_handler, NULL, "127.0.0.1", 0));
    for (self->i = 0; self->i < 3; self->i++)
        self->talks[self->i] = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .hold = true,
                                                        .said = said[self->i]));
    self->ws = aio_create_task(AIO_CALL(ending_ws, .port = aio_server_port(self->server)));
    for (self->i = 0; self->i < 25; self->i++) AIO_AWAIT(aio_sleep(0.02));
    ending_began = aio_loop_time(aio_get_running_loop());
    aio_future *ended;
    ended = aio_create_task(aio_server_shutdown(self->server, 20));
    self->server = NULL;
    if (!ended) AIO_RAISE(ENOMEM);
    aio_unref(ended); /* it goes on */
    AIO_AWAIT((struct talk *)aio_ref(self->talks[0]));
    CHECK_STR(self->talks[0]->answer, ENDED "\r\ndone");
    AIO_AWAIT((struct ending_ws *)aio_ref(self->ws));
    CHECK_INT(self->ws->code, AIO_WS_GOING_AWAY);
    CHECK_NEAR(ending_took(), 0, 1);
    AIO_AWAIT((struct talk *)aio_ref(self->talks[1]));
    CHECK_STR(self->talks[1]->answer, ENDED "Connection: close\r\n\r\ndone");
    CHECK_NEAR(ending_took(), 4.5, 1);
    AIO_AWAIT((struct talk *)aio_ref(self->talks[2]));
    CHECK_STR(self->talks[2]->answer, "");
    CHECK_NEAR(ending_took(), 20, 1);
    AIO_FINALLY;
        for (self->i = 0; self->i < 3; self->i++)
            if (self->talks[self->i]) aio_future_cancel(self->talks[self->i]);
        if (self->ws) aio_future_cancel(self->ws);
        aio_unref_all(self->talks, 3);
        aio_unref(self->ws);
        SERVER_END(self->server);
    AIO_END;
}

/* With a deadline of nothing everything ends now; a handler that goes on although it is cancelled is cut off. */
struct stubborn { aio_task task; aio_request *request; };
static AIO_CORO(stubborn)
{
    AIO_BEGIN(stubborn);
    AIO_TRY {
        AIO_AWAIT(aio_sleep(1000));
    } AIO_CATCH_ALL {
    } AIO_END_TRY;
    AIO_AWAIT(aio_sleep(1000));
    AIO_END;
}
static void *stubborn_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(stubborn, .request = request);
}

struct shutdown_now { aio_task task; aio_server *server; struct talk *talk; int i; aio_future *ended; };
SCENARIO(shutdown_now, .may = { EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ECONNABORTED, ETIMEDOUT })
{
    AIO_BEGIN(shutdown_now);
    AIO_AWAIT(self->server, aio_start_http_server(stubborn_handler, NULL, "127.0.0.1", 0));
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .hold = true,
                                          .said = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    for (self->i = 0; self->i < 25; self->i++) AIO_AWAIT(aio_sleep(0.02));
    ending_began = aio_loop_time(aio_get_running_loop());
    self->ended = aio_server_shutdown(self->server, AIO_NOW);
    self->server = NULL;
    AIO_AWAIT((aio_future *)aio_ref(self->ended));
    CHECK_NEAR(ending_took(), AIO_SHUTDOWN_REST, 0.5);
    AIO_AWAIT(aio_wait(&self->talk, 1, .timeout = 10));
    CHECK(aio_future_done(self->talk));
    AIO_TRY {
        AIO_AWAIT(aio_server_shutdown(NULL, 1));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_FINALLY;
        if (self->talk) aio_future_exception(self->talk); /* a reset is fine */
        aio_unref(self->talk);
        aio_unref(self->ended);
        SERVER_END(self->server);
    AIO_END;
}

/* The end of a scenario: of its shutdown, its stream, and its server if nobody has that. */
#define ENDING_END(shutdown) do {                                                           \
        if (shutdown) aio_future_cancel(shutdown);                                          \
        aio_unref(shutdown);                                                                \
        aio_stream_abort(self->stream);                                                     \
        aio_server_abort_clients(self->server);                                             \
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));                  \
    } while (0)

/* A client whose request has its answer, and whose body never comes, holds up nobody: it has what it gets. */
struct shutdown_answered { aio_task task; aio_server *server; aio_stream *stream; aio_future *ended; aio_text text; int i; };
SCENARIO(shutdown_answered, .may = { EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ECONNABORTED, ETIMEDOUT,
                                     AIO_EINCOMPLETE })
{
    static const char *const said[] = { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n1234",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" };
    AIO_BEGIN(shutdown_answered);
    for (self->i = 0; self->i < 6; self->i++) {
        AIO_AWAIT(self->server, aio_start_http_server(ending_handler, NULL, "127.0.0.1", 0,
                                                      .linger_timeout = self->i % 2 ? AIO_NOW : 0));
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        REQUIRE(aio_stream_write(self->stream, said[self->i / 2], strlen(said[self->i / 2])) == 0);
        AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "done", 4));
        SOON();
        ending_began = aio_loop_time(aio_get_running_loop());
        self->ended = aio_create_task(aio_server_shutdown(self->server, 60));
        self->server = NULL;
        if (!self->ended) AIO_RAISE(ENOMEM);
        AIO_AWAIT((aio_future *)aio_ref(self->ended));
        CHECK_NEAR(ending_took(), self->i % 2 ? 0 : 2, 0.5);
        AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
        CHECK_INT(self->text.length, 0);
        aio_unref(self->ended);
        self->ended = NULL;
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        ENDING_END(self->ended);
    AIO_END;
}

/* The same, if it has yet to take its answer when the server shuts down. */
struct shutdown_answers { aio_task task; aio_server *server; aio_stream *stream; aio_future *ended; aio_text text; };
SCENARIO(shutdown_answers, .skip = KIND_SLICE /* too many pieces */,
         .may = { EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ECONNABORTED, ETIMEDOUT, AIO_EINCOMPLETE })
{
    static const char said[] = "POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n";
    AIO_BEGIN(shutdown_answers);
    AIO_AWAIT(self->server, aio_start_http_server(ending_handler, NULL, "127.0.0.1", 0, .linger_timeout = AIO_NOW));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    REQUIRE(aio_stream_write(self->stream, said, sizeof said - 1) == 0);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    SOON();
    ending_began = aio_loop_time(aio_get_running_loop());
    self->ended = aio_create_task(aio_server_shutdown(self->server, 60));
    self->server = NULL;
    if (!self->ended) AIO_RAISE(ENOMEM);
    SOON();
    CHECK(!aio_future_done(self->ended));
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 8 << 20));
    AIO_AWAIT((aio_future *)aio_ref(self->ended));
    CHECK_NEAR(ending_took(), 0.1, 0.5);
    AIO_FINALLY;
        ENDING_END(self->ended);
    AIO_END;
}

/* Signals: the first ends the server in order, and leaves the signals as they were. */
struct shutdown_signal { aio_task task; aio_server *server; struct talk *talk; aio_future *running; int i, round; };
SCENARIO(shutdown_signal, .may = { EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ECONNABORTED, ETIMEDOUT })
{
    AIO_BEGIN(shutdown_signal);
    for (self->round = 0; self->round < 2; self->round++) {
        AIO_AWAIT(self->server, aio_start_http_server(ending_handler, NULL, "127.0.0.1", 0));
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .hold = true,
                                              .said = "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n"));
        self->running = aio_create_task(aio_server_run_until_signal(self->server, 10));
        self->server = NULL;
        if (!self->running) AIO_RAISE(ENOMEM);
        for (self->i = 0; self->i < 25; self->i++) AIO_AWAIT(aio_sleep(0.02));
        CHECK(!aio_future_done(self->running));
        if (signal_disposition(SIGTERM) == aio__on_signal) raise(self->round ? SIGINT : SIGTERM);
        AIO_AWAIT((aio_future *)aio_ref(self->running));
        CHECK(signal_disposition(SIGTERM) == SIG_DFL && signal_disposition(SIGINT) == SIG_DFL);
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        CHECK_STR(self->talk->answer, ENDED "Connection: close\r\n\r\ndone");
        aio_unref(self->talk);
        aio_unref(self->running);
        self->talk = NULL;
        self->running = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->running) aio_future_cancel(self->running);
        aio_unref(self->running);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Given up while clients are there: these are put out at once, and the server goes. */
struct shutdown_given_up { aio_task task; aio_server *server; aio_stream *stream; aio_future *running; aio_text text;
    int port; };
SCENARIO(shutdown_given_up,
         .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ECONNABORTED, ETIMEDOUT })
{
    AIO_BEGIN(shutdown_given_up);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    self->port = aio_server_port(self->server);
    AIO_TRY { /* it stays the caller's */
        AIO_AWAIT(aio_server_run_until_signal(self->server, -3));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    self->running = aio_create_task(aio_server_run_until_signal(self->server, AIO_NOW));
    self->server = NULL;
    if (!self->running) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port));
    REQUIRE(aio_stream_write(self->stream, "hello", 5) == 0);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 5));
    aio_future_cancel(self->running);
    AIO_TIMEOUT(1) {
        AIO_TRY {
            AIO_AWAIT(self->text, aio_stream_read(self->stream, 9));
            CHECK_INT(self->text.length, 0);
        } AIO_CATCH_CODE(ECONNRESET, EPIPE) { } AIO_END_TRY;
    }
    CHECK(aio_future_cancelled(self->running));
    AIO_FINALLY;
        if (self->running) aio_future_cancel(self->running);
        aio_unref(self->running);
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Each takes its server when it is called: that ends also when it is cancelled before it begins, and until then no other
 * may take it. */
struct shutdown_not_begun { aio_task task; aio_server *server, *taken; aio_stream *stream; aio_future *ending; aio_text text;
    int i, j; };
SCENARIO(shutdown_not_begun,
         .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ECONNABORTED, ETIMEDOUT })
{
    AIO_BEGIN(shutdown_not_begun);
    for (self->i = 0; self->i < 4; self->i++) { /* 0 and 1: dropped; 2 and 3: a task that is cancelled */
        AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        REQUIRE(aio_stream_write(self->stream, "hello", 5) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 5));
        self->taken = self->server;
        self->server = NULL;
        self->ending = self->i % 2 ? aio_server_run_until_signal(self->taken, 1) : aio_server_shutdown(self->taken, 1);
        if (!self->ending) AIO_RAISE(ENOMEM);
        for (self->j = 0; self->j < 3; self->j++) {
            AIO_TRY {
                if (self->j == 0) AIO_AWAIT(aio_server_wait_closed(self->taken));
                if (self->j == 1) AIO_AWAIT(aio_server_shutdown(self->taken, 1));
                if (self->j == 2) AIO_AWAIT(aio_server_run_until_signal(self->taken, 1));
                UNREACHED();
            } AIO_CATCH {
                CAUGHT(EINVAL);
            } AIO_END_TRY;
            if (self->i > 1) break;
        }
        if (self->i > 1) self->ending = aio_create_task(self->ending);
        if (!self->ending) AIO_RAISE(ENOMEM);
        aio_future_cancel(self->ending);
        if (self->i < 2) aio_unref(self->ending);
        if (self->i < 2) self->ending = NULL;
        AIO_TIMEOUT(1) {
            AIO_TRY {
                AIO_AWAIT(self->text, aio_stream_read(self->stream, 9));
                CHECK_INT(self->text.length, 0);
            } AIO_CATCH_CODE(ECONNRESET, EPIPE) { } AIO_END_TRY;
        }
        CHECK(!self->ending || aio_future_cancelled(self->ending));
        aio_unref(self->ending);
        self->ending = NULL;
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        ENDING_END(self->ending);
    AIO_END;
}

/* A server that waits for its signal is nobody else's; its end is in order for all that. */
struct shutdown_taken { aio_task task; aio_server *server, *taken; aio_future *running; int i; };
SCENARIO(shutdown_taken, .may = { EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ECONNABORTED, ETIMEDOUT })
{
    AIO_BEGIN(shutdown_taken);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    self->taken = self->server;
    self->server = NULL;
    self->running = aio_create_task(aio_server_run_until_signal(self->taken, 10));
    if (!self->running) AIO_RAISE(ENOMEM);
    SOON();
    if (aio_future_done(self->running)) AIO_AWAIT((aio_future *)aio_ref(self->running));
    AIO_TRY {
        AIO_AWAIT(aio_server_wait_closed(self->taken));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    if (signal_disposition(SIGTERM) == aio__on_signal) raise(SIGTERM);
    AIO_AWAIT((aio_future *)aio_ref(self->running));
    AIO_FINALLY;
        if (self->running) aio_future_cancel(self->running);
        aio_unref(self->running);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A shutdown that begins when the server has ended with its loop, in another one. */
TEST(shutdown_of_a_closed_loop)
{
    aio_loop *loop = loop_open(), *other = loop_open();
    aio_set_event_loop(loop);
    aio_server_task *start = (aio_server_task *)aio_ref(aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    CHECK_INT(aio_loop_run_until_complete(loop, start, NULL), 0);
    aio_set_event_loop(NULL);
    aio_future *ending = aio_server_shutdown(start->result, 1);
    aio_unref(start);
    aio_loop_free(loop);
    CHECK_INT(aio_loop_run_until_complete(other, ending, NULL), AIO_ELOOPCLOSED);
    aio_loop_free(other);
}

/* A server on a socket that was made before; one that does not listen stays the program's. */
struct server_inherits { aio_task task; aio_server *server; struct talk *talk; int fd; };
SCENARIO(server_inherits, .may = { EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ECONNABORTED, ETIMEDOUT })
{
    AIO_BEGIN(server_inherits);
    int port;
    port = 0;
    self->fd = port_hold(&port, false);
    AIO_TRY {
        AIO_AWAIT(self->server, aio_start_http_server(ending_handler, NULL, NULL, 0, .sock = self->fd));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    CHECK_INT(listen(self->fd, 5), 0);
    AIO_AWAIT(self->server, aio_start_http_server(ending_handler, NULL, NULL, 0, .sock = self->fd));
    self->fd = 0;
    CHECK(aio_server_port(self->server) > 0);
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                          .said = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK_STR(self->talk->answer, ENDED "\r\ndone");
    AIO_FINALLY;
        if (self->fd > 0) close(self->fd);
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* HTTP over a unix socket. */
struct server_unix_http { aio_task task; aio_server *server; aio_stream *stream; aio_text text; char path[60]; };
SCENARIO(server_unix_http, .may = { EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ECONNABORTED, ETIMEDOUT, EADDRINUSE })
{
    AIO_BEGIN(server_unix_http);
    snprintf(self->path, sizeof self->path, "/tmp/aio-http-%ld.sock", (long)getpid());
    AIO_AWAIT(self->server, aio_start_unix_http_server(ending_handler, NULL, self->path));
    AIO_AWAIT(self->stream, aio_open_unix_connection(self->path));
    aio_stream_write(self->stream, "GET / HTTP/1.0\r\n\r\n", 18);
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    CHECK(strstr(self->text.data, "\r\n\r\ndone"));
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

TEST(server_listen_fds)
{
    char pid[20];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    CHECK_INT(aio_listen_fds(), 0);
    setenv("LISTEN_FDS", "2", 1);
    CHECK_INT(aio_listen_fds(), 0);
    setenv("LISTEN_PID", "1", 1);
    CHECK_INT(aio_listen_fds(), 0);
    setenv("LISTEN_PID", pid, 1);
    CHECK_INT(aio_listen_fds(), 2);
    setenv("LISTEN_FDS", "-2", 1);
    CHECK_INT(aio_listen_fds(), 0);
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
}
