/* Locks, semaphores, events, conditions, barriers: turns, wake-ups that are handed on, misuse, and their end. */

static char lock_log[64];
static void lock_say(int c)
{
    size_t n = strlen(lock_log);
    if (n + 1 < sizeof lock_log) lock_log[n] = (char)c, lock_log[n + 1] = 0;
}

/* What a crew's members say on an error: ! cancelled, B broken barrier, R AIO_ERUNTIME; others are raised. */
static bool lock_said(const aio_exception *error)
{
    int c = error->code == AIO_ECANCELLED ? '!' : error->code == AIO_EBROKENBARRIER ? 'B' :
            error->code == AIO_ERUNTIME ? 'R' : 0;
    if (c) lock_say(c);
    return c != 0;
}

enum { LOCK_CREW = 6 };
static bool lock_gone; /* the scenario has freed what it destroyed */
#define LOCK_SPAWN(i, call) do { self->t[i] = (aio_task *)aio_create_task(call); REQUIRE(self->t[i]); } while (0)

static void lock_dismiss(aio_task **tasks)
{
    for (int i = 0; i < LOCK_CREW; i++) aio_future_cancel(tasks[i]);
    aio_unref_all(tasks, LOCK_CREW);
}

/* Each of these begins: the log is empty, and `self` has a crew. At its end the crew is sent away. */
#define LOCK_SCENARIO(name, members) \
    struct name { aio_task task; aio_task *t[LOCK_CREW]; int i; members }; \
    SCENARIO(name)

/* Has the lock for `turns` iterations. */
struct locker { aio_task task; aio_lock *lock; int name, turns; };
static AIO_CORO(locker)
{
    AIO_BEGIN(locker);
    AIO_TRY {
        AIO_ASYNC_WITH(aio_lock_acquire(self->lock), aio_lock_release(self->lock)) {
            lock_say(self->name);
            while (self->turns-- > 0) AIO_AWAIT(aio_sleep(0));
        }
    } AIO_CATCH_ALL {
        if (!lock_said(aio_caught(self))) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}

LOCK_SCENARIO(lock_in_turn, aio_lock lock;)
{
    AIO_BEGIN(lock_in_turn);
    lock_log[0] = 0;
    for (self->i = 0; self->i < 5; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(locker, .lock = &self->lock, .name = 'a' + self->i, .turns = self->i % 3));
    for (self->i = 0; self->i < 5; self->i++) AIO_AWAIT((aio_task *)aio_ref(self->t[self->i]));
    CHECK_STR(lock_log, "abcde");
    CHECK(!aio_lock_locked(&self->lock));
    CHECK_PTR(self->lock.queue.first, NULL);
    AIO_FINALLY;
    lock_dismiss(self->t);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0));
    ALWAYS(!aio_lock_locked(&self->lock) && !self->lock.queue.first); /* whatever went wrong, it was handed on */
    AIO_END;
}

