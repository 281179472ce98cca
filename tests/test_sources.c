/* Other loops inside ours: aio_loop_add_source. The foreign one here reads a byte of whatever can be read, and waits once
 * for what can be written. */
struct foreign {
    aio_source    source;
    aio_source_fd fds[4];
    double        when;     /* 0: never */
    int           prepared, dispatched, read, timed, seen; /* seen: revents of the latest dispatch, of all */
    struct foreign *remove_in_prepare, *remove_in_dispatch; /* this or another one */
    int           reopen;   /* in a dispatch: takes the place of the first */
    bool          always;   /* it is due each time */
};

static int foreign_pipe(int *fds) { return pipe(fds) || fd_nonblocking(fds[0]); }
static void foreign_remove(struct foreign *f) { aio_loop_remove_source(aio_get_event_loop(), &f->source); }

static double foreign_prepare(aio_source *source)
{
    struct foreign *self = (struct foreign *)source->arg;
    self->prepared++;
    source->fds = self->fds;
    if (self->remove_in_prepare) foreign_remove(self->remove_in_prepare);
    if (self->always) return 0;
    if (self->when <= 0) return -0.001; /* a foreign -1, in milliseconds */
    double left = self->when - aio_time();
    return left > 0 ? left : 0;
}

static void foreign_dispatch(aio_source *source)
{
    struct foreign *self = (struct foreign *)source->arg;
    char byte;
    self->dispatched++;
    self->seen = 0;
    for (size_t i = 0; i < source->count; i++) {
        self->seen |= self->fds[i].revents;
        ssize_t n = self->fds[i].revents & POLLIN ? read(self->fds[i].fd, &byte, 1) : -1;
        if (n == 1) self->read++;
        if (n == 0) self->fds[i].fd = -1;
        if (self->fds[i].revents & POLLOUT) self->fds[i].events = POLLIN;
    }
    if (self->when > 0 && self->when <= aio_time() + 1e-9) {
        self->timed++;
        self->when = 0;
    }
    if (self->reopen > 0) {
        ALWAYS(dup2(self->reopen, self->fds[0].fd) == self->fds[0].fd);
        self->reopen = 0;
    }
    if (self->remove_in_dispatch) foreign_remove(self->remove_in_dispatch);
}

static int foreign_add(struct foreign *self)
{
    self->source.arg = self;
    self->source.prepare = foreign_prepare;
    self->source.dispatch = foreign_dispatch;
    return aio_loop_add_source(aio_get_event_loop(), &self->source);
}

/* The next descriptor of it. */
static void foreign_watch(struct foreign *self, int fd, short events)
{
    self->fds[self->source.count].fd = fd;
    self->fds[self->source.count++].events = events;
}

/* It is told of what can be read, again and again until it has read it, and of nothing else. */
struct source_reads { aio_task task; struct foreign f; int a[2], b[2]; };
SCENARIO(source_reads)
{
    AIO_BEGIN(source_reads);
    ALWAYS(foreign_pipe(self->a) == 0 && foreign_pipe(self->b) == 0);
    foreign_watch(&self->f, self->a[0], POLLIN);
    foreign_watch(&self->f, -1, POLLIN);
    foreign_watch(&self->f, self->b[0], POLLIN);
    foreign_watch(&self->f, self->b[0], POLLIN);
    REQUIRE(foreign_add(&self->f) == 0);
    AIO_AWAIT(aio_sleep(0.3));
    CHECK_INT(self->f.dispatched, 0);
    CHECK_INT(write(self->a[1], "xyz", 3), 3);
    AIO_AWAIT(aio_sleep(0.3));
    REQUIRE(self->f.read == 3);
    CHECK_INT(self->f.dispatched, 3);
    CHECK_INT(self->f.seen, POLLIN);
    self->f.source.count = 1; /* the second pipe is not watched any more */
    CHECK_INT(write(self->b[1], "x", 1), 1);
    AIO_AWAIT(aio_sleep(0.3));
    CHECK_INT(self->f.dispatched, 3);
    self->f.source.count = 4;
    self->f.fds[0].fd = -1;
    CHECK_INT(write(self->a[1], "x", 1), 1);
    AIO_AWAIT(aio_sleep(0.3));
    REQUIRE(self->f.read == 4);
    CHECK_INT(self->f.dispatched, 4);
    AIO_FINALLY;
        foreign_remove(&self->f);
        fd_close_pair(self->a);
        fd_close_pair(self->b);
    AIO_END;
}

