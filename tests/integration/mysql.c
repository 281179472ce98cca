/* The client of examples/mysql against a server: mysql URL ACTION, or "" cuts|holds PORT. Prints "ok", or what is
 * wrong. */
#include "memory.h"
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <locale.h>
#include "every_allocation.h"
#define AIO_MYSQL_IMPLEMENTATION
#include "../../examples/mysql/aio_mysql.h"

static aio_mysql_options options;
static const char *url;
#define SELF aio_task task; aio_mysql *db, *other; aio_mysql_pool *pool; aio_mysql_result *rows, *row; int i, count; \
    char *text; aio_task *running; double began

/* Types, NULL, several results, errors, and rows that nobody reads. */
struct texts { SELF; };
static AIO_CORO(texts)
{
    AIO_BEGIN(texts);
    self->db = aio_mysql_open_with(url, &options);
    if (!self->db) AIO_RAISE(errno);
    AIO_AWAIT(aio_mysql_connect(self->db));
    AIO_AWAIT(aio_mysql_ping(self->db));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "CREATE DATABASE IF NOT EXISTS aio CHARACTER SET utf8mb4"));
    EXPECT(!self->rows->column_count);
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "CREATE OR REPLACE TABLE aio.t (id INT PRIMARY KEY AUTO_INCREMENT, "
        "name VARCHAR(40), price DECIMAL(8,2), at DATETIME, bytes BLOB)"));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "INSERT INTO aio.t (name, price, at, bytes) VALUES "
        "('a\xF0\x9F\x90\xB1', 1.50, '2026-01-31 12:00:01', 0x000102), (NULL, NULL, NULL, NULL)"));
    EXPECT(self->rows->affected_rows == 2 && self->rows->insert_id == 1);
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT * FROM aio.t ORDER BY id"));
    EXPECT(self->rows->column_count == 5 && !strcmp(self->rows->columns[1].table, "t"));
    EXPECT(self->rows->columns[4].is_binary && !self->rows->columns[1].is_binary);
    AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    EXPECT_TEXT(aio_mysql_get(self->row, "NAME"), "a\xF0\x9F\x90\xB1");
    EXPECT_TEXT(aio_mysql_get(self->row, "price"), "1.50");
    EXPECT_TEXT(aio_mysql_get(self->row, "at"), "2026-01-31 12:00:01");
    EXPECT(aio_mysql_bytes_at(self->row, 4).length == 3 && !memcmp(aio_mysql_at(self->row, 4), "\0\1\2", 3));
    EXPECT(aio_mysql_get_integer(self->row, "id", -1) == 1 && aio_mysql_get_real(self->row, "price", 0) == 1.5);
    AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    EXPECT(!aio_mysql_get(self->row, "name") && !aio_mysql_get(self->row, "none"));
    EXPECT(aio_mysql_get_integer(self->row, "price", 7) == 7 && aio_mysql_index(self->row, "none") == -1);
    self->count = 0;
    AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) self->count++;
    EXPECT(self->count == 0);
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT 1 AS a UNION SELECT 2; DO 0; SELECT 3 AS b"));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows)); /* the second row is left unread */
    AIO_AWAIT(self->rows, aio_mysql_next_result(self->db));
    EXPECT(self->rows && !self->rows->column_count);
    AIO_AWAIT(self->rows, aio_mysql_next_result(self->db));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    EXPECT_TEXT(aio_mysql_get(self->row, "b"), "3");
    AIO_AWAIT(self->rows, aio_mysql_next_result(self->db));
    EXPECT(!self->rows);
    AIO_TRY {
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT * FROM aio.missing"));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT(aio_caught(self)->code == AIO_MYSQL_ERRORS + 1146);
        EXPECT(strstr(aio_caught(self)->message, "MySQL 1146 (42S02): ") == aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT seq FROM aio.seq_1_to_100000; SELECT 1"));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows)); /* and the rest is passed over */
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT 'still here' AS a"));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    EXPECT_TEXT(aio_mysql_get(self->row, "a"), "still here");
    AIO_FINALLY;
        aio_mysql_close(self->db);
    AIO_END;
}

/* Asks the stand-in how it was that we came in, or that it forgets whom it has let in. */
struct way { SELF; bool flush; };
static AIO_CORO(way)
{
    AIO_BEGIN(way);
    self->db = aio_mysql_open_with(url, &options);
    if (!self->db) AIO_RAISE(errno);
    AIO_AWAIT(aio_mysql_connect(self->db));
    AIO_AWAIT(aio_mysql_ping(self->db));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, self->flush ? "FLUSH PRIVILEGES" : "SELECT way"));
    AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) printf("%s\n", aio_mysql_get(self->row, "way"));
    AIO_FINALLY;
        aio_mysql_close(self->db);
    AIO_END;
}

