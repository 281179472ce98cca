/* The HTTP client against our own server, and against servers that say whatever bytes a test wants. */

/* ---- a server of bytes: reads a request's head, says its script, and ends as told ---- */
enum { END_CLOSE, END_RESET, END_STAY };
struct script { const char *says, *later; size_t length; int end; double drip; int served; };
static struct script the_script; /* outlives the servers that speak it */
struct scripted { aio_task task; aio_stream *stream; struct script *script; aio_text text; size_t at; };
static AIO_CORO(scripted)
{
    AIO_BEGIN(scripted);
    self->script->served++;
    for (;;) {
        AIO_TRY {
            AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
        } AIO_CATCH {
            if (aio_caught(self)->code == AIO_EINCOMPLETE) AIO_RETURN(); /* the client has enough */
            AIO_RERAISE();
        } AIO_END_TRY;
        for (self->at = 0; self->script->drip > 0 && self->at < self->script->length; self->at++) {
            aio_stream_write(self->stream, self->script->says + self->at, 1);
            AIO_AWAIT(aio_sleep(self->script->drip));
        }
        if (self->script->drip == 0) aio_stream_write(self->stream, self->script->says, self->script->length);
        if (self->script->later) {
            AIO_AWAIT(aio_sleep(1));
            aio_stream_write(self->stream, self->script->later, strlen(self->script->later));
        }
        if (self->script->end != END_STAY) break;
    }
    AIO_FINALLY;
        if (self->script->end == END_RESET) aio__stream_doom(self->stream);
    AIO_END;
}
static void *scripted_handler(aio_stream *stream, void *arg)
{
    return AIO_CALL(scripted, .stream = stream, .script = (struct script *)arg);
}
static void script_says(struct script *script, const char *says, int end)
{
    memset(script, 0, sizeof *script);
    script->says = says;
    script->length = strlen(says);
    script->end = end;
}

/* A GET whose outcome is kept: code 0 and the body, or the code and the phase. */
struct get_url {
    aio_task task; aio_session *session; char url[100]; aio_timeouts timeout; aio_response *response; aio_text text;
    int code, status; bool reused; char body[300], phase[20], message[300]; size_t length; double seconds;
};
static AIO_CORO(get_url)
{
    AIO_BEGIN(get_url);
    self->seconds = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        AIO_AWAIT(self->response, aio_session_get(self->session, self->url, .timeout = self->timeout));
        self->status = self->response->status;
        self->reused = self->response->times.reused;
        AIO_AWAIT(self->text, aio_response_read(self->response));
        self->length = self->text.length;
        snprintf(self->body, sizeof self->body, "%s", self->text.data);
    } AIO_CATCH {
        if (touched() && aio_caught(self)->code == ENOMEM) AIO_RERAISE();
        self->code = aio_caught(self)->code;
        snprintf(self->phase, sizeof self->phase, "%s", aio_caught(self)->phase);
        snprintf(self->message, sizeof self->message, "%s", aio_caught(self)->message);
    } AIO_END_TRY;
    self->seconds = aio_loop_time(aio_get_running_loop()) - self->seconds;
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}
/* Makes such a task; a `port` 0 leaves the URL to the caller. */
static struct get_url *get_task(aio_session *session, int port, const char *path, aio_timeouts timeout)
{
    struct get_url *get = AIO_CALL(get_url, .session = session, .timeout = timeout);
    if (get) snprintf(get->url, sizeof get->url, "http://127.0.0.1:%d%s", port, path);
    return (struct get_url *)aio_create_task(get);
}
static const aio_timeouts no_timeouts;
#define CLIENT_MAY { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EINCOMPLETE, ECONNABORTED }

/* ---- against our own server ---- */
struct client_requests {
    aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text; char base[64]; char *big;
    size_t size; int i;
};
SCENARIO(client_requests, .may = CLIENT_MAY)
{
    static const char *const params[] = { "a b", "1&2", "c", "", NULL }, *const headers[] = { "X-Mine", "yes", NULL };
    AIO_BEGIN(client_requests);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->base, sizeof self->base, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.base_url = self->base);
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_get(self->session, "x/../page?k=v#f", .params = params, .headers = headers));
    CHECK_INT(self->r->status, 200);
    CHECK_STR(self->r->reason, "OK");
    CHECK_INT(self->r->content_length, 22);
    CHECK(aio_headers_get(&self->r->headers, "date").length == 29);
    CHECK(!self->r->times.reused);
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "/page k=v&a+b=1%262&c=");
    AIO_AWAIT(self->text, aio_response_text(self->r)); /* cached */
    CHECK_BYTES(self->text.data, self->text.length, "/page k=v&a+b=1%262&c=");
    AIO_AWAIT(self->text, aio_response_read_chunk(self->r)); /* has been read */
    CHECK_INT(self->text.length, 0);
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "/page k=v&a+b=1%262&c=");
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_post(self->session, "/echo", .json_text = "{\"a\":1}"));
    CHECK(self->r->times.reused);
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "{\"a\":1}");
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_head(self->session, "/abc"));
    CHECK_INT(self->r->status, 200);
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_INT(self->text.length, 0);
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_get(self->session, "/stream"));
    self->size = 0;
    AIO_ASYNC_FOR(self->text, aio_response_read_chunk(self->r)) self->size += self->text.length;
    CHECK_INT(self->size, 18);
    CHECK(self->r->times.reused);
    aio_response_release(self->r);
    self->r = NULL;
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_delete(self->session, "/404", .raise_for_status = true));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ESTATUS);
    } AIO_END_TRY;
    self->big = (char *)aio__calloc(much(700000));
    REQUIRE(self->big);
    AIO_AWAIT(self->r, aio_session_put(self->session, "/size", .data = self->big, .data_length = much(700000)));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_INT(atoi(self->text.data), much(700000));
    CHECK_INT(aio_session_busy(self->session), 0);
    CHECK_INT(aio_session_idle(self->session), 1);
    AIO_FINALLY;
        aio__free(self->big);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* ---- options of sessions, requests and answers ---- */

/* Answers with what it was asked: the headers X-S and X-R, or in a way that the path names. */
struct edge { aio_task task; aio_request *request; aio_headers fields; char text[200]; };
static AIO_CORO(edge)
{
    static const char *const framing[] = { "Content-Length", "3", NULL };
    AIO_BEGIN(edge);
    if (!strcmp(self->request->path.data, "/404")) {
        AIO_AWAIT(aio_request_respond(self->request, 404, .text = "none", .close = true));
    } else if (!strcmp(self->request->path.data, "/twice")) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "once"));
        AIO_TRY {
            AIO_AWAIT(aio_request_respond(self->request, 200, .text = "twice"));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ERUNTIME);
        } AIO_END_TRY;
    } else if (!strcmp(self->request->path.data, "/framing")) {
        AIO_TRY {
            AIO_AWAIT(aio_request_respond(self->request, 200, .headers = framing));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "refused"));
    } else if (!strcmp(self->request->path.data, "/short")) {
        AIO_AWAIT(aio_request_start(self->request, 200, .length = 4));
        AIO_AWAIT(aio_request_chunk(self->request, "ab", 2));
        AIO_TRY {
            AIO_AWAIT(aio_request_end(self->request));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
        AIO_AWAIT(aio_request_chunk(self->request, "cd", 2));
        AIO_AWAIT(aio_request_end(self->request));
    } else {
        snprintf(self->text, sizeof self->text, "%.40s %.40s", aio_headers_get(&self->request->headers, "x-s").data,
                 aio_headers_get(&self->request->headers, "x-r").data);
        if (aio_headers_set(&self->fields, "X-Out", "field")) AIO_RAISE(ENOMEM);
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->text, .header_fields = &self->fields));
    }
    AIO_FINALLY;
        aio_headers_clear(&self->fields);
    AIO_END;
}
static void *edge_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(edge, .request = request); }

struct client_options {
    aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text; aio_headers fields;
    char base[64];
};
SCENARIO(client_options, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_ESTATUS, AIO_ELIMIT })
{
    static const char *const headers[] = { "X-S", "session", "X-R", "default", NULL };
    AIO_BEGIN(client_options);
    AIO_AWAIT(self->server, aio_start_http_server(edge_handler, NULL, "127.0.0.1", 0));
    snprintf(self->base, sizeof self->base, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.base_url = self->base, .headers = headers, .max_body = 12);
    REQUIRE(self->session);
    REQUIRE(!aio_headers_add(&self->fields, "X-R", "request"));
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_get(self->session, "x", .header_fields = &self->fields));
        CHECK_BYTES(aio_headers_get(&self->r->headers, "x-out").data, 5, "field");
        AIO_AWAIT(self->text, aio_response_read(self->r)); /* "session request" is longer than max_body */
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
    } AIO_END_TRY;
    aio_response_close(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_get(self->session, "/twice"));
    AIO_AWAIT(aio_response_raise_for_status(self->r));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "once");
    aio_response_close(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_get(self->session, "/framing"));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "refused");
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_get(self->session, "/short"));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "abcd");
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_get(self->session, "/404"));
    AIO_TRY {
        AIO_AWAIT(aio_response_raise_for_status(self->r));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ESTATUS);
        ALWAYS(aio_caught(self)->code != AIO_ESTATUS || strstr(aio_caught(self)->message, "/404"));
    } AIO_END_TRY;
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_INT(aio_session_idle(self->session), 0); /* the server closes it */
    AIO_FINALLY;
        aio_headers_clear(&self->fields);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* ---- against a server of bytes ---- */
