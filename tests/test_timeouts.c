/* AIO_TIMEOUT, wait_for, task groups. Uses the children of test_combinators.c. */

/* ---- AIO_TIMEOUT ---- */

struct timeout_expires { aio_task task; int code; };
SCENARIO(timeout_expires)
{
    AIO_BEGIN(timeout_expires);
    AIO_TRY {
        AIO_TIMEOUT(1.5) {
            AIO_AWAIT(aio_sleep(1));
            AIO_AWAIT(aio_sleep(1));
            CHECK(false);
        }
        CHECK(false);
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
        CHECK_STR(aio_caught(self)->message, "timed out after 1.5 s");
        CHECK_INT(aio_caught(self)->traceback_count, 1); /* where it stood */
    } AIO_END_TRY
    REQUIRE(self->code == AIO_ETIMEOUT);
    CHECK_NEAR(comb_now(), 1.5, 0.01);
    CHECK_INT(aio_task_cancelling(&self->task), 0);
    AIO_AWAIT(aio_sleep(1)); /* it is over */
    CHECK_NEAR(comb_now(), 2.5, 0.01);
    AIO_END;
}

struct timeout_in_time { aio_task task; int i; };
SCENARIO(timeout_in_time)
{
    AIO_BEGIN(timeout_in_time);
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_TIMEOUT(1) {
            AIO_AWAIT(aio_sleep(0.5));
            CHECK(!aio_timeout_expired(self));
            if (self->i == 1) break;
            AIO_AWAIT(aio_sleep(0.25));
        }
    }
    AIO_AWAIT(aio_sleep(5)); /* no timer is left */
    CHECK_NEAR(comb_now(), 7, 0.01);
    CHECK(!aio_timeout_expired(self));
    AIO_END;
}

/* In a coroutine that the task has called: the cancel reaches what is innermost. */
struct timeout_callee { aio_task task; int result; };
static AIO_CORO(timeout_callee)
{
    AIO_BEGIN(timeout_callee);
    AIO_TIMEOUT(1) { AIO_AWAIT(comb_kid(.delay = 5)); }
    AIO_RETURN(1);
    AIO_END;
}
struct timeout_called { aio_task task; int got, code; };
SCENARIO(timeout_called)
{
    AIO_BEGIN(timeout_called);
    AIO_TRY {
        AIO_AWAIT(self->got, AIO_CALL(timeout_callee));
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
        CHECK_INT(aio_caught(self)->traceback_count, 3);
    } AIO_END_TRY
    REQUIRE(self->code == AIO_ETIMEOUT);
    AIO_END;
}

struct timeout_returns { aio_task task; int result; };
static AIO_CORO(timeout_returns)
{
    AIO_BEGIN(timeout_returns);
    AIO_TIMEOUT(1) {
        AIO_AWAIT(aio_sleep(0.5));
        AIO_RETURN(7);
    }
    AIO_END;
}
struct timeout_left_by_return { aio_task task; int got; };
SCENARIO(timeout_left_by_return)
{
    AIO_BEGIN(timeout_left_by_return);
    AIO_AWAIT(self->got, AIO_CALL(timeout_returns));
    CHECK_INT(self->got, 7);
    AIO_AWAIT(aio_sleep(2));
    AIO_END;
}

/* At once: at the first await that suspends; a body that does not suspend ends well, and nothing leaks out. */
struct timeout_of_zero { aio_task task; int i, late; };
SCENARIO(timeout_of_zero)
{
    static const double delays[] = { 0, AIO_NOW, AIO_NOW, 1e-12 };
    AIO_BEGIN(timeout_of_zero);
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_TIMEOUT(delays[self->i]) { AIO_AWAIT(aio_gather(NULL, 0)); }
        AIO_AWAIT(aio_sleep(0));
        AIO_TRY {
            AIO_TIMEOUT(delays[self->i]) { AIO_AWAIT(aio_sleep(self->i & 1)); }
        } AIO_CATCH {
            CAUGHT(AIO_ETIMEOUT);
            self->late++;
        } AIO_END_TRY
    }
    CHECK_INT(self->late, 4);
    CHECK_NEAR(comb_now(), 0, 0.01);
    CHECK_INT(aio_task_cancelling(&self->task), 0);
    AIO_END;
}

struct timeout_wrong { aio_task task; int i, wrong; };
SCENARIO(timeout_wrong)
{
    static const double delays[] = { NAN, INFINITY, -INFINITY };
    AIO_BEGIN(timeout_wrong);
    for (self->i = 0; self->i < 6; self->i++) {
        AIO_TRY {
            if (self->i < 3) AIO_TIMEOUT(delays[self->i]) { CHECK(false); }
            else AIO_TIMEOUT_AT(delays[self->i - 3]) { CHECK(false); }
        } AIO_CATCH {
            CAUGHT(EINVAL);
            self->wrong++;
        } AIO_END_TRY
    }
    CHECK_INT(self->wrong, 6);
    AIO_END;
}

