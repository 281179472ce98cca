/* cores: a loop on each core. Jobs are handed round robin to threads, each with a loop and a queue of its own, and what
 * comes of them comes back in one queue; measured with one thread, and with one for each core. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { JOBS = 4000, NUMBERS = 300, CORES_MOST = 64 };
struct result { long number; int steps; }; /* the one that takes most */
struct core { aio_thread_queue *jobs, *results; pthread_t thread; int done; };

/* Which number takes most steps to come to 1, if even ones are halved, and odd ones become 3n + 1. */
static struct result best_of(long first)
{
    struct result best = { 0, 0 };
    for (long number = first; number < first + NUMBERS; number++) {
        struct result one = { number, 0 };
        for (long n = number; n != 1; one.steps++) n = n % 2 ? 3 * n + 1 : n / 2;
        if (one.steps > best.steps) best = one;
    }
    return best;
}

/* In each thread's loop, which could serve connections beside it. A job is the first one of its numbers. */
struct work { aio_task task; struct core *core; long job; struct result best; };
static AIO_CORO(work)
{
    AIO_BEGIN(work);
    AIO_ASYNC_FOR(self->job, aio_thread_queue_next(self->core->jobs, long)) { /* until it is shut down */
        self->best = best_of(self->job);
        self->core->done++;
        AIO_AWAIT(aio_thread_queue_put(self->core->results, &self->best));
        AIO_AWAIT(aio_sleep(0)); /* others of this loop have their turn */
    }
    AIO_END;
}
static void *core_thread(void *arg)
{
    aio_run(AIO_CALL(work, .core = (struct core *)arg), .keep_sigint = true);
    return NULL;
}

/* Round robin: a core that has enough in its queue holds the others' jobs up, so that none runs far ahead. */
struct hand_out { aio_task task; struct core *cores; int count, i; long job; };
static AIO_CORO(hand_out)
{
    AIO_BEGIN(hand_out);
    for (self->i = 0; self->i < JOBS; self->i++) {
        self->job = 1 + (long)self->i * NUMBERS;
        AIO_AWAIT(aio_thread_queue_put(self->cores[self->i % self->count].jobs, &self->job));
    }
    for (self->i = 0; self->i < self->count; self->i++) aio_thread_queue_shutdown(self->cores[self->i].jobs, false);
    AIO_END;
}

struct measure { aio_task task; struct core *cores; int count, i; struct hand_out *handing; struct result one, best;
                 double began; };
static AIO_CORO(measure)
{
    AIO_BEGIN(measure);
    self->began = aio_loop_time(aio_get_running_loop());
    self->handing = aio_create_task(AIO_CALL(hand_out, .cores = self->cores, .count = self->count));
    for (self->i = 0; self->i < JOBS; self->i++) {
        AIO_AWAIT(self->one, aio_thread_queue_get(self->cores->results, struct result));
        if (self->one.steps > self->best.steps) self->best = self->one;
    }
    printf("loops: %d, jobs/s: %.0f, of the numbers %ld takes most: %d steps; jobs of each:", self->count,
           self->i / (aio_loop_time(aio_get_running_loop()) - self->began), self->best.number, self->best.steps);
    for (int i = 0; i < self->count; i++) printf(" %d%s", self->cores[i].done, i + 1 < self->count ? "" : "\n");
    AIO_FINALLY;
        aio_unref(self->handing);
    AIO_END;
}

static int measured(int count)
{
    static struct core cores[CORES_MOST];
    aio_thread_queue *results = aio_thread_queue_create(struct result, .maxsize = 1000);
    for (int i = 0; i < count; i++) {
        cores[i].done = 0;
        cores[i].results = results;
        cores[i].jobs = aio_thread_queue_create(long, .maxsize = 16);
        if (!results || !cores[i].jobs || pthread_create(&cores[i].thread, NULL, core_thread, &cores[i])) return 1;
    }
    int code = aio_run(AIO_CALL(measure, .cores = cores, .count = count));
    for (int i = 0; i < count; i++) {
        aio_thread_queue_shutdown(cores[i].jobs, true);
        pthread_join(cores[i].thread, NULL);
        aio_thread_queue_unref(cores[i].jobs);
    }
    aio_thread_queue_unref(results);
    return code;
}

int main(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return measured(1) || measured(cores < 2 ? 2 : cores > CORES_MOST ? CORES_MOST : (int)cores);
}
