/* Redirects: which request follows which response, what of it stays, and what goes to no other origin. */

/* Two sites, A and B. Path and query say how a request is answered: "/302?to=B/end&set=a%3D1" with status 302, the
 * Location of /end at B (UA: at A, with a user), and a cookie; "/x?ask=...&nonce=n" with that challenge, unless the
 * request has a digest of this nonce; "info=..." is the Authentication-Info. What came is written to hops.log, a line
 * for each request. */
#include <malloc.h>

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

#ifndef AIO_NO_TLS
static void hop_md5(const char *data, size_t length, char *hex)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    EVP_Digest(data, length, bytes, NULL, EVP_md5(), NULL);
    for (int i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
}

/* Whether an answer of auth-int by MD5, of user "u" with "p" in realm "r", has the right hash of method and body. */
static bool hop_digest_fits(const aio_request *request, const char *field, aio_text body)
{
    static const char *const parts[] = { " nonce=\"", " nc=", " cnonce=\"", " uri=\"", " response=\"" };
    char part[5][300], user[33], what[33], whole[33], text[1200];
    for (size_t i = 0; i < 5; i++) {
        const char *at = strstr(field, parts[i]);
        if (!at) return false;
        at += strlen(parts[i]);
        snprintf(part[i], sizeof part[i], "%.*s", (int)strcspn(at, i == 1 ? "," : "\""), at);
    }
    hop_md5("u:r:p", 5, user);
    hop_md5(body.data, body.length, whole);
    hop_md5(text, (size_t)snprintf(text, sizeof text, "%.99s:%s:%s", request->method.data, part[3], whole), what);
    hop_md5(text, (size_t)snprintf(text, sizeof text, "%s:%s:%s:%s:auth-int:%s", user, part[0], part[1], part[2], what),
            whole);
    return !strcmp(whole, part[4]);
}
#endif

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
            if (!strncmp(value.data, "Digest ", 7)) {
                hop_note_digest(value.data);
#ifndef AIO_NO_TLS
                bool whole = strstr(value.data, "qop=auth-int") != NULL;
                if (whole && !hop_digest_fits(request, value.data, body)) hop_note(" wrong");
#endif
            } else hop_note(" %s=%s", shown[i], value.data);
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
    snprintf(self->location, sizeof self->location, "http://%s127.0.0.1:%d%s", user ? "x:y@" : "",
             hops.port[*site - 'A'], site + 1);
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
        AIO_AWAIT(self->response, aio_session_request_with(self->session, self->row->method, self->url,
                                                           &self->options));
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
                  struct hop_sites *open; bool proxied; char proxy[60]; size_t i; };
static AIO_CORO(hop_rows)
{
    AIO_BEGIN(hop_rows);
    REQUIRE(self->open = AIO_CALL(hop_sites));
    AIO_AWAIT((struct hop_sites *)aio_ref(self->open));
    snprintf(self->proxy, sizeof self->proxy, "http://127.0.0.1:%d", hops.port[0]);
    if (self->proxied) setenv("http_proxy", self->proxy, 1);
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
        { "POST", "/303?to=/end", "x",
          "A POST /303 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A GET /end X-Own=1\n", 200, 0, 1, NULL },
        { "PUT", "/303?to=/end", "x",
          "A PUT /303 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A GET /end X-Own=1\n", 200, 0, 1, NULL },
        { "POST", "/301?to=/302?to=/end", "x",
          "A POST /301 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A GET /302 X-Own=1\nA GET /end X-Own=1\n", 200, 0, 2, NULL },
        { "PUT", "/302?to=/end", "x",
          "A PUT /302 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
          "A PUT /end Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n", 200, 0, 1, NULL },
        { "POST", "/307?to=/end", "x",
          "A POST /307 Content-Type=text/x Content-Language=de Content-Length=1 X-Own=1 \"x\"\n"
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
        { "GET", "/302?to=ftp://a.test/", NULL, "A GET /302\n", 0, AIO_EURL, 0,
          "its 302 leads to a URL of scheme ftp" },
        { "GET", "/302?to=/302?to=ftp://a.test/", NULL, "A GET /302\nA GET /302\n", 0, AIO_EURL, 0,
          "/302?to=ftp://a.test/ (after 1 redirect): its 302 leads to a URL of scheme ftp" },
        { "GET", "/302?to=mailto:a@b.test", NULL, "A GET /302\n", 0, AIO_EURL, 0, "scheme mailto" },
        { "GET", "/302?to=http://[/", NULL, "A GET /302\n", 0, AIO_EURL, 0, "the Location of its 302 is not valid: " },
        { "GET", "/302?to=http:///", NULL, "A GET /302\n", 0, AIO_EURL, 0, "the Location of its 302 is not valid: " },
    };
    AIO_BEGIN(redirect_places);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows)));
    AIO_END;
}

/* What is encoded is asked for as it was given, hop after hop, by an option of the request as by the session's. */
struct redirect_encoded { aio_task task; };
SCENARIO(redirect_encoded, .may = HOP_MAY)
{
    static const hop_row rows[] = {
        { "GET", "/302/%7e/../x?to=/%257e%252f?%257e", NULL, "A GET /302/%7e/../x\nA GET /%7e%2f\n", 200, 0, 1, NULL },
        { "GET", "/302?to=/%C3%A9", NULL, "A GET /302\n", 0, AIO_EURL, 0,
          "the Location of its 302 is not valid: the URL has a byte that an encoded one cannot have (at byte 1)" },
        { "GET", "/a b", NULL, "", 0, AIO_EURL, 0,
          "/a b: the URL has a byte that an encoded one cannot have (at byte 2" },
    };
    AIO_BEGIN(redirect_encoded);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .encoded = true }));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .session_options = { .encoded = true }));
    AIO_END;
}

struct redirect_limits { aio_task task; };
SCENARIO(redirect_limits, .may = HOP_MAY)
{
    static const hop_row rows[] = {
        { "GET", "/302?to=/302?to=/end", NULL, "A GET /302\nA GET /302\nA GET /end\n", 200, 0, 2, NULL },
        { "HEAD", "/302?to=/303?to=/end", NULL, "A HEAD /302\nA HEAD /303\nA HEAD /end\n", 200, 0, 2, NULL },
        { "GET", "/302?to=/302?to=/302?to=/end", NULL, "A GET /302\nA GET /302\nA GET /302\n", 0, AIO_EREDIRECTS, 0,
          "/302?to=/end (after 2 redirects): there are more than 2 redirects" },
    };
    AIO_BEGIN(redirect_limits);
    static const hop_row none[] = { { "GET", "/302?to=/end", NULL, "A GET /302\n", 302, 0, 0, NULL } };
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(none), .options = { .no_redirects = true }));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(none), .session_options = { .no_redirects = true }));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(none), .session_options = { .no_redirects = true, .max_redirects = 2 }));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .max_redirects = 2 }));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .max_redirects = 2 },
                       .session_options = { .no_redirects = true }));
    AIO_END;
}

/* ---- what goes to no other origin ---- */

