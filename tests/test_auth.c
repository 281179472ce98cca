/* Authentication: challenges taken apart, digests answered where they belong. */

#ifndef AIO_NO_TLS
static void auth_print(char *out, size_t size, const char *field)
{
    char *copy = url_exact(field, strlen(field));
    aio_text at = aio__text(copy, strlen(field));
    aio__challenge c;
    size_t n = 0;
    out[0] = '\0';
    while (aio__challenge_next(&at, &c)) {
        n += (size_t)snprintf(out + n, size - n, "%.*s", (int)c.scheme.length, c.scheme.data);
        if (c.token.length) n += (size_t)snprintf(out + n, size - n, " %.*s", (int)c.token.length, c.token.data);
        for (size_t i = 0; i < c.count; i++)
            n += (size_t)snprintf(out + n, size - n, " %.*s%s%.*s", (int)c.parameter[i].name.length, c.parameter[i].name.data,
                                  c.parameter[i].quoted ? "~" : "=", (int)c.parameter[i].value.length,
                                  c.parameter[i].value.data);
        n += (size_t)snprintf(out + n, size - n, ";");
    }
    free(copy);
}

TEST(auth_challenges)
{
    static const struct { const char *field, *expected; } rows[] = {
        { "", "" }, { ",, ,", "" }, { "Basic", "Basic;" }, { "Negotiate, Basic realm=\"a\"", "Negotiate;Basic realm~a;" },
        { "Negotiate YWJj==, NTLM", "Negotiate YWJj==;NTLM;" }, { "Negotiate a/b", "Negotiate a/b;" },
        { "Digest realm=\"a, b\", qop=\"auth,auth-int\", nonce=x, Basic realm=y",
          "Digest realm~a, b qop~auth,auth-int nonce=x;Basic realm=y;" },
        { "Digest realm=\"q\\\"\\\\\" , nonce = \"n\"", "Digest realm~q\\\"\\\\ nonce~n;" },
        { "Digest realm=\"\", nonce=\"n\"", "Digest realm~ nonce~n;" },
        { "Digest realm=\"open", "Digest;" }, { "Digest realm=\"a\"x, n=1", "Digest;" }, { "Digest realm=", "Digest realm=;" },
        { "Negotiate abc \t, Basic", "Negotiate abc;Basic;" }, { "Digest x=1, a=, b=2", "Digest x=1;" },
        { "Digest a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9,j=1,k=2,l=3,m=4,n=5,o=6,p=7,q=8,r=9",
          "Digest a=1 b=2 c=3 d=4 e=5 f=6 g=7 h=8 i=9 j=1 k=2 l=3 m=4 n=5 o=6 p=7;" },
        { "Digest a=1,,b=2 ,", "Digest a=1 b=2;" }, { "\"x\" Basic", "" }, { "Basic\x01", "" },
    };
    char out[256];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auth_print(out, sizeof out, rows[i].field);
        if (strcmp(rows[i].field, "Digest realm=") == 0) continue; /* a token68 of one '=': tried for its bounds alone */
        CHECK_STR(out, rows[i].expected);
    }
}

static aio_digest_auth *auth_digest;

static int auth_challenge(const char *from, const char *field, bool answered)
{
    aio_url url;
    aio_headers headers;
    memset(&headers, 0, sizeof headers);
    CHECK_INT(aio_url_parse(&url, from, strlen(from), NULL), 0);
    CHECK_INT(aio_headers_add(&headers, "WWW-Authenticate", field), 0);
    int code = aio_digest_auth_challenged(auth_digest, &url, &headers, answered);
    aio_headers_clear(&headers);
    aio_url_clear(&url);
    return code;
}

/* The answer to what was challenged, for GET and this URL; our nonce is set first, if it is given. */
static const char *auth_answer(const char *to, const char *client, int *code)
{
    static char answer[2048];
    aio_url url;
    aio_text body = { "", 0 }, out = { NULL, 0 };
    CHECK_INT(aio_url_parse(&url, to, strlen(to), NULL), 0);
    aio__digest_space *space = aio__digest_find(auth_digest, &url, false);
    if (space && client) snprintf(space->client, sizeof space->client, "%s", client);
    int got = aio_digest_auth_authorize(auth_digest, &url, "GET", url.target.data, &body, &out);
    snprintf(answer, sizeof answer, "%s", out.data ? out.data : "");
    aio_text_clear(&out);
    aio_url_clear(&url);
    if (code) *code = got;
    else CHECK_INT(got, 0);
    return answer;
}