#define TEN(text) text text text text text text text text text text
#define HEAD_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
static const struct { const char *says; int end, code; const char *body; } client_cases[] = {
    { HEAD_5 "hello", END_STAY, 0, "hello" },
    { HEAD_5 "hello", END_CLOSE, 0, "hello" },
    { "HTTP/1.1 200 OK\r\n\r\nto the end", END_CLOSE, 0, "to the end" },
    { "HTTP/1.0 200 OK\r\n\r\n", END_CLOSE, 0, "" },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", END_STAY, 0, "abcde" },
    { "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" HEAD_5 "hello", END_STAY, 0, "hello" },
    { TEN(TEN("HTTP/1.1 103 Early\r\n\r\n")), END_STAY, AIO_ELIMIT, NULL },
    { "HTTP/1.1 204 None\r\n\r\n", END_STAY, 0, "" },
    { HEAD_5 "hell", END_CLOSE, AIO_EPAYLOAD, NULL },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", END_CLOSE, AIO_EPAYLOAD, NULL },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", END_STAY, AIO_EPAYLOAD, NULL },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", END_STAY, AIO_EHTTP, NULL },
    { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", END_STAY, AIO_EHTTP, NULL },
    { "HTTP/1.1 20 OK\r\n\r\n", END_STAY, AIO_EHTTP, NULL },
    { "SSH-2.0-x\r\n", END_STAY, AIO_EHTTP, NULL },
    { "HTTP/1.1 200 OK\nA: b\n c\nContent-Length: 5\n\nhello", END_STAY, 0, "hello" },
    { "HTTP/1.1 200 OK\r\nA: b\r\n", END_CLOSE, 0, "" },
    { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", END_CLOSE, AIO_EPAYLOAD, NULL },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3 ;a=b\r\nabc\r\n0\r\n", END_CLOSE, 0, "abc" },
    { "HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n", END_STAY, 0, "" },
    { "", END_CLOSE, AIO_EDISCONNECTED, NULL },
    { "HTTP/1.1 200 OK\r\nA: b", END_CLOSE, AIO_EDISCONNECTED, NULL },
};
struct client_hears { aio_task task; aio_server *server; aio_session *session; struct get_url *get; size_t i; };
SCENARIO(client_hears, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_hears);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof client_cases / sizeof *client_cases; self->i++) {
        script_says(&the_script, client_cases[self->i].says, client_cases[self->i].end);
        self->session = aio_session_open(.limit = 2);
        REQUIRE(self->session);
        self->get = get_task(self->session, aio_server_port(self->server), "/", no_timeouts);
        AIO_AWAIT((struct get_url *)aio_ref(self->get));
        CHECK_INT(self->get->code, client_cases[self->i].code);
        if (client_cases[self->i].body) CHECK_STR(self->get->body, client_cases[self->i].body);
        CHECK_INT(aio_session_busy(self->session), 0);
        aio_unref(self->get);
        self->get = NULL;
        AIO_AWAIT(aio_session_close(self->session));
        self->session = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* An error says what is wrong, and where. */
struct client_says_where { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; size_t i; };
SCENARIO(client_says_where, .may = CLIENT_MAY)
{
    static const struct { const char *says, *why; } rows[] = {
        { "HTTP/1.1 200 OK\r\nA: b\r\nB \r\n\r\n", "no name and colon, in the line at byte 23 of the head" },
        { "HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n", "a control character, in the line at byte 17 of the head" },
        { "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: x\r\n\r\n", ", in the line at byte 23 of the head" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nz\r\n",
          "a chunk size is not hexadecimal, after 3 bytes of the body" },
        { HEAD_5 "hell", "before Content-Length bytes had come, after 4 bytes of the body" },
    };
    AIO_BEGIN(client_says_where);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    self->session = aio_session_open();
    REQUIRE(self->session);
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        script_says(&the_script, rows[self->i].says, END_CLOSE);
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
            AIO_AWAIT(self->text, aio_response_read(self->r));
            UNREACHED();
        } AIO_CATCH {
            CHECK(strstr(aio_caught(self)->message, rows[self->i].why));
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* .strict: what is forgiven otherwise is not. */
struct client_strict { aio_task task; aio_server *server; aio_session *session; struct get_url *get; size_t i; };
SCENARIO(client_strict, .may = CLIENT_MAY)
{
    static const struct { const char *says; int code; } rows[] = {
        { "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", AIO_EHTTP },
        { "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 5\r\n\r\nhello", AIO_EHTTP },
        { "HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello", AIO_EHTTP },
        { "HTTP/1.1 200 OK\r\nA: b\r\n", AIO_EDISCONNECTED },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", AIO_EPAYLOAD },
    };
    AIO_BEGIN(client_strict);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    self->session = aio_session_open(.strict = true);
    REQUIRE(self->session);
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        script_says(&the_script, rows[self->i].says, END_CLOSE);
        self->get = get_task(self->session, aio_server_port(self->server), "/", no_timeouts);
        AIO_AWAIT((struct get_url *)aio_ref(self->get));
        CHECK_INT(self->get->code, rows[self->i].code);
        aio_unref(self->get);
        self->get = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* What the head says of a length: of HEAD and 304 what a body would have; over max_body, an error at once; and the
 * bytes can still be taken in pieces. */
struct client_lengths {
    aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text; char url[60]; size_t i;
    double began;
};
SCENARIO(client_lengths, .may = CLIENT_MAY)
{
    static const struct { const char *method, *says; int length; } rows[] = {
        { "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", 12 },
        { "HEAD", "HTTP/1.1 200 OK\r\n\r\n", -1 }, { "GET", "HTTP/1.1 304 N\r\nContent-Length: 12\r\n\r\n", 12 },
        { "GET", "HTTP/1.1 304 N\r\n\r\n", -1 }, { "GET", "HTTP/1.1 204 N\r\n\r\n", 0 },
        { "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5 },
        { "OPTIONS", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", -1 },
    };
    AIO_BEGIN(client_lengths);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.max_body = 12);
    REQUIRE(self->session);
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        script_says(&the_script, rows[self->i].says, END_STAY);
        AIO_AWAIT(self->r, aio_session_request(self->session, rows[self->i].method, self->url));
        CHECK_INT(self->r->content_length, rows[self->i].length);
        aio_response_release(self->r);
        self->r = NULL;
    }
    script_says(&the_script, "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nsome", END_STAY);
    the_script.later = "more more";
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    AIO_TRY {
        AIO_AWAIT(self->text, aio_response_read(self->r));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 0, 0.5);
    } AIO_END_TRY;
    AIO_AWAIT(self->text, aio_response_read_chunk(self->r));
    CHECK(self->text.length > 0 && !memcmp(self->text.data, "some", self->text.length));
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A body that only the end of the connection would end is none, if that is not waited for; others are as ever. */
struct client_no_eof { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[64]; int i; };
SCENARIO(client_no_eof, .may = CLIENT_MAY)
{
    static const char *const says[] = { "HTTP/1.1 200 OK\r\n\r\nhello", "HTTP/1.1 200 OK\r\n\r\n", HEAD_5 "hello",
                                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" };
    AIO_BEGIN(client_no_eof);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.timeout = { .total = 5 });
    REQUIRE(self->session);
    for (self->i = 0; self->i < 4; self->i++) {
        script_says(&the_script, says[self->i], END_STAY);
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .no_read_until_eof = true));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_BYTES(self->text.data, self->text.length, self->i < 2 ? "" : self->i == 2 ? "hello" : "hi");
        if (self->i < 3) CHECK_INT(self->r->content_length, self->i < 2 ? 0 : 5);
        aio_response_release(self->r);
        self->r = NULL;
        CHECK_INT(aio_session_busy(self->session), 0);
        CHECK_INT(aio_session_idle(self->session), self->i < 2 ? 0 : 1);
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A body cut as the program wants it, wherever it was cut on its way. */
#define CUT_CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CUT_LINES CUT_CHUNKED "2\r\non\r\n4\r\ne\ntw\r\n6\r\no\r\n\nth\r\n3\r\nree\r\n0\r\n\r\n"
#define CUT_DASHES CUT_CHUNKED "4\r\na-b-\r\n3\r\n-c-\r\n1\r\n-\r\n0\r\n\r\n"
#define CUT_EIGHT CUT_CHUNKED "3\r\nabc\r\n3\r\ndef\r\n2\r\ngh\r\n0\r\n\r\n"
static const struct cut_row { const char *says, *separator, *gives; size_t n; bool some; int code; const char *why; }
cut_rows[] = {
    { CUT_LINES, "\n", "one\n|two\r\n|\n|three|", 1, false, 0, NULL },
    { CUT_LINES, "o\r\n\nt", "one\ntwo\r\n\nt|hree|", 5, false, 0, NULL },
    { CUT_DASHES, "--", "a-b--|c--|", 2, false, 0, NULL },
    { CUT_EIGHT, NULL, "abcd|efgh|", 4, false, AIO_EINCOMPLETE, "0 of 4 bytes, then the end of the body" },
    { CUT_EIGHT, NULL, "abc|def|", 3, false, AIO_EINCOMPLETE, "2 of 3 bytes, then the end of the body" },
    { CUT_EIGHT, NULL, "", 0, false, 0, NULL },
    { CUT_EIGHT, NULL, "", 21, false, AIO_ELIMIT, "more than the limit of 20 bytes at once" },
    { CUT_EIGHT, NULL, NULL, 2, true, 0, NULL },
    { CUT_CHUNKED "15\r\n123456789012345678901\r\n0\r\n\r\n", "\n", "", 1, false, AIO_ELIMIT,
      "more than the limit of 20 bytes at once" },
    { CUT_CHUNKED "14\r\n1234567890123456789\n\r\n0\r\n\r\n", "\n", "1234567890123456789\n|", 1, false, 0, NULL },
    { CUT_CHUNKED "15\r\n12345678901234567890\n\r\n0\r\n\r\n", "\n", "", 1, false, AIO_ELIMIT,
      "more than the limit of 20 bytes at once" },
    { CUT_CHUNKED "a\r\n1234567890\r\na\r\n1234567890\r\n0\r\n\r\n", NULL, "12345678901234567890|", 20, false,
      AIO_EINCOMPLETE, "0 of 20 bytes, then the end of the body" },
    { CUT_CHUNKED "a\r\n1234567890\r\na\r\n1234567890\r\n0\r\n\r\n", "\n", "12345678901234567890|", 1, false, 0, NULL },
    { CUT_CHUNKED "a\r\n1234567890\r\nb\r\n12345678901\r\n0\r\n\r\n", "\n", "", 1, false, AIO_ELIMIT,
      "more than the limit of 20 bytes at once" },
    { HEAD_5 "he\nl", "\n", "he\n|", 1, false, AIO_EPAYLOAD, "before Content-Length bytes had come" },
    { "HTTP/1.1 204 N\r\n\r\n", "\n", "", 1, false, 0, NULL },
};
struct client_cuts { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text; char url[60];
    char gave[80]; const struct cut_row *row; size_t i, got, wrong; };
static aio_text_task *cut_next(const struct client_cuts *self)
{
    if (self->row->some) return aio_response_read_some(self->r, self->row->n);
    if (!self->row->separator) return aio_response_readexactly(self->r, self->row->n);
    return self->row->n == 1 ? aio_response_readline(self->r)
                             : aio_response_readuntil(self->r, self->row->separator, self->row->n);
}
SCENARIO(client_cuts, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_cuts);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.max_body = 20));
    for (self->i = 0; self->i < sizeof cut_rows / sizeof *cut_rows; self->i++) {
        self->row = &cut_rows[self->i];
        script_says(&the_script, self->row->says, self->row->code == AIO_EPAYLOAD ? END_CLOSE : END_STAY);
        self->got = 0;
        self->gave[0] = '\0';
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        for (self->wrong = 0; self->wrong < 2; self->wrong++) {
            AIO_TRY {
                AIO_AWAIT(self->text, aio_response_readuntil(self->r, self->wrong ? NULL : "x", self->wrong));
                UNREACHED();
            } AIO_CATCH_CODE(EINVAL) CHECK(strstr(aio_caught(self)->message, "an empty separator")); AIO_END_TRY;
        }
        AIO_TRY {
            AIO_ASYNC_FOR(self->text, cut_next(self)) {
                size_t used = strlen(self->gave);
                CHECK(!self->row->some || self->text.length <= self->row->n);
                snprintf(self->gave + used, sizeof self->gave - used, "%.*s|", (int)self->text.length, self->text.data);
                self->got += self->text.length;
            }
            CHECK_INT(0, self->row->code);
        } AIO_CATCH {
            CAUGHT(self->row->code);
            CHECK(strstr(aio_caught(self)->message, self->row->why));
        } AIO_END_TRY;
        if (self->row->some) CHECK_INT(self->got, 8);
        else CHECK_STR(self->gave, self->row->gives);
        if (self->row->code == AIO_EINCOMPLETE) { /* what is left is still there */
            AIO_AWAIT(self->text, aio_response_read(self->r));
            CHECK_BYTES(self->text.data, self->text.length, self->row->n == 3 ? "gh" : "");
        }
        if (self->row->code == AIO_ELIMIT && self->row->n > 20) {
            AIO_AWAIT(self->text, aio_response_readexactly(self->r, 7));
            CHECK_BYTES(self->text.data, self->text.length, "abcdefg");
        }
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Lines against a limit: one that fits is given, however much comes with it; one that does not is refused at once; and
 * what was read as a whole stays that. */
struct client_cuts_late { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; double began; };
SCENARIO(client_cuts_late, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_cuts_late);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.max_body = 20));
    script_says(&the_script, CUT_CHUNKED "2\r\nab\r\n", END_STAY);
    the_script.later = "17\r\nc\n3456789\n123456789\n123\r\n0\r\n\r\n";
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    AIO_AWAIT(self->text, aio_response_readline(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "abc\n");
    AIO_AWAIT(self->text, aio_response_readexactly(self->r, 18));
    CHECK_BYTES(self->text.data, self->text.length, "3456789\n123456789\n");
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "123");
    AIO_AWAIT(self->text, aio_response_readline(self->r));
    CHECK_INT(self->text.length, 0);
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "123");
    aio_response_release(self->r);
    self->r = NULL;
    script_says(&the_script, CUT_CHUNKED "1a\r\n1234567890123456789012345\n\r\n", END_STAY);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        AIO_TIMEOUT(5) AIO_AWAIT(self->text, aio_response_readline(self->r));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 0, 1);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* What comes after a chunked body, and the head as it came. */
