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
    static const char *const elsewhere[] = { "Location", "/", NULL };
    AIO_BEGIN(forms_server);
    AIO_AWAIT(self->text, aio_request_read(self->request));
    if (!strcmp(self->request->target.data, "/again") || !strcmp(self->request->target.data, "/see")) {
        AIO_AWAIT(aio_request_respond(self->request, self->request->target.data[1] == 's' ? 303 : 307,
                                      .headers = elsewhere));
        AIO_RETURN();
    }
    self->answer = (char *)malloc(self->text.length + 400);
    if (!self->answer) AIO_RAISE(ENOMEM);
    self->length = (size_t)sprintf(self->answer, "%.*s type=%.100s length=%.20s coding=%.20s%.20s expect=%.20s\n",
        (int)self->request->method.length, self->request->method.data, forms_field(self->request, "content-type"),
        forms_field(self->request, "content-length"), forms_field(self->request, "transfer-encoding"),
        forms_field(self->request, "content-encoding"), forms_field(self->request, "expect"));
    memcpy(self->answer + self->length, self->text.data, self->text.length);
    AIO_AWAIT(aio_request_respond(self->request, 200, .body = self->answer,
                                  .length = self->length + self->text.length));
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
struct forms_texts { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; aio_json *tree; aio_form *form; int multipart; };
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
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .form = none, .headers = types));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_STR(self->text.data, "PUT type=text/x length=0 coding=-- expect=-\n");
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_patch(self->session, self->url, .json = self->tree));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_STR(self->text.data,
              "PATCH type=application/json length=20 coding=-- expect=-\n{\"a\":[1,2.5,\"\xC3\xA9\\n\"]}");
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_delete(self->session, self->url, .json_text = " null", .borrow_data = true));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_STR(self->text.data, "DELETE type=application/json length=5 coding=-- expect=-\n null");
    aio_response_release(self->r);
    self->r = NULL;
    strcat(self->url, "see");
    for (; self->multipart < 2; self->multipart++) { /* a redirect to GET leaves it behind */
        REQUIRE(self->form = aio_form_open(.multipart = self->multipart));
        REQUIRE(!aio_form_add(self->form, "a", .text = "1"));
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form_data = self->form));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_STR(self->text.data, "GET type=- length=- coding=-- expect=-\n");
        aio_response_release(self->r);
        aio_form_unref(self->form);
        self->r = NULL;
        self->form = NULL;
    }
    AIO_FINALLY;
        aio_form_unref(self->form);
        aio_json_free(self->tree);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
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

/* ---- multipart ---- */

/* What is said of the parts: name(filename)type=data; of a multipart among them { its parts }. */
struct forms_said { char text[1600]; size_t n; };
static void forms_say(struct forms_said *said, const char *text, size_t n)
{
    if (n > sizeof said->text - 1 - said->n) n = sizeof said->text - 1 - said->n;
    memcpy(said->text + said->n, text, n);
    said->text[said->n += n] = '\0';
}
static void forms_say_part(struct forms_said *said, const aio_part *part)
{
    char head[300];
    aio_text x = aio_headers_get(&part->headers, "X-Own");
    int n = snprintf(head, sizeof head, "%s(%s)%s%.20s=", part->name ? part->name : "",
                     part->filename ? part->filename : "",
                     strncmp(part->type, "multipart/", 10) ? part->type : "", x.data ? x.data : "");
    forms_say(said, head, (size_t)n);
}
static void forms_say_data(struct forms_said *said, aio_text data)
{
    char size[40];
    if (data.length < 100) forms_say(said, data.data, data.length);
    else forms_say(said, size, (size_t)sprintf(size, "%zu %c", data.length, data.data[data.length - 1]));
    forms_say(said, "; ", 2);
}
struct forms_walk { aio_task task; aio_multipart *m; struct forms_said *said; aio_part *part; aio_text text; };
static AIO_CORO(forms_walk);
static struct forms_walk *forms_walk_through(aio_multipart *m, struct forms_said *said)
{
    struct forms_walk *walk = m ? AIO_CALL(forms_walk, .m = m, .said = said) : NULL;
    if (m && !walk) aio_multipart_close(m);
    return walk;
}
static AIO_CORO(forms_walk)
{
    AIO_BEGIN(forms_walk);
    AIO_ASYNC_FOR(self->part, aio_multipart_next(self->m)) {
        forms_say_part(self->said, self->part);
        if (strncmp(self->part->type, "multipart/", 10) == 0) {
            forms_say(self->said, "{ ", 2);
            AIO_AWAIT(forms_walk_through(aio_part_multipart(self->part), self->said));
            forms_say(self->said, "}; ", 3);
            continue;
        }
        AIO_AWAIT(self->text, aio_part_read(self->part));
        forms_say_data(self->said, self->text);
    }
    AIO_FINALLY;
        aio_multipart_close(self->m);
    AIO_END;
}
struct forms_parts { aio_task task; aio_request *request; struct forms_said said; };
static AIO_CORO(forms_parts)
{
    AIO_BEGIN(forms_parts);
    self->said.n = (size_t)snprintf(self->said.text, sizeof self->said.text, "%.19s length=%.20s %.20s: ",
        forms_field(self->request, "content-type"), forms_field(self->request, "content-length"),
        forms_field(self->request, "transfer-encoding"));
    AIO_AWAIT(forms_walk_through(aio_request_multipart(self->request), &self->said));
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->said.text));
    AIO_END;
}
static void *forms_parts_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(forms_parts, .request = request);
}

/* A form of every kind of field, as our own reader takes it apart, twice: what can be rewound is sent again. */
static char forms_long[20001];
struct forms_kinds { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60], path[40]; int fd, i; aio_form *form, *inner; struct pieces made, known; };
SCENARIO(forms_kinds, .may = FORMS_MAY)
{
    static const char *const own[] = { "X-Own", "yes", "content-type", "a/b", NULL };
    AIO_BEGIN(forms_kinds);
    memset(forms_long, 'x', sizeof forms_long - 1);
    AIO_AWAIT(self->server, aio_start_http_server(forms_parts_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    snprintf(self->path, sizeof self->path, "/tmp/aio-form-%d-XXXXXX", (int)getpid());
    self->fd = mkstemp(self->path);
    if (self->fd <= 0 || write(self->fd, "a file's bytes", 14) != 14) AIO_RAISE(EIO);
    self->session = aio_session_open();
    self->inner = aio_form_open(.subtype = "mixed");
    self->form = aio_form_open();
    REQUIRE(self->session && self->form && self->inner);
    self->known.text = self->made.text = "piece";
    self->known.step = self->made.step = 2;
    aio_form_add(self->inner, NULL, .text = "first");
    aio_form_add(self->inner, NULL, .data = "second", .length = 6, .filename = "\xC3\xA9.txt", .type = "text/x");
    aio_form_add(self->form, "text", .text = "a\r\n--b");
    aio_form_add(self->form, "empty", .text = "");
    aio_form_add(self->form, "data", .data = forms_long, .length = sizeof forms_long - 1, .borrow = true,
                 .filename = "long");
    aio_form_add(self->form, "path", .file = self->path, .filename = "named", .type = "image/png");
    aio_form_add(self->form, "fd", .fd = self->fd, .headers = own);
    aio_form_add(self->form, "known",
                 .producer = { .next = pieces_next, .rewind = pieces_rewind, .arg = &self->known, .length = 5 });
    REQUIRE(!aio_form_add(self->form, "inner", .form = self->inner));
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form_data = self->form));
        AIO_AWAIT(self->text, aio_response_text(self->r));
        CHECK_STR(self->text.data, "multipart/form-data length=21150 -: text()text/plain=a\r\n--b; empty()text/plain=; "
            "data(long)application/octet-stream=20000 x; path(named)image/png=a file's bytes; "
            "fd()a/byes=a file's bytes; known()application/octet-stream=piece; "
            "inner()={ ()text/plain=first; (\xC3\xA9.txt)text/x=second; }; ");
        aio_response_release(self->r);
        self->r = NULL;
    }
    CHECK_INT(self->known.rewound, 1);
    CHECK_INT(aio_form_add(self->form, "late", .text = ""), AIO_ERUNTIME);
    CHECK_INT(aio_form_add(self->inner, "late", .text = ""), AIO_ERUNTIME);
    aio_form_unref(self->form);
    self->form = aio_form_open();
    aio_form_add(self->form, "made", .producer = { .next = pieces_next, .arg = &self->made });
    AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form_data = self->form));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_STR(self->text.data, "multipart/form-data length=- chunked: made()application/octet-stream=piece; ");
    aio_response_release(self->r);
    self->r = NULL;
    AIO_TRY { /* never an empty body */
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form_data = self->form));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EPAYLOAD);
        CHECK(strstr(aio_caught(self)->message, "cannot begin again"));
    } AIO_END_TRY;
    AIO_FINALLY;
        if (self->fd > 0) close(self->fd);
        unlink(self->path);
        aio_form_unref(self->inner);
        aio_form_unref(self->form);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Texts alone go urlencoded; names that would inject are what they were. A form outlives its owner. */
