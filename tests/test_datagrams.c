/* UDP endpoints, on loopback. Loss does not happen there; a fault may lose a datagram, so receives have a time limit.
 * */

struct dg_pair { aio_datagram_endpoint *server, *client; };

static void dg_close(struct dg_pair *pair)
{
    aio_datagram_abort(pair->client);
    aio_datagram_close(pair->server);
}

/* The client's datagrams go to the server. */
struct dg_open { aio_task task; struct dg_pair *pair; };
static AIO_CORO(dg_open)
{
    AIO_BEGIN(dg_open);
    AIO_AWAIT(self->pair->server, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    AIO_AWAIT(self->pair->client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1",
                                                               .remote_port = aio_datagram_port(self->pair->server)));
    AIO_END;
}

#define DG_RECEIVE(lhs, endpoint) AIO_AWAIT(lhs, aio_wait_for(aio_datagram_receive(endpoint), 5))

/* Both ways between one that is bound and one that is connected to it. */
struct dg_both_ways { aio_task task; struct dg_pair pair; aio_datagram got; int i; char text[64], name[64]; };
SCENARIO(dg_both_ways, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED, EINVAL })
{
    AIO_BEGIN(dg_both_ways);
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    CHECK(aio_datagram_port(self->pair.server) > 0);
    CHECK(fcntl(aio_datagram_fileno(self->pair.server), F_GETFD) & FD_CLOEXEC);
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1",
                                                              .remote_port = aio_datagram_port(self->pair.server)));
    aio_datagram_sockname(self->pair.client, self->name, sizeof self->name);
    aio_datagram_peername(self->pair.client, self->text, sizeof self->text);
    CHECK_STR(self->text, aio_datagram_sockname(self->pair.server, (char[64]){ 0 }, 64));
    for (self->i = 0; self->i < 3; self->i++) {
        REQUIRE(aio_datagram_send(self->pair.client, "ping", (size_t)self->i) == 0); /* the first one is empty */
        DG_RECEIVE(self->got, self->pair.server);
        REQUIRE(self->got.data != NULL);
        CHECK_BYTES(self->got.data, self->got.length, "ping", (size_t)self->i);
        CHECK_STR(self->got.address, self->name);
        CHECK_INT(self->got.data[self->got.length], 0);
        REQUIRE(aio_datagram_sendto(self->pair.server, "pong", 4, self->got.address) == 0);
        DG_RECEIVE(self->got, self->pair.client);
        CHECK_BYTES(self->got.data, self->got.length, "pong");
    }
    AIO_FINALLY;
        dg_close(&self->pair);
    AIO_END;
}

/* A receive that was called has its endpoint, also if it begins after the close, or never does. */
struct dg_begins_late { aio_task task; struct dg_pair pair; aio_future *call; aio_datagram got; };
SCENARIO(dg_begins_late, .may = { AIO_ERESOLVE })
{
    AIO_BEGIN(dg_begins_late);
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    self->call = (aio_future *)aio_datagram_receive(self->pair.server);
    REQUIRE(self->call);
    CHECK_INT(self->pair.server->refs, 2);
    aio_future_cancel(self->call);
    aio_unref(self->call);
    self->call = NULL;
    CHECK_INT(self->pair.server->refs, 1);
    AIO_TRY {
        AIO_AWAIT(self->got, aio_wait_for(aio_datagram_receive(self->pair.server), 1)); /* it begins, and waits */
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
    } AIO_END_TRY;
    CHECK_INT(self->pair.server->refs, 1);
    self->call = (aio_future *)aio_create_task(aio_datagram_receive(self->pair.server));
    REQUIRE(self->call);
    CHECK_INT(self->pair.server->refs, 2);
    aio_datagram_close(self->pair.server);
    self->pair.server = NULL;
    AIO_TRY {
        AIO_AWAIT(aio_ref(self->call));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ESTOPITERATION);
    } AIO_END_TRY;
    AIO_FINALLY;
        if (self->call) aio_future_cancel(self->call);
        aio_unref(self->call);
        dg_close(&self->pair);
    AIO_END;
}

/* Every code that a send gives without the network. */
struct dg_codes { aio_task task; struct dg_pair pair; char *big; };
SCENARIO(dg_codes, .may = { AIO_ERESOLVE })
{
    AIO_BEGIN(dg_codes);
    self->big = (char *)calloc(70000, 1);
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .reuse_port = true));
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1", .remote_port = 9));
    CHECK_INT(aio_datagram_send(NULL, "x", 1), EINVAL);
    CHECK_INT(aio_datagram_send(self->pair.server, "x", 1), EDESTADDRREQ);
    CHECK_INT(aio_datagram_sendto(self->pair.client, "x", 1, "127.0.0.1:9"), EISCONN);
    CHECK_INT(aio_datagram_sendto(self->pair.server, NULL, 1, "127.0.0.1:9"), EINVAL);
    CHECK_INT(aio_datagram_sendto(self->pair.server, "x", 1, ""), EINVAL);
    CHECK_INT(aio_datagram_sendto(self->pair.server, "x", 1, "127.0.0.1"), EINVAL);
    CHECK_INT(aio_datagram_sendto(self->pair.server, "x", 1, "127.0.0.1:65536"), EINVAL);
    CHECK_INT(aio_datagram_sendto(self->pair.server, "x", 1, "127.0.0.1:9x"), EINVAL);
    CHECK_INT(aio_datagram_sendto(self->pair.server, "x", 1, "localhost:9"), EINVAL);
    CHECK_INT(aio_datagram_sendto(self->pair.server, "x", 1, "[::1:9"), EINVAL);
    CHECK_INT(aio_datagram_sendto(self->pair.server, "x", 1, ":9"), EINVAL);
    CHECK_INT(aio_datagram_sendto(self->pair.server, "x", 1, "]:9"), EINVAL);
    CHECK_INT(aio_datagram_sendto(self->pair.server, "x", 1, "[]:9"), EINVAL);
    CHECK_INT(aio_datagram_sendto(self->pair.server, self->big, 70000, "127.0.0.1:9"), EMSGSIZE);
    AIO_AWAIT(aio_datagram_drain(self->pair.server)); /* nothing is kept */
    AIO_FINALLY;
        free(self->big);
        dg_close(&self->pair);
    AIO_END;
}

