/* HTTP messages: heads, bodies, what is written. Every input is fed whole, cut at each byte, and byte by byte; each
 * time from a block of the exact size, at a new address, and with the same outcome. */

typedef struct { char text[2048]; size_t used; } http_outcome;

static char *http_exact(const char *data, size_t n)
{
    char *copy = (char *)malloc(n ? n : 1);
    if (copy && n) memcpy(copy, data, n);
    return copy;
}

/* Appends to what is said of an outcome, as far as it fits. */
static void http_note(http_outcome *outcome, const char *format, ...)
{
    va_list arguments;
    size_t n = strlen(outcome->text);
    va_start(arguments, format);
    vsnprintf(outcome->text + n, sizeof outcome->text - n, format, arguments);
    va_end(arguments);
}

static void http_describe_head(const aio__http_head *head, http_outcome *outcome)
{
    size_t position = 0;
    aio_text name, value;
    if (head->is_request) http_note(outcome, "%s %s 1.%d", head->method.data, head->target.data, head->minor);
    else http_note(outcome, "%d %s 1.%d", head->status, head->reason.data, head->minor);
    if (head->has_length) http_note(outcome, " length=%llu", (unsigned long long)head->length);
    http_note(outcome, "%s%s%s", head->chunked ? " chunked" : "", head->keep_alive ? " keep" : " close",
              head->upgrade ? " upgrade" : "");
    http_note(outcome, "%s%s", head->expect_continue ? " expect" : "", head->expect_other ? " expect-other" : "");
    while (aio_headers_next(head->headers, &position, &name, &value)) {
        CHECK(name.data[name.length] == '\0' && value.data[value.length] == '\0');
        http_note(outcome, "|%s=%s", name.data, value.data);
    }
}

/* Feeds `first` bytes, then up to `step` more at a time, as a slow peer would. */
static void http_parse(const char *data, size_t n, bool is_request, unsigned char lenient, size_t first, size_t step,
                       http_outcome *outcome)
{
    aio_headers headers;
    aio__http_head head;
    int code = AIO__MORE;
    size_t given = first;
    memset(&headers, 0, sizeof headers);
    memset(&head, 0, sizeof head);
    memset(outcome, 0, sizeof *outcome);
    head.lenient = lenient;
    aio__http_head_reset(&head, &headers, is_request);
    for (;;) {
        char *copy = http_exact(data, given);
        code = aio__http_head_feed(&head, copy, given, &outcome->used);
        free(copy);
        if (code != AIO__MORE || given == n) break;
        given = n - given < step ? n : given + step;
    }
    if (code == 0) http_describe_head(&head, outcome);
    else if (code == AIO__MORE) http_note(outcome, "more");
    else http_note(outcome, "%d%s: %s", head.refuse, code == AIO_ELIMIT ? " limit" : "", head.problem);
    aio_headers_clear(&headers);
}

static void http_check(const char *data, bool is_request, unsigned char lenient, const char *expected)
{
    http_outcome whole, cut;
    size_t n = strlen(data);
    http_parse(data, n, is_request, lenient, n, n, &whole);
    CHECK_STR(whole.text, expected);
    http_parse(data, n, is_request, lenient, 0, 1, &cut);
    CHECK_STR(cut.text, expected);
    CHECK_INT(cut.used, whole.used);
    for (size_t i = 0; i <= n; i++) {
        http_parse(data, n, is_request, lenient, i, n, &cut);
        CHECK_STR(cut.text, expected);
        CHECK_INT(cut.used, whole.used);
    }
}

