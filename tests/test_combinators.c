/* gather, wait, wait_for, as_completed, shield. */

/* A child: sleeps, then gives or fails. Cancelled, if it is stubborn, it sleeps on for `hold` and gives or fails. */
struct comb_kid { aio_task task; int result; double delay, hold; int give, fail, cancelled; bool stubborn, started; };
static AIO_CORO(comb_kid)
{
    AIO_BEGIN(comb_kid);
    self->started = true;
    AIO_TRY {
        AIO_AWAIT(aio_sleep(self->delay));
    } AIO_CATCH_ALL {
        self->cancelled++;
        if (!self->stubborn || aio_caught(self)->code != AIO_ECANCELLED) AIO_RERAISE();
        AIO_AWAIT(aio_sleep(self->hold));
    } AIO_END_TRY
    if (self->fail) AIO_RAISE(self->fail, "kid %d", self->give);
    AIO_RETURN(self->give);
    AIO_END;
}
#define comb_kid(...) AIO_CALL(comb_kid, __VA_ARGS__)

static int comb_result(const struct comb_kid *kid) { return kid ? kid->result : -1; }
static double comb_now(void) { return aio_loop_time(aio_get_running_loop()) - 1000; }
static int comb_code(void *future)
{
    const aio_exception *error = aio_future_exception(future);
    return error ? error->code : 0;
}

/* ---- all of them ---- */

/* With eager tasks, a coroutine of the array that an earlier one has come to await is refused. */
struct comb_awaits { aio_task task; void *other; };
static AIO_CORO(comb_awaits)
{
    AIO_BEGIN(comb_awaits);
    AIO_AWAIT(aio_ref(self->other));
    AIO_END;
}

struct comb_eager { aio_task task; void *pair[2]; int way; aio_completions *all; };
SCENARIO(comb_eager)
{
    AIO_BEGIN(comb_eager);
    aio_loop_set_task_factory(aio_get_running_loop(), aio_eager_task_factory, NULL);
    for (self->way = 0; self->way < 3; self->way++) {
        self->pair[1] = comb_kid(.delay = 1);
        self->pair[0] = AIO_CALL(comb_awaits, .other = self->pair[1]);
        AIO_TRY {
            if (self->way == 0) AIO_AWAIT(aio_gather(self->pair, 2));
            if (self->way == 1) AIO_AWAIT(aio_wait(self->pair, 2, .timeout = 5));
            if (self->way == 2 && !(self->all = aio_as_completed(self->pair, 2, .timeout = 5))) AIO_RAISE(errno);
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(AIO_ERUNTIME);
        } AIO_END_TRY
        AIO_AWAIT(aio_sleep(2));
        CHECK(self->pair[0] && aio_future_done(self->pair[0]));
        aio_unref_all(self->pair, 2);
    }
    AIO_FINALLY;
    aio_unref(self->all);
    aio_unref_all(self->pair, 2);
    AIO_END;
}

/* Given back when the loop is closed, which has freed their timers. */
TEST(comb_after_close)
{
    for (int way = 0; way < 2; way++) {
        aio_loop *loop = aio_new_event_loop();
        aio_set_event_loop(loop);
        void *future = aio_future_create();
        void *all = way ? (void *)aio_wait(&future, 1, .timeout = 5)
                        : (void *)aio_as_completed(&future, 1, .timeout = 5);
        CHECK(all != NULL);
        CHECK_INT(aio_loop_close(loop), 0);
        size_t dead = loop->entry_dead;
        aio_unref(all);
        CHECK_INT(loop->entry_dead, dead);
        aio_unref(future);
        aio_loop_free(loop);
    }
}

/* In a thread that has set a loop which runs in another: nothing of that one is touched. */
static void *comb_thread(void *arg)
{
    aio_set_event_loop((aio_loop *)arg);
    CHECK_PTR(aio_get_event_loop(), (aio_loop *)arg);
    CHECK_PTR(aio_future_create(), NULL);
    void *kid = comb_kid(.delay = 0);
    void *refused[] = { aio_gather(&kid, 1), aio_wait(&kid, 1), aio_sleep(1) };
    CHECK(!aio_as_completed(&kid, 1) && errno == AIO_ENOLOOP);
    for (int i = 0; i < 3; i++) CHECK_INT(comb_code(refused[i]), AIO_ENOLOOP);
    CHECK(!aio_create_task(kid) && errno == AIO_EWRONGTHREAD);
    aio_unref_all(refused, 3);
    return NULL;
}

static void comb_asks_thread(void *arg)
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, comb_thread, arg), 0);
    pthread_join(thread, NULL);
    aio_loop_stop((aio_loop *)arg);
}

TEST(comb_other_thread)
{
    aio_loop *loop = aio_new_event_loop();
    aio_loop_call_soon(loop, comb_asks_thread, loop);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    aio_loop_free(loop);
}

/* ---- gather ---- */

struct gather_gives_all { aio_task task; struct comb_kid *kid[4]; };
SCENARIO(gather_gives_all)
{
    AIO_BEGIN(gather_gives_all);
    self->kid[0] = comb_kid(.delay = 2, .give = 1);
    self->kid[1] = comb_kid(.delay = 1, .give = 2);
    self->kid[2] = comb_kid(.delay = 0, .give = 3);
    self->kid[3] = aio_create_task(comb_kid(.delay = 3, .give = 4));
    AIO_AWAIT(aio_gather(self->kid, 4));
    CHECK_NEAR(comb_now(), 3, 0.01);
    CHECK_INT(self->kid[0]->result * 10 + self->kid[1]->result, 12);
    CHECK_INT(self->kid[2]->result * 10 + self->kid[3]->result, 34);
    AIO_AWAIT(aio_gather(self->kid, 4)); /* once more: they are done */
    CHECK_NEAR(comb_now(), 3, 0.01);
    AIO_FINALLY;
    aio_unref_all(self->kid, 4);
    AIO_END;
}

struct gather_of_none { aio_task task; aio_future *gather; };
SCENARIO(gather_of_none)
{
    AIO_BEGIN(gather_of_none);
    self->gather = aio_gather(NULL, 0);
    CHECK(aio_future_done(self->gather));
    AIO_AWAIT(aio_ref(self->gather));
    AIO_FINALLY;
    aio_unref(self->gather);
    AIO_END;
}

