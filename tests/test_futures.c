/* Futures: states, results, errors, callbacks, owners. Uses the log and the loop of test_loop.c. */

struct future_answer { aio_future future; int result; };

static void future_note(aio_future *future, void *arg)
{
    (void)future;
    loop_note(arg);
}

/* Another one, which is never called. */
static void future_other(aio_future *future, void *arg)
{
    (void)future, (void)arg;
    UNREACHED();
}

static aio_loop *future_loop(void)
{
    aio_loop *loop = loop_open();
    aio_set_event_loop(loop);
    return loop;
}

TEST(future_states)
{
    aio_loop *loop = future_loop();
    struct future_answer *answer = AIO_FUTURE(struct future_answer);
    CHECK(!aio_future_done(answer));
    CHECK(!aio_future_cancelled(answer));
    CHECK_PTR(aio_future_exception(answer), NULL);
    CHECK_INT(answer->result, 0);
    CHECK_INT(aio_future_set_result(answer, 7), 0);
    CHECK(aio_future_done(answer));
    CHECK(!aio_future_cancelled(answer));
    CHECK_PTR(aio_future_exception(answer), NULL);
    CHECK_INT(answer->result, 7);
    aio_unref(answer);
    aio_loop_free(loop);
}

TEST(future_set_twice_is_an_error)
{
    aio_loop *loop = future_loop();
    struct future_answer *answer = AIO_FUTURE(struct future_answer);
    CHECK_INT(aio_future_set_result(answer, 7), 0);
    CHECK_INT(aio_future_set_result(answer, 8), AIO_EINVALIDSTATE);
    CHECK_INT(answer->result, 7); /* and nothing has changed */
    CHECK_INT(aio_future_set_exception(answer, EPIPE, "late"), AIO_EINVALIDSTATE);
    CHECK_INT(aio_future_set_done(answer), AIO_EINVALIDSTATE);
    CHECK_PTR(aio_future_exception(answer), NULL);
    CHECK(!aio_future_cancel(answer));
    CHECK(!aio_future_cancelled(answer));
    aio_unref(answer);
    struct future_answer *failed = AIO_FUTURE(struct future_answer);
    CHECK_INT(aio_future_set_exception(failed, EPIPE, "pipe %d", 3), 0);
    CHECK_INT(aio_future_set_result(failed, 8), AIO_EINVALIDSTATE);
    CHECK_INT(failed->result, 0);
    CHECK_INT(aio_future_exception(failed)->code, EPIPE);
    CHECK_STR(aio_future_exception(failed)->message, "pipe 3");
    aio_unref(failed);
    aio_loop_free(loop);
}

TEST(future_cancel)
{
    aio_loop *loop = future_loop();
    struct future_answer *answer = AIO_FUTURE(struct future_answer);
    CHECK(aio_future_cancel(answer));
    CHECK(aio_future_done(answer));
    CHECK(aio_future_cancelled(answer));
    CHECK(!aio_future_cancel(answer));
    CHECK_INT(aio_future_set_result(answer, 1), AIO_EINVALIDSTATE);
    CHECK_INT(aio_future_exception(answer)->code, AIO_ECANCELLED);
    aio_unref(answer);
    aio_loop_free(loop);
}

TEST(future_bad_arguments)
{
    aio_loop *loop = future_loop();
    aio_future *future = aio_future_create(), *none = NULL;
    CHECK_INT(aio_future_set_exception(future, 0, "no code"), EINVAL);
    CHECK_INT(aio_future_set_exception(future, -1, "no code"), EINVAL);
    CHECK_INT(aio_future_set_exception(none, EPIPE, "no future"), EINVAL);
    CHECK_INT(aio_future_set_done(none), EINVAL);
    CHECK_INT(aio_future_add_done_callback(future, NULL, NULL), EINVAL);
    CHECK_INT(aio_future_add_done_callback(NULL, future_note, NULL), EINVAL);
    CHECK_INT(aio_future_remove_done_callback(NULL, future_note, NULL), 0);
    CHECK(!aio_future_done(NULL));
    CHECK(!aio_future_cancelled(NULL));
    CHECK(!aio_future_cancel(NULL));
    CHECK_PTR(aio_ref(NULL), NULL);
    aio_unref(NULL);
    CHECK_INT(aio_future_exception(NULL)->code, ENOMEM); /* NULL is what comes of no memory */
    CHECK(!aio_future_done(future));
    aio_unref(future);
    struct loop_forever *coroutine = AIO_CALL(loop_forever); /* no task: nothing says when it is done */
    CHECK_INT(aio_future_add_done_callback(coroutine, future_note, loop_a), EINVAL);
    CHECK_INT(aio_future_set_done(coroutine), AIO_EINVALIDSTATE);
    aio_future_cancel(coroutine);
    aio_unref(coroutine);
    aio_loop_free(loop);
    aio_set_event_loop(NULL);
    CHECK_PTR(aio_future_create(), NULL); /* no loop */
}

