/* add_reader, add_writer and the calls on raw sockets. Descriptors here are opened and closed past the seam. */
#include <netinet/in.h>

struct fd_count { aio_loop *loop; int fd, other, calls, stop; };

static void fd_read_one(void *arg)
{
    struct fd_count *count = (struct fd_count *)arg;
    char byte;
    CHECK_INT(read(count->fd, &byte, 1), 1);
    if (++count->calls == count->stop) CHECK(aio_loop_remove_reader(count->loop, count->fd));
}

static void fd_only_count(void *arg)
{
    struct fd_count *count = (struct fd_count *)arg;
    if (++count->calls != count->stop) return;
    aio_loop_remove_reader(count->loop, count->fd);
    aio_loop_remove_writer(count->loop, count->fd);
}

/* Removes the reader of the other one, which is due as well. */
static void fd_remove_other(void *arg)
{
    struct fd_count *count = (struct fd_count *)arg;
    count->calls++;
    CHECK(aio_loop_remove_reader(count->loop, count->fd));
    CHECK(aio_loop_remove_reader(count->loop, count->other));
}

/* Closes both and forgets them. 0 and -1 are fine: not opened. */
static void fd_close_pair(int *fds)
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] > 0) close(fds[i]);
        fds[i] = -1;
    }
}

static int fd_nonblocking(int fd) { return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static void fd_socketpair(int *fds)
{
    ALWAYS(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    fd_nonblocking(fds[0]);
    fd_nonblocking(fds[1]);
}

/* Ends a task of a scenario's. In AIO_FINALLY: it does not await, as that may fail, and leave the rest undone. */
static void fd_end_task(void *task)
{
    aio_task_cancel(task);
    aio_unref(task);
}

/* A reader that takes one byte of three is called three times, and not once more. */
struct fd_level { aio_task task; int fds[2], i; struct fd_count count; };
SCENARIO(fd_level)
{
    AIO_BEGIN(fd_level);
    ALWAYS(pipe(self->fds) == 0);
    self->count.loop = aio_get_running_loop();
    self->count.fd = self->fds[0];
    REQUIRE(aio_loop_add_reader(self->count.loop, self->fds[0], fd_read_one, &self->count) == 0);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->count.calls, 0);
    CHECK_INT(write(self->fds[1], "abc", 3), 3);
    for (self->i = 0; self->i < 9; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->count.calls, 3);
    CHECK_INT(write(self->fds[1], "d", 1), 1);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->count.calls, 4);
    CHECK(aio_loop_remove_reader(self->count.loop, self->fds[0]));
    CHECK(!aio_loop_remove_reader(self->count.loop, self->fds[0]));
    CHECK_INT(write(self->fds[1], "e", 1), 1);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->count.calls, 4);
    AIO_FINALLY;
        aio_loop_remove_reader(aio_get_running_loop(), self->fds[0]);
        fd_close_pair(self->fds);
    AIO_END;
}

/* A writer, and a reader at the end of a pipe, are called again and again, until they are removed. */
struct fd_again { aio_task task; int fds[2], i; struct fd_count reader, writer; };
SCENARIO(fd_again)
{
    AIO_BEGIN(fd_again);
    ALWAYS(pipe(self->fds) == 0);
    self->reader.loop = self->writer.loop = aio_get_running_loop();
    self->reader.fd = self->fds[0];
    self->writer.fd = self->fds[1];
    self->writer.stop = 3;
    self->reader.stop = 4;
    REQUIRE(aio_loop_add_reader(self->reader.loop, self->fds[0], fd_only_count, &self->reader) == 0);
    REQUIRE(aio_loop_add_writer(self->writer.loop, self->fds[1], fd_only_count, &self->writer) == 0);
    for (self->i = 0; self->i < 8; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->writer.calls, 3);
    CHECK_INT(self->reader.calls, 0);
    CHECK(!aio_loop_remove_writer(self->writer.loop, self->fds[1]));
    close(self->fds[1]);
    self->fds[1] = -1;
    for (self->i = 0; self->i < 8; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->reader.calls, 4);
    AIO_FINALLY;
        aio_loop_remove_reader(aio_get_running_loop(), self->reader.fd);
        if (self->fds[1] > 0) aio_loop_remove_writer(aio_get_running_loop(), self->fds[1]);
        fd_close_pair(self->fds);
    AIO_END;
}

