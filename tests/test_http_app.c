/* Applications: which route a path takes, what errors become, middlewares, cookies, the access log. */

/* ---- patterns, without a server ---- */

static void *app_nothing(aio_request *request, void *arg) { (void)request; return arg; }

TEST(app_refuses_patterns)
{
    static const struct { const char *method, *pattern, *why; } rows[] = {
        { "GET", "items", "route GET items: it does not begin with a slash" },
        { "GET", "", "route GET : it does not begin with a slash" },
        { "GE T", "/", "route GE T /: the method is no token" },
        { "", "/", "route  /: the method is no token" },
        { "GET", "/a?b", "route GET /a?b: it has a \"?\" or \"#\", which no path has" },
        { "GET", "/a\n", "route GET /a\n: it has a control character" },
        { "GET", "/a{b}", "route GET /a{b}: a brace stands within a text: a parameter is all that is between two "
          "slashes" },
        { "GET", "/{a", "route GET /{a: a brace stands within a text: a parameter is all that is between two slashes" },
        { "GET", "/{}", "route GET /{}: a parameter's name is empty, or begins with a digit" },
        { "GET", "/{...}", "route GET /{...}: a parameter's name has another character than letters, digits and \"_\"" },
        { "GET", "/{:int}", "route GET /{:int}: a parameter's name has another character than letters, digits and "
          "\"_\"" },
        { "GET", "/{1a}", "route GET /{1a}: a parameter's name is empty, or begins with a digit" },
        { "GET", "/{a:str}", "route GET /{a:str}: a parameter's name has another character than letters, digits and "
          "\"_\"" },
        { "GET", "/{a}/{a}", "route GET /{a}/{a}: two parameters have one name" },
        { "GET", "/{a...}/b", "route GET /{a...}/b: something follows the parameter for all that is left" },
        { "GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", "route GET /{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}: there are more "
          "than 8 parameters" },
        { "GET", "/////////////////////////////////", "route GET /////////////////////////////////: there are more than "
          "32 segments" },
        { "GET", "/there/{is}", "route GET /there/{is}: this method has a route there already" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_app *app = aio_app_open();
        CHECK_INT(aio_app_route(app, "GET", "/there/{a}", app_nothing, NULL), 0);
        CHECK(!aio_app_problem(app));
        CHECK_INT(aio_app_route(app, rows[i].method, rows[i].pattern, app_nothing, NULL), EINVAL);
        CHECK_INT(aio_app_route(app, "GET", "/{also", app_nothing, NULL), EINVAL);
        CHECK_STR(aio_app_problem(app), rows[i].why); /* of the first */
        aio_app_close(app);
    }
    aio_app *app = aio_app_open();
    CHECK_INT(aio_app_route(app, "GET", "/", NULL, NULL), EINVAL);
    CHECK_STR(aio_app_problem(app), "route GET /: there is no handler");
    CHECK_INT(aio_app_route(app, "GET", "////////////////////////////////", app_nothing, NULL), 0);
    CHECK_INT(aio_app_route(app, "GET", "/{ab}/{a}/{abc}/{b}/{e}/{f}/{g}/{h}", app_nothing, NULL), 0);
    CHECK_INT(aio_app_use(app, NULL, NULL), EINVAL);
    aio_app_close(app);
    CHECK_INT(aio_app_route(NULL, "GET", "/", app_nothing, NULL), EINVAL);
    aio_app_close(NULL);
}

/* ---- answers ---- */

/* Answers with the route's pattern, its parameters a and b, and what arg says. */
static void *app_shows(aio_request *request, void *arg)
{
    char text[300];
    aio_text a = aio_request_param(request, "a"), b = aio_request_param(request, "b");
    CHECK(!aio_request_param(request, "c").data);
    if (a.data) CHECK_INT(strlen(a.data), a.length);
    snprintf(text, sizeof text, "%s a=%s b=%s %lld%s", aio_request_route(request), a.data ? a.data : "-",
             b.data ? b.data : "-", (long long)aio_request_param_int(request, "a"), arg ? (const char *)arg : "");
    return aio_request_respond(request, 200, .text = text);
}

static void *app_fails(aio_request *request, void *arg)
{
    (void)arg;
    return aio_request_fail(request, 404, "no item \"%s\"", aio_request_param(request, "a").data);
}
static void *app_raises(aio_request *request, void *arg)
{
    return (void)request, (void)arg, aio_request_fail(request, 200, "no error");
}
/* Redirects to `arg`, with the status that the query says. */
static void *app_moves(aio_request *request, void *arg)
{
    static const struct { int status; const char *location; } bad[] = {
        { 299, "/" }, { 400, "/" }, { 303, NULL }, { 303, "" }, { 303, "/\r\nX: y" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        aio_future *refused = aio_request_redirect(request, bad[i].status, bad[i].location);
        if (refused) CHECK_INT(aio_future_exception(refused)->code, EINVAL);
        aio_unref(refused);
    }
    int status = request->query.length ? atoi(request->query.data) : 303;
    return aio_request_redirect(request, status, (const char *)arg);
}

struct app_reads { aio_task task; aio_request *request; const aio_json *json; };
static AIO_CORO(app_reads)
{
    AIO_BEGIN(app_reads);
    AIO_AWAIT(self->json, aio_request_json(self->request, .max_depth = 3));
    aio_json_writer *out;
    out = aio_json_writer_open();
    if (!out) AIO_RAISE(ENOMEM);
    aio_json_write_array(out), aio_json_write_tree(out, self->json), aio_json_write_end(out);
    AIO_AWAIT(aio_request_respond_json(self->request, 201, out));
    AIO_END;
}
static void *app_json(aio_request *request, void *arg) { return (void)arg, AIO_CALL(app_reads, .request = request); }

/* Answers with the cookie "a", and sets some. */
static void *app_cookies(aio_request *request, void *arg)
{
    char text[100];
    aio_text a = aio_request_cookie(request, "a");
    static const char *const bad[] = { "a b", "a\"", "a;b", "a,b", "a\\", "a\r\nX: y", "\x7f", "\xc3\xa4" };
    bool quiet = now.w->kind != KIND_ALLOC;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(aio_request_set_cookie(request, "c", bad[i]), EINVAL);
    CHECK_INT(aio_request_set_cookie(request, "c d", "v"), EINVAL);
    CHECK_INT(aio_request_set_cookie(request, "c", "v", .path = "/;x"), EINVAL);
    CHECK_INT(aio_request_set_cookie(request, "c", "v", .domain = "a\nb"), EINVAL);
    CHECK_INT(aio_request_set_cookie(request, "c", "v", .same_site = AIO_SAME_SITE_NONE), EINVAL);
    CHECK_INT(aio_request_set_cookie(request, "c", "v", .max_age = -1), EINVAL);
    CHECK_INT(aio_request_set_cookie(request, NULL, "v"), EINVAL);
    CHECK_INT(aio_request_set_cookie(request, "c", NULL), EINVAL);
    CHECK_INT(aio_request_set_cookie(request, "c", "v", .same_site = (aio_same_site)(AIO_SAME_SITE_STRICT + 1)), EINVAL);
    static const char *const wrong[][2] = { { NULL, "v" }, { "a", NULL }, { "a b", "v" }, { "a", "v\nw" }, { "Host", "a\r" },
                                            { "Content-Length", "1" }, { "Transfer-Encoding", "a" }, { "connection", "a" } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_INT(aio_request_set_header(request, wrong[i][0], wrong[i][1]), EINVAL);
    CHECK_INT(aio_request_set_header(NULL, "a", "v"), EINVAL);
    CHECK(!aio_request_cookie(request, NULL).data && !aio_request_cookie(request, "").data);
    CHECK(!aio_request_cookie(NULL, "a").data);
    static const struct { int status, code; } failures[] = { { 399, EINVAL }, { 400, AIO_ESTATUS }, { 599, AIO_ESTATUS },
                                                             { 600, EINVAL } };
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        aio_future *failed = aio_request_fail(request, failures[i].status, NULL);
        if (failed) CHECK_INT(aio_future_exception(failed)->code, failures[i].code);
        aio_unref(failed);
    }
    int code = aio_request_set_cookie(request, "c", "v", .max_age = 60, .path = "/p", .domain = "d.test",
                                      .secure = true, .http_only = true, .same_site = AIO_SAME_SITE_STRICT);
    if (!code) code = aio_request_set_cookie(request, "d", "");
    if (!code) code = aio_request_delete_cookie(request, "e", .path = "/q");
    if (quiet) CHECK_INT(code, 0);
    if (code) return aio_request_fail(request, 503, NULL);
    snprintf(text, sizeof text, "[%s]", a.data ? a.data : "-");
    return (void)arg, aio_request_respond(request, 200, .text = text);
}

static aio_app *app_example(void)
{
    aio_app *app = aio_app_open();
    aio_app_route(app, "GET", "/", app_shows, NULL);
    aio_app_route(app, "GET", "/i/{a}", app_shows, NULL);
    aio_app_route(app, "GET", "/i/{a:int}", app_shows, NULL);
    aio_app_route(app, "GET", "/i/fix", app_shows, NULL);
    aio_app_route(app, "PUT", "/i/{b}", app_shows, NULL);
    aio_app_route(app, "DELETE", "/i/{b:int}", app_shows, NULL);
    aio_app_route(app, "GET", "/i/{a}/x/{b}", app_shows, NULL);
    aio_app_route(app, "GET", "/i/fix/x/y/z", app_shows, NULL);
    aio_app_route(app, "*", "/any", app_shows, NULL);
    aio_app_route(app, "POST", "/any", app_shows, (void *)(uintptr_t)" post");
    aio_app_route(app, "GET", "/files/{a...}", app_shows, NULL);
    aio_app_route(app, "GET", "/caf%C3%A9 x", app_shows, NULL);
    aio_app_route(app, "GET", "/fail/{a}", app_fails, NULL);
    aio_app_route(app, "GET", "/misuse", app_raises, NULL);
    aio_app_route(app, "POST", "/json", app_json, NULL);
    aio_app_route(app, "GET", "/moved", app_moves, (void *)(uintptr_t)"/i/1");
    aio_app_route(app, "GET", "/cookies", app_cookies, NULL);
    aio_app_route(app, "HEAD", "/head", app_shows, NULL);
    aio_app_route(app, "GET", "/p1/{a1_B:int}", app_shows, NULL);
    return app;
}

#define APP_GET(path)         "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define APP_OK(length, text)  OK_HEAD(length) "\r\n" text
#define APP_TEXT(status, length, fields, text) "HTTP/1.1 " status "\r\nContent-Type: text/plain; charset=utf-8\r\n" \
    "Content-Length: " length "\r\n" fields "\r\n" text
#define APP_404               APP_TEXT("404 Not Found", "15", "", "404: Not Found\n")
#define APP_COOKIE(cookies, length, text) \
    { "GET /cookies HTTP/1.1\r\nHost: h\r\nCookie: " cookies "\r\n\r\n", \
      APP_TEXT("200 OK", length, "Set-Cookie: c=v; Path=/p; Domain=d.test; Max-Age=60; Secure; HttpOnly; SameSite=Strict\r\n" \
               "Set-Cookie: d=; Path=/\r\n" \
               "Set-Cookie: e=; Path=/q; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n", "[" text "]") }
#define APP_POST(type, length, text) "POST /json HTTP/1.1\r\nHost: h\r\nContent-Type: " type "\r\nContent-Length: " \
    length "\r\n\r\n" text

static const struct { const char *said, *answer; } app_cases[] = {
    { APP_GET("/"), APP_OK("12", "/ a=- b=- -1") },
    { APP_GET("/?x=/i"), APP_OK("12", "/ a=- b=- -1") },
    { APP_GET("/i/7"), APP_OK("20", "/i/{a:int} a=7 b=- 7") },
    { APP_GET("/i/0123456789012345678"), APP_OK("35", "/i/{a} a=0123456789012345678 b=- -1") },
    { APP_GET("/i/012345678901234567"), APP_OK("53", "/i/{a:int} a=012345678901234567 b=- 12345678901234567") },
    { APP_GET("/i/fix"), APP_OK("17", "/i/fix a=- b=- -1") },
    { APP_GET("/i/%66ix"), APP_OK("17", "/i/fix a=- b=- -1") },
    { APP_GET("/i/a%2Fb%20c+d"), APP_OK("23", "/i/{a} a=a/b c+d b=- -1") },
    { APP_GET("/i/%zz"), APP_OK("19", "/i/{a} a=%zz b=- -1") },
    { APP_GET("/i/a%00b"), APP_404 },
    { APP_GET("/i/"), APP_404 },
    { APP_GET("/i"), APP_404 },
    { APP_GET("/I/7"), APP_404 },
    { APP_GET("//i/7"), APP_404 },
    { APP_GET("/i/fix/x/w"), APP_OK("25", "/i/{a}/x/{b} a=fix b=w -1") }, /* back from the literal one */
    { APP_GET("/i/5/x/6"), APP_OK("22", "/i/{a}/x/{b} a=5 b=6 5") },
    { APP_GET("/i/fix/x/y/z"), APP_OK("23", "/i/fix/x/y/z a=- b=- -1") },
    { "PUT /i/7 HTTP/1.1\r\nHost: h\r\n\r\n", APP_OK("17", "/i/{b} a=- b=7 -1") }, /* back from {a:int}, without PUT */
    { "PUT /i/fix HTTP/1.1\r\nHost: h\r\n\r\n", APP_OK("19", "/i/{b} a=- b=fix -1") },
    { "POST /i/7 HTTP/1.1\r\nHost: h\r\n\r\n",
      APP_TEXT("405 Method Not Allowed", "24", "Allow: DELETE, GET, HEAD, PUT, OPTIONS\r\n", "405: Method Not Allowed\n") },
    { "OPTIONS /i/a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 204 No Content\r\nAllow: PUT, GET, HEAD, OPTIONS\r\n\r\n" },
    { "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n" },
    { "OPTIONS /none HTTP/1.1\r\nHost: h\r\n\r\n", APP_404 },
    { "HEAD /i/7 HTTP/1.1\r\nHost: h\r\n\r\n", APP_OK("20", "") },
    { "HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n", APP_OK("16", "") },
    { "HEAD /json HTTP/1.1\r\nHost: h\r\n\r\n", /* only of GET it is the head */
      APP_TEXT("405 Method Not Allowed", "24", "Allow: POST, OPTIONS\r\n", "") },
    { APP_GET("/head"),
      APP_TEXT("405 Method Not Allowed", "24", "Allow: HEAD, OPTIONS\r\n", "405: Method Not Allowed\n") },
    { "BREW /any HTTP/1.1\r\nHost: h\r\n\r\n", APP_OK("15", "/any a=- b=- -1") },
    { "GETS /i/7 HTTP/1.1\r\nHost: h\r\n\r\n", "@405 Method Not Allowed" },
    { "GE /i/7 HTTP/1.1\r\nHost: h\r\n\r\n", "@405 Method Not Allowed" },
    { "HEAS /head HTTP/1.1\r\nHost: h\r\n\r\n", "@405 Method Not Allowed" },
    { APP_GET("/p1/5"), APP_OK("25", "/p1/{a1_B:int} a=- b=- -1") },
    { "POST /any HTTP/1.1\r\nHost: h\r\n\r\n", APP_OK("20", "/any a=- b=- -1 post") },
    { APP_GET("/files/"), APP_OK("23", "/files/{a...} a= b=- -1") },
    { APP_GET("/files/a/b%2F/c"), APP_OK("29", "/files/{a...} a=a/b//c b=- -1") },
    { APP_GET("/files/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32/33/34"),
      APP_OK("115", "/files/{a...} a=1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/"
             "32/33/34 b=- -1") },
    { APP_GET("/files/a%00"), APP_404 },
    { APP_GET("/files"), APP_404 },
    { APP_GET("/caf%c3%a9%20x"), APP_OK("23", "/caf%C3%A9 x a=- b=- -1") },
    { APP_GET("/fail/%22"), APP_TEXT("404 Not Found", "17", "", "404: no item \"\"\"\n") },
    { "GET /fail/a HTTP/1.1\r\nHost: h\r\nAccept: text/html, Application/JSON ;q=1\r\n\r\n",
      "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 38\r\n\r\n"
      "{\"status\":404,\"error\":\"no item \\\"a\\\"\"}" },
    { APP_GET("/moved"), "HTTP/1.1 303 See Other\r\nContent-Length: 0\r\nLocation: /i/1\r\n\r\n" },
    { APP_GET("/moved?300"), "HTTP/1.1 300 Multiple Choices\r\nContent-Length: 0\r\nLocation: /i/1\r\n\r\n" },
    { APP_GET("/moved?399"), "HTTP/1.1 399 \r\nContent-Length: 0\r\nLocation: /i/1\r\n\r\n" },
    { APP_POST("application/json", "7", "{\"a\":1}"), "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n"
      "Content-Length: 9\r\n\r\n[{\"a\":1}]" },
    { APP_POST("application/json", "6", "{\"a\"1}"), "@400 Bad Request" },
    { APP_POST("application/json", "8", "[[[[]]]]"), "@400 Bad Request" },
    { APP_POST("application/json", "3", "\"\xff\""), "@400 Bad Request" },
    { APP_POST("application/json; charset=none", "2", "[]"), "@201 Created" },
    { APP_POST("text/plain", "2", "[]"), "@415 Unsupported Media Type" },
    { APP_POST("application/json", "101", ""), "@413 Content Too Large" },
    { APP_POST("application/json", "9", "[]"), "@400 Bad Request" }, /* cut short */
    APP_COOKIE("aa=1; ba=2;a=3 ; a=4", "3", "3"), APP_COOKIE("b=1\r\nCookie: a=2", "3", "2"),
    APP_COOKIE("a=1\r\nCookie: a=2", "3", "1"), /* the first of a name, wherever it stands */
    APP_COOKIE("a=\"q\"", "3", "q"), APP_COOKIE("a=\"\"", "2", ""), APP_COOKIE("a=\"", "3", "\""),
    APP_COOKIE("a=\"q", "4", "\"q"), APP_COOKIE("a=q\"", "4", "q\""), APP_COOKIE("a=", "2", ""),
    APP_COOKIE("a; \ta= \t1 \t;", "5", " \t1"), APP_COOKIE("a", "3", "-"), APP_COOKIE("b;  ", "3", "-"),
};

/* Calls on a request that have not begun when its handler has ended, or (the last) have not come to their end: they fail,
 * and touch neither what is left of it nor the next request of the connection, which closes. */
enum { LATE_READ = 'a', LATE_POST, LATE_SENDFILE, LATE_PACKED, LATE_FILE, LATE_UPGRADE, LATE_NEXT, LATE_APP, LATE_READING,
       LATE_END };
static struct { aio_future *call; aio_app *app; int file; } late_state;
struct late_handler { aio_task task; aio_request *request; char kind; };
static AIO_CORO(late_handler)
{
    AIO_BEGIN(late_handler);
    self->kind = self->request->path.data[1];
    if (late_state.call) AIO_RAISE(AIO_ERUNTIME, "a second request");
    if (self->kind == LATE_READ) late_state.call = (aio_future *)aio_request_read(self->request);
    if (self->kind == LATE_POST) late_state.call = (aio_future *)aio_request_post(self->request);
    if (self->kind == LATE_FILE) late_state.call = aio_request_send_file(self->request, "/proc/self/exe");
    if (self->kind == LATE_NEXT) late_state.call = aio_request_next(self->request);
    if (self->kind == LATE_APP) late_state.call = aio_app_handler(self->request, late_state.app);
    if (self->kind == LATE_READING) {
        late_state.call = (aio_future *)aio_create_task(aio_request_read(self->request));
        SOON();
    }
    if (self->kind == LATE_SENDFILE || self->kind == LATE_PACKED) {
        AIO_AWAIT(aio_request_start(self->request, 200, .compress = self->kind == LATE_PACKED, .content_type = "text/plain"));
        late_state.call = (aio_future *)aio_request_sendfile(self->request, late_state.file, 0, 1000);
        AIO_AWAIT(aio_request_end(self->request));
    } else if (self->kind == LATE_UPGRADE) {
        late_state.call = (aio_future *)aio_request_upgrade_websocket(self->request, .drop_request = true);
    } else AIO_AWAIT(aio_request_respond(self->request, 200, .text = "done"));
    if (!late_state.call) AIO_RAISE(ENOMEM);
    AIO_END;
}
static void *late_around(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(late_handler, .request = request);
}

struct app_late_calls { aio_task task; aio_app *app; aio_server *server; aio_stream *stream; aio_text text; int i;
    char said[400]; };
SCENARIO(app_late_calls, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ECONNABORTED, ETIMEDOUT,
                                  AIO_ERUNTIME })
{
    AIO_BEGIN(app_late_calls);
    memset(&late_state, 0, sizeof late_state);
    late_state.file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    self->app = late_state.app = aio_app_open();
    if (!self->app || aio_app_use(self->app, late_around, NULL)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0, .linger_timeout = AIO_NOW));
    for (self->i = LATE_READ; self->i < LATE_END; self->i++) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        bool reads;
        reads = self->i == LATE_READ || self->i == LATE_READING;
        snprintf(self->said, sizeof self->said, self->i == LATE_UPGRADE
                 ? "GET /%c HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
                   "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                 : "POST /%c HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\nContent-Type: application/x-www-form-urlencoded"
                   "\r\nContent-Length: %d\r\n\r\na=bGET /%c HTTP/1.1\r\nHost: h\r\n\r\n",
                 self->i, reads ? 1000 : 3, self->i);
        REQUIRE(aio_stream_write(self->stream, self->said, strlen(self->said)) == 0);
        AIO_TRY {
            AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
            CHECK(!strncmp(self->text.data, "HTTP/1.1 ", 9) && !strstr(self->text.data + 9, "HTTP/1.1"));
        } AIO_CATCH_CODE(ECONNRESET) { } AIO_END_TRY; /* of what it has not read */
        SOON();
        CHECK_INT(aio_server_client_count(self->server), 0);
        REQUIRE(late_state.call);
        AIO_TRY {
            AIO_TIMEOUT(5) AIO_AWAIT((aio_future *)aio_ref(late_state.call));
            UNREACHED();
        } AIO_CATCH {
            if (self->i != LATE_READING) CAUGHT(AIO_ERUNTIME);
            else CHECK(aio_caught(self)->code != AIO_ETIMEOUT);
            if (self->i == LATE_SENDFILE || self->i == LATE_PACKED)
                CHECK(strstr(aio_caught(self)->message, "has ended with its handler"));
        } AIO_END_TRY;
        aio_unref(late_state.call);
        late_state.call = NULL;
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        if (late_state.file >= 0) close(late_state.file);
        if (late_state.call) aio_future_cancel(late_state.call);
        aio_unref(late_state.call);
        late_state.call = NULL;
        aio_stream_abort(self->stream);
        aio_app_close(self->app);
        SERVER_END(self->server);
    AIO_END;
}

