/* A relay before a database's server, for the programs that try the examples' clients: of what the server says it
 * passes on so many bytes. Then it cuts the connection; or it holds it, cancels who waits for the rest, and passes that
 * on late. every_byte does so with one byte more each time: an error, or a cancel, and the same client, whose pool has
 * healed, gets its own answers from then on. */
#ifndef INTEGRATION_RELAY_H
#define INTEGRATION_RELAY_H

static struct {
    int       port;    /* of the server */
    long      left;    /* bytes; below 0: all */
    bool      holds;
    aio_task *waiting; /* whom a hold cancels; NULL: it has been, or it is done */
} relay;

typedef struct {
    void *(*open)(const char *url);
    void  (*close)(void *client);
    void *(*session)(void *client, int number); /* a coroutine that expects answers with this number */
    const char *url;                            /* with a %d for the port */
} relay_subject;

struct relay_pump { aio_task task; aio_stream *from, *to; aio_text piece; };
static AIO_CORO(relay_pump)
{
    AIO_BEGIN(relay_pump);
    AIO_TRY {
        AIO_ASYNC_FOR(self->piece, aio_stream_read(self->from, 65536)) {
            aio_stream_write(self->to, self->piece.data, self->piece.length);
            AIO_AWAIT(aio_stream_drain(self->to));
        }
    } AIO_CATCH { /* the client is gone */
    } AIO_END_TRY;
    aio_stream_write_eof(self->to); /* the server ends it */
    AIO_END;
}

struct relay_serve { aio_task task; aio_stream *near, *far; aio_text piece; size_t n; aio_task *asking; bool cut; };
static AIO_CORO(relay_serve)
{
    AIO_BEGIN(relay_serve);
    AIO_AWAIT(self->far, aio_open_connection("127.0.0.1", relay.port));
    self->asking = (aio_task *)(void *)aio_create_task(AIO_CALL(relay_pump, .from = self->near, .to = self->far));
    AIO_TRY {
        while (!self->cut) {
            AIO_AWAIT(self->piece, aio_stream_read(self->far, relay.left > 0 && relay.left < 65536 ? (size_t)relay.left
                                                                                                   : 65536));
            self->n = self->piece.length;
            if (!self->n) break;
            if (relay.left >= 0 && self->n > (size_t)relay.left) self->n = (size_t)relay.left; /* 0: before all */
            if (self->n) aio_stream_write(self->near, self->piece.data, self->n);
            if (relay.left >= 0) relay.left -= (long)self->n;
            if (!relay.left && relay.holds) {
                relay.left = -1;
                AIO_AWAIT(aio_sleep(0.0005)); /* the client has seen what there is */
                if (relay.waiting) aio_task_cancel(relay.waiting);
                if (self->n < self->piece.length)
                    aio_stream_write(self->near, self->piece.data + self->n, self->piece.length - self->n);
            } else if (!relay.left) {
                relay.left = -1;
                self->cut = true;
            }
            if (!self->cut) AIO_AWAIT(aio_stream_drain(self->near));
        }
    } AIO_CATCH { /* one of them is gone */
    } AIO_END_TRY;
    AIO_FINALLY;
        if (self->asking) aio_task_cancel(self->asking);
        aio_unref(self->asking);
        aio_stream_close(self->far);
    AIO_END;
}
static void *on_near(aio_stream *near, void *arg) { return (void)arg, AIO_CALL(relay_serve, .near = near); }

/* Prints how many bytes it has come to when a session was done before. */
struct every_byte { aio_task task; const relay_subject *subject; aio_server *server; void *client; aio_task *running;
                    int code; long limit; char url[200]; };
static AIO_CORO(every_byte)
{
    AIO_BEGIN(every_byte);
    AIO_AWAIT(self->server, aio_start_server(on_near, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, self->subject->url, aio_server_port(self->server));
    for (self->limit = 0; self->limit < 20000; self->limit++) {
        self->client = self->subject->open(self->url);
        if (!self->client) AIO_RAISE(errno);
        relay.left = self->limit;
        self->running = (aio_task *)aio_create_task(
            (aio_task *)self->subject->session(self->client, (int)self->limit));
        relay.waiting = self->running;
        self->code = 0;
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->running));
        } AIO_CATCH_ALL {
            self->code = aio_caught(self)->code;
            if (relay.holds) EXPECT_CODE(AIO_ECANCELLED);
            else EXPECT(self->code == AIO_EDISCONNECTED || self->code == ECONNRESET || self->code == EPIPE);
        } AIO_END_TRY;
        relay.waiting = NULL;
        aio_unref(self->running);
        self->running = NULL;
        if (!self->code && relay.left > 0) break; /* it was done before */
        relay.left = -1;
        if (!self->code) AIO_AWAIT(aio_sleep(0.001)); /* cut between two requests: the client can see it now */
        AIO_AWAIT(self->subject->session(self->client, 100000 + (int)self->limit));
        self->subject->close(self->client);
        self->client = NULL;
    }
    printf("%ld bytes\n", self->limit);
    AIO_FINALLY;
        aio_unref(self->running);
        if (self->client) self->subject->close(self->client);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

#endif
