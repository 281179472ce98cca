/* gather and wait: many coroutines at once; all of them, or the first. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>

struct work { aio_task task; long result; int number; };
static AIO_CORO(work)
{
    AIO_BEGIN(work);
    AIO_AWAIT(aio_sleep(0.02 * self->number));
    AIO_RETURN(self->number * self->number);
    AIO_END;
}
#define work(n) AIO_CALL(work, .number = (n))

struct demo { aio_task task; struct work *jobs[5]; size_t done; int i; };
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    for (self->i = 0; self->i < 5; self->i++) self->jobs[self->i] = work(5 - self->i);
    AIO_AWAIT(aio_gather(self->jobs, 5));                  /* the array is lent: */
    for (self->i = 0; self->i < 5; self->i++)
        printf("%ld ", self->jobs[self->i]->result);       /* results in order, typed */
    printf("\n");
    aio_unref_all(self->jobs, 5);                          /* and given back */

    for (self->i = 0; self->i < 5; self->i++) self->jobs[self->i] = work(5 - self->i);
    AIO_AWAIT(self->done, aio_wait(self->jobs, 5, .return_when = AIO_FIRST_COMPLETED));
    printf("%zu of 5 done first: ", self->done);
    self->done = aio_wait_partition(self->jobs, 5);        /* done ones to the front */
    printf("%ld\n", self->jobs[0]->result);
    for (self->i = (int)self->done; self->i < 5; self->i++) aio_task_cancel(self->jobs[self->i]);
    AIO_AWAIT(aio_gather(self->jobs, 5, .return_exceptions = true));
    for (self->i = 0; self->i < 5; self->i++)
        printf("%s ", aio_future_cancelled(self->jobs[self->i]) ? "cancelled" : "finished");
    printf("\n");
    AIO_FINALLY;
        aio_unref_all(self->jobs, 5);
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(demo)); }