/* A server that is to be started keeps its application from the call on, also if it never begins. */
struct app_started_late { aio_task task; aio_app *app; aio_server *server; aio_server_task *starting; struct talk *talk;
    char path[60]; int i; };
SCENARIO(app_started_late, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ECONNREFUSED, ETIMEDOUT, EADDRINUSE })
{
    aio_app *app;
    AIO_BEGIN(app_started_late);
    snprintf(self->path, sizeof self->path, "/tmp/aio-late-%ld.sock", (long)getpid());
    for (self->i = 0; self->i < 4; self->i++) { /* 0 and 1: never begun */
        self->app = app_example();
        if (!self->app || aio_app_problem(self->app)) AIO_RAISE(ENOMEM);
        self->starting = self->i % 2 ? aio_start_unix_app(self->app, self->path)
                                     : aio_start_app(self->app, "127.0.0.1", 0);
        self->starting = self->starting ? aio_create_task(self->starting) : NULL;
        if (!self->starting) AIO_RAISE(ENOMEM);
        app = self->app;
        self->app = NULL;
        aio_app_close(app);
        if (self->i < 2) aio_future_cancel((aio_future *)self->starting);
        AIO_TRY {
            AIO_AWAIT(self->server, (aio_server_task *)aio_ref(self->starting));
            CHECK(self->i > 1);
        } AIO_CATCH_ALL {
            if (self->i > 1 || aio_caught(self)->code != AIO_ECANCELLED) AIO_RERAISE();
        } AIO_END_TRY;
        aio_unref(self->starting);
        self->starting = NULL;
        if (self->i == 2) {
            self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                                  .said = "GET /nowhere HTTP/1.0\r\n\r\n"));
            AIO_AWAIT((struct talk *)aio_ref(self->talk));
            CHECK(!strncmp(self->talk->answer, "HTTP/1.1 404", 12));
        }
        if (self->i < 2) continue;
        aio_server *server;
        server = self->server;
        self->server = NULL;
        AIO_AWAIT(aio_server_wait_closed(server));
    }
    AIO_FINALLY;
        if (self->starting) aio_future_cancel((aio_future *)self->starting);
        aio_unref(self->starting);
        aio_unref(self->talk);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* The answer's body, or all of it, if it is as it should be. */
