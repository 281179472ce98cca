/* websocket: both sides for real counterparts.
 *
 *   websocket serve [compress=BITS] [cert=FILE key=FILE]
 *                                              prints its port, gives messages back, and ends with SIGTERM;
 *                                              /events: ten events a second, with /events?3 three and 204 after them
 *   websocket URL [compress=BITS] [code=CODE] [ca=FILE]
 *                                              sends texts and bytes of many sizes, which must come back, and closes
 *   websocket say URL PROTOCOL TEXT...         sends texts, prints the lengths and beginnings of what comes, one for
 *                                              each, and closes */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compress;
static const char *ca, *cert, *key;
static char data[1 << 20];

struct echo { aio_task task; aio_request *request; aio_ws *ws; aio_ws_message message; };
static AIO_CORO(echo)
{
    AIO_BEGIN(echo);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request, .protocols = "echo, lws-mirror-protocol",
                                                    .compress = compress));
    AIO_ASYNC_FOR(self->message, aio_ws_receive(self->ws)) {
        if (self->message.type == AIO_WS_TEXT) {
            AIO_AWAIT(aio_ws_send_text(self->ws, self->message.data.data, self->message.data.length));
        } else {
            AIO_AWAIT(aio_ws_send_bytes(self->ws, self->message.data.data, self->message.data.length));
        }
    }
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}

struct events { aio_task task; aio_request *request; int i, last; char id[12]; };
static AIO_CORO(events)
{
    AIO_BEGIN(events);
    self->last = self->request->query.length ? atoi(self->request->query.data) : 1000000;
    if (aio_headers_get(&self->request->headers, "Last-Event-ID").data) {
        AIO_AWAIT(aio_request_respond(self->request, 204));
        AIO_RETURN();
    }
    AIO_AWAIT(aio_request_sse(self->request));
    while (self->i++ < self->last) {
        snprintf(self->id, sizeof self->id, "%d", self->i);
        AIO_AWAIT(aio_request_sse_send(self->request, "two\nlines", .id = self->id, .event = "tick"));
        AIO_AWAIT(aio_sleep(0.1));
    }
    AIO_AWAIT(aio_request_end(self->request));
    AIO_END;
}
static void *answer(aio_request *request, void *arg)
{
    (void)arg;
    if (!strcmp(request->path.data, "/events")) return AIO_CALL(events, .request = request);
    return AIO_CALL(echo, .request = request);
}

