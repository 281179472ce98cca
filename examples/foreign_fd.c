/* foreign_fd: a library with a descriptor and a loop of its own is served by this one. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* ---- the library: it knows nothing of aio.h. `ready` can be read when library_next has something. ---- */
static struct { int ready, signal; pthread_t thread; } library;

static void *library_thread(void *unused)
{
    static const struct timespec pause = { 0, 20000000 };
    for (char event = 'a'; event <= 'e'; event++) {
        nanosleep(&pause, NULL);
        if (write(library.signal, &event, 1) != 1) break;
    }
    close(library.signal);
    return unused;
}

static int library_open(void)
{
    int fds[2];
    if (pipe(fds) < 0) return -1;
    library.ready = fds[0];
    library.signal = fds[1];
    return pthread_create(&library.thread, NULL, library_thread, NULL) ? -1 : library.ready;
}

static int library_next(void) /* one event, or 0 after the last */
{
    char event;
    return read(library.ready, &event, 1) == 1 ? event : 0;
}

static void library_close(void)
{
    pthread_join(library.thread, NULL);
    close(library.ready);
}

/* ---- the program ---- */
struct demo { aio_task task; int fd; aio_event over; };

static void on_ready(void *arg)
{
    struct demo *self = (struct demo *)arg;
    int event = library_next();
    if (event) {
        printf("the library has an event: %c\n", event);
        return; /* level-triggered: called again while there is more */
    }
    aio_loop_remove_reader(aio_get_running_loop(), self->fd);
    aio_event_set(&self->over);
}

static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    self->fd = library_open();
    if (self->fd < 0) AIO_RAISE(EMFILE, "the library cannot be opened");
    if (aio_loop_add_reader(aio_get_running_loop(), self->fd, on_ready, self)) AIO_RAISE(ENOMEM);
    AIO_TIMEOUT(10.0) {
        AIO_AWAIT(aio_event_wait(&self->over));
    }
    printf("it has no more\n");
    AIO_FINALLY;
        if (self->fd > 0) {
            aio_loop_remove_reader(aio_get_running_loop(), self->fd);
            library_close();
        }
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(demo)); }
