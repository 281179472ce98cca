/* Redirects: which request follows which response, what of it stays, and what goes to no other origin. */

/* Two sites, A and B. Path and query say how a request is answered: "/302?to=B/end&set=a%3D1" with status 302, the
 * Location of /end at B, and a cookie. What came is written to hop_log, a line for each request. */
static struct { int port[2]; size_t length; char log[4096]; } hops;
struct hop { aio_task task; aio_request *request; const char *headers[5]; aio_text body, to; char location[300]; int status; };

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
        for (size_t position = 0; aio_headers_next_of(&request->headers, shown[i], &position, &value);)
            hop_note(" %s=%s", shown[i], value.data);
    }
    if (body.length) hop_note(" \"%.100s\"", body.data);
    hop_note("\n");
}

static AIO_CORO(hop)
{
    AIO_BEGIN(hop);
    AIO_AWAIT(self->body, aio_request_read(self->request));
    hop_note_request(self->request, self->body);
    self->to = aio_request_query(self->request, "to");
    if (self->to.data) {
        int there = *self->to.data == 'A' || *self->to.data == 'B';
        if (there) snprintf(self->location, sizeof self->location, "http://127.0.0.1:%d%s",
                            hops.port[*self->to.data - 'A'], self->to.data + 1);
        else snprintf(self->location, sizeof self->location, "%s", self->to.data);
    }
    self->body = aio_request_query(self->request, "set");
    self->headers[0] = self->to.data ? "Location" : self->body.data ? "Set-Cookie" : NULL;
    self->headers[1] = self->to.data ? self->location : self->body.data;
    self->headers[2] = self->to.data && self->body.data ? "Set-Cookie" : NULL;
    self->headers[3] = self->body.data;
    self->status = atoi(self->request->path.data + 1);
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
