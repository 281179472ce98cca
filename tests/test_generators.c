/* Generators: values, ends, what closes them, what they raise, steps by hand, wrong use. */

enum { GEN_LOG = 40 };
static void gen_note(char *log, int c)
{
    size_t n = strlen(log);
    if (n + 1 < GEN_LOG) log[n] = (char)c, log[n + 1] = 0;
}

/* `from` up to `to`, with a step of the loop before each; then `fails`. Notes [ and ], with a step between, at its end. */
struct gen_count { aio_task task; int result; char *log; int from, to, fails; bool slow; };
static AIO_CORO(gen_count)
{
    AIO_BEGIN_GENERATOR(gen_count);
    for (; self->from <= self->to; self->from++) {
        if (self->slow) AIO_AWAIT(aio_sleep(1));
        AIO_YIELD(self->from);
    }
    if (self->fails) AIO_RAISE(self->fails, "after the last");
    AIO_FINALLY;
        gen_note(self->log, '[');
        AIO_AWAIT(aio_sleep(1));
        gen_note(self->log, ']');
    AIO_END;
}
#define GEN_COUNT(...) AIO_CALL(gen_count, .log = self->log, __VA_ARGS__)

static void *gen_close_it(struct gen_count **gen)
{
    struct gen_count *closed = *gen;
    *gen = NULL;
    return aio_generator_close(closed);
}

struct gen_values { aio_task task; char log[GEN_LOG]; int n; };
SCENARIO(gen_values)
{
    AIO_BEGIN(gen_values);
    AIO_ASYNC_FOR(self->n, GEN_COUNT(.from = 1, .to = 3, .slow = true)) gen_note(self->log, '0' + self->n);
    AIO_ASYNC_FOR(self->n, GEN_COUNT(.from = 4, .to = 6)) {
        if (self->n == 5) continue;
        AIO_AWAIT(aio_sleep(0));
        gen_note(self->log, '0' + self->n);
    }
    AIO_ASYNC_FOR(self->n, GEN_COUNT(.from = 1, .to = 0)) UNREACHED(); /* none */
    CHECK_STR(self->log, "123[]46[][]");
    AIO_END;
}

/* A struct for a value, an AIO_RETURN, no AIO_FINALLY, a block that is open at the AIO_YIELD. */
struct gen_pair { const char *key; int value; };
struct gen_pairs { aio_task task; struct gen_pair result; aio_lock *lock; int last, i; };
static AIO_CORO(gen_pairs)
{
    AIO_BEGIN_GENERATOR(gen_pairs);
    for (self->i = 1;; self->i++) {
        AIO_ASYNC_WITH(aio_lock_acquire(self->lock), aio_lock_release(self->lock)) {
            AIO_YIELD((struct gen_pair){ "key", self->i });
        }
        if (self->i == self->last) AIO_RETURN();
    }
    AIO_END;
}

struct gen_structs { aio_task task; struct gen_pair pair; aio_lock lock; int sum; };
SCENARIO(gen_structs)
{
    AIO_BEGIN(gen_structs);
    AIO_ASYNC_FOR(self->pair, AIO_CALL(gen_pairs, .lock = &self->lock, .last = 3)) {
        CHECK_STR(self->pair.key, "key");
        CHECK(aio_lock_locked(&self->lock));
        self->sum += self->pair.value;
    }
    CHECK_INT(self->sum, 6);
    AIO_ASYNC_FOR(self->pair, AIO_CALL(gen_pairs, .lock = &self->lock, .last = 3)) break;
    CHECK(!aio_lock_locked(&self->lock));
    AIO_END;
}

