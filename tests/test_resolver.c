/* The resolver, against servers of our own that answer well, badly, late or not at all. They work past the seam: faults
 * are the client's. */
enum {
    DNS_PLAIN, DNS_WRONG_FIRST, DNS_FLOOD, DNS_CUT, DNS_POINTER_LOOP, DNS_SHORT, DNS_SILENT, DNS_SERVFAIL, DNS_NO_EDNS,
    DNS_LOWER, DNS_SLOW_SIX, DNS_TCP_ENDS, DNS_CLIENTS = 8
};

struct dns_client { int fd; size_t have; unsigned char in[512]; struct dns_fake *fake; };
struct dns_fake {
    aio_loop *loop;
    int       udp, tcp, port, mode, asked, asked_tcp, with_edns, upper;
    struct dns_client clients[DNS_CLIENTS];
};

/* ---- what the servers know ---- */
struct dns_out { unsigned char bytes[8192]; size_t length; };

static void dns_put(struct dns_out *out, const void *data, size_t n)
{
    memcpy(out->bytes + out->length, data, n);
    out->length += n;
}

static void dns_put_number(struct dns_out *out, unsigned long value, int bytes)
{
    while (bytes-- > 0) out->bytes[out->length++] = (unsigned char)(value >> 8 * bytes);
}

static void dns_put_name(struct dns_out *out, const char *text)
{
    aio__dns_name name;
    aio__dns_name_parse(&name, text, strlen(text));
    dns_put(out, name.wire, name.length);
}

/* owner NULL: the question's name, by a pointer. `section`: 6 answers, 8 authorities. */
static void dns_put_record(struct dns_out *out, int section, const char *owner, int type, unsigned long ttl,
                           const void *data, size_t n)
{
    if (owner) dns_put_name(out, owner);
    else dns_put_number(out, 0xC00C, 2);
    dns_put_number(out, (unsigned long)type, 2);
    dns_put_number(out, 1, 2);
    dns_put_number(out, ttl, 4);
    dns_put_number(out, n, 2);
    dns_put(out, data, n);
    out->bytes[section + 1]++;
}

static void dns_put_named(struct dns_out *out, int section, const char *owner, int type, unsigned long ttl,
                          const char *head,
                          size_t head_length, const char *target)
{
    struct dns_out data;
    data.length = 0;
    dns_put(&data, head, head_length);
    dns_put_name(&data, target);
    dns_put_record(out, section, owner, type, ttl, data.bytes, data.length);
}

static void dns_put_soa(struct dns_out *out, int section)
{
    struct dns_out data;
    data.length = 0;
    dns_put_name(&data, "ns.test");
    dns_put_name(&data, "root.ns.test");
    for (unsigned long i = 1; i <= 4; i++) dns_put_number(&data, i, 4);
    dns_put_number(&data, 20, 4);
    dns_put_record(out, section, "test", AIO_DNS_SOA, 300, data.bytes, data.length);
}

/* The addresses of a.test, for `owner`. */
static void dns_put_address(struct dns_out *out, const char *owner, int type, unsigned long ttl)
{
    static const unsigned char six[16] = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
    if (type == AIO_DNS_A) dns_put_record(out, 6, owner, type, ttl, "\300\0\2\1", 4);
    if (type == AIO_DNS_AAAA) dns_put_record(out, 6, owner, type, ttl, six, 16);
}

static void dns_zone(struct dns_out *out, const char *name, int type)
{
    if (!strcasecmp(name, "a.test") || !strcmp(name, "b.test")) dns_put_address(out, NULL, type, 60);
    else if (!strcmp(name, "here.test") && type == AIO_DNS_A) dns_put_record(out, 6, NULL, type, 60, "\177\0\0\1", 4);
    else if (!strcmp(name, "four.test") && type == AIO_DNS_A) dns_put_address(out, NULL, type, 60);
    else if (!strcmp(name, "huge.test")) dns_put_address(out, NULL, type, 0xFFFFFFFF);
    else if (!strcmp(name, "long.test")) dns_put_address(out, NULL, type, 0x7FFFFFFF);
    else if (!strcmp(name, "short.corp.test") && type == AIO_DNS_A) dns_put_address(out, NULL, type, 60);
    else if (!strcmp(name, "alias.test")) {
        dns_put_named(out, 6, NULL, AIO_DNS_CNAME, 30, "", 0, "A.test");
        dns_put_address(out, "a.test", type, 60);
    } else if (!strcmp(name, "far.test")) dns_put_named(out, 6, NULL, AIO_DNS_CNAME, 30, "", 0, "a.test");
    else if (!strcmp(name, "ring.test")) dns_put_named(out, 6, NULL, AIO_DNS_CNAME, 30, "", 0, "ring2.test");
    else if (!strcmp(name, "ring2.test")) dns_put_named(out, 6, NULL, AIO_DNS_CNAME, 30, "", 0, "ring.test");
    else if (!strcmp(name, "self.test")) dns_put_named(out, 6, NULL, AIO_DNS_CNAME, 30, "", 0, "self.test");
    else if (!strcmp(name, "poison.test")) {
        dns_put_address(out, "b.test", type, 60);
        dns_put_soa(out, 8);
    } else if (!strcmp(name, "fat.test"))
        for (int i = 0; i < 100; i++) dns_put_address(out, NULL, AIO_DNS_A, 60);
    else if (!strcmp(name, "records.test") && type == AIO_DNS_MX) {
        dns_put_named(out, 6, NULL, type, 60, "\0\12", 2, "mail.test");
        dns_put_named(out, 6, NULL, type, 60, "\0\24", 2, "mail2.test");
    } else if (!strcmp(name, "records.test") && type == AIO_DNS_TXT)
        dns_put_record(out, 6, NULL, type, 60, "\5hello\6 world", 13);
    else if (!strcmp(name, "records.test") && type == AIO_DNS_SRV)
        dns_put_named(out, 6, NULL, type, 60, "\0\1\0\2\37\220", 6, "a.test");
    else if (!strcmp(name, "records.test") && type == AIO_DNS_NS) dns_put_named(out, 6, NULL, type, 60, "", 0,
                                                                                "ns.test");
    else if (!strcmp(name, "empty.test")) dns_put_record(out, 6, NULL, AIO_DNS_TXT, 60, "", 0);
    else if (!strcmp(name, "opt.test")) dns_put_record(out, 6, NULL, 41, 60, "", 0);
    else if (!strcmp(name, "records.test") && type == 255) {
        dns_put_address(out, NULL, AIO_DNS_A, 60);
        dns_put_named(out, 6, NULL, AIO_DNS_MX, 40, "\0\12", 2, "mail.test");
        dns_put_record(out, 6, NULL, 99, 50, "\1\0\2", 3);
        dns_put_address(out, "a.test", AIO_DNS_A, 60); /* another name's */
        dns_put_named(out, 6, NULL, AIO_DNS_CNAME, 60, "", 0, "a.test");
    } else if (!strcmp(name, "records.test") && type == 99) dns_put_record(out, 6, NULL, type, 60, "\1\0\2", 3);
    else if (!strcmp(name, "test") && type == AIO_DNS_SOA) dns_put_soa(out, 6);
    else if (!strcmp(name, "1.2.0.192.in-addr.arpa")) dns_put_named(out, 6, NULL, AIO_DNS_PTR, 60, "", 0, "a.test");
    else {
        if (strcmp(name, "four.test") && strcmp(name, "here.test") && strcmp(name, "records.test")
            && strcmp(name, "short.corp.test")) out->bytes[3] |= 3;
        dns_put_soa(out, 8);
    }
}

/* The reply to a query of n bytes. */
static void dns_reply(struct dns_fake *fake, struct dns_out *out, const unsigned char *query, size_t n, bool tcp)
{
    aio__dns_name name;
    char text[AIO__DNS_TEXT];
    size_t at = 12;
    memset(out->bytes, 0, 12);
    out->length = 12;
    if (n < 17 || !aio__dns_name_read(&name, query, n, &at)) return;
    int type = aio__dns_u16(query + at);
    aio__dns_name_text(&name, text);
    memcpy(out->bytes, query, 2);
    out->bytes[2] = 0x81;
    out->bytes[3] = 0x80;
    fake->with_edns += query[11];
    for (size_t i = 0; text[i]; i++) fake->upper += text[i] >= 'A' && text[i] <= 'Z';
    if (fake->mode == DNS_NO_EDNS && query[11]) {
        out->bytes[3] |= 1;
        return;
    }
    out->bytes[5] = 1;
    dns_put(out, query + 12, at + 4 - 12);
    for (size_t i = 0; text[i]; i++) text[i] = (char)aio__dns_lower((unsigned char)text[i]);
    for (size_t i = 12; fake->mode == DNS_LOWER && i < out->length; i++) out->bytes[i] = aio__dns_lower(out->bytes[i]);
    if (fake->mode == DNS_SERVFAIL) out->bytes[3] |= 2;
    else if ((fake->mode == DNS_CUT || fake->mode == DNS_TCP_ENDS) && !tcp) out->bytes[2] |= 2;
    else if (fake->mode == DNS_POINTER_LOOP) {
        dns_put_number(out, 0xC000 | out->length, 2);
        out->bytes[7] = 1;
    } else dns_zone(out, text, type);
    if (fake->mode == DNS_SHORT) out->length--;
}

/* ---- the servers themselves ---- */
static void dns_on_udp(void *arg)
{
    struct dns_fake *fake = (struct dns_fake *)arg;
    unsigned char query[600];
    struct sockaddr_in from;
    struct dns_out out;
    socklen_t length = sizeof from;
    ssize_t n = recvfrom(fake->udp, query, sizeof query, 0, (struct sockaddr *)&from, &length);
    if (n < 17) return;
    fake->asked++;
    dns_reply(fake, &out, query, (size_t)n, false);
    bool six = query[n - (query[11] ? 11 : 0) - 3] == AIO_DNS_AAAA;
    if (fake->mode == DNS_SILENT || (fake->mode == DNS_SLOW_SIX && six)) return;
    int wrong = fake->mode == DNS_WRONG_FIRST ? 4 : fake->mode == DNS_FLOOD ? 48 : 0;
    int other = wrong ? socket(AF_INET, SOCK_DGRAM, 0) : -1; /* another address */
    for (int i = 0; i < wrong; i++) {
        struct dns_out bad = out;
        if (i % 4 == 0) bad.bytes[3] |= 3; /* right but for where it is from: the name does not exist */
        if (i % 4 == 1) bad.bytes[0] ^= (unsigned char)(1 + i);
        if (i % 4 == 2) bad.bytes[13] ^= 1; /* a letter of the question */
        if (i % 4 == 3) bad.bytes[2] &= 0x7F; /* a question */
        sendto(i % 4 ? fake->udp : other, bad.bytes, bad.length, 0, (struct sockaddr *)&from, length);
    }
    if (wrong) close(other);
    if (fake->mode != DNS_FLOOD) sendto(fake->udp, out.bytes, out.length, 0, (struct sockaddr *)&from, length);
}

static void dns_client_end(struct dns_client *client)
{
    if (client->fd < 0) return;
    aio_loop_remove_reader(client->fake->loop, client->fd);
    close(client->fd);
    client->fd = -1;
}

static void dns_on_client(void *arg)
{
    struct dns_client *client = (struct dns_client *)arg;
    struct dns_out out;
    unsigned char size[2];
    ssize_t n = read(client->fd, client->in + client->have, sizeof client->in - client->have);
    if (n > 0) client->have += (size_t)n;
    if (n > 0 && (client->have < 2 || client->have < 2 + (size_t)aio__dns_u16(client->in))) return;
    if (n > 0) {
        client->fake->asked_tcp++;
        dns_reply(client->fake, &out, client->in + 2, client->have - 2, true);
        aio__dns_put16(size, (int)out.length);
        if (client->fake->mode == DNS_TCP_ENDS) out.length = 5;
        if (send(client->fd, size, 2, MSG_NOSIGNAL) == 2 && send(client->fd, out.bytes, out.length, MSG_NOSIGNAL) < 0)
            ALWAYS(errno == EPIPE || errno == ECONNRESET); /* who asked has gone */
    }
    dns_client_end(client);
}