struct app_answers { aio_task task; aio_app *app; aio_server *server; struct talk *talk; size_t i; };
SCENARIO(app_answers, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, EINVAL })
{
    AIO_BEGIN(app_answers);
    self->app = app_example();
    if (aio_app_problem(self->app)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0, .max_body = 100));
    for (self->i = 0; self->i < sizeof app_cases / sizeof *app_cases; self->i++) {
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                              .said = app_cases[self->i].said));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        if (*app_cases[self->i].answer == '@')
            CHECK(!strncmp(self->talk->answer + 9, app_cases[self->i].answer + 1,
                           strlen(app_cases[self->i].answer + 1)));
        else CHECK_STR(self->talk->answer, app_cases[self->i].answer);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* ---- middlewares ---- */

/* Notes in the answer that it was passed; answers "/stop" itself; goes on twice for "/twice". */
struct app_around { aio_task task; aio_request *request; const char *name; };
static AIO_CORO(app_around)
{
    AIO_BEGIN(app_around);
    if (aio_request_set_header(self->request, self->name, self->request->arg ? "passed" : "-"))
        AIO_RAISE(ENOMEM);
    if (!strcmp(self->request->path.data, "/stop")) AIO_AWAIT(aio_request_fail(self->request, 403, "stop"));
    AIO_TRY {
        AIO_AWAIT(aio_request_next(self->request));
    } AIO_CATCH_CODE(AIO_ESTATUS) {
        if (strcmp(self->request->path.data, "/twice")) AIO_RERAISE();
    } AIO_END_TRY;
    if (!strcmp(self->request->path.data, "/twice")) AIO_AWAIT(aio_request_next(self->request));
    CHECK_INT(aio_request_status(self->request), 200);
    CHECK_INT(aio_request_set_header(self->request, "Late", "1"), AIO_ERUNTIME);
    AIO_END;
}
static void *app_around_handler(aio_request *request, void *name)
{
    return AIO_CALL(app_around, .request = request, .name = (const char *)name);
}

