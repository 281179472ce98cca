/* embed_uv_source: our loop runs libuv's, as a source. A timer of libuv's ticks while a page is fetched. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <poll.h>
#include <stdio.h>
#include <uv.h>

/* ---- theirs as a source: copy this ---- */
static double uv_source_prepare(aio_source *source)
{
    uv_loop_t *uv = (uv_loop_t *)source->arg;
    uv_update_time(uv); /* which its timeout is counted from */
    return uv_backend_timeout(uv) / 1000.0;
}

static void uv_source_dispatch(aio_source *source) { uv_run((uv_loop_t *)source->arg, UV_RUN_NOWAIT); }

typedef struct uv_source { aio_source source; aio_source_fd fd; } uv_source;

static int uv_attach(uv_source *self, aio_loop *loop, uv_loop_t *uv)
{
    self->fd.fd = uv_backend_fd(uv);
    self->fd.events = POLLIN;
    self->source.fds = &self->fd;
    self->source.count = 1;
    self->source.arg = uv;
    self->source.prepare = uv_source_prepare;
    self->source.dispatch = uv_source_dispatch;
    return aio_loop_add_source(loop, &self->source);
}

/* ---- the program ---- */
struct slow { aio_task task; aio_request *request; };
static AIO_CORO(slow)
{
    AIO_BEGIN(slow);
    AIO_AWAIT(aio_sleep(0.25));
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = "a page that takes its time\n"));
    AIO_END;
}
static void *slow_handler(aio_request *request, void *arg) { (void)arg; return AIO_CALL(slow, .request = request); }

static void tick(uv_timer_t *timer) { printf("tick %d of libuv\n", ++*(int *)timer->data); }

struct get { aio_task task; uv_loop_t *uv; uv_source embedded; aio_server *server; aio_session *session;
             aio_response *response; aio_text text; char url[60]; };
static AIO_CORO(get)
{
    AIO_BEGIN(get);
    if (uv_attach(&self->embedded, aio_get_running_loop(), self->uv)) AIO_RAISE(ENOMEM);
    AIO_AWAIT(self->server, aio_start_http_server(slow_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url, .timeout = { .total = 10 }));
    AIO_AWAIT(self->text, aio_response_text(self->response));
    printf("%d: %s", self->response->status, self->text.data);
    AIO_FINALLY;
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
        aio_server_close(self->server);
        aio_loop_remove_source(aio_get_running_loop(), &self->embedded.source);
    AIO_END;
}

int main(void)
{
    int ticks = 0;
    uv_loop_t *uv = uv_default_loop();
    uv_timer_t ticker;
    uv_timer_init(uv, &ticker);
    ticker.data = &ticks;
    uv_timer_start(&ticker, tick, 50, 50);
    int code = aio_run(AIO_CALL(get, .uv = uv));
    uv_close((uv_handle_t *)&ticker, NULL);
    uv_run(uv, UV_RUN_DEFAULT);
    uv_loop_close(uv);
    return code;
}
