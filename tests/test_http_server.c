/* The HTTP server, spoken to byte by byte over a plain connection. The client's and the pool's tests use it as well. */

/* What the server does by path: /text answers at once, /echo with the body, /stream in chunks, /length in pieces of a
 * length, /raise fails, /silent gives no answer, /size reads a body piece by piece, /slow after 5 s, /nobody a length
 * alone, /big 100 kB. */
struct site { aio_task task; aio_request *request; aio_text body; size_t size; int i; char text[200]; };
static AIO_CORO(site)
{
    static const char *const extra[] = { "X-A", "1", "X-B", "2", NULL }, *const typed[] = { "content-type", "text/html",
                                                                                            NULL };
    AIO_BEGIN(site);
    if (!strcmp(self->request->path.data, "/echo")) {
        AIO_AWAIT(self->body, aio_request_read(self->request));
        AIO_AWAIT(aio_request_respond(self->request, 200, .body = self->body.data, .length = self->body.length));
    } else if (!strcmp(self->request->path.data, "/stream")) {
        AIO_AWAIT(aio_request_start(self->request, 200, .content_type = "text/plain", .headers = extra));
        for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_request_chunk(self->request, "piece ", 6));
        AIO_AWAIT(aio_request_end(self->request));
    } else if (!strcmp(self->request->path.data, "/length")) {
        AIO_AWAIT(aio_request_start(self->request, 201, .length = 4));
        AIO_AWAIT(aio_request_chunk(self->request, "ab", 2));
        AIO_TRY {
            AIO_AWAIT(aio_request_chunk(self->request, "cde", 3));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
        AIO_AWAIT(aio_request_chunk(self->request, "cd", 2));
        AIO_AWAIT(aio_request_end(self->request));
    } else if (!strcmp(self->request->path.data, "/nobody")) {
        AIO_AWAIT(aio_request_start(self->request, 200, .length = 4));
        AIO_AWAIT(aio_request_end(self->request));
    } else if (!strcmp(self->request->path.data, "/size")) {
        AIO_ASYNC_FOR(self->body, aio_request_read_chunk(self->request)) self->size += self->body.length;
        snprintf(self->text, sizeof self->text, "%zu", self->size);
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->text));
    } else if (!strcmp(self->request->path.data, "/trailers")) {
        CHECK(!aio_request_trailers(self->request)->count || now.w->kind == KIND_ALLOC);
        AIO_AWAIT(aio_request_start(self->request, 200, .content_type = "text/plain"));
        AIO_AWAIT(self->body, aio_request_read(self->request));
        const aio_headers *trailers;
        trailers = aio_request_trailers(self->request);
        if (!trailers) AIO_RAISE(ENOMEM);
        snprintf(self->text, sizeof self->text, "%d %s|%s", (int)trailers->count, aio_headers_get(trailers, "t").data,
                 aio_headers_get(trailers, "u").data);
        AIO_AWAIT(aio_request_chunk(self->request, self->text, strlen(self->text)));
        AIO_AWAIT(aio_request_end(self->request));
    } else if (!strcmp(self->request->path.data, "/cut")) {
        AIO_AWAIT(aio_request_start(self->request, 200, .content_type = "text/plain"));
        AIO_AWAIT(aio_request_chunk(self->request, "half", 4));
        AIO_RETURN();
    } else if (!strcmp(self->request->path.data, "/raise")) {
        AIO_TRY {
            AIO_AWAIT(self->body, aio_request_read(self->request));
        } AIO_CATCH_CODE(AIO_ELIMIT, AIO_EPAYLOAD) {
        } AIO_END_TRY;
        AIO_RAISE(self->request->query.data ? AIO_EHANDSHAKE : EPERM, "no");
    } else if (!strcmp(self->request->path.data, "/slow")) {
        AIO_AWAIT(aio_sleep(5));
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "late"));
    } else if (!strcmp(self->request->path.data, "/404")) {
        AIO_AWAIT(aio_request_respond(self->request, 404, .text = "none"));
    } else if (!strcmp(self->request->path.data, "/typed")) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "<p>", .headers = typed));
    } else if (strstr(self->request->path.data, "authority") || self->request->method.data[0] == 'C') {
        snprintf(self->text, sizeof self->text, "%.20s %.40s %.60s", self->request->authority.data,
                 self->request->path.data, self->request->query.data ? self->request->query.data : "-");
        CHECK_INT(strlen(self->request->authority.data), self->request->authority.length);
        CHECK_INT(strlen(self->request->path.data), self->request->path.length);
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->text));
    } else if (strcmp(self->request->path.data, "/silent")) {
        snprintf(self->text, sizeof self->text, "%.40s %.60s", self->request->path.data,
                 self->request->query.data ? self->request->query.data : "-");
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->text));
    }
    AIO_END;
}
static void *site_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(site, .request = request); }

/* Sends `said`, reads to the end; the answer without its Date lines, which are all of one length, is in `answer`. */
struct talk {
    aio_task task; int port; const char *said; size_t length; bool hold; aio_stream *stream; aio_text text; char answer[2000];
};
static AIO_CORO(talk)
{
    AIO_BEGIN(talk);
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port));
    aio_stream_write(self->stream, self->said, self->length ? self->length : strlen(self->said));
    if (!self->hold) aio_stream_write_eof(self->stream);
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    char *out;
    out = self->answer;
    for (const char *at = self->text.data, *end = at + self->text.length; at < end && out < self->answer + 1990;) {
        if (end - at >= 37 && !strncmp(at, "Date: ", 6)) at += 37;
        else *out++ = *at++;
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
    AIO_END;
}

#define OK_HEAD(length) "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " length "\r\n"
#define REFUSED(status, length) "HTTP/1.1 " status "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " \
    length "\r\nConnection: close\r\n\r\n"
