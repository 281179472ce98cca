/* What a response's fields say, and its body as text and as a tree. */

/* Each row is a response's head and body, how it is read, and what of it: the text, or !code. */
struct contents_row { const char *head, *body; size_t length; aio_text_options how; const char *expected; };
static const struct contents_row contents_rows[] = {
    { "", "plain \xC3\xA9", 8, { 0 }, "plain \xC3\xA9" },
    { "", "", 0, { 0 }, "" },
    { "", "\xEF\xBB\xBFx", 4, { 0 }, "x" },
    { "", "\xFF\xFEx\0", 4, { 0 }, "x" },
    { "Content-Type: a/b; charset=\"ISO-8859-1\"\r\n", "\xE9", 1, { 0 }, "\xC3\xA9" },
    { "Content-Type: a/b; charset=utf-16\r\n", "\xFE\xFF\0x", 4, { 0 }, "x" },
    { "Content-Type: a/b; charset=iso-8859-1\r\n", "\xEF\xBB\xBF", 3, { 0 }, "\xC3\xAF\xC2\xBB\xC2\xBF" },
    { "Content-Type: a/b; charset=iso-8859-1\r\n", "\xC3\xA9", 2, { .charset = "utf-8" }, "\xC3\xA9" },
    { "Content-Type: a/b; charset=nonsense\r\n", "\xC3\xA9", 2, { 0 }, "\xC3\xA9" },
    { "", "\xE9", 1, { .fallback = "latin1" }, "\xC3\xA9" },
    { "", "x", 1, { .charset = "nonsense" }, "!EINVAL" },
    { "", "ab\xE9z", 4, { 0 }, "!EILSEQ at byte 2" },
    { "", "ab\xE9z", 4, { .replace = true }, "ab\xEF\xBF\xBDz" },
    { "", "<p><META http-equiv=x content='a; charset = latin1'>\xE9", 53, { .declared = true },
      "<p><META http-equiv=x content='a; charset = latin1'>\xC3\xA9" },
    { "", "<meta name=a><meta charset=latin1>\xE9", 35, { .declared = true },
      "<meta name=a><meta charset=latin1>\xC3\xA9" },
    { "", "<meta charset=latin1>\xE9", 22, { 0 }, "!EILSEQ at byte 21" },
    { "", "<meta charset='utf-16'>x", 24, { .declared = true }, "<meta charset='utf-16'>x" },
    { "", "<?xml version='1.0' encoding=\"ISO-8859-1\"?>\xE9", 44, { .declared = true },
      "<?xml version='1.0' encoding=\"ISO-8859-1\"?>\xC3\xA9" },
    { "", "<meta charset", 13, { .declared = true }, "<meta charset" },
    { "", "<meta charset=>", 15, { .declared = true }, "<meta charset=>" },
};
static void contents_say(char *says, size_t size, const struct contents_row *row)
{
    int n = snprintf(says, size, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n", row->head, row->length);
    memcpy(says + n, row->body, row->length);
    says[(size_t)n + row->length] = 0; /* for who counts before the length is set */
    script_says(&the_script, says, END_STAY);
    the_script.length = (size_t)n + row->length;
}
/* Whether the error says of which request it is. */
static bool contents_names(const aio_exception *error, const char *method, const char *url)
{
    char wanted[100];
    int n = snprintf(wanted, sizeof wanted, "%s %s: ", method, url);
    return !strncmp(error->message, wanted, (size_t)n);
}
struct contents_texts { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_text text;
    size_t i; char url[60], says[300]; const char *problem; int again; };
SCENARIO(contents_texts, .may = CLIENT_MAY)
{
    AIO_BEGIN(contents_texts);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    for (self->i = 0; self->i < sizeof contents_rows / sizeof *contents_rows; self->i++) {
        contents_say(self->says, sizeof self->says, &contents_rows[self->i]);
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
            for (self->again = 0; self->again < 2; self->again++) {
                AIO_AWAIT(self->text, aio_response_text_with(self->r, &contents_rows[self->i].how));
                CHECK_STR(self->text.data, contents_rows[self->i].expected);
                CHECK_INT(self->text.data[self->text.length], 0);
            }
        } AIO_CATCH_CODE(EILSEQ, EINVAL) {
            self->problem = contents_rows[self->i].expected;
            CAUGHT(strcmp(self->problem, "!EINVAL") ? EILSEQ : EINVAL);
            if (CHECK(self->problem[0] == '!') && aio_caught(self)->code == EILSEQ)
                CHECK(strstr(aio_caught(self)->message, self->problem + strlen("!EILSEQ ")));
            CHECK(contents_names(aio_caught(self), "GET", self->url));
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

/* Parts that are not valid: which one, and of which request. */
struct contents_parts { aio_task task; aio_server *server; aio_session *session; aio_response *r; aio_multipart *m, *in;
    aio_part *part; aio_text text; char url[60]; size_t i; };
SCENARIO(contents_parts, .may = CLIENT_MAY)
{
    static const char head[] = "Content-Type: multipart/mixed; boundary=b\r\n";
    static const char nested[] = "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
                                 "--c\r\nB\r\n\r\n--c--\r\n--b--";
    static const struct { struct contents_row says; const char *why; } rows[] = {
        { { head, "--b\r\n\r\n\r\n--b\r\nA\r\n\r\n--b--", 24, { 0 }, "" },
          "multipart: a part's header is not a name and a value, in part 2" },
        { { head, "--b\r\n\r\nx", 8, { 0 }, "" }, "multipart: the body ends within a part, in part 1" },
        { { head, "--x", 3, { 0 }, "" }, "multipart: the body ends before the last delimiter" },
        { { head, nested, sizeof nested - 1, { 0 }, "" },
          "multipart: a part's header is not a name and a value, in part 1" },
    };
    char says[300];
    AIO_BEGIN(contents_parts);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        static char said[300]; /* outlives the server's turns */
        contents_say(says, sizeof says, &rows[self->i].says);
        memcpy(said, says, sizeof said);
        the_script.says = said;
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
            REQUIRE(self->m = aio_response_multipart(self->r));
            AIO_ASYNC_FOR(self->part, aio_multipart_next(self->m)) {
                if (!strcmp(self->part->type, "multipart/mixed")) {
                    REQUIRE(self->in = aio_part_multipart(self->part));
                    AIO_AWAIT(self->part, aio_multipart_next(self->in));
                }
                AIO_AWAIT(self->text, aio_part_read(self->part));
            }
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_EPAYLOAD);
            if (strstr(aio_caught(self)->message, "multipart: "))
                CHECK(contents_names(aio_caught(self), "GET", self->url)
                      && strstr(aio_caught(self)->message, rows[self->i].why));
        } AIO_END_TRY;
        aio_multipart_close(self->in);
        aio_multipart_close(self->m);
        aio_response_release(self->r);
        self->in = self->m = NULL;
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_multipart_close(self->in);
        aio_multipart_close(self->m);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A server that reads JSON, and answers with it; what is none is an error on both sides. */
struct contents_server { aio_task task; aio_request *request; const aio_json *json; char text[80]; };
static AIO_CORO(contents_server)
{
    AIO_BEGIN(contents_server);
    AIO_TRY {
        AIO_AWAIT(self->json, aio_request_json(self->request));
        snprintf(self->text, sizeof self->text, "{\"got\": %d}", (int)aio_json_int(self->json, "a", -1));
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->text,
                                      .content_type = "application/problem+json"));
    } AIO_CATCH_CODE(AIO_ECONTENT, AIO_EJSON) {
        snprintf(self->text, sizeof self->text, "%s", aio_caught(self)->message);
        AIO_AWAIT(aio_request_respond(self->request, 400, .text = self->text));
    } AIO_END_TRY;
    AIO_END;
}
static void *contents_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(contents_server, .request = request);
}
static char contents_no_charset[3001];
struct contents_json { aio_task task; aio_server *server, *deep; aio_session *session; aio_response *r; aio_text text;
    const aio_json *json; char url[60]; };
