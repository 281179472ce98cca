/* Peers of a WebSocket that are slow, silent, or never stop: which limit each of them meets, and when. */

#define PEER_DATA(text) text, sizeof text - 1
static char peer_large[200000];
static const struct peer_row {
    const char    *name;
    const char    *first; size_t first_length; /* what it says behind the handshake, */
    const char    *again; size_t again_length; /* and, `batch` times each, every so many seconds, for ever */
    int            batch;
    double         every;
    bool           reads;    /* it takes what comes */
    char           how;      /* the server 'r'eceives, 's'ends for three seconds, 'w'rites on, and to one that is slow,
                                so 'm'uch, 'c'loses, 'l'eaves with much unsent; the peer 't'akes all that it sent */
    aio_ws_options options;
    int            code;     /* with which that ends, */
    const char    *phase;
    double         at, ended; /* then, and, when its close is over, then: seconds */
    int            close_code;
} peer_rows[] = {
    { "silent", PEER_DATA(""), NULL, 0, 0, 0, true, 'r', { .heartbeat = 30, .close_timeout = 5 },
      AIO_ETIMEOUT, "heartbeat", 45, 45, AIO_WS_ABNORMAL },
    { "silent within a message", PEER_DATA("\x01\x81" WS_M "a"), NULL, 0, 0, 0, true, 'r',
      { .heartbeat = 30, .close_timeout = 5 }, AIO_ETIMEOUT, "heartbeat", 45, 45, AIO_WS_ABNORMAL },
    { "silent within a head", PEER_DATA("\x81\xFE"), NULL, 0, 0, 0, true, 'r',
      { .heartbeat = 30, .close_timeout = 5 }, AIO_ETIMEOUT, "heartbeat", 45, 45, AIO_WS_ABNORMAL },
    { "a byte of one frame each second", PEER_DATA("\x82\xFE\x10\x00" WS_M), PEER_DATA("x"), 1, 1, true, 'r',
      { .heartbeat = 30, .receive_timeout = 20, .close_timeout = 5 }, AIO_ETIMEOUT, "receive", 20, 25, AIO_WS_ABNORMAL },
    { "a frame of a byte each second", PEER_DATA("\x02\x81" WS_M "x"), PEER_DATA("\0\x81" WS_M "x"), 1, 1, true, 'r',
      { .heartbeat = 30, .receive_timeout = 20, .close_timeout = 5 }, AIO_ETIMEOUT, "receive", 20, 25, AIO_WS_ABNORMAL },
    { "the same, more than a message may have", PEER_DATA("\x02\x81" WS_M "x"), PEER_DATA("\0\x81" WS_M "x"), 1, 1, true,
      'r', { .max_msg_size = 10, .close_timeout = 5 }, AIO_ELIMIT, "receive", 10, 15, AIO_WS_TOO_BIG },
    { "a byte of a ping each second", PEER_DATA("\x89\xFD" WS_M), PEER_DATA("x"), 1, 1, true, 'r',
      { .heartbeat = 30, .close_timeout = 5 }, AIO_ETIMEOUT, "heartbeat", 45, 45, AIO_WS_ABNORMAL },
    { "a ping each second", PEER_DATA(""), PEER_DATA("\x89\x80" WS_M), 1, 1, true, 'r',
      { .heartbeat = 30, .receive_timeout = 60, .close_timeout = 5 }, AIO_ETIMEOUT, "receive", 60, 65, AIO_WS_ABNORMAL },
    { "very many pings", PEER_DATA(""), PEER_DATA("\x89\x80" WS_M), 200, 0.1, true, 'r',
      { .heartbeat = 30, .receive_timeout = 20, .close_timeout = 5 }, AIO_ETIMEOUT, "receive", 20, 25, AIO_WS_ABNORMAL },
    { "empty fragments", PEER_DATA("\x02\x80" WS_M), PEER_DATA("\0\x80" WS_M), 1024, 1, true, 'r',
      { .close_timeout = 5 }, AIO_ELIMIT, "receive", 15, 20, AIO_WS_TOO_BIG },
    { "a message without end", PEER_DATA("\x02\x80" WS_M), PEER_DATA("\0\xFF\0\0\0\0\0\1\0\0" WS_M), 1, 1, true, 'r',
      { .max_msg_size = 65535, .close_timeout = 5 }, AIO_ELIMIT, "receive", 0, 5, AIO_WS_TOO_BIG },
    { "goes on after what is no frame", PEER_DATA("\x83\x80" WS_M), PEER_DATA("\x81\x81" WS_M "x"), 1000, 0.1, true, 'r',
      { .close_timeout = 5 }, AIO_EWEBSOCKET, "receive", 0, 5, AIO_WS_PROTOCOL_ERROR },
    { "answers no close", PEER_DATA(""), NULL, 0, 0, 0, true, 'c', { .close_timeout = 5 }, 0, "", 0, 5,
      AIO_WS_ABNORMAL },
    { "answers no close, and sends on", PEER_DATA(""), PEER_DATA("\x81\x81" WS_M "x"), 1000, 0.1, true, 'c',
      { .close_timeout = 5 }, 0, "", 0, 5, AIO_WS_ABNORMAL },
    { "takes nothing", PEER_DATA(""), NULL, 0, 0, 0, false, 's', { .close_timeout = 5 }, AIO_ETIMEOUT, "", 3, 8,
      AIO_WS_ABNORMAL },
    { "takes nothing, and sends", PEER_DATA(""), PEER_DATA("\x81\x81" WS_M "x"), 1, 1, false, 's',
      { .close_timeout = 5 }, AIO_ETIMEOUT, "", 3, 8, AIO_WS_ABNORMAL },
    { "takes nothing, for ever", PEER_DATA(""), NULL, 0, 0, 0, false, 'w', { .send_timeout = 4, .close_timeout = 5 },
      ETIMEDOUT, "send", 4, 4, AIO_WS_ABNORMAL },
    { "the same, and the limit is write_timeout", PEER_DATA(""), PEER_DATA("\x81\x81" WS_M "x"), 1, 1, false, 'w',
      { .close_timeout = 5 }, ETIMEDOUT, "send", 10, 10, AIO_WS_ABNORMAL },
    { "takes slowly, but enough", PEER_DATA(""), NULL, 0, 0, 0, true, 'm', { .send_timeout = 4, .close_timeout = 5 },
      0, "", 0, 5, AIO_WS_ABNORMAL },
    { "takes all in time", PEER_DATA(""), NULL, 0, 0, 0, true, 't', { .send_timeout = 4, .close_timeout = 5 },
      0, "", 5, 10, AIO_WS_ABNORMAL },
    { "takes nothing of what was left", PEER_DATA(""), NULL, 0, 0, 0, false, 'l', { .close_timeout = 5 }, 0, "", 0, 0, 0 },
};

