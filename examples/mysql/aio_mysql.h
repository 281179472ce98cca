/* aio_mysql.h: a client for MySQL and MariaDB on aio.h.
 *
 *   #define AIO_IMPLEMENTATION             in one file
 *   #define AIO_MYSQL_IMPLEMENTATION
 *   #include "aio.h"
 *   #include "aio_mysql.h"
 *
 *   self->db = aio_mysql_open("mysql://user:password@127.0.0.1:3306/database");
 *   AIO_AWAIT(aio_mysql_connect(self->db));
 *   AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT host, user FROM mysql.user"));
 *   AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows))
 *       printf("%s %s\n", aio_mysql_get(self->row, "host"), aio_mysql_get(self->row, "user"));
 *   AIO_FINALLY;
 *   aio_mysql_close(self->db);
 *
 * Rows are read as they come: however many there are, memory is that of one. A connection does one thing at a time;
 * what of a result was not read is passed over when the next query begins. Texts are utf8mb4. The password goes to the
 * server only as a proof, or within TLS or a unix socket, or encrypted with the server's key if .public_key allows it.
 *
 * Errors: an error of the server has its number plus AIO_MYSQL_ERRORS as the code, AIO_EDISCONNECTED when the server
 * went away, AIO_ELIMIT for a packet, or the names of all columns, over .max_packet, or a login without end,
 * AIO_ERUNTIME for what is not the protocol, or out of turn, EACCES when the server wants a file that it is not to
 * have; and those of aio_open_connection. What goes wrong until the server has let us in names the server, and what was
 * being done. A query that is cancelled, or that fails in any way but by the server's word, closes the connection; a
 * cancelled one is killed at the server, too (KILL QUERY, over a connection of its own). */
#ifndef AIO_MYSQL_H
#define AIO_MYSQL_H

#ifdef __cplusplus
extern "C" {
#endif

enum { AIO_MYSQL_ERRORS = 1000000 }; /* "Unknown table" is AIO_MYSQL_ERRORS + 1051 */

typedef struct aio_mysql aio_mysql;
typedef struct aio_mysql_options {
    /* take the place of the URL's; all texts are copied */
    const char      *user AIO_UNSET, *password AIO_UNSET, *database AIO_UNSET;
    const char      *unix_socket AIO_UNSET;     /* a path, instead of host and port */
    bool             tls AIO_UNSET;             /* TLS with the system's authorities; else in clear */
    aio_tls_context *tls_context AIO_UNSET;     /* or with this one; borrowed until the close */
    /* caching_sha2_password may ask the server for its key: who is in between can give his own */
    bool             public_key AIO_UNSET;
    size_t           max_packet AIO_UNSET;      /* of an answer, and of all its columns' names; 0: 64 MiB */
    double           connect_timeout AIO_UNSET; /* until the server has let us in, with TLS and login; 0: 10 s */
    double           kill_timeout AIO_UNSET;    /* of KILL QUERY; 0: 5 s, AIO_NOW: it is not sent */
    /* LOAD DATA LOCAL INFILE: gives a descriptor to read, or -1 with errno. NULL: the server is never sent a file. Only
     * for a query that has the word LOCAL; but a server that is not to be trusted may then name any file */
    int            (*local_infile)(const char *path, void *arg) AIO_UNSET;
    void            *arg AIO_UNSET;
} aio_mysql_options;

/* aio_mysql_open("mysql://user:password@host:port/database", .tls = true, ...): a connection that is not connected yet.
 * NULL with errno: EINVAL for a URL that is none, ENOMEM. aio_mysql_close ends it, when nothing of it is awaited any
 * more; NULL is fine. */
#define aio_mysql_open(...) AIO_MYSQL__OPEN(__VA_ARGS__, )
#define AIO_MYSQL__OPEN(url, ...) aio_mysql_open_with((url), AIO_OPTIONS(aio_mysql_options, __VA_ARGS__))
aio_mysql *aio_mysql_open_with(const char *url, const aio_mysql_options *options);
void       aio_mysql_close(aio_mysql *db);
/* Connects, unless it is connected. AIO_ERUNTIME while another task connects it. */
aio_future *aio_mysql_connect(aio_mysql *db);
/* Asks the server for a sign of life. */
aio_future *aio_mysql_ping(aio_mysql *db);
bool        aio_mysql_is_connected(const aio_mysql *db);
const char *aio_mysql_server(const aio_mysql *db); /* its version, "" before it is connected */

/* A result: its columns, and the row that aio_mysql_next has read last. The connection's, until the next query. */
typedef struct aio_mysql_column {
    const char *name, *table;
    int         type;      /* MYSQL_TYPE_... of the protocol: 3 INT, 8 BIGINT, 253 VARCHAR, ... */
    unsigned    flags;     /* 1 NOT NULL, 2 primary key, 32 unsigned, ... */
    bool        is_binary; /* bytes, no text */
} aio_mysql_column;
typedef struct aio_mysql_result {
    const aio_mysql_column *columns;
    size_t                  column_count; /* 0: a statement without rows */
    uint64_t                affected_rows, insert_id;
    unsigned                warnings;
} aio_mysql_result;
typedef struct { aio_task task; aio_mysql_result *result; } aio_mysql_result_task;

/* Any statement, as text: never put a value of others into it, that is what aio_mysql_execute is for. */
aio_mysql_result_task *aio_mysql_query(aio_mysql *db, const char *sql);

typedef struct aio_mysql_value {
    int         type;
    int64_t     integer;
    double      real;
    const char *bytes;
    size_t      length;
} aio_mysql_value;
aio_mysql_value aio_mysql_null(void);
aio_mysql_value aio_mysql_integer(int64_t value);
aio_mysql_value aio_mysql_real(double value);
aio_mysql_value aio_mysql_string(const char *text); /* NULL: NULL */
aio_mysql_value aio_mysql_blob(const void *bytes, size_t length);
/* A statement with a '?' for each value, prepared at the server, and kept there for the next time. The values are
 * copied.
 *   self->values[0] = aio_mysql_string(name);
 *   self->values[1] = aio_mysql_integer(age);
 *   AIO_AWAIT(self->rows, aio_mysql_execute(self->db, "INSERT INTO people (name, age) VALUES (?, ?)", self->values, 2));
 * A transaction is START TRANSACTION, what is to be done, and COMMIT, as queries of one connection; an error in between
 * leaves it open, and closing the connection, or giving it back to its pool, undoes it. */
aio_mysql_result_task *aio_mysql_execute(aio_mysql *db, const char *sql, const aio_mysql_value *values, size_t count);
/* The next result of several statements or of a procedure; NULL after the last. */
aio_mysql_result_task *aio_mysql_next_result(aio_mysql *db);
/* The next row; AIO_ASYNC_FOR ends after the last. Gives the result that it was called with. */
aio_mysql_result_task *aio_mysql_next(aio_mysql_result *result);

/* A column of the row: its text with a NUL after it, NULL for NULL and for a column that there is not. Dates are
 * "2026-01-31 12:00:00", numbers as the server writes them; FLOAT and DOUBLE of aio_mysql_execute, as printf's %g does,
 * in the fewest digits that are the same value. */
const char *aio_mysql_get(const aio_mysql_result *row, const char *column);
const char *aio_mysql_at(const aio_mysql_result *row, size_t column);
aio_text    aio_mysql_bytes_at(const aio_mysql_result *row, size_t column); /* data NULL: NULL */
int64_t     aio_mysql_get_integer(const aio_mysql_result *row, const char *column, int64_t otherwise);
double      aio_mysql_get_real(const aio_mysql_result *row, const char *column, double otherwise);
/* The index of a column; -1: there is none of that name. */
int         aio_mysql_index(const aio_mysql_result *row, const char *column);

/* Up to `size` connections to one server, made when they are needed, and used again.
 *   AIO_ASYNC_WITH_AS(self->db, aio_mysql_pool_acquire(self->pool), aio_mysql_pool_release(self->pool, self->db)) */
typedef struct aio_mysql_pool aio_mysql_pool;
typedef struct { aio_task task; aio_mysql *result; } aio_mysql_task;
typedef struct aio_mysql_pool_options {
    int               size AIO_UNSET;    /* 0: 10 */
    double            recycle AIO_UNSET; /* one older than that is made anew; 0: 3600 s */
    double            idle AIO_UNSET;    /* one that was not used for so long is asked first; 0: 30 s */
    aio_mysql_options connection AIO_UNSET;
} aio_mysql_pool_options;
/* aio_mysql_pool_open(url, .size = 5, .connection = { .tls = true }): NULL with errno, as above. */
#define aio_mysql_pool_open(...) AIO_MYSQL__POOL_OPEN(__VA_ARGS__, )
#define AIO_MYSQL__POOL_OPEN(url, ...) \
    aio_mysql_pool_open_with((url), AIO_OPTIONS(aio_mysql_pool_options, __VA_ARGS__))
aio_mysql_pool *aio_mysql_pool_open_with(const char *url, const aio_mysql_pool_options *options);
void            aio_mysql_pool_close(aio_mysql_pool *pool); /* when every connection is back; NULL is fine */
/* A connection that is connected, and has no open transaction. */
aio_mysql_task *aio_mysql_pool_acquire(aio_mysql_pool *pool);
/* Gives it back: 0. What it has left undone is undone: an open transaction, or a result half read, closes it. EINVAL,
 * and nothing is done, for one that this pool has not lent: given back already, another pool's, or your own. NULL is
 * fine. Not to be closed by aio_mysql_close. */
int             aio_mysql_pool_release(aio_mysql_pool *pool, aio_mysql *db);

#ifdef __cplusplus
}
#endif
#endif /* AIO_MYSQL_H */

/* ======================================================================================================== */

#if defined AIO_MYSQL_IMPLEMENTATION && !defined AIO_MYSQL_IMPLEMENTED
#define AIO_MYSQL_IMPLEMENTED
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#ifndef AIO_NO_TLS
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#endif

enum { /* the protocol's */
    AIO_MYSQL__LONG_PASSWORD = 1, AIO_MYSQL__WITH_DB = 8, AIO_MYSQL__LOCAL_FILES = 128, AIO_MYSQL__41 = 512,
    AIO_MYSQL__SSL = 2048, AIO_MYSQL__TRANSACTIONS = 8192, AIO_MYSQL__SECURE = 32768, AIO_MYSQL__MULTI = 1 << 16,
    AIO_MYSQL__MULTI_RESULTS = 1 << 17, AIO_MYSQL__PS_MULTI = 1 << 18, AIO_MYSQL__PLUGIN = 1 << 19,
    AIO_MYSQL__LENENC_AUTH = 1 << 21,
    AIO_MYSQL__IN_TRANS = 1, AIO_MYSQL__MORE_RESULTS = 8, /* status flags */
    AIO_MYSQL__UTF8MB4 = 45,                              /* utf8mb4_general_ci: every server knows it */
    AIO_MYSQL__PART = 0xffffff                            /* a packet of this length goes on in the next */
};
enum { AIO_MYSQL__IN_PLACE = 65536, AIO_MYSQL__STATEMENTS = 32, AIO_MYSQL__NONCE = 20, AIO_MYSQL__COLUMNS = 4096,
       AIO_MYSQL__QUESTIONS = 32 /* of a login: MariaDB may try several ways for one user */ };
