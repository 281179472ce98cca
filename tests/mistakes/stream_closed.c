/* A stream is used after its end.
 * run AIO_DEBUG=1 -fsanitize=address: stream .made after .*closed.c:19. was closed after .*closed.c:19, and is used again .aio_stream_write in 'talk' */
#define AIO_STATIC
#define AIO_IMPLEMENTATION
#define AIO_NO_TLS
#include "../../aio.h"
struct listen_to { aio_task task; aio_stream *stream; };
static AIO_CORO(listen_to)
{
    AIO_BEGIN(listen_to);
    AIO_END;
}
static void *handler(aio_stream *stream, void *arg) { return (void)arg, AIO_CALL(listen_to, .stream = stream); }
struct talk { aio_task task; aio_server *server; aio_stream *stream; };
static AIO_CORO(talk)
{
    AIO_BEGIN(talk);
    AIO_AWAIT(self->server, aio_start_server(handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    aio_stream_close(self->stream);
    aio_stream_write(self->stream, "hello\n", 6);
    AIO_END;
}
int main(void) { return aio_run(AIO_CALL(talk)); }