struct forms_names { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; aio_form *form; aio_response_task *post; };
SCENARIO(forms_names, .may = FORMS_MAY)
{
    AIO_BEGIN(forms_names);
    AIO_AWAIT(self->server, aio_start_http_server(forms_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    self->form = aio_form_open();
    REQUIRE(self->session && self->form);
    aio_form_add(self->form, "a b", .text = "1&2");
    REQUIRE(!aio_form_add(self->form, "c", .text = ""));
    self->post = aio_session_post(self->session, self->url, .form_data = self->form);
    aio_form_unref(self->form);
    self->form = NULL;
    AIO_AWAIT(self->r, self->post);
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK_STR(self->text.data,
              "POST type=application/x-www-form-urlencoded length=12 coding=-- expect=-\na+b=1%262&c=");
    aio_response_release(self->r);
    self->r = NULL;
    self->form = aio_form_open(.multipart = true);
    REQUIRE(self->form);
    REQUIRE(!aio_form_add(self->form, "x\\", .text = "1", .filename = "; name=\"y\r\nX: z\x01%"));
    AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form_data = self->form));
    AIO_AWAIT(self->text, aio_response_text(self->r));
    self->post = (aio_response_task *)aio_create_task(aio_session_post(self->session, self->url,
                                                                       .form_data = self->form));
    REQUIRE(self->post);
    aio_form_unref(self->form);
    self->form = NULL;
    aio_task_cancel(self->post); /* before it begins */
    aio_unref(self->post);
    CHECK(strstr(self->text.data, "\r\nContent-Disposition: form-data; name=\"x%5C\"; "
                                  "filename=\"; name=%22y%0D%0AX: z%01%\"\r\n\r\n1\r\n--"));
    AIO_FINALLY;
        aio_form_unref(self->form);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* One post of many with the same form, after a while. */
struct forms_post { aio_task task; aio_session *session; const char *url; aio_form *form; double after; aio_response *r;
    aio_text text; int code; char why[100], got[400]; bool compress; };
static AIO_CORO(forms_post)
{
    AIO_BEGIN(forms_post);
    AIO_AWAIT(aio_sleep(self->after));
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form_data = self->form,
                                            .compress = self->compress ? AIO_CODING_GZIP : 0));
        AIO_AWAIT(self->text, aio_response_text(self->r));
        snprintf(self->got, sizeof self->got, "%s", self->text.data);
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
        if (self->code == ENOMEM) AIO_RERAISE();
        snprintf(self->why, sizeof self->why, "%s", aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->r);
    AIO_END;
}

/* A form with a producer, which takes 0.3 s, is sent by one request at a time, also within another form, or compressed:
 * whoever comes meanwhile is refused, whoever comes later has all of it, also when what came before was given up in the
 * middle. */
static bool forms_rewind(void *arg)
{
    ((struct pieces *)arg)->at = 0;
    return true;
}
struct forms_shared { aio_task task; aio_server *server; aio_session *session; aio_form *form, *outer;
    struct pieces made; char url[60]; struct forms_post *posts[4]; int i, n, sent; };
SCENARIO(forms_shared, .may = FORMS_MAY, .skip = KIND_CALL)
{
    static const struct { double after[4]; int code[4]; bool cancels, compress; } rows[] = {
        { { 0, 0, 0.15, 1 }, { 0, AIO_ERUNTIME, AIO_ERUNTIME, 0 }, false, false },
        { { 0, 0, 0.15, 1 }, { 0, AIO_ERUNTIME, AIO_ERUNTIME, 0 }, false, true },
        { { 0, 0.1, 0.5, 1 }, { 0, AIO_ERUNTIME, 0, 0 }, false, false },
        { { 0, 0.5, 1, 1.5 }, { AIO_ECANCELLED, 0, 0, 0 }, true, false },
    };
    AIO_BEGIN(forms_shared);
    AIO_AWAIT(self->server, aio_start_http_server(forms_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < 4; self->i++) {
        memset(&self->made, 0, sizeof self->made);
        self->made.text = "abcdef";
        self->made.step = 2;
        self->made.delay = 0.1;
        self->form = aio_form_open();
        REQUIRE(!aio_form_add(self->form, "a",
                              .producer = { .next = pieces_next, .rewind = forms_rewind, .arg = &self->made }));
        self->sent = 0;
        self->outer = aio_form_open();
        REQUIRE(!aio_form_add(self->outer, "in", .form = self->form) && !aio_form_add(self->outer, "b", .text = "x"));
        for (self->n = 0; self->n < 4; self->n++) {
            self->posts[self->n] = aio_create_task(AIO_CALL(forms_post, .session = self->session, .url = self->url,
                .form = self->n % 2 ? self->outer : self->form, .after = rows[self->i].after[self->n],
                .compress = rows[self->i].compress));
            REQUIRE(self->posts[self->n]);
        }
        AIO_AWAIT(aio_sleep(0.15));
        if (rows[self->i].cancels) aio_task_cancel(self->posts[0]);
        for (self->n = 0; self->n < 4; self->n++) {
            AIO_AWAIT(aio_wait(&self->posts[self->n], 1));
            const struct forms_post *post;
            post = self->posts[self->n];
            if (rows[self->i].cancels && !self->n) continue;
            self->sent += !post->code;
            bool either; /* of two that begin at once, only the order tells which */
            either = self->n < 2 && rows[self->i].after[0] == rows[self->i].after[1];
            if (either && self->n) CHECK_INT(self->sent, 1);
            if (!either) CHECK_INT(post->code, rows[self->i].code[self->n]);
            if (post->code) CHECK(strstr(post->why, "is sending for another request"));
            else CHECK(strstr(post->got, "\r\n\r\nabcdef\r\n--"));
        }
        aio_unref_all(self->posts, 4);
        memset(self->posts, 0, sizeof self->posts);
        aio_form_unref(self->outer);
        aio_form_unref(self->form);
        self->outer = self->form = NULL;
    }
    AIO_FINALLY;
        for (int i = 0; i < 4; i++)
            if (self->posts[i]) aio_task_cancel(self->posts[i]);
        aio_unref_all(self->posts, 4);
        aio_form_unref(self->outer);
        aio_form_unref(self->form);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* The first connection is once_site's; of another one the form is kept. */
static struct { int connections; char form[400]; } again_form;
struct again_form_site { aio_task task; aio_stream *stream; aio_text text; };
static AIO_CORO(again_form_site)
{
    AIO_BEGIN(again_form_site);
    if (!again_form.connections++) {
        AIO_AWAIT(AIO_CALL(once_site, .stream = self->stream));
        AIO_RETURN();
    }
    AIO_AWAIT(aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "--\r\n", 4));
    snprintf(again_form.form, sizeof again_form.form, "%s", self->text.data);
    aio_stream_write(self->stream, HEAD_5 "hello", strlen(HEAD_5 "hello"));
    AIO_END;
}
static void *again_form_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(again_form_site, .stream = stream);
}

