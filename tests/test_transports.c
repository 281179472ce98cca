/* Transports and protocols: what is called when. SOON, SERVER_END are in test_servers.c, TLS_SETUP in test_tls.c. */

/* A protocol that keeps a record, and proves the order of its callbacks. Static, so that it outlives its connection
 * also when the scenario is cancelled. */
static struct recorder {
    aio_transport *transport;    /* between connection_made and connection_lost */
    char           events[64];   /* one letter for each callback; data_received only once in a row */
    size_t         count, length, amount;
    char           got[64];      /* what came first; `amount`: all there was */
    int            code;         /* connection_lost's */
    bool           made, lost, ended, full, closed, keep, wrong;
    void         (*on_made)(struct recorder *), (*on_data)(struct recorder *);
    void         (*act)(struct recorder *); /* is called once, at the end of the callback with the letter `act_in` */
    char           act_in;
    char           room[100];
} near, far;

static void recorder_event(struct recorder *r, char event)
{
    ALWAYS(!r->lost);
    ALWAYS(r->made || event == 'm');
    ALWAYS(!(r->closed && event == 'd'));
    ALWAYS(!(r->ended && (event == 'd' || event == 'e')));
    if (event == 'd' && r->count && r->events[r->count - 1] == 'd') return;
    if (r->count < sizeof r->events - 1) r->events[r->count++] = event;
}

static void recorder_act(struct recorder *r, char event)
{
    void (*act)(struct recorder *) = event == r->act_in ? r->act : NULL;
    if (!act) return;
    r->act = NULL;
    act(r);
}

static void recorder_made(void *self, aio_transport *transport, void *arg)
{
    struct recorder *r = (struct recorder *)self;
    ALWAYS(arg == self);
    ALWAYS(!r->made);
    recorder_event(r, 'm');
    r->made = true;
    r->transport = transport;
    if (r->on_made) r->on_made(r);
    recorder_act(r, 'm');
}

static void recorder_came(struct recorder *r, const char *data, size_t length)
{
    recorder_event(r, 'd');
    for (size_t i = 0; i < length && r->length < sizeof r->got; i++) r->got[r->length++] = data[i];
    if (!poured(data, r->amount, length)) r->wrong = true;
    r->amount += length;
    if (r->on_data) r->on_data(r);
    recorder_act(r, 'd');
}

static void recorder_data(void *self, aio_transport *transport, const char *data, size_t length)
{
    ALWAYS(transport == ((struct recorder *)self)->transport);
    ALWAYS(length > 0);
    recorder_came((struct recorder *)self, data, length);
}

static bool recorder_eof(void *self, aio_transport *transport)
{
    struct recorder *r = (struct recorder *)self;
    (void)transport;
    recorder_event(r, 'e');
    r->ended = true;
    recorder_act(r, 'e');
    return r->keep;
}

static void recorder_lost(void *self, aio_transport *transport, const aio_exception *exception)
{
    struct recorder *r = (struct recorder *)self;
    recorder_event(r, 'l');
    ALWAYS(aio_transport_is_closing(transport));
    ALWAYS(aio_transport_write(transport, "x", 1) != 0);
    aio_transport_close(transport);
    aio_transport_abort(transport);
    r->lost = true;
    r->code = exception ? exception->code : 0;
    r->transport = NULL;
}

static void recorder_pause(void *self, aio_transport *transport)
{
    struct recorder *r = (struct recorder *)self;
    (void)transport;
    recorder_event(r, 'p');
    ALWAYS(!r->full);
    r->full = true;
    recorder_act(r, 'p');
}

static void recorder_resume(void *self, aio_transport *transport)
{
    struct recorder *r = (struct recorder *)self;
    (void)transport;
    recorder_event(r, 'r');
    ALWAYS(r->full);
    r->full = false;
    recorder_act(r, 'r');
}

static void *recorder_buffer(void *self, aio_transport *transport, size_t *size)
{
    (void)transport;
    *size = sizeof ((struct recorder *)self)->room;
    recorder_act((struct recorder *)self, 'b');
    return ((struct recorder *)self)->room;
}

static void recorder_updated(void *self, aio_transport *transport, size_t length)
{
    (void)transport;
    ALWAYS(length <= sizeof ((struct recorder *)self)->room);
    recorder_came((struct recorder *)self, ((struct recorder *)self)->room, length);
}

static void *recorder_no_buffer(void *self, aio_transport *transport, size_t *size)
{
    (void)self, (void)transport, (void)size;
    return NULL;
}

static const aio_protocol recording;
static void *recorder_hand_on(void *self, aio_transport *transport, size_t *size)
{
    far.made = true;
    far.transport = transport;
    aio_transport_set_protocol(transport, &recording, &far);
    return recorder_buffer(self, transport, size);
}

static const aio_protocol recording = { .connection_made = recorder_made, .data_received = recorder_data,
    .eof_received = recorder_eof, .connection_lost = recorder_lost, .pause_writing = recorder_pause,
    .resume_writing = recorder_resume };
static const aio_protocol recording_buffer = { .connection_made = recorder_made, .eof_received = recorder_eof,
    .connection_lost = recorder_lost, .get_buffer = recorder_buffer, .buffer_updated = recorder_updated,
    .pause_writing = recorder_pause, .resume_writing = recorder_resume };
static const aio_protocol recording_handed_on = { .connection_made = recorder_made, .get_buffer = recorder_hand_on,
    .buffer_updated = recorder_updated };
