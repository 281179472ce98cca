/* Cookies: the first byte chooses the URL that the first line comes from, as a Set-Cookie; each further line is another
 * URL's. Whatever the jar takes is for a domain of that URL's, can be said in a request, and comes back from a file.
 * All lines are a cookies.txt, too, and a list of public suffixes. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

static void fuzz_cookie_sane(const aio_cookie *c)
{
    if (!c->name.length || c->name.length + c->value.length > 4096 || *c->path.data != '/' || c->expires < 0) abort();
    if (aio__has_control(c->name.data, c->name.length, true) || aio__has_control(c->value.data, c->value.length, false)
        || aio__has_control(c->path.data, c->path.length, true)) abort();
    for (size_t i = 0; i < c->name.length; i++)
        if (strchr(";=", c->name.data[i])) abort();
    if (memchr(c->value.data, ';', c->value.length)) abort();
}

/* One that a URL has just set may only be for that, or for what it is below of, which is no top level. */
static void fuzz_cookie_of(const aio_cookie *c, const aio_url *url)
{
    size_t n = c->domain.length, host = url->host.length;
    if (c->host_only ? n != host : n > host || (n < host && url->host.data[host - n - 1] != '.')) abort();
    if (memcmp(c->domain.data, url->host.data + host - n, n) != 0) abort();
    if (!c->host_only && !memchr(c->domain.data, '.', n)) abort();
    if (c->secure && !url->is_tls) abort();
}

static size_t fuzz_cookie_text(aio_cookie_jar *jar, aio__buffer *out)
{
    size_t count = 0;
    for (const aio_cookie *c = NULL; (c = aio_cookie_jar_next(jar, c)) != NULL; count++) {
        fuzz_cookie_sane(c);
        if (!aio__cookie_write(out, c)) abort();
    }
    if (count != aio_cookie_jar_count(jar)) abort();
    return count;
}

/* What a file of them gives is the same file. */
static void fuzz_cookie_file(aio_cookie_jar *jar)
{
    aio__buffer once = { NULL, 0, 0, 0 }, again = { NULL, 0, 0, 0 };
    aio_cookie_jar *other = aio_cookie_jar_open(.unsafe = true);
    int line;
    size_t count = fuzz_cookie_text(jar, &once);
    if (!other || aio__cookie_lines(other, aio__text(once.data, once.end), true, &line)) abort();
    if (fuzz_cookie_text(other, &again) != count || once.end != again.end
        || (once.end && memcmp(once.data, again.data, once.end) != 0)) abort();
    aio_cookie_jar_unref(other);
    aio__free(once.data);
    aio__free(again.data);
}

static void fuzz_cookie_load(const char *text, size_t size)
{
    aio_cookie_jar *jar = aio_cookie_jar_open();
    int line = 0;
    if (!jar) abort();
    if (aio__cookie_lines(jar, aio__text(text, size), false, &line) ? line < 1 || aio_cookie_jar_count(jar)
                                                                   : aio__cookie_lines(jar, aio__text(text, size),
                                                                                       true, &line)) abort();
    fuzz_cookie_file(jar);
    aio_cookie_jar_unref(jar);
}

/* Rules are names as hosts have them; a cookie is for one only if none of them is that name. */
static void fuzz_cookie_suffixes(const char *text, size_t size)
{
    static const char field[] = "a=b; Domain=b.test";
    aio_url url;
    aio_cookie_jar *jar = aio_cookie_jar_open();
    if (!jar || aio_url_parse(&url, "http://a.b.test/", 16, NULL)) abort();
    int code = aio__suffixes_parse(jar, text, size);
    bool listed = false, excepted = false;
    if (code && code != EINVAL) abort();
    for (size_t i = 0; !code && i < jar->suffix_capacity; i++) {
        const char *rule = jar->suffix_slots[i] ? jar->suffixes + jar->suffix_slots[i] - 1 : "x";
        if (!*rule) abort();
        listed |= !strcmp(rule, "b.test");
        excepted |= !strcmp(rule, "!b.test");
        for (const char *at = rule; *at; at++)
            if (*at <= ' ' || (*at >= 'A' && *at <= 'Z')) abort();
    }
    if (!code) code = aio_cookie_jar_update(jar, &url, field, sizeof field - 1, NULL);
    if (listed && !code && !excepted) abort();
    aio_url_clear(&url);
    aio_cookie_jar_unref(jar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const urls[] = { "https://a.b.test/x/y?z", "http://b.test/", "http://test/", "https://1.2.3.4/x",
                                        "http://[::1]/", "http://c.b.test/x/" };
    enum { URLS = sizeof urls / sizeof *urls };
    aio_url url[URLS];
    aio_text said;
    if (!size) return 0;
    aio_cookie_jar *jar = aio_cookie_jar_open(.max_cookies = 5, .max_per_domain = 3, .unsafe = data[0] & 1);
    if (!jar) abort();
    for (size_t i = 0; i < URLS; i++)
        if (aio_url_parse(&url[i], urls[i], strlen(urls[i]), NULL)) abort();
    size_t which = data[0] / 2 % URLS;
    for (const char *at = (const char *)data + 1, *end = (const char *)data + size; at < end; which++) {
        const char *stop = (const char *)memchr(at, '\n', (size_t)(end - at)), *reason = NULL;
        size_t n = (size_t)((stop ? stop : end) - at);
        bool none = !aio_cookie_jar_count(jar);
        int code = aio_cookie_jar_update(jar, &url[which % URLS], at, n, &reason);
        if (code ? code != EINVAL || !reason : reason != NULL) abort();
        if (none && aio_cookie_jar_count(jar)) fuzz_cookie_of(aio_cookie_jar_next(jar, NULL), &url[which % URLS]);
        at = stop ? stop + 1 : end;
    }
    if (aio_cookie_jar_count(jar) > 5) abort();
    fuzz_cookie_file(jar);
    for (size_t i = 0; i < URLS; i++) {
        if (aio_cookie_jar_filter(jar, &url[i], &said)) abort();
        if (said.data && (!said.length || aio__has_control(said.data, said.length, false))) abort();
        aio_url_clear(&url[i]);
    }
    aio_cookie_jar_unref(jar);
    fuzz_cookie_load((const char *)data + 1, size - 1);
    fuzz_cookie_suffixes((const char *)data + 1, size - 1);
    return 0;
}
