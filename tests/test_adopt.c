/* Sockets of the program's own in streams and servers, pairs, names without files, modes, descriptors handed over. */
#define ADOPT_MAY .may = { ECONNRESET, AIO_EINCOMPLETE, EPIPE, AIO_ETIMEOUT, ECONNABORTED, ECONNREFUSED, \
    EADDRINUSE, ENOTCONN }

static bool adopt_blocks(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && !(flags & O_NONBLOCK);
}

/* A connected socket becomes a stream, non-blocking and closed on exec, and blocks again for whom else it has. */
struct adopt_stream { aio_task task; aio_stream *a, *b; aio_text text; int fds[2], other, i; };
SCENARIO(adopt_stream, ADOPT_MAY)
{
    AIO_BEGIN(adopt_stream);
    ALWAYS(socketpair(AF_UNIX, SOCK_STREAM, 0, self->fds) == 0);
    self->other = dup(self->fds[0]);
    AIO_TRY {
        AIO_AWAIT(self->a, aio_stream_from_fd(self->fds[0], .limit = 100));
        self->fds[0] = 0;
        AIO_AWAIT(self->b, aio_open_connection(NULL, 0, .sock = self->fds[1]));
        self->fds[1] = 0;
    } AIO_CATCH_CODE(ENOMEM) { /* as they were */
        for (self->i = 0; self->i < 2; self->i++)
            if (self->fds[self->i]) CHECK(adopt_blocks(self->fds[self->i]));
        AIO_RERAISE();
    } AIO_END_TRY;
    CHECK(!adopt_blocks(self->other));
    CHECK_INT(fcntl(aio_stream_fileno(self->a), F_GETFD), FD_CLOEXEC);
    AIO_TIMEOUT(100) {
        REQUIRE(aio_stream_write(self->a, "hello\n", 6) == 0);
        AIO_AWAIT(self->text, aio_stream_readline(self->b));
        CHECK_BYTES(self->text.data, self->text.length, "hello\n");
    }
    aio_stream_close(self->a);
    self->a = NULL;
    if (!seam.fired) CHECK(adopt_blocks(self->other));
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
        fd_close_pair(self->fds);
        close(self->other);
    AIO_END;
}

/* One that was watched before is one descriptor of the loop's, and no less. */
struct adopt_watched { aio_task task; aio_loop *loop; aio_stream *stream; int fds[2]; size_t before; };
static void adopt_nothing(void *arg) { (void)arg; }
SCENARIO(adopt_watched, ADOPT_MAY)
{
    AIO_BEGIN(adopt_watched);
    self->loop = aio_get_running_loop();
    ALWAYS(socketpair(AF_UNIX, SOCK_STREAM, 0, self->fds) == 0);
    REQUIRE(aio_loop_add_reader(self->loop, self->fds[0], adopt_nothing, NULL) == 0);
    self->before = aio_loop_metrics(self->loop).descriptors;
    CHECK(aio_loop_remove_reader(self->loop, self->fds[0]));
    CHECK_INT(aio_loop_metrics(self->loop).descriptors, self->before - 1);
    AIO_AWAIT(self->stream, aio_stream_from_fd(self->fds[0]));
    self->fds[0] = 0;
    CHECK_INT(aio_loop_metrics(self->loop).descriptors, self->before);
    AIO_FINALLY;
        aio_loop_remove_reader(self->loop, self->fds[0]);
        aio_stream_abort(self->stream);
        fd_close_pair(self->fds);
    AIO_END;
}