enum { AIO_MYSQL__NULL, AIO_MYSQL__INTEGER, AIO_MYSQL__REAL, AIO_MYSQL__BYTES };
/* Where a result is. */
enum { AIO_MYSQL__IDLE, AIO_MYSQL__ROWS, AIO_MYSQL__NEXT_RESULT };

typedef struct { char *data; size_t used, room; } aio_mysql__buffer;
typedef struct { char *sql; uint32_t id, params; uint64_t last; } aio_mysql__statement;
typedef struct { size_t at, length; bool is_null; } aio_mysql__cell;

struct aio_mysql {
    aio_mysql_result     result; /* the first member: a result is its connection */
    aio_mysql_options    options;
    char                *host, *texts; /* texts: all of them */
    int                  port;
    aio_stream          *stream;
    char                 version[64];
    uint32_t             thread, caps, status;
    bool                 is_secret;    /* what is sent, nobody else can read */
    bool                 busy;         /* a command is under way */
    bool                 binary;       /* the rows of an executed statement */
    bool                 out_of_memory;
    uint64_t             calls;        /* made; the latest is the one whose command `out` is */
    unsigned char        seq, nonce[AIO_MYSQL__NONCE + 1];
    char                 plugin[40];
    aio_mysql__buffer    out, joined, names, row, error;
    size_t               left;         /* of the packet that is joined */
    aio_text             ahead;        /* of what is unread: the rows to come, when one has been taken of it */
    size_t               taken;        /* bytes of rows before `ahead`, of which the stream has not been told yet */
    bool                 joining, last;
    int                  stage, code;
    const char          *doing;        /* until the server has let us in; then NULL */
    bool                 has_local;    /* the word, in the query: the server may ask for a file */
    aio_mysql_column    *columns;
    aio_mysql__cell     *cells;
    size_t               room;         /* of both */
    uint64_t             used;         /* for the statements' age */
    aio_mysql__statement statements[AIO_MYSQL__STATEMENTS];
    aio_mysql__statement *statement;   /* that the call is of */
    aio_mysql_result_task *row_done;   /* while there are rows: what all those await that have come already */
    aio_mysql           *next;         /* in the pool */
    aio_mysql_pool      *lender;       /* the pool, while it is not in there */
    double               made, idle_since;
};

/* ---- buffers and packets ---- */

/* Zeroes a secret, though nobody reads it afterwards. */
static void aio_mysql__erase(const void *secret, size_t n)
{
    for (volatile char *at = (volatile char *)(uintptr_t)secret; n; n--) *at++ = 0;
}

static bool aio_mysql__reserve(aio_mysql__buffer *b, size_t n)
{
    if (b->room - b->used >= n) return true;
    size_t room = (b->used + n) * 2;
    char *data = (char *)realloc(b->data, room);
    if (!data) return false;
    b->data = data;
    b->room = room;
    return true;
}

static bool aio_mysql__put(aio_mysql__buffer *b, const void *data, size_t n)
{
    if (!aio_mysql__reserve(b, n + 1)) return false;
    if (n) memcpy(b->data + b->used, data, n);
    b->used += n;
    b->data[b->used] = 0;
    return true;
}

static bool aio_mysql__put_number(aio_mysql__buffer *b, uint64_t value, int bytes)
{
    unsigned char text[8];
    for (int i = 0; i < bytes; i++) text[i] = (unsigned char)(value >> (8 * i));
    return aio_mysql__put(b, text, (size_t)bytes);
}

static bool aio_mysql__put_length(aio_mysql__buffer *b, uint64_t n)
{
    if (n < 251) return aio_mysql__put_number(b, n, 1);
    int bytes = n < 65536 ? 2 : n < 16777216 ? 3 : 8;
    return aio_mysql__put_number(b, bytes == 2 ? 252 : bytes == 3 ? 253 : 254, 1) && aio_mysql__put_number(b, n, bytes);
}

/* What is taken from a packet; `bad`: it was too short. */
typedef struct { const unsigned char *at, *end; bool bad; } aio_mysql__in;

static aio_mysql__in aio_mysql__in_of(aio_text packet, size_t from)
{
    const unsigned char *at = (const unsigned char *)packet.data;
    aio_mysql__in in = { at, at + packet.length, false };
    in.at += from < packet.length ? from : packet.length;
    return in;
}

static const unsigned char *aio_mysql__take(aio_mysql__in *in, uint64_t n)
{
    if (n > (uint64_t)(in->end - in->at)) in->bad = true;
    if (in->bad) return (const unsigned char *)"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    in->at += n;
    return in->at - n;
}

static uint64_t aio_mysql__number(aio_mysql__in *in, int bytes)
{
    const unsigned char *at = aio_mysql__take(in, (uint64_t)bytes);
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static uint64_t aio_mysql__length(aio_mysql__in *in)
{
    uint64_t first = aio_mysql__number(in, 1);
    if (first == 252) return aio_mysql__number(in, 2);
    if (first == 253) return aio_mysql__number(in, 3);
    if (first == 254) return aio_mysql__number(in, 8);
    if (first > 250) in->bad = true;
    return first;
}

static aio_text aio_mysql__bytes(aio_mysql__in *in)
{
    aio_text text;
    uint64_t n = aio_mysql__length(in);
    text.data = (const char *)aio_mysql__take(in, n);
    text.length = in->bad ? 0 : (size_t)n;
    return text;
}

/* Up to the next NUL, or the end. */
static aio_text aio_mysql__word(aio_mysql__in *in)
{
    aio_text text;
    const unsigned char *end = (const unsigned char *)memchr(in->at, 0, (size_t)(in->end - in->at));
    text.data = (const char *)in->at;
    text.length = (size_t)((end ? end : in->end) - in->at);
    in->at = end ? end + 1 : in->end;
    return text;
}

/* The latest error, which the coroutine that sees it raises. */
static int aio_mysql__fail(aio_mysql *db, int code, const char *text)
{
    db->error.used = 0;
    aio_mysql__put(&db->error, text, strlen(text));
    db->code = code;
    return -1;
}

static const char *aio_mysql__why(const aio_mysql *db) { return db->error.data ? db->error.data : "out of memory"; }

/* Tells the stream what rows have been taken. */
static void aio_mysql__settle(aio_mysql *db)
{
    if (db->taken) aio_stream_consume(db->stream, db->taken);
    db->taken = db->ahead.length = 0;
}

/* The next packet: 1 with *packet, which is there until the next read; 0: more bytes have to come; -1 with db->code. */
static int aio_mysql__packet(aio_mysql *db, aio_text *packet)
{
    aio_mysql__settle(db);
    for (;;) {
        aio_text in = aio_stream_unread(db->stream);
        const unsigned char *at = (const unsigned char *)in.data;
        if (db->joining && db->left) {
            size_t n = in.length < db->left ? in.length : db->left;
            if (!aio_mysql__put(&db->joined, in.data, n)) return aio_mysql__fail(db, ENOMEM, "out of memory");
            aio_stream_consume(db->stream, n);
            db->left -= n;
            if (db->left) return 0;
            continue;
        }
        if (db->joining && db->last) {
            packet->data = db->joined.data;
            packet->length = db->joined.used;
            db->joining = false;
            return 1;
        }
        if (in.length < 4) return 0;
        size_t n = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16;
        if (at[3] != db->seq) return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: a packet is out of order");
        if (n + (db->joining ? db->joined.used : 0) > db->options.max_packet)
            return aio_mysql__fail(db, AIO_ELIMIT, "MySQL: a packet is longer than max_packet");
        if (!db->joining && n < AIO_MYSQL__IN_PLACE) {
            if (in.length < n + 4) return 0;
            packet->data = in.data + 4;
            packet->length = n;
            aio_stream_consume(db->stream, n + 4);
            db->seq++;
            return 1;
        }
        if (!db->joining) db->joined.used = 0;
        aio_stream_consume(db->stream, 4);
        db->seq++;
        db->joining = true;
        db->left = n;
        db->last = n < AIO_MYSQL__PART;
    }
}

/* Begins a command in db->out; the place of the first header is left free. False: one is under way. */
static void aio_mysql__begin(aio_mysql *db)
{
    db->out.used = 0;
    db->out_of_memory = !aio_mysql__put_number(&db->out, 0, 4);
}

/* Writes what db->out has as packets. 0 or a code. */
static int aio_mysql__send(aio_mysql *db)
{
    size_t at = 4, n;
    int code = 0;
    if (db->out_of_memory) return ENOMEM;
    do {
        unsigned char head[4];
        n = db->out.used - at < AIO_MYSQL__PART ? db->out.used - at : (size_t)AIO_MYSQL__PART;
        head[0] = (unsigned char)n;
        head[1] = (unsigned char)(n >> 8);
        head[2] = (unsigned char)(n >> 16);
        head[3] = db->seq++;
        memcpy(db->out.data + at - 4, head, 4); /* what was there has been written */
        code = aio_stream_write(db->stream, db->out.data + at - 4, n + 4);
        at += n;
    } while (!code && n == AIO_MYSQL__PART);
    return code;
}

static void aio_mysql__rows_end(aio_mysql *db, int stage)
{
    db->stage = stage;
    aio_unref(db->row_done);
    db->row_done = NULL;
}

static void aio_mysql__lose(aio_mysql *db)
{
    aio_stream_abort(db->stream);
    db->stream = NULL;
    aio_mysql__rows_end(db, AIO_MYSQL__IDLE);
    db->joining = db->busy = false;
    db->taken = db->ahead.length = 0;
    for (int i = 0; i < AIO_MYSQL__STATEMENTS; i++) {
        free(db->statements[i].sql);
        memset(&db->statements[i], 0, sizeof db->statements[i]);
    }
}

/* ---- opening ---- */

static char *aio_mysql__copy(char **at, const char *text, size_t n)
{
    char *copy = *at;
    memcpy(copy, text, n);
    copy[n] = 0;
    *at += n + 1;
    return copy;
}

static size_t aio_mysql__size(const char *text) { return text ? strlen(text) + 1 : 0; }

aio_mysql *aio_mysql_open_with(const char *url, const aio_mysql_options *o)
{
    aio_url parsed;
    const char *why = NULL;
    if (aio_url_parse(&parsed, url, strlen(url), &why)) {
        errno = why && !strcmp(why, "out of memory") ? ENOMEM : EINVAL;
        return NULL;
    }
    bool fits = parsed.scheme.length == 5 && (!memcmp(parsed.scheme.data, "mysql", 5));
    aio_mysql *db = fits ? (aio_mysql *)calloc(1, sizeof *db) : NULL;
    size_t size = parsed.text.length + 8 + aio_mysql__size(o->user) + aio_mysql__size(o->password)
        + aio_mysql__size(o->database) + aio_mysql__size(o->unix_socket);
    char *at = db ? (char *)malloc(size + parsed.user.length + parsed.password.length) : NULL;
    if (!at) {
        free(db);
        aio_url_clear(&parsed);
        errno = fits ? ENOMEM : EINVAL;
        return NULL;
    }
    db->texts = at;
    db->options = *o;
    db->host = aio_mysql__copy(&at, parsed.host.data, parsed.host.length);
    db->port = parsed.port ? parsed.port : 3306;
    db->options.user = o->user ? aio_mysql__copy(&at, o->user, strlen(o->user))
        : aio_mysql__copy(&at, parsed.user.data ? parsed.user.data : "", parsed.user.length);
    db->options.password = o->password ? aio_mysql__copy(&at, o->password, strlen(o->password))
        : aio_mysql__copy(&at, parsed.password.data ? parsed.password.data : "", parsed.password.length);
    const char *path = parsed.path.length ? parsed.path.data + 1 : "";
    db->options.database = o->database ? aio_mysql__copy(&at, o->database, strlen(o->database))
        : aio_mysql__copy(&at, path, parsed.path.length ? parsed.path.length - 1 : 0);
    if (o->unix_socket) db->options.unix_socket = aio_mysql__copy(&at, o->unix_socket, strlen(o->unix_socket));
    if (!o->max_packet) db->options.max_packet = (size_t)64 << 20;
    if (o->connect_timeout == 0) db->options.connect_timeout = 10;
    if (o->kill_timeout == 0) db->options.kill_timeout = 5;
    aio_url_clear(&parsed);
    return db;
}

void aio_mysql_close(aio_mysql *db)
{
    if (!db) return;
    if (db->stream && !db->busy && db->stage == AIO_MYSQL__IDLE) { /* COM_QUIT; the server says nothing to it */
        aio_stream_write(db->stream, "\1\0\0\0\1", 5);
        aio_stream_close(db->stream);
        db->stream = NULL;
    }
    if (db->stream) aio_stream_abort(db->stream);
    db->stream = NULL;
    aio_mysql__rows_end(db, AIO_MYSQL__IDLE);
    for (int i = 0; i < AIO_MYSQL__STATEMENTS; i++) free(db->statements[i].sql);
    aio_mysql__erase(db->options.password, strlen(db->options.password));
    aio_mysql__erase(db->row.data, db->row.room);
    free(db->texts);
    free(db->out.data);
    free(db->joined.data);
    free(db->names.data);
    free(db->row.data);
    free(db->error.data);
    free(db->columns);
    free(db->cells);
    free(db);
}

bool aio_mysql_is_connected(const aio_mysql *db) { return db->stream != NULL; }
const char *aio_mysql_server(const aio_mysql *db) { return db->version; }

/* ---- authentication ---- */

#ifndef AIO_NO_TLS
static void aio_mysql__hash(const EVP_MD *md, const void *a, size_t na, const void *b, size_t nb, unsigned char *out)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    unsigned n = 0;
    if (c && EVP_DigestInit_ex(c, md, NULL) && EVP_DigestUpdate(c, a, na) && EVP_DigestUpdate(c, b, nb))
        EVP_DigestFinal_ex(c, out, &n);
    EVP_MD_CTX_free(c);
}