static void dns_on_tcp(void *arg)
{
    struct dns_fake *fake = (struct dns_fake *)arg;
    int fd = accept(fake->tcp, NULL, NULL);
    for (int i = 0; fd >= 0 && i < DNS_CLIENTS; i++) {
        struct dns_client *client = &fake->clients[i];
        if (client->fd >= 0) continue;
        client->fd = fd;
        client->have = 0;
        client->fake = fake;
        if (!aio_loop_add_reader(fake->loop, fd, dns_on_client, client)) return;
        client->fd = -1;
        break;
    }
    if (fd >= 0) close(fd);
}

static void dns_end(struct dns_fake *fake)
{
    if (!fake->loop) return;
    for (int i = 0; i < DNS_CLIENTS; i++) dns_client_end(&fake->clients[i]);
    for (int i = 0; i < 2; i++) {
        int fd = i ? fake->tcp : fake->udp;
        if (fd < 0) continue;
        aio_loop_remove_reader(fake->loop, fd);
        close(fd);
    }
    fake->loop = NULL;
}

/* Both sockets on one port of the kernel's. */
static bool dns_listen(struct dns_fake *fake)
{
    struct sockaddr_in to;
    socklen_t length = sizeof to;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fake->udp = socket(AF_INET, SOCK_DGRAM, 0);
    fake->tcp = socket(AF_INET, SOCK_STREAM, 0);
    fcntl(fake->udp, F_SETFL, O_NONBLOCK);
    fcntl(fake->tcp, F_SETFL, O_NONBLOCK);
    if (bind(fake->tcp, (struct sockaddr *)&to, sizeof to) < 0) return false;
    getsockname(fake->tcp, (struct sockaddr *)&to, &length);
    fake->port = ntohs(to.sin_port);
    return listen(fake->tcp, 8) == 0 && bind(fake->udp, (struct sockaddr *)&to, sizeof to) == 0;
}

/* Its name is appended to `names`. False only after a fault. */
static bool dns_begin(struct dns_fake *fake, int mode, char *names, size_t size)
{
    for (int i = 0; i < 20; i++) {
        if (dns_listen(fake)) break;
        close(fake->udp);
        close(fake->tcp);
    }
    fake->loop = aio_get_running_loop();
    fake->mode = mode;
    for (int i = 0; i < DNS_CLIENTS; i++) fake->clients[i].fd = -1;
    size_t used = strlen(names);
    snprintf(names + used, size - used, "%s127.0.0.1#%d", used ? ", " : "", fake->port);
    return !aio_loop_add_reader(fake->loop, fake->udp, dns_on_udp, fake)
        && !aio_loop_add_reader(fake->loop, fake->tcp, dns_on_tcp, fake);
}

/* Nobody is at its port for us, and nobody else can be given it: a connected socket hears its peer only. */
static void dns_refuse(struct dns_fake *fake)
{
    struct sockaddr_in peer;
    memset(&peer, 0, sizeof peer);
    peer.sin_family = AF_INET;
    peer.sin_port = htons(1);
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_INT(connect(fake->udp, (struct sockaddr *)&peer, sizeof peer), 0);
}

#define DNS_FRAME                                                                                          \
    aio_task        task;                                                                                  \
    struct dns_fake fake[2];                                                                               \
    aio_resolver   *resolver;                                                                              \
    aio_addresses  *addresses;                                                                             \
    aio_dns_answer *answer;                                                                                \
    double          began;                                                                                 \
    int             i;                                                                                     \
    char            servers[80], text[128];
#define DNS_BEGIN(mode) REQUIRE(dns_begin(&self->fake[0], (mode), self->servers, sizeof self->servers))
#define DNS_SECOND(mode) REQUIRE(dns_begin(&self->fake[1], (mode), self->servers, sizeof self->servers))
#define DNS_OPEN(...)                                                                                      \
    self->resolver = aio_resolver_open(.nameservers = self->servers, .search = "", .resolv_conf = "/dev/null", \
                                       .hosts = "/dev/null", __VA_ARGS__);                                 \
    REQUIRE(self->resolver)
#define DNS_END                                                                                            \
    AIO_FINALLY;                                                                                           \
        aio_addresses_free(self->addresses);                                                               \
        aio_dns_answer_free(self->answer);                                                                 \
        aio_resolver_close(self->resolver);                                                                \
        dns_end(&self->fake[0]);                                                                           \
        dns_end(&self->fake[1]);                                                                           \
    AIO_END;
/* What is resolved in `self->addresses`, the one of before given back. */
#define DNS_RESOLVE(...)                                                                                   \
    aio_addresses_free(self->addresses);                                                                   \
    self->addresses = NULL;                                                                                \
    AIO_AWAIT(self->addresses, aio_resolver_resolve(self->resolver, __VA_ARGS__))
#define DNS_QUERY(name, type)                                                                              \
    aio_dns_answer_free(self->answer);                                                                     \
    self->answer = NULL;                                                                                   \
    AIO_AWAIT(self->answer, aio_resolver_query(self->resolver, (name), (type)))
#define DNS_FAILS(awaited, expected, part)                                                                 \
    AIO_TRY {                                                                                              \
        AIO_AWAIT(awaited);                                                                                \
        UNREACHED();                                                                                       \
    } AIO_CATCH {                                                                                          \
        CAUGHT(expected);                                                                                  \
        if (!strstr(aio_caught(self)->message, (part))) CHECK_STR(aio_caught(self)->message, (part));      \
    } AIO_END_TRY
#define DNS_MAY .may = { AIO_ERESOLVE, AIO_ETIMEOUT }

static bool dns_has(const aio_addresses *addresses, const char *wanted)
{
    char text[80];
    for (size_t i = 0; i < aio_addresses_count(addresses); i++)
        if (!strcmp(aio_addresses_text(addresses, i, text, sizeof text), wanted)) return true;
    return false;
}

/* ---- answers ---- */
struct resolver_resolves { DNS_FRAME };
SCENARIO(resolver_resolves, DNS_MAY)
{
    AIO_BEGIN(resolver_resolves);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.ndots = 1);
    DNS_RESOLVE("a.test", 80);
    CHECK_INT(aio_addresses_count(self->addresses), 2);
    CHECK(dns_has(self->addresses, "192.0.2.1:80"));
    CHECK(dns_has(self->addresses, "[2001:db8::1]:80"));
    for (size_t i = 0, length = 7; i < 4; i++) {
        const void *address = aio_addresses_sockaddr(self->addresses, i, i == 3 ? NULL : &length);
        int family = aio_addresses_family(self->addresses, i);
        CHECK((address != NULL) == (i < 2));
        CHECK_INT(length, family == AF_INET ? sizeof(struct sockaddr_in) : i < 2 ? sizeof(struct sockaddr_in6) : 0);
        if (address) CHECK_INT(((const struct sockaddr *)address)->sa_family, family);
    }
    CHECK_INT(self->fake[0].asked, 2);
    CHECK_INT(self->fake[0].with_edns, 2);
    DNS_RESOLVE("A.TEST.", 443, .family = AF_INET); /* from the cache */
    CHECK_INT(aio_addresses_count(self->addresses), 1);
    CHECK_INT(aio_addresses_family(self->addresses, 0), AF_INET);
    CHECK(dns_has(self->addresses, "192.0.2.1:443"));
    CHECK_INT(self->fake[0].asked, 2);
    CHECK_INT(aio_resolver_cache_count(self->resolver), 2);
    DNS_RESOLVE("four.test", 1); /* no AAAA */
    CHECK_INT(aio_addresses_count(self->addresses), 1);
    aio_resolver_clear_cache(self->resolver);
    CHECK_INT(aio_resolver_cache_count(self->resolver), 0);
    DNS_END
}

struct resolver_follows_aliases { DNS_FRAME };
SCENARIO(resolver_follows_aliases, DNS_MAY)
{
    AIO_BEGIN(resolver_follows_aliases);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.attempts = 1);
    DNS_QUERY("alias.test", AIO_DNS_A);
    CHECK_STR(self->answer->name, "A.test");
    CHECK_INT(self->answer->count, 1);
    CHECK_STR(self->answer->records[0].data.data, "192.0.2.1");
    DNS_RESOLVE("far.test", 80, .family = AF_INET); /* asked for the target on its own */
    CHECK(dns_has(self->addresses, "192.0.2.1:80"));
    CHECK_INT(self->fake[0].asked, 3);
    DNS_FAILS(aio_resolver_query(self->resolver, "ring.test", AIO_DNS_A), AIO_ERESOLVE, "more than 16 aliases");
    CHECK_INT(self->fake[0].asked, 5); /* the ring is in the cache by then */
    DNS_FAILS(aio_resolver_query(self->resolver, "self.test", AIO_DNS_A), AIO_ERESOLVE, "more than 16 aliases");
    DNS_QUERY("ring.test", AIO_DNS_CNAME);
    CHECK_STR(self->answer->records[0].data.data, "ring2.test");
    DNS_FAILS(aio_resolver_query(self->resolver, "poison.test", AIO_DNS_A), AIO_ERESOLVE, "no such record");
    DNS_END
}

struct resolver_reads_records { DNS_FRAME };
SCENARIO(resolver_reads_records, DNS_MAY)
{
    AIO_BEGIN(resolver_reads_records);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.attempts = 1);
    DNS_QUERY("records.test", AIO_DNS_MX);
    CHECK_INT(self->answer->count, 2);
    CHECK_INT(self->answer->records[1].preference, 20);
    CHECK_INT(self->answer->records[1].type, AIO_DNS_MX);
    CHECK_STR(strchr(self->answer->server, ':') + 1, strchr(self->servers, '#') + 1);
    CHECK_STR(self->answer->records[1].data.data, "mail2.test");
    DNS_QUERY("records.test", AIO_DNS_TXT);
    CHECK_BYTES(self->answer->records[0].data.data, self->answer->records[0].data.length, "hello world");
    DNS_QUERY("records.test", AIO_DNS_SRV);
    CHECK_INT(self->answer->records[0].preference, 1);
    CHECK_INT(self->answer->records[0].weight, 2);
    CHECK_INT(self->answer->records[0].port, 8080);
    CHECK_BYTES(self->answer->records[0].data.data, self->answer->records[0].data.length, "a.test");
    DNS_QUERY("records.test", AIO_DNS_NS);
    CHECK_STR(self->answer->records[0].data.data, "ns.test");
    DNS_QUERY("records.test", 99);
    CHECK_BYTES(self->answer->records[0].data.data, self->answer->records[0].data.length, "\1\0\2", 3);
    DNS_QUERY("records.test", 255); /* every type: each as that has it, and no other name's */
    CHECK_INT(self->answer->count, 4);
    CHECK_STR(self->answer->name, "records.test");
    CHECK_INT(self->answer->records[0].type, AIO_DNS_A);
    CHECK_STR(self->answer->records[0].data.data, "192.0.2.1");
    CHECK_INT(self->answer->records[1].type, AIO_DNS_MX);
    CHECK_INT(self->answer->records[1].preference, 10);
    CHECK_STR(self->answer->records[1].data.data, "mail.test");
    CHECK_INT(self->answer->records[2].type, 99);
    CHECK_BYTES(self->answer->records[2].data.data, self->answer->records[2].data.length, "\1\0\2", 3);
    CHECK_INT(self->answer->records[3].type, AIO_DNS_CNAME);
    CHECK_STR(self->answer->records[3].data.data, "a.test");
    CHECK(!self->answer->cached);
    AIO_AWAIT(aio_sleep(39));
    DNS_QUERY("records.test", 255); /* kept as long as the shortest of them */
    CHECK(self->answer->cached);
    CHECK_INT(self->answer->records[1].ttl, 1);
    AIO_AWAIT(aio_sleep(1));
    DNS_QUERY("records.test", 255);
    CHECK(!self->answer->cached);
    DNS_FAILS(aio_resolver_query(self->resolver, "none.test", 255), AIO_ERESOLVE, "NXDOMAIN");
    DNS_QUERY("test", AIO_DNS_SOA);
    CHECK_STR(self->answer->records[0].data.data, "ns.test root.ns.test 1 2 3 4 20");
    DNS_QUERY("192.0.2.1", AIO_DNS_PTR);
    CHECK_STR(self->answer->records[0].data.data, "a.test");
    CHECK_STR(self->answer->name, "1.2.0.192.in-addr.arpa");
    CHECK(!self->answer->cached);
    AIO_AWAIT(aio_sleep(7));
    DNS_QUERY("192.0.2.1", AIO_DNS_PTR);
    CHECK(self->answer->cached);
    CHECK_INT(self->answer->records[0].ttl, 53);
    /* only for AIO_DNS_PTR an address means another name */
    DNS_FAILS(aio_resolver_query(self->resolver, "192.0.2.1", AIO_DNS_A), AIO_ERESOLVE, "resolve 192.0.2.1 (A)");
    DNS_FAILS(aio_resolver_query(self->resolver, NULL, AIO_DNS_A), EINVAL, "");
    /* a text is at least one string, and options stand at the end */
    DNS_FAILS(aio_resolver_query(self->resolver, "empty.test", AIO_DNS_TXT), AIO_ERESOLVE, "a malformed reply");
    DNS_FAILS(aio_resolver_query(self->resolver, "opt.test", AIO_DNS_A), AIO_ERESOLVE, "a malformed reply");
    DNS_END
}