struct redirect_auth { aio_task task; };
SCENARIO(redirect_auth, .may = HOP_MAY)
{
    static const hop_row rows[] = {
        { "GET", "/302?to=/end", NULL, "A GET /302 Authorization=Basic dTpw\nA GET /end Authorization=Basic dTpw\n",
          200, 0, 1, NULL },
        { "GET", "/302?to=B/302?to=A/end", NULL, "A GET /302 Authorization=Basic dTpw\nB GET /302\nA GET /end\n",
          200, 0, 2, NULL },
        { "GET", "/302?to=UB/end", NULL, "A GET /302 Authorization=Basic dTpw\nB GET /end Authorization=Basic eDp5\n",
          200, 0, 1, NULL },
        { "GET", "/302?to=UA/302?to=/end", NULL,
          "A GET /302 Authorization=Basic dTpw\nA GET /302 Authorization=Basic eDp5\n"
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
    static const char *const headers[] = { "Authorization", "one", "cookie", "a=1", "AUTHORIZATION", "two",
                                           "Cookie", "b=2", "Host", "a.test", "X-Own", "1", NULL };
    static const hop_row rows[] = {
        { "GET", "/302?to=/end", NULL,
          "A GET /302 host=a.test Authorization=one Authorization=two Cookie=a=1 Cookie=b=2 X-Own=1\n"
          "A GET /end host=a.test Authorization=one Authorization=two Cookie=a=1 Cookie=b=2 X-Own=1\n",
          200, 0, 1, NULL },
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
        { "GET", "http://u:p@127.0.0.1:%d/302?to=B/end", NULL, "A GET /302 Authorization=Basic dTpw\nB GET /end\n",
          200, 0, 1, NULL },
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
        { "GET", "/302?to=/end&set=a%3D1;Path%3D/", NULL,
          "A GET /302 Cookie=a=own; c=3\nA GET /end Cookie=a=own; c=3\n", 200, 0, 1, NULL },
        { "GET", "/302?to=/end&set=b%3D2;Path%3D/", NULL,
          "A GET /302 Cookie=a=own; c=3\nA GET /end Cookie=b=2; a=own; c=3\n", 200, 0, 1, NULL },
        { "GET", "/302?to=B/end", NULL, "A GET /302 Cookie=b=2; a=own; c=3\nB GET /end Cookie=a=1; b=2\n",
          200, 0, 1, NULL },
    };
    AIO_BEGIN(request_cookies);
    REQUIRE(self->jar = aio_cookie_jar_open(.unsafe = true));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .options = { .cookies = cookies },
                       .session_options = { .cookie_jar = self->jar }));
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
          "Content-Type=application/octet-stream Content-Length=8 \"password\"\n"
          "A GET /home Cookie=first=1; session=s\n", 200, 0, 1, NULL },
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
#define ASK_ENCODED "ask=Digest%20realm=%22r%22,%20nonce=%22one%22,%20qop=%22auth%22&nonce=one"
#define ASK(nonce, more) "ask=Digest realm=\"r\", nonce=\"" nonce "\", qop=\"auth\"" more "&nonce=" nonce
struct session_digest { aio_task task; aio_digest_auth *auth; };
SCENARIO(session_digest, .may = HOP_MAY)
{
    static const hop_row whole[] = {
        { "POST", "/x?ask=Basic realm=\"r\", Digest realm=\"r\", nonce=\"one\", qop=\"auth-int\"&nonce=one", "b",
          "A POST /x Content-Type=application/octet-stream Content-Length=1 \"b\"\n"
          "A POST /x Digest one /x 00000001 auth-int u Content-Type=application/octet-stream Content-Length=1 \"b\"\n",
          200, 0, 1, NULL },
        { "GET", "/x?ask=Digest realm=\"r\", nonce=\"one\"&nonce=never", NULL,
          "A GET /x Digest one /x 00000002 auth-int u\n", 401, 0, 0, NULL },
    };
    static const hop_row rows[] = {
        { "GET", "/x?" ASK("one", ""), NULL, "A GET /x\nA GET /x Digest one /x 00000001 auth u\n", 200, 0, 1, NULL },
        /* before it is asked */
        { "GET", "/x?" ASK("one", ""), NULL, "A GET /x Digest one /x 00000002 auth u\n", 200, 0, 0, NULL },
        { "POST", "/x?" ASK("two", ", stale=true"), "b",
          "A POST /x Digest one /x 00000003 auth u Content-Type=application/octet-stream Content-Length=1 \"b\"\n"
          "A POST /x Digest two /x 00000001 auth u Content-Type=application/octet-stream Content-Length=1 \"b\"\n",
          200, 0, 1, NULL },
        { "GET", "/x?info=nextnonce=\"three\"&" ASK("two", ""), NULL, "A GET /x Digest two /x 00000002 auth u\n",
          200, 0, 0, NULL },
        { "GET", "/x?" ASK("three", ""), NULL, "A GET /x Digest three /x 00000001 auth u\n", 200, 0, 0, NULL },
        { "GET", "/302?to=/x?" ASK("three", ""), NULL,
          "A GET /302 Digest three /302 00000002 auth u\nA GET /x Digest three /x 00000003 auth u\n", 200, 0, 1, NULL },
        { "GET", "/wrong?ask=Digest realm=\"r\", nonce=\"four\", qop=\"auth\"&nonce=never", NULL,
          "A GET /wrong Digest three /wrong 00000004 auth u\n", 401, 0, 0, NULL },
        /* nor is another origin told anything */
        { "GET", "/302?to=B/x?ask=Digest realm=\"r\", nonce=\"five\"%26nonce=five", NULL,
          "A GET /302 Digest three /302 00000005 auth u\nB GET /x\n", 401, 0, 1, NULL },
    };
    static const hop_row realms[] = { /* two in one origin, of which neither names its paths */
        { "GET", "/x?" ASK("one", ""), NULL, "A GET /x\nA GET /x Digest one /x 00000001 auth u\n", 200, 0, 1, NULL },
        { "GET", "/y?ask=Digest realm=\"\\s\", nonce=\"two\", qop=\"auth\"&nonce=two", NULL,
          "A GET /y Digest one /y 00000002 auth u\nA GET /y Digest two /y 00000001 auth u\n", 200, 0, 1, NULL },
        { "GET", "/y?ask=Digest realm=\"\\s\", nonce=\"new\", qop=\"auth\"&nonce=new", NULL,
          "A GET /y Digest two /y 00000002 auth u\n", 401, 0, 0, NULL },
        { "GET", "/x?" ASK("one", ""), NULL,
          "A GET /x Digest two /x 00000003 auth u\nA GET /x Digest one /x 00000001 auth u\n", 200, 0, 1, NULL },
    };
    static const hop_row wire[] = { /* the target is that of the request's line, whatever the URL is */
        { "GET", "/%7e/../x?" ASK_ENCODED, NULL,
          "A GET /%7e/../x\nA GET /%7e/../x Digest one /%7e/../x 00000001 auth u\n", 200, 0, 1, NULL } };
    static const hop_row by_hand[] = {
        { "GET", "/x", NULL,
          "A GET /%7e/./y\nA GET /%7e/./y Digest one /%7e/./y 00000001 auth u\n", 200, 0, 1, NULL } };
    AIO_BEGIN(session_digest);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(rows), .session_options = { .auth = { .digest = self->auth } }));
    aio_digest_auth_unref(self->auth);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(whole), .options = { .auth = { .digest = self->auth } }));
    aio_digest_auth_unref(self->auth);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(realms), .session_options = { .auth = { .digest = self->auth } }));
    aio_digest_auth_unref(self->auth);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(wire), .options = { .auth = { .digest = self->auth }, .encoded = true }));
    aio_digest_auth_unref(self->auth);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(by_hand), .options = { .auth = { .digest = self->auth },
                                                                 .request_target = "/%7e/./y?" ASK_ENCODED }));
    AIO_FINALLY;
        aio_digest_auth_unref(self->auth);
    AIO_END;
}
#endif

/* ---- what becomes of the connection ---- */