/* What the server knew. */
static struct peer_told { const struct peer_row *row; int code, close_code; char phase[16]; double at, ended; bool over;
    size_t unsent; } peer_told;
struct peer_meeting { aio_task task; aio_request *request; const struct peer_row *row; aio_ws *ws; aio_ws_message m;
    double start; int sent; };
static double peer_clock(void) { return aio_loop_time(aio_get_running_loop()); }
static AIO_CORO(peer_meeting)
{
    AIO_BEGIN(peer_meeting);
    self->row = peer_told.row;
    self->start = peer_clock();
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket_with(self->request, &self->row->options));
    AIO_TRY {
        while (self->row->how == 'r') {
            AIO_AWAIT(self->m, aio_ws_receive(self->ws));
            CHECK(false); /* no message is whole */
            if (self->m.type == AIO_WS_CLOSED) break;
        }
        while (strchr("swm", self->row->how)) { /* what the peer does not take is held back */
            AIO_TIMEOUT(self->row->how == 's' ? 3 : 300)
                AIO_AWAIT(aio_ws_send_bytes(self->ws, peer_large, sizeof peer_large));
            self->start = peer_clock();
            if (++self->sent == (self->row->how == 'm' ? 50 : 1000)) break;
        }
        for (; strchr("lt", self->row->how) && self->sent < 100; self->sent++)
            aio_unref(aio_ws_send_bytes(self->ws, peer_large, sizeof peer_large));
        if (self->row->how == 't') {
            CHECK(self->ws->owed != NULL);
            while (aio_stream_write_buffer_size(self->request->stream)) AIO_AWAIT(aio_sleep(0.01));
            self->start = peer_clock();
            AIO_AWAIT(aio_sleep(5));
            CHECK(self->ws->owed == NULL); /* nothing is: what is sent next has the whole of its time */
        }
    } AIO_CATCH {
        peer_told.code = aio_caught(self)->code;
        if (self->row->how == 'r' || self->row->how == 'w')
            snprintf(peer_told.phase, sizeof peer_told.phase, "%s", aio_caught(self)->phase);
        peer_told.unsent = aio_stream_write_buffer_size(self->request->stream);
    } AIO_END_TRY;
    peer_told.at = peer_clock() - self->start;
    if (self->row->how != 'l') AIO_AWAIT(aio_ws_close(self->ws, AIO_WS_POLICY, "enough"));
    peer_told.ended = peer_clock() - self->start;
    peer_told.close_code = aio_ws_close_code(self->ws);
    peer_told.over = true;
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *peer_handler(aio_request *request, void *arg) { return (void)arg, AIO_CALL(peer_meeting, .request = request); }