/* Both kinds of addresses are asked for at once: a server that is silent costs the time of one. */
struct resolver_asks_at_once { DNS_FRAME };
SCENARIO(resolver_asks_at_once, DNS_MAY)
{
    AIO_BEGIN(resolver_asks_at_once);
    DNS_BEGIN(DNS_SILENT);
    DNS_OPEN(.attempts = 1, .timeout = 2);
    self->began = aio_loop_time(aio_get_running_loop());
    DNS_FAILS(aio_resolver_resolve(self->resolver, "a.test", 80), AIO_ETIMEOUT, "resolve a.test");
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 2, 0.1);
    CHECK_INT(self->fake[0].asked, 2);
    DNS_END
}

/* ---- what goes wrong on the way ---- */
struct resolver_takes_tcp { DNS_FRAME };
SCENARIO(resolver_takes_tcp, .may = { AIO_ERESOLVE, AIO_ETIMEOUT, AIO_EINCOMPLETE })
{
    AIO_BEGIN(resolver_takes_tcp);
    DNS_BEGIN(DNS_CUT);
    DNS_OPEN(.attempts = 1);
    DNS_QUERY("fat.test", AIO_DNS_A);
    CHECK_INT(self->answer->count, 100);
    CHECK_INT(self->fake[0].asked, 1);
    CHECK_INT(self->fake[0].asked_tcp, 1);
    self->fake[0].mode = DNS_TCP_ENDS;
    DNS_FAILS(aio_resolver_query(self->resolver, "b.test", AIO_DNS_A), AIO_ERESOLVE, "resolve b.test (A): 127.0.0.1:");
    DNS_END
}

struct resolver_passes_over_strangers { DNS_FRAME };
SCENARIO(resolver_passes_over_strangers, DNS_MAY)
{
    AIO_BEGIN(resolver_passes_over_strangers);
    DNS_BEGIN(DNS_WRONG_FIRST);
    DNS_OPEN(.attempts = 1);
    DNS_RESOLVE("a.test", 80);
    CHECK_INT(aio_addresses_count(self->addresses), 2);
    CHECK_INT(self->fake[0].asked, 2);
    CHECK_INT(self->fake[0].asked_tcp, 0);
    self->fake[0].mode = DNS_FLOOD; /* somebody guesses: TCP cannot be guessed */
    DNS_QUERY("b.test", AIO_DNS_A);
    CHECK_INT(self->answer->count, 1);
    CHECK_INT(self->fake[0].asked_tcp, 1);
    DNS_END
}

struct resolver_refuses_the_malformed { DNS_FRAME };
SCENARIO(resolver_refuses_the_malformed, DNS_MAY)
{
    AIO_BEGIN(resolver_refuses_the_malformed);
    DNS_BEGIN(DNS_POINTER_LOOP);
    DNS_SECOND(DNS_PLAIN);
    DNS_OPEN(.attempts = 1);
    DNS_QUERY("a.test", AIO_DNS_A);
    CHECK_INT(self->fake[0].asked, 1);
    CHECK_INT(self->fake[1].asked, 1);
    DNS_QUERY("b.test", AIO_DNS_A); /* the one that answered is asked first now */
    CHECK_INT(self->fake[0].asked, 1);
    self->fake[1].mode = DNS_SHORT;
    DNS_FAILS(aio_resolver_query(self->resolver, "c.test", AIO_DNS_A), AIO_ERESOLVE, "a malformed reply; 127.0.0.1:");
    self->fake[1].mode = DNS_SERVFAIL;
    DNS_FAILS(aio_resolver_resolve(self->resolver, "c.test", 80), AIO_ERESOLVE, "SERVFAIL");
    DNS_END
}

struct resolver_survives_dead_servers { DNS_FRAME };
SCENARIO(resolver_survives_dead_servers, DNS_MAY)
{
    AIO_BEGIN(resolver_survives_dead_servers);
    DNS_BEGIN(DNS_SILENT);
    DNS_SECOND(DNS_PLAIN);
    DNS_OPEN(.timeout = 2, .attempts = 2);
    self->began = aio_loop_time(self->task.future.loop);
    DNS_QUERY("a.test", AIO_DNS_A);
    CHECK_NEAR(aio_loop_time(self->task.future.loop) - self->began, 2, 0.1);
    DNS_QUERY("b.test", AIO_DNS_A);
    CHECK_INT(self->fake[0].asked, 1);
    self->fake[1].mode = DNS_SILENT;
    self->began = aio_loop_time(self->task.future.loop);
    DNS_FAILS(aio_resolver_query(self->resolver, "c.test", AIO_DNS_A), AIO_ETIMEOUT, "resolve c.test (A): 127.0.0.1:");
    CHECK_NEAR(aio_loop_time(self->task.future.loop) - self->began, 8, 0.1);
    dns_refuse(&self->fake[1]); /* no need to wait for it */
    self->fake[0].mode = DNS_PLAIN;
    self->began = aio_loop_time(self->task.future.loop);
    DNS_QUERY("four.test", AIO_DNS_A);
    CHECK_NEAR(aio_loop_time(self->task.future.loop) - self->began, 0, 0.1);
    DNS_END
}

struct resolver_ends_with_what_it_has { DNS_FRAME };
SCENARIO(resolver_ends_with_what_it_has, DNS_MAY)
{
    AIO_BEGIN(resolver_ends_with_what_it_has);
    DNS_BEGIN(DNS_SLOW_SIX);
    DNS_OPEN(.attempts = 1);
    self->began = aio_loop_time(self->task.future.loop);
    DNS_RESOLVE("a.test", 80);
    CHECK_INT(aio_addresses_count(self->addresses), 1);
    CHECK_NEAR(aio_loop_time(self->task.future.loop) - self->began, 0.25, 0.1);
    DNS_FAILS(aio_resolver_resolve(self->resolver, "a.test", 80, .family = AF_INET6), AIO_ETIMEOUT,
              "no answer in time");
    DNS_END
}

struct resolver_knows_old_servers { DNS_FRAME };
SCENARIO(resolver_knows_old_servers, DNS_MAY)
{
    AIO_BEGIN(resolver_knows_old_servers);
    DNS_BEGIN(DNS_NO_EDNS);
    DNS_OPEN(.attempts = 1);
    DNS_QUERY("a.test", AIO_DNS_A);
    CHECK_INT(self->fake[0].asked, 2);
    CHECK_INT(self->fake[0].with_edns, 1);
    DNS_QUERY("b.test", AIO_DNS_A);
    CHECK_INT(self->fake[0].asked, 3);
    DNS_END
}

struct resolver_checks_the_case { DNS_FRAME };
SCENARIO(resolver_checks_the_case, DNS_MAY)
{
    AIO_BEGIN(resolver_checks_the_case);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.attempts = 1, .case_random = true);
    DNS_QUERY("four.test", AIO_DNS_A);
    for (self->i = 0; self->i < 4 && !self->fake[0].upper; self->i++) {
        aio_resolver_clear_cache(self->resolver);
        DNS_QUERY("four.test", AIO_DNS_A);
    }
    CHECK(self->fake[0].upper > 0);
    self->fake[0].mode = DNS_LOWER;
    self->fake[0].upper = 0;
    AIO_TRY {
        DNS_QUERY("averyveryverylongnamewithmanyletters.test", AIO_DNS_A);
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT); /* else: NXDOMAIN */
    } AIO_END_TRY;
    DNS_END
}

/* ---- the cache ---- */
struct resolver_keeps_denials { DNS_FRAME };
SCENARIO(resolver_keeps_denials, DNS_MAY)
{
    AIO_BEGIN(resolver_keeps_denials);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.attempts = 1);
    DNS_FAILS(aio_resolver_query(self->resolver, "none.test", AIO_DNS_A), AIO_ERESOLVE,
              "NXDOMAIN (there is no such name)");
    DNS_FAILS(aio_resolver_query(self->resolver, "none.test", AIO_DNS_A), AIO_ERESOLVE, "as the cache has it");
    DNS_FAILS(aio_resolver_query(self->resolver, "four.test", AIO_DNS_AAAA), AIO_ERESOLVE, "no such record");
    CHECK_INT(self->fake[0].asked, 2);
    AIO_AWAIT(aio_sleep(21)); /* the SOA says 20 */
    DNS_FAILS(aio_resolver_resolve(self->resolver, "none.test", 1, .family = AF_INET), AIO_ERESOLVE,
              "resolve none.test: 127");
    CHECK_INT(self->fake[0].asked, 3);
    DNS_END
}

struct resolver_forgets_in_time { DNS_FRAME };
SCENARIO(resolver_forgets_in_time, DNS_MAY)
{
    AIO_BEGIN(resolver_forgets_in_time);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.attempts = 1, .cache_size = 2, .max_ttl = 100);
    DNS_QUERY("huge.test", AIO_DNS_A); /* a TTL with the top bit is 0 */
    CHECK_INT(aio_resolver_cache_count(self->resolver), 0);
    DNS_QUERY("long.test", AIO_DNS_A);
    AIO_AWAIT(aio_sleep(99));
    DNS_QUERY("long.test", AIO_DNS_A);
    CHECK_INT(self->fake[0].asked, 2);
    AIO_AWAIT(aio_sleep(2));
    DNS_QUERY("long.test", AIO_DNS_A);
    CHECK_INT(self->fake[0].asked, 3);
    DNS_QUERY("a.test", AIO_DNS_A);
    DNS_QUERY("long.test", AIO_DNS_A);
    DNS_QUERY("b.test", AIO_DNS_A); /* a.test was used least lately */
    CHECK_INT(aio_resolver_cache_count(self->resolver), 2);
    CHECK_INT(self->fake[0].asked, 5);
    DNS_QUERY("long.test", AIO_DNS_A);
    CHECK_INT(self->fake[0].asked, 5);
    DNS_QUERY("a.test", AIO_DNS_A);
    CHECK_INT(self->fake[0].asked, 6);
    DNS_END
}

/* ---- the same question at the same time ---- */
enum { DNS_CROWD = 4 };
#define DNS_CROWD_FRAME DNS_FRAME aio_dns_task *crowd[DNS_CROWD];

/* As many tasks with one question, which are on their way after it. */
static bool dns_crowd(aio_resolver *resolver, aio_dns_task **crowd, const char *name)
{
    for (int i = 0; i < DNS_CROWD; i++)
        if (!(crowd[i] = aio_create_task(aio_resolver_query(resolver, name, AIO_DNS_A)))) return false;
    return true;
}

static void dns_crowd_end(aio_dns_task **crowd)
{
    for (int i = 0; i < DNS_CROWD; i++) {
        if (!crowd[i]) continue;
        if (!aio_future_done(crowd[i])) aio_task_cancel(crowd[i]);
        else if (!aio_future_exception(crowd[i])) aio_dns_answer_free(crowd[i]->result);
        aio_unref(crowd[i]);
    }
}