SCENARIO(contents_json, .may = { EPIPE, ECONNRESET, AIO_EDISCONNECTED, AIO_EPAYLOAD, ECONNABORTED, AIO_ECONTENT,
                                 AIO_EJSON, ETIMEDOUT })
{
    AIO_BEGIN(contents_json);
    for (size_t i = 0; i < sizeof contents_no_charset - 1; i++) contents_no_charset[i] = "no-charset-"[i % 11];
    AIO_AWAIT(self->server, aio_start_http_server(contents_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->deep, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .json_text = "{\"a\": 7}"));
    AIO_AWAIT(self->json, aio_response_json(self->r));
    CHECK_INT(aio_json_int(self->json, "got", 0), 7);
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .json_text = "{\n\"a\" 7}"));
    CHECK_INT(self->r->status, 400);
    AIO_AWAIT(self->text, aio_response_text(self->r));
    CHECK(strstr(self->text.data, "the body is not valid JSON at line 2, column 5: "));
    AIO_TRY {
        AIO_AWAIT(self->json, aio_response_json(self->r));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ECONTENT);
        CHECK(strstr(aio_caught(self)->message, "not JSON but text/plain; charset=utf-8"));
        CHECK(contents_names(aio_caught(self), "POST", self->url));
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->json, aio_response_json(self->r, .any_type = true));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EJSON);
        CHECK(strstr(aio_caught(self)->message, ": the body is not valid JSON at line 1, column 1: "));
        CHECK(contents_names(aio_caught(self), "POST", self->url));
    } AIO_END_TRY;
    aio_response_release(self->r);
    self->r = NULL;
    AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .json_text = "{\"a\": 8}"));
    AIO_AWAIT(self->json, aio_response_json(self->r, .max_depth = 1));
    CHECK_INT(aio_json_int(self->json, "got", 0), 8);
    AIO_TRY {
        AIO_AWAIT(self->json, aio_response_json(self->r, .charset = contents_no_charset));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
        CHECK(strstr(aio_caught(self)->message, ": there is no charset no-charset-no-charset-no-charset-no-char"));
    } AIO_END_TRY;
    aio_response_release(self->r);
    self->r = NULL;
    script_says(&the_script, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n[[0]]",
                END_STAY);
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->deep));
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    AIO_TRY {
        AIO_AWAIT(self->json, aio_response_json(self->r, .max_depth = 1));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
        CHECK(contents_names(aio_caught(self), "GET", self->url));
    } AIO_END_TRY;
    AIO_AWAIT(self->json, aio_response_json(self->r, .max_depth = 2));
    CHECK(self->json);
    aio_response_release(self->r);
    self->r = NULL;
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        aio_server_abort_clients(self->server);
        aio_server_abort_clients(self->deep);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
        if (self->deep) AIO_AWAIT(aio_server_wait_closed(self->deep));
    AIO_END;
}