TEST(http_response_heads)
{
    static const char *const rows[][2] = {
        { "HTTP/1.1 200 OK\r\n\r\n", "200 OK 1.1 keep" },
        { "HTTP/1.1 200 OK\r\n\r\nbody\r\n\r\n", "200 OK 1.1 keep" },
        { "HTTP/1.0 200 OK\r\n\r\n", "200 OK 1.0 close" },
        { "HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n", "404 Not Found 1.1 keep|A=b" },
        { "HTTP/1.1 200\r\n\r\n", "200  1.1 keep" }, { "HTTP/1.1 200 \r\n\r\n", "200  1.1 keep" },
        { "HTTP/1.1 999 \xc3\xa9\t!\r\n\r\n", "999 \xc3\xa9\t! 1.1 keep" },
        { "HTTP/1.7 200 OK\r\n\r\n", "200 OK 1.1 keep" },
        { "HTTP/1.1 200 OK\r\nA:b\r\nC: \t d\t \r\nE:\r\nF: \r\n\r\n", "200 OK 1.1 keep|A=b|C=d|E=|F=" },
        { "HTTP/1.1 200 OK\r\nA: b:c  d\r\nA: \x80\xff\r\n\r\n", "200 OK 1.1 keep|A=b:c  d|A=\x80\xff" },
        { "HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09aZ: x\r\n\r\n", "200 OK 1.1 keep|!#$%&'*+-.^_`|~09aZ=x" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 OK 1.1 length=5 keep|Content-Length=5" },
        { "HTTP/1.1 200 OK\r\ncontent-length: 0005\r\nCONTENT-LENGTH:5\r\n\r\n",
          "200 OK 1.1 length=5 keep|content-length=0005|CONTENT-LENGTH=5" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n",
          "200 OK 1.1 length=9223372036854775807 keep|Content-Length=9223372036854775807" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
          "200 OK 1.1 chunked keep|Transfer-Encoding=Chunked" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: , chunked ,\r\n\r\n",
          "200 OK 1.1 chunked keep|Transfer-Encoding=, chunked ," },
        { "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "200 OK 1.1 close|Connection=close" },
        { "HTTP/1.1 200 OK\r\nConnection: x,Close , y\r\n\r\n", "200 OK 1.1 close|Connection=x,Close , y" },
        { "HTTP/1.1 200 OK\r\nConnection: closed\r\n\r\n", "200 OK 1.1 keep|Connection=closed" },
        { "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", "200 OK 1.0 keep|Connection=Keep-Alive" },
        { "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
          "200 OK 1.0 close|Connection=keep-alive|Connection=close" },
        { "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
          "101 S 1.1 keep upgrade|Upgrade=websocket|Connection=Upgrade" },
        { "HTTP/1.1 101 S\r\nConnection: Upgrade\r\n\r\n", "101 S 1.1 keep|Connection=Upgrade" },
        { "HTTP/1.1 200 OK\r\nHost: a\r\nHost: b\r\nExpect: x\r\n\r\n", "200 OK 1.1 keep|Host=a|Host=b|Expect=x" },
        { "", "more" }, { "H", "more" }, { "HTTP/1.1 200 OK", "more" }, { "HTTP/1.1 200 OK\r", "more" },
        { "HTTP/1.1 200 OK\r\n", "more" },
        { "HTTP/1.1 200 OK\r\nA: b\r\n", "more" }, { "HTTP/1.1 200 OK\r\nA: b\r\n\r", "more" },
        { "HTTP/1.1 200 OK\r\n\r", "more" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) http_check(rows[i][0], false, 0, rows[i][1]);
}

TEST(http_response_heads_refused)
{
    static const char not_http[] = "400: the answer does not begin with an HTTP status line";
    static const char control[] = "400: a header value has a control character";
    static const char digits[] = "400: the status is not exactly three digits from 100 on";
    static const char bare[] = "400: a line ends without CR";
    static const char name[] = "400: a header line has no name and colon";
    static const char length[] = "400: Content-Length is not digits only";
    static const char coding[] = "501: Transfer-Encoding has a coding other than chunked";
    static const char last[] = "400: chunked is not the last transfer coding";
    static const char *const rows[][2] = {
        { "SSH-2.0-x\r\n", "400: the answer does not begin with an HTTP status line: it looks like SSH" },
        { "SSH-2.0", "400: the answer does not begin with an HTTP status line: it looks like SSH" },
        { "\x16\x03", "400: the answer does not begin with an HTTP status line: it looks like TLS (https)" },
        { "\x15\x03\x01",
          "400: the answer does not begin with an HTTP status line: it looks like a refusal of TLS (https)" },
        { "220 a FTP\r\n", "400: the answer does not begin with an HTTP status line: it looks like FTP or SMTP" },
        { "-ERR unknown\r\n", "400: the answer does not begin with an HTTP status line: it looks like Redis or POP3" },
        { "+OK\r\n", "400: the answer does not begin with an HTTP status line: it looks like POP3" },
        { "* OK\r\n", "400: the answer does not begin with an HTTP status line: it looks like IMAP" },
        { "SS", "more" }, { "SS\r\n", not_http }, { "SSL\r\n", not_http }, { "h", not_http }, { "\x16\x02", not_http },
        { "ICY 200 OK\r\n", not_http },
        { " HTTP/1.1 200 OK\r\n", not_http }, { "HTTP/1.1\r\n", not_http }, { "HTTP/1.1 20\r\n", not_http },
        { "HTTP/1.1  200 OK\r\n", digits },
        { "HTTP/1.1\t200 OK\r\n", not_http }, { "HTTP/11 200 OK\r\n", not_http }, { "HTTP/1.10 200 OK\r\n", not_http },
        { "HTTP/2.0 200 OK\r\n", "505: the HTTP version is not 1.0 or 1.1" },
        { "HTTP/0.9 200 OK\r\n", "505: the HTTP version is not 1.0 or 1.1" },
        { "HTTP/a.1 200 OK\r\n", "400: the start line has no HTTP version" },
        { "HTTP/1.x 200 OK\r\n", "400: the start line has no HTTP version" },
        { "HTTP/1.1 20x OK\r\n", digits }, { "HTTP/1.1 2000 OK\r\n", digits }, { "HTTP/1.1 -20 OK\r\n", digits },
        { "HTTP/1.1 +20 OK\r\n", digits },
        { "HTTP/1.1 099 OK\r\n", digits }, { "HTTP/1.1 200OK\r\n", digits }, { "HTTP/1.1 200\tOK\r\n", digits },
        { "HTTP/1.1 0x1 OK\r\n", digits },
        { "HTTP/1.1 200 O\x01K\r\n", "400: the reason phrase has a control character" },
        { "HTTP/1.1 200 O\rK\r\n", "400: the reason phrase has a control character" },
        { "HTTP/1.1 200 OK\r\r\n", "400: the reason phrase has a control character" },
        { "\r\nHTTP/1.1 200 OK\r\n", "400: the message begins with an empty line" },
        { "HTTP/1.1 200 OK\n\n", bare }, { "HTTP/1.1 200 OK\r\nA: b\n\r\n", bare },
        { "HTTP/1.1 200 OK\r\nA: b\r\n\n", bare }, { "HTTP/1.1 200 OK\r\n\n", bare },
        { "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "400: a header line is folded" },
        { "HTTP/1.1 200 OK\r\n\tA: b\r\n", "400: a header line is folded" },
        { "HTTP/1.1 200 OK\r\nA : b\r\n", name }, { "HTTP/1.1 200 OK\r\nA\t: b\r\n", name },
        { "HTTP/1.1 200 OK\r\nA\r\n", name }, { "HTTP/1.1 200 OK\r\nA b: c\r\n", name },
        { "HTTP/1.1 200 OK\r\nA\x80: b\r\n", name }, { "HTTP/1.1 200 OK\r\n(: b\r\n", name },
        { "HTTP/1.1 200 OK\r\n\rA: b\r\n", name },
        { "HTTP/1.1 200 OK\r\n: b\r\n", "400: a header name is empty" },
        { "HTTP/1.1 200 OK\r\nA: b\rc\r\n", control }, { "HTTP/1.1 200 OK\r\nA: b\r\r\n", control },
        { "HTTP/1.1 200 OK\r\nA: \x01\r\n", control },
        { "HTTP/1.1 200 OK\r\nA: b\x7f\r\n", control }, { "HTTP/1.1 200 OK\r\nA: b\x0b\r\n", control },
        { "HTTP/1.1 200 OK\r\nContent-Length: \r\n", "400: Content-Length is empty" },
        { "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n", length },
        { "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n", length },
        { "HTTP/1.1 200 OK\r\nContent-Length: 1 2\r\n", length },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n", length },
        { "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n", length },
        { "HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n", length },
        { "HTTP/1.1 200 OK\r\nContent-Length: \xd9\xa3\r\n", length },
        { "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n", "400: Content-Length is too large" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551621\r\n", "400: Content-Length is too large" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n", "400: two Content-Lengths differ" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
          "400: the head has Transfer-Encoding and Content-Length" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
          "400: the head has Transfer-Encoding and Content-Length" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n", coding },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n", coding },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n", coding },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n", coding },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked;x\r\n", coding },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: \"chunked\"\r\n", coding },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n", last },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n", last },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", last },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", last },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: \r\n\r\n", "400: Transfer-Encoding is empty" },
        { "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "400: Transfer-Encoding in HTTP/1.0" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) http_check(rows[i][0], false, 0, rows[i][1]);
}

TEST(http_request_heads)
{
    static const char *const rows[][2] = {
        { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / 1.1 keep|Host=a" },
        { "GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close" },
        { "\r\n\r\nGET / HTTP/1.0\r\n\r\n", "GET / 1.0 close" },
        { "M-SEARCH * HTTP/1.0\r\n\r\n", "400: the request's target does not fit its method" },
        { "OPTIONS * HTTP/1.0\r\n\r\n", "OPTIONS * 1.0 close" },
        { "CONNECT a:443 HTTP/1.0\r\n\r\n", "CONNECT a:443 1.0 close" },
        { "GET / HTTP/1.1\r\nHost: a \t \t\r\nA:\tb\t \r\nC: \t\r\n\r\n", "GET / 1.1 keep|Host=a|A=b|C=" },
        { "CONNECT [::1]:443 HTTP/1.0\r\n\r\n", "CONNECT [::1]:443 1.0 close" },
        { "GET http://a/?b=%20 HTTP/1.1\r\nhost: x\r\n\r\n", "GET http://a/?b=%20 1.1 keep|host=x" },
        { "get /a!~\"<> HTTP/1.0\r\n\r\n", "get /a!~\"<> 1.0 close" },
        { "POST / HTTP/1.1\r\nHost:\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n",
          "POST / 1.1 length=3 keep expect|Host=|Expect=100-Continue|Content-Length=3" },
        { "POST / HTTP/1.1\r\nHost:\r\nExpect: tea\r\nTransfer-Encoding: chunked\r\n\r\n",
          "POST / 1.1 chunked keep expect-other|Host=|Expect=tea|Transfer-Encoding=chunked" },
        { "G", "more" }, { "\r", "more" }, { "\r\n", "more" }, { "GET / HTTP/1.1\r\n", "more" },
        { "\n", "400: a line ends without CR" },
        { "\r\n\r\n\r\n\r\n\r\n", "400: the message begins with an empty line" },
        { " GET / HTTP/1.1\r\n", "400: the request's method is not a token" },
        { "\x16\x03\x01", "400: the request's method is not a token" },
        { "GE(T / HTTP/1.1\r\n", "400: the request's method is not a token" },
        { "GET\r\n", "400: the request's method is not a token" },
        { "GET\t/ HTTP/1.1\r\n", "400: the request's method is not a token" },
        { "\rGET / HTTP/1.1\r\n", "400: the request's method is not a token" },
        { "GET  / HTTP/1.1\r\n", "400: the request's target is empty or has a character that no target has" },
        { "GET /\r\n", "400: the request's target is empty or has a character that no target has" },
        { "GET /\x01 HTTP/1.1\r\n", "400: the request's target is empty or has a character that no target has" },
        { "GET /\xc3\xa9 HTTP/1.1\r\n", "400: the request's target is empty or has a character that no target has" },
        { "GET /#f HTTP/1.1\r\n", "400: the request's target is empty or has a character that no target has" },
        { "GET /\x7f HTTP/1.1\r\n", "400: the request's target is empty or has a character that no target has" },
        { "GET / \r\n", "400: the start line has no HTTP version" },
        { "GET /  HTTP/1.1\r\n", "400: the start line has no HTTP version" },
        { "GET / HTTP/1.1 \r\n", "400: the start line has no HTTP version" },
        { "GET / a HTTP/1.1\r\n", "400: the start line has no HTTP version" },
        { "GET / http/1.1\r\n", "400: the start line has no HTTP version" },
        { "GET / HTTP/1.1\r\r\n", "400: the start line has no HTTP version" },
        { "GET / HTTP/2.0\r\n", "505: the HTTP version is not 1.0 or 1.1" },
        { "PRI * HTTP/2.0\r\n", "505: the HTTP version is not 1.0 or 1.1" },
        { "GET / HTTP/1.2\r\n", "505: the HTTP version is not 1.0 or 1.1" },
        { "GET / HTTP/0.9\r\n", "505: the HTTP version is not 1.0 or 1.1" },
        { "GET a HTTP/1.0\r\n\r\n", "400: the request's target does not fit its method" },
        { "GET ?a HTTP/1.1\r\n", "400: the request's target does not fit its method" },
        { "CONNECT / HTTP/1.1\r\n", "400: the request's target does not fit its method" },
        { "CONNECT http://a/ HTTP/1.1\r\n", "400: the request's target does not fit its method" },
        { "OPTIONS *a HTTP/1.1\r\n", "400: the request's target does not fit its method" },
        { "GET / HTTP/1.1\r\n\r\n", "400: the request has no Host" },
        { "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n", "400: the request has two Host fields" },
        { "GET / HTTP/1.1\nHost: a\n\n", "400: a line ends without CR" },
        { "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400: Transfer-Encoding in HTTP/1.0" },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0b" "chunked\r\n\r\n",
          "400: a header value has a control character" },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
          "400: a header line has no name and colon" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) http_check(rows[i][0], true, 0, rows[i][1]);
}

/* What names a host: Host, the target of CONNECT, and one in absolute form. */
TEST(http_authorities)
{
    static const struct { const char *text; int host, connect; } rows[] = { /* host, connect: whether it may be there */
        { "a", 1, 0 }, { "a:", 1, 0 }, { "a:1", 1, 1 }, { "a.b_c-d:65535", 1, 1 }, { "[::1]", 1, 0 },
        { "[::1]:1", 1, 1 }, { "[::ffff:1.2.3.4]:080", 1, 1 }, { "1.2.3.4:80", 1, 1 },
        { "a:65536", 0, 0 }, { "a:99999999999", 0, 0 }, { "a:8a", 0, 0 }, { "a:80:90", 0, 0 }, { "a:-1", 0, 0 },
        { "a:+1", 0, 0 }, { "a/b:1", 0, 0 }, { "u@a:1", 0, 0 }, { "u:p@a:1", 0, 0 }, { "a,b:1", 0, 0 },
        { "a;b:1", 0, 0 }, { "a%41:1", 0, 0 }, { "a?b", 0, 0 }, { "a:1?x", 0, 0 }, { "a\\b:1", 0, 0 },
        { "http://a/", 0, 0 }, { ":80", 0, 0 }, { "[::1", 0, 0 }, { "::1", 0, 0 }, { "[]", 0, 0 }, { "[a]:1", 0, 0 },
        { "[1.2.3.4]:1", 0, 0 }, { "[fe80::1%25eth0]:1", 0, 0 }, { "[fe80::1%eth0]:1", 0, 0 }, { "[::1]1", 0, 0 },
        { "[::1]a:1", 0, 0 }, { "[v1.a]", 0, 0 }, { "\xc3\xa9:1", 0, 0 }, { "*", 0, 0 },
    };
    static const char *const not_host = "400: Host is not a host and a port", *const unfit =
        "400: the request's target does not fit its method";
    char data[200], expected[200];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(data, sizeof data, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].text);
        snprintf(expected, sizeof expected, "GET / 1.1 keep|Host=%s", rows[i].text);
        http_check(data, true, 0, rows[i].host ? expected : not_host);
        if (strpbrk(rows[i].text, "/?")) continue; /* there the authority ends */
        snprintf(data, sizeof data, "GET http://%s HTTP/1.0\r\n\r\n", rows[i].text);
        snprintf(expected, sizeof expected, "GET http://%s 1.0 close", rows[i].text);
        bool spoilt = strchr(rows[i].text, '\xc3') != NULL;
        if (!spoilt) http_check(data, true, 0, rows[i].host ? expected : unfit);
        snprintf(data, sizeof data, "CONNECT %s HTTP/1.0\r\n\r\n", rows[i].text);
        snprintf(expected, sizeof expected, "CONNECT %s 1.0 close", rows[i].text);
        if (!spoilt) http_check(data, true, 0, rows[i].connect ? expected : unfit);
    }
    http_check("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", true, 0, not_host);
    http_check("GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n", true, 0, not_host);
    http_check("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", true, 0, not_host);
    http_check("GET http:///x HTTP/1.1\r\n", true, 0, unfit);
    http_check("GET http://?x HTTP/1.1\r\n", true, 0, unfit);
    http_check("GET http:// HTTP/1.1\r\n", true, 0, unfit);
    http_check("GET http://u:p@a/ HTTP/1.1\r\n", true, 0, unfit);
    http_check("GET http:/a HTTP/1.1\r\n", true, 0, unfit);
    http_check("GET http:x/a HTTP/1.1\r\n", true, 0, unfit);
    http_check("GET http:xyza HTTP/1.1\r\n", true, 0, unfit);
    http_check("CONNECT a:1/ HTTP/1.1\r\n", true, 0, unfit);
    http_check("HTTP/1.1 200 OK\r\nHost: a b\r\n\r\n", false, 0, "200 OK 1.1 keep|Host=a b");
}

