/* queue: a producer, two consumers, and a queue of three places between them. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>

struct job { int number; double seconds; };

struct produce { aio_task task; aio_queue *queue; struct job job; };
static AIO_CORO(produce)
{
    AIO_BEGIN(produce);
    for (self->job.number = 1; self->job.number <= 8; self->job.number++) {
        self->job.seconds = 0.01 * (self->job.number % 3);
        AIO_AWAIT(aio_queue_put(self->queue, &self->job));      /* waits while the queue is full */
        printf("job %d is queued, %zu wait\n", self->job.number, aio_queue_size(self->queue));
    }
    AIO_AWAIT(aio_queue_join(self->queue));                     /* until every job is done */
    aio_queue_shutdown(self->queue, false);                     /* ends the consumers' loops */
    AIO_END;
}

struct consume { aio_task task; aio_queue *queue; const char *name; struct job job; };
static AIO_CORO(consume)
{
    AIO_BEGIN(consume);
    AIO_ASYNC_FOR(self->job, aio_queue_next(self->queue, struct job)) { /* until it is shut down and empty */
        AIO_AWAIT(aio_sleep(self->job.seconds));
        printf("%s did job %d\n", self->name, self->job.number);
        aio_queue_task_done(self->queue);
    }
    AIO_END;
}

struct demo { aio_task task; aio_queue *queue; aio_task_group *group; };
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    self->queue = aio_queue_create(struct job, .maxsize = 3);
    AIO_TASK_GROUP(self->group) {
        aio_task_group_create_task(self->group, AIO_CALL(produce, .queue = self->queue));
        aio_task_group_create_task(self->group, AIO_CALL(consume, .queue = self->queue, .name = "ann"));
        aio_task_group_create_task(self->group, AIO_CALL(consume, .queue = self->queue, .name = "bob"));
    }
    AIO_FINALLY;
        aio_queue_free(self->queue);
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(demo)); }
