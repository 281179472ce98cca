/* Connecting and serving: TCP, unix sockets, limits, ends. stream_echo is in test_streams.c. */
static void *echo_handler(aio_stream *stream, void *arg)
{
    if (arg) ++*(int *)arg;
    return AIO_CALL(stream_echo, .stream = stream);
}

static void *no_handler(aio_stream *stream, void *arg)
{
    (void)stream, (void)arg;
    return NULL;
}

/* Waits for what comes from outside; in virtual time. */
#define SOON() AIO_AWAIT(aio_sleep(0.1))
#define SERVER_END(server)                                              \
    do {                                                                \
        if (server) aio_server_abort_clients(server);                   \
        if (server) AIO_AWAIT(aio_server_wait_closed(server));          \
    } while (0)
#define SERVER_MAY .may = { ECONNRESET, AIO_EINCOMPLETE, EPIPE, AIO_ETIMEOUT, ECONNABORTED, AIO_ERESOLVE, ECONNREFUSED, \
    EADDRINUSE /* a stale file that could not be looked at */ }

/* The handler of a server whose coroutine for a client is `name`, with a member `stream`. */
#define CLIENT_HANDLER(name) \
    static void *name##_handler(aio_stream *stream, void *arg) { return (void)arg, AIO_CALL(name, .stream = stream); }

struct server_echo { aio_task task; aio_server *server; aio_stream *one, *two; aio_text text; int made; char name[64];
    };
SCENARIO(server_echo, SERVER_MAY)
{
    AIO_BEGIN(server_echo);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, &self->made, "127.0.0.1", 0));
    CHECK(aio_server_port(self->server) > 0);
    AIO_AWAIT(self->one, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    AIO_AWAIT(self->two, aio_open_connection("127.0.0.1", aio_server_port(self->server), .local_host = "127.0.0.2"));
    CHECK(strncmp(aio_stream_sockname(self->two, self->name, sizeof self->name), "127.0.0.2:", 10) == 0);
    CHECK(strncmp(aio_stream_peername(self->two, self->name, sizeof self->name), "127.0.0.1:", 10) == 0);
    CHECK_PTR(aio_stream_tls_version(self->two), NULL);
    AIO_TIMEOUT(100) {
        REQUIRE(aio_stream_write(self->one, "one", 3) == 0);
        REQUIRE(aio_stream_write(self->two, "two", 3) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->one, 3));
        CHECK_BYTES(self->text.data, self->text.length, "one");
        AIO_AWAIT(self->text, aio_stream_readexactly(self->two, 3));
        CHECK_BYTES(self->text.data, self->text.length, "two");
        CHECK_INT(self->made, 2);
        CHECK_INT(aio_server_client_count(self->server), 2);
        aio_server_close(self->server); /* clients go on */
        aio_server_close(self->server);
        REQUIRE(aio_stream_write(self->one, "still", 5) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->one, 5));
        aio_stream_close(self->two);
        self->two = NULL;
        SOON();
        CHECK_INT(aio_server_client_count(self->server), 1);
        aio_server_close_clients(self->server);
        AIO_AWAIT(self->text, aio_stream_read_all(self->one, 0)); /* in order: no reset */
        CHECK_INT(self->text.length, 0);
    }
    AIO_FINALLY;
        aio_stream_abort(self->one);
        aio_stream_abort(self->two);
        SERVER_END(self->server);
    AIO_END;
}

struct server_refused { aio_task task; aio_stream *stream; int port; char wanted[128]; };
SCENARIO(server_refused, SERVER_MAY)
{
    AIO_BEGIN(server_refused);
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", dead_port));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(ECONNREFUSED);
        snprintf(self->wanted, sizeof self->wanted, "connect to 127.0.0.1:%d (127.0.0.1): Connection refused",
                 dead_port);
        CHECK_STR(aio_caught(self)->message, self->wanted);
        CHECK_STR(aio_caught(self)->phase, "connect");
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", dead_port, .local_host = "::1"));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EADDRNOTAVAIL);
    } AIO_END_TRY;
    for (self->port = -1; self->port <= 65536; self->port += 65537) {
        AIO_TRY {
            AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
    }
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("", 80));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->stream);
    AIO_END;
}

/* A queue of connections that is full: the kernel answers nobody. */
struct server_connect_timeout { aio_task task; aio_stream *stream; int fds[2], port; double began; };
SCENARIO(server_connect_timeout, SERVER_MAY)
{
    AIO_BEGIN(server_connect_timeout);
    struct sockaddr_in address;
    socklen_t length;
    length = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 2; i++) self->fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    bind(self->fds[0], (struct sockaddr *)&address, length);
    listen(self->fds[0], 0);
    getsockname(self->fds[0], (struct sockaddr *)&address, &length);
    connect(self->fds[1], (struct sockaddr *)&address, length);
    self->port = ntohs(address.sin_port);
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port, .connect_timeout = 2.5));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK(strstr(aio_caught(self)->message, " (127.0.0.1): timed out") != NULL);
        CHECK_STR(aio_caught(self)->phase, "connect");
    } AIO_END_TRY;
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 2.5, 0.1);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        close(self->fds[0]);
        close(self->fds[1]);
    AIO_END;
}

