/* embed_glib: GLib's main loop runs ours. A page is fetched while a timeout of GLib's ticks. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <glib.h>
#include <stdio.h>

/* ---- ours where GLib waits: copy this. GLib's descriptors are a source of ours: one wait serves both ---- */
static struct { aio_loop *loop; aio_source source; } loop_in_glib;

/* What has come is in GLib's own array, then. */
static void loop_dispatch(aio_source *source) { (void)source; }

static gint loop_poll(GPollFD *fds, guint count, gint milliseconds)
{
    double timeout = milliseconds < 0 ? (double)AIO_UNLIMITED : milliseconds / 1000.0;
    gint ready = 0;
    loop_in_glib.source.fds = (aio_source_fd *)(void *)fds; /* laid out as GPollFD */
    loop_in_glib.source.count = count;
    if (aio_loop_run_once(loop_in_glib.loop, timeout)) return g_poll(fds, count, milliseconds); /* from within ours */
    for (guint i = 0; i < count; i++) ready += fds[i].revents != 0;
    return ready;
}

static int loop_attach(aio_loop *loop)
{
    loop_in_glib.loop = loop;
    loop_in_glib.source.dispatch = loop_dispatch;
    int code = aio_loop_add_source(loop, &loop_in_glib.source);
    if (!code) g_main_context_set_poll_func(NULL, loop_poll);
    return code;
}

static void loop_detach(void)
{
    g_main_context_set_poll_func(NULL, NULL);
    aio_loop_remove_source(loop_in_glib.loop, &loop_in_glib.source);
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

static void get_done(aio_future *get, void *main_loop)
{
    if (aio_future_exception(get)) aio_exception_print(aio_future_exception(get), stderr);
    g_main_loop_quit((GMainLoop *)main_loop);
}

static gboolean tick(gpointer count)
{
    printf("tick %d of GLib\n", ++*(int *)count);
    return G_SOURCE_CONTINUE;
}

int main(void)
{
    int ticks = 0;
    GMainLoop *main_loop = g_main_loop_new(NULL, FALSE);
    aio_loop *loop = aio_new_event_loop();
    if (!loop || loop_attach(loop)) return perror("a loop to embed"), 1;
    guint timer = g_timeout_add(50, tick, &ticks);
    struct get *task = aio_loop_create_task(loop, AIO_CALL(get));
    if (!task || aio_future_add_done_callback(task, get_done, main_loop)) return perror("a task"), 1;
    g_main_loop_run(main_loop);
    bool failed = aio_future_exception(task) != NULL;
    aio_unref(task);
    g_source_remove(timer);
    loop_detach();
    g_main_loop_unref(main_loop);
    aio_loop_free(loop);
    return failed;
}
