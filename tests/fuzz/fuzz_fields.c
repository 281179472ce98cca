/* Fields that say what a body is and where it leads: Content-Disposition and Link, and the file name made of one. The
 * first byte says where the input is cut in two. Whatever is given ends where its text does, and has sane forms. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

static void fuzz_file_name(const char *from, size_t size)
{
    char *out = (char *)malloc(size ? size : 1);
    size_t n = aio_safe_filename(out, size, from);
    if (size && (n >= size || strlen(out) != n)) abort();
    if (n && (*out == '.' || *out == ' ' || out[n - 1] == '.' || out[n - 1] == ' ')) abort();
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] < 0x20 || strchr("/\\<>:\"|?*\x7f", out[i])) abort();
    free(out);
}

static void fuzz_dispositions(aio__body_reader *in, const aio_headers *headers, size_t size)
{
    const aio_disposition *d = aio__content_disposition(in, headers);
    if (!d) return;
    if (!*d->type || strpbrk(d->type, ";ABCDEFGHIJKLMNOPQRSTUVWXYZ")) abort();
    if (d->name && strlen(d->name) > d->parameters.length) abort();
    if (!d->filename) return;
    if (strlen(d->filename) > d->parameters.length) abort();
    fuzz_file_name(d->filename, 256);
    fuzz_file_name(d->filename, size);
}

static void fuzz_links(aio__body_reader *in, const aio_headers *headers, const aio_url *base)
{
    size_t count = 0;
    const aio__weblink_list *list = aio__weblink_read(in, headers, base);
    const aio_link *links = list ? aio__weblink_at(list, &count) : NULL;
    if (!list) abort();
    for (size_t i = 0; i < count; i++) {
        aio_url url;
        const char *reason = "";
        if (!aio_url_parse(&url, links[i].url, strlen(links[i].url), &reason)) {
            if (strcmp(url.text.data, links[i].url) != 0) abort();
            aio_url_clear(&url);
        } else if (strcmp(reason, "the URL is longer than 65536 bytes") != 0) abort();
        size_t word = strcspn(links[i].rel, " \t");
        char *rel = (char *)malloc(word + 1);
        memcpy(rel, links[i].rel, word);
        rel[word] = '\0';
        if (word && !aio__weblink_is(&links[i], rel)) abort();
        free(rel);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char page[] = "http://h.test/a/b?c";
    aio__body_reader in;
    aio_headers headers;
    aio_url base;
    const char *text = (const char *)data + 1;
    if (!size) return 0;
    size_t cut = data[0] < size ? data[0] : size - 1;
    memset(&in, 0, sizeof in);
    memset(&headers, 0, sizeof headers);
    if (aio_url_parse(&base, page, sizeof page - 1, NULL)) abort();
    if (!aio__header_value_problem(text, cut) && !aio__header_value_problem(text + cut, size - 1 - cut)) {
        aio__headers_append(&headers, "Content-Disposition", 19, text, cut);
        aio__headers_append(&headers, "Link", 4, text, cut);
        aio__headers_append(&headers, "Link", 4, text + cut, size - 1 - cut);
        fuzz_dispositions(&in, &headers, cut);
        fuzz_links(&in, &headers, &base);
    }
    aio__body_clear(&in);
    aio_headers_clear(&headers);
    aio_url_clear(&base);
    return 0;
}
