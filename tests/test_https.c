/* HTTPS: our client's session against our server, both over TLS, with the certificates of test_tls.c. */
#ifndef AIO_NO_TLS

/* Answers with the request's body, in chunks of five bytes. */
struct secure_site { aio_task task; aio_request *request; aio_text body; size_t at; };
static AIO_CORO(secure_site)
{
    AIO_BEGIN(secure_site);
    AIO_AWAIT(self->body, aio_request_read(self->request));
    AIO_AWAIT(aio_request_start(self->request, 200));
    for (; self->at < self->body.length; self->at += 5) {
        size_t left;
        left = self->body.length - self->at;
        AIO_AWAIT(aio_request_chunk(self->request, self->body.data + self->at, left < 5 ? left : 5));
    }
    AIO_AWAIT(aio_request_end(self->request));
    AIO_END;
}
static void *secure_handler(aio_request *request, void *arg)
{
    if (strcmp(request->path.data, "/chunks")) return site_handler(request, arg);
    return AIO_CALL(secure_site, .request = request);
}

struct https {
    aio_task task; aio_tls_context *server_tls, *client_tls, *other_tls; aio_server *server;
    aio_session *session, *stranger; aio_response *r; aio_text text; char url[64], wanted[200];
    const aio_connection_info *info; aio_certificate *shown;
};
SCENARIO(https,
         .may = { EPIPE, ECONNRESET, AIO_EHTTP, ETIMEDOUT, AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EINCOMPLETE, AIO_ETLS })
{
    AIO_BEGIN(https);
    tls_setup();
    self->server_tls = tls_server("good", "http/1.1");
    self->client_tls = tls_client("ca", "http/1.1");
    self->other_tls = tls_client("otherca", "http/1.1");
    REQUIRE(self->server_tls && self->client_tls && self->other_tls);
    AIO_AWAIT(self->server, aio_start_http_server(secure_handler, NULL, "127.0.0.1", 0,
                                                  .tls_context = self->server_tls));
    self->session = aio_session_open(.tls_context = self->client_tls);
    self->stranger = aio_session_open(.tls_context = self->other_tls);
    REQUIRE(self->session && self->stranger);
    snprintf(self->url, sizeof self->url, "https://127.0.0.1:%d/chunks", aio_server_port(self->server));
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .timeout = { .total = 100 }));
    CHECK_INT(self->r->status, 200);
    CHECK(!self->r->times.reused);
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_INT(self->text.length, 0);
    aio_response_release(self->r);
    AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .data = "said under the seal", .data_length = 19));
    CHECK(self->r->times.reused);
    CHECK_INT(self->r->content_length, -1);
    CHECK(aio_headers_get(&self->r->headers, "Transfer-Encoding").length == 7);
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "said under the seal");
    self->info = aio_response_connection(self->r); /* which is back in the pool */
    REQUIRE(self->info && self->info->tls_version && self->info->tls_cipher);
    CHECK(!strncmp(self->info->tls_version, "TLSv1.", 6) && !self->info->tls_reused);
    self->shown = aio_response_peer_certificate(self->r);
    REQUIRE(self->shown);
    CHECK_INT(strlen(self->shown->fingerprint), 64);
    aio_response_release(self->r);
    self->r = NULL;
    CHECK_INT(aio_session_idle(self->session), 1);
    CHECK_INT(self->client_tls->session_count, 1); /* the next connection resumes it */
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_get(self->stranger, self->url));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ECERTIFICATE);
        snprintf(self->wanted, sizeof self->wanted, "GET %s: TLS handshake with 127.0.0.1: certificate verify failed: "
                 "unable to get local issuer certificate", self->url);
        CHECK_STR(aio_caught(self)->message, self->wanted);
        CHECK_STR(aio_caught(self)->phase, "TLS handshake");
    } AIO_END_TRY;
    CHECK_INT(aio_session_idle(self->session), 1);
    aio_server_abort_clients(self->server);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_session_idle(self->session), 0); /* it was watched, also after what TLS has sent in between */
    AIO_FINALLY;
        aio_certificate_free(self->shown);
        aio_response_release(self->r);
        aio_tls_context_unref(self->server_tls);
        aio_tls_context_unref(self->client_tls);
        aio_tls_context_unref(self->other_tls);
        AIO_AWAIT(aio_session_close(self->stranger));
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A client that shakes no hands is let go, and one that says no close_notify is not waited for longer than was asked. */
struct https_deadlines {
    aio_task task; aio_tls_context *server_tls, *client_tls; aio_server *server; aio_stream *plain, *mute;
    aio_text text; double began;
};
SCENARIO(https_deadlines, .may = { EPIPE, ECONNRESET, ETIMEDOUT, ENOTCONN, AIO_EINCOMPLETE, AIO_ETLS })
{
    AIO_BEGIN(https_deadlines);
    tls_setup();
    self->server_tls = tls_server("good", NULL);
    self->client_tls = tls_client("ca", NULL);
    REQUIRE(self->server_tls && self->client_tls);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls,
                                                  .tls_timeout = 3, .tls_shutdown_timeout = 4,
                                                  .keepalive_timeout = 2));
    AIO_AWAIT(self->plain, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        AIO_AWAIT(self->text, aio_stream_read(self->plain, 1)); /* the end, or a reset */
    } AIO_CATCH {
        if (aio_caught(self)->code != ECONNRESET) AIO_RERAISE();
    } AIO_END_TRY;
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 3, 0.1);
    AIO_AWAIT(self->mute, aio_open_connection("127.0.0.1", aio_server_port(self->server),
                                              .tls_context = self->client_tls));
    AIO_AWAIT(aio_sleep(2.5)); /* the server has said close_notify, and hears nothing */
    CHECK_INT(aio_server_client_count(self->server), 1);
    AIO_AWAIT(aio_sleep(3.2));
    CHECK_INT(aio_server_client_count(self->server), 1);
    AIO_AWAIT(aio_sleep(0.7));
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        aio_stream_abort(self->plain);
        aio_stream_abort(self->mute);
        aio_tls_context_unref(self->server_tls);
        aio_tls_context_unref(self->client_tls);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* ---- against a peer that lies under the seal ---- */