struct resolver_asks_once { DNS_CROWD_FRAME };
SCENARIO(resolver_asks_once, DNS_MAY)
{
    AIO_BEGIN(resolver_asks_once);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.attempts = 1, .cache_size = -1);
    REQUIRE(dns_crowd(self->resolver, self->crowd, "a.test"));
    AIO_AWAIT(aio_wait(self->crowd, DNS_CROWD));
    for (self->i = 0; self->i < DNS_CROWD; self->i++) {
        if (aio_future_exception(self->crowd[self->i])) AIO_RAISE_EXCEPTION(self->crowd[self->i]->task.future.error);
        CHECK_INT(self->crowd[self->i]->result->count, 1);
        CHECK_STR(self->crowd[self->i]->result->records[0].data.data, "192.0.2.1");
    }
    CHECK_INT(self->fake[0].asked, 1);
    DNS_QUERY("A.test", AIO_DNS_A); /* that was at one time; there is no cache */
    CHECK_INT(self->fake[0].asked, 2);
    AIO_FINALLY;
        dns_crowd_end(self->crowd);
        aio_dns_answer_free(self->answer);
        aio_resolver_close(self->resolver);
        dns_end(&self->fake[0]);
    AIO_END;
}

/* Who is cancelled leaves the others alone; the error reaches all of them, and the next one asks anew. When the last
 * one is cancelled, so is the question. */
struct resolver_is_left_by_some { DNS_CROWD_FRAME };
SCENARIO(resolver_is_left_by_some, DNS_MAY)
{
    AIO_BEGIN(resolver_is_left_by_some);
    DNS_BEGIN(DNS_SILENT);
    DNS_OPEN(.attempts = 2, .timeout = 1);
    REQUIRE(dns_crowd(self->resolver, self->crowd, "a.test"));
    AIO_AWAIT(aio_sleep(0.5));
    CHECK_INT(self->fake[0].asked, 1);
    for (self->i = 0; self->i < 2; self->i++) CHECK(aio_task_cancel(self->crowd[self->i]));
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(aio_future_cancelled(self->crowd[0]));
    CHECK(!aio_future_done(self->crowd[2]));
    AIO_AWAIT(aio_wait(self->crowd, DNS_CROWD));
    CHECK_INT(self->fake[0].asked, 2);
    for (self->i = 2; self->i < DNS_CROWD; self->i++)
        CHECK_INT(aio_future_exception(self->crowd[self->i])->code, AIO_ETIMEOUT);
    dns_crowd_end(self->crowd);
    memset(self->crowd, 0, sizeof self->crowd);
    REQUIRE(dns_crowd(self->resolver, self->crowd, "a.test"));
    AIO_AWAIT(aio_sleep(0.5));
    CHECK_INT(self->fake[0].asked, 3);
    dns_crowd_end(self->crowd);
    memset(self->crowd, 0, sizeof self->crowd);
    AIO_AWAIT(aio_sleep(2));
    CHECK_INT(self->fake[0].asked, 3); /* no second try */
    AIO_FINALLY;
        dns_crowd_end(self->crowd);
        aio_resolver_close(self->resolver);
        dns_end(&self->fake[0]);
    AIO_END;
}

/* ---- names without servers, short names, options ---- */
static bool dns_file(char *path, const char *text)
{
    strcpy(path, "/tmp/aio-resolver-XXXXXX");
    int fd = mkstemp(path);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return ok;
}

struct resolver_searches { DNS_FRAME };
SCENARIO(resolver_searches, DNS_MAY)
{
    AIO_BEGIN(resolver_searches);
    DNS_BEGIN(DNS_PLAIN);
    self->resolver = aio_resolver_open(.nameservers = self->servers, .search = "nowhere.test, corp.test", .attempts = 1,
                                       .resolv_conf = "/dev/null", .no_hosts = true, .cache_size = -1);
    REQUIRE(self->resolver);
    DNS_RESOLVE("short", 80, .family = AF_INET);
    CHECK(dns_has(self->addresses, "192.0.2.1:80"));
    CHECK_INT(self->fake[0].asked, 2); /* short.nowhere.test, short.corp.test */
    DNS_RESOLVE("a.test", 80, .family = AF_INET); /* a dot: as it is, first */
    CHECK_INT(self->fake[0].asked, 3);
    DNS_FAILS(aio_resolver_resolve(self->resolver, "short.", 80, .family = AF_INET), AIO_ERESOLVE, "NXDOMAIN");
    CHECK_INT(self->fake[0].asked, 4);
    DNS_END
}

struct resolver_reads_hosts { DNS_FRAME char path[64]; };
SCENARIO(resolver_reads_hosts, DNS_MAY)
{
    AIO_BEGIN(resolver_reads_hosts);
    REQUIRE(dns_file(self->path, "# comment\n10.0.0.1 one One.Test # two\r\nfe80::zz bad\n::2\tone\n"
                                 "10.0.0.3 localhost\n4.4.4.4"));
    DNS_BEGIN(DNS_SILENT);
    self->resolver = aio_resolver_open(.nameservers = self->servers, .hosts = self->path,
                                       .resolv_conf = "/none/at/all");
    REQUIRE(self->resolver);
    DNS_RESOLVE("ONE", 80);
    CHECK_INT(aio_addresses_count(self->addresses), 2);
    CHECK(dns_has(self->addresses, "10.0.0.1:80"));
    CHECK(dns_has(self->addresses, "[::2]:80"));
    DNS_RESOLVE("one.test.", 80);
    CHECK(dns_has(self->addresses, "10.0.0.1:80"));
    DNS_RESOLVE("localhost", 80);
    CHECK(dns_has(self->addresses, "10.0.0.3:80"));
    DNS_RESOLVE("my.localhost", 80);
    CHECK(dns_has(self->addresses, "127.0.0.1:80"));
    DNS_RESOLVE("::1", 80);
    CHECK(dns_has(self->addresses, "[::1]:80"));
    CHECK_INT(self->fake[0].asked, 0);
    AIO_FINALLY;
        if (self->path[0]) unlink(self->path);
        aio_addresses_free(self->addresses);
        aio_resolver_close(self->resolver);
        dns_end(&self->fake[0]);
    AIO_END;
}

struct resolver_is_closed_meanwhile { DNS_FRAME aio_dns_task *query; };
SCENARIO(resolver_is_closed_meanwhile, .may = { AIO_ERESOLVE, AIO_ETIMEOUT, AIO_ERUNTIME })
{
    AIO_BEGIN(resolver_is_closed_meanwhile);
    DNS_BEGIN(DNS_SILENT);
    DNS_OPEN(.attempts = 1);
    self->query = aio_create_task(aio_resolver_query(self->resolver, "a.test", AIO_DNS_A));
    REQUIRE(self->query);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK_INT(self->fake[0].asked, 1);
    aio_resolver_close(self->resolver);
    self->resolver = NULL;
    DNS_FAILS((aio_dns_task *)aio_ref(self->query), AIO_ERUNTIME, "the resolver was closed");
    AIO_FINALLY;
        if (self->query && !aio_future_done(self->query)) aio_task_cancel(self->query);
        else if (self->query) aio_future_exception(self->query);
        aio_unref(self->query);
        aio_resolver_close(self->resolver);
        dns_end(&self->fake[0]);
    AIO_END;
}

/* A call that has not begun when its resolver is closed finds none, though another one may have its place. */
struct resolver_is_closed_before { DNS_FRAME aio_dns_task *query; aio_addresses_task *call; };
SCENARIO(resolver_is_closed_before, .may = { AIO_ERESOLVE, AIO_ETIMEOUT, AIO_ERUNTIME })
{
    AIO_BEGIN(resolver_is_closed_before);
    DNS_BEGIN(DNS_PLAIN);
    for (self->i = 0; self->i < 2; self->i++) {
        DNS_OPEN(.attempts = 1);
        self->query = aio_create_task(aio_resolver_query(self->resolver, "a.test", AIO_DNS_A));
        self->call = aio_resolver_resolve(self->resolver, "127.0.0.1", 80);
        REQUIRE(self->query && self->call);
        aio_resolver_close(self->resolver);
        self->resolver = NULL;
        if (self->i) {
            DNS_OPEN(.attempts = 1);
        }
        DNS_FAILS((aio_dns_task *)aio_ref(self->query), AIO_ERUNTIME, "resolve a.test (A): the resolver was closed");
        DNS_FAILS((aio_addresses_task *)aio_ref(self->call), AIO_ERUNTIME,
                  "resolve 127.0.0.1: the resolver was closed");
        aio_unref(self->query);
        aio_unref(self->call);
        self->query = NULL;
        self->call = NULL;
    }
    CHECK_INT(self->fake[0].asked, 0);
    AIO_FINALLY;
        if (self->query && !aio_future_done(self->query)) aio_task_cancel(self->query);
        else if (self->query) aio_future_exception(self->query);
        aio_unref(self->query);
        aio_unref(self->call);
        aio_resolver_close(self->resolver);
        dns_end(&self->fake[0]);
    AIO_END;
}

struct resolver_rotates { DNS_FRAME };
SCENARIO(resolver_rotates, DNS_MAY)
{
    AIO_BEGIN(resolver_rotates);
    DNS_BEGIN(DNS_PLAIN);
    DNS_SECOND(DNS_PLAIN);
    DNS_OPEN(.attempts = 1, .rotate = true, .cache_size = -1);
    for (self->i = 1; self->i <= 4; self->i++) {
        DNS_QUERY("a.test", AIO_DNS_A);
        CHECK_INT(self->fake[0].asked, (self->i + 1) / 2);
        CHECK_INT(self->fake[1].asked, self->i / 2);
    }
    DNS_END
}

/* Numeric addresses are never asked for, whatever is wanted of them. */
struct resolver_knows_figures { DNS_FRAME };
SCENARIO(resolver_knows_figures, DNS_MAY)
{
    AIO_BEGIN(resolver_knows_figures);
    DNS_BEGIN(DNS_PLAIN);
    self->resolver = aio_resolver_open(.nameservers = self->servers, .search = "test", .resolv_conf = "/dev/null",
                                       .hosts = "/dev/null");
    REQUIRE(self->resolver);
    DNS_FAILS(aio_resolver_resolve(self->resolver, "192.0.2.1", 80, .family = AF_INET6), AIO_ERESOLVE,
              "resolve 192.0.2.1: an address of the other family");
    DNS_FAILS(aio_resolver_resolve(self->resolver, "::1", 80, .family = AF_INET), AIO_ERESOLVE,
              "resolve ::1: an address of the other family");
    CHECK_INT(self->fake[0].asked, 0);
    DNS_END
}

/* Called with a resolver, and begun when that was closed, or never: the name is not looked up. */
struct resolver_closed_early { DNS_FRAME aio_stream_task *late, *never; aio_session *session; aio_response *response; };
SCENARIO(resolver_closed_early, .may = { AIO_ERESOLVE })
{
    AIO_BEGIN(resolver_closed_early);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.attempts = 1);
    REQUIRE(self->session = aio_session_open(.resolver = self->resolver));
    REQUIRE(self->never = aio_open_connection("here.localhost", 1, .resolver = self->resolver));
    REQUIRE(self->late = aio_create_task(aio_open_connection("here.localhost", 1, .resolver = self->resolver)));
    aio_resolver_close(self->resolver);
    self->resolver = NULL;
    DNS_FAILS((aio_stream_task *)aio_ref(self->late), AIO_ERUNTIME, "the resolver was closed");
    AIO_TRY {
        AIO_AWAIT(self->response, aio_session_get(self->session, "http://here.localhost:1/"));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_response_release(self->response);
        aio_unref(self->late);
        if (self->never) aio_future_cancel(self->never);
        aio_unref(self->never);
        aio_resolver_close(self->resolver);
        AIO_AWAIT(aio_session_close(self->session));
        dns_end(&self->fake[0]);
    AIO_END;
}

