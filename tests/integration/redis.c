/* The client of examples/redis against a server: redis URL ACTION, or "" cuts|holds PORT. Prints "ok", or what is
 * wrong. */
#include "memory.h"
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <locale.h>
#include "every_allocation.h"
#define AIO_REDIS_IMPLEMENTATION
#include "../../examples/redis/aio_redis.h"

static aio_redis_options options;
static const char *url;
#define SELF aio_task task; aio_redis *redis, *other; aio_redis_pool *pool; const aio_redis_reply *reply; \
    int i, count; char *text; aio_task *running; size_t length

/* Types, in both protocols; errors; arguments of all kinds. */
struct commands { SELF; char text_of[16]; };
static AIO_CORO(commands)
{
    AIO_BEGIN(commands);
    self->redis = aio_redis_open_with(url, &options);
    if (!self->redis) AIO_RAISE(errno);
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "FLUSHDB"));
    EXPECT_TEXT(aio_redis_text(self->reply), "OK");
    EXPECT(aio_redis_protocol(self->redis) == (options.protocol ? options.protocol : 3));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "HSET", "h", "a", "1", "b", "", "c", "2.5"));
    EXPECT(aio_redis_integer(self->reply, -1) == 3 && aio_redis_type(self->reply) == AIO_REDIS_INTEGER);
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "HGETALL", "h"));
    EXPECT(aio_redis_count(self->reply) == 6 && !aio_redis_get(self->reply, "d"));
    EXPECT_TEXT(aio_redis_get_text(self->reply, "b"), "");
    EXPECT(aio_redis_integer(aio_redis_get(self->reply, "a"), 0) == 1);
    EXPECT(aio_redis_real(aio_redis_get(self->reply, "c"), 0) == 2.5);
    EXPECT(aio_redis_integer(aio_redis_get(self->reply, "c"), 7) == 7);
    AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "SET %s %b EX %d", "k k", "x\0\r\ny", (size_t)5, 60));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "k k"));
    EXPECT(aio_redis_bytes(self->reply).length == 5 && !memcmp(aio_redis_text(self->reply), "x\0\r\ny", 6));
    AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "RPUSH l%%l %lld %zu %f", -5LL, (size_t)7, 0.1));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "LRANGE", "l%l", "0", "-1"));
    EXPECT(aio_redis_integer(aio_redis_at(self->reply, 0), 0) == -5 && aio_redis_count(self->reply) == 3);
    EXPECT(aio_redis_real(aio_redis_at(self->reply, 2), 0) == 0.1 && !aio_redis_at(self->reply, 3));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "none"));
    EXPECT(aio_redis_is_nil(self->reply) && !aio_redis_text(self->reply) && aio_redis_integer(self->reply, 9) == 9);
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "EVAL", "return {1, {'a', {2, {}}, 'b'}, false, 'c'}", "0"));
    EXPECT(aio_redis_count(self->reply) == 4 && aio_redis_is_nil(aio_redis_at(self->reply, 2)));
    EXPECT_TEXT(aio_redis_text(aio_redis_at(self->reply, 3)), "c");
    EXPECT_TEXT(aio_redis_text(aio_redis_at(aio_redis_at(self->reply, 1), 2)), "b");
    EXPECT(aio_redis_count(aio_redis_at(aio_redis_at(aio_redis_at(self->reply, 1), 1), 1)) == 0);
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ZADD", "z", "1.5", "m"));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ZSCORE", "z", "m"));
    EXPECT(aio_redis_real(self->reply, 0) == 1.5);
    AIO_TRY {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "INCR", "h"));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(AIO_REDIS_EWRONGTYPE);
        EXPECT(strstr(aio_caught(self)->message, "Redis: WRONGTYPE ") == aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "NOSUCH"));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(AIO_REDIS_ERROR);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", (const char *)NULL));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(EINVAL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "SUBSCRIBE", "a"));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(ENOTSUP);
    } AIO_END_TRY;
    for (self->i = 0; self->i < 2000; self->i++) {
        snprintf(self->text_of, sizeof self->text_of, "%d", self->i);
        EXPECT(!aio_redis_pipeline(self->redis, "RPUSH", "long", self->text_of));
    }
    AIO_AWAIT(self->reply, aio_redis_execute(self->redis));
    EXPECT(aio_redis_count(self->reply) == 2000 && aio_redis_integer(aio_redis_at(self->reply, 1999), 0) == 2000);
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "LRANGE", "long", "0", "-1"));
    EXPECT(aio_redis_count(self->reply) == 2000);
    for (self->i = 0; self->i < 2000; self->i++)
        EXPECT(aio_redis_integer(aio_redis_at(self->reply, (size_t)self->i), -1) == self->i);
    AIO_FINALLY;
        aio_redis_close(self->redis);
    AIO_END;
}

/* 20 MiB there and back; and what is over the limits. */
struct large { SELF; };
static AIO_CORO(large)
{
    AIO_BEGIN(large);
    self->length = (size_t)20 << 20;
    self->text = (char *)malloc(self->length);
    self->redis = aio_redis_open_with(url, &options);
    if (!self->text || !self->redis) AIO_RAISE(ENOMEM);
    for (size_t i = 0; i < self->length; i++) self->text[i] = (char)(i % 251);
    AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "SET large %b", self->text, self->length));
    AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "MGET large none large"));
    for (size_t i = 0; i < 3; i += 2)
        EXPECT(aio_redis_bytes(aio_redis_at(self->reply, i)).length == self->length
               && !memcmp(aio_redis_text(aio_redis_at(self->reply, i)), self->text, self->length));
    EXPECT(aio_redis_is_nil(aio_redis_at(self->reply, 1)));
    aio_redis_close(self->redis);
    options.max_reply = 1 << 20;
    self->redis = aio_redis_open_with(url, &options);
    AIO_TRY {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "large"));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(AIO_ELIMIT);
    } AIO_END_TRY;
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "DEL", "large"));
    EXPECT(aio_redis_integer(self->reply, 0) == 1);
    AIO_FINALLY;
        free(self->text);
        aio_redis_close(self->redis);
    AIO_END;
}