/* As many descriptors as it likes, more or fewer of them each time. */
static struct { aio_source_fd fds[40]; int ready, dispatched; } foreign_many;
static double foreign_many_prepare(aio_source *source)
{
    source->fds = foreign_many.fds;
    return -1;
}
static void foreign_many_dispatch(aio_source *source)
{
    char byte;
    foreign_many.dispatched++;
    foreign_many.ready = 0;
    for (size_t i = 0; i < source->count; i++) foreign_many.ready += foreign_many.fds[i].revents == POLLIN;
    CHECK_INT(read(foreign_many.fds[0].fd, &byte, 1), 1);
}
TEST(source_many)
{
    static const int counts[] = { 7, 8, 9, 40, 17, 33, 2 };
    enum { MANY = sizeof foreign_many.fds / sizeof *foreign_many.fds };
    aio_loop *loop = loop_open();
    aio_source source;
    int fds[2];
    memset(&source, 0, sizeof source);
    memset(&foreign_many, 0, sizeof foreign_many);
    source.prepare = foreign_many_prepare;
    source.dispatch = foreign_many_dispatch;
    aio_set_event_loop(loop);
    ALWAYS(foreign_pipe(fds) == 0);
    for (int i = 0; i < MANY; i++) {
        foreign_many.fds[i].fd = dup(fds[0]);
        foreign_many.fds[i].events = POLLIN;
    }
    CHECK_INT(aio_loop_add_source(loop, &source), 0);
    for (int i = 0; i < (int)(sizeof counts / sizeof *counts); i++) {
        source.count = (size_t)counts[i];
        CHECK_INT(write(fds[1], "x", 1), 1);
        foreign_many.dispatched = 0;
        for (int turn = 0; turn < 5 && !foreign_many.dispatched; turn++) CHECK_INT(aio_loop_run_once(loop, 0.01), 0);
        CHECK_INT(foreign_many.dispatched, 1);
        CHECK_INT(foreign_many.ready, counts[i]);
    }
    aio_loop_remove_source(loop, &source);
    for (int i = 0; i < MANY; i++) close(foreign_many.fds[i].fd);
    fd_close_pair(fds);
    aio_loop_free(loop);
}

/* Both directions of a socket, and the end of it. */
struct source_writes { aio_task task; struct foreign f; int fds[2]; };
SCENARIO(source_writes)
{
    AIO_BEGIN(source_writes);
    fd_socketpair(self->fds);
    foreign_watch(&self->f, self->fds[0], POLLIN);
    REQUIRE(foreign_add(&self->f) == 0);
    AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(self->f.dispatched, 0);
    self->f.fds[0].events = POLLIN | POLLOUT;
    AIO_AWAIT(aio_sleep(0.01));
    REQUIRE(self->f.seen == POLLOUT);
    CHECK_INT(self->f.dispatched, 1);
    self->f.fds[0].events = POLLIN | POLLOUT;
    CHECK_INT(write(self->fds[1], "x", 1), 1);
    AIO_AWAIT(aio_sleep(0.01));
    REQUIRE(self->f.read == 1);
    CHECK_INT(self->f.seen, POLLIN | POLLOUT);
    self->f.dispatched = 0;
    close(self->fds[1]);
    self->fds[1] = -1;
    AIO_AWAIT(aio_sleep(0.01));
    REQUIRE(self->f.dispatched > 0);
    CHECK(self->f.seen & POLLIN);
    CHECK_INT(self->f.dispatched, 1);
    AIO_FINALLY;
        foreign_remove(&self->f);
        fd_close_pair(self->fds);
    AIO_END;
}

