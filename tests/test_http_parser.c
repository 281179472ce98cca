/* The public parser: what it says of messages that come in pieces. */

/* Everything that a parser says of some bytes, in pieces of n, as one text. */
static void parser_say(aio_http_parser *parser, aio_http_step step, aio_text piece, char *said, size_t size)
{
    const aio_http_message *m = aio_http_parser_message(parser);
    size_t used = strlen(said);
    aio_text trailer = aio_headers_get(&m->trailers, "T");
    said += used;
    size -= used;
    if (step == AIO_HTTP_BODY) snprintf(said, size, "%.*s", (int)piece.length, piece.data);
    if (step == AIO_HTTP_HEAD && m->status) snprintf(said, size, "<%d %s %d:", m->status, m->reason.data, m->version);
    if (step == AIO_HTTP_HEAD && !m->status) snprintf(said, size, "<%s %s:", m->method.data, m->target.data);
    if (step == AIO_HTTP_END) snprintf(said, size, "%s%s>", trailer.data ? "|" : "", trailer.data ? trailer.data : "");
    if (step == AIO_HTTP_UPGRADED) snprintf(said, size, "upgraded");
    if (step == AIO_HTTP_ERROR) snprintf(said, size, "error %d %d %s at %d", m->code == AIO_EHTTP, m->refuse,
                                       m->problem, (int)m->offset);
}
static bool parser_goes_on(aio_http_step step)
{
    return step != AIO_HTTP_MORE && step != AIO_HTTP_UPGRADED && step != AIO_HTTP_ERROR;
}
static void parser_run(const aio_http_parser_options *like, const char *method, const char *text, size_t n,
                       char *said, size_t size)
{
    aio_http_parser *parser = aio_http_parser_open_with(like);
    aio_http_step step = AIO_HTTP_MORE;
    aio_text piece = { "", 0 };
    *said = 0;
    if (!CHECK(parser != NULL)) return;
    if (method) aio_http_parser_expect(parser, method);
    for (size_t at = 0, all = strlen(text); at < all && step == AIO_HTTP_MORE; at += n) {
        aio_text in = { text + at, all - at < n ? all - at : n };
        do {
            step = aio_http_parser_feed(parser, &in, &piece);
            parser_say(parser, step, piece, said, size);
        } while (parser_goes_on(step));
    }
    while (step == AIO_HTTP_MORE && (step = aio_http_parser_finish(parser)) != AIO_HTTP_MORE) {
        aio_text none = { "", 0 };
        parser_say(parser, step, piece, said, size);
        while (step == AIO_HTTP_HEAD && (step = aio_http_parser_feed(parser, &none, &piece)) > AIO_HTTP_MORE)
            parser_say(parser, step, piece, said, size);
        if (step == AIO_HTTP_END) step = AIO_HTTP_MORE;
    }
    aio_http_parser_close(parser);
}