struct timeout_at_a_time { aio_task task; int code; };
SCENARIO(timeout_at_a_time)
{
    AIO_BEGIN(timeout_at_a_time);
    AIO_TIMEOUT_AT(1002) { AIO_AWAIT(aio_sleep(1)); }
    AIO_TRY {
        AIO_TIMEOUT_AT(1002) { AIO_AWAIT(aio_sleep(5)); }
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    REQUIRE(self->code == AIO_ETIMEOUT);
    CHECK_NEAR(comb_now(), 2, 0.01);
    AIO_TRY {
        AIO_TIMEOUT_AT(1001) { AIO_AWAIT(aio_sleep(5)); }
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        self->code = 0;
    } AIO_END_TRY
    CHECK_INT(self->code, 0);
    CHECK_NEAR(comb_now(), 2, 0.01);
    AIO_END;
}

/* Nested: only the one whose cancel it was becomes a timeout. */
struct timeout_nested { aio_task task; double inner, outer; int where; };
static AIO_CORO(timeout_nested)
{
    AIO_BEGIN(timeout_nested);
    AIO_TRY {
        AIO_TIMEOUT(self->outer) {
            AIO_TRY {
                AIO_TIMEOUT(self->inner) { AIO_AWAIT(aio_sleep(9)); }
            } AIO_CATCH_ALL {
                self->where = aio_caught(self)->code == AIO_ETIMEOUT ? 1 : 2;
                AIO_RERAISE();
            } AIO_END_TRY
        }
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        self->where += 10;
    } AIO_END_TRY
    CHECK_INT(aio_task_cancelling(aio_current_task()), 0);
    AIO_END;
}
struct timeouts_nest { aio_task task; struct timeout_nested *t; int i; };
SCENARIO(timeouts_nest, .may = { AIO_ETIMEOUT })
{
    static const struct { double inner, outer; int where; } cases[] = {
        { 1, 2, 11 }, /* the inner one; its error leaves the outer one as it is */
        { 2, 1, 12 }, /* the outer one: inside it is a cancel */
        { 1, 1, 12 }, /* both */
    };
    AIO_BEGIN(timeouts_nest);
    for (self->i = 0; self->i < 3; self->i++) {
        self->t = AIO_CALL(timeout_nested, .inner = cases[self->i].inner, .outer = cases[self->i].outer);
        AIO_AWAIT(aio_ref(self->t));
        CHECK_INT(self->t->where, cases[self->i].where);
        aio_unref(self->t);
        self->t = NULL;
    }
    AIO_FINALLY;
    aio_unref(self->t);
    AIO_END;
}

struct timeout_rescheduled { aio_task task; int code; };
SCENARIO(timeout_rescheduled)
{
    AIO_BEGIN(timeout_rescheduled);
    CHECK_INT(aio_timeout_reschedule(self, 1), AIO_EINVALIDSTATE); /* there is none */
    AIO_TRY {
        AIO_TIMEOUT(1) {
            AIO_AWAIT(aio_sleep(0.5));
            REQUIRE(aio_timeout_reschedule(self, 3) == 0);
            CHECK_INT(aio_timeout_reschedule(self, NAN), EINVAL);
            AIO_TRY {
                AIO_AWAIT(aio_sleep(9));
            } AIO_CATCH_ALL {
                CHECK(aio_timeout_expired(self));
                CHECK_INT(aio_timeout_reschedule(self, 3), AIO_EINVALIDSTATE);
                AIO_RERAISE();
            } AIO_END_TRY
        }
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    REQUIRE(self->code == AIO_ETIMEOUT);
    CHECK_NEAR(comb_now(), 3.5, 0.01);
    AIO_TRY {
        AIO_TIMEOUT(9) {
            REQUIRE(aio_timeout_reschedule(self, AIO_NOW) == 0);
            AIO_AWAIT(aio_sleep(5));
        }
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        self->code = 0;
    } AIO_END_TRY
    CHECK_INT(self->code, 0);
    CHECK_NEAR(comb_now(), 3.5, 0.01);
    AIO_END;
}

/* A cancel from outside is not swallowed, even when the timeout has expired at the same time. */
struct timeout_awaiter { aio_task task; double hold; };
static AIO_CORO(timeout_awaiter)
{
    AIO_BEGIN(timeout_awaiter);
    AIO_TIMEOUT(2) {
        AIO_TRY {
            AIO_AWAIT(aio_sleep(9));
        } AIO_CATCH_ALL {
            AIO_AWAIT(aio_sleep(self->hold)); /* cleans up; the second cancel comes here */
            AIO_RERAISE();
        } AIO_END_TRY
    }
    AIO_END;
}
struct timeout_and_cancel { aio_task task; struct timeout_awaiter *awaiter; double hold; int i; };
SCENARIO(timeout_and_cancel)
{
    AIO_BEGIN(timeout_and_cancel);
    for (self->i = 0; self->i < 3; self->i++) {
        self->awaiter = aio_create_task(AIO_CALL(timeout_awaiter, .hold = 2));
        AIO_AWAIT(aio_sleep(self->i == 0 ? 1 : self->i == 1 ? 2 : 3)); /* before, at, after */
        aio_task_cancel(self->awaiter);
        AIO_AWAIT(aio_gather(&self->awaiter, 1, .return_exceptions = true));
        CHECK_INT(comb_code(self->awaiter), AIO_ECANCELLED);
        aio_unref(self->awaiter);
        self->awaiter = NULL;
    }
    AIO_FINALLY;
    aio_unref(self->awaiter);
    AIO_END;
}

/* The body swallows the cancel, or raises something else: it has not timed out. */
struct timeout_swallowed { aio_task task; int i, errors; };
SCENARIO(timeout_swallowed, .may = { EIO })
{
    AIO_BEGIN(timeout_swallowed);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_TIMEOUT(1) {
                AIO_TRY {
                    AIO_AWAIT(aio_sleep(9));
                } AIO_CATCH_ALL {
                    CAUGHT(AIO_ECANCELLED);
                    CHECK_INT(aio_task_cancelling(aio_current_task()), 1);
                    if (self->i == 1) AIO_RAISE(EIO);
                } AIO_END_TRY
            }
        } AIO_CATCH {
            CAUGHT(EIO);
            self->errors++;
        } AIO_END_TRY
        CHECK_INT(aio_task_cancelling(aio_current_task()), 0);
    }
    CHECK_INT(self->errors, 1);
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}

/* ---- wait_for ---- */

struct wait_for_gives { aio_task task; int got; struct comb_kid *kid; struct comb_answer *answer; };
SCENARIO(wait_for_gives)
{
    AIO_BEGIN(wait_for_gives);
    AIO_AWAIT(self->got, aio_wait_for(comb_kid(.delay = 1, .give = 5), 2));
    CHECK_INT(self->got, 5);
    self->kid = aio_create_task(comb_kid(.delay = 1, .give = 6));
    AIO_AWAIT(self->got, aio_wait_for((struct comb_kid *)aio_ref(self->kid), 2));
    CHECK_INT(self->got, 6);
    AIO_AWAIT(self->got, aio_wait_for((struct comb_kid *)aio_ref(self->kid), 0)); /* done: whatever the time */
    CHECK_INT(self->got, 6);
    self->answer = AIO_FUTURE(struct comb_answer);
    REQUIRE(self->answer != NULL);
    aio_future_set_result(self->answer, 42);
    AIO_AWAIT(self->got, aio_wait_for((struct comb_answer *)aio_ref(self->answer), AIO_NOW));
    CHECK_INT(self->got, 42);
    AIO_AWAIT(aio_wait_for(aio_sleep(0), 1));
    AIO_AWAIT(aio_wait_for(aio_sleep(1), 2));
    CHECK_NEAR(comb_now(), 3, 0.01);
    AIO_FINALLY;
    aio_unref(self->kid);
    aio_unref(self->answer);
    AIO_END;
}

