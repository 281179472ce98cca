/* aio_mongo.h: a client for MongoDB on aio.h, by the names of PyMongo's AsyncMongoClient.
 *
 *   #define AIO_IMPLEMENTATION             in one file
 *   #define AIO_MONGO_IMPLEMENTATION
 *   #include "aio.h"
 *   #include "aio_mongo.h"
 *
 *   self->client = aio_mongo_open("mongodb://user:password@127.0.0.1:27017/school?authSource=admin");
 *   self->pupils = aio_mongo_get_collection(aio_mongo_get_database(self->client, NULL), "pupils");
 *   AIO_AWAIT(self->done, aio_mongo_insert_one(self->pupils, aio_bson_make("{ name: %s, age: %d }", "Ada", 11)));
 *   self->cursor = aio_mongo_find(self->pupils, aio_bson_make("{ age: { $gt: %d } }", 9), .limit = 10);
 *   AIO_ASYNC_FOR(self->pupil, aio_mongo_next(self->cursor))
 *       printf("%s\n", aio_bson_string(self->pupil, "name", ""));
 *   AIO_FINALLY;
 *   aio_mongo_cursor_close(self->cursor);
 *   aio_mongo_close(self->client);
 *
 * A client is a pool of connections, made when they are needed; any number of tasks may use it at once. A command that
 * is cancelled, or that fails in any way but by the server's word, closes its connection; a cursor that is closed
 * before its end is killed at the server. The password never goes to the server, only a proof of it (SCRAM), and the
 * server has to prove that it knows it, too. For MongoDB 4.4 and later.
 *
 * Errors: an error of the server has its number plus AIO_MONGO_ERRORS as the code (that alone, if it has none that
 * can be), also one that a reply of ok brings (writeErrors); AIO_EDISCONNECTED when the server went away; AIO_ELIMIT
 * for what is too large; EACCES for a server that is not to be trusted; AIO_ERUNTIME for what is not the protocol;
 * EINVAL for a document that was made wrongly; and those of aio_open_connection. What goes wrong until the server has
 * let us in names the server (the last that was tried), and what was being done. */
#ifndef AIO_MONGO_H
#define AIO_MONGO_H

#ifdef __cplusplus
extern "C" {
#endif

enum { AIO_MONGO_ERRORS = 2000000 }; /* "duplicate key" is AIO_MONGO_ERRORS + 11000 */

/* ---- BSON ---- */

enum { /* a value's type, as BSON numbers them */
    AIO_BSON_NONE, AIO_BSON_DOUBLE, AIO_BSON_STRING, AIO_BSON_DOCUMENT, AIO_BSON_ARRAY, AIO_BSON_BINARY,
    AIO_BSON_UNDEFINED, AIO_BSON_OID, AIO_BSON_BOOL, AIO_BSON_DATE, AIO_BSON_NULL, AIO_BSON_REGEX, AIO_BSON_DBPOINTER,
    AIO_BSON_CODE, AIO_BSON_SYMBOL, AIO_BSON_SCOPE, AIO_BSON_INT32, AIO_BSON_TIMESTAMP, AIO_BSON_INT64,
    AIO_BSON_DECIMAL128, AIO_BSON_MAXKEY = 127, AIO_BSON_MINKEY = 255
};
enum { AIO_BSON_DEPTH = 200, AIO_BSON_MAX = 64 << 20 /* bytes of a document */ };

/* A document or an array: its bytes are valid BSON, once it is finished. */
typedef struct aio_bson {
    const char           *data;
    size_t                length;
    struct aio_bson__made *made; /* private: what it is made with; NULL: a part of another one */
} aio_bson;
typedef struct aio_bson_oid { unsigned char bytes[12]; } aio_bson_oid;
typedef struct aio_bson_value {
    int           type;         /* AIO_BSON_NONE: there is no such value */
    int64_t       integer;      /* INT32, INT64, BOOL, DATE (ms since 1970), TIMESTAMP (seconds << 32 | counter) */
    double        real;         /* DOUBLE */
    aio_text      text;         /* STRING, CODE, SYMBOL, REGEX, DBPOINTER's name: with a NUL behind; BINARY */
    const char   *options;      /* REGEX */
    int           subtype;      /* BINARY */
    aio_bson_oid  oid;          /* OID, DBPOINTER */
    unsigned char decimal[16];  /* DECIMAL128, as BSON has it */
    aio_bson      document;     /* DOCUMENT, ARRAY, SCOPE's variables */
} aio_bson_value;

/* A document of relaxed extended JSON: names need no quotes, and values may stand for themselves: %s a string (NULL is
 * null), %d %u %ld %lu %zu %lld an integer, %f a double. Also { $oid: %s }, { $date: %lld }, { $numberLong: %s } and
 * { $numberDecimal: %s }. "[ ... ]" is an array. Names are the format's alone: no value of others becomes an operator.
 *
 * It is yours (aio_bson_free), or that of the function of aio_mongo that it is given to. Never NULL: what is wrong with
 * it, and a lack of memory, is said by aio_bson_error and by the command that it is given to. */
__attribute__((__format__(__printf__, 1, 2))) aio_bson *aio_bson_make(const char *format, ...);
/* A copy of any document, which can be appended to. NULL: an empty one. */
aio_bson   *aio_bson_copy(const aio_bson *document);
void        aio_bson_free(aio_bson *document); /* NULL is fine */
/* NULL, or why it is none: static text. */
const char *aio_bson_error(const aio_bson *document);

/* Append to what aio_bson_make or aio_bson_copy has given. A name is UTF-8 without a NUL; in an array it does not
 * matter, and may be NULL. What would not be BSON is refused, and aio_bson_error says so. */
void aio_bson_begin_document(aio_bson *to, const char *name);
void aio_bson_begin_array(aio_bson *to, const char *name);
void aio_bson_end(aio_bson *to); /* of the innermost one */
void aio_bson_append_double(aio_bson *to, const char *name, double value);
void aio_bson_append_string(aio_bson *to, const char *name, const char *text); /* NULL: null */
void aio_bson_append_text(aio_bson *to, const char *name, const char *text, size_t length);
void aio_bson_append_document(aio_bson *to, const char *name, const aio_bson *document); /* lent */
void aio_bson_append_array(aio_bson *to, const char *name, const aio_bson *array);
void aio_bson_append_binary(aio_bson *to, const char *name, int subtype, const void *data, size_t length);
void aio_bson_append_oid(aio_bson *to, const char *name, aio_bson_oid oid);
void aio_bson_append_bool(aio_bson *to, const char *name, bool value);
void aio_bson_append_date(aio_bson *to, const char *name, int64_t milliseconds); /* since 1970 */
void aio_bson_append_null(aio_bson *to, const char *name);
void aio_bson_append_regex(aio_bson *to, const char *name, const char *pattern, const char *options);
void aio_bson_append_int32(aio_bson *to, const char *name, int32_t value);
void aio_bson_append_int64(aio_bson *to, const char *name, int64_t value);
void aio_bson_append_timestamp(aio_bson *to, const char *name, uint32_t seconds, uint32_t counter);
void aio_bson_append_decimal128(aio_bson *to, const char *name, const char *text); /* "1.50", "NaN", "-1E+9" */
void aio_bson_append_code(aio_bson *to, const char *name, const char *code, const aio_bson *scope); /* NULL: none */
void aio_bson_append_value(aio_bson *to, const char *name, const aio_bson_value *value); /* of any type */

/* What is at a path ("name", "address.city", "tags.0"), or `fallback` where there is nothing, or of another kind: whole
 * numbers are integers, and all numbers are doubles. Texts end in a NUL, and are the document's. */
aio_bson_value aio_bson_get(const aio_bson *document, const char *path);
bool           aio_bson_bool(const aio_bson *document, const char *path, bool fallback);
int64_t        aio_bson_int(const aio_bson *document, const char *path, int64_t fallback);
double         aio_bson_double(const aio_bson *document, const char *path, double fallback);
const char    *aio_bson_string(const aio_bson *document, const char *path, const char *fallback);
/* Steps through the members: begin with *position 0, ends with false. */
bool           aio_bson_next(const aio_bson *document, size_t *position, const char **name, aio_bson_value *value);
/* Canonical extended JSON: the text is yours (aio_text_clear). 0, ENOMEM, or EINVAL for one that is not finished. */
int            aio_bson_to_json(const aio_bson *document, aio_text *text);
/* Looks at bytes of others: 0, and *document is a view of them; EINVAL or AIO_ELIMIT (depth), and error->offset says
 * where. `error` may be NULL. */
int            aio_bson_parse(aio_bson *document, const void *data, size_t length, aio_input_error *error);

int  aio_bson_oid_new(aio_bson_oid *oid); /* another one each time; 0 or errno */
void aio_bson_oid_text(const aio_bson_oid *oid, char text[25]);
/* "1.50"; at most 43 bytes with the NUL */
void aio_bson_decimal128_text(const unsigned char decimal[16], char text[48]);

/* ---- client, database, collection ---- */

typedef struct aio_mongo aio_mongo;
typedef struct aio_mongo_options {
    aio_tls_context *tls_context AIO_UNSET;     /* TLS with this one, instead of the URI's tlsCAFile */
    size_t           max_message AIO_UNSET;     /* of a reply; 0: 48000000 */
    int              max_iterations AIO_UNSET;  /* of SCRAM, which a server can ask for; 0: 1000000 */
    bool             checksum AIO_UNSET;        /* messages have a CRC-32C, if there is no TLS; replies' is looked at */
    double           kill_timeout AIO_UNSET;    /* of killCursors, for which nobody waits; 0: 5 s */
} aio_mongo_options;

/* aio_mongo_open("mongodb://user:password@host:port,host2/database?option=value&...", .checksum = true, ...). The URI's
 * hosts are tried in turn, until one says that it is the primary; a path of a unix socket is percent-encoded. Its
 * options: authSource, authMechanism (SCRAM-SHA-256, SCRAM-SHA-1), tls, tlsCAFile, tlsCertificateKeyFile, tlsInsecure,
 * connectTimeoutMS (20000), serverSelectionTimeoutMS (30000), socketTimeoutMS (none), waitQueueTimeoutMS (none),
 * maxPoolSize (100), maxIdleTimeMS (none), compressors (zlib), zlibCompressionLevel, replicaSet, directConnection,
 * appName, w, journal, wTimeoutMS; retryReads and retryWrites may be there, and nothing is retried.
 *
 * NULL with errno: ENOMEM; EINVAL, and aio_mongo_open_error says why (static text of this thread). aio_mongo_close ends
 * it, when nothing of it is awaited any more; NULL is fine. PyMongo: AsyncMongoClient */
#define aio_mongo_open(...) AIO_MONGO__OPEN(__VA_ARGS__, )
#define AIO_MONGO__OPEN(uri, ...) aio_mongo_open_with((uri), AIO_OPTIONS(aio_mongo_options, __VA_ARGS__))
aio_mongo  *aio_mongo_open_with(const char *uri, const aio_mongo_options *options);
const char *aio_mongo_open_error(void);
void        aio_mongo_close(aio_mongo *client);

/* Values: nothing is asked, nothing is to be freed, and the names are borrowed. NULL: the URI's database, or "test". */
typedef struct aio_mongo_database { aio_mongo *client; const char *name; } aio_mongo_database;
typedef struct aio_mongo_collection { aio_mongo_database database; const char *name; } aio_mongo_collection;
aio_mongo_database   aio_mongo_get_database(aio_mongo *client, const char *name);
aio_mongo_collection aio_mongo_get_collection(aio_mongo_database database, const char *name);

typedef struct aio_mongo_result {
    int64_t      inserted_count, matched_count, modified_count, deleted_count;
    aio_bson_oid inserted_id; /* of insert_one, if it had none of its own */
    aio_bson_oid upserted_id;
    bool         upserted;    /* there was no such document, and now there is; its id may be none of ObjectId */
} aio_mongo_result;
typedef struct { aio_task task; aio_mongo_result result; } aio_mongo_result_task;
typedef struct { aio_task task; aio_bson *result; } aio_mongo_bson_task;
typedef struct { aio_task task; int64_t result; } aio_mongo_count_task;

/* Documents are taken, arrays of them are lent. A filter of NULL is that of all documents.
 *
 * Any command: result: its reply, yours (aio_bson_free; the client's close does it, too). */
aio_mongo_bson_task *aio_mongo_command(aio_mongo_database database, aio_bson *command);

typedef struct aio_mongo_write_options {
    bool      upsert AIO_UNSET;    /* of an update */
    bool      unordered AIO_UNSET; /* of insert_many: what comes after one that fails is inserted, too */
} aio_mongo_write_options;
aio_mongo_result_task *aio_mongo_insert_one(aio_mongo_collection collection, aio_bson *document);
/* Documents without an _id have one afterwards. An error says how many were inserted before it. */
#define aio_mongo_insert_many(...) AIO_MONGO__INSERT_MANY(__VA_ARGS__, )
#define AIO_MONGO__INSERT_MANY(collection, documents, count, ...) \
    aio_mongo_insert_many_with((collection), (documents), (count), AIO_OPTIONS(aio_mongo_write_options, __VA_ARGS__))
aio_mongo_result_task *aio_mongo_insert_many_with(aio_mongo_collection collection, aio_bson *const *documents,
                                                  size_t count, const aio_mongo_write_options *options);
/* aio_mongo_update_one(collection, filter, update, .upsert = true) */
#define aio_mongo_update_one(...)  AIO_MONGO__UPDATE(false, __VA_ARGS__, )
#define aio_mongo_update_many(...) AIO_MONGO__UPDATE(true, __VA_ARGS__, )
#define AIO_MONGO__UPDATE(many, collection, filter, update, ...) \
    aio_mongo_update_with((collection), (filter), (update), (many), AIO_OPTIONS(aio_mongo_write_options, __VA_ARGS__))
aio_mongo_result_task *aio_mongo_update_with(aio_mongo_collection collection, aio_bson *filter, aio_bson *update,
                                             bool many, const aio_mongo_write_options *options);
aio_mongo_result_task *aio_mongo_delete_one(aio_mongo_collection collection, aio_bson *filter);
aio_mongo_result_task *aio_mongo_delete_many(aio_mongo_collection collection, aio_bson *filter);
aio_mongo_count_task  *aio_mongo_count_documents(aio_mongo_collection collection, aio_bson *filter);

typedef struct aio_mongo_find_options {
    aio_bson *projection AIO_UNSET, *sort AIO_UNSET; /* taken */
    int64_t   skip AIO_UNSET, limit AIO_UNSET;
    int       batch_size AIO_UNSET;
    int64_t   max_time_ms AIO_UNSET; /* that the server may take; 0: any */
} aio_mongo_find_options;
typedef struct aio_mongo_cursor aio_mongo_cursor;
/* aio_mongo_find(collection, filter, .sort = ..., ...): a cursor, which is yours, and asks when it is read. Never NULL:
 * a lack of memory is raised by aio_mongo_next. */
#define aio_mongo_find(...) AIO_MONGO__FIND(__VA_ARGS__, )
#define AIO_MONGO__FIND(collection, filter, ...) \
    aio_mongo_find_with((collection), (filter), AIO_OPTIONS(aio_mongo_find_options, __VA_ARGS__))
aio_mongo_cursor *aio_mongo_find_with(aio_mongo_collection collection, aio_bson *filter,
                                      const aio_mongo_find_options *options);
/* The pipeline is an array: aio_bson_make("[ { $match: { age: %d } } ]", 11). */
#define aio_mongo_aggregate(...) AIO_MONGO__AGGREGATE(__VA_ARGS__, )
#define AIO_MONGO__AGGREGATE(collection, pipeline, ...) \
    aio_mongo_aggregate_with((collection), (pipeline), AIO_OPTIONS(aio_mongo_find_options, __VA_ARGS__))
aio_mongo_cursor *aio_mongo_aggregate_with(aio_mongo_collection collection, aio_bson *pipeline,
                                           const aio_mongo_find_options *options);
/* The next document, which is the cursor's until its next call; AIO_ASYNC_FOR ends after the last. One that was
 * cancelled while it waited has ended the cursor. */
aio_mongo_bson_task *aio_mongo_next(aio_mongo_cursor *cursor);
/* Also of one that has not ended: the server is told, and nobody waits for that. NULL is fine. */
void                 aio_mongo_cursor_close(aio_mongo_cursor *cursor);
/* result: the first document, yours as a command's reply is; NULL if there is none. */
#define aio_mongo_find_one(...) AIO_MONGO__FIND_ONE(__VA_ARGS__, )
#define AIO_MONGO__FIND_ONE(collection, filter, ...) \
    aio_mongo_find_one_with((collection), (filter), AIO_OPTIONS(aio_mongo_find_options, __VA_ARGS__))
aio_mongo_bson_task *aio_mongo_find_one_with(aio_mongo_collection collection, aio_bson *filter,
                                             const aio_mongo_find_options *options);

#ifdef __cplusplus
}
#endif
#endif /* AIO_MONGO_H */

/* ======================================================================================================== */

#if defined AIO_MONGO_IMPLEMENTATION && !defined AIO_MONGO_IMPLEMENTED
#define AIO_MONGO_IMPLEMENTED
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif
#ifndef AIO_NO_TLS
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#endif

/* ---- numbers and texts in BSON ---- */

static uint64_t aio_bson__load(const void *from, int bytes)
{
    const unsigned char *at = (const unsigned char *)from;
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static int32_t aio_bson__int32(const void *from) { return (int32_t)(uint32_t)aio_bson__load(from, 4); }

static void aio_bson__store(void *to, uint64_t value, int bytes)
{
    unsigned char *at = (unsigned char *)to;
    for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(value >> (8 * i));
}

/* The length of the character that begins here, or 0: none, overlong, a surrogate, above U+10FFFF. */
static size_t aio_bson__character(const unsigned char *at, size_t left, uint32_t *code)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = *at < 0x80 ? 1 : *at >= 0xc2 && *at < 0xe0 ? 2 : (*at & 0xf0) == 0xe0 ? 3 : (*at & 0xf8) == 0xf0 ? 4 : 0;
    if (!n || n > left) return 0;
    *code = n == 1 ? *at : (uint32_t)(*at & (0xff >> (n + 1)));
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        *code = *code << 6 | (at[i] & 0x3fu);
    }
    return *code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000) ? 0 : n;
}

static bool aio_bson__is_utf8(const void *text, size_t length)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + length;
    uint32_t code;
    while (at < end) {
        size_t n = *at < 0x80 ? 1 : aio_bson__character(at, (size_t)(end - at), &code);
        if (!n) return false;
        at += n;
    }
    return true;
}

/* ---- reading ---- */

enum { AIO_BSON__BAD = -1 };

/* How long a C string with its NUL is; 0: it has no end, or is no UTF-8. */
static size_t aio_bson__cstring(const unsigned char *at, size_t left)
{
    const void *end = memchr(at, 0, left);
    size_t n = end ? (size_t)((const unsigned char *)end - at) : 0;
    return end && aio_bson__is_utf8(at, n) ? n + 1 : 0;
}

/* The same of a string with its length before it. */
static size_t aio_bson__long_string(const unsigned char *at, size_t left)
{
    size_t n = left >= 5 ? (size_t)aio_bson__load(at, 4) : 0;
    bool fits = n >= 1 && n <= left - 4;
    return fits && !at[4 + n - 1] && aio_bson__is_utf8(at + 4, n - 1) ? 4 + n : 0;
}

/* How long a document is, by its own word: 0 if that cannot be. */
static size_t aio_bson__embedded(const unsigned char *at, size_t left)
{
    size_t n = left >= 5 ? (size_t)aio_bson__load(at, 4) : 0;
    return n >= 5 && n <= left && !at[n - 1] ? n : 0;
}

static long aio_bson__or_bad(size_t n) { return n ? (long)n : (long)AIO_BSON__BAD; }

static long aio_bson__binary_size(const unsigned char *at, size_t left)
{
    size_t n = left >= 5 ? (size_t)aio_bson__load(at, 4) : 0;
    if (left < 5 || n > left - 5) return AIO_BSON__BAD;
    if (at[4] == 2 && (n < 4 || aio_bson__load(at + 5, 4) != n - 4)) return AIO_BSON__BAD; /* has its length twice */
    return (long)(n + 5);
}

static long aio_bson__pair_size(const unsigned char *at, size_t left, int type)
{
    size_t first = type == AIO_BSON_REGEX ? aio_bson__cstring(at, left) : aio_bson__long_string(at, left), second = 12;
    if (!first) return AIO_BSON__BAD;
    if (type == AIO_BSON_REGEX) second = aio_bson__cstring(at + first, left - first);
    return second && second <= left - first ? (long)(first + second) : (long)AIO_BSON__BAD;
}

static long aio_bson__scope_size(const unsigned char *at, size_t left)
{
    size_t n = left >= 14 ? (size_t)aio_bson__load(at, 4) : 0;
    if (n < 14 || n > left) return AIO_BSON__BAD;
    size_t code = aio_bson__long_string(at + 4, n - 4);
    size_t scope = code ? aio_bson__embedded(at + 4 + code, n - 4 - code) : 0;
    return scope && 4 + code + scope == n ? (long)n : (long)AIO_BSON__BAD;
}

/* How many bytes a value has, of `left` that there are; AIO_BSON__BAD. What is in a document is not looked at. */
static long aio_bson__size(int type, const unsigned char *at, size_t left)
{
    size_t fixed;
    switch (type) {
    case AIO_BSON_STRING: case AIO_BSON_CODE: case AIO_BSON_SYMBOL:
        return aio_bson__or_bad(aio_bson__long_string(at, left));
    case AIO_BSON_DOCUMENT: case AIO_BSON_ARRAY: return aio_bson__or_bad(aio_bson__embedded(at, left));
    case AIO_BSON_BINARY: return aio_bson__binary_size(at, left);
    case AIO_BSON_REGEX: case AIO_BSON_DBPOINTER: return aio_bson__pair_size(at, left, type);
    case AIO_BSON_SCOPE: return aio_bson__scope_size(at, left);
    case AIO_BSON_BOOL: return left && *at < 2 ? 1 : AIO_BSON__BAD;
    case AIO_BSON_UNDEFINED: case AIO_BSON_NULL: case AIO_BSON_MINKEY: case AIO_BSON_MAXKEY: return 0;
    case AIO_BSON_DOUBLE: case AIO_BSON_DATE: case AIO_BSON_TIMESTAMP: case AIO_BSON_INT64: fixed = 8; break;
    case AIO_BSON_OID: fixed = 12; break;
    case AIO_BSON_INT32: fixed = 4; break;
    case AIO_BSON_DECIMAL128: fixed = 16; break;
    default: return AIO_BSON__BAD;
    }
    return left >= fixed ? (long)fixed : (long)AIO_BSON__BAD;
}

static aio_bson aio_bson__view(const void *at, size_t length)
{
    aio_bson document;
    document.data = (const char *)at;
    document.length = length;
    document.made = NULL;
    return document;
}

/* Takes a value that is known to be well. */
static void aio_bson__read(int type, const unsigned char *at, size_t size, aio_bson_value *v)
{
    memset((void *)v, 0, sizeof *v);
    v->type = type;
    uint64_t bits = type == AIO_BSON_DOUBLE ? aio_bson__load(at, 8) : 0;
    if (type == AIO_BSON_DOUBLE) memcpy(&v->real, &bits, 8);
    if (type == AIO_BSON_BOOL) v->integer = *at;
    if (type == AIO_BSON_INT32) v->integer = aio_bson__int32(at);
    if (type == AIO_BSON_INT64 || type == AIO_BSON_DATE || type == AIO_BSON_TIMESTAMP)
        v->integer = (int64_t)aio_bson__load(at, 8);
    if (type == AIO_BSON_OID) memcpy(v->oid.bytes, at, 12);
    if (type == AIO_BSON_DBPOINTER) memcpy(v->oid.bytes, at + size - 12, 12);
    if (type == AIO_BSON_DECIMAL128) memcpy(v->decimal, at, 16);
    if (type == AIO_BSON_DOCUMENT || type == AIO_BSON_ARRAY) v->document = aio_bson__view(at, size);
    if (type == AIO_BSON_SCOPE) at += 4;
    if (type == AIO_BSON_STRING || type == AIO_BSON_CODE || type == AIO_BSON_SYMBOL || type == AIO_BSON_DBPOINTER
        || type == AIO_BSON_SCOPE) {
        v->text.data = (const char *)at + 4;
        v->text.length = (size_t)aio_bson__load(at, 4) - 1;
    }
    if (type == AIO_BSON_SCOPE)
        v->document = aio_bson__view(at + 5 + v->text.length, size - 9 - v->text.length);
    if (type == AIO_BSON_REGEX) {
        v->text.data = (const char *)at;
        v->text.length = strlen(v->text.data);
        v->options = v->text.data + v->text.length + 1;
    }
    if (type == AIO_BSON_BINARY) {
        v->subtype = at[4];
        size_t inner = v->subtype == 2 ? 4 : 0;
        v->text.data = (const char *)at + 5 + inner;
        v->text.length = size - 5 - inner;
    }
}

bool aio_bson_next(const aio_bson *document, size_t *position, const char **name, aio_bson_value *value)
{
    if (!document || !document->data || document->length < 5) return false;
    const unsigned char *data = (const unsigned char *)document->data;
    if (*position < 4) *position = 4;
    if (*position >= document->length - 1) return false;
    const unsigned char *at = data + *position;
    int type = *at++;
    const char *called = (const char *)at;
    at += strlen(called) + 1;
    long size = aio_bson__size(type, at, document->length - (size_t)(at - data));
    if (size < 0) return false; /* it has not been looked at by aio_bson_parse */
    if (name) *name = called;
    aio_bson__read(type, at, (size_t)size, value);
    *position = (size_t)(at - data) + (size_t)size;
    return true;
}

