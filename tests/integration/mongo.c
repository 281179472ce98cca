/* The client of examples/mongo against a server: mongo URI ACTION. Prints "ok" or says what is wrong. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#define AIO_MONGO_IMPLEMENTATION
#include "../../examples/mongo/aio_mongo.h"
#include <stdio.h>

static int failures;
#define EXPECT(condition) \
    do { if (!(condition)) { printf("line %d: %s\n", __LINE__, #condition); failures++; } } while (0)
#define EXPECT_TEXT(got, wanted)                                                                        \
    do {                                                                                                \
        const char *text_ = (got);                                                                      \
        if (!text_ || strcmp(text_, (wanted))) {                                                        \
            printf("line %d: %s is %s, not %s\n", __LINE__, #got, text_ ? text_ : "NULL", (wanted));    \
            failures++;                                                                                 \
        }                                                                                               \
    } while (0)

static aio_mongo_options options;
static const char *uri;
#define SELF aio_task task; aio_mongo *client; aio_mongo_collection rows; aio_mongo_result done; aio_bson *one; \
    aio_mongo_cursor *cursor; int64_t count; int i, step; aio_task *running; double began

static aio_mongo *opened(void)
{
    aio_mongo *client = aio_mongo_open_with(uri, &options);
    if (!client) printf("%s\n", aio_mongo_open_error());
    return client;
}

/* Each command, and errors, also inside of an ok reply. */
struct documents { SELF; aio_bson *many[5]; };
static AIO_CORO(documents)
{
    AIO_BEGIN(documents);
    self->client = opened();
    if (!self->client) AIO_RAISE(errno);
    self->rows = aio_mongo_get_collection(aio_mongo_get_database(self->client, NULL), "rows");
    EXPECT_TEXT(self->rows.database.name, "test");
    AIO_AWAIT(self->one, aio_mongo_command(self->rows.database, aio_bson_make("{ drop: 'rows' }")));
    EXPECT(aio_bson_double(self->one, "ok", 0) == 1);
    AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ _id: 7, name: %s, tags: ['a', 'b'], "
        "in: { x: %f, at: { $date: %lld } } }", "a\xF0\x9F\x90\xB1", 0.5, 1234567890123LL)));
    EXPECT(self->done.inserted_count == 1);
    AIO_AWAIT(self->one, aio_mongo_find_one(self->rows, aio_bson_make("{ _id: %d }", 7)));
    EXPECT_TEXT(aio_bson_string(self->one, "name", NULL), "a\xF0\x9F\x90\xB1");
    EXPECT_TEXT(aio_bson_string(self->one, "tags.1", NULL), "b");
    EXPECT(aio_bson_double(self->one, "in.x", 0) == 0.5 && aio_bson_int(self->one, "in.at", 0) == 1234567890123LL);
    aio_bson_free(self->one);
    AIO_AWAIT(self->one, aio_mongo_find_one(self->rows, aio_bson_make("{ _id: %d }", 8)));
    EXPECT(!self->one);
    for (self->i = 0; self->i < 5; self->i++) self->many[self->i] = aio_bson_make("{ n: %d }", self->i);
    AIO_AWAIT(self->done, aio_mongo_insert_many(self->rows, self->many, 5));
    EXPECT(self->done.inserted_count == 5 && aio_bson_get(self->many[4], "_id").type == AIO_BSON_OID);
    AIO_AWAIT(self->count, aio_mongo_count_documents(self->rows, NULL));
    EXPECT(self->count == 6);
    AIO_AWAIT(self->done, aio_mongo_update_many(self->rows, aio_bson_make("{ n: { $gte: 2 } }"),
                                                aio_bson_make("{ $set: { big: true } }")));
    EXPECT(self->done.matched_count == 3 && self->done.modified_count == 3 && !self->done.upserted);
    AIO_AWAIT(self->done, aio_mongo_update_one(self->rows, aio_bson_make("{ n: 100 }"),
                                               aio_bson_make("{ $set: { big: true } }"), .upsert = true));
    EXPECT(self->done.matched_count == 0 && self->done.upserted);
    AIO_AWAIT(self->count, aio_mongo_count_documents(self->rows, aio_bson_make("{ big: true }")));
    EXPECT(self->count == 4);
    AIO_AWAIT(self->done, aio_mongo_delete_one(self->rows, aio_bson_make("{ big: true }")));
    EXPECT(self->done.deleted_count == 1);
    AIO_AWAIT(self->done, aio_mongo_delete_many(self->rows, aio_bson_make("{ big: true }")));
    EXPECT(self->done.deleted_count == 3);
    self->count = 0;
    self->cursor = aio_mongo_find(self->rows, aio_bson_make("{ n: { $exists: true } }"),
                                  .sort = aio_bson_make("{ n: -1 }"));
    AIO_ASYNC_FOR(self->one, aio_mongo_next(self->cursor))
        EXPECT(aio_bson_int(self->one, "n", -1) == 1 - self->count++);
    EXPECT(self->count == 2);
    AIO_TRY {
        AIO_AWAIT(self->done, aio_mongo_insert_many(self->rows, self->many, 5));
        EXPECT(!"reached");
    } AIO_CATCH {
        EXPECT(aio_caught(self)->code == AIO_MONGO_ERRORS + 11000);
        EXPECT(strstr(aio_caught(self)->message, "MongoDB 11000: document 0 (0 before it were well): E11000"));
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->one, aio_mongo_command(self->rows.database, aio_bson_make("{ nothing: 1 }")));
        EXPECT(!"reached");
    } AIO_CATCH {
        EXPECT_TEXT(aio_caught(self)->message, "MongoDB 59 (CommandNotFound): no such command: 'nothing'");
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ name: %s }", "\xff")));
        EXPECT(!"reached");
    } AIO_CATCH {
        EXPECT(aio_caught(self)->code == EINVAL);
        EXPECT_TEXT(aio_caught(self)->message, "BSON: a string is no UTF-8");
    } AIO_END_TRY;
    AIO_FINALLY;
        for (int i = 0; i < 5; i++) aio_bson_free(self->many[i]);
        aio_mongo_cursor_close(self->cursor);
        aio_mongo_close(self->client);
    AIO_END;
}