/* MULTI, EXEC, WATCH, errors in pipelines, scripts, SELECT. */
struct transactions { SELF; };
static AIO_CORO(transactions)
{
    AIO_BEGIN(transactions);
    self->redis = aio_redis_open_with(url, &options);
    self->other = aio_redis_open_with(url, &options);
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "FLUSHDB"));
    aio_redis_pipeline(self->redis, "SET", "a", "1");
    aio_redis_pipelinef(self->redis, "INCRBY a %d", 4);
    aio_redis_pipeline(self->redis, "LRANGE", "none", "0", "-1");
    AIO_AWAIT(self->reply, aio_redis_execute(self->redis, .transaction = true));
    EXPECT(aio_redis_count(self->reply) == 3 && aio_redis_integer(aio_redis_at(self->reply, 1), 0) == 5);
    for (self->i = 0; self->i < 2; self->i++) {
        aio_redis_pipeline(self->redis, "INCR", "a");
        aio_redis_pipeline(self->redis, "LPUSH", "a", "1");
        aio_redis_pipeline(self->redis, "GET", "a");
        AIO_TRY {
            AIO_AWAIT(self->reply, aio_redis_execute(self->redis, .transaction = self->i));
            NOT_REACHED();
        } AIO_CATCH {
            EXPECT_CODE(AIO_REDIS_EWRONGTYPE);
            EXPECT(strstr(aio_caught(self)->message, "Redis, command 2: ") == aio_caught(self)->message);
        } AIO_END_TRY;
        aio_redis_pipeline(self->redis, "LPUSH", "a", "1");
        aio_redis_pipeline(self->redis, "GET", "a");
        AIO_AWAIT(self->reply, aio_redis_execute(self->redis, .transaction = self->i, .keep_errors = true));
        EXPECT(aio_redis_type(aio_redis_at(self->reply, 0)) == AIO_REDIS_FAILURE);
        EXPECT(aio_redis_integer(aio_redis_at(self->reply, 1), 0) == 6 + self->i);
    }
    aio_redis_pipeline(self->redis, "NOSUCH");
    AIO_TRY {
        AIO_AWAIT(self->reply, aio_redis_execute(self->redis, .transaction = true));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(AIO_REDIS_ERROR);
    } AIO_END_TRY;
    for (self->i = 0; self->i < 2; self->i++) { /* the first time somebody is faster */
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "WATCH", "a"));
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "a"));
        if (!self->i) AIO_AWAIT(self->reply, aio_redis_command(self->other, "SET", "a", "100"));
        aio_redis_pipeline(self->redis, "INCR", "a");
        AIO_TRY {
            AIO_AWAIT(self->reply, aio_redis_execute(self->redis, .transaction = true));
            EXPECT(self->i && aio_redis_integer(aio_redis_at(self->reply, 0), 0) == 101);
        } AIO_CATCH {
            EXPECT(!self->i);
            EXPECT_CODE(AIO_REDIS_EWATCH);
        } AIO_END_TRY;
    }
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "SCRIPT", "FLUSH"));
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(self->reply, aio_redis_script(self->redis, "return redis.call('INCRBY', KEYS[1], ARGV[1])", 1, "a",
                                                "9"));
        EXPECT(aio_redis_integer(self->reply, 0) == 110 + 9 * self->i);
    }
    AIO_AWAIT(self->reply, aio_redis_script(self->redis, "return #KEYS", 0));
    EXPECT(aio_redis_integer(self->reply, -1) == 0);
    /* a WATCH ends with its connection: what depends on it is not done */
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "WATCH", "a"));
    AIO_AWAIT(self->reply, aio_redis_command(self->other, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"));
    AIO_AWAIT(aio_sleep(0.2));
    aio_redis_pipeline(self->redis, "SET", "a", "wrong");
    AIO_TRY {
        AIO_AWAIT(self->reply, aio_redis_execute(self->redis, .transaction = true));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(AIO_EDISCONNECTED);
    } AIO_END_TRY;
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "a"));
    EXPECT(aio_redis_integer(self->reply, -1) == 119);
    AIO_FINALLY;
        aio_redis_close(self->redis);
        aio_redis_close(self->other);
    AIO_END;
}

struct scans { SELF; aio_redis_scan *scan; char name[24]; const aio_redis_reply *key; bool seen[1000]; };
static AIO_CORO(scans)
{
    AIO_BEGIN(scans);
    self->redis = aio_redis_open_with(url, &options);
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "FLUSHDB"));
    EXPECT(aio_redis_pipelinef(self->redis, "GET f%d", 1) == EINVAL);
    EXPECT(aio_redis_pipelinef(self->redis, "GET %x", 1) == EINVAL);
    EXPECT(aio_redis_pipelinef(self->redis, "GET f%") == EINVAL); /* and its end is not passed */
    EXPECT(!aio_redis_pipeline(self->redis, "SET", "half", "1"));
    AIO_TRY { /* what is not whole is not sent */
        AIO_AWAIT(self->reply, aio_redis_execute(self->redis, .transaction = true));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(EINVAL);
    } AIO_END_TRY;
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "EXISTS", "half"));
    EXPECT(aio_redis_integer(self->reply, -1) == 0);
    for (self->i = 0; self->i < 1000; self->i++) {
        snprintf(self->name, sizeof self->name, "user:%d", self->i);
        aio_redis_pipelinef(self->redis, "SET %s %d", self->name, self->i);
        aio_redis_pipelinef(self->redis, "HSET h %s %d", self->name, self->i);
    }
    AIO_AWAIT(self->reply, aio_redis_execute(self->redis));
    EXPECT(aio_redis_count(self->reply) == 2000);
    self->scan = aio_redis_scan_open(self->redis, .match = "user:*", .count = 37);
    AIO_ASYNC_FOR(self->key, aio_redis_scan_next(self->scan)) {
        self->i = atoi(aio_redis_text(self->key) + 5);
        self->seen[self->i] = true;
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", aio_redis_text(self->key)));
        EXPECT(aio_redis_integer(self->reply, -1) == self->i);
    }
    for (self->i = 0; self->i < 1000; self->i++) EXPECT(self->seen[self->i]);
    aio_redis_scan_close(self->scan);
    self->scan = aio_redis_scan_open(self->redis, .command = "HSCAN", .key = "h");
    AIO_ASYNC_FOR(self->key, aio_redis_scan_next(self->scan)) {
        EXPECT(atoi(aio_redis_text(self->key) + 5) == aio_redis_integer(aio_redis_scan_value(self->scan), -1));
        self->count++;
    }
    EXPECT(self->count >= 1000);
    AIO_FINALLY;
        aio_redis_scan_close(self->scan);
        aio_redis_close(self->redis);
    AIO_END;
}