static int app_passes; /* of "/twice", counted by the innermost middleware, which lets nobody in */
static void *app_guard(aio_request *request, void *arg)
{
    (void)arg;
    if (strcmp(request->path.data, "/twice")) return aio_request_next(request);
    app_passes++;
    return aio_request_fail(request, 401, NULL);
}
static void *app_beyond(aio_request *request, void *arg) { return (void)arg, aio_request_next(request); }

struct app_middlewares { aio_task task; aio_app *app; aio_server *server; struct talk *talk; size_t i; };
SCENARIO(app_middlewares, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, EINVAL })
{
    static const char *const rows[][2] = {
        { APP_GET("/a"), APP_TEXT("200 OK", "13", "One: passed\r\nTwo: passed\r\n", "/a a=- b=- -1") },
        { APP_GET("/stop"), APP_TEXT("403 Forbidden", "10", "One: passed\r\n", "403: stop\n") },
        { APP_GET("/none"), APP_TEXT("404 Not Found", "15", "One: passed\r\nTwo: passed\r\n", "404: Not Found\n") },
        { APP_GET("/twice"), APP_TEXT("401 Unauthorized", "18", "One: passed\r\nTwo: passed\r\n", "401: Unauthorized\n") },
    };
    AIO_BEGIN(app_middlewares);
    self->app = aio_app_open();
    if (aio_app_route(self->app, "GET", "/a", app_shows, NULL) || aio_app_route(self->app, "GET", "/b", app_beyond, NULL)
        || aio_app_route(self->app, "GET", "/twice", app_shows, NULL)
        || aio_app_use(self->app, app_around_handler, (void *)(uintptr_t)"One")
        || aio_app_use(self->app, app_around_handler, (void *)(uintptr_t)"Two")
        || aio_app_use(self->app, app_guard, NULL)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        app_passes = 0;
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = rows[self->i][0]));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        CHECK_STR(self->talk->answer, rows[self->i][1]);
        if (self->i == 3) CHECK_INT(app_passes, 4);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