/* One connection, which the server knows. */
struct known { SELF; };
static AIO_CORO(known)
{
    AIO_BEGIN(known);
    self->client = opened();
    if (!self->client) AIO_RAISE(errno);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(self->one, aio_mongo_command(aio_mongo_get_database(self->client, "admin"),
                                               aio_bson_make("{ echo: { name: %s } }", "Ada")));
        EXPECT_TEXT(aio_bson_string(self->one, "echo.name", ""), "Ada");
    }
    AIO_FINALLY;
        aio_mongo_close(self->client);
    AIO_END;
}

#ifndef AIO_NO_TLS
/* Reads lines of passwords in hexadecimal; prints what SASLprep makes of each, or "refused". */
static int prepared(void)
{
    char line[4000], text[2000], *to;
    const char *why;
    while (fgets(line, sizeof line, stdin)) {
        size_t n = strcspn(line, "\n") / 2;
        for (size_t i = 0; i < n; i++) {
            char pair[3] = { line[2 * i], line[2 * i + 1], 0 };
            text[i] = (char)(unsigned char)strtol(pair, NULL, 16);
        }
        text[n] = 0;
        if (aio_mongo__saslprep(text, &to, &why)) printf("refused");
        else for (const char *at = to; *at; at++) printf("%02x", (unsigned)(unsigned char)*at);
        free(to);
        printf("\n");
    }
    return 0;
}
#endif

int main(int argc, char **argv)
{
    int status = 2;
    const char *action = argc > 2 ? argv[2] : "";
    uri = argc > 1 ? argv[1] : "";
    if (!strcmp(action, "documents")) status = aio_run(AIO_CALL(documents));
    if (!strcmp(action, "known")) status = aio_run(AIO_CALL(known));
#ifndef AIO_NO_TLS
    if (!strcmp(action, "saslprep")) return prepared();
#endif
    if (!status && !failures) printf("ok\n");
    return status ? status : failures != 0;
}