/* Its time comes though the loop sleeps longer, and though it is busy; and not before. */
struct source_time { aio_task task; struct foreign f; int i; };
SCENARIO(source_time)
{
    AIO_BEGIN(source_time);
    self->f.when = aio_time() + 1.5;
    REQUIRE(foreign_add(&self->f) == 0);
    AIO_AWAIT(aio_sleep(1.4));
    CHECK_INT(self->f.dispatched, 0);
    AIO_AWAIT(aio_sleep(0.2));
    REQUIRE(self->f.timed == 1);
    CHECK_INT(self->f.dispatched, 1);
    self->f.when = aio_time() + 0.01;
    for (self->i = 0; self->i < 1000 && self->f.timed < 2; self->i++) {
        clock_advance(0.0001);
        AIO_AWAIT(aio_sleep(0));
    }
    REQUIRE(self->f.timed == 2);
    CHECK(self->i >= 99 && self->i < 200);
    self->f.when = aio_time(); /* at once */
    AIO_AWAIT(aio_sleep(0.01));
    REQUIRE(self->f.timed == 3);
    CHECK_INT(self->f.dispatched, 3);
    AIO_FINALLY;
        foreign_remove(&self->f);
    AIO_END;
}

/* Removed within its own callbacks, and within another one's. */
struct source_removed { aio_task task; struct foreign f[4]; int fds[2]; };
SCENARIO(source_removed)
{
    AIO_BEGIN(source_removed);
    ALWAYS(foreign_pipe(self->fds) == 0);
    self->f[0].remove_in_prepare = &self->f[0];
    self->f[1].remove_in_prepare = &self->f[2];
    self->f[3].remove_in_dispatch = &self->f[3];
    foreign_watch(&self->f[3], self->fds[0], POLLIN);
    for (int i = 0; i < 4; i++) REQUIRE(foreign_add(&self->f[i]) == 0);
    CHECK_INT(foreign_add(&self->f[1]), EBUSY);
    CHECK_INT(write(self->fds[1], "xy", 2), 2);
    AIO_AWAIT(aio_sleep(0.3));
    CHECK_INT(self->f[0].prepared, 1);
    CHECK(self->f[2].prepared <= 1);
    CHECK(self->f[1].prepared > 1);
    REQUIRE(self->f[3].dispatched == 1);
    CHECK(!self->f[0].source.of_loop && !self->f[2].source.of_loop && !self->f[3].source.of_loop);
    CHECK(aio_loop_remove_source(aio_get_running_loop(), &self->f[1].source));
    CHECK(!aio_loop_remove_source(aio_get_running_loop(), &self->f[1].source));
    CHECK(!aio_loop_remove_source(aio_get_running_loop(), NULL));
    self->f[0].remove_in_prepare = NULL;
    REQUIRE(foreign_add(&self->f[0]) == 0);
    AIO_AWAIT(aio_sleep(0.01));
    CHECK(self->f[0].prepared > 1);
    AIO_FINALLY;
        for (int i = 0; i < 4; i++) foreign_remove(&self->f[i]);
        fd_close_pair(self->fds);
    AIO_END;
}

/* A descriptor is closed, and another one opened under its number, by a dispatch; and by somebody else. */
struct source_reopened { aio_task task; struct foreign f; int fds[2], next[2]; double start; };
SCENARIO(source_reopened)
{
    AIO_BEGIN(source_reopened);
    ALWAYS(foreign_pipe(self->fds) == 0 && foreign_pipe(self->next) == 0);
    foreign_watch(&self->f, self->fds[0], POLLIN);
    REQUIRE(foreign_add(&self->f) == 0);
    CHECK_INT(write(self->fds[1], "x", 1), 1);
    self->f.reopen = self->next[0];
    AIO_AWAIT(aio_sleep(0.01));
    REQUIRE(self->f.read == 1);
    CHECK_INT(write(self->next[1], "x", 1), 1);
    AIO_AWAIT(aio_sleep(0.01));
    REQUIRE(self->f.read == 2);
    fd_close_pair(self->next);
    ALWAYS(foreign_pipe(self->next) == 0);
    ALWAYS(dup2(self->next[0], self->fds[0]) == self->fds[0]);
    CHECK_INT(write(self->next[1], "x", 1), 1);
    AIO_AWAIT(aio_sleep(0.5)); /* seen in the middle of it */
    REQUIRE(self->f.read == 3);
    AIO_FINALLY;
        foreign_remove(&self->f);
        fd_close_pair(self->fds);
        fd_close_pair(self->next);
    AIO_END;
}