static bool dg_flag(aio_datagram_endpoint *endpoint, int option)
{
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(aio_datagram_fileno(endpoint), SOL_SOCKET, option, &value, &length) == 0 && value;
}

/* Broadcasts only leave an endpoint that asked for it; what is too long does not leave. (An EAGAIN would keep the
 * datagram, so that the send gives 0.) */
struct dg_broadcast { aio_task task; struct dg_pair pair; aio_datagram_endpoint *none; char *big; };
SCENARIO(dg_broadcast, .may = { AIO_ERESOLVE }, .skip = KIND_CALL)
{
    AIO_BEGIN(dg_broadcast);
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .reuse_port = true));
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.broadcast = true));
    CHECK_INT(aio_datagram_sendto(self->pair.server, "x", 1, "255.255.255.255:9"), EACCES);
    AIO_TRY {
        AIO_AWAIT(self->none, aio_create_datagram_endpoint(.remote_host = "255.255.255.255", .remote_port = 9));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EACCES);
    } AIO_END_TRY;
    self->big = (char *)calloc(65520, 1);
    CHECK_INT(aio_datagram_sendto(self->pair.server, self->big, 65520, "127.0.0.1:9"), EMSGSIZE);
    CHECK(!dg_flag(self->pair.server, SO_BROADCAST));
    CHECK(dg_flag(self->pair.client, SO_BROADCAST));
    CHECK(dg_flag(self->pair.server, SO_REUSEPORT));
    CHECK(!dg_flag(self->pair.client, SO_REUSEPORT));
    AIO_FINALLY;
        free(self->big);
        dg_close(&self->pair);
    AIO_END;
}

/* A broadcast reaches whoever listens: the loopback network has an address for that. */
struct dg_broadcast_comes { aio_task task; struct dg_pair pair; aio_datagram got; char to[32]; };
SCENARIO(dg_broadcast_comes, .may = { AIO_ETIMEOUT, AIO_ERESOLVE })
{
    AIO_BEGIN(dg_broadcast_comes);
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "0.0.0.0"));
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .broadcast = true));
    snprintf(self->to, sizeof self->to, "127.255.255.255:%d", aio_datagram_port(self->pair.server));
    REQUIRE(aio_datagram_sendto(self->pair.client, "all", 3, self->to) == 0);
    DG_RECEIVE(self->got, self->pair.server);
    REQUIRE(self->got.data != NULL);
    CHECK_BYTES(self->got.data, self->got.length, "all");
    AIO_FINALLY;
        dg_close(&self->pair);
    AIO_END;
}

/* A datagram over the limit is an error, which names sender and limit; the endpoint lives on, and the next one comes.
 * */
struct dg_too_long { aio_task task; struct dg_pair pair; aio_datagram got; char text[160], name[64]; };
SCENARIO(dg_too_long, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, EMSGSIZE, ECONNREFUSED })
{
    AIO_BEGIN(dg_too_long);
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .limit = 4));
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1",
                                                              .remote_port = aio_datagram_port(self->pair.server)));
    aio_datagram_sockname(self->pair.client, self->name, sizeof self->name);
    REQUIRE(aio_datagram_send(self->pair.client, "12345", 5) == 0);
    REQUIRE(aio_datagram_send(self->pair.client, "1234", 4) == 0);
    AIO_TRY {
        DG_RECEIVE(self->got, self->pair.server);
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, EMSGSIZE)) AIO_RERAISE();
        snprintf(self->text, sizeof self->text, "a datagram from %s is longer than the limit of 4 bytes", self->name);
        CHECK_STR(aio_caught(self)->message, self->text);
    } AIO_END_TRY
    DG_RECEIVE(self->got, self->pair.server);
    CHECK_BYTES(self->got.data, self->got.length, "1234");
    AIO_FINALLY;
        dg_close(&self->pair);
    AIO_END;
}

static void dg_on_error(aio_datagram_endpoint *endpoint, const aio_exception *exception, void *arg)
{
    (void)endpoint;
    *(int *)arg = exception->code;
}

/* A port of 127.0.0.1 at which nobody is, for as long as the descriptor is open: it is connected to itself, so that it
 * takes no other's datagrams, and only those with .reuse_port may come there. The descriptor, or -1. */
static int dg_nobody(int *port)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int one = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool held = fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one)
        && !bind(fd, (struct sockaddr *)&address, length) && !getsockname(fd, (struct sockaddr *)&address, &length)
        && !connect(fd, (struct sockaddr *)&address, length);
    *port = ntohs(address.sin_port);
    if (held || fd < 0) return fd;
    close(fd);
    return -1;
}