struct gather_shares_duplicates { aio_task task; struct comb_kid *kid[3]; aio_future *gather; };
SCENARIO(gather_shares_duplicates)
{
    AIO_BEGIN(gather_shares_duplicates);
    self->kid[0] = self->kid[2] = comb_kid(.delay = 1, .give = 5, .stubborn = true);
    aio_ref(self->kid[2]);
    self->kid[1] = comb_kid(.delay = 2, .give = 6, .stubborn = true);
    self->gather = aio_gather(self->kid, 3);
    AIO_AWAIT(aio_sleep(0));
    REQUIRE(aio_future_cancel(self->gather));
    CHECK_INT(aio_task_cancelling(self->kid[0]), 1); /* once, not twice */
    AIO_TRY {
        AIO_AWAIT(aio_ref(self->gather));
        CHECK(false);
    } AIO_CATCH_ALL {
        CHECK_INT(aio_caught(self)->code, AIO_ECANCELLED);
    } AIO_END_TRY
    CHECK_INT(comb_result(self->kid[0]), 5);
    CHECK_INT(comb_result(self->kid[2]), 5);
    AIO_FINALLY;
    aio_unref(self->gather);
    aio_unref_all(self->kid, 3);
    AIO_END;
}

struct gather_raises_the_first_error { aio_task task; struct comb_kid *kid[3]; int code; };
SCENARIO(gather_raises_the_first_error, .may = { EIO, EPERM })
{
    AIO_BEGIN(gather_raises_the_first_error);
    self->kid[0] = comb_kid(.delay = 2, .give = 1, .fail = EPERM);
    self->kid[1] = comb_kid(.delay = 1, .give = 2, .fail = EIO);
    self->kid[2] = comb_kid(.delay = 3, .give = 3);
    AIO_TRY {
        AIO_AWAIT(aio_gather(self->kid, 3));
        CHECK(false);
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
        CHECK_STR(aio_caught(self)->message, "kid 2");
    } AIO_END_TRY
    REQUIRE(self->code == EIO);
    CHECK_NEAR(comb_now(), 1, 0.01);
    CHECK(!aio_future_done(self->kid[0])); /* the siblings run on */
    CHECK_INT(aio_task_cancelling(self->kid[2]), 0);
    AIO_AWAIT(aio_ref(self->kid[2]));
    CHECK_INT(comb_result(self->kid[2]), 3);
    CHECK(aio_future_done(self->kid[0])); /* its error, which nobody looks at, is not reported */
    AIO_FINALLY;
    aio_unref_all(self->kid, 3);
    AIO_END;
}

struct gather_collects_errors { aio_task task; struct comb_kid *kid[4]; };
SCENARIO(gather_collects_errors)
{
    AIO_BEGIN(gather_collects_errors);
    self->kid[0] = comb_kid(.delay = 1, .fail = EPERM);
    self->kid[1] = aio_create_task(comb_kid(.delay = 9));
    self->kid[2] = comb_kid(.delay = 2, .give = 3);
    aio_task_cancel(self->kid[1]);
    AIO_AWAIT(aio_gather(self->kid, 4, .return_exceptions = true)); /* the fourth is NULL */
    CHECK_NEAR(comb_now(), 2, 0.01);
    CHECK_INT(comb_code(self->kid[0]), EPERM);
    CHECK_INT(comb_code(self->kid[1]), AIO_ECANCELLED);
    CHECK_INT(comb_code(self->kid[2]), 0);
    CHECK_INT(comb_result(self->kid[2]), 3);
    CHECK_INT(comb_code(self->kid[3]), ENOMEM);
    AIO_FINALLY;
    aio_unref_all(self->kid, 4);
    AIO_END;
}

struct gather_child_cancelled { aio_task task; struct comb_kid *kid[2]; int code; };
SCENARIO(gather_child_cancelled)
{
    AIO_BEGIN(gather_child_cancelled);
    self->kid[0] = aio_create_task(comb_kid(.delay = 9));
    self->kid[1] = comb_kid(.delay = 2, .give = 7);
    aio_task_cancel_message(self->kid[0], "enough");
    AIO_TRY {
        AIO_AWAIT(aio_gather(self->kid, 2));
    } AIO_CATCH_ALL {
        self->code = aio_caught(self)->code;
        CHECK_STR(aio_caught(self)->message, "enough");
    } AIO_END_TRY
    REQUIRE(self->code == AIO_ECANCELLED);
    CHECK(!aio_future_done(self->kid[1]));
    CHECK_INT(aio_task_cancelling(&self->task), 0);
    AIO_AWAIT(aio_ref(self->kid[1]));
    CHECK_INT(comb_result(self->kid[1]), 7);
    AIO_FINALLY;
    aio_unref_all(self->kid, 2);
    AIO_END;
}

struct gather_null_child { aio_task task; struct comb_kid *kid[2]; int code; };
SCENARIO(gather_null_child)
{
    AIO_BEGIN(gather_null_child);
    self->kid[1] = comb_kid(.delay = 1, .give = 7);
    AIO_TRY {
        AIO_AWAIT(aio_gather(self->kid, 2));
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    REQUIRE(self->code == ENOMEM);
    AIO_AWAIT(aio_ref(self->kid[1])); /* it was scheduled all the same */
    CHECK_INT(comb_result(self->kid[1]), 7);
    AIO_FINALLY;
    aio_unref_all(self->kid, 2);
    AIO_END;
}

/* The cancel of what awaits a gather reaches all children; it ends when they have, in cancelled, whatever they give. */
struct gather_awaiter { aio_task task; struct comb_kid *kid[3]; bool collect; };
static AIO_CORO(gather_awaiter)
{
    AIO_BEGIN(gather_awaiter);
    self->kid[0] = comb_kid(.delay = 5, .stubborn = true, .hold = 1);
    self->kid[1] = comb_kid(.delay = 5, .stubborn = true, .hold = 2);
    self->kid[2] = comb_kid(.delay = 1);
    AIO_AWAIT(aio_gather(self->kid, 3, .return_exceptions = self->collect));
    AIO_FINALLY;
    aio_unref_all(self->kid, 3);
    AIO_END;
}

struct gather_cancelled { aio_task task; struct gather_awaiter *awaiter; int i, code; };
SCENARIO(gather_cancelled)
{
    AIO_BEGIN(gather_cancelled);
    for (self->i = 0; self->i < 2; self->i++) {
        self->awaiter = aio_create_task(AIO_CALL(gather_awaiter, .collect = self->i == 1));
        AIO_AWAIT(aio_sleep(2));
        aio_task_cancel_message(self->awaiter, "stop");
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->awaiter));
        } AIO_CATCH_ALL {
            self->code = aio_caught(self)->code;
            CHECK_STR(aio_caught(self)->message, "stop");
        } AIO_END_TRY
        REQUIRE(self->code == AIO_ECANCELLED);
        CHECK_NEAR(comb_now(), 4 * (self->i + 1), 0.01);
        aio_unref(self->awaiter);
        self->awaiter = NULL;
        self->code = 0;
    }
    AIO_FINALLY;
    aio_unref(self->awaiter);
    AIO_END;
}

