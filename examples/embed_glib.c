/* embed_glib: GLib's main loop runs ours. A page is fetched while a timeout of GLib's ticks. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <glib-unix.h>
#include <stdio.h>

/* ---- ours as a GSource: copy this ---- */
typedef struct loop_source { GSource source; aio_loop *loop; gpointer fd; } loop_source;

static gboolean loop_prepare(GSource *source, gint *milliseconds)
{
    double timeout = aio_loop_timeout(((loop_source *)source)->loop);
    *milliseconds = timeout < 0 ? -1 : timeout < 1e6 ? (gint)(timeout * 1000 + 0.999) : 1000000000;
    return timeout == 0;
}

static gboolean loop_check(GSource *source)
{
    loop_source *self = (loop_source *)source;
    return g_source_query_unix_fd(source, self->fd) || aio_loop_timeout(self->loop) == 0;
}

static gboolean loop_dispatch(GSource *source, GSourceFunc callback, gpointer arg)
{
    (void)callback, (void)arg;
    return aio_loop_run_once(((loop_source *)source)->loop, 0) == 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static GSourceFuncs loop_funcs = { loop_prepare, loop_check, loop_dispatch, NULL, NULL, NULL };

static GSource *loop_attach(aio_loop *loop)
{
    GSource *source = g_source_new(&loop_funcs, sizeof(loop_source));
    loop_source *self = (loop_source *)source;
    self->loop = loop;
    self->fd = g_source_add_unix_fd(source, aio_loop_fileno(loop), G_IO_IN);
    g_source_attach(source, NULL);
    return source;
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
    if (!loop || aio_loop_fileno(loop) < 0) return perror("a loop to embed"), 1;
    GSource *source = loop_attach(loop);
    guint timer = g_timeout_add(50, tick, &ticks);
    struct get *task = aio_loop_create_task(loop, AIO_CALL(get));
    if (!task || aio_future_add_done_callback(task, get_done, main_loop)) return perror("a task"), 1;
    g_main_loop_run(main_loop);
    bool failed = aio_future_exception(task) != NULL;
    aio_unref(task);
    g_source_remove(timer);
    g_source_destroy(source);
    g_source_unref(source);
    g_main_loop_unref(main_loop);
    aio_loop_free(loop);
    return failed;
}