static const struct { const char *said, *answer; bool at_once; /* or it comes out otherwise */ } server_cases[] = {
    { "GET /a?b=c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", OK_HEAD("6") "Connection: close\r\n\r\n/a b=c" },
    { "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
        OK_HEAD("4") "\r\n/a -" OK_HEAD("4") "\r\n/b -" },
    { "GET http://x/p?q HTTP/1.1\r\nHost: x\r\n\r\n", OK_HEAD("4") "\r\n/p q" },
    { "GET http://x?q HTTP/1.1\r\nHost: x\r\n\r\n", OK_HEAD("3") "\r\n/ q" }, /* RFC 9110 4.2.3: no path is "/" */
    { "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", OK_HEAD("3") "\r\n/ -" },
    { "GET http://x:1/authority?q HTTP/1.1\r\nHost: y\r\n\r\n", OK_HEAD("16") "\r\nx:1 /authority q" },
    { "GET http://x/authority HTTP/1.1\r\nHost: y\r\n\r\n", OK_HEAD("14") "\r\nx /authority -" },
    { "GET /authority?q HTTP/1.1\r\nHost: y:2\r\n\r\n", OK_HEAD("16") "\r\ny:2 /authority q" },
    { "GET /authority HTTP/1.0\r\n\r\n", OK_HEAD("13") "Connection: close\r\n\r\n /authority -" },
    { "GET /a HTTP/1.1\r\nHost: a b\r\n\r\n", REFUSED("400 Bad Request", "17") "400: Bad Request\n" },
    { "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", REFUSED("400 Bad Request", "17") "400: Bad Request\n" },
    { "HEAD /abc HTTP/1.1\r\nHost: h\r\n\r\n", OK_HEAD("6") "\r\n" },
    { "HEAD /nobody HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n", /* of HEAD no byte is missing */
      "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 4\r\n\r\n"
      OK_HEAD("4") "\r\n/a -" },
    { "GET /a HTTP/1.0\r\n\r\n", OK_HEAD("4") "Connection: close\r\n\r\n/a -" },
    { "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", OK_HEAD("4") "Connection: keep-alive\r\n\r\n/a -" },
    { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nabc" OK_HEAD("4") "\r\n/a -" },
    { "POST /size HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: v\r\n\r\n",
      OK_HEAD("1") "\r\n7" },
    { "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
      OK_HEAD("4") "\r\n/a -" OK_HEAD("4") "\r\n/b -" }, /* a body that nobody reads is skipped */
    { "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\n" REFUSED("400 Bad Request", "17") "400: Bad Request\n" }, /* no body follows */
    { "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nabGET /a HTTP/1.1\r\n"
      "Host: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 2\r\n\r\nab"
      OK_HEAD("4") "\r\n/a -", true }, /* the body came with the head: no 100 is needed */
    { "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nabGET /b HTTP/1.1\r\n"
      "Host: h\r\n\r\n", OK_HEAD("4") "\r\n/a -" OK_HEAD("4") "\r\n/b -", true }, /* nor is it read */
    { "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
      OK_HEAD("4") "Connection: close\r\n\r\n/a -" }, /* nobody asks for it: it may come or not */
    { "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n",
      REFUSED("413 Content Too Large", "23") "413: Content Too Large\n" }, /* what the head says decides at once */
    { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n",
      REFUSED("413 Content Too Large", "23") "413: Content Too Large\n" },
    { "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 262145\r\n\r\n",
      OK_HEAD("4") "Connection: close\r\n\r\n/a -" }, /* more than is skipped */
    { "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 262144\r\n\r\n", OK_HEAD("4") "\r\n/a -" },
    { "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      OK_HEAD("4") "Connection: close\r\n\r\n/a -" }, /* nobody knows how much comes */
    { "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\n"
      "Host: h\r\n\r\n", OK_HEAD("4") "\r\n/a -" OK_HEAD("4") "\r\n/b -", true },
    { "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n" }, /* a tunnel has no length */
    { "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
      "X-A: 1\r\nX-B: 2\r\n\r\n6\r\npiece \r\n6\r\npiece \r\n6\r\npiece \r\n0\r\n\r\n" },
    { "POST /trailers HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: v\r\nU:  w x \r\n\r\n"
      "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
      "\r\n7\r\n2 v|w x\r\n0\r\n\r\n" OK_HEAD("4") "\r\n/a -", true },
    { "GET /cut HTTP/1.1\r\nHost: h\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n" },
    { "GET /stream HTTP/1.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nX-A: 1\r\nX-B: 2\r\n\r\n"
      "piece piece piece " },
    { "GET /length HTTP/1.1\r\nHost: h\r\n\r\n",
      "HTTP/1.1 201 Created\r\nContent-Type: application/octet-stream\r\nContent-Length: 4\r\n\r\nabcd" },
    { "GET /typed HTTP/1.1\r\nHost: h\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\ncontent-type: text/html\r\n\r\n<p>" },
    { "GET abc HTTP/1.1\r\nHost: h\r\n\r\n", REFUSED("400 Bad Request", "17") "400: Bad Request\n" },
    { "GET abc?u=http://x/y HTTP/1.1\r\nHost: h\r\n\r\n", REFUSED("400 Bad Request", "17") "400: Bad Request\n" },
    { "nonsense\r\n\r\n", REFUSED("400 Bad Request", "17") "400: Bad Request\n" },
    { "GET /a HTTP/1.1\r\n\r\n", REFUSED("400 Bad Request", "17") "400: Bad Request\n" },
    { "GET /a HTTP/2.0\r\nHost: h\r\n\r\n",
        REFUSED("505 HTTP Version Not Supported", "32") "505: HTTP Version Not Supported\n" },
    { "GET /a HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n",
        REFUSED("417 Expectation Failed", "24") "417: Expectation Failed\n" },
    { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
      REFUSED("400 Bad Request", "17") "400: Bad Request\n" },
    { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      REFUSED("413 Content Too Large", "23") "413: Content Too Large\n" },
    { "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n",
      REFUSED("414 URI Too Long", "18") "414: URI Too Long\n" },
    { "GET /a HTTP/1.1\r\nHost: h\r\nA: a\r\nB: b\r\nC: c\r\nD: d\r\n\r\n",
      REFUSED("431 Request Header Fields Too Large", "37") "431: Request Header Fields Too Large\n" },
    { "GET /a HTTP/1.1\r\nHost", "" },
    { "", "" },
};

struct server_answers { aio_task task; aio_server *server; struct talk *talk; size_t i; };
SCENARIO(server_answers, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    AIO_BEGIN(server_answers);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .max_body = 100,
                                                  .max_line_size = 100,
                                                  .max_headers = 4));
    for (self->i = 0; self->i < sizeof server_cases / sizeof *server_cases; self->i++) {
        if (server_cases[self->i].at_once && now.w->kind == KIND_SLICE) continue;
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                              .said = server_cases[self->i].said));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        CHECK_STR(self->talk->answer, server_cases[self->i].answer);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A body that nobody reads is skipped up to 262144 bytes, all of them, for the request behind it; that one's, too. */
struct server_skips { aio_task task; char *said; size_t head; aio_server *server; struct talk *talk; int i; };
SCENARIO(server_skips, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT },
         .skip = KIND_SLICE /* long */)
{
    enum { SKIPPED = 262144 };
    static const char head[] = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 262144\r\n\r\n",
                      next[] = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    AIO_BEGIN(server_skips);
    REQUIRE(self->said = (char *)aio__malloc(2 * (sizeof head + SKIPPED) + sizeof next));
    memset(self->said, 'x', 2 * (sizeof head + SKIPPED));
    memcpy(self->said, head, sizeof head - 1);
    memcpy(self->said + sizeof head - 1 + SKIPPED, head, sizeof head - 1);
    memcpy(self->said + 2 * (sizeof head - 1 + SKIPPED), next, sizeof next);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->said));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK_STR(self->talk->answer, OK_HEAD("4") "\r\n/a -" OK_HEAD("4") "\r\n/a -" OK_HEAD("4") "\r\n/b -");
    AIO_FINALLY;
        aio_unref(self->talk);
        aio__free(self->said);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* What a handler that gave up reading has had of the body is not skipped: the rest is, and that is short. */
