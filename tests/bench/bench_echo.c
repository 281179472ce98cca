/* bench_echo PORT [CERT KEY] - echo server on aio.h's streams, over TLS when there is a certificate; a coroutine a
 * connection, as a user writes it. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include "src/common.h"

struct echo { aio_task task; aio_stream *stream; aio_text data; };
static AIO_CORO(echo)
{
    AIO_BEGIN(echo);
    AIO_ASYNC_FOR(self->data, aio_stream_read(self->stream, 65536)) {
        aio_stream_write(self->stream, self->data.data, self->data.length);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_END;
}

static void *serve(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(echo, .stream = stream);
}

struct server { aio_task task; int port; char **cert_and_key; aio_tls_context *tls; aio_server *server; };
static AIO_CORO(server)
{
    AIO_BEGIN(server);
    if (self->cert_and_key) {
        self->tls = aio_tls_context_create(.server = true, .cert_file = self->cert_and_key[0],
                                           .key_file = self->cert_and_key[1]);
        if (!self->tls) AIO_RAISE(AIO_ETLS, "%s", aio_tls_context_error());
    }
    AIO_AWAIT(self->server, aio_start_server(serve, NULL, "127.0.0.1", self->port, .backlog = 4096,
                                             .tls_context = self->tls));
    AIO_AWAIT(aio_server_serve_forever(self->server));
    AIO_FINALLY;
        aio_tls_context_unref(self->tls);
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 4) DIE("usage: bench_echo PORT [CERT KEY]");
    return aio_run(AIO_CALL(server, .port = atoi(argv[1]), .cert_and_key = argc == 4 ? argv + 2 : NULL));
}
