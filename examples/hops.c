/* hops: a request that is led elsewhere, with the heads of every message on its way as they were sent and as they came,
 * and a picture of where the time went. The server is its own. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <string.h>

/* /old leads to /new, which takes its time. */
struct site { aio_task task; aio_request *request; };
static AIO_CORO(site)
{
    static const char *const leads[] = { "Location", "/new", NULL };
    AIO_BEGIN(site);
    if (!strcmp(self->request->path.data, "/old")) {
        AIO_AWAIT(aio_request_respond(self->request, 302, .headers = leads));
        AIO_RETURN();
    }
    AIO_AWAIT(aio_sleep(0.02));
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = "here it is\n"));
    AIO_END;
}
static void *site_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(site, .request = request);
}

/* Each line of a head after its mark. */
static void print_head(const char *mark, aio_text head)
{
    bool begins = true;
    for (size_t i = 0; i < head.length; i++) {
        if (begins) fputs(mark, stdout);
        if (head.data[i] != '\r') putchar(head.data[i]);
        begins = head.data[i] == '\n';
    }
}

static void print_hop(const aio_response *response)
{
    aio_text head;
    size_t position = 0;
    const aio_connection_info *connection = aio_response_connection(response);
    printf("%s %s by %s\n", response->method, response->url, connection ? connection->peer : "nobody");
    print_head("> ", aio_response_request_head(response));
    while (aio_response_next_head(response, &position, &head)) print_head("< ", head);
}

struct hops { aio_task task; aio_server *server; aio_session *session; aio_response *response; aio_text text;
              char url[64]; };
static AIO_CORO(hops)
{
    AIO_BEGIN(hops);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.1", 0));
    self->session = aio_session_open();
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/old", aio_server_port(self->server));
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
    AIO_AWAIT(self->text, aio_response_text(self->response));
    for (size_t i = 0; i < self->response->history_count; i++) print_hop(self->response->history[i]);
    print_hop(self->response);
    printf("%s\n", self->text.data);
    aio_print_waterfall(self->response, stdout);
    AIO_FINALLY;
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
        aio_server_close(self->server);
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(hops)); }