struct prepared { SELF; aio_mysql_value values[4]; char sql[40]; };
static AIO_CORO(prepared)
{
    AIO_BEGIN(prepared);
    self->db = aio_mysql_open_with(url, &options);
    AIO_AWAIT(aio_mysql_connect(self->db));
    for (self->i = 0; self->i < 3; self->i++) {
        self->values[0] = aio_mysql_integer(-5 - self->i);
        self->values[1] = aio_mysql_string("x'); DROP TABLE t; -- ");
        self->values[2] = aio_mysql_null();
        self->values[3] = aio_mysql_real(0.1);
        AIO_AWAIT(self->rows, aio_mysql_execute(self->db, "SELECT ? AS i, ? AS s, ? AS n, ? AS r, "
            "TIMESTAMP '2026-01-31 12:00:01.5' AS at, TIME '-12:30:00' AS t, 18446744073709551615 AS u, "
            "CAST(1.1 AS FLOAT) AS f, 1e300 / 3 AS d",
            self->values, 4));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        EXPECT(aio_mysql_get_integer(self->row, "i", 0) == -5 - self->i);
        EXPECT_TEXT(aio_mysql_get(self->row, "s"), "x'); DROP TABLE t; -- ");
        EXPECT(!aio_mysql_get(self->row, "n") && aio_mysql_get_real(self->row, "r", 0) == 0.1);
        EXPECT_TEXT(aio_mysql_get(self->row, "at"), "2026-01-31 12:00:01.500000");
        EXPECT_TEXT(aio_mysql_get(self->row, "t"), "-12:30:00");
        EXPECT_TEXT(aio_mysql_get(self->row, "u"), "18446744073709551615");
        EXPECT_TEXT(aio_mysql_get(self->row, "r"), "0.1");
        EXPECT_TEXT(aio_mysql_get(self->row, "f"), "1.1");
        EXPECT(aio_mysql_get_real(self->row, "d", 0) == 1e300 / 3);
        AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) NOT_REACHED();
    }
    AIO_TRY {
        AIO_AWAIT(self->rows, aio_mysql_execute(self->db, "SELECT ?", self->values, 2));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT(aio_caught(self)->code == EINVAL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->rows, aio_mysql_execute(self->db, "SELEC 1", NULL, 0));
        NOT_REACHED();
    } AIO_CATCH {
        EXPECT(aio_caught(self)->code == AIO_MYSQL_ERRORS + 1064);
    } AIO_END_TRY;
    for (self->i = 0; self->i < 100; self->i++) { /* more than are kept at the server */
        snprintf(self->sql, sizeof self->sql, "SELECT %d + ? AS a", self->i % 50);
        self->values[0] = aio_mysql_integer(1);
        AIO_AWAIT(self->rows, aio_mysql_execute(self->db, self->sql, self->values, 1));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        EXPECT(aio_mysql_get_integer(self->row, "a", 0) == self->i % 50 + 1);
    }
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SHOW SESSION STATUS LIKE 'Prepared_stmt_count'"));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    AIO_FINALLY;
        aio_mysql_close(self->db);
    AIO_END;
}

/* 40 MiB there and back, in packets of 16. */
struct large { SELF; size_t length; };
static AIO_CORO(large)
{
    aio_mysql_value value;
    AIO_BEGIN(large);
    self->length = (size_t)40 << 20;
    self->text = (char *)malloc(self->length);
    self->db = aio_mysql_open_with(url, &options);
    if (!self->text || !self->db) AIO_RAISE(ENOMEM);
    for (size_t i = 0; i < self->length; i++) self->text[i] = (char)(i % 251);
    AIO_AWAIT(aio_mysql_connect(self->db));
    value = aio_mysql_blob(self->text, self->length);
    AIO_AWAIT(self->rows, aio_mysql_execute(self->db, "SELECT ?", &value, 1));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    EXPECT(aio_mysql_bytes_at(self->row, 0).length == self->length
           && !memcmp(aio_mysql_at(self->row, 0), self->text, self->length));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT REPEAT('x', 16777215 - 4)"));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows)); /* a packet that is full */
    EXPECT(aio_mysql_bytes_at(self->row, 0).length == 16777215 - 4);
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT 'after' AS a"));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    EXPECT_TEXT(aio_mysql_get(self->row, "a"), "after");
    AIO_FINALLY;
        free(self->text);
        aio_mysql_close(self->db);
    AIO_END;
}