struct resolver_connects { DNS_FRAME aio_stream *stream; };
SCENARIO(resolver_connects, .may = { AIO_ERESOLVE, AIO_ETIMEOUT, ECONNREFUSED })
{
    AIO_BEGIN(resolver_connects);
    DNS_BEGIN(DNS_PLAIN);
    DNS_OPEN(.attempts = 1);
    AIO_AWAIT(self->stream, aio_open_connection("here.localhost", self->fake[0].port, .resolver = self->resolver,
                                                .family = AF_INET));
    CHECK(strstr(aio_stream_peername(self->stream, self->text, sizeof self->text), "127.0.0.1:") != NULL);
    DNS_FAILS(aio_open_connection("none.test", 1, .resolver = self->resolver), AIO_ERESOLVE, "NXDOMAIN");
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        aio_resolver_close(self->resolver);
        dns_end(&self->fake[0]);
    AIO_END;
}

/* For each datagram socket that is wanted: 'x', there is none, for `code`; else it comes, as do those behind the last. */
static struct { const char *next; int code; } dns_lack;
static int dns_lacking(int family, int type, int protocol)
{
    char wanted = (type & 15) == SOCK_DGRAM && dns_lack.next ? *dns_lack.next : 0;
    dns_lack.next += wanted != 0;
    if (wanted != 'x') return seam_socket(family, type, protocol);
    errno = dns_lack.code;
    return -1;
}

/* What the system says of the resolver's own sockets is what its user hears, and not that there is no such host. */
struct resolver_lacks_sockets { DNS_FRAME };
SCENARIO(resolver_lacks_sockets, .may = { AIO_ERESOLVE, AIO_ETIMEOUT, EMFILE })
{
    static const struct { const char *sockets; int family, attempts, code, then; const char *why; } cases[] = {
        { "xx", AF_INET, 1, EMFILE, EMFILE, "; 127.0.0.1:" },
        { "xx", AF_INET, 1, ENFILE, ENFILE, "; 127.0.0.1:" },
        { "xx", AF_INET, 1, ENOBUFS, ENOBUFS, "; 127.0.0.1:" },
        { "xx", AF_INET, 1, EACCES, AIO_ERESOLVE, "; 127.0.0.1:" },
        { "x.", AF_INET, 1, EMFILE, EMFILE, "SERVFAIL" },
        { ".x", AF_INET, 1, EMFILE, EMFILE, "SERVFAIL" },
        { "x...", AF_INET, 2, EMFILE, AIO_ERESOLVE, "SERVFAIL; 127.0.0.1:" },
        { "xx", AF_INET, 2, EMFILE, AIO_ERESOLVE, "SERVFAIL; 127.0.0.1:" }, /* there were some in the last round */
        { "..xx", AF_INET, 2, EMFILE, EMFILE, "; 127.0.0.1:" },
        { "..xx", 0, 1, EMFILE, EMFILE, "127.0.0.1:" }, /* for one of two questions */
    };
    AIO_BEGIN(resolver_lacks_sockets);
    DNS_BEGIN(DNS_SERVFAIL);
    DNS_SECOND(DNS_SERVFAIL);
    aio__os.socket = dns_lacking;
    for (self->i = 0; self->i < (int)(sizeof cases / sizeof *cases); self->i++) {
        aio_resolver_close(self->resolver);
        DNS_OPEN(.attempts = cases[self->i].attempts, .timeout = 2);
        dns_lack.next = cases[self->i].sockets;
        dns_lack.code = cases[self->i].code;
        DNS_FAILS(aio_resolver_resolve(self->resolver, "a.test", 80, .family = cases[self->i].family),
                  cases[self->i].then, cases[self->i].why);
        if (!seam.fired) CHECK_STR(dns_lack.next, "");
    }
    self->fake[0].mode = self->fake[1].mode = DNS_PLAIN;
    dns_lack.next = "x";
    dns_lack.code = EMFILE;
    DNS_RESOLVE("a.test", 80, .family = AF_INET); /* the other server helps */
    CHECK_INT(aio_addresses_count(self->addresses), 1);
    AIO_FINALLY;
        dns_lack.next = NULL;
        aio__os.socket = seam_socket;
        aio_addresses_free(self->addresses);
        aio_resolver_close(self->resolver);
        dns_end(&self->fake[0]);
        dns_end(&self->fake[1]);
    AIO_END;
}

/* A reply's header and its question, whose flags and counts the caller may still change. */
static void dns_head(struct dns_out *out, const char *name, int type, int class_)
{
    memset(out->bytes, 0, 12);
    out->bytes[0] = 0x12, out->bytes[1] = 0x34;
    out->bytes[2] = 0x81, out->bytes[3] = 0x80;
    out->bytes[5] = 1;
    out->length = 12;
    dns_put_name(out, name);
    dns_put_number(out, (unsigned long)type, 2);
    dns_put_number(out, (unsigned long)class_, 2);
}

/* Remembers an answer of one address and the bytes that it has to have. */
static void dns_remember(aio__dns *dns, const char *name, unsigned long ttl, size_t length)
{
    struct dns_out out;
    aio__dns_name wire;
    dns_head(&out, name, AIO_DNS_A, 1);
    dns_put_record(&out, 6, NULL, AIO_DNS_A, ttl, "abcd", 4);
    while (out.length < length) out.bytes[out.length++] = 0; /* behind its records: nobody looks */
    aio__dns_message *message = aio__dns_message_new(dns->loop, (char *)out.bytes, out.length);
    aio__dns_name_parse(&wire, name, strlen(name));
    aio__dns_remember(dns, message, &wire, AIO_DNS_A);
    aio__dns_message_drop(dns->loop, &message);
}

#define DNS_REFUSED(...)                                                                     \
    do {                                                                                     \
        CHECK_PTR(aio_resolver_open(.resolv_conf = "/dev/null", .no_hosts = true, __VA_ARGS__), NULL); \
        CHECK_INT(errno, EINVAL);                                                            \
    } while (0)
TEST(resolver_options_are_checked)
{
    CHECK_PTR(aio_resolver_open(.ndots = 1), NULL);
    CHECK_INT(errno, AIO_ENOLOOP);
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    DNS_REFUSED(.nameservers = "");
    DNS_REFUSED(.nameservers = "dns.test");
    DNS_REFUSED(.nameservers = "1.1.1.1#0");
    DNS_REFUSED(.nameservers = "1.1.1.1#65536");
    DNS_REFUSED(.nameservers = "[::1");
    DNS_REFUSED(.nameservers = "[::1]x53");
    DNS_REFUSED(.nameservers = "1.1.1.1", .timeout = -0.5);
    DNS_REFUSED(.nameservers = "1.1.1.1", .port = 70000);
    DNS_REFUSED(.nameservers = "1.1.1.1", .search = "a..b");
    DNS_REFUSED(.nameservers = "1.1.1.1", .search = "a b c d e f g h i j k l m n o p q");
    DNS_REFUSED(.nameservers = "1.1.1.1", .search = "..a");
    aio__dns *dns = (aio__dns *)(void *)aio_resolver_open(.nameservers = "1.1.1.1,::1 [::2]:54;3.3.3.3:55", .port = 56);
    CHECK_INT(dns->server_count, 4);
    CHECK_STR(dns->servers[0].text, "1.1.1.1:56");
    CHECK_STR(dns->servers[1].text, "[::1]:56");
    CHECK_STR(dns->servers[2].text, "[::2]:54");
    CHECK_STR(dns->servers[3].text, "3.3.3.3:55");
    aio_resolver_close(&dns->base);
    dns = (aio__dns *)(void *)aio_resolver_open(.nameservers = "1.1.1.1", .cache_size = INT_MAX);
    CHECK(dns != NULL && dns->bucket_count <= 65536);
    /* the loop's end closes it */
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}

/* Every number has its bounds, and what is given is what is used. */
TEST(resolver_options_have_bounds)
{
    char many[400] = "", longest[81];
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    DNS_REFUSED(.nameservers = "1.1.1.1", .port = -1);
    DNS_REFUSED(.nameservers = "1.1.1.1", .port = 65536);
    DNS_REFUSED(.nameservers = "1.1.1.1", .ndots = -1);
    DNS_REFUSED(.nameservers = "1.1.1.1", .attempts = -1);
    DNS_REFUSED(.nameservers = "1.1.1.1", .timeout = -1e-9);
    DNS_REFUSED(.nameservers = "1.1.1.1", .max_ttl = -1e-9);
    DNS_REFUSED(.nameservers = "1.1.1.1", .negative_ttl = -1e-9);
    DNS_REFUSED(.nameservers = "1.1.1.1#5x");
    DNS_REFUSED(.nameservers = "1.1.1.1#/");
    memset(longest, '1', 80);
    longest[80] = 0;
    DNS_REFUSED(.nameservers = longest);
    for (int i = 0; i < AIO__DNS_SERVERS; i++) strcat(many, "1.1.1.1 ");
    aio__dns *dns = (aio__dns *)(void *)aio_resolver_open(.nameservers = many, .no_hosts = true, .port = 65535);
    CHECK_INT(dns->server_count, AIO__DNS_SERVERS);
    CHECK_STR(dns->servers[0].text, "1.1.1.1:65535");
    CHECK(!dns->hosts);
    aio_resolver_close(&dns->base);
    strcat(many, "1.1.1.1");
    DNS_REFUSED(.nameservers = many);
    dns = (aio__dns *)(void *)aio_resolver_open(.nameservers = "1.1.1.1#1, 1.1.1.1:65535", .ndots = 1, .attempts = 1,
                                                .timeout = 1e-9, .max_ttl = 1, .negative_ttl = 1, .port = 1,
                                                .cache_size = -1, .resolv_conf = "/dev/null", .hosts = "/dev/null");
    CHECK_STR(dns->servers[0].text, "1.1.1.1:1");
    CHECK_STR(dns->servers[1].text, "1.1.1.1:65535");
    CHECK_INT(dns->ndots, 1);
    CHECK_INT(dns->attempts, 1);
    CHECK_NEAR(dns->timeout, 1e-9, 1e-12); /* 32 bits' registers are longer than a double */
    CHECK_INT(dns->max_ttl, 1);
    CHECK_INT(dns->negative_ttl, 1);
    CHECK_INT(dns->entry_limit, 0);
    CHECK_INT(dns->bucket_count, 64);
    dns_remember(dns, "a", 10, 0);
    CHECK_INT(dns->entry_count, 0);
    aio_resolver_close(&dns->base);
    dns = (aio__dns *)(void *)aio_resolver_open(.nameservers = "1.1.1.1", .resolv_conf = "/dev/null", .max_ttl = 1e300,
                                                .cache_size = 65);
    CHECK_INT(dns->max_ttl, INT32_MAX);
    CHECK_INT(dns->negative_ttl, 900);
    CHECK_INT(dns->bucket_count, 128);
    CHECK_INT(dns->ndots, 1);
    CHECK_INT(dns->attempts, 2);
    CHECK(dns->timeout == 5);
    CHECK(!dns->rotate && !dns->cased);
    aio_resolver_close(&dns->base);
    static const struct { int ndots, attempts, then_ndots, then_attempts; } most[] = {
        { 14, 4, 14, 4 }, { 15, 5, 15, 5 }, { 16, 6, 15, 5 }, { INT_MAX, INT_MAX, 15, 5 }
    };
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        dns = (aio__dns *)(void *)aio_resolver_open(.nameservers = "1.1.1.1", .resolv_conf = "/dev/null",
                                                    .ndots = most[i].ndots, .attempts = most[i].attempts);
        CHECK_INT(dns->ndots, most[i].then_ndots);
        CHECK_INT(dns->attempts, most[i].then_attempts);
        aio_resolver_close(&dns->base);
    }
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}