/* mysql_native_password: SHA1(p) ^ SHA1(nonce, SHA1(SHA1(p))); caching_sha2_password: SHA256(p) ^ SHA256(SHA256(
 * SHA256(p)), nonce). Its length. */
static size_t aio_mysql__scramble(const aio_mysql *db, bool sha2, unsigned char *out)
{
    const EVP_MD *md = sha2 ? EVP_sha256() : EVP_sha1();
    unsigned char one[32], two[32], three[32];
    size_t n = sha2 ? 32 : 20, length = strlen(db->options.password);
    if (!length) return 0;
    memset(three, 0, sizeof three);
    aio_mysql__hash(md, db->options.password, length, "", 0, one);
    aio_mysql__hash(md, one, n, "", 0, two);
    if (sha2) aio_mysql__hash(md, two, n, db->nonce, AIO_MYSQL__NONCE, three);
    else aio_mysql__hash(md, db->nonce, AIO_MYSQL__NONCE, two, n, three);
    for (size_t i = 0; i < n; i++) out[i] = one[i] ^ three[i];
    aio_mysql__erase(one, sizeof one);
    return n;
}

/* The password and its NUL, masked by the nonce, for the server's key alone. False: the key is none. */
static bool aio_mysql__encrypt(aio_mysql *db, aio_text pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.length);
    EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY_CTX *c = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    size_t length = strlen(db->options.password) + 1, n = 0;
    unsigned char *masked = (unsigned char *)malloc(length);
    bool done = masked && c && EVP_PKEY_encrypt_init(c) > 0
        && EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) > 0;
    for (size_t i = 0; masked && i < length; i++)
        masked[i] = (unsigned char)((unsigned char)db->options.password[i] ^ db->nonce[i % AIO_MYSQL__NONCE]);
    done = done && EVP_PKEY_encrypt(c, NULL, &n, masked, length) > 0 && aio_mysql__reserve(&db->out, n + 1)
        && EVP_PKEY_encrypt(c, (unsigned char *)db->out.data + db->out.used, &n, masked, length) > 0;
    if (done) db->out.used += n;
    aio_mysql__erase(masked, masked ? length : 0);
    free(masked);
    EVP_PKEY_CTX_free(c);
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error(); /* it is told here, and nobody else's */
    return done;
}
#endif

/* Appends the answer to the server's question, without its length; by the plugin that it wants. */
static int aio_mysql__prove(aio_mysql *db, aio_mysql__buffer *proof)
{
    const char *password = db->options.password;
    proof->used = 0;
    if (!strcmp(db->plugin, "unix_socket") || !strcmp(db->plugin, "auth_socket")) return 0;
    if (!strcmp(db->plugin, "mysql_clear_password")) {
        if (!db->is_secret)
            return aio_mysql__fail(db, EACCES, "MySQL: the server wants the password in clear");
        return aio_mysql__put(proof, password, strlen(password) + 1) ? 0 : aio_mysql__fail(db, ENOMEM, "out of memory");
    }
#ifndef AIO_NO_TLS
    unsigned char text[32];
    bool sha2 = !strcmp(db->plugin, "caching_sha2_password");
    if (sha2 || !strcmp(db->plugin, "mysql_native_password")) {
        size_t n = aio_mysql__scramble(db, sha2, text);
        return aio_mysql__put(proof, text, n) ? 0 : aio_mysql__fail(db, ENOMEM, "out of memory");
    }
#endif
    char why[100];
    snprintf(why, sizeof why, "MySQL: no way to authenticate by %s", db->plugin);
    return aio_mysql__fail(db, ENOTSUP, why);
}

static void aio_mysql__set_plugin(aio_mysql *db, aio_text name)
{
    snprintf(db->plugin, sizeof db->plugin, "%.*s", (int)(name.length < 39 ? name.length : 39), name.data);
}

static void aio_mysql__set_nonce(aio_mysql *db, const unsigned char *data, size_t n)
{
    memset(db->nonce, 0, sizeof db->nonce);
    memcpy(db->nonce, data, n < AIO_MYSQL__NONCE ? n : (size_t)AIO_MYSQL__NONCE);
}

/* An ERR packet, as an error of the server. */
static int aio_mysql__error(aio_mysql *db, aio_text packet)
{
    aio_mysql__in in = aio_mysql__in_of(packet, 1);
    int number = (int)aio_mysql__number(&in, 2);
    char state[8] = "";
    if (in.bad || !number) return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: an error is cut short");
    if (in.at < in.end && *in.at == '#')
        snprintf(state, sizeof state, "%.5s", (const char *)aio_mysql__take(&in, 6) + 1);
    char head[60];
    size_t length = in.bad ? 0 : (size_t)(in.end - in.at);
    snprintf(head, sizeof head, "MySQL %d (%s): ", number, state);
    aio_mysql__fail(db, AIO_MYSQL_ERRORS + number, head);
    aio_mysql__put(&db->error, in.at, length < 500 ? length : 500);
    return -1;
}

/* The server's greeting. 0 or -1. */
static int aio_mysql__greeting(aio_mysql *db, aio_text packet)
{
    aio_mysql__in in = aio_mysql__in_of(packet, 0);
    unsigned char nonce[AIO_MYSQL__NONCE];
    if (packet.length && *in.at == 255) return aio_mysql__error(db, packet);
    if (aio_mysql__number(&in, 1) != 10) return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: this is no MySQL server");
    aio_text version = aio_mysql__word(&in);
    if (version.length > 6 && !memcmp(version.data, "5.5.5-", 6)) { /* MariaDB says so for old replicas */
        version.data += 6;
        version.length -= 6;
    }
    snprintf(db->version, sizeof db->version, "%.*s", (int)(version.length < 63 ? version.length : 63), version.data);
    db->thread = (uint32_t)aio_mysql__number(&in, 4);
    memcpy(nonce, aio_mysql__take(&in, 8), 8);
    aio_mysql__take(&in, 1);
    db->caps = (uint32_t)aio_mysql__number(&in, 2);
    aio_mysql__take(&in, 1 + 2);
    db->caps |= (uint32_t)aio_mysql__number(&in, 2) << 16;
    size_t length = (size_t)aio_mysql__number(&in, 1);
    aio_mysql__take(&in, 10);
    length = length > 21 ? length - 8 : 13;
    memcpy(nonce + 8, aio_mysql__take(&in, 12), 12);
    if (length > 12) aio_mysql__take(&in, length - 12);
    uint32_t needed = AIO_MYSQL__41 | AIO_MYSQL__SECURE | AIO_MYSQL__PLUGIN;
    if (in.bad || (db->caps & needed) != needed)
        return aio_mysql__fail(db, ENOTSUP, "MySQL: the server is too old, or none");
    aio_mysql__set_nonce(db, nonce, sizeof nonce);
    aio_mysql__set_plugin(db, aio_mysql__word(&in));
    return 0;
}