struct client_trailers { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; };
SCENARIO(client_trailers, .may = CLIENT_MAY)
{
    static const char head[] = "HTTP/1.1 200 Fine\r\nTransfer-Encoding:  chunked\r\nX:\r\n\r\n";
    const aio_headers *trailers;
    AIO_BEGIN(client_trailers);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    script_says(&the_script, "HTTP/1.1 200 Fine\r\nTransfer-Encoding:  chunked\r\nX:\r\n\r\n3\r\nabc\r\n",
                END_STAY);
    the_script.later = "2;x\r\nde\r\n0\r\nA: \t b c \r\nContent-Length:9\r\nA:\r\n\r\n";
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    CHECK_BYTES(aio_response_head(self->r).data, aio_response_head(self->r).length, head);
    trailers = aio_response_trailers(self->r);
    CHECK(trailers && aio_headers_get(trailers, "a").data == NULL);
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "abcde");
    trailers = aio_response_trailers(self->r);
    REQUIRE(trailers);
    CHECK_STR(aio_headers_get(trailers, "a").data, "b c");
    CHECK_STR(aio_headers_get(trailers, "content-length").data, "9");
    CHECK_INT(trailers->count, 3);
    CHECK(aio_response_trailers(self->r) == trailers);
    CHECK_INT(trailers->count, 3); /* nor were they added once more */
    CHECK_INT(aio_session_idle(self->session), 1);
    aio_response_release(self->r);
    self->r = NULL;
    script_says(&the_script, HEAD_5 "hello", END_STAY); /* nothing of the last one is left */
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    trailers = aio_response_trailers(self->r);
    CHECK(trailers && trailers->count == 0);
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A decoder of its own: each byte twice, three bytes at a time; '.' ends what is meant, '!' is an error. */
struct doubling { aio__stage stage; char made[3]; size_t room, ended; const char *rest; size_t left; char half; };
static aio__body_step doubling_feed(aio__stage *stage, const char *data, size_t n, bool last, size_t *used, aio_text *out)
{
    struct doubling *d = AIO__CONTAINER(stage, struct doubling, stage);
    size_t made = 0, i = 0;
    if (d->half) d->made[made++] = d->half;
    d->half = 0;
    while (i < n && made < 3 && data[i] != '.' && data[i] != '!') {
        d->made[made++] = data[i];
        if (made < 3) d->made[made++] = data[i];
        else d->half = data[i];
        i++;
    }
    *used = i;
    *out = aio__text(d->made, made);
    if (made) return AIO__BODY_DATA;
    if (i < n && data[i] == '.') return AIO__BODY_DONE;
    if (i < n) stage->problem = "an exclamation mark";
    return i < n ? AIO__BODY_ERROR : last ? AIO__BODY_DONE : AIO__BODY_MORE;
}
static void doubling_end(aio__stage *stage) { AIO__CONTAINER(stage, struct doubling, stage)->ended++; }

struct client_decodes { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    struct doubling first, second; size_t i, length; char url[60], all[40]; };
SCENARIO(client_decodes, .may = { AIO_ETIMEOUT, EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD })
{
    static const struct { const char *later, *whole; int code; } rows[] = {
        { "3\r\nabc\r\n0\r\nA: b\r\n\r\n", "aaaabbbbcccc", 0 }, { "0\r\n\r\n", "", 0 },
        { "1\r\na\r\n4\r\n.bcd\r\n0\r\n\r\n", "aaaa", 0 }, { "2\r\na!\r\n0\r\n\r\n", NULL, AIO_EPAYLOAD },
        { "4\r\nabcd\r\n0\r\n\r\n", "aaaabbbbccccdddd", AIO_ELIMIT },
    };
    AIO_BEGIN(client_decodes);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.max_body = 12);
    REQUIRE(self->session);
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        script_says(&the_script, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", END_STAY);
        the_script.later = rows[self->i].later;
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        aio__body_reader *in;
        in = &aio__reply_of(self->r)->in;
        memset(&self->first, 0, sizeof self->first);
        self->first.stage.feed = doubling_feed;
        self->first.stage.end = doubling_end;
        self->second = self->first;
        aio__body_decode(in, &self->first.stage);
        aio__body_decode(in, &self->second.stage);
        AIO_TRY {
            AIO_AWAIT(self->text, aio_response_read(self->r));
            CHECK_BYTES(self->text.data, self->text.length, rows[self->i].whole);
            CHECK_INT(rows[self->i].code, 0);
            CHECK_INT(aio_session_idle(self->session), 1);
        } AIO_CATCH {
            CAUGHT(rows[self->i].code);
            if (rows[self->i].code == AIO_EPAYLOAD) CHECK(strstr(aio_caught(self)->message, "exclamation"));
        } AIO_END_TRY;
        if (rows[self->i].code == AIO_ELIMIT) { /* nothing is lost */
            self->length = 0;
            AIO_ASYNC_FOR(self->text, aio_response_read_chunk(self->r)) {
                if (self->length + self->text.length > sizeof self->all) AIO_RAISE(require_code());
                memcpy(self->all + self->length, self->text.data, self->text.length);
                self->length += self->text.length;
            }
            CHECK_BYTES(self->all, self->length, rows[self->i].whole);
        }
        aio_response_release(self->r);
        self->r = NULL;
        CHECK(self->first.ended == 1 && self->second.ended == 1);
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A connection that is not HTTP's any more is the user's, with what has come; the session goes, and it stays. */
#define UPGRADED_200 "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst\n" /* the length means nothing there */
#define UPGRADED_101 "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nfirst\n"
struct upgraded { aio_task task; aio_stream *stream; aio_text text; };
static AIO_CORO(upgraded)
{
    AIO_BEGIN(upgraded);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    if (!memcmp(self->text.data, "CONNECT", 7)) {
        CHECK(strstr(self->text.data, "CONNECT 127.0.0.1:") && strstr(self->text.data, "Content-") == NULL);
        aio_stream_write(self->stream, UPGRADED_200, strlen(UPGRADED_200));
    } else {
        aio_stream_write(self->stream, UPGRADED_101, strlen(UPGRADED_101));
    }
    AIO_AWAIT(self->text, aio_stream_readline(self->stream));
    aio_stream_write(self->stream, self->text.data, self->text.length);
    AIO_AWAIT(self->text, aio_stream_readline(self->stream));
    AIO_END;
}
static void *upgraded_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(upgraded, .stream = stream);
}
struct client_upgrades { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_stream *stream;
    aio_text text; char url[60]; int i; };
