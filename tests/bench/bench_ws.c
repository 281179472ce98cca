/* bench_ws PORT - a WebSocket echo server on aio.h, as a user writes it. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include "src/common.h"

struct echo { aio_task task; aio_request *request; aio_ws *ws; aio_ws_message message; };
static AIO_CORO(echo)
{
    AIO_BEGIN(echo);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request));
    AIO_ASYNC_FOR(self->message, aio_ws_receive(self->ws))
        AIO_AWAIT(aio_ws_send_bytes(self->ws, self->message.data.data, self->message.data.length));
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *answer(aio_request *request, void *arg) { return (void)arg, AIO_CALL(echo, .request = request); }

struct serve { aio_task task; int port; aio_server *server; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    AIO_AWAIT(self->server, aio_start_http_server(answer, NULL, "127.0.0.1", self->port, .backlog = 4096));
    AIO_AWAIT(aio_server_serve_forever(self->server));
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc != 2) DIE("usage: bench_ws PORT");
    return aio_run(AIO_CALL(serve, .port = atoi(argv[1])));
}