/* NULL, or what is wrong, and where. */
static const char *aio_bson__check(const unsigned char *data, size_t length, int depth, const unsigned char **where)
{
    const unsigned char *at = data + 4, *end = data + length - 1;
    *where = data;
    if (depth > AIO_BSON_DEPTH) return "documents within one another are too deep";
    if (length < 5 || aio_bson__embedded(data, length) != length) return "a document's length is wrong";
    while (at < end) {
        *where = at;
        int type = *at++;
        size_t name = aio_bson__cstring(at, (size_t)(end - at));
        if (!name) return "a name has no end, or is no UTF-8";
        at += name;
        long size = aio_bson__size(type, at, (size_t)(end - at));
        if (size < 0) return "a value is not as its type is, or there is no such type";
        bool inner = type == AIO_BSON_DOCUMENT || type == AIO_BSON_ARRAY || type == AIO_BSON_SCOPE;
        size_t skip = type == AIO_BSON_SCOPE ? 8 + (size_t)aio_bson__load(at + 4, 4) : 0;
        const char *wrong = inner ? aio_bson__check(at + skip, (size_t)size - skip, depth + 1, where) : NULL;
        if (wrong) return wrong;
        at += size;
    }
    return NULL;
}

int aio_bson_parse(aio_bson *document, const void *data, size_t length, aio_input_error *error)
{
    const unsigned char *at = (const unsigned char *)data, *where = at;
    const char *wrong = length < 5 ? "a document has at least 5 bytes" : aio_bson__check(at, length, 1, &where);
    *document = wrong ? aio_bson__view(NULL, 0) : aio_bson__view(data, length);
    if (error) {
        memset((void *)error, 0, sizeof *error);
        error->reason = wrong ? wrong : "";
        error->offset = wrong ? (uint64_t)(where - at) : 0;
    }
    return !wrong ? 0 : strstr(wrong, "too deep") ? AIO_ELIMIT : EINVAL;
}

static aio_bson_value aio_bson__member(const aio_bson *document, const char *name, size_t length)
{
    aio_bson_value value;
    const char *called;
    size_t position = 0;
    while (aio_bson_next(document, &position, &called, &value))
        if (strlen(called) == length && !memcmp(called, name, length)) return value;
    memset((void *)&value, 0, sizeof value);
    return value;
}

aio_bson_value aio_bson_get(const aio_bson *document, const char *path)
{
    aio_bson inner = document ? *document : aio_bson__view(NULL, 0);
    for (;;) {
        size_t n = strcspn(path, ".");
        aio_bson_value value = aio_bson__member(&inner, path, n);
        if (!path[n]) return value;
        inner = value.document;
        path += n + 1;
    }
}

bool aio_bson_bool(const aio_bson *document, const char *path, bool fallback)
{
    aio_bson_value value = aio_bson_get(document, path);
    return value.type == AIO_BSON_BOOL ? value.integer != 0 : fallback;
}

/* A 64-bit integer can have its whole part. */
static bool aio_bson__fits(double value) { return value >= -9223372036854775808.0 && value < 9223372036854775808.0; }

int64_t aio_bson_int(const aio_bson *document, const char *path, int64_t fallback)
{
    aio_bson_value value = aio_bson_get(document, path);
    if (value.type == AIO_BSON_DOUBLE && aio_bson__fits(value.real) && value.real == (double)(int64_t)value.real)
        return (int64_t)value.real;
    bool fits = value.type == AIO_BSON_INT32 || value.type == AIO_BSON_INT64 || value.type == AIO_BSON_DATE;
    return fits ? value.integer : fallback;
}

double aio_bson_double(const aio_bson *document, const char *path, double fallback)
{
    aio_bson_value value = aio_bson_get(document, path);
    if (value.type == AIO_BSON_DOUBLE) return value.real;
    return value.type == AIO_BSON_INT32 || value.type == AIO_BSON_INT64 ? (double)value.integer : fallback;
}

const char *aio_bson_string(const aio_bson *document, const char *path, const char *fallback)
{
    aio_bson_value value = aio_bson_get(document, path);
    return value.type == AIO_BSON_STRING ? value.text.data : fallback;
}

/* ---- making ---- */

enum { AIO_BSON__LEVELS = AIO_BSON_DEPTH };

typedef struct aio_bson__made {
    aio_bson  document; /* the first member */
    char     *data;
    size_t    used, room;
    int       depth;    /* of what is open, the root included; 0: it is finished */
    int       code;     /* 0, or why it is none */
    const char *why;
    struct { uint32_t at, count; bool is_array; } open[AIO_BSON__LEVELS];
    struct aio_bson__made *next, **link; /* a command's reply: among those of its client */
} aio_bson__made;

/* In place of one that there was no memory for. Nothing is written into it, as it has an error. */
static aio_bson__made aio_bson__none = {
    { NULL, 0, &aio_bson__none }, NULL, 0, 0, 0, ENOMEM, "out of memory", { { 0, 0, false } }, NULL, NULL
};

static void aio_bson__refuse(aio_bson__made *b, int code, const char *why)
{
    if (b->code) return;
    b->code = code;
    b->why = why;
    b->document.data = NULL;
    b->document.length = 0;
}

/* Room for n more bytes, which are then counted; NULL once it is refused. */
static char *aio_bson__grow(aio_bson__made *b, size_t n)
{
    if (b->code) return NULL;
    if (b->used + n > AIO_BSON_MAX) {
        aio_bson__refuse(b, AIO_ELIMIT, "a document is larger than AIO_BSON_MAX");
        return NULL;
    }
    if (b->room - b->used < n) {
        size_t room = (b->used + n) * 2;
        char *data = (char *)realloc(b->data, room);
        if (!data) {
            aio_bson__refuse(b, ENOMEM, "out of memory");
            return NULL;
        }
        b->data = data;
        b->room = room;
    }
    b->used += n;
    return b->data + b->used - n;
}

static void aio_bson__put(aio_bson__made *b, const void *data, size_t n)
{
    char *at = aio_bson__grow(b, n);
    if (at && n) memcpy(at, data, n);
}

static void aio_bson__put_number(aio_bson__made *b, uint64_t value, int bytes)
{
    char *at = aio_bson__grow(b, (size_t)bytes);
    if (at) aio_bson__store(at, value, bytes);
}

/* The root has its end all the time, so that it is a document after each call; it is taken off for an append. */
static void aio_bson__root_end(aio_bson__made *b)
{
    if (b == &aio_bson__none) return;
    aio_bson__put_number(b, 0, 1);
    if (!b->code) aio_bson__store(b->data, b->used, 4);
    b->document.data = b->code ? NULL : b->data;
    b->document.length = b->code ? 0 : b->used;
}

static void aio_bson__open(aio_bson__made *b, bool is_array)
{
    if (b->depth >= AIO_BSON__LEVELS) aio_bson__refuse(b, AIO_ELIMIT, "documents within one another are too deep");
    if (b->code) return;
    b->open[b->depth].at = (uint32_t)b->used;
    b->open[b->depth].count = 0;
    b->open[b->depth].is_array = is_array;
    b->depth++;
    aio_bson__put_number(b, 0, 4);
}

static void aio_bson__close(aio_bson__made *b)
{
    aio_bson__put_number(b, 0, 1);
    if (b->code) return;
    b->depth--;
    aio_bson__store(b->data + b->open[b->depth].at, b->used - b->open[b->depth].at, 4);
}

static aio_bson__made *aio_bson__new(bool is_array)
{
    aio_bson__made *b = (aio_bson__made *)calloc(1, sizeof *b);
    if (!b) return &aio_bson__none;
    b->document.made = b;
    aio_bson__open(b, is_array);
    return b;
}

/* Begins a member. NULL: it is refused. */
static aio_bson__made *aio_bson__begin(aio_bson *to, int type, const char *name)
{
    aio_bson__made *b = to->made;
    char number[16];
    if (!b || b->code) return NULL;
    if (b->depth == 1 && b->document.data) b->used--; /* the root's end */
    b->document.data = NULL;
    if (b->open[b->depth - 1].is_array) {
        snprintf(number, sizeof number, "%u", (unsigned)b->open[b->depth - 1].count++);
        name = number;
    }
    if (!name) aio_bson__refuse(b, EINVAL, "a member has no name");
    else if (!aio_bson__is_utf8(name, strlen(name))) aio_bson__refuse(b, EINVAL, "a name is no UTF-8");
    aio_bson__put_number(b, (uint64_t)type, 1);
    if (name) aio_bson__put(b, name, strlen(name) + 1);
    return b->code ? NULL : b;
}

/* Ends a member. */
static void aio_bson__done(aio_bson *to)
{
    if (to->made && !to->made->code && to->made->depth == 1) aio_bson__root_end(to->made);
}

static void aio_bson__append(aio_bson *to, int type, const char *name, const void *data, size_t n)
{
    aio_bson__made *b = aio_bson__begin(to, type, name);
    if (b) aio_bson__put(b, data, n);
    aio_bson__done(to);
}

static void aio_bson__append_number(aio_bson *to, int type, const char *name, uint64_t value, int bytes)
{
    char text[8];
    aio_bson__store(text, value, bytes);
    aio_bson__append(to, type, name, text, (size_t)bytes);
}

static void aio_bson__put_string(aio_bson__made *b, const char *text, size_t n)
{
    if (!aio_bson__is_utf8(text, n)) aio_bson__refuse(b, EINVAL, "a string is no UTF-8");
    if (n >= AIO_BSON_MAX) aio_bson__refuse(b, AIO_ELIMIT, "a document is larger than AIO_BSON_MAX");
    aio_bson__put_number(b, n + 1, 4);
    aio_bson__put(b, text, n);
    aio_bson__put_number(b, 0, 1);
}

static void aio_bson__append_long(aio_bson *to, int type, const char *name, const char *text, size_t n)
{
    aio_bson__made *b = aio_bson__begin(to, type, name);
    if (b) aio_bson__put_string(b, text, n);
    aio_bson__done(to);
}

aio_bson *aio_bson_copy(const aio_bson *document)
{
    aio_bson__made *b = aio_bson__new(false);
    if (document && document->made && document->made->code)
        aio_bson__refuse(b, document->made->code, document->made->why);
    if (document && document->length > 5) aio_bson__put(b, document->data + 4, document->length - 5);
    aio_bson__root_end(b);
    return &b->document;
}

void aio_bson_free(aio_bson *document)
{
    aio_bson__made *b = document ? document->made : NULL;
    if (!b || b == &aio_bson__none) return;
    if (b->link) *b->link = b->next;
    if (b->link && b->next) b->next->link = b->link;
    free(b->data);
    free(b);
}

const char *aio_bson_error(const aio_bson *document)
{
    if (!document || !document->made) return NULL;
    return document->made->code ? document->made->why : document->made->depth > 1 ? "an end is missing" : NULL;
}

void aio_bson_begin_document(aio_bson *to, const char *name)
{
    aio_bson__made *b = aio_bson__begin(to, AIO_BSON_DOCUMENT, name);
    if (b) aio_bson__open(b, false);
}

void aio_bson_begin_array(aio_bson *to, const char *name)
{
    aio_bson__made *b = aio_bson__begin(to, AIO_BSON_ARRAY, name);
    if (b) aio_bson__open(b, true);
}

void aio_bson_end(aio_bson *to)
{
    if (!to->made || to->made->code) return;
    if (to->made->depth < 2) aio_bson__refuse(to->made, EINVAL, "an end of nothing");
    else aio_bson__close(to->made);
    aio_bson__done(to);
}

void aio_bson_append_double(aio_bson *to, const char *name, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, 8);
    aio_bson__append_number(to, AIO_BSON_DOUBLE, name, bits, 8);
}

void aio_bson_append_text(aio_bson *to, const char *name, const char *text, size_t length)
{
    aio_bson__append_long(to, AIO_BSON_STRING, name, text, length);
}

void aio_bson_append_string(aio_bson *to, const char *name, const char *text)
{
    if (text) aio_bson_append_text(to, name, text, strlen(text));
    else aio_bson_append_null(to, name);
}

static void aio_bson__append_inner(aio_bson *to, int type, const char *name, const aio_bson *inner)
{
    const char *wrong = aio_bson_error(inner);
    if (wrong && to->made) aio_bson__refuse(to->made, inner->made->code ? inner->made->code : EINVAL, wrong);
    if (inner && inner->data) aio_bson__append(to, type, name, inner->data, inner->length);
    else aio_bson__append(to, type, name, "\5\0\0\0\0", 5);
}

void aio_bson_append_document(aio_bson *to, const char *name, const aio_bson *document)
{
    aio_bson__append_inner(to, AIO_BSON_DOCUMENT, name, document);
}

void aio_bson_append_array(aio_bson *to, const char *name, const aio_bson *array)
{
    aio_bson__append_inner(to, AIO_BSON_ARRAY, name, array);
}

void aio_bson_append_binary(aio_bson *to, const char *name, int subtype, const void *data, size_t length)
{
    aio_bson__made *b = aio_bson__begin(to, AIO_BSON_BINARY, name);
    if (b && length >= AIO_BSON_MAX) aio_bson__refuse(b, AIO_ELIMIT, "a document is larger than AIO_BSON_MAX");
    if (b && (subtype < 0 || subtype > 255)) aio_bson__refuse(b, EINVAL, "a binary's subtype has one byte");
    if (b) {
        aio_bson__put_number(b, length + (subtype == 2 ? 4 : 0), 4);
        aio_bson__put_number(b, (uint64_t)subtype, 1);
        if (subtype == 2) aio_bson__put_number(b, length, 4);
        aio_bson__put(b, data, length);
    }
    aio_bson__done(to);
}

void aio_bson_append_oid(aio_bson *to, const char *name, aio_bson_oid oid)
{
    aio_bson__append(to, AIO_BSON_OID, name, oid.bytes, 12);
}
void aio_bson_append_bool(aio_bson *to, const char *name, bool value)
{
    aio_bson__append_number(to, AIO_BSON_BOOL, name, value, 1);
}
void aio_bson_append_date(aio_bson *to, const char *name, int64_t milliseconds)
{
    aio_bson__append_number(to, AIO_BSON_DATE, name, (uint64_t)milliseconds, 8);
}
void aio_bson_append_null(aio_bson *to, const char *name) { aio_bson__append(to, AIO_BSON_NULL, name, "", 0); }
void aio_bson_append_int32(aio_bson *to, const char *name, int32_t value)
{
    aio_bson__append_number(to, AIO_BSON_INT32, name, (uint32_t)value, 4);
}
void aio_bson_append_int64(aio_bson *to, const char *name, int64_t value)
{
    aio_bson__append_number(to, AIO_BSON_INT64, name, (uint64_t)value, 8);
}
void aio_bson_append_timestamp(aio_bson *to, const char *name, uint32_t seconds, uint32_t counter)
{
    aio_bson__append_number(to, AIO_BSON_TIMESTAMP, name, (uint64_t)seconds << 32 | counter, 8);
}

/* The options are letters in their order, each once: sorted here. */
void aio_bson_append_regex(aio_bson *to, const char *name, const char *pattern, const char *options)
{
    aio_bson__made *b = aio_bson__begin(to, AIO_BSON_REGEX, name);
    if (b && (!aio_bson__is_utf8(pattern, strlen(pattern)) || !aio_bson__is_utf8(options, strlen(options))))
        aio_bson__refuse(b, EINVAL, "a pattern is no UTF-8");
    if (b) aio_bson__put(b, pattern, strlen(pattern) + 1);
    for (int letter = 1; b && letter < 256; letter++) {
        char one = (char)(unsigned char)letter;
        if (letter < 128 && strchr(options, letter)) aio_bson__put(b, &one, 1);
    }
    if (b) aio_bson__put_number(b, 0, 1);
    aio_bson__done(to);
}

void aio_bson_append_code(aio_bson *to, const char *name, const char *code, const aio_bson *scope)
{
    if (!scope) {
        aio_bson__append_long(to, AIO_BSON_CODE, name, code, strlen(code));
        return;
    }
    aio_bson_value value;
    memset((void *)&value, 0, sizeof value);
    value.type = AIO_BSON_SCOPE;
    value.text.data = code;
    value.text.length = strlen(code);
    value.document = *scope;
    aio_bson_append_value(to, name, &value);
}

static void aio_bson__append_scope(aio_bson *to, const char *name, const aio_bson_value *v)
{
    aio_bson__made *b = aio_bson__begin(to, AIO_BSON_SCOPE, name);
    size_t length = v->document.data ? v->document.length : 5;
    const char *wrong = aio_bson_error(&v->document);
    if (b && wrong) aio_bson__refuse(b, EINVAL, wrong);
    if (b) {
        aio_bson__put_number(b, 4 + 5 + v->text.length + length, 4);
        aio_bson__put_string(b, v->text.data, v->text.length);
        aio_bson__put(b, v->document.data ? v->document.data : "\5\0\0\0\0", length);
    }
    aio_bson__done(to);
}

static void aio_bson__append_pointer(aio_bson *to, const char *name, const aio_bson_value *v)
{
    aio_bson__made *b = aio_bson__begin(to, AIO_BSON_DBPOINTER, name);
    if (b) aio_bson__put_string(b, v->text.data, v->text.length);
    if (b) aio_bson__put(b, v->oid.bytes, 12);
    aio_bson__done(to);
}

void aio_bson_append_value(aio_bson *to, const char *name, const aio_bson_value *v)
{
    switch (v->type) {
    case AIO_BSON_DOUBLE: aio_bson_append_double(to, name, v->real); break;
    case AIO_BSON_STRING: case AIO_BSON_CODE: case AIO_BSON_SYMBOL:
        aio_bson__append_long(to, v->type, name, v->text.data, v->text.length);
        break;
    case AIO_BSON_DOCUMENT: case AIO_BSON_ARRAY: aio_bson__append_inner(to, v->type, name, &v->document); break;
    case AIO_BSON_BINARY: aio_bson_append_binary(to, name, v->subtype, v->text.data, v->text.length); break;
    case AIO_BSON_OID: aio_bson_append_oid(to, name, v->oid); break;
    case AIO_BSON_BOOL: aio_bson_append_bool(to, name, v->integer != 0); break;
    case AIO_BSON_REGEX: aio_bson_append_regex(to, name, v->text.data, v->options); break;
    case AIO_BSON_DBPOINTER: aio_bson__append_pointer(to, name, v); break;
    case AIO_BSON_SCOPE: aio_bson__append_scope(to, name, v); break;
    case AIO_BSON_INT32: aio_bson__append_number(to, v->type, name, (uint64_t)v->integer, 4); break;
    case AIO_BSON_DATE: case AIO_BSON_TIMESTAMP: case AIO_BSON_INT64:
        aio_bson__append_number(to, v->type, name, (uint64_t)v->integer, 8);
        break;
    case AIO_BSON_DECIMAL128: aio_bson__append(to, v->type, name, v->decimal, 16); break;
    case AIO_BSON_UNDEFINED: case AIO_BSON_NULL: case AIO_BSON_MINKEY: case AIO_BSON_MAXKEY:
        aio_bson__append(to, v->type, name, "", 0);
        break;
    default: if (to->made) aio_bson__refuse(to->made, EINVAL, "a value of no type");
    }
}

/* ---- Decimal128 ---- */

enum { AIO_BSON__DIGITS = 34, AIO_BSON__BIAS = 6176, AIO_BSON__HIGHEST = 6111 };

/* The decimal digits of high * 2^64 + low, without leading zeros; "0". */
static int aio_bson__digits(uint64_t high, uint64_t low, char digits[48])
{
    uint32_t limb[4] = { (uint32_t)(high >> 32), (uint32_t)high, (uint32_t)(low >> 32), (uint32_t)low };
    char reversed[48];
    int n = 0, used = 0;
    while (limb[0] | limb[1] | limb[2] | limb[3]) {
        uint64_t rest = 0;
        for (int i = 0; i < 4; i++) {
            rest = rest << 32 | limb[i];
            limb[i] = (uint32_t)(rest / 10);
            rest %= 10;
        }
        reversed[n++] = (char)('0' + (int)rest);
    }
    if (!n) reversed[n++] = '0';
    while (n) digits[used++] = reversed[--n];
    digits[used] = 0;
    return used;
}

void aio_bson_decimal128_text(const unsigned char decimal[16], char text[48])
{
    uint64_t low = aio_bson__load(decimal, 8), high = aio_bson__load(decimal + 8, 8);
    const char *sign = high >> 63 ? "-" : "";
    char digits[48];
    int exponent = (int)(high >> 49 & 0x3fff);
    if ((high >> 58 & 31) == 31 || (high >> 58 & 31) == 30) {
        snprintf(text, 48, "%s", (high >> 58 & 31) == 31 ? "NaN" : *sign ? "-Infinity" : "Infinity");
        return;
    }
    if ((high >> 61 & 3) == 3) { /* a significand of more than 34 digits counts as 0 */
        exponent = (int)(high >> 47 & 0x3fff);
        low = 0;
        high = 0;
    }
    int n = aio_bson__digits(high & 0x1ffffffffffffu, low, digits), scientific;
    if (n > AIO_BSON__DIGITS) n = aio_bson__digits(0, 0, digits);
    exponent -= AIO_BSON__BIAS;
    scientific = n - 1 + exponent;
    if (exponent > 0 || scientific < -6)
        snprintf(text, 48, "%s%c%s%.33sE%+d", sign, digits[0], n > 1 ? "." : "", digits + 1, scientific);
    else if (!exponent) snprintf(text, 48, "%s%.34s", sign, digits);
    else if (scientific >= 0) snprintf(text, 48, "%s%.*s.%s", sign, n + exponent, digits, digits + n + exponent);
    else snprintf(text, 48, "%s0.%.*s%.34s", sign, -1 - scientific, "00000", digits);
}

/* Digits with a point, into `digits` without leading zeros, and the exponent that the point stands for. */
static const char *aio_bson__decimal_digits(const char *at, char digits[AIO_BSON__DIGITS + 1], int *n, int *exponent)
{
    bool point = false, any = false, fits = true;
    for (;; at++) {
        if (*at == '.' && !point) {
            point = true;
            continue;
        }
        if (*at < '0' || *at > '9') break;
        any = true;
        if (point) --*exponent;
        if (!*n && *at == '0') continue;
        if (*n < AIO_BSON__DIGITS) digits[(*n)++] = *at;
        else if (*at == '0') ++*exponent;
        else fits = false;
    }
    digits[*n] = 0;
    return any && fits ? at : NULL;
}

/* False: it is no number, or one that 34 digits and this exponent cannot hold. */
static bool aio_bson__decimal128(const char *text, unsigned char decimal[16])
{
    char digits[AIO_BSON__DIGITS + 1];
    int n = 0, exponent = 0;
    uint64_t sign = *text == '-' ? (uint64_t)1 << 63 : 0, high = 0, low = 0;
    if (*text == '-' || *text == '+') text++;
    bool nan = !strcasecmp(text, "nan");
    if (nan || !strcasecmp(text, "infinity") || !strcasecmp(text, "inf")) {
        aio_bson__store(decimal, 0, 8);
        aio_bson__store(decimal + 8, sign | (uint64_t)(nan ? 31 : 30) << 58, 8);
        return true;
    }
    text = aio_bson__decimal_digits(text, digits, &n, &exponent);
    if (text && (*text == 'e' || *text == 'E')) {
        char *end;
        long more = strtol(text + 1, &end, 10);
        bool number = isdigit((unsigned char)text[1]) || ((text[1] == '-' || text[1] == '+')
            && isdigit((unsigned char)text[2]));
        exponent += more > 100000 ? 100000 : more < -100000 ? -100000 : (int)more;
        text = number ? end : NULL;
    }
    if (!text || *text) return false;
    if (!n && exponent > AIO_BSON__HIGHEST) exponent = AIO_BSON__HIGHEST;
    if (!n && exponent < -AIO_BSON__BIAS) exponent = -AIO_BSON__BIAS;
    for (; exponent > AIO_BSON__HIGHEST && n < AIO_BSON__DIGITS; exponent--) digits[n++] = '0';
    for (; exponent < -AIO_BSON__BIAS && n && digits[n - 1] == '0'; exponent++) n--;
    if (exponent > AIO_BSON__HIGHEST || exponent < -AIO_BSON__BIAS) return false;
    for (int i = 0; i < n; i++) { /* high, low = 10 * (high, low) + digit */
        uint64_t part = (low & 0xffffffff) * 10 + (uint64_t)(digits[i] - '0');
        uint64_t upper = (low >> 32) * 10 + (part >> 32);
        low = upper << 32 | (part & 0xffffffff);
        high = high * 10 + (upper >> 32);
    }
    aio_bson__store(decimal, low, 8);
    aio_bson__store(decimal + 8, sign | (uint64_t)(exponent + AIO_BSON__BIAS) << 49 | high, 8);
    return true;
}

void aio_bson_append_decimal128(aio_bson *to, const char *name, const char *text)
{
    unsigned char decimal[16];
    if (!aio_bson__decimal128(text, decimal) && to->made)
        aio_bson__refuse(to->made, EINVAL, "no decimal number of at most 34 digits");
    else aio_bson__append(to, AIO_BSON_DECIMAL128, name, decimal, 16);
}

/* ---- ObjectId ---- */

static int aio_bson__random(void *to, size_t n) { return getentropy(to, n) ? errno : 0; }

/* Seconds, five bytes of the process', a counter that begins anywhere. One for each thread. */
int aio_bson_oid_new(aio_bson_oid *oid)
{
    static __thread unsigned char of_thread[5];
    static __thread uint32_t counter;
    static __thread pid_t made_for;
    uint32_t now = (uint32_t)time(NULL);
    if (made_for != getpid()) {
        int code = aio_bson__random(of_thread, sizeof of_thread);
        if (!code) code = aio_bson__random(&counter, sizeof counter);
        if (code) return code;
        made_for = getpid();
    }
    counter++;
    for (int i = 0; i < 4; i++) oid->bytes[i] = (unsigned char)(now >> (24 - 8 * i));
    memcpy(oid->bytes + 4, of_thread, 5);
    for (int i = 0; i < 3; i++) oid->bytes[9 + i] = (unsigned char)(counter >> (16 - 8 * i));
    return 0;
}

void aio_bson_oid_text(const aio_bson_oid *oid, char text[25])
{
    for (int i = 0; i < 12; i++) snprintf(text + 2 * i, 3, "%02x", oid->bytes[i]);
}

static bool aio_bson__oid_of(const char *text, aio_bson_oid *oid)
{
    static const char hex[] = "0123456789abcdef";
    if (!text || strlen(text) != 24) return false;
    for (int i = 0; i < 24; i++) {
        const char *digit = strchr(hex, tolower((unsigned char)text[i]));
        if (!digit) return false;
        oid->bytes[i / 2] = (unsigned char)((i % 2 ? oid->bytes[i / 2] << 4 : 0) | (int)(digit - hex));
    }
    return true;
}