struct server_unix { aio_task task; aio_server *server, *other; aio_stream *stream; aio_text text; char path[64];
    struct stat status; };
SCENARIO(server_unix, SERVER_MAY)
{
    AIO_BEGIN(server_unix);
    snprintf(self->path, sizeof self->path, "/tmp/aio-test-%d.sock", (int)getpid());
    unlink(self->path);
    struct sockaddr_un stale;
    memset(&stale, 0, sizeof stale);
    stale.sun_family = AF_UNIX;
    snprintf(stale.sun_path, sizeof stale.sun_path, "%s", self->path);
    int fd;
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&stale, sizeof stale), 0);
    close(fd);
    AIO_AWAIT(self->server, aio_start_unix_server(echo_handler, NULL, self->path)); /* in place of the stale one */
    AIO_AWAIT(self->stream, aio_open_unix_connection(self->path));
    AIO_TIMEOUT(100) {
        REQUIRE(aio_stream_write(self->stream, "hello", 5) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 5));
    }
    AIO_TRY {
        AIO_AWAIT(self->other, aio_start_unix_server(echo_handler, NULL, self->path));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EADDRINUSE);
        CHECK(strstr(aio_caught(self)->message, self->path) != NULL);
    } AIO_END_TRY;
    CHECK_INT(stat(self->path, &self->status), 0); /* not removed by the one that failed */
    aio_server_close(self->server);
    if (!seam.fired) CHECK_INT(stat(self->path, &self->status), -1);
    AIO_TRY {
        AIO_AWAIT(aio_open_unix_connection(self->path));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(ENOENT);
        CHECK(strstr(aio_caught(self)->message, self->path) != NULL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_open_unix_connection("/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"
                                           "0123456789/0123456789/0123456789/0123456789/0123456789"));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(ENAMETOOLONG);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->other) aio_server_close(self->other);
        SERVER_END(self->server);
        SERVER_END(self->other);
        unlink(self->path);
    AIO_END;
}

/* A file that has taken the place of ours is left alone. */
struct server_unix_replaced { aio_task task; aio_server *server; char path[64]; struct stat status; };
SCENARIO(server_unix_replaced, SERVER_MAY)
{
    AIO_BEGIN(server_unix_replaced);
    snprintf(self->path, sizeof self->path, "/tmp/aio-test-%d.sock", (int)getpid());
    unlink(self->path);
    AIO_AWAIT(self->server, aio_start_unix_server(echo_handler, NULL, self->path));
    char moved[80];
    snprintf(moved, sizeof moved, "%s.old", self->path);
    rename(self->path, moved); /* keeps the inode in use */
    fclose(fopen(self->path, "w"));
    aio_server_close(self->server);
    CHECK_INT(stat(self->path, &self->status), 0);
    unlink(moved);
    AIO_FINALLY;
        unlink(self->path);
        SERVER_END(self->server);
    AIO_END;
}

struct server_max { aio_task task; aio_server *server; aio_stream *streams[5]; int made, i; };
SCENARIO(server_max, SERVER_MAY)
{
    AIO_BEGIN(server_max);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, &self->made, "127.0.0.1", 0, .max_clients = 2));
    for (self->i = 0; self->i < 5; self->i++)
        AIO_AWAIT(self->streams[self->i], aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    SOON();
    CHECK_INT(self->made, 2);
    aio_stream_close(self->streams[0]);
    self->streams[0] = NULL;
    SOON();
    CHECK_INT(self->made, 3);
    for (self->i = 1; self->i < 5; self->i++) {
        aio_stream_close(self->streams[self->i]);
        self->streams[self->i] = NULL;
    }
    SOON();
    CHECK_INT(self->made, 5);
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        for (int i = 0; i < 5; i++) aio_stream_abort(self->streams[i]);
        SERVER_END(self->server);
    AIO_END;
}

static struct { int left, code, fails; } poor; /* accepts until `code` comes, `fails` times */
static int poor_accept(int fd, struct sockaddr *address, socklen_t *length)
{
    if (poor.left == 0 && poor.fails) {
        poor.fails--;
        errno = poor.code;
        return -1;
    }
    int client = seam_accept(fd, address, length);
    if (client >= 0) poor.left--;
    return client;
}