TEST(resolver_reads_resolv_conf)
{
    char path[64];
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    CHECK(dns_file(path, "; comment\nnameserver 10.0.0.1\nnameserver nonsense\n nameserver fe80::1\ndomain old.test\n"
                         "search a.test b.test # more\noptions ndots:3 timeout:7 attempts:99 rotate foo:1\n"
                         "options ndots:x"));
    aio__dns *dns = (aio__dns *)(void *)aio_resolver_open(.resolv_conf = path);
    CHECK(dns != NULL);
    CHECK_INT(dns->server_count, 2);
    CHECK_STR(dns->servers[0].text, "10.0.0.1:53");
    CHECK_INT(dns->search_count, 2);
    CHECK_BYTES(dns->search[1].wire, dns->search[1].length, "\1b\4test\0", 8);
    CHECK_INT(dns->ndots, 3);
    CHECK_NEAR(dns->timeout, 7, 0);
    CHECK_INT(dns->attempts, 5);
    CHECK(dns->rotate);
    aio_resolver_close(&dns->base);
    unlink(path);
    CHECK(dns_file(path, "nameserver 10.0.0.1\noptions ndots:99 timeout:99 attempts:4"));
    dns = (aio__dns *)(void *)aio_resolver_open(.resolv_conf = path);
    CHECK_INT(dns->ndots, 15);
    CHECK_NEAR(dns->timeout, 30, 0);
    CHECK_INT(dns->attempts, 4);
    aio_resolver_close(&dns->base);
    unlink(path);
    dns = (aio__dns *)(void *)aio_resolver_open(.resolv_conf = path); /* there is none */
    CHECK_STR(dns->servers[0].text, "127.0.0.1:53");
    aio_resolver_close(&dns->base);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}

/* A domain of a file's search list that is not valid costs itself, not those before or after it. */
TEST(resolver_search_of_a_file)
{
    static const struct { const char *list; int count; const char *first, *last; } lists[] = {
        { "good.test", 1, "\4good\4test", "\4good\4test" },
        { ".good.test", 1, "\4good\4test", "\4good\4test" },
        { ".bad.test good.test", 2, "\3bad\4test", "\4good\4test" },
        { "a..b good.test", 1, "\4good\4test", "\4good\4test" },
        { "good.test ..b", 1, "\4good\4test", "\4good\4test" },
        { "a.test xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx b.test", 2, "\1a\4test",
          "\1b\4test" },
        { "a\\b \x80 good.test", 1, "\4good\4test", "\4good\4test" },
        { "a b c d e f g h i j k l m n o p q", 16, "\1a", "\1p" },
        { ".", 1, "", "" },
        { "..", 0, "", "" },
    };
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char path[64], text[256];
        snprintf(text, sizeof text, "nameserver 10.0.0.1\nsearch %s\n", lists[i].list);
        CHECK(dns_file(path, text));
        aio__dns *dns = (aio__dns *)(void *)aio_resolver_open(.resolv_conf = path);
        CHECK(dns != NULL);
        CHECK_INT(dns->search_count, lists[i].count);
        for (int k = 0; dns->search_count && k < 2; k++) {
            const aio__dns_name *name = &dns->search[k ? dns->search_count - 1 : 0];
            const char *wanted = k ? lists[i].last : lists[i].first;
            CHECK_BYTES(name->wire, name->length, wanted, strlen(wanted) + 1);
        }
        aio_resolver_close(&dns->base);
        unlink(path);
    }
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}

/* A loop that ends while names are asked for. */
TEST(resolver_loop_is_closed)
{
    struct dns_fake fake;
    char servers[32];
    memset(&fake, 0, sizeof fake);
    while (!dns_listen(&fake)) {
        close(fake.udp);
        close(fake.tcp);
    }
    for (int i = 0; i < 3; i++) {
        aio_loop *loop = aio_new_event_loop();
        aio_set_event_loop(loop);
        aio_loop_set_exception_handler(loop, on_report, NULL);
        snprintf(servers, sizeof servers, "127.0.0.1:%d", fake.port);
        aio_resolver *resolver = aio_resolver_open(.nameservers = servers, .hosts = "/dev/null");
        aio_addresses_task *task = aio_create_task(aio_resolver_resolve(resolver, "a.test", 80));
        expect_report("was destroyed but it is pending");
        for (int steps = 0; i && steps < 4; steps++) {
            aio_loop_stop(loop);
            aio_loop_run_forever(loop);
        }
        if (i == 2) aio_resolver_close(resolver);
        aio_loop_close(loop);
        CHECK_PTR(now.wanted_report, NULL);
        now.reports = 0; /* one for each question */
        aio_unref(task);
        aio_set_event_loop(NULL);
        aio_loop_free(loop);
    }
    close(fake.udp);
    close(fake.tcp);
}

/* ---- messages ---- */
static bool dns_parses(const char *text)
{
    aio__dns_name name;
    return aio__dns_name_parse(&name, text, strlen(text));
}

TEST(resolver_names_are_checked)
{
    char label[70], name[300] = "", text[AIO__DNS_TEXT];
    aio__dns_name wire;
    memset(label, 'a', sizeof label);
    label[64] = 0;
    CHECK(!dns_parses(label));
    CHECK(dns_parses(label + 1));
    for (int i = 0; i < 127; i++) strcat(name, i ? ".a" : "a");
    CHECK(dns_parses(name)); /* 255 bytes as a message has it */
    strcat(name, "a");
    CHECK(!dns_parses(name));
    CHECK(dns_parses("."));
    CHECK(dns_parses("a.b."));
    CHECK(!dns_parses(""));
    CHECK(!dns_parses(".a"));
    CHECK(!dns_parses("a..b"));
    CHECK(!dns_parses("a b"));
    CHECK(!dns_parses("m\xc3\xbc.test"));
    static const unsigned char odd[] = "\4a.b\7\1\\\0";
    size_t at = 0;
    CHECK(aio__dns_name_read(&wire, odd, 8, &at));
    aio__dns_name_text(&wire, text);
    CHECK_STR(text, "a\\046b\\007.\\092");
    aio__dns_name_parse(&wire, "www.example.com", 15);
    CHECK_INT(aio__dns_name_text(&wire, text), 15);
    CHECK_STR(text, "www.example.com");
}

TEST(resolver_pointers_only_lead_back)
{
    unsigned char data[64] = { 0 };
    aio__dns_name name;
    memcpy(data + 12, "\1a\0\1b\300\14\300\17\300\25\300\0", 13);
    size_t at = 15;
    CHECK(aio__dns_name_read(&name, data, 64, &at)); /* b, then a */
    CHECK_INT(at, 19);
    CHECK_INT(name.length, 5);
    at = 19;
    CHECK(aio__dns_name_read(&name, data, 64, &at));
    at = 21; /* to itself */
    CHECK(!aio__dns_name_read(&name, data, 64, &at));
    at = 23; /* into the header */
    CHECK(!aio__dns_name_read(&name, data, 64, &at));
    at = 15; /* beyond the end */
    CHECK(!aio__dns_name_read(&name, data, 18, &at));
    data[30] = 0x40; /* a kind of label that is none */
    at = 30;
    CHECK(!aio__dns_name_read(&name, data, 64, &at));
    memcpy(data + 12, "\1a\0", 3); /* a chain of pointers: as many as a name may have, and one more */
    for (int i = 0; i <= AIO__DNS_POINTERS; i++) {
        data[15 + 2 * i] = 0xC0;
        data[16 + 2 * i] = (unsigned char)(i ? 13 + 2 * i : 12);
    }
    at = 13 + 2 * AIO__DNS_POINTERS;
    CHECK(aio__dns_name_read(&name, data, 64, &at));
    CHECK_INT(name.length, 3);
    at = 15 + 2 * AIO__DNS_POINTERS;
    CHECK(!aio__dns_name_read(&name, data, 64, &at));
}

/* Every cut of a good reply, and every byte of it changed, is refused or read without harm. */
TEST(resolver_bears_any_damage)
{
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    struct dns_fake fake;
    struct dns_out out;
    aio__dns_question question;
    size_t refused = 0;
    memset(&fake, 0, sizeof fake);
    memset(&question, 0, sizeof question);
    question.type = AIO_DNS_A;
    question.edns = true;
    aio__dns_name_parse(&question.name, "alias.test", 10);
    CHECK_INT(aio__dns_ask(&question), 0);
    dns_reply(&fake, &out, question.packet + 2, question.length, false);
    CHECK_INT(aio__dns_judge(out.bytes, out.length, &question), AIO__DNS_FITS);
    for (size_t n = 0; n < out.length; n++) {
        unsigned char *cut = (unsigned char *)malloc(n ? n : 1);
        memcpy(cut, out.bytes, n);
        int fate = aio__dns_judge(cut, n, &question);
        CHECK(fate == AIO__DNS_STRANGER || fate == AIO__DNS_BROKEN);
        free(cut);
    }
    for (size_t n = 0; n < 2; n++) {
        out.bytes[n] ^= 1;
        CHECK_INT(aio__dns_judge(out.bytes, out.length, &question), AIO__DNS_STRANGER);
        out.bytes[n] ^= 1;
    }
    for (size_t n = 2; n < out.length; n++) {
        aio__dns_message *changed = (aio__dns_message *)calloc(1, sizeof *changed + out.length);
        aio__dns_name name = question.name;
        int hops = 0;
        uint32_t ttl = UINT32_MAX;
        changed->length = out.length;
        memcpy(changed->data, out.bytes, out.length);
        changed->data[n] ^= 0xFF;
        if (aio__dns_judge(changed->data, out.length, &question) == AIO__DNS_FITS) {
            CHECK(aio__dns_follow(changed, &name, AIO_DNS_A, &hops, &ttl) <= AIO__DNS_TOO_LONG);
            CHECK(hops <= AIO__DNS_CHAIN + 1);
            CHECK(aio__dns_denial(changed) <= INT32_MAX);
        } else refused++;
        free(changed);
    }
    CHECK(refused >= question.name.length + (size_t)12); /* the counts and the question at least */
    out.bytes[out.length] = 0; /* one byte too many */
    CHECK_INT(aio__dns_judge(out.bytes, out.length + 1, &question), AIO__DNS_BROKEN);
    out.bytes[7]++; /* a record that is not there */
    CHECK_INT(aio__dns_judge(out.bytes, out.length, &question), AIO__DNS_BROKEN);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}

/* ---- messages, one by one ---- */

static void dns_asked(aio__dns_question *question, const char *name, int type)
{
    memset(question, 0, sizeof *question);
    aio__dns_name_parse(&question->name, name, strlen(name));
    question->type = type;
    question->id = 0x1234;
}

/* What is thought of the reply, when it ends where the memory ends. */
static int dns_judged(const struct dns_out *out, size_t length, const aio__dns_question *question)
{
    return aio__dns_judge((unsigned char *)at_the_edge(out->bytes, length), length, question);
}

TEST(resolver_names_to_the_byte)
{
    unsigned char data[300];
    aio__dns_name name;
    size_t at = 0;
    memset(data, 'a', sizeof data);
    data[0] = 63, data[64] = 0;
    CHECK(aio__dns_name_read(&name, (unsigned char *)at_the_edge(data, 65), 65, &at));
    CHECK_INT(name.length, 65);
    CHECK_INT(at, 65);
    for (size_t n = 0; n < 65; n++) {
        at = 0;
        CHECK(!aio__dns_name_read(&name, (unsigned char *)at_the_edge(data, n), n, &at));
    }
    data[0] = 64, data[65] = 0; /* a kind of label that is none */
    at = 0;
    CHECK(!aio__dns_name_read(&name, data, sizeof data, &at));
    memset(data, 'a', sizeof data);
    data[0] = data[64] = data[128] = 63;
    data[192] = 61, data[254] = 0; /* 255 bytes */
    at = 0;
    CHECK(aio__dns_name_read(&name, data, sizeof data, &at));
    CHECK_INT(name.length, 255);
    data[192] = 62, data[254] = 'a', data[255] = 0;
    at = 0;
    CHECK(!aio__dns_name_read(&name, data, sizeof data, &at));
    data[0] = 0xC0; /* a pointer without its second byte */
    at = 0;
    CHECK(!aio__dns_name_read(&name, (unsigned char *)at_the_edge(data, 1), 1, &at));
    CHECK(!dns_parses("a\x7f"));
    CHECK(!dns_parses("a\x80"));
    CHECK(!dns_parses("a\\b"));
    CHECK(dns_parses("a!~b"));
    name.length = 9;
    CHECK(!aio__dns_name_parse(&name, "a..b", 4));
    CHECK_INT(name.length, 0);
}

