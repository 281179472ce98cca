/* Queues between loops and threads. Threads of a test are started past the seam, and joined. */
enum { TQ_MAY = AIO_EQUEUESHUTDOWN };

/* In one loop: bounded, in order, and the rest is readable after the end. */
struct tq_produce { aio_task task; aio_thread_queue *queue; int i, count; };
static AIO_CORO(tq_produce)
{
    AIO_BEGIN(tq_produce);
    aio_thread_queue_ref(self->queue); /* it may end after the scenario */
    for (self->i = 1; self->i <= self->count; self->i++) {
        AIO_AWAIT(aio_thread_queue_put(self->queue, &self->i));
        CHECK(aio_thread_queue_size(self->queue) <= 2);
    }
    AIO_FINALLY;
        CHECK_INT(aio_thread_queue_shutdown(self->queue, false), 0);
        CHECK_INT(aio_thread_queue_put_nowait(self->queue, &self->i), AIO_EQUEUESHUTDOWN);
        aio_thread_queue_unref(self->queue);
    AIO_END;
}

struct tq_in_loop { aio_task task; aio_thread_queue *queue; struct tq_produce *producer; int item, last; };
SCENARIO(tq_in_loop, .may = { TQ_MAY })
{
    AIO_BEGIN(tq_in_loop);
    REQUIRE(self->queue = aio_thread_queue_create(int, .maxsize = 2));
    REQUIRE(self->producer = aio_create_task(AIO_CALL(tq_produce, .queue = self->queue, .count = 7)));
    AIO_AWAIT(self->item, aio_thread_queue_get(self->queue, int));
    CHECK_INT(self->item, 1);
    self->last = 1;
    AIO_AWAIT(aio_sleep(0));
    AIO_ASYNC_FOR(self->item, aio_thread_queue_next(self->queue, int)) {
        CHECK_INT(self->item, self->last + 1);
        self->last = self->item;
        if (self->item % 3 == 0) AIO_AWAIT(aio_sleep(0.01));
    }
    CHECK_INT(self->last, 7);
    AIO_AWAIT(aio_ref(self->producer));
    AIO_TRY {
        AIO_AWAIT(self->item, aio_thread_queue_get(self->queue, int));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EQUEUESHUTDOWN);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_thread_queue_put(self->queue, &self->item));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EQUEUESHUTDOWN);
    } AIO_END_TRY;
    AIO_FINALLY;
        fd_end_task(self->producer);
        aio_thread_queue_unref(self->queue);
    AIO_END;
}

/* From a thread to the loop, and back: both sides wait for each other, as the queues hold one. The job owns its part. */
struct tq_pair { aio_thread_queue *there, *back; };
static int tq_doubled;

static void tq_pair_end(void *arg)
{
    struct tq_pair *pair = (struct tq_pair *)arg;
    aio_thread_queue_shutdown(pair->back, false);
    aio_thread_queue_unref(pair->there);
    aio_thread_queue_unref(pair->back);
    free(pair);
}

static void *tq_double(void *arg)
{
    struct tq_pair *pair = (struct tq_pair *)arg;
    int item;
    while (!aio_thread_queue_get_blocking(pair->there, &item, 0)) {
        item *= 2;
        if (aio_thread_queue_put_blocking(pair->back, &item, AIO_UNLIMITED)) break;
        SEAM_ADD(tq_doubled, 1);
    }
    tq_pair_end(arg);
    return NULL;
}

static aio_job_future *tq_start(struct tq_pair *pair)
{
    struct tq_pair *own = (struct tq_pair *)malloc(sizeof *own);
    own->there = aio_thread_queue_ref(pair->there);
    own->back = aio_thread_queue_ref(pair->back);
    return aio_to_thread(tq_double, own, .skip = tq_pair_end);
}

