/* The event loop: order, stop, errors, timers, handles, threads, reports. */

/* What ran, in order: callbacks append their argument, a string. */
static char loop_log[256];
static aio_loop *loop_used;

static void loop_note(void *arg)
{
    size_t used = strlen(loop_log);
    snprintf(loop_log + used, sizeof loop_log - used, "%s", (const char *)arg);
}

static char loop_a[] = "a", loop_b[] = "b", loop_c[] = "c", loop_d[] = "d";

static aio_loop *loop_open(void)
{
    loop_log[0] = 0;
    loop_used = aio_new_event_loop();
    CHECK(loop_used != NULL);
    aio_loop_set_exception_handler(loop_used, on_report, NULL);
    return loop_used;
}

static void loop_stop_it(void *arg)
{
    loop_note(arg);
    aio_loop_stop(loop_used);
}

static char loop_empty[] = "";
static void loop_run_once(aio_loop *loop)
{
    aio_loop_stop(loop);
    CHECK_INT(aio_loop_run_forever(loop), 0);
}

TEST(loop_poller_is_the_policy, .skip = KIND_OWN)
{
    aio_loop *loop = loop_open();
    CHECK_STR(aio_loop_poller(loop), options.poller ? options.poller : now.w->poller);
    CHECK(aio_policy_find("no such") == NULL);
    CHECK(aio_policy_find(NULL) == NULL);
    CHECK_STR(aio_policy_find("poll")->name, "poll");
    aio_loop_free(loop);
}

TEST(loop_calls_are_first_in_first_out)
{
    aio_loop *loop = loop_open();
    aio_loop_call_soon(loop, loop_note, loop_a);
    aio_loop_call_soon(loop, loop_note, loop_b);
    aio_loop_call_soon(loop, loop_note, loop_a);
    aio_loop_call_soon(loop, loop_stop_it, loop_c);
    aio_loop_call_soon(loop, loop_note, loop_d);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "abacd");
    aio_loop_free(loop);
}

static void loop_calls_b(void *arg)
{
    loop_note(arg);
    aio_loop_call_soon(loop_used, loop_note, loop_b);
}

TEST(loop_call_made_in_an_iteration_runs_in_the_next)
{
    aio_loop *loop = loop_open();
    aio_loop_call_soon(loop, loop_calls_b, loop_a);
    aio_loop_call_soon(loop, loop_note, loop_c);
    loop_run_once(loop);
    CHECK_STR(loop_log, "ac");
    loop_run_once(loop);
    CHECK_STR(loop_log, "acb");
    loop_run_once(loop);
    CHECK_STR(loop_log, "acb");
    aio_loop_free(loop);
}

static void loop_reschedules(void *arg)
{
    int *left = (int *)arg;
    if (--*left > 0) aio_loop_call_soon(loop_used, loop_reschedules, arg);
    else aio_loop_stop(loop_used);
}

TEST(loop_busy_queue_does_not_starve_timers)
{
    aio_loop *loop = loop_open();
    int left = 200;
    aio_loop_call_later(loop, 0, loop_note, loop_a);
    aio_loop_call_soon(loop, loop_reschedules, &left);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "a");
    CHECK_INT(left, 0);
    aio_loop_free(loop);
}

TEST(loop_stop_before_a_run_gives_one_iteration)
{
    aio_loop *loop = loop_open();
    aio_loop_call_later(loop, 1, loop_note, loop_b);
    aio_loop_call_soon(loop, loop_note, loop_a);
    aio_loop_stop(loop);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "a");
    CHECK_NEAR(aio_loop_time(loop), 1000, 1e-9);
    aio_loop_call_soon(loop, loop_stop_it, loop_c); /* the stop is used up: this run needs its own */
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "ac");
    aio_loop_free(loop);
}

struct loop_forever { aio_task task; };
static AIO_CORO(loop_forever)
{
    AIO_BEGIN(loop_forever);
    AIO_AWAIT(aio_future_create());
    AIO_END;
}

struct loop_gives { aio_task task; int result; double delay; int fails; };
static AIO_CORO(loop_gives)
{
    AIO_BEGIN(loop_gives);
    AIO_AWAIT(aio_sleep(self->delay));
    if (self->fails) AIO_RAISE(self->fails, "as told");
    AIO_RETURN(42);
    AIO_END;
}

TEST(loop_run_until_complete_gives_the_result)
{
    aio_loop *loop = loop_open();
    aio_exception *error = NULL;
    aio_set_event_loop(loop);
    struct loop_gives *task = aio_create_task(AIO_CALL(loop_gives, .delay = 5));
    aio_ref(task);
    CHECK_INT(aio_loop_run_until_complete(loop, task, &error), 0);
    CHECK_PTR(error, NULL);
    CHECK_INT(task->result, 42);
    CHECK_NEAR(aio_loop_time(loop), 1005, 0.002);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_ref(task), NULL), 0); /* done already */
    aio_unref(task);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(loop_gives, .delay = 0, .fails = EPIPE), &error), EPIPE);
    CHECK_INT(error->code, EPIPE);
    CHECK_STR(error->message, "as told");
    aio_exception_unref(error);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(loop_gives, .fails = EPIPE), NULL), EPIPE);
    CHECK_INT(now.reports, 0);
    aio_loop_free(loop);
}

TEST(loop_run_until_complete_stopped_early)
{
    aio_loop *loop = loop_open();
    aio_loop_call_soon(loop, loop_stop_it, loop_a);
    aio_set_event_loop(loop);
    struct loop_forever *task = aio_create_task(AIO_CALL(loop_forever));
    CHECK_INT(aio_loop_run_until_complete(loop, aio_ref(task), NULL), AIO_ESTOPPED);
    CHECK_STR(aio_code_text(AIO_ESTOPPED), "event loop stopped before Future completed");
    CHECK(!aio_future_done(task));
    aio_task_cancel(task); /* its completion must not stop a later run: the callback was taken back */
    aio_loop_call_later(loop, 3, loop_stop_it, loop_b);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "ab");
    CHECK(aio_future_cancelled(task));
    aio_unref(task);
    aio_loop_free(loop);
}