TEST(resolver_judges_questions)
{
    struct dns_out out;
    aio__dns_question question;
    dns_asked(&question, "a.test", AIO_DNS_A);
    dns_head(&out, "a.test", AIO_DNS_A, 1);
    CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_FITS);
    for (size_t n = 0; n < out.length; n++) CHECK_INT(dns_judged(&out, n, &question), AIO__DNS_STRANGER);
    out.bytes[2] |= 2;
    CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_CUT);
    dns_head(&out, "A.test", AIO_DNS_A, 1);
    CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_FITS);
    question.cased = true;
    CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_STRANGER);
    dns_head(&out, "a.test", AIO_DNS_AAAA, 1);
    CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_STRANGER);
    dns_head(&out, "a.test", AIO_DNS_A, 3);
    CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_STRANGER);
    dns_head(&out, "b.test", AIO_DNS_A, 1);
    CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_STRANGER);
    dns_head(&out, "a.test", AIO_DNS_A, 1);
    out.bytes[5] = 2;
    CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_STRANGER);
    out.bytes[5] = 1, out.bytes[2] = 0x01; /* a question */
    CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_STRANGER);
    out.bytes[2] = 0x89; /* another kind of query */
    CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_STRANGER);
}

/* Servers that know no EDNS say so in a bare header. */
TEST(resolver_judges_bare_headers)
{
    static const struct { int rcode, questions; size_t length; int fate; } rows[] = {
        { AIO__DNS_FORMERR, 0, 12, AIO__DNS_FITS }, { AIO__DNS_NOTIMP, 0, 12, AIO__DNS_FITS },
        { AIO__DNS_SERVFAIL, 0, 12, AIO__DNS_STRANGER }, { AIO__DNS_FORMERR, 1, 12, AIO__DNS_STRANGER },
        { AIO__DNS_FORMERR, 256, 12, AIO__DNS_STRANGER }, { AIO__DNS_FORMERR, 0, 13, AIO__DNS_STRANGER },
        { AIO__DNS_FORMERR, 0, 11, AIO__DNS_STRANGER },
    };
    struct dns_out out;
    aio__dns_question question;
    dns_asked(&question, "a.test", AIO_DNS_A);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dns_head(&out, "a.test", AIO_DNS_A, 1);
        out.bytes[3] = (unsigned char)rows[i].rcode;
        aio__dns_put16(out.bytes + 4, rows[i].questions);
        CHECK_INT(dns_judged(&out, rows[i].length, &question), rows[i].fate);
    }
}

/* Records whose data is, or is not, what their type says. */
TEST(resolver_judges_records)
{
    static const struct { int type, class_; size_t length; const char *data; bool fits; } rows[] = {
        { AIO_DNS_A, 1, 4, "abcd", true }, { AIO_DNS_A, 1, 3, "abc", false }, { AIO_DNS_A, 1, 5, "abcde", false },
        { AIO_DNS_A, 3, 5, "abcde", true }, { AIO_DNS_AAAA, 1, 16, "0123456789abcdef", true },
        { AIO_DNS_AAAA, 1, 15, "0123456789abcde", false }, { AIO_DNS_MX, 1, 5, "\0\1\1a\0", true },
        { AIO_DNS_MX, 1, 4, "\0\1\1a", false }, { AIO_DNS_MX, 1, 6, "\0\1\1a\0x", false },
        { AIO_DNS_SRV, 1, 9, "\0\1\0\2\0\3\1a\0", true }, { AIO_DNS_SRV, 1, 8, "\0\1\0\2\0\1a\0", false },
        { AIO_DNS_TXT, 1, 3, "\2hi", true }, { AIO_DNS_TXT, 1, 3, "\3hi", false }, { AIO_DNS_TXT, 1, 0, "", false },
        { AIO_DNS_TXT, 1, 4, "\2hi\0", true }, { 99, 1, 0, "", true }, { 99, 1, 2, "xy", true },
        { AIO_DNS_CNAME, 1, 1, "\0", true }, { AIO_DNS_CNAME, 1, 0, "", false },
        { AIO_DNS_SOA, 1, 22, "\0\0....................", true }, { AIO_DNS_SOA, 1, 21, "\0\0...................", false },
        { AIO_DNS_SOA, 1, 21, "\0....................", false },
    };
    struct dns_out out;
    aio__dns_question question;
    dns_asked(&question, "a.test", AIO_DNS_A);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dns_head(&out, "a.test", AIO_DNS_A, 1);
        size_t at = out.length + 4;
        dns_put_record(&out, 6, NULL, rows[i].type, 60, rows[i].data, rows[i].length);
        out.bytes[at + 1] = (unsigned char)rows[i].class_;
        CHECK_INT(dns_judged(&out, out.length, &question), rows[i].fits ? AIO__DNS_FITS : AIO__DNS_BROKEN);
        for (size_t n = at - 4; n < out.length; n++) CHECK_INT(dns_judged(&out, n, &question), AIO__DNS_BROKEN);
    }
    for (int i = 0; i < 4; i++) { /* EDNS: once, of the root, behind all else */
        dns_head(&out, "a.test", AIO_DNS_A, 1);
        dns_put_record(&out, i == 1 ? 6 : i == 3 ? 8 : 10, i == 2 ? "x" : ".", 41, 0, "", 0);
        CHECK_INT(dns_judged(&out, out.length, &question), i ? AIO__DNS_BROKEN : AIO__DNS_FITS);
        dns_put_record(&out, 10, ".", 41, 0, "", 0);
        CHECK_INT(dns_judged(&out, out.length, &question), AIO__DNS_BROKEN);
    }
}

static aio__dns_message *dns_message(const struct dns_out *out)
{
    aio__dns_message *message = (aio__dns_message *)calloc(1, sizeof *message + out->length);
    message->refs = 1;
    message->length = out->length;
    memcpy(message->data, out->bytes, out->length);
    return message;
}

static void dns_put_start_of_authority(struct dns_out *out, int section, unsigned long ttl, unsigned long minimum)
{
    struct dns_out data;
    data.length = 0;
    dns_put(&data, "\0\0", 2);
    for (unsigned long i = 1; i <= 4; i++) dns_put_number(&data, i, 4);
    dns_put_number(&data, minimum, 4);
    dns_put_record(out, section, "test", AIO_DNS_SOA, ttl, data.bytes, data.length);
}

static int64_t dns_denies(const struct dns_out *out)
{
    aio__dns_message *message = dns_message(out);
    int64_t seconds = aio__dns_denial(message);
    free(message);
    return seconds;
}

TEST(resolver_reads_denials)
{
    static const struct { unsigned long ttl, minimum; int64_t seconds; } rows[] = {
        { 300, 20, 20 }, { 10, 20, 10 }, { 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF }, { 300, 0x80000000, 0 },
        { 0x80000000, 20, 0 }, { 0, 0, 0 },
    };
    struct dns_out out;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dns_head(&out, "none.test", AIO_DNS_A, 1);
        dns_put_named(&out, 8, "test", AIO_DNS_NS, 60, "", 0, "ns.test"); /* not the one that is looked for */
        dns_put_start_of_authority(&out, 8, rows[i].ttl, rows[i].minimum);
        CHECK_INT(dns_denies(&out), rows[i].seconds);
    }
    dns_head(&out, "none.test", AIO_DNS_A, 1);
    CHECK_INT(dns_denies(&out), -1);
    dns_put_start_of_authority(&out, 6, 300, 20); /* an answer is no denial */
    dns_put_named(&out, 8, "test", AIO_DNS_NS, 60, "", 0, "ns.test");
    CHECK_INT(dns_denies(&out), -1);
    dns_head(&out, "none.test", AIO_DNS_A, 1);
    size_t at = out.length;
    dns_put_start_of_authority(&out, 8, 300, 20);
    out.bytes[at + 6 + 3] = 3; /* of another class */
    CHECK_INT(dns_denies(&out), -1);
    dns_head(&out, "none.test", AIO_DNS_A, 1);
    dns_put_start_of_authority(&out, 10, 300, 20); /* nor is what came besides */
    CHECK_INT(dns_denies(&out), -1);
}

/* Follows a name through the message: its fate, the time for which that holds, the hops. */
static int dns_followed(const struct dns_out *out, const char *from, uint32_t *ttl, int *hops, char *end)
{
    aio__dns_message *message = dns_message(out);
    aio__dns_name name;
    aio__dns_name_parse(&name, from, strlen(from));
    *ttl = UINT32_MAX;
    *hops = 0;
    int fate = aio__dns_follow(message, &name, AIO_DNS_A, hops, ttl);
    aio__dns_name_text(&name, end);
    free(message);
    return fate;
}

TEST(resolver_follows_in_a_message)
{
    struct dns_out out;
    char end[AIO__DNS_TEXT], name[8], next[8];
    uint32_t ttl;
    int hops;
    dns_head(&out, "a", AIO_DNS_A, 1);
    dns_put_record(&out, 6, "a", AIO_DNS_TXT, 1, "\1b", 2); /* data that a name could be read from */
    dns_put_named(&out, 6, "a", AIO_DNS_CNAME, 30, "", 0, "b");
    dns_put_named(&out, 6, "a", AIO_DNS_CNAME, 5, "", 0, "c"); /* the first one counts */
    dns_put_named(&out, 6, "b", AIO_DNS_CNAME, 50, "", 0, "d");
    dns_put_record(&out, 6, "d", AIO_DNS_A, 60, "abcd", 4);
    CHECK_INT(dns_followed(&out, "a", &ttl, &hops, end), AIO__DNS_FOUND);
    CHECK_STR(end, "d");
    CHECK_INT(ttl, 30);
    CHECK_INT(hops, 2);
    CHECK_INT(dns_followed(&out, "d", &ttl, &hops, end), AIO__DNS_FOUND);
    CHECK_INT(ttl, 60);
    CHECK_INT(hops, 0);
    CHECK_INT(dns_followed(&out, "c", &ttl, &hops, end), AIO__DNS_NONE);
    dns_put_record(&out, 6, "d", AIO_DNS_A, 20, "abcd", 4); /* the shortest time */
    dns_put_named(&out, 6, "d", AIO_DNS_CNAME, 1, "", 0, "c"); /* no alias beside what was asked for */
    CHECK_INT(dns_followed(&out, "b", &ttl, &hops, end), AIO__DNS_FOUND);
    CHECK_INT(ttl, 20);
    dns_put_record(&out, 8, "e", AIO_DNS_A, 20, "abcd", 4); /* not an answer */
    CHECK_INT(dns_followed(&out, "e", &ttl, &hops, end), AIO__DNS_NONE);
    out.bytes[3] |= AIO__DNS_NXDOMAIN;
    CHECK_INT(dns_followed(&out, "e", &ttl, &hops, end), AIO__DNS_NO_NAME);
    dns_head(&out, "a", AIO_DNS_A, 1);
    dns_put_named(&out, 6, "a", AIO_DNS_CNAME, 30, "", 0, "b");
    CHECK_INT(dns_followed(&out, "a", &ttl, &hops, end), AIO__DNS_ELSEWHERE);
    CHECK_STR(end, "b");
    dns_put_start_of_authority(&out, 8, 300, 20);
    CHECK_INT(dns_followed(&out, "a", &ttl, &hops, end), AIO__DNS_NONE);
    dns_head(&out, "n0", AIO_DNS_A, 1);
    for (int i = 0; i <= AIO__DNS_CHAIN; i++) {
        snprintf(name, sizeof name, "n%d", i);
        snprintf(next, sizeof next, "n%d", i + 1);
        dns_put_named(&out, 6, name, AIO_DNS_CNAME, 30, "", 0, next);
    }
    dns_put_record(&out, 6, next, AIO_DNS_A, 60, "abcd", 4);
    CHECK_INT(dns_followed(&out, "n1", &ttl, &hops, end), AIO__DNS_FOUND);
    CHECK_INT(hops, AIO__DNS_CHAIN);
    CHECK_INT(dns_followed(&out, "n0", &ttl, &hops, end), AIO__DNS_TOO_LONG);
}

