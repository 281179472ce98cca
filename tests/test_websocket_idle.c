/* WebSockets whose request ends with the upgrade, and what an idle one costs. The client is that of test_shutdown.c. */

struct ws_drops { aio_task task; aio_request *request; aio_ws *ws; aio_ws_message m; };
static int ws_drops_open;
static bool ws_drops_none; /* the request stays */
static AIO_CORO(ws_drops)
{
    AIO_BEGIN(ws_drops);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request, .drop_request = !ws_drops_none));
    ws_drops_open++;
    AIO_ASYNC_FOR(self->m, aio_ws_receive(self->ws)) {
        if (!strcmp(self->m.data.data, "bye")) break;
        AIO_AWAIT(aio_ws_send_text(self->ws, self->m.data.data, self->m.data.length));
    }
    if (self->m.type == AIO_WS_TEXT) AIO_AWAIT(aio_ws_close(self->ws, 4001, "you said it"));
    AIO_FINALLY;
        if (self->ws) ws_drops_open--;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *ws_drops_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(ws_drops, .request = request);
}
static void ws_drops_log(const aio_access *access, void *arg)
{
    (void)arg;
    ws_note("%s %d;", access->request->target.data, access->status);
}

/* The connection works without it, and ends as others do: by itself, by the peer's violation, with an access log, which
 * keeps it, and with the server. */
struct ws_dropped { aio_task task; aio_server *server; aio_app *app; struct ws_talk *talk; struct ending_ws *client;
    int i; };
SCENARIO(ws_dropped, .may = WS_MAY)
{
    static const struct { const char *said, *heard; size_t n; } rows[] = {
        { "\x81\x82\0\0\0\0hi\x81\x83\0\0\0\0bye\x88\x82\0\0\0\0\x0F\xA1", "\x81\x02hi\x88\x0D\x0F\xA1you said it", 25 },
        { "\x81\x82\0\0\0\0hi\x83\x80\0\0\0\0", "\x81\x02hi\x88\x18\x03\xEAthe opcode is reserved", 14 },
    };
    AIO_BEGIN(ws_dropped);
    for (self->i = 0; self->i < 6; self->i++) {
        ws_logged = 0;
        ws_log[0] = '\0';
        if (self->i % 2 == 0) {
            self->app = self->i ? aio_app_open(.access_log = self->i / 2 == 2 ? ws_drops_log : NULL) : NULL;
            if (self->i && (!self->app || aio_app_route(self->app, "GET", "/{name}", ws_drops_handler, NULL)))
                AIO_RAISE(ENOMEM);
            AIO_AWAIT(self->server, self->app ? aio_start_app(self->app, "127.0.0.1", 0)
                                              : aio_start_http_server(ws_drops_handler, NULL, "127.0.0.1", 0));
        }
        self->talk = aio_create_task(AIO_CALL(ws_talk, .port = aio_server_port(self->server), .head = WS_ASKS(""),
                                              .said = rows[self->i % 2].said, .length = rows[self->i % 2].n));
        AIO_AWAIT((struct ws_talk *)aio_ref(self->talk));
        CHECK_INT(self->talk->heard, strlen(WS_AGREES("")) + strlen(rows[self->i % 2].heard));
        CHECK(self->talk->heard > strlen(WS_AGREES("")) &&
              !memcmp(self->talk->answer + strlen(WS_AGREES("")), rows[self->i % 2].heard,
                      strlen(rows[self->i % 2].heard)));
        CHECK_INT(ws_drops_open, 0);
        if (self->i / 2 == 2) CHECK_STR(ws_log, "/chat 101;");
        aio_unref(self->talk);
        self->talk = NULL;
        if (self->i % 2 == 0) continue;
        self->client = aio_create_task(AIO_CALL(ending_ws, .port = aio_server_port(self->server)));
        REQUIRE(self->client);
        while (!ws_drops_open && !aio_future_done(self->client)) AIO_AWAIT(aio_sleep(0.02));
        aio_future *ended;
        ended = aio_server_shutdown(self->server, 5);
        self->server = NULL;
        AIO_AWAIT(ended);
        AIO_AWAIT((struct ending_ws *)aio_ref(self->client));
        CHECK_INT(self->client->code, AIO_WS_GOING_AWAY);
        aio_unref(self->client);
        self->client = NULL;
        aio_app_close(self->app);
        self->app = NULL;
    }
    AIO_FINALLY;
        if (self->client) aio_task_cancel(self->client);
        aio_unref(self->client);
        aio_unref(self->talk);
        aio_app_close(self->app);
        SERVER_END(self->server);
    AIO_END;
}

/* What the loop's objects and all else hold, without what stands before an object with an allocation of its own. */
static size_t ws_held(aio_loop *loop)
{
    size_t prefixes = 0;
    aio__timers_trim(loop); /* those that were cancelled, and stood behind the sleep that is over */
    aio__node *const rings[] = { &loop->frames.own, &loop->pool.own };
    for (int i = 0; i < 2; i++)
        for (aio__node *node = rings[i]->next; node != rings[i]; node = node->next) prefixes += sizeof(aio__prefix);
    return (size_t)seam.bytes - prefixes;
}