/* What a call of the library gave is completed by that alone. */
struct future_not_own { aio_task task; void *not_own[9], *children[1]; struct future_answer *own; aio_event event;
                        aio_lock lock; aio_completions *all; aio_metrics metrics; int i; };
SCENARIO(future_not_own)
{
    AIO_BEGIN(future_not_own);
    self->children[0] = self->own = AIO_FUTURE(struct future_answer);
    REQUIRE(self->own && (self->all = aio_as_completed(self->children, 1)));
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    self->not_own[0] = aio_sleep(0);
    self->not_own[1] = aio_sleep(10);
    self->not_own[2] = aio_wait_for((struct future_answer *)aio_ref(self->own), 10);
    self->not_own[3] = aio_shield((struct future_answer *)aio_ref(self->own));
    self->not_own[4] = aio_gather(self->children, 1);
    self->not_own[5] = aio_wait(self->children, 1, .timeout = 10);
    self->not_own[6] = aio_as_completed_next(self->all);
    self->not_own[7] = aio_event_wait(&self->event);
    self->not_own[8] = aio_lock_acquire(&self->lock);
    for (self->i = 0; self->i < 9; self->i++) REQUIRE(self->not_own[self->i]);
    for (self->i = 0; self->i < 9; self->i++) {
        CHECK(!aio__future_settable(self->not_own[self->i]));
        CHECK_INT(aio_future_set_done(self->not_own[self->i]), AIO_EINVALIDSTATE);
        CHECK_INT(aio_future_set_exception(self->not_own[self->i], EPIPE, "no"), AIO_EINVALIDSTATE);
        CHECK(!aio_future_done(self->not_own[self->i]));
    }
    self->metrics = aio_loop_metrics(aio_get_running_loop());
    CHECK_INT(self->metrics.timers, 3);
    CHECK_INT(aio_future_set_result(self->own, 3), 0);
    AIO_AWAIT(aio_sleep(0));
    for (self->i = 2; self->i < 7; self->i++) CHECK(aio_future_done(self->not_own[self->i]));
    AIO_FINALLY;
    aio_future_cancel(self->not_own[8]);
    aio_future_cancel(self->own); /* the shield stays until then */
    aio_unref_all(self->not_own, 9);
    aio_unref(self->all);
    aio_unref(self->own);
    aio_event_destroy(&self->event);
    aio_lock_release(&self->lock);
    aio_lock_destroy(&self->lock);
    AIO_END;
}

/* A coroutine that another one awaits has no waiters of its own, and sleep(0) is not there to be done. */
struct future_is_awaited { aio_task task; };
static AIO_CORO(future_is_awaited)
{
    AIO_BEGIN(future_is_awaited);
    CHECK_INT(aio_future_add_done_callback(self, future_other, NULL), EINVAL);
    CHECK_INT(aio_future_remove_done_callback(self, future_other, NULL), 0);
    AIO_END;
}

struct future_no_callbacks { aio_task task; aio_future *zero; };
SCENARIO(future_no_callbacks)
{
    AIO_BEGIN(future_no_callbacks);
    AIO_AWAIT(AIO_CALL(future_is_awaited));
    self->zero = aio_sleep(0);
    CHECK_INT(aio_future_add_done_callback(self->zero, future_other, NULL), EINVAL);
    CHECK_INT(aio_future_remove_done_callback(self->zero, future_other, NULL), 0);
    AIO_AWAIT(self->zero);
    AIO_END;
}

