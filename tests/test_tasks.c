/* Coroutines and tasks: results, try and catch, finally, blocks with an exit, cancellation, misuse, depth. */

enum { TASK_LOG = 64 };

static void task_note(char *log, char c)
{
    size_t used = strlen(log);
    if (used + 1 < TASK_LOG) log[used] = c;
}

/* Waits one iteration, notes its letter, fails if told to; gives the letter. */
struct task_mark { aio_task task; int result; char *log; char c; int fails; };
static AIO_CORO(task_mark)
{
    AIO_BEGIN(task_mark);
    AIO_AWAIT(aio_sleep(0));
    task_note(self->log, self->c);
    if (self->fails) AIO_RAISE(self->fails, "%c fails", self->c);
    AIO_RETURN(self->c);
    AIO_END;
}
#define MARK(...) AIO_CALL(task_mark, .log = self->log, __VA_ARGS__)

/* Runs a coroutine in a loop of its own; gives what run_until_complete gives. */
static int task_run(void *coroutine, aio_exception **error)
{
    aio_loop *loop = loop_open();
    int code = aio_loop_run_until_complete(loop, coroutine, error);
    aio_loop_free(loop);
    return code;
}

/* ---- results ---- */
struct task_point { double x, y; };
struct task_gives_point { aio_task task; struct task_point result; };
static AIO_CORO(task_gives_point)
{
    struct task_point point = { 1.5, -2 };
    AIO_BEGIN(task_gives_point);
    AIO_RETURN(point);
    AIO_END;
}

struct task_gives_text { aio_task task; const char *result; };
static AIO_CORO(task_gives_text)
{
    AIO_BEGIN(task_gives_text);
    AIO_RETURN("text");
    AIO_END;
}

struct task_results { aio_task task; char log[TASK_LOG]; struct task_point point; const char *text; int letter; };
SCENARIO(task_results)
{
    AIO_BEGIN(task_results);
    AIO_AWAIT(self->point, AIO_CALL(task_gives_point));
    AIO_AWAIT(self->text, AIO_CALL(task_gives_text));
    AIO_AWAIT(self->letter, MARK(.c = 'a'));
    CHECK_NEAR(self->point.x, 1.5, 0);
    CHECK_NEAR(self->point.y, -2, 0);
    CHECK_STR(self->text, "text");
    CHECK_INT(self->letter, 'a');
    AIO_AWAIT(self->letter, aio_create_task(MARK(.c = 'b')));
    CHECK_INT(self->letter, 'b');
    CHECK_STR(self->log, "ab");
    AIO_END;
}

/* ---- order ---- */
struct task_order { aio_task task; char log[TASK_LOG]; struct task_mark *a, *b; };
struct task_at_once { aio_task task; char *log; char c; };
static AIO_CORO(task_at_once)
{
    AIO_BEGIN(task_at_once);
    task_note(self->log, self->c);
    AIO_END;
}

SCENARIO(task_order)
{
    AIO_BEGIN(task_order);
    self->a = aio_create_task(MARK(.c = 'a')); /* only queued */
    self->b = aio_create_task(MARK(.c = 'b'));
    REQUIRE(self->a && self->b);
    AIO_AWAIT(AIO_CALL(task_at_once, .log = self->log, .c = '1')); /* runs within this step */
    CHECK_STR(self->log, "1");
    AIO_AWAIT(aio_create_task(AIO_CALL(task_at_once, .log = self->log, .c = '2')));
    CHECK_STR(self->log, "12ab"); /* a and b took their second step before this one was woken */
    AIO_FINALLY;
        aio_unref(self->a);
        aio_unref(self->b);
    AIO_END;
}

struct task_sleeps { aio_task task; char log[TASK_LOG]; struct task_mark *other; aio_future *kept;
                     double start; int i; };
SCENARIO(task_sleeps)
{
    AIO_BEGIN(task_sleeps);
    self->other = aio_create_task(MARK(.c = 'o'));
    REQUIRE(self->other);
    AIO_AWAIT(aio_sleep(0));
    task_note(self->log, '1');
    AIO_AWAIT(aio_sleep(-3));
    task_note(self->log, '2');
    CHECK_STR(self->log, "1o2");
    self->start = aio_loop_time(aio_get_running_loop());
    AIO_AWAIT(aio_sleep(0.25));
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->start, 0.25, 0.0011);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT(aio_sleep(self->i ? (double)NAN : (double)INFINITY));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EINVAL);
        } AIO_END_TRY;
    }
    self->kept = aio_sleep(1e6); /* never awaited: cancelled and released */
    REQUIRE(self->kept);
    CHECK(aio_future_cancel(self->kept));
    AIO_FINALLY;
        aio_unref(self->kept);
        aio_unref(self->other);
    AIO_END;
}

/* ---- try, catch, finally ---- */
struct task_nesting { aio_task task; char log[TASK_LOG]; int i; };
SCENARIO(task_nesting)
{
    AIO_BEGIN(task_nesting);
    AIO_TRY {
        AIO_TRY {
            AIO_AWAIT(MARK(.c = 'a', .fails = EPIPE));
            task_note(self->log, '!');
        } AIO_CATCH {
            CAUGHT(EPIPE);
            CHECK_STR(aio_caught(self)->message, "a fails");
            task_note(self->log, '1');
            AIO_AWAIT(MARK(.c = 'b', .fails = ECONNRESET)); /* an error in a handler goes outwards */
            task_note(self->log, '!');
        } AIO_END_TRY;
        task_note(self->log, '!');
    } AIO_CATCH {
        CAUGHT(ECONNRESET);
        task_note(self->log, '2');
        AIO_TRY {
            AIO_RERAISE(); /* the same error, into a handler within the handler */
        } AIO_CATCH {
            CHECK_INT(aio_caught(self)->code, ECONNRESET);
            task_note(self->log, '3');
        } AIO_END_TRY;
    } AIO_END_TRY;
    for (self->i = 0; self->i < 3; self->i++) { /* break and continue are the loop's */
        AIO_TRY {
            if (self->i == 0) continue;
            AIO_AWAIT(MARK(.c = 'c'));
            if (self->i == 1) AIO_RAISE(EINVAL);
            break;
        } AIO_CATCH {
            CAUGHT(EINVAL);
            CHECK_STR(aio_caught(self)->message, strerror(EINVAL));
            task_note(self->log, '4');
        } AIO_END_TRY;
    }
    CHECK_INT(self->i, 2);
    CHECK_STR(self->log, "a1b23c4c");
    AIO_END;
}

/* Which handler takes what: the first that fits; a cancellation passes AIO_CATCH, as `except Exception`; what none takes
 * goes outwards. */
struct task_handlers { aio_task task; char *log; int code; bool within; };
static AIO_CORO(task_handlers)
{
    AIO_BEGIN(task_handlers);
    AIO_TRY {
        AIO_TRY {
            if (self->code == AIO_ECANCELLED) AIO_AWAIT(aio_sleep(1000));
            else AIO_AWAIT(MARK(.c = 'a', .fails = self->code));
        } AIO_CATCH_CODE(EPIPE, ECONNRESET) {
            task_note(self->log, '1');
            AIO_AWAIT(MARK(.c = 'b'));
        } AIO_CATCH_CODE(AIO_ETIMEOUT) {
            task_note(self->log, '2');
            AIO_RAISE(EPIPE, "not for the handlers beside");
        } AIO_END_TRY;
    } AIO_CATCH {
        task_note(self->log, '3');
        if (self->within) AIO_RERAISE();
    } AIO_END_TRY;
    task_note(self->log, '.');
    AIO_FINALLY;
        task_note(self->log, 'f');
    AIO_END;
}

