/* Routes: lines that are patterns, up to an empty one, and then a path. The route that is found is the one that a look
 * at each pattern alone would choose. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

enum { FUZZ_ROUTES = 64, FUZZ_ROUTE_TEXT = 2048 };

static void *fuzz_route_handler(aio_request *request, void *arg) { return (void)request, arg; }

/* Decodes a segment, and goes behind it; false: there is none. */
static bool fuzz_route_segment(const char **at, const char *end, char *out, size_t *length)
{
    if (*at == end) return false;
    const char *start = ++*at;
    while (*at < end && **at != '/') ++*at;
    *length = (size_t)(aio__unquote(out, start, (size_t)(*at - start), 0) - out);
    return true;
}

/* Whether a path is one of the pattern's: `rank` then says what each segment was, the smaller the closer. */
static bool fuzz_route_fits(const char *pattern, const char *path, const char *end, char *rank)
{
    static char text[FUZZ_ROUTE_TEXT], wanted[FUZZ_ROUTE_TEXT];
    size_t length, n;
    const char *p = pattern, *pattern_end = pattern + strlen(pattern), *start;
    while (start = p + 1, fuzz_route_segment(&p, pattern_end, wanted, &n)) {
        size_t raw = (size_t)(p - start);
        bool parameter = raw > 1 && *start == '{';
        *rank = !parameter ? '0' : raw > 4 && !memcmp(p - 4, "...", 3) ? '3'
              : raw > 5 && !memcmp(p - 5, ":int", 4) ? '1' : '2';
        if (path == end) return false;
        if (*rank == '3') return rank[1] = '\0', true;
        fuzz_route_segment(&path, end, text, &length);
        if (*rank == '0' && (n != length || memcmp(text, wanted, n) != 0)) return false;
        if (*rank == '2' && !length) return false;
        if (*rank == '1' && (!length || length > 18)) return false;
        for (size_t i = 0; *rank == '1' && i < length; i++)
            if (text[i] < '0' || text[i] > '9') return false;
        rank++;
    }
    *rank = '\0';
    return path == end;
}

/* Whether it is a path at all: none of the segments that are looked at has a NUL. */
static bool fuzz_route_is_path(const char *path, const char *end)
{
    static char text[FUZZ_ROUTE_TEXT];
    size_t length;
    if (path == end || *path != '/') return false;
    for (int i = 0; i <= AIO_APP_SEGMENTS && fuzz_route_segment(&path, end, text, &length); i++)
        if (memchr(text, 0, length)) return false;
    return true;
}

static void fuzz_route_check(const aio_app *app, char *const *patterns, size_t count, const char *path, size_t length)
{
    aio__route_walk walk;
    const char *best = NULL, *end = path + length;
    char rank[AIO_APP_SEGMENTS + 2], closest[AIO_APP_SEGMENTS + 2] = "";
    memset(&walk, 0, sizeof walk);
    walk.method = aio__text("GET", 3);
    char *memory = (char *)malloc(length + 1);
    for (size_t i = 0; i < count && fuzz_route_is_path(path, end); i++) {
        if (!fuzz_route_fits(patterns[i], path, end, rank) || (best && strcmp(rank, closest) >= 0)) continue;
        best = patterns[i];
        memcpy(closest, rank, sizeof rank);
    }
    bool found = aio__route_split(&walk, aio__text(path, length), memory) && aio__route_find(&walk, app->root, 0);
    if (found != (best != NULL) || (found && strcmp(walk.route->pattern, best) != 0)) abort();
    if (found && walk.picked + (walk.tail >= 0) != walk.route->count) abort();
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *patterns[FUZZ_ROUTES];
    size_t count = 0;
    const char *at = (const char *)data, *end = at + size;
    if (size > FUZZ_ROUTE_TEXT / 2) return 0;
    aio_app *app = aio_app_open_with(NULL);
    if (!app) abort();
    for (const char *stop; at < end && count < FUZZ_ROUTES; at = stop + 1) {
        stop = (const char *)memchr(at, '\n', (size_t)(end - at));
        if (!stop) break;
        if (stop == at) {
            at++;
            break;
        }
        char *pattern = (char *)calloc(1, (size_t)(stop - at) + 1);
        memcpy(pattern, at, (size_t)(stop - at));
        if (!aio_app_route(app, "GET", pattern, fuzz_route_handler, NULL)) patterns[count++] = pattern;
        else free(pattern);
    }
    if (at <= end) fuzz_route_check(app, patterns, count, at, (size_t)(end - at));
    while (count) free(patterns[--count]);
    aio_app_close(app);
    return 0;
}