/* Nobody is there: the network says so. It goes to .error_received, or else to a receive, and the endpoint lives on. */
struct dg_refused { aio_task task; struct dg_pair pair, next; aio_datagram got; int held, port, code, i; };
SCENARIO(dg_refused, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED })
{
    AIO_BEGIN(dg_refused);
    REQUIRE((self->held = dg_nobody(&self->port)) > 0);
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1", .remote_port = self->port,
                                                              .error_received = dg_on_error, .arg = &self->code));
    AIO_AWAIT(self->next.client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1", .remote_port = self->port));
    REQUIRE(aio_datagram_send(self->pair.client, "x", 1) == 0);
    /* meets the error of the first, and is sent all the same */
    REQUIRE(aio_datagram_send(self->pair.client, "y", 1) == 0);
    AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->code, ECONNREFUSED);
    REQUIRE(aio_datagram_send(self->next.client, "x", 1) == 0);
    AIO_TRY {
        DG_RECEIVE(self->got, self->next.client);
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, ECONNREFUSED)) AIO_RERAISE();
    } AIO_END_TRY
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .local_port = self->port,
                                                              .reuse_port = true));
    REQUIRE(aio_datagram_send(self->next.client, "z", 1) == 0);
    DG_RECEIVE(self->got, self->pair.server);
    CHECK_BYTES(self->got.data, self->got.length, "z");
    AIO_FINALLY;
        dg_close(&self->pair);
        dg_close(&self->next);
        if (self->held > 0) close(self->held);
    AIO_END;
}

/* Nobody calls anything: the refusal comes by itself, and so does the next one. */
struct dg_refused_at_once { aio_task task; aio_datagram_endpoint *client; int held, port, code, i; };
SCENARIO(dg_refused_at_once, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED })
{
    AIO_BEGIN(dg_refused_at_once);
    REQUIRE((self->held = dg_nobody(&self->port)) > 0);
    AIO_AWAIT(self->client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1", .remote_port = self->port,
                                                         .error_received = dg_on_error, .arg = &self->code));
    for (self->i = 0; self->i < 3; self->i++) {
        self->code = 0;
        REQUIRE(aio_datagram_send(self->client, "x", 1) == 0);
        AIO_AWAIT(aio_sleep(0.01));
        CHECK_INT(self->code, ECONNREFUSED);
    }
    AIO_FINALLY;
        aio_datagram_close(self->client);
        if (self->held > 0) close(self->held);
    AIO_END;
}

/* Counts datagrams until its endpoint is closed. */
struct dg_counter { aio_task task; int result; aio_datagram_endpoint *endpoint; aio_datagram got; };
static AIO_CORO(dg_counter)
{
    AIO_BEGIN(dg_counter);
    AIO_ASYNC_FOR(self->got, aio_datagram_receive(self->endpoint)) self->result++;
    AIO_END;
}

/* More than one burst; a second receiver is refused; closing ends the loop of the first. */
struct dg_loop { aio_task task; struct dg_pair pair; struct dg_counter *counter; aio_datagram got; int i; };
SCENARIO(dg_loop, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, AIO_ERUNTIME, ECONNREFUSED })
{
    AIO_BEGIN(dg_loop);
    AIO_AWAIT(AIO_CALL(dg_open, .pair = &self->pair));
    self->counter = aio_create_task(AIO_CALL(dg_counter, .endpoint = self->pair.server));
    REQUIRE(self->counter != NULL);
    for (self->i = 0; self->i < 100; self->i++) REQUIRE(aio_datagram_send(self->pair.client, "x", 1) == 0);
    AIO_AWAIT(aio_sleep(0.1));
    AIO_TRY {
        DG_RECEIVE(self->got, self->pair.server);
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, AIO_ERUNTIME)) AIO_RERAISE();
    } AIO_END_TRY
    CHECK_INT(self->counter->result, 100);
    aio_datagram_close(self->pair.server);
    self->pair.server = NULL;
    AIO_AWAIT(aio_wait(&self->counter, 1, .timeout = 5));
    CHECK(aio_future_done(self->counter));
    AIO_FINALLY;
        fd_end_task(self->counter);
        dg_close(&self->pair);
    AIO_END;
}

/* What the socket refuses for the moment is kept, in order; drain waits; wait_closed sends it first. The socket that
 * refuses is played: sendmsg says EAGAIN as long as dg_full. */
static bool dg_full;
static int dg_refused; /* the socket that was */
static ssize_t (*dg_sendmsg)(int, const struct msghdr *, int);
static ssize_t dg_refusing(int fd, const struct msghdr *message, int flags)
{
    if (!dg_full) return dg_sendmsg(fd, message, flags);
    dg_refused = fd;
    errno = EAGAIN;
    return -1;
}

static void dg_open_up(void *arg)
{
    (void)arg;
    dg_full = false;
    seam_rearm(dg_refused); /* as the kernel tells of room */
}

