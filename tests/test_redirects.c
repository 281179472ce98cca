/* Redirects: which request follows which response, what of it stays, and what goes to no other origin. */

/* Two sites, A and B. Path and query say how a request is answered: "/302?to=B/end&set=a%3D1" with status 302, the
 * Location of /end at B (UA: at A, with a user), and a cookie; "/x?ask=...&nonce=n" with that challenge, unless the
 * request has a digest of this nonce; "info=..." is the Authentication-Info. What came is written to hops.log, a line
 * for each request. */
static struct { int port[2]; size_t length; char log[4096]; } hops;
struct hop {
    aio_task task; aio_request *request; const char *headers[9]; aio_text body, nonce; char location[300], wanted[60];
    int status, count;
};

static void hop_note(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
static void hop_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(hops.log + hops.length, sizeof hops.log - hops.length, format, arguments);
    va_end(arguments);
    if (n > 0) hops.length += (size_t)n;
    if (hops.length >= sizeof hops.log) hops.length = sizeof hops.log - 1;
}

/* The parts of an answer that are not a hash. */
static void hop_note_digest(const char *field)
{
    static const char *const parts[] = { ", nonce=\"", ", uri=\"", ", nc=", ", qop=", "username=\"" };
    hop_note(" Digest");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *at = strstr(field, parts[i]);
        if (at) hop_note(" %.*s", (int)strcspn(at + strlen(parts[i]), "\",?"), at + strlen(parts[i]));
    }
}

static void hop_note_request(const aio_request *request, aio_text body)
{
    static const char *const shown[] = { "Authorization", "Proxy-Authorization", "Cookie", "Content-Type",
                                         "Content-Language", "Content-Length", "Referer", "X-Own" };
    char own[40];
    int site = (int)(intptr_t)request->arg;
    snprintf(own, sizeof own, "127.0.0.1:%d", hops.port[site]);
    hop_note("%c %s %s", 'A' + site, request->method.data, request->path.data);
    if (strcmp(request->authority.data, own) != 0) hop_note(" host=%s", request->authority.data);
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        aio_text value;
        for (size_t position = 0; aio_headers_next_of(&request->headers, shown[i], &position, &value);) {
            if (!strncmp(value.data, "Digest ", 7)) hop_note_digest(value.data);
            else hop_note(" %s=%s", shown[i], value.data);
        }
    }
    if (body.length) hop_note(" \"%.100s\"", body.data);
    hop_note("\n");
}

static void hop_header(struct hop *self, const char *name, const char *value)
{
    if (!value) return;
    self->headers[self->count++] = name;
    self->headers[self->count++] = value;
}

/* Where a query's `to` leads. */
static const char *hop_location(struct hop *self)
{
    const char *to = aio_request_query(self->request, "to").data;
    if (!to) return NULL;
    bool user = *to == 'U';
    const char *site = to + user;
    if (*site != 'A' && *site != 'B') return to;
    snprintf(self->location, sizeof self->location, "http://%s127.0.0.1:%d%s", user ? "x:y@" : "", hops.port[*site - 'A'],
             site + 1);
    return self->location;
}

static AIO_CORO(hop)
{
    AIO_BEGIN(hop);
    AIO_AWAIT(self->body, aio_request_read(self->request));
    hop_note_request(self->request, self->body);
    self->status = atoi(self->request->path.data + 1);
    hop_header(self, "Location", hop_location(self));
    hop_header(self, "Set-Cookie", aio_request_query(self->request, "set").data);
    self->nonce = aio_request_query(self->request, "nonce");
    if (self->nonce.data) {
        const char *field = aio_headers_get(&self->request->headers, "Authorization").data;
        snprintf(self->wanted, sizeof self->wanted, " nonce=\"%.40s\"", self->nonce.data);
        if (!field || !strstr(field, self->wanted)) {
            self->status = 401;
            hop_header(self, "WWW-Authenticate", aio_request_query(self->request, "ask").data);
        } else hop_header(self, "Authentication-Info", aio_request_query(self->request, "info").data);
    }
    AIO_AWAIT(aio_request_respond(self->request, self->status ? self->status : 200, .headers = self->headers,
                                  .text = self->request->path.data));
    AIO_END;
}
static void *hop_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(hop, .request = request); }

