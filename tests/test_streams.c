/* Streams: reads, writes, ends; over pairs of sockets made here. */
static bool pair_of(const int *fds, size_t limit, aio_stream **a, aio_stream **b)
{
    aio_loop *loop = aio__loop_now();
    int b_ready = aio__fd_prepare(fds[1]), a_ready = aio__fd_prepare(fds[0]);
    *a = aio__stream_new(loop, fds[0], limit);
    *b = aio__stream_new(loop, fds[1], limit);
    return *a && *b && a_ready == 0 && b_ready == 0;
}

/* Two ends of a connection; `size`: of the sockets' buffers, 0: the system's. */
static bool unix_pair(size_t limit, int size, aio_stream **a, aio_stream **b)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) return false;
    for (int i = 0; i < 2 && size; i++) setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return pair_of(fds, limit, a, b);
}

static bool tcp_pair(aio_stream **a, aio_stream **b)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int fds[2], listener = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0) return false;
    if (getsockname(listener, (struct sockaddr *)&address, &length) < 0) return false;
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fds[0], (struct sockaddr *)&address, length) < 0) return false;
    fds[1] = accept(listener, NULL, NULL);
    close(listener);
    return fds[1] >= 0 && pair_of(fds, 0, a, b);
}

/* Takes the stream; writes each part after 10 ms, waits, closes. */
struct writer { aio_task task; aio_stream *stream; const char *const *parts; double stay; int i; };
static AIO_CORO(writer)
{
    AIO_BEGIN(writer);
    for (self->i = 0; self->parts[self->i]; self->i++) {
        AIO_AWAIT(aio_sleep(0.01));
        int code = aio_stream_write(self->stream, self->parts[self->i], strlen(self->parts[self->i]));
        if (code) AIO_RAISE(code);
    }
    AIO_AWAIT(aio_sleep(self->stay));
    AIO_FINALLY;
        aio_stream_close(self->stream);
    AIO_END;
}

/* Takes the stream; writes `size` bytes, each by its place, and waits for the drain in between. */
struct pourer { aio_task task; aio_stream *stream; size_t size, at; char block[5000]; };
static AIO_CORO(pourer)
{
    AIO_BEGIN(pourer);
    for (; self->at < self->size;) {
        size_t n;
        n = self->size - self->at < sizeof self->block ? self->size - self->at : sizeof self->block;
        for (size_t i = 0; i < n; i++) self->block[i] = (char)((self->at + i) % 251);
        self->at += n;
        int code;
        code = aio_stream_write(self->stream, self->block, n);
        if (code) AIO_RAISE(code);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_FINALLY;
        aio_stream_close(self->stream);
    AIO_END;
}

static bool poured(const char *data, size_t from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (data[i] != (char)((from + i) % 251)) return false;
    return true;
}

/* Large enough to be cut everywhere, small enough for a byte at a time. */
static size_t much(size_t size) { return seam.slice == SLICE_ONE ? size / 200 : size; }

struct stream_reads { aio_task task; aio_stream *a, *b; aio_text text; };
SCENARIO(stream_reads, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET })
{
    AIO_BEGIN(stream_reads);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    REQUIRE(aio_stream_write(self->b, "hello\nworld", 11) == 0);
    AIO_AWAIT(self->text, aio_stream_read(self->a, 0));
    CHECK_INT(self->text.length, 0);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 3));
    CHECK_BYTES(self->text.data, self->text.length, "hel");
    AIO_AWAIT(self->text, aio_stream_readline(self->a));
    CHECK_BYTES(self->text.data, self->text.length, "lo\n");
    CHECK(!aio_stream_at_eof(self->a));
    REQUIRE(aio_stream_write_eof(self->b) == 0);
    CHECK_INT(aio_stream_write(self->b, "x", 1), EPIPE);
    AIO_AWAIT(self->text, aio_stream_readline(self->a));
    CHECK_BYTES(self->text.data, self->text.length, "world");
    CHECK(aio_stream_at_eof(self->a));
    AIO_AWAIT(self->text, aio_stream_readline(self->a));
    CHECK_INT(self->text.length, 0);
    AIO_AWAIT(self->text, aio_stream_read(self->a, 10));
    CHECK_INT(self->text.length, 0);
    AIO_AWAIT(self->text, aio_stream_read_all(self->a, 0));
    CHECK_INT(self->text.length, 0);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 0));
    CHECK_INT(self->text.length, 0);
    AIO_TRY {
        AIO_AWAIT(aio_stream_readuntil(self->a, "\n", 1));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_EINCOMPLETE);
    } AIO_END_TRY;
    REQUIRE(aio_stream_write(self->a, "back", 4) == 0);      /* our direction is open */
    AIO_AWAIT(self->text, aio_stream_readexactly(self->b, 4));
    CHECK_BYTES(self->text.data, self->text.length, "back");
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

struct stream_early_end { aio_task task; aio_stream *a, *b; aio_text text; };
SCENARIO(stream_early_end)
{
    AIO_BEGIN(stream_early_end);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    REQUIRE(aio_stream_write(self->b, "abc", 3) == 0);
    aio_stream_close(self->b);
    self->b = NULL;
    AIO_TRY {
        AIO_AWAIT(aio_stream_readexactly(self->a, 5));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_EINCOMPLETE);
        CHECK_STR(aio_caught(self)->message, "the stream ended after 3 of 5 bytes");
        CHECK_STR(aio_caught(self)->phase, "read");
        CHECK_INT(aio_caught(self)->expected, 5);
        CHECK_INT(aio_caught(self)->partial, 3);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_stream_readuntil(self->a, "\r\n", 2));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_EINCOMPLETE);
        CHECK_INT(aio_caught(self)->expected, 0);
        CHECK_INT(aio_caught(self)->partial, 3);
    } AIO_END_TRY;
    AIO_AWAIT(self->text, aio_stream_read(self->a, 100)); /* nothing of it is lost */
    CHECK_BYTES(self->text.data, self->text.length, "abc");
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