SCENARIO(client_upgrades, .may = CLIENT_MAY)
{
    static const char *const headers[] = { "Connection", "Upgrade", "Upgrade", "x", NULL };
    AIO_BEGIN(client_upgrades);
    AIO_AWAIT(self->server, aio_start_server(upgraded_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    for (self->i = 0; self->i < 3; self->i++) {
        self->session = aio_session_open();
        REQUIRE(self->session);
        if (self->i == 1) {
            AIO_AWAIT(self->r, aio_session_request(self->session, "CONNECT", self->url));
            CHECK_INT(self->r->status, 200);
            CHECK_INT(self->r->content_length, 0);
        } else {
            AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .headers = headers));
            CHECK_INT(self->r->status, 101);
            CHECK_INT(self->r->content_length, 0);
        }
        AIO_AWAIT(self->text, aio_response_read(self->r)); /* it has no body */
        CHECK_INT(self->text.length, 0);
        CHECK_INT(aio_session_busy(self->session), 1);
        if (self->i < 2) { /* else nobody takes it: it ends with the response */
            self->stream = aio_response_upgrade(self->r);
            REQUIRE(self->stream);
            CHECK(!aio_response_upgrade(self->r) && errno == AIO_ERUNTIME);
        }
        aio_response_release(self->r);
        self->r = NULL;
        CHECK_INT(aio_session_busy(self->session) + aio_session_idle(self->session), 0);
        AIO_AWAIT(aio_session_close(self->session));
        self->session = NULL;
        if (self->i == 2) continue;
        AIO_AWAIT(self->text, aio_stream_readline(self->stream));
        CHECK_BYTES(self->text.data, self->text.length, "first\n");
        aio_stream_write(self->stream, "mine\n", 5);
        AIO_AWAIT(self->text, aio_stream_readline(self->stream));
        CHECK_BYTES(self->text.data, self->text.length, "mine\n");
        aio_stream_close(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_stream_close(self->stream);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Nobody asked for another protocol. And what is no switch has no stream to give. */
struct client_no_upgrade { aio_task task; aio_server *server; aio_session *session; aio_response *r;
    struct get_url *get; char url[60]; };
SCENARIO(client_no_upgrade, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_no_upgrade);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    script_says(&the_script, "HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n", END_STAY);
    self->get = get_task(self->session, aio_server_port(self->server), "/", no_timeouts);
    AIO_AWAIT((struct get_url *)aio_ref(self->get));
    CHECK_INT(self->get->code, AIO_EHTTP);
    script_says(&the_script, HEAD_5 "hello", END_STAY);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    CHECK(!aio_response_upgrade(self->r) && errno == EINVAL);
    CHECK(!aio_response_upgrade(NULL) && errno == EINVAL);
    AIO_FINALLY;
        aio_unref(self->get);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* An exchange is made whole by its preparation: after other hops of the same operation it asks as the first one did. */
static int hop_prepare(aio__exchange *x, struct aio__requesting *f, const char *method, const char *url)
{
    const char *reason = "";
    f->method = method;
    f->url = url;
    return aio__exchange_prepare(x, f, &reason);
}
struct client_hops { aio_task task; aio_session *session; aio__operation *op; aio__reply *r[2];
    struct aio__requesting *f; int i; };
SCENARIO(client_hops)
{
    AIO_BEGIN(client_hops);
    self->session = aio_session_open();
    self->f = (struct aio__requesting *)aio__calloc(sizeof *self->f);
    REQUIRE(self->session && self->f);
    self->f->session = self->session;
    self->op = aio__operation_open(self->session);
    REQUIRE(self->op);
    for (self->i = 0; self->i < 2; self->i++) {
        self->r[self->i] = aio__reply_open(self->op);
        REQUIRE(self->r[self->i]);
    }
    self->f->proxy = "http://p.test";
    REQUIRE(hop_prepare(&self->r[0]->x, self->f, "CONNECT", "http://u:p@a.test/") == 0);
    CHECK(self->r[0]->x.upgrades && self->r[0]->x.via.block);
    REQUIRE(hop_prepare(&self->r[0]->x, self->f, "POST", "http://b.test/x?y") == 0);
    self->f->proxy = "";
    for (self->i = 0; self->i < 2; self->i++)
        REQUIRE(hop_prepare(&self->r[self->i]->x, self->f, "GET", "https://c.test/z") == 0);
    const aio__exchange *a, *b;
    a = &self->r[0]->x, b = &self->r[1]->x;
    CHECK_BYTES(a->out.data, a->out.end, b->out.data, b->out.end);
    CHECK_BYTES(a->key.data, a->key.length, b->key.data, b->key.length);
    CHECK(!a->via.block && !a->tunnel && !a->upgrades && a->keep && !a->head.is_connect);
    AIO_FINALLY;
        for (int i = 0; i < 2; i++) if (self->r[i]) aio__reply_unref(self->r[i]);
        if (self->op) aio__operation_unref(self->op);
        aio__free(self->f);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

/* The zone of an address is nothing to the other side: not in Host, nor in the absolute form for a proxy. */
TEST(client_zone_stays_here)
{
    static const struct { const char *url, *host; } rows[] = {
        { "http://[fe80::1%25eth0]/", "[fe80::1]" }, { "http://[fe80::1%25eth0]:81/", "[fe80::1]:81" },
        { "http://[::1]:81/", "[::1]:81" }, { "http://a.test/%25/", "a.test" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio__buffer out;
        aio_url url;
        memset(&out, 0, sizeof out);
        CHECK_INT(aio_url_parse(&url, rows[i].url, strlen(rows[i].url), NULL), 0);
        CHECK(aio__http_put_host(&out, &url));
        CHECK_BYTES(out.data, out.end, rows[i].host);
        aio__free(out.data);
        aio_url_clear(&url);
    }
}

/* The connection is reset after every byte of the answer in turn: an error that says so, or the whole body. */
struct client_reset { aio_task task; aio_server *server; aio_session *session; struct get_url *get; size_t i; };
SCENARIO(client_reset, .may = CLIENT_MAY)
{
    static const char says[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    AIO_BEGIN(client_reset);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof says - 1; self->i += (size_t)rows_of(1, 11)) {
        script_says(&the_script, says, END_RESET);
        the_script.length = self->i;
        self->session = aio_session_open(.limit = 2);
        REQUIRE(self->session);
        self->get = get_task(self->session, aio_server_port(self->server), "/", no_timeouts);
        AIO_AWAIT((struct get_url *)aio_ref(self->get));
        CHECK(self->get->code == ECONNRESET || self->get->code == AIO_EDISCONNECTED || self->get->code == AIO_EPAYLOAD);
        CHECK_INT(the_script.served, 1); /* a new connection: no retry */
        aio_unref(self->get);
        self->get = NULL;
        AIO_AWAIT(aio_session_close(self->session));
        self->session = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A head that comes a byte a second, a body that does, and a server that says nothing. */
struct client_timeouts { aio_task task; aio_server *server; aio_session *session; struct get_url *get; };
SCENARIO(client_timeouts, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_timeouts);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    self->session = aio_session_open(.timeout = { .total = 10 });
    REQUIRE(self->session);
    script_says(&the_script, "HTTP/1.1 200\r\n\r\nhello", END_STAY);
    the_script.drip = 1;
    self->get = get_task(self->session, aio_server_port(self->server), "/", no_timeouts);
    AIO_AWAIT((struct get_url *)aio_ref(self->get));
    CHECK_INT(self->get->code, AIO_ETIMEOUT);
    CHECK_STR(self->get->phase, "headers");
    CHECK_NEAR(self->get->seconds, 10, 0.1);
    CHECK(strstr(self->get->message, "`total` is 10 s") && strstr(self->get->message, "GET http://127.0.0.1"));
    aio_unref(self->get);
    static const aio_timeouts total = { 18.5, 0, 0, 0 };
    self->get = get_task(self->session, aio_server_port(self->server), "/", total);
    AIO_AWAIT((struct get_url *)aio_ref(self->get));
    CHECK_INT(self->get->code, AIO_ETIMEOUT);
    CHECK_STR(self->get->phase, "body");
    CHECK_NEAR(self->get->seconds, 18.5, 0.1);
    aio_unref(self->get);
    script_says(&the_script, "", END_STAY);
    static const aio_timeouts gap = { 0, 0, 0, 3 };
    self->get = get_task(self->session, aio_server_port(self->server), "/", gap);
    AIO_AWAIT((struct get_url *)aio_ref(self->get));
    CHECK_INT(self->get->code, AIO_ETIMEOUT);
    CHECK_STR(self->get->phase, "headers");
    CHECK_NEAR(self->get->seconds, 3, 0.1);
    CHECK_INT(aio_session_busy(self->session), 0);
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Without a word about it, 100 requests are on their way at once, and each has 300 s, also in the line for the pool. */
enum { DEFAULTS_MANY = 102 };
struct client_defaults { aio_task task; aio_server *server; aio_session *session; struct get_url *gets[DEFAULTS_MANY];
    int i, phases[2]; };
SCENARIO(client_defaults, .may = CLIENT_MAY, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL | KIND_SLICE /* many */)
{
    AIO_BEGIN(client_defaults);
    script_says(&the_script, "", END_STAY);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    for (self->i = 0; self->i < DEFAULTS_MANY; self->i++)
        REQUIRE(self->gets[self->i] = get_task(self->session, aio_server_port(self->server), "/", no_timeouts));
    AIO_AWAIT(aio_sleep(299));
    CHECK_INT(aio_session_busy(self->session), 100);
    AIO_AWAIT(aio_sleep(2));
    CHECK_INT(aio_session_busy(self->session), 0);
    for (self->i = 0; self->i < DEFAULTS_MANY; self->i++) {
        const struct get_url *get = self->gets[self->i];
        CHECK_INT(get->code, AIO_ETIMEOUT);
        CHECK(strstr(get->message, "the limit `total` is 300 s"));
        self->phases[0] += !strcmp(get->phase, "headers");
        self->phases[1] += !strcmp(get->phase, "pool");
    }
    CHECK_INT(self->phases[0], 100);
    CHECK_INT(self->phases[1], 2);
    AIO_FINALLY;
        for (int i = 0; i < DEFAULTS_MANY; i++) aio_unref(self->gets[i]);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* What was given out in pieces does not count when the rest is read. */
struct client_rest {
    aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text; size_t size; char url[60];
};
SCENARIO(client_rest, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_rest);
    script_says(&the_script, "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0123456789", END_STAY);
    the_script.later = "klmnop";
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.max_body = 12);
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    for (self->size = 0; self->size < 10; self->size += self->text.length)
        AIO_AWAIT(self->text, aio_response_read_chunk(self->r));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "klmnop");
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* An upload that takes longer than `sock_read`, which is the time between the request's end and the answer. */
struct slow_taker { aio_task task; aio_stream *stream; size_t size; aio_text text; };
static AIO_CORO(slow_taker)
{
    AIO_BEGIN(slow_taker);
    AIO_AWAIT(aio_sleep(5));
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, self->size));
    AIO_AWAIT(aio_sleep(60));
    AIO_END;
}
static void *slow_taker(aio_stream *stream, void *arg)
{
    return AIO_CALL(slow_taker, .stream = stream, .size = *(size_t *)arg);
}
struct client_uploads { aio_task task; aio_server *server; aio_session *session; char *big; size_t size; char url[60];
    double began; aio_response *r; };
SCENARIO(client_uploads, .may = CLIENT_MAY, .skip = KIND_SLICE /* sends all of it before a byte is read */)
{
    AIO_BEGIN(client_uploads);
    self->size = 8000000;
    self->big = (char *)aio__calloc(self->size);
    REQUIRE(self->big);
    AIO_AWAIT(self->server, aio_start_server(slow_taker, &self->size, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open(.limit = 2);
    REQUIRE(self->session);
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .data = self->big, .data_length = self->size,
                                            .borrow_data = true, .timeout = { .sock_read = 3 }));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK_STR(aio_caught(self)->phase, "headers");
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 8, 0.1);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .data = self->big, .data_length = self->size,
                                            .borrow_data = true, .timeout = { .total = 4 }));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK_STR(aio_caught(self)->phase, "send");
    } AIO_END_TRY;
    AIO_FINALLY;
        aio__free(self->big);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* ---- bodies that are made while they are sent ---- */

/* Pieces of `text`, `step` bytes each, `times` over; then an error, if there is one to be. */
struct pieces { const char *text; size_t step, times, at; int code, rewound, asked; double delay; bool stuck, ended; };
struct piece { aio_task task; aio_text result; struct pieces *from; size_t length; };
static AIO_CORO(piece)
{
    AIO_BEGIN(piece);
    self->from->asked++;
    if (self->from->stuck) {
        AIO_ASYNC_WITH(aio_sleep(0), (self->from->ended = true, 0)) AIO_AWAIT(aio_sleep(1000));
    }
    AIO_AWAIT(aio_sleep(self->from->delay));
    self->length = strlen(self->from->text);
    if (self->from->at == self->length && self->from->times) {
        self->from->times--;
        self->from->at = 0;
    }
    if (self->from->at == self->length && self->from->code) AIO_RAISE(self->from->code, "made for the test");
    self->length -= self->from->at;
    if (self->length > self->from->step) self->length = self->from->step;
    self->from->at += self->length;
    AIO_RETURN(aio__text(self->from->text + self->from->at - self->length, self->length));
    AIO_END;
}
static aio_text_task *pieces_next(void *arg)
{
    return (aio_text_task *)(void *)AIO_CALL(piece, .from = (struct pieces *)arg);
}
static bool pieces_rewind(void *arg)
{
    struct pieces *from = (struct pieces *)arg;
    from->at = 0;
    return ++from->rewound == 1;
}

struct client_produces { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    struct pieces from; size_t i; char url[60]; };
SCENARIO(client_produces, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD, ECONNABORTED })
{
    static const struct { const char *text, *body; size_t step; int64_t length; int fails, code; } rows[] = {
        { "abcde", "abcde", 2, 0, 0, 0 }, { "abcde", "abcde", 2, 5, 0, 0 }, { "", "", 2, 0, 0, 0 },
        { "abcde", "abcde", 5, 5, 0, 0 }, { "abcde", NULL, 2, 6, 0, EINVAL }, { "abcde", NULL, 2, 3, 0, EINVAL },
        { "abcde", NULL, 2, 0, EDOM, EDOM }, { "", NULL, 2, 0, EDOM, EDOM }, { "abcde", "abcde", 1, 0, 0, 0 },
    };
    AIO_BEGIN(client_produces);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/echo", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        memset(&self->from, 0, sizeof self->from);
        self->from.text = rows[self->i].text;
        self->from.step = rows[self->i].step;
        self->from.code = rows[self->i].fails;
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .producer = {
                .next = pieces_next, .arg = &self->from, .length = rows[self->i].length }));
            AIO_AWAIT(self->text, aio_response_read(self->r));
            CHECK_INT(rows[self->i].code, 0);
            CHECK_BYTES(self->text.data, self->text.length, rows[self->i].body);
            CHECK_INT(aio_session_idle(self->session), 1);
            /* with each chunk's line and end, and the last one */
            size_t n, pieces;
            n = strlen(rows[self->i].text);
            pieces = (n + rows[self->i].step - 1) / rows[self->i].step;
            CHECK_INT(aio_response_bytes_sent(self->r) - aio_response_request_head(self->r).length,
                      rows[self->i].length ? n : n + 5 * pieces + 5);
        } AIO_CATCH {
            CAUGHT(rows[self->i].code);
            CHECK(strstr(aio_caught(self)->message, "POST http://127.0.0.1"));
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Files: by path, by descriptor; a length that is known, and again on another connection. */
struct client_sends_files { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60], path[40]; int fd; };
SCENARIO(client_sends_files, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD, ECONNABORTED,
                                      AIO_EINCOMPLETE, EINVAL })
{
    AIO_BEGIN(client_sends_files);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/echo", aio_server_port(self->server));
    snprintf(self->path, sizeof self->path, "/tmp/aio-test-%d-XXXXXX", (int)getpid());
    self->fd = mkstemp(self->path);
    if (self->fd <= 0 || write(self->fd, "a file's bytes", 14) != 14) AIO_RAISE(EIO);
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .file = self->path));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "a file's bytes");
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .fd = self->fd));
    CHECK(self->r->times.reused);
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "a file's bytes");
    aio_response_release(self->r);
    self->r = NULL;
    if (ftruncate(self->fd, 0)) AIO_RAISE(EIO);
    AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .fd = self->fd));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_INT(self->text.length, 0);
    aio_response_release(self->r);
    self->r = NULL;
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .file = "/tmp/no such file/x\n"));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ENOENT);
        CHECK(strstr(aio_caught(self)->message, "/echo: its file cannot be read: /tmp/no such file/x\\x0a"));
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .file = "/tmp"));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
        CHECK(strstr(aio_caught(self)->message, "/echo: its file is not a regular one: /tmp"));
    } AIO_END_TRY;
    AIO_FINALLY;
        if (self->fd > 0) close(self->fd);
        unlink(self->path);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A program that has closed its standard input: a file's descriptor is then 0. */
struct client_sends_file_zero { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60], path[40]; int fd, kept, i; };
SCENARIO(client_sends_file_zero, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL /* 0 has to come back each time */)
{
    AIO_BEGIN(client_sends_file_zero);
    self->kept = fcntl(0, F_DUPFD_CLOEXEC, 200);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/echo", aio_server_port(self->server));
    snprintf(self->path, sizeof self->path, "/tmp/aio-test-%d-XXXXXX", (int)getpid());
    self->fd = mkstemp(self->path);
    if (self->fd <= 0 || write(self->fd, "a file's bytes", 14) != 14) AIO_RAISE(EIO);
    REQUIRE(self->session = aio_session_open());
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    AIO_AWAIT(self->text, aio_response_read(self->r)); /* there is a connection now */
    aio_response_release(self->r);
    self->r = NULL;
    for (; self->i < 3; self->i++) { /* as it is, compressed, in chunks */
        close(0);
        AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .file = self->path,
                                           .compress = self->i == 1 ? AIO_CODING_GZIP : 0, .chunked = self->i == 2));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_BYTES(self->text.data, self->text.length, "a file's bytes");
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        if (self->fd > 0) close(self->fd);
        unlink(self->path);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
        if (self->kept > 0) dup2(self->kept, 0);
        if (self->kept > 0) close(self->kept);
    AIO_END;
}

/* A file that is cut while it is sent, as it is or compressed, is named. */
struct file_cut { char path[40]; int fd; };
static void cut_file(void *arg, int64_t done, int64_t total)
{
    const struct file_cut *file = (const struct file_cut *)arg;
    (void)total;
    if (done && ftruncate(file->fd, 0)) CHECK(false);
}
struct client_names_files { aio_task task; aio_server *server; aio_session *session; aio_response *r;
    char url[60], why[90]; struct file_cut file; int i; };
