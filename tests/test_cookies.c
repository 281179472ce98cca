/* Cookies: who may set which, what a request carries, dates, bounds, public suffixes, the file. */

static aio_cookie_jar *cookies_jar;

/* Gives the jar a Set-Cookie field from this URL; what became of it. */
static const char *cookies_take(const char *from, const char *field)
{
    aio_url url;
    const char *reason = NULL;
    CHECK_INT(aio_url_parse(&url, from, strlen(from), NULL), 0);
    char *copy = url_exact(field, strlen(field));
    int code = aio_cookie_jar_update(cookies_jar, &url, copy, strlen(field), &reason);
    free(copy);
    aio_url_clear(&url);
    CHECK_INT(code, reason ? EINVAL : 0);
    return reason ? reason : "";
}

static void cookies_check(const char *to, const char *expected)
{
    aio_url url;
    aio_text text;
    CHECK_INT(aio_url_parse(&url, to, strlen(to), NULL), 0);
    CHECK_INT(aio_cookie_jar_filter(cookies_jar, &url, &text), 0);
    if (expected) CHECK_STR(text.data ? text.data : "none", expected);
    else CHECK(!text.data);
    aio_url_clear(&url);
}

static void cookies_open(void)
{
    cookies_jar = aio_cookie_jar_open();
    CHECK(cookies_jar);
}

static void cookies_close(void)
{
    aio_cookie_jar_unref(cookies_jar);
    cookies_jar = NULL;
}

TEST(cookies_go_to_their_host)
{
    cookies_open();
    CHECK_STR(cookies_take("http://a.test/x/y", "host=1"), "");
    CHECK_STR(cookies_take("http://www.a.test/", "below=2; Domain=.A.test"), "");
    CHECK_STR(cookies_take("http://a.test/", "deep=3; Path=/x/y"), "");
    cookies_check("http://a.test/x/z", "host=1; below=2");
    cookies_check("http://a.test/x/y", "deep=3; host=1; below=2");
    cookies_check("http://a.test/x/yz", "host=1; below=2");
    cookies_check("http://a.test/x/y/z", "deep=3; host=1; below=2");
    cookies_check("http://a.test/", "below=2");
    cookies_check("http://a.test/x", "host=1; below=2");
    cookies_check("https://www.a.test:81/", "below=2");
    cookies_check("http://b.www.a.test/", "below=2");
    cookies_check("http://ba.test/", NULL);
    cookies_check("http://test/", NULL);
    cookies_check("ftp://a.test/", NULL);
    cookies_close();
}

TEST(cookies_refused)
{
    static const struct { const char *from, *field, *why; } rows[] = {
        { "http://a.test/", "", "no name" },
        { "http://a.test/", "value", "no name" },
        { "http://a.test/", "=value", "no name" },
        { "http://a.test/", "a\tb=1", "a tab in its name" },
        { "http://a.test/", "a=1\r\nX: y", "a control character" },
        { "http://a.test/", "a=1; Domain=b.test", "its domain is not that of its URL" },
        { "http://a.test/", "a=1; Domain=www.a.test", "its domain is not that of its URL" },
        { "http://a.test/", "a=1; Domain=test", "its domain is a public suffix" },
        { "http://a.test/", "a=1; Domain=a.test.", "its domain is not that of its URL" },
        { "http://1.2.3.4/", "a=1", "its host is an address" },
        { "http://[::1]/", "a=1; Domain=1", "its host is an address" },
        { "http://a.test/", "a=1; Secure", "it is Secure, its URL is not" },
        { "https://a.test/", "__Secure-a=1", "its prefix asks for Secure" },
        { "https://a.test/", "__SECURE-a=1", "its prefix asks for Secure" },
        { "https://a.test/", "__Host-a=1; Path=/", "its prefix asks for Secure" },
        { "https://a.test/", "__Host-a=1; Secure", "its prefix asks for Path=/" },
        { "https://a.test/", "__Host-a=1; Secure; Path=/; Domain=a.test", "its prefix asks for no Domain and for Path=/" },
        { "https://a.test/x/", "__Host-a=1; Secure; Path=/x", "its prefix asks for no Domain and for Path=/" },
        { "mailto:a@b.test", "a=1", "its URL has no host" },
        { "http://x.y@a.test/", "a=1; Domain=y@a.test", "its domain is not that of its URL" },
        { "https://a.test/", "__Secure-=1", "its prefix asks for Secure" },
    };
    cookies_open();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) CHECK_STR(cookies_take(rows[i].from, rows[i].field), rows[i].why);
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 0);
    char *big = (char *)malloc(4200);
    memset(big, 'v', 4200);
    memcpy(big, "n=", 2);
    big[4098] = '\0';
    CHECK_STR(cookies_take("http://a.test/", big), "a name and a value of more than 4096 bytes");
    big[4097] = '\0';
    CHECK_STR(cookies_take("http://a.test/", big), "");
    free(big);
    CHECK_STR(cookies_take("https://a.test/", "__Host-a=1; Secure; Path=/"), "");
    CHECK_STR(cookies_take("http://localhost/", "a=1; Domain=localhost"), "");
    cookies_check("http://localhost/", "a=1");
    cookies_check("http://b.localhost/", NULL);
    cookies_close();
}

