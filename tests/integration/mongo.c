/* The client of examples/mongo against a server: mongo URI ACTION. Prints "ok" or says what is wrong. */
#include "memory.h"
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <locale.h>
#include "every_allocation.h"
#define AIO_MONGO_IMPLEMENTATION
#include "../../examples/mongo/aio_mongo.h"

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
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT(aio_caught(self)->code == AIO_MONGO_ERRORS + 11000);
        EXPECT(strstr(aio_caught(self)->message, "MongoDB 11000: document 0 (0 before it were well): E11000"));
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->one, aio_mongo_command(self->rows.database, aio_bson_make("{ nothing: 1 }")));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_TEXT(aio_caught(self)->message, "MongoDB 59 (CommandNotFound): no such command: 'nothing'");
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ name: %s }", "\xff")));
        NOT_REACHED();
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

static aio_mongo_bson_task *echoed(aio_mongo *client, int tag)
{
    return aio_mongo_command(aio_mongo_get_database(client, "admin"), aio_bson_make("{ echo: { tag: %d } }", tag));
}

static aio_mongo_bson_task *seen(aio_mongo *client)
{
    return aio_mongo_command(aio_mongo_get_database(client, "admin"), aio_bson_make("{ seen: 1 }"));
}

/* Cursors over several batches; one that is left is killed at the server, and so is one that is cancelled. */
struct cursors { SELF; aio_bson *many[120]; };
static AIO_CORO(cursors)
{
    AIO_BEGIN(cursors);
    self->client = opened();
    if (!self->client) AIO_RAISE(errno);
    self->rows = aio_mongo_get_collection(aio_mongo_get_database(self->client, "test"), "cursors");
    AIO_AWAIT(self->one, aio_mongo_command(self->rows.database, aio_bson_make("{ drop: 'cursors' }")));
    for (self->i = 0; self->i < 120; self->i++) self->many[self->i] = aio_bson_make("{ n: %d }", self->i);
    AIO_AWAIT(self->done, aio_mongo_insert_many(self->rows, self->many, 120));
    self->cursor = aio_mongo_find(self->rows, NULL, .sort = aio_bson_make("{ n: 1 }"), .skip = 5, .limit = 100,
                                  .projection = aio_bson_make("{ n: 1, _id: 0 }"), .batch_size = 7);
    AIO_ASYNC_FOR(self->one, aio_mongo_next(self->cursor)) {
        EXPECT(aio_bson_int(self->one, "n", -1) == 5 + self->count++);
        EXPECT(aio_bson_get(self->one, "_id").type == AIO_BSON_NONE);
    }
    EXPECT(self->count == 100);
    aio_mongo_cursor_close(self->cursor);
    self->cursor = aio_mongo_aggregate(self->rows, aio_bson_make("[ { $match: { n: { $lt: %d } } }, "
        "{ $group: { _id: null, sum: { $sum: '$n' } } } ]", 10));
    AIO_AWAIT(self->one, aio_mongo_next(self->cursor));
    EXPECT(aio_bson_int(self->one, "sum", 0) == 45);
    aio_mongo_cursor_close(self->cursor);
    self->cursor = NULL;
    AIO_AWAIT(self->one, seen(self->client));
    self->count = aio_bson_int(self->one, "killed", 0);
    self->cursor = aio_mongo_find(self->rows, NULL, .batch_size = 2);
    AIO_AWAIT(self->one, aio_mongo_next(self->cursor));
    aio_mongo_cursor_close(self->cursor);
    self->cursor = NULL;
    AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ slow: true }")));
    self->cursor = aio_mongo_find(self->rows, NULL, .batch_size = 2);
    for (self->i = 0; self->i < 2; self->i++) AIO_AWAIT(self->one, aio_mongo_next(self->cursor));
    AIO_TRY {
        AIO_TIMEOUT(0.1) AIO_AWAIT(self->one, aio_mongo_next(self->cursor));
        NOT_REACHED();
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->one, aio_mongo_next(self->cursor));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT(aio_caught(self)->code == AIO_ERUNTIME);
    } AIO_END_TRY;
    for (self->i = 0; self->i < 100; self->i++) {
        AIO_AWAIT(self->one, seen(self->client));
        self->step = (int)(aio_bson_int(self->one, "killed", 0) - self->count);
        if (self->step == 2 && aio_bson_int(self->one, "cursors", -1) == 0) break;
        AIO_AWAIT(aio_sleep(0.02));
    }
    EXPECT(self->step == 2 && aio_bson_int(self->one, "cursors", -1) == 0);
    EXPECT(!strstr(uri, "zlib") || aio_bson_int(self->one, "compressed", 0) > 10);
    EXPECT(!options.checksum || aio_bson_int(self->one, "checksums", 0) > 10);
    AIO_FINALLY;
        for (int i = 0; i < 120; i++) aio_bson_free(self->many[i]);
        aio_mongo_cursor_close(self->cursor);
        aio_mongo_close(self->client);
    AIO_END;
}