struct stream_separators { aio_task task; aio_stream *a, *b; struct writer *writer; aio_text text; };
SCENARIO(stream_separators, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE })
{
    static const char *const parts[] = { "a\r", "\r", "\nb", "\r\nEN", "EN", "D", "x", NULL };
    AIO_BEGIN(stream_separators);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    self->writer = aio_create_task(AIO_CALL(writer, .stream = self->b, .parts = parts));
    REQUIRE(self->writer);
    AIO_AWAIT(self->text, aio_stream_readuntil(self->a, "\r\n", 2));
    CHECK_BYTES(self->text.data, self->text.length, "a\r\r\n");
    AIO_AWAIT(self->text, aio_stream_readuntil(self->a, "\r\n", 2));
    CHECK_BYTES(self->text.data, self->text.length, "b\r\n");
    AIO_AWAIT(self->text, aio_stream_readuntil(self->a, "END", 3));
    CHECK_BYTES(self->text.data, self->text.length, "ENEND");
    AIO_AWAIT(self->text, aio_stream_readuntil(self->a, "x", 1));
    CHECK_BYTES(self->text.data, self->text.length, "x");
    AIO_TRY {
        AIO_AWAIT(aio_stream_readuntil(self->a, "", 0));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_unref(self->writer);
    AIO_END;
}

struct stream_limits { aio_task task; aio_stream *a, *b; struct writer *writer; aio_text text; };
SCENARIO(stream_limits, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE, AIO_ELIMIT })
{
    static const char *const parts[] = {
        "0123456789abcdef\nA\n", "0123456789abcdefX\nB\n", "0123456789abcdefghijk", "lmnop", "qr\nC\n",
        "0123456789abcdefX;D;", "0123456789abcdefghijk", NULL };
    AIO_BEGIN(stream_limits);
    REQUIRE(unix_pair(16, 0, &self->a, &self->b));
    self->writer = aio_create_task(AIO_CALL(writer, .stream = self->b, .parts = parts));
    REQUIRE(self->writer);
    AIO_AWAIT(self->text, aio_stream_readline(self->a)); /* as long as it may be: the end of the line is not counted */
    CHECK_BYTES(self->text.data, self->text.length, "0123456789abcdef\n");
    AIO_AWAIT(self->text, aio_stream_readline(self->a));
    CHECK_BYTES(self->text.data, self->text.length, "A\n");
    AIO_TRY {
        AIO_AWAIT(aio_stream_readline(self->a));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
        CHECK(strstr(aio_caught(self)->message, "16 bytes") != NULL);
        CHECK(aio_caught(self)->consumed == 18 || seam.slice); /* in slices the separator has not come yet */
    } AIO_END_TRY;
    AIO_AWAIT(self->text, aio_stream_readline(self->a)); /* that line, and no other, is dropped */
    CHECK_BYTES(self->text.data, self->text.length, "B\n");
    AIO_TRY {
        AIO_AWAIT(aio_stream_readline(self->a));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
    } AIO_END_TRY;
    AIO_AWAIT(self->text, aio_stream_readline(self->a)); /* with what comes of it later */
    CHECK_BYTES(self->text.data, self->text.length, "C\n");
    AIO_TRY {
        AIO_AWAIT(aio_stream_readuntil(self->a, ";", 1));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
        CHECK_INT(aio_caught(self)->consumed, 17);
    } AIO_END_TRY;
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 18)); /* readuntil keeps the data */
    CHECK_BYTES(self->text.data, self->text.length, "0123456789abcdefX;");
    AIO_AWAIT(self->text, aio_stream_readuntil(self->a, ";", 1));
    CHECK_BYTES(self->text.data, self->text.length, "D;");
    AIO_TRY {
        AIO_AWAIT(aio_stream_readline(self->a));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
    } AIO_END_TRY;
    AIO_AWAIT(self->text, aio_stream_readline(self->a)); /* the rest of it was dropped up to the end */
    CHECK_INT(self->text.length, 0);
    CHECK(aio_stream_at_eof(self->a));
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_unref(self->writer);
    AIO_END;
}

/* The limit that nobody has given: 64 KiB without the end of the line. */
struct stream_default_limit { aio_task task; aio_stream *a, *b; aio_text text; int i; char line[65538]; };
SCENARIO(stream_default_limit, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE }, .skip = KIND_SLICE /* large */)
{
    AIO_BEGIN(stream_default_limit);
    REQUIRE(unix_pair(0, 400000, &self->a, &self->b));
    memset(self->line, 'x', sizeof self->line - 1);
    self->line[65537] = '\n';
    REQUIRE(aio_stream_write(self->b, self->line + 1, 65537) == 0);
    AIO_AWAIT(self->text, aio_stream_readline(self->a));
    CHECK_INT(self->text.length, 65537);
    REQUIRE(aio_stream_write(self->b, self->line, 65538) == 0);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            if (self->i == 0) AIO_AWAIT(aio_stream_readuntil(self->a, "\n", 1));
            else AIO_AWAIT(aio_stream_readline(self->a));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ELIMIT);
            CHECK(strstr(aio_caught(self)->message, "65536 bytes") != NULL);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* The rest of a line that was too long is dropped for the next line only: who reads otherwise has it. */
struct stream_limit_left { aio_task task; aio_stream *a, *b; aio_text text; };
SCENARIO(stream_limit_left, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE }, .skip = KIND_SLICE)
{
    AIO_BEGIN(stream_limit_left);
    REQUIRE(unix_pair(16, 0, &self->a, &self->b));
    REQUIRE(aio_stream_write(self->b, "0123456789abcdefX", 17) == 0);
    AIO_TRY {
        AIO_AWAIT(aio_stream_readline(self->a));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
    } AIO_END_TRY;
    REQUIRE(aio_stream_write(self->b, "yz\nnext\n", 8) == 0);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 1));
    CHECK_BYTES(self->text.data, self->text.length, "y");
    AIO_AWAIT(self->text, aio_stream_readline(self->a));
    CHECK_BYTES(self->text.data, self->text.length, "z\n");
    AIO_AWAIT(self->text, aio_stream_readline(self->a));
    CHECK_BYTES(self->text.data, self->text.length, "next\n");
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