/* Messages to two; the connections are cut, and made anew. */
struct listeners { SELF; const aio_redis_message *message; aio_redis *third; };
static AIO_CORO(listeners)
{
    AIO_BEGIN(listeners);
    self->redis = aio_redis_open_with(url, &options);
    self->other = aio_redis_open_with(url, &options);
    self->third = aio_redis_open_with(url, &options);
    AIO_AWAIT(aio_redis_subscribe(self->redis, "news", "weather"));
    AIO_AWAIT(aio_redis_psubscribe(self->third, "n*s"));
    for (self->i = 0; self->i < 100; self->i++)
        aio_redis_pipelinef(self->other, "PUBLISH %s %d", self->i % 2 ? "news" : "weather", self->i);
    AIO_AWAIT(self->reply, aio_redis_execute(self->other));
    EXPECT(aio_redis_integer(aio_redis_at(self->reply, 1), -1) == 2);
    AIO_AWAIT(aio_redis_subscribe(self->redis, "sport")); /* what has come meanwhile is not lost */
    for (self->i = 0; self->i < 100; self->i++) {
        AIO_AWAIT(self->message, aio_redis_listen(self->redis));
        EXPECT(atoi(self->message->data.data) == self->i && !self->message->pattern);
        EXPECT_TEXT(self->message->channel, self->i % 2 ? "news" : "weather");
    }
    for (self->i = 1; self->i < 100; self->i += 2) {
        AIO_AWAIT(self->message, aio_redis_listen(self->third));
        EXPECT(atoi(self->message->data.data) == self->i);
        EXPECT_TEXT(self->message->pattern, "n*s");
    }
    AIO_TRY {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "a"));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_AWAIT(self->reply, aio_redis_command(self->other, "CLIENT", "KILL", "TYPE", "pubsub"));
    EXPECT(aio_redis_integer(self->reply, 0) == 2);
    self->running = aio_create_task((aio_task *)(void *)aio_redis_listen(self->redis));
    for (self->i = 0; self->i < 100 && !aio_future_done(self->running); self->i++) {
        AIO_AWAIT(self->reply, aio_redis_command(self->other, "PUBLISH", "sport", "again"));
        AIO_AWAIT(aio_sleep(0.02));
    }
    AIO_AWAIT(self->running);
    self->running = NULL;
    AIO_TRY {
        AIO_TIMEOUT(0.05) {
            for (;;) AIO_AWAIT(self->message, aio_redis_listen(self->redis));
        }
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
    } AIO_END_TRY;
    AIO_AWAIT(aio_redis_unsubscribe(self->redis, "news", "weather", "sport"));
    AIO_ASYNC_FOR(self->message, aio_redis_listen(self->redis)) EXPECT(!self->message);
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "PING"));
    EXPECT_TEXT(aio_redis_text(self->reply), "PONG");
    AIO_FINALLY;
        aio_unref(self->running);
        aio_redis_close(self->redis);
        aio_redis_close(self->other);
        aio_redis_close(self->third);
    AIO_END;
}

/* Two consumers of a group: one leaves what it has, and the other takes it over. Pushes of a connection that tracks. */
static int pushes;
static void on_push(const aio_redis_reply *push, void *arg)
{
    (void)arg;
    EXPECT_TEXT(aio_redis_text(aio_redis_at(push, 0)), "invalidate");
    pushes++;
}

struct streams { SELF; aio_redis_group *group, *others; const aio_redis_entry *entry; char id[40]; };
static AIO_CORO(streams)
{
    AIO_BEGIN(streams);
    options.on_push = on_push;
    self->redis = aio_redis_open_with(url, &options);
    self->other = aio_redis_open_with(url, &options);
    AIO_AWAIT(aio_redis_command(self->redis, "FLUSHDB"));
    self->group = aio_redis_group_open(self->redis, .stream = "jobs", .group = "g", .consumer = "a", .count = 3);
    self->others = aio_redis_group_open(self->other, .stream = "jobs", .group = "g", .consumer = "b", .block = 0.05,
                                        .claim_idle = 0.1);
    AIO_TRY {
        AIO_TIMEOUT(0.05) AIO_AWAIT(self->entry, aio_redis_group_next(self->group));
        NOT_REACHED();
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
    } AIO_END_TRY;
    for (self->i = 0; self->i < 7; self->i++) aio_redis_pipelinef(self->other, "XADD jobs * n %d", self->i);
    AIO_AWAIT(aio_redis_execute(self->other));
    for (self->i = 0; self->i < 4; self->i++) { /* which asks for 6, and acknowledges 3 */
        AIO_AWAIT(self->entry, aio_redis_group_next(self->group));
        EXPECT(aio_redis_integer(aio_redis_get(self->entry->fields, "n"), -1) == self->i);
        if (self->i < 3) AIO_AWAIT(aio_redis_group_ack(self->group, self->entry->id));
    }
    aio_redis_group_close(self->group);
    self->group = aio_redis_group_open(self->redis, .stream = "jobs", .group = "g", .consumer = "a");
    AIO_AWAIT(self->entry, aio_redis_group_next(self->group)); /* what it had before */
    EXPECT(aio_redis_integer(aio_redis_get(self->entry->fields, "n"), -1) == 3);
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_AWAIT(self->entry, aio_redis_group_next(self->others));
        self->count += (int)aio_redis_integer(aio_redis_get(self->entry->fields, "n"), -1);
        AIO_AWAIT(self->reply, aio_redis_group_ack(self->others, self->entry->id));
        EXPECT(aio_redis_integer(self->reply, 0) == 1);
    }
    EXPECT(self->count == 3 + 4 + 5 + 6);
    if (aio_redis_protocol(self->redis) == 3) {
        AIO_AWAIT(aio_redis_command(self->redis, "CLIENT", "TRACKING", "ON"));
        AIO_AWAIT(aio_redis_command(self->redis, "GET", "tracked"));
        AIO_AWAIT(aio_redis_command(self->other, "SET", "tracked", "1"));
        AIO_AWAIT(aio_sleep(0.05));
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ECHO", "mine"));
        EXPECT_TEXT(aio_redis_text(self->reply), "mine");
        EXPECT(pushes == 1);
    }
    AIO_FINALLY;
        aio_redis_group_close(self->group);
        aio_redis_group_close(self->others);
        aio_redis_close(self->redis);
        aio_redis_close(self->other);
    AIO_END;
}

