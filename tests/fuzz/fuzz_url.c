/* URLs. The first byte says where the input is cut into a base and a reference. Whatever parses is in normal form: it
 * parses again to itself, and has no byte that could not stand in a request line. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

static void fuzz_url_normal(const aio_url *url, bool encoded)
{
    aio_url again;
    const char *reason = NULL;
    for (size_t i = 0; i < url->text.length; i++)
        if (url->text.data[i] <= ' ' || url->text.data[i] >= 0x7f) abort();
    if (url->is_http && (!url->host.length || !url->port || *url->path.data != '/')) abort();
    if (aio_url_parse(&again, url->text.data, url->text.length, &reason, .encoded = encoded)) {
        if (strcmp(reason, "the URL is longer than 65536 bytes") != 0) abort();
        return;
    }
    if (again.text.length != url->text.length
        || memcmp(again.text.data, url->text.data, url->text.length) != 0) abort();
    if (again.port != url->port || again.host.length != url->host.length) abort();
    if (url->host.data && !aio_url_same_origin(url, &again)) abort();
    aio_url_clear(&again);
}

/* What is taken as given parses to itself as such, and so does what is joined to it. */
static void fuzz_url_encoded(const char *text, size_t cut, size_t size)
{
    aio_url base, url;
    size_t offset = 0;
    if (aio_url_parse(&base, text, cut, NULL, .encoded = true, .offset = &offset)) {
        if (offset != SIZE_MAX && offset >= cut) abort();
        return;
    }
    fuzz_url_normal(&base, true);
    if (!aio_url_join(&url, &base, text + cut, size - cut, NULL, .encoded = true)) fuzz_url_normal(&url, true);
    aio_url_clear(&url);
    if (!aio_url_join(&url, &base, text + cut, size - cut, NULL, .repair = true)) fuzz_url_normal(&url, true);
    aio_url_clear(&url);
    aio_url_clear(&base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    aio_url base, url;
    const char *reason = NULL, *text = (const char *)data + 1;
    if (!size) return 0;
    size_t cut = data[0] < size ? data[0] : size - 1;
    fuzz_url_encoded(text, cut, size - 1);
    if (aio_url_parse(&base, text, cut, &reason)) {
        if (!reason || base.block) abort();
        return 0;
    }
    fuzz_url_normal(&base, false);
    if (!aio_url_join(&url, &base, text + cut, size - 1 - cut, &reason)) fuzz_url_normal(&url, false);
    aio_url_clear(&url);
    if (!aio_url_join(&url, &base, text + cut, size - 1 - cut, &reason, .repair = true)) fuzz_url_normal(&url, false);
    aio_url_clear(&url);
    if (!aio_url_extend_query(&url, &base, text + cut, size - 1 - cut, &reason)) fuzz_url_normal(&url, false);
    aio_url_clear(&url);
    aio_url_clear(&base);
    return 0;
}