/* ---- extended JSON, out ---- */

/* The text of a double as canonical extended JSON has it, which is that of JavaScript's numbers, with ".0". */
static int aio_bson__double_text(double value, char text[40])
{
    char digits[24], *point;
    int n = 0, exponent, used = 0;
    if (isnan(value) || isinf(value))
        return snprintf(text, 40, "%s", isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    bool whole = !aio_bson__fits(value) || value == (double)(int64_t)value; /* no fraction has that many bits */
    if (whole && value < 1e21 && value > -1e21) return snprintf(text, 40, "%.0f.0", value);
    for (int precision = 0; precision < 17; precision++) { /* the shortest that is read back as the same */
        snprintf(text, 40, "%.*e", precision, value);
        if (strtod(text, NULL) == value) break;
    }
    point = strchr(text, 'e');
    exponent = (int)strtol(point + 1, NULL, 10);
    for (char *at = text; at < point; at++)
        if (isdigit((unsigned char)*at)) digits[n++] = *at;
    while (n > 1 && digits[n - 1] == '0') n--;
    if (value < 0) text[used++] = '-';
    if (exponent < -6 || exponent > 20) {
        used += snprintf(text + used, 40 - (size_t)used, "%c%s%.*s", digits[0], n > 1 ? "." : "", n - 1, digits + 1);
        return used + snprintf(text + used, 40 - (size_t)used, "e%+d", exponent);
    }
    if (exponent < 0)
        return used + snprintf(text + used, 40 - (size_t)used, "0.%.*s%.*s", -exponent - 1, "00000", n, digits);
    return used + snprintf(text + used, 40 - (size_t)used, "%.*s.%.*s", exponent + 1, digits, n - exponent - 1,
                           digits + exponent + 1);
}

static void aio_bson__json_pair(aio_json_writer *w, const char *name, const char *text)
{
    aio_json_write_object(w);
    aio_json_write_name(w, name);
    aio_json_write_string(w, text);
    aio_json_write_end(w);
}

static size_t aio_bson__base64(char *to, const unsigned char *data, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t used = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)data[i] << 16 | (i + 1 < n ? (uint32_t)data[i + 1] << 8 : 0)
            | (i + 2 < n ? data[i + 2] : 0u);
        for (size_t k = 0; k < 4; k++) to[used++] = i + k > n ? '=' : letters[bits >> (18 - 6 * k) & 63];
    }
    return used;
}

static bool aio_bson__json_binary(aio_json_writer *w, const aio_bson_value *v)
{
    char subtype[3], *text = (char *)malloc(v->text.length / 3 * 4 + 5);
    if (!text) return false;
    snprintf(subtype, sizeof subtype, "%02x", (unsigned)v->subtype & 255);
    size_t n = aio_bson__base64(text, (const unsigned char *)v->text.data, v->text.length);
    aio_json_write_object(w);
    aio_json_write_name(w, "$binary");
    aio_json_write_object(w);
    aio_json_write_name(w, "base64");
    aio_json_write_bytes(w, text, n);
    aio_json_write_name(w, "subType");
    aio_json_write_string(w, subtype);
    aio_json_write_end(w);
    aio_json_write_end(w);
    free(text);
    return true;
}

/* What has two members: a regular expression, a timestamp, a pointer. */
static void aio_bson__json_double(aio_json_writer *w, const aio_bson_value *v)
{
    char oid[25];
    aio_json_write_object(w);
    aio_json_write_name(w, v->type == AIO_BSON_REGEX ? "$regularExpression" : v->type == AIO_BSON_TIMESTAMP
        ? "$timestamp" : "$dbPointer");
    aio_json_write_object(w);
    if (v->type == AIO_BSON_TIMESTAMP) {
        aio_json_write_name(w, "t");
        aio_json_write_uint(w, (uint64_t)v->integer >> 32);
        aio_json_write_name(w, "i");
        aio_json_write_uint(w, (uint64_t)v->integer & 0xffffffff);
    } else {
        aio_json_write_name(w, v->type == AIO_BSON_REGEX ? "pattern" : "$ref");
        aio_json_write_bytes(w, v->text.data, v->text.length);
        aio_json_write_name(w, v->type == AIO_BSON_REGEX ? "options" : "$id");
        aio_bson_oid_text(&v->oid, oid);
        if (v->type == AIO_BSON_REGEX) aio_json_write_string(w, v->options);
        else aio_bson__json_pair(w, "$oid", oid);
    }
    aio_json_write_end(w);
    aio_json_write_end(w);
}

static bool aio_bson__json_document(aio_json_writer *w, const aio_bson *document, bool is_array, int depth);

static bool aio_bson__json_code(aio_json_writer *w, const aio_bson_value *v, int depth)
{
    bool stored = true;
    aio_json_write_object(w);
    aio_json_write_name(w, v->type == AIO_BSON_SYMBOL ? "$symbol" : "$code");
    aio_json_write_bytes(w, v->text.data, v->text.length);
    if (v->type == AIO_BSON_SCOPE) {
        aio_json_write_name(w, "$scope");
        stored = aio_bson__json_document(w, &v->document, false, depth);
    }
    aio_json_write_end(w);
    return stored;
}

static void aio_bson__json_scalar(aio_json_writer *w, const aio_bson_value *v)
{
    char text[48];
    const char *name = "$numberDouble";
    if (v->type == AIO_BSON_DOUBLE) aio_bson__double_text(v->real, text);
    else if (v->type == AIO_BSON_DECIMAL128) {
        name = "$numberDecimal";
        aio_bson_decimal128_text(v->decimal, text);
    } else if (v->type == AIO_BSON_OID) {
        name = "$oid";
        aio_bson_oid_text(&v->oid, text);
    } else {
        name = v->type == AIO_BSON_INT32 ? "$numberInt" : "$numberLong";
        snprintf(text, sizeof text, "%lld", (long long)v->integer);
    }
    if (v->type == AIO_BSON_DATE) {
        aio_json_write_object(w);
        aio_json_write_name(w, "$date");
    }
    aio_bson__json_pair(w, name, text);
    if (v->type == AIO_BSON_DATE) aio_json_write_end(w);
}

/* False: no memory, or too deep. */
static bool aio_bson__json_value(aio_json_writer *w, const aio_bson_value *v, int depth)
{
    switch (v->type) {
    case AIO_BSON_DOCUMENT: case AIO_BSON_ARRAY:
        return aio_bson__json_document(w, &v->document, v->type == AIO_BSON_ARRAY, depth + 1);
    case AIO_BSON_STRING: aio_json_write_bytes(w, v->text.data, v->text.length); break;
    case AIO_BSON_BOOL: aio_json_write_bool(w, v->integer != 0); break;
    case AIO_BSON_NULL: aio_json_write_null(w); break;
    case AIO_BSON_BINARY: return aio_bson__json_binary(w, v);
    case AIO_BSON_CODE: case AIO_BSON_SYMBOL: case AIO_BSON_SCOPE: return aio_bson__json_code(w, v, depth + 1);
    case AIO_BSON_REGEX: case AIO_BSON_TIMESTAMP: case AIO_BSON_DBPOINTER: aio_bson__json_double(w, v); break;
    case AIO_BSON_UNDEFINED: case AIO_BSON_MINKEY: case AIO_BSON_MAXKEY:
        aio_json_write_object(w);
        aio_json_write_name(w, v->type == AIO_BSON_UNDEFINED ? "$undefined" : v->type == AIO_BSON_MINKEY ? "$minKey"
            : "$maxKey");
        if (v->type == AIO_BSON_UNDEFINED) aio_json_write_bool(w, true);
        else aio_json_write_int(w, 1);
        aio_json_write_end(w);
        break;
    default: aio_bson__json_scalar(w, v);
    }
    return true;
}

static bool aio_bson__json_document(aio_json_writer *w, const aio_bson *document, bool is_array, int depth)
{
    const char *name;
    aio_bson_value value;
    size_t position = 0;
    if (depth > AIO_BSON_DEPTH) return false;
    if (is_array) aio_json_write_array(w);
    else aio_json_write_object(w);
    while (aio_bson_next(document, &position, &name, &value)) {
        if (!is_array) aio_json_write_name(w, name);
        if (!aio_bson__json_value(w, &value, depth)) return false;
    }
    aio_json_write_end(w);
    return true;
}

int aio_bson_to_json(const aio_bson *document, aio_text *text)
{
    text->data = NULL;
    text->length = 0;
    if (!document || !document->data) return EINVAL;
    aio_json_writer *w = aio_json_writer_open();
    if (!w) return errno;
    bool is_array = document->made && document->made->open[0].is_array;
    bool stored = aio_bson__json_document(w, document, is_array, 1);
    int code = aio_json_writer_finish(w, text, NULL);
    if (!stored) aio_text_clear(text);
    return code == ENOMEM || stored ? code : ENOMEM;
}

/* ---- extended JSON with values of the program's, in ---- */

typedef struct { const char *at; va_list values; aio_bson *to; } aio_bson__format;

static void aio_bson__wrong(aio_bson__format *f, const char *why) { aio_bson__refuse(f->to->made, EINVAL, why); }

static char aio_bson__look(aio_bson__format *f)
{
    while (*f->at && strchr(" \t\n\r", *f->at)) f->at++;
    return *f->at;
}

static bool aio_bson__skip(aio_bson__format *f, char c)
{
    bool there = aio_bson__look(f) == c;
    if (there) f->at++;
    return there;
}

/* A text in quotes, either kind, with JSON's escapes; or a name without them. Yours (free); NULL: it is refused. */
static char *aio_bson__quoted(aio_bson__format *f)
{
    static const char escapes[] = "b\bf\fn\nr\rt\t\"\"''\\\\//"; /* a letter, and what it stands for */
    char quote = aio_bson__look(f), *text = (char *)malloc(strlen(f->at) + 1), *to = text;
    if (!text) aio_bson__refuse(f->to->made, ENOMEM, "out of memory");
    if (!text) return NULL;
    if (quote != '"' && quote != '\'') {
        while (isalnum((unsigned char)*f->at) || (*f->at && strchr("_$.-", *f->at))) *to++ = *f->at++;
        *to = 0;
        if (to == text) aio_bson__wrong(f, "a name is missing");
        return text;
    }
    for (f->at++; *f->at && *f->at != quote; f->at++) {
        size_t which = 0;
        bool escaped = *f->at == '\\';
        if (escaped) for (f->at++; escapes[which] && escapes[which] != *f->at; which += 2) { }
        if (escaped && !escapes[which]) break;
        *to++ = escaped ? escapes[which + 1] : *f->at;
    }
    *to = 0;
    if (*f->at != quote || !quote) aio_bson__wrong(f, "a string has no end, or an escape that is not JSON's, or \\u");
    else f->at++;
    return text;
}

enum { AIO_BSON__TEXT, AIO_BSON__INTEGER, AIO_BSON__REAL, AIO_BSON__OTHER };
typedef struct { int kind, bytes; const char *text; char *owned; int64_t integer; double real; } aio_bson__scalar;

/* %s and the like: takes the next value of the program's. */
static void aio_bson__placeholder(aio_bson__format *f, aio_bson__scalar *s)
{
    size_t n = strspn(f->at + 1, "lz");
    char kind = f->at[1 + n], size = n ? f->at[1] : 0;
    s->kind = AIO_BSON__INTEGER;
    s->bytes = n ? 8 : 4;
    if (kind == 's' && !n) {
        s->kind = AIO_BSON__TEXT;
        s->text = va_arg(f->values, const char *);
    } else if (kind == 'f' && !n) {
        s->kind = AIO_BSON__REAL;
        s->real = va_arg(f->values, double);
    } else if ((kind == 'd' || kind == 'i') && n < 3) {
        s->integer = !n ? va_arg(f->values, int) : n == 2 ? va_arg(f->values, long long)
            : size == 'z' ? (int64_t)va_arg(f->values, ssize_t) : va_arg(f->values, long);
    } else if (kind == 'u' && n < 3) {
        uint64_t value = !n ? va_arg(f->values, unsigned) : n == 2 ? va_arg(f->values, unsigned long long)
            : size == 'z' ? (uint64_t)va_arg(f->values, size_t) : va_arg(f->values, unsigned long);
        if (value > INT64_MAX) aio_bson__wrong(f, "an integer is larger than BSON's");
        if (value > INT32_MAX) s->bytes = 8;
        s->integer = (int64_t)value;
    } else aio_bson__wrong(f, "no such placeholder");
    f->at += 2 + n;
}

/* Bytes of a number with a '.', whatever LC_NUMERIC has in its place. False: they are none. */
static bool aio_bson__real(const char *text, size_t n, double *value)
{
    const char *point = localeconv()->decimal_point, *dot = (const char *)memchr(text, '.', n);
    char copy[512], *end;
    size_t width = strlen(point), before = dot ? (size_t)(dot - text) : n;
    if (n + width >= sizeof copy) return false;
    memcpy(copy, text, before);
    if (dot) memcpy(copy + before, point, width);
    if (dot) memcpy(copy + before + width, dot + 1, n - before - 1);
    size_t used = dot ? n - 1 + width : n;
    copy[used] = 0;
    *value = strtod(copy, &end);
    return n && end == copy + used;
}

/* A number of the format's own: 1 and 1.0 are of different types. */
static void aio_bson__literal(aio_bson__format *f, aio_bson__scalar *s)
{
    char *end = NULL;
    size_t n = strspn(f->at, "+-.0123456789eE");
    bool is = true;
    s->kind = memchr(f->at, '.', n) || memchr(f->at, 'e', n) || memchr(f->at, 'E', n) ? AIO_BSON__REAL
        : AIO_BSON__INTEGER;
    errno = 0;
    if (s->kind == AIO_BSON__REAL) is = aio_bson__real(f->at, n, &s->real);
    else s->integer = strtoll(f->at, &end, 10);
    s->bytes = s->integer >= INT32_MIN && s->integer <= INT32_MAX ? 4 : 8;
    if (!n || !is || (s->kind == AIO_BSON__INTEGER && (errno || end != f->at + n))) aio_bson__wrong(f, "no value, or no number");
    f->at += n;
}

static void aio_bson__scalar_of(aio_bson__format *f, aio_bson__scalar *s)
{
    memset((void *)s, 0, sizeof *s);
    char c = aio_bson__look(f);
    if (c == '%') aio_bson__placeholder(f, s);
    else if (c == '"' || c == '\'') s->text = s->owned = aio_bson__quoted(f);
    else aio_bson__literal(f, s);
}

/* { $oid: ... } and the others that stand for a value. False: it is another document. */
static bool aio_bson__extended(aio_bson__format *f, const char *name)
{
    static const char *const names[] = { "$oid", "$date", "$numberLong", "$numberDecimal" };
    const char *begin = f->at;
    aio_bson__scalar s;
    aio_bson_oid oid;
    size_t which = 0, n;
    char *end = NULL;
    bool fits = false, quoted;
    f->at++;
    quoted = aio_bson__look(f) == '"' || *f->at == '\'';
    f->at += quoted;
    n = strcspn(f->at, "\"' \t\n\r:");
    while (which < 4 && (strlen(names[which]) != n || memcmp(f->at, names[which], n))) which++;
    if (which == 4) {
        f->at = begin;
        return false;
    }
    f->at += n + quoted;
    if (!aio_bson__skip(f, ':')) aio_bson__wrong(f, "a colon is missing");
    aio_bson__scalar_of(f, &s);
    if (which == 0 && s.kind == AIO_BSON__TEXT) fits = aio_bson__oid_of(s.text, &oid);
    if (which == 0 && fits) aio_bson_append_oid(f->to, name, oid);
    if (which == 1) fits = s.kind == AIO_BSON__INTEGER;
    if (which == 1 && fits) aio_bson_append_date(f->to, name, s.integer);
    if (which == 2) {
        errno = 0;
        long long value = s.kind == AIO_BSON__TEXT && s.text && *s.text ? strtoll(s.text, &end, 10) : s.integer;
        fits = s.kind == AIO_BSON__INTEGER || (end && !*end && !errno);
        if (fits) aio_bson_append_int64(f->to, name, value);
    }
    if (which == 3) fits = s.kind == AIO_BSON__TEXT && s.text;
    if (which == 3 && fits) aio_bson_append_decimal128(f->to, name, s.text);
    if (!fits) aio_bson__wrong(f, "$oid, $date, $numberLong or $numberDecimal of something else");
    if (!aio_bson__skip(f, '}')) aio_bson__wrong(f, "an end is missing");
    free(s.owned);
    return true;
}

static void aio_bson__members(aio_bson__format *f, bool is_array);

static bool aio_bson__word(aio_bson__format *f, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(f->at, word, n) || isalnum((unsigned char)f->at[n])) return false;
    f->at += n;
    return true;
}

static void aio_bson__value(aio_bson__format *f, const char *name)
{
    aio_bson__scalar s;
    char c = aio_bson__look(f);
    if (c == '{' && aio_bson__extended(f, name)) return;
    if (c == '{' || c == '[') {
        if (c == '{') aio_bson_begin_document(f->to, name);
        else aio_bson_begin_array(f->to, name);
        aio_bson__members(f, c == '[');
        aio_bson_end(f->to);
    } else if (aio_bson__word(f, "true")) aio_bson_append_bool(f->to, name, true);
    else if (aio_bson__word(f, "false")) aio_bson_append_bool(f->to, name, false);
    else if (aio_bson__word(f, "null")) aio_bson_append_null(f->to, name);
    else {
        aio_bson__scalar_of(f, &s);
        if (s.kind == AIO_BSON__TEXT) aio_bson_append_string(f->to, name, s.text);
        else if (s.kind == AIO_BSON__REAL) aio_bson_append_double(f->to, name, s.real);
        else if (s.bytes == 4) aio_bson_append_int32(f->to, name, (int32_t)s.integer);
        else aio_bson_append_int64(f->to, name, s.integer);
        free(s.owned);
    }
}

/* What is between the brackets, with both of them. The depth is bounded by what can be begun. */
static void aio_bson__members(aio_bson__format *f, bool is_array)
{
    char end = is_array ? ']' : '}';
    aio_bson__look(f);
    f->at++;
    if (aio_bson__skip(f, end)) return;
    do {
        char *name = is_array ? NULL : aio_bson__quoted(f);
        if (!is_array && !aio_bson__skip(f, ':')) aio_bson__wrong(f, "a colon is missing");
        if (!aio_bson_error(f->to) || !f->to->made->code) aio_bson__value(f, name);
        free(name);
        if (f->to->made->code) return;
    } while (aio_bson__skip(f, ','));
    if (!aio_bson__skip(f, end)) aio_bson__wrong(f, "an end, or a comma, is missing");
}

aio_bson *aio_bson_make(const char *format, ...)
{
    aio_bson__format f;
    f.at = format;
    bool is_array = aio_bson__look(&f) == '[';
    aio_bson__made *b = aio_bson__new(is_array);
    f.to = &b->document;
    if (b->code) return f.to;
    aio_bson__root_end(b);
    va_start(f.values, format);
    if (*f.at != '{' && *f.at != '[') aio_bson__wrong(&f, "neither a document nor an array");
    else aio_bson__members(&f, is_array);
    if (!b->code && aio_bson__look(&f)) aio_bson__wrong(&f, "something stands behind the end");
    va_end(f.values);
    return f.to;
}

/* ---- the client ---- */

enum { /* the protocol's */
    AIO_MONGO__COMPRESSED = 2012, AIO_MONGO__MSG = 2013, AIO_MONGO__ZLIB = 2, AIO_MONGO__HEAD = 16,
    AIO_MONGO__CHECKSUM = 1, AIO_MONGO__MORE = 2, /* flags: a checksum follows, the sender has more to say */
    AIO_MONGO__SHA1 = 1, AIO_MONGO__SHA256 = 2
};
enum { AIO_MONGO__HOSTS = 50, AIO_MONGO__LEAST_ITERATIONS = 4096 };

typedef struct { char *data; size_t used, room; } aio_mongo__buffer;
typedef struct { char *name; int port; } aio_mongo__host; /* port 0: the path of a unix socket */

/* A connection. */
typedef struct aio_mongo__link {
    struct aio_mongo__link *next;
    aio_stream             *stream;
    uint32_t                request;    /* the latest one's number */
    uint64_t                generation; /* of the client: an older one is not used again */
    double                  idle_since;
    size_t                  max_document, max_message, max_batch; /* the server's */
    int                     mechanism;        /* of SCRAM; 0: no user */
    bool                    compresses, busy; /* busy: a reply has still to come */
    bool                    met;              /* its first reply was one of MongoDB */
} aio_mongo__link;

/* A command, and what came of it. Made when the function is called, and the client's until its coroutine has ended. */
typedef struct aio_mongo__op {
    struct aio_mongo__op *next, **of;
    aio_mongo            *client;
    aio_bson             *body;
    aio_mongo__buffer     documents, wire, error;
    size_t                from, until, count; /* of documents: what is sent with this message */
    const char           *section;            /* what they are to the command */
    aio_bson             *reply;
    aio_mongo__link      *link;
    size_t                host;               /* that is connected to; */
    const char           *doing, *limit;      /* what is being done with it, and which time was over, if one was */
    int64_t               index;              /* of the first document of this message */
    aio_bson_oid          oid;
    int                   code;
    bool                  plain, unordered;   /* plain: never compressed, as it is about authentication */
} aio_mongo__op;

struct aio_mongo {
    aio_mongo_options  options;
    aio_mongo__host    hosts[AIO_MONGO__HOSTS];
    size_t             host_count;
    char              *user, *password, *database, *source, *replica_set, *app_name;
    aio_tls_context   *tls;
    bool               is_tls, is_direct, wants_zlib, has_concern;
    int                mechanism, level; /* 0: the server's best; of zlib */
    double             connect_timeout, selection_timeout, socket_timeout, queue_timeout, idle_time;
    aio_bson          *concern;          /* writeConcern */
    aio_semaphore      places;
    aio_mongo__link   *free;             /* the one used last comes first */
    uint64_t           generation;
    aio_mongo__op     *ops;
    aio_bson__made    *replies;
    int                refs;
    struct { int mechanism, iterations; size_t salt_length; char salt[64]; unsigned char client[32], server[32]; } key;
};

/* ---- buffers, checksums ---- */

static bool aio_mongo__put(aio_mongo__buffer *b, const void *data, size_t n)
{
    if (b->room - b->used < n + 1) {
        size_t room = (b->used + n + 1) * 2;
        char *grown = (char *)realloc(b->data, room);
        if (!grown) return false;
        b->data = grown;
        b->room = room;
    }
    if (n) memcpy(b->data + b->used, data, n);
    b->used += n;
    b->data[b->used] = 0;
    return true;
}

static bool aio_mongo__put_number(aio_mongo__buffer *b, uint64_t value)
{
    char text[4];
    aio_bson__store(text, value, 4);
    return aio_mongo__put(b, text, 4);
}

/* CRC-32C, four bits at a time. */
static uint32_t aio_mongo__crc(const void *data, size_t n)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75
    };
    const unsigned char *at = (const unsigned char *)data;
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= at[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* The command's error, which its coroutine raises. */
static int aio_mongo__fail(aio_mongo__op *op, int code, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));
static int aio_mongo__fail(aio_mongo__op *op, int code, const char *format, ...)
{
    char text[700];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    op->error.used = 0;
    aio_mongo__put(&op->error, text, strlen(text));
    op->code = code;
    return -1;
}

static const char *aio_mongo__why(const aio_mongo__op *op) { return op->error.data ? op->error.data : "out of memory"; }

/* ---- commands as messages ---- */

static void aio_mongo__op_free(aio_mongo__op *op)
{
    if (!op) return;
    if (op->of) *op->of = op->next;
    if (op->of && op->next) op->next->of = op->of;
    aio_bson_free(op->body);
    aio_bson_free(op->reply);
    free(op->documents.data);
    free(op->wire.data);
    free(op->error.data);
    free(op);
}

/* Takes the body. NULL: no memory. */
static aio_mongo__op *aio_mongo__op_new(aio_mongo *client, aio_bson *body)
{
    aio_mongo__op *op = (aio_mongo__op *)calloc(1, sizeof *op);
    if (!op) {
        aio_bson_free(body);
        return NULL;
    }
    op->client = client;
    op->body = body;
    op->next = client->ops;
    op->of = &client->ops;
    if (op->next) op->next->of = &op->next;
    client->ops = op;
    return op;
}

/* A document that is a part of the command: an error of it is the command's. Takes it. */
static void aio_mongo__add(aio_bson *body, const char *name, aio_bson *document, bool is_array)
{
    if (is_array) aio_bson_append_array(body, name, document);
    else aio_bson_append_document(body, name, document);
    aio_bson_free(document);
}

/* As many documents as the server takes at once. 0 or -1. */
static int aio_mongo__choose(aio_mongo__op *op, const aio_mongo__link *link)
{
    if (op->body->length > link->max_document + 16384)
        return aio_mongo__fail(op, AIO_ELIMIT, "MongoDB: the command has %zu bytes, the server takes %zu",
                               op->body->length, link->max_document);
    size_t room = link->max_message - op->body->length - 1024;
    op->until = op->from;
    op->count = 0;
    while (op->until < op->documents.used && op->count < link->max_batch) {
        size_t n = (size_t)aio_bson__load(op->documents.data + op->until, 4);
        if (n > link->max_document)
            return aio_mongo__fail(op, AIO_ELIMIT, "MongoDB: document %lld has %zu bytes, the server takes %zu",
                                   (long long)(op->index + (int64_t)op->count), n, link->max_document);
        if (op->until + n - op->from > room) break;
        op->until += n;
        op->count++;
    }
    return 0;
}

/* Commands about secrets are not compressed, as their length would tell of them. */
static bool aio_mongo__is_secret(const aio_bson *command)
{
    static const char *const names[] = { "hello", "saslStart", "saslContinue", "authenticate", "createUser",
                                         "updateUser", "copydb", "copydbgetnonce", "copydbsaslstart", "getnonce" };
    const char *name = "";
    aio_bson_value value;
    size_t position = 0;
    aio_bson_next(command, &position, &name, &value);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(names[i], name)) return true;
    return false;
}

