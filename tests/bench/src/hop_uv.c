/* hop_uv N - two libuv loops, a thread each, that wake each other in turn with uv_async_send. */
#include "common.h"
#include <uv.h>

static long count, limit;
static struct side { uv_loop_t loop; uv_async_t async; } sides[2];

static void on_async(uv_async_t *async)
{
    long from = async == &sides[1].async, to = 1 - from;
    if (count++ >= limit) uv_stop(&sides[from].loop);
    if (count <= limit + 1) uv_async_send(&sides[to].async);
}

static void run(void *side) { uv_run(&((struct side *)side)->loop, UV_RUN_DEFAULT); }

int main(int argc, char **argv)
{
    limit = argc == 2 ? atol(argv[1]) : 200000;
    uv_thread_t thread;
    for (int i = 0; i < 2; i++)
        if (uv_loop_init(&sides[i].loop) || uv_async_init(&sides[i].loop, &sides[i].async, on_async)) DIE("uv");
    uint64_t t0 = now_ns(), c0 = cpu_ns();
    if (uv_thread_create(&thread, run, &sides[1])) DIE("thread");
    uv_async_send(&sides[0].async);
    run(&sides[0]);
    uv_thread_join(&thread);
    printf("RESULT n=%ld secs=%.6f cpu=%.6f\n", limit, (double)(now_ns() - t0) / 1e9, (double)(cpu_ns() - c0) / 1e9);
    return 0;
}