/* A client of the system's own: none of its memory counts. */
static int ws_plain_client(int port)
{
    struct sockaddr_in to;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ALWAYS(fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof to));
    ALWAYS(send(fd, WS_ASKS(""), strlen(WS_ASKS("")), 0) == (ssize_t)strlen(WS_ASKS("")));
    return fd;
}

/* Bytes that have come. */
static size_t ws_hear(int fd)
{
    char heard[400];
    ssize_t n = recv(fd, heard, sizeof heard, MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

/* What a connection that waits for messages costs, and no more after it has had some: with the request dropped, the
 * same in an application, and with the request kept. */
enum { WS_IDLE = 9 };
struct ws_idle { aio_task task; aio_server *server; aio_app *app; int fds[WS_IDLE], i, n; size_t first, heard; };
SCENARIO(ws_idle, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL | KIND_SLICE | KIND_SHUFFLE)
{
    static const size_t most[] = { 944, 1112, 2368 };
    AIO_BEGIN(ws_idle);
    for (self->i = 0; self->i < 3; self->i++) {
        ws_drops_none = self->i == 2;
        self->app = self->i == 1 ? aio_app_open() : NULL;
        if (self->app) CHECK_INT(aio_app_route(self->app, "GET", "/{name}", ws_drops_handler, NULL), 0);
        AIO_AWAIT(self->server, self->app ? aio_start_app(self->app, "127.0.0.1", 0)
                                          : aio_start_http_server(ws_drops_handler, NULL, "127.0.0.1", 0));
        for (self->n = 0; self->n < WS_IDLE;) {
            self->fds[self->n++] = ws_plain_client(aio_server_port(self->server));
            while (ws_drops_open < self->n) AIO_AWAIT(aio_sleep(0.01));
            ALWAYS(send(self->fds[self->n - 1], "\x01\x85\0\0\0\0hello\x80\x85\0\0\0\0hello", 22, 0) == 22);
            self->heard = 0;
            while ((self->heard += ws_hear(self->fds[self->n - 1])) < strlen(WS_AGREES("")) + 12) /* "hellohello" */
                AIO_AWAIT(aio_sleep(0.01));
            AIO_AWAIT(aio_sleep(0.01));
            if (self->n == 1) self->first = ws_held(aio_get_running_loop());
        }
        self->first = (ws_held(aio_get_running_loop()) - self->first) / (WS_IDLE - 1);
        if (aio__plain && !CHECK(self->first < most[self->i])) printf("# %zu bytes a connection\n", self->first);
        for (self->n = 0; self->n < WS_IDLE; self->n++) close(self->fds[self->n]);
        aio_server_abort_clients(self->server);
        aio_server *server;
        server = self->server;
        self->server = NULL;
        AIO_AWAIT(aio_server_wait_closed(server));
        aio_app_close(self->app);
        self->app = NULL;
    }
    AIO_FINALLY;
        ws_drops_none = false;
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* So many at once, or as many as there can be descriptors for both ends, cost less than 1 KiB each, with all that the
 * loop, its slabs and the poller hold for them. */
enum { WS_MANY = 10000, WS_WAVE = 100 };
struct ws_idle_10000 { aio_task task; aio_server *server; int fds[WS_MANY], most, n; size_t first; };
SCENARIO(ws_idle_10000, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL | KIND_SLICE | KIND_SHUFFLE | KIND_DEBUG)
{
    struct rlimit limit;
    AIO_BEGIN(ws_idle_10000);
    ALWAYS(!getrlimit(RLIMIT_NOFILE, &limit));
    self->most = limit.rlim_cur / 2 < WS_MANY + 100 ? (int)(limit.rlim_cur / 2) - 100 : (int)WS_MANY;
    if (self->most < 0) self->most = 0;
    AIO_AWAIT(self->server, aio_start_http_server(ws_drops_handler, NULL, "127.0.0.1", 0));
    while (self->n < self->most) {
        for (int i = 0; i < WS_WAVE && self->n < self->most; i++)
            self->fds[self->n++] = ws_plain_client(aio_server_port(self->server));
        while (ws_drops_open < self->n) AIO_AWAIT(aio_sleep(0.01));
        if (self->n == WS_WAVE) self->first = ws_held(aio_get_running_loop());
    }
    AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(ws_drops_open, self->most);
    if (self->most >= 10 * WS_WAVE) { /* else tables that grow twofold weigh too much */
        self->first = (ws_held(aio_get_running_loop()) - self->first) / (size_t)(self->most - WS_WAVE);
        if (!CHECK(self->first < 1024)) printf("# %zu bytes a connection\n", self->first);
    }
    AIO_FINALLY;
        while (self->n) close(self->fds[--self->n]);
        SERVER_END(self->server);
    AIO_END;
}