TEST(resolver_writes_queries)
{
    aio__dns_question question;
    int id = 0;
    for (int i = 0; i < 16; i++) {
        bool edns = i % 2;
        memset(&question, 0xff, sizeof question);
        question.cased = false;
        question.edns = edns;
        question.type = AIO_DNS_MX;
        aio__dns_name_parse(&question.name, "aB", 2);
        CHECK_INT(aio__dns_ask(&question), 0);
        const unsigned char *at = question.packet + 2;
        id |= question.id;
        CHECK_INT(aio__dns_u16(at), question.id);
        CHECK_BYTES(at + 2, 10, edns ? "\1\0\0\1\0\0\0\0\0\1" : "\1\0\0\1\0\0\0\0\0\0", 10);
        CHECK_BYTES(at + 12, 8, "\2aB\0\0\17\0\1", 8);
        CHECK_INT(question.length, edns ? 31 : 20);
        CHECK_INT(aio__dns_u16(question.packet), question.length);
        if (edns) CHECK_BYTES(at + 20, 11, "\0\0\51\4\320\0\0\0\0\0\0", 11);
    }
    CHECK(id != 0);
}

/* ---- the cache, without servers ---- */

static bool dns_recalls(aio__dns *dns, const char *name, int type)
{
    aio__dns_found found;
    memset(&found, 0, sizeof found);
    found.type = type;
    aio__dns_name_parse(&found.name, name, strlen(name));
    bool is = aio__dns_recall(dns, &found);
    if (is) CHECK_INT(found.message->refs, 2); /* the cache's and ours */
    aio__dns_message_drop(dns->loop, &found.message);
    return is;
}

TEST(resolver_cache)
{
    enum { MANY = 300 };
    char name[16];
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio__dns *dns = (aio__dns *)(void *)aio_resolver_open(.nameservers = "127.0.0.1", .cache_size = MANY);
    dns->bucket_count = 4; /* chains */
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d", i);
        dns_remember(dns, name, 10, 0);
    }
    CHECK_INT(dns->entry_count, MANY);
    dns_remember(dns, "n7", 20, 0); /* in place of the old one */
    CHECK_INT(dns->entry_count, MANY);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "n%d", i);
        CHECK(dns_recalls(dns, name, AIO_DNS_A));
    }
    CHECK(!dns_recalls(dns, "n7", AIO_DNS_AAAA));
    CHECK(dns_recalls(dns, "n0", AIO_DNS_A)); /* now n1 is the one not used for the longest time */
    dns_remember(dns, "new", 1, 0);
    CHECK_INT(dns->entry_count, MANY);
    CHECK(!dns_recalls(dns, "n1", AIO_DNS_A));
    clock_advance(0.999999999);
    CHECK(dns_recalls(dns, "new", AIO_DNS_A));
    clock_advance(0.000000001); /* its second is over */
    CHECK(!dns_recalls(dns, "new", AIO_DNS_A));
    CHECK_INT(dns->entry_count, MANY - 1);
    clock_advance(9);
    CHECK(!dns_recalls(dns, "n0", AIO_DNS_A));
    CHECK(dns_recalls(dns, "N7", AIO_DNS_A));
    aio_resolver_clear_cache(&dns->base);
    CHECK_INT(dns->entry_count, 0);
    dns_remember(dns, "long", 10, AIO__DNS_KEPT);
    dns_remember(dns, "longer", 10, AIO__DNS_KEPT + 1);
    dns_remember(dns, "none", 0, 0);
    CHECK_INT(dns->entry_count, 1);
    CHECK(dns_recalls(dns, "long", AIO_DNS_A));
    aio_resolver_close(&dns->base);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}

static int64_t dns_lifetime(const aio__dns *dns, const struct dns_out *out)
{
    aio__dns_message *message = dns_message(out);
    aio__dns_name name;
    aio__dns_name_parse(&name, "a", 1);
    int64_t seconds = aio__dns_lifetime(dns, message, &name, AIO_DNS_A);
    free(message);
    return seconds;
}

TEST(resolver_times_of_answers)
{
    static aio__dns dns;
    struct dns_out out;
    dns.max_ttl = 100;
    dns.negative_ttl = 15;
    dns_head(&out, "a", AIO_DNS_A, 1);
    CHECK_INT(dns_lifetime(&dns, &out), -1); /* a denial that does not say for how long */
    dns_put_start_of_authority(&out, 8, 300, 20);
    CHECK_INT(dns_lifetime(&dns, &out), 15);
    dns.negative_ttl = 20;
    CHECK_INT(dns_lifetime(&dns, &out), 20);
    dns.negative_ttl = 21;
    CHECK_INT(dns_lifetime(&dns, &out), 20);
    dns.max_ttl = 19;
    CHECK_INT(dns_lifetime(&dns, &out), 19);
    dns.max_ttl = 100;
    dns_head(&out, "a", AIO_DNS_A, 1);
    dns_put_record(&out, 6, "a", AIO_DNS_A, 99, "abcd", 4);
    CHECK_INT(dns_lifetime(&dns, &out), 99);
    dns_head(&out, "a", AIO_DNS_A, 1);
    dns_put_record(&out, 6, "a", AIO_DNS_A, 101, "abcd", 4);
    CHECK_INT(dns_lifetime(&dns, &out), 100);
    dns_head(&out, "a", AIO_DNS_A, 1);
    dns_put_named(&out, 6, "a", AIO_DNS_CNAME, 30, "", 0, "b");
    CHECK_INT(dns_lifetime(&dns, &out), 30);
    dns_head(&out, "a", AIO_DNS_A, 1);
    dns_put_named(&out, 6, "a", AIO_DNS_CNAME, 30, "", 0, "a"); /* a ring */
    CHECK_INT(dns_lifetime(&dns, &out), 0);
}

/* ---- words of files, and arguments ---- */
TEST(resolver_reads_words)
{
    static const char line[] = " ab\tc ";
    const char *text = at_the_edge(line, 6), *at = text, *end = text + 6;
    aio_text word = aio__dns_word(&at, end, " \t");
    CHECK_BYTES(word.data, word.length, "ab");
    CHECK(aio__dns_word_is(word, "AB"));
    CHECK(!aio__dns_word_is(word, "a"));
    CHECK(!aio__dns_word_is(word, "abc"));
    CHECK(!aio__dns_word_is(word, "ac"));
    word = aio__dns_word(&at, end, " \t");
    CHECK_BYTES(word.data, word.length, "c");
    word = aio__dns_word(&at, end, " \t");
    CHECK_INT(word.length, 0);
    CHECK_PTR(at, end);
    CHECK(aio__dns_is_localhost("localhost", 9));
    CHECK(aio__dns_is_localhost("a.LocalHost", 11));
    CHECK(!aio__dns_is_localhost("alocalhost", 10));
    CHECK(!aio__dns_is_localhost("ocalhost", 8));
    CHECK(!aio__dns_is_localhost("localhosts", 10));
    CHECK(!aio__dns_is_localhost("local.host", 10));
}

/* How many addresses a hosts file's text has for "a.test". */
static int dns_hosts(const char *text, int family)
{
    static struct aio__dns_resolve self;
    aio__node given;
    aio__ring_clear(&given);
    aio_addresses *addresses = aio__addresses_new(&given, AIO__ADDRESSES_MAX, 0);
    self.family = family;
    self.port = 1;
    aio__dns_hosts(&self, text, "a.test", 6, aio__addresses_list(addresses));
    int count = aio__addresses_list(addresses)->count;
    aio_addresses_free(addresses);
    return count;
}

TEST(resolver_hosts_of_a_text)
{
    static const struct { const char *text; int all, four; } rows[] = {
        { "", 0, 0 }, { "192.0.2.1 a.test", 1, 1 }, { "192.0.2.1 b a.test c\n::1 A.TEST\n", 2, 1 },
        { "192.0.2.1 b # a.test\n", 0, 0 }, { "\n\n   \n192.0.2.1\ta.test\r\n", 1, 1 }, { "192.0.2.256 a.test\n", 0, 0 },
        { "a.test a.test\n", 0, 0 }, { "192.0.2.1 a.testing a.tes\n", 0, 0 }, { "#\n192.0.2.1 a.test", 1, 1 },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa a.test\n192.0.2.1 a.test", 1, 1 },
        { "1111:2222:3333:4444:5555:6666:123.123.123.1231 a.test\n192.0.2.1 a.test", 1, 1 },
    };
    char many[64 * 1024];
    size_t n = 0;
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK_INT(dns_hosts(rows[i].text, 0), rows[i].all);
        CHECK_INT(dns_hosts(rows[i].text, AF_INET), rows[i].four);
    }
    for (int i = 0; i <= AIO__ADDRESSES_MAX; i++)
        n += (size_t)snprintf(many + n, sizeof many - n, "192.0.2.%d a.test\n", i % 256);
    CHECK_INT(dns_hosts(many, 0), AIO__ADDRESSES_MAX);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}

/* Whether the question fails at once, with EINVAL; it is cancelled before it is asked. */
static bool dns_is_wrong(void *asked)
{
    aio_future *f = (aio_future *)asked;
    CHECK(f != NULL);
    bool wrong = f->state == AIO__DONE;
    if (wrong) CHECK_INT(aio_future_exception(f)->code, EINVAL);
    else {
        CHECK(aio_create_task((aio_task *)f) != NULL);
        CHECK(aio_task_cancel((aio_task *)f));
        CHECK_INT(aio__run_until_done(f->loop, f), 0);
    }
    aio_unref(f);
    return wrong;
}

TEST(resolver_arguments_are_checked)
{
    char label[70];
    memset(label, 'a', 64);
    label[64] = 0;
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_resolver *r = aio_resolver_open(.nameservers = "127.0.0.1");
    CHECK(!dns_is_wrong(aio_resolver_query(r, "0/25.2.0.192.in-addr.arpa", AIO_DNS_PTR)));
    CHECK(!dns_is_wrong(aio_resolver_query(r, "a", 65535)));
    CHECK(!dns_is_wrong(aio_resolver_query(r, "a", 1)));
    CHECK(!dns_is_wrong(aio_resolver_query(r, "a", 255)));
    CHECK(!dns_is_wrong(aio_resolver_query(r, "a", 256)));
    CHECK(!dns_is_wrong(aio_resolver_query(r, "a", 248)));
    CHECK(!dns_is_wrong(aio_resolver_query(r, "a", 42)));
    CHECK(dns_is_wrong(aio_resolver_query(r, "a", 41))); /* OPT */
    for (int type = 249; type < 255; type++) CHECK(dns_is_wrong(aio_resolver_query(r, "a", type))); /* TKEY to MAILA */
    CHECK(dns_is_wrong(aio_resolver_query(r, "a", 65536)));
    CHECK(dns_is_wrong(aio_resolver_query(r, "a", -1)));
    CHECK(dns_is_wrong(aio_resolver_query(r, "a", 0)));
    CHECK(dns_is_wrong(aio_resolver_query(r, "", 1)));
    CHECK(dns_is_wrong(aio_resolver_query(r, NULL, AIO_DNS_PTR)));
    CHECK(dns_is_wrong(aio_resolver_query(r, "a..b", 1)));
    CHECK(dns_is_wrong(aio_resolver_query(r, label, 1)));
    CHECK(dns_is_wrong(aio_resolver_query(NULL, "a", 1)));
    CHECK(!dns_is_wrong(aio_resolver_resolve(r, "a", 1)));
    CHECK(!dns_is_wrong(aio_resolver_resolve(r, "a", 1, .family = AF_INET6)));
    CHECK(!dns_is_wrong(aio_resolver_resolve(r, "a", 65535, .family = AF_INET)));
    CHECK(dns_is_wrong(aio_resolver_resolve(r, "a", 65536)));
    CHECK(dns_is_wrong(aio_resolver_resolve(r, "a", -1)));
    CHECK(dns_is_wrong(aio_resolver_resolve(r, "a", 1, .family = AF_UNIX)));
    CHECK(dns_is_wrong(aio_resolver_resolve(r, "", 1)));
    CHECK(dns_is_wrong(aio_resolver_resolve(r, NULL, 1)));
    CHECK(dns_is_wrong(aio_resolver_resolve(r, "a/b", 1)));
    CHECK(dns_is_wrong(aio_resolver_resolve(NULL, "a", 1)));
    aio_resolver_close(r);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}