/* A site that says a redirect to /end and a body as a row has it; else the connections that it has served. */
static struct { const struct drain_row *row; int connections; } drain;
struct drain_row { const char *head; size_t now, later; double delay; int connections, end; double least, most;
                   const char *between; /* what is now and what is later */ };
struct drained { aio_task task; aio_stream *stream; const struct drain_row *row; aio_text text; size_t sent;
    char line[80]; };
static void drain_says(struct drained *self, size_t n)
{
    static char bytes[1000];
    memset(bytes, 'x', sizeof bytes);
    for (size_t at = 0; at < n; at += sizeof bytes)
        aio_stream_write(self->stream, bytes, n - at < 1000 ? n - at : 1000);
}
static AIO_CORO(drained)
{
    AIO_BEGIN(drained);
    drain.connections++;
    for (;;) {
        AIO_TRY {
            AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
        } AIO_CATCH {
            if (aio_caught(self)->code == AIO_EINCOMPLETE) AIO_RETURN();
            AIO_RERAISE();
        } AIO_END_TRY;
        if (!strncmp(self->text.data, "GET /end", 8)) {
            snprintf(self->line, sizeof self->line, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d",
                     drain.connections);
            aio_stream_write(self->stream, self->line, strlen(self->line));
            continue;
        }
        self->row = drain.row;
        aio_stream_write(self->stream, self->row->head, strlen(self->row->head));
        drain_says(self, self->row->now);
        if (self->row->later) {
            AIO_AWAIT(aio_sleep(self->row->delay));
            if (self->row->between) aio_stream_write(self->stream, self->row->between, strlen(self->row->between));
            drain_says(self, self->row->later);
        }
        if (self->row->end) break;
    }
    AIO_END;
}
static void *drain_handler(aio_stream *stream, void *arg) { (void)arg; return AIO_CALL(drained, .stream = stream); }

/* Around each hop, without a part in it; or it follows by itself. */
struct drain_follows { aio_task task; aio_response *result; aio_client_request *request; };
static AIO_CORO(drain_follows)
{
    AIO_BEGIN(drain_follows);
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    if (self->result->status != 302) AIO_RETURN(self->result);
    if (aio_client_request_set_url(self->request, "/end")) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->result, aio_client_request_next(self->request));
    AIO_END;
}
static void *drain_around(aio_client_request *request, void *follows)
{
    return follows ? (void *)AIO_CALL(drain_follows, .request = request) : (void *)aio_client_request_next(request);
}
static const aio_middleware drain_passes[] = { { drain_around, NULL }, { NULL, NULL } },
                            drain_leads[] = { { drain_around, &drain }, { NULL, NULL } };

/* In so many ways: without middlewares, with one, and with one that sends the next request itself. */
#define DRAIN_302 "HTTP/1.1 302 Found\r\nLocation: /end\r\n"
struct drain_rows { aio_task task; const struct drain_row *rows; size_t count, ways, way, i; aio_server *server;
                    aio_session *session; aio_response *r; aio_text text; char url[60]; double began; };