/* Who releases and acquires again stands behind the one who waits. */
LOCK_SCENARIO(lock_no_overtaking, aio_lock lock;)
{
    AIO_BEGIN(lock_no_overtaking);
    lock_log[0] = 0;
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    LOCK_SPAWN(0, AIO_CALL(locker, .lock = &self->lock, .name = 'a'));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_lock_release(&self->lock), 0);
    CHECK(!aio_lock_locked(&self->lock));
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    lock_say('m');
    CHECK_STR(lock_log, "am");
    CHECK_INT(aio_lock_release(&self->lock), 0);
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* Cancelled in the middle of the line; and after it was called, when the next one must get the lock. */
LOCK_SCENARIO(lock_cancelled, aio_lock lock;)
{
    AIO_BEGIN(lock_cancelled);
    lock_log[0] = 0;
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    for (self->i = 0; self->i < 4; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(locker, .lock = &self->lock, .name = 'a' + self->i));
    AIO_AWAIT(aio_sleep(0));
    aio_task_cancel(self->t[1]);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!");
    CHECK_INT(aio_lock_release(&self->lock), 0);
    aio_task_cancel(self->t[0]);
    for (self->i = 0; self->i < 4; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!!cd");
    CHECK(!aio_lock_locked(&self->lock));
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* When all who wait were cancelled, nobody is first: the lock may be taken before they have left. */
LOCK_SCENARIO(lock_all_cancelled, aio_lock lock;)
{
    AIO_BEGIN(lock_all_cancelled);
    lock_log[0] = 0;
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    for (self->i = 0; self->i < 2; self->i++) LOCK_SPAWN(self->i, AIO_CALL(locker, .lock = &self->lock, .name = 'a'));
    AIO_AWAIT(aio_sleep(0));
    aio_task_cancel(self->t[0]);
    aio_task_cancel(self->t[1]);
    CHECK_INT(aio_lock_release(&self->lock), 0);
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    CHECK_STR(lock_log, "");
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!!");
    CHECK(aio_lock_locked(&self->lock));
    CHECK_INT(aio_lock_release(&self->lock), 0);
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* A cancel that made a waiter leave is not taken back by uncancel(); one of the task itself reaches its next await. */
LOCK_SCENARIO(lock_uncancelled, aio_lock lock; aio_event event;)
{
    AIO_BEGIN(lock_uncancelled);
    lock_log[0] = 0;
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    LOCK_SPAWN(0, AIO_CALL(locker, .lock = &self->lock, .name = 'a'));
    AIO_AWAIT(aio_sleep(0));
    aio_task_cancel(self->t[0]);
    CHECK_INT(aio_task_uncancel(self->t[0]), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!");
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            aio_task_cancel(aio_current_task());
            if (self->i) AIO_AWAIT(aio_event_wait(&self->event));
            else AIO_AWAIT(aio_lock_acquire(&self->lock));
            CHECK_STR("it must not wait", "an error");
        } AIO_CATCH_ALL {
            CHECK_INT(aio_caught(self)->code, AIO_ECANCELLED);
            if (now.cancelled || aio_caught(self)->code != AIO_ECANCELLED) AIO_RERAISE();
        } AIO_END_TRY;
    }
    CHECK_PTR(self->lock.queue.first, NULL);
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

LOCK_SCENARIO(lock_misuse, aio_lock lock;)
{
    AIO_BEGIN(lock_misuse);
    CHECK_INT(aio_lock_release(&self->lock), AIO_ERUNTIME);
    CHECK_INT(aio_lock_release(NULL), EINVAL);
    CHECK_INT(aio_lock_destroy(NULL), EINVAL);
    CHECK(!aio_lock_locked(NULL));
    AIO_TRY {
        AIO_AWAIT(aio_lock_acquire(NULL));
        CHECK_STR("NULL was locked", "an error");
    } AIO_CATCH { CHECK_INT(aio_caught(self)->code, EINVAL); } AIO_END_TRY;
    AIO_TRY {
        AIO_ASYNC_WITH(aio_lock_acquire(&self->lock), aio_lock_release(&self->lock)) {
            CHECK_INT(aio_lock_release(&self->lock), 0);
        }
        CHECK_STR("released twice", "an error");
    } AIO_CATCH { CHECK_INT(aio_caught(self)->code, AIO_ERUNTIME); } AIO_END_TRY;
    AIO_END;
}

/* What needs not wait takes no memory: the loop's own future stands for it. */
LOCK_SCENARIO(lock_without_memory, aio_lock lock; aio_semaphore semaphore; aio_event event; aio_future *f[4];)
{
    AIO_BEGIN(lock_without_memory);
    aio_semaphore_init(&self->semaphore, 2);
    aio_event_set(&self->event);
    self->f[0] = aio_lock_acquire(&self->lock);
    self->f[1] = aio_semaphore_acquire(&self->semaphore);
    self->f[2] = aio_semaphore_acquire(&self->semaphore);
    self->f[3] = aio_event_wait(&self->event);
    for (self->i = 0; self->i < 4; self->i++) CHECK_PTR(self->f[self->i], &aio_get_running_loop()->done);
    AIO_FINALLY;
    aio_unref_all(self->f, 4);
    AIO_END;
}

/* Destroyed while one was called and others wait: each gets a named error, and nobody touches it again. */
LOCK_SCENARIO(lock_destroyed, aio_lock *lock;)
{
    AIO_BEGIN(lock_destroyed);
    lock_log[0] = 0;
    self->lock = (aio_lock *)calloc(1, sizeof *self->lock);
    AIO_AWAIT(aio_lock_acquire(self->lock));
    for (self->i = 0; self->i < 4; self->i++) LOCK_SPAWN(self->i, AIO_CALL(locker, .lock = self->lock, .name = 'a'));
    AIO_AWAIT(aio_sleep(0));
    aio_lock_release(self->lock);
    aio_task_cancel(self->t[2]);
    CHECK_INT(aio_lock_destroy(self->lock), 0);
    free(self->lock);
    self->lock = NULL;
    for (self->i = 0; self->i < 2; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_INT(strlen(lock_log), 4);
    CHECK(strchr(lock_log, '!') && !strchr(lock_log, 'a'));
    AIO_FINALLY;
    lock_dismiss(self->t);
    if (self->lock) aio_lock_destroy(self->lock);
    free(self->lock);
    AIO_END;
}

/* What waited in a loop that closed is forgotten; an event and a lock serve the next loop. */
static aio_lock lock_static;
static aio_event lock_static_event;
struct lock_waits { aio_task task; bool event; };
static AIO_CORO(lock_waits)
{
    AIO_BEGIN(lock_waits);
    if (self->event) AIO_AWAIT(aio_event_wait(&lock_static_event));
    else AIO_AWAIT(aio_lock_acquire(&lock_static));
    AIO_END;
}
struct lock_short { aio_task task; };
static AIO_CORO(lock_short)
{
    AIO_BEGIN(lock_short);
    AIO_AWAIT(aio_lock_acquire(&lock_static));
    AIO_AWAIT(aio_sleep(0));
    AIO_END;
}
struct lock_foreign { aio_task task; };
static AIO_CORO(lock_foreign)
{
    AIO_BEGIN(lock_foreign);
    AIO_TRY {
        AIO_AWAIT(aio_lock_acquire(&lock_static));
        CHECK_STR("a lock of another loop", "an error");
    } AIO_CATCH { CHECK_INT(aio_caught(self)->code, AIO_EWRONGLOOP); } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_event_wait(&lock_static_event));
        CHECK_STR("an event of another loop", "an error");
    } AIO_CATCH { CHECK_INT(aio_caught(self)->code, AIO_EWRONGLOOP); } AIO_END_TRY;
    AIO_END;
}
static void lock_no_report(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)loop, (void)exception, (void)message, (void)arg;
}
TEST(lock_loops)
{
    aio_loop *loop = aio_new_event_loop(), *other = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_loop_set_exception_handler(loop, lock_no_report, NULL);
    aio_task *waits[] = { (aio_task *)AIO_CALL(lock_short), (aio_task *)AIO_CALL(lock_waits),
                          (aio_task *)AIO_CALL(lock_waits, .event = true) };
    for (int i = 0; i < 3; i++) waits[i] = (aio_task *)aio_create_task(waits[i]);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_ref(waits[0]), NULL), 0);
    CHECK(lock_static.queue.first && lock_static_event.waiting);
    aio_set_event_loop(other);
    CHECK_INT(aio_loop_run_until_complete(other, AIO_CALL(lock_foreign), NULL), 0);
    aio_unref_all(waits, 3);
    aio_loop_free(loop);
    CHECK(!lock_static.queue.first && !lock_static.queue.loop && !lock_static_event.waiting);
    CHECK_INT(aio_event_set(&lock_static_event), 0);
    CHECK_INT(aio_lock_release(&lock_static), 0);
    CHECK_INT(aio_loop_run_until_complete(other, AIO_CALL(lock_waits), NULL), 0);
    CHECK_INT(aio_loop_run_until_complete(other, AIO_CALL(lock_waits, .event = true), NULL), 0);
    CHECK(aio_lock_locked(&lock_static));
    aio_loop_free(other);
    memset(&lock_static, 0, sizeof lock_static);
    memset(&lock_static_event, 0, sizeof lock_static_event);
}

TEST(lock_without_loop)
{
    aio_lock lock = { 0 };
    aio_event event = { 0 };
    aio_semaphore semaphore = AIO_SEMAPHORE(1);
    aio_condition condition = { 0 };
    aio_barrier barrier = AIO_BARRIER(2);
    void *failed[] = { aio_lock_acquire(&lock), aio_event_wait(&event), aio_semaphore_acquire(&semaphore),
                       aio_condition_acquire(&condition), aio_condition_wait(&condition), aio_barrier_wait(&barrier) };
    for (int i = 0; i < 6; i++) CHECK_INT(aio_future_exception(failed[i])->code, AIO_ENOLOOP);
    aio_unref_all(failed, 6);
    CHECK(!aio_lock_locked(&lock));
    CHECK_INT(semaphore.value, 1);
}