struct dg_kept { aio_task task; struct dg_pair pair; aio_datagram got; char *big; int i, n; aio_handle handle; };
SCENARIO(dg_kept, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED })
{
    AIO_BEGIN(dg_kept);
    self->big = (char *)calloc(30000, 1);
    dg_sendmsg = aio__os.sendmsg;
    aio__os.sendmsg = dg_refusing;
    AIO_AWAIT(AIO_CALL(dg_open, .pair = &self->pair));
    dg_full = true;
    for (self->i = 0; self->i < 3; self->i++) {
        self->big[0] = (char)('a' + self->i);
        REQUIRE(aio_datagram_send(self->pair.client, self->big, 30000) == 0);
    }
    CHECK_INT(self->pair.client->kept, 90000);
    dg_open_up(NULL);
    AIO_AWAIT(aio_datagram_drain(self->pair.client));
    CHECK_INT(self->pair.client->kept, 0);
    dg_full = true;
    REQUIRE(aio_datagram_send(self->pair.client, "last", 4) == 0);
    dg_open_up(NULL);
    for (self->i = 0; self->i < 3; self->i++) {
        DG_RECEIVE(self->got, self->pair.server);
        REQUIRE(self->got.length == 30000);
        CHECK_INT(self->got.data[0], 'a' + self->i);
    }
    AIO_AWAIT(aio_datagram_wait_closed(self->pair.client));
    self->pair.client = NULL;
    DG_RECEIVE(self->got, self->pair.server);
    CHECK_BYTES(self->got.data, self->got.length, "last");
    AIO_FINALLY;
        dg_full = false;
        aio__os.sendmsg = dg_sendmsg;
        free(self->big);
        if (self->task.future.error) aio_datagram_abort(self->pair.server);
        else aio_datagram_close(self->pair.server);
    AIO_END;
}

/* How much is kept before drain waits, and how little there is when it goes on; what cannot be sent then is told of, and
 * the next one is sent all the same. The socket takes as many as dg_play.left, and says dg_play.code before that. */
static struct { int left, code, fd; } dg_play;
static ssize_t dg_playing(int fd, const struct msghdr *message, int flags)
{
    if (dg_play.code && dg_play.left > 0) {
        errno = dg_play.code;
        dg_play.code = 0;
        return -1;
    }
    if (dg_play.left > 0) {
        dg_play.left--;
        return dg_sendmsg(fd, message, flags);
    }
    dg_play.fd = fd;
    errno = EAGAIN;
    return -1;
}

static void dg_take(int count, int code)
{
    dg_play.left = count;
    dg_play.code = code;
    seam_rearm(dg_play.fd);
}

/* Time goes on by hand: a poller for which the socket is ready all the time does not wait. */
#define DG_TURNS() for (self->i = 0; self->i < 9; self->i++) { clock_advance(0.002); AIO_AWAIT(aio_sleep(0)); }

struct dg_marks { aio_task task; struct dg_pair pair; aio_datagram got; aio_future *drain; char *big; int i, code; };
SCENARIO(dg_marks, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED },
         .skip = KIND_CALL /* an EAGAIN of its would be one more */)
{
    AIO_BEGIN(dg_marks);
    self->big = (char *)calloc(16384, 1);
    dg_sendmsg = aio__os.sendmsg;
    aio__os.sendmsg = dg_playing;
    memset(&dg_play, 0, sizeof dg_play);
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .limit = 16384));
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1",
                                                              .remote_port = aio_datagram_port(self->pair.server),
                                                              .error_received = dg_on_error, .arg = &self->code));
    for (self->i = 0; self->i < 4; self->i++) {
        self->big[0] = (char)('a' + self->i);
        REQUIRE(aio_datagram_send(self->pair.client, self->big, 16384) == 0);
    }
    REQUIRE(self->drain = aio_datagram_drain(self->pair.client));
    CHECK(aio_future_done(self->drain)); /* 64 KiB, and no more */
    aio_unref(self->drain);
    REQUIRE(aio_datagram_send(self->pair.client, "e", 1) == 0);
    REQUIRE(self->drain = aio_datagram_drain(self->pair.client));
    CHECK(!aio_future_done(self->drain));
    dg_take(3, 0);
    DG_TURNS();
    CHECK_INT(self->pair.client->kept, 16385);
    CHECK(!aio_future_done(self->drain)); /* 16 KiB, and one byte */
    dg_take(1, EPERM);
    DG_TURNS();
    CHECK_INT(self->pair.client->kept, 0);
    CHECK(aio_future_done(self->drain));
    CHECK_INT(self->code, EPERM);
    for (self->i = 0; self->i < 4; self->i++) {
        DG_RECEIVE(self->got, self->pair.server);
        REQUIRE(self->got.length == (self->i < 3 ? 16384 : 1)); /* just within the limit */
        CHECK_INT(self->got.data[0], self->i < 3 ? 'a' + self->i : 'e');
    }
    AIO_FINALLY;
        aio__os.sendmsg = dg_sendmsg;
        free(self->big);
        aio_unref(self->drain);
        dg_close(&self->pair);
    AIO_END;
}

/* What is kept and cannot be sent is raised where a receive waits. */
struct dg_waits { aio_task task; aio_datagram_endpoint *endpoint; aio_datagram got; };
static AIO_CORO(dg_waits)
{
    AIO_BEGIN(dg_waits);
    AIO_AWAIT(self->got, aio_datagram_receive(self->endpoint));
    AIO_END;
}