static AIO_CORO(drain_rows)
{
    AIO_BEGIN(drain_rows);
    AIO_AWAIT(self->server, aio_start_server(drain_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    for (self->i = 0; self->i < self->ways * self->count; self->i++) {
        drain.row = &self->rows[self->i / self->ways];
        drain.connections = 0;
        self->way = self->i % self->ways;
        self->session = aio_session_open(.limit = 1, .no_redirects = self->way == 2,
                                         .middlewares = !self->way ? NULL : self->way == 1 ? drain_passes : drain_leads);
        REQUIRE(self->session);
        self->began = aio_loop_time(aio_get_running_loop());
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        self->began = aio_loop_time(aio_get_running_loop()) - self->began;
        CHECK_INT(self->r->status, 200);
        CHECK_INT(self->r->history_count, 1);
        CHECK_INT(self->r->times.reused, drain.row->connections == 1);
        CHECK(self->began >= drain.row->least && self->began < drain.row->most);
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK_INT(atoi(self->text.data), drain.row->connections);
        aio_response_release(self->r);
        self->r = NULL;
        CHECK_INT(aio_session_idle(self->session), 1);
        AIO_AWAIT(aio_session_close(self->session));
        self->session = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_server_close(self->server);
        aio_server_abort_clients(self->server);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

struct redirect_drains { aio_task task; };
SCENARIO(redirect_drains, .may = HOP_MAY)
{
    static const struct drain_row rows[] = {
        { DRAIN_302 "Content-Length: 0\r\n\r\n", 0, 0, 0, 1, 0, 0, 0.5, NULL },
        { DRAIN_302 "Content-Length: 5\r\n\r\n", 5, 0, 0, 1, 0, 0, 0.5, NULL },
        { DRAIN_302 "Content-Length: 5\r\n\r\n", 2, 3, 0.5, 1, 0, 0.5, 0.9, NULL },
        { DRAIN_302 "Content-Length: 5\r\n\r\n", 0, 5, 9, 2, 0, 1, 1.5, NULL },
        { DRAIN_302 "Content-Length: 5\r\n\r\n", 2, 0, 0, 2, 1, 0, 0.5, NULL },
        { DRAIN_302 "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", 0, 0, 0, 1, 0, 0, 0.5, NULL },
        { DRAIN_302 "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", 0, 0, 0, 2, 0, 0, 0.5, NULL },
        { DRAIN_302 "Content-Length: 99999999\r\n\r\n", 9, 0, 0, 2, 0, 0, 0.5, NULL },
        { DRAIN_302 "Connection: close\r\nContent-Length: 5\r\n\r\n", 5, 0, 0, 2, 0, 0, 0.5, NULL },
        { DRAIN_302 "\r\n", 5, 5, 9, 2, 0, 0, 0.5, NULL },
    };
    static const struct drain_row decoded[] = { /* by who may want it: what is passed over need not be gzip */
        { DRAIN_302 "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", 5, 0, 0, 1, 0, 0, 0.5, NULL },
    };
    AIO_BEGIN(redirect_drains);
    AIO_AWAIT(AIO_CALL(drain_rows, HOP_ROWS(rows), .ways = 3));
    AIO_AWAIT(AIO_CALL(drain_rows, HOP_ROWS(decoded), .ways = 2));
    AIO_END;
}

/* A head that comes just within `sock_read`: what is passed over after it does not count from before it. */
struct late_site { aio_task task; aio_stream *stream; aio_text text; };
static AIO_CORO(late_site)
{
    AIO_BEGIN(late_site);
    AIO_AWAIT(aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    AIO_AWAIT(aio_sleep(4));
    static const char head[] = DRAIN_302 "Content-Length: 1\r\n\r\n";
    aio_stream_write(self->stream, head, sizeof head - 1);
    AIO_AWAIT(aio_sleep(0.9));
    aio_stream_write(self->stream, "x", 1);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    aio_stream_write(self->stream, HEAD_5 "hello", sizeof HEAD_5 "hello" - 1);
    AIO_END;
}
static void *late_handler(aio_stream *stream, void *arg) { (void)arg; return AIO_CALL(late_site, .stream = stream); }

struct redirect_drains_late { aio_task task; aio_server *server; aio_session *session; aio_response *r; char url[60]; };
SCENARIO(redirect_drains_late, .may = { AIO_EDISCONNECTED, AIO_ETIMEOUT, ECONNRESET, EPIPE, ENOTCONN, ECONNABORTED })
{
    AIO_BEGIN(redirect_drains_late);
    AIO_AWAIT(self->server, aio_start_server(late_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.timeout = { .sock_read = 4.5 }));
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    CHECK_INT(self->r->status, 200);
    CHECK(self->r->times.reused);
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_server_close(self->server);
        aio_server_abort_clients(self->server);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

struct redirect_drain_bounds { aio_task task; };
SCENARIO(redirect_drain_bounds, .may = HOP_MAY, .skip = KIND_SLICE /* 64 KiB */)
{
    static const struct drain_row rows[] = {
        { DRAIN_302 "Content-Length: 65536\r\n\r\n", 65536, 0, 0, 1, 0, 0, 0.9, NULL },
        { DRAIN_302 "Content-Length: 65537\r\n\r\n", 65537, 0, 0, 2, 0, 0, 0.9, NULL },
        { DRAIN_302 "Transfer-Encoding: chunked\r\n\r\n10001\r\n", 0x10001, 0, 0, 2, 0, 0, 0.9, NULL },
        { DRAIN_302 "Transfer-Encoding: chunked\r\n\r\n8000\r\n", 0x8000, 0x8001, 0.5, 2, 0, 0.5, 0.9,
          "\r\n8001\r\n" },
    };
    AIO_BEGIN(redirect_drain_bounds);
    AIO_AWAIT(AIO_CALL(drain_rows, HOP_ROWS(rows), .ways = 3));
    AIO_END;
}

/* ---- what a response says of its way ---- */

struct redirect_history { aio_task task; struct hop_sites *open; aio_server *sites[2]; aio_session *session;
                          aio_response *r; aio_text text; aio_headers fields; char url[100], base[40]; int i; };
SCENARIO(redirect_history, .may = HOP_MAY)
{
    char wanted[120];
    AIO_BEGIN(redirect_history);
    REQUIRE(self->open = AIO_CALL(hop_sites));
    AIO_AWAIT((struct hop_sites *)aio_ref(self->open));
    snprintf(self->base, sizeof self->base, "127.0.0.1:%d", hops.port[0]);
    snprintf(self->url, sizeof self->url, "http://u:p@%s/303?to=/302?to=UA/e#f", self->base);
    REQUIRE(self->session = aio_session_open());
    AIO_AWAIT(self->r, aio_session_put(self->session, self->url));
    snprintf(wanted, sizeof wanted, "http://%s/e", self->base);
    CHECK_STR(self->r->url, wanted);
    snprintf(wanted, sizeof wanted, "http://%s/e#f", self->base);
    CHECK_STR(self->r->real_url, wanted);
    CHECK_STR(self->r->method, "GET");
    REQUIRE(self->r->history_count == 2);
    CHECK_INT(self->r->history[0]->status, 303);
    CHECK_STR(self->r->history[0]->method, "PUT");
    CHECK_INT(self->r->history[0]->history_count, 0);
    snprintf(wanted, sizeof wanted, "http://%s/303?to=/302?to=UA/e", self->base);
    CHECK_STR(self->r->history[0]->url, wanted);
    CHECK_INT(self->r->history[1]->status, 302);
    CHECK_STR(self->r->history[1]->reason, "Found");
    CHECK(aio_headers_get(&self->r->history[1]->headers, "Location").length > 10);
    CHECK(!strncmp(aio_response_head(self->r->history[1]).data, "HTTP/1.1 302 Found\r\n", 20));
    CHECK(self->r->history[1]->times.reused);
    aio_response_release(self->r->history[0]); /* it is not for the user to end */
    aio_response_close(self->r->history[1]);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->text, aio_response_read(self->r->history[self->i]));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_EPAYLOAD);
        } AIO_END_TRY;
    }
    AIO_AWAIT(self->text, aio_response_read(self->r));
    CHECK_BYTES(self->text.data, self->text.length, "/e");
    aio_response_release(self->r);
    self->r = NULL;
    /* again, from the session's spares; then a response without a way */
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    CHECK_INT(self->r->history_count, 2);
    for (int i = 0; i < 2; i++) { /* they led here, and nothing to them */
        CHECK_PTR(self->r->history[i]->history, NULL);
        CHECK_INT(self->r->history[i]->history_count, 0);
    }
    aio_response_release(self->r);
    self->r = NULL;
    snprintf(self->url, sizeof self->url, "http://%s/e", self->base);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    CHECK_INT(self->r->history_count, 0);
    CHECK_STR(self->r->url, self->url);
    CHECK_STR(self->r->real_url, self->url);
    AIO_FINALLY;
        aio_response_release(self->r);
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

/* A ring of slow hops: the error has the way, and one limit of time is for all of it. */
static AIO_CORO(ring_hop);
struct ring_hop { aio_task task; aio_request *request; };
static AIO_CORO(ring_hop)
{
    static const char *const headers[] = { "Location", "/again", NULL };
    AIO_BEGIN(ring_hop);
    AIO_AWAIT(aio_sleep(0.25));
    AIO_AWAIT(aio_request_respond(self->request, 307, .headers = headers));
    AIO_END;
}
static void *ring_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(ring_hop, .request = request); }

struct redirect_ring { aio_task task; aio_server *server; aio_session *session; aio_response *r; char url[60]; int i; };
SCENARIO(redirect_ring, .may = HOP_MAY)
{
    const aio_exception *error;
    AIO_BEGIN(redirect_ring);
    AIO_AWAIT(self->server, aio_start_http_server(ring_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.max_redirects = 3));
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EREDIRECTS);
        error = aio_caught(self);
        CHECK_INT(error->member_count, 4);
        CHECK(error->member_count < 4 || (strstr(error->members[0]->message, "/: 307 Temporary Redirect")
                                          && strstr(error->members[3]->message, "/again: 307 ")));
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .max_redirects = 1000,
                                           .timeout = { .total = 2.1 }));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK(strstr(aio_caught(self)->message, "`total`"));
    } AIO_END_TRY;
    CHECK_INT(aio_session_busy(self->session), 0);
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_server_close(self->server);
        aio_server_abort_clients(self->server);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* ---- bodies that are made while they are sent ---- */

struct twice { int at, rewound; };
struct twice_piece { aio_task task; aio_text result; struct twice *from; };
static AIO_CORO(twice_piece)
{
    AIO_BEGIN(twice_piece);
    AIO_AWAIT(aio_sleep(0));
    AIO_RETURN(aio__text("piece ", self->from->at++ < 2 ? 6 : 0));
    AIO_END;
}
static aio_text_task *twice_next(void *arg)
{
    return (aio_text_task *)(void *)AIO_CALL(twice_piece, .from = (struct twice *)arg);
}
static bool twice_rewind(void *arg)
{
    struct twice *from = (struct twice *)arg;
    from->at = 0;
    return ++from->rewound < 2;
}