struct app_starves { aio_task task; };
static AIO_CORO(app_starves)
{
    AIO_BEGIN(app_starves);
    AIO_RAISE(ENOMEM);
    AIO_END;
}
static void *app_memory(aio_request *request, void *arg) { return (void)request, (void)arg, AIO_CALL(app_starves); }

/* Next of a handler leads nowhere; other errors are 500, or 503 for want of memory, and reported. */
struct app_errors { aio_task task; aio_app *app; aio_server *server; struct talk *talk; size_t i; };
SCENARIO(app_errors, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, EINVAL })
{
#define APP_500 "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n" \
    "Content-Length: 46\r\n\r\n{\"status\":500,\"error\":\"Internal Server Error\"}"
    static const char *const rows[][3] = {
        { APP_GET("/b"), "error in the handler of GET /b", APP_500 },
        { APP_GET("/misuse"), "error in the handler of GET /misuse", APP_500 },
        { APP_GET("/memory"), "error in the handler of GET /memory", "HTTP/1.1 503 Service Unavailable\r\n"
          "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 25\r\nConnection: close\r\n\r\n"
          "503: Service Unavailable\n" },
    };
    AIO_BEGIN(app_errors);
    self->app = aio_app_open(.json_errors = true);
    if (aio_app_route(self->app, "GET", "/b", app_beyond, NULL)
        || aio_app_route(self->app, "GET", "/memory", app_memory, NULL)
        || aio_app_route(self->app, "GET", "/misuse", app_raises, NULL)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        expect_report(rows[self->i][1]);
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = rows[self->i][0]));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        CHECK_STR(self->talk->answer, rows[self->i][2]);
        CHECK_PTR(now.wanted_report, NULL);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A refused route is the error of the start. */
struct app_start_refused { aio_task task; aio_app *app; aio_server *server; };
SCENARIO(app_start_refused)
{
    AIO_BEGIN(app_start_refused);
    self->app = aio_app_open();
    if (!self->app) AIO_RAISE(ENOMEM);
    aio_app_route(self->app, "GET", "/{a", app_nothing, NULL);
    AIO_TRY {
        AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EINVAL);
        CHECK(strstr(aio_caught(self)->message, "route GET /{a: a brace") || now.w->kind == KIND_ALLOC);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_app_close(self->app);
    AIO_END;
}

/* ---- the access log ---- */

static double app_log_seconds; /* of the last request */

/* Adds to a text of 1000 bytes. */
static void app_log(const aio_access *access, void *arg)
{
    char *text = (char *)arg, *end = text + strlen(text);
    aio_access copy = *access;
    FILE *file = fmemopen(end, (size_t)(text + 1000 - end), "w");
    app_log_seconds = access->seconds;
    copy.time = 784111777;
    if (file) aio_access_log_write(&copy, file), fclose(file);
}

struct app_waits { aio_task task; aio_request *request; };
static AIO_CORO(app_waits)
{
    AIO_BEGIN(app_waits);
    if (!strcmp(self->request->path.data, "/pieces")) {
        AIO_AWAIT(aio_request_start(self->request, 200));
        AIO_AWAIT(aio_request_chunk(self->request, "12345", 5));
        AIO_AWAIT(aio_request_chunk(self->request, "678", 3));
        AIO_AWAIT(aio_request_end(self->request));
        AIO_RETURN();
    }
    AIO_AWAIT(aio_sleep(3));
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = "late"));
    AIO_END;
}
static void *app_waits_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(app_waits, .request = request);
}

struct app_logs { aio_task task; aio_app *app; aio_server *server; struct talk *talk; char text[1000]; };
SCENARIO(app_logs, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, EINVAL })
{
    AIO_BEGIN(app_logs);
    self->app = aio_app_open(.access_log = app_log, .access_arg = self->text);
    if (aio_app_route(self->app, "GET", "/a", app_shows, NULL)
        || aio_app_route(self->app, "GET", "/{how}", app_waits_handler, NULL)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0));
    AIO_AWAIT(aio_sleep(60)); /* the loop's time is not that of a request */
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
        .said = APP_GET("/pieces") "HEAD /pieces HTTP/1.1\r\nHost: h\r\n\r\n"
                "GET /a?\" HTTP/1.1\r\nHost: h\r\nUser-Agent: \xff\\\"\r\n\r\nHEAD /b/c HTTP/1.0\r\n\r\n"));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK_STR(self->text, "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /pieces HTTP/1.1\" 200 8 \"-\" \"-\"\n"
              "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"HEAD /pieces HTTP/1.1\" 200 - \"-\" \"-\"\n"
              "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?\\\" HTTP/1.1\" 200 13 \"-\" \"\\xff\\\\\\\"\"\n"
              "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"HEAD /b/c HTTP/1.0\" 404 - \"-\" \"-\"\n");
    CHECK_NEAR(app_log_seconds, 0, 0.5);
    aio_unref(self->talk);
    self->text[0] = '\0';
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                          .said = "GET /wait HTTP/1.0\r\nReferer: a\t ~\r\n\r\n"));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK_STR(self->text,
              "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /wait HTTP/1.0\" 200 4 \"a\\x09 ~\" \"-\"\n");
    CHECK_NEAR(app_log_seconds, 3, 0.5);
    AIO_FINALLY;
        aio_unref(self->talk);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* ---- compression ---- */

/* A text of 1300 bytes, or as many as the path says, of the type in `arg`, with what the query says as a field. */
static void *app_large(aio_request *request, void *arg)
{
    char text[1400];
    memset(text, 'x', sizeof text);
    int status = 200;
    int64_t length = aio_request_param_int(request, "length");
    aio_text name, value;
    size_t position = 0;
    int code = 0;
    while (!code && aio_request_query_next(request, &position, &name, &value)) {
        if (!strcmp(name.data, "status")) status = atoi(value.data);
        else if (!strcmp(name.data, "noise")) for (size_t i = 0; i < sizeof text; i++) text[i] = (char)seam_random();
        else code = aio_request_set_header(request, name.data, value.data);
    }
    if (code) return aio_request_fail(request, 503, NULL);
    text[length] = '\0';
    if (request->path.data[1] == 's') return aio_request_respond(request, status, .text = text);
    return aio_request_respond(request, status, .body = text, .length = (size_t)length, .content_type = (const char *)arg);
}