struct gives_up { aio_task task; aio_request *request; aio_text body; };
static AIO_CORO(gives_up)
{
    AIO_BEGIN(gives_up);
    AIO_TRY {
        AIO_TIMEOUT(1) AIO_AWAIT(self->body, aio_request_read(self->request));
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
    } AIO_END_TRY;
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->request->path.data));
    AIO_END;
}
static void *gives_up_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(gives_up, .request = request);
}

struct server_skips_rest { aio_task task; aio_server *server; aio_stream *stream; aio_text text; char block[100000]; };
SCENARIO(server_skips_rest, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT },
         .skip = KIND_SLICE /* long */)
{
    static const char head[] = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\n",
                      next[] = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    AIO_BEGIN(server_skips_rest);
    memset(self->block, 'x', sizeof self->block);
    AIO_AWAIT(self->server, aio_start_http_server(gives_up_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    aio_stream_write(self->stream, head, sizeof head - 1);
    for (int i = 0; i < 3; i++) aio_stream_write(self->stream, self->block, sizeof self->block);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n/a", 6));
    CHECK(!strstr(self->text.data, "Connection: close"));
    aio_stream_write(self->stream, self->block, sizeof self->block);
    aio_stream_write(self->stream, next, sizeof next - 1);
    AIO_AWAIT(aio_stream_readuntil(self->stream, "\r\n\r\n/b", 6));
    AIO_FINALLY;
        if (self->stream) aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* One exchange with a server of its own: starts it, talks, compares, closes. */
struct one_talk { aio_task task; const char *said, *answer; bool hold; double seconds; aio_server *server;
    struct talk *talk; };
static AIO_CORO(one_talk)
{
    AIO_BEGIN(one_talk);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    self->seconds = aio_loop_time(aio_get_running_loop());
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->said,
                                          .hold = self->hold));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    self->seconds = aio_loop_time(aio_get_running_loop()) - self->seconds;
    CHECK_STR(self->talk->answer, self->answer);
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* An answer that only its end delimits, and that is cut short: a reset says so, as a mere end would say it is whole. */
struct server_cuts { aio_task task; aio_server *server; aio_stream *stream; aio_text text; };
SCENARIO(server_cuts, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, ECONNABORTED })
{
    AIO_BEGIN(server_cuts);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    aio_stream_write(self->stream, "GET /cut HTTP/1.0\r\n\r\n", 21);
    AIO_TRY {
        AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(ECONNRESET);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

struct server_handler_raises { aio_task task; };
SCENARIO(server_handler_raises, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    AIO_BEGIN(server_handler_raises);
    expect_report("error in the handler of GET /raise");
    AIO_AWAIT(AIO_CALL(one_talk, .said = "GET /raise HTTP/1.1\r\nHost: h\r\n\r\n",
                       .answer = REFUSED("500 Internal Server Error", "27") "500: Internal Server Error\n"));
    /* nor is an error the client's that has to do with no body and no handshake of its */
    expect_report("error in the handler of POST /raise");
    AIO_AWAIT(AIO_CALL(one_talk, .said = "POST /raise HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n",
                       .answer = REFUSED("500 Internal Server Error", "27") "500: Internal Server Error\n"));
    expect_report("error in the handler of POST /raise");
    AIO_AWAIT(AIO_CALL(one_talk, .said = "POST /raise HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
                       .answer = REFUSED("500 Internal Server Error", "27") "500: Internal Server Error\n"));
    expect_report("error in the handler of GET /raise");
    AIO_AWAIT(AIO_CALL(one_talk, .said = "GET /raise?h HTTP/1.1\r\nHost: h\r\n\r\n",
                       .answer = REFUSED("500 Internal Server Error", "27") "500: Internal Server Error\n"));
    expect_report("gave no answer");
    AIO_AWAIT(AIO_CALL(one_talk, .said = "GET /silent HTTP/1.1\r\nHost: h\r\n\r\n",
                       .answer = REFUSED("500 Internal Server Error", "27") "500: Internal Server Error\n"));
    AIO_END;
}

struct server_timeouts { aio_task task; struct one_talk *talk; };
SCENARIO(server_timeouts, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    AIO_BEGIN(server_timeouts);
    self->talk = aio_create_task(AIO_CALL(one_talk, .hold = true, .said = "GET /a HTTP/1.1\r\nHost: h\r\nSlow",
        .answer = REFUSED("408 Request Timeout", "21") "408: Request Timeout\n"));
    AIO_AWAIT((struct one_talk *)aio_ref(self->talk));
    CHECK_NEAR(self->talk->seconds, 60, 0.5);
    aio_unref(self->talk);
    self->talk = aio_create_task(AIO_CALL(one_talk, .hold = true, .said = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
                                          .answer = OK_HEAD("4") "\r\n/a -"));
    AIO_AWAIT((struct one_talk *)aio_ref(self->talk));
    CHECK_NEAR(self->talk->seconds, 75, 0.5); /* idle: no answer, just an end */
    aio_unref(self->talk);
    self->talk = aio_create_task(AIO_CALL(one_talk, .hold = true,
        .said = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
        .answer = REFUSED("408 Request Timeout", "21") "408: Request Timeout\n"));
    AIO_AWAIT((struct one_talk *)aio_ref(self->talk));
    CHECK_NEAR(self->talk->seconds, 60, 0.5);
    AIO_FINALLY;
        aio_unref(self->talk);
    AIO_END;
}

/* aio_server_close ends an idle connection at once, and one that serves after its answer. */
struct server_closes { aio_task task; aio_server *server; struct talk *talks[2]; double began; int i; };
SCENARIO(server_closes, .may = { EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED })
{
    AIO_BEGIN(server_closes);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    self->talks[0] = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .hold = true,
                                              .said = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"));
    self->talks[1] = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .hold = true,
                                              .said = "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n"));
    for (self->i = 0; self->i < 50; self->i++) AIO_AWAIT(aio_sleep(0.02)); /* each lets the kernel's part come */
    self->began = aio_loop_time(aio_get_running_loop());
    aio_server_close(self->server);
    AIO_AWAIT((struct talk *)aio_ref(self->talks[0]));
    CHECK_STR(self->talks[0]->answer, OK_HEAD("4") "\r\n/a -");
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 0, 0.5);
    AIO_AWAIT((struct talk *)aio_ref(self->talks[1]));
    CHECK_STR(self->talks[1]->answer, OK_HEAD("4") "Connection: close\r\n\r\nlate");
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 4, 0.5);
    AIO_FINALLY;
        aio_unref_all(self->talks, 2);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* It ends all that are idle: those that have had an answer, and those that have asked nothing yet. */
