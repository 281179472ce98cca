/* Fairness of the HTTP client: what a server that sends as fast as it is read gets before another task has its turn. */

/* The connection gives the same bytes again and again, `give` of them a call, from when its descriptor is known. */
static struct { int fd; const char *bytes; size_t length, at, give, taken, most; } torrent;
static ssize_t torrent_recv(int fd, void *data, size_t size, int flags)
{
    if (fd != torrent.fd || !torrent.bytes) return seam_recv(fd, data, size, flags);
    size_t n = size < torrent.give ? size : torrent.give;
    for (size_t i = 0; i < n; i++) ((char *)data)[i] = torrent.bytes[torrent.at++ % torrent.length];
    if ((torrent.taken += n) > torrent.most) torrent.most = torrent.taken;
    clock_advance(1e-6);
    seam_rearm(fd); /* what the server has really sent stays */
    return (ssize_t)n;
}

/* `pieces`: what the reader got since the other task had its turn. */
struct torrent_other { aio_task task; int *pieces, *ticks; };
static AIO_CORO(torrent_other)
{
    AIO_BEGIN(torrent_other);
    for (;;) {
        torrent.taken = 0;
        *self->pieces = 0;
        ++*self->ticks;
        clock_advance(AIO__POLL_EVERY * 1e-9);
        AIO_AWAIT(aio_sleep(0));
    }
    AIO_END;
}

#define TORRENT_SELF aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text; \
    aio_task *other; char url[64]; int i, j, pieces, most, ticks; double began
#define TORRENT_OTHER(...)                                                                                         \
    do {                                                                                                           \
        aio_loop_set_turn_limits(aio_get_running_loop(), __VA_ARGS__);                                             \
        self->other = (aio_task *)(void *)aio_create_task(AIO_CALL(torrent_other, .pieces = &self->pieces,         \
                                                                   .ticks = &self->ticks));                        \
        REQUIRE(self->other);                                                                                      \
    } while (0)
#define TORRENT_REST()                                                                                             \
    do {                                                                                                           \
        if (self->other) aio_task_cancel(self->other);                                                             \
        aio_unref(self->other);                                                                                    \
        self->other = NULL;                                                                                        \
    } while (0)

static const struct { const char *head, *bytes; size_t length, give; bool all; } torrents[] = {
    { "Transfer-Encoding: chunked", "10\r\n0123456789abcdef\r\n", 22, 4096, false }, /* small chunks */
    { "Transfer-Encoding: chunked", "10\r\n0123456789abcdef\r\n", 22, 4096, true },
    { "Transfer-Encoding: chunked", "1\r\nx\r\n", 6, 4096, false }, /* a tiny chunk, as many as are allowed */
    { "Connection: close", "x", 1, 1, false }, /* a byte at a time */
    { "Connection: close", "x", 1, 4096, true },
};
enum { TORRENTS = sizeof torrents / sizeof *torrents };

