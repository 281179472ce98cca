/* Files on their way out, and streams over pipes and terminals. poured, unix_pair: test_streams.c. */
/* A file of the pattern; its descriptor. It has no name any more. */
static int pattern_file(size_t size)
{
    char path[] = "/tmp/aio-file-XXXXXX";
    int fd = mkstemp(path);
    unlink(path);
    char *data = (char *)malloc(size + 1);
    for (size_t i = 0; i < size; i++) data[i] = (char)(i % 251);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || lseek(fd, 3, SEEK_SET) != 3) abort();
    free(data);
    return fd;
}

static void close_fd(int *fd)
{
    if (*fd > 0) close(*fd);
    *fd = 0;
}

#define FILE_MAY .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE, ECONNABORTED, AIO_ETIMEOUT, AIO_ERUNTIME, ENOTCONN }
#define FILE_SELF aio_task task; aio_stream *a, *b; aio_text text; aio_size_task *sent; int file; size_t size, at, n
#define FILE_END()                                                            \
    do {                                                                      \
        if (self->sent) aio_task_cancel(self->sent);                          \
        aio_unref(self->sent);                                                \
        aio_stream_abort(self->a);                                            \
        aio_stream_abort(self->b);                                            \
        close_fd(&self->file);                                                \
    } while (0)

/* In order with what is written before and after; the peer takes its time. */
struct sendfile_order { FILE_SELF; struct drainer *drainer; char *big; };
SCENARIO(sendfile_order, FILE_MAY)
{
    AIO_BEGIN(sendfile_order);
    self->size = much(300000);
    self->file = pattern_file(self->size);
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    self->big = (char *)aio__calloc(much(40000));
    REQUIRE(self->big);
    REQUIRE(aio_stream_write(self->a, self->big, much(40000)) == 0);
    self->sent = aio_create_task(aio_stream_sendfile(self->a, self->file, 7, self->size - 7));
    REQUIRE(self->sent);
    SOON();
    CHECK_INT(aio_stream_write(self->a, "x", 1), AIO_ERUNTIME); /* not in between */
    CHECK_INT(aio_stream_write_eof(self->a), AIO_ERUNTIME);
    AIO_TRY {
        AIO_AWAIT(aio_stream_sendfile(self->a, self->file, 0, 0));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_TIMEOUT(100) AIO_AWAIT(aio_stream_readexactly(self->b, much(40000)));
    self->drainer = aio_create_task(AIO_CALL(drainer, .stream = self->a));
    for (self->at = 7; self->at < self->size; self->at += self->text.length) {
        AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_read(self->b, 9000));
        REQUIRE(self->text.length > 0);
        CHECK(poured(self->text.data, self->at, self->text.length));
    }
    CHECK_INT(self->at, self->size);
    SOON();
    CHECK(aio_future_done(self->sent) && aio_future_done(self->drainer));
    CHECK_INT(self->sent->result, self->size - 7);
    CHECK_INT(lseek(self->file, 0, SEEK_CUR), 3);
    REQUIRE(aio_stream_write(self->a, "after", 5) == 0);
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_readexactly(self->b, 5));
    CHECK_BYTES(self->text.data, self->text.length, "after");
    AIO_TIMEOUT(100) AIO_AWAIT(self->n, aio_stream_sendfile(self->a, self->file, (int64_t)self->size - 10, 0));
    CHECK_INT(self->n, 10); /* to its end */
    AIO_TIMEOUT(100) AIO_AWAIT(self->n, aio_stream_sendfile(self->a, self->file, (int64_t)self->size + 10, 0));
    CHECK_INT(self->n, 0);
    AIO_FINALLY;
        aio__free(self->big);
        if (self->drainer) aio_task_cancel(self->drainer);
        aio_unref(self->drainer);
        FILE_END();
    AIO_END;
}