/* Takes what comes, and tells nobody. */
struct peer_reads { aio_task task; aio_stream *stream; bool slow; aio_text text; size_t n; };
static AIO_CORO(peer_reads)
{
    AIO_BEGIN(peer_reads);
    AIO_TRY {
        AIO_ASYNC_FOR(self->text, aio_stream_read(self->stream, 65536)) {
            self->n += self->text.length;
            if (self->slow) AIO_AWAIT(aio_sleep(0.1));
        }
    } AIO_CATCH {
    } AIO_END_TRY;
    AIO_END;
}
struct peer_acts { aio_task task; int port; const struct peer_row *row; aio_stream *stream; aio_text text;
    struct peer_reads *reads; };
static AIO_CORO(peer_acts)
{
    AIO_BEGIN(peer_acts);
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port));
    aio_stream_write(self->stream, WS_ASKS(""), strlen(WS_ASKS("")));
    aio_stream_write(self->stream, self->row->first, self->row->first_length);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    if (self->row->reads) REQUIRE(self->reads = aio_create_task(AIO_CALL(peer_reads, .stream = self->stream,
                                                                          .slow = self->row->how == 'm')));
    for (;;) {
        AIO_AWAIT(aio_sleep(self->row->batch ? self->row->every : 1000));
        for (int i = 0; i < self->row->batch; i++)
            aio_stream_write(self->stream, self->row->again, self->row->again_length);
    }
    AIO_FINALLY;
        if (self->reads) aio_task_cancel(self->reads);
        aio_unref(self->reads);
        aio_stream_abort(self->stream);
    AIO_END;
}

