/* embed_glib_source: our loop runs GLib's main loop, as a source. A timeout of GLib's ticks while a page is fetched. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <glib.h>
#include <stdio.h>

/* ---- theirs as a source: copy this. GPollFD and aio_source_fd are laid out alike ---- */
typedef struct glib_source { aio_source source; GMainContext *context; GPollFD *fds; gint room, priority; } glib_source;

static double glib_prepare(aio_source *source)
{
    glib_source *self = (glib_source *)source->arg;
    gint milliseconds, count;
    g_main_context_prepare(self->context, &self->priority);
    while ((count = g_main_context_query(self->context, self->priority, &milliseconds, self->fds, self->room)) >
           self->room)
        self->fds = g_renew(GPollFD, self->fds, (gsize)(self->room = count));
    source->fds = (aio_source_fd *)(void *)self->fds;
    source->count = (size_t)count;
    return milliseconds / 1000.0;
}

static void glib_dispatch(aio_source *source)
{
    glib_source *self = (glib_source *)source->arg;
    if (g_main_context_check(self->context, self->priority, self->fds, (gint)source->count))
        g_main_context_dispatch(self->context);
}

static int glib_attach(glib_source *self, aio_loop *loop)
{
    self->source.arg = self;
    self->source.prepare = glib_prepare;
    self->source.dispatch = glib_dispatch;
    self->context = g_main_context_default();
    if (!g_main_context_acquire(self->context)) return EBUSY;
    int code = aio_loop_add_source(loop, &self->source);
    if (code) g_main_context_release(self->context);
    return code;
}

static void glib_detach(glib_source *self, aio_loop *loop)
{
    if (!aio_loop_remove_source(loop, &self->source)) return;
    g_main_context_release(self->context);
    g_free(self->fds);
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

static gboolean tick(gpointer count)
{
    printf("tick %d of GLib\n", ++*(int *)count);
    return G_SOURCE_CONTINUE;
}

struct get { aio_task task; glib_source glib; guint timer; int ticks; aio_server *server; aio_session *session;
             aio_response *response; aio_text text; char url[60]; };
static AIO_CORO(get)
{
    AIO_BEGIN(get);
    if (glib_attach(&self->glib, aio_get_running_loop())) AIO_RAISE(EBUSY, "GLib's main loop runs elsewhere");
    self->timer = g_timeout_add(50, tick, &self->ticks);
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
        if (self->timer) g_source_remove(self->timer);
        glib_detach(&self->glib, aio_get_running_loop());
    AIO_END;
}
int main(void) { return aio_run(AIO_CALL(get)); }
