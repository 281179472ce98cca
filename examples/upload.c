/* Uploads a large file with its progress, in constant memory: upload [MEBIBYTES [URL [FILE]]]. Without URL it goes to a
 * server of its own; without FILE it is one of zeros. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* The server counts the bytes of the parts, and keeps none. */
struct sink { aio_task task; aio_request *request; aio_multipart *parts; aio_part *part; aio_text piece;
              long long bytes; char said[80]; };
static AIO_CORO(sink)
{
    AIO_BEGIN(sink);
    self->parts = aio_request_multipart(self->request);
    AIO_ASYNC_FOR(self->part, aio_multipart_next(self->parts)) {
        AIO_ASYNC_FOR(self->piece, aio_part_read_chunk(self->part)) self->bytes += (long long)self->piece.length;
    }
    snprintf(self->said, sizeof self->said, "the server got %lld bytes", self->bytes);
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->said));
    AIO_FINALLY;
        aio_multipart_close(self->parts);
    AIO_END;
}
static void *serve(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(sink, .request = request);
}

static void progress(void *arg, int64_t sent, int64_t total)
{
    int *shown = (int *)arg, percent = total > 0 ? (int)(100 * sent / total) : 0;
    if (percent / 10 == *shown / 10) return;
    *shown = percent;
    printf("%3d %%  %lld bytes\n", percent, (long long)sent);
}

struct upload { aio_task task; long mebibytes; const char *url, *path; aio_server *server; aio_session *session;
                aio_form *form; aio_response *response; aio_text text; int file, shown; char own_url[60]; };
static AIO_CORO(upload)
{
    AIO_BEGIN(upload);
    if (!self->path) {
        char made[] = "/tmp/aio-upload-XXXXXX";
        self->file = mkstemp(made);
        if (self->file < 0 || unlink(made) || ftruncate(self->file, (off_t)self->mebibytes << 20)) AIO_RAISE(errno);
    }
    if (!self->url) {
        AIO_AWAIT(self->server, aio_start_http_server(serve, NULL, "127.0.0.1", 0, .body_total_timeout = 86400));
        snprintf(self->own_url, sizeof self->own_url, "http://127.0.0.1:%d/", aio_server_port(self->server));
        self->url = self->own_url;
    }
    self->session = aio_session_open();
    self->form = aio_form_open();
    if (self->path) aio_form_add(self->form, "file", .file = self->path);
    else aio_form_add(self->form, "file", .fd = self->file, .filename = "zeros");
    AIO_AWAIT(self->response, aio_session_post(self->session, self->url, .form_data = self->form, .expect100 = true,
                                               .on_sent = progress, .progress_arg = &self->shown,
                                               .timeout = { .total = 86400 }));
    AIO_AWAIT(self->text, aio_response_text(self->response));
    printf("%d: %s\n", self->response->status, self->text.data);
    AIO_FINALLY;
        aio_form_unref(self->form);
        if (self->file > 0) close(self->file);
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

int main(int argc, char **argv)
{
    struct rusage usage;
    long mebibytes = argc > 1 ? atol(argv[1]) : 64;
    int status = aio_run(AIO_CALL(upload, .mebibytes = mebibytes, .url = argc > 2 ? argv[2] : NULL,
                                  .path = argc > 3 ? argv[3] : NULL));
    getrusage(RUSAGE_SELF, &usage);
    printf("at most %ld KiB of memory\n", usage.ru_maxrss);
    return status;
}
