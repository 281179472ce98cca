/* Forms that a server gets: pairs and parts, limits, charsets, what the client is told. */

/* All fields, one a line: name, ':' and value, and of a file its name and type. */
static void post_write(const aio_post *post, char *out, size_t room)
{
    size_t position = 0, n = 0;
    const aio_post_field *field;
    while ((field = aio_post_next(post, &position))) {
        CHECK(!field->value.data[field->value.length]);
        n += (size_t)snprintf(out + n, room - n, "%s:", field->name);
        for (size_t i = 0; i < field->value.length && n + 1 < room; i++)
            out[n++] = field->value.data[i] ? field->value.data[i] : '@';
        if (field->filename || strcmp(field->type, "text/plain"))
            n += (size_t)snprintf(out + n, room - n, " (%s %s)", field->filename ? field->filename : "-",
                                  field->type);
        n += (size_t)snprintf(out + n, room - n, "\n");
    }
}

struct post_show {
    aio_task task; aio_request *request; aio_post_options limits; const aio_post *post, *again; char out[600];
};
static AIO_CORO(post_show)
{
    AIO_BEGIN(post_show);
    AIO_AWAIT(self->post, aio_request_post_with(self->request, &self->limits));
    AIO_AWAIT(self->again, aio_request_post_with(self->request, NULL));
    CHECK(self->post == self->again);
    post_write(self->post, self->out, sizeof self->out);
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->out));
    AIO_END;
}
static void *post_handler(aio_request *request, void *limits)
{
    return AIO_CALL(post_show, .request = request, .limits = *(const aio_post_options *)limits);
}

#define POST_PAIRS "application/x-www-form-urlencoded"
#define POST_PARTS "multipart/form-data; boundary=b"
#define POST_PART(fields) "--b\r\nContent-Disposition: form-data; " fields "\r\n"
/* A charset's name of as many letters as one may have. */
#define POST_LONG "n12345678901234567890123456789012345678901234567890123456789012"
static const struct { const char *type, *body; int status; const char *answer; } post_cases[] = {
    { POST_PAIRS, "a=1&b=x+y%21&&c&=d&a=%00", 200, "a:1\nb:x y!\nc:\n:d\na:@\n" },
    { POST_PAIRS, "a=b=c&%C3%A4=%C3%B6;x", 200, "a:b=c\n\303\244:\303\266;x\n" },
    { POST_PAIRS, "", 200, "" },
    { POST_PAIRS "; charset=ISO-8859-1", "a=%E4", 200, "a:\303\244\n" },
    { POST_PARTS, POST_PART("name=a") "\r\n1\r\n" POST_PART("name=\"f\"; filename=\"x y.txt\"")
      "Content-Type: Text/HTML; q=1\r\n\r\n\xff\0z\r\n--b--", 200, "a:1\nf:\xff@z (x y.txt text/html)\n" },
    { POST_PARTS, POST_PART("name=a; filename=\"\"") "Content-Type: application/octet-stream\r\n\r\n\r\n--b--", 200,
      "a: (- application/octet-stream)\n" },
    { POST_PARTS, POST_PART("name=_charset_") "\r\niso-8859-1\r\n" POST_PART("name=a") "\r\n\xe4\r\n" POST_PART("name=b")
      "Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xb6\r\n--b--", 200,
      "_charset_:iso-8859-1\na:\303\244\nb:\303\266\n" },
    { POST_PARTS, "--b--", 200, "" },
    { "text/plain", "a=1", 415, "415: form: the content is not a form but text/plain\n" },
    { "", "a=1", 415, "415: form: there is no Content-Type\n" },
    { POST_PAIRS, "a=%E4", 400, "400: form: field \"a\" is not valid UTF-8 at byte 0\n" },
    { POST_PAIRS "; charset=" POST_LONG "0", "a=%C3%A4", 200, "a:\303\244\n" }, /* as if there was none */
    { POST_PAIRS "; charset=" POST_LONG, "a=1", 415,
      "415: form: field \"a\" has the charset " POST_LONG ", which there is not\n" },
    { POST_PAIRS "; charset=none", "a=1", 415, "415: form: field \"a\" has the charset none, which there is not\n" },
    { POST_PAIRS, "a%00b=1", 400, "400: form: field \"a\" has a NUL in its name\n" },
    { POST_PAIRS, "a=1&b=12345678901", 413, "413: form: field \"b\" is longer than the limit of 10 bytes\n" },
    { POST_PAIRS, "a=1&b=2&c=3&d=4&e=5&f=6", 413, "413: form: it has more than 5 fields\n" },
    { "multipart/form-data", "", 400, "400: form: it has no valid boundary\n" },
    { POST_PARTS, POST_PART("filename=x") "\r\n\r\n--b--", 400, "400: form: a part has no name\n" },
    { POST_PARTS, POST_PART("name=a") "\r\n12345678901\r\n--b--", 413,
      "413: form: field \"a\" is longer than the limit of 10 bytes\n" },
    { POST_PARTS, POST_PART("name=a; filename=x") "\r\n123456789012345678901\r\n--b--", 413,
      "413: form: field \"a\" is longer than the limit of 20 bytes\n" },
    { POST_PARTS, POST_PART("name=a") "\r\n1234567890\r\n--b--", 200, "a:1234567890\n" }, /* as long as they may be */
    { POST_PAIRS, "a=1234567890", 200, "a:1234567890\n" },
    { POST_PAIRS, "a=1&b=2&c=3&d=4&e=5", 200, "a:1\nb:2\nc:3\nd:4\ne:5\n" },
    { POST_PARTS, POST_PART("name=a"), 400, "400: multipart: the body ends before the last delimiter, in part 1\n" },
    { POST_PARTS, POST_PART("name=a") "\r\n\xe4\r\n--b--", 400, "400: form: field \"a\" is not valid UTF-8 at byte 0\n" },
};

