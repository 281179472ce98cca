/* http_server: for real clients. Prints its port, ends with SIGTERM.
 *
 *   http_server [CERTIFICATE KEY]
 *
 * /hello a short text; /big 1 MiB; /chunked ten pieces; /echo the body, piece by piece; /length how many bytes came;
 * anything else is 404. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static char big[1 << 20];

static bool same(aio_text text, const char *name)
{
    return text.length == strlen(name) && !memcmp(text.data, name, text.length);
}

struct answer { aio_task task; aio_request *request; aio_text text; int i; char line[64]; };
#define PATH(name) same(self->request->path, (name))
static AIO_CORO(answer)
{
    AIO_BEGIN(answer);
    if (PATH("/hello")) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "hello\n"));
    } else if (PATH("/big")) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .body = big, .length = sizeof big));
    } else if (PATH("/chunked")) {
        AIO_AWAIT(aio_request_start(self->request, 200));
        for (self->i = 0; self->i < 10; self->i++) {
            snprintf(self->line, sizeof self->line, "piece %d\n", self->i);
            AIO_AWAIT(aio_request_chunk(self->request, self->line, strlen(self->line)));
        }
        AIO_AWAIT(aio_request_end(self->request));
    } else if (PATH("/echo")) {
        AIO_AWAIT(aio_request_start(self->request, 200));
        AIO_ASYNC_FOR(self->text, aio_request_read_chunk(self->request)) {
            AIO_AWAIT(aio_request_chunk(self->request, self->text.data, self->text.length));
        }
        AIO_AWAIT(aio_request_end(self->request));
    } else if (PATH("/length")) {
        AIO_AWAIT(self->text, aio_request_read(self->request));
        snprintf(self->line, sizeof self->line, "%.*s %zu\n", (int)self->request->method.length,
                 self->request->method.data, self->text.length);
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->line));
    } else {
        AIO_AWAIT(aio_request_respond(self->request, 404, .text = "there is no such page\n"));
    }
    AIO_END;
}
static void *handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(answer, .request = request); }

static void stop(void *event) { aio_event_set((aio_event *)event); }

struct serve { aio_task task; char **files; aio_tls_context *context; aio_server *server; aio_event stopped; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    if (self->files) {
        self->context = aio_tls_context_create(.server = true, .cert_file = self->files[0], .key_file = self->files[1],
                                               .alpn = "http/1.1");
        if (!self->context) AIO_RAISE(AIO_ETLS, "%s", aio_tls_context_error());
    }
    AIO_AWAIT(self->server, aio_start_http_server(handler, NULL, "127.0.0.1", 0, .tls_context = self->context,
                                                  .max_body = 8 << 20));
    if (aio_loop_add_signal_handler(aio_get_running_loop(), SIGTERM, stop, &self->stopped)) AIO_RAISE(EINVAL);
    printf("port %d\n", aio_server_port(self->server));
    fflush(stdout);
    AIO_AWAIT(aio_event_wait(&self->stopped));
    AIO_FINALLY;
        aio_tls_context_unref(self->context);
        if (self->server) {
            aio_server_close_clients(self->server);
            AIO_AWAIT(aio_server_wait_closed(self->server));
        }
    AIO_END;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)('a' + i % 23);
    return aio_run(AIO_CALL(serve, .files = argc == 3 ? argv + 1 : NULL));
}