struct redirect_producers { aio_task task; struct twice from; };
SCENARIO(redirect_producers, .may = HOP_MAY)
{
    static const hop_row again[] = {
        { "PUT", "/307?to=/end", NULL, "A PUT /307 Content-Type=application/octet-stream \"piece piece \"\n"
          "A PUT /end Content-Type=application/octet-stream \"piece piece \"\n", 200, 0, 1, NULL } };
    static const hop_row more[] = {
        { "PUT", "/307?to=/308?to=/end", NULL, "A PUT /307 Content-Type=application/octet-stream \"piece piece \"\n", 0,
          AIO_EPAYLOAD, 0, "its 307 cannot be followed: the body cannot be sent again" } };
    static const hop_row never[] = {
        { "POST", "/307?to=/end", NULL, "A POST /307 Content-Type=application/octet-stream \"piece piece \"\n",
          0, AIO_EPAYLOAD, 0, "its 307 cannot be followed: the body cannot be sent again" } };
    static const hop_row gone[] = {
        { "POST", "/302?to=/end", NULL,
          "A POST /302 Content-Type=application/octet-stream \"piece piece \"\nA GET /end\n", 200, 0, 1, NULL } };
    AIO_BEGIN(redirect_producers);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(again),
                       .options = { .producer = { twice_next, twice_rewind, &self->from, 0 } }));
    CHECK_INT(self->from.rewound, 1);
    self->from.at = 0;
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(more),
                       .options = { .producer = { twice_next, twice_rewind, &self->from, 0 } }));
    self->from.at = 0;
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(never), .options = { .producer = { twice_next, NULL, &self->from, 0 } }));
    self->from.at = 0;
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(gone), .options = { .producer = { twice_next, NULL, &self->from, 0 } }));
    AIO_END;
}

#ifndef AIO_NO_TLS
static bool twice_rewind_ever(void *arg) { ((struct twice *)arg)->at = 0; return true; }

/* A retry may meet a challenge of its own: 401, answered, 503, again, 401 of a new nonce, answered. */
static int digest_again_count;
static void *digest_again_handler(aio_request *request, void *arg)
{
    static const char *const challenges[] = { "Digest realm=\"r\", nonce=\"one\", qop=\"auth\"", NULL,
                                              "Digest realm=\"r\", nonce=\"two\", qop=\"auth\", stale=true", NULL };
    static const int statuses[] = { 401, 503, 401, 200 };
    int i = digest_again_count < 3 ? digest_again_count : 3;
    aio_text given = aio_headers_get(&request->headers, "Authorization");
    const char *nonce = i == 0 ? NULL : i < 3 ? "nonce=\"one\"" : "nonce=\"two\"";
    (void)arg;
    CHECK(nonce ? given.data && strstr(given.data, nonce) : !given.data);
    digest_again_count++;
    if (challenges[i]) CHECK_INT(aio_request_set_header(request, "WWW-Authenticate", challenges[i]), 0);
    return aio_request_respond(request, statuses[i], .text = "x");
}

struct digest_again { aio_task task; aio_server *server; aio_session *session; aio_digest_auth *auth; aio_response *r;
    char url[60]; };
static AIO_CORO(digest_again)
{
    AIO_BEGIN(digest_again);
    AIO_AWAIT(self->server, aio_start_http_server(digest_again_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    REQUIRE(self->session = aio_session_open(.auth = { .digest = self->auth }));
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .retry = { .attempts = 2, .backoff = 0.01 }));
    CHECK_INT(self->r->status, 200);
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_digest_auth_unref(self->auth);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_shutdown(self->server, AIO_NOW));
    AIO_END;
}

TEST(redirect_digest_after_retry)
{
    aio_loop *loop = loop_open();
    digest_again_count = 0;
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(digest_again), NULL), 0);
    CHECK_INT(digest_again_count, 4);
    aio_loop_free(loop);
}

/* auth-int over bodies that are not in memory: read once for their hash, when nothing else is offered. */
struct redirect_hashed { aio_task task; struct twice from; aio_digest_auth *auth; int fd; char path[64]; };
#define HASHED(qop) "/x?ask=Digest realm=\"r\", nonce=\"n\", qop=\"" qop "\"&nonce=n"
#define HASHED_ROW(qop, is, fields, what) \
    { "PUT", HASHED(qop), NULL, "A PUT /x Content-Type=application/octet-stream" fields " \"" what "\"\n" \
      "A PUT /x Digest n /x 00000001 " is " u Content-Type=application/octet-stream" fields " \"" what "\"\n", \
      200, 0, 1, NULL }
SCENARIO(redirect_hashed, .may = HOP_MAY)
{
    static const hop_row both[] = { HASHED_ROW("auth-int, auth", "auth", "", "piece piece ") };
    static const hop_row made[] = { HASHED_ROW("auth-int", "auth-int", "", "piece piece ") };
    static const hop_row never[] = {
        { "PUT", HASHED("auth-int"), NULL, "A PUT /x Content-Type=application/octet-stream \"piece piece \"\n",
          401, 0, 0, NULL } };
    static const hop_row file[] = { HASHED_ROW("auth-int", "auth-int", " Content-Length=9", "in a file") };
    AIO_BEGIN(redirect_hashed);
    snprintf(self->path, sizeof self->path, "/tmp/aio-hashed-XXXXXX");
    self->fd = mkstemp(self->path);
    REQUIRE(self->fd > 0 && write(self->fd, "in a file", 9) == 9);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(both), .options = { .producer = { twice_next, twice_rewind, &self->from, 0 },
                                                              .auth = { .digest = self->auth } }));
    CHECK_INT(self->from.rewound, 1);
    aio_digest_auth_unref(self->auth);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    self->from.at = 0;
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(made),
                       .options = { .producer = { twice_next, twice_rewind_ever, &self->from, 0 },
                                    .auth = { .digest = self->auth } }));
    aio_digest_auth_unref(self->auth);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    self->from.at = 0;
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(never), .options = { .producer = { twice_next, NULL, &self->from, 0 },
                                                               .auth = { .digest = self->auth } }));
    aio_digest_auth_unref(self->auth);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(file), .options = { .file = self->path, .auth = { .digest = self->auth } }));
    aio_digest_auth_unref(self->auth);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(file), .options = { .fd = self->fd, .auth = { .digest = self->auth } }));
    AIO_FINALLY;
        aio_digest_auth_unref(self->auth);
        close(self->fd);
        unlink(self->path);
    AIO_END;
}
#endif

/* The same of a form's producer: of what leads elsewhere it is an error, and what is challenged stays as it is. */
static const char *const form_hop_headers[] = { "Location", "/", "WWW-Authenticate",
                                                "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"", NULL };
static AIO_CORO(form_hop);
struct form_hop { aio_task task; aio_request *request; aio_text text; };
static AIO_CORO(form_hop)
{
    AIO_BEGIN(form_hop);
    AIO_AWAIT(self->text, aio_request_read(self->request));
    AIO_AWAIT(aio_request_respond(self->request, strstr(self->request->path.data, "307") ? 307 : 401,
                                  .headers = form_hop_headers));
    AIO_END;
}
static void *form_hop_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(form_hop, .request = request); }

#ifdef AIO_NO_TLS /* no digests either */
enum { FORM_HOPS_FROM = 1 };
#else
enum { FORM_HOPS_FROM = 0 };
#endif
struct redirect_forms { aio_task task; aio_server *server; aio_session *session; aio_digest_auth *auth; aio_form *form;
    aio_response *r; char url[60]; struct twice from; int i; };
