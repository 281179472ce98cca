/* Fairness: the budget of a turn, and what has its turn in between. */

/* ---- what goes on at once, again and again ---- */

enum fair_kind { FAIR_DONE, FAIR_GATHER, FAIR_WAIT, FAIR_CORO, FAIR_LOCK, FAIR_SEMAPHORE, FAIR_PUT_GET,
                 FAIR_THREAD_PUT_GET, FAIR_EVENT, FAIR_KINDS,
                 FAIR_PUT = FAIR_KINDS, FAIR_GET, FAIR_THREAD_PUT, FAIR_THREAD_GET, FAIR_QUEUE_KINDS };

static struct {
    long      rounds, since, most; /* rounds of the greedy task; since the other one ran; the most of these */
    double    work;                /* seconds that a round takes */
    bool      finished;
    size_t    inside;              /* items that its puts have put and its gets not got */
    aio_semaphore semaphore;
    aio_event event;
    aio_queue *queue;
    aio_thread_queue *thread_queue;
} fair;
static aio_lock fair_lock;

struct fair_ends { aio_task task; int result; };
static AIO_CORO(fair_ends)
{
    AIO_BEGIN(fair_ends);
    AIO_RETURN(7);
    AIO_END;
}

static void fair_round(void)
{
    if (fair.rounds++ == AIO__TURN_AWAITS) fair.most = fair.since = 0; /* the clock is read more often, if it was not */
    if (++fair.since > fair.most) fair.most = fair.since;
    clock_advance(fair.work);
}

/* Does `rounds` rounds, or rounds without end for 0, none of which has to wait. */
struct fair_greedy { aio_task task; enum fair_kind kind; long rounds; int item; aio_future *done; };
static AIO_CORO(fair_greedy)
{
    AIO_BEGIN(fair_greedy);
    self->done = aio_future_create();
    if (!self->done) AIO_RAISE(ENOMEM);
    aio_future_set_done(self->done);
    while (!self->rounds || fair.rounds < self->rounds) {
        if (self->kind == FAIR_DONE) AIO_AWAIT(aio_ref(self->done));
        if (self->kind == FAIR_GATHER) AIO_AWAIT(aio_gather(&self->done, 1));
        if (self->kind == FAIR_WAIT) AIO_AWAIT(aio_wait(&self->done, 1));
        if (self->kind == FAIR_EVENT) AIO_AWAIT(aio_event_wait(&fair.event));
        if (self->kind == FAIR_CORO) {
            AIO_AWAIT(self->item, AIO_CALL(fair_ends));
            CHECK_INT(self->item, 7);
        }
        if (self->kind == FAIR_LOCK) {
            AIO_AWAIT(aio_lock_acquire(&fair_lock));
            ALWAYS(aio_lock_locked(&fair_lock));
            ALWAYS(aio_lock_release(&fair_lock) == 0);
        }
        if (self->kind == FAIR_SEMAPHORE) {
            AIO_AWAIT(aio_semaphore_acquire(&fair.semaphore));
            ALWAYS(aio_semaphore_release(&fair.semaphore) == 0);
        }
        if (self->kind == FAIR_PUT_GET || self->kind == FAIR_PUT) AIO_AWAIT(aio_queue_put(fair.queue, &self->item));
        if (self->kind == FAIR_GET && aio_queue_put_nowait(fair.queue, &self->item)) AIO_RAISE(ENOMEM);
        if (self->kind == FAIR_PUT) ALWAYS(aio_queue_get_nowait(fair.queue, &self->item) == 0);
        if (self->kind == FAIR_PUT_GET || self->kind == FAIR_GET) {
            fair.inside++;
            AIO_AWAIT(self->item, aio_queue_get(fair.queue, int));
            fair.inside--;
        }
        if (self->kind == FAIR_THREAD_PUT_GET || self->kind == FAIR_THREAD_PUT)
            AIO_AWAIT(aio_thread_queue_put(fair.thread_queue, &self->item));
        if (self->kind == FAIR_THREAD_GET && aio_thread_queue_put_nowait(fair.thread_queue, &self->item))
            AIO_RAISE(ENOMEM);
        if (self->kind == FAIR_THREAD_PUT) ALWAYS(aio_thread_queue_get_nowait(fair.thread_queue, &self->item) == 0);
        if (self->kind == FAIR_THREAD_PUT_GET || self->kind == FAIR_THREAD_GET) {
            fair.inside++;
            AIO_AWAIT(self->item, aio_thread_queue_get(fair.thread_queue, int));
            fair.inside--;
        }
        fair_round();
    }
    AIO_FINALLY;
    fair.finished = true;
    aio_unref(self->done);
    AIO_END;
}

struct fair_other { aio_task task; };
static AIO_CORO(fair_other)
{
    AIO_BEGIN(fair_other);
    while (!fair.finished) {
        fair.since = 0;
        AIO_AWAIT(aio_sleep(0));
    }
    AIO_END;
}