/* What is no connected stream socket is refused in words, and stays as it was. */
struct adopt_wrong { aio_task task; aio_stream *stream; int fds[6], i; };
SCENARIO(adopt_wrong, ADOPT_MAY)
{
    static const struct { int code; const char *why; } wrong[] = {
        { ENOTSOCK, NULL }, { ENOTSOCK, NULL }, { EINVAL, "it listens: it is a server's" },
        { EINVAL, "it is no stream socket" }, { ENOTCONN, NULL }, { EBADF, NULL } };
    char expected[100];
    AIO_BEGIN(adopt_wrong);
    self->fds[0] = open("/dev/null", O_RDWR);
    ALWAYS(pipe(self->fds + 1) == 0);
    close(self->fds[2]);
    self->fds[2] = socket(AF_INET, SOCK_STREAM, 0);
    ALWAYS(listen(self->fds[2], 1) == 0);
    self->fds[3] = socket(AF_INET, SOCK_DGRAM, 0);
    self->fds[4] = socket(AF_INET, SOCK_STREAM, 0);
    self->fds[5] = -7;
    for (self->i = 0; self->i < 6; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->stream, aio_stream_from_fd(self->fds[self->i]));
            UNREACHED();
        } AIO_CATCH {
            if (seam.fired && aio_caught(self)->code == ENOBUFS) AIO_RERAISE();
            snprintf(expected, sizeof expected, "a stream over descriptor %d: %s", self->fds[self->i],
                     wrong[self->i].why ? wrong[self->i].why : strerror(wrong[self->i].code));
            CAUGHT(wrong[self->i].code);
            if (self->fds[self->i] > 0) CHECK_STR(aio_caught(self)->message, expected);
            if (self->fds[self->i] > 0) CHECK(adopt_blocks(self->fds[self->i]));
        } AIO_END_TRY;
    }
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->stream, self->i == 0 ? aio_open_connection("h", 1, .sock = self->fds[4])
                                  : self->i == 1 ? aio_open_unix_connection("h", .sock = self->fds[4])
                                                 : aio_stream_from_fd(self->fds[4], .proxy = "http://p"));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        for (int i = 0; i < 5; i++)
            if (self->fds[i] > 0) close(self->fds[i]);
    AIO_END;
}

/* Memory with marks behind it, as many as the largest object is long. */
enum { ADOPT_MARKS = 2000, ADOPT_BLOCKS = 8 };
static struct { char *memory[ADOPT_BLOCKS]; size_t size[ADOPT_BLOCKS]; int count; } adopt_marked;
static void *adopt_mark(size_t size)
{
    char *memory = (char *)seam_malloc(size + ADOPT_MARKS);
    if (!memory || !CHECK(adopt_marked.count < ADOPT_BLOCKS)) return memory;
    memset(memory + size, '!', ADOPT_MARKS);
    adopt_marked.memory[adopt_marked.count] = memory;
    adopt_marked.size[adopt_marked.count++] = size;
    return memory;
}

/* What is refused at once is less than a connect: nothing is written behind it. */
TEST(adopt_refused_at_once, .skip = KIND_DEBUG)
{
    aio_loop *loop = aio_new_event_loop();
    bool plain = aio__plain;
    memset(&adopt_marked, 0, sizeof adopt_marked);
    aio_set_event_loop(loop);
    aio__plain = true;
    aio__os.malloc = adopt_mark;
    aio_stream_task *refused = aio_stream_from_fd(-7);
    aio__os.malloc = seam_malloc;
    CHECK(refused && adopt_marked.count > 0);
    for (int i = 0; i < adopt_marked.count; i++)
        for (size_t k = 0; k < ADOPT_MARKS; k++)
            if (!CHECK_INT(adopt_marked.memory[i][adopt_marked.size[i] + k], '!')) break;
    CHECK_INT(aio_future_exception(refused)->code, EBADF);
    aio_unref(refused);
    aio__plain = plain;
    aio_loop_free(loop);
}

/* Both ends of a pair. */
struct adopt_pair { aio_task task; aio_stream *pair[2]; aio_text text; };
SCENARIO(adopt_pair, ADOPT_MAY)
{
    int code;
    AIO_BEGIN(adopt_pair);
    code = aio_stream_pair(self->pair);
    if (code) AIO_RAISE(code);
    AIO_TIMEOUT(100) {
        REQUIRE(aio_stream_write(self->pair[0], "ping", 4) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->pair[1], 4));
        CHECK_BYTES(self->text.data, self->text.length, "ping");
        REQUIRE(aio_stream_write(self->pair[1], "pong", 4) == 0);
        REQUIRE(aio_stream_write_eof(self->pair[1]) == 0);
        AIO_AWAIT(self->text, aio_stream_read_all(self->pair[0], 0));
        CHECK_BYTES(self->text.data, self->text.length, "pong");
    }
    AIO_FINALLY;
        aio_stream_abort(self->pair[0]);
        aio_stream_abort(self->pair[1]);
    AIO_END;
}

