/* stream: one end of a connection, for the tests against real counterparts. Prints what it sees, one fact a line; an
 * error goes to stderr with its name, and ends it with 1.
 *
 *   stream line HOST PORT [NAME=VALUE...]   sends a line, prints the line that comes back
 *   stream hold HOST PORT [NAME=VALUE...]   the same, then prints how it ends
 *   stream pour HOST PORT [NAME=VALUE...]   sends `bytes` of a pattern while it reads them back; over TCP it then
 *                                           ends its direction, and reads the end of the other
 *   stream count HOST PORT [NAME=VALUE...]  sends `bytes`, ends its direction, prints the line that comes back
 *   stream serve [NAME=VALUE...]            an echo server: prints its port, ends with SIGTERM
 *
 * HOST may be a path, of a unix socket. Names: ca, host (expected in the certificate), cert, key, alpn, bytes, tls=1, proxy,
 * client_cert=1 (serve: ask for one), times (line: connections, one after the other), min, max (versions), ciphers,
 * fingerprint, guest, guest_cert, guest_key (serve: what clients get that ask for that name). */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *ca, *host, *cert, *key, *alpn, *proxy, *min, *max, *ciphers, *fingerprint;
    const char *guest, *guest_cert, *guest_key;
    size_t      bytes;
    int         times;
    bool        tls, client_cert;
} with;

static bool read_option(const char *text)
{
    const char *value = strchr(text, '=');
    if (!value++) return false;
    if (!strncmp(text, "ca=", 3)) with.ca = value;
    else if (!strncmp(text, "host=", 5)) with.host = value;
    else if (!strncmp(text, "proxy=", 6)) with.proxy = value;
    else if (!strncmp(text, "cert=", 5)) with.cert = value;
    else if (!strncmp(text, "key=", 4)) with.key = value;
    else if (!strncmp(text, "alpn=", 5)) with.alpn = value;
    else if (!strncmp(text, "min=", 4)) with.min = value;
    else if (!strncmp(text, "max=", 4)) with.max = value;
    else if (!strncmp(text, "ciphers=", 8)) with.ciphers = value;
    else if (!strncmp(text, "fingerprint=", 12)) with.fingerprint = value;
    else if (!strncmp(text, "guest=", 6)) with.guest = value;
    else if (!strncmp(text, "guest_cert=", 11)) with.guest_cert = value;
    else if (!strncmp(text, "guest_key=", 10)) with.guest_key = value;
    else if (!strncmp(text, "times=", 6)) with.times = atoi(value);
    else if (!strncmp(text, "bytes=", 6)) with.bytes = (size_t)strtoull(value, NULL, 10);
    else if (!strncmp(text, "tls=", 4)) with.tls = true;
    else if (!strncmp(text, "client_cert=", 12)) with.client_cert = true;
    else return false;
    return true;
}

static aio_tls_context *context;
static bool make_context(bool server)
{
    if (!with.tls) return true;
    context = aio_tls_context_create(.ca_file = with.ca, .cert_file = with.cert, .key_file = with.key,
                                     .alpn = with.alpn, .server = server, .require_client_cert = with.client_cert,
                                     .min_version = with.min, .max_version = with.max, .ciphers = with.ciphers,
                                     .fingerprint = with.fingerprint);
    bool done = context != NULL;
    if (done && with.guest) {
        aio_tls_context *guest = aio_tls_context_create(.server = true, .cert_file = with.guest_cert,
                                                        .key_file = with.guest_key);
        done = guest && aio_tls_context_add_host(context, with.guest, guest) == 0;
        aio_tls_context_unref(guest);
    }
    if (!done) fprintf(stderr, "%s\n", aio_tls_context_error());
    return done;
}

static char pattern(size_t i) { return (char)('a' + i % 23); }

