/* aio_redis.h: a client for Redis on aio.h.
 *
 *   #define AIO_IMPLEMENTATION             in one file
 *   #define AIO_REDIS_IMPLEMENTATION
 *   #include "aio.h"
 *   #include "aio_redis.h"
 *
 *   self->redis = aio_redis_open("redis://:password@127.0.0.1:6379/0");
 *   AIO_AWAIT(aio_redis_command(self->redis, "HSET", "cat", "name", "Tom", "colour", "grey"));
 *   AIO_AWAIT(self->cat, aio_redis_command(self->redis, "HGETALL", "cat"));
 *   printf("%s is %s\n", aio_redis_get_text(self->cat, "name"), aio_redis_get_text(self->cat, "colour"));
 *   AIO_FINALLY;
 *   aio_redis_close(self->redis);
 *
 * A connection connects by itself, and does one thing at a time; a pool is for tasks that work at the same time. A
 * reply is the connection's, until its next command; aio_redis_reply_copy keeps one. RESP3 is spoken where the server
 * has it, else RESP2; the getters read both alike.
 *
 * Cancelled: a command whose reply was not read yet is owed it. The next one on that connection reads past it, within
 * .drain_timeout and .drain_limit, or connects anew; one that blocks at the server (BLPOP, ...) closes the connection
 * at once, so that it takes nothing more. No reply reaches another command.
 *
 * Retried, with back-off and jitter: connecting; a command that was not sent, and one that only reads, when the
 * connection breaks, or .timeout is over; any that the server answers by LOADING. Never when that would lose a WATCH,
 * MULTI or SELECT.
 *
 * Errors: an error of the server has a code of AIO_REDIS_E..., by its first word; AIO_EDISCONNECTED when the server
 * went away, AIO_ETIMEOUT after .timeout, AIO_ELIMIT for a reply beyond .max_reply or .max_depth, AIO_ERUNTIME for
 * what is not the protocol, what came without having been asked for, and calls out of turn, EINVAL for NULL as an
 * argument; and those of aio_open_connection. What goes wrong until the server has let us in names the server, and what
 * was being done. */
#ifndef AIO_REDIS_H
#define AIO_REDIS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Codes of the server's errors. ERR, and words that are not here, are AIO_REDIS_ERROR. */
#define AIO_REDIS__CODES(X)                                                                                        \
    X(WRONGTYPE) X(NOSCRIPT) X(NOAUTH) X(WRONGPASS) X(NOPERM) X(OOM) X(READONLY) X(LOADING) X(BUSY) X(EXECABORT)   \
    X(MOVED) X(ASK) X(MISCONF) X(TRYAGAIN) X(CLUSTERDOWN) X(BUSYGROUP) X(NOGROUP) X(NOPROTO) X(MASTERDOWN)         \
    X(NOREPLICAS) X(UNBLOCKED)
enum {
    AIO_REDIS_ERROR = 1100000,
#define AIO_REDIS__CODE(name) AIO_REDIS_E##name,
    AIO_REDIS__CODES(AIO_REDIS__CODE)
#undef AIO_REDIS__CODE
    AIO_REDIS_EWATCH /* EXEC did nothing, as a key that is watched has changed. redis-py: WatchError */
};

typedef struct aio_redis aio_redis;
typedef struct aio_redis_reply aio_redis_reply;
typedef struct aio_redis_options {
    /* take the place of the URL's; all texts are copied */
    const char      *user AIO_UNSET, *password AIO_UNSET;
    int              database AIO_UNSET;
    const char      *client_name AIO_UNSET;     /* CLIENT SETNAME */
    aio_tls_context *tls_context AIO_UNSET;     /* TLS with this one, as rediss:// has the default one; borrowed */
    int              protocol AIO_UNSET;        /* 2 or 3; 0: 3, and 2 where the server has no other */
    double           timeout AIO_UNSET;         /* of a command, each time; one that blocks has its own; 0: 30 s */
    /* until the server has let us in, with TLS and login; one that takes longer is not tried again; 0: 10 s */
    double           connect_timeout AIO_UNSET;
    int              retries AIO_UNSET;         /* 0: 3; below 0: none */
    double           backoff AIO_UNSET;         /* before a retry: random, up to it, twice, 4, ... times it; 0: 0.1 s */
    double           backoff_max AIO_UNSET;     /* 0: 2 s */
    double           drain_timeout AIO_UNSET;   /* for what a cancelled command is owed; 0: 1 s; AIO_NOW: none */
    size_t           drain_limit AIO_UNSET;     /* bytes; 0: 1 MiB */
    double           ping_interval AIO_UNSET;   /* subscriptions: after so much silence the server is asked; 0: 30 s */
    size_t           max_reply AIO_UNSET;       /* bytes in memory, of all replies to one call; 0: 1 GiB */
    int              max_depth AIO_UNSET;       /* of arrays in arrays; 0: 32 */
    /* RESP3: what the server says unasked (CLIENT TRACKING), when it is read: before a command's reply */
    void           (*on_push)(const aio_redis_reply *push, void *arg) AIO_UNSET;
    void            *arg AIO_UNSET;
} aio_redis_options;

/* aio_redis_open(url, .timeout = 5, ...): a connection that is not connected yet. redis://user:password@host:port/2,
 * rediss:// for TLS, unix://user:password@/path?db=2. NULL with errno: EINVAL for a URL that is none of these, ENOMEM.
 * aio_redis_close ends it, when nothing of it is awaited any more; NULL is fine. */
#define aio_redis_open(...) AIO_REDIS__OPEN(__VA_ARGS__, )
#define AIO_REDIS__OPEN(url, ...) aio_redis_open_with((url), AIO_OPTIONS(aio_redis_options, __VA_ARGS__))
aio_redis  *aio_redis_open_with(const char *url, const aio_redis_options *options);
void        aio_redis_close(aio_redis *redis);
/* Connects, unless it is connected; commands do it themselves. AIO_ERUNTIME while another task's call is under way. */
aio_future *aio_redis_connect(aio_redis *redis);
bool        aio_redis_is_connected(const aio_redis *redis);
int         aio_redis_protocol(const aio_redis *redis); /* 2 or 3; 0 before it is connected */
/* Whether an error says that the server is away, or not ready yet: what a program that lasts waits for. */
bool        aio_redis_may_pass(int code);

/* ---- commands ---- */

typedef struct aio_redis_reply_task { aio_task task; const aio_redis_reply *result; } aio_redis_reply_task;

/* aio_redis_command(redis, "SET", key, value): texts only, NULL is none. redis-py: execute_command */
/* aio_redis_commandf(redis, "SETEX %s %d %b", key, 60, data, length): words of the format, and arguments, each a whole
 * one whatever is in it: %s text, %b bytes and their size_t, %d int, %lld long long, %zu size_t, %f double, %% '%'. */
aio_redis_reply_task *aio_redis_commandf(aio_redis *redis, const char *format, ...);
/* Bytes. */
aio_redis_reply_task *aio_redis_command_with(aio_redis *redis, const aio_text *arguments, size_t count);

/* Several commands at once: each is put behind the others, copied, and aio_redis_execute sends them and waits for all
 * replies: an array of them. 0, ENOMEM, EINVAL, ENOTSUP; and aio_redis_execute raises the first of these, and sends
 * nothing, so that they need not be looked at. redis-py: pipeline
 *   aio_redis_pipeline(self->redis, "INCR", "hits");
 *   aio_redis_pipeline(self->redis, "EXPIRE", "hits", "60");
 *   AIO_AWAIT(self->replies, aio_redis_execute(self->redis, .transaction = true)); */
int  aio_redis_pipelinef(aio_redis *redis, const char *format, ...);
int  aio_redis_pipeline_with(aio_redis *redis, const aio_text *arguments, size_t count);
void aio_redis_pipeline_reset(aio_redis *redis); /* forgets them */
typedef struct aio_redis_execute_options {
    bool transaction AIO_UNSET; /* between MULTI and EXEC. AIO_REDIS_EWATCH when a key has changed since its WATCH */
    bool keep_errors AIO_UNSET; /* errors stand among the replies; else the first is raised, when all are there */
} aio_redis_execute_options;
#define aio_redis_execute(...) AIO_REDIS__EXECUTE(__VA_ARGS__, )
#define AIO_REDIS__EXECUTE(redis, ...) \
    aio_redis_execute_with((redis), AIO_OPTIONS(aio_redis_execute_options, __VA_ARGS__))
aio_redis_reply_task *aio_redis_execute_with(aio_redis *redis, const aio_redis_execute_options *options);

/* aio_redis_script(redis, source, keys, "key", ..., "argument", ...): EVALSHA, and EVAL where the server has not seen
 * the script yet; the first `keys` of the texts are KEYS, the others ARGV. redis-py: register_script */
aio_redis_reply_task *aio_redis_script_with(aio_redis *redis, const char *source, size_t keys,
                                            const aio_text *arguments, size_t count);

/* ---- replies ---- */

enum {
    AIO_REDIS_NIL, AIO_REDIS_TEXT, AIO_REDIS_STATUS, AIO_REDIS_FAILURE, AIO_REDIS_INTEGER, AIO_REDIS_REAL,
    AIO_REDIS_BOOL, AIO_REDIS_ARRAY, AIO_REDIS_MAP, AIO_REDIS_SET, AIO_REDIS_PUSH
};
/* All take NULL, which is nil. */
int         aio_redis_type(const aio_redis_reply *reply);
bool        aio_redis_is_nil(const aio_redis_reply *reply);
const char *aio_redis_text(const aio_redis_reply *reply);  /* of a text, status or error; else NULL */
aio_text    aio_redis_bytes(const aio_redis_reply *reply); /* the same; a NUL stands after it */
/* Of an integer, a boolean, a real, or a text that is one. */
int64_t     aio_redis_integer(const aio_redis_reply *reply, int64_t otherwise);
double      aio_redis_real(const aio_redis_reply *reply, double otherwise);
/* The elements of an array or a set; of a map, keys and values by turns: twice as many. */
size_t                 aio_redis_count(const aio_redis_reply *reply);
const aio_redis_reply *aio_redis_at(const aio_redis_reply *reply, size_t index); /* NULL behind the last */
/* The value of a key in a map, or in an array that has keys and values by turns, as RESP2 gives a map; or NULL. */
const aio_redis_reply *aio_redis_get(const aio_redis_reply *reply, const char *key);
const char            *aio_redis_get_text(const aio_redis_reply *reply, const char *key);
/* A copy that is yours: aio_redis_reply_free. NULL without memory. */
aio_redis_reply       *aio_redis_reply_copy(const aio_redis_reply *reply);
void                   aio_redis_reply_free(aio_redis_reply *reply);

/* ---- iterators ---- */

/* SCAN and its like, page by page: what is there all the time comes at least once. The connection is free for other
 * commands meanwhile. redis-py: scan_iter
 *   self->scan = aio_redis_scan_open(self->redis, .match = "user:*");
 *   AIO_ASYNC_FOR(self->key, aio_redis_scan_next(self->scan)) puts(aio_redis_text(self->key));
 * aio_redis_scan_open gives NULL without memory, for which aio_redis_scan_next raises ENOMEM. */
typedef struct aio_redis_scan aio_redis_scan;
typedef struct aio_redis_scan_options {
    const char *command AIO_UNSET;  /* "HSCAN", "SSCAN", "ZSCAN", with a key; NULL: SCAN */
    const char *key AIO_UNSET, *match AIO_UNSET, *type AIO_UNSET; /* copied */
    int         count AIO_UNSET;    /* a hint of how much a page has; 0: the server's */
} aio_redis_scan_options;
#define aio_redis_scan_open(...) AIO_REDIS__SCAN_OPEN(__VA_ARGS__, )
#define AIO_REDIS__SCAN_OPEN(redis, ...) \
    aio_redis_scan_open_with((redis), AIO_OPTIONS(aio_redis_scan_options, __VA_ARGS__))
aio_redis_scan         *aio_redis_scan_open_with(aio_redis *redis, const aio_redis_scan_options *options);
/* A key or member, valid until the next one; AIO_ASYNC_FOR ends after the last. */
aio_redis_reply_task   *aio_redis_scan_next(aio_redis_scan *scan);
const aio_redis_reply  *aio_redis_scan_value(const aio_redis_scan *scan); /* HSCAN: its value, ZSCAN: its score */
void                    aio_redis_scan_close(aio_redis_scan *scan); /* NULL is fine */

/* The entries of a stream as one of a group of consumers: each comes to one of them, at least once, until that has
 * acknowledged it. First come those that this consumer has had before, then those of others that were left for
 * .claim_idle, then new ones, which are waited for; the group is made if there is none. redis-py: xreadgroup
 *   self->group = aio_redis_group_open(self->redis, .stream = "jobs", .group = "workers", .consumer = "ada");
 *   AIO_ASYNC_FOR(self->entry, aio_redis_group_next(self->group)) {
 *       puts(aio_redis_get_text(self->entry->fields, "url"));
 *       AIO_AWAIT(aio_redis_group_ack(self->group, self->entry->id));
 *   }
 * aio_redis_group_open gives NULL with errno: EINVAL without one of the three names, ENOMEM. */
typedef struct aio_redis_group aio_redis_group;
typedef struct aio_redis_group_options {
    const char *stream AIO_UNSET, *group AIO_UNSET, *consumer AIO_UNSET; /* needed; copied */
    int         count AIO_UNSET;      /* so many are asked for at once; 0: 10 */
    double      block AIO_UNSET;      /* how long the server is to wait each time; 0: 5 s */
    double      claim_idle AIO_UNSET; /* others' are taken over when they are that old; 0: never */
} aio_redis_group_options;
typedef struct aio_redis_entry { const char *id; const aio_redis_reply *fields; } aio_redis_entry;
typedef struct aio_redis_entry_task { aio_task task; const aio_redis_entry *result; } aio_redis_entry_task;
#define aio_redis_group_open(...) AIO_REDIS__GROUP_OPEN(__VA_ARGS__, )
#define AIO_REDIS__GROUP_OPEN(redis, ...) \
    aio_redis_group_open_with((redis), AIO_OPTIONS(aio_redis_group_options, __VA_ARGS__))
aio_redis_group      *aio_redis_group_open_with(aio_redis *redis, const aio_redis_group_options *options);
aio_redis_entry_task *aio_redis_group_next(aio_redis_group *group); /* valid until the next one */
aio_redis_reply_task *aio_redis_group_ack(aio_redis_group *group, const char *id);
void                  aio_redis_group_close(aio_redis_group *group); /* NULL is fine */

/* Publish and subscribe, on a connection that does nothing else. When it breaks it is made anew, and what was
 * subscribed to is again; what was published meanwhile is lost. redis-py: pubsub
 *   AIO_AWAIT(aio_redis_subscribe(self->redis, "news", "weather"));
 *   AIO_ASYNC_FOR(self->message, aio_redis_listen(self->redis))
 *       printf("%s: %s\n", self->message->channel, self->message->data.data); */