/* Commands of many tasks, cancelled at random: each that is answered has its own answer. */
struct worker { SELF; int number; uint64_t random; };
static AIO_CORO(worker)
{
    AIO_BEGIN(worker);
    for (self->i = 0; self->i < 100; self->i++) {
        AIO_TRY {
            self->random = self->random * 6364136223846793005u + 1442695040888963407u;
            AIO_TIMEOUT((double)(self->random >> 33 & 255) * 2e-5)
                AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->pool),
                                  aio_redis_pool_release(self->pool, self->redis)) {
                    AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "ECHO %d", self->number * 1000 + self->i));
                    EXPECT(aio_redis_integer(self->reply, -1) == self->number * 1000 + self->i);
                    aio_redis_pipelinef(self->redis, "ECHO %d", self->number);
                    aio_redis_pipelinef(self->redis, "ECHO %d", self->i);
                    AIO_AWAIT(self->reply, aio_redis_execute(self->redis, .transaction = self->i % 2));
                    EXPECT(aio_redis_integer(aio_redis_at(self->reply, 0), -1) == self->number);
                    EXPECT(aio_redis_integer(aio_redis_at(self->reply, 1), -1) == self->i);
                }
        } AIO_CATCH_CODE(AIO_ETIMEOUT) {
            self->count++;
        } AIO_END_TRY;
        self->redis = NULL;
    }
    AIO_END;
}

struct blocked { SELF; };
static AIO_CORO(blocked)
{
    AIO_BEGIN(blocked);
    AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->pool), aio_redis_pool_release(self->pool, self->redis))
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "BLPOP", "queue", "0"));
    AIO_END;
}

enum { WORKERS = 20 };
struct cancelled { SELF; struct worker *workers[WORKERS]; };
static AIO_CORO(cancelled)
{
    AIO_BEGIN(cancelled);
    self->pool = aio_redis_pool_open(url, .size = 5, .connection = options);
    for (self->i = 0; self->i < WORKERS; self->i++)
        self->workers[self->i] = AIO_CALL(worker, .pool = self->pool, .number = self->i, .random = (uint64_t)self->i);
    AIO_AWAIT(aio_gather(self->workers, WORKERS));
    for (self->i = 0; self->i < WORKERS; self->i++) self->count += self->workers[self->i]->count;
    EXPECT(self->count > 0 && self->count < WORKERS * 100);
    /* BLPOP that was cancelled takes nothing more */
    AIO_TRY {
        AIO_TIMEOUT(0.1) AIO_AWAIT(AIO_CALL(blocked, .pool = self->pool));
        NOT_REACHED();
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
    } AIO_END_TRY;
    AIO_AWAIT(self->redis, aio_redis_pool_acquire(self->pool));
    AIO_AWAIT(aio_sleep(0.05));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "RPUSH", "queue", "item"));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "LPOP", "queue"));
    EXPECT_TEXT(aio_redis_text(self->reply), "item");
    /* what a transaction was left with does not reach the next one who has the connection */
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "SELECT", "3"));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "MULTI"));
    aio_redis_pool_release(self->pool, self->redis);
    self->redis = NULL;
    AIO_AWAIT(self->redis, aio_redis_pool_acquire(self->pool));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "none"));
    EXPECT(aio_redis_is_nil(self->reply));
    /* a reply that is too late */
    AIO_TRY {
        AIO_TIMEOUT(0.05) AIO_AWAIT(self->reply, aio_redis_command(self->redis, "EVAL",
            "local t = redis.call('TIME'); local e = t[1] * 1e6 + t[2] + 150000; "
            "repeat t = redis.call('TIME') until t[1] * 1e6 + t[2] > e; return 'late'", "0"));
        NOT_REACHED();
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
    } AIO_END_TRY;
    EXPECT(aio_redis_is_connected(self->redis));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ECHO", "mine"));
    EXPECT_TEXT(aio_redis_text(self->reply), "mine");
    AIO_FINALLY;
        aio_unref_all(self->workers, WORKERS);
        if (self->redis) aio_redis_pool_release(self->pool, self->redis);
        aio_redis_pool_close(self->pool);
    AIO_END;
}

/* What a pool has not lent is not given back to it: the next two that ask have a connection each. */
struct misgiven { SELF; aio_redis_pool *second; };
static AIO_CORO(misgiven)
{
    AIO_BEGIN(misgiven);
    self->pool = aio_redis_pool_open(url, .size = 2, .connection = options);
    self->second = aio_redis_pool_open(url, .size = 1, .connection = options);
    if (!self->pool || !self->second) AIO_RAISE(errno);
    self->other = aio_redis_pool_dedicated(self->pool);
    if (!self->other) AIO_RAISE(ENOMEM);
    EXPECT(aio_redis_pool_release(self->pool, NULL) == 0);
    EXPECT(aio_redis_pool_release(self->pool, self->other) == EINVAL);
    AIO_AWAIT(self->redis, aio_redis_pool_acquire(self->pool));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "SELECT", "1"));
    EXPECT(aio_redis_pool_release(self->second, self->redis) == EINVAL && aio_redis_is_connected(self->redis));
    EXPECT(aio_redis_pool_release(self->pool, self->redis) == 0);
    EXPECT(aio_redis_pool_release(self->pool, self->redis) == EINVAL);
    aio_redis_close(self->other);
    AIO_AWAIT(self->redis, aio_redis_pool_acquire(self->pool));
    AIO_AWAIT(self->other, aio_redis_pool_acquire(self->pool));
    EXPECT(self->redis != self->other);
    AIO_TRY {
        AIO_TIMEOUT(0.05) AIO_AWAIT(aio_redis_pool_acquire(self->pool));
        NOT_REACHED();
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
    } AIO_END_TRY;
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ECHO", "mine"));
    EXPECT_TEXT(aio_redis_text(self->reply), "mine");
    EXPECT(!aio_redis_pipeline(self->redis, "UNWATCH") && !aio_redis_pipeline(self->redis, "WATCH", "k"));
    AIO_AWAIT(self->reply, aio_redis_execute(self->redis));
    EXPECT(aio_redis_pool_release(self->pool, self->redis) == 0 && !aio_redis_is_connected(self->redis));
    self->redis = NULL;
    AIO_FINALLY;
        if (self->other != self->redis) aio_redis_pool_release(self->pool, self->other);
        aio_redis_pool_release(self->pool, self->redis);
        aio_redis_pool_close(self->second);
        aio_redis_pool_close(self->pool);
    AIO_END;
}