/* A read of a local socket ends behind a byte with which a descriptor came: what follows is read all the same. */
static bool adopt_send_with_fd(int socket, int fd)
{
    union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr head; } control;
    struct iovec piece = { (void *)(uintptr_t)"a", 1 };
    struct msghdr message;
    memset(&control, 0, sizeof control);
    memset(&message, 0, sizeof message);
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.room;
    message.msg_controllen = sizeof control.room;
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    return sendmsg(socket, &message, 0) == 1;
}

struct adopt_pair_parts { aio_task task; aio_stream *pair[2]; aio_text text; };
SCENARIO(adopt_pair_parts, ADOPT_MAY)
{
    int code, fd;
    AIO_BEGIN(adopt_pair_parts);
    code = aio_stream_pair(self->pair);
    if (code) AIO_RAISE(code);
    fd = aio__stream_fd(self->pair[0])->fd;
    ALWAYS(adopt_send_with_fd(fd, fd) && send(fd, "b", 1, 0) == 1);
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_readexactly(self->pair[1], 2));
    CHECK_BYTES(self->text.data, self->text.length, "ab");
    AIO_FINALLY;
        aio_stream_abort(self->pair[0]);
        aio_stream_abort(self->pair[1]);
    AIO_END;
}

static int adopt_mallocs; /* the how manieth of them fails */
static void *adopt_malloc(size_t size) { return --adopt_mallocs ? seam_malloc(size) : NULL; }

/* When the second end cannot be made the first one goes, too. In debug mode each has memory of its own. */
TEST(adopt_pair_fails)
{
    aio_loop *loop = loop_open();
    aio_stream *pair[2];
    int failed = 0;
    aio_set_event_loop(loop);
    aio_loop_set_debug(loop, true);
    CHECK_INT(aio_stream_pair(pair), 0); /* what a loop makes once is there */
    aio_stream_abort(pair[0]);
    aio_stream_abort(pair[1]);
    size_t before = aio_loop_metrics(loop).descriptors;
    for (int n = 1; n < 9; n++) {
        adopt_mallocs = n;
        aio__os.malloc = adopt_malloc;
        int code = aio_stream_pair(pair);
        aio__os.malloc = seam_malloc;
        if (code) {
            failed++;
            CHECK_INT(code, ENOMEM);
            CHECK(!pair[0] && !pair[1]);
        } else {
            aio_stream_abort(pair[0]);
            aio_stream_abort(pair[1]);
        }
        CHECK_INT(aio_loop_metrics(loop).descriptors, before);
    }
    CHECK_INT(failed, 2);
    aio_loop_free(loop);
}

TEST(adopt_pair_without_loop)
{
    aio_stream *pair[2];
    CHECK_INT(aio_stream_pair(pair), AIO_ENOLOOP);
    CHECK_PTR(pair[0], NULL);
}

/* A unix socket's file has the mode that was asked for; several at a time, one of them without a file. */
struct adopt_unix { aio_task task; aio_server *server, *hidden; aio_stream *stream; char path[64], name[64], text[120];
                    struct stat status; };