struct sendfile_fails { FILE_SELF; aio_stream *closing; };
SCENARIO(sendfile_fails, FILE_MAY)
{
    AIO_BEGIN(sendfile_fails);
    signal(SIGPIPE, SIG_DFL); /* would end the process */
    self->file = pattern_file(100000);
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    AIO_TRY {
        AIO_AWAIT(aio_stream_sendfile(NULL, self->file, 0, 0));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_stream_sendfile(self->a, self->file, -1, 0));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_stream_sendfile(self->a, 65000, 0, 0));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EBADF);
    } AIO_END_TRY;
    AIO_TRY { /* it has shrunk, say */
        AIO_AWAIT(aio_stream_sendfile(self->a, self->file, 99990, 20));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EINCOMPLETE);
        CHECK_STR(aio_caught(self)->message, "sendfile: after 10 bytes: the file ended");
        CHECK_INT(aio_caught(self)->expected, 20);
        CHECK_INT(aio_caught(self)->partial, 10);
        CHECK_STR(aio_caught(self)->phase, "sendfile");
    } AIO_END_TRY;
    AIO_TIMEOUT(100) AIO_AWAIT(aio_stream_readexactly(self->b, 10));
    self->sent = aio_create_task(aio_stream_sendfile(self->a, self->file, 0, 0));
    REQUIRE(self->sent);
    SOON();
    aio_stream_close(self->b); /* the peer goes */
    self->b = NULL;
    SOON();
    REQUIRE(aio_future_done(self->sent));
    CHECK(aio_future_exception(self->sent) != NULL);
    if (aio_future_exception(self->sent)) {
        CHECK_INT(aio_future_exception(self->sent)->code, EPIPE);
        CHECK(strstr(aio_future_exception(self->sent)->message, " bytes: write to ") != NULL);
    }
    CHECK_INT(aio_stream_write(self->a, "x", 1), EPIPE);
    aio_unref(self->sent);
    self->sent = NULL;
    aio_stream_abort(self->a);
    self->a = NULL;
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    REQUIRE(aio_stream_write_eof(self->a) == 0);
    AIO_TRY { /* behind the end of what was to be sent */
        AIO_AWAIT(aio_stream_sendfile(self->a, self->file, 0, 10));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EPIPE);
        CHECK_STR(aio_caught(self)->message, "sendfile: after 0 bytes: Broken pipe");
    } AIO_END_TRY;
    aio_stream_abort(self->a);
    self->a = NULL;
    aio_stream_abort(self->b);
    self->b = NULL;
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    self->sent = aio_create_task(aio_stream_sendfile(self->a, self->file, 0, 0));
    REQUIRE(self->sent);
    SOON();
    self->closing = self->a;
    self->a = NULL;
    aio_stream_abort(self->closing); /* we go */
    SOON();
    REQUIRE(aio_future_done(self->sent));
    if (CHECK(aio_future_exception(self->sent) != NULL))
        CHECK_INT(aio_future_exception(self->sent)->code, ECONNABORTED);
    AIO_FINALLY;
        FILE_END();
    AIO_END;
}

