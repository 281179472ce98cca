/* URLs: parsing, normal form, joining, encoding. Inputs lie at the edge, so that a byte read beyond is a crash. */
#include <ctype.h>

/* Where two are needed at a time: a block of their exact size, for the address sanitizer. */
static char *url_exact(const char *text, size_t n)
{
    char *copy = (char *)malloc(n ? n : 1);
    if (copy && n) memcpy(copy, text, n);
    return copy;
}

static int url_parse_exact(aio_url *url, const char *text, const char **reason)
{
    size_t n = strlen(text);
    return aio_url_parse(url, at_the_edge(text, n), n, reason);
}

static void url_check_part(aio_text part, const char *expected)
{
    if (!expected) CHECK(part.data == NULL);
    else CHECK(part.data != NULL);
    CHECK_BYTES(part.data, part.length, expected ? expected : "");
}

TEST(url_parts)
{
    static const struct { const char *in, *scheme, *user, *password, *host, *authority, *path, *query,
                          *fragment; int port; } rows[] = {
        { "http://a.test", "http", NULL, NULL, "a.test", "a.test", "/", NULL, NULL, 80 },
        { "https://a.test/x/y?q=1#f", "https", NULL, NULL, "a.test", "a.test", "/x/y", "q=1", "f", 443 },
        { "HTTP://A.Test:8080/X", "http", NULL, NULL, "a.test", "a.test:8080", "/X", NULL, NULL, 8080 },
        { "http://u:p@h/", "http", "u", "p", "h", "h", "/", NULL, NULL, 80 },
        { "http://u@h/", "http", "u", NULL, "h", "h", "/", NULL, NULL, 80 },
        { "http://u:@h/", "http", "u", "", "h", "h", "/", NULL, NULL, 80 },
        { "http://@h/", "http", "", NULL, "h", "h", "/", NULL, NULL, 80 },
        { "http://a%40b:c%3Ad%2f@h/", "http", "a@b", "c:d/", "h", "h", "/", NULL, NULL, 80 },
        { "http://me@work:x:y@h/", "http", "me@work", "x:y", "h", "h", "/", NULL, NULL, 80 },
        { "http://[::1]/", "http", NULL, NULL, "::1", "[::1]", "/", NULL, NULL, 80 },
        { "http://u@[2001:DB8:0:0::1]:81?q", "http", "u", NULL, "2001:db8::1", "[2001:db8::1]:81", "/", "q", NULL, 81 },
        { "http://[fe80::1%25eth0]:1/", "http", NULL, NULL, "fe80::1%eth0", "[fe80::1%25eth0]:1", "/", NULL, NULL, 1 },
        { "http://[fe80::1%7]/", "http", NULL, NULL, "fe80::1%7", "[fe80::1%257]", "/", NULL, NULL, 80 },
        { "http://[fe80::1%2512]/", "http", NULL, NULL, "fe80::1%12", "[fe80::1%2512]", "/", NULL, NULL, 80 },
        { "http://[fe80::1%eth0]/", "http", NULL, NULL, "fe80::1%eth0", "[fe80::1%25eth0]", "/", NULL, NULL, 80 },
        { "http://127.0.0.1:65535/?", "http", NULL, NULL, "127.0.0.1", "127.0.0.1:65535", "/", "", NULL, 65535 },
        { "http://h:/#", "http", NULL, NULL, "h", "h", "/", NULL, "", 80 },
        { "http://h:00080/", "http", NULL, NULL, "h", "h", "/", NULL, NULL, 80 },
        { "wss://h/s", "wss", NULL, NULL, "h", "h", "/s", NULL, NULL, 443 },
        { "ws://h:443/s", "ws", NULL, NULL, "h", "h:443", "/s", NULL, NULL, 443 },
        { "socks5h://u:p@h", "socks5h", "u", "p", "h", "h", "/", NULL, NULL, 1080 },
        { "mailto:a@b.test", "mailto", NULL, NULL, NULL, NULL, "a@b.test", NULL, NULL, 0 },
        { "file:///etc/passwd", "file", NULL, NULL, NULL, "", "/etc/passwd", NULL, NULL, 0 },
        { "data:text/plain,a b", "data", NULL, NULL, NULL, NULL, "text/plain,a%20b", NULL, NULL, 0 },
        { "urn:isbn:0451450523", "urn", NULL, NULL, NULL, NULL, "isbn:0451450523", NULL, NULL, 0 },
        { "a+b-c.1:x", "a+b-c.1", NULL, NULL, NULL, NULL, "x", NULL, NULL, 0 },
        { "x:a/b", "x", NULL, NULL, NULL, NULL, "a/b", NULL, NULL, 0 },
        { "x:/", "x", NULL, NULL, NULL, NULL, "/", NULL, NULL, 0 },
        { "http://[fe80::1%x5]/", "http", NULL, NULL, "fe80::1%x5", "[fe80::1%25x5]", "/", NULL, NULL, 80 },
        { "http://[fe80::1%2x]/", "http", NULL, NULL, "fe80::1%2x", "[fe80::1%252x]", "/", NULL, NULL, 80 },
        { "http://[fe80::1%2]/", "http", NULL, NULL, "fe80::1%2", "[fe80::1%252]", "/", NULL, NULL, 80 },
        { "http://[::1%g1234567890123456789012345678901]/", "http", NULL, NULL, "::1%g1234567890123456789012345678901",
          "[::1%25g1234567890123456789012345678901]", "/", NULL, NULL, 80 },
        { "http://h?a/b?c#d#e", "http", NULL, NULL, "h", "h", "/", "a/b?c", "d%23e", 80 },
        { "http://h#a?b", "http", NULL, NULL, "h", "h", "/", NULL, "a?b", 80 },
        { "http://h.test./", "http", NULL, NULL, "h.test.", "h.test.", "/", NULL, NULL, 80 },
        { "http://a_b.test/", "http", NULL, NULL, "a_b.test", "a_b.test", "/", NULL, NULL, 80 },
        { "http://xn--bcher-kva.test/", "http", NULL, NULL, "xn--bcher-kva.test", "xn--bcher-kva.test", "/", NULL, NULL,
          80 },
        { "http://1.2.3.4.test/", "http", NULL, NULL, "1.2.3.4.test", "1.2.3.4.test", "/", NULL, NULL, 80 },
        { "http://0x7f.test/", "http", NULL, NULL, "0x7f.test", "0x7f.test", "/", NULL, NULL, 80 },
        { "http://a.test:80/", "http", NULL, NULL, "a.test", "a.test", "/", NULL, NULL, 80 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_url url;
        const char *reason = "";
        CHECK_INT(url_parse_exact(&url, rows[i].in, &reason), 0);
        CHECK_STR(reason, "");
        url_check_part(url.scheme, rows[i].scheme);
        url_check_part(url.user, rows[i].user);
        url_check_part(url.password, rows[i].password);
        url_check_part(url.host, rows[i].host);
        url_check_part(url.authority, rows[i].authority);
        url_check_part(url.path, rows[i].path);
        url_check_part(url.query, rows[i].query);
        url_check_part(url.fragment, rows[i].fragment);
        CHECK_INT(url.port, rows[i].port);
        CHECK(url.text.data[url.text.length] == '\0');
        if (url.host.data) CHECK_STR(url.host.data, rows[i].host);
        if (url.user.data) CHECK_STR(url.user.data, rows[i].user);
        if (url.password.data) CHECK_STR(url.password.data, rows[i].password);
        aio_url_clear(&url);
        CHECK(url.block == NULL);
    }
}

TEST(url_kinds)
{
    static const struct { const char *in; bool tls, http, ipv4, ipv6; } rows[] = {
        { "http://a/", false, true, false, false },    { "https://1.2.3.4/", true, true, true, false },
        { "ws://[::1]/", false, true, false, true },   { "wss://a/", true, true, false, false },
        { "ftp://a/", false, false, false, false },    { "httpsx://a/", false, false, false, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_url url;
        CHECK_INT(url_parse_exact(&url, rows[i].in, NULL), 0);
        CHECK_INT(url.is_tls, rows[i].tls);
        CHECK_INT(url.is_http, rows[i].http);
        CHECK_INT(url.is_ipv4, rows[i].ipv4);
        CHECK_INT(url.is_ipv6, rows[i].ipv6);
        aio_url_clear(&url);
    }
}

TEST(url_normal_form)
{
    static const struct { const char *in, *text, *target; } rows[] = {
        { "http://a.test", "http://a.test/", "/" },
        { "  http://a.test/x", "http://a.test/x", "/x" },
        { "http://a.test/a b?c d#e f", "http://a.test/a%20b?c+d#e%20f", "/a%20b?c+d" },
        { "http://a.test/%41%2f%2F%e9%7E?%41%2b%3D%26%20", "http://a.test/A%2F%2F%E9~?A%2B%3D%26%20",
          "/A%2F%2F%E9~?A%2B%3D%26%20" },
        { "http://a.test/100%", "http://a.test/100%25", "/100%25" },
        { "http://a.test/%", "http://a.test/%25", "/%25" },
        { "http://a.test/%4", "http://a.test/%254", "/%254" },
        { "http://a.test/%zz?%g1", "http://a.test/%25zz?%25g1", "/%25zz?%25g1" },
        { "http://a.test/\xc3\xa9?\xc3\xa9#\xc3\xa9", "http://a.test/%C3%A9?%C3%A9#%C3%A9", "/%C3%A9?%C3%A9" },
        { "http://a.test/<>\"{}|\\^`[]", "http://a.test/%3C%3E%22%7B%7D%7C%5C%5E%60%5B%5D",
          "/%3C%3E%22%7B%7D%7C%5C%5E%60%5B%5D" },
        { "http://a.test/!$&'()*+,;=:@-._~", "http://a.test/!$&'()*+,;=:@-._~", "/!$&'()*+,;=:@-._~" },
        { "http://a.test/?a=1&b=%20/?:@", "http://a.test/?a=1&b=%20/?:@", "/?a=1&b=%20/?:@" },
        { "http://a.test/a/./b/../c/", "http://a.test/a/c/", "/a/c/" },
        { "http://a.test/../../x", "http://a.test/x", "/x" },
        { "http://a.test/a/..", "http://a.test/", "/" },
        { "http://a.test/a/.", "http://a.test/a/", "/a/" },
        { "http://a.test/%2e%2E/b", "http://a.test/b", "/b" },
        { "http://a.test//x//..//y", "http://a.test//x//y", "//x//y" },
        { "http://a.test/a?../b", "http://a.test/a?../b", "/a?../b" },
        { "HTTPS://U%41:p%2f@A.TEST:443", "https://UA:p%2F@a.test/", "/" },
        { "http://me@work:x@h/", "http://me%40work:x@h/", "/" },
        { "http://a.test:0443/", "http://a.test:443/", "/" },
        { "mailto:A@b", "mailto:A@b", "A@b" },
        { "x:/a/../b", "x:/b", "/b" },
        { "x:a/../b", "x:a/../b", "a/../b" },
        { "file:///a", "file:///a", "/a" },
        { "http://[::ffff:1.2.3.4]/", "http://[::ffff:1.2.3.4]/", "/" },
        { "http://[0:0:0:0:0:0:0:0]/", "http://[::]/", "/" },
        { "http://[1:0:0:2:0:0:0:3]/", "http://[1:0:0:2::3]/", "/" },
        { "http://[1:0:2:3:4:5:6:7]/", "http://[1:0:2:3:4:5:6:7]/", "/" },
        { "http://[1:2:3:4:5:6:7::]/", "http://[1:2:3:4:5:6:7:0]/", "/" },
        { "http://[::2:3:4:5:6:7:8]/", "http://[0:2:3:4:5:6:7:8]/", "/" },
        { "http://[00AB::1:0]/", "http://[ab::1:0]/", "/" },
        { "http://[64:ff9b::192.0.2.33]/", "http://[64:ff9b::c000:221]/", "/" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_url url, again;
        CHECK_INT(url_parse_exact(&url, rows[i].in, NULL), 0);
        CHECK_STR(url.text.data, rows[i].text);
        CHECK_BYTES(url.target.data, url.target.length, rows[i].target);
        CHECK_INT(url_parse_exact(&again, url.text.data, NULL), 0);
        CHECK_STR(again.text.data, rows[i].text);
        aio_url_clear(&url);
        aio_url_clear(&again);
    }
}

TEST(url_refused)
{
    static const char encoded[] = "the host in brackets has an encoded byte";
    static const char numeric[] = "the host looks like a number but is not an IPv4 address in four decimal parts";
    static const char control[] = "the URL has a control character", none[] = "the host is empty";
    static const char odd[] = "the host has a character that no host has";
    static const char scheme[] = "the URL has no scheme (http://...)";
    static const char brackets[] = "the host in brackets is not an IPv6 address";
    static const char nan_port[] = "the port is not a number";
    static const char puny[] = "the host is not ASCII: write it in punycode (xn--...)";
    static const char label[] = "the host has an empty label";
    static const struct { const char *in, *reason; } rows[] = {
        { "", scheme }, { "   ", scheme }, { "a.test/x", scheme }, { "/x", scheme },
        { "//a/x", scheme },
        { "://a", scheme }, { "1http://a", scheme }, { "?q", scheme }, { "#f", scheme }, { "ht tp://a/", scheme },
        { "http:", "the URL has no host" }, { "http:a", "the URL has no host" }, { "https:/a", "the URL has no host" },
        { "http://", none }, { "http:///x", none }, { "http://:80/", none }, { "http://u@/", none },
        { "http://u:p@:1/", none },
        { "http://?q", none }, { "http://./", none }, { "http://../", label }, { "http://a..b/", label },
        { "http://.a/", label },
        { "x://u@/p", none }, { "x://:1/p", none },
        { "http://a b/", odd }, { "http://a%20b/", odd }, { "http://a%00/", odd }, { "http://a!/", odd },
        { "http://a,b/", odd },
        { "http://<a>/", odd }, { "http://a\"b/", odd }, { "http://a]/", odd }, { "http://a~/", odd },
        { "http://%61.test/", odd },
        { "http://b\xc3\xbc" "cher.test/", puny }, { "http://\x80/", puny }, { "http://\xef\xbc\x91.test/", puny },
        { "http://good.test\\@evil.test/", "the host part has a backslash" },
        { "http://a\\b/", "the host part has a backslash" },
        { "http://a:b/", nan_port }, { "http://a:-1/", nan_port }, { "http://a:+1/", nan_port },
        { "http://a:1 /", nan_port },
        { "http://a:80:80/", nan_port }, { "http://::1/", none }, { "http://a:0x50/", nan_port },
        { "http://a:0/", "the port is 0" }, { "http://a:65536/", "the port is above 65535" },
        { "http://a:99999999999999999999/", "the port is above 65535" },
        { "http://127.1/", numeric }, { "http://2130706433/", numeric }, { "http://0x7f.1/", numeric },
        { "http://0x7f000001/", numeric },
        { "http://0177.0.0.1/", numeric }, { "http://1.2.3/", numeric }, { "http://1.2.3.4.5/", numeric },
        { "http://1.2.3.256/", numeric },
        { "http://01.2.3.4/", numeric }, { "http://1.2.3.4./", numeric }, { "http://a.1/", numeric },
        { "http://a.0x1f/", numeric },
        { "http://0/", numeric }, { "http://1./", numeric },
        { "http://[::1/", "the host has '[' without ']'" }, { "http://[]/", brackets }, { "http://[:]/", brackets },
        { "http://[:::]/", brackets }, { "http://[1]/", brackets }, { "http://[1:2:3:4:5:6:7:8:9]/", brackets },
        { "http://[1:2:3:4:5:6:7:8::]/", brackets }, { "http://[::1::]/", brackets }, { "http://[12345::]/", brackets },
        { "http://[::g]/", brackets }, { "http://[::1.2.3]/", brackets }, { "http://[::1.2.3.4.5]/", brackets },
        { "http://[1.2.3.4::]/", brackets }, { "http://[1:2:3:4:5:6:7:1.2.3.4]/", brackets },
        { "http://[v1.a]/", brackets },
        { "http://[1:2:3:4:5:6:7:]/", brackets }, { "http://[:1:2:3:4:5:6:7]/", brackets },
        { "http://[::01.2.3.4]/", brackets },
        { "http://[a.test]/", brackets }, { "http://[1]x/", brackets }, { "http://[%eth0]/", brackets },
        { "http://[::1]x/", "the host in brackets is followed by something else than a port" },
        { "http://[::1%]/", "the IPv6 zone is empty or longer than 32 bytes" },
        { "http://[::%31]/", encoded }, { "http://[::1%41]/", encoded }, { "http://[::1%0a0]:1/", encoded },
        { "http://[::1%AB]/", encoded }, { "http://[::1%25]/", "the IPv6 zone is empty or longer than 32 bytes" },
        { "http://[::1%g12345678901234567890123456789012]/", "the IPv6 zone is empty or longer than 32 bytes" },
        { "http://[::1%25012345678901234567890123456789012]/", "the IPv6 zone is empty or longer than 32 bytes" },
        { "http://[::1%25a/b]/", "the host has '[' without ']'" },
        { "http://[::1%a!]/", "the IPv6 zone has a character that no zone has" },
        { "http://a/\r\nX: y", control }, { "http://a/\tb", control }, { "http://a\n/", control },
        { "http://a/\x7f", control },
        { "\x01http://a/", control }, { "http://a/?\x1f", control }, { "http://a/#\x0b", control },
        { "http://u%00:p@a/", "the user info has a control character" },
        { "http://u:p%0d%0a@a/", "the user info has a control character" },
        { "x:////a", NULL }, { "x:/.//a", "the path begins with '//' and there is no host" },
        { "x:/.//", "the path begins with '//' and there is no host" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_url url;
        const char *reason = "";
        int code = url_parse_exact(&url, rows[i].in, &reason);
        CHECK_INT(code, rows[i].reason ? AIO_EURL : 0);
        CHECK_STR(reason, rows[i].reason ? rows[i].reason : "");
        if (rows[i].reason) CHECK(url.block == NULL);
        aio_url_clear(&url);
    }
}

TEST(url_zero_byte_and_null)
{
    aio_url url;
    const char *reason = NULL;
    CHECK_INT(aio_url_parse(&url, "http://a/\0b", 11, &reason), AIO_EURL);
    CHECK_STR(reason, "the URL has a control character");
    CHECK_INT(aio_url_parse(&url, NULL, 0, &reason), AIO_EURL);
    CHECK_STR(reason, "the URL is NULL");
    CHECK_INT(aio_url_parse(&url, "http://", 7, NULL), AIO_EURL);
}

TEST(url_limits)
{
    static const struct { size_t label, labels, more; const char *reason; } hosts[] = {
        { 63, 1, 0, NULL }, { 64, 1, 0, "the host has a label longer than 63 bytes" }, { 49, 5, 0, NULL },
        { 50, 5, 0, "the host is longer than 253 bytes" }, { 63, 100, 0, "the host is longer than 253 bytes" },
        { 62, 4, 1, NULL }, { 62, 4, 2, "the host is longer than 253 bytes" },
    };
    size_t size = AIO_URL_MAX + 2;
    char *text = (char *)malloc(size + 1);
    aio_url url;
    const char *reason = "";
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t n = 7;
        memcpy(text, "http://", 7);
        for (size_t k = 0; k < hosts[i].labels; k++) {
            memset(text + n, 'a', hosts[i].label);
            n += hosts[i].label;
            text[n++] = '.';
        }
        if (hosts[i].more) memset(text + n, 'a', hosts[i].more);
        n += hosts[i].more ? hosts[i].more + 1 : 0;
        reason = "";
        CHECK_INT(aio_url_parse(&url, text, n - 1, &reason), hosts[i].reason ? AIO_EURL : 0);
        CHECK_STR(reason, hosts[i].reason ? hosts[i].reason : "");
        aio_url_clear(&url);
    }
    memset(text, 'a', size);
    memcpy(text, "http://h/", 9);
    CHECK_INT(aio_url_parse(&url, text, AIO_URL_MAX, NULL), 0);
    CHECK_INT(url.text.length, AIO_URL_MAX);
    aio_url_clear(&url);
    CHECK_INT(aio_url_parse(&url, text, AIO_URL_MAX + 1, &reason), AIO_EURL);
    CHECK_STR(reason, "the URL is longer than 65536 bytes");
    memset(text + 9, '|', size - 9);
    CHECK_INT(aio_url_parse(&url, text, AIO_URL_MAX / 2, &reason), AIO_EURL);
    CHECK_STR(reason, "the URL is longer than 65536 bytes");
    free(text);
}

static void url_check_join(const char *base_text, const char *reference, const char *expected)
{
    aio_url base, url;
    size_t n = strlen(reference);
    CHECK_INT(url_parse_exact(&base, base_text, NULL), 0);
    CHECK_INT(aio_url_join(&url, &base, at_the_edge(reference, n), n, NULL), 0);
    CHECK_STR(url.text.data, expected);
    aio_url_clear(&base);
    aio_url_clear(&url);
}

TEST(url_join_rfc3986_examples)
{
    static const char *const rows[][2] = {
        { "g:h", "g:h" }, { "g", "http://a/b/c/g" }, { "./g", "http://a/b/c/g" }, { "g/", "http://a/b/c/g/" },
        { "/g", "http://a/g" }, { "/", "http://a/" },
        { "//g", "http://g/" }, { "?y", "http://a/b/c/d;p?y" }, { "g?y", "http://a/b/c/g?y" },
        { "#s", "http://a/b/c/d;p?q#s" },
        { "g#s", "http://a/b/c/g#s" }, { "g?y#s", "http://a/b/c/g?y#s" }, { ";x", "http://a/b/c/;x" },
        { "g;x", "http://a/b/c/g;x" },
        { "g;x?y#s", "http://a/b/c/g;x?y#s" }, { "", "http://a/b/c/d;p?q" }, { ".", "http://a/b/c/" },
        { "./", "http://a/b/c/" },
        { "..", "http://a/b/" }, { "../", "http://a/b/" }, { "../g", "http://a/b/g" }, { "../..", "http://a/" },
        { "../../", "http://a/" }, { "../../g", "http://a/g" }, { "../../../g", "http://a/g" },
        { "../../../../g", "http://a/g" },
        { "/./g", "http://a/g" }, { "/../g", "http://a/g" }, { "g.", "http://a/b/c/g." }, { ".g", "http://a/b/c/.g" },
        { "g..", "http://a/b/c/g.." }, { "..g", "http://a/b/c/..g" }, { "./../g", "http://a/b/g" },
        { "./g/.", "http://a/b/c/g/" },
        { "g/./h", "http://a/b/c/g/h" }, { "g/../h", "http://a/b/c/h" }, { "g;x=1/./y", "http://a/b/c/g;x=1/y" },
        { "g;x=1/../y", "http://a/b/c/y" }, { "g?y/./x", "http://a/b/c/g?y/./x" },
        { "g?y/../x", "http://a/b/c/g?y/../x" },
        { "g#s/./x", "http://a/b/c/g#s/./x" }, { "g#s/../x", "http://a/b/c/g#s/../x" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) url_check_join("http://a/b/c/d;p?q", rows[i][0],
                                                                           rows[i][1]);
}

TEST(url_join_keeps_and_drops)
{
    url_check_join("http://u:p%40@h:81/a?q#f", "b", "http://u:p%40@h:81/b");
    url_check_join("http://u:p@h/a?q#f", "//other/b", "http://other/b");
    url_check_join("http://u:p@h/a?q#f", "https://other", "https://other/");
    url_check_join("http://h/a?q#f", "", "http://h/a?q");
    url_check_join("http://h", "x y", "http://h/x%20y");
    url_check_join("http://[::1]:8/a/", "b", "http://[::1]:8/a/b");
    url_check_join("http://h/a%2Fb/c", "d", "http://h/a%2Fb/d");
    url_check_join("http://h/a", "?", "http://h/a?");
    url_check_join("http://h/a/b", "./c:d", "http://h/a/c:d");
    url_check_join("x:a", "b", "x:b");
}

TEST(url_join_refused)
{
    aio_url base, none, url;
    const char *reason = "";
    memset(&none, 0, sizeof none);
    CHECK_INT(aio_url_parse(&base, "http://h/", 9, NULL), 0);
    CHECK_INT(aio_url_join(&url, &base, "//", 2, &reason), AIO_EURL);
    CHECK_STR(reason, "the host is empty");
    CHECK_INT(aio_url_join(&url, &base, "http:g", 6, &reason), AIO_EURL);
    CHECK_STR(reason, "the URL has no host");
    CHECK_INT(aio_url_join(&url, &base, "a\nb", 3, &reason), AIO_EURL);
    CHECK_STR(reason, "the URL has a control character");
    for (int repair = 0; repair < 2; repair++) {
        reason = "";
        CHECK_INT(aio_url_join(&url, &none, "a", 1, &reason, .repair = repair == 1), AIO_EURL);
        CHECK_STR(reason, "the base URL is empty");
    }
    CHECK_INT(aio_url_join(&url, &base, NULL, 0, &reason), AIO_EURL);
    CHECK(url.block == NULL);
    aio_url_clear(&base);
}

/* Path, query and fragment of an encoded URL are bytes that stay; what is refused says where. */
TEST(url_encoded)
{
    static const struct { const char *in, *text, *target; int offset; } rows[] = {
        { "http://a.test/%7e%2f%e9/x?sig=%2b+a~%41&%zz%", "http://a.test/%7e%2f%e9/x?sig=%2b+a~%41&%zz%",
          "/%7e%2f%e9/x?sig=%2b+a~%41&%zz%", -1 },
        { "HTTP://A.test:80/a/./b/../c//?q", "http://a.test/a/./b/../c//?q", "/a/./b/../c//?q", -1 },
        { "http://h?\"<>\\^`{|}'[]", "http://h/?\"<>\\^`{|}'[]", "/?\"<>\\^`{|}'[]", -1 },
        { "http://u:p%7e@h/#%7e", "http://u:p~@h/#%7e", "/", -1 },
        { "http://h/a#b#c", "http://h/a#b#c", "/a", -1 },
        { "x:/a/../b", "x:/a/../b", "/a/../b", -1 },
        { " http://h/", NULL, NULL, 0 }, { "http://h/a b", NULL, NULL, 10 }, { "http://h/?\xc3\xa9", NULL, NULL, 10 },
        { "http://h/\r\n", NULL, NULL, 9 }, { "http://h/#\x7f", NULL, NULL, 10 }, { "http://h/\x80", NULL, NULL, 9 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_url url;
        size_t offset = 1, n = strlen(rows[i].in);
        const char *reason = "";
        CHECK_INT(aio_url_parse(&url, at_the_edge(rows[i].in, n), n, &reason, .encoded = true, .offset = &offset),
                  rows[i].text ? 0 : AIO_EURL);
        CHECK_STR(reason, rows[i].text ? "" : "the URL has a byte that an encoded one cannot have");
        CHECK_INT(offset, rows[i].text ? SIZE_MAX : (size_t)rows[i].offset);
        if (rows[i].text) {
            CHECK_STR(url.text.data, rows[i].text);
            CHECK_BYTES(url.target.data, url.target.length, rows[i].target);
        }
        aio_url_clear(&url);
    }
}

static void url_check_join_with(const char *base_text, const char *reference, const char *expected,
                                const aio_url_options *how)
{
    aio_url base, url;
    size_t n = strlen(reference);
    CHECK_INT(aio_url_parse(&base, base_text, strlen(base_text), NULL, .encoded = true), 0);
    CHECK_INT(aio_url_join_with(&url, &base, at_the_edge(reference, n), n, NULL, how), expected ? 0 : AIO_EURL);
    if (expected) CHECK_STR(url.text.data, expected);
    aio_url_clear(&base);
    aio_url_clear(&url);
}

/* A base keeps its bytes whether it is joined with an encoded reference or another one. */
TEST(url_join_encoded)
{
    static const struct { const char *base, *reference, *encoded, *other; } rows[] = {
        { "http://h/%7e/a?%7e", "%7eb?%7e#%7e", "http://h/%7e/%7eb?%7e#%7e", "http://h/%7e/~b?~#~" },
        { "http://h/%7e/./a?%7e", "", "http://h/%7e/./a?%7e", "http://h/%7e/./a?%7e" },
        { "http://h/%7e/./a?%7e", "?x", "http://h/%7e/./a?x", "http://h/%7e/./a?x" },
        { "http://h/%7e/./a?%7e", "#x", "http://h/%7e/./a?%7e#x", "http://h/%7e/./a?%7e#x" },
        { "http://h/%7e/b/c", "../d", "http://h/%7e/d", "http://h/%7e/d" },
        { "http://h/%7e/b/c", "/e/../d", "http://h/e/../d", "http://h/d" },
        { "http://h/", "//i/e/../d", "http://i/e/../d", "http://i/d" },
        { "http://h/", "a b", NULL, "http://h/a%20b" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_url base, more;
        url_check_join_with(rows[i].base, rows[i].reference, rows[i].encoded, &(aio_url_options){ .encoded = true });
        url_check_join_with(rows[i].base, rows[i].reference, rows[i].other, NULL);
        CHECK_INT(aio_url_parse(&base, "http://h/%7e/../a?%7e#%7e", 25, NULL, .encoded = true), 0);
        CHECK_INT(aio_url_extend_query(&more, &base, "b=~", 3, NULL), 0);
        CHECK_STR(more.text.data, "http://h/%7e/../a?%7e&b=~#%7e");
        aio_url_clear(&base);
        aio_url_clear(&more);
    }
}

/* References of pages, as browsers read them (WHATWG's tests have these shapes). */
TEST(url_join_repairs)
{
    static const char *const rows[][3] = {
        { "http://h/a/b", " \t\x01 x y \n\x1f", "http://h/a/x%20y" }, { "http://h/a/b", "x\ty\r\nz", "http://h/a/xyz" },
        { "http://h/a/b", "ht\ntp://i/\tj", "http://i/j" }, { "http://h/a/b", "", "http://h/a/b" },
        { "http://h/a/b", "\\x\\..\\y", "http://h/y" }, { "http://h/a/b", "x\\y?\\z#\\", "http://h/a/x/y?%5Cz#%5C" },
        { "http://h/a/b", "\\\\i\\x", "http://i/x" }, { "http://h/a/b", "/\\i", "http://i/" },
        { "http://h/a/b", "///i/x", "http://i/x" }, { "http://h/a/b", "http:/x", "http://h/x" },
        { "http://h/a/b", "http:x", "http://h/a/x" }, { "http://h/a/b", "HTTP:c:d", "http://h/a/c:d" },
        { "http://h/a/b", "http:", "http://h/a/b" }, { "http://h/a/b", "https:i", "https://i/" },
        { "http://h/a/b", "https:\\\\\\i\\j", "https://i/j" }, { "http://h/a/b", "http:\\/i\\@j", "http://i/@j" },
        { "http://h/a/b", "http:?q", "http://h/a/b?q" }, { "http://h/a/b", "mailto:a\\b", "mailto:a%5Cb" },
        { "x://h/a/b", "c\\d", "x://h/a/c%5Cd" }, { "x://h/a/b", "http:c", "http://c/" },
        { "file:///a/b", "\\\\c", "file:///a/%5C%5Cc" },
        { "http://h/", "http:///", NULL }, { "http://h/", "a\x01" "b", NULL }, { "http://h/", "a\x7f", NULL },
    };
    aio_url base, url;
    const char *reason = "";
    size_t offset = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        url_check_join_with(rows[i][0], rows[i][1], rows[i][2], &(aio_url_options){ .repair = true });
    url_check_join_with("http://h/a/%7e", "\\%7e\\.. ", "http://h/%7e/..",
                        &(aio_url_options){ .repair = true, .encoded = true });
    CHECK_INT(aio_url_parse(&base, "http://h/", 9, NULL), 0);
    CHECK_INT(aio_url_join(&url, &base, " \na\t\x02", 5, &reason, .repair = true, .offset = &offset), 0);
    CHECK_INT(offset, SIZE_MAX);
    aio_url_clear(&url);
    CHECK_INT(aio_url_join(&url, &base, " \na\t\x02" "b", 6, &reason, .repair = true, .offset = &offset), AIO_EURL);
    CHECK_STR(reason, "the URL has a control character");
    CHECK_INT(offset, 4);
    CHECK_INT(aio_url_join(&url, &base, NULL, 0, &reason, .repair = true), AIO_EURL);
    CHECK_STR(reason, "the URL is NULL");
    memset(&url, 0xff, sizeof url);
    CHECK_INT(aio_url_parse(&url, "http://h/", 9, &reason, .repair = true), EINVAL);
    CHECK_STR(reason, "repair is for references, which are joined");
    CHECK(!url.block);
    aio_url_clear(&base);
}

/* What is not encoded may have spaces: they are not where a control character is. */
TEST(url_offset_of_a_control_character)
{
    aio_url url;
    size_t offset = 0;
    CHECK_INT(aio_url_parse(&url, "http://h/a b\x01", 13, NULL, .offset = &offset), AIO_EURL);
    CHECK_INT(offset, 12);
    CHECK_INT(aio_url_parse(&url, "http://h/a b\x7f", 13, NULL, .offset = &offset), AIO_EURL);
    CHECK_INT(offset, 12);
}

TEST(url_repair_reads_no_more)
{
    static const char *const rows[][2] = { { "", "" }, { "/", "/" }, { "http:", "" }, { "http:\\", "/" },
                                           { "https:", "https://" }, { "\\", "/" }, { "x", "x" } };
    char out[16];
    aio_url base;
    CHECK_INT(aio_url_parse(&base, "http://h/", 9, NULL), 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i][0]);
        char *end = aio__url_repair_slashes(out, at_the_edge(rows[i][0], n), n, &base);
        CHECK_BYTES(out, (size_t)(end - out), rows[i][1]);
    }
    aio_url_clear(&base);
}

TEST(url_extend_query)
{
    static const char *const rows[][3] = {
        { "http://h/p", "a=1", "http://h/p?a=1" }, { "http://h/p?x=2#f", "a=1&b=c+d", "http://h/p?x=2&a=1&b=c+d#f" },
        { "http://h/p?", "a", "http://h/p?a" }, { "http://h/p?x", "", "http://h/p?x" },
        { "http://h/p", "", "http://h/p" },
        { "http://h/p", "a=b#c", "http://h/p?a=b%23c" }, { "http://u:p@h:81/", "a", "http://u:p@h:81/?a" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_url base, url;
        CHECK_INT(url_parse_exact(&base, rows[i][0], NULL), 0);
        CHECK_INT(aio_url_extend_query(&url, &base, rows[i][1], strlen(rows[i][1]), NULL), 0);
        CHECK_STR(url.text.data, rows[i][2]);
        aio_url_clear(&base);
        aio_url_clear(&url);
    }
}

TEST(url_same_origin)
{
    static const struct { const char *a, *b; bool same; } rows[] = {
        { "http://a/x", "http://A:80/y?z", true }, { "http://a/", "https://a/", false },
        { "http://a/", "http://a:81/", false },
        { "http://a/", "http://b/", false }, { "http://a/", "http://a./", false },
        { "http://u:p@a/", "http://a/", true },
        { "http://[::1]/", "http://[0:0::1]/", true }, { "https://a:80/", "http://a/", false },
        { "ws://a/", "http://a/", false },
        { "file:///a", "file:///a", false }, { "mailto:a", "mailto:a", false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio_url a, b;
        CHECK_INT(url_parse_exact(&a, rows[i].a, NULL), 0);
        CHECK_INT(url_parse_exact(&b, rows[i].b, NULL), 0);
        CHECK_INT(aio_url_same_origin(&a, &b), rows[i].same);
        CHECK_INT(aio_url_same_origin(&b, &a), rows[i].same);
        aio_url_clear(&a);
        aio_url_clear(&b);
    }
}

TEST(url_quote_and_unquote)
{
    static const struct { const char *in, *component, *form; } rows[] = {
        { "", "", "" }, { "azAZ09", "azAZ09", "azAZ09" }, { "a b", "a%20b", "a+b" }, { "a+b", "a%2Bb", "a%2Bb" },
        { "~*", "~%2A", "%7E*" },
        { "&=?#/", "%26%3D%3F%23%2F", "%26%3D%3F%23%2F" }, { "\xc3\xa9\n\x7f", "%C3%A9%0A%7F", "%C3%A9%0A%7F" },
        { "%41", "%2541", "%2541" },
    };
    char out[32];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *in = rows[i].in, *component = rows[i].component;
        CHECK_BYTES(out, (size_t)(aio__quote(out, in, strlen(in), AIO__UNRESERVED, 0) - out), component);
        CHECK_BYTES(out, (size_t)(aio__unquote(out, component, strlen(component), 0) - out), in);
        CHECK_BYTES(out, (size_t)(aio__quote(out, in, strlen(in), AIO__FORM, AIO__QUOTE_PLUS) - out), rows[i].form);
    }
}

TEST(url_unquote_is_lenient)
{
    char out[12];
    CHECK_BYTES(out, (size_t)(aio__unquote(out, "%%41%4%zz+%", 11, 0) - out), "%A%4%zz+%");
    CHECK_BYTES(out, (size_t)(aio__unquote(out, "%%41%4%2b+%", 11, AIO__QUOTE_PLUS) - out), "%A%4+ %");
}

/* Every byte as a word of a text, and in each place of texts of every length up to 20. */
TEST(url_bytes)
{
    char text[20];
    memset(text, 'a', sizeof text);
    for (int c = 0; c < 256; c++) {
        const char *found = c ? strchr("0123456789abcdef", tolower(c)) : NULL;
        CHECK_INT(aio__hex_value((char)c), found ? found - "0123456789abcdef" : -1);
        CHECK_INT((unsigned char)aio__lower((char)c), tolower(c));
        CHECK_INT(aio__is_letter((char)c), isalpha(c) != 0);
        for (size_t n = 1; n <= sizeof text; n++)
            for (size_t i = 0; i < n; i++) {
                char *copy = at_the_edge(text, n);
                copy[i] = (char)c;
                if (aio__has_control(copy, n, true) != (iscntrl(c) != 0)) CHECK_INT(c, -1);
                if (aio__has_control(copy, n, false) != (iscntrl(c) && c != '\t')) CHECK_INT(c, -1);
            }
    }
    CHECK(!aio__has_control(text, 0, true));
}

TEST(url_form_pairs)
{
    aio__buffer out;
    memset(&out, 0, sizeof out);
    CHECK(aio__quote_pair(&out, aio__text("a b", 3), aio__text("1&2", 3)));
    CHECK(aio__quote_pair(&out, aio__text("c", 1), aio__text("", 0)));
    CHECK_BYTES(out.data, out.end, "a+b=1%262&c=");
    aio__free(out.data);
}

/* A room gives its block to what fits into it, and a larger one to what does not. */
TEST(url_room_gives_its_block)
{
    aio__url_room room;
    memset(&room, 0, sizeof room);
    char *first = aio__url_block(&room, 100);
    CHECK(first != NULL);
    CHECK(!room.block);
    room.block = first;
    CHECK_PTR(aio__url_block(&room, 100), first);
    room.block = first;
    CHECK_PTR(aio__url_block(&room, 1), first);
    room.block = first;
    long allocations = seam.allocations;
    char *second = aio__url_block(&room, 101);
    CHECK_INT(seam.allocations, allocations + 1);
    char *third = aio__url_block(&room, 101); /* it is taken: this is another one */
    CHECK(third && third != second);
    room.block = second;
    CHECK_PTR(aio__url_block(&room, 101), second);
    aio__free(second);
    aio__free(third);
}

TEST(url_room_without_a_block)
{
    aio_url url;
    aio__url_room room;
    aio_url_options how = AIO__ZERO;
    memset(&url, 0, sizeof url);
    memset(&room, 0, sizeof room);
    CHECK_INT(aio__url_parse_in(&url, "http://a/", 9, NULL, &how, &room), 0);
    CHECK(!aio__url_again(&url, "http://a/", 9, &how, &room));
    aio__url_keep_block(&room, &url);
    CHECK_INT(aio__url_parse_in(&url, "http://u@a/", 11, NULL, &how, &room), 0);
    aio__url_keep_block(&room, &url); /* there is a user among its parts: it is gone whole */
    CHECK(!url.text.data);
    CHECK(!aio__url_again(&url, "", 0, &how, &room));
    CHECK_INT(aio__url_parse_in(&url, "", 0, NULL, &how, &room), AIO_EURL);
    aio__url_room_free(&room);
}

TEST(url_erased)
{
    static const char *const rows[] = { "http://u:secret@h/", "http://secret@h/", "http://h/secret" };
    for (size_t i = 0; i < 3; i++) {
        aio_url url;
        CHECK_INT(url_parse_exact(&url, rows[i], NULL), 0);
        aio__url_wipe(&url);
        bool erased = i < 2;
        CHECK_INT(url.text.data[url.text.length - 1], erased ? '\0' : 't');
        CHECK_INT(*url.text.data, erased ? '\0' : 'h');
        if (url.user.data) CHECK_INT(*url.user.data, '\0');
        if (url.password.data) CHECK_INT(*url.password.data, '\0');
        aio_url_clear(&url);
    }
}

/* Whether the second of two URLs in one room was the first one again. */
static bool url_same_block(const char *first, const char *second, bool encoded, bool then)
{
    aio_url url;
    aio__url_room room;
    aio_url_options how = AIO__ZERO;
    memset(&url, 0, sizeof url);
    memset(&room, 0, sizeof room);
    how.encoded = encoded;
    CHECK_INT(aio__url_parse_in(&url, first, strlen(first), NULL, &how, &room), 0);
    aio__url_wipe(&url);
    aio__url_keep_block(&room, &url);
    CHECK(!url.block);
    how.encoded = then;
    bool again = aio__url_again(&url, second, strlen(second), &how, &room);
    if (again) aio__url_keep_block(&room, &url);
    CHECK_INT(aio__url_parse_in(&url, second, strlen(second), NULL, &how, &room), 0);
    CHECK(!room.block);
    CHECK_BYTES(url.host.data, url.host.length, "a");
    aio_url_clear(&url);
    aio__url_room_free(&room);
    return again;
}

TEST(url_of_before_is_not_parsed_again)
{
    CHECK(url_same_block("http://a/b?c#d", "http://a/b?c#d", false, false));
    CHECK(url_same_block("HTTP://A:80/./b", "http://a/b", false, false));
    CHECK(url_same_block("http://a/%7e", "http://a/%7e", true, true));
    CHECK(!url_same_block("HTTP://A:80/./b", "HTTP://A:80/./b", false, false));
    CHECK(!url_same_block("http://a/b", "http://a/c", false, false));
    CHECK(!url_same_block("http://a/b", "http://a/bb", false, false));
    CHECK(!url_same_block("http://a/%7e", "http://a/%7e", true, false));
    CHECK(!url_same_block("http://a/b", "http://a/b", false, true));
    CHECK(!url_same_block("http://u:p@a/", "http://u:p@a/", false, false));
}

/* Of every length up to 20, with one byte changed in each place to every other one. */
TEST(url_same_word)
{
    const char *word = "aBcXyZ@[`{-0129.Host";
    for (size_t n = 0; n <= 20; n++) {
        char other[20];
        memcpy(other, word, n);
        CHECK(aio__same_word(word, n, other, n));
        if (n) CHECK(!aio__same_word(word, n, other, n - 1));
        for (size_t i = 0; i < n; i++) {
            for (int c = 0; c < 256; c++) {
                other[i] = (char)c;
                bool same = aio__lower((char)c) == aio__lower(word[i]);
                if (aio__same_word(word, n, other, n) != same || aio__same_word(other, n, word, n) != same)
                    CHECK_INT(c, -1);
            }
            other[i] = word[i];
        }
    }
}