/* Cancelled, and a child fails meanwhile: without return_exceptions its error is the first. */
struct gather_cancelled_fails { aio_task task; struct comb_kid *kid[2]; aio_future *gather; int code; };
SCENARIO(gather_cancelled_fails)
{
    AIO_BEGIN(gather_cancelled_fails);
    self->kid[0] = comb_kid(.delay = 5, .stubborn = true, .hold = 1, .fail = EIO);
    self->kid[1] = comb_kid(.delay = 5, .stubborn = true, .hold = 2);
    self->gather = aio_gather(self->kid, 2);
    AIO_AWAIT(aio_sleep(1));
    aio_future_cancel(self->gather);
    AIO_TRY {
        AIO_AWAIT(aio_ref(self->gather));
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    REQUIRE(self->code == EIO);
    CHECK_NEAR(comb_now(), 2, 0.01);
    CHECK(!aio_future_cancel(self->gather)); /* done */
    AIO_AWAIT(aio_ref(self->kid[1]));
    AIO_FINALLY;
    aio_unref(self->gather);
    aio_unref_all(self->kid, 2);
    AIO_END;
}

struct gather_of_plain_futures { aio_task task; aio_future *future[4]; aio_future *gather; };
SCENARIO(gather_of_plain_futures)
{
    AIO_BEGIN(gather_of_plain_futures);
    self->future[0] = aio_future_create();
    self->future[1] = aio_sleep(2);
    self->future[2] = aio_sleep(0);
    self->future[3] = aio_sleep(0);
    self->gather = aio_gather(self->future, 4);
    REQUIRE(self->gather && self->future[0]);
    CHECK(self->future[2] != self->future[3]);
    aio_future_set_done(self->future[0]);
    AIO_AWAIT(aio_ref(self->gather));
    CHECK_NEAR(comb_now(), 2, 0.01);
    AIO_FINALLY;
    aio_unref(self->gather);
    aio_unref_all(self->future, 4);
    AIO_END;
}

/* A gather that nobody wants any more lets its children run. */
struct gather_dropped { aio_task task; struct comb_kid *kid[2]; };
SCENARIO(gather_dropped)
{
    AIO_BEGIN(gather_dropped);
    self->kid[0] = comb_kid(.delay = 1, .give = 1);
    self->kid[1] = comb_kid(.delay = 2, .give = 2);
    aio_unref(aio_gather(self->kid, 2));
    REQUIRE(self->kid[0] && self->kid[1] && aio_current_task());
    AIO_AWAIT(aio_gather(self->kid, 2));
    CHECK_INT(comb_result(self->kid[0]) + comb_result(self->kid[1]), 3);
    AIO_FINALLY;
    aio_unref_all(self->kid, 2);
    AIO_END;
}

struct gather_of_gathers { aio_task task; struct comb_kid *kid[4]; aio_future *half[2]; };
SCENARIO(gather_of_gathers)
{
    AIO_BEGIN(gather_of_gathers);
    self->kid[0] = comb_kid(.delay = 1, .give = 1);
    self->kid[1] = comb_kid(.delay = 2, .give = 2);
    self->kid[2] = comb_kid(.delay = 3, .give = 3);
    self->kid[3] = comb_kid(.delay = 4, .give = 4);
    self->half[0] = aio_gather(self->kid, 2);
    self->half[1] = aio_gather(self->kid + 2, 2);
    AIO_AWAIT(aio_gather(self->half, 2));
    CHECK_INT(comb_result(self->kid[3]), 4);
    CHECK_NEAR(comb_now(), 4, 0.01);
    AIO_FINALLY;
    aio_unref_all(self->half, 2);
    aio_unref_all(self->kid, 4);
    AIO_END;
}

/* A chain of gathers that is longer than the C stack is deep: cancelled from its end. */
enum { COMB_DEEP = 100000 };
struct gather_link { aio_task task; aio_task *inner[1]; };
static AIO_CORO(gather_link)
{
    AIO_BEGIN(gather_link);
    AIO_AWAIT(aio_gather(self->inner, 1));
    AIO_FINALLY;
    aio_unref_all(self->inner, 1);
    AIO_END;
}

TEST(gather_deep_cancel)
{
    aio_loop *loop = aio_new_event_loop();
    aio_loop_set_exception_handler(loop, on_report, NULL);
    aio_set_event_loop(loop);
    aio_task *task = (aio_task *)aio_create_task(comb_kid(.delay = 100));
    for (int i = 0; i < COMB_DEEP; i++) {
        struct gather_link *next = AIO_CALL(gather_link, .inner = { task });
        task = (aio_task *)aio_create_task(next);
    }
    aio_loop_stop(loop);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK(aio_task_cancel(task));
    CHECK_INT(aio_loop_run_until_complete(loop, task, NULL), AIO_ECANCELLED);
    CHECK_NEAR(aio_loop_time(loop), 1000, 1);
    aio_loop_free(loop);
}

struct comb_owner { aio_future future; void *inner; }; /* a future of a user's that owns another */
static int comb_owners;
static void comb_owner_destroy(void *future)
{
    comb_owners--;
    aio_unref(((struct comb_owner *)future)->inner);
}
static const aio_future_kind comb_owner_kind = { .name = "owner", .destroy = comb_owner_destroy };

/* One more around it, which takes it; `how`: 0 to 5. */
static void *comb_around(void *inner, int how)
{
    void *one[1] = { inner }, *around = NULL;
    if (how == 5) return aio_wait_for((struct comb_kid *)inner, 100);
    if (how == 2) return aio_wait_for((aio_future *)inner, 100);
    if (how == 3) return aio_shield((aio_future *)inner);
    if (how == 0) around = aio_gather(one, 1);
    if (how == 1) around = aio_wait(one, 1);
    if (how < 2) {
        aio_unref(inner);
        return around;
    }
    struct comb_owner *owner = AIO_FUTURE_WITH(struct comb_owner, &comb_owner_kind);
    if (!owner) return NULL;
    owner->inner = inner;
    comb_owners++;
    return owner;
}

/* Futures about futures, in a chain that is longer than the C stack is deep: forgotten, or cancelled from outside. */
TEST(comb_deep_ends, .skip = KIND_DEBUG)
{
    aio_loop *loop = aio_new_event_loop();
    aio_loop_set_exception_handler(loop, on_report, NULL); /* coroutines that were never awaited */
    aio_set_event_loop(loop);
    for (int how = 0; how < 6; how++) {
        for (int cancel = 0; cancel < 2; cancel++) {
            aio_future *innermost = aio_future_create();
            void *outer = how == 5 ? (void *)comb_kid(.delay = 100) : aio_ref(innermost);
            for (int i = 0; i < COMB_DEEP && outer; i++) outer = comb_around(outer, how);
            CHECK(outer);
            if (cancel) {
                CHECK(aio_future_cancel(outer));
                CHECK_INT(aio_loop_run_until_complete(loop, aio_ref(outer), NULL), AIO_ECANCELLED);
                CHECK_INT(aio_future_cancelled(innermost), how == 0 || how == 2);
            }
            aio_unref(outer);
            CHECK_INT(comb_owners, 0);
            if (how != 3) CHECK_INT((int)innermost->refs, 1); /* a shield stays until then */
            aio_future_set_done(innermost);
            aio_loop_stop(loop);
            CHECK_INT(aio_loop_run_forever(loop), 0);
            aio_unref(innermost);
        }
    }
    aio_loop_free(loop);
}

struct gather_wrong { aio_task task; struct comb_kid *kid[1]; int code; };
SCENARIO(gather_wrong)
{
    AIO_BEGIN(gather_wrong);
    AIO_TRY { AIO_AWAIT(aio_gather(NULL, 1)); } AIO_CATCH { self->code = aio_caught(self)->code; } AIO_END_TRY
    REQUIRE(self->code == EINVAL);
    AIO_END;
}

TEST(gather_needs_a_loop)
{
    aio_set_event_loop(NULL);
    aio_future *gather = aio_gather(NULL, 0);
    CHECK_INT(comb_code(gather), AIO_ENOLOOP);
    aio_unref(gather);
}

TEST(gather_of_two_loops)
{
    aio_loop *loop = aio_new_event_loop(), *other = aio_new_event_loop();
    aio_set_event_loop(other);
    aio_future *future[1] = { aio_future_create() };
    aio_set_event_loop(loop);
    aio_future *gather = aio_gather(future, 1);
    CHECK_INT(comb_code(gather), AIO_EWRONGLOOP);
    aio_unref(gather);
    aio_unref_all(future, 1);
    aio_loop_free(loop);
    aio_loop_free(other);
}

/* A coroutine that somebody awaits already is no child, and wait_for and shield cannot take it. */
struct comb_taker { aio_task task; struct comb_kid *kid; };
static AIO_CORO(comb_taker)
{
    AIO_BEGIN(comb_taker);
    AIO_AWAIT(aio_ref(self->kid));
    AIO_END;
}
struct gather_of_awaited {
    aio_task task;
    struct comb_taker *taker;
    struct comb_kid *kid[1];
    aio_future *refused[4];
    int i;
};
SCENARIO(gather_of_awaited)
{
    AIO_BEGIN(gather_of_awaited);
    self->kid[0] = comb_kid(.delay = 2, .give = 3);
    self->taker = aio_create_task(AIO_CALL(comb_taker, .kid = self->kid[0]));
    AIO_AWAIT(aio_sleep(1));
    REQUIRE(self->kid[0] && self->taker && self->kid[0]->task.future.state == AIO__PENDING);
    self->refused[0] = aio_gather(self->kid, 1);
    self->refused[1] = (aio_future *)(void *)aio_wait(self->kid, 1);
    self->refused[2] = (aio_future *)(void *)aio_wait_for(self->kid[0], 1);
    self->refused[3] = (aio_future *)(void *)aio_shield(self->kid[0]);
    for (self->i = 0; self->i < 4; self->i++) CHECK_INT(comb_code(self->refused[self->i]), AIO_ERUNTIME);
    AIO_AWAIT(aio_ref(self->taker));
    CHECK_INT(comb_result(self->kid[0]), 3);
    AIO_FINALLY;
    aio_unref_all(self->refused, 4);
    aio_unref(self->taker);
    aio_unref_all(self->kid, 1);
    AIO_END;
}

/* Futures that are shared with others are left, not cancelled. */
struct comb_leaver { aio_task task; aio_future *shared[1]; int kind; };
static AIO_CORO(comb_leaver)
{
    AIO_BEGIN(comb_leaver);
    if (self->kind == 0) AIO_AWAIT(aio_gather(self->shared, 1));
    if (self->kind == 1) AIO_AWAIT(aio_wait_for((aio_future *)aio_ref(self->shared[0]), 9));
    if (self->kind == 2) AIO_AWAIT(aio_wait_for((aio_future *)aio_ref(self->shared[0]), 1));
    if (self->kind == 3) AIO_AWAIT(aio_wait_for((aio_future *)aio_ref(self->shared[0]), 0));
    AIO_END;
}
struct shared_is_left { aio_task task; aio_future *shared; struct comb_leaver *leaver[4]; int i; };
SCENARIO(shared_is_left)
{
    AIO_BEGIN(shared_is_left);
    self->shared = aio_future_create();
    REQUIRE(self->shared != NULL);
    self->shared->flags |= AIO__F_SHARED;
    for (self->i = 0; self->i < 4; self->i++)
        self->leaver[self->i] = aio_create_task(AIO_CALL(comb_leaver, .shared = { self->shared }, .kind = self->i));
    AIO_AWAIT(aio_sleep(2));
    aio_task_cancel(self->leaver[0]);
    aio_task_cancel(self->leaver[1]);
    AIO_AWAIT(aio_gather(self->leaver, 4, .return_exceptions = true));
    for (self->i = 0; self->i < 4; self->i++)
        CHECK_INT(comb_code(self->leaver[self->i]), self->i < 2 ? AIO_ECANCELLED : AIO_ETIMEOUT);
    CHECK_NEAR(comb_now(), 2, 0.01);
    CHECK(!aio_future_done(self->shared));
    AIO_FINALLY;
    aio_unref_all(self->leaver, 4);
    aio_unref(self->shared);
    AIO_END;
}

/* ---- wait ---- */

struct wait_modes { aio_task task; struct comb_kid *kid[3]; size_t done; };
SCENARIO(wait_modes, .may = { EIO })
{
    AIO_BEGIN(wait_modes);
    self->kid[0] = comb_kid(.delay = 4, .give = 1);
    self->kid[1] = aio_create_task(comb_kid(.delay = 9));
    self->kid[2] = comb_kid(.delay = 3, .fail = EIO);
    aio_task_cancel(self->kid[1]);
    AIO_AWAIT(self->done, aio_wait(self->kid, 3, .timeout = 0.5, .return_when = AIO_FIRST_EXCEPTION));
    CHECK_INT(self->done, 1); /* the cancelled one is no exception */
    CHECK_NEAR(comb_now(), 0.5, 0.01);
    CHECK_INT(aio_task_cancelling(self->kid[0]), 0); /* the timeout cancels nothing */
    AIO_AWAIT(self->done, aio_wait(self->kid, 3, .return_when = AIO_FIRST_COMPLETED));
    CHECK_INT(self->done, 1);
    CHECK_NEAR(comb_now(), 0.5, 0.01);
    AIO_AWAIT(self->done, aio_wait(self->kid, 3, .return_when = AIO_FIRST_EXCEPTION));
    CHECK_INT(self->done, 2);
    CHECK_NEAR(comb_now(), 3, 0.01);
    AIO_AWAIT(self->done, aio_wait(self->kid, 3)); /* errors are not raised */
    CHECK_INT(self->done, 3);
    CHECK_NEAR(comb_now(), 4, 0.01);
    CHECK_INT(comb_code(self->kid[2]), EIO);
    AIO_FINALLY;
    aio_future_exception(self->kid[2]);
    aio_unref_all(self->kid, 3);
    AIO_END;
}

struct wait_first_completed { aio_task task; struct comb_kid *kid[4], *slow, *quick; size_t done; };
SCENARIO(wait_first_completed)
{
    AIO_BEGIN(wait_first_completed);
    self->kid[0] = self->slow = comb_kid(.delay = 2, .give = 1);
    self->kid[1] = self->quick = comb_kid(.delay = 1, .give = 2);
    self->kid[2] = (struct comb_kid *)aio_ref(self->slow);
    self->kid[3] = (struct comb_kid *)aio_ref(self->quick);
    AIO_AWAIT(self->done, aio_wait(self->kid, 4, .return_when = AIO_FIRST_COMPLETED));
    CHECK_INT(self->done, 2); /* entries: it stands there twice */
    CHECK_INT(aio_wait_partition(self->kid, 4), 2);
    CHECK(self->kid[0] == self->quick && self->kid[1] == self->quick);
    CHECK(self->kid[2] == self->slow && self->kid[3] == self->slow);
    AIO_FINALLY;
    aio_unref_all(self->kid, 4);
    AIO_END;
}

struct wait_now { aio_task task; struct comb_kid *kid[2]; size_t done; };
SCENARIO(wait_now)
{
    AIO_BEGIN(wait_now);
    self->kid[0] = comb_kid(.delay = 2);
    AIO_AWAIT(self->done, aio_wait(self->kid, 1, .timeout = AIO_NOW));
    CHECK_INT(self->done, 0);
    CHECK(self->kid[0] && self->kid[0]->started); /* it had its first step */
    CHECK_NEAR(comb_now(), 0, 0.01);
    self->kid[1] = NULL; /* counts as done: with ENOMEM */
    AIO_AWAIT(self->done, aio_wait(self->kid, 2, .return_when = AIO_FIRST_EXCEPTION));
    CHECK_INT(self->done, 1);
    CHECK_NEAR(comb_now(), 0, 0.01);
    AIO_FINALLY;
    aio_unref_all(self->kid, 2);
    AIO_END;
}

struct wait_wrong { aio_task task; struct comb_kid *kid[1]; aio_wait_future *wait[4]; int i, code; };
SCENARIO(wait_wrong)
{
    AIO_BEGIN(wait_wrong);
    self->kid[0] = comb_kid(.delay = 1);
    self->wait[0] = aio_wait(self->kid, 0);
    self->wait[1] = aio_wait(NULL, 1);
    self->wait[2] = aio_wait(self->kid, 1, .timeout = NAN);
    self->wait[3] = aio_wait(self->kid, 1, .timeout = -INFINITY);
    for (self->i = 0; self->i < 4; self->i++) CHECK_INT(comb_code(self->wait[self->i]), EINVAL);
    AIO_FINALLY;
    aio_unref_all(self->wait, 4);
    aio_unref_all(self->kid, 1);
    AIO_END;
}

struct wait_cancelled { aio_task task; struct comb_kid *kid[1]; aio_wait_future *wait; int code; size_t done; };
SCENARIO(wait_cancelled)
{
    AIO_BEGIN(wait_cancelled);
    self->kid[0] = comb_kid(.delay = 2, .give = 3);
    self->wait = aio_wait(self->kid, 1, .timeout = 1);
    REQUIRE(aio_future_cancel(self->wait));
    AIO_TRY {
        AIO_AWAIT(self->done, (aio_wait_future *)aio_ref(self->wait));
    } AIO_CATCH_ALL {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    REQUIRE(self->code == AIO_ECANCELLED);
    CHECK_INT(aio_task_cancelling(self->kid[0]), 0);
    AIO_AWAIT(aio_ref(self->kid[0]));
    CHECK_INT(comb_result(self->kid[0]), 3);
    AIO_FINALLY;
    aio_unref(self->wait);
    aio_unref_all(self->kid, 1);
    AIO_END;
}

/* ---- as_completed ---- */

struct completed_in_order { aio_task task; struct comb_kid *kid[5], *done; aio_completions *all; int order, steps; };
SCENARIO(completed_in_order, .may = { EIO })
{
    AIO_BEGIN(completed_in_order);
    self->kid[0] = comb_kid(.delay = 3, .give = 1);
    self->kid[1] = comb_kid(.delay = 1, .give = 2);
    self->kid[2] = (struct comb_kid *)aio_ref(self->kid[1]);
    self->kid[3] = comb_kid(.delay = 2, .give = 4, .fail = EIO);
    self->kid[4] = comb_kid(.delay = 4, .give = 5);
    self->all = aio_as_completed(self->kid, 5);
    REQUIRE(self->all != NULL);
    AIO_ASYNC_FOR(self->done, aio_as_completed_next(self->all)) {
        CHECK(aio_future_done(self->done));
        CHECK_NEAR(comb_now(), ++self->steps, 0.01);
        self->order = self->order * 10 + self->done->give;
    }
    CHECK_INT(self->order, 2415);
    CHECK_INT(comb_code(self->kid[3]), EIO);
    AIO_FINALLY;
    aio_unref(self->all);
    aio_future_exception(self->kid[3]);
    aio_unref_all(self->kid, 5);
    AIO_END;
}

struct completed_done_already { aio_task task; aio_future *future[4], *done; aio_completions *all; int steps, code; };
SCENARIO(completed_done_already)
{
    AIO_BEGIN(completed_done_already);
    self->future[0] = aio_future_create();
    self->future[1] = aio_future_create();
    self->future[2] = (aio_future *)aio_ref(self->future[0]);
    REQUIRE(self->future[0] && self->future[1]);
    aio_future_set_done(self->future[0]);
    aio_future_set_done(self->future[1]);
    self->all = aio_as_completed(self->future, 4); /* the fourth is NULL */
    REQUIRE(self->all != NULL);
    AIO_TRY {
        AIO_ASYNC_FOR(self->done, aio_as_completed_next(self->all)) CHECK_PTR(self->done, self->future[self->steps++]);
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    CHECK_INT(self->steps, 2);
    REQUIRE(self->code == ENOMEM);
    AIO_ASYNC_FOR(self->done, aio_as_completed_next(self->all)) self->steps++;
    CHECK_INT(self->steps, 2);
    AIO_FINALLY;
    aio_unref(self->all);
    aio_unref_all(self->future, 4);
    AIO_END;
}

struct completed_in_time { aio_task task; struct comb_kid *kid[3], *done; aio_completions *all; int i, steps, late; };
SCENARIO(completed_in_time)
{
    AIO_BEGIN(completed_in_time);
    self->kid[0] = comb_kid(.delay = 9, .give = 1);
    self->kid[1] = comb_kid(.delay = 1, .give = 2);
    self->kid[2] = comb_kid(.delay = 9, .give = 3);
    self->all = aio_as_completed(self->kid, 3, .timeout = 2);
    REQUIRE(self->all != NULL);
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_TRY {
            AIO_ASYNC_FOR(self->done, aio_as_completed_next(self->all)) CHECK_INT(self->done->give, 2), self->steps++;
        } AIO_CATCH {
            if (aio_caught(self)->code != AIO_ETIMEOUT) AIO_RERAISE();
            self->late++;
        } AIO_END_TRY
    }
    CHECK_INT(self->steps, 1);
    CHECK_INT(self->late, 2); /* every step that was left */
    CHECK_NEAR(comb_now(), 2, 0.01);
    CHECK_INT(aio_task_cancelling(self->kid[0]), 0);
    AIO_AWAIT(aio_gather(self->kid, 3)); /* they go on */
    CHECK_INT(comb_result(self->kid[0]), 1);
    AIO_FINALLY;
    aio_unref(self->all);
    aio_unref_all(self->kid, 3);
    AIO_END;
}

/* Steps asked for in advance are served in turn, and a cancelled one loses nothing. */
struct completed_steps {
    aio_task task;
    struct comb_kid *kid[2];
    aio_completions *all;
    aio_completions_future *step[3];
};
SCENARIO(completed_steps)
{
    AIO_BEGIN(completed_steps);
    self->kid[0] = comb_kid(.delay = 2, .give = 1);
    self->kid[1] = comb_kid(.delay = 1, .give = 2);
    self->all = aio_as_completed(self->kid, 2);
    self->step[0] = aio_as_completed_next(self->all);
    self->step[1] = aio_as_completed_next(self->all);
    self->step[2] = aio_as_completed_next(self->all);
    aio_unref(self->all); /* the steps keep it */
    self->all = NULL;
    REQUIRE(self->step[0] && self->step[1] && self->step[2]);
    CHECK(aio_future_cancel(self->step[0]));
    AIO_AWAIT(aio_gather(self->step, 3, .return_exceptions = true));
    CHECK_INT(comb_code(self->step[0]), AIO_ECANCELLED);
    CHECK_PTR((void *)self->step[1]->result, self->kid[1]);
    CHECK_PTR((void *)self->step[2]->result, self->kid[0]);
    AIO_FINALLY;
    aio_unref_all(self->step, 3);
    aio_unref_all(self->kid, 2);
    AIO_END;
}

/* What has ended by the time the timeout strikes is given, though nobody was told yet. */
struct completed_just_in_time { aio_task task; aio_future *future[2], *done; aio_completions *all; int steps, code; };
SCENARIO(completed_just_in_time, .may = { AIO_ETIMEOUT })
{
    AIO_BEGIN(completed_just_in_time);
    self->future[0] = aio_future_create();
    self->future[1] = aio_future_create();
    self->all = aio_as_completed(self->future, 2, .timeout = AIO_NOW);
    REQUIRE(self->all && self->future[0] && self->future[1]);
    aio_future_set_done(self->future[1]);
    AIO_TRY {
        AIO_ASYNC_FOR(self->done, aio_as_completed_next(self->all)) {
            CHECK_PTR(self->done, self->future[1]);
            self->steps++;
        }
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    REQUIRE(self->code == AIO_ETIMEOUT);
    CHECK_INT(self->steps, 1);
    AIO_FINALLY;
    aio_unref(self->all);
    aio_unref_all(self->future, 2);
    AIO_END;
}

struct completed_of_none { aio_task task; aio_future *done; aio_completions *all; };
SCENARIO(completed_of_none)
{
    AIO_BEGIN(completed_of_none);
    self->all = aio_as_completed(NULL, 0);
    REQUIRE(self->all != NULL);
    AIO_ASYNC_FOR(self->done, aio_as_completed_next(self->all)) CHECK(false);
    CHECK(aio_as_completed(NULL, 1) == NULL);
    CHECK_INT(errno, EINVAL);
    CHECK(aio_as_completed(NULL, 0, .timeout = NAN) == NULL);
    CHECK_INT(errno, EINVAL);
    AIO_FINALLY;
    aio_unref(self->all);
    AIO_END;
}

/* Whoever is cancelled in the turn in which his entry, or the end of the time, comes, leaves it to the next one; through
 * aio_wait_for, too. */
struct completed_gets { aio_task task; aio_completions *all; double limit; void *got; int code; };
static AIO_CORO(completed_gets)
{
    AIO_BEGIN(completed_gets);
    AIO_TRY {
        if (self->limit > 0) AIO_AWAIT(self->got, aio_wait_for(aio_as_completed_next(self->all), self->limit));
        else AIO_AWAIT(self->got, aio_as_completed_next(self->all));
    } AIO_CATCH_ALL {
        self->code = aio_caught(self)->code;
        if (self->code == AIO_ECANCELLED) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}

static void completed_cancels(aio_future *future, void *arg)
{
    (void)future;
    aio_task_cancel(arg);
}

static void completed_cancels_later(void *arg) { aio_task_cancel(*(void **)arg); }

struct completed_cancelled { aio_task task; void *entries[2]; aio_completions *all; struct completed_gets *gets[2];
                             double limit; int round; bool second; aio_handle timer; };
static struct completed_gets *completed_begin(struct completed_cancelled *self)
{
    return aio_create_task(AIO_CALL(completed_gets, .all = self->all, .limit = self->limit));
}
SCENARIO(completed_cancelled)
{
    AIO_BEGIN(completed_cancelled);
    for (self->round = 0; self->round < 4; self->round++) { /* by turns another one waits already */
        self->second = self->round & 1;
        self->limit = self->round < 2 ? 0 : 60;
        REQUIRE(self->entries[0] = aio_future_create());
        REQUIRE(self->entries[1] = aio_future_create());
        REQUIRE(self->all = aio_as_completed(self->entries, 2, .timeout = 5));
        REQUIRE(self->gets[0] = completed_begin(self));
        AIO_AWAIT(aio_sleep(1));
        if (self->second) REQUIRE(self->gets[1] = completed_begin(self));
        AIO_AWAIT(aio_sleep(1));
        REQUIRE(!aio_future_add_done_callback(self->entries[1], completed_cancels, self->gets[0]));
        aio_future_set_done(self->entries[1]);
        AIO_AWAIT(aio_sleep(1));
        CHECK(aio_future_cancelled(self->gets[0]));
        if (!self->second) REQUIRE(self->gets[1] = completed_begin(self));
        AIO_AWAIT(aio_sleep(1));
        CHECK(aio_future_done(self->gets[1]) && !self->gets[1]->code);
        CHECK_PTR(self->gets[1]->got, self->entries[1]);
        aio_unref_all(self->gets, 2);
        REQUIRE(self->gets[0] = completed_begin(self));
        self->timer = aio_loop_call_later(aio_get_running_loop(), 1, completed_cancels_later, &self->gets[0]);
        REQUIRE(self->timer.generation);
        AIO_AWAIT(aio_sleep(3)); /* at the end of the time */
        CHECK(aio_future_cancelled(self->gets[0]));
        REQUIRE(self->gets[1] = completed_begin(self));
        AIO_AWAIT(aio_sleep(1));
        CHECK_INT(self->gets[1]->code, AIO_ETIMEOUT);
        aio_unref(self->gets[1]);
        REQUIRE(self->gets[1] = completed_begin(self));
        AIO_AWAIT(aio_sleep(1));
        CHECK_INT(self->gets[1]->code, AIO_ESTOPITERATION);
        aio_unref_all(self->gets, 2);
        aio_unref_all(self->entries, 2);
        aio_unref(self->all);
        self->all = NULL;
    }
    AIO_FINALLY;
    aio_handle_cancel(self->timer);
    aio_unref_all(self->gets, 2);
    aio_unref_all(self->entries, 2);
    aio_unref(self->all);
    AIO_END;
}

/* A step that aio_wait_for gives up takes nothing along; nor does one that has no time at all. */
struct completed_late { aio_task task; void *entries[2], *got; aio_completions *all; int i; };
SCENARIO(completed_late)
{
    AIO_BEGIN(completed_late);
    REQUIRE(self->entries[0] = aio_future_create());
    REQUIRE(self->entries[1] = aio_future_create());
    REQUIRE(self->all = aio_as_completed(self->entries, 2));
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->got, aio_wait_for(aio_as_completed_next(self->all), self->i ? AIO_NOW : 1));
            CHECK(false);
        } AIO_CATCH_CODE(AIO_ETIMEOUT) {
            aio_future_set_done(self->entries[!self->i]);
        } AIO_END_TRY;
        AIO_AWAIT(self->got, aio_wait_for(aio_as_completed_next(self->all), 1));
        CHECK_PTR(self->got, self->entries[!self->i]);
    }
    AIO_FINALLY;
    aio_unref_all(self->entries, 2);
    aio_unref(self->all);
    AIO_END;
}

/* So does a cancel that is thrown in place of the error that a NULL entry is. */
struct completed_null { aio_task task; aio_completions *all; int i, codes[4]; };
static AIO_CORO(completed_null)
{
    AIO_BEGIN(completed_null);
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_TRY {
            if (self->i == 1) {
                ALWAYS(aio_task_cancel(self));
                aio__turn_exhaust(aio_get_running_loop());
            }
            AIO_AWAIT(aio_as_completed_next(self->all));
        } AIO_CATCH_ALL {
            self->codes[self->i] = aio_caught(self)->code;
        } AIO_END_TRY;
    }
    AIO_END;
}