struct server_closes_idle { aio_task task; aio_server *server; aio_stream *streams[4]; aio_text text; int i; };
SCENARIO(server_closes_idle, .may = { EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(server_closes_idle);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    for (; self->i < 4; self->i++) {
        AIO_AWAIT(self->streams[self->i], aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        if (self->i % 2) continue;
        aio_stream_write(self->streams[self->i], "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 28);
        AIO_AWAIT(self->text, aio_stream_readuntil(self->streams[self->i], "/a -", 4));
    }
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_server_client_count(self->server), 4);
    aio_server_close(self->server);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        for (int i = 0; i < 4; i++) aio_stream_abort(self->streams[i]);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* What a client gets that goes on sending: a large answer whole, though the server closes after it. */
enum { PLENTY = 1000000 };
static char plenty[PLENTY];
struct giving { aio_task task; aio_request *request; int code; };
static int giving_code;
static AIO_CORO(giving)
{
    AIO_BEGIN(giving);
    int small_;
    small_ = 65536;
    if (!strcmp(self->request->path.data, "/small"))
        setsockopt(aio_stream_fileno(self->request->stream), SOL_SOCKET, SO_SNDBUF, &small_, sizeof small_);
    AIO_TRY {
        AIO_AWAIT(aio_request_respond(self->request, 200, .body = plenty, .length = PLENTY, .close = true));
    } AIO_CATCH {
        giving_code = aio_caught(self)->code;
        AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}
static void *giving_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(giving, .request = request); }

static int count_bytes(aio_text text, char what)
{
    int n = 0;
    for (size_t i = 0; i < text.length; i++) n += text.data[i] == what;
    return n;
}

struct server_closes_in_stages { aio_task task; aio_server *server; aio_stream *stream; aio_text text; int i; };
SCENARIO(server_closes_in_stages, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT }, .skip = KIND_SLICE /* long */)
{
    AIO_BEGIN(server_closes_in_stages);
    AIO_AWAIT(self->server, aio_start_http_server(giving_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    aio_stream_write(self->stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27);
    for (self->i = 0; self->i < 10; self->i++) {
        AIO_AWAIT(aio_sleep(0.02));
        aio_stream_write(self->stream, "GET /more HTTP/1.1\r\nHost: h\r\n\r\n", 31);
    }
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    CHECK_INT(count_bytes(self->text, 0), PLENTY);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A client that neither ends nor sends after the last answer is left after AIO__LINGER_IDLE, one that sends for ever
 * after AIO__LINGER_TIMEOUT or AIO__LINGER_MAX bytes. */
struct lingerer { aio_task task; int port; double pause; size_t length; aio_stream *stream; double seconds;
    aio_text text; };
static AIO_CORO(lingerer)
{
    AIO_BEGIN(lingerer);
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port));
    aio_stream_write(self->stream, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 46);
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    CHECK(self->text.length > 0);
    self->seconds = aio_loop_time(aio_get_running_loop());
    while (self->pause > 0 && !aio_stream_write(self->stream, plenty, self->length)) {
        AIO_AWAIT(aio_stream_drain(self->stream));
        AIO_AWAIT(aio_sleep(self->pause));
    }
    AIO_FINALLY;
        self->seconds = aio_loop_time(aio_get_running_loop()) - self->seconds;
        aio_stream_abort(self->stream);
    AIO_END;
}

/* Such a client, and how long the server had it. */
struct lingered { aio_task task; int port; double pause, from, to; size_t length; struct lingerer *client; };
static AIO_CORO(lingered)
{
    AIO_BEGIN(lingered);
    self->client = aio_create_task(AIO_CALL(lingerer, .port = self->port, .pause = self->pause,
                                            .length = self->length));
    AIO_TRY {
        AIO_AWAIT((struct lingerer *)aio_ref(self->client));
    } AIO_CATCH {
        if (aio_caught(self)->code != EPIPE && aio_caught(self)->code != ECONNRESET) AIO_RERAISE();
    } AIO_END_TRY;
    CHECK(self->client->seconds > self->from && self->client->seconds < self->to);
    AIO_FINALLY;
        aio_unref(self->client);
    AIO_END;
}

struct server_lingers { aio_task task; aio_server *server; };
SCENARIO(server_lingers, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT }, .skip = KIND_SLICE /* long */)
{
    AIO_BEGIN(server_lingers);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(AIO_CALL(lingered, .port = aio_server_port(self->server), .pause = 1, .from = 29, .to = 33,
                       .length = 1));
    AIO_AWAIT(AIO_CALL(lingered, .port = aio_server_port(self->server), .pause = 0.1, .from = 0.9, .to = 3,
                       .length = 400000));
    AIO_FINALLY;
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Nothing is sent after the last answer, nor is the end: the server leaves after AIO__LINGER_IDLE. */
struct server_lingers_idle { aio_task task; aio_server *server; aio_stream *stream; aio_text text; };
SCENARIO(server_lingers_idle, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    AIO_BEGIN(server_lingers_idle);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    aio_stream_write(self->stream, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 46);
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    CHECK(self->text.length > 0);
    AIO_AWAIT(aio_sleep(AIO__LINGER_IDLE - 0.5));
    CHECK_INT(aio_server_client_count(self->server), 1);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* The same by option, and AIO_NOW, which waits for nothing. */
struct server_linger_options { aio_task task; aio_server *server, *last; int i; };
SCENARIO(server_linger_options, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT }, .skip = KIND_SLICE /* long */)
{
    static const struct { double timeout, pause; size_t length; double from, to; } rows[] = {
        { 3, 0.3, 1, 2.5, 4.5 }, { 3, 0.8, 1, 0.7, 2.5 }, { 3, 0.1, 2000, 0.05, 0.5 }, { AIO_NOW, 0.2, 1, 0.1, 0.7 } };
    AIO_BEGIN(server_linger_options);
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .linger_idle = 0.5,
                                                      .linger_timeout = rows[self->i].timeout, .max_linger = 1000));
        AIO_AWAIT(AIO_CALL(lingered, .port = aio_server_port(self->server), .pause = rows[self->i].pause,
                           .from = rows[self->i].from, .to = rows[self->i].to, .length = rows[self->i].length));
        self->last = self->server;
        self->server = NULL; /* taken, whatever comes of it */
        AIO_AWAIT(aio_server_wait_closed(self->last));
    }
    AIO_FINALLY;
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A client that sends a byte now and then for ever. */
struct drip_read { aio_task task; aio_stream *stream; aio_text text; char answer[200]; };
static AIO_CORO(drip_read)
{
    AIO_BEGIN(drip_read);
    AIO_AWAIT(self->text, aio_stream_readline(self->stream));
    snprintf(self->answer, sizeof self->answer, "%.*s", (int)self->text.length, self->text.data);
    AIO_END;
}

struct server_drips { aio_task task; aio_server *server; aio_stream *stream; struct drip_read *reading; double began;
    int i; };
SCENARIO(server_drips, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, ECONNABORTED })
{
    static const struct { const char *said; double pause, seconds; } rows[] = {
        { "GET / HTTP/1.1\r\nHost: h\r\nX:", 1, 3 }, /* header_timeout */
        { "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", 1, 5 }, /* body_total_timeout */
        { "POST /size HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", 1, 5 }, /* read piece by piece */
        { "POST /size HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", 2.5, 2 }, /* body_timeout */
    };
    AIO_BEGIN(server_drips);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .header_timeout = 3,
                                                  .body_timeout = 2, .body_total_timeout = 5));
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        self->began = aio_loop_time(aio_get_running_loop());
        aio_stream_write(self->stream, rows[self->i].said, strlen(rows[self->i].said));
        self->reading = aio_create_task(AIO_CALL(drip_read, .stream = self->stream));
        while (self->reading && !aio_future_done(self->reading)) {
            AIO_AWAIT(aio_sleep(rows[self->i].pause));
            aio_stream_write(self->stream, "x", 1);
        }
        AIO_AWAIT((struct drip_read *)aio_ref(self->reading));
        CHECK_STR(self->reading->answer, "HTTP/1.1 408 Request Timeout\r\n");
        self->began = aio_loop_time(aio_get_running_loop()) - self->began;
        CHECK(self->began >= rows[self->i].seconds && self->began < rows[self->i].seconds + rows[self->i].pause + 1);
        aio_unref(self->reading);
        self->reading = NULL;
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        aio_task_cancel(self->reading);
        aio_stream_abort(self->stream);
        aio_unref(self->reading);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* One that does not read its answer is left after write_timeout; one that takes enough in each is not. */
