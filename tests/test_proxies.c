/* Proxies: their replies one by one, then through proxies that are made here; the environment, and .netrc. */

/* ---- lists of proxies ---- */
TEST(proxy_lists)
{
    static const struct { const char *list; int count, code; const char *said; } cases[] = {
        { "", 0, 0, "" },
        { " , ,", 0, 0, "" },
        { "a.test", 1, 0, "0:a.test:80" },
        { "a.test:3128", 1, 0, "0:a.test:3128" },
        { "http://a.test/", 1, 0, "0:a.test:80" },
        { "HTTPS://a.test", 1, 0, "1:a.test:443" },
        { "socks4://u@a.test", 1, 0, "2:a.test:1080" },
        { "socks4a://a.test:9,socks5://[::1]", 2, 0, "3:a.test:9 4:::1:1080" },
        { "socks5h://u%40x:p%3A@a.test  http://b.test", 2, 0, "5:a.test:1080 0:b.test:80" },
        { "a,b,c,d,e,f,g,h", 8, 0, "0:a:80 0:b:80 0:c:80 0:d:80 0:e:80 0:f:80 0:g:80 0:h:80" },
        { "a,b,c,d,e,f,g,h,i", 0, AIO_ELIMIT, "there are more than AIO_PROXIES_MAX of them" },
        { "ftp://a.test", 0, AIO_EURL, "its scheme is not http, https, socks4, socks4a, socks5 or socks5h" },
        { "socks5:///x", 0, AIO_EURL, NULL },
        { "http://a.test:0", 0, AIO_EURL, NULL },
        { "http://u%3Av:p@a.test", 0, AIO_EURL, "its user has a colon" },
        { "socks4://u:p@a.test", 0, AIO_EURL, "SOCKS4 has no passwords" },
        { "socks4://u%00v@a.test", 0, AIO_EURL, NULL },
        { "a, ftp://b", 0, AIO_EURL, NULL }, { "ftp://b, a", 0, AIO_EURL, NULL },
    };
    char text[700];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        aio__proxies *proxies;
        const char *reason;
        CHECK_INT(aio__proxies_parse(&proxies, cases[i].list, &reason), cases[i].code);
        CHECK_INT(proxies ? proxies->count : 0, cases[i].count);
        *text = 0;
        for (int k = 0; proxies && k < proxies->count; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d:%s:%d", k ? " " : "",
                     (int)(proxies->at[k].kind - aio__proxy_kinds),
                     proxies->at[k].url.host.data, proxies->at[k].port);
        if (cases[i].said) CHECK_STR(cases[i].code ? reason : text, cases[i].said);
        aio__proxies_free(proxies);
    }
    aio__proxies *proxies;
    const char *reason;
    snprintf(text, sizeof text, "socks5://%0300d:p@a.test", 0);
    CHECK_INT(aio__proxies_parse(&proxies, text, &reason), AIO_EURL);
    CHECK_STR(reason, "its user or password is longer than 255 bytes");
    CHECK_INT(aio__proxies_parse(&proxies, "socks5h://u%40x:p%3A@a.test", &reason), 0);
    CHECK_STR(proxies->at[0].url.user.data, "u@x");
    CHECK_STR(proxies->at[0].url.password.data, "p:");
    aio__proxies_free(proxies);
}

/* ---- handshakes: what is said, and what is made of the replies ---- */
#define WORDS(text) text, sizeof(text) - 1
#define HTTP_200 "HTTP/1.1 200 OK\r\n\r\n"
#define TEN_LETTERS "abcdefghij"
#define LONG_NAME TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS  \
    TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS    \
    TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS TEN_LETTERS /* 240 bytes */
