/* Awaitables of a program's own, which can be cancelled: through every combinator. */

struct kind_work { aio_future future; int result; struct kind_seen *seen; };
static struct kind_seen { int cancelled, destroyed; bool refuse, completes; aio_handle timer; } kind_seen;

static bool kind_cancel(void *future)
{
    struct kind_work *work = future;
    work->seen->cancelled++;
    if (work->seen->refuse) return false;
    aio_handle_cancel(work->seen->timer);
    if (work->seen->completes) aio_future_set_result(work, 8);
    return true;
}

static void kind_destroy(void *future)
{
    struct kind_work *work = future;
    work->seen->destroyed++;
    aio_handle_cancel(work->seen->timer);
}

static void kind_done(void *arg)
{
    struct kind_work *work = arg;
    aio_future_set_result(work, 7);
}

/* Ends with 7 after a second. */
static struct kind_work *kind_work(bool refuse, bool completes)
{
    static const aio_future_kind kind = { .name = "kind work", .cancel = kind_cancel, .destroy = kind_destroy };
    struct kind_work *work = AIO_FUTURE_WITH(struct kind_work, &kind);
    memset(&kind_seen, 0, sizeof kind_seen);
    if (!work) return NULL;
    work->seen = &kind_seen;
    kind_seen.refuse = refuse;
    kind_seen.completes = completes;
    kind_seen.timer = aio_loop_call_later(aio_get_running_loop(), 1, kind_done, work);
    if (kind_seen.timer.generation) return work;
    aio_unref(work);
    return NULL;
}

enum { KINDS_PLAIN, KINDS_WAIT_FOR, KINDS_SHIELD, KINDS_ENSURE, KINDS_GATHER, KINDS_WAIT, KINDS_COMPLETED, KINDS_WAYS };

struct kind_await {
    aio_task          task;
    int               result, way;
    bool              begun;
    struct kind_work *work[1];
    aio_completions  *all;
};
static AIO_CORO(kind_await)
{
    AIO_BEGIN(kind_await);
    self->begun = true;
    switch (self->way) {
    case KINDS_WAIT_FOR: self->work[0] = aio_wait_for(self->work[0], 5); break;
    case KINDS_SHIELD: self->work[0] = aio_shield(self->work[0]); break;
    case KINDS_ENSURE: self->work[0] = aio_ensure_future(self->work[0]); break;
    default: break;
    }
    if (!self->work[0]) AIO_RAISE(ENOMEM);
    if (self->way == KINDS_GATHER) AIO_AWAIT(aio_gather(self->work, 1));
    else if (self->way == KINDS_WAIT) AIO_AWAIT(aio_wait(self->work, 1));
    else if (self->way == KINDS_COMPLETED) {
        if (!(self->all = aio_as_completed(self->work, 1))) AIO_RAISE(ENOMEM);
        AIO_AWAIT(aio_as_completed_next(self->all));
    } else AIO_AWAIT((struct kind_work *)aio_ref(self->work[0]));
    AIO_RETURN(self->work[0]->result);
    AIO_FINALLY;
    aio_unref(self->all);
    aio_unref(self->work[0]);
    AIO_END;
}

struct kinds_cancelled { aio_task task; struct kind_work *work; struct kind_await *waiter; int way, got; };

/* A task that awaits one is cancelled: the callback is asked once, but by what only leaves it. */
SCENARIO(kinds_cancelled)
{
    AIO_BEGIN(kinds_cancelled);
    for (self->way = 0; self->way < KINDS_WAYS; self->way++) {
        REQUIRE(self->work = kind_work(false, false));
        REQUIRE(self->waiter = aio_create_task(AIO_CALL(kind_await, .way = self->way)));
        self->waiter->work[0] = aio_ref(self->work);
        AIO_AWAIT(aio_sleep(0.5));
        CHECK(aio_task_cancel(self->waiter));
        AIO_TRY {
            AIO_AWAIT(self->got, (struct kind_await *)aio_ref(self->waiter));
            UNREACHED();
        } AIO_CATCH_ALL {
            if (aio_task_cancelling(&self->task)) AIO_RERAISE();
            CAUGHT(AIO_ECANCELLED);
        } AIO_END_TRY
        CHECK_INT(kind_seen.cancelled, self->way != KINDS_SHIELD && self->way < KINDS_WAIT);
        if (self->way == KINDS_SHIELD) AIO_AWAIT(aio_sleep(1)); /* it goes on */
        aio_unref(self->work);
        CHECK_INT(kind_seen.destroyed, 1);
        aio_unref(self->waiter);
        self->work = NULL;
        self->waiter = NULL;
    }
    AIO_FINALLY;
    if (self->work) aio_future_cancel(self->work);
    if (self->waiter) aio_task_cancel(self->waiter);
    if (self->waiter && !self->waiter->begun) aio_unref(self->waiter->work[0]); /* it never will */
    aio_unref(self->work);
    aio_unref(self->waiter);
    AIO_END;
}

/* One that cannot stop ends when it does, and then its waiter is cancelled; one that completes itself keeps its
 * result. */
struct kinds_refuse { aio_task task; struct kind_work *work; int got; };
SCENARIO(kinds_refuse)
{
    AIO_BEGIN(kinds_refuse);
    REQUIRE(self->work = kind_work(true, false));
    CHECK(!aio_future_cancel(self->work));
    CHECK_INT(kind_seen.cancelled, 1);
    AIO_TRY {
        AIO_TIMEOUT(0.5) { AIO_AWAIT((struct kind_work *)aio_ref(self->work)); }
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
    } AIO_END_TRY
    CHECK_INT(kind_seen.cancelled, 2);
    CHECK_INT(self->work->result, 7);
    aio_unref(self->work);
    REQUIRE(self->work = kind_work(true, false));
    AIO_AWAIT(self->got, aio_wait_for((struct kind_work *)aio_ref(self->work), 0.5));
    CHECK_INT(self->got, 7); /* what it still gives counts */
    aio_unref(self->work);
    REQUIRE(self->work = kind_work(false, true));
    CHECK(aio_future_cancel(self->work));
    CHECK(!aio_future_cancelled(self->work));
    CHECK_INT(self->work->result, 8);
    aio_unref(self->work);
    CHECK_INT(kind_seen.destroyed, 1);
    REQUIRE(self->work = kind_work(false, false));
    AIO_TRY {
        AIO_AWAIT(aio_wait_for((struct kind_work *)aio_ref(self->work), 0.5));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
    } AIO_END_TRY
    CHECK(aio_future_cancelled(self->work));
    CHECK_STR(aio__label(&self->work->future), "kind work");
    AIO_FINALLY;
    aio_handle_cancel(kind_seen.timer);
    aio_unref(self->work);
    AIO_END;
}

/* A kind without callbacks is as none. */
struct kinds_empty { aio_task task; struct kind_work *work; };
SCENARIO(kinds_empty)
{
    static const aio_future_kind empty;
    AIO_BEGIN(kinds_empty);
    REQUIRE(self->work = AIO_FUTURE_WITH(struct kind_work, &empty));
    CHECK_STR(aio__label(&self->work->future), "future");
    CHECK(aio_future_cancel(self->work));
    CHECK(aio_future_cancelled(self->work));
    AIO_FINALLY;
    aio_unref(self->work);
    AIO_END;
}