/* From another thread, while the loop runs: refused, and nothing has changed. */
struct lock_condition_elsewhere { aio_task task; aio_condition condition; aio_lock *lock; };
static AIO_CORO(lock_condition_elsewhere)
{
    AIO_BEGIN(lock_condition_elsewhere);
    self->condition.lock = self->lock;
    AIO_AWAIT(aio_condition_wait(&self->condition));
    AIO_END;
}
struct lock_other_thread { aio_task task; aio_task *t[2]; aio_lock lock; aio_event event; };
static void *lock_thread(void *arg)
{
    struct lock_other_thread *self = (struct lock_other_thread *)arg;
    CHECK_INT(aio_lock_release(&self->lock), AIO_EWRONGTHREAD);
    CHECK_INT(aio_lock_destroy(&self->lock), AIO_EWRONGTHREAD);
    CHECK_INT(aio_event_set(&self->event), AIO_EWRONGTHREAD);
    CHECK_INT(aio_event_destroy(&self->event), AIO_EWRONGTHREAD);
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    struct lock_condition_elsewhere *waits = AIO_CALL(lock_condition_elsewhere, .lock = &self->lock);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_ref(waits), NULL), AIO_EWRONGTHREAD);
    CHECK_STR(aio_future_exception(waits)->message, "aio_condition_wait: called from another thread than the loop's");
    aio_unref(waits);
    aio_loop_free(loop);
    return NULL;
}
struct lock_event_waiter { aio_task task; aio_event *event; int name; };
static AIO_CORO(lock_event_waiter)
{
    AIO_BEGIN(lock_event_waiter);
    AIO_TRY {
        AIO_AWAIT(aio_event_wait(self->event));
        lock_say(self->name);
    } AIO_CATCH_ALL {
        if (!lock_said(aio_caught(self))) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}
static AIO_CORO(lock_other_thread)
{
    pthread_t thread;
    AIO_BEGIN(lock_other_thread);
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    self->t[0] = (aio_task *)aio_create_task(AIO_CALL(locker, .lock = &self->lock));
    self->t[1] = (aio_task *)aio_create_task(AIO_CALL(lock_event_waiter, .event = &self->event));
    AIO_AWAIT(aio_sleep(0));
    pthread_create(&thread, NULL, lock_thread, self);
    pthread_join(thread, NULL);
    CHECK(aio_lock_locked(&self->lock) && !aio_event_is_set(&self->event));
    CHECK_INT(aio_lock_release(&self->lock), 0);
    CHECK_INT(aio_event_set(&self->event), 0);
    AIO_AWAIT(self->t[0]);
    AIO_AWAIT(self->t[1]);
    AIO_END;
}
TEST(lock_wrong_thread)
{
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(lock_other_thread), NULL), 0);
    aio_loop_free(loop);
}

/* ---- events ---- */

/* All present waiters go on, in order, even if it is cleared at once; those who come later wait. */
LOCK_SCENARIO(event_set_and_clear, aio_event event;)
{
    AIO_BEGIN(event_set_and_clear);
    lock_log[0] = 0;
    CHECK(!aio_event_is_set(&self->event));
    for (self->i = 0; self->i < 3; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_event_waiter, .event = &self->event, .name = 'a' + self->i));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_event_set(&self->event), 0);
    CHECK(aio_event_is_set(&self->event));
    aio_event_clear(&self->event);
    LOCK_SPAWN(3, AIO_CALL(lock_event_waiter, .event = &self->event, .name = 'd'));
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "abc");
    CHECK_INT(aio_event_set(&self->event), 0);
    CHECK_INT(aio_event_set(&self->event), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "abcd");
    AIO_AWAIT(aio_event_wait(&self->event));
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* All who wait share a future, which goes with the last of them; one that is cancelled only leaves. */
LOCK_SCENARIO(event_shared, aio_event event; aio_future *f[2];)
{
    AIO_BEGIN(event_shared);
    lock_log[0] = 0;
    self->f[0] = aio_event_wait(&self->event);
    self->f[1] = aio_event_wait(&self->event);
    REQUIRE(self->f[0] && self->f[1]);
    CHECK_PTR(self->f[0], self->f[1]);
    CHECK(!aio_future_cancel(self->f[0]));
    for (self->i = 0; self->i < 3; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_event_waiter, .event = &self->event, .name = 'a' + self->i));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(self->f[0]->refs, 5);
    aio_task_cancel(self->t[1]);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!");
    aio_unref_all(self->f, 2);
    CHECK(self->event.waiting);
    aio_task_cancel(self->t[0]);
    aio_task_cancel(self->t[2]);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!!!");
    CHECK_PTR(self->event.waiting, NULL);
    AIO_FINALLY;
    aio_unref_all(self->f, 2);
    lock_dismiss(self->t);
    AIO_END;
}

/* Who keeps the shared future has one of its own for it: cancelling that leaves the others alone. */
LOCK_SCENARIO(event_kept, aio_event event; aio_future *f[4]; aio_future *set;)
{
    AIO_BEGIN(event_kept);
    lock_log[0] = 0;
    for (self->i = 0; self->i < 4; self->i++) {
        self->f[self->i] = aio_ensure_future(aio_event_wait(&self->event));
        REQUIRE(self->f[self->i]);
    }
    self->set = aio_event_wait(&self->event);
    REQUIRE(self->set);
    LOCK_SPAWN(0, AIO_CALL(lock_event_waiter, .event = &self->event, .name = 'a'));
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_future_cancel(self->f[0]) && aio_future_cancelled(self->f[0]));
    CHECK(!aio_future_done(self->f[1]));
    CHECK_INT(aio_event_set(&self->event), 0);
    CHECK(aio_future_cancel(self->f[1])); /* the set has not reached it yet */
    aio_unref_all(self->f + 2, 1);
    self->set = aio_ensure_future(self->set); /* what is done already is no less so */
    CHECK(aio_future_done(self->set));
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_future_done(self->f[3]) && !aio_future_cancelled(self->f[3]));
    CHECK_STR(lock_log, "a");
    aio_event_clear(&self->event);
    self->f[2] = aio_ensure_future(aio_event_wait(&self->event));
    REQUIRE(self->f[2]);
    CHECK_INT(aio_event_destroy(&self->event), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_future_exception(self->f[2])->code, AIO_ERUNTIME);
    AIO_FINALLY;
    aio_unref_all(self->f, 4);
    aio_unref(self->set);
    lock_dismiss(self->t);
    AIO_END;
}