/* What is called before its stream ends, and begins behind that; one that never begins; two of which one is too much. */
struct sendfile_begins_late { FILE_SELF; aio_size_task *other; };
SCENARIO(sendfile_begins_late, FILE_MAY)
{
    AIO_BEGIN(sendfile_begins_late);
    self->file = pattern_file(1000);
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    REQUIRE(self->sent = aio_stream_sendfile(self->a, self->file, 0, 0));
    aio_unref(self->sent);
    REQUIRE(self->sent = aio_create_task(aio_stream_sendfile(self->a, self->file, 0, 10)));
    REQUIRE(self->other = aio_create_task(aio_stream_sendfile(self->a, self->file, 0, 10)));
    AIO_AWAIT((aio_future *)aio_ref(self->sent));
    AIO_TRY {
        AIO_AWAIT((aio_future *)aio_ref(self->other)); /* it may have begun behind the other */
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    aio_unref(self->other);
    aio_unref(self->sent);
    self->other = NULL;
    REQUIRE(self->sent = aio_create_task(aio_stream_sendfile(self->a, self->file, 0, 0)));
    REQUIRE(self->other = aio_stream_sendfile(self->a, self->file, 0, 0));
    aio_stream_abort(self->a);
    self->a = NULL;
    aio_unref(self->other);
    self->other = NULL;
    AIO_TRY {
        AIO_AWAIT((aio_future *)aio_ref(self->sent));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(ECONNABORTED);
        CHECK_INT(strncmp(aio_caught(self)->message, "sendfile: after 0 bytes: ", 25), 0);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_unref(self->other);
        FILE_END();
    AIO_END;
}

/* Cancelled in the middle: who drains is not forgotten. */
struct sendfile_cancelled { FILE_SELF; struct drainer *drainer; };
SCENARIO(sendfile_cancelled, FILE_MAY)
{
    AIO_BEGIN(sendfile_cancelled);
    self->file = pattern_file(1000000);
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    self->sent = aio_create_task(aio_stream_sendfile(self->a, self->file, 0, 0));
    REQUIRE(self->sent);
    SOON();
    self->drainer = aio_create_task(AIO_CALL(drainer, .stream = self->a));
    REQUIRE(self->drainer);
    AIO_AWAIT(aio_sleep(0));
    aio_task_cancel(self->sent);
    SOON();
    CHECK(aio_future_cancelled(self->sent));
    while (!aio_future_done(self->drainer)) { /* if a piece was copied, it is still to be taken */
        AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_read(self->b, 65536));
        CHECK(poured(self->text.data, self->at, self->text.length));
        self->at += self->text.length;
    }
    CHECK_INT(aio_stream_write(self->a, "x", 1), 0);
    AIO_FINALLY;
        if (self->drainer) aio_task_cancel(self->drainer);
        aio_unref(self->drainer);
        FILE_END();
    AIO_END;
}

#ifndef AIO_NO_TLS
struct sendfile_tls { FILE_SELF; aio_tls_context *server_tls, *client_tls; aio_server *server; aio_stream *stream; };
SCENARIO(sendfile_tls, TLS_MAY)
{
    AIO_BEGIN(sendfile_tls);
    self->size = much(150000);
    self->file = pattern_file(self->size);
    TLS_SETUP("good", NULL);
    AIO_AWAIT(self->server, aio_start_server(echo_handler, NULL, "127.0.0.1", 0, .tls_context = self->server_tls));
    AIO_TIMEOUT(100) AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server),
        .tls_context = self->client_tls, .server_hostname = "localhost"));
    self->sent = aio_create_task(aio_stream_sendfile(self->stream, self->file, 0, 0));
    REQUIRE(self->sent);
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_readexactly(self->stream, self->size));
    CHECK(poured(self->text.data, 0, self->size));
    SOON();
    CHECK(aio_future_done(self->sent));
    CHECK_INT(self->sent->result, self->size);
    AIO_FINALLY;
        FILE_END();
        TLS_END();
    AIO_END;
}
#endif

/* A socket of one's own, which may be a blocking one. */
struct sendfile_sock { FILE_SELF; int ours, i; };
SCENARIO(sendfile_sock, FILE_MAY)
{
    int fds[2];
    AIO_BEGIN(sendfile_sock);
    self->size = much(60000);
    self->file = pattern_file(self->size);
    for (self->i = 0; self->i < 2; self->i++) {
        int size;
        size = 4096;
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
        self->ours = fds[0];
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        if (self->i) fcntl(fds[0], F_SETFL, O_NONBLOCK);
        fcntl(fds[1], F_SETFL, O_NONBLOCK);
        self->b = aio__stream_new(aio_get_running_loop(), fds[1], 0);
        REQUIRE(self->b);
        self->sent = aio_create_task(aio_sock_sendfile(self->ours, self->file, 5, 0));
        REQUIRE(self->sent);
        AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_readexactly(self->b, self->size - 5));
        CHECK(poured(self->text.data, 5, self->size - 5));
        SOON();
        CHECK(aio_future_done(self->sent));
        CHECK_INT(self->sent->result, self->size - 5);
        aio_unref(self->sent);
        self->sent = NULL;
        aio_stream_abort(self->b);
        self->b = NULL;
        close_fd(&self->ours);
    }
    AIO_FINALLY;
        FILE_END();
        close_fd(&self->ours);
    AIO_END;
}