/* A typed future that gets its result later; the stand-in in an array, its result read afterwards. */
static void comb_answer_now(void *arg)
{
    struct comb_answer *answer = (struct comb_answer *)arg;
    aio_future_set_result(answer, 43);
}
/* What came in time is given, however late the loop comes to the limit: the timer queues up behind it. */
struct in_time_inner { aio_task task; int result; struct comb_answer *answer; };
static AIO_CORO(in_time_inner)
{
    AIO_BEGIN(in_time_inner);
    AIO_AWAIT(self->result, (struct comb_answer *)aio_ref(self->answer));
    AIO_END;
}
struct in_time { aio_task task; int result, way; struct comb_answer *answer; };
static AIO_CORO(in_time)
{
    AIO_BEGIN(in_time);
    if (self->way == 0) {
        AIO_AWAIT(self->result, aio_wait_for(AIO_CALL(in_time_inner, .answer = self->answer), 1));
    } else if (self->way == 1) {
        AIO_AWAIT(self->result, aio_wait_for((struct comb_answer *)aio_ref(self->answer), 1));
    } else if (self->way == 2) {
        AIO_TIMEOUT(1) {
            AIO_AWAIT(self->result, (struct comb_answer *)aio_ref(self->answer));
            CHECK(!aio_timeout_expired(self));
        }
    } else {
        AIO_TIMEOUT(1) {
            AIO_AWAIT(self->result, (struct comb_answer *)aio_ref(self->answer));
            REQUIRE(aio_timeout_reschedule(self, self->way == 3 ? 5 : AIO_UNLIMITED) == 0);
            AIO_AWAIT(aio_sleep(2));
        }
    }
    AIO_AWAIT(aio_sleep(10)); /* nothing comes later */
    AIO_END;
}
static void in_time_nothing(void *arg) { (void)arg; }
struct in_time_of_late_loop { aio_task task; struct in_time *one; struct comb_answer *answer; int way; };
SCENARIO(in_time_of_late_loop)
{
    AIO_BEGIN(in_time_of_late_loop);
    aio_loop_set_slow_callback_duration(aio_get_running_loop(), AIO_UNLIMITED);
    for (self->way = 0; self->way < 5; self->way++) {
        self->answer = AIO_FUTURE(struct comb_answer);
        REQUIRE(self->answer != NULL);
        self->one = aio_create_task(AIO_CALL(in_time, .answer = self->answer, .way = self->way));
        REQUIRE(self->one != NULL);
        AIO_AWAIT(aio_sleep(0.5));
        aio_future_set_result(self->answer, 42);
        clock_advance(5);
        REQUIRE(aio_loop_call_later(aio_get_running_loop(), 0, in_time_nothing, NULL).generation); /* time is looked at */
        AIO_AWAIT(aio_ref(self->one));
        CHECK_INT(self->one->result, 42);
        aio_unref(self->one), self->one = NULL;
        aio_unref(self->answer), self->answer = NULL;
    }
    AIO_FINALLY;
    aio_unref(self->one);
    aio_unref(self->answer);
    AIO_END;
}

struct wait_for_in_an_array {
    aio_task task;
    struct comb_answer *answer, *waiting[1];
    struct comb_kid *kid[2];
    aio_handle later;
};
SCENARIO(wait_for_in_an_array)
{
    AIO_BEGIN(wait_for_in_an_array);
    self->answer = AIO_FUTURE(struct comb_answer);
    REQUIRE(self->answer != NULL);
    self->waiting[0] = aio_wait_for((struct comb_answer *)aio_ref(self->answer), 5);
    self->later = aio_loop_call_later(aio_get_running_loop(), 1, comb_answer_now, self->answer);
    REQUIRE(self->later.generation);
    AIO_AWAIT(aio_gather(self->waiting, 1));
    CHECK_INT(self->waiting[0]->result, 43);
    self->kid[0] = aio_wait_for(comb_kid(.delay = 1, .give = 5), 2);
    self->kid[1] = aio_shield(comb_kid(.delay = 1, .give = 6));
    AIO_AWAIT(aio_gather(self->kid, 2));
    CHECK_INT(self->kid[0]->result * 10 + self->kid[1]->result, 56);
    AIO_FINALLY;
    aio_handle_cancel(self->later);
    aio_unref_all(self->kid, 2);
    aio_unref_all(self->waiting, 1);
    aio_unref(self->answer);
    AIO_END;
}

/* After the timeout it is cancelled and waited for; what it still gives or raises wins. */
struct wait_for_expires { aio_task task; int i, got, code; struct comb_kid *kid; };
SCENARIO(wait_for_expires, .may = { EIO, AIO_ETIMEOUT })
{
    static const struct { bool stubborn, as_task; int fail, code; } cases[] = {
        { false, false, 0, AIO_ETIMEOUT }, { true, false, 0, 0 }, { true, false, EIO, EIO },
        { false, true, 0, AIO_ETIMEOUT }, { true, true, 0, 0 }, { true, true, EIO, EIO },
    };
    AIO_BEGIN(wait_for_expires);
    for (self->i = 0; self->i < 6; self->i++) {
        self->kid = comb_kid(.delay = 9, .hold = 1, .give = 4, .stubborn = cases[self->i].stubborn,
                             .fail = cases[self->i].fail);
        if (cases[self->i].as_task) self->kid = aio_create_task(self->kid);
        self->code = self->got = 0;
        AIO_TRY {
            AIO_AWAIT(self->got, aio_wait_for((struct comb_kid *)aio_ref(self->kid), 1));
        } AIO_CATCH {
            self->code = aio_caught(self)->code;
        } AIO_END_TRY
        REQUIRE(self->code == cases[self->i].code);
        CHECK_INT(self->got, self->code ? 0 : 4);
        CHECK(aio_future_done(self->kid)); /* it was waited for */
        CHECK_INT(self->kid->cancelled, 1);
        CHECK_INT(aio_task_cancelling(aio_current_task()), 0);
        aio_unref(self->kid);
        self->kid = NULL;
    }
    CHECK_NEAR(comb_now(), 6 + 4, 0.01);
    AIO_FINALLY;
    aio_unref(self->kid);
    AIO_END;
}

struct wait_for_future_expires { aio_task task; int code; struct comb_answer *answer; };
SCENARIO(wait_for_future_expires)
{
    AIO_BEGIN(wait_for_future_expires);
    self->answer = AIO_FUTURE(struct comb_answer);
    AIO_TRY {
        AIO_AWAIT(aio_wait_for((struct comb_answer *)aio_ref(self->answer), 1.25));
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
        CHECK_STR(aio_caught(self)->message, "timed out after 1.25 s");
    } AIO_END_TRY
    REQUIRE(self->code == AIO_ETIMEOUT);
    CHECK(aio_future_cancelled(self->answer));
    CHECK_NEAR(comb_now(), 1.25, 0.01);
    AIO_TRY {
        AIO_AWAIT(aio_wait_for(aio_future_create(), 0));
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
        self->code = 0;
    } AIO_END_TRY
    CHECK_INT(self->code, 0);
    CHECK_NEAR(comb_now(), 1.25, 0.01);
    AIO_FINALLY;
    aio_unref(self->answer);
    AIO_END;
}

/* At once: cancelled before its first step; a task that has begun is waited for. */
struct wait_for_zero { aio_task task; int i, code; struct comb_kid *kid; };
SCENARIO(wait_for_zero, .may = { AIO_ETIMEOUT })
{
    AIO_BEGIN(wait_for_zero);
    for (self->i = 0; self->i < 3; self->i++) {
        self->kid = comb_kid(.delay = 9, .hold = 1, .stubborn = self->i == 2, .give = 3);
        if (self->i) self->kid = aio_create_task(self->kid);
        if (self->i == 2) AIO_AWAIT(aio_sleep(1));
        self->code = 0;
        AIO_TRY {
            AIO_AWAIT(self->code, aio_wait_for((struct comb_kid *)aio_ref(self->kid), self->i ? AIO_NOW : 0));
        } AIO_CATCH {
            self->code = aio_caught(self)->code;
        } AIO_END_TRY
        REQUIRE(self->code == (self->i == 2 ? 3 : AIO_ETIMEOUT));
        CHECK_INT(self->kid->started, self->i == 2);
        CHECK_INT(aio_future_cancelled(self->kid), self->i < 2);
        aio_unref(self->kid);
        self->kid = NULL;
    }
    CHECK_NEAR(comb_now(), 2, 0.01);
    AIO_FINALLY;
    aio_unref(self->kid);
    AIO_END;
}

