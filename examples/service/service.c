/* service: a JSON service over Redis, as one writes it with FastAPI.
 *
 *   service [PORT [REDIS-URL [THREADS]]]     8080, redis://127.0.0.1:6379/, and a thread for each core
 *
 *   GET /            says hello                       GET /docs          a page to try it
 *   GET /red         keeps a car, and reads it        GET /openapi.json  what that page knows it from
 *   GET /cars/NAME   what is known of one             GET /metrics       counters, for Prometheus
 *   PUT /cars/NAME   keeps one: an object of texts
 *
 * Each thread has a loop, a listener and a pool of connections of its own: they share nothing but what /metrics reads.
 * Ctrl-C, or SIGTERM, ends it when what it is at is done. Each request is a line on stdout. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#define AIO_REDIS_IMPLEMENTATION
#include "../redis/aio_redis.h"
#include "pages.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what each thread has ---- */

enum { THREADS = 256, BUCKETS = 8 };
static const double bounds[BUCKETS] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5 }; /* seconds */
static struct thread {
    uint64_t        statuses[6];                  /* requests, by the first digit; 0: without an answer */
    uint64_t        buckets[BUCKETS + 1], micros; /* of their times */
    uint64_t        tasks, lag_micros, busy_ppm;  /* of the loop, in the last second */
    aio_redis_pool *pool;
    struct watch   *watch;
} threads[THREADS];
static unsigned thread_count;
static __thread struct thread *mine;
static const char *redis_url = "redis://127.0.0.1:6379/";

/* One thread writes, others read. */
static void set(uint64_t *number, uint64_t value) { __atomic_store_n(number, value, __ATOMIC_RELAXED); }
static uint64_t get(const uint64_t *number) { return __atomic_load_n(number, __ATOMIC_RELAXED); }

/* How late the loop comes to what is due, and how much of the time it is busy. */
struct watch { aio_task task; };
static AIO_CORO(watch)
{
    AIO_BEGIN(watch);
    for (;;) {
        AIO_AWAIT(aio_sleep(1));
        aio_metrics loop = aio_loop_metrics(aio_get_running_loop());
        set(&mine->lag_micros, (uint64_t)(1e6 * loop.lag));
        set(&mine->busy_ppm, (uint64_t)(1e6 * loop.busy));
        set(&mine->tasks, loop.tasks);
    }
    AIO_END;
}

struct begin { aio_task task; unsigned number; };
static AIO_CORO(begin)
{
    AIO_BEGIN(begin);
    self->number = __atomic_fetch_add(&thread_count, 1, __ATOMIC_RELAXED);
    if (self->number >= THREADS) AIO_RAISE(EINVAL, "more than %d threads", THREADS);
    mine = &threads[self->number];
    mine->pool = aio_redis_pool_open(redis_url, .size = 16, .connection = { .timeout = 5, .connect_timeout = 2 });
    if (!mine->pool) AIO_RAISE(errno, "%s: not the URL of a Redis server", redis_url);
    mine->watch = aio_create_task(AIO_CALL(watch));
    if (!mine->watch) AIO_RAISE(ENOMEM);
    AIO_END;
}
static void *on_startup(void *arg) { return (void)arg, AIO_CALL(begin); }

struct finish { aio_task task; };
static AIO_CORO(finish)
{
    AIO_BEGIN(finish);
    if (!mine) AIO_RETURN();
    if (mine->watch) aio_task_cancel(mine->watch);
    aio_unref(mine->watch);
    aio_redis_pool_close(mine->pool);
    AIO_END;
}
static void *on_cleanup(void *arg) { return (void)arg, AIO_CALL(finish); }

static void on_access(const aio_access *access, void *file)
{
    int bucket = 0;
    while (bucket < BUCKETS && access->seconds > bounds[bucket]) bucket++;
    set(&mine->buckets[bucket], mine->buckets[bucket] + 1);
    set(&mine->micros, mine->micros + (uint64_t)(1e6 * access->seconds));
    set(&mine->statuses[access->status / 100 % 6], mine->statuses[access->status / 100 % 6] + 1);
    aio_access_log_write(access, file);
}

/* ---- cars ---- */

static void *hello(aio_request *request, void *arg)
{
    (void)arg;
    return aio_request_respond(request, 200, .content_type = "application/json",
                               .text = "{\"message\":\"Hello World\"}");
}

/* A text of its own: the reply is the connection's, which goes back to the pool before a slow client has read. NULL:
 * there is no such car, or no memory. */