struct task_handlers_fit { aio_task task; char log[TASK_LOG]; struct task_handlers *kid; int i, code; };
SCENARIO(task_handlers_fit)
{
    static const struct { int code; bool within; const char *log; int end; } cases[] = {
        { EPIPE, false, "a1b.f", 0 }, { ECONNRESET, false, "a1b.f", 0 }, { AIO_ETIMEOUT, false, "a23.f", 0 },
        { EIO, false, "a3.f", 0 }, { EIO, true, "a3f", EIO }, { AIO_ECANCELLED, false, "f", AIO_ECANCELLED },
    };
    AIO_BEGIN(task_handlers_fit);
    for (self->i = 0; self->i < (int)(sizeof cases / sizeof *cases); self->i++) {
        memset(self->log, 0, sizeof self->log);
        self->code = 0;
        self->kid = aio_create_task(AIO_CALL(task_handlers, .log = self->log, .code = cases[self->i].code,
                                             .within = cases[self->i].within));
        AIO_AWAIT(aio_sleep(0.5));
        if (cases[self->i].code == AIO_ECANCELLED) aio_task_cancel(self->kid);
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->kid));
        } AIO_CATCH_CODE(cases[self->i].end) {
            self->code = aio_caught(self)->code;
        } AIO_END_TRY;
        CHECK_INT(self->code, cases[self->i].end);
        CHECK_STR(self->log, cases[self->i].log);
        aio_unref(self->kid);
        self->kid = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->kid);
    AIO_END;
}

/* From AIO_TRY to AIO_END_TRY it is one statement: the body of a loop and a condition's without braces, too. */
struct task_braceless { aio_task task; char log[TASK_LOG]; int i; };
SCENARIO(task_braceless)
{
    AIO_BEGIN(task_braceless);
    for (self->i = 0; self->i < 3; self->i++)
        AIO_TRY {
            AIO_AWAIT(aio_sleep(0));
            task_note(self->log, (char)('a' + self->i));
            if (self->i == 1) AIO_RAISE(EIO);
        } AIO_CATCH {
            task_note(self->log, '!');
        } AIO_END_TRY;
    if (self->i != 3)
        AIO_TRY {
            task_note(self->log, 'x');
        } AIO_CATCH {
            task_note(self->log, 'y');
        } AIO_END_TRY;
    CHECK_STR(self->log, "ab!c");
    AIO_END;
}

/* Different macros may stand on one line. */
#define NOTE(c)       task_note(self->log, (char)(c))
#define GROUP_MARK(letter) aio_task_group_create_task(self->group, MARK(.c = (letter)))
struct task_lines { aio_task task; char log[TASK_LOG]; aio_task_group *group; int letter; };
SCENARIO(task_lines)
{
    AIO_BEGIN(task_lines);
    AIO_TRY { AIO_TIMEOUT(1) { AIO_AWAIT(aio_sleep(9)); } } AIO_CATCH_CODE(AIO_ETIMEOUT) { NOTE('t'); } AIO_END_TRY;
    AIO_ASYNC_WITH(MARK(.c = '('), MARK(.c = ')')) { AIO_TRY { AIO_RAISE(EIO); } AIO_CATCH { NOTE('c'); } AIO_END_TRY; }
    AIO_TASK_GROUP(self->group) { AIO_TIMEOUT(9) { GROUP_MARK('g'); AIO_AWAIT(aio_sleep(1)); } }
    AIO_ASYNC_WITH_AS(self->letter, MARK(.c = '['), MARK(.c = ']')) { AIO_AWAIT(MARK(.c = 'x')); NOTE(self->letter); }
    CHECK_STR(self->log, "t(c)g[x[]");
    AIO_END;
}

/* Without its enter there is no result to keep, and no block to leave. */
struct task_as { aio_task task; char log[TASK_LOG]; int letter; };
SCENARIO(task_as)
{
    AIO_BEGIN(task_as);
    AIO_TRY {
        AIO_ASYNC_WITH_AS(self->letter, MARK(.c = '(', .fails = EIO), MARK(.c = ')')) {
            UNREACHED();
        }
    } AIO_CATCH {
        CAUGHT(EIO);
    } AIO_END_TRY;
    CHECK_INT(self->letter, 0);
    AIO_ASYNC_WITH_AS(self->letter, MARK(.c = '('), MARK(.c = ')')) {
        CHECK_INT(self->letter, '(');
    }
    CHECK_STR(self->log, "(()");
    AIO_END;
}

enum { BY_END, BY_RETURN, BY_RAISE, BY_RETURN_IN_TRY, BY_RAISE_IN_CATCH, BY_RERAISE, BY_RETURN_IN_CATCH,
       BY_CHILD, WAYS_OUT };
struct task_leaves { aio_task task; int result; char *log; int how, finally_fails; };
static AIO_CORO(task_leaves)
{
    AIO_BEGIN(task_leaves);
    AIO_AWAIT(MARK(.c = 'b'));
    if (self->how == BY_RETURN) AIO_RETURN(1);
    if (self->how == BY_RAISE) AIO_RAISE(EPIPE, "raised");
    if (self->how == BY_CHILD) AIO_AWAIT(MARK(.c = 'x', .fails = EPIPE));
    AIO_TRY {
        if (self->how == BY_RETURN_IN_TRY) AIO_RETURN(2);
        if (self->how != BY_END) AIO_RAISE(ECONNRESET);
    } AIO_CATCH {
        if (self->how == BY_RERAISE) AIO_RERAISE();
        if (self->how == BY_RETURN_IN_CATCH) AIO_RETURN(3);
        AIO_RAISE(EPIPE, "in the handler");
    } AIO_END_TRY;
    self->result = 4;
    AIO_FINALLY;
        task_note(self->log, 'f');
        AIO_AWAIT(MARK(.c = 'g', .fails = self->finally_fails)); /* a finally may await, and fail */
        task_note(self->log, 'h');
    AIO_END;
}

struct task_ways_out { aio_task task; char log[TASK_LOG]; int how, result, code; };
SCENARIO(task_ways_out)
{
    static const struct { int result, code; } expected[WAYS_OUT] = {
        { 4, 0 }, { 1, 0 }, { 0, EPIPE }, { 2, 0 }, { 0, EPIPE }, { 0, ECONNRESET }, { 3, 0 }, { 0, EPIPE },
    };
    AIO_BEGIN(task_ways_out);
    for (self->how = 0; self->how < WAYS_OUT; self->how++) {
        memset(self->log, 0, sizeof self->log);
        self->result = self->code = 0;
        AIO_TRY {
            AIO_AWAIT(self->result, AIO_CALL(task_leaves, .log = self->log, .how = self->how));
        } AIO_CATCH {
            CAUGHT(expected[self->how].code);
            self->code = aio_caught(self)->code;
        } AIO_END_TRY;
        CHECK_INT(self->result, expected[self->how].result);
        CHECK_INT(self->code, expected[self->how].code);
        CHECK_STR(self->log, self->how == BY_CHILD ? "bxfgh" : "bfgh");
        memset(self->log, 0, sizeof self->log);
        AIO_TRY { /* an error of the finally takes the place of whatever was on its way */
            AIO_AWAIT(AIO_CALL(task_leaves, .log = self->log, .how = self->how, .finally_fails = ENOTDIR));
        } AIO_CATCH {
            CAUGHT(ENOTDIR);
            self->code = aio_caught(self)->code;
        } AIO_END_TRY;
        CHECK_INT(self->code, ENOTDIR);
        CHECK_STR(self->log, self->how == BY_CHILD ? "bxfg" : "bfg");
    }
    AIO_END;
}

struct task_try_in_finally { aio_task task; char *log; };
static AIO_CORO(task_try_in_finally)
{
    AIO_BEGIN(task_try_in_finally);
    AIO_RAISE(EPIPE, "first");
    AIO_FINALLY;
        AIO_TRY {
            AIO_AWAIT(MARK(.c = 'a', .fails = EINVAL));
        } AIO_CATCH {
            task_note(self->log, 'c'); /* what is caught here does not touch what is on its way */
        } AIO_END_TRY;
    AIO_END;
}

