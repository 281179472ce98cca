/* mysql_mariadb URL SQL TIMES - the same as bench_mysql with libmariadb, which reads the rows as they come. */
#include "common.h"
#include <mariadb/mysql.h>

int main(int argc, char **argv)
{
    char user[64], password[64], host[64];
    int port;
    if (argc != 4 || sscanf(argv[1], "mysql://%63[^:]:%63[^@]@%63[^:]:%d", user, password, host, &port) != 4)
        DIE("usage: mysql_mariadb mysql://USER:PASSWORD@HOST:PORT SQL TIMES");
    MYSQL *db = mysql_init(NULL);
    if (!db || !mysql_real_connect(db, host, user, password, NULL, (unsigned)port, NULL, 0))
        DIE("connect: %s", mysql_error(db));
    uint64_t count = 0, bytes = 0, began = now_ns();
    struct cost before = cost_now();
    for (int times = atoi(argv[3]); times > 0; times--) {
        MYSQL_RES *rows = mysql_query(db, argv[2]) ? NULL : mysql_use_result(db);
        if (!rows) DIE("query: %s", mysql_error(db));
        unsigned columns = mysql_num_fields(rows);
        while (mysql_fetch_row(rows)) {
            unsigned long *lengths = mysql_fetch_lengths(rows);
            for (unsigned i = 0; i < columns; i++) bytes += lengths[i];
            count++;
        }
        mysql_free_result(rows);
    }
    double secs = (double)(now_ns() - began) / 1e9;
    struct cost cost = cost_now();
    printf("RESULT n=%llu secs=%.6f bytes=%llu user=%.6f sys=%.6f\n", (unsigned long long)count, secs,
           (unsigned long long)bytes, cost.user - before.user, cost.sys - before.sys);
    mysql_close(db);
    return 0;
}