/* A body without end: the reader's turns are short, and its timeout comes in time. */
struct client_torrent { TORRENT_SELF; char head[80]; };
SCENARIO(client_torrent, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_torrent);
    memset(&torrent, 0, sizeof torrent);
    aio__os.recv = torrent_recv;
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    for (self->i = 0; self->i < TORRENTS; self->i++) {
        snprintf(self->head, sizeof self->head, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", torrents[self->i].head);
        script_says(&the_script, self->head, END_STAY);
        the_script.later = torrents[self->i].bytes;
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        torrent.fd = aio__stream_fd(aio__exchange_stream(&aio__reply_of(self->r)->x))->fd;
        torrent.length = torrents[self->i].length;
        torrent.give = torrents[self->i].give;
        torrent.at = torrent.taken = 0;
        AIO_AWAIT(aio_sleep(1.5)); /* now it is readable for good */
        torrent.bytes = torrents[self->i].bytes;
        TORRENT_OTHER(.bytes = 20000, .messages = 50);
        for (self->j = 0; self->j < AIO__RECENT; self->j++) AIO_AWAIT(aio_sleep(0)); /* steps are no longer short */
        self->most = self->ticks = 0;
        torrent.most = 0;
        self->began = aio_time();
        AIO_TRY {
            AIO_TIMEOUT(0.002) {
                if (torrents[self->i].all) AIO_AWAIT(self->text, aio_response_read(self->r));
                else for (;;) {
                    AIO_AWAIT(self->text, aio_response_read_chunk(self->r));
                    if (++self->pieces > self->most) self->most = self->pieces;
                }
            }
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ETIMEOUT);
        } AIO_END_TRY
        CHECK_NEAR(aio_time() - self->began, 0.002, 0.0002);
        CHECK(self->ticks > 20);
        CHECK(torrent.most < 20000 + 3 * 4096);
        CHECK(self->most <= 50 + AIO__TURN_AWAITS);
        TORRENT_REST();
        torrent.bytes = NULL;
        aio_response_close(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio__os.recv = seam_recv;
        TORRENT_REST();
        aio_response_close(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* 1xx responses without end: they are limited. */
struct client_torrent_interim { TORRENT_SELF; char *many; };
SCENARIO(client_torrent_interim, .may = CLIENT_MAY)
{
    static const char one[] = "HTTP/1.1 102 Processing\r\n\r\n";
    AIO_BEGIN(client_torrent_interim);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    REQUIRE(self->many = (char *)aio__calloc(AIO__INTERIM_MAX * (sizeof one - 1) + 80));
    for (self->i = 0; self->i < 2; self->i++) {
        for (int i = 0; i < AIO__INTERIM_MAX + self->i; i++)
            memcpy(self->many + i * (int)(sizeof one - 1), one, sizeof one);
        if (!self->i) strcat(self->many, "HTTP/1.1 204 No\r\n\r\n");
        script_says(&the_script, self->many, END_STAY);
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
            CHECK_INT(self->i, 0);
            CHECK_INT(self->r->status, 204);
        } AIO_CATCH_CODE(AIO_ELIMIT) {
            CHECK_INT(self->i, 1);
            CHECK(strstr(aio_caught(self)->message, "too many 1xx"));
        } AIO_END_TRY
        aio_response_close(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio__free(self->many);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A few bytes that are decoded to very many, or through two decoders to none: also that is done in turns. */
enum { BOMB = 400000 };
struct bomb { aio_task task; aio_request *request; const char *headers[3]; aio_text body; };
static struct { aio_text once, none; } bombs;
static AIO_CORO(bomb)
{
    bool none;
    AIO_BEGIN(bomb);
    none = strstr(self->request->path.data, "none") != NULL;
    self->headers[0] = "Content-Encoding";
    self->headers[1] = none ? "deflate, deflate" : "deflate";
    AIO_AWAIT(aio_request_respond(self->request, 200, .body = (none ? bombs.none : bombs.once).data,
                                  .length = (none ? bombs.none : bombs.once).length, .headers = self->headers));
    AIO_END;
}
static void *bomb_handler(aio_request *request, void *arg) { return (void)arg, AIO_CALL(bomb, .request = request); }

/* `none`: an empty body, as so many empty blocks. */
static bool bombs_make(void)
{
    char *plain = (char *)calloc(1, BOMB);
    bool made = !aio_deflate_all(&bombs.once, plain, BOMB);
    for (size_t i = 0; i + 5 < BOMB; i += 5) memcpy(plain + i, "\0\0\0\377\377", 5);
    memcpy(plain + BOMB - 5, "\1\0\0\377\377", 5);
    made = made && !aio_deflate_all(&bombs.none, plain, BOMB);
    free(plain);
    return made;
}

struct client_bomb { TORRENT_SELF; size_t n; };
SCENARIO(client_bomb, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_bomb);
    REQUIRE(bombs_make());
    AIO_AWAIT(self->server, aio_start_http_server(bomb_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    TORRENT_OTHER(.bytes = 20000);
    for (self->i = 0; self->i < 4; self->i++) {
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/%s", aio_server_port(self->server),
                 self->i < 2 ? "many" : "none");
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        self->n = 0;
        self->most = self->ticks = 0;
        if (self->i % 2) {
            AIO_ASYNC_FOR(self->text, aio_response_read_chunk(self->r)) {
                self->n += self->text.length;
                self->pieces += (int)self->text.length;
                if (self->pieces > self->most) self->most = self->pieces;
            }
        } else {
            AIO_AWAIT(self->text, aio_response_read(self->r));
            self->n = self->text.length;
        }
        CHECK_INT(self->n, self->i < 2 ? BOMB : 0);
        CHECK(self->ticks >= (self->i % 2 ? BOMB : BOMB - AIO__EAGER_DECODED) / (20000 + 2 * AIO__DECODED_PIECE));
        CHECK(self->most <= 20000 + 2 * AIO__DECODED_PIECE);
        aio_response_release(self->r);
        self->r = NULL;
        CHECK_INT(aio_session_idle(self->session), 1);
    }
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    aio_response_release(self->r); /* what nobody wants is passed over undecoded, if all of it is there */
    self->r = NULL;
    if (now.w->kind != KIND_SLICE) CHECK_INT(aio_session_idle(self->session), 1);
    AIO_FINALLY;
        TORRENT_REST();
        aio_response_close(self->r);
        aio_text_clear(&bombs.once);
        aio_text_clear(&bombs.none);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}
