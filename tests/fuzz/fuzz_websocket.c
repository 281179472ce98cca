/* WebSocket frames: the same messages, control frames and error whatever the cuts. The first byte is how long the
 * pieces are, and of which side. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

typedef struct fuzz_frames { char text[65536]; size_t length; int code; bool text_failed; } fuzz_frames;

static void fuzz_frames_add(fuzz_frames *f, const char *data, size_t n)
{
    if (n > sizeof f->text - f->length) n = sizeof f->text - f->length;
    if (n) memcpy(f->text + f->length, data, n);
    f->length += n;
}

static void fuzz_frames_piece(fuzz_frames *f, const aio__ws_reader *r, aio__ws_text *text, aio_text piece)
{
    if (r->type == AIO_WS_TEXT && !f->text_failed)
        f->text_failed = !aio__ws_text_feed(text, piece.data, piece.length, r->ended);
    if (r->ended) memset(text, 0, sizeof *text);
    fuzz_frames_add(f, piece.data, piece.length);
    if (r->ended) fuzz_frames_add(f, r->compressed ? "Z" : r->type == AIO_WS_TEXT ? "T" : "B", 1);
}

static void fuzz_frames_run(fuzz_frames *f, const uint8_t *data, size_t length, size_t size, unsigned sides)
{
    aio__ws_reader r;
    aio__ws_text text = { { 0 }, 0 };
    char *unread = (char *)malloc(1);
    size_t n = 0, used;
    memset(&r, 0, sizeof r);
    r.max = 4096;
    r.masked = sides & 1;
    r.deflates = sides & 2;
    f->length = 0;
    f->text_failed = false;
    for (;;) {
        aio_text piece;
        if (!unread) abort();
        aio__ws_step step = aio__ws_feed(&r, unread, n, &used, &piece);
        if (used > n || (step == AIO__WS_BAD && used)) abort();
        if (piece.length && (piece.data < unread || piece.data + piece.length != unread + used)) abort();
        if (step == AIO__WS_BAD) break;
        if (step == AIO__WS_PIECE) fuzz_frames_piece(f, &r, &text, piece);
        if (step == AIO__WS_CONTROL && piece.length > 125) abort();
        bool more = step == AIO__WS_MORE && !used;
        size_t came = !more ? 0 : length < size ? length : size;
        if (more && !came) break;
        char *next = (char *)malloc(n - used + came + 1); /* a block of its own: a byte beyond is seen */
        if (!next) abort();
        memcpy(next, unread + used, n - used);
        if (came) memcpy(next + n - used, data, came);
        free(unread);
        unread = next;
        n = n - used + came;
        data += came;
        length -= came;
    }
    f->code = r.code;
    free(unread);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fuzz_frames whole, cut;
    if (size < 2) return 0;
    fuzz_frames_run(&whole, data + 1, size - 1, size, data[0] >> 6);
    fuzz_frames_run(&cut, data + 1, size - 1, (size_t)data[0] % 64 + 1, data[0] >> 6);
    if (whole.code != cut.code || whole.text_failed != cut.text_failed || whole.length != cut.length
        || memcmp(whole.text, cut.text, whole.length) != 0) abort();
    return 0;
}
