/* Connecting to hosts with several addresses (RFC 8305), given by a resolver of our own. An address 127.0.1.N is a slow
 * one: its socket becomes an end of a pair whose buffer is full, so the connect is under way until the test reads from,
 * or closes, the other end, slow_dial.peers[N]. */
enum { SLOW_DIALS = 8 };
static struct {
    struct aio_resolver resolver;
    aio__address        to[SLOW_DIALS];
    uint32_t            first;
    int                 count, peers[SLOW_DIALS];
    double              began, at[SLOW_DIALS]; /* when each slow one was begun, in seconds from `began` */
} slow_dial;

struct slow_resolve { aio_task task; aio_addresses *result; };
static AIO_CORO(slow_resolve)
{
    AIO_BEGIN(slow_resolve);
    size_t size;
    size = sizeof *self->result + sizeof slow_dial.to;
    self->result = (aio_addresses *)aio__calloc(size);
    if (!self->result) AIO_RAISE(ENOMEM);
    aio__ring_clear(&self->result->link);
    self->result->list.count = slow_dial.count;
    memcpy(self->result->list.at, slow_dial.to, sizeof slow_dial.to);
    AIO_END;
}

static aio_addresses_task *slow_resolve_start(struct aio_resolver *resolver, const char *host, int port, int family)
{
    (void)resolver, (void)host, (void)port, (void)family;
    return (aio_addresses_task *)(void *)AIO_CALL(slow_resolve);
}

static int slow_connect(int fd, const struct sockaddr *address, socklen_t length)
{
    static const char filling[4096];
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
    uint32_t n = address->sa_family == AF_INET ? ntohl(in->sin_addr.s_addr) - slow_dial.first : SLOW_DIALS;
    int ends[2];
    if (n >= SLOW_DIALS) return seam_connect(fd, address, length);
    if (seam_fault(CALL_connect, -1)) return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) return -1;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    while (write(ends[0], filling, sizeof filling) > 0) continue;
    dup2(ends[0], fd);
    close(ends[0]);
    slow_dial.peers[n] = ends[1];
    slow_dial.at[n] = (double)seam_now / 1e9 - slow_dial.began;
    errno = EINPROGRESS;
    return -1;
}

static void slow_dial_add(const char *ip, int port)
{
    aio__address *to = &slow_dial.to[slow_dial.count++];
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&to->storage;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    in->sin_addr.s_addr = inet_addr(ip);
    to->length = sizeof *in;
}

static void slow_dial_begin(void)
{
    memset(&slow_dial, 0, sizeof slow_dial);
    slow_dial.first = 0x7F000100;
    slow_dial.resolver.resolve = slow_resolve_start;
    slow_dial.began = (double)seam_now / 1e9;
    aio__os.connect = slow_connect;
}

/* The slow one is connected. */
static void slow_dial_answer(void *peer)
{
    char data[4096];
    int fd = *(int *)peer;
    if (fd) while (recv(fd, data, sizeof data, MSG_DONTWAIT) > 0) continue;
}

/* The slow one fails: what was sent is lost. */
static void slow_dial_reset(void *peer)
{
    if (*(int *)peer) close(*(int *)peer);
    *(int *)peer = 0;
}

static void slow_dial_end(void)
{
    for (int i = 0; i < SLOW_DIALS; i++) slow_dial_reset(&slow_dial.peers[i]);
    aio__os.connect = seam_connect;
}

static bool slow_dial_later(double delay, aio_callback *what, int *peer)
{
    return aio_loop_call_later(aio_get_running_loop(), delay, what, peer).generation != 0;
}

/* Whether the library has closed its end. */
static bool slow_dial_closed(int n)
{
    char byte;
    slow_dial_answer(&slow_dial.peers[n]);
    return slow_dial.peers[n] && recv(slow_dial.peers[n], &byte, 1, MSG_DONTWAIT) == 0;
}

static double slow_dial_time(void) { return (double)seam_now / 1e9 - slow_dial.began; }

