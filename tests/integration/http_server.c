/* http_server: for real clients. Prints its port, ends with SIGTERM.
 *
 *   http_server [CERTIFICATE KEY] [header=S] [body=S] [total=S] [write=S]
 *
 * /hello a short text; /big 1 MiB; /huge 16 MiB; /chunked ten pieces; /packed the same, compressed for who takes it,
 * and with a trailer; /form the fields of a form; /echo the body, piece by piece; /length how many bytes came; /query
 * the parameter `name`; /lines, or CONNECT: an upgrade to "lines", which are given back; anything else is 404. The
 * options are timeouts in seconds. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static char big[1 << 24];

static bool same(aio_text text, const char *name)
{
    return text.length == strlen(name) && !memcmp(text.data, name, text.length);
}

/* The fields of a form, a line for each: name, file name, and the value or how long it is. */
static void show(const aio_post *post, char *out, size_t room)
{
    size_t position = 0, n = 0;
    const aio_post_field *field;
    while ((field = aio_post_next(post, &position)) && n < room) {
        if (field->filename)
            n += (size_t)snprintf(out + n, room - n, "%s: %s, %s, %zu bytes\n", field->name, field->filename,
                                  field->type, field->value.length);
        else n += (size_t)snprintf(out + n, room - n, "%s: %s\n", field->name, field->value.data);
    }
}

struct answer { aio_task task; aio_request *request; aio_stream *stream; aio_text text; int i; char line[64];
                const aio_post *post; char shown[1000]; };
#define PATH(name) same(self->request->path, (name))
static AIO_CORO(answer)
{
    AIO_BEGIN(answer);
    if (PATH("/hello")) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "hello\n"));
    } else if (PATH("/big")) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .body = big, .length = 1 << 20));
    } else if (PATH("/huge")) {
        AIO_AWAIT(aio_request_respond(self->request, 200, .body = big, .length = sizeof big));
    } else if (PATH("/form")) {
        AIO_AWAIT(self->post, aio_request_post(self->request, .max_file = 2 << 20));
        show(self->post, self->shown, sizeof self->shown);
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->shown));
    } else if (PATH("/chunked") || PATH("/packed")) {
        AIO_AWAIT(aio_request_start(self->request, 200, .compress = PATH("/packed"), .trailers = "Pieces"));
        for (self->i = 0; self->i < 10; self->i++) {
            snprintf(self->line, sizeof self->line, "piece %d\n", self->i);
            AIO_AWAIT(aio_request_chunk(self->request, self->line, strlen(self->line)));
        }
        aio_request_set_trailer(self->request, "Pieces", "10"); /* not for who has not asked for trailers */
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
    } else if (PATH("/query")) {
        self->text = aio_request_query(self->request, "name");
        AIO_AWAIT(aio_request_respond(self->request, 200, .body = self->text.data, .length = self->text.length));
    } else if (PATH("/lines") || same(self->request->method, "CONNECT")) {
        AIO_AWAIT(self->stream, aio_request_upgrade(self->request, .protocol = PATH("/lines") ? "lines" : NULL));
        AIO_ASYNC_FOR(self->text, aio_stream_readline(self->stream)) {
            aio_stream_write(self->stream, self->text.data, self->text.length);
            AIO_AWAIT(aio_stream_drain(self->stream));
        }
    } else {
        AIO_AWAIT(aio_request_respond(self->request, 404, .text = "there is no such page\n"));
    }
    AIO_END;
}
static void *handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(answer, .request = request); }

static void stop(void *event) { aio_event_set((aio_event *)event); }

static aio_http_server_options limits = { .max_body = 8 << 20 };
struct serve { aio_task task; char **files; aio_tls_context *context; aio_server *server; aio_event stopped; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    if (self->files) {
        self->context = aio_tls_context_create(.server = true, .cert_file = self->files[0], .key_file = self->files[1],
                                               .alpn = "http/1.1");
        if (!self->context) AIO_RAISE(AIO_ETLS, "%s", aio_tls_context_error());
    }
    limits.tls_context = self->context;
    AIO_AWAIT(self->server, aio_start_http_server_with(handler, NULL, "127.0.0.1", 0, &limits));
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
    for (int i = 1; i < argc; i++) {
        sscanf(argv[i], "header=%lf", &limits.header_timeout);
        sscanf(argv[i], "body=%lf", &limits.body_timeout);
        sscanf(argv[i], "total=%lf", &limits.body_total_timeout);
        sscanf(argv[i], "write=%lf", &limits.write_timeout);
    }
    return aio_run(AIO_CALL(serve, .files = argc > 2 && !strchr(argv[1], '=') ? argv + 1 : NULL));
}
