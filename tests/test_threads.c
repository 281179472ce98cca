/* Executors, jobs, to_thread, run_coroutine_threadsafe. Threads of a test are started past the seam, and joined. */

/* A job that waits until the test lets it go on. Real time bounds it, for runs that end early. */
static struct thread_gate {
    pthread_mutex_t mutex;
    pthread_cond_t  changed;
    int             open, inside, most, ran, dropped, skipped;
} thread_gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0, 0, 0 };

static void thread_gate_set(bool open)
{
    pthread_mutex_lock(&thread_gate.mutex);
    thread_gate.open = open;
    if (!open) thread_gate.most = thread_gate.ran = thread_gate.dropped = thread_gate.skipped = 0;
    pthread_cond_broadcast(&thread_gate.changed);
    pthread_mutex_unlock(&thread_gate.mutex);
}

static int thread_gate_get(const int *what)
{
    pthread_mutex_lock(&thread_gate.mutex);
    int value = *what;
    pthread_mutex_unlock(&thread_gate.mutex);
    return value;
}

static void *thread_wait_gate(void *arg)
{
    pthread_mutex_lock(&thread_gate.mutex);
    thread_gate.ran++;
    if (++thread_gate.inside > thread_gate.most) thread_gate.most = thread_gate.inside;
    pthread_cond_broadcast(&thread_gate.changed);
    while (!thread_gate.open) pthread_cond_wait(&thread_gate.changed, &thread_gate.mutex);
    thread_gate.inside--;
    pthread_mutex_unlock(&thread_gate.mutex);
    return arg;
}

/* Blocks until `count` jobs are inside. */
static void thread_await_inside(int count)
{
    pthread_mutex_lock(&thread_gate.mutex);
    while (thread_gate.inside < count) pthread_cond_wait(&thread_gate.changed, &thread_gate.mutex);
    pthread_mutex_unlock(&thread_gate.mutex);
}

static void thread_count_drop(void *result)
{
    (void)result;
    SEAM_ADD(thread_gate.dropped, 1);
}

static void thread_count_skip(void *arg)
{
    (void)arg;
    SEAM_ADD(thread_gate.skipped, 1);
}

static void *thread_twice(void *arg) { return (void *)((intptr_t)arg * 2); }

static void *thread_raise(void *arg)
{
    aio_job_raise(ENOENT, "no %s", (const char *)arg);
    return aio_job_raise(EACCES, "the first one counts");
}

static void *thread_self(void *arg)
{
    *(pthread_t *)arg = pthread_self();
    return NULL;
}

struct thread_result { aio_task task; void *result; };
SCENARIO(thread_result)
{
    AIO_BEGIN(thread_result);
    AIO_AWAIT(self->result, aio_to_thread(thread_twice, (void *)21));
    CHECK_INT((intptr_t)self->result, 42);
    CHECK_PTR(aio_job_raise(EINVAL, "outside of a job"), NULL);
    AIO_AWAIT(self->result, aio_to_thread(thread_twice, (void *)4));
    CHECK_INT((intptr_t)self->result, 8);
    AIO_END;
}

struct thread_error { aio_task task; };
SCENARIO(thread_error, .may = { ENOENT })
{
    AIO_BEGIN(thread_error);
    AIO_TRY {
        AIO_AWAIT(aio_to_thread(thread_raise, (void *)(uintptr_t)"such thing"));
        CHECK(false);
    } AIO_CATCH {
        CHECK_INT(aio_caught(self)->code, ENOENT);
        CHECK_STR(aio_caught(self)->message, "no such thing");
    } AIO_END_TRY
    AIO_END;
}

/* One after the other: the one thread that exists serves all. */
/* Real, and short: until every thread waits again. */
static void thread_until_idle(aio_executor *executor)
{
    for (bool idle = false; !idle;) {
        pthread_mutex_lock(&executor->mutex);
        idle = executor->idle == executor->alive;
        pthread_mutex_unlock(&executor->mutex);
    }
}

struct thread_reuse { aio_task task; pthread_t first, next; int i; };
SCENARIO(thread_reuse)
{
    AIO_BEGIN(thread_reuse);
    AIO_AWAIT(aio_to_thread(thread_self, &self->first));
    CHECK(!pthread_equal(self->first, pthread_self()));
    AIO_AWAIT(aio_sleep(0)); /* the thread has posted from inside of its mutex: it is idle, or will be */
    for (self->i = 0; self->i < 5; self->i++) {
        thread_until_idle(aio_get_running_loop()->executor);
        AIO_AWAIT(aio_to_thread(thread_self, &self->next));
        CHECK(pthread_equal(self->first, self->next));
    }
    AIO_END;
}