struct task_finally_keeps_error { aio_task task; char log[TASK_LOG]; };
SCENARIO(task_finally_keeps_error)
{
    AIO_BEGIN(task_finally_keeps_error);
    AIO_TRY {
        AIO_AWAIT(AIO_CALL(task_try_in_finally, .log = self->log));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EPIPE);
        CHECK_STR(aio_caught(self)->message, "first");
    } AIO_END_TRY;
    CHECK_STR(self->log, "ac");
    AIO_END;
}

struct task_reraises_nothing { aio_task task; };
SCENARIO(task_reraises_nothing)
{
    AIO_BEGIN(task_reraises_nothing);
    AIO_TRY {
        AIO_RERAISE();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
        CHECK_STR(aio_caught(self)->message, "no exception to re-raise");
    } AIO_END_TRY;
    AIO_TRY {
        AIO_RAISE(-5, "no such code");
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_RAISE_EXCEPTION(NULL);
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    AIO_END;
}

/* ---- async for ---- */
struct task_next { aio_task task; int result; int *left, fails; };
static AIO_CORO(task_next)
{
    AIO_BEGIN(task_next);
    AIO_AWAIT(aio_sleep(0));
    if (self->fails && *self->left == self->fails) AIO_RAISE(EPIPE, "the source broke");
    if (*self->left == 0) AIO_RAISE(AIO_ESTOPITERATION);
    AIO_RETURN((*self->left)--);
    AIO_END;
}
#define NEXT(...) AIO_CALL(task_next, .left = __VA_ARGS__)

struct task_async_for { aio_task task; char log[TASK_LOG]; int a, b, left, inner, code; };
SCENARIO(task_async_for)
{
    AIO_BEGIN(task_async_for);
    self->left = 5;
    AIO_ASYNC_FOR(self->a, NEXT(&self->left)) {
        if (self->a == 4) continue;
        if (self->a == 1) break;
        self->inner = 2;
        AIO_ASYNC_FOR(self->b, NEXT(&self->inner)) task_note(self->log, (char)('0' + self->a * 2 + self->b - 4));
        AIO_AWAIT(MARK(.c = 'x'));
    }
    CHECK_STR(self->log, "87x43x21x"); /* 5: 8 7; 3: 4 3; 2: 2 1 */
    self->left = 0;
    AIO_ASYNC_FOR(self->a, NEXT(&self->left)) UNREACHED();
    self->left = 3;
    AIO_TRY {
        AIO_ASYNC_FOR(self->a, NEXT(&self->left, .fails = 2)) task_note(self->log, 'y');
    } AIO_CATCH {
        CAUGHT(EPIPE);
        self->code = aio_caught(self)->code;
    } AIO_END_TRY;
    CHECK_INT(self->code, EPIPE);
    CHECK_STR(self->log, "87x43x21xy");
    AIO_END;
}

/* ---- async with ---- */
enum { OUT_END, OUT_BREAK, OUT_CONTINUE, OUT_RETURN, OUT_RAISE, OUT_CHILD, OUT_LEAVE_FAILS, OUT_BOTH_FAIL,
       OUT_ENTER_FAILS, OUTS };
struct task_with { aio_task task; int result; char *log; int how; };
static AIO_CORO(task_with)
{
    AIO_BEGIN(task_with);
    AIO_ASYNC_WITH(MARK(.c = '(', .fails = self->how == OUT_ENTER_FAILS ? EACCES : 0), MARK(.c = ')',
                   .fails = self->how == OUT_LEAVE_FAILS || self->how == OUT_BOTH_FAIL ? ENOTDIR : 0)) {
        AIO_AWAIT(MARK(.c = 'b'));
        if (self->how == OUT_BREAK) break;
        if (self->how == OUT_CONTINUE) continue;
        if (self->how == OUT_RETURN) AIO_RETURN(7);
        if (self->how == OUT_RAISE || self->how == OUT_BOTH_FAIL) AIO_RAISE(EPIPE);
        if (self->how == OUT_CHILD) AIO_AWAIT(MARK(.c = 'c', .fails = EPIPE));
        task_note(self->log, 'e');
    }
    task_note(self->log, '.');
    AIO_FINALLY;
        task_note(self->log, 'f');
    AIO_END;
}

struct task_withs { aio_task task; char log[TASK_LOG]; int how, result, code; };
SCENARIO(task_withs)
{
    static const struct { const char *log; int result, code; } expected[OUTS] = {
        { "(be).f", 0, 0 }, { "(b).f", 0, 0 }, { "(b).f", 0, 0 }, { "(b)f", 7, 0 }, { "(b)f", 0, EPIPE },
        { "(bc)f", 0, EPIPE }, { "(be)f", 0, ENOTDIR }, { "(b)f", 0, ENOTDIR }, { "(f", 0, EACCES },
    };
    AIO_BEGIN(task_withs);
    for (self->how = 0; self->how < OUTS; self->how++) {
        memset(self->log, 0, sizeof self->log);
        self->result = self->code = 0;
        AIO_TRY {
            AIO_AWAIT(self->result, AIO_CALL(task_with, .log = self->log, .how = self->how));
        } AIO_CATCH {
            CAUGHT(expected[self->how].code);
            self->code = aio_caught(self)->code;
        } AIO_END_TRY;
        CHECK_STR(self->log, expected[self->how].log);
        CHECK_INT(self->result, expected[self->how].result);
        CHECK_INT(self->code, expected[self->how].code);
    }
    AIO_END;
}

/* A goto out of blocks leaves them open: at the end of the coroutine they are closed, innermost first, and reported. */
struct task_goto_out { aio_task task; int result; char *log; int fails; aio_task_group *group; };
static AIO_CORO(task_goto_out)
{
    AIO_BEGIN(task_goto_out);
    AIO_TRY {
        AIO_ASYNC_WITH(MARK(.c = '('), MARK(.c = ')')) {
            AIO_TIMEOUT(1) {
                AIO_ASYNC_WITH(MARK(.c = '['), MARK(.c = ']', .fails = self->fails == 1 ? EIO : 0)) {
                    goto out;
                }
            }
        }
    } AIO_CATCH {
        UNREACHED(); /* the exits run when this is over */
    } AIO_END_TRY;
out:
    task_note(self->log, 'o');
    AIO_AWAIT(aio_sleep(2)); /* the timeout must not hurt any more than it would inside */
    AIO_FINALLY;
        task_note(self->log, 'f');
    AIO_END;
}

static char task_reports[1024];
static void task_report(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    size_t used = strlen(task_reports);
    (void)loop, (void)exception, (void)arg;
    const char *place = strstr(message, " at tests/"), *rest = place ? strstr(place, ", in ") : NULL;
    if (rest) snprintf(task_reports + used, sizeof task_reports - used, "%.*s%s\n", (int)(place - message), message, rest);
    else snprintf(task_reports + used, sizeof task_reports - used, "%s\n", message);
}

struct task_goto { aio_task task; char log[TASK_LOG]; int i; };
SCENARIO(task_goto, .may = { AIO_ETIMEOUT })
{
    AIO_BEGIN(task_goto);
    for (self->i = 0; self->i < 2; self->i++) {
        task_reports[0] = 0;
        aio_loop_set_exception_handler(aio_get_running_loop(), task_report, NULL);
        memset(self->log, 0, sizeof self->log);
        AIO_TRY {
            AIO_AWAIT(AIO_CALL(task_goto_out, .log = self->log, .fails = self->i));
        } AIO_CATCH_CODE(AIO_ETIMEOUT, EIO) {
            task_note(self->log, aio_caught(self)->code == EIO ? 'E' : 'T');
        } AIO_END_TRY;
        aio_loop_set_exception_handler(aio_get_running_loop(), on_report, NULL);
        CHECK_STR(self->log, self->i ? "([of])E" : "([of])T");
        CHECK_STR(task_reports,
                  "AIO_ASYNC_WITH, in 'task_goto_out', was left by goto: it is closed only at the end\n"
                  "AIO_TIMEOUT, in 'task_goto_out', was left by goto: it is closed only at the end\n"
                  "AIO_ASYNC_WITH, in 'task_goto_out', was left by goto: it is closed only at the end\n");
    }
    AIO_FINALLY;
        aio_loop_set_exception_handler(aio_get_running_loop(), on_report, NULL);
    AIO_END;
}

struct task_goto_again { aio_task task; aio_lock lock; int i; };
SCENARIO(task_goto_again, .may = { AIO_ETIMEOUT })
{
    AIO_BEGIN(task_goto_again);
    expect_report("was left by goto: it is entered again while it is open");
    AIO_TRY {
        AIO_TIMEOUT(1) {
again:
            AIO_ASYNC_WITH(aio_lock_acquire(&self->lock), aio_lock_release(&self->lock)) {
                if (self->i++ == 0) goto again; /* the lock is its own */
            }
        }
    } AIO_CATCH_CODE(AIO_ETIMEOUT) {
        self->i = 9;
    } AIO_END_TRY;
    CHECK_INT(self->i, 9);
    AIO_END;
}

struct task_with_cancelled { aio_task task; char log[TASK_LOG]; aio_future *never; struct task_with_inner *inner; };
struct task_with_inner { aio_task task; int result; char *log; };
static AIO_CORO(task_with_inner)
{
    AIO_BEGIN(task_with_inner);
    AIO_ASYNC_WITH(MARK(.c = '('), MARK(.c = ')')) {
        AIO_TRY {
            AIO_ASYNC_WITH(MARK(.c = '['), MARK(.c = ']')) {
                AIO_AWAIT(aio_sleep(1000));
            }
        } AIO_CATCH_ALL { /* the inner exit has run by now, the outer one not */
            task_note(self->log, 'c');
            AIO_RERAISE();
        } AIO_END_TRY;
    }
    task_note(self->log, '!');
    AIO_END;
}

SCENARIO(task_with_cancelled)
{
    AIO_BEGIN(task_with_cancelled);
    self->inner = aio_create_task(AIO_CALL(task_with_inner, .log = self->log));
    REQUIRE(self->inner);
    AIO_AWAIT(aio_sleep(1));
    CHECK_STR(self->log, "([");
    CHECK(aio_task_cancel(self->inner));
    AIO_AWAIT(aio_sleep(1));
    CHECK_STR(self->log, "([]c)");
    CHECK(aio_future_cancelled(self->inner));
    AIO_FINALLY;
        if (self->inner) aio_future_exception(self->inner);
        aio_unref(self->inner);
    AIO_END;
}

static int task_leave_count;
static int task_leave(int code)
{
    task_leave_count++;
    return code;
}

struct task_with_int { aio_task task; int i, code; };
SCENARIO(task_with_int) /* `leave` may be a plain function with an error code */
{
    AIO_BEGIN(task_with_int);
    task_leave_count = 0;
    AIO_ASYNC_WITH(aio_sleep(0), task_leave(0)) {
        AIO_AWAIT(aio_sleep(0));
    }
    CHECK_INT(task_leave_count, 1);
    for (self->i = 0; self->i < 3; self->i++) { /* its break leaves the block, not the loop */
        AIO_ASYNC_WITH(aio_sleep(0), task_leave(0)) {
            break;
        }
    }
    CHECK_INT(task_leave_count, 4);
    AIO_TRY {
        AIO_ASYNC_WITH(aio_sleep(0), task_leave(EBUSY)) {
            AIO_AWAIT(aio_sleep(0));
        }
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EBUSY);
        self->code = aio_caught(self)->code;
    } AIO_END_TRY;
    CHECK_INT(self->code, EBUSY);
    CHECK_INT(task_leave_count, 5);
    AIO_END;
}