/* More documents than the server takes at once, documents that are large, and too large. */
struct large { SELF; aio_bson *many[2500]; char *text; size_t length; };
static AIO_CORO(large)
{
    AIO_BEGIN(large);
    self->client = opened();
    self->length = 12000000;
    self->text = (char *)malloc(self->length + 1);
    if (!self->client || !self->text) AIO_RAISE(ENOMEM);
    for (size_t i = 0; i < self->length; i++) self->text[i] = (char)('a' + i % 23);
    self->text[self->length] = 0;
    self->rows = aio_mongo_get_collection(aio_mongo_get_database(self->client, "test"), "large");
    AIO_AWAIT(self->one, aio_mongo_command(self->rows.database, aio_bson_make("{ drop: 'large' }")));
    for (self->i = 0; self->i < 2500; self->i++) self->many[self->i] = aio_bson_make("{ _id: %d }", self->i);
    AIO_AWAIT(self->done, aio_mongo_insert_many(self->rows, self->many, 2500));
    EXPECT(self->done.inserted_count == 2500);
    aio_bson_free(self->many[2300]);
    self->many[2300] = aio_bson_make("{ _id: 0 }");
    AIO_AWAIT(self->one, aio_mongo_command(self->rows.database, aio_bson_make("{ drop: 'large' }")));
    AIO_TRY {
        AIO_AWAIT(self->done, aio_mongo_insert_many(self->rows, self->many, 2500));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT(strstr(aio_caught(self)->message, "document 2300 (2300 before it were well)"));
    } AIO_END_TRY;
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ text: %s }", self->text)));
    }
    self->cursor = aio_mongo_find(self->rows, aio_bson_make("{ text: { $exists: true } }"), .batch_size = 1);
    AIO_ASYNC_FOR(self->one, aio_mongo_next(self->cursor)) {
        self->count++;
        EXPECT(!strcmp(aio_bson_string(self->one, "text", ""), self->text));
    }
    EXPECT(self->count == 3);
    AIO_TRY {
        self->one = aio_bson_make("{ a: %s, b: %s }", self->text, self->text);
        AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, self->one));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT(aio_caught(self)->code == AIO_ELIMIT);
        EXPECT(strstr(aio_caught(self)->message, "MongoDB: document 0 has 240000"));
    } AIO_END_TRY;
    AIO_FINALLY;
        free(self->text);
        for (int i = 0; i < 2500; i++) aio_bson_free(self->many[i]);
        aio_mongo_cursor_close(self->cursor);
        aio_mongo_close(self->client);
    AIO_END;
}

/* Who waits for a connection of a pool that has none left, and for an answer that does not come. */
struct waiting { SELF; };
static AIO_CORO(waiting)
{
    AIO_BEGIN(waiting);
    self->client = opened();
    if (!self->client) AIO_RAISE(errno);
    self->rows.database = aio_mongo_get_database(self->client, "admin");
    self->running = (aio_task *)(void *)aio_create_task(aio_mongo_command(self->rows.database,
                                                                          aio_bson_make("{ sleep: 30000 }")));
    AIO_AWAIT(aio_sleep(0));
    AIO_TRY {
        AIO_AWAIT(self->one, aio_mongo_command(self->rows.database, aio_bson_make("{ ping: 1 }")));
        NOT_REACHED();
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
        EXPECT(strstr(aio_caught(self)->message, "all of maxPoolSize connections were in use"));
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_ref(self->running));
        NOT_REACHED();
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
    } AIO_END_TRY;
    AIO_AWAIT(self->one, aio_mongo_command(self->rows.database, aio_bson_make("{ ping: 1 }")));
    AIO_FINALLY;
        aio_unref(self->running);
        aio_mongo_close(self->client);
    AIO_END;
}

/* A bit of everything, for who cancels it. */
struct busy { SELF; };
static AIO_CORO(busy)
{
    AIO_BEGIN(busy);
    AIO_AWAIT(self->one, echoed(self->client, self->i));
    EXPECT(aio_bson_int(self->one, "echo.tag", -1) == self->i);
    self->rows = aio_mongo_get_collection(aio_mongo_get_database(self->client, "test"), "busy");
    AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ n: %d }", self->i)));
    self->cursor = aio_mongo_find(self->rows, NULL, .batch_size = 2);
    for (self->step = 0; self->step < 5; self->step++) AIO_AWAIT(self->one, aio_mongo_next(self->cursor));
    AIO_AWAIT(self->one, aio_mongo_find_one(self->rows, aio_bson_make("{ n: %d }", self->i)));
    EXPECT(aio_bson_int(self->one, "n", -1) == self->i);
    AIO_FINALLY;
        aio_mongo_cursor_close(self->cursor);
    AIO_END;
}

