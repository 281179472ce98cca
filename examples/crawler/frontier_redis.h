/* frontier_redis.h: a frontier in Redis that several crawlers, on several machines, share. Each takes pages out of a
 * stream as one of its consumer group; what a crawler had taken when it died is taken over by the others.
 *
 *   crawl:NAME:seen     the set of all URLs           crawl:NAME:todo     the stream of pages that are not finished
 *   crawl:NAME:done     the list of records           crawl:NAME:alive:C  there as long as the crawler C is
 *   crawl:NAME:host:H   there as long as nobody may ask the host H
 *
 * A page is finished by one script: it is acknowledged, its record kept, and its links are added. Of two crawlers that
 * come to finish the same page, as one was taken for dead, the first counts.
 *
 * When Redis goes away the crawler waits for it, as long as its patience lasts, and goes on under another name: what an
 * answer that was lost has given to the old one is taken over, as a dead crawler's is. */
#ifndef CRAWLER_FRONTIER_REDIS_H
#define CRAWLER_FRONTIER_REDIS_H

#include "frontier.h"

enum { SHARED_PIECE = 16, SHARED_RECORDS = 1000, SHARED_SILENCE = 10 }; /* pages taken, records read at once; seconds */

struct shared {
    struct frontier base;
    const char     *name;
    double          claim;      /* a crawler that was not heard of for so many seconds is dead */
    char            origin[80], consumer[96]; /* host and process; this crawler's name */
    int             names;                    /* that it has had */
    double          away_since, patience;     /* since when Redis is away (0: it is not); how long it may be */
    char            seen[80], todo[80], done[80], began[80], alive[80], me[200]; /* keys; me: alive and consumer */
    aio_redis_pool *pool;
    aio_redis      *reader;     /* which waits for pages */
    struct page    *first, **last; /* taken, and not asked for yet */
    struct beat    *beating;
};

/* KEYS: seen, todo. ARGV: depth, URLs. */
#define SHARED_ADD                                                                                        \
    "local function add(depth, from)\n"                                                                   \
    "  for i = from, #ARGV do\n"                                                                          \
    "    if redis.call('SADD', KEYS[1], ARGV[i]) == 1 then\n"                                             \
    "      redis.call('XADD', KEYS[2], '*', 'depth', depth, 'url', ARGV[i])\n"                            \
    "    end\n"                                                                                           \
    "  end\n"                                                                                             \
    "end\n"
static const char shared_add_script[] = SHARED_ADD "add(ARGV[1], 2) return 1";
/* KEYS: seen, todo, done. ARGV: the page's id, its record, the depth of its links, URLs. */
static const char shared_finish_script[] = SHARED_ADD
    "if redis.call('XACK', KEYS[2], 'crawlers', ARGV[1]) == 0 then return 0 end\n"
    "redis.call('XDEL', KEYS[2], ARGV[1])\n"
    "redis.call('RPUSH', KEYS[3], ARGV[2])\n"
    "add(ARGV[3], 4) return 1";
/* KEYS: todo, what the names of living crawlers begin with. ARGV: this crawler, how many pages at most. */
static const char shared_take_over_script[] =
    "local pending = redis.call('XPENDING', KEYS[1], 'crawlers')\n"
    "if pending[1] == 0 then return {} end\n"
    "for _, c in ipairs(pending[4]) do\n"
    "  if c[1] ~= ARGV[1] and redis.call('EXISTS', KEYS[2] .. c[1]) == 0 then\n"
    "    local ids = {}\n"
    "    for _, p in ipairs(redis.call('XPENDING', KEYS[1], 'crawlers', '-', '+', ARGV[2], c[1])) do\n"
    "      ids[#ids + 1] = p[1]\n"
    "    end\n"
    "    return redis.call('XCLAIM', KEYS[1], 'crawlers', ARGV[1], 0, unpack(ids))\n"
    "  end\n"
    "end\n"
    "return {}";

static void shared_set(aio_text *arguments, size_t i, const char *text)
{
    arguments[i].data = text;
    arguments[i].length = strlen(text);
}