static void fair_close(void)
{
    if (!fair.queue) return;
    CHECK_INT(aio_queue_size(fair.queue) + aio_thread_queue_size(fair.thread_queue), fair.inside);
    ALWAYS(fair.semaphore.value == 1);
    aio_semaphore_destroy(&fair.semaphore);
    aio_event_destroy(&fair.event);
    aio_queue_free(fair.queue);
    aio_thread_queue_unref(fair.thread_queue);
    memset(&fair, 0, sizeof fair);
    fair.finished = true;
}

static bool fair_open(double work)
{
    memset(&fair, 0, sizeof fair);
    fair.work = work;
    aio_semaphore_init_bounded(&fair.semaphore, 1);
    aio_event_set(&fair.event);
    fair.queue = aio_queue_create(int);
    if (fair.queue) fair.thread_queue = aio_thread_queue_create(int);
    return fair.queue && fair.thread_queue;
}

#define FAIR_TURN (AIO__TURN_MESSAGES + AIO__TURN_AWAITS)

/* Others run after so many awaits of what is done, or after half a millisecond of them. */
struct turn_counts { aio_task task; int kind; struct fair_other *other; };
SCENARIO(turn_counts, .skip = KIND_SLICE) /* nothing is read */
{
    AIO_BEGIN(turn_counts);
    aio_loop_set_slow_callback_duration(aio_get_running_loop(), AIO_UNLIMITED);
    for (self->kind = 0; self->kind < 2 * FAIR_KINDS; self->kind++) {
        REQUIRE(fair_open(self->kind < FAIR_KINDS ? 0 : 0.0001));
        self->other = aio_create_task(AIO_CALL(fair_other));
        REQUIRE(self->other);
        AIO_AWAIT(AIO_CALL(fair_greedy, .kind = (enum fair_kind)(self->kind % FAIR_KINDS), .rounds = 500));
        CHECK_INT(fair.rounds, 500);
        CHECK(fair.most > 4);
        CHECK_INT(fair.inside, 0);
        if (self->kind < FAIR_KINDS) CHECK(fair.most <= FAIR_TURN);
        else CHECK(fair.most == 5 || fair.most == 6);
        AIO_AWAIT((void *)aio_ref(self->other));
        aio_unref(self->other);
        self->other = NULL;
        fair_close();
    }
    AIO_FINALLY;
    fair_close();
    aio_unref(self->other);
    AIO_END;
}

/* What never has to wait ends by a timeout all the same, at its time, and nothing that it took is lost. */
struct turn_timeout { aio_task task; int kind; double began; aio_queue *queue; };
SCENARIO(turn_timeout, .skip = KIND_SLICE)
{
    AIO_BEGIN(turn_timeout);
    aio_loop_set_slow_callback_duration(aio_get_running_loop(), AIO_UNLIMITED);
    for (self->kind = 0; self->kind < FAIR_KINDS; self->kind++) {
        REQUIRE(fair_open(0.0001));
        self->began = aio_loop_time(aio_get_running_loop());
        AIO_TRY {
            AIO_TIMEOUT(0.1) AIO_AWAIT(AIO_CALL(fair_greedy, .kind = (enum fair_kind)self->kind));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ETIMEOUT);
        } AIO_END_TRY;
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 0.1, 0.0021);
        fair_close();
    }
    AIO_FINALLY;
    fair_close();
    AIO_END;
}

/* So does what only puts, or only gets; and a put that throws has put nothing. */
struct turn_timeout_queues { aio_task task; int kind; double began; };
SCENARIO(turn_timeout_queues, .skip = KIND_SLICE)
{
    AIO_BEGIN(turn_timeout_queues);
    aio_loop_set_slow_callback_duration(aio_get_running_loop(), AIO_UNLIMITED);
    for (self->kind = FAIR_PUT; self->kind < FAIR_QUEUE_KINDS; self->kind++) {
        REQUIRE(fair_open(0.0001));
        self->began = aio_loop_time(aio_get_running_loop());
        AIO_TRY {
            AIO_TIMEOUT(0.01) AIO_AWAIT(AIO_CALL(fair_greedy, .kind = (enum fair_kind)self->kind, .rounds = 500));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ETIMEOUT);
        } AIO_END_TRY;
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->began, 0.01, 0.0021);
        fair_close();
    }
    AIO_FINALLY;
    fair_close();
    AIO_END;
}

/* A task that is cancelled in the place where its turn was over has what it awaited, and throws at its next await. */
struct fair_locker { aio_task task; int i; bool has; };
static AIO_CORO(fair_locker)
{
    AIO_BEGIN(fair_locker);
    for (self->i = 0; self->i < 2 * FAIR_TURN; self->i++) {
        AIO_AWAIT(aio_lock_acquire(&fair_lock));
        self->has = true;
        ALWAYS(aio_lock_release(&fair_lock) == 0);
        self->has = false;
    }
    AIO_FINALLY;
    ALWAYS(!self->has); /* it throws before it takes */
    AIO_END;
}