typedef struct aio_redis_message {
    const char            *channel, *pattern; /* pattern: of a psubscribe; else NULL */
    aio_text               data;              /* a NUL stands after it */
    const aio_redis_reply *reply;             /* the whole of it; of another push: this alone */
} aio_redis_message;
typedef struct aio_redis_message_task { aio_task task; const aio_redis_message *result; } aio_redis_message_task;
/* aio_redis_subscribe(redis, "channel", ...), psubscribe with patterns; done when the server has confirmed it.
 * unsubscribe and punsubscribe take those back. After an error of the server nothing is subscribed to. */
/* The next message, valid until the next call; AIO_ASYNC_FOR ends when nothing is subscribed to. Cancelling it loses
 * none. */
aio_redis_message_task *aio_redis_listen(aio_redis *redis);

/* ---- the pool ---- */

/* Up to `size` connections to one server, made when they are needed, and used again.
 *   AIO_ASYNC_WITH_AS(self->redis, aio_redis_pool_acquire(self->pool), aio_redis_pool_release(self->pool, self->redis))
 */
typedef struct aio_redis_pool aio_redis_pool;
typedef struct { aio_task task; aio_redis *result; } aio_redis_task;
typedef struct aio_redis_pool_options {
    int               size AIO_UNSET; /* 0: 10 */
    double            idle AIO_UNSET; /* one that was not used for so long is asked first; 0: 30 s */
    aio_redis_options connection AIO_UNSET;
} aio_redis_pool_options;
/* aio_redis_pool_open(url, .size = 5, .connection = { .timeout = 1 }): NULL with errno, as above. */
#define aio_redis_pool_open(...) AIO_REDIS__POOL_OPEN(__VA_ARGS__, )
#define AIO_REDIS__POOL_OPEN(url, ...) \
    aio_redis_pool_open_with((url), AIO_OPTIONS(aio_redis_pool_options, __VA_ARGS__))
aio_redis_pool *aio_redis_pool_open_with(const char *url, const aio_redis_pool_options *options);
void            aio_redis_pool_close(aio_redis_pool *pool); /* when every connection is back; NULL is fine */
/* A connection that is connected. */
aio_redis_task *aio_redis_pool_acquire(aio_redis_pool *pool);
/* Gives it back: 0. A WATCH, MULTI, SELECT or subscription that it was left with closes it. EINVAL, and nothing is
 * done, for one that this pool has not lent: given back already, another pool's, or your own. NULL is fine. Not to be
 * closed by aio_redis_close. */
int             aio_redis_pool_release(aio_redis_pool *pool, aio_redis *redis);
/* One besides, for what blocks or listens: yours, aio_redis_close ends it. NULL without memory. */
aio_redis      *aio_redis_pool_dedicated(aio_redis_pool *pool);

/* Private: what the macros of texts call. */
aio_redis_reply_task *aio_redis__command(aio_redis *redis, const char *const *texts, size_t count);
int                   aio_redis__pipeline(aio_redis *redis, const char *const *texts, size_t count);
aio_redis_reply_task *aio_redis__script(aio_redis *redis, const char *source, size_t keys, const char *const *texts,
                                        size_t count);
aio_future           *aio_redis__subscribe(aio_redis *redis, const char *const *texts, size_t count);

#ifdef __cplusplus
}
template <typename... T> aio_redis_reply_task *aio_redis_command(aio_redis *redis, T... texts)
{
    const char *const array[] = { texts... };
    return aio_redis__command(redis, array, sizeof...(texts));
}
template <typename... T> int aio_redis_pipeline(aio_redis *redis, T... texts)
{
    const char *const array[] = { texts... };
    return aio_redis__pipeline(redis, array, sizeof...(texts));
}
template <typename... T> aio_redis_reply_task *aio_redis_script(aio_redis *redis, const char *source, size_t keys,
                                                                T... texts)
{
    const char *const array[] = { "", texts... };
    return aio_redis__script(redis, source, keys, array, 1 + sizeof...(texts));
}
template <typename... T> aio_future *aio_redis__subscription(aio_redis *redis, T... texts)
{
    const char *const array[] = { texts... };
    return aio_redis__subscribe(redis, array, sizeof...(texts));
}
#else
#define AIO_REDIS__TEXTS(...) \
    (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *)
#define aio_redis_command(redis, ...)  aio_redis__command((redis), AIO_REDIS__TEXTS(__VA_ARGS__))
#define aio_redis_pipeline(redis, ...) aio_redis__pipeline((redis), AIO_REDIS__TEXTS(__VA_ARGS__))
#define aio_redis_script(...)          AIO_REDIS__SCRIPT(__VA_ARGS__, )
#define AIO_REDIS__SCRIPT(redis, source, keys, ...) \
    aio_redis__script((redis), (source), (keys), AIO_REDIS__TEXTS("", __VA_ARGS__))
#define aio_redis__subscription(redis, ...) aio_redis__subscribe((redis), AIO_REDIS__TEXTS(__VA_ARGS__))
#endif
#define aio_redis_subscribe(redis, ...)    aio_redis__subscription(redis, "SUBSCRIBE", __VA_ARGS__)
#define aio_redis_psubscribe(redis, ...)   aio_redis__subscription(redis, "PSUBSCRIBE", __VA_ARGS__)
#define aio_redis_unsubscribe(redis, ...)  aio_redis__subscription(redis, "UNSUBSCRIBE", __VA_ARGS__)
#define aio_redis_punsubscribe(redis, ...) aio_redis__subscription(redis, "PUNSUBSCRIBE", __VA_ARGS__)

#endif /* AIO_REDIS_H */

/* ======================================================================================================== */

#if defined AIO_REDIS_IMPLEMENTATION && !defined AIO_REDIS_IMPLEMENTED
#define AIO_REDIS_IMPLEMENTED
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    AIO_REDIS__LINE = 65536,     /* of an error, a status, a number */
    AIO_REDIS__IN_PLACE = 65536, /* a longer text is taken as it comes */
    AIO_REDIS__CHUNK = 4096, AIO_REDIS__CHUNK_MAX = 1 << 20, AIO_REDIS__KEPT = 1 << 20, AIO_REDIS__SPAN = 0x7fffffff
};

typedef struct { char *data; size_t used, room; } aio_redis__buffer;

/* A tree in the order of its text: a value's elements follow it. */
struct aio_redis_reply {
    uint8_t  type;
    uint32_t span;   /* of this and all within it */
    size_t   length; /* bytes, or elements */
    union { int64_t integer; double real; const char *text; } value;
};

/* Texts of replies; they do not move. */
typedef struct aio_redis__chunk aio_redis__chunk;
struct aio_redis__chunk { aio_redis__chunk *before; size_t used, room; };

typedef struct { size_t node, left; bool is_attribute; } aio_redis__level;

typedef struct aio_redis__subscribed aio_redis__subscribed;
struct aio_redis__subscribed { aio_redis__subscribed *next; bool is_pattern; char text[1]; };

struct aio_redis {
    aio_redis_options options;
    char             *host, *texts; /* texts: all of them */
    const char       *path;         /* of a unix socket */
    int               port, protocol;
    bool              tls;
    aio_stream       *stream;
    bool              busy;         /* a command is under way */
    bool              watching, in_multi, tainted; /* what is lost with the connection */
    bool              blocks, only_reads; /* of the commands in `out` */
    bool              queued_changes;     /* one of those in `queued` does more than read */
    unsigned          states, queued_states; /* their traits */
    uint64_t          calls;        /* made; the latest is the one whose command `out` is */
    aio_redis__buffer out, queued, error;
    size_t            count, queued_count; /* commands in them */
    int               bad, queued_bad; /* `out` is none, or something is missing of `queued`: the code */
    /* what has come */
    size_t            owed;         /* replies that are still to come */
    aio_redis_reply  *nodes;
    size_t            node_count, node_room, first; /* first: of the reply that is coming */
    aio_redis__level *levels;
    int               depth, code;
    aio_redis__chunk *chunks;
    size_t            text_used, memory; /* memory: in chunks */
    aio_redis__chunk *mark;         /* where `first` begins in them */
    size_t            mark_used, taken;  /* taken: bytes, for the drain's limit */
    aio_redis__chunk *large;        /* a text that comes in pieces */
    size_t            large_length, large_skip;
    /* subscriptions */
    aio_redis__subscribed *subscribed;
    size_t            confirming, next_message;
    aio_redis_message message;
    bool              pinged;
    uint64_t          random;
    const char       *doing;        /* until the server has let us in */
    bool              is_late, has_spoken; /* connecting took longer than connect_timeout; the server has */
    aio_redis        *next;         /* in the pool */
    aio_redis_pool   *lender;       /* the pool, while it is not in there */
    double            used_at;
};

/* ---- buffers and requests ---- */

/* Zeroes a secret, though nobody reads it afterwards. */
static void aio_redis__erase(const void *secret, size_t n)
{
    for (volatile char *at = (volatile char *)(uintptr_t)secret; n; n--) *at++ = 0;
}

static bool aio_redis__reserve(aio_redis__buffer *b, size_t n)
{
    if (b->room - b->used >= n) return true;
    if (n > SIZE_MAX / 4 - b->used) return false;
    size_t room = (b->used + n) * 2;
    char *data = (char *)realloc(b->data, room);
    if (!data) return false;
    b->data = data;
    b->room = room;
    return true;
}

static void aio_redis__clear(aio_redis__buffer *b)
{
    b->used = 0;
    if (b->room <= AIO_REDIS__KEPT) return;
    free(b->data);
    b->data = NULL;
    b->room = 0;
}

/* The latest error, which the coroutine that sees it raises. */
static int aio_redis__fail(aio_redis *redis, int code, const char *text, size_t length)
{
    redis->error.used = 0;
    redis->code = code;
    if (!aio_redis__reserve(&redis->error, length + 1)) return -1;
    memcpy(redis->error.data, text, length);
    redis->error.data[length] = 0;
    redis->error.used = length;
    return -1;
}
#define AIO_REDIS__FAIL(redis, code, text) aio_redis__fail((redis), (code), (text), sizeof(text) - 1)

static const char *aio_redis__why(const aio_redis *redis) { return redis->error.used ? redis->error.data : "Redis"; }