struct stream_reader { aio_task task; aio_text result; aio_stream *stream; };
static AIO_CORO(stream_reader)
{
    AIO_BEGIN(stream_reader);
    AIO_AWAIT(self->result, aio_stream_readline(self->stream));
    AIO_END;
}

struct stream_one_reader { aio_task task; aio_stream *a, *b; struct stream_reader *reader; aio_text text; };
SCENARIO(stream_one_reader)
{
    AIO_BEGIN(stream_one_reader);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    REQUIRE(aio_stream_write(self->b, "hel", 3) == 0);
    self->reader = aio_create_task(AIO_CALL(stream_reader, .stream = self->a));
    REQUIRE(self->reader);
    AIO_AWAIT(aio_sleep(0.1));
    AIO_TRY {
        AIO_AWAIT(aio_stream_read(self->a, 1));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    CHECK(!aio_future_done(self->reader));
    aio_task_cancel(self->reader);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(aio_future_cancelled(self->reader));
    REQUIRE(aio_stream_write(self->b, "lo\n", 3) == 0);
    AIO_AWAIT(self->text, aio_stream_readline(self->a)); /* the cancelled read lost nothing */
    CHECK_BYTES(self->text.data, self->text.length, "hello\n");
    CHECK_PTR(self->a->in_start == self->a->in_end ? NULL : self->a, NULL);
    AIO_FINALLY;
        if (self->reader) aio_task_cancel(self->reader);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
        aio_unref(self->reader);
    AIO_END;
}

/* A read within aio_wait_for is done, and before its task goes on, another one, which the same pass of the poller has
 * woken, cancels that: what came is with the one, or left for the next read. */
struct stream_taker { aio_task task; aio_text result; aio_stream *stream; bool twice; };
static AIO_CORO(stream_taker)
{
    AIO_BEGIN(stream_taker);
    if (self->twice) AIO_AWAIT(self->result, aio_wait_for(aio_wait_for(aio_stream_read(self->stream, 9), 60), 50));
    else AIO_AWAIT(self->result, aio_wait_for(aio_stream_read(self->stream, 9), 50));
    AIO_END;
}

struct stream_canceller { aio_task task; aio_stream *stream; struct stream_taker *taker; };
static AIO_CORO(stream_canceller)
{
    AIO_BEGIN(stream_canceller);
    AIO_AWAIT(aio_stream_read(self->stream, 9));
    aio_task_cancel(self->taker);
    AIO_END;
}

struct stream_waited_for { aio_task task; aio_stream *of[4]; struct stream_taker *taker; aio_text text;
                           struct stream_canceller *canceller; int round; };
SCENARIO(stream_waited_for, .may = { EPIPE, AIO_ETIMEOUT })
{
    AIO_BEGIN(stream_waited_for);
    REQUIRE(unix_pair(0, 0, &self->of[0], &self->of[1]));
    REQUIRE(unix_pair(0, 0, &self->of[2], &self->of[3]));
    for (self->round = 0; self->round < 4; self->round++) {
        self->taker = aio_create_task(AIO_CALL(stream_taker, .stream = self->of[0], .twice = self->round & 1));
        REQUIRE(self->taker);
        self->canceller = aio_create_task(AIO_CALL(stream_canceller, .stream = self->of[2], .taker = self->taker));
        REQUIRE(self->canceller);
        AIO_AWAIT(aio_sleep(0.1));
        if (self->round & 2) REQUIRE(aio_stream_write(self->of[3], "y", 1) == 0);
        REQUIRE(aio_stream_write(self->of[1], "x", 1) == 0);
        if (!(self->round & 2)) REQUIRE(aio_stream_write(self->of[3], "y", 1) == 0);
        AIO_AWAIT(aio_sleep(0.1));
        CHECK(aio_future_done(self->canceller));
        if (aio_future_cancelled(self->taker)) AIO_AWAIT(self->text, aio_wait_for(aio_stream_read(self->of[0], 9), 1));
        else self->text = self->taker->result;
        CHECK_BYTES(self->text.data, self->text.length, "x");
        aio_unref_all((void *[]){ self->taker, self->canceller }, 2);
        self->taker = NULL;
        self->canceller = NULL;
    }
    AIO_FINALLY;
        if (self->taker) aio_task_cancel(self->taker);
        if (self->canceller) aio_task_cancel(self->canceller);
        for (self->round = 0; self->round < 4; self->round++) aio_stream_abort(self->of[self->round]);
        aio_unref(self->taker);
        aio_unref(self->canceller);
    AIO_END;
}

/* Whom nobody reads from any more wakes nobody: what comes is left where it is, until somebody reads again. */
struct stream_unread { aio_task task; aio_stream *of[2]; aio_text_future *read; aio_text text; int i; };
SCENARIO(stream_unread, .may = { EPIPE }, .skip = KIND_CALL /* an EINTR is one more look at the poller */)
{
    AIO_BEGIN(stream_unread);
    REQUIRE(unix_pair(0, 0, &self->of[0], &self->of[1]));
    for (self->i = 0; self->i < 2; self->i++) {
        REQUIRE(self->read = aio_stream_read(self->of[0], 9));
        AIO_AWAIT(aio_sleep(0.1));
        CHECK(aio_future_cancel(self->read));
        aio_unref(self->read);
        self->read = NULL;
        REQUIRE(aio_stream_write(self->of[1], "x", 1) == 0);
        aio_loop_metrics(aio_get_running_loop());
        AIO_AWAIT(aio_sleep(1));
        aio_loop *loop;
        loop = aio_get_running_loop();
        if (loop->poller->want) { /* others tell of all that happens; what kqueue was asked for it tells once more */
            uint64_t most = strcmp(loop->poller->policy.name, "kqueue") ? 1 : 2;
            CHECK(aio_loop_metrics(loop).polls <= most);
        }
        AIO_AWAIT(self->text, aio_stream_read(self->of[0], 9));
        CHECK_BYTES(self->text.data, self->text.length, "x");
    }
    AIO_FINALLY;
        aio_unref(self->read);
        aio_stream_abort(self->of[0]);
        aio_stream_abort(self->of[1]);
    AIO_END;
}

/* Room for much is taken as it comes: a length that a peer has only announced costs nothing. */
struct stream_announced { aio_task task; aio_stream *a, *b; aio_text_future *read; aio_text text;
                          char sent[2000]; }; /* more than a small buffer has */
SCENARIO(stream_announced, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE })
{
    AIO_BEGIN(stream_announced);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    memset(self->sent, 's', sizeof self->sent);
    REQUIRE(aio_stream_write(self->b, self->sent, sizeof self->sent) == 0);
    self->read = aio_stream_readexactly(self->a, 1500000000);
    REQUIRE(self->read);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(!aio_future_done(self->read));
    CHECK(self->a->in_capacity < 3 * AIO__READ_AHEAD);
    aio_future_cancel(self->read);
    aio_unref(self->read);
    self->read = NULL;
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, sizeof self->sent));
    CHECK_BYTES(self->text.data, self->text.length, self->sent, sizeof self->sent);
    AIO_FINALLY;
        aio_unref(self->read);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