LOCK_SCENARIO(event_destroyed, aio_event *event;)
{
    AIO_BEGIN(event_destroyed);
    lock_log[0] = 0;
    self->event = (aio_event *)calloc(1, sizeof *self->event);
    for (self->i = 0; self->i < 3; self->i++) LOCK_SPAWN(self->i, AIO_CALL(lock_event_waiter, .event = self->event));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_event_destroy(self->event), 0);
    CHECK_INT(aio_event_destroy(self->event), 0);
    free(self->event);
    self->event = NULL;
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "RRR");
    CHECK_INT(aio_event_set(NULL), EINVAL);
    CHECK_INT(aio_event_destroy(NULL), EINVAL);
    CHECK(!aio_event_is_set(NULL));
    aio_event_clear(NULL);
    AIO_FINALLY;
    lock_dismiss(self->t);
    if (self->event) aio_event_destroy(self->event);
    free(self->event);
    AIO_END;
}

/* With a time limit: who gives up leaves the others waiting. */
LOCK_SCENARIO(event_timed, aio_event event; aio_lock lock;)
{
    AIO_BEGIN(event_timed);
    lock_log[0] = 0;
    LOCK_SPAWN(0, AIO_CALL(lock_event_waiter, .event = &self->event, .name = 'a'));
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            if (self->i == 0) AIO_AWAIT(aio_wait_for(aio_event_wait(&self->event), 1));
            if (self->i == 1) AIO_AWAIT(aio_wait_for(aio_lock_acquire(&self->lock), 1));
            CHECK_STR("it came", "an error");
        } AIO_CATCH {
            CHECK_INT(aio_caught(self)->code, AIO_ETIMEOUT);
            if (aio_caught(self)->code != AIO_ETIMEOUT) AIO_RERAISE();
        } AIO_END_TRY;
    }
    CHECK_PTR(self->lock.queue.first, NULL);
    CHECK_STR(lock_log, "");
    CHECK_INT(aio_event_set(&self->event), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "a");
    AIO_AWAIT(aio_wait_for(aio_event_wait(&self->event), 1));
    CHECK_INT(aio_lock_release(&self->lock), 0);
    AIO_AWAIT(aio_wait_for(aio_lock_acquire(&self->lock), 1));
    CHECK(aio_lock_locked(&self->lock));
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* ---- semaphores ---- */

/* Takes one, and keeps it if `keep`. */
struct lock_taker { aio_task task; aio_semaphore *semaphore; int name; bool keep; };
static AIO_CORO(lock_taker)
{
    AIO_BEGIN(lock_taker);
    AIO_TRY {
        AIO_AWAIT(aio_semaphore_acquire(self->semaphore));
        lock_say(self->name);
        if (!self->keep) aio_semaphore_release(self->semaphore);
    } AIO_CATCH_ALL {
        if (!lock_said(aio_caught(self))) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}

LOCK_SCENARIO(semaphore_in_turn, aio_semaphore semaphore;)
{
    AIO_BEGIN(semaphore_in_turn);
    lock_log[0] = 0;
    CHECK_INT(aio_semaphore_init(&self->semaphore, 2), 0);
    for (self->i = 0; self->i < 6; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_taker, .semaphore = &self->semaphore, .name = 'a' + self->i, .keep = true));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "ab");
    CHECK(aio_semaphore_locked(&self->semaphore));
    for (self->i = 0; self->i < 3; self->i++) CHECK_INT(aio_semaphore_release(&self->semaphore), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "abcde"); /* as many as the value allows, at once */
    CHECK_INT(aio_semaphore_release(&self->semaphore), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "abcdef");
    CHECK_INT(self->semaphore.value, 0);
    CHECK_INT(aio_semaphore_release(&self->semaphore), 0);
    CHECK(!aio_semaphore_locked(&self->semaphore));
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* While one was called and has not run, the value is not for others, even if there is some: it would overtake. */
LOCK_SCENARIO(semaphore_no_overtaking, aio_semaphore semaphore;)
{
    AIO_BEGIN(semaphore_no_overtaking);
    lock_log[0] = 0;
    LOCK_SPAWN(0, AIO_CALL(lock_taker, .semaphore = &self->semaphore, .name = 'a', .keep = true));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_semaphore_release(&self->semaphore), 0);
    CHECK_INT(aio_semaphore_release(&self->semaphore), 0);
    CHECK(aio_semaphore_locked(&self->semaphore));
    AIO_AWAIT(aio_semaphore_acquire(&self->semaphore));
    lock_say('m');
    CHECK_STR(lock_log, "am");
    CHECK_INT(self->semaphore.value, 0);
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* One that is cancelled after its call gives its share to the next; with value left, several go on. */
LOCK_SCENARIO(semaphore_cancelled, aio_semaphore semaphore;)
{
    AIO_BEGIN(semaphore_cancelled);
    lock_log[0] = 0;
    for (self->i = 0; self->i < 5; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_taker, .semaphore = &self->semaphore, .name = 'a' + self->i, .keep = true));
    AIO_AWAIT(aio_sleep(0));
    for (self->i = 0; self->i < 2; self->i++) CHECK_INT(aio_semaphore_release(&self->semaphore), 0);
    aio_task_cancel(self->t[0]);
    aio_task_cancel(self->t[1]);
    aio_task_cancel(self->t[3]);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!!!ce");
    CHECK_INT(self->semaphore.value, 0);
    CHECK_INT(self->semaphore.queue.called, 0);
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

LOCK_SCENARIO(semaphore_every_share, aio_semaphore semaphore;)
{
    AIO_BEGIN(semaphore_every_share);
    lock_log[0] = 0;
    CHECK_INT(aio_semaphore_init_bounded(&self->semaphore, 2), 0);
    for (self->i = 0; self->i < 6; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_taker, .semaphore = &self->semaphore, .name = 'a' + self->i));
    for (self->i = 0; self->i < 6; self->i++) AIO_AWAIT((aio_task *)aio_ref(self->t[self->i]));
    CHECK_STR(lock_log, "abcdef");
    AIO_FINALLY;
    lock_dismiss(self->t);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0));
    ALWAYS(self->semaphore.value == 2 && !self->semaphore.queue.first); /* no share was lost on any way */
    AIO_END;
}