/* "*3\r\n" */
static char *aio_redis__put_head(char *at, char type, size_t n)
{
    char digits[24];
    int i = 0;
    do digits[i++] = (char)('0' + n % 10);
    while (n /= 10);
    *at++ = type;
    while (i) *at++ = digits[--i];
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

/* A command, behind what is there. 0, EINVAL or ENOMEM. */
static int aio_redis__encode(aio_redis__buffer *b, const aio_text *arguments, size_t count)
{
    size_t size = 32;
    for (size_t i = 0; i < count; i++) {
        if (!arguments[i].data || arguments[i].length > SIZE_MAX / 4 - size - 32) return EINVAL;
        size += arguments[i].length + 32;
    }
    if (!count) return EINVAL;
    if (!aio_redis__reserve(b, size)) return ENOMEM;
    char *at = aio_redis__put_head(b->data + b->used, '*', count);
    for (size_t i = 0; i < count; i++) {
        at = aio_redis__put_head(at, '$', arguments[i].length);
        memcpy(at, arguments[i].data, arguments[i].length);
        at += arguments[i].length;
        *at++ = '\r';
        *at++ = '\n';
    }
    b->used = (size_t)(at - b->data);
    return 0;
}

enum { /* what is special of a command */
    AIO_REDIS__BLOCKS = 1, AIO_REDIS__BLOCK = 2 /* if it says BLOCK */, AIO_REDIS__WATCHES = 4, AIO_REDIS__MULTI = 8,
    AIO_REDIS__ENDS = 16, AIO_REDIS__TAINTS = 32, AIO_REDIS__REFUSED = 64
};
static const struct { char name[14]; unsigned char length, traits; } aio_redis__special[] = {
    { "BLPOP", 5, AIO_REDIS__BLOCKS }, { "BRPOP", 5, AIO_REDIS__BLOCKS }, { "BLMOVE", 6, AIO_REDIS__BLOCKS },
    { "BRPOPLPUSH", 10, AIO_REDIS__BLOCKS }, { "BLMPOP", 6, AIO_REDIS__BLOCKS }, { "BZPOPMIN", 8, AIO_REDIS__BLOCKS },
    { "BZPOPMAX", 8, AIO_REDIS__BLOCKS }, { "BZMPOP", 6, AIO_REDIS__BLOCKS }, { "WAIT", 4, AIO_REDIS__BLOCKS },
    { "WAITAOF", 7, AIO_REDIS__BLOCKS }, { "XREAD", 5, AIO_REDIS__BLOCK }, { "XREADGROUP", 10, AIO_REDIS__BLOCK },
    { "WATCH", 5, AIO_REDIS__WATCHES }, { "MULTI", 5, AIO_REDIS__MULTI }, { "EXEC", 4, AIO_REDIS__ENDS },
    { "DISCARD", 7, AIO_REDIS__ENDS }, { "UNWATCH", 7, AIO_REDIS__ENDS }, { "SELECT", 6, AIO_REDIS__TAINTS },
    { "AUTH", 4, AIO_REDIS__TAINTS }, { "CLIENT", 6, AIO_REDIS__TAINTS }, { "ASKING", 6, AIO_REDIS__TAINTS },
    { "READONLY", 8, AIO_REDIS__TAINTS }, { "READWRITE", 9, AIO_REDIS__TAINTS }, { "HELLO", 5, AIO_REDIS__TAINTS },
    { "RESET", 5, AIO_REDIS__TAINTS }, { "QUIT", 4, AIO_REDIS__TAINTS }, { "MONITOR", 7, AIO_REDIS__REFUSED },
    { "SUBSCRIBE", 9, AIO_REDIS__REFUSED }, { "PSUBSCRIBE", 10, AIO_REDIS__REFUSED },
    { "UNSUBSCRIBE", 11, AIO_REDIS__REFUSED }, { "PUNSUBSCRIBE", 12, AIO_REDIS__REFUSED },
    { "SSUBSCRIBE", 10, AIO_REDIS__REFUSED }, { "SUNSUBSCRIBE", 12, AIO_REDIS__REFUSED },
    { "SYNC", 4, AIO_REDIS__REFUSED }, { "PSYNC", 5, AIO_REDIS__REFUSED }
};

static bool aio_redis__is(aio_text word, const char *name)
{
    return word.length == strlen(name) && !strncasecmp(word.data, name, word.length);
}

static unsigned aio_redis__traits(const aio_text *arguments, size_t count)
{
    unsigned traits = 0;
    for (size_t i = 0; i < sizeof aio_redis__special / sizeof *aio_redis__special; i++)
        if (aio_redis__special[i].length == arguments->length
            && !strncasecmp(aio_redis__special[i].name, arguments->data, arguments->length))
            traits = aio_redis__special[i].traits;
    for (size_t i = 1; traits == AIO_REDIS__BLOCK && i < count; i++)
        if (aio_redis__is(arguments[i], "BLOCK")) traits = AIO_REDIS__BLOCKS;
    if (traits == AIO_REDIS__TAINTS && aio_redis__is(*arguments, "CLIENT") && count > 1
        && aio_redis__is(arguments[1], "REPLY")) traits = AIO_REDIS__REFUSED; /* the replies could not be told apart */
    return traits;
}

/* Commands that may be sent twice. */
static bool aio_redis__reads(aio_text name)
{
    static const char *const names[] = {
        "GET", "MGET", "STRLEN", "GETRANGE", "EXISTS", "TTL", "PTTL", "TYPE", "HGET", "HMGET", "HGETALL", "HKEYS",
        "HVALS", "HLEN", "HEXISTS", "LRANGE", "LLEN", "LINDEX", "SMEMBERS", "SISMEMBER", "SMISMEMBER", "SCARD",
        "SINTER", "SUNION", "SDIFF", "ZRANGE", "ZRANGEBYSCORE", "ZSCORE", "ZCARD", "ZRANK", "ZCOUNT", "XRANGE",
        "XLEN", "SCAN", "HSCAN", "SSCAN", "ZSCAN", "KEYS", "DBSIZE", "PING", "ECHO", "TIME", "INFO", "BITCOUNT",
        "GETBIT", "PFCOUNT"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (*names[i] == (*name.data & ~32) && aio_redis__is(name, names[i])) return true;
    return false;
}

/* Begins a call whose command is put into `out`. Its number; 0: another one is under way. */
static uint64_t aio_redis__begin(aio_redis *redis)
{
    if (redis->busy) return 0;
    aio_redis__clear(&redis->out);
    redis->count = 0;
    redis->states = 0;
    redis->blocks = false;
    redis->only_reads = true;
    redis->bad = 0;
    return ++redis->calls;
}

static void aio_redis__put(aio_redis *redis, const aio_text *arguments, size_t count)
{
    int code = aio_redis__encode(&redis->out, arguments, count);
    if (!redis->bad) redis->bad = code;
    if (code) return;
    unsigned traits = aio_redis__traits(arguments, count);
    if (traits & AIO_REDIS__REFUSED) redis->bad = ENOTSUP;
    redis->states |= traits;
    redis->blocks = redis->blocks || (traits & AIO_REDIS__BLOCKS);
    redis->only_reads = redis->only_reads && aio_redis__reads(*arguments);
    redis->count++;
}

/* The traits of commands, with one more behind them: the latest one that begins or ends something counts. */
static unsigned aio_redis__then(unsigned traits, unsigned more)
{
    if (more & AIO_REDIS__ENDS) traits &= ~(unsigned)(AIO_REDIS__WATCHES | AIO_REDIS__MULTI);
    if (more & (AIO_REDIS__WATCHES | AIO_REDIS__MULTI)) traits &= ~(unsigned)AIO_REDIS__ENDS;
    return traits | more;
}

static aio_text aio_redis__text_of(const char *text)
{
    aio_text bytes = { text, text ? strlen(text) : 0 };
    return bytes;
}

/* Texts as pieces; up to `few` of them in place. NULL without memory. */
enum { AIO_REDIS__FEW = 16 };
static aio_text *aio_redis__pieces(aio_text *few, const char *const *texts, size_t count)
{
    aio_text *pieces = count <= AIO_REDIS__FEW ? few : (aio_text *)malloc(count * sizeof *pieces);
    for (size_t i = 0; pieces && i < count; i++) pieces[i] = aio_redis__text_of(texts[i]);
    return pieces;
}

/* ---- numbers: with a '.', whatever LC_NUMERIC has ---- */

/* strtod. */
static double aio_redis__strtod(const char *text, const char **end)
{
    const char *point = localeconv()->decimal_point;
    char copy[512], *stop;
    size_t width = strlen(point), n = strcspn(text, point), dot = strcspn(text, ".");
    bool is_dot = !strcmp(point, ".");
    if (is_dot || n + width >= sizeof copy) {
        double plain = strtod(text, &stop);
        *end = stop;
        return plain;
    }
    if (dot > n) dot = n;
    memcpy(copy, text, dot);
    memcpy(copy + dot, point, width);
    if (dot < n) memcpy(copy + dot + width, text + dot + 1, n - dot - 1);
    copy[dot < n ? n + width - 1 : n] = 0;
    double value = strtod(copy, &stop);
    size_t taken = (size_t)(stop - copy);
    *end = text + (taken > dot ? taken - width + 1 : taken);
    return value;
}

/* printf's %.17g. */
static int aio_redis__print(char *text, size_t size, double value)
{
    snprintf(text, size, "%.17g", value);
    char *point = text + strspn(text, "+-0123456789einfa");
    size_t width = strcspn(point, "0123456789e");
    if (width) *point = '.';
    if (width > 1) memmove(point + 1, point + width, strlen(point + width) + 1);
    return (int)strlen(text);
}

/* ---- formats ---- */

typedef struct { aio_text *pieces; size_t count, room; aio_redis__buffer words; int code; } aio_redis__formatted;

static void aio_redis__word(aio_redis__formatted *f, const char *data, size_t length)
{
    if (f->code) return;
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 16;
        aio_text *pieces = (aio_text *)realloc(f->pieces, room * sizeof *pieces);
        if (!pieces) { f->code = ENOMEM; return; }
        f->pieces = pieces;
        f->room = room;
    }
    f->pieces[f->count].data = data;
    f->pieces[f->count++].length = length;
    if (!data) f->code = EINVAL;
}

/* The value of one % as a word of its own. Gives what of the format it has taken; 0: it is none. */
static size_t aio_redis__value(aio_redis__formatted *f, const char *format, va_list *list)
{
    char *number = f->words.data + f->words.used;
    size_t room = f->words.room - f->words.used, taken = 2;
    int n;
    if (format[1] == 's') {
        aio_text text = aio_redis__text_of(va_arg(*list, const char *));
        aio_redis__word(f, text.data, text.length);
        return 2;
    }
    if (format[1] == 'b') {
        const char *data = va_arg(*list, const char *);
        size_t length = va_arg(*list, size_t);
        aio_redis__word(f, length ? data : "", length);
        return 2;
    }
    if (format[1] == 'd') n = snprintf(number, room, "%d", va_arg(*list, int));
    else if (format[1] == 'f') n = aio_redis__print(number, room, va_arg(*list, double));
    else if (!strncmp(format, "%zu", 3)) n = snprintf(number, room, "%zu", va_arg(*list, size_t)), taken = 3;
    else if (!strncmp(format, "%lld", 4)) n = snprintf(number, room, "%lld", va_arg(*list, long long)), taken = 4;
    else return 0;
    f->words.used += (size_t)n + 1;
    aio_redis__word(f, number, (size_t)n);
    return taken;
}

/* Words that stand in the format, and values. The caller frees pieces and words.data. */
static void aio_redis__format(aio_redis__formatted *f, const char *format, va_list *list)
{
    memset((void *)f, 0, sizeof *f);
    if (!aio_redis__reserve(&f->words, strlen(format) * 16 + 64)) f->code = ENOMEM;
    while (!f->code && *format) {
        if (*format == ' ') { format++; continue; }
        if (*format == '%' && format[1] != '%') {
            size_t taken = aio_redis__value(f, format, list);
            format += taken;
            if (!taken || (*format && *format != ' ')) f->code = EINVAL;
            continue;
        }
        char *word = f->words.data + f->words.used;
        size_t n = 0;
        for (; *format && *format != ' ' && !f->code; format += !f->code) {
            if (*format == '%' && *++format != '%') f->code = EINVAL;
            else word[n++] = *format;
        }
        f->words.used += n;
        aio_redis__word(f, word, n);
    }
}

static void aio_redis__format_free(aio_redis__formatted *f)
{
    free(f->pieces);
    free(f->words.data);
}

/* ---- replies: their memory ---- */

static char *aio_redis__chunk_data(aio_redis__chunk *chunk) { return (char *)(chunk + 1); }

static bool aio_redis__within(aio_redis *redis, size_t more)
{
    size_t used = redis->memory + redis->node_room * sizeof *redis->nodes;
    if (used <= redis->options.max_reply && more <= redis->options.max_reply - used) return true;
    AIO_REDIS__FAIL(redis, AIO_ELIMIT, "Redis: a reply is longer than max_reply");
    return false;
}

static bool aio_redis__no_memory(aio_redis *redis)
{
    AIO_REDIS__FAIL(redis, ENOMEM, "out of memory");
    return false;
}

/* Room for a text and its NUL; NULL: redis->code says why not. */
static char *aio_redis__room(aio_redis *redis, size_t length)
{
    aio_redis__chunk *chunk = redis->chunks;
    if (!chunk || chunk->room - chunk->used <= length) {
        size_t room = chunk ? chunk->room * 2 : (size_t)AIO_REDIS__CHUNK;
        if (room > AIO_REDIS__CHUNK_MAX) room = AIO_REDIS__CHUNK_MAX;
        if (room <= length) room = length + 1;
        if (!aio_redis__within(redis, room)) return NULL;
        aio_redis__chunk *made = (aio_redis__chunk *)malloc(sizeof *made + room);
        if (!made) return aio_redis__no_memory(redis), (char *)NULL;
        made->before = chunk;
        made->used = 0;
        made->room = room;
        redis->chunks = chunk = made;
        redis->memory += room;
    }
    char *at = aio_redis__chunk_data(chunk) + chunk->used;
    chunk->used += length + 1;
    at[length] = 0;
    return at;
}

static bool aio_redis__node(aio_redis *redis, int type, size_t length)
{
    if (redis->node_count == redis->node_room) {
        size_t room = redis->node_room ? redis->node_room * 2 : 32;
        if (room > AIO_REDIS__SPAN || !aio_redis__within(redis, redis->node_room * sizeof *redis->nodes)) {
            AIO_REDIS__FAIL(redis, AIO_ELIMIT, "Redis: a reply is longer than max_reply");
            return false;
        }
        aio_redis_reply *nodes = (aio_redis_reply *)realloc((void *)redis->nodes, room * sizeof *nodes);
        if (!nodes) return aio_redis__no_memory(redis);
        redis->nodes = nodes;
        redis->node_room = room;
    }
    aio_redis_reply *node = &redis->nodes[redis->node_count++];
    node->type = (uint8_t)type;
    node->span = 1;
    node->length = length;
    node->value.integer = 0;
    return true;
}

/* Forgets the reply that has come, or is coming. */
static void aio_redis__rewind(aio_redis *redis)
{
    redis->node_count = redis->first;
    while (redis->chunks != redis->mark) {
        aio_redis__chunk *chunk = redis->chunks;
        if (!chunk->before && !redis->mark && chunk->room <= AIO_REDIS__CHUNK_MAX) { /* the first stays */
            redis->mark_used = 0;
            redis->mark = chunk;
            break;
        }
        redis->chunks = chunk->before;
        redis->memory -= chunk->room;
        free(chunk);
    }
    if (redis->chunks) redis->chunks->used = redis->mark_used;
}

/* The reply that has come stays; another one is to come. */
static void aio_redis__keep(aio_redis *redis)
{
    redis->first = redis->node_count;
    redis->mark = redis->chunks;
    redis->mark_used = redis->chunks ? redis->chunks->used : 0;
}

/* Forgets all replies; one that is coming goes on. */
static void aio_redis__forget(aio_redis *redis)
{
    redis->first = 0;
    redis->mark = NULL;
    redis->mark_used = 0;
    redis->next_message = 0;
    aio_redis__rewind(redis);
    if (redis->node_room * sizeof *redis->nodes <= AIO_REDIS__KEPT) return;
    free(redis->nodes);
    redis->nodes = NULL;
    redis->node_room = 0;
}

/* ---- replies: the parser ---- */

static int aio_redis__broken(aio_redis *redis)
{
    return AIO_REDIS__FAIL(redis, AIO_ERUNTIME, "Redis: what came is not the protocol");
}

/* A number that ends at `end`. */
static bool aio_redis__number(const char *at, const char *end, int64_t *value)
{
    uint64_t n = 0;
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (at == end || end - at > 19) return false;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9') return false;
        n = n * 10 + (uint64_t)(*at - '0');
    }
    if (n > (uint64_t)INT64_MAX + negative) return false;
    *value = negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}

static bool aio_redis__text_node(aio_redis *redis, int type, const char *data, size_t length)
{
    char *at = aio_redis__room(redis, length);
    if (!at || !aio_redis__node(redis, type, length)) return false;
    memcpy(at, data, length);
    redis->nodes[redis->node_count - 1].value.text = at;
    return true;
}

/* A line of a value that ends with it. 0 or -1. */
static int aio_redis__scalar(aio_redis *redis, const char *at, const char *end)
{
    char text[64];
    size_t n = (size_t)(end - at - 1);
    int64_t integer;
    const char *stop;
    switch (*at) {
    case '+': return aio_redis__text_node(redis, AIO_REDIS_STATUS, at + 1, n) ? 0 : -1;
    case '-': return aio_redis__text_node(redis, AIO_REDIS_FAILURE, at + 1, n) ? 0 : -1;
    case '(': return aio_redis__text_node(redis, AIO_REDIS_TEXT, at + 1, n) ? 0 : -1;
    case '_': return !n ? (aio_redis__node(redis, AIO_REDIS_NIL, 0) ? 0 : -1) : aio_redis__broken(redis);
    case ':':
        if (!aio_redis__number(at + 1, end, &integer)) return aio_redis__broken(redis);
        if (!aio_redis__node(redis, AIO_REDIS_INTEGER, 0)) return -1;
        redis->nodes[redis->node_count - 1].value.integer = integer;
        return 0;
    case '#':
        if (n != 1 || (at[1] != 't' && at[1] != 'f')) return aio_redis__broken(redis);
        if (!aio_redis__node(redis, AIO_REDIS_BOOL, 0)) return -1;
        redis->nodes[redis->node_count - 1].value.integer = at[1] == 't';
        return 0;
    case ',':
        if (!n || n >= sizeof text) return aio_redis__broken(redis);
        memcpy(text, at + 1, n);
        text[n] = 0;
        if (!aio_redis__node(redis, AIO_REDIS_REAL, 0)) return -1;
        redis->nodes[redis->node_count - 1].value.real = aio_redis__strtod(text, &stop);
        return *stop ? aio_redis__broken(redis) : 0;
    default: return aio_redis__broken(redis);
    }
}

/* The head of an array, a map, ...: 1: it has elements; 0: it has none; -1. */
static int aio_redis__aggregate(aio_redis *redis, char kind, int64_t count)
{
    static const char kinds[] = "*%~>|";
    static const unsigned char types[] = { AIO_REDIS_ARRAY, AIO_REDIS_MAP, AIO_REDIS_SET, AIO_REDIS_PUSH,
                                           AIO_REDIS_MAP };
    if (kind == '*' && count == -1) return aio_redis__node(redis, AIO_REDIS_NIL, 0) ? 0 : -1;
    if (count < 0) return aio_redis__broken(redis);
    if (count > AIO_REDIS__SPAN / 2) return AIO_REDIS__FAIL(redis, AIO_ELIMIT, "Redis: a reply has too many elements");
    size_t elements = (size_t)count * (kind == '%' || kind == '|' ? 2 : 1);
    if (redis->depth == redis->options.max_depth)
        return AIO_REDIS__FAIL(redis, AIO_ELIMIT, "Redis: a reply is deeper than max_depth");
    if (!aio_redis__node(redis, types[strchr(kinds, kind) - kinds], elements)) return -1;
    aio_redis__level *level = &redis->levels[redis->depth++];
    level->node = redis->node_count - 1;
    level->left = elements;
    level->is_attribute = kind == '|';
    return elements ? 1 : 0;
}