/* max_workers is kept; what is more waits its turn, in order. */
struct thread_limit { aio_task task; aio_executor *executor; aio_job_future *jobs[6]; int i; };
SCENARIO(thread_limit)
{
    AIO_BEGIN(thread_limit);
    thread_gate_set(false);
    self->executor = aio_executor_open(.max_workers = 2);
    if (!self->executor) AIO_RAISE(errno);
    for (self->i = 0; self->i < 6; self->i++)
        self->jobs[self->i] =
            aio_loop_run_in_executor(aio_get_running_loop(), self->executor, thread_wait_gate, &self->i);
    if (!seam.touched) thread_await_inside(2);
    thread_gate_set(true);
    AIO_AWAIT(aio_gather(self->jobs, 6));
    CHECK_INT(thread_gate.most, 2);
    CHECK_INT(thread_gate.ran, 6);
    for (self->i = 0; self->i < 6; self->i++) CHECK_PTR(self->jobs[self->i]->result, &self->i);
    AIO_FINALLY;
    thread_gate_set(true);
    aio_unref_all(self->jobs, 6);
    ALWAYS(aio_executor_close(self->executor) == 0);
    AIO_END;
}

/* As many as asyncio has, when nobody says how many. */
static int thread_cores;
static int thread_some_cores(void) { return thread_cores; }
TEST(thread_default_limit)
{
    static const int limits[][2] = { { 1, 5 }, { 2, 6 }, { 27, 31 }, { 28, 32 }, { 29, 32 }, { 512, 32 } };
    int (*real)(void) = aio__os.cores;
    aio__os.cores = thread_some_cores;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        thread_cores = limits[i][0];
        aio_executor *executor = aio_executor_open();
        if (CHECK(executor)) CHECK_INT(executor->most, limits[i][1]);
        CHECK_INT(aio_executor_close(executor), 0);
    }
    aio__os.cores = real;
}

/* A cancelled job: one that runs goes on, its late result is dropped; a queued one is skipped. */
struct thread_cancel { aio_task task; aio_executor *executor; aio_job_future *runs, *queued; };
SCENARIO(thread_cancel)
{
    AIO_BEGIN(thread_cancel);
    thread_gate_set(false);
    self->executor = aio_executor_open(.max_workers = 1);
    if (!self->executor) AIO_RAISE(errno);
    self->runs = aio_loop_run_in_executor(aio_get_running_loop(), self->executor, thread_wait_gate, self,
                                          .drop = thread_count_drop, .skip = thread_count_skip);
    if (!self->runs || aio_future_done(self->runs)) AIO_RAISE(seam.touched);
    thread_await_inside(1);
    self->queued = aio_loop_run_in_executor(aio_get_running_loop(), self->executor, thread_wait_gate, self,
                                            .drop = thread_count_drop, .skip = thread_count_skip);
    if (!self->queued || aio_future_done(self->queued)) AIO_RAISE(seam.touched);
    CHECK(aio_future_cancel(self->runs) && aio_future_cancel(self->queued));
    CHECK(!aio_future_cancel(self->queued));
    CHECK(aio_future_cancelled(self->runs) && aio_future_cancelled(self->queued));
    CHECK_INT(thread_gate_get(&thread_gate.ran), 1);
    AIO_FINALLY;
    thread_gate_set(true);
    aio_unref(self->runs);
    aio_unref(self->queued);
    ALWAYS(aio_executor_close(self->executor) == 0);
    CHECK_INT(thread_gate.ran, 1);
    CHECK_INT(thread_gate.dropped, 1);
    CHECK_INT(thread_gate.skipped, 1);
    AIO_END;
}

