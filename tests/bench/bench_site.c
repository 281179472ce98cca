/* bench_site PORT FOLDER - a web server on aio.h, as a user writes it: /1k from memory, all else from the folder. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include "src/common.h"

static char body[1024];
static void *answer(aio_request *request, void *arg)
{
    return (void)arg, aio_request_respond(request, 200, .body = body, .length = sizeof body, .content_type = "text/plain");
}

struct serve { aio_task task; int port; aio_app *app; aio_static *site; aio_server *server; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    self->app = aio_app_open();
    aio_app_route(self->app, "GET", "/1k", answer, NULL);
    aio_app_route(self->app, "GET", "/{path...}", aio_static_handler, self->site);
    AIO_AWAIT(self->server, aio_start_app(self->app, "127.0.0.1", self->port, .backlog = 4096));
    AIO_AWAIT(aio_server_serve_forever(self->server));
    AIO_FINALLY;
        aio_app_close(self->app);
    AIO_END;
}

int main(int argc, char **argv)
{
    aio_static site = { .root = argc == 3 ? argv[2] : "" };
    if (argc != 3) DIE("usage: bench_site PORT FOLDER");
    memset(body, 'x', sizeof body);
    return aio_run(AIO_CALL(serve, .port = atoi(argv[1]), .site = &site));
}