/* Room for `fixed` arguments, and the links behind them. NULL: no memory. */
static aio_text *shared_arguments(const struct links *links, size_t fixed, size_t *count)
{
    const char *end = links->text.data + links->text.length;
    size_t n = fixed;
    for (const char *url = links->text.data; url < end; url += strlen(url) + 1) n++;
    aio_text *arguments = (aio_text *)calloc(n, sizeof *arguments);
    *count = fixed;
    for (const char *url = links->text.data; arguments && url < end; url += strlen(url) + 1)
        shared_set(arguments, (*count)++, url);
    return arguments;
}

/* ---- an outage ---- */

static void shared_take_name(struct shared *s)
{
    snprintf(s->consumer, sizeof s->consumer, "%s:%d", s->origin, ++s->names);
    snprintf(s->me, sizeof s->me, "%s%s", s->alive, s->consumer);
}

static void shared_is_there(struct shared *s)
{
    if (s->away_since != 0) fprintf(stderr, "\rredis: there again, after %.1f s\n", aio_time() - s->away_since);
    s->away_since = 0;
}

/* After an error: whether to give up; else it is tried again, after shared_pause. */
static bool shared_gives_up(struct shared *s, const aio_exception *why)
{
    if (!aio_redis_may_pass(why->code)) return true;
    if (s->away_since == 0) {
        s->away_since = aio_time();
        fprintf(stderr, "\rredis: %s: waiting for it, up to %.0f s\n", why->message, s->patience);
    }
    return aio_time() - s->away_since > s->patience;
}

static double shared_pause(const struct shared *s)
{
    double away = s->away_since == 0 ? 0 : aio_time() - s->away_since;
    return away < 0.4 ? 0.1 : away < 20 ? away / 4 : 5;
}

/* ---- alive ---- */

struct beat { aio_task task; struct shared *s; aio_redis *redis; const aio_redis_reply *replies; };
static AIO_CORO(beat)
{
    AIO_BEGIN(beat);
    for (;;) {
        AIO_TRY {
            AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->s->pool),
                              aio_redis_pool_release(self->s->pool, self->redis)) {
                aio_redis_pipelinef(self->redis, "SET %s 1 PX %d", self->s->me, (int)(1e3 * self->s->claim));
                aio_redis_pipeline(self->redis, "SCARD", self->s->seen);
                aio_redis_pipeline(self->redis, "LLEN", self->s->done);
                AIO_AWAIT(self->replies, aio_redis_execute(self->redis));
                self->s->base.known = (size_t)aio_redis_integer(aio_redis_at(self->replies, 1), 0);
                self->s->base.finished = (size_t)aio_redis_integer(aio_redis_at(self->replies, 2), 0);
            }
        } AIO_CATCH { /* who needs Redis tells of it, and gives up */
        } AIO_END_TRY;
        AIO_AWAIT(aio_sleep(self->s->claim / 4));
    }
    AIO_END;
}

struct shared_opening { aio_task task; struct shared *s; aio_redis *redis; const aio_redis_reply *reply; double now; };
static AIO_CORO(shared_opening)
{
    AIO_BEGIN(shared_opening);
    AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->s->pool),
                      aio_redis_pool_release(self->s->pool, self->redis)) {
        AIO_TRY {
            AIO_AWAIT(aio_redis_command(self->redis, "XGROUP", "CREATE", self->s->todo, "crawlers", "0", "MKSTREAM"));
        } AIO_CATCH_CODE(AIO_REDIS_EBUSYGROUP) {
            /* another crawler was there before */
        } AIO_END_TRY;
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "TIME"));
        self->now = aio_redis_real(aio_redis_at(self->reply, 0), 0);
        self->now += 1e-6 * aio_redis_real(aio_redis_at(self->reply, 1), 0);
        AIO_AWAIT(aio_redis_commandf(self->redis, "SET %s %f NX", self->s->began, self->now));
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "GET", self->s->began));
        self->s->base.began = aio_time() - (self->now - aio_redis_real(self->reply, self->now));
    }
    self->s->reader = aio_redis_pool_dedicated(self->s->pool);
    self->s->beating = aio_create_task(AIO_CALL(beat, .s = self->s));
    if (!self->s->reader || !self->s->beating) AIO_RAISE(ENOMEM);
    AIO_END;
}
static void *shared_open(struct frontier *f) { return AIO_CALL(shared_opening, .s = (struct shared *)(void *)f); }