SCENARIO(client_names_files, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, ECONNABORTED, AIO_EINCOMPLETE,
                                      EINVAL, EIO }, .skip = KIND_SLICE)
{
    AIO_BEGIN(client_names_files);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/echo", aio_server_port(self->server));
    snprintf(self->file.path, sizeof self->file.path, "/tmp/aio-test-%d-XXXXXX", (int)getpid());
    self->file.fd = mkstemp(self->file.path);
    if (self->file.fd <= 0) AIO_RAISE(EIO);
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (; self->i < 2; self->i++) {
        if (ftruncate(self->file.fd, 1 << 20)) AIO_RAISE(EIO);
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .file = self->file.path,
                                               .compress = self->i ? AIO_CODING_GZIP : 0, .on_sent = cut_file,
                                               .progress_arg = &self->file));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_EINCOMPLETE);
            if (self->i) snprintf(self->why, sizeof self->why, "its file ended before its length: %s", self->file.path);
            else snprintf(self->why, sizeof self->why, "its file %s: sendfile: after ", self->file.path);
            CHECK(strstr(aio_caught(self)->message, self->why));
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        if (self->file.fd > 0) close(self->file.fd);
        unlink(self->file.path);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Who reads slowly slows the producer down. */
static char produced_block[65537];
struct client_producer_waits { aio_task task; aio_server *server; aio_session *session; aio_response *r;
    struct pieces from; size_t size; char url[60]; };
SCENARIO(client_producer_waits, .may = CLIENT_MAY, .skip = KIND_SLICE | KIND_CALL /* 10 MB; client_produces has them */)
{
    enum { BLOCKS = 160 };
    AIO_BEGIN(client_producer_waits);
    memset(produced_block, 'x', sizeof produced_block - 1);
    self->size = (size_t)BLOCKS * (sizeof produced_block - 1);
    self->from.text = produced_block;
    self->from.step = sizeof produced_block - 1;
    self->from.times = BLOCKS - 1;
    AIO_AWAIT(self->server, aio_start_server(slow_taker, &self->size, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .timeout = { .total = 4 },
            .producer = { .next = pieces_next, .arg = &self->from, .length = (int64_t)self->size }));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK_STR(aio_caught(self)->phase, "send");
        CHECK(self->from.asked < BLOCKS / 2); /* what sockets hold, and 64 KiB */
    } AIO_END_TRY;
    self->from.asked = 0;
    self->from.times = BLOCKS - 1;
    self->from.at = 0;
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .timeout = { .sock_read = 3 },
            .producer = { .next = pieces_next, .arg = &self->from, .length = (int64_t)self->size }));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT); /* it counts from the last byte on */
        CHECK_STR(aio_caught(self)->phase, "headers");
        CHECK_INT(self->from.asked, BLOCKS + 1);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* An answer before the body is through is the answer; the producer is ended with it, or with the session. */
struct client_early_answer { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    struct pieces from; int i; char url[60]; aio_future *closed; };
SCENARIO(client_early_answer, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_early_answer);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    for (self->i = 0; self->i < 2; self->i++) {
        script_says(&the_script, "HTTP/1.1 413 Large\r\nContent-Length: 5\r\n\r\nhello", END_STAY);
        self->session = aio_session_open();
        REQUIRE(self->session);
        memset(&self->from, 0, sizeof self->from);
        self->from.text = "abc";
        self->from.step = 3;
        self->from.stuck = true;
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url,
                                            .producer = { pieces_next, NULL, &self->from, 0 }));
        CHECK_INT(self->r->status, 413);
        if (self->i == 0) {
            AIO_AWAIT(self->text, aio_response_read(self->r));
            CHECK_BYTES(self->text.data, self->text.length, "hello");
            CHECK_INT(aio_session_busy(self->session) + aio_session_idle(self->session), 0);
            aio_response_release(self->r);
            self->r = NULL;
        }
        self->closed = aio_session_close(self->session);
        self->session = NULL;
        AIO_AWAIT(self->closed);
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* The total deadline ends what still goes up after an early answer, though nobody reads: a producer that is stuck, and
 * bytes that the server does not take. */
struct says_early { aio_task task; aio_stream *stream; const char *const *says; aio_text text; };
static AIO_CORO(says_early)
{
    AIO_BEGIN(says_early);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    for (; *self->says; self->says++) {
        aio_stream_write(self->stream, *self->says, strlen(*self->says));
        AIO_AWAIT(aio_sleep(1));
    }
    AIO_AWAIT(aio_sleep(60));
    AIO_END;
}
static void *says_early_handler(aio_stream *stream, void *arg)
{
    return AIO_CALL(says_early, .stream = stream, .says = (const char *const *)arg);
}
static const char *const early_answer[] = { "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello", NULL };
/* After a refusal the rest of a body in memory, or of a file, is not sent, and the connection goes. */
static const char *const early_refusal[] = { "HTTP/1.1 413 Large\r\nContent-Length: 5\r\n\r\nhello", NULL };
struct client_refused_early { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char *big; uint64_t sent; int i, fd; char url[60], path[40]; };
SCENARIO(client_refused_early, .may = CLIENT_MAY, .skip = KIND_SLICE /* 8 MB */)
{
    AIO_BEGIN(client_refused_early);
    self->big = (char *)aio__calloc(8000000);
    strcpy(self->path, "/tmp/aio-test-refused-XXXXXX");
    self->fd = mkstemp(self->path);
    unlink(self->path);
    REQUIRE(self->big && self->fd >= 0 && ftruncate(self->fd, 8000000) == 0);
    AIO_AWAIT(self->server, aio_start_server(says_early_handler, (void *)(uintptr_t)early_refusal, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < 2; self->i++) {
        if (self->i == 0) AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .data = self->big,
                                                              .data_length = 8000000, .borrow_data = true));
        else AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .fd = self->fd));
        CHECK_INT(self->r->status, 413);
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_BYTES(self->text.data, self->text.length, "hello");
        CHECK_INT(aio_session_busy(self->session) + aio_session_idle(self->session), 0);
        self->sent = aio_response_bytes_sent(self->r);
        CHECK(self->sent > aio_response_request_head(self->r).length && self->sent < 8000000);
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        if (self->fd > 0) close(self->fd); /* the response was its last user */
        aio__free(self->big);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

struct client_late_upload { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    struct pieces from; char *big; int i; char url[60]; };
SCENARIO(client_late_upload, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_ETIMEOUT, AIO_EDISCONNECTED, AIO_EPAYLOAD },
         .skip = KIND_SLICE /* 8 MB */)
{
    AIO_BEGIN(client_late_upload);
    self->big = (char *)aio__calloc(8000000);
    REQUIRE(self->big);
    AIO_AWAIT(self->server, aio_start_server(says_early_handler, (void *)(uintptr_t)early_answer, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < 2; self->i++) {
        memset(&self->from, 0, sizeof self->from);
        self->from.stuck = true;
        if (self->i == 0) AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .timeout = { .total = 5 },
                                                              .producer = { pieces_next, NULL, &self->from, 0 }));
        else AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .timeout = { .total = 5 },
                                                 .data = self->big, .data_length = 8000000, .borrow_data = true));
        CHECK_INT(self->r->status, 200);
        CHECK_INT(aio_session_busy(self->session), 1);
        AIO_AWAIT(aio_sleep(4));
        CHECK_INT(aio_session_busy(self->session), 1);
        AIO_AWAIT(aio_sleep(4));
        CHECK_INT(aio_session_busy(self->session) + aio_session_idle(self->session), 0);
        CHECK_INT(self->from.ended, self->i == 0);
        AIO_TRY {
            AIO_AWAIT(self->text, aio_response_read(self->r));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ETIMEOUT);
            CHECK(strstr(aio_caught(self)->message, "`total` is 5 s"));
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        aio__free(self->big);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Limits of the time between two reads say nothing of a user who reads slowly. */
struct client_reads_later { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    size_t count; char url[60]; };
static const char *const three_pieces[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "hello", "world", NULL
};
SCENARIO(client_reads_later, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_ETIMEOUT, AIO_EDISCONNECTED, AIO_EPAYLOAD })
{
    AIO_BEGIN(client_reads_later);
    AIO_AWAIT(self->server, aio_start_server(says_early_handler, (void *)(uintptr_t)three_pieces, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .timeout = { .sock_read = 3 }));
    for (self->count = 0; self->count < 5; self->count += self->text.length)
        AIO_AWAIT(self->text, aio_response_read_chunk(self->r));
    AIO_AWAIT(aio_sleep(10));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "world");
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A read of the body that was given up does not end the connection: the next one has all of it. */
struct client_read_given_up { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    int i; char url[60]; };
SCENARIO(client_read_given_up, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_ETIMEOUT, AIO_EDISCONNECTED, AIO_EPAYLOAD })
{
    AIO_BEGIN(client_read_given_up);
    AIO_AWAIT(self->server, aio_start_server(says_early_handler, (void *)(uintptr_t)three_pieces, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->text, aio_wait_for(aio_response_read(self->r), 0.3));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ETIMEOUT);
        } AIO_END_TRY;
        CHECK_INT(aio_session_busy(self->session), 1);
    }
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "helloworld");
    CHECK_INT(aio_session_idle(self->session), 1);
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* What goes up after the answer has begun does not lead back to the wait for it. */
struct client_sent_after_answer { aio_task task; aio_server *server; aio_session *session; aio_response *r;
    aio_text text; struct pieces from; char url[60]; };
SCENARIO(client_sent_after_answer, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_ETIMEOUT, AIO_EDISCONNECTED,
                                            AIO_EPAYLOAD })
{
    AIO_BEGIN(client_sent_after_answer);
    AIO_AWAIT(self->server, aio_start_server(says_early_handler, (void *)(uintptr_t)early_answer, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    self->from.text = "abc";
    self->from.step = 3;
    self->from.delay = 2;
    AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .timeout = { .sock_read = 5 },
                                        .producer = { pieces_next, NULL, &self->from, 0 }));
    CHECK_INT(self->from.at, 0);
    AIO_AWAIT(aio_sleep(10));
    CHECK_INT(self->from.at, 3);
    CHECK_INT(aio_session_busy(self->session), 1);
    AIO_TRY {
        AIO_AWAIT(self->text, aio_response_read(self->r));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK_STR(aio_caught(self)->phase, "body");
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Between two reads nobody is cancelled: that the total of a request has passed, or its session was closed, is what the
 * next read says. */
struct client_between_reads { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    struct pieces from; size_t count; int i; char url[60]; };
SCENARIO(client_between_reads, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_ETIMEOUT, AIO_EDISCONNECTED, AIO_EPAYLOAD,
                                        AIO_ERUNTIME })
{
    AIO_BEGIN(client_between_reads);
    AIO_AWAIT(self->server, aio_start_server(says_early_handler, (void *)(uintptr_t)three_pieces, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < 2; self->i++) {
        memset(&self->from, 0, sizeof self->from);
        self->from.stuck = true;
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .timeout = { .total = 5 },
                                            .producer = { pieces_next, NULL, &self->from, 0 }));
        for (self->count = 0; self->count < 5; self->count += self->text.length)
            AIO_AWAIT(self->text, aio_response_read_chunk(self->r));
        if (self->i == 0) AIO_AWAIT(aio_sleep(8));
        else AIO_AWAIT(aio_session_close(self->session));
        if (self->i == 1) self->session = NULL;
        CHECK(self->from.ended);
        AIO_TRY {
            AIO_AWAIT(self->text, aio_response_read(self->r));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(self->i == 0 ? AIO_ETIMEOUT : AIO_ERUNTIME);
            CHECK(strstr(aio_caught(self)->message, self->i == 0 ? "`total` is 5 s" : "the session was closed"));
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A session that closes ends an upload that stands in its producer, before an answer and after it. */
struct client_upload_closed { aio_task task; aio_server *servers[2]; aio_session *session; aio_response_task *post;
    aio_future *closed; struct pieces from; int i; char url[60]; };
SCENARIO(client_upload_closed, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_ETIMEOUT, AIO_EDISCONNECTED, AIO_EPAYLOAD,
                                        AIO_ERUNTIME })
{
    static const char *const nothing[] = { NULL };
    AIO_BEGIN(client_upload_closed);
    for (self->i = 0; self->i < 2; self->i++) {
        memset(&self->from, 0, sizeof self->from);
        self->from.stuck = true;
        AIO_AWAIT(self->servers[self->i], aio_start_server(says_early_handler,
            (void *)(uintptr_t)(self->i ? early_answer : nothing), "127.0.0.1", 0));
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->servers[self->i]));
        REQUIRE(self->session = aio_session_open());
        self->post = aio_create_task(aio_session_post(self->session, self->url, .timeout = { .total = AIO_UNLIMITED },
                                                      .producer = { pieces_next, NULL, &self->from, 0 }));
        REQUIRE(self->post);
        AIO_AWAIT(aio_sleep(1));
        CHECK_INT(self->from.asked, 1);
        CHECK_INT(aio_future_done(self->post), self->i);
        CHECK(!self->from.ended);
        self->closed = aio_session_close(self->session);
        self->session = NULL;
        AIO_AWAIT(self->closed);
        CHECK(self->from.ended);
        AIO_AWAIT(aio_sleep(0));
        REQUIRE(aio_future_done(self->post));
        if (self->i) aio_response_release(self->post->result);
        else CHECK_INT(aio_future_exception(self->post)->code, AIO_ERUNTIME);
        aio_unref(self->post);
        self->post = NULL;
    }
    AIO_FINALLY;
        if (self->post && aio_future_done(self->post) && !aio_future_exception(self->post))
            aio_response_release(self->post->result);
        else if (self->post) aio_task_cancel(self->post);
        aio_unref(self->post);
        AIO_AWAIT(aio_session_close(self->session));
        for (self->i = 0; self->i < 2; self->i++) {
            aio_server_abort_clients(self->servers[self->i]);
            if (self->servers[self->i]) AIO_AWAIT(aio_server_wait_closed(self->servers[self->i]));
        }
    AIO_END;
}