struct stream_lines { aio_task task; aio_stream *a, *b; struct writer *writer; aio_text line; int count; };
SCENARIO(stream_lines, .may = { EPIPE, ECONNRESET })
{
    static const char *const parts[] = { "one\ntw", "o\n\nfour", NULL };
    static const char *const lines[] = { "one\n", "two\n", "\n", "four" };
    AIO_BEGIN(stream_lines);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    self->writer = aio_create_task(AIO_CALL(writer, .stream = self->b, .parts = parts));
    REQUIRE(self->writer);
    AIO_ASYNC_FOR(self->line, aio_stream_readline(self->a)) {
        if (self->count < 4) CHECK_BYTES(self->line.data, self->line.length, lines[self->count]);
        self->count++;
    }
    CHECK_INT(self->count, 4);
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_unref(self->writer);
    AIO_END;
}

struct stream_much { aio_task task; aio_stream *a, *b; struct pourer *pourer; aio_text text; size_t at; };
SCENARIO(stream_much, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE })
{
    AIO_BEGIN(stream_much);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    self->pourer = aio_create_task(AIO_CALL(pourer, .stream = self->b, .size = much(1200000)));
    REQUIRE(self->pourer);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 7));
    CHECK(poured(self->text.data, 0, 7));
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, much(900000)));
    CHECK_INT(self->text.length, much(900000));
    CHECK(poured(self->text.data, 7, self->text.length));
    for (self->at = 7 + much(900000); self->at < much(1200000); self->at += self->text.length) {
        AIO_AWAIT(self->text, aio_stream_read(self->a, 100000));
        REQUIRE(self->text.length > 0 && self->text.length <= 100000);
        CHECK(poured(self->text.data, self->at, self->text.length));
    }
    CHECK(aio_future_done(self->pourer));
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_unref(self->pourer);
    AIO_END;
}

/* Reading ahead stops at twice the limit, whatever there is; what is asked for by its length comes all the same. */
struct stream_ahead { aio_task task; aio_stream *a, *b; struct pourer *pourer; aio_text text; size_t at; long calls; };
SCENARIO(stream_ahead, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE })
{
    AIO_BEGIN(stream_ahead);
    REQUIRE(unix_pair(100, 0, &self->a, &self->b));
    self->pourer = aio_create_task(AIO_CALL(pourer, .stream = self->b, .size = 20000));
    REQUIRE(self->pourer);
    for (self->at = 0; self->at < 2000; self->at += self->text.length) {
        AIO_AWAIT(self->text, aio_stream_read(self->a, 1000));
        REQUIRE(self->text.length > 0 && self->text.length <= 200);
        CHECK(poured(self->text.data, self->at, self->text.length));
    }
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 1000));
    CHECK(poured(self->text.data, self->at, 1000));
    self->at += 1000;
    self->calls = seam.calls[CALL_recv];
    AIO_AWAIT(self->text, aio_stream_read_all(self->a, 0)); /* also with much unread each read is of that size */
    CHECK_INT(self->text.length, 20000 - self->at);
    if (!seam.slice) CHECK(seam.calls[CALL_recv] - self->calls < 200);
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_unref(self->pourer);
    AIO_END;
}

struct stream_read_all { aio_task task; aio_stream *a, *b; struct writer *writer; aio_text text; };
SCENARIO(stream_read_all, .may = { EPIPE, ECONNRESET })
{
    static const char *const parts[] = { "0123456789", "0123456789", NULL };
    AIO_BEGIN(stream_read_all);
    REQUIRE(unix_pair(4, 0, &self->a, &self->b)); /* the limit of a line is none of this */
    self->writer = aio_create_task(AIO_CALL(writer, .stream = self->b, .parts = parts));
    REQUIRE(self->writer);
    AIO_TRY {
        AIO_AWAIT(aio_stream_read_all(self->a, 19));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ELIMIT);
        CHECK_STR(aio_caught(self)->message, "there is more to read than the limit of 19 bytes");
    } AIO_END_TRY;
    AIO_AWAIT(self->text, aio_stream_read_all(self->a, 20));
    CHECK_BYTES(self->text.data, self->text.length, "01234567890123456789");
    CHECK(aio_stream_at_eof(self->a));
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_unref(self->writer);
    AIO_END;
}

/* ---- writes ---- */
struct stream_writelines { aio_task task; aio_stream *a, *b; aio_text pieces[40], text; int i; };
SCENARIO(stream_writelines, .may = { AIO_EINCOMPLETE })
{
    AIO_BEGIN(stream_writelines);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    for (self->i = 0; self->i < 40; self->i++) {
        self->pieces[self->i].data = self->i % 3 ? &"0123456789abcdefghijklmnopqrstuvwxyzABCD"[self->i] : NULL;
        self->pieces[self->i].length = self->i % 3 ? 1 : 0;
    }
    REQUIRE(aio_stream_writelines(self->b, self->pieces, 40) == 0);
    REQUIRE(aio_stream_writelines(self->b, NULL, 0) == 0);
    REQUIRE(aio_stream_writelines(self->b, self->pieces, 1) == 0); /* an empty one */
    REQUIRE(aio_stream_write(self->b, NULL, 0) == 0);
    CHECK_INT(aio_stream_write(self->b, NULL, 1), EINVAL);
    CHECK_INT(aio_stream_write(NULL, "x", 1), EINVAL);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 26));
    CHECK_BYTES(self->text.data, self->text.length, "124578abdeghjkmnpqstvwyzBC");
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