/* ---- pages ---- */

struct shared_adding { aio_task task; struct shared *s; const struct links *links; aio_redis *redis;
                       aio_text *arguments; size_t count; char depth[16]; };
static AIO_CORO(shared_adding)
{
    AIO_BEGIN(shared_adding);
    self->arguments = shared_arguments(self->links, 3, &self->count);
    if (!self->arguments) AIO_RAISE(ENOMEM);
    snprintf(self->depth, sizeof self->depth, "%d", self->links->depth);
    shared_set(self->arguments, 0, self->s->seen);
    shared_set(self->arguments, 1, self->s->todo);
    shared_set(self->arguments, 2, self->depth);
    AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->s->pool),
                      aio_redis_pool_release(self->s->pool, self->redis))
        AIO_AWAIT(aio_redis_script_with(self->redis, shared_add_script, 2, self->arguments, self->count));
    AIO_FINALLY;
        free(self->arguments);
    AIO_END;
}
static void *shared_add(struct frontier *f, const struct links *links)
{
    return AIO_CALL(shared_adding, .s = (struct shared *)(void *)f, .links = links);
}

struct shared_finishing { aio_task task; struct shared *s; struct page *page; const struct record *record;
                       const struct links *links; aio_redis *redis; aio_text *arguments; size_t count;
                       bool done; char depth[16], line[URL_MAX + 128]; };
static AIO_CORO(shared_finishing)
{
    AIO_BEGIN(shared_finishing);
    self->arguments = shared_arguments(self->links, 6, &self->count);
    if (!self->arguments) AIO_RAISE(ENOMEM);
    snprintf(self->depth, sizeof self->depth, "%d", self->links->depth);
    snprintf(self->line, sizeof self->line, "%d %zu %.6f %.6f %d %s", self->record->status, self->record->bytes,
             self->record->seconds, self->record->when, self->record->depth, self->page->url);
    shared_set(self->arguments, 0, self->s->seen);
    shared_set(self->arguments, 1, self->s->todo);
    shared_set(self->arguments, 2, self->s->done);
    shared_set(self->arguments, 3, self->page->id);
    shared_set(self->arguments, 4, self->line);
    shared_set(self->arguments, 5, self->depth);
    while (!self->done) { /* twice is once */
        AIO_TRY {
            AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->s->pool),
                              aio_redis_pool_release(self->s->pool, self->redis))
                AIO_AWAIT(aio_redis_script_with(self->redis, shared_finish_script, 3, self->arguments, self->count));
            self->done = true;
            shared_is_there(self->s);
        } AIO_CATCH {
            if (shared_gives_up(self->s, aio_caught(self))) AIO_RERAISE();
            AIO_AWAIT(aio_sleep(shared_pause(self->s)));
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        free(self->arguments);
        free(self->page);
    AIO_END;
}
static void *shared_finish(struct frontier *f, struct page *page, const struct record *record,
                           const struct links *links)
{
    return AIO_CALL(shared_finishing, .s = (struct shared *)(void *)f, .page = page, .record = record, .links = links);
}

/* Takes entries of the stream: id and fields. 0 or ENOMEM. */
static int shared_take(struct shared *s, const aio_redis_reply *entries)
{
    for (size_t i = 0; i < aio_redis_count(entries); i++) {
        const aio_redis_reply *entry = aio_redis_at(entries, i), *fields = aio_redis_at(entry, 1);
        const char *id = aio_redis_text(aio_redis_at(entry, 0)), *url = aio_redis_get_text(fields, "url");
        if (!id || !url || strlen(id) >= sizeof((struct page *)0)->id || strlen(url) > URL_MAX) continue;
        struct page *page = page_create(url, strlen(url), (int)aio_redis_integer(aio_redis_get(fields, "depth"), 0));
        if (!page) return ENOMEM;
        memcpy(page->id, id, strlen(id) + 1);
        *s->last = page;
        s->last = &page->next;
    }
    return 0;
}