/* Opens both sites. */
struct hop_sites { aio_task task; aio_server *sites[2]; int i; };
static AIO_CORO(hop_sites)
{
    AIO_BEGIN(hop_sites);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(self->sites[self->i], aio_start_http_server(hop_handler, (void *)(intptr_t)self->i, "127.0.0.1", 0));
        hops.port[self->i] = aio_server_port(self->sites[self->i]);
    }
    AIO_END;
}
static void hop_close(aio_server *const *sites)
{
    for (int i = 0; i < 2; i++) {
        aio_server_close(sites[i]);
        aio_server_abort_clients(sites[i]);
    }
}

/* One request whose way is looked at. A %d in the URL is the port of A. */
typedef struct hop_row { const char *method, *url, *body, *log; int status, code, count; const char *says; } hop_row;
struct hop_walk {
    aio_task task; aio_session *session; const hop_row *row; aio_request_options options; aio_response *response;
    aio_text text; char url[400];
};
static AIO_CORO(hop_walk)
{
    AIO_BEGIN(hop_walk);
    hops.length = 0;
    *hops.log = 0;
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d%s", hops.port[0], self->row->url);
    if (*self->row->url != '/') snprintf(self->url, sizeof self->url, self->row->url, hops.port[0]);
    if (self->row->body) {
        self->options.data = self->row->body;
        self->options.data_length = strlen(self->row->body);
    }
    AIO_TRY {
        AIO_AWAIT(self->response, aio_session_request_with(self->session, self->row->method, self->url, &self->options));
        CHECK_INT(self->response->status, self->row->status);
        CHECK_INT(self->response->history_count, self->row->count);
        AIO_AWAIT(self->text, aio_response_read(self->response));
        CHECK_INT(self->row->code, 0);
    } AIO_CATCH {
        CAUGHT(self->row->code);
        CHECK(!self->row->says || strstr(aio_caught(self)->message, self->row->says));
    } AIO_END_TRY;
    CHECK_STR(hops.log, self->row->log);
    CHECK_INT(aio_session_busy(self->session), 0);
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}

#define HOP_MAY { AIO_EDISCONNECTED, AIO_EPAYLOAD, AIO_EHTTP, ECONNRESET, EPIPE, ENOTCONN, EINVAL, ECONNABORTED }

/* Runs rows in one session. */
struct hop_rows { aio_task task; const hop_row *rows; size_t count; aio_request_options options;
                  aio_session_options session_options; aio_session *session; aio_server *sites[2];
                  struct hop_sites *open; struct hop_walk *walk; size_t i; };
static AIO_CORO(hop_rows)
{
    AIO_BEGIN(hop_rows);
    REQUIRE(self->open = AIO_CALL(hop_sites));
    AIO_AWAIT((struct hop_sites *)aio_ref(self->open));
    self->session = aio_session_open_with(&self->session_options);
    REQUIRE(self->session);
    for (self->i = 0; self->i < self->count; self->i++)
        AIO_AWAIT(AIO_CALL(hop_walk, .session = self->session, .row = &self->rows[self->i], .options = self->options));
    AIO_FINALLY;
        if (self->open) {
            memcpy(self->sites, self->open->sites, sizeof self->sites);
            hop_close(self->sites);
            aio_unref(self->open);
        }
        AIO_AWAIT(aio_session_close(self->session));
        if (self->sites[0]) AIO_AWAIT(aio_server_wait_closed(self->sites[0]));
        if (self->sites[1]) AIO_AWAIT(aio_server_wait_closed(self->sites[1]));
    AIO_END;
}
#define HOP_ROWS(table) .rows = (table), .count = sizeof(table) / sizeof *(table)

