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
        { "a, ftp://b", 0, AIO_EURL, NULL },
    };
    char text[700];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        aio__proxies *proxies;
        const char *reason;
        CHECK_INT(aio__proxies_parse(&proxies, cases[i].list, &reason), cases[i].code);
        CHECK_INT(proxies ? proxies->count : 0, cases[i].count);
        *text = 0;
        for (int k = 0; proxies && k < proxies->count; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d:%s:%d", k ? " " : "", proxies->at[k].kind,
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
    { "socks4://p", "1.2.3.4", WORDS("\4\x5a"), NULL, 0, AIO_EPROXY, "the reply is not of SOCKS4: its version is 4" },
    { "socks4://p", "1.2.3.4", WORDS("\0\x5a" "12345"), NULL, 0, AIO__MORE, NULL },
    { "socks5://p", "1.2.3.4", WORDS("\5\0\5\0\0\1" "123456"), WORDS("\5\1\0\5\1\0\1\1\2\3\4\0\x50"), 0, NULL },
    { "socks5h://p", "a.test", WORDS("\5\0\5\0\0\3\3" "abc12"), WORDS("\5\1\0\5\1\0\3\6a.test\0\x50"), 0, NULL },
    { "socks5h://p", "::1", WORDS("\5\0\5\0\0\4" "1234567890123456" "12"),
      WORDS("\5\1\0\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\x50"), 0, NULL },
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
    { "socks5h://p", "a", WORDS("\5\0\5\0\0\2\0"), NULL, 0, AIO_EPROXY, "the reply has an address of the unknown type 2" },
    { "socks5h://p", "a", WORDS("\5\0\5\0\0\1" "12345"), NULL, 0, AIO__MORE, NULL },
    { "http://p", "a.test", WORDS(HTTP_200), WORDS("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n"), 0, NULL },
    { "http://p", "::1", WORDS("HTTP/1.0 200\r\nContent-Length: 7\r\n\r\n"),
      WORDS("CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), 0, NULL },
    { "http://u:pw@p", "a", WORDS("HTTP/1.1 103 Soon\r\n\r\n" HTTP_200),
      WORDS("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nProxy-Authorization: Basic dTpwdw==\r\n\r\n"), 0, NULL },
    { "http://Aladdin:open%20sesame@p", "a", WORDS(HTTP_200), WORDS("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n"
      "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"), 0, NULL },
    { "http://p", "a", WORDS("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\n"), NULL, 0,
      AIO_EPROXY, "407 Proxy Authentication Required" },
    { "http://p", "a", WORDS("HTTP/1.1 101 Switched\r\n\r\n"), NULL, 0, AIO_EPROXY, "101 Switched" },
    { "http://p", "a", WORDS("\5\xff"), NULL, 0, AIO_EPROXY, "the answer does not begin with an HTTP status line" },
    { "http://p", "a\r\nX: y", NULL, 0, NULL, 0, AIO_EPROXY, "the host has a character that no host has" },
    { "http://p", "", WORDS("HTTP/1.1 2"), NULL, 0, AIO__MORE, NULL },
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
    for (size_t at = 0, end = step; !code; end += step) {
        size_t used = 0;
        if (end > c->replies_length) end = c->replies_length;
        CHECK(aio__buffer_append(sent, hop.out.data, hop.out.end));
        hop.out.end = 0;
        code = aio__hop_feed(&hop, c->replies + at, end - at, &used);
        at += used;
        if (!code) CHECK_INT(at, c->replies_length);
        if (code != AIO__MORE || (end == c->replies_length && !used)) break;
        code = 0;
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
        if (aio_caught(self)->code == AIO_ECANCELLED || aio_caught(self)->code == ENOMEM) AIO_RERAISE();
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
        if (aio_caught(self)->code == AIO_ECANCELLED || touched()) AIO_RERAISE();
        AIO_RETURN(); /* the client has gone */
    } AIO_END_TRY;
    if (self->kind == 4) aio_stream_write(self->stream, "\0\x5a" "123456", 8);
    else if (self->kind == 5) aio_stream_write(self->stream, "\5\0\0\1" "123456", 10);
    else aio_stream_write(self->stream, HTTP_200, sizeof HTTP_200 - 1);
    if (relay_is.after) aio_stream_write(self->stream, relay_is.after, strlen(relay_is.after));
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
    AIO_EDISCONNECTED }
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

/* Says hello to the server `host` through proxies. */
struct hello { aio_task task; const char *proxy, *host; int port; aio_stream *stream; aio_text text; };
static AIO_CORO(hello)
{
    AIO_BEGIN(hello);
    AIO_TIMEOUT(100) {
        AIO_AWAIT(self->stream, aio_open_connection(self->host, self->port, .proxy = self->proxy));
        REQUIRE(aio_stream_write(self->stream, "hello", 5) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 5));
        CHECK_BYTES(self->text.data, self->text.length, "hello");
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
    AIO_END;
}
#define THROUGH(server_host, text, expected)                                                                        \
    do {                                                                                                            \
        relay_is.log[0] = 0;                                                                                        \
        AIO_AWAIT(AIO_CALL(hello, .proxy = proxy_text(self->proxy, text, self->relay), .host = server_host,          \
                           .port = aio_server_port(self->echo)));                                                   \
        CHECK_STR(relay_is.log, expected);                                                                          \
    } while (0)

struct proxy_socks4 { PROXY_SELF; };
SCENARIO(proxy_socks4, PROXY_MAY)
{
    AIO_BEGIN(proxy_socks4);
    RELAY_BEGIN();
    ECHO_BEGIN();
    THROUGH("localhost", "socks4://me^@", "4 127.0.0.1, as me");
    THROUGH("a.test", "socks4a://@", "4a a.test");
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

struct proxy_socks5 { PROXY_SELF; };
SCENARIO(proxy_socks5, PROXY_MAY)
{
    AIO_BEGIN(proxy_socks5);
    RELAY_BEGIN();
    ECHO_BEGIN();
    THROUGH("127.0.0.1", "socks5://@", "5 127.0.0.1");
    relay_is.user = "u:pw";
    THROUGH("a.test", "socks5h://u:pw^@", "5h a.test, as u:pw");
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

struct proxy_connect { PROXY_SELF; };
SCENARIO(proxy_connect, PROXY_MAY)
{
    AIO_BEGIN(proxy_connect);
    RELAY_BEGIN();
    ECHO_BEGIN();
    THROUGH("a.test", "@", "CONNECT a.test");
    THROUGH("a.test", "http://u:pw^@/", "CONNECT a.test, as dTpwdw==");
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}

struct proxy_chain { PROXY_SELF; };
SCENARIO(proxy_chain, PROXY_MAY)
{
    AIO_BEGIN(proxy_chain);
    RELAY_BEGIN();
    ECHO_BEGIN();
    THROUGH("a.test", "socks5h://@,http://@", "5 127.0.0.1, CONNECT a.test");
    THROUGH("a.test", "@ socks4a://@ socks5h://@", "CONNECT 127.0.0.1, 4 127.0.0.1, 5h a.test");
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->relay);
        SERVER_END(self->echo);
    AIO_END;
}
