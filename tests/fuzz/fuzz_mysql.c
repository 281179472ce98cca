/* Packets of a MySQL server. The first byte says in which place, each after it begins with its length: nothing outside
 * of a packet is read, and what a row gives ends in a NUL. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
#define AIO_MYSQL_IMPLEMENTATION
#include "../../examples/mysql/aio_mysql.h"

enum { FUZZ_MYSQL_LOGIN, FUZZ_MYSQL_ANSWER, FUZZ_MYSQL_TEXT, FUZZ_MYSQL_BINARY, FUZZ_MYSQL_PLACES };
typedef struct { aio_mysql *db; int place, number; size_t columns; bool over; } fuzz_mysql_talk;

static void fuzz_mysql_row(fuzz_mysql_talk *t, aio_text packet)
{
    aio_mysql *db = t->db;
    if (aio_mysql__row(db, packet)) t->over = true;
    for (size_t i = 0; i <= t->columns; i++) {
        aio_text text = aio_mysql_bytes_at(&db->result, i);
        if (text.data && (text.data[text.length] || t->over)) abort();
        if (text.data) aio_mysql_get_real(&db->result, db->columns[i].name, 0);
    }
}

static void fuzz_mysql_packet(fuzz_mysql_talk *t, aio_text packet)
{
    size_t count;
    aio_mysql *db = t->db;
    if (t->place == FUZZ_MYSQL_LOGIN) {
        t->over = t->number ? aio_mysql__login_step(db, packet) != 0
                            : aio_mysql__greeting(db, packet) || aio_mysql__put_login(db, false);
    } else if (t->place == FUZZ_MYSQL_ANSWER) {
        aio_mysql__answer(db, packet, &count);
        aio_mysql__prepared(&db->statements[0], packet, &count);
    } else if ((size_t)t->number < t->columns) {
        t->over = aio_mysql__column(db, (size_t)t->number, packet) != 0;
        if (!t->over && (size_t)t->number + 1 == t->columns) aio_mysql__columns_done(db, t->columns);
    } else if (aio_mysql__is_eof(packet)) aio_mysql__eof(db, packet);
    else fuzz_mysql_row(t, packet);
    t->number++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    fuzz_mysql_talk t = { aio_mysql_open("mysql://u:p@x/", .public_key = (*data & 64) != 0), 0, 0, 0, false };
    if (!t.db) abort();
    t.place = *data % FUZZ_MYSQL_PLACES;
    t.columns = t.place >= FUZZ_MYSQL_TEXT ? 1 + (*data >> 2 & 7) : 0;
    t.db->is_secret = (*data & 128) != 0;
    t.db->binary = t.place == FUZZ_MYSQL_BINARY;
    if (!aio_mysql__columns_room(t.db, 8)) abort();
    for (size_t at = 1; at < size && !t.over;) {
        size_t n = data[at++];
        if (n > size - at) n = size - at;
        char *copy = (char *)malloc(n ? n : 1);
        if (!copy) abort();
        memcpy(copy, data + at, n);
        aio_text packet = { copy, n };
        fuzz_mysql_packet(&t, packet);
        free(copy);
        at += n;
    }
    aio_mysql_close(t.db);
    return 0;
}