struct server_slow_reader { aio_task task; aio_server *server; aio_stream *stream; aio_text text; size_t got; int i; };
SCENARIO(server_slow_reader, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT },
         .skip = KIND_SLICE /* long */)
{
    AIO_BEGIN(server_slow_reader);
    AIO_AWAIT(self->server, aio_start_http_server(giving_handler, NULL, "127.0.0.1", 0, .write_timeout = 10));
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        aio_stream_write(self->stream, "GET /small HTTP/1.1\r\nHost: h\r\n\r\n", 32);
        giving_code = 0;
        self->got = 0;
        if (self->i == 1) {
            while (!giving_code && self->got < 30) {
                AIO_AWAIT(aio_sleep(1));
                self->got++;
            }
            CHECK_INT(giving_code, ETIMEDOUT);
            CHECK(self->got >= 9 && self->got <= 21); /* in the first 10 s the kernel's buffers filled */
        } else {
            while (self->got < PLENTY) {
                AIO_AWAIT(aio_sleep(2));
                AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, PLENTY / 10));
                self->got += self->text.length;
            }
            CHECK_INT(giving_code, 0);
        }
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* The query's parameters, as the handler of each finds them. */
struct asking { aio_task task; aio_request *request; char text[400]; size_t position; };
static AIO_CORO(asking)
{
    AIO_BEGIN(asking);
    aio_text name, value;
    size_t n;
    n = 0;
    for (int twice = 0; twice < 2; twice++) { /* the texts stay as they are */
        n = self->position = 0;
        self->text[0] = 0;
        while (aio_request_query_next(self->request, &self->position, &name, &value)) {
            n += (size_t)snprintf(self->text + n, sizeof self->text - n, "%s=%s(%zu,%zu) ", name.data, value.data,
                                  name.length, value.length);
        }
    }
    value = aio_request_query(self->request, "a");
    n += (size_t)snprintf(self->text + n, sizeof self->text - n, "a:%s ", value.data ? value.data : "-");
    value = aio_request_query(self->request, "a", 1);
    n += (size_t)snprintf(self->text + n, sizeof self->text - n, "a:%s", value.data ? value.data : "-");
    CHECK(!aio_request_query(self->request, "a", 2).data && !aio_request_query(self->request, NULL).data);
    CHECK(!aio_request_query(NULL, "a").data);
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->text, .close = true));
    AIO_END;
}
static void *asking_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(asking, .request = request); }

