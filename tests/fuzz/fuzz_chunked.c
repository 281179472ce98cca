/* Chunked bodies: fed whole and in pieces they give the same data, the same end and the same bytes left over. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

typedef struct fuzz_body { char *data; size_t length, used; aio__body_step step; } fuzz_body;

static void fuzz_body_run(fuzz_body *run, const uint8_t *data, size_t size, size_t step)
{
    aio__body body;
    aio_text out;
    size_t used;
    memset(run, 0, sizeof *run);
    run->data = (char *)malloc(size + 1);
    if (!run->data) abort();
    aio__body_start(&body, AIO__BODY_CHUNKED, 0);
    while (run->used < size) {
        size_t piece = size - run->used < step ? size - run->used : step;
        char *copy = (char *)malloc(piece);
        if (!copy) abort();
        memcpy(copy, data + run->used, piece);
        run->step = aio__body_feed(&body, copy, piece, &used, &out);
        if (run->step == AIO__BODY_MORE && used != piece) abort();
        if (used > piece || (out.length && (out.data < copy || out.data + out.length != copy + used))) abort();
        if (out.length) memcpy(run->data + run->length, out.data, out.length);
        free(copy);
        run->length += out.length;
        run->used += used;
        if (run->step == AIO__BODY_DONE || run->step == AIO__BODY_ERROR) break;
    }
    if (run->step == AIO__BODY_DATA) run->step = AIO__BODY_MORE;
    if (body.received != run->length || (run->step == AIO__BODY_ERROR) != (body.problem != NULL)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = { 1, 2, 5, 33 };
    fuzz_body whole, pieces;
    fuzz_body_run(&whole, data, size, size ? size : 1);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fuzz_body_run(&pieces, data, size, steps[i]);
        if (pieces.step != whole.step || pieces.used != whole.used || pieces.length != whole.length) abort();
        if (memcmp(pieces.data, whole.data, whole.length) != 0) abort();
        free(pieces.data);
    }
    free(whole.data);
    return 0;
}
