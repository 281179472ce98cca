/* redis: writes a hash, reads it back. redis redis://:password@127.0.0.1:6379/0 */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#define AIO_REDIS_IMPLEMENTATION
#include "aio_redis.h"
#include <stdio.h>

struct demo { aio_task task; const char *url; aio_redis *redis; const aio_redis_reply *cat; };
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    self->redis = aio_redis_open(self->url);
    if (!self->redis) AIO_RAISE(errno, "not a URL of a Redis server");
    AIO_AWAIT(aio_redis_command(self->redis, "HMSET", "cat", "name", "Tom", "colour", "grey"));
    AIO_AWAIT(aio_redis_command(self->redis, "HSET", "cat", "age", "7")); /* which has replaced HMSET */
    AIO_AWAIT(self->cat, aio_redis_command(self->redis, "HGETALL", "cat"));
    for (size_t i = 0; i < aio_redis_count(self->cat); i += 2)
        printf("%s: %s\n", aio_redis_text(aio_redis_at(self->cat, i)), aio_redis_text(aio_redis_at(self->cat, i + 1)));
    AIO_FINALLY;
        aio_redis_close(self->redis);
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: redis redis://user:password@host:port/database\n");
        return 2;
    }
    return aio_run(AIO_CALL(demo, .url = argv[1]));
}