struct turn_cancelled { aio_task task; struct fair_locker *locker; };
SCENARIO(turn_cancelled, .skip = KIND_SLICE)
{
    AIO_BEGIN(turn_cancelled);
    self->locker = aio_create_task(AIO_CALL(fair_locker));
    REQUIRE(self->locker);
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_lock_locked(&fair_lock)); /* its turn is over, and it has the lock */
    CHECK(aio_task_cancel(self->locker));
    AIO_TRY {
        AIO_AWAIT((void *)aio_ref(self->locker));
        UNREACHED();
    } AIO_CATCH_ALL {
        CAUGHT(AIO_ECANCELLED);
    } AIO_END_TRY;
    CHECK_INT(aio_task_cancelling(self->locker), 1);
    AIO_FINALLY;
    aio_unref(self->locker);
    AIO_END;
}

/* So cancelled while a coroutine of its own has its turn over: what that returns is not lost. */
static int fair_made;
struct fair_maker { aio_task task; int result; };
static AIO_CORO(fair_maker)
{
    AIO_BEGIN(fair_maker);
    AIO_AWAIT(aio_lock_acquire(&fair_lock));
    ALWAYS(aio_lock_release(&fair_lock) == 0);
    fair_made++;
    AIO_RETURN(1);
    AIO_END;
}

struct fair_taker { aio_task task; int i, shift, got; };
static AIO_CORO(fair_taker)
{
    AIO_BEGIN(fair_taker);
    for (self->i = 0; self->i < self->shift; self->i++) {
        AIO_AWAIT(aio_lock_acquire(&fair_lock));
        ALWAYS(aio_lock_release(&fair_lock) == 0);
    }
    for (self->i = 0; self->i < 2 * FAIR_TURN; self->i++) {
        AIO_AWAIT(self->got, AIO_CALL(fair_maker));
        fair_made -= self->got;
    }
    AIO_END;
}

struct turn_cancelled_inside { aio_task task; struct fair_taker *taker; int shift; };
SCENARIO(turn_cancelled_inside, .skip = KIND_SLICE)
{
    AIO_BEGIN(turn_cancelled_inside);
    for (self->shift = 0; self->shift < 4; self->shift++) {
        fair_made = 0;
        self->taker = aio_create_task(AIO_CALL(fair_taker, .shift = self->shift));
        REQUIRE(self->taker);
        AIO_AWAIT(aio_sleep(0));
        CHECK(aio_task_cancel(self->taker));
        AIO_TRY {
            AIO_AWAIT((void *)aio_ref(self->taker));
            UNREACHED();
        } AIO_CATCH_ALL {
            CAUGHT(AIO_ECANCELLED);
        } AIO_END_TRY;
        CHECK_INT(fair_made, 0);
        aio_unref(self->taker);
        self->taker = NULL;
    }
    AIO_FINALLY;
    aio_unref(self->taker);
    AIO_END;
}

/* A cancel that a running task has to throw never takes what an await gave at once, when its turn ends there: the await
 * has its result, as asyncio's, which does not suspend; the first one that waits throws. */
enum late_kind { LATE_LOCK, LATE_SEMAPHORE, LATE_QUEUE, LATE_OWN, LATE_TASK, LATE_KINDS };
static struct { int entered, left, taken; aio_queue *queue; aio_semaphore semaphore; } overdue;
static aio_lock late_lock;

struct late_own { aio_future future; int result; };
static struct late_own *late_take(void)
{
    struct late_own *own = AIO_FUTURE(struct late_own);
    if (own) aio_future_set_result(own, 5);
    return own;
}

struct late_cancelled { aio_task task; enum late_kind kind; int got, i; struct fair_ends *ends; };
static AIO_CORO(late_cancelled)
{
    AIO_BEGIN(late_cancelled);
    self->ends = aio_create_task(AIO_CALL(fair_ends));
    if (!self->ends) AIO_RAISE(ENOMEM);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    ALWAYS(aio_task_cancel(self));
    for (self->i = 0; self->kind == LATE_OWN && self->i < 3; self->i++) { /* more than one await when it is over */
        clock_advance(0.002);
        AIO_AWAIT(self->got, late_take());
        overdue.taken += self->got;
    }
    clock_advance(0.002);
    if (self->kind == LATE_LOCK) {
        AIO_ASYNC_WITH(aio_lock_acquire(&late_lock), aio_lock_release(&late_lock)) {
            overdue.entered++;
            AIO_AWAIT(aio_sleep(1));
            UNREACHED();
        }
    }
    if (self->kind == LATE_SEMAPHORE) {
        AIO_ASYNC_WITH(aio_semaphore_acquire(&overdue.semaphore), aio_semaphore_release(&overdue.semaphore)) {
            overdue.entered++;
            AIO_AWAIT(aio_sleep(1));
            UNREACHED();
        }
    }
    if (self->kind == LATE_QUEUE) {
        AIO_AWAIT(self->got, aio_queue_get(overdue.queue, int));
        overdue.taken += self->got;
    }
    if (self->kind == LATE_TASK) {
        AIO_AWAIT(self->got, aio_create_task(AIO_CALL(fair_ends), .eager_start = true));
        overdue.taken += self->got - 2;
    }
    AIO_AWAIT(aio_sleep(1));
    UNREACHED();
    AIO_FINALLY;
    aio_unref(self->ends);
    AIO_END;
}