struct drainer { aio_task task; aio_stream *stream; };
static AIO_CORO(drainer)
{
    AIO_BEGIN(drainer);
    AIO_AWAIT(aio_stream_drain(self->stream));
    AIO_END;
}

struct stream_drain { aio_task task; aio_stream *a, *b; struct drainer *one, *two, *three; aio_text text; char *big; };
SCENARIO(stream_drain, .may = { AIO_EINCOMPLETE, ECONNABORTED, AIO_ETIMEOUT })
{
    AIO_BEGIN(stream_drain);
    AIO_TIMEOUT(100) { /* a write that fails by injection leaves the reader waiting */
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    CHECK_INT(aio_stream_set_write_buffer_limits(self->b, 10, 11), EINVAL);
    REQUIRE(aio_stream_set_write_buffer_limits(self->b, 20000, 10000) == 0);
    self->big = (char *)aio__calloc(100000);
    REQUIRE(self->big);
    memset(self->big, 'b', 100000);
    AIO_AWAIT(aio_stream_drain(self->b)); /* nothing to wait for */
    REQUIRE(aio_stream_write(self->b, self->big, 100000) == 0);
    CHECK(aio_stream_write_buffer_size(self->b) > 20000);
    self->one = aio_create_task(AIO_CALL(drainer, .stream = self->b));
    self->two = aio_create_task(AIO_CALL(drainer, .stream = self->b));
    self->three = aio_create_task(AIO_CALL(drainer, .stream = self->b));
    REQUIRE(self->one && self->two && self->three);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(!aio_future_done(self->one) && !aio_future_done(self->two));
    aio_task_cancel(self->two);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(aio_future_cancelled(self->two));
    CHECK(!aio_future_done(self->one));
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 50000));
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(!aio_future_done(self->one)); /* below high, above low */
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 50000));
    AIO_AWAIT(aio_ref(self->one));
    AIO_AWAIT(aio_ref(self->three));
    CHECK_INT(aio_stream_write_buffer_size(self->b), 0);
    CHECK_PTR(self->b->out, NULL); /* an idle stream keeps no buffer */
    }
    AIO_FINALLY;
        aio__free(self->big);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
        aio_unref(self->one);
        aio_unref(self->two);
        aio_unref(self->three);
    AIO_END;
}

/* What is kept, partly sent and added to, stays in order. */
struct stream_kept { aio_task task; aio_stream *a, *b; aio_text text; size_t at, got; char block[3000]; };
SCENARIO(stream_kept, .may = { AIO_EINCOMPLETE, AIO_ETIMEOUT })
{
    AIO_BEGIN(stream_kept);
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    for (; self->got < 200000; self->got += self->text.length) {
        while (aio_stream_write_buffer_size(self->b) < 9000 && self->at < 200000) {
            size_t n = 200000 - self->at < sizeof self->block ? 200000 - self->at : sizeof self->block;
            for (size_t i = 0; i < n; i++) self->block[i] = (char)((self->at + i) % 251);
            REQUIRE(aio_stream_write(self->b, self->block, n) == 0);
            self->at += n;
        }
        AIO_TIMEOUT(100) AIO_AWAIT(self->text, aio_stream_read(self->a, 2500));
        REQUIRE(self->text.length > 0);
        CHECK(poured(self->text.data, self->got, self->text.length));
    }
    CHECK_INT(self->got, 200000);
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* ---- ends ---- */
struct stream_close_sends { aio_task task; aio_stream *a, *b; aio_text text; aio_future *closed; char *big; };
SCENARIO(stream_close_sends, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET })
{
    AIO_BEGIN(stream_close_sends);
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    self->big = (char *)aio__calloc(much(200000));
    REQUIRE(self->big);
    REQUIRE(aio_stream_write(self->b, self->big, much(200000)) == 0);
    self->closed = aio_stream_wait_closed(self->b);
    self->b = NULL;
    REQUIRE(self->closed);
    AIO_AWAIT(self->text, aio_stream_read_all(self->a, 0));
    CHECK_INT(self->text.length, much(200000));
    AIO_AWAIT(aio_ref(self->closed));
    AIO_FINALLY;
        aio__free(self->big);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
        aio_unref(self->closed);
    AIO_END;
}

struct stream_close_timeout { aio_task task; aio_stream *a, *b; char *big; double began; size_t timers; };
SCENARIO(stream_close_timeout, .may = { EPIPE, ECONNRESET })
{
    AIO_BEGIN(stream_close_timeout);
    self->timers = aio_loop_metrics(aio_get_running_loop()).timers;
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    self->big = (char *)aio__calloc(1000000);
    REQUIRE(self->big);
    REQUIRE(aio_stream_write(self->b, self->big, 1000000) == 0);
    self->began = aio_loop_time(aio_get_running_loop());
    AIO_TRY {
        aio_stream *b;
        b = self->b;
        self->b = NULL;
        AIO_AWAIT(aio_stream_wait_closed(b));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        CHECK(strstr(aio_caught(self)->message, "within 30 s (") != NULL);
        CHECK(strstr(aio_caught(self)->message, " bytes not sent)") != NULL);
        CHECK_STR(aio_caught(self)->phase, "close");
    } AIO_END_TRY;
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 30, 0.2);
    CHECK_INT(aio_loop_metrics(aio_get_running_loop()).timers, self->timers);
    AIO_FINALLY;
        aio__free(self->big);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