static const aio_protocol recording_nowhere = { .connection_made = recorder_made, .connection_lost = recorder_lost,
    .get_buffer = recorder_no_buffer };

static void recorder_close(struct recorder *r)
{
    r->closed = true;
    aio_transport_close(r->transport);
}

static void recorder_abort(struct recorder *r)
{
    r->closed = true;
    aio_transport_abort(r->transport);
}

#ifndef AIO_NO_TLS
static void recorder_echo(struct recorder *r)
{
    if (r->amount <= sizeof r->got) aio_transport_write(r->transport, r->got + r->length - 1, 1);
}
#endif

static void recorder_greet(struct recorder *r)
{
    aio_transport_write(r->transport, "bye", 3);
    recorder_close(r);
}

static void recorder_narrow(struct recorder *r)
{
    int size = 4096;
    setsockopt(aio_stream_fileno(r->transport), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

/* Writes until it is told to pause; where in the pattern it is now. */
static size_t recorder_fill(struct recorder *r, size_t at)
{
    char block[5000];
    for (size_t i = 0; !r->full && !r->lost && at < 4000000; at += sizeof block) {
        for (i = 0; i < sizeof block; i++) block[i] = (char)((at + i) % 251);
        if (aio_transport_write(r->transport, block, sizeof block)) break;
    }
    return at;
}

static const char *transport_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/aio-transport-%ld", (long)getpid());
    return path;
}

#define TRANSPORT_MAY .may = { ECONNRESET, EPIPE, AIO_ETIMEOUT, ECONNABORTED, AIO_ERESOLVE, ECONNREFUSED, \
    AIO_EINCOMPLETE, EADDRINUSE /* a stale file that could not be looked at */ }
#define TRANSPORT_SELF aio_task task; aio_server *server; aio_transport *transport; aio_stream *stream; aio_text text
#define TRANSPORT_SETUP() \
    do { memset(&near, 0, sizeof near); memset(&far, 0, sizeof far); } while (0)
#define TRANSPORT_END() \
    do {                                              \
        aio_transport_abort(near.transport);          \
        aio_stream_abort(self->stream);               \
        SERVER_END(self->server);                     \
    } while (0)
#define UNTIL(condition) AIO_TIMEOUT(100) while (!(condition)) AIO_AWAIT(aio_sleep(0.01))

/* Both ends with callbacks; what each connection keeps is its own. */
struct upper { int made, letters; aio_transport *transport; };
static int upper_live;
static void upper_made(void *self, aio_transport *transport, void *arg)
{
    struct upper *u = (struct upper *)self;
    ALWAYS(!u->made && !u->letters && arg == &upper_live);
    u->made = 1;
    u->transport = transport;
    upper_live++;
}
static void upper_data(void *self, aio_transport *transport, const char *data, size_t length)
{
    struct upper *u = (struct upper *)self;
    ALWAYS(u->made == 1 && u->transport == transport && aio_transport_get_self(transport) == self);
    for (size_t i = 0; i < length; i++) {
        char letter = (char)(data[i] - 'a' + 'A');
        aio_transport_write(transport, &letter, 1);
    }
    u->letters += (int)length;
}
static void upper_lost(void *self, aio_transport *transport, const aio_exception *exception)
{
    (void)transport, (void)exception;
    ALWAYS(((struct upper *)self)->made == 1);
    upper_live--;
}
static const aio_protocol uppering = { .size = sizeof(struct upper), .connection_made = upper_made,
    .data_received = upper_data, .connection_lost = upper_lost };

struct transport_echo { TRANSPORT_SELF; char name[64]; };
SCENARIO(transport_echo, TRANSPORT_MAY)
{
    AIO_BEGIN(transport_echo);
    TRANSPORT_SETUP();
    upper_live = 0;
    AIO_AWAIT(self->server, aio_create_server(&uppering, &upper_live, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    AIO_AWAIT(self->transport, aio_create_connection(&recording, &near, "127.0.0.1", aio_server_port(self->server)));
    CHECK_PTR(self->transport, near.transport);
    CHECK_STR(near.events, "m");
    CHECK_PTR(aio_transport_get_protocol(near.transport), &recording);
    CHECK_PTR(aio_transport_get_self(near.transport), &near);
    CHECK(aio_transport_is_reading(near.transport) && !aio_transport_is_closing(near.transport));
    CHECK(strncmp(aio_stream_peername(near.transport, self->name, sizeof self->name), "127.0.0.1:", 10) == 0);
    REQUIRE(aio_transport_write(near.transport, "hello", 5) == 0);
    REQUIRE(aio_stream_write(self->stream, "abc", 3) == 0);
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 3));
    CHECK_BYTES(self->text.data, self->text.length, "ABC");
    UNTIL(near.amount == 5 || near.lost);
    CHECK_BYTES(near.got, near.length, "HELLO");
    CHECK_INT(upper_live, 2);
    CHECK_INT(aio_server_client_count(self->server), 2);
    recorder_close(&near);
    CHECK_INT(aio_transport_write(near.transport, "x", 1), EPIPE);
    CHECK_STR(near.events, "md"); /* connection_lost is a callback of its own */
    UNTIL(near.lost && (upper_live < 2 || touched()));
    CHECK_STR(near.events, "mdl");
    CHECK_INT(near.code, 0);
    AIO_FINALLY;
        TRANSPORT_END();
        if (!touched()) CHECK_INT(upper_live, 0);
    AIO_END;
}