/* Without descriptors or memory: it says so once, pauses for a second, and goes on. */
struct server_poor { aio_task task; aio_server *server, *closing; aio_stream *one, *two; int made, i; };
SCENARIO(server_poor, SERVER_MAY)
{
    static const int codes[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };
    static char report[100];
    AIO_BEGIN(server_poor);
    aio__os.accept = poor_accept;
    for (self->i = 0; self->i < (now.w->kind == KIND_PLAIN ? 4 : 1); self->i++) {
        poor.left = 1;
        poor.code = codes[self->i];
        poor.fails = poor.code == EMFILE || poor.code == ENFILE ? 4 : 2; /* for these there is a reserve */
        self->made = 0;
        snprintf(report, sizeof report, "accept: %s; accepting again in 1 s", strerror(poor.code));
        expect_report(report);
        AIO_AWAIT(self->server, aio_start_server(echo_handler, &self->made, "127.0.0.1", 0));
        AIO_AWAIT(self->one, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        AIO_AWAIT(self->two, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        SOON();
        CHECK_INT(self->made, 1);
        AIO_AWAIT(aio_sleep(1.5));
        CHECK_INT(self->made, 1);
        AIO_AWAIT(aio_sleep(0.6));
        CHECK_INT(self->made, 2);
        if (!seam.fired) CHECK_INT(poor.fails, 0);
        aio_stream_abort(self->one);
        aio_stream_abort(self->two);
        self->one = self->two = NULL;
        aio_server_abort_clients(self->server);
        self->closing = self->server;
        self->server = NULL;
        AIO_AWAIT(aio_server_wait_closed(self->closing));
    }
    AIO_FINALLY;
        aio__os.accept = seam_accept;
        aio_stream_abort(self->one);
        aio_stream_abort(self->two);
        SERVER_END(self->server);
    AIO_END;
}

/* Who hears of it may close the server: nothing of it is left that could run a second later. */
struct server_poor_closed { aio_task task; aio_server *server; aio_stream *stream; aio_exception_handler *handler;
    void *arg; };
static void poor_heard(aio_loop *loop, const char *message, const aio_exception *error, void *arg)
{
    struct server_poor_closed *self = (struct server_poor_closed *)arg;
    (void)loop;
    (void)error;
    CHECK(strstr(message, "accepting again"));
    aio_unref(aio_server_wait_closed(self->server));
    self->server = NULL;
}
SCENARIO(server_poor_closed, SERVER_MAY, /* the handler is not the harness's */
         .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL | KIND_DEBUG)
{
    AIO_BEGIN(server_poor_closed);
    poor.left = 0;
    poor.code = ENOMEM;
    poor.fails = 2;
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    aio__os.accept = poor_accept;
    self->handler = aio_loop_get_exception_handler(aio_get_running_loop(), &self->arg);
    aio_loop_set_exception_handler(aio_get_running_loop(), poor_heard, self);
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    } AIO_CATCH_CODE(ECONNRESET) { } AIO_END_TRY; /* the server may be sooner */
    AIO_AWAIT(aio_sleep(1.5));
    CHECK(!self->server);
    AIO_FINALLY;
        aio__os.accept = seam_accept;
        if (self->handler) aio_loop_set_exception_handler(aio_get_running_loop(), self->handler, self->arg);
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
    AIO_END;
}

/* A client that goes makes room at once; and the reserve serves one more than there are descriptors. */
struct server_reserve { aio_task task; aio_server *server; aio_stream *streams[3]; int made, i; };
SCENARIO(server_reserve, SERVER_MAY)
{
    AIO_BEGIN(server_reserve);
    aio__os.accept = poor_accept;
    poor.left = 1;
    poor.code = EMFILE;
    poor.fails = 1;
    AIO_AWAIT(self->server, aio_start_server(echo_handler, &self->made, "127.0.0.1", 0));
    for (self->i = 0; self->i < 2; self->i++)
        AIO_AWAIT(self->streams[self->i], aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    SOON();
    CHECK_INT(self->made, 2);
    poor.left = 0;
    poor.fails = 2;
    expect_report("accept: ");
    AIO_AWAIT(self->streams[2], aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    SOON();
    CHECK_INT(self->made, 2);
    aio_stream_close(self->streams[0]);
    self->streams[0] = NULL;
    SOON();
    CHECK_INT(self->made, 3);
    AIO_FINALLY;
        aio__os.accept = seam_accept;
        for (int i = 0; i < 3; i++) aio_stream_abort(self->streams[i]);
        SERVER_END(self->server);
    AIO_END;
}

/* More at once than a burst takes; and wait_closed waits for the last of them, also when nobody waits for it. */
struct server_wait_closed { aio_task task; aio_server *server; aio_stream *streams[5]; aio_future *closed;
    int made, i; };
SCENARIO(server_wait_closed, SERVER_MAY)
{
    AIO_BEGIN(server_wait_closed);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, &self->made, "127.0.0.1", 0, .backlog = 2));
    for (self->i = 0; self->i < 5; self->i++)
        AIO_AWAIT(self->streams[self->i], aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    SOON();
    CHECK_INT(self->made, 5);
    self->closed = aio_server_wait_closed(self->server);
    REQUIRE(self->closed);
    AIO_TRY {
        AIO_TIMEOUT(100) AIO_AWAIT(aio_server_wait_closed(self->server)); /* it is somebody else's */
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    for (self->i = 0; self->i < 5; self->i++) {
        CHECK(!aio_future_done(self->closed));
        aio_stream_close(self->streams[self->i]);
        self->streams[self->i] = NULL;
        SOON();
    }
    CHECK(aio_future_done(self->closed));
    self->server = NULL;
    AIO_FINALLY;
        if (self->closed && aio_future_done(self->closed)) self->server = NULL; /* it has gone */
        if (self->server) aio_server_abort_clients(self->server);
        if (self->server && !self->closed) aio_unref(aio_server_wait_closed(self->server));
        for (int i = 0; i < 5; i++) aio_stream_abort(self->streams[i]);
        aio_unref(self->closed);
    AIO_END;
}

/* A port that the system chose, and that is in use with the other family, is not the user's concern. */
static int binds_left;
static int second_bind(int fd, const struct sockaddr *address, socklen_t length)
{
    if (--binds_left) return seam_bind(fd, address, length);
    errno = EADDRINUSE;
    return -1;
}

struct server_port_in_use { aio_task task; aio_server *server; int port; };
SCENARIO(server_port_in_use, SERVER_MAY)
{
    AIO_BEGIN(server_port_in_use);
    aio__os.bind = second_bind;
    binds_left = 2;
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, NULL, 0));
    self->port = aio_server_port(self->server);
    for (int i = 0; i < self->server->listener_count; i++)
        CHECK_INT(aio__listen_port(self->server->listeners[i].d.fd), self->port);
    if (self->server->listener_count > 1) CHECK_INT(binds_left, -2); /* the first one again, and the second one */
    AIO_FINALLY;
        aio__os.bind = seam_bind;
        SERVER_END(self->server);
    AIO_END;
}

/* Where there is no IPv6 a server of every address has IPv4 alone; one that is for IPv6 alone says why it is not. */
static int socket_without_six(int family, int type, int protocol)
{
    if (family != AF_INET6) return seam_socket(family, type, protocol);
    errno = EAFNOSUPPORT;
    return -1;
}

struct server_without_six { aio_task task; aio_server *server; };
SCENARIO(server_without_six, SERVER_MAY)
{
    AIO_BEGIN(server_without_six);
    aio__os.socket = socket_without_six;
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, NULL, 0));
    CHECK_INT(self->server->listener_count, 1);
    CHECK(aio_server_port(self->server) > 0);
    AIO_TRY {
        AIO_AWAIT(aio_start_server(echo_handler, NULL, "::1", 0));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EAFNOSUPPORT);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio__os.socket = seam_socket;
        SERVER_END(self->server);
    AIO_END;
}