/* What it closed may be a stream's by now, which goes on when it is no more watched. */
struct source_and_stream { aio_task task; struct foreign f; int fds[2], next[2]; aio_stream *stream; aio_text line; };
SCENARIO(source_and_stream)
{
    AIO_BEGIN(source_and_stream);
    ALWAYS(foreign_pipe(self->fds) == 0);
    fd_socketpair(self->next);
    foreign_watch(&self->f, self->fds[0], POLLIN);
    REQUIRE(foreign_add(&self->f) == 0);
    AIO_AWAIT(aio_sleep(0.01));
    ALWAYS(dup2(self->next[0], self->fds[0]) == self->fds[0]);
    AIO_AWAIT(self->stream, aio_connect_read_pipe(self->fds[0]));
    self->fds[0] = -1;
    self->f.source.count = 0;
    AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(write(self->next[1], "x\n", 2), 2);
    AIO_AWAIT(self->line, aio_stream_readline(self->stream));
    CHECK_BYTES(self->line.data, self->line.length, "x\n");
    AIO_FINALLY;
        foreign_remove(&self->f);
        aio_stream_close(self->stream);
        fd_close_pair(self->fds);
        fd_close_pair(self->next);
    AIO_END;
}

/* A descriptor that has a reader already is named, and the others are watched; once that has gone, it is, too. */
struct source_taken { aio_task task; struct foreign f; struct fd_count count; int a[2], b[2]; };
SCENARIO(source_taken)
{
    AIO_BEGIN(source_taken);
    ALWAYS(foreign_pipe(self->a) == 0 && foreign_pipe(self->b) == 0);
    self->count.loop = aio_get_running_loop();
    self->count.fd = self->a[0];
    REQUIRE(aio_loop_add_reader(self->count.loop, self->a[0], fd_read_one, &self->count) == 0);
    foreign_watch(&self->f, self->a[0], POLLIN);
    foreign_watch(&self->f, self->b[0], POLLIN);
    REQUIRE(foreign_add(&self->f) == 0);
    expect_report("source: descriptor");
    CHECK_INT(write(self->a[1], "x", 1), 1);
    CHECK_INT(write(self->b[1], "x", 1), 1);
    AIO_AWAIT(aio_sleep(0.01));
    REQUIRE(self->count.calls == 1 && self->f.read == 1);
    CHECK_INT(aio_loop_add_reader(self->count.loop, self->b[0], fd_read_one, &self->count), EBUSY);
    CHECK(!aio_loop_remove_reader(self->count.loop, self->b[0]));
    aio_loop_remove_reader(self->count.loop, self->a[0]);
    CHECK_INT(write(self->a[1], "x", 1), 1);
    AIO_AWAIT(aio_sleep(0.5));
    REQUIRE(self->f.read == 2);
    AIO_FINALLY;
        foreign_remove(&self->f);
        aio_loop_remove_reader(aio_get_running_loop(), self->a[0]);
        fd_close_pair(self->a);
        fd_close_pair(self->b);
    AIO_END;
}

