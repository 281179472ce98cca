/* mongo: keeps who has come, and says who was here before. mongo mongodb://user:password@127.0.0.1:27017/ [NAME] */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#define AIO_MONGO_IMPLEMENTATION
#include "aio_mongo.h"
#include <stdio.h>

struct demo { aio_task task; const char *uri, *name; aio_mongo *client; aio_mongo_collection guests;
              aio_mongo_result done; aio_mongo_cursor *cursor; aio_bson *guest; };
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    self->client = aio_mongo_open(self->uri);
    if (!self->client) AIO_RAISE(errno, "not a URI of MongoDB: %s", aio_mongo_open_error());
    self->guests = aio_mongo_get_collection(aio_mongo_get_database(self->client, "hotel"), "guests");
    AIO_AWAIT(self->done, aio_mongo_insert_one(self->guests, aio_bson_make("{ name: %s, nights: %d }", self->name, 3)));
    self->cursor = aio_mongo_find(self->guests, aio_bson_make("{ nights: { $gte: %d } }", 2), .limit = 100);
    AIO_ASYNC_FOR(self->guest, aio_mongo_next(self->cursor))
        printf("%s: %d nights\n", aio_bson_string(self->guest, "name", "nobody"),
               (int)aio_bson_int(self->guest, "nights", 0));
    AIO_FINALLY;
        aio_mongo_cursor_close(self->cursor);
        aio_mongo_close(self->client);
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: mongo mongodb://user:password@host:port/ [NAME]\n");
        return 2;
    }
    return aio_run(AIO_CALL(demo, .uri = argv[1], .name = argc > 2 ? argv[2] : "Ada"));
}
