/* What leaves and what came, byte for byte: heads of requests, and of all that is answered to them. */

/* Answers each head with its bytes. */
struct head_echo { aio_task task; aio_stream *stream; aio_text text, pieces[2]; char head[64]; };
static AIO_CORO(head_echo)
{
    AIO_BEGIN(head_echo);
    for (;;) {
        AIO_TRY {
            AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
        } AIO_CATCH {
            if (aio_caught(self)->code == AIO_EINCOMPLETE) AIO_RETURN();
            AIO_RERAISE();
        } AIO_END_TRY;
        snprintf(self->head, sizeof self->head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", self->text.length);
        self->pieces[0].data = self->head; /* one write: without TCP_NODELAY the second would wait in real time */
        self->pieces[0].length = strlen(self->head);
        self->pieces[1] = self->text;
        if (aio_stream_writelines(self->stream, self->pieces, 2)) break;
    }
    AIO_END;
}
static void *head_echo_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(head_echo, .stream = stream);
}

#define ALL_AUTO "Host", "ACCEPT", "User-Agent", "accept-encoding", "Content-Type", "Connection", "Content-Length", \
                 "Authorization", "Cookie"
static const char *const fid_none[] = { ALL_AUTO, NULL }, *const fid_params[] = { "a b", "1+", NULL },
    *const fid_agent[] = { "User-Agent", NULL }, *const fid_host[] = { "Host", "a.test", NULL },
    *const fid_coded[] = { "Host", "a.test", "Content-Encoding", "gzip", NULL };
static const char *const fid_fields[] = { "x-B", "1", "ACCEPT", "text/x", "X-a", "2", "hOST", "other", "x-B", "3",
                                        NULL };