struct completed_nulls { aio_task task; void *entries[2]; aio_completions *all; struct completed_null *t; };
SCENARIO(completed_nulls, .skip = KIND_CANCEL) /* it cancels itself */
{
    AIO_BEGIN(completed_nulls);
    REQUIRE(self->all = aio_as_completed(self->entries, 2));
    REQUIRE(self->t = aio_create_task(AIO_CALL(completed_null, .all = self->all)));
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(self->t->codes[0], ENOMEM);
    CHECK_INT(self->t->codes[1], AIO_ECANCELLED);
    CHECK_INT(self->t->codes[2], ENOMEM);
    CHECK_INT(self->t->codes[3], AIO_ESTOPITERATION);
    AIO_FINALLY;
    aio_unref(self->t);
    aio_unref(self->all);
    AIO_END;
}

/* ---- shield ---- */

struct shield_gives { aio_task task; int got; struct comb_kid *kid; };
SCENARIO(shield_gives)
{
    AIO_BEGIN(shield_gives);
    AIO_AWAIT(self->got, aio_shield(comb_kid(.delay = 1, .give = 5)));
    CHECK_INT(self->got, 5);
    self->kid = aio_create_task(comb_kid(.delay = 1, .give = 6));
    AIO_AWAIT(aio_shield((aio_future *)aio_ref(self->kid)));
    CHECK_INT(comb_result(self->kid), 6);
    AIO_AWAIT(self->got, aio_shield((struct comb_kid *)aio_ref(self->kid))); /* done already */
    CHECK_INT(self->got, 6);
    AIO_AWAIT(aio_shield(aio_sleep(0)));
    AIO_FINALLY;
    aio_unref(self->kid);
    AIO_END;
}

