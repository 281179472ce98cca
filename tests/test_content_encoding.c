/* Bodies that come encoded: gzip, zlib and raw deflate, in layers, cut short, broken, too large, as a whole and in pieces. */

enum { CE_SIZE = 36000 };
static char ce_plain[CE_SIZE + 1]; /* lines of text; the same for all */
static void ce_fill(void)
{
    size_t n = 0;
    for (unsigned i = 0; n < CE_SIZE; i++) n += (size_t)snprintf(ce_plain + n, sizeof ce_plain - n, "line %u of the text\n", i * 7919);
}

/* GET /CODING/HOW: the text in that coding. */
struct ce_answer { aio_task task; aio_request *request; aio_text once, twice; const char *headers[5]; bool broken; size_t length; };
static bool ce_asked(const struct ce_answer *self, const char *word) { return strstr(self->request->path.data, word) != NULL; }
static AIO_CORO(ce_answer)
{
    AIO_BEGIN(ce_answer);
    self->headers[0] = "Content-Encoding";
    self->headers[1] = ce_asked(self, "twice") ? "deflate, gzip" : ce_asked(self, "br") ? "br"
                     : ce_asked(self, "gzip") ? "x-gzip" : ce_asked(self, "plain") ? "identity" : "deflate";
    if (aio_deflate_all(&self->once, ce_plain, CE_SIZE, .format = ce_asked(self, "gzip") ? AIO_CODING_GZIP
                        : ce_asked(self, "raw") ? AIO_CODING_RAW : AIO_CODING_ZLIB)) AIO_RAISE(ENOMEM);
    if (ce_asked(self, "twice")) {
        if (aio_deflate_all(&self->twice, self->once.data, self->once.length)) AIO_RAISE(ENOMEM);
        aio_text_clear(&self->once);
        self->once = self->twice;
        memset(&self->twice, 0, sizeof self->twice);
    }
    self->length = self->once.length;
    if (ce_asked(self, "short")) self->length /= 2;
    if (ce_asked(self, "damaged")) memset((char *)(uintptr_t)self->once.data + 1000, 0xFF, 100);
    if (ce_asked(self, "empty")) self->length = 0;
    if (ce_asked(self, "plain")) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .body = ce_plain, .length = CE_SIZE, .headers = self->headers));
    } else {
        AIO_AWAIT(aio_request_respond(self->request, ce_asked(self, "part") ? 206 : 200, .body = self->once.data,
                                      .length = self->length, .headers = self->headers));
    }
    AIO_FINALLY;
    aio_text_clear(&self->once);
    aio_text_clear(&self->twice);
    AIO_END;
}
static void *ce_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(ce_answer, .request = request);
}

struct content_encoding { aio_task task; aio_server *server; aio_session *session; aio_response *response; aio_text text; char url[80]; int i;
            bool pieces, failed; size_t n; };