TEST(cookies_host_only_are_their_own)
{
    cookies_open();
    CHECK_STR(cookies_take("http://a.test/", "a=host"), "");
    CHECK_STR(cookies_take("http://www.a.test/", "a=evil; Domain=a.test"), "");
    cookies_check("http://a.test/", "a=host; a=evil");
    CHECK_STR(cookies_take("http://www.a.test/", "a=; Domain=a.test; Max-Age=0"), "");
    cookies_check("http://a.test/", "a=host");
    CHECK_STR(cookies_take("http://a.test/", "a=new"), "");
    cookies_check("http://a.test/", "a=new");
    cookies_check("http://www.a.test/", NULL);
    cookies_close();
}

TEST(cookies_secure_ones_stay_secure)
{
    const char *const origins[] = { "http://local.test:8080", NULL };
    cookies_open();
    CHECK_STR(cookies_take("https://a.test/", "s=1; Secure; Path=/in"), "");
    cookies_check("http://a.test/in", NULL);
    cookies_check("https://a.test/in", "s=1");
    CHECK_STR(cookies_take("http://a.test/", "s=2; Path=/in/deep"), "it would hide a secure one");
    CHECK_STR(cookies_take("http://www.a.test/", "s=2; Domain=a.test; Path=/in"), "it would hide a secure one");
    CHECK_STR(cookies_take("http://a.test/", "s=2; Path=/"), "");
    CHECK_STR(cookies_take("https://a.test/", "s=3; Path=/in"), "");
    cookies_check("http://a.test/in", "s=3; s=2");
    CHECK_STR(cookies_take("http://a.test/", "t=4; Path=/in"), "");
    CHECK_STR(cookies_take("http://b.test/", "s=5; Path=/in"), "");
    CHECK_STR(cookies_take("https://a.test/", "s=6; Path=/in/deep"), "");
    cookies_close();
    cookies_jar = aio_cookie_jar_open(.treat_as_secure = origins, .unsafe = true);
    CHECK_STR(cookies_take("http://local.test:8080/", "s=1; Secure"), "");
    cookies_check("http://local.test:8080/", "s=1");
    cookies_check("http://local.test/", NULL);
    CHECK_STR(cookies_take("http://[::1]/", "six=1; Domain=::1"), "");
    CHECK_STR(cookies_take("http://10.0.0.1/", "four=1; Domain=0.0.1"), "its domain is not that of its URL");
    CHECK_STR(cookies_take("http://10.0.0.1/", "four=1"), "");
    cookies_check("http://[::1]:99/", "six=1");
    cookies_check("http://10.0.0.1/", "four=1");
    cookies_check("http://0.0.0.1/", NULL);
    cookies_close();
    const char *const wrong[] = { "local.test", NULL }, *const mail[] = { "mailto:x", NULL };
    errno = 0;
    CHECK(!aio_cookie_jar_open(.treat_as_secure = wrong) && errno == EINVAL);
    errno = 0;
    CHECK(!aio_cookie_jar_open(.treat_as_secure = mail) && errno == EINVAL);
}

static int64_t cookies_expires(const char *date)
{
    int64_t seconds = 0;
    char *copy = url_exact(date, strlen(date));
    bool is = aio__cookie_date(aio__text(copy, strlen(date)), &seconds);
    free(copy);
    return is ? seconds : 0;
}