/* What is cut or cancelled at every byte of the server's. */
struct session { SELF; int number; };
static AIO_CORO(session)
{
    AIO_BEGIN(session);
    AIO_AWAIT(self->one, echoed(self->client, self->number));
    EXPECT(aio_bson_int(self->one, "echo.tag", -1) == self->number);
    self->rows = aio_mongo_get_collection(aio_mongo_get_database(self->client, "test"), "three");
    self->cursor = aio_mongo_find(self->rows, NULL, .batch_size = 2);
    for (self->step = 0; self->step < 3; self->step++) AIO_AWAIT(self->one, aio_mongo_next(self->cursor));
    EXPECT(aio_bson_int(self->one, "n", -1) == 2);
    AIO_FINALLY;
        aio_mongo_cursor_close(self->cursor);
    AIO_END;
}
static void *session_open(const char *at) { return aio_mongo_open_with(at, &options); }
static void session_close(void *client) { aio_mongo_close((aio_mongo *)client); }
static void *session_of(void *client, int number)
{
    return AIO_CALL(session, .client = (aio_mongo *)client, .number = number);
}
static const relay_subject subject = { session_open, session_close, session_of, "mongodb://127.0.0.1:%d/" };

/* ---- what is cancelled at every await ---- */

/* Writes of all kinds; the documents of one number are there twice, once, or not at all. */
struct writing { SELF; int number; aio_bson *many[300]; };
static AIO_CORO(writing)
{
    AIO_BEGIN(writing);
    self->rows = aio_mongo_get_collection(aio_mongo_get_database(self->client, "test"), "written");
    AIO_AWAIT(self->done, aio_mongo_delete_many(self->rows, NULL));
    for (self->i = 0; self->i < 300; self->i++)
        self->many[self->i] = aio_bson_make("{ n: %d, i: %d }", self->number, self->i);
    AIO_AWAIT(self->done, aio_mongo_insert_many(self->rows, self->many, 300));
    EXPECT(self->done.inserted_count == 300);
    AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ _id: %d, n: -1 }", self->number)));
    AIO_TRY {
        AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ _id: %d, n: -1 }", self->number)));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT_CODE(AIO_MONGO_ERRORS + 11000);
    } AIO_END_TRY;
    AIO_AWAIT(self->done, aio_mongo_update_many(self->rows, aio_bson_make("{ n: %d }", self->number),
                                                aio_bson_make("{ $set: { x: %d } }", self->number)));
    EXPECT(self->done.matched_count == 300);
    AIO_AWAIT(self->count, aio_mongo_count_documents(self->rows, aio_bson_make("{ x: %d }", self->number)));
    EXPECT(self->count == 300);
    AIO_FINALLY;
        for (self->i = 0; self->i < 300; self->i++) aio_bson_free(self->many[self->i]);
    AIO_END;
}
static void *writing_of(void *client, int number)
{
    return AIO_CALL(writing, .client = (aio_mongo *)client, .number = number);
}

/* A pipeline's documents, in batches. */
struct summing { SELF; int number; };
static AIO_CORO(summing)
{
    AIO_BEGIN(summing);
    self->rows = aio_mongo_get_collection(aio_mongo_get_database(self->client, "test"), "three");
    for (self->i = 0; self->i < 2; self->i++) { /* to the end, and left */
        self->cursor = aio_mongo_aggregate(self->rows, aio_bson_make("[ { $match: { n: { $gte: 0 } } }, "
            "{ $sort: { n: 1 } }, { $project: { n: 1 } } ]"), .batch_size = 1);
        self->count = 0;
        AIO_ASYNC_FOR(self->one, aio_mongo_next(self->cursor)) {
            EXPECT(aio_bson_int(self->one, "n", -1) == self->count++);
            if (self->i && self->count == 2) break;
        }
        EXPECT(self->count == 3 - self->i);
        aio_mongo_cursor_close(self->cursor);
        self->cursor = NULL;
    }
    AIO_AWAIT(self->one, echoed(self->client, self->number));
    EXPECT(aio_bson_int(self->one, "echo.tag", -1) == self->number);
    AIO_FINALLY;
        aio_mongo_cursor_close(self->cursor);
    AIO_END;
}
static void *summing_of(void *client, int number)
{
    return AIO_CALL(summing, .client = (aio_mongo *)client, .number = number);
}