struct comb_answer { aio_future future; int result; };
struct shield_of_a_future { aio_task task; int got; struct comb_answer *answer, *shield; };
SCENARIO(shield_of_a_future)
{
    AIO_BEGIN(shield_of_a_future);
    self->answer = AIO_FUTURE(struct comb_answer);
    REQUIRE(self->answer != NULL);
    self->shield = aio_shield((struct comb_answer *)aio_ref(self->answer));
    aio_future_set_result(self->answer, 42);
    AIO_AWAIT(self->got, (struct comb_answer *)aio_ref(self->shield));
    CHECK_INT(self->got, 42);
    CHECK_INT(self->shield->result, 42);
    AIO_FINALLY;
    aio_unref(self->shield);
    aio_unref(self->answer);
    AIO_END;
}

struct shield_awaiter { aio_task task; struct comb_kid *kid; };
static AIO_CORO(shield_awaiter)
{
    AIO_BEGIN(shield_awaiter);
    AIO_AWAIT(aio_shield((struct comb_kid *)aio_ref(self->kid)));
    AIO_END;
}

/* The outer one is cancelled: the inner one runs on. */
struct shield_protects { aio_task task; struct comb_kid *kid; struct shield_awaiter *awaiter; int got; };
SCENARIO(shield_protects)
{
    AIO_BEGIN(shield_protects);
    self->kid = comb_kid(.delay = 2, .give = 8);
    self->awaiter = aio_create_task(AIO_CALL(shield_awaiter, .kid = self->kid));
    AIO_AWAIT(aio_sleep(1));
    aio_task_cancel(self->awaiter);
    AIO_AWAIT(aio_gather(&self->awaiter, 1, .return_exceptions = true));
    CHECK(aio_future_cancelled(self->awaiter));
    CHECK_NEAR(comb_now(), 1, 0.01);
    REQUIRE(self->kid && !aio_future_done(self->kid));
    AIO_AWAIT(self->got, (struct comb_kid *)aio_ref(self->kid));
    CHECK_INT(self->got, 8);
    AIO_FINALLY;
    aio_unref(self->awaiter);
    aio_unref(self->kid);
    AIO_END;
}

