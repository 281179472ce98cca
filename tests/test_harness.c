/* The harness itself: a bad scenario is one that must fail, in the way that is there to see it. */

#define BAD(bad)                                                                            \
    static AIO_CORO(bad);                                                                   \
    static void *bad##_make(void) { return AIO_CALL(bad); }                                 \
    static test bad##_test = { .name = #bad, .file = __FILE__, .scenario = bad##_make };    \
    static AIO_CORO(bad)

/* How often it fails in this way, run in a child without a word. (A leak checker adds its own.) */
static long harness_failures(const test *t, const char *way)
{
    fflush(stdout);
    int out = dup(1), error = dup(2), null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    dup2(null, 2);
    close(null);
    struct shared counts = *with_parent;
    const char *wanted = options.way, *poller = options.poller;
    long seconds = options.seconds, at = options.at;
    options.way = way;
    options.poller = NULL;
    options.seconds = 1;
    options.at = -2;
    with_parent->failed = with_parent->passed = 0;
    run_waiting(t);
    long failed = with_parent->failed, all = failed + with_parent->passed;
    *with_parent = counts;
    options.way = wanted;
    options.poller = poller;
    options.seconds = seconds;
    options.at = at;
    fflush(stdout);
    dup2(out, 1);
    dup2(error, 2);
    close(out);
    close(error);
    CHECK(all > 0);
    return failed;
}

struct bad_none { aio_task task; int fds[2]; char data[4]; ssize_t n; };
BAD(bad_none)
{
    AIO_BEGIN(bad_none);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(1, 1);
    AIO_END;
}

struct bad_check { aio_task task; };
BAD(bad_check)
{
    AIO_BEGIN(bad_check);
    AIO_AWAIT(aio_sleep(1));
    CHECK_STR("a", "b");
    AIO_END;
}

struct bad_error { aio_task task; };
BAD(bad_error)
{
    AIO_BEGIN(bad_error);
    AIO_RAISE(ENOMEM, "that nobody injected");
    AIO_END;
}

struct bad_descriptor { aio_task task; };
BAD(bad_descriptor)
{
    AIO_BEGIN(bad_descriptor);
    AIO_AWAIT(aio_sleep(dup(2) < 0));
    AIO_END;
}

struct bad_close { aio_task task; };
BAD(bad_close)
{
    AIO_BEGIN(bad_close);
    AIO_AWAIT(aio_sleep(0));
    aio__os.close(1000);
    AIO_END;
}

struct bad_memory { aio_task task; };
BAD(bad_memory)
{
    AIO_BEGIN(bad_memory);
    AIO_AWAIT(aio_sleep(aio__malloc(10) != NULL));
    AIO_END;
}

struct bad_future { aio_task task; aio_future *future; };
BAD(bad_future) /* forgets its future when anything goes wrong */
{
    AIO_BEGIN(bad_future);
    self->future = aio_future_create();
    AIO_AWAIT(aio_sleep(1));
    aio_unref(self->future);
    AIO_END;
}

struct bad_report { aio_task task; };
BAD(bad_report)
{
    AIO_BEGIN(bad_report);
    aio_unref(aio_create_task(AIO_CALL(bad_error)));
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}

struct bad_hang { aio_task task; };
BAD(bad_hang)
{
    AIO_BEGIN(bad_hang);
    AIO_AWAIT(aio_future_create());
    AIO_END;
}

struct bad_crash { aio_task task; };
BAD(bad_crash) /* only when a call has failed */
{
    AIO_BEGIN(bad_crash);
    AIO_AWAIT(aio_sleep(1));
    if (seam.fired) abort();
    AIO_END;
}

struct bad_swallow { aio_task task; };
BAD(bad_swallow) /* makes another error of whatever comes */
{
    AIO_BEGIN(bad_swallow);
    AIO_TRY {
        AIO_AWAIT(aio_sleep(1));
    } AIO_CATCH_ALL {
        AIO_RAISE(EINVAL, "no more to be known");
    } AIO_END_TRY;
    AIO_END;
}

struct bad_finally { aio_task task; aio_future *future; };
BAD(bad_finally) /* releases only after an await, which may be cancelled */
{
    AIO_BEGIN(bad_finally);
    self->future = aio_future_create();
    AIO_AWAIT(aio_sleep(1));
    AIO_FINALLY;
        AIO_AWAIT(aio_sleep(1));
        aio_unref(self->future);
    AIO_END;
}

struct bad_reader { aio_task task; int fds[2]; char data[4]; ssize_t n; };
BAD(bad_reader) /* believes that read gives all, and that EINTR is an end */
{
    AIO_BEGIN(bad_reader);
    self->fds[0] = self->fds[1] = -1;
    if (aio__os.pipe(self->fds) < 0) AIO_RAISE(errno);
    AIO_AWAIT(aio_sleep(write(self->fds[1], "1234", 4) < 0));
    self->n = aio__os.read(self->fds[0], self->data, 4);
    if (self->n < 0 && errno != EAGAIN && errno != EINTR) AIO_RAISE(errno);
    CHECK_INT(self->n, 4);
    AIO_FINALLY;
        if (self->fds[0] >= 0) aio__os.close(self->fds[0]);
        if (self->fds[1] >= 0) aio__os.close(self->fds[1]);
    AIO_END;
}

TEST(harness_sees_what_is_bad, .skip = KIND_DEBUG)
{
    static const struct { const test *t; const char *way; bool fails; } rows[] = {
        { &bad_none_test, "poll", false }, { &bad_none_test, "alloc-one", false }, { &bad_none_test, "call", false },
        { &bad_none_test, "cancel-again", false }, { &bad_check_test, "poll", true },
        { &bad_check_test, "shuffle-poll", true }, { &bad_error_test, "poll", true },
        { &bad_error_test, "alloc-one", true }, { &bad_descriptor_test, "poll", true },
        { &bad_close_test, "poll", true }, { &bad_memory_test, "poll", true }, { &bad_future_test, "poll", false },
        { &bad_future_test, "alloc-one", true }, { &bad_future_test, "alloc-on", true },
        { &bad_future_test, "cancel", true }, { &bad_report_test, "poll", true }, { &bad_hang_test, "poll", true },
        { &bad_crash_test, "poll", false }, { &bad_crash_test, "call-poll", true },
        { &bad_swallow_test, "poll", false }, { &bad_swallow_test, "alloc-one", true },
        { &bad_swallow_test, "cancel", true }, { &bad_finally_test, "poll", false },
        { &bad_finally_test, "cancel-again", true }, { &bad_reader_test, "poll", false },
        { &bad_reader_test, "slice-poll", true }, { &bad_reader_test, "call-poll", true },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool fails = harness_failures(rows[i].t, rows[i].way) > 0;
        if (fails != rows[i].fails) fail("%s %s: %s", rows[i].t->name, rows[i].way, fails ? "fails" : "does not fail");
    }
}
