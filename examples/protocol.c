/* protocols: a server of callbacks, no coroutine for each client; and callbacks turned into something to await. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>

/* ---- the server ---- */
static void echo_data(void *self, aio_transport *transport, const char *data, size_t length)
{
    (void)self;
    aio_transport_write(transport, data, length);           /* sends at once, keeps what the socket does not take */
}
/* It does not run ahead of a slow client. */
static void echo_full(void *self, aio_transport *transport) { (void)self, aio_transport_pause_reading(transport); }
static void echo_sent(void *self, aio_transport *transport) { (void)self, aio_transport_resume_reading(transport); }
static const aio_protocol echoing = { .data_received = echo_data, .pause_writing = echo_full,
    .resume_writing = echo_sent };

/* ---- the client: `self` is the argument of aio_create_connection, here a future ---- */
struct answer { aio_future future; size_t result; };
static void answer_made(void *self, aio_transport *transport, void *arg)
{
    (void)arg;
    aio_ref(self);
    aio_transport_write(transport, "hello", 5);
}
static void answer_data(void *self, aio_transport *transport, const char *data, size_t length)
{
    printf("the answer: %.*s\n", (int)length, data);
    aio_future_set_result((struct answer *)self, length);
    aio_transport_close(transport);
}
static void answer_lost(void *self, aio_transport *transport, const aio_exception *exception)
{
    (void)transport, (void)exception;
    aio_future_set_exception(self, AIO_EDISCONNECTED, "no answer");         /* nothing, if it is done already */
    aio_unref(self);
}
static const aio_protocol asking = { .connection_made = answer_made, .data_received = answer_data,
    .connection_lost = answer_lost };

struct demo { aio_task task; aio_server *server; struct answer *answer; };
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    self->answer = AIO_FUTURE(struct answer);
    AIO_AWAIT(self->server, aio_create_server(&echoing, NULL, "127.0.0.1", 0));
    AIO_AWAIT(aio_create_connection(&asking, self->answer, "127.0.0.1", aio_server_port(self->server)));
    AIO_AWAIT(aio_ref(self->answer));
    printf("%zu bytes came back\n", self->answer->result);
    AIO_FINALLY;
        aio_unref(self->answer);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
int main(void) { return aio_run(AIO_CALL(demo)); }
