/* Server-sent events: the same events whatever the cuts. The first byte is how long the pieces are. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

typedef struct fuzz_events { char text[65536]; size_t length; int code; } fuzz_events;

static void fuzz_event_add(fuzz_events *events, const aio__buffer *text)
{
    size_t n = text->end, room = sizeof events->text - events->length;
    if (n && text->data[n] != '\0') abort();
    if (n > room) n = room;
    if (n) memcpy(events->text + events->length, text->data, n);
    events->length += n;
    if (events->length < sizeof events->text) events->text[events->length++] = '|';
}

static void fuzz_events_of(fuzz_events *events, const uint8_t *data, size_t length, size_t size)
{
    aio__sse_parser p;
    memset(&p, 0, sizeof p);
    p.max_line = 1000;
    p.max_event = 2000;
    p.retry = -1;
    events->length = 0;
    events->code = 0;
    while (length && !events->code) {
        size_t n = length < size ? length : size;
        char *piece = (char *)malloc(n);
        if (!piece) abort();
        memcpy(piece, data, n);
        aio_text rest = aio__text(piece, n);
        int code;
        while ((code = aio__sse_feed(&p, &rest)) == AIO__SSE_EVENT) {
            fuzz_event_add(events, &p.type);
            fuzz_event_add(events, &p.data);
            fuzz_event_add(events, &p.id);
        }
        events->code = code;
        free(piece);
        data += n;
        length -= n;
    }
    aio__sse_clear(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static fuzz_events whole, cut;
    if (size < 2) return 0;
    fuzz_events_of(&whole, data + 1, size - 1, size);
    fuzz_events_of(&cut, data + 1, size - 1, (size_t)data[0] % 16 + 1);
    if (whole.code != cut.code || whole.length != cut.length || memcmp(whole.text, cut.text, whole.length) != 0)
        abort();
    return 0;
}
