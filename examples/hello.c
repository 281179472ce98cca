/* hello: two coroutines that sleep at the same time. 0.3 seconds of sleep take 0.2. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>

/* async def greet(name, delay) */
struct greet {
    aio_task    task;    /* first: the struct is the coroutine, the task and the future */
    const char *name;    /* the arguments */
    double      delay;
};
static AIO_CORO(greet)
{
    AIO_BEGIN(greet);
    AIO_AWAIT(aio_sleep(self->delay));
    printf("hello %s\n", self->name);
    AIO_END;
}
#define greet(...) AIO_CALL(greet, __VA_ARGS__)    /* greet(.name = "you"), as greet(name="you") in Python */

struct hello { aio_task task; struct greet *one, *two; double began; };
static AIO_CORO(hello)
{
    AIO_BEGIN(hello);
    self->began = aio_loop_time(aio_get_running_loop());
    self->one = aio_create_task(greet(.name = "world", .delay = 0.2));
    self->two = aio_create_task(greet(.name = "again", .delay = 0.1));
    AIO_AWAIT(self->one);
    AIO_AWAIT(self->two);
    printf("both took %.1f s\n", aio_loop_time(aio_get_running_loop()) - self->began);
    AIO_END;
}

int main(void)
{
    return aio_run(AIO_CALL(hello));
}