/* Who hears that a descriptor cannot be watched may remove the source, before a wait and in the middle of one. */
static int foreign_heard;
static void foreign_nothing(void *arg) { (void)arg; }
static void foreign_give_up(aio_loop *loop, const char *message, const aio_exception *error, void *arg)
{
    (void)loop;
    (void)error;
    CHECK(strstr(message, "source: descriptor"));
    foreign_heard++;
    foreign_remove((struct foreign *)arg);
}
TEST(source_given_up)
{
    for (int late = 0; late < 2; late++) {
        aio_loop *loop = loop_open();
        struct foreign f = { .when = 0 }, other = { .when = 0 };
        int fds[2];
        CHECK_INT(pipe(fds), 0);
        aio_set_event_loop(loop);
        foreign_heard = 0;
        for (int i = 0; i < 2; i++) foreign_watch(&f, fds[0], POLLIN);
        if (!late) CHECK_INT(aio_loop_add_reader(loop, fds[0], foreign_nothing, NULL), 0);
        CHECK_INT(foreign_add(&f), 0);
        CHECK_INT(foreign_add(&other), 0);
        aio_loop_set_exception_handler(loop, foreign_give_up, &f);
        if (late) CHECK_INT(aio_loop_run_once(loop, 0), 0);
        if (late) fd_close_pair(fds);
        CHECK_INT(aio_loop_run_once(loop, 0.3), 0);
        bool heard = !late || loop->poller->level != NULL; /* poll's list objects to nothing that is closed */
        CHECK_INT(foreign_heard, heard);
        CHECK_INT(f.source.of_loop == NULL, heard);
        if (!heard) foreign_remove(&f);
        CHECK(other.prepared > 0);
        foreign_remove(&other);
        if (!late) aio_loop_remove_reader(loop, fds[0]);
        if (!late) fd_close_pair(fds);
        aio_loop_free(loop);
    }
}

/* One that is due each time hears of its descriptors all the same, and leaves others theirs. */
TEST(source_always_due)
{
    aio_loop *loop = loop_open();
    struct foreign f = { .always = true };
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    aio_set_event_loop(loop);
    foreign_watch(&f, fds[0], POLLIN);
    CHECK_INT(foreign_add(&f), 0);
    CHECK_INT(write(fds[1], "xy", 2), 2);
    for (int i = 0; i < 5; i++) CHECK_INT(aio_loop_run_once(loop, 0), 0);
    CHECK_INT(f.read, 2);
    CHECK(f.dispatched >= 4);
    foreign_remove(&f);
    aio_loop_free(loop);
    fd_close_pair(fds);
}

/* One that waits for the same as before costs the poller no call and the loop no turn, though it was dispatched, and
 * though one of its descriptors could not be watched for a while. */
TEST(source_rests)
{
    aio__plain = true; /* each object is an allocation, which is counted */
    aio_loop *loop = loop_open();
    struct foreign f = { .when = 0 };
    int a[2], b[2];
    CHECK_INT(foreign_pipe(a) || foreign_pipe(b), 0);
    aio_set_event_loop(loop);
    CHECK_INT(aio_loop_add_reader(loop, b[0], foreign_nothing, NULL), 0);
    foreign_watch(&f, a[0], POLLIN);
    CHECK_INT(foreign_add(&f), 0);
    for (int tries = 0; tries < 2; tries++) {
        CHECK_INT(write(a[1], "x", 1), 1);
        for (int i = 0; i < 3; i++) CHECK_INT(aio_loop_run_once(loop, 0), 0);
        CHECK_INT(f.read, tries + 1);
#if AIO__LINUX
        long told = seam.calls[CALL_epoll_ctl];
        for (int i = 0; i < 5; i++) CHECK_INT(aio_loop_run_once(loop, 0), 0);
        CHECK_INT(seam.calls[CALL_epoll_ctl], told);
#endif
        int prepared = f.prepared;
        double before = aio_loop_time(loop);
        CHECK_INT(aio_loop_run_once(loop, 2), 0);
        CHECK_NEAR(aio_loop_time(loop) - before, 2, 0.001);
        CHECK_INT(f.prepared, prepared + 2); /* before the wait, and once in the middle of it */
        if (tries) break;
        expect_report("source: descriptor");
        foreign_watch(&f, b[0], POLLIN);
        CHECK_INT(aio_loop_run_once(loop, 0), 0);
        before = aio_loop_time(loop);
        CHECK_INT(aio_loop_run_once(loop, 2), 0);
        CHECK_NEAR(aio_loop_time(loop) - before, 0.1, 0.001); /* it is tried again */
        CHECK(aio_loop_remove_reader(loop, b[0]));
        for (int i = 0; i < 2; i++) aio_loop_run_once(loop, 0.1);
    }
    for (int i = 0; i < 2; i++) aio_loop_run_once(loop, 0);
    long live = seam.live;
    for (int i = 0; i < 5; i++) { /* what is not wanted any more takes no memory */
        f.source.count = 1 + (size_t)i % 2;
        CHECK_INT(aio_loop_run_once(loop, 0), 0);
    }
    CHECK(seam.live < live);
    foreign_remove(&f);
    aio_loop_free(loop);
    aio__plain = false;
    fd_close_pair(a);
    fd_close_pair(b);
}