TEST(future_callbacks_go_through_the_loop)
{
    aio_loop *loop = future_loop();
    aio_future *future = aio_future_create();
    CHECK_INT(aio_future_add_done_callback(future, future_note, loop_a), 0);
    CHECK_INT(aio_future_add_done_callback(future, future_note, loop_b), 0);
    CHECK_INT(aio_future_add_done_callback(future, future_note, loop_a), 0);
    CHECK_INT(aio_future_set_done(future), 0);
    CHECK_STR(loop_log, "");
    CHECK_INT(aio_future_add_done_callback(future, future_note, loop_c), 0); /* done already: soon, not at once */
    CHECK_STR(loop_log, "");
    loop_run_once(loop);
    CHECK_STR(loop_log, "abac");
    loop_run_once(loop);
    CHECK_STR(loop_log, "abac");
    aio_unref(future);
    aio_loop_free(loop);
}

TEST(future_remove_done_callback)
{
    aio_loop *loop = future_loop();
    aio_future *future = aio_future_create();
    for (int i = 0; i < 3; i++) aio_future_add_done_callback(future, future_note, loop_a);
    aio_future_add_done_callback(future, future_note, loop_b);
    CHECK_INT(aio_future_remove_done_callback(future, future_note, loop_c), 0);
    CHECK_INT(aio_future_remove_done_callback(future, future_other, loop_a), 0); /* both have to be the same */
    CHECK_INT(aio_future_remove_done_callback(future, future_note, loop_a), 3);
    CHECK_INT(aio_future_remove_done_callback(future, future_note, loop_a), 0);
    aio_future_set_done(future);
    CHECK_INT(aio_future_remove_done_callback(future, future_note, loop_b), 0); /* it is on its way */
    loop_run_once(loop);
    CHECK_STR(loop_log, "b");
    aio_unref(future);
    aio_loop_free(loop);
}

TEST(future_callback_keeps_it_alive)
{
    aio_loop *loop = future_loop();
    aio_future *future = aio_future_create();
    aio_future_add_done_callback(future, future_note, loop_a);
    aio_future_set_done(future);
    aio_unref(future);
    loop_run_once(loop);
    CHECK_STR(loop_log, "a");
    aio_loop_free(loop);
}

static void future_adds(aio_future *future, void *arg)
{
    loop_note(arg);
    if (strlen(loop_log) < 3) aio_future_add_done_callback(future, future_adds, arg);
}

TEST(future_callback_adds_callbacks)
{
    aio_loop *loop = future_loop();
    aio_future *future = aio_future_create();
    aio_future_add_done_callback(future, future_adds, loop_a);
    aio_future_set_done(future);
    for (int i = 1; i <= 4; i++) {
        loop_run_once(loop);
        CHECK_INT(strlen(loop_log), i < 3 ? i : 3);
    }
    aio_unref(future);
    aio_loop_free(loop);
}

TEST(future_error_never_retrieved_is_reported)
{
    aio_loop *loop = future_loop();
    aio_loop_set_exception_handler(loop, loop_handler, NULL);
    memset(&loop_told, 0, sizeof loop_told);
    aio_future *future = aio_future_create();
    CHECK_PTR(aio_future_exception(future), NULL); /* a look before it is done does not count */
    aio_future_set_exception(future, ECONNRESET, NULL);
    CHECK_INT(loop_told.count, 0);
    aio_unref(future);
    CHECK_INT(loop_told.count, 1);
    CHECK_INT(loop_told.code, ECONNRESET);
    future = aio_future_create();
    aio_future_set_exception(future, ECONNRESET, NULL);
    CHECK_INT(aio_future_exception(future)->code, ECONNRESET);
    CHECK_STR(aio_future_exception(future)->message, strerror(ECONNRESET));
    aio_unref(future);
    future = aio_future_create();
    aio_future_cancel(future);
    aio_unref(future); /* a cancel is no error that is lost */
    CHECK_INT(loop_told.count, 1);
    aio_loop_free(loop);
}