struct redirect_methods { aio_task task; };
SCENARIO(redirect_methods, .may = HOP_MAY)
{
    static const char *const headers[] = { "Content-Type", "text/x", "Content-Language", "de", "X-Own", "1", NULL };
    static const hop_row rows[] = {
        { "POST", "/303?to=/end", "x", "A POST /303 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A GET /end X-Own=1\n", 200, 0, 1, NULL },
        { "PUT", "/303?to=/end", "x", "A PUT /303 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A GET /end X-Own=1\n", 200, 0, 1, NULL },
        { "POST", "/301?to=/302?to=/end", "x",
          "A POST /301 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A GET /302 X-Own=1\nA GET /end X-Own=1\n", 200, 0, 2, NULL },
        { "PUT", "/302?to=/end", "x", "A PUT /302 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A PUT /end Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n", 200, 0, 1, NULL },
        { "POST", "/307?to=/end", "x", "A POST /307 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A POST /end Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n", 200, 0, 1, NULL },
        { "POST", "/308?to=/303?to=/end", "x",
          "A POST /308 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A POST /303 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A GET /end X-Own=1\n", 200, 0, 2, NULL },
    };
    AIO_BEGIN(redirect_methods);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .headers = headers }));
    AIO_END;
}

struct redirect_places { aio_task task; };
SCENARIO(redirect_places, .may = HOP_MAY)
{
    static const hop_row rows[] = {
        { "GET", "/a/302?to=end", NULL, "A GET /a/302\n", 200, 0, 0, NULL },
        { "GET", "/302?to=end", NULL, "A GET /302\nA GET /end\n", 200, 0, 1, NULL },
        { "GET", "/302?to=B/end", NULL, "A GET /302\nB GET /end\n", 200, 0, 1, NULL },
        { "GET", "/302", NULL, "A GET /302\n", 302, 0, 0, NULL },
        { "GET", "/300?to=/end", NULL, "A GET /300\n", 300, 0, 0, NULL },
        { "GET", "/304?to=/end", NULL, "A GET /304\n", 304, 0, 0, NULL },
        { "HEAD", "/302?to=/end", NULL, "A HEAD /302\n", 302, 0, 0, NULL },
        { "GET", "/302?to=ftp://a.test/", NULL, "A GET /302\n", 0, AIO_EURL, 0, "its 302 leads to a URL of scheme ftp" },
        { "GET", "/302?to=mailto:a@b.test", NULL, "A GET /302\n", 0, AIO_EURL, 0, "scheme mailto" },
        { "GET", "/302?to=http://[/", NULL, "A GET /302\n", 0, AIO_EURL, 0, "the Location of its 302 is not valid: " },
        { "GET", "/302?to=http:///", NULL, "A GET /302\n", 0, AIO_EURL, 0, "the Location of its 302 is not valid: " },
    };
    AIO_BEGIN(redirect_places);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows)));
    AIO_END;
}

struct redirect_limits { aio_task task; };
SCENARIO(redirect_limits, .may = HOP_MAY)
{
    static const hop_row rows[] = {
        { "GET", "/302?to=/302?to=/end", NULL, "A GET /302\nA GET /302\nA GET /end\n", 200, 0, 2, NULL },
        { "HEAD", "/302?to=/303?to=/end", NULL, "A HEAD /302\nA HEAD /303\nA HEAD /end\n", 200, 0, 2, NULL },
        { "GET", "/302?to=/302?to=/302?to=/end", NULL, "A GET /302\nA GET /302\nA GET /302\n", 0, AIO_EREDIRECTS, 0,
          ": there are more than 2 redirects" },
    };
    AIO_BEGIN(redirect_limits);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .max_redirects = 2 }));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .max_redirects = 2 }, .session_options = { .no_redirects = true }));
    AIO_END;
}

/* ---- what goes to no other origin ---- */

struct redirect_auth { aio_task task; };
SCENARIO(redirect_auth, .may = HOP_MAY)
{
    static const hop_row rows[] = {
        { "GET", "/302?to=/end", NULL, "A GET /302 Authorization=Basic dTpw\nA GET /end Authorization=Basic dTpw\n", 200, 0, 1,
          NULL },
        { "GET", "/302?to=B/302?to=A/end", NULL, "A GET /302 Authorization=Basic dTpw\nB GET /302\nA GET /end\n", 200, 0, 2,
          NULL },
        { "GET", "/302?to=UB/end", NULL, "A GET /302 Authorization=Basic dTpw\nB GET /end Authorization=Basic eDp5\n", 200, 0,
          1, NULL },
        { "GET", "/302?to=UA/302?to=/end", NULL, "A GET /302 Authorization=Basic dTpw\nA GET /302 Authorization=Basic eDp5\n"
          "A GET /end Authorization=Basic eDp5\n", 200, 0, 2, NULL },
    };
    AIO_BEGIN(redirect_auth);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .auth = { .user = "u", .password = "p" } }));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .session_options = { .auth = { .user = "u", .password = "p" } }));
    AIO_END;
}