struct server_query { aio_task task; aio_server *server; struct talk *talk; size_t i; char said[200]; };
SCENARIO(server_query, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    static const char *const rows[][2] = {
        { "/", "a:- a:-" }, { "/?", "a:- a:-" }, { "/?&&", "a:- a:-" }, { "/?a", "a=(1,0) a: a:-" },
        { "/?a=1&b=2&a=3", "a=1(1,1) b=2(1,1) a=3(1,1) a:1 a:3" }, { "/?=x&a=", "=x(0,1) a=(1,0) a: a:-" },
        { "/?%61=%31+%2b%26%3d&A=x", "a=1 +&=(1,5) A=x(1,1) a:1 +&= a:-" }, { "/?a=%00b", "a=(1,2) a: a:-" },
        { "/?a=%&a=%4", "a=%(1,1) a=%4(1,2) a:% a:%4" }, { "/?a=b=c?d/e", "a=b=c?d/e(1,7) a:b=c?d/e a:-" },
        { "http://x/p?a=1", "a=1(1,1) a:1 a:-" }, { "http://x?a=1", "a=1(1,1) a:1 a:-" },
        { "/?a;b=1", "a;b=1(3,1) a:- a:-" },
    };
    AIO_BEGIN(server_query);
    AIO_AWAIT(self->server, aio_start_http_server(asking_handler, NULL, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        snprintf(self->said, sizeof self->said, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", rows[self->i][0]);
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->said));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        const char *body;
        body = strstr(self->talk->answer, "\r\n\r\n");
        CHECK_STR(body ? body + 4 : "", rows[self->i][1]);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A handler that takes the stream, and gives each line back, until "end". */
struct taking { aio_task task; aio_request *request; aio_stream *stream; aio_text line; };
static AIO_CORO(taking)
{
    static const char *const extra[] = { "X-A", "1", NULL };
    AIO_BEGIN(taking);
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_request_upgrade(self->request, .protocol = "nonsense"));
        CHECK(self->request->method.data[0] == 'x');
    } AIO_CATCH {
        if (aio_caught(self)->code != AIO_ERUNTIME) CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_TRY {
        if (self->request->method.data[0] == 'C') {
            AIO_AWAIT(self->stream, aio_request_upgrade(self->request));
        } else {
            AIO_AWAIT(self->stream, aio_request_upgrade(self->request, .protocol = "ECHO/1", .headers = extra));
        }
    } AIO_CATCH {
        if (aio_caught(self)->code != AIO_ERUNTIME) CAUGHT(EINVAL);
        AIO_AWAIT(aio_request_respond(self->request, 426, .text = aio_caught(self)->message));
        AIO_RETURN();
    } AIO_END_TRY;
    CHECK(self->stream == self->request->stream);
    AIO_TRY {
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "again"));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    for (;;) {
        AIO_AWAIT(self->line, aio_stream_readline(self->stream));
        if (!self->line.length || !strncmp(self->line.data, "end", 3)) break;
        aio_stream_write(self->stream, ">", 1);
        aio_stream_write(self->stream, self->line.data, self->line.length);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_END;
}
static void *taking_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(taking, .request = request); }

#define UPGRADES "Connection: keep-alive, Upgrade\r\nUpgrade: h2c, echo/1\r\n"
struct server_upgrades { aio_task task; aio_server *server; struct talk *talk; size_t i; };
SCENARIO(server_upgrades, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    static const char refused[] = "HTTP/1.1 426 Upgrade Required\r\nContent-Type: text/plain; charset=utf-8\r\n";
    static const char *const rows[][2] = {
        { "GET / HTTP/1.1\r\nHost: h\r\n" UPGRADES "\r\na\nGET / HTTP/1.1\nend\n",
          "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ECHO/1\r\nX-A: 1\r\n\r\n"
          ">a\n>GET / HTTP/1.1\n" },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" UPGRADES "\r\nend\n",
          "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ECHO/1\r\nX-A: 1\r\n\r\n" },
        { "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nb\nc\n", "HTTP/1.1 200 OK\r\n\r\n>b\n>c\n" },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "the client asks for no upgrade" },
        { "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, upgrade\r\nUpgrade: x\r\n\r\n",
          "the client does not offer that protocol" },
        { "GET / HTTP/1.0\r\n" UPGRADES "\r\n", "the client asks for no upgrade" },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n" UPGRADES "\r\na", "its body has not been read" },
    };
    AIO_BEGIN(server_upgrades);
    AIO_AWAIT(self->server, aio_start_http_server(taking_handler, NULL, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = rows[self->i][0]));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        if (rows[self->i][1][0] == 'H') CHECK_STR(self->talk->answer, rows[self->i][1]);
        else CHECK(!strncmp(self->talk->answer, refused, strlen(refused))
                   && strstr(self->talk->answer, rows[self->i][1]));
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Who takes nothing of what an upgraded stream was left with is left after write_timeout, too; who takes it gets all of
 * it, though he goes on sending. */
struct leaving { aio_task task; aio_request *request; aio_stream *stream; };
static AIO_CORO(leaving)
{
    AIO_BEGIN(leaving);
    AIO_AWAIT(self->stream, aio_request_upgrade(self->request, .protocol = "echo/1"));
    for (size_t i = 0; i < self->request->path.length; i++) aio_stream_write(self->stream, plenty, PLENTY);
    AIO_END;
}
static void *leaving_handler(aio_request *request, void *arg) { return (void)arg, AIO_CALL(leaving, .request = request); }
#define ASKS_TO_LEAVE(path) "GET " path " HTTP/1.1\r\nHost: h\r\n" UPGRADES "\r\n"
struct server_upgraded_slow { aio_task task; aio_server *server; aio_stream *stream; };
SCENARIO(server_upgraded_slow, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT }, .skip = KIND_SLICE /* long */)
{
    AIO_BEGIN(server_upgraded_slow);
    AIO_AWAIT(self->server, aio_start_http_server(leaving_handler, NULL, "127.0.0.1", 0, .write_timeout = 10));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    aio_stream_write(self->stream, ASKS_TO_LEAVE("/eight/"), sizeof ASKS_TO_LEAVE("/eight/") - 1);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_server_client_count(self->server), 1);
    AIO_AWAIT(aio_sleep(30));
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
    AIO_END;
}

struct server_upgraded_stages { aio_task task; aio_server *server; aio_stream *stream; aio_text text; int i; };
SCENARIO(server_upgraded_stages, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT }, .skip = KIND_SLICE /* long */)
{
    AIO_BEGIN(server_upgraded_stages);
    AIO_AWAIT(self->server, aio_start_http_server(leaving_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    aio_stream_write(self->stream, ASKS_TO_LEAVE("/"), sizeof ASKS_TO_LEAVE("/") - 1);
    for (self->i = 0; self->i < 10; self->i++) {
        AIO_AWAIT(aio_sleep(0.02));
        aio_stream_write(self->stream, "more", 4);
    }
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    CHECK_INT(count_bytes(self->text, 0), PLENTY);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* One client pipelines many requests: whoever else is ready has a turn after at most 16 of them. */
enum { FLOOD = 200, FLOOD_LOOKS = 20000 };
static int flood_served;
struct flooded { aio_task task; aio_request *request; };
static AIO_CORO(flooded)
{
    AIO_BEGIN(flooded);
    flood_served++;
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = "x"));
    AIO_END;
}
static void *flooded_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(flooded, .request = request); }

struct flood_read { aio_task task; aio_stream *stream; aio_text text; };
static AIO_CORO(flood_read)
{
    AIO_BEGIN(flood_read);
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    AIO_END;
}

struct server_pipeline_flood { aio_task task; aio_server *server; aio_stream *stream; struct flood_read *reading;
    int i, before, most; };