/* Half a connection, over a unix socket: all is said, then the answer comes. */
static void answer_at_end(struct recorder *r)
{
    if (r->length >= 2 && !memcmp(r->got + r->length - 2, "?!", 2)) aio_transport_write(r->transport, "yes", 3);
}
struct transport_half { TRANSPORT_SELF; };
SCENARIO(transport_half, TRANSPORT_MAY)
{
    AIO_BEGIN(transport_half);
    TRANSPORT_SETUP();
    far.keep = true;
    AIO_AWAIT(self->server, aio_create_unix_server(&recording, &far, transport_path()));
    AIO_AWAIT(self->transport, aio_create_unix_connection(&recording, &near, transport_path()));
    CHECK(aio_transport_can_write_eof(near.transport));
    REQUIRE(aio_transport_write(near.transport, "well?!", 6) == 0);
    REQUIRE(aio_transport_write_eof(near.transport) == 0);
    CHECK_INT(aio_transport_write(near.transport, "x", 1), EPIPE);
    UNTIL(far.ended || near.lost);
    CHECK_STR(far.events, "mde");
    CHECK_BYTES(far.got, far.length, "well?!");
    answer_at_end(&far);
    SOON();
    CHECK_STR(far.events, "mde"); /* it stays open until it is closed */
    CHECK_STR(near.events, "md");
    if (far.transport) recorder_close(&far);
    UNTIL(near.lost);
    CHECK_STR(near.events, "mdel");
    CHECK_BYTES(near.got, near.length, "yes");
    CHECK_INT(near.code, 0);
    CHECK_STR(far.events, "mdel");
    AIO_FINALLY;
        TRANSPORT_END();
    AIO_END;
}

/* It ends inside a callback: no other follows but connection_lost. */
struct transport_abort { TRANSPORT_SELF; };
SCENARIO(transport_abort, TRANSPORT_MAY)
{
    AIO_BEGIN(transport_abort);
    TRANSPORT_SETUP();
    far.on_data = recorder_abort;
    AIO_AWAIT(self->server, aio_create_server(&recording, &far, "127.0.0.1", 0));
    AIO_AWAIT(self->transport, aio_create_connection(&recording, &near, "127.0.0.1", aio_server_port(self->server)));
    REQUIRE(aio_transport_write(near.transport, "abc", 3) == 0);
    UNTIL(near.lost && (far.lost || touched()));
    CHECK_STR(far.events, "mdl");
    CHECK_INT(far.code, 0);
    CHECK_STR(near.events, "ml");
    CHECK_INT(near.code, ECONNRESET); /* a reset by the peer, on the other side */
    SOON();
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        TRANSPORT_END();
    AIO_END;
}