/* Both directions of one descriptor, each with its own callback, one removed before the other. */
struct fd_both { aio_task task; int fds[2], i; struct fd_count reader, writer; };
SCENARIO(fd_both)
{
    AIO_BEGIN(fd_both);
    fd_socketpair(self->fds);
    self->reader.loop = self->writer.loop = aio_get_running_loop();
    self->reader.fd = self->writer.fd = self->fds[0];
    REQUIRE(aio_loop_add_writer(self->writer.loop, self->fds[0], fd_only_count, &self->writer) == 0);
    REQUIRE(aio_loop_add_reader(self->reader.loop, self->fds[0], fd_read_one, &self->reader) == 0);
    /* no sleep longer than 0 here, nor in fd_file: the tests' time stands still while something is always ready */
    for (self->i = 0; self->i < 10000 && self->writer.calls < 4; self->i++) {
        clock_advance(0.0001);
        AIO_AWAIT(aio_sleep(0));
    }
    CHECK(self->writer.calls >= 4);
    CHECK_INT(self->reader.calls, 0);
    CHECK(aio_loop_remove_writer(self->writer.loop, self->fds[0]));
    self->writer.calls = 0;
    CHECK_INT(write(self->fds[1], "xy", 2), 2);
    for (self->i = 0; self->i < 6; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->writer.calls, 0);
    CHECK_INT(self->reader.calls, 2);
    AIO_FINALLY;
        aio_loop_remove_reader(aio_get_running_loop(), self->fds[0]);
        aio_loop_remove_writer(aio_get_running_loop(), self->fds[0]);
        fd_close_pair(self->fds);
    AIO_END;
}

/* The second callback for a reader takes the place of the first. */
struct fd_replace { aio_task task; int fds[2], i; struct fd_count first, second; };
SCENARIO(fd_replace)
{
    AIO_BEGIN(fd_replace);
    ALWAYS(pipe(self->fds) == 0);
    self->first.loop = self->second.loop = aio_get_running_loop();
    self->first.fd = self->second.fd = self->fds[0];
    REQUIRE(aio_loop_add_reader(self->first.loop, self->fds[0], fd_read_one, &self->first) == 0);
    CHECK_INT(write(self->fds[1], "x", 1), 1);
    REQUIRE(aio_loop_add_reader(self->first.loop, self->fds[0], fd_read_one, &self->second) == 0);
    for (self->i = 0; self->i < 4; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->first.calls, 0);
    CHECK_INT(self->second.calls, 1);
    AIO_FINALLY;
        aio_loop_remove_reader(aio_get_running_loop(), self->fds[0]);
        fd_close_pair(self->fds);
    AIO_END;
}

/* Two readers are due in one iteration, and whichever runs first removes the other. */
struct fd_due { aio_task task; int one[2], two[2], i; struct fd_count first, second; };
SCENARIO(fd_due)
{
    AIO_BEGIN(fd_due);
    ALWAYS(pipe(self->one) == 0);
    ALWAYS(pipe(self->two) == 0);
    self->first.loop = self->second.loop = aio_get_running_loop();
    self->first.fd = self->second.other = self->one[0];
    self->second.fd = self->first.other = self->two[0];
    CHECK_INT(write(self->one[1], "x", 1), 1);
    CHECK_INT(write(self->two[1], "x", 1), 1);
    REQUIRE(aio_loop_add_reader(self->first.loop, self->one[0], fd_remove_other, &self->first) == 0);
    REQUIRE(aio_loop_add_reader(self->first.loop, self->two[0], fd_remove_other, &self->second) == 0);
    for (self->i = 0; self->i < 4; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->first.calls + self->second.calls, 1);
    AIO_FINALLY;
        aio_loop_remove_reader(aio_get_running_loop(), self->one[0]);
        aio_loop_remove_reader(aio_get_running_loop(), self->two[0]);
        fd_close_pair(self->one);
        fd_close_pair(self->two);
    AIO_END;
}

