/* Messages through the public parser: all at once and in pieces of one size they say the same. The first byte tells
 * which kind, the second how long the pieces are. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_STEPS = 10000 };
typedef struct fuzz_said { char *text; size_t length, room; bool in_body; } fuzz_said;

static void fuzz_say(fuzz_said *said, const char *data, size_t n)
{
    if (said->length + n > said->room) {
        said->room = 2 * (said->length + n);
        said->text = (char *)realloc(said->text, said->room);
        if (!said->text) abort();
    }
    if (n) memcpy(said->text + said->length, data, n);
    said->length += n;
}

/* The next thing, as text; pieces of a body are joined. False at the end of what there is. */
static bool fuzz_parser_step(const aio_http_parser *parser, aio_http_step step, aio_text piece, fuzz_said *said)
{
    const aio_http_message *m = aio_http_parser_message(parser);
    char line[200];
    if (step == AIO_HTTP_MORE) return false;
    if (step == AIO_HTTP_BODY) {
        if (!piece.length) abort();
        fuzz_say(said, piece.data, piece.length);
        return true;
    }
    int n = snprintf(line, sizeof line, "[%d %d %d %zu %zu %u %u %lld %s]", (int)step, m->status, m->version,
                     m->method.length, m->target.length, m->headers.count, m->trailers.count,
                     (long long)m->content_length, m->problem ? m->problem : "");
    fuzz_say(said, line, (size_t)n);
    return step != AIO_HTTP_ERROR && step != AIO_HTTP_UPGRADED;
}

static fuzz_said fuzz_parser_run(const uint8_t *data, size_t size, size_t at_once)
{
    fuzz_said said = { NULL, 0, 0, false };
    aio_http_parser *parser = aio_http_parser_open(.requests = data[0] == 'q', .strict = data[0] == 's');
    aio_text piece;
    if (!parser) abort();
    if (data[0] == 'c') aio_http_parser_expect(parser, "CONNECT");
    if (data[0] == 'h') aio_http_parser_expect(parser, "HEAD");
    for (size_t at = 2; at < size; at += at_once) {
        aio_text in = { (const char *)data + at, size - at < at_once ? size - at : at_once };
        aio_http_step step;
        do step = aio_http_parser_feed(parser, &in, &piece); while (fuzz_parser_step(parser, step, piece, &said));
        if (step != AIO_HTTP_MORE) break;
        if (in.length) abort();
    }
    for (int i = 0; i < 4; i++) {
        aio_text none = { "", 0 };
        while (fuzz_parser_step(parser, aio_http_parser_feed(parser, &none, &piece), piece, &said)) { }
        if (!fuzz_parser_step(parser, aio_http_parser_finish(parser), piece, &said)) break;
    }
    aio_http_parser_close(parser);
    return said;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    fuzz_said whole = fuzz_parser_run(data, size, size), pieces = fuzz_parser_run(data, size, (size_t)data[1] % 16 + 1);
    if (whole.length != pieces.length || (whole.length && memcmp(whole.text, pieces.text, whole.length))) abort();
    free(whole.text);
    free(pieces.text);
    return 0;
}