/* A form whose kept connection is dead is sent once more, from its first field on. */
struct forms_resent { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_form *form;
    char url[60]; };
SCENARIO(forms_resent, .may = FORMS_MAY)
{
    AIO_BEGIN(forms_resent);
    memset(&again_form, 0, sizeof again_form);
    AIO_AWAIT(self->server, aio_start_server(again_form_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    REQUIRE(self->form = aio_form_open());
    REQUIRE(!aio_form_add(self->form, "a", .data = "one", .length = 3));
    REQUIRE(!aio_form_add(self->form, "b", .text = "two"));
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    AIO_AWAIT(aio_response_read(self->r));
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_put(self->session, self->url, .form_data = self->form));
    CHECK_INT(self->r->status, 200);
    CHECK(self->r->resent);
    CHECK(strstr(again_form.form, "\r\n\r\none\r\n--") && strstr(again_form.form, "\r\n\r\ntwo\r\n--"));
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_form_unref(self->form);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A field whose pieces are fewer or more than its length. */
struct forms_lengths { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_form *form;
    struct pieces made; char url[60]; int i; };
SCENARIO(forms_lengths, .may = FORMS_MAY)
{
    AIO_BEGIN(forms_lengths);
    AIO_AWAIT(self->server, aio_start_http_server(forms_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 4; self->i <= 6; self->i++) {
        memset(&self->made, 0, sizeof self->made);
        self->made.text = "piece";
        self->made.step = 2;
        aio_form_unref(self->form);
        self->form = aio_form_open();
        aio_form_add(self->form, "a", .producer = { .next = pieces_next, .arg = &self->made, .length = self->i });
        aio_form_add(self->form, "b", .producer = { .next = pieces_next, .arg = &self->made }); /* so it is in chunks */
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form_data = self->form));
            CHECK_INT(self->i, 5);
        } AIO_CATCH {
            CAUGHT(EINVAL);
            CHECK(self->i != 5 && strstr(aio_caught(self)->message, "a field's length is not that of its pieces"));
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_form_unref(self->form);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* What was refused first, or cannot be read, is named when it is sent. */
TEST(forms_say_what_is_refused)
{
    static const char *const split[] = { "a", "secret\nc: d", NULL };
    static const struct { const char *name; aio_form_field_options how; const char *why; } rows[] = {
        { "a", { .text = "", .type = "a\nb" }, "a: content type: a header value has a control character, at byte 1" },
        { "b", { .text = "", .headers = split }, "b: header a: a header value has a control character, at byte 6" },
        { "c", { .text = "", .file = "/x" }, "c: it has more than one content" },
        { "d", { .text = NULL }, "d: it has no content" }, { NULL, { .text = "" }, "without a name: it has no name" },
        { "e", { .text = "", .length = 1 }, "e: it has a length, but no data" },
        { "f", { .fd = -1 }, "f: fd or the producer's length is negative" },
        { "g", { .file = "/nonexistent/file" }, "g: its file cannot be read: /nonexistent/file" },
        { "h", { .file = "/" }, "h: its file is not a regular one: /" },
    };
    enum { REFUSED = 7 }; /* of the rows; the others are found when they are sent */
    char wanted[160];
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *s = aio_session_open();
    for (size_t i = 0; s && i < sizeof rows / sizeof *rows; i++) {
        aio_form *form = aio_form_open(), *outer = aio_form_open();
        aio_form_add_with(form, rows[i].name, &rows[i].how);
        if (aio_form_add_with(form, "later", &rows[i].how)) aio_form_add(form, "last");
        aio_form_add(outer, "outer", .form = form);
        for (int k = 0; k < 2; k++) {
            aio_future *f = (aio_future *)(void *)aio_session_post(s, "http://x/", .form_data = k ? outer : form);
            bool nested = k && i < REFUSED;
            snprintf(wanted, sizeof wanted, "POST http://x/: %sits form's field %s",
                     nested ? "its form's field outer: " : "", rows[i].why);
            aio_ref(f);
            CHECK(client_code(loop, f));
            CHECK_STR(aio_future_exception(f)->message, wanted);
            aio_unref(f);
        }
        aio_form_unref(form);
        aio_form_unref(outer);
    }
    CHECK_INT(client_code(loop, aio_session_close(s)), 0);
    aio_loop_free(loop);
}

/* What is refused is the code of sending it. */
/* What stands before a field's content. */
TEST(forms_heads)
{
    static const char *const own[] = { "content-disposition", "form-data; name=own", NULL };
    static const char *const typed[] = { "Content-type", "a/b", NULL };
    static const struct { bool mixed; const char *name; aio_form_field_options field; const char *head; } rows[] = {
        { false, "a", { .text = "" }, "Content-Disposition: form-data; name=\"a\"\r\n" },
        { false, "a", { .text = "", .filename = "\xc3\xa4" },
          "Content-Disposition: form-data; name=\"a\"; filename=\"\xc3\xa4\"\r\n" },
        { false, "a", { .text = "", .headers = own }, "content-disposition: form-data; name=own\r\n" },
        { false, "a", { .data = "", .headers = typed }, "Content-Disposition: form-data; name=\"a\"\r\nContent-type: a/b\r\n" },
        { false, "a", { .file = "/x/y.z" }, "Content-Disposition: form-data; name=\"a\"; filename=\"y.z\"\r\n"
          "Content-Type: application/octet-stream\r\n" },
        { false, "a", { .file = "y" }, "Content-Disposition: form-data; name=\"a\"; filename=\"y\"\r\n"
          "Content-Type: application/octet-stream\r\n" },
        { true, NULL, { .text = "", .type = "t/u" }, "Content-Type: t/u\r\n" },
        { true, "n", { .text = "" }, "Content-Disposition: attachment; name=\"n\"\r\n" },
        { true, NULL, { .text = "", .filename = "plain" }, "Content-Disposition: attachment; filename=\"plain\"\r\n" },
        { true, "n", { .text = "", .filename = "x\xc3\xa4" },
          "Content-Disposition: attachment; name=\"n\"; filename=\"x\xc3\xa4\"; filename*=UTF-8''x%C3%A4\r\n" },
    };
    char expected[300];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio__buffer out = { NULL, 0, 0, 0 };
        aio_form *form = aio_form_open(.subtype = rows[i].mixed ? "mixed" : NULL);
        CHECK(form && aio__form_head(form, &out, rows[i].name, &rows[i].field));
        snprintf(expected, sizeof expected, "--%s\r\n%s\r\n", form->boundary, rows[i].head);
        CHECK_BYTES(out.data, out.end, expected);
        aio__free(out.data);
        aio_form_unref(form);
    }
}

/* Texts alone go urlencoded; whatever else is said of one of them takes parts. */
TEST(forms_of_texts)
{
    static const char *const own[] = { "X", "1", NULL };
    const struct { aio_form_field_options field; bool texts; } rows[] = {
        { { .text = "1" }, true }, { { .text = "1", .type = "t/u" }, false }, { { .text = "1", .filename = "f" }, false },
        { { .text = "1", .headers = own }, false }, { { .data = "1", .length = 1 }, false } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_form *form = aio_form_open();
        CHECK_INT(aio_form_add_with(form, "a", &rows[i].field), 0);
        CHECK_INT(form->texts, rows[i].texts);
        aio_form_unref(form);
    }
}

static aio_text_task *forms_none(void *arg) { (void)arg; return NULL; }
TEST(forms_refused)
{
    static const char *const odd[] = { "a", NULL }, *const split[] = { "a", "b\r\nc: d", NULL },
                      *const framing[] = { "content-length", "1", NULL };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *s = aio_session_open(.limit = 1);
    aio_form *form = aio_form_open(), *deep = NULL;
    CHECK(s && form);
    CHECK_INT(aio_form_add(NULL, "a", .text = ""), ENOMEM);
    CHECK_INT(aio_form_add(form, "a", .text = "1"), 0);
    CHECK_INT(aio_form_add(form, NULL, .text = ""), EINVAL);
    CHECK_INT(aio_form_add(form, "a"), EINVAL);
    CHECK_INT(aio_form_add(form, "a", .text = "", .file = "/x"), EINVAL);
    CHECK_INT(aio_form_add(form, "a", .text = "", .length = 1), EINVAL);
    CHECK_INT(aio_form_add(form, "a", .fd = -1), EINVAL);
    const aio_producer producer = { .next = forms_none, .length = -1 };
    CHECK_INT(aio_form_add(form, "a", .producer = producer), EINVAL);
    CHECK_INT(aio_form_add(form, "a", .text = "", .type = "a\nb"), EINVAL);
    CHECK_INT(aio_form_add(form, "a", .text = "", .headers = odd), EINVAL);
    CHECK_INT(aio_form_add(form, "a", .text = "", .headers = split), EINVAL);
    CHECK_INT(aio_form_add(form, "a", .text = "", .headers = framing), EINVAL);
    CHECK_INT(aio_form_add(form, "a", .form = form), EINVAL);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .form_data = form)), EINVAL);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .form_data = form, .json_text = "")), EINVAL);
    aio_form_unref(form);
    aio_form_unref(NULL);
    CHECK(!aio_form_open(.subtype = "a b") && errno == EINVAL);
    CHECK(!aio_form_open(.subtype = "a23456789012345678901234567890123") && errno == EINVAL);
    form = aio_form_open(.subtype = "a2345678901234567890123456789012");
    CHECK(form && strstr(form->type, "multipart/a2345678901234567890123456789012; boundary="));
    aio_form_unref(form);
    for (int i = 0, code = 0; i < 17 && !code; i++) {
        form = aio_form_open();
        code = deep ? aio_form_add(form, "a", .form = deep) : aio_form_add(form, "a", .text = "");
        CHECK_INT(code, i < AIO__FORM_DEPTH ? 0 : EINVAL);
        aio_form_unref(deep);
        deep = form;
    }
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .form_data = deep)), EINVAL);
    aio_form_unref(deep);
    form = aio_form_open();
    deep = aio_form_open();
    CHECK_INT(aio_form_add(form, "a", .form = deep), 0);
    CHECK_INT(aio_form_add(deep, "b", .text = ""), AIO_ERUNTIME); /* it is a field now */
    aio_form_unref(deep);
    aio_form_unref(form);
    form = aio_form_open();
    deep = aio_form_open();
    CHECK_INT(aio_form_add(deep, "a"), EINVAL);
    CHECK_INT(aio_form_add(form, "a", .form = deep), EINVAL); /* what was refused in one is missing in both */
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .form_data = form)), EINVAL);
    aio_form_unref(deep);
    aio_form_unref(form);
    form = aio_form_open();
    CHECK_INT(aio_form_add(form, "a", .file = "/tmp/no such file/x"), 0);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://x/", .form_data = form)), ENOENT);
    aio_form_unref(form);
    CHECK_INT(client_code(loop, aio_session_close(s)), 0);
    aio_loop_free(loop);
}

