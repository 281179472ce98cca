/* embed_sdl: SDL's events and a frame of 60 Hz, and in each frame a pass of ours. A page is fetched while the game goes
 * on; it ends when the page is there. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#define SDL_MAIN_HANDLED
#include <SDL.h>
#include <stdio.h>

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
             char url[60]; SDL_Event over; };
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
        self->over.type = SDL_QUIT;
        SDL_PushEvent(&self->over); /* as a click on the window's cross */
    AIO_END;
}

/* The next event of SDL, at the latest when the frame is over or ours has something to do by itself. */
static bool next_event(SDL_Event *event, aio_loop *loop, double frame)
{
    double timeout = aio_loop_timeout(loop);
    if (timeout < 0 || timeout > frame) timeout = frame;
    return timeout > 0 ? SDL_WaitEventTimeout(event, (int)(timeout * 1000 + 0.999)) : SDL_PollEvent(event);
}

int main(void)
{
    int frames = 0, code = 0;
    bool over = false;
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    if (!SDL_getenv("DISPLAY") && !SDL_getenv("WAYLAND_DISPLAY")) SDL_setenv("SDL_VIDEODRIVER", "dummy", 0);
    aio_loop *loop = aio_new_event_loop();
    if (!loop || SDL_Init(SDL_INIT_VIDEO)) return fprintf(stderr, "no loop, or no SDL: %s\n", SDL_GetError()), 1;
    struct get *task = aio_loop_create_task(loop, AIO_CALL(get));
    if (!task) return perror("a task"), 1;
    for (double next = aio_time(); !over && !code;) {
        SDL_Event event;
        while (next_event(&event, loop, 0.002)) over = over || event.type == SDL_QUIT;
        code = aio_loop_run_once(loop, 0);
        if (aio_time() < next) continue;
        next += 1.0 / 60; /* here a game draws */
        if (++frames % 6 == 0) printf("frame %d of SDL\n", frames);
    }
    if (aio_future_exception(task)) aio_exception_print(aio_future_exception(task), stderr);
    bool failed = aio_future_exception(task) != NULL;
    aio_unref(task);
    aio_loop_free(loop);
    SDL_Quit();
    return failed || code;
}