TEST(semaphore_values)
{
    aio_semaphore bounded = AIO_BOUNDED_SEMAPHORE(1), plain = AIO_SEMAPHORE(1), zero = AIO_BOUNDED_SEMAPHORE(0);
    CHECK_INT(aio_semaphore_release(&bounded), EINVAL);
    CHECK_INT(aio_semaphore_release(&zero), EINVAL);
    CHECK_INT(aio_semaphore_release(&plain), 0);
    CHECK_INT(plain.value, 2);
    plain.value = INT_MAX;
    CHECK_INT(aio_semaphore_release(&plain), EOVERFLOW);
    CHECK_INT(aio_semaphore_init(&plain, -1), EINVAL);
    CHECK_INT(aio_semaphore_init_bounded(&plain, -1), EINVAL);
    CHECK_INT(aio_semaphore_init(NULL, 1), EINVAL);
    CHECK_INT(aio_semaphore_release(NULL), EINVAL);
    CHECK_INT(aio_semaphore_destroy(NULL), EINVAL);
    CHECK_INT(aio_semaphore_init_bounded(&plain, 1), 0);
    CHECK_INT(aio_semaphore_release(&plain), EINVAL);
    CHECK(aio_semaphore_locked(&zero) && !aio_semaphore_locked(&plain));
}

LOCK_SCENARIO(semaphore_destroyed, aio_semaphore *semaphore; aio_semaphore negative;)
{
    AIO_BEGIN(semaphore_destroyed);
    lock_log[0] = 0;
    self->negative.value = -1;
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_TRY {
            AIO_AWAIT(aio_semaphore_acquire(self->i ? &self->negative : NULL));
            CHECK_STR("a negative value, or no semaphore", "an error");
        } AIO_CATCH { CHECK_INT(aio_caught(self)->code, EINVAL); } AIO_END_TRY;
    }
    self->semaphore = (aio_semaphore *)calloc(1, sizeof *self->semaphore);
    for (self->i = 0; self->i < 3; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_taker, .semaphore = self->semaphore, .name = 'a'));
    AIO_AWAIT(aio_sleep(0));
    aio_semaphore_release(self->semaphore);
    CHECK_INT(aio_semaphore_destroy(self->semaphore), 0);
    free(self->semaphore);
    self->semaphore = NULL;
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "RRR");
    AIO_FINALLY;
    lock_dismiss(self->t);
    if (self->semaphore) aio_semaphore_destroy(self->semaphore);
    free(self->semaphore);
    AIO_END;
}

/* ---- conditions ---- */

/* Waits for a notification; checks that it has the lock again on every way out. */
struct lock_condition_waiter { aio_task task; aio_condition *condition; int name, turns; };
static AIO_CORO(lock_condition_waiter)
{
    AIO_BEGIN(lock_condition_waiter);
    AIO_TRY {
        AIO_ASYNC_WITH(aio_condition_acquire(self->condition), aio_condition_release(self->condition)) {
            AIO_TRY {
                AIO_AWAIT(aio_condition_wait(self->condition));
                ALWAYS(aio_condition_locked(self->condition));
                lock_say(self->name);
                while (self->turns-- > 0) AIO_AWAIT(aio_sleep(0));
            } AIO_CATCH_ALL {
                ALWAYS(aio_condition_locked(self->condition));
                AIO_RERAISE();
            } AIO_END_TRY;
        }
    } AIO_CATCH_ALL {
        if (!lock_said(aio_caught(self))) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}

LOCK_SCENARIO(condition_notify, aio_condition condition;)
{
    AIO_BEGIN(condition_notify);
    lock_log[0] = 0;
    for (self->i = 0; self->i < 6; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_condition_waiter,
                                  .condition = &self->condition, .name = 'a' + self->i, .turns = 1));
    for (self->i = 0; self->i < 6; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK(!aio_condition_locked(&self->condition));
    AIO_ASYNC_WITH(aio_condition_acquire(&self->condition), aio_condition_release(&self->condition)) {
        CHECK_INT(aio_condition_notify(&self->condition, 1), 0);
        CHECK_INT(aio_condition_notify(&self->condition, 0), 0);
        AIO_AWAIT(aio_sleep(0));
        CHECK_STR(lock_log, ""); /* not before the lock is released */
    }
    for (self->i = 0; self->i < 4; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "a");
    AIO_ASYNC_WITH(aio_condition_acquire(&self->condition), aio_condition_release(&self->condition)) {
        CHECK_INT(aio_condition_notify(&self->condition, 2), 0);
    }
    for (self->i = 0; self->i < 8; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "abc");
    AIO_ASYNC_WITH(aio_condition_acquire(&self->condition), aio_condition_release(&self->condition)) {
        CHECK_INT(aio_condition_notify_all(&self->condition), 0);
    }
    for (self->i = 0; self->i < 12; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "abcdef");
    AIO_FINALLY;
    lock_dismiss(self->t);
    for (self->i = 0; self->i < 20; self->i++) AIO_AWAIT(aio_sleep(0));
    ALWAYS(!aio_condition_locked(&self->condition) && !self->condition.queue.first && !self->condition.own.queue.first);
    AIO_END;
}

static aio_condition lock_sharing(aio_lock *lock)
{
    aio_condition condition = AIO_CONDITION(lock);
    return condition;
}
LOCK_SCENARIO(condition_misuse, aio_condition condition; aio_lock lock; aio_condition other;)
{
    AIO_BEGIN(condition_misuse);
    CHECK_INT(aio_condition_notify(&self->condition, 1), AIO_ERUNTIME);
    CHECK_INT(aio_condition_notify_all(&self->condition), AIO_ERUNTIME);
    CHECK_INT(aio_condition_release(&self->condition), AIO_ERUNTIME);
    CHECK_INT(aio_condition_notify(NULL, 1), EINVAL);
    CHECK_INT(aio_condition_release(NULL), EINVAL);
    CHECK_INT(aio_condition_destroy(NULL), EINVAL);
    CHECK(!aio_condition_locked(NULL));
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_TRY {
            if (self->i == 0) AIO_AWAIT(aio_condition_wait(&self->condition));
            if (self->i == 1) AIO_AWAIT(aio_condition_wait(NULL));
            if (self->i == 2) AIO_AWAIT(aio_condition_acquire(NULL));
            if (self->i == 3) AIO_AWAIT(aio_condition_wait_for(&self->condition, NULL, NULL));
            CHECK_STR("misuse was taken", "an error");
        } AIO_CATCH {
            CHECK_INT(aio_caught(self)->code, self->i == 0 ? AIO_ERUNTIME : EINVAL);
            if (self->i == 0)
                CHECK_STR(aio_caught(self)->message, "cannot wait on a condition without having its lock");
        } AIO_END_TRY;
    }
    self->other = lock_sharing(&self->lock);
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    CHECK(aio_condition_locked(&self->other));
    CHECK_INT(aio_condition_notify(&self->other, 1), 0);
    CHECK_INT(aio_condition_release(&self->other), 0);
    CHECK(!aio_lock_locked(&self->lock));
    AIO_END;
}