#define FOUR(text) text text text text
#define SIXTEEN(text) FOUR(FOUR(text))
static const struct hop_case {
    const char *proxy, *host;
    const char *replies; size_t replies_length; /* all at once, or byte by byte: the outcome is the same */
    const char *sent; size_t sent_length;
    int code; const char *problem;
} hop_cases[] = {
    { "socks4://me@p", "1.2.3.4", WORDS("\0\x5a" "123456"), WORDS("\4\1\0\x50\1\2\3\4me\0"), 0, NULL },
    { "socks4a://p", "a.test", WORDS("\0\x5a" "123456"), WORDS("\4\1\0\x50\0\0\0\1\0a.test\0"), 0, NULL },
    { "socks4://p", "::1", NULL, 0, NULL, 0, AIO_EPROXY, "SOCKS4 has no IPv6 addresses" },
    { "socks4://p", "1.2.3.4", WORDS("\0\x5b" "123456"), NULL, 0, AIO_EPROXY, "the request was rejected or failed" },
    { "socks4://p", "1.2.3.4", WORDS("\0\x5c"), NULL, 0, AIO_EPROXY, "the proxy reached no identd here" },
    { "socks4://p", "1.2.3.4", WORDS("\0\x5d"), NULL, 0, AIO_EPROXY, "identd here names another user" },
    { "socks4://p", "1.2.3.4", WORDS("\0\1"), NULL, 0, AIO_EPROXY, "unknown reply 1" },
    { "socks4://p", "1.2.3.4", WORDS("\0\x5e"), NULL, 0, AIO_EPROXY, "unknown reply 94" },
    { "socks4://p", "1.2.3.4", WORDS("\0\x59"), NULL, 0, AIO_EPROXY, "unknown reply 89" },
    { "socks4://p", "1.2.3.4", WORDS("\0\x5b\xff\xff\xff\xff\xff\xff"), NULL, 0, AIO_EPROXY,
      "the request was rejected or failed" },
    { "socks4://p", "1.2.3.4", WORDS("\0\x5a\xff\xff\xff\xff\xff\xff"), WORDS("\4\1\0\x50\1\2\3\4\0"), 0, NULL },
    { "socks4://p", "1.2.3.4", WORDS("\4\x5a"), NULL, 0, AIO_EPROXY, "the reply is not of SOCKS4: its version is 4" },
    { "socks4://p", "1.2.3.4", WORDS("\0\x5a" "12345"), NULL, 0, AIO__MORE, NULL },
    { "socks5://p", "1.2.3.4", WORDS("\5\0\5\0\0\1" "123456"), WORDS("\5\1\0\5\1\0\1\1\2\3\4\0\x50"), 0, NULL },
    { "socks5h://p", "a.test", WORDS("\5\0\5\0\0\3\3" "abc12"), WORDS("\5\1\0\5\1\0\3\6a.test\0\x50"), 0, NULL },
    { "socks5h://p", "::1", WORDS("\5\0\5\0\0\4" "1234567890123456" "12"),
      WORDS("\5\1\0\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50"), 0, NULL },
    { "socks5h://p", "fe80::1%eth0", WORDS("\5\0\5\0\0\1" "123456"),
      WORDS("\5\1\0\5\1\0\4\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50"), 0, NULL }, /* RFC 6874 4 */
    { "socks5://p", "fe80::1%eth0", WORDS("\5\0\5\0\0\1" "123456"),
      WORDS("\5\1\0\5\1\0\4\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50"), 0, NULL },
    { "socks4a://p", "fe80::1%eth0", NULL, 0, NULL, 0, AIO_EPROXY, "SOCKS4 has no IPv6 addresses" },
    { "socks4a://p", "a.test%eth0", NULL, 0, NULL, 0, AIO_EPROXY, "the host has a character that no host has" },
    { "socks5h://p", "a.test%eth0", NULL, 0, NULL, 0, AIO_EPROXY, "the host has a character that no host has" },
    { "http://p", "a.test%eth0", NULL, 0, NULL, 0, AIO_EPROXY, "the host has a character that no host has" },
    { "socks5h://u:pw@p", "a.test", WORDS("\5\2\1\0\5\0\0\3\0" "12"),
      WORDS("\5\2\0\2\1\1u\2pw\5\1\0\3\6a.test\0\x50"), 0, NULL },
    { "socks5h://u@p", "a", WORDS("\5\0\5\0\0\1" "123456"), WORDS("\5\2\0\2\5\1\0\3\1a\0\x50"), 0, NULL },
    { "socks5h://u@p", "a", WORDS("\5\2\1\1"), WORDS("\5\2\0\2\1\1u\0"), AIO_EPROXY,
      "the user or the password is wrong (status 1)" },
    { "socks5h://u@p", "a", WORDS("\5\2\5\0"), NULL, 0, AIO_EPROXY, "the reply is not of SOCKS5: its version is 5" },
    { "socks5h://p", "a", WORDS("\5\2"), NULL, 0, AIO_EPROXY, "the proxy chose a method that was not offered: 2" },
    { "socks5h://u@p", "a", WORDS("\5\1"), NULL, 0, AIO_EPROXY, "the proxy chose a method that was not offered: 1" },
    { "socks5h://p", "a", WORDS("\5\xff"), NULL, 0, AIO_EPROXY, "the proxy wants a user" },
    { "socks5h://u@p", "a", WORDS("\5\xff"), NULL, 0, AIO_EPROXY, "the proxy takes neither a user nor none" },
    { "socks5h://p", "a", WORDS("HTTP/1.1 400 Bad\r\n\r\n"), NULL, 0, AIO_EPROXY,
      "the reply is not of SOCKS5: its version is 72" },
    { "socks5h://p", "a", WORDS("\5\0\4"), NULL, 0, AIO_EPROXY, "the reply is not of SOCKS5: its version is 4" },
    { "socks5h://p", "a", WORDS("\5\0\5\1"), NULL, 0, AIO_EPROXY, "general SOCKS server failure" },
    { "socks5h://p", "a", WORDS("\5\0\5\2"), NULL, 0, AIO_EPROXY, "connection not allowed by ruleset" },
    { "socks5h://p", "a", WORDS("\5\0\5\3"), NULL, 0, AIO_EPROXY, "network unreachable" },
    { "socks5h://p", "a", WORDS("\5\0\5\4"), NULL, 0, AIO_EPROXY, "host unreachable" },
    { "socks5h://p", "a", WORDS("\5\0\5\5"), NULL, 0, AIO_EPROXY, "connection refused" },
    { "socks5h://p", "a", WORDS("\5\0\5\6"), NULL, 0, AIO_EPROXY, "TTL expired" },
    { "socks5h://p", "a", WORDS("\5\0\5\7"), NULL, 0, AIO_EPROXY, "command not supported" },
    { "socks5h://p", "a", WORDS("\5\0\5\x8"), NULL, 0, AIO_EPROXY, "address type not supported" },
    { "socks5h://p", "a", WORDS("\5\0\5\x9"), NULL, 0, AIO_EPROXY, "unknown reply 9" },
    { "socks5h://p", "a", WORDS("\5\0\5\0\0\2\0"), NULL, 0, AIO_EPROXY,
      "the reply has an address of the unknown type 2" },
    { "socks5h://p", "a", WORDS("\5\0\5\0\0\1" "12345"), NULL, 0, AIO__MORE, NULL },
    { "http://p", "a.test", WORDS(HTTP_200), WORDS("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n"), 0, NULL },
    { "http://p", "::1", WORDS("HTTP/1.0 200\r\nContent-Length: 7\r\n\r\n"),
      WORDS("CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), 0, NULL },
    { "http://p", "fe80::1%eth0", WORDS("HTTP/1.0 200\r\nContent-Length: 7\r\n\r\n"),
      WORDS("CONNECT [fe80::1]:80 HTTP/1.1\r\nHost: [fe80::1]:80\r\n\r\n"), 0, NULL },
    { "http://p", "a", WORDS("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked, x\r\n\r\n"),
      NULL, 0, 0, NULL }, /* RFC 9110, 9.3.6: they mean nothing here */
    { "http://p", "a", WORDS("HTTP/1.1 403 No\r\nContent-Length: x\r\n\r\n"), NULL, 0, AIO_EPROXY,
      "Content-Length is not digits only, in the line at byte 17 of the head" },
    { "http://u:pw@p", "a", WORDS("HTTP/1.1 103 Soon\r\n\r\n" HTTP_200),
      WORDS("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nProxy-Authorization: Basic dTpwdw==\r\n\r\n"), 0, NULL },
    { "http://Aladdin:open%20sesame@p", "a", WORDS(HTTP_200), WORDS("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n"
      "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"), 0, NULL },
    { "http://u@p", "a", WORDS("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 \r\n\r\nHTTP/1.1 299 Fine\r\n\r\n"),
      WORDS("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nProxy-Authorization: Basic dTo=\r\n\r\n"), 0, NULL },
    { "http://:pw@p", "a", WORDS("HTTP/1.1  200\nX: y\n z\n\n"),
      WORDS("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nProxy-Authorization: Basic OnB3\r\n\r\n"), 0, NULL },
    { "http://p", "a", WORDS("HTTP/1.1 300 Many\r\n\r\n"), NULL, 0, AIO_EPROXY, "300 Many" },
    { "http://p", "a", WORDS("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\n"), NULL, 0,
      AIO_EPROXY, "407 Proxy Authentication Required" },
    { "http://p", "a", WORDS(SIXTEEN("HTTP/1.1 103 Soon\r\n\r\n") HTTP_200), NULL, 0, 0, NULL },
    { "http://p", "a", WORDS(SIXTEEN("HTTP/1.1 103 Soon\r\n\r\n") "HTTP/1.1 103 Soon\r\n\r\n" HTTP_200), NULL, 0,
      AIO_EPROXY, "there are too many 1xx responses" },
    { "http://p", "a", WORDS("HTTP/1.1 101 Switched\r\n\r\n"), NULL, 0, AIO_EPROXY, "101 Switched" },
    { "http://p", "a", WORDS("\5\xff"), NULL, 0, AIO_EPROXY, "the answer does not begin with an HTTP status line" },
    { "http://p", "a\r\nX: y", NULL, 0, NULL, 0, AIO_EPROXY, "the host has a character that no host has" },
    { "http://p", "a b", NULL, 0, NULL, 0, AIO_EPROXY, "the host has a character that no host has" },
    { "socks5h://p", "a\x7f", NULL, 0, NULL, 0, AIO_EPROXY, "the host has a character that no host has" },
    { "socks4a://p", "a\x80", NULL, 0, NULL, 0, AIO_EPROXY, "the host has a character that no host has" },
    { "socks4a://p", "!~", NULL, 0, WORDS("\4\1\0\x50\0\0\0\1\0!~\0"), AIO__MORE, NULL },
    { "http://p", "", WORDS("HTTP/1.1 2"), NULL, 0, AIO__MORE, NULL },
    { "socks5h://p", LONG_NAME "123456789012345", WORDS("\5\0\5\1"), NULL, 0, AIO_EPROXY,
      "general SOCKS server failure" },
    { "socks5h://p", LONG_NAME "1234567890123456", NULL, 0, NULL, 0, AIO_EPROXY, "the host is longer than 255 bytes" },
};

static int hop_talk(const struct hop_case *c, size_t step, aio__buffer *sent, char *problem)
{
    aio__proxies *proxies;
    const char *reason;
    aio__hop hop;
    memset(&hop, 0, sizeof hop);
    if (!CHECK_INT(aio__proxies_parse(&proxies, c->proxy, &reason), 0)) return 0;
    hop.proxy = &proxies->at[0];
    hop.host = c->host;
    hop.port = 80;
    CHECK(!aio__hop_looks_up(&hop));
    int code = aio__hop_begin(&hop, NULL);
    for (size_t at = 0, end = step; code == AIO__MORE; end += step) {
        size_t used = 0;
        if (end > c->replies_length) end = c->replies_length;
        CHECK(aio__buffer_append(sent, hop.out.data, hop.out.end));
        hop.out.end = 0;
        code = aio__hop_feed(&hop, c->replies_length ? c->replies + at : NULL, end - at, &used);
        at += used;
        if (!code) CHECK_INT(at, c->replies_length);
        if (end == c->replies_length && !used) break;
    }
    strcpy(problem, hop.problem);
    aio__free(hop.out.data);
    aio_headers_clear(&hop.headers);
    aio__proxies_free(proxies);
    return code;
}

TEST(proxy_replies)
{
    for (size_t i = 0; i < sizeof hop_cases / sizeof *hop_cases; i++) {
        const struct hop_case *c = &hop_cases[i];
        static const size_t steps[] = { 1000, 1, 3 };
        for (int k = 0; k < 3; k++) {
            aio__buffer sent = { NULL, 0, 0, 0 };
            char problem[AIO__MESSAGE_MAX];
            if (!CHECK_INT(hop_talk(c, steps[k], &sent, problem), c->code)) printf("# case %d: %s\n", (int)i, problem);
            if (c->sent) CHECK_BYTES(sent.data, sent.end, c->sent, c->sent_length);
            CHECK_STR(problem, c->problem ? c->problem : "");
            aio__free(sent.data);
        }
    }
}

/* Any port of 16 bits, and no other number. */
TEST(proxy_ports)
{
    static const struct { int port, code; const char *sent; } rows[] = {
        { -1, AIO_EPROXY, NULL }, { 0, AIO__MORE, "\4\1\0\0" }, { 65535, AIO__MORE, "\4\1\xff\xff" },
        { 65536, AIO_EPROXY, NULL },
    };
    aio__proxies *proxies;
    const char *reason;
    if (!CHECK_INT(aio__proxies_parse(&proxies, "socks4a://p", &reason), 0)) return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio__hop hop;
        memset(&hop, 0, sizeof hop);
        hop.proxy = &proxies->at[0];
        hop.host = "a.test";
        hop.port = rows[i].port;
        CHECK_INT(aio__hop_begin(&hop, NULL), rows[i].code);
        CHECK_STR(hop.problem, rows[i].sent ? "" : "the port is not one");
        if (rows[i].sent) CHECK_BYTES(hop.out.data, 4, rows[i].sent, 4);
        aio__free(hop.out.data);
    }
    aio__proxies_free(proxies);
}

/* Of a name's addresses, the first that the proxy knows the kind of. */
TEST(proxy_addresses)
{
    struct { aio__addresses list; aio__address more; } found;
    aio__proxies *proxies;
    const char *reason;
    aio__hop hop;
    memset(&found, 0, sizeof found);
    memset(&hop, 0, sizeof hop);
    if (!CHECK_INT(aio__proxies_parse(&proxies, "socks4://p socks5://p", &reason), 0)) return;
    found.list.count = 1;
    found.list.at[0].storage.ss_family = AF_INET6;
    ((struct sockaddr_in6 *)(void *)&found.list.at[0].storage)->sin6_addr.s6_addr[15] = 1;
    hop.proxy = &proxies->at[0];
    CHECK_INT(aio__hop_found(&hop, &found.list, false), AIO_EPROXY);
    CHECK_STR(hop.problem, "the name has no address that this proxy could be given");
    hop.proxy = &proxies->at[1];
    CHECK_INT(aio__hop_found(&hop, &found.list, false), 0);
    CHECK_BYTES(hop.ip, hop.ip_length, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    found.list.count = 2;
    aio__address *second = &found.list.at[0] + 1;
    second->storage.ss_family = AF_INET;
    ((struct sockaddr_in *)(void *)&second->storage)->sin_addr.s_addr = htonl(0x01020304);
    hop.ip_length = 0;
    hop.proxy = &proxies->at[0];
    CHECK_INT(aio__hop_found(&hop, &found.list, false), 0);
    CHECK_BYTES(hop.ip, hop.ip_length, "\1\2\3\4");
    for (int i = 0; i < 2; i++) { /* of public ones the first */
        hop.ip_length = 0;
        hop.proxy = &proxies->at[1];
        CHECK_INT(aio__hop_found(&hop, &found.list, true), 0);
        CHECK_BYTES(hop.ip, hop.ip_length, "\1\2\3\4");
        found.list.at[0] = *second;
        ((struct sockaddr_in *)(void *)&second->storage)->sin_addr.s_addr = htonl(0x7f000001);
    }
    hop.ip_length = 0;
    found.list.at[0] = *second;
    CHECK_INT(aio__hop_found(&hop, &found.list, true), AIO_EPRIVATE);
    CHECK_STR(hop.problem, "its address is loopback, which deny_private refuses");
    aio__proxies_free(proxies);
}

/* ---- a proxy for everything: the first byte says what it is spoken to ---- */
static struct {
    const char *user;     /* "user:password", which it wants; NULL: none */
    char        log[600]; /* what it was asked for */
    const char *after;    /* is sent with the reply */
} relay_is;

/* Takes neither stream. It ends with an error, which ends the other one, too. */
struct pump { aio_task task; aio_stream *from, *to; aio_text text; };
static AIO_CORO(pump)
{
    AIO_BEGIN(pump);
    AIO_TRY {
        AIO_ASYNC_FOR(self->text, aio_stream_read(self->from, 65536)) {
            if (aio_stream_write(self->to, self->text.data, self->text.length)) break;
            AIO_AWAIT(aio_stream_drain(self->to));
        }
    } AIO_CATCH {
        if (aio_caught(self)->code == ENOMEM) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_RAISE(EPIPE);
    AIO_END;
}

struct relay {
    aio_task task; aio_stream *stream, *out; aio_text text; aio_task_group *group;
    int kind, port, type; char host[300], user[100];
};

static int relay_port(aio_text text) { return (unsigned char)text.data[0] << 8 | (unsigned char)text.data[1]; }
static void relay_log(const char *how, const char *host)
{
    size_t n = strlen(relay_is.log);
    snprintf(relay_is.log + n, sizeof relay_is.log - n, "%s%s %s", n ? ", " : "", how, host);
}

struct relay_socks4 { aio_task task; struct relay *r; aio_text text; bool named; };
static AIO_CORO(relay_socks4)
{
    AIO_BEGIN(relay_socks4);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->r->stream, 7));
    CHECK_INT(self->text.data[0], 1);
    self->r->port = relay_port(aio__text(self->text.data + 1, 2));
    self->named = !memcmp(self->text.data + 3, "\0\0\0\1", 4);
    inet_ntop(AF_INET, self->text.data + 3, self->r->host, sizeof self->r->host);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->r->stream, "", 1));
    snprintf(self->r->user, sizeof self->r->user, "%s", self->text.data);
    if (self->named) {
        AIO_AWAIT(self->text, aio_stream_readuntil(self->r->stream, "", 1));
        snprintf(self->r->host, sizeof self->r->host, "%s", self->text.data);
    }
    relay_log(self->named ? "4a" : "4", self->r->host);
    AIO_END;
}