/* A regular file is ready in every iteration, in both directions, until it is removed. */
struct fd_file { aio_task task; FILE *file; int i; struct fd_count reader, writer; };
SCENARIO(fd_file)
{
    AIO_BEGIN(fd_file);
    self->file = tmpfile();
    ALWAYS(self->file != NULL);
    self->reader.loop = self->writer.loop = aio_get_running_loop();
    self->reader.fd = self->writer.fd = fileno(self->file);
    self->reader.stop = 5;
    REQUIRE(aio_loop_add_reader(self->reader.loop, self->reader.fd, fd_only_count, &self->reader) == 0);
    for (self->i = 0; self->i < 10000 && self->reader.calls < 5; self->i++) {
        clock_advance(0.0001);
        AIO_AWAIT(aio_sleep(0));
    }
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->reader.calls, 5);
    REQUIRE(aio_loop_add_writer(self->writer.loop, self->writer.fd, fd_only_count, &self->writer) == 0);
    for (self->i = 0; self->i < 10000 && self->writer.calls < 2; self->i++) {
        clock_advance(0.0001);
        AIO_AWAIT(aio_sleep(0));
    }
    CHECK(self->writer.calls >= 2);
    CHECK(aio_loop_remove_writer(self->writer.loop, self->writer.fd));
    AIO_FINALLY;
        aio_loop_remove_reader(aio_get_running_loop(), self->reader.fd);
        aio_loop_remove_writer(aio_get_running_loop(), self->reader.fd);
        fclose(self->file);
    AIO_END;
}

/* One that was closed before it was removed: its number may come again, and then works. */
struct fd_reused { aio_task task; int fds[2], next[2], i; struct fd_count count; };
SCENARIO(fd_reused)
{
    AIO_BEGIN(fd_reused);
    ALWAYS(pipe(self->fds) == 0);
    self->count.loop = aio_get_running_loop();
    self->count.fd = self->fds[0];
    REQUIRE(aio_loop_add_reader(self->count.loop, self->fds[0], fd_read_one, &self->count) == 0);
    AIO_AWAIT(aio_sleep(0.01));
    ALWAYS(pipe(self->next) == 0);
    ALWAYS(dup2(self->next[0], self->fds[0]) == self->fds[0]); /* closes it, and has its number */
    REQUIRE(aio_loop_add_reader(self->count.loop, self->fds[0], fd_read_one, &self->count) == 0);
    CHECK_INT(write(self->next[1], "xy", 2), 2);
    for (self->i = 0; self->i < 6; self->i++) AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->count.calls, 2);
    AIO_FINALLY;
        aio_loop_remove_reader(aio_get_running_loop(), self->fds[0]);
        fd_close_pair(self->fds);
        fd_close_pair(self->next);
    AIO_END;
}

struct fd_codes { aio_task task; int fds[2]; aio_loop *loop; size_t n; };
SCENARIO(fd_codes)
{
    AIO_BEGIN(fd_codes);
    fd_socketpair(self->fds);
    self->loop = aio_get_running_loop();
    CHECK_INT(aio_loop_add_reader(self->loop, -1, fd_only_count, NULL), EINVAL);
    CHECK_INT(aio_loop_add_reader(self->loop, self->fds[0], NULL, NULL), EINVAL);
    CHECK_INT(aio_loop_add_reader(NULL, self->fds[0], fd_only_count, NULL), EINVAL);
    CHECK_INT(aio_loop_add_writer(self->loop, 60000, fd_only_count, NULL), EBADF);
    CHECK(!aio_loop_remove_reader(self->loop, -1));
    CHECK(!aio_loop_remove_reader(NULL, 0));
    CHECK(!aio_loop_remove_writer(self->loop, 60000));
    CHECK_INT(aio_loop_add_reader(self->loop, self->loop->wake_read, fd_only_count, NULL), EBUSY);
    CHECK(!aio_loop_remove_reader(self->loop, self->loop->wake_read));
    CHECK_INT(write(self->fds[1], "x", 1), 1);
    AIO_AWAIT(self->n, aio_sock_recv(self->fds[0], NULL, 0));
    CHECK_INT(self->n, 0);
    AIO_FINALLY;
        fd_close_pair(self->fds);
    AIO_END;
}