/* What is left of faults and cancels other tests of WebSockets have. */
struct ws_peers { aio_task task; aio_server *server; struct peer_acts *peer; size_t i; int waited; };
SCENARIO(ws_peers, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL | KIND_SLICE)
{
    AIO_BEGIN(ws_peers);
    AIO_AWAIT(self->server, aio_start_http_server(peer_handler, NULL, "127.0.0.1", 0, .write_timeout = 10));
    for (self->i = 0; self->i < sizeof peer_rows / sizeof *peer_rows; self->i++) {
        memset(&peer_told, 0, sizeof peer_told);
        peer_told.row = &peer_rows[self->i];
        self->peer = aio_create_task(AIO_CALL(peer_acts, .port = aio_server_port(self->server),
                                              .row = peer_told.row));
        for (self->waited = 0; self->waited < 1000 && !peer_told.over; self->waited++) AIO_AWAIT(aio_sleep(0.1));
        for (self->waited = 0; self->waited < 400 && aio_server_client_count(self->server); self->waited++)
            AIO_AWAIT(aio_sleep(0.1));
        if (peer_told.row->how != 'l') CHECK(self->waited < 10); /* it has had close_timeout: there is no lingering */
        const struct peer_row *row;
        row = peer_told.row;
        long failures;
        failures = (long)now.failures;
        CHECK(peer_told.over && peer_told.unsent < 400000);
        CHECK_INT(peer_told.code, row->code);
        CHECK_STR(peer_told.phase, row->phase);
        double late;
        late = row->how == 'm' ? 4 : row->how == 'w' ? row->at : 0; /* the system may take more than at first */
        CHECK_NEAR(peer_told.at, row->at + late, late + 1);
        CHECK_NEAR(peer_told.ended, row->ended + late, late + 1);
        CHECK_INT(peer_told.close_code, row->close_code);
        CHECK_INT(aio_server_client_count(self->server), 0); /* linger_timeout is 30 s, write_timeout twice 10 */
        if ((long)now.failures > failures) printf("# that was a peer that is: %s\n", row->name);
        aio_task_cancel(self->peer);
        aio_unref(self->peer);
        self->peer = NULL;
    }
    AIO_FINALLY;
        if (self->peer) aio_task_cancel(self->peer);
        aio_unref(self->peer);
        SERVER_END(self->server);
    AIO_END;
}

/* A receive that waits for a silent peer while another task ends the connection, by a close that gives up or a send
 * that fails: it ends then, too, whoever's side it is, and whether it waits for data or until its pongs are taken. */
struct peer_gives_up { aio_task task; aio_ws *ws; struct ws_receive_one *one; double start; bool closes, pings; };
static bool peer_is_draining(const aio_ws *ws)
{
    const aio__ws_waiting *more = ws->receiver ? ((struct aio__ws_receiving *)(void *)ws->receiver)->more : NULL;
    return more && more->drained;
}
static AIO_CORO(peer_gives_up)
{
    AIO_BEGIN(peer_gives_up);
    self->one = aio_create_task(AIO_CALL(ws_receive_one, .ws = self->ws));
    REQUIRE(self->one);
    AIO_AWAIT(aio_sleep(1));
    CHECK(!aio_future_done(self->one));
    CHECK(peer_is_draining(self->ws) == self->pings);
    self->start = peer_clock();
    if (self->closes) AIO_AWAIT(aio_ws_close(self->ws, 0, NULL));
    else aio__ws_fail(self->ws, AIO_WS_INTERNAL_ERROR, aio__exception(ENOBUFS, "send", "no room"), "");
    CHECK_NEAR(peer_clock() - self->start, self->closes ? 5 : 0, 1);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_future_done(self->one));
    CHECK_INT(self->one->code, self->closes ? AIO_ETIMEOUT : ENOBUFS);
    CHECK_INT(aio_ws_close_code(self->ws), self->closes ? AIO_WS_ABNORMAL : AIO_WS_INTERNAL_ERROR);
    AIO_FINALLY;
        if (self->one) aio_task_cancel(self->one);
        aio_unref(self->one);
    AIO_END;
}
static bool peer_closes, peer_sends_pings, peer_gave_up;
struct peer_abandoned { aio_task task; aio_request *request; aio_ws *ws; };
static AIO_CORO(peer_abandoned)
{
    AIO_BEGIN(peer_abandoned);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request, .close_timeout = 5));
    AIO_AWAIT(AIO_CALL(peer_gives_up, .ws = self->ws, .closes = peer_closes, .pings = peer_sends_pings));
    peer_gave_up = true;
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *peer_abandoned_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(peer_abandoned, .request = request);
}
/* Forty thousand frames, each a head and zeros. */
enum { PEER_FRAMES = 40000 };
static char *peer_frames(const char *head, size_t length, size_t frame)
{
    char *frames = (char *)kept(PEER_FRAMES * frame);
    for (size_t i = 0; i < PEER_FRAMES; i++) memcpy(frames + i * frame, head, length);
    return frames;
}