/* A cancel of what awaits goes through, waits for the inner one, and is not taken for a timeout. */
struct wait_for_awaiter { aio_task task; int result, kind; double seconds; struct comb_kid *kid; };
static AIO_CORO(wait_for_awaiter)
{
    AIO_BEGIN(wait_for_awaiter);
    self->kid = comb_kid(.delay = 9, .hold = 2, .stubborn = true, .fail = self->kind == 3 ? EIO : AIO_ECANCELLED);
    if (self->kind >= 1) self->kid = aio_create_task(self->kid);
    if (self->kind >= 2) AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(self->result, aio_wait_for((struct comb_kid *)aio_ref(self->kid), self->seconds));
    AIO_FINALLY;
    aio_unref(self->kid);
    AIO_END;
}
struct wait_for_and_cancel { aio_task task; struct wait_for_awaiter *awaiter; int i; };
SCENARIO(wait_for_and_cancel, .may = { EIO })
{
    static const struct { int kind; double seconds; int code; } cases[] = {
        { 0, 5, AIO_ECANCELLED }, { 1, 5, AIO_ECANCELLED }, /* before the timeout */
        { 0, 0.5, AIO_ECANCELLED }, { 1, 0.5, AIO_ECANCELLED }, /* while the timeout waits for the inner one */
        { 2, 0, AIO_ECANCELLED }, { 3, 5, EIO },
    };
    AIO_BEGIN(wait_for_and_cancel);
    for (self->i = 0; self->i < 6; self->i++) {
        self->awaiter = aio_create_task(
            AIO_CALL(wait_for_awaiter, .kind = cases[self->i].kind, .seconds = cases[self->i].seconds));
        AIO_AWAIT(aio_sleep(1));
        aio_task_cancel(self->awaiter);
        AIO_AWAIT(aio_gather(&self->awaiter, 1, .return_exceptions = true));
        CHECK_INT(comb_code(self->awaiter), cases[self->i].code);
        aio_unref(self->awaiter);
        self->awaiter = NULL;
    }
    AIO_FINALLY;
    aio_unref(self->awaiter);
    AIO_END;
}

struct wait_for_future_awaiter { aio_task task; aio_future *future; };
static AIO_CORO(wait_for_future_awaiter)
{
    AIO_BEGIN(wait_for_future_awaiter);
    AIO_AWAIT(aio_wait_for((aio_future *)aio_ref(self->future), 5));
    AIO_END;
}
struct wait_for_future_and_cancel { aio_task task; struct wait_for_future_awaiter *awaiter; aio_future *future; };
SCENARIO(wait_for_future_and_cancel)
{
    AIO_BEGIN(wait_for_future_and_cancel);
    self->future = aio_future_create();
    self->awaiter = aio_create_task(AIO_CALL(wait_for_future_awaiter, .future = self->future));
    AIO_AWAIT(aio_sleep(1));
    aio_task_cancel_message(self->awaiter, "stop");
    AIO_AWAIT(aio_gather(&self->awaiter, 1, .return_exceptions = true));
    CHECK_INT(comb_code(self->awaiter), AIO_ECANCELLED);
    CHECK(aio_future_cancelled(self->future));
    CHECK_NEAR(comb_now(), 1, 0.01);
    AIO_FINALLY;
    aio_unref(self->awaiter);
    aio_unref(self->future);
    AIO_END;
}

/* The same for a future that takes its time to cancel, which the timeout has asked for already. */
struct wait_for_gather_awaiter { aio_task task; struct comb_kid *kid[1]; };
static AIO_CORO(wait_for_gather_awaiter)
{
    AIO_BEGIN(wait_for_gather_awaiter);
    self->kid[0] = comb_kid(.delay = 9, .hold = 3, .stubborn = true, .fail = AIO_ECANCELLED);
    AIO_AWAIT(aio_wait_for(aio_gather(self->kid, 1), 1));
    AIO_FINALLY;
    aio_unref_all(self->kid, 1);
    AIO_END;
}
struct wait_for_gather_and_cancel { aio_task task; struct wait_for_gather_awaiter *awaiter; int i; };
SCENARIO(wait_for_gather_and_cancel)
{
    AIO_BEGIN(wait_for_gather_and_cancel);
    for (self->i = 0; self->i < 2; self->i++) {
        self->awaiter = aio_create_task(AIO_CALL(wait_for_gather_awaiter));
        AIO_AWAIT(aio_sleep(2));
        if (self->i) aio_task_cancel(self->awaiter);
        AIO_AWAIT(aio_gather(&self->awaiter, 1, .return_exceptions = true));
        CHECK_INT(comb_code(self->awaiter), self->i ? AIO_ECANCELLED : AIO_ETIMEOUT);
        aio_unref(self->awaiter);
        self->awaiter = NULL;
    }
    CHECK_NEAR(comb_now(), 4 + 2, 0.01);
    AIO_FINALLY;
    aio_unref(self->awaiter);
    AIO_END;
}

struct wait_for_wrong { aio_task task; int i, wrong; };
SCENARIO(wait_for_wrong)
{
    AIO_BEGIN(wait_for_wrong);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT(aio_wait_for(comb_kid(.delay = 1), self->i ? NAN : INFINITY));
        } AIO_CATCH {
            CAUGHT(EINVAL);
            self->wrong++;
        } AIO_END_TRY
    }
    CHECK_INT(self->wrong, 2);
    AIO_END;
}

/* Made and never awaited, or cancelled before it began: what it took is let go. */
struct wait_for_dropped { aio_task task; struct comb_kid *kid; };
SCENARIO(wait_for_dropped)
{
    AIO_BEGIN(wait_for_dropped);
    aio_unref(aio_wait_for(comb_kid(.delay = 1), 1));
    aio_unref(aio_wait_for(aio_future_create(), 1));
    self->kid = aio_create_task(aio_wait_for(comb_kid(.delay = 1), 1));
    aio_task_cancel(self->kid);
    AIO_AWAIT(aio_gather(&self->kid, 1, .return_exceptions = true));
    CHECK(aio_future_cancelled(self->kid));
    AIO_AWAIT(aio_sleep(2));
    AIO_FINALLY;
    aio_unref(self->kid);
    AIO_END;
}

/* ---- task groups ---- */