static void aio_mysql__put_hello(aio_mysql *db, bool tls)
{
    uint32_t caps = AIO_MYSQL__LONG_PASSWORD | AIO_MYSQL__41 | AIO_MYSQL__TRANSACTIONS | AIO_MYSQL__SECURE
        | AIO_MYSQL__MULTI_RESULTS | AIO_MYSQL__PS_MULTI | AIO_MYSQL__PLUGIN | AIO_MYSQL__MULTI;
    if (*db->options.database) caps |= AIO_MYSQL__WITH_DB;
    if (db->options.local_infile) caps |= AIO_MYSQL__LOCAL_FILES;
    if (db->caps & AIO_MYSQL__LENENC_AUTH) caps |= AIO_MYSQL__LENENC_AUTH;
    if (tls) caps |= AIO_MYSQL__SSL;
    aio_mysql__begin(db);
    char zeros[23];
    memset(zeros, 0, sizeof zeros);
    db->out_of_memory = db->out_of_memory || !aio_mysql__put_number(&db->out, caps, 4)
        || !aio_mysql__put_number(&db->out, 1 << 30, 4) || !aio_mysql__put_number(&db->out, AIO_MYSQL__UTF8MB4, 1)
        || !aio_mysql__put(&db->out, zeros, 23);
}

/* The whole answer to the greeting, in db->out. 0 or -1. */
static int aio_mysql__put_login(aio_mysql *db, bool tls)
{
    aio_mysql__put_hello(db, tls);
    if (!strcmp(db->plugin, "mysql_clear_password")) snprintf(db->plugin, sizeof db->plugin, "mysql_native_password");
    int code = aio_mysql__prove(db, &db->row);
    if (code && db->code != ENOTSUP) return code;
    if (code) { /* a plugin that is not ours: the server may have another one for this user */
        snprintf(db->plugin, sizeof db->plugin, "mysql_native_password");
        if (aio_mysql__prove(db, &db->row)) return -1;
    }
    aio_mysql__buffer *out = &db->out;
    db->out_of_memory = db->out_of_memory || !aio_mysql__put(out, db->options.user, strlen(db->options.user) + 1)
        || !aio_mysql__put_number(out, db->row.used, 1) || !aio_mysql__put(out, db->row.data, db->row.used)
        || (*db->options.database && !aio_mysql__put(out, db->options.database, strlen(db->options.database) + 1))
        || !aio_mysql__put(out, db->plugin, strlen(db->plugin) + 1);
    return 0;
}

#ifndef AIO_NO_TLS
/* caching_sha2_password: the server knows us, or it wants the password, or its key has come. As below. */
static int aio_mysql__sha2_step(aio_mysql *db, aio_text packet)
{
    int what = packet.length == 2 ? packet.data[1] : 0;
    const char *password = db->options.password;
    if (what == 3) { /* OK follows */
        db->out.used = 0;
        return 0;
    }
    if (db->is_secret) {
        if (what != 4) return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: the server has sent a key unasked");
        db->out_of_memory = db->out_of_memory || !aio_mysql__put(&db->out, password, strlen(password) + 1);
        return 0;
    }
    if (!db->options.public_key)
        return aio_mysql__fail(db, EACCES, "MySQL: the server wants the password, and this connection is in clear: "
                                           "use .tls, a unix socket, or .public_key");
    if (what == 4) {
        db->out_of_memory = db->out_of_memory || !aio_mysql__put_number(&db->out, 2, 1);
        return 0;
    }
    aio_text pem = { packet.data + 1, packet.length - 1 };
    if (aio_mysql__encrypt(db, pem)) return 0;
    return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: the server's key is none");
}
#endif

/* What the server says in the middle of it. 1: it has let us in; 0: db->out has an answer, if `used` is not 0; -1. */
static int aio_mysql__login_step(aio_mysql *db, aio_text packet)
{
    const unsigned char *at = (const unsigned char *)packet.data;
    aio_mysql__in in = { at + 1, at + packet.length, false };
    aio_mysql__begin(db);
    if (!packet.length) return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: an empty packet while logging in");
    if (at[0] == 0) return 1;
    if (at[0] == 255) return aio_mysql__error(db, packet);
    if (at[0] == 254) { /* another plugin */
        aio_mysql__set_plugin(db, aio_mysql__word(&in));
        aio_mysql__set_nonce(db, in.at, (size_t)(in.end - in.at));
        if (aio_mysql__prove(db, &db->row)) return -1;
        db->out_of_memory = db->out_of_memory || !aio_mysql__put(&db->out, db->row.data, db->row.used);
        return 0;
    }
#ifndef AIO_NO_TLS
    if (at[0] == 1 && !strcmp(db->plugin, "caching_sha2_password")) return aio_mysql__sha2_step(db, packet);
#endif
    return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: no known packet while logging in");
}

static const char aio_mysql__connect[] = "connecting", aio_mysql__greet[] = "waiting for its greeting",
    aio_mysql__shake[] = "TLS handshake", aio_mysql__enter[] = "logging in";

/* What begins so is of another protocol. */
static const char *aio_mysql__other(aio_text in)
{
    static const struct { const char *begin, *what; } others[] = {
        { "HTTP/", ": it looks like HTTP" }, { "SSH-", ": it looks like SSH" }, { "\x15\x03", ": it looks like TLS" },
        { "\x16\x03", ": it looks like TLS" }, { "220", ": it looks like FTP or SMTP" },
        { "-ERR", ": it looks like Redis or POP3" }, { "-NOAUTH", ": it looks like Redis" },
        { "-DENIED", ": it looks like Redis" }, { "+OK", ": it looks like Redis or POP3" },
        { "* OK", ": it looks like IMAP" }
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t n = strlen(others[i].begin);
        if (in.length >= n && !memcmp(in.data, others[i].begin, n)) return others[i].what;
    }
    return "";
}

/* The packet of the greeting, as aio_mysql__packet; what cannot be one is not waited for. */
static int aio_mysql__first(aio_mysql *db, aio_text *packet)
{
    aio_text in = aio_stream_unread(db->stream);
    const unsigned char *at = (const unsigned char *)in.data;
    if (in.length < 5) return 0;
    if (!at[2] && !at[3] && (at[4] == 10 || at[4] == 255)) return aio_mysql__packet(db, packet);
    char why[100];
    snprintf(why, sizeof why, "MySQL: this is no MySQL server%s", aio_mysql__other(in));
    return aio_mysql__fail(db, AIO_ERUNTIME, why);
}

/* What went wrong before the server had let us in, with the server's name: of `db`. */
static const char *aio_mysql__blame(aio_mysql *db, const aio_exception *error)
{
    char text[1200], place[400], limit[60];
    const char *hint = db->doing == aio_mysql__greet ? ": a MySQL server speaks first, this one is silent" : "";
    if (db->options.unix_socket) snprintf(place, sizeof place, "%s", db->options.unix_socket);
    else snprintf(place, sizeof place, strchr(db->host, ':') ? "[%s]:%d" : "%s:%d", db->host, db->port);
    snprintf(limit, sizeof limit, "not done within %g s", db->options.connect_timeout);
    if (error->code == AIO_ETIMEOUT)
        snprintf(text, sizeof text, "MySQL at %s: %s: %s%s", place, db->doing,
                 *error->phase ? error->message : limit, hint);
    else snprintf(text, sizeof text, "%.700s (MySQL at %s, %s)", error->message, place, db->doing);
    aio_mysql__fail(db, error->code, text);
    return aio_mysql__why(db);
}

/* In a coroutine: the next packet, or an error is raised. */
#define AIO_MYSQL__READ(db, packet) AIO_MYSQL__READ_BY(aio_mysql__packet, (db), (packet))
#define AIO_MYSQL__READ_BY(take, db, packet)                                                           \
    while ((self->step = take((db), &(packet))) == 0) {                                                \
        AIO_AWAIT(self->more, aio_stream_more((db)->stream));                                          \
        if (!self->more.length)                                                                        \
            AIO_RAISE(AIO_EDISCONNECTED, "MySQL: the server closed the connection");                   \
    }                                                                                                  \
    if (self->step < 0) AIO_RAISE((db)->code, "%s", aio_mysql__why(db))
#define AIO_MYSQL__SEND(db)                                                                            \
    do {                                                                                               \
        self->step = aio_mysql__send(db);                                                              \
        if (self->step) AIO_RAISE(self->step);                                                         \
        AIO_AWAIT(aio_stream_drain((db)->stream));                                                     \
    } while (0)

struct aio_mysql__login { aio_task task; aio_mysql *db; aio_text packet, more; int step, asked; bool tls, done; };
static AIO_CORO(aio_mysql__login)
{
    AIO_BEGIN(aio_mysql__login);
    self->tls = self->db->options.tls || self->db->options.tls_context;
    self->db->doing = aio_mysql__connect;
    if (self->db->options.unix_socket)
        AIO_AWAIT(self->db->stream, aio_open_unix_connection(self->db->options.unix_socket));
    else AIO_AWAIT(self->db->stream, aio_open_connection(self->db->host, self->db->port));
    self->db->seq = 0;
    self->db->doing = aio_mysql__greet;
    self->db->is_secret = self->db->options.unix_socket != NULL;
    AIO_MYSQL__READ_BY(aio_mysql__first, self->db, self->packet);
    if (aio_mysql__greeting(self->db, self->packet)) AIO_RAISE(self->db->code, "%s", aio_mysql__why(self->db));
    if (self->tls) {
        self->db->doing = aio_mysql__shake;
        if (!(self->db->caps & AIO_MYSQL__SSL)) AIO_RAISE(AIO_ETLS, "MySQL: the server has no TLS");
        aio_mysql__put_hello(self->db, true);
        AIO_MYSQL__SEND(self->db);
        AIO_AWAIT(aio_stream_start_tls(self->db->stream, self->db->options.tls_context, self->db->host));
        self->db->is_secret = true;
    }
    self->db->doing = aio_mysql__enter;
    if (aio_mysql__put_login(self->db, self->tls)) AIO_RAISE(self->db->code, "%s", aio_mysql__why(self->db));
    AIO_MYSQL__SEND(self->db);
    for (;;) {
        if (self->asked++ == AIO_MYSQL__QUESTIONS)
            AIO_RAISE(AIO_ELIMIT, "MySQL: the server asks again and again who we are");
        AIO_MYSQL__READ(self->db, self->packet);
        self->step = aio_mysql__login_step(self->db, self->packet);
        if (self->step < 0) AIO_RAISE(self->db->code, "%s", aio_mysql__why(self->db));
        if (self->step == 1) break;
        if (self->db->out.used) AIO_MYSQL__SEND(self->db);
    }
    self->done = true;
    AIO_FINALLY;
        aio_mysql__erase(self->db->out.data, self->db->out.room); /* the password, where it goes there */
        if (!self->done && self->db->stream) aio_mysql__lose(self->db);
    AIO_END;
}