/* ---- how a body goes ---- */

/* Compressed and in chunks, whatever it is made of; what has gone, and come, is told. */
struct forms_told { int64_t sent, sent_total, received, received_total; int calls; };
static void forms_on_sent(void *arg, int64_t done, int64_t total)
{
    struct forms_told *told = (struct forms_told *)arg;
    ALWAYS(done >= told->sent);
    told->sent = done;
    told->sent_total = total;
    told->calls++;
}
static void forms_on_received(void *arg, int64_t done, int64_t total)
{
    struct forms_told *told = (struct forms_told *)arg;
    ALWAYS(done >= told->received);
    told->received = done;
    told->received_total = total;
}
struct forms_ways { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text, plain;
    size_t i; char url[60], path[40]; int fd, code; aio_form *form; struct pieces made; struct forms_told told; };
static int forms_plain(aio_text text, aio_text *plain, bool coded, aio_text *body)
{
    const char *line = strchr(text.data, '\n') + 1;
    *body = aio__text(line, text.length - (size_t)(line - text.data));
    aio_text_clear(plain);
    if (!coded) return 0;
    int code = aio_inflate_all(plain, body->data, body->length, NULL);
    *body = *plain;
    return code;
}
SCENARIO(forms_ways, .may = FORMS_MAY)
{
    enum { DATA, MADE, FD, PATH };
    static const struct { int from, compress; bool chunked, told; const char *head; } rows[] = {
        { DATA, 0, false, true, "POST type=application/octet-stream length=10 coding=-- expect=-" },
        { DATA, 0, true, true, "POST type=application/octet-stream length=- coding=chunked- expect=-" },
        { DATA, AIO_CODING_GZIP, false, false,
          "POST type=application/octet-stream length=- coding=chunkedgzip expect=-" },
        { MADE, AIO_CODING_ZLIB, false, true,
          "POST type=application/octet-stream length=- coding=chunkeddeflate expect=-" },
        { MADE, 0, true, false, "POST type=application/octet-stream length=- coding=chunked- expect=-" },
        { FD, 0, false, true, "POST type=application/octet-stream length=10 coding=-- expect=-" },
        { FD, AIO_CODING_GZIP, false, true, "POST type=application/octet-stream length=- coding=chunkedgzip expect=-" },
        { PATH, AIO_CODING_GZIP, false, false,
          "POST type=application/octet-stream length=- coding=chunkedgzip expect=-" },
        { PATH, 0, true, true, "POST type=application/octet-stream length=- coding=chunked- expect=-" },
    };
    AIO_BEGIN(forms_ways);
    AIO_AWAIT(self->server, aio_start_http_server(forms_handler, NULL, "127.0.0.1", 0, .no_auto_decompress = true));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    snprintf(self->path, sizeof self->path, "/tmp/aio-way-%d-XXXXXX", (int)getpid());
    self->fd = mkstemp(self->path);
    if (self->fd <= 0 || write(self->fd, "ten bytes.", 10) != 10) AIO_RAISE(EIO);
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        aio_request_options o;
        memset(&o, 0, sizeof o);
        memset(&self->told, 0, sizeof self->told);
        memset(&self->made, 0, sizeof self->made);
        self->made.text = "ten bytes.";
        self->made.step = 3;
        if (rows[self->i].from == DATA) o.data = "ten bytes.", o.data_length = 10;
        if (rows[self->i].from == MADE) o.producer = (aio_producer){ pieces_next, NULL, &self->made, 10 };
        if (rows[self->i].from == FD) o.fd = self->fd;
        if (rows[self->i].from == PATH) o.file = self->path;
        o.compress = rows[self->i].compress;
        o.chunked = rows[self->i].chunked;
        if (rows[self->i].told) o.on_sent = forms_on_sent;
        if (rows[self->i].told) o.on_received = forms_on_received;
        o.progress_arg = &self->told;
        AIO_AWAIT(self->r, aio_session_request_with(self->session, "POST", self->url, &o));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK(!strncmp(self->text.data, rows[self->i].head, strlen(rows[self->i].head)));
        {
            aio_text body;
            REQUIRE(!forms_plain(self->text, &self->plain, rows[self->i].compress != 0, &body));
            CHECK_BYTES(body.data, body.length, "ten bytes.");
        }
        if (rows[self->i].told) {
            CHECK(rows[self->i].compress ? self->told.sent > 0 : self->told.sent == 10);
            CHECK_INT(self->told.sent_total, rows[self->i].compress ? -1 : 10);
            CHECK_INT(self->told.received, (int64_t)self->text.length);
            CHECK_INT(self->told.received_total, (int64_t)self->text.length);
        } else {
            CHECK_INT(self->told.calls, 0);
        }
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        if (self->fd > 0) close(self->fd);
        unlink(self->path);
        aio_text_clear(&self->plain);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* What can be sent again is, from its beginning, where a redirect leads. */
struct forms_again { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text, plain;
    char url[60], path[40]; int fd, i; struct pieces made; aio_form *form; };
SCENARIO(forms_again, .may = FORMS_MAY)
{
    enum { DATA, FD, PATH, MADE, FORM, NEVER, NEVER_CODED, NEVER_FORM, KINDS };
    AIO_BEGIN(forms_again);
    AIO_AWAIT(self->server, aio_start_http_server(forms_handler, NULL, "127.0.0.1", 0, .no_auto_decompress = true));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/again", aio_server_port(self->server));
    snprintf(self->path, sizeof self->path, "/tmp/aio-again-%d-XXXXXX", (int)getpid());
    self->fd = mkstemp(self->path);
    if (self->fd <= 0 || write(self->fd, "ten bytes.", 10) != 10) AIO_RAISE(EIO);
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < KINDS; self->i++) {
        aio_request_options o;
        memset(&o, 0, sizeof o);
        memset(&self->made, 0, sizeof self->made);
        self->made.text = "ten bytes.";
        self->made.step = 3;
        self->made.rewound = self->i >= NEVER; /* then it refuses to begin again */
        aio_form_unref(self->form);
        self->form = aio_form_open(.multipart = true);
        aio_producer producer;
        producer = (aio_producer){ pieces_next, pieces_rewind, &self->made, 0 };
        REQUIRE(self->form);
        REQUIRE(!aio_form_add(self->form, "a", .producer = producer));
        if (self->i == DATA) o.data = "ten bytes.", o.data_length = 10;
        if (self->i == FD) o.fd = self->fd;
        if (self->i == PATH) o.file = self->path;
        if (self->i == MADE || self->i == NEVER || self->i == NEVER_CODED) o.producer = producer;
        if (self->i == FORM || self->i == NEVER_FORM) o.form_data = self->form;
        else if (self->i != NEVER) o.compress = AIO_CODING_GZIP;
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_request_with(self->session, "POST", self->url, &o));
            AIO_AWAIT(self->text, aio_response_read(self->r));
            CHECK(self->i < NEVER);
            CHECK_INT(self->r->history_count, 1);
            aio_text body;
            REQUIRE(!forms_plain(self->text, &self->plain, self->i != FORM, &body));
            if (self->i == FORM) CHECK(strstr(body.data, "\r\n\r\nten bytes.\r\n--"));
            else CHECK_BYTES(body.data, body.length, "ten bytes.");
        } AIO_CATCH {
            CAUGHT(AIO_EPAYLOAD);
            CHECK(seam.fired || self->i >= NEVER);
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        if (self->fd > 0) close(self->fd);
        unlink(self->path);
        aio_text_clear(&self->plain);
        aio_form_unref(self->form);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A file is open, and has a buffer, from its first piece to its last; descriptor 0 is one like others. What cannot be
 * read ends with its error, and is not asked again and again. */
TEST(forms_source_of_a_file)
{
    char path[60] = "/tmp/aio-source-XXXXXX";
    int fd = mkstemp(path), kept = dup(0);
    aio__source *source = NULL;
    const char *reason = "";
    aio_text piece = { "", 0 };
    CHECK_INT(write(fd, "ten bytes.", 10), 10);
    close(fd);
    CHECK_INT(aio__source_of_file(path, -1, false, &source, &reason), 0);
    aio__source_file *file = AIO__CONTAINER(source, aio__source_file, base);
    close(0);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(file->fd, -1);
        CHECK_INT(source->kind->step(source, NULL, &piece), 0);
        CHECK_BYTES(piece.data, piece.length, "ten bytes.");
        CHECK_INT(file->fd, 0);
        CHECK_INT(source->kind->step(source, NULL, &piece), 0);
        CHECK_INT(piece.length, 0);
        CHECK(file->fd == -1 && !file->buffer && fcntl(0, F_GETFD) < 0);
        CHECK(aio__source_rewind(source));
    }
    if (kept >= 0) dup2(kept, 0), close(kept);
    aio__source_free(source);
    fd = open(path, O_WRONLY);
    CHECK_INT(aio__source_of_file(NULL, fd, false, &source, &reason), 0);
    CHECK_INT(source->kind->step(source, NULL, &piece), EBADF);
    CHECK_STR(source->problem, "its file cannot be read");
    aio__source_free(source);
    CHECK(fcntl(fd, F_GETFD) >= 0); /* it stays its owner's */
    close(fd);
    unlink(path);
}