TEST(loop_run_until_complete_of_nothing)
{
    aio_loop *loop = loop_open();
    CHECK_INT(aio_loop_run_until_complete(loop, NULL, NULL), EINVAL);
    CHECK_INT(aio_loop_run_until_complete(NULL, AIO_CALL(loop_forever), NULL), EINVAL);
    CHECK_INT(aio_loop_run_forever(NULL), EINVAL);
    aio_loop_free(loop);
    aio_loop_free(NULL);
}

TEST(loop_run_until_complete_of_a_cancelled_coroutine)
{
    aio_loop *loop = loop_open();
    aio_exception *error = NULL;
    struct loop_forever *never = AIO_CALL(loop_forever);
    CHECK(aio_future_cancel(never));
    CHECK_INT(aio_loop_run_until_complete(loop, never, &error), AIO_ECANCELLED);
    CHECK(error && error->code == AIO_ECANCELLED);
    aio_exception_unref(error);
    aio_loop_free(loop);
}

struct loop_runs { aio_task task; };
static int loop_ran;
static AIO_CORO(loop_runs)
{
    AIO_BEGIN(loop_runs);
    loop_ran++;
    AIO_END;
}

/* Without memory it is not left to a later run. */
TEST(loop_run_until_complete_without_memory)
{
    for (int n = 1, code = ENOMEM; code; n++) {
        aio_loop *loop = loop_open();
        struct loop_runs *task = AIO_CALL(loop_runs);
        loop_ran = 0;
        CHECK(n < 20 && task);
        seam.fail_alloc = seam.allocations + n;
        code = aio_loop_run_until_complete(loop, task, NULL);
        seam.fail_alloc = seam.touched = 0;
        CHECK_INT(code, loop_ran ? 0 : ENOMEM);
        aio_loop_call_later(loop, 0, loop_stop_it, loop_a);
        CHECK_INT(aio_loop_run_forever(loop), 0);
        CHECK_INT(loop_ran, code ? 0 : 1);
        aio_loop_free(loop);
        if (n >= 20) break;
    }
}

TEST(loop_run_until_complete_of_another_loops_future)
{
    aio_loop *other = loop_open(), *loop = loop_open();
    aio_set_event_loop(other);
    aio_future *future = aio_future_create();
    CHECK_INT(aio_loop_run_until_complete(loop, future, NULL), AIO_EWRONGLOOP);
    aio_loop_free(loop);
    aio_loop_free(other);
    CHECK_PTR(aio_get_event_loop(), NULL);
}

static void loop_nested(void *arg)
{
    aio_loop *other = aio_new_event_loop();
    CHECK_INT(aio_loop_run_forever(loop_used), AIO_ELOOPRUNNING);
    CHECK_INT(aio_loop_run_until_complete(loop_used, AIO_CALL(loop_forever), NULL), AIO_ELOOPRUNNING);
    CHECK_INT(aio_loop_run_forever(other), AIO_ELOOPRUNNING); /* one running loop a thread */
    CHECK_INT(aio_loop_close(loop_used), AIO_ELOOPRUNNING);
    CHECK_ABORTS("aio_loop_free of a running loop", aio_loop_free(loop_used));
    CHECK(aio_loop_is_running(loop_used));
    CHECK(!aio_loop_is_closed(loop_used));
    CHECK_PTR(aio_get_running_loop(), loop_used);
    CHECK_PTR(aio_get_event_loop(), loop_used);
    CHECK(!aio_loop_is_running(other));
    aio_loop_free(other);
    loop_stop_it(arg);
}

/* One that was made while the other loop ran belongs to that. */
struct loop_maker { aio_task task; void **made; };
static AIO_CORO(loop_maker)
{
    AIO_BEGIN(loop_maker);
    *self->made = AIO_CALL(loop_forever);
    AIO_END;
}
TEST(loop_run_until_complete_of_another_loops_coroutine)
{
    aio_loop *loop = loop_open(), *other = loop_open();
    void *made = NULL;
    CHECK_INT(aio_loop_run_until_complete(other, AIO_CALL(loop_maker, .made = &made), NULL), 0);
    CHECK_INT(aio_loop_run_until_complete(loop, made, NULL), AIO_EWRONGLOOP);
    aio_loop_free(loop);
    aio_loop_free(other);
}

/* An allocator need not set errno. */
static int loop_allocations;
static void *loop_scarce_malloc(size_t size) { return loop_allocations-- > 0 ? malloc(size) : NULL; }
TEST(loop_new_without_memory)
{
    void *(*real)(size_t) = aio__os.malloc;
    void (*free_)(void *) = aio__os.free;
    aio_set_event_loop_policy(aio_policy_find("poll"));
    aio__os.malloc = loop_scarce_malloc;
    aio__os.free = free;
    for (int i = 0; i < 2; i++) {
        loop_allocations = i;
        errno = 0;
        CHECK_PTR(aio_new_event_loop(), NULL);
        CHECK_INT(errno, ENOMEM);
    }
    aio__os.malloc = real;
    aio__os.free = free_;
    aio_set_event_loop_policy(NULL);
}

TEST(loop_running_refuses_to_run_or_close)
{
    aio_loop *loop = loop_open();
    CHECK_PTR(aio_get_running_loop(), NULL);
    aio_loop_call_soon(loop, loop_nested, loop_a);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "a");
    CHECK_PTR(aio_get_running_loop(), NULL);
    CHECK(!aio_loop_is_running(loop));
    aio_loop_free(loop);
}