SCENARIO(adopt_unix, ADOPT_MAY)
{
    AIO_BEGIN(adopt_unix);
    snprintf(self->path, sizeof self->path, "/tmp/aio-adopt-%d.sock", (int)getpid());
    snprintf(self->name, sizeof self->name, "@aio-adopt-%d", (int)getpid());
    AIO_AWAIT(self->server, aio_start_unix_server(echo_handler, NULL, self->path, .mode = 0610));
    CHECK_INT(stat(self->path, &self->status), 0);
    CHECK_INT(self->status.st_mode & 0777, 0610);
    AIO_AWAIT(self->stream, aio_open_unix_connection(self->path));
#if AIO__LINUX
    aio_stream_close(self->stream);
    self->stream = NULL;
    AIO_AWAIT(self->hidden, aio_start_unix_server(echo_handler, NULL, self->name));
    CHECK_INT(stat(self->name, &self->status), -1);
    AIO_AWAIT(self->stream, aio_open_unix_connection(self->name));
    CHECK_STR(aio_stream_peername(self->stream, self->text, sizeof self->text), self->name);
    AIO_TIMEOUT(100) {
        REQUIRE(aio_stream_write(self->stream, "hello", 5) == 0);
        AIO_AWAIT(aio_stream_readexactly(self->stream, 5));
    }
    AIO_TRY {
        AIO_AWAIT(aio_start_unix_server(echo_handler, NULL, self->name));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EADDRINUSE);
    } AIO_END_TRY;
#endif
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) aio_server_close(self->server);
        if (self->hidden) aio_server_close(self->hidden);
        unlink(self->path);
        SERVER_END(self->server);
        SERVER_END(self->hidden);
    AIO_END;
}

/* Several hosts, each once, with one port; the sockets of all. */
struct adopt_hosts { aio_task task; aio_server *server; aio_stream *one, *two; const int *sockets; size_t count; };
SCENARIO(adopt_hosts, ADOPT_MAY)
{
    AIO_BEGIN(adopt_hosts);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1, 127.0.0.2,127.0.0.1", 0));
    self->sockets = aio_server_sockets(self->server, &self->count);
    REQUIRE(self->count == 2);
    CHECK(self->sockets[0] > 0 && self->sockets[1] > 0 && self->sockets[0] != self->sockets[1]);
    AIO_AWAIT(self->one, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    AIO_AWAIT(self->two, aio_open_connection("127.0.0.2", aio_server_port(self->server)));
    aio_server_close(self->server);
    aio_server_sockets(self->server, &self->count);
    CHECK_INT(self->count, 0);
    AIO_TRY {
        AIO_AWAIT(aio_start_server(echo_handler, NULL, "127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5,127.0.0.6,"
                                   "127.0.0.7,127.0.0.8,127.0.0.9,127.0.0.10,127.0.0.11,127.0.0.12,127.0.0.13,"
                                   "127.0.0.14,127.0.0.15,127.0.0.16,127.0.0.17", 0));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->one);
        aio_stream_abort(self->two);
        SERVER_END(self->server);
    AIO_END;
}

/* A server that is to start later: bound, and deaf. One with a socket of the program's, too. */
struct adopt_later { aio_task task; aio_server *server, *own; aio_stream *stream; int fd, port, made; };
SCENARIO(adopt_later, ADOPT_MAY)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    AIO_BEGIN(adopt_later);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, &self->made, "127.0.0.1", 0, .no_start_serving = true));
    CHECK(aio_server_port(self->server) > 0);
    CHECK(!aio_server_is_serving(self->server));
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ECONNREFUSED);
    } AIO_END_TRY;
    REQUIRE(aio_server_start_serving(self->server) == 0);
    CHECK_INT(aio_server_start_serving(self->server), 0);
    CHECK(aio_server_is_serving(self->server));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    SOON();
    CHECK_INT(self->made, 1);
    aio_server_close(self->server);
    CHECK_INT(aio_server_start_serving(self->server), EINVAL);
    aio_stream_close(self->stream);
    self->stream = NULL;
    self->fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ALWAYS(bind(self->fd, (struct sockaddr *)&address, length) == 0 && listen(self->fd, 5) == 0);
    AIO_AWAIT(self->own, aio_start_server(echo_handler, &self->made, NULL, 0, .sock = self->fd,
                                          .no_start_serving = true));
    self->fd = 0;
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->own)));
    SOON();
    CHECK_INT(self->made, 1);
    REQUIRE(aio_server_start_serving(self->own) == 0);
    SOON();
    CHECK_INT(self->made, 2);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->fd > 0) close(self->fd);
        SERVER_END(self->server);
        SERVER_END(self->own);
    AIO_END;
}