/* A value has come. 1: the reply is complete; 0: it goes on. */
static int aio_redis__complete(aio_redis *redis)
{
    while (redis->depth) {
        aio_redis__level *level = &redis->levels[redis->depth - 1];
        if (level->left) {
            level->left--;
            if (level->left) return 0;
        }
        redis->nodes[level->node].span = (uint32_t)(redis->node_count - level->node);
        redis->depth--;
        if (!level->is_attribute) continue;
        redis->node_count = level->node; /* what the value has besides; the value itself follows */
        return 0;
    }
    return 1;
}

/* After the head of a text. 1: it is there; 0: more has to come; -1. *at is where it begins, then what follows it. */
static int aio_redis__bulk(aio_redis *redis, const char **at, const char *end, char kind, int64_t length)
{
    int type = kind == '!' ? AIO_REDIS_FAILURE : AIO_REDIS_TEXT;
    if (length == -1 && kind == '$') return aio_redis__node(redis, AIO_REDIS_NIL, 0) ? 1 : -1;
    if (length < 0) return aio_redis__broken(redis);
    if ((uint64_t)length > redis->options.max_reply)
        return AIO_REDIS__FAIL(redis, AIO_ELIMIT, "Redis: a reply is longer than max_reply");
    size_t n = (size_t)length;
    if (n > AIO_REDIS__IN_PLACE) {
        redis->large_length = n;
        redis->large_skip = kind == '=' ? 4 : 0;
        return aio_redis__node(redis, type, n) ? 2 : -1;
    }
    if ((size_t)(end - *at) < n + 2) return 0;
    if ((*at)[n] != '\r' || (*at)[n + 1] != '\n') return aio_redis__broken(redis);
    const char *data = *at;
    *at += n + 2;
    if (kind == '=' && n > 3 && data[3] == ':') { /* "txt:" */
        data += 4;
        n -= 4;
    }
    return aio_redis__text_node(redis, type, data, n) ? 1 : -1;
}

/* A piece of a text that is long, and its line end. 1: it is there; 0: more has to come; -1. */
static int aio_redis__piece(aio_redis *redis, const char **at, const char *end)
{
    aio_redis__chunk *chunk = redis->large;
    size_t all = redis->large_length + 2, n = (size_t)(end - *at), used = chunk ? chunk->used : 0;
    if (n > all - used) n = all - used;
    if (!chunk || chunk->room - used < n) {
        size_t room = (used + n) * 2 < all ? (used + n) * 2 : all;
        if (!aio_redis__within(redis, room)) return -1;
        chunk = (aio_redis__chunk *)realloc((void *)chunk, sizeof *chunk + room);
        if (!chunk) return aio_redis__no_memory(redis), -1;
        chunk->room = room;
        chunk->used = used;
        redis->large = chunk;
    }
    char *data = aio_redis__chunk_data(chunk);
    memcpy(data + used, *at, n);
    *at += n;
    chunk->used += n;
    if (chunk->used < all) return 0;
    if (memcmp(data + all - 2, "\r\n", 2)) return aio_redis__broken(redis);
    data[all - 2] = 0;
    chunk->before = redis->chunks;
    redis->chunks = chunk;
    redis->memory += chunk->room;
    aio_redis_reply *node = &redis->nodes[redis->node_count - 1];
    node->value.text = data + redis->large_skip;
    node->length = redis->large_length - redis->large_skip;
    redis->large = NULL;
    redis->large_length = 0;
    return 1;
}

/* The value that begins with this line. 1: it is there, or an array's head without elements; 0: its elements follow;
 * 2: a text that comes in pieces; 3: more has to come; -1. *at: behind what was taken. */
static int aio_redis__line(aio_redis *redis, const char **at, const char *line_end, const char *end)
{
    const char *begin = *at;
    int64_t n;
    int step;
    switch (*begin) {
    case '$': case '=': case '!':
        if (!aio_redis__number(begin + 1, line_end, &n)) return aio_redis__broken(redis);
        *at = line_end + 2;
        step = aio_redis__bulk(redis, at, end, *begin, n);
        if (step) return step;
        *at = begin;
        return 3;
    case '*': case '%': case '~': case '>': case '|':
        if (!aio_redis__number(begin + 1, line_end, &n)) return aio_redis__broken(redis);
        *at = line_end + 2;
        step = aio_redis__aggregate(redis, *begin, n);
        return step < 0 ? -1 : !step;
    default:
        *at = line_end + 2;
        return aio_redis__scalar(redis, begin, line_end) ? -1 : 1;
    }
}

/* Takes what has come; *taken: so many bytes. 1: the reply is complete, and stands at redis->first; 0: more has to
 * come; -1. */
static int aio_redis__feed(aio_redis *redis, aio_text in, size_t *taken)
{
    const char *at = in.data, *end = in.data + in.length;
    int step = 3, done = 0;
    while (at < end && !done) {
        if (redis->large_length) step = aio_redis__piece(redis, &at, end);
        else {
            size_t room = (size_t)(end - at) < AIO_REDIS__LINE ? (size_t)(end - at) : (size_t)AIO_REDIS__LINE;
            const char *line_end = (const char *)memchr(at, '\r', room);
            if (!line_end && room == AIO_REDIS__LINE) {
                step = AIO_REDIS__FAIL(redis, AIO_ELIMIT, "Redis: a line of a reply is too long");
                break;
            }
            if (!line_end || line_end + 1 == end) break;
            if (line_end[1] != '\n') step = aio_redis__broken(redis);
            else step = aio_redis__line(redis, &at, line_end, end);
        }
        if (step < 0 || step == 3) break;
        if (step == 1) done = aio_redis__complete(redis);
    }
    *taken = (size_t)(at - in.data);
    return step < 0 ? -1 : done;
}

static int aio_redis__parse(aio_redis *redis)
{
    size_t taken;
    int done = aio_redis__feed(redis, aio_stream_unread(redis->stream), &taken);
    redis->taken += taken;
    aio_stream_consume(redis->stream, taken);
    return done;
}

/* ---- replies: the tree ---- */

int aio_redis_type(const aio_redis_reply *reply) { return reply ? (int)reply->type : (int)AIO_REDIS_NIL; }
bool aio_redis_is_nil(const aio_redis_reply *reply) { return aio_redis_type(reply) == AIO_REDIS_NIL; }

static bool aio_redis__has_text(const aio_redis_reply *reply)
{
    int type = aio_redis_type(reply);
    return type == AIO_REDIS_TEXT || type == AIO_REDIS_STATUS || type == AIO_REDIS_FAILURE;
}

aio_text aio_redis_bytes(const aio_redis_reply *reply)
{
    aio_text bytes = { NULL, 0 };
    if (!aio_redis__has_text(reply)) return bytes;
    bytes.data = reply->value.text;
    bytes.length = reply->length;
    return bytes;
}

const char *aio_redis_text(const aio_redis_reply *reply) { return aio_redis_bytes(reply).data; }

int64_t aio_redis_integer(const aio_redis_reply *reply, int64_t otherwise)
{
    int64_t value;
    int type = aio_redis_type(reply);
    if (type == AIO_REDIS_INTEGER || type == AIO_REDIS_BOOL) return reply->value.integer;
    if (type == AIO_REDIS_REAL && reply->value.real > -9e18 && reply->value.real < 9e18)
        return (int64_t)reply->value.real;
    if (type == AIO_REDIS_TEXT
        && aio_redis__number(reply->value.text, reply->value.text + reply->length, &value)) return value;
    return otherwise;
}

double aio_redis_real(const aio_redis_reply *reply, double otherwise)
{
    const char *end;
    int type = aio_redis_type(reply);
    if (type == AIO_REDIS_REAL) return reply->value.real;
    if (type == AIO_REDIS_INTEGER || type == AIO_REDIS_BOOL) return (double)reply->value.integer;
    if (type != AIO_REDIS_TEXT) return otherwise;
    double value = aio_redis__strtod(reply->value.text, &end);
    return end == reply->value.text || *end ? otherwise : value;
}

size_t aio_redis_count(const aio_redis_reply *reply)
{
    return aio_redis_type(reply) >= AIO_REDIS_ARRAY ? reply->length : 0;
}

const aio_redis_reply *aio_redis_at(const aio_redis_reply *reply, size_t index)
{
    if (index >= aio_redis_count(reply)) return NULL;
    const aio_redis_reply *at = reply + 1;
    if (reply->span == reply->length + 1) return at + index; /* none of them has elements */
    while (index--) at += at->span;
    return at;
}

const aio_redis_reply *aio_redis_get(const aio_redis_reply *reply, const char *key)
{
    size_t length = strlen(key), count = aio_redis_count(reply);
    const aio_redis_reply *at = count ? reply + 1 : NULL;
    for (size_t i = 0; i + 1 < count; i += 2) {
        const aio_redis_reply *value = at + at->span;
        if (aio_redis__has_text(at) && at->length == length && !memcmp(at->value.text, key, length)) return value;
        at = value + value->span;
    }
    return NULL;
}

const char *aio_redis_get_text(const aio_redis_reply *reply, const char *key)
{
    return aio_redis_text(aio_redis_get(reply, key));
}

aio_redis_reply *aio_redis_reply_copy(const aio_redis_reply *reply)
{
    size_t nodes = reply ? reply->span : 1, size = nodes * sizeof *reply;
    for (size_t i = 0; reply && i < nodes; i++)
        if (aio_redis__has_text(&reply[i])) size += reply[i].length + 1;
    aio_redis_reply *copy = (aio_redis_reply *)calloc(1, size);
    if (!copy || !reply) return copy;
    char *at = (char *)(copy + nodes);
    memcpy((void *)copy, reply, nodes * sizeof *reply);
    for (size_t i = 0; i < nodes; i++) {
        if (!aio_redis__has_text(&copy[i])) continue;
        memcpy(at, copy[i].value.text, copy[i].length);
        copy[i].value.text = at;
        at += copy[i].length + 1;
    }
    return copy;
}

void aio_redis_reply_free(aio_redis_reply *reply) { free(reply); }

/* An error of the server, by its first word. */
static int aio_redis__server_error(aio_redis *redis, const aio_redis_reply *reply, size_t command)
{
    static const char *const words[] = {
#define AIO_REDIS__WORD(name) #name,
        AIO_REDIS__CODES(AIO_REDIS__WORD)
#undef AIO_REDIS__WORD
    };
    const char *text = reply->value.text;
    size_t n = strcspn(text, " ");
    char head[60];
    int code = AIO_REDIS_ERROR;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == n && !memcmp(words[i], text, n)) code = AIO_REDIS_ERROR + 1 + (int)i;
    int used = command ? snprintf(head, sizeof head, "Redis, command %zu: ", command)
                       : snprintf(head, sizeof head, "Redis: ");
    size_t length = reply->length < 500 ? reply->length : 500;
    aio_redis__fail(redis, code, head, (size_t)used);
    if (!aio_redis__reserve(&redis->error, length + 1)) return -1;
    memcpy(redis->error.data + redis->error.used, text, length); /* there may have been no memory for the head */
    redis->error.used += length;
    redis->error.data[redis->error.used] = 0;
    return -1;
}

/* ---- opening ---- */

static void aio_redis__lose(aio_redis *redis)
{
    if (redis->stream) aio_stream_abort(redis->stream);
    redis->stream = NULL;
    redis->watching = redis->in_multi = redis->tainted = redis->pinged = false;
    redis->owed = redis->confirming = 0;
    redis->depth = 0;
    free(redis->large);
    redis->large = NULL;
    redis->large_length = 0;
    aio_redis__rewind(redis);
}

static char *aio_redis__copy(char **at, const char *text, size_t n)
{
    char *copy = *at;
    if (n) memcpy(copy, text, n);
    copy[n] = 0;
    *at += n + 1;
    return copy;
}

static size_t aio_redis__size(const char *text) { return text ? strlen(text) + 1 : 0; }

static void aio_redis__defaults(aio_redis_options *o)
{
    if (o->timeout == 0) o->timeout = 30;
    if (o->connect_timeout == 0) o->connect_timeout = 10;
    if (o->retries == 0) o->retries = 3;
    if (o->backoff == 0) o->backoff = 0.1;
    if (o->backoff_max == 0) o->backoff_max = 2;
    if (o->drain_timeout == 0) o->drain_timeout = 1;
    if (o->drain_limit == 0) o->drain_limit = 1 << 20;
    if (o->ping_interval == 0) o->ping_interval = 30;
    if (o->max_reply == 0) o->max_reply = (size_t)1 << 30;
    if (o->max_depth <= 0) o->max_depth = 32;
}

/* %XX of a path becomes its byte. */
static size_t aio_redis__decode(char *to, aio_text from)
{
    size_t n = 0;
    for (size_t i = 0; i < from.length; i++) {
        unsigned byte;
        if (from.data[i] == '%' && i + 2 < from.length && sscanf(from.data + i + 1, "%2x", &byte) == 1 && byte) {
            to[n++] = (char)(unsigned char)byte;
            i += 2;
        } else to[n++] = from.data[i];
    }
    return n;
}

/* unix://user:password@/path and redis:// without a host, with a host for the parser. 0, EINVAL or ENOMEM. */
static int aio_redis__url(aio_url *url, const char *text)
{
    static const char *const schemes[] = { "redis://", "rediss://", "unix://" };
    const char *why = NULL;
    size_t scheme = 0, size = strlen(text) + 16;
    for (size_t i = 0; i < 3; i++)
        if (!strncasecmp(text, schemes[i], strlen(schemes[i]))) scheme = strlen(schemes[i]);
    char *whole = scheme ? (char *)malloc(size) : NULL;
    if (!whole) return scheme ? ENOMEM : EINVAL;
    size_t authority = scheme + strcspn(text + scheme, "/?#");
    bool hostless = authority == scheme || text[authority - 1] == '@';
    snprintf(whole, size, "%.*s%s%s", (int)authority, text, hostless ? "localhost" : "", text + authority);
    int code = aio_url_parse(url, whole, strlen(whole), &why);
    aio_redis__erase(whole, strlen(whole));
    free(whole);
    return code == ENOMEM ? ENOMEM : code ? EINVAL : 0;
}

/* /2, or ?db=2. -1: neither, or no number. */
static int aio_redis__database(const aio_url *url, bool in_path)
{
    const char *text = in_path && url->path.length > 1 ? url->path.data + 1 : "0";
    size_t n = in_path && url->path.length > 1 ? url->path.length - 1 : 1;
    for (size_t i = 0; i + 3 < url->query.length; i++)
        if (!memcmp(url->query.data + i, "db=", 3) && (!i || url->query.data[i - 1] == '&')) {
            text = url->query.data + i + 3;
            for (n = 0; i + 3 + n < url->query.length && text[n] != '&'; ) n++;
        }
    int64_t value;
    return aio_redis__number(text, text + n, &value) && value >= 0 && value <= 1000000 ? (int)value : -1;
}

