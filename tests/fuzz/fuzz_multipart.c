/* Multipart bodies: the same parts whatever the cuts. The first byte is how long the pieces are. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

typedef struct fuzz_parts { char text[65536]; size_t length; bool failed; } fuzz_parts;

static void fuzz_add(fuzz_parts *parts, const char *data, size_t n)
{
    if (n > sizeof parts->text - parts->length) n = sizeof parts->text - parts->length;
    if (n) memcpy(parts->text + parts->length, data, n);
    parts->length += n;
}

/* Goes through all parts, in pieces of `size` bytes that lie in blocks of their own. */
static void fuzz_run(fuzz_parts *parts, const uint8_t *data, size_t length, size_t size)
{
    aio_exception *error = NULL;
    aio_multipart *m = aio__multipart_open(aio__text("multipart/mixed; boundary=b", 27), NULL, NULL, NULL);
    char *piece = NULL;
    parts->length = 0;
    if (!m) abort();
    for (bool inside = false, over = false; !over && !error;) {
        aio_text out = { "", 0 };
        aio__body_step step = inside ? aio__part_data(m, &out, &error) : aio__part_advance(m, &error);
        if (step == AIO__BODY_DATA && inside) fuzz_add(parts, out.data, out.length);
        else if (step == AIO__BODY_DATA) {
            fuzz_add(parts, "[", 1);
            inside = true;
        } else if (step == AIO__BODY_DONE && inside) {
            fuzz_add(parts, "]", 1);
            inside = false;
        } else if (step == AIO__BODY_DONE) over = true;
        else if (step == AIO__BODY_MORE) {
            size_t n = length < size ? length : size;
            free(piece);
            piece = (char *)malloc(n ? n : 1);
            if (n) memcpy(piece, data, n);
            m->rest = aio__text(piece, n);
            m->ended = !n;
            data += n;
            length -= n;
        }
    }
    parts->failed = error != NULL;
    aio_exception_unref(error);
    aio_multipart_close(m);
    free(piece);
}

/* The same bytes in a transfer coding, in a block of their own: there are never more of them decoded. */
static void fuzz_coded(size_t (*decode)(char *, size_t), const uint8_t *data, size_t length)
{
    char *copy = (char *)malloc(length);
    if (!copy) abort();
    memcpy(copy, data, length);
    size_t decoded = decode(copy, length);
    if (decoded != SIZE_MAX && decoded > length) abort();
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fuzz_parts whole, cut;
    if (size < 2) return 0;
    fuzz_coded(aio__part_base64, data + 1, size - 1);
    fuzz_coded(aio__part_quoted, data + 1, size - 1);
    fuzz_run(&whole, data + 1, size - 1, size);
    fuzz_run(&cut, data + 1, size - 1, (size_t)data[0] % 16 + 1);
    if (whole.failed != cut.failed || (!whole.failed && (whole.length != cut.length
        || memcmp(whole.text, cut.text, whole.length) != 0))) abort();
    return 0;
}