/* Asked of a connection that another task connects, or waits for a reply of: an error, and what is under way is none
 * the worse. */
struct asker { SELF; };
static AIO_CORO(asker)
{
    AIO_BEGIN(asker);
    if (self->i) {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "BLPOP", "nothing", "0.2"));
        EXPECT(aio_redis_is_nil(self->reply));
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ECHO", "mine"));
        EXPECT_TEXT(aio_redis_text(self->reply), "mine");
    } else AIO_AWAIT(aio_redis_connect(self->redis));
    AIO_END;
}
struct turns { SELF; };
static AIO_CORO(turns)
{
    AIO_BEGIN(turns);
    self->redis = aio_redis_open_with(url, &options);
    if (!self->redis) AIO_RAISE(errno);
    for (self->i = 0; self->i < 2; self->i++) {
        self->running = (aio_task *)(void *)aio_create_task(AIO_CALL(asker, .redis = self->redis, .i = self->i));
        AIO_AWAIT(aio_sleep(0));
        for (self->count = 0; self->count < 2; self->count++) {
            AIO_TRY {
                if (self->count) AIO_AWAIT(aio_redis_connect(self->redis));
                else AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ECHO", "other"));
                NOT_REACHED();
            } AIO_CATCH_CODE(AIO_ERUNTIME) {
            } AIO_END_TRY;
        }
        AIO_AWAIT(aio_ref(self->running));
        aio_unref(self->running);
        self->running = NULL;
        AIO_AWAIT(aio_redis_connect(self->redis)); /* it is, and says so */
    }
    AIO_FINALLY;
        aio_unref(self->running);
        aio_redis_close(self->redis);
    AIO_END;
}

/* What is cut or cancelled at every byte of the server's. */
struct session { SELF; int number; };
static AIO_CORO(session)
{
    AIO_BEGIN(session);
    AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->pool),
                      aio_redis_pool_release(self->pool, self->redis)) {
        AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "ECHO %d", self->number));
        EXPECT(aio_redis_integer(self->reply, -1) == self->number);
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "WATCH", "k"));
        aio_redis_pipelinef(self->redis, "HSET h n %d", self->number);
        aio_redis_pipeline(self->redis, "HGETALL", "h");
        AIO_AWAIT(self->reply, aio_redis_execute(self->redis, .transaction = true));
        EXPECT(aio_redis_integer(aio_redis_get(aio_redis_at(self->reply, 1), "n"), -1) == self->number);
        AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "ECHO %d", -self->number));
        EXPECT(aio_redis_integer(self->reply, 1) == -self->number);
    }
    AIO_END;
}
static void *session_open(const char *at)
{
    options.retries = -1;
    return aio_redis_pool_open(at, .size = 2, .connection = options);
}
static void session_close(void *pool) { aio_redis_pool_close((aio_redis_pool *)pool); }
static void *session_of(void *pool, int number)
{
    return AIO_CALL(session, .pool = (aio_redis_pool *)pool, .number = number);
}
static const relay_subject subject = { session_open, session_close, session_of, "redis://:secret@127.0.0.1:%d/" };

/* ---- what is cancelled at every await ---- */

#define OPERATION(name) \
    static void *name##_of(void *pool, int number) \
    { return AIO_CALL(name, .pool = (aio_redis_pool *)pool, .number = number); }
#define WITH_CONNECTION AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->pool), \
                                          aio_redis_pool_release(self->pool, self->redis))

struct piped { SELF; int number; };
static AIO_CORO(piped)
{
    AIO_BEGIN(piped);
    WITH_CONNECTION {
        for (self->i = 0; self->i < 20; self->i++) aio_redis_pipelinef(self->redis, "ECHO %d", self->number + self->i);
        AIO_AWAIT(self->reply, aio_redis_execute(self->redis));
        for (self->i = 0; self->i < 20; self->i++)
            EXPECT(aio_redis_integer(aio_redis_at(self->reply, (size_t)self->i), -1) == self->number + self->i);
        AIO_AWAIT(self->reply, aio_redis_script(self->redis, "return ARGV[1] .. 'x'", 0, "s"));
        EXPECT_TEXT(aio_redis_text(self->reply), "sx");
        AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "ECHO %d", self->number));
        EXPECT(aio_redis_integer(self->reply, -1) == self->number);
    }
    AIO_END;
}
OPERATION(piped)

/* Blocks until another connection has put something there. */
struct popping { SELF; int number; };
static AIO_CORO(popping)
{
    AIO_BEGIN(popping);
    WITH_CONNECTION {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "DEL", "pop"));
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "BLPOP", "pop", "0.01"));
        EXPECT(aio_redis_is_nil(self->reply));
        AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "RPUSH pop %d", self->number));
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "BLPOP", "pop", "5"));
        EXPECT(aio_redis_integer(aio_redis_at(self->reply, 1), -1) == self->number);
    }
    AIO_END;
}
OPERATION(popping)

struct paging { SELF; int number; char name[20]; aio_redis_scan *scan; const aio_redis_reply *key; };
static AIO_CORO(paging)
{
    AIO_BEGIN(paging);
    WITH_CONNECTION {
        for (self->i = 0; self->i < 40; self->i++) {
            snprintf(self->name, sizeof self->name, "scan:%d", self->i);
            aio_redis_pipelinef(self->redis, "SET %s %d", self->name, self->number);
        }
        AIO_AWAIT(self->reply, aio_redis_execute(self->redis));
        self->scan = aio_redis_scan_open(self->redis, .match = "scan:*", .count = 10);
        AIO_ASYNC_FOR(self->key, aio_redis_scan_next(self->scan)) {
            EXPECT(!strncmp(aio_redis_text(self->key), "scan:", 5));
            self->count++;
        }
        EXPECT(self->count >= 40);
    }
    AIO_FINALLY;
        aio_redis_scan_close(self->scan);
    AIO_END;
}
OPERATION(paging)

