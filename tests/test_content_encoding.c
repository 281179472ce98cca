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
    for (self->i = 0; self->i < 2 * (int)(sizeof ce_rows / sizeof *ce_rows); self->i += rows_of(1, 3)) {
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

/* ---- bodies of requests ---- */

/* What the server got: its length, and whether it is the text. How it reads it, the path says. */
struct ce_got { aio_task task; aio_request *request; aio_text text; const aio_post *post; const aio_json *json; size_t n; bool same;
                char out[80]; };
static AIO_CORO(ce_got)
{
    AIO_BEGIN(ce_got);
    self->same = true;
    if (strstr(self->request->path.data, "left")) {
        AIO_AWAIT(self->text, aio_request_read_chunk(self->request));
    } else if (strstr(self->request->path.data, "pieces")) {
        AIO_ASYNC_FOR(self->text, aio_request_read_chunk(self->request)) {
            if (self->n + self->text.length <= CE_SIZE && memcmp(self->text.data, ce_plain + self->n, self->text.length)) self->same = false;
            self->n += self->text.length;
        }
    } else if (strstr(self->request->path.data, "post")) {
        AIO_AWAIT(self->post, aio_request_post(self->request));
        self->n = aio_post_string(self->post, "a", "").length;
    } else if (strstr(self->request->path.data, "json")) {
        AIO_AWAIT(self->json, aio_request_json(self->request));
        self->n = aio_json_count(self->json);
    } else if (!strstr(self->request->path.data, "none")) {
        AIO_AWAIT(self->text, aio_request_read(self->request));
        self->n = self->text.length;
        self->same = self->n <= CE_SIZE && !memcmp(self->text.data, ce_plain, self->n);
    }
    snprintf(self->out, sizeof self->out, "%zu %s", self->n, self->same ? "the same" : "others");
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->out));
    AIO_END;
}
static void *ce_got_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(ce_got, .request = request);
}

/* Bodies: of the text, of a form, of an array; then in members, cut, followed by something, damaged. */
enum ce_body { CE_TEXT, CE_HALVES, CE_SHORT, CE_BEHIND, CE_DAMAGED, CE_EMPTY, CE_TWICE, CE_FORM, CE_LARGE_FORM, CE_JSON, CE_LARGE, CE_RAW };
static const struct ce_upload { const char *path, *coding; enum ce_body body; int status; const char *has; } ce_uploads[] = {
    { "/", "gzip", CE_TEXT, 200, "36000 the same" }, { "/pieces", "X-GZIP", CE_TEXT, 200, "36000 the same" },
    { "/", "deflate", CE_TEXT, 200, "36000 the same" }, { "/", "gzip, identity", CE_TEXT, 200, "36000 the same" },
    { "/", "gzip\r\nContent-Encoding: gzip", CE_TWICE, 200, "36000 the same" }, { "/", "gzip,gzip", CE_TWICE, 200, "36000 the same" },
    { "/", "gzip", CE_HALVES, 200, "36000 the same" }, { "/", "gzip", CE_BEHIND, 200, "36000 the same" },
    { "/", "gzip", CE_EMPTY, 200, "0 the same" }, { "/", "identity", CE_RAW, 200, "300 the same" },
    { "/", "", CE_RAW, 200, "300 the same" },
    { "/", "gzip", CE_SHORT, 400, "400" }, { "/pieces", "gzip", CE_SHORT, 400, "400" }, { "/", "gzip", CE_DAMAGED, 400, "400" },
    { "/", "br", CE_TEXT, 415, "\r\nAccept-Encoding: gzip, deflate\r\n" },
    { "/pieces", "gzip, zstd", CE_TEXT, 415, "\r\nAccept-Encoding: gzip, deflate\r\n" },
    { "/json", "br", CE_JSON, 415, "\r\nAccept-Encoding: gzip, deflate\r\n" },
    { "/post", "br", CE_FORM, 415, "\r\nAccept-Encoding: gzip, deflate\r\n" },
    { "/", "gzip,gzip,gzip,gzip,gzip,gzip", CE_TEXT, 415, "Accept-Encoding" },
    { "/none", "br", CE_TEXT, 200, "0 the same" }, { "/left", "gzip", CE_TEXT, 200, "0 the same" },
    { "/post", "gzip", CE_FORM, 200, "30000 the same" }, { "/post", "gzip", CE_LARGE_FORM, 413, "413" },
    { "/json", "deflate", CE_JSON, 200, "1000 the same" },
    { "/", "gzip", CE_LARGE, 413, "413" }, { "/pieces", "gzip", CE_LARGE, 200, "40000 others" },
};