static const await_case awaits[] = {
    { "a command and a cursor", session_of, 1 }, { "writes", writing_of, 1 }, { "a pipeline", summing_of, 1 }
};

/* Waits for a place of a pool that others have: as many as its maxPoolSize, 2. */
struct waits { SELF; aio_task *holders[2]; int number; };
static AIO_CORO(waits)
{
    AIO_BEGIN(waits);
    for (self->i = 0; self->i < 2; self->i++) {
        self->holders[self->i] = (aio_task *)(void *)aio_create_task(aio_mongo_command(
            aio_mongo_get_database(self->client, "admin"), aio_bson_make("{ sleep: 2, tag: 7 }")));
        AIO_AWAIT(aio_sleep(0));
    }
    AIO_TIMEOUT(5) AIO_AWAIT(self->one, echoed(self->client, self->number));
    EXPECT(aio_bson_int(self->one, "echo.tag", -1) == self->number);
    for (self->i = 0; self->i < 2; self->i++) AIO_AWAIT(aio_ref(self->holders[self->i]));
    AIO_FINALLY;
        AIO_AWAIT(AIO_CALL(tasks_end, .tasks = self->holders, .count = 2));
    AIO_END;
}
static void *waits_of(void *client, int number)
{
    return AIO_CALL(waits, .client = (aio_mongo *)client, .number = number);
}
static const relay_subject full = { session_open, session_close, waits_of, NULL };
static const await_case full_awaits[] = { { "a full pool", waits_of, 1 } };

/* What is asked, a word for each, of a server that answers as it likes: prints what came of it. */
struct asked { SELF; const char *what; aio_bson *many[3]; };
static void print_bson(const aio_bson *one)
{
    aio_text json;
    if (!one || aio_bson_to_json(one, &json)) {
        printf("nothing\n");
        return;
    }
    printf("%s\n", json.data);
    aio_text_clear(&json);
}
static AIO_CORO(asked)
{
    AIO_BEGIN(asked);
    self->rows = aio_mongo_get_collection(aio_mongo_get_database(self->client, "test"), "rows");
    if (!strcmp(self->what, "find") || !strcmp(self->what, "left"))
        self->cursor = aio_mongo_find(self->rows, aio_bson_make("{ n: { $gte: %d } }", 1), .skip = 1, .limit = 7,
            .sort = aio_bson_make("{ n: -1 }"), .projection = aio_bson_make("{ n: 1 }"), .batch_size = 2);
    if (!strcmp(self->what, "aggregate"))
        self->cursor = aio_mongo_aggregate(self->rows, aio_bson_make("[ { $match: { n: %d } } ]", 1));
    if (self->cursor) {
        AIO_ASYNC_FOR(self->one, aio_mongo_next(self->cursor)) {
            print_bson(self->one);
            if (*self->what == 'l') break;
        }
        printf("end\n");
    }
    for (self->i = 0; self->i < 3; self->i++) self->many[self->i] = aio_bson_make("{ _id: %d }", self->i);
    if (!strcmp(self->what, "command")) {
        AIO_AWAIT(self->one, aio_mongo_command(self->rows.database, aio_bson_make("{ anything: 1 }")));
        print_bson(self->one);
    } else if (!strcmp(self->what, "find_one")) {
        AIO_AWAIT(self->one, aio_mongo_find_one(self->rows, aio_bson_make("{ n: 1 }")));
        print_bson(self->one);
    } else if (!strcmp(self->what, "count")) {
        AIO_AWAIT(self->count, aio_mongo_count_documents(self->rows, aio_bson_make("{ n: 1 }")));
        printf("%lld\n", (long long)self->count);
    } else if (!self->cursor) {
        if (!strcmp(self->what, "insert_one"))
            AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ _id: 1 }")));
        else if (!strcmp(self->what, "insert_many"))
            AIO_AWAIT(self->done, aio_mongo_insert_many(self->rows, self->many, 3, .unordered = true));
        else if (!strcmp(self->what, "update"))
            AIO_AWAIT(self->done, aio_mongo_update_many(self->rows, aio_bson_make("{ n: 1 }"),
                                                        aio_bson_make("{ $set: { n: 2 } }"), .upsert = true));
        else AIO_AWAIT(self->done, aio_mongo_delete_one(self->rows, aio_bson_make("{ n: 1 }")));
        printf("%lld inserted, %lld matched, %lld modified, %lld deleted%s\n", (long long)self->done.inserted_count,
               (long long)self->done.matched_count, (long long)self->done.modified_count,
               (long long)self->done.deleted_count, self->done.upserted ? ", upserted" : "");
    }
    AIO_FINALLY;
        for (int i = 0; i < 3; i++) aio_bson_free(self->many[i]);
        aio_mongo_cursor_close(self->cursor);
    AIO_END;
}