/* ---- pipes ---- */
struct pipes { FILE_SELF; int fds[2], copy; };
SCENARIO(pipes, FILE_MAY)
{
    AIO_BEGIN(pipes);
    REQUIRE(pipe(self->fds) == 0);
    self->copy = dup(self->fds[0]); /* the same open file */
    AIO_AWAIT(self->a, aio_connect_write_pipe(self->fds[1]));
    self->fds[1] = 0;
    AIO_AWAIT(self->b, aio_connect_read_pipe(self->fds[0]));
    self->fds[0] = 0;
    CHECK(fcntl(self->copy, F_GETFL) & O_NONBLOCK);
    CHECK(!(fcntl(aio_stream_fileno(self->b), F_GETFD) & FD_CLOEXEC)); /* it may be what children get */
    self->size = much(200000);
    self->file = pattern_file(self->size);
    self->sent = aio_create_task(aio_stream_sendfile(self->a, self->file, 0, 0));
    REQUIRE(self->sent);
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_readexactly(self->b, self->size));
    CHECK(poured(self->text.data, 0, self->size));
    SOON();
    CHECK(aio_future_done(self->sent));
    REQUIRE(aio_stream_write(self->a, "line\nrest", 9) == 0);
    REQUIRE(aio_stream_write_eof(self->a) == 0);
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_readline(self->b));
    CHECK_BYTES(self->text.data, self->text.length, "line\n");
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_read_all(self->b, 0));
    CHECK_BYTES(self->text.data, self->text.length, "rest");
    aio_stream_close(self->b);
    self->b = NULL;
    CHECK(!(fcntl(self->copy, F_GETFL) & O_NONBLOCK)); /* as it was */
    AIO_FINALLY;
        FILE_END();
        close_fd(&self->fds[0]);
        close_fd(&self->fds[1]);
        close_fd(&self->copy);
    AIO_END;
}

/* What fails on a pipe names its descriptor. */
struct pipes_named { FILE_SELF; int fds[2], fd; char name[40]; };
SCENARIO(pipes_named, FILE_MAY)
{
    AIO_BEGIN(pipes_named);
    REQUIRE(pipe(self->fds) == 0);
    self->fd = self->fds[1];
    snprintf(self->name, sizeof self->name, "descriptor %d: ", self->fd);
    AIO_AWAIT(self->a, aio_connect_write_pipe(self->fd));
    self->fds[1] = 0;
    close_fd(&self->fds[0]);
    AIO_TRY {
        aio_stream_write(self->a, "x", 1);
        AIO_AWAIT(aio_sleep(1)); /* it may not be taken at once */
        AIO_AWAIT(aio_stream_drain(self->a));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EPIPE);
        if (!touched() && !CHECK(strstr(aio_caught(self)->message, self->name) != NULL))
            printf("# %s\n", aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_FINALLY;
        FILE_END();
        close_fd(&self->fds[0]);
        close_fd(&self->fds[1]);
    AIO_END;
}

/* The descriptor is the stream's if it succeeds, else it stays ours. */
struct pipes_fail { FILE_SELF; int fds[2], i; };
SCENARIO(pipes_fail, FILE_MAY)
{
    AIO_BEGIN(pipes_fail);
    signal(SIGPIPE, SIG_DFL);
    self->file = pattern_file(10);
    REQUIRE(pipe(self->fds) == 0);
    AIO_TRY {
        AIO_AWAIT(aio_connect_read_pipe(self->file));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
        CHECK(strstr(aio_caught(self)->message, ": it is no pipe, socket or character device") != NULL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_connect_read_pipe(self->fds[1]));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EBADF);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_connect_write_pipe(65000));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EBADF);
    } AIO_END_TRY;
    AIO_AWAIT(self->a, aio_connect_write_pipe(self->fds[1]));
    self->fds[1] = 0;
    close_fd(&self->fds[0]);
    for (self->i = 0; self->i < 2; self->i++)
        if (aio_stream_write(self->a, "x", 1)) break;
        else SOON();
    CHECK_INT(aio_stream_write(self->a, "x", 1), EPIPE);
    AIO_FINALLY;
        FILE_END();
        close_fd(&self->fds[0]);
        close_fd(&self->fds[1]);
    AIO_END;
}

/* A terminal: what is typed comes by lines; it hangs up. The kernel takes its time to pass it on, so
 * there are no time limits, which would be over at once. */