TEST(cookies_dates)
{
    static const struct { const char *date; int64_t seconds; } rows[] = {
        { "Wed, 09 Jun 2021 10:18:14 GMT", 1623233894 }, { "Wednesday, 09-Jun-21 10:18:14 GMT", 1623233894 },
        { "Wed Jun  9 10:18:14 2021", 1623233894 },      { "9 june 2021 10:18:14", 1623233894 },
        { "2021 Jun 9 10:18:14 +02:00", 1623233894 },    { "10:18:14 9 Jun 2021", 1623233894 },
        { "Thu, 01 Jan 1970 00:00:00 GMT", -1 },         { "Thu, 01-Jan-69 00:00:00", INT64_C(3124224000) },
        { "Thu, 01-Jan-70 00:00:01", 1 },                { "29 Feb 2000 0:0:0", 951782400 },
        { "1 Mar 2000 00:00:00", 951868800 },            { "31 Dec 9999 23:59:59", INT64_C(253402300799) },
        { "01 Jan 1601 00:00:00", INT64_C(-11644473600) }, { "", 0 }, { "Jun 2021 10:18:14", 0 }, { "9 2021 10:18:14", 0 },
        { "9 Jun 10:18:14", 0 }, { "9 Jun 2021", 0 }, { "9 Jun 2021 24:00:00", 0 }, { "9 Jun 2021 10:60:00", 0 },
        { "9 Jun 2021 10:18:60", 0 }, { "0 Jun 2021 10:18:14", 0 }, { "32 Jun 2021 10:18:14", 0 },
        { "31 Jun 2021 10:18:14", 0 }, { "29 Feb 2027 0:0:0", 0 }, { "29 Feb 1900 0:0:0", 0 }, { "30 Feb 2028 0:0:0", 0 },
        { "29 Feb 2028 0:0:0", INT64_C(1835395200) }, { "31 Nov 2021 0:0:0", 0 }, { "30 Nov 2021 0:0:0", 1638230400 },
        { "9 Jun 1600 10:18:14", 0 }, { "9 Jun 20210 10:18:14", 0 }, { "9 Jun 2021 10:18", 0 },
        { "9 Jun 2021 110:18:14", 0 }, { "9 Jun 2021 10::14", 0 }, { "9 Jun 2021 :18:14", 0 }, { "9 Ju 2021 10:18:14", 0 },
        { "1 Jan 00 00:00:01", 946684801 }, { "1 Jan 99 0:0:0", 915148800 }, { "1 Jan 100 0:0:0", 0 },
        { "001 Jun 2021 10:18:14", 0 }, { "\x80" "9 Jun 2021 10:18:14", 0 }, /* what is no number is passed over whole */
        { "0 9 Jun 2021 10:18:14", 0 }, { "24:00:00 9 Jun 2021 10:18:14", 0 }, /* the first counts, and it alone */
        { "1 Jan Feb 2021 00:00:00", 1609459200 }, { "0:0:0 1 Jan 2021 1:1:1", 1609459200 },
        { "1 Jan 2021 2022 0:0:0", 1609459200 }, { "1 Jan 00 2022 0:0:0", 946684800 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) CHECK_INT(cookies_expires(rows[i].date), rows[i].seconds);
    CHECK_INT(aio__days(1970, 0, 1), 0);
    CHECK_INT(aio__days(2000, 1, 29) + 1, aio__days(2000, 2, 1));
    CHECK_INT(aio__days(1900, 1, 28) + 1, aio__days(1900, 2, 1));
}

TEST(cookies_expire)
{
    cookies_open();
    CHECK_STR(cookies_take("http://a.test/", "a=1; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), "");
    CHECK_STR(cookies_take("http://a.test/", "b=2; Expires=Thu, 01 Jan 2026 00:00:20 GMT"), "");
    CHECK_STR(cookies_take("http://a.test/", "c=3; Max-Age=99999999999999999999999"), "");
    CHECK_STR(cookies_take("http://a.test/", "d=4; Max-Age=x; expires=never"), "");
    CHECK_STR(cookies_take("http://a.test/", "e=5; Max-Age=-1"), "");
    CHECK_STR(cookies_take("http://a.test/", "f=6; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=1"), "");
    CHECK_STR(cookies_take("http://a.test/", "g=7; Expires=Thu, 01 Jan 2026 00:00:00 GMT"), "");
    CHECK_STR(cookies_take("http://b.test/", "h=8; Max-Age=1"), "");
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 6);
    cookies_check("http://a.test/", "a=1; b=2; c=3; d=4; f=6");
    seam_now += INT64_C(10000000000);
    cookies_check("http://a.test/", "b=2; c=3; d=4");
    cookies_check("http://b.test/", NULL);
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 3);
    CHECK_INT((int)cookies_jar->domain_count, 1);
    seam_now += INT64_C(10000000000);
    const aio_cookie *cookie = aio_cookie_jar_next(cookies_jar, NULL);
    CHECK_STR(cookie->name.data, "c");
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 2);
    CHECK_INT(cookie->expires, INT64_C(253402300799));
    CHECK_STR((cookie = aio_cookie_jar_next(cookies_jar, cookie))->name.data, "d");
    CHECK_INT(cookie->expires, 0);
    CHECK(!aio_cookie_jar_next(cookies_jar, cookie));
    CHECK_STR(cookies_take("http://a.test/", "c=; Max-Age=0"), "");
    cookies_check("http://a.test/", "d=4");
    cookies_close();
}

TEST(cookies_are_bounded)
{
    char field[32];
    cookies_jar = aio_cookie_jar_open(.max_cookies = 5, .max_per_domain = 3);
    for (int i = 0; i < 4; i++) {
        snprintf(field, sizeof field, "%c=%d", 'a' + i, i);
        CHECK_STR(cookies_take("http://a.test/", field), "");
    }
    cookies_check("http://a.test/", "b=1; c=2; d=3");
    CHECK_STR(cookies_take("http://b.test/", "e=4"), "");
    CHECK_STR(cookies_take("http://c.test/", "f=5"), "");
    cookies_check("http://b.test/", "e=4");
    cookies_check("http://a.test/", "b=1; c=2; d=3");
    CHECK_STR(cookies_take("http://d.test/", "g=6"), "");
    cookies_check("http://c.test/", NULL);
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 5);
    CHECK_STR(cookies_take("http://b.test/", "h=7; Max-Age=1"), "");
    CHECK_STR(cookies_take("http://d.test/", "i=8"), "");
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 5);
    cookies_close();
    cookies_open();
    for (int i = 0; i < 4000; i++) {
        char url[48];
        snprintf(url, sizeof url, "http://h%d.test/", i);
        CHECK_STR(cookies_take(url, "a=1"), "");
    }
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), AIO__COOKIES);
    CHECK_INT((int)cookies_jar->domain_count, AIO__COOKIES);
    cookies_check("http://h699.test/", NULL);
    cookies_check("http://h700.test/", "a=1");
    cookies_close();
}