/* Whatever keeps a job from a thread, its argument is given back, once. */
static int thread_skips;
static void thread_skip_counts(void *arg) { thread_skips += *(int *)arg; }
struct thread_refused { aio_task task; int one; };
SCENARIO(thread_refused)
{
    AIO_BEGIN(thread_refused);
    self->one = 1;
    thread_skips = 0;
    AIO_AWAIT(aio_loop_shutdown_default_executor(aio_get_running_loop()));
    AIO_TRY {
        AIO_AWAIT(aio_to_thread(thread_wait_gate, &self->one, .skip = thread_skip_counts));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
    } AIO_END_TRY;
    ALWAYS(thread_skips == 1);
    AIO_TRY {
        AIO_AWAIT(aio_to_thread(NULL, &self->one, .skip = thread_skip_counts));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    ALWAYS(thread_skips == 2);
    AIO_END;
}

/* Cancelled between the thread's end and the loop's turn: the result is dropped, once. */
struct thread_cancel_late { aio_task task; aio_job_future *job; };
SCENARIO(thread_cancel_late)
{
    AIO_BEGIN(thread_cancel_late);
    thread_gate_set(false);
    thread_gate_set(true);
    thread_gate.ran = thread_gate.dropped = 0;
    self->job = aio_to_thread(thread_wait_gate, NULL, .drop = thread_count_drop);
    if (!self->job || aio_future_done(self->job)) AIO_RAISE(seam.touched);
    {
        aio_executor *executor = aio_get_running_loop()->executor;
        int state = AIO__JOB_QUEUED;
        while (state != AIO__JOB_POSTED) {
            pthread_mutex_lock(&executor->mutex);
            state = ((aio__job_future *)self->job)->job->state;
            pthread_mutex_unlock(&executor->mutex);
        }
    }
    CHECK(aio_future_cancel(self->job));
    AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(thread_gate.dropped, 1);
    AIO_FINALLY;
    aio_unref(self->job);
    AIO_END;
}

/* Nobody keeps the future: the job runs all the same; an error is reported. */
struct thread_forgotten { aio_task task; };
SCENARIO(thread_forgotten)
{
    AIO_BEGIN(thread_forgotten);
    aio_unref(aio_to_thread(thread_raise, (void *)(uintptr_t)"x"));
    expect_report("error of 'executor job' was never retrieved");
    AIO_AWAIT(aio_loop_shutdown_default_executor(aio_get_running_loop()));
    AIO_AWAIT(aio_sleep(0.01));
    AIO_END;
}

/* Shutdown waits for what is queued; after it there are no new jobs. */
struct thread_shutdown { aio_task task; aio_job_future *jobs[5]; int i; };
SCENARIO(thread_shutdown, .may = { AIO_ERUNTIME })
{
    AIO_BEGIN(thread_shutdown);
    for (self->i = 0; self->i < 5; self->i++) {
        self->jobs[self->i] = aio_to_thread(thread_twice, (void *)(intptr_t)self->i);
        if (!self->jobs[self->i]) AIO_RAISE(ENOMEM);
    }
    AIO_AWAIT(aio_loop_shutdown_default_executor(aio_get_running_loop()));
    AIO_AWAIT(aio_loop_shutdown_default_executor(aio_get_running_loop()));
    AIO_AWAIT(aio_sleep(0));
    for (self->i = 0; self->i < 5; self->i++) {
        CHECK(aio_future_done(self->jobs[self->i]));
        CHECK_INT((intptr_t)self->jobs[self->i]->result, 2 * self->i);
    }
    AIO_TRY {
        AIO_AWAIT(aio_to_thread(thread_twice, NULL));
        CHECK(false);
    } AIO_CATCH {
        CHECK_INT(aio_caught(self)->code, AIO_ERUNTIME);
    } AIO_END_TRY
    AIO_FINALLY;
    aio_unref_all(self->jobs, 5);
    AIO_END;
}

/* Shutdown without an executor is done at once, and final. */
struct thread_shutdown_unused { aio_task task; aio_executor *executor; };
SCENARIO(thread_shutdown_unused)
{
    AIO_BEGIN(thread_shutdown_unused);
    AIO_AWAIT(aio_loop_shutdown_default_executor(aio_get_running_loop()));
    self->executor = aio_executor_open();
    if (!self->executor) AIO_RAISE(errno);
    CHECK_INT(aio_loop_set_default_executor(aio_get_running_loop(), self->executor), AIO_EINVALIDSTATE);
    AIO_FINALLY;
    aio_executor_close(self->executor);
    AIO_END;
}

struct thread_own_default { aio_task task; aio_executor *executor; void *result; };
SCENARIO(thread_own_default)
{
    AIO_BEGIN(thread_own_default);
    self->executor = aio_executor_open(.max_workers = 1);
    if (!self->executor) AIO_RAISE(errno);
    CHECK_INT(aio_loop_set_default_executor(aio_get_running_loop(), NULL), EINVAL);
    CHECK_INT(aio_loop_set_default_executor(aio_get_running_loop(), self->executor), 0);
    AIO_AWAIT(self->result, aio_to_thread(thread_twice, (void *)3));
    CHECK_INT((intptr_t)self->result, 6);
    CHECK_PTR(aio_get_running_loop()->executor, self->executor);
    AIO_END;
}

static void *thread_close_own(void *executor) { return (void *)(intptr_t)aio_executor_close((aio_executor *)executor); }

struct thread_wrong_use { aio_task task; aio_executor *executor; void *result; int code; };
SCENARIO(thread_wrong_use, .may = { EINVAL })
{
    AIO_BEGIN(thread_wrong_use);
    CHECK(aio_executor_open(.max_workers = -1) == NULL && errno == EINVAL);
    CHECK_INT(aio_executor_close(NULL), 0);
    AIO_TRY {
        AIO_AWAIT(aio_to_thread(NULL, NULL));
    } AIO_CATCH {
        self->code = aio_caught(self)->code;
    } AIO_END_TRY
    CHECK_INT(self->code, EINVAL);
    self->executor = aio_executor_open();
    if (!self->executor) AIO_RAISE(errno);
    AIO_AWAIT(self->result,
              aio_loop_run_in_executor(aio_get_running_loop(), self->executor, thread_close_own, self->executor));
    CHECK_INT((intptr_t)self->result, EDEADLK);
    AIO_FINALLY;
    aio_executor_close(self->executor);
    AIO_END;
}

TEST(thread_no_loop)
{
    aio_job_future *job = aio_to_thread(thread_twice, NULL);
    CHECK(aio_future_done(job));
    CHECK_INT(aio_future_exception(job)->code, AIO_ENOLOOP);
    aio_unref(job);
}

/* The loop closes under its jobs: those that run are waited for, those in the queue are skipped. The one that runs
 * can only go on when the other one has been skipped. */
static void thread_skip_opens(void *arg)
{
    thread_count_skip(arg);
    thread_gate_set(true);
}

TEST(thread_loop_closes)
{
    aio_loop *loop = aio_new_event_loop();
    thread_gate_set(false);
    CHECK_INT(aio_loop_set_default_executor(loop, aio_executor_open(.max_workers = 1)), 0);
    aio_job_future *runs = aio_loop_run_in_executor(loop, NULL, thread_wait_gate, NULL, .drop = thread_count_drop);
    thread_await_inside(1);
    aio_job_future *queued = aio_loop_run_in_executor(loop, NULL, thread_wait_gate, NULL, .skip = thread_skip_opens);
    CHECK_INT(aio_loop_close(loop), 0);
    CHECK(aio_future_cancelled(runs) && aio_future_cancelled(queued));
    CHECK_INT(thread_gate.ran, 1);
    CHECK_INT(thread_gate.dropped, 1);
    CHECK_INT(thread_gate.skipped, 1);
    aio_unref(runs);
    aio_unref(queued);
    aio_loop_free(loop);
}

/* One executor for two loops, of which one closes first. */
TEST(thread_shared_executor)
{
    aio_loop *loops[2] = { aio_new_event_loop(), aio_new_event_loop() };
    aio_executor *executor = aio_executor_open(.max_workers = 2);
    thread_gate_set(false);
    aio_job_future *jobs[2];
    for (int i = 0; i < 2; i++)
        jobs[i] = aio_loop_run_in_executor(loops[i], executor, thread_wait_gate, NULL, .drop = thread_count_drop);
    thread_await_inside(2);
    aio_unref(jobs[0]);
    aio_loop_free(loops[0]);
    thread_gate_set(true);
    CHECK_INT(aio_loop_run_until_complete(loops[1], aio_ref(jobs[1]), NULL), 0);
    aio_unref(jobs[1]);
    CHECK_INT(aio_executor_close(executor), 0);
    CHECK_INT(thread_gate.dropped, 1);
    aio_loop_free(loops[1]);
}

/* A job whose thread has a loop of its own gives its executor another job while that is being closed. */
static void *thread_comes_late(void *arg)
{
    aio_executor *executor = (aio_executor *)arg;
    aio_loop *loop = aio_new_event_loop();
    for (bool closing = false; !closing;) {
        pthread_mutex_lock(&executor->mutex);
        closing = executor->closing;
        pthread_mutex_unlock(&executor->mutex);
    }
    aio_job_future *job = aio_loop_run_in_executor(loop, executor, thread_twice, NULL, .skip = thread_count_skip);
    bool refused = job && aio_future_done(job) && aio_future_exception(job)
        && aio_future_exception(job)->code == AIO_ERUNTIME
        && !strcmp(aio_future_exception(job)->message, "run in executor: the executor takes no more jobs");
    aio_unref(job);
    aio_loop_free(loop);
    SEAM_ADD(thread_gate.ran, refused);
    return NULL;
}

TEST(thread_executor_closes)
{
    aio_loop *loop = aio_new_event_loop();
    aio_executor *executor = aio_executor_open(.max_workers = 1);
    thread_gate_set(false);
    aio_job_future *job = aio_loop_run_in_executor(loop, executor, thread_comes_late, executor);
    CHECK_INT(aio_executor_close(executor), 0);
    CHECK_INT(thread_gate.ran, 1);
    CHECK_INT(thread_gate.skipped, 1);
    CHECK_INT(aio_loop_run_until_complete(loop, job, NULL), 0);
    aio_loop_free(loop);
}

/* A thread cannot be made: the error says so; with one thread alive, its turn comes later. */
static int thread_refuse(pthread_t *id, void *(*run)(void *), void *arg)
{
    (void)id, (void)run, (void)arg;
    return EAGAIN;
}

TEST(thread_shortage)
{
    int (*make)(pthread_t *, void *(*)(void *), void *) = aio__os.thread;
    aio_loop *loop = aio_new_event_loop();
    aio__os.thread = thread_refuse;
    aio_job_future *job = aio_loop_run_in_executor(loop, NULL, thread_twice, (void *)1);
    CHECK_INT(aio_future_exception(job)->code, EAGAIN);
    aio_unref(job);
    aio__os.thread = make;
    thread_gate_set(false);
    job = aio_loop_run_in_executor(loop, NULL, thread_wait_gate, NULL);
    thread_await_inside(1);
    aio__os.thread = thread_refuse;
    aio_job_future *next = aio_loop_run_in_executor(loop, NULL, thread_twice, (void *)4);
    aio__os.thread = make;
    CHECK(!aio_future_done(next));
    thread_gate_set(true);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_ref(next), NULL), 0);
    CHECK_INT((intptr_t)next->result, 8);
    aio_unref(next);
    aio_unref(job);
    aio_loop_free(loop);
}