static char *asked_words;
struct asking { SELF; char *word; };
static AIO_CORO(asking)
{
    AIO_BEGIN(asking);
    self->client = opened();
    if (!self->client) AIO_RAISE(errno);
    for (self->word = strtok(asked_words, ","); self->word; self->word = strtok(NULL, ",")) {
        AIO_TRY {
            AIO_AWAIT(AIO_CALL(asked, .client = self->client, .what = self->word));
        } AIO_CATCH_ALL {
            printf("%d %s\n", aio_caught(self)->code, aio_caught(self)->message);
        } AIO_END_TRY;
        fflush(stdout);
    }
    AIO_AWAIT(aio_sleep(0.01)); /* killCursors has been sent */
    AIO_FINALLY;
        aio_mongo_close(self->client);
    AIO_END;
}

/* A server that breaks each byte of its replies in turn, and then cuts the connection: an error, or a reply; and what is
 * asked next is answered. */
struct broken { SELF; int failed; };
static AIO_CORO(broken)
{
    AIO_BEGIN(broken);
    self->client = opened();
    if (!self->client) AIO_RAISE(errno);
    for (self->i = 1; self->i <= 3000; self->i++) {
        self->step = 0;
        AIO_TRY {
            AIO_AWAIT(self->one, echoed(self->client, 0));
        } AIO_CATCH_ALL {
            self->step = aio_caught(self)->code;
            EXPECT(self->step == AIO_EDISCONNECTED || self->step == AIO_ERUNTIME || self->step == AIO_ELIMIT
                   || (self->step >= AIO_MONGO_ERRORS && self->step < 2 * AIO_MONGO_ERRORS));
            self->failed++;
        } AIO_END_TRY;
        if (!self->step) aio_bson_free(self->one);
        AIO_AWAIT(self->one, echoed(self->client, self->i));
        EXPECT(aio_bson_int(self->one, "echo.tag", -1) == self->i);
        self->step = aio_bson_bool(self->one, "last", false);
        aio_bson_free(self->one);
        if (self->step) break;
    }
    printf("%d of %d failed\n", self->failed, self->i);
    AIO_FINALLY;
        aio_mongo_close(self->client);
    AIO_END;
}

/* The documents that a session reads. */
struct three { SELF; };
static AIO_CORO(three)
{
    AIO_BEGIN(three);
    self->client = opened();
    if (!self->client) AIO_RAISE(errno);
    self->rows = aio_mongo_get_collection(aio_mongo_get_database(self->client, "test"), "three");
    for (self->i = 0; self->i < 3; self->i++)
        AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ _id: %d, n: %d }", self->i, self->i)));
    AIO_FINALLY;
        aio_mongo_close(self->client);
    AIO_END;
}

/* Cancelled later and later, until it is done before: whoever asks next gets the reply to what it asked. */
struct cancelled { SELF; bool finished; };
static AIO_CORO(cancelled)
{
    AIO_BEGIN(cancelled);
    self->client = opened();
    if (!self->client) AIO_RAISE(errno);
    self->rows = aio_mongo_get_collection(aio_mongo_get_database(self->client, "test"), "busy");
    for (self->i = 0; self->i < 10; self->i++)
        AIO_AWAIT(self->done, aio_mongo_insert_one(self->rows, aio_bson_make("{ n: -1 }")));
    for (self->i = 0; self->i < 600 && !self->finished; self->i++) {
        self->running = (aio_task *)(void *)aio_create_task(AIO_CALL(busy, .client = self->client, .i = self->i));
        for (self->step = 0; self->i < 30 && self->step < self->i; self->step++) AIO_AWAIT(aio_sleep(0));
        if (self->i >= 30) AIO_AWAIT(aio_sleep((self->i - 30) * 0.0002));
        self->finished = !aio_task_cancel(self->running);
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->running));
        } AIO_CATCH_ALL {
            EXPECT(aio_caught(self)->code == AIO_ECANCELLED);
        } AIO_END_TRY;
        aio_unref(self->running);
        self->running = NULL;
        AIO_AWAIT(self->one, echoed(self->client, -self->i));
        EXPECT(aio_bson_int(self->one, "echo.tag", 1) == -self->i);
        aio_bson_free(self->one);
    }
    EXPECT(self->finished);
    AIO_FINALLY;
        aio_unref(self->running);
        aio_mongo_close(self->client);
    AIO_END;
}

/* What the server says is cut one byte later each time: an error, or the right answer, and the next one goes well
 * again; until connections last. */