/* An address that nobody answers at costs the delay, not the timeout. */
struct connect_black_hole { aio_task task; aio_server *server; aio_stream *stream; char name[64]; aio_text text; };
SCENARIO(connect_black_hole, SERVER_MAY)
{
    AIO_BEGIN(connect_black_hole);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    slow_dial_begin();
    slow_dial_add("127.0.1.0", 80);
    slow_dial_add("127.0.1.1", 80);
    slow_dial_add("127.0.0.1", aio_server_port(self->server));
    slow_dial_add("127.0.1.2", 80);
    AIO_AWAIT(self->stream, aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver, .connect_timeout = 30));
    CHECK_NEAR(slow_dial_time(), 0.5, 0.05);
    CHECK_NEAR(slow_dial.at[1], 0.25, 0.01);
    CHECK(slow_dial_closed(0));
    CHECK(slow_dial_closed(1));
    CHECK_INT(slow_dial.peers[2], 0); /* never begun */
    CHECK(strncmp(aio_stream_peername(self->stream, self->name, sizeof self->name), "127.0.0.1:", 10) == 0);
    AIO_TIMEOUT(100) {
        REQUIRE(aio_stream_write(self->stream, "hello", 5) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 5));
    }
    AIO_FINALLY;
        slow_dial_end();
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
    AIO_END;
}

/* The next one starts when the one before has failed, at once or later, and not only when the delay is over. */
struct connect_failed_first { aio_task task; aio_stream *stream; };
SCENARIO(connect_failed_first, SERVER_MAY)
{
    AIO_BEGIN(connect_failed_first);
    slow_dial_begin();
    slow_dial_add("127.0.0.1", dead_port);
    slow_dial_add("127.0.1.0", 80);
    slow_dial_add("127.0.1.1", 80);
    REQUIRE(slow_dial_later(0.1, slow_dial_reset, &slow_dial.peers[0]));
    REQUIRE(slow_dial_later(0.2, slow_dial_answer, &slow_dial.peers[1]));
    AIO_AWAIT(self->stream, aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver, .connect_timeout = 30));
    CHECK_NEAR(slow_dial.at[0], 0, 0.02);
    CHECK_NEAR(slow_dial.at[1], 0.1, 0.02);
    CHECK_NEAR(slow_dial_time(), 0.2, 0.02);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        slow_dial_end();
    AIO_END;
}

/* All errors in one message, in the order of failing; the timeout is for each address. */
struct connect_all_failed { aio_task task; int port; char wanted[300]; };
SCENARIO(connect_all_failed, SERVER_MAY)
{
    AIO_BEGIN(connect_all_failed);
    self->port = dead_port;
    slow_dial_begin();
    slow_dial_add("127.0.1.0", 80);
    slow_dial_add("127.0.0.1", self->port);
    slow_dial_add("127.0.1.1", 80);
    AIO_TRY {
        AIO_AWAIT(aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver, .connect_timeout = 2,
                                      .happy_eyeballs_delay = 0.5));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        snprintf(self->wanted, sizeof self->wanted, "connect to 127.0.0.1:%d (a.test): Connection refused; connect to "
                 "127.0.1.0:80 (a.test): timed out; connect to 127.0.1.1:80 (a.test): timed out", self->port);
        CHECK_STR(aio_caught(self)->message, self->wanted);
        CHECK_STR(aio_caught(self)->phase, "connect");
    } AIO_END_TRY;
    CHECK_NEAR(slow_dial.at[1], 0.5, 0.02);
    CHECK_NEAR(slow_dial_time(), 2.5, 0.02);
    slow_dial.count = 0;
    AIO_TRY {
        AIO_AWAIT(aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ERESOLVE);
    } AIO_END_TRY;
    AIO_FINALLY;
        slow_dial_end();
    AIO_END;
}

/* A lack of descriptors or memory, which says nothing of the host, is the code in the end, whatever comes behind it; of
 * other codes the last one is. */
static int connect_lack;
static int connect_lacking(int family, int type, int protocol)
{
    if (!connect_lack) return seam_socket(family, type, protocol);
    errno = connect_lack;
    connect_lack = 0;
    return -1;
}