/* ---- cancellation ---- */
struct task_stubborn { aio_task task; int result; char *log; int catches; char message[40]; };
static AIO_CORO(task_stubborn) /* catches that many cancels, then sleeps on */
{
    AIO_BEGIN(task_stubborn);
    task_note(self->log, 's');
    while (self->catches-- > 0) {
        AIO_TRY {
            AIO_AWAIT(aio_sleep(100));
            task_note(self->log, '!');
        } AIO_CATCH_ALL {
            CHECK_INT(aio_caught(self)->code, AIO_ECANCELLED);
            snprintf(self->message, sizeof self->message, "%s", aio_caught(self)->message);
            task_note(self->log, 'c');
        } AIO_END_TRY;
    }
    AIO_AWAIT(aio_sleep(100));
    task_note(self->log, 'e');
    AIO_RETURN(5);
    AIO_FINALLY;
        AIO_AWAIT(aio_sleep(0));
        task_note(self->log, 'f');
    AIO_END;
}

struct task_cancels { aio_task task; char log[TASK_LOG]; struct task_stubborn *other; int code; };
SCENARIO(task_cancels)
{
    AIO_BEGIN(task_cancels);
    self->other = aio_create_task(AIO_CALL(task_stubborn, .log = self->log, .catches = 1));
    REQUIRE(self->other);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_task_cancelling(self->other), 0);
    CHECK_INT(aio_future_set_done(self->other), AIO_EINVALIDSTATE); /* a task says itself when it is done */
    CHECK_INT(aio_future_set_exception(self->other, EPIPE, "no"), AIO_EINVALIDSTATE);
    CHECK(aio_task_cancel_message(self->other, "because"));
    CHECK_INT(aio_task_cancelling(self->other), 1);
    AIO_AWAIT(aio_sleep(1));
    CHECK_STR(self->log, "sc"); /* caught, and it lives on */
    CHECK_STR(self->other->message, "because");
    CHECK(!aio_future_done(self->other));
    CHECK_INT(aio_task_uncancel(self->other), 0);
    CHECK_INT(aio_task_uncancel(self->other), 0);
    AIO_AWAIT(aio_sleep(200));
    CHECK_STR(self->log, "scef");
    CHECK(aio_future_done(self->other) && !aio_future_cancelled(self->other));
    CHECK_INT(self->other->result, 5);
    CHECK(!aio_task_cancel(self->other)); /* done */
    AIO_FINALLY;
        if (self->other) aio_future_exception(self->other);
        aio_unref(self->other);
    AIO_END;
}

/* However often it is asked, the count does not begin anew. */
struct task_cancelled_often { aio_task task; char log[TASK_LOG]; struct task_stubborn *other; };
SCENARIO(task_cancelled_often)
{
    AIO_BEGIN(task_cancelled_often);
    self->other = aio_create_task(AIO_CALL(task_stubborn, .log = self->log, .catches = 1));
    REQUIRE(self->other);
    AIO_AWAIT(aio_sleep(1));
    for (int i = 0; i < UINT16_MAX + 2; i++) aio_task_cancel(self->other);
    CHECK_INT(aio_task_cancelling(self->other), UINT16_MAX);
    AIO_AWAIT(aio_sleep(1));
    CHECK_STR(self->log, "sc");
    CHECK_INT(aio_task_uncancel(self->other), UINT16_MAX - 1);
    AIO_FINALLY;
        if (self->other) aio_task_cancel(self->other);
        if (self->other) aio_future_exception(self->other);
        aio_unref(self->other);
    AIO_END;
}

/* Of two cancels, before it could react to one, a task that waits throws the first, also one that waits for what others
 * wait for, too; one that has not begun, or runs, the last, which may have no message. */