struct hearing { SELF; int number; const aio_redis_message *message; };
static AIO_CORO(hearing)
{
    AIO_BEGIN(hearing);
    self->other = aio_redis_pool_dedicated(self->pool);
    if (!self->other) AIO_RAISE(ENOMEM);
    AIO_AWAIT(aio_redis_subscribe(self->other, "a", "b"));
    WITH_CONNECTION {
        for (self->i = 0; self->i < 3; self->i++)
            AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "PUBLISH b %d", self->number + self->i));
    }
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_AWAIT(self->message, aio_redis_listen(self->other));
        EXPECT(atoi(self->message->data.data) == self->number + self->i);
    }
    AIO_AWAIT(aio_redis_unsubscribe(self->other, "a", "b"));
    AIO_AWAIT(self->reply, aio_redis_commandf(self->other, "ECHO %d", self->number));
    EXPECT(aio_redis_integer(self->reply, -1) == self->number);
    AIO_FINALLY;
        aio_redis_close(self->other);
    AIO_END;
}
OPERATION(hearing)

struct consuming { SELF; int number; aio_redis_group *group; const aio_redis_entry *entry; };
static AIO_CORO(consuming)
{
    AIO_BEGIN(consuming);
    WITH_CONNECTION {
        AIO_AWAIT(aio_redis_command(self->redis, "DEL", "consumed"));
        self->group = aio_redis_group_open(self->redis, .stream = "consumed", .group = "g", .consumer = "a");
        if (!self->group) AIO_RAISE(errno);
        for (self->i = 0; self->i < 2; self->i++)
            aio_redis_pipelinef(self->redis, "XADD consumed * n %d", self->number + self->i);
        AIO_AWAIT(self->reply, aio_redis_execute(self->redis));
        for (self->i = 0; self->i < 2; self->i++) {
            AIO_AWAIT(self->entry, aio_redis_group_next(self->group));
            EXPECT(aio_redis_integer(aio_redis_get(self->entry->fields, "n"), -1) == self->number + self->i);
            AIO_AWAIT(self->reply, aio_redis_group_ack(self->group, self->entry->id));
            EXPECT(aio_redis_integer(self->reply, 0) == 1);
        }
    }
    AIO_FINALLY;
        aio_redis_group_close(self->group);
    AIO_END;
}
OPERATION(consuming)

/* An error of the server's that is shorter than what is put before it. */
struct failing { SELF; int number; };
static AIO_CORO(failing)
{
    AIO_BEGIN(failing);
    WITH_CONNECTION {
        AIO_TRY {
            aio_redis_pipelinef(self->redis, "ECHO %d", self->number);
            aio_redis_pipeline(self->redis, "EVAL", "return redis.error_reply('ERR x')", "0");
            AIO_AWAIT(self->reply, aio_redis_execute(self->redis));
            NOT_REACHED();
        } AIO_CATCH {
            EXPECT_CODE(AIO_REDIS_ERROR);
            if (strcmp(aio_caught(self)->message, "Redis")) /* there was no memory for the text */
                EXPECT(strstr(aio_caught(self)->message, "ERR x"));
        } AIO_END_TRY;
    }
    AIO_END;
}
OPERATION(failing)

static const await_case awaits[] = {
    { "commands and a transaction", session_of, 1 }, { "a pipeline and a script", piped_of, 1 },
    { "BLPOP", popping_of, 1 }, { "SCAN", paging_of, 1 }, { "pub/sub", hearing_of, 1 },
    { "XREADGROUP", consuming_of, 1 }, { "an error", failing_of, 1 }
};

/* Has a connection for a while. */
struct holder { SELF; };
static AIO_CORO(holder)
{
    AIO_BEGIN(holder);
    WITH_CONNECTION {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "PING"));
        AIO_AWAIT(aio_sleep(0.001));
    }
    AIO_END;
}

/* Waits for a connection of a pool that others have: both of its two. */
struct waits { SELF; int number; aio_task *holders[2]; };
static AIO_CORO(waits)
{
    AIO_BEGIN(waits);
    for (self->i = 0; self->i < 2; self->i++) {
        self->holders[self->i] = (aio_task *)(void *)aio_create_task(AIO_CALL(holder, .pool = self->pool));
        AIO_AWAIT(aio_sleep(0));
    }
    AIO_TIMEOUT(5) {
        WITH_CONNECTION {
            AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "ECHO %d", self->number));
            EXPECT(aio_redis_integer(self->reply, -1) == self->number);
        }
        for (self->i = 0; self->i < 2; self->i++) AIO_AWAIT(aio_ref(self->holders[self->i]));
    }
    AIO_FINALLY;
        AIO_AWAIT(AIO_CALL(tasks_end, .tasks = self->holders, .count = 2));
    AIO_END;
}
OPERATION(waits)
static const relay_subject full = { session_open, session_close, waits_of, NULL };
static const await_case full_awaits[] = { { "a full pool", waits_of, 1 } };

/* Prints a line for each command, well or not: the server is ended and begun again meanwhile. */
struct lasting { SELF; };
static AIO_CORO(lasting)
{
    AIO_BEGIN(lasting);
    options.retries = -1;
    self->pool = aio_redis_pool_open(url, .size = 2, .connection = options);
    for (self->i = 0; self->i < 200; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->redis, aio_redis_pool_acquire(self->pool));
            AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "ECHO %d", self->i));
            EXPECT(aio_redis_integer(self->reply, -1) == self->i);
            printf("well\n");
        } AIO_CATCH {
            printf("failed: %s\n", aio_caught(self)->message);
        } AIO_END_TRY;
        if (self->redis) aio_redis_pool_release(self->pool, self->redis);
        self->redis = NULL;
        fflush(stdout);
        AIO_AWAIT(aio_sleep(0.05));
    }
    AIO_FINALLY;
        if (self->redis) aio_redis_pool_release(self->pool, self->redis);
        aio_redis_pool_close(self->pool);
    AIO_END;
}