/* A socket that a server cannot have blocks as it did. */
struct adopt_server_wrong { aio_task task; int fd; };
SCENARIO(adopt_server_wrong, ADOPT_MAY)
{
    AIO_BEGIN(adopt_server_wrong);
    self->fd = socket(AF_INET, SOCK_STREAM, 0);
    AIO_TRY {
        AIO_AWAIT(aio_start_server(echo_handler, NULL, NULL, 0, .sock = self->fd));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    CHECK(adopt_blocks(self->fd));
    AIO_FINALLY;
        if (self->fd > 0) close(self->fd);
    AIO_END;
}

/* A listening socket and a connected one go to another process: here, over a pair, to a server and a stream. */
struct adopt_sent { aio_task task; aio_server *server; aio_stream *stream; int pair[2], fds[2], got[2], made;
                    size_t count; char byte[8]; size_t n; };
SCENARIO(adopt_sent, ADOPT_MAY, .skip = KIND_SLICE)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    AIO_BEGIN(adopt_sent);
    fd_socketpair(self->pair);
    self->fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ALWAYS(bind(self->fds[0], (struct sockaddr *)&address, length) == 0 && listen(self->fds[0], 5) == 0);
    AIO_AWAIT(aio_sock_send_fds(self->pair[0], "listen", 6, self->fds, 1));
    self->count = 2;
    AIO_AWAIT(self->n, aio_sock_recv_fds(self->pair[1], self->byte, sizeof self->byte, self->got, &self->count));
    CHECK_BYTES(self->byte, self->n, "listen");
    REQUIRE(self->count == 1);
    CHECK_INT(fcntl(self->got[0], F_GETFD), FD_CLOEXEC);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, &self->made, NULL, 0, .sock = self->got[0]));
    self->got[0] = 0;
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    SOON();
    CHECK_INT(self->made, 1);
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        fd_close_pair(self->pair);
        fd_close_pair(self->fds);
        fd_close_pair(self->got);
        SERVER_END(self->server);
    AIO_END;
}

/* More than there is room for, none at all, and what is no use; the receiver may wait. */
struct adopt_room { aio_task task; int pair[2], fds[2], got[2]; size_t count, n; char byte[8];
                    aio_size_task *receiver; };