struct group_waits { aio_task task; aio_task_group *group; struct comb_kid *kid[2]; int i; };
SCENARIO(group_waits)
{
    AIO_BEGIN(group_waits);
    AIO_TASK_GROUP(self->group) {
        self->kid[0] = aio_task_group_create_task(self->group, comb_kid(.delay = 2, .give = 1));
        aio_ref(self->kid[0]);
        AIO_AWAIT(aio_sleep(1));
        self->kid[1] = aio_task_group_create_task(self->group, comb_kid(.delay = 3, .give = 2), .name = "two");
        aio_ref(self->kid[1]);
        REQUIRE(self->kid[0] && self->kid[1]);
        CHECK_STR(aio_task_name(self->kid[1]), "two");
    }
    CHECK(self->group == NULL);
    CHECK_NEAR(comb_now(), 4, 0.01);
    CHECK_INT(comb_result(self->kid[0]) + comb_result(self->kid[1]), 3);
    AIO_TASK_GROUP(self->group) { } /* none */
    AIO_TASK_GROUP(self->group) { /* borrowed, not kept; left by break */
        for (self->i = 0; self->i < 3; self->i++) aio_task_group_create_task(self->group, comb_kid(.delay = 1));
        break;
    }
    CHECK_NEAR(comb_now(), 5, 0.01);
    AIO_TASK_GROUP(self->group) { /* all of its tasks are done, but not the body, which makes another one */
        aio_task_group_create_task(self->group, comb_kid(.delay = 1));
        AIO_AWAIT(aio_sleep(2));
        aio_task_group_create_task(self->group, comb_kid(.delay = 3));
    }
    CHECK_NEAR(comb_now(), 10, 0.01);
    AIO_FINALLY;
    aio_unref_all(self->kid, 2);
    AIO_END;
}

/* A child fails: its siblings and the body are cancelled once, and all errors go out together. */
struct group_child_fails { aio_task task; aio_task_group *group; struct comb_kid *kid[4]; int code, body; };
SCENARIO(group_child_fails, .may = { EIO, EPERM, ENOENT })
{
    AIO_BEGIN(group_child_fails);
    AIO_TRY {
        AIO_TASK_GROUP(self->group) {
            self->kid[0] = aio_task_group_create_task(self->group, comb_kid(.delay = 1, .fail = EIO));
            self->kid[1] = aio_task_group_create_task(
                self->group, comb_kid(.delay = 9, .stubborn = true, .hold = 2, .fail = EPERM));
            self->kid[2] = aio_task_group_create_task(self->group, comb_kid(.delay = 9));
            self->kid[3] = aio_task_group_create_task(self->group, comb_kid(.delay = 1));
            aio_ref(self->kid[0]), aio_ref(self->kid[1]), aio_ref(self->kid[2]), aio_ref(self->kid[3]);
            AIO_TRY {
                AIO_AWAIT(aio_sleep(5));
            } AIO_CATCH_ALL {
                self->body = aio_caught(self)->code;
                CHECK_NEAR(comb_now(), 1, 0.01);
                CHECK(aio_task_group_create_task(self->group, comb_kid(.delay = 1)) == NULL);
                CHECK_INT(errno, AIO_ERUNTIME);
                AIO_RAISE(ENOENT, "in the body");
            } AIO_END_TRY
        }
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_EGROUP);
        self->code = AIO_EGROUP;
        REQUIRE(aio_caught(self)->member_count == 3);
        CHECK_INT(aio_caught(self)->members[0]->code, EIO);
        CHECK_INT(aio_caught(self)->members[1]->code, EPERM);
        CHECK_INT(aio_caught(self)->members[2]->code, ENOENT);
        CHECK_INT(aio_caught(self)->traceback_count, 1);
    } AIO_END_TRY
    CHECK_INT(self->code, AIO_EGROUP);
    CHECK_INT(self->body, AIO_ECANCELLED);
    CHECK_NEAR(comb_now(), 3, 0.01); /* all were waited for */
    CHECK_INT(aio_task_cancelling(aio_current_task()), 0);
    CHECK(self->kid[2] && self->kid[2]->cancelled == 1);
    AIO_AWAIT(aio_sleep(1)); /* no cancel is left */
    AIO_FINALLY;
    aio_unref_all(self->kid, 4);
    AIO_END;
}

/* A second child that fails cancels nobody again: one that clears up after the first cancel is let finish. */
struct group_aborts_once { aio_task task; aio_task_group *group; struct comb_kid *kid; int code; };
SCENARIO(group_aborts_once, .may = { EIO, EPERM })
{
    AIO_BEGIN(group_aborts_once);
    AIO_TRY {
        AIO_TASK_GROUP(self->group) {
            aio_task_group_create_task(self->group, comb_kid(.delay = 1, .fail = EIO));
            aio_task_group_create_task(self->group, comb_kid(.delay = 9, .stubborn = true, .hold = 2, .fail = EPERM));
            self->kid = aio_task_group_create_task(self->group,
                                                   comb_kid(.delay = 9, .stubborn = true, .hold = 4, .give = 7));
            aio_ref(self->kid);
        }
    } AIO_CATCH {
        CAUGHT(AIO_EGROUP);
        self->code = AIO_EGROUP;
        CHECK_INT(aio_caught(self)->member_count, 2);
    } AIO_END_TRY
    CHECK_INT(self->code, AIO_EGROUP);
    CHECK_INT(comb_result(self->kid), 7);
    CHECK_NEAR(comb_now(), 5, 0.01);
    AIO_FINALLY;
    aio_unref(self->kid);
    AIO_END;
}

/* Nor does it cancel the body again, which clears up after the first cancel: also one that the group was asked for. */
struct group_clears_up { aio_task task; aio_task_group *group; int how, code, cleared; };
SCENARIO(group_clears_up, .may = { EIO, EPERM })
{
    AIO_BEGIN(group_clears_up);
    for (self->how = 0; self->how < 2; self->how++) {
        AIO_TRY {
            AIO_TASK_GROUP(self->group) {
                aio_task_group_create_task(self->group, comb_kid(.delay = 1, .fail = self->how ? 0 : EIO));
                aio_task_group_create_task(self->group,
                                           comb_kid(.delay = 9, .stubborn = true, .hold = 1, .fail = EPERM));
                AIO_TRY {
                    if (self->how) AIO_AWAIT(aio_sleep(1));
                    if (self->how) CHECK_INT(aio_task_group_cancel(self->group), 0);
                    AIO_AWAIT(aio_sleep(9));
                } AIO_CATCH_ALL {
                    AIO_AWAIT(aio_sleep(3));
                    self->cleared++;
                    AIO_RERAISE();
                } AIO_END_TRY;
            }
        } AIO_CATCH {
            CAUGHT(AIO_EGROUP);
            self->code = AIO_EGROUP;
            CHECK_INT(aio_caught(self)->member_count, 2 - self->how);
        } AIO_END_TRY;
        CHECK_INT(self->code, AIO_EGROUP);
        CHECK_INT(self->cleared, self->how + 1);
        CHECK_NEAR(comb_now(), self->how ? 8 : 4, 0.01);
        CHECK_INT(aio_task_cancelling(aio_current_task()), 0);
        self->code = 0;
    }
    AIO_END;
}