enum { GEN_BREAK, GEN_RETURN, GEN_RAISE, GEN_FAILS, GEN_RETURN_IN_TRY, GEN_RAISE_IN_TRY, GEN_ITS_OWN, GEN_WAYS };
struct gen_leaves { aio_task task; int result; char *log; int how, n; };
static AIO_CORO(gen_leaves)
{
    AIO_BEGIN(gen_leaves);
    AIO_ASYNC_FOR(self->n, GEN_COUNT(.from = 1, .to = 2, .fails = self->how == GEN_ITS_OWN ? EIO : 0)) {
        if (self->n == 1) continue;
        gen_note(self->log, 'b');
        if (self->how == GEN_BREAK) break;
        if (self->how == GEN_RETURN) AIO_RETURN(1);
        if (self->how == GEN_RAISE) AIO_RAISE(EIO);
        if (self->how == GEN_FAILS) AIO_AWAIT(AIO_CALL(gen_leaves, .log = self->log, .how = GEN_RAISE));
        AIO_TRY {
            if (self->how == GEN_RETURN_IN_TRY) AIO_RETURN(2);
            if (self->how == GEN_RAISE_IN_TRY) AIO_RAISE(EACCES);
        } AIO_CATCH {
            gen_note(self->log, 'c');
            AIO_RERAISE();
        } AIO_END_TRY;
    }
    gen_note(self->log, 'e');
    AIO_FINALLY;
        gen_note(self->log, 'f');
    AIO_END;
}

struct gen_ways_out { aio_task task; char log[GEN_LOG]; int how, result, code; };
SCENARIO(gen_ways_out)
{
    static const struct { const char *log; int result, code; } expected[GEN_WAYS] = {
        { "b[]ef", 0, 0 }, { "b[]f", 1, 0 }, { "b[]f", 0, EIO }, { "bb[]f[]f", 0, EIO }, { "b[]f", 2, 0 },
        { "bc[]f", 0, EACCES }, { "b[]f", 0, EIO },
    };
    AIO_BEGIN(gen_ways_out);
    for (self->how = 0; self->how < GEN_WAYS; self->how++) {
        memset(self->log, 0, sizeof self->log);
        self->result = self->code = 0;
        AIO_TRY {
            AIO_AWAIT(self->result, AIO_CALL(gen_leaves, .log = self->log, .how = self->how));
        } AIO_CATCH_CODE(EIO, EACCES) {
            self->code = aio_caught(self)->code;
        } AIO_END_TRY;
        CHECK_STR(self->log, expected[self->how].log);
        CHECK_INT(self->result, expected[self->how].result);
        CHECK_INT(self->code, expected[self->how].code);
    }
    AIO_END;
}

/* The error of a generator knows where it was raised, and where it was iterated over. */
struct gen_traceback { aio_task task; char log[GEN_LOG]; int n; };
SCENARIO(gen_traceback)
{
    AIO_BEGIN(gen_traceback);
    AIO_TRY {
        AIO_ASYNC_FOR(self->n, GEN_COUNT(.from = 1, .to = 2, .fails = EPIPE)) CHECK(self->n <= 2);
    } AIO_CATCH {
        CAUGHT(EPIPE);
        CHECK_STR(aio_caught(self)->message, "after the last");
        CHECK_INT(aio_caught(self)->traceback_count, 2);
        if (aio_caught(self)->traceback_count == 2) {
            CHECK_STR(aio_caught(self)->traceback[0].name, "gen_count");
            CHECK_STR(aio_caught(self)->traceback[1].name, "gen_traceback");
        }
    } AIO_END_TRY;
    AIO_END;
}

/* One that goes through another: both are closed, the outer one first, which closes the inner one. */
struct gen_even { aio_task task; int result, n; char *log; };
static AIO_CORO(gen_even)
{
    AIO_BEGIN_GENERATOR(gen_even);
    AIO_ASYNC_FOR(self->n, GEN_COUNT(.from = 1, .to = 9, .slow = true)) {
        if (self->n % 2 == 0) AIO_YIELD(self->n);
    }
    AIO_FINALLY;
        gen_note(self->log, 'f');
    AIO_END;
}