struct cuts { SELF; int well, failed; };
static AIO_CORO(cuts)
{
    AIO_BEGIN(cuts);
    self->client = opened();
    if (!self->client) AIO_RAISE(errno);
    for (self->i = 0; self->i < 20000 && self->well < 40; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->one, echoed(self->client, self->i));
            EXPECT(aio_bson_int(self->one, "echo.tag", -1) == self->i);
            self->well++;
        } AIO_CATCH {
            self->step = aio_caught(self)->code;
            self->well = 0;
            self->failed++;
            EXPECT(self->step == AIO_EDISCONNECTED || self->step == ECONNRESET || self->step == EPIPE);
        } AIO_END_TRY;
        aio_bson_free(self->one);
        self->one = NULL;
    }
    printf("%d cuts\n", self->failed);
    AIO_FINALLY;
        aio_mongo_close(self->client);
    AIO_END;
}

/* Prints a line for each command, well or not: the server is ended and begun again meanwhile. */
struct lasting { SELF; };
static AIO_CORO(lasting)
{
    AIO_BEGIN(lasting);
    self->client = opened();
    for (self->i = 0; self->i < 300; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->one, echoed(self->client, self->i));
            EXPECT(aio_bson_int(self->one, "echo.tag", -1) == self->i);
            printf("well\n");
        } AIO_CATCH {
            printf("failed: %s\n", aio_caught(self)->message);
        } AIO_END_TRY;
        fflush(stdout);
        AIO_AWAIT(aio_sleep(0.02));
    }
    AIO_FINALLY;
        aio_mongo_close(self->client);
    AIO_END;
}

/* ---- BSON alone ---- */

static void rebuild(aio_bson *to, const aio_bson *from)
{
    const char *name;
    aio_bson_value value;
    size_t position = 0;
    while (aio_bson_next(from, &position, &name, &value)) {
        if (value.type == AIO_BSON_DOCUMENT || value.type == AIO_BSON_ARRAY) {
            if (value.type == AIO_BSON_ARRAY) aio_bson_begin_array(to, name);
            else aio_bson_begin_document(to, name);
            rebuild(to, &value.document);
            aio_bson_end(to);
        } else aio_bson_append_value(to, name, &value);
    }
}

/* URIs, and what is to come of them: an error, or the user, the hosts and the database. */
static int uris(void)
{
    static const char *const cases[][2] = {
        { "mongodb://h", "/ h:27017 -" }, { "mongodb://u%40x:p%3Aw%25@[::1]:1,b:2,%2Ftmp%2Fm.sock/d%20b?w=1",
          "u@x/p:w% ::1:1 b:2 /tmp/m.sock:0 d b" }, { "mongodb://u@h/?authSource=x", "u/ h:27017 -" },
        { "mongodb://h?tls=false", "/ h:27017 -" }, { "mongodb://h/?", "/ h:27017 -" },
        { "http://h", "it does not begin with mongodb://" }, { "mongodb://", "a host is empty" },
        { "mongodb://a,,b", "a host is empty" }, { "mongodb://a:0", "a port is none" },
        { "mongodb://a:99999", "a port is none" }, { "mongodb://a:1x", "a port is none" },
        { "mongodb://[::1", "an address in brackets has no end" },
        { "mongodb://[::1]x", "something stands behind an address in brackets" },
        { "mongodb://u:p:q@h", "user and password are to be percent-encoded" },
        { "mongodb://u@v@h", "user and password are to be percent-encoded" },
        { "mongodb://:p@h", "user and password are to be percent-encoded" },
        { "mongodb://u:%zz@h", "a % is not followed by two hexadecimal digits, or stands for NUL" },
        { "mongodb://u:%00@h", "a % is not followed by two hexadecimal digits, or stands for NUL" },
        { "mongodb://u:%4", "a port is none" }, { "mongodb://h/?x", "an option has no value" },
        { "mongodb://h/?x=1", "an option is unknown here, or has a value that cannot be" },
        { "mongodb://h/?tls=yes", "an option is neither true nor false" },
        { "mongodb://h/?connectTimeoutMS=x", "an option is no number" },
        { "mongodb://h/?w=0", "w=0: writes without an answer are not for here" },
        { "mongodb://h/?authMechanism=PLAIN", "authMechanism is neither SCRAM-SHA-256 nor SCRAM-SHA-1" },
        { "mongodb://a,b/?directConnection=true", "directConnection to several hosts" },
        { "mongodb+srv://h", "mongodb+srv is not for here: name the hosts" },
        { "mongodb://a/?tlsCAFile=/none", NULL }
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char said[300];
        aio_mongo *client = aio_mongo_open(cases[i][0]);
        int n = snprintf(said, sizeof said, "%s", client ? "" : aio_mongo_open_error());
        EXPECT(client || errno == EINVAL);
        if (client) n = snprintf(said, sizeof said, "%s/%s", client->user ? client->user : "",
                                 client->password ? client->password : "");
        for (size_t k = 0; client && k < client->host_count; k++)
            n += snprintf(said + n, sizeof said - (size_t)n, " %s:%d", client->hosts[k].name, client->hosts[k].port);
        if (client) snprintf(said + n, sizeof said - (size_t)n, " %s", client->database ? client->database : "-");
        if (cases[i][1]) EXPECT_TEXT(said, cases[i][1]);
        else EXPECT(!client && *said);
        aio_mongo_close(client);
    }
    return failures != 0;
}

