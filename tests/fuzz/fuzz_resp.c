/* Replies of Redis, one after another, whole and in pieces: the same values, as many bytes taken, the same error. A
 * copy is as the original, and each text ends in a NUL. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
#define AIO_REDIS_IMPLEMENTATION
#include "../../examples/redis/aio_redis.h"

typedef struct { uint64_t sum; size_t used; int replies, code; } fuzz_resp_run;

static void fuzz_resp_add(fuzz_resp_run *run, const void *data, size_t n)
{
    for (size_t i = 0; i < n; i++) run->sum = (run->sum ^ ((const unsigned char *)data)[i]) * 1099511628211u;
}

static void fuzz_resp_walk(fuzz_resp_run *run, const aio_redis_reply *reply)
{
    int type = aio_redis_type(reply);
    aio_text text = aio_redis_bytes(reply);
    int64_t integer = aio_redis_integer(reply, -7);
    size_t count = aio_redis_count(reply);
    fuzz_resp_add(run, &type, sizeof type);
    fuzz_resp_add(run, &count, sizeof count);
    fuzz_resp_add(run, &integer, sizeof integer);
    fuzz_resp_add(run, text.data, text.length);
    if (text.data && text.data[text.length]) abort();
    if (aio_redis_at(reply, count)) abort();
    for (size_t i = 0; i < count; i++) fuzz_resp_walk(run, aio_redis_at(reply, i));
    if (aio_redis_get(reply, "k")) fuzz_resp_add(run, "k", 1);
}

static void fuzz_resp_reply(fuzz_resp_run *run, const aio_redis_reply *reply)
{
    fuzz_resp_run one = { 1, 0, 0, 0 }, other = { 1, 0, 0, 0 };
    aio_redis_reply *copy = aio_redis_reply_copy(reply);
    if (!copy) abort();
    fuzz_resp_walk(&one, reply);
    fuzz_resp_walk(&other, copy);
    if (one.sum != other.sum) abort();
    aio_redis_reply_free(copy);
    fuzz_resp_add(run, &one.sum, sizeof one.sum);
    run->replies++;
}

/* Gives it `step` bytes more each time. */
static void fuzz_resp_read(fuzz_resp_run *run, const uint8_t *data, size_t size, size_t step)
{
    aio_redis *redis = aio_redis_open("redis://x", .max_reply = 1 << 16, .max_depth = 8);
    if (!redis) abort();
    memset(run, 0, sizeof *run);
    for (size_t given = step < size ? step : size; !run->code;) {
        size_t taken = 0, n = given - run->used;
        char *copy = (char *)malloc(n ? n : 1);
        if (!copy) abort();
        memcpy(copy, data + run->used, n);
        aio_text in = { copy, n };
        int done = aio_redis__feed(redis, in, &taken);
        free(copy);
        if (taken > n) abort();
        run->used += taken;
        if (done < 0) run->code = redis->code;
        else if (done) {
            fuzz_resp_reply(run, &redis->nodes[redis->first]);
            aio_redis__forget(redis);
        } else if (given == size) break;
        else given = size - given < step ? size : given + step;
    }
    aio_redis_close(redis);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = { 1, 3, 64 };
    fuzz_resp_run whole, pieces;
    if (size > 4096) return 0;
    fuzz_resp_read(&whole, data, size, size);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fuzz_resp_read(&pieces, data, size, steps[i]);
        if (pieces.code == AIO_ELIMIT || whole.code == AIO_ELIMIT) continue; /* room grows by the pieces */
        if (pieces.code != whole.code || pieces.sum != whole.sum || pieces.replies != whole.replies) abort();
        if (!whole.code && pieces.used != whole.used) abort();
    }
    return 0;
}