struct tq_produce_plain { aio_task task; aio_thread_queue *queue; int i, count; };
static AIO_CORO(tq_produce_plain)
{
    AIO_BEGIN(tq_produce_plain);
    aio_thread_queue_ref(self->queue);
    for (self->i = 1; self->i <= self->count; self->i++) AIO_AWAIT(aio_thread_queue_put(self->queue, &self->i));
    AIO_FINALLY;
        aio_thread_queue_shutdown(self->queue, self->i <= self->count);
        aio_thread_queue_unref(self->queue);
    AIO_END;
}

struct tq_thread { aio_task task; struct tq_pair pair; struct tq_produce_plain *producer; aio_job_future *job;
                   int item, last; };
SCENARIO(tq_thread, .may = { TQ_MAY, EAGAIN })
{
    AIO_BEGIN(tq_thread);
    REQUIRE(self->pair.there = aio_thread_queue_create(int, .maxsize = 1));
    REQUIRE(self->pair.back = aio_thread_queue_create(int, .maxsize = 1));
    SEAM_SET(tq_doubled, 0);
    REQUIRE(self->job = tq_start(&self->pair));
    REQUIRE(self->producer = aio_create_task(AIO_CALL(tq_produce_plain, .queue = self->pair.there, .count = 9)));
    AIO_ASYNC_FOR(self->item, aio_thread_queue_next(self->pair.back, int)) {
        self->last += 2;
        CHECK_INT(self->item, self->last);
    }
    CHECK_INT(self->last, 18);
    AIO_AWAIT(aio_ref(self->job));
    CHECK_INT(SEAM_GET(tq_doubled), 9);
    AIO_FINALLY;
        aio_thread_queue_shutdown(self->pair.there, true);
        aio_thread_queue_shutdown(self->pair.back, true);
        fd_end_task(self->producer);
        aio_unref(self->job);
        aio_thread_queue_unref(self->pair.there);
        aio_thread_queue_unref(self->pair.back);
    AIO_END;
}

/* Cancelled when it was called: the item is the next one's, whether that waits already or comes later. */
struct tq_get { aio_task task; int result; aio_thread_queue *queue; };
static AIO_CORO(tq_get)
{
    AIO_BEGIN(tq_get);
    AIO_AWAIT(self->result, aio_thread_queue_get(self->queue, int));
    AIO_END;
}

struct tq_cancelled { aio_task task; aio_thread_queue *queue; struct tq_get *get[3]; int i, item; };
SCENARIO(tq_cancelled)
{
    AIO_BEGIN(tq_cancelled);
    REQUIRE(self->queue = aio_thread_queue_create(int, .maxsize = 1));
    for (self->i = 0; self->i < 3; self->i++)
        REQUIRE(self->get[self->i] = aio_create_task(AIO_CALL(tq_get, .queue = self->queue)));
    AIO_AWAIT(aio_sleep(0));
    self->item = 5;
    REQUIRE(!aio_thread_queue_put_nowait(self->queue, &self->item));
    CHECK_INT(aio_thread_queue_put_nowait(self->queue, &self->item), AIO_EQUEUEFULL);
    CHECK(aio_task_cancel(self->get[0]));
    AIO_AWAIT(aio_sleep(0.01));
    CHECK(aio_future_cancelled(self->get[0]));
    CHECK(aio_future_done(self->get[1]));
    CHECK_INT(self->get[1]->result, 5);
    CHECK(!aio_future_done(self->get[2]));
    REQUIRE(!aio_thread_queue_put_nowait(self->queue, &self->item));
    CHECK(aio_task_cancel(self->get[2]));
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(self->item, aio_thread_queue_get(self->queue, int));
    CHECK_INT(self->item, 5);
    CHECK_INT(aio_thread_queue_get_nowait(self->queue, &self->item), AIO_EQUEUEEMPTY);
    AIO_FINALLY;
        for (int i = 0; i < 3; i++) fd_end_task(self->get[i]);
        aio_thread_queue_unref(self->queue);
    AIO_END;
}

/* The last owner goes while others wait. */
static int tq_dropped;
static void tq_drop(void *item) { tq_dropped += *(int *)item; }