SCENARIO(server_pipeline_flood, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT }, .skip = KIND_SLICE /* long */)
{
    AIO_BEGIN(server_pipeline_flood);
    flood_served = 0;
    AIO_AWAIT(self->server, aio_start_http_server(flooded_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    for (self->i = 0; self->i < FLOOD; self->i++)
        aio_stream_write(self->stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27);
    aio_stream_write_eof(self->stream);
    self->reading = aio_create_task(AIO_CALL(flood_read, .stream = self->stream));
    for (self->i = 0; self->i < FLOOD_LOOKS && self->reading && !aio_future_done(self->reading); self->i++) {
        self->before = flood_served;
        AIO_AWAIT(aio_sleep(0)); /* no time passes: a server that pauses is waited for below */
        if (flood_served - self->before > self->most) self->most = flood_served - self->before;
    }
    AIO_AWAIT((struct flood_read *)aio_ref(self->reading));
    CHECK_INT(flood_served, FLOOD);
    CHECK(self->most > 1 && self->most <= 16);
    AIO_FINALLY;
        aio_unref(self->reading);
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* write_timeout AIO_NOW: who does not take all at once is left; AIO_UNLIMITED: nobody is. */
struct server_write_now { aio_task task; aio_server *server, *closing; aio_stream *stream; int i, waited; };
SCENARIO(server_write_now, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT }, .skip = KIND_SLICE /* long */)
{
    AIO_BEGIN(server_write_now);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(self->server, aio_start_http_server(giving_handler, NULL, "127.0.0.1", 0,
                                                      .write_timeout = self->i ? AIO_UNLIMITED : AIO_NOW));
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        giving_code = 0;
        aio_stream_write(self->stream, "GET /small HTTP/1.1\r\nHost: h\r\n\r\n", 32);
        for (self->waited = 0; self->waited < 20 && !giving_code; self->waited++)
            AIO_AWAIT(aio_sleep(self->i ? 100 : 0.1));
        CHECK_INT(giving_code, self->i ? 0 : ETIMEDOUT);
        aio_stream_abort(self->stream);
        self->stream = NULL;
        aio_server_abort_clients(self->server);
        self->closing = self->server;
        self->server = NULL;
        AIO_AWAIT(aio_server_wait_closed(self->closing));
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* What is written while the client takes nothing gives it no more time: write_timeout counts from the first of it. Over
 * a unix socket, whose kernel takes nothing later. */
static int pressing_code;
struct pressing { aio_task task; aio_request *request; };
static AIO_CORO(pressing)
{
    AIO_BEGIN(pressing);
    if (!strcmp(self->request->path.data, "/more")) {
        aio_unref(aio_request_start(self->request, 200));
        aio_unref(aio_request_chunk(self->request, plenty, PLENTY));
        AIO_AWAIT(aio_sleep(4));
    }
    AIO_TRY {
        if (strcmp(self->request->path.data, "/more"))
            AIO_AWAIT(aio_request_respond(self->request, 200, .body = plenty, .length = PLENTY));
        else AIO_AWAIT(aio_request_chunk(self->request, plenty, PLENTY));
    } AIO_CATCH {
        pressing_code = aio_caught(self)->code;
        AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}
static void *pressing_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(pressing, .request = request);
}

struct server_pressed { aio_task task; aio_server *server; aio_stream *stream; char path[60]; };
SCENARIO(server_pressed, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, ECONNABORTED, ENOENT },
         .skip = KIND_SLICE | KIND_CALL /* what the system takes late, after EAGAIN, is progress */)
{
    AIO_BEGIN(server_pressed);
    pressing_code = 0;
    snprintf(self->path, sizeof self->path, "/tmp/aio-pressed-%ld", (long)getpid());
    unlink(self->path);
    AIO_AWAIT(self->server, aio_start_unix_http_server(pressing_handler, NULL, self->path, .write_timeout = 10));
    AIO_AWAIT(self->stream, aio_open_unix_connection(self->path, .limit = 2048));
    aio_stream_write(self->stream, "GET /more HTTP/1.1\r\nHost: h\r\n\r\n", 31);
    AIO_AWAIT(aio_sleep(9));
    CHECK_INT(pressing_code, 0);
    AIO_AWAIT(aio_sleep(2));
    CHECK_INT(pressing_code, ETIMEDOUT);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
        unlink(self->path);
    AIO_END;
}

/* What a client has taken of the answer before is no progress of the next one. */
struct server_taken_before { aio_task task; aio_server *server; aio_stream *stream; aio_text text; char path[60]; };
SCENARIO(server_taken_before, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, ECONNABORTED, ENOENT, AIO_EINCOMPLETE },
         .skip = KIND_SLICE | KIND_CALL /* what the system takes late, after EAGAIN, is progress */)
{
    AIO_BEGIN(server_taken_before);
    pressing_code = 0;
    snprintf(self->path, sizeof self->path, "/tmp/aio-taken-%ld", (long)getpid());
    unlink(self->path);
    AIO_AWAIT(self->server, aio_start_unix_http_server(pressing_handler, NULL, self->path, .write_timeout = 10));
    AIO_AWAIT(self->stream, aio_open_unix_connection(self->path, .limit = 2048));
    aio_stream_write(self->stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, PLENTY / 2));
    AIO_AWAIT(aio_sleep(11)); /* in the first 10 s it has taken enough */
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, PLENTY / 2));
    CHECK_INT(pressing_code, 0);
    aio_stream_write(self->stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27);
    AIO_AWAIT(aio_sleep(9));
    CHECK_INT(pressing_code, 0);
    AIO_AWAIT(aio_sleep(3));
    CHECK_INT(pressing_code, ETIMEDOUT);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
        unlink(self->path);
    AIO_END;
}

