/* a port forwarder, each direction at its own pace: forward LISTEN_PORT HOST PORT; alone it shows itself. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <stdlib.h>

static const char *host = "127.0.0.1";
static int port;
struct pump { aio_task task; aio_stream *from, *to; aio_text piece; };  /* one direction, until its source ends */
static AIO_CORO(pump)
{
    AIO_BEGIN(pump);
    AIO_ASYNC_FOR(self->piece, aio_stream_read(self->from, 65536)) {
        aio_stream_write(self->to, self->piece.data, self->piece.length);
        AIO_AWAIT(aio_stream_drain(self->to));             /* no faster than the other side reads */
    }
    aio_stream_write_eof(self->to);                        /* half closed: the answer may still come */
    AIO_END;
}

struct forward { aio_task task; aio_stream *client, *server; aio_task_group *group; };
static AIO_CORO(forward)
{
    AIO_BEGIN(forward);
    AIO_AWAIT(self->server, aio_open_connection(host, port));
    AIO_TASK_GROUP(self->group) {                          /* an error in one direction ends the other */
        aio_task_group_create_task(self->group, AIO_CALL(pump, .from = self->client, .to = self->server));
        aio_task_group_create_task(self->group, AIO_CALL(pump, .from = self->server, .to = self->client));
    }
    AIO_FINALLY;
        aio_stream_close(self->server);
    AIO_END;
}
static void *serve(aio_stream *stream, void *arg) { return (void)arg, AIO_CALL(forward, .client = stream); }
static void *mirror(aio_stream *stream, void *arg) { return (void)arg, AIO_CALL(pump, .from = stream, .to = stream); }

struct demo { aio_task task; int listen; aio_server *server, *target; aio_stream *stream; aio_text text; };
static AIO_CORO(demo)
{
    static char message[1000000];
    AIO_BEGIN(demo);
    if (!port) {                                           /* alone: what it forwards to gives all back */
        AIO_AWAIT(self->target, aio_start_server(mirror, NULL, host, 0));
        port = aio_server_port(self->target);
    }
    AIO_AWAIT(self->server, aio_start_server(serve, NULL, "127.0.0.1", self->listen));
    printf("port %d, to %s port %d\n", aio_server_port(self->server), host, port);
    fflush(stdout);
    if (!self->target) AIO_AWAIT(aio_server_serve_forever(self->server));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    aio_stream_write(self->stream, message, sizeof message);
    aio_stream_write_eof(self->stream);
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    printf("%zu bytes went through and came back\n", self->text.length);
    AIO_FINALLY;
        aio_stream_close(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
        if (self->target) AIO_AWAIT(aio_server_wait_closed(self->target));
    AIO_END;
}
int main(int argc, char **argv)
{
    if (argc == 4) host = argv[2], port = atoi(argv[3]);
    return aio_run(AIO_CALL(demo, .listen = argc == 4 ? atoi(argv[1]) : 0));
}
