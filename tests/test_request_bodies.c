/* A request's body cut as its handler wants it: by lines, by a separator, by lengths, wherever it was cut on its way. */

#define CUTS_HEAD  "POST /cut HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
#define RAW_HEAD   "POST /raw HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CUTS_EIGHT "3\r\nabc\r\n3\r\ndef\r\n2\r\ngh\r\n0\r\n\r\n"
#define CUTS_NEXT  "GET /next HTTP/1.1\r\nHost: h\r\n\r\n"
#define CUTS_OK(length, more) OK_HEAD(length) more "\r\n"
#define CUTS_NEXT_OK OK_HEAD("4") "\r\nnext"
#define CUTS_OWN   "GET /own HTTP/1.1\r\nHost: h\r\n\r\n" /* whose handler fails as a body that is short */
static const struct request_row {
    const char *said, *answer;
    char        how;        /* 'l'ine, 'u'ntil, 'e'xactly, 's'ome */
    const char *separator;
    size_t      n;
    int         code;       /* with which it ends; of /cut: caught */
    size_t      partial;    /* of AIO_EINCOMPLETE */
} request_rows[] = {
    { CUTS_HEAD "2\r\non\r\n4\r\ne\ntw\r\n6\r\no\r\n\nth\r\n3\r\nree\r\n0\r\n\r\n" CUTS_NEXT,
      CUTS_OK("19", "") "one\n|two\r\n|\n|three|" CUTS_NEXT_OK, 'l', NULL, 0, 0, 0 },
    { CUTS_HEAD "4\r\na-b-\r\n3\r\n-c-\r\n1\r\n-\r\n0\r\n\r\n" CUTS_NEXT, CUTS_OK("10", "") "a-b--|c--|" CUTS_NEXT_OK,
      'u', "--", 2, 0, 0 },
    { CUTS_HEAD CUTS_EIGHT CUTS_NEXT, CUTS_OK("10", "") "abcd|efgh|" CUTS_NEXT_OK, 'e', NULL, 4, AIO_EINCOMPLETE, 0 },
    { CUTS_HEAD CUTS_EIGHT CUTS_NEXT, CUTS_OK("10", "") "abc|def|gh" CUTS_NEXT_OK, 'e', NULL, 3, AIO_EINCOMPLETE, 2 },
    { CUTS_HEAD CUTS_EIGHT CUTS_OWN, CUTS_OK("10", "") "abc|def|gh" REFUSED("500 Internal Server Error", "27")
      "500: Internal Server Error\n", 'e', NULL, 3, AIO_EINCOMPLETE, 2 },
    { CUTS_HEAD CUTS_EIGHT CUTS_NEXT, CUTS_OK("8", "") "abcdefgh" CUTS_NEXT_OK, 'e', NULL, 0, 0, 0 },
    { CUTS_HEAD CUTS_EIGHT, CUTS_OK("8", "Connection: close\r\n") "abcdefgh", 'e', NULL, 21, AIO_ELIMIT, 0 },
    { CUTS_HEAD CUTS_EIGHT CUTS_NEXT, CUTS_OK("8", "") "abcdefgh" CUTS_NEXT_OK, 's', NULL, 2, 0, 0 },
    { CUTS_HEAD "4\r\nab\nc\r\n16\r\nd234567890123456789012\r\n0\r\n\r\n",
      CUTS_OK("24", "Connection: close\r\n") "ab\n|cd234567890123456789", 'l', NULL, 0, AIO_ELIMIT, 0 },
    { "POST /cut HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe\nl",
      CUTS_OK("4", "Connection: close\r\n") "he\n|", 'l', NULL, 0, AIO_EPAYLOAD, 0 },
    { "GET /cut HTTP/1.1\r\nHost: h\r\n\r\n" CUTS_NEXT,
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\n\r\n" CUTS_NEXT_OK,
      'l', NULL, 0, 0, 0 },
    { RAW_HEAD CUTS_EIGHT CUTS_NEXT, REFUSED("400 Bad Request", "17") "400: Bad Request\n", 'e', NULL, 3, 0, 0 },
    { RAW_HEAD "15\r\n123456789012345678901\r\n0\r\n\r\n",
      REFUSED("413 Content Too Large", "23") "413: Content Too Large\n", 'l', NULL, 0, 0, 0 },
};

/* /cut answers with the pieces, a '|' behind each, and with what is left after an error; /raw catches none. */
struct request_cut { aio_task task; aio_request *request; const struct request_row *row; aio_text text; size_t used;
    int wrong; char gave[200]; };
