/* dig: records of a name, straight from its name servers: dig NAME [TYPE [SERVERS]]. Without arguments it asks a name
 * server of its own, on loopback, which says the same to everybody. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <string.h>
static int type_of(const char *text)
{
    static const char *const types[] = { "A", "NS", "CNAME", "SOA", "PTR", "MX", "TXT", "AAAA", "SRV" };
    static const int numbers[] = { 1, 2, 5, 6, 12, 15, 16, 28, 33 };
    for (size_t i = 0; i < 9; i++) if (!strcmp(text, types[i])) return numbers[i];
    return 0; /* which a resolver refuses */
}
struct oracle { aio_task task; aio_datagram_endpoint *endpoint; aio_datagram query; };
static AIO_CORO(oracle) /* every question has the answer TXT "hello, world", for a minute */
{
    static const char record[] = "\xc0\x0c\0\x10\0\1\0\0\0\x3c\0\x0d\x0chello, world";
    AIO_BEGIN(oracle);
    AIO_ASYNC_FOR(self->query, aio_datagram_receive(self->endpoint)) {
        char reply[512];
        size_t question = self->query.length - 11; /* what follows it is our EDNS */
        if (question > 400) continue;
        memcpy(reply, self->query.data, question);
        memcpy(reply + 2, "\x81\x80\0\1\0\1\0\0\0\0", 10);
        memcpy(reply + question, record, sizeof record - 1);
        aio_datagram_sendto(self->endpoint, reply, question + sizeof record - 1, self->query.address);
    }
    AIO_END;
}
struct dig { aio_task task; const char *name, *type, *servers; aio_datagram_endpoint *endpoint; struct oracle *oracle;
             aio_resolver *resolver; aio_dns_answer *answer; char address[64]; };
static AIO_CORO(dig)
{
    AIO_BEGIN(dig);
    if (!self->name) {
        AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
        self->oracle = aio_create_task(AIO_CALL(oracle, .endpoint = self->endpoint));
        self->servers = aio_datagram_sockname(self->endpoint, self->address, sizeof self->address);
        self->name = "anything.test", self->type = "TXT";
    }
    self->resolver = aio_resolver_open(.nameservers = self->servers, .timeout = 2);
    if (!self->resolver) AIO_RAISE(EINVAL, "no servers: %s", self->servers);
    AIO_AWAIT(self->answer, aio_resolver_query(self->resolver, self->name, type_of(self->type)));
    for (size_t i = 0; i < self->answer->count; i++)
        printf("%s %u %s %s\n", self->answer->name, (unsigned)self->answer->records[i].ttl, self->type,
               self->answer->records[i].data.data);
    printf("from %s\n", self->answer->server);
    AIO_FINALLY;
        aio_dns_answer_free(self->answer);
        aio_resolver_close(self->resolver);
        aio_datagram_close(self->endpoint);
        aio_unref(self->oracle);
    AIO_END;
}
int main(int argc, char **argv)
{
    return aio_run(AIO_CALL(dig, .name = argc > 1 ? argv[1] : NULL, .type = argc > 2 ? argv[2] : "A",
                            .servers = argc > 3 ? argv[3] : NULL));
}