/* The server is never sent a file, unless the program says so. */
static int opened(const char *path, void *arg)
{
    (void)arg;
    return open(path, O_RDONLY | O_CLOEXEC);
}
static int folder(const char *path, void *arg) { return (void)path, (void)arg, open("/", O_RDONLY | O_CLOEXEC); }
struct infile { SELF; };
static AIO_CORO(infile)
{
    AIO_BEGIN(infile);
    for (self->i = 0; self->i < 2; self->i++) {
        options.local_infile = self->i ? opened : NULL;
        self->db = aio_mysql_open_with(url, &options);
        AIO_AWAIT(aio_mysql_connect(self->db));
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "CREATE DATABASE IF NOT EXISTS aio"));
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "CREATE OR REPLACE TABLE aio.f (line TEXT)"));
        AIO_TRY {
            AIO_AWAIT(self->rows, aio_mysql_query(self->db, "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE aio.f"));
            EXPECT(self->i && self->rows->affected_rows > 3);
        } AIO_CATCH {
            EXPECT(!self->i);
        } AIO_END_TRY;
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT COUNT(*) AS n FROM aio.f"));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        EXPECT((aio_mysql_get_integer(self->row, "n", -1) > 3) == self->i);
        aio_mysql_close(self->db);
        self->db = NULL;
    }
    options.local_infile = folder;
    self->db = aio_mysql_open_with(url, &options);
    AIO_AWAIT(aio_mysql_connect(self->db));
    AIO_TRY {
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "LOAD DATA LOCAL INFILE '/x' INTO TABLE aio.f"));
        EXPECT(false);
    } AIO_CATCH {
        EXPECT_CODE(EISDIR);
    } AIO_END_TRY;
    EXPECT(!aio_mysql_is_connected(self->db));
    AIO_FINALLY;
        options.local_infile = NULL;
        aio_mysql_close(self->db);
    AIO_END;
}

/* Connections that are too old, or that the server has ended; transactions; and texts that are utf8mb4 all the way. */
struct pooled { SELF; int64_t id; char sql[80]; };
static AIO_CORO(pooled)
{
    AIO_BEGIN(pooled);
    self->other = aio_mysql_open_with(url, &options);
    if (!self->other) AIO_RAISE(errno);
    AIO_AWAIT(aio_mysql_connect(self->other));
    AIO_AWAIT(self->rows, aio_mysql_query(self->other, "CREATE DATABASE IF NOT EXISTS aio"));
    AIO_AWAIT(self->rows, aio_mysql_query(self->other, "CREATE OR REPLACE TABLE aio.y (t VARCHAR(9)) CHARSET utf8mb4"));
    for (self->i = 0; self->i < 4; self->i++) { /* recycled, asked before, killed, and as it was */
        self->pool = self->i == 0 ? aio_mysql_pool_open(url, .size = 1, .recycle = 0.02, .connection = options)
            : self->i == 1 ? aio_mysql_pool_open(url, .size = 1, .idle = 0.02, .connection = options)
                           : aio_mysql_pool_open(url, .size = 1, .connection = options);
        if (!self->pool) AIO_RAISE(errno);
        AIO_AWAIT(self->db, aio_mysql_pool_acquire(self->pool));
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT CONNECTION_ID() id"));
        AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) self->id = aio_mysql_get_integer(self->row, "id", -1);
        aio_mysql_pool_release(self->pool, self->db);
        self->db = NULL;
        if (self->i == 1 || self->i == 2) {
            snprintf(self->sql, sizeof self->sql, "KILL %lld", (long long)self->id);
            AIO_AWAIT(self->rows, aio_mysql_query(self->other, self->sql));
        }
        AIO_AWAIT(aio_sleep(0.05));
        AIO_AWAIT(self->db, aio_mysql_pool_acquire(self->pool));
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT CONNECTION_ID() id, @@character_set_client cs"));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        EXPECT((aio_mysql_get_integer(self->row, "id", -1) == self->id) == (self->i == 3));
        EXPECT_TEXT(aio_mysql_get(self->row, "cs"), "utf8mb4");
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "START TRANSACTION"));
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "INSERT INTO aio.y VALUES ('\xF0\x9F\x90\xB1')"));
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, self->i % 2 ? "COMMIT" : "ROLLBACK"));
        aio_mysql_pool_release(self->pool, self->db);
        self->db = NULL;
        aio_mysql_pool_close(self->pool);
        self->pool = NULL;
    }
    AIO_AWAIT(self->rows, aio_mysql_query(self->other, "SELECT COUNT(*) n, MIN(HEX(t)) h FROM aio.y"));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    EXPECT(aio_mysql_get_integer(self->row, "n", -1) == 2);
    EXPECT_TEXT(aio_mysql_get(self->row, "h"), "F09F90B1");
    AIO_FINALLY;
        if (self->db) aio_mysql_pool_release(self->pool, self->db);
        aio_mysql_pool_close(self->pool);
        aio_mysql_close(self->other);
    AIO_END;
}