/* The message in op->wire as one of OP_COMPRESSED. */
static int aio_mongo__compress(aio_mongo__op *op)
{
    aio_mongo__buffer *w = &op->wire;
    aio_text packed;
    size_t length = w->used - AIO_MONGO__HEAD;
    int code = aio_deflate_all(&packed, w->data + AIO_MONGO__HEAD, length, .format = AIO_CODING_ZLIB,
                               .level = op->client->level);
    w->used = AIO_MONGO__HEAD;
    bool stored = !code && aio_mongo__put_number(w, AIO_MONGO__MSG) && aio_mongo__put_number(w, length)
        && aio_mongo__put(w, "\2", 1) && aio_mongo__put(w, packed.data, packed.length);
    if (!code) aio_text_clear(&packed);
    if (!stored) return aio_mongo__fail(op, ENOMEM, "out of memory");
    aio_bson__store(w->data, w->used, 4);
    aio_bson__store(w->data + 12, AIO_MONGO__COMPRESSED, 4);
    return 0;
}

/* The whole message as it goes out, in op->wire. 0 or -1. */
static int aio_mongo__encode(aio_mongo__op *op, aio_mongo__link *link)
{
    aio_mongo__buffer *w = &op->wire;
    bool checksum = op->client->options.checksum && !op->client->is_tls, stored;
    if (aio_mongo__choose(op, link)) return -1;
    w->used = 0;
    link->request++;
    stored = aio_mongo__put_number(w, 0) && aio_mongo__put_number(w, link->request) && aio_mongo__put_number(w, 0)
        && aio_mongo__put_number(w, AIO_MONGO__MSG);
    stored = stored && aio_mongo__put_number(w, checksum ? AIO_MONGO__CHECKSUM : 0) && aio_mongo__put(w, "", 1)
        && aio_mongo__put(w, op->body->data, op->body->length);
    if (op->section)
        stored = stored && aio_mongo__put(w, "\1", 1)
            && aio_mongo__put_number(w, 4 + strlen(op->section) + 1 + op->until - op->from)
            && aio_mongo__put(w, op->section, strlen(op->section) + 1)
            && aio_mongo__put(w, op->documents.data + op->from, op->until - op->from);
    if (stored) aio_bson__store(w->data, w->used + (checksum ? 4 : 0), 4);
    if (stored && link->compresses && !op->plain && !aio_mongo__is_secret(op->body)) return aio_mongo__compress(op);
    if (checksum) stored = stored && aio_mongo__put_number(w, aio_mongo__crc(w->data, w->used));
    return stored ? 0 : aio_mongo__fail(op, ENOMEM, "out of memory");
}

/* The body of an OP_MSG, from its flags on, becomes op->reply. 0 or -1. */
static int aio_mongo__take_message(aio_mongo__op *op, const unsigned char *at, size_t n)
{
    aio_input_error error;
    aio_bson view;
    if (n < 5) return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply is cut short");
    uint32_t flags = (uint32_t)aio_bson__load(at, 4);
    if (flags & AIO_MONGO__MORE)
        return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: more replies are to come than were asked for");
    if (flags & 0xfffc) return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply has unknown flags");
    if (at[4]) return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply has no document");
    n -= flags & AIO_MONGO__CHECKSUM ? 4 : 0;
    if (n < 5) return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply is cut short");
    if (aio_bson_parse(&view, at + 5, n - 5, &error))
        return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply is no BSON: %s, at byte %llu", error.reason,
                               (unsigned long long)error.offset);
    aio_bson_free(op->reply);
    op->reply = aio_bson_copy(&view);
    return aio_bson_error(op->reply) ? aio_mongo__fail(op, op->reply->made->code, "%s", aio_bson_error(op->reply)) : 0;
}

/* The same of an OP_COMPRESSED: what it is in clear, its length, how it is packed. */
static int aio_mongo__take_compressed(aio_mongo__op *op, const unsigned char *at, size_t n)
{
    aio_text text;
    if (n < 9) return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply is cut short");
    size_t length = (size_t)aio_bson__load(at + 4, 4);
    if (aio_bson__load(at, 4) != AIO_MONGO__MSG || at[8] > AIO_MONGO__ZLIB || at[8] == 1)
        return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply is compressed in a way that was not asked for");
    if (length > op->client->options.max_message)
        return aio_mongo__fail(op, AIO_ELIMIT, "MongoDB: a reply has %zu bytes: more than max_message", length);
    if (!at[8] && length == n - 9) return aio_mongo__take_message(op, at + 9, length); /* it is as it is */
    int code = aio_inflate_all(&text, at + 9, n - 9, NULL, .format = AIO_CODING_ZLIB, .max_output = (int64_t)length + 1,
                               .max_ratio = AIO_UNLIMITED);
    if (code == ENOMEM) return aio_mongo__fail(op, ENOMEM, "out of memory");
    if (code || text.length != length) {
        if (!code) aio_text_clear(&text);
        return aio_mongo__fail(op, AIO_ECODING, "MongoDB: a reply's compressed bytes are not well");
    }
    code = aio_mongo__take_message(op, (const unsigned char *)text.data, length);
    aio_text_clear(&text);
    return code;
}

/* What begins so is of another protocol; NULL: it may be MongoDB's. */
static const char *aio_mongo__other(aio_text in)
{
    static const struct { const char *begin, *what; } others[] = {
        { "HTTP/", "HTTP" }, { "SSH-", "SSH" }, { "\x15\x03", "TLS: tls=true is for that" }, { "220", "FTP or SMTP" },
        { "-ERR", "Redis or POP3" }, { "-NOAUTH", "Redis" }, { "-DENIED", "Redis" }, { "+OK", "Redis or POP3" },
        { "* OK", "IMAP" }
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t n = strlen(others[i].begin);
        if (in.length >= n && !memcmp(in.data, others[i].begin, n)) return others[i].what;
    }
    return NULL;
}

/* 0, or -1: what has come first begins as no reply to `hello` does. */
static int aio_mongo__first(aio_mongo__op *op, const aio_mongo__link *link, aio_text in)
{
    const char *what = aio_mongo__other(in);
    const unsigned char *at = (const unsigned char *)in.data;
    if (!what && in.length >= AIO_MONGO__HEAD && aio_bson__load(at + 8, 4) != link->request && !at[3]
        && (at[4] == 10 || at[4] == 255)) what = "MySQL"; /* its length and number, then a greeting or an error */
    return what ? aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: this is no MongoDB server: it looks like %s", what) : 0;
}

/* The reply, if all of it has come: 1; 0: more has to; -1. */
static int aio_mongo__decode(aio_mongo__op *op, aio_mongo__link *link)
{
    aio_text in = aio_stream_unread(link->stream);
    const unsigned char *at = (const unsigned char *)in.data;
    if (!link->met && aio_mongo__first(op, link, in)) return -1;
    if (in.length < AIO_MONGO__HEAD) return 0;
    size_t n = (size_t)aio_bson__load(at, 4);
    if (n < AIO_MONGO__HEAD + 5 || n > 0x7fffffff)
        return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply's length cannot be: this is no MongoDB server");
    if (n > op->client->options.max_message)
        return aio_mongo__fail(op, AIO_ELIMIT, "MongoDB: a reply has %zu bytes: more than max_message", n);
    if (aio_bson__load(at + 8, 4) != link->request)
        return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply to another request");
    bool packed = aio_bson__load(at + 12, 4) == AIO_MONGO__COMPRESSED;
    if (packed ? !link->compresses : aio_bson__load(at + 12, 4) != AIO_MONGO__MSG)
        return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply of an unknown kind");
    if (in.length < n) return 0;
    if (!packed && (at[16] & AIO_MONGO__CHECKSUM) && aio_mongo__crc(at, n - 4) != aio_bson__load(at + n - 4, 4))
        return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply's checksum is wrong");
    if (packed ? aio_mongo__take_compressed(op, at + AIO_MONGO__HEAD, n - AIO_MONGO__HEAD)
        : aio_mongo__take_message(op, at + AIO_MONGO__HEAD, n - AIO_MONGO__HEAD)) return -1;
    aio_stream_consume(link->stream, n);
    link->busy = false;
    link->met = true;
    return 1;
}

/* One message there, one back. */
struct aio_mongo__exchange { aio_task task; aio_mongo__op *op; aio_mongo__link *link; aio_text more; int step; };
static AIO_CORO(aio_mongo__exchange)
{
    AIO_BEGIN(aio_mongo__exchange);
    if (aio_mongo__encode(self->op, self->link)) AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
    self->link->busy = true;
    self->step = aio_stream_write(self->link->stream, self->op->wire.data, self->op->wire.used);
    if (self->step) AIO_RAISE(self->step);
    AIO_AWAIT(aio_stream_drain(self->link->stream));
    while ((self->step = aio_mongo__decode(self->op, self->link)) == 0) {
        AIO_AWAIT(self->more, aio_stream_more(self->link->stream));
        if (!self->more.length) AIO_RAISE(AIO_EDISCONNECTED, "MongoDB: the server closed the connection");
    }
    if (self->step < 0) AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
    AIO_END;
}

/* What the server says may be any number. */
static int64_t aio_mongo__sum(int64_t a, int64_t b)
{
    return b > 0 && a > INT64_MAX - b ? INT64_MAX : b < 0 && a < INT64_MIN - b ? INT64_MIN : a + b;
}

/* An error of the server's as ours: never a number that is the loop's, or the system's. */
static int aio_mongo__code(int64_t code)
{
    return AIO_MONGO_ERRORS + (code > 0 && code < 1000000000 ? (int)code : 0);
}

/* The first of the documents that were not well, if there is one. 0 or -1. */
static int aio_mongo__look_at_writes(aio_mongo__op *op)
{
    aio_bson_value errors = aio_bson_get(op->reply, "writeErrors");
    if (errors.type == AIO_BSON_NONE) return 0;
    if (errors.type != AIO_BSON_ARRAY)
        return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply's writeErrors are no array");
    if (errors.document.length <= 5) return 0;
    int64_t code = aio_bson_int(&errors.document, "0.code", 0);
    return aio_mongo__fail(op, aio_mongo__code(code), "MongoDB %lld: document %lld (%lld before it were well): %s",
                           (long long)code,
                           (long long)aio_mongo__sum(op->index, aio_bson_int(&errors.document, "0.index", 0)),
                           (long long)aio_mongo__sum(op->index, aio_bson_int(op->reply, "n", 0)),
                           aio_bson_string(&errors.document, "0.errmsg", "no reason given"));
}

/* What a reply says of how it went. 0 or -1. */
static int aio_mongo__look(aio_mongo__op *op)
{
    const aio_bson *r = op->reply;
    int64_t code = aio_bson_int(r, "code", 0);
    aio_bson_value concern = aio_bson_get(r, "writeConcernError"), ok = aio_bson_get(r, "ok");
    if (ok.real != 1 && ok.integer != 1)
        return aio_mongo__fail(op, aio_mongo__code(code), "MongoDB %lld (%s): %s", (long long)code,
                               aio_bson_string(r, "codeName", ""), aio_bson_string(r, "errmsg", "no reason given"));
    if (aio_mongo__look_at_writes(op)) return -1;
    if (concern.type == AIO_BSON_NONE) return 0;
    if (concern.type != AIO_BSON_DOCUMENT)
        return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply's writeConcernError is no document");
    code = aio_bson_int(&concern.document, "code", 0);
    return aio_mongo__fail(op, aio_mongo__code(code), "MongoDB %lld (%s): done, but not as safely as it should be: %s",
                           (long long)code, aio_bson_string(&concern.document, "codeName", ""),
                           aio_bson_string(&concern.document, "errmsg", "no reason given"));
}

/* ---- the URI ---- */

static __thread const char *aio_mongo__open_why = "";

const char *aio_mongo_open_error(void) { return aio_mongo__open_why; }

static int aio_mongo__bad(const char *why)
{
    aio_mongo__open_why = why;
    return EINVAL;
}

/* The bytes up to `end`, percent-decoded; yours. NULL: out of memory, or not well. */
static char *aio_mongo__part(const char *at, const char *end)
{
    char *text = (char *)malloc((size_t)(end - at) + 1), *to = text, hex[3] = "";
    for (; text && at < end; at++) {
        *to = *at;
        if (*at == '%') {
            bool fits = end - at > 2 && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2]);
            if (fits) memcpy(hex, at + 1, 2);
            *to = fits ? (char)(unsigned char)strtol(hex, NULL, 16) : 0;
            at += 2;
        }
        if (!*to++) {
            free(text);
            errno = aio_mongo__bad("a % is not followed by two hexadecimal digits, or stands for NUL");
            return NULL;
        }
    }
    if (text) *to = 0;
    else errno = ENOMEM;
    return text;
}

static int aio_mongo__add_host(aio_mongo *client, const char *at, const char *end)
{
    const char *name_end = end, *colon;
    long port = 27017;
    bool v6 = at < end && *at == '[';
    if (client->host_count == AIO_MONGO__HOSTS) return aio_mongo__bad("more hosts than 50");
    if (v6) {
        name_end = (const char *)memchr(at, ']', (size_t)(end - at));
        if (!name_end) return aio_mongo__bad("an address in brackets has no end");
    }
    const char *from = v6 ? name_end : at;
    colon = (const char *)memchr(from, ':', (size_t)(end - from));
    if (colon) {
        char *after;
        port = strtol(colon + 1, &after, 10);
        if (!isdigit((unsigned char)colon[1]) || after != end || port < 1 || port > 65535)
            return aio_mongo__bad("a port is none");
        if (!v6) name_end = colon;
    } else if (v6 && name_end + 1 != end) return aio_mongo__bad("something stands behind an address in brackets");
    at += v6;
    if (at == name_end) return aio_mongo__bad("a host is empty");
    char *name = aio_mongo__part(at, name_end);
    if (!name) return errno;
    size_t n = strlen(name);
    bool is_path = n > 5 && !strcmp(name + n - 5, ".sock");
    if (!is_path && strchr(name, '/')) {
        free(name);
        return aio_mongo__bad("a path that is no socket's");
    }
    client->hosts[client->host_count].name = name;
    client->hosts[client->host_count++].port = is_path ? 0 : (int)port;
    return 0;
}

typedef struct { aio_tls_options options; char *ca_file, *key_file; } aio_mongo__tls;

static int aio_mongo__truth(const char *value, bool *to)
{
    *to = !strcmp(value, "true");
    return *to || !strcmp(value, "false") ? 0 : aio_mongo__bad("an option is neither true nor false");
}

/* A number of milliseconds; 0: `none`. */
static int aio_mongo__seconds(const char *value, double *to, double none)
{
    char *end;
    long ms = strtol(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end || ms > 1000000000) return aio_mongo__bad("an option is no number");
    *to = ms ? (double)ms / 1000 : none;
    return 0;
}

static int aio_mongo__text(char *value, char **to)
{
    free(*to);
    *to = (char *)malloc(strlen(value) + 1);
    if (*to) memcpy(*to, value, strlen(value) + 1);
    return *to ? 0 : ENOMEM;
}

/* "zlib,snappy": those that are not ours count as not there, as everywhere. */
static bool aio_mongo__has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (; *list; list += strcspn(list, ","), list += *list == ',')
        if (strcspn(list, ",") == n && !strncmp(list, word, n)) return true;
    return false;
}

static int aio_mongo__concern(aio_mongo *client, const char *name, const char *value)
{
    char *end;
    long number = strtol(value, &end, 10);
    bool is_number = isdigit((unsigned char)*value) && !*end && number <= INT32_MAX, truth;
    client->has_concern = true;
    if (!strcasecmp(name, "journal")) {
        if (aio_mongo__truth(value, &truth)) return EINVAL;
        aio_bson_append_bool(client->concern, "j", truth);
    } else if (!strcasecmp(name, "wTimeoutMS")) {
        if (!is_number) return aio_mongo__bad("an option is no number");
        aio_bson_append_int64(client->concern, "wtimeout", number);
    } else if (is_number && !number) return aio_mongo__bad("w=0: writes without an answer are not for here");
    else if (is_number) aio_bson_append_int32(client->concern, "w", (int32_t)number);
    else aio_bson_append_string(client->concern, "w", value);
    return 0;
}

static int aio_mongo__mechanism(aio_mongo *client, const char *value)
{
    client->mechanism = !strcmp(value, "SCRAM-SHA-256") ? AIO_MONGO__SHA256
        : !strcmp(value, "SCRAM-SHA-1") ? AIO_MONGO__SHA1 : 0;
    return client->mechanism ? 0 : aio_mongo__bad("authMechanism is neither SCRAM-SHA-256 nor SCRAM-SHA-1");
}

static int aio_mongo__option(aio_mongo *client, aio_mongo__tls *tls, const char *name, char *value, long *places)
{
    char *end;
    long number = strtol(value, &end, 10);
    bool is_number = isdigit((unsigned char)*value) && !*end, truth;
    if (!strcasecmp(name, "authSource")) return aio_mongo__text(value, &client->source);
    if (!strcasecmp(name, "authMechanism")) return aio_mongo__mechanism(client, value);
    if (!strcasecmp(name, "tls") || !strcasecmp(name, "ssl")) return aio_mongo__truth(value, &client->is_tls);
    if (!strcasecmp(name, "tlsCAFile")) return aio_mongo__text(value, &tls->ca_file);
    if (!strcasecmp(name, "tlsCertificateKeyFile")) return aio_mongo__text(value, &tls->key_file);
    if (!strcasecmp(name, "tlsInsecure")) {
        if (aio_mongo__truth(value, &truth)) return EINVAL;
        tls->options.verify = truth ? AIO_VERIFY_NONE : AIO_VERIFY_FULL;
        return 0;
    }
    if (!strcasecmp(name, "connectTimeoutMS"))
        return aio_mongo__seconds(value, &client->connect_timeout, AIO_UNLIMITED);
    if (!strcasecmp(name, "serverSelectionTimeoutMS"))
        return aio_mongo__seconds(value, &client->selection_timeout, AIO_NOW);
    if (!strcasecmp(name, "socketTimeoutMS"))
        return aio_mongo__seconds(value, &client->socket_timeout, AIO_UNLIMITED);
    if (!strcasecmp(name, "waitQueueTimeoutMS"))
        return aio_mongo__seconds(value, &client->queue_timeout, AIO_UNLIMITED);
    if (!strcasecmp(name, "maxIdleTimeMS")) return aio_mongo__seconds(value, &client->idle_time, AIO_UNLIMITED);
    if (!strcasecmp(name, "maxPoolSize") && is_number && number <= 100000) {
        *places = number ? number : 100000;
        return 0;
    }
    if (!strcasecmp(name, "compressors")) {
        client->wants_zlib = aio_mongo__has_word(value, "zlib");
        return 0;
    }
    if (!strcasecmp(name, "zlibCompressionLevel") && number >= -1 && number <= 9 && !*end && *value) {
        client->level = number < 0 ? AIO_DEFLATE_DEFAULT : number < 4 ? AIO_DEFLATE_FAST
            : number < 8 ? AIO_DEFLATE_DEFAULT : AIO_DEFLATE_BEST;
        return 0;
    }
    if (!strcasecmp(name, "replicaSet")) return aio_mongo__text(value, &client->replica_set);
    if (!strcasecmp(name, "directConnection")) return aio_mongo__truth(value, &client->is_direct);
    if (!strcasecmp(name, "appName")) return aio_mongo__text(value, &client->app_name);
    if (!strcasecmp(name, "w") || !strcasecmp(name, "journal") || !strcasecmp(name, "wTimeoutMS"))
        return aio_mongo__concern(client, name, value);
    if (!strcasecmp(name, "retryReads") || !strcasecmp(name, "retryWrites")) return aio_mongo__truth(value, &truth);
    return aio_mongo__bad("an option is unknown here, or has a value that cannot be");
}

static int aio_mongo__options(aio_mongo *client, aio_mongo__tls *tls, const char *at, long *places)
{
    int code = 0;
    while (*at && !code) {
        const char *end = at + strcspn(at, "&"), *equals = (const char *)memchr(at, '=', (size_t)(end - at));
        if (!equals) return aio_mongo__bad("an option has no value");
        char *name = aio_mongo__part(at, equals), *value = name ? aio_mongo__part(equals + 1, end) : NULL;
        code = value ? aio_mongo__option(client, tls, name, value, places) : errno;
        free(name);
        free(value);
        at = end + (*end == '&');
    }
    return code;
}

/* User info, hosts and database. *options: what comes after the '?'. */
static int aio_mongo__authority(aio_mongo *client, const char *at, const char **options)
{
    const char *end = at + strcspn(at, "/?"), *info = end, *host, *path_end;
    while (info > at && *info != '@') info--;
    if (*info == '@') {
        const char *colon = (const char *)memchr(at, ':', (size_t)(info - at));
        client->user = aio_mongo__part(at, colon ? colon : info);
        client->password = client->user ? aio_mongo__part(colon ? colon + 1 : info, info) : NULL;
        if (!client->password) return errno;
        if (!*client->user || memchr(at, '@', (size_t)(info - at)) || (colon
            && memchr(colon + 1, ':', (size_t)(info - colon - 1))))
            return aio_mongo__bad("user and password are to be percent-encoded");
        at = info + 1;
    }
    for (host = at; host <= end; host = at) {
        at = (const char *)memchr(host, ',', (size_t)(end - host));
        if (!at) at = end;
        int code = aio_mongo__add_host(client, host, at);
        if (code) return code;
        at++;
    }
    path_end = end + strcspn(end, "?");
    if (*end == '/' && path_end > end + 1) client->database = aio_mongo__part(end + 1, path_end);
    if (*end == '/' && path_end > end + 1 && !client->database) return errno;
    *options = *path_end ? path_end + 1 : path_end;
    return 0;
}

static int aio_mongo__parse(aio_mongo *client, const char *uri)
{
    aio_mongo__tls tls;
    const char *options = "";
    long places = 100;
    memset((void *)&tls, 0, sizeof tls);
    if (!strncmp(uri, "mongodb+srv://", 14)) return aio_mongo__bad("mongodb+srv is not for here: name the hosts");
    if (strncmp(uri, "mongodb://", 10)) return aio_mongo__bad("it does not begin with mongodb://");
    int code = aio_mongo__authority(client, uri + 10, &options);
    if (!code) code = aio_mongo__options(client, &tls, options, &places);
    if (!code && client->is_direct && client->host_count > 1)
        code = aio_mongo__bad("directConnection to several hosts");
    if (!code) code = aio_semaphore_init(&client->places, (int)places);
    tls.options.ca_file = tls.ca_file;
    tls.options.cert_file = tls.key_file;
    if (client->options.tls_context) {
        client->is_tls = true;
        client->tls = aio_tls_context_ref(client->options.tls_context);
    } else if (!code && (tls.ca_file || tls.key_file || tls.options.verify)) {
        client->is_tls = true;
        client->tls = aio_tls_context_create_with(&tls.options);
        if (!client->tls) code = aio_mongo__bad(aio_tls_context_error());
    }
    free(tls.ca_file);
    free(tls.key_file);
    return code;
}

static void aio_mongo__erase(char *text)
{
    for (volatile char *at = text; at && *at; at++) *at = 0;
    free(text);
}

static void aio_mongo__link_end(aio_mongo__link *link)
{
    if (link && link->busy) aio_stream_abort(link->stream);
    else if (link) aio_stream_close(link->stream);
    free(link);
}

static void aio_mongo__unref(aio_mongo *client)
{
    if (--client->refs) return;
    while (client->free) {
        aio_mongo__link *link = client->free;
        client->free = link->next;
        aio_mongo__link_end(link);
    }
    while (client->ops) aio_mongo__op_free(client->ops);
    while (client->replies) aio_bson_free(&client->replies->document);
    for (size_t i = 0; i < client->host_count; i++) free(client->hosts[i].name);
    aio_mongo__erase(client->user);
    aio_mongo__erase(client->password);
    free(client->database);
    free(client->source);
    free(client->replica_set);
    free(client->app_name);
    aio_bson_free(client->concern);
    aio_tls_context_unref(client->tls);
    aio_semaphore_destroy(&client->places);
    for (volatile char *at = (volatile char *)&client->key, *end = at + sizeof client->key; at < end; at++) *at = 0;
    free(client);
}

aio_mongo *aio_mongo_open_with(const char *uri, const aio_mongo_options *options)
{
    aio_mongo *client = (aio_mongo *)calloc(1, sizeof *client);
    int code = ENOMEM;
    aio_mongo__open_why = "";
    if (client) {
        client->refs = 1;
        client->options = *options;
        if (!options->max_message) client->options.max_message = 48000000;
        if (!options->max_iterations) client->options.max_iterations = 1000000;
        if (options->kill_timeout == 0) client->options.kill_timeout = 5;
        client->connect_timeout = 20;
        client->selection_timeout = 30;
        client->socket_timeout = client->queue_timeout = client->idle_time = AIO_UNLIMITED;
        client->concern = aio_bson_make("{}");
        code = aio_mongo__parse(client, uri);
        if (!code && aio_bson_error(client->concern)) code = ENOMEM;
    }
    if (code && client) aio_mongo__unref(client);
    if (code) errno = code;
    return code ? NULL : client;
}

void aio_mongo_close(aio_mongo *client)
{
    if (client) aio_mongo__unref(client);
}

/* Where the user is known. */
static const char *aio_mongo__source(const aio_mongo *client)
{
    return client->source ? client->source : client->database ? client->database : "admin";
}

#ifndef AIO_NO_TLS
/* ---- SASLprep, RFC 4013 ---- */

/* The bytes of base64 text, into `to`, which has room for 3 of each 4 letters; SIZE_MAX: it is none. */
static size_t aio_mongo__unbase64(unsigned char *to, const char *text, size_t length)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t used = 0, padding = length && text[length - 1] == '=' ? length > 1 && text[length - 2] == '=' ? 2 : 1 : 0;
    uint32_t bits = 0;
    if (length % 4) return SIZE_MAX;
    for (size_t i = 0; i < length; i++) {
        const char *letter = text[i] ? strchr(letters, text[i]) : NULL;
        if (!letter && i < length - padding) return SIZE_MAX;
        bits = bits << 6 | (uint32_t)(letter && i < length - padding ? letter - letters : 0);
        for (size_t k = 0; i % 4 == 3 && k < (i + 1 == length ? 3 - padding : 3); k++)
            to[used++] = (unsigned char)(bits >> (16 - 8 * k));
    }
    return used;
}