TEST(loop_closed_refuses)
{
    aio_loop *loop = loop_open();
    aio_loop_call_soon(loop, loop_note, loop_a);
    aio_loop_call_later(loop, 1, loop_note, loop_b);
    aio_set_event_loop(loop);
    CHECK_INT(aio_loop_close(loop), 0);
    CHECK_INT(aio_loop_close(loop), 0);
    CHECK(aio_loop_is_closed(loop));
    CHECK_PTR(aio_get_event_loop(), NULL);
    CHECK_INT(aio_loop_close(loop), 0);
    CHECK_INT(aio_loop_close(NULL), 0);
    CHECK_INT(aio_loop_run_forever(loop), AIO_ELOOPCLOSED);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(loop_forever), NULL), AIO_ELOOPCLOSED);
    errno = 0;
    CHECK_INT(aio_loop_call_soon(loop, loop_note, loop_a).generation, 0);
    CHECK_INT(errno, AIO_ELOOPCLOSED);
    CHECK_INT(aio_loop_call_later(loop, 1, loop_note, loop_a).generation, 0);
    CHECK_INT(aio_loop_call_soon_threadsafe(loop, loop_note, loop_a), AIO_ELOOPCLOSED);
    aio_set_event_loop(loop);
    CHECK_PTR(aio_future_create(), NULL);
    CHECK_PTR(aio_create_task(AIO_CALL(loop_forever)), NULL);
    CHECK_INT(errno, AIO_ELOOPCLOSED);
    aio_set_event_loop(NULL);
    CHECK_STR(loop_log, "");
    aio_loop_free(loop);
}

TEST(loop_runs_again_after_it_stopped)
{
    aio_loop *loop = loop_open();
    for (int i = 0; i < 3; i++) {
        aio_loop_call_soon(loop, loop_stop_it, loop_a);
        CHECK_INT(aio_loop_run_forever(loop), 0);
        CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(loop_gives, .delay = 1), NULL), 0);
    }
    CHECK_STR(loop_log, "aaa");
    aio_loop_free(loop);
}

/* ---- handles ---- */
static aio_handle loop_victim;
static void loop_cancels(void *arg)
{
    loop_note(arg);
    CHECK(aio_handle_cancel(loop_victim));
}

static void loop_cancels_itself(void *arg)
{
    loop_note(arg);
    CHECK(!aio_handle_pending(loop_victim));
    CHECK(!aio_handle_cancel(loop_victim));
}

TEST(loop_handle_cancel)
{
    aio_loop *loop = loop_open();
    aio_handle none = { NULL, 0, 0 };
    CHECK(!aio_handle_cancel(none));
    CHECK(!aio_handle_pending(none));
    aio_handle soon = aio_loop_call_soon(loop, loop_note, loop_a);
    aio_handle later = aio_loop_call_later(loop, 1, loop_note, loop_b);
    CHECK(aio_handle_pending(soon));
    CHECK(aio_handle_pending(later));
    CHECK(aio_handle_cancel(soon));
    CHECK(aio_handle_cancel(later));
    CHECK(!aio_handle_cancel(soon));
    CHECK(!aio_handle_cancel(later));
    CHECK(!aio_handle_pending(soon));
    CHECK(!aio_handle_pending(later));
    aio_handle again = aio_loop_call_soon(loop, loop_note, loop_c); /* the slot of an old handle, not the old handle */
    CHECK_INT(again.index, later.index);
    CHECK(aio_handle_pending(again));
    CHECK(!aio_handle_pending(soon) && !aio_handle_pending(later));
    CHECK(!aio_handle_cancel(soon) && !aio_handle_cancel(later));
    aio_loop_call_later(loop, 2, loop_stop_it, loop_d);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "cd");
    CHECK(!aio_handle_pending(again));
    CHECK(!aio_handle_cancel(again));
    aio_loop_close(loop);
    CHECK(!aio_handle_pending(again));
    CHECK(!aio_handle_cancel(later));
    aio_loop_free(loop);
}

TEST(loop_handle_cancel_within_its_iteration)
{
    aio_loop *loop = loop_open();
    aio_loop_call_soon(loop, loop_cancels, loop_a);
    loop_victim = aio_loop_call_soon(loop, loop_note, loop_b);
    aio_loop_call_soon(loop, loop_note, loop_c);
    loop_run_once(loop);
    CHECK_STR(loop_log, "ac");
    loop_victim = aio_loop_call_soon(loop, loop_cancels_itself, loop_d); /* what runs is no longer pending */
    loop_run_once(loop);
    CHECK_STR(loop_log, "acd");
    aio_loop_free(loop);
}

TEST(loop_handle_of_a_timer_that_is_queued)
{
    aio_loop *loop = loop_open(); /* both are due: the first takes the second out of the iteration */
    aio_loop_call_later(loop, 1, loop_cancels, loop_a);
    loop_victim = aio_loop_call_later(loop, 1, loop_note, loop_b);
    aio_loop_call_later(loop, 2, loop_stop_it, loop_c);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "ac");
    aio_loop_free(loop);
}