static const struct { const char *target, *accepts; bool varies, packed; } app_packs[] = {
    { "/text/1300", "gzip", true, true }, { "/text/1300", "a;q=1, GZIP ; q=0.001", true, true },
    { "/said/1300", "gzip", true, true }, /* .text is text/plain */
    { "/text/1300", "x-gzip", true, true }, { "/text/1300", "*", true, true }, { "/text/1024", "gzip", true, true },
    { "/text/1300?ETag=W/\"a\"", "gzip", true, true }, { "/json/1300", "identity;q=0.5, gzip", true, true },
    { "/text/1300", "", true, false }, { "/text/1300", "gzip;q=0", true, false },
    { "/text/1300", "*, gzip;q=0.000", true, false }, { "/text/1300", "*;q=0", true, false },
    { "/text/1300", "gzip;q=0.5, identity;q=0.51", true, false }, { "/text/1300", "gzip;q=x", true, false },
    { "/text/1300", "br", true, false }, { "/text/1300", "*x", true, false }, { "/text/1300", "a", true, false },
    { "/text/1300", "gzip;q=0.5, identity;q=0.5", true, true }, { "/text/1300?noise=1", "gzip", true, false },
    { "/text/1300?status=304", "gzip", true, false }, { "/text/1300?status=304&ETag=\"a\"", "gzip", true, false },
    { "/none/0?status=304&ETag=\"a\"", "gzip", true, false }, { "/none/0?status=304&ETag=\"b\"", "br", true, false },
    { "/image/0?status=304&ETag=\"b\"", "gzip", false, false },
    { "/none/0?status=304&ETag=\"b\"&Cache-Control=no-transform", "gzip", false, false },
    { "/none/0?status=304&ETag=\"b\"&Content-Encoding=br", "gzip", false, false }, { "/none/0", "gzip", false, false },
    { "/text/1300?status=204", "gzip", false, false },
    { "/text/1300?status=206", "gzip", false, false }, { "/text/1300?status=207", "gzip", true, true },
    { "/text/1300?status=205", "gzip", true, true },
    { "/text/1023", "gzip", false, false }, { "/image/1300", "gzip", false, false },
    { "/events/1300", "gzip", false, false }, { "/text/1300?ETag=\"a\"", "gzip", true, true },
    { "/text/1300?Content-Encoding=br", "gzip", false, false }, { "/text/1300?Content-Range=bytes", "gzip", false, false },
    { "/text/1300?Cache-Control=private,no-transform", "gzip", false, false },
};

/* What an element of Accept-Encoding weighs, and its name without that. */
TEST(app_weights)
{
    static const struct { const char *item; int weight; const char *name; } rows[] = {
        { "gzip", 1000, "gzip" }, { "gzip;q=0", 0, "gzip" }, { "gzip;q=1", 1000, "gzip" }, { "gzip;q=0.5", 500, "gzip" },
        { "gzip ;\t Q=0.123", 123, "gzip" }, { "gzip\t;q=1.000", 1000, "gzip" }, { "gzip;q=0.1239", 123, "gzip" },
        { "gzip;q=0.05", 50, "gzip" }, { "gzip;q=0.009", 9, "gzip" }, { "gzip;q=0.", 0, "gzip" }, { "a;q=0.9x", 900, "a" },
        { "gzip;q=2", 0, "gzip" }, { "gzip;q=0x5", 0, "gzip" }, { "gzip;q05", 0, "gzip" }, { "gzip;x=1", 0, "gzip" },
        { "gzip;q:1", 0, "gzip" }, { "gzip;qq1", 0, "gzip" }, { "gzip;q 1", 0, "gzip" },
        { "gzip;q=", 0, "gzip" }, { "gzip;q", 0, "gzip" }, { "gzip;", 0, "gzip" }, { "gzip;  ", 0, "gzip" },
        { "a;q=2.5", 0, "a" }, { " ;q=1", 1000, "" }, { ";q=1", 1000, "" }, { "", 1000, "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_text item = aio__text(rows[i].item, strlen(rows[i].item));
        CHECK_INT(aio__answer_weight(&item), rows[i].weight);
        CHECK_BYTES(item.data, item.length, rows[i].name);
    }
}

/* Which types are worth it, and which fields may be trailers. */
TEST(app_types_and_trailers)
{
    static const char *const small[] = { "text/plain", "text/x", "TEXT/HTML; charset=utf-8", "application/json",
        "application/JSON \t; x", "a/b+json", "image/svg+xml", "application/xml", "application/javascript",
        "application/x-ndjson", "text/event-streams", "text/event-strea" };
    static const char *const large[] = { "", "text/", "text", "text/event-stream", "Text/Event-Stream ;x", "/json", "+xml",
        "image/png", "application/jsonx", "application/octet-stream", "a/json/b", ";text/plain" };
    static const char *const fit[] = { NULL, "Server-Timing", "A, B", "If", "if-", "X-If-Match", "proxy", "Digest" };
    static const char *const unfit[] = { "Age", "", "A, Content-Length", "TE", "if-match", "Proxy-X", "WWW-Authenticate",
        "Set-Cookie ,A", "a b", "A,b c", "Trailer", "warning", "Transfer-Encoding", "Host", "vary" };
    for (size_t i = 0; i < sizeof small / sizeof *small; i++)
        CHECK(aio__answer_type_shrinks(aio__text(small[i], strlen(small[i]))));
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        CHECK(!aio__answer_type_shrinks(aio__text(large[i], strlen(large[i]))));
    for (size_t i = 0; i < sizeof fit / sizeof *fit; i++) CHECK(!aio__answer_trailers_problem(fit[i]));
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) CHECK(aio__answer_trailers_problem(unfit[i]));
}

static void app_pack_check(const char *answer, size_t i)
{
    const char *body = strstr(answer, "\r\n\r\n"), *length = strstr(answer, "Content-Length: ");
    aio_text text = { NULL, 0 };
    if (!CHECK(body && (length || !body[4]))) return; /* what has no body has no length */
    bool packed = strstr(answer, "Content-Encoding: gzip\r\n") != NULL;
    CHECK_INT(strstr(answer, "Vary: Accept-Encoding\r\n") != NULL, app_packs[i].varies);
    CHECK_INT(packed, app_packs[i].packed);
    if (strstr(app_packs[i].target, "\"a\"")) CHECK(strstr(answer, "\r\nETag: W/\"a\"\r\n")); /* a strong one becomes weak */
    if (strstr(app_packs[i].target, "\"b\"")) CHECK(strstr(answer, "\r\nETag: \"b\"\r\n")); /* or stays as it is */
    if (!packed || !length || now.w->kind == KIND_ALLOC) return;
    CHECK_INT(aio_inflate_all(&text, body + 4, (size_t)atoi(length + 16), NULL), 0);
    CHECK_INT(text.length, atoi(strpbrk(app_packs[i].target + 1, "/") + 1));
    CHECK_INT(count_bytes(text, 'x'), text.length);
    aio_text_clear(&text);
}