enum { AIO_MONGO__NOTHING, AIO_MONGO__SPACE, AIO_MONGO__PROHIBITED, AIO_MONGO__RIGHT, AIO_MONGO__LEFT,
       AIO_MONGO__UNASSIGNED, AIO_MONGO__APART, AIO_MONGO__CLASSES, AIO_MONGO__TOGETHER, AIO_MONGO__TABLES };
enum { AIO_MONGO__HANGUL = 0xac00, AIO_MONGO__LEAD = 0x1100, AIO_MONGO__VOWEL = 0x1161, AIO_MONGO__TAIL = 0x11a7,
       AIO_MONGO__SYLLABLES = 11172 };
static const char *aio_mongo__table_line(size_t i); /* NULL behind the last */

/* The tables, which are looked through from their beginning, as a password is short; and a text as code points. */
typedef struct {
    aio_text             text; /* of all tables */
    const unsigned char *tables[AIO_MONGO__TABLES];
    uint32_t            *codes;
    size_t               count, room;
} aio_mongo__prep;

static uint32_t aio_mongo__number(const unsigned char **at)
{
    uint32_t value = 0;
    do value = value << 7 | (**at & 127u);
    while (*(*at)++ & 128);
    return value;
}

/* Finds where each table begins. How they are made up is told in tests/integration/saslprep_tables.py. */
static void aio_mongo__find_tables(aio_mongo__prep *p)
{
    const unsigned char *at = (const unsigned char *)p->text.data;
    for (int i = 0; i < AIO_MONGO__TABLES; i++) {
        p->tables[i] = at;
        for (uint32_t n = aio_mongo__number(&at); n; n--) {
            aio_mongo__number(&at);
            uint32_t values = i == AIO_MONGO__APART ? aio_mongo__number(&at) : i == AIO_MONGO__TOGETHER ? 2 : 1;
            for (; values; values--) aio_mongo__number(&at);
        }
    }
}

static bool aio_mongo__in_set(const aio_mongo__prep *p, int set, uint32_t code)
{
    const unsigned char *at = p->tables[set];
    uint32_t first = 0;
    for (uint32_t n = aio_mongo__number(&at); n; n--) {
        first += aio_mongo__number(&at);
        uint32_t end = first + aio_mongo__number(&at);
        if (code < end) return code >= first;
        first = end;
    }
    return false;
}

static bool aio_mongo__add_code(aio_mongo__prep *p, uint32_t code)
{
    if (p->count == p->room) {
        size_t room = 2 * p->room + 64;
        uint32_t *codes = (uint32_t *)malloc(room * sizeof *codes); /* realloc would leave a password behind */
        if (!codes) return false;
        if (p->codes) memcpy(codes, p->codes, p->count * sizeof *codes);
        if (p->codes) OPENSSL_cleanse(p->codes, p->room * sizeof *codes);
        free(p->codes);
        p->codes = codes;
        p->room = room;
    }
    p->codes[p->count++] = code;
    return true;
}

/* Appends what NFKD makes of a character. */
static bool aio_mongo__take_apart(aio_mongo__prep *p, uint32_t code)
{
    if (code >= AIO_MONGO__HANGUL && code < AIO_MONGO__HANGUL + AIO_MONGO__SYLLABLES) {
        uint32_t index = code - AIO_MONGO__HANGUL;
        return aio_mongo__add_code(p, AIO_MONGO__LEAD + index / 588)
            && aio_mongo__add_code(p, AIO_MONGO__VOWEL + index % 588 / 28)
            && (index % 28 == 0 || aio_mongo__add_code(p, AIO_MONGO__TAIL + index % 28));
    }
    const unsigned char *at = p->tables[AIO_MONGO__APART];
    uint32_t key = 0;
    bool stored = true;
    for (uint32_t n = aio_mongo__number(&at); n; n--) {
        key += aio_mongo__number(&at);
        uint32_t values = aio_mongo__number(&at);
        for (uint32_t i = 0; i < values; i++) {
            uint32_t value = aio_mongo__number(&at);
            if (key == code) stored = stored && aio_mongo__add_code(p, value);
        }
        if (key == code) return stored;
    }
    return aio_mongo__add_code(p, code);
}

static uint32_t aio_mongo__class(const aio_mongo__prep *p, uint32_t code)
{
    const unsigned char *at = p->tables[AIO_MONGO__CLASSES];
    uint32_t key = 0;
    for (uint32_t n = aio_mongo__number(&at); n; n--) {
        key += aio_mongo__number(&at);
        uint32_t value = aio_mongo__number(&at);
        if (key == code) return value;
    }
    return 0;
}

/* What two characters become; 0: they stay. */
static uint32_t aio_mongo__together(const aio_mongo__prep *p, uint32_t a, uint32_t b)
{
    if (a >= AIO_MONGO__LEAD && a < AIO_MONGO__LEAD + 19 && b >= AIO_MONGO__VOWEL && b < AIO_MONGO__VOWEL + 21)
        return AIO_MONGO__HANGUL + ((a - AIO_MONGO__LEAD) * 21 + b - AIO_MONGO__VOWEL) * 28;
    if (a >= AIO_MONGO__HANGUL && a < AIO_MONGO__HANGUL + AIO_MONGO__SYLLABLES
        && (a - AIO_MONGO__HANGUL) % 28 == 0 && b > AIO_MONGO__TAIL && b < AIO_MONGO__TAIL + 28)
        return a + b - AIO_MONGO__TAIL;
    const unsigned char *at = p->tables[AIO_MONGO__TOGETHER];
    uint32_t key = 0;
    for (uint32_t n = aio_mongo__number(&at); n; n--) {
        key += aio_mongo__number(&at);
        uint32_t first = aio_mongo__number(&at), second = aio_mongo__number(&at);
        if (first == a && second == b) return key;
    }
    return 0;
}

/* Marks in the order of their classes, then each with what it stands behind, where that is a character of its own. */
static void aio_mongo__compose(aio_mongo__prep *p)
{
    for (size_t i = 1; i < p->count; i++)
        for (size_t k = i; k; k--) {
            uint32_t code = p->codes[k], class_ = aio_mongo__class(p, code);
            if (!class_ || aio_mongo__class(p, p->codes[k - 1]) <= class_) break;
            p->codes[k] = p->codes[k - 1];
            p->codes[k - 1] = code;
        }
    size_t used = 0, starter = SIZE_MAX;
    uint32_t last = 0; /* the class of what stands behind the starter */
    for (size_t i = 0; i < p->count; i++) {
        uint32_t code = p->codes[i], class_ = aio_mongo__class(p, code);
        bool reaches = starter != SIZE_MAX && (used == starter + 1 || (last < class_ && last));
        uint32_t one = reaches ? aio_mongo__together(p, p->codes[starter], code) : 0;
        if (one) p->codes[starter] = one;
        else {
            if (!class_) starter = used;
            last = class_;
            p->codes[used++] = code;
        }
    }
    p->count = used;
}

/* Whether what was made may be a password: no characters that are prohibited, or of no one; one way of writing. */
static const char *aio_mongo__allowed(const aio_mongo__prep *p)
{
    bool right = false, left = false;
    for (size_t i = 0; i < p->count; i++) {
        uint32_t code = p->codes[i];
        if (aio_mongo__in_set(p, AIO_MONGO__PROHIBITED, code)) return "a character that a password may not have";
        if (aio_mongo__in_set(p, AIO_MONGO__UNASSIGNED, code)) return "a character that Unicode 3.2 does not have";
        right = right || aio_mongo__in_set(p, AIO_MONGO__RIGHT, code);
        left = left || aio_mongo__in_set(p, AIO_MONGO__LEFT, code);
    }
    if (!right) return NULL;
    if (left || !aio_mongo__in_set(p, AIO_MONGO__RIGHT, p->codes[0])
        || !aio_mongo__in_set(p, AIO_MONGO__RIGHT, p->codes[p->count - 1]))
        return "characters that are written from right to left, and others";
    return NULL;
}

static int aio_mongo__load_tables(aio_mongo__prep *p)
{
    size_t length = 0, used = 0;
    for (size_t i = 0; aio_mongo__table_line(i); i++) length += strlen(aio_mongo__table_line(i));
    unsigned char *packed = (unsigned char *)malloc(length);
    for (size_t i = 0; packed && aio_mongo__table_line(i); i++)
        used += aio_mongo__unbase64(packed + used, aio_mongo__table_line(i), strlen(aio_mongo__table_line(i)));
    int code = packed ? aio_inflate_all(&p->text, packed, used, NULL, .format = AIO_CODING_ZLIB) : ENOMEM;
    free(packed);
    if (!code) aio_mongo__find_tables(p);
    return code;
}

static int aio_mongo__prepare(aio_mongo__prep *p, const char *text, const char **why)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + strlen(text);
    uint32_t code;
    while (at < end) {
        size_t n = aio_bson__character(at, (size_t)(end - at), &code);
        *why = "bytes that are no UTF-8";
        if (!n) return EINVAL;
        at += n;
        if (aio_mongo__in_set(p, AIO_MONGO__NOTHING, code)) continue; /* U+200B is in both: nothing, as for PyMongo */
        if (aio_mongo__in_set(p, AIO_MONGO__SPACE, code)) code = ' ';
        if (!aio_mongo__take_apart(p, code)) return ENOMEM;
    }
    aio_mongo__compose(p);
    *why = aio_mongo__allowed(p);
    return *why ? EINVAL : 0;
}

static size_t aio_mongo__put_utf8(char *to, uint32_t c)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6) to[i] = (char)(unsigned char)(0x80 | (c & 63));
    to[0] = (char)(unsigned char)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
    return n;
}

/* The text as it is compared: *to is yours (free). 0; ENOMEM; EINVAL, and *why says what the text has. */
static int aio_mongo__saslprep(const char *text, char **to, const char **why)
{
    aio_mongo__prep p;
    bool is_plain = true;
    size_t used = 0;
    memset((void *)&p, 0, sizeof p);
    for (const char *at = text; *at; at++) is_plain = is_plain && *at >= ' ' && *at < 127;
    int code = is_plain ? 0 : aio_mongo__load_tables(&p);
    if (!code && !is_plain) code = aio_mongo__prepare(&p, text, why);
    *to = code ? NULL : (char *)malloc(is_plain ? strlen(text) + 1 : 4 * p.count + 1);
    if (*to && is_plain) memcpy(*to, text, strlen(text) + 1);
    for (size_t i = 0; *to && !is_plain && i < p.count; i++) used += aio_mongo__put_utf8(*to + used, p.codes[i]);
    if (*to && !is_plain) (*to)[used] = 0;
    if (p.codes) OPENSSL_cleanse(p.codes, p.room * sizeof *p.codes);
    free(p.codes);
    aio_text_clear(&p.text);
    return *to ? 0 : code ? code : ENOMEM;
}

/* ---- SCRAM, RFC 5802 ---- */

enum { AIO_MONGO__NONCE = 32 /* letters of base64 */, AIO_MONGO__SECRET = 64 };

static const EVP_MD *aio_mongo__hash(int mechanism)
{
    return mechanism == AIO_MONGO__SHA256 ? EVP_sha256() : EVP_sha1();
}
static size_t aio_mongo__hash_size(int mechanism) { return mechanism == AIO_MONGO__SHA256 ? 32 : 20; }

static bool aio_mongo__hmac(int mechanism, const void *key, const void *data, size_t n, unsigned char *out)
{
    unsigned size = 0;
    return HMAC(aio_mongo__hash(mechanism), key, (int)aio_mongo__hash_size(mechanism), (const unsigned char *)data, n,
                out, &size) != NULL;
}

/* What a thread makes of the password: thousands of rounds. */
typedef struct {
    int           mechanism, iterations;
    size_t        salt_length;
    unsigned char salt[AIO_MONGO__SECRET];
    unsigned char client[32], server[32]; /* the keys */
    char         *password;
} aio_mongo__deriving;

static void aio_mongo__derived_free(void *arg)
{
    aio_mongo__deriving *d = (aio_mongo__deriving *)arg;
    if (d) aio_mongo__erase(d->password);
    if (d) OPENSSL_cleanse(d, sizeof *d);
    free(d);
}

static void *aio_mongo__derive(void *arg)
{
    aio_mongo__deriving *d = (aio_mongo__deriving *)arg;
    unsigned char salted[32];
    int size = (int)aio_mongo__hash_size(d->mechanism);
    bool done = PKCS5_PBKDF2_HMAC(d->password, (int)strlen(d->password), d->salt, (int)d->salt_length, d->iterations,
                                  aio_mongo__hash(d->mechanism), size, salted) == 1
        && aio_mongo__hmac(d->mechanism, salted, "Client Key", 10, d->client)
        && aio_mongo__hmac(d->mechanism, salted, "Server Key", 10, d->server);
    OPENSSL_cleanse(salted, sizeof salted);
    if (done) return d;
    aio_mongo__derived_free(d);
    return aio_job_raise(ENOMEM, "MongoDB: OpenSSL could not make keys of the password");
}

/* SCRAM-SHA-1 has a digest in place of the password; SCRAM-SHA-256 the password as SASLprep has it. */
static int aio_mongo__secret(aio_mongo__op *op, int mechanism, char **to)
{
    const aio_mongo *client = op->client;
    const char *why = "";
    if (mechanism == AIO_MONGO__SHA256) {
        int code = aio_mongo__saslprep(client->password, to, &why);
        return code == EINVAL ? aio_mongo__fail(op, EINVAL, "MongoDB: the password has %s", why)
            : code ? aio_mongo__fail(op, code, "out of memory") : 0;
    }
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    unsigned char digest[16];
    unsigned n = 0;
    bool done = c && EVP_DigestInit_ex(c, EVP_md5(), NULL)
        && EVP_DigestUpdate(c, client->user, strlen(client->user)) && EVP_DigestUpdate(c, ":mongo:", 7)
        && EVP_DigestUpdate(c, client->password, strlen(client->password)) && EVP_DigestFinal_ex(c, digest, &n);
    EVP_MD_CTX_free(c);
    *to = done ? (char *)malloc(33) : NULL;
    for (int i = 0; *to && i < 16; i++) snprintf(*to + 2 * i, 3, "%02x", digest[i]);
    OPENSSL_cleanse(digest, sizeof digest);
    return *to ? 0
        : aio_mongo__fail(op, done ? ENOMEM : ENOTSUP, "MongoDB: no MD5, which SCRAM-SHA-1 needs, or no memory");
}

/* A conversation: what was said so far. */
typedef struct {
    int               mechanism;
    char              nonce[AIO_MONGO__NONCE + 1];
    aio_mongo__buffer said; /* the first message of each side, then what ours ends with, with commas between them */
    size_t            bare; /* how much of it is our first message */
    aio_mongo__deriving *keys;
    unsigned char     signature[32]; /* that the server has to show */
} aio_mongo__scram;

/* "n=user,r=nonce" */
static int aio_mongo__scram_begin(aio_mongo__op *op, aio_mongo__scram *s)
{
    unsigned char random[AIO_MONGO__NONCE / 4 * 3];
    int code = aio_bson__random(random, sizeof random);
    bool stored = aio_mongo__put(&s->said, "n=", 2);
    if (code) return aio_mongo__fail(op, code, "MongoDB: no random bytes");
    aio_bson__base64(s->nonce, random, sizeof random);
    for (const char *at = op->client->user; *at; at++)
        stored = stored && aio_mongo__put(&s->said, *at == ',' ? "=2C" : *at == '=' ? "=3D" : at,
                                          *at == ',' || *at == '=' ? 3 : 1);
    stored = stored && aio_mongo__put(&s->said, ",r=", 3) && aio_mongo__put(&s->said, s->nonce, AIO_MONGO__NONCE);
    s->bare = s->said.used;
    return stored ? 0 : aio_mongo__fail(op, ENOMEM, "out of memory");
}

/* The payload of a reply: a text, with a NUL put behind; NULL: there is none, or errno is ENOMEM. */
static char *aio_mongo__payload(const aio_mongo__op *op, size_t *length)
{
    aio_bson_value payload = aio_bson_get(op->reply, "payload");
    errno = 0;
    if (payload.type != AIO_BSON_BINARY || memchr(payload.text.data, 0, payload.text.length)) return NULL;
    char *text = (char *)malloc(payload.text.length + 1);
    if (!text) errno = ENOMEM;
    else memcpy(text, payload.text.data, payload.text.length);
    if (text) text[payload.text.length] = 0;
    *length = payload.text.length;
    return text;
}

/* "r=nonce,s=salt,i=iterations": s->keys gets what keys are made of. 0 or -1. */
static int aio_mongo__scram_asked(aio_mongo__op *op, aio_mongo__op *hello, aio_mongo__scram *s)
{
    size_t length = 0, salt_length, nonce_length;
    char *text = aio_mongo__payload(hello, &length), *salt = text ? strstr(text, ",s=") : NULL, *end = NULL;
    char *number = salt ? strstr(salt + 1, ",i=") : NULL;
    long iterations = number && isdigit((unsigned char)number[3]) ? strtol(number + 3, &end, 10) : 0;
    aio_mongo__deriving *d = s->keys = (aio_mongo__deriving *)calloc(1, sizeof *d);
    int code = -1;
    bool stored;
    nonce_length = salt && text[0] == 'r' && text[1] == '=' ? (size_t)(salt - text) - 2 : 0;
    salt_length = number ? (size_t)(number - salt) - 3 : SIZE_MAX;
    if (!d || (!text && errno == ENOMEM)) aio_mongo__fail(op, ENOMEM, "out of memory");
    else if (!end || *end || nonce_length <= AIO_MONGO__NONCE || memcmp(text + 2, s->nonce, AIO_MONGO__NONCE)
             || memchr(text + 2, ',', nonce_length) || salt_length > sizeof d->salt || !salt_length
             || (d->salt_length = aio_mongo__unbase64(d->salt, salt + 3, salt_length)) == SIZE_MAX)
        aio_mongo__fail(op, EACCES, "MongoDB: what the server says for SCRAM is not well, or no answer to us");
    else if (iterations < AIO_MONGO__LEAST_ITERATIONS)
        aio_mongo__fail(op, EACCES, "MongoDB: the server asks for %ld iterations of SCRAM: too few", iterations);
    else if (iterations > op->client->options.max_iterations)
        aio_mongo__fail(op, AIO_ELIMIT, "MongoDB: the server asks for %ld iterations of SCRAM: over max_iterations",
                        iterations);
    else {
        d->mechanism = s->mechanism;
        d->iterations = (int)iterations;
        stored = aio_mongo__put(&s->said, ",", 1) && aio_mongo__put(&s->said, text, length)
            && aio_mongo__put(&s->said, ",c=biws,r=", 10) && aio_mongo__put(&s->said, text + 2, nonce_length);
        code = stored ? aio_mongo__secret(op, s->mechanism, &d->password)
            : aio_mongo__fail(op, ENOMEM, "out of memory");
    }
    free(text);
    return code;
}

/* Keys that were made before of the same salt. */
static bool aio_mongo__known(aio_mongo *client, aio_mongo__deriving *d)
{
    bool same = client->key.mechanism == d->mechanism && client->key.iterations == d->iterations
        && client->key.salt_length == d->salt_length && !memcmp(client->key.salt, d->salt, d->salt_length);
    if (same) memcpy(d->client, client->key.client, 32);
    if (same) memcpy(d->server, client->key.server, 32);
    return same;
}

static void aio_mongo__keep(aio_mongo *client, const aio_mongo__deriving *d)
{
    client->key.mechanism = d->mechanism;
    client->key.iterations = d->iterations;
    client->key.salt_length = d->salt_length;
    memcpy(client->key.salt, d->salt, d->salt_length);
    memcpy(client->key.client, d->client, 32);
    memcpy(client->key.server, d->server, 32);
}

/* "c=biws,r=nonce,p=proof" into `message`. 0 or -1. */
static int aio_mongo__scram_proof(aio_mongo__op *op, aio_mongo__scram *s, aio_mongo__buffer *message)
{
    unsigned char stored[32], signature[32], proof[32];
    char text[48];
    unsigned n = 0;
    size_t size = aio_mongo__hash_size(s->mechanism), all = s->said.used, length;
    const char *last = s->said.data + all;
    while (last[-1] != ',' || last[0] != 'c') last--; /* a nonce has no commas */
    length = (size_t)(s->said.data + all - last);
    bool done = EVP_Digest(s->keys->client, size, stored, &n, aio_mongo__hash(s->mechanism), NULL) == 1
        && aio_mongo__hmac(s->mechanism, stored, s->said.data, all, signature)
        && aio_mongo__hmac(s->mechanism, s->keys->server, s->said.data, all, s->signature);
    for (size_t i = 0; done && i < size; i++) proof[i] = s->keys->client[i] ^ signature[i];
    done = done && aio_mongo__put(message, last, length) && aio_mongo__put(message, ",p=", 3)
        && aio_mongo__put(message, text, aio_bson__base64(text, proof, size));
    return done ? 0 : aio_mongo__fail(op, ENOMEM, "MongoDB: OpenSSL could not make the proof, or no memory");
}

/* "v=signature": only who knows the password, or what was made of it, can say that. 0 or -1. */
static int aio_mongo__scram_verify(aio_mongo__op *op, const aio_mongo__op *reply, const aio_mongo__scram *s)
{
    unsigned char signature[AIO_MONGO__SECRET];
    size_t length = 0, size = aio_mongo__hash_size(s->mechanism);
    char *text = aio_mongo__payload(reply, &length);
    bool proved = text && length > 2 && length <= AIO_MONGO__SECRET && text[0] == 'v' && text[1] == '='
        && aio_mongo__unbase64(signature, text + 2, length - 2) == size
        && !CRYPTO_memcmp(signature, s->signature, size);
    if (!text && errno == ENOMEM) return aio_mongo__fail(op, ENOMEM, "out of memory");
    free(text);
    return proved ? 0 : aio_mongo__fail(op, EACCES, "MongoDB: the server has not proved that it knows the password");
}

static void aio_mongo__sasl(aio_mongo__op *op, const char *command, const aio_mongo__scram *s, aio_text payload)
{
    int32_t conversation = (int32_t)aio_bson_int(op->reply, "conversationId", 1);
    const char *mechanism = s->mechanism == AIO_MONGO__SHA256 ? "SCRAM-SHA-256" : "SCRAM-SHA-1";
    bool first = !strcmp(command, "saslStart");
    aio_bson_free(op->body);
    op->body = aio_bson_make("{}");
    aio_bson_append_int32(op->body, command, 1);
    if (first) aio_bson_append_string(op->body, "mechanism", mechanism);
    else aio_bson_append_int32(op->body, "conversationId", conversation);
    aio_bson_append_binary(op->body, "payload", 0, payload.data, payload.length);
    if (first) aio_mongo__add(op->body, "options", aio_bson_make("{ skipEmptyExchange: true }"), false);
    aio_bson_append_string(op->body, "$db", aio_mongo__source(op->client));
}

/* Proves to a server who we are, and has it prove that it knows the password. `op` is one of its own. */
struct aio_mongo__proving { aio_task task; aio_mongo__op *op; aio_mongo__link *link; aio_mongo__scram scram;
                            aio_mongo__buffer message; aio_text payload; aio_job_future *job; void *derived;
                            int step; };
static AIO_CORO(aio_mongo__proving)
{
    AIO_BEGIN(aio_mongo__proving);
    self->scram.mechanism = self->link->mechanism;
    if (aio_mongo__scram_begin(self->op, &self->scram) || !aio_mongo__put(&self->message, "n,,", 3)
        || !aio_mongo__put(&self->message, self->scram.said.data, self->scram.said.used)) AIO_RAISE(ENOMEM);
    for (self->step = 0; self->step < 3; self->step++) {
        self->payload.data = self->message.data;
        self->payload.length = self->message.used;
        aio_mongo__sasl(self->op, self->step ? "saslContinue" : "saslStart", &self->scram, self->payload);
        if (aio_bson_error(self->op->body)) AIO_RAISE(ENOMEM);
        AIO_AWAIT(AIO_CALL(aio_mongo__exchange, .op = self->op, .link = self->link));
        if (aio_mongo__look(self->op)) AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
        self->message.used = 0;
        if (self->step == 0) {
            if (aio_mongo__scram_asked(self->op, self->op, &self->scram))
                AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
            if (!aio_mongo__known(self->op->client, self->scram.keys)) {
                self->job = aio_to_thread(aio_mongo__derive, self->scram.keys, .drop = aio_mongo__derived_free,
                                          .skip = aio_mongo__derived_free);
                self->scram.keys = NULL; /* the job's */
                AIO_AWAIT(self->derived, self->job);
                self->scram.keys = (aio_mongo__deriving *)self->derived;
            }
            if (aio_mongo__scram_proof(self->op, &self->scram, &self->message))
                AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
            continue;
        }
        if (self->step == 1 && aio_mongo__scram_verify(self->op, self->op, &self->scram))
            AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
        if (aio_bson_bool(self->op->reply, "done", false)) break;
        if (self->step == 2) AIO_RAISE(EACCES, "MongoDB: the server does not end SCRAM");
    }
    aio_mongo__keep(self->op->client, self->scram.keys);
    AIO_FINALLY;
        aio_mongo__derived_free(self->scram.keys);
        free(self->scram.said.data);
        free(self->message.data);
    AIO_END;
}

#endif

/* ---- connecting ---- */

static aio_bson *aio_mongo__hello(const aio_mongo *client)
{
    char who[600];
    aio_bson *hello = aio_bson_make("{ hello: 1, helloOk: true, client: { driver: { name: 'aio_mongo', version: %s }, "
                                    "os: { type: 'unix' } } }", AIO_VERSION);
    if (client->app_name) {
        aio_bson *about = aio_bson_make("{ application: { name: %s }, driver: { name: 'aio_mongo', version: %s }, "
                                        "os: { type: 'unix' } }", client->app_name, AIO_VERSION);
        aio_bson_free(hello);
        hello = aio_bson_make("{ hello: 1, helloOk: true }");
        aio_mongo__add(hello, "client", about, false);
    }
    if (client->user && !client->mechanism) { /* which ways this user has */
        snprintf(who, sizeof who, "%s.%s", aio_mongo__source(client), client->user);
        aio_bson_append_string(hello, "saslSupportedMechs", who);
    }
    if (client->wants_zlib) aio_mongo__add(hello, "compression", aio_bson_make("[ 'zlib' ]"), true);
    aio_bson_append_string(hello, "$db", "admin");
    return hello;
}

