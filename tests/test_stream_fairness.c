/* Fairness of streams, TLS, servers, datagrams and the resolver: what a flooding peer gets before another task has its
 * turn. Counted in steps; test_fairness.c has the loop's part. */
struct flood_ticker { aio_task task; int *ticks; };
static AIO_CORO(flood_ticker)
{
    AIO_BEGIN(flood_ticker);
    for (;;) {
        ++*self->ticks;
        clock_advance(AIO__POLL_EVERY * 1e-9); /* the poller is asked between any two of these */
        AIO_AWAIT(aio_sleep(0));
    }
    AIO_END;
}

#define FLOOD_SELF aio_task task; aio_task *ticker; int ticks, i; aio_text text
#define FLOOD_BEGIN(...)                                                                                    \
    do {                                                                                                    \
        aio_loop_set_turn_limits(aio_get_running_loop(), __VA_ARGS__);                                      \
        self->ticker = (aio_task *)(void *)aio_create_task(AIO_CALL(flood_ticker, .ticks = &self->ticks));  \
        REQUIRE(self->ticker);                                                                              \
        AIO_AWAIT(aio_sleep(0));                                                                            \
        self->ticks = 0;                                                                                    \
    } while (0)
#define FLOOD_END()                                                                                         \
    do {                                                                                                    \
        if (self->ticker) aio_task_cancel(self->ticker);                                                    \
        aio_unref(self->ticker);                                                                            \
        self->ticker = NULL;                                                                                \
    } while (0)