/* What a pool has not lent is not given back to it: the next two that ask have a connection each. */
struct misgiven { SELF; aio_mysql_pool *second; };
static AIO_CORO(misgiven)
{
    AIO_BEGIN(misgiven);
    self->pool = aio_mysql_pool_open(url, .size = 2, .connection = options);
    self->second = aio_mysql_pool_open(url, .size = 1, .connection = options);
    self->other = aio_mysql_open_with(url, &options);
    if (!self->pool || !self->second || !self->other) AIO_RAISE(errno);
    EXPECT(aio_mysql_pool_release(self->pool, NULL) == 0);
    EXPECT(aio_mysql_pool_release(self->pool, self->other) == EINVAL);
    AIO_AWAIT(self->db, aio_mysql_pool_acquire(self->pool));
    EXPECT(aio_mysql_pool_release(self->second, self->db) == EINVAL && aio_mysql_is_connected(self->db));
    EXPECT(aio_mysql_pool_release(self->pool, self->db) == 0);
    EXPECT(aio_mysql_pool_release(self->pool, self->db) == EINVAL);
    aio_mysql_close(self->other);
    AIO_AWAIT(self->db, aio_mysql_pool_acquire(self->pool));
    AIO_AWAIT(self->other, aio_mysql_pool_acquire(self->pool));
    EXPECT(self->db != self->other);
    AIO_TRY {
        AIO_TIMEOUT(0.05) AIO_AWAIT(aio_mysql_pool_acquire(self->pool));
        NOT_REACHED();
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
    } AIO_END_TRY;
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT 1 AS a"));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    EXPECT_TEXT(aio_mysql_get(self->row, "a"), "1");
    AIO_FINALLY;
        if (self->other != self->db) aio_mysql_pool_release(self->pool, self->other);
        aio_mysql_pool_release(self->pool, self->db);
        aio_mysql_pool_close(self->second);
        aio_mysql_pool_close(self->pool);
    AIO_END;
}

/* What another task asks of a connection that is at something: an error, and what is under way is none the worse. */
struct asker { SELF; int what; };
static AIO_CORO(asker)
{
    aio_mysql_value value = aio_mysql_integer(7);
    AIO_BEGIN(asker);
    if (self->what == 0) AIO_AWAIT(aio_mysql_connect(self->db));
    else {
        if (self->what == 1) AIO_AWAIT(self->rows, aio_mysql_execute(self->db, "SELECT ? + 1", &value, 1));
        else AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT 8"));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        EXPECT_TEXT(aio_mysql_at(self->row, 0), "8");
        AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) NOT_REACHED();
    }
    AIO_END;
}
struct turns { SELF; };
static AIO_CORO(turns)
{
    AIO_BEGIN(turns);
    self->db = aio_mysql_open_with(url, &options);
    if (!self->db) AIO_RAISE(errno);
    for (self->i = 0; self->i < 3; self->i++) { /* while it connects, while it prepares, while it passes rows over */
        if (self->i == 2) AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT seq FROM aio.seq_1_to_300000; DO 0"));
        self->running = (aio_task *)(void *)aio_create_task(AIO_CALL(asker, .db = self->db, .what = self->i));
        AIO_AWAIT(aio_sleep(0));
        for (self->count = 0; self->count < 2; self->count++) {
            AIO_TRY {
                if (self->i == 0 && self->count) AIO_AWAIT(aio_mysql_connect(self->db));
                else AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT 9"));
                NOT_REACHED();
            } AIO_CATCH {
                EXPECT(aio_caught(self)->code == AIO_ERUNTIME || (aio_caught(self)->code == ENOTCONN && !self->count));
            } AIO_END_TRY;
        }
        AIO_AWAIT(aio_ref(self->running));
        aio_unref(self->running);
        self->running = NULL;
        AIO_AWAIT(aio_mysql_connect(self->db)); /* it is, and says so */
    }
    AIO_FINALLY;
        aio_unref(self->running);
        aio_mysql_close(self->db);
    AIO_END;
}