/* A connection with these options, whose texts it copies. */
static aio_redis *aio_redis__make(const aio_redis_options *o, aio_text host, aio_text path, int port, bool tls)
{
    aio_redis *redis = (aio_redis *)calloc(1, sizeof *redis);
    size_t size = host.length + path.length + 2 + aio_redis__size(o->user) + aio_redis__size(o->password)
        + aio_redis__size(o->client_name);
    char *at = (char *)malloc(size);
    int depth = o->max_depth > 0 ? o->max_depth : 32;
    aio_redis__level *levels = (aio_redis__level *)calloc((size_t)depth, sizeof *levels);
    if (!redis || !at || !levels) {
        free(redis);
        free(at);
        free(levels);
        errno = ENOMEM;
        return NULL;
    }
    redis->options = *o;
    aio_redis__defaults(&redis->options);
    redis->levels = levels;
    redis->texts = at;
    redis->port = port;
    redis->tls = tls;
    redis->host = aio_redis__copy(&at, host.data, host.length);
    if (path.data) redis->path = aio_redis__copy(&at, path.data, path.length);
    if (o->user) redis->options.user = aio_redis__copy(&at, o->user, strlen(o->user));
    if (o->password) redis->options.password = aio_redis__copy(&at, o->password, strlen(o->password));
    if (o->client_name) redis->options.client_name = aio_redis__copy(&at, o->client_name, strlen(o->client_name));
    redis->random = (uint64_t)(uintptr_t)redis ^ (uint64_t)getpid() << 32 ^ (uint64_t)(aio_time() * 1e9) ^ 1;
    return redis;
}

static aio_redis *aio_redis__twin(const aio_redis *model)
{
    return aio_redis__make(&model->options, aio_redis__text_of(model->host), aio_redis__text_of(model->path),
                           model->port, model->tls);
}

aio_redis *aio_redis_open_with(const char *text, const aio_redis_options *options)
{
    aio_url url;
    aio_redis_options o = *options;
    int code = aio_redis__url(&url, text);
    if (code) {
        errno = code;
        return NULL;
    }
    bool is_unix = url.scheme.data[0] == 'u', tls = o.tls_context || url.scheme.length == 6;
    int database = aio_redis__database(&url, !is_unix);
    char *decoded = is_unix ? (char *)malloc(url.path.length + 1) : NULL;
    aio_text path = { decoded, decoded ? aio_redis__decode(decoded, url.path) : 0 };
    if (!o.user && url.user.length) o.user = url.user.data;
    if (!o.password) o.password = url.password.data;
    if (!o.database) o.database = database;
    aio_redis *redis = database < 0 || (is_unix && !decoded) ? NULL
        : aio_redis__make(&o, url.host, path, url.port ? url.port : 6379, tls);
    code = database < 0 ? EINVAL : ENOMEM;
    free(decoded);
    aio_url_clear(&url);
    if (!redis) errno = code;
    return redis;
}

static void aio_redis__unsubscribed(aio_redis *redis)
{
    while (redis->subscribed) {
        aio_redis__subscribed *one = redis->subscribed;
        redis->subscribed = one->next;
        free(one);
    }
}

void aio_redis_close(aio_redis *redis)
{
    if (!redis) return;
    if (redis->stream && !redis->busy && !redis->owed) {
        aio_stream_close(redis->stream);
        redis->stream = NULL;
    }
    aio_redis__lose(redis);
    aio_redis__forget(redis);
    aio_redis__unsubscribed(redis);
    aio_redis__erase(redis->options.password, redis->options.password ? strlen(redis->options.password) : 0);
    free(redis->chunks);
    free((void *)redis->nodes);
    free(redis->levels);
    free(redis->texts);
    free(redis->out.data);
    free(redis->queued.data);
    free(redis->error.data);
    free(redis);
}

bool aio_redis_is_connected(const aio_redis *redis) { return redis->stream != NULL; }
int  aio_redis_protocol(const aio_redis *redis) { return redis->protocol; }

/* ---- connecting ---- */

/* In a coroutine: waits until more has come. */
#define AIO_REDIS__MORE(redis)                                                                          \
    do {                                                                                               \
        AIO_AWAIT(self->more, aio_stream_more((redis)->stream));                                       \
        if (!self->more.length)                                                                        \
            AIO_RAISE(AIO_EDISCONNECTED, "Redis: the server closed the connection");                   \
    } while (0)
/* The next reply, or an error is raised. */
#define AIO_REDIS__READ(redis) AIO_REDIS__READ_BY(aio_redis__parse, (redis))
#define AIO_REDIS__READ_BY(parse, redis)                                                               \
    while ((self->step = parse(redis)) == 0) AIO_REDIS__MORE(redis);                                   \
    if (self->step < 0) AIO_RAISE((redis)->code, "%s", aio_redis__why(redis))

enum { AIO_REDIS__HELLO, AIO_REDIS__AUTH, AIO_REDIS__NAME, AIO_REDIS__SELECT, AIO_REDIS__IN };

/* The request of a stage, in `b`, which is empty if there is nothing to say in it. 0 or ENOMEM. */
static int aio_redis__greet(aio_redis *redis, aio_redis__buffer *b, int stage)
{
    const aio_redis_options *o = &redis->options;
    const char *user = o->user ? o->user : "default";
    char number[16];
    aio_text words[6];
    size_t count = 0;
    aio_redis__erase(b->data, b->room); /* it may grow, and leave behind what it was */
    b->used = 0;
    if (stage == AIO_REDIS__HELLO && redis->protocol == 3) {
        words[count++] = aio_redis__text_of("HELLO");
        words[count++] = aio_redis__text_of("3");
        if (o->password) {
            words[count++] = aio_redis__text_of("AUTH");
            words[count++] = aio_redis__text_of(user);
            words[count++] = aio_redis__text_of(o->password);
        }
    } else if (stage == AIO_REDIS__AUTH && redis->protocol == 2 && o->password) {
        words[count++] = aio_redis__text_of("AUTH");
        if (o->user) words[count++] = aio_redis__text_of(o->user); /* a server before 6.0 knows no users */
        words[count++] = aio_redis__text_of(o->password);
    } else if (stage == AIO_REDIS__NAME && o->client_name) {
        words[count++] = aio_redis__text_of("CLIENT");
        words[count++] = aio_redis__text_of("SETNAME");
        words[count++] = aio_redis__text_of(o->client_name);
    } else if (stage == AIO_REDIS__SELECT && o->database) {
        snprintf(number, sizeof number, "%d", o->database);
        words[count++] = aio_redis__text_of("SELECT");
        words[count++] = aio_redis__text_of(number);
    }
    return count ? aio_redis__encode(b, words, count) : 0;
}

/* A server that does not know a command says with which arguments it came: here the password is one of them. */
static void aio_redis__hide(aio_redis *redis)
{
    char *echo = redis->error.used ? strstr(redis->error.data, ", with args") : NULL;
    if (!echo) return;
    aio_redis__erase(echo, redis->error.used - (size_t)(echo - redis->error.data));
    redis->error.used = (size_t)(echo - redis->error.data);
}

/* The server's answer to it. 0, or -1 with redis->code. */
static int aio_redis__greeted(aio_redis *redis, int stage)
{
    const aio_redis_reply *reply = &redis->nodes[redis->first];
    int code = reply->type == AIO_REDIS_FAILURE ? aio_redis__server_error(redis, reply, 0) : 0;
    bool old = code && stage == AIO_REDIS__HELLO
        && (redis->code == AIO_REDIS_ENOPROTO || !strncmp(reply->value.text, "ERR unknown command", 19));
    if (reply->type == AIO_REDIS_FAILURE && stage <= AIO_REDIS__AUTH) aio_redis__hide(redis);
    aio_redis__rewind(redis);
    if (old && redis->options.protocol != 3) {
        redis->protocol = 2;
        return 0;
    }
    return code;
}

static const char aio_redis__dials[] = "connecting", aio_redis__shakes[] = "TLS handshake",
    aio_redis__enters[] = "logging in";

/* aio_redis__parse for a login; what begins as no reply does is of another protocol. */
static int aio_redis__first(aio_redis *redis)
{
    static const struct { const char *begin, *what; } others[] = {
        { "HTTP/", ": it looks like HTTP" }, { "SSH-", ": it looks like SSH" },
        { "\x15\x03", ": it looks like TLS: rediss:// is for that" }, { "220", ": it looks like FTP or SMTP" }
    };
    aio_text in = aio_stream_unread(redis->stream);
    const char *what = in.length > 4 && !in.data[2] && !in.data[3] ? ": it looks like MySQL" : "";
    char why[100];
    if (!in.length || redis->has_spoken || (!*what && *in.data && strchr("+-:$*_,#(!=%~>|", *in.data))) {
        redis->has_spoken = in.length > 0 || redis->has_spoken;
        return aio_redis__parse(redis);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t n = strlen(others[i].begin);
        if (in.length >= n && !memcmp(in.data, others[i].begin, n)) what = others[i].what;
    }
    snprintf(why, sizeof why, "Redis: this is no Redis server%s", what);
    return aio_redis__fail(redis, AIO_ERUNTIME, why, strlen(why));
}

/* What went wrong before the server had let us in, with the server's name: of `redis`. */
static const char *aio_redis__blame(aio_redis *redis, const aio_exception *error)
{
    char text[1200], place[400], limit[60];
    const char *hint = redis->doing == aio_redis__shakes ? ": does it speak TLS on this port?" : "", *mute = "";
    if (redis->doing == aio_redis__enters && !redis->has_spoken && !redis->tls && !redis->path
        && (error->code == AIO_EDISCONNECTED || error->code == ECONNRESET))
        mute = ": does it want TLS, as rediss:// has it?";
    if (redis->path) snprintf(place, sizeof place, "%s", redis->path);
    else snprintf(place, sizeof place, strchr(redis->host, ':') ? "[%s]:%d" : "%s:%d", redis->host, redis->port);
    snprintf(limit, sizeof limit, "not done within %g s", redis->options.connect_timeout);
    if (error->code == AIO_ETIMEOUT)
        snprintf(text, sizeof text, "Redis at %s: %s: %s%s", place, redis->doing,
                 *error->phase ? error->message : limit, hint);
    else snprintf(text, sizeof text, "%.700s (Redis at %s, %s)%s", error->message, place, redis->doing, mute);
    aio_redis__fail(redis, error->code, text, strlen(text));
    return aio_redis__why(redis);
}

struct aio_redis__login { aio_task task; aio_redis *redis; aio_redis__buffer hello; aio_text more;
                          int step, stage; bool done; };
static AIO_CORO(aio_redis__login)
{
    AIO_BEGIN(aio_redis__login);
    self->redis->doing = aio_redis__dials;
    self->redis->has_spoken = false;
    if (self->redis->path) AIO_AWAIT(self->redis->stream, aio_open_unix_connection(self->redis->path));
    else AIO_AWAIT(self->redis->stream, aio_open_connection(self->redis->host, self->redis->port));
    self->redis->doing = aio_redis__shakes;
    if (self->redis->tls)
        AIO_AWAIT(aio_stream_start_tls(self->redis->stream, self->redis->options.tls_context, self->redis->host));
    self->redis->doing = aio_redis__enters;
    self->redis->protocol = self->redis->options.protocol == 2 ? 2 : 3;
    for (; self->stage < AIO_REDIS__IN; self->stage++) {
        if (aio_redis__greet(self->redis, &self->hello, self->stage)) AIO_RAISE(ENOMEM);
        if (!self->hello.used) continue;
        self->step = aio_stream_write(self->redis->stream, self->hello.data, self->hello.used);
        if (self->step) AIO_RAISE(self->step);
        do {
            AIO_REDIS__READ_BY(aio_redis__first, self->redis);
        } while (self->redis->nodes[self->redis->first].type == AIO_REDIS_PUSH);
        if (aio_redis__greeted(self->redis, self->stage))
            AIO_RAISE(self->redis->code, "%s", aio_redis__why(self->redis));
    }
    self->done = true;
    AIO_FINALLY;
        aio_redis__erase(self->hello.data, self->hello.room);
        free(self->hello.data);
        if (!self->done && self->redis->stream) aio_redis__lose(self->redis);
    AIO_END;
}

bool aio_redis_may_pass(int code)
{
    return code == AIO_ETIMEOUT || code == AIO_EDISCONNECTED || code == ECONNREFUSED || code == ECONNRESET
        || code == ECONNABORTED || code == EPIPE || code == ETIMEDOUT || code == EHOSTUNREACH || code == ENETUNREACH
        || code == ENOENT || code == AIO_ERESOLVE || code == AIO_REDIS_ELOADING || code == AIO_REDIS_EMASTERDOWN;
}

/* Full jitter: anything up to backoff, twice, 4, ... times as much. */
static double aio_redis__pause(aio_redis *redis, int attempt)
{
    double most = redis->options.backoff * (double)((uint64_t)1 << (attempt < 30 ? attempt : 30));
    if (most > redis->options.backoff_max) most = redis->options.backoff_max;
    redis->random ^= redis->random << 13;
    redis->random ^= redis->random >> 7;
    redis->random ^= redis->random << 17;
    return most * (double)(redis->random >> 11) / 9007199254740992.0;
}

/* Connects, with its retries. */
struct aio_redis__connecting { aio_task task; aio_redis *redis; int attempt; };
static AIO_CORO(aio_redis__connecting)
{
    AIO_BEGIN(aio_redis__connecting);
    self->redis->is_late = false;
    while (!self->redis->stream) {
        AIO_TRY {
            AIO_TIMEOUT(self->redis->options.connect_timeout) {
                AIO_AWAIT(AIO_CALL(aio_redis__login, .redis = self->redis));
            }
        } AIO_CATCH {
            self->redis->is_late = aio_caught(self)->code == AIO_ETIMEOUT;
            if (self->redis->is_late || self->attempt >= self->redis->options.retries
                || !aio_redis_may_pass(aio_caught(self)->code)) {
                if (self->redis->doing == aio_redis__dials && !self->redis->is_late) AIO_RERAISE();
                AIO_RAISE(aio_caught(self)->code, "%s", aio_redis__blame(self->redis, aio_caught(self)));
            }
            AIO_AWAIT(aio_sleep(aio_redis__pause(self->redis, self->attempt++)));
        } AIO_END_TRY;
    }
    self->redis->used_at = aio_time();
    AIO_END;
}

