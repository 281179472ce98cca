/* Each operation of an example's client is cancelled after so many steps of the loop, one more each time, until it ends
 * before: with a client that is new, and with one that is connected. Then the client's pool has healed, and whoever
 * asks next gets its own answers. */
#ifndef INTEGRATION_EVERY_AWAIT_H
#define INTEGRATION_EVERY_AWAIT_H

#include <dirent.h>
#include <poll.h>
#include "expect.h"
#include "relay.h"

typedef struct {
    const char *name;
    void     *(*operation)(void *client, int number); /* a coroutine; it expects its answers by the number */
    int        stride;                                /* one of so many awaits: for those that take long */
} await_case;

/* Cancels tasks (NULL: none), waits until they have ended, in whatever way, and gives them back. */
struct tasks_end { aio_task task; aio_task **tasks; size_t count, i; };
static AIO_CORO(tasks_end)
{
    AIO_BEGIN(tasks_end);
    for (self->i = 0; self->i < self->count; self->i++)
        if (self->tasks[self->i]) aio_task_cancel(self->tasks[self->i]);
    for (self->i = 0; self->i < self->count; self->i++) {
        AIO_TRY {
            if (self->tasks[self->i]) AIO_AWAIT(aio_ref(self->tasks[self->i]));
        } AIO_CATCH_ALL {
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        aio_unref_all(self->tasks, self->count);
    AIO_END;
}

/* One step, as a pass may have many. */
static void await_step(aio_loop *loop)
{
    struct pollfd ready = { aio_loop_fileno(loop), POLLIN, 0 };
    double timeout = aio_loop_timeout(loop);
    poll(&ready, 1, timeout < 0 ? -1 : (int)(timeout * 1000) + (timeout > 0));
    aio_loop_stop(loop);
    aio_loop_run_once(loop, 0);
}

static int await_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder)) count++;
    if (folder) closedir(folder);
    return count;
}

static void await_well(aio_loop *loop, void *coroutine, const await_case *one, int steps)
{
    aio_exception *error = NULL;
    if (aio_loop_run_until_complete(loop, coroutine, &error)) {
        printf("%s, after %d steps: %s\n", one->name, steps, error ? error->message : "?");
        failures++;
    }
    aio_exception_unref(error);
}

/* True when the operation was done before so many steps. */
static bool await_cancelled(aio_loop *loop, const relay_subject *subject, const char *at, const await_case *one,
                            int steps, bool warm)
{
    void *client = subject->open(at);
    if (warm) await_well(loop, subject->session(client, steps), one, steps);
    aio_task *task = (aio_task *)aio_loop_create_task(loop, (aio_task *)one->operation(client, steps));
    for (int i = 0; i < steps && !aio_future_done(task); i++) await_step(loop);
    bool done = !aio_task_cancel(task);
    aio_exception *error = NULL;
    int code = aio_loop_run_until_complete(loop, aio_ref(task), &error);
    if (code != (done ? 0 : AIO_ECANCELLED)) {
        printf("%s, cancelled after %d steps: %d %s\n", one->name, steps, code, error ? error->message : "");
        failures++;
    }
    aio_exception_unref(error);
    aio_unref(task);
    await_well(loop, subject->session(client, 100000 + steps), one, steps);
    subject->close(client);
    return done;
}

/* Prints how many steps each took. */
static int every_await(const relay_subject *subject, const char *at, const await_case *cases, size_t count)
{
    aio_loop *loop = aio_new_event_loop();
    if (!loop) return 1;
    aio_set_event_loop(loop);
    int before = await_descriptors();
    for (size_t i = 0; i < 2 * count && !failures; i++) {
        int steps = 0;
        while (steps < 5000 && !failures && !await_cancelled(loop, subject, at, &cases[i / 2], steps, i % 2))
            steps += cases[i / 2].stride;
        printf("%s%s: %d steps\n", cases[i / 2].name, i % 2 ? ", connected" : "", steps);
    }
    for (int i = 0; i < 400 && await_descriptors() != before; i++) aio_loop_run_once(loop, 0.01);
    EXPECT(await_descriptors() == before);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
    return failures != 0;
}

#endif