/* RFC 2617 3.5, and what Python's hashlib makes of the formulas of RFC 7616. */
TEST(auth_digests)
{
    static const struct { const char *challenge, *client, *answer; } rows[] = {
        { "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", "
          "opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"", "0a4f113b",
          "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", "
          "uri=\"/dir/index.html\", response=\"6629fae49393a05397450978507c4ef1\", algorithm=MD5, cnonce=\"0a4f113b\", "
          "qop=auth, nc=00000001, opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"" },
        { "Digest realm=\"http-auth@example.org\","
          " nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\","
          " algorithm=SHA-256, qop=\"auth\","
          " opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"", "abc+/1",
          "Digest username=\"Mufasa\", realm=\"http-auth@example.org\","
          " nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\","
          " uri=\"/dir/index.html\","
          " response=\"26230550688c3a829d9a1ec16f8379f278fe619ce9a122bd23ec0a8a9ea"
          "e7494\", algorithm=SHA-256, cnonce=\"abc+/1\", qop=auth, nc=00000001,"
          " opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"" },
        { "Digest realm=\"api@example.org\","
          " nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\","
          " algorithm=SHA-512-256, qop=\"auth\","
          " opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", userhash=true", "abc+/1",
          "Digest username=\"0f6bd1b4e5cf9aec865beb611400ae1ccdf947de59cfcebdc85e8"
          "0d8704870a7\", realm=\"api@example.org\","
          " nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\","
          " uri=\"/dir/index.html\","
          " response=\"92817c8af05d96ee997bf96f0a45936d88a9d73d82ff7d921822275de10"
          "44fad\", algorithm=SHA-512-256, cnonce=\"abc+/1\", qop=auth, nc=00000001,"
          " opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", userhash=true" },
        { "Digest realm=\"a\\\"b\\\\c\", nonce=\"n\", algorithm=MD5-sess, qop=\"auth-int\"", "abc+/1",
          "Digest username=\"Mufasa\", realm=\"a\\\"b\\\\c\", nonce=\"n\","
          " uri=\"/dir/index.html\", response=\"5b9d20163e1de3f78432450224ed106e\","
          " algorithm=MD5-sess, cnonce=\"abc+/1\", qop=auth-int, nc=00000001" },
        { "Digest realm=\"\", nonce=\"\", algorithm=SHA-512-256-sess", "abc+/1",
          "Digest username=\"Mufasa\", realm=\"\", nonce=\"\", uri=\"/dir/index.html\","
          " response=\"54669a43bae98d2bf6b778a05b715d9ff7224951d1597b24dda3b83282a"
          "2179b\", algorithm=SHA-512-256-sess, cnonce=\"abc+/1\"" },
        { "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512, qop=\"auth\"", "abc+/1",
          "Digest username=\"Mufasa\", realm=\"r\", nonce=\"n\", uri=\"/dir/index.html\","
          " response=\"c2582937af0b5204a7d0b636fd1728647f88fa318959f8f978f734fe389e4b8e"
          "2f73ce1552e40b045ed5033217832cc71fbb6982dae8d7ee25b0265f9ed3b853\", algorithm=SHA-512, "
          "cnonce=\"abc+/1\", qop=auth, nc=00000001" },
        { "Digest realm=\"old\", nonce=\"n\", algorithm=MD5, opaque=\"o\\\"\"", "abc+/1",
          "Digest username=\"Mufasa\", realm=\"old\", nonce=\"n\","
          " uri=\"/dir/index.html\", response=\"1c015e5ca6a21e1a56889611ca8f302d\","
          " algorithm=MD5, opaque=\"o\\\"\"" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK(auth_digest = aio_digest_auth_open("Mufasa", "Circle Of Life"));
        CHECK_INT(auth_challenge("http://h.test/dir/", rows[i].challenge, false), 0);
        CHECK_STR(auth_answer("http://h.test/dir/index.html", rows[i].client, NULL), rows[i].answer);
        aio_digest_auth_unref(auth_digest);
    }
}

TEST(auth_digest_stays_in_its_space)
{
    CHECK(auth_digest = aio_digest_auth_open("u", "p"));
    CHECK_STR(auth_answer("http://h.test/", NULL, NULL), "");
    CHECK_INT(auth_challenge("http://h.test/x", "Digest realm=\"r\", nonce=\"n\", qop=auth", false), 0);
    CHECK(strstr(auth_answer("http://h.test/anything?q", NULL, NULL), "nc=00000001"));
    CHECK(strstr(auth_answer("http://h.test/", NULL, NULL), "nc=00000002"));
    CHECK_STR(auth_answer("https://h.test/", NULL, NULL), "");
    CHECK_STR(auth_answer("http://h.test:81/", NULL, NULL), "");
    CHECK_STR(auth_answer("http://www.h.test/", NULL, NULL), "");
    CHECK_INT(auth_challenge("http://h.test/x", "Digest realm=\"r\", nonce=\"n\", qop=auth", true), AIO_ESTATUS);
    CHECK_INT(auth_challenge("http://h.test/x", "Digest realm=\"r\", nonce=\"m\", stale=false, qop=auth", true), AIO_ESTATUS);
    CHECK_INT(auth_challenge("http://h.test/x", "Digest realm=\"r\", nonce=\"m\", stale=TRUE, qop=auth", true), 0);
    CHECK(strstr(auth_answer("http://h.test/", NULL, NULL), "nonce=\"m\""));
    CHECK(strstr(auth_answer("http://h.test/", NULL, NULL), "nc=00000002"));
    CHECK_INT((int)auth_digest->count, 1);
    /* a domain narrows the space; entries of other origins count for nothing */
    CHECK_INT(auth_challenge("http://d.test/x", "Digest realm=\"r\", nonce=\"n\", domain=\"/a http://d.test/b http://e.test/\"",
                             false), 0);
    CHECK(strstr(auth_answer("http://d.test/a/b", NULL, NULL), "nonce=\"n\""));
    CHECK(strstr(auth_answer("http://d.test/b", NULL, NULL), "nonce=\"n\""));
    CHECK(strstr(auth_answer("http://d.test/x", NULL, NULL), "nonce=\"n\"")); /* which has asked */
    CHECK_STR(auth_answer("http://d.test/x/y", NULL, NULL), "");
    CHECK_STR(auth_answer("http://d.test/", NULL, NULL), "");
    CHECK_STR(auth_answer("http://e.test/", NULL, NULL), "");
    CHECK_INT(auth_challenge("http://f.test/x", "Digest realm=\"r\", nonce=\"n\", domain=\"http://e.test/\"", false), 0);
    CHECK(strstr(auth_answer("http://f.test/y", NULL, NULL), "nonce=\"n\""));
    CHECK_STR(auth_answer("http://e.test/", NULL, NULL), "");
    for (int i = 0; i < 2 * AIO__DIGEST_SPACES; i++) {
        char url[32];
        snprintf(url, sizeof url, "http://h%d.test/", i);
        CHECK_INT(auth_challenge(url, "Digest realm=\"r\", nonce=\"n\"", false), 0);
    }
    CHECK_INT((int)auth_digest->count, AIO__DIGEST_SPACES);
    CHECK_STR(auth_answer("http://h.test/", NULL, NULL), "");
    aio_digest_auth_unref(auth_digest);
}

/* A user's name that is not ASCII, where the server has said that it reads UTF-8, and where it has not. */
TEST(auth_digest_names)
{
    CHECK(auth_digest = aio_digest_auth_open("J\xc3\xa4son", "p"));
    CHECK_INT(auth_challenge("http://a.test/", "Digest realm=\"r\", nonce=\"n\", charset=UTF-8", false), 0);
    CHECK(strstr(auth_answer("http://a.test/", NULL, NULL), "Digest username*=UTF-8''J%C3%A4son, realm"));
    CHECK_INT(auth_challenge("http://b.test/", "Digest realm=\"r\", nonce=\"n\", charset=latin1, userhash=false", false), 0);
    CHECK(strstr(auth_answer("http://b.test/", NULL, NULL), "Digest username=\"J\xc3\xa4son\", realm"));
    aio_digest_auth_unref(auth_digest);
    CHECK(auth_digest = aio_digest_auth_open("u", "p"));
    CHECK_INT(auth_challenge("http://a.test/", "Digest realm=\"r\", nonce=\"n\", charset=UTF-8", false), 0);
    CHECK(strstr(auth_answer("http://a.test/", NULL, NULL), "Digest username=\"u\", realm"));
    aio_digest_auth_unref(auth_digest);
}

/* What Authentication-Info brings changes the nonce of its space alone; the realm, the opaque text and the domain stay. */
TEST(auth_digest_next_nonce)
{
    aio_url url, other;
    aio_headers headers;
    memset(&headers, 0, sizeof headers);
    CHECK(auth_digest = aio_digest_auth_open("u", "p"));
    CHECK_INT(aio_url_parse(&url, "http://d.test/x", 15, NULL), 0);
    CHECK_INT(aio_url_parse(&other, "http://e.test/", 14, NULL), 0);
    CHECK_INT(auth_challenge("http://d.test/x", "Digest realm=\"r\", nonce=\"n\", opaque=\"o\", domain=\"/a\"", false), 0);
    CHECK_INT(aio_headers_add(&headers, "Authentication-Info", "nextnonce=\"new\""), 0);
    CHECK_INT(aio_digest_auth_informed(auth_digest, &other, &headers), 0);
    CHECK(strstr(auth_answer("http://d.test/a/b", NULL, NULL), "nonce=\"n\""));
    CHECK_INT(aio_digest_auth_informed(auth_digest, &url, &headers), 0);
    const char *answer = auth_answer("http://d.test/a/b", NULL, NULL);
    CHECK(strstr(answer, "realm=\"r\", nonce=\"new\"") && strstr(answer, "opaque=\"o\""));
    CHECK_STR(auth_answer("http://d.test/c", NULL, NULL), "");
    CHECK(!aio__digest_find(auth_digest, &url, true) && aio__digest_find(auth_digest, &url, false));
    CHECK_INT(aio_digest_auth_challenged(auth_digest, NULL, &headers, false), EINVAL);
    CHECK_INT(aio_digest_auth_challenged(auth_digest, &url, NULL, false), EINVAL);
    CHECK_INT(aio_digest_auth_informed(auth_digest, NULL, &headers), 0);
    CHECK_INT(aio_digest_auth_informed(auth_digest, &url, NULL), 0);
    /* a field of 4096 bytes counts, a longer one does not */
    char field[4098];
    memset(field, 'x', sizeof field);
    for (size_t length = 4096; length < 4098; length++) {
        memcpy(field, length == 4096 ? "nextnonce=\"fits\", a=\"" : "nextnonce=\"late\", a=\"", 21);
        field[length - 2] = 'x';
        field[length - 1] = '"';
        field[length] = 0;
        CHECK_INT(strlen(field), length);
        CHECK_INT(aio_headers_set(&headers, "Authentication-Info", field), 0);
        CHECK_INT(aio_digest_auth_informed(auth_digest, &url, &headers), 0);
        CHECK(strstr(auth_answer("http://d.test/a/b", NULL, NULL), "nonce=\"fits\""));
    }
    aio_headers_clear(&headers);
    aio_url_clear(&url);
    aio_url_clear(&other);
    aio_digest_auth_unref(auth_digest);
}

/* The key of a -sess algorithm is made of the nonce that came with the challenge, also after another one has come: what
 * is expected is what Python's hashlib makes of the formulas of RFC 7616 3.4.2. */
TEST(auth_digest_session_key)
{
    static const char *const fields[] = { "nextnonce=\"between\"", "nextnonce=\"new\"" };
    aio_url url;
    aio_headers headers;
    memset(&headers, 0, sizeof headers);
    CHECK(auth_digest = aio_digest_auth_open("u", "p"));
    CHECK_INT(aio_url_parse(&url, "http://h.test/", 14, NULL), 0);
    CHECK_INT(auth_challenge("http://h.test/", "Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess, qop=auth",
                             false), 0);
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(aio_headers_set(&headers, "Authentication-Info", fields[i]), 0);
        CHECK_INT(aio_digest_auth_informed(auth_digest, &url, &headers), 0);
    }
    CHECK_STR(auth_answer("http://h.test/dir/index.html", "c", NULL),
              "Digest username=\"u\", realm=\"r\", nonce=\"new\", uri=\"/dir/index.html\", "
              "response=\"c18faf0988fd2785a1de37bf36dc0030\", algorithm=MD5-sess, cnonce=\"c\", qop=auth, nc=00000001");
    aio_headers_clear(&headers);
    aio_url_clear(&url);
    aio_digest_auth_unref(auth_digest);
}

/* Without memory there is no answer, and that is what is said: ENOTSUP would have the request go without one. */
TEST(auth_digest_without_memory)
{
    aio_url url;
    aio_text out;
    int code = ENOMEM;
    long n = 0;
    CHECK(auth_digest = aio_digest_auth_open("u", "p"));
    CHECK_INT(aio_url_parse(&url, "http://h.test/", 14, NULL), 0);
    CHECK_INT(auth_challenge("http://h.test/", "Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess, qop=auth",
                             false), 0);
    while (code == ENOMEM) {
        seam.fail_alloc = seam.allocations + ++n;
        code = aio_digest_auth_authorize(auth_digest, &url, "GET", "/", NULL, &out);
        seam.fail_alloc = seam.touched = 0;
        CHECK((code == 0) == (out.data != NULL));
    }
    CHECK_INT(code, 0);
    CHECK(n > 5); /* four hashes and the answer itself */
    aio_text_clear(&out);
    aio_url_clear(&url);
    aio_digest_auth_unref(auth_digest);
}

/* Memory that ends while a domain is looked at does not widen the space: the challenge is not taken, or the answer
 * fails. */
TEST(auth_digest_domain_without_memory)
{
    static const char field[] = "Digest realm=\"r\", nonce=\"n\", domain=\"http://e.test/ /b\"";
    aio_url from, url;
    aio_headers headers;
    aio_text out;
    int code = ENOMEM;
    long n = 0;
    memset(&headers, 0, sizeof headers);
    CHECK(auth_digest = aio_digest_auth_open("u", "p"));
    CHECK_INT(aio_url_parse(&from, "http://h.test/x", 15, NULL), 0);
    CHECK_INT(aio_url_parse(&url, "http://h.test/other", 19, NULL), 0);
    CHECK_INT(aio_headers_add(&headers, "WWW-Authenticate", field), 0);
    while (code == ENOMEM) {
        seam.fail_alloc = seam.allocations + ++n;
        code = aio_digest_auth_challenged(auth_digest, &from, &headers, false);
        seam.fail_alloc = seam.touched = 0;
        CHECK_INT((int)auth_digest->count, code == 0);
    }
    CHECK_INT(code, 0);
    CHECK(n > 5); /* the space, its URL, its texts, the domain and each of its URIs */
    for (n = 1; n < 9; n++) {
        seam.fail_alloc = seam.allocations + n;
        code = aio_digest_auth_authorize(auth_digest, &url, "GET", "/other", NULL, &out);
        seam.fail_alloc = seam.touched = 0;
        CHECK(!out.data && (!code || code == ENOMEM));
        aio_text_clear(&out);
    }
    CHECK(strstr(auth_answer("http://h.test/b/c", NULL, NULL), "nonce=\"n\""));
    aio_headers_clear(&headers);
    aio_url_clear(&from);
    aio_url_clear(&url);
    aio_digest_auth_unref(auth_digest);
}

/* As many URIs as a challenge can have; and those that are short because the URL is long, which has a limit. */
TEST(auth_digest_long_domain)
{
    char field[AIO__DIGEST_TEXT], url[300];
    CHECK(auth_digest = aio_digest_auth_open("u", "p"));
    size_t n = (size_t)snprintf(field, sizeof field, "Digest realm=\"r\", nonce=\"n\", domain=\"");
    size_t first = n;
    while (n < sizeof field - 10) n += (size_t)snprintf(field + n, sizeof field - n, "/\xc3\xa4 ");
    snprintf(field + n, sizeof field - n, "/b\"");
    CHECK_INT(auth_challenge("http://h.test/x", field, false), 0);
    CHECK(strstr(auth_answer("http://h.test/b", NULL, NULL), "nonce=\"n\""));
    CHECK(strstr(auth_answer("http://h.test/%C3%A4/c", NULL, NULL), "nonce=\"n\""));
    CHECK_STR(auth_answer("http://h.test/c", NULL, NULL), "");
    for (n = first; n < sizeof field - 10; ) n += (size_t)snprintf(field + n, sizeof field - n, "b ");
    snprintf(field + n, sizeof field - n, "c\"");
    CHECK_INT(auth_challenge("http://i.test/x", field, false), 0);
    CHECK(strstr(auth_answer("http://i.test/c", NULL, NULL), "nonce=\"n\""));
    n = (size_t)snprintf(url, sizeof url, "http://j.test/");
    while (n < 200) url[n++] = 'd';
    snprintf(url + n, sizeof url - n, "/x");
    CHECK_INT(auth_challenge(url, field, false), AIO_ESTATUS);
    CHECK_STR(auth_answer(url, NULL, NULL), "");
    CHECK_INT((int)auth_digest->count, 2);
    aio_digest_auth_unref(auth_digest);
}

/* A realm that only begins as the one that was answered is another; a proxy's space is another than its origin's. */
TEST(auth_digest_spaces_are_apart)
{
    aio_url url;
    aio_headers headers;
    aio_text out;
    memset(&headers, 0, sizeof headers);
    CHECK(auth_digest = aio_digest_auth_open("u", "p"));
    CHECK_INT(aio_url_parse(&url, "http://a.test/", 14, NULL), 0);
    CHECK_INT(auth_challenge("http://a.test/", "Digest realm=\"rr\", nonce=\"n\"", false), 0);
    CHECK_INT(auth_challenge("http://a.test/", "Digest realm=\"rr\", nonce=\"n\"", true), AIO_ESTATUS);
    CHECK_INT(auth_challenge("http://a.test/", "Digest realm=\"r\", nonce=\"n\"", true), 0);
    CHECK_INT(auth_challenge("http://a.test/", "Digest realm=\"rr\\\\\", nonce=\"n\"", true), 0);
    CHECK_INT((int)auth_digest->count, 3);
    CHECK_INT(aio_headers_add(&headers, "Proxy-Authenticate", "Digest realm=\"rr\", nonce=\"p\""), 0);
    CHECK_INT(aio__digest_challenged(auth_digest, &url, true, &headers, false), 0);
    CHECK_INT((int)auth_digest->count, 4);
    CHECK_STR(aio__digest_find(auth_digest, &url, true)->nonce, "p");
    CHECK_STR(aio__digest_find(auth_digest, &url, false)->nonce, "n");
    CHECK_INT(aio_digest_auth_authorize(auth_digest, &url, "GET", NULL, NULL, &out), EINVAL);
    CHECK_INT(aio_digest_auth_authorize(auth_digest, &url, NULL, "/", NULL, &out), EINVAL);
    CHECK_INT(aio_digest_auth_authorize(auth_digest, NULL, "GET", "/", NULL, &out), EINVAL);
    aio_headers_clear(&headers);
    aio_url_clear(&url);
    aio_digest_auth_unref(auth_digest);
}

TEST(auth_tokens)
{
    static const struct { aio_auth auth; const char *why; } rows[] = {
        { { .bearer = "!a~" }, NULL }, { { .bearer = "" }, "empty" }, { { .bearer = "a b" }, "character" },
        { { .bearer = "a\x7f" }, "character" }, { { .bearer = "a\xc3\xa4" }, "character" },
        { { .bearer = "a\x1f" }, "character" }, { { .user = "a" }, NULL }, { { .password = "p" }, NULL },
        { { .user = "a:b" }, "colon" }, { { .user = "a\n" }, "control" }, { { .user = "a", .password = "\r" }, "control" },
        { { .user = "a", .bearer = "b" }, "more than one" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *why = aio__auth_problem(&rows[i].auth);
        if (rows[i].why) CHECK(why && strstr(why, rows[i].why));
        else CHECK_PTR(why, NULL);
    }
}

TEST(auth_digest_chooses)
{
    static const char *const unfit[] = {
        "Basic realm=\"r\"", "Digest realm=\"r\"", "Digest nonce=\"n\"", "Digest realm=\"r\", nonce=\"n\", algorithm=MD6",
        "Digest realm=\"r\", nonce=\"n\", qop=\"other\"", "Digest realm=\"r\", nonce=\"n\", qop=\"\"", "Negotiate",
    };
    int code;
    CHECK(auth_digest = aio_digest_auth_open("u", "p"));
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        CHECK_INT(auth_challenge("http://h.test/", unfit[i], false), AIO_ESTATUS);
        CHECK_STR(auth_answer("http://h.test/", NULL, NULL), "");
    }
    CHECK_INT(auth_challenge("http://h.test/", "Basic realm=\"b\", Digest realm=\"r\", nonce=\"n\", algorithm=MD6, "
                             "Digest realm=\"s\", nonce=\"n\", algorithm=\"SHA-256-sess\", qop=\"auth-int\"", false), 0);
    const char *answer = auth_answer("http://h.test/", "c", NULL);
    CHECK(strstr(answer, "realm=\"s\"") && strstr(answer, "algorithm=SHA-256-sess") && strstr(answer, "qop=auth-int"));
    aio_url url;
    aio_text out;
    aio_headers headers;
    memset(&headers, 0, sizeof headers);
    CHECK_INT(aio_url_parse(&url, "http://h.test/", 14, NULL), 0);
    CHECK_INT(aio_digest_auth_authorize(auth_digest, &url, "POST", "/", NULL, &out), ENOTSUP);
    CHECK(!out.data);
    CHECK_INT(aio_digest_auth_authorize(auth_digest, &url, "POST", "/\n", NULL, &out), EINVAL);
    CHECK_INT(aio_digest_auth_authorize(NULL, &url, "POST", "/", NULL, &out), EINVAL);
    CHECK_INT(aio_digest_auth_challenged(NULL, &url, &headers, false), EINVAL);
    CHECK_INT(aio_headers_add(&headers, "Authentication-Info", "nextnonce=\"n\\\"2\", rspauth=\"x\""), 0);
    CHECK_INT(aio_digest_auth_informed(auth_digest, &url, &headers), 0);
    aio_headers_clear(&headers);
    aio_url_clear(&url);
    answer = auth_answer("http://h.test/", "c", &code);
    CHECK(strstr(answer, "nonce=\"n\\\"2\"") && strstr(answer, "nc=00000001") && strstr(answer, "realm=\"s\""));
    aio_digest_auth_unref(auth_digest);
    errno = 0;
    CHECK(!aio_digest_auth_open("a\nb", "") && errno == EINVAL);
    errno = 0;
    CHECK(!aio_digest_auth_open("a", NULL) && errno == EINVAL);
    aio_digest_auth_unref(NULL);
}

struct auth_digest_faults { aio_task task; int code; aio_digest_auth *auth; };
SCENARIO(auth_digest_faults)
{
    AIO_BEGIN(auth_digest_faults);
    REQUIRE(self->auth = auth_digest = aio_digest_auth_open("u", "p"));
    REQUIRE(auth_challenge("http://h.test/x", "Digest realm=\"r\", nonce=\"n\", opaque=\"o\", qop=auth, domain=\"/\"", false) == 0);
    CHECK(strstr(auth_answer("http://h.test/", NULL, &self->code), "opaque=\"o\""));
    REQUIRE(!self->code);
    AIO_FINALLY;
    aio_digest_auth_unref(self->auth);
    AIO_END;
}
#else
/* Without TLS there is none, and what is asked of none says so. */
TEST(auth_digest_is_not_there)
{
    aio_text out = { "", 1 };
    errno = 0;
    CHECK(!aio_digest_auth_open("u", "p") && errno == ENOTSUP);
    CHECK_INT(aio_digest_auth_authorize(NULL, NULL, "GET", "/", NULL, &out), ENOTSUP);
    CHECK(!out.data && !out.length);
    CHECK_INT(aio_digest_auth_authorize(NULL, NULL, "GET", "/", NULL, NULL), EINVAL);
}
#endif