struct pipe_terminal { FILE_SELF; int master, slave; };
SCENARIO(pipe_terminal, FILE_MAY, .skip = KIND_SLICE /* a terminal is not slowed down */)
{
    AIO_BEGIN(pipe_terminal);
    self->master = posix_openpt(O_RDWR | O_NOCTTY);
    REQUIRE(self->master >= 0 && grantpt(self->master) == 0 && unlockpt(self->master) == 0);
    self->slave = open(ptsname(self->master), O_RDWR | O_NOCTTY);
    REQUIRE(self->slave >= 0);
    AIO_AWAIT(self->b, aio_connect_read_pipe(self->slave));
    self->slave = 0;
    REQUIRE(write(self->master, "typed\n", 6) == 6);
    AIO_AWAIT(self->text, aio_stream_readline(self->b));
    CHECK_BYTES(self->text.data, self->text.length, "typed\n");
    REQUIRE(aio_stream_write(self->b, "shown", 5) == 0);
    REQUIRE(write(self->master, "\004", 1) == 1);
    AIO_AWAIT(self->text, aio_stream_read_all(self->b, 0));
    CHECK_INT(self->text.length, 0);
    AIO_FINALLY;
        FILE_END();
        close_fd(&self->master);
        close_fd(&self->slave);
    AIO_END;
}

/* ---- what comes in parts: a read gives less than there is, and the rest is not forgotten ---- */
enum { PARTS_URGENT, PARTS_DESCRIPTORS, PARTS_LINES, PARTS_PACKETS, PARTS_KINDS };

/* "one\n", then "two\n" and "three\n", such that a read ends behind each. fds[0] is to be read; false if this system
 * has no such thing. */
static bool parts_there(int kind, int fds[2])
{
    if (kind == PARTS_URGENT) {
        struct sockaddr_in to;
        socklen_t size = sizeof to;
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        memset(&to, 0, sizeof to);
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fds[1] = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(listener, (struct sockaddr *)&to, size) || listen(listener, 1) ||
            getsockname(listener, (struct sockaddr *)&to, &size) || connect(fds[1], (struct sockaddr *)&to, size)) abort();
        fds[0] = accept(listener, NULL, NULL);
        close(listener);
        return send(fds[1], "one\n", 4, 0) == 4 && send(fds[1], "!", 1, MSG_OOB) == 1 &&
               send(fds[1], "two\n", 4, 0) == 4 && send(fds[1], "three\n", 6, 0) == 6;
    }
    if (kind == PARTS_DESCRIPTORS) {
        union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } passed;
        struct iovec data = { (void *)(uintptr_t) "one\n", 4 };
        struct msghdr message;
        memset(&message, 0, sizeof message);
        memset(&passed, 0, sizeof passed);
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) abort();
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = &passed;
        message.msg_controllen = sizeof passed.room;
        passed.header.cmsg_level = SOL_SOCKET;
        passed.header.cmsg_type = SCM_RIGHTS;
        passed.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&passed.header), &fds[1], sizeof(int));
        return sendmsg(fds[1], &message, 0) == 4 && send(fds[1], "two\nthree\n", 10, 0) == 10;
    }
    if (kind == PARTS_LINES) {
        fds[1] = posix_openpt(O_RDWR | O_NOCTTY);
        if (fds[1] < 0 || grantpt(fds[1]) || unlockpt(fds[1])) abort();
        fds[0] = open(ptsname(fds[1]), O_RDWR | O_NOCTTY);
        return write(fds[1], "one\ntwo\nthree\n", 14) == 14;
    }
#if defined __linux__
    if (pipe2(fds, O_DIRECT)) abort(); /* as the C library declares it */
    return write(fds[1], "one\n", 4) == 4 && write(fds[1], "two\n", 4) == 4 && write(fds[1], "three\n", 6) == 6;
#else
    return false;
#endif
}

