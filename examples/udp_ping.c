/* udp_ping: datagrams there and back, with a time limit, and what the network says when nobody is there. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <string.h>

struct echo { aio_task task; aio_datagram_endpoint *endpoint; aio_datagram got; };
static AIO_CORO(echo)
{
    AIO_BEGIN(echo);
    AIO_ASYNC_FOR(self->got, aio_datagram_receive(self->endpoint))
        aio_datagram_sendto(self->endpoint, self->got.data, self->got.length, self->got.address);
    printf("the server's endpoint was closed\n");
    AIO_END;
}

struct ping { aio_task task; int port, i; aio_datagram_endpoint *endpoint; aio_datagram got; double sent;
    char text[32]; };
static AIO_CORO(ping)
{
    AIO_BEGIN(ping);
    AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.remote_host = "127.0.0.1", .remote_port = self->port));
    for (self->i = 1; self->i <= 3; self->i++) {
        AIO_TRY {
            self->sent = aio_loop_time(aio_get_running_loop());
            snprintf(self->text, sizeof self->text, "ping %d", self->i);
            aio_datagram_send(self->endpoint, self->text, strlen(self->text));
            AIO_AWAIT(self->got, aio_wait_for(aio_datagram_receive(self->endpoint), 1.0));
            printf("\"%s\" came back: %zu bytes, %s\n", self->got.data, self->got.length,
                   aio_loop_time(aio_get_running_loop()) - self->sent < 1 ? "in time" : "late");
        } AIO_CATCH {
            printf("ping %d: %s\n", self->i, aio_caught(self)->message);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        aio_datagram_close(self->endpoint);
    AIO_END;
}

struct demo { aio_task task; aio_datagram_endpoint *server; struct echo *echo; int port; };
static AIO_CORO(demo)
{
    AIO_BEGIN(demo);
    AIO_AWAIT(self->server, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    self->port = aio_datagram_port(self->server);
    self->echo = aio_create_task(AIO_CALL(echo, .endpoint = self->server));
    AIO_AWAIT(AIO_CALL(ping, .port = self->port));
    aio_datagram_close(self->server);
    AIO_AWAIT(self->echo);
    AIO_AWAIT(AIO_CALL(ping, .port = self->port));
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(demo)); }