static aio_json_writer *car_json(const aio_redis_reply *car)
{
    aio_json_writer *out = aio_redis_count(car) ? aio_json_writer_open() : NULL;
    if (!out) return NULL;
    aio_json_write_object(out);
    for (size_t i = 0; i + 1 < aio_redis_count(car); i += 2) {
        aio_text name = aio_redis_bytes(aio_redis_at(car, i)), value = aio_redis_bytes(aio_redis_at(car, i + 1));
        aio_json_write_name_bytes(out, name.data, name.length);
        aio_json_write_bytes(out, value.data, value.length);
    }
    aio_json_write_end(out);
    return out;
}

/* What an object of texts has, as HSET's arguments. NULL: it is none, or there is no memory. */
static aio_text *car_fields(const aio_json *object, aio_text key, size_t *count)
{
    aio_text *words = NULL, name;
    const aio_json *value;
    size_t position = 0;
    *count = 2;
    if (aio_json_kind_of(object) != AIO_JSON_OBJECT || !aio_json_count(object)) return NULL;
    words = (aio_text *)calloc(2 + 2 * aio_json_count(object), sizeof *words);
    if (!words) return NULL;
    words[0].data = "HSET";
    words[0].length = 4;
    words[1] = key;
    while (aio_json_next(object, &position, &name, &value)) {
        words[(*count)++] = name;
        words[(*count)++] = aio_json_string(value, NULL, NULL);
        if (words[*count - 1].data) continue;
        free(words);
        return NULL;
    }
    return words;
}

/* Whether an error is the server's answer, or that there is none. Others are our own. */
static bool is_of_redis(int code)
{
    return aio_redis_may_pass(code) || (code >= AIO_REDIS_ERROR && code < AIO_REDIS_EWATCH);
}

static aio_future *refused(aio_request *request, const aio_exception *why)
{
    fprintf(stderr, "redis: %s\n", why->message);
    if (why->code == AIO_REDIS_EWRONGTYPE) return aio_request_fail(request, 409, "this name has something else");
    if (!aio_redis_may_pass(why->code)) return aio_request_fail(request, 500, "the database refuses");
    return aio_request_fail(request, 503, "the database cannot be reached");
}

struct car {
    aio_task task; aio_request *request; aio_text name; const aio_json *json; aio_text *words; size_t count;
    aio_redis *redis; const aio_redis_reply *reply; aio_json_writer *answer; bool puts, exists;
};
static AIO_CORO(car)
{
    AIO_BEGIN(car);
    if (self->puts) {
        AIO_AWAIT(self->json, aio_request_json(self->request, .max_depth = 2)); /* what is no JSON gets 400, or 415 */
        self->words = car_fields(self->json, self->name, &self->count);
        if (!self->words) AIO_AWAIT(aio_request_fail(self->request, 422, "a car is an object of texts"));
    }
    AIO_TRY {
        AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(mine->pool),
                          aio_redis_pool_release(mine->pool, self->redis)) {
            if (self->puts) AIO_AWAIT(aio_redis_command_with(self->redis, self->words, self->count));
            AIO_AWAIT(self->reply, aio_redis_command(self->redis, "HGETALL", self->name.data));
            self->exists = aio_redis_count(self->reply) != 0;
            self->answer = car_json(self->reply);
        }
    } AIO_CATCH {
        if (!is_of_redis(aio_caught(self)->code)) AIO_RERAISE();
        AIO_AWAIT(refused(self->request, aio_caught(self)));
    } AIO_END_TRY;
    if (!self->exists) AIO_AWAIT(aio_request_fail(self->request, 404, "no car %s", self->name.data));
    AIO_AWAIT(aio_request_respond_json(self->request, 200, self->answer));
    AIO_FINALLY;
        free(self->words);
    AIO_END;
}
static void *get_car(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(car, .request = request, .name = aio_request_param(request, "name"));
}
static void *put_car(aio_request *request, void *arg)
{
    return (void)arg, AIO_CALL(car, .request = request, .name = aio_request_param(request, "name"), .puts = true);
}

/* Of the notes: the pool is asked for a connection, which keeps a hash and gives it back. */
struct red { aio_task task; aio_request *request; aio_redis *redis; const aio_redis_reply *car;
             aio_json_writer *answer; };
static AIO_CORO(red)
{
    AIO_BEGIN(red);
    AIO_TRY {
        AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(mine->pool),
                          aio_redis_pool_release(mine->pool, self->redis)) {
            AIO_AWAIT(aio_redis_command(self->redis, "HSET", "car", "key1", "1", "key2", "2", "key3", "3"));
            AIO_AWAIT(self->car, aio_redis_command(self->redis, "HGETALL", "car"));
            self->answer = car_json(self->car);
        }
    } AIO_CATCH {
        if (!is_of_redis(aio_caught(self)->code)) AIO_RERAISE();
        AIO_AWAIT(refused(self->request, aio_caught(self)));
    } AIO_END_TRY;
    AIO_AWAIT(aio_request_respond_json(self->request, 200, self->answer));
    AIO_END;
}
static void *get_red(aio_request *request, void *arg) { return (void)arg, AIO_CALL(red, .request = request); }