/* Lines that are all in the buffer already, and reads of every other mode. */
struct flood_reads { FLOOD_SELF; aio_stream *a, *b; char block[6000]; };
SCENARIO(flood_reads, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE })
{
    AIO_BEGIN(flood_reads);
    REQUIRE(unix_pair(0, 100000, &self->a, &self->b));
    for (self->i = 0; self->i < 3000; self->i++) memcpy(self->block + 2 * self->i, "x\n", 2);
    REQUIRE(aio_stream_write(self->b, self->block, sizeof self->block) == 0);
    FLOOD_BEGIN(.messages = 50, .bytes = 1000);
    for (self->i = 0; self->i < 1000; self->i++) AIO_AWAIT(self->text, aio_stream_readline(self->a));
    CHECK(self->ticks >= 15); /* 1000 lines, 64 a turn at most */
    self->ticks = 0;
    for (self->i = 0; self->i < 500; self->i++) AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 2));
    for (self->i = 0; self->i < 500; self->i++) AIO_AWAIT(self->text, aio_stream_readuntil(self->a, "\n", 1));
    for (self->i = 0; self->i < 500; self->i++) AIO_AWAIT(self->text, aio_stream_read(self->a, 2));
    CHECK(self->ticks >= 22);
    REQUIRE(aio_stream_write(self->b, self->block, sizeof self->block) == 0);
    aio_stream_close(self->b);
    self->b = NULL;
    AIO_AWAIT(self->text, aio_stream_read_all(self->a, 0));
    CHECK(self->text.length == 7000 || seam.slice);
    AIO_FINALLY;
        FLOOD_END();
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* A peer that keeps up with what is written makes no slow task of the writer, for as long as it may take. */
static int flood_reports;
static void flood_reported(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)loop;
    (void)exception;
    (void)arg;
    if (!strncmp(message, "slow task", 9)) flood_reports++;
}
struct flood_kept_up { aio_task task; int i; aio_stream *a, *b; };
SCENARIO(flood_kept_up, .may = { EPIPE, ECONNRESET }, .skip = KIND_CALL /* what is sent later is another step */)
{
    AIO_BEGIN(flood_kept_up);
    flood_reports = 0;
    aio_loop_set_exception_handler(aio_get_running_loop(), flood_reported, NULL);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    for (self->i = 0; self->i < 300; self->i++) {
        REQUIRE(aio_stream_write(self->b, "x\n", 2) == 0);
        clock_advance(0.0006); /* more than a turn */
        AIO_AWAIT(aio_stream_drain(self->b));
    }
    CHECK_INT(flood_reports, 0);
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* One read that takes many receives, each of which fills up to twice the limit. */
struct flood_read_all { FLOOD_SELF; aio_stream *a, *b; char block[20000]; };
SCENARIO(flood_read_all, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE }, .skip = KIND_SLICE /* slices have turns */)
{
    AIO_BEGIN(flood_read_all);
    REQUIRE(unix_pair(500, 200000, &self->a, &self->b));
    REQUIRE(aio_stream_write(self->b, self->block, sizeof self->block) == 0);
    aio_stream_close(self->b);
    self->b = NULL;
    FLOOD_BEGIN(.bytes = 2000);
    AIO_AWAIT(self->text, aio_stream_read_all(self->a, 0));
    CHECK_INT(self->text.length, 20000);
    CHECK(self->ticks >= 9);
    AIO_FINALLY;
        FLOOD_END();
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* A read that is cancelled while it waits for its turn has taken nothing. */
struct flood_cancelled { FLOOD_SELF; aio_stream *a, *b; aio_text_future *read; };
SCENARIO(flood_cancelled, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE })
{
    AIO_BEGIN(flood_cancelled);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    REQUIRE(aio_stream_write(self->b, "a\nb\n", 4) == 0);
    AIO_AWAIT(self->text, aio_stream_readline(self->a));
    FLOOD_BEGIN(.messages = 1);
    aio__turn_exhaust(aio_get_running_loop());
    self->read = aio_stream_readline(self->a);
    REQUIRE(self->read);
    ALWAYS(!aio_future_done(self->read));
    aio_future_cancel(self->read);
    aio_unref(self->read);
    self->read = NULL;
    AIO_AWAIT(self->text, aio_stream_readline(self->a));
    CHECK_BYTES(self->text.data, self->text.length, "b\n");
    AIO_FINALLY;
        FLOOD_END();
        aio_unref(self->read);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* A write buffer that goes out as fast as it is read: no room at first, then for 1000 bytes whenever it is
 * asked. */
static bool flood_full;
static ssize_t flood_send(int fd, const void *data, size_t size, int flags)
{
    if (flood_full) {
        flood_full = false;
        errno = EAGAIN;
        seam_rearm(fd);
        return -1;
    }
    return seam_send(fd, data, size < 1000 ? size : 1000, flags);
}

struct flood_writes { FLOOD_SELF; aio_stream *a, *b; char *block; };
SCENARIO(flood_writes, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE },
         .skip = KIND_SLICE | KIND_CALL /* the reader would wait for ever when the writer has broken */)
{
    AIO_BEGIN(flood_writes);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    self->block = (char *)calloc(1, 60000);
    aio__os.send = flood_send;
    flood_full = true;
    FLOOD_BEGIN(.bytes = 3000);
    REQUIRE(aio_stream_write(self->b, self->block, 60000) == 0);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 60000));
    CHECK(self->ticks >= 15 && self->ticks < 40);
    AIO_FINALLY;
        aio__os.send = seam_send;
        FLOOD_END();
        free(self->block);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* Many clients at once. */
struct flood_accepts { FLOOD_SELF; aio_server *server; int made, clients[40]; };
SCENARIO(flood_accepts, SERVER_MAY)
{
    struct sockaddr_in address;
    AIO_BEGIN(flood_accepts);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, &self->made, "127.0.0.1", 0, .backlog = 100));
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((in_port_t)aio_server_port(self->server));
    for (int i = 0; i < 40; i++) {
        self->clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        REQUIRE(connect(self->clients[i], (struct sockaddr *)&address, sizeof address) == 0);
    }
    FLOOD_BEGIN(.messages = AIO__ACCEPT_COST * 4);
    for (self->i = 0; self->i < 10000 && !self->made; self->i++) AIO_AWAIT(aio_sleep(0)); /* the poller is asked */
    self->ticks = 0;
    for (; self->i < 20000 && self->made < 40; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_INT(self->made, 40);
    CHECK(self->ticks >= 8); /* four a turn */
    AIO_FINALLY;
        FLOOD_END();
        for (int i = 0; i < 40; i++)
            if (self->clients[i] > 0) close(self->clients[i]);
        SERVER_END(self->server);
    AIO_END;
}