/* Many fields, which are gathered: all of them come, in order, of any size. */
struct forms_many { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    char url[60]; aio_form *form; int i; size_t at; };
SCENARIO(forms_many, .may = FORMS_MAY)
{
    enum { MANY = 60 };
    char name[20];
    AIO_BEGIN(forms_many);
    memset(forms_long, 'x', sizeof forms_long - 1);
    AIO_AWAIT(self->server, aio_start_http_server(forms_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    self->form = aio_form_open(.multipart = true);
    REQUIRE(self->session && self->form);
    for (self->i = 0; self->i < MANY; self->i++) {
        snprintf(name, sizeof name, "n%d", self->i);
        REQUIRE(!aio_form_add(self->form, name, .data = forms_long, .length = (size_t)self->i * 20, .borrow = true));
    }
    AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form_data = self->form));
    AIO_AWAIT(self->text, aio_response_read(self->r));
    const char *at;
    at = self->text.data;
    for (int i = 0; at && i < MANY; i++) {
        snprintf(name, sizeof name, "; name=\"n%d\"", i);
        at = strstr(at, name);
        at = at ? strstr(at, "\r\n\r\n") : NULL;
        if (!CHECK(at != NULL)) break;
        CHECK_INT(strspn(at += 4, "x"), (size_t)i * 20);
    }
    const char *end;
    end = at ? strstr(at, "--\r\n") : NULL;
    CHECK(end && end[4] == '\0');
    AIO_FINALLY;
        aio_form_unref(self->form);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Servers that answer an Expect: with 100, late, never, with a refusal, with 417. */
static struct forms_expects { int says, heads, bodies; } forms_expected;
enum { EXPECT_100, EXPECT_NOTHING, EXPECT_403, EXPECT_417 };
struct expecting { aio_task task; aio_stream *stream; aio_text text; bool asked; };
static AIO_CORO(expecting)
{
    AIO_BEGIN(expecting);
    AIO_TRY {
        AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
        forms_expected.heads++;
        self->asked = memmem(self->text.data, self->text.length, "\r\nExpect: 100-continue\r\n", 24) != NULL;
        if (self->asked && forms_expected.says == EXPECT_100)
            aio_stream_write(self->stream, "HTTP/1.1 100 Go\r\n\r\n", 19);
        if (self->asked && forms_expected.says >= EXPECT_403) {
            aio_stream_write(self->stream, forms_expected.says == EXPECT_403 ? "HTTP/1.1 403" : "HTTP/1.1 417", 12);
            aio_stream_write(self->stream, " No\r\nContent-Length: 2\r\n\r\nno", 28);
            AIO_AWAIT(self->text, aio_stream_read(self->stream, 4));
            forms_expected.bodies += self->text.length != 0;
            AIO_RETURN();
        }
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 4));
        forms_expected.bodies++;
        aio_stream_write(self->stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 41);
    } AIO_CATCH_CODE(AIO_EINCOMPLETE) { } AIO_END_TRY;
    AIO_END;
}
static void *expecting_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(expecting, .stream = stream);
}
struct forms_expect { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text; size_t i;
    char url[60]; double began; struct forms_told told; };