/* A query that is cancelled ends at the server, too, and its connection is no more; the pool has another one. */
struct sleeper { SELF; };
static AIO_CORO(sleeper)
{
    AIO_BEGIN(sleeper);
    AIO_ASYNC_WITH_AS(self->db, aio_mysql_pool_acquire(self->pool), aio_mysql_pool_release(self->pool, self->db)) {
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT SLEEP(30)"));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    }
    AIO_END;
}
struct cancelled { SELF; };
static AIO_CORO(cancelled)
{
    AIO_BEGIN(cancelled);
    self->pool = aio_mysql_pool_open(url, .size = 2, .connection = options);
    if (!self->pool) AIO_RAISE(errno);
    self->began = aio_time();
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_TRY {
            AIO_TIMEOUT(0.3) AIO_AWAIT(AIO_CALL(sleeper, .pool = self->pool));
            NOT_REACHED();
        } AIO_CATCH_CODE(AIO_ETIMEOUT) {
        } AIO_END_TRY;
    }
    EXPECT(aio_time() - self->began < 5);
    AIO_AWAIT(self->db, aio_mysql_pool_acquire(self->pool));
    for (self->i = 0; self->i < 20; self->i++) {
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT COUNT(*) AS n FROM information_schema.processlist "
            "WHERE info LIKE 'SELECT SLEEP%'"));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        self->count = (int)aio_mysql_get_integer(self->row, "n", -1);
        if (!self->count) break;
        AIO_AWAIT(aio_sleep(0.1));
    }
    EXPECT(self->count == 0);
    /* a transaction that is left open is rolled back */
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "CREATE DATABASE IF NOT EXISTS aio"));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "CREATE OR REPLACE TABLE aio.x (i INT)"));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "START TRANSACTION"));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "INSERT INTO aio.x VALUES (1)"));
    aio_mysql_pool_release(self->pool, self->db);
    AIO_AWAIT(self->db, aio_mysql_pool_acquire(self->pool));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT COUNT(*) AS n FROM aio.x"));
    AIO_AWAIT(self->row, aio_mysql_next(self->rows));
    EXPECT(aio_mysql_get_integer(self->row, "n", -1) == 0);
    /* a row that is cancelled is not lost */
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT 1 AS a UNION ALL SELECT SLEEP(0.4) + 2"));
    self->count = 0;
    for (self->i = 0; self->i < 20 && self->count < 2; self->i++) {
        AIO_TRY {
            AIO_TIMEOUT(0.1) AIO_AWAIT(self->row, aio_mysql_next(self->rows));
            EXPECT(aio_mysql_get_integer(self->row, "a", -1) == ++self->count);
        } AIO_CATCH_CODE(AIO_ETIMEOUT) {
        } AIO_END_TRY;
    }
    EXPECT(self->count == 2);
    AIO_FINALLY;
        if (self->db) aio_mysql_pool_release(self->pool, self->db);
        aio_mysql_pool_close(self->pool);
    AIO_END;
}

/* What is cut or cancelled at every byte of the server's. */
struct session { SELF; int number; aio_mysql_value value; char sql[100]; };
static AIO_CORO(session)
{
    AIO_BEGIN(session);
    AIO_ASYNC_WITH_AS(self->db, aio_mysql_pool_acquire(self->pool), aio_mysql_pool_release(self->pool, self->db)) {
        self->value = aio_mysql_integer(self->number);
        AIO_AWAIT(self->rows, aio_mysql_execute(self->db, "SELECT ? n", &self->value, 1));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        EXPECT(aio_mysql_get_integer(self->row, "n", -1) == self->number);
        snprintf(self->sql, sizeof self->sql, "SELECT %d n UNION SELECT -1; BEGIN; SELECT %d m; ROLLBACK",
                 self->number, -self->number);
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, self->sql));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        EXPECT(aio_mysql_get_integer(self->row, "n", -1) == self->number);
        AIO_AWAIT(self->rows, aio_mysql_next_result(self->db));
        AIO_AWAIT(self->rows, aio_mysql_next_result(self->db));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        EXPECT(aio_mysql_get_integer(self->row, "m", 1) == -self->number);
        AIO_AWAIT(aio_mysql_ping(self->db));
    }
    AIO_END;
}
static void *session_open(const char *at) { return aio_mysql_pool_open(at, .size = 2, .connection = options); }
static void session_close(void *pool) { aio_mysql_pool_close((aio_mysql_pool *)pool); }
static void *session_of(void *pool, int number)
{
    return AIO_CALL(session, .pool = (aio_mysql_pool *)pool, .number = number);
}
static const relay_subject subject = { session_open, session_close, session_of,
                                       "mysql://ada:se%%3Acret@127.0.0.1:%d/" };

