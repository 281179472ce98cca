/* Downloads a file in parallel ranges: download [URL [FILE]]. What breaks off goes on from where it was, if the file is
 * still the same (If-Range); then its SHA-256 is printed. Without URL it comes from a server of its own. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#ifndef AIO_NO_TLS
#include <openssl/evp.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { RANGES = 4, SIZE = 8000000 };
static struct { aio_session *session; const char *url; char etag[100]; int file; int64_t size, done;
    double began, shown;
} get;

/* ---- the server: SIZE zeros in ranges, one of which it breaks off ---- */
static bool broken;
struct part { aio_task task; aio_request *request; long long from, to; size_t length; char *data, range[80];
              const char *fields[5]; };
static bool prepare(struct part *part)
{
    const char *range = aio_headers_get(&part->request->headers, "Range").data;
    if (!range || sscanf(range, "bytes=%lld-%lld", &part->from, &part->to) != 2) part->to = SIZE - 1;
    snprintf(part->range, sizeof part->range, "bytes %lld-%lld/%d", part->from, part->to, SIZE);
    part->fields[0] = "ETag";
    part->fields[1] = "\"1\"";
    part->fields[2] = "Content-Range";
    part->fields[3] = part->range;
    part->length = (size_t)(part->to - part->from + 1);
    part->data = (char *)calloc(1, part->length);
    return part->data != NULL;
}
static AIO_CORO(part)
{
    AIO_BEGIN(part);
    if (!prepare(self)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(aio_request_start(self->request, 206, .headers = self->fields, .length = self->length));
    if (self->from && !broken) {
        broken = true;
        AIO_AWAIT(aio_request_chunk(self->request, self->data, 100000));
        AIO_RETURN();
    }
    AIO_AWAIT(aio_request_chunk(self->request, self->data, self->length));
    AIO_AWAIT(aio_request_end(self->request));
    AIO_FINALLY;
        free(self->data);
    AIO_END;
}
static void *serve(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(part, .request = request);
}

/* ---- the client ---- */

static void bar(void)
{
    double now = aio_loop_time(aio_get_running_loop()), rate = (double)get.done / (now - get.began + 1e-9);
    if (get.done < get.size && now - get.shown < 0.2) return;
    get.shown = now;
    fprintf(stderr, "\r[%-40.*s] %5.1f MB/s, %.0f s left ", (int)(40 * get.done / get.size),
            "########################################", rate / 1e6, (double)(get.size - get.done) / rate);
}

/* One range into its place of the file: up to five tries, each from where the last one has come to. */
struct range { aio_task task; int64_t from, to; int tries; aio_response *response; aio_text piece; char text[60];
               const char *fields[5]; };
static const char *const *headers(struct range *range)
{
    snprintf(range->text, sizeof range->text, "bytes=%lld-%lld", (long long)range->from, (long long)range->to - 1);
    range->fields[0] = "Range";
    range->fields[1] = range->text;
    range->fields[2] = "If-Range";
    range->fields[3] = get.etag;
    return range->fields;
}
static AIO_CORO(range)
{
    AIO_BEGIN(range);
    while (self->from < self->to) {
        AIO_TRY {
            AIO_AWAIT(self->response, aio_session_get(get.session, get.url, .headers = headers(self)));
            if (self->response->status != 206) AIO_RAISE(EIO, "the file has changed");
            AIO_ASYNC_FOR(self->piece, aio_response_read_chunk(self->response)) {
                if (pwrite(get.file, self->piece.data, self->piece.length, (off_t)self->from) < 0) AIO_RAISE(errno);
                self->from += (int64_t)self->piece.length;
                get.done += (int64_t)self->piece.length;
                bar();
            }
        } AIO_CATCH_CODE(AIO_EPAYLOAD, AIO_EDISCONNECTED, ECONNRESET) {
            if (++self->tries == 5) AIO_RERAISE();
            fprintf(stderr, "\nagain from byte %lld on\n", (long long)self->from);
        } AIO_END_TRY;
        aio_response_release(self->response);
        self->response = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
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
    printf("  %lld bytes\n", (long long)get.size);
#endif
}

/* Takes what the server says of the whole file, and opens its place. NULL, or why not. */
static const char *begin(const aio_response *head, const char *path)
{
    const char *range = aio_headers_get(&head->headers, "Content-Range").data;
    const char *etag = aio_headers_get(&head->headers, "ETag").data;
    long long size;
    if (!range || !etag || sscanf(range, "bytes 0-0/%lld", &size) != 1) return "this server has no ranges";
    snprintf(get.etag, sizeof get.etag, "%s", etag);
    get.size = size;
    get.began = aio_loop_time(aio_get_running_loop());
    get.file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    return get.file < 0 || ftruncate(get.file, (off_t)size) ? "the file cannot be written" : NULL;
}

struct demo { aio_task task; const char *path, *problem; aio_server *server; aio_response *head;
              aio_task_group *group; char own_url[60]; };
static AIO_CORO(demo)
{
    static const char *const first[] = { "Range", "bytes=0-0", NULL };
    AIO_BEGIN(demo);
    if (!get.url) {
        AIO_AWAIT(self->server, aio_start_http_server(serve, NULL, "127.0.0.1", 0));
        snprintf(self->own_url, sizeof self->own_url, "http://127.0.0.1:%d/", aio_server_port(self->server));
        get.url = self->own_url;
    }
    get.session = aio_session_open();
    AIO_AWAIT(self->head, aio_session_get(get.session, get.url, .headers = first, .raise_for_status = true));
    self->problem = begin(self->head, self->path);
    if (self->problem) AIO_RAISE(EIO, "%s", self->problem);
    AIO_TASK_GROUP(self->group) {                           /* one that fails ends the others */
        for (int i = 0; i < RANGES; i++)
            if (!aio_task_group_create_task(self->group, AIO_CALL(range, .from = get.size * i / RANGES,
                                                                  .to = get.size * (i + 1) / RANGES)))
                AIO_RAISE(errno);
    }
    fprintf(stderr, "\n");
    print_sha256();
    AIO_FINALLY;
        aio_response_release(self->head);
        AIO_AWAIT(aio_session_close(get.session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

int main(int argc, char **argv)
{
    get.url = argc > 1 ? argv[1] : NULL;
    int status = aio_run(AIO_CALL(demo, .path = argc > 2 ? argv[2] : "/tmp/aio-download"));
    if (argc < 3) unlink("/tmp/aio-download");
    return status;
}