/* ---- what the service says of itself ---- */

static void *get_openapi(aio_request *request, void *arg)
{
    (void)arg;
    return aio_request_respond(request, 200, .content_type = "application/json", .text = openapi);
}

static void *get_docs(aio_request *request, void *arg)
{
    (void)arg;
    return aio_request_respond(request, 200, .content_type = "text/html; charset=utf-8", .text = docs);
}

static void write_metrics(FILE *out)
{
    static const char *const names[] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
    unsigned count = __atomic_load_n(&thread_count, __ATOMIC_RELAXED);
    uint64_t statuses[6] = { 0 }, buckets[BUCKETS + 1] = { 0 }, micros = 0, total = 0;
    if (count > THREADS) count = THREADS;
    for (unsigned t = 0; t < count; t++) {
        for (int i = 0; i < 6; i++) statuses[i] += get(&threads[t].statuses[i]);
        for (int i = 0; i <= BUCKETS; i++) buckets[i] += get(&threads[t].buckets[i]);
        micros += get(&threads[t].micros);
    }
    fprintf(out, "# TYPE http_requests_total counter\n");
    for (int i = 0; i < 6; i++)
        fprintf(out, "http_requests_total{status=\"%s\"} %llu\n", names[i], (unsigned long long)statuses[i]);
    fprintf(out, "# TYPE http_request_seconds histogram\n");
    for (int i = 0; i <= BUCKETS; i++) {
        total += buckets[i];
        fprintf(out, "http_request_seconds_bucket{le=\"");
        if (i < BUCKETS) fprintf(out, "%g\"} %llu\n", bounds[i], (unsigned long long)total);
        else fprintf(out, "+Inf\"} %llu\n", (unsigned long long)total);
    }
    fprintf(out, "http_request_seconds_sum %.6f\nhttp_request_seconds_count %llu\n", 1e-6 * (double)micros,
            (unsigned long long)total);
    fprintf(out, "# TYPE loop_tasks gauge\n# TYPE loop_lag_seconds gauge\n# TYPE loop_busy_ratio gauge\n");
    for (unsigned t = 0; t < count; t++) {
        fprintf(out, "loop_tasks{loop=\"%u\"} %llu\n", t, (unsigned long long)get(&threads[t].tasks));
        fprintf(out, "loop_lag_seconds{loop=\"%u\"} %.6f\n", t, 1e-6 * (double)get(&threads[t].lag_micros));
        fprintf(out, "loop_busy_ratio{loop=\"%u\"} %.6f\n", t, 1e-6 * (double)get(&threads[t].busy_ppm));
    }
}

static void *get_metrics(aio_request *request, void *arg)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    (void)arg;
    if (!out) return NULL;
    write_metrics(out);
    void *answer = fclose(out) ? NULL : aio_request_respond(request, 200, .content_type = "text/plain; version=0.0.4",
                                                            .body = text, .length = length);
    free(text);
    return answer;
}

/* 1 to `most`, or 0. */
static int number_of(const char *text, int most)
{
    char *end;
    long number = strtol(text, &end, 10);
    return end != text && !*end && number > 0 && number <= most ? (int)number : 0;
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? number_of(argv[1], 65535) : 8080;
    int loops = argc > 3 ? number_of(argv[3], 1024) : AIO_PER_CORE;
    if (!port || !loops || argc > 4) {
        fprintf(stderr, "usage: service [PORT [REDIS-URL [THREADS]]]\n");
        return 2;
    }
    aio_app *app = aio_app_open(.json_errors = true, .compress = true, .access_log = on_access, .access_arg = stdout);
    if (argc > 2) redis_url = argv[2];
    setvbuf(stdout, NULL, _IOLBF, 0);
    aio_app_route(app, "GET", "/", hello, NULL);
    aio_app_route(app, "GET", "/red", get_red, NULL);
    aio_app_route(app, "GET", "/cars/{name}", get_car, NULL);
    aio_app_route(app, "PUT", "/cars/{name}", put_car, NULL);
    aio_app_route(app, "GET", "/openapi.json", get_openapi, NULL);
    aio_app_route(app, "GET", "/docs", get_docs, NULL);
    aio_app_route(app, "GET", "/metrics", get_metrics, NULL);
    return aio_run_app(app, "127.0.0.1", port,
                       .threads = loops,
                       .startup = on_startup, .cleanup = on_cleanup);
}