enum { PEER_PING = 131, PEER_BARE_PING = 127 };
static char *peer_pings, *peer_bare_pings;
struct ws_gives_up { WS_DIALS; aio_server *http; aio_stream *stream; aio_text text; int i; };
SCENARIO(ws_gives_up, .skip = KIND_SLICE /* much */, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED,
         AIO_EHANDSHAKE, ECONNABORTED, AIO_ETIMEOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(ws_gives_up);
    if (!peer_pings) peer_pings = peer_frames("\x89\xFD\0\0\0\0", 6, PEER_PING);
    AIO_AWAIT(self->http, aio_start_http_server(peer_abandoned_handler, NULL, "127.0.0.1", 0));
    for (self->i = 0; self->i < 4; self->i++) { /* the server's side */
        peer_closes = self->i % 2 == 0;
        peer_gave_up = false;
        peer_sends_pings = self->i / 2 && now.w->kind == KIND_PLAIN;
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->http)));
        aio_stream_write(self->stream, WS_ASKS(""), strlen(WS_ASKS("")));
        AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
        if (peer_sends_pings) aio_stream_write(self->stream, peer_pings, PEER_FRAMES * PEER_PING);
        AIO_AWAIT(aio_sleep(8));
        CHECK(peer_gave_up);
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    for (self->i = 0; self->i < 2; self->i++) { /* the client's */
        AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                     .options = { .close_timeout = 5 }));
        AIO_AWAIT(AIO_CALL(peer_gives_up, .ws = self->ws, .closes = !self->i));
        aio_ws_release(self->ws);
        self->ws = NULL;
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
        aio_server_abort_clients(self->http);
        if (self->http) AIO_AWAIT(aio_server_wait_closed(self->http));
    AIO_END;
}

enum { PEER_SENDS = 32 };
/* Sends more than the system takes, of whose buffers the sender's is made small. */
static void peer_sends(aio_ws *ws)
{
    int small_ = 65536;
    setsockopt(aio_stream_fileno(aio_ws_stream(ws)), SOL_SOCKET, SO_SNDBUF, &small_, sizeof small_);
    for (int i = 0; i < PEER_SENDS; i++) aio_unref(aio_ws_send_bytes(ws, peer_large, 65536));
}

/* A client whose peer takes nothing: who receives hears of it, and nobody has to await what he sends. */
struct ws_untaken { WS_DIALS; struct ws_receive_one *one; double start; };
SCENARIO(ws_untaken, .skip = KIND_SLICE /* much */, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED,
         AIO_EHANDSHAKE, ECONNABORTED, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(ws_untaken);
    self->raw.deaf = true;
    AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                 .options = { .send_timeout = 4 }));
    self->one = aio_create_task(AIO_CALL(ws_receive_one, .ws = self->ws));
    REQUIRE(self->one);
    peer_sends(self->ws);
    CHECK(aio_stream_write_buffer_size(aio_ws_stream(self->ws)));
    self->start = peer_clock();
    AIO_AWAIT((struct ws_receive_one *)aio_ref(self->one));
    CHECK_NEAR(peer_clock() - self->start, 14, 11); /* 4 s, but for each 64 KiB that the system takes late as many more */
    CHECK_INT(self->one->code, ETIMEDOUT);
    CHECK(aio_ws_exception(self->ws) && strstr(aio_ws_exception(self->ws)->message, "send_timeout"));
    CHECK(!aio_ws_stream(self->ws));
    AIO_TRY {
        AIO_AWAIT(aio_ws_send_text(self->ws, "x", 1));
        CHECK(false);
    } AIO_CATCH {
        CHECK_INT(aio_caught(self)->code, ETIMEDOUT);
    } AIO_END_TRY;
    AIO_FINALLY;
        if (self->one) aio_task_cancel(self->one);
        aio_unref(self->one);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A client's peer takes nothing: a receive that waits, for data or until the pongs are taken, hears of a release at once,
 * and not when the stream has given up what is unsent. So does one who closes. */
