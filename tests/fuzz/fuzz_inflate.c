/* inflate. The first byte says the format and how the input is cut: cut or whole, the answer is the same; and outside
 * of the replay it is zlib's, for zlib and raw streams. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <zlib.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

enum { FUZZ_INFLATE_ROOM = 1 << 20 };

static size_t fuzz_inflate_decode(const uint8_t *data, size_t size, int format, size_t step, uint8_t *out, int *code,
                                  aio_input_error *error)
{
    size_t length = 0, made;
    aio_inflate *z = aio_inflate_open(.format = format, .max_output = FUZZ_INFLATE_ROOM, .max_ratio = AIO_UNLIMITED);
    if (!z) abort();
    *code = 0;
    for (size_t at = 0; at < size && !*code;) {
        aio_text in = { (const char *)data + at, size - at < step ? size - at : step };
        at += in.length;
        do {
            size_t room = step < FUZZ_INFLATE_ROOM + 1 - length ? step : FUZZ_INFLATE_ROOM + 1 - length;
            *code = aio_inflate_feed(z, &in, out + length, room, &made);
            if (made > room || (*code && made)) abort();
            length += made;
            if (made < room) break;
        } while (!*code);
    }
    if (!*code) *code = aio_inflate_end(z);
    *error = *aio_inflate_error(z);
    if (!*code != !*error->reason || error->offset > size) abort();
    aio_inflate_close(z);
    return length;
}

#ifndef FUZZ_REPLAY
static void fuzz_inflate_zlib(const uint8_t *data, size_t size, int format, const uint8_t *ours, size_t length,
                              int code)
{
    static uint8_t theirs[FUZZ_INFLATE_ROOM];
    z_stream s;
    memset(&s, 0, sizeof s);
    if (inflateInit2(&s, format == AIO_CODING_ZLIB ? 15 : -15) != Z_OK) abort();
    s.next_in = (Bytef *)(uintptr_t)data;
    s.avail_in = (uInt)size;
    s.next_out = theirs;
    s.avail_out = sizeof theirs;
    int result = inflate(&s, Z_FINISH);
    size_t common = s.total_out < length ? s.total_out : length;
    if (code != AIO_ELIMIT && (result == Z_STREAM_END) != !code) {
        /* zlib keeps to the window that the header names; we to 32 KiB */
        if (!(format == AIO_CODING_ZLIB && size && data[0] != 0x78)) abort();
    }
    if (memcmp(ours, theirs, common) != 0 || (!code && s.total_out != length)) abort();
    inflateEnd(&s);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *whole, *cut;
    if (!whole) whole = (uint8_t *)malloc(FUZZ_INFLATE_ROOM + 1);
    if (!cut) cut = (uint8_t *)malloc(FUZZ_INFLATE_ROOM + 1);
    if (!whole || !cut) abort();
    aio_input_error whole_error, cut_error;
    int whole_code, cut_code;
    if (!size) return 0;
    int format = data[0] & 3;
    size_t step = 1 + (data[0] >> 2);
    size_t length = fuzz_inflate_decode(data + 1, size - 1, format, FUZZ_INFLATE_ROOM + 1, whole, &whole_code,
                                        &whole_error);
    size_t cut_length = fuzz_inflate_decode(data + 1, size - 1, format, step, cut, &cut_code, &cut_error);
    if (length != cut_length || memcmp(whole, cut, length) != 0 || whole_code != cut_code) abort();
    if (whole_error.offset != cut_error.offset && whole_code != AIO_ELIMIT) abort();
    if (strcmp(whole_error.reason, cut_error.reason) != 0) abort();
#ifndef FUZZ_REPLAY
    if (format == AIO_CODING_ZLIB || format == AIO_CODING_RAW)
        fuzz_inflate_zlib(data + 1, size - 1, format, whole, length, whole_code);
#endif
    return 0;
}