struct stream_reset { aio_task task; aio_stream *a, *b; struct stream_reader *reader; aio_text text; int i; };
SCENARIO(stream_reset, .may = { EPIPE, AIO_EINCOMPLETE })
{
    AIO_BEGIN(stream_reset);
    signal(SIGPIPE, SIG_DFL); /* would end the process */
    REQUIRE(tcp_pair(&self->a, &self->b));
    REQUIRE(aio_stream_write(self->b, "last words", 10) == 0);
    AIO_AWAIT(aio_sleep(0.1));
    self->reader = aio_create_task(AIO_CALL(stream_reader, .stream = self->a));
    REQUIRE(self->reader);
    AIO_AWAIT(aio_sleep(0.1));
    aio_stream_abort(self->b);
    self->b = NULL;
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(aio_future_done(self->reader));
    if (self->reader->task.future.error) CHECK_INT(aio_future_exception(self->reader)->code, ECONNRESET);
    else CHECK(false);
    CHECK(aio_stream_write(self->a, "x", 1) != 0);
    CHECK(aio_stream_write(self->a, "x", 1) != 0);
    CHECK(aio_stream_write_eof(self->a) != 0);
    AIO_AWAIT(self->text, aio_stream_read(self->a, 100)); /* what came before is not lost */
    CHECK_BYTES(self->text.data, self->text.length, "last words");
    AIO_TRY {
        AIO_AWAIT(aio_stream_read(self->a, 1));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(ECONNRESET);
        CHECK(strstr(aio_caught(self)->message, "read from ") == aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_stream_drain(self->a));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(ECONNRESET);
    } AIO_END_TRY;
    AIO_FINALLY;
        if (self->reader) aio_task_cancel(self->reader);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
        aio_unref(self->reader);
    AIO_END;
}

/* A peer that answers and hangs up while we write: EPIPE, no signal, and the answer can be read. */
struct stream_broken_pipe { aio_task task; aio_stream *a, *b; struct drainer *drainer; aio_text text; char *big; };
SCENARIO(stream_broken_pipe, .skip = KIND_CALL /* no kernel says EAGAIN where bytes are */,
         .may = { ECONNRESET, EPIPE })
{
    AIO_BEGIN(stream_broken_pipe);
    signal(SIGPIPE, SIG_DFL);
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    self->big = (char *)aio__calloc(1000000);
    REQUIRE(self->big);
    REQUIRE(aio_stream_write(self->a, self->big, 1000000) == 0);
    self->drainer = aio_create_task(AIO_CALL(drainer, .stream = self->a));
    REQUIRE(self->drainer);
    REQUIRE(aio_stream_write(self->b, "too large", 9) == 0);
    AIO_AWAIT(aio_sleep(0.1));
    aio_stream_close(self->b);
    self->b = NULL;
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(aio_future_done(self->drainer));
    const aio_exception *error;
    error = aio_future_exception(self->drainer);
    if (CHECK(error != NULL)) CHECK(error->code == EPIPE || error->code == ECONNRESET);
    if (error) CHECK(strstr(error->message, " bytes not sent)") != NULL);
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 9));
    CHECK_BYTES(self->text.data, self->text.length, "too large");
    AIO_TRY {
        AIO_AWAIT(aio_stream_read(self->a, 1));
        CHECK(false);
    } AIO_CATCH {
        if (aio_caught(self)->code != EPIPE) CAUGHT(ECONNRESET);
    } AIO_END_TRY;
    AIO_TRY {
        aio_stream *a;
        a = self->a;
        self->a = NULL;
        AIO_AWAIT(aio_stream_wait_closed(a));
        CHECK(false);
    } AIO_CATCH {
        if (aio_caught(self)->code != EPIPE) CAUGHT(ECONNRESET);
        CHECK(strstr(aio_caught(self)->message, " bytes not sent)") != NULL);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio__free(self->big);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
        aio_unref(self->drainer);
    AIO_END;
}