TEST(loop_refuses_bad_callbacks_and_delays)
{
    aio_loop *loop = loop_open();
    double bad[] = { (double)NAN, (double)INFINITY, -(double)INFINITY };
    for (int i = 0; i < 3; i++) {
        errno = 0;
        CHECK_INT(aio_loop_call_later(loop, bad[i], loop_note, loop_a).generation, 0);
        CHECK_INT(errno, EINVAL);
        CHECK_INT(aio_loop_call_at(loop, bad[i], loop_note, loop_a).generation, 0);
    }
    CHECK_INT(aio_loop_call_soon(loop, NULL, NULL).generation, 0);
    CHECK_INT(aio_loop_call_soon(NULL, loop_note, loop_a).generation, 0);
    CHECK_INT(aio_loop_call_soon_threadsafe(loop, NULL, NULL), EINVAL);
    CHECK_INT(aio_loop_call_soon_threadsafe(NULL, loop_note, loop_a), EINVAL);
    CHECK_INT(aio_loop_set_slow_callback_duration(loop, bad[0]), EINVAL);
    CHECK_INT(aio_loop_set_slow_callback_duration(loop, -3), EINVAL);
    CHECK_INT(aio_loop_set_slow_callback_duration(NULL, 1), EINVAL);
    CHECK(aio_loop_call_later(loop, 1e300, loop_note, loop_a).generation != 0); /* the end of time, not its beginning */
    CHECK(aio_loop_call_later(loop, -5, loop_stop_it, loop_b).generation != 0);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "b");
    CHECK_NEAR(aio_loop_time(loop), 1000, 1e-9);
    aio_loop_free(loop);
}

/* ---- timers ---- */
TEST(loop_timers_with_equal_deadlines_keep_their_order)
{
    aio_loop *loop = loop_open();
    double when = aio_loop_time(loop) + 2;
    static char letters[20][2];
    for (int i = 0; i < 20; i++) {
        letters[i][0] = (char)('a' + i);
        aio_loop_call_at(loop, when, loop_note, letters[i]);
    }
    aio_loop_call_at(loop, when - 1, loop_note, loop_d);
    aio_loop_call_at(loop, when + 1, loop_stop_it, loop_empty);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "dabcdefghijklmnopqrst");
    aio_loop_free(loop);
}

static struct { double last; long fired, disorder; } loop_timed;
static void loop_timer(void *arg)
{
    double when = *(double *)arg;
    loop_timed.disorder += when < loop_timed.last || aio_loop_time(loop_used) < when - 1e-9; /* the clock's grain */
    loop_timed.last = when;
    loop_timed.fired++;
}

TEST(loop_million_timers)
{
    enum { COUNT = 1000000 };
    aio_loop *loop = loop_open();
    double *when = (double *)malloc(COUNT * sizeof *when), start = aio_loop_time(loop);
    memset(&loop_timed, 0, sizeof loop_timed);
    long refused = 0;
    for (int i = 0; i < COUNT; i++) {
        when[i] = start + (double)(seam_random() % 100000) / 1000;
        refused += aio_loop_call_at(loop, when[i], loop_timer, &when[i]).generation == 0;
    }
    aio_loop_call_at(loop, start + 101, loop_stop_it, loop_a);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_INT(refused, 0);
    CHECK_INT(loop_timed.fired, COUNT);
    CHECK_INT(loop_timed.disorder, 0);
    free(when);
    aio_loop_free(loop);
}

TEST(loop_timers_mostly_cancelled_are_rebuilt)
{
    enum { COUNT = 1000 };
    aio_loop *loop = loop_open();
    aio_handle handles[COUNT];
    double when[COUNT];
    memset(&loop_timed, 0, sizeof loop_timed);
    for (int i = 0; i < COUNT; i++) {
        when[i] = aio_loop_time(loop) + 1 + (double)(i * 7919 % COUNT);
        handles[i] = aio_loop_call_at(loop, when[i], loop_timer, &when[i]);
    }
    for (int i = 0; i < COUNT; i++)
        if (i % 10) CHECK(aio_handle_cancel(handles[i]));
    CHECK_INT(loop->entry_count - loop->entry_dead, COUNT / 10);
    CHECK(loop->entry_dead <= 100); /* the others were dropped together, none of them due */
    aio_loop_call_later(loop, COUNT + 10, loop_stop_it, loop_a);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_INT(loop_timed.fired, COUNT / 10);
    CHECK_INT(loop_timed.disorder, 0);
    aio_loop_free(loop);
}

/* How often pollers have waited. */
static long loop_waits(void)
{
    long waits = seam.calls[CALL_poll];
#if AIO__LINUX
    waits += seam.calls[CALL_epoll_wait];
#endif
#if AIO__KQUEUE
    waits += seam.calls[CALL_kevent];
#endif
    return waits;
}

TEST(loop_cancelled_timers_do_not_wake_it)
{
    aio_loop *loop = loop_open();
    aio_handle first = aio_loop_call_later(loop, 1, loop_note, loop_a);
    aio_loop_call_later(loop, 50, loop_stop_it, loop_b);
    aio_handle_cancel(first);
    loop_run_once(loop); /* a new registration says once that it can be written */
    long before = loop_waits();
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_INT(loop_waits() - before, 1);
    CHECK_STR(loop_log, "b");
    aio_loop_free(loop);
}

/* ---- more timers than the heap keeps ---- */
enum { LOOP_FAR = 6000 };
typedef struct loop_far_timer { int64_t when; aio_handle handle; bool cancelled; } loop_far_timer;
static struct {
    loop_far_timer timers[LOOP_FAR], *last; /* in the order in which they are made */
    int            count, fired, wrong;
    bool           more;                    /* those that fire make others */
    int64_t        spread;
} loop_far;

static void loop_far_fires(void *arg);

static void loop_far_make(int64_t when)
{
    loop_far_timer *timer = &loop_far.timers[loop_far.count++];
    timer->when = when;
    timer->cancelled = false;
    timer->handle = aio__scheduled_when(loop_used, when, loop_far_fires, timer);
    loop_far.wrong += !timer->handle.generation;
}

/* At its time, or as much later as a poller's milliseconds are rounded; in the order of the times, and of those with
 * one time in which they were made. */
