/* bench_tasks timers|spawn|switch|locks|yield|hop|idle N - what tasks cost in aio.h, written as a user writes them. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include "src/common.h"

static long count, limit;

struct trivial { aio_task task; };
static AIO_CORO(trivial)
{
    AIO_BEGIN(trivial);
    count++;
    AIO_END;
}

struct spawn { aio_task task; struct trivial *task_of[1000]; long left; int i; };
static AIO_CORO(spawn)
{
    AIO_BEGIN(spawn);
    for (self->left = limit; self->left > 0; self->left -= 1000) {
        for (self->i = 0; self->i < 1000; self->i++) self->task_of[self->i] = aio_create_task(AIO_CALL(trivial));
        for (self->i = 0; self->i < 1000; self->i++) AIO_AWAIT(self->task_of[self->i]);
    }
    AIO_END;
}

struct yielder { aio_task task; };
static AIO_CORO(yielder)
{
    AIO_BEGIN(yielder);
    while (count < limit) {
        count++;
        AIO_AWAIT(aio_sleep(0));
    }
    AIO_END;
}

struct switching { aio_task task; struct yielder *one, *two; };
static AIO_CORO(switching)
{
    AIO_BEGIN(switching);
    self->one = aio_create_task(AIO_CALL(yielder));
    self->two = aio_create_task(AIO_CALL(yielder));
    AIO_AWAIT(self->one);
    AIO_AWAIT(self->two);
    AIO_END;
}

static aio_lock lock;

struct locks { aio_task task; };
static AIO_CORO(locks)
{
    AIO_BEGIN(locks);
    while (count < limit) {
        AIO_AWAIT(aio_lock_acquire(&lock));
        count++;
        aio_lock_release(&lock);
    }
    AIO_END;
}

struct numbers { aio_task task; long result, i; };
static AIO_CORO(numbers)
{
    AIO_BEGIN_GENERATOR(numbers);
    for (self->i = 0; self->i < limit; self->i++) AIO_YIELD(self->i);
    AIO_END;
}

struct yields { aio_task task; long number; };
static AIO_CORO(yields)
{
    AIO_BEGIN(yields);
    AIO_ASYNC_FOR(self->number, AIO_CALL(numbers)) count++;
    AIO_END;
}

/* Two loops, a thread each, and a call that one gives the other. */
static aio_loop *sides[2];
static void hop(void *side)
{
    long from = (long)(intptr_t)side, to = 1 - from;
    if (count++ >= limit) aio_loop_stop(sides[from]);
    if (count <= limit + 1) aio_loop_call_soon_threadsafe(sides[to], hop, (void *)(intptr_t)to);
}

static void *other_side(void *loop)
{
    aio_loop_run_forever((aio_loop *)loop);
    return NULL;
}

static void hops(aio_loop *loop)
{
    pthread_t thread;
    sides[0] = loop;
    sides[1] = aio_new_event_loop();
    if (!sides[1] || pthread_create(&thread, NULL, other_side, sides[1])) DIE("no thread");
    aio_loop_call_soon_threadsafe(loop, hop, (void *)0);
    aio_loop_run_forever(loop);
    pthread_join(thread, NULL);
    count = limit;
}

struct sleeper { aio_task task; double delay; };
static AIO_CORO(sleeper)
{
    AIO_BEGIN(sleeper);
    AIO_AWAIT(aio_sleep(self->delay));
    count++;
    AIO_END;
}

struct timers { aio_task task; struct sleeper **sleepers; long i; uint64_t seed; };
static AIO_CORO(timers)
{
    AIO_BEGIN(timers);
    self->seed = 88172645463325252u;
    self->sleepers = malloc((size_t)limit * sizeof *self->sleepers);
    for (self->i = 0; self->i < limit; self->i++)
        self->sleepers[self->i] =
            aio_create_task(AIO_CALL(sleeper, .delay = (double)(rng_next(&self->seed) % 2000) / 1000));
    for (self->i = 0; self->i < limit; self->i++) AIO_AWAIT(self->sleepers[self->i]);
    AIO_FINALLY;
        free(self->sleepers);
    AIO_END;
}

static aio_event gate;
static long rss1;

struct blocker { aio_task task; };
static AIO_CORO(blocker)
{
    AIO_BEGIN(blocker);
    AIO_AWAIT(aio_event_wait(&gate));
    count++;
    AIO_END;
}

struct idle { aio_task task; struct blocker **blockers; long i; };
static AIO_CORO(idle)
{
    AIO_BEGIN(idle);
    self->blockers = malloc((size_t)limit * sizeof *self->blockers);
    for (self->i = 0; self->i < limit; self->i++) self->blockers[self->i] = aio_create_task(AIO_CALL(blocker));
    AIO_AWAIT(aio_sleep(0)); /* now all of them are blocked */
    rss1 = rss_bytes(0);
    aio_event_set(&gate);
    for (self->i = 0; self->i < limit; self->i++) AIO_AWAIT(self->blockers[self->i]);
    AIO_FINALLY;
        aio_event_destroy(&gate);
        free(self->blockers);
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc != 3) DIE("usage: bench_tasks timers|spawn|switch|locks|yield|hop|idle N");
    limit = atol(argv[2]);
    uint64_t t0 = now_ns(), c0 = cpu_ns();
    long rss0 = rss_bytes(0);
    aio_loop *loop = aio_new_event_loop();
    if (!strcmp(argv[1], "spawn")) aio_loop_run_until_complete(loop, AIO_CALL(spawn), NULL);
    else if (!strcmp(argv[1], "switch")) aio_loop_run_until_complete(loop, AIO_CALL(switching), NULL);
    else if (!strcmp(argv[1], "locks")) aio_loop_run_until_complete(loop, AIO_CALL(locks), NULL);
    else if (!strcmp(argv[1], "yield")) aio_loop_run_until_complete(loop, AIO_CALL(yields), NULL);
    else if (!strcmp(argv[1], "hop")) hops(loop);
    else if (!strcmp(argv[1], "timers")) aio_loop_run_until_complete(loop, AIO_CALL(timers), NULL), rss1 = peak_rss();
    else if (!strcmp(argv[1], "idle")) aio_loop_run_until_complete(loop, AIO_CALL(idle), NULL);
    double secs = (double)(now_ns() - t0) / 1e9, cpu = (double)(cpu_ns() - c0) / 1e9;
    printf("RESULT n=%ld secs=%.6f cpu=%.6f rss_delta=%ld\n", count, secs, cpu, rss1 ? rss1 - rss0 : 0);
    return count != limit;
}