/* Cancelled while it waits for the notification: it has the lock, which another holds for a while, before it raises;
 * cancelled again while it waits for the lock: likewise. */
LOCK_SCENARIO(condition_cancelled, aio_condition condition;)
{
    AIO_BEGIN(condition_cancelled);
    lock_log[0] = 0;
    LOCK_SPAWN(0, AIO_CALL(lock_condition_waiter, .condition = &self->condition, .name = 'a'));
    AIO_AWAIT(aio_sleep(0));
    AIO_ASYNC_WITH(aio_condition_acquire(&self->condition), aio_condition_release(&self->condition)) {
        aio_task_cancel(self->t[0]);
        AIO_AWAIT(aio_sleep(0));
        AIO_AWAIT(aio_sleep(0));
        aio_task_cancel_message(self->t[0], "again");
        AIO_AWAIT(aio_sleep(0));
        aio_task_cancel_message(self->t[0], "and again");
        AIO_AWAIT(aio_sleep(0));
        CHECK(!aio_future_done(self->t[0]));
        CHECK_STR(lock_log, "");
    }
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!");
    CHECK(!aio_condition_locked(&self->condition));
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* The latest of several cancels is the one that goes out. */
struct lock_condition_bare { aio_task task; aio_condition *condition; };
static AIO_CORO(lock_condition_bare)
{
    AIO_BEGIN(lock_condition_bare);
    AIO_AWAIT(aio_condition_acquire(self->condition));
    AIO_AWAIT(aio_condition_wait(self->condition));
    AIO_FINALLY;
    aio_condition_release(self->condition);
    AIO_END;
}
LOCK_SCENARIO(condition_latest_cancel, aio_condition condition;)
{
    AIO_BEGIN(condition_latest_cancel);
    LOCK_SPAWN(0, AIO_CALL(lock_condition_bare, .condition = &self->condition));
    AIO_AWAIT(aio_sleep(0));
    AIO_ASYNC_WITH(aio_condition_acquire(&self->condition), aio_condition_release(&self->condition)) {
        aio_task_cancel_message(self->t[0], "first");
        AIO_AWAIT(aio_sleep(0));
        aio_task_cancel_message(self->t[0], "second");
        AIO_AWAIT(aio_sleep(0));
    }
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    REQUIRE(aio_future_cancelled(self->t[0]));
    CHECK_STR(aio_future_exception(self->t[0])->message, "second");
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* Notified and then cancelled, before it runs, or while it waits for the lock: the notification goes to the next. One
 * that is only cancelled notifies nobody. */
LOCK_SCENARIO(condition_hands_on, aio_condition condition;)
{
    AIO_BEGIN(condition_hands_on);
    lock_log[0] = 0;
    for (self->i = 0; self->i < 5; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_condition_waiter, .condition = &self->condition, .name = 'a' + self->i));
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0));
    AIO_ASYNC_WITH(aio_condition_acquire(&self->condition), aio_condition_release(&self->condition)) {
        CHECK_INT(aio_condition_notify(&self->condition, 2), 0);
        aio_task_cancel(self->t[0]);
        aio_task_cancel(self->t[4]);
        AIO_AWAIT(aio_sleep(0));
        AIO_AWAIT(aio_sleep(0));
        aio_task_cancel(self->t[1]);
        AIO_AWAIT(aio_sleep(0));
    }
    for (self->i = 0; self->i < 12; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_INT(strlen(lock_log), 5);
    CHECK(strchr(lock_log, 'c') && strchr(lock_log, 'd'));
    CHECK(!strchr(lock_log, 'a') && !strchr(lock_log, 'b') && !strchr(lock_log, 'e'));
    CHECK(!aio_condition_locked(&self->condition));
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* Who was cancelled stands for the lock, and is not notified any more: the notification is for who still waits. */
LOCK_SCENARIO(condition_passes_cancelled, aio_condition condition;)
{
    AIO_BEGIN(condition_passes_cancelled);
    lock_log[0] = 0;
    for (self->i = 0; self->i < 3; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_condition_waiter, .condition = &self->condition, .name = 'a' + self->i));
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0));
    AIO_ASYNC_WITH(aio_condition_acquire(&self->condition), aio_condition_release(&self->condition)) {
        aio_task_cancel(self->t[0]);
        aio_task_cancel(self->t[2]);
        AIO_AWAIT(aio_sleep(0));
        AIO_AWAIT(aio_sleep(0));
        CHECK_INT(aio_condition_notify(&self->condition, 1), 0);
        CHECK_INT(aio_condition_notify(&self->condition, 1), 0);
    }
    for (self->i = 0; self->i < 6; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!!b");
    CHECK(!aio_condition_locked(&self->condition));
    CHECK_PTR(self->condition.queue.first, NULL);
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

LOCK_SCENARIO(condition_only_cancelled, aio_condition condition;)
{
    AIO_BEGIN(condition_only_cancelled);
    lock_log[0] = 0;
    for (self->i = 0; self->i < 2; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_condition_waiter, .condition = &self->condition, .name = 'a' + self->i));
    AIO_AWAIT(aio_sleep(0));
    aio_task_cancel(self->t[0]);
    for (self->i = 0; self->i < 4; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!");
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

static bool lock_at_least_two(void *arg) { return *(int *)arg >= 2; }
struct lock_condition_for { aio_task task; aio_condition *condition; int *number; };
static AIO_CORO(lock_condition_for)
{
    AIO_BEGIN(lock_condition_for);
    AIO_ASYNC_WITH(aio_condition_acquire(self->condition), aio_condition_release(self->condition)) {
        AIO_AWAIT(aio_condition_wait_for(self->condition, lock_at_least_two, self->number));
        CHECK(aio_condition_locked(self->condition));
        lock_say('0' + *self->number);
    }
    AIO_END;
}
LOCK_SCENARIO(condition_wait_for, aio_condition condition; int number;)
{
    AIO_BEGIN(condition_wait_for);
    lock_log[0] = 0;
    LOCK_SPAWN(0, AIO_CALL(lock_condition_for, .condition = &self->condition, .number = &self->number));
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_AWAIT(aio_sleep(0));
        AIO_AWAIT(aio_sleep(0));
        CHECK_STR(lock_log, "");
        AIO_ASYNC_WITH(aio_condition_acquire(&self->condition), aio_condition_release(&self->condition)) {
            self->number = self->i;
            aio_condition_notify_all(&self->condition);
        }
    }
    AIO_AWAIT((aio_task *)aio_ref(self->t[0]));
    CHECK_STR(lock_log, "2");
    LOCK_SPAWN(1, AIO_CALL(lock_condition_for, .condition = &self->condition, .number = &self->number));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "22"); /* true from the start: it does not wait */
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* Waits without its lock around it, for one that is destroyed takes its own lock along. */
struct lock_condition_doomed { aio_task task; aio_condition *condition; bool has; };
static AIO_CORO(lock_condition_doomed)
{
    AIO_BEGIN(lock_condition_doomed);
    AIO_TRY {
        AIO_AWAIT(aio_condition_acquire(self->condition));
        self->has = true;
        AIO_AWAIT(aio_condition_wait(self->condition));
    } AIO_CATCH_ALL {
        if (lock_said(aio_caught(self))) AIO_RETURN();
        if (self->has && !lock_gone) aio_condition_release(self->condition); /* no memory to wait with */
        AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}
LOCK_SCENARIO(condition_destroyed, aio_condition *condition; aio_lock lock;)
{
    AIO_BEGIN(condition_destroyed);
    lock_log[0] = 0;
    lock_gone = false;
    self->condition = (aio_condition *)calloc(2, sizeof *self->condition);
    self->condition[1].lock = &self->lock;
    for (self->i = 0; self->i < 4; self->i++)
        LOCK_SPAWN(self->i, AIO_CALL(lock_condition_doomed, .condition = self->condition));
    LOCK_SPAWN(4, AIO_CALL(lock_condition_doomed, .condition = self->condition + 1));
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_condition_acquire(self->condition));
    aio_condition_notify(self->condition, 2); /* two now wait for its lock, two for a notification */
    AIO_AWAIT(aio_sleep(0));
    aio_condition_notify(self->condition, 1);
    CHECK_INT(aio_condition_destroy(self->condition), 0);
    CHECK_INT(aio_condition_destroy(self->condition + 1), 0);
    free(self->condition);
    self->condition = NULL;
    lock_gone = true;
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "RRRRR");
    CHECK(!aio_lock_locked(&self->lock));
    AIO_FINALLY;
    lock_dismiss(self->t);
    if (self->condition) aio_condition_destroy(self->condition);
    if (self->condition) aio_condition_destroy(self->condition + 1);
    free(self->condition);
    lock_gone = true;
    AIO_END;
}