/* ---- coroutines from other threads ---- */

struct thread_add { aio_task task; int result; int a, b; double delay; aio_loop *ran_in; bool ended; };
static AIO_CORO(thread_add)
{
    AIO_BEGIN(thread_add);
    self->ran_in = aio_get_running_loop();
    if (self->delay < 0) AIO_AWAIT(aio_future_create()); /* for ever */
    AIO_AWAIT(aio_sleep(self->delay));
    if (self->a < 0) AIO_RAISE(ERANGE, "%d is negative", self->a);
    AIO_RETURN(self->a + self->b);
    AIO_FINALLY;
    self->ended = true;
    AIO_END;
}

static struct { aio_loop *loop; int code, result, message_ok, cancelled, early; aio_loop *ran_in; } thread_seen;

/* Out of memory, in torture: there is no future. */
static void *thread_ask(void *arg)
{
    aio_concurrent_future *sum = aio_run_coroutine_threadsafe(thread_seen.loop, AIO_CALL(thread_add, .a = 40, .b = 2));
    aio_concurrent_future *bad = aio_run_coroutine_threadsafe(thread_seen.loop, AIO_CALL(thread_add, .a = -7));
    aio_concurrent_future *slow = aio_run_coroutine_threadsafe(thread_seen.loop, AIO_CALL(thread_add, .delay = -1));
    if (sum && aio_concurrent_wait(sum, AIO_UNLIMITED) == 0) {
        thread_seen.code = aio_concurrent_exception(sum) ? aio_concurrent_exception(sum)->code : 0;
        thread_seen.result = aio_concurrent_result(sum, struct thread_add);
        thread_seen.ran_in = ((const struct thread_add *)aio__concurrent_frame(sum, sizeof(struct thread_add)))->ran_in;
    }
    if (bad && aio_concurrent_wait(bad, AIO_UNLIMITED) == 0) {
        const aio_exception *error = aio_concurrent_exception(bad);
        thread_seen.message_ok = error && error->code == ERANGE && strcmp(error->message, "-7 is negative") == 0 &&
                                 error->traceback_count == 1;
    }
    if (slow) {
        thread_seen.early = aio_concurrent_wait(slow, 0);
        bool asked = aio_concurrent_cancel(slow);
        aio_concurrent_cancel(slow); /* whether this one is too late is a race with the loop */
        aio_concurrent_wait(slow, AIO_UNLIMITED);
        thread_seen.cancelled = asked && aio_concurrent_done(slow) && aio_concurrent_cancelled(slow) &&
                                !aio_concurrent_cancel(slow);
    }
    aio_concurrent_release(sum);
    aio_concurrent_release(bad);
    aio_concurrent_release(slow);
    return arg;
}