SCENARIO(forms_expect, .may = CLIENT_MAY)
{
    static const struct { int says, status, heads, bodies; double seconds; } rows[] = {
        { EXPECT_100, 200, 1, 1, 0 }, { EXPECT_NOTHING, 200, 1, 1, 7 }, { EXPECT_403, 403, 1, 0, 0 },
        { EXPECT_417, 200, 2, 1, 0 },
    };
    AIO_BEGIN(forms_expect);
    AIO_AWAIT(self->server, aio_start_server(expecting_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < 2 * sizeof rows / sizeof *rows; self->i++) {
        memset(&forms_expected, 0, sizeof forms_expected);
        forms_expected.says = rows[self->i / 2].says;
        memset(&self->told, 0, sizeof self->told);
        self->began = aio_loop_time(aio_get_running_loop());
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .data = "body", .data_length = 4,
                                            .expect100 = true, .expect100_timeout = 7,
                                            .on_sent = self->i % 2 ? forms_on_sent : NULL,
                                            .progress_arg = &self->told));
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, rows[self->i / 2].seconds, 0.5);
        CHECK_INT(self->r->status, rows[self->i / 2].status);
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_INT(self->text.length, 2);
        aio_response_release(self->r);
        self->r = NULL;
        AIO_AWAIT(aio_sleep(0));
        CHECK_INT(aio_session_idle(self->session) <= 1, 1);
        AIO_AWAIT(aio_sleep(1));
        CHECK_INT(forms_expected.heads, rows[self->i / 2].heads);
        CHECK_INT(forms_expected.bodies, rows[self->i / 2].bodies);
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* Without a 100 the body goes out late, from a producer, too; from then on the answer has sock_read seconds, and not
 * more where there is no memory to begin either. */
struct forms_expect_late { aio_task task; aio_server *servers[2]; aio_session *session; aio_response *r; aio_text text;
    struct pieces from; int i; char url[60]; double began; };
SCENARIO(forms_expect_late, .may = { EPIPE, ECONNRESET, ENOTCONN, AIO_EDISCONNECTED, AIO_EPAYLOAD, ECONNABORTED,
                                     AIO_EINCOMPLETE, AIO_ETIMEOUT })
{
    static const char *const nothing[] = { NULL };
    AIO_BEGIN(forms_expect_late);
    memset(&forms_expected, 0, sizeof forms_expected);
    forms_expected.says = EXPECT_NOTHING;
    self->from.text = "body";
    self->from.step = 4;
    AIO_AWAIT(self->servers[0], aio_start_server(expecting_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->servers[1], aio_start_server(says_early_handler, (void *)(uintptr_t)nothing, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    for (self->i = 0; self->i < 3; self->i++) {
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->servers[self->i / 2]));
        self->began = aio_loop_time(aio_get_running_loop());
        AIO_TRY {
            if (self->i) AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .data = "body", .data_length = 4,
                .timeout = { .sock_read = 3 }, .expect100 = true, .expect100_timeout = 7));
            else AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .timeout = { .sock_read = 3 },
                .producer = { .next = pieces_next, .arg = &self->from, .length = 4 },
                .expect100 = true, .expect100_timeout = 7));
            CHECK(self->i < 2);
            CHECK_INT(self->r->status, 200);
        } AIO_CATCH {
            if (self->i < 2) AIO_RERAISE();
            CAUGHT(AIO_ETIMEOUT);
            CHECK_STR(aio_caught(self)->phase, "headers");
        } AIO_END_TRY;
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, self->i < 2 ? 7 : 10, 0.5);
        CHECK_INT(forms_expected.bodies, self->i < 2 ? self->i + 1 : 2);
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        ALWAYS(self->began == 0 || aio_loop_time(aio_get_running_loop()) - self->began < 11);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        for (self->i = 0; self->i < 2; self->i++) {
            aio_server_abort_clients(self->servers[self->i]);
            if (self->servers[self->i]) AIO_AWAIT(aio_server_wait_closed(self->servers[self->i]));
        }
    AIO_END;
}

/* What is no file is not waited for. */
TEST(forms_no_fifo)
{
    char path[60];
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *s = aio_session_open(.limit = 1);
    aio_form *form = aio_form_open();
    CHECK(s && form);
    CHECK(aio_form_ref(form) == form && !aio_form_ref(NULL));
    aio_form_unref(form);
    snprintf(path, sizeof path, "/tmp/aio-fifo-%d-%d", (int)getpid(), rand());
    CHECK_INT(mkfifo(path, 0600), 0);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://127.0.0.1:1/", .file = path)), EINVAL);
    CHECK_INT(aio_form_add(form, "a", .file = path), 0);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://127.0.0.1:1/", .form_data = form)), EINVAL);
    CHECK_INT(client_code(loop, aio_session_post(s, "http://127.0.0.1:1/", .json_text = "1",
                                                 .compress = AIO_CODING_RAW)),
              EINVAL);
    static const char *const coded[] = { "content-encoding", "gzip", NULL };
    CHECK_INT(client_code(loop, aio_session_post(s, "http://127.0.0.1:1/", .json_text = "1",
                                                 .compress = AIO_CODING_GZIP, .headers = coded)),
              EINVAL);
    unlink(path);
    aio_form_unref(form);
    CHECK_INT(client_code(loop, aio_session_close(s)), 0);
    aio_loop_free(loop);
}

/* ---- the source of a form's body, asked piece by piece ---- */