struct turn_over_takes_nothing { aio_task task; int kind, item; struct late_cancelled *t; };
SCENARIO(turn_over_takes_nothing, .skip = KIND_SLICE)
{
    AIO_BEGIN(turn_over_takes_nothing);
    for (self->kind = 0; self->kind < LATE_KINDS; self->kind++) {
        memset(&overdue, 0, sizeof overdue);
        aio_semaphore_init_bounded(&overdue.semaphore, 1);
        self->item = 5;
        overdue.queue = aio_queue_create(int);
        REQUIRE(overdue.queue && !aio_queue_put_nowait(overdue.queue, &self->item));
        self->t = aio_create_task(AIO_CALL(late_cancelled, .kind = (enum late_kind)self->kind));
        REQUIRE(self->t);
        AIO_TRY {
            AIO_AWAIT((void *)aio_ref(self->t));
            UNREACHED();
        } AIO_CATCH_ALL {
            CAUGHT(AIO_ECANCELLED);
        } AIO_END_TRY;
        ALWAYS(!aio_lock_locked(&late_lock) && overdue.semaphore.value == 1);
        if (self->kind == LATE_LOCK || self->kind == LATE_SEMAPHORE) CHECK_INT(overdue.entered, 1);
        if (self->kind == LATE_QUEUE) ALWAYS(overdue.taken == 5 || aio_queue_size(overdue.queue) == 1);
        if (self->kind >= LATE_QUEUE) CHECK_INT(overdue.taken, self->kind == LATE_OWN ? 15 : 5);
        aio_unref(self->t);
        self->t = NULL;
        aio_queue_free(overdue.queue);
        aio_semaphore_destroy(&overdue.semaphore);
        overdue.queue = NULL;
    }
    AIO_FINALLY;
    aio_unref(self->t);
    if (overdue.queue) {
        aio_queue_free(overdue.queue);
        aio_semaphore_destroy(&overdue.semaphore);
    }
    AIO_END;
}

/* So it leaves out no coroutine that cleans up, and does not have to wait for that. */
struct late_release { aio_task task; };
static AIO_CORO(late_release)
{
    AIO_BEGIN(late_release);
    overdue.left++;
    AIO_END;
}

struct late_leaves { aio_task task; }; /* the same, one await further in */
static AIO_CORO(late_leaves)
{
    AIO_BEGIN(late_leaves);
    clock_advance(0.002);
    AIO_AWAIT(AIO_CALL(late_release));
    AIO_END;
}

struct late_number { aio_task task; int result; };
static AIO_CORO(late_number)
{
    AIO_BEGIN_GENERATOR(late_number);
    AIO_YIELD(1);
    overdue.left++;
    AIO_END;
}

struct late_closed { aio_task task; int result, i; };
static AIO_CORO(late_closed)
{
    AIO_BEGIN_GENERATOR(late_closed);
    AIO_TRY {
        AIO_YIELD(1);
    } AIO_CATCH_ALL {
        for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(AIO_CALL(late_leaves));
        AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}

struct late_cleans { aio_task task; int i; };
static AIO_CORO(late_cleans)
{
    AIO_BEGIN(late_cleans);
    ALWAYS(aio_task_cancel(self));
    AIO_ASYNC_FOR(self->i, AIO_CALL(late_closed)) break;
    CHECK_INT(overdue.left, 3);
    AIO_AWAIT(AIO_CALL(fair_ends));
    UNREACHED();
    AIO_FINALLY;
    AIO_END;
}

struct late_exits { aio_task task; int i; };
static AIO_CORO(late_exits)
{
    AIO_BEGIN(late_exits);
    ALWAYS(aio_task_cancel(self));
    clock_advance(0.002);
    AIO_ASYNC_WITH(AIO_CALL(fair_ends), AIO_CALL(late_leaves)) {
        overdue.entered++;
        clock_advance(0.002);
    }
    AIO_FINALLY;
    clock_advance(0.002);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(AIO_CALL(late_leaves));
    AIO_ASYNC_FOR(self->i, AIO_CALL(late_number)) clock_advance(0.002);
    AIO_END;
}

struct turn_over_cleans { aio_task task; bool exits; aio_task *t; };
SCENARIO(turn_over_cleans, .skip = KIND_SLICE)
{
    AIO_BEGIN(turn_over_cleans);
    do {
        memset(&overdue, 0, sizeof overdue);
        self->t = self->exits ? (aio_task *)aio_create_task(AIO_CALL(late_exits))
                              : (aio_task *)aio_create_task(AIO_CALL(late_cleans));
        REQUIRE(self->t);
        AIO_TRY {
            AIO_AWAIT((void *)aio_ref(self->t));
            UNREACHED();
        } AIO_CATCH_ALL {
            CAUGHT(AIO_ECANCELLED);
        } AIO_END_TRY;
        CHECK_INT(overdue.entered, self->exits);
        CHECK_INT(overdue.left, self->exits ? 5 : 3);
        aio_unref(self->t);
        self->t = NULL;
    } while ((self->exits = !self->exits));
    AIO_FINALLY;
    aio_unref(self->t);
    AIO_END;
}

static int fair_reports;
static void fair_reported(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)loop;
    (void)exception;
    (void)arg;
    CHECK(strstr(message, fair_reports++ ? "slow task: 1000 ms" : "slow task: 100 ms") == message);
    CHECK(strstr(message, " ms without waiting for anything, at ") != NULL);
    CHECK(strstr(message, ", in fair_greedy"));
}