SCENARIO(redirect_forms, .may = HOP_MAY)
{
    AIO_BEGIN(redirect_forms);
    AIO_AWAIT(self->server, aio_start_http_server(form_hop_handler, NULL, "127.0.0.1", 0));
    if (!FORM_HOPS_FROM) REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    REQUIRE(self->session = aio_session_open(.auth = { .digest = self->auth }));
    for (self->i = FORM_HOPS_FROM; self->i < 2; self->i++) {
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/%d", aio_server_port(self->server), self->i ? 307 : 401);
        aio_form_unref(self->form);
        REQUIRE(self->form = aio_form_open());
        REQUIRE(!aio_form_add(self->form, "made", .producer = { twice_next, NULL, &self->from, 12 }));
        self->from.at = 0;
        AIO_TRY {
            AIO_AWAIT(self->r, aio_session_post(self->session, self->url, .form_data = self->form));
            CHECK_INT(self->r->status, 401);
            CHECK_INT(self->i, 0);
        } AIO_CATCH {
            CAUGHT(AIO_EPAYLOAD);
            CHECK_INT(self->i, 1);
            CHECK(strstr(aio_caught(self)->message, "a 307: a producer of its form cannot begin again"));
        } AIO_END_TRY;
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_form_unref(self->form);
        aio_digest_auth_unref(self->auth);
        aio_response_release(self->r);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* ---- proxies, the environment, .netrc ---- */

struct redirect_proxies { aio_task task; char file[64], text[100]; struct hop_rows *run; };
SCENARIO(redirect_proxies, .may = HOP_MAY)
{
    static const hop_row proxied[] = {
        { "GET", "http://a.test/302?to=http://b.test/302?to=/end", NULL,
          "A GET /302 host=a.test\nA GET /302 host=b.test\nA GET /end host=b.test\n", 200, 0, 2, NULL },
        { "GET", "http://a.test/302?to=B/end", NULL, "A GET /302 host=a.test\nB GET /end\n", 200, 0, 1, NULL },
    };
    static const hop_row told[] = {
        { "GET", "/302?to=B/end", NULL, "A GET /302 Authorization=Basic bjpz\nB GET /end Authorization=Basic bjpz\n",
          200, 0, 1, NULL } };
    static const hop_row own[] = {
        { "GET", "/302?to=B/end", NULL, "A GET /302 Authorization=Bearer t\nB GET /end\n", 200, 0, 1, NULL } };
    static const char *const named[] = { "Proxy-Authorization", "one", "X-Own", "1",
                                         "proxy-authorization", "two", NULL };
    static const hop_row given[] = {
        { "GET", "http://a.test/302?to=/302?to=http://b.test/302?to=http://a.test/end", NULL,
          "A GET /302 host=a.test Proxy-Authorization=one Proxy-Authorization=two X-Own=1\n"
          "A GET /302 host=a.test Proxy-Authorization=one Proxy-Authorization=two X-Own=1\n"
          "A GET /302 host=b.test X-Own=1\nA GET /end host=a.test X-Own=1\n", 200, 0, 3, NULL } };
    FILE *file;
    AIO_BEGIN(redirect_proxies);
    snprintf(self->file, sizeof self->file, "/tmp/aio-redirects-%ld", (long)getpid());
    file = fopen(self->file, "w");
    REQUIRE(file);
    fputs("default login d password d\nmachine 127.0.0.1 login n password s\n", file);
    fclose(file);
    setenv("NETRC", self->file, 1);
    setenv("no_proxy", "127.0.0.1", 1);
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(told), .session_options = { .trust_env = true }));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(own), .session_options = { .trust_env = true },
                       .options = { .auth = { .bearer = "t" } }));
    unsetenv("NETRC");
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(proxied), .session_options = { .trust_env = true }, .proxied = true));
    AIO_AWAIT(AIO_CALL(hop_rows, HOP_ROWS(given), .session_options = { .trust_env = true }, .proxied = true,
                       .options = { .headers = named }));
    AIO_FINALLY;
        unlink(self->file);
        unsetenv("NETRC");
        unsetenv("no_proxy");
        unsetenv("http_proxy");
    AIO_END;
}

TEST(redirect_bad_options)
{
    static const char *const authorization[] = { "authorization", "x", NULL },
                      *const cookie[] = { "COOKIE", "a=b", NULL },
                      *const good[] = { "a", "b", NULL }, *const odd[] = { "a", NULL },
                      *const bad[] = { "a", "b;c", NULL };
    static const aio_auth auths[] = { { .user = "a:b" }, { .user = "a\n" }, { .password = "\x7f" }, { .bearer = "" },
                                      { .bearer = "a b" }, { .bearer = "a\r\nb" }, { .user = "a", .bearer = "b" } };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_session *s = aio_session_open();
#define REDIRECT_REFUSED(...) \
    CHECK_INT(aio_loop_run_until_complete(loop, aio_session_get(s, "http://127.0.0.1:1/", __VA_ARGS__), NULL), EINVAL)
    for (size_t i = 0; i < sizeof auths / sizeof *auths; i++) {
        REDIRECT_REFUSED(.auth = auths[i]);
        CHECK(!aio_session_open(.auth = auths[i]) && errno == EINVAL);
    }
    REDIRECT_REFUSED(.auth = { .bearer = "a" }, .headers = authorization);
    REDIRECT_REFUSED(.cookies = good, .headers = cookie);
    REDIRECT_REFUSED(.cookies = odd);
    REDIRECT_REFUSED(.cookies = bad);
    REDIRECT_REFUSED(.max_redirects = -1);
    CHECK(!aio_session_open(.auth = { .user = "a" }, .headers = authorization) && errno == EINVAL);
    CHECK(!aio_session_open(.cookies = odd) && errno == EINVAL);
    CHECK(!aio_session_open(.cookies = bad) && errno == EINVAL);
    CHECK(!aio_session_open(.max_redirects = -1) && errno == EINVAL);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_session_close(s), NULL), 0);
    aio_loop_free(loop);
}

/* ---- secrets are erased ---- */

/* What the library gives back while this is on must not have a secret in it. */
static int secrets_left;
static void secret_look(const void *memory)
{
    static const char *const secrets[] = { "Pa55word", "dTpQYTU1d29yZA", "UGE1NXdv", "t0ken",
                                           "c00kie" }; /* the second and third: in base64 */
    for (size_t i = 0; memory && i < sizeof secrets / sizeof *secrets; i++)
        secrets_left += memmem(memory, malloc_usable_size((void *)(uintptr_t)memory),
                               secrets[i], strlen(secrets[i])) != NULL;
}
static void secret_free(void *memory)
{
    secret_look(memory);
    seam_free(memory);
}
static void *secret_malloc(size_t size)
{
    void *memory = seam_malloc(size);
    if (memory) memset(memory, 0, malloc_usable_size(memory));
    return memory;
}
static void *secret_realloc(void *old, size_t size)
{
    size_t was = old ? malloc_usable_size(old) : 0;
    void *memory = secret_malloc(size);
    if (!memory) return NULL;
    if (was) memcpy(memory, old, was < size ? was : size);
    secret_free(old);
    return memory;
}

/* A server outside of the library: it takes what has come, if it is a request, and answers. */
static bool secret_answer(int listener, const char *answer)
{
    char request[4096];
    size_t n = 0;
    ssize_t got = 1;
    int peer = accept(listener, NULL, NULL);
    if (peer < 0) return false;
    for (struct timeval wait = { 1, 0 }; got > 0 && n < sizeof request - 1; n += (size_t)got) {
        setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        got = recv(peer, request + n, sizeof request - 1 - n, 0);
        if (got < 0) break;
        request[n + (size_t)got] = 0;
        if (strstr(request, "\r\n\r\n")) break;
    }
    send(peer, answer, strlen(answer), MSG_NOSIGNAL);
    close(peer);
    return true;
}

struct secrets_erased { aio_task task; int listener, port, i, spins; aio_session *session; aio_cookie_jar *jar;
                        aio_response_task *get; char url[120], base[60], file[40]; };