/* With a length, or in chunks, and a body of `length` bytes, or of a text. Gives how long it is. */
static size_t post_say(char *out, size_t room, const char *type, const char *body, size_t length, bool chunked)
{
    size_t n = (size_t)snprintf(out, room, "POST /post HTTP/1.1\r\nHost: h\r\n%s%s%s", *type ? "Content-Type: " : "", type,
                                *type ? "\r\n" : "");
    if (chunked && length)
        n += (size_t)snprintf(out + n, room - n, "Transfer-Encoding: chunked\r\n\r\n%x\r\n", (unsigned)length);
    else n += (size_t)snprintf(out + n, room - n, "Content-Length: %u\r\n\r\n", (unsigned)length);
    memcpy(out + n, body, length);
    n += length;
    return chunked && length ? n + (size_t)snprintf(out + n, room - n, "\r\n0\r\n\r\n") : n;
}

struct post_answers { aio_task task; aio_app *app; aio_server *server; struct talk *talk; size_t i, n; char said[900]; };
SCENARIO(post_answers, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, EINVAL })
{
    static const aio_post_options limits = { .max_field = 10, .max_file = 20, .max_fields = 5 };
    AIO_BEGIN(post_answers);
    self->app = aio_app_open();
    if (aio_app_route(self->app, "POST", "/post", post_handler, (void *)(uintptr_t)&limits)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0, .max_body = 250));
    for (self->i = 0; self->i < sizeof post_cases / sizeof *post_cases; self->i++) {
        size_t length;
        length = strlen(post_cases[self->i].body);
        if (self->i == 4) length += 1 + strlen(post_cases[self->i].body + length + 1); /* a NUL within */
        self->n = post_say(self->said, sizeof self->said, post_cases[self->i].type, post_cases[self->i].body, length,
                           self->i % 2);
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->said,
                                              .length = self->n));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        const char *body;
        body = strstr(self->talk->answer, "\r\n\r\n");
        if (now.w->kind != KIND_ALLOC || !strncmp(self->talk->answer + 9, "200", 3))
            CHECK_INT(atoi(self->talk->answer + 9), post_cases[self->i].status);
        if (CHECK(body) && atoi(self->talk->answer + 9) == post_cases[self->i].status)
            CHECK_STR(body + 4, post_cases[self->i].answer);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Without memory a field keeps the text that it came with; with it, it has that in UTF-8 alone. */
TEST(post_decode_without_memory)
{
    struct aio__post_reading reading;
    aio_post_field field = { .name = "a" };
    aio_exception *error = &aio__no_memory;
    char *came = (char *)aio__malloc(2);
    long n = 0;
    if (!CHECK(came)) return;
    memset(&reading, 0, sizeof reading);
    memcpy(came, "\xe4", 2);
    field.value = aio__text(came, 1);
    while (error == &aio__no_memory) {
        seam.fail_alloc = seam.allocations + ++n;
        error = aio__post_decode(&reading, &field, "iso-8859-1");
        seam.fail_alloc = seam.touched = 0;
        if (!error) CHECK_BYTES(field.value.data, field.value.length, "\xc3\xa4");
        else if (!CHECK_PTR(field.value.data, came)) break;
    }
    CHECK_PTR(error, NULL);
    CHECK(n > 1);
    aio_text_clear(&field.value);
}