struct app_compresses { aio_task task; aio_app *app; aio_server *server; struct talk *talk; size_t i; char said[200]; };
SCENARIO(app_compresses, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, EINVAL })
{
    static const char *const types[][2] = { { "/text/{length}", "text/plain" }, { "/image/{length}", "image/png" },
        { "/none/{length}", NULL }, { "/said/{length}", NULL },
        { "/json/{length}", "application/problem+json; charset=utf-8" }, { "/events/{length}", "text/event-stream" } };
    AIO_BEGIN(app_compresses);
    self->app = aio_app_open(.compress = true);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (aio_app_route(self->app, "GET", types[i][0], app_large, (void *)(uintptr_t)types[i][1])) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof app_packs / sizeof *app_packs; self->i++) {
        snprintf(self->said, sizeof self->said, "GET %s HTTP/1.1\r\nHost: h\r\nAccept-Encoding: %s\r\n\r\n",
                 app_packs[self->i].target, app_packs[self->i].accepts);
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->said));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        app_pack_check(self->talk->answer, self->i);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* ---- streamed answers: compression, trailers ---- */

/* Three pieces, as what the target says: after each one the client has all of it. */
struct app_stream { aio_task task; aio_request *request; int i; char said[40]; };
static AIO_CORO(app_stream)
{
    static const char *const tags[] = { "ETag", "\"a\"", NULL };
    AIO_BEGIN(app_stream);
    AIO_AWAIT(aio_request_start(self->request, strstr(self->request->target.data, "304") ? 304 : 200, .headers = tags,
        .content_type = strstr(self->request->target.data, "events") ? "text/event-stream" : "text/plain",
        .compress = strstr(self->request->target.data, "asked") != NULL,
        .length = strstr(self->request->target.data, "known") ? 9 : 0,
        .trailers = strstr(self->request->target.data, "bare") ? NULL : "Check, Other"));
    for (; self->i < 3; self->i++) {
        snprintf(self->said, sizeof self->said, "%d,\n", self->i);
        AIO_AWAIT(aio_request_chunk(self->request, self->said, 3));
    }
    AIO_TRY {
        AIO_AWAIT(aio_request_chunk(self->request, NULL, 1));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    aio_text te;
    te = aio_headers_get(&self->request->headers, "TE");
    int code, expected;
    code = aio_request_set_trailer(self->request, "check", "\"1\"");
    bool whole;
    whole = strstr(self->request->target.data, "known") || aio_request_status(self->request) == 304;
    expected = !te.data || whole || !self->request->version ? ENOTSUP
        : strstr(self->request->target.data, "bare") ? EINVAL : 0;
    if (now.w->kind != KIND_ALLOC) CHECK_INT(code, expected);
    CHECK_INT(aio_request_set_trailer(self->request, "None", "1"), expected ? expected : EINVAL);
    CHECK_STR(aio_request_param(self->request, "a").data, self->request->path.data + 1);
    CHECK_INT(aio_request_set_trailer(self->request, "Check", "a\nb"), EINVAL);
    AIO_AWAIT(aio_request_end(self->request));
    CHECK_INT(aio_request_set_trailer(self->request, "Check", "2"), AIO_ERUNTIME);
    AIO_END;
}
static void *app_stream_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(app_stream, .request = request);
}

static const struct { const char *target, *version, *fields; bool packed; const char *head, *end; } app_streams[] = {
    { "/s", "1.1", "", false, "\r\nETag: \"a\"\r\n", "\r\n0\r\n\r\n" },
    { "/s", "1.1", "Accept-Encoding: gzip\r\n", true, "\r\nETag: W/\"a\"\r\n", "\r\n0\r\n\r\n" },
    { "/s", "1.1", "Accept-Encoding: gzip\r\nTE: deflate, trailers\r\n", true, "\r\nTrailer: Check, Other\r\n",
      "\r\n0\r\ncheck: \"1\"\r\n\r\n" },
    { "/s", "1.1", "TE: Trailers\r\n", false, "\r\nTrailer: Check, Other\r\n", "\r\n0\r\ncheck: \"1\"\r\n\r\n" },
    { "/bare", "1.1", "TE: trailers\r\n", false, "\r\nVary: Accept-Encoding\r\nETag: \"a\"\r\n\r\n",
      "\r\n0\r\n\r\n" },
    { "/known", "1.1", "TE: trailers\r\nAccept-Encoding: gzip\r\n", false, "\r\nContent-Length: 9\r\n", "0,\n1,\n2,\n" },
    { "/s", "1.0", "TE: trailers\r\n", false, "\r\nConnection: close\r\n", "0,\n1,\n2,\n" },
    { "/s", "1.0", "Accept-Encoding: gzip\r\n", true, "\r\nETag: W/\"a\"\r\n", "" },
    { "/events", "1.1", "Accept-Encoding: gzip\r\n", false, "\r\nETag: \"a\"\r\n", "\r\n0\r\n\r\n" },
    { "/304", "1.1", "Accept-Encoding: gzip\r\n", false, "HTTP/1.1 304 Not Modified\r\n", "\r\nETag: \"a\"\r\n\r\n" },
    { "/events/asked", "1.1", "Accept-Encoding: gzip\r\n", true, "\r\nVary: Accept-Encoding\r\n", "\r\n0\r\n\r\n" },
};

/* Takes the chunks off: the body's length, in place. */
static size_t app_unchunk(char *body, size_t length)
{
    size_t n = 0;
    for (char *at = body, *next; at < body + length; at = next + 2) {
        size_t size = (size_t)strtoul(at, &next, 16);
        if (!size) break;
        memmove(body + n, next + 2, size);
        n += size;
        next += 2 + size;
    }
    return n;
}

static void app_stream_check(aio_text answer, size_t i)
{
    char copy[900];
    if (!CHECK(answer.length < sizeof copy)) return;
    memcpy(copy, answer.data, answer.length);
    copy[answer.length] = '\0';
    char *body = strstr(copy, "\r\n\r\n");
    const char *end = app_streams[i].end;
    if (!CHECK(body)) return;
    if (!strstr(copy, app_streams[i].head)) CHECK_STR(copy, app_streams[i].head);
    CHECK_INT(strstr(copy, "Content-Encoding: gzip\r\n") != NULL, app_streams[i].packed);
    CHECK(!memcmp(copy + answer.length - strlen(end), end, strlen(end)));
    size_t length = answer.length - (size_t)(body + 4 - copy);
    if (strstr(copy, "chunked\r\n")) length = app_unchunk(body + 4, length);
    aio_text text = { NULL, 0 };
    if (!app_streams[i].packed) text = aio__text(body + 4, length);
    else CHECK_INT(aio_inflate_all(&text, body + 4, length, NULL), 0);
    if (strstr(app_streams[i].target, "304")) CHECK_INT(text.length, 0);
    else CHECK_BYTES(text.data, text.length, "0,\n1,\n2,\n");
    if (app_streams[i].packed) aio_text_clear(&text);
}

