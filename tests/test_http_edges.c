/* HTTP where it is seldom: options of sessions and answers, limits, misuse, and ends that come early. */

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

struct edge_options {
    aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text; aio_headers fields;
    char base[64];
};
/* A handler that fails is answered for with status 500, and a body above the limit. */
SCENARIO(edge_options, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_ESTATUS, AIO_ELIMIT })
{
    static const char *const headers[] = { "X-S", "session", "X-R", "default", NULL };
    AIO_BEGIN(edge_options);
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
    AIO_AWAIT(self->r, aio_session_get(self->session, "/twice"));
    AIO_AWAIT(aio_response_raise_for_status(self->r));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "once");
    aio_response_close(self->r);
    AIO_AWAIT(self->r, aio_session_get(self->session, "/framing"));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "refused");
    aio_response_release(self->r);
    AIO_AWAIT(self->r, aio_session_get(self->session, "/short"));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "abcd");
    aio_response_release(self->r);
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

/* Twenty hosts one after the other with room for two connections: idle ones of other hosts give way. */
struct edge_hosts { aio_task task; aio_server *server; aio_session *session; struct get_url *get; int i; };
SCENARIO(edge_hosts, .may = CLIENT_MAY, .skip = KIND_CALL) /* the calls of twenty equal requests fail no other way */
{
    AIO_BEGIN(edge_hosts);
    AIO_AWAIT(self->server, aio_start_http_server(edge_handler, NULL, "0.0.0.0", 0));
    self->session = aio_session_open(.limit = 2);
    REQUIRE(self->session);
    for (self->i = 1; self->i <= 20; self->i++) {
        self->get = AIO_CALL(get_url, .session = self->session);
        REQUIRE(self->get);
        snprintf(self->get->url, sizeof self->get->url, "http://127.0.0.%d:%d/twice", self->i,
                 aio_server_port(self->server));
        self->get = aio_create_task(self->get);
        AIO_AWAIT((struct get_url *)aio_ref(self->get));
        CHECK_INT(self->get->status, 200);
        CHECK(aio_session_idle(self->session) <= 2);
        aio_unref(self->get);
        self->get = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A server that answers with a hundred 1xx responses; one that speaks, or hangs up, before it is asked. */
struct edge_early {
    aio_task task; aio_server *server; aio_session *session; struct get_url *get; char says[4000]; int i;
};
SCENARIO(edge_early, .may = CLIENT_MAY)
{
    AIO_BEGIN(edge_early);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    self->session = aio_session_open(.limit = 2, .force_close = true);
    REQUIRE(self->session);
    for (self->i = 0; self->i < 100; self->i++) strcat(self->says, "HTTP/1.1 103 Early\r\n\r\n");
    script_says(&the_script, self->says, END_STAY);
    self->get = get_task(self->session, aio_server_port(self->server), "/", no_timeouts);
    AIO_AWAIT((struct get_url *)aio_ref(self->get));
    CHECK_INT(self->get->code, AIO_ELIMIT);
    CHECK(strstr(self->get->message, "1xx"));
    CHECK_INT(aio_session_busy(self->session), 0);
    AIO_FINALLY;
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
        aio_server_abort_clients(self->server);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

TEST(edge_loop_ends_first)
{
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    CHECK(aio_session_open(.limit = 1)); /* nobody closes it: it goes with its loop */
    CHECK_INT(client_code(loop, aio_response_raise_for_status(NULL)), EINVAL);
    aio_loop_free(loop);
}