/* Datagrams that have all come. */
struct flood_datagrams { FLOOD_SELF; struct dg_pair pair; aio_datagram got; char large[1000]; };
/* KIND_CALL: a datagram that a fault loses would be waited for while the ticker keeps the tests' time from passing. */
SCENARIO(flood_datagrams, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED, EINVAL }, .skip = KIND_CALL)
{
    AIO_BEGIN(flood_datagrams);
    AIO_AWAIT(AIO_CALL(dg_open, .pair = &self->pair));
    for (self->i = 0; self->i < 60; self->i++) REQUIRE(aio_datagram_send(self->pair.client, "x", 1) == 0);
    FLOOD_BEGIN(.messages = 5);
    for (self->i = 0; self->i < 60; self->i++) DG_RECEIVE(self->got, self->pair.server);
    CHECK(self->ticks >= 11);
    FLOOD_END();
    memset(self->large, 'x', sizeof self->large);
    for (self->i = 0; self->i < 20; self->i++)
        REQUIRE(aio_datagram_send(self->pair.client, self->large, sizeof self->large) == 0);
    FLOOD_BEGIN(.bytes = 4 * sizeof self->large);
    for (self->i = 0; self->i < 20; self->i++) DG_RECEIVE(self->got, self->pair.server);
    CHECK(self->ticks >= 4);
    AIO_FINALLY;
        FLOOD_END();
        dg_close(&self->pair);
    AIO_END;
}

/* Datagrams that were kept go out in turns when there is room for them, by how many and by how large they are. */
struct flood_datagrams_kept { FLOOD_SELF; struct dg_pair pair; char large[1000]; };
SCENARIO(flood_datagrams_kept, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED, EINVAL })
{
    AIO_BEGIN(flood_datagrams_kept);
    dg_sendmsg = aio__os.sendmsg;
    aio__os.sendmsg = dg_refusing;
    AIO_AWAIT(AIO_CALL(dg_open, .pair = &self->pair));
    dg_full = true;
    for (self->i = 0; self->i < 60; self->i++) REQUIRE(aio_datagram_send(self->pair.client, "x", 1) == 0);
    FLOOD_BEGIN(.messages = 5);
    CHECK_INT(self->pair.client->kept, 60);
    dg_open_up(NULL);
    for (self->i = 0; self->i < 1000 && self->pair.client->kept; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK(!self->pair.client->kept && self->ticks >= 11);
    FLOOD_END();
    dg_full = true;
    for (self->i = 0; self->i < 20; self->i++)
        REQUIRE(aio_datagram_send(self->pair.client, self->large, sizeof self->large) == 0);
    FLOOD_BEGIN(.bytes = 4 * sizeof self->large);
    CHECK_INT(self->pair.client->kept, 20 * sizeof self->large);
    dg_open_up(NULL);
    for (self->i = 0; self->i < 1000 && self->pair.client->kept; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK(!self->pair.client->kept && self->ticks >= 4);
    AIO_FINALLY;
        dg_full = false;
        aio__os.sendmsg = dg_sendmsg;
        FLOOD_END();
        dg_close(&self->pair);
    AIO_END;
}

/* Who begins receives without waiting for any gets no more than a turn's; the one after these has taken nothing. */
struct flood_datagrams_begun { FLOOD_SELF; struct dg_pair pair; aio_datagram_task *one; aio_datagram got; };
SCENARIO(flood_datagrams_begun, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED, EINVAL }, .skip = KIND_CALL)
{
    AIO_BEGIN(flood_datagrams_begun);
    AIO_AWAIT(AIO_CALL(dg_open, .pair = &self->pair));
    for (self->i = 0; self->i < 20; self->i++)
        REQUIRE(aio_datagram_send(self->pair.client, &"abcdefghijklmnopqrst"[self->i], 1) == 0);
    FLOOD_BEGIN(.messages = 5);
    for (self->i = 0; self->i < 20; self->i++) {
        self->one = aio_create_task(aio_datagram_receive(self->pair.server), .eager_start = true);
        REQUIRE(self->one);
        if (!aio_future_done(self->one)) break;
        aio_unref(self->one);
        self->one = NULL;
    }
    CHECK_INT(self->i, 5);
    aio_task_cancel(self->one);
    aio_unref(self->one);
    self->one = NULL;
    AIO_AWAIT(aio_sleep(0));
    DG_RECEIVE(self->got, self->pair.server);
    CHECK_BYTES(self->got.data, self->got.length, "f");
    AIO_FINALLY;
        FLOOD_END();
        aio_unref(self->one);
        dg_close(&self->pair);
    AIO_END;
}

/* Wrong answers to the resolver, as many as it reads: where there is no datagram, the latest one again. */
static struct { size_t length, taken; char data[600]; } flood_wrong;
static ssize_t flood_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct iovec *piece = message->msg_iov;
    ssize_t n = seam_recvmsg(fd, message, flags);
    if (n < 0 && errno != EAGAIN) return n;
    if (n > 0) memcpy(flood_wrong.data, piece->iov_base, flood_wrong.length = (size_t)n);
    else memcpy(piece->iov_base, flood_wrong.data, flood_wrong.length);
    flood_wrong.taken++;
    clock_advance(1e-6);
    return n > 0 || flood_wrong.length ? (ssize_t)flood_wrong.length : n;
}

