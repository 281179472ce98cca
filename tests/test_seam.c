/* The seam itself: nothing forgotten in it, and its faults reach real sockets and do no harm. */

/* Every entry of the table is replaced, but for those that neither fail nor matter. */
TEST(seam_is_complete)
{
    typedef void (*entry)(void);
    static const size_t left_alone[] = {
        offsetof(struct aio__os, join), offsetof(struct aio__os, detach), offsetof(struct aio__os, cores),
        offsetof(struct aio__os, kill), offsetof(struct aio__os, freeaddrinfo), offsetof(struct aio__os, iconv),
        offsetof(struct aio__os, getpid), offsetof(struct aio__os, spawn_child), offsetof(struct aio__os, spawn_become),
#ifndef AIO_NO_TLS
        offsetof(struct aio__os, EVP_MD_CTX_free),
#endif
    };
#ifdef AIO_NO_TLS
    size_t end = sizeof(struct aio__os);
#else
    size_t end = offsetof(struct aio__os, BIO_clear_flags); /* from there on: AIO__TLS_CALLS, which cannot fail */
#endif
    for (size_t at = offsetof(struct aio__os, malloc); at + sizeof(entry) <= end; at += sizeof(entry)) {
        bool wanted = memcmp((char *)&aio__os + at, (char *)&seam_real + at, sizeof(entry)) == 0;
        for (size_t i = 0; i < sizeof left_alone / sizeof *left_alone; i++) wanted = wanted && left_alone[i] != at;
        if (wanted) fail("%s:%d: entry %zu of struct aio__os is not in harness_seam.h", __FILE__, __LINE__,
                         (at - offsetof(struct aio__os, malloc)) / sizeof(entry));
    }
}

/* ---- a peer that leaves in the middle of a call ---- */
static void *seam_reads_a_little(void *arg)
{
    int fd = *(int *)arg;
    char data[5000];
    size_t had = 0;
    for (ssize_t n; had < 20000 && (n = read(fd, data, sizeof data)) > 0; had += (size_t)n) ;
    close(fd);
    return NULL;
}

static volatile sig_atomic_t seam_sigpipes;
static void seam_on_sigpipe(int signum) { (void)signum, seam_sigpipes++; }

/* The real calls on blocking descriptors: each has sent a part when its peer leaves, and must not end the process. */
TEST(seam_no_sigpipe)
{
    enum { SIZE = 1 << 20 };
    char *data = calloc(1, SIZE);
    struct sigaction action = { .sa_handler = seam_on_sigpipe }, old;
    CHECK(data != NULL);
    sigemptyset(&action.sa_mask);
    sigaction(SIGPIPE, &action, &old);
    seam_sigpipes = 0;
    for (int i = 0; i < 2; i++) {
        int fds[2];
        pthread_t reader;
        ssize_t n;
        if (i == 0) {
            CHECK(pipe(fds) == 0);
            CHECK(pthread_create(&reader, NULL, seam_reads_a_little, &fds[0]) == 0);
            n = seam_real.pipe_write(fds[1], data, SIZE);
        } else {
#if AIO__LINUX
            FILE *file = tmpfile();
            CHECK(file && fwrite(data, 1, SIZE, file) == SIZE && fflush(file) == 0);
            CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
            CHECK(pthread_create(&reader, NULL, seam_reads_a_little, &fds[0]) == 0);
            n = seam_real.sendfile(fds[1], fileno(file), 0, SIZE);
            fclose(file);
#else
            continue;
#endif
        }
        CHECK(n >= 20000 && n < SIZE);
        pthread_join(reader, NULL);
        close(fds[1]);
    }
    sigaction(SIGPIPE, &old, NULL);
    free(data);
    CHECK(seam_sigpipes == 0);
}

struct seam_serve { aio_task task; aio_stream *stream; aio_text line; };
static AIO_CORO(seam_serve)
{
    AIO_BEGIN(seam_serve);
    AIO_ASYNC_FOR(self->line, aio_stream_readline(self->stream)) {
        aio_stream_write(self->stream, self->line.data, self->line.length);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_END;
}

static void *seam_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(seam_serve, .stream = stream);
}

struct seam_echo { aio_task task; aio_server *server; aio_stream *stream; aio_text line; int i; char wanted[32]; };
SCENARIO(seam_echo, .may = { ECONNRESET, AIO_EINCOMPLETE, AIO_EDISCONNECTED, EPIPE })
{
    AIO_BEGIN(seam_echo);
    AIO_AWAIT(self->server, aio_start_server(seam_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    for (self->i = 0; self->i < 5; self->i++) {
        snprintf(self->wanted, sizeof self->wanted, "line %d of five\n", self->i);
        REQUIRE(aio_stream_write(self->stream, self->wanted, strlen(self->wanted)) == 0);
        AIO_AWAIT(self->line, aio_stream_readline(self->stream));
        CHECK_BYTES(self->line.data, self->line.length, self->wanted);
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) aio_server_abort_clients(self->server);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