/* The same while the block already waits at its end: the body is not cancelled any more. */
struct group_fails_at_the_end { aio_task task; aio_task_group *group; int code; };
SCENARIO(group_fails_at_the_end, .may = { EIO })
{
    AIO_BEGIN(group_fails_at_the_end);
    AIO_TRY {
        AIO_TASK_GROUP(self->group) {
            aio_task_group_create_task(self->group, comb_kid(.delay = 1, .fail = EIO));
            aio_task_group_create_task(self->group, comb_kid(.delay = 9));
        }
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
        CHECK_INT(aio_caught(self)->member_count, 1);
    } AIO_END_TRY
    REQUIRE(self->code == AIO_EGROUP);
    CHECK_NEAR(comb_now(), 1, 0.01);
    CHECK_INT(aio_task_cancelling(aio_current_task()), 0);
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}

struct group_body_fails { aio_task task; aio_task_group *group; int code; };
SCENARIO(group_body_fails, .may = { EIO })
{
    AIO_BEGIN(group_body_fails);
    AIO_TRY {
        AIO_TASK_GROUP(self->group) {
            aio_task_group_create_task(self->group, comb_kid(.delay = 9));
            AIO_AWAIT(aio_sleep(1));
            AIO_RAISE(EIO, "in the body");
        }
    } AIO_CATCH {
        CAUGHT(AIO_EGROUP);
        self->code = AIO_EGROUP;
        REQUIRE(aio_caught(self)->member_count == 1);
        CHECK_STR(aio_caught(self)->members[0]->message, "in the body");
    } AIO_END_TRY
    CHECK_INT(self->code, AIO_EGROUP);
    CHECK_NEAR(comb_now(), 1, 0.01);
    AIO_END;
}

/* A child that is cancelled is no error, of its own accord or not. */
struct group_child_cancelled { aio_task task; aio_task_group *group; };
SCENARIO(group_child_cancelled)
{
    AIO_BEGIN(group_child_cancelled);
    AIO_TASK_GROUP(self->group) {
        aio_task_cancel(aio_task_group_create_task(self->group, comb_kid(.delay = 9)));
        aio_task_group_create_task(self->group, comb_kid(.delay = 1));
    }
    CHECK_NEAR(comb_now(), 1, 0.01);
    AIO_END;
}

/* A cancel from outside: the children are cancelled and waited for; it goes out only if none has failed. Else it is
 * raised at the next await: it is not lost. */
struct group_owner { aio_task task; aio_task_group *group; bool at_end; int fail, caught; };
static AIO_CORO(group_owner)
{
    AIO_BEGIN(group_owner);
    AIO_TRY {
        AIO_TASK_GROUP(self->group) {
            aio_task_group_create_task(
                self->group, comb_kid(.delay = 9, .stubborn = self->fail > 0, .hold = 2, .fail = self->fail));
            if (!self->at_end) AIO_AWAIT(aio_sleep(9));
        }
    } AIO_CATCH_ALL {
        self->caught = aio_caught(self)->code;
        if (self->caught == AIO_ECANCELLED) AIO_RERAISE();
        AIO_AWAIT(aio_sleep(9));
    } AIO_END_TRY
    AIO_END;
}
struct group_cancelled { aio_task task; struct group_owner *owner; int i; };
SCENARIO(group_cancelled)
{
    AIO_BEGIN(group_cancelled);
    for (self->i = 0; self->i < 4; self->i++) {
        self->owner = aio_create_task(AIO_CALL(group_owner, .at_end = self->i & 1, .fail = self->i & 2 ? EIO : 0));
        AIO_AWAIT(aio_sleep(1));
        aio_task_cancel_message(self->owner, "stop");
        AIO_AWAIT(aio_gather(&self->owner, 1, .return_exceptions = true));
        CHECK_INT(comb_code(self->owner), AIO_ECANCELLED);
        CHECK(self->owner && self->owner->caught == (self->i & 2 ? AIO_EGROUP : AIO_ECANCELLED));
        REQUIRE(aio_future_exception(self->owner) != NULL);
        if (self->i < 2) CHECK_STR(aio_future_exception(self->owner)->message, "stop");
        aio_unref(self->owner);
        self->owner = NULL;
    }
    CHECK_NEAR(comb_now(), 8, 0.01);
    AIO_FINALLY;
    aio_unref(self->owner);
    AIO_END;
}

/* A task cancels itself inside its group: the cancel comes where the block waits for the others, as it was given. */
struct group_gives_up { aio_task task; aio_task_group *group; };
static AIO_CORO(group_gives_up)
{
    AIO_BEGIN(group_gives_up);
    AIO_TASK_GROUP(self->group) {
        aio_task_group_create_task(self->group, comb_kid(.delay = 1));
        aio_task_cancel_message(aio_current_task(), "no more");
    }
    UNREACHED();
    AIO_END;
}
struct group_cancels_itself { aio_task task; struct group_gives_up *owner; };
SCENARIO(group_cancels_itself)
{
    AIO_BEGIN(group_cancels_itself);
    self->owner = aio_create_task(AIO_CALL(group_gives_up));
    AIO_AWAIT(aio_gather(&self->owner, 1, .return_exceptions = true));
    CHECK_INT(comb_code(self->owner), AIO_ECANCELLED);
    if (self->owner) CHECK_STR(aio_future_exception(self->owner)->message, "no more");
    AIO_FINALLY;
    aio_unref(self->owner);
    AIO_END;
}

/* The group outlives its block for who has taken a reference; no task can be made in it any more. */
struct group_ended { aio_task task; aio_task_group *group, *kept; };
SCENARIO(group_ended)
{
    AIO_BEGIN(group_ended);
    AIO_TASK_GROUP(self->group) { self->kept = (aio_task_group *)aio_ref(self->group); }
    CHECK(aio_task_group_create_task(self->kept, comb_kid(.delay = 1)) == NULL);
    CHECK_INT(errno, AIO_ERUNTIME);
    CHECK(aio_task_group_create_task(self->group, comb_kid(.delay = 1)) == NULL);
    CHECK_INT(errno, EINVAL);
    AIO_FINALLY;
    aio_unref(self->kept);
    AIO_END;
}

/* A child makes more children while the block waits at its end. */
struct group_spawner { aio_task task; aio_task_group *group; int depth, *count; };
static AIO_CORO(group_spawner)
{
    AIO_BEGIN(group_spawner);
    AIO_AWAIT(aio_sleep(1));
    ++*self->count;
    if (self->depth > 0) {
        aio_task_group_create_task(self->group, AIO_CALL(group_spawner, .group = self->group, .depth = self->depth - 1,
                                                         .count = self->count));
        aio_task_group_create_task(self->group, AIO_CALL(group_spawner, .group = self->group, .depth = self->depth - 1,
                                                         .count = self->count), .eager_start = true);
    }
    AIO_END;
}
struct group_grows { aio_task task; aio_task_group *group; int count; };
SCENARIO(group_grows)
{
    AIO_BEGIN(group_grows);
    AIO_TASK_GROUP(self->group) {
        aio_task_group_create_task(
            self->group, AIO_CALL(group_spawner, .group = self->group, .depth = 3, .count = &self->count));
    }
    CHECK_INT(self->count, 15);
    CHECK_NEAR(comb_now(), 4, 0.01);
    AIO_END;
}