struct connect_lacks { aio_task task; char wanted[300]; int i; };
SCENARIO(connect_lacks, SERVER_MAY)
{
    static const int codes[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES };
    AIO_BEGIN(connect_lacks);
    slow_dial_begin();
    for (self->i = 0; self->i < 2; self->i++) slow_dial_add("127.0.0.1", dead_port);
    aio__os.socket = connect_lacking;
    for (self->i = 0; self->i < 5; self->i++) {
        connect_lack = codes[self->i];
        AIO_TRY {
            AIO_AWAIT(aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(self->i < 4 ? codes[self->i] : ECONNREFUSED);
            snprintf(self->wanted, sizeof self->wanted, "connect to 127.0.0.1:%d (a.test): %s; connect to 127.0.0.1:%d "
                     "(a.test): Connection refused", dead_port, aio_code_text(codes[self->i]), dead_port);
            CHECK_STR(aio_caught(self)->message, self->wanted);
        } AIO_END_TRY;
        CHECK_INT(connect_lack, 0);
    }
    AIO_FINALLY;
        connect_lack = 0;
        aio__os.socket = seam_socket;
        slow_dial_end();
    AIO_END;
}

/* A port of one's own that another socket has: nothing is sent from elsewhere instead. */
struct connect_from_taken { aio_task task; aio_server *server; int held, port; char wanted[160]; };
SCENARIO(connect_from_taken, SERVER_MAY)
{
    AIO_BEGIN(connect_from_taken);
    ALWAYS((self->held = port_hold(&self->port, false)) > 0);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    AIO_TRY {
        AIO_AWAIT(aio_open_connection("127.0.0.1", aio_server_port(self->server), .local_host = "127.0.0.1",
                                      .local_port = self->port));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EADDRINUSE);
        snprintf(self->wanted, sizeof self->wanted, "connect to 127.0.0.1:%d (127.0.0.1): %s",
                 aio_server_port(self->server), strerror(EADDRINUSE));
        CHECK_STR(aio_caught(self)->message, self->wanted);
    } AIO_END_TRY;
    AIO_FINALLY;
        close(self->held);
        SERVER_END(self->server);
    AIO_END;
}

/* Two connections at the same time: one is taken, the other closed in order. */
struct connect_both { aio_task task; aio_stream *stream; char name[64]; };
SCENARIO(connect_both, SERVER_MAY)
{
    AIO_BEGIN(connect_both);
    slow_dial_begin();
    slow_dial_add("127.0.1.0", 80);
    slow_dial_add("127.0.1.1", 80);
    REQUIRE(slow_dial_later(1, slow_dial_answer, &slow_dial.peers[1]));
    REQUIRE(slow_dial_later(1, slow_dial_answer, &slow_dial.peers[0]));
    AIO_AWAIT(self->stream, aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver, .connect_timeout = 30));
    CHECK_NEAR(slow_dial_time(), 1, 0.02);
    CHECK_INT(slow_dial_closed(0) + slow_dial_closed(1), 1);
    AIO_AWAIT(aio_sleep(0.1));                                 /* nothing of the other is left behind */
    REQUIRE(aio_stream_write(self->stream, "hello", 5) == 0); /* and the stream is one as ever */
    AIO_AWAIT(aio_sleep(0.1));
    for (int i = 0; i < 2; i++)
        if (recv(slow_dial.peers[i], self->name, sizeof self->name, MSG_DONTWAIT) > 0)
            CHECK_BYTES(self->name, 5, "hello");
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        slow_dial_end();
    AIO_END;
}

/* A cancel, or a timeout from outside, in the middle: every socket is closed by then. */
struct connect_given_up { aio_task task; aio_task *opening; };
SCENARIO(connect_given_up, SERVER_MAY)
{
    AIO_BEGIN(connect_given_up);
    slow_dial_begin();
    for (int i = 0; i < 3; i++) slow_dial_add(i == 0 ? "127.0.1.0" : i == 1 ? "127.0.1.1" : "127.0.1.2", 80);
    self->opening = (aio_task *)aio_create_task(aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver));
    REQUIRE(self->opening);
    AIO_AWAIT(aio_sleep(0.3));
    CHECK(slow_dial.peers[0] && slow_dial.peers[1] && !slow_dial.peers[2]);
    CHECK(aio_task_cancel(self->opening));
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_future_cancelled(self->opening));
    CHECK(slow_dial_closed(0));
    CHECK(slow_dial_closed(1));
    slow_dial_end();
    slow_dial_begin();
    slow_dial_add("127.0.1.3", 80);
    slow_dial_add("127.0.1.4", 80);
    AIO_TRY {
        AIO_TIMEOUT(0.1) AIO_AWAIT(aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
    } AIO_END_TRY;
    AIO_FINALLY;
        if (self->opening) aio_task_cancel(self->opening);
        aio_unref(self->opening);
        slow_dial_end();
    AIO_END;
}