/* Reads past what cancelled commands are owed. */
struct aio_redis__draining { aio_task task; aio_redis *redis; aio_text more; int step; };
static AIO_CORO(aio_redis__draining)
{
    AIO_BEGIN(aio_redis__draining);
    self->redis->taken = 0;
    while (self->redis->owed) {
        while ((self->step = aio_redis__parse(self->redis)) == 0) {
            if (self->redis->taken > self->redis->options.drain_limit) AIO_RAISE(AIO_ELIMIT);
            AIO_REDIS__MORE(self->redis);
        }
        if (self->step < 0) AIO_RAISE(self->redis->code, "%s", aio_redis__why(self->redis));
        if (self->redis->nodes[self->redis->first].type != AIO_REDIS_PUSH) self->redis->owed--;
        aio_redis__rewind(self->redis);
    }
    AIO_END;
}

static bool aio_redis__is_ready(const aio_redis *redis)
{
    return redis->stream && !redis->owed && aio_time() - redis->used_at < 0.1;
}

static bool aio_redis__has_state(const aio_redis *redis)
{
    return redis->watching || redis->in_multi || redis->tainted;
}

/* Makes a connection fit for a command. */
struct aio_redis__readying { aio_task task; aio_redis *redis; bool had_state; };
static AIO_CORO(aio_redis__readying)
{
    AIO_BEGIN(aio_redis__readying);
    self->had_state = aio_redis__has_state(self->redis);
    if (self->redis->stream && self->redis->owed) {
        AIO_TRY {
            AIO_TIMEOUT(self->redis->options.drain_timeout) {
                AIO_AWAIT(AIO_CALL(aio_redis__draining, .redis = self->redis));
            }
        } AIO_CATCH {
            if (self->redis->stream) aio_redis__lose(self->redis);
        } AIO_END_TRY;
    }
    if (self->redis->stream && aio_stream_at_eof(self->redis->stream)) aio_redis__lose(self->redis);
    if (!self->redis->stream && self->had_state)
        AIO_RAISE(AIO_EDISCONNECTED, "Redis: the connection has ended, and its WATCH, MULTI or SELECT with it");
    if (!self->redis->stream) AIO_AWAIT(AIO_CALL(aio_redis__connecting, .redis = self->redis));
    AIO_END;
}

struct aio_redis__opening { aio_task task; aio_redis *redis; bool begun; };
static AIO_CORO(aio_redis__opening)
{
    AIO_BEGIN(aio_redis__opening);
    if (self->redis->busy) AIO_RAISE(AIO_ERUNTIME, "Redis: a connection does one thing at a time");
    self->redis->busy = self->begun = true; /* what is owed is to be read by one alone */
    AIO_AWAIT(AIO_CALL(aio_redis__readying, .redis = self->redis));
    AIO_FINALLY;
        if (self->begun) self->redis->busy = false;
    AIO_END;
}

aio_future *aio_redis_connect(aio_redis *redis)
{
    return (aio_future *)(void *)AIO_CALL(aio_redis__opening, .redis = redis);
}

/* ---- commands ---- */

enum { AIO_REDIS__ONE, AIO_REDIS__ALL, AIO_REDIS__TRANSACTION }; /* what a call's result is */

/* Writes what `out` has. 0 or a code. */
static int aio_redis__send(aio_redis *redis, bool is_pipeline)
{
    aio_redis__forget(redis);
    if (is_pipeline) {
        if (!aio_redis__node(redis, AIO_REDIS_ARRAY, redis->count)) return redis->code;
        aio_redis__keep(redis);
    }
    int code = redis->count ? aio_stream_write(redis->stream, redis->out.data, redis->out.used) : 0;
    if (code) return code;
    redis->owed = redis->count;
    if (redis->states & AIO_REDIS__WATCHES) redis->watching = true;
    if (redis->states & AIO_REDIS__MULTI) redis->in_multi = true;
    if (redis->states & AIO_REDIS__TAINTS) redis->tainted = true;
    return 0;
}

/* A reply has come, or a push. */
static void aio_redis__took(aio_redis *redis)
{
    const aio_redis_reply *reply = &redis->nodes[redis->first];
    if (reply->type == AIO_REDIS_PUSH) {
        if (redis->options.on_push) redis->options.on_push(reply, redis->options.arg);
        aio_redis__rewind(redis);
        return;
    }
    redis->owed--;
    aio_redis__keep(redis);
    if (!redis->owed && (redis->states & AIO_REDIS__ENDS)) redis->watching = redis->in_multi = false;
}

/* All replies are there. 0 with *result, or -1. */
static int aio_redis__result(aio_redis *redis, int kind, bool keep_errors, const aio_redis_reply **result)
{
    aio_redis_reply *all = redis->nodes;
    *result = all;
    if (kind == AIO_REDIS__ONE) return all->type == AIO_REDIS_FAILURE ? aio_redis__server_error(redis, all, 0) : 0;
    all->span = (uint32_t)redis->node_count;
    const aio_redis_reply *at = all + 1, *last = at;
    bool is_transaction = kind == AIO_REDIS__TRANSACTION;
    for (size_t i = 0; i < all->length; i++, at += at->span) {
        last = at;
        if (at->type == AIO_REDIS_FAILURE && (is_transaction || !keep_errors))
            return aio_redis__server_error(redis, at, is_transaction ? i : i + 1);
    }
    if (!is_transaction) return 0;
    *result = last;
    if (last->type == AIO_REDIS_NIL)
        return AIO_REDIS__FAIL(redis, AIO_REDIS_EWATCH, "Redis: a key has changed since its WATCH");
    for (size_t i = 0; i < aio_redis_count(last) && !keep_errors; i++)
        if (aio_redis_type(aio_redis_at(last, i)) == AIO_REDIS_FAILURE)
            return aio_redis__server_error(redis, aio_redis_at(last, i), i + 1);
    return 0;
}

/* Takes what has come though nothing is owed: pushes. 0; 1: one of them is half there; -1: something else, so that a
 * reply would be taken for that of another command. */
static int aio_redis__unasked(aio_redis *redis)
{
    for (;;) {
        bool begun = redis->depth || redis->large_length;
        aio_text in = aio_stream_unread(redis->stream);
        if (!in.length) return begun;
        if (!begun && *in.data != '>')
            return AIO_REDIS__FAIL(redis, AIO_ERUNTIME, "Redis: the server said what nobody has asked for");
        int step = aio_redis__parse(redis);
        if (step < 0) return -1;
        if (!step) return redis->depth || redis->large_length;
        aio_redis__took(redis);
    }
}

/* Whether to try again after an error that may pass. */
static bool aio_redis__again(const aio_redis *redis, int code, bool sent)
{
    if (redis->states) return false;
    return aio_redis_may_pass(code) && (!sent || redis->only_reads || code == AIO_REDIS_ELOADING);
}

static const char *aio_redis__refused(int code)
{
    return code == ENOTSUP ? "this command changes what replies mean: subscriptions have calls of their own"
        : code == EINVAL   ? "an argument is NULL, or the format is wrong" : "out of memory";
}

/* Before a command: what has come is pushes, or the connection has ended. */
struct aio_redis__hushing { aio_task task; aio_redis *redis; aio_text more; int step; bool done; };
static AIO_CORO(aio_redis__hushing)
{
    AIO_BEGIN(aio_redis__hushing);
    aio_redis__forget(self->redis);
    AIO_TIMEOUT(self->redis->options.timeout) {
        while ((self->step = aio_redis__unasked(self->redis)) > 0) AIO_REDIS__MORE(self->redis);
        if (self->step < 0) AIO_RAISE(self->redis->code, "%s", aio_redis__why(self->redis));
    }
    self->done = true;
    AIO_FINALLY;
        if (!self->done) aio_redis__lose(self->redis);
    AIO_END;
}

/* Once: sends, and reads all replies. */
struct aio_redis__asking { aio_task task; const aio_redis_reply *result; aio_redis *redis; aio_text more;
                           int step, kind; bool keep_errors, *sent; };
static AIO_CORO(aio_redis__asking)
{
    AIO_BEGIN(aio_redis__asking);
    if (!aio_redis__is_ready(self->redis)) AIO_AWAIT(AIO_CALL(aio_redis__readying, .redis = self->redis));
    if (aio_stream_unread(self->redis->stream).length) AIO_AWAIT(AIO_CALL(aio_redis__hushing, .redis = self->redis));
    AIO_TIMEOUT(self->redis->blocks ? (double)AIO_UNLIMITED : self->redis->options.timeout) {
        self->step = aio_redis__send(self->redis, self->kind != AIO_REDIS__ONE);
        if (self->step && self->step != ENOMEM) aio_redis__lose(self->redis); /* of no use to the next one, either */
        if (self->step) AIO_RAISE(self->step, "Redis: the command cannot be sent");
        *self->sent = true;
        while (self->redis->owed) {
            AIO_REDIS__READ(self->redis);
            aio_redis__took(self->redis);
        }
    }
    self->redis->used_at = aio_time();
    if (aio_redis__result(self->redis, self->kind, self->keep_errors, &self->result))
        AIO_RAISE(self->redis->code, "%s", aio_redis__why(self->redis));
    AIO_END;
}

struct aio_redis__commanding { aio_task task; const aio_redis_reply *result; aio_redis *redis; uint64_t call;
                               int kind, attempt; bool keep_errors, begun, sent, had_state; };