/* A connection that nothing was asked on since its last answer is let go of at once when keepalive_timeout is over. */
struct server_idle_ends { aio_task task; aio_server *server; aio_stream *stream; aio_text text; int i; };
SCENARIO(server_idle_ends, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(server_idle_ends);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .keepalive_timeout = 3));
    for (; self->i < 2; self->i++) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        if (self->i) aio_stream_write(self->stream, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 28);
        if (self->i) AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "/a -", 4));
        AIO_AWAIT(aio_sleep(2.5));
        CHECK_INT(aio_server_client_count(self->server), 1);
        AIO_AWAIT(aio_sleep(1));
        CHECK_INT(aio_server_client_count(self->server), 0);
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A server that was told not to begin serves once it is told to. */
struct server_begins_later { aio_task task; aio_server *server; struct talk *talk; };
SCENARIO(server_begins_later, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    AIO_BEGIN(server_begins_later);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .no_start_serving = true));
    CHECK(!aio_server_is_serving(self->server));
    REQUIRE(aio_server_start_serving(self->server) == 0);
    CHECK(aio_server_is_serving(self->server));
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                          .said = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK_STR(self->talk->answer, OK_HEAD("4") "\r\n/a -");
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A connection that is idle keeps nothing of the large request before. */
struct server_trims { aio_task task; aio_server *server; aio_stream *stream; aio_text text; };
SCENARIO(server_trims, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE }, .skip = KIND_SLICE /* long */)
{
    AIO_BEGIN(server_trims);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    static char head[8000];
    snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\nX: %07000d\r\n\r\n", 1);
    aio_stream_write(self->stream, head, strlen(head));
    aio_stream_write(self->stream, plenty, 500000);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 500000));
    AIO_AWAIT(aio_sleep(1));
    const aio__node *node;
    node = ((aio__service *)self->server->service)->requests.next;
    if (CHECK(node != &((aio__service *)self->server->service)->requests)) {
        const aio__served *r = AIO__CONTAINER(node, aio__served, node);
        CHECK(r->in.content.capacity + r->out.capacity + r->parts.capacity <= 3 * AIO__IDLE_MAX);
        CHECK(r->request.headers.capacity <= AIO__IDLE_MAX);
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Nor of the large head of an answer. */
struct wide_head { aio_task task; aio_request *request; };
static AIO_CORO(wide_head)
{
    static char wide[8001];
    static const char *const fields[] = { "X-Wide", wide, NULL };
    AIO_BEGIN(wide_head);
    memset(wide, 'x', sizeof wide - 1);
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = "wide", .headers = fields));
    AIO_END;
}
static void *wide_head_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(wide_head, .request = request);
}

struct server_trims_answers { aio_task task; aio_server *server; aio_stream *stream; aio_text text; };
SCENARIO(server_trims_answers, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(server_trims_answers);
    AIO_AWAIT(self->server, aio_start_http_server(wide_head_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    aio_stream_write(self->stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\nwide", 8));
    CHECK(self->text.length > 8000);
    AIO_AWAIT(aio_sleep(1));
    const aio__node *node;
    node = ((aio__service *)self->server->service)->requests.next;
    if (CHECK(node != &((aio__service *)self->server->service)->requests))
        CHECK(AIO__CONTAINER(node, aio__served, node)->out.capacity <= AIO__IDLE_MAX);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

TEST(server_bad_arguments)
{
    aio_loop *loop = aio_new_event_loop();
    aio_exception *error = NULL;
    aio_set_event_loop(loop);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_start_http_server(NULL, NULL, "127.0.0.1", 0), &error), EINVAL);
    aio_exception_unref(error);
    const aio_http_server_options wrong[] = {
        { .header_timeout = -3 }, { .keepalive_timeout = -3 }, { .body_timeout = -3 }, { .body_total_timeout = -3 },
        { .write_timeout = -3 }, { .linger_timeout = -3 }, { .linger_idle = -3 }, { .tls_timeout = -3 },
        { .tls_shutdown_timeout = -3 }, { .max_line_size = -1 }, { .max_field_size = -1 }, { .max_headers = -1 } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_INT(aio_loop_run_until_complete(loop, aio_start_http_server_with(site_handler, NULL, "127.0.0.1", 0,
                                              &wrong[i]), NULL), EINVAL);
    char longer[257];
    memset(longer, 'h', 256);
    longer[256] = '\0';
    error = NULL;
    CHECK_INT(aio_loop_run_until_complete(loop, aio_start_http_server(site_handler, NULL, longer, 0), &error), EINVAL);
    CHECK(error && strstr(error->message, "too long"));
    aio_exception_unref(error);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_request_respond(NULL, 200), NULL), EINVAL);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_request_read(NULL), NULL), EINVAL);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_request_read_some(NULL, 1), NULL), EINVAL);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_request_readexactly(NULL, 1), NULL), EINVAL);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_request_readuntil(NULL, "x", 1), NULL), EINVAL);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_request_readline(NULL), NULL), EINVAL);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_request_chunk(NULL, "", 0), NULL), EINVAL);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_request_end(NULL), NULL), EINVAL);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_request_upgrade(NULL), NULL), EINVAL);
    aio_loop_free(loop);
}

/* ---- an answer behind one that was taken late ---- */

/* The first answer leaves a little unsent, the second much; the timer of the first is not the second's. */
static aio_stream *tardy_stream;
struct tardy_answer { aio_task task; aio_request *request; int i; };
static AIO_CORO(tardy_answer)
{
    AIO_BEGIN(tardy_answer);
    tardy_stream = self->request->stream;
    AIO_AWAIT(aio_request_start(self->request, 200, .length = strcmp(self->request->path.data, "/much") ? 0 : 1000000));
    if (!strcmp(self->request->path.data, "/much")) {
        AIO_AWAIT(aio_request_chunk(self->request, plenty, 1000000));
    } else {
        for (; self->i < 5000 && !aio_stream_write_buffer_size(tardy_stream); self->i++)
            aio_unref(aio_request_chunk(self->request, plenty, 1000));
    }
    AIO_AWAIT(aio_request_end(self->request));
    AIO_END;
}
static void *tardy_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(tardy_answer, .request = request);
}

struct server_late { aio_task task; aio_server *server; aio_stream *stream; aio_text text; char path[60]; int i; };
SCENARIO(server_late, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, ECONNABORTED, AIO_EINCOMPLETE, ENOENT },
         .skip = KIND_SLICE /* long */)
{
    static const char first[] = "GET /little HTTP/1.1\r\nHost: h\r\n\r\n";
    static const char second[] = "GET /much HTTP/1.1\r\nHost: h\r\n\r\n";
    AIO_BEGIN(server_late);
    tardy_stream = NULL;
    snprintf(self->path, sizeof self->path, "/tmp/aio-late-%ld", (long)getpid());
    AIO_AWAIT(self->server, aio_start_unix_http_server(tardy_handler, NULL, self->path, .write_timeout = 10));
    AIO_AWAIT(self->stream, aio_open_unix_connection(self->path, .limit = 2048));
    aio_stream_write(self->stream, first, sizeof first - 1);
    AIO_AWAIT(aio_sleep(9));
    /* until the little is taken; a fault may have ended the server's stream */
    for (; self->i < 500 && tardy_stream && !touched() && aio_server_client_count(self->server) == 1; self->i++) {
        aio__stream_flush(tardy_stream);
        if (!aio_stream_write_buffer_size(tardy_stream)) break;
        AIO_AWAIT(self->text, aio_stream_read(self->stream, 1000));
    }
    aio_stream_write(self->stream, second, sizeof second - 1);
    AIO_AWAIT(aio_sleep(6)); /* the first one's timer ends meanwhile */
    CHECK_INT(aio_server_client_count(self->server), 1);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
        unlink(self->path);
    AIO_END;
}