/* ... and its error, which nobody retrieves, is reported. */
struct shield_reports { aio_task task; struct comb_kid *shield; };
SCENARIO(shield_reports, .may = { EIO })
{
    AIO_BEGIN(shield_reports);
    self->shield = aio_shield(comb_kid(.delay = 1, .fail = EIO));
    REQUIRE(self->shield && aio_future_cancel(self->shield));
    expect_report("error of 'comb_kid' was never retrieved");
    AIO_AWAIT(aio_sleep(2));
    AIO_FINALLY;
    aio_unref(self->shield);
    AIO_END;
}

/* The inner one is cancelled: so is the outer one. */
struct shield_inner_cancelled { aio_task task; struct comb_kid *kid; int code; };
SCENARIO(shield_inner_cancelled)
{
    AIO_BEGIN(shield_inner_cancelled);
    self->kid = aio_create_task(comb_kid(.delay = 2));
    aio_task_cancel_message(self->kid, "inside");
    AIO_TRY {
        AIO_AWAIT(aio_shield((struct comb_kid *)aio_ref(self->kid)));
    } AIO_CATCH_ALL {
        self->code = aio_caught(self)->code;
        CHECK_STR(aio_caught(self)->message, "inside");
    } AIO_END_TRY
    REQUIRE(self->code == AIO_ECANCELLED);
    CHECK_INT(aio_task_cancelling(aio_current_task()), 0);
    AIO_FINALLY;
    aio_unref(self->kid);
    AIO_END;
}