/* A coroutine waits: neither a callback nor a second coroutine may take its place; the other direction is free. */
struct fd_waiters { aio_task task; int fds[2]; aio_size_task *waiting; size_t n; char one[8], two[8]; };
SCENARIO(fd_waiters, .may = { AIO_ERUNTIME, AIO_ETIMEOUT })
{
    AIO_BEGIN(fd_waiters);
    fd_socketpair(self->fds);
    self->waiting = aio_create_task(aio_sock_recv(self->fds[0], self->one, sizeof self->one));
    REQUIRE(self->waiting != NULL);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_loop_add_reader(aio_get_running_loop(), self->fds[0], fd_only_count, NULL), EBUSY);
    CHECK(!aio_loop_remove_reader(aio_get_running_loop(), self->fds[0]));
    AIO_TRY {
        AIO_AWAIT(self->n, aio_wait_for(aio_sock_recv_into(self->fds[0], self->two, sizeof self->two), 1));
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, AIO_ERUNTIME)) AIO_RERAISE();
    } AIO_END_TRY
    AIO_AWAIT(aio_sock_sendall(self->fds[0], "up", 2));
    AIO_AWAIT(aio_sock_sendall(self->fds[1], "down", 4));
    AIO_AWAIT(aio_ref(self->waiting));
    REQUIRE(self->waiting->result > 0);
    CHECK_BYTES(self->one, 1, "d");
    AIO_FINALLY;
        fd_end_task(self->waiting);
        fd_close_pair(self->fds);
    AIO_END;
}

/* A cancelled receive leaves what comes later to the next one. */
struct fd_cancelled { aio_task task; int fds[2]; size_t n; char data[8]; };
SCENARIO(fd_cancelled)
{
    AIO_BEGIN(fd_cancelled);
    fd_socketpair(self->fds);
    AIO_TRY {
        AIO_AWAIT(self->n, aio_wait_for(aio_sock_recv(self->fds[0], self->data, sizeof self->data), 0.5));
        CHECK(false);
    } AIO_CATCH {
        if (aio_caught(self)->code != AIO_ETIMEOUT) AIO_RERAISE();
    } AIO_END_TRY
    AIO_AWAIT(aio_sock_sendall(self->fds[1], "x", 1));
    AIO_AWAIT(self->n, aio_sock_recv(self->fds[0], self->data, sizeof self->data));
    CHECK_BYTES(self->data, self->n, "x");
    AIO_FINALLY;
        fd_close_pair(self->fds);
    AIO_END;
}

/* A TCP socket that listens on a port of the kernel's; `to` is its address. */
static int fd_listen(struct sockaddr_in *to)
{
    socklen_t length = sizeof *to;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(to, 0, sizeof *to);
    to->sin_family = AF_INET;
    to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)to, length) < 0 || listen(fd, 8) < 0) return -1;
    getsockname(fd, (struct sockaddr *)to, &length);
    fd_nonblocking(fd);
    return fd;
}

enum { FD_BULK = 300000, FD_PART = 3000 };