struct thread_coroutine { aio_task task; };
SCENARIO(thread_coroutine)
{
    AIO_BEGIN(thread_coroutine);
    memset(&thread_seen, 0, sizeof thread_seen);
    thread_seen.loop = aio_get_running_loop();
    AIO_AWAIT(aio_to_thread(thread_ask, NULL));
    CHECK_INT(thread_seen.code, 0);
    CHECK_INT(thread_seen.result, 42);
    CHECK_PTR(thread_seen.ran_in, aio_get_running_loop());
    CHECK(thread_seen.message_ok);
    CHECK_INT(thread_seen.early, AIO_ETIMEOUT);
    CHECK(thread_seen.cancelled);
    AIO_END;
}

/* Waiting in the loop's own thread would never end: it is refused. */
struct thread_own { aio_task task; aio_concurrent_future *sum; };
SCENARIO(thread_own)
{
    AIO_BEGIN(thread_own);
    self->sum = aio_run_coroutine_threadsafe(aio_get_running_loop(), AIO_CALL(thread_add, .a = 1, .b = 2));
    if (!self->sum) AIO_RAISE(errno);
    CHECK_INT(aio_concurrent_wait(self->sum, 1), EDEADLK);
    CHECK_INT(aio_concurrent_wait(self->sum, NAN), EINVAL);
    CHECK(!aio_concurrent_done(self->sum) && !aio_concurrent_exception(self->sum));
    CHECK_INT(aio_concurrent_result(self->sum, struct thread_add), 0);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(aio_concurrent_wait(self->sum, 0), 0);
    CHECK_INT(aio_concurrent_result(self->sum, struct thread_add), 3);
    CHECK_ABORTS("aio_concurrent_result of another type than the coroutine's",
                 aio__concurrent_frame(self->sum, sizeof(struct thread_add) + 1));
    CHECK_ABORTS("aio_concurrent_result of another type than the coroutine's", aio__concurrent_frame(NULL, 1));
    AIO_FINALLY;
    aio_concurrent_release(self->sum);
    AIO_END;
}