struct tq_freed { aio_task task; aio_thread_queue *queue; struct tq_get *get; int item; };
SCENARIO(tq_freed)
{
    AIO_BEGIN(tq_freed);
    tq_dropped = 0;
    REQUIRE(self->queue = aio_thread_queue_create(int, .drop = tq_drop));
    REQUIRE(self->get = aio_create_task(AIO_CALL(tq_get, .queue = self->queue)));
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_thread_queue_ref(self->queue) == self->queue);
    aio_thread_queue_unref(self->queue);
    aio_thread_queue_unref(self->queue);
    self->queue = NULL;
    AIO_TRY {
        AIO_AWAIT(aio_ref(self->get));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_EQUEUESHUTDOWN);
    } AIO_END_TRY;
    REQUIRE(self->queue = aio_thread_queue_create(int, .drop = tq_drop));
    self->item = 3;
    REQUIRE(!aio_thread_queue_put_nowait(self->queue, &self->item));
    self->item = 4;
    REQUIRE(!aio_thread_queue_put_nowait(self->queue, &self->item));
    aio_thread_queue_unref(self->queue);
    self->queue = NULL;
    CHECK_INT(tq_dropped, 7);
    AIO_FINALLY;
        fd_end_task(self->get);
        aio_thread_queue_unref(self->queue);
    AIO_END;
}

/* Called before the queue ends, and begun behind that, or never. */
struct tq_freed_early { aio_task task; aio_thread_queue *queue; aio_future *calls[4]; int i, item; };
SCENARIO(tq_freed_early, .may = { TQ_MAY })
{
    AIO_BEGIN(tq_freed_early);
    REQUIRE(self->queue = aio_thread_queue_create(int, .maxsize = 1));
    REQUIRE(self->calls[0] = (aio_future *)aio_thread_queue_get(self->queue, int));
    REQUIRE(self->calls[1] = (aio_future *)aio_thread_queue_next(self->queue, int));
    REQUIRE(aio_thread_queue_put_nowait(self->queue, &self->item) == 0);
    REQUIRE(self->calls[2] = (aio_future *)aio_thread_queue_put(self->queue, &self->item));
    REQUIRE(self->calls[3] = (aio_future *)aio_thread_queue_put(self->queue, &self->item));
    aio_thread_queue_unref(self->queue);
    self->queue = NULL;
    AIO_AWAIT(aio_sleep(0.1));
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->calls[self->i]));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(self->i == 1 ? AIO_ESTOPITERATION : AIO_EQUEUESHUTDOWN);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        for (int i = 0; i < 4; i++) {
            if (self->calls[i]) aio_future_cancel(self->calls[i]);
            aio_unref(self->calls[i]);
        }
        aio_thread_queue_unref(self->queue);
    AIO_END;
}

TEST(tq_wrong)
{
    aio_thread_queue *queue = aio_thread_queue_create(int, .maxsize = 1);
    int item = 1;
    char small = 1;
    aio_queue_options both = { .lifo = true, .compare = (int (*)(const void *, const void *))strcmp };
    CHECK(aio_thread_queue_create_with(int, &both) == NULL && errno == EINVAL);
    CHECK_INT(aio_thread_queue_put_nowait(queue, &small), EINVAL);
    CHECK_INT(aio_thread_queue_get_blocking(queue, &item, -3), EINVAL);
    CHECK_INT(aio__thread_queue_get_blocking(NULL, &item, sizeof item, 0), EINVAL);
    CHECK_INT(aio_thread_queue_get_nowait(queue, &item), AIO_EQUEUEEMPTY);
    CHECK_INT(aio_thread_queue_get_blocking(queue, &item, 0.001), AIO_ETIMEOUT);
    CHECK_INT(aio_thread_queue_put_blocking(queue, &item, 0), 0);
    CHECK_INT(aio_thread_queue_put_blocking(queue, &item, 0.001), AIO_ETIMEOUT);
    CHECK_INT(aio_thread_queue_shutdown(queue, false), 0);
    CHECK_INT(aio_thread_queue_put_blocking(queue, &item, 0), AIO_EQUEUESHUTDOWN);
    item = 0;
    CHECK_INT(aio_thread_queue_get_blocking(queue, &item, 0), 0);
    CHECK_INT(item, 1);
    CHECK_INT(aio_thread_queue_get_blocking(queue, &item, 0), AIO_EQUEUESHUTDOWN);
    CHECK_INT(aio_thread_queue_shutdown(NULL, false), EINVAL);
    CHECK_INT(aio_thread_queue_size(NULL), 0);
    CHECK(aio_thread_queue_ref(NULL) == NULL);
    aio_thread_queue_unref(NULL);
    aio_thread_queue_unref(queue);
}