/* 0 or ENOMEM. The text is the caller's. */
static int ce_pack(aio_text *out, const struct ce_upload *row)
{
    static char large[40000];
    aio_text once = { NULL, 0 };
    const char *data = ce_plain;
    size_t n = row->body == CE_RAW ? 300 : row->body == CE_HALVES ? CE_SIZE / 2 : CE_SIZE;
    int format = row->coding[0] == 'd' ? AIO_CODING_ZLIB : AIO_CODING_GZIP;
    if (row->body >= CE_FORM && row->body < CE_RAW) {
        data = large;
        n = row->body == CE_FORM ? 30002 : row->body == CE_LARGE_FORM ? sizeof large : row->body == CE_JSON ? 2001 : sizeof large;
        memset(large, 'x', sizeof large);
        memcpy(large, "a=", 2);
        for (size_t i = 0; row->body == CE_JSON && i < n; i++) large[i] = i == 0 ? '[' : i + 1 == n ? ']' : i % 2 ? '1' : ',';
    }
    if (row->body == CE_EMPTY) n = 0;
    memset(out, 0, sizeof *out);
    if (aio_deflate_all(&once, data, n, .format = format)) return ENOMEM;
    char *copy = (char *)malloc(2 * once.length + 300);
    memcpy(copy, once.data, once.length);
    n = row->body == CE_EMPTY ? 0 : once.length;
    aio_text_clear(&once);
    if (row->body == CE_RAW) memcpy(copy, data, n = 300);
    if (row->body == CE_SHORT) n /= 2;
    if (row->body == CE_DAMAGED) memset(copy + 1000, 0xff, 100);
    if (row->body == CE_BEHIND) memcpy(copy + n, "rubbish", 7), n += 7;
    bool failed = row->body == CE_TWICE ? aio_deflate_all(out, copy, n) != 0 : false;
    if (row->body == CE_HALVES && !(failed = aio_deflate_all(&once, ce_plain + CE_SIZE / 2, CE_SIZE / 2) != 0)) {
        copy = (char *)realloc(copy, n + once.length);
        memcpy(copy + n, once.data, once.length);
        n += once.length;
        aio_text_clear(&once);
    }
    if (row->body == CE_TWICE || failed) free(copy);
    else *out = aio__text(copy, n);
    return failed ? ENOMEM : 0;
}
static void ce_unpack(aio_text *text, const struct ce_upload *row)
{
    if (row->body == CE_TWICE) aio_text_clear(text);
    else free((void *)(uintptr_t)text->data);
    text->data = NULL;
}

static size_t ce_say(char *out, size_t room, const struct ce_upload *row, aio_text body)
{
    size_t n = (size_t)snprintf(out, room, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\n%s%s%sContent-Length: %u\r\n\r\n", row->path,
                                row->body == CE_JSON ? "application/json" : "application/x-www-form-urlencoded",
                                *row->coding ? "Content-Encoding: " : "", row->coding, *row->coding ? "\r\n" : "", (unsigned)body.length);
    memcpy(out + n, body.data, body.length);
    n += body.length;
    return n + (size_t)snprintf(out + n, room - n, "GET /none HTTP/1.1\r\nHost: h\r\n\r\n");
}

/* Each is followed by a request on the same connection, which has its answer unless the body was refused. */
struct content_encoding_uploads { aio_task task; aio_server *server; struct talk *talk; size_t i, n; aio_text packed; char said[12000]; };
SCENARIO(content_encoding_uploads, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, EINVAL })
{
    AIO_BEGIN(content_encoding_uploads);
    ce_fill();
    AIO_AWAIT(self->server, aio_start_http_server(ce_got_handler, NULL, "127.0.0.1", 0, .max_body = CE_SIZE));
    for (self->i = 0; self->i < sizeof ce_uploads / sizeof *ce_uploads; self->i += (size_t)rows_of(1, 2)) {
        if (ce_pack(&self->packed, &ce_uploads[self->i])) AIO_RAISE(ENOMEM);
        self->n = ce_say(self->said, sizeof self->said, &ce_uploads[self->i], self->packed);
        ce_unpack(&self->packed, &ce_uploads[self->i]);
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->said, .length = self->n));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        const char *second;
        int status;
        second = strstr(self->talk->answer + 1, "HTTP/1.1 ");
        status = atoi(self->talk->answer + 9);
        if (now.w->kind != KIND_ALLOC) {
            CHECK_INT(status, ce_uploads[self->i].status);
            CHECK_INT(second != NULL, status == 200);
            CHECK(strstr(self->talk->answer, ce_uploads[self->i].has));
        }
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* As it comes, if that is wanted: nothing is refused. And a bomb, in pieces without a limit: 400 once it is AIO_INFLATE_BURST long. */
struct content_encoding_bomb { aio_task task; aio_server *plain, *server; struct talk *talk; size_t n; aio_text mega, packed; char said[40000]; };
SCENARIO(content_encoding_bomb, /* 16 MiB are too much for many runs */ .skip = KIND_ALLOC | KIND_CALL | KIND_SLICE | KIND_CANCEL)
{
    static const struct ce_upload raw = { "/", "br", CE_RAW, 200, "" }, bomb = { "/pieces", "gzip", CE_LARGE, 400, "" };
    AIO_BEGIN(content_encoding_bomb);
    ce_fill();
    AIO_AWAIT(self->plain, aio_start_http_server(ce_got_handler, NULL, "127.0.0.1", 0, .no_auto_decompress = true));
    AIO_AWAIT(self->server, aio_start_http_server(ce_got_handler, NULL, "127.0.0.1", 0));
    self->n = ce_say(self->said, sizeof self->said, &raw, aio__text(ce_plain, 300));
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->plain), .said = self->said, .length = self->n));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK(strstr(self->talk->answer, "300 the same"));
    aio_unref(self->talk);
    self->talk = NULL;
    if (aio_deflate_all(&self->mega, ce_mega, sizeof ce_mega)) AIO_RAISE(ENOMEM);
    self->packed = aio__text((char *)malloc(20 * self->mega.length), 0);
    for (int i = 0; i < 20; i++, self->packed.length += self->mega.length)
        memcpy((char *)(uintptr_t)self->packed.data + self->packed.length, self->mega.data, self->mega.length);
    REQUIRE(self->packed.length + 1000 < sizeof self->said);
    self->n = ce_say(self->said, sizeof self->said, &bomb, self->packed);
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->said, .length = self->n));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK_INT(atoi(self->talk->answer + 9), 400);
    AIO_FINALLY;
        aio_unref(self->talk);
        aio_text_clear(&self->mega);
        free((void *)(uintptr_t)self->packed.data);
        aio_server_close(self->plain);
        aio_server_close(self->server);
        if (self->plain) AIO_AWAIT(aio_server_wait_closed(self->plain));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
