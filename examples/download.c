/* Downloads a file in ranges at once: download URL [FILE]. While it runs, FILE.part has what has come, and FILE.left
 * says which version of the file that is and what is missing. When it breaks off, whatever the reason, the same command
 * goes on from there, if the server still has that version (If-Range). In the end it prints the file's SHA-256.
 * Without a URL it serves its own source to itself. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#ifndef AIO_NO_TLS
#include <openssl/evp.h>
#endif
#include <errno.h>
#include <fcntl.h>
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
    int            file;
    long long      come;               /* bytes in this run */
    double         began, shown;
} get;

/* ---- what is kept beside the file ---- */

/* FILE.left: the version, the size, then each range. It takes the place of the last one when it is whole. */
static int save(void)
{
    char fresh[1020];
    snprintf(fresh, sizeof fresh, "%s.new", get.left);
    FILE *file = fopen(fresh, "w");
    if (!file) return errno;
    fprintf(file, "%s\n%lld\n", get.version, get.size);
    for (int i = 0; i < RANGES; i++) fprintf(file, "%lld %lld\n", get.missing[i].from, get.missing[i].to);
    return fclose(file) || rename(fresh, get.left) ? errno : 0;
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

/* A bar with rate and time left, five times a second; as often it is kept what is missing. 0 or an errno value. */
static int progress(bool last)
{
    double now = aio_loop_time(aio_get_running_loop()), rate = (double)get.come / (now - get.began + 1e-9);
    if (now - get.shown < 0.2 && !last) return 0;
    get.shown = now;
    if (get.size < 0) return fprintf(stderr, "\r%lld bytes, %.1f MB/s ", get.come, rate / 1e6), 0;
    long long left = missing_bytes(), done = get.size - left;
    fprintf(stderr, "\r[%-40.*s] %3d %%, %.1f MB/s, %.0f s left ", (int)(40 * done / get.size),
            "########################################", (int)(100 * done / get.size), rate / 1e6,
            get.come ? (double)left / rate : 0);
    return save();
}

/* Puts a piece into its place. 0 or an errno value. */
static int put(aio_text piece, long long at)
{
    while (piece.length) {
        ssize_t n = pwrite(get.file, piece.data, piece.length, (off_t)at);
        if (n < 0) return errno;
        piece.data += n;
        piece.length -= (size_t)n;
        at += n;
        get.come += n;
    }
    return 0;
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
    int code;
    AIO_BEGIN(range);
    while (self->missing->from < self->missing->to) {
        AIO_TRY {
            AIO_AWAIT(self->response, aio_session_get(get.session, get.url, .headers = ask(self)));
            if (problem(self)) AIO_RAISE(EIO, "%s", problem(self));
            AIO_ASYNC_FOR(self->piece, aio_response_read_chunk(self->response)) {
                code = put(self->piece, self->missing->from);
                if (code) AIO_RAISE(code, "%s: %s", get.part, strerror(code));
                self->missing->from += (long long)self->piece.length;
                code = progress(false);
                if (code) AIO_RAISE(code, "%s: %s", get.left, strerror(code));
            }
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
    int code;
    AIO_BEGIN(whole);
    AIO_ASYNC_FOR(self->piece, aio_response_read_chunk(self->response)) {
        code = put(self->piece, get.come);
        if (code) AIO_RAISE(code, "%s: %s", get.part, strerror(code));
        progress(false);
    }
    AIO_END;
}

/* Takes from the first response what there is, and opens FILE.part for it. 0 or an errno value. */
static int begin(const aio_response *first)
{
    const char *range = aio_headers_get(&first->headers, "Content-Range").data;
    const char *etag = aio_headers_get(&first->headers, "ETag").data;
    const char *date = aio_headers_get(&first->headers, "Last-Modified").data;
    get.size = -1;
    if (range && (sscanf(range, "bytes 0-0/%lld", &get.size) != 1 || get.size < 1)) get.size = -1;
    snprintf(get.version, sizeof get.version, "%s", etag && *etag == '"' ? etag : date ? date : "");
    bool goes_on = get.size > 0 && resume();
    for (int i = 0; i < RANGES && !goes_on; i++) {
        get.missing[i].from = get.size * i / RANGES;
        get.missing[i].to = get.size * (i + 1) / RANGES;
    }
    if (goes_on) fprintf(stderr, "%lld of %lld bytes are missing\n", missing_bytes(), get.size);
    get.file = open(get.part, O_RDWR | O_CREAT | (goes_on ? 0 : O_TRUNC), 0666);
    get.began = aio_loop_time(aio_get_running_loop());
    return get.file < 0 ? errno : 0;
}

/* The file is there: it gets its name. 0 or an errno value. */
static int end(void)
{
    fprintf(stderr, "\n");
    unlink(get.left);
    return rename(get.part, get.path) ? errno : 0;
}

static void print_sha256(void)
{
#ifndef AIO_NO_TLS
    unsigned char block[65536], digest[32];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    ssize_t n;
    EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    for (off_t at = 0; (n = pread(get.file, block, sizeof block, at)) > 0; at += n)
        EVP_DigestUpdate(context, block, (size_t)n);
    EVP_DigestFinal_ex(context, digest, NULL);
    EVP_MD_CTX_free(context);
    for (int i = 0; i < 32; i++) printf("%02x", digest[i]);
    printf("  %s\n", get.path);
#endif
}

static aio_static site = { .root = "examples" };
struct demo { aio_task task; aio_server *server; aio_response *first; aio_task_group *group; char own_url[60]; };
static AIO_CORO(demo)
{
    static const char *const first[] = { "Range", "bytes=0-0", NULL };
    int code;
    AIO_BEGIN(demo);
    if (!get.url) {
        AIO_AWAIT(self->server, aio_start_http_server(aio_static_handler, &site, "127.0.0.1", 0));
        snprintf(self->own_url, sizeof self->own_url, "http://127.0.0.1:%d/download.c", aio_server_port(self->server));
        get.url = self->own_url;
    }
    get.session = aio_session_open(.timeout = { .total = AIO_UNLIMITED, .sock_read = 30 },
                                   .retry = { .attempts = TRIES });  /* of what breaks before its response */
    AIO_AWAIT(self->first, aio_session_get(get.session, get.url, .headers = first, .raise_for_status = true));
    code = begin(self->first);
    if (code) AIO_RAISE(code, "%s: %s", get.part, strerror(code));
    if (get.size < 0) {
        AIO_AWAIT(AIO_CALL(whole, .response = self->first));
    } else {
        AIO_TASK_GROUP(self->group) {                        /* one that fails ends the others */
            for (int i = 0; i < RANGES; i++)
                if (!aio_task_group_create_task(self->group, AIO_CALL(range, .missing = &get.missing[i])))
                    AIO_RAISE(errno);
        }
    }
    progress(true);
    code = end();
    if (code) AIO_RAISE(code, "%s: %s", get.path, strerror(code));
    print_sha256();
    AIO_FINALLY;
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
