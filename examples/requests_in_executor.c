/* requests_in_executor: a library that blocks, awaited: each call in a thread of the loop's executor, several at once,
 * while the loop goes on: here it serves what they ask for. requests_in_executor [HOST PORT] */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the library: one request with sockets that block, as in any C program ---- */
struct get { const char *host, *port, *path; char answer[4000]; };
static int get_connected(const struct get *get, int *code)
{
    struct addrinfo hints, *found;
    int fd = -1;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    *code = AIO_ERESOLVE;
    if (getaddrinfo(get->host, get->port, &hints, &found)) return -1;
    for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM, 0);
        if (fd >= 0 && !connect(fd, at->ai_addr, at->ai_addrlen)) break;
        *code = errno;
        if (fd >= 0) close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}
static void *blocking_get(void *arg)
{
    struct get *get = (struct get *)arg;
    char request[300];
    size_t used = 0;
    ssize_t n = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", get->path, get->host);
    int code, fd = get_connected(get, &code);
    if (fd < 0) return aio_job_raise(code, "connect to %s:%s: %s", get->host, get->port, aio_code_text(code));
    if (send(fd, request, (size_t)n, MSG_NOSIGNAL) < 0) n = -1;
    else while ((n = read(fd, get->answer + used, sizeof get->answer - 1 - used)) > 0) used += (size_t)n;
    code = errno;
    close(fd);
    return n < 0 ? aio_job_raise(code, "GET %s: %s", get->path, aio_code_text(code)) : get->answer;
}

/* ---- the server, in the same thread as all that is awaited ---- */
struct answer { aio_task task; aio_request *request; };
static AIO_CORO(answer)
{
    AIO_BEGIN(answer);
    AIO_AWAIT(aio_sleep(0.2));
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = self->request->path.data));
    AIO_END;
}
static void *serve(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(answer, .request = request);
}

enum { REQUESTS = 4 };
static struct get gets[REQUESTS]; /* a thread cannot be stopped: what it works on outlives the coroutine */

struct demo { aio_task task; const char *host, *port; aio_server *server; aio_job_future *jobs[REQUESTS];
              double began; char own_port[8]; };
static AIO_CORO(demo)
{
    static const char *const paths[REQUESTS] = { "/", "/one", "/two", "/three" };
    AIO_BEGIN(demo);
    if (!self->host) {
        AIO_AWAIT(self->server, aio_start_http_server(serve, NULL, "127.0.0.1", 0));
        snprintf(self->own_port, sizeof self->own_port, "%d", aio_server_port(self->server));
        self->host = "127.0.0.1";
        self->port = self->own_port;
    }
    self->began = aio_time();
    for (int i = 0; i < REQUESTS; i++) {
        gets[i].host = self->host;
        gets[i].port = self->port;
        gets[i].path = paths[i];
        self->jobs[i] = aio_loop_run_in_executor(aio_get_running_loop(), NULL, blocking_get, &gets[i]);
    }
    AIO_AWAIT(aio_gather(self->jobs, REQUESTS));
    for (int i = 0; i < REQUESTS; i++) printf("%.15s ... %s\n", gets[i].answer, paths[i]);
    printf("%d requests of 0.2 s took %.1f s\n", REQUESTS, aio_time() - self->began);
    AIO_FINALLY;
        aio_unref_all(self->jobs, REQUESTS);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc == 1) return aio_run(AIO_CALL(demo));
    if (argc == 3) return aio_run(AIO_CALL(demo, .host = argv[1], .port = argv[2]));
    fprintf(stderr, "usage: requests_in_executor [HOST PORT]\n");
    return 2;
}