/* One that never waits is named. */
TEST(turn_without_end_is_named)
{
    aio_loop *loop = aio_new_event_loop();
    CHECK(loop && fair_open(0.0001));
    fair_reports = 0;
    aio_loop_set_exception_handler(loop, fair_reported, NULL);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(fair_greedy, .kind = FAIR_DONE, .rounds = 12000), NULL), 0);
    CHECK_INT(fair_reports, 2);
    fair_close();
    aio_loop_free(loop);
}

TEST(turn_limits)
{
    aio_loop *loop = aio_new_event_loop();
    CHECK(loop != NULL);
    CHECK_INT(aio_loop_set_turn_limits(NULL), EINVAL);
    CHECK_INT(aio_loop_set_turn_limits(loop, .seconds = -3), EINVAL);
    CHECK_INT(aio_loop_set_turn_limits(loop, .messages = 10, .bytes = 100, .seconds = 0.01), 0);
    loop->step_clock = seam_now;
    CHECK(!aio__turn_spent(loop, 0, 9));
    CHECK(!aio__turn_over(loop));
    CHECK(aio__turn_spent(loop, 0, 1));
    CHECK(aio__turn_over(loop));
    loop->looks++; /* another turn */
    CHECK(!aio__turn_over(loop));
    CHECK(!aio__turn_spent(loop, 99, 0));
    CHECK(aio__turn_spent(loop, 1, 0));
    loop->looks++;
    clock_advance(0.0099);
    CHECK(!aio__turn_spent(loop, 1, 8));
    clock_advance(0.0002);
    CHECK(!aio__turn_spent(loop, 1, 1)); /* the clock is not read for each */
    loop->looks++;
    CHECK(aio__turn_spent(loop, 1, 8));
    CHECK_INT(aio_loop_set_turn_limits(loop, .seconds = 1e300), 0);
    loop->looks++;
    CHECK(!aio__turn_spent(loop, AIO__TURN_BYTES - 1, AIO__TURN_MESSAGES - 1));
    CHECK(aio__turn_spent(loop, 1, 0));
    aio_loop_free(loop);
    CHECK_INT(aio_run(AIO_CALL(fair_ends), .turn = { .seconds = -3 }), 1);
}

/* ---- calls of other threads ---- */

static char fair_calls[1001];
static void fair_called(void *arg)
{
    fair_calls[fair.rounds] = *(const char *)arg;
    fair_round();
}

static int fair_post(aio_loop *loop, int count)
{
    static const char calls[] = "abcd";
    int code = 0;
    aio__running = NULL; /* as in another thread, whose running loop this is not */
    for (int i = 0; i < count && !code; i++)
        code = aio_loop_call_soon_threadsafe(loop, fair_called, (void *)(uintptr_t)&calls[i % 4]);
    aio__running = loop;
    return code;
}

static bool fair_in_order(void)
{
    for (int i = 0; i < 1000; i++)
        if (fair_calls[i] != "abcd"[i % 4]) return false;
    return true;
}

/* A thousand that have come at once are made in order, and in turns of their own; those that come later come later. */
struct turn_threadsafe { aio_task task; struct fair_other *other; bool posted; };
SCENARIO(turn_threadsafe, .skip = KIND_SLICE)
{
    AIO_BEGIN(turn_threadsafe);
    REQUIRE(fair_open(0));
    self->other = aio_create_task(AIO_CALL(fair_other));
    REQUIRE(self->other);
    REQUIRE(!fair_post(aio__running, 998));
    while (fair.rounds < 1000) {
        if (fair.rounds && !self->posted) REQUIRE(!fair_post(aio__running, 2));
        self->posted = fair.rounds > 0;
        AIO_AWAIT(aio_sleep(0));
    }
    CHECK(fair_calls[998] == 'a' && fair_calls[999] == 'b');
    fair_calls[998] = 'c';
    fair_calls[999] = 'd';
    CHECK(fair_in_order());
    CHECK(fair.most <= AIO__TURN_MESSAGES);
    AIO_FINALLY;
    fair_close();
    aio_unref(self->other);
    AIO_END;
}