/* A field has all that the jar keeps for a host and for what it is below: no more than that, and no less. */
TEST(cookies_field_is_bounded_by_the_jar)
{
    static const char *const urls[] = { "http://a.b.test/", "http://b.test/" };
    static char field[AIO__COOKIE_MAX + 64];
    aio_url url;
    aio_text text;
    CHECK_INT(aio_url_parse(&url, urls[0], strlen(urls[0]), NULL), 0);
    cookies_open();
    for (int i = 0; i < 2 * (AIO__COOKIES_OF_DOMAIN + 20); i++) {
        int at = snprintf(field, sizeof field, "n%03d=", i);
        memset(field + at, 'v', AIO__COOKIE_MAX - 4);
        snprintf(field + at + AIO__COOKIE_MAX - 4, 32, "; Domain=%s", i % 2 ? "b.test" : "a.b.test");
        CHECK_STR(cookies_take(urls[i % 2], field), "");
    }
    CHECK_INT(aio_cookie_jar_filter(cookies_jar, &url, &text), 0);
    CHECK_INT(text.length, 2 * AIO__COOKIES_OF_DOMAIN * (AIO__COOKIE_MAX + 3) - 2);
    aio_url_clear(&url);
    cookies_close();
}

/* What has expired goes first, then what was neither set nor sent for longest. */
TEST(cookies_evicted)
{
    cookies_jar = aio_cookie_jar_open(.max_per_domain = 3);
    CHECK_STR(cookies_take("http://a.test/", "a=1"), "");
    CHECK_STR(cookies_take("http://a.test/", "b=2; Max-Age=1"), "");
    CHECK_STR(cookies_take("http://a.test/", "c=3"), "");
    seam_now += INT64_C(2000000000);
    CHECK_STR(cookies_take("http://a.test/", "d=4"), "");
    cookies_check("http://a.test/", "a=1; c=3; d=4");
    CHECK_STR(cookies_take("http://a.test/", "e=5"), "");
    CHECK_STR(cookies_take("http://a.test/", "f=6"), "");
    cookies_check("http://a.test/", "d=4; e=5; f=6");
    cookies_close();
}

/* Who is between a host and its http:// cannot push out what the host has set over https://, nor stand for it longer
 * than it lasts. */
TEST(cookies_secure_ones_go_last)
{
    char field[32];
    cookies_jar = aio_cookie_jar_open(.max_cookies = 4, .max_per_domain = 3);
    CHECK_STR(cookies_take("https://a.test/", "s=1; Secure"), "");
    for (int i = 0; i < 9; i++) {
        snprintf(field, sizeof field, "n%d=%d", i, i);
        CHECK_STR(cookies_take("http://a.test/", field), "");
    }
    cookies_check("https://a.test/", "s=1; n7=7; n8=8");
    CHECK_STR(cookies_take("https://a.test/", "t=2; Secure; Max-Age=9"), "");
    CHECK_STR(cookies_take("https://a.test/", "u=3; Secure"), "");
    CHECK_STR(cookies_take("http://a.test/", "n=4"), ""); /* none but itself may go for it */
    cookies_check("https://a.test/", "s=1; t=2; u=3");
    CHECK_STR(cookies_take("https://a.test/", "v=5; Secure"), "");
    cookies_check("https://a.test/", "t=2; u=3; v=5");
    seam_now += INT64_C(10000000000);
    CHECK_STR(cookies_take("http://a.test/", "n=6"), ""); /* one that has expired goes first */
    cookies_check("https://a.test/", "u=3; v=5; n=6");
    CHECK_STR(cookies_take("http://b.test/", "b=7"), "");
    CHECK_STR(cookies_take("http://b.test/", "c=8"), ""); /* of all domains: by use alone */
    cookies_check("https://a.test/", "v=5; n=6");
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 4);
    CHECK_STR(cookies_take("https://a.test/", "w=1; Secure; Max-Age=1"), "");
    CHECK_STR(cookies_take("http://a.test/", "w=2"), "it would hide a secure one");
    seam_now += INT64_C(2000000000);
    CHECK_STR(cookies_take("http://a.test/", "w=2"), ""); /* there is no such one any more */
    cookies_check("http://a.test/", "n=6; w=2");
    cookies_close();
}

/* The bounds of what a field says, from both sides. */
TEST(cookies_at_their_bounds)
{
    char path[1100], field[6000], expected[5000];
    cookies_open();
    memset(path, 'p', sizeof path);
    path[0] = '/';
    snprintf(field, sizeof field, "a=1; Path=%.1024s", path);
    CHECK_STR(cookies_take("http://a.test/", field), "");
    snprintf(field, sizeof field, "b=2; Path=%.1025s", path);
    CHECK_STR(cookies_take("http://a.test/", field), "");
    cookies_check("http://a.test/", "b=2");
    memset(field, 'x', sizeof field);
    memcpy(field, "c=3; ", 5);
    field[sizeof field - 1] = '\0';
    CHECK_STR(cookies_take("http://a.test/", field), ""); /* what it has besides is not counted */
    CHECK_STR(cookies_take("http://a.test/", "d= \t4 \t; x\ty=1;path= \t/\t "), "");
    CHECK_STR(cookies_take("http://a.test/", "dd=5"), "");
    CHECK_STR(cookies_take("http://a.test/", "d=6;\tPath=/"), ""); /* in the place of the first */
    cookies_check("http://a.test/", "b=2; c=3; d=6; dd=5");
    CHECK_STR(cookies_take("http://a.test/", "q=1; Path=/x?y"), "");
    cookies_check("http://a.test/x?y/", "b=2; c=3; d=6; dd=5");
    cookies_close();
    cookies_open();
    size_t at = 0;
    for (int i = 0; i < 40; i++) {
        snprintf(field, sizeof field, "n%d=%d", i, i);
        CHECK_STR(cookies_take("http://a.test/", field), "");
        at += (size_t)snprintf(expected + at, sizeof expected - at, "%s%s", i ? "; " : "", field);
    }
    cookies_check("http://a.test/", expected);
    aio_text none = aio__text("x", 1);
    CHECK_INT(aio_cookie_jar_filter(cookies_jar, NULL, &none), 0);
    CHECK(!none.data && !none.length);
    cookies_close();
}