/* ---- what is cancelled at every await ---- */

#define OPERATION(name) \
    static void *name##_of(void *pool, int number) \
    { return AIO_CALL(name, .pool = (aio_mysql_pool *)pool, .number = number); }
#define WITH_CONNECTION AIO_ASYNC_WITH_AS(self->db, aio_mysql_pool_acquire(self->pool), \
                                          aio_mysql_pool_release(self->pool, self->db))

/* All of them, and then some that are left. */
struct streaming { SELF; int number; char sql[100]; };
static AIO_CORO(streaming)
{
    AIO_BEGIN(streaming);
    WITH_CONNECTION {
        for (self->i = 0; self->i < 2; self->i++) {
            snprintf(self->sql, sizeof self->sql, "SELECT %d + seq n, REPEAT('x', 500) FROM aio.seq_1_to_%d",
                     self->number, self->i ? 100000 : 1000);
            AIO_AWAIT(self->rows, aio_mysql_query(self->db, self->sql));
            self->count = 0;
            AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) {
                EXPECT(aio_mysql_get_integer(self->row, "n", -1) == self->number + ++self->count);
                EXPECT(aio_mysql_bytes_at(self->row, 1).length == 500);
                if (self->count == 1500) break;
            }
            EXPECT(self->count == (self->i ? 1500 : 1000));
        }
    }
    AIO_END;
}
OPERATION(streaming)

/* Done wholly, or not at all. */
struct writing { SELF; int number; aio_mysql_value value; };
static AIO_CORO(writing)
{
    AIO_BEGIN(writing);
    self->value = aio_mysql_integer(self->number);
    WITH_CONNECTION {
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "START TRANSACTION"));
        for (self->i = 0; self->i < 2; self->i++) {
            AIO_AWAIT(self->rows, aio_mysql_execute(self->db, "INSERT INTO aio.w VALUES (?)", &self->value, 1));
            EXPECT(self->rows->affected_rows == 1);
        }
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT n, COUNT(*) c FROM aio.w GROUP BY n HAVING c % 2"));
        AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) NOT_REACHED();
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "COMMIT"));
        AIO_TRY {
            AIO_AWAIT(self->rows, aio_mysql_execute(self->db, "SELECT ? FROM aio.none", &self->value, 1));
            NOT_REACHED();
        } AIO_CATCH {
            EXPECT_CODE(AIO_MYSQL_ERRORS + 1146);
        } AIO_END_TRY;
    }
    AIO_END;
}
OPERATION(writing)

/* An answer, and a command, of several packets. */
struct packets { SELF; int number; size_t length; };
static AIO_CORO(packets)
{
    AIO_BEGIN(packets);
    self->length = ((size_t)16 << 20) + 1000;
    self->text = (char *)malloc(self->length);
    if (!self->text) AIO_RAISE(ENOMEM);
    self->length = (size_t)snprintf(self->text, self->length, "SELECT %d n, REPEAT('y', 17000000) y /* %0*d */",
                                    self->number, 16 << 20, 0);
    WITH_CONNECTION {
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, self->text));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        EXPECT(aio_mysql_get_integer(self->row, "n", -1) == self->number);
        EXPECT(aio_mysql_bytes_at(self->row, 1).length == 17000000);
    }
    AIO_FINALLY;
        free(self->text);
    AIO_END;
}
OPERATION(packets)

/* A statement that is longer than what was sent before, and values that are longer than it. */
struct lengthy { SELF; int number; aio_mysql_value values[2]; char sql[3000], blob[9000]; };
static AIO_CORO(lengthy)
{
    AIO_BEGIN(lengthy);
    snprintf(self->sql, sizeof self->sql, "SELECT ? n, LENGTH(?) l /* %0*d */", 2900, 0);
    WITH_CONNECTION {
        for (self->i = 0; self->i < 2; self->i++) {
            self->values[0] = aio_mysql_integer(self->number);
            self->values[1] = aio_mysql_blob(self->blob, self->i ? sizeof self->blob : 1);
            AIO_AWAIT(self->rows, aio_mysql_execute(self->db, self->sql, self->values, 2));
            AIO_AWAIT(self->row, aio_mysql_next(self->rows));
            EXPECT(aio_mysql_get_integer(self->row, "n", -1) == self->number);
            EXPECT(aio_mysql_get_integer(self->row, "l", -1) == (self->i ? 9000 : 1));
        }
    }
    AIO_END;
}
OPERATION(lengthy)