struct relay_socks5 { aio_task task; struct relay *r; aio_text text; int n, type; };
static AIO_CORO(relay_socks5)
{
    AIO_BEGIN(relay_socks5);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->r->stream, 1));
    AIO_AWAIT(self->text, aio_stream_readexactly(self->r->stream, (size_t)self->text.data[0]));
    aio_stream_write(self->r->stream, relay_is.user ? "\5\2" : "\5\0", 2);
    if (relay_is.user) {
        AIO_AWAIT(self->text, aio_stream_readexactly(self->r->stream, 2));
        self->n = self->text.data[1];
        AIO_AWAIT(self->text, aio_stream_readexactly(self->r->stream, (size_t)self->n + 1));
        snprintf(self->r->user, sizeof self->r->user, "%.*s:", self->n, self->text.data);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->r->stream, (size_t)self->text.data[self->n]));
        strncat(self->r->user, self->text.data, self->text.length);
        aio_stream_write(self->r->stream, "\1\0", 2);
    }
    AIO_AWAIT(self->text, aio_stream_readexactly(self->r->stream, 4));
    self->type = self->text.data[3];
    self->n = self->type == 1 ? 4 : 16;
    if (self->type == 3) {
        AIO_AWAIT(self->text, aio_stream_readexactly(self->r->stream, 1));
        self->n = self->text.data[0];
    }
    AIO_AWAIT(self->text, aio_stream_readexactly(self->r->stream, (size_t)self->n));
    if (self->type == 3) snprintf(self->r->host, sizeof self->r->host, "%.*s", self->n, self->text.data);
    else inet_ntop(self->type == 1 ? AF_INET : AF_INET6, self->text.data, self->r->host, sizeof self->r->host);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->r->stream, 2));
    self->r->port = relay_port(self->text);
    relay_log(self->type == 3 ? "5h" : "5", self->r->host);
    AIO_END;
}

/* Answers what is no CONNECT with the head that came. */
struct relay_http { aio_task task; struct relay *r; aio_text text; char head[2000]; };
static AIO_CORO(relay_http)
{
    char *colon, *field;
    AIO_BEGIN(relay_http);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->r->stream, "\r\n\r\n", 4));
    snprintf(self->head, sizeof self->head, "%c%.*s", self->r->kind, (int)self->text.length, self->text.data);
    field = strstr(self->head, "Proxy-Authorization: Basic ");
    if (field) snprintf(self->r->user, sizeof self->r->user, "%.*s", (int)strcspn(field + 27, "\r"), field + 27);
    if (strncmp(self->head, "CONNECT ", 8)) {
        char answer[100];
        snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", (int)strlen(self->head));
        aio_stream_write(self->r->stream, answer, strlen(answer));
        aio_stream_write(self->r->stream, self->head, strlen(self->head));
        relay_log("asked", "");
    } else {
        snprintf(self->r->host, sizeof self->r->host, "%.*s", (int)strcspn(self->head + 8, " "), self->head + 8);
        colon = strrchr(self->r->host, ':');
        *colon = 0;
        self->r->port = atoi(colon + 1);
        relay_log("CONNECT", self->r->host);
    }
    AIO_END;
}

static AIO_CORO(relay)
{
    AIO_BEGIN(relay);
    AIO_TRY {
        do {
            AIO_AWAIT(self->text, aio_stream_read(self->stream, 1));
            if (!self->text.length) AIO_RETURN();
            self->kind = self->text.data[0];
            if (self->kind == 4) AIO_AWAIT(AIO_CALL(relay_socks4, .r = self));
            else if (self->kind == 5) AIO_AWAIT(AIO_CALL(relay_socks5, .r = self));
            else AIO_AWAIT(AIO_CALL(relay_http, .r = self));
        } while (!self->port);
        if (self->user[0]) relay_log("as", self->user);
        AIO_AWAIT(self->out, aio_open_connection("127.0.0.1", self->port));
    } AIO_CATCH {
        if (touched()) AIO_RERAISE();
        AIO_RETURN(); /* the client has gone */
    } AIO_END_TRY;
    aio_text reply[2];
    reply[0] = self->kind == 4 ? aio__text("\0\x5a" "123456", 8) : self->kind == 5 ? aio__text("\5\0\0\1" "123456", 10)
        : aio__text(HTTP_200, sizeof HTTP_200 - 1);
    reply[1] = aio__text(relay_is.after, relay_is.after ? strlen(relay_is.after) : 0);
    aio_stream_writelines(self->stream, reply, 2);
    AIO_TRY {
        AIO_TASK_GROUP(self->group) {
            void *there, *back;
            there = aio_task_group_create_task(self->group, AIO_CALL(pump, .from = self->stream, .to = self->out));
            back = aio_task_group_create_task(self->group, AIO_CALL(pump, .from = self->out, .to = self->stream));
            if (!there || !back) AIO_RAISE(ENOMEM);
        }
    } AIO_CATCH {
        if (aio_caught(self)->code != AIO_EGROUP) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_close(self->out);
    AIO_END;
}
static void *relay_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(relay, .stream = stream);
}

/* ---- through it ---- */
#define PROXY_MAY .may = { ECONNRESET, AIO_EINCOMPLETE, EPIPE, AIO_EPROXY, ECONNABORTED, AIO_ERESOLVE, ECONNREFUSED, \
    AIO_ETIMEOUT }
#define PROXY_SELF aio_task task; aio_server *echo, *relay; aio_stream *stream; aio_text text; char proxy[300]
#define RELAY_BEGIN()                                                                                               \
    do {                                                                                                            \
        memset(&relay_is, 0, sizeof relay_is);                                                                      \
        AIO_AWAIT(self->relay, aio_start_server(relay_handler, NULL, "127.0.0.1", 0));                              \
    } while (0)
#define ECHO_BEGIN() AIO_AWAIT(self->echo, aio_start_server(echo_handler, NULL, "127.0.0.1", 0))
/* `text` with @ for the address of the proxy. */
static const char *proxy_text(char *buffer, const char *text, const aio_server *relay)
{
    char *out = buffer;
    for (; *text; text++) {
        if (*text == '@') out += sprintf(out, "127.0.0.1:%d", aio_server_port(relay));
        else *out++ = *text == '^' ? '@' : *text;
    }
    *out = 0;
    return buffer;
}

#define HELLO()                                                                                                      \
    do {                                                                                                            \
        REQUIRE(aio_stream_write(self->stream, "hello", 5) == 0);                                                   \
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 5));                                             \
        CHECK_BYTES(self->text.data, self->text.length, "hello");                                                   \
    } while (0)

/* Says hello to an echo server, whatever its name, by each of a list of roads, which a NULL ends. */
struct road { const char *host, *proxy, *log, *user; };
struct roads { PROXY_SELF; const struct road *at; };
static AIO_CORO(roads)
{
    AIO_BEGIN(roads);
    RELAY_BEGIN();
    ECHO_BEGIN();
    for (; self->at->host; self->at++) {
        relay_is.log[0] = 0;
        relay_is.user = self->at->user;
        proxy_text(self->proxy, self->at->proxy, self->relay);
        AIO_TIMEOUT(100) {
            AIO_AWAIT(self->stream, aio_open_connection(self->at->host, aio_server_port(self->echo),
                                                        .proxy = self->proxy));
            HELLO();
        }
        CHECK_STR(relay_is.log, self->at->log);
        aio_stream_abort(self->stream);
        self->stream = NULL;
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

struct proxy_socks4 { aio_task task; };
SCENARIO(proxy_socks4, PROXY_MAY)
{
    static const struct road roads[] = {
        { "127.0.0.1", "socks4://me^@", "4 127.0.0.1, as me", NULL },
        { "a.test", "socks4a://@", "4a a.test", NULL },
        { NULL, NULL, NULL, NULL }
    };
    AIO_BEGIN(proxy_socks4);
    AIO_AWAIT(AIO_CALL(roads, .at = roads));
    AIO_END;
}

struct proxy_socks5 { aio_task task; };
SCENARIO(proxy_socks5, PROXY_MAY)
{
    static const struct road roads[] = {
        { "127.0.0.1", "socks5://@", "5 127.0.0.1", NULL },
        { "a.test", "socks5h://u:pw^@", "5h a.test, as u:pw", "u:pw" },
        { NULL, NULL, NULL, NULL }
    };
    AIO_BEGIN(proxy_socks5);
    AIO_AWAIT(AIO_CALL(roads, .at = roads));
    AIO_END;
}

struct proxy_connect { aio_task task; };
SCENARIO(proxy_connect, PROXY_MAY)
{
    static const struct road roads[] = {
        { "a.test", "@", "CONNECT a.test", NULL },
        { "a.test", "http://u:pw^@/", "CONNECT a.test, as dTpwdw==", NULL },
        { NULL, NULL, NULL, NULL }
    };
    AIO_BEGIN(proxy_connect);
    AIO_AWAIT(AIO_CALL(roads, .at = roads));
    AIO_END;
}

struct proxy_chain { aio_task task; };
SCENARIO(proxy_chain, PROXY_MAY)
{
    static const struct road roads[] = {
        { "a.test", "socks5h://@,http://@", "5 127.0.0.1, CONNECT a.test", NULL },
        { "a.test", "@ socks4a://@ socks5h://@", "CONNECT 127.0.0.1, 4 127.0.0.1, 5h a.test", NULL },
        { NULL, NULL, NULL, NULL }
    };
    AIO_BEGIN(proxy_chain);
    AIO_AWAIT(AIO_CALL(roads, .at = roads));
    AIO_END;
}

/* A connection by a proxy that fails with this code, and this in its message. 0: the proxy went, seen in either way. */
struct refused { aio_task task; const char *proxy, *phase, *said; int code; size_t limit;
    aio_tls_context *proxy_tls; aio_stream *stream; };
static AIO_CORO(refused)
{
    AIO_BEGIN(refused);
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("a.test", 443, .proxy = self->proxy, .proxy_timeout = 7,
            .limit = self->limit, .proxy_tls_context = self->proxy_tls));
        UNREACHED();
    } AIO_CATCH {
        if (!self->code && aio_caught(self)->code == ECONNRESET) self->code = ECONNRESET;
        CAUGHT(self->code ? self->code : AIO_EPROXY);
        CHECK_STR(aio_caught(self)->phase, self->phase);
        if (!CHECK(strstr(aio_caught(self)->message, self->said)) && !touched())
            printf("# %s\n", aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->stream);
    AIO_END;
}

/* A resolver of one's own is asked for both. (The system's is asked in a thread, whose time no clock here can own: real
 * proxies are tried with that.) */
struct proxy_resolver { PROXY_SELF; };
SCENARIO(proxy_resolver, PROXY_MAY)
{
    AIO_BEGIN(proxy_resolver);
    RELAY_BEGIN();
    ECHO_BEGIN();
    slow_dial_begin();
    slow_dial_add("127.0.0.1", aio_server_port(self->relay));
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("a.test", aio_server_port(self->echo), .proxy = "socks5://p.test",
                                                    .resolver = &slow_dial.resolver));
        HELLO();
        CHECK_STR(relay_is.log, "5 127.0.0.1");
    }
    AIO_FINALLY;
        slow_dial_end();
        aio_stream_abort(self->stream);
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