struct ws_released_unsent { WS_DIALS; struct ws_receive_one *one; aio_future *closing; double start; int i; };
SCENARIO(ws_released_unsent, .skip = KIND_SLICE /* much */, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED,
         AIO_EHANDSHAKE, ECONNABORTED, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(ws_released_unsent);
    if (!peer_bare_pings) peer_bare_pings = peer_frames("\x89\x7D", 2, PEER_BARE_PING);
    self->raw.deaf = true;
    for (self->i = 0; self->i < 3; self->i++) {
        self->raw.says = peer_bare_pings;
        self->raw.length = self->i == 2 && now.w->kind == KIND_PLAIN ? PEER_FRAMES * PEER_BARE_PING : 0;
        AIO_AWAIT(self->ws, AIO_CALL(ws_dial, .raw = &self->raw, .server = &self->server, .session = &self->session,
                                     .options = { .close_timeout = 20 }));
        if (!self->raw.length) peer_sends(self->ws);
        if (self->i == 1) {
            REQUIRE(self->closing = aio_ensure_future(aio_ws_close(self->ws, 0, NULL)));
        } else {
            REQUIRE(self->one = aio_create_task(AIO_CALL(ws_receive_one, .ws = self->ws)));
        }
        AIO_AWAIT(aio_sleep(1));
        CHECK(aio_stream_write_buffer_size(aio_ws_stream(self->ws)));
        CHECK(peer_is_draining(self->ws) == (self->raw.length != 0));
        self->start = peer_clock();
        aio_ws_release(self->ws);
        self->ws = NULL;
        if (self->one) {
            AIO_AWAIT((struct ws_receive_one *)aio_ref(self->one));
            CHECK_INT(self->one->code, ECONNABORTED);
        } else {
            AIO_AWAIT(aio_ref(self->closing));
        }
        CHECK_NEAR(peer_clock() - self->start, 0, 0.5);
        aio_unref(self->one);
        aio_unref(self->closing);
        self->one = NULL;
        self->closing = NULL;
    }
    AIO_FINALLY;
        if (self->one) aio_task_cancel(self->one);
        if (self->closing) aio_future_cancel(self->closing);
        aio_unref(self->one);
        aio_unref(self->closing);
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A server that says something and then takes nothing. */
struct ws_says_one { aio_task task; aio_request *request; aio_ws *ws; };
static AIO_CORO(ws_says_one)
{
    AIO_BEGIN(ws_says_one);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request));
    AIO_AWAIT(aio_ws_send_text(self->ws, "which the user has in hand", 26));
    AIO_AWAIT(aio_sleep(1000));
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *ws_says_one_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(ws_says_one, .request = request);
}

/* A client that sends to it: the sender hears of the send_timeout, and the message in hand stays what it was. */
struct ws_untaken_message { WS_DIALS; aio_ws_message m; double start; char url[60]; };
SCENARIO(ws_untaken_message, .skip = KIND_SLICE /* much */, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED,
         AIO_EHANDSHAKE, ECONNABORTED, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(ws_untaken_message);
    AIO_AWAIT(self->server, aio_start_http_server(ws_says_one_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "ws://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .send_timeout = 4));
    AIO_AWAIT(self->m, aio_ws_receive(self->ws));
    peer_sends(self->ws);
    AIO_TRY {
        AIO_AWAIT(aio_ws_send_bytes(self->ws, peer_large, 65536));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ETIMEDOUT);
        if (!touched()) CHECK(strstr(aio_caught(self)->message, "send_timeout") != NULL);
    } AIO_END_TRY;
    CHECK_BYTES(self->m.data.data, self->m.data.length, "which the user has in hand");
    self->start = peer_clock();
    AIO_AWAIT(aio_ws_close(self->ws, AIO_WS_OK, "")); /* there is nobody to wait for */
    CHECK_NEAR(peer_clock() - self->start, 0, 0.1);
    CHECK_PTR(aio_ws_stream(self->ws), NULL);
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}