struct gen_nested { aio_task task; char log[GEN_LOG]; int n, m; };
SCENARIO(gen_nested)
{
    AIO_BEGIN(gen_nested);
    AIO_ASYNC_FOR(self->n, AIO_CALL(gen_even, .log = self->log)) {
        gen_note(self->log, '0' + self->n);
        AIO_ASYNC_FOR(self->m, GEN_COUNT(.from = 7, .to = 9)) {
            if (self->m == 8) break;
            gen_note(self->log, '0' + self->m);
        }
        if (self->n == 4) break;
    }
    CHECK_STR(self->log, "27[]47[][]f");
    AIO_END;
}

/* The body's cancel closes the generator, whose AIO_FINALLY awaits; a cancel while it waits is raised in it. */
struct gen_cancelled_one { aio_task task; char *log; int n; bool in_it; };
static AIO_CORO(gen_cancelled_one)
{
    AIO_BEGIN(gen_cancelled_one);
    AIO_ASYNC_FOR(self->n, GEN_COUNT(.from = 1, .to = 9, .slow = self->in_it)) AIO_AWAIT(aio_sleep(1000));
    AIO_FINALLY;
        gen_note(self->log, 'f');
    AIO_END;
}

struct gen_cancelled { aio_task task; char log[GEN_LOG]; struct gen_cancelled_one *kid; int i; };
SCENARIO(gen_cancelled)
{
    AIO_BEGIN(gen_cancelled);
    for (self->i = 0; self->i < 2; self->i++) {
        memset(self->log, 0, sizeof self->log);
        self->kid = aio_create_task(AIO_CALL(gen_cancelled_one, .log = self->log, .in_it = self->i));
        REQUIRE(self->kid);
        AIO_AWAIT(aio_sleep(0.5));
        CHECK(aio_task_cancel(self->kid));
        AIO_AWAIT(aio_sleep(0.5));
        CHECK_STR(self->log, "[");
        AIO_AWAIT(aio_sleep(1));
        CHECK_STR(self->log, "[]f");
        CHECK(aio_future_cancelled(self->kid));
        aio_future_exception(self->kid);
        aio_unref(self->kid);
        self->kid = NULL;
    }
    AIO_FINALLY;
        if (self->kid) aio_future_exception(self->kid);
        aio_unref(self->kid);
    AIO_END;
}

/* By hand: the first value apart, then the rest; after the end there is nothing, again and again. */
struct gen_by_hand { aio_task task; char log[GEN_LOG]; struct gen_count *gen; int n, i, ends; };
SCENARIO(gen_by_hand)
{
    AIO_BEGIN(gen_by_hand);
    self->gen = GEN_COUNT(.from = 1, .to = 3);
    REQUIRE(self->gen);
    AIO_AWAIT(self->n, aio_anext(self->gen));
    CHECK_INT(self->n, 1);
    AIO_AWAIT(self->n, aio_wait_for(aio_anext(self->gen), 5));
    CHECK_INT(self->n, 2);
    AIO_ASYNC_FOR(self->n, aio_ref(self->gen) ? self->gen : NULL) CHECK_INT(self->n, 3);
    CHECK_STR(self->log, "[]");
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT(self->n, aio_anext(self->gen));
        } AIO_CATCH_CODE(AIO_ESTOPITERATION) {
            self->ends++;
        } AIO_END_TRY;
    }
    CHECK_INT(self->ends, 2);
    AIO_ASYNC_FOR(self->n, aio_anext(self->gen)) UNREACHED();
    AIO_FINALLY;
        AIO_AWAIT(aio_generator_close(self->gen));
    AIO_END;
}

/* Two take from it: who has it in an AIO_ASYNC_FOR hears that the other's step is under way, and, when the other has
 * come to its end, of no more values. */
