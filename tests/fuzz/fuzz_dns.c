/* Replies of name servers, and the files that a resolver reads. The first byte says which: 'r' resolv.conf, 'h' hosts;
 * else a reply, to the very question that it repeats. What is accepted can be followed and given to users without a
 * byte too far. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

/* Every record's text must lie within the answer, one after the other. */
static void fuzz_dns_answer(const aio__dns_found *found)
{
    aio__dns_all all;
    memset(&all, 0, sizeof all);
    aio__ring_clear(&all.given);
    aio_dns_answer *answer = aio__dns_answer(&all, "server", found);
    if (!answer) abort();
    if (strcmp(answer->server, "server") != 0 || strlen(answer->name) >= AIO__DNS_TEXT) abort();
    const char *next = answer->name + strlen(answer->name) + 1;
    for (size_t i = 0; i < answer->count; i++) {
        const aio_dns_record *record = &answer->records[i];
        if (!(found->type == AIO__DNS_ANY || record->type == found->type)) abort();
        if (record->data.data != next || record->data.data[record->data.length]) abort();
        unsigned char bytes[4];
        if (record->type == AIO_DNS_A && inet_pton(AF_INET, next, bytes) != 1) abort();
        next += record->data.length + 1;
    }
    if ((found->fate == AIO__DNS_FOUND) != (answer->count > 0)) abort();
    aio_dns_answer_free(answer);
    if (!aio__ring_empty(&all.given)) abort();
}

static void fuzz_dns_message(const uint8_t *data, size_t size)
{
    aio__dns_question question;
    size_t at = 12;
    memset(&question, 0, sizeof question);
    if (size < 12 || size > 65535 || !aio__dns_name_read(&question.name, data, size, &at) || size - at < 4) return;
    question.id = aio__dns_u16(data);
    question.type = aio__dns_u16(data + at);
    if (aio__dns_judge(data, size, &question) != AIO__DNS_FITS) return;
    aio__dns_message *message = (aio__dns_message *)calloc(1, sizeof *message + size);
    if (!message) abort();
    int hops = 0;
    uint32_t ttl = UINT32_MAX;
    message->length = size;
    memcpy(message->data, data, size);
    aio__dns_found found;
    memset(&found, 0, sizeof found);
    found.message = message;
    found.name = question.name;
    found.type = question.type;
    found.fate = aio__dns_follow(message, &found.name, question.type, &hops, &ttl);
    if (hops > AIO__DNS_CHAIN + 1 || aio__dns_denial(message) > INT32_MAX) abort();
    if (found.fate == AIO__DNS_FOUND && ttl > INT32_MAX) abort();
    if (found.fate != AIO__DNS_TOO_LONG) fuzz_dns_answer(&found);
    free(message);
}

static void fuzz_dns_file(const uint8_t *data, size_t size, bool is_hosts)
{
    static const char *const names[] = { "a", "localhost", "one.test" };
    char *text = (char *)malloc(size + 1);
    aio__dns *dns = (aio__dns *)calloc(1, sizeof *dns);
    aio__addresses *list = (aio__addresses *)calloc(1, sizeof *list + AIO__ADDRESSES_MAX * sizeof(aio__address));
    if (!text || !dns || !list) abort();
    memcpy(text, data, size);
    text[size] = 0;
    dns->hosts = text;
    for (int i = 0; is_hosts && i < 3; i++) {
        struct aio__dns_resolve ask;
        memset(&ask, 0, sizeof ask);
        ask.dns = dns;
        snprintf(ask.host, sizeof ask.host, "%s", names[i]);
        list->count = 0;
        aio__dns_hosts(&ask, dns->hosts, ask.host, strlen(ask.host), list);
        if (list->count > AIO__ADDRESSES_MAX) abort();
    }
    if (!is_hosts && aio__dns_conf(dns, text, 53, true)) abort();
    if (dns->server_count > AIO__DNS_SERVERS || dns->search_count > AIO__DNS_SEARCH) abort();
    if (dns->ndots > AIO__DNS_NDOTS) abort();
    for (int i = 0; i < dns->search_count; i++)
        if (!dns->search[i].length) abort();
    free(list);
    free(dns);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && (*data == 'r' || *data == 'h')) fuzz_dns_file(data + 1, size - 1, *data == 'h');
    else fuzz_dns_message(data, size);
    return 0;
}