struct connect_in_turn { aio_task task; aio_stream *stream; int i; };
SCENARIO(connect_in_turn, SERVER_MAY)
{
    static const double bad[] = { -3, (double)INFINITY, (double)NAN };
    AIO_BEGIN(connect_in_turn);
    slow_dial_begin();
    slow_dial_add("127.0.1.0", 80);
    slow_dial_add("127.0.1.1", 80);
    REQUIRE(slow_dial_later(4, slow_dial_answer, &slow_dial.peers[1]));
    AIO_AWAIT(self->stream, aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver, .connect_timeout = 3,
                                                .happy_eyeballs_delay = AIO_UNLIMITED));
    CHECK_NEAR(slow_dial.at[1], 3, 0.02);
    CHECK_NEAR(slow_dial_time(), 4, 0.02);
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_TRY {
            AIO_AWAIT(aio_open_connection("a.test", 80, .happy_eyeballs_delay = bad[self->i]));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
        AIO_TRY {
            AIO_AWAIT(aio_open_connection("127.0.0.1", 1, .connect_timeout = bad[self->i]));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        slow_dial_end();
    AIO_END;
}

/* A connection that is there when the loop comes to look is taken, though its time was over meanwhile: the loop was
 * late, not the peer. */
static void slow_dial_answer_late(void *peer)
{
    slow_dial_answer(peer);
    clock_advance(5);
}

struct connect_late_loop { aio_task task; aio_stream *stream; };
SCENARIO(connect_late_loop, SERVER_MAY, .skip = KIND_DEBUG /* a step of seconds is reported */
         | KIND_CALL /* a wait that a signal ends has not seen it */)
{
    AIO_BEGIN(connect_late_loop);
    aio_loop_set_slow_callback_duration(aio_get_running_loop(), AIO_UNLIMITED);
    slow_dial_begin();
    slow_dial_add("127.0.1.0", 80);
    slow_dial_add("127.0.1.1", 80);
    REQUIRE(slow_dial_later(2, slow_dial_answer_late, &slow_dial.peers[0]));
    AIO_AWAIT(self->stream, aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver, .connect_timeout = 3,
                                                .happy_eyeballs_delay = 10));
    CHECK_NEAR(slow_dial_time(), 7, 0.02);
    CHECK_INT(slow_dial.peers[1], 0); /* never begun */
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        slow_dial_end();
    AIO_END;
}

/* One address is no race: there is no timer, and no task. */
struct connect_alone { aio_task task; aio_stream_task *opening; };
SCENARIO(connect_alone, SERVER_MAY)
{
    AIO_BEGIN(connect_alone);
    slow_dial_begin();
    slow_dial_add("127.0.1.0", 80);
    self->opening = aio_create_task(aio_open_connection("a.test", 80, .resolver = &slow_dial.resolver));
    REQUIRE(self->opening);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_get_running_loop()->entry_count - aio_get_running_loop()->entry_dead, 0);
    CHECK_INT(aio_get_running_loop()->task_count, 2);
    slow_dial_answer(&slow_dial.peers[0]);
    AIO_AWAIT(aio_ref(self->opening));
    CHECK_NEAR(slow_dial_time(), 0, 0.02);
    AIO_FINALLY;
        if (self->opening) aio_task_cancel(self->opening);
        if (self->opening && self->opening->task.future.state >= AIO__DONE) aio_stream_abort(self->opening->result);
        aio_unref(self->opening);
        slow_dial_end();
    AIO_END;
}