struct tq_refused { aio_task task; aio_thread_queue *queue; int item; };
SCENARIO(tq_refused)
{
    AIO_BEGIN(tq_refused);
    REQUIRE(self->queue = aio_thread_queue_create(int, .maxsize = 1));
    CHECK_INT(aio_thread_queue_get_blocking(self->queue, &self->item, 1), EDEADLK);
    AIO_TRY {
        AIO_AWAIT(aio_thread_queue_get(self->queue, char));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_thread_queue_put((aio_thread_queue *)NULL, &self->item));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_thread_queue_unref(self->queue);
    AIO_END;
}

/* Several loops and threads at one queue, in each direction: every item comes once, whoever is cancelled meanwhile. */
enum { TQ_LOOPS = 2, TQ_THREADS = 2, TQ_ITEMS = 300 };
static struct tq_crowd { aio_thread_queue *queue, *sums; } tq_crowd;

struct tq_consume { aio_task task; aio_thread_queue *queue; int item; long sum; };
static AIO_CORO(tq_consume)
{
    AIO_BEGIN(tq_consume);
    for (;;) { /* one that gives up again and again loses nothing */
        AIO_TRY {
            AIO_TIMEOUT(0.0001) {
                AIO_AWAIT(self->item, aio_thread_queue_get(tq_crowd.queue, int));
                self->sum += self->item;
            }
        } AIO_CATCH {
            if (aio_caught(self)->code == AIO_EQUEUESHUTDOWN) break;
            if (aio_caught(self)->code != AIO_ETIMEOUT) AIO_RERAISE();
        } AIO_END_TRY;
    }
    AIO_AWAIT(aio_thread_queue_put(tq_crowd.sums, &self->sum));
    AIO_END;
}

struct tq_consumers { aio_task task; struct tq_consume *two[2]; int i; };
static AIO_CORO(tq_consumers)
{
    AIO_BEGIN(tq_consumers);
    for (self->i = 0; self->i < 2; self->i++) self->two[self->i] = aio_create_task(AIO_CALL(tq_consume));
    AIO_AWAIT(aio_gather(self->two, 2));
    AIO_FINALLY;
        aio_unref_all(self->two, 2);
    AIO_END;
}

static void *tq_loop_thread(void *arg)
{
    return (void *)(intptr_t)(aio_run(AIO_CALL(tq_consumers), .keep_sigint = true) || arg);
}

static void *tq_get_thread(void *arg)
{
    long sum = 0;
    int item, code;
    while ((code = aio_thread_queue_get_blocking(tq_crowd.queue, &item, 0.0001)) == 0 || code == AIO_ETIMEOUT)
        if (!code) sum += item;
    return (void *)(intptr_t)(aio_thread_queue_put_blocking(tq_crowd.sums, &sum, 0) || arg);
}

static void *tq_put_thread(void *arg)
{
    for (int i = 1; i <= TQ_ITEMS; i++)
        if (aio_thread_queue_put_blocking(tq_crowd.queue, &i, 0)) return arg;
    return NULL;
}