struct app_streamed { aio_task task; aio_app *app; aio_server *server; aio_stream *stream; aio_text text; size_t i;
    char said[200]; };
SCENARIO(app_streamed, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, EINVAL })
{
    AIO_BEGIN(app_streamed);
    self->app = aio_app_open(.compress = true);
    if (aio_app_route(self->app, "GET", "/{a...}", app_stream_handler, NULL)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof app_streams / sizeof *app_streams; self->i++) {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        snprintf(self->said, sizeof self->said, "GET %s HTTP/%s\r\nHost: h\r\n%s\r\n", app_streams[self->i].target,
                 app_streams[self->i].version, app_streams[self->i].fields);
        aio_stream_write(self->stream, self->said, strlen(self->said));
        aio_stream_write_eof(self->stream);
        AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
        if (now.w->kind != KIND_ALLOC) app_stream_check(self->text, self->i);
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* An answer that was to be compressed, and for which memory ends on the way, further with each request; the program
 * answers otherwise then. */
static long app_scarce_at; /* 0: it has sufficed */
struct app_scarce { aio_task task; aio_request *request; aio_future *answer; bool streams; };
static AIO_CORO(app_scarce)
{
    static char text[1300];
    AIO_BEGIN(app_scarce);
    self->streams = !strcmp(self->request->path.data, "/streams");
    memset(text, 'x', sizeof text);
    seam.fired = false;
    seam.fail_alloc = seam.allocations + app_scarce_at;
    self->answer = self->streams ? aio_request_start(self->request, 200, .content_type = "text/plain")
        : aio_request_respond(self->request, 200, .body = text, .length = sizeof text, .content_type = "text/plain");
    seam.fail_alloc = 0;
    app_scarce_at = seam.fired ? app_scarce_at + 1 : 0;
    if (!self->answer) AIO_RAISE(ENOMEM);
    AIO_TRY {
        AIO_AWAIT(self->answer);
        if (self->streams) AIO_AWAIT(aio_request_end(self->request));
    } AIO_CATCH_CODE(ENOMEM) {
        AIO_AWAIT(aio_request_respond(self->request, 503, .text = "later"));
    } AIO_END_TRY;
    AIO_END;
}
static void *app_scarce_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(app_scarce, .request = request);
}

/* No answer says that it is compressed and is not. */
struct app_uncompressed { aio_task task; aio_app *app; aio_server *server; struct talk *talk; int i, later; };
SCENARIO(app_uncompressed, /* memory ends by its own count */ .skip = KIND_ALLOC | KIND_CALL | KIND_SLICE | KIND_CANCEL)
{
    AIO_BEGIN(app_uncompressed);
    self->app = aio_app_open(.compress = true);
    if (aio_app_route(self->app, "GET", "/{how}", app_scarce_handler, NULL)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0));
    for (self->i = 0; self->i < 2; self->i++) {
        self->later = 0;
        for (app_scarce_at = 1; app_scarce_at;) {
            self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->i
                ? "GET /streams HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n"
                : "GET /whole HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n"));
            AIO_AWAIT((struct talk *)aio_ref(self->talk));
            bool says, packed, refused;
            says = strstr(self->talk->answer, "Content-Encoding: gzip\r\n") != NULL;
            packed = strstr(self->talk->answer, "\x1f\x8b") != NULL;
            refused = !strncmp(self->talk->answer, "HTTP/1.1 503 ", 13);
            ALWAYS(says == packed);
            if (refused) ALWAYS(!strcmp(strstr(self->talk->answer, "\r\n\r\n"), "\r\n\r\nlater"));
            self->later += refused;
            if (!app_scarce_at) ALWAYS(says && !refused);
            aio_unref(self->talk);
            self->talk = NULL;
        }
        ALWAYS(self->later >= 3); /* for the state of the compression, its field, the head */
    }
    AIO_FINALLY;
        aio_unref(self->talk);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A file without a name. */
static int app_file(const char *text)
{
    char path[] = "/tmp/aio-app-XXXXXX";
    int file = mkstemp(path);
    if (file < 0 || write(file, text, strlen(text)) < 0) fail("%s cannot be written", path);
    unlink(path);
    return file;
}

/* Each piece can be read before the next one is there; a file goes the same way. */
static aio_event app_go;
struct app_flush { aio_task task; aio_request *request; size_t sent; int file; };
static AIO_CORO(app_flush)
{
    AIO_BEGIN(app_flush);
    AIO_AWAIT(aio_request_start(self->request, 200, .content_type = "text/plain"));
    AIO_AWAIT(aio_request_chunk(self->request, "first ", 6));
    AIO_AWAIT(aio_event_wait(&app_go));
    self->file = app_file("..second");
    AIO_AWAIT(self->sent, aio_request_sendfile(self->request, self->file, 2, 6));
    CHECK_INT(self->sent, 6);
    AIO_AWAIT(self->sent, aio_request_sendfile(self->request, self->file, 2, 1));
    CHECK_INT(self->sent, 1);
    AIO_TRY {
        AIO_AWAIT(aio_request_sendfile(self->request, self->file, 2, 7)); /* there is one byte less */
        UNREACHED();
    } AIO_CATCH_CODE(AIO_EINCOMPLETE) {
    } AIO_END_TRY;
    AIO_AWAIT(aio_request_end(self->request));
    AIO_FINALLY;
        if (self->file > 0) close(self->file);
    AIO_END;
}
static void *app_flush_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(app_flush, .request = request);
}

struct app_flushes { aio_task task; aio_app *app; aio_server *server; aio_session *session; aio_response *response;
    aio_text text; char url[60], all[40]; size_t n; };
SCENARIO(app_flushes, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, EINVAL, AIO_EPAYLOAD,
                               AIO_EDISCONNECTED })
{
    AIO_BEGIN(app_flushes);
    aio_event_clear(&app_go);
    self->app = aio_app_open(.compress = true);
    if (aio_app_route(self->app, "GET", "/", app_flush_handler, NULL)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0));
    self->session = aio_session_open();
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
    if (self->response->status != 200) AIO_RAISE(ENOMEM);
    while (self->n < 6) {
        AIO_AWAIT(self->text, aio_response_read_chunk(self->response));
        if (!CHECK(self->text.length && self->n + self->text.length <= 6)) AIO_RETURN();
        memcpy(self->all + self->n, self->text.data, self->text.length);
        self->n += self->text.length;
    }
    CHECK_INT(aio_event_set(&app_go), 0);
    AIO_ASYNC_FOR(self->text, aio_response_read_chunk(self->response)) {
        if (!CHECK(self->n + self->text.length < sizeof self->all)) AIO_RETURN();
        memcpy(self->all + self->n, self->text.data, self->text.length);
        self->n += self->text.length;
    }
    CHECK_STR(self->all, "first secondssecond");
    AIO_FINALLY;
        aio_event_set(&app_go);
        aio_response_release(self->response);
        aio_app_close(self->app);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
        aio_event_destroy(&app_go);
    AIO_END;
}
