/* bench_mysql URL SQL TIMES - reads the rows of a statement, and every column of each, by examples/mysql. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#define AIO_MYSQL_IMPLEMENTATION
#include "../../examples/mysql/aio_mysql.h"
#include "src/common.h"

static void tell(uint64_t count, uint64_t bytes, uint64_t began, struct cost before)
{
    struct cost cost = cost_now();
    printf("RESULT n=%llu secs=%.6f bytes=%llu user=%.6f sys=%.6f\n", (unsigned long long)count,
           (double)(now_ns() - began) / 1e9, (unsigned long long)bytes, cost.user - before.user, cost.sys - before.sys);
}

struct reading { aio_task task; const char *url, *sql; int times; aio_mysql *db; aio_mysql_result *rows, *row;
                 uint64_t count, bytes, began; struct cost cost; };
static AIO_CORO(reading)
{
    AIO_BEGIN(reading);
    self->db = aio_mysql_open(self->url);
    if (!self->db) AIO_RAISE(errno);
    AIO_AWAIT(aio_mysql_connect(self->db));
    self->began = now_ns();
    self->cost = cost_now();
    while (self->times--) {
        AIO_AWAIT(self->rows, aio_mysql_query(self->db, self->sql));
        AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows)) {
            self->count++;
            for (size_t i = 0; i < self->row->column_count; i++)
                self->bytes += aio_mysql_bytes_at(self->row, i).length;
        }
    }
    tell(self->count, self->bytes, self->began, self->cost);
    AIO_FINALLY;
        aio_mysql_close(self->db);
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc != 4) DIE("usage: bench_mysql URL SQL TIMES");
    return aio_run(AIO_CALL(reading, .url = argv[1], .sql = argv[2], .times = atoi(argv[3])));
}
