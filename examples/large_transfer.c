/* large_transfer: bodies of any size in constant memory: a file sent, a page written to a file piece by piece, and what
 * comes from one server passed on to another while it comes. large_transfer [MEBIBYTES] */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the server: POST says how many bytes came, GET sends as many zeros as it is told ---- */
struct serving { aio_task task; aio_request *request; aio_text piece; long long bytes; char said[40]; };
static AIO_CORO(serving)
{
    static char zeros[65536];
    AIO_BEGIN(serving);
    AIO_ASYNC_FOR(self->piece, aio_request_read_chunk(self->request)) self->bytes += (long long)self->piece.length;
    if (self->request->method.data[0] == 'P') {
        snprintf(self->said, sizeof self->said, "%lld bytes came", self->bytes);
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->said));
        AIO_RETURN();
    }
    AIO_AWAIT(aio_request_start(self->request, 200));
    for (self->bytes = atoll(self->request->path.data + 1); self->bytes > 0; self->bytes -= (long long)sizeof zeros)
        AIO_AWAIT(aio_request_chunk(self->request, zeros, sizeof zeros)); /* waits while the client does not keep up */
    AIO_AWAIT(aio_request_end(self->request));
    AIO_END;
}
static void *serve(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(serving, .request = request);
}

/* ---- the client ---- */

static int put(int fd, aio_text piece)
{
    ssize_t n = write(fd, piece.data, piece.length);
    return n == (ssize_t)piece.length ? 0 : n < 0 ? errno : ENOSPC;
}

/* GET into a file. */
struct download { aio_task task; aio_session *session; const char *url; int fd, code; aio_response *response;
                  aio_text piece; };
static AIO_CORO(download)
{
    AIO_BEGIN(download);
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
    AIO_ASYNC_FOR(self->piece, aio_response_read_chunk(self->response)) {
        self->code = put(self->fd, self->piece);
        if (self->code) AIO_RAISE(self->code, "the downloaded file: %s", aio_code_text(self->code));
    }
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}

/* POST of a file, or of what another response brings. */
static aio_text_task *next_of(void *response) { return aio_response_read_chunk((aio_response *)response); }
struct upload { aio_task task; aio_session *session; const char *url; int fd; aio_response *from, *response;
                aio_text text; };
static AIO_CORO(upload)
{
    AIO_BEGIN(upload);
    if (self->from) AIO_AWAIT(self->response, aio_session_post(self->session, self->url,
                                                               .producer = { .next = next_of, .arg = self->from }));
    else AIO_AWAIT(self->response, aio_session_post(self->session, self->url, .fd = self->fd));
    AIO_AWAIT(self->text, aio_response_text(self->response));
    printf("%s: %s\n", self->from ? "passed on" : "sent", self->text.data);
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}

struct demo { aio_task task; long long bytes; aio_server *server; aio_session *session; aio_response *response;
              char url[80]; int fd; };
static AIO_CORO(demo)
{
    struct stat file;
    char path[] = "/tmp/aio-large-XXXXXX";
    AIO_BEGIN(demo);
    self->fd = mkstemp(path);
    if (self->fd < 0 || unlink(path)) AIO_RAISE(errno);
    AIO_AWAIT(self->server, aio_start_http_server(serve, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/%lld", aio_server_port(self->server), self->bytes);
    self->session = aio_session_open();
    AIO_AWAIT(AIO_CALL(download, .session = self->session, .url = self->url, .fd = self->fd));
    if (fstat(self->fd, &file) || lseek(self->fd, 0, SEEK_SET)) AIO_RAISE(errno);
    printf("downloaded: %lld bytes\n", (long long)file.st_size);
    AIO_AWAIT(AIO_CALL(upload, .session = self->session, .url = self->url, .fd = self->fd));
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
    AIO_AWAIT(AIO_CALL(upload, .session = self->session, .url = self->url, .from = self->response));
    AIO_FINALLY;
        if (self->fd > 0) close(self->fd);
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

int main(int argc, char **argv)
{
    struct rusage usage;
    char *end = NULL;
    long long mebibytes = argc > 1 ? strtoll(argv[1], &end, 10) : 64;
    if (argc > 2 || (end && *end) || mebibytes < 1 || mebibytes > 1 << 20) {
        fprintf(stderr, "usage: large_transfer [MEBIBYTES]\n");
        return 2;
    }
    int status = aio_run(AIO_CALL(demo, .bytes = mebibytes << 20));
    getrusage(RUSAGE_SELF, &usage);
    printf("at most %ld KiB of memory\n", usage.ru_maxrss);
    return status;
}