struct serve { aio_task task; aio_tls_context *context; aio_server *server; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    if (cert && !(self->context = aio_tls_context_create(.server = true, .cert_file = cert, .key_file = key)))
        AIO_RAISE(AIO_ETLS, "%s", aio_tls_context_error());
    AIO_AWAIT(self->server, aio_start_http_server(answer, NULL, "127.0.0.1", 0, .tls_context = self->context));
    printf("port %d\n", aio_server_port(self->server));
    fflush(stdout);
    AIO_AWAIT(aio_server_serve_forever(self->server));
    AIO_FINALLY;
        aio_tls_context_unref(self->context);
        aio_server_close_clients(self->server);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
static void end(void *task) { aio_task_cancel(task); }
struct until_sigterm { aio_task task; struct serve *serve; };
static AIO_CORO(until_sigterm)
{
    AIO_BEGIN(until_sigterm);
    self->serve = aio_create_task(AIO_CALL(serve));
    aio_loop_add_signal_handler(aio_get_running_loop(), SIGTERM, end, self->serve);
    AIO_TRY {
        AIO_AWAIT((struct serve *)aio_ref(self->serve));
    } AIO_CATCH_CODE(AIO_ECANCELLED) { } AIO_END_TRY;
    AIO_FINALLY;
        aio_loop_remove_signal_handler(aio_get_running_loop(), SIGTERM);
        aio_unref(self->serve);
    AIO_END;
}

struct ask { aio_task task; const char *url; int code, i; aio_tls_context *context; aio_session *session;
             aio_ws *ws; aio_ws_message message; };
static AIO_CORO(ask)
{
    static const size_t sizes[] = { 0, 1, 125, 126, 4096, 65535, 65536, sizeof data };
    AIO_BEGIN(ask);
    if (ca && !(self->context = aio_tls_context_create(.ca_file = ca)))
        AIO_RAISE(AIO_ETLS, "%s", aio_tls_context_error());
    self->session = aio_session_open(.tls_context = self->context);
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url, .protocols = "other, echo", .compress = compress));
    printf("protocol %s\ncompress %d\n", aio_ws_protocol(self->ws) ? aio_ws_protocol(self->ws) : "-",
           aio_ws_compresses(self->ws));
    for (self->i = 0; self->i < 16; self->i++) {
        size_t size;
        size = sizes[self->i / 2];
        for (size_t i = 0; i < size; i++) data[i] = (char)(self->i % 2 ? 'a' + i * i % 23 : i * i / 7);
        if (self->i % 2) {
            AIO_AWAIT(aio_ws_send_text(self->ws, data, sizes[self->i / 2]));
        } else {
            AIO_AWAIT(aio_ws_send_bytes(self->ws, data, sizes[self->i / 2]));
        }
        AIO_AWAIT(aio_ws_ping(self->ws, "ping", 4));
        AIO_AWAIT(self->message, aio_ws_receive(self->ws));
        if (self->message.type != (self->i % 2 ? AIO_WS_TEXT : AIO_WS_BINARY)
            || self->message.data.length != sizes[self->i / 2]
            || memcmp(self->message.data.data, data, self->message.data.length) != 0)
            AIO_RAISE(AIO_ERUNTIME, "message %d came back otherwise", self->i);
    }
    AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "in \xC3", 4, false));
    AIO_AWAIT(aio_ws_send_chunk(self->ws, AIO_WS_TEXT, "\xA4 pieces", 8, true));
    AIO_AWAIT(self->message, aio_ws_receive(self->ws));
    printf("text %s\n", self->message.data.data);
    AIO_AWAIT(aio_ws_close(self->ws, self->code, "done"));
    printf("closed %d\n", aio_ws_close_code(self->ws));
    AIO_FINALLY;
        aio_ws_release(self->ws);
        aio_tls_context_unref(self->context);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

struct say { aio_task task; char **arguments; aio_session *session; aio_ws *ws; aio_ws_message message; };
static AIO_CORO(say)
{
    AIO_BEGIN(say);
    self->session = aio_session_open();
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->arguments[0], .protocols = self->arguments[1],
                                       .receive_timeout = 20));
    for (self->arguments += 2; *self->arguments; self->arguments++) {
        AIO_AWAIT(aio_ws_send_text(self->ws, *self->arguments, strlen(*self->arguments)));
        AIO_AWAIT(self->message, aio_ws_receive(self->ws));
        printf("%d: %zu %.40s\n", self->message.type, self->message.data.length, self->message.data.data);
    }
    AIO_AWAIT(aio_ws_close(self->ws, 0, NULL));
    printf("closed %d\n", aio_ws_close_code(self->ws));
    AIO_FINALLY;
        aio_ws_release(self->ws);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

int main(int argc, char **argv)
{
    int code = 0;
    if (argc > 3 && !strcmp(argv[1], "say")) return aio_run(AIO_CALL(say, .arguments = argv + 2));
    for (int i = 2; i < argc; i++) {
        if (!strncmp(argv[i], "compress=", 9)) compress = atoi(argv[i] + 9);
        else if (!strncmp(argv[i], "ca=", 3)) ca = argv[i] + 3;
        else if (!strncmp(argv[i], "cert=", 5)) cert = argv[i] + 5;
        else if (!strncmp(argv[i], "key=", 4)) key = argv[i] + 4;
        else if (!strncmp(argv[i], "code=", 5)) code = atoi(argv[i] + 5);
        else return fprintf(stderr, "%s?\n", argv[i]), 2;
    }
    if (argc < 2) return 2;
    if (!strcmp(argv[1], "serve")) return aio_run(AIO_CALL(until_sigterm));
    return aio_run(AIO_CALL(ask, .url = argv[1], .code = code));
}