static const struct { const char *path; size_t length; bool fails; const char *why; } ce_rows[] = {
    { "gzip", CE_SIZE, false, "" }, { "zlib", CE_SIZE, false, "" }, { "raw", CE_SIZE, false, "" }, { "twice", CE_SIZE, false, "" },
    { "plain", CE_SIZE, false, "" }, { "empty-gzip", 0, false, "" }, { "br", 0, false, "raw" }, { "part", 0, false, "raw" },
    { "short-gzip", 0, true, "" }, { "short-raw", 0, true, "" }, { "damaged-gzip", 0, true, "not valid at byte" },
    { "short-twice", 0, true, "" },
};
#define CE_MAY .may = { AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EHTTP, ECONNRESET, EPIPE, EINVAL }
SCENARIO(content_encoding, CE_MAY)
{
    AIO_BEGIN(content_encoding);
    ce_fill();
    AIO_AWAIT(self->server, aio_start_http_server(ce_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    for (self->i = 0; self->i < 2 * (int)(sizeof ce_rows / sizeof *ce_rows); self->i++) {
        self->pieces = self->i % 2;
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/%s", aio_server_port(self->server), ce_rows[self->i / 2].path);
        AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
        self->failed = false;
        self->n = 0;
        AIO_TRY {
            if (self->pieces) {
                AIO_ASYNC_FOR(self->text, aio_response_read_chunk(self->response)) {
                    if (ce_rows[self->i / 2].length && self->response->status == 200) ALWAYS(memcmp(self->text.data, ce_plain + self->n, self->text.length) == 0);
                    self->n += self->text.length;
                }
            } else {
                AIO_AWAIT(self->text, aio_response_read(self->response));
                self->n = self->text.length;
                if (ce_rows[self->i / 2].length && self->response->status == 200) ALWAYS(memcmp(self->text.data, ce_plain, self->n) == 0);
            }
        } AIO_CATCH_CODE(AIO_EPAYLOAD) {
            CHECK(strstr(aio_caught(self)->message, ce_rows[self->i / 2].why));
            self->failed = true;
        } AIO_END_TRY;
        CHECK_INT(self->failed, ce_rows[self->i / 2].fails);
        if (!self->failed && *ce_rows[self->i / 2].why) CHECK(self->n > 1000 && self->n < CE_SIZE);
        else if (!self->failed) CHECK_INT((int)self->n, (int)ce_rows[self->i / 2].length);
        if (!self->failed) CHECK_INT((int)aio_session_idle(self->session), 1);
        aio_response_release(self->response);
        self->response = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->response);
        aio_server_close(self->server);
        AIO_AWAIT(aio_session_close(self->session));
        AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* What is asked for is what is decoded; a body over the limit is refused by its decoded length. */
struct ce_asks { aio_task task; aio_request *request; };
static AIO_CORO(ce_asks)
{
    AIO_BEGIN(ce_asks);
    AIO_AWAIT(aio_request_respond(self->request, 200,
                                  .text = aio_headers_get(&self->request->headers, "Accept-Encoding").data
                                              ? aio_headers_get(&self->request->headers, "Accept-Encoding").data : "none"));
    AIO_END;
}
static void *ce_asks_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(ce_asks, .request = request);
}

struct content_encoding_asked { aio_task task; aio_server *server, *asks; aio_session *session, *raw; aio_response *response;
                                aio_text text; char url[80]; int i; };
SCENARIO(content_encoding_asked, CE_MAY)
{
    static const char *const range[] = { "Range", "bytes=0-9", NULL }, *const own[] = { "accept-encoding", "br", NULL };
    AIO_BEGIN(content_encoding_asked);
    ce_fill();
    AIO_AWAIT(self->server, aio_start_http_server(ce_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->asks, aio_start_http_server(ce_asks_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open(.max_body = CE_SIZE - 1));
    REQUIRE(self->raw = aio_session_open(.no_auto_decompress = true));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->asks));
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_AWAIT(self->response, aio_session_get(self->i == 1 ? self->raw : self->session, self->url,
                                                  .headers = self->i == 2 ? range : self->i == 3 ? own : NULL));
        AIO_AWAIT(self->text, aio_response_read(self->response));
        CHECK_STR(self->text.data, self->i == 0 ? "gzip, deflate" : self->i == 3 ? "br" : "none");
        aio_response_release(self->response);
        self->response = NULL;
    }
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/gzip", aio_server_port(self->server));
    AIO_AWAIT(self->response, aio_session_get(self->raw, self->url));
    AIO_AWAIT(self->text, aio_response_read(self->response));
    CHECK(self->text.length > 2 && memcmp(self->text.data, "\x1f\x8b", 2) == 0);
    CHECK_INT((int)self->response->content_length, (int)self->text.length);
    aio_response_release(self->response);
    self->response = NULL;
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
    AIO_TRY {
        AIO_AWAIT(self->text, aio_response_read(self->response));
        UNREACHED();
    } AIO_CATCH_CODE(AIO_ELIMIT) {
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->response);
        aio_server_close(self->server);
        aio_server_close(self->asks);
        AIO_AWAIT(aio_session_close(self->session));
        AIO_AWAIT(aio_session_close(self->raw));
        AIO_AWAIT(aio_server_wait_closed(self->server));
        AIO_AWAIT(aio_server_wait_closed(self->asks));
    AIO_END;
}

/* A decoder that goes on giving, without end, on top of a body that is over. */
static char ce_mega[1 << 20];
static aio__body_step ce_endless_feed(aio__stage *stage, const char *data, size_t n, bool last, size_t *used, aio_text *out)
{
    (void)stage, (void)data, (void)last;
    *used = n;
    *out = aio__text(ce_mega, sizeof ce_mega);
    return AIO__BODY_DATA;
}

/* Decoders one upon the other make no more of a byte than one may: who is on top has an end, too. */
TEST(content_encoding_ratio)
{
    aio__body_reader in;
    aio__stage stage;
    aio_text piece;
    size_t pieces = 0;
    aio_loop *loop = aio_new_event_loop();
    if (!CHECK(loop != NULL)) return;
    aio_loop_set_turn_limits(loop, .bytes = SIZE_MAX, .seconds = AIO_UNLIMITED);
    memset(&in, 0, sizeof in);
    aio__deadline_make(&in.deadline, loop, 0, NULL);
    memset(&stage, 0, sizeof stage);
    stage.feed = ce_endless_feed;
    in.body.state = AIO__CHUNK_END;
    in.body.received = 2 * AIO_INFLATE_BURST / AIO_INFLATE_RATIO;
    while (pieces < 100 && aio__body_peek(&in, &stage, &piece) == AIO__BODY_DATA) {
        aio__body_take(&in, &stage, piece.length);
        pieces++;
    }
    CHECK_INT(pieces, 2 * AIO_INFLATE_BURST / sizeof ce_mega);
    for (int i = 0; i < 2; i++) CHECK_INT(aio__body_peek(&in, &stage, &piece), AIO__BODY_ERROR);
    CHECK(in.body.problem && strstr(in.body.problem, "too many times as long"));
    aio_loop_free(loop);
}