/* Bytes right behind the reply are the tunnel's, but not if another proxy is to be asked through it. */
struct proxy_banner { PROXY_SELF; };
SCENARIO(proxy_banner, PROXY_MAY)
{
    AIO_BEGIN(proxy_banner);
    RELAY_BEGIN();
    ECHO_BEGIN();
    relay_is.after = "220 here\r\n";
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("a.test", aio_server_port(self->echo),
                                                    .proxy = proxy_text(self->proxy, "@", self->relay)));
        AIO_AWAIT(self->text, aio_stream_readline(self->stream));
        CHECK_BYTES(self->text.data, self->text.length, "220 here\r\n");
        HELLO();
    }
    proxy_text(self->proxy, "@,socks4a://@", self->relay);
    AIO_AWAIT(AIO_CALL(refused, .proxy = self->proxy, .code = AIO_EPROXY, .phase = "proxy",
                       .said = seam.slice ? "" : ": there were bytes before this proxy was asked"));
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

/* ---- proxies that misbehave ---- */
struct blurt { aio_task task; aio_stream *stream; struct script *script; aio_text text; };
static AIO_CORO(blurt)
{
    AIO_BEGIN(blurt);
    AIO_AWAIT(self->text, aio_stream_read(self->stream, 1000));
    aio_stream_write(self->stream, self->script->says, self->script->length);
    if (self->script->end == END_CLOSE) aio_stream_write_eof(self->stream);
    while (self->script->end != END_RESET && self->text.length)
        AIO_AWAIT(self->text, aio_stream_read(self->stream, 1000));
    AIO_FINALLY;
        if (self->script->end == END_RESET) aio__stream_doom(self->stream);
    AIO_END;
}
static void *blurt_handler(aio_stream *stream, void *arg)
{
    return AIO_CALL(blurt, .stream = stream, .script = (struct script *)arg);
}

static const struct misbehaviour {
    const char *proxy, *says;
    size_t      length;
    int         end, code;
    const char *said;
} misbehaviour[] = {
    { "http://@", WORDS("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), END_CLOSE, AIO_EPROXY,
      "CONNECT to a.test:443 by proxy @: 407 Proxy Authentication Required" },
    { "http://@", WORDS("HTTP/1.1 200"), END_CLOSE, AIO_EPROXY,
      "CONNECT to a.test:443 by proxy @: the proxy closed the connection" },
    { "socks4a://@", WORDS(""), END_CLOSE, AIO_EPROXY,
      "SOCKS4a to a.test:443 by proxy @: the proxy closed the connection" },
    { "socks5h://@", WORDS("\5\0\5"), END_RESET, 0, "" },
    { "socks5h://@", WORDS("\5\0\5\2"), END_STAY, AIO_EPROXY,
      "SOCKS5 to a.test:443 by proxy @: connection not allowed by ruleset" },
    { "socks5h://@", WORDS("\5"), END_STAY, AIO_ETIMEOUT,
      "SOCKS5 to a.test:443 by proxy @: timed out after 7 s" },
};
struct proxy_misbehaves { PROXY_SELF; struct script script; const struct misbehaviour *is; size_t i; char said[300];
    double began; };
SCENARIO(proxy_misbehaves, PROXY_MAY)
{
    AIO_BEGIN(proxy_misbehaves);
    AIO_AWAIT(self->relay, aio_start_server(blurt_handler, &self->script, "127.0.0.1", 0));
    for (; self->i < sizeof misbehaviour / sizeof *misbehaviour; self->i++) {
        self->is = &misbehaviour[self->i];
        self->script.says = self->is->says;
        self->script.length = self->is->length;
        self->script.end = self->is->end;
        self->began = aio_loop_time(aio_get_running_loop());
        proxy_text(self->proxy, self->is->proxy, self->relay);
        proxy_text(self->said, self->is->said, self->relay);
        AIO_AWAIT(AIO_CALL(refused, .proxy = self->proxy, .code = self->is->code, .phase = "proxy",
                           .said = self->said));
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, self->is->code == AIO_ETIMEOUT ? 7 : 0, 0.5);
    }
    AIO_FINALLY;
        SERVER_END(self->relay);
    AIO_END;
}

/* A head without end is given up at the stream's limit; no proxy at all; a list that is none. */
struct proxy_limits { PROXY_SELF; struct script script; char says[3000]; };
SCENARIO(proxy_limits, PROXY_MAY)
{
    AIO_BEGIN(proxy_limits);
    memset(self->says, 'a', sizeof self->says);
    memcpy(self->says, WORDS("HTTP/1.1 200 OK\r\nX: "));
    self->script.says = self->says;
    self->script.length = sizeof self->says;
    self->script.end = END_STAY;
    AIO_AWAIT(self->relay, aio_start_server(blurt_handler, &self->script, "127.0.0.1", 0));
    proxy_text(self->proxy, "@", self->relay);
    AIO_AWAIT(AIO_CALL(refused, .proxy = self->proxy, .limit = 2000, .code = AIO_ELIMIT, .phase = "proxy",
                       .said = ": the head is too long"));
    snprintf(self->proxy, sizeof self->proxy, "socks5://127.0.0.1:%d", dead_port);
    AIO_AWAIT(AIO_CALL(refused, .proxy = self->proxy, .code = ECONNREFUSED, .phase = "connect",
                       .said = "connect to 127.0.0.1:"));
    AIO_AWAIT(AIO_CALL(refused, .proxy = "gopher://x", .code = AIO_EURL, .phase = "proxy",
                       .said = "proxy for a.test: its scheme is not http, https, socks4, socks4a, socks5 or socks5h"));
    AIO_FINALLY;
        SERVER_END(self->relay);
    AIO_END;
}

/* ---- passwords are erased ---- */

/* A proxy outside of the library, and what is behind it. */
static char proxy_heard[4096];
struct proxy_erased { aio_task task; int listener, peer, port, i; aio_session *session; aio_stream_task *open;
                      aio_response_task *get; char proxy[400]; };
SCENARIO(proxy_erased, .skip = KIND_SLICE | KIND_CALL /* the stream keeps what it could not send */, PROXY_MAY)
{
    static const char *const fields[] = { "X-Long", LONG_NAME LONG_NAME LONG_NAME LONG_NAME, NULL };
    AIO_BEGIN(proxy_erased);
    secrets_left = 0;
    REQUIRE((self->listener = port_hold(&self->port, false)) > 0);
    REQUIRE(!listen(self->listener, 20) && !fcntl(self->listener, F_SETFL, O_NONBLOCK));
    aio__os.malloc = secret_malloc;
    aio__os.free = secret_free;
    aio__os.realloc = secret_realloc;
    for (self->i = 0; self->i < 5; self->i++) {
        snprintf(self->proxy, sizeof self->proxy, "%s://us:Pa55word" LONG_NAME "@127.0.0.1:%d",
                 self->i % 2 ? "socks5h" : "http", self->port);
        if (self->i > 1) {
            REQUIRE(self->session = aio_session_open(.proxy = self->i == 4 ? self->proxy : NULL));
            self->get = (aio_response_task *)aio_create_task(aio_session_get(self->session, "http://a.test/",
                .proxy = self->i == 4 ? NULL : self->proxy));
        } else {
            self->open = (aio_stream_task *)aio_create_task(aio_open_connection(LONG_NAME, 80,
                .proxy = self->proxy, .proxy_headers = fields));
        }
        REQUIRE(self->get || self->open);
        while ((self->peer = accept(self->listener, NULL, NULL)) < 0
               && !aio_future_done(self->get ? (aio_future *)self->get : (aio_future *)self->open))
            AIO_AWAIT(aio_sleep(0.01));
        if (self->i % 2) send(self->peer, WORDS("\5\2\1\0\5\0\0\1\0\0\0\0\0\0"), MSG_NOSIGNAL);
        else if (self->open) send(self->peer, WORDS(HTTP_200), MSG_NOSIGNAL);
        while (self->get && !aio_future_done(self->get)) {
            ssize_t n;
            n = recv(self->peer, proxy_heard, sizeof proxy_heard, MSG_DONTWAIT);
            if (n > 4 && !memcmp(proxy_heard + n - 4, "\r\n\r\n", 4))
                send(self->peer, WORDS(HEAD_5 "hello"), MSG_NOSIGNAL);
            AIO_AWAIT(aio_sleep(0.01));
        }
        if (self->get) {
            AIO_AWAIT((aio_future *)aio_ref(self->get));
            CHECK_INT(self->get->result->status, 200);
            aio_response_release(self->get->result);
            self->get->result = NULL;
        } else {
            AIO_AWAIT((aio_future *)aio_ref(self->open));
            aio_stream_abort(self->open->result);
            self->open->result = NULL;
        }
        aio_unref(self->open);
        self->open = NULL;
        aio_unref(self->get);
        self->get = NULL;
        close(self->peer);
        self->peer = 0;
        AIO_AWAIT(aio_session_close(self->session));
        self->session = NULL;
        if (!CHECK_INT(secrets_left, 0)) printf("# case %d\n", self->i);
        secrets_left = 0;
    }
    AIO_FINALLY;
        aio__os.malloc = seam_malloc;
        aio__os.free = seam_free;
        aio__os.realloc = seam_realloc;
        memset(self->proxy, 0, sizeof self->proxy);
        if (self->listener > 0) close(self->listener);
        if (self->peer > 0) close(self->peer);
        if (self->get && aio_future_done(self->get) && self->get->result) aio_response_release(self->get->result);
        if (self->open && aio_future_done(self->open)) aio_stream_abort(self->open->result);
        aio_unref(self->open);
        aio_unref(self->get);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

/* ---- TLS ---- */
#ifndef AIO_NO_TLS
#define PROXY_TLS_SELF TLS_SELF; aio_server *echo, *relay, *safe; char proxy[300]
#define PROXY_TLS_BEGIN()                                                                                            \
    do {                                                                                                            \
        TLS_SETUP("good", NULL);                                                                                    \
        AIO_AWAIT(self->echo, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls)); \
    } while (0)
