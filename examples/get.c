/* get: one page, within ten seconds, its certificate and host name verified. get https://example.org/; without a URL
 * it asks a server of its own. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>

struct get { aio_task task; const char *url; aio_session *session; aio_response *response; aio_text text; };
static AIO_CORO(get)
{
    AIO_BEGIN(get);
    self->session = aio_session_open();
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url, .timeout = { .total = 10 }));
    AIO_AWAIT(self->text, aio_response_text(self->response));
    printf("%d %s: %zu bytes\n%s", self->response->status, self->url, self->text.length, self->text.data);
    AIO_FINALLY;
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

/* ---- without a URL ---- */
struct hello { aio_task task; aio_request *request; };
static AIO_CORO(hello)
{
    AIO_BEGIN(hello);
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = "hello\n"));
    AIO_END;
}
static void *hello_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(hello, .request = request);
}

struct own { aio_task task; aio_server *server; char url[64]; };
static AIO_CORO(own)
{
    AIO_BEGIN(own);
    AIO_AWAIT(self->server, aio_start_http_server(hello_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    AIO_AWAIT(AIO_CALL(get, .url = self->url));
    AIO_FINALLY;
        aio_server_close(self->server);
    AIO_END;
}

int main(int argc, char **argv) { return argc > 1 ? aio_run(AIO_CALL(get, .url = argv[1])) : aio_run(AIO_CALL(own)); }
