/* static: serves a folder: ranges, conditions, types. static FOLDER PORT; Ctrl-C ends it when what runs is done.
 * Without a folder it serves this program's source to itself. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <stdlib.h>

static aio_static site = { .root = "examples", .index = "index.html", .cache_control = "max-age=60" };

struct serve { aio_task task; int port; aio_server *server; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    AIO_AWAIT(self->server, aio_start_http_server(aio_static_handler, &site, NULL, self->port));
    printf("http://localhost:%d/\n", aio_server_port(self->server));
    AIO_AWAIT(aio_server_run_until_signal(self->server, 10));
    AIO_END;
}

/* ---- without a folder ---- */
struct own { aio_task task; aio_server *server; aio_session *session; aio_response *response; aio_text text;
             char url[64]; };
static AIO_CORO(own)
{
    static const char *const range[] = { "Range", "bytes=0-9", NULL };
    AIO_BEGIN(own);
    AIO_AWAIT(self->server, aio_start_http_server(aio_static_handler, &site, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/static.c", aio_server_port(self->server));
    self->session = aio_session_open();
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url, .headers = range));
    AIO_AWAIT(self->text, aio_response_text(self->response));
    printf("%d, %s, %s: %s\n", self->response->status, aio_headers_get(&self->response->headers, "Content-Type").data,
           aio_headers_get(&self->response->headers, "Content-Range").data, self->text.data);
    AIO_FINALLY;
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc < 2) return aio_run(AIO_CALL(own));
    site.root = argv[1];
    return aio_run(AIO_CALL(serve, .port = argc > 2 ? atoi(argv[2]) : 8080), .keep_sigint = true);
}
