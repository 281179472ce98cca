/* proxies: a connection through a SOCKS5 server, which is a tiny one of our own, or: socks PROXY [HOST [PORT]] */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RFC 1928, without passwords. It connects to nobody, and answers itself, whoever was asked for. */
struct socks { aio_task task; aio_stream *stream; aio_text text; char answer[400]; };
static AIO_CORO(socks)
{
    AIO_BEGIN(socks);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 3));    /* version 5, one method: none */
    aio_stream_write(self->stream, "\5\0", 2);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 5));    /* version, CONNECT, 0, a name, its length */
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, (unsigned char)self->text.data[4] + 2u));
    snprintf(self->answer, sizeof self->answer, "HTTP/1.0 200 This is the proxy, not %.*s\r\nServer: socks.c\r\n\r\n",
             (int)self->text.length - 2, self->text.data);
    aio_stream_write(self->stream, "\5\0\0\1\0\0\0\0\0\0", 10);        /* done; the tunnel begins */
    AIO_AWAIT(self->text, aio_stream_readuntil(self->stream, "\r\n\r\n", 4));
    aio_stream_write(self->stream, self->answer, strlen(self->answer));
    AIO_END;
}
static void *serve(aio_stream *stream, void *arg) { (void)arg; return AIO_CALL(socks, .stream = stream); }

struct demo {
    aio_task task; const char *proxy, *host; int port; aio_server *server; aio_stream *stream; aio_text line;
    char text[400];
};
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    if (!self->proxy) {
        AIO_AWAIT(self->server, aio_start_server(serve, NULL, "127.0.0.1", 0));
        snprintf(self->text, sizeof self->text, "socks5h://127.0.0.1:%d", aio_server_port(self->server));
        self->proxy = self->text;
    }
    printf("%s:%d through %s\n", self->host, self->port, self->proxy);
    AIO_AWAIT(self->stream, aio_open_connection(self->host, self->port, .proxy = self->proxy));
    snprintf(self->text, sizeof self->text, "HEAD / HTTP/1.0\r\nHost: %s\r\n\r\n", self->host);
    aio_stream_write(self->stream, self->text, strlen(self->text));
    AIO_ASYNC_FOR(self->line, aio_stream_readline(self->stream))
        printf("%.*s", (int)self->line.length, self->line.data);
    AIO_FINALLY;
        aio_stream_close(self->stream);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

int main(int argc, char **argv)
{
    return aio_run(AIO_CALL(demo, .proxy = argc > 1 ? argv[1] : NULL, .host = argc > 2 ? argv[2] : "www.example.com",
                            .port = argc > 3 ? atoi(argv[3]) : 80));
}
