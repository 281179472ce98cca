/* Every kind of typed awaitable gives the same through each combinator: pending, and done before. */

struct typed_number { aio_future future; int result; };                   /* a plain future */
struct typed_wide { aio_future future; long before[9]; int result; };     /* one larger than what stands for it */
struct typed_coroutine { aio_task task; int result; };
static AIO_CORO(typed_coroutine)
{
    AIO_BEGIN(typed_coroutine);
    AIO_AWAIT(aio_sleep(0.01));
    AIO_RETURN(7);
    AIO_END;
}

struct typed {
    aio_task         task;
    int              kind, way, round;
    void            *source, *made, *wrapped;
    aio_queue       *queue;
    aio_stream      *stream;
    int              fds[2];
    aio_completions *all;
    aio_future      *ended;
    aio_handle       timer;
};

static void typed_number_set(void *arg)
{
    struct typed_number *number = ((struct typed *)arg)->source;
    aio_future_set_result(number, 7);
}

static void typed_wide_set(void *arg)
{
    struct typed_wide *wide = ((struct typed *)arg)->source;
    aio_future_set_result(wide, 7);
}

static void typed_put(void *arg)
{
    int item = 7;
    aio_queue *queue = ((struct typed *)arg)->queue;
    int code = aio_queue_put_nowait(queue, &item);
    ALWAYS(code != EINVAL);
    if (code) aio_queue_shutdown(queue, true); /* nothing else would come to who waits */
}

static void typed_write(void *arg) { ALWAYS(write(((struct typed *)arg)->fds[1], "7\n", 2) == 2); }
static void *typed_job(void *arg) { return arg; }

/* Calls it a little later, with `self`; the awaitable is for it. */
static void *typed_soon(struct typed *self, aio_callback *callback, void *awaitable)
{
    self->timer = aio_loop_call_later(aio_get_running_loop(), 0.01, callback, self);
    if (self->timer.generation) return awaitable;
    aio_unref(awaitable);
    return NULL;
}

static void *typed_future(struct typed *self, void *future, aio_callback *set, bool shared)
{
    if (!future) return NULL;
    if (shared) ((aio_future *)future)->flags |= AIO__F_SHARED;
    self->source = aio_ref(future);
    return typed_soon(self, set, future);
}

enum {
    TYPED_CORO, TYPED_TASK, TYPED_FUTURE, TYPED_WIDE, TYPED_SHARED, TYPED_WIDE_SHARED, TYPED_QUEUE, TYPED_LINE,
    TYPED_JOB, TYPED_KINDS
};

static void *typed_begin(struct typed *self)
{
    switch (self->kind) {
    case TYPED_CORO: return AIO_CALL(typed_coroutine);
    case TYPED_TASK: return aio_create_task(AIO_CALL(typed_coroutine));
    case TYPED_FUTURE: case TYPED_SHARED:
        return typed_future(self, AIO_FUTURE(struct typed_number), typed_number_set, self->kind == TYPED_SHARED);
    case TYPED_WIDE: case TYPED_WIDE_SHARED:
        return typed_future(self, AIO_FUTURE(struct typed_wide), typed_wide_set, self->kind == TYPED_WIDE_SHARED);
    case TYPED_QUEUE: return typed_soon(self, typed_put, aio_queue_get(self->queue, int));
    case TYPED_LINE: return typed_soon(self, typed_write, aio_stream_readline(self->stream));
    default: return aio_to_thread(typed_job, self);
    }
}

static size_t typed_size(const struct typed *self)
{
    static const size_t sizes[TYPED_KINDS] = {
        sizeof(struct typed_coroutine), sizeof(struct typed_coroutine), sizeof(struct typed_number),
        sizeof(struct typed_wide), sizeof(struct typed_number), sizeof(struct typed_wide),
        sizeof *aio_queue_get((aio_queue *)NULL, int), sizeof(aio_text_future), sizeof(aio_job_future),
    };
    return sizes[self->kind];
}