/* Asks once: new pages, or those of one that is dead. */
struct shared_asking { aio_task task; struct shared *s; const aio_redis_reply *reply; char piece[8]; };
static AIO_CORO(shared_asking)
{
    AIO_BEGIN(shared_asking);
    snprintf(self->piece, sizeof self->piece, "%d", SHARED_PIECE);
    AIO_AWAIT(self->reply, aio_redis_commandf(self->s->reader,
        "XREADGROUP GROUP crawlers %s COUNT %d BLOCK 200 STREAMS %s >", self->s->consumer, SHARED_PIECE,
        self->s->todo));
    const aio_redis_reply *stream; /* RESP3 has a map of streams, RESP2 pairs */
    stream = aio_redis_type(self->reply) == AIO_REDIS_MAP ? self->reply : aio_redis_at(self->reply, 0);
    if (shared_take(self->s, aio_redis_at(stream, 1))) AIO_RAISE(ENOMEM);
    if (self->s->first) AIO_RETURN();
    AIO_AWAIT(self->reply, aio_redis_command(self->s->reader, "XLEN", self->s->todo));
    if (!aio_redis_integer(self->reply, 1)) AIO_RAISE(AIO_ESTOPITERATION);
    AIO_AWAIT(self->reply, aio_redis_script(self->s->reader, shared_take_over_script, 2, self->s->todo,
                                            self->s->alive, self->s->consumer, self->piece));
    if (shared_take(self->s, self->reply)) AIO_RAISE(ENOMEM);
    AIO_END;
}

struct shared_taking { aio_task task; struct page *result; struct shared *s; bool renamed; };
static AIO_CORO(shared_taking)
{
    AIO_BEGIN(shared_taking);
    while (!self->s->first) {
        AIO_TRY {
            if (self->renamed) /* before it has anything */
                AIO_AWAIT(aio_redis_commandf(self->s->reader, "SET %s 1 PX %d", self->s->me,
                                             (int)(1e3 * self->s->claim)));
            self->renamed = false;
            AIO_TIMEOUT((double)SHARED_SILENCE) AIO_AWAIT(AIO_CALL(shared_asking, .s = self->s));
            shared_is_there(self->s);
        } AIO_CATCH {
            if (shared_gives_up(self->s, aio_caught(self))) AIO_RERAISE();
            if (!self->renamed) shared_take_name(self->s);
            self->renamed = true;
            AIO_AWAIT(aio_sleep(shared_pause(self->s)));
        } AIO_END_TRY;
    }
    self->result = self->s->first;
    self->s->first = self->result->next;
    if (!self->s->first) self->s->last = &self->s->first;
    AIO_END;
}
static struct next_task *shared_next(struct frontier *f)
{
    return (struct next_task *)(void *)AIO_CALL(shared_taking, .s = (struct shared *)(void *)f);
}

/* Waits until no crawler has asked the host for so many seconds. */
struct shared_waiting { aio_task task; struct shared *s; const char *host; double delay; aio_redis *redis;
                        const aio_redis_reply *reply; double wait; char key[URL_MAX + 80]; };
static AIO_CORO(shared_waiting)
{
    AIO_BEGIN(shared_waiting);
    snprintf(self->key, sizeof self->key, "crawl:%s:host:%s", self->s->name, self->host);
    do {
        if (self->wait > 0) AIO_AWAIT(aio_sleep(self->wait));
        AIO_TRY {
            AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->s->pool),
                              aio_redis_pool_release(self->s->pool, self->redis)) {
                aio_redis_pipelinef(self->redis, "SET %s %s NX PX %d", self->key, self->s->consumer,
                                    (int)(1e3 * self->delay) + 1);
                aio_redis_pipeline(self->redis, "PTTL", self->key);
                AIO_AWAIT(self->reply, aio_redis_execute(self->redis));
                self->wait = 1e-3 * aio_redis_real(aio_redis_at(self->reply, 1), 0);
                if (!aio_redis_is_nil(aio_redis_at(self->reply, 0))) self->wait = 0;
                else if (self->wait <= 0) self->wait = 0.001;
            }
            shared_is_there(self->s);
        } AIO_CATCH {
            if (shared_gives_up(self->s, aio_caught(self))) AIO_RERAISE();
            self->wait = shared_pause(self->s);
        } AIO_END_TRY;
    } while (self->wait > 0);
    AIO_END;
}
static void *shared_turn(struct frontier *f, const char *host, double delay)
{
    return AIO_CALL(shared_waiting, .s = (struct shared *)(void *)f, .host = host, .delay = delay);
}

