/* bench_embed MODE PORT - the echo server of bench_echo in a program with two loops: GLib's or libuv's beside ours.
 *   alone        ours alone. In each mode something ticks ten times a second
 *   glib-poll    in GLib's main loop, in place of its poll (examples/embed_glib.c)
 *   glib-source  in GLib's main loop, as a GSource on our descriptor
 *   uv-poll      in libuv's loop, as a uv_poll_t on our descriptor (examples/embed_uv.c)
 *   over-glib    with GLib's main context as a source of ours (examples/embed_glib_source.c)
 *   over-uv      with libuv's loop as a source of ours (examples/embed_uv_source.c) */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include "src/common.h"
#include <glib-unix.h>
#include <uv.h>

struct echo { aio_task task; aio_stream *stream; aio_text data; };
static AIO_CORO(echo)
{
    AIO_BEGIN(echo);
    AIO_ASYNC_FOR(self->data, aio_stream_read(self->stream, 65536)) {
        aio_stream_write(self->stream, self->data.data, self->data.length);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_END;
}

static void *serve(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(echo, .stream = stream);
}

struct server { aio_task task; int port; aio_server *server; };
static AIO_CORO(server)
{
    AIO_BEGIN(server);
    AIO_AWAIT(self->server, aio_start_server(serve, NULL, "127.0.0.1", self->port, .backlog = 4096));
    AIO_AWAIT(aio_server_serve_forever(self->server));
    AIO_END;
}

struct ticks { aio_task task; };
static AIO_CORO(ticks)
{
    AIO_BEGIN(ticks);
    for (;;) AIO_AWAIT(aio_sleep(0.1));
    AIO_END;
}

static aio_loop *loop;
static aio_source source;

static int milliseconds(double timeout) { return timeout < 0 ? -1 : (int)(timeout * 1000 + 0.999); }

/* ---- ours in GLib's ---- */
static void nothing(aio_source *s) { (void)s; }

static gint poll_in_glib(GPollFD *fds, guint count, gint timeout)
{
    gint ready = 0;
    source.fds = (aio_source_fd *)(void *)fds;
    source.count = count;
    if (aio_loop_run_once(loop, timeout < 0 ? AIO_UNLIMITED : timeout / 1000.0)) return g_poll(fds, count, timeout);
    for (guint i = 0; i < count; i++) ready += fds[i].revents != 0;
    return ready;
}

static void glib_poll(void)
{
    source.dispatch = nothing;
    if (aio_loop_add_source(loop, &source)) DIE("add_source");
    g_main_context_set_poll_func(NULL, poll_in_glib);
}

static gpointer tag;
static gboolean prepare(GSource *s, gint *timeout)
{
    (void)s;
    *timeout = milliseconds(aio_loop_timeout(loop));
    return *timeout == 0;
}
static gboolean check(GSource *s) { return g_source_query_unix_fd(s, tag) || aio_loop_timeout(loop) == 0; }
static gboolean dispatch(GSource *s, GSourceFunc callback, gpointer arg)
{
    (void)s, (void)callback, (void)arg;
    return aio_loop_run_once(loop, 0) == 0;
}
static GSourceFuncs functions = { prepare, check, dispatch, NULL, NULL, NULL };

static void glib_source(void)
{
    GSource *s = g_source_new(&functions, sizeof *s);
    tag = g_source_add_unix_fd(s, aio_loop_fileno(loop), G_IO_IN);
    g_source_attach(s, NULL);
}

/* ---- ours in libuv's ---- */
static uv_prepare_t uv_preparing;
static uv_poll_t uv_polling;
static uv_timer_t uv_timing;

static void on_poll(uv_poll_t *handle, int status, int events)
{
    (void)handle, (void)status, (void)events;
    aio_loop_run_once(loop, 0);
}
static void on_timer(uv_timer_t *handle) { on_poll((uv_poll_t *)handle, 0, 0); }
static void on_prepare(uv_prepare_t *handle)
{
    double timeout = aio_loop_timeout(loop);
    uv_timer_stop(&uv_timing);
    uv_update_time(handle->loop);
    if (timeout >= 0) uv_timer_start(&uv_timing, on_timer, (uint64_t)milliseconds(timeout), 0);
}

static void uv_poll_ours(uv_loop_t *uv)
{
    uv_prepare_init(uv, &uv_preparing);
    uv_timer_init(uv, &uv_timing);
    uv_prepare_start(&uv_preparing, on_prepare);
    if (uv_poll_init(uv, &uv_polling, aio_loop_fileno(loop))) DIE("uv_poll_init");
    uv_poll_start(&uv_polling, UV_READABLE, on_poll);
}

/* ---- theirs in ours ---- */
static GPollFD fds[16];
static gint priority;
static double over_glib_prepare(aio_source *s)
{
    gint timeout;
    g_main_context_prepare((GMainContext *)s->arg, &priority);
    s->count = (size_t)g_main_context_query((GMainContext *)s->arg, priority, &timeout, fds, 16);
    s->fds = (aio_source_fd *)(void *)fds;
    return timeout / 1000.0;
}
static void over_glib_dispatch(aio_source *s)
{
    if (g_main_context_check((GMainContext *)s->arg, priority, fds, (gint)s->count))
        g_main_context_dispatch((GMainContext *)s->arg);
}

static double over_uv_prepare(aio_source *s)
{
    uv_update_time((uv_loop_t *)s->arg);
    return uv_backend_timeout((uv_loop_t *)s->arg) / 1000.0;
}
static void over_uv_dispatch(aio_source *s) { uv_run((uv_loop_t *)s->arg, UV_RUN_NOWAIT); }

static gboolean glib_tick(gpointer arg) { return arg == NULL; }
static void uv_tick(uv_timer_t *timer) { (void)timer; }

static void over(const char *mode, uv_loop_t *uv)
{
    static aio_source_fd backend;
    if (!strcmp(mode, "over-glib")) {
        source.arg = g_main_context_default();
        source.prepare = over_glib_prepare;
        source.dispatch = over_glib_dispatch;
        g_main_context_acquire((GMainContext *)source.arg);
        g_timeout_add(100, glib_tick, NULL);
    } else {
        static uv_timer_t timer;
        uv_timer_init(uv, &timer);
        uv_timer_start(&timer, uv_tick, 100, 100);
        backend.fd = uv_backend_fd(uv);
        backend.events = 1; /* POLLIN */
        source.arg = uv;
        source.fds = &backend;
        source.count = 1;
        source.prepare = over_uv_prepare;
        source.dispatch = over_uv_dispatch;
    }
    if (aio_loop_add_source(loop, &source)) DIE("add_source");
}

int main(int argc, char **argv)
{
    if (argc != 3) DIE("usage: bench_embed alone|glib-poll|glib-source|uv-poll|over-glib|over-uv PORT");
    uv_loop_t *uv = uv_default_loop();
    loop = aio_new_event_loop();
    if (!loop || !aio_loop_create_task(loop, AIO_CALL(server, .port = atoi(argv[2])))) DIE("no loop");
    if (!strncmp(argv[1], "over", 4)) over(argv[1], uv);
    else if (!aio_loop_create_task(loop, AIO_CALL(ticks))) DIE("no task");
    else if (!strcmp(argv[1], "alone")) {}
    else if (!strcmp(argv[1], "glib-poll")) glib_poll();
    else if (!strcmp(argv[1], "glib-source")) glib_source();
    else if (!strcmp(argv[1], "uv-poll")) uv_poll_ours(uv);
    if (!strncmp(argv[1], "glib", 4)) g_main_loop_run(g_main_loop_new(NULL, FALSE));
    else if (!strcmp(argv[1], "uv-poll")) uv_run(uv, UV_RUN_DEFAULT);
    else aio_loop_run_forever(loop);
    return 0;
}
