/* a chat server: chat PORT UNIX_SOCKET [CERTIFICATE.pem]; a guest's first line is the name. Alone it shows itself. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct guest { aio_task task; aio_stream *stream; aio_text line; char name[20]; int seat; };
static struct guest *guests[200];

static void tell_all(const char *name, const char *text, size_t length)
{
    const aio_text pieces[] = { { name, strlen(name) }, { ": ", 2 }, { text, length } };
    for (int i = 0; i < 200; i++) {
        if (guests[i]) aio_stream_writelines(guests[i]->stream, pieces, 3);     /* nobody waits for a slow one, */
        if (guests[i] && aio_stream_write_buffer_size(guests[i]->stream) > 1000000)
            aio_stream_abort(guests[i]->stream);                                /* who is put out in the end */
    }
}
static AIO_CORO(guest)
{
    AIO_BEGIN(guest);
    AIO_AWAIT(self->line, aio_stream_readline(self->stream));
    snprintf(self->name, sizeof self->name, "%.*s", (int)self->line.length, self->line.data);
    self->name[strcspn(self->name, "\r\n")] = 0;
    while (guests[self->seat]) self->seat++;
    guests[self->seat] = self;
    tell_all(self->name, "came\n", 5);
    AIO_ASYNC_FOR(self->line, aio_stream_readline(self->stream))
        tell_all(self->name, self->line.data, self->line.length);
    AIO_FINALLY;
        if (guests[self->seat] == self) guests[self->seat] = NULL, tell_all(self->name, "went\n", 5);
    AIO_END;
}
static void *welcome(aio_stream *stream, void *arg) { return (void)arg, AIO_CALL(guest, .stream = stream); }

struct chat { aio_task task; int port; const char *path; aio_tls_context *tls; aio_server *tcp, *local;
              aio_stream *alice, *bob; aio_text text; };
static AIO_CORO(chat)
{
    AIO_BEGIN(chat);
    AIO_AWAIT(self->tcp, aio_start_server(welcome, NULL, NULL, self->port, .tls_context = self->tls,
                                          .max_clients = 100));
    AIO_AWAIT(self->local, aio_start_unix_server(welcome, NULL, self->path, .max_clients = 100));
    if (self->port) AIO_AWAIT(aio_server_serve_forever(self->tcp));             /* until Ctrl-C */
    AIO_AWAIT(self->alice, aio_open_connection("127.0.0.1", aio_server_port(self->tcp)));
    AIO_AWAIT(self->bob, aio_open_unix_connection(self->path));
    aio_stream_write(self->alice, "Alice\n", 6);
    AIO_AWAIT(self->text, aio_stream_readline(self->alice));                    /* Alice: came */
    aio_stream_write(self->bob, "Bob\nhello\n", 10);
    aio_stream_write_eof(self->bob);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->alice, "went\n", 5));
    printf("Alice reads:\n%.*s", (int)self->text.length, self->text.data);
    AIO_FINALLY;
        aio_stream_close(self->alice), aio_stream_close(self->bob);
        aio_server_close_clients(self->local);
        if (self->tcp) AIO_AWAIT(aio_server_wait_closed(self->tcp));
        if (self->local) AIO_AWAIT(aio_server_wait_closed(self->local));
    AIO_END;
}
int main(int argc, char **argv)
{
    aio_tls_context *tls = argc > 3 ? aio_tls_context_create(.cert_file = argv[3], .server = true) : NULL;
    if (argc > 3 && !tls) return fprintf(stderr, "%s\n", aio_tls_context_error()), 1;
    int status = aio_run(AIO_CALL(chat, .port = argc > 2 ? atoi(argv[1]) : 0,
                                  .path = argc > 2 ? argv[2] : "/tmp/chat-demo", .tls = tls));
    aio_tls_context_unref(tls);
    return status;
}