#define PROXY_TLS_END()                                                                                              \
    do {                                                                                                            \
        aio_tls_context_unref(self->server_tls);                                                                    \
        aio_tls_context_unref(self->client_tls);                                                                    \
        aio_stream_abort(self->stream);                                                                             \
    } while (0)
#define PROXY_TLS_MAY .may = { ECONNRESET, AIO_EINCOMPLETE, EPIPE, AIO_EPROXY, ECONNABORTED, AIO_ETLS, ECONNREFUSED, \
    AIO_ETIMEOUT }

struct proxy_tls_tunnel { PROXY_TLS_SELF; };
SCENARIO(proxy_tls_tunnel, PROXY_TLS_MAY)
{
    AIO_BEGIN(proxy_tls_tunnel);
    RELAY_BEGIN();
    PROXY_TLS_BEGIN();
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("localhost", aio_server_port(self->echo),
            .tls_context = self->client_tls, .proxy = proxy_text(self->proxy, "socks5h://@", self->relay)));
        HELLO();
        CHECK_STR(relay_is.log, "5h localhost");
        aio_stream_close(self->stream);
        self->stream = NULL;
        relay_is.after = "\r\n"; /* the proxy puts bytes in before TLS */
        AIO_TRY {
            AIO_AWAIT(self->stream, aio_open_connection("localhost", aio_server_port(self->echo),
                .tls_context = self->client_tls, .proxy = proxy_text(self->proxy, "@", self->relay)));
            UNREACHED();
        } AIO_CATCH {
            if (!seam.slice) CHECK(strstr(aio_caught(self)->message, "there were bytes before TLS"));
            if (!seam.slice) CAUGHT(AIO_EPROXY);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        PROXY_TLS_END();
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

/* A session of TLS is the target's, not the proxy's: what was connected to through a proxy is resumed without one. */
struct proxy_tls_resumed { PROXY_TLS_SELF; int i; };
SCENARIO(proxy_tls_resumed, PROXY_TLS_MAY)
{
    AIO_BEGIN(proxy_tls_resumed);
    RELAY_BEGIN();
    PROXY_TLS_BEGIN();
    proxy_text(self->proxy, "socks5h://@", self->relay);
    for (; self->i < 2; self->i++) {
        AIO_TIMEOUT(100) {
            AIO_AWAIT(self->stream, aio_open_connection("localhost", aio_server_port(self->echo),
                .tls_context = self->client_tls, .proxy = self->i ? NULL : self->proxy));
            CHECK_INT(aio_stream_tls_reused(self->stream), self->i);
            HELLO();
            aio_stream_close(self->stream);
            self->stream = NULL;
        }
    }
    AIO_FINALLY;
        PROXY_TLS_END();
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

/* Without a context for a proxy of TLS, the error says why there is none. */
static int no_authorities(SSL_CTX *context) { return (void)context, 0; }
TEST(proxy_tls_no_context)
{
    char proxy[60];
    int port = 0, listener = port_hold(&port, false);
    aio_exception *error = NULL;
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    if (!CHECK(listener > 0 && !listen(listener, 5) && !aio__tls_default_context)) return;
    aio__os.SSL_CTX_set_default_verify_paths = no_authorities;
    snprintf(proxy, sizeof proxy, "https://127.0.0.1:%d", port);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_open_connection("a.test", 443, .proxy = proxy), &error), AIO_ETLS);
    if (CHECK(error && *aio_tls_context_error())) CHECK(strstr(error->message, aio_tls_context_error()));
    aio_exception_unref(error);
    aio_loop_free(loop);
    close(listener);
}