/* One direction is another's: that is told of once, however often it is tried, and the other direction is watched. */
static void foreign_count(aio_loop *loop, const char *message, const aio_exception *error, void *arg)
{
    (void)loop, (void)error;
    CHECK(strstr(message, "source: descriptor"));
    ++*(int *)arg;
}

TEST(source_half_taken)
{
    aio_loop *loop = loop_open();
    struct foreign f = { .when = 0 };
    int fds[2], told = 0;
    fd_socketpair(fds);
    aio_set_event_loop(loop);
    aio_loop_set_exception_handler(loop, foreign_count, &told);
    CHECK_INT(aio_loop_add_writer(loop, fds[0], foreign_nothing, NULL), 0);
    foreign_watch(&f, fds[0], POLLIN | POLLOUT);
    CHECK_INT(foreign_add(&f), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(write(fds[1], "x", 1), 1);
        CHECK_INT(aio_loop_run_once(loop, 0), 0);
        clock_advance(0.06);
    }
    CHECK(f.read >= 8);
    CHECK_INT(told, 1);
    aio_loop_remove_writer(loop, fds[0]);
    foreign_remove(&f);
    aio_loop_free(loop);
    fd_close_pair(fds);
}

/* A descriptor that is lost is told of once; who hears it in the middle of a wait may end that, or have a timer. */
static void foreign_end_wait(aio_loop *loop, const char *message, const aio_exception *error, void *arg)
{
    (void)error;
    CHECK(strstr(message, "source: descriptor"));
    if (foreign_heard++ == 0 && *(int *)arg == 0) aio_loop_stop(loop);
    if (foreign_heard == 1 && *(int *)arg == 1) aio_loop_call_later(loop, 0.01, foreign_nothing, NULL);
}
TEST(source_lost)
{
    for (int way = 0; way < 3; way++) {
        aio_loop *loop = loop_open();
        struct foreign f = { .when = 0 };
        int fds[2];
        CHECK_INT(pipe(fds), 0);
        aio_set_event_loop(loop);
        foreign_heard = 0;
        foreign_watch(&f, fds[0], POLLIN);
        CHECK_INT(foreign_add(&f), 0);
        aio_loop_set_exception_handler(loop, foreign_end_wait, &way);
        CHECK_INT(aio_loop_run_once(loop, 0), 0);
        fd_close_pair(fds);
        double before = aio_loop_time(loop);
        if (loop->poller->level) {
            CHECK_INT(aio_loop_run_once(loop, 5), way == 0 ? AIO_ESTOPPED : 0);
            CHECK_INT(foreign_heard, 1);
            if (way < 2) CHECK_NEAR(aio_loop_time(loop) - before, 0.1, 0.05);
            for (int i = 0; i < 30; i++) aio_loop_run_once(loop, 0.05);
            CHECK_INT(foreign_heard, 1);
        }
        foreign_remove(&f);
        aio_loop_free(loop);
    }
}

