/* callback: a foreign API that calls back, from a thread of its own, turned into something to await. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

/* ---- the foreign API: calls sensor->done(sensor, value) some time later, from another thread ---- */
struct sensor { void (*done)(struct sensor *, double value); };
static void *sensor_thread(void *arg)
{
    struct timespec delay = { 0, 50000000 };
    nanosleep(&delay, NULL);
    ((struct sensor *)arg)->done((struct sensor *)arg, 21.5);
    return NULL;
}
static int sensor_read(struct sensor *sensor)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, sensor_thread, sensor) ? -1 : pthread_detach(thread);
}

/* ---- the glue: a future, and the loop's one door for other threads ---- */
struct reading { aio_future future; double result; struct sensor sensor; aio_loop *loop; double value; };
static void in_the_loop(void *arg)
{
    struct reading *reading = (struct reading *)arg;
    aio_future_set_result(reading, reading->value);     /* wakes who awaits it; nothing if that was cancelled */
    aio_unref(reading);
}
static void in_their_thread(struct sensor *sensor, double value)
{
    struct reading *reading = (struct reading *)(void *)((char *)sensor - offsetof(struct reading, sensor));
    reading->value = value;
    aio_loop_call_soon_threadsafe(reading->loop, in_the_loop, reading);
}
static struct reading *read_sensor(void)
{
    struct reading *reading = AIO_FUTURE(struct reading);
    if (!reading) return NULL;
    reading->loop = aio_get_running_loop();
    reading->sensor.done = in_their_thread;
    aio_ref(reading);                                   /* the thread's */
    if (sensor_read(&reading->sensor) == 0) return reading;
    aio_unref(reading);
    aio_future_set_exception(reading, EIO, "the sensor cannot be asked");
    return reading;
}

struct demo { aio_task task; double celsius; };
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    AIO_AWAIT(self->celsius, read_sensor());
    printf("%.1f degrees\n", self->celsius);
    AIO_END;
}
int main(void) { return aio_run(AIO_CALL(demo)); }