/* A kept connection that dies under the second request: it is made again if its body can be, and is the same. */
static int forgetful_served;
struct forgetful { aio_task task; aio_stream *stream; aio_text text; int i; };
static AIO_CORO(forgetful)
{
    AIO_BEGIN(forgetful);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
        } AIO_CATCH {
            if (aio_caught(self)->code == AIO_EINCOMPLETE) AIO_RETURN(); /* the client has enough */
            AIO_RERAISE();
        } AIO_END_TRY;
        if (memmem(self->text.data, self->text.length, "PUT", 3))
            AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "0\r\n\r\n", 5));
        if (self->i == 1) AIO_RETURN();
        forgetful_served++;
        aio_stream_write(self->stream, HEAD_5 "hello", strlen(HEAD_5 "hello"));
    }
    AIO_END;
}
static void *forgetful_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(forgetful, .stream = stream);
}
struct client_rewinds { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    struct pieces from; size_t i; char url[60]; };
SCENARIO(client_rewinds, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EINCOMPLETE,
                                  ECONNABORTED, AIO_ETIMEOUT })
{
    static const struct { bool can, once; int code; } rows[] = {
        { true, false, 0 }, { true, true, AIO_EDISCONNECTED }, { false, false, AIO_EDISCONNECTED },
    };
    AIO_BEGIN(client_rewinds);
    AIO_AWAIT(self->server, aio_start_server(forgetful_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        forgetful_served = 0;
        self->session = aio_session_open();
        REQUIRE(self->session);
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        aio_response_release(self->r);
        self->r = NULL;
        memset(&self->from, 0, sizeof self->from);
        self->from.text = "abc";
        self->from.step = 2;
        self->from.rewound = rows[self->i].once;
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .producer = {
                pieces_next, rows[self->i].can ? pieces_rewind : NULL, &self->from, 0 }));
            CHECK_INT(rows[self->i].code, 0);
            CHECK_INT(self->from.rewound, 1);
            CHECK_INT(forgetful_served, 2);
        } AIO_CATCH {
            CAUGHT(rows[self->i].code);
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
        AIO_AWAIT(aio_session_close(self->session));
        self->session = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

static int client_code(aio_loop *loop, void *awaitable) { return aio_loop_run_until_complete(loop, awaitable, NULL); }

/* A head grows, at each of its bytes, or is none: without memory nothing of it is sent. */
struct head_row {
    const char *method, *url, *headers, *cookies, *proxy, *type, *jar;
    aio_auth auth;
    int version;
    bool expects, closes;
};
static const struct head_row head_rows[] = {
    { .method = "GET", .url = "http://a.test/a/path?and=a+query" },
    { .method = "POST", .url = "http://a.test:81/", .headers = "X-A\0b\0Connection\0close", .type = "text/plain",
      .expects = true },
    { .method = "GET", .url = "http://[::1]/", .version = AIO_HTTP_1_0 },
    { .method = "GET", .url = "http://a.test/", .cookies = "a\0b\0c\0d", .jar = "e=f" },
    { .method = "GET", .url = "http://a.test/", .jar = "e=f; Max-Age=9" },
    { .method = "GET", .url = "http://us%20er:pass@a.test/", .closes = true },
    { .method = "GET", .url = "http://a.test/", .proxy = "http://u:p@p.test" },
    { .method = "CONNECT", .url = "http://a.test/" },
    { .method = "PUT", .url = "http://a.test/", .auth = { .bearer = "token" } },
    { .method = "GET", .url = "http://a.test/", .auth = { .user = "user", .password = "pass" } },
};

static void head_set(struct aio__requesting *f, const struct head_row *row)
{
    f->method = row->method;
    f->url = row->url;
    f->headers = row->headers;
    f->header_count = row->headers ? 2 : 0;
    f->given = row->headers != NULL;
    f->cookies = row->cookies;
    f->cookie_count = row->cookies ? 2 : 0;
    f->proxy = row->proxy;
    f->content_type = row->type;
    f->data = row->type ? aio__text("the body", 8) : aio__text(NULL, 0);
    f->auth = row->auth;
    f->version = row->version;
    f->expects = row->expects;
}

/* The head again, in a buffer of this many bytes, with each of its allocations failing in turn. */
static void head_grows(aio__exchange *x, const struct aio__requesting *f, aio_text whole, size_t room)
{
    bool written = false;
    for (long n = 1; !written && n < 20; n++) {
        aio__free(x->out.data);
        memset(&x->out, 0, sizeof x->out);
        x->out.data = (char *)aio__malloc(room);
        x->out.capacity = room;
        seam.fail_alloc = seam.allocations + n;
        written = aio__request_head(x, f);
        if (!CHECK_INT(!written, seam.touched != 0)) printf("# %s: %zu, %ld\n", f->url, room, n);
        seam.fail_alloc = seam.touched = 0;
    }
    CHECK(written);
    CHECK_BYTES(x->out.data, x->out.end, whole.data, whole.length);
}

TEST(client_head_without_memory)
{
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    for (size_t i = 0; i < sizeof head_rows / sizeof *head_rows; i++) {
        const struct head_row *row = &head_rows[i];
        const char *reason;
        struct aio__requesting f;
        memset((void *)&f, 0, sizeof f);
        aio_cookie_jar *jar = row->jar ? aio_cookie_jar_open() : NULL;
        f.session = aio_session_open(.cookie_jar = jar, .force_close = row->closes);
        aio__operation *op = aio__operation_open(f.session);
        aio__reply *r = aio__reply_open(op);
        head_set(&f, row);
        if (CHECK_INT(aio__exchange_prepare(&r->x, &f, &reason), 0)) {
            if (jar) CHECK_INT(aio_cookie_jar_update(jar, &r->x.url, row->jar, strlen(row->jar), NULL), 0);
            CHECK(aio__request_head(&r->x, &f));
            aio_text whole = aio__text(aio__strndup(r->x.out.data, r->x.out.end), r->x.out.end);
            for (size_t room = 1; room < whole.length; room++) head_grows(&r->x, &f, whole, room);
            aio_text_clear(&whole);
        }
        aio__reply_unref(r);
        aio__operation_unref(op);
        CHECK_INT(client_code(loop, aio_session_close(f.session)), 0);
        aio_cookie_jar_unref(jar);
    }
    aio_loop_free(loop);
}

TEST(client_bad_arguments)
{
    static const char *const odd[] = { "X-A", NULL }, *const split[] = { "X-A", "a\r\nB: c", NULL },
                      *const framing[] = { "Content-Length", "3", NULL },
                      *const hosts[] = { "Host", "a", "X", "y", "host", "a", NULL },
                      *const host[] = { "Host", "a", NULL };
    aio_headers fields;
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    memset(&fields, 0, sizeof fields);
    aio_session *s = aio_session_open(.limit = 1);
    CHECK(s);
    CHECK_INT(client_code(loop, aio_session_get(NULL, "http://x/")), EINVAL);
    CHECK_INT(client_code(loop, aio_session_get(s, NULL)), EINVAL);
    CHECK_INT(client_code(loop, aio_session_get(s, "nonsense")), AIO_EURL);
    CHECK_INT(client_code(loop, aio_session_get(s, "ftp://x/")), AIO_EURL);
    CHECK_INT(client_code(loop, aio_session_get(s, "http://x/", .headers = odd)), EINVAL);
    CHECK_INT(client_code(loop, aio_session_get(s, "http://x/", .headers = split)), EINVAL);
    CHECK_INT(client_code(loop, aio_session_get(s, "http://x/", .headers = framing)), EINVAL);
    CHECK_INT(client_code(loop, aio_session_get(s, "http://x/", .headers = hosts)), EINVAL);
    CHECK_INT(aio_headers_add(&fields, "HOST", "b"), 0);
    CHECK_INT(client_code(loop, aio_session_get(s, "http://x/", .headers = host, .header_fields = &fields)), EINVAL);
    for (int i = 0; i < 2; i++) {
        aio_headers_clear(&fields);
        CHECK_INT(aio_headers_add(&fields, i ? "content-length" : "Transfer-encoding", i ? "3" : "chunked"), 0);
        CHECK_INT(client_code(loop, aio_session_get(s, "http://x/", .header_fields = &fields)), EINVAL);
    }
    aio_headers_clear(&fields);
    CHECK(!aio_session_open(.headers = hosts) && errno == EINVAL);
    CHECK_INT(client_code(loop, aio_session_get(s, "http://x/", .params = odd)), EINVAL);
    CHECK_INT(client_code(loop, aio_session_get(s, "http://x/", .timeout = { .total = NAN })), EINVAL);
    CHECK_INT(client_code(loop, aio_session_get(s, "http://x/", .timeout = { .sock_read = -3 })), EINVAL);
    CHECK_INT(client_code(loop, aio_session_request(s, "GET /", "http://x/")), EINVAL);
    CHECK_INT(client_code(loop, aio_session_request(s, "A2345678901234567890123456789012", "http://x/")), EINVAL);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .data_length = 3)), EINVAL);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .json_text = "1", .file = "/tmp/x")), EINVAL);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .fd = 3, .file = "/tmp/x")), EINVAL);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .fd = -1)), EINVAL);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .producer = { .length = -1 })), EINVAL);
    CHECK_INT(client_code(loop, aio_response_read(NULL)), EINVAL);
    aio_response_release(NULL);
    aio_response_close(NULL);
    CHECK(!aio_session_open(.headers = split) && errno == EINVAL);
    CHECK(!aio_session_open(.base_url = "nonsense") && errno == AIO_EURL);
    CHECK(!aio_session_open(.limit = -2) && errno == EINVAL);
    CHECK_INT(client_code(loop, aio_session_close(NULL)), 0);
    CHECK_INT(client_code(loop, aio_session_close(s)), 0);
    aio_loop_free(loop);
}

/* A session's .raise_for_status is that of all its requests; .max_line_size and .max_headers bound its responses. */
struct client_session_limits { aio_task task; aio_server *server; aio_session *session; aio_response *r; char url[60];
    size_t i; };
SCENARIO(client_session_limits, .may = CLIENT_MAY)
{
    static const struct { const char *says; int code; const char *why; } rows[] = {
        { "HTTP/1.1 399 A\r\nA: 1\r\nContent-Length: 0\r\n\r\n", 0, NULL },
        { "HTTP/1.1 400 A\r\nContent-Length: 0\r\n\r\n", AIO_ESTATUS, "400" },
        { "HTTP/1.1 200 12345678\r\nContent-Length: 0\r\n\r\n", AIO_ELIMIT, "the start line is too long" },
        { "HTTP/1.1 200 A\r\nA: 1\r\nB: 2\r\nContent-Length: 0\r\n\r\n", AIO_ELIMIT, "the head has too many fields" },
    };
    AIO_BEGIN(client_session_limits);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.raise_for_status = true, .max_line_size = 20, .max_headers = 2));
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        script_says(&the_script, rows[self->i].says, END_CLOSE);
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
            CHECK_INT(0, rows[self->i].code);
        } AIO_CATCH {
            CAUGHT(rows[self->i].code);
            CHECK(strstr(aio_caught(self)->message, rows[self->i].why));
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
    }
    CHECK_INT(aio_session_busy(self->session), 0);
    CHECK_INT(self->session->connector->origin_count, 0); /* with its last connection an origin is forgotten */
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* .max_field_size bounds a line of the head; .read_bufsize what is read ahead of who does not read. */
struct client_bounds { aio_task task; aio_server *server; aio_session *session; aio_response *r; char url[60]; size_t i;
    char says[65536]; };