TEST(future_misuse_aborts, .skip = KIND_DEBUG | KIND_OWN)
{
    aio_loop *loop = future_loop();
    int number[64] = { 0 };
    CHECK_ABORTS("not a future, or one that is freed already", aio_ref(number));
    CHECK_ABORTS("not a future, or one that is freed already", (void)aio_future_done(number));
    aio_future *future = aio_future_create();
    CHECK_ABORTS("not a future, or one that is freed already", (aio_unref(future), aio_unref(future)));
    static aio__freed looks_freed[4]; /* as what is freed does, but for its owners */
    looks_freed[1].state = AIO__FREED;
    looks_freed[1].refs = 1;
    CHECK_ABORTS("not a future, or one that is freed already", aio_ref(&looks_freed[1]));
    CHECK_ABORTS("aio_create_task needs a coroutine that has not started", (void)aio__create_task(future, NULL));
    CHECK_ABORTS("aio_create_task needs a coroutine that has not started",
                 (void)aio__create_task(&loop->done, NULL));
    aio_unref(future);
    aio_loop_free(loop);
}

/* ---- in every way ---- */
struct future_waits { aio_task task; struct future_answer *answer; int got, delta; };
static AIO_CORO(future_waits)
{
    AIO_BEGIN(future_waits);
    AIO_AWAIT(self->got, (struct future_answer *)aio_ref(self->answer));
    self->got += self->delta;
    AIO_END;
}

struct future_awaited { aio_task task; struct future_answer *answer; struct future_waits *one, *two; };
SCENARIO(future_awaited)
{
    AIO_BEGIN(future_awaited);
    self->answer = AIO_FUTURE(struct future_answer);
    REQUIRE(self->answer);
    self->one = aio_create_task(AIO_CALL(future_waits, .answer = self->answer, .delta = 1));
    self->two = aio_create_task(AIO_CALL(future_waits, .answer = self->answer, .delta = 2));
    REQUIRE(self->one && self->two);
    AIO_AWAIT(aio_sleep(0));
    CHECK(!aio_future_done(self->one));
    CHECK_INT(aio_future_set_result(self->answer, 40), 0);
    CHECK(!aio_future_done(self->one));
    AIO_AWAIT(aio_ref(self->one));
    AIO_AWAIT(aio_ref(self->two));
    CHECK_INT(self->one->got, 41);
    CHECK_INT(self->two->got, 42);
    AIO_FINALLY;
        aio_future_cancel(self->answer);
        if (self->one) aio_future_exception(self->one);
        if (self->two) aio_future_exception(self->two);
        aio_unref(self->one);
        aio_unref(self->two);
        aio_unref(self->answer);
    AIO_END;
}

struct future_shared_error { aio_task task; aio_future *future; struct future_waits *waiter; int caught; };
SCENARIO(future_shared_error)
{
    AIO_BEGIN(future_shared_error);
    self->future = aio_future_create();
    REQUIRE(self->future);
    REQUIRE(aio_future_set_exception(self->future, EPIPE, "shared") == 0);
    AIO_TRY {
        AIO_AWAIT(aio_ref(self->future)); /* the future keeps its own, without this traceback */
    } AIO_CATCH {
        CAUGHT(EPIPE);
        self->caught = aio_caught(self)->code;
        CHECK_STR(aio_caught(self)->message, "shared");
        CHECK_INT(aio_caught(self)->traceback_count, 1);
    } AIO_END_TRY;
    CHECK_INT(self->caught, EPIPE);
    CHECK_INT(aio_future_exception(self->future)->traceback_count, 0);
    AIO_TRY {
        AIO_RAISE_EXCEPTION(aio_future_exception(self->future));
    } AIO_CATCH {
        CHECK_STR(aio_caught(self)->message, "shared");
        CHECK_INT(aio_caught(self)->traceback_count, 1);
    } AIO_END_TRY;
    CHECK_INT(aio_future_exception(self->future)->traceback_count, 0);
    AIO_FINALLY;
        aio_unref(self->future);
    AIO_END;
}

struct future_cancelled_waiter { aio_task task; aio_future *future; struct loop_gives *task_of_another; int code; };
SCENARIO(future_cancelled_waiter)
{
    AIO_BEGIN(future_cancelled_waiter);
    self->future = aio_future_create();
    REQUIRE(self->future);
    REQUIRE(aio_future_cancel(self->future));
    AIO_TRY {
        AIO_AWAIT(aio_ref(self->future));
    } AIO_CATCH_ALL {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY;
    CHECK_INT(self->code, AIO_ECANCELLED);
    AIO_FINALLY;
        aio_unref(self->future);
    AIO_END;
}