/* Closed within connection_made, on both sides; what was written there is sent. */
struct transport_brief { TRANSPORT_SELF; };
SCENARIO(transport_brief, TRANSPORT_MAY)
{
    AIO_BEGIN(transport_brief);
    TRANSPORT_SETUP();
    far.on_made = recorder_greet;
    AIO_AWAIT(self->server, aio_create_server(&recording, &far, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    CHECK_BYTES(self->text.data, self->text.length, "bye");
    SOON();
    CHECK_STR(far.events, "ml");
    memset(&far, 0, sizeof far);
    near.on_made = recorder_greet;
    AIO_AWAIT(self->transport, aio_create_connection(&recording, &near, "127.0.0.1", aio_server_port(self->server)));
    CHECK_STR(near.events, "m"); /* the transport is still there when we hear of it */
    CHECK(aio_transport_is_closing(near.transport) && !aio_transport_is_reading(near.transport));
    UNTIL(near.lost && (far.lost || touched()));
    CHECK_STR(near.events, "ml");
    CHECK_STR(far.events, "mdel");
    CHECK_BYTES(far.got, far.length, "bye");
    AIO_FINALLY;
        TRANSPORT_END();
    AIO_END;
}

/* One side does not read: the other is told to pause, and later to resume, in turn. */
struct transport_pressure { TRANSPORT_SELF; size_t high, low, sent; };
SCENARIO(transport_pressure, TRANSPORT_MAY)
{
    AIO_BEGIN(transport_pressure);
    TRANSPORT_SETUP();
    near.on_made = recorder_narrow;
    AIO_AWAIT(self->server, aio_create_unix_server(&recording, &far, transport_path()));
    AIO_AWAIT(self->transport, aio_create_unix_connection(&recording, &near, transport_path()));
    UNTIL(far.made || near.lost);
    REQUIRE(far.transport && near.transport);
    aio_transport_pause_reading(far.transport);
    aio_transport_pause_reading(far.transport);
    CHECK(!aio_transport_is_reading(far.transport));
    aio_transport_get_write_buffer_limits(near.transport, &self->high, &self->low);
    CHECK_INT(self->high, 65536);
    CHECK_INT(self->low, 16384);
    self->sent = recorder_fill(&near, 0);
    CHECK(near.full);
    CHECK(aio_transport_get_write_buffer_size(near.transport) > 65536);
    SOON();
    CHECK_STR(near.events, "mp");
    CHECK_STR(far.events, "m"); /* no data_received while it is paused */
    if (far.transport) aio_transport_resume_reading(far.transport);
    UNTIL((!near.full && far.amount == self->sent) || near.lost);
    CHECK_STR(near.events, "mpr");
    CHECK_INT(far.amount, self->sent);
    CHECK(!far.wrong);
    REQUIRE(near.transport);
    if (far.transport) aio_transport_pause_reading(far.transport);
    self->sent = recorder_fill(&near, self->sent);
    REQUIRE(near.transport);
    REQUIRE(aio_transport_set_write_buffer_limits(near.transport, 1000000, 500000) == 0);
    CHECK_STR(near.events, "mprpr");
    REQUIRE(aio_transport_set_write_buffer_limits(near.transport, 10, 0) == 0);
    CHECK_STR(near.events, "mprprp");
    REQUIRE(aio_transport_write(near.transport, "x", 1) == 0);
    CHECK_STR(near.events, "mprprp"); /* it knows that */
    recorder_close(&near); /* what is unsent goes out, and resume_writing still comes */
    if (far.transport) aio_transport_resume_reading(far.transport);
    UNTIL(near.lost && (far.lost || touched()));
    self->sent++;
    CHECK_STR(near.events, "mprprprl");
    CHECK_STR(far.events, "mdel");
    CHECK_INT(far.amount, self->sent);
    AIO_FINALLY;
        TRANSPORT_END();
    AIO_END;
}

#ifndef AIO_NO_TLS
struct transport_tls { TRANSPORT_SELF; aio_tls_context *server_tls, *client_tls; char *big; };
SCENARIO(transport_tls, TLS_MAY)
{
    AIO_BEGIN(transport_tls);
    TRANSPORT_SETUP();
    TLS_SETUP("good", NULL);
    far.on_data = recorder_echo;
    far.keep = true;
    AIO_AWAIT(self->server, aio_create_server(&recording, &far, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TIMEOUT(100) AIO_AWAIT(self->transport, aio_create_connection(&recording, &near, "127.0.0.1",
        aio_server_port(self->server), .tls_context = self->client_tls, .server_hostname = "localhost"));
    CHECK_STR(aio_stream_tls_version(near.transport), "TLSv1.3");
    CHECK(!aio_transport_can_write_eof(near.transport));
    CHECK_INT(aio_transport_write_eof(near.transport), ENOTSUP);
    REQUIRE(aio_transport_write(near.transport, "q", 1) == 0);
    UNTIL(near.amount == 1 || near.lost);
    CHECK_BYTES(near.got, near.length, "q");
    self->big = (char *)aio__calloc(much(200000));
    REQUIRE(self->big);
    if (far.transport) aio_transport_pause_reading(far.transport);
    REQUIRE(near.transport && aio_transport_write(near.transport, self->big, much(200000)) == 0);
    if (far.transport) aio_transport_resume_reading(far.transport);
    recorder_close(&near);
    UNTIL(near.lost && (far.lost || touched()));
    CHECK_INT(far.amount, much(200000) + 1);
    CHECK_INT(near.code, 0);
    CHECK_INT(far.code, 0); /* close_notify came; and over TLS half a connection does not stay open */
    CHECK_INT(far.events[far.count - 1], 'l');
    AIO_FINALLY;
        aio__free(self->big);
        aio_tls_context_unref(self->server_tls);
        aio_tls_context_unref(self->client_tls);
        TRANSPORT_END();
    AIO_END;
}

/* A write that TLS lets wait until something was read: resume_writing comes when that was. */
struct transport_tls_wants { TRANSPORT_SELF; aio_tls_context *server_tls, *client_tls; size_t sent; };
SCENARIO(transport_tls_wants, .may = { ECONNRESET, AIO_EINCOMPLETE, EPIPE, AIO_ETIMEOUT, ECONNABORTED, ECONNREFUSED,
                                       AIO_ETLS, EADDRINUSE /* as in TRANSPORT_MAY */ },
         .skip = KIND_SLICE /* that takes more than the one read */)
{
    AIO_BEGIN(transport_tls_wants);
    TRANSPORT_SETUP();
    TLS_SETUP("good", NULL);
    crossed_writes = crossed = 0;
    aio__os.SSL_write = crossed_write;
    aio__os.SSL_get_error = crossed_get_error;
    AIO_AWAIT(self->server, aio_create_unix_server(&recording, &far, transport_path(),
                                                   .tls_context = self->server_tls));
    AIO_TIMEOUT(100) AIO_AWAIT(self->transport, aio_create_unix_connection(&recording, &near, transport_path(),
        .tls_context = self->client_tls, .server_hostname = "localhost"));
    UNTIL(far.made || near.lost);
    SOON(); /* what follows the handshake is read */
    REQUIRE(far.transport && near.transport);
    crossed_writes = INT_MAX;
    self->sent = recorder_fill(&near, 0);
    SOON();
    CHECK_STR(near.events, "mp");
    crossed_writes = 0;
    REQUIRE(far.transport && aio_transport_write(far.transport, "x", 1) == 0);
    UNTIL((!near.full && far.amount == self->sent) || near.lost || far.lost);
    CHECK_STR(near.events, "mprd");
    CHECK_INT(far.amount, self->sent);
    AIO_FINALLY;
        aio__os.SSL_write = seam_SSL_write;
        aio__os.SSL_get_error = seam_SSL_get_error;
        crossed_writes = crossed = 0;
        aio_tls_context_unref(self->server_tls);
        aio_tls_context_unref(self->client_tls);
        TRANSPORT_END();
    AIO_END;
}

/* Closing waits for the peer's close_notify, and no longer than it is told to. */
struct transport_tls_goodbye { TRANSPORT_SELF; aio_tls_context *server_tls, *client_tls; };
SCENARIO(transport_tls_goodbye, TLS_MAY, .skip = KIND_SLICE /* much by single bytes */)
{
    AIO_BEGIN(transport_tls_goodbye);
    TRANSPORT_SETUP();
    TLS_SETUP("good", NULL);
    tls_pours = false;
    AIO_AWAIT(self->server, aio_start_server(mute_handler, &tls_pours, "127.0.0.1", 0,
                                             .tls_context = self->server_tls));
    AIO_TIMEOUT(100) AIO_AWAIT(self->transport, aio_create_connection(&recording, &near, "127.0.0.1",
        aio_server_port(self->server), .tls_context = self->client_tls, .tls_shutdown_timeout = 5));
    recorder_close(&near);
    AIO_AWAIT(aio_sleep(4.9));
    CHECK(!near.lost);
    AIO_AWAIT(aio_sleep(0.2));
    CHECK(near.lost);
    CHECK_INT(near.code, AIO_ETIMEOUT);
    AIO_FINALLY;
        aio_server_abort_clients(self->server);
        aio_tls_context_unref(self->server_tls);
        aio_tls_context_unref(self->client_tls);
        TRANSPORT_END();
    AIO_END;
}
#endif

/* A buffer of the protocol's own, or none. */
struct transport_buffered { TRANSPORT_SELF; };
SCENARIO(transport_buffered, TRANSPORT_MAY)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    AIO_BEGIN(transport_buffered);
    TRANSPORT_SETUP();
    AIO_AWAIT(self->server, aio_create_server(&recording_buffer, &far, "127.0.0.1", 0));
    AIO_AWAIT(self->transport, aio_create_connection(&recording_nowhere, &near, "127.0.0.1",
                                                     aio_server_port(self->server)));
    REQUIRE(aio_transport_write(near.transport, text, 36) == 0);
    UNTIL(far.amount == 36 || near.lost);
    CHECK_BYTES(far.got, far.length, text);
    if (far.transport) aio_transport_write(far.transport, "x", 1);
    UNTIL(near.lost);
    CHECK_STR(near.events, "ml");
    CHECK_INT(near.code, AIO_ERUNTIME);
    AIO_FINALLY;
        TRANSPORT_END();
    AIO_END;
}

/* In each callback it is closed or aborted, its making is cancelled, or the loop stops: connection_lost still comes. */
static void *acting_task;
static void recorder_cancel(struct recorder *r)
{
    (void)r;
    aio_task_cancel(acting_task);
}
static void recorder_abort_cancel(struct recorder *r)
{
    recorder_abort(r);
    aio_task_cancel(acting_task);
}
static void recorder_stop(struct recorder *r)
{
    (void)r;
    aio_loop_stop(aio_get_running_loop());
}
static const struct acting { char in; void (*act)(struct recorder *); } acting[] = {
    { 'm', recorder_close }, { 'd', recorder_close }, { 'b', recorder_close }, { 'e', recorder_close },
    { 'p', recorder_close }, { 'r', recorder_close }, { 'm', recorder_abort }, { 'd', recorder_abort },
    { 'b', recorder_abort }, { 'e', recorder_abort }, { 'p', recorder_abort }, { 'r', recorder_abort },
    { 'm', recorder_cancel }, { 'm', recorder_abort_cancel },
};
struct transport_acting { TRANSPORT_SELF; aio_transport_task *made; size_t i; bool buffered; };
SCENARIO(transport_acting, TRANSPORT_MAY, .skip = ~KIND_PLAIN /* the ways of each are those of the others here */)
{
    AIO_BEGIN(transport_acting);
    AIO_AWAIT(self->server, aio_create_unix_server(&recording, &far, transport_path()));
    for (; self->i < sizeof acting / sizeof *acting; self->i++) {
        TRANSPORT_SETUP();
        near.on_made = recorder_narrow;
        near.act_in = acting[self->i].in;
        near.act = acting[self->i].act;
        far.on_made = recorder_narrow;
        far.keep = true;
        self->buffered = near.act_in == 'b' || self->i % 2;
        self->made = aio_create_task(aio_create_unix_connection(self->buffered ? &recording_buffer : &recording, &near,
                                                                transport_path()));
        REQUIRE(self->made);
        acting_task = self->made;
        UNTIL(near.made && far.made);
        aio_transport_pause_reading(far.transport);
        if (near.transport) recorder_fill(&near, 0);
        aio_transport_write(far.transport, "hello", 5);
        SOON();
        aio_transport_resume_reading(far.transport);
        SOON();
        if (far.transport) aio_transport_write_eof(far.transport);
        SOON();
        CHECK(!near.act);
        CHECK(aio_future_done(self->made));
        if (aio_future_done(self->made) && aio_future_exception(self->made))
            CHECK(near.act_in == 'm' && aio_future_cancelled(self->made));
        aio_transport_abort(near.transport);
        aio_transport_abort(far.transport);
        UNTIL(near.lost && far.lost);
        CHECK_INT(near.events[near.count - 1], 'l');
        aio_unref(self->made);
        self->made = NULL;
    }
    AIO_FINALLY;
        if (self->made) aio_task_cancel(self->made);
        aio_unref(self->made);
        TRANSPORT_END();
    AIO_END;
}

TEST(transport_stopping)
{
    static const char *const events[] = { "m", "md", "mde" };
    for (int i = 0; i < 3; i++) {
        aio_stream *a, *b;
        aio_loop *loop = aio_new_event_loop();
        aio_set_event_loop(loop);
        TRANSPORT_SETUP();
        near.act_in = "mde"[i];
        near.act = recorder_stop;
        CHECK(unix_pair(0, 0, &a, &b));
        CHECK(aio__transport_attach(a, i % 2 ? &recording : &recording_buffer, &near));
        CHECK_INT(aio_stream_write(b, "hello", 5), 0);
        aio_stream_close(b);
        CHECK_INT(aio_loop_run_forever(loop), 0);
        CHECK_STR(near.events, events[i]);
        CHECK(!near.lost);
        aio_loop_free(loop);
        CHECK(near.lost);
    }
}

/* A connection that has broken already is lost, without an end of data: its error is the first one, whether or not the
 * protocol gives a buffer. */
struct transport_broken { TRANSPORT_SELF; int i; };
SCENARIO(transport_broken, TRANSPORT_MAY)
{
    static const aio_protocol *const protocols[] = { &recording_nowhere, &recording, &recording_buffer };
    AIO_BEGIN(transport_broken);
    AIO_AWAIT(self->server, aio_create_unix_server(&recording, &far, transport_path()));
    for (self->i = 0; self->i < 3; self->i++) {
        TRANSPORT_SETUP();
        AIO_AWAIT(self->transport, aio_create_unix_connection(protocols[self->i], &near, transport_path()));
        aio_transport_pause_reading(near.transport);
        UNTIL(far.made || touched());
        recorder_abort(&far);
        UNTIL(far.lost || touched());
        UNTIL(near.lost || touched() || aio_transport_write(near.transport, "x", 1) == EPIPE);
        aio_transport_resume_reading(near.transport);
        UNTIL(near.lost || touched());
        CHECK_STR(near.events, "ml");
        CHECK_INT(near.code, EPIPE);
        REQUIRE(near.lost);
    }
    AIO_FINALLY;
        TRANSPORT_END();
    AIO_END;
}

/* Another protocol takes over within get_buffer: what goes into that buffer is still the first one's. */
struct transport_handed_on { TRANSPORT_SELF; };
SCENARIO(transport_handed_on, TRANSPORT_MAY, .skip = KIND_CALL /* with EAGAIN nothing goes into that buffer */)
{
    AIO_BEGIN(transport_handed_on);
    TRANSPORT_SETUP();
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->transport, aio_create_connection(&recording_handed_on, &near, "127.0.0.1",
                                                     aio_server_port(self->server)));
    REQUIRE(aio_transport_write(near.transport, "a", 1) == 0);
    UNTIL(near.amount || far.amount || far.lost);
    CHECK_BYTES(near.got, near.length, "a");
    REQUIRE(!far.lost);
    REQUIRE(aio_transport_write(far.transport, "b", 1) == 0);
    UNTIL(far.amount || far.lost);
    CHECK_BYTES(far.got, far.length, "b");
    AIO_FINALLY;
        aio_transport_abort(far.transport);
        SERVER_END(self->server);
    AIO_END;
}

/* Another protocol takes over within data_received. */
static void switch_protocol(struct recorder *r)
{
    aio_transport_set_protocol(r->transport, &recording, &far);
    far.made = true;
    far.transport = r->transport;
    r->transport = NULL;
}
struct transport_switch { TRANSPORT_SELF; };
SCENARIO(transport_switch, TRANSPORT_MAY)
{
    AIO_BEGIN(transport_switch);
    TRANSPORT_SETUP();
    near.on_data = switch_protocol;
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->transport, aio_create_connection(&recording, &near, "127.0.0.1", aio_server_port(self->server)));
    REQUIRE(aio_transport_write(near.transport, "a", 1) == 0);
    UNTIL(near.amount == 1 || near.lost);
    REQUIRE(!near.lost);
    REQUIRE(aio_transport_write(far.transport, "b", 1) == 0);
    UNTIL(far.amount == 1 || far.lost);
    CHECK_STR(near.events, "md");
    CHECK_BYTES(far.got, far.length, "b");
    recorder_close(&far);
    UNTIL(far.lost);
    CHECK_STR(far.events, "dl");
    AIO_FINALLY;
        aio_transport_abort(far.transport);
        TRANSPORT_END();
    AIO_END;
}

/* The server ends its clients: in order, or at once. */
struct transport_server { TRANSPORT_SELF; aio_server *closing; int i; };
SCENARIO(transport_server, TRANSPORT_MAY)
{
    AIO_BEGIN(transport_server);
    for (self->i = 0; self->i < 2; self->i++) {
        TRANSPORT_SETUP();
        AIO_AWAIT(self->server, aio_create_server(&recording, &far, "127.0.0.1", 0));
        AIO_AWAIT(self->transport, aio_create_connection(&recording, &near, "127.0.0.1",
                                                         aio_server_port(self->server)));
        UNTIL(far.made || near.lost);
        if (self->i) aio_server_abort_clients(self->server);
        else aio_server_close_clients(self->server);
        CHECK_STR(far.events, "m");
        aio_server_close(self->server);
        UNTIL(far.lost);
        CHECK_STR(far.events, "ml");
        CHECK_INT(far.code, 0);
        UNTIL(near.lost);
        CHECK_INT(near.code, self->i ? ECONNRESET : 0);
        self->closing = self->server;
        self->server = NULL;
        AIO_TIMEOUT(100) AIO_AWAIT(aio_server_wait_closed(self->closing));
    }
    AIO_FINALLY;
        TRANSPORT_END();
    AIO_END;
}

struct transport_misuse { TRANSPORT_SELF; aio_transport_task *made; aio_stream *a, *b; };
SCENARIO(transport_misuse, TRANSPORT_MAY)
{
    AIO_BEGIN(transport_misuse);
    TRANSPORT_SETUP();
    AIO_AWAIT(self->server, aio_create_server(&recording, &far, "127.0.0.1", 0));
    self->made = aio_create_connection(&recording, &near, "127.0.0.1", aio_server_port(self->server));
    aio_unref(self->made); /* never awaited */
    AIO_AWAIT(self->transport, aio_create_connection(&recording, &near, "127.0.0.1", aio_server_port(self->server)));
    AIO_TRY {
        AIO_AWAIT(aio_stream_read(near.transport, 1));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_create_connection(NULL, NULL, "127.0.0.1", 1));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_create_server(NULL, NULL, "127.0.0.1", 0));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_create_connection(&recording, &near, "127.0.0.1", 1));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ECONNREFUSED);
    } AIO_END_TRY;
    CHECK_STR(near.events, "m");
    aio_transport_set_protocol(near.transport, NULL, &far); /* it keeps what it has */
    CHECK_PTR(aio_transport_get_protocol(near.transport), &recording);
    CHECK_PTR(aio_transport_get_self(near.transport), &near);
    aio_transport_set_protocol(NULL, &recording, &far);
    CHECK(!aio_transport_get_protocol(NULL) && !aio_transport_get_self(NULL));
    aio_transport_pause_reading(NULL);
    aio_transport_resume_reading(NULL);
    CHECK(!aio_transport_is_reading(NULL) && aio_transport_is_closing(NULL));
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    aio_transport_pause_reading(self->a); /* a stream without a protocol is no transport */
    aio_transport_resume_reading(self->a);
    CHECK(!aio_transport_is_reading(self->a));
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
        TRANSPORT_END();
    AIO_END;
}