static const await_case awaits[] = {
    { "prepared, and several results", session_of, 1 }, { "rows", streaming_of, 1 },
    { "a transaction", writing_of, 1 }, { "a long statement", lengthy_of, 1 }, { "packets over 16 MiB", packets_of, 31 }
};

/* Has a connection for a while. */
struct holder { SELF; };
static AIO_CORO(holder)
{
    AIO_BEGIN(holder);
    WITH_CONNECTION {
        AIO_AWAIT(aio_mysql_ping(self->db));
        AIO_AWAIT(aio_sleep(0.001));
    }
    AIO_END;
}

/* Waits for a connection of a pool that others have: both of its two. */
struct waits { SELF; int number; char sql[40]; aio_task *holders[2]; };
static AIO_CORO(waits)
{
    AIO_BEGIN(waits);
    for (self->i = 0; self->i < 2; self->i++) {
        self->holders[self->i] = (aio_task *)(void *)aio_create_task(AIO_CALL(holder, .pool = self->pool));
        AIO_AWAIT(aio_sleep(0));
    }
    snprintf(self->sql, sizeof self->sql, "SELECT %d n", self->number);
    AIO_TIMEOUT(5) {
        WITH_CONNECTION {
            AIO_AWAIT(self->rows, aio_mysql_query(self->db, self->sql));
            AIO_AWAIT(self->row, aio_mysql_next(self->rows));
            EXPECT(aio_mysql_get_integer(self->row, "n", -1) == self->number);
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

/* The tables for them. */
struct prepare { SELF; };
static AIO_CORO(prepare)
{
    AIO_BEGIN(prepare);
    self->db = aio_mysql_open_with(url, &options);
    if (!self->db) AIO_RAISE(errno);
    AIO_AWAIT(aio_mysql_connect(self->db));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "CREATE DATABASE IF NOT EXISTS aio"));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "CREATE OR REPLACE TABLE aio.w (n INT) ENGINE=InnoDB"));
    AIO_FINALLY;
        aio_mysql_close(self->db);
    AIO_END;
}

static int every_await_of_mysql(void)
{
    int status = aio_run(AIO_CALL(prepare));
    return status ? status : every_await(&subject, url, awaits, sizeof awaits / sizeof *awaits);
}

static int every_allocation_of_mysql(void) /* not of what is large */
{
    int status = aio_run(AIO_CALL(prepare));
    return status ? status : every_allocation(&subject, url, awaits, 4);
}

/* Prints a line for each query, well or not, for as long as it takes: the server is ended and begun again meanwhile. */
struct lasting { SELF; };
static AIO_CORO(lasting)
{
    AIO_BEGIN(lasting);
    self->pool = aio_mysql_pool_open(url, .size = 2, .connection = options);
    for (self->i = 0; self->i < 200; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->db, aio_mysql_pool_acquire(self->pool));
            AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT 1"));
            AIO_AWAIT(self->row, aio_mysql_next(self->rows));
            printf("well\n");
        } AIO_CATCH {
            printf("failed: %s\n", aio_caught(self)->message);
        } AIO_END_TRY;
        if (self->db) aio_mysql_pool_release(self->pool, self->db);
        self->db = NULL;
        fflush(stdout);
        AIO_AWAIT(aio_sleep(0.1));
    }
    AIO_FINALLY;
        if (self->db) aio_mysql_pool_release(self->pool, self->db);
        aio_mysql_pool_close(self->pool);
    AIO_END;
}

/* Asks a stand-in whose answers no server would give, one after the other: each is an error, which is printed with
 * whether the pool has kept its connection; then another query is well. */
