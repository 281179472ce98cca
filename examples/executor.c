/* executor: a blocking call, awaited. Threads do it while the loop goes on. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* Any function that blocks: here one that takes its time. It runs in a thread. */
static void *slow_square(void *arg)
{
    struct timespec delay = { 0, 100000000 };
    intptr_t n = (intptr_t)arg;
    nanosleep(&delay, NULL);
    if (n < 0) return aio_job_raise(33, "no square for %d today", (int)n);
    return (void *)(n * n);
}

struct ticker { aio_task task; int i; };
static AIO_CORO(ticker)
{
    AIO_BEGIN(ticker);
    for (self->i = 1; ; self->i++) {
        AIO_AWAIT(aio_sleep(0.02));
        printf("the loop runs on: %d\n", self->i);
    }
    AIO_END;
}

struct demo { aio_task task; struct ticker *ticker; void *square; };
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    self->ticker = aio_create_task(AIO_CALL(ticker));
    AIO_AWAIT(self->square, aio_to_thread(slow_square, (void *)7));
    printf("7 squared is %d\n", (int)(intptr_t)self->square);
    AIO_TRY {
        AIO_AWAIT(aio_to_thread(slow_square, (void *)-1));
    } AIO_CATCH {
        printf("the job failed: %s\n", aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_task_cancel(self->ticker);
        aio_unref(self->ticker);
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(demo)); }