SCENARIO(client_bounds, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_bounds);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.max_field_size = 20, .read_bufsize = 1024));
    for (self->i = 0; self->i < 2; self->i++) {
        script_says(&the_script, self->i ? "HTTP/1.1 200 OK\r\nA: 45678901234567890\r\n\r\n"
                                         : "HTTP/1.1 200 OK\r\nA: 456789012345678901\r\n\r\n", END_CLOSE);
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
            CHECK_INT(self->i, 1);
        } AIO_CATCH_CODE(AIO_ELIMIT) {
            CHECK_INT(self->i, 0);
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
    }
    memset(self->says, 'x', sizeof self->says - 1);
    memcpy(self->says, "HTTP/1.1 200 OK\r\n\r\n", 19);
    script_says(&the_script, self->says, END_STAY);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    AIO_AWAIT(aio_sleep(1));
    ALWAYS(aio_stream_unread(aio__exchange_stream(&aio__reply_of(self->r)->x)).length <= 2 * 1024);
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A read that was called has its response, also if it begins after the release, or never does. */
static void *client_late_handler(aio_request *request, void *arg)
{
    return (void)arg, aio_request_respond(request, 200, .text = "{}");
}
struct client_reads_late { aio_task task; aio_server *server; aio_session *session; aio_response *r; void *calls[2];
    aio_future *never; char url[60], path[80]; int i, refs; };
SCENARIO(client_reads_late, .may = CLIENT_MAY)
{
    AIO_BEGIN(client_reads_late);
    AIO_AWAIT(self->server, aio_start_http_server(client_late_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    disk_name(self->path, sizeof self->path, "late");
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    self->refs = aio__reply_of(self->r)->refs;
    self->never = (aio_future *)aio_response_json(self->r);
    REQUIRE(self->never);
    CHECK_INT(aio__reply_of(self->r)->refs, self->refs + 1);
    aio_future_cancel(self->never);
    aio_unref(self->never);
    CHECK_INT(aio__reply_of(self->r)->refs, self->refs);
    self->calls[0] = aio_create_task(aio_response_text(self->r));
    self->calls[1] = aio_create_task(aio_response_save(self->r, self->path));
    CHECK_INT(aio__reply_of(self->r)->refs, self->refs + !!self->calls[0] + !!self->calls[1]);
    aio_response_release(self->r);
    self->r = NULL;
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT((aio_future *)aio_ref(self->calls[self->i]));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_EPAYLOAD);
            CHECK(strstr(aio_caught(self)->message, "the response was released"));
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        for (int i = 0; i < 2; i++) fd_end_task(self->calls[i]);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
        unlink(self->path);
    AIO_END;
}

/* What was given and is not valid is named, with the byte, but its value is not shown. */
TEST(client_says_what_was_given)
{
    static const char *const name[] = { "A", "1", "B(", "secret", NULL }, *const none[] = { "", "secret", NULL },
                      *const value[] = { "A", "1", "X-Token", "secret\n", NULL },
                      *const odd[] = { "A", "secret", "secret", NULL },
                      *const cookie[] = { "a", "1", "token", "sec;ret", NULL },
                      *const cookie_name[] = { "a b", "secret", NULL },
                      *const cookie_none[] = { "", "secret", NULL }, *const cookie_odd[] = { "a", NULL };
    static char long_value[4098];
    memset(long_value, 's', sizeof long_value - 1);
    const char *const cookie_long[] = { "a", long_value, NULL };
    const struct { aio_request_options how; const char *why; } rows[] = {
        { { .headers = name }, "header 2: a header name has a character that no token has, at byte 1" },
        { { .headers = none }, "header 1: a header name is empty" },
        { { .headers = value }, "header X-Token: a header value has a control character, at byte 6" },
        { { .headers = odd },
          "header 2: a header has no value: the list must alternate names and values, and end in NULL" },
        { { .cookies = cookie }, "cookie token: its value has a semicolon or a control character, at byte 3" },
        { { .cookies = cookie_name }, "a cookie's name is not a token, at byte 1" },
        { { .cookies = cookie_none }, "a cookie has no name" },
        { { .cookies = cookie_odd }, "cookie a has no value" },
        { { .cookies = cookie_long }, "cookie a: its name and value are longer than 4096 bytes" },
        { { .request_target = "/a b" }, "request_target is empty, or has a space or a control character, at byte 2" },
    };
    char wanted[200];
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *s = aio_session_open();
    for (size_t i = 0; s && i < sizeof rows / sizeof *rows; i++) {
        aio_future *f = (aio_future *)(void *)aio_session_request_with(s, "PUT", "http://u:secret@x/", &rows[i].how);
        snprintf(wanted, sizeof wanted, "PUT http://***@x/: %s", rows[i].why);
        if (!CHECK(f)) break;
        CHECK_INT(aio_future_exception(f)->code, EINVAL);
        CHECK_STR(aio_future_exception(f)->message, wanted);
        aio_unref(f);
    }
    CHECK_INT(client_code(loop, aio_session_close(s)), 0);
    aio_loop_free(loop);
}

TEST(client_loop_ends_first)
{
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    CHECK(aio_session_open(.limit = 1)); /* nobody closes it: it goes with its loop */
    CHECK_INT(client_code(loop, aio_response_raise_for_status(NULL)), EINVAL);
    aio_loop_free(loop);
}

/* Each option that is refused, and why. */
static int options_why(aio_loop *loop, aio_session *s, const aio_request_options *how, const char *why)
{
    char wanted[200];
    aio_future *f = (aio_future *)(void *)aio_session_request_with(s, "PUT", "http://x/", how);
    snprintf(wanted, sizeof wanted, "PUT http://x/: %s", why);
    if (!CHECK(f)) return 0;
    aio_ref(f);
    int code = client_code(loop, f);
    if (code) CHECK_STR(aio_future_exception(f)->message, wanted);
    aio_unref(f);
    return code;
}
TEST(client_options_refused)
{
    static const char *const odd[] = { "a", "1", "b", NULL }, *const hosts[] = { "Host", "a", "host", "b", NULL },
        *const authorization[] = { "authorization", "x", NULL }, *const cookie[] = { "COOKIE", "a=b", NULL },
        *const good[] = { "a", "b", NULL }, *const coded[] = { "content-encoding", "gzip", NULL };
    const struct { aio_request_options how; const char *why; } rows[] = {
        { { .headers = hosts }, "there is more than one Host" },
        { { .params = odd }, "params has a name without a value" },
        { { .data_length = 3 }, "no data, but a data_length" },
        { { .version = 12 }, "the version is neither AIO_HTTP_1_0 nor AIO_HTTP_1_1" },
        { { .request_target = "" }, "request_target is empty, or has a space or a control character, at byte 0" },
        { { .request_target = "*\x7f" }, "request_target is empty, or has a space or a control character, at byte 1" },
        { { .form = odd }, "form has a name without a value" },
        { { .fd = -1 }, "fd or the producer's length is negative" },
        { { .producer = { .length = -1 } }, "fd or the producer's length is negative" },
        { { .max_redirects = -1 }, "max_redirects is negative" },
        { { .auth = { .user = "a", .bearer = "b" } }, "auth has more than one of user, bearer and digest" },
        { { .auth = { .bearer = "b" }, .headers = authorization }, "auth and an Authorization exclude each other" },
        { { .auth = { .user = "b" }, .headers = authorization }, "auth and an Authorization exclude each other" },
        { { .cookies = good, .headers = cookie }, "cookies and a Cookie exclude each other" },
        { { .compress = AIO_CODING_RAW }, "compress is neither AIO_CODING_GZIP nor AIO_CODING_ZLIB" },
        { { .compress = AIO_CODING_ZLIB, .headers = coded }, "compress and a Content-Encoding exclude each other" },
        { { .timeout = { .total = -3 } }, "a timeout is not valid" },
        { { .timeout = { .connect = -3 } }, "a timeout is not valid" },
        { { .timeout = { .sock_connect = -3 } }, "a timeout is not valid" },
        { { .timeout = { .sock_read = -3 } }, "a timeout is not valid" },
        { { .expect100_timeout = -3 }, "a timeout is not valid" },
        { { .retry = { .attempts = -1 } }, "a number of retry is not valid" },
        { { .tls = { .server = true } }, "the TLS settings are a server's" },
    };
    const aio_json *json = (const aio_json *)(const void *)rows;
    const aio_request_options bodies[] = { { .data = "x" }, { .json = json }, { .json_text = "1" }, { .form = good },
        { .form_data = (aio_form *)(uintptr_t)rows }, { .file = "/x" }, { .fd = 3 },
        { .producer = { .next = pieces_next } } };
    enum { BODIES = sizeof bodies / sizeof *bodies };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *s = aio_session_open();
    for (size_t i = 0; s && i < sizeof rows / sizeof *rows; i++)
        if (!CHECK_INT(options_why(loop, s, &rows[i].how, rows[i].why), EINVAL)) printf("# row %d\n", (int)i);
    for (int i = 0; s && i < BODIES * BODIES; i++) {
        aio_request_options two = bodies[i / BODIES], one = bodies[i % BODIES];
        if (i / BODIES == i % BODIES) continue;
        if (one.data) two.data = one.data;
        if (one.json) two.json = one.json;
        if (one.json_text) two.json_text = one.json_text;
        if (one.form) two.form = one.form;
        if (one.form_data) two.form_data = one.form_data;
        if (one.file) two.file = one.file;
        if (one.fd) two.fd = one.fd;
        if (one.producer.next) two.producer = one.producer;
        CHECK_INT(options_why(loop, s, &two, "data, json, json_text, form, form_data, file, fd and producer exclude "
                                             "each other"), EINVAL);
    }
    CHECK_INT(client_code(loop, aio_session_close(s)), 0);
    aio_loop_free(loop);
}

/* A session has what it was given, or there is none: an option that is refused is EINVAL. */
TEST(client_session_options_refused)
{
    static const char *const odd[] = { "a", NULL }, *const hosts[] = { "Host", "a", "host", "b", NULL };
    const aio_session_options rows[] = {
        { .headers = odd }, { .headers = hosts }, { .proxy_headers = odd }, { .timeout = { .total = -3 } },
        { .timeout = { .connect = -3 } }, { .timeout = { .sock_connect = -3 } }, { .timeout = { .sock_read = -3 } },
        { .retry = { .attempts = -1 } }, { .max_redirects = -1 }, { .max_line_size = -1 }, { .max_field_size = -1 },
        { .max_headers = -1 }, { .version = 12 }, { .limit = -2 }, { .limit_per_host = -2 },
        { .keepalive_timeout = -3 }, { .happy_eyeballs_delay = -3 }, { .ttl_dns_cache = -3 },
        { .tls = { .server = true } },
    };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        errno = 0;
        if (!CHECK(!aio_session_open_with(&rows[i]) && errno == EINVAL)) printf("# row %d\n", (int)i);
    }
    aio_loop_free(loop);
}

static void *options_middleware(aio_client_request *request, void *arg)
{
    (void)arg;
    return aio_client_request_next(request);
}
/* Memory that ends without a word of its own. */
static void *options_malloc(size_t size)
{
    int before_it = errno;
    void *memory = seam_malloc(size);
    if (!memory) errno = before_it;
    return memory;
}
/* Without memory there is neither a session nor a connector, wherever it ends: ENOMEM says so. */
TEST(client_session_without_memory)
{
    static const char *const pairs[] = { "X-A", "b", NULL }, *const left_out[] = { "Accept", NULL },
        *const cookies[] = { "c", "d", NULL }, *const to[] = { "a:1", "b:2", NULL };
    static const aio_middleware list[] = { { options_middleware, NULL }, { NULL, NULL } };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio__os.malloc = options_malloc;
    for (int what = 0; what < 3; what++) {
        long n = 0;
        void *made = NULL;
        while (!made && ++n < 100) {
            seam.fail_alloc = seam.allocations + n;
            errno = 0;
            if (what == 2)
                made = aio_connector_open(.local_host = "127.0.0.1", .unix_path = "/x", .connect_to = to);
            else if (what == 1)
                made = aio_session_open(.base_url = "http://a.test/", .headers = pairs, .proxy_headers = pairs,
                    .skip_auto_headers = left_out, .cookies = cookies, .proxy = "http://p.test", .middlewares = list,
                    .auth = { .user = "u", .password = "p" }, .local_host = "127.0.0.1");
            else
                made = aio_session_open();
            int code = errno;
            seam.fail_alloc = seam.touched = 0;
            if (!made) CHECK_INT(code, ENOMEM);
        }
        CHECK(n > (what ? 5 : 1) && n < 100);
        if (what == 2) aio_connector_unref((aio_connector *)made);
        else CHECK_INT(client_code(loop, aio_session_close((aio_session *)made)), 0);
    }
    aio__os.malloc = seam_malloc;
    aio_loop_free(loop);
}