struct aio_mysql__connecting { aio_task task; aio_mysql *db; bool held; };
static AIO_CORO(aio_mysql__connecting)
{
    AIO_BEGIN(aio_mysql__connecting);
    if (self->db->busy && self->db->doing) AIO_RAISE(AIO_ERUNTIME, "MySQL: this connection is being connected already");
    if (self->db->stream) AIO_RETURN();
    self->db->busy = self->held = true;
    self->db->doing = aio_mysql__connect;
    AIO_TRY {
        AIO_TIMEOUT(self->db->options.connect_timeout) AIO_AWAIT(AIO_CALL(aio_mysql__login, .db = self->db));
    } AIO_CATCH {
        if (self->db->doing == aio_mysql__connect && aio_caught(self)->code != AIO_ETIMEOUT) AIO_RERAISE();
        AIO_RAISE(aio_caught(self)->code, "%s", aio_mysql__blame(self->db, aio_caught(self)));
    } AIO_END_TRY;
    self->db->made = self->db->idle_since = aio_time();
    self->db->doing = NULL;
    AIO_FINALLY;
        if (self->held) self->db->busy = false;
    AIO_END;
}

aio_future *aio_mysql_connect(aio_mysql *db)
{
    return (aio_future *)(void *)AIO_CALL(aio_mysql__connecting, .db = db);
}

/* ---- results ---- */

/* The answer to a command. 0: it was an OK; 1: columns follow, *count of them; 2: the server asks for a file; -1. */
static int aio_mysql__answer(aio_mysql *db, aio_text packet, size_t *count)
{
    const unsigned char *at = (const unsigned char *)packet.data;
    aio_mysql__in in = { at, at + packet.length, false };
    db->result.column_count = *count = 0;
    db->result.affected_rows = db->result.insert_id = 0;
    if (!packet.length) return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: an empty answer");
    if (at[0] == 255) return aio_mysql__error(db, packet);
    if (at[0] == 251) return 2;
    if (at[0]) {
        uint64_t n = aio_mysql__length(&in);
        if (in.bad || n > AIO_MYSQL__COLUMNS) return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: too many columns");
        *count = (size_t)n;
        return 1;
    }
    aio_mysql__take(&in, 1);
    db->result.affected_rows = aio_mysql__length(&in);
    db->result.insert_id = aio_mysql__length(&in);
    db->status = (uint32_t)aio_mysql__number(&in, 2);
    db->result.warnings = (unsigned)aio_mysql__number(&in, 2);
    if (in.bad) return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: an OK is cut short");
    db->stage = db->status & AIO_MYSQL__MORE_RESULTS ? AIO_MYSQL__NEXT_RESULT : AIO_MYSQL__IDLE;
    return 0;
}

static bool aio_mysql__columns_room(aio_mysql *db, size_t count)
{
    db->names.used = 0;
    if (count <= db->room) return true;
    aio_mysql_column *columns = (aio_mysql_column *)realloc(db->columns, count * sizeof *columns);
    if (columns) db->columns = columns;
    aio_mysql__cell *cells = (aio_mysql__cell *)realloc(db->cells, count * sizeof *cells);
    if (cells) db->cells = cells;
    if (columns && cells) db->room = count;
    return columns && cells;
}

/* An EOF packet after columns or rows. */
static bool aio_mysql__is_eof(aio_text packet)
{
    return packet.length < 9 && packet.length && (unsigned char)packet.data[0] == 254;
}

static bool aio_mysql__is_error(aio_text packet) { return packet.length && (unsigned char)packet.data[0] == 255; }

/* One column's definition. Until all are there, name and table are places in db->names. */
static int aio_mysql__column(aio_mysql *db, size_t i, aio_text packet)
{
    aio_mysql__in in = aio_mysql__in_of(packet, 0);
    aio_mysql_column *column = &db->columns[i];
    if (aio_mysql__is_eof(packet))
        return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: fewer columns than were announced");
    memset(column, 0, sizeof *column);
    aio_mysql__bytes(&in);
    aio_mysql__bytes(&in);
    aio_text table = aio_mysql__bytes(&in);
    aio_mysql__bytes(&in);
    aio_text name = aio_mysql__bytes(&in);
    aio_mysql__bytes(&in);
    aio_mysql__length(&in);
    uint64_t charset = aio_mysql__number(&in, 2);
    aio_mysql__take(&in, 4);
    column->type = (int)aio_mysql__number(&in, 1);
    column->flags = (unsigned)aio_mysql__number(&in, 2);
    column->is_binary = charset == 63 && column->type >= 249 && column->type <= 254;
    if (in.bad) return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: a column is cut short");
    if (db->names.used + name.length + table.length > db->options.max_packet)
        return aio_mysql__fail(db, AIO_ELIMIT, "MySQL: the columns' names are longer than max_packet");
    db->cells[i].at = db->names.used;
    if (!aio_mysql__put(&db->names, name.data, name.length)) return aio_mysql__fail(db, ENOMEM, "out of memory");
    db->names.used++;
    db->cells[i].length = db->names.used;
    if (!aio_mysql__put(&db->names, table.data, table.length)) return aio_mysql__fail(db, ENOMEM, "out of memory");
    db->names.used++;
    return 0;
}

/* False without memory. */
static bool aio_mysql__columns_done(aio_mysql *db, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        db->columns[i].name = db->names.data + db->cells[i].at;
        db->columns[i].table = db->names.data + db->cells[i].length;
    }
    for (size_t i = 0; i < count; i++) db->cells[i].is_null = true; /* no row yet */
    db->result.columns = db->columns;
    db->result.column_count = count;
    db->stage = AIO_MYSQL__ROWS;
    db->row_done = AIO_FUTURE_WITH(aio_mysql_result_task, NULL);
    if (!db->row_done) return false;
    db->row_done->result = &db->result;
    aio_future_set_done(db->row_done);
    return true;
}

/* 0, or -1. */
static int aio_mysql__eof(aio_mysql *db, aio_text packet)
{
    aio_mysql__in in = aio_mysql__in_of(packet, 1);
    db->result.warnings = (unsigned)aio_mysql__number(&in, 2);
    db->status = (uint32_t)aio_mysql__number(&in, 2);
    return in.bad ? aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: an end of columns or rows is cut short") : 0;
}

static int aio_mysql__columns_end(aio_mysql *db, aio_text packet)
{
    if (aio_mysql__is_eof(packet)) return aio_mysql__eof(db, packet);
    return aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: more columns than were announced");
}

static bool aio_mysql__cell_put(aio_mysql *db, size_t i, const void *data, size_t n)
{
    db->cells[i].at = db->row.used;
    db->cells[i].length = n;
    db->cells[i].is_null = false;
    if (!aio_mysql__put(&db->row, data, n)) return false;
    db->row.used++; /* its NUL */
    return true;
}

static int aio_mysql__date(char *text, size_t size, aio_mysql__in *in, int type)
{
    unsigned n = (unsigned)aio_mysql__number(in, 1);
    aio_mysql__in at = { aio_mysql__take(in, n), NULL, false };
    if (in->bad) return 0;
    at.end = at.at + n;
    in->bad = type == 11 ? n && n != 8 && n != 12 : n && n != 4 && n != 7 && n != 11;
    if (in->bad) return 0;
    if (type == 11) { /* TIME */
        bool negative = n >= 8 && aio_mysql__number(&at, 1);
        unsigned days = n >= 8 ? (unsigned)aio_mysql__number(&at, 4) : 0, h = 0, m = 0, s = 0;
        if (n >= 8) {
            h = (unsigned)aio_mysql__number(&at, 1);
            m = (unsigned)aio_mysql__number(&at, 1);
            s = (unsigned)aio_mysql__number(&at, 1);
        }
        int used = snprintf(text, size, "%s%02u:%02u:%02u", negative ? "-" : "", days * 24 + h, m, s);
        if (n >= 12) used += snprintf(text + used, size - (size_t)used, ".%06u", (unsigned)aio_mysql__number(&at, 4));
        return used;
    }
    unsigned v[6] = { 0, 0, 0, 0, 0, 0 };
    if (n >= 4) {
        v[0] = (unsigned)aio_mysql__number(&at, 2);
        v[1] = (unsigned)aio_mysql__number(&at, 1);
        v[2] = (unsigned)aio_mysql__number(&at, 1);
    }
    for (int i = 3; n >= 7 && i < 6; i++) v[i] = (unsigned)aio_mysql__number(&at, 1);
    int used = snprintf(text, size, "%04u-%02u-%02u", v[0], v[1], v[2]);
    if (type != 10) used += snprintf(text + used, size - (size_t)used, " %02u:%02u:%02u", v[3], v[4], v[5]);
    if (n >= 11) used += snprintf(text + used, size - (size_t)used, ".%06u", (unsigned)aio_mysql__number(&at, 4));
    return used;
}

/* A number that printf has written, with a '.', whatever LC_NUMERIC has in its place. */
static int aio_mysql__point(char *text)
{
    char *point = text + strspn(text, "+-0123456789einfa");
    size_t width = strcspn(point, "0123456789e");
    if (width) *point = '.';
    if (width > 1) memmove(point + 1, point + width, strlen(point + width) + 1);
    return (int)strlen(text);
}

/* strtod of a number with a '.', likewise. */
static double aio_mysql__strtod(const char *text)
{
    const char *point = localeconv()->decimal_point;
    char copy[512];
    size_t width = strlen(point), n = strcspn(text, point), dot = strcspn(text, ".");
    if (!strcmp(point, ".") || n + width >= sizeof copy) return strtod(text, NULL);
    if (dot > n) dot = n;
    memcpy(copy, text, dot);
    memcpy(copy + dot, point, width);
    if (dot < n) memcpy(copy + dot + width, text + dot + 1, n - dot - 1);
    copy[dot < n ? n + width - 1 : n] = 0;
    return strtod(copy, NULL);
}

/* In the fewest digits that are read back as the same value. */
static int aio_mysql__real_text(char *text, size_t size, double value, bool is_float)
{
    int n = 0, most = is_float ? 9 : 17;
    for (int digits = is_float ? 6 : 15; digits <= most; digits++) {
        n = snprintf(text, size, "%.*g", digits, value);
        if (is_float ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value) break;
    }
    return n ? aio_mysql__point(text) : 0;
}

