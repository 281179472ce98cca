/* Middlewares of the client: what they see and change, what they answer themselves, and what happens when they do not
 * behave. */

/* ---- a site that notes what comes ---- */

/* Answers by path: /401 without the newest token, /503 twice, /etag, /302 to /end, /echo, /slow after ten seconds. */
static struct { int token, tokens, flaky, port; size_t length; char log[2000]; } around;
struct around_site { aio_task task; aio_request *request; aio_text body; char text[200]; const char *headers[5];
                     int status; };
static void around_note(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
static void around_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(around.log + around.length, sizeof around.log - around.length, format, arguments);
    va_end(arguments);
    if (n > 0) around.length += (size_t)n;
    if (around.length >= sizeof around.log) around.length = sizeof around.log - 1;
}
static void around_forget(void)
{
    around.length = 0;
    *around.log = 0;
}

static bool around_is(const struct around_site *self, const char *path)
{
    return !strcmp(self->request->path.data, path);
}

static void around_answer(struct around_site *self)
{
    const aio_headers *headers = &self->request->headers;
    const char *token = aio_headers_get(headers, "Authorization").data;
    const char *known = aio_headers_get(headers, "If-None-Match").data;
    self->status = 200;
    if (around_is(self, "/token")) {
        around.tokens++;
        snprintf(self->text, sizeof self->text, "Bearer %d", around.token);
    } else if (around_is(self, "/401")) {
        snprintf(self->text, sizeof self->text, "Bearer %d", around.token);
        if (!token || strcmp(token, self->text) != 0) self->status = 401;
    } else if (around_is(self, "/503")) {
        if (around.flaky-- > 0) self->status = 503;
    } else if (around_is(self, "/etag")) {
        self->headers[0] = "ETag";
        self->headers[1] = "\"v1\"";
        if (known && !strcmp(known, "\"v1\"")) self->status = 304;
        else snprintf(self->text, sizeof self->text, "the text");
    } else if (around_is(self, "/302")) {
        self->status = 302;
        self->headers[0] = "Location";
        self->headers[1] = "/end";
    } else if (around_is(self, "/echo")) {
        snprintf(self->text, sizeof self->text, "%s", self->body.data);
    }
}

static AIO_CORO(around_site)
{
    AIO_BEGIN(around_site);
    AIO_AWAIT(self->body, aio_request_read(self->request));
    if (around_is(self, "/slow")) AIO_AWAIT(aio_sleep(10));
    around_answer(self);
    around_note("%d %s", self->status, self->request->target.data);
    if (aio_headers_get(&self->request->headers, "X-Around").data)
        around_note(" %s", aio_headers_get(&self->request->headers, "X-Around").data);
    around_note("\n");
    AIO_AWAIT(aio_request_respond(self->request, self->status, .headers = self->headers, .text = self->text));
    AIO_END;
}
static void *around_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(around_site, .request = request);
}

#define AROUND_MAY \
    { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EHTTP, ECONNABORTED, AIO_ERUNTIME }
#define AROUND_HAS aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text; char url[60]
#define AROUND_OPEN(...)                                                                    \
    memset(&around, 0, sizeof around);                                                      \
    AIO_AWAIT(self->server, aio_start_http_server(around_handler, NULL, "127.0.0.1", 0));   \
    around.port = aio_server_port(self->server);                                            \
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d", around.port);              \
    REQUIRE(self->session = aio_session_open(.base_url = self->url, __VA_ARGS__))
#define AROUND_CLOSE()                              \
    aio_response_release(self->r);                  \
    AIO_AWAIT(aio_session_close(self->session))
#define AROUND_STOP()                               \
    aio_server_abort_clients(self->server);         \
    if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server))

/* Whether a head, which ends in no NUL, has this. */
static bool around_has(aio_text head, const char *text)
{
    return head.data && memmem(head.data, head.length, text, strlen(text));
}

/* ---- order ---- */

/* Notes when it is entered and left, and adds its name to a field. */
struct around_named { aio_task task; aio_response *result; aio_client_request *request; const char *name;
                      char value[40]; };