struct redirect_secrets { aio_task task; };
SCENARIO(redirect_secrets, .may = HOP_MAY)
{
    static const char *const headers[] = { "Authorization", "one", "cookie", "a=1", "AUTHORIZATION", "two", "Cookie", "b=2",
                                           "Host", "a.test", "X-Own", "1", NULL };
    static const hop_row rows[] = {
        { "GET", "/302?to=/end", NULL,
          "A GET /302 host=a.test Authorization=one Authorization=two Cookie=a=1 Cookie=b=2 X-Own=1\n"
          "A GET /end host=a.test Authorization=one Authorization=two Cookie=a=1 Cookie=b=2 X-Own=1\n", 200, 0, 1, NULL },
        { "GET", "/307?to=B/302?to=A/end", NULL,
          "A GET /307 host=a.test Authorization=one Authorization=two Cookie=a=1 Cookie=b=2 X-Own=1\n"
          "B GET /302 X-Own=1\nA GET /end X-Own=1\n", 200, 0, 2, NULL },
    };
    AIO_BEGIN(redirect_secrets);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .headers = headers }));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .session_options = { .headers = headers }));
    AIO_END;
}

struct redirect_users { aio_task task; };
SCENARIO(redirect_users, .may = HOP_MAY)
{
    static const hop_row rows[] = {
        { "GET", "http://u:p@127.0.0.1:%d/302?to=A/302?to=end", NULL, "A GET /302 Authorization=Basic dTpw\n"
          "A GET /302 Authorization=Basic dTpw\nA GET /end Authorization=Basic dTpw\n", 200, 0, 2, NULL },
        { "GET", "http://u:p@127.0.0.1:%d/302?to=B/end", NULL, "A GET /302 Authorization=Basic dTpw\nB GET /end\n", 200, 0, 1,
          NULL },
    };
    AIO_BEGIN(redirect_users);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows)));
    AIO_END;
}

/* A token; what a session has goes to its base alone. */
struct request_bearer { aio_task task; char base[60]; };
SCENARIO(request_bearer, .may = HOP_MAY)
{
    static const hop_row rows[] = {
        { "GET", "/a", NULL, "A GET /a Authorization=Bearer t.o-k/e+n==\n", 200, 0, 0, NULL },
        { "GET", "/302?to=B/end", NULL, "A GET /302 Authorization=Bearer t.o-k/e+n==\nB GET /end\n", 200, 0, 1, NULL },
    };
    static const hop_row elsewhere[] = { { "GET", "/a", NULL, "A GET /a\n", 200, 0, 0, NULL } };
    AIO_BEGIN(request_bearer);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .auth = { .bearer = "t.o-k/e+n==" } }));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(elsewhere), .session_options = { .auth = { .bearer = "token" },
                                                                          .base_url = "http://127.0.0.1:1/" }));
    AIO_END;
}

/* ---- cookies ---- */

struct request_cookies { aio_task task; aio_cookie_jar *jar; };
SCENARIO(request_cookies, .may = HOP_MAY)
{
    static const char *const cookies[] = { "a", "own", "c", "3", NULL };
    static const hop_row rows[] = {
        { "GET", "/x", NULL, "A GET /x Cookie=a=own; c=3\n", 200, 0, 0, NULL },
        { "GET", "/302?to=/end&set=a%3D1;Path%3D/", NULL, "A GET /302 Cookie=a=own; c=3\nA GET /end Cookie=a=own; c=3\n", 200,
          0, 1, NULL },
        { "GET", "/302?to=/end&set=b%3D2;Path%3D/", NULL, "A GET /302 Cookie=a=own; c=3\nA GET /end Cookie=b=2; a=own; c=3\n",
          200, 0, 1, NULL },
        { "GET", "/302?to=B/end", NULL, "A GET /302 Cookie=b=2; a=own; c=3\nB GET /end Cookie=a=1; b=2\n", 200, 0, 1, NULL },
    };
    AIO_BEGIN(request_cookies);
    REQUIRE(self->jar = aio_cookie_jar_open(.unsafe = true));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .cookies = cookies }, .session_options = { .cookie_jar = self->jar }));
    AIO_FINALLY;
        aio_cookie_jar_unref(self->jar);
    AIO_END;
}

