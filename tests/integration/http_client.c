/* http_client: requests to real servers. Prints "STATUS LENGTH HASH ETAG" for each, in the order in which they end, and
 * how many had a connection that was used before.
 *
 *   http_client [NAME=VALUE...] URL...
 *
 * Names: method (GET), count (requests of each URL, 1), limit (connections, 1), bytes (of a body to send), file (the
 * same, its contents), ca, cert, key, header=NAME:VALUE, pause (seconds between two requests, then one after the
 * other), unix (the path of a socket), fingerprint, deny=1 (private addresses), proxy, proxy_ca,
 * proxy_digest=NAME:PASSWORD, trust=1 (what the environment says of proxies), crl (a file of revoked certificates),
 * chunked=1, expect=1 (100-continue), compress=1 (the body, by gzip), parts=1 (the answer has several: "TYPE RANGE
 * LENGTH HASH" of each). */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1000 };
static struct {
    const char *method, *ca, *header[3], *proxy, *proxy_ca;
    int         count, limit;
    double      pause;
    char       *body;
    size_t      bytes;
    bool        trust;
    const char *cert, *key, *unix_path, *fingerprint, *crl;
    aio_digest_auth *proxy_digest;
    bool        deny, chunked, expect, compress, parts;
} with = { "GET", NULL, { NULL, NULL, NULL }, NULL, NULL, 1, 1, 0, NULL, 0, false, NULL, NULL, NULL, NULL, NULL,
           NULL, false, false, false, false, false };
static aio_session *session;
static int reused;

static unsigned hash(const char *data, size_t length)
{
    unsigned h = 2166136261u;
    for (size_t i = 0; i < length; i++) h = (h ^ (unsigned char)data[i]) * 16777619u;
    return h;
}

struct parts { aio_task task; aio_response *response; aio_multipart *all; aio_part *part; aio_text text; };
static AIO_CORO(parts)
{
    AIO_BEGIN(parts);
    self->all = aio_response_multipart(self->response);
    if (!self->all) AIO_RAISE(errno);
    AIO_ASYNC_FOR(self->part, aio_multipart_next(self->all)) {
        AIO_AWAIT(self->text, aio_part_read(self->part));
        printf("%s %s %zu %08x\n", self->part->type, aio_headers_get(&self->part->headers, "Content-Range").data,
               self->text.length, hash(self->text.data, self->text.length));
    }
    AIO_FINALLY;
        aio_multipart_close(self->all);
    AIO_END;
}

struct fetch { aio_task task; const char *url; aio_response *response; aio_text text, etag; };
static AIO_CORO(fetch)
{
    AIO_BEGIN(fetch);
    AIO_AWAIT(self->response, aio_session_request(session, with.method, self->url,
                                                  .data = with.body, .data_length = with.bytes,
                                                  .chunked = with.chunked, .expect100 = with.expect,
                                                  .expect100_timeout = 20,
                                                  .compress = with.compress ? AIO_CODING_GZIP : 0,
                                                  .headers = with.header[0] ? with.header : NULL));
    if (with.parts) AIO_AWAIT(AIO_CALL(parts, .response = self->response));
    else AIO_AWAIT(self->text, aio_response_read(self->response));
    self->etag = aio_headers_get(&self->response->headers, "ETag");
    printf("%d %zu %08x %s\n", self->response->status, self->text.length, hash(self->text.data, self->text.length),
           self->etag.data ? self->etag.data : "-");
    reused += self->response->times.reused;
    AIO_FINALLY;
        aio_response_release(self->response);
    AIO_END;
}

struct run { aio_task task; int url_count, made; char **urls; struct fetch *fetches[MOST];
             aio_tls_context *proxy; aio_connector *connector; };