static aio_text_task *request_cut_next(const struct request_cut *self)
{
    const struct request_row *row = self->row;
    if (row->how == 'l') return aio_request_readline(self->request);
    if (row->how == 'u') return aio_request_readuntil(self->request, row->separator, row->n);
    return row->how == 'e' ? aio_request_readexactly(self->request, row->n)
                           : aio_request_read_some(self->request, row->n);
}
static void request_cut_note(struct request_cut *self, const char *mark)
{
    if (self->used + self->text.length + 2 > sizeof self->gave) return;
    memcpy(self->gave + self->used, self->text.data, self->text.length);
    strcpy(self->gave + self->used + self->text.length, mark);
    self->used = strlen(self->gave);
}
static AIO_CORO(request_cut)
{
    AIO_BEGIN(request_cut);
    if (!strcmp(self->request->path.data, "/next")) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "next"));
        AIO_RETURN();
    }
    if (!strcmp(self->request->path.data, "/own")) {
        expect_report("the handler of GET /own");
        AIO_RAISE(AIO_EINCOMPLETE, "a body of its own");
    }
    for (; self->wrong < 2; self->wrong++) {
        AIO_TRY {
            AIO_AWAIT(self->text, aio_request_readuntil(self->request, self->wrong ? NULL : "x", (size_t)self->wrong));
            UNREACHED();
        } AIO_CATCH_CODE(EINVAL) CHECK(strstr(aio_caught(self)->message, "an empty separator")); AIO_END_TRY;
    }
    if (!strcmp(self->request->path.data, "/raw")) {
        AIO_ASYNC_FOR(self->text, request_cut_next(self)) self->used += self->text.length; /* until it raises */
    }
    AIO_TRY {
        AIO_ASYNC_FOR(self->text, request_cut_next(self)) {
            CHECK(self->row->how != 's' || self->text.length <= self->row->n);
            request_cut_note(self, self->row->how == 's' ? "" : "|");
        }
        CHECK_INT(0, self->row->code == AIO_EINCOMPLETE ? 0 : self->row->code);
    } AIO_CATCH {
        CAUGHT(self->row->code);
        if (aio_caught(self)->code == AIO_EINCOMPLETE) {
            CHECK_INT(aio_caught(self)->expected, self->row->n);
            CHECK_INT(aio_caught(self)->partial, self->row->partial);
        }
        if (aio_caught(self)->code == AIO_ELIMIT) {
            CHECK(strstr(aio_caught(self)->message, "limit of 20 bytes at once"));
        }
    } AIO_END_TRY;
    while (self->row->code == AIO_ELIMIT) { /* what had come is still there */
        AIO_AWAIT(self->text, aio_request_read_some(self->request, self->row->n ? 100 : 20));
        request_cut_note(self, "");
        if (!self->row->n || !self->text.length) break;
    }
    if (self->row->code == AIO_EINCOMPLETE || (self->row->how == 'e' && !self->row->n)) {
        AIO_AWAIT(self->text, aio_request_read(self->request));
        request_cut_note(self, "");
    }
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->gave));
    AIO_END;
}
static void *request_cut_handler(aio_request *request, void *row)
{
    return AIO_CALL(request_cut, .request = request, .row = *(const struct request_row **)row);
}

struct request_cuts { aio_task task; aio_server *server; struct talk *talk; size_t i; const struct request_row *row; };
SCENARIO(request_cuts, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    AIO_BEGIN(request_cuts);
    AIO_AWAIT(self->server, aio_start_http_server(request_cut_handler, &self->row, "127.0.0.1", 0, .max_body = 20));
    for (self->i = 0; self->i < sizeof request_rows / sizeof *request_rows; self->i++) {
        self->row = &request_rows[self->i];
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->row->said));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        CHECK_STR(self->talk->answer, self->row->answer);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* The same of a body that comes compressed, piece by piece; the limit is of what it becomes. */
struct request_cuts_gzip { aio_task task; aio_server *server; aio_stream *stream; aio_text packed, text;
    const struct request_row *row; size_t i; char head[120]; };
SCENARIO(request_cuts_gzip, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    static const char lines[] = "one\ntwo\nthree\nfour, which is long\n5";
    AIO_BEGIN(request_cuts_gzip);
    self->row = &request_rows[0];
    REQUIRE(!aio_deflate_all(&self->packed, lines, sizeof lines - 1, .format = AIO_CODING_GZIP));
    AIO_AWAIT(self->server, aio_start_http_server(request_cut_handler, &self->row, "127.0.0.1", 0, .max_body = 20));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    snprintf(self->head, sizeof self->head, "POST /cut HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Encoding: gzip"
             "\r\nContent-Length: %zu\r\n\r\n", self->packed.length);
    aio_stream_write(self->stream, self->head, strlen(self->head));
    for (; self->i < self->packed.length; self->i++) {
        aio_stream_write(self->stream, self->packed.data + self->i, 1);
        AIO_AWAIT(aio_sleep(0.1));
    }
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    CHECK_BYTES(self->text.data, self->text.length, "one\n|two\n|three\n|four, which is long\n|5|");
    AIO_FINALLY;
        aio_text_clear(&self->packed);
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