/* ---- descriptors and timers while the queue is never empty ---- */

enum { FAIR_CROWD = 60 };
static struct { int64_t latest, worst; int steps, polls; bool stop; double work; size_t entries; } fair_crowd;

/* One of many that always have something to do: how long ago was the poller asked? */
struct crowded { aio_task task; };
static AIO_CORO(crowded)
{
    AIO_BEGIN(crowded);
    while (!fair_crowd.stop) {
        if (fair_crowd.steps++ == AIO__RECENT) fair_crowd.worst = 0; /* as above */
        if (self->task.future.loop->poll_clock != fair_crowd.latest) fair_crowd.polls++;
        fair_crowd.latest = self->task.future.loop->poll_clock;
        if (seam_now - fair_crowd.latest > fair_crowd.worst) fair_crowd.worst = seam_now - fair_crowd.latest;
        clock_advance(fair_crowd.work);
        AIO_AWAIT(aio_sleep(0));
    }
    AIO_END;
}

struct turn_crowd { aio_task task; struct crowded *all[FAIR_CROWD]; int i; double due; };
SCENARIO(turn_crowd, .skip = KIND_SLICE)
{
    AIO_BEGIN(turn_crowd);
    memset(&fair_crowd, 0, sizeof fair_crowd);
    fair_crowd.work = 0.0001;
    fair_crowd.latest = seam_now;
    for (self->i = 0; self->i < FAIR_CROWD; self->i++) {
        self->all[self->i] = aio_create_task(AIO_CALL(crowded));
        REQUIRE(self->all[self->i]);
    }
    self->due = aio_time() + 0.05;
    AIO_AWAIT(aio_sleep(0.05));
    CHECK_NEAR(aio_time() - self->due, 0, 0.0011 + FAIR_CROWD * fair_crowd.work); /* those before it in the queue */
    CHECK(fair_crowd.worst >= 900000 && fair_crowd.worst <= 1100000);
    CHECK(fair_crowd.polls > 40 && fair_crowd.polls < 60);
    AIO_FINALLY;
    fair_crowd.stop = true;
    aio_unref_all(self->all, FAIR_CROWD);
    AIO_END;
}

static void timer_never(void *arg) { (void)arg; }

/* However many are made and cancelled at once, dead ones stay fewer than a hundred, or than half. */
struct timer_dead { aio_task task; int i; aio_task *sleepers[40]; };
SCENARIO(timer_dead, .skip = KIND_SLICE)
{
    AIO_BEGIN(timer_dead);
    fair_crowd.entries = 0;
    for (self->i = 0; self->i < 5000; self->i++) {
        aio_handle_cancel(aio_loop_call_later(aio__running, 10 + self->i, timer_never, NULL));
        if (aio__running->entry_count > fair_crowd.entries) fair_crowd.entries = aio__running->entry_count;
        aio_future *dropped = aio_sleep(20 + self->i);
        REQUIRE(dropped);
        aio_unref(dropped);
        if (aio__running->entry_count > fair_crowd.entries) fair_crowd.entries = aio__running->entry_count;
        aio_future *cancelled = aio_sleep(30 + self->i);
        REQUIRE(cancelled);
        aio_future_cancel(cancelled);
        aio_unref(cancelled);
        if (aio__running->entry_count > fair_crowd.entries) fair_crowd.entries = aio__running->entry_count;
    }
    CHECK(fair_crowd.entries > 90 && fair_crowd.entries <= 101);
    CHECK(aio__running->entry_capacity <= 128);
    AIO_END;
}