SCENARIO(secrets_erased, .skip = KIND_SLICE | KIND_CALL /* the stream keeps what it could not send */, .may = HOP_MAY)
{
    static const char *const cookies[] = { "name", "c00kie", NULL };
    static const char *const headers[] = { "Authorization", "Bearer t0ken-t0ken", "X-Long",
                                           TEN("0123456789") TEN("0123456789") TEN("0123456789") TEN("0123456789"),
                                           "Cookie", "a=c00kie", NULL };
    static const char *const bearer[] = { "Authorization", "Bearer t0ken-t0ken", NULL };
    static const char *const cookie[] = { "cookie", "a=c00kie-c00kie", NULL };
    static const char *const params[] = { "a", "b", NULL };
    FILE *file;
    AIO_BEGIN(secrets_erased);
    secrets_left = 0;
    REQUIRE((self->listener = port_hold(&self->port, false)) > 0);
    REQUIRE(!listen(self->listener, 20) && !fcntl(self->listener, F_SETFL, O_NONBLOCK));
    aio__os.malloc = secret_malloc;
    aio__os.free = secret_free;
    aio__os.realloc = secret_realloc;
    REQUIRE(self->jar = aio_cookie_jar_open(.unsafe = true));
    snprintf(self->file, sizeof self->file, "/tmp/aio-netrc-%ld", (long)getpid());
    REQUIRE(file = fopen(self->file, "w"));
    fputs("machine 127.0.0.1 login u password Pa55word\n", file);
    fclose(file);
    setenv("NETRC", self->file, 1);
    for (self->i = 0; self->i < 13; self->i++) {
        snprintf(self->base, sizeof self->base, "http://u:Pa55word@127.0.0.1:%d", self->port);
        snprintf(self->url, sizeof self->url, "http://%s127.0.0.1:%d/x#f",
                 self->i == 3 || self->i == 4 ? "u:Pa55word@" : "", self->port);
        if (self->i < 2)
            self->session = aio_session_open(.auth = { .bearer = self->i ? "t0ken" : NULL }, .force_close = true);
        else if (self->i == 2) self->session = aio_session_open(.headers = headers, .cookie_jar = self->jar);
        else if (self->i == 7) self->session = aio_session_open(.base_url = self->base);
        else if (self->i == 8) self->session = aio_session_open(.trust_env = true);
        else if (self->i >= 11) self->session = aio_session_open(.headers = self->i == 11 ? bearer : cookie);
        else self->session = aio_session_open(.cookies = self->i == 5 ? cookies : NULL, .cookie_jar = self->jar);
        REQUIRE(self->session);
        if (!self->i)
            self->get = aio_session_get(self->session, self->url, .auth = { .user = "u", .password = "Pa55word" });
        else if (self->i == 4) self->get = aio_session_get(self->session, self->url, .params = params);
        else if (self->i == 6) self->get = aio_session_get(self->session, self->url, .headers = headers);
        else if (self->i == 7) self->get = aio_session_get(self->session, "/x");
        else if (self->i == 9) self->get = aio_session_get(self->session, self->url, .headers = bearer);
        else if (self->i == 10) self->get = aio_session_get(self->session, self->url, .headers = cookie);
        else self->get = aio_session_get(self->session, self->url, .cookies = self->i == 1 ? cookies : NULL);
        self->get = (aio_response_task *)aio_create_task(self->get);
        REQUIRE(self->get);
        for (self->spins = 0; self->spins < 100 && !aio_future_done(self->get); self->spins++) {
            if (!secret_answer(self->listener, self->spins ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                               : "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n"
                                 "Connection: close\r\n\r\n")) {
                AIO_AWAIT(aio_sleep(0.01));
                if (self->spins) self->spins--;
            }
        }
        AIO_AWAIT((aio_future *)aio_ref(self->get));
        CHECK_INT(self->get->result->status, 200);
        if (self->i < 9) { /* what its session does not keep any more, and what it keeps */
            AIO_AWAIT(aio_session_close(self->session));
            self->session = NULL;
        }
        aio_response_release(self->get->result);
        aio_unref(self->get);
        self->get = NULL;
        for (aio__reply *spare = self->session ? self->session->spares : NULL; spare; spare = spare->spare)
            secret_look(spare->x.out.data);
        AIO_AWAIT(aio_session_close(self->session));
        self->session = NULL;
        if (!CHECK_INT(secrets_left, 0)) printf("# case %d\n", self->i);
        secrets_left = 0;
    }
    AIO_FINALLY;
        unsetenv("NETRC");
        if (self->file[0]) unlink(self->file);
        aio__os.malloc = seam_malloc;
        aio__os.free = seam_free;
        aio__os.realloc = seam_realloc;
        if (self->listener > 0) close(self->listener);
        if (self->get && aio_future_done(self->get) && self->get->result) aio_response_release(self->get->result);
        aio_unref(self->get);
        aio_cookie_jar_unref(self->jar);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

static void secrets_look(bool on)
{
    aio__os.malloc = on ? secret_malloc : seam_malloc;
    aio__os.free = on ? secret_free : seam_free;
    aio__os.realloc = on ? secret_realloc : seam_realloc;
}

/* A jar gives back no memory with what a cookie said: not its own, nor what it wrote for a request or a file. */
TEST(secrets_of_cookies_erased)
{
    char path[] = "/tmp/aio-cookies-XXXXXX", field[200];
    aio_url url;
    aio_text text;
    close(mkstemp(path));
    secrets_left = 0;
    secrets_look(true);
    aio_cookie_jar *jar = aio_cookie_jar_open();
    CHECK_INT(aio_url_parse(&url, "http://a.test/", 14, NULL), 0);
    for (int i = 0; i < 100; i++) { /* so many that what it writes and reads has to grow */
        int n = snprintf(field, sizeof field, "%d=c00kie %070d", i, i);
        CHECK_INT(aio_cookie_jar_update(jar, &url, field, (size_t)n, NULL), 0);
        if (i % 10) continue;
        CHECK_INT(aio_cookie_jar_filter(jar, &url, &text), 0);
        CHECK(strstr(text.data, "c00kie"));
        CHECK_INT(secrets_left, 0);
    }
    CHECK_INT(aio_cookie_jar_save(jar, path), 0);
    CHECK_INT(secrets_left, 0);
    CHECK_INT(aio_cookie_jar_load(jar, path, NULL), 0);
    CHECK_INT(secrets_left, 0);
    aio_cookie_jar_clear(jar, NULL, NULL);
    for (int n = 1, code = ENOMEM; code && n < 9; n++) { /* nor if there is no memory for the rest */
        seam.fail_alloc = seam.allocations + n;
        code = aio_cookie_jar_set(jar, &url, "a", "c00kie");
        seam.fail_alloc = seam.touched = 0;
        CHECK_INT(code, n < 3 ? ENOMEM : 0);
    }
    CHECK_INT(secrets_left, 0);
    aio_cookie_jar_unref(jar);
    CHECK_INT(secrets_left, 0);
    secrets_look(false);
    aio_url_clear(&url);
    unlink(path);
}

#ifndef AIO_NO_TLS
/* Nor is a password left where it was put together with other texts, longer than what had been there for them. */
TEST(secrets_of_digests_erased)
{
    char hex[AIO__DIGEST_HEX], longer[1000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    const char *const parts[] = { "user", "Pa55word", longer, longer, NULL };
    secrets_left = 0;
    secrets_look(true);
    aio_digest_auth_unref(aio_digest_auth_open("u", "Pa55word"));
    CHECK_INT(secrets_left, 0);
    CHECK_INT(aio__digest_join(1, hex, parts), 0);
    CHECK_INT(secrets_left, 0);
    aio_tls_options o;
    unsigned char digest[32];
    memset(&o, 0, sizeof o);
    o.key_password = "Pa55word";
    o.min_version = o.ciphers = o.crl_file = longer;
    CHECK(aio__setting_digest(&o, digest));
    CHECK_INT(secrets_left, 0);
    secrets_look(false);
}
#endif

/* Where a Location leads: the URL, whether it is of another origin, whether it names a user of its own. */
TEST(redirect_leads)
{
    static const struct { const char *from, *location, *to; bool crosses, user, encoded, upgrades; } rows[] = {
        { "http://a.test/x/y?q#f", "z", "http://a.test/x/z#f", false, false, false },
        { "http://a.test/x/y?q#f", "/z#g", "http://a.test/z#g", false, false, false },
        { "http://a.test/x/y?q", "?r", "http://a.test/x/y?r", false, false, false },
        { "http://a.test/", "/a b\xc3\xa4?c d", "http://a.test/a%20b%C3%A4?c+d", false, false, false },
        { "https://a.test/", "http://a.test/", "http://a.test/", true, false, false },
        { "http://a.test/", "https://a.test/", "https://a.test/", true, false, false },
        { "http://a.test/", "http://a.test:81/", "http://a.test:81/", true, false, false },
        { "http://a.test/", "HTTP://A.TEST:80/b", "http://a.test/b", false, false, false },
        { "http://a.test/", "//b.test/c", "http://b.test/c", true, false, false },
        { "http://a.test/", "http://www.a.test/", "http://www.a.test/", true, false, false },
        { "http://u:p%40@a.test/x#f", "y", "http://u:p%40@a.test/y#f", false, false, false },
        { "http://u:p%40@a.test/x", "http://a.test/y", "http://u:p%40@a.test/y", false, false, false },
        { "http://u:p@a.test/x", "http://b.test/y", "http://b.test/y", true, false, false },
        { "http://u:p@a.test/x", "http://u:p@a.test/y", "http://u:p@a.test/y", false, false, false },
        { "http://u:p@a.test/x", "http://v@a.test/y", "http://v@a.test/y", false, true, false },
        { "http://a.test/x", "http://v:w@b.test/y", "http://v:w@b.test/y", true, true, false },
        { "http://a.test/x", "javascript:alert(1)", NULL, false, false, false },
        { "http://a.test/x", "file:///etc/passwd", NULL, false, false, false },
        { "http://a.test/x", "ws://a.test/", NULL, false, false, false },
        { "http://a.test/x", "ws://a.test/y", "http://a.test/y", false, false, false, true },
        { "http://a.test/x", "WSS://b.test/y", "https://b.test/y", true, false, false, true },
        { "http://u:p@a.test/x", "ws://a.test/y", "http://u:p@a.test/y", false, false, false, true },
        { "http://a.test/x", "wsx://a.test/y", NULL, false, false, false, true },
        { "http://a.test/x", "ws", "http://a.test/ws", false, false, false, true },
        { "http://a.test/x", "ws:", NULL, false, false, false, true },
        { "http://a.test/x", "wss:", NULL, false, false, false, true },
        { "http://a.test/x", "wsx", "http://a.test/wsx", false, false, false, true },
        { "http://a.test/x", "ab://a.test/y", NULL, false, false, false, true },
        { "http://a.test/x", "abs://a.test/y", NULL, false, false, false, true },
        { "http://u:p@a.test/x", "http://v:p@a.test/y", "http://v:p@a.test/y", false, true, false },
        { "http://u:p@a.test/x", "http://u:q@a.test/y", "http://u:q@a.test/y", false, true, false },
        { "http://uv:p@a.test/x", "http://u:p@a.test/y", "http://u:p@a.test/y", false, true, false },
        { "http://u:pq@a.test/x", "http://u:p@a.test/y", "http://u:p@a.test/y", false, true, false },
        { "http://u@a.test/x", "http://u:p@a.test/y", "http://u:p@a.test/y", false, true, false },
        { "http://a.test/x", "http://a.test:99999/", NULL, false, false, false },
        { "http://a.test/x", "http://", NULL, false, false, false },
        { "http://a.test/x/%7e?q#%7e", "/%7e/../%2f?%7e", "http://a.test/%7e/../%2f?%7e#%7e", false, false, true },
        { "http://a.test/x/%7e?q", "z%7e", "http://a.test/x/z%7e", false, false, true },
        { "http://a.test/x", "/a b", NULL, false, false, true },
    };
    aio__buffer next;
    memset(&next, 0, sizeof next);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_url from;
        aio__redirect redirect = { false, false, rows[i].upgrades };
        CHECK_INT(aio_url_parse(&from, rows[i].from, strlen(rows[i].from), NULL, .encoded = rows[i].encoded), 0);
        aio_exception *error = aio__redirect_follow(&redirect, 302, &from,
                                                    aio__text(rows[i].location, strlen(rows[i].location)),
                                                    rows[i].encoded, &next);
        CHECK_INT(error ? error->code : 0, rows[i].to ? 0 : AIO_EURL);
        aio_exception_unref(error);
        aio_url_clear(&from);
        if (!rows[i].to) continue;
        CHECK_STR(next.data, rows[i].to);
        CHECK_INT(redirect.crosses, rows[i].crosses);
        CHECK_INT(redirect.has_user, rows[i].user);
    }
    /* what a password was in is gone, also behind the end of a shorter URL */
    aio_url from;
    aio__redirect redirect = { false, false, false };
    static const char longer[] = "http://user:password@a.test/a/long/path/of/many/parts", shorter[] = "http://b.test/";
    for (int i = 0; i < 2; i++) {
        const char *to = i ? shorter : longer;
        CHECK_INT(aio_url_parse(&from, "http://a.test/", 14, NULL), 0);
        CHECK(!aio__redirect_follow(&redirect, 302, &from, aio__text(to, strlen(to)), false, &next));
        CHECK_STR(next.data, to);
        aio_url_clear(&from);
    }
    for (size_t i = sizeof shorter - 1; i < next.capacity; i++)
        if (next.data[i]) CHECK_INT(next.data[i], 0);
    aio__free(next.data);
}

/* With auth and cookies a request on a kept connection allocates nothing, and a hop of it once: the joined URL. */
static AIO_CORO(cheap_hop);
struct cheap_hop { aio_task task; aio_request *request; };
static AIO_CORO(cheap_hop)
{
    static const char *const headers[] = { "Location", "/end", NULL };
    AIO_BEGIN(cheap_hop);
    if (self->request->path.length == 1) AIO_AWAIT(aio_request_respond(self->request, 302, .headers = headers));
    else AIO_AWAIT(aio_request_respond(self->request, 200, .text = "end"));
    AIO_END;
}
static void *cheap_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(cheap_hop, .request = request);
}

struct redirect_cost { aio_task task; aio_server *server; aio_session *session; aio_response *r; char url[60]; int i;
                       long allocations; };
SCENARIO(redirect_cost, .may = HOP_MAY, .skip = KIND_DEBUG)
{
    static const char *const cookies[] = { "a", "b", NULL };
    AIO_BEGIN(redirect_cost);
    AIO_AWAIT(self->server, aio_start_http_server(cheap_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.auth = { .user = "u", .password = "p" }));
    for (self->i = 0; self->i < 3; self->i++) {
        self->allocations = seam.allocations;
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .cookies = cookies));
        CHECK_INT(self->r->history_count, 1);
        if (self->i == 2 && now.w->kind == KIND_PLAIN && !now.w->variant)
            CHECK_INT(seam.allocations - self->allocations, 1);
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_server_close(self->server);
        aio_server_abort_clients(self->server);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