/* A login: the redirect's cookie is in the next hop, and the session's own from the first. */
struct session_login { aio_task task; aio_cookie_jar *jar; };
SCENARIO(session_login, .may = HOP_MAY)
{
    static const char *const cookies[] = { "first", "1", NULL };
    static const hop_row rows[] = {
        { "POST", "/303?to=/home&set=session%3Ds;Path%3D/", "password", "A POST /303 Cookie=first=1 "
          "Content-Type=application/octet-stream Content-Length=8 \"password\"\nA GET /home Cookie=first=1; session=s\n", 200, 0,
          1, NULL },
    };
    AIO_BEGIN(session_login);
    REQUIRE(self->jar = aio_cookie_jar_open(.unsafe = true));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .session_options = { .cookie_jar = self->jar, .cookies = cookies }));
    AIO_FINALLY;
        aio_cookie_jar_unref(self->jar);
    AIO_END;
}

/* ---- Digest ---- */

#ifndef AIO_NO_TLS
#define ASK(nonce, more) "ask=Digest realm=\"r\", nonce=\"" nonce "\", qop=\"auth\"" more "&nonce=" nonce
struct session_digest { aio_task task; aio_digest_auth *auth; };
SCENARIO(session_digest, .may = HOP_MAY)
{
    static const hop_row whole[] = {
        { "POST", "/x?ask=Basic realm=\"r\", Digest realm=\"r\", nonce=\"one\", qop=\"auth-int\"&nonce=one", "b",
          "A POST /x Content-Type=application/octet-stream Content-Length=1 \"b\"\n"
          "A POST /x Digest one /x 00000001 auth-int u Content-Type=application/octet-stream Content-Length=1 \"b\"\n", 200, 0,
          1, NULL },
        { "GET", "/x?ask=Digest realm=\"r\", nonce=\"one\"&nonce=never", NULL, "A GET /x Digest one /x 00000002 auth-int u\n",
          401, 0, 0, NULL },
    };
    static const hop_row rows[] = {
        { "GET", "/x?" ASK("one", ""), NULL, "A GET /x\nA GET /x Digest one /x 00000001 auth u\n", 200, 0, 1, NULL },
        { "GET", "/x?" ASK("one", ""), NULL, "A GET /x Digest one /x 00000002 auth u\n", 200, 0, 0, NULL }, /* before it is asked */
        { "POST", "/x?" ASK("two", ", stale=true"), "b",
          "A POST /x Digest one /x 00000003 auth u Content-Type=application/octet-stream Content-Length=1 \"b\"\n"
          "A POST /x Digest two /x 00000001 auth u Content-Type=application/octet-stream Content-Length=1 \"b\"\n", 200, 0, 1,
          NULL },
        { "GET", "/x?info=nextnonce=\"three\"&" ASK("two", ""), NULL, "A GET /x Digest two /x 00000002 auth u\n", 200, 0, 0, NULL },
        { "GET", "/x?" ASK("three", ""), NULL, "A GET /x Digest three /x 00000001 auth u\n", 200, 0, 0, NULL },
        { "GET", "/302?to=/x?" ASK("three", ""), NULL,
          "A GET /302 Digest three /302 00000002 auth u\nA GET /x Digest three /x 00000003 auth u\n", 200, 0, 1, NULL },
        { "GET", "/wrong?ask=Digest realm=\"r\", nonce=\"four\", qop=\"auth\"&nonce=never", NULL,
          "A GET /wrong Digest three /wrong 00000004 auth u\n", 401, 0, 0, NULL },
        { "GET", "/302?to=B/x?ask=Digest realm=\"r\", nonce=\"five\"%26nonce=five", NULL, /* nor is another origin told anything */
          "A GET /302 Digest three /302 00000005 auth u\nB GET /x\n", 401, 0, 1, NULL },
    };
    AIO_BEGIN(session_digest);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .session_options = { .auth = { .digest = self->auth } }));
    aio_digest_auth_unref(self->auth);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(whole), .options = { .auth = { .digest = self->auth } }));
    AIO_FINALLY;
        aio_digest_auth_unref(self->auth);
    AIO_END;
}
#endif