struct pour { aio_task task; aio_stream *stream; size_t bytes, sent; char block[5000]; };
static AIO_CORO(pour)
{
    AIO_BEGIN(pour);
    while (self->sent < self->bytes) {
        size_t n;
        for (n = 0; n < sizeof self->block && self->sent < self->bytes; n++) self->block[n] = pattern(self->sent++);
        aio_stream_write(self->stream, self->block, n);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_END;
}

/* Reads `bytes` of the pattern. */
struct drink { aio_task task; aio_stream *stream; size_t bytes, got; aio_text text; };
static AIO_CORO(drink)
{
    AIO_BEGIN(drink);
    while (self->got < self->bytes) {
        AIO_AWAIT(self->text, aio_stream_read(self->stream, 65536));
        if (!self->text.length) AIO_RAISE(EPROTO, "only %zu bytes came back", self->got);
        for (size_t i = 0; i < self->text.length; i++)
            if (self->text.data[i] != pattern(self->got++)) AIO_RAISE(EPROTO, "byte %zu is another", self->got - 1);
    }
    printf("%zu bytes came back\n", self->got);
    AIO_END;
}

static void print_stream(aio_stream *stream)
{
    char alpn[64];
    if (aio_stream_tls_version(stream)) printf("version %s\n", aio_stream_tls_version(stream));
    if (aio_stream_tls_cipher(stream)) printf("cipher %s\n", aio_stream_tls_cipher(stream));
    if (aio_stream_alpn(stream, alpn, sizeof alpn)) printf("alpn %s\n", alpn);
    if (aio_stream_tls_server_name(stream)) printf("asked for %s\n", aio_stream_tls_server_name(stream));
    aio_certificate *shown = aio_stream_peer_certificate(stream);
    if (shown) printf("peer %s, %s\n", shown->subject, shown->fingerprint);
    aio_certificate_free(shown);
    if (aio_stream_tls_version(stream)) printf("resumed %s\n", aio_stream_tls_reused(stream) ? "yes" : "no");
    fflush(stdout);
}

struct client {
    aio_task task; const char *what, *host; int port;
    aio_stream *stream; aio_text text; aio_task_group *group; aio_future *closed;
};
static AIO_CORO(client)
{
    AIO_BEGIN(client);
    while (with.times-- > 1) AIO_AWAIT(AIO_CALL(client, .what = self->what, .host = self->host, .port = self->port));
    if (*self->host == '/') AIO_AWAIT(self->stream, aio_open_unix_connection(self->host));
    else AIO_AWAIT(self->stream, aio_open_connection(self->host, self->port, .tls_context = context,
                                                     .server_hostname = with.host, .proxy = with.proxy));
    print_stream(self->stream);
    if (!strcmp(self->what, "pour")) {
        AIO_TASK_GROUP(self->group) {
            aio_task_group_create_task(self->group, AIO_CALL(pour, .stream = self->stream, .bytes = with.bytes));
            aio_task_group_create_task(self->group, AIO_CALL(drink, .stream = self->stream, .bytes = with.bytes));
        }
    } else if (!strcmp(self->what, "count")) {
        AIO_AWAIT(AIO_CALL(pour, .stream = self->stream, .bytes = with.bytes));
        aio_stream_write_eof(self->stream);
        AIO_AWAIT(self->text, aio_stream_readline(self->stream));
        printf("line %s", self->text.data);
    } else {
        aio_stream_write(self->stream, "hello, world\n", 13);
        AIO_AWAIT(self->text, aio_stream_readline(self->stream));
        printf("line %s", self->text.data);
        fflush(stdout);
    }
    if (!strcmp(self->what, "hold") || !with.tls) {
        if (!with.tls && strcmp(self->what, "count") != 0) aio_stream_write_eof(self->stream);
        AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
        printf("end after %zu more bytes\n", self->text.length);
    }
    self->closed = aio_stream_wait_closed(self->stream);
    self->stream = NULL;
    AIO_AWAIT(self->closed);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
    AIO_END;
}

struct echo { aio_task task; aio_stream *stream; aio_text text; };
static AIO_CORO(echo)
{
    AIO_BEGIN(echo);
    print_stream(self->stream);
    AIO_ASYNC_FOR(self->text, aio_stream_read(self->stream, 65536)) {
        aio_stream_write(self->stream, self->text.data, self->text.length);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_END;
}
static void *echo_handler(aio_stream *stream, void *arg) { (void)arg; return AIO_CALL(echo, .stream = stream); }

static void stop(void *event) { aio_event_set((aio_event *)event); }

struct serve { aio_task task; aio_server *server; aio_event stopped; };
static AIO_CORO(serve)
{
    AIO_BEGIN(serve);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = context));
    if (aio_loop_add_signal_handler(aio_get_running_loop(), SIGTERM, stop, &self->stopped)) AIO_RAISE(EINVAL);
    printf("port %d\n", aio_server_port(self->server));
    fflush(stdout);
    AIO_AWAIT(aio_event_wait(&self->stopped));
    AIO_FINALLY;
        if (self->server) {
            aio_server_close_clients(self->server);
            AIO_AWAIT(aio_server_wait_closed(self->server));
        }
    AIO_END;
}

int main(int argc, char **argv)
{
    bool server = argc > 1 && !strcmp(argv[1], "serve");
    for (int i = server ? 2 : 4; i < argc; i++)
        if (!read_option(argv[i])) return 2;
    if (argc < (server ? 2 : 4)) return 2;
    int code = !make_context(server) ? 1
             : server ? aio_run(AIO_CALL(serve))
             : aio_run(AIO_CALL(client, .what = argv[1], .host = argv[2], .port = atoi(argv[3])));
    aio_tls_context_unref(context);
    return code;
}