/* What a message costs: a read and a write at each end, no memory, no task. */
struct transport_cost { TRANSPORT_SELF; struct seam before; int i; };
SCENARIO(transport_cost, .skip = ~KIND_PLAIN /* counts calls; the ways are those of transport_echo */)
{
    AIO_BEGIN(transport_cost);
    TRANSPORT_SETUP();
    upper_live = 0;
    AIO_AWAIT(self->server, aio_create_server(&uppering, &upper_live, "127.0.0.1", 0));
    AIO_AWAIT(self->transport, aio_create_connection(&recording, &near, "127.0.0.1", aio_server_port(self->server)));
    for (self->i = 0; self->i < 60; self->i++) {
        if (self->i == 10) self->before = seam;
        REQUIRE(near.transport && aio_transport_write(near.transport, "a", 1) == 0);
        UNTIL(near.amount > (size_t)self->i || near.lost);
    }
    CHECK_INT(seam.calls[CALL_recv] - self->before.calls[CALL_recv], 100);
    CHECK_INT(seam.calls[CALL_send] - self->before.calls[CALL_send], 100);
    if (!aio__plain) CHECK_INT(seam.allocations - self->before.allocations, 0);
    CHECK_INT(aio_get_running_loop()->task_count, 1);
    AIO_FINALLY;
        TRANSPORT_END();
    AIO_END;
}