struct proxy_tls_in_tls { PROXY_TLS_SELF; };
SCENARIO(proxy_tls_in_tls, PROXY_TLS_MAY,
         .skip = KIND_EMBED /* polled more often, the relay goes before it has handed on the close_notify */)
{
    AIO_BEGIN(proxy_tls_in_tls);
    RELAY_BEGIN();
    PROXY_TLS_BEGIN();
    AIO_AWAIT(self->safe, aio_start_server(relay_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection("localhost", aio_server_port(self->echo),
            .tls_context = self->client_tls, .proxy_tls_context = self->client_tls,
            .proxy = proxy_text(self->proxy, "https://@", self->safe)));
        CHECK(aio__tls_of(self->stream) && self->stream->top->lower->lower);
        HELLO();
        CHECK_STR(relay_is.log, "CONNECT localhost");
    }
    AIO_FINALLY;
        PROXY_TLS_END();
        SERVER_END(self->safe);
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

/* The default context does not believe this proxy. */
struct proxy_tls_unknown { PROXY_TLS_SELF; char said[200]; };
SCENARIO(proxy_tls_unknown, PROXY_TLS_MAY)
{
    AIO_BEGIN(proxy_tls_unknown);
    TLS_SETUP("other", NULL);
    AIO_AWAIT(self->safe, aio_start_server(relay_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    proxy_text(self->proxy, "https://@", self->safe);
    proxy_text(self->said, "CONNECT to a.test:443 by proxy @: TLS handshake with 127.0.0.1: "
               "certificate verify failed: unable to get local issuer certificate", self->safe);
    AIO_AWAIT(AIO_CALL(refused, .proxy = self->proxy, .proxy_tls = self->client_tls, .code = AIO_ECERTIFICATE,
                       .phase = "proxy", .said = self->said));
    AIO_FINALLY;
        PROXY_TLS_END();
        SERVER_END(self->safe);
    AIO_END;
}
#endif

/* ---- HTTP through proxies ---- */

/* Answers with the head that came. */
struct mirror { aio_task task; aio_stream *stream; aio_text text; char answer[3000]; };
static AIO_CORO(mirror)
{
    AIO_BEGIN(mirror);
    AIO_TRY {
        for (;;) {
            AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
            snprintf(self->answer, sizeof self->answer, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%.*s",
                     (int)self->text.length, (int)self->text.length, self->text.data);
            aio_stream_write(self->stream, self->answer, strlen(self->answer));
        }
    } AIO_CATCH {
        if (touched() || aio_caught(self)->code != AIO_EINCOMPLETE) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}
static void *mirror_handler(aio_stream *stream, void *arg) { return (void)arg, AIO_CALL(mirror, .stream = stream); }

static const char *const proxy_given[] = { "Proxy-Authorization", "mine", "X-A", "b", NULL };
struct get_by {
    aio_task task; aio_session *session; const char *url, *proxy; bool given; aio_response *r; aio_text text;
    char body[1500]; bool reused;
};
static AIO_CORO(get_by)
{
    AIO_BEGIN(get_by);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url, .proxy = self->proxy,
                                       .headers = self->given ? proxy_given : NULL));
    self->reused = self->r->times.reused;
    AIO_AWAIT(self->text, aio_response_text(self->r));
    snprintf(self->body, sizeof self->body, "%s", self->text.data);
    AIO_FINALLY;
        aio_response_release(self->r);
    AIO_END;
}
/* self->got: what a GET through proxies gave. */
#define GET(...)                                                        \
    do {                                                                \
        aio_unref(self->got);                                           \
        self->got = AIO_CALL(get_by, .session = self->session, __VA_ARGS__); \
        AIO_AWAIT((struct get_by *)aio_ref(self->got));                 \
    } while (0)
#define GOT(part)     CHECK(strstr(self->got->body, part) != NULL)
#define GOT_NOT(part) CHECK(strstr(self->got->body, part) == NULL)
#define PROXY_HTTP_MAY .may = { ECONNRESET, EPIPE, AIO_EPROXY, AIO_EPAYLOAD, AIO_ETIMEOUT, AIO_ETLS, ECONNREFUSED, \
    AIO_EDISCONNECTED }
#define HTTP_SELF PROXY_SELF; aio_session *session; struct get_by *got; char url[100]
#define HTTP_END()                                  \
    do {                                            \
        aio_unref(self->got);                       \
        AIO_AWAIT(aio_session_close(self->session)); \
    } while (0)

struct proxy_absolute { HTTP_SELF; };
SCENARIO(proxy_absolute, PROXY_HTTP_MAY)
{
    AIO_BEGIN(proxy_absolute);
    RELAY_BEGIN();
    self->session = aio_session_open(.proxy = proxy_text(self->proxy, "http://u:pw^@", self->relay));
    REQUIRE(self->session);
    GET(.url = "http://me:x@a.test:81/p?q#f");
    CHECK_BYTES(self->got->body, strcspn(self->got->body, "\r"), "GET http://a.test:81/p?q HTTP/1.1");
    GOT("\r\nHost: a.test:81\r\n");
    GOT("\r\nProxy-Authorization: Basic dTpwdw==\r\n");
    GOT("\r\nAuthorization: Basic bWU6eA==\r\n");
    CHECK_STR(relay_is.log, "asked ");
    GET(.url = "http://a.test:81/p", .given = true);
    CHECK(self->got->reused);
    GOT("\r\nProxy-Authorization: mine\r\n");
    GOT_NOT("dTpwdw");
    GOT_NOT("\r\nAuthorization");
    GET(.url = "http://b.test/", .proxy = proxy_text(self->proxy, "socks5h://@ http://@", self->relay));
    CHECK(!self->got->reused);
    CHECK_STR(relay_is.log, "asked , asked , 5 127.0.0.1, asked ");
    AIO_FINALLY;
        HTTP_END();
        SERVER_END(self->relay);
    AIO_END;
}

#ifndef AIO_NO_TLS
/* ---- Digest of proxies ---- */

/* A proxy that wants a digest of `nonce`, and has the next one with its answer; then it answers with the head that it,
 * or within the tunnel the host, got. What came is in the log: the method, and of the digest uri, nonce and nc. */
static struct { const char *nonce, *next; bool stale, keep; char log[1000]; } wary;
struct wary { aio_task task; aio_stream *stream; aio_text text; const char *field; bool tunnel;
    char head[1500], answer[2500]; };
static void wary_log(const struct wary *self)
{
    static const char *const parts[] = { ", uri=\"", ", nonce=\"", ", nc=" };
    size_t n = strlen(wary.log);
    n += (size_t)snprintf(wary.log + n, sizeof wary.log - n, "%.*s", (int)strcspn(self->head, " "), self->head);
    for (size_t i = 0; i < 3 && self->field; i++) {
        const char *at = strstr(self->field, parts[i]);
        if (at) at += strlen(parts[i]);
        if (at) n += (size_t)snprintf(wary.log + n, sizeof wary.log - n, " %.*s", (int)strcspn(at, "\",\r"), at);
    }
    snprintf(wary.log + n, sizeof wary.log - n, "\n");
}
static bool wary_takes(const struct wary *self)
{
    char wanted[100];
    snprintf(wanted, sizeof wanted, ", nonce=\"%s\"", wary.nonce);
    return self->tunnel || (self->field && strstr(self->field, wanted));
}
/* The answer to a head. False: it is the last. */
static bool wary_answer(struct wary *self)
{
    bool takes = wary_takes(self), connects = !self->tunnel && !strncmp(self->head, "CONNECT ", 8);
    char more[200] = "";
    if (!takes) {
        snprintf(self->answer, sizeof self->answer, "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"p\"\r\n"
                 "Proxy-Authenticate: Digest realm=\"p\", nonce=\"%s\", qop=\"auth\", domain=\"/other\"%s\r\n"
                 "Content-Length: 4\r\n%s\r\nnone", wary.nonce, wary.stale ? ", stale=true" : "",
                 wary.keep ? "" : "Connection: close\r\n");
        return wary.keep;
    }
    if (!self->tunnel && wary.next)
        snprintf(more, sizeof more, "Proxy-Authentication-Info: nextnonce=\"%s\"\r\n", wary.next);
    if (!self->tunnel && wary.next) wary.nonce = wary.next;
    if (connects) snprintf(self->answer, sizeof self->answer, "HTTP/1.1 200 OK\r\n%s\r\n", more);
    else snprintf(self->answer, sizeof self->answer, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n%s", more,
                  strlen(self->head), self->head);
    self->tunnel = self->tunnel || connects;
    return true;
}
static AIO_CORO(wary)
{
    AIO_BEGIN(wary);
    AIO_TRY {
        do {
            AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
            snprintf(self->head, sizeof self->head, "%.*s", (int)self->text.length, self->text.data);
            self->field = strstr(self->head, "Proxy-Authorization: Digest ");
            wary_log(self);
            self->tunnel = wary_answer(self) && self->tunnel;
            aio_stream_write(self->stream, self->answer, strlen(self->answer));
        } while (wary.keep || self->tunnel || !strncmp(self->answer, "HTTP/1.1 200", 12));
    } AIO_CATCH {
        if (touched() || aio_caught(self)->code != AIO_EINCOMPLETE) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}
static void *wary_handler(aio_stream *stream, void *arg) { return (void)arg, AIO_CALL(wary, .stream = stream); }

/* A server that asks as if it were a proxy is none: it is not told what is for one. */
struct proxy_digest_elsewhere { aio_task task; aio_server *server; aio_session *session; aio_digest_auth *auth;
    aio_response *r; char url[60]; int i; };
SCENARIO(proxy_digest_elsewhere, PROXY_HTTP_MAY)
{
    AIO_BEGIN(proxy_digest_elsewhere);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    script_says(&the_script, "HTTP/1.1 407 No\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n"
                "Content-Length: 0\r\n\r\n", END_STAY);
    AIO_AWAIT(self->server, aio_start_server(scripted_handler, &the_script, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open(.proxy_digest = self->auth));
    for (; self->i < 2; self->i++) {
        AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
        CHECK_INT(self->r->status, 407);
        CHECK_INT(self->r->history_count, 0);
        aio_text head;
        head = aio_response_request_head(self->r);
        CHECK(!memmem(head.data, head.length, "Proxy-", 6));
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_digest_auth_unref(self->auth);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

struct proxy_digest { HTTP_SELF; aio_digest_auth *auth, *other; int i; };
SCENARIO(proxy_digest, PROXY_HTTP_MAY)
{
    AIO_BEGIN(proxy_digest);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    REQUIRE(self->other = aio_digest_auth_open("v", "q"));
    AIO_AWAIT(self->relay, aio_start_server(wary_handler, NULL, "127.0.0.1", 0));
    for (self->i = 0; self->i < 2; self->i++) { /* the 407's connection is kept, or not */
        memset(&wary, 0, sizeof wary);
        wary.nonce = self->i ? "b1" : "a1";
        wary.stale = self->i;
        wary.keep = !self->i;
        /* the host's digest is not the proxy's, wherever that may be */
        self->session = aio_session_open(.auth = { .digest = self->other }, .proxy_digest = self->auth,
                                         .proxy = proxy_text(self->proxy, "http://@", self->relay));
        REQUIRE(self->session);
        GET(.url = "http://a.test/x");
        GOT("Proxy-Authorization: Digest username=\"u\", realm=\"p\"");
        GOT_NOT("\r\nAuthorization");
        CHECK_STR(wary.log, self->i ? "GET http://a.test/x a1 00000003\nGET http://a.test/x b1 00000001\n"
                                    : "GET\nGET http://a.test/x a1 00000001\n");
        *wary.log = 0;
        wary.next = self->i ? "b2" : NULL;
        GET(.url = "http://b.test/");
        wary.next = NULL;
        CHECK_STR(wary.log, self->i ? "GET http://b.test/ b1 00000002\n" : "GET http://b.test/ a1 00000002\n");
        *wary.log = 0;
        if (self->i) GET(.url = "http://b.test/");
        if (self->i) CHECK_STR(wary.log, "GET http://b.test/ b2 00000001\n");
        AIO_AWAIT(aio_session_close(self->session));
        self->session = NULL;
    }
    wary.nonce = "never"; /* the wrong one is not given again */
    wary.stale = false;
    *wary.log = 0;
    self->session = aio_session_open(.proxy_digest = self->auth, .proxy = self->proxy);
    REQUIRE(self->session);
    GET(.url = "http://a.test/x");
    CHECK_STR(self->got->body, "none");
    CHECK_STR(wary.log, "GET http://a.test/x b2 00000002\n");
    AIO_FINALLY;
        aio_digest_auth_unref(self->auth);
        aio_digest_auth_unref(self->other);
        HTTP_END();
        SERVER_END(self->relay);
    AIO_END;
}

struct proxy_digest_tunnel { PROXY_SELF; aio_digest_auth *auth; };
SCENARIO(proxy_digest_tunnel, PROXY_HTTP_MAY)
{
    AIO_BEGIN(proxy_digest_tunnel);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    memset(&wary, 0, sizeof wary);
    wary.nonce = "n1";
    wary.keep = true;
    AIO_AWAIT(self->relay, aio_start_server(wary_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("a.test", 7, .proxy_digest = self->auth,
                                                .proxy = proxy_text(self->proxy, "http://@", self->relay)));
    aio_stream_close(self->stream);
    self->stream = NULL;
    CHECK_STR(wary.log, "CONNECT\nCONNECT a.test:7 n1 00000001\n");
    *wary.log = 0;
    wary.next = "n2";
    AIO_AWAIT(self->stream, aio_open_connection("b.test", 80, .proxy_digest = self->auth, .proxy = self->proxy));
    aio_stream_close(self->stream);
    self->stream = NULL;
    wary.next = NULL;
    CHECK_STR(wary.log, "CONNECT b.test:80 n1 00000002\n");
    *wary.log = 0;
    wary.nonce = "n3";
    wary.stale = true;
    AIO_AWAIT(self->stream, aio_open_connection("b.test", 80, .proxy_digest = self->auth, .proxy = self->proxy));
    aio_stream_close(self->stream);
    self->stream = NULL;
    CHECK_STR(wary.log, "CONNECT b.test:80 n2 00000001\nCONNECT b.test:80 n3 00000001\n");
    *wary.log = 0;
    wary.nonce = "n4";
    wary.stale = false;
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("b.test", 80, .proxy_digest = self->auth, .proxy = self->proxy));
        CHECK(self->stream == NULL);
    } AIO_CATCH {
        if (touched()) AIO_RERAISE();
        CHECK_INT(aio_caught(self)->code, AIO_EPROXY);
        CHECK(strstr(aio_caught(self)->message, ": 407 No") != NULL);
    } AIO_END_TRY;
    CHECK_STR(wary.log, "CONNECT b.test:80 n3 00000002\n");
    AIO_FINALLY;
        aio_digest_auth_unref(self->auth);
        aio_stream_close(self->stream);
        SERVER_END(self->relay);
    AIO_END;
}

/* What a proxy answers to CONNECT, a refusal first, is among the heads of the response that the tunnel brought, byte
 * for byte, and of no later one. */
#define WARY_407 "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"p\"\r\nProxy-Authenticate: Digest " \
    "realm=\"p\", nonce=\"n1\", qop=\"auth\", domain=\"/other\"\r\nContent-Length: 4\r\n\r\n"
struct proxy_heads { PROXY_SELF; aio_session *session; aio_digest_auth *auth; aio_response *r; aio_text head; size_t at;
    int i, n; };
SCENARIO(proxy_heads, PROXY_HTTP_MAY)
{
    static const char *const upgrade[] = { "Connection", "Upgrade", "Upgrade", "x", NULL }; /* hence the tunnel */
    static const char *const first[] = { WARY_407, "HTTP/1.1 200 OK\r\n\r\n" };
    AIO_BEGIN(proxy_heads);
    REQUIRE(self->auth = aio_digest_auth_open("u", "p"));
    memset(&wary, 0, sizeof wary);
    wary.nonce = "n1";
    wary.keep = true;
    AIO_AWAIT(self->relay, aio_start_server(wary_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->session = aio_session_open(.proxy_digest = self->auth,
                                             .proxy = proxy_text(self->proxy, "http://@", self->relay)));
    for (; self->i < 2; self->i++) {
        AIO_AWAIT(self->r, aio_session_get(self->session, "http://a.test/x", .headers = upgrade));
        AIO_AWAIT(self->text, aio_response_read(self->r));
        CHECK(!strncmp(self->text.data, "GET /x HTTP/1.1\r\n", 17));
        CHECK_INT(self->r->times.reused, self->i);
        CHECK_INT(self->r->history_count, 0);
        self->at = 0;
        for (self->n = self->i ? 2 : 0; aio_response_next_head(self->r, &self->at, &self->head); self->n++) {
            if (self->n < 2) CHECK_BYTES(self->head.data, self->head.length, first[self->n]);
            else CHECK_BYTES(self->head.data, self->head.length, aio_response_head(self->r).data,
                             aio_response_head(self->r).length);
        }
        CHECK_INT(self->n, 3);
        aio_response_release(self->r);
        self->r = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->r);
        aio_digest_auth_unref(self->auth);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->relay);
    AIO_END;
}
#endif

/* Sessions of one connector share a tunnel only if they would have asked for it in the same words. */
struct proxy_apart { HTTP_SELF; aio_connector *connector; aio_session *other; };
SCENARIO(proxy_apart, PROXY_HTTP_MAY)
{
    static const char *const headers[] = { "X-Token", "t", NULL };
    AIO_BEGIN(proxy_apart);
    RELAY_BEGIN();
    AIO_AWAIT(self->echo, aio_start_server(mirror_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->connector = aio_connector_open());
    REQUIRE(self->session = aio_session_open(.connector = self->connector, .proxy_headers = headers));
    REQUIRE(self->other = aio_session_open(.connector = self->connector));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/x", aio_server_port(self->echo));
    GET(.url = self->url, .proxy = proxy_text(self->proxy, "socks5h://@", self->relay));
    GET(.url = self->url, .proxy = self->proxy);
    CHECK(self->got->reused);
    aio_session *swapped;
    swapped = self->session;
    self->session = self->other;
    self->other = swapped;
    GET(.url = self->url, .proxy = self->proxy);
    CHECK(!self->got->reused);
    GET(.url = self->url, .proxy = self->proxy);
    CHECK(self->got->reused);
    AIO_FINALLY;
        aio_connector_unref(self->connector);
        AIO_AWAIT(aio_session_close(self->other));
        HTTP_END();
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

/* deny_private judges what names lead to, of hosts and of proxies. */
struct proxy_guard_names { PROXY_SELF; aio_session *session; };
SCENARIO(proxy_guard_names, PROXY_HTTP_MAY)
{
    AIO_BEGIN(proxy_guard_names);
    RELAY_BEGIN();
    slow_dial_begin();
    slow_dial_add("127.0.0.1", aio_server_port(self->relay));
    REQUIRE(self->session = aio_session_open(.resolver = &slow_dial.resolver, .deny_private = true));
    AIO_AWAIT(refusal(.session = self->session, .url = "http://a.test/", .code = AIO_EPRIVATE, .has = "is loopback"));
    AIO_AWAIT(refusal(.session = self->session, .url = "http://a.test/", .proxy = "http://p.test", .code = AIO_EPRIVATE,
                      .has = "is loopback"));
    AIO_AWAIT(refusal(.session = self->session, .url = "http://a.test/", .proxy = "socks5h://p.test",
                      .code = AIO_EPRIVATE, .has = "is loopback"));
    CHECK_STR(relay_is.log, "");
    AIO_FINALLY;
        slow_dial_end();
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->relay);
    AIO_END;
}

struct proxy_http_tunnel { HTTP_SELF; };
SCENARIO(proxy_http_tunnel, PROXY_HTTP_MAY)
{
    AIO_BEGIN(proxy_http_tunnel);
    RELAY_BEGIN();
    AIO_AWAIT(self->echo, aio_start_server(mirror_handler, NULL, "127.0.0.1", 0));
    self->session = aio_session_open(.limit = 3);
    REQUIRE(self->session);
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/x", aio_server_port(self->echo));
    GET(.url = self->url, .given = true, .proxy = proxy_text(self->proxy, "socks5h://@", self->relay));
    GOT("GET /x HTTP/1.1");
    GOT("X-A: b");
    GOT_NOT("Proxy-Authorization"); /* that is not for the origin */
    GET(.url = self->url, .proxy = self->proxy);
    CHECK(self->got->reused);
    GET(.url = self->url);
    CHECK(!self->got->reused);
    GET(.url = self->url, .proxy = "");
    CHECK(self->got->reused);
    CHECK_STR(relay_is.log, "5 127.0.0.1");
    AIO_FINALLY;
        HTTP_END();
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

#ifndef AIO_NO_TLS
struct proxy_https { HTTP_SELF; aio_tls_context *server_tls, *client_tls; };
SCENARIO(proxy_https, PROXY_HTTP_MAY,
         .skip = KIND_EMBED /* polled more often, the relay goes before it has handed on the close_notify */)
{
    static const char *const headers[] = { "X-Token", "t", NULL };
    AIO_BEGIN(proxy_https);
    RELAY_BEGIN();
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->echo, aio_start_server(mirror_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    self->session = aio_session_open(.proxy = proxy_text(self->proxy, "http://u:pw^@", self->relay),
                                     .tls_context = self->client_tls, .proxy_headers = headers);
    REQUIRE(self->session);
    snprintf(self->url, sizeof self->url, "https://me:x@localhost:%d/x", aio_server_port(self->echo));
    GET(.url = self->url, .given = true);
    GOT("GET /x HTTP/1.1");
    GOT("\r\nAuthorization: Basic bWU6eA==\r\n");
    GOT_NOT("Proxy-Authorization");
    GOT_NOT("X-Token");
    CHECK_STR(relay_is.log, "CONNECT localhost, as dTpwdw==");
    GET(.url = self->url);
    CHECK(self->got->reused);
    AIO_TRY {
        GET(.url = "http://a.test/", .proxy = "gopher://x");
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EURL);
        CHECK_STR(aio_caught(self)->phase, "proxy");
        CHECK_STR(aio_caught(self)->message, "GET http://a.test/: proxy for a.test: its scheme is not http, https, "
                  "socks4, socks4a, socks5 or socks5h");
    } AIO_END_TRY;
    AIO_TRY {
        GET(.url = self->url, .proxy = "http://127.0.0.1:1/nonsense://");
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ECONNREFUSED);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_tls_context_unref(self->server_tls);
        aio_tls_context_unref(self->client_tls);
        HTTP_END();
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}
#endif

#ifndef AIO_NO_TLS
struct proxy_absolute_tls { HTTP_SELF; aio_tls_context *server_tls, *client_tls; };
SCENARIO(proxy_absolute_tls, PROXY_HTTP_MAY)
{
    AIO_BEGIN(proxy_absolute_tls);
    memset(&relay_is, 0, sizeof relay_is);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->relay, aio_start_server(relay_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    self->session = aio_session_open(.proxy = proxy_text(self->proxy, "https://u:pw^@", self->relay),
                                     .proxy_tls_context = self->client_tls);
    REQUIRE(self->session);
    GET(.url = "http://a.test/x");
    GOT("GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n");
    GOT("\r\nProxy-Authorization: Basic dTpwdw==\r\n");
    GET(.url = "http://a.test/");
    CHECK(self->got->reused);
    AIO_FINALLY;
        aio_tls_context_unref(self->server_tls);
        aio_tls_context_unref(self->client_tls);
        HTTP_END();
        SERVER_END(self->relay);
    AIO_END;
}
#endif

/* ---- the environment ---- */
static void proxy_environment(const char *const *pairs)
{
    static const char *const variables[] = {
        "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
        "ftp_proxy", "REQUEST_METHOD"
    };
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
    for (; pairs && *pairs; pairs += 2) setenv(pairs[0], pairs[1], 1);
}

TEST(proxy_from_env)
{
    static const struct { const char *env[9], *url, *proxy; } cases[] = {
        { { NULL }, "http://a.test/", "" },
        { { "http_proxy", "http://p:1", NULL }, "http://a.test/", "http://p:1" },
        { { "http_proxy", "p", NULL }, "ws://a.test/", "p" },
        { { "http_proxy", "p", NULL }, "https://a.test/", "" },
        { { "HTTPS_PROXY", "P", "https_proxy", "p", NULL }, "wss://a.test/", "p" },
        { { "HTTPS_PROXY", "P", NULL }, "https://a.test/", "P" },
        { { "HTTPS_PROXY", "P", "https_proxy", "", NULL }, "https://a.test/", "" },
        { { "https_proxy", "", "all_proxy", "p", NULL }, "https://a.test/", "" },
        { { "ALL_PROXY", "socks5h://p", NULL }, "https://a.test/", "socks5h://p" },
        { { "ftp_proxy", "p", NULL }, "ftp://a.test/", "p" },
        { { "all_proxy", "p", NULL }, "imap://a.test/", "p" },
        { { "HTTP_PROXY", "P", NULL }, "http://a.test/", "P" },
        { { "HTTP_PROXY", "P", "REQUEST_METHOD", "GET", NULL }, "http://a.test/", "" },
        { { "http_proxy", "p", "REQUEST_METHOD", "GET", NULL }, "http://a.test/", "p" },
        { { "HTTPS_PROXY", "P", "REQUEST_METHOD", "GET", NULL }, "https://a.test/", "P" },
        { { "http_proxy", "p", "no_proxy", "a.test", NULL }, "http://a.test/", "" },
        { { "http_proxy", "p", "NO_PROXY", "a.test", NULL }, "http://a.test/", "" },
        { { "http_proxy", "p", "NO_PROXY", "a.test", "no_proxy", "", NULL }, "http://a.test/", "p" },
    };
    char found[20];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        proxy_environment(cases[i].env);
        CHECK_INT(aio_proxy_from_env(cases[i].url, found, sizeof found), 0);
        if (!CHECK_STR(found, cases[i].proxy)) printf("# case %d\n", (int)i);
    }
    static const char *const env[] = { "http_proxy", "http://p", NULL };
    proxy_environment(env);
    CHECK_INT(aio_proxy_from_env("http://a/", found, 8), ENAMETOOLONG);
    CHECK_INT(aio_proxy_from_env("http://a/", found, 9), 0);
    CHECK_INT(aio_proxy_from_env("nonsense", found, 9), AIO_EURL);
    CHECK_STR(found, "");
    CHECK_INT(aio_proxy_from_env(NULL, found, 9), EINVAL);
    CHECK_INT(aio_proxy_from_env("http://a/", NULL, 9), EINVAL);
    found[0] = '?';
    CHECK_INT(aio_proxy_from_env("http://a/", found, 0), EINVAL);
    CHECK_INT(found[0], '?'); /* there is no room */
    proxy_environment(NULL);
}

TEST(proxy_exceptions)
{
    static const struct { const char *list, *url; bool direct; } cases[] = {
        { "", "http://a.test/", false },
        { "*", "http://a.test/", true },
        { "b.test, *", "http://a.test/", true },
        { "a.test", "http://A.Test/", true },
        { "A.TEST", "http://a.test./", true },
        { "a.test.", "http://a.test/", true },
        { "a.test", "http://x.a.test/", true },
        { ".a.test", "http://x.a.test/", true },
        { ".a.test", "http://a.test/", true },
        { "*.a.test", "http://x.a.test/", true },
        { "a.test", "http://ba.test/", false },
        { "a.test", "http://a.test.b/", false },
        { "test", "http://a.test/", true },
        { ".", "http://a.test/", false },
        { "b,c a.test", "http://a.test/", true },
        { "a.test:80", "http://a.test/", true },
        { "a.test:81", "http://a.test/", false },
        { "a.test:443", "https://a.test/", true },
        { "a.test:81", "http://x.a.test:81/", true },
        { "a.test:x", "http://a.test/", false },
        { "127.0.0.1", "http://127.0.0.1/", true },
        { "127.0.0.1:80", "http://127.0.0.1/", true },
        { "127.0.0.1", "http://127.0.0.2/", false },
        { "0.0.1", "http://127.0.0.1/", false },
        { "127.0.0.0/8", "http://127.9.9.9/", true },
        { "127.0.0.0/8", "http://128.0.0.1/", false },
        { "10.0.0.0/15", "http://10.1.2.3/", true },
        { "10.0.0.0/15", "http://10.2.0.0/", false },
        { "0.0.0.0/0", "http://1.2.3.4/", true },
        { "10.0.0.0/33", "http://10.0.0.0/", false },
        { "10.0.0.0/", "http://10.0.0.0/", false },
        { "10.0.0.0/8", "http://[::1]/", false },
        { "::1", "http://[0:0:0:0:0:0:0:1]/", true },
        { "[::1]", "http://[::1]/", true },
        { "[::1]:80", "http://[::1]/", true },
        { "[::1]:81", "http://[::1]/", false },
        { "fe80::/10", "http://[fe80::1%25eth0]/", true },
        { "fe80::/10", "http://[fec0::1]/", false },
        { "[", "http://[::1]/", false },
        { "::1", "http://a.test/", false },
        { "1.2.3.4/8", "http://a.test/", false },
        { "a.test:0", "http://a.test/", false },
        { "a.test:99999", "http://a.test/", false },
        { "y@a.test", "http://x.y@a.test/", false }, /* longer than the host, whatever stands before it */
        { "*.", "http://a.test/", false }, { "*a.test", "http://a.test/", false },
        { "*", "http://[::1]/", true },
        { ":80", "http://a.test/", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        aio_url url;
        if (!CHECK_INT(aio_url_parse(&url, cases[i].url, strlen(cases[i].url), NULL), 0)) continue;
        if (!CHECK_INT(aio__no_proxy(cases[i].list, &url), cases[i].direct)) printf("# case %d\n", (int)i);
        aio_url_clear(&url);
    }
}

/* What a word of the list says of a port, and what is left of it. */
TEST(no_proxy_ports)
{
    static const struct { const char *word; int port; const char *rest; } rows[] = {
        { "a:80", 80, "a" }, { "a:65535", 65535, "a" }, { "a:65536", -1, "a:65536" }, { "a:0", 0, "a" }, { "a:", -1, "a:" },
        { "a:b:80", -1, "a:b:80" }, { "[::1]:80", 80, "::1" }, { "[::1]", -1, "::1" }, { "::1", -1, "::1" }, { "80", -1, "80" },
        { "[", -1, "[" }, { "]", -1, "]" }, { "[]", -1, "" }, { "[a", -1, "[a" }, { "a]", -1, "a]" }, { ":80", 80, "" },
        { "[1", -1, "[1" }, { "", -1, "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *copy = url_exact(rows[i].word, strlen(rows[i].word));
        aio_text word = aio__text(copy, strlen(rows[i].word));
        CHECK_INT(aio__word_port(&word), rows[i].port);
        CHECK_BYTES(word.data, word.length, rows[i].rest);
        free(copy);
    }
}

/* A scheme's variable is its whole name and "_proxy", or none: the one of a part of it is not looked at. */
TEST(proxy_variables)
{
    static const char *const schemes[] = { "a23456789012345678901234567890123", "a234567890123456789012345678901234" };
    for (int i = 0; i < 2; i++) {
        char name[50], url[50], found[20];
        snprintf(name, sizeof name, "%s_proxy", schemes[i]);
        setenv(name, "whole", 1);
        CHECK_STR(aio__proxy_variable(schemes[i], -1), i ? NULL : "whole"); /* longer ones have none */
        unsetenv(name);
        name[strlen(name) - 1] = 0;
        setenv(name, "part", 1);
        CHECK_STR(aio__proxy_variable(schemes[i], -1), NULL);
        unsetenv(name);
        snprintf(url, sizeof url, "%s://a.test/", schemes[i]);
        CHECK_INT(aio_proxy_from_env(url, found, sizeof found), 0);
        CHECK_STR(found, "");
    }
}

/* $NETRC, whatever $HOME is; without it ~/.netrc; what cannot be read, or has too long a name, is none. */
static void proxy_write(const char *path, const char *text);
TEST(netrc_places)
{
    char folder[40] = "/tmp/aio-home-XXXXXX", path[60], other[60], *text, *home = getenv("HOME");
    static char longer[2000];
    if (!CHECK(mkdtemp(folder))) return;
    home = home ? strdup(home) : NULL;
    snprintf(path, sizeof path, "%s/.netrc", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    proxy_write(path, "of home");
    proxy_write(other, "of NETRC");
    memset(longer, '/', sizeof longer - 1);
    const struct { const char *netrc, *home, *text; } rows[] = {
        { NULL, NULL, NULL }, { NULL, folder, "of home" }, { other, NULL, "of NETRC" }, { other, folder, "of NETRC" },
        { folder, folder, NULL }, { "/nonexistent/netrc", folder, NULL }, { longer, folder, NULL },
        { NULL, longer, NULL }, { NULL, other, NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].netrc) setenv("NETRC", rows[i].netrc, 1);
        else unsetenv("NETRC");
        if (rows[i].home) setenv("HOME", rows[i].home, 1);
        else unsetenv("HOME");
        CHECK_INT(aio__netrc_read(&text), 0);
        if (!rows[i].text) CHECK_PTR(text, NULL);
        else CHECK_STR(text, rows[i].text);
        aio__free(text);
    }
    unsetenv("NETRC");
    if (home) setenv("HOME", home, 1);
    free(home);
    unlink(path);
    unlink(other);
    rmdir(folder);
}

TEST(netrc_entries)
{
    static const struct { const char *text, *host, *user, *password; } cases[] = {
        { "", "a", NULL, NULL },
        { "machine a login u password p", "a", "u", "p" },
        { "machine a login u password p\n", "b", NULL, NULL },
        { "machine A\n\tlogin u\n\tpassword p\n", "a", "u", "p" },
        { "machine a password p user u", "a", "u", "p" },
        { "machine a account n password p", "a", "n", "p" },
        { "machine a login u account n password p", "a", "u", "p" },
        { "machine a login u", "a", "u", "" },
        { "machine a", "a", NULL, NULL },
        { "default login d password q", "a", "d", "q" },
        { "default login d password q machine a login u password p", "a", "u", "p" },
        { "machine a login u password p default login d password q", "a", "u", "p" },
        { "machine a login u password p\nmachine a login v", "a", "v", "" },
        { "machine b login u password p machine a login v password q machine c login w password r", "a", "v", "q" },
        { "# said\nmachine a # so\n login u #password x\n password #p\n", "a", "u", "#p" },
        { "#said\n#\nmachine a login u password p", "a", "u", "p" },
        { "machine a login \"u v\" password \"p\\\"q\"", "a", "u v", "p\"q" },
        { "machine a login u\\ v password p\\\\", "a", "u v", "p\\" },
        { "machine a login u\"v password \"\"", "a", "u\"v", "" },
        { "machine \"a\"login u password p", "a", "u", "p" },
        { "macdef m\nmachine a login x\nput it\n\nmachine a login u password p", "a", "u", "p" },
        { "machine a login u password p\nmacdef m\nquit", "a", "u", "p" },
        { "macdef m\r\nx y\r\n\r\nmachine a login u password p\r\n", "a", "u", "p" },
        { "macdef\n\nm\nput it\n\nmachine a login u password p", "a", "u", "p" },
        { "machine a login", "a", NULL, NULL },
        { "machine a logi u password p", "a", NULL, NULL },
        { "machine a logins u password p", "a", NULL, NULL },
        { "machine a login u pass p", "a", NULL, NULL },
        { "machine", "a", NULL, NULL },
        { "machine a login u password p nonsense", "a", NULL, NULL },
        { "login u password p", "a", NULL, NULL },
        { "login u password p machine a login v password q", "a", NULL, NULL },
        { "machine a login u password \"p", "a", "u", "p" },
        { "machine a login u password p\\", "a", "u", "p\\" },
        { "machine a login u password p # said", "a", "u", "p" }, { "#", "a", NULL, NULL },
        { "machine a login u password p \"\" default", "a", NULL, NULL },
        { "machine a login u password p\nmacdef m\nx\n\nlogin v", "a", NULL, NULL },
        { "machine a login u password p\nmacdef m\nx\n\nmachine a login v", "a", "v", "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char user[50] = "", password[50] = "", *text = at_the_edge(cases[i].text, strlen(cases[i].text));
        aio_text u, p;
        bool found = aio__netrc_find(text, strlen(cases[i].text), aio__text(cases[i].host, strlen(cases[i].host)), &u,
                                     &p);
        if (!CHECK_INT(found, cases[i].user != NULL)) printf("# case %d\n", (int)i);
        if (!found || !cases[i].user) continue;
        snprintf(user, sizeof user, "%.*s", (int)u.length, u.data);
        snprintf(password, sizeof password, "%.*s", (int)p.length, p.data);
        CHECK_STR(user, cases[i].user);
        CHECK_STR(password, cases[i].password);
    }
}

/* Both are looked at for each request anew. */
struct proxy_trust { HTTP_SELF; char file[64]; };
static void proxy_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!CHECK(file != NULL)) return;
    fputs(text, file);
    fclose(file);
}
SCENARIO(proxy_trust, PROXY_HTTP_MAY)
{
    AIO_BEGIN(proxy_trust);
    RELAY_BEGIN();
    AIO_AWAIT(self->echo, aio_start_server(mirror_handler, NULL, "127.0.0.1", 0));
    snprintf(self->file, sizeof self->file, "/tmp/aio-netrc-%ld", (long)getpid());
    proxy_write(self->file, "machine 127.0.0.1 login u password pw\n");
    setenv("NETRC", self->file, 1);
    proxy_environment(NULL);
    self->session = aio_session_open(.trust_env = true);
    REQUIRE(self->session);
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/x", aio_server_port(self->echo));
    GET(.url = self->url);
    GOT("GET /x");
    GOT("\r\nAuthorization: Basic dTpwdw==\r\n");
    proxy_write(self->file, "wrong");
    setenv("http_proxy", proxy_text(self->proxy, "socks4://@", self->relay), 1);
    GET(.url = self->url);
    GOT_NOT("Authorization");
    CHECK_STR(relay_is.log, "4 127.0.0.1");
    CHECK(!self->got->reused);
    setenv("no_proxy", "127.0.0.1", 1);
    GET(.url = self->url);
    CHECK(self->got->reused);
    AIO_FINALLY;
        proxy_environment(NULL);
        unsetenv("NETRC");
        unlink(self->file);
        HTTP_END();
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}