/* A callback for now comes in the next iteration, though the queue is never empty. */
struct timer_now { aio_task task; int i, at; };
static void timer_note_now(void *arg) { ((struct timer_now *)arg)->at = ((struct timer_now *)arg)->i; }
SCENARIO(timer_now)
{
    AIO_BEGIN(timer_now);
    for (self->i = 0; self->i < 300; self->i++) AIO_AWAIT(aio_sleep(0)); /* the clock is read seldom now */
    clock_advance(1e-6);
    REQUIRE(aio_loop_call_later(aio__running, 0, timer_note_now, self).generation);
    for (self->i = 1; self->i < 9; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_INT(self->at, 2);
    AIO_END;
}

/* ---- timers of one pass ---- */

static char timer_log[16];
static aio_event timer_event;
static struct timer_sleeper *timer_victim;
static void timer_say(char name) { timer_log[strlen(timer_log)] = name; }

struct timer_sleeper { aio_task task; double delay; char name; };
static AIO_CORO(timer_sleeper)
{
    AIO_BEGIN(timer_sleeper);
    AIO_AWAIT(aio_sleep(self->delay));
    timer_say(self->name);
    AIO_END;
}

static void timer_says(void *arg) { timer_say(*(const char *)arg); }
static void timer_cancels(void *arg)
{
    timer_says(arg);
    if (timer_victim) aio_task_cancel(timer_victim);
}
static void timer_sets(void *arg)
{
    timer_says(arg);
    aio_event_set(&timer_event);
}

/* All that is due runs in the order of its times, before any task that it wakes: a callback of 3 ms can still cancel a
 * task that has slept for 2, and a timeout of 2 ms is one though an event of 3 ms comes in the same pass. */
struct timer_pass { aio_task task; struct timer_sleeper *b; };
SCENARIO(timer_pass)
{
    static char x[] = "x", y[] = "y", c[] = "c", e[] = "e";
    AIO_BEGIN(timer_pass);
    aio_event_clear(&timer_event);
    memset(timer_log, 0, sizeof timer_log);
    timer_victim = aio_create_task(AIO_CALL(timer_sleeper, .delay = 0.002, .name = 'a'));
    self->b = aio_create_task(AIO_CALL(timer_sleeper, .delay = 0.001, .name = 'b'));
    REQUIRE(timer_victim && self->b);
    AIO_AWAIT(aio_sleep(0));
    REQUIRE(aio_loop_call_later(aio__running, 0.004, timer_says, y).generation);
    REQUIRE(aio_loop_call_later(aio__running, 0.003, timer_cancels, c).generation);
    REQUIRE(aio_loop_call_later(aio__running, -1, timer_says, y).generation);
    REQUIRE(aio_loop_call_later(aio__running, -2, timer_says, x).generation);
    REQUIRE(aio_loop_call_at(aio__running, -1, timer_says, e).generation);
    clock_advance(0.01);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(timer_log, "exycyb");
    CHECK(aio_future_cancelled(timer_victim));
    memset(timer_log, 0, sizeof timer_log);
    AIO_TRY {
        AIO_TIMEOUT(0.002) {
            REQUIRE(aio_loop_call_later(aio__running, 0.003, timer_sets, e).generation);
            clock_advance(0.01);
            AIO_AWAIT(aio_event_wait(&timer_event));
            UNREACHED();
        }
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
    } AIO_END_TRY;
    CHECK_STR(timer_log, "e");
    AIO_FINALLY;
    if (timer_victim) aio_task_cancel(timer_victim);
    if (self->b) aio_task_cancel(self->b);
    aio_unref(timer_victim);
    aio_unref(self->b);
    timer_victim = NULL;
    aio_event_destroy(&timer_event);
    AIO_END;
}

/* Outside of a running loop aio_sleep is one of the loop that is set; aio_time is right everywhere. */
TEST(timer_sleep_outside)
{
    aio_loop *loop = aio_new_event_loop();
    double began = aio_time();
    CHECK_NEAR(began, (double)seam_now / 1e9, 1e-6);
    aio_future *none = aio_sleep(1);
    CHECK_INT(aio_future_exception(none)->code, AIO_ENOLOOP);
    aio_unref(none);
    aio_set_event_loop(loop);
    for (int i = 0; i < 2; i++) CHECK_INT(aio_loop_run_until_complete(loop, aio_sleep(i * 1.5), NULL), 0);
    CHECK_NEAR(aio_time() - began, 1.5, 0.01);
    CHECK(!aio_loop_call_later(loop, -1.0 / 0.0, timer_never, NULL).generation);
    CHECK(!aio_loop_call_at(loop, 0.0 / 0.0, timer_never, NULL).generation);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}

static void timer_count(void *object, void *arg)
{
    (void)object;
    ++*(int *)arg;
}

/* A sleep that was dropped is freed when its time comes. */
TEST(timer_dropped_sleeps_are_freed)
{
    aio_loop *loop = aio_new_event_loop();
    int live = 0;
    aio_set_event_loop(loop);
    for (int i = 0; i < 50; i++) aio_unref(aio_sleep(0.001 * i + 0.001));
    aio__heap_each(&loop->frames, timer_count, &live);
    CHECK_INT(live, 50);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_sleep(1), NULL), 0);
    live = 0;
    aio__heap_each(&loop->frames, timer_count, &live);
    CHECK_INT(live, 0);
    void *kept[10]; /* cancelled, and kept until their time is over: they go with their last owner */
    for (int i = 0; i < 10; i++) CHECK(aio_future_cancel(kept[i] = aio_sleep(0.001)));
    CHECK_INT(aio_loop_run_until_complete(loop, aio_sleep(1), NULL), 0);
    aio_unref_all(kept, 10);
    aio__heap_each(&loop->frames, timer_count, &live);
    CHECK_INT(live, 0);
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
}

/* ---- on the real clock ---- */

struct fair_eats { aio_task task; int port; aio_stream *stream; aio_text line; };
static AIO_CORO(fair_eats)
{
    AIO_BEGIN(fair_eats);
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", self->port));
    AIO_ASYNC_FOR(self->line, aio_stream_readline(self->stream)) {
        for (volatile int i = 0; i < 3000; i++) { }
    }
    AIO_FINALLY;
    if (self->stream) aio_stream_abort(self->stream);
    AIO_END;
}