/* One value of the binary protocol, written as the text protocol has it. False: the packet is bad, or no memory. */
static bool aio_mysql__binary_cell(aio_mysql *db, size_t i, aio_mysql__in *in)
{
    static const signed char sizes[16] = { -1, 1, 2, 4, 4, 8, -1, -2, 8, 4, -2, -2, -2, 2, -1, -1 };
    const aio_mysql_column *column = &db->columns[i];
    char text[64];
    int type = column->type, size = type < 16 ? sizes[type] : -1, n;
    if (size == -2) {
        n = aio_mysql__date(text, sizeof text, in, type);
        return !in->bad && aio_mysql__cell_put(db, i, text, (size_t)n);
    }
    if (size < 0) {
        aio_text bytes = aio_mysql__bytes(in);
        return !in->bad && aio_mysql__cell_put(db, i, bytes.data, bytes.length);
    }
    uint64_t value = aio_mysql__number(in, size);
    if (type == 4) {
        uint32_t bits = (uint32_t)value;
        float real;
        memcpy(&real, &bits, 4);
        n = aio_mysql__real_text(text, sizeof text, (double)real, true);
    } else if (type == 5) {
        double real;
        memcpy(&real, &value, 8);
        n = aio_mysql__real_text(text, sizeof text, real, false);
    } else if (column->flags & 32) {
        n = snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    } else {
        uint64_t sign = (uint64_t)1 << (8 * size - 1);
        n = snprintf(text, sizeof text, "%lld", (long long)(int64_t)((value ^ sign) - sign));
    }
    return !in->bad && aio_mysql__cell_put(db, i, text, (size_t)n);
}

/* A row of the binary protocol: NULLs as bits, then the values that are not. 0 or a code. */
static int aio_mysql__binary_row(aio_mysql *db, aio_text packet)
{
    aio_mysql__in in = aio_mysql__in_of(packet, 1);
    size_t count = db->result.column_count;
    if (!packet.length || *packet.data) return AIO_ERUNTIME;
    const unsigned char *nulls = aio_mysql__take(&in, (count + 9) / 8);
    db->row.used = 0;
    for (size_t i = 0; i < count && !in.bad; i++) {
        db->cells[i].is_null = (nulls[(i + 2) / 8] >> ((i + 2) % 8)) & 1;
        if (!db->cells[i].is_null && !aio_mysql__binary_cell(db, i, &in)) return in.bad ? (int)AIO_ERUNTIME : ENOMEM;
    }
    return in.bad || in.at != in.end ? (int)AIO_ERUNTIME : 0;
}

/* A row of the text protocol, which is kept whole: each text's NUL takes the place of the length that follows it. */
static int aio_mysql__text_row(aio_mysql *db, aio_text packet)
{
    if (packet.data == db->joined.data) {
        aio_mysql__buffer row = db->row;
        db->row = db->joined;
        db->joined = row;
    } else {
        db->row.used = 0;
        if (db->row.room <= packet.length && !aio_mysql__reserve(&db->row, packet.length + 1)) return ENOMEM;
        memcpy(db->row.data, packet.data, packet.length);
        db->row.data[packet.length] = 0;
    }
    unsigned char *base = (unsigned char *)db->row.data;
    aio_mysql__in in = { base, base + packet.length, false };
    for (size_t i = 0; i < db->result.column_count; i++) {
        aio_mysql__cell *cell = &db->cells[i];
        size_t head = (size_t)(in.at - base);
        cell->is_null = in.at < in.end && *in.at == 251;
        if (cell->is_null) in.at++;
        else if (in.at < in.end && *in.at < 251) {
            cell->length = *in.at++;
            cell->at = head + 1;
            aio_mysql__take(&in, cell->length);
        } else {
            aio_text bytes = aio_mysql__bytes(&in);
            cell->at = (size_t)((const unsigned char *)bytes.data - base);
            cell->length = bytes.length;
        }
        if (in.bad) return AIO_ERUNTIME;
        base[head] = 0;
    }
    return in.at == in.end ? 0 : (int)AIO_ERUNTIME;
}

/* 0, or -1. */
static int aio_mysql__row(aio_mysql *db, aio_text packet)
{
    int code = db->binary ? aio_mysql__binary_row(db, packet) : aio_mysql__text_row(db, packet);
    if (!code) return 0;
    for (size_t i = 0; i < db->result.column_count; i++) db->cells[i].is_null = true;
    return aio_mysql__fail(db, code, code == ENOMEM ? "out of memory" : "MySQL: a row is not as its columns are");
}

/* ---- KILL QUERY ---- */

struct aio_mysql__kill { aio_task task; aio_mysql *db; uint32_t thread; double timeout; aio_mysql_result *done;
                         char sql[40]; };