struct task_cancelled_runs { aio_task task; const char *second; };
static AIO_CORO(task_cancelled_runs)
{
    AIO_BEGIN(task_cancelled_runs);
    aio_task_cancel_message(aio_current_task(), "one");
    aio_task_cancel_message(aio_current_task(), self->second);
    AIO_AWAIT(aio_sleep(100));
    AIO_END;
}
struct task_cancelled_waits { aio_task task; aio_future *shared; };
static AIO_CORO(task_cancelled_waits)
{
    AIO_BEGIN(task_cancelled_waits);
    if (self->shared) AIO_AWAIT((aio_future *)aio_ref(self->shared));
    else AIO_AWAIT(aio_sleep(100));
    AIO_END;
}
struct task_cancel_messages { aio_task task; aio_task *others[5]; aio_future *shared; int i; };
SCENARIO(task_cancel_messages)
{
    AIO_BEGIN(task_cancel_messages);
    static const char *const said[] = { "one", "one", "two", "two", "cancelled" };
    self->shared = aio_future_create();
    REQUIRE(self->shared);
    self->shared->flags |= AIO__F_SHARED; /* as that of a process's end, or of a name that several look up */
    self->others[0] = (aio_task *)(void *)aio_create_task(AIO_CALL(task_cancelled_waits));
    self->others[1] = (aio_task *)(void *)aio_create_task(AIO_CALL(task_cancelled_waits, .shared = self->shared));
    AIO_AWAIT(aio_sleep(1));
    self->others[2] = (aio_task *)(void *)aio_create_task(AIO_CALL(task_cancelled_waits));
    self->others[3] = (aio_task *)(void *)aio_create_task(AIO_CALL(task_cancelled_runs, .second = "two"));
    self->others[4] = (aio_task *)(void *)aio_create_task(AIO_CALL(task_cancelled_runs));
    for (int i = 0; i < 5; i++) REQUIRE(self->others[i]);
    for (int i = 0; i < 3; i++) {
        aio_task_cancel_message(self->others[i], "one");
        aio_task_cancel_message(self->others[i], "two");
        CHECK_INT(aio_task_cancelling(self->others[i]), 2);
    }
    AIO_AWAIT(aio_sleep(1));
    for (self->i = 0; self->i < 5; self->i++) {
        REQUIRE(aio_future_cancelled(self->others[self->i]));
        CHECK_STR(aio_future_exception(self->others[self->i])->message, said[self->i]);
    }
    AIO_FINALLY;
        for (int i = 0; i < 5; i++) {
            if (self->others[i]) aio_task_cancel(self->others[i]);
            if (self->others[i]) aio_future_exception(self->others[i]);
        }
        aio_unref_all(self->others, 5);
        if (self->shared && !aio_future_done(self->shared)) aio_future_set_done(self->shared);
        aio_unref(self->shared);
    AIO_END;
}

struct task_cancelled_twice { aio_task task; char log[TASK_LOG]; struct task_stubborn *other; int code; };
SCENARIO(task_cancelled_twice)
{
    AIO_BEGIN(task_cancelled_twice);
    self->other = aio_create_task(AIO_CALL(task_stubborn, .log = self->log, .catches = 1));
    REQUIRE(self->other);
    AIO_AWAIT(aio_sleep(1));
    CHECK(aio_task_cancel_message(self->other, "one"));
    CHECK(aio_task_cancel_message(self->other, "two")); /* before it could react: one error, two requests */
    CHECK_INT(aio_task_cancelling(self->other), 2);
    AIO_AWAIT(aio_sleep(1));
    CHECK(!aio_future_done(self->other) || self->other->task.cancels == 2);
    CHECK(aio_task_cancel(self->other) || aio_future_cancelled(self->other));
    AIO_TRY {
        AIO_AWAIT(aio_ref(self->other));
        UNREACHED();
    } AIO_CATCH_ALL {
        self->code = aio_caught(self)->code;
        if (seam.touched) AIO_RAISE(seam.touched); /* after a fault the other may be cancelled, or never have begun */
        CAUGHT(AIO_ECANCELLED);
    } AIO_END_TRY;
    CHECK_INT(self->code, AIO_ECANCELLED);
    CHECK(aio_future_cancelled(self->other));
    AIO_FINALLY;
        if (self->other) aio_future_exception(self->other);
        aio_unref(self->other);
    AIO_END;
}

struct task_cancelled_first { aio_task task; char log[TASK_LOG]; struct task_stubborn *other; };
SCENARIO(task_cancelled_first) /* before the first step: none of it runs, not even its finally */
{
    AIO_BEGIN(task_cancelled_first);
    self->other = aio_create_task(AIO_CALL(task_stubborn, .log = self->log, .catches = 5));
    REQUIRE(self->other);
    CHECK(aio_task_cancel(self->other));
    CHECK(!aio_future_done(self->other));
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_future_cancelled(self->other));
    CHECK_STR(self->log, "");
    AIO_FINALLY;
        aio_unref(self->other);
    AIO_END;
}

/* Cancels itself, and then returns, awaits, or takes it back. */
struct task_cancels_itself { aio_task task; int result; int how; };
static AIO_CORO(task_cancels_itself)
{
    AIO_BEGIN(task_cancels_itself);
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_task_cancel(aio_current_task()));
    CHECK_INT(aio_task_cancelling(aio_current_task()), 1);
    if (self->how == 1) AIO_AWAIT(aio_sleep(1000));
    if (self->how == 2) CHECK_INT(aio_task_uncancel(aio_current_task()), 0);
    if (self->how == 3) AIO_AWAIT(aio_sleep(0));
    if (self->how == 4) AIO_AWAIT(aio_future_create());
    if (self->how == 5) AIO_RAISE(EPIPE, "its own error is stronger");
    AIO_RETURN(9);
    AIO_END;
}

struct task_self_cancel { aio_task task; int how, result, code; double start; };
SCENARIO(task_self_cancel)
{
    AIO_BEGIN(task_self_cancel);
    for (self->how = 0; self->how < 6; self->how++) {
        self->result = self->code = 0;
        self->start = aio_loop_time(aio_get_running_loop());
        AIO_TRY {
            AIO_AWAIT(self->result, aio_create_task(AIO_CALL(task_cancels_itself, .how = self->how)));
        } AIO_CATCH_ALL {
            CAUGHT(self->how == 5 ? EPIPE : AIO_ECANCELLED);
            self->code = aio_caught(self)->code;
            if (now.cancelled) AIO_RERAISE(); /* which may be our own cancel */
        } AIO_END_TRY;
        CHECK_INT(self->code, self->how == 2 ? 0 : self->how == 5 ? EPIPE : AIO_ECANCELLED);
        CHECK_INT(self->result, self->how == 2 ? 9 : 0);
        CHECK_NEAR(aio_loop_time(aio_get_running_loop()), self->start, 1); /* it did not sleep on */
    }
    AIO_END;
}

struct task_link { aio_task task; struct task_link *next; };
static AIO_CORO(task_link)
{
    AIO_BEGIN(task_link);
    if (self->next) AIO_AWAIT(aio_ref(self->next));
    else AIO_AWAIT(aio_sleep(1000));
    AIO_END;
}

struct task_chain { aio_task task; struct task_link *links[20]; int i; };
SCENARIO(task_chain) /* the cancel of the outermost goes through all to the innermost, and comes back */
{
    AIO_BEGIN(task_chain);
    for (self->i = 0; self->i < 20; self->i++) {
        self->links[self->i] = aio_create_task(AIO_CALL(task_link, .next = self->i ? self->links[self->i - 1] : NULL));
        REQUIRE(self->links[self->i]);
    }
    AIO_AWAIT(aio_sleep(1));
    CHECK(aio_task_cancel(self->links[19]));
    AIO_AWAIT(aio_sleep(1));
    for (self->i = 0; self->i < 20; self->i++) CHECK(aio_future_cancelled(self->links[self->i]));
    AIO_FINALLY;
        for (self->i = 19; self->i >= 0; self->i--) aio_task_cancel(self->links[self->i]);
        aio_unref_all(self->links, 20);
    AIO_END;
}