static size_t aio_mongo__limit(const aio_bson *hello, const char *name, size_t otherwise)
{
    int64_t value = aio_bson_int(hello, name, 0);
    return value > 0 && value <= AIO_BSON_MAX ? (size_t)value : otherwise;
}

static bool aio_mongo__lists(const aio_bson *document, const char *array, const char *word)
{
    aio_bson_value list = aio_bson_get(document, array), one;
    size_t position = 0;
    while (list.type == AIO_BSON_ARRAY && aio_bson_next(&list.document, &position, NULL, &one))
        if (one.type == AIO_BSON_STRING && !strcmp(one.text.data, word)) return true;
    return false;
}

/* What the server says of itself: 0; or -1: it is not the one. */
static int aio_mongo__met(aio_mongo__op *op, aio_mongo__link *link)
{
    const aio_mongo *client = op->client;
    const aio_bson *hello = op->reply;
    const char *set = aio_bson_string(hello, "setName", "");
    link->max_document = aio_mongo__limit(hello, "maxBsonObjectSize", 16 << 20);
    link->max_message = aio_mongo__limit(hello, "maxMessageSizeBytes", 48000000);
    if (link->max_message < link->max_document + 65536) link->max_message = link->max_document + 65536;
    link->max_batch = aio_mongo__limit(hello, "maxWriteBatchSize", 100000);
    link->compresses = client->wants_zlib && aio_mongo__lists(hello, "compression", "zlib");
    if (client->user) link->mechanism = client->mechanism ? client->mechanism
        : aio_mongo__lists(hello, "saslSupportedMechs", "SCRAM-SHA-256") ? AIO_MONGO__SHA256 : AIO_MONGO__SHA1;
    if (aio_bson_int(hello, "maxWireVersion", 0) < 9)
        return aio_mongo__fail(op, ENOTSUP, "MongoDB: the server is older than 4.4");
    if (client->replica_set && strcmp(client->replica_set, set))
        return aio_mongo__fail(op, ENOTCONN, "MongoDB: a server of the replica set '%s', not of '%s'", set,
                               client->replica_set);
    if (!client->is_direct && !aio_bson_bool(hello, "isWritablePrimary", aio_bson_bool(hello, "ismaster", false)))
        return aio_mongo__fail(op, ENOTCONN, "MongoDB: this server is not the primary, which is %s",
                               aio_bson_string(hello, "primary", "not known"));
    return 0;
}

static const char aio_mongo__dials[] = "connecting", aio_mongo__shakes[] = "TLS handshake",
    aio_mongo__greets[] = "saying hello", aio_mongo__enters[] = "logging in";

/* What went wrong before a server had let us in, with its name: of `op`, of which it is no error of its own. */
static const char *aio_mongo__blame(aio_mongo__op *op, const aio_exception *error)
{
    const aio_mongo__host *host = &op->client->hosts[op->host];
    double limit = op->limit ? op->client->connect_timeout : op->client->selection_timeout;
    const char *hint = op->doing == aio_mongo__shakes ? ": does it speak TLS on this port?" : "";
    char place[300];
    bool mute = op->doing == aio_mongo__greets && !op->client->is_tls && host->port
        && (error->code == AIO_EDISCONNECTED || error->code == ECONNRESET);
    if (!host->port) snprintf(place, sizeof place, "%s", host->name);
    else snprintf(place, sizeof place, strchr(host->name, ':') ? "[%s]:%d" : "%s:%d", host->name, host->port);
    if (error->code == AIO_ETIMEOUT && !*error->phase)
        aio_mongo__fail(op, 0, "MongoDB at %s: %s: not done within %s, %g s%s", place, op->doing,
                        op->limit ? op->limit : "serverSelectionTimeoutMS", limit < 0 ? 0 : limit, hint);
    else aio_mongo__fail(op, 0, "%.300s (MongoDB at %s, %s)%s", error->message, place, op->doing,
                         mute ? ": does it want TLS, as tls=true has it?" : "");
    return aio_mongo__why(op);
}

/* With one host: op->link is what came of it. */
struct aio_mongo__meeting { aio_task task; aio_mongo__op *op; aio_mongo__link *link; aio_mongo__op *hello;
                            aio_mongo *client; bool done; };
static AIO_CORO(aio_mongo__meeting)
{
    AIO_BEGIN(aio_mongo__meeting);
    self->client = self->op->client;
    self->link = (aio_mongo__link *)calloc(1, sizeof *self->link);
    self->hello = aio_mongo__op_new(self->client, aio_mongo__hello(self->client));
    if (!self->link || !self->hello || aio_bson_error(self->hello->body)) AIO_RAISE(ENOMEM);
    self->hello->plain = true;
    self->link->generation = self->client->generation;
    self->link->max_document = self->link->max_message = self->link->max_batch = 1 << 20;
    self->op->doing = aio_mongo__dials;
    if (!self->client->hosts[self->op->host].port)
        AIO_AWAIT(self->link->stream, aio_open_unix_connection(self->client->hosts[self->op->host].name));
    else
        AIO_AWAIT(self->link->stream, aio_open_connection(self->client->hosts[self->op->host].name,
                                                          self->client->hosts[self->op->host].port));
    self->op->doing = aio_mongo__shakes;
    if (self->client->is_tls && self->client->hosts[self->op->host].port)
        AIO_AWAIT(aio_stream_start_tls(self->link->stream, self->client->tls,
                                       self->client->hosts[self->op->host].name));
    self->op->doing = aio_mongo__greets;
    AIO_AWAIT(AIO_CALL(aio_mongo__exchange, .op = self->hello, .link = self->link));
    if (aio_mongo__look(self->hello) || aio_mongo__met(self->hello, self->link))
        AIO_RAISE(self->hello->code, "%s", aio_mongo__why(self->hello));
    self->op->doing = aio_mongo__enters;
#ifdef AIO_NO_TLS
    if (self->client->user) AIO_RAISE(ENOTSUP, "MongoDB: without TLS there is no SCRAM");
#else
    if (self->client->user) AIO_AWAIT(AIO_CALL(aio_mongo__proving, .op = self->hello, .link = self->link));
#endif
    self->op->link = self->link;
    self->done = true;
    AIO_FINALLY;
        if (!self->done && self->link) aio_mongo__link_end(self->link);
        aio_mongo__op_free(self->hello);
    AIO_END;
}

/* With the first host that is the one. */
struct aio_mongo__trying { aio_task task; aio_mongo__op *op; };
static AIO_CORO(aio_mongo__trying)
{
    AIO_BEGIN(aio_mongo__trying);
    for (self->op->host = 0; !self->op->link; self->op->host++) {
        self->op->limit = NULL;
        AIO_TRY {
            AIO_TIMEOUT(self->op->client->connect_timeout)
                AIO_AWAIT(AIO_CALL(aio_mongo__meeting, .op = self->op));
        } AIO_CATCH {
            self->op->limit = "connectTimeoutMS";
            if (self->op->host + 1 == self->op->client->host_count) AIO_RERAISE();
        } AIO_END_TRY;
    }
    AIO_END;
}

struct aio_mongo__connecting { aio_task task; aio_mongo__op *op; };
static AIO_CORO(aio_mongo__connecting)
{
    AIO_BEGIN(aio_mongo__connecting);
    AIO_TRY {
        AIO_TIMEOUT(self->op->client->selection_timeout)
            AIO_AWAIT(AIO_CALL(aio_mongo__trying, .op = self->op));
    } AIO_CATCH {
        if (self->op->doing == aio_mongo__dials && aio_caught(self)->code != AIO_ETIMEOUT) AIO_RERAISE();
        AIO_RAISE(aio_caught(self)->code, "%s", aio_mongo__blame(self->op, aio_caught(self)));
    } AIO_END_TRY;
    AIO_END;
}

/* ---- commands ---- */

/* A connection that is there, and of which the server has not taken leave. */
static aio_mongo__link *aio_mongo__take_link(aio_mongo *client)
{
    while (client->free) {
        aio_mongo__link *link = client->free;
        client->free = link->next;
        bool old = client->idle_time > 0 && aio_time() - link->idle_since > client->idle_time;
        if (!old && link->generation == client->generation && !aio_stream_at_eof(link->stream)
            && !aio_stream_unread(link->stream).length) return link;
        aio_mongo__link_end(link);
    }
    return NULL;
}

static void aio_mongo__give_link(aio_mongo *client, aio_mongo__link *link)
{
    if (link->busy || link->generation != client->generation) {
        aio_mongo__link_end(link);
        return;
    }
    link->idle_since = aio_time();
    link->next = client->free;
    client->free = link;
}

/* The server is not the primary any more, or ends: its connections are not used again. */
static bool aio_mongo__is_leaving(int code)
{
    static const int codes[] = { 10107, 13435, 13436, 11600, 11602, 189, 91, 10058 };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (code == AIO_MONGO_ERRORS + codes[i]) return true;
    return false;
}

/* Sends op's message over a connection of the pool, and sees that its reply is well. */
struct aio_mongo__commanding { aio_task task; aio_mongo__op *op; aio_mongo *client; bool placed; };
static AIO_CORO(aio_mongo__commanding)
{
    const char *wrong;
    AIO_BEGIN(aio_mongo__commanding);
    if (!self->op) AIO_RAISE(ENOMEM);
    self->client = self->op->client;
    wrong = aio_bson_error(self->op->body);
    if (self->op->code) AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
    if (wrong) AIO_RAISE(self->op->body->made->code ? self->op->body->made->code : EINVAL, "BSON: %s", wrong);
    AIO_TRY {
        AIO_TIMEOUT(self->client->queue_timeout) AIO_AWAIT(aio_semaphore_acquire(&self->client->places));
        self->placed = true;
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
        AIO_RAISE(AIO_ETIMEOUT, "MongoDB: all of maxPoolSize connections were in use for waitQueueTimeoutMS");
    } AIO_END_TRY;
    self->op->link = aio_mongo__take_link(self->client);
    if (!self->op->link) AIO_AWAIT(AIO_CALL(aio_mongo__connecting, .op = self->op));
    AIO_TIMEOUT(self->client->socket_timeout)
        AIO_AWAIT(AIO_CALL(aio_mongo__exchange, .op = self->op, .link = self->op->link));
    if (aio_mongo__look(self->op)) {
        if (aio_mongo__is_leaving(self->op->code)) self->client->generation++;
        AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
    }
    AIO_FINALLY;
        if (self->op && self->op->link) aio_mongo__give_link(self->client, self->op->link);
        if (self->op) self->op->link = NULL;
        if (self->placed) aio_semaphore_release(&self->client->places);
    AIO_END;
}

/* The document becomes the user's; the client's close frees it at the latest. */
static aio_bson *aio_mongo__hand_over(aio_mongo *client, aio_bson *document)
{
    aio_bson__made *b = document->made;
    b->next = client->replies;
    b->link = &client->replies;
    if (b->next) b->next->link = &b->next;
    client->replies = b;
    return document;
}

/* Copies what a command gave as a part of its reply. NULL: no memory. */
static aio_bson *aio_mongo__extract(aio_mongo *client, const aio_bson *part)
{
    aio_bson *copy = aio_bson_copy(part);
    return aio_bson_error(copy) ? NULL : aio_mongo__hand_over(client, copy);
}

struct aio_mongo__asking { aio_task task; aio_bson *result; aio_mongo__op *op; };
static AIO_CORO(aio_mongo__asking)
{
    AIO_BEGIN(aio_mongo__asking);
    AIO_AWAIT(AIO_CALL(aio_mongo__commanding, .op = self->op));
    self->result = aio_mongo__hand_over(self->op->client, self->op->reply);
    self->op->reply = NULL;
    AIO_FINALLY;
        aio_mongo__op_free(self->op);
    AIO_END;
}

aio_mongo_database aio_mongo_get_database(aio_mongo *client, const char *name)
{
    aio_mongo_database database;
    database.client = client;
    database.name = name ? name : client->database ? client->database : "test";
    return database;
}

aio_mongo_collection aio_mongo_get_collection(aio_mongo_database database, const char *name)
{
    aio_mongo_collection collection;
    collection.database = database;
    collection.name = name;
    return collection;
}

aio_mongo_bson_task *aio_mongo_command(aio_mongo_database database, aio_bson *command)
{
    if (!command) command = aio_bson_make("{}");
    aio_bson_append_string(command, "$db", database.name);
    aio_mongo__op *op = aio_mongo__op_new(database.client, command);
    return (aio_mongo_bson_task *)(void *)AIO_CALL(aio_mongo__asking, .op = op);
}

/* ---- writing ---- */

struct aio_mongo__writing { aio_task task; aio_mongo_result result; aio_mongo__op *op; };
static AIO_CORO(aio_mongo__writing)
{
    aio_bson_value id;
    AIO_BEGIN(aio_mongo__writing);
    if (!self->op) AIO_RAISE(ENOMEM);
    memset((void *)&self->result, 0, sizeof self->result);
    self->result.inserted_id = self->op->oid;
    do {
        AIO_AWAIT(AIO_CALL(aio_mongo__commanding, .op = self->op));
        self->result.inserted_count = aio_mongo__sum(self->result.inserted_count,
                                                     aio_bson_int(self->op->reply, "n", 0));
        self->result.modified_count = aio_mongo__sum(self->result.modified_count,
                                                     aio_bson_int(self->op->reply, "nModified", 0));
        self->op->from = self->op->until;
        self->op->index += (int64_t)self->op->count;
    } while (self->op->from < self->op->documents.used);
    id = aio_bson_get(self->op->reply, "upserted.0._id");
    self->result.upserted = id.type != AIO_BSON_NONE;
    self->result.upserted_id = id.oid;
    if (strcmp(self->op->section, "documents")) { /* n is what was matched, or deleted */
        self->result.matched_count = strcmp(self->op->section, "updates") || self->result.upserted ? 0
            : self->result.inserted_count;
        self->result.deleted_count = strcmp(self->op->section, "deletes") ? 0 : self->result.inserted_count;
        self->result.inserted_count = 0;
    }
    AIO_FINALLY;
        aio_mongo__op_free(self->op);
    AIO_END;
}

static aio_mongo__op *aio_mongo__write_op(aio_mongo_collection collection, const char *command, const char *section,
                                          bool unordered)
{
    aio_mongo *client = collection.database.client;
    aio_bson *body = aio_bson_make("{}");
    aio_bson_append_string(body, command, collection.name);
    aio_bson_append_bool(body, "ordered", !unordered);
    if (client->has_concern) aio_bson_append_document(body, "writeConcern", client->concern);
    aio_bson_append_string(body, "$db", collection.database.name);
    aio_mongo__op *op = aio_mongo__op_new(client, body);
    if (op) op->section = section;
    return op;
}

static aio_mongo_result_task *aio_mongo__write(aio_mongo__op *op)
{
    return (aio_mongo_result_task *)(void *)AIO_CALL(aio_mongo__writing, .op = op);
}

/* Adds a document to those of the command; what is wrong with it is the command's error. */
static void aio_mongo__add_document(aio_mongo__op *op, const aio_bson *document)
{
    const char *wrong = aio_bson_error(document);
    if (op->code) return;
    if (wrong)
        aio_mongo__fail(op, document->made && document->made->code ? document->made->code : EINVAL, "BSON: %s", wrong);
    else if (!aio_mongo__put(&op->documents, document->data, document->length))
        aio_mongo__fail(op, ENOMEM, "out of memory");
}

/* A document of other members with an _id before them. */
static int aio_mongo__give_id(aio_bson *document, aio_bson_oid *oid)
{
    aio_bson__made *b = document->made;
    if (aio_bson_get(document, "_id").type != AIO_BSON_NONE || aio_bson_error(document) || !b) return 0;
    int code = aio_bson_oid_new(oid);
    if (!code && !aio_bson__grow(b, 17)) code = b->code;
    if (code) return code;
    memmove(b->data + 21, b->data + 4, b->used - 21);
    memcpy(b->data + 4, "\7_id", 5);
    memcpy(b->data + 9, oid->bytes, 12);
    aio_bson__store(b->data, b->used, 4);
    document->data = b->data;
    document->length = b->used;
    return 0;
}

aio_mongo_result_task *aio_mongo_insert_one(aio_mongo_collection collection, aio_bson *document)
{
    aio_mongo__op *op = aio_mongo__write_op(collection, "insert", "documents", false);
    int code = op ? aio_mongo__give_id(document, &op->oid) : 0;
    if (code) aio_mongo__fail(op, code, "MongoDB: no random bytes, or no memory");
    if (op) aio_mongo__add_document(op, document);
    aio_bson_free(document);
    return aio_mongo__write(op);
}

aio_mongo_result_task *aio_mongo_insert_many_with(aio_mongo_collection collection, aio_bson *const *documents,
                                                  size_t count, const aio_mongo_write_options *options)
{
    aio_mongo__op *op = aio_mongo__write_op(collection, "insert", "documents", options->unordered);
    aio_bson_oid oid;
    if (op && !count) aio_mongo__fail(op, EINVAL, "MongoDB: there are no documents to insert");
    for (size_t i = 0; op && i < count; i++) {
        int code = aio_mongo__give_id(documents[i], &oid);
        if (code) aio_mongo__fail(op, code, "MongoDB: no random bytes, or no memory");
        aio_mongo__add_document(op, documents[i]);
    }
    return aio_mongo__write(op);
}

aio_mongo_result_task *aio_mongo_update_with(aio_mongo_collection collection, aio_bson *filter, aio_bson *update,
                                             bool many, const aio_mongo_write_options *options)
{
    aio_mongo__op *op = aio_mongo__write_op(collection, "update", "updates", false);
    aio_bson *one = aio_bson_make("{}");
    aio_mongo__add(one, "q", filter, false);
    aio_mongo__add(one, "u", update, update && update->made && update->made->open[0].is_array);
    if (many) aio_bson_append_bool(one, "multi", true);
    if (options->upsert) aio_bson_append_bool(one, "upsert", true);
    if (op) aio_mongo__add_document(op, one);
    aio_bson_free(one);
    return aio_mongo__write(op);
}

static aio_mongo_result_task *aio_mongo__delete(aio_mongo_collection collection, aio_bson *filter, int limit)
{
    aio_mongo__op *op = aio_mongo__write_op(collection, "delete", "deletes", false);
    aio_bson *one = aio_bson_make("{}");
    aio_mongo__add(one, "q", filter, false);
    aio_bson_append_int32(one, "limit", limit);
    if (op) aio_mongo__add_document(op, one);
    aio_bson_free(one);
    return aio_mongo__write(op);
}

aio_mongo_result_task *aio_mongo_delete_one(aio_mongo_collection collection, aio_bson *filter)
{
    return aio_mongo__delete(collection, filter, 1);
}

aio_mongo_result_task *aio_mongo_delete_many(aio_mongo_collection collection, aio_bson *filter)
{
    return aio_mongo__delete(collection, filter, 0);
}

/* ---- cursors ---- */

struct aio_mongo_cursor {
    aio_bson          document; /* the one that was read last */
    aio_mongo        *client;
    aio_bson         *first;    /* the command that it begins with; NULL: it was sent */
    aio_bson         *batch;    /* the reply that documents come from */
    aio_bson          documents;
    size_t            position;
    int64_t           id;       /* 0: the server has no more */
    char             *database, *collection;
    int               batch_size;
    bool              busy, lost;
};

static aio_mongo_cursor aio_mongo__no_cursor; /* in place of one that there was no memory for; nothing is written */

/* What stands first in a reply that is the only one: NONE, if the batch is empty. 0, or -1: there is no batch. */
static int aio_mongo__take_first(aio_mongo__op *op, aio_bson_value *value)
{
    aio_bson_value batch = aio_bson_get(op->reply, "cursor.firstBatch");
    *value = aio_bson_get(&batch.document, "0");
    if (batch.type == AIO_BSON_ARRAY && (value->type == AIO_BSON_NONE || value->type == AIO_BSON_DOCUMENT)) return 0;
    return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply has no batch");
}

/* A part of a reply's `cursor`; 0, or -1: it is not as it should be. */
static int aio_mongo__take_batch(aio_mongo_cursor *cursor, aio_mongo__op *op, const char *name)
{
    aio_bson_value documents = aio_bson_get(op->reply, name), id = aio_bson_get(op->reply, "cursor.id"), one;
    size_t position = 0;
    if (documents.type != AIO_BSON_ARRAY || id.type != AIO_BSON_INT64)
        return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a reply has no batch");
    while (aio_bson_next(&documents.document, &position, NULL, &one))
        if (one.type != AIO_BSON_DOCUMENT)
            return aio_mongo__fail(op, AIO_ERUNTIME, "MongoDB: a batch has something else than documents");
    aio_bson_free(cursor->batch);
    cursor->batch = op->reply;
    op->reply = NULL;
    cursor->documents = documents.document;
    cursor->position = 0;
    cursor->id = id.integer;
    return 0;
}

static aio_mongo__op *aio_mongo__more_op(aio_mongo_cursor *cursor)
{
    aio_bson *body = cursor->first;
    if (!body) {
        body = aio_bson_make("{}");
        aio_bson_append_int64(body, "getMore", cursor->id);
        aio_bson_append_string(body, "collection", cursor->collection);
        if (cursor->batch_size) aio_bson_append_int32(body, "batchSize", cursor->batch_size);
        aio_bson_append_string(body, "$db", cursor->database);
    }
    cursor->first = NULL;
    return aio_mongo__op_new(cursor->client, body);
}