/* Without memory a request has no cookies rather than some of them, whichever allocation it is that fails. */
TEST(cookies_without_memory)
{
    static const char big[] = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567";
    int failed = 0;
    for (long n = 1, code = ENOMEM; code && n < 20; n++) {
        aio_url url;
        aio_text text = aio__text("x", 1);
        cookies_open();
        CHECK_INT(aio_url_parse(&url, "http://w.a.test/", 16, NULL), 0);
        CHECK_INT(aio_cookie_jar_set(cookies_jar, NULL, "all", big), 0);
        CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, "own", big), 0);
        CHECK_STR(cookies_take("http://a.test/", "above=1; Domain=a.test"), "");
        seam.fail_alloc = seam.allocations + n;
        code = aio_cookie_jar_filter(cookies_jar, &url, &text);
        seam.fail_alloc = seam.touched = 0;
        CHECK(code == 0 || (code == ENOMEM && !text.data && !text.length));
        failed += code != 0;
        aio_url_clear(&url);
        cookies_close();
    }
    CHECK(failed >= 2);
    seam.fail_alloc = seam.allocations + 1;
    errno = 0;
    cookies_jar = aio_cookie_jar_open();
    seam.fail_alloc = seam.touched = 0;
    CHECK(!cookies_jar && errno == ENOMEM);
}

static bool cookies_is_b(const aio_cookie *cookie, void *arg)
{
    ++*(int *)arg;
    return cookie->name.data[0] == 'b';
}

TEST(cookies_are_listed_and_cleared)
{
    int asked = 0;
    cookies_open();
    CHECK_STR(cookies_take("https://w.a.test/x/", "a=1; SameSite=Lax; HttpOnly; Secure; Domain=a.test"), "");
    CHECK_STR(cookies_take("http://b.test/", "b=2; SameSite=strict; path=no"), "");
    CHECK_STR(cookies_take("http://w.b.test/", "c=3; SAMESITE=None"), "");
    const aio_cookie *a = aio_cookie_jar_next(cookies_jar, NULL), *b = aio_cookie_jar_next(cookies_jar, a);
    CHECK(a->secure && a->http_only && !a->host_only && a->same_site == AIO_SAME_SITE_LAX);
    CHECK_STR(a->domain.data, "a.test");
    CHECK_STR(a->path.data, "/x");
    CHECK(!b->secure && !b->http_only && b->host_only && b->same_site == AIO_SAME_SITE_STRICT);
    CHECK_STR(b->path.data, "/");
    CHECK_INT((int)aio_cookie_jar_clear(cookies_jar, cookies_is_b, &asked), 1);
    CHECK_INT(asked, 3);
    CHECK_INT((int)aio_cookie_jar_clear_domain(cookies_jar, "test"), 2);
    CHECK_STR(cookies_take("http://w.b.test/", "c=3"), "");
    CHECK_INT((int)aio_cookie_jar_clear_domain(cookies_jar, "a.test"), 0);
    CHECK_INT((int)aio_cookie_jar_clear_domain(cookies_jar, ".B.test"), 1);
    CHECK_INT((int)aio_cookie_jar_clear_domain(cookies_jar, ""), 0);
    CHECK_INT((int)aio_cookie_jar_clear(NULL, NULL, NULL), 0);
    CHECK(aio_cookie_jar_ref(cookies_jar) == cookies_jar);
    aio_cookie_jar_unref(cookies_jar);
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 0);
    cookies_close();
    aio_cookie_jar_unref(NULL);
}

/* Whatever is in a jar, another one loads what it has saved. */
static void cookies_loaded_as_saved(void)
{
    char path[] = "/tmp/aio-cookies-XXXXXX";
    int line = -1;
    close(mkstemp(path));
    aio_cookie_jar *other = aio_cookie_jar_open();
    CHECK_INT(aio_cookie_jar_save(cookies_jar, path), 0);
    CHECK_INT(aio_cookie_jar_load(other, path, &line), 0);
    CHECK_INT(line, 0);
    CHECK_INT((int)aio_cookie_jar_count(other), (int)aio_cookie_jar_count(cookies_jar));
    aio_cookie_jar_unref(other);
    unlink(path);
}