struct gen_two_take { aio_task task; char log[GEN_LOG]; struct gen_count *gen, *step; int n, i, rounds; };
SCENARIO(gen_two_take)
{
    AIO_BEGIN(gen_two_take);
    for (self->i = 0; self->i < 2; self->i++) {
        self->rounds = 0;
        self->gen = GEN_COUNT(.from = 1, .to = 2, .slow = true);
        REQUIRE(self->gen);
        AIO_TRY {
            AIO_ASYNC_FOR(self->n, (struct gen_count *)aio_ref(self->gen)) {
                self->rounds++;
                CHECK_INT(self->n, 1);
                REQUIRE(self->step = aio_create_task(aio_anext(self->gen)));
                AIO_AWAIT(aio_sleep(self->i == 0 ? 0 : 5));
                if (self->i == 0) continue;
                CHECK(aio_future_done(self->step));
                AIO_AWAIT(aio_gather(&self->step, 1));
                aio_unref(self->step);
                REQUIRE(self->step = aio_create_task(aio_anext(self->gen)));
                AIO_AWAIT(aio_gather(&self->step, 1, .return_exceptions = true));
                if (CHECK(aio_future_exception(self->step)))
                    CHECK_INT(aio_future_exception(self->step)->code, AIO_ESTOPITERATION);
            }
            CHECK_INT(self->i, 1);
        } AIO_CATCH {
            CAUGHT(AIO_ERUNTIME);
            CHECK_INT(self->i, 0);
        } AIO_END_TRY;
        CHECK_INT(self->rounds, 1);
        if (self->step) AIO_AWAIT(aio_gather(&self->step, 1, .return_exceptions = true));
        aio_unref(self->step);
        self->step = NULL;
        AIO_AWAIT(gen_close_it(&self->gen));
    }
    AIO_FINALLY;
        if (self->step) aio_task_cancel(self->step), aio_future_exception(self->step);
        aio_unref(self->step);
        aio_unref(self->gen);
    AIO_END;
}

/* Iterating by steps leaves it open behind a break. */
struct gen_goes_on { aio_task task; char log[GEN_LOG]; struct gen_count *gen; int n, sum; };
SCENARIO(gen_goes_on)
{
    AIO_BEGIN(gen_goes_on);
    self->gen = GEN_COUNT(.from = 1, .to = 4);
    REQUIRE(self->gen);
    AIO_ASYNC_FOR(self->n, aio_anext(self->gen)) if (self->n == 2) break;
    AIO_ASYNC_FOR(self->n, aio_anext(self->gen)) self->sum += self->n;
    CHECK_INT(self->sum, 7);
    CHECK_STR(self->log, "[]");
    AIO_FINALLY;
        AIO_AWAIT(aio_generator_close(self->gen));
    AIO_END;
}

/* Before its first step, half way, at its end, by a task of its own, none at all. */
struct gen_close { aio_task task; char log[GEN_LOG]; struct gen_count *gen; int n, i; aio_future *closing; };
SCENARIO(gen_close)
{
    static const char *const logs[] = { "", "[]", "[]", "[]" };
    AIO_BEGIN(gen_close);
    for (self->i = 0; self->i < 4; self->i++) {
        memset(self->log, 0, sizeof self->log);
        self->gen = GEN_COUNT(.from = 1, .to = self->i == 2 ? 0 : 4);
        REQUIRE(self->gen);
        AIO_TRY {
            if (self->i) AIO_AWAIT(self->n, aio_anext(self->gen));
        } AIO_CATCH_CODE(AIO_ESTOPITERATION) {
            CHECK_INT(self->i, 2);
        } AIO_END_TRY;
        self->closing = (aio_future *)aio_generator_close(self->gen);
        self->gen = NULL;
        if (self->i == 3) self->closing = aio_create_task(self->closing);
        AIO_AWAIT(self->closing);
        self->closing = NULL;
        CHECK_STR(self->log, logs[self->i]);
    }
    AIO_AWAIT(aio_generator_close(NULL));
    AIO_FINALLY;
        AIO_AWAIT(aio_generator_close(self->gen));
    AIO_END;
}

