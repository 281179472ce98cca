/* Files as answers: conditions and ranges, what a folder shows and what it does not. */
#include <fcntl.h>
#include <sys/stat.h>

enum { STATIC_BIG = 300000, STATIC_TEXT = 3000 };
static char static_root[64], static_secret[64];

static void static_file(const char *folder, const char *name, const void *data, size_t length)
{
    char path[128];
    struct timespec times[2] = { { 1600000000, 0 }, { 1600000000, 0 } };
    snprintf(path, sizeof path, "%s%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, data, length) != (ssize_t)length) fail("%s cannot be written", path);
    futimens(fd, times);
    close(fd);
}

static void static_link(const char *target, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", static_root, name);
    if (symlink(target, path)) fail("%s cannot be linked", path);
}

static const char *const static_names[] = { "/a.txt", "/a.txt.gz", "/index.html", "/.hidden", "/empty", "/big.bin",
    "/sub/index.html", "/x.foo", "/link", "/inner", "/out/", "/pipe", "/b c.txt", "/text.txt" };

static void static_begin(void)
{
    char path[128];
    snprintf(static_root, sizeof static_root, "/tmp/aio-static-%ld", (long)getpid());
    snprintf(static_secret, sizeof static_secret, "/tmp/aio-secret-%ld", (long)getpid());
    mkdir(static_root, 0755);
    snprintf(path, sizeof path, "%s/sub", static_root);
    mkdir(path, 0755);
    mkdir(static_secret, 0755);
    static_file(static_secret, "/secret.txt", "secret", 6);
    static_file(static_root, "/a.txt", "hello world", 11);
    static_file(static_root, "/b c.txt", "blank", 5);
    static_file(static_root, "/a.txt.gz", "zipped", 6);
    static_file(static_root, "/index.html", "<p>", 3);
    static_file(static_root, "/.hidden", "h", 1);
    static_file(static_root, "/empty", "", 0);
    static_file(static_root, "/x.foo", "foo", 3);
    static_file(static_root, "/sub/index.html", "<i>", 3);
    static_file(static_root, "/text.txt", plenty, STATIC_TEXT);
    static_file(static_root, "/big.bin", plenty, STATIC_BIG);
    snprintf(path, sizeof path, "%s/secret.txt", static_secret);
    static_link(path, "link");
    static_link("a.txt", "inner");
    static_link(static_secret, "out");
    snprintf(path, sizeof path, "%s/pipe", static_root);
    mkfifo(path, 0644);
}

static void static_end(void)
{
    char path[128];
    for (size_t i = 0; i < sizeof static_names / sizeof *static_names; i++) {
        snprintf(path, sizeof path, "%s%s", static_root, static_names[i]);
        if (path[strlen(path) - 1] == '/') path[strlen(path) - 1] = '\0';
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/sub", static_root);
    rmdir(path);
    rmdir(static_root);
    snprintf(path, sizeof path, "%s/secret.txt", static_secret);
    unlink(path);
    rmdir(static_secret);
}

#define STATIC_TAG "5f5e1000.0-b"
#define STATIC_FOUND(tag) "ETag: \"" tag "\"\r\nLast-Modified: Sun, 13 Sep 2020 12:26:40 GMT\r\n"
#define STATIC_HEAD(status, type, length, tag) "HTTP/1.1 " status "\r\nContent-Type: " type "\r\nContent-Length: " \
    length \
    "\r\n" STATIC_FOUND(tag) "Accept-Ranges: bytes\r\n"
#define STATIC_WHOLE STATIC_HEAD("200 OK", "text/plain", "11", STATIC_TAG) "\r\nhello world"
#define STATIC_PART(length, range, body) STATIC_HEAD("206 Partial Content", "text/plain", length, STATIC_TAG) \
    "Content-Range: bytes " range "\r\n\r\n" body
#define STATIC_NONE "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 15\r\n\r\n" \
    "404: Not Found\n"
#define STATIC_304 "HTTP/1.1 304 Not Modified\r\n" STATIC_FOUND(STATIC_TAG) "\r\n"
#define STATIC_412 "HTTP/1.1 412 Precondition Failed\r\nContent-Type: text/plain; charset=utf-8\r\n" \
    "Content-Length: 25\r\n" \
    STATIC_FOUND(STATIC_TAG) "\r\n412: Precondition Failed\n"
#define STATIC_416(size, tag) "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Type: text/plain; charset=utf-8\r\n" \
    "Content-Length: 27\r\n" STATIC_FOUND(tag) "Content-Range: bytes */" size "\r\n\r\n416: Range Not Satisfiable\n"
#define STATIC_301(path) "HTTP/1.1 301 Moved Permanently\r\nContent-Type: text/plain; charset=utf-8\r\n" \
    "Content-Length: 23\r\nLocation: " path "\r\n\r\n301: Moved Permanently\n"

static const struct { const char *target, *fields, *answer; } static_cases[] = {
    { "/a.txt", "", STATIC_WHOLE },
    { "/a.txt", "Range: bytes=6-\r\n", STATIC_PART("5", "6-10/11", "world") },
    { "/a.txt", "If-None-Match: \"x\", W/\"" STATIC_TAG "\"\r\n", STATIC_304 },
    { "/%2e%2e/aio-secret/secret.txt", "", STATIC_NONE },
    { "/", "", STATIC_HEAD("200 OK", "text/html", "3", "5f5e1000.0-3") "\r\n<p>" },
    { "/sub/", "", STATIC_HEAD("200 OK", "text/html", "3", "5f5e1000.0-3") "\r\n<i>" },
    { "/sub?a=b", "", STATIC_301("/sub/?a=b") }, { "/sub", "", STATIC_301("/sub/") },
    { "/b%20c.txt", "", STATIC_HEAD("200 OK", "text/plain", "5", "5f5e1000.0-5") "\r\nblank" },
    { "/%61.txt", "", STATIC_WHOLE },
    { "/x.foo", "", STATIC_HEAD("200 OK", "x/foo", "3", "5f5e1000.0-3") "\r\nfoo" },
    { "/empty", "", STATIC_HEAD("200 OK", "x/empty", "0", "5f5e1000.0-0") "\r\n" }, /* its type is by its whole name */
    /* what is not shown */
    { "/none", "", STATIC_NONE }, { "/a.txt/", "", STATIC_NONE }, { "/a.txt/b", "", STATIC_NONE },
    { "//a.txt", "", STATIC_NONE }, { "/sub//index.html", "", STATIC_NONE }, { "/./a.txt", "", STATIC_NONE },
    { "/sub/../a.txt", "", STATIC_NONE }, { "/sub/%2E%2e/a.txt", "", STATIC_NONE }, { "/..", "", STATIC_NONE },
    { "/sub%2f..%2fa.txt", "", STATIC_NONE }, { "/a.txt%00", "", STATIC_NONE }, { "/sub%5cindex.html", "",
        STATIC_NONE },
    { "/..%5ca.txt", "", STATIC_NONE }, { "/.hidden", "", STATIC_NONE }, { "/%2ehidden", "", STATIC_NONE },
    { "/link", "", STATIC_NONE }, { "/inner", "", STATIC_NONE }, { "/out/secret.txt", "", STATIC_NONE },
    { "/pipe", "", STATIC_NONE }, { "/%252e%252e/a.txt", "", STATIC_NONE },
    /* ranges */
    { "/a.txt", "Range: bytes=0-0\r\n", STATIC_PART("1", "0-0/11", "h") },
    { "/a.txt", "Range: Bytes=0-99\r\n", STATIC_PART("11", "0-10/11", "hello world") },
    { "/a.txt", "Range: bytes=-5\r\n", STATIC_PART("5", "6-10/11", "world") },
    { "/a.txt", "Range: bytes=-99999999999999999999\r\n", STATIC_PART("11", "0-10/11", "hello world") },
    { "/a.txt", "Range: bytes=2-99999999999999999999\r\n", STATIC_PART("9", "2-10/11", "llo world") },
    { "/a.txt", "Range: bytes=20-30, 0-1\r\n", STATIC_PART("2", "0-1/11", "he") },
    { "/a.txt", "Range: bytes=11-\r\n", STATIC_416("11", STATIC_TAG) },
    { "/a.txt", "Range: bytes=-0\r\n", STATIC_416("11", STATIC_TAG) },
    { "/empty", "Range: bytes=0-\r\n", STATIC_416("0", "5f5e1000.0-0") },
    { "/empty", "Range: bytes=-5\r\n", STATIC_416("0", "5f5e1000.0-0") },
    { "/a.txt", "Range: bytes=5-2\r\n", STATIC_WHOLE }, { "/a.txt", "Range: bytes=a-2\r\n", STATIC_WHOLE },
    { "/a.txt", "Range: bytes=-\r\n", STATIC_WHOLE }, { "/a.txt", "Range: bytes=\r\n", STATIC_WHOLE },
    { "/a.txt", "Range: bytes=1\r\n", STATIC_WHOLE }, { "/a.txt", "Range: lines=0-1\r\n", STATIC_WHOLE },
    { "/a.txt", "Range: bytes=0-,0-\r\n", STATIC_WHOLE }, /* more than there is */
    { "/a.txt", "Range: byte\r\n", STATIC_WHOLE }, { "/a.txt", "Range: bytes=3-3\r\n", STATIC_PART("1", "3-3/11", "l") },
    { "/a.txt", "Range: bytes=,10-,\r\n", STATIC_PART("1", "10-10/11", "d") },
    { "/a.txt", "Range: bytes=0-1x\r\n", STATIC_WHOLE }, { "/a.txt", "Range: bytes=-11\r\n", STATIC_PART("11", "0-10/11",
      "hello world") }, { "/a.txt", "Range: bytes=-12\r\n", STATIC_PART("11", "0-10/11", "hello world") },
    { "/a.txt", "Range: bytes=0-1,2--3\r\n", STATIC_WHOLE },
    { "/big.bin", "Range: bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15,16-16\r\n",
      NULL /* the whole, of which the head is looked at */ },
    /* conditions */
    { "/a.txt", "Range: bytes=0-1\r\nIf-Range: \"" STATIC_TAG "\"\r\n", STATIC_PART("2", "0-1/11", "he") },
    { "/a.txt", "Range: bytes=0-1\r\nIf-Range: W/\"" STATIC_TAG "\"\r\n", STATIC_WHOLE },
    { "/a.txt", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n", STATIC_WHOLE },
    { "/a.txt", "Range: bytes=0-1\r\nIf-Range: \"5f5e1000.0-c\"\r\n", STATIC_WHOLE },
    { "/a.txt", "Range: bytes=0-1\r\nIf-Range: \"5f5e1000.0-b\r\n", STATIC_WHOLE },
    { "/a.txt", "If-None-Match: \"5f5e1000.0-c\"\r\n", STATIC_WHOLE }, { "/a.txt", "If-Match: \"5f5e1000.0-b\r\n", STATIC_412 },
    { "/a.txt", "If-None-Match: W/\r\n", STATIC_WHOLE },
    { "/a.txt", "If-None-Match: \"" STATIC_TAG "\", \"x\"\r\n", STATIC_304 }, /* any of the list, and of the fields */
    { "/a.txt", "If-None-Match: W/\"" STATIC_TAG "\"\r\nIf-None-Match: \"x\"\r\n", STATIC_304 },
    { "/a.txt", "If-Match: \"" STATIC_TAG "\", \"x\"\r\nIf-Match: \"y\"\r\n", STATIC_WHOLE },
    { "/a.txt", "Range: bytes=0-1\r\nIf-Range: Sun, 13 Sep 2020 12:26:40 GMT\r\n", STATIC_PART("2", "0-1/11", "he") },
    { "/a.txt", "Range: bytes=0-1\r\nIf-Range: Sun, 13 Sep 2020 12:26:41 GMT\r\n", STATIC_WHOLE },
    { "/a.txt", "Range: bytes=0-1\r\nIf-Range: nonsense\r\n", STATIC_WHOLE },
    { "/a.txt", "If-None-Match: *\r\n", STATIC_304 }, { "/a.txt", "If-None-Match: \"x\"\r\n", STATIC_WHOLE },
    { "/a.txt", "If-None-Match: \"x\"\r\nIf-None-Match: \"" STATIC_TAG "\"\r\n", STATIC_304 },
    { "/a.txt", "If-None-Match: \"x\"\r\nIf-Modified-Since: Sun, 13 Sep 2020 12:26:40 GMT\r\n", STATIC_WHOLE },
    { "/a.txt", "If-Modified-Since: Sun, 13 Sep 2020 12:26:40 GMT\r\n", STATIC_304 },
    { "/a.txt", "If-Modified-Since: Sun, 13 Sep 2020 12:26:39 GMT\r\n", STATIC_WHOLE },
    { "/a.txt", "If-Modified-Since: yesterday\r\n", STATIC_WHOLE },
    { "/a.txt", "If-Match: \"" STATIC_TAG "\"\r\n", STATIC_WHOLE }, { "/a.txt", "If-Match: *\r\n", STATIC_WHOLE },
    { "/a.txt", "If-Match: W/\"" STATIC_TAG "\"\r\n", STATIC_412 }, { "/a.txt", "If-Match: \"x\"\r\n", STATIC_412 },
    { "/a.txt", "If-Match: *\r\nIf-Unmodified-Since: Sun, 13 Sep 2020 12:26:39 GMT\r\n", STATIC_WHOLE },
    { "/a.txt", "If-Unmodified-Since: Sun, 13 Sep 2020 12:26:39 GMT\r\n", STATIC_412 },
    { "/a.txt", "If-Unmodified-Since: Sun, 13 Sep 2020 12:26:40 GMT\r\n", STATIC_WHOLE },
};

struct static_cases { aio_task task; aio_server *server; struct talk *talk; aio_static site; char said[300]; int i,
    n; };
SCENARIO(static_cases, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    static const char *const types[] = { ".foo", "x/foo", "empty", "x/empty", NULL };
    AIO_BEGIN(static_cases);
    static_begin();
    self->site.root = static_root;
    self->site.index = "index.html";
    self->site.types = types;
    AIO_AWAIT(self->server, aio_start_http_server(aio_static_handler, &self->site, "127.0.0.1", 0));
    self->n = rows_of((int)(sizeof static_cases / sizeof *static_cases), 4);
    for (self->i = 0; self->i < self->n; self->i++) {
        if (!static_cases[self->i].answer && now.w->kind == KIND_SLICE) continue;
        snprintf(self->said, sizeof self->said, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", static_cases[self->i].target,
                 static_cases[self->i].fields);
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->said));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        if (static_cases[self->i].answer) {
            CHECK_STR(self->talk->answer, static_cases[self->i].answer);
        } else {
            CHECK(strstr(self->talk->answer, "200 OK\r\n"));
            CHECK(self->talk->text.length > STATIC_BIG);
        }
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        static_end();
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Sends one request to a site and keeps the answer. */
struct static_asks { aio_task task; aio_static *site; const char *said; aio_server *server; struct talk *talk;
    char answer[2000]; };
static AIO_CORO(static_asks)
{
    AIO_BEGIN(static_asks);
    AIO_AWAIT(self->server, aio_start_http_server(aio_static_handler, self->site, "127.0.0.1", 0));
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->said));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    memcpy(self->answer, self->talk->answer, sizeof self->answer);
    AIO_FINALLY;
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Options: prefix, what is hidden, links, a file beside that is compressed, Cache-Control; no index. */
struct static_options { aio_task task; aio_static site; struct static_asks *asks; int i; };
SCENARIO(static_options, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    static const struct { const char *said, *answer; } cases[] = {
        { "GET /p/.hidden HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n",
          STATIC_HEAD("200 OK", "application/octet-stream", "1", "5f5e1000.0-1") "Cache-Control: no-cache\r\n"
          "Vary: Accept-Encoding\r\n\r\nh" },
        { "GET /p/out/secret.txt HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_HEAD("200 OK", "text/plain", "6", "5f5e1000.0-6")
          "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\n\r\nsecret" },
        { "GET /p/inner HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_HEAD("200 OK", "application/octet-stream", "11",
            STATIC_TAG)
          "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\n\r\nhello world" },
        { "GET /p/a.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br, gzip;q=0.5\r\n\r\n",
          STATIC_HEAD("200 OK", "text/plain", "6", "5f5e1000.0-6-gz") "Cache-Control: no-cache\r\n"
          "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n\r\nzipped" },
        { "HEAD /p/a.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: *\r\n\r\n",
          STATIC_HEAD("200 OK", "text/plain", "6", "5f5e1000.0-6-gz") "Cache-Control: no-cache\r\n"
          "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n\r\n" },
        { "HEAD /p/a.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: *, gzip; q=0.0\r\nRange: bytes=0-1\r\n\r\n",
          STATIC_HEAD("200 OK", "text/plain", "11", STATIC_TAG) "Cache-Control: no-cache\r\n"
          "Vary: Accept-Encoding\r\n\r\n" },
        { "GET /p/a.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: x-gzip\r\n\r\n",
          STATIC_HEAD("200 OK", "text/plain", "6", "5f5e1000.0-6-gz") "Cache-Control: no-cache\r\n"
          "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n\r\nzipped" },
        { "HEAD /p/a.txt HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n"
          STATIC_FOUND(STATIC_TAG) "Cache-Control: no-cache\r\nVary: Accept-Encoding\r\n\r\n" },
        /* what is hidden is shown, but no way leads up */
        { "GET /p/sub/../a.txt HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE },
        { "GET /p/./a.txt HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE },
        { "GET /p/sub/%2e%2e/a.txt HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE },
        { "GET /p//a.txt HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE },
        { "GET /p/ HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE }, { "GET /p HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE },
        { "GET /p/sub HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE }, { "GET /pa.txt HTTP/1.1\r\nHost: h\r\n\r\n",
            STATIC_NONE },
        { "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE },
        { "GET /q/a.txt HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE }, { "GET /p/../p/a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
            STATIC_NONE },
        { "POST /p/a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n"
          "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 24\r\nAllow: GET, HEAD\r\n\r\n"
            "405: Method Not Allowed\n" },
    };
    AIO_BEGIN(static_options);
    static_begin();
    self->site.root = static_root;
    self->site.prefix = "/p";
    self->site.hidden = self->site.follow_symlinks = self->site.gzip = true;
    self->site.cache_control = "no-cache";
    for (self->i = 0; self->i < rows_of((int)(sizeof cases / sizeof *cases), 1); self->i++) {
        self->asks = aio_create_task(AIO_CALL(static_asks, .site = &self->site, .said = cases[self->i].said));
        AIO_AWAIT((struct static_asks *)aio_ref(self->asks));
        CHECK_STR(self->asks->answer, cases[self->i].answer);
        aio_unref(self->asks);
        self->asks = NULL;
    }
    AIO_FINALLY;
        static_end();
        aio_unref(self->asks);
    AIO_END;
}

/* Whose Accept-Encoding says that gzip is fine (RFC 9110 12.5.3). */
TEST(static_takes_gzip)
{
    static const struct { const char *first, *second; bool takes; } rows[] = {
        { NULL, NULL, false }, { "", NULL, false }, { "br", NULL, false }, { "identity", NULL, false },
        { "gzip", NULL, true }, { "GZip", NULL, true }, { "x-gzip", NULL, true }, { "br, gzip", NULL, true },
        { "xgzip", NULL, false }, { "gzips", NULL, false }, { "gz", NULL, false }, { "x-gzips", NULL, false },
        { "gzip;q=0", NULL, false }, { "gzip; q=0.000", NULL, false }, { "gzip ;\tQ=0", NULL, false },
        { "gzip;q=0.001", NULL, true }, { "gzip;q=1", NULL, true }, { "gzip ; q=0.5", NULL, true },
        { "x-gzip;q=0", NULL, false }, { "*", NULL, true }, { "*;q=0", NULL, false }, { "*;q=0.1", NULL, true },
        { "*x", NULL, false }, { "x", NULL, false }, { "*, gzip;q=0", NULL, false }, { "gzip;q=0, *", NULL, false },
        { "gzip, *;q=0", NULL, true }, { "*;q=0, gzip", NULL, true }, { "br", "gzip", true }, { "gzip", "br", true },
        { "br", "gzip;q=0", false }, { "br;q=0", "*", true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_request request;
        memset(&request, 0, sizeof request);
        if (rows[i].first) CHECK_INT(aio_headers_add(&request.headers, "Accept-Encoding", rows[i].first), 0);
        if (rows[i].second) CHECK_INT(aio_headers_add(&request.headers, "accept-encoding", rows[i].second), 0);
        if (aio__folder_takes_gzip(&request) != rows[i].takes)
            fail("%s and %s", rows[i].first ? rows[i].first : "none", rows[i].second ? rows[i].second : "none");
        aio_headers_clear(&request.headers);
    }
}

/* A site below a prefix, with an index: the prefix alone is a folder's path without its '/'. */
struct static_prefix { aio_task task; aio_static site; struct static_asks *asks; int i; };
SCENARIO(static_prefix, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    static const char *const rows[][2] = {
        { "GET /p HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_301("/p/") },
        { "GET /p?q HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_301("/p/?q") },
        { "GET /p/ HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_HEAD("200 OK", "text/html", "3", "5f5e1000.0-3") "\r\n<p>" },
        { "GET / HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE }, { "GET /q HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE },
        { "GET /pa HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE },
    };
    AIO_BEGIN(static_prefix);
    static_begin();
    self->site.root = static_root;
    self->site.prefix = "/p";
    self->site.index = "index.html";
    for (self->i = 0; self->i < rows_of((int)(sizeof rows / sizeof *rows), 1); self->i++) {
        self->asks = aio_create_task(AIO_CALL(static_asks, .site = &self->site, .said = rows[self->i][0]));
        AIO_AWAIT((struct static_asks *)aio_ref(self->asks));
        CHECK_STR(self->asks->answer, rows[self->i][1]);
        aio_unref(self->asks);
        self->asks = NULL;
    }
    AIO_FINALLY;
        static_end();
        aio_unref(self->asks);
    AIO_END;
}

/* Which decoded paths may be shown at all. */
TEST(static_paths)
{
    static const struct { const char *path; bool fits, hidden; } rows[] = {
        { "", true, true }, { "a", true, true }, { "a/b", true, true }, { "a/", true, true }, { "a/b/", true, true },
        { "a..", true, true }, { "a/b.c", true, true }, { ".a", false, true }, { "a/.b", false, true }, { "...", false, true },
        { "..a", false, true }, { ".a/b", false, true }, { ".", false, false }, { "..", false, false }, { "a/.", false, false },
        { "a/..", false, false }, { "../a", false, false }, { "./a", false, false }, { "a/../b", false, false },
        { "/", false, false }, { "/a", false, false }, { "a//b", false, false }, { "a\\b", false, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_INT(aio__folder_fits(rows[i].path, strlen(rows[i].path), false), rows[i].fits);
        CHECK_INT(aio__folder_fits(rows[i].path, strlen(rows[i].path), true), rows[i].hidden);
        CHECK(!aio__folder_fits(rows[i].path, strlen(rows[i].path) + 1, true)); /* there is a NUL in it */
    }
}

/* Two ranges are enough for parts. */
struct static_two_ranges { aio_task task; aio_static site; struct static_asks *asks; };
SCENARIO(static_two_ranges, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(static_two_ranges);
    static_begin();
    self->site.root = static_root;
    self->asks = aio_create_task(AIO_CALL(static_asks, .site = &self->site,
        .said = "GET /a.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1,-1\r\n\r\n"));
    AIO_AWAIT((struct static_asks *)aio_ref(self->asks));
    CHECK(strstr(self->asks->answer, "multipart/byteranges; boundary="));
    CHECK(strstr(self->asks->answer, "bytes 0-1/11\r\n\r\nhe\r\n--"));
    CHECK(strstr(self->asks->answer, "bytes 10-10/11\r\n\r\nd\r\n--"));
    AIO_FINALLY;
        static_end();
        aio_unref(self->asks);
    AIO_END;
}

/* A file that has become shorter is at its end, whatever an earlier call has left in errno. */
static int static_reads;
static ssize_t static_pread(int fd, void *data, size_t n, int64_t offset)
{
    (void)fd, (void)data, (void)n, (void)offset;
    errno = static_reads++ ? EIO : EINTR;
    return static_reads > 1 ? -1 : 0;
}
TEST(static_file_that_is_shorter)
{
    static struct aio__folder_answer answer;
    aio__folder_look look;
    char data[4];
    memset(&look, 0, sizeof look);
    answer.look = &look;
    answer.ranges[0].count = 3;
    static_reads = 0;
    aio__os.pread = static_pread;
    CHECK(!aio__folder_read(&answer, data));
    aio__os.pread = seam_pread;
    CHECK_INT(static_reads, 1);
}

/* Several ranges: each part with its own head, as long as the head of all has said. */
struct static_ranges { aio_task task; aio_static site; struct static_asks *asks; };
SCENARIO(static_ranges, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(static_ranges);
    static_begin();
    self->site.root = static_root;
    self->asks = aio_create_task(AIO_CALL(static_asks, .site = &self->site,
        .said = "GET /a.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1, 50-60, 4-4,-3\r\n\r\n"));
    AIO_AWAIT((struct static_asks *)aio_ref(self->asks));
    char *boundary, *body, wanted[800];
    unsigned long length;
    boundary = strstr(self->asks->answer, "boundary=");
    body = strstr(self->asks->answer, "\r\n\r\n");
    if (CHECK(boundary && body && strstr(self->asks->answer, " 206 "))) {
        boundary += 9;
        snprintf(wanted, sizeof wanted,
            "\r\n--%.32s\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/11\r\n\r\nhe"
            "\r\n--%.32s\r\nContent-Type: text/plain\r\nContent-Range: bytes 4-4/11\r\n\r\no"
            "\r\n--%.32s\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-10/11\r\n\r\nrld\r\n--%.32s--\r\n",
            boundary, boundary, boundary, boundary);
        CHECK_STR(body + 4, wanted);
        length = strtoul(strstr(self->asks->answer, "Content-Length: ") + 16, NULL, 10);
        CHECK_INT(length, strlen(wanted));
    }
    AIO_FINALLY;
        static_end();
        aio_unref(self->asks);
    AIO_END;
}

/* A program's own files: its fields and type count, any method is fine; a file that is not there is 404. */
struct sends_file { aio_task task; aio_request *request; aio_headers fields; char path[100]; };
static AIO_CORO(sends_file)
{
    static const char *const fields[] = { "Content-Disposition", "attachment", "ETag", "\"mine\"", NULL };
    AIO_BEGIN(sends_file);
    snprintf(self->path, sizeof self->path, "%s%s", static_root, self->request->path.data);
    AIO_TRY {
        AIO_AWAIT(aio_request_send_file(self->request, NULL));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    if (self->request->query.data && *self->request->query.data == 'f') {
        if (aio_headers_add(&self->fields, "X-Own", "1") || aio_headers_add(&self->fields, "etag", "\"mine\""))
            AIO_RAISE(ENOMEM);
        AIO_AWAIT(aio_request_send_file(self->request, self->path, .header_fields = &self->fields));
    } else if (self->request->query.data)
        AIO_AWAIT(aio_request_send_file(self->request, self->path, .content_type = "x/y", .headers = fields,
                                        .gzip = *self->request->query.data == 'z'));
    else AIO_AWAIT(aio_request_send_file(self->request, self->path));
    AIO_FINALLY;
        aio_headers_clear(&self->fields);
    AIO_END;
}
static void *sends_file_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(sends_file,
    .request = request); }

struct static_send_file { aio_task task; aio_server *server; struct talk *talk; int i; };
SCENARIO(static_send_file, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    static const struct { const char *said, *answer; } cases[] = {
        { "POST /a.txt?t HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nRange: bytes=0-1\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nContent-Length: 11\r\nContent-Disposition: attachment\r\n"
          "ETag: \"mine\"\r\nLast-Modified: Sun, 13 Sep 2020 12:26:40 GMT\r\nAccept-Ranges: bytes\r\n\r\nhello world" },
        { "GET /link HTTP/1.1\r\nHost: h\r\n\r\nGET /none HTTP/1.1\r\nHost: h\r\n\r\n",
          STATIC_HEAD("200 OK", "application/octet-stream", "6", "5f5e1000.0-6") "\r\nsecret" STATIC_NONE },
        { "GET /a.txt?z HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nContent-Length: 6\r\nContent-Disposition: attachment\r\n"
          "ETag: \"mine\"\r\nLast-Modified: Sun, 13 Sep 2020 12:26:40 GMT\r\nAccept-Ranges: bytes\r\n"
          "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n\r\nzipped" },
        { "GET /a.txt?f HTTP/1.1\r\nHost: h\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\nLast-Modified: Sun, 13 Sep 2020 "
          "12:26:40 GMT\r\nAccept-Ranges: bytes\r\nX-Own: 1\r\netag: \"mine\"\r\n\r\nhello world" },
        { "GET /sub HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE }, { "GET /pipe HTTP/1.1\r\nHost: h\r\n\r\n",
            STATIC_NONE },
    };
    AIO_BEGIN(static_send_file);
    static_begin();
    AIO_AWAIT(self->server, aio_start_http_server(sends_file_handler, NULL, "127.0.0.1", 0));
    for (self->i = 0; self->i < rows_of((int)(sizeof cases / sizeof *cases), 2); self->i++) {
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
            .said = cases[self->i].said));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        CHECK_STR(self->talk->answer, cases[self->i].answer);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        static_end();
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

static int static_zeros; /* looks at descriptor 0 */
static int static_fstat(int fd, struct stat *status)
{
    static_zeros += fd == 0;
    return seam_fstat(fd, status);
}

/* In a program without standard input, a file may be opened as descriptor 0: it is sent, and closed; so is what was to
 * be its compressed form, and is no file. */
struct static_sends_zero { aio_task task; aio_request *request; int saved; char path[100]; };
static AIO_CORO(static_sends_zero)
{
    AIO_BEGIN(static_sends_zero);
    snprintf(self->path, sizeof self->path, "%s%s", static_root, self->request->path.data);
    self->saved = dup(0);
    aio__os.fstat = static_fstat;
    close(0);
    AIO_AWAIT(aio_request_send_file(self->request, self->path, .gzip = true));
    CHECK_INT(fcntl(0, F_GETFD), -1);
    AIO_FINALLY;
        aio__os.fstat = seam_fstat;
        if (self->saved > 0) {
            dup2(self->saved, 0);
            close(self->saved);
        }
    AIO_END;
}
static void *static_zero_handler(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(static_sends_zero, .request = request);
}

struct static_descriptor_zero { aio_task task; aio_server *server; struct talk *talk; char path[100]; int i; };
SCENARIO(static_descriptor_zero, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(static_descriptor_zero);
    static_begin();
    snprintf(self->path, sizeof self->path, "%s/x.foo.gz", static_root);
    mkfifo(self->path, 0644);
    AIO_AWAIT(self->server, aio_start_http_server(static_zero_handler, NULL, "127.0.0.1", 0));
    for (self->i = 0; self->i < 2; self->i++) {
        static_zeros = 0;
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = self->i
            ? "GET /x.foo HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n"
            : "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n"));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        CHECK(!strncmp(self->talk->answer, "HTTP/1.1 200 OK\r\n", 17));
        CHECK(strstr(self->talk->answer, self->i ? "\r\n\r\nfoo" : "\r\n\r\nhello world"));
        CHECK_INT(static_zeros, self->i + 1);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        unlink(self->path);
        static_end();
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A file that becomes shorter, or longer, while it is sent; one that its client does not take. Chunked, too. */
struct shrinks { aio_task task; aio_request *request; int fd, how; char path[100]; };
static AIO_CORO(shrinks)
{
    AIO_BEGIN(shrinks);
    snprintf(self->path, sizeof self->path, "%s/a.txt", static_root);
    self->fd = open(self->path, O_RDWR);
    self->how = self->request->path.data[1];
    if (self->how == 'c') AIO_AWAIT(aio_request_start(self->request, 200));
    else AIO_AWAIT(aio_request_start(self->request, 200, .length = 11));
    if (self->how == 's' || self->how == 'q') CHECK_INT(ftruncate(self->fd, 4), 0);
    if (self->how == 'l') CHECK_INT(ftruncate(self->fd, 40), 0);
    AIO_TRY {
        AIO_AWAIT(aio_request_sendfile(self->request, self->fd, 0, 11));
    } AIO_CATCH_CODE(AIO_EINCOMPLETE) {
        if (self->how != 'q') AIO_RERAISE();
    } AIO_END_TRY;
    AIO_AWAIT(aio_request_end(self->request));
    AIO_FINALLY;
        close(self->fd);
    AIO_END;
}
static void *shrinks_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(shrinks,
    .request = request); }

struct static_changes { aio_task task; aio_server *server; struct talk *talk; int i; };
SCENARIO(static_changes, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    static const struct { const char *said, *body; bool fails; } cases[] = {
        { "GET /chunked HTTP/1.1\r\nHost: h\r\n\r\nGET /c HTTP/1.0\r\n\r\n",
            "b\r\nhello world\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"
          "Content-Type: application/octet-stream\r\nConnection: close\r\n\r\nhello world", false },
        { "GET /shorter HTTP/1.1\r\nHost: h\r\n\r\nGET /l HTTP/1.1\r\nHost: h\r\n\r\n", "hell", true },
        { "GET /quiet HTTP/1.1\r\nHost: h\r\n\r\nGET /l HTTP/1.1\r\nHost: h\r\n\r\n", "hell", false },
        { "HEAD /long HTTP/1.1\r\nHost: h\r\n\r\nGET /l HTTP/1.1\r\nHost: h\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Type: "
          "application/octet-stream\r\nContent-Length: 11\r\n\r\nhello world", false },
    };
    AIO_BEGIN(static_changes);
    AIO_AWAIT(self->server, aio_start_http_server(shrinks_handler, NULL, "127.0.0.1", 0));
    for (self->i = 0; self->i < (int)(sizeof cases / sizeof *cases); self->i++) {
        static_begin();
        if (cases[self->i].fails) expect_report("error in the handler of GET /shorter");
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
            .said = cases[self->i].said));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        const char *body;
        body = strstr(self->talk->answer, "\r\n\r\n");
        CHECK_STR(body ? body + 4 : "", cases[self->i].body);
        CHECK_PTR(now.wanted_report, NULL);
        static_end();
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        static_end();
        aio_unref(self->talk);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A client that asks for a large file and takes none of it is given up after write_timeout. Over a unix socket:
 * what the kernel moves later, in its own time, would be progress at any of ours. */
struct static_stalls { aio_task task; aio_server *server; aio_static site; aio_stream *stream; double began;
    char path[100], socket[100]; int i; };
SCENARIO(static_stalls, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, ECONNABORTED }, .skip = KIND_SLICE /* long */)
{
    AIO_BEGIN(static_stalls);
    static_begin();
    snprintf(self->path, sizeof self->path, "%s/big.bin", static_root);
    if (truncate(self->path, 100000000)) AIO_RAISE(errno);
    self->site.root = static_root;
    snprintf(self->socket, sizeof self->socket, "%s.socket", static_root);
    unlink(self->socket); /* one that a server could not */
    AIO_AWAIT(self->server, aio_start_unix_http_server(aio_static_handler, &self->site, self->socket,
                                                       .write_timeout = 7));
    AIO_AWAIT(self->stream, aio_open_unix_connection(self->socket, .limit = 1024));
    self->began = aio_loop_time(aio_get_running_loop());
    aio_stream_write(self->stream, "GET /big.bin HTTP/1.1\r\nHost: h\r\n\r\n", 34);
    for (self->i = 0; self->i < 100 && (self->i < 10 || aio_server_client_count(self->server)); self->i++)
        AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_server_client_count(self->server), 0);
    CHECK(aio_loop_time(aio_get_running_loop()) - self->began < 30);
    AIO_FINALLY;
        static_end();
        aio_stream_abort(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

TEST(static_types)
{
    static const char *const cases[][2] = { { "a/index.HTML", "text/html" }, { "x.tar.gz", "application/gzip" },
        { "a.js/b", "application/octet-stream" }, { "svg", "application/octet-stream" }, { "a.",
            "application/octet-stream" },
        { "", "application/octet-stream" }, { ".css", "text/css" }, { "a.zst", "application/zstd" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) CHECK_STR(aio_guess_type(cases[i][0]), cases[i][1]);
    CHECK_STR(aio_guess_type(NULL), "application/octet-stream");
}

/* A folder under a route of an application. */
struct static_routed { aio_task task; aio_app *app; aio_server *server; aio_static site; struct talk *talk; size_t i; };
SCENARIO(static_routed, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, EINVAL })
{
    static const char *const rows[][2] = {
        { "GET /s/a.txt HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_WHOLE },
        { "GET /s/ HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_HEAD("200 OK", "text/html", "3", "5f5e1000.0-3") "\r\n<p>" },
        { "GET /s/sub?q HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_301("/s/sub/?q") },
        { "HEAD /s/a.txt HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_HEAD("200 OK", "text/plain", "11", STATIC_TAG) "\r\n" },
        { "GET /s/..%2fs/a.txt HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE },
        { "GET /s HTTP/1.1\r\nHost: h\r\n\r\n", STATIC_NONE },
        { "PUT /s/a.txt HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; "
          "charset=utf-8\r\nContent-Length: 24\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n405: Method Not Allowed\n" },
    };
    AIO_BEGIN(static_routed);
    static_begin();
    self->site.root = static_root;
    self->site.prefix = "/s";
    self->site.index = "index.html";
    self->app = aio_app_open(.compress = true);
    if (aio_app_route(self->app, "GET", "/s/{path...}", aio_static_handler, &self->site)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0));
    for (self->i = 0; self->i < sizeof rows / sizeof *rows; self->i++) {
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = rows[self->i][0]));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        CHECK_STR(self->talk->answer, rows[self->i][1]);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    AIO_FINALLY;
        static_end();
        aio_unref(self->talk);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

static int static_uncached(int folder, const char *path, int flags)
{
    (void)folder, (void)path, (void)flags;
    errno = EAGAIN;
    return -1;
}

/* Where no thread is to be had for what the kernel does not know, the loop looks itself; nothing is reported of it. */
struct static_no_thread { aio_task task; aio_static site; struct static_asks *asks; };
SCENARIO(static_no_thread, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(static_no_thread);
    static_begin();
    aio__os.openat_cached = static_uncached;
    aio__os.thread = thread_refuse;
    self->site.root = static_root;
    self->asks = aio_create_task(AIO_CALL(static_asks, .site = &self->site,
        .said = "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n"));
    AIO_AWAIT((struct static_asks *)aio_ref(self->asks));
    CHECK_STR(self->asks->answer, STATIC_WHOLE);
    AIO_FINALLY;
        aio__os.openat_cached = seam_openat_cached;
        aio__os.thread = seam_thread;
        static_end();
        aio_unref(self->asks);
    AIO_END;
}

/* The file with ".gz" goes before the other one though the kernel knows only that. */
static int static_uncached_gz(int folder, const char *path, int flags)
{
    size_t n = strlen(path);
    if (n < 3 || strcmp(path + n - 3, ".gz")) return seam_openat_cached(folder, path, flags);
    return static_uncached(folder, path, flags);
}
struct static_gz_unknown { aio_task task; aio_static site; struct static_asks *asks; };
SCENARIO(static_gz_unknown, .may = { EPIPE, ECONNRESET, ENOTCONN, ETIMEDOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(static_gz_unknown);
    static_begin();
    aio__os.openat_cached = static_uncached_gz;
    self->site.root = static_root;
    self->site.gzip = true;
    self->asks = aio_create_task(AIO_CALL(static_asks, .site = &self->site,
        .said = "GET /a.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n"));
    AIO_AWAIT((struct static_asks *)aio_ref(self->asks));
    CHECK_STR(self->asks->answer, STATIC_HEAD("200 OK", "text/plain", "6", "5f5e1000.0-6-gz")
              "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n\r\nzipped");
    AIO_FINALLY;
        aio__os.openat_cached = seam_openat_cached;
        static_end();
        aio_unref(self->asks);
    AIO_END;
}

static int static_missing(int folder, const char *path, int flags)
{
    if (strcmp(path, "none")) return seam_openat_cached(folder, path, flags);
    errno = ENOENT;
    return -1;
}

static ssize_t (*static_real_send)(int, const void *, size_t, int);
static int static_waits; /* sends that may wait for what follows */
static ssize_t static_send(int fd, const void *data, size_t length, int flags)
{
    static_waits += (flags & AIO__MORE_COMES) != 0;
    return static_real_send(fd, data, length, flags);
}

/* What a file costs that the kernel knows: no thread; and a small one goes out with its head, as it is even where
 * answers are compressed. The head of a large one waits for its beginning. */
struct static_calls { aio_task task; aio_app *app; aio_server *server; aio_static site; struct talk *talk; int i;
    long cached, opened, sent, read; };
SCENARIO(static_calls, /* they change the counts */ .skip = KIND_ALLOC | KIND_CALL | KIND_SLICE | KIND_CANCEL | KIND_DEBUG)
{
    static const char said[] = "GET /s/text.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n";
    AIO_BEGIN(static_calls);
    static_begin();
    self->site.root = static_root;
    self->site.prefix = "/s";
    static_waits = 0;
    static_real_send = aio__os.send;
    aio__os.send = static_send;
    self->app = aio_app_open(.compress = true);
    if (aio_app_route(self->app, "GET", "/s/{path...}", aio_static_handler, &self->site)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", 0));
    for (self->i = 0; self->i < 2; self->i++) {
        self->cached = seam.calls[CALL_openat_cached];
        self->opened = seam.calls[CALL_openat];
        self->sent = seam.calls[CALL_send] + seam.calls[CALL_sendmsg];
        self->read = seam.calls[CALL_pread];
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server), .said = said));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        CHECK(strstr(self->talk->answer, "\r\nContent-Length: 3000\r\n") && !strstr(self->talk->answer, "Encoding"));
        CHECK(self->talk->text.length > STATIC_TEXT);
        aio_unref(self->talk);
        self->talk = NULL;
    }
    int probe;
    probe = aio__os_openat_cached(AT_FDCWD, static_root, O_RDONLY | O_DIRECTORY); /* not the seam's: uncounted */
    if (probe >= 0 && close(probe) == 0) {
        aio__os.openat_cached = static_missing; /* the kernel may know that, too */
        self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                              .said = "GET /s/none HTTP/1.1\r\nHost: h\r\n\r\n"));
        AIO_AWAIT((struct talk *)aio_ref(self->talk));
        CHECK(!strncmp(self->talk->answer, "HTTP/1.1 404", 12));
        aio_unref(self->talk);
        self->talk = NULL;
        self->sent += 2; /* the client's, and the answer */
        CHECK_INT(seam.calls[CALL_openat_cached] - self->cached, 3);
        CHECK_INT(seam.calls[CALL_openat] - self->opened, 0);
    }
    CHECK_INT(seam.calls[CALL_send] + seam.calls[CALL_sendmsg] - self->sent, 2); /* one is the client's */
    CHECK_INT(seam.calls[CALL_pread] - self->read, 1);
    CHECK_INT(static_waits, 0);
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                          .said = "GET /s/big.bin HTTP/1.1\r\nHost: h\r\n\r\n"));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK(self->talk->text.length > STATIC_BIG);
    if (AIO__MORE_COMES) CHECK_INT(static_waits, 1);
    aio_unref(self->talk);
    self->talk = aio_create_task(AIO_CALL(talk, .port = aio_server_port(self->server),
                                          .said = "HEAD /s/big.bin HTTP/1.1\r\nHost: h\r\n\r\n"));
    AIO_AWAIT((struct talk *)aio_ref(self->talk));
    CHECK(strstr(self->talk->answer, "200 OK"));
    if (AIO__MORE_COMES) CHECK_INT(static_waits, 1); /* nothing follows that it could wait for */
    AIO_FINALLY;
        aio__os.send = static_real_send;
        aio__os.openat_cached = seam_openat_cached;
        static_end();
        aio_unref(self->talk);
        aio_app_close(self->app);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
