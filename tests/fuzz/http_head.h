/* What the two fuzzers of HTTP heads share: a head fed whole and one fed in pieces must come out alike. */
#ifndef FUZZ_HTTP_HEAD_H
#define FUZZ_HTTP_HEAD_H

typedef struct fuzz_head { aio_headers headers; aio__http_head head; size_t used; int code; } fuzz_head;

static void fuzz_head_run(fuzz_head *run, const uint8_t *data, size_t size, size_t step, bool is_request, bool lax)
{
    size_t given = step < size ? step : size;
    memset(run, 0, sizeof *run);
    run->head.lenient = lax ? AIO__LENIENT_ALL : 0;
    run->head.limits.line = 64;
    run->head.limits.field = 96;
    run->head.limits.count = 8;
    run->head.limits.total = 400;
    aio__http_head_reset(&run->head, &run->headers, is_request);
    for (;;) {
        char *copy = (char *)malloc(given ? given : 1);
        if (!copy) abort();
        if (given) memcpy(copy, data, given);
        run->code = aio__http_head_feed(&run->head, copy, given, &run->used);
        free(copy);
        if (run->code != AIO__MORE || given == size) return;
        given = size - given < step ? size : given + step;
    }
}

static void fuzz_head_same(const fuzz_head *a, const fuzz_head *b)
{
    size_t i = 0, k = 0;
    aio_text a_name, a_value, b_name, b_value;
    if (a->code != b->code || a->used != b->used) abort();
    if (a->code > 0 && (!a->head.problem || !a->head.refuse)) abort();
    if (a->code) return;
    if (a->head.status != b->head.status || a->head.minor != b->head.minor || a->head.length != b->head.length) abort();
    if (a->head.chunked != b->head.chunked || a->head.keep_alive != b->head.keep_alive) abort();
    if (a->head.chunked && a->head.has_length) abort();
    if (a->head.target.length != b->head.target.length || a->head.reason.length != b->head.reason.length) abort();
    while (aio_headers_next(&a->headers, &i, &a_name, &a_value)) {
        if (!aio_headers_next(&b->headers, &k, &b_name, &b_value)) abort();
        if (a_name.length != b_name.length || memcmp(a_name.data, b_name.data, a_name.length) != 0) abort();
        if (a_value.length != b_value.length || memcmp(a_value.data, b_value.data, a_value.length) != 0) abort();
        if (aio__header_name_problem(a_name.data, a_name.length)) abort();
        if (aio__header_value_problem(a_value.data, a_value.length)) abort();
    }
    if (aio_headers_next(&b->headers, &k, &b_name, &b_value)) abort();
}

static void fuzz_head_compare(const uint8_t *data, size_t size, bool is_request, bool lax)
{
    static const size_t steps[] = { 1, 2, 7, 64 };
    fuzz_head whole, pieces;
    fuzz_head_run(&whole, data, size, size, is_request, lax);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fuzz_head_run(&pieces, data, size, steps[i], is_request, lax);
        fuzz_head_same(&whole, &pieces);
        aio_headers_clear(&pieces.headers);
    }
    aio_headers_clear(&whole.headers);
}
#endif