struct pipe_parts { FILE_SELF; int fds[2], kind; };
SCENARIO(pipe_parts, FILE_MAY, .skip = KIND_SLICE /* a terminal is not slowed down */)
{
    AIO_BEGIN(pipe_parts);
    for (self->kind = 0; self->kind < PARTS_KINDS; self->kind++) {
        if (!parts_there(self->kind, self->fds)) goto next;
        if (self->kind == PARTS_URGENT || self->kind == PARTS_DESCRIPTORS)
            AIO_AWAIT(self->b, aio_stream_from_fd(self->fds[0]));
        else
            AIO_AWAIT(self->b, aio_connect_read_pipe(self->fds[0]));
        self->fds[0] = 0;
        AIO_AWAIT(self->text, aio_stream_readline(self->b));
        CHECK_BYTES(self->text.data, self->text.length, "one\n");
        AIO_AWAIT(self->text, aio_stream_readexactly(self->b, 10));
        CHECK_BYTES(self->text.data, self->text.length, "two\nthree\n");
    next:
        aio_stream_close(self->b);
        self->b = NULL;
        close_fd(&self->fds[0]);
        close_fd(&self->fds[1]);
    }
    AIO_FINALLY;
        FILE_END();
        close_fd(&self->fds[0]);
        close_fd(&self->fds[1]);
    AIO_END;
}

/* A device that is always ready, as a service has it for its standard input: its end is seen. */
struct pipe_null { FILE_SELF; };
SCENARIO(pipe_null, FILE_MAY)
{
    AIO_BEGIN(pipe_null);
    self->file = open("/dev/null", O_RDONLY);
    REQUIRE(self->file > 0);
    AIO_AWAIT(self->b, aio_connect_read_pipe(self->file));
    self->file = 0;
    AIO_AWAIT(self->text, aio_stream_readline(self->b));
    CHECK_INT(self->text.length, 0);
    CHECK(aio_stream_at_eof(self->b));
    aio_stream_close(self->b);
    self->b = NULL;
    self->file = open("/dev/zero", O_RDONLY);
    REQUIRE(self->file > 0);
    AIO_AWAIT(self->b, aio_connect_read_pipe(self->file));
    self->file = 0;
    AIO_AWAIT(self->text, aio_stream_readexactly(self->b, 100000));
    CHECK_INT(self->text.data[99999], 0);
    AIO_FINALLY;
        FILE_END();
    AIO_END;
}

/* A FIFO, and a socket of one's own. */
struct pipe_kinds { FILE_SELF; int fds[2]; char path[64]; };
SCENARIO(pipe_kinds, FILE_MAY)
{
    AIO_BEGIN(pipe_kinds);
    snprintf(self->path, sizeof self->path, "/tmp/aio-fifo-%ld", (long)getpid());
    unlink(self->path);
    REQUIRE(mkfifo(self->path, 0600) == 0);
    self->fds[0] = open(self->path, O_RDONLY | O_NONBLOCK);
    self->fds[1] = open(self->path, O_WRONLY);
    REQUIRE(self->fds[0] > 0 && self->fds[1] > 0);
    AIO_AWAIT(self->b, aio_connect_read_pipe(self->fds[0]));
    self->fds[0] = 0;
    AIO_AWAIT(self->a, aio_connect_write_pipe(self->fds[1]));
    self->fds[1] = 0;
    REQUIRE(aio_stream_write(self->a, "by name", 7) == 0);
    aio_stream_close(self->a);
    self->a = NULL;
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_read_all(self->b, 0));
    CHECK_BYTES(self->text.data, self->text.length, "by name");
    aio_stream_close(self->b);
    self->b = NULL;
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, self->fds) == 0);
    AIO_AWAIT(self->a, aio_connect_write_pipe(self->fds[0]));
    self->fds[0] = 0;
    AIO_AWAIT(self->b, aio_connect_read_pipe(self->fds[1]));
    self->fds[1] = 0;
    REQUIRE(aio_stream_write(self->a, "well?", 5) == 0);
    REQUIRE(aio_stream_write_eof(self->a) == 0);
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_read_all(self->b, 0));
    CHECK_BYTES(self->text.data, self->text.length, "well?");
    REQUIRE(aio_stream_write(self->b, "yes", 3) == 0); /* half of it is open yet */
    AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 3));
    CHECK_BYTES(self->text.data, self->text.length, "yes");
    AIO_FINALLY;
        unlink(self->path);
        FILE_END();
        close_fd(&self->fds[0]);
        close_fd(&self->fds[1]);
    AIO_END;
}