struct flood_resolver { DNS_FRAME aio_task *ticker; int ticks; };
SCENARIO(flood_resolver, DNS_MAY)
{
    AIO_BEGIN(flood_resolver);
    memset(&flood_wrong, 0, sizeof flood_wrong);
    aio__os.recvmsg = flood_recvmsg;
    DNS_BEGIN(DNS_FLOOD);
    DNS_OPEN(.attempts = 1, .timeout = 0.02);
    FLOOD_BEGIN(.messages = 5);
    DNS_QUERY("a.test", AIO_DNS_A); /* over TCP */
    CHECK_INT(self->answer->count, 1);
    CHECK_INT(self->fake[0].asked_tcp, 1);
    CHECK(self->ticks >= 4); /* a bounded number of datagrams, few of them in a turn */
    CHECK(flood_wrong.taken < 100);
    aio_loop_remove_reader(self->fake[0].loop, self->fake[0].tcp); /* there is nobody to answer now */
    self->ticks = 0;
    self->began = aio_time();
    DNS_FAILS(aio_resolver_query(self->resolver, "b.test", AIO_DNS_A), AIO_ETIMEOUT, "no answer in time");
    CHECK_NEAR(aio_time() - self->began, 0.02, 0.001);
    CHECK(self->ticks > 500);
    AIO_FINALLY;
        aio__os.recvmsg = seam_recvmsg;
        FLOOD_END();
        aio_dns_answer_free(self->answer);
        aio_resolver_close(self->resolver);
        dns_end(&self->fake[0]);
    AIO_END;
}

#ifndef AIO_NO_TLS
/* KeyUpdates without end: OpenSSL goes on reading as long as it is given any. */
struct flood_key_updates { FLOOD_SELF; aio_tls_context *server_tls, *client_tls; aio_server *server;
                           aio_stream *stream, *other; };
