/* Downloads a file in ranges at once: download URL [FILE]. While it runs, FILE.part has what has come, and FILE.left
 * says which version of the file that is and what is missing. When it breaks off, whatever the reason, the same command
 * goes on from there, if the server still has that version (If-Range). In the end it prints the file's SHA-256. Threads
 * write the file, and a range waits for its own piece: a slow disk slows the server down, and nothing else.
 * Without a URL it serves its own source to itself. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#ifndef AIO_NO_TLS
#include <openssl/evp.h>
#endif
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RANGES = 4, TRIES = 5 };
struct missing { long long from, to; };
static struct {
    aio_session   *session;
    const char    *url;
    char           path[1000], part[1010], left[1010];
    char           version[200];       /* a strong ETag, or Last-Modified; "": the server has neither */
    long long      size;               /* -1: not known */
    struct missing missing[RANGES];
    aio_file      *file;               /* .part */
    bool           keeping;            /* .left is being written */
    long long      come;               /* bytes in this run */
    double         began, shown;
} get;

/* ---- what is kept beside the file ---- */

/* FILE.left: the version, the size, then each range. It takes the place of the last one when it is whole. */
struct keep { aio_task task; aio_file *file; char fresh[1020], text[500]; };
static size_t state(struct keep *keep)
{
    size_t size = sizeof keep->text;
    int n = snprintf(keep->text, size, "%s\n%lld\n", get.version, get.size);
    for (int i = 0; i < RANGES; i++)
        n += snprintf(keep->text + n, size - (size_t)n, "%lld %lld\n", get.missing[i].from, get.missing[i].to);
    return (size_t)n;
}
static AIO_CORO(keep)
{
    AIO_BEGIN(keep);
    get.keeping = true;
    snprintf(self->fresh, sizeof self->fresh, "%s.new", get.left);
    AIO_AWAIT(self->file, aio_file_open(self->fresh, "w"));
    AIO_AWAIT(aio_file_write(self->file, self->text, state(self)));
    AIO_AWAIT(aio_rename(self->fresh, get.left));
    AIO_FINALLY;
        aio_file_close(self->file);
        get.keeping = false;
    AIO_END;
}

/* Whether there is the same version of the file from an earlier run; then what it misses is known. */
static bool resume(void)
{
    char version[sizeof get.version] = "";
    long long size = -1;
    FILE *file = *get.version ? fopen(get.left, "r") : NULL;
    bool same = file && fgets(version, sizeof version, file) && fscanf(file, "%lld", &size) == 1 && size == get.size;
    version[strcspn(version, "\n")] = '\0';
    for (int i = 0; same && i < RANGES; i++)
        same = fscanf(file, "%lld %lld", &get.missing[i].from, &get.missing[i].to) == 2 && get.missing[i].from >= 0
            && get.missing[i].from <= get.missing[i].to && get.missing[i].to <= size;
    if (file) fclose(file);
    return same && !strcmp(version, get.version) && access(get.part, W_OK) == 0;
}

static long long missing_bytes(void)
{
    long long sum = 0;
    for (int i = 0; i < RANGES; i++) sum += get.missing[i].to - get.missing[i].from;
    return sum;
}

/* ---- the download ---- */

/* A bar with rate and time left, five times a second. True: as often, what is missing is to be kept. */
static bool progress(bool last)
{
    double now = aio_loop_time(aio_get_running_loop()), rate = (double)get.come / (now - get.began + 1e-9);
    if (now - get.shown < 0.2 && !last) return false;
    get.shown = now;
    if (get.size < 0) return fprintf(stderr, "\r%lld bytes, %.1f MB/s ", get.come, rate / 1e6), false;
    if (get.size == 0) return fprintf(stderr, "the file is empty"), true;
    long long left = missing_bytes(), done = get.size - left;
    fprintf(stderr, "\r[%-40.*s] %3d %%, %.1f MB/s, %.0f s left ", (int)(40 * done / get.size),
            "########################################", (int)(100 * done / get.size), rate / 1e6,
            get.come ? (double)left / rate : 0);
    return !get.keeping;
}