enum { HOSTILE_CLOSE, /* close_notify, as it should be */
       HOSTILE_CUT, /* the connection ends without one */
       HOSTILE_GARBAGE, /* a record that nobody has sealed */
       HOSTILE_ALERT, /* a fatal alert, sealed */
       HOSTILE_LATE, /* data behind close_notify */
       HOSTILE_UPDATES, /* KeyUpdates, then the rest */
       HOSTILE_BEGINS }; /* renegotiation, in TLS 1.2 */
#define HOSTILE_CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
#define HOSTILE_TO_END "HTTP/1.1 200 OK\r\n\r\nto the end"
static const struct hostile { const char *says; int fault, code; const char *body; } hostile_rows[] = {
    { "", HOSTILE_CLOSE, AIO_EDISCONNECTED, NULL },
    { "", HOSTILE_CUT, AIO_ETLS, NULL },
    { "HTTP/1.1 200 OK\r\nA: b\r\n", HOSTILE_CUT, AIO_ETLS, NULL }, /* a head without its end is taken from others */
    { HEAD_5 "hell", HOSTILE_CUT, AIO_ETLS, NULL },
    { HEAD_5 "hell", HOSTILE_CLOSE, AIO_EPAYLOAD, NULL },
    { HEAD_5 "hello", HOSTILE_CUT, 0, "hello" },
    { HOSTILE_CHUNKED, HOSTILE_CUT, AIO_ETLS, NULL },
    { HOSTILE_CHUNKED, HOSTILE_CLOSE, AIO_EPAYLOAD, NULL },
    { HOSTILE_CHUNKED "0\r\n\r\n", HOSTILE_CUT, 0, "abc" },
    { HOSTILE_TO_END, HOSTILE_CUT, AIO_ETLS, NULL },
    { HOSTILE_TO_END, HOSTILE_CLOSE, 0, "to the end" },
    { HOSTILE_TO_END, HOSTILE_LATE, 0, "to the end" },
    { HEAD_5 "he", HOSTILE_LATE, AIO_EPAYLOAD, NULL },
    { "", HOSTILE_GARBAGE, AIO_ETLS, NULL },
    { HEAD_5, HOSTILE_GARBAGE, AIO_ETLS, NULL },
    { HOSTILE_TO_END, HOSTILE_GARBAGE, AIO_ETLS, NULL },
    { HEAD_5 "he", HOSTILE_ALERT, AIO_ETLS, NULL },
    { HOSTILE_TO_END, HOSTILE_ALERT, AIO_ETLS, NULL },
    { HEAD_5 "he", HOSTILE_UPDATES, 0, "hello" },
    { HEAD_5 "he", HOSTILE_BEGINS, 0, "hello" }, /* which is refused by a warning, and ends the server's side */
};