SCENARIO(flood_key_updates, TLS_MAY, .skip = KIND_SLICE | KIND_CALL /* the test itself calls OpenSSL */)
{
    AIO_BEGIN(flood_key_updates);
    PAIR_SETUP();
    for (self->i = 0; self->i < 250; self->i++) {
        SSL_key_update(aio__tls_of(self->stream)->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        REQUIRE(SSL_do_handshake(aio__tls_of(self->stream)->ssl) == 1);
    }
    REQUIRE(aio_stream_write(self->stream, "data", 4) == 0);
    FLOOD_BEGIN(.messages = 1000000); /* the time does not pass either */
    AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 4));
    CHECK_BYTES(self->text.data, self->text.length, "data");
    CHECK(self->ticks >= 3); /* 250 of 27 bytes: 4096 bytes, then 1024 a turn */
    aio_task_cancel(self->ticker);
    AIO_TRY { /* who is silent after that is waited for, not asked again and again */
        AIO_TIMEOUT(1) AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 1));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
    } AIO_END_TRY;
    AIO_FINALLY;
        FLOOD_END();
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* Few of them, each in a record of another TLS below, which gives one at a time: a turn has only so many. */
struct flood_within_updates { FLOOD_SELF; aio_tls_context *server_tls, *client_tls; aio_server *server;
                              aio_stream *stream, *other; };
SCENARIO(flood_within_updates, TLS_MAY, .skip = KIND_SLICE | KIND_CALL /* the test itself calls OpenSSL */)
{
    AIO_BEGIN(flood_within_updates);
    PAIR_SETUP();
    AIO_AWAIT(AIO_CALL(tls_pairing, .a = self->stream, .b = self->other, .client = self->client_tls,
                       .server = self->server_tls));
    aio__tls_of(self->other)->chatter = 0; /* what the handshake took */
    for (self->i = 0; self->i < AIO__TLS_CHATTER - 1; self->i++) {
        SSL_key_update(aio__tls_of(self->stream)->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        REQUIRE(SSL_do_handshake(aio__tls_of(self->stream)->ssl) == 1);
    }
    REQUIRE(aio_stream_write(self->stream, "data", 4) == 0);
    FLOOD_BEGIN(.messages = 5);
    aio__stream_fd(self->other)->ready |= AIO__READ; /* no tick waits for the poller */
    AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 4));
    CHECK_BYTES(self->text.data, self->text.length, "data");
    CHECK(self->ticks >= (AIO__TLS_CHATTER - 1) / 5);
    AIO_FINALLY;
        FLOOD_END();
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* What came before a write failed is read to its end, though it takes more than one turn. */
struct flood_updates_gone { FLOOD_SELF; aio_tls_context *server_tls, *client_tls; aio_server *server;
                            aio_stream *stream, *other; };
SCENARIO(flood_updates_gone, TLS_MAY, .skip = KIND_SLICE | KIND_CALL /* the test itself calls OpenSSL */)
{
    AIO_BEGIN(flood_updates_gone);
    PAIR_SETUP();
    for (self->i = 0; self->i < 250; self->i++) {
        SSL_key_update(aio__tls_of(self->stream)->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        REQUIRE(SSL_do_handshake(aio__tls_of(self->stream)->ssl) == 1);
    }
    REQUIRE(aio_stream_write(self->stream, "data", 4) == 0);
    gone_begin(self->other);
    FLOOD_BEGIN(.messages = 1000000);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 4));
    CHECK_BYTES(self->text.data, self->text.length, "data");
    CHECK(self->ticks >= 3);
    AIO_AWAIT(AIO_CALL(gone_ends, .stream = self->other));
    AIO_FINALLY;
        aio__os.send = seam_send;
        FLOOD_END();
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* Records of a byte each: a turn has few of them. */
struct flood_small_records { FLOOD_SELF; aio_tls_context *server_tls, *client_tls; aio_server *server;
                             aio_stream *stream, *other; };
SCENARIO(flood_small_records, TLS_MAY, .skip = KIND_SLICE | KIND_CALL /* who sends does not look */)
{
    AIO_BEGIN(flood_small_records);
    PAIR_SETUP();
    for (self->i = 0; self->i < 300; self->i++) REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
    FLOOD_BEGIN(.bytes = 10 * AIO__READ_COST, .messages = 1000000);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 300));
    CHECK(self->ticks >= 25);
    AIO_FINALLY;
        FLOOD_END();
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* An answer to a KeyUpdate that the socket does not take: what is written later goes behind it, as soon as it can. */
static size_t update_room = SIZE_MAX;
static int update_fd; /* of the one whose socket has no more room */
static ssize_t update_send(int fd, const void *data, size_t length, int flags)
{
    if (fd != update_fd) return seam_send(fd, data, length, flags);
    if (!update_room) return errno = EAGAIN, -1;
    ssize_t n = seam_send(fd, data, length < update_room ? length : update_room, flags);
    if (n > 0 && update_room != SIZE_MAX) update_room -= (size_t)n;
    return n;
}