static int around_add_name(struct around_named *self)
{
    aio_headers *headers = aio_client_request_headers(self->request);
    aio_text given = aio_headers_get(headers, "X-Around");
    snprintf(self->value, sizeof self->value, "%s%s", given.data ? given.data : "", self->name);
    return aio_headers_set(headers, "X-Around", self->value);
}
static AIO_CORO(around_named)
{
    AIO_BEGIN(around_named);
    around_note("(%s ", self->name);
    if (around_add_name(self)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    around_note("%s)", self->name);
    AIO_END;
}
static void *around_by_name(aio_client_request *request, void *arg)
{
    return AIO_CALL(around_named, .request = request, .name = (const char *)arg);
}
static char around_a[] = "a", around_b[] = "b", around_c[] = "c";

struct around_order { AROUND_HAS; };
SCENARIO(around_order, .may = AROUND_MAY)
{
    static const aio_middleware two[] = { { around_by_name, around_a }, { around_by_name, around_b }, { NULL, NULL } };
    static const aio_middleware one[] = { { around_by_name, around_c }, { NULL, NULL } }, none[] = { { NULL, NULL } };
    static const char *const headers[] = { "X-Around", "_", NULL };
    AIO_BEGIN(around_order);
    AROUND_OPEN(.middlewares = two);
    AIO_AWAIT(self->r, aio_session_get(self->session, "/302", .headers = headers));
    CHECK_STR(around.log, "(a (b 302 /302 _ab\nb)a)(a (b 200 /end _ab\nb)a)");
    CHECK_INT(self->r->history_count, 1);
    CHECK(self->r->times.reused && around_has(aio_response_request_head(self->r), "X-Around: _ab\r\n"));
    aio_response_release(self->r);
    self->r = NULL;
    around_forget();
    AIO_AWAIT(self->r, aio_session_get(self->session, "/x", .middlewares = one));
    CHECK_STR(around.log, "(c 200 /x c\nc)");
    aio_response_release(self->r);
    self->r = NULL;
    around_forget();
    AIO_AWAIT(self->r, aio_session_get(self->session, "/x", .no_middlewares = true));
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_get(self->session, "/x", .middlewares = none));
    CHECK_STR(around.log, "200 /x\n200 /x\n");
    AIO_FINALLY;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* ---- three that everybody writes ---- */

struct around_retry { aio_task task; aio_response *result; aio_client_request *request; int tries; };
static AIO_CORO(around_retry)
{
    AIO_BEGIN(around_retry);
    for (self->tries = 1;; self->tries++) {
        AIO_AWAIT(self->result, aio_client_request_next(self->request));
        if (self->result->status != 503 || self->tries == 4) AIO_RETURN(self->result);
        AIO_AWAIT(aio_sleep(0.5 * self->tries));
    }
    AIO_END;
}
static void *retry_middleware(aio_client_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(around_retry, .request = request);
}

struct middleware_retry { AROUND_HAS; size_t position; aio_text head; };
SCENARIO(middleware_retry, .may = AROUND_MAY)
{
    static const aio_middleware middlewares[] = { { retry_middleware, NULL }, { NULL, NULL } };
    AIO_BEGIN(middleware_retry);
    AROUND_OPEN(.middlewares = middlewares);
    around.flaky = 2;
    AIO_AWAIT(self->r, aio_session_post(self->session, "/503", .data = "x", .data_length = 1));
    CHECK_INT(self->r->status, 200);
    CHECK_STR(around.log, "503 /503\n503 /503\n200 /503\n");
    REQUIRE(self->r->history_count == 2);
    CHECK_INT(self->r->history[0]->status, 503);
    CHECK(!self->r->history[0]->times.reused && self->r->history[1]->times.reused);
    CHECK(self->r->history[1]->times.start - self->r->history[0]->times.start > 0.4);
    CHECK(around_has(aio_response_head(self->r->history[1]), "HTTP/1.1 503 "));
    CHECK(aio_response_next_head(self->r, &self->position, &self->head));
    CHECK(around_has(self->head, "HTTP/1.1 200 "));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_INT(self->text.length, 0);
    CHECK_INT(aio_session_busy(self->session), 0);
    AIO_FINALLY;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* A token that many requests share, and one of them renews when it is refused. */
struct token { aio_lock lock; const char *site; char field[40]; };
struct renew { aio_task task; aio_session *session; struct token *token; aio_response *response; aio_text text; };
static AIO_CORO(renew)
{
    AIO_BEGIN(renew);
    AIO_AWAIT(self->response, aio_session_get(self->session, "/token", .no_middlewares = true));
    AIO_AWAIT(self->text, aio_response_text(self->response));
    snprintf(self->token->field, sizeof self->token->field, "%s", self->text.data);
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}

struct authorize { aio_task task; aio_response *result; aio_client_request *request; struct token *token;
                   aio_session *session; aio_headers *headers; char used[40]; int tries; };
static AIO_CORO(authorize)
{
    AIO_BEGIN(authorize);
    self->headers = aio_client_request_headers(self->request);
    for (;;) {
        strcpy(self->used, self->token->field);
        if (aio_headers_set(self->headers, "Authorization", self->used)) AIO_RAISE(ENOMEM);
        AIO_AWAIT(self->result, aio_client_request_next(self->request));
        if (self->result->status != 401 || self->tries++) AIO_RETURN(self->result);
        AIO_ASYNC_WITH(aio_lock_acquire(&self->token->lock), aio_lock_release(&self->token->lock)) {
            if (strcmp(self->used, self->token->field) != 0) break;
            self->session = aio_client_request_session(self->request);
            AIO_AWAIT(AIO_CALL(renew, .session = self->session, .token = self->token));
        }
    }
    AIO_END;
}
static void *authorized(aio_client_request *request, void *arg)
{
    struct token *token = (struct token *)arg;
    bool own = !strncmp(aio_client_request_url(request), token->site, strlen(token->site));
    if (!own) return aio_client_request_next(request);
    return AIO_CALL(authorize, .request = request, .token = token);
}

/* A GET in a task of its own; its outcome. */
struct around_get { aio_task task; aio_session *session; const char *url; aio_response *r; int code, status, before;
                    char message[200]; };
static AIO_CORO(around_get)
{
    AIO_BEGIN(around_get);
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        self->status = self->r->status;
        if (self->r->history_count == 1) self->before = self->r->history[0]->status;
    } AIO_CATCH {
        if (touched() && aio_caught(self)->code == ENOMEM) AIO_RERAISE();
        self->code = aio_caught(self)->code;
        snprintf(self->message, sizeof self->message, "%s", aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->r);
    AIO_END;
}

struct middleware_token { AROUND_HAS; struct token token; aio_middleware middlewares[2]; struct around_get *get[5];
                          int i; char site[61]; };
SCENARIO(middleware_token, .may = AROUND_MAY)
{
    AIO_BEGIN(middleware_token);
    self->middlewares[0].fn = authorized;
    self->middlewares[0].arg = &self->token;
    AROUND_OPEN(.middlewares = self->middlewares);
    snprintf(self->site, sizeof self->site, "%s/", self->url);
    self->token.site = self->site;
    strcpy(self->token.field, "Bearer old");
    around.token = 7;
    for (self->i = 0; self->i < 5; self->i++)
        REQUIRE(self->get[self->i] = aio_create_task(AIO_CALL(around_get, .session = self->session, .url = "/401")));
    AIO_AWAIT(aio_gather(self->get, 5));
    for (self->i = 0; self->i < 5; self->i++) {
        CHECK_INT(self->get[self->i]->status, 200);
        CHECK_INT(self->get[self->i]->before, 401);
    }
    CHECK_INT(around.tokens, 1);
    CHECK_STR(self->token.field, "Bearer 7");
    self->token.site = "http://a.test/";
    AIO_AWAIT(self->r, aio_session_get(self->session, "/401"));
    CHECK_INT(self->r->status, 401);
    CHECK_INT(self->r->history_count, 0);
    AIO_FINALLY;
        aio_unref_all(self->get, 5);
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* A cache of one page, which asks whether it is still fresh. */
struct page { char etag[40], text[100]; size_t length; };
struct cached { aio_task task; aio_response *result; aio_client_request *request; struct page *page;
                aio_headers *headers; aio_text text, etag; };
static AIO_CORO(cached)
{
    AIO_BEGIN(cached);
    self->headers = aio_client_request_headers(self->request);
    if (*self->page->etag && aio_headers_set(self->headers, "If-None-Match", self->page->etag)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    self->etag = aio_headers_get(&self->result->headers, "ETag");
    if (self->result->status == 304) {
        AIO_AWAIT(self->result, aio_client_request_respond(self->request, 200, .header_fields = &self->result->headers,
                                                           .body = self->page->text, .length = self->page->length));
    } else if (self->result->status == 200 && self->etag.data) {
        AIO_AWAIT(self->text, aio_response_read(self->result)); /* who has the response reads it again */
        snprintf(self->page->etag, sizeof self->page->etag, "%s", self->etag.data);
        self->page->length = self->text.length;
        memcpy(self->page->text, self->text.data, self->text.length);
    }
    AIO_END;
}
static void *cached_middleware(aio_client_request *request, void *arg)
{
    return AIO_CALL(cached, .request = request, .page = (struct page *)arg);
}

struct middleware_cache { AROUND_HAS; struct page page; aio_middleware middlewares[2]; int i; FILE *out; char *picture;
                          size_t size; };
SCENARIO(middleware_cache, .may = AROUND_MAY)
{
    AIO_BEGIN(middleware_cache);
    self->middlewares[0].fn = cached_middleware;
    self->middlewares[0].arg = &self->page;
    AROUND_OPEN(.middlewares = self->middlewares);
    for (self->i = 0; self->i < 2; self->i++) {
        aio_response_release(self->r);
        self->r = NULL;
        AIO_AWAIT(self->r, aio_session_get(self->session, "/etag"));
        CHECK_INT(self->r->status, 200);
        CHECK_STR(self->r->reason, "OK");
        CHECK_INT(self->r->content_length, 8);
        CHECK_INT(self->r->history_count, self->i);
        CHECK_STR(aio_headers_get(&self->r->headers, "ETag").data, "\"v1\"");
        CHECK_STR(aio_headers_get(&self->r->headers, "Content-Length").data, "8");
        AIO_AWAIT(self->text, aio_response_text(self->r));
        CHECK_BYTES(self->text.data, self->text.length, "the text");
    }
    CHECK_STR(around.log, "200 /etag\n304 /etag\n");
    REQUIRE(self->r->history_count == 1);
    CHECK_INT(self->r->history[0]->status, 304);
    CHECK(aio_response_connection(self->r) == NULL && !aio_response_head(self->r).length);
    CHECK(!aio_response_request_head(self->r).length && !aio_response_bytes_received(self->r));
    CHECK_STR(self->r->url, self->r->history[0]->url);
    if (!touched() && (self->out = open_memstream(&self->picture, &self->size))) {
        aio_print_waterfall(self->r, self->out);
        fclose(self->out);
        self->out = NULL;
        CHECK(strstr(self->picture, "/etag: 304, ") && strstr(self->picture, "/etag: 200, 0.000 ms, no connection\n"));
    }
    AIO_FINALLY;
        free(self->picture);
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* ---- what can be changed ---- */

/* Another URL, fields that go and come, and a body that is looked at. */
struct around_change { aio_task task; aio_response *result; aio_client_request *request; const char *url;
                       aio_text body; };
static AIO_CORO(around_change)
{
    AIO_BEGIN(around_change);
    CHECK_STR(aio_client_request_method(self->request), "POST");
    CHECK(strstr(aio_client_request_url(self->request), "/x?a=1"));
    CHECK_INT(aio_client_request_body(self->request, &self->body), 0);
    CHECK_BYTES(self->body.data, self->body.length, "body");
    CHECK_INT(aio_client_request_set_url(self->request, "ftp://a.test/"), AIO_EURL);
    CHECK_INT(aio_client_request_set_url(self->request, "http://["), AIO_EURL);
    if (aio_client_request_set_url(self->request, self->url)) AIO_RAISE(ENOMEM);
    aio_headers_remove(aio_client_request_headers(self->request), "X-Gone");
    if (aio_headers_add(aio_client_request_headers(self->request), "X-Around", "1")) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    AIO_END;
}
static void *change_middleware(aio_client_request *request, void *arg)
{
    return AIO_CALL(around_change, .request = request, .url = (const char *)arg);
}
static char around_echo[] = "/echo", around_other[300];

struct middleware_change { AROUND_HAS; aio_text head; };
SCENARIO(middleware_change, .may = AROUND_MAY)
{
    static const aio_middleware here[] = { { change_middleware, around_echo }, { NULL, NULL } };
    static const aio_middleware elsewhere[] = { { change_middleware, around_other }, { NULL, NULL } };
    static const char *const headers[] = { "X-Gone", "1", "X-Stays", "2", "Cookie", "c=1", NULL };
    static const char *const params[] = { "a", "1", NULL };
    AIO_BEGIN(middleware_change);
    AROUND_OPEN();
    AIO_AWAIT(self->r, aio_session_post(self->session, "/x", .params = params, .headers = headers, .middlewares = here,
                                        .data = "body", .data_length = 4, .auth = { .bearer = "t" }));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "body");
    self->head = aio_response_request_head(self->r);
    CHECK(around_has(self->head, "POST /echo HTTP/1.1\r\n") && !around_has(self->head, "X-Gone"));
    CHECK(around_has(self->head, "X-Stays: 2\r\nCookie: c=1\r\nX-Around: 1\r\nAuthorization: Bearer t\r\n"));
    aio_response_release(self->r);
    self->r = NULL;
    snprintf(around_other, sizeof around_other, "http://localhost:%d/echo", around.port);
    AIO_AWAIT(self->r, aio_session_post(self->session, "/x", .params = params, .headers = headers,
                                        .middlewares = elsewhere, .data = "body", .data_length = 4,
                                        .auth = { .bearer = "t" }));
    self->head = aio_response_request_head(self->r);
    CHECK_STR(self->r->url, around_other);
    CHECK(around_has(self->head, "Host: localhost:") && around_has(self->head, "X-Stays: 2\r\nX-Around: 1\r\n"));
    CHECK(!around_has(self->head, "Cookie") && !around_has(self->head, "Bearer"));
    AIO_FINALLY;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* A URL that was set for one try is for that alone: a redirect leads on from there, the next try goes where the request
 * was to go. */
static const char *around_once;
struct once_elsewhere { aio_task task; aio_response *result; aio_client_request *request; };
static AIO_CORO(once_elsewhere)
{
    const char *url = around_once;
    AIO_BEGIN(once_elsewhere);
    around_once = NULL;
    if (url && aio_client_request_set_url(self->request, url)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    AIO_END;
}
static void *once_elsewhere_middleware(aio_client_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(once_elsewhere, .request = request);
}

struct middleware_url_once { AROUND_HAS; };
SCENARIO(middleware_url_once, .may = AROUND_MAY)
{
    static const aio_middleware once[] = { { once_elsewhere_middleware, NULL }, { NULL, NULL } };
    static const char *const params[] = { "a", "1", NULL };
    AIO_BEGIN(middleware_url_once);
    AROUND_OPEN(.middlewares = once, .retry = { .attempts = 2 });
    around_once = "/302";
    AIO_AWAIT(self->r, aio_session_get(self->session, "/x", .params = params));
    CHECK_INT(self->r->status, 200);
    CHECK_STR(around.log, "302 /302\n200 /end\n");
    aio_response_release(self->r);
    self->r = NULL;
    around_forget();
    around.flaky = 1;
    around_once = "/503";
    AIO_AWAIT(self->r, aio_session_get(self->session, "/x", .params = params));
    CHECK_INT(self->r->status, 200);
    CHECK_STR(around.log, "503 /503\n200 /x?a=1\n");
    CHECK(strstr(self->r->url, "/x?a=1"));
    AIO_FINALLY;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* The type of an answer of a middleware's own: what it says, else that of the fields, else that of a text. */
struct typed_answer { aio_task task; aio_response *result; aio_client_request *request; int i; };
static AIO_CORO(typed_answer)
{
    static const char *const fields[] = { "content-type", "a/b", "X-Other", "1", NULL };
    AIO_BEGIN(typed_answer);
    AIO_AWAIT(self->result, aio_client_request_respond(self->request, 200,
        .text = self->i < 4 ? "text" : NULL, .body = self->i < 4 ? NULL : "body", .length = self->i < 4 ? 0 : 4,
        .content_type = self->i & 2 ? "c/d" : NULL, .headers = self->i & 1 ? fields : NULL));
    AIO_END;
}
static void *typed_answer_middleware(aio_client_request *request, void *arg)
{
    return AIO_CALL(typed_answer, .request = request, .i = *(const int *)arg);
}
struct middleware_types { AROUND_HAS; aio_middleware middlewares[2]; int i; };
SCENARIO(middleware_types, .may = AROUND_MAY)
{
    static const char *const types[] = { "text/plain; charset=utf-8", "a/b", "c/d", "c/d", NULL, "a/b", "c/d", "c/d" };
    AIO_BEGIN(middleware_types);
    self->middlewares[0].fn = typed_answer_middleware;
    self->middlewares[0].arg = &self->i;
    AROUND_OPEN(.middlewares = self->middlewares);
    for (self->i = 0; self->i < 8; self->i++) {
        AIO_AWAIT(self->r, aio_session_get(self->session, "/x"));
        const char *type;
        type = aio_headers_get(&self->r->headers, "Content-Type").data;
        if (types[self->i]) CHECK_STR(type ? type : "none", types[self->i]);
        else CHECK_PTR(type, NULL);
        CHECK_INT(aio__fields_count(NULL, &self->r->headers, "Content-Type"), types[self->i] != NULL);
        AIO_AWAIT(self->text, aio_response_text(self->r));
        CHECK_BYTES(self->text.data, self->text.length, self->i < 4 ? "text" : "body");
        aio_response_release(self->r);
        self->r = NULL;
    }
    CHECK_STR(around.log, "");
    AIO_FINALLY;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* An Authorization of a middleware stands in the place of .auth. A field that is about framing is refused. */
struct around_field { aio_task task; aio_response *result; aio_client_request *request; const char *const *field; };
static AIO_CORO(around_field)
{
    AIO_BEGIN(around_field);
    if (aio_headers_set(aio_client_request_headers(self->request), self->field[0], self->field[1])) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    AIO_END;
}
static void *field_middleware(aio_client_request *request, void *arg)
{
    return AIO_CALL(around_field, .request = request, .field = (const char *const *)arg);
}
struct middleware_fields { AROUND_HAS; };
SCENARIO(middleware_fields, .may = AROUND_MAY)
{
    static const char *token[] = { "authorization", "mine" }, *framing[] = { "Content-Length", "3" };
    static const aio_middleware own[] = { { field_middleware, token }, { NULL, NULL } };
    static const aio_middleware bad[] = { { field_middleware, framing }, { NULL, NULL } };
    AIO_BEGIN(middleware_fields);
    AROUND_OPEN(.auth = { .user = "u" });
    AIO_AWAIT(self->r, aio_session_get(self->session, "/x", .middlewares = own, .auth = { .bearer = "t" }));
    CHECK(around_has(aio_response_request_head(self->r), "authorization: mine\r\n"));
    CHECK(!around_has(aio_response_request_head(self->r), "Bearer"));
    CHECK(!around_has(aio_response_request_head(self->r), "Basic"));
    aio_response_release(self->r);
    self->r = NULL;
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_get(self->session, "/x", .middlewares = bad));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_FINALLY;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* ---- what is no use ---- */

enum { AROUND_NULL, AROUND_NONE, AROUND_FIRST, AROUND_TASK, AROUND_TWICE, AROUND_BUSY, AROUND_RAISE, AROUND_LATE,
       AROUND_RELEASED, AROUND_MOVED, AROUND_EMPTY, AROUND_STATUS };
struct around_bad { aio_task task; aio_response *result; aio_client_request *request; int how; aio_response *first; };
static aio_response_task *around_left; /* a next that its middleware has left behind */
static AIO_CORO(around_bad)
{
    AIO_BEGIN(around_bad);
    if (self->how == AROUND_NONE) AIO_RETURN(NULL);
    if (self->how == AROUND_RAISE) AIO_RAISE(AIO_EJSON, "mine");
    if (self->how == AROUND_MOVED) {
        static const char *const to[] = { "Location", "/end", NULL };
        AIO_AWAIT(self->result, aio_client_request_respond(self->request,
            strstr(aio_client_request_url(self->request), "/end") ? 200 : 302, .headers = to, .text = "from here"));
        AIO_RETURN(self->result);
    }
    if (self->how == AROUND_EMPTY) {
        AIO_AWAIT(self->result, aio_client_request_respond(self->request, 204));
        AIO_RETURN(self->result);
    }
    if (self->how == AROUND_STATUS) AIO_AWAIT(self->result, aio_client_request_respond(self->request, 101));
    if (self->how == AROUND_TASK || self->how == AROUND_TWICE || self->how == AROUND_BUSY) {
        around_left = aio_create_task(aio_client_request_next(self->request));
        if (!around_left) AIO_RAISE(ENOMEM);
        AIO_AWAIT(aio_sleep(0));
    }
    if (self->how == AROUND_BUSY)
        AIO_AWAIT(self->result, aio_client_request_respond(self->request, 200, .text = "x"));
    if (self->how == AROUND_TASK) AIO_RETURN(NULL);
    AIO_AWAIT(self->first, aio_client_request_next(self->request));
    if (self->how == AROUND_RELEASED) {
        aio_response_release(self->first);
        aio_response_close(self->first);
        AIO_RETURN(self->first);
    }
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    self->result = self->first;
    AIO_END;
}
static void *bad_middleware(aio_client_request *request, void *arg)
{
    int how = *(int *)arg;
    return how == AROUND_NULL ? NULL : (void *)AIO_CALL(around_bad, .request = request, .how = how);
}

typedef struct around_row { int how, code; const char *says, *text; int status; } around_row;
struct middleware_misuse { AROUND_HAS; int how; size_t i; aio_middleware middlewares[3]; const around_row *row; };
SCENARIO(middleware_misuse, .may = AROUND_MAY)
{
    static const around_row rows[] = {
        { AROUND_NULL, EINVAL, "NULL was awaited", NULL, 0 },
        { AROUND_NONE, AIO_ERUNTIME, "/x: a middleware has given no response", NULL, 0 },
        { AROUND_FIRST, AIO_ERUNTIME, "/x: a middleware has given another response than the latest one", NULL, 0 },
        { AROUND_TASK, AIO_ERUNTIME, "its next is on its way still", NULL, 0 },
        { AROUND_TWICE, AIO_ERUNTIME, "/x: its next is on its way still", NULL, 0 },
        { AROUND_BUSY, AIO_ERUNTIME, "its next is on its way still", NULL, 0 },
        { AROUND_RAISE, AIO_EJSON, "mine", NULL, 0 },
        { AROUND_STATUS, EINVAL, "the status is not 200 to 999", NULL, 0 },
        { AROUND_RELEASED, AIO_EPAYLOAD, "a middleware has released the response", NULL, 200 },
        { AROUND_MOVED, 0, NULL, "from here", 200 },
        { AROUND_EMPTY, 0, NULL, "", 204 },
    };
    AIO_BEGIN(middleware_misuse);
    around_left = NULL;
    self->middlewares[0].fn = self->middlewares[1].fn = bad_middleware;
    self->middlewares[0].arg = self->middlewares[1].arg = &self->how;
    AROUND_OPEN(.middlewares = self->middlewares);
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        self->row = &rows[self->i];
        self->how = self->row->how;
        self->middlewares[1].fn = NULL;
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_get(self->session, "/x", .middlewares = self->middlewares));
            CHECK_INT(self->r->status, rows[self->i].status);
            AIO_AWAIT(self->text, aio_response_read(self->r));
            CHECK_BYTES(self->text.data, self->text.length, rows[self->i].text);
            CHECK_INT(rows[self->i].code, 0);
        } AIO_CATCH {
            CAUGHT(rows[self->i].code);
            CHECK(!rows[self->i].says || strstr(aio_caught(self)->message, rows[self->i].says));
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
        if (around_left) AIO_AWAIT(aio_wait(&around_left, 1));
        if (around_left) CHECK_INT(aio_future_exception(around_left)->code, AIO_ERUNTIME);
        aio_unref(around_left);
        around_left = NULL;
        CHECK_INT(aio_session_busy(self->session), 0);
    }
    AIO_FINALLY;
        aio_unref(around_left);
        around_left = NULL;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* ---- time, errors, bodies ---- */

/* Goes on after an error, or sleeps. */
struct around_patient { aio_task task; aio_response *result; aio_client_request *request; double sleep; int caught; };
static int around_caught;
static AIO_CORO(around_patient)
{
    AIO_BEGIN(around_patient);
    if (self->sleep > 0) AIO_AWAIT(aio_sleep(self->sleep));
    AIO_TRY {
        AIO_AWAIT(self->result, aio_client_request_next(self->request));
        AIO_RETURN(self->result);
    } AIO_CATCH {
        if (touched() && aio_caught(self)->code == ENOMEM) AIO_RERAISE();
        around_caught = aio_caught(self)->code;
    } AIO_END_TRY;
    if (self->result) AIO_RETURN(self->result);
    if (aio_client_request_set_url(self->request, "/end")) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    AIO_END;
}
static void *patient_middleware(aio_client_request *request, void *arg)
{
    return AIO_CALL(around_patient, .request = request, .sleep = arg ? *(double *)arg : 0);
}

static double around_minute = 60;
struct middleware_time { AROUND_HAS; };
SCENARIO(middleware_time, .may = { EPIPE, ECONNRESET, AIO_EDISCONNECTED, AIO_EHTTP, ECONNABORTED, AIO_ETIMEOUT })
{
    static const aio_middleware quick[] = { { patient_middleware, NULL }, { NULL, NULL } };
    static const aio_middleware slow[] = { { patient_middleware, &around_minute }, { NULL, NULL } };
    AIO_BEGIN(middleware_time);
    AROUND_OPEN();
    around_caught = 0;
    AIO_AWAIT(self->r, aio_session_get(self->session, "/slow", .middlewares = quick, .timeout = { .sock_read = 1 }));
    CHECK_INT(around_caught, AIO_ETIMEOUT);
    CHECK(strstr(self->r->url, "/end") && self->r->status == 200);
    aio_response_release(self->r);
    self->r = NULL;
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_get(self->session, "/end", .middlewares = slow, .timeout = { .total = 5 }));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK(strstr(aio_caught(self)->message, "the limit `total` is 5 s"));
    } AIO_END_TRY;
    AIO_TRY { /* nor does one have more time that has caught it */
        AIO_AWAIT(self->r, aio_session_get(self->session, "/slow", .middlewares = quick, .timeout = { .total = 5 }));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK(strstr(aio_caught(self)->message, "the limit `total` is 5 s"));
    } AIO_END_TRY;
    AIO_FINALLY;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* A request, and an event source, of a session that is closed before they begin are not another session's, though that
 * has the same address. */
struct session_reused { aio_task task; aio_session *one, *two; aio_response_task *get; aio_sse *sse; };
SCENARIO(session_reused)
{
    AIO_BEGIN(session_reused);
    REQUIRE(self->one = aio_session_open());
    REQUIRE(self->get = aio_create_task(aio_session_get(self->one, "http://127.0.0.1:1/")));
    REQUIRE(self->sse = aio_sse_open(self->one, "http://127.0.0.1:1/"));
    AIO_AWAIT(aio_session_close(self->one));
    self->one = NULL;
    REQUIRE(self->two = aio_session_open());
    AIO_TRY {
        AIO_AWAIT((aio_response_task *)aio_ref(self->get));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_sse_next(self->sse));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_unref(self->get);
        aio_sse_close(self->sse);
        AIO_AWAIT(aio_session_close(self->one));
        AIO_AWAIT(aio_session_close(self->two));
    AIO_END;
}

/* The session is closed while a middleware sleeps. */
struct middleware_close { AROUND_HAS; struct around_get *get; };
SCENARIO(middleware_close, .may = AROUND_MAY)
{
    static const aio_middleware slow[] = { { patient_middleware, &around_minute }, { NULL, NULL } };
    AIO_BEGIN(middleware_close);
    AROUND_OPEN(.middlewares = slow);
    REQUIRE(self->get = aio_create_task(AIO_CALL(around_get, .session = self->session, .url = "/end")));
    AIO_AWAIT(aio_sleep(1));
    AIO_AWAIT(aio_session_close(self->session));
    self->session = NULL;
    AIO_AWAIT((struct around_get *)aio_ref(self->get));
    CHECK_INT(self->get->code, AIO_ERUNTIME);
    CHECK(strstr(self->get->message, "the session was closed"));
    AIO_FINALLY;
        aio_unref(self->get);
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* The policy of .retry is around the middlewares: their error counts as the request's. */
struct around_breaks { aio_task task; aio_response *result; aio_client_request *request; int *left; };
static AIO_CORO(around_breaks)
{
    AIO_BEGIN(around_breaks);
    if ((*self->left)-- > 0) AIO_RAISE(ECONNREFUSED, "not yet");
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    AIO_END;
}
static void *breaks_middleware(aio_client_request *request, void *arg)
{
    return AIO_CALL(around_breaks, .request = request, .left = (int *)arg);
}
struct middleware_policy { AROUND_HAS; int left; aio_middleware middlewares[2]; };
SCENARIO(middleware_policy, .may = { EPIPE, ECONNRESET, AIO_EDISCONNECTED, AIO_EPAYLOAD, ECONNABORTED, ECONNREFUSED })
{
    AIO_BEGIN(middleware_policy);
    self->middlewares[0].fn = breaks_middleware;
    self->middlewares[0].arg = &self->left;
    AROUND_OPEN(.middlewares = self->middlewares, .retry = { .attempts = 3 });
    self->left = 1;
    around.flaky = 1;
    AIO_AWAIT(self->r, aio_session_get(self->session, "/503"));
    CHECK_INT(self->r->status, 200);
    CHECK_INT(self->r->attempts, 3);
    CHECK_INT(self->r->history_count, 1);
    aio_response_release(self->r);
    self->r = NULL;
    self->left = 3;
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_get(self->session, "/503"));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ECONNREFUSED);
        CHECK_STR(aio_caught(self)->message, "not yet");
    } AIO_END_TRY;
    AIO_FINALLY;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* A body that cannot be rewound is sent once: next says so before it does anything, and the first response stays. */
struct around_piece { aio_task task; aio_text result; int *count; };
static AIO_CORO(around_piece)
{
    AIO_BEGIN(around_piece);
    AIO_RETURN(aio__text("piece", *self->count == 1 ? 5 : 0));
    AIO_END;
}
static aio_text_task *around_pieces(void *arg)
{
    ++*(int *)arg;
    return (aio_text_task *)(void *)AIO_CALL(around_piece, .count = (int *)arg);
}
static bool around_rewind(void *arg)
{
    *(int *)arg = 0;
    return true;
}
struct around_again { aio_task task; aio_response *result; aio_client_request *request; aio_text body; };
static AIO_CORO(around_again)
{
    AIO_BEGIN(around_again);
    CHECK_INT(aio_client_request_body(self->request, &self->body), AIO_EPAYLOAD);
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    AIO_TRY {
        AIO_AWAIT(self->result, aio_client_request_next(self->request));
    } AIO_CATCH_CODE(AIO_EPAYLOAD) {
        around_caught = AIO_EPAYLOAD;
    } AIO_END_TRY;
    AIO_END;
}
static void *again_middleware(aio_client_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(around_again, .request = request);
}
struct middleware_bodies { AROUND_HAS; int count, i; };
SCENARIO(middleware_bodies, .may = AROUND_MAY)
{
    static const aio_middleware middlewares[] = { { again_middleware, NULL }, { NULL, NULL } };
    AIO_BEGIN(middleware_bodies);
    AROUND_OPEN(.middlewares = middlewares);
    for (self->i = 0; self->i < 2; self->i++) {
        around_caught = self->count = 0;
        around_forget();
        aio_response_release(self->r);
        self->r = NULL;
        AIO_AWAIT(self->r, aio_session_post(self->session, "/echo", .producer = {
            .next = around_pieces, .rewind = self->i ? around_rewind : NULL, .arg = &self->count }));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_BYTES(self->text.data, self->text.length, "piece");
        CHECK_INT(around_caught, self->i ? 0 : AIO_EPAYLOAD);
        CHECK_INT(self->r->history_count, self->i);
        CHECK_STR(around.log, self->i ? "200 /echo\n200 /echo\n" : "200 /echo\n");
    }
    AIO_FINALLY;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* A kept connection that is dead is seen to within next. */
struct middleware_dead { AROUND_HAS; int how; };
SCENARIO(middleware_dead, .may = AROUND_MAY)
{
    static const aio_middleware one[] = { { around_by_name, around_a }, { NULL, NULL } };
    AIO_BEGIN(middleware_dead);
    memset(&around, 0, sizeof around);
    script_says(&the_script, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", END_STAY);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open(.middlewares = one));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    aio_response_release(self->r);
    self->r = NULL;
    the_script.end = END_CLOSE;
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url)); /* on the kept one, which then closes */
    AIO_AWAIT(self->text, aio_response_read(self->r));
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_STR(around.log, "(a a)(a a)(a a)");
    CHECK_INT(self->r->history_count, 0);
    AIO_FINALLY;
        AROUND_CLOSE();
        AROUND_STOP();
    AIO_END;
}

/* ---- the manual ---- */

static void note(const aio_trace_event *event, void *file)
{
    fprintf((FILE *)file, "%10.3f %d %s %s\n", event->time, event->hop, aio_trace_name(event->kind), event->url);
}

struct manual_tracing { aio_task task; aio_server *server; aio_session *session; aio_response *response; aio_text text;
                        aio_text head; size_t position, size; FILE *file; char *picture, url[60]; };
SCENARIO(manual_tracing, .may = AROUND_MAY)
{
    AIO_BEGIN(manual_tracing);
    AIO_AWAIT(self->server, aio_start_http_server(around_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/302", aio_server_port(self->server));
    if (!(self->file = open_memstream(&self->picture, &self->size))) AIO_RETURN();
    self->session = aio_session_open(.trace = note, .trace_arg = self->file);
    REQUIRE(self->session);
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
    AIO_AWAIT(self->text, aio_response_read(self->response));
    aio_print_waterfall(self->response, self->file);
    while (aio_response_next_head(self->response, &self->position, &self->head))
        fwrite(self->head.data, 1, self->head.length, self->file);
    fflush(self->file);
    CHECK(strstr(self->picture, " 0 request_start http://") && strstr(self->picture, " 1 request_end http://"));
    CHECK(strstr(self->picture, "/302: 302, ") && strstr(self->picture, "\nHTTP/1.1 200 OK\r\n"));
    AIO_FINALLY;
        if (self->file) fclose(self->file);
        free(self->picture);
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
        AROUND_STOP();
    AIO_END;
}

/* The code of these chapters of the manual is that of this file, line by line. */
static bool manual_has(const char *wanted)
{
    char line[400];
    bool found = false;
    FILE *file = fopen(__FILE__, "r");
    for (; file && !found && fgets(line, sizeof line, file);) found = !strcmp(line + strspn(line, " "), wanted);
    if (file) fclose(file);
    return found;
}
TEST(manual_is_compiled)
{
    char line[400], path[300];
    int lines = 0;
    bool within = false;
    snprintf(path, sizeof path, "%s", __FILE__);
    char *slash = strrchr(path, '/');
    snprintf(slash ? slash + 1 : path, 20, "%s", "../aio.h");
    FILE *header = fopen(path, "r");
    if (!CHECK(header != NULL)) return;
    while (fgets(line, sizeof line, header) && strcmp(line, " * CONTENTS\n") != 0) {
        if (!strncmp(line, " * ", 3) && line[3] != ' ') within = false;
        if (!strcmp(line, " * MIDDLEWARES\n") || !strcmp(line, " * TRACING\n")) within = true;
        const char *code = line + strspn(line, " *");
        if (!within || strncmp(line, " *     ", 7) != 0 || !*code || *code == '\n') continue;
        lines++;
        if (!CHECK(manual_has(code))) printf("# %s", code);
    }
    fclose(header);
    CHECK(lines > 20);
}
