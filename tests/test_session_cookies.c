/* Cookies of a session: taken from responses, sent to whom they are for, in a jar that sessions may share. */

/* Sets the cookie that the query asks for, and answers with what it was sent. */
struct sc_answer { aio_task task; aio_request *request; const char *headers[5]; aio_text cookie; };
static AIO_CORO(sc_answer)
{
    AIO_BEGIN(sc_answer);
    self->headers[0] = self->headers[2] = "Set-Cookie";
    self->headers[1] = aio_request_query(self->request, "set").data;
    self->headers[3] = self->headers[1] ? "no cookie" : NULL;
    if (!self->headers[1]) self->headers[0] = NULL;
    self->cookie = aio_headers_get(&self->request->headers, "Cookie");
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->cookie.data ? self->cookie.data : "none",
                                  .headers = self->headers));
    AIO_END;
}
static void *sc_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(sc_answer, .request = request);
}

struct session_cookies { aio_task task; aio_server *server; aio_session *one, *two, *none; aio_cookie_jar *jar;
                         aio_response *response; aio_text text; char url[80]; int i; };
SCENARIO(session_cookies, .may = { AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EHTTP, ECONNRESET, EPIPE, EINVAL })
{
    static const char *const own[] = { "cookie", "mine=1", NULL };
    static const struct { int session; const char *path, *expected; bool own; } rows[] = {
        { 0, "/?set=a%3D1", "none", false },             { 0, "/", "a=1", false },
        { 0, "/x/y?set=b%3D2", "a=1", false },           { 0, "/x/", "b=2; a=1", false },
        { 0, "/", "a=1", false },                        { 0, "/", "mine=1", true },
        { 0, "/?set=a%3D%3BMax-Age%3D0", "a=1", false }, { 0, "/", "none", false },
        { 1, "/x/", "b=2", false },                      { 2, "/?set=c%3D3", "none", false },
        { 2, "/", "none", false },                       { 0, "/?set=d%3D4%3BSecure", "none", false },
        { 0, "/", "none", false },
    };
    AIO_BEGIN(session_cookies);
    AIO_AWAIT(self->server, aio_start_http_server(sc_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->jar = aio_cookie_jar_open(.unsafe = true));
    REQUIRE(self->one = aio_session_open(.cookie_jar = self->jar));
    REQUIRE(self->two = aio_session_open(.cookie_jar = self->jar));
    REQUIRE(self->none = aio_session_open(.cookie_jar = self->jar, .no_cookies = true));
    CHECK_PTR(aio_session_cookie_jar(self->one), self->jar);
    CHECK_PTR(aio_session_cookie_jar(self->none), NULL);
    for (self->i = 0; self->i < (int)(sizeof rows / sizeof *rows); self->i++) {
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d%s", aio_server_port(self->server), rows[self->i].path);
        AIO_AWAIT(self->response, aio_session_get(rows[self->i].session == 0 ? self->one : rows[self->i].session == 1 ? self->two
                                                  : self->none, self->url, .headers = rows[self->i].own ? own : NULL));
        AIO_AWAIT(self->text, aio_response_read(self->response));
        CHECK_STR(self->text.data, rows[self->i].expected);
        aio_response_release(self->response);
        self->response = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->response);
        aio_cookie_jar_unref(self->jar);
        aio_server_close(self->server);
        AIO_AWAIT(aio_session_close(self->one));
        AIO_AWAIT(aio_session_close(self->two));
        AIO_AWAIT(aio_session_close(self->none));
        AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Without a jar the session makes one; an address has cookies only in an unsafe one. */
struct session_cookies_own { aio_task task; aio_server *server; aio_session *session; aio_response *response; char url[80]; int i; };
SCENARIO(session_cookies_own, .may = { AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EHTTP, ECONNRESET, EPIPE, EINVAL })
{
    AIO_BEGIN(session_cookies_own);
    AIO_AWAIT(self->server, aio_start_http_server(sc_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open());
    CHECK(!aio_session_cookie_jar(self->session));
    for (self->i = 0; self->i < 2; self->i++) {
        snprintf(self->url, sizeof self->url, "http://%s:%d/?set=a%%3D1", self->i ? "localhost" : "127.0.0.1",
                 aio_server_port(self->server));
        AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
        aio_response_release(self->response);
        self->response = NULL;
        CHECK(aio_session_cookie_jar(self->session));
        CHECK_INT((int)aio_cookie_jar_count(aio_session_cookie_jar(self->session)), self->i);
    }
    AIO_FINALLY;
        aio_response_release(self->response);
        aio_server_close(self->server);
        AIO_AWAIT(aio_session_close(self->session));
        AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A cookie that the jar does not take is told, with its name and the reason, and never with its value. */
struct sc_refused { char text[700]; };
static void sc_refused_note(const aio_trace_event *event, void *arg)
{
    struct sc_refused *log = (struct sc_refused *)arg;
    size_t used = strlen(log->text);
    CHECK(!event->reason == (event->kind != AIO_TRACE_COOKIE_REFUSED));
    if (event->kind != AIO_TRACE_COOKIE_REFUSED) return;
    CHECK_STR(aio_trace_name(event->kind), "cookie_refused");
    snprintf(log->text + used, sizeof log->text - used, "%.*s: %s\n", (int)event->bytes.length, event->bytes.data,
             event->reason);
}
#define SC_NO_NAME ": no name\n" /* each answer has such a one besides */
struct session_cookies_refused { aio_task task; aio_server *server; aio_session *session; aio_response *response;
    char url[120]; struct sc_refused log; int i; };
SCENARIO(session_cookies_refused, .may = { AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EHTTP, ECONNRESET, EPIPE, EINVAL })
{
    static const char *const cookies[] = { "a%3DSEKRET%3BSecure", "b%3DSEKRET%3BDomain%3Dother.test", "SEKRET",
        "%3DSEKRET", "__Host-c%3DSEKRET", "SEKRET%3BSecure%3Dx", "d%3Dfine", "e%3DSEKRET%3BDomain%3Dtest" };
    AIO_BEGIN(session_cookies_refused);
    AIO_AWAIT(self->server, aio_start_http_server(sc_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open(.trace = sc_refused_note, .trace_arg = &self->log));
    for (self->i = 0; self->i < (int)(sizeof cookies / sizeof *cookies); self->i++) {
        snprintf(self->url, sizeof self->url, "http://localhost:%d/?set=%s", aio_server_port(self->server),
                 cookies[self->i]);
        AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
        aio_response_release(self->response);
        self->response = NULL;
    }
    CHECK(!strstr(self->log.text, "SEKRET"));
    CHECK_STR(self->log.text, "a: it is Secure, its URL is not\n" SC_NO_NAME "b: its domain is not that of its URL\n"
              SC_NO_NAME SC_NO_NAME SC_NO_NAME SC_NO_NAME SC_NO_NAME "__Host-c: its prefix asks for Secure\n" SC_NO_NAME
              SC_NO_NAME SC_NO_NAME SC_NO_NAME "e: its domain is a public suffix\n" SC_NO_NAME);
    AIO_FINALLY;
        aio_response_release(self->response);
        aio_server_close(self->server);
        AIO_AWAIT(aio_session_close(self->session));
        AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
