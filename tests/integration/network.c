/* network: a client and a server for networks that fail. Prints what it sees, one fact a line; an error is one as well,
 * with its name, its phase and its message; and in the end how many seconds it took.
 *
 *   network serve                          an HTTP server on every interface: prints its port, ends with SIGTERM.
 *                                          /hello a short text; /drip a piece each 50 ms, for ever; /echo the body
 *   network connect HOST PORT [NAME=SECONDS...]  opens a connection
 *   network get URL [NAME=SECONDS...]      prints each piece's length
 *   network post URL [NAME=SECONDS...]     300,000 bytes to /echo, and compares what comes back
 *
 * Names: connect, total, read (timeouts), delay (of happy eyeballs). */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct { double connect, total, read, delay; } with;
static char body[300000];

static bool read_option(const char *text)
{
    const char *value = strchr(text, '=');
    if (!value) return false;
    double seconds = atof(value + 1);
    if (!strncmp(text, "connect=", 8)) with.connect = seconds;
    else if (!strncmp(text, "total=", 6)) with.total = seconds;
    else if (!strncmp(text, "read=", 5)) with.read = seconds;
    else if (!strncmp(text, "delay=", 6)) with.delay = seconds;
    else return false;
    return true;
}

struct opening { aio_task task; const char *host; int port; aio_stream *stream; char peer[80]; };
static AIO_CORO(opening)
{
    AIO_BEGIN(opening);
    AIO_AWAIT(self->stream, aio_open_connection(self->host, self->port, .connect_timeout = with.connect,
                                                .happy_eyeballs_delay = with.delay));
    printf("connected to %s\n", aio_stream_peername(self->stream, self->peer, sizeof self->peer));
    AIO_FINALLY;
        aio_stream_close(self->stream);
    AIO_END;
}

struct fetching { aio_task task; const char *url, *method; aio_session *session; aio_response *response; aio_text text;
    size_t got; bool post; };
static AIO_CORO(fetching)
{
    AIO_BEGIN(fetching);
    self->session = aio_session_open(.happy_eyeballs_delay = with.delay,
                                     .timeout = { .total = with.total, .sock_connect = with.connect,
                                                  .sock_read = with.read });
    if (!self->session) AIO_RAISE(ENOMEM);
    self->post = !strcmp(self->method, "post");
    AIO_AWAIT(self->response, aio_session_request(self->session, self->post ? "POST" : "GET", self->url,
                                                  .data = self->post ? body : NULL,
                                                  .data_length = self->post ? sizeof body : 0));
    AIO_ASYNC_FOR(self->text, aio_response_read_chunk(self->response)) {
        if (self->post && (self->got + self->text.length > sizeof body
                           || memcmp(self->text.data, body + self->got, self->text.length) != 0))
            AIO_RAISE(EPROTO, "another byte came back");
        self->got += self->text.length;
        if (!self->post) printf("piece of %zu\n", self->text.length);
        fflush(stdout);
    }
    printf("%d, %zu bytes\n", self->response->status, self->got);
    AIO_FINALLY;
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

struct client { aio_task task; char **arguments; double began; };
static AIO_CORO(client)
{
    AIO_BEGIN(client);
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        if (!strcmp(self->arguments[0], "connect"))
            AIO_AWAIT(AIO_CALL(opening, .host = self->arguments[1], .port = atoi(self->arguments[2])));
        else
            AIO_AWAIT(AIO_CALL(fetching, .method = self->arguments[0], .url = self->arguments[1]));
    } AIO_CATCH {
        printf("%s in \"%s\": %s\n", aio_code_name(aio_caught(self)->code), aio_caught(self)->phase,
               aio_caught(self)->message);
    } AIO_END_TRY;
    printf("took %.3f s\n", aio_loop_time(aio_get_running_loop()) - self->began);
    AIO_END;
}

struct answer { aio_task task; aio_request *request; aio_text text; };
static AIO_CORO(answer)
{
    AIO_BEGIN(answer);
    if (!strcmp(self->request->path.data, "/drip")) {
        AIO_AWAIT(aio_request_start(self->request, 200));
        for (;;) {
            AIO_AWAIT(aio_request_chunk(self->request, "drop", 4));
            AIO_AWAIT(aio_sleep(0.05));
        }
    } else if (!strcmp(self->request->path.data, "/echo")) {
        AIO_AWAIT(self->text, aio_request_read(self->request));
        AIO_AWAIT(aio_request_respond(self->request, 200, .body = self->text.data, .length = self->text.length));
    } else {
        AIO_AWAIT(aio_request_respond(self->request, 200, .text = "hello"));
    }
    AIO_END;
}
static void *handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(answer, .request = request); }

static void stop(void *event) { aio_event_set((aio_event *)event); }

struct serve { aio_task task; aio_server *server; aio_event stopped; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    AIO_AWAIT(self->server, aio_start_http_server(handler, NULL, NULL, 0));
    if (aio_loop_add_signal_handler(aio_get_running_loop(), SIGTERM, stop, &self->stopped)) AIO_RAISE(EINVAL);
    printf("port %d\n", aio_server_port(self->server));
    fflush(stdout);
    AIO_AWAIT(aio_event_wait(&self->stopped));
    AIO_FINALLY;
        if (self->server) {
            aio_server_abort_clients(self->server);
            AIO_AWAIT(aio_server_wait_closed(self->server));
        }
    AIO_END;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof body; i++) body[i] = (char)('a' + i % 23);
    if (argc == 2 && !strcmp(argv[1], "serve")) return aio_run(AIO_CALL(serve));
    int fixed = argc > 1 && !strcmp(argv[1], "connect") ? 4 : 3;
    for (int i = fixed; i < argc; i++)
        if (!read_option(argv[i])) return 2;
    return argc < fixed ? 2 : aio_run(AIO_CALL(client, .arguments = argv + 1));
}