/* A producer that is not awaited: three bytes at a time, and as many times from the beginning as it lets itself be. */
static struct forms_fake { const char *text; size_t at; int rewound, most; } forms_fake;
static bool forms_fake_rewind(void *arg)
{
    (void)arg;
    if (forms_fake.rewound == forms_fake.most) return false;
    forms_fake.rewound++;
    forms_fake.at = 0;
    return true;
}
/* The next piece of a source, without a task. */
static int forms_step(aio__source *source, aio_text *piece)
{
    int code = source->kind->step(source, NULL, piece);
    while (code == AIO__MORE) {
        aio_text fed = { "", 0 };
        if (source->from->producer.next) {
            size_t left = strlen(forms_fake.text) - forms_fake.at;
            fed = aio__text(forms_fake.text + forms_fake.at, left < 3 ? left : 3);
            forms_fake.at += fed.length;
        } else {
            code = forms_step(source->from, &fed);
            if (code) return code;
        }
        code = source->kind->step(source, &fed, piece);
    }
    return code;
}
/* The rest of what a source gives. 0 or a code. */
static int forms_rest(aio__source *source, aio__buffer *body)
{
    aio_text piece = { "", 0 };
    int code;
    while (!(code = forms_step(source, &piece)) && piece.length)
        CHECK(aio__buffer_append(body, piece.data, piece.length));
    return code;
}
static int forms_whole(aio__source *source, const char *expected)
{
    aio__buffer body = { NULL, 0, 0, 0 };
    int code = forms_rest(source, &body);
    if (!code) CHECK_BYTES(body.data, body.end, expected);
    aio__free(body.data);
    return code;
}

/* A form's producer is one request's from its first piece to its last; who comes after that has it begin anew, once. */
TEST(forms_source_takes_turns)
{
    const char *reason = "";
    char expected[400];
    aio_text piece;
    aio__source *a, *b, *c;
    aio_form *form = aio_form_open();
    if (!CHECK(form)) return;
    forms_fake = (struct forms_fake){ "made here", 0, 0, 100 };
    CHECK_INT(aio_form_add(form, "a", .text = "one"), 0);
    CHECK_INT(aio_form_add(form, "p", .type = "t/p",
                           .producer = { .next = forms_none, .rewind = forms_fake_rewind }), 0);
    CHECK_INT(aio_form_add(form, "b", .text = "two"), 0);
    snprintf(expected, sizeof expected, "--%s\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n"
        "--%s\r\nContent-Disposition: form-data; name=\"p\"\r\nContent-Type: t/p\r\n\r\nmade here\r\n"
        "--%s\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\ntwo\r\n--%s--\r\n",
        form->boundary, form->boundary, form->boundary, form->boundary);
    if (!CHECK_INT(aio__form_source_of(form, &a, &reason) | aio__form_source_of(form, &b, &reason), 0)) return;
    CHECK_INT(forms_step(a, &piece), 0);
    CHECK_INT(forms_step(b, &piece), AIO_ERUNTIME);
    CHECK_STR(b->problem, "a producer of its form is sending for another request");
    CHECK(!aio__source_rewind(b));
    CHECK_INT(aio__form_source_of(form, &c, &reason), AIO_ERUNTIME);
    CHECK_STR(reason, "a producer of its form is sending for another request");
    CHECK_INT(forms_fake.rewound, 0);
    CHECK(aio__source_rewind(a)); /* it is its own */
    CHECK_INT(forms_whole(a, expected), 0);
    CHECK_INT(forms_fake.rewound, 1);
    CHECK_INT(forms_whole(b, expected), 0); /* which was ready before the other one had begun */
    CHECK_INT(forms_fake.rewound, 2);
    CHECK(aio__source_rewind(b));
    CHECK_INT(forms_whole(b, expected), 0);
    CHECK_INT(forms_fake.rewound, 3); /* not twice */
    CHECK(aio__source_rewind(a));
    CHECK_INT(forms_step(a, &piece), 0);
    aio__source_free(a); /* in the middle */
    CHECK_INT(forms_whole(b, ""), 0); /* it has ended */
    aio__source_free(b);
    if (!CHECK_INT(aio__form_source_of(form, &a, &reason) | aio__form_source_of(form, &b, &reason), 0)) return;
    CHECK_INT(forms_fake.rewound, 6);
    forms_fake.most = 6;
    CHECK_INT(forms_whole(a, expected), 0);
    CHECK_INT(forms_step(b, &piece), AIO_EPAYLOAD);
    CHECK_STR(b->problem, "a producer of its form cannot begin again");
    CHECK(!aio__source_rewind(a));
    CHECK_INT(aio__form_source_of(form, &c, &reason), AIO_EPAYLOAD);
    CHECK_STR(reason, "a producer of its form cannot begin again");
    aio__source_free(a);
    aio__source_free(b);
    aio_form_unref(form);
}

/* Without a producer a form is everybody's at once, whatever else is in it. */
TEST(forms_source_of_many)
{
    const char *reason = "";
    char expected[900], parts[300], path[60] = "/tmp/aio-many-XXXXXX", changing[] = "two";
    aio_text piece;
    aio__source *sources[3];
    int fd = mkstemp(path);
    CHECK_INT(write(fd, "ten bytes.", 10), 10);
    aio_form *inner = aio_form_open(.subtype = "mixed"), *form = aio_form_open();
    if (!CHECK(form && inner)) return;
    CHECK_INT(aio_form_add(inner, NULL, .text = "one"), 0);
    CHECK_INT(aio_form_add(inner, NULL, .data = changing, .length = 3, .type = "t/u"), 0);
    memcpy(changing, "xxx", 3); /* it was copied */
    CHECK_INT(aio_form_add(form, "in", .form = inner), 0);
    CHECK_INT(aio_form_add(form, "fd", .fd = fd), 0);
    CHECK_INT(aio_form_add(form, "last", .text = ""), 0);
    const char *in = inner->boundary, *out = form->boundary;
    snprintf(parts, sizeof parts, "--%s\r\n\r\none\r\n--%s\r\nContent-Type: t/u\r\n\r\ntwo\r\n--%s--\r\n", in, in, in);
    snprintf(expected, sizeof expected, "--%s\r\nContent-Disposition: form-data; name=\"in\"\r\n"
        "Content-Type: multipart/mixed; boundary=%s\r\n\r\n%s\r\n--%s\r\n"
        "Content-Disposition: form-data; name=\"fd\"\r\n"
        "Content-Type: application/octet-stream\r\n\r\nten bytes.\r\n--%s\r\n"
        "Content-Disposition: form-data; name=\"last\"\r\n\r\n\r\n--%s--\r\n", out, in, parts, out, out, out);
    for (int i = 0; i < 3; i++) {
        if (!CHECK_INT(aio__form_source_of(form, &sources[i], &reason), 0)) return;
        CHECK_INT(aio__source_length(sources[i]), (int64_t)strlen(expected));
        CHECK_INT(forms_step(sources[i], &piece), 0); /* and the others go on from where they are */
        CHECK(aio__source_can_rewind(sources[i]) && aio__source_rewind(sources[i]));
    }
    for (int i = 0; i < 3; i++) CHECK_INT(forms_whole(sources[i], expected), 0);
    for (int i = 0; i < 3; i++) aio__source_free(sources[i]);
    aio_form_unref(form);
    aio_form_unref(inner);
    close(fd);
    unlink(path);
}