/* What it raises while it is closed arrives; so does what another one's driver meets. */
struct gen_closed_badly { aio_task task; int result; int how; };
static AIO_CORO(gen_closed_badly)
{
    AIO_BEGIN_GENERATOR(gen_closed_badly);
    AIO_TRY {
        AIO_YIELD(1);
    } AIO_CATCH { /* is no business of this one */
        UNREACHED();
    } AIO_END_TRY;
    AIO_FINALLY;
        if (self->how == 0) AIO_RAISE(EBADF);
        if (self->how == 1) AIO_YIELD(2);
    AIO_END;
}

struct gen_close_fails { aio_task task; int n, i, code; };
SCENARIO(gen_close_fails)
{
    static const int codes[] = { EBADF, AIO_ERUNTIME };
    AIO_BEGIN(gen_close_fails);
    for (self->i = 0; self->i < 2; self->i++) {
        self->code = 0;
        AIO_TRY {
            AIO_ASYNC_FOR(self->n, AIO_CALL(gen_closed_badly, .how = self->i)) break;
        } AIO_CATCH_CODE(EBADF, AIO_ERUNTIME) {
            self->code = aio_caught(self)->code;
        } AIO_END_TRY;
        CHECK_INT(self->code, codes[self->i]);
    }
    AIO_END;
}

/* One that takes its end for an error of any kind, and yields on: it is ended. */
struct gen_stubborn { aio_task task; int result; };
static AIO_CORO(gen_stubborn)
{
    AIO_BEGIN_GENERATOR(gen_stubborn);
    for (;;) {
        AIO_TRY {
            AIO_YIELD(self->result + 1);
        } AIO_CATCH_ALL {
            CHECK(aio_caught(self)->code == AIO_EGENERATOREXIT || aio_caught(self)->code == AIO_ERUNTIME);
        } AIO_END_TRY;
    }
    AIO_END;
}

struct gen_ignores { aio_task task; int n, code; };
SCENARIO(gen_ignores)
{
    AIO_BEGIN(gen_ignores);
    AIO_TRY {
        AIO_ASYNC_FOR(self->n, AIO_CALL(gen_stubborn)) if (self->n == 2) break;
    } AIO_CATCH_CODE(AIO_ERUNTIME) {
        self->code = aio_caught(self)->code;
        CHECK_STR(aio_caught(self)->message, "the generator ignored GeneratorExit");
    } AIO_END_TRY;
    CHECK_INT(self->code, AIO_ERUNTIME);
    AIO_END;
}

/* A handler for its end is no fault of one that then ends. */
struct gen_polite { aio_task task; int result; char *log; };
static AIO_CORO(gen_polite)
{
    AIO_BEGIN_GENERATOR(gen_polite);
    AIO_TRY {
        AIO_YIELD(1);
    } AIO_CATCH_CODE(AIO_EGENERATOREXIT) {
        gen_note(self->log, 'x');
    } AIO_END_TRY;
    AIO_END;
}

struct gen_handles { aio_task task; char log[GEN_LOG]; int n; };
SCENARIO(gen_handles)
{
    AIO_BEGIN(gen_handles);
    AIO_ASYNC_FOR(self->n, AIO_CALL(gen_polite, .log = self->log)) break;
    CHECK_STR(self->log, "x");
    AIO_END;
}

/* Dropped half way: a task of its own closes it. */
struct gen_dropped { aio_task task; char log[GEN_LOG]; struct gen_count *gen; int n; };
SCENARIO(gen_dropped, .skip = KIND_DEBUG /* which says so */)
{
    AIO_BEGIN(gen_dropped);
    self->gen = GEN_COUNT(.from = 1, .to = 4);
    REQUIRE(self->gen);
    AIO_AWAIT(self->n, aio_anext(self->gen));
    aio_unref(self->gen);
    self->gen = NULL;
    AIO_AWAIT(aio_sleep(2));
    CHECK_STR(self->log, "[]");
    AIO_FINALLY;
        aio_unref(self->gen);
        AIO_AWAIT(aio_sleep(2));
    AIO_END;
}