/* The lock goes while a notified waiter stands in its line. */
LOCK_SCENARIO(condition_without_lock, aio_condition condition; aio_lock *lock;)
{
    AIO_BEGIN(condition_without_lock);
    lock_log[0] = 0;
    lock_gone = false;
    self->lock = (aio_lock *)calloc(1, sizeof *self->lock);
    self->condition.lock = self->lock;
    LOCK_SPAWN(0, AIO_CALL(lock_condition_doomed, .condition = &self->condition));
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_condition_acquire(&self->condition));
    aio_condition_notify_all(&self->condition);
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_lock_destroy(self->lock), 0);
    free(self->lock);
    self->lock = self->condition.lock = NULL;
    lock_gone = true;
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "R");
    CHECK_PTR(self->condition.queue.first, NULL);
    AIO_FINALLY;
    lock_dismiss(self->t);
    if (self->lock) aio_condition_destroy(&self->condition);
    if (self->lock) aio_lock_destroy(self->lock);
    free(self->lock);
    lock_gone = true;
    AIO_END;
}

/* ---- barriers ---- */

#define BARRIER_SCENARIO(name, members) \
    struct name { aio_task task; aio_task *t[LOCK_CREW]; int i; members }; \
    SCENARIO(name, .may = { AIO_EBROKENBARRIER })