/* Families by turns, beginning with the first one's; each in the resolver's order. */
struct connect_order { aio_task task; };
SCENARIO(connect_order)
{
    static const struct { const char *given, *tried; int64_t delay; } cases[] = {
        { "666644", "646466", 1 }, { "4666", "4666", 1 }, { "446", "464", 1 }, { "66", "66", 1 }, { "4", "4", 1 },
        { "", "", 1 }, { "6644", "6644", INT64_MAX }, { "644444", "644444", 1 },
    };
    AIO_BEGIN(connect_order);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        aio__addresses *list = (aio__addresses *)calloc(8, sizeof *list);
        char tried[8] = "";
        for (; cases[i].given[list->count]; list->count++)
            list->at[list->count].storage.ss_family = cases[i].given[list->count] == '6' ? AF_INET6 : AF_INET;
        aio__target target = { list->at, list->count, "a.test", NULL, 0, cases[i].delay, INT64_MAX };
        struct aio__racing *race = (struct aio__racing *)(void *)aio__race_new(&target);
        if (!race) free(list);
        REQUIRE(race);
        const aio__address *last[2] = { NULL, NULL };
        for (int k = 0; k < race->target.count; k++) {
            const aio__address *to = race->attempts[k].to;
            bool six = to->storage.ss_family == AF_INET6;
            tried[k] = six ? '6' : '4';
            CHECK(to > last[six]);
            last[six] = to;
        }
        CHECK_STR(tried, cases[i].tried);
        aio_future_cancel(race);
        aio_unref(race);
        free(list);
    }
    AIO_END;
}

/* A session hands the delay on. many.test has 127.0.0.1 to 127.0.0.12, and only the last ones answer. */
struct connect_session_thread { aio_task task; aio_server *server; aio_session *session; aio_response *response;
    char url[64]; };
SCENARIO(connect_session_thread, .may = { AIO_ETIMEOUT, AIO_EDISCONNECTED, ECONNRESET, EPIPE, ENOTCONN, ETIMEDOUT,
    AIO_ERESOLVE, ECONNABORTED })
{
    const aio_connection_info *info;
    AIO_BEGIN(connect_session_thread);
    names_begin(false);
    AIO_AWAIT(self->server, aio_start_http_server(site_handler, NULL, "127.0.0.9", 0));
    slow_dial_begin();
    slow_dial.first = 0x7F000001;
    CHECK_PTR(aio_session_open(.happy_eyeballs_delay = -3), NULL);
    self->session = aio_session_open(.happy_eyeballs_delay = 0.001 /* is 0.01 */, .timeout = { .sock_connect = 5 });
    REQUIRE(self->session);
    snprintf(self->url, sizeof self->url, "http://many.test:%d/", aio_server_port(self->server));
    REQUIRE(slow_dial_later(0.065, slow_dial_reset, &slow_dial.peers[2])); /* it fails while later ones are under way */
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
    CHECK_NEAR(slow_dial.at[7] - slow_dial.at[0], 0.07, 0.005);
    CHECK_NEAR(self->response->times.connect, 0.08, 0.01);
    info = aio_response_connection(self->response);
    REQUIRE(info && info->attempt_count == 9);
    for (size_t i = 0; i < 9; i++) { /* as they began, not as they ended */
        snprintf(self->url, sizeof self->url, "127.0.0.%zu:%d", i + 1, aio_server_port(self->server));
        CHECK_STR(info->attempts[i].address, self->url);
        CHECK_INT(info->attempts[i].code, i == 8 ? 0 : i == 2 ? ECONNRESET : AIO_ECANCELLED);
        CHECK_NEAR(info->attempts[i].start - info->attempts[0].start, 0.01 * (double)i, 0.005);
        CHECK_NEAR(info->attempts[i].seconds, (i == 2 ? 0.065 : 0.08) - 0.01 * (double)i, 0.006);
    }
    CHECK_STR(info->peer, info->attempts[8].address);
    AIO_FINALLY;
        names_end();
        slow_dial_end();
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
        SERVER_END(self->server);
    AIO_END;
}

/* A name that takes for ever: the request's timeout is heard at once, and says where the time went. */
struct connect_session_hang_thread { aio_task task; aio_session *session; double began; };
SCENARIO(connect_session_hang_thread, .may = { AIO_ERESOLVE })
{
    AIO_BEGIN(connect_session_hang_thread);
    names_begin(true);
    self->session = aio_session_open(.timeout = { .total = 3 });
    REQUIRE(self->session);
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        AIO_AWAIT(aio_session_get(self->session, "http://slow.test/"));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK_STR(aio_caught(self)->phase, "resolve");
    } AIO_END_TRY;
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 3, 0.1);
    if (!touched()) CHECK_INT(names_inside(), 1);
    AIO_FINALLY;
        names_end();
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}