struct gen_dropped_debug { aio_task task; char log[GEN_LOG]; struct gen_count *gen; int n; };
SCENARIO(gen_dropped_debug)
{
    AIO_BEGIN(gen_dropped_debug);
    aio_loop_set_debug(aio_get_running_loop(), true);
    expect_report("generator 'gen_count' was dropped before its end (made at ");
    self->gen = GEN_COUNT(.from = 1, .to = 4);
    REQUIRE(self->gen);
    AIO_AWAIT(self->n, aio_anext(self->gen));
    aio_unref(self->gen);
    self->gen = NULL;
    AIO_AWAIT(aio_sleep(2));
    CHECK_STR(self->log, "[]");
    AIO_FINALLY;
        aio_unref(self->gen);
        AIO_AWAIT(aio_sleep(2));
    AIO_END;
}

static void gen_nothing(void *thing) { (void)thing; }

/* What cannot be: awaited as it is, a task, yields within what would cancel who iterates, driven twice at a time. */
struct gen_scoped { aio_task task; int result; int how; aio_task_group *group; aio_lock lock; };
static AIO_CORO(gen_scoped)
{
    AIO_BEGIN_GENERATOR(gen_scoped);
    if (self->how == 0) {
        AIO_TIMEOUT(1) AIO_YIELD(1);
    } else if (self->how > 1) { /* in a block that may be there, within; and something of its own between them */
        AIO_TIMEOUT(1) {
            if (self->how == 3 && !aio__own(&self->task, gen_nothing, self)) AIO_RAISE(ENOMEM, "own");
            AIO_ASYNC_WITH(aio_lock_acquire(&self->lock), aio_lock_release(&self->lock)) AIO_YIELD(1);
        }
    } else {
        AIO_TASK_GROUP(self->group) AIO_YIELD(1);
    }
    AIO_END;
}

static int gen_code(const aio_exception *error)
{
    return error && error->code == AIO_EGROUP && error->member_count ? error->members[0]->code : error->code;
}

struct gen_misused { aio_task task; char log[GEN_LOG]; struct gen_count *gen, *steps[2]; int n, i, errors; };
SCENARIO(gen_misused)
{
    AIO_BEGIN(gen_misused);
    for (self->i = 0; self->i < 7; self->i++) {
        AIO_TRY {
            if (self->i < 4) {
                AIO_ASYNC_FOR(self->n, AIO_CALL(gen_scoped, .how = self->i)) UNREACHED();
            }
            if (self->i == 4) AIO_AWAIT(self->n, GEN_COUNT(.from = 1, .to = 3));
            if (self->i == 5) AIO_AWAIT(self->n, aio_create_task(GEN_COUNT(.from = 1, .to = 3)));
            if (self->i == 6) AIO_AWAIT(self->n, aio_shield(GEN_COUNT(.from = 1, .to = 3)));
        } AIO_CATCH_CODE(AIO_ERUNTIME, AIO_EGROUP) {
            CHECK_INT(gen_code(aio_caught(self)), AIO_ERUNTIME);
            self->errors++;
        } AIO_END_TRY;
    }
    CHECK_INT(self->errors, 7);
    self->gen = GEN_COUNT(.from = 1, .to = 4, .slow = true);
    REQUIRE(self->gen);
    self->steps[0] = aio_create_task(aio_anext(self->gen));
    self->steps[1] = aio_create_task(aio_anext(self->gen));
    REQUIRE(self->steps[0] && self->steps[1]);
    AIO_AWAIT(aio_gather(self->steps, 2, .return_exceptions = true));
    CHECK(!aio_future_exception(self->steps[0]));
    CHECK_INT(self->steps[0]->result, 1);
    if (CHECK(aio_future_exception(self->steps[1])))
        CHECK_INT(aio_future_exception(self->steps[1])->code, AIO_ERUNTIME);
    AIO_AWAIT(gen_close_it(&self->gen));
    CHECK_STR(self->log, "[][][][]");
    AIO_FINALLY;
        for (self->i = 0; self->i < 2; self->i++) {
            aio_task_cancel(self->steps[self->i]);
            if (self->steps[self->i]) aio_future_exception(self->steps[self->i]);
        }
        aio_unref_all(self->steps, 2);
        aio_unref(self->gen);
    AIO_END;
}