TEST(cookies_of_the_program)
{
    aio_url url;
    cookies_open();
    CHECK_INT(aio_url_parse(&url, "http://a.test/x", 15, NULL), 0);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, NULL, "all", "1"), 0);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, "one", "a b"), 0);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, "o;e", "2"), EINVAL);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, "", "2"), EINVAL);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, "one", "2;"), EINVAL);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, "one", "2\n"), EINVAL);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, NULL, "2"), EINVAL);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, "one", NULL), EINVAL);
    aio_url_clear(&url);
    const aio_cookie *all = aio_cookie_jar_next(cookies_jar, NULL), *one = aio_cookie_jar_next(cookies_jar, all);
    CHECK(one && one->host_only && !one->secure && !one->http_only && !one->expires && !one->same_site);
    cookies_check("http://b.a.test/", "all=1");
    CHECK_INT(aio_url_parse(&url, "http://1.2.3.4/", 15, NULL), 0);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, "address", "1"), 0);
    aio_url_clear(&url);
    cookies_check("http://1.2.3.4/", "all=1"); /* it is not .unsafe */
    char big[4098];
    memset(big, 'v', sizeof big);
    big[4097] = '\0';
    CHECK_INT(aio_cookie_jar_set(cookies_jar, NULL, "big", big), EINVAL);
    big[4094] = '\0';
    CHECK_INT(aio_cookie_jar_set(cookies_jar, NULL, "big", big), EINVAL);
    big[4093] = '\0';
    CHECK_INT(aio_cookie_jar_set(cookies_jar, NULL, "big", big), 0);
    CHECK_INT(aio_url_parse(&url, "mailto:a", 8, NULL), 0);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, "nowhere", "1"), EINVAL);
    aio_url_clear(&url);
    cookies_loaded_as_saved();
    cookies_close();
    cookies_open();
    CHECK_INT(aio_cookie_jar_set(cookies_jar, NULL, "all", "1"), 0);
    CHECK_INT(aio_url_parse(&url, "http://a.test/x", 15, NULL), 0);
    CHECK_INT(aio_cookie_jar_set(cookies_jar, &url, "one", " a b\t"), 0);
    aio_url_clear(&url);
    cookies_check("http://a.test/", "all=1; one=a b");
    cookies_check("http://a.test./", "all=1"); /* once: nothing is above the last dot */
    cookies_check("http://1.2.3.4/", "all=1");
    cookies_check("http://other.example/", "all=1");
    cookies_close();
}

static void cookies_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file && fputs(text, file) >= 0);
    if (file) fclose(file);
}

TEST(cookies_and_public_suffixes)
{
    char path[] = "/tmp/aio-cookies-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    cookies_write(path, "// a comment\n\ncom\nco.UK and more\n*.ck\n!www.ck\nb\xc3\xbc" "cher.example\r\n"
                        "\xe5\x85\xac\xe5\x8f\xb8.cn\n\xd0\xbc\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0");
    cookies_jar = aio_cookie_jar_open(.public_suffixes = path);
    CHECK_STR(cookies_take("http://a.co.uk/", "a=1; Domain=co.uk"), "its domain is a public suffix");
    CHECK_STR(cookies_take("http://a.co.uk/", "a=1; Domain=a.co.uk"), "");
    CHECK_STR(cookies_take("http://a.co.uk./", "a=1; Domain=co.uk."), "its domain is a public suffix");
    CHECK_STR(cookies_take("http://a.com./", "a=1; Domain=com."), "its domain is a public suffix");
    CHECK_STR(cookies_take("http://b.a.co.uk./", "a=1; Domain=a.co.uk."), "");
    CHECK_STR(cookies_take("http://a.x.ck/", "a=1; Domain=x.ck"), "its domain is a public suffix");
    CHECK_STR(cookies_take("http://a.x.ck/", "a=1; Domain=a.x.ck"), "");
    CHECK_STR(cookies_take("http://a.www.ck/", "a=1; Domain=www.ck"), "");
    CHECK_STR(cookies_take("http://a.xn--bcher-kva.example/", "a=1; Domain=xn--bcher-kva.example"),
              "its domain is a public suffix");
    CHECK_STR(cookies_take("http://a.xn--55qx5d.cn/", "a=1; Domain=xn--55qx5d.cn"), "its domain is a public suffix");
    CHECK_STR(cookies_take("http://a.xn--80adxhks/", "a=1; Domain=xn--80adxhks"), "its domain is a public suffix");
    CHECK_STR(cookies_take("http://co.uk/", "a=1; Domain=co.uk"), "");
    cookies_check("http://co.uk/", "a=1");
    cookies_check("http://b.co.uk/", NULL);
    cookies_close();
    static const char *const wrong[] = { "a..b\n", ".com\n", "\xff.com\n", "com.\n", "\xc3\xbc\xed\xa0\x80\n" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cookies_write(path, wrong[i]);
        errno = 0;
        CHECK(!aio_cookie_jar_open(.public_suffixes = path) && errno == EINVAL);
    }
    unlink(path);
    errno = 0;
    CHECK(!aio_cookie_jar_open(.public_suffixes = path) && errno == ENOENT);
}

/* A host that is no suffix, though the only rule begins in the slot that its own would, and is all but equal to it. */
TEST(cookies_suffixes_share_slots)
{
    static const struct { const char *rule, *asked; } rows[] = { { "??test", "b.test" }, { "b.test??", "b.test" },
                                                                 { "??.test", "*.test" }, { "??b.test", "!b.test" } };
    char path[] = "/tmp/aio-cookies-XXXXXX", rule[16];
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *mark = strchr(strcpy(rule, rows[i].rule), '?');
        int k = 0;
        do {
            mark[0] = (char)('a' + k % 26);
            mark[1] = (char)('a' + k / 26);
        } while (((aio__cookie_hash(rule, strlen(rule)) ^ aio__cookie_hash(rows[i].asked, strlen(rows[i].asked))) & 15)
                 && ++k < 26 * 26);
        CHECK(k < 26 * 26);
        cookies_write(path, rule);
        cookies_jar = aio_cookie_jar_open(.public_suffixes = path);
        CHECK(cookies_jar);
        CHECK_STR(cookies_take("http://a.b.test/", "a=1; Domain=b.test"), "");
        cookies_close();
    }
    unlink(path);
}