/* The whole: of exactly as many bytes as may come, and of one more, by its length, in chunks, and in a preamble. */
struct post_limits { aio_task task; aio_server *server; struct talk *talk; size_t i, n; char said[900]; };
SCENARIO(post_limits, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT })
{
    static const struct { const char *type, *body; bool chunked; const char *status; } rows[] = {
        { POST_PAIRS, "a=34567890", false, "200" }, { POST_PAIRS, "a=34567890", true, "200" },
        { POST_PAIRS, "a=345678901", false, "413" }, { POST_PAIRS, "a=345678901", true, "413" },
        { POST_PARTS, "12345678\r\n--b--", true, "413" }, { POST_PARTS, "123\r\n--b--", true, "200" },
        { POST_PARTS, "--b--67890", true, "200" }, { POST_PARTS, "--b--678901", true, "413" },
    };
    static const aio_post_options limits = { .max_body = 10 };
    AIO_BEGIN(post_limits);
    AIO_AWAIT(self->server, aio_start_http_server(post_handler, (void *)(uintptr_t)&limits, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        self->n = post_say(self->said, sizeof self->said, rows[self->i].type, rows[self->i].body,
                           strlen(rows[self->i].body), rows[self->i].chunked);
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->said,
                                              .length = self->n));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        if (now.w->kind != KIND_ALLOC) CHECK(!strncmp(self->talk->answer + 9, rows[self->i].status, 3));
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* More parts than a multipart body usually may have, when that many fields are allowed; and one more. */
struct post_count { aio_task task; aio_request *request; const aio_post *post; char out[20]; };
static AIO_CORO(post_count)
{
    AIO_BEGIN(post_count);
    AIO_AWAIT(self->post, aio_request_post(self->request, .max_fields = 1001));
    snprintf(self->out, sizeof self->out, "%zu", self->post->count);
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->out));
    AIO_END;
}
static void *post_count_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(post_count, .request = request);
}

struct post_many { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_form *form; int i;
    aio_text text; char url[60]; };
static AIO_CORO(post_many)
{
    AIO_BEGIN(post_many);
    AIO_AWAIT(self->server, aio_start_http_server(post_count_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    REQUIRE(self->form = aio_form_open());
    for (self->i = 0; self->i < 1001; self->i++)
        REQUIRE(!aio_form_add(self->form, "a", .data = "1", .length = 1));
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form_data = self->form));
        CHECK_INT(self->r->status, self->i ? 413 : 200);
        AIO_AWAIT(self->text, aio_response_text(self->r));
        if (!self->i) CHECK_STR(self->text.data, "1001");
        aio_response_release(self->r);
        self->r = NULL;
        aio_form_unref(self->form);
        REQUIRE(self->form = aio_form_open());
        for (int n = 0; n < 1002; n++) REQUIRE(!aio_form_add(self->form, "a", .data = "1", .length = 1));
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_form_unref(self->form);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

TEST(post_many_fields)
{
    CHECK_INT(aio_run(AIO_CALL(post_many)), 0);
}

/* What the getters make of texts. */
TEST(post_getters)
{
    static const struct { const char *text; int64_t whole; double number; int truth; } rows[] = {
        { "1", 1, 1, 1 }, { "0", 0, 0, 0 }, { "-7", -7, -7, -1 }, { "007", 7, -2, -1 }, { "1.5e1", -2, 15, -1 },
        { "9223372036854775807", INT64_MAX, 9223372036854775807.0, -1 },
        { "9223372036854775808", -2, 9223372036854775808.0, -1 },
        { "-9223372036854775808", INT64_MIN, -9223372036854775808.0, -1 },
        { "-9223372036854775809", -2, -9223372036854775809.0, -1 },
        { "", -2, -2, -1 }, { "-", -2, -2, -1 }, { "1 ", -2, -2, -1 }, { " 1", -2, -2, -1 }, { "0x1", -2, -2, -1 },
        { "1:", -2, -2, -1 }, { "1/", -2, -2, -1 },
        { "ON", -2, -2, 1 }, { "off", -2, -2, 0 }, { "True", -2, -2, 1 }, { "no", -2, -2, 0 }, { "1e999", -2, -2, -1 },
        { "99999999999999999999999999999999", -2, 1e32, -1 }, { "nan", -2, -2, -1 },
    };
    aio_post_field fields[3] = {
        { .name = "f", .filename = "x", .value = { "5", 1 } }, { .name = "a" }, { .name = "a" }
    };
    aio_post post = { .fields = fields, .count = 3 };
    fields[2].value = aio__text("second", 6);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fields[1].value = aio__text(rows[i].text, strlen(rows[i].text));
        CHECK(aio_post_int(&post, "a", -2) == rows[i].whole);
        CHECK(aio_post_double(&post, "a", -2) == rows[i].number);
        CHECK_INT(aio_post_bool(&post, "a", true), rows[i].truth != 0);
        CHECK_INT(aio_post_bool(&post, "a", false), rows[i].truth == 1);
    }
    CHECK(aio_post_get(&post, "a") == &fields[1] && aio_post_get(&post, "a", 1) == &fields[2]);
    CHECK(!aio_post_get(&post, "a", 2) && !aio_post_get(&post, "b") && !aio_post_get(NULL, "a"));
    CHECK(aio_post_file(&post, "f") == &fields[0] && !aio_post_file(&post, "a"));
    CHECK(!aio_post_at(&post, NULL, 0) && !aio_post_file(&post, NULL));
    CHECK(!aio_post_at(NULL, "f", 0) && !aio_post_file(NULL, "f"));
    CHECK_INT(aio_post_int(&post, "f", 3), 3); /* a file is no text */
    CHECK_STR(aio_post_string(&post, "none", "else").data, "else");
    CHECK(!aio_post_string(NULL, "none", NULL).data);
}