/* ---- a server of our own, which says what it likes ---- */

static aio_text said;
static bool said_once; /* and then a reset */
struct saying { aio_task task; aio_stream *stream; aio_text command; size_t at, n; };
static AIO_CORO(saying)
{
    AIO_BEGIN(saying);
    AIO_AWAIT(self->command, aio_stream_read(self->stream, 4096));
    while (self->at < said.length) { /* in two pieces, if it is short */
        self->n = said.length < 2000 && !self->at ? said.length / 2 + 1 : said.length - self->at;
        if (aio_stream_write(self->stream, said.data + self->at, self->n)) AIO_RETURN();
        self->at += self->n;
        AIO_AWAIT(aio_sleep(0));
    }
    if (said_once) {
        static const struct linger none = { 1, 0 };
        AIO_AWAIT(aio_sleep(0.01));
        setsockopt(aio_stream_fileno(self->stream), SOL_SOCKET, SO_LINGER, &none, sizeof none);
        aio_stream_abort(self->stream);
    }
    AIO_END;
}
static void *on_client(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(saying, .stream = stream);
}

/* Looks at all of a reply. */
static size_t walked(const aio_redis_reply *reply, int depth)
{
    size_t n = aio_redis_bytes(reply).length + (size_t)(aio_redis_integer(reply, 0) & 1);
    EXPECT(depth <= 32 && aio_redis_real(reply, 0) != 0.125);
    for (size_t i = 0; i < aio_redis_count(reply); i++) n += walked(aio_redis_at(reply, i), depth + 1);
    return n + (aio_redis_get(reply, "k") != NULL);
}

/* What no server says: an error of the right code, and no more memory than is allowed. Then replies that are right but
 * for a few bytes: whatever is made of them, it ends, and can be looked at. */
struct hostile { SELF; aio_server *server; char at[64], mutant[512]; uint64_t random; aio_redis_reply *copy;
                 char *deep; };
static AIO_CORO(hostile)
{
    static const struct { const char *text; int code; } cases[] = {
        { "+OK\r\n", 0 }, { ":9223372036854775807\r\n", 0 }, { ":-9223372036854775808\r\n", 0 },
        { "*-1\r\n", 0 }, { "$-1\r\n", 0 }, { "*0\r\n", 0 }, { "%0\r\n", 0 }, { "=7\r\ntxt:abc\r\n", 0 },
        { "|1\r\n+ttl\r\n:5\r\n*2\r\n|1\r\n+a\r\n*1\r\n:1\r\n:7\r\n,1.5\r\n", 0 }, { ",inf\r\n", 0 }, { "_\r\n", 0 },
        { ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n#t\r\n", 0 }, { "(123456789012345678901234567890\r\n", 0 },
        { "-ERR no\r\n", AIO_REDIS_ERROR }, { "!9\r\nOOM  no it\r\n", AIO_ERUNTIME },
        { "!6\r\nOOM no\r\n", AIO_REDIS_EOOM },
        { "", AIO_EDISCONNECTED }, { "$5\r\nab", AIO_EDISCONNECTED }, { "*2\r\n:1\r\n", AIO_EDISCONNECTED },
        { "HTTP/1.1 400 Bad Request\r\n\r\n", AIO_ERUNTIME }, { "$3\r\nabcde", AIO_ERUNTIME },
        { "$-2\r\n", AIO_ERUNTIME },
        { "$99999999999999999999\r\n", AIO_ERUNTIME }, { "$9223372036854775807\r\n", AIO_ELIMIT },
        { "*9223372036854775807\r\n", AIO_ELIMIT }, { "%-1\r\n", AIO_ERUNTIME }, { ":1x\r\n", AIO_ERUNTIME },
        { "#x\r\n", AIO_ERUNTIME }, { ",x\r\n", AIO_ERUNTIME }, { "$?\r\n;1\r\na\r\n", AIO_ERUNTIME },
        { "+a\rb\r\n", AIO_ERUNTIME }, { "*1000000\r\n", AIO_EDISCONNECTED }, { "$2000000\r\n", AIO_ELIMIT },
        { "$1000000\r\nabc", AIO_EDISCONNECTED }, { "\r\n", AIO_ERUNTIME }
    };
    static const char model[] =
        "*6\r\n%2\r\n$1\r\nk\r\n$5\r\nhello\r\n+b\r\n~2\r\n:1\r\n:-22\r\n$-1\r\n|1\r\n+t\r\n:1\r\n"
        "*2\r\n,1.25\r\n#f\r\n_\r\n=8\r\ntxt:some\r\n-ERR an error\r\n";
    AIO_BEGIN(hostile);
    AIO_AWAIT(self->server, aio_start_server(on_client, NULL, "127.0.0.1", 0));
    snprintf(self->at, sizeof self->at, "redis://127.0.0.1:%d", aio_server_port(self->server));
    options.protocol = 2; /* nothing is said before the command */
    options.retries = -1;
    options.max_reply = 1 << 20;
    self->redis = aio_redis_open_with(self->at, &options);
    for (self->i = 0; self->i < (int)(sizeof cases / sizeof *cases); self->i++) {
        said.data = cases[self->i].text;
        said.length = strlen(said.data);
        self->count = 0;
        AIO_TRY {
            AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "k"));
            walked(self->reply, 0);
        } AIO_CATCH {
            self->count = aio_caught(self)->code;
        } AIO_END_TRY;
        if (self->count != cases[self->i].code)
            printf("case %d: %d, not %d\n", self->i, self->count, cases[self->i].code), failures++;
        aio_redis_close(self->redis);
        self->redis = aio_redis_open_with(self->at, &options);
    }
    self->deep = (char *)malloc(400000);
    for (self->i = 0; self->deep && self->i < 400000; self->i += 4) memcpy(self->deep + self->i, "*1\r\n", 4);
    said.data = self->deep;
    said.length = self->deep ? 400000 : 0;
    AIO_TRY {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "k"));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(AIO_ELIMIT);
    } AIO_END_TRY;
    for (self->i = 0; self->i < 1000; self->i++) {
        memcpy(self->mutant, model, sizeof model);
        for (int k = 0; k <= self->i % 4; k++) {
            static const char bytes[] = "*%~>|$=!:,#_+-(0123456789\r\n";
            self->random = self->random * 6364136223846793005u + 1442695040888963407u;
            self->mutant[(self->random >> 33) % (sizeof model - 1)] = bytes[(self->random >> 20) % (sizeof bytes - 1)];
        }
        said.data = self->mutant;
        said.length = sizeof model - 1;
        AIO_TRY {
            AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "k"));
            self->copy = aio_redis_reply_copy(self->reply);
            EXPECT(self->copy && walked(self->copy, 0) == walked(self->reply, 0));
        } AIO_CATCH {
        } AIO_END_TRY;
        aio_redis_reply_free(self->copy);
        self->copy = NULL;
        aio_redis_close(self->redis);
        self->redis = aio_redis_open_with(self->at, &options);
    }
    /* one that hangs up at once, with a reset: what cannot be written any more takes its connection along */
    said.data = ":1\r\n";
    said.length = 4;
    said_once = true;
    for (self->i = self->count = 0; self->i < 6; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", "k"));
            self->count++;
        } AIO_CATCH {
        } AIO_END_TRY;
        AIO_AWAIT(aio_sleep(0.02));
    }
    EXPECT(self->count >= 3);
    AIO_FINALLY;
        free(self->deep);
        aio_redis_close(self->redis);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* Against a stand-in: entries that XAUTOCLAIM has as nil, one whose copy has no memory, and what nobody has asked for. */
