/* The program whose stripped size size.py measures: one coroutine that says hello after a moment. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <stdio.h>

struct hello {
    aio_task task;
};

static AIO_CORO(hello)
{
    AIO_BEGIN(hello);
    AIO_AWAIT(aio_sleep(0.001));
    puts("hello, world");
    AIO_END;
}

int main(void)
{
    return aio_run(AIO_CALL(hello));
}
