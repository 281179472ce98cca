/* redis_hiredis URL CONNECTIONS DEPTH N - N GETs by hiredis' synchronous calls, which wait for one reply after another:
 * the number of connections makes no difference, it uses one. */
#include "common.h"
#include <hiredis/hiredis.h>

int main(int argc, char **argv)
{
    char host[64];
    int port;
    if (argc != 5 || sscanf(argv[1], "redis://%63[^:]:%d", host, &port) != 2)
        DIE("usage: redis_hiredis redis://HOST:PORT CONNECTIONS DEPTH N");
    int depth = atoi(argv[3]);
    long left = atol(argv[4]), done = 0;
    redisContext *redis = redisConnect(host, port);
    if (!redis || redis->err) DIE("connect");
    freeReplyObject(redisCommand(redis, "SET key xxxxxxxx"));
    uint64_t began = now_ns();
    while ((left -= depth) >= 0) {
        for (int i = 1; i < depth; i++) redisAppendCommand(redis, "GET %s", "key");
        redisReply *reply = redisCommand(redis, "GET %s", "key");
        for (int i = 1; reply && i < depth; i++) {
            done += reply->type == REDIS_REPLY_STRING;
            freeReplyObject(reply);
            if (redisGetReply(redis, (void **)&reply) != REDIS_OK) DIE("get");
        }
        if (!reply) DIE("get");
        done += reply->type == REDIS_REPLY_STRING;
        freeReplyObject(reply);
    }
    struct cost cost = cost_now();
    printf("RESULT n=%ld secs=%.6f user=%.6f sys=%.6f\n", done, (double)(now_ns() - began) / 1e9, cost.user, cost.sys);
    redisFree(redis);
    return 0;
}