struct tls_update_kept { FLOOD_SELF; aio_tls_context *server_tls, *client_tls; aio_server *server;
                         aio_stream *stream, *other; };
SCENARIO(tls_update_kept, TLS_MAY, .skip = KIND_SLICE | KIND_CALL /* the test itself calls OpenSSL */)
{
    AIO_BEGIN(tls_update_kept);
    PAIR_SETUP();
    SSL_key_update(aio__tls_of(self->stream)->ssl, SSL_KEY_UPDATE_REQUESTED);
    REQUIRE(SSL_do_handshake(aio__tls_of(self->stream)->ssl) == 1);
    REQUIRE(aio_stream_write(self->stream, "?", 1) == 0);
    aio__os.send = update_send;
    update_fd = aio_stream_fileno(self->other);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 1));
    update_room = 0; /* OpenSSL 3.0 answers with the next call */
    REQUIRE(aio_stream_write(self->other, "answer", 6) == 0);
    CHECK(aio__tls_kept(aio__tls_of(self->other)) > 0);
    update_room = SIZE_MAX;
    REQUIRE(aio_stream_write(self->stream, "!", 1) == 0); /* so that the poller tells again of the socket */
    AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 1));
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 6));
    CHECK_BYTES(self->text.data, self->text.length, "answer");
    CHECK_INT(aio__tls_kept(aio__tls_of(self->other)), 0);
    AIO_FINALLY;
        update_room = SIZE_MAX;
        aio__os.send = seam_send;
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}

/* KeyUpdates that want an answer while a record of ours is sent in part; of answers, too, only so many are kept. */
struct tls_update_within { FLOOD_SELF; aio_tls_context *server_tls, *client_tls; aio_server *server;
                           aio_stream *stream, *other; char block[40000]; };
SCENARIO(tls_update_within, TLS_MAY, .skip = KIND_SLICE | KIND_CALL /* the test itself calls OpenSSL */)
{
    AIO_BEGIN(tls_update_within);
    PAIR_SETUP();
    for (size_t i = 0; i < sizeof self->block; i++) self->block[i] = (char)(i % 251);
    tls_small_buffers(self->other);
    REQUIRE(aio_stream_write(self->other, self->block, sizeof self->block) == 0);
    REQUIRE(aio__tls_kept(aio__tls_of(self->other)) > 1000);
    CHECK_INT(aio_stream_write_buffer_size(self->other), 40000 - 16384);
    for (self->i = 0; self->i < 800; self->i++) {
        SSL_key_update(aio__tls_of(self->stream)->ssl, SSL_KEY_UPDATE_REQUESTED);
        REQUIRE(SSL_do_handshake(aio__tls_of(self->stream)->ssl) == 1);
        REQUIRE(aio_stream_write(self->stream, "?", 1) == 0);
    }
    AIO_TIMEOUT(1000) AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 100));
    AIO_TRY { /* those that have to wait for room are not heard */
        AIO_TIMEOUT(1) AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 700));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
    } AIO_END_TRY;
    CHECK(aio__tls_kept(aio__tls_of(self->other)) <= AIO__TLS_KEPT);
    AIO_TIMEOUT(1000) AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, sizeof self->block));
    CHECK(!memcmp(self->text.data, self->block, sizeof self->block));
    AIO_TIMEOUT(1000) AIO_AWAIT(self->text, aio_stream_readexactly(self->other, 700));
    AIO_FINALLY;
        aio_stream_abort(self->other);
        TLS_END();
    AIO_END;
}
#endif