struct hostile { SELF; char sql[40]; int64_t connection; bool kept; };
static AIO_CORO(hostile)
{
    AIO_BEGIN(hostile);
    options.max_packet = 100000;
    options.local_infile = getenv("MYSQL_FILES") ? opened : NULL;
    self->pool = aio_mysql_pool_open(url, .size = 1, .connection = options);
    for (self->i = 0; ; self->i++) {
        AIO_AWAIT(self->db, aio_mysql_pool_acquire(self->pool));
        AIO_TRY {
            AIO_AWAIT(self->rows, aio_mysql_query(self->db, "well"));
            AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) {
                self->connection = aio_mysql_get_integer(self->row, "connection", -1);
                self->count = (int)aio_mysql_get_integer(self->row, "cases", -1);
            }
            if (self->i == self->count) break;
            snprintf(self->sql, sizeof self->sql, "case %d", self->i);
            if (self->i % 2 && options.local_infile) { /* its word is not the next command's */
                AIO_AWAIT(self->rows, aio_mysql_query(self->db, "well LOCAL"));
                AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) { }
            }
            if (self->i % 2) AIO_AWAIT(self->rows, aio_mysql_execute(self->db, self->sql, NULL, 0));
            else AIO_AWAIT(self->rows, aio_mysql_query(self->db, self->sql));
            AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows))
                printf("%zu:%s ", self->rows->column_count, aio_mysql_at(self->row, 0));
            printf("well");
        } AIO_CATCH {
            printf("%s: %s", aio_code_name(aio_caught(self)->code), aio_caught(self)->message);
        } AIO_END_TRY;
        self->kept = aio_mysql_is_connected(self->db);
        aio_mysql_pool_release(self->pool, self->db);
        self->db = NULL;
        AIO_AWAIT(self->db, aio_mysql_pool_acquire(self->pool));
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, "well"));
        AIO_AWAIT(self->row, aio_mysql_next(self->rows));
        EXPECT(self->kept || aio_mysql_get_integer(self->row, "connection", -1) != self->connection);
        self->kept = aio_mysql_get_integer(self->row, "connection", -1) == self->connection;
        AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) NOT_REACHED();
        printf(" (%s)\n", self->kept ? "kept" : "closed");
        aio_mysql_pool_release(self->pool, self->db);
        self->db = NULL;
    }
    AIO_FINALLY;
        if (self->db) aio_mysql_pool_release(self->pool, self->db);
        aio_mysql_pool_close(self->pool);
    AIO_END;
}

int main(int argc, char **argv)
{
    int status = 2;
    setlocale(LC_NUMERIC, "");
    memory_.secret = getenv("SECRET");
    const char *action = argc > 2 ? argv[2] : "";
    url = argc > 1 ? argv[1] : "";
    if (getenv("CONNECT_TIMEOUT")) options.connect_timeout = atof(getenv("CONNECT_TIMEOUT"));
    options.unix_socket = getenv("MYSQL_SOCKET");
    options.public_key = getenv("MYSQL_KEY") != NULL;
    aio_tls_context *tls = getenv("MYSQL_CA") ? aio_tls_context_create(.ca_file = getenv("MYSQL_CA")) : NULL;
    options.tls_context = tls;
    if (getenv("MYSQL_CA") && !tls) return 2;
    if (!strcmp(action, "texts")) status = aio_run(AIO_CALL(texts));
    if (!strcmp(action, "way")) status = aio_run(AIO_CALL(way));
    if (!strcmp(action, "flush")) status = aio_run(AIO_CALL(way, .flush = true));
    if (!strcmp(action, "prepared")) status = aio_run(AIO_CALL(prepared));
    if (!strcmp(action, "large")) status = aio_run(AIO_CALL(large));
    if (!strcmp(action, "pooled")) status = aio_run(AIO_CALL(pooled));
    if (!strcmp(action, "misgiven")) status = aio_run(AIO_CALL(misgiven));
    if (!strcmp(action, "turns")) status = aio_run(AIO_CALL(turns));
    if (!strcmp(action, "infile")) status = aio_run(AIO_CALL(infile));
    if (!strcmp(action, "cancelled")) status = aio_run(AIO_CALL(cancelled));
    if (!strcmp(action, "hostile")) status = aio_run(AIO_CALL(hostile));
    if (!strcmp(action, "lasting")) status = aio_run(AIO_CALL(lasting));
    if (!strcmp(action, "awaits")) status = every_await_of_mysql();
    if (!strcmp(action, "memory")) status = every_allocation_of_mysql();
    if (!strcmp(action, "full")) status = every_await(&full, url, full_awaits, 1);
    relay.port = atoi(argc > 3 ? argv[3] : "");
    relay.holds = !strcmp(action, "holds");
    if (relay.port) status = aio_run(AIO_CALL(every_byte, .subject = &subject));
    aio_tls_context_unref(tls);
    EXPECT(!memory_.spilled[MEMORY_LOOP] && !memory_.spilled[MEMORY_CLIENT]);
    if (!status && !failures) printf("ok\n");
    return status ? status : failures != 0;
}