struct shield_fails { aio_task task; int code; };
SCENARIO(shield_fails, .may = { EIO })
{
    AIO_BEGIN(shield_fails);
    AIO_TRY {
        AIO_AWAIT(aio_shield(comb_kid(.fail = EIO)));
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    REQUIRE(self->code == EIO);
    AIO_END;
}

/* What had failed before it was gathered was heard there, every one: nothing is told of later. */
struct gather_failed { aio_task task; aio_future *f[3]; int i; };
SCENARIO(gather_failed)
{
    AIO_BEGIN(gather_failed);
    for (self->i = 0; self->i < 2; self->i++) {
        for (int k = 0; k < 3; k++) {
            REQUIRE(self->f[k] = aio_future_create());
            REQUIRE(aio_future_set_exception(self->f[k], EIO + k, "number %d", k) == 0);
        }
        AIO_TRY {
            AIO_AWAIT(aio_gather(self->f, 3, .return_exceptions = self->i));
            CHECK_INT(self->i, 1);
        } AIO_CATCH {
            CAUGHT(EIO);
            CHECK_INT(self->i, 0);
            CHECK_STR(aio_caught(self)->message, "number 0");
        } AIO_END_TRY;
        aio_unref_all(self->f, 3);
    }
    AIO_FINALLY;
        for (int k = 0; k < 3; k++)
            if (self->f[k] && aio_future_done(self->f[k])) aio_future_exception(self->f[k]);
        aio_unref_all(self->f, 3);
    AIO_END;
}