/* killCursors: nobody waits for it, and what it fails with, nobody hears. */
struct aio_mongo__killing { aio_task task; aio_mongo *client; aio_mongo__op *op; };
static AIO_CORO(aio_mongo__killing)
{
    AIO_BEGIN(aio_mongo__killing);
    AIO_TRY {
        AIO_TIMEOUT(self->client->options.kill_timeout) AIO_AWAIT(AIO_CALL(aio_mongo__commanding, .op = self->op));
    } AIO_CATCH {
        /* the server ends it by itself, ten minutes after its last use */
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_mongo__op_free(self->op);
        aio_mongo__unref(self->client);
    AIO_END;
}

static void aio_mongo__kill(aio_mongo_cursor *cursor)
{
    int64_t id = cursor->id;
    cursor->id = 0;
    if (!id || cursor->client->options.kill_timeout == AIO_NOW || !aio_get_running_loop()) return;
    aio_bson *body = aio_bson_make("{ killCursors: %s, cursors: [ %lld ], $db: %s }", cursor->collection,
                                   (long long)id, cursor->database);
    aio_mongo__op *op = aio_mongo__op_new(cursor->client, body);
    struct aio_mongo__killing *killing = op ? AIO_CALL(aio_mongo__killing, .client = cursor->client, .op = op) : NULL;
    if (!killing) {
        aio_mongo__op_free(op);
        return;
    }
    cursor->client->refs++;
    killing = aio_create_task(killing, .eager_start = true);
    if (!killing) { /* it has not begun */
        aio_mongo__op_free(op);
        aio_mongo__unref(cursor->client);
    }
    aio_unref(killing);
}

struct aio_mongo__fetching { aio_task task; aio_bson *result; aio_mongo_cursor *cursor; aio_mongo__op *op;
                             aio_bson_value value; bool begun, done, first; };
static AIO_CORO(aio_mongo__fetching)
{
    AIO_BEGIN(aio_mongo__fetching);
    if (!self->cursor->client) AIO_RAISE(ENOMEM);
    if (self->cursor->busy) AIO_RAISE(AIO_ERUNTIME, "MongoDB: a cursor gives one document at a time");
    self->cursor->busy = self->begun = true;
    while (!aio_bson_next(&self->cursor->documents, &self->cursor->position, NULL, &self->value)) {
        if (self->cursor->lost) AIO_RAISE(AIO_ERUNTIME, "MongoDB: the cursor has ended with an error before");
        if (!self->cursor->first && !self->cursor->id) AIO_RAISE(AIO_ESTOPITERATION);
        self->first = self->cursor->first != NULL;
        self->cursor->lost = true; /* until it went well */
        self->op = aio_mongo__more_op(self->cursor);
        AIO_AWAIT(AIO_CALL(aio_mongo__commanding, .op = self->op));
        if (aio_mongo__take_batch(self->cursor, self->op, self->first ? "cursor.firstBatch" : "cursor.nextBatch"))
            AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
        self->cursor->lost = false;
        aio_mongo__op_free(self->op);
        self->op = NULL;
    }
    self->cursor->document = self->value.document;
    self->result = &self->cursor->document;
    AIO_FINALLY;
        if (self->begun) self->cursor->busy = false;
        if (self->begun && self->cursor->lost) aio_mongo__kill(self->cursor);
        aio_mongo__op_free(self->op);
    AIO_END;
}

aio_mongo_bson_task *aio_mongo_next(aio_mongo_cursor *cursor)
{
    return (aio_mongo_bson_task *)(void *)AIO_CALL(aio_mongo__fetching, .cursor = cursor);
}

void aio_mongo_cursor_close(aio_mongo_cursor *cursor)
{
    if (!cursor || cursor == &aio_mongo__no_cursor) return;
    aio_mongo__kill(cursor);
    aio_bson_free(cursor->first);
    aio_bson_free(cursor->batch);
    free(cursor->database);
    free(cursor);
}

/* Takes the command. */
static aio_mongo_cursor *aio_mongo__cursor(aio_mongo_collection from, aio_bson *command, int batch_size)
{
    size_t database = strlen(from.database.name) + 1, collection = strlen(from.name) + 1;
    aio_mongo_cursor *cursor = (aio_mongo_cursor *)calloc(1, sizeof *cursor);
    char *names = cursor ? (char *)malloc(database + collection) : NULL;
    if (!names) {
        aio_bson_free(command);
        free(cursor);
        return &aio_mongo__no_cursor;
    }
    memcpy(names, from.database.name, database);
    memcpy(names + database, from.name, collection);
    aio_bson_append_string(command, "$db", from.database.name);
    cursor->client = from.database.client;
    cursor->database = names;
    cursor->collection = names + database;
    cursor->first = command;
    cursor->batch_size = batch_size;
    return cursor;
}

static aio_bson *aio_mongo__find_command(aio_mongo_collection collection, aio_bson *filter,
                                         const aio_mongo_find_options *o, bool single)
{
    aio_bson *command = aio_bson_make("{ find: %s }", collection.name);
    aio_mongo__add(command, "filter", filter, false);
    if (o->projection) aio_mongo__add(command, "projection", o->projection, false);
    if (o->sort) aio_mongo__add(command, "sort", o->sort, false);
    if (o->skip) aio_bson_append_int64(command, "skip", o->skip);
    if (o->limit || single) aio_bson_append_int64(command, "limit", single ? 1 : o->limit);
    if (o->batch_size && !single) aio_bson_append_int32(command, "batchSize", o->batch_size);
    if (single) aio_bson_append_bool(command, "singleBatch", true);
    if (o->max_time_ms) aio_bson_append_int64(command, "maxTimeMS", o->max_time_ms);
    return command;
}

aio_mongo_cursor *aio_mongo_find_with(aio_mongo_collection collection, aio_bson *filter,
                                      const aio_mongo_find_options *options)
{
    return aio_mongo__cursor(collection, aio_mongo__find_command(collection, filter, options, false),
                             options->batch_size);
}

aio_mongo_cursor *aio_mongo_aggregate_with(aio_mongo_collection collection, aio_bson *pipeline,
                                           const aio_mongo_find_options *options)
{
    aio_bson *command = aio_bson_make("{ aggregate: %s }", collection.name);
    aio_mongo__add(command, "pipeline", pipeline, true);
    aio_bson_begin_document(command, "cursor");
    if (options->batch_size) aio_bson_append_int32(command, "batchSize", options->batch_size);
    aio_bson_end(command);
    if (options->max_time_ms) aio_bson_append_int64(command, "maxTimeMS", options->max_time_ms);
    if (options->projection || options->sort || options->skip || options->limit)
        aio_bson__refuse(command->made, EINVAL, "projection, sort, skip and limit are stages of a pipeline");
    aio_bson_free(options->projection);
    aio_bson_free(options->sort);
    return aio_mongo__cursor(collection, command, options->batch_size);
}

struct aio_mongo__finding { aio_task task; aio_bson *result; aio_mongo__op *op; aio_bson_value value; };
static AIO_CORO(aio_mongo__finding)
{
    AIO_BEGIN(aio_mongo__finding);
    AIO_AWAIT(AIO_CALL(aio_mongo__commanding, .op = self->op));
    if (aio_mongo__take_first(self->op, &self->value)) AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
    if (self->value.type == AIO_BSON_NONE) AIO_RETURN(NULL);
    self->result = aio_mongo__extract(self->op->client, &self->value.document);
    if (!self->result) AIO_RAISE(ENOMEM);
    AIO_FINALLY;
        aio_mongo__op_free(self->op);
    AIO_END;
}

aio_mongo_bson_task *aio_mongo_find_one_with(aio_mongo_collection collection, aio_bson *filter,
                                             const aio_mongo_find_options *options)
{
    aio_bson *command = aio_mongo__find_command(collection, filter, options, true);
    aio_bson_append_string(command, "$db", collection.database.name);
    aio_mongo__op *op = aio_mongo__op_new(collection.database.client, command);
    return (aio_mongo_bson_task *)(void *)AIO_CALL(aio_mongo__finding, .op = op);
}

struct aio_mongo__counting { aio_task task; int64_t result; aio_mongo__op *op; aio_bson_value value; };
static AIO_CORO(aio_mongo__counting)
{
    AIO_BEGIN(aio_mongo__counting);
    AIO_AWAIT(AIO_CALL(aio_mongo__commanding, .op = self->op));
    if (aio_mongo__take_first(self->op, &self->value)) AIO_RAISE(self->op->code, "%s", aio_mongo__why(self->op));
    self->result = self->value.type == AIO_BSON_NONE ? 0 : aio_bson_int(&self->value.document, "n", -1);
    if (self->result < 0) AIO_RAISE(AIO_ERUNTIME, "MongoDB: a reply to a count has no number");
    AIO_FINALLY;
        aio_mongo__op_free(self->op);
    AIO_END;
}

aio_mongo_count_task *aio_mongo_count_documents(aio_mongo_collection collection, aio_bson *filter)
{
    aio_bson *command = aio_bson_make("{ aggregate: %s }", collection.name);
    aio_bson_begin_array(command, "pipeline");
    aio_bson_begin_document(command, NULL);
    aio_mongo__add(command, "$match", filter, false);
    aio_bson_end(command);
    aio_mongo__add(command, NULL, aio_bson_make("{ $group: { _id: 1, n: { $sum: 1 } } }"), false);
    aio_bson_end(command);
    aio_mongo__add(command, "cursor", NULL, false);
    aio_bson_append_string(command, "$db", collection.database.name);
    aio_mongo__op *op = aio_mongo__op_new(collection.database.client, command);
    return (aio_mongo_count_task *)(void *)AIO_CALL(aio_mongo__counting, .op = op);
}

#ifndef AIO_NO_TLS
/* ---- SASLprep's tables, as tests/integration/saslprep_tables.py prints them ---- */

static const char *const aio_mongo__table_lines[] = {
    "eNrtnQl8VsW5/zPnvEs2CGExQlACQUiABPJmRxQIvAmJssgurqyyBZBNobicF8wGWutaXEDfKGrV1qVVqxJsjd2str291WpvW977t61629uq",
    "3Wx77f/5PnPelxDU9m7/e/v5VzO/ec6cmWfmzDyznMO880v3Ssw1w80DVSbgfvIKd67Z/cywft5GE/IKzIMXmRuuyi40483BAjMireCiEdcM",
    "c1rzTZk5sMns7mM+eWm/k9PHB0Ohg2nZARP78VWPpbXPKYjlGG9HeHd8S/oPXWf3n6/8dzljTr149wdXtl3tjNh7pjHGMdn5weAo4xozJJg1",
    "wjUrwybsDAiavhI1f96oLPPIBWb3E32MyTR9TFBTOGb98Ni6/lOcqqI+W4LGC8dWTx0SGjJeogRMMM8MM7Fi03/ohU6GE+7r9A1mGC/LZBny",
    "MAPNODMq03PDUTPKcUL9ho9ywma0MS07jKl0A+kB14QznT65jkl3HOckE5ZkgYAbkgvR7shFthPODAXsPcriBNyTA4ZUbl9DfMnH3guKPimv",
    "a3JMMLP/MY2OJJGn66Ezq79cuq7RcEnhuK6bLuGiXULdTJOT3dc1EmLy5CGD4UC+E1CNyRApQNCR2PLEkr7HvX4BN6ga0m1of/dkkyFRwulu",
    "KL2/mz3BONnh9D6nSb4OzoQCUkJqiuuAaDSO1HpGpuOMONnJJzyYaUYMlKZwApF0eQgzYQQXRiKHTPjkGaMyiyXhkuD04NxQ2EyWBAEKJTha",
    "cViPEGlrQ3tZebQZEBpauCB7z/bMIcFzcvqYQN/+rpPRv28f4+ZUh9ONk0VzZI7KDC1OL+5Y5A0NLAmd5IScUeLSjf1vmFOpjSbtKPUXCvSR",
    "xw/nmmViPZ4+UKbcDIZs5IAhmhsMnjRydyQ6xMRCs27JdwdnhINOMLAw5JolJhAsClxoimpK3JFDh7qRnOzAeHNZYLk8xuNVTV7nqCXtfa7b",
    "8urI68//fKlzujconB1syxBjzDpXbIb/3ZbCYSaQne9VjnJG7b414m3PHO2e4Wb0c8KnBibsGbHANFDTYgsBk61FcsxUqY50eYqh2LMUN2xi",
    "cwOxEd+uir20yIsX7zn1kb3L/A61O3vPcLX1yblz+vULODxRMOwb+ugMLyzqexq6E8rFYrKk0+WZvrbbnZTp9XVy5OpUN78yEpvtmkqnvxN0",
    "B/dze/YCaeKwXLkZ2GzQGSSGfFw/kPtBuXaz6A052e7xfUHqXezQ0b6Q6/bsC066K6nEPrUnSM/7sJ4QJCyjVz8IYKmBsFh9r97gh5/QF6Q5",
    "0NK7L0ggBkF/mBg45SP6ghghPUEsnr4ww4wI5Uv3HmlyUj1ADC40pP6/wv4zTnGx/3BWXsbAbMlYOukFbuZJOQbLH9Ox8CMtX1rRCZkB8pgZ",
    "Zp6UPhhKd/Jz+5+aP+h0Jydclr1nctnowVmDPBkiB8ozrXQyLwtI3kNNIWVwaeEKqZW+uUMDLf1a04aYc7O9hUOyA1PMQueSYz2hz1h35on9",
    "wK2+rvbVked3JztCcEjPAbu5nwzY6SWuWGl2nljDABMIMHhLTXtnJjuLmHo4M9ySdmKX8Sr+XX0lEPnWlbGXztXesvfi/8gUdX+ezJAF6U5B",
    "S7pjlgbFl/qJGFNuRJTMWye5Ikiblhmz0XHLnpteYcCIcctFdpypLWlGwAAO4ALpgFjQNEnqRIkSJUqUKFHuNhLWSFgjYY2SvTOLtLO5MZsb",
    "s7kx24ZJ51nAjQXcWMCNBWg5t0XMdSk3lnJjKTeWkmIpd5dSguWUYCVRVhJlJVFWcncNYWsIW0PYGkqwgbQbubGRGxu5sdGGSQm2cWMbN7Zx",
    "YxtadrRIQ+2wzxsgywBSCCmEVIQkMI1ky4FppF0OTGsJI4WRspEEpgMrWrJdqaYAJQ1QYSGkEFIYKYxUhFSElI0k0IDSS4AGIl8CNBD5EqCB",
    "irgEmEGU1S0y7DTybGuARjJaAzSSbA3QiPo1QGOLjImNTXK11jhNJF8LnIW2dS2jHedsnmw9cDZh64GzKdN64GyvWiSv2pUmligbgFlE2QDM",
    "IsoG4JpJG1xp7AD1HaDZQ0ghpCykLNeZS9rNwFzSbgbmknYzMI8bW4B5lG8LMI8oW4B5RNkCzOdyKzCfy63U9wKqYRuwgMy3AQvIfBuwoCUT",
    "KRMpCykLqQhJYBEZXQacC+ywkhjFEsqyE1hCG+wElpDlTgGzZbg8WT5Plt9XtOWjLX+gO50Y7nSiuCt2agVK1Z8tVb9e3CyRZ4m/YS32lY19",
    "ZdNC2bRVNnWVjcZsypeNRtEinUUex91mPa6MvTL2Ktte+THT7FWa4061CZZab2pL2F7hOV694ioZMMS2srGtbEwiG5PQchRRjiLjikS6jeo5",
    "u6u1qfuDa9Xkl4jbKVa/EyM1KDJYShpWkUa2mZRzqXpkazRbcLHi5Xb0yaEqcpBykXLpGjl0jRykXKRcKiqHispBykXKpag5FDUHKRcpF6PK",
    "wahykHKRcqnQHCo0BykXKRejGoVRjcKURmFKo1zpYNl0sOywlCVMWbTD6jg0mupIt9Whngxw9sq1Jh8m/zDhYRuulX0usKMlcIVZbcyeVcas",
    "NWazSLKe3/MJY66RkfoyY3YUyFgdYuQOA5lAEeACWa7Zs9yY9WJ3xlwuiQadb6R+jYxgpmWAcTCHCeaa2pDEjQbM6SGdAdwCNROnNZfpgI7c",
    "Okiv8xQHM/61DlM8TUOKSdRaS6oh3JdeIHfAMr1fqVitWKtxo37cWo2l00PrZL2vk0ZrIyVslUmptUbcaSaZE1pNa724KUNM60Txp4qrk7gn",
    "i1+Z5bQNwogEZWhvG9Aic2hbqCU96LQNIX3byXq3sCWUhRwqcNpqWkJ5TlulhldqqnJNtVBTTdRUNXp3WkvoZKdtK7bQJhbR5LSdRM23VbWE",
    "+jpt/VSeoNiP5xFZJhApSUg1h1ynfTHh7TpKSNp0TQvmKVZr/JNpdskxoKVNVxk8VfFM4rSvVj1rNKREcaZioaaaplioIdP88CyVwdEa0qB5",
    "jVX5rJZ0WSZ3rNzrePnOvtH75hlwvuAMxdH7Fgg27Zs/G3mrhgte26By076tM5xrF+yb7zjXTt03P9e5du6++XsWOjcU3TAp3blhwg2ymrih",
    "/IZJI50bBt0wyTg3nKSYpzhUcbjiCMWxiuNvmLTeubHhxjMNuKifc+PwGyX8xhE3TnKcG8ffOGm+c1PkJtF8U81Nkwqdm066Se7elKc4VMPH",
    "3jTJW+vc0nDLQhcURYKi6Jbht0ikW0bcMqnaubX/rYuqnFvrb5W7tzYo1t+6aJfz6fpPL7zc2T95/4Kws79+vzy94EIHrDMuuH/BVc5t9bdJ",
    "itsaFOtvWyR1ePu5tzc54GzjgrfLuC3+RQucO2beEfHSnDtn3hkpdu4ce+dgAw4fbw5kVTsH6g5WZzoHzj5YHXQOnKO4UPG8g9V9nANTDlbK",
    "3UsPbHZAqfODkYMyRh6MHLhUfOdguV6Vc5XugP2dg/3ReHAoWg4OVxylOBaNB/sdrGx27jrtrtLbl8hwdRrDlUAdQ8gyoK6lEKkQqQypzLiy",
    "rKPnLldP1ixh1ixhpEKkQqQypDKk0UijkUqQSowraxtG9pXW48rYK10jljBQliBNQJpAjNHScyQGnlNPVqvsmibAdBFgTRNmyA0jFSIVIqUj",
    "pSONRtK1TylSKcP/BIZ/0d5oJ8I1dqA7C1hnpUKkQqQypDIWNYUsagqNKxID9Hr1JLyMcI1RgiQwEyXNwEwK1gzMJH0zMIvLDcAsLjfYsDKk",
    "MqQSpBI7QRg7QRh7lW6v0rnSCtxovdm2HjfaepwDbLJSGCnMVBZmKlOpEEmeY659js32OeaS+WZgHtG2APOIu4W4sr5ibtpiPVlP2atse1Vo",
    "r/BkMgwzGapUiFSIVIZUhlSCVMJEOpKJdCTSBKQJSCVIJaxGXLtSce1KJcBDb1PPWcisth1YiPLtwCLG5suARTz4ZcAiIl8GLKI4lwGLiHwZ",
    "sJjLywEdjy+3bxVhJltdqjks1RykQqRCpDKkMsxIn0fVZ5JCYOk1Z2qtBaUvFdKXClmQZCBlsJRx7FJGPa7S7FWavcqwV35M1165XBVKIeRK",
    "PXm/sFpCVkvIaglZLSGrJWS1hKyWUFJLyGrRd4lCelchUgZSBpKL5NLjHNsn1YvaIq60XtQWcaX1oraIK60XtUVcqZ70sQz6WAZSIVIhS5xC",
    "ljgqZSBlYLmOtVzH2rhjrdqxVq3ZbLTebJvNRuvNtrlttJ6spa2WfKsl32rJt1ryrZZ8qyXfasm3WvIx7o3qifUVYn0qZSBlYHn51g7zrR3m",
    "2zWyegusym3WW2BVbrPeAqt5m9V8Loa5AziXyx02LAMpA8lFcsMslAbocmmgLI5EJheufH+ALpq4Nv51nX9dp8u0AYqkzfXT5vppc/20uX7a",
    "XD9trp+2UtNWatpKP22ln7bST8u1LM9lEThAl4LEHeTHHeTHHeTHHeTHrda41Rq32o9b7cet9uNW+2Wq9stU7ZcpT9Pmado8P22enzbPT5vn",
    "p83z0+b5aWs1ba2mrfXT1vppa/20tX7aWj9trZ92sKYdrGkH+2kH+2kH+2kH+2kH+2kH+2kna9rJmnayn3ayn3ayn3ayXzfDNO4wjTvMjzvM",
    "jzvMjzvMjxvVuFGNG/XjRv24UT9u1C9T1C8T13W6OB/ouCDvdeob36/TJfYARTQ3+pobfc2NvuZGX3Ojr7nRT1usaYs1bbGftthPW+ynLfbT",
    "Fvtpi/20ZfSG1ItBWo/Xg7QeLwlp/qsCdZrW4+UgrccrQpp9UXBtj4j6PSJqArYH+dLAlCTlSoWZVFhdKqxOdeT6unJ9XbkpXbkpXbkpXbkp",
    "XbkpXbkpXdW+rmpfV3VKV3VKV3VKV3VKV3VKV3VKV56vK8/XlZfSlZfSlZfSlZfSlZfSlZfS1ejravR1NaZ0NaZ0NaZ0NaZ0NaZ0NaZ0Ffu6",
    "in1dxSldxSldxSldxSldxSldxb4urCKkGNC2TPPDbMtKKocrO/LZ+LkaP5dVjGCa/8oKRnn9HSDvhLVWEKizL7Z2pLG6q/3Wsbqr/XtWt75I",
    "pl5801Kvv3mkKbBGX2BtvUBNHIMNKQb8t+G05FuxS2idf2WHmpBiQDHNf6sWRQOt2oFWre0x+jGwNapqo77aqP+KPlV74lTpicSo8+/U6aty",
    "SDGgmJZ6hR5Ory2wauyLvrnYxRRslTT6hmGrpNHv9rZKhqmaYf47f5r/5g9G7bdjgYGOKTAf+xc2z/XjQ0N5HyNr8tJS45aWlmaYgoDzXOS5",
    "iHHB5yKO81zlc5VyVcn/QWf4cEfSBDOcyZONM3m4cYZP7huwUZ+LpJuCXDPBmDWuqTCm0pgqY6qNqTGm1pixxnT3N+YMY4qMKTZmgyFqmbHf",
    "vP9igiHO3C2L3aXjl8syavwWY6YZx5swzXGXj98or0Pjtxmzu58jQfXGXGLMjOTfamNio41p1L+zjVnvmFmyxt/omjnGnGPMXPvnOvNmGnd+",
    "9GxZIc90zBLHtBard5Z+TjemTnJ0zEpjosbUO2amMRuN2Ss69oqSvaJi7zx57oBplUdpxeClirtzg2a6MSsM6dYYszaT7/flxo0oilypcqV+",
    "0ResUJTwKuNWKopco3drNESwGnQknCdyGhvlJaoRYaExC2VBLtcL5Tqw0IYuNmaxLLAldHGjrYBphjLNpEDOmjXy7rUGYbsx22UlL9fb5Tqw",
    "3YZeztcq53IJvVyu+X61XB+nOd95vl+LFOP5/i01A5znB7bUDHOen6Mh8xXnttRUOt1uS03Q6U5vqXGd7qyWmpOd7sKWGsfpPq2lJuR0j+0e",
    "a1ywe6yElXaLBYLdpblO9yRNM00xqmlmtNTkOWeouLSlJsvpnklGk4Azge4Viis1yWaVt6i8XeXLWmrCTvdOlT9B+AsO8guuyiGVwy01hc4L",
    "I1QuUixWHNtSU+Z079K0V2hIrmJ/dL4QUblcsUKxsqVmkjmabszRjFjVx1i4UyavXGXyJlMWEVcurkJcpbgqcdXiaGmJF5FX5aKyYoEIUA5U",
    "AJVAFVAN1AC1xSZQVDZBsUwxoliuWKFYqVilWK1Yo6hpI5LWKZMxISKuXFyFuEpxVeKqxdWIq5XWKpsAlAERoByoACqBKqAaqAFIESFF0VKK",
    "uQxYDqwAVgKrgEuA1cAaYC2wDlgPNAMbgI3AJuBSYDOwBdgKbAO2A5cBlwM7gJ0y9Ey1/Vl7Av3ZmAYdLKSHNBnp8vQT6SGzjJltjo0T0sHn",
    "G7OAfmYW0a/MucYsMWapMcuSPUM6+iodgFbbHm/MOu03zTreyZCxyZhL9QOyDGFbjdlGv+MDsnS1HcbslDGxY0TAdorusavdiRPPMM4ZZxj3",
    "jDPOWOV874KWmtZpxnt15nwTOzKsj/HuSDMCRUAVMBmQYnl3BoFsoACYKBDnbnwlIKXyOvmX0c6TgLHAxYAUyLsHpffmA1Im79AgYAhQA0wF",
    "zgfkCb370HIfmd83A5B68B6W6vE+O0zgUTJ6jCiPZQKoemw0IM/vPSF16z1Jbk/K83tP5QAjADJ6agMgteU9cx5AwZ/RyysFnt0M7ASuEji8",
    "FeBGVxYwAEB911KA3I5Ig3vd6QDF7ZZ29r4xHpCe6b0YBvKAkUAtQJW8SL4vSbt5L5P2ZSr7Fer0lWUANfRqOYC+V+cDFPf7PMz3BwKoP0pF",
    "vDEGIPM3TgdojzcaAJrsDZL9ZJzAzwJAhsBb1PNbYlLe2ycD1OnblOBtmTu9f+FR/0XmSO/n24ErBH5RCqD5F9TfL1H6S0r6S+rgXezgPWr3",
    "vTMFfk2t/YaC/4bn+D1R3qcpPqCQH4jde3+m3f4sk3DsagNkA/2BckDqPuZJSWO7lwNrgS3ALoE9RN6TDwwDNgCbAckjtm8mIPUSu34KcDaA",
    "lhukGWM3ZgHS7WI3iYHEPl0N1AMLABTsP0XgthWANE/sdgp051hAenHsIPkenADIsBu7O1cgLj081omWTnLrlAeMfUZ6X+xB8nhoqMDDVUAt",
    "wNrhs0T57IXAMkBMPva5s4BmgEd9hHp5tAg4D7hI4PGTgMGANGjsC9z9wmKAu0+cBowHIsAkQEaS2BfF1mLPbgOo2MPEO3w6MA2gwg5ToMM7",
    "AGnuWFdfYABQABC5i8fvouqO9AF4rCMFY01BlTna30n24OlAtL9z9KzEYMc5OlNxtuI5ivMUFyguUjxX8TzFCxQvUlyaGOw6R1eovEpxdWJw",
    "2Dm6MTHYgEMkZLPKm1XepvI2lS9X+XKVP6HyJxJD8pyj9WgoIKCAe4lTEBPpicw+TmIseSRKFMcrlimWK1YqVivWKp6ueIbiZMWplDgxXeV6",
    "xRnkl5ituczWHOeqPFflBSovUHmxyotVPk/l8yhxYpTq1GdObFK8VFGePOAkrlC5PDEjYuJibHExmk4ZDuIyNnaKiXSWiOyKk64fl7G7Uwy3",
    "U5YOnWIgnWLYnTKIdIodx2UcjofEyXAVl/EoPlyc9L+4dNO4dJm4dLm4tHpc7CIuQ1C8nzgx/bh02bgMhXGx4rh0srh0G6aCuIwtcZmv4mLs",
    "cTHuuPRgZoe4TFpxMfG49Nm4zFtx6WFxGXzj0n3jYvVxGTniYqhxGSLjMsrFZWTvlKGsUyYB+lanTJ6dMmN2ylTQKaNbXIyw8wJxYv9x6bfx",
    "U8WJxcZluI8XipNJIS5Tc1z6b1zqI059yFAWl14SlzqIS7eMyzARlzzi6JeydFIW0R+XjhWXPDql7jqpO6mXTnnmTnnmTilbp+TVOTzgz5Y6",
    "Kd7B4PowY+MdjG93lACMpm9HkjPoHYMB/uX1sWKmswk6jS51i+JprCPijqKrGFQMKYYVMxSzFLMV+yrmKPZTzFXsz5ornhZfqr7j+67vB30/",
    "5Pth38/w/Szfz/b9vr6f4/v9fD/X9/un4m8oDrhFUiUUQipFvTu02FIxNnCgevFme8+1V+vs1QXqHZqq3svp6h21975fYQOL8GSQ1avPDlPv",
    "RV3oed8eY6PY/N49U737+6j3hq7TYvuH23s2o3utzjuX25i71HtCF4zeL2zgAWPTNdiSzbfJbeEPaF3L/GS9LcV9nYgsvCOy8I7IwjsiC++I",
    "LLwjsvCOyMI7IgvviCy8y2WBXi7xyiVeucQrl3jl9MI023O1xwZ79MiMHr3wxB7o0MyCjqKrGFQMKYYVMxSzFLMV+yrmKPZTzFWUxgx+uFXf",
    "ycKD/ivNllzv3XFBcvWmCxldkejahCWNzoV2zaYLnm+zVHkZfe+yULi/DwsUZp39wwlD1b2kfW8xnabaX9HF7mJJGCftIVZMrzGFPsJS9EAu",
    "q0u61CvLT+x1z7DCuY/VxyEWRk+yDHuCsF8Q+QAT7H7WSYdYXj02VBpBGqpcGqpcGqpcGqpCGqpCGqpCGqpCGqpCGqpCGrRC4lVIvAqJVyHx",
    "Knnj4vmdiGK5YoVipWKVYrVijWItKC871iuzHsmDJiGjV0KWi4lR4qQWE/LkCRnBEvJkCRm5EjKCJ2T0TojNJKSSErKuSMgTJmQ9lZA1WkJa",
    "IyETcUKWJAkZORMycydkdZGQES4hs31CRtGEvIMkZDJPyLonIbWdkPZNyIIkISNpQkbfhIzqCRnVEzKiJ6TOElLnCWmGhIzkCWnjhIzkCbGE",
    "hIziCWmUhIycic1OMDGCeS6xS/INiLxOZrfhhtAtzG3yZK7Iu0RDMDEycZaEykwrYSNFmir+qERxYosJJYpkjh2PFrkbkKtdMjvvkvtjJF6t",
    "+ruklK6EjpQSBcRfk5imeY5NNCfWSlykwSJv8aUt8nQBZneufOksjVeSWKkpQhq2jrlcrlgJNGtYM2UU/Rf7V0u1XDwBVxv9fI/F8SWJs0Wv",
    "1rFSkHI2a6xmST1TSl4mPk9SLveb5E65XMuML1KlxB2v+iupFX3SoKw81qZq63S/tvDJW0us2mTVIRbhUm+iwdEyOIkmaXE3MUtL6kr7jBTr",
    "CPntlNRhr6ZLTrNV23pJH2KdIu1Vq88b0CtK5qpUrv5gjSetbFtA63ZBolAtgPDBElqdGK2pFkicLZLDYtEyWa3AVas4Q9LgnyUWScg6KYcN",
    "obWDKu1i7aWhlG6yhEptqd1Q+vO05WboqmmLf2+LlsYV2eaEjzVcqPXbLCFI69SfJv0Bf530r6D4WyS3SzT2Rdpm1OJFYmkh0K8hUi5Vawpa",
    "X2s7kLKPQGKFb8GuSsRfRU+QO2u1rmihtdKrApIvNbpLNK2TmAv81luv9rRen6QMGxYN1t6cCV6CTz2KEcVyxQrFSsUqxWrFGsVakEFHvTLr",
    "RaxXbr0K61Var8p61darsZ7VErFaIlZLxGqJWC0Rq2X1HJlPVoibusC4y5ZuNs7GhcbZtDzoeM9u8br7Gcf7Zon3QLb4j41mCJfrvt5rp5uA",
    "zBReV453YAgThbNpqnE2iGudJNAsbp24s+qMM1NcQ51xly9dbwLrQGdTvcStJ67CJZJA3DpxM3Yadx0wE2gA5gtIJEnWLG6FuHXiVjWLimZu",
    "CDSLWy5unRhMc3NE8hJwENYBzc3lBMnkgLAOaO4eJE0MSkSpAXcdMBNoADYvXWGCAkQLWV8ibhIT27CFTAWaxW2SqtqwkACBZnHrxM2k/hbJ",
    "jUXcEGgWt07cTPzWYhEEAktLm0uNU3epFF0qdfkKE5jWPUjqwJ22UcJXUGs7jLNaWmbGHOOs2SC1eZa4maJjq3HWy+Ou32Dc9Rul1tZfLpks",
    "k6das15go1TPHOlwm8jAnTNHUsyZa5wt0rTzthtn0TJXbFKmerFJsFyxQrFSsUqxWrFGsRbEJtUrs17EeuXWq7BepfWqrFdtvRrrWS0RqyVi",
    "tUSslojVErFaIlZLxGqJWC0RqyVitZRbLeVo2d3hmNin+Qb10tbkN4D9XP6Qlc0drOvvW5l6HR7KQuKc5LrnQT7+PEbk5/VDCquYPwf5PCGT",
    "dOyTEwU+xReHu/mo8498znqdz2MJ3hN+xseBNj6Q8O4Ue5wvVHcS5RDf0l7hU84bfIrYV8JrvbyKeE/zXerHfPjYyxv9DTJxey/wZWI3Xwiu",
    "Zw12uInlF8ug19fyVYivKXfLYsA7GGIdxXrrXsnX+zpv8d+bRx79WC5dkvxOsy8EnM9nkY18t9DvDEjP8MnsHVaL7/Ld7I98NWgl80OB5GeH",
    "mxfy5e4ivptR+t9fjFI+rb3Bd6R3tGLr+EByGfFYAD7FjX/km9sPlgj8iGr6A5/W/sRnm4f4wHQv3yM8FnudfNPiHdH7Na3wxzMpwaXE48PH",
    "raxmX5jt13PsZvK9g49xT8qzec/xsetntNbbrC8PUUPvfIJ64YvXEV7U7mCp+hrqv8GXrD/wPfE+Pv09QoX9K5XTxvPezCr11Yn+RyLvNdbE",
    "L/Dl6RrWv1/lC9/bSHfyQY1XY69Tknnf4Y3wfep5D9V5M4/VSXHvpbnvr0t+2zy8nqV0lJbmEd4dw1cmTODzWMnhPGBW8jvrS/WYCh+iDlCT",
    "z/JZ7nkatJva+DrfXn8kL8neP1OCt1iVv4eB/BFDv5piHJAFaKyd72t3FdKW3L2HyrmXZA+cgbHOwIrrkk9+GFVHKPNXqL9Xecrfs9T/KWF3",
    "YpMP70hW+zN8NnyO1voZ/ehN7R9DyJxvafdUYAzbMTPyeIQvlQdp6fdKqRy9yyfHL/Ep9k4M+G6s5En9vku7vTg42a3+D1XycwrZjsnftcv/",
    "iOW9lI6BUMh7efyXKfO3qOfXeaH5IUV7kxtv0yV/xavNH/pRlguT70HdlOUhLOIuvnY/TZY/oCkOUBtHKO6X6UzfzvMtLPYwJb0Hk7pfP0xj",
    "DN/Exl+mkN/hK+xrhL1JvH+h3T7gBelTs4GlyW+MD3PjEE/5Qyrx/lN4SgaAt05mANhJFJrsqUVYBH3/W5TgB3xj3L06+Xn2t5jj+xj/T6bQ",
    "lnxZvIWedyefTlv4WnsP6u+haxwehSkzKLxPT36S96/XGXheoikOnJ782PrQTP87q3eYyHxe8R6c4kpPWeLIo24VqZP6+yk19AtM6t1JAGHv",
    "8uTv5dDm5PH+mfqVWEbgff0Fbr7clcarYdC6ImBij2Kij9KWj/Gq+UyFaD5IW96NccVn0qqY471Y3SEdkKmmh6jYh6iDRygan1i9p1Yk/2Xg",
    "S7zifpm7z/cF+PeAb9ARX6TGX+J98zv65IxS/6RdiKHgn0n7BibwJpfv5CZfcd+lBO8yB7xL87y7MPme+x729x55/Jpi/IYB4HdT/O7n/Qmr",
    "+xNG+AFftq9m1tjNt2F+IWChjaa9AXO8kc/CtzAE3cIX5v3z+HaNZR/kq7NW2MN8Af8cw/Ajp3snOatWySpnjTiZ01eJICAT+5atuD5Ox9YO",
    "mcsFVyrKSrTjSj+kOeTsPXdvhePs3bxXBuG9y/x/rpYs98pb9F55i9wrA/FeecK9Uol71/IP7s7eNXunKspSTXCSXFlfFiJ754gisEZxkuA5",
    "inMV5ynOV1yguHDvJMl+scrnKi5RPE/xfL17oeLFGrJU5eUqr1B5lcqXKK5WXKO41s+lVsswWXVO1lSTtWzyYPsu9d0nerkrj3fXph3v9u3s",
    "5a7q5XYc764d2cuN6uUCvZzby4V6uXAv18d32b7r67t0353su1zfFfdy43u58l6urJeb6LvTj3P62wIfzbVTe7kze7m56vQ3CBZHmGtl7jvO",
    "Nfiu3ncz1NnfM5hrz/Jd1HeNvptzvNvXqM7ldxH7Rh/vX7vgeH/fjON9yf14v76XP6OXP+fD/VT+x3xz7dnHORs+zvdLfD/aK12TcfYVSSyw",
    "RLFUMarYqEicMRpnjMYZo3HGaJwxGmeMxhmrccZq+FgNH6vh4zTVOA0v0TglKpeqXKp3SzWkXEPKNaRccynX8EoNqVS5SuNUaUiVxqnS8GoN",
    "qVa5RrFWY9aqPFHliSpPVXmqxp+qGqb64Y2KlLlO79ZpeJ2G12n4NGlpcJxiiWKp4nTFqGKjIvGna8zpGnO6xpyucaZrnOkaJ6pxohonqnGi",
    "GieqcaIap17j1Guceo1Tr3HqNU69xmnQOA0a3qDhDRrepOFNmrZJ0zZpnCaN06RxJuzbJFim2CjoFuw7e985eDOtN8t6s603x3rnEFPtqMz3",
    "I73srP5D7a1MMdLD0upPsLcyxUgPS6s/wd7KFCM9rK6+l+0d36YntuNHtdqJbTQ61S71mm+95ptshfpebdGoNdmkMZs0ZrLO64+r+Q/vpaW9",
    "arHhY3tpw8f2z4ZU7fylfvjX9MDSv7If/sd6YM9e9/F97KP7VcPH9KiP7kUNJ/SfTR/bcxo+tIV6tkfv2h+rcrlfy8gVKleofPyzRXuVrGeu",
    "U2xXFH+279MZqfdGxSat8UbFJq3xRsUmzbdRsUnzbVRsUjtoVLSjdaNik9pEo2KTtnqjYpO2dKOi1TNOsUSxtMdzlWleZZqqTOOX/Q2V86Pi",
    "J9uuITXbnNhnTkzbc14ave8siwNc+q3a0Bjtkcf7NrzU96N+eFRHiTFq1y6p9Trpl+h8YX3G3HJfX7n2fuvb8Kh/fcwf5/vRHr70e71/zLfh",
    "FX75jvnjNN8Kv1w9/WgPv0rbEL/Uv7Z+tV+Onn4yHL21fj3V+uE9ffRN9K8n+vEn+uFTff1Jv87XX+fHn+6Xf7palfUb1R+n9XHML/XjJX2r",
    "J+lH/XqO+vqivr6oX+9Rv/xRHW2tH3VtOPXU4Nd/g1+uel9PvV+eej99T9+G2+et95+3yU+f9Iu0V1g7S/qNvl01+X6jb09Nvt/o21OT+iWp",
    "a2s3Nn6l/3wVvl+Vqr9xvh/1Z7cS3x/n+1G/Xqxflyp/Seq6pEe71Pr3p6XiJeuzNJVf1L8f7XGdjDfO11vi5x/1/am+viL//rSUPY3z7T7Z",
    "D0pT+TYVEz5d3jIoJ35AevF0nXOQpunKJmBtYN94kSS2zn4BWVmV75shY3xArqfrSB6Q63Id61Wr1Gp/6xcklRYk4xakoqZLMaYXABoJLWXX",
    "no1cwXZ689xAcQOMuUj/7KZ3eQG9wpijcufoIHH9xMk729FMcVnG3zMsTt7zjso731F5zzuaw9EwQdMLfK3yN07iGGNKHSNvavLiNtmY4Tbz",
    "D8uy0Bh5KR2ju+vlLWySMfK+doZj5I1ZXl5PM2aKZKdj4hRQVp6OwExglgbOInC2irMR56g4B/EcFc9BnKuivAbuG26O/Zj92E/ae/6wvefP",
    "21M/cv8QNLLss66olyv23ZhebmwvN66XK+nlSnu58b6b4Lsy30V8V97LVfRylb1cVS9X3cvV9HK1vdzEXm5qL1fXy03r5ab3ctFerr6Xa+jl",
    "Zviu0XdNxzlXO8K8Xv78Xv6ClM/iarTFICY7Qq3TWqHY6OikAVtjHaf2Kq0y/i/9bkRq5nS17DPUuKU/TPmv3vJ9nqHDXGDMhdoFL/6v3gQu",
    "fXaXdtsrjfmudPbvhqT3Oj0GBunwiU+wj0OcVF1CKi4h1ZaQSktIlSWkIAkpRkIKkZCHToi2v7m9KlI5fOdODPF3Gf6P7JoMfMSuSfcjdk26",
    "H7Fr0u2xazJgPD498y8z4xjN+Uc2PtlLA36p2DHfkIfjH3+elwI831+czCEvFog7a3d8k9MaX9QqRRB/Mb5r/VbJMSVuPCZuOiZeekzcvMhp",
    "7ay1ajonWjV6bdVokC/WpjT6oRv3TPlf/fuJ//ayOf9bC/afqTRHC+aaBlcL4/YohvNXlMExq5weuTuatfM3XidSNqdHwdyPKNKH1o/z31wY",
    "5/gqcszswP+rYvx/2/H/Xra/l+1vomxB0ypLh9b+/i+R5c2vVd78Wk8Sl2fsEW2yrmqVNVFrvrih4k4Rd6q4YfaXy63D/XiyRmkdqUe/mVZZ",
    "orTK+rJV1o6tssbslrVUq6y19Hg4fvVcwdFv4mQt3lrtHxkna0g9Hu50zjMVJ2vJVlmTt07m6LjksXHipBpbpR5bo/6xclKVrVKXbEzqdny9",
    "Nb6uej8d6f/+nH9/zr8/5//S5wz+hRf1/5m7e55jkyA74u5gU9odUtS2GO9jB/i1r25LOsiPUO5iP9pd7Ja8e3Byq9LdMpS/Je3Qtm9icuNS",
    "nJ+k8F7oxWUEbuuQ1nqL7Yq8HnqdfQhiA1cnm7o6+WXxnWxN5OXV4820gx/E+T+7lhfZt7i6h+zvYUvgPWxqukf0vs0Pp+9tOG6j1L2U7RBb",
    "nA6FknshDzUmd1AdYovdIf1JDT8LPnRVT2i7ifyPsoXyPvZ13SfZtt3Cb23uY+vcfexhvR+lD7Bt7H7q6X52Rt3PdqsHqKwH2Cf7GbYofoa9",
    "Y58h7YOBFFBjD7LJ6kF+Gv0guyI/e1JyS9dnKelDFPKhrck9a4+yLetzbKz7HGGPsOfqc2xNe4QNh4+UEUXK3PYAT/4o1fIo+7oeQ99jbO56",
    "jFI9JnNo28NFANtmH2cP5ufZYPl5fnP+OBvmPi9TK7+MbjtEjCfY9fnEmT60Pc5DPslm0ScXJ/c+Pil12PYEexqfpPqeIseucv+X6r9kM9hT",
    "Fyf3pH2RbWFfpNGfoZxPT0Pid0xPc/dp6vbpXeynZCfkM1LYX7FJ9hka6Fl2tz2LWT4rc/6veJDnxSB+RfTDbFA9TJ6Hq/zNwR1f7e//4L3t",
    "K2U+xPZQmq4RPrwj5tL2E2m79uexhS62xXVJEd6hrY5QZ0cw4CP8WP8IWz2/JMn5gfi7Q/3tdW0vYdxfwuy+TM18GdP98qyUtDO1+Y5Geh7r",
    "fp4Hev7C5IY83U7drTtZaYZu9tO9QGO+gOavyLKo7RX2In+FB3+BZ/0KJvZVfrT2VanCtlcxxa/xSF9lL+1XZWD7NV30a2xB/Ro7a7/OVsGv",
    "iTH8en1yB+A3RGrjo7r3Is/6Ers+vyk947eD/Z2Bv5Vm/w0txE9EvU4618vstH2JveEeP0trPTe5AftlCv4yv3p7mcd6Wcy97WfSsL+lq32L",
    "KvgWffDbc/0Nh21vst30O1TLt9nO+Q9Skb+jjP9AL/guX32+i+l9DzP9BZffO8+Y32Ngr0gube9gqq9I9fyein6FWnx1mL9V2XtVhoa232Bg",
    "T2chkf33JV7b++zMfI1tpq/RqN/Hcl+nx71+ZnIPpO6UfZ16e50K+QFl/QP9+3V+yPdPNNw/iZn+ATv7IWPWDzGgf6Of/gDz+BG95gOpg7Y/",
    "83A/ZoA6ylB3FCVHpZr+SIZHGVCOYtJHyZXPi20dp7HzUhqwnXOQvf+DgbUyPLyB1b9RCYgttO+jO/6ElviJtEn7dXKj/Xr2ef6UB/2ZPPK/",
    "6fkIou7faqzz3sQ832RP+ZvYyls0xltShg9ot7fFJts/Tad5W+qhfX9/f+d42/NU6c/FMNsPDgfoJnfJDPdnbPBqivELGYfa794CSBu0xwcD",
    "1M2/8rj/OiwFPO/V1MMvGa/YEe15UhHtutX3V7OS2+3foct48vjtD43y95e2PzwEiPpbab33GCBi45M7TX+N5l+LQbc/JqVq/8JoH7zf0AP2",
    "yPzU/iSV+Duy/B3muIcoX6T+3sccr9Fdw3So96n2P8iN9iOMX3/gUk+V/iO19yemuj9RjBYxhfbuIoAbLdIL2l+gK3wgDdD+Fd3lS2/5805/",
    "r2v712Vsaf8GO5ivlmGw/UU2+F5NDf+UqayVwxo8fnwQo0u3cahDDC1foGm/RXG/VUmHGgAM9cew2B5+i3CQem7jZxLXcHbDNaS9hjq9l4Me",
    "rmHAu0YlfntxjYyy7a9M8rfvx1o4GqKFrbSt7LlvoXwsbmKtlyQ35Law+baVHzO0shm6VSyo/ftiKe2vS5btr0nBvQ4Ok2jnpwnt/Li1g1b9",
    "GSk6ZOxo/xGm2MGI1iHDefuPpUDtfPz2OijzvjnJH2DsI8t9HBzBfswYmzZj13Fsw7WcKHEdO4Svo9auI9knaZ7bKN8n2UJ+PW20lyjXX+wf",
    "j9H+c/R9iiifYkDiX5Zin5L2eEvGhvZ3xDTa32XKYSOmxw7L2M38xuNm9iTfmukfoNH+Pjnu5/n2T2UTMr9QuU36a/sHYn5t11P/t7MF/Xaq",
    "9Hbak8xid85nB7l0lg7OvOrYi9K7BwLUEp/MO65jo30cffewn/leCnovP2y5hw3g9/Es94sJddyKCT1Il7lxEJIszzoogXfjKrZBMwk/g+F8",
    "VtquIy7G2XEPc9ZNzKQ38WODz0mNdNzPKH+zxOt4gL3Vj2SlQOq640G2VT/KxHcLlsIP+WOPjwb4icHjTB+3SgfteIJjQp7gVJOn2E//RUav",
    "/fTc/Tzg01LhHV/SSxk4O74sZt/RLQ3Y8UKufz6Hd9vC1Kkc/ISki13gXeyO7zrJP5Wj45tpsYaWNG+V+U/9rTbe+T3+5HLx8SHy16R/Hx/y",
    "YX/H/jvuxkcVZZPiidG47O+tNfyt+SsfLDaw50VW72x7Xl74oYVyej9Or4SSagVCpsky2aaP6WtyTD+Ta/qbAc5AM8ic5OQ5J5vBjrfKC+eb",
    "oeYUc6oZZgrMcDMipSu/cNWHld09oajusSL5gSNHDjuuOD2FVHl7Cr0e/URctXtzODcj0CNgtVxv7OG8NP7S55vzLkO4ImPDJeYSk9F3ndH/",
    "m7eb7Tk7jf4/U/Me6p3v8Le4xhMTcBwvEPIck/xzCdEyZVh/snf+pWEn49rzMgoyvFMzvEXeiutH2xhqQz1qxRwLCXqrAskLLbg5MMVboq2z",
    "WpvpYvlbm27Sd98cGNLi9NCy+1Adxr7Yp9bylhl7mfzL+Ai7dnu3GIHDeoS0DvKmQKYDlw5UOjDpQKQDjw40Ohx3ymGncOjAkcCRpxDowJ8D",
    "fQ7sOZDnwJ0Ddc5svU534c2BNgfWHEhz4MyBMgfGHAhz4MuBLge2HMhy4MqBKgemHIhy4MmBJgeWHEhy4MiBIgeGHAhyNup1ugs7DuQ4cONA",
    "jQMzzg4tf8BAiwMrDqQ4cOJAiQMjDoQ48OFAhwMbDmQ4cOFAhQMTDkQ4HHUJDQ4HX0KCAwcOFDgw4ECAA/8N9Dew30B+A/cN1Dcw30B8A+8N",
    "tDew3kB6A+cNlDcw3kB4A98NdDew3UB209gSDkBxA8MNBDfw20BvA7sN5DZw20Bts74lOwidDWw2kNnAZQOVzYaW7AAcNlDYwGADgQ38NdDX",
    "wF4DeQ3cNVDXwFwDcQ28NdDWwFoDaQ2cNVDWwFgDYQ18NdDVwFYDWQ1cNVDVwFQDUQ08NdDUwFIDSQ0cNVDUwFADQQ38NNDTwE6zQ/10AzUN",
    "zDQQ08BLA+nMzpbsETDSQEgDH822lvxT4JiBYgaGGQhm4JeBXgZ2GchlvPOlAN4u4HxRJxIjNzd22btpSGmON50oKwT2jAJGcwmHjFLIwCAD",
    "gQz8Mes0lyIDeczutRJj9zoA3hiljVkrNQxRDDwx0MTAEuPRNTzsVglilB9G6WGUHQZyGLhhoIaBGQZiGHhhoIWBFQZSGDhhoISBEQZCGPhg",
    "oIOBDQYyGLhgoIKBCQYiGHhgoIGBBQYSGDhgoICBAQYCGPhfoH9ZqrZKvxptvIU873aApvO2qY2EDYwve0qplfECkL3saAnE5npFLXyla/GP",
    "ntUzZ/VsWCVc0SNc9dDV1qYWM0SpVpQTRc9T1oOU9QRlPTq59SyiwLCiBCt6hLKenczprsFWDFMgfZxSpihjihKmKF+K0qUoW4qSpShXilKl",
    "KFOKEqUoT4rSpChLipKkKEeKUqQoQ4oSpCg/itKjKDuKkqMoN4pSoygzihKjKC+K0qIoK4qSoignilKiKCOKEqIoH4rSoSgbipKhKBeKUqEo",
    "E4oSoSgPitKgKAuKkqAoB4pSoCgDihKgwH8SK9aNQ7pbSLeF6T4hNn95Q5TbRKlNLLOJEpsorwm0Jl6e0pTAUhLbpXQjyjYC2cgM5RdRehFl",
    "F1FyEeUWUWoRZRZRYhHlFdnftH/BVcopopQillFECUWUT+T2829vMnCJ7JlhiTvg7YC2A9YOSDvg7ICyA8YOCDs8uosn/cXA1QFVB0wdEHXA",
    "0wFNBywdkHTA0QFFR6y/tGCMc41FMkjMPCUGYg54OaDl2FMkbbanWABGjlU61gYMdBywcUDGARcHVBwwcdA08HCs1rG41EDCAQcHFBwek5bH",
    "jAL7xjr1Cw3UGzBvQLwB7wa0G89WifpnqwVg3Fivd0oMdBuwbUC2AdcGVBswbUC0Ac8GNBuwbGzQ6zIDxQYMGxBseEyOHjOXx/ToMXfFzubB",
    "ZwIM/TF0w6exSf2wgUwDLo3N6hcaiDSeXULJzhOAQwMKDRg0INCAPwP6jBhDbew84GKAkeFZmutZ5j0YM7aqX2igy4AtA7IMuDKgyoApA6IM",
    "eDKgyYAlA5KM2GpKyAwdW0vR1wnAjQE1BswYEGPAiwEtBqwYkGLAiQElBowYEGLAhwEdBmwYkGHQBS/XtULY7NC5wTHQYMCCAQkGHBhQYKzW",
    "MqIrU+JlOrGrWsJBiC/gvYD2AtYLr466XQbUMVIvA+q4sczedZFcc7hAcjg8XCAGDUQMzo8YFBAipSFlIGUguUiaIkQKFgWFBi4LqCxgsoDI",
    "Ah4Lr4ls1wJNZLsWaCLbtUATUdaiqYa8a3UplWFgrICwAr4K6Co2qp9h4Krw5qNsKzAfZVuB+dzYau+6SKLxbDTOFNjNYdi7hwMFElmkNKQM",
    "pAwkF8lFKkQqNFBQbFM/w8A/sXs8iScA40k8ARjPjQn2rovkIhUiFRqoJmCagGhih15nGFgmIJmAY0IpJpRhoitNonVBBCaSQTJIdUh1Rukk",
    "lE2iizPCuzIAjgkXySDVIdUZpY5Q5oiufkTh/HWRDJIlhDDKFdHFLNLFIeciGSR7ML5Rdogu6qeL+umizrqosy7OahepzigVhDJBdBURhUPH",
    "u5ghu5gDRapDqjNK+6CsD11UVBccA11UXhfzokh1SHVGKR6U4aGL6aoLngGRDJJBqkOqM0rnoGwOXVOIwiJdJINkSRqM8jd0zeAGy3KRDJKl",
    "YTDK2NA1hxvnAIwkIhmkOqQ6S8/QJa0GGKDOKCmDcjJ0XUwyFu0iGSSDVIdUZ5SAQfkXulYThQV7F4NCF4OCSHVIdTR3mrIsKL2C8ioooYIy",
    "KSiFQqCLY9+7OJK/ywFcIAAEgRAQBtKBDCATyAKygT5AXyAHKACGAyOAQmAkcBowChgNFAGcHN81BhgLjANKgFJgPHAxsBRYBiwHVgArgVXA",
    "JcBqYA2wFlgHrAeagQ3ARgHlGFCKga5N9lJA8rXUAkequIRWQFkFIBVQNoGgp7a2lbuQBrSWkgLCgCP1XA4iXp6FqDkCZ8UR1lsCap0ho7QA",
    "smpLCygVgEhqjiGjLACQALhHriTZlSS7kru8/uix/7KSS7NH/etJ/3rQv4TVGT3kX8/454h/e7a/lDQt2LWLUnGWf+ssSso5/ke2czmMeMUW",
    "ortP1ePU9TR1PUxdz1LXo9T1JHU9SF3PUddj1PUUdQ5Rz9dz0vWYdD0lXQ9J54x0PSJdT0jngHTOR9fj0fV0dD0cXc9G16PR9WR0PRhdz0XX",
    "Y9H1VHQ9FF3PRNcj0fVEdD0QXc9D1+PQ9TR0PQxdz0LXo9D1JHQ9CJ1z0G+7SI+X1dNl9XBZPVtWj5bVk2X1YFk9V1aPldVTZfVQWT1TVo+U",
    "1RNl9UBZPU9Wj5PV02T1MFk9S1aPktWTZPUgWT1HVo+R5RTZTI6O7atnxuqRsXpirB4Yq+fF6nGxelqsHharZ8XqUbF6UqweFKvnxOoxsXpK",
    "rB4Sq2fE6hGxekKsHhCr58Pq8bB6OqweDqtnw+rRsHoyrB4Mq+fC6rGwnAr7fwELwg+/",
    NULL
};
static const char *aio_mongo__table_line(size_t i) { return aio_mongo__table_lines[i]; }
#endif

#endif /* AIO_MONGO_IMPLEMENTATION */
