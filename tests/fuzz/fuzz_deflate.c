/* deflate. The first byte says format, level and cuts, the second how often it is flushed. inflate gives the input
 * back, and outside of the replay zlib does; no cut shows in the output where nothing is flushed. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <zlib.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

enum { FUZZ_DEFLATE_ROOM = 1 << 22 };

static size_t fuzz_deflate_encode(const uint8_t *data, size_t size, int format, int level, size_t step,
                                  unsigned flushes, uint8_t *out)
{
    size_t length = 0, at = 0, made;
    aio_deflate *z = aio_deflate_open(.format = format, .level = level);
    if (!z) abort();
    for (unsigned n = 1;; n++) {
        aio_text in = { (const char *)data + at, size - at < step ? size - at : step };
        at += in.length;
        enum aio_deflate_flush flush = at == size ? AIO_DEFLATE_FINISH
            : flushes && n % flushes == 0 ? AIO_DEFLATE_FLUSH : AIO_DEFLATE_MORE;
        do {
            size_t room = step < FUZZ_DEFLATE_ROOM - length ? step : FUZZ_DEFLATE_ROOM - length;
            if (aio_deflate_feed(z, &in, out + length, room, &made, flush) || made > room) abort();
            length += made;
            if (length == FUZZ_DEFLATE_ROOM) abort();
            if (made < room) break;
        } while (true);
        if (in.length) abort();
        if (flush == AIO_DEFLATE_FINISH) break;
    }
    if (!aio_deflate_done(z)) abort();
    aio_deflate_close(z);
    return length;
}

#ifndef FUZZ_REPLAY
static void fuzz_deflate_zlib(const uint8_t *data, size_t size, int format, const uint8_t *coded, size_t length)
{
    static uint8_t theirs[FUZZ_DEFLATE_ROOM];
    z_stream s;
    memset(&s, 0, sizeof s);
    if (inflateInit2(&s, format == AIO_CODING_GZIP ? 31 : format == AIO_CODING_ZLIB ? 15 : -15) != Z_OK) abort();
    s.next_in = (Bytef *)(uintptr_t)coded;
    s.avail_in = (uInt)length;
    s.next_out = theirs;
    s.avail_out = sizeof theirs;
    if (inflate(&s, Z_FINISH) != Z_STREAM_END || s.avail_in || s.total_out != size) abort();
    if (size && memcmp(theirs, data, size) != 0) abort();
    inflateEnd(&s);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *whole, *cut;
    if (!whole) whole = (uint8_t *)malloc(FUZZ_DEFLATE_ROOM);
    if (!cut) cut = (uint8_t *)malloc(FUZZ_DEFLATE_ROOM);
    if (!whole || !cut) abort();
    if (size < 2) return 0;
    int format = 1 + data[0] % 3, level = data[0] / 3 % 3;
    size_t step = 1 + data[0] / 9;
    unsigned flushes = data[1] & 7;
    aio_text text;
    data += 2;
    size -= 2;
    size_t length = fuzz_deflate_encode(data, size, format, level, FUZZ_DEFLATE_ROOM, 0, whole);
    size_t cut_length = fuzz_deflate_encode(data, size, format, level, step, flushes, cut);
    if (!flushes && (length != cut_length || memcmp(whole, cut, length) != 0)) abort();
    if (aio_inflate_all(&text, cut, cut_length, NULL, .format = format, .max_ratio = AIO_UNLIMITED)) abort();
    if (text.length != size || (size && memcmp(text.data, data, size) != 0)) abort();
    aio_text_clear(&text);
#ifndef FUZZ_REPLAY
    fuzz_deflate_zlib(data, size, format, cut, cut_length);
#endif
    return 0;
}