/* A write that fails at once says how much of it is lost. */
struct stream_write_fails { aio_task task; aio_stream *a, *b; int code; };
SCENARIO(stream_write_fails, .may = { ECONNRESET })
{
    AIO_BEGIN(stream_write_fails);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    aio_stream_close(self->b);
    self->b = NULL;
    self->code = aio_stream_write(self->a, "12345", 5);
    if (!seam.fired) CHECK_INT(self->code, EPIPE); /* after EAGAIN it is kept, and fails later */
    AIO_AWAIT(aio_sleep(0.1));
    AIO_TRY {
        aio_stream *a;
        a = self->a;
        self->a = NULL;
        AIO_AWAIT(aio_stream_wait_closed(a));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EPIPE);
        CHECK_STR(aio_caught(self)->message, "write to the peer: Broken pipe (5 bytes not sent)");
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* Closing under a reader and a drainer tells them. */
struct stream_closed_under { aio_task task; aio_stream *a, *b; struct stream_reader *reader; struct drainer *drainer;
    char *big; };
SCENARIO(stream_closed_under, .may = { ECONNABORTED })
{
    AIO_BEGIN(stream_closed_under);
    REQUIRE(unix_pair(0, 4096, &self->a, &self->b));
    self->big = (char *)aio__calloc(1000000);
    REQUIRE(self->big);
    REQUIRE(aio_stream_write(self->a, self->big, 1000000) == 0);
    self->reader = aio_create_task(AIO_CALL(stream_reader, .stream = self->a));
    self->drainer = aio_create_task(AIO_CALL(drainer, .stream = self->a));
    REQUIRE(self->reader && self->drainer);
    AIO_AWAIT(aio_sleep(0.1));
    aio_stream_abort(self->a);
    self->a = NULL;
    AIO_AWAIT(aio_sleep(0.1));
    CHECK(aio_future_exception(self->reader) && aio_future_exception(self->reader)->code == ECONNABORTED);
    CHECK(aio_future_exception(self->drainer) && aio_future_exception(self->drainer)->code == ECONNABORTED);
    AIO_FINALLY;
        aio__free(self->big);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
        aio_unref(self->reader);
        aio_unref(self->drainer);
    AIO_END;
}

/* Half a connection: the peer reads to the end, then answers. */
struct stream_half { aio_task task; aio_stream *a, *b; aio_text text; char *big; };
SCENARIO(stream_half, .may = { AIO_EINCOMPLETE, EPIPE, ECONNRESET })
{
    AIO_BEGIN(stream_half);
    REQUIRE(tcp_pair(&self->a, &self->b));
    self->big = (char *)aio__calloc(much(500000));
    REQUIRE(self->big);
    REQUIRE(aio_stream_write(self->a, self->big, much(500000)) == 0);
    REQUIRE(aio_stream_write_eof(self->a) == 0); /* after what is unsent */
    REQUIRE(aio_stream_write_eof(self->a) == 0);
    AIO_AWAIT(self->text, aio_stream_read_all(self->b, 0));
    CHECK_INT(self->text.length, much(500000));
    REQUIRE(aio_stream_write(self->b, "thanks", 6) == 0);
    aio_stream_close(self->b);
    self->b = NULL;
    AIO_AWAIT(self->text, aio_stream_read_all(self->a, 0));
    CHECK_BYTES(self->text.data, self->text.length, "thanks");
    CHECK_INT(aio_stream_write_eof(self->a), 0); /* it has ended, and so has the connection */
    AIO_FINALLY;
        aio__free(self->big);
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* ---- what it costs ---- */
struct stream_echo { aio_task task; aio_stream *stream; aio_text text; };
static AIO_CORO(stream_echo)
{
    AIO_BEGIN(stream_echo);
    AIO_ASYNC_FOR(self->text, aio_stream_read(self->stream, 65536)) {
        int code;
        code = aio_stream_write(self->stream, self->text.data, self->text.length);
        if (code) AIO_RAISE(code);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_END;
}

struct stream_cost { aio_task task; aio_stream *a, *b; struct stream_echo *echo; aio_text text; int i;
    struct seam before; };
SCENARIO(stream_cost, .skip = KIND_SLICE /* counts calls */ | KIND_CALL | KIND_SHUFFLE | KIND_DEBUG,
         .may = { AIO_ETIMEOUT })
{
    AIO_BEGIN(stream_cost);
    REQUIRE(tcp_pair(&self->a, &self->b));
    self->echo = aio_create_task(AIO_CALL(stream_echo, .stream = self->b));
    REQUIRE(self->echo);
    AIO_TIMEOUT(100) for (self->i = 0; self->i < 110; self->i++) {
        if (self->i == 10) self->before = seam;
        REQUIRE(aio_stream_write(self->a, "sixty-four bytes", 16) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 16));
    }
    CHECK_INT(seam.calls[CALL_recv] - self->before.calls[CALL_recv], 200); /* 100 messages, two ends, each one read */
    CHECK_INT(seam.calls[CALL_send] - self->before.calls[CALL_send], 200); /* and one write */
    CHECK_INT(seam.calls[CALL_sendmsg], 0);
#if AIO__LINUX
    if (!strcmp(aio_loop_poller(aio_get_running_loop()), "epoll"))
        CHECK_INT(seam.calls[CALL_epoll_ctl] - self->before.calls[CALL_epoll_ctl], 0);
#endif
    if (!aio__plain) CHECK_INT(seam.allocations - self->before.allocations, 0);
    AIO_AWAIT(aio_sleep(0.1));
    CHECK_PTR(self->b->in, NULL); /* idle: no buffers */
    CHECK_PTR(self->b->out, NULL);
    AIO_FINALLY;
        aio_stream_abort(self->a);
        if (self->echo) aio_task_cancel(self->echo);
        aio_unref(self->echo);
    AIO_END;
}

/* Half a GiB and more unread: what is said of it does not fit into what remembers how far it was searched. */
TEST(stream_find_big)
{
    enum { AT = 0x23000000 };
    aio_stream s;
    aio__read op;
    memset(&s, 0, sizeof s);
    memset(&op, 0, sizeof op);
    s.in = (char *)mmap(NULL, AT + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(s.in != (char *)MAP_FAILED);
    memcpy(s.in + AT, "yxy", 3);
    s.in_end = AT + 3;
    op.stream = &s;
    op.separator = "xy";
    op.n = 2;
    CHECK_INT(aio__read_find(&op), AT + 3);
    s.in_end = AT + 2;
    CHECK_INT(aio__read_find(&op), 0);
    CHECK(op.scanned <= AT + 1);
    munmap(s.in, AT + 4096);
}

TEST(stream_size)
{
    if (sizeof(void *) == 8) /* an idle connection: stream, handler, pending read */
        CHECK(sizeof(aio_stream) + sizeof(struct stream_echo) + sizeof(aio__read) <= 512);
    CHECK(sizeof(aio__buffer) <= 32);
}

/* A loop that is closed with streams open closes them. */
TEST(stream_loop_closed)
{
    aio_stream *a, *b;
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    CHECK(unix_pair(0, 4096, &a, &b));
    char *big = (char *)calloc(1, 100000);
    CHECK_INT(aio_stream_write(a, big, 100000), 0);
    free(big);
    aio_text_future *read_ = aio_stream_read(b, 10);
    aio_future *drained = aio_stream_drain(a), *closed = aio_stream_wait_closed(a);
    CHECK(read_ && drained && closed);
    aio_unref(drained);
    aio_unref(closed);
    aio_loop_set_exception_handler(loop, on_report, NULL);
    expect_report("read");
    aio_loop_free(loop); /* nobody has looked at the read's error */
    CHECK_PTR(now.wanted_report, NULL);
}

/* A parser of "LENGTH:bytes", as a driver has one: looks, takes what is whole, waits for more. */
struct stream_parsed { aio_task task; aio_stream *a, *b; struct writer *writer; aio_text unread; int frames; };
SCENARIO(stream_parsed, .may = { EPIPE, ECONNRESET })
{
    static const char *const parts[] = { "3:ab", "c2:de1:", "f4:gh", NULL };
    static const char *const frames[] = { "abc", "de", "f" };
    AIO_BEGIN(stream_parsed);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    self->writer = aio_create_task(AIO_CALL(writer, .stream = self->b, .parts = parts));
    REQUIRE(self->writer);
    AIO_ASYNC_FOR(self->unread, aio_stream_more(self->a)) {
        for (;;) {
            aio_text seen = aio_stream_unread(self->a);
            size_t length = seen.length ? (size_t)(seen.data[0] - '0') : 0;
            if (!seen.length || seen.length < length + 2) break;
            REQUIRE(self->frames < 3);
            CHECK_BYTES(seen.data + 2, length, frames[self->frames]);
            self->frames++;
            aio_stream_consume(self->a, length + 2);
            ALWAYS(seen.data + length + 2 == aio_stream_unread(self->a).data || !aio_stream_unread(self->a).length);
        }
    }
    CHECK_INT(self->frames, 3);
    self->unread = aio_stream_unread(self->a);
    CHECK_BYTES(self->unread.data, self->unread.length, "4:gh");
    AIO_AWAIT(self->unread, aio_stream_more(self->a));
    CHECK_BYTES(self->unread.data, self->unread.length, "");
    self->unread = aio_stream_unread(self->a);
    CHECK_BYTES(self->unread.data, self->unread.length, "4:gh");
    aio_stream_consume(self->a, 100);
    CHECK_INT(aio_stream_unread(self->a).length, 0);
    CHECK(aio_stream_at_eof(self->a));
    aio_stream_consume(NULL, 1);
    CHECK_INT(aio_stream_unread(NULL).length, 0);
    AIO_TRY {
        AIO_AWAIT(aio_stream_more(NULL));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_unref(self->writer);
    AIO_END;
}

/* The end is seen as soon as it is there, and seeing it spoils nothing. */
struct stream_sees_end { aio_task task; aio_stream *a, *b; aio_text text; };
SCENARIO(stream_sees_end, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE })
{
    AIO_BEGIN(stream_sees_end);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    CHECK(!aio_stream_at_eof(self->a));
    REQUIRE(aio_stream_write(self->b, "abc", 3) == 0);
    CHECK(!aio_stream_at_eof(self->a));
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 3));
    CHECK(!aio_stream_at_eof(self->a));
    REQUIRE(aio_stream_write(self->b, "d", 1) == 0);
    aio_stream_close(self->b);
    self->b = NULL;
    CHECK(!aio_stream_at_eof(self->a));
    CHECK_BYTES(self->text.data, self->text.length, "abc");
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 1));
    CHECK(aio_stream_at_eof(self->a) || aio_stream_at_eof(self->a)); /* one EAGAIN may be made up */
    CHECK_STR(self->text.data, "d");
    CHECK(aio_stream_at_eof(NULL));
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* What a read gives ends in a NUL, and what stands behind it comes with the next read. */
struct stream_nul { aio_task task; aio_stream *a, *b; aio_text text; int i; };
SCENARIO(stream_nul, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE })
{
    AIO_BEGIN(stream_nul);
    REQUIRE(unix_pair(0, 0, &self->a, &self->b));
    REQUIRE(aio_stream_write(self->b, "line\n123,45xyz", 14) == 0);
    AIO_AWAIT(self->text, aio_stream_readline(self->a));
    CHECK_STR(self->text.data, "line\n");
    AIO_AWAIT(self->text, aio_stream_readuntil(self->a, ",", 1));
    CHECK_STR(self->text.data, "123,");
    AIO_AWAIT(self->text, aio_stream_readexactly(self->a, 2));
    CHECK_STR(self->text.data, "45");
    self->text = aio_stream_unread(self->a);
    CHECK(self->text.length == 0 || !memcmp(self->text.data, "xyz", self->text.length));
    AIO_AWAIT(self->text, aio_stream_read(self->a, 1));
    CHECK_STR(self->text.data, "x");
    while (aio_stream_unread(self->a).length < 2) AIO_AWAIT(self->text, aio_stream_more(self->a));
    CHECK_STR(aio_stream_unread(self->a).data, "yz");
    AIO_AWAIT(self->text, aio_stream_read(self->a, 1));
    aio_stream_consume(self->a, 1);
    REQUIRE(aio_stream_write_eof(self->b) == 0);
    AIO_AWAIT(self->text, aio_stream_read_all(self->a, 0));
    CHECK_STR(self->text.data, "");
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* Results of each size around the sizes of buffers. */
struct stream_nul_sizes { aio_task task; aio_stream *a, *b; aio_text text; size_t i, n; char block[140000]; };
SCENARIO(stream_nul_sizes, .may = { EPIPE, ECONNRESET, AIO_EINCOMPLETE }, .skip = KIND_SLICE /* large */)
{
    static const size_t sizes[] = { 15, 16, 1008, 1023, 1024, 1025, 131006, 131007, 131008, 131009, 140000 };
    AIO_BEGIN(stream_nul_sizes);
    REQUIRE(unix_pair(0, 400000, &self->a, &self->b));
    memset(self->block, 'x', sizeof self->block);
    for (; self->i < sizeof sizes / sizeof *sizes; self->i++) {
        self->n = sizes[self->i];
        REQUIRE(aio_stream_write(self->b, self->block, self->n) == 0);
        AIO_AWAIT(self->text, aio_stream_readexactly(self->a, self->n));
        CHECK_INT(strlen(self->text.data), self->n);
    }
    AIO_FINALLY;
        aio_stream_abort(self->a);
        aio_stream_abort(self->b);
    AIO_END;
}

/* The end of a pipe that has been read out is seen, too. */
struct stream_sees_pipe_end { aio_task task; aio_stream *pipe; int fds[2]; aio_text text; };
SCENARIO(stream_sees_pipe_end)
{
    AIO_BEGIN(stream_sees_pipe_end);
    REQUIRE(pipe(self->fds) == 0);
    AIO_AWAIT(self->pipe, aio_connect_read_pipe(self->fds[0]));
    CHECK(!aio_stream_at_eof(self->pipe));
    REQUIRE(write(self->fds[1], "a", 1) == 1);
    CHECK(!aio_stream_at_eof(self->pipe));
    AIO_AWAIT(self->text, aio_stream_readexactly(self->pipe, 1));
    CHECK(!aio_stream_at_eof(self->pipe));
    close(self->fds[1]);
    self->fds[1] = -1;
    CHECK(aio_stream_at_eof(self->pipe) || aio_stream_at_eof(self->pipe));
    CHECK_STR(self->text.data, "a");
    AIO_FINALLY;
        aio_stream_close(self->pipe);
        if (self->fds[0] > 0 && !self->pipe) close(self->fds[0]);
        if (self->fds[1] > 0) close(self->fds[1]);
    AIO_END;
}