static bool typed_right(const struct typed *self, const void *f)
{
    switch (self->kind) {
    case TYPED_CORO: case TYPED_TASK: return ((const struct typed_coroutine *)f)->result == 7;
    case TYPED_FUTURE: case TYPED_SHARED: return ((const struct typed_number *)f)->result == 7;
    case TYPED_WIDE: case TYPED_WIDE_SHARED: return ((const struct typed_wide *)f)->result == 7;
    case TYPED_QUEUE: return ((const __typeof__(*aio_queue_get((aio_queue *)NULL, int)) *)f)->result == 7;
    case TYPED_LINE: {
        aio_text line = ((const aio_text_future *)f)->result;
        return line.length == 2 && memcmp(line.data, "7\n", 2) == 0;
    }
    default: return ((const aio_job_future *)f)->result == self;
    }
}

enum {
    TYPED_PLAIN, TYPED_WAIT_FOR, TYPED_SHIELD, TYPED_ENSURE, TYPED_SHIELD_WAIT_FOR, TYPED_WAIT_FOR_SHIELD,
    TYPED_GATHER, TYPED_WAIT, TYPED_COMPLETED, TYPED_WAYS
};

/* One awaitable for another; those that take an array are the scenario's. */
static void *typed_wrap(struct typed *self, void *f)
{
    size_t size = typed_size(self);
    switch (self->way) {
    case TYPED_WAIT_FOR: return aio__wait_for(f, size, 5);
    case TYPED_SHIELD: return aio__shield(f, size);
    case TYPED_ENSURE: return aio__ensure_future(f, size);
    case TYPED_SHIELD_WAIT_FOR: return aio__shield(aio__wait_for(f, size, 5), size);
    case TYPED_WAIT_FOR_SHIELD: return aio__wait_for(aio__shield(f, size), size, 5);
    default: return f;
    }
}

SCENARIO(typed, .may = { AIO_EQUEUESHUTDOWN }, .skip = KIND_SLICE /* a line of one byte at a time is another test's */)
{
    AIO_BEGIN(typed);
    REQUIRE(self->queue = aio_queue_create(int));
    REQUIRE(!pipe2(self->fds, O_CLOEXEC | O_NONBLOCK));
    AIO_AWAIT(self->stream, aio_connect_read_pipe(self->fds[0]));
    for (self->kind = 0; self->kind < TYPED_KINDS; self->kind++)
        for (self->way = 0; self->way < TYPED_WAYS; self->way++)
            for (self->round = 0; self->round < 2; self->round++) {
                REQUIRE(self->made = typed_begin(self));
                if (self->round) { /* done before */
                    REQUIRE(self->made = aio__ensure_future(self->made, typed_size(self)));
                    AIO_AWAIT((aio_future *)aio_ref(self->made));
                }
                self->wrapped = typed_wrap(self, self->made);
                self->made = NULL;
                REQUIRE(self->wrapped);
                if (self->way == TYPED_GATHER) AIO_AWAIT(aio_gather(&self->wrapped, 1));
                else if (self->way == TYPED_WAIT) AIO_AWAIT(aio_wait(&self->wrapped, 1));
                else if (self->way == TYPED_COMPLETED) {
                    REQUIRE(self->all = aio_as_completed(&self->wrapped, 1));
                    AIO_AWAIT(self->ended, aio_as_completed_next(self->all));
                    ALWAYS(self->ended == self->wrapped);
                    aio_unref(self->all);
                    self->all = NULL;
                } else AIO_AWAIT((aio_future *)aio_ref(self->wrapped));
                CHECK(aio_future_done(self->wrapped) && typed_right(self, self->wrapped));
                aio_unref(self->wrapped);
                aio_unref(self->source);
                self->source = self->wrapped = NULL;
            }
    AIO_FINALLY;
    aio_handle_cancel(self->timer);
    if (self->source) aio_future_cancel(self->source); /* a shield waits until what it shields has ended */
    aio_unref(self->source);
    aio_unref(self->made);
    aio_unref(self->wrapped);
    aio_unref(self->all);
    if (self->fds[1]) close(self->fds[1]);
    if (!self->stream && self->fds[0]) close(self->fds[0]);
    aio_stream_abort(self->stream);
    aio_queue_free(self->queue);
    AIO_END;
}