struct odd { SELF; aio_redis_group *group; const aio_redis_entry *entry; int pushed; };
static AIO_CORO(odd)
{
    AIO_BEGIN(odd);
    options.on_push = on_push;
    self->redis = aio_redis_open_with(url, &options);
    self->group = aio_redis_group_open(self->redis, .stream = "jobs", .group = "g", .consumer = "a", .claim_idle = 60);
    if (!self->redis || !self->group) AIO_RAISE(errno);
    AIO_AWAIT(self->entry, aio_redis_group_next(self->group));
    EXPECT_TEXT(self->entry->id, "1-1");
    aio_redis_group_close(self->group);
    self->group = aio_redis_group_open(self->redis, .stream = "jobs", .group = "g", .consumer = "b");
    if (!self->group) AIO_RAISE(errno);
    for (self->entry = NULL, self->i = 1; !self->entry && self->i < 100; self->i++) {
        AIO_TRY {
            memory_.left[MEMORY_CLIENT] = self->i;
            AIO_AWAIT(self->entry, aio_redis_group_next(self->group));
        } AIO_CATCH_CODE(ENOMEM) {
            self->count++;
        } AIO_END_TRY;
        memory_.left[MEMORY_CLIENT] = 0;
    }
    EXPECT_TEXT(self->entry->id, "2-1");
    EXPECT(self->count > 2);
    self->pushed = pushes;
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ECHO", "pushes"));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ECHO", "half"));
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ECHO", "stray"));
    EXPECT_TEXT(aio_redis_text(self->reply), "stray");
    EXPECT(pushes == self->pushed + 3);
    AIO_TRY {
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ECHO", "b"));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(AIO_ERUNTIME);
        EXPECT(strstr(aio_caught(self)->message, "nobody has asked for"));
    } AIO_END_TRY;
    AIO_AWAIT(self->reply, aio_redis_command(self->redis, "ECHO", "c"));
    EXPECT_TEXT(aio_redis_text(self->reply), "c");
    AIO_FINALLY;
        memory_.left[MEMORY_CLIENT] = 0;
        aio_redis_group_close(self->group);
        aio_redis_close(self->redis);
    AIO_END;
}

int main(int argc, char **argv)
{
    int status = 2;
    setlocale(LC_NUMERIC, "");
    const char *action = argc > 2 ? argv[2] : "";
    url = argc > 1 ? argv[1] : "";
    if (getenv("CONNECT_TIMEOUT")) options.connect_timeout = atof(getenv("CONNECT_TIMEOUT"));
    if (getenv("REDIS_PROTOCOL")) options.protocol = atoi(getenv("REDIS_PROTOCOL"));
    if (getenv("REDIS_RETRIES")) options.retries = atoi(getenv("REDIS_RETRIES"));
    aio_tls_context *tls = getenv("REDIS_CA") ? aio_tls_context_create(.ca_file = getenv("REDIS_CA")) : NULL;
    options.tls_context = tls;
    if (getenv("REDIS_CA") && !tls) return 2;
    if (!strcmp(action, "commands")) status = aio_run(AIO_CALL(commands));
    if (!strcmp(action, "large")) status = aio_run(AIO_CALL(large));
    if (!strcmp(action, "transactions")) status = aio_run(AIO_CALL(transactions));
    if (!strcmp(action, "scans")) status = aio_run(AIO_CALL(scans));
    if (!strcmp(action, "listeners")) status = aio_run(AIO_CALL(listeners));
    if (!strcmp(action, "cancelled")) status = aio_run(AIO_CALL(cancelled));
    if (!strcmp(action, "misgiven")) status = aio_run(AIO_CALL(misgiven));
    if (!strcmp(action, "turns")) status = aio_run(AIO_CALL(turns));
    if (!strcmp(action, "streams")) status = aio_run(AIO_CALL(streams));
    if (!strcmp(action, "odd")) status = aio_run(AIO_CALL(odd));
    if (!strcmp(action, "hostile")) status = aio_run(AIO_CALL(hostile));
    if (!strcmp(action, "lasting")) status = aio_run(AIO_CALL(lasting));
    if (!strcmp(action, "awaits")) status = every_await(&subject, url, awaits, sizeof awaits / sizeof *awaits);
    if (!strcmp(action, "memory")) status = every_allocation(&subject, url, awaits, sizeof awaits / sizeof *awaits);
    if (!strcmp(action, "full")) status = every_await(&full, url, full_awaits, 1);
    relay.port = atoi(argc > 3 ? argv[3] : "");
    relay.holds = !strcmp(action, "holds");
    if (relay.port) status = aio_run(AIO_CALL(every_byte, .subject = &subject));
    aio_tls_context_unref(tls);
    if (!status && !failures) printf("ok\n");
    return status ? status : failures != 0;
}