/* Each leniency by its flag: taken with it, and refused with all the others. */
TEST(http_leniencies_of_responses)
{
    static const char bare[] = "400: a line ends without CR", folded[] = "400: a header line is folded";
    static const char digits[] = "400: the status is not exactly three digits from 100 on";
    static const struct { unsigned char flag; const char *data, *lenient, *strict; } rows[] = {
        { AIO__LENIENT_BARE_LF, "HTTP/1.1 200 OK\nA: b\r\nC:\n\nx", "200 OK 1.1 keep|A=b|C=", bare },
        { AIO__LENIENT_BARE_LF, "HTTP/1.1 200 OK\r\nA: b\r\n\n", "200 OK 1.1 keep|A=b", bare },
        { AIO__LENIENT_FOLDED, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nD: e\r\n\r\n", "200 OK 1.1 keep|A=b c|D=e", folded },
        { AIO__LENIENT_FOLDED, "HTTP/1.1 200 OK\r\nA: b \t\r\n\t \tc  d\t\r\n \r\n e\r\n\r\n",
          "200 OK 1.1 keep|A=b c  d e", folded },
        { AIO__LENIENT_FOLDED, "HTTP/1.1 200 OK\r\nA:\r\n b\r\n \r\n\r\n", "200 OK 1.1 keep|A=b", folded },
        { AIO__LENIENT_FOLDED, "HTTP/1.1 200 OK\r\nA: \r\n \r\n\r\n", "200 OK 1.1 keep|A=", folded },
        { AIO__LENIENT_FOLDED, "HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\nE: f\r\n\r\n",
          "200 OK 1.1 keep|A=b c: d|E=f", folded },
        { AIO__LENIENT_SPACES, "HTTP/1.1  200 OK\r\n\r\n", "200 OK 1.1 keep", digits },
        { AIO__LENIENT_SPACES, "HTTP/1.1   200\r\n\r\n", "200  1.1 keep", digits },
        { AIO__LENIENT_SPACES, "HTTP/1.1 200   Not  OK\r\n\r\n", "200 Not  OK 1.1 keep", "200   Not  OK 1.1 keep" },
        { AIO__LENIENT_SPACES, "HTTP/1.1 200  \r\n\r\n", "200  1.1 keep", "200   1.1 keep" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char others = (unsigned char)(AIO__LENIENT_ALL & ~rows[i].flag);
        http_check(rows[i].data, false, rows[i].flag, rows[i].lenient);
        http_check(rows[i].data, false, AIO__LENIENT_ALL, rows[i].lenient);
        http_check(rows[i].data, false, others, rows[i].strict);
    }
    http_check("HTTP/1.1 200 OK\nA: b\n c\n\n", false, AIO__LENIENT_ALL, "200 OK 1.1 keep|A=b c");
}

/* What decides about framing and the connection is read strictly; and so is every request. */
TEST(http_leniencies_end_at_framing)
{
    static const char folded[] = "400: a header line is folded";
    static const char *const rows[][2] = {
        { "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", folded },
        { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n 2\r\n\r\n", folded },
        { "HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\n", "400: Content-Length is empty" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n ,x\r\n\r\n", folded },
        { "HTTP/1.1 200 OK\r\nConnection: x\r\n ,close\r\n\r\n", folded },
        { "HTTP/1.1 200 OK\r\nA: b\r\n c\x01\r\n\r\n", "400: a header value has a control character" },
        { "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", "400: a header value has a control character" },
        { "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "400: a header line has no name and colon" },
        { "HTTP/1.1\t200 OK\r\n\r\n", "400: the answer does not begin with an HTTP status line" },
        { "HTTP/1.1 20 OK\r\n\r\n", "400: the status is not exactly three digits from 100 on" },
        { "HTTP/1.1 200\tOK\r\n\r\n", "400: the status is not exactly three digits from 100 on" },
        { "HTTP/1.1          \r\n\r\n", "400: the status is not exactly three digits from 100 on" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        http_check(rows[i][0], false, AIO__LENIENT_ALL, rows[i][1]);
    http_check("GET / HTTP/1.0\n\n", true, AIO__LENIENT_ALL, "400: a line ends without CR");
    http_check("GET / HTTP/1.0\r\nA: b\r\n c\r\n\r\n", true, AIO__LENIENT_ALL, folded);
}

/* A head that ends with the connection, after whole lines; of a response only, and only if it may. */
TEST(http_heads_without_an_end)
{
    static const struct { const char *data; bool is_request; unsigned char lenient; int code; } rows[] = {
        { "HTTP/1.1 200 OK\r\nA: b\r\n", false, AIO__LENIENT_NO_END, 0 },
        { "HTTP/1.1 200 OK\r\nA: b\n", false, AIO__LENIENT_ALL, 0 },
        { "HTTP/1.1 200 OK\r\n", false, AIO__LENIENT_NO_END, 0 },
        { "HTTP/1.1 200 OK\r\nA: b\r\n", false, AIO__LENIENT_ALL - AIO__LENIENT_NO_END, AIO__MORE },
        { "HTTP/1.1 200 OK\r\nA: b\r", false, AIO__LENIENT_ALL, AIO__MORE },
        { "HTTP/1.1 200 OK\r\nA: b", false, AIO__LENIENT_ALL, AIO__MORE },
        { "HTTP/1.1 200 OK", false, AIO__LENIENT_ALL, AIO__MORE }, { "", false, AIO__LENIENT_ALL, AIO__MORE },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", false, AIO__LENIENT_ALL,
          AIO_EHTTP },
        { "GET / HTTP/1.0\r\nA: b\r\n", true, AIO__LENIENT_ALL, AIO__MORE },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_headers headers;
        aio__http_head head;
        size_t used = 0, n = strlen(rows[i].data);
        memset(&headers, 0, sizeof headers);
        memset(&head, 0, sizeof head);
        head.lenient = rows[i].lenient;
        aio__http_head_reset(&head, &headers, rows[i].is_request);
        CHECK_INT(aio__http_head_feed(&head, rows[i].data, n, &used), AIO__MORE);
        CHECK_INT(aio__http_head_closed(&head, rows[i].data, n), rows[i].code);
        CHECK_INT(head.whole, rows[i].code == 0);
        if (head.whole) CHECK_BYTES(head.raw.data, head.raw.length, rows[i].data);
        if (head.whole && headers.count) CHECK_STR(aio_headers_get(&headers, "a").data, "b");
        aio_headers_clear(&headers);
    }
}

TEST(http_heads_are_kept_as_they_came)
{
    static const char data[] = "HTTP/1.1 200  OK\r\nA:  b \r\n c\nD:e\r\n\r\nbody";
    aio_headers headers;
    aio__http_head head;
    size_t used = 0;
    memset(&headers, 0, sizeof headers);
    memset(&head, 0, sizeof head);
    head.lenient = AIO__LENIENT_ALL;
    for (int i = 0; i < 2; i++) {
        aio__http_head_reset(&head, &headers, false);
        CHECK_INT(aio__http_head_feed(&head, data, sizeof data - 1, &used), 0);
        CHECK_INT(used, sizeof data - 5);
        CHECK_BYTES(head.raw.data, head.raw.length, data, used);
        CHECK_STR(aio_headers_get(&headers, "a").data, "b c");
        CHECK_STR(aio_headers_get(&headers, "d").data, "e");
        CHECK_INT(aio_headers_set(&headers, "A", "longer than it was"), 0);
        CHECK_STR(aio_headers_get(&headers, "d").data, "e");
    }
    aio_headers_clear(&headers);
}

/* A name ends at its first colon, wherever that is; no other byte that a token cannot have is one of a name. */
TEST(http_names_end_at_their_colon)
{
    static const char others[] = " \t\"(),/;<=>?@[\\]{}\x7f\x80";
    for (int n = 1; n <= 40; n++) {
        char text[120], expected[120];
        http_outcome outcome;
        char *name = text + sprintf(text, "HTTP/1.1 200 OK\r\nb: c\r\n");
        memset(name, 'a', (size_t)n);
        int all = (int)(name - text) + n + sprintf(name + n, ":v:w\r\n\r\n");
        sprintf(expected, "200 OK 1.1 keep|b=c|%.*s=v:w", n, name);
        http_parse(text, (size_t)all, false, AIO__LENIENT_ALL, (size_t)all, 1, &outcome);
        CHECK_STR(outcome.text, expected);
        for (size_t i = 0; i < sizeof others - 1; i++) {
            name[n - 1] = others[i];
            http_parse(text, (size_t)all, false, 0, (size_t)all, 1, &outcome);
            CHECK(!strstr(outcome.text, "|") && strstr(outcome.text, n > 1 || i > 1 ? "no name and colon" : "folded"));
        }
    }
}

TEST(http_zero_bytes_are_refused)
{
    http_outcome outcome;
    http_parse("HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", 27, false, 0, 27, 1, &outcome);
    CHECK_STR(outcome.text, "400: a header value has a control character");
    http_parse("HTTP/1.1 200 OK\r\nA\0: b\r\n\r\n", 26, false, 0, 26, 1, &outcome);
    CHECK_STR(outcome.text, "400: a header line has no name and colon");
    http_parse("HTTP/1.1 200 O\0\r\n\r\n", 19, false, 0, 19, 1, &outcome);
    CHECK_STR(outcome.text, "400: the reason phrase has a control character");
    http_parse("GET /\0 HTTP/1.1\r\n\r\n", 19, true, 0, 19, 1, &outcome);
    CHECK_STR(outcome.text, "400: the request's target is empty or has a character that no target has");
}

/* prefix, then `fill` times the unit, then suffix */
static void http_check_long(bool is_request, const char *prefix, const char *unit, size_t fill, const char *suffix,
                            const char *expected)
{
    size_t width = strlen(unit), n = strlen(prefix) + fill * width + strlen(suffix);
    char *data = (char *)malloc(n + 1), *at = data + strlen(prefix);
    static const size_t steps[] = { 1000000, 4096, 1 };
    http_outcome outcome;
    memcpy(data, prefix, strlen(prefix));
    for (size_t i = 0; i < fill; i++, at += width) memcpy(at, unit, width);
    memcpy(at, suffix, strlen(suffix) + 1);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t step = steps[i] == 1 ? n / 50 + 1 : steps[i];
        http_parse(data, n, is_request, 0, step < n ? step : n, step, &outcome);
        outcome.text[strlen(expected) < sizeof outcome.text ? strlen(expected) : 0] = '\0';
        CHECK_STR(outcome.text, expected);
    }
    free(data);
}

TEST(http_head_limits)
{
    static const char field[] = "431 limit: a header line is too long";
    static const char line[] = "414 limit: the start line is too long";
    http_check_long(false, "HTTP/1.1 200 ", "a", AIO__HTTP_LINE_MAX - 13, "\r\n\r\n", "200 aaa");
    http_check_long(false, "HTTP/1.1 200 ", "a", AIO__HTTP_LINE_MAX - 12, "\r\n\r\n", line);
    http_check_long(false, "HTTP/1.1 200 ", "a", AIO__HTTP_LINE_MAX - 11, "", line);
    http_check_long(false, "HTTP/1.1 200 OK\r\nA: ", "a", AIO__HTTP_FIELD_MAX - 3, "\r\n\r\n", "200 OK 1.1 keep|A=aaa");
    http_check_long(false, "HTTP/1.1 200 OK\r\nA: ", "a", AIO__HTTP_FIELD_MAX - 2, "\r\n\r\n", field);
    http_check_long(false, "HTTP/1.1 200 OK\r\nA: ", "a", AIO__HTTP_FIELD_MAX, "", field);
    http_check_long(false, "HTTP/1.1 200 OK\r\nA: ", "a", AIO__HTTP_FIELD_MAX - 3, "\r", "more");
    http_check_long(false, "HTTP/1.1 200 ", "a", AIO__HTTP_LINE_MAX - 13, "\r", "more");
    http_check_long(true, "GET /", "a", AIO__HTTP_LINE_MAX - 14, " HTTP/1.0\r\n\r\n", "GET /aaa");
    http_check_long(true, "GET /", "a", AIO__HTTP_LINE_MAX - 13, " HTTP/1.0\r\n\r\n", line);
    http_check_long(false, "HTTP/1.1 200 OK\r\n", "A: b\r\n", AIO__HTTP_HEADERS_MAX, "\r\n", "200 OK 1.1 keep|A=b");
    http_check_long(false, "HTTP/1.1 200 OK\r\n", "A: b\r\n", AIO__HTTP_HEADERS_MAX + 1, "\r\n",
                    "431 limit: the head has too many fields");
}

TEST(http_head_total_limit)
{
    char *data = (char *)malloc(200000);
    http_outcome outcome;
    size_t n = (size_t)snprintf(data, 200000, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 100; i++) {
        memset(data + n, 'a', 1400);
        memcpy(data + n + 1, ":", 1);
        memcpy(data + n + 1400, "\r\n", 2);
        n += 1402;
    }
    memcpy(data + n, "\r\n", 2);
    n += 2;
    for (size_t step = 999; step < 3 * n; step *= 3) {
        http_parse(data, n, false, 0, step < n ? step : n, step, &outcome);
        CHECK_STR(outcome.text, "431 limit: the head is too long");
    }
    free(data);
}

TEST(http_head_own_limits_and_reuse)
{
    static const char one[] = "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\n\r\n";
    static const char two[] = "HTTP/1.1 404 Not Found\r\nC: 3\r\n\r\n";
    aio_headers headers;
    aio__http_head head;
    size_t used = 0;
    memset(&headers, 0, sizeof headers);
    memset(&head, 0, sizeof head);
    head.limits.count = 1;
    aio__http_head_reset(&head, &headers, false);
    CHECK_INT(aio__http_head_feed(&head, one, strlen(one), &used), AIO_ELIMIT);
    CHECK_STR(head.problem, "the head has too many fields");
    CHECK_INT(headers.count, 0);
    head.limits.total = (uint32_t)strlen(two) - 1;
    aio__http_head_reset(&head, &headers, false);
    CHECK_INT(aio__http_head_feed(&head, two, strlen(two), &used), AIO_ELIMIT);
    CHECK_STR(head.problem, "the head is too long");
    head.limits.total = (uint32_t)strlen(two);
    aio__http_head_reset(&head, &headers, false);
    CHECK_INT(aio__http_head_feed(&head, two, strlen(two), &used), 0);
    CHECK_STR(head.reason.data, "Not Found");
    CHECK_STR(aio_headers_get(&headers, "c").data, "3");
    CHECK_INT(aio_headers_add(&headers, "D", "4"), 0);
    CHECK_INT(aio_headers_set(&headers, "C", "a longer one"), 0);
    CHECK_STR(aio_headers_get(&headers, "c").data, "a longer one");
    CHECK_STR(aio_headers_get(&headers, "d").data, "4");
    aio_headers_clear(&headers);
}

TEST(http_keep_alive_timeout)
{
    static const struct { const char *value; long seconds; } rows[] = {
        { "timeout=5", 5 }, { "max=100, Timeout=15", 15 }, { "timeout=0,max=1", 0 }, { "", -1 }, { "timeout=", -1 },
        { "timeout=x", -1 },
        { "timeout=-1", -1 }, { "timeout=5s", -1 }, { "timeout=99999999999999999999", -1 }, { "xtimeout=5", -1 },
        { "timeout=999999999", 999999999 }, { "timeout=1234567890", -1 }, { "timeouts5", -1 }, { "timeout", -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_INT(aio__http_keep_alive_timeout(aio__text(rows[i].value, strlen(rows[i].value))), rows[i].seconds);
}

TEST(http_body_that_follows_a_head)
{
    static const struct { const char *head, *method; bool is_request; aio__body_kind kind; bool again; } rows[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", false, AIO__BODY_LENGTH, true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", "GET", false, AIO__BODY_LENGTH, false },
        { "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", false, AIO__BODY_LENGTH, false },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", false, AIO__BODY_CHUNKED, true },
        { "HTTP/1.1 200 OK\r\n\r\n", "GET", false, AIO__BODY_CLOSE, false },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", false, AIO__BODY_NONE, true },
        { "HTTP/1.1 200 OK\r\n\r\n", "HEAD", false, AIO__BODY_NONE, true },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", false, AIO__BODY_NONE, true },
        { "HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\n", "GET", false, AIO__BODY_NONE, true },
        { "HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n", "GET", false, AIO__BODY_NONE, true },
        { "HTTP/1.1 205 N\r\n\r\n", "GET", false, AIO__BODY_CLOSE, false },
        { "HTTP/1.1 100 C\r\n\r\n", "POST", false, AIO__BODY_NONE, true },
        { "HTTP/1.1 101 S\r\n\r\n", "GET", false, AIO__BODY_NONE, false },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "CONNECT", false, AIO__BODY_NONE, false },
        { "HTTP/1.1 407 P\r\nContent-Length: 5\r\n\r\n", "CONNECT", false, AIO__BODY_LENGTH, true },
        { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", true, AIO__BODY_NONE, true },
        { "HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "HEAD", true, AIO__BODY_LENGTH, true },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "POST", true, AIO__BODY_CHUNKED, true },
        { "POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "POST", true, AIO__BODY_NONE, true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_headers headers;
        aio__http_head head;
        aio__body body;
        size_t used = 0;
        memset(&headers, 0, sizeof headers);
        memset(&head, 0, sizeof head);
        aio__http_head_reset(&head, &headers, rows[i].is_request);
        CHECK_INT(aio__http_head_feed(&head, rows[i].head, strlen(rows[i].head), &used), 0);
        CHECK_INT(aio__http_body_of(&head, aio__text(rows[i].method, strlen(rows[i].method)), &body), rows[i].again);
        CHECK_INT(body.kind, rows[i].kind);
        aio_headers_clear(&headers);
    }
}

/* Feeds pieces of at most `step` bytes (the first of `first`) and writes down data, what was used, and how it ended. */
static void http_decode(aio__body_kind kind, uint64_t length, const char *data, size_t n, size_t first, size_t step,
                        http_outcome *outcome)
{
    aio__body body;
    aio__body_step last = AIO__BODY_MORE;
    size_t fed = 0, written = 0, room = sizeof outcome->text, piece = first;
    memset(outcome, 0, sizeof *outcome);
    aio__body_start(&body, kind, length);
    do {
        if (piece > n - fed) piece = n - fed;
        char *copy = http_exact(data + fed, piece);
        size_t done = 0, used = 0;
        do {
            aio_text out;
            last = aio__body_feed(&body, copy + done, piece - done, &used, &out);
            if (last == AIO__BODY_DATA) CHECK(out.length > 0 && out.data >= copy + done
                                              && out.data + out.length == copy + done + used);
            if (out.length < room - written) memcpy(outcome->text + written, out.data ? out.data : "", out.length);
            written += out.length;
            done += used;
        } while (last == AIO__BODY_DATA);
        if (last == AIO__BODY_MORE) CHECK_INT(done, piece);
        free(copy);
        fed += done;
        piece = step;
    } while (last == AIO__BODY_MORE && fed < n);
    outcome->used = last == AIO__BODY_ERROR ? 0 : fed;
    CHECK_INT(body.received, written);
    if (written > room - 200) written = room - 200;
    if (last == AIO__BODY_MORE) last = aio__body_closed(&body) ? AIO__BODY_DONE : AIO__BODY_ERROR;
    snprintf(outcome->text + written, room - written, "|%s", last == AIO__BODY_DONE ? "done" : body.problem);
}

static void http_check_body(aio__body_kind kind, uint64_t length, const char *data, size_t used, const char *expected)
{
    http_outcome outcome;
    size_t n = strlen(data);
    for (size_t cut = 0; cut <= n + 1; cut++) {
        http_decode(kind, length, data, n, cut > n ? 1 : cut, cut > n ? 1 : n, &outcome);
        CHECK_STR(outcome.text, expected);
        if (used) CHECK_INT(outcome.used, used);
    }
}

TEST(http_bodies_without_chunks)
{
    http_check_body(AIO__BODY_NONE, 0, "next", 0, "|done");
    http_check_body(AIO__BODY_LENGTH, 0, "next", 0, "|done");
    http_check_body(AIO__BODY_LENGTH, 5, "hello", 5, "hello|done");
    http_check_body(AIO__BODY_LENGTH, 5, "hellonext", 5, "hello|done");
    http_check_body(AIO__BODY_LENGTH, 5, "hell", 4,
                    "hell|the connection was closed before Content-Length bytes had come");
    http_check_body(AIO__BODY_LENGTH, UINT64_C(1) << 62, "hell", 4,
                    "hell|the connection was closed before Content-Length bytes had come");
    http_check_body(AIO__BODY_CLOSE, 0, "any\r\n\r\nthing", 12, "any\r\n\r\nthing|done");
    http_check_body(AIO__BODY_CLOSE, 0, "", 0, "|done");
}

TEST(http_chunked_bodies)
{
    static const char size[] = "|a chunk size is not hexadecimal", after[] = "abc|a chunk is not followed by CR LF";
    static const char early[] = "|the connection was closed before the last chunk";
    static const char lf[] = "|a chunk size's CR is not followed by LF";
    static const char name[] = "|a trailer's name is not a token";
    static const struct { const char *in; size_t used; const char *out; } rows[] = {
        { "0\r\n\r\n", 5, "|done" }, { "3\r\nabc\r\n0\r\n\r\n", 13, "abc|done" },
        { "3\r\nabc\r\n0\r\n\r\nHTTP", 13, "abc|done" },
        { "3\r\nabc\r\n2\r\nde\r\n000\r\n\r\n", 22, "abcde|done" },
        { "00000000000000A\r\n0123456789\r\n0\r\n\r\n", 34, "0123456789|done" },
        { "a\r\n0123456789\r\n0\r\n\r\n", 20, "0123456789|done" },
        { "3;x=y;\"z\t\"\r\nabc\r\n0;l\r\n\r\n", 24, "abc|done" },
        { "3\r\n\r\n\r\r\n0\r\n\r\n", 13, "\r\n\r|done" }, { "0\r\nA: b\r\nC:\t \xff\r\n\r\n", 18, "|done" },
        { "", 0, early }, { "3", 0, early }, { "3\r\nab", 0, "ab|the connection was closed before the last chunk" },
        { "0\r\n", 0, early }, { "0\r\n\r", 0, early },
        { "\r\n", 0, size }, { "g\r\n", 0, size }, { "-1\r\n", 0, size }, { "+1\r\n", 0, size }, { "0x3\r\n", 0, size },
        { " 3\r\n", 0, size },
        { "3 \r\n", 0, size }, { "3\t\r\n", 0, size }, { "3_0\r\n", 0, size }, { "3 0\r\n", 0, size },
        { "3 ;a=b\r\nabc\r\n0\t ;x\r\n\r\n", 22, "abc|done" }, { " ;x\r\n", 0, size },
        { ";\r\n", 0, size }, { "3\n", 0, size }, { "0\n\r\n", 0, size },
        { "3\rabc", 0, lf }, { "3\r\r\n", 0, lf }, { "3;x\n", 0, "|a chunk extension has a control character" },
        { "3;\x01\r\n", 0, "|a chunk extension has a control character" },
        { "0000000000000003\r\n", 0, "|a chunk size has more than 15 digits" },
        { "ffffffffffffffff\r\n", 0, "|a chunk size has more than 15 digits" },
        { "10000000000000003\r\n", 0, "|a chunk size has more than 15 digits" },
        { "fffffffffffffff\r\na", 0, "a|the connection was closed before the last chunk" },
        { "3\r\nabcd\r\n", 0, after }, { "3\r\nabc\n0\r\n\r\n", 0, after }, { "3\r\nabc\r0", 0, after },
        { "3\r\nabc0\r\n\r\n", 0, after },
        { "0\r\n\n", 0, name }, { "0\r\n: b\r\n", 0, name }, { "0\r\n A: b\r\n", 0, name },
        { "0\r\nA : b\r\n", 0, name }, { "0\r\nA\r\n", 0, name },
        { "0\r\nA: b\n", 0, "|a trailer has a control character" },
        { "0\r\nA: \x01\r\n", 0, "|a trailer has a control character" },
        { "0\r\nA: b\rc", 0, "|a trailer's CR is not followed by LF" },
        { "0\r\n\rx", 0, "|the last CR is not followed by LF" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) http_check_body(AIO__BODY_CHUNKED, 0, rows[i].in,
                                                                            rows[i].used, rows[i].out);
}

/* Feeds a unit again and again: how often until the decoder ends, and why. */
static size_t http_repeat(const char *start, const char *unit, size_t times, const char **problem)
{
    aio__body body;
    aio__body_step step = AIO__BODY_MORE;
    aio_text out;
    size_t count = 0, used, n;
    aio__body_start(&body, AIO__BODY_CHUNKED, 0);
    for (; step == AIO__BODY_MORE && count <= times; count++) {
        const char *text = count ? unit : start;
        for (n = strlen(text); (step = aio__body_feed(&body, text, n, &used,
                                                      &out)) == AIO__BODY_DATA; n -= used) text += used;
    }
    *problem = body.problem;
    return count - 1;
}

/* What follows the last chunk may be missing at the connection's end, where a response may leave it out. */
TEST(http_chunked_bodies_without_an_end)
{
    static const struct { const char *in; bool closed; } rows[] = {
        { "3\r\nabc\r\n0\r\n", true }, { "0\r\nA: b\r\n", true }, { "0\r\n\r", true }, { "0\r", false },
        { "0\r\nA: b", false }, { "3\r\nabc\r\n", false }, { "3\r\nab", false }, { "", false },
    };
    for (size_t i = 0; i < 2 * (sizeof rows / sizeof *rows); i++) {
        aio__body body;
        aio_text out;
        const char *in = rows[i / 2].in;
        size_t used, n = strlen(in);
        aio__body_start(&body, AIO__BODY_CHUNKED, 0);
        body.lenient = i % 2 ? AIO__LENIENT_NO_END : 0;
        for (; aio__body_feed(&body, in, n, &used, &out) == AIO__BODY_DATA; n -= used) in += used;
        CHECK_INT(aio__body_closed(&body), i % 2 && rows[i / 2].closed);
    }
}

TEST(http_chunked_limits)
{
    const char *problem;
    char extension[600], large[800];
    CHECK_INT(http_repeat("", "1\r\na\r\n", AIO__CHUNK_TINY_MAX, &problem), AIO__CHUNK_TINY_MAX);
    CHECK(problem == NULL);
    CHECK_INT(http_repeat("", "1\r\na\r\n", AIO__CHUNK_TINY_MAX + 10, &problem), AIO__CHUNK_TINY_MAX + 1);
    CHECK_STR(problem, "the body has too many tiny chunks");
    CHECK_INT(http_repeat("", "10\r\n0123456789abcdef\r\n", AIO__CHUNK_TINY_MAX + 10, &problem),
              AIO__CHUNK_TINY_MAX + 10);
    CHECK(problem == NULL);
    CHECK_INT(http_repeat("1;", "x", AIO__CHUNK_EXTENSION_MAX + 10, &problem), AIO__CHUNK_EXTENSION_MAX + 1);
    CHECK_STR(problem, "a chunk extension is too long");
    CHECK_INT(http_repeat("1", " ", AIO__CHUNK_EXTENSION_MAX + 10, &problem), AIO__CHUNK_EXTENSION_MAX + 2);
    CHECK_STR(problem, "a chunk extension is too long");
    CHECK_INT(http_repeat("0\r\nA:", "x", AIO__TRAILERS_MAX + 10, &problem), AIO__TRAILERS_MAX - 1);
    CHECK_STR(problem, "the trailers are too long");
    CHECK_INT(http_repeat("0\r\n", "A: b\r\n", AIO__HTTP_HEADERS_MAX + 10, &problem), AIO__HTTP_HEADERS_MAX + 1);
    CHECK_STR(problem, "there are too many trailers");
    snprintf(extension, sizeof extension, "1;%0500d\r\na\r\n", 0);
    CHECK_INT(http_repeat("", extension, 1000, &problem), AIO__CHUNK_EXCESS_MAX / 499 + 1);
    CHECK_STR(problem, "the chunk extensions are too long in all");
    snprintf(large, sizeof large, "100;%0200d\r\n%0256d\r\n", 0, 0);
    CHECK_INT(http_repeat("", large, 10000, &problem), 10000);
    CHECK(problem == NULL);
}

/* Reading past the decoder, straight into the caller's memory, must be the same as feeding it. */
TEST(http_body_read_ahead)
{
    aio__body body;
    aio_text out;
    size_t used;
    aio__body_start(&body, AIO__BODY_LENGTH, 10);
    CHECK_INT(aio__body_ahead(&body), 10);
    aio__body_took(&body, 4);
    CHECK_INT(aio__body_ahead(&body), 6);
    CHECK_INT(aio__body_feed(&body, "456789x", 7, &used, &out), AIO__BODY_DATA);
    CHECK_INT(used, 6);
    CHECK_INT(aio__body_ahead(&body), 0);
    CHECK_INT(aio__body_feed(&body, "x", 1, &used, &out), AIO__BODY_DONE);
    aio__body_start(&body, AIO__BODY_CHUNKED, 0);
    CHECK_INT(aio__body_ahead(&body), 0);
    CHECK_INT(aio__body_feed(&body, "5\r\n", 3, &used, &out), AIO__BODY_MORE);
    CHECK_INT(aio__body_ahead(&body), 5);
    aio__body_took(&body, 5);
    CHECK_INT(aio__body_ahead(&body), 0);
    CHECK_INT(aio__body_feed(&body, "\r\n0\r\n\r\nz", 8, &used, &out), AIO__BODY_DONE);
    CHECK_INT(used, 7);
    CHECK_INT(body.received, 5);
    aio__body_start(&body, AIO__BODY_CLOSE, 0);
    CHECK(aio__body_ahead(&body) == UINT64_MAX);
    aio__body_took(&body, 7);
    CHECK_INT(body.received, 7);
    CHECK(aio__body_closed(&body));
    CHECK_INT(aio__body_ahead(&body), 0);
}

TEST(http_written_heads)
{
    aio__buffer out;
    aio_headers headers;
    memset(&out, 0, sizeof out);
    memset(&headers, 0, sizeof headers);
    CHECK(aio__http_put_status(&out, 299));
    CHECK(aio__http_put_status(&out, 404));
    CHECK(aio__http_put_headers(&out, &headers));
    CHECK_BYTES(out.data, out.end, "HTTP/1.1 299 \r\nHTTP/1.1 404 Not Found\r\n\r\n");
    out.end = 0;
    CHECK_INT(aio_headers_add(&headers, "Host", "a.test"), 0);
    CHECK_INT(aio_headers_add(&headers, "Accept", ""), 0);
    CHECK(aio__http_put_headers(&out, &headers));
    CHECK_BYTES(out.data, out.end, "Host: a.test\r\nAccept: \r\n\r\n");
    aio__free(out.data);
    aio_headers_clear(&headers);
}

TEST(http_written_numbers)
{
    char text[21];
    CHECK_STR(aio__http_number(text, 0), "0");
    CHECK_STR(aio__http_number(text, 1090), "1090");
    CHECK_STR(aio__http_number(text, UINT64_MAX), "18446744073709551615");
}

TEST(http_written_chunk_lines)
{
    static const struct { uint64_t size; const char *line; } rows[] = {
        { 0, "0\r\n" }, { 1, "1\r\n" }, { 15, "f\r\n" }, { 16, "10\r\n" }, { 65536, "10000\r\n" },
        { UINT64_MAX, "ffffffffffffffff\r\n" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[18];
        size_t n = aio__http_chunk_line(line, rows[i].size);
        CHECK_BYTES(line, n, rows[i].line);
    }
    http_check_body(AIO__BODY_CHUNKED, 0, AIO__HTTP_LAST_CHUNK, 5, "|done");
}

TEST(http_reasons)
{
    CHECK_STR(aio_http_reason(100), "Continue");
    CHECK_STR(aio_http_reason(200), "OK");
    CHECK_STR(aio_http_reason(511), "Network Authentication Required");
    CHECK_STR(aio_http_reason(418), "I'm a Teapot");
    for (int status = -1; status < 1100; status++) CHECK(aio_http_reason(status) != NULL);
    CHECK_STR(aio_http_reason(99), "");
    CHECK_STR(aio_http_reason(299), "");
    CHECK_STR(aio_http_reason(512), "");
}

TEST(http_dates)
{
    static const struct { int64_t second; const char *text; } rows[] = {
        { 0, "Thu, 01 Jan 1970 00:00:00 GMT" }, { 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
        { 951782399, "Mon, 28 Feb 2000 23:59:59 GMT" },
        { 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" }, { 951868800, "Wed, 01 Mar 2000 00:00:00 GMT" },
        { 1709164800, "Thu, 29 Feb 2024 00:00:00 GMT" },
        { 1735689599, "Tue, 31 Dec 2024 23:59:59 GMT" }, { 4107542400, "Mon, 01 Mar 2100 00:00:00 GMT" },
        { -1, "Wed, 31 Dec 1969 23:59:59 GMT" },
        { 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT" }, { INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT" },
        { -62135596800, "Mon, 01 Jan 0001 00:00:00 GMT" }, { INT64_MIN, "Mon, 01 Jan 0001 00:00:00 GMT" },
    };
    aio__http_clock clock;
    memset(&clock, 0, sizeof clock);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[AIO__HTTP_DATE_LENGTH + 1];
        aio__http_date(text, rows[i].second);
        CHECK_STR(text, rows[i].text);
        CHECK_STR(aio__http_clock_text(&clock, rows[i].second), rows[i].text);
        CHECK_STR(aio__http_clock_text(&clock, rows[i].second), rows[i].text);
    }
}

/* Against the system's calendar, a day and some at a time. */
TEST(http_dates_as_the_system_has_them)
{
    for (int64_t second = -5000000000; second < 9000000000; second += 86399 * 77) {
        char text[AIO__HTTP_DATE_LENGTH + 1], expected[64];
        time_t when = (time_t)second;
        struct tm parts;
        if ((int64_t)when != second || !gmtime_r(&when, &parts)) continue;
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        aio__http_date(text, second);
        CHECK_STR(text, expected);
    }
}

static long http_memory_left; /* allocations that still succeed */
static void *(*http_real_malloc)(size_t);
static void *(*http_real_realloc)(void *, size_t);

static void *http_scarce_malloc(size_t size)
{
    return http_memory_left-- > 0 ? http_real_malloc(size) : NULL;
}

static void *http_scarce_realloc(void *pointer, size_t size)
{
    return http_memory_left-- > 0 ? http_real_realloc(pointer, size) : NULL;
}

static int http_need_url(void)
{
    static const char text[] = "http://user:pass@a.test:81/a path/../b?q=x y#f", reference[] = "//[::1]/a b?c";
    aio_url base, joined, extended, repaired;
    const char *reason = "";
    int code = aio_url_parse(&base, text, strlen(text), &reason);
    if (code) {
        CHECK_STR(reason, "out of memory");
        CHECK(base.block == NULL);
        return code;
    }
    code = aio_url_join(&joined, &base, reference, strlen(reference), &reason);
    if (!code) code = aio_url_extend_query(&extended, &base, "more=1", 6, &reason);
    else memset(&extended, 0, sizeof extended);
    if (!code) code = aio_url_join(&repaired, &base, reference, strlen(reference), &reason, .repair = true);
    else memset(&repaired, 0, sizeof repaired);
    if (code) CHECK_STR(reason, "out of memory");
    aio_url_clear(&base);
    aio_url_clear(&joined);
    aio_url_clear(&extended);
    aio_url_clear(&repaired);
    return code;
}

static int http_need_headers(void)
{
    aio_headers headers;
    char value[64];
    int code = 0;
    uint32_t count = 0;
    memset(&headers, 0, sizeof headers);
    for (int i = 0; i < 40 && !code; i++) {
        memset(value, 'a' + i % 26, sizeof value - 1);
        value[sizeof value - 1] = '\0';
        code = i % 5 == 4 ? aio_headers_set(&headers, "name", value) : aio_headers_add(&headers, "Name", value);
        if (code) CHECK_INT(headers.count, count);
        count = headers.count;
    }
    if (count) CHECK_INT(aio_headers_get(&headers, "NAME").length, sizeof value - 1);
    aio_headers_clear(&headers);
    return code;
}

static int http_need_head(void)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
    aio__buffer out;
    aio_headers headers;
    aio__http_head head;
    size_t used = 0;
    memset(&out, 0, sizeof out);
    memset(&headers, 0, sizeof headers);
    memset(&head, 0, sizeof head);
    aio__http_head_reset(&head, &headers, false);
    int code = aio__http_head_feed(&head, text, strlen(text), &used);
    if (code) CHECK_STR(head.problem, "out of memory");
    if (!code && (!aio__http_put_status(&out, 200) || !aio__http_put_headers(&out, &headers))) code = ENOMEM;
    aio__free(out.data);
    aio_headers_clear(&headers);
    return code;
}

/* Only so many allocations succeed, and then none: one more each time, until all is well. */
TEST(http_rooms_out_of_memory)
{
    static int (*const needs[])(void) = { http_need_url, http_need_headers, http_need_head };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
        int code = ENOMEM, rounds = 0;
        http_real_malloc = aio__os.malloc;
        http_real_realloc = aio__os.realloc;
        for (; code && rounds < 100; rounds++) {
            http_memory_left = rounds;
            aio__os.malloc = http_scarce_malloc;
            aio__os.realloc = http_scarce_realloc;
            code = needs[i]();
            aio__os.malloc = http_real_malloc;
            aio__os.realloc = http_real_realloc;
            if (code) CHECK_INT(code, ENOMEM);
        }
        CHECK_INT(code, 0);
        CHECK(rounds > 2);
    }
}
