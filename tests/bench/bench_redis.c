/* bench_redis URL CONNECTIONS DEPTH N - N GETs of one key by examples/redis, DEPTH of them at once on each connection,
 * a task for each, all on one thread. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#define AIO_REDIS_IMPLEMENTATION
#include "../../examples/redis/aio_redis.h"
#include "src/common.h"

static const char *url;
static long left, done;
static int connections, depth;

struct getting { aio_task task; aio_redis *redis; const aio_redis_reply *reply; int i; };
static AIO_CORO(getting)
{
    AIO_BEGIN(getting);
    self->redis = aio_redis_open(url);
    if (!self->redis) AIO_RAISE(errno);
    while ((left -= depth) >= 0) {
        if (depth == 1) {
            AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "key"));
            done += aio_redis_text(self->reply) != NULL;
            continue;
        }
        for (self->i = 0; self->i < depth; self->i++) aio_redis_pipeline(self->redis, "GET", "key");
        AIO_AWAIT(self->reply, aio_redis_execute(self->redis));
        for (self->i = 0; self->i < depth; self->i++)
            done += aio_redis_text(aio_redis_at(self->reply, (size_t)self->i)) != NULL;
    }
    AIO_FINALLY;
        aio_redis_close(self->redis);
    AIO_END;
}

struct all { aio_task task; aio_redis *redis; const aio_redis_reply *reply; aio_task_group *group; int i; };
static AIO_CORO(all)
{
    AIO_BEGIN(all);
    self->redis = aio_redis_open(url);
    if (!self->redis) AIO_RAISE(errno);
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "SET", "key", "xxxxxxxx"));
    AIO_TASK_GROUP(self->group) {
        for (self->i = 0; self->i < connections; self->i++)
            aio_task_group_create_task(self->group, AIO_CALL(getting));
    }
    AIO_FINALLY;
        aio_redis_close(self->redis);
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc != 5) DIE("usage: bench_redis URL CONNECTIONS DEPTH N");
    url = argv[1];
    connections = atoi(argv[2]);
    depth = atoi(argv[3]);
    left = atol(argv[4]);
    uint64_t began = now_ns();
    int status = aio_run(AIO_CALL(all));
    struct cost cost = cost_now();
    printf("RESULT n=%ld secs=%.6f user=%.6f sys=%.6f\n", done, (double)(now_ns() - began) / 1e9, cost.user, cost.sys);
    return status;
}