TEST(cookies_many_suffixes)
{
    char path[] = "/tmp/aio-cookies-XXXXXX", label[65], field[100];
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    FILE *file = fopen(path, "w");
    CHECK(file);
    if (!file) return;
    fputs("//a..b is a comment\n//\n", file);
    for (int i = 0; i < 200; i++) fprintf(file, "s%d.test\n", i);
    memset(label, 'l', 63);
    label[63] = '\0';
    fprintf(file, "%s", label);
    fclose(file);
    cookies_jar = aio_cookie_jar_open(.public_suffixes = path);
    CHECK(cookies_jar);
    for (int i = 0; i < 201; i++) {
        snprintf(field, sizeof field, "a=1; Domain=s%d.test", i);
        snprintf(label, sizeof label, "http://a.s%d.test/", i);
        CHECK_STR(cookies_take(label, field), i < 200 ? "its domain is a public suffix" : "");
    }
    cookies_close();
    memset(label, 'l', 64);
    label[64] = '\0';
    const char *const wrong[] = { label, "/a..b", "x/a..b", "/xa..b" }, *const origins[] = { "local.test", NULL };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cookies_write(path, wrong[i]);
        errno = 0;
        CHECK(!aio_cookie_jar_open(.public_suffixes = path) && errno == EINVAL);
    }
    cookies_write(path, "test");
    errno = 0;
    CHECK(!aio_cookie_jar_open(.public_suffixes = path, .treat_as_secure = origins) && errno == EINVAL);
    unlink(path);
}

TEST(cookies_punycode)
{
    static const struct { const char *label, *expected; } rows[] = {
        { "\xc2\x80", "xn--a" }, { "A\xc2\x80", "xn--a-ba" },
        { "pro\xc4\x8dprost\xc4\x9bnemluv\xc3\xad\xc4\x8d" "esky", "xn--proprostnemluvesky-uyb24dma41a" },
        { "\xe4\xbb\x96\xe4\xbb\xac\xe4\xb8\xba\xe4\xbb\x80\xe4\xb9\x88\xe4\xb8\x8d\xe8\xaf\xb4\xe4\xb8\xad"
          "\xe6\x96\x87", "xn--ihqwcrb4cv8a8dqg056pqjye" },
        { "\xc3\xbc" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "xn--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-4tf" },
        { "\xc3\xbc" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          "xn--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-oxf" },
        { "\xc3\xbc" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "" },
        { "\xc3\xbc" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "" },
        { "\xc3\xbc" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "" },
    };
    char out[AIO__LABEL_MAX], many[2000];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        memset(out, 'x', sizeof out);
        size_t n = aio__punycode(rows[i].label, strlen(rows[i].label), out);
        CHECK_BYTES(out, n, rows[i].expected);
    }
    for (size_t i = 0; i < sizeof many; i += 2) memcpy(many + i, "\xc3\xbc", 2);
    CHECK_INT(aio__punycode(many, sizeof many, out), 0);
}

/* Saves and loads under every fault: a file is whole, or as it was. */
struct cookies_are_saved { aio_task task; aio_cookie_jar *jar;
                           const aio_cookie *first; char path[32]; int line; struct stat status; };
SCENARIO(cookies_are_saved)
{
    AIO_BEGIN(cookies_are_saved);
    strcpy(self->path, "/tmp/aio-cookies-XXXXXX");
    close(mkstemp(self->path));
    chmod(self->path, 0644);
    REQUIRE(self->jar = cookies_jar = aio_cookie_jar_open());
    cookies_take("https://w.a.test/x/", "a=1; SameSite=Lax; HttpOnly; Secure; Domain=a.test; Max-Age=100");
    cookies_take("http://b.test/", "b=\"2\t3\"; SameSite=strict");
    cookies_take("http://w.b.test/", "c=; path=/p");
    cookies_take("http://e.test/", "e=5; path=/\tTRUE\t0\te\t6");
    aio_cookie_jar_set(self->jar, NULL, "d", "4");
    REQUIRE(aio_cookie_jar_count(self->jar) == 5);
    REQUIRE(!aio_cookie_jar_save(self->jar, self->path));
    CHECK(!stat(self->path, &self->status) && (self->status.st_mode & 0777) == 0600);
    aio_cookie_jar_clear(self->jar, NULL, NULL);
    REQUIRE(!aio_cookie_jar_load(self->jar, self->path, &self->line));
    cookies_check("https://w.a.test/x", "a=1; d=4");
    cookies_check("http://b.test/", "b=\"2\t3\"; d=4");
    cookies_check("http://c.w.b.test/p", "d=4");
    cookies_check("http://w.b.test/p", "c=; d=4");
    cookies_check("http://e.test/", "e=5; d=4");
    self->first = aio_cookie_jar_next(self->jar, NULL);
    CHECK(self->first && self->first->secure && self->first->http_only && !self->first->host_only);
    CHECK(self->first->same_site == AIO_SAME_SITE_LAX);
    AIO_FINALLY;
    aio_cookie_jar_unref(self->jar);
    unlink(self->path);
    AIO_END;
}