struct server_bad_client { aio_task task; aio_stream *stream; };
static AIO_CORO(server_bad_client)
{
    AIO_BEGIN(server_bad_client);
    AIO_AWAIT(aio_stream_readline(self->stream));
    AIO_RAISE(EDOM, "the handler does not like it");
    AIO_END;
}
CLIENT_HANDLER(server_bad_client)

struct server_handler_fails { aio_task task; aio_server *server, *none; aio_stream *stream; aio_text text; };
SCENARIO(server_handler_fails, SERVER_MAY)
{
    AIO_BEGIN(server_handler_fails);
    AIO_TRY {
        AIO_AWAIT(self->server, aio_start_server(NULL, NULL, "127.0.0.1", 0));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_AWAIT(self->server, aio_start_server(server_bad_client_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    expect_report("error in the handler of a client");
    REQUIRE(aio_stream_write(self->stream, "x\n", 2) == 0);
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0)); /* the stream is closed */
    aio_stream_close(self->stream);
    self->stream = NULL;
    SOON();
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_AWAIT(self->none, aio_start_server(no_handler, NULL, "127.0.0.1", 0));
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->none)));
        AIO_TIMEOUT(100) AIO_AWAIT(aio_stream_read(self->stream, 1));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(ECONNRESET);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->none) aio_server_close(self->none);
        SERVER_END(self->server);
        SERVER_END(self->none);
    AIO_END;
}

/* A maker of handlers that closes the server it is called by. */
static aio_server *closing_server;
static void *closing_handler(aio_stream *stream, void *arg)
{
    (void)stream, (void)arg;
    if (closing_server) aio_unref(aio_server_wait_closed(closing_server));
    closing_server = NULL;
    return NULL;
}

struct server_closed_inside { aio_task task; aio_stream *one, *two; int port, holder; };
SCENARIO(server_closed_inside, SERVER_MAY)
{
    AIO_BEGIN(server_closed_inside);
    AIO_AWAIT(closing_server, aio_start_server(closing_handler, NULL, "127.0.0.1", 0, .reuse_port = true));
    self->port = aio_server_port(closing_server);
    self->holder = port_hold(&self->port, true); /* nobody else may come to listen there */
    AIO_TRY {
        AIO_AWAIT(self->one, aio_open_connection("127.0.0.1", self->port));
    } AIO_CATCH {
        CAUGHT(ECONNRESET); /* the server was quicker */
    } AIO_END_TRY;
    SOON();
    CHECK_PTR(closing_server, NULL);
    AIO_TRY {
        AIO_AWAIT(self->two, aio_open_connection("127.0.0.1", self->port));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(ECONNREFUSED);
    } AIO_END_TRY;
    AIO_FINALLY;
        if (self->holder) close(self->holder);
        aio_stream_abort(self->one);
        aio_stream_abort(self->two);
        aio_server *server;
        server = closing_server;
        closing_server = NULL;
        aio_unref(server ? aio_server_wait_closed(server) : NULL);
    AIO_END;
}

/* A handler that has ended and is sending what is left; abort_clients does not wait for that. */
struct server_big_client { aio_task task; aio_stream *stream; char *big; };
static AIO_CORO(server_big_client)
{
    AIO_BEGIN(server_big_client);
    self->big = (char *)aio__calloc(8000000);
    if (!self->big) AIO_RAISE(ENOMEM);
    int code;
    code = aio_stream_write(self->stream, self->big, 8000000);
    if (code) AIO_RAISE(code);
    AIO_FINALLY;
        aio__free(self->big);
    AIO_END;
}
CLIENT_HANDLER(server_big_client)