TEST(task_chain_deep_cancel)
{
    enum { COUNT = 20000 };
    aio_loop *loop = future_loop();
    struct task_link **links = (struct task_link **)malloc(COUNT * sizeof *links);
    for (int i = 0; i < COUNT; i++) links[i] = aio_create_task(AIO_CALL(task_link, .next = i ? links[i - 1] : NULL));
    for (int i = 0; i < COUNT + 2; i++) loop_run_once(loop);
    CHECK(aio_task_cancel(links[COUNT - 1]));
    CHECK_INT(aio_loop_run_until_complete(loop, aio_ref(links[COUNT - 1]), NULL), AIO_ECANCELLED);
    long cancelled = 0;
    for (int i = 0; i < COUNT; i++) cancelled += aio_future_cancelled(links[i]);
    CHECK_INT(cancelled, COUNT);
    aio_unref_all(links, COUNT);
    free(links);
    aio_loop_free(loop);
}

/* ---- misuse that is an error ---- */
struct task_takes_twice { aio_task task; struct task_mark *mark; };
static AIO_CORO(task_takes_twice)
{
    AIO_BEGIN(task_takes_twice);
    AIO_AWAIT(self->mark);
    AIO_END;
}

struct task_misuse { aio_task task; char log[TASK_LOG]; struct task_mark *mark; struct task_takes_twice *one; int code;
                     char message[80]; aio_loop *other; aio_future *foreign; };
SCENARIO(task_misuse)
{
    AIO_BEGIN(task_misuse);
    AIO_TRY {
        AIO_AWAIT(aio_ref(aio_current_task()));
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
        CHECK_STR(aio_caught(self)->message, "Task cannot await on itself");
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT((aio_future *)NULL);
    } AIO_CATCH {
        CAUGHT(EINVAL);
        CHECK_STR(aio_caught(self)->message, "NULL was awaited");
    } AIO_END_TRY;
    self->mark = MARK(.c = 'm');
    REQUIRE(self->mark);
    self->one = aio_create_task(AIO_CALL(task_takes_twice, .mark = (struct task_mark *)aio_ref(self->mark)));
    AIO_AWAIT(aio_sleep(0));
    if (!self->one) aio_unref(self->mark); /* it was to take it */
    REQUIRE(self->one);
    AIO_TRY {
        AIO_AWAIT(self->mark); /* the other task is in it: refused, and still ours to release */
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
        CHECK_STR(aio_caught(self)->message, "coroutine is being awaited already");
        self->code = aio_caught(self)->code;
    } AIO_END_TRY;
    CHECK_INT(self->code, AIO_ERUNTIME);
    AIO_AWAIT(aio_sleep(1));
    CHECK_STR(self->log, "m");
    AIO_FINALLY;
        aio_task_cancel(self->one);
        aio_unref(self->one);
        aio_unref(self->mark);
    AIO_END;
}

struct task_foreign { aio_task task; aio_future *future; };
static AIO_CORO(task_foreign)
{
    AIO_BEGIN(task_foreign);
    AIO_AWAIT(self->future);
    AIO_END;
}

TEST(task_awaits_another_loops_future)
{
    aio_loop *other = future_loop(), *loop = loop_open();
    aio_future *future = aio_future_create();
    aio_exception *error = NULL;
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(task_foreign, .future = future), &error), AIO_EWRONGLOOP);
    CHECK_STR(error->message, "the awaited future is attached to a different loop");
    aio_exception_unref(error);
    aio_loop_free(loop);
    aio_loop_free(other);
}

/* ---- depth ---- */
struct task_deep { aio_task task; long result; long depth; int how; };
static AIO_CORO(task_deep)
{
    AIO_BEGIN(task_deep);
    if (self->depth == 0 && self->how == 1) AIO_RAISE(EPIPE, "at the bottom");
    if (self->depth == 0 && self->how == 2) AIO_AWAIT(aio_sleep(1000));
    if (self->depth == 0) AIO_RETURN(0);
    AIO_AWAIT(self->result, AIO_CALL(task_deep, .depth = self->depth - 1, .how = self->how));
    AIO_RETURN(self->result + 1);
    AIO_END;
}

struct task_depth { aio_task task; long result; };
SCENARIO(task_depth)
{
    AIO_BEGIN(task_depth);
    AIO_AWAIT(self->result, AIO_CALL(task_deep, .depth = 20));
    CHECK_INT(self->result, 20);
    AIO_END;
}

TEST(task_100k_deep, .skip = KIND_DEBUG)
{
    aio_loop *loop = future_loop();
    struct task_deep *deep = aio_create_task(AIO_CALL(task_deep, .depth = 100000));
    CHECK_INT(aio_loop_run_until_complete(loop, aio_ref(deep), NULL), 0);
    CHECK_INT(deep->result, 100000);
    aio_unref(deep);
    aio_exception *error = NULL;
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(task_deep, .depth = 100000, .how = 1), &error), EPIPE);
    CHECK_STR(error->message, "at the bottom");
    CHECK_INT(error->traceback_count + error->traceback_left_out, 100001);
    aio_exception_unref(error);
    deep = aio_create_task(AIO_CALL(task_deep, .depth = 100000, .how = 2));
    loop_run_once(loop);
    CHECK(!aio_future_done(deep));
    CHECK(aio_task_cancel_message(deep, "enough"));
    CHECK_INT(aio_loop_run_until_complete(loop, aio_ref(deep), &error), AIO_ECANCELLED);
    CHECK_STR(error->message, "enough");
    aio_exception_unref(error);
    aio_unref(deep);
    deep = aio_create_task(AIO_CALL(task_deep, .depth = 100000, .how = 2)); /* left hanging: the loop frees all of it */
    loop_run_once(loop);
    aio_unref(deep);
    aio_loop_free(loop);
    CHECK_INT(now.reports, 1);
}

/* ---- tracebacks ---- */
static int task_lines[3];
struct task_raises { aio_task task; };
static AIO_CORO(task_raises)
{
    AIO_BEGIN(task_raises);
    AIO_AWAIT(aio_sleep(0));
    task_lines[0] = __LINE__; AIO_RAISE(ECONNREFUSED, "connect to %s", "a.test");
    AIO_END;
}

struct task_passes { aio_task task; bool again; };
static AIO_CORO(task_passes)
{
    AIO_BEGIN(task_passes);
    AIO_TRY {
        task_lines[1] = __LINE__; AIO_AWAIT(AIO_CALL(task_raises));
    } AIO_CATCH {
        AIO_RERAISE(); /* adds nothing: the traceback is of where it came by */
    } AIO_END_TRY;
    AIO_END;
}

struct task_fails { aio_task task; };
static AIO_CORO(task_fails)
{
    AIO_BEGIN(task_fails);
    task_lines[2] = __LINE__; AIO_AWAIT(aio_create_task(AIO_CALL(task_passes))); /* across a task, too */
    AIO_END;
}

TEST(task_traceback_text)
{
    char text[1000], expected[1000];
    aio_exception *error = NULL;
    CHECK_INT(task_run(AIO_CALL(task_fails), &error), ECONNREFUSED);
    error_print(error, text, sizeof text);
    snprintf(expected, sizeof expected, "Traceback (most recent await last):\n"
             "  %s:%d, in task_fails\n  %s:%d, in task_passes\n  %s:%d, in task_raises\n"
             "ConnectionRefusedError: connect to a.test\n",
             __FILE__, task_lines[2], __FILE__, task_lines[1], __FILE__, task_lines[0]);
    CHECK_STR(text, expected);
    aio_exception_unref(error);
}