/* One that ends in an eager first step is done, too; and a name that a factory gives, and has no memory, is left out. */
struct thread_ends { aio_task task; int result; };
static AIO_CORO(thread_ends)
{
    AIO_BEGIN(thread_ends);
    AIO_RETURN(7);
    AIO_END;
}

static void thread_names(aio_loop *loop, aio_task *task, aio_task_options *chosen, void *arg)
{
    (void)loop, (void)task;
    chosen->name = "a name that its factory gives";
    chosen->eager_start = *(const bool *)arg;
}

struct thread_eager { aio_task task; bool eager; aio_concurrent_future *ends; int i; };
SCENARIO(thread_eager)
{
    AIO_BEGIN(thread_eager);
    do {
        aio_loop_set_task_factory(aio_get_running_loop(), thread_names, &self->eager);
        self->ends = aio_run_coroutine_threadsafe(aio_get_running_loop(), AIO_CALL(thread_ends));
        if (!self->ends) AIO_RAISE(errno);
        for (self->i = 0; self->i < 9 && !aio_concurrent_done(self->ends); self->i++) AIO_AWAIT(aio_sleep(1));
        ALWAYS(aio_concurrent_done(self->ends));
        CHECK_INT(aio_concurrent_result(self->ends, struct thread_ends), 7);
        aio_concurrent_release(self->ends);
        self->ends = NULL;
    } while ((self->eager = !self->eager));
    AIO_FINALLY;
    aio_concurrent_release(self->ends);
    AIO_END;
}

/* From one running loop to another: the coroutine was made under the first, and runs in the second. */
static struct { aio_loop *from, *to; aio_concurrent_future *sum; } thread_pair;

struct thread_send { aio_task task; };
static AIO_CORO(thread_send)
{
    AIO_BEGIN(thread_send);
    thread_pair.sum = aio_run_coroutine_threadsafe(thread_pair.to, AIO_CALL(thread_add, .a = 5, .b = 6));
    AIO_END;
}

TEST(thread_two_loops)
{
    thread_pair.from = aio_new_event_loop();
    thread_pair.to = aio_new_event_loop();
    CHECK_INT(aio_loop_run_until_complete(thread_pair.from, AIO_CALL(thread_send), NULL), 0);
    CHECK(thread_pair.sum && !aio_concurrent_done(thread_pair.sum));
    aio_loop_free(thread_pair.from);
    CHECK_INT(aio_loop_run_until_complete(thread_pair.to, AIO_CALL(thread_add, .delay = 1), NULL), 0);
    CHECK_INT(aio_concurrent_wait(thread_pair.sum, 0), 0);
    CHECK_INT(aio_concurrent_result(thread_pair.sum, struct thread_add), 11);
    CHECK_PTR(((const struct thread_add *)aio__concurrent_frame(thread_pair.sum, sizeof(struct thread_add)))->ran_in,
              thread_pair.to);
    aio_concurrent_release(thread_pair.sum);
    aio_loop_free(thread_pair.to);
}

/* With aio_wait_for around it, and once more; what depends on the loop it was made in is refused. */
struct thread_small { aio_task task; int result; };
static AIO_CORO(thread_small)
{
    AIO_BEGIN(thread_small);
    AIO_AWAIT(aio_sleep(0.5));
    AIO_RETURN(9);
    AIO_END;
}

struct thread_moves { aio_task task; aio_loop *to; aio_concurrent_future *sums[3]; aio_queue *queue; bool stay;
                      struct thread_ends *ends; };