static void loop_far_fires(void *arg)
{
    loop_far_timer *timer = (loop_far_timer *)arg, *last = loop_far.last;
    bool early = last && (timer->when < last->when || (timer->when == last->when && timer < last));
    loop_far.wrong += early || timer->cancelled || loop_used->now < timer->when;
    loop_far.wrong += loop_used->now - timer->when > 1000000;
    loop_far.last = timer;
    loop_far.fired++;
    if (!loop_far.more || loop_far.count + 3 > LOOP_FAR) return;
    loop_far_make(loop_used->now + 1 + (int64_t)(seam_random() % 100)); /* what is due in this pass is due before it */
    loop_far_make(loop_used->now + 1000000 + (int64_t)(seam_random() % 3000000));
    loop_far_make(loop_used->now + 1000000 + (int64_t)(seam_random() % (uint64_t)loop_far.spread));
}

static aio_loop *loop_far_open(int count, int64_t spread)
{
    aio_loop *loop = loop_open();
    int64_t start = loop->now = aio__os.clock();
    memset(&loop_far, 0, sizeof loop_far);
    loop_far.spread = spread;
    while (loop_far.count < count)
        loop_far_make(start + (int64_t)(seam_random() % (uint64_t)spread) / (loop_far.count % 3 ? 1 : 1000));
    return loop;
}

static void loop_far_run(aio_loop *loop, int fired)
{
    aio__scheduled_when(loop, loop->now + 1000000000000000, loop_stop_it, loop_empty);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_INT(loop_far.fired, fired);
    CHECK_INT(loop_far.wrong, 0);
    CHECK_INT(loop->entry_count, 0);
    CHECK_INT(aio__timers_first(loop), INT64_MAX);
    CHECK_INT(loop->near_until, INT64_MAX);
    aio_loop_free(loop);
}

/* From all within one tick to two hours. */
TEST(loop_far_timers)
{
    static const int64_t spreads[] = { 1, 1000, 1000000, 5000000, 300000000, 20000000000, 7200000000000 };
    for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++)
        loop_far_run(loop_far_open(LOOP_FAR, spreads[i]), LOOP_FAR);
}

TEST(loop_far_timers_make_others)
{
    static const int64_t spreads[] = { 1000000, 50000000, 7200000000000 };
    for (size_t i = 0; i < sizeof spreads / sizeof *spreads; i++) {
        aio_loop *loop = loop_far_open(1500, spreads[i]);
        loop_far.more = true;
        loop_far_run(loop, LOOP_FAR);
    }
}

/* Up to the bound all are in the heap; with one more only those of this tick, and then those of the one that is due. */
TEST(loop_far_timers_leave_the_heap)
{
    aio_loop *loop = loop_far_open(AIO__NEAR_MAX - 1, 7200000000000);
    loop_far_make(aio__tick_end(loop->now)); /* the last time that is near, and the first that is not */
    CHECK_INT(loop->near_count, AIO__NEAR_MAX);
    loop_far_make(loop->now + 1);
    CHECK_INT(aio__far_count(loop) + loop->near_count, AIO__NEAR_MAX + 1);
    size_t near_ = loop->near_count;
    CHECK(near_ >= 2 && near_ < 20);
    loop_far_make(aio__tick_end(loop->now));
    CHECK_INT(loop->near_count, ++near_);
    loop_far_make(aio__tick_end(loop->now) + 1);
    CHECK_INT(loop->near_count, near_);
    loop_far_make(loop->now - 5000000); /* what is over is near, too: it is late already */
    CHECK_INT(loop->near_count, near_ + 1);
    CHECK_INT(aio__timers_first(loop), loop->now - 5000000);
    CHECK(aio_handle_cancel(loop_far.timers[loop_far.count - 1].handle));
    loop_far_run(loop, AIO__NEAR_MAX + 3);
}

/* Most of them cancelled, at once and between those that fire: what is left comes, and the dead do not pile up. */
TEST(loop_far_timers_cancelled)
{
    aio_loop *loop = loop_far_open(LOOP_FAR, 60000000000);
    int left = LOOP_FAR;
    for (int i = 0; i < LOOP_FAR; i++) {
        if (i % 20 == 0) continue;
        loop_far.timers[i].cancelled = true;
        CHECK(aio_handle_cancel(loop_far.timers[i].handle));
        left--;
        if (loop->entry_dead > 100) CHECK(loop->entry_dead * 2 <= loop->entry_count);
    }
    CHECK_INT(loop->entry_count - loop->entry_dead, left);
    CHECK_INT(loop->near_count + aio__far_count(loop), loop->entry_count);
    loop_far_run(loop, left);
    loop = loop_far_open(LOOP_FAR, 60000000000);
    for (int i = 0; i < LOOP_FAR; i++) CHECK(aio_handle_cancel(loop_far.timers[i].handle));
    CHECK(loop->entry_count <= 100);
    loop_far.count = 0;
    loop_far_make(loop->now + 1000000000);
    loop_far_run(loop, 1);
}

/* Sleeps and timers of which most are still to come when the loop ends; some were dropped, some cancelled. */
struct loop_far_sleeps { aio_task task; int i; aio_future *kept[100]; };
SCENARIO(loop_far_sleeps, .skip = KIND_SLICE)
{
    AIO_BEGIN(loop_far_sleeps);
    for (self->i = 0; self->i < 1500; self->i++) {
        aio_future *sleep_ = aio_sleep(0.0001 * (self->i * 37 % 3000));
        REQUIRE(sleep_);
        if (self->i % 5 == 0) aio_future_cancel(sleep_);
        if (self->i < 100) self->kept[self->i] = sleep_;
        else aio_unref(sleep_);
        REQUIRE(aio_loop_call_later(aio__running, 0.01 * self->i, loop_note, loop_empty).generation);
    }
    AIO_AWAIT(aio_sleep(0.2));
    AIO_AWAIT(aio_ref(self->kept[99]));
    AIO_FINALLY;
        aio_unref_all(self->kept, 100);
    AIO_END;
}