/* Without memory to wait with, it breaks the barrier for the others. */
struct lock_party { aio_task task; int result; aio_barrier *barrier; };
static AIO_CORO(lock_party)
{
    AIO_BEGIN(lock_party);
    self->result = -1;
    AIO_TRY {
        AIO_AWAIT(self->result, aio_barrier_wait(self->barrier));
        lock_say('0' + self->result);
    } AIO_CATCH_ALL {
        if (lock_said(aio_caught(self))) AIO_RETURN(-1);
        if (!lock_gone) aio_barrier_abort(self->barrier);
        AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}

BARRIER_SCENARIO(barrier_fills, aio_barrier barrier;)
{
    AIO_BEGIN(barrier_fills);
    lock_log[0] = 0;
    CHECK_INT(aio_barrier_init(&self->barrier, 3), 0);
    CHECK_INT(aio_barrier_parties(&self->barrier), 3);
    for (self->i = 0; self->i < 2; self->i++) LOCK_SPAWN(self->i, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_barrier_waiting(&self->barrier), 2);
    CHECK_STR(lock_log, "");
    for (; self->i < 6; self->i++) LOCK_SPAWN(self->i, AIO_CALL(lock_party, .barrier = &self->barrier));
    for (self->i = 0; self->i < 6; self->i++) AIO_AWAIT((aio_task *)aio_ref(self->t[self->i]));
    CHECK_STR(lock_log, "201201"); /* who comes last does not wait; the next three wait until these have left */
    CHECK_INT(aio_barrier_waiting(&self->barrier), 0);
    CHECK(!aio_barrier_broken(&self->barrier));
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* While the released leave it, it is draining: who comes then is not counted yet. */
BARRIER_SCENARIO(barrier_drains, aio_barrier barrier; int result;)
{
    AIO_BEGIN(barrier_drains);
    lock_log[0] = 0;
    CHECK_INT(aio_barrier_init(&self->barrier, 2), 0);
    LOCK_SPAWN(0, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(self->result, aio_barrier_wait(&self->barrier));
    CHECK_INT(self->result, 1);
    CHECK_INT(self->barrier.state, AIO__DRAINING);
    CHECK_INT(aio_barrier_waiting(&self->barrier), 0);
    LOCK_SPAWN(1, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "0");
    CHECK_INT(self->barrier.state, AIO__FILLING);
    CHECK_INT(aio_barrier_waiting(&self->barrier), 1);
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* Who comes while it drains waits until it is empty, then is the first of the next. */
BARRIER_SCENARIO(barrier_blocks, aio_barrier barrier; int result;)
{
    AIO_BEGIN(barrier_blocks);
    lock_log[0] = 0;
    CHECK_INT(aio_barrier_init(&self->barrier, 2), 0);
    LOCK_SPAWN(0, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    LOCK_SPAWN(1, AIO_CALL(lock_party, .barrier = &self->barrier));
    LOCK_SPAWN(2, AIO_CALL(lock_party, .barrier = &self->barrier));
    LOCK_SPAWN(3, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "1");
    CHECK_INT(self->barrier.state, AIO__DRAINING);
    aio_task_cancel(self->t[3]); /* one that is not counted leaves, and counts for nothing */
    for (self->i = 0; self->i < 4; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_INT(strlen(lock_log), 3);
    CHECK(strchr(lock_log, '0') && strchr(lock_log, '!'));
    CHECK_INT(aio_barrier_waiting(&self->barrier), 1);
    AIO_AWAIT(self->result, aio_barrier_wait(&self->barrier));
    CHECK_INT(self->result, 1);
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* One that is cancelled only leaves; the others wait on, for one more. */
BARRIER_SCENARIO(barrier_cancelled, aio_barrier barrier; int result;)
{
    AIO_BEGIN(barrier_cancelled);
    lock_log[0] = 0;
    CHECK_INT(aio_barrier_init(&self->barrier, 3), 0);
    for (self->i = 0; self->i < 2; self->i++) LOCK_SPAWN(self->i, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    aio_task_cancel(self->t[0]);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "!");
    CHECK_INT(aio_barrier_waiting(&self->barrier), 1);
    CHECK(!aio_barrier_broken(&self->barrier));
    LOCK_SPAWN(2, AIO_CALL(lock_party, .barrier = &self->barrier));
    LOCK_SPAWN(3, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    aio_task_cancel(self->t[1]); /* released already, but it has not run */
    for (self->i = 0; self->i < 2; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_INT(strlen(lock_log), 4);
    CHECK_INT(self->barrier.state, AIO__FILLING);
    CHECK_INT(self->barrier.count, 0);
    AIO_FINALLY;
    lock_dismiss(self->t);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0));
    ALWAYS(self->barrier.count == 0 && !self->barrier.queue.first);
    AIO_END;
}

BARRIER_SCENARIO(barrier_aborted, aio_barrier barrier; int result;)
{
    AIO_BEGIN(barrier_aborted);
    lock_log[0] = 0;
    CHECK_INT(aio_barrier_init(&self->barrier, 3), 0);
    for (self->i = 0; self->i < 2; self->i++) LOCK_SPAWN(self->i, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_barrier_abort(&self->barrier), 0);
    CHECK(aio_barrier_broken(&self->barrier));
    CHECK_INT(aio_barrier_waiting(&self->barrier), 0);
    LOCK_SPAWN(2, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "BBB");
    CHECK(aio_barrier_broken(&self->barrier));
    CHECK_INT(aio_barrier_reset(&self->barrier), 0);
    CHECK(!aio_barrier_broken(&self->barrier));
    for (self->i = 3; self->i < 5; self->i++) LOCK_SPAWN(self->i, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_barrier_waiting(&self->barrier), 2);
    AIO_AWAIT(self->result, aio_barrier_wait(&self->barrier));
    CHECK_INT(self->result, 2);
    CHECK_INT(aio_barrier_abort(&self->barrier), 0); /* who was released, but has not left, is hit, too */
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "BBBBB");
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

/* Those who wait at a reset get the error; those who come while they leave wait for an empty one. */
BARRIER_SCENARIO(barrier_reset, aio_barrier barrier; int result;)
{
    AIO_BEGIN(barrier_reset);
    lock_log[0] = 0;
    CHECK_INT(aio_barrier_init(&self->barrier, 3), 0);
    CHECK_INT(aio_barrier_reset(&self->barrier), 0);
    CHECK_INT(self->barrier.state, AIO__FILLING);
    for (self->i = 0; self->i < 2; self->i++) LOCK_SPAWN(self->i, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_barrier_reset(&self->barrier), 0);
    CHECK_INT(aio_barrier_reset(&self->barrier), 0);
    CHECK_INT(self->barrier.state, AIO__RESETTING);
    CHECK(!aio_barrier_broken(&self->barrier));
    CHECK_INT(aio_barrier_waiting(&self->barrier), 0);
    for (self->i = 2; self->i < 4; self->i++) LOCK_SPAWN(self->i, AIO_CALL(lock_party, .barrier = &self->barrier));
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "BB");
    CHECK_INT(aio_barrier_waiting(&self->barrier), 2);
    AIO_AWAIT(self->result, aio_barrier_wait(&self->barrier));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "BB01");
    AIO_FINALLY;
    lock_dismiss(self->t);
    AIO_END;
}

BARRIER_SCENARIO(barrier_destroyed, aio_barrier *barrier; aio_barrier none; int result;)
{
    AIO_BEGIN(barrier_destroyed);
    lock_log[0] = 0;
    lock_gone = false;
    self->barrier = (aio_barrier *)calloc(1, sizeof *self->barrier);
    CHECK_INT(aio_barrier_init(self->barrier, 0), EINVAL);
    CHECK_INT(aio_barrier_init(NULL, 1), EINVAL);
    CHECK_INT(aio_barrier_abort(NULL), EINVAL);
    CHECK_INT(aio_barrier_reset(NULL), EINVAL);
    CHECK_INT(aio_barrier_destroy(NULL), EINVAL);
    CHECK(!aio_barrier_broken(NULL) && !aio_barrier_waiting(NULL) && !aio_barrier_parties(NULL));
    AIO_TRY {
        AIO_AWAIT(self->result, aio_barrier_wait(&self->none));
        CHECK_STR("no parties", "an error");
    } AIO_CATCH { CHECK_INT(aio_caught(self)->code, EINVAL); } AIO_END_TRY;
    CHECK_INT(aio_barrier_init(self->barrier, 3), 0);
    for (self->i = 0; self->i < 2; self->i++) LOCK_SPAWN(self->i, AIO_CALL(lock_party, .barrier = self->barrier));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_barrier_waiting(self->barrier), 2);
    CHECK_INT(aio_barrier_destroy(self->barrier), 0);
    CHECK_INT(aio_barrier_waiting(self->barrier), 0);
    free(self->barrier);
    self->barrier = NULL;
    lock_gone = true;
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(lock_log, "RR");
    AIO_FINALLY;
    lock_dismiss(self->t);
    if (self->barrier) aio_barrier_destroy(self->barrier);
    free(self->barrier);
    lock_gone = true;
    AIO_END;
}