static AIO_CORO(thread_moves)
{
    AIO_BEGIN(thread_moves);
    self->sums[0] = aio_run_coroutine_threadsafe(self->to, aio_wait_for(AIO_CALL(thread_add, .a = 5, .b = 6), 2));
    if (!self->sums[0]) AIO_RAISE(errno);
    self->sums[1] = aio_run_coroutine_threadsafe(self->to, aio_wait_for(aio_wait_for(AIO_CALL(thread_small), 2), 3));
    if (!self->sums[1]) AIO_RAISE(errno);
    self->sums[2] = aio_run_coroutine_threadsafe(self->to, aio_wait_for(AIO_CALL(thread_small), 0.1));
    if (!self->sums[2]) AIO_RAISE(errno);
    self->queue = aio_queue_create(int);
    if (!self->queue) AIO_RAISE(ENOMEM);
    CHECK(!aio_run_coroutine_threadsafe(self->to, aio_queue_get(self->queue, int)));
    CHECK_INT(errno, EINVAL);
    CHECK(!aio_run_coroutine_threadsafe(self->to, aio_wait_for(aio_queue_get(self->queue, int), 1)));
    CHECK_INT(errno, EINVAL);
    self->ends = aio_create_task(AIO_CALL(thread_ends));
    if (!self->ends) AIO_RAISE(ENOMEM);
    CHECK(!aio_run_coroutine_threadsafe(self->to, aio_wait_for((struct thread_ends *)aio_ref(self->ends), 1)));
    CHECK_INT(errno, EINVAL);
    CHECK(!aio_future_cancelled(self->ends));
    AIO_AWAIT(aio_sleep(0));
    AIO_FINALLY;
    aio_unref(self->ends);
    if (self->queue) aio_queue_free(self->queue);
    for (int i = 0; i < 3 && !self->stay; i++) aio_concurrent_release(self->sums[i]);
    AIO_END;
}

TEST(thread_moves_all)
{
    aio_loop *from = aio_new_event_loop(), *to = aio_new_event_loop();
    struct thread_moves *moves = aio_loop_create_task(from, AIO_CALL(thread_moves, .to = to, .stay = true));
    CHECK_INT(aio_loop_run_until_complete(from, aio_ref(moves), NULL), 0);
    aio_concurrent_future *sums[3];
    memcpy(sums, moves->sums, sizeof sums);
    aio_unref(moves);
    aio_loop_free(from);
    CHECK_INT(aio_loop_run_until_complete(to, AIO_CALL(thread_add, .delay = 1), NULL), 0);
    for (int i = 0; i < 3; i++) CHECK_INT(aio_concurrent_wait(sums[i], 0), 0);
    CHECK_INT(aio_concurrent_result(sums[0], struct thread_add), 11);
    CHECK_INT(aio_concurrent_result(sums[1], struct thread_small), 9);
    CHECK_INT(aio_concurrent_exception(sums[2])->code, AIO_ETIMEOUT);
    for (int i = 0; i < 3; i++) aio_concurrent_release(sums[i]);
    aio_loop_free(to);
}

/* None starts before the loop goes. */
struct thread_moved { aio_task task; aio_loop *to; };
SCENARIO(thread_moved, .skip = KIND_SLICE | KIND_CANCEL /* it suspends only at its end */)
{
    AIO_BEGIN(thread_moved);
    self->to = aio_new_event_loop();
    if (!self->to) AIO_RAISE(errno);
    AIO_AWAIT(AIO_CALL(thread_moves, .to = self->to));
    AIO_FINALLY;
    aio_loop_free(self->to);
    AIO_END;
}

/* What was looked at too early stays zero, also of a big coroutine. */
struct thread_big { aio_task task; int result; char room[5000]; };
static AIO_CORO(thread_big)
{
    AIO_BEGIN(thread_big);
    AIO_RETURN(7);
    AIO_END;
}

/* Whose clock is ahead of ours: what it says is believed. */
static int thread_wait_is_over(pthread_cond_t *condition, pthread_mutex_t *mutex, int64_t nanoseconds)
{
    return nanoseconds < 0 ? seam_cond_wait(condition, mutex, nanoseconds) : ETIMEDOUT;
}

TEST(thread_result_early)
{
    aio_loop *loop = aio_new_event_loop();
    aio_concurrent_future *big = aio_run_coroutine_threadsafe(loop, AIO_CALL(thread_big));
    const int *early = &aio_concurrent_result(big, struct thread_big);
    CHECK_INT(*early, 0);
    CHECK_INT(aio_concurrent_wait(big, AIO_NOW), AIO_ETIMEOUT);
    aio__os.cond_wait = thread_wait_is_over;
    CHECK_INT(aio_concurrent_wait(big, 10), AIO_ETIMEOUT);
    aio__os.cond_wait = seam_cond_wait;
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(thread_add, .delay = 1), NULL), 0);
    CHECK_INT(*early, 0);
    CHECK_INT(aio_concurrent_result(big, struct thread_big), 7);
    aio_concurrent_release(big);
    aio_loop_free(loop);
}

