/* The event loop: order, stop, errors, timers, handles, threads. */

struct loop_smoke { aio_task task; int i; };
SCENARIO(loop_smoke)
{
    AIO_BEGIN(loop_smoke);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(self->i));
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()), 1003, 0.01);
    AIO_END;
}