/* One without an end, and without awaits, leaves the others their turns. */
struct gen_other { aio_task task; int *turns; };
static AIO_CORO(gen_other)
{
    AIO_BEGIN(gen_other);
    while (++*self->turns < 3) AIO_AWAIT(aio_sleep(0));
    AIO_END;
}

struct gen_fair { aio_task task; char log[GEN_LOG]; struct gen_other *other; int n, turns; };
SCENARIO(gen_fair)
{
    AIO_BEGIN(gen_fair);
    self->other = aio_create_task(AIO_CALL(gen_other, .turns = &self->turns));
    REQUIRE(self->other);
    AIO_ASYNC_FOR(self->n, GEN_COUNT(.from = 1, .to = 100000)) if (self->turns == 3) break;
    CHECK(self->n < 10000);
    AIO_FINALLY;
        aio_task_cancel(self->other);
        if (self->other) aio_future_exception(self->other);
        aio_unref(self->other);
    AIO_END;
}

/* Left by goto: it is closed at the end; iterated over anew in the meantime. */
struct gen_goto { aio_task task; char *log; int n, i; };
static AIO_CORO(gen_goto)
{
    AIO_BEGIN(gen_goto);
again:
    AIO_ASYNC_FOR(self->n, GEN_COUNT(.from = 1, .to = 2)) {
        gen_note(self->log, '0' + self->n);
        if (self->i++ == 0) goto again;
    }
    gen_note(self->log, 'e');
    AIO_END;
}

struct gen_goto_out { aio_task task; char log[GEN_LOG]; };
SCENARIO(gen_goto_out)
{
    AIO_BEGIN(gen_goto_out);
    expect_report("AIO_ASYNC_FOR at");
    AIO_AWAIT(AIO_CALL(gen_goto, .log = self->log));
    CHECK_STR(self->log, "112[]e[]");
    AIO_END;
}

/* The loop ends while it is half way, held by a task that never went on, and in debug mode by nobody. */
struct gen_left { aio_task task; struct gen_count **gen; int n; char *log; };
static AIO_CORO(gen_left)
{
    AIO_BEGIN(gen_left);
    *self->gen = GEN_COUNT(.from = 1, .to = 4);
    AIO_AWAIT(self->n, aio_anext(*self->gen));
    AIO_ASYNC_FOR(self->n, GEN_COUNT(.from = 1, .to = 4)) AIO_AWAIT(aio_sleep(1000));
    AIO_END;
}

static void gen_stop(void *loop) { aio_loop_stop((aio_loop *)loop); }

TEST(gen_loop_ends)
{
    char log[GEN_LOG] = "";
    struct gen_count *gen = NULL;
    aio_loop *loop = aio_new_event_loop();
    expect_report("task 'gen_left' was destroyed but it is pending");
    expect_report("'gen_count' was never released");
    aio_loop_set_exception_handler(loop, on_report, NULL);
    aio_loop_set_debug(loop, true);
    aio_set_event_loop(loop);
    struct gen_left *left = aio_create_task(AIO_CALL(gen_left, .gen = &gen, .log = log));
    aio_unref(left);
    aio_loop_call_later(loop, 0.5, gen_stop, loop);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK(gen != NULL);
    aio_loop_free(loop);
    aio_set_event_loop(NULL);
    CHECK_STR(log, "");
}