/* What a request's connection is opened with: all that session, connector and request say of it. */
TEST(client_connects_as_told)
{
    static const char *const pairs[] = { "X-A", "b", NULL }, *const to[] = { "a.test:", "127.0.0.1:9", NULL };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_connector *c = aio_connector_open(.family = AF_INET6, .local_host = "::1", .local_port = 99,
        .deny_private = true, .happy_eyeballs_delay = 3, .socket = { .keepalive_idle = 7 }, .connect_to = to);
    aio_session *s = aio_session_open(.connector = c, .read_bufsize = 1000, .proxy_headers = pairs);
    if (!CHECK(c && s)) return;
    for (int proxied = 0; proxied < 2; proxied++) {
        const char *reason = "";
        struct aio__requesting f;
        memset((void *)&f, 0, sizeof f);
        f.session = s;
        f.method = "GET";
        f.url = "http://a.test/";
        f.proxy = proxied ? "socks5://p.test" : NULL;
        aio__operation *op = aio__operation_open(s);
        aio__reply *r = aio__reply_open(op);
        op->limits[AIO__TIMEOUT_SOCK_CONNECT] = INT64_C(2000000000);
        if (CHECK_INT(aio__exchange_prepare(&r->x, &f, &reason), 0)) {
            struct aio__connect *made = (struct aio__connect *)(void *)aio__exchange_connect(&r->x);
            const aio_connect_options *o = &made->options;
            CHECK_STR(made->host, "127.0.0.1"); /* and a proxy is asked for that */
            CHECK_INT(made->port, 9);
            CHECK_STR(made->name, "a.test");
            CHECK(!o->tls && !o->tls_context && !o->proxy_tls_context && !o->proxy_digest);
            CHECK_INT(made->allowed, INT64_C(2000000000));
            CHECK_INT(made->delay, INT64_C(3000000000));
            CHECK_NEAR(o->connect_timeout, 2, 0.001);
            CHECK_NEAR(o->proxy_timeout, 2, 0.001);
            CHECK_INT(o->limit, 1000);
            CHECK_INT(o->family, AF_INET6);
            CHECK_STR(o->local_host, "::1");
            CHECK_INT(o->local_port, 99);
            CHECK_INT(o->socket.keepalive_idle, 7);
            CHECK(o->deny_private && o->resolver == aio__connector_options(c)->resolver);
            CHECK_STR(o->proxy, proxied ? "socks5://p.test" : NULL);
            CHECK(o->proxy_headers && !strcmp(o->proxy_headers[0], "X-A"));
            CHECK_PTR(made->phases, &op->phases);
            made->task.future.state = AIO__DONE; /* it is not awaited */
            aio_unref(made);
        }
        aio__reply_unref(r);
        aio__operation_unref(op);
    }
    CHECK_INT(client_code(loop, aio_session_close(s)), 0);
    aio_connector_unref(c);
    aio_loop_free(loop);
}

/* The whole head of a request, and what is made of the fields that it is given. */
struct head_case {
    struct aio__requesting f;
    const char *jar, *head; /* from the first line's end on */
    bool closes, upgrades, expects, secret, credited;
};
#define HEAD_ACCEPT "Accept: */*\r\n"
#define HEAD_AGENT "User-Agent: aio.h\r\n"
#define HEAD_CODINGS "Accept-Encoding: gzip, deflate\r\n"
#define HEAD_AUTO HEAD_ACCEPT HEAD_AGENT HEAD_CODINGS
#define HEAD_TYPE "Content-Type: t/u\r\n"
#define HEAD_FIELDS(count_, list) .headers = list, .header_count = (count_), .given = true
#define HEAD_BODY .content_type = "t/u", .data = { "body", 4 }
static struct head_case head_cases[] = {
    { .head = HEAD_AUTO },
    { .f = { HEAD_FIELDS(2, "Connection\0Close\0X\0close") }, .head = "Connection: Close\r\nX: close\r\n" HEAD_AUTO,
      .closes = true },
    { .f = { HEAD_FIELDS(2, "Connection\0x\0X\0close") }, .head = "Connection: x\r\nX: close\r\n" HEAD_AUTO },
    { .f = { HEAD_FIELDS(1, "upgrade\0x") }, .head = "upgrade: x\r\n" HEAD_AUTO, .upgrades = true },
    { .f = { HEAD_FIELDS(1, "Authorization\0x") }, .head = "Authorization: x\r\n" HEAD_AUTO,
      .secret = true, .credited = true },
    { .f = { HEAD_FIELDS(1, "Cookie\0x") }, .head = "Cookie: x\r\n" HEAD_AUTO, .secret = true },
    { .f = { HEAD_FIELDS(1, "cookie\0x") }, .jar = "a=1", .head = "cookie: x\r\n" HEAD_AUTO, .secret = true },
    { .f = { HEAD_FIELDS(1, "Content-Language\0x") }, .head = "Content-Language: x\r\n" HEAD_AUTO },
    { .f = { HEAD_FIELDS(1, "Proxy-Authorization\0x") }, .head = HEAD_AUTO },
    { .f = { HEAD_FIELDS(1, "Proxy-Authorization\0x"), .proxy = "http://p.test" },
      .head = "Proxy-Authorization: x\r\n" HEAD_AUTO, .secret = true },
    { .f = { HEAD_FIELDS(2, "Expect\0x\0X\000100-continue"), HEAD_BODY, .method = "PUT" },
      .head = "Expect: x\r\nX: 100-continue\r\n" HEAD_AUTO HEAD_TYPE "Content-Length: 4\r\n" },
    { .f = { HEAD_FIELDS(1, "Expect\000100-Continue"), HEAD_BODY, .method = "PUT", .expects = true },
      .head = "Expect: 100-Continue\r\n" HEAD_AUTO HEAD_TYPE "Content-Length: 4\r\n", .expects = true },
    { .f = { HEAD_FIELDS(1, "Expect\000100-continue") }, .head = "Expect: 100-continue\r\n" HEAD_AUTO },
    { .f = { HEAD_BODY, .expects = true },
      .head = HEAD_AUTO HEAD_TYPE "Expect: 100-continue\r\nContent-Length: 4\r\n", .expects = true },
    { .f = { .method = "POST", .expects = true }, .head = HEAD_AUTO "Content-Length: 0\r\n" },
    { .f = { .method = "PATCH" }, .head = HEAD_AUTO "Content-Length: 0\r\n" },
    { .f = { .method = "DELETE" }, .head = HEAD_AUTO },
    { .f = { .method = "POSTS" }, .head = HEAD_AUTO },
    { .f = { .method = "CONNECT" }, .head = HEAD_AUTO, .upgrades = true },
    { .f = { .content_type = "t/u" }, .head = HEAD_AUTO HEAD_TYPE "Content-Length: 0\r\n" },
    { .f = { .method = "PUT", .skipped = "content-LENGTH", .skip_count = 1 }, .head = HEAD_AUTO },
    { .f = { .method = "PUT", .skipped = "content-LENGTH", .skip_count = 1, HEAD_BODY },
      .head = HEAD_AUTO HEAD_TYPE "Content-Length: 4\r\n" },
    { .f = { .skipped = "x\0accept\0user-agent", .skip_count = 3 }, .head = HEAD_CODINGS },
    { .f = { HEAD_FIELDS(1, "accept\0x") }, .head = "accept: x\r\n" HEAD_AGENT HEAD_CODINGS },
    { .f = { HEAD_FIELDS(1, "range\0x") }, .head = "range: x\r\n" HEAD_ACCEPT HEAD_AGENT },
    { .f = { .version = AIO_HTTP_1_0 }, .head = HEAD_AUTO "Connection: keep-alive\r\n" },
    { .f = { HEAD_FIELDS(1, "connection\0close"), .version = AIO_HTTP_1_0 },
      .head = "connection: close\r\n" HEAD_AUTO, .closes = true },
    { .f = { HEAD_FIELDS(3, "Content-Type\0a\0X-Content\0b\0Contents-a\0c"), .bare = true },
      .head = "X-Content: b\r\nContents-a: c\r\n" HEAD_AUTO },
    { .f = { HEAD_FIELDS(4, "Cookie\0a\0host\0b\0authorization\0c\0X\0d"), .foreign = true },
      .head = "X: d\r\n" HEAD_AUTO },
    { .f = { HEAD_FIELDS(2, "Authorization\0a\0X\0b"), .renamed = true }, .head = "X: b\r\n" HEAD_AUTO },
    { .f = { .cookies = "ab\0c\0x\0y", .cookie_count = 2 }, .jar = "a=1",
      .head = "Cookie: a=1; ab=c; x=y\r\n" HEAD_AUTO, .secret = true },
    { .f = { .cookies = "a\0c", .cookie_count = 1 }, .jar = "a=1", .head = "Cookie: a=c\r\n" HEAD_AUTO,
      .secret = true },
    { .f = { .cookies = "a\0c", .cookie_count = 1, .foreign = true }, .jar = "b=1",
      .head = "Cookie: b=1\r\n" HEAD_AUTO, .secret = true },
};

static void head_case_check(aio_session *session, struct head_case *row, size_t number)
{
    const char *reason;
    char whole[600];
    aio__operation *op = aio__operation_open(session);
    aio__reply *r = aio__reply_open(op);
    row->f.session = session;
    row->f.url = "http://a.test/";
    if (!row->f.method) row->f.method = "GET";
    if (CHECK_INT(aio__exchange_prepare(&r->x, &row->f, &reason), 0)) {
        bool connects = !strcmp(row->f.method, "CONNECT"), same; /* with the port (RFC 9110 9.3.6) */
        snprintf(whole, sizeof whole, "%s %s HTTP/1.%d\r\nHost: a.test%s\r\n%s\r\n", row->f.method,
                 connects ? "a.test:80" : row->f.proxy ? "http://a.test/" : "/", row->f.version != AIO_HTTP_1_0,
                 connects ? ":80" : "", row->head);
        same = CHECK_BYTES(r->x.out.data, r->x.out.end, whole);
        same = CHECK_INT(r->x.keep, !row->closes) && same;
        same = CHECK_INT(r->x.upgrades, row->upgrades) && same;
        same = CHECK_INT(r->x.expects, row->expects) && same;
        same = CHECK_INT(op->secret, row->secret) && same;
        if (!CHECK_INT(op->credited, row->credited) || !same) printf("# row %zu\n", number);
    }
    aio__reply_unref(r);
    aio__operation_unref(op);
}
TEST(client_heads)
{
    static const char *const skipped[] = { "user-agent", NULL };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    for (size_t i = 0; i < sizeof head_cases / sizeof *head_cases; i++) {
        aio_cookie_jar *jar = head_cases[i].jar ? aio_cookie_jar_open() : NULL;
        aio_session *s = aio_session_open(.cookie_jar = jar);
        aio_url url;
        CHECK_INT(aio_url_parse(&url, "http://a.test/", 14, NULL), 0);
        if (jar) CHECK_INT(aio_cookie_jar_update(jar, &url, head_cases[i].jar, strlen(head_cases[i].jar), NULL), 0);
        head_case_check(s, &head_cases[i], i);
        aio_url_clear(&url);
        CHECK_INT(client_code(loop, aio_session_close(s)), 0);
        aio_cookie_jar_unref(jar);
    }
    aio_session *left_out = aio_session_open(.skip_auto_headers = skipped, .force_close = true);
    struct head_case row = { .head = HEAD_ACCEPT HEAD_CODINGS "Connection: close\r\n", .closes = true };
    head_case_check(left_out, &row, 100);
    CHECK_INT(client_code(loop, aio_session_close(left_out)), 0);
    aio_loop_free(loop);
}