struct dg_unsent { aio_task task; struct dg_pair pair; struct dg_waits *waits; int i; };
SCENARIO(dg_unsent, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED, EPERM }, .skip = KIND_CALL)
{
    AIO_BEGIN(dg_unsent);
    dg_sendmsg = aio__os.sendmsg;
    aio__os.sendmsg = dg_playing;
    memset(&dg_play, 0, sizeof dg_play);
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1", .remote_port = 9));
    REQUIRE(self->waits = aio_create_task(AIO_CALL(dg_waits, .endpoint = self->pair.client)));
    DG_TURNS();
    REQUIRE(aio_datagram_send(self->pair.client, "x", 1) == 0);
    CHECK(!aio_future_done(self->waits));
    dg_take(1, EPERM);
    DG_TURNS();
    CHECK(aio_future_done(self->waits));
    CHECK(!(self->pair.client->d.want & AIO__READ));
    if (aio_future_done(self->waits) && CHECK(aio_future_exception(self->waits))) {
        CHECK_INT(aio_future_exception(self->waits)->code, EPERM);
        CHECK_STR(aio_future_exception(self->waits)->phase, "send");
    }
    AIO_FINALLY;
        aio__os.sendmsg = dg_sendmsg;
        fd_end_task(self->waits);
        dg_close(&self->pair);
    AIO_END;
}

/* What the system says of a send belongs to that datagram where the socket has no peer: it is what the send gives, the
 * handler hears nothing, and nothing is sent again. */
struct dg_unreachable { aio_task task; struct dg_pair pair; int code, i; };
SCENARIO(dg_unreachable, .may = { AIO_ERESOLVE, ENETUNREACH, EHOSTUNREACH, ECONNREFUSED }, .skip = KIND_CALL)
{
    static const int codes[] = { ENETUNREACH, EHOSTUNREACH, ECONNREFUSED };
    AIO_BEGIN(dg_unreachable);
    dg_sendmsg = aio__os.sendmsg;
    aio__os.sendmsg = dg_playing;
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .arg = &self->code,
                                                              .error_received = dg_on_error));
    for (self->i = 0; self->i < 3; self->i++) {
        dg_take(1, codes[self->i]);
        CHECK_INT(aio_datagram_sendto(self->pair.client, "x", 1, "127.0.0.1:9"), codes[self->i]);
        CHECK_INT(self->code, 0);
        CHECK_INT(dg_play.left, 1);
    }
    AIO_FINALLY;
        aio__os.sendmsg = dg_sendmsg;
        dg_close(&self->pair);
    AIO_END;
}

/* A limit is the program's up to the longest datagram that there is, which is the default. */
struct dg_limits { aio_task task; struct dg_pair pair; int i; };
SCENARIO(dg_limits, .may = { AIO_ERESOLVE })
{
    static const struct { size_t limit, is; } cases[] = { { 0, 65535 }, { 1, 1 }, { 65534, 65534 }, { 70000, 65535 } };
    AIO_BEGIN(dg_limits);
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1",
                                                                  .limit = cases[self->i].limit));
        CHECK_INT(self->pair.server->limit, cases[self->i].is);
        aio_datagram_close(self->pair.server);
        self->pair.server = NULL;
    }
    AIO_FINALLY;
        dg_close(&self->pair);
    AIO_END;
}

/* What the socket never takes is given up 30 s after the close. (A cancel leaves that to the background.) */
struct dg_gives_up { aio_task task; struct dg_pair pair; aio_datagram_endpoint *closing; double began; int ends[2]; };
SCENARIO(dg_gives_up, .skip = KIND_CANCEL)
{
    AIO_BEGIN(dg_gives_up);
    self->ends[0] = self->ends[1] = -1;
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, self->ends) == 0);
    while (send(self->ends[0], "x", 1, MSG_DONTWAIT) == 1) continue;
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.sock = self->ends[0]));
    self->ends[0] = -1;
    REQUIRE(aio_datagram_send(self->pair.client, "x", 1) == 0);
    self->began = aio_loop_time(self->task.future.loop);
    self->closing = self->pair.client;
    self->pair.client = NULL;
    AIO_AWAIT(aio_datagram_wait_closed(self->closing)); /* takes it, whatever becomes of the await */
    CHECK_NEAR(aio_loop_time(self->task.future.loop) - self->began, 30, 0.1);
    AIO_FINALLY;
        for (int i = 0; i < 2; i++)
            if (self->ends[i] >= 0) close(self->ends[i]);
        dg_close(&self->pair);
    AIO_END;
}

/* A port that is shared has to be so by all. */
struct dg_reuse_port { aio_task task; struct dg_pair pair, none; int port; };
SCENARIO(dg_reuse_port, .may = { AIO_ERESOLVE, EADDRINUSE })
{
    AIO_BEGIN(dg_reuse_port);
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .reuse_port = true));
    self->port = aio_datagram_port(self->pair.server);
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .local_port = self->port,
                                                              .reuse_port = true));
    CHECK_INT(aio_datagram_port(self->pair.client), self->port);
    AIO_TRY {
        AIO_AWAIT(self->none.client, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .local_port = self->port));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EADDRINUSE);
        CHECK(strncmp(aio_caught(self)->message, "datagrams at 127.0.0.1:", 23) == 0);
    } AIO_END_TRY
    AIO_FINALLY;
        dg_close(&self->pair);
        dg_close(&self->none);
    AIO_END;
}