/* Many may wait for the end of one process: through each combinator, alive when they begin. */
struct typed_process { aio_task task; aio_process *process; aio_process_future *f[4]; int i; };
SCENARIO(typed_process)
{
    AIO_BEGIN(typed_process);
    SEAM_ADD(seam.lookups, 1);
    AIO_AWAIT(self->process, aio_create_subprocess_shell("exit 7"));
    REQUIRE(self->f[0] = aio_process_wait(self->process));
    REQUIRE(self->f[1] = aio_shield(aio_process_wait(self->process)));
    REQUIRE(self->f[2] = aio_ensure_future(aio_process_wait(self->process)));
    REQUIRE(self->f[3] = aio_wait_for(aio_process_wait(self->process), 1e9));
    AIO_AWAIT(aio_gather(self->f, 4));
    for (self->i = 0; self->i < 4; self->i++) CHECK_INT(self->f[self->i]->result, 7);
    AIO_FINALLY;
    SEAM_ADD(seam.lookups, -1);
    aio_unref_all(self->f, 4);
    aio_process_release(self->process);
    AIO_END;
}

/* A shared one goes on when what stands for it is cancelled. */
struct typed_cancelled { aio_task task; struct typed_number *inner, *outer; int way; };
SCENARIO(typed_cancelled)
{
    AIO_BEGIN(typed_cancelled);
    for (self->way = 0; self->way < 3; self->way++) {
        REQUIRE(self->inner = AIO_FUTURE(struct typed_number));
        self->inner->future.flags |= AIO__F_SHARED;
        aio_ref(self->inner);
        self->outer = self->way == 0 ? aio_wait_for(self->inner, 5)
                    : self->way == 1 ? aio_shield(self->inner) : aio_ensure_future(self->inner);
        REQUIRE(self->outer);
        CHECK(aio_future_cancel(self->outer));
        CHECK(aio_future_cancelled(self->outer) && !aio_future_done(self->inner));
        CHECK_INT(aio_future_set_result(self->inner, 7), 0);
        AIO_AWAIT(aio_sleep(0));
        CHECK_INT(self->inner->result, 7);
        aio_unref(self->outer);
        aio_unref(self->inner);
        self->outer = self->inner = NULL;
    }
    AIO_FINALLY;
    aio_unref(self->outer);
    aio_unref(self->inner);
    AIO_END;
}

/* Each kind, pending, through each way that gives one awaitable for another: cancelled, it ends at once, or, if that
 * shields it, leaves it running. */
static bool typed_leaves(const struct typed *of)
{
    bool shields = of->way == TYPED_SHIELD || of->way == TYPED_SHIELD_WAIT_FOR || of->way == TYPED_WAIT_FOR_SHIELD;
    bool shared = of->kind == TYPED_SHARED || of->kind == TYPED_WIDE_SHARED;
    return shields || shared;
}

struct typed_left { aio_task task; struct typed of; };
SCENARIO(typed_left, .skip = KIND_SLICE)
{
    AIO_BEGIN(typed_left);
    REQUIRE(self->of.queue = aio_queue_create(int));
    for (self->of.kind = 0; self->of.kind <= TYPED_QUEUE; self->of.kind++)
        for (self->of.way = 0; self->of.way < TYPED_GATHER; self->of.way++) {
            REQUIRE(self->of.made = typed_begin(&self->of));
            if (self->of.way == TYPED_PLAIN)
                REQUIRE(self->of.made = aio__ensure_future(self->of.made, typed_size(&self->of)));
            self->of.wrapped = typed_wrap(&self->of, self->of.made);
            self->of.made = NULL;
            REQUIRE(self->of.wrapped);
            aio_handle_cancel(self->of.timer);
            CHECK(aio_future_cancel(self->of.wrapped));
            AIO_AWAIT(aio_sleep(0.1));
            CHECK(aio_future_cancelled(self->of.wrapped));
            if (self->of.source)
                CHECK_INT(aio_future_done(self->of.source), !typed_leaves(&self->of));
            if (self->of.source) aio_future_cancel(self->of.source);
            aio_unref(self->of.wrapped);
            aio_unref(self->of.source);
            self->of.source = self->of.wrapped = NULL;
        }
    AIO_FINALLY;
    aio_handle_cancel(self->of.timer);
    if (self->of.source) aio_future_cancel(self->of.source);
    aio_unref(self->of.source);
    aio_unref(self->of.made);
    aio_unref(self->of.wrapped);
    aio_queue_free(self->of.queue);
    AIO_END;
}