struct server_abort_clients { aio_task task; aio_server *server; aio_stream *stream; double began; };
SCENARIO(server_abort_clients, SERVER_MAY, .skip = KIND_SLICE /* 8 MB */)
{
    AIO_BEGIN(server_abort_clients);
    AIO_AWAIT(self->server, aio_start_server(server_big_client_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    SOON();
    CHECK_INT(aio_server_client_count(self->server), 1);
    self->began = aio_loop_time(aio_get_running_loop());
    aio_server_close_clients(self->server); /* goes on sending */
    SOON();
    CHECK_INT(aio_server_client_count(self->server), 1);
    aio_server_abort_clients(self->server);
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_TRY {
        AIO_AWAIT(aio_stream_read_all(self->stream, 0));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(ECONNRESET);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
    AIO_END;
}

struct server_waiter { aio_task task; aio_server *server; };
static AIO_CORO(server_waiter)
{
    AIO_BEGIN(server_waiter);
    AIO_AWAIT(aio_server_serve_forever(self->server));
    AIO_END;
}

struct server_forever { aio_task task; aio_server *server, *other; aio_stream *stream; struct server_waiter *waiter;
    aio_text text; };
SCENARIO(server_forever, SERVER_MAY)
{
    AIO_BEGIN(server_forever);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    self->waiter = aio_create_task(AIO_CALL(server_waiter, .server = self->server));
    REQUIRE(self->waiter);
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    SOON();
    CHECK(!aio_future_done(self->waiter));
    AIO_TRY {
        AIO_TIMEOUT(100) AIO_AWAIT(aio_server_serve_forever(self->server));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    aio_task_cancel(self->waiter);
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0)); /* its clients were closed */
    CHECK(aio_future_cancelled(self->waiter));
    SOON();
    CHECK_INT(aio_server_client_count(self->server), 0);
    aio_unref(self->waiter);
    self->waiter = NULL;
    AIO_AWAIT(self->other, aio_start_server(echo_handler, NULL, "127.0.0.1", 0)); /* closed by somebody else */
    self->waiter = aio_create_task(AIO_CALL(server_waiter, .server = self->other));
    REQUIRE(self->waiter);
    SOON();
    aio_unref(aio_server_wait_closed(self->other));
    self->other = NULL;
    SOON();
    CHECK(aio_future_cancelled(self->waiter));
    AIO_FINALLY;
        if (self->waiter) aio_task_cancel(self->waiter);
        aio_unref(self->waiter);
        aio_stream_abort(self->stream);
        if (self->other) aio_unref(aio_server_wait_closed(self->other));
        SERVER_END(self->server);
    AIO_END;
}

/* serve_forever called before its server has gone, and begun behind that, or never; one that waits beside one that
 * serves does not keep the latter from hearing of the close. */
struct server_forever_late { aio_task task; aio_server *server, *gone; aio_future *late, *serves, *beside; };
SCENARIO(server_forever_late, SERVER_MAY)
{
    AIO_BEGIN(server_forever_late);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->late = aio_server_serve_forever(self->server));
    aio_unref(self->late);
    REQUIRE(self->late = aio_create_task(aio_server_serve_forever(self->server)));
    self->gone = self->server;
    self->server = NULL;
    AIO_AWAIT(aio_server_wait_closed(self->gone));
    AIO_TRY {
        AIO_AWAIT(aio_ref(self->late));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    REQUIRE(self->serves = aio_create_task(aio_server_serve_forever(self->server)));
    SOON();
    REQUIRE(self->beside = aio_server_serve_forever(self->server));
    self->gone = self->server;
    self->server = NULL;
    AIO_AWAIT(aio_server_wait_closed(self->gone));
    SOON();
    CHECK(aio_future_cancelled(self->serves));
    AIO_FINALLY;
        if (self->serves) aio_task_cancel(self->serves);
        aio_unref(self->late);
        aio_unref(self->serves);
        if (self->beside) aio_future_cancel(self->beside);
        aio_unref(self->beside);
        SERVER_END(self->server);
    AIO_END;
}

/* 1,000 at once. */
enum { CROWD = 1000 };
struct crowd_one { aio_task task; aio_stream *stream; int port, number; aio_text text; };
static AIO_CORO(crowd_one)
{
    AIO_BEGIN(crowd_one);
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port));
    int code;
    code = aio_stream_write(self->stream, &self->number, sizeof self->number);
    if (code) AIO_RAISE(code);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, sizeof self->number));
    CHECK(memcmp(self->text.data, &self->number, sizeof self->number) == 0);
    AIO_FINALLY;
        aio_stream_close(self->stream);
    AIO_END;
}

struct server_crowd_1000 { aio_task task; aio_server *server; struct crowd_one *ones[CROWD]; int made; };
SCENARIO(server_crowd_1000, SERVER_MAY, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL | KIND_SLICE /* minutes */)
{
    AIO_BEGIN(server_crowd_1000);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, &self->made, "127.0.0.1", 0, .backlog = 4096));
    for (int i = 0; i < CROWD; i++) {
        self->ones[i] = aio_create_task(AIO_CALL(crowd_one, .port = aio_server_port(self->server), .number = i));
        REQUIRE(self->ones[i]);
    }
    AIO_AWAIT(aio_gather(self->ones, CROWD));
    CHECK_INT(self->made, CROWD);
    AIO_FINALLY;
        aio_unref_all(self->ones, CROWD);
        SERVER_END(self->server);
    AIO_END;
}