/* Sockets of the program's own: a pair, which is connected, and one that is bound. What is no socket is refused. */
struct dg_socket { aio_task task; struct dg_pair pair, bound; aio_datagram got; int ends[3]; };
SCENARIO(dg_socket, .may = { AIO_ETIMEOUT, EDESTADDRREQ, EBADF })
{
    struct sockaddr_in to;
    AIO_BEGIN(dg_socket);
    self->ends[2] = socket(AF_INET, SOCK_DGRAM, 0);
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, self->ends) == 0);
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.sock = self->ends[0]));
    self->ends[0] = 0;
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.sock = self->ends[1]));
    self->ends[1] = 0;
    CHECK(fcntl(aio_datagram_fileno(self->pair.server), F_GETFD) & FD_CLOEXEC);
    REQUIRE(aio_datagram_send(self->pair.client, "ping", 4) == 0);
    DG_RECEIVE(self->got, self->pair.server);
    CHECK_BYTES(self->got.data, self->got.length, "ping");
    CHECK_STR(self->got.address, "");
    AIO_TRY {
        AIO_AWAIT(aio_create_datagram_endpoint(.sock = 9999));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EBADF);
        CHECK_STR(aio_caught(self)->message, "datagrams of socket 9999: Bad file descriptor");
    } AIO_END_TRY
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(bind(self->ends[2], (struct sockaddr *)&to, sizeof to) == 0);
    AIO_AWAIT(self->bound.server, aio_create_datagram_endpoint(.sock = self->ends[2]));
    self->ends[2] = 0;
    CHECK(aio_datagram_port(self->bound.server) > 0);
    CHECK_INT(aio_datagram_send(self->bound.server, "x", 1), EDESTADDRREQ);
    AIO_FINALLY;
        for (int i = 0; i < 3; i++)
            if (self->ends[i] > 0) close(self->ends[i]);
        dg_close(&self->pair);
        dg_close(&self->bound);
    AIO_END;
}

/* Whatever the system says of earlier datagrams goes to .error_received, and the next one comes all the same. The
 * system that says it is played. */
static int dg_says;
static ssize_t (*dg_recvmsg)(int, struct msghdr *, int);
static ssize_t dg_complaining(int fd, struct msghdr *message, int flags)
{
    if (!dg_says) return dg_recvmsg(fd, message, flags);
    errno = dg_says;
    dg_says = 0;
    return -1;
}

struct dg_errors { aio_task task; struct dg_pair pair; aio_datagram got; int code, i; };
SCENARIO(dg_errors, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED })
{
    static const int codes[] = { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EPROTO, EACCES, EMSGSIZE, ENETDOWN };
    AIO_BEGIN(dg_errors);
    dg_recvmsg = aio__os.recvmsg;
    aio__os.recvmsg = dg_complaining;
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .arg = &self->code,
                                                              .error_received = dg_on_error));
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1",
                                                              .remote_port = aio_datagram_port(self->pair.server)));
    for (self->i = 0; self->i < (int)(sizeof codes / sizeof *codes); self->i++) {
        dg_says = codes[self->i];
        REQUIRE(aio_datagram_send(self->pair.client, "x", 1) == 0);
        DG_RECEIVE(self->got, self->pair.server);
        CHECK_INT(self->got.length, 1);
        CHECK_INT(self->code, codes[self->i]);
    }
    dg_says = ENOTCONN; /* the next receive would hear it again: it is raised, and the endpoint lives on */
    self->code = 0;
    AIO_TRY {
        DG_RECEIVE(self->got, self->pair.server);
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ENOTCONN);
        CHECK_INT(self->code, 0);
    } AIO_END_TRY
    REQUIRE(aio_datagram_send(self->pair.client, "y", 1) == 0);
    DG_RECEIVE(self->got, self->pair.server);
    CHECK_BYTES(self->got.data, self->got.length, "y");
    AIO_FINALLY;
        dg_says = 0;
        aio__os.recvmsg = dg_recvmsg;
        dg_close(&self->pair);
    AIO_END;
}

/* An error that comes again and again holds up neither the loop nor what comes after it. */
static ssize_t dg_always_complaining(int fd, struct msghdr *message, int flags)
{
    if (!dg_says) return dg_recvmsg(fd, message, flags);
    errno = dg_says;
    return -1;
}

static void dg_count_errors(aio_datagram_endpoint *endpoint, const aio_exception *exception, void *arg)
{
    (void)endpoint, (void)exception;
    ++*(int *)arg;
}

struct dg_error_again { aio_task task; struct dg_pair pair; struct dg_counter *counter; int errors, i; };
SCENARIO(dg_error_again, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED })
{
    AIO_BEGIN(dg_error_again);
    dg_recvmsg = aio__os.recvmsg;
    aio__os.recvmsg = dg_always_complaining;
    dg_says = EACCES;
    AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "127.0.0.1", .arg = &self->errors,
                                                              .error_received = dg_count_errors));
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1",
                                                              .remote_port = aio_datagram_port(self->pair.server)));
    self->counter = aio_create_task(AIO_CALL(dg_counter, .endpoint = self->pair.server));
    REQUIRE(self->counter != NULL);
    for (self->i = 0; self->i < 10; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK(self->errors > 1 && self->errors <= 10);
    dg_says = 0;
    REQUIRE(aio_datagram_send(self->pair.client, "x", 1) == 0);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK_INT(self->counter->result, 1);
    AIO_FINALLY;
        dg_says = 0;
        aio__os.recvmsg = dg_recvmsg;
        fd_end_task(self->counter);
        dg_close(&self->pair);
    AIO_END;
}

/* Who hears of an error ends the endpoint: while nobody calls it, in a send, in a receive, and when the socket takes
 * again what was kept; by an abort and by a close. A send and a receive say that it is closed. */