/* The server's TLS is given a record that cannot be opened, and says so in one that can. */
static void hostile_alert(SSL *ssl, int fd)
{
    static const char broken[] = "\x17\x03\x03\x00\x20" "thirty-two bytes of nobody's....";
    char byte, *alert;
    BIO *in = SSL_get_rbio(ssl), *out = SSL_get_wbio(ssl), *record = BIO_new(BIO_s_mem());
    if (!record || !BIO_up_ref(in) || !BIO_up_ref(out)) return;
    SSL_set0_rbio(ssl, BIO_new_mem_buf(broken, sizeof broken - 1));
    SSL_set0_wbio(ssl, record);
    SSL_read(ssl, &byte, 1);
    long n = BIO_get_mem_data(record, &alert);
    CHECK(n > 0 && send(fd, alert, (size_t)n, MSG_NOSIGNAL) == n);
    SSL_set0_rbio(ssl, in);
    SSL_set0_wbio(ssl, out);
}

struct hostile_peer { aio_task task; aio_stream *stream; const struct hostile *row; int i; };
static AIO_CORO(hostile_peer)
{
    static const char data[] = "\x17\x03\x03\x00\x05" "llo..";
    AIO_BEGIN(hostile_peer);
    self->row = *(const struct hostile *const *)self->row;
    AIO_AWAIT(aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    aio_stream_write(self->stream, self->row->says, strlen(self->row->says));
    AIO_AWAIT(aio_stream_drain(self->stream));
    AIO_AWAIT(aio_sleep(1)); /* the client has read that */
    aio__tls *tls;
    tls = aio__tls_of(self->stream);
    if (self->row->fault == HOSTILE_LATE) aio__tls_close_notify(tls);
    if (self->row->fault == HOSTILE_LATE || self->row->fault == HOSTILE_GARBAGE)
        CHECK(send(aio_stream_fileno(self->stream), data, sizeof data - 1, MSG_NOSIGNAL) > 0);
    if (self->row->fault == HOSTILE_ALERT) hostile_alert(tls->ssl, aio_stream_fileno(self->stream));
    if (self->row->fault == HOSTILE_CUT) aio__tls_fail(tls);
    for (; self->row->fault == HOSTILE_UPDATES && self->i < 250; self->i++)
        if (!SSL_key_update(tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) || SSL_do_handshake(tls->ssl) != 1) break;
    if (self->i) aio_stream_write(self->stream, "llo", 3);
    if (self->row->fault == HOSTILE_BEGINS) {
        SSL_clear_options(tls->ssl, SSL_OP_NO_RENEGOTIATION);
        CHECK_INT(SSL_renegotiate(tls->ssl), 1);
        aio_stream_write(self->stream, "llo", 3);
    }
    AIO_TRY {
        if (self->row->fault == HOSTILE_LATE || self->row->fault >= HOSTILE_UPDATES)
            AIO_AWAIT(aio_stream_read(self->stream, 1)); /* the client has what it wants, and goes */
    } AIO_CATCH {
        if (self->row->fault != HOSTILE_BEGINS) AIO_RERAISE(); /* whose refusal comes, or the end before it */
    } AIO_END_TRY;
    AIO_END;
}
static void *hostile_handler(aio_stream *stream, void *arg)
{
    return AIO_CALL(hostile_peer, .stream = stream, .row = (const struct hostile *)arg);
}

/* What TLS has cut, broken or ended is an error where something is missing; and the connection is not kept. */
struct hostile_run { aio_task task; aio_tls_context *server_tls, *client_tls, *old_tls; aio_server *server;
    aio_session *session; struct get_url *get; const struct hostile *row; size_t i, end; char file[128]; };
static AIO_CORO(hostile_run)
{
    AIO_BEGIN(hostile_run);
    tls_setup();
    self->server_tls = tls_server("good", "http/1.1");
    self->client_tls = tls_client("ca", "http/1.1");
    self->old_tls = aio_tls_context_create(.ca_file = tls_file(self->file, "ca"), .max_version = "1.2");
    REQUIRE(self->server_tls && self->client_tls && self->old_tls);
    AIO_AWAIT(self->server, aio_start_server(hostile_handler, &self->row, "127.0.0.1", 0,
                                             .tls_context = self->server_tls));
    for (; self->i < self->end && self->i < sizeof hostile_rows / sizeof *hostile_rows; self->i++) {
        self->row = &hostile_rows[self->i];
        self->session = aio_session_open(.tls_context = self->row->fault == HOSTILE_BEGINS ? self->old_tls
                                                      : self->client_tls, .retry = { .no_resend = true });
        REQUIRE(self->session);
        self->get = AIO_CALL(get_url, .session = self->session);
        REQUIRE(self->get);
        snprintf(self->get->url, sizeof self->get->url, "https://127.0.0.1:%d/", aio_server_port(self->server));
        self->get = (struct get_url *)aio_create_task(self->get);
        REQUIRE(self->get);
        AIO_AWAIT((struct get_url *)aio_ref(self->get));
        CHECK_INT(self->get->code, self->row->code);
        if (self->row->body) CHECK_STR(self->get->body, self->row->body);
        AIO_AWAIT(aio_sleep(2));
        CHECK_INT(aio_session_busy(self->session), 0);
        CHECK_INT(aio_session_idle(self->session), self->row->fault == HOSTILE_UPDATES);
        aio_unref(self->get);
        self->get = NULL;
        AIO_AWAIT(aio_session_close(self->session));
        self->session = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        aio_tls_context_unref(self->server_tls);
        aio_tls_context_unref(self->client_tls);
        aio_tls_context_unref(self->old_tls);
        SERVER_END(self->server);
    AIO_END;
}

/* In parts: each of their ways is as often as long as there are rows. */
#define HOSTILE(name, first, last)                                                                                   \
    struct name { aio_task task; };                                                                                   \
    SCENARIO(name, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EINCOMPLETE,           \
                            ECONNABORTED, AIO_ETLS }, .skip = KIND_CALL | KIND_SLICE /* the test itself calls them */) \
    {                                                                                                                 \
        AIO_BEGIN(name);                                                                                              \
        AIO_AWAIT(AIO_CALL(hostile_run, .i = (first), .end = (last)));                                                \
        AIO_END;                                                                                                      \
    }
HOSTILE(https_hostile_heads, 0, 4)
HOSTILE(https_hostile_cuts, 4, 9)
HOSTILE(https_hostile_ends, 9, 14)
HOSTILE(https_hostile_bodies, 14, SIZE_MAX)
#endif