/* Bytes that are none, or others by chance: it ends well. */
static void damaged(const char *data, size_t length, unsigned seed)
{
    aio_bson document;
    aio_text json;
    char *copy = (char *)malloc(length);
    for (size_t n = 0; copy && n < length; n++) { /* in memory that ends where it ends */
        char *part = (char *)malloc(n ? n : 1);
        if (part && n) memcpy(part, data, n);
        if (part) EXPECT(aio_bson_parse(&document, part, n, NULL));
        free(part);
    }
    for (int i = 0; copy && i < 50; i++) {
        memcpy(copy, data, length);
        for (int k = 0; k < 2; k++) {
            seed = seed * 1664525 + 1013904223;
            copy[(seed >> 8) % length] = (char)(unsigned char)(seed >> 24);
        }
        if (aio_bson_parse(&document, copy, length, NULL) || aio_bson_to_json(&document, &json)) continue;
        aio_text_clear(&json);
    }
    free(copy);
}

/* Reads pairs of lines: a document in hexadecimal, and its canonical extended JSON. */
static int compared(void)
{
    enum { LINE = 1 << 20 };
    char *line = (char *)malloc(LINE), *data = (char *)malloc(LINE);
    aio_input_error error;
    aio_bson document;
    aio_text json;
    unsigned count = 0;
    while (line && data && fgets(line, LINE, stdin)) {
        size_t n = strcspn(line, "\n") / 2;
        for (size_t i = 0; i < n; i++) {
            char pair[3] = { line[2 * i], line[2 * i + 1], 0 };
            data[i] = (char)(unsigned char)strtol(pair, NULL, 16);
        }
        if (aio_bson_parse(&document, data, n, &error)) printf("%s at %d\n", error.reason, (int)error.offset);
        if (aio_bson_to_json(&document, &json) || !fgets(line, LINE, stdin)) return 1;
        line[strcspn(line, "\n")] = 0;
        EXPECT_TEXT(json.data, line);
        aio_text_clear(&json);
        aio_bson *made = aio_bson_make("{}");
        rebuild(made, &document);
        EXPECT(!aio_bson_error(made) && made->length == n && !memcmp(made->data, data, n));
        aio_bson_free(made);
        damaged(data, n, count++);
    }
    free(line);
    free(data);
    printf("%u documents\n", count);
    return failures != 0;
}

static void made_as(aio_bson *made, const char *json)
{
    aio_text text = { NULL, 0 };
    if (aio_bson_error(made)) printf("%s: ", aio_bson_error(made));
    aio_bson_to_json(made, &text);
    EXPECT_TEXT(text.data, json);
    aio_text_clear(&text);
    aio_bson_free(made);
}

static void refused(aio_bson *made, const char *why)
{
    EXPECT_TEXT(aio_bson_error(made), why);
    EXPECT(!made->data);
    aio_bson_free(made);
}

