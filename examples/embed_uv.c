/* embed_uv: libuv's loop runs ours. A page is fetched while a timer of libuv's ticks. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <uv.h>

/* ---- ours in theirs: copy this. Before each wait the timer is set to what is due ---- */
typedef struct loop_uv { aio_loop *loop; uv_prepare_t prepare; uv_poll_t poll; uv_timer_t timer; } loop_uv;

static void loop_run(loop_uv *self)
{
    if (aio_loop_run_once(self->loop, 0)) uv_stop(self->prepare.loop);
}

static void loop_on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    loop_run((loop_uv *)poll->data);
}

static void loop_on_timer(uv_timer_t *timer) { loop_run((loop_uv *)timer->data); }

static void loop_on_prepare(uv_prepare_t *prepare)
{
    loop_uv *self = (loop_uv *)prepare->data;
    double timeout = aio_loop_timeout(self->loop);
    uv_timer_stop(&self->timer);
    uv_update_time(prepare->loop);
    if (timeout >= 0) uv_timer_start(&self->timer, loop_on_timer, (uint64_t)(timeout * 1000 + 0.999), 0);
}

static int loop_attach(loop_uv *self, uv_loop_t *uv, aio_loop *loop)
{
    self->loop = loop;
    self->prepare.data = self->poll.data = self->timer.data = self;
    uv_prepare_init(uv, &self->prepare);
    uv_timer_init(uv, &self->timer);
    uv_prepare_start(&self->prepare, loop_on_prepare);
    int code = uv_poll_init(uv, &self->poll, aio_loop_fileno(loop));
    return code ? code : uv_poll_start(&self->poll, UV_READABLE, loop_on_poll);
}

static void loop_detach(loop_uv *self)
{
    uv_close((uv_handle_t *)&self->prepare, NULL);
    uv_close((uv_handle_t *)&self->poll, NULL);
    uv_close((uv_handle_t *)&self->timer, NULL);
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

struct get { aio_task task; aio_server *server; aio_session *session; aio_response *response; aio_text text;
             char url[60]; };
static AIO_CORO(get)
{
    AIO_BEGIN(get);
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
    AIO_END;
}

static void get_done(aio_future *get, void *uv)
{
    if (aio_future_exception(get)) aio_exception_print(aio_future_exception(get), stderr);
    uv_stop((uv_loop_t *)uv);
}

static void tick(uv_timer_t *timer) { printf("tick %d of libuv\n", ++*(int *)timer->data); }

int main(void)
{
    int ticks = 0;
    static loop_uv embedded;
    uv_loop_t *uv = uv_default_loop();
    uv_timer_t ticker;
    aio_loop *loop = aio_new_event_loop();
    if (!loop || loop_attach(&embedded, uv, loop)) return perror("a loop to embed"), 1;
    uv_timer_init(uv, &ticker);
    ticker.data = &ticks;
    uv_timer_start(&ticker, tick, 50, 50);
    struct get *task = aio_loop_create_task(loop, AIO_CALL(get));
    if (!task || aio_future_add_done_callback(task, get_done, uv)) return perror("a task"), 1;
    uv_run(uv, UV_RUN_DEFAULT);
    bool failed = aio_future_exception(task) != NULL;
    aio_unref(task);
    loop_detach(&embedded);
    uv_close((uv_handle_t *)&ticker, NULL);
    uv_run(uv, UV_RUN_DEFAULT);
    uv_loop_close(uv);
    aio_loop_free(loop);
    return failed;
}