/* Accepts one client, and sends back what it sends, until it has sent all. */
struct fd_server { aio_task task; int listening, fd; size_t n; char *data; size_t size; };
static AIO_CORO(fd_server)
{
    AIO_BEGIN(fd_server);
    self->fd = -1;
    AIO_AWAIT(self->fd, aio_sock_accept(self->listening));
    CHECK(fcntl(self->fd, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(self->fd, F_GETFL) & O_NONBLOCK);
    AIO_ASYNC_FOR(self->n, aio_sock_recv(self->fd, self->data, self->size))
        AIO_AWAIT(aio_sock_sendall(self->fd, self->data, self->n));
    AIO_FINALLY;
        if (self->fd > 0) close(self->fd);
    AIO_END;
}

struct fd_bulk { aio_task task; int fd; const char *data; size_t length; };
static AIO_CORO(fd_bulk)
{
    AIO_BEGIN(fd_bulk);
    AIO_AWAIT(aio_sock_sendall(self->fd, self->data, self->length));
    shutdown(self->fd, SHUT_WR);
    AIO_END;
}

/* connect, accept, sendall and recv: more than the kernel's buffers hold goes there and back. */
struct fd_echo { aio_task task; int listening, fd; size_t length, n, got; struct sockaddr_in to;
    struct fd_server *server;
                 struct fd_bulk *bulk; char *sent, *received, *buffer; };
SCENARIO(fd_echo, .may = { ECONNRESET, EPIPE, AIO_ETIMEOUT }) /* the last: its server has failed */
{
    AIO_BEGIN(fd_echo);
    self->length = seam.slice ? FD_PART : FD_BULK;
    self->fd = -1;
    self->sent = (char *)malloc(3 * self->length);
    self->received = self->sent + self->length;
    self->buffer = self->received + self->length;
    for (size_t i = 0; i < self->length; i++) self->sent[i] = (char)(i * 31 + i / 256);
    self->listening = fd_listen(&self->to);
    ALWAYS(self->listening >= 0);
    self->server = aio_create_task(AIO_CALL(fd_server, .listening = self->listening, .data = self->buffer,
                                            .size = self->length));
    REQUIRE(self->server != NULL);
    self->fd = socket(AF_INET, SOCK_STREAM, 0);
    fd_nonblocking(self->fd);
    AIO_AWAIT(aio_sock_connect(self->fd, &self->to, sizeof self->to));
    self->bulk = aio_create_task(AIO_CALL(fd_bulk, .fd = self->fd, .data = self->sent, .length = self->length));
    REQUIRE(self->bulk != NULL);
    AIO_TIMEOUT(20) {
        AIO_ASYNC_FOR(self->n, aio_sock_recv(self->fd, self->received + self->got, self->length - self->got))
            if ((self->got += self->n) == self->length) break;
    }
    CHECK_INT(self->got, self->length);
    CHECK(memcmp(self->sent, self->received, self->length) == 0);
    AIO_AWAIT(aio_ref(self->bulk));
    AIO_AWAIT(aio_ref(self->server));
    AIO_FINALLY;
        fd_end_task(self->bulk);
        fd_end_task(self->server);
        if (self->fd >= 0) close(self->fd);
        close(self->listening);
        free(self->sent);
    AIO_END;
}

/* Nobody listens; what blocks; what is no socket. */
struct fd_refused { aio_task task; int fd, null; size_t n; struct sockaddr_in to; char text[100]; };
SCENARIO(fd_refused, .may = { ECONNREFUSED, EINVAL, ENOTSOCK })
{
    AIO_BEGIN(fd_refused);
    self->null = open("/dev/null", O_RDWR);
    self->to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((in_port_t)dead_port) };
    self->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    self->fd = socket(AF_INET, SOCK_STREAM, 0);
    AIO_TRY {
        AIO_AWAIT(aio_sock_connect(self->fd, &self->to, sizeof self->to));
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, EINVAL)) AIO_RERAISE();
        CHECK(strstr(aio_caught(self)->message, "non-blocking") != NULL);
    } AIO_END_TRY
    fd_nonblocking(self->fd);
    AIO_TRY {
        AIO_AWAIT(aio_sock_connect(self->fd, &self->to, sizeof self->to));
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, ECONNREFUSED)) AIO_RERAISE();
        snprintf(self->text, sizeof self->text, "connect to 127.0.0.1:%d by descriptor %d: Connection refused",
                 ntohs(self->to.sin_port), self->fd);
        CHECK_STR(aio_caught(self)->message, self->text);
    } AIO_END_TRY
    AIO_TRY {
        AIO_AWAIT(self->n, aio_sock_recv(self->null, self->text, 1));
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, ENOTSOCK)) AIO_RERAISE();
    } AIO_END_TRY
    AIO_TRY {
        AIO_AWAIT(aio_sock_sendall(self->null, NULL, 1));
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, EINVAL)) AIO_RERAISE();
    } AIO_END_TRY
    AIO_FINALLY;
        if (self->fd > 0) close(self->fd);
        if (self->null > 0) close(self->null);
    AIO_END;
}

