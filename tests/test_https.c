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
#endif