#define FID_AUTO "Accept: */*\r\nUser-Agent: aio.h\r\nAccept-Encoding: gzip, deflate\r\n"
static const struct {
    const char *method, *path;
    aio_request_options options;
    const char *head;
} fid_rows[] = {
    { "GET", "/", { .skip_auto_headers = fid_none }, "GET / HTTP/1.1\r\n\r\n" },
    { "POST", "/", { .skip_auto_headers = fid_none }, "POST / HTTP/1.1\r\n\r\n" },
    { "GET", "/", { .skip_auto_headers = fid_none, .headers = fid_fields },
      "GET / HTTP/1.1\r\nx-B: 1\r\nACCEPT: text/x\r\nX-a: 2\r\nhOST: other\r\nx-B: 3\r\n\r\n" },
    { "GET", "/", { .skip_auto_headers = fid_agent, .headers = fid_fields },
      "GET / HTTP/1.1\r\nx-B: 1\r\nACCEPT: text/x\r\nX-a: 2\r\nhOST: other\r\nx-B: 3\r\n"
      "Accept-Encoding: gzip, deflate\r\n\r\n" },
    { "GET", "/a/../b", { .skip_auto_headers = fid_none, .request_target = "/a/../b#\xe4?x%zz" },
      "GET /a/../b#\xe4?x%zz HTTP/1.1\r\n\r\n" },
    { "OPTIONS", "/", { .skip_auto_headers = fid_none, .request_target = "*" }, "OPTIONS * HTTP/1.1\r\n\r\n" },
    { "GET", "/%7e/../b%2F?s=%2b+~#%zz", { .skip_auto_headers = fid_none, .encoded = true },
      "GET /%7e/../b%2F?s=%2b+~ HTTP/1.1\r\n\r\n" },
    { "GET", "/%7e/../b", { .skip_auto_headers = fid_none, .encoded = true, .params = fid_params },
      "GET /%7e/../b?a+b=1%2B HTTP/1.1\r\n\r\n" },
    { "GET", "/%7e/../b", { .skip_auto_headers = fid_none }, "GET /b HTTP/1.1\r\n\r\n" },
    { "GET", "/", { .skip_auto_headers = fid_none, .request_target = "http://b.test/c", .version = AIO_HTTP_1_1 },
      "GET http://b.test/c HTTP/1.1\r\n\r\n" },
    { "GET", "/", { .skip_auto_headers = fid_none, .version = AIO_HTTP_1_0 }, "GET / HTTP/1.0\r\n\r\n" },
    { "GET", "/", { .headers = fid_fields, .version = AIO_HTTP_1_0 },
      "GET / HTTP/1.0\r\nx-B: 1\r\nACCEPT: text/x\r\nX-a: 2\r\nhOST: other\r\nx-B: 3\r\n"
      "User-Agent: aio.h\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\r\n" },
    { "GET", "/", { .headers = fid_host }, "GET / HTTP/1.1\r\nHost: a.test\r\n" FID_AUTO "\r\n" },
    { "POST", "/", { .headers = fid_host },
      "POST / HTTP/1.1\r\nHost: a.test\r\n" FID_AUTO "Content-Length: 0\r\n\r\n" },
    { "PROPFIND", "/", { .headers = fid_host }, "PROPFIND / HTTP/1.1\r\nHost: a.test\r\n" FID_AUTO "\r\n" },
    /* compressed beforehand: its body, which the server takes for no head, is as it was given; the last one */
    { "PUT", "/", { .headers = fid_coded, .data = "coded", .data_length = 5 },
      "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Encoding: gzip\r\n" FID_AUTO
      "Content-Type: application/octet-stream\r\nContent-Length: 5\r\n\r\n" },
};
struct fidelity_heads { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; int i; };
SCENARIO(fidelity_heads, .may = CLIENT_MAY)
{
    AIO_BEGIN(fidelity_heads);
    AIO_AWAIT(self->server, aio_start_server(head_echo_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    for (self->i = 0; self->i < (int)(sizeof fid_rows / sizeof *fid_rows); self->i++) {
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d%s", aio_server_port(self->server),
                 fid_rows[self->i].path);
        AIO_AWAIT(self->r, aio_session_request_with(self->session, fid_rows[self->i].method, self->url,
                                                    &fid_rows[self->i].options));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_BYTES(self->text.data, self->text.length, fid_rows[self->i].head);
        aio_response_release(self->r);
        self->r = NULL;
    }
    CHECK_INT(aio_session_idle(self->session), 1);
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A session's choices are those of each request, which may take the version back; the rest of the head is as ever. */
struct fidelity_session { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; };
SCENARIO(fidelity_session, .may = CLIENT_MAY)
{
    static const char *const fields[] = { "b", "1", "A", "2", NULL }, *const more[] = { "c", "3", NULL };
    AIO_BEGIN(fidelity_session);
    AIO_AWAIT(self->server, aio_start_server(head_echo_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open(.skip_auto_headers = fid_none, .version = AIO_HTTP_1_0,
                                             .headers = fields));
    snprintf(self->url, sizeof self->url, "http://u:p@127.0.0.1:%d/", aio_server_port(self->server));
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .headers = more));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "GET / HTTP/1.0\r\nb: 1\r\nA: 2\r\nc: 3\r\n\r\n");
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .version = AIO_HTTP_1_1, .json_text = "{}"));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "PUT / HTTP/1.1\r\nb: 1\r\nA: 2\r\nContent-Length: 2\r\n\r\n");
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

static aio_text_task *fid_next(void *arg) { (void)arg; return NULL; }
static const char *const fid_bad_names[] = { "User Agent", NULL };
static const aio_request_options fid_bad[] = {
    { .version = 1 }, { .version = 20 }, { .request_target = "" }, { .request_target = "/a b" },
    { .request_target = "/\r\nX: y" }, { .request_target = "/\x7f" },
    { .version = AIO_HTTP_1_0, .producer = { .next = fid_next } },
};
struct fidelity_refused { aio_task task; aio_session *session; aio_response *r; int i; };
SCENARIO(fidelity_refused)
{
    AIO_BEGIN(fidelity_refused);
    CHECK(!aio_session_open(.version = 9));
    CHECK(!aio_session_open(.skip_auto_headers = fid_bad_names));
    REQUIRE(self->session = aio_session_open());
    for (self->i = 0; self->i < (int)(sizeof fid_bad / sizeof *fid_bad); self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_request_with(self->session, "POST", "http://127.0.0.1:1/",
                                                        &fid_bad[self->i]));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}