/* Groups in groups, with a timeout around: what ends the inner one reaches the outer one as one error. */
struct group_nested { aio_task task; aio_task_group *outer, *inner; int code; };
SCENARIO(group_nested, .may = { EIO, AIO_ETIMEOUT })
{
    AIO_BEGIN(group_nested);
    AIO_TRY {
        AIO_TASK_GROUP(self->outer) {
            aio_task_group_create_task(self->outer, comb_kid(.delay = 9));
            AIO_TASK_GROUP(self->inner) {
                aio_task_group_create_task(self->inner, comb_kid(.delay = 1, .fail = EIO));
                AIO_AWAIT(aio_sleep(9));
            }
        }
    } AIO_CATCH {
        CAUGHT(AIO_EGROUP);
        REQUIRE(aio_caught(self)->member_count == 1);
        REQUIRE(aio_caught(self)->members[0]->member_count == 1);
        CHECK_INT(aio_caught(self)->members[0]->members[0]->code, EIO);
    } AIO_END_TRY
    AIO_TRY {
        AIO_TIMEOUT(2) {
            AIO_TASK_GROUP(self->outer) { aio_task_group_create_task(self->outer, comb_kid(.delay = 9)); }
        }
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    REQUIRE(self->code == AIO_ETIMEOUT);
    CHECK_NEAR(comb_now(), 3, 0.01);
    CHECK_INT(aio_task_cancelling(aio_current_task()), 0);
    AIO_END;
}

/* An error of a task that was started eagerly comes when the body waits, not in the middle of its line. */
struct group_eager_failure { aio_task task; aio_task_group *group; int steps, code; };
SCENARIO(group_eager_failure, .may = { EIO })
{
    AIO_BEGIN(group_eager_failure);
    AIO_TRY {
        AIO_TASK_GROUP(self->group) {
            aio_task_group_create_task(self->group, comb_kid(.delay = -1, .fail = EIO), .eager_start = true);
            self->steps++;
            AIO_AWAIT(aio_sleep(9));
            self->steps++;
        }
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    REQUIRE(self->code == AIO_EGROUP);
    CHECK_INT(self->steps, 1);
    CHECK_NEAR(comb_now(), 0, 0.01);
    AIO_END;
}

/* Left by a return. */
struct group_returner { aio_task task; int result; aio_task_group *group; };
static AIO_CORO(group_returner)
{
    AIO_BEGIN(group_returner);
    AIO_TASK_GROUP(self->group) {
        aio_task_group_create_task(self->group, comb_kid(.delay = 2));
        AIO_RETURN(9);
    }
    AIO_END;
}
struct group_left_by_return { aio_task task; int got; };
SCENARIO(group_left_by_return)
{
    AIO_BEGIN(group_left_by_return);
    AIO_AWAIT(self->got, AIO_CALL(group_returner));
    CHECK_INT(self->got, 9);
    CHECK_NEAR(comb_now(), 2, 0.01); /* the children were waited for, not cancelled */
    AIO_END;
}

/* How blocks end when several things come together. */
struct blocks_fails_late { aio_task task; };
static AIO_CORO(blocks_fails_late)
{
    AIO_BEGIN(blocks_fails_late);
    AIO_AWAIT(aio_sleep(100));
    AIO_FINALLY;
    AIO_RAISE(EIO, "at its end");
    AIO_END;
}

struct blocks_cancels { aio_task task; void *of; };
static AIO_CORO(blocks_cancels)
{
    AIO_BEGIN(blocks_cancels);
    aio_task_cancel(self->of);
    AIO_AWAIT(aio_sleep(100));
    AIO_END;
}

struct blocks_body { aio_task task; int way, code, members, cancelling; aio_task_group *group; };
static AIO_CORO(blocks_body)
{
    AIO_BEGIN(blocks_body);
    AIO_TRY {
        AIO_TIMEOUT(2) {
            if (self->way == 0) { /* a cancel from outside is swallowed; then the time is over */
                AIO_TRY {
                    AIO_AWAIT(aio_sleep(100));
                } AIO_CATCH_ALL {
                    CAUGHT(AIO_ECANCELLED);
                } AIO_END_TRY;
                AIO_AWAIT(aio_sleep(100));
            } else {
                AIO_TASK_GROUP(self->group) {
                    if (self->way == 1) REQUIRE(aio_task_group_create_task(self->group, AIO_CALL(blocks_fails_late)));
                    if (self->way == 2)
                        REQUIRE(aio_task_group_create_task(self->group, AIO_CALL(blocks_cancels, .of = self)));
                    AIO_AWAIT(aio_sleep(1));
                    if (self->way == 3) AIO_RAISE(AIO_ECANCELLED, "of its own accord");
                    AIO_AWAIT(aio_sleep(100));
                }
            }
        }
        UNREACHED();
    } AIO_CATCH_ALL {
        self->code = aio_caught(self)->code;
        self->members = aio_caught(self)->member_count;
        self->cancelling = aio_task_cancelling(aio_current_task());
        if (self->code == ENOMEM) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}

struct blocks_meet { aio_task task; struct blocks_body *body[1]; int i; };
SCENARIO(blocks_meet, .may = { EIO })
{
    static const struct { int code, members, cancelling; } wanted[] = {
        { AIO_ECANCELLED, 0, 1 }, /* that cancel, which nobody has taken back, counts for more than the time */
        { AIO_EGROUP, 1, 0 },     /* the time is over, but a child has failed at its end */
        { AIO_ECANCELLED, 0, 1 }, /* a child cancels its owner */
        { AIO_ECANCELLED, 0, 0 }, /* the body raises a cancel that nobody has asked for */
    };
    AIO_BEGIN(blocks_meet);
    for (self->i = 0; self->i < 4; self->i++) {
        REQUIRE(self->body[0] = aio_create_task(AIO_CALL(blocks_body, .way = self->i)));
        AIO_AWAIT(aio_sleep(1));
        if (self->i == 0) CHECK(aio_task_cancel(self->body[0]));
        AIO_AWAIT(aio_gather(self->body, 1, .return_exceptions = true));
        CHECK_INT(self->body[0]->code, wanted[self->i].code);
        CHECK_INT(self->body[0]->members, wanted[self->i].members);
        CHECK_INT(self->body[0]->cancelling, wanted[self->i].cancelling);
        aio_unref_all(self->body, 1);
    }
    AIO_FINALLY;
        aio_unref_all(self->body, 1);
    AIO_END;
}

/* What aio_wait_for waits for is cancelled by somebody else: that is no timeout. */
struct wait_for_other_cancel { aio_task task; struct comb_kid *kid, *waits[1]; };
SCENARIO(wait_for_other_cancel)
{
    AIO_BEGIN(wait_for_other_cancel);
    REQUIRE(self->kid = aio_create_task(comb_kid(.delay = 100)));
    REQUIRE(self->waits[0] = aio_create_task(aio_wait_for((struct comb_kid *)aio_ref(self->kid), 50)));
    AIO_AWAIT(aio_sleep(1));
    CHECK(aio_task_cancel(self->kid));
    AIO_AWAIT(aio_gather(self->waits, 1, .return_exceptions = true));
    CHECK(aio_future_cancelled(self->waits[0]));
    CHECK_NEAR(comb_now(), 1, 0.01);
    AIO_FINALLY;
        aio_unref_all(self->waits, 1);
        aio_unref(self->kid);
    AIO_END;
}

/* ---- all of them ---- */

/* Each level waits for the next in its own way: a chain that is longer than the C stack is deep, ended by a timeout at
 * its top, or cancelled there. */
struct deep_link { aio_task task; int depth, kind; aio_task_group *group; struct deep_link *next[1]; };
static AIO_CORO(deep_link);
#define deep_link(...) AIO_CALL(deep_link, __VA_ARGS__)
static AIO_CORO(deep_link)
{
    AIO_BEGIN(deep_link);
    if (self->depth == 0) {
        AIO_AWAIT(aio_sleep(100));
    } else if (self->kind == 0) {
        AIO_AWAIT(aio_wait_for(deep_link(.depth = self->depth - 1, .kind = 0), 50));
    } else if (self->kind == 1) {
        AIO_TASK_GROUP(self->group) {
            aio_task_group_create_task(self->group, deep_link(.depth = self->depth - 1, .kind = 1));
        }
    } else {
        self->next[0] = deep_link(.depth = self->depth - 1, .kind = 2);
        AIO_AWAIT(aio_gather(self->next, 1));
    }
    AIO_FINALLY;
    aio_unref_all(self->next, 1);
    AIO_END;
}

struct deep_top { aio_task task; int kind; };
static AIO_CORO(deep_top)
{
    AIO_BEGIN(deep_top);
    AIO_TIMEOUT(10) { AIO_AWAIT(deep_link(.depth = 50000, .kind = self->kind)); }
    AIO_END;
}

TEST(deep_chains_time_out)
{
    for (int kind = 0; kind < 3; kind++) {
        aio_loop *loop = aio_new_event_loop();
        aio_loop_set_exception_handler(loop, on_report, NULL);
        double start = aio_loop_time(loop);
        CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(deep_top, .kind = kind), NULL), AIO_ETIMEOUT);
        CHECK_NEAR(aio_loop_time(loop) - start, 10, 1);
        aio_loop_free(loop);
    }
}

/* A loop that is freed in the middle of everything leaks nothing: neither memory nor exceptions. */
struct left_pending { aio_task task; aio_task_group *group; struct comb_kid *kid[2]; aio_completions *all; };
static AIO_CORO(left_pending)
{
    AIO_BEGIN(left_pending);
    AIO_TIMEOUT(50) {
        AIO_TASK_GROUP(self->group) {
            aio_task_group_create_task(self->group, comb_kid(.delay = 1, .fail = EIO));
            aio_task_group_create_task(self->group, comb_kid(.delay = 9, .stubborn = true, .hold = 9));
            self->kid[0] = aio_wait_for(comb_kid(.delay = 9, .stubborn = true, .hold = 9), 60);
            self->kid[1] = aio_shield(comb_kid(.delay = 9));
            self->all = aio_as_completed(self->kid, 2, .timeout = 40);
            aio_as_completed_next(self->all);
            aio_gather(self->kid, 2);
            aio_wait(self->kid, 2, .timeout = 30);
            aio_wait_for(aio_future_create(), 20);
            AIO_AWAIT(aio_gather(self->kid, 2));
        }
    }
    AIO_END;
}
static void stop_now(void *arg) { aio_loop_stop((aio_loop *)arg); }
TEST(loop_freed_in_the_middle)
{
    aio_loop *loop = aio_new_event_loop();
    aio_loop_set_exception_handler(loop, on_report, NULL);
    aio_set_event_loop(loop);
    aio_task *task = (aio_task *)(void *)aio_create_task(AIO_CALL(left_pending));
    aio_loop_call_later(loop, 2, stop_now, loop);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK(!aio_future_done(task));
    aio_loop_free(loop);
}

/* A group that is cancelled ends without an error, whoever asks, and however often. */
struct group_asks { aio_task task; aio_task_group *group; };
static AIO_CORO(group_asks)
{
    AIO_BEGIN(group_asks);
    AIO_AWAIT(aio_sleep(1));
    ALWAYS(aio_task_group_cancel(self->group) == 0);
    ALWAYS(aio_task_group_cancel(self->group) == 0);
    AIO_AWAIT(aio_sleep(100));
    AIO_END;
}

struct group_sleeps { aio_task task; int *ended; };
static AIO_CORO(group_sleeps)
{
    AIO_BEGIN(group_sleeps);
    AIO_AWAIT(aio_sleep(100));
    AIO_FINALLY;
        ++*self->ended;
    AIO_END;
}

struct group_cancel { aio_task task; aio_task_group *group; int how, ended; bool past; double began; };
SCENARIO(group_cancel)
{
    AIO_BEGIN(group_cancel);
    for (self->how = 0; self->how < 4; self->how++) {
        self->past = false;
        self->ended = 0;
        self->began = aio_time();
        AIO_TASK_GROUP(self->group) { /* 0: the body asks, and awaits; 1: and ends; 2: a child; 3: which it waits for */
            REQUIRE(aio_task_group_create_task(self->group, AIO_CALL(group_sleeps, .ended = &self->ended)));
            AIO_AWAIT(aio_sleep(1));
            if (self->how < 2) CHECK_INT(aio_task_group_cancel(self->group), 0);
            else REQUIRE(aio_task_group_create_task(self->group, AIO_CALL(group_asks, .group = self->group)));
            if (self->how == 0 || self->how == 2) AIO_AWAIT(aio_sleep(50));
            self->past = true;
        }
        CHECK_INT(self->past, self->how % 2);
        CHECK_INT(self->ended, 1);
        CHECK(aio_time() - self->began < 3);
        CHECK_INT(aio_task_cancelling(aio_current_task()), 0);
        AIO_AWAIT(aio_sleep(0));
    }
    CHECK_INT(aio_task_group_cancel(NULL), EINVAL);
    AIO_END;
}

struct timeout_when { aio_task task; double began; };
SCENARIO(timeout_when)
{
    AIO_BEGIN(timeout_when);
    CHECK(aio_timeout_when(self) == AIO_UNLIMITED);
    self->began = aio_time();
    AIO_TIMEOUT(5) {
        CHECK_NEAR(aio_timeout_when(self) - self->began, 5, 0.1);
        CHECK_INT(aio_timeout_reschedule(self, 7), 0);
        CHECK_NEAR(aio_timeout_when(self) - self->began, 7, 0.1);
        AIO_TIMEOUT(AIO_UNLIMITED) CHECK(aio_timeout_when(self) == AIO_UNLIMITED);
    }
    AIO_END;
}
