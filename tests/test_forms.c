/* Bodies of requests: forms, JSON, multipart, coded ones; what a server gets of them. */

/* Answers with what a body was: its type, how it was framed and coded, and the body. */
struct forms_server { aio_task task; aio_request *request; aio_text text; char *answer; size_t length; };
static const char *forms_field(aio_request *request, const char *name)
{
    aio_text value = aio_headers_get(&request->headers, name);
    return value.data ? value.data : "-";
}
static AIO_CORO(forms_server)
{
    AIO_BEGIN(forms_server);
    AIO_AWAIT(self->text, aio_request_read(self->request));
    self->answer = (char *)malloc(self->text.length + 400);
    if (!self->answer) AIO_RAISE(ENOMEM);
    self->length = (size_t)sprintf(self->answer, "%.*s type=%.100s length=%.20s coding=%.20s%.20s expect=%.20s\n",
        (int)self->request->method.length, self->request->method.data, forms_field(self->request, "content-type"),
        forms_field(self->request, "content-length"), forms_field(self->request, "transfer-encoding"),
        forms_field(self->request, "content-encoding"), forms_field(self->request, "expect"));
    memcpy(self->answer + self->length, self->text.data, self->text.length);
    AIO_AWAIT(aio_request_respond(self->request, 200, .body = self->answer, .length = self->length + self->text.length));
    AIO_FINALLY;
        free(self->answer);
    AIO_END;
}
static void *forms_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(forms_server, .request = request);
}
#define FORMS_MAY { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD, ECONNABORTED, AIO_EINCOMPLETE }

/* Pairs, a tree and a text of JSON as bodies. */
struct forms_texts { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text; char url[60];
    aio_json *tree; };
SCENARIO(forms_texts, .may = FORMS_MAY)
{
    static const char *const pairs[] = { "a b", "1&2=3", "\xC3\xA9", "", "a b", "+", NULL }, *const none[] = { NULL },
        *const types[] = { "content-type", "text/x", NULL };
    AIO_BEGIN(forms_texts);
    AIO_AWAIT(self->server, aio_start_http_server(forms_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    self->tree = aio_json_parse("{\"a\": [1, 2.50, \"\\u00e9\\n\"]}", 28, NULL);
    REQUIRE(self->session && self->tree);
    AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form = pairs));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_STR(self->text.data, "POST type=application/x-www-form-urlencoded length=29 coding=-- expect=-\n"
                               "a+b=1%262%3D3&%C3%A9=&a+b=%2B");
    aio_response_release(self->r);
    AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .form = none, .headers = types));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_STR(self->text.data, "PUT type=text/x length=0 coding=-- expect=-\n");
    aio_response_release(self->r);
    AIO_AWAIT(self->r, aio_session_patch(self->session, self->url, .json = self->tree));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_STR(self->text.data, "PATCH type=application/json length=20 coding=-- expect=-\n{\"a\":[1,2.5,\"\xC3\xA9\\n\"]}");
    aio_response_release(self->r);
    AIO_AWAIT(self->r, aio_session_delete(self->session, self->url, .json_text = " null", .borrow_data = true));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_STR(self->text.data, "DELETE type=application/json length=5 coding=-- expect=-\n null");
    aio_response_release(self->r);
    self->r = NULL;
    AIO_FINALLY;
        aio_json_free(self->tree);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        aio_server_abort_clients(self->server);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

TEST(forms_bad_arguments)
{
    static const char *const odd[] = { "a", "1", "b", NULL }, *const even[] = { "a", "1", NULL };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *s = aio_session_open(.limit = 1);
    CHECK(s);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .form = odd)), EINVAL);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .form = even, .json_text = "1")), EINVAL);
    CHECK_INT(client_code(loop, aio_session_close(s)), 0);
    aio_loop_free(loop);
}