/* A peer in a process of its own, which writes for 10 s; its port. */
static pid_t fair_floods(int *port)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)&address, size) && !listen(fd, 1));
    CHECK(!getsockname(fd, (struct sockaddr *)&address, &size));
    *port = ntohs(address.sin_port);
    fflush(stdout);
    pid_t peer = fork();
    if (peer == 0) {
        static char block[65536];
        memset(block, 'x', sizeof block);
        for (size_t i = 99; i < sizeof block; i += 100) block[i] = '\n';
        signal(SIGPIPE, SIG_IGN);
        alarm(10);
        int client = accept(fd, NULL, NULL);
        while (send(client, block, sizeof block, 0) > 0) { }
        _exit(0);
    }
    close(fd);
    return peer;
}

/* True in the program's process. */
static bool fair_program(pid_t *program)
{
    if ((*program = fork()) != 0) return false;
    aio__os = seam_real;
    signal(SIGINT, SIG_DFL);
    fclose(stderr);
    return true;
}

static void fair_flooded(pid_t peer)
{
    int status;
    kill(peer, SIGKILL);
    waitpid(peer, &status, 0);
}

/* SIGINT ends a program whose peer writes as fast as it is read: long before the peer ends, which is after 10 s. */
TEST(turn_interrupted)
{
    int port, status = 0;
    pid_t program, peer = fair_floods(&port);
    if (fair_program(&program)) _exit(aio_run(AIO_CALL(fair_eats, .port = port)));
    nanosleep(&(struct timespec){ 0, 300000000 }, NULL);
    int64_t began = seam_real.clock();
    kill(program, SIGINT);
    CHECK(waitpid(program, &status, 0) == program && WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 130);
    CHECK(seam_real.clock() - began < 3000000000); /* 100 ms, on a machine that has nothing else to do */
    fair_flooded(peer);
}

/* Wakes every 10 ms. `longest`: of the times between two. */
static struct { int64_t began, took, woke, longest; long ticks; bool timed_out; } fair_pauses;
static void fair_woke(void)
{
    int64_t at = seam_real.clock();
    if (at - fair_pauses.woke > fair_pauses.longest) fair_pauses.longest = at - fair_pauses.woke;
    fair_pauses.woke = at;
}

struct fair_wakes { aio_task task; };
static AIO_CORO(fair_wakes)
{
    AIO_BEGIN(fair_wakes);
    for (;; fair_pauses.ticks++) {
        AIO_AWAIT(aio_sleep(0.01));
        fair_woke();
    }
    AIO_END;
}

struct fair_in_time { aio_task task; int port; struct fair_wakes *wakes; };
static AIO_CORO(fair_in_time)
{
    AIO_BEGIN(fair_in_time);
    self->wakes = aio_create_task(AIO_CALL(fair_wakes));
    if (!self->wakes) AIO_RAISE(ENOMEM);
    fair_pauses.began = fair_pauses.woke = seam_real.clock();
    AIO_TRY {
        AIO_TIMEOUT(0.5) AIO_AWAIT(AIO_CALL(fair_eats, .port = self->port));
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
        fair_pauses.timed_out = true;
    } AIO_END_TRY;
    fair_woke(); /* the last pause, too, may be the longest */
    fair_pauses.took = fair_pauses.woke - fair_pauses.began;
    AIO_FINALLY;
        if (self->wakes) aio_task_cancel(self->wakes);
        aio_unref(self->wakes);
    AIO_END;
}

/* So a timeout comes at its time, and what sleeps wakes: 50 ms late and after 20 ms, where there is nothing else. */
TEST(turn_timeout_in_flood)
{
    int port, status = 0, ends[2];
    CHECK_INT(pipe(ends), 0);
    pid_t program, peer = fair_floods(&port);
    if (fair_program(&program)) {
        memset(&fair_pauses, 0, sizeof fair_pauses);
        int code = aio_run(AIO_CALL(fair_in_time, .port = port));
        _exit(write(ends[1], &fair_pauses, sizeof fair_pauses) == (ssize_t)sizeof fair_pauses ? code : 9);
    }
    close(ends[1]);
    memset(&fair_pauses, 0, sizeof fair_pauses);
    CHECK(read(ends[0], &fair_pauses, sizeof fair_pauses) == (ssize_t)sizeof fair_pauses);
    close(ends[0]);
    CHECK(waitpid(program, &status, 0) == program && WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
    bool in_time = CHECK(fair_pauses.timed_out && fair_pauses.took >= 499000000 && fair_pauses.took < 4000000000);
    bool woke = CHECK(fair_pauses.ticks > 3 && fair_pauses.longest < 3000000000);
    if (!in_time || !woke)
        printf("# %.3f s, %ld ticks, a pause of %.3f s\n", (double)fair_pauses.took / 1e9, fair_pauses.ticks,
               (double)fair_pauses.longest / 1e9);
    fair_flooded(peer);
}