/* A socket that is connected is not connected again, and what does not listen gives no clients: the error is the
 * system's. (An interruption would hide the first: what it leads to is waited for.) */
struct fd_again_connected { aio_task task; int listening, fd, none; struct sockaddr_in to; char wanted[80]; };
SCENARIO(fd_again_connected, .may = { EISCONN, EINVAL }, .skip = KIND_CALL)
{
    AIO_BEGIN(fd_again_connected);
    self->listening = fd_listen(&self->to);
    self->fd = socket(AF_INET, SOCK_STREAM, 0);
    ALWAYS(connect(self->fd, (struct sockaddr *)&self->to, sizeof self->to) == 0);
    fd_nonblocking(self->fd);
    AIO_TRY {
        AIO_AWAIT(aio_sock_connect(self->fd, &self->to, sizeof self->to));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EISCONN);
    } AIO_END_TRY
    AIO_TRY {
        AIO_AWAIT(self->none, aio_sock_accept(self->fd));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
        snprintf(self->wanted, sizeof self->wanted, "accept on descriptor %d: %s", self->fd, strerror(EINVAL));
        CHECK_STR(aio_caught(self)->message, self->wanted);
    } AIO_END_TRY
    AIO_FINALLY;
        close(self->fd);
        close(self->listening);
    AIO_END;
}

/* A peer that has gone: an error, and no SIGPIPE, which would end this process. */
struct fd_broken { aio_task task; int fds[2]; };
SCENARIO(fd_broken, .may = { EPIPE })
{
    AIO_BEGIN(fd_broken);
    fd_socketpair(self->fds);
    close(self->fds[1]);
    self->fds[1] = -1;
    AIO_TRY {
        AIO_AWAIT(aio_sock_sendall(self->fds[0], "x", 1));
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, EPIPE)) AIO_RERAISE();
    } AIO_END_TRY
    AIO_FINALLY;
        fd_close_pair(self->fds);
    AIO_END;
}

/* Receives for ever. */
struct fd_receiver { aio_task task; int fd; size_t n; char data[4]; };
static AIO_CORO(fd_receiver)
{
    AIO_BEGIN(fd_receiver);
    AIO_AWAIT(self->n, aio_sock_recv(self->fd, self->data, sizeof self->data));
    AIO_END;
}

struct fd_leaver { aio_task task; int fd; struct fd_receiver *receiver; };
static AIO_CORO(fd_leaver)
{
    AIO_BEGIN(fd_leaver);
    self->receiver = aio_create_task(AIO_CALL(fd_receiver, .fd = self->fd));
    AIO_AWAIT(aio_sleep(0.1));
    aio_unref(self->receiver);
    AIO_END;
}

static void fd_no_report(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)loop, (void)message, (void)exception, (void)arg;
}