/* One loop a thread, one port for all: each has its own queue of clients. */
enum { SHARERS = 3, SHARED_CLIENTS = 60 };
static struct sharer {
    pthread_t thread; aio_loop *loop; struct share_serve *task; int number, port, made;
} sharers[SHARERS];

struct shared_client { aio_task task; aio_stream *stream; char number; };
static AIO_CORO(shared_client)
{
    AIO_BEGIN(shared_client);
    int code;
    code = aio_stream_write(self->stream, &self->number, 1);
    if (code) AIO_RAISE(code);
    AIO_END;
}
static void *shared_handler(aio_stream *stream, void *arg)
{
    struct sharer *mine = (struct sharer *)arg;
    SEAM_ADD(mine->made, 1);
    return AIO_CALL(shared_client, .stream = stream, .number = (char)('0' + mine->number));
}

struct share_serve { aio_task task; struct sharer *mine; aio_server *server; };
static AIO_CORO(share_serve)
{
    AIO_BEGIN(share_serve);
    self->mine->task = self;
    AIO_AWAIT(self->server, aio_start_server(shared_handler, self->mine, "127.0.0.1", self->mine->port,
                                             .reuse_port = true));
    self->mine->loop = aio_get_running_loop();
    SEAM_SET(self->mine->port, aio_server_port(self->server));
    SEAM_ADD(seam.outside, -1);
    AIO_AWAIT(aio_server_serve_forever(self->server));
    AIO_FINALLY;
        SERVER_END(self->server);
    AIO_END;
}

static void *share_run(void *arg)
{
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(share_serve, .mine = (struct sharer *)arg), NULL),
              AIO_ECANCELLED);
    aio_loop_free(loop);
    return NULL;
}

static void share_end(void *arg) { aio_task_cancel(((struct sharer *)arg)->task); }

struct share_clients { aio_task task; aio_stream *streams[SHARED_CLIENTS]; int i, of[SHARERS]; aio_text text; };
static AIO_CORO(share_clients)
{
    AIO_BEGIN(share_clients);
    for (self->i = 0; self->i < SHARED_CLIENTS; self->i++) {
        AIO_AWAIT(self->streams[self->i], aio_open_connection("127.0.0.1", sharers[0].port));
        AIO_AWAIT(self->text, aio_stream_read_all(self->streams[self->i], 0));
        CHECK_INT(self->text.length, 1);
        if (self->text.length) self->of[(self->text.data[0] - '0') % SHARERS]++;
    }
    for (int i = 0; i < SHARERS; i++) CHECK_INT(self->of[i], SEAM_GET(sharers[i].made));
    for (int i = 0; i < SHARERS && AIO__LINUX; i++) CHECK(self->of[i] > 0); /* others give all to the last one */
    AIO_FINALLY;
        for (int i = 0; i < SHARED_CLIENTS; i++) aio_stream_close(self->streams[i]);
    AIO_END;
}

TEST(server_loops_share_a_port)
{
    memset(sharers, 0, sizeof sharers);
    for (int i = 0; i < SHARERS; i++) {
        sharers[i].number = i;
        sharers[i].port = sharers[0].port;
        SEAM_ADD(seam.outside, 1);
        CHECK_INT(aio__os.thread(&sharers[i].thread, share_run, &sharers[i]), 0);
        while (SEAM_GET(seam.outside)) poll(NULL, 0, 1);
        CHECK(sharers[i].port > 0);
    }
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(share_clients), NULL), 0);
    aio_loop_free(loop);
    for (int i = 0; i < SHARERS; i++)
        CHECK_INT(aio_loop_call_soon_threadsafe(sharers[i].loop, share_end, &sharers[i]), 0);
    for (int i = 0; i < SHARERS; i++) aio__os.join(sharers[i].thread);
}

/* A loop that is closed with a server, clients and connects open leaves nothing. */
struct server_left { aio_task task; aio_server *server; aio_stream *stream, *other; };
static AIO_CORO(server_left)
{
    AIO_BEGIN(server_left);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    SOON();
    CHECK_INT(aio_server_client_count(self->server), 1);
    REQUIRE(aio_create_task(aio_open_connection("127.0.0.1", aio_server_port(self->server))));
    aio_loop_stop(aio_get_running_loop());
    AIO_AWAIT(aio_sleep(1000));
    AIO_END;
}

TEST(server_loop_closed)
{
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_loop_set_exception_handler(loop, on_report, NULL);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(server_left), NULL), AIO_ESTOPPED);
    aio_loop_free(loop);
}

/* One client is put out by others than its handler, which hears of it. */
struct kicked { aio_task task; aio_stream *stream; aio_text text; };
static aio_stream *kicked_stream;
static int kicked_code;
static AIO_CORO(kicked)
{
    AIO_BEGIN(kicked);
    kicked_stream = self->stream;
    AIO_AWAIT(aio_stream_readexactly(self->stream, 1));
    AIO_AWAIT(aio_sleep(0.2));
    AIO_TRY {
        AIO_AWAIT(aio_stream_read(self->stream, 1));
    } AIO_CATCH {
        kicked_code = aio_caught(self)->code;
        CHECK(aio_stream_is_closing(self->stream));
        CHECK_INT(aio_stream_write(self->stream, "x", 1), ECONNABORTED);
        AIO_RERAISE();
    } AIO_END_TRY;
    AIO_FINALLY;
        kicked_stream = NULL;
    AIO_END;
}
CLIENT_HANDLER(kicked)