TEST(tq_threads_and_loops)
{
    pthread_t loops[TQ_LOOPS], getters[TQ_THREADS], putters[TQ_THREADS];
    void *failed;
    long sum, all = 0;
    int64_t (*clock_)(void) = aio__os.clock;
    aio__os.clock = seam_real.clock; /* the threads wait for each other, not for the test's time */
    tq_crowd.queue = aio_thread_queue_create(int, .maxsize = 3);
    tq_crowd.sums = aio_thread_queue_create(long);
    for (int i = 0; i < TQ_LOOPS; i++) CHECK_INT(pthread_create(&loops[i], NULL, tq_loop_thread, NULL), 0);
    for (int i = 0; i < TQ_THREADS; i++) CHECK_INT(pthread_create(&getters[i], NULL, tq_get_thread, NULL), 0);
    for (int i = 0; i < TQ_THREADS; i++) CHECK_INT(pthread_create(&putters[i], NULL, tq_put_thread, &all), 0);
    for (int i = 0; i < TQ_THREADS; i++) CHECK(pthread_join(putters[i], &failed) == 0 && !failed);
    CHECK_INT(aio_thread_queue_shutdown(tq_crowd.queue, false), 0);
    for (int i = 0; i < TQ_LOOPS; i++) CHECK(pthread_join(loops[i], &failed) == 0 && !failed);
    for (int i = 0; i < TQ_THREADS; i++) CHECK(pthread_join(getters[i], &failed) == 0 && !failed);
    while (!aio_thread_queue_get_nowait(tq_crowd.sums, &sum)) all += sum;
    CHECK_INT(all, TQ_THREADS * (TQ_ITEMS * (TQ_ITEMS + 1) / 2));
    aio_thread_queue_unref(tq_crowd.queue);
    aio_thread_queue_unref(tq_crowd.sums);
    aio__os.clock = clock_;
}

/* A loop that closes while one of its coroutines was called: the item is somebody else's. */
TEST(tq_loop_closes)
{
    aio_loop *one = aio_new_event_loop(), *two = aio_new_event_loop();
    aio_thread_queue *queue = aio_thread_queue_create(int);
    int item = 7;
    struct tq_get *a = aio_loop_create_task(one, AIO_CALL(tq_get, .queue = queue));
    struct tq_get *b = aio_loop_create_task(two, AIO_CALL(tq_get, .queue = queue));
    aio_loop_run_once(one, 0);
    aio_loop_run_once(two, 0);
    CHECK_INT(aio_thread_queue_put_nowait(queue, &item), 0);
    aio_loop_set_exception_handler(one, on_report, NULL);
    aio_loop_set_exception_handler(two, on_report, NULL);
    aio_unref(a);
    aio_loop_free(one);
    aio_loop_run_once(two, 0);
    CHECK(aio_future_done(b));
    CHECK_INT(b->result, 7);
    aio_unref(b);
    b = aio_loop_create_task(two, AIO_CALL(tq_get, .queue = queue));
    aio_loop_run_once(two, 0);
    aio_thread_queue_unref(queue);
    aio_unref(b);
    aio_loop_free(two);
}

struct tq_put { aio_task task; aio_thread_queue *queue; int item; };
static AIO_CORO(tq_put)
{
    AIO_BEGIN(tq_put);
    AIO_AWAIT(aio_thread_queue_put(self->queue, &self->item));
    AIO_END;
}

/* Two wait in each of two loops, to get or to put. */
struct tq_ports { aio_loop *loops[2]; aio_thread_queue *queue; aio_task *tasks[2][2]; bool get; };

static void tq_ports_open(struct tq_ports *p)
{
    for (int i = 0; i < 2; i++) {
        if (!p->loops[i]) p->loops[i] = aio_new_event_loop();
        for (int k = 0; k < 2; k++) {
            void *call = p->get ? (void *)AIO_CALL(tq_get, .queue = p->queue) : AIO_CALL(tq_put, .queue = p->queue);
            p->tasks[i][k] = (aio_task *)aio_loop_create_task(p->loops[i], (aio_task *)call);
        }
    }
    for (int i = 0; i < 2; i++) CHECK_INT(aio_loop_run_once(p->loops[i], 0), 0);
}