static AIO_CORO(aio_redis__commanding)
{
    AIO_BEGIN(aio_redis__commanding);
    if (!self->call || self->redis->busy)
        AIO_RAISE(AIO_ERUNTIME, "Redis: a connection does one thing at a time: a pool has several");
    if (self->call != self->redis->calls)
        AIO_RAISE(AIO_ERUNTIME, "Redis: another command was made before this one was awaited");
    if (self->redis->subscribed)
        AIO_RAISE(AIO_ERUNTIME, "Redis: this connection has subscriptions: a command needs another one");
    if (self->redis->bad) AIO_RAISE(self->redis->bad, "Redis: %s", aio_redis__refused(self->redis->bad));
    self->redis->busy = self->begun = true;
    self->had_state = aio_redis__has_state(self->redis);
    for (;;) {
        AIO_TRY {
            self->sent = false;
            AIO_AWAIT(self->result, AIO_CALL(aio_redis__asking, .redis = self->redis, .kind = self->kind,
                                             .keep_errors = self->keep_errors, .sent = &self->sent));
            break;
        } AIO_CATCH {
            if (self->redis->owed) aio_redis__lose(self->redis);
            if (self->had_state || self->redis->is_late || self->attempt >= self->redis->options.retries
                || !aio_redis__again(self->redis, aio_caught(self)->code, self->sent)) AIO_RERAISE();
            AIO_AWAIT(aio_sleep(aio_redis__pause(self->redis, self->attempt++)));
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        if (self->begun) self->redis->busy = false;
        if (self->begun && self->redis->owed && self->redis->blocks) aio_redis__lose(self->redis);
    AIO_END;
}

static aio_redis_reply_task *aio_redis__call(aio_redis *redis, uint64_t call, int kind, bool keep_errors)
{
    return (aio_redis_reply_task *)(void *)AIO_CALL(aio_redis__commanding, .redis = redis, .call = call, .kind = kind,
                                                    .keep_errors = keep_errors);
}

/* A command of which there is none: it raises the code. */
static aio_redis_reply_task *aio_redis__call_bad(aio_redis *redis, int code)
{
    uint64_t call = aio_redis__begin(redis);
    if (call) redis->bad = code;
    return aio_redis__call(redis, call, AIO_REDIS__ONE, false);
}

aio_redis_reply_task *aio_redis_command_with(aio_redis *redis, const aio_text *arguments, size_t count)
{
    uint64_t call = aio_redis__begin(redis);
    if (call) aio_redis__put(redis, arguments, count);
    return aio_redis__call(redis, call, AIO_REDIS__ONE, false);
}

aio_redis_reply_task *aio_redis__command(aio_redis *redis, const char *const *texts, size_t count)
{
    aio_text few[AIO_REDIS__FEW], *pieces = aio_redis__pieces(few, texts, count);
    aio_redis_reply_task *task = pieces ? aio_redis_command_with(redis, pieces, count)
                                        : aio_redis__call_bad(redis, ENOMEM);
    if (pieces != few) free(pieces);
    return task;
}

aio_redis_reply_task *aio_redis_commandf(aio_redis *redis, const char *format, ...)
{
    aio_redis__formatted f;
    va_list list;
    va_start(list, format);
    aio_redis__format(&f, format, &list);
    va_end(list);
    aio_redis_reply_task *task = f.code ? aio_redis__call_bad(redis, f.code)
                                        : aio_redis_command_with(redis, f.pieces, f.count);
    aio_redis__format_free(&f);
    return task;
}

/* ---- pipelines ---- */

/* One that was not put there: what is there is not sent without it. */
static int aio_redis__not_queued(aio_redis *redis, int code)
{
    if (!redis->queued_bad) redis->queued_bad = code;
    return code;
}

int aio_redis_pipeline_with(aio_redis *redis, const aio_text *arguments, size_t count)
{
    unsigned traits = count && arguments->data ? aio_redis__traits(arguments, count) : 0;
    int code = traits & AIO_REDIS__REFUSED ? ENOTSUP : aio_redis__encode(&redis->queued, arguments, count);
    if (code) return aio_redis__not_queued(redis, code);
    redis->queued_states = aio_redis__then(redis->queued_states, traits);
    redis->queued_changes = redis->queued_changes || !aio_redis__reads(*arguments);
    redis->queued_count++;
    return 0;
}

int aio_redis__pipeline(aio_redis *redis, const char *const *texts, size_t count)
{
    aio_text few[AIO_REDIS__FEW], *pieces = aio_redis__pieces(few, texts, count);
    int code = pieces ? aio_redis_pipeline_with(redis, pieces, count) : aio_redis__not_queued(redis, ENOMEM);
    if (pieces != few) free(pieces);
    return code;
}

int aio_redis_pipelinef(aio_redis *redis, const char *format, ...)
{
    aio_redis__formatted f;
    va_list list;
    va_start(list, format);
    aio_redis__format(&f, format, &list);
    va_end(list);
    int code = f.code ? aio_redis__not_queued(redis, f.code) : aio_redis_pipeline_with(redis, f.pieces, f.count);
    aio_redis__format_free(&f);
    return code;
}

void aio_redis_pipeline_reset(aio_redis *redis)
{
    aio_redis__clear(&redis->queued);
    redis->queued_count = 0;
    redis->queued_states = 0;
    redis->queued_bad = 0;
    redis->queued_changes = false;
}

aio_redis_reply_task *aio_redis_execute_with(aio_redis *redis, const aio_redis_execute_options *o)
{
    static const char multi[] = "*1\r\n$5\r\nMULTI\r\n", exec[] = "*1\r\n$4\r\nEXEC\r\n";
    uint64_t call = aio_redis__begin(redis);
    if (!call) return aio_redis__call(redis, 0, AIO_REDIS__ALL, false);
    aio_redis__buffer *out = &redis->out;
    if (!o->transaction) {
        aio_redis__buffer queued = redis->queued;
        redis->queued = *out;
        *out = queued;
        redis->count = redis->queued_count;
    } else if (aio_redis__reserve(out, redis->queued.used + sizeof multi + sizeof exec)) {
        memcpy(out->data, multi, sizeof multi - 1);
        if (redis->queued.used) memcpy(out->data + sizeof multi - 1, redis->queued.data, redis->queued.used);
        memcpy(out->data + sizeof multi - 1 + redis->queued.used, exec, sizeof exec - 1);
        out->used = sizeof multi + sizeof exec - 2 + redis->queued.used;
        redis->count = redis->queued_count + 2;
    } else redis->bad = ENOMEM;
    if (redis->queued_bad) redis->bad = redis->queued_bad;
    redis->states = o->transaction ? aio_redis__then(redis->queued_states, AIO_REDIS__ENDS) : redis->queued_states;
    redis->blocks = (redis->queued_states & AIO_REDIS__BLOCKS) != 0;
    redis->only_reads = !redis->queued_changes && !o->transaction;
    aio_redis_pipeline_reset(redis);
    return aio_redis__call(redis, call, o->transaction ? AIO_REDIS__TRANSACTION : AIO_REDIS__ALL, o->keep_errors);
}

/* ---- scripts ---- */

static void aio_redis__sha1_block(uint32_t h[5], const unsigned char *p)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < 80; i++) {
        uint32_t x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
        w[i] = x << 1 | x >> 31;
    }
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
        static const uint32_t k[] = { 0x5a827999u, 0x6ed9eba1u, 0x8f1bbcdcu, 0xca62c1d6u };
        uint32_t x = (a << 5 | a >> 27) + f + e + k[i / 20] + w[i];
        e = d;
        d = c;
        c = b << 30 | b >> 2;
        b = a;
        a = x;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

/* The name of a script at the server. */
static void aio_redis__sha1(const char *text, size_t length, char hex[41])
{
    uint32_t h[5] = { 0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u };
    unsigned char last[128];
    size_t whole = length / 64 * 64, rest = length - whole, size = rest < 56 ? 64 : 128;
    for (size_t i = 0; i < whole; i += 64) aio_redis__sha1_block(h, (const unsigned char *)text + i);
    memset(last, 0, sizeof last);
    memcpy(last, text + whole, rest);
    last[rest] = 0x80;
    for (int i = 0; i < 8; i++) last[size - 1 - (size_t)i] = (unsigned char)((uint64_t)length * 8 >> (8 * i));
    for (size_t i = 0; i < size; i += 64) aio_redis__sha1_block(h, last + i);
    for (int i = 0; i < 5; i++) snprintf(hex + 8 * i, 9, "%08x", (unsigned)h[i]);
}

/* EVALSHA stands in `out`, and EVAL in `other`: it takes its place where the server says NOSCRIPT. */
struct aio_redis__scripting { aio_task task; const aio_redis_reply *result; aio_redis *redis; uint64_t call;
                              aio_redis__buffer other; };
static AIO_CORO(aio_redis__scripting)
{
    AIO_BEGIN(aio_redis__scripting);
    AIO_TRY {
        AIO_AWAIT(self->result, aio_redis__call(self->redis, self->call, AIO_REDIS__ONE, false));
    } AIO_CATCH_CODE(AIO_REDIS_ENOSCRIPT) {
        self->call = aio_redis__begin(self->redis);
        free(self->redis->out.data);
        self->redis->out = self->other;
        self->redis->count = 1;
        self->redis->only_reads = false;
        self->other.data = NULL;
        AIO_AWAIT(self->result, aio_redis__call(self->redis, self->call, AIO_REDIS__ONE, false));
    } AIO_END_TRY;
    AIO_FINALLY;
        free(self->other.data);
    AIO_END;
}

aio_redis_reply_task *aio_redis_script_with(aio_redis *redis, const char *source, size_t keys,
                                            const aio_text *arguments, size_t count)
{
    char hex[41], number[24];
    aio_redis__buffer other = { NULL, 0, 0 };
    uint64_t call = aio_redis__begin(redis);
    aio_text *words = (aio_text *)malloc((count + 3) * sizeof *words);
    if (!words) return aio_redis__call_bad(redis, ENOMEM);
    aio_redis__sha1(source, strlen(source), hex);
    snprintf(number, sizeof number, "%zu", keys);
    words[2] = aio_redis__text_of(number);
    for (size_t i = 0; i < count; i++) words[3 + i] = arguments[i];
    words[0] = aio_redis__text_of("EVAL");
    words[1] = aio_redis__text_of(source);
    int code = keys > count ? EINVAL : aio_redis__encode(&other, words, count + 3);
    words[0] = aio_redis__text_of("EVALSHA");
    words[1] = aio_redis__text_of(hex);
    if (call) aio_redis__put(redis, words, count + 3);
    if (call && code) redis->bad = code;
    free(words);
    void *task = AIO_CALL(aio_redis__scripting, .redis = redis, .call = call, .other = other);
    if (!task) free(other.data);
    return (aio_redis_reply_task *)task;
}

aio_redis_reply_task *aio_redis__script(aio_redis *redis, const char *source, size_t keys, const char *const *texts,
                                        size_t count)
{
    aio_text few[AIO_REDIS__FEW], *pieces = aio_redis__pieces(few, texts, count);
    aio_redis_reply_task *task = pieces ? aio_redis_script_with(redis, source, keys, pieces + 1, count - 1)
                                        : aio_redis__call_bad(redis, ENOMEM);
    if (pieces != few) free(pieces);
    return task;
}

/* ---- SCAN ---- */

struct aio_redis_scan {
    aio_redis             *redis;
    char                  *texts;
    aio_redis_scan_options options;
    char                   cursor[24];
    aio_redis_reply       *page;
    const aio_redis_reply *list, *at, *value;
    size_t                 index;
    bool                   last, pairs;
};

aio_redis_scan *aio_redis_scan_open_with(aio_redis *redis, const aio_redis_scan_options *o)
{
    aio_redis_scan *scan = (aio_redis_scan *)calloc(1, sizeof *scan);
    char *at = (char *)malloc(1 + aio_redis__size(o->command) + aio_redis__size(o->key) + aio_redis__size(o->match)
                              + aio_redis__size(o->type));
    if (!scan || !at) {
        free(scan);
        free(at);
        return NULL;
    }
    scan->redis = redis;
    scan->texts = at;
    scan->options = *o;
    if (o->command) scan->options.command = aio_redis__copy(&at, o->command, strlen(o->command));
    if (o->key) scan->options.key = aio_redis__copy(&at, o->key, strlen(o->key));
    if (o->match) scan->options.match = aio_redis__copy(&at, o->match, strlen(o->match));
    if (o->type) scan->options.type = aio_redis__copy(&at, o->type, strlen(o->type));
    strcpy(scan->cursor, "0");
    scan->pairs = o->command && (!strcasecmp(o->command, "HSCAN") || !strcasecmp(o->command, "ZSCAN"));
    return scan;
}

static aio_redis_reply_task *aio_redis__page(aio_redis_scan *scan)
{
    const aio_redis_scan_options *o = &scan->options;
    const char *words[9];
    char number[16];
    size_t n = 0;
    words[n++] = o->command ? o->command : "SCAN";
    if (o->key) words[n++] = o->key;
    words[n++] = scan->cursor;
    if (o->match) words[n++] = "MATCH", words[n++] = o->match;
    snprintf(number, sizeof number, "%d", o->count);
    if (o->count) words[n++] = "COUNT", words[n++] = number;
    if (o->type) words[n++] = "TYPE", words[n++] = o->type;
    return aio_redis__command(scan->redis, words, n);
}

/* Keeps the page, as the connection may be used meanwhile. 0 or a code. */
static int aio_redis__paged(aio_redis_scan *scan, const aio_redis_reply *reply)
{
    aio_text cursor = aio_redis_bytes(aio_redis_at(reply, 0));
    if (!cursor.length || cursor.length >= sizeof scan->cursor) return AIO_ERUNTIME;
    aio_redis_reply *page = aio_redis_reply_copy(aio_redis_at(reply, 1));
    if (!page) return ENOMEM;
    memcpy(scan->cursor, cursor.data, cursor.length + 1);
    aio_redis_reply_free(scan->page);
    scan->page = page;
    scan->index = 0;
    scan->last = !strcmp(scan->cursor, "0");
    return 0;
}

struct aio_redis__scanning { aio_task task; const aio_redis_reply *result; aio_redis_scan *scan;
                             const aio_redis_reply *page; int code; };
static AIO_CORO(aio_redis__scanning)
{
    AIO_BEGIN(aio_redis__scanning);
    if (!self->scan) AIO_RAISE(ENOMEM);
    while (self->scan->index >= aio_redis_count(self->scan->page)) {
        if (self->scan->last) AIO_RAISE(AIO_ESTOPITERATION);
        AIO_AWAIT(self->page, aio_redis__page(self->scan));
        self->code = aio_redis__paged(self->scan, self->page);
        if (self->code) AIO_RAISE(self->code, "Redis: no page of a scan");
    }
    self->scan->value = self->scan->pairs ? aio_redis_at(self->scan->page, self->scan->index + 1) : NULL;
    self->scan->at = aio_redis_at(self->scan->page, self->scan->index);
    self->scan->index += self->scan->pairs ? 2 : 1;
    AIO_RETURN(self->scan->at);
    AIO_END;
}

aio_redis_reply_task *aio_redis_scan_next(aio_redis_scan *scan)
{
    return (aio_redis_reply_task *)(void *)AIO_CALL(aio_redis__scanning, .scan = scan);
}

const aio_redis_reply *aio_redis_scan_value(const aio_redis_scan *scan) { return scan->value; }

void aio_redis_scan_close(aio_redis_scan *scan)
{
    if (!scan) return;
    aio_redis_reply_free(scan->page);
    free(scan->texts);
    free(scan);
}

/* ---- streams ---- */

enum { AIO_REDIS__MAKE, AIO_REDIS__OWN, AIO_REDIS__CLAIM, AIO_REDIS__NEW };

struct aio_redis_group {
    aio_redis              *redis;
    char                   *texts;
    aio_redis_group_options options;
    aio_redis_reply        *page;
    size_t                  index;
    int                     stage;
    char                    last[48]; /* id of the latest one of our own, or where claiming goes on */
    double                  claimed;
    aio_redis_entry         entry;
};

aio_redis_group *aio_redis_group_open_with(aio_redis *redis, const aio_redis_group_options *o)
{
    bool complete = o->stream && o->group && o->consumer;
    aio_redis_group *group = complete ? (aio_redis_group *)calloc(1, sizeof *group) : NULL;
    char *at = complete ? (char *)malloc(aio_redis__size(o->stream) + aio_redis__size(o->group)
                                         + aio_redis__size(o->consumer)) : NULL;
    if (!group || !at) {
        free(group);
        free(at);
        errno = complete ? ENOMEM : EINVAL;
        return NULL;
    }
    group->redis = redis;
    group->texts = at;
    group->options = *o;
    group->options.stream = aio_redis__copy(&at, o->stream, strlen(o->stream));
    group->options.group = aio_redis__copy(&at, o->group, strlen(o->group));
    group->options.consumer = aio_redis__copy(&at, o->consumer, strlen(o->consumer));
    if (!o->count) group->options.count = 10;
    if (o->block == 0) group->options.block = 5;
    strcpy(group->last, "0");
    return group;
}

static aio_redis_reply_task *aio_redis__group_ask(aio_redis_group *g)
{
    const aio_redis_group_options *o = &g->options;
    double block = o->claim_idle > 0 && o->claim_idle < o->block ? o->claim_idle : o->block;
    if (g->stage == AIO_REDIS__MAKE)
        return aio_redis_commandf(g->redis, "XGROUP CREATE %s %s 0 MKSTREAM", o->stream, o->group);
    if (g->stage == AIO_REDIS__OWN)
        return aio_redis_commandf(g->redis, "XREADGROUP GROUP %s %s COUNT %d STREAMS %s %s", o->group, o->consumer,
                                  o->count, o->stream, g->last);
    if (g->stage == AIO_REDIS__CLAIM)
        return aio_redis_commandf(g->redis, "XAUTOCLAIM %s %s %s %lld %s COUNT %d", o->stream, o->group, o->consumer,
                                  (long long)(o->claim_idle * 1000), g->last, o->count);
    return aio_redis_commandf(g->redis, "XREADGROUP GROUP %s %s COUNT %d BLOCK %lld STREAMS %s >", o->group,
                              o->consumer, o->count, (long long)(block * 1000) + 1, o->stream);
}

/* Keeps what has come, and goes on to the next stage where there was nothing. 0 or ENOMEM. */
static int aio_redis__group_answered(aio_redis_group *g, const aio_redis_reply *reply)
{
    const aio_redis_reply *entries = aio_redis_at(reply, 1); /* XAUTOCLAIM, and RESP3's map */
    if (aio_redis_type(reply) == AIO_REDIS_ARRAY && g->stage != AIO_REDIS__CLAIM)
        entries = aio_redis_at(aio_redis_at(reply, 0), 1);
    size_t count = aio_redis_count(entries);
    aio_redis_reply_free(g->page);
    g->page = aio_redis_reply_copy(entries);
    g->index = 0;
    if (!g->page) return ENOMEM;
    const char *last = g->stage == AIO_REDIS__CLAIM ? aio_redis_text(aio_redis_at(reply, 0))
        : aio_redis_text(aio_redis_at(aio_redis_at(entries, count - 1), 0));
    snprintf(g->last, sizeof g->last, "%s", last && g->stage != AIO_REDIS__NEW ? last : "0");
    if (g->stage == AIO_REDIS__OWN && !count) g->stage = AIO_REDIS__CLAIM;
    else if (g->stage == AIO_REDIS__CLAIM && (!last || !strncmp(g->last, "0-0", 4))) {
        g->stage = AIO_REDIS__NEW;
        g->claimed = aio_time();
    }
    return 0;
}

/* What is to be asked next. */
static void aio_redis__group_stage(aio_redis_group *g)
{
    bool claims = g->options.claim_idle > 0;
    if (g->stage == AIO_REDIS__CLAIM && !claims) g->stage = AIO_REDIS__NEW;
    if (g->stage != AIO_REDIS__NEW || !claims || aio_time() - g->claimed < g->options.claim_idle) return;
    g->stage = AIO_REDIS__CLAIM;
    strcpy(g->last, "0");
}

/* Passes over what has no id: XAUTOCLAIM of 6.2 has nil for an entry that was deleted. */
static void aio_redis__group_pass(aio_redis_group *g)
{
    size_t count = aio_redis_count(g->page);
    while (g->index < count && !aio_redis_text(aio_redis_at(aio_redis_at(g->page, g->index), 0))) g->index++;
}

struct aio_redis__grouping { aio_task task; const aio_redis_entry *result; aio_redis_group *group;
                             const aio_redis_reply *reply; bool asked; };
static AIO_CORO(aio_redis__grouping)
{
    AIO_BEGIN(aio_redis__grouping);
    while (self->group->index >= aio_redis_count(self->group->page)) {
        aio_redis__group_stage(self->group);
        self->asked = true;
        AIO_TRY {
            AIO_AWAIT(self->reply, aio_redis__group_ask(self->group));
        } AIO_CATCH_CODE(AIO_REDIS_EBUSYGROUP) {
            self->reply = NULL;
        } AIO_END_TRY;
        if (self->group->stage == AIO_REDIS__MAKE) self->group->stage = AIO_REDIS__OWN;
        else if (aio_redis__group_answered(self->group, self->reply)) AIO_RAISE(ENOMEM);
        self->asked = false;
        aio_redis__group_pass(self->group);
    }
    self->reply = aio_redis_at(self->group->page, self->group->index++);
    aio_redis__group_pass(self->group);
    self->group->entry.id = aio_redis_text(aio_redis_at(self->reply, 0));
    self->group->entry.fields = aio_redis_at(self->reply, 1);
    AIO_RETURN(&self->group->entry);
    AIO_FINALLY;
        if (self->asked && self->group->stage != AIO_REDIS__MAKE) { /* what the server has given us may be lost */
            self->group->stage = AIO_REDIS__OWN;
            strcpy(self->group->last, "0");
        }
    AIO_END;
}

aio_redis_entry_task *aio_redis_group_next(aio_redis_group *group)
{
    if (!group) return NULL;
    return (aio_redis_entry_task *)(void *)AIO_CALL(aio_redis__grouping, .group = group);
}

aio_redis_reply_task *aio_redis_group_ack(aio_redis_group *group, const char *id)
{
    return aio_redis_command(group->redis, "XACK", group->options.stream, group->options.group, id);
}

void aio_redis_group_close(aio_redis_group *group)
{
    if (!group) return;
    aio_redis_reply_free(group->page);
    free(group->texts);
    free(group);
}

/* ---- publish and subscribe ---- */

static aio_redis__subscribed **aio_redis__find(aio_redis *redis, bool is_pattern, const char *text)
{
    aio_redis__subscribed **at = &redis->subscribed;
    while (*at && ((*at)->is_pattern != is_pattern || strcmp((*at)->text, text))) at = &(*at)->next;
    return at;
}

/* Notes what is subscribed to from now on. False without memory. */
static bool aio_redis__note(aio_redis *redis, const char *const *texts, size_t count)
{
    bool adds = !strstr(texts[0], "UNSUB");
    for (size_t i = 1; i < count; i++) {
        bool is_pattern = texts[0][0] == 'P';
        aio_redis__subscribed **at = aio_redis__find(redis, is_pattern, texts[i]), *one = *at;
        if (adds && !one) {
            one = (aio_redis__subscribed *)calloc(1, sizeof *one + strlen(texts[i]));
            if (!one) return false;
            one->is_pattern = is_pattern;
            memcpy(one->text, texts[i], strlen(texts[i]) + 1);
            *at = one;
        } else if (!adds && one) {
            *at = one->next;
            free(one);
        }
    }
    return true;
}

/* Puts the subscriptions of a connection that is new into `out`. */
static void aio_redis__resubscribe(aio_redis *redis)
{
    aio_redis__clear(&redis->out);
    redis->bad = 0;
    redis->confirming = 0;
    for (aio_redis__subscribed *one = redis->subscribed; one; one = one->next) {
        aio_text words[2] = { aio_redis__text_of(one->is_pattern ? "PSUBSCRIBE" : "SUBSCRIBE"),
                              aio_redis__text_of(one->text) };
        if (!redis->bad) redis->bad = aio_redis__encode(&redis->out, words, 2);
        redis->confirming++;
    }
}

/* What the reply at redis->first is: 1: a message; 0: nothing that is wanted; -1: an error. */
static int aio_redis__heard(aio_redis *redis)
{
    const aio_redis_reply *reply = &redis->nodes[redis->first];
    aio_text kind = aio_redis_bytes(aio_redis_at(reply, 0));
    redis->pinged = false;
    if (reply->type == AIO_REDIS_FAILURE) return aio_redis__server_error(redis, reply, 0);
    if (aio_redis__is(kind, "message") || aio_redis__is(kind, "pmessage")) return 1;
    if (kind.length >= 9 && !strncmp(kind.data + kind.length - 9, "subscribe", 9)) {
        if (redis->confirming) redis->confirming--;
        return 0;
    }
    return reply->type == AIO_REDIS_PUSH;
}

/* In a coroutine: connects, and subscribes to all, if the connection has ended. */
struct aio_redis__tuning { aio_task task; aio_redis *redis; int step; };
static AIO_CORO(aio_redis__tuning)
{
    AIO_BEGIN(aio_redis__tuning);
    if (self->redis->stream && self->redis->owed) AIO_AWAIT(AIO_CALL(aio_redis__readying, .redis = self->redis));
    if (!self->redis->stream) {
        AIO_AWAIT(AIO_CALL(aio_redis__connecting, .redis = self->redis));
        aio_redis__resubscribe(self->redis);
        self->step = self->redis->bad;
        if (!self->step && self->redis->out.used)
            self->step = aio_stream_write(self->redis->stream, self->redis->out.data, self->redis->out.used);
        if (self->step) AIO_RAISE(self->step);
    }
    AIO_END;
}

struct aio_redis__subscribing { aio_task task; aio_redis *redis; uint64_t call; aio_text more; size_t count;
                                int step; bool noted, begun, refused, done; };
static AIO_CORO(aio_redis__subscribing)
{
    AIO_BEGIN(aio_redis__subscribing);
    if (!self->call || self->redis->busy || self->call != self->redis->calls)
        AIO_RAISE(AIO_ERUNTIME, "Redis: a connection does one thing at a time");
    if (!self->noted) AIO_RAISE(self->redis->bad ? self->redis->bad : ENOMEM);
    self->redis->busy = self->begun = true;
    AIO_TIMEOUT(self->redis->options.timeout) {
        if (!self->redis->stream || self->redis->owed) AIO_AWAIT(AIO_CALL(aio_redis__tuning, .redis = self->redis));
        else {
            self->step = aio_stream_write(self->redis->stream, self->redis->out.data, self->redis->out.used);
            if (self->step) AIO_RAISE(self->step);
            self->redis->confirming += self->count;
        }
        while (self->redis->confirming) {
            AIO_REDIS__READ(self->redis);
            self->step = aio_redis__heard(self->redis);
            self->refused = self->step < 0;
            if (self->refused) AIO_RAISE(self->redis->code, "%s", aio_redis__why(self->redis));
            if (self->step) aio_redis__keep(self->redis);
            else aio_redis__rewind(self->redis);
        }
    }
    self->done = true;
    AIO_FINALLY;
        if (self->begun) self->redis->busy = false;
        if (self->begun && !self->done) aio_redis__lose(self->redis);
        if (self->refused) aio_redis__unsubscribed(self->redis);
    AIO_END;
}

aio_future *aio_redis__subscribe(aio_redis *redis, const char *const *texts, size_t count)
{
    uint64_t call = aio_redis__begin(redis);
    aio_text few[AIO_REDIS__FEW], *pieces = call ? aio_redis__pieces(few, texts, count) : few;
    bool noted = call && pieces;
    if (noted && !redis->subscribed && !redis->owed) aio_redis__forget(redis);
    if (noted) redis->bad = count < 2 ? EINVAL : aio_redis__encode(&redis->out, pieces, count);
    noted = noted && !redis->bad && aio_redis__note(redis, texts, count);
    if (pieces != few) free(pieces);
    return (aio_future *)(void *)AIO_CALL(aio_redis__subscribing, .redis = redis, .call = call, .count = count - 1,
                                          .noted = noted);
}

/* The message at node `at`. */
static const aio_redis_message *aio_redis__message(aio_redis *redis, size_t at)
{
    const aio_redis_reply *reply = &redis->nodes[at];
    aio_redis_message *m = &redis->message;
    const char *kind = aio_redis_text(aio_redis_at(reply, 0));
    bool is_pattern = kind && !strcmp(kind, "pmessage"), is_message = kind && !strcmp(kind, "message");
    memset((void *)m, 0, sizeof *m);
    m->reply = reply;
    if (is_pattern) m->pattern = aio_redis_text(aio_redis_at(reply, 1));
    if (is_pattern || is_message) {
        m->channel = aio_redis_text(aio_redis_at(reply, is_pattern ? 2 : 1));
        m->data = aio_redis_bytes(aio_redis_at(reply, is_pattern ? 3 : 2));
    }
    redis->next_message = at + reply->span;
    return m;
}

/* Reads up to the next message. */
struct aio_redis__hearing { aio_task task; aio_redis *redis; aio_text more; int step; };
static AIO_CORO(aio_redis__hearing)
{
    AIO_BEGIN(aio_redis__hearing);
    if (!self->redis->stream || self->redis->owed) AIO_AWAIT(AIO_CALL(aio_redis__tuning, .redis = self->redis));
    for (;;) {
        while ((self->step = aio_redis__parse(self->redis)) == 0) {
            AIO_TRY {
                AIO_TIMEOUT(self->redis->options.ping_interval) {
                    AIO_AWAIT(self->more, aio_stream_more(self->redis->stream));
                }
            } AIO_CATCH_CODE(AIO_ETIMEOUT) {
                if (self->redis->pinged) AIO_RAISE(AIO_EDISCONNECTED, "Redis: the server is silent");
                self->redis->pinged = true;
                self->step = aio_stream_write(self->redis->stream, "*1\r\n$4\r\nPING\r\n", 14);
                if (self->step) AIO_RAISE(self->step);
                continue;
            } AIO_END_TRY;
            if (!self->more.length)
                AIO_RAISE(AIO_EDISCONNECTED, "Redis: the server closed the connection");
        }
        if (self->step < 0) AIO_RAISE(self->redis->code, "%s", aio_redis__why(self->redis));
        self->step = aio_redis__heard(self->redis);
        if (self->step < 0) AIO_RAISE(self->redis->code, "%s", aio_redis__why(self->redis));
        if (self->step) break;
        aio_redis__rewind(self->redis);
    }
    AIO_END;
}

/* Forgets the messages that were given, unless another one is half there. */
static void aio_redis__drop_messages(aio_redis *redis)
{
    if (!redis->depth && !redis->large_length && redis->node_count == redis->first) aio_redis__forget(redis);
}

struct aio_redis__listening { aio_task task; const aio_redis_message *result; aio_redis *redis; int attempt;
                              bool begun; };
static AIO_CORO(aio_redis__listening)
{
    AIO_BEGIN(aio_redis__listening);
    if (self->redis->busy) AIO_RAISE(AIO_ERUNTIME, "Redis: a connection does one thing at a time");
    if (self->redis->next_message < self->redis->first)
        AIO_RETURN(aio_redis__message(self->redis, self->redis->next_message));
    if (!self->redis->subscribed && !(self->redis->protocol == 3 && self->redis->tainted))
        AIO_RAISE(AIO_ESTOPITERATION);
    aio_redis__drop_messages(self->redis);
    self->redis->busy = self->begun = true;
    for (;;) {
        AIO_TRY {
            AIO_AWAIT(AIO_CALL(aio_redis__hearing, .redis = self->redis));
            break;
        } AIO_CATCH {
            if (self->redis->stream) aio_redis__lose(self->redis);
            if (!aio_redis_may_pass(aio_caught(self)->code) || self->redis->is_late
                || self->attempt++ >= self->redis->options.retries
                || !self->redis->subscribed) AIO_RERAISE();
        } AIO_END_TRY;
    }
    aio_redis__keep(self->redis);
    AIO_RETURN(aio_redis__message(self->redis, self->redis->next_message));
    AIO_FINALLY;
        if (self->begun) self->redis->busy = false;
    AIO_END;
}

aio_redis_message_task *aio_redis_listen(aio_redis *redis)
{
    return (aio_redis_message_task *)(void *)AIO_CALL(aio_redis__listening, .redis = redis);
}

/* ---- the pool ---- */

struct aio_redis_pool {
    aio_redis_pool_options options;
    aio_redis             *model; /* never connected: the others are made like it */
    aio_redis             *free;  /* the one that was given back last comes first */
    aio_semaphore          places;
};

aio_redis_pool *aio_redis_pool_open_with(const char *url, const aio_redis_pool_options *options)
{
    aio_redis *model = aio_redis_open_with(url, &options->connection);
    aio_redis_pool *pool = model ? (aio_redis_pool *)calloc(1, sizeof *pool) : NULL;
    if (!pool) {
        aio_redis_close(model);
        return NULL;
    }
    pool->options = *options;
    if (pool->options.size <= 0) pool->options.size = 10;
    if (pool->options.idle == 0) pool->options.idle = 30;
    pool->model = model;
    aio_semaphore_init(&pool->places, pool->options.size);
    return pool;
}

void aio_redis_pool_close(aio_redis_pool *pool)
{
    if (!pool) return;
    while (pool->free) {
        aio_redis *redis = pool->free;
        pool->free = redis->next;
        aio_redis_close(redis);
    }
    aio_redis_close(pool->model);
    aio_semaphore_destroy(&pool->places);
    free(pool);
}

aio_redis *aio_redis_pool_dedicated(aio_redis_pool *pool) { return aio_redis__twin(pool->model); }

static void aio_redis__give_back(aio_redis_pool *pool, aio_redis *redis)
{
    redis->next = pool->free;
    pool->free = redis;
    aio_semaphore_release(&pool->places);
}

int aio_redis_pool_release(aio_redis_pool *pool, aio_redis *redis)
{
    if (!redis) return 0;
    if (redis->lender != pool) return EINVAL;
    redis->lender = NULL;
    aio_redis_pipeline_reset(redis);
    if (redis->busy || redis->subscribed || aio_redis__has_state(redis)) aio_redis__lose(redis);
    aio_redis__unsubscribed(redis);
    aio_redis__give_back(pool, redis);
    return 0;
}

struct aio_redis__acquiring { aio_task task; aio_redis *result; aio_redis_pool *pool; aio_redis *redis;
                              const aio_redis_reply *reply; };
static AIO_CORO(aio_redis__acquiring)
{
    AIO_BEGIN(aio_redis__acquiring);
    AIO_AWAIT(aio_semaphore_acquire(&self->pool->places));
    self->redis = self->pool->free;
    if (self->redis) self->pool->free = self->redis->next;
    else self->redis = aio_redis__twin(self->pool->model);
    if (!self->redis) {
        aio_semaphore_release(&self->pool->places);
        AIO_RAISE(ENOMEM);
    }
    if (self->redis->stream && aio_stream_at_eof(self->redis->stream)) aio_redis__lose(self->redis);
    if (self->redis->stream && aio_time() - self->redis->used_at > self->pool->options.idle)
        AIO_AWAIT(self->reply, aio_redis_command(self->redis, "PING")); /* which connects anew, if need be */
    else if (!aio_redis__is_ready(self->redis)) AIO_AWAIT(aio_redis_connect(self->redis));
    self->redis->lender = self->pool;
    self->result = self->redis;
    AIO_FINALLY;
        if (self->redis && !self->result) aio_redis__give_back(self->pool, self->redis);
    AIO_END;
}

aio_redis_task *aio_redis_pool_acquire(aio_redis_pool *pool)
{
    return (aio_redis_task *)(void *)AIO_CALL(aio_redis__acquiring, .pool = pool);
}

#endif /* AIO_REDIS_IMPLEMENTATION */