struct dg_ender { aio_datagram_endpoint **endpoint; bool aborts; int heard; };
static void dg_end_on_error(aio_datagram_endpoint *endpoint, const aio_exception *exception, void *arg)
{
    struct dg_ender *ender = (struct dg_ender *)arg;
    (void)exception;
    *ender->endpoint = NULL;
    ender->heard++;
    if (ender->aborts) aio_datagram_abort(endpoint);
    else aio_datagram_close(endpoint);
}

static const int *dg_send_says; /* a code for each send, 0: it is done; at the end NULL: the system sends */
static ssize_t (*dg_sendmsg)(int, const struct msghdr *, int);
static ssize_t dg_send_saying(int fd, const struct msghdr *message, int flags)
{
    if (!dg_send_says) return dg_sendmsg(fd, message, flags);
    errno = *dg_send_says;
    dg_send_says = *dg_send_says ? dg_send_says + 1 : NULL;
    return errno ? -1 : 1;
}

struct dg_error_ends { aio_task task; aio_datagram_endpoint *client; struct dg_ender ender; aio_datagram got;
    int held, port, i; };
SCENARIO(dg_error_ends, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED })
{
    static const int fails_late[] = { EAGAIN, EACCES, 0 }, refused_late[] = { EAGAIN, ECONNREFUSED, 0 };
    static const int refused[] = { ECONNREFUSED, 0 }, waits[] = { EAGAIN, EAGAIN, EACCES, 0 };
    AIO_BEGIN(dg_error_ends);
    dg_recvmsg = aio__os.recvmsg;
    dg_sendmsg = aio__os.sendmsg;
    aio__os.recvmsg = dg_complaining;
    aio__os.sendmsg = dg_send_saying;
    REQUIRE((self->held = dg_nobody(&self->port)) > 0);
    for (self->i = 0; self->i < 12; self->i++) {
        self->ender.endpoint = &self->client;
        self->ender.aborts = self->i % 2;
        self->ender.heard = 0;
        AIO_AWAIT(self->client, aio_create_datagram_endpoint(.remote_host = "127.0.0.1", .remote_port = self->port,
                                                             .error_received = dg_end_on_error, .arg = &self->ender));
        switch (self->i / 2) {
        case 0: /* it comes by itself */
            REQUIRE(aio_datagram_send(self->client, "x", 1) == 0);
            break;
        case 1:
            dg_send_says = refused;
            CHECK_INT(aio_datagram_send(self->client, "x", 1), EPIPE);
            break;
        case 2:
        case 3: /* what is kept meets it */
            dg_send_says = self->i / 2 == 2 ? fails_late : refused_late;
            REQUIRE(aio_datagram_send(self->client, "x", 1) == 0);
            REQUIRE(aio_datagram_send(self->client, "y", 1) == 0);
            break;
        case 4: /* a receive does */
            dg_says = EACCES;
            break;
        default: /* it was closed before: nobody is told */
            dg_send_says = waits;
            REQUIRE(aio_datagram_send(self->client, "x", 1) == 0);
            aio_datagram_close(self->client);
            self->client = NULL;
        }
        if (self->i / 2 == 4) {
            AIO_TRY {
                AIO_AWAIT(self->got, aio_datagram_receive(self->client));
                UNREACHED();
            } AIO_CATCH_ALL {
                if (!CHECK_INT(aio_caught(self)->code, AIO_ESTOPITERATION)) AIO_RERAISE();
            } AIO_END_TRY;
        }
        AIO_AWAIT(aio_sleep(0.01));
        CHECK_INT(self->ender.heard, self->i / 2 < 5);
        CHECK(!self->client);
        dg_send_says = NULL;
        dg_says = 0;
    }
    AIO_FINALLY;
        dg_send_says = NULL;
        dg_says = 0;
        aio__os.recvmsg = dg_recvmsg;
        aio__os.sendmsg = dg_sendmsg;
        aio_datagram_abort(self->client);
        if (self->held > 0) close(self->held);
    AIO_END;
}

/* Over IPv6, where there is one. */
struct dg_six { aio_task task; struct dg_pair pair; aio_datagram got; char name[64]; };
SCENARIO(dg_six, .may = { AIO_ETIMEOUT, AIO_ERESOLVE, ECONNREFUSED })
{
    AIO_BEGIN(dg_six);
    AIO_TRY {
        AIO_AWAIT(self->pair.server, aio_create_datagram_endpoint(.local_host = "::1"));
    } AIO_CATCH {
        if (aio_caught(self)->code != EADDRNOTAVAIL && aio_caught(self)->code != EAFNOSUPPORT) AIO_RERAISE();
        AIO_RETURN();
    } AIO_END_TRY
    AIO_AWAIT(self->pair.client, aio_create_datagram_endpoint(.remote_host = "::1",
                                                              .remote_port = aio_datagram_port(self->pair.server)));
    aio_datagram_sockname(self->pair.client, self->name, sizeof self->name);
    CHECK(strncmp(self->name, "[::1]:", 6) == 0);
    REQUIRE(aio_datagram_send(self->pair.client, "six", 3) == 0);
    DG_RECEIVE(self->got, self->pair.server);
    CHECK_STR(self->got.address, self->name);
    REQUIRE(aio_datagram_sendto(self->pair.server, "seven", 5, self->got.address) == 0);
    DG_RECEIVE(self->got, self->pair.client);
    CHECK_BYTES(self->got.data, self->got.length, "seven");
    AIO_FINALLY;
        dg_close(&self->pair);
    AIO_END;
}