/* ---- other threads ---- */
static void *loop_thread_calls(void *arg)
{
    for (int i = 0; i < 1000; i++) aio_loop_call_soon_threadsafe((aio_loop *)arg, loop_note, loop_empty);
    CHECK_INT(aio_loop_call_soon_threadsafe((aio_loop *)arg, loop_note, loop_a), 0);
    CHECK_INT(aio_loop_call_soon_threadsafe((aio_loop *)arg, loop_note, loop_b), 0);
    CHECK_INT(aio_loop_call_soon_threadsafe((aio_loop *)arg, loop_stop_it, loop_c), 0);
    return NULL;
}

TEST(loop_thread_wakes_it)
{
    aio_loop *loop = loop_open(); /* nothing to do and no timer: only the thread can end the wait */
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, loop_thread_calls, loop), 0);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    pthread_join(thread, NULL);
    CHECK_STR(loop_log, "abc");
    aio_loop_free(loop);
}

static void loop_calls_threadsafe(void *arg)
{
    loop_note(arg);
    CHECK_INT(aio_loop_call_soon_threadsafe(loop_used, loop_stop_it, loop_b), 0);
}

TEST(loop_threadsafe_from_its_own_thread)
{
    aio_loop *loop = loop_open();
    for (int round = 0; round < 2; round++) { /* the first of those that wait wakes the loop, and no other needs to */
        long writes = seam.calls[CALL_write];
        for (int i = 0; i < 10; i++) CHECK_INT(aio_loop_call_soon_threadsafe(loop, loop_note, loop_empty), 0);
        CHECK_INT(seam.calls[CALL_write] - writes, 1);
        CHECK_INT(aio_loop_run_once(loop, 0), 0);
    }
    CHECK_INT(aio_loop_call_soon_threadsafe(loop, loop_calls_threadsafe, loop_a), 0); /* before it runs */
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "ab");
    aio_loop_free(loop);
}

static void *loop_thread_schedules(void *arg)
{
    aio_loop *loop = (aio_loop *)arg;
    CHECK_INT(aio_loop_call_soon(loop, loop_note, loop_a).generation, 0);
    CHECK_INT(errno, AIO_EWRONGTHREAD);
    CHECK_INT(aio_loop_call_later(loop, 1, loop_note, loop_a).generation, 0);
    CHECK_INT(errno, AIO_EWRONGTHREAD);
    loop->attend = false;
    CHECK_INT(aio_loop_call_later(loop, 0, loop_note, loop_a).generation, 0);
    CHECK_INT(errno, AIO_EWRONGTHREAD);
    CHECK(!loop->attend); /* it is not this thread's to say */
    return NULL;
}

static void loop_asks_thread(void *arg)
{
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, loop_thread_schedules, loop_used), 0);
    pthread_join(thread, NULL);
    loop_stop_it(arg);
}

TEST(loop_refuses_calls_from_another_thread)
{
    aio_loop *loop = loop_open();
    aio_loop_call_soon(loop, loop_asks_thread, loop_b);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_STR(loop_log, "b");
    aio_loop_free(loop);
}

struct loop_worker { aio_task task; int i, *sum; };
static AIO_CORO(loop_worker)
{
    AIO_BEGIN(loop_worker);
    for (self->i = 0; self->i < 100; self->i++) {
        AIO_AWAIT(aio_sleep(self->i % 3 ? 0 : 0.5));
        ++*self->sum;
    }
    AIO_END;
}

static void *loop_thread_runs(void *arg)
{
    aio_set_event_loop_policy(*(const aio_policy **)arg);
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    int sum = 0;
    struct loop_worker *workers[10];
    for (int i = 0; i < 10; i++) workers[i] = aio_create_task(AIO_CALL(loop_worker, .sum = &sum));
    for (int i = 0; i < 10; i++) CHECK_INT(aio_loop_run_until_complete(loop, workers[i], NULL), 0);
    CHECK_INT(sum, 1000);
    aio_loop_free(loop);
    return NULL;
}

TEST(loop_several_loops_in_several_threads)
{
    pthread_t threads[4];
    const aio_policy *policy = aio_get_event_loop_policy();
    for (int i = 0; i < 4; i++) CHECK_INT(pthread_create(&threads[i], NULL, loop_thread_runs, &policy), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

/* ---- reports ---- */
static struct { int count, code; char text[200]; void *arg; } loop_told;
static void loop_handler(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)loop;
    loop_told.count++;
    loop_told.code = exception ? exception->code : 0;
    loop_told.arg = arg;
    snprintf(loop_told.text, sizeof loop_told.text, "%s", message);
}

TEST(loop_exception_handler)
{
    aio_loop *loop = loop_open();
    memset(&loop_told, 0, sizeof loop_told);
    aio_loop_set_exception_handler(loop, loop_handler, loop_a);
    aio_loop_call_exception_handler(loop, "hello", NULL);
    CHECK_STR(loop_told.text, "hello");
    CHECK_PTR(loop_told.arg, loop_a);
    aio_set_event_loop(loop);
    aio_unref(aio_create_task(AIO_CALL(loop_gives, .fails = EPIPE))); /* nobody will ever look at its error */
    aio_loop_call_later(loop, 1, loop_stop_it, loop_b);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_INT(loop_told.count, 2);
    CHECK_INT(loop_told.code, EPIPE);
    CHECK(strstr(loop_told.text, "error of 'loop_gives' was never retrieved (made at ") == loop_told.text);
    CHECK_STR(loop_log, "b");
    aio_loop_free(loop);
}

static void loop_takes(void *arg) { clock_advance(*(double *)arg); }

struct loop_slow { aio_task task; };
static AIO_CORO(loop_slow)
{
    AIO_BEGIN(loop_slow);
    AIO_AWAIT(aio_sleep(1));
    clock_advance(0.25);
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}

TEST(loop_slow_steps_are_reported)
{
    static double durations[] = { 0.099, 0.1 };
    aio_loop *loop = loop_open();
    aio_loop_set_exception_handler(loop, loop_handler, NULL);
    for (int i = 0; i < 2; i++) {
        memset(&loop_told, 0, sizeof loop_told);
        aio_loop_call_soon(loop, loop_takes, &durations[i]);
        loop_run_once(loop);
        loop_run_once(loop);
        CHECK_INT(loop_told.count, i);
    }
    CHECK(strncmp(loop_told.text, "slow step: 100 ms in callback ", 30) == 0);
    char same[sizeof loop_told.text];
    memcpy(same, loop_told.text, sizeof same);
    memset(&loop_told, 0, sizeof loop_told);
    CHECK_INT(aio_loop_call_soon_threadsafe(loop, loop_takes, &durations[1]), 0);
    for (int i = 0; i < 3; i++) loop_run_once(loop);
    CHECK_STR(loop_told.text, same);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(loop_slow), NULL), 0);
    CHECK_INT(loop_told.count, 2);
    CHECK(strstr(loop_told.text, "slow step: 250 ms in ") == loop_told.text);
    CHECK(strstr(loop_told.text, "test_loop.c:") && strstr(loop_told.text, ", in loop_slow"));
    CHECK_INT(aio_loop_set_slow_callback_duration(loop, AIO_UNLIMITED), 0);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(loop_slow), NULL), 0);
    CHECK_INT(loop_told.count, 2);
    CHECK_INT(aio_loop_set_slow_callback_duration(loop, 0.5), 0);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(loop_slow), NULL), 0);
    CHECK_INT(loop_told.count, 2);
    aio_loop_free(loop);
}