/* The loop closes before the coroutine has started, or ended. */
static void thread_silent(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)loop, (void)exception;
    ++*(int *)arg;
    CHECK(strstr(message, "destroyed but it is pending"));
}

TEST(thread_loop_closes_under_coroutine)
{
    int reports = 0;
    aio_loop *loop = aio_new_event_loop();
    aio_loop_set_exception_handler(loop, thread_silent, &reports);
    aio_concurrent_future *begun = aio_run_coroutine_threadsafe(loop, AIO_CALL(thread_add, .delay = 100));
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(thread_add, .delay = 1), NULL), 0);
    aio_concurrent_future *fresh = aio_run_coroutine_threadsafe(loop, AIO_CALL(thread_add, .delay = 100));
    aio_concurrent_cancel(fresh);
    CHECK_INT(aio_loop_close(loop), 0);
    CHECK_INT(reports, 1);
    CHECK_INT(aio_concurrent_wait(begun, 0), 0);
    CHECK_INT(aio_concurrent_exception(begun)->code, AIO_ELOOPCLOSED);
    CHECK_INT(aio_concurrent_exception(fresh)->code, AIO_ELOOPCLOSED);
    CHECK(!aio_concurrent_cancel(begun));
    CHECK(!aio_run_coroutine_threadsafe(loop, AIO_CALL(thread_add)) && errno == AIO_ELOOPCLOSED);
    CHECK(!aio_run_coroutine_threadsafe(NULL, AIO_CALL(thread_add)) && errno == EINVAL);
    aio_concurrent_release(begun);
    aio_concurrent_release(fresh);
    aio_loop_free(loop);
}

TEST(thread_concurrent_null)
{
    CHECK_INT(aio_concurrent_wait(NULL, 1), EINVAL);
    CHECK(!aio_concurrent_done(NULL) && !aio_concurrent_cancelled(NULL) && !aio_concurrent_cancel(NULL));
    CHECK_PTR(aio_concurrent_exception(NULL), NULL);
    aio_concurrent_release(NULL);
}

/* Many threads ask one loop at once. */
enum { THREAD_ASKERS = 4, THREAD_ASKS = 50 };
static int thread_total;

static void *thread_ask_often(void *arg)
{
    for (int i = 0; i < THREAD_ASKS; i++) {
        aio_concurrent_future *sum = aio_run_coroutine_threadsafe((aio_loop *)arg, AIO_CALL(thread_add, .a = 1));
        if (i % 3 == 0) aio_concurrent_cancel(sum);
        aio_concurrent_wait(sum, AIO_UNLIMITED);
        SEAM_ADD(thread_total, aio_concurrent_cancelled(sum) || aio_concurrent_result(sum, struct thread_add) == 1);
        aio_concurrent_release(sum);
    }
    return NULL;
}

struct thread_many { aio_task task; aio_job_future *jobs[THREAD_ASKERS]; int i; };
SCENARIO(thread_many, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL) /* the other scenarios torture the same paths */
{
    AIO_BEGIN(thread_many);
    thread_total = 0;
    for (self->i = 0; self->i < THREAD_ASKERS; self->i++)
        self->jobs[self->i] = aio_to_thread(thread_ask_often, aio_get_running_loop());
    AIO_AWAIT(aio_gather(self->jobs, THREAD_ASKERS));
    CHECK_INT(thread_total, THREAD_ASKERS * THREAD_ASKS);
    AIO_FINALLY;
    aio_unref_all(self->jobs, THREAD_ASKERS);
    AIO_END;
}

/* What keeps a mutex or a condition from being made is told as it is: they say it, and do not touch errno. */
static int thread_no_mutex(pthread_mutex_t *mutex)
{
    (void)mutex;
    errno = 0;
    return EAGAIN;
}

static int thread_no_cond(pthread_cond_t *cond)
{
    (void)cond;
    errno = 0;
    return EAGAIN;
}

TEST(thread_executor_without_mutex)
{
    for (int i = 0; i < 2; i++) {
        if (i) aio__os.cond_init = thread_no_cond;
        else aio__os.mutex_init = thread_no_mutex;
        CHECK(aio_executor_open() == NULL && errno == EAGAIN);
        CHECK(aio_thread_queue_create(int) == NULL && errno == EAGAIN);
        aio__os.mutex_init = seam_mutex_init;
        aio__os.cond_init = seam_cond_init;
    }
}