/* Heads and short data go together, no piece with more than is gathered and one field; long data go as they are. */
TEST(forms_source_gathers)
{
    enum { SHORT = AIO__FORM_GATHER, LONG = AIO__FORM_GATHER + 1, MANY = 50, HEAD = 200 };
    static char data[LONG + 1];
    const char *reason = "";
    aio_text piece;
    aio__source *source;
    size_t n = 0, bytes = 0;
    aio_form *form = aio_form_open();
    if (!CHECK(form)) return;
    memset(data, 'x', LONG);
    CHECK_INT(aio_form_add(form, "short", .data = data, .length = SHORT, .borrow = true), 0);
    CHECK_INT(aio_form_add(form, "long", .data = data, .length = LONG, .borrow = true), 0);
    for (int i = 0; i < MANY; i++)
        CHECK_INT(aio_form_add(form, "many", .data = data, .length = 1000, .borrow = true), 0);
    if (!CHECK_INT(aio__form_source_of(form, &source, &reason), 0)) return;
    CHECK_INT(forms_step(source, &piece), 0);
    CHECK(piece.length > SHORT && piece.length < SHORT + HEAD);
    bytes += piece.length;
    CHECK_INT(forms_step(source, &piece), 0);
    CHECK(piece.length < HEAD); /* the head of what is long */
    bytes += piece.length;
    CHECK_INT(forms_step(source, &piece), 0);
    CHECK(piece.data == data && piece.length == LONG);
    bytes += piece.length;
    while (!forms_step(source, &piece) && piece.length) {
        CHECK(piece.length < AIO__FORM_GATHER + 1000 + HEAD);
        bytes += piece.length;
        n++;
    }
    CHECK_INT(n, 4); /* of 50 kB */
    CHECK_INT(bytes, aio__source_length(source));
    aio__source_free(source);
    aio_form_unref(form);
}

/* What a form's texts have become stays as it is until the form ends, and nothing can come to it any more; memory that
 * is not there for it may be there the next time. */
TEST(forms_sealed)
{
    const char *reason = "";
    aio_text body = { NULL, 0 }, later = { NULL, 0 };
    aio_form *form = aio_form_open();
    if (!CHECK(form)) return;
    CHECK_INT(aio_form_add(form, "a", .text = "1&"), 0);
    CHECK_INT(aio_form_add(form, "b", .text = forms_long), 0);
    char *expected = (char *)malloc(sizeof forms_long + 20);
    sprintf(expected, "a=1%%26&b=%s", forms_long);
    int code = ENOMEM;
    for (long n = 1; code == ENOMEM && n < 50; n++) {
        seam.fail_alloc = seam.allocations + n;
        code = aio__form_seal(form, &reason);
        bool failed = seam.touched != 0;
        seam.fail_alloc = seam.touched = 0;
        CHECK_INT(code == ENOMEM, failed);
    }
    CHECK(aio__form_is_text(form, &body));
    CHECK_BYTES(body.data, body.length, expected);
    CHECK_STR(aio__form_type(form), "application/x-www-form-urlencoded");
    CHECK_INT(aio_form_add(form, "c", .text = ""), AIO_ERUNTIME);
    CHECK_INT(aio__form_seal(form, &reason), 0);
    CHECK(aio__form_is_text(form, &later) && later.data == body.data && later.length == body.length);
    aio_form_unref(form);
    free(expected);
}

/* A form is as deep as the deepest that is in it, whatever comes after that. */
TEST(forms_depth)
{
    aio_form *deep = aio_form_open(), *flat = aio_form_open();
    CHECK_INT(aio_form_add(deep, "a", .text = ""), 0);
    CHECK_INT(aio_form_add(flat, "a", .text = ""), 0);
    for (int i = 1; i < AIO__FORM_DEPTH; i++) {
        aio_form *outer = aio_form_open();
        CHECK_INT(aio_form_add(outer, "deep", .form = deep), 0);
        if (i > 1) CHECK_INT(aio_form_add(outer, "flat", .form = flat), 0);
        aio_form_unref(deep);
        deep = outer;
    }
    aio_form *outer = aio_form_open();
    CHECK_INT(aio_form_add(outer, "deep", .form = deep), EINVAL);
    CHECK_STR(aio__problem_said(&outer->problem), "its form's field deep: forms are in each other too deeply");
    aio_form_unref(outer);
    aio_form_unref(deep);
    aio_form_unref(flat);
}

/* Names of any length, each byte of which becomes three: the head is what it says, in the room that it has. Without
 * memory, at any of its bytes, there is none. */
TEST(forms_heads_grow)
{
    enum { LONGEST = 300 };
    static const char *const own[] = { "X-Own", "yes", NULL };
    char name[LONGEST + 1], coded[3 * LONGEST + 1] = "", expected[8 * LONGEST + 300];
    aio_form *form = aio_form_open(.subtype = "mixed");
    if (!CHECK(form)) return;
    for (int n = 1; n <= LONGEST; n++) {
        aio__buffer out = { NULL, 0, 0, 0 };
        memset(name, '"', (size_t)n);
        name[n] = 0;
        memcpy(coded + 3 * (n - 1), "%22", 4);
        CHECK(aio__form_parameter(&out, "; name=\"", name));
        snprintf(expected, sizeof expected, "; name=\"%s\"", coded);
        CHECK_BYTES(out.data, out.end, expected);
        if (!CHECK(out.end <= out.capacity)) return;
        out.end = 0;
        memset(name, 0xFF, (size_t)n);
        CHECK(aio__form_extended(&out, name));
        if (!CHECK(out.end <= out.capacity)) return;
        aio__free(out.data);
    }
    aio_form_field_options field = { .data = "", .filename = "x\xc3\xa4", .headers = own };
    for (int i = 0; i < 2; i++) {
        field.type = i ? "t/u" : NULL;
        snprintf(expected, sizeof expected, "--%s\r\nContent-Disposition: attachment; name=\"n\"; "
                 "filename=\"x\xc3\xa4\"; filename*=UTF-8''x%%C3%%A4\r\nContent-Type: %s\r\nX-Own: yes\r\n\r\n",
                 form->boundary, i ? "t/u" : "application/octet-stream");
        for (size_t room = 1; room <= strlen(expected) + 6; room++) {
            aio__buffer out = { (char *)aio__malloc(room), 0, 0, room };
            seam.fail_alloc = seam.allocations + 1;
            bool stored = aio__form_head(form, &out, "n", &field), failed = seam.touched != 0;
            seam.fail_alloc = seam.touched = 0;
            CHECK_INT(!stored, failed);
            if (stored) CHECK_BYTES(out.data, out.end, expected);
            aio__free(out.data);
        }
    }
    aio_form_unref(form);
}

/* Without memory there is no form, and no field of it, which sending it then says. */
TEST(forms_without_memory)
{
    const char *reason = "";
    aio_form *form = NULL;
    errno = 0;
    seam.fail_alloc = seam.allocations + 1;
    form = aio_form_open();
    seam.fail_alloc = seam.touched = 0;
    CHECK(!form && errno == ENOMEM);
    form = aio_form_open();
    if (!CHECK(form)) return;
    for (int n = 1; n <= 2; n++) { /* the field, its head */
        seam.fail_alloc = seam.allocations + n;
        int code = aio_form_add(form, "a", .data = "x", .length = 1);
        seam.fail_alloc = seam.touched = 0;
        CHECK_INT(code, ENOMEM);
    }
    CHECK_INT(form->count, 0);
    CHECK_INT(aio__form_seal(form, &reason), ENOMEM);
    CHECK_STR(reason, "its form's field a: out of memory");
    aio_form_unref(form);
}