/* One range: when it breaks off it goes on from where it was. */
struct range { aio_task task; struct missing *missing; int tries; aio_response *response; aio_text piece;
               char wanted[60], coming[80]; const char *headers[5]; };
static const char *const *ask(struct range *range)
{
    long long from = range->missing->from, to = range->missing->to - 1;
    snprintf(range->wanted, sizeof range->wanted, "bytes=%lld-%lld", from, to);
    snprintf(range->coming, sizeof range->coming, "bytes %lld-%lld/%lld", from, to, get.size);
    const char *headers[] = { "Range", range->wanted, *get.version ? "If-Range" : NULL, get.version, NULL };
    memcpy(range->headers, headers, sizeof headers);
    return range->headers;
}
/* What came instead of the range, or NULL. */
static const char *problem(const struct range *range)
{
    const char *is = aio_headers_get(&range->response->headers, "Content-Range").data;
    if (range->response->status == 200) return "the file has changed: run this again";
    return range->response->status == 206 && is && !strcmp(is, range->coming) ? NULL : "the server gave another range";
}
static AIO_CORO(range)
{
    AIO_BEGIN(range);
    while (self->missing->from < self->missing->to) {
        AIO_TRY {
            AIO_AWAIT(self->response, aio_session_get(get.session, get.url, .headers = ask(self)));
            if (problem(self)) AIO_RAISE(EIO, "%s", problem(self));
            AIO_ASYNC_FOR(self->piece, aio_response_read_chunk(self->response)) {
                if ((long long)self->piece.length > self->missing->to - self->missing->from)
                    AIO_RAISE(EIO, "more came than the range %s", self->coming + strlen("bytes "));
                AIO_AWAIT(aio_file_pwrite(get.file, self->piece.data, self->piece.length, self->missing->from));
                self->missing->from += (long long)self->piece.length;
                get.come += (long long)self->piece.length;
                if (progress(false)) AIO_AWAIT(AIO_CALL(keep));
            }
            if (self->missing->from < self->missing->to)
                AIO_RAISE(AIO_EPAYLOAD, "less came than the range %s", self->coming + strlen("bytes "));
        } AIO_CATCH_CODE(AIO_EPAYLOAD, AIO_EDISCONNECTED, AIO_ETIMEOUT, ECONNRESET) {
            if (++self->tries == TRIES) AIO_RERAISE();
            fprintf(stderr, "\nagain from byte %lld on\n", self->missing->from);
        } AIO_END_TRY;
        aio_response_release(self->response);
        self->response = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}

/* A server without ranges: the whole file, from the response that said so. */
struct whole { aio_task task; aio_response *response; aio_text piece; };
static AIO_CORO(whole)
{
    AIO_BEGIN(whole);
    AIO_ASYNC_FOR(self->piece, aio_response_read_chunk(self->response)) {
        AIO_AWAIT(aio_file_write(get.file, self->piece.data, self->piece.length));
        get.come += (long long)self->piece.length;
        progress(false);
    }
    AIO_END;
}

/* How long the file is, as the answer for its first byte says; -1: that is the whole file, or the size is not said.
 * An empty one has no first byte: 416. */
static long long size_of(const aio_response *first)
{
    const char *range = aio_headers_get(&first->headers, "Content-Range").data;
    long long size;
    if (range && first->status == 416 && !strcmp(range, "bytes */0")) return 0;
    return range && first->status == 206 && sscanf(range, "bytes 0-0/%lld", &size) == 1 && size > 0 ? size : -1;
}

/* Takes from the first response what there is. Whether FILE.part is to go on. */
static bool begin(const aio_response *first)
{
    const char *etag = aio_headers_get(&first->headers, "ETag").data;
    const char *date = aio_headers_get(&first->headers, "Last-Modified").data;
    get.size = size_of(first);
    snprintf(get.version, sizeof get.version, "%s", etag && *etag == '"' ? etag : date ? date : "");
    bool goes_on = get.size > 0 && resume();
    for (int i = 0; i < RANGES && !goes_on; i++) {
        get.missing[i].from = get.size * i / RANGES;
        get.missing[i].to = get.size * (i + 1) / RANGES;
    }
    if (goes_on) fprintf(stderr, "%lld of %lld bytes are missing\n", missing_bytes(), get.size);
    get.began = aio_loop_time(aio_get_running_loop());
    return goes_on;
}

#ifndef AIO_NO_TLS
struct sha256 { aio_task task; EVP_MD_CTX *context; aio_text piece; unsigned char digest[32]; };
static AIO_CORO(sha256)
{
    AIO_BEGIN(sha256);
    self->context = EVP_MD_CTX_new();
    EVP_DigestInit_ex(self->context, EVP_sha256(), NULL);
    aio_file_seek(get.file, 0);
    AIO_ASYNC_FOR(self->piece, aio_file_read(get.file, 65536))
        EVP_DigestUpdate(self->context, self->piece.data, self->piece.length);
    EVP_DigestFinal_ex(self->context, self->digest, NULL);
    for (int i = 0; i < 32; i++) printf("%02x", self->digest[i]);
    printf("  %s\n", get.path);
    AIO_FINALLY;
        EVP_MD_CTX_free(self->context);
    AIO_END;
}
#endif

/* All is there: the file gets its name. */
struct end { aio_task task; };
static AIO_CORO(end)
{
    AIO_BEGIN(end);
    fprintf(stderr, "\n");
    AIO_AWAIT(aio_file_sync(get.file));
    if (get.size >= 0) AIO_AWAIT(aio_unlink(get.left));
    AIO_AWAIT(aio_rename(get.part, get.path));
#ifndef AIO_NO_TLS
    AIO_AWAIT(AIO_CALL(sha256));
#endif
    AIO_END;
}

static aio_static site = { .root = "examples" };
struct demo { aio_task task; aio_server *server; aio_response *first; aio_task_group *group; char own_url[60]; };
static AIO_CORO(demo)
{
    static const char *const first[] = { "Range", "bytes=0-0", NULL };
    AIO_BEGIN(demo);
    if (!get.url) {
        AIO_AWAIT(self->server, aio_start_http_server(aio_static_handler, &site, "127.0.0.1", 0));
        snprintf(self->own_url, sizeof self->own_url, "http://127.0.0.1:%d/download.c", aio_server_port(self->server));
        get.url = self->own_url;
    }
    get.session = aio_session_open(.timeout = { .total = AIO_UNLIMITED, .sock_read = 30 },
                                   .retry = { .attempts = TRIES });  /* of what breaks before its response */
    AIO_AWAIT(self->first, aio_session_get(get.session, get.url, .headers = first));
    if (size_of(self->first)) AIO_AWAIT(aio_response_raise_for_status(self->first)); /* 416: an empty file is none */
    if (self->first->status == 206 && size_of(self->first) < 0) AIO_RAISE(EIO, "the server does not say the size");
    AIO_AWAIT(get.file, aio_file_open(get.part, begin(self->first) ? "r+" : "w+"));
    if (get.size < 0) {
        AIO_AWAIT(AIO_CALL(whole, .response = self->first));
    } else {
        AIO_TASK_GROUP(self->group) {                        /* one that fails ends the others */
            for (int i = 0; i < RANGES; i++)
                if (!aio_task_group_create_task(self->group, AIO_CALL(range, .missing = &get.missing[i])))
                    AIO_RAISE(errno);
        }
    }
    if (progress(true)) AIO_AWAIT(AIO_CALL(keep));
    AIO_AWAIT(AIO_CALL(end));
    AIO_FINALLY;
        aio_file_close(get.file);
        aio_response_release(self->first);
        AIO_AWAIT(aio_session_close(get.session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

int main(int argc, char **argv)
{
    get.url = argc > 1 ? argv[1] : NULL;
    snprintf(get.path, sizeof get.path, "%s", argc > 2 ? argv[2] : "/tmp/aio-download");
    snprintf(get.part, sizeof get.part, "%s.part", get.path);
    snprintf(get.left, sizeof get.left, "%s.left", get.path);
    return aio_run(AIO_CALL(demo));
}