/* A loop that is closed with transports open tells their protocols. */
TEST(transport_loop_closed)
{
    aio_stream *a, *b;
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    TRANSPORT_SETUP();
    CHECK(unix_pair(0, 4096, &a, &b));
    CHECK(aio__transport_attach(a, &recording, &near));
    CHECK(aio__transport_attach(b, &recording, &far));
    aio_loop_stop(loop);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(near.events, "m");
    recorder_fill(&near, 0);
    recorder_close(&near);
    recorder_close(&far);
    CHECK(aio__transport_attach(aio__stream_new(loop, socket(AF_UNIX, SOCK_STREAM, 0), 0), &uppering, NULL));
    upper_live = 0;
    aio_loop_free(loop);
    CHECK_STR(near.events, "mpl");
    CHECK_STR(far.events, "ml");
    CHECK_INT(upper_live, 0);
}

/* One that ends in connection_made is in the loop's queue once. */
TEST(transport_queued_once)
{
    aio_stream *a, *b;
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    TRANSPORT_SETUP();
    near.on_made = far.on_made = recorder_abort;
    CHECK(unix_pair(0, 0, &a, &b));
    CHECK(aio__transport_attach(a, &recording, &near));
    CHECK(aio__transport_attach(b, &recording, &far));
    aio_loop_stop(loop);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    for (aio__node *node = &loop->ready; node->next != &loop->ready; node = node->next)
        if (!CHECK_PTR(node->next->prev, node)) break;
    aio_loop_free(loop);
    CHECK_STR(near.events, "ml");
    CHECK_STR(far.events, "ml");
}