/* A loop that closes while a callback and a coroutine wait forgets them; the descriptors stay open. */
TEST(fd_loop_closes)
{
    int fds[2];
    struct fd_count count = { NULL, 0, 0, 0, 0 };
    fd_socketpair(fds);
    aio_loop *loop = aio_new_event_loop();
    aio_loop_set_exception_handler(loop, fd_no_report, NULL);
    CHECK_INT(aio_loop_add_reader(loop, fds[0], fd_only_count, &count), 0);
    aio_set_event_loop(loop);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(fd_leaver, .fd = fds[1]), NULL), 0);
    CHECK_INT(aio_loop_close(loop), 0);
    CHECK_INT(aio_loop_add_reader(loop, fds[0], fd_only_count, &count), AIO_ELOOPCLOSED);
    aio_loop_free(loop);
    CHECK_INT(count.calls, 0);
    CHECK(fcntl(fds[0], F_GETFD) >= 0);
    fd_close_pair(fds);
}

/* Datagrams with addresses: there and back, an empty one, one that is too long, and one that has to wait. */
struct fd_datagrams { aio_task task; int fds[2], i; size_t n, length; struct sockaddr_in to[2], from; char data[16],
    wanted[100]; aio_size_task *waiting; };
SCENARIO(fd_datagrams, .may = { EMSGSIZE, EINVAL })
{
    AIO_BEGIN(fd_datagrams);
    self->fds[0] = self->fds[1] = -1;
    for (int i = 0; i < 2; i++) {
        socklen_t length = sizeof self->to[i];
        self->to[i].sin_family = AF_INET;
        self->to[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        self->fds[i] = socket(AF_INET, SOCK_DGRAM, 0); /* a blocking one: it must not block */
        ALWAYS(bind(self->fds[i], (struct sockaddr *)&self->to[i], length) == 0);
        getsockname(self->fds[i], (struct sockaddr *)&self->to[i], &length);
    }
    AIO_AWAIT(self->n, aio_sock_sendto(self->fds[0], "hello", 5, &self->to[1], sizeof self->to[1]));
    CHECK_INT(self->n, 5);
    AIO_AWAIT(self->n, aio_sock_sendto(self->fds[0], NULL, 0, &self->to[1], sizeof self->to[1]));
    AIO_AWAIT(self->n, aio_sock_sendto(self->fds[0], "0123456789abcdefg", 17, &self->to[1], sizeof self->to[1]));
    AIO_AWAIT(self->n, aio_sock_sendto(self->fds[0], "0123456789abcdef", 16, &self->to[1], sizeof self->to[1]));
    self->length = sizeof self->from;
    AIO_AWAIT(self->n, aio_sock_recvfrom(self->fds[1], self->data, sizeof self->data, &self->from, &self->length));
    CHECK_BYTES(self->data, self->n, "hello");
    CHECK_INT(self->length, sizeof self->from);
    CHECK_INT(self->from.sin_port, self->to[0].sin_port);
    CHECK_INT(self->from.sin_addr.s_addr, self->to[0].sin_addr.s_addr);
    self->length = sizeof self->from.sin_family; /* room for a part of it */
    memset(&self->from, 0, sizeof self->from);
    AIO_AWAIT(self->n, aio_sock_recvfrom(self->fds[1], self->data, sizeof self->data, &self->from, &self->length));
    CHECK_INT(self->n, 0);
    CHECK_INT(self->length, sizeof self->from);
    CHECK_INT(self->from.sin_family, AF_INET);
    CHECK_INT(self->from.sin_port, 0);
    AIO_TRY {
        AIO_AWAIT(self->n, aio_sock_recvfrom(self->fds[1], self->data, sizeof self->data, NULL, NULL));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EMSGSIZE);
        snprintf(self->wanted, sizeof self->wanted, "receive from 127.0.0.1:%d by descriptor %d: %s",
                 ntohs(self->to[0].sin_port), self->fds[1], strerror(EMSGSIZE));
        CHECK_STR(aio_caught(self)->message, self->wanted);
    } AIO_END_TRY
    AIO_AWAIT(self->n, aio_sock_recvfrom(self->fds[1], self->data, sizeof self->data, NULL, NULL));
    CHECK_BYTES(self->data, self->n, "0123456789abcdef");
    self->length = sizeof self->from;
    self->waiting = aio_create_task(aio_sock_recvfrom(self->fds[0], self->data, 16, &self->from, &self->length));
    REQUIRE(self->waiting);
    AIO_AWAIT(aio_sleep(1));
    CHECK(!aio_future_done(self->waiting));
    AIO_AWAIT(self->n, aio_sock_sendto(self->fds[1], "late", 4, &self->to[0], sizeof self->to[0]));
    AIO_AWAIT(aio_ref(self->waiting));
    CHECK_BYTES(self->data, self->waiting->result, "late");
    CHECK_INT(self->from.sin_port, self->to[1].sin_port);
    AIO_FINALLY;
        fd_end_task(self->waiting);
        fd_close_pair(self->fds);
    AIO_END;
}