SCENARIO(adopt_room, ADOPT_MAY, .skip = KIND_SLICE)
{
    AIO_BEGIN(adopt_room);
    fd_socketpair(self->pair);
    fd_socketpair(self->fds);
    AIO_AWAIT(aio_sock_send_fds(self->pair[0], "x", 1, self->fds, 2));
    self->count = 1;
    AIO_TRY {
        AIO_AWAIT(aio_sock_recv_fds(self->pair[1], self->byte, sizeof self->byte, self->got, &self->count));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EMSGSIZE);
    } AIO_END_TRY;
    CHECK_INT(self->count, 0);
    CHECK_INT(self->got[1], 0); /* not within the room that there is */
    self->got[0] = 0; /* closed */
    self->receiver = aio_create_task(aio_sock_recv_fds(self->pair[1], self->byte, sizeof self->byte, NULL,
                                                       &self->count));
    REQUIRE(self->receiver);
    AIO_AWAIT(aio_sleep(0.01));
    AIO_AWAIT(aio_sock_sendall(self->pair[0], "plain", 5));
    AIO_AWAIT(self->n, (aio_size_task *)aio_ref(self->receiver));
    CHECK_INT(self->n, 5);
    CHECK_INT(self->count, 0);
    AIO_AWAIT(aio_sock_sendall(self->pair[0], "y", 1));
    self->count = 0;
    AIO_ASYNC_FOR(self->n, aio_sock_recv_fds(self->pair[1], self->byte, 0, NULL, &self->count)) {
        CHECK_INT(self->n, 0); /* no byte is asked for: that is no end */
        self->count = 1;
        break;
    }
    CHECK_INT(self->count, 1);
    for (self->n = 0; self->n < 4; self->n++) {
        AIO_TRY {
            if (self->n == 0) AIO_AWAIT(aio_sock_send_fds(self->pair[0], "", 0, self->fds, 1));
            if (self->n == 1) AIO_AWAIT(aio_sock_send_fds(self->pair[0], "x", 1, self->fds, 0));
            if (self->n == 2) AIO_AWAIT(aio_sock_send_fds(self->pair[0], "x", 1, self->fds, AIO_SEND_FDS + 1));
            if (self->n == 3) AIO_AWAIT(aio_sock_recv_fds(self->pair[0], self->byte, 1, self->got, NULL));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        fd_end_task(self->receiver);
        fd_close_pair(self->pair);
        fd_close_pair(self->fds);
        fd_close_pair(self->got);
    AIO_END;
}

static int adopt_next(void) /* the number of the next descriptor */
{
    int fd = dup(0);
    close(fd);
    return fd;
}

/* Sends as many as the system takes, past what a C library allows. */
enum { ADOPT_MOST = AIO_SEND_FDS + AIO__LINUX };
static void adopt_send_most(int fd, const int *fds)
{
#if AIO__LINUX
    char byte = 'x', room[CMSG_SPACE(ADOPT_MOST * sizeof(int))] = { 0 };
    struct iovec piece = { &byte, 1 };
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    struct cmsghdr head;
    memset(&head, 0, sizeof head);
    head.cmsg_level = SOL_SOCKET;
    head.cmsg_type = SCM_RIGHTS;
    head.cmsg_len = CMSG_LEN(ADOPT_MOST * sizeof(int));
    memcpy(room, &head, sizeof head);
    memcpy(room + CMSG_LEN(0), fds, ADOPT_MOST * sizeof(int));
    ALWAYS(syscall(SYS_sendmsg, fd, &message, 0) == 1);
#else
    (void)fd, (void)fds;
#endif
}

/* As many as can be sent come whole to who is told of its peer, too: the kernel puts that before them. A process
 * descriptor that was asked for by the socket's option, and that nobody can be given, is closed. */
struct adopt_most { aio_task task; int pair[2], fds[ADOPT_MOST], got[ADOPT_MOST], i, turn, free;
                    size_t count, none, n; char byte[8]; };
SCENARIO(adopt_most, ADOPT_MAY, .skip = KIND_SLICE)
{
    int on = 1;
    AIO_BEGIN(adopt_most);
    fd_socketpair(self->pair);
    (void)on;
#ifdef SO_PASSCRED
    ALWAYS(setsockopt(self->pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
#endif
#if AIO__LINUX
    setsockopt(self->pair[1], SOL_SOCKET, 76 /* SO_PASSPIDFD, since 6.5 */, &on, sizeof on);
#endif
    for (self->i = 0; self->i < ADOPT_MOST; self->i++)
        ALWAYS((self->fds[self->i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) > 0);
    for (self->turn = 0; self->turn <= AIO__LINUX; self->turn++) {
        if (self->turn == 0) AIO_AWAIT(aio_sock_send_fds(self->pair[0], "x", 1, self->fds, AIO_SEND_FDS));
        else adopt_send_most(self->pair[0], self->fds);
        self->count = ADOPT_MOST;
        AIO_AWAIT(self->n, aio_sock_recv_fds(self->pair[1], self->byte, sizeof self->byte, self->got, &self->count));
        CHECK_BYTES(self->byte, self->n, "x");
        CHECK_INT(self->count, self->turn ? ADOPT_MOST : AIO_SEND_FDS);
        for (self->i = 0; self->i < (int)self->count; self->i++) {
            CHECK(fcntl(self->got[self->i], F_GETFD) == FD_CLOEXEC);
            close(self->got[self->i]);
        }
    }
    AIO_AWAIT(aio_sock_sendall(self->pair[0], "y", 1));
    self->free = adopt_next();
    AIO_AWAIT(self->n, aio_sock_recv_fds(self->pair[1], self->byte, sizeof self->byte, NULL, &self->none));
    CHECK_BYTES(self->byte, self->n, "y");
    CHECK_INT(adopt_next(), self->free);
    AIO_FINALLY;
        for (self->i = 0; self->i < ADOPT_MOST; self->i++)
            if (self->fds[self->i] > 0) close(self->fds[self->i]);
        fd_close_pair(self->pair);
    AIO_END;
}

/* What may come beside the bytes, as the system puts it: blocks of `size` bytes of the descriptors, in a row. */
struct adopt_block { int level, type; size_t size, length; /* 0: its own */ };
static struct adopt_told { struct adopt_block blocks[3]; int flags; size_t n, most, have; int code; } adopt_told;
static int adopt_fds[4]; /* the first three are sent, the last one is nobody's */

static ssize_t adopt_recvmsg(int fd, struct msghdr *message, int flags)
{
    size_t at = 0, sent = 0;
    CHECK_INT(fd, 7);
    CHECK(flags & MSG_DONTWAIT);
#ifdef MSG_CMSG_CLOEXEC
    CHECK(flags & MSG_CMSG_CLOEXEC);
#endif
    for (const struct adopt_block *block = adopt_told.blocks; block->size; block++) {
        size_t size = block->size - 1; /* one more than it has: 0 ends the table */
        struct cmsghdr head;
        memset(&head, 0, sizeof head);
        head.cmsg_level = block->level;
        head.cmsg_type = block->type;
        head.cmsg_len = (__typeof__(head.cmsg_len))(block->length ? block->length : CMSG_LEN(size));
        memcpy((char *)message->msg_control + at, &head, sizeof head);
        memcpy((char *)message->msg_control + at + CMSG_LEN(0), (char *)adopt_fds + sent, size);
        if (block->level == SOL_SOCKET && block->type == SCM_RIGHTS) sent += size;
        at += CMSG_SPACE(size);
    }
    message->msg_controllen = (__typeof__(message->msg_controllen))at;
    message->msg_flags = adopt_told.flags;
    return (ssize_t)adopt_told.n;
}

/* Blocks of other kinds, before and behind; more descriptors than there is room for, or than the system had: then all
 * of them are closed, and nothing else is. No byte is the end, if any was asked for. */
TEST(adopt_control)
{
    enum { ONE = sizeof(int) + 1, TWO = 2 * sizeof(int) + 1, THREE = 3 * sizeof(int) + 1, RIGHTS = SCM_RIGHTS };
    static const struct adopt_told told[] = {
        { { { 0, 0, 0, 0 } }, 0, 3, 3, 0, 0 },
        { { { SOL_SOCKET, RIGHTS, TWO, 0 } }, 0, 1, 2, 2, 0 },
        { { { SOL_SOCKET, RIGHTS, ONE, 0 }, { SOL_SOCKET, RIGHTS, TWO, 0 } }, 0, 1, 3, 3, 0 },
        { { { SOL_SOCKET, RIGHTS + 1, TWO, 0 }, { SOL_SOCKET, RIGHTS, ONE, 0 } }, 0, 1, 3, 1, 0 },
        { { { SOL_SOCKET + 1, RIGHTS, ONE, 0 }, { SOL_SOCKET, RIGHTS, TWO, 0 } }, 0, 1, 3, 2, 0 },
        { { { SOL_SOCKET, RIGHTS, ONE, 0 }, { SOL_SOCKET + 1, RIGHTS + 1, TWO, 0 } }, 0, 1, 3, 1, 0 },
        { { { SOL_SOCKET, RIGHTS + 1, 1, 0 }, { SOL_SOCKET, RIGHTS, ONE, 0 } }, 0, 1, 3, 1, 0 }, /* an empty one */
        { { { SOL_SOCKET, RIGHTS + 1, 6, 0 }, { SOL_SOCKET, RIGHTS, ONE, 0 } }, 0, 1, 3, 1, 0 }, /* and an odd one */
        { { { SOL_SOCKET, RIGHTS, 1, 1 }, { SOL_SOCKET, RIGHTS, ONE, 0 } }, 0, 1, 3, 0, 0 }, /* no length is that */
        { { { SOL_SOCKET, RIGHTS, THREE, 0 } }, 0, 1, 2, 3, EMSGSIZE },
        { { { SOL_SOCKET, RIGHTS, THREE, 0 } }, 0, 1, 0, 3, EMSGSIZE },
        { { { SOL_SOCKET, RIGHTS, TWO, 0 } }, MSG_CTRUNC, 1, 3, 2, EMSGSIZE },
        { { { SOL_SOCKET, RIGHTS, TWO, 0 } }, MSG_TRUNC, 1, 3, 2, 0 },
        { { { 0, 0, 0, 0 } }, MSG_CTRUNC, 1, 3, 0, EMSGSIZE },
        { { { 0, 0, 0, 0 } }, 0, 0, 3, 0, 0 },
    };
    aio__os.recvmsg = adopt_recvmsg;
    for (size_t i = 0; i < 2 * sizeof told / sizeof *told; i++) {
        struct aio__fds_call call;
        char bytes[8];
        size_t count = 77;
        int got[4], asked = i % 2;
        adopt_told = told[i / 2];
        memset(&call, 0, sizeof call);
        for (int k = 0; k < 4; k++) CHECK((got[k] = adopt_fds[k] = open("/dev/null", O_RDONLY)) > 0);
        call.call.fd = 7;
        call.call.data = bytes;
        call.call.size = asked ? sizeof bytes : 0;
        call.fds = got;
        call.count = &count;
        call.most = adopt_told.most;
        int code = aio__sock_recv_fds(&call.call);
        bool same = CHECK_INT(code, adopt_told.code);
        same = CHECK_INT(count, code ? 77 : adopt_told.have) && same;
        same = CHECK_INT(call.call.result.size, code ? 0 : adopt_told.n) && same;
        same = CHECK_INT((call.call.task.future.flags & AIO__F_END) != 0, !adopt_told.n && asked) && same;
        for (size_t k = 0; k < 4; k++) {
            int flags = fcntl(adopt_fds[k], F_GETFD);
            same = CHECK_INT(flags, k >= adopt_told.have ? 0 : code ? -1 : FD_CLOEXEC) && same;
            CHECK_INT(got[k], adopt_fds[k]);
            if (flags >= 0) close(adopt_fds[k]);
        }
        if (!same) fail("in row %d", (int)i / 2);
    }
    aio__os.recvmsg = seam_recvmsg;
}

/* Who is told of its peer gets the descriptors all the same; and the end, when the peer has gone. */
struct adopt_end { aio_task task; int pair[2], fds[2], got[2], times; size_t count, n; char byte[8]; };
SCENARIO(adopt_end, ADOPT_MAY, .skip = KIND_SLICE)
{
    int on = 1;
    AIO_BEGIN(adopt_end);
    fd_socketpair(self->pair);
    fd_socketpair(self->fds);
    (void)on;
#ifdef SO_PASSCRED
    ALWAYS(setsockopt(self->pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
#endif
    AIO_AWAIT(aio_sock_send_fds(self->pair[0], "x", 1, self->fds, 1));
    close(self->pair[0]);
    self->pair[0] = 0;
    self->count = 2;
    AIO_ASYNC_FOR(self->n, aio_sock_recv_fds(self->pair[1], self->byte, sizeof self->byte, self->got, &self->count)) {
        CHECK_BYTES(self->byte, self->n, "x");
        CHECK_INT(self->count, 1);
        CHECK(fcntl(self->got[0], F_GETFD) == FD_CLOEXEC);
        if (self->got[0] > 0) close(self->got[0]);
        self->got[0] = 0;
        self->count = 2;
        self->times++;
    }
    CHECK_INT(self->times, 1);
    CHECK_INT(self->count, 0);
    AIO_FINALLY;
        fd_close_pair(self->pair);
        fd_close_pair(self->fds);
        fd_close_pair(self->got);
    AIO_END;
}