TEST(cookies_files)
{
    static const struct { const char *text; int line; } rows[] = {
        { "a.test\tFALSE\t/\tFALSE\t0\tn", 1 },
        { "a.test\tFALSE\t/\tFALSE\t1234567890123\tn\tv", 1 },
        { "# x\na.test\tmaybe\t/\tFALSE\t0\tn\tv", 2 },
        { "a.test\tFALSE\t/\tno\t0\tn\tv", 1 },
        { "a.test\tFALSE\t\tFALSE\t0\tn\tv", 1 },
        { "a.test\tFALSE\tx\tFALSE\t0\tn\tv", 1 },
        { "a.test\tFALSE\t/\tFALSE\t-1\tn\tv", 1 },
        { "a.test\tFALSE\t/\tFALSE\t\tn\tv", 1 },
        { "a.test\tFALSE\t/\tFALSE\t0\t\tv", 1 },
        { "A.test\tFALSE\t/\tFALSE\t0\tn\tv", 1 },
        { "\tFALSE\t/\tFALSE\t0\tn\tv", 1 },
        { "ok.test\tFALSE\t/\tFALSE\t0\tn\tv\r\n\n#HttpOnly_x\n", 3 },
        { "a.test\tFALSE\t/\tFALSE\t0\tn\tv;w", 1 },
        { "a.test\tFALSE\t/\tFALSE\t0\tn\tv\001", 1 },
        { "a.test\tFALSE\t/\tFALSE\t0\tn=v;m\tv", 1 }, { "a.test\tFALSE\t/\tFALSE\t0\tn;m\tv", 1 },
        { "a.test\tFALSE\t/\tFALSE\t0\tn=m\tv", 1 },
        { "just words\n", 1 },
        { "..a.test\tTRUE\t/\tFALSE\t0\tn\tv", 1 }, { "..a.test\tFALSE\t/\tFALSE\t0\tn\tv", 1 },
    };
    char path[] = "/tmp/aio-cookies-XXXXXX";
    int line, fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    cookies_open();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cookies_write(path, rows[i].text);
        CHECK_INT(aio_cookie_jar_load(cookies_jar, path, &line), EINVAL);
        CHECK_INT(line, rows[i].line);
        CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 0);
    }
    cookies_write(path, "");
    CHECK_INT(aio_cookie_jar_load(cookies_jar, path, &line), 0);
    cookies_write(path, "# Netscape HTTP Cookie File\r\n.a.test\tTRUE\t/\tfalse\t1\told\tv\n"
                        "#HttpOnly_.a.test\tTRUE\t/\tTRUE\t9999999999\tnew\t\n# SameSite=Lax\n# other\n"
                        "b.test\tFALSE\t/x\tFALSE\t0\ts\tv w");
    line = -1;
    CHECK_INT(aio_cookie_jar_load(cookies_jar, path, &line), 0);
    CHECK_INT(line, 0);
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 2);
    cookies_check("https://www.a.test/", "new=");
    cookies_check("http://b.test/x/", "s=v w");
    static const char behind[] = "\r\nb.test\tFALSE\t/\tFALSE\t1\ts\tv"; /* the '\r' is none of the text */
    CHECK_INT(aio__cookie_lines(cookies_jar, aio__text(behind + 1, strlen(behind + 1)), false, &line), 0);
    CHECK_INT(line, 2);
    cookies_write(path, "b.test\tFALSE\t/x\tFALSE\t1\ts\told\n"); /* it is over, but that of the jar is not */
    CHECK_INT(aio_cookie_jar_load(cookies_jar, path, NULL), 0);
    cookies_check("http://b.test/x/", "s=v w");
    CHECK_INT(aio_cookie_jar_next(cookies_jar, aio_cookie_jar_next(cookies_jar, NULL))->same_site, AIO_SAME_SITE_UNSET);
    char big[4200];
    snprintf(big, sizeof big, "long.test\tFALSE\t/\tFALSE\t123456789012\ta_name_of_18_bytes\t%04078d", 0);
    cookies_write(path, big);
    CHECK_INT(aio_cookie_jar_load(cookies_jar, path, NULL), 0);
    CHECK_INT((int)aio_cookie_jar_count(cookies_jar), 3);
    strcat(big, "0");
    cookies_write(path, big);
    CHECK_INT(aio_cookie_jar_load(cookies_jar, path, NULL), EINVAL);
    cookies_write(path, "");
    for (long n = 1, code = ENOMEM; code && n < 20; n++) {
        seam.fail_alloc = seam.allocations + n;
        code = aio_cookie_jar_save(cookies_jar, path);
        seam.fail_alloc = seam.touched = 0;
        CHECK(code == (n < 2 ? ENOMEM : code) && (!code || code == ENOMEM));
    }
    CHECK_INT(aio_cookie_jar_load(cookies_jar, path, NULL), 0);
    unlink(path);
    CHECK_INT(aio_cookie_jar_load(cookies_jar, NULL, NULL), EINVAL);
    CHECK_INT(aio_cookie_jar_load(cookies_jar, "", NULL), EINVAL);
    CHECK_INT(aio_cookie_jar_save(cookies_jar, NULL), EINVAL);
    CHECK_INT(aio_cookie_jar_load(cookies_jar, path, &line), ENOENT);
    CHECK_INT(line, 0);
    CHECK_INT(aio_cookie_jar_save(cookies_jar, "/nonexistent/file"), ENOENT);
    CHECK_INT(aio_cookie_jar_save(cookies_jar, ""), EINVAL);
    CHECK_INT(aio_cookie_jar_save(NULL, path), EINVAL);
    cookies_close();
}