static const struct { aio_http_parser_options options; const char *method, *text, *said; } parser_rows[] = {
    { { .requests = true }, NULL,
      "\r\nPOST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
      "<POST /a:abc><GET /b:>" },
    { { .requests = true }, NULL, "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "2\r\nab\r\n1;x\r\nc\r\n0\r\nT: end\r\n\r\n", "<PUT /a:abc|end>" },
    { { .requests = true }, NULL, "GET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nG",
      "<GET /b:>error 1 0 there are bytes after the last message at 0" },
    { { .requests = true }, NULL, "GET /b HTTP/1.1\n", "error 1 400 a line ends without CR at 0" },
    { { .requests = true, .max_line_size = 10 }, NULL, "GET /12345678 HTTP/1.1\r\n",
      "error 0 414 the start line is too long at 0" },
    { { .requests = true }, NULL, "GET /b HTTP/1.1\r\nHost: h", "error 1 0 the bytes end within a head at 24" },
    { { .requests = true }, NULL, "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx",
      "<PUT /a:error 0 400 a chunk size is not hexadecimal at 56" },
    { { .requests = true }, NULL, "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc",
      "<PUT /a:aberror 0 400 a chunk is not followed by CR LF at 61" },
    { { .requests = true }, NULL, "PUT /a HTTP/1.1\r\nHost: h\r\nA: 1\r\nB : 2\r\n\r\n",
      "error 1 400 a header line has no name and colon at 32" },
    { { .requests = true }, NULL, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n",
      "<GET /a:>error 1 400 a header value has a control character at 26" },
    { { .requests = false }, NULL, "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
      "HTTP/1.0 404 No\r\n\r\nto the end", "<100 Go 1:><200 OK 1:hi><404 No 0:to the end>" },
    { { .requests = false }, "HEAD", "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "<100 Go 1:><200 OK 1:><200 OK 1:hi>" },
    { { .requests = false }, "CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "<200 OK 1:>upgraded" },
    /* RFC 9110, 9.3.6: what such a response says of its length counts for nothing */
    { { .requests = false }, "CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
      "<200 OK 1:>upgraded" },
    { { .requests = false }, "CONNECT", "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nhi", "<407 No 1:hi>" },
    { { .requests = false }, NULL, "HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\nhi", "<101 Go 1:>upgraded" },
    { { .requests = false }, NULL, "HTTP/1.1 200 OK\nT: b\n c\nContent-Length: 1\n\nx", "<200 OK 1:x>" },
    { { .strict = true }, NULL, "HTTP/1.1 200 OK\nT: b\n", "error 1 0 a line ends without CR at 0" },
    { { .requests = false }, NULL, "HTTP/1.1 204 None\r\n", "<204 None 1:>" },
    { { .requests = false }, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
      "<200 OK 1:hierror 0 0 the connection was closed before Content-Length bytes had come at 40" },
};
TEST(http_parser_rows)
{
    char said[400];
    for (size_t i = 0; i < sizeof parser_rows / sizeof *parser_rows; i++) {
        for (size_t n = 1; n < 200; n = n < 20 ? n + 1 : n * 3) {
            parser_run(&parser_rows[i].options, parser_rows[i].method, parser_rows[i].text, n, said, sizeof said);
            CHECK_STR(said, parser_rows[i].said);
        }
    }
    static const aio_http_parser_options wrong[] = { { .max_headers = -1 }, { .max_line_size = -1 },
                                                     { .max_field_size = -1 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        CHECK(!aio_http_parser_open_with(&wrong[i]));
        CHECK_INT(errno, EINVAL);
    }
    aio_http_parser_close(NULL);
}

/* What a head says of its message: length, c(hunked), k(ept alive), u(pgrade), e(xpectation); nothing of it stays for
 * the next one. */
TEST(http_parser_says_what_heads_do)
{
    static const struct { bool requests; const char *text, *said; } rows[] = {
        { true, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n", "0 k e" },
        { true, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", "-1 ku" },
        { true, "GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n", "-1 k" },
        { true, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n", "-1 k" },
        { true, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "-1 k" },
        { true, "GET / HTTP/1.0\r\nConnection: upgrade, keep-alive\r\nUpgrade: x\r\nExpect: 100-continue\r\n\r\n", "-1 k" },
        { false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "-1 ck" },
        { false, "HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "-1 ku" },
        { false, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "0 " },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_http_parser *parser = aio_http_parser_open(.requests = rows[i].requests);
        aio_text in = { rows[i].text, strlen(rows[i].text) }, piece;
        char said[40];
        if (!CHECK(parser != NULL)) return;
        CHECK_INT(aio_http_parser_feed(parser, &in, &piece), AIO_HTTP_HEAD);
        const aio_http_message *m = aio_http_parser_message(parser);
        snprintf(said, sizeof said, "%d %s%s%s%s", (int)m->content_length, m->chunked ? "c" : "",
                 m->keep_alive ? "k" : "", m->upgrade ? "u" : "", m->expect_continue ? " e" : "");
        CHECK_STR(said, rows[i].said);
        if (!rows[i].requests) CHECK(m->raw.length > 17 && !memcmp(m->raw.data, rows[i].text, m->raw.length));
        if (i == 0) { /* the next one of the same connection */
            CHECK_INT(aio_http_parser_feed(parser, &in, &piece), AIO_HTTP_END);
            in = aio__text("G", 1);
            CHECK_INT(aio_http_parser_feed(parser, &in, &piece), AIO_HTTP_MORE);
            CHECK_INT(m->content_length, -1); /* nothing is known yet */
            in = aio__text("ET /b HTTP/1.1\r\nHost: h\r\n\r\n", 27);
            CHECK_INT(aio_http_parser_feed(parser, &in, &piece), AIO_HTTP_HEAD);
            CHECK(m->content_length == -1 && m->keep_alive && !m->expect_continue && !m->upgrade && !m->chunked);
        }
        aio_http_parser_close(parser);
    }
}

/* A message has the trailers that came behind its own body. */
TEST(http_parser_trailers_are_of_one_message)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: 1\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nU: 2\r\n\r\n"
                               "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    static const char *const trailers[] = { "T=1", "U=2", "" };
    aio_http_parser *parser = aio_http_parser_open();
    aio_text in = { text, sizeof text - 1 }, piece, name, value;
    if (!CHECK(parser != NULL)) return;
    for (int i = 0; i < 3; i++) {
        char said[40] = "";
        CHECK_INT(aio_http_parser_feed(parser, &in, &piece), AIO_HTTP_HEAD);
        CHECK_INT(aio_http_parser_feed(parser, &in, &piece), AIO_HTTP_END);
        const aio_headers *of = &aio_http_parser_message(parser)->trailers;
        for (size_t at = 0, n = 0; aio_headers_next(of, &at, &name, &value); n = strlen(said))
            snprintf(said + n, sizeof said - n, "%s=%s", name.data, value.data);
        CHECK_STR(said, trailers[i]);
    }
    aio_http_parser_close(parser);
}

/* Without memory it says so, and goes on saying so. */
struct http_parser_memory { aio_task task; aio_http_parser *parser; };
SCENARIO(http_parser_memory)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", rest[] = "\r\n0\r\nT: 1\r\n\r\n";
    aio_text in, piece;
    aio_http_step step;
    AIO_BEGIN(http_parser_memory);
    REQUIRE(self->parser = aio_http_parser_open());
    in.data = head;
    in.length = sizeof head - 1;
    step = aio_http_parser_feed(self->parser, &in, &piece);
    if (step == AIO_HTTP_MORE) {
        in.data = rest;
        in.length = sizeof rest - 1;
        step = aio_http_parser_feed(self->parser, &in, &piece);
        if (step == AIO_HTTP_HEAD) step = aio_http_parser_feed(self->parser, &in, &piece);
    }
    ALWAYS(step == AIO_HTTP_END || step == AIO_HTTP_ERROR);
    if (step == AIO_HTTP_ERROR) {
        ALWAYS(aio_http_parser_message(self->parser)->code == ENOMEM);
        ALWAYS(aio_http_parser_feed(self->parser, &in, &piece) == AIO_HTTP_ERROR);
        AIO_RAISE(ENOMEM);
    }
    AIO_FINALLY;
        aio_http_parser_close(self->parser);
    AIO_END;
}
