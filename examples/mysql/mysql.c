/* mysql: asks several servers at once who may log in. mysql mysql://root:password@127.0.0.1:3306/mysql URL ... */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#define AIO_MYSQL_IMPLEMENTATION
#include "aio_mysql.h"
#include <stdio.h>

struct users { aio_task task; const char *url; aio_mysql *db; aio_mysql_result *rows, *row; };
static AIO_CORO(users)
{
    AIO_BEGIN(users);
    self->db = aio_mysql_open(self->url);
    if (!self->db) AIO_RAISE(errno, "not a URL of a MySQL server");
    AIO_AWAIT(aio_mysql_connect(self->db));
    AIO_AWAIT(self->rows, aio_mysql_query(self->db, "SELECT host, user FROM mysql.user"));
    AIO_ASYNC_FOR(self->row, aio_mysql_next(self->rows))
        printf("%s: %s@%s\n", aio_mysql_server(self->db), aio_mysql_get(self->row, "user"),
               aio_mysql_get(self->row, "host"));
    AIO_FINALLY;
        aio_mysql_close(self->db);
    AIO_END;
}

enum { SERVERS = 8 };
struct demo { aio_task task; char **urls; int count; struct users *users[SERVERS]; };
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    for (int i = 0; i < self->count; i++) self->users[i] = AIO_CALL(users, .url = self->urls[i]);
    AIO_AWAIT(aio_gather(self->users, (size_t)self->count));
    AIO_FINALLY;
        aio_unref_all(self->users, (size_t)self->count);
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 1 + SERVERS || argv[1][0] == '-') {
        fprintf(stderr, "usage: mysql mysql://user:password@host:port/mysql ... (up to %d)\n", SERVERS);
        return 2;
    }
    return aio_run(AIO_CALL(demo, .urls = argv + 1, .count = argc - 1));
}