/* There is something for one more. */
static void tq_ports_change(struct tq_ports *p)
{
    int item = 1;
    if (p->get) CHECK_INT(aio_thread_queue_put_nowait(p->queue, &item), 0);
    else CHECK_INT(aio_thread_queue_get_nowait(p->queue, &item), 0);
}

/* Who has gone on, as "ab" for the two of the first loop, "AB" for those of the other. */
static const char *tq_ports_done(struct tq_ports *p, char *text)
{
    char *at = text;
    for (int i = 0; i < 2; i++) CHECK_INT(aio_loop_run_once(p->loops[i], 0), 0);
    for (int i = 0; i < 4; i++)
        if (aio_future_done(p->tasks[i / 2][i % 2])) *at++ = "abAB"[i];
    *at = 0;
    return text;
}

/* Who waits longest in the loop that was told longest ago goes on, and nobody else: by turns, and in place of those of
 * a loop that were cancelled when it had been told. */
TEST(tq_ports_in_turn)
{
    for (int get = 0; get < 2; get++) {
        struct tq_ports p = { .get = get, .queue = aio_thread_queue_create(int, .maxsize = 2) };
        char done[8];
        int item = 0;
        for (int i = 0; i < 2 && !get; i++) CHECK_INT(aio_thread_queue_put_nowait(p.queue, &item), 0);
        tq_ports_open(&p);
        CHECK_STR(tq_ports_done(&p, done), "");
        static const char *const wanted[] = { "a", "aA", "abA", "abAB" };
        for (int i = 0; i < 4; i++) {
            tq_ports_change(&p);
            CHECK_STR(tq_ports_done(&p, done), wanted[i]);
        }
        for (int i = 0; i < 4; i++) aio_unref(p.tasks[i / 2][i % 2]);
        tq_ports_open(&p);
        tq_ports_change(&p);
        for (int i = 0; i < 2; i++) aio_task_cancel(p.tasks[0][i]);
        tq_ports_done(&p, done);
        CHECK_STR(tq_ports_done(&p, done), "abA");
        CHECK(aio_future_cancelled(p.tasks[0][0]) && !aio_future_cancelled(p.tasks[1][0]));
        tq_ports_change(&p);
        CHECK_STR(tq_ports_done(&p, done), "abAB");
        CHECK_INT(aio_thread_queue_size(p.queue), get ? 0 : 2);
        for (int i = 0; i < 4; i++) aio_unref(p.tasks[i / 2][i % 2]);
        for (int i = 0; i < 2; i++) aio_loop_free(p.loops[i]);
        aio_thread_queue_unref(p.queue);
    }
}

/* Shut down at once: the items are dropped, and everybody hears of it, in whatever loop, whether they get or put. */
TEST(tq_shut_at_once)
{
    for (int get = 0; get < 2; get++) {
        struct tq_ports p = { .get = get, .queue = aio_thread_queue_create(int, .maxsize = 2, .drop = tq_drop) };
        char done[8];
        int item = 3;
        tq_dropped = 0;
        for (int i = 0; i < 2 && !get; i++) CHECK_INT(aio_thread_queue_put_nowait(p.queue, &item), 0);
        tq_ports_open(&p);
        CHECK_INT(aio_thread_queue_shutdown(p.queue, true), 0);
        CHECK_INT(aio_thread_queue_size(p.queue), 0);
        CHECK_INT(tq_dropped, get ? 0 : 6);
        tq_ports_done(&p, done);
        CHECK_STR(tq_ports_done(&p, done), "abAB");
        for (int i = 0; i < 4; i++) {
            CHECK_INT(aio_future_exception(p.tasks[i / 2][i % 2])->code, AIO_EQUEUESHUTDOWN);
            aio_unref(p.tasks[i / 2][i % 2]);
        }
        aio_thread_queue_unref(p.queue);
        for (int i = 0; i < 2; i++) aio_loop_free(p.loops[i]);
    }
}