/* Small messages go at once, on either side. */
static bool has_no_delay(const aio_stream *stream)
{
    int on = 0;
    socklen_t size = sizeof on;
    return getsockopt(aio_stream_fileno(stream), IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0 && on != 0;
}

struct server_kicks { aio_task task; aio_server *server; aio_stream *stream; aio_text text; };
SCENARIO(server_kicks, SERVER_MAY)
{
    AIO_BEGIN(server_kicks);
    kicked_stream = NULL;
    kicked_code = 0;
    AIO_AWAIT(self->server, aio_start_server(kicked_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    REQUIRE(aio_stream_write(self->stream, "1", 1) == 0);
    SOON();
    REQUIRE(aio_stream_write(self->stream, "2", 1) == 0); /* is not read any more */
    CHECK(kicked_stream != NULL);
    CHECK(has_no_delay(kicked_stream) && has_no_delay(self->stream));
    aio_stream_abort(kicked_stream);
    aio_stream_abort(kicked_stream); /* it is still the server's */
    AIO_AWAIT(aio_sleep(0.3));
    CHECK_PTR(kicked_stream, NULL);
    CHECK_INT(kicked_code, ECONNABORTED);
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_TRY {
        AIO_TIMEOUT(100) AIO_AWAIT(aio_stream_read_all(self->stream, 0));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ECONNRESET);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
    AIO_END;
}

/* A handler whose tasks all find that the peer has gone: no error of the server's, and so no report. */
struct grouping { aio_task task; aio_stream *stream; aio_task_group *group; };
static AIO_CORO(grouping)
{
    AIO_BEGIN(grouping);
    AIO_TASK_GROUP(self->group) {
        aio_task_group_create_task(self->group, AIO_CALL(stream_echo, .stream = self->stream));
    }
    AIO_END;
}
CLIENT_HANDLER(grouping)

struct server_group_went { aio_task task; aio_server *server; aio_stream *stream; aio_text text; };
SCENARIO(server_group_went, SERVER_MAY)
{
    AIO_BEGIN(server_group_went);
    AIO_AWAIT(self->server, aio_start_server(grouping_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
    AIO_TIMEOUT(100) AIO_AWAIT(aio_stream_readexactly(self->stream, 1));
    aio_stream_abort(self->stream);
    self->stream = NULL;
    SOON();
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
    AIO_END;
}

/* A peer that has reset the connection before we end our direction: shutdown says ENOTCONN, which is no error of the
 * server's either. */
static aio_stream *resetting_peer;
struct ending_late { aio_task task; aio_stream *stream; };
static AIO_CORO(ending_late)
{
    AIO_BEGIN(ending_late);
    AIO_AWAIT(aio_stream_readexactly(self->stream, 1));
    aio_stream_abort(resetting_peer);
    resetting_peer = NULL;
    aio_stream_write_eof(self->stream);
    AIO_TRY {
        AIO_AWAIT(aio_stream_drain(self->stream));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ENOTCONN);
        AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}
CLIENT_HANDLER(ending_late)

struct server_reset_at_eof { aio_task task; aio_server *server; };
SCENARIO(server_reset_at_eof, SERVER_MAY)
{
    AIO_BEGIN(server_reset_at_eof);
    AIO_AWAIT(self->server, aio_start_server(ending_late_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(resetting_peer, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    REQUIRE(aio_stream_write(resetting_peer, "x", 1) == 0);
    SOON();
    CHECK_INT(aio_server_client_count(self->server), 0);
    AIO_FINALLY;
        aio_stream_abort(resetting_peer);
        resetting_peer = NULL;
        SERVER_END(self->server);
    AIO_END;
}

/* A handler that has seen the end, aborts its stream and reads again: that read fails, and the end is still known. */
static int ended_reads;
struct ended_aborts { aio_task task; aio_stream *stream; aio_text text; };
static AIO_CORO(ended_aborts)
{
    AIO_BEGIN(ended_aborts);
    AIO_AWAIT(self->text, aio_stream_read_all(self->stream, 0));
    CHECK_INT(self->text.length, 1);
    CHECK(aio_stream_at_eof(self->stream));
    aio_stream_abort(self->stream);
    CHECK(aio_stream_at_eof(self->stream));
    for (ended_reads = 0; ended_reads < 2; ended_reads++) {
        AIO_TRY {
            AIO_AWAIT(self->text, aio_stream_read(self->stream, 1));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(ECONNABORTED);
        } AIO_END_TRY;
        CHECK(aio_stream_at_eof(self->stream));
    }
    AIO_END;
}
CLIENT_HANDLER(ended_aborts)

struct server_aborts_at_eof { aio_task task; aio_server *server; aio_stream *stream; };
SCENARIO(server_aborts_at_eof, SERVER_MAY)
{
    AIO_BEGIN(server_aborts_at_eof);
    ended_reads = 0;
    AIO_AWAIT(self->server, aio_start_server(ended_aborts_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    REQUIRE(aio_stream_write(self->stream, "x", 1) == 0);
    REQUIRE(aio_stream_write_eof(self->stream) == 0);
    SOON();
    CHECK_INT(ended_reads, 2);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
    AIO_END;
}

/* The number 0 is a descriptor as good as any: of a socket that listens, one that connects, one that was accepted, of
 * datagrams, and of a pair. */
struct server_zero { aio_task task; aio_server *server; aio_stream *stream, *pair[2]; aio_datagram_endpoint *endpoint;
    aio_text text; int kept, raw, i; };

static void server_zero_take(int kept) { ALWAYS(dup2(kept, 0) == 0); }

/* Connected, without a loop; the other end is still to be accepted. */
static int server_zero_connect(int port)
{
    struct sockaddr_in to;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ALWAYS(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

/* What ends in the middle could leave the number free for the next run's loop: hence no faults. */
SCENARIO(server_zero, SERVER_MAY, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL)
{
    AIO_BEGIN(server_zero);
    self->kept = fcntl(0, F_DUPFD_CLOEXEC, 200);
    if (self->kept < 0) AIO_RETURN();
    for (self->i = 0; self->i < 2; self->i++) { /* listens, connects */
        if (self->i == 0) close(0);
        AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
        size_t count;
        CHECK_INT(aio_server_sockets(self->server, &count)[0] == 0, self->i == 0);
        if (self->i == 1) close(0);
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        if (!seam.fired) CHECK_INT(aio_stream_fileno(self->stream) == 0, self->i == 1);
        AIO_TIMEOUT(100) {
            REQUIRE(aio_stream_write(self->stream, "hello", 5) == 0);
            AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, 5));
        }
        CHECK(fcntl(0, F_GETFD) >= 0);
        aio_stream_close(self->stream);
        self->stream = NULL;
        AIO_AWAIT(aio_server_wait_closed(self->server));
        self->server = NULL;
        CHECK(fcntl(0, F_GETFD) < 0);
        server_zero_take(self->kept);
    }
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0));
    self->raw = server_zero_connect(aio_server_port(self->server));
    close(0);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK_INT(aio_server_client_count(self->server), 1);
    CHECK(fcntl(0, F_GETFD) >= 0);
    CHECK_INT(write(self->raw, "hello", 5), 5);
    AIO_AWAIT(aio_sleep(0.1));
    if (!seam.slice) CHECK_INT(recv(self->raw, (char[8]){ 0 }, 8, MSG_DONTWAIT), 5);
    close(self->raw);
    self->raw = 0;
    AIO_AWAIT(aio_server_wait_closed(self->server));
    self->server = NULL;
    CHECK(fcntl(0, F_GETFD) < 0);
    AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    CHECK_INT(aio_datagram_fileno(self->endpoint), 0);
    aio_datagram_close(self->endpoint);
    self->endpoint = NULL;
    REQUIRE(aio_stream_pair(self->pair) == 0);
    CHECK_INT(aio_stream_fileno(self->pair[0]), 0);
    REQUIRE(aio_stream_write(self->pair[1], "x", 1) == 0);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->pair[0], 1));
    AIO_FINALLY;
        for (int i = 0; i < 2; i++) aio_stream_abort(self->pair[i]);
        aio_datagram_abort(self->endpoint);
        aio_stream_abort(self->stream);
        SERVER_END(self->server);
        if (self->raw > 0) close(self->raw);
        if (self->kept > 0) server_zero_take(self->kept);
        if (self->kept > 0) close(self->kept);
    AIO_END;
}

/* Two who wait for the same read both have it. */
struct read_shared { aio_task task; aio_text_future *read; aio_text text; };
static AIO_CORO(read_shared)
{
    AIO_BEGIN(read_shared);
    AIO_AWAIT(self->text, (aio_text_future *)aio_ref(self->read));
    AIO_END;
}

struct server_read_twice { aio_task task; aio_stream *pair[2]; aio_text_future *read; struct read_shared *two[2]; };
SCENARIO(server_read_twice, SERVER_MAY)
{
    AIO_BEGIN(server_read_twice);
    REQUIRE(aio_stream_pair(self->pair) == 0);
    REQUIRE(self->read = aio_stream_readexactly(self->pair[0], 3));
    for (int i = 0; i < 2; i++) REQUIRE(self->two[i] = aio_create_task(AIO_CALL(read_shared, .read = self->read)));
    AIO_AWAIT(aio_sleep(0.01));
    CHECK(!aio_future_done(self->two[0]) && !aio_future_done(self->two[1]));
    REQUIRE(aio_stream_write(self->pair[1], "abc", 3) == 0);
    AIO_AWAIT(aio_sleep(0.01));
    for (int i = 0; i < 2; i++) {
        CHECK(aio_future_done(self->two[i]));
        CHECK_INT(self->two[i]->text.length, 3);
    }
    AIO_FINALLY;
        for (int i = 0; i < 2; i++) fd_end_task(self->two[i]);
        aio_unref(self->read);
        for (int i = 0; i < 2; i++) aio_stream_abort(self->pair[i]);
    AIO_END;
}
