/* streams: an echo server, and a client that talks to it. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <string.h>

/* One for each client; the server closes the stream when it ends. */
struct echo { aio_task task; aio_stream *stream; aio_text line; };
static AIO_CORO(echo)
{
    AIO_BEGIN(echo);
    AIO_ASYNC_FOR(self->line, aio_stream_readline(self->stream)) {
        aio_stream_write(self->stream, self->line.data, self->line.length);
        AIO_AWAIT(aio_stream_drain(self->stream));         /* does not run ahead of a slow client */
    }
    AIO_END;
}
static void *serve(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(echo, .stream = stream);
}

struct demo { aio_task task; aio_server *server; aio_stream *stream; aio_text line; int port, i; };
static AIO_CORO(demo)
{
    static const char *const lines[] = { "hello\n", "is there anybody\n", "bye\n" };
    AIO_BEGIN(demo);
    AIO_AWAIT(self->server, aio_start_server(serve, NULL, "127.0.0.1", 0));
    self->port = aio_server_port(self->server);            /* 0: the system has chosen one */
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port));
    for (self->i = 0; self->i < 3; self->i++) {
        aio_stream_write(self->stream, lines[self->i], strlen(lines[self->i]));
        AIO_AWAIT(self->line, aio_stream_readline(self->stream));
        printf("%.*s", (int)self->line.length, self->line.data);
    }
    AIO_TRY {
        AIO_AWAIT(aio_open_connection("127.0.0.1", 1));
    } AIO_CATCH {
        printf("%s\n", aio_caught(self)->message);         /* names the address and the host */
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_close(self->stream);                    /* sends what is left; NULL is fine */
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server)); /* and waits for its clients */
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(demo)); }