/* ---- tasks as objects ---- */
struct task_objects { aio_task task; char log[TASK_LOG]; struct task_mark *named, *plain; aio_task *all[8]; size_t n; };
SCENARIO(task_objects)
{
    AIO_BEGIN(task_objects);
    self->named = aio_create_task(MARK(.c = 'n'), .name = "reader");
    self->plain = aio_create_task(MARK(.c = 'p'));
    REQUIRE(self->named && self->plain);
    CHECK_STR(aio_task_name(self->named), "reader");
    CHECK_STR(aio_task_name(self->plain), "Task");
    CHECK_STR(aio_task_name(NULL), "Task");
    REQUIRE(aio_task_set_name(self->plain, "a rather longer name than the other one had") == 0);
    REQUIRE(aio_task_set_name(self->plain, "writer") == 0);
    CHECK_STR(aio_task_name(self->plain), "writer");
    CHECK_INT(aio_task_set_name(self->plain, NULL), EINVAL);
    CHECK_INT(aio_task_set_name(NULL, "x"), EINVAL);
    CHECK_PTR(aio_current_task(), &self->task);
    CHECK_INT(aio_all_tasks(NULL, 0), 3);
    self->n = aio_all_tasks(self->all, 8);
    CHECK_INT(self->n, 3);
    CHECK((self->all[0] == &self->task) + (self->all[1] == &self->task) + (self->all[2] == &self->task) == 1);
    aio_unref_all(self->all, self->n < 8 ? self->n : 8);
    AIO_AWAIT(aio_ref(self->plain));
    CHECK_INT(aio_all_tasks(NULL, 0), 1);
    CHECK_INT(aio_task_set_name(self->plain, "late"), AIO_EINVALIDSTATE);
    AIO_FINALLY;
        aio_unref(self->named);
        aio_unref(self->plain);
    AIO_END;
}

struct task_dropped { aio_task task; char log[TASK_LOG]; };
SCENARIO(task_dropped) /* the loop owns a running task */
{
    AIO_BEGIN(task_dropped);
    aio_unref(aio_create_task(MARK(.c = 'd')));
    AIO_AWAIT(aio_sleep(1));
    CHECK_STR(self->log, "d");
    AIO_END;
}

struct task_outer { aio_task task; aio_task *seen; };
static AIO_CORO(task_outer)
{
    AIO_BEGIN(task_outer);
    CHECK_PTR(aio_current_task(), self->seen); /* the task, not the coroutine it calls */
    AIO_AWAIT(aio_sleep(0));
    CHECK_PTR(aio_current_task(), self->seen);
    AIO_END;
}

static void task_no_current(void *arg) { *(aio_task **)arg = aio_current_task(); }

struct task_current { aio_task task; aio_task *in_callback; };
SCENARIO(task_current)
{
    AIO_BEGIN(task_current);
    self->in_callback = &self->task;
    AIO_AWAIT(AIO_CALL(task_outer, .seen = &self->task));
    REQUIRE(aio_loop_call_soon(aio_get_running_loop(), task_no_current, &self->in_callback).generation);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK_PTR(self->in_callback, NULL);
    AIO_END;
}

/* Of a task that has left what others wait for, too, as many cancels are taken back as were made: it is cancelled all
 * the same, for what it awaited has not come. */
struct task_left { aio_task task; aio_event *event; int code; };
static AIO_CORO(task_left)
{
    AIO_BEGIN(task_left);
    AIO_TRY {
        AIO_AWAIT(aio_event_wait(self->event));
        ALWAYS(aio_event_is_set(self->event));
    } AIO_CATCH_ALL {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY;
    AIO_END;
}

struct task_uncancel_left { aio_task task; aio_event event; struct task_left *left; int i, cancels; };
SCENARIO(task_uncancel_left)
{
    AIO_BEGIN(task_uncancel_left);
    for (self->cancels = 1; self->cancels < 4; self->cancels++) {
        self->left = aio_create_task(AIO_CALL(task_left, .event = &self->event));
        REQUIRE(self->left);
        AIO_AWAIT(aio_sleep(1));
        for (self->i = 0; self->i < self->cancels; self->i++) CHECK(aio_task_cancel(self->left));
        for (self->i = self->cancels; self->i-- > 0;) CHECK_INT(aio_task_uncancel(self->left), self->i);
        AIO_AWAIT(aio_sleep(1));
        CHECK(aio_future_done(self->left));
        CHECK_INT(self->left->code, AIO_ECANCELLED);
        aio_unref(self->left);
        self->left = NULL;
    }
    AIO_FINALLY;
    if (self->left) aio_task_cancel(self->left);
    aio_event_destroy(&self->event);
    aio_unref(self->left);
    AIO_END;
}

/* What a cancel of one who waits does to what he waits for, and so to others who wait for it, too: a task may swallow it,
 * and its value is given; else all of them end. One that is cancelled in the turn in which his future is done ends, too. */
struct task_swallows { aio_task task; int result; };
static AIO_CORO(task_swallows)
{
    AIO_BEGIN(task_swallows);
    AIO_TRY {
        AIO_AWAIT(aio_sleep(100));
    } AIO_CATCH_ALL {
        CAUGHT(AIO_ECANCELLED);
    } AIO_END_TRY;
    AIO_RETURN(5);
    AIO_END;
}

struct task_hands_on { aio_task task; int result; struct task_swallows *of; };
static AIO_CORO(task_hands_on)
{
    AIO_BEGIN(task_hands_on);
    AIO_AWAIT(self->result, (struct task_swallows *)aio_ref(self->of));
    AIO_RETURN(self->result);
    AIO_END;
}

struct task_waits_on { aio_task task; aio_future *of; };
static AIO_CORO(task_waits_on)
{
    AIO_BEGIN(task_waits_on);
    AIO_AWAIT((aio_future *)aio_ref(self->of));
    AIO_END;
}

struct task_cancel_goes_on { aio_task task; struct task_swallows *swallows; struct task_hands_on *hands_on;
                             aio_future *of; struct task_waits_on *waits[2]; int way; };
SCENARIO(task_cancel_goes_on)
{
    AIO_BEGIN(task_cancel_goes_on);
    REQUIRE(self->swallows = aio_create_task(AIO_CALL(task_swallows)));
    REQUIRE(self->hands_on = aio_create_task(AIO_CALL(task_hands_on, .of = self->swallows)));
    AIO_AWAIT(aio_sleep(1));
    CHECK(aio_task_cancel(self->hands_on));
    AIO_AWAIT(aio_sleep(1));
    CHECK(aio_future_done(self->hands_on) && !aio_future_cancelled(self->hands_on));
    CHECK_INT(self->hands_on->result, 5);
    CHECK_INT(aio_task_cancelling(self->hands_on), 1);
    CHECK_INT(aio_task_cancelling(self->swallows), 1);
    for (self->way = 0; self->way < 3; self->way++) { /* a future; a task; a future that is done just then */
        if (self->way == 1) self->of = (aio_future *)(void *)aio_create_task(AIO_CALL(loop_gives, .delay = 90));
        else self->of = aio_future_create();
        REQUIRE(self->of);
        for (int i = 0; i < 2; i++)
            REQUIRE(self->waits[i] = aio_create_task(AIO_CALL(task_waits_on, .of = self->of)));
        AIO_AWAIT(aio_sleep(1));
        if (self->way == 2) REQUIRE(aio_future_set_done(self->of) == 0);
        CHECK(aio_task_cancel(self->waits[0]));
        AIO_AWAIT(aio_sleep(1));
        CHECK(aio_future_cancelled(self->waits[0]));
        CHECK(aio_future_done(self->waits[1]));
        CHECK_INT(aio_future_cancelled(self->waits[1]), self->way != 2);
        CHECK_INT(aio_future_cancelled(self->of), self->way != 2);
        aio_unref_all(self->waits, 2);
        aio_unref(self->of);
        self->of = NULL;
    }
    AIO_FINALLY;
        if (self->of) aio_future_cancel(self->of);
        if (self->swallows) aio_future_exception(self->swallows);
        if (self->hands_on) aio_future_exception(self->hands_on);
        for (int i = 0; i < 2; i++)
            if (self->waits[i]) aio_future_exception(self->waits[i]);
        aio_unref_all(self->waits, 2);
        aio_unref(self->of);
        aio_unref(self->hands_on);
        aio_unref(self->swallows);
    AIO_END;
}

/* ---- eager start ---- */
struct task_eager { aio_task task; char log[TASK_LOG]; struct task_at_once *once; struct task_stubborn *other; };
SCENARIO(task_eager)
{
    AIO_BEGIN(task_eager);
    self->once = aio_create_task(AIO_CALL(task_at_once, .log = self->log, .c = '1'), .eager_start = true);
    REQUIRE(self->once);
    CHECK(aio_future_done(self->once));
    CHECK_STR(self->log, "1");
    CHECK_PTR(aio_current_task(), &self->task);
    self->other = aio_create_task(AIO_CALL(task_stubborn, .log = self->log), .eager_start = true, .name = "eager");
    REQUIRE(self->other);
    CHECK_STR(self->log, "1s"); /* up to its first suspension */
    CHECK(!aio_future_done(self->other));
    CHECK(aio_task_cancel(self->other));
    AIO_AWAIT(aio_sleep(1));
    CHECK(aio_future_cancelled(self->other));
    CHECK_STR(self->log, "1sf");
    AIO_FINALLY;
        if (self->other) aio_future_exception(self->other);
        aio_unref(self->once);
        aio_unref(self->other);
    AIO_END;
}

/* Outside of the loop's run it starts with that. */
TEST(task_eager_outside)
{
    aio_loop *loop = future_loop();
    char log[TASK_LOG] = "";
    void *once = aio_loop_create_task(loop, AIO_CALL(task_at_once, .log = log, .c = '1'), .eager_start = true);
    CHECK(once && !aio_future_done(once));
    CHECK_STR(log, "");
    loop_run_once(loop);
    CHECK(aio_future_done(once));
    CHECK_STR(log, "1");
    aio_unref(once);
    aio_loop_free(loop);
}

struct task_eager_nest { aio_task task; int *count; };
static AIO_CORO(task_eager_nest)
{
    AIO_BEGIN(task_eager_nest);
    if (++*self->count < 5000)
        aio_unref(aio_create_task(AIO_CALL(task_eager_nest, .count = self->count), .eager_start = true));
    AIO_END;
}

TEST(task_eager_starts_within_eager_starts)
{
    aio_loop *loop = future_loop(); /* bounded depth: what is deeper starts in the next iteration */
    int count = 0;
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(task_eager_nest, .count = &count), NULL), 0);
    for (int i = 0; i < 100; i++) loop_run_once(loop);
    CHECK_INT(count, 5000);
    aio_loop_free(loop);
}

