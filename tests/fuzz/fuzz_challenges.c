/* Challenges of WWW-Authenticate, and Authentication-Info: fields in lines. Whatever is answered is a field's value
 * that ends where its text does, and is not for another origin that no `domain` names. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

#ifndef AIO_NO_TLS
static bool fuzz_challenge_answers(aio_digest_auth *auth, const char *to, const aio_text *body)
{
    aio_url url;
    aio_text field = { NULL, 0 };
    if (aio_url_parse(&url, to, strlen(to), NULL)) abort();
    int code = aio_digest_auth_authorize(auth, &url, "GET", url.target.data, body, &field);
    if (code ? code != ENOTSUP || body || field.data : field.data && strlen(field.data) != field.length) abort();
    bool is = field.data && strncmp(field.data, "Digest ", 7) == 0;
    if (field.data && (!is || aio__has_control(field.data, field.length, false))) abort();
    bool answers = field.data != NULL;
    aio_text_clear(&field);
    aio_url_clear(&url);
    return answers;
}

static void fuzz_challenge(aio_digest_auth *auth, const aio_url *url, const aio_headers *headers, bool names_other)
{
    static const aio_text none = { "", 0 };
    for (int round = 0; round < 3; round++) {
        int code = aio_digest_auth_challenged(auth, url, headers, round > 0);
        if (code && code != AIO_ESTATUS) abort();
        fuzz_challenge_answers(auth, "http://a.test/x?y", NULL);
        if (!code && !fuzz_challenge_answers(auth, "http://a.test/x?y", &none)) abort();
        if (fuzz_challenge_answers(auth, "http://other.test/x", &none) && !names_other) abort();
        if (aio_digest_auth_informed(auth, url, headers)) abort();
    }
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
#ifndef AIO_NO_TLS
    aio_headers headers;
    aio_url url;
    aio_digest_auth *auth = aio_digest_auth_open("u\"\\\xc3\xa9", "secret");
    memset(&headers, 0, sizeof headers);
    if (!auth || aio_url_parse(&url, "http://a.test/x?y", 17, NULL)) abort();
    for (const char *at = (const char *)data, *end = at + size; at < end;) {
        const char *stop = (const char *)memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);
        bool info = n && *at == '!';
        if (info) at++;
        if (!aio__header_value_problem(at, n - info))
            aio__headers_append(&headers, info ? "Authentication-Info" : "WWW-Authenticate", info ? 19 : 16, at,
                                n - info);
        at = stop ? stop + 1 : end;
    }
    fuzz_challenge(auth, &url, &headers, size && memmem(data, size, "://", 3) != NULL);
    aio_digest_auth_unref(auth);
    aio_headers_clear(&headers);
    aio_url_clear(&url);
#else
    (void)data;
    (void)size;
#endif
    return 0;
}