/* ---- the end ---- */

/* The records of all crawlers. */
struct shared_collecting { aio_task task; struct shared *s; aio_redis *redis; const aio_redis_reply *reply; size_t i; };
static AIO_CORO(shared_collecting)
{
    AIO_BEGIN(shared_collecting);
    AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->s->pool),
                      aio_redis_pool_release(self->s->pool, self->redis)) {
        do {
            AIO_AWAIT(self->reply, aio_redis_commandf(self->redis, "LRANGE %s %zu %zu", self->s->done,
                                                      self->s->base.record_count,
                                                      self->s->base.record_count + SHARED_RECORDS - 1));
            for (self->i = 0; self->i < aio_redis_count(self->reply); self->i++) {
                struct record r;
                memset(&r, 0, sizeof r);
                sscanf(aio_redis_bytes(aio_redis_at(self->reply, self->i)).data, "%d %zu %lf %lf %d", &r.status,
                       &r.bytes, &r.seconds, &r.when, &r.depth);
                if (frontier_record(&self->s->base, &r)) AIO_RAISE(ENOMEM);
            }
        } while (aio_redis_count(self->reply) == SHARED_RECORDS);
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "SCARD", self->s->seen));
        self->s->base.known = (size_t)aio_redis_integer(self->reply, 0);
    }
    AIO_END;
}
static void *shared_collect(struct frontier *f) { return AIO_CALL(shared_collecting, .s = (struct shared *)(void *)f); }

/* What it has not finished is for the others, at once. */
struct shared_closing { aio_task task; struct shared *s; aio_redis *redis; };
static AIO_CORO(shared_closing)
{
    AIO_BEGIN(shared_closing);
    if (self->s->beating) {
        aio_task_cancel(self->s->beating);
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->s->beating));
        } AIO_CATCH_ALL { } AIO_END_TRY;
        AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->s->pool),
                          aio_redis_pool_release(self->s->pool, self->redis))
            AIO_AWAIT(aio_redis_command(self->redis, "DEL", self->s->me));
    }
    AIO_FINALLY;
        aio_unref(self->s->beating);
        aio_redis_close(self->s->reader);
        aio_redis_pool_close(self->s->pool);
        while (self->s->first) {
            struct page *page = self->s->first;
            self->s->first = page->next;
            free(page);
        }
        free(self->s->base.records);
        free(self->s);
    AIO_END;
}
static void *shared_close(struct frontier *f) { return AIO_CALL(shared_closing, .s = (struct shared *)(void *)f); }

static void shared_drop(struct page *page) { free(page); }

/* NULL with errno: EINVAL for a URL that is not one of Redis; ENOMEM. */
static struct frontier *shared_create(const char *url, const char *name, double claim, double patience,
                                      int window)
{
    struct shared *s = (struct shared *)calloc(1, sizeof *s);
    char host[64] = "";
    if (!s) return NULL;
    s->name = name;
    s->claim = claim;
    s->patience = patience;
    s->last = &s->first;
    gethostname(host, sizeof host - 1);
    snprintf(s->origin, sizeof s->origin, "%s:%ld", host, (long)getpid());
    snprintf(s->seen, sizeof s->seen, "crawl:%s:seen", name);
    snprintf(s->todo, sizeof s->todo, "crawl:%s:todo", name);
    snprintf(s->done, sizeof s->done, "crawl:%s:done", name);
    snprintf(s->began, sizeof s->began, "crawl:%s:began", name);
    snprintf(s->alive, sizeof s->alive, "crawl:%s:alive:", name);
    shared_take_name(s);
    s->pool = aio_redis_pool_open(url, .size = 8);
    s->base.open = shared_open;
    s->base.add = shared_add;
    s->base.next = shared_next;
    s->base.finish = shared_finish;
    s->base.turn = shared_turn;
    s->base.collect = shared_collect;
    s->base.drop = shared_drop;
    s->base.close = shared_close;
    s->base.window = (size_t)window;
    if (s->pool) return &s->base;
    free(s);
    return NULL;
}

#endif
