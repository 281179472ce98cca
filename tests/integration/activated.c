/* activated: what somebody else listens for, or has accepted.
 *
 *   activated systemd [THREADS]   a web application on the sockets of a service manager, until SIGTERM
 *   activated nowait              standard input is a client that inetd has accepted: a line is echoed
 *   activated wait CLIENTS        standard input is a socket that listens: so many clients are served, then it ends */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct echo { aio_task task; aio_stream *stream; aio_text line; char said[300]; };
static AIO_CORO(echo)
{
    AIO_BEGIN(echo);
    AIO_AWAIT(self->line, aio_stream_readline(self->stream));
    snprintf(self->said, sizeof self->said, "%ld heard %s", (long)getpid(), self->line.data);
    aio_stream_write(self->stream, self->said, strlen(self->said));
    AIO_AWAIT(aio_stream_drain(self->stream));
    AIO_END;
}

struct nowait { aio_task task; aio_stream *stream; };
static AIO_CORO(nowait)
{
    AIO_BEGIN(nowait);
    AIO_AWAIT(self->stream, aio_stream_from_fd(STDIN_FILENO));
    AIO_AWAIT(AIO_CALL(echo, .stream = self->stream));
    AIO_AWAIT(aio_stream_wait_closed(self->stream));
    AIO_END;
}

static int clients;
static aio_event all_served;
static void *client(aio_stream *stream, void *arg)
{
    (void)arg;
    if (--clients == 0) aio_event_set(&all_served);
    return AIO_CALL(echo, .stream = stream);
}

struct wait { aio_task task; aio_server *server; };
static AIO_CORO(wait)
{
    AIO_BEGIN(wait);
    AIO_AWAIT(self->server, aio_start_server(client, NULL, NULL, 0, .sock = dup(STDIN_FILENO)));
    AIO_AWAIT(aio_event_wait(&all_served));
    AIO_AWAIT(aio_server_shutdown(self->server, 10));
    AIO_END;
}

static void *hello(aio_request *request, void *arg)
{
    (void)arg;
    return aio_request_respond(request, 200, .text = "activated\n");
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "nowait")) return aio_run(AIO_CALL(nowait));
    if (argc == 3 && !strcmp(argv[1], "wait")) return clients = atoi(argv[2]), aio_run(AIO_CALL(wait));
    if (argc < 2 || strcmp(argv[1], "systemd")) return fprintf(stderr, "usage: see activated.c\n"), 2;
    aio_app *app = aio_app_open();
    aio_app_route(app, "GET", "/", hello, NULL);
    return aio_run_app(app, "127.0.0.1", 1, .listen_fds = true, .threads = argc > 2 ? atoi(argv[2]) : 1);
}
