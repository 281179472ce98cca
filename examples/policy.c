/* policy: the same program on other event loops. A policy says how a loop waits: by epoll, or by poll, which is
 * everywhere. AIO_POLLER=poll in the environment does it for a program as it is. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>

struct hello { aio_task task; double began; int i; };
static AIO_CORO(hello)
{
    AIO_BEGIN(hello);
    self->began = aio_time();
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0.01));
    printf("three naps of 10 ms on %s: %.0f ms\n", aio_get_event_loop_policy()->name, (aio_time() - self->began) * 1e3);
    AIO_END;
}

int main(void)
{
    static const char *const names[] = { "epoll", "poll" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const aio_policy *policy = aio_policy_find(names[i]);
        if (!policy) {
            printf("there is no %s here\n", names[i]);
            continue;
        }
        aio_set_event_loop_policy(policy); /* for the loops that this thread makes from now on */
        if (aio_run(AIO_CALL(hello))) return 1;
    }
    return 0;
}