static AIO_CORO(aio_mysql__kill)
{
    AIO_BEGIN(aio_mysql__kill);
    AIO_TRY {
        AIO_TIMEOUT(self->timeout) {
            AIO_AWAIT(aio_mysql_connect(self->db));
            snprintf(self->sql, sizeof self->sql, "KILL QUERY %u", (unsigned)self->thread);
            AIO_AWAIT(self->done, aio_mysql_query(self->db, self->sql));
        }
    } AIO_CATCH {
        /* the server will see that nobody reads */
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_mysql_close(self->db);
    AIO_END;
}

/* Another connection as this one. */
static aio_mysql *aio_mysql__twin(const aio_mysql *db)
{
    char url[300]; /* aio_url_parse takes no host of more than 253 bytes */
    snprintf(url, sizeof url, strchr(db->host, ':') ? "mysql://[%s]:%d/" : "mysql://%s:%d/", db->host, db->port);
    return aio_mysql_open_with(url, &db->options);
}

/* Kills what `db` is at, over another connection. NULL: no memory, or it is not to be. */
static struct aio_mysql__kill *aio_mysql__killing(const aio_mysql *db)
{
    aio_mysql *twin = db->options.kill_timeout == AIO_NOW ? NULL : aio_mysql__twin(db);
    if (!twin) return NULL;
    twin->options.kill_timeout = AIO_NOW;
    struct aio_mysql__kill *kill = AIO_CALL(aio_mysql__kill, .db = twin, .thread = db->thread,
                                            .timeout = db->options.kill_timeout);
    if (!kill) aio_mysql_close(twin);
    return kill;
}

/* The same for one whose result nobody reads to its end; nobody waits for that. */
static void aio_mysql__kill_later(aio_mysql *db)
{
    struct aio_mysql__kill *kill = aio_mysql__killing(db);
    aio_mysql *twin = kill ? kill->db : NULL;
    kill = aio_create_task(kill);
    if (!kill) aio_mysql_close(twin); /* it has not begun */
    aio_unref(kill);
}

/* ---- commands ---- */

struct aio_mysql__querying { aio_task task; aio_mysql_result *result; aio_mysql *db; uint64_t call;
    aio_text packet, more; struct aio_mysql__kill *kill; size_t count, i; int step, kind, file;
    bool within /* one that passes a result over */, held /* the connection is ours */, begun, done; };
enum { AIO_MYSQL__QUERY, AIO_MYSQL__EXECUTE, AIO_MYSQL__MORE, AIO_MYSQL__PING };

static AIO_CORO(aio_mysql__querying);

/* What may still come of the result before: rows that nobody has read. */
struct aio_mysql__skipping { aio_task task; aio_mysql_result *result; aio_mysql *db; };
static AIO_CORO(aio_mysql__skipping)
{
    AIO_BEGIN(aio_mysql__skipping);
    while (self->db->stage != AIO_MYSQL__IDLE) {
        if (self->db->stage == AIO_MYSQL__ROWS) {
            AIO_ASYNC_FOR(self->result, aio_mysql_next(&self->db->result)) { }
        } else {
            self->db->code = 0;
            AIO_AWAIT(self->result, AIO_CALL(aio_mysql__querying, .db = self->db, .call = ++self->db->calls,
                                             .kind = AIO_MYSQL__MORE, .within = true));
        }
    }
    AIO_END;
}

/* Reads columns and their EOF; `keep`: they are the result's. */
struct aio_mysql__columns { aio_task task; aio_mysql *db; aio_text packet, more; size_t count, i; int step;
                            bool keep; };
static AIO_CORO(aio_mysql__columns)
{
    AIO_BEGIN(aio_mysql__columns);
    if (self->keep && !aio_mysql__columns_room(self->db, self->count)) AIO_RAISE(ENOMEM);
    for (self->i = 0; self->i <= self->count; self->i++) {
        AIO_MYSQL__READ(self->db, self->packet);
        if (aio_mysql__is_error(self->packet)) self->step = aio_mysql__error(self->db, self->packet);
        else if (self->i == self->count) self->step = aio_mysql__columns_end(self->db, self->packet);
        else self->step = self->keep ? aio_mysql__column(self->db, self->i, self->packet) : 0;
        if (self->step < 0) AIO_RAISE(self->db->code, "%s", aio_mysql__why(self->db));
    }
    if (self->keep && !aio_mysql__columns_done(self->db, self->count)) AIO_RAISE(ENOMEM);
    AIO_END;
}

static bool aio_mysql__prepared(aio_mysql__statement *statement, aio_text packet, size_t *columns)
{
    aio_mysql__in in = aio_mysql__in_of(packet, 1);
    statement->id = (uint32_t)aio_mysql__number(&in, 4);
    *columns = (size_t)aio_mysql__number(&in, 2);
    statement->params = (uint32_t)aio_mysql__number(&in, 2);
    return !in.bad && !*packet.data;
}

/* The statement of that text, or the place for it: a free one, or that of the oldest one. */
static aio_mysql__statement *aio_mysql__find(aio_mysql *db, const char *sql)
{
    aio_mysql__statement *place = &db->statements[0];
    for (int i = 0; i < AIO_MYSQL__STATEMENTS; i++) {
        aio_mysql__statement *one = &db->statements[i];
        if (one->sql && !strcmp(one->sql, sql)) return one;
        if (!one->sql ? place->sql != NULL : place->sql && one->last < place->last) place = one;
    }
    return place;
}

/* Makes sure that the server has the statement. The values stand in db->out; prepare has a buffer of its own. */
struct aio_mysql__preparing { aio_task task; aio_mysql *db; const char *sql; aio_text packet, more; size_t columns;
    aio_mysql__statement *statement; aio_mysql__buffer values; int step; bool done; };
static AIO_CORO(aio_mysql__preparing)
{
    AIO_BEGIN(aio_mysql__preparing);
    self->statement = aio_mysql__find(self->db, self->sql);
    self->db->statement = self->statement;
    self->statement->last = ++self->db->used;
    if (self->statement->sql && !strcmp(self->statement->sql, self->sql)) AIO_RETURN();
    self->values = self->db->out;
    memset(&self->db->out, 0, sizeof self->db->out);
    if (self->statement->sql) { /* COM_STMT_CLOSE; nothing answers it */
        free(self->statement->sql);
        self->statement->sql = NULL;
        aio_mysql__begin(self->db);
        self->db->out_of_memory = self->db->out_of_memory || !aio_mysql__put_number(&self->db->out, 0x19, 1)
            || !aio_mysql__put_number(&self->db->out, self->statement->id, 4);
        self->db->seq = 0;
        AIO_MYSQL__SEND(self->db);
    }
    aio_mysql__begin(self->db);
    self->db->out_of_memory = self->db->out_of_memory || !aio_mysql__put_number(&self->db->out, 0x16, 1)
        || !aio_mysql__put(&self->db->out, self->sql, strlen(self->sql));
    self->db->seq = 0;
    AIO_MYSQL__SEND(self->db);
    AIO_MYSQL__READ(self->db, self->packet);
    if (aio_mysql__is_error(self->packet)) aio_mysql__error(self->db, self->packet);
    else if (!aio_mysql__prepared(self->statement, self->packet, &self->columns))
        aio_mysql__fail(self->db, AIO_ERUNTIME, "MySQL: the answer to prepare is none, or cut short");
    else self->done = true;
    if (!self->done) AIO_RAISE(self->db->code, "%s", aio_mysql__why(self->db));
    self->done = false;
    if (self->statement->params)
        AIO_AWAIT(AIO_CALL(aio_mysql__columns, .db = self->db, .count = self->statement->params));
    if (self->columns) AIO_AWAIT(AIO_CALL(aio_mysql__columns, .db = self->db, .count = self->columns));
    self->statement->sql = (char *)malloc(strlen(self->sql) + 1);
    if (!self->statement->sql) AIO_RAISE(ENOMEM);
    memcpy(self->statement->sql, self->sql, strlen(self->sql) + 1);
    AIO_FINALLY;
        if (self->values.data) {
            free(self->db->out.data);
            self->db->out = self->values;
        }
    AIO_END;
}

/* LOAD DATA LOCAL INFILE: the file, or nothing; then an empty packet. After an error there is none: the server would
 * take half a file for all of it. */
static int aio_mysql__file(aio_mysql *db, aio_text packet)
{
    char path[4096];
    int n = packet.length - 1 < sizeof path ? (int)packet.length - 1 : -1;
    if (n < 0) return -1;
    memcpy(path, packet.data + 1, (size_t)n);
    path[n] = 0;
    return db->options.local_infile(path, db->options.arg);
}

/* 0 or a code. */
static int aio_mysql__file_piece(aio_mysql *db, int file, bool *end)
{
    *end = true;
    aio_mysql__begin(db);
    if (db->out_of_memory || !aio_mysql__reserve(&db->out, 65536)) return ENOMEM;
    ssize_t n = file < 0 ? 0 : read(file, db->out.data + db->out.used, 65536);
    if (n > 0) db->out.used += (size_t)n;
    *end = n <= 0;
    return n < 0 ? errno : 0;
}

/* Puts the statement's number into the command whose values are there. */
static int aio_mysql__bind(aio_mysql *db, size_t given)
{
    uint32_t id = db->statement->id;
    for (int i = 0; i < 4; i++) db->out.data[5 + i] = (char)(unsigned char)(id >> (8 * i));
    char why[100];
    if (given == db->statement->params) return 0;
    snprintf(why, sizeof why, "MySQL: the statement has %u values, and %zu are given", (unsigned)db->statement->params,
             given);
    return aio_mysql__fail(db, EINVAL, why);
}

/* What a server says between two commands is at most why it ends the connection: -1; 0: nothing. */
static int aio_mysql__unasked(aio_mysql *db)
{
    aio_text in = aio_stream_unread(db->stream), why = { NULL, 0 };
    if (!in.length) return 0;
    if (in.length > 4) why.data = in.data + 4, why.length = in.length - 4;
    if (aio_mysql__is_error(why)) aio_mysql__error(db, why);
    else aio_mysql__fail(db, AIO_ERUNTIME, "MySQL: the server has said something that nobody asked for");
    aio_mysql__lose(db);
    return -1;
}

static AIO_CORO(aio_mysql__querying)
{
    bool end;
    AIO_BEGIN(aio_mysql__querying);
    self->file = -1;
    if (!self->db->stream) AIO_RAISE(ENOTCONN, "MySQL: not connected: aio_mysql_connect comes first");
    if (self->db->busy && !self->within) AIO_RAISE(AIO_ERUNTIME, "MySQL: a connection does one thing at a time");
    if (self->call != self->db->calls)
        AIO_RAISE(AIO_ERUNTIME, "MySQL: another query was made before this one was awaited");
    if (self->kind == AIO_MYSQL__MORE && self->db->stage == AIO_MYSQL__IDLE) AIO_RETURN(NULL);
    self->db->busy = self->held = true; /* what is passed over is nobody else's, and db->out stays as it is */
    if (self->kind == AIO_MYSQL__MORE && self->db->stage == AIO_MYSQL__ROWS)
        while (self->db->stage == AIO_MYSQL__ROWS) {
            AIO_ASYNC_FOR(self->result, aio_mysql_next(&self->db->result)) { }
        }
    if (self->kind == AIO_MYSQL__MORE && self->db->stage == AIO_MYSQL__IDLE) AIO_RETURN(NULL);
    if (self->kind != AIO_MYSQL__MORE && self->db->stage != AIO_MYSQL__IDLE)
        AIO_AWAIT(AIO_CALL(aio_mysql__skipping, .db = self->db));
    if (self->kind == AIO_MYSQL__EXECUTE && self->db->out_of_memory) AIO_RAISE(ENOMEM);
    self->begun = true;
    if (self->kind != AIO_MYSQL__MORE && aio_mysql__unasked(self->db))
        AIO_RAISE(self->db->code, "%s", aio_mysql__why(self->db));
    if (self->kind == AIO_MYSQL__EXECUTE) {
        AIO_AWAIT(AIO_CALL(aio_mysql__preparing, .db = self->db, .sql = self->db->out.data + self->i));
        if (aio_mysql__bind(self->db, self->count)) {
            self->done = true;
            AIO_RAISE(self->db->code, "%s", aio_mysql__why(self->db));
        }
        self->db->out.used = self->i;
    }
    if (self->kind != AIO_MYSQL__MORE) {
        self->db->seq = 0;
        AIO_MYSQL__SEND(self->db);
    }
    self->db->binary = self->kind == AIO_MYSQL__EXECUTE || (self->kind == AIO_MYSQL__MORE && self->db->binary);
    AIO_MYSQL__READ(self->db, self->packet);
    self->step = aio_mysql__answer(self->db, self->packet, &self->count);
    if (self->step == 2 && !(self->db->options.local_infile && self->db->has_local))
        AIO_RAISE(EACCES, "MySQL: the server asked for a file of this machine, unasked: it was not sent");
    if (self->step == 2) {
        self->file = aio_mysql__file(self->db, self->packet);
        do {
            self->step = aio_mysql__file_piece(self->db, self->file, &end);
            self->i = end;
            if (self->step) AIO_RAISE(self->step, "MySQL: the file for LOCAL INFILE cannot be read");
            AIO_MYSQL__SEND(self->db);
        } while (!self->i);
        AIO_MYSQL__READ(self->db, self->packet);
        self->step = aio_mysql__answer(self->db, self->packet, &self->count);
        if (self->step == 2) AIO_RAISE(EACCES, "MySQL: the server asked for a second file of this machine");
        if (self->step >= 0 && self->file < 0) {
            self->done = true;
            AIO_RAISE(EACCES, "MySQL: the server asked for a file of this machine: it was not sent");
        }
    }
    if (self->step == 1) AIO_AWAIT(AIO_CALL(aio_mysql__columns, .db = self->db, .count = self->count, .keep = true));
    if (self->step < 0) {
        self->done = self->db->code > AIO_MYSQL_ERRORS;
        if (self->done) self->db->stage = AIO_MYSQL__IDLE;
        AIO_RAISE(self->db->code, "%s", aio_mysql__why(self->db));
    }
    self->done = true;
    AIO_RETURN(&self->db->result);
    AIO_FINALLY;
        if (self->file >= 0) close(self->file);
        if (self->held) self->db->busy = self->within;
        if (self->begun && !self->done && self->db->code > AIO_MYSQL_ERRORS && self->db->statement
            && !self->db->statement->sql) self->done = true; /* the server has refused to prepare it */
        if (self->begun && !self->done && self->db->stream) {
            if (aio_task_cancelling(aio_current_task()) > 0) self->kill = aio_mysql__killing(self->db);
            aio_mysql__lose(self->db);
            if (self->kill) AIO_AWAIT(self->kill);
        }
    AIO_END;
}

static aio_mysql_result_task *aio_mysql__call(aio_mysql *db, int kind, size_t count, size_t at)
{
    db->code = 0;
    return (aio_mysql_result_task *)(void *)AIO_CALL(aio_mysql__querying, .db = db, .call = ++db->calls, .count = count,
                                                     .i = at, .kind = kind);
}

static bool aio_mysql__has_local(const char *sql)
{
    while (*sql && strncasecmp(sql, "LOCAL", 5)) sql++;
    return *sql;
}

/* What the command in db->out is about; not called while another one is under way. */
static void aio_mysql__aim(aio_mysql *db, const char *sql)
{
    db->statement = NULL;
    db->has_local = db->options.local_infile && aio_mysql__has_local(sql);
}

aio_mysql_result_task *aio_mysql_query(aio_mysql *db, const char *sql)
{
    if (!db->busy) {
        aio_mysql__begin(db);
        db->out_of_memory = db->out_of_memory || !aio_mysql__put_number(&db->out, 3, 1)
            || !aio_mysql__put(&db->out, sql, strlen(sql));
        aio_mysql__aim(db, sql);
    }
    return aio_mysql__call(db, AIO_MYSQL__QUERY, 0, 0);
}

aio_future *aio_mysql_ping(aio_mysql *db)
{
    if (!db->busy) {
        aio_mysql__begin(db);
        db->out_of_memory = db->out_of_memory || !aio_mysql__put_number(&db->out, 14, 1);
        aio_mysql__aim(db, "");
    }
    return (aio_future *)(void *)aio_mysql__call(db, AIO_MYSQL__PING, 0, 0);
}

static bool aio_mysql__put_values(aio_mysql__buffer *out, const aio_mysql_value *values, size_t count)
{
    bool stored = true;
    for (size_t i = 0; i < (count + 7) / 8; i++) {
        unsigned char nulls = 0;
        for (size_t k = 8 * i; k < count && k < 8 * i + 8; k++)
            if (values[k].type == AIO_MYSQL__NULL) nulls = (unsigned char)(nulls | 1u << (k % 8));
        stored = stored && aio_mysql__put_number(out, nulls, 1);
    }
    if (count) stored = stored && aio_mysql__put_number(out, 1, 1);
    for (size_t i = 0; i < count; i++) {
        static const unsigned char types[] = { 6, 8, 5, 253 };
        stored = stored && aio_mysql__put_number(out, types[values[i].type], 2);
    }
    for (size_t i = 0; i < count && stored; i++) {
        const aio_mysql_value *v = &values[i];
        uint64_t bits;
        memcpy(&bits, &v->real, 8);
        if (v->type == AIO_MYSQL__INTEGER) stored = aio_mysql__put_number(out, (uint64_t)v->integer, 8);
        if (v->type == AIO_MYSQL__REAL) stored = aio_mysql__put_number(out, bits, 8);
        if (v->type == AIO_MYSQL__BYTES)
            stored = aio_mysql__put_length(out, v->length) && aio_mysql__put(out, v->bytes, v->length);
    }
    return stored;
}

aio_mysql_result_task *aio_mysql_execute(aio_mysql *db, const char *sql, const aio_mysql_value *values, size_t count)
{
    size_t at = 0;
    if (!db->busy) {
        aio_mysql__begin(db); /* COM_STMT_EXECUTE, the number comes later; behind it the text */
        db->out_of_memory = db->out_of_memory || !aio_mysql__put_number(&db->out, 0x17, 1)
            || !aio_mysql__put_number(&db->out, 0, 5) || !aio_mysql__put_number(&db->out, 1, 4)
            || !aio_mysql__put_values(&db->out, values, count);
        at = db->out.used;
        db->out_of_memory = db->out_of_memory || !aio_mysql__put(&db->out, sql, strlen(sql) + 1);
        aio_mysql__aim(db, sql);
    }
    return aio_mysql__call(db, AIO_MYSQL__EXECUTE, count, at);
}

aio_mysql_result_task *aio_mysql_next_result(aio_mysql *db) { return aio_mysql__call(db, AIO_MYSQL__MORE, 0, 0); }

/* ---- rows ---- */

struct aio_mysql__fetching { aio_task task; aio_mysql_result *result; aio_mysql *db; aio_text packet, more; int step;
                             bool end; };
static AIO_CORO(aio_mysql__fetching)
{
    AIO_BEGIN(aio_mysql__fetching);
    if (self->db->stage != AIO_MYSQL__ROWS || !self->db->stream) AIO_RAISE(AIO_ESTOPITERATION);
    AIO_TRY { /* what is cancelled comes with the next call */
        AIO_MYSQL__READ(self->db, self->packet);
        self->end = aio_mysql__is_eof(self->packet);
        self->step = self->end ? aio_mysql__eof(self->db, self->packet)
            : aio_mysql__is_error(self->packet) ? aio_mysql__error(self->db, self->packet)
                                                : aio_mysql__row(self->db, self->packet);
        if (self->step < 0) AIO_RAISE(self->db->code, "%s", aio_mysql__why(self->db));
    } AIO_CATCH {
        if (aio_caught(self)->code > AIO_MYSQL_ERRORS) aio_mysql__rows_end(self->db, AIO_MYSQL__IDLE);
        else if (self->db->stream) aio_mysql__lose(self->db);
        AIO_RERAISE();
    } AIO_END_TRY;
    if (!self->end) AIO_RETURN(&self->db->result);
    aio_mysql__rows_end(self->db, self->db->status & AIO_MYSQL__MORE_RESULTS ? AIO_MYSQL__NEXT_RESULT
                                                                             : AIO_MYSQL__IDLE);
    AIO_RAISE(AIO_ESTOPITERATION);
    AIO_END;
}

/* Takes a row that has come whole. False: there is none, or it is another packet, or one that fetching is to judge. */
static bool aio_mysql__row_is_here(aio_mysql *db)
{
    if (!db->ahead.length && (db->joining || !db->stream)) return false;
    if (!db->ahead.length) {
        aio_mysql__settle(db);
        db->ahead = aio_stream_unread(db->stream);
    }
    const unsigned char *at = (const unsigned char *)db->ahead.data;
    if (db->ahead.length < 5) return false;
    aio_text packet = { db->ahead.data + 4, (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 };
    if (!packet.length || db->ahead.length - 4 < packet.length || packet.length >= AIO_MYSQL__IN_PLACE) return false;
    if (at[3] != db->seq || at[4] >= 254 || packet.length > db->options.max_packet) return false;
    if (aio_mysql__row(db, packet)) return false;
    db->ahead.data += packet.length + 4;
    db->ahead.length -= packet.length + 4;
    db->taken += packet.length + 4;
    db->seq++;
    return true;
}

aio_mysql_result_task *aio_mysql_next(aio_mysql_result *result)
{
    aio_mysql *db = (aio_mysql *)(void *)result;
    if (db->stage == AIO_MYSQL__ROWS && aio_mysql__row_is_here(db))
        return (aio_mysql_result_task *)aio_ref(db->row_done);
    return (aio_mysql_result_task *)(void *)AIO_CALL(aio_mysql__fetching, .db = db);
}

int aio_mysql_index(const aio_mysql_result *row, const char *column)
{
    for (size_t i = 0; i < row->column_count; i++)
        if (!strcasecmp(row->columns[i].name, column)) return (int)i; /* as names are in SQL */
    return -1;
}

aio_text aio_mysql_bytes_at(const aio_mysql_result *row, size_t column)
{
    const aio_mysql *db = (const aio_mysql *)(const void *)row;
    aio_text text = { NULL, 0 };
    if (column >= row->column_count || db->cells[column].is_null) return text;
    text.data = db->row.data + db->cells[column].at;
    text.length = db->cells[column].length;
    return text;
}

const char *aio_mysql_at(const aio_mysql_result *row, size_t column) { return aio_mysql_bytes_at(row, column).data; }

const char *aio_mysql_get(const aio_mysql_result *row, const char *column)
{
    int i = aio_mysql_index(row, column);
    return i < 0 ? NULL : aio_mysql_at(row, (size_t)i);
}

int64_t aio_mysql_get_integer(const aio_mysql_result *row, const char *column, int64_t otherwise)
{
    const char *text = aio_mysql_get(row, column);
    return text ? (int64_t)strtoll(text, NULL, 10) : otherwise;
}

double aio_mysql_get_real(const aio_mysql_result *row, const char *column, double otherwise)
{
    const char *text = aio_mysql_get(row, column);
    return text ? aio_mysql__strtod(text) : otherwise;
}

static aio_mysql_value aio_mysql__value(int type, int64_t integer, double real, const void *bytes, size_t length)
{
    aio_mysql_value value;
    value.type = type;
    value.integer = integer;
    value.real = real;
    value.bytes = (const char *)bytes;
    value.length = length;
    return value;
}
aio_mysql_value aio_mysql_null(void) { return aio_mysql__value(AIO_MYSQL__NULL, 0, 0, NULL, 0); }
aio_mysql_value aio_mysql_integer(int64_t value) { return aio_mysql__value(AIO_MYSQL__INTEGER, value, 0, NULL, 0); }
aio_mysql_value aio_mysql_real(double value) { return aio_mysql__value(AIO_MYSQL__REAL, 0, value, NULL, 0); }
aio_mysql_value aio_mysql_blob(const void *bytes, size_t length)
{
    return aio_mysql__value(AIO_MYSQL__BYTES, 0, 0, bytes, length);
}
aio_mysql_value aio_mysql_string(const char *text)
{
    return text ? aio_mysql_blob(text, strlen(text)) : aio_mysql_null();
}

/* ---- the pool ---- */

struct aio_mysql_pool {
    aio_mysql_pool_options options;
    aio_mysql             *model; /* never connected: the others are made like it */
    aio_mysql             *free;  /* the one that was given back last comes first */
    aio_semaphore          places;
};

aio_mysql_pool *aio_mysql_pool_open_with(const char *url, const aio_mysql_pool_options *options)
{
    aio_mysql *model = aio_mysql_open_with(url, &options->connection);
    aio_mysql_pool *pool = model ? (aio_mysql_pool *)calloc(1, sizeof *pool) : NULL;
    if (!pool) {
        aio_mysql_close(model);
        return NULL;
    }
    pool->options = *options;
    if (pool->options.size <= 0) pool->options.size = 10;
    if (pool->options.recycle == 0) pool->options.recycle = 3600;
    if (pool->options.idle == 0) pool->options.idle = 30;
    pool->model = model;
    aio_semaphore_init(&pool->places, pool->options.size);
    return pool;
}

void aio_mysql_pool_close(aio_mysql_pool *pool)
{
    if (!pool) return;
    while (pool->free) {
        aio_mysql *db = pool->free;
        pool->free = db->next;
        aio_mysql_close(db);
    }
    aio_mysql_close(pool->model);
    aio_semaphore_destroy(&pool->places);
    free(pool);
}

static void aio_mysql__give_back(aio_mysql_pool *pool, aio_mysql *db)
{
    db->next = pool->free;
    pool->free = db;
    aio_semaphore_release(&pool->places);
}

int aio_mysql_pool_release(aio_mysql_pool *pool, aio_mysql *db)
{
    if (!db) return 0;
    if (db->lender != pool) return EINVAL;
    db->lender = NULL;
    bool undone = db->busy || db->stage != AIO_MYSQL__IDLE || (db->status & AIO_MYSQL__IN_TRANS);
    if (db->stream && db->stage != AIO_MYSQL__IDLE) aio_mysql__kill_later(db);
    if (db->stream && undone) aio_mysql__lose(db);
    db->idle_since = aio_time();
    aio_mysql__give_back(pool, db);
    return 0;
}

struct aio_mysql__acquiring { aio_task task; aio_mysql *result; aio_mysql_pool *pool; aio_mysql *db; };
static AIO_CORO(aio_mysql__acquiring)
{
    AIO_BEGIN(aio_mysql__acquiring);
    AIO_AWAIT(aio_semaphore_acquire(&self->pool->places));
    self->db = self->pool->free;
    if (self->db) self->pool->free = self->db->next;
    else self->db = aio_mysql__twin(self->pool->model);
    if (!self->db) {
        aio_semaphore_release(&self->pool->places);
        AIO_RAISE(ENOMEM);
    }
    if (self->db->stream && (aio_time() - self->db->made > self->pool->options.recycle
                             || aio_stream_at_eof(self->db->stream)
                             || aio_stream_unread(self->db->stream).length)) aio_mysql__lose(self->db);
    if (self->db->stream && aio_time() - self->db->idle_since > self->pool->options.idle) {
        AIO_TRY {
            AIO_TIMEOUT(self->db->options.connect_timeout) AIO_AWAIT(aio_mysql_ping(self->db));
        } AIO_CATCH {
            if (self->db->stream) aio_mysql__lose(self->db);
        } AIO_END_TRY;
    }
    AIO_AWAIT(aio_mysql_connect(self->db));
    self->db->lender = self->pool;
    self->result = self->db;
    AIO_FINALLY;
        if (self->db && !self->result) aio_mysql__give_back(self->pool, self->db);
    AIO_END;
}

aio_mysql_task *aio_mysql_pool_acquire(aio_mysql_pool *pool)
{
    return (aio_mysql_task *)(void *)AIO_CALL(aio_mysql__acquiring, .pool = pool);
}

#endif /* AIO_MYSQL_IMPLEMENTATION */