TEST(loop_debug_reports_what_was_forgotten, .skip = KIND_DEBUG)
{
    aio_loop *loop = loop_open();
    CHECK(!aio_loop_get_debug(loop));
    aio_loop_set_debug(loop, true);
    CHECK(aio_loop_get_debug(loop));
    aio_loop_set_exception_handler(loop, loop_handler, NULL);
    memset(&loop_told, 0, sizeof loop_told);
    aio_set_event_loop(loop);
    aio_unref(AIO_CALL(loop_forever));
    CHECK_INT(loop_told.count, 1);
    CHECK(strstr(loop_told.text, "coroutine 'loop_forever' was never awaited (made at ") == loop_told.text);
    aio_future *leaked = AIO_FUTURE(aio_future);
    CHECK(leaked != NULL);
    CHECK_INT(aio_loop_close(loop), 0);
    CHECK_INT(loop_told.count, 2);
    CHECK(strstr(loop_told.text, "'future' was never released (made at ") == loop_told.text);
    CHECK(strstr(loop_told.text, "test_loop.c:") != NULL);
    aio_loop_free(loop);
}

TEST(loop_closed_over_pending_tasks)
{
    aio_loop *loop = loop_open();
    aio_loop_set_exception_handler(loop, loop_handler, NULL);
    memset(&loop_told, 0, sizeof loop_told);
    aio_set_event_loop(loop);
    struct loop_forever *task = aio_create_task(AIO_CALL(loop_forever));
    loop_run_once(loop);
    CHECK_INT(aio_loop_close(loop), 0);
    CHECK_INT(loop_told.count, 1);
    CHECK(strstr(loop_told.text, "task 'loop_forever' was destroyed but it is pending (at ") == loop_told.text);
    CHECK(aio_future_cancelled(task));
    aio_unref(task);
    aio_loop_free(loop);
}

/* ---- in every way ---- */
struct loop_sleeps { aio_task task; int i; double started; };
SCENARIO(loop_sleeps)
{
    AIO_BEGIN(loop_sleeps);
    self->started = aio_loop_time(aio_get_running_loop());
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(self->i));
    CHECK_NEAR(aio_loop_time(aio_get_running_loop()) - self->started, 3, 0.005);
    AIO_END;
}

static void loop_counts(void *arg) { ++*(int *)arg; }

struct loop_calls { aio_task task; int soon, later, threadsafe; aio_handle handle; };
SCENARIO(loop_calls)
{
    AIO_BEGIN(loop_calls);
    self->handle = aio_loop_call_later(aio_get_running_loop(), 0.5, loop_counts, &self->later);
    REQUIRE(self->handle.generation);
    REQUIRE(aio_loop_call_soon(aio_get_running_loop(), loop_counts, &self->soon).generation);
    REQUIRE(aio_loop_call_soon_threadsafe(aio_get_running_loop(), loop_counts, &self->threadsafe) == 0);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(self->soon, 1);
    CHECK_INT(self->later, 1);
    CHECK_INT(self->threadsafe, 1);
    AIO_FINALLY;
        aio_handle_cancel(self->handle);
        AIO_AWAIT(aio_sleep(0));
    AIO_END;
}

struct loop_reports { aio_task task; };
SCENARIO(loop_reports)
{
    AIO_BEGIN(loop_reports);
    expect_report("error of 'loop_gives' was never retrieved");
    aio_unref(aio_create_task(AIO_CALL(loop_gives, .fails = EPIPE)));
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}

/* ---- what asyncio has had since 3.12 ---- */

static void loop_nothing(void *arg) { (void)arg; }

struct loop_when { aio_task task; aio_handle soon, later; double when; };
SCENARIO(loop_when)
{
    AIO_BEGIN(loop_when);
    self->when = aio_time() + 3;
    self->soon = aio_loop_call_soon(aio_get_running_loop(), loop_nothing, NULL);
    self->later = aio_loop_call_at(aio_get_running_loop(), self->when, loop_nothing, NULL);
    REQUIRE(self->soon.generation && self->later.generation);
    CHECK(aio_handle_when(self->soon) == 0);
    CHECK_NEAR(aio_handle_when(self->later), self->when, 1e-6);
    AIO_AWAIT(aio_sleep(4));
    CHECK(aio_handle_when(self->later) == 0);
    AIO_END;
}