/* A call that failed at once is a task that raises, as its coroutine would have; one that is cancelled before that. */
struct task_of_failure { aio_task task; aio_session *session; aio_response_task *get; aio_size_task *sent;
                         aio_task_group *group; };
SCENARIO(task_of_failure)
{
    AIO_BEGIN(task_of_failure);
    REQUIRE(self->session = aio_session_open());
    REQUIRE(self->get = aio_create_task(aio_session_get(self->session, "http://a b/"), .name = "get"));
    REQUIRE(self->sent = aio_create_task(aio_stream_sendfile(NULL, 0, 0, 0), .eager_start = true));
    CHECK_STR(aio_task_name(self->get), "get");
    CHECK(!aio_future_done(self->get) && aio_future_done(self->sent));
    AIO_TRY {
        AIO_AWAIT((aio_future *)aio_ref(self->get));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EURL);
    } AIO_END_TRY;
    CHECK_INT(aio_future_exception(self->sent) ? aio_future_exception(self->sent)->code : 0, EINVAL);
    aio_unref(self->get);
    aio_unref(self->sent);
    self->sent = NULL;
    REQUIRE(self->get = aio_create_task(aio_session_get(self->session, "http://a b/")));
    CHECK(aio_task_cancel(self->get));
    AIO_TRY {
        AIO_TASK_GROUP(self->group) {
            REQUIRE(aio_task_group_create_task(self->group, aio_stream_sendfile(NULL, 0, 0, 0)));
        }
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EGROUP);
        if (aio_caught(self)->member_count) CHECK_INT(aio_caught(self)->members[0]->code, EINVAL);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_unref(self->get);
        aio_unref(self->sent);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

/* ---- what ends the program ---- */
struct task_switch { aio_task task; int i; };
static AIO_CORO(task_switch)
{
    AIO_BEGIN(task_switch);
    switch (self->i) {
    default: AIO_AWAIT(aio_sleep(0));
    }
    AIO_END;
}

TEST(task_misuse_aborts)
{
    CHECK_ABORTS("aio.h: in task_switch: there is no way back to this line: AIO_AWAIT inside a switch? (",
                 task_run(AIO_CALL(task_switch), NULL));
    aio_loop *loop = future_loop();
    struct task_mark *task = aio_create_task(AIO_CALL(task_mark));
    CHECK_ABORTS("aio_create_task needs a coroutine that has not started", (void)aio_create_task(task));
    aio_task_cancel(task);
    CHECK_INT(aio_loop_run_until_complete(loop, task, NULL), AIO_ECANCELLED);
    aio_loop_free(loop);
    CHECK_PTR(aio_create_task((struct task_mark *)NULL), NULL);
    CHECK_PTR(aio_create_task(AIO_CALL(task_mark)), NULL); /* no loop */
    CHECK_INT(errno, AIO_ENOLOOP);
    CHECK(!aio_task_cancel(NULL));
    CHECK(!aio_task_cancel_message(NULL, "x"));
    CHECK_INT(aio_task_cancelling(NULL), 0);
    CHECK_INT(aio_task_uncancel(NULL), 0);
}

TEST(task_many_idle)
{
    enum { COUNT = 100000 };
    aio_loop *loop = future_loop();
    struct loop_forever **tasks = (struct loop_forever **)malloc(COUNT * sizeof *tasks);
    for (int i = 0; i < COUNT; i++) tasks[i] = aio_create_task(AIO_CALL(loop_forever));
    loop_run_once(loop);
    CHECK_INT(loop->task_count, COUNT);
    for (int i = 0; i < COUNT; i++) aio_task_cancel(tasks[i]);
    for (int i = 0; i < 3; i++) loop_run_once(loop);
    CHECK_INT(loop->task_count, 0);
    aio_unref_all(tasks, COUNT);
    free(tasks);
    aio_loop_free(loop);
}

struct task_adds { aio_task task; int i, *sum; };
static AIO_CORO(task_adds)
{
    AIO_BEGIN(task_adds);
    for (self->i = 0; self->i < 10; self->i++) {
        AIO_AWAIT(aio_sleep(0));
        ++*self->sum;
    }
    AIO_END;
}

TEST(task_argument_points_to_a_local)
{
    aio_loop *loop = future_loop();
    int sum = 0; /* the optimiser must not believe that it is 0 for ever */
    CHECK_INT(aio_loop_run_until_complete(loop, aio_create_task(AIO_CALL(task_adds, .sum = &sum)), NULL), 0);
    CHECK_INT(sum, 10);
    aio_loop_free(loop);
}