/* When one client is lost, all are to go: also while the loop's closing is what loses them. */
static aio_server *together_server;
static int together_live;
static void together_made(void *self, aio_transport *transport, void *arg)
{
    (void)self, (void)transport, (void)arg;
    together_live++;
}
static void together_lost(void *self, aio_transport *transport, const aio_exception *exception)
{
    (void)self, (void)transport, (void)exception;
    together_live--;
    aio_server_abort_clients(together_server);
}
static const aio_protocol together = { .connection_made = together_made, .connection_lost = together_lost };
struct together_begin { aio_task task; aio_stream *streams[5]; int i; };
static AIO_CORO(together_begin)
{
    AIO_BEGIN(together_begin);
    AIO_AWAIT(together_server, aio_create_server(&together, NULL, "127.0.0.1", 0));
    for (; self->i < 5; self->i++)
        AIO_AWAIT(self->streams[self->i], aio_open_connection("127.0.0.1", aio_server_port(together_server)));
    UNTIL(together_live == 5);
    AIO_END;
}
TEST(transport_closed_together)
{
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    together_live = 0;
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(together_begin), NULL), 0);
    CHECK_INT(together_live, 5);
    aio_loop_free(loop);
    CHECK_INT(together_live, 0);
}

#ifndef AIO_NO_TLS
/* A stream that is ended while it goes over to TLS: who waits for that hears it. Nothing may be written meanwhile. */
struct start_tls_task { aio_task task; aio_stream *stream; aio_tls_context *tls; const char *name; };
static AIO_CORO(start_tls_task)
{
    AIO_BEGIN(start_tls_task);
    AIO_AWAIT(aio_stream_start_tls(self->stream, self->tls, self->name));
    AIO_END;
}
struct start_tls_dropped { aio_task task; aio_stream *a, *b; aio_tls_context *tls; struct start_tls_task *starting;
    int i; };