/* Addresses with a scope, and of both families, there and back. */
TEST(dg_addresses)
{
    static const char *const texts[] = { "127.0.0.1:53", "[::1]:65535", "[fe80::1%2]:1", "0.0.0.0:0",
                                         "[fe80::1%4294967295]:1", "[1111:2222:3333:4444:5555:6666:7777:8888]:9" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        aio__address address;
        char text[AIO__DATAGRAM_TEXT];
        CHECK(aio__datagram_to(texts[i], &address));
        aio__address_text(&address.storage, address.length, text, sizeof text);
        CHECK_STR(text, texts[i]);
    }
    static const char *const wrong[] = { "[fe80::1%4294967298]:1", "[fe80::1%]:1", "[fe80::1%-1]:1", "[fe80::1%2x]:1",
                                         "[fe80::1%2%2]:1", "127.0.0.1%2:1", "127.0.0.1:",
                                         "127.0.0.1:99999999999999999999",
                                         "[0000:0000:0000:0000:0000:0000:255.255.255.2550]:1",
                                         "127.0.0.10000000000000000000000000000000000000:1",
                                         "[fe80::1%4294967296]:1", "[fe80::1%2x:1", "fe80::1%2]:1", "[127.0.0.1]:1",
                                         "%2:1", "[%2]:1", "127.0.0.1%1", "[::1]", "[::1]53", "[::1]]:53", "[::1]x53",
                                         "[::1]:53]", "[::1]:65536", "127.0.0.1", "127.0.0.1]:53", "::1:53" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        aio__address address;
        if (aio__datagram_to(wrong[i], &address)) CHECK_STR(wrong[i], "no address");
    }
    aio__address longest;
    char text[AIO__DATAGRAM_TEXT];
    CHECK(aio__datagram_to("[0000:0000:0000:0000:0000:ffff:255.255.255.255]:1", &longest)); /* nothing fits but it */
    aio__address_text(&longest.storage, longest.length, text, sizeof text);
    CHECK_STR(text, "[::ffff:255.255.255.255]:1");
}

/* At once: the socket is closed, and who waits for a datagram is told. */
struct dg_aborted { aio_task task; aio_datagram_endpoint *endpoint; aio_datagram_task *receiving; int fd; };
SCENARIO(dg_aborted, .may = { AIO_ERESOLVE, EINVAL })
{
    AIO_BEGIN(dg_aborted);
    AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    self->receiving = aio_create_task(aio_datagram_receive(self->endpoint));
    REQUIRE(self->receiving);
    AIO_AWAIT(aio_sleep(0.01));
    self->fd = aio_datagram_fileno(self->endpoint);
    CHECK(fcntl(self->fd, F_GETFD) >= 0);
    aio_datagram_abort(self->endpoint);
    self->endpoint = NULL;
    CHECK(fcntl(self->fd, F_GETFD) < 0);
    AIO_AWAIT(aio_sleep(0.01));
    CHECK(aio_future_done(self->receiving) && aio_future_exception(self->receiving));
    if (!seam.fired && aio_future_done(self->receiving))
        CHECK_STR(aio_future_exception(self->receiving)->phase, "receive");
    AIO_FINALLY;
        aio_datagram_abort(self->endpoint);
        if (self->receiving && !aio_future_done(self->receiving)) aio_task_cancel(self->receiving);
        aio_unref(self->receiving);
    AIO_END;
}

/* A receive that is cancelled raises that once: who catches it goes on. */
struct dg_patient { aio_task task; aio_datagram_endpoint *endpoint; aio_datagram got; int caught, went_on; };
static AIO_CORO(dg_patient)
{
    AIO_BEGIN(dg_patient);
    AIO_TRY {
        AIO_AWAIT(self->got, aio_datagram_receive(self->endpoint));
    } AIO_CATCH_ALL {
        self->caught = aio_caught(self)->code;
        if (self->caught != AIO_ECANCELLED) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_AWAIT(aio_sleep(0));
    self->went_on = 1;
    AIO_END;
}

struct dg_cancelled { aio_task task; aio_datagram_endpoint *endpoint; struct dg_patient *patient; };
SCENARIO(dg_cancelled, .may = { AIO_ERESOLVE })
{
    AIO_BEGIN(dg_cancelled);
    AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    REQUIRE(self->patient = aio_create_task(AIO_CALL(dg_patient, .endpoint = self->endpoint)));
    AIO_AWAIT(aio_sleep(0.01));
    CHECK(aio_task_cancel(self->patient));
    AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->patient->caught, AIO_ECANCELLED);
    CHECK_INT(self->patient->went_on, 1);
    CHECK(!self->endpoint->receiving && !self->endpoint->readable);
    AIO_FINALLY;
        fd_end_task(self->patient);
        aio_datagram_close(self->endpoint);
    AIO_END;
}

TEST(dg_null)
{
    char text[8] = "x";
    CHECK_INT(aio_datagram_fileno(NULL), -1);
    CHECK_INT(aio_datagram_port(NULL), 0);
    CHECK_STR(aio_datagram_sockname(NULL, text, sizeof text), "");
    CHECK_STR(aio_datagram_peername(NULL, text, sizeof text), "");
    aio_datagram_close(NULL);
    aio_datagram_abort(NULL);
}