/* What no datagram can be, and who has none. */
struct fd_datagram_errors { aio_task task; int fd, i; size_t n; struct sockaddr_in to; char *data, wanted[100]; };
SCENARIO(fd_datagram_errors, .may = { EMSGSIZE, EINVAL, EBADF })
{
    AIO_BEGIN(fd_datagram_errors);
    self->to.sin_family = AF_INET;
    self->to.sin_port = htons(9);
    self->to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    self->fd = socket(AF_INET, SOCK_DGRAM, 0);
    self->data = (char *)calloc(1, 70000);
    AIO_TRY {
        AIO_AWAIT(self->n, aio_sock_sendto(self->fd, self->data, 70000, &self->to, sizeof self->to));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EMSGSIZE);
        snprintf(self->wanted, sizeof self->wanted, "send to 127.0.0.1:9 by descriptor %d: %s", self->fd,
                 strerror(EMSGSIZE));
        CHECK_STR(aio_caught(self)->message, self->wanted);
    } AIO_END_TRY
    for (self->i = 0; self->i < 5; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->n, self->i == 0 ? aio_sock_sendto(self->fd, NULL, 1, &self->to, sizeof self->to)
                : self->i == 1 ? aio_sock_sendto(self->fd, "x", 1, NULL, 0)
                : self->i == 2 ? aio_sock_sendto(self->fd, "x", 1, &self->to, 5000)
                : self->i == 3 ? aio_sock_recvfrom(self->fd, NULL, 1, NULL, NULL)
                : aio_sock_recvfrom(self->fd, self->data, 1, &self->to, NULL));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY
    }
    AIO_TRY {
        AIO_AWAIT(self->n, aio_sock_recvfrom(-1, self->data, 1, NULL, NULL));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EBADF);
    } AIO_END_TRY
    AIO_FINALLY;
        close(self->fd);
        free(self->data);
    AIO_END;
}

static int fd_zero_bytes;
static void fd_zero_reads(void *arg)
{
    char byte;
    if (read(STDIN_FILENO, &byte, 1) == 1) fd_zero_bytes++;
    aio_loop_stop((aio_loop *)arg);
}

/* Descriptor 0 is one like any other. */
TEST(fd_reader_of_descriptor_0)
{
    aio_loop *loop = aio_new_event_loop();
    int fds[2], saved = dup(STDIN_FILENO);
    fd_zero_bytes = 0;
    CHECK(pipe(fds) == 0 && dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
    CHECK(write(fds[1], "ab", 2) == 2);
    CHECK(!aio_loop_remove_reader(loop, STDIN_FILENO));
    CHECK_INT(aio_loop_add_reader(loop, STDIN_FILENO, fd_zero_reads, loop), 0);
    for (int i = 0; i < 2; i++) CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_INT(fd_zero_bytes, 2);
    CHECK(aio_loop_remove_reader(loop, STDIN_FILENO));
    CHECK_INT(aio_loop_add_writer(loop, STDIN_FILENO, fd_zero_reads, loop), 0);
    CHECK(!aio_loop_remove_reader(loop, STDIN_FILENO));
    CHECK(aio_loop_remove_writer(loop, STDIN_FILENO));
    aio_loop_free(loop);
    if (saved >= 0) dup2(saved, STDIN_FILENO);
    else close(STDIN_FILENO);
    close(saved);
    close(fds[0]);
    close(fds[1]);
}