static AIO_CORO(run)
{
    AIO_BEGIN(run);
    if (with.proxy_ca && !(self->proxy = aio_tls_context_create(.ca_file = with.proxy_ca)))
        AIO_RAISE(AIO_ETLS, "%s", aio_tls_context_error());
    self->connector = aio_connector_open(.limit = with.limit, .unix_path = with.unix_path, .deny_private = with.deny);
    if (!self->connector) AIO_RAISE(ENOMEM);
    session = aio_session_open(.connector = self->connector, .timeout = { .total = 60 },
                               .tls = { .ca_file = with.ca, .cert_file = with.cert, .key_file = with.key,
                                        .fingerprint = with.fingerprint, .crl_file = with.crl },
                               .proxy = with.proxy, .proxy_tls_context = self->proxy,
                               .proxy_digest = with.proxy_digest, .trust_env = with.trust);
    if (!session) AIO_RAISE(errno, "%s", errno == AIO_ETLS ? aio_tls_context_error() : "no session");
    for (; self->made < self->url_count * with.count && self->made < MOST; self->made++) {
        self->fetches[self->made] = aio_create_task(AIO_CALL(fetch, .url = self->urls[self->made / with.count]));
        if (with.pause <= 0) continue;
        AIO_AWAIT(aio_ref(self->fetches[self->made]));
        AIO_AWAIT(aio_sleep(with.pause));
    }
    AIO_AWAIT(aio_gather(self->fetches, (size_t)self->made));
    printf("reused %d\n", reused);
    AIO_FINALLY;
        aio_unref_all(self->fetches, (size_t)self->made);
        aio_tls_context_unref(self->proxy);
        aio_connector_unref(self->connector);
        AIO_AWAIT(aio_session_close(session));
    AIO_END;
}

static bool make_body(size_t bytes, const char *path)
{
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (path && (!file || fseek(file, 0, SEEK_END) || (bytes = (size_t)ftell(file)) > (1u << 30))) return false;
    with.bytes = bytes;
    with.body = (char *)malloc(bytes + 1);
    if (!with.body) return false;
    for (size_t i = 0; i < bytes; i++) with.body[i] = (char)('a' + i % 23);
    bool done = !file || (fseek(file, 0, SEEK_SET) == 0 && fread(with.body, 1, bytes, file) == bytes);
    if (file) fclose(file);
    return done;
}

static bool read_option(char *text)
{
    char *value = strchr(text, '=') + 1, *colon = strchr(value, ':');
    if (!strncmp(text, "method=", 7)) with.method = value;
    else if (!strncmp(text, "count=", 6)) with.count = atoi(value);
    else if (!strncmp(text, "limit=", 6)) with.limit = atoi(value);
    else if (!strncmp(text, "pause=", 6)) with.pause = atof(value);
    else if (!strncmp(text, "ca=", 3)) with.ca = value;
    else if (!strncmp(text, "cert=", 5)) with.cert = value;
    else if (!strncmp(text, "key=", 4)) with.key = value;
    else if (!strncmp(text, "unix=", 5)) with.unix_path = value;
    else if (!strncmp(text, "fingerprint=", 12)) with.fingerprint = value;
    else if (!strncmp(text, "deny=", 5)) with.deny = true;
    else if (!strncmp(text, "chunked=", 8)) with.chunked = true;
    else if (!strncmp(text, "expect=", 7)) with.expect = true;
    else if (!strncmp(text, "compress=", 9)) with.compress = true;
    else if (!strncmp(text, "parts=", 6)) with.parts = true;
    else if (!strncmp(text, "proxy=", 6)) with.proxy = value;
    else if (!strncmp(text, "proxy_ca=", 9)) with.proxy_ca = value;
    else if (!strncmp(text, "crl=", 4)) with.crl = value;
    else if (!strncmp(text, "trust=", 6)) with.trust = true;
    else if (!strncmp(text, "bytes=", 6)) return make_body((size_t)strtoull(value, NULL, 10), NULL);
    else if (!strncmp(text, "file=", 5)) return make_body(0, value);
    else if (!strncmp(text, "header=", 7) && colon) {
        *colon = '\0';
        with.header[0] = value;
        with.header[1] = colon + 1;
    } else if (!strncmp(text, "proxy_digest=", 13) && colon) {
        *colon = '\0';
        with.proxy_digest = aio_digest_auth_open(value, colon + 1);
    } else return false;
    return true;
}

int main(int argc, char **argv)
{
    int i = 1, code;
    for (; i < argc && strncmp(argv[i], "http", 4) != 0; i++)
        if (!strchr(argv[i], '=') || !read_option(argv[i])) return 2;
    code = aio_run(AIO_CALL(run, .url_count = argc - i, .urls = argv + i));
    free(with.body);
    aio_digest_auth_unref(with.proxy_digest);
    return code;
}