/* The getters of one response. */
struct contents_fields { aio_task task; aio_server *server; aio_session *session; aio_response *r; char url[60]; };
SCENARIO(contents_fields, .may = CLIENT_MAY)
{
    AIO_BEGIN(contents_fields);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://u:secret@127.0.0.1:%d/a/b", aio_server_port(self->server));
    script_says(&the_script, "HTTP/1.1 200 OK\r\nContent-Type: Text/HTML ; Charset=UTF-8\r\nContent-Length: 0\r\n"
        "Content-Disposition: Attachment; filename=\"../x\"; filename*=UTF-8''..%2f%e2%82%ac.txt; size=3\r\n"
        "Link: <?p=2#x>; rel=\"next last\"; title=\"a, \\\"b\\\"\", nonsense, <c>;rel=Prev;"
        "title*=utf-8''%c3%a9,<http://[>;rel=bad\r\n"
        "Set-Cookie: a=1\r\nset-cookie:  a = 2 ; Path=/; Max-Age=0\r\nSet-Cookie: A=3\r\nSet-Cookie: ab=4;a=5\r\n"
        "Set-Cookie: =6\r\nSet-Cookie: empty=\r\n"
        "Link: <http://x.test/>\r\n\r\n", END_STAY);
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    {
        char name[20];
        size_t count;
        aio_text type = aio_response_content_type(self->r), charset = aio_response_charset(self->r);
        const aio_disposition *disposition = aio_response_content_disposition(self->r);
        const aio_link *links = aio_response_links(self->r, &count), *next = aio_response_link(self->r, "LAST");
        REQUIRE(type.data && charset.data && disposition && links && next);
        CHECK_STR(type.data, "text/html");
        CHECK_STR(charset.data, "utf-8");
        CHECK_STR(disposition->type, "attachment");
        CHECK_STR(disposition->filename, "../\xE2\x82\xAC.txt");
        CHECK(!disposition->name);
        CHECK(strstr(disposition->parameters.data, "; size=3"));
        CHECK_INT(aio_safe_filename(name, sizeof name, disposition->filename), 7);
        CHECK_STR(name, "\xE2\x82\xAC.txt");
        CHECK_INT(count, 3);
        CHECK(strstr(next->url, "/a/b?p=2#x") && !strncmp(next->url, "http://127.0.0.1:", 17)); /* without who asks */
        CHECK_STR(next->title, "a, \"b\"");
        CHECK(strstr(links[1].url, "/a/c"));
        CHECK_STR(links[1].title, "\xC3\xA9");
        CHECK_STR(links[2].url, "http://x.test/");
        CHECK_STR(links[2].rel, "");
        CHECK(!aio_response_link(self->r, "bad") && !aio_response_link(self->r, "ne"));
        aio_text cookie = aio_response_cookie(self->r, "a"), other = aio_response_cookie(self->r, "ab");
        aio_text empty = aio_response_cookie(self->r, "empty");
        REQUIRE(cookie.data && other.data && empty.data);
        CHECK_STR(cookie.data, "2");
        CHECK_STR(other.data, "4");
        CHECK_STR(empty.data, "");
        CHECK(!aio_response_cookie(self->r, "b").data && !aio_response_cookie(self->r, "").data);
        CHECK(!aio_response_cookie(self->r, NULL).data && !aio_response_cookie(NULL, "a").data);
        CHECK(!aio_session_cookie_jar(self->session) || !aio_cookie_jar_count(aio_session_cookie_jar(self->session)));
    }
    aio_response_release(self->r);
    self->r = NULL;
    script_says(&the_script, "HTTP/1.1 200 OK\r\nContent-Disposition: form-data; name=\"a \\\"b\"\r\nContent-Length: 0"
                "\r\n\r\n", END_STAY);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    {
        const aio_disposition *disposition = aio_response_content_disposition(self->r);
        REQUIRE(disposition);
        CHECK_STR(disposition->type, "form-data");
        CHECK_STR(disposition->name, "a \"b");
        CHECK(!disposition->filename);
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A list of links grows with them, each where it was said. */
TEST(contents_list_of_links_grows)
{
    static const char text[] = "http://h/0";
    aio__weblink_list list = AIO__ZERO;
    aio_url base;
    if (!CHECK(!aio_url_parse(&base, text, sizeof text - 1, NULL))) return;
    for (int i = 0; i < 20; i++) {
        char target[20], rel[20];
        int n = snprintf(target, sizeof target, "%d", i), m = snprintf(rel, sizeof rel, ";rel=r%d", i);
        CHECK(aio__weblink_add(&list, &base, aio__text(target, (size_t)n), aio__text(rel, (size_t)m)));
        CHECK_INT(list.count, i + 1);
        if (!CHECK(list.count <= list.room)) break; /* or the next is written behind it */
    }
    for (size_t i = 0; i < list.count; i++) {
        char url[30];
        snprintf(url, sizeof url, "http://h/%d", (int)i);
        CHECK_STR(list.links[i].url, url);
        CHECK_INT(atoi(list.links[i].rel + 1), i);
    }
    CHECK_INT(list.room, 32); /* twice as much each time that it is full */
    aio__weblink_list_end(&list);
    aio_url_clear(&base);
}

/* A field of links taken apart: each with what is said of it, without what is not valid, and without who asks. */
TEST(contents_links)
{
    static const char plain[] = "http://h/a/b", user[] = "http://u:p@h/a/b";
    static const struct { const char *base, *field, *links; } rows[] = {
        { plain, "", "" }, { plain, " ,\t, ", "" }, { plain, "<c>", "http://h/a/c;" }, { plain, "<c", "" },
        { plain, "<", "" },
        { plain, "<c>; rel=x; title=t; type=\"a/b\"; anchor=\"#z\"", "http://h/a/c rel=x title=t type=a/b anchor=#z;" },
        { plain, "<c>;rel=x,<d>;type=y", "http://h/a/c rel=x;http://h/a/d type=y;" },
        { plain, "c, <d>,e>;rel=x", "http://h/a/d;" }, { plain, "<c,d>;rel=x", "http://h/a/c,d rel=x;" },
        { plain, "<c>;title=\"x,<y>\\\",z\",<d>", "http://h/a/c title=x,<y>\",z;http://h/a/d;" },
        { plain, "<c>;x=\\\",<d>", "http://h/a/c;" }, { plain, "<c>;x=\"\\", "http://h/a/c;" },
        { plain, "<c>;x=\"\\\"", "http://h/a/c;" }, { plain, "<http://[>,<d>", "http://h/a/d;" },
        { plain, "<c#g>", "http://h/a/c#g;" }, { plain, "<//i/c>", "http://i/c;" }, { plain, "<>", "http://h/a/b;" },
        { plain, "<http://u:p@h/c>", "http://u:p@h/c;" }, { user, "<c?q#g>;rel=r", "http://h/a/c?q#g rel=r;" },
        { user, "<c>", "http://h/a/c;" }, { user, "<http://u:p@h:81/c>", "http://h:81/c;" },
        { user, "<http://v:p@h/c>", "http://v:p@h/c;" }, { user, "<http://u:q@h/c>", "http://u:q@h/c;" },
        { user, "<http://i/c>", "http://i/c;" }, { "http://:p@h/", "<c>", "http://h/c;" },
        { "http://u@h/", "<c>", "http://h/c;" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char links[300] = "";
        aio__weblink_list list = AIO__ZERO;
        aio_url base;
        size_t n = strlen(rows[i].field), used = 0;
        aio_text rest = aio__text(at_the_edge(rows[i].field, n), n), target, parameters;
        if (!CHECK(!aio_url_parse(&base, rows[i].base, strlen(rows[i].base), NULL))) continue;
        while (aio__weblink_next(&rest, &target, &parameters))
            CHECK(aio__weblink_add(&list, &base, target, parameters));
        for (size_t k = 0; k < list.count; k++) {
            const aio_link *l = &list.links[k];
            used += (size_t)snprintf(links + used, sizeof links - used, "%s%s%s%s%s%s%s%s%s;", l->url,
                                     *l->rel ? " rel=" : "", l->rel,
                                     l->title ? " title=" : "", l->title ? l->title : "",
                                     l->type ? " type=" : "", l->type ? l->type : "",
                                     l->anchor ? " anchor=" : "", l->anchor ? l->anchor : "");
        }
        CHECK_STR(links, rows[i].links);
        aio__weblink_list_end(&list);
        aio_url_clear(&base);
    }
}

/* Without a response there is no head. */
TEST(contents_heads_of_nothing)
{
    size_t position = 0;
    aio_text head = { NULL, 7 };
    CHECK(!aio_response_next_head(NULL, &position, &head));
    CHECK_STR(head.data, "");
    CHECK_INT(head.length, 0);
}

/* The parameters of a type, and not what stands in its place (RFC 9110 8.3.1). */
TEST(contents_parameters)
{
    static const struct { const char *field, *charset; } rows[] = {
        { "a/b; charset=x", "x" }, { "a/b ; x=y; CHARSET=\"q r\"", "q r" }, { "a/b; charset=x; charset=y", "x" },
        { "charset=x", NULL }, { "charset=x; charset=y", "y" }, { "a/b; charsets=x", NULL }, { "a/b; charse=x", NULL },
        { "a/b; charset=\"\"", "" }, { "", NULL }, { "a/b;;charset=x", "x" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_text found = aio__content_parameter(aio__text(rows[i].field, strlen(rows[i].field)), "charset");
        if (!CHECK_INT(found.data != NULL, rows[i].charset != NULL)) printf("# %s\n", rows[i].field);
        else if (found.data) CHECK_BYTES(found.data, found.length, rows[i].charset);
    }
}

/* What a page declares, which types are JSON, and how many codings are ours. */
TEST(contents_words)
{
    static const struct { const char *page, *charset; } pages[] = {
        { "<?xml version='1.0'?><meta charset=latin1>", "latin1" }, { "<?xml encoding='x'?><meta charset=latin1>", "x" },
        { "<meta charset=\"a\"><meta charset=b>", "a" }, { "<p charset=a>", "" }, { "", "" },
        { "<meta charset=><meta charset=b>", "b" }, { "<meta charset><meta charset\t= \t'b'>", "b" },
        { "<meta charset=a", "" }, { "<meta charset= \">", "" }, { "<meta charset=a;b>", "a" }, { "<meta", "" },
        { "<META CHARSET=utf-16LE>", "utf-8" }, { "<meta charset=utf-1>", "utf-1" }, { "<meta>charset=a>", "" },
        { "<?xml encoding=''?><meta charset=b>", "" }, { "<?xml?><?xml encoding=a?><meta charset=b>", "b" },
    };
    static const struct { const char *type; bool json; } types[] = {
        { "application/json", true }, { "Application/LD+JSON ; charset=x", true }, { "application/xjson", false },
        { "application/ldjson+x", false }, { "text/json", false }, { "application/+json", true },
        { "text/vnd.long.name+json", false }, { "application/vnd+jsom", false }, { "application/jsonx", false },
        { "application/json;", true }, { "application/x.json", false },
    };
    static const struct { const char *value; int count; } codings[] = {
        { "", 0 }, { "gzip", 1 }, { "identity, , X-GZIP , deflate", 2 }, { "gzip, br", -1 }, { "gzip,gzip,gzip,gzip,gzip", 5 },
        { "gzip,gzip,gzip,gzip,gzip,gzip", -1 }, { "gzip\t,\tdeflate \t ,gzip\t", 3 },
    };
    char page[AIO__CONTENT_DECLARED + 40];
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        size_t length = strlen(pages[i].page);
        aio_text charset = aio__content_declared(aio__text(at_the_edge(pages[i].page, length), length));
        CHECK_BYTES(charset.data ? charset.data : "", charset.length, pages[i].charset);
    }
    for (int beyond = 0; beyond < 2; beyond++) {
        int n = snprintf(page, sizeof page, "%*s", AIO__CONTENT_DECLARED - 13 + beyond, "");
        n += snprintf(page + n, sizeof page - (size_t)n, "<meta charset=latin1>");
        CHECK(!aio__content_declared(aio__text(page, (size_t)n)).data);
        memmove(page, page + 8, (size_t)(n -= 8));
        CHECK_INT(aio__content_declared(aio__text(page, (size_t)n)).data != NULL, !beyond);
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        aio_headers headers;
        memset(&headers, 0, sizeof headers);
        CHECK_INT(aio_headers_add(&headers, "Content-Type", types[i].type), 0);
        CHECK_INT(aio__content_is_json(&headers), types[i].json);
        aio_headers_clear(&headers);
    }
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++)
        CHECK_INT(aio__codings_count(aio__text(codings[i].value, strlen(codings[i].value))), codings[i].count);
}

TEST(contents_safe_filenames)
{
    static const struct { const char *from, *to; } rows[] = {
        { "a.txt", "a.txt" }, { "/etc/passwd", "passwd" }, { "C:\\x\\y.z", "y.z" }, { "..", "" }, { "../", "" },
        { NULL, "" }, { "...a. ", "a" }, { "a\nb:c?", "a_b_c_" }, { ".bashrc", "bashrc" },
        { "12345678901", "123456789" }, { "1234567\xE2\x82\xAC", "1234567" },
        { " .a b", "a b" }, { "a", "a" }, { "123456789", "123456789" }, { "123456\xE2\x82\xAC", "123456\xE2\x82\xAC" },
        { "a/ ", "" }, { "\x7f\x1f<>\"|*", "_______" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[10];
        CHECK_INT(aio_safe_filename(out, sizeof out, rows[i].from), strlen(rows[i].to));
        CHECK_STR(out, rows[i].to);
    }
}