/* What the builder makes, and what it refuses. */
static int built(void)
{
    static const char *const decimals[] = { "1.50", "-0", "1E+3", "0.000001", "1E-7", "NaN", "-Infinity", "0E-6176",
        "9.999999999999999999999999999999999E+6144", "1234567890123456789012345678901234" };
    static const char *const none[] = { "", "1.2.3", "e5", "1e", "12345678901234567890123456789012345", "1E+7000",
        "x" };
    const char *volatile missing = NULL; /* gcc warns of a %s that it sees to be NULL */
    aio_bson *made = aio_bson_make("{ a: 1, \"b c\": -2.5e3, c: [true, false, null, 'it\\'s'], d: { $oid: %s }, "
        "e: { $date: %lld }, f: %u, g: { $numberDecimal: '1.50' }, h: %s, $gt: { x: {} }, i: 3000000000 }",
        "0123456789abcdefABCDEF01", -1LL, 4000000000u, missing);
    made_as(made, "{\"a\":{\"$numberInt\":\"1\"},\"b c\":{\"$numberDouble\":\"-2500.0\"},"
        "\"c\":[true,false,null,\"it's\"],"
        "\"d\":{\"$oid\":\"0123456789abcdefabcdef01\"},\"e\":{\"$date\":{\"$numberLong\":\"-1\"}},"
        "\"f\":{\"$numberLong\":\"4000000000\"},\"g\":{\"$numberDecimal\":\"1.50\"},\"h\":null,\"$gt\":{\"x\":{}},"
        "\"i\":{\"$numberLong\":\"3000000000\"}}");
    made_as(aio_bson_make(" [ [ ], %zu, %f ] ", (size_t)7, 0.5),
            "[[],{\"$numberLong\":\"7\"},{\"$numberDouble\":\"0.5\"}]");
    made_as(aio_bson_make("{ a: %s }", "', b: 1 }"), "{\"a\":\"', b: 1 }\"}");
    for (size_t i = 0; i < sizeof decimals / sizeof *decimals; i++) {
        char text[48];
        made = aio_bson_make("{ d: { $numberDecimal: %s } }", decimals[i]);
        aio_bson_decimal128_text(aio_bson_get(made, "d").decimal, text);
        EXPECT_TEXT(text, decimals[i]);
        aio_bson_free(made);
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        refused(aio_bson_make("{ d: { $numberDecimal: %s } }", none[i]), "no decimal number of at most 34 digits");
    refused(aio_bson_make("{ a: 1"), "an end, or a comma, is missing");
    refused(aio_bson_make("{ a: }"), "no value, or no number");
    refused(aio_bson_make("1"), "neither a document nor an array");
    refused(aio_bson_make("{} x"), "something stands behind the end");
    refused(aio_bson_make("{ a: { $oid: %s } }", "12"), "$oid, $date, $numberLong or $numberDecimal of something else");
    refused(aio_bson_make("{ a: %s }", "\xed\xa0\x80"), "a string is no UTF-8");
    refused(aio_bson_make("{ a: 99999999999999999999 }"), "no value, or no number");
    made = aio_bson_make("{}");
    aio_bson_end(made);
    refused(made, "an end of nothing");
    made = aio_bson_make("{}");
    aio_bson_append_null(made, NULL);
    refused(made, "a member has no name");
    made = aio_bson_make("{}");
    for (int i = 0; i < AIO_BSON_DEPTH; i++) aio_bson_begin_array(made, "a");
    refused(made, "documents within one another are too deep");
    made = aio_bson_make("{}");
    aio_bson_begin_document(made, "a");
    refused(made, "an end is missing");
    EXPECT(!aio_bson_error(NULL));
    return failures != 0;
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
    setlocale(LC_NUMERIC, "");
    uri = argc > 1 ? argv[1] : "";
    if (!strcmp(action, "documents")) status = aio_run(AIO_CALL(documents));
    options.checksum = getenv("MONGO_CHECKSUM") != NULL;
    if (!strcmp(action, "cursors")) status = aio_run(AIO_CALL(cursors));
    if (!strcmp(action, "large")) status = aio_run(AIO_CALL(large));
    if (!strcmp(action, "waiting")) status = aio_run(AIO_CALL(waiting));
    if (!strcmp(action, "uris")) status = uris();
    if (!strcmp(action, "cancelled")) status = aio_run(AIO_CALL(cancelled));
    if (!strcmp(action, "cuts") && argc < 4) status = aio_run(AIO_CALL(cuts));
    if (!strcmp(action, "lasting")) status = aio_run(AIO_CALL(lasting));
    if (!strcmp(action, "compared")) status = compared();
    if (!strcmp(action, "built")) status = built();
    if (!strcmp(action, "known")) status = aio_run(AIO_CALL(known));
    if (!strcmp(action, "three")) status = aio_run(AIO_CALL(three));
    if (!strcmp(action, "awaits")) status = every_await(&subject, uri, awaits, sizeof awaits / sizeof *awaits);
    if (!strcmp(action, "memory")) status = every_allocation(&subject, uri, awaits, sizeof awaits / sizeof *awaits);
    if (!strcmp(action, "login memory")) status = every_allocation(&subject, uri, awaits, 1);
    if (!strcmp(action, "full")) status = every_await(&full, uri, full_awaits, 1);
    if (!strcmp(action, "broken")) status = aio_run(AIO_CALL(broken));
    if (argc > 3) asked_words = argv[3];
    if (!strcmp(action, "ask")) return aio_run(AIO_CALL(asking));
    relay.port = atoi(argc > 3 ? argv[3] : "");
    relay.holds = !strcmp(action, "holds");
    if (relay.port) status = aio_run(AIO_CALL(every_byte, .subject = &subject));
#ifndef AIO_NO_TLS
    if (!strcmp(action, "saslprep")) return prepared();
#endif
    if (!status && !failures) printf("ok\n");
    return status ? status : failures != 0;
}
