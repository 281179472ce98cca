/* names: the resolver, and UDP, for the tests against real counterparts. Prints what it is told, one fact a line; an
 * error goes to stderr with its name, and ends it with 1.
 *
 *   names query NAME TYPE [NAME=VALUE...]   records of a number of type: name, TTL, data; then who said so, and how
 *   names resolve NAME PORT [NAME=VALUE...] addresses
 *   names send HOST PORT TEXT               sends TEXT from a connected endpoint until an answer comes, prints it; or
 *                                           the error, if there are only errors
 *   names serve                             an echo server over UDP: prints its port, ends with SIGTERM
 *
 * Names: servers, search, timeout, attempts, and for query: repeat, pause (seconds between the repetitions). */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *servers, *search;
    double      timeout, pause;
    int         attempts, repeat;
} with = { "127.0.0.1", "", 0, 0, 0, 0 };

static bool read_option(const char *text)
{
    const char *value = strchr(text, '=');
    if (!value++) return false;
    if (!strncmp(text, "servers=", 8)) with.servers = value;
    else if (!strncmp(text, "search=", 7)) with.search = value;
    else if (!strncmp(text, "timeout=", 8)) with.timeout = atof(value);
    else if (!strncmp(text, "pause=", 6)) with.pause = atof(value);
    else if (!strncmp(text, "attempts=", 9)) with.attempts = atoi(value);
    else if (!strncmp(text, "repeat=", 7)) with.repeat = atoi(value);
    else return false;
    return true;
}

struct ask { aio_task task; const char *what, *name; int number, i; aio_resolver *resolver; aio_dns_answer *answer;
             aio_addresses *addresses; };
static AIO_CORO(ask)
{
    char text[128];
    AIO_BEGIN(ask);
    self->resolver = aio_resolver_open(.nameservers = with.servers, .search = with.search, .timeout = with.timeout,
                                       .attempts = with.attempts, .resolv_conf = "/dev/null", .no_hosts = true);
    if (!self->resolver) AIO_RAISE(EINVAL, "servers: %s", with.servers);
    if (!strcmp(self->what, "resolve")) {
        AIO_AWAIT(self->addresses, aio_resolver_resolve(self->resolver, self->name, self->number));
        for (size_t i = 0; i < aio_addresses_count(self->addresses); i++)
            printf("%s\n", aio_addresses_text(self->addresses, i, text, sizeof text));
        AIO_RETURN();
    }
    for (;;) {
        AIO_AWAIT(self->answer, aio_resolver_query(self->resolver, self->name, self->number));
        for (size_t i = 0; i < self->answer->count; i++)
            printf("%s %u %s\n", self->answer->name, (unsigned)self->answer->records[i].ttl,
                   self->answer->records[i].data.data);
        printf("%zu from %s%s\n", self->answer->count, self->answer->server, self->answer->cached ? ", kept" : "");
        fflush(stdout);
        if (self->i++ >= with.repeat) break;
        aio_dns_answer_free(self->answer);
        self->answer = NULL;
        AIO_AWAIT(aio_sleep(with.pause));
    }
    AIO_FINALLY;
        aio_addresses_free(self->addresses);
        aio_dns_answer_free(self->answer);
        aio_resolver_close(self->resolver);
    AIO_END;
}

struct send_text { aio_task task; const char *host, *text; int port, i; aio_datagram_endpoint *endpoint;
                   aio_datagram got; };
static AIO_CORO(send_text)
{
    AIO_BEGIN(send_text);
    AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.remote_host = self->host, .remote_port = self->port));
    for (;;) {
        AIO_TRY {
            aio_datagram_send(self->endpoint, self->text, strlen(self->text));
            AIO_AWAIT(self->got, aio_wait_for(aio_datagram_receive(self->endpoint), 0.2));
            break;
        } AIO_CATCH {
            if (++self->i == 10) AIO_RERAISE();
            AIO_AWAIT(aio_sleep(0.1));
        } AIO_END_TRY
    }
    printf("%s from %s\n", self->got.data, self->got.address);
    AIO_FINALLY;
        aio_datagram_close(self->endpoint);
    AIO_END;
}

static void stop(void *endpoint) { aio_datagram_close((aio_datagram_endpoint *)endpoint); }

struct serve { aio_task task; aio_datagram_endpoint *endpoint; aio_datagram got; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    if (aio_loop_add_signal_handler(aio_get_running_loop(), SIGTERM, stop, self->endpoint)) AIO_RAISE(EINVAL);
    printf("port %d\n", aio_datagram_port(self->endpoint));
    fflush(stdout);
    AIO_ASYNC_FOR(self->got, aio_datagram_receive(self->endpoint))
        aio_datagram_sendto(self->endpoint, self->got.data, self->got.length, self->got.address);
    AIO_END;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "serve")) return aio_run(AIO_CALL(serve));
    if (argc < 4) return 2;
    if (!strcmp(argv[1], "send"))
        return aio_run(AIO_CALL(send_text, .host = argv[2], .port = atoi(argv[3]), .text = argc > 4 ? argv[4] : ""));
    for (int i = 4; i < argc; i++)
        if (!read_option(argv[i])) return 2;
    return aio_run(AIO_CALL(ask, .what = argv[1], .name = argv[2], .number = atoi(argv[3])));
}
