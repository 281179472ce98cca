/* sse: server-sent events: a clock that ticks for each client, and a client that comes again where it left off. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <stdlib.h>

/* Three ticks, then the connection ends: the client comes again, and says which it has had. */
struct clock_ { aio_task task; aio_request *request; const char *had; int tick, last; char text[20]; };
static AIO_CORO(clock_)
{
    AIO_BEGIN(clock_);
    self->had = aio_headers_get(&self->request->headers, "Last-Event-ID").data;
    self->tick = self->had ? atoi(self->had) : 0;
    AIO_AWAIT(aio_request_sse(self->request));
    for (self->last = self->tick + 3; self->tick < self->last; ) {
        snprintf(self->text, sizeof self->text, "%d", ++self->tick);
        AIO_AWAIT(aio_request_sse_send(self->request, self->text, .event = "tick", .id = self->text, .retry = 0.1));
        AIO_AWAIT(aio_sleep(0.05));
    }
    AIO_AWAIT(aio_request_end(self->request));
    AIO_END;
}
static void *serve(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(clock_, .request = request);
}

struct demo { aio_task task; aio_server *server; aio_session *session; aio_sse *events; aio_sse_event event; int count;
              char url[64]; };
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    AIO_AWAIT(self->server, aio_start_http_server(serve, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    self->events = aio_sse_open(self->session, self->url);
    AIO_ASYNC_FOR(self->event, aio_sse_next(self->events)) {
        printf("%s %s\n", self->event.event.data, self->event.data.data);
        if (++self->count == 5) break;
    }
    AIO_FINALLY;
        aio_sse_close(self->events);
        AIO_AWAIT(aio_session_close(self->session));
        if (self->server) AIO_AWAIT(aio_server_shutdown(self->server, 1));
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(demo)); }