/* A number that was a stream's meanwhile is watched again, and heard of. */
struct source_renumbered { aio_task task; struct foreign f; aio_stream *stream; aio_text text; int a[2], b[2], fds[2]; };
SCENARIO(source_renumbered, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL)
{
    AIO_BEGIN(source_renumbered);
    ALWAYS(foreign_pipe(self->a) == 0 && foreign_pipe(self->b) == 0);
    fd_socketpair(self->fds);
    foreign_watch(&self->f, self->a[0], POLLIN);
    REQUIRE(foreign_add(&self->f) == 0);
    AIO_AWAIT(aio_sleep(0.05));
    ALWAYS(dup2(self->fds[0], self->a[0]) == self->a[0]); /* the source has closed it, and ours has the number */
    if (aio_get_running_loop()->poller->level) expect_report("source: descriptor"); /* poll knows two of a number */
    AIO_AWAIT(self->stream, aio_stream_from_fd(self->a[0]));
    AIO_TRY {
        AIO_TIMEOUT(0.3) AIO_AWAIT(self->text, aio_stream_read(self->stream, 9));
    } AIO_CATCH_CODE(AIO_ETIMEOUT) { } AIO_END_TRY;
    aio_stream_abort(self->stream);
    self->stream = NULL;
    AIO_AWAIT(aio_sleep(0));
    ALWAYS(dup2(self->b[0], self->a[0]) == self->a[0]);
    CHECK_INT(write(self->b[1], "x", 1), 1);
    AIO_AWAIT(aio_sleep(0.5));
    CHECK_INT(self->f.read, 1);
    AIO_FINALLY;
        foreign_remove(&self->f);
        aio_stream_abort(self->stream);
        fd_close_pair(self->a);
        fd_close_pair(self->b);
        fd_close_pair(self->fds);
    AIO_END;
}

/* A loop that closes lets its sources go. */
TEST(source_outlives_its_loop)
{
    struct foreign f = { .when = 0 };
    int fds[2];
    aio_loop *loop = loop_open(), *other = aio_new_event_loop();
    CHECK_INT(pipe(fds), 0);
    foreign_watch(&f, fds[0], POLLIN);
    CHECK_INT(aio_loop_add_source(loop, NULL), EINVAL);
    CHECK_INT(aio_loop_add_source(loop, &f.source), EINVAL);
    for (int i = 0; i < 2; i++) {
        aio_set_event_loop(loop);
        CHECK_INT(foreign_add(&f), 0);
        CHECK(!aio_loop_remove_source(other, &f.source));
        if (i == 0) CHECK_INT(aio_loop_run_once(loop, 0.1), 0);
        aio_loop_free(loop);
        CHECK_PTR(f.source.of_loop, NULL);
        loop = loop_open();
    }
    aio_loop_close(other);
    CHECK_INT(aio_loop_add_source(other, &f.source), AIO_ELOOPCLOSED);
    aio_loop_free(other);
    aio_loop_free(loop);
    fd_close_pair(fds);
}

#if AIO__LINUX
/* A loop that is itself inside another one, and has a foreign one inside. */
TEST(source_embedded)
{
    aio_loop *loop = embed_open();
    struct foreign f = { .when = aio_time() + 2 };
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    aio_set_event_loop(loop);
    foreign_watch(&f, fds[0], POLLIN);
    CHECK_INT(foreign_add(&f), 0);
    CHECK_NEAR(aio_loop_timeout(loop), 0.1, 1e-9); /* then it tells the poller again */
    CHECK(!embed_readable(loop));
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK(embed_readable(loop));
    CHECK_INT(embed_pass(loop), 0);
    CHECK_INT(f.read, 1);
    CHECK_INT(aio_loop_run_once(loop, 1), 0);
    CHECK_INT(f.dispatched, 1);
    clock_advance(1.5);
    CHECK_NEAR(aio_loop_timeout(loop), 0, 0);
    CHECK_INT(embed_pass(loop), 0);
    CHECK_INT(f.timed, 1);
    CHECK(aio_loop_remove_source(loop, &f.source));
    CHECK(!aio_loop_remove_source(loop, &f.source));
    aio_loop_run_once(loop, 0);
    CHECK(embed_idle(loop));
    aio_loop_free(loop);
    fd_close_pair(fds);
}
#endif