/* A handler that adds something, and hands on to the one before. */
struct loop_chain { aio_exception_handler *handler; void *arg; int heard; };
static void loop_hears(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    struct loop_chain *chain = (struct loop_chain *)arg;
    chain->heard++;
    if (chain->handler) chain->handler(loop, message, exception, chain->arg);
}

TEST(loop_handlers_chain)
{
    struct loop_chain inner = { NULL, NULL, 0 }, outer = { NULL, NULL, 0 };
    void *arg = &inner;
    aio_loop *loop = aio_new_event_loop();
    CHECK(aio_loop_get_exception_handler(loop, &arg) == aio_loop_default_exception_handler);
    CHECK(arg == NULL);
    aio_loop_set_exception_handler(loop, loop_hears, &inner);
    outer.handler = aio_loop_get_exception_handler(loop, &outer.arg);
    aio_loop_set_exception_handler(loop, loop_hears, &outer);
    aio_loop_call_exception_handler(loop, "something", NULL);
    CHECK_INT(inner.heard, 1);
    CHECK_INT(outer.heard, 1);
    aio_loop_free(loop);
}

struct loop_made { int count, named; bool eager; };
static void loop_makes(aio_loop *loop, aio_task *task, aio_task_options *chosen, void *arg)
{
    struct loop_made *made = (struct loop_made *)arg;
    made->count++;
    if (chosen->name) made->named++;
    else chosen->name = "made";
    if (made->eager) aio_eager_task_factory(loop, task, chosen, NULL);
}

struct loop_gives_3 { aio_task task; int result; };
static AIO_CORO(loop_gives_3)
{
    AIO_BEGIN(loop_gives_3);
    AIO_RETURN(3);
    AIO_END;
}

struct loop_factory { aio_task task; struct loop_made made; struct loop_gives_3 *kids[2]; int i; };
SCENARIO(loop_factory)
{
    AIO_BEGIN(loop_factory);
    aio_loop_set_task_factory(aio_get_running_loop(), loop_makes, &self->made);
    CHECK(aio_loop_get_task_factory(aio_get_running_loop(), NULL) == loop_makes);
    for (self->i = 0; self->i < 2; self->i++) {
        self->kids[self->i] = self->i ? aio_create_task(AIO_CALL(loop_gives_3), .name = "kid")
                                      : aio_create_task(AIO_CALL(loop_gives_3));
        REQUIRE(self->kids[self->i]);
        CHECK_STR(aio_task_name(self->kids[self->i]), self->i ? "kid" : "made");
        CHECK_INT(aio_future_done(self->kids[self->i]), self->i);
        self->made.eager = true;
    }
    CHECK_INT(self->made.count, 2);
    CHECK_INT(self->made.named, 1);
    AIO_AWAIT(aio_gather(self->kids, 2));
    CHECK_INT(self->kids[0]->result, 3);
    AIO_FINALLY;
        aio_loop_set_task_factory(aio_get_running_loop(), NULL, NULL);
        aio_unref_all(self->kids, 2);
    AIO_END;
}

static void loop_takes_long(void *arg)
{
    (void)arg;
    clock_advance(1);
}

/* While it does not run the loop is idle, whatever the program does meanwhile. */
TEST(loop_measured_outside, .skip = KIND_DEBUG /* a step of a second is reported */)
{
    aio_loop *loop = loop_open();
    CHECK_INT(aio_loop_run_once(loop, 0), 0);
    aio_loop_metrics(loop);
    clock_advance(3);
    aio_loop_call_soon(loop, loop_takes_long, NULL);
    CHECK_INT(aio_loop_run_once(loop, 0), 0);
    aio_metrics m = aio_loop_metrics(loop);
    CHECK_NEAR(m.seconds, 4, 0.01);
    CHECK_NEAR(m.busy, 0.25, 0.01);
    aio_loop_free(loop);
}

struct loop_measured { aio_task task; aio_metrics m; aio_task *kid; };
SCENARIO(loop_measured, .skip = KIND_DEBUG /* a step of a second is reported */)
{
    AIO_BEGIN(loop_measured);
    aio_loop_set_slow_callback_duration(aio_get_running_loop(), AIO_UNLIMITED);
    aio_loop_metrics(aio_get_running_loop());
    AIO_AWAIT(aio_sleep(3));
    self->m = aio_loop_metrics(aio_get_running_loop());
    CHECK_NEAR(self->m.seconds, 3, 0.1);
    CHECK_NEAR(self->m.busy, 0, 0.05);
    CHECK_NEAR(self->m.lag, 0, 0.05);
    CHECK(self->m.polls > 0);
    CHECK(self->m.tasks > 0);
    aio_loop_call_later(aio_get_running_loop(), 1, loop_takes_long, NULL);
    aio_loop_call_later(aio_get_running_loop(), 1.5, loop_nothing, NULL);
    self->m = aio_loop_metrics(aio_get_running_loop());
    CHECK_INT(self->m.timers, 2);
    AIO_AWAIT(aio_sleep(4));
    self->m = aio_loop_metrics(aio_get_running_loop());
    CHECK_NEAR(self->m.seconds, 4, 0.1);
    CHECK_NEAR(self->m.busy, 0.25, 0.05);
    CHECK_NEAR(self->m.lag, 0.5, 0.05);
    self->kid = (aio_task *)aio_create_task(AIO_CALL(loop_gives_3));
    REQUIRE(self->kid);
    self->m = aio_loop_metrics(aio_get_running_loop());
    CHECK_INT(self->m.ready, 1);
    CHECK_INT(self->m.tasks, aio_all_tasks(NULL, 0));
    AIO_AWAIT(aio_ref(self->kid));
    AIO_FINALLY;
        aio_unref(self->kid);
    AIO_END;
}