SCENARIO(start_tls_dropped, TLS_MAY)
{
    AIO_BEGIN(start_tls_dropped);
    tls_setup();
    self->tls = tls_client("ca", NULL);
    REQUIRE(self->tls);
    for (self->i = 0; self->i < 8; self->i++) { /* the longer the name, the more is left that no socket takes */
        REQUIRE(unix_pair(0, 0, &self->a, &self->b));
        self->starting = aio_create_task(AIO_CALL(start_tls_task, .stream = self->a, .tls = self->tls,
                                                  .name = &"localhost"[self->i]));
        REQUIRE(self->starting);
        SOON();
        CHECK_INT(aio_stream_write(self->a, "clear", 5), AIO_ERUNTIME);
        aio_stream *a;
        a = self->a;
        self->a = NULL;
        if (self->i % 2) aio_stream_abort(a);
        else aio_stream_close(a);
        SOON();
        CHECK(aio_future_done(self->starting));
        REQUIRE(aio_future_done(self->starting) && aio_future_exception(self->starting));
        CHECK_INT(aio_future_exception(self->starting)->code, ECONNABORTED);
        aio_unref(self->starting);
        self->starting = NULL;
        aio_stream_abort(self->b);
        self->b = NULL;
    }
    AIO_FINALLY;
        if (self->starting) aio_task_cancel(self->starting);
        aio_unref(self->starting);
        aio_tls_context_unref(self->tls);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}
#endif

/* What can be asked of a stream: get_extra_info and the like. */
static char extra_peer[64], extra_own[128];
static void *extra_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    snprintf(extra_peer, sizeof extra_peer, "<%s>", aio_stream_peername(stream, extra_own, sizeof extra_own));
    aio_stream_sockname(stream, extra_own, sizeof extra_own);
    return AIO_CALL(stream_echo, .stream = stream);
}
struct stream_extra { TRANSPORT_SELF; char name[128]; size_t high, low; };
SCENARIO(stream_extra, TRANSPORT_MAY)
{
    int type = 0;
    socklen_t size = sizeof type;
    AIO_BEGIN(stream_extra);
    extra_own[0] = extra_peer[0] = 0;
    AIO_AWAIT(self->server, aio_start_unix_server(extra_handler, NULL, transport_path()));
    AIO_AWAIT(self->stream, aio_open_unix_connection(transport_path()));
    CHECK_STR(aio_stream_peername(self->stream, self->name, sizeof self->name), transport_path());
    CHECK_STR(aio_stream_sockname(self->stream, self->name, sizeof self->name), ""); /* it has no name */
    CHECK_STR(aio_stream_peername(self->stream, self->name, 5), "/tmp"); /* cut, not overrun */
    REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 1));
    CHECK_STR(extra_peer, "<>");
    CHECK_STR(extra_own, transport_path());
    CHECK(getsockopt(aio_stream_fileno(self->stream), SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM);
    CHECK_PTR(aio_stream_tls_cipher(self->stream), NULL);
    CHECK_PTR(aio_stream_alpn(self->stream, self->name, sizeof self->name), NULL);
    CHECK(aio_stream_can_write_eof(self->stream) && !aio_stream_is_closing(self->stream));
    REQUIRE(aio_stream_set_write_buffer_limits(self->stream, 5, 4) == 0);
    aio_stream_get_write_buffer_limits(self->stream, &self->high, &self->low);
    CHECK(self->high == 5 && self->low == 4);
    aio_server_abort_clients(self->server);
    SOON();
    aio_stream_write(self->stream, "x", 1);
    SOON();
    CHECK(aio_stream_is_closing(self->stream)); /* it is broken */
    CHECK(!aio_stream_can_write_eof(NULL) && aio_stream_is_closing(NULL));
    CHECK_INT(aio_stream_fileno(NULL), -1);
    AIO_FINALLY;
        TRANSPORT_END();
    AIO_END;
}
