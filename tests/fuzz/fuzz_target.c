/* A request's target, and after the first LF the value of its Host: authority, path and query, and what the query says. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

/* What the query's text says of a piece, decoded in the plainest way: whether that is what was found. */
static bool fuzz_target_decodes(const char *raw, size_t n, aio_text found)
{
    size_t i = 0, k = 0;
    for (; i < n && k < found.length; k++) {
        unsigned byte = (unsigned char)raw[i];
        bool coded = byte == '%' && n - i > 2 && aio__hex_value(raw[i + 1]) >= 0 && aio__hex_value(raw[i + 2]) >= 0;
        if (coded) byte = (unsigned)(aio__hex_value(raw[i + 1]) * 16 + aio__hex_value(raw[i + 2]));
        else if (byte == '+') byte = ' ';
        if ((unsigned char)found.data[k] != byte) return false;
        i += coded ? 3 : 1;
    }
    return i == n && k == found.length && found.data[k] == '\0';
}

static void fuzz_target_query(aio_request *request)
{
    aio_text name, value;
    size_t position = 0, pairs = 0;
    while (aio_request_query_next(request, &position, &name, &value)) {
        size_t end = position, start = end;
        const char *query = request->query.data;
        while (start && query[start - 1] != '&') start--;
        const char *equals = (const char *)memchr(query + start, '=', end - start);
        size_t name_end = equals ? (size_t)(equals - query) : end;
        if (!fuzz_target_decodes(query + start, name_end - start, name)) abort();
        if (!fuzz_target_decodes(query + name_end + (equals != NULL), end - name_end - (equals != NULL), value)) abort();
        if (++pairs > request->query.length) abort();
    }
    aio_text first = aio_request_query(request, "a"), third = aio_request_query(request, "a", 2);
    if (third.data && !first.data) abort();
}

static void fuzz_target_parts(const aio__served *r)
{
    const aio_request *q = &r->request;
    if (q->authority.data[q->authority.length] || q->path.data[q->path.length] || !q->path.length) abort();
    if (q->query.data && q->query.data[q->query.length]) abort();
    if (q->authority.length && aio__http_authority_port(q->authority.data, q->authority.length) < 0) abort();
    if (memchr(q->path.data, '?', q->path.length) || strpbrk(q->authority.data, "/?#@\\ ,")) abort();
    if (r->connect ? q->query.data != NULL : *q->path.data != '/' && *q->path.data != '*') abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = { "GET", "CONNECT", "OPTIONS" };
    const uint8_t *lf = (const uint8_t *)memchr(data, '\n', size);
    size_t length = lf ? (size_t)(lf - data) : size;
    char *text = (char *)malloc(size + 64);
    if (!text) abort();
    for (int i = 0; i < 3; i++) {
        aio__served r;
        size_t used = 0;
        memset(&r, 0, sizeof r);
        int n = sprintf(text, "%s ", methods[i]);
        memcpy(text + n, data, length);
        n += (int)length;
        n += sprintf(text + n, " HTTP/1.1\r\nHost: ");
        if (lf) memcpy(text + n, lf + 1, size - length - 1);
        if (lf) n += (int)(size - length - 1);
        n += sprintf(text + n, "\r\n\r\n");
        aio__http_head_reset(&r.head, &r.request.headers, true);
        if (aio__http_head_feed(&r.head, text, (size_t)n, &used) == 0) {
            r.request.method = r.head.method;
            r.request.target = r.head.target;
            r.connect = i == 1;
            if (!aio__served_split(&r)) abort();
            fuzz_target_parts(&r);
            fuzz_target_query(&r.request);
        }
        aio_headers_clear(&r.request.headers);
        aio__free(r.parts.data);
    }
    free(text);
    return 0;
}
