/* Queues: order, limits, getters and putters that wait, are cancelled or overtaken, join, shutdown. */

struct queue_item { int key, value; };

static char queue_log[64];
static void queue_say(int c)
{
    size_t n = strlen(queue_log);
    if (n + 1 < sizeof queue_log) queue_log[n] = (char)c, queue_log[n + 1] = 0;
}

/* Gets one int, and says it; or X if the queue is shut down, ! if it is cancelled. */
struct queue_taker { aio_task task; aio_queue *queue; int item; };
static AIO_CORO(queue_taker)
{
    AIO_BEGIN(queue_taker);
    AIO_TRY {
        AIO_AWAIT(self->item, aio_queue_get(self->queue, int));
        queue_say('0' + self->item);
    } AIO_CATCH_ALL {
        if (aio_caught(self)->code == AIO_EQUEUESHUTDOWN) queue_say('X');
        else if (aio_caught(self)->code == AIO_ECANCELLED) queue_say('!');
        else AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}

struct queue_giver { aio_task task; aio_queue *queue; int item; };
static AIO_CORO(queue_giver)
{
    AIO_BEGIN(queue_giver);
    AIO_TRY {
        AIO_AWAIT(aio_queue_put(self->queue, &self->item));
        queue_say('a' + self->item);
    } AIO_CATCH_ALL {
        if (aio_caught(self)->code == AIO_EQUEUESHUTDOWN) queue_say('X');
        else if (aio_caught(self)->code == AIO_ECANCELLED) queue_say('!');
        else AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}

#define QUEUE_SPAWN(i, call) do { self->t[i] = (aio_task *)aio_create_task(call); REQUIRE(self->t[i]); } while (0)
#define QUEUE_CREW(scenario) struct scenario { aio_task task; aio_queue *queue; aio_task *t[4]; int i, item; }

static void queue_dismiss(aio_queue **queue, aio_task **tasks)
{
    for (int i = 0; i < 4; i++) aio_future_cancel(tasks[i]);
    aio_unref_all(tasks, 4);
    CHECK_INT(aio_queue_free(*queue), 0);
    *queue = NULL;
}

QUEUE_CREW(queue_producer_consumer);
struct queue_producer { aio_task task; aio_queue *queue; int i; };
static AIO_CORO(queue_producer)
{
    AIO_BEGIN(queue_producer);
    AIO_TRY {
        for (self->i = 1; self->i <= 20; self->i++) AIO_AWAIT(aio_queue_put(self->queue, &self->i));
    } AIO_CATCH {
        if (aio_caught(self)->code == ENOMEM) aio_queue_shutdown(self->queue, false);
        AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}
SCENARIO(queue_producer_consumer, .may = { AIO_EQUEUESHUTDOWN })
{
    AIO_BEGIN(queue_producer_consumer);
    self->queue = aio_queue_create(int, .maxsize = 3);
    REQUIRE(self->queue);
    QUEUE_SPAWN(0, AIO_CALL(queue_producer, .queue = self->queue));
    for (self->i = 1; self->i <= 20; self->i++) {
        AIO_AWAIT(self->item, aio_queue_get(self->queue, int));
        CHECK_INT(self->item, self->i);
        CHECK(aio_queue_size(self->queue) <= 3);
        CHECK_INT(aio_queue_task_done(self->queue), 0);
    }
    AIO_AWAIT(aio_queue_join(self->queue));
    AIO_AWAIT((aio_task *)aio_ref(self->t[0]));
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

/* AIO_ASYNC_FOR takes every item, and ends at the shutdown, whether it waits then or not, or with the queue. */
struct queue_worker { aio_task task; aio_queue *queue; int item; };
static AIO_CORO(queue_worker)
{
    AIO_BEGIN(queue_worker);
    AIO_ASYNC_FOR(self->item, aio_queue_next(self->queue, int)) {
        queue_say('0' + self->item);
        AIO_AWAIT(aio_sleep(0));
    }
    queue_say('.');
    AIO_END;
}
QUEUE_CREW(queue_async_for);
SCENARIO(queue_async_for)
{
    AIO_BEGIN(queue_async_for);
    queue_log[0] = 0;
    self->queue = aio_queue_create(int);
    REQUIRE(self->queue);
    for (self->i = 0; self->i < 3; self->i++) {
        QUEUE_SPAWN(0, AIO_CALL(queue_worker, .queue = self->queue));
        if (self->i != 1) AIO_AWAIT(aio_sleep(1)); /* it waits */
        for (self->item = 1; self->item <= 2; self->item++)
            REQUIRE(aio_queue_put_nowait(self->queue, &self->item) == 0);
        if (self->i == 2) AIO_AWAIT(aio_sleep(1)); /* it waits again */
        if (self->i == 0) aio_queue_shutdown(self->queue, false);
        if (self->i == 1) AIO_AWAIT(aio_sleep(1));
        if (self->i != 0) aio_queue_free(self->queue);
        if (self->i != 0) self->queue = NULL;
        AIO_AWAIT((aio_task *)aio_ref(self->t[0]));
        aio_unref(self->t[0]);
        self->t[0] = NULL;
        aio_queue_free(self->queue);
        self->queue = aio_queue_create(int);
        REQUIRE(self->queue);
    }
    CHECK_STR(queue_log, "12.12.12.");
    aio_queue_shutdown(self->queue, false);
    AIO_ASYNC_FOR(self->item, aio_queue_next(self->queue, int)) UNREACHED();
    AIO_TRY {
        AIO_ASYNC_FOR(self->queue->shut, aio_queue_next(self->queue, char)) UNREACHED();
    } AIO_CATCH_CODE(EINVAL) {
        CHECK_STR(aio_caught(self)->message, "aio_queue_next: not the type of this queue's items");
    } AIO_END_TRY;
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

/* Items without a byte are counted all the same. */
TEST(queue_of_nothing)
{
    const aio_queue_options any = { .maxsize = 0 };
    aio_queue *queue = aio__queue_create(0, 1, &any);
    char item = 'x';
    if (!CHECK(queue)) return;
    for (int i = 0; i < 20; i++) CHECK_INT(aio__queue_put_nowait(queue, &item, 0), 0);
    for (int i = 0; i < 20; i++) CHECK_INT(aio__queue_get_nowait(queue, &item, 0), 0);
    CHECK_INT(aio__queue_get_nowait(queue, &item, 0), AIO_EQUEUEEMPTY);
    CHECK_INT(item, 'x');
    aio_queue_free(queue);
}

/* A ring that grows while its beginning is in its middle keeps the order. */
TEST(queue_fifo)
{
    aio_queue *queue = aio_queue_create(struct queue_item);
    struct queue_item item = { 0, 0 }, out = { 0, 0 };
    int in = 0, got = 0;
    CHECK(queue && aio_queue_empty(queue) && !aio_queue_full(queue));
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 5; i++, in++) {
            item.key = in;
            item.value = -in;
            CHECK_INT(aio_queue_put_nowait(queue, &item), 0);
        }
        for (int i = 0; i < 3; i++, got++) {
            CHECK_INT(aio_queue_get_nowait(queue, &out), 0);
            CHECK_INT(out.key, got);
            CHECK_INT(out.value, -got);
        }
    }
    CHECK_INT(aio_queue_size(queue), in - got);
    for (; got < in; got++) {
        CHECK_INT(aio_queue_get_nowait(queue, &out), 0);
        CHECK_INT(out.key, got);
    }
    CHECK_INT(aio_queue_get_nowait(queue, &out), AIO_EQUEUEEMPTY);
    aio_queue_free(queue);
}

TEST(queue_lifo)
{
    aio_queue *queue = aio_queue_create(int, .lifo = true);
    int item = 0;
    for (int i = 0; i < 20; i++) CHECK_INT(aio_queue_put_nowait(queue, &i), 0);
    for (int i = 19; i >= 10; i--) {
        CHECK_INT(aio_queue_get_nowait(queue, &item), 0);
        CHECK_INT(item, i);
    }
    item = 77;
    aio_queue_put_nowait(queue, &item);
    item = 0;
    aio_queue_get_nowait(queue, &item);
    CHECK_INT(item, 77);
    aio_queue_get_nowait(queue, &item);
    CHECK_INT(item, 9);
    aio_queue_free(queue);
}

static int queue_by_key(const void *a, const void *b)
{
    return ((const struct queue_item *)a)->key - ((const struct queue_item *)b)->key;
}

/* The least key first, and in the order of putting among equals, also with gets in between. */
TEST(queue_priority)
{
    aio_queue *queue = aio_queue_create(struct queue_item, .compare = queue_by_key);
    struct queue_item last = { -1, -1 }, out;
    uint32_t random = 12345;
    for (int i = 0; i < 300; i++) {
        random = random * 1664525u + 1013904223u;
        struct queue_item item = { (int)(random >> 24) % 10, 2 * i };
        CHECK_INT(aio_queue_put_nowait(queue, &item), 0);
        if (i % 3 == 2) {
            CHECK_INT(aio_queue_get_nowait(queue, &out), 0);
            struct queue_item again = out;
            again.value = 2 * i + 1;
            CHECK_INT(aio_queue_put_nowait(queue, &again), 0);
        }
    }
    for (int i = 0; i < 300; i++) {
        CHECK_INT(aio_queue_get_nowait(queue, &out), 0);
        CHECK(out.key > last.key || (out.key == last.key && out.value > last.value));
        last = out;
    }
    CHECK(aio_queue_empty(queue));
    aio_queue_free(queue);
}

TEST(queue_limits)
{
    int item = 1;
    aio_queue *queue = aio_queue_create(int, .maxsize = 2), *negative = aio_queue_create(int, .maxsize = -1);
    CHECK_INT(aio_queue_maxsize(queue), 2);
    CHECK_INT(aio_queue_put_nowait(queue, &item), 0);
    CHECK(!aio_queue_full(queue));
    CHECK_INT(aio_queue_put_nowait(queue, &item), 0);
    CHECK(aio_queue_full(queue));
    CHECK_INT(aio_queue_put_nowait(queue, &item), AIO_EQUEUEFULL);
    CHECK_INT(aio_queue_size(queue), 2);
    for (int i = 0; i < 100; i++) CHECK_INT(aio_queue_put_nowait(negative, &item), 0);
    CHECK(!aio_queue_full(negative));
    aio_queue_free(queue);
    aio_queue_free(negative);
}

TEST(queue_wrong_arguments)
{
    char small = 0;
    int item = 0;
    errno = 0;
    CHECK_PTR(aio_queue_create(int, .lifo = true, .compare = queue_by_key), NULL);
    CHECK_INT(errno, EINVAL);
    aio_queue *queue = aio_queue_create(int), *none = NULL;
    CHECK_INT(aio_queue_put_nowait(queue, &small), EINVAL);
    CHECK_INT(aio_queue_put_nowait(none, &item), EINVAL);
    CHECK_INT(aio_queue_put_nowait(queue, (int *)NULL), EINVAL);
    CHECK_INT(aio_queue_get_nowait(queue, &small), EINVAL);
    CHECK_INT(aio_queue_get_nowait(none, &item), EINVAL);
    CHECK_INT(aio_queue_task_done(queue), EINVAL);
    CHECK_INT(aio_queue_task_done(none), EINVAL);
    CHECK_INT(aio_queue_shutdown(none, true), EINVAL);
    CHECK_INT(aio_queue_free(none), 0);
    CHECK_INT(aio_queue_size(none), 0);
    CHECK(aio_queue_empty(none) && !aio_queue_full(none));
    void *failed[] = { aio_queue_get(queue, int), aio_queue_put(queue, &item), aio_queue_join(queue) };
    for (int i = 0; i < 3; i++) CHECK_INT(aio_future_exception(failed[i])->code, AIO_ENOLOOP);
    aio_unref_all(failed, 3);
    aio_queue_free(queue);
}

QUEUE_CREW(queue_wrong_awaits);
SCENARIO(queue_wrong_awaits)
{
    AIO_BEGIN(queue_wrong_awaits);
    self->queue = aio_queue_create(int);
    REQUIRE(self->queue);
    AIO_TRY {
        AIO_AWAIT(self->item, aio_queue_get(self->queue, char));
        UNREACHED();
    } AIO_CATCH { CHECK_INT(aio_caught(self)->code, EINVAL); } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(aio_queue_put(self->queue, "text"));
        UNREACHED();
    } AIO_CATCH { CHECK_INT(aio_caught(self)->code, EINVAL); } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->item, aio_queue_get((aio_queue *)NULL, int));
        UNREACHED();
    } AIO_CATCH { CHECK_INT(aio_caught(self)->code, EINVAL); } AIO_END_TRY;
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

QUEUE_CREW(queue_getters_in_turn);
SCENARIO(queue_getters_in_turn)
{
    AIO_BEGIN(queue_getters_in_turn);
    queue_log[0] = 0;
    self->queue = aio_queue_create(int);
    REQUIRE(self->queue);
    for (self->i = 0; self->i < 3; self->i++) QUEUE_SPAWN(self->i, AIO_CALL(queue_taker, .queue = self->queue));
    AIO_AWAIT(aio_sleep(0));
    for (self->item = 1; self->item <= 3; self->item++) CHECK_INT(aio_queue_put_nowait(self->queue, &self->item), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "123");
    for (self->i = 0; self->i < 3; self->i++) CHECK_INT(((struct queue_taker *)self->t[self->i])->item, self->i + 1);
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

/* A getter that was called, and then cancelled, hands its call on: the item is not left lying while another waits. */
QUEUE_CREW(queue_cancelled_getter);
SCENARIO(queue_cancelled_getter)
{
    AIO_BEGIN(queue_cancelled_getter);
    queue_log[0] = 0;
    self->queue = aio_queue_create(int);
    REQUIRE(self->queue);
    for (self->i = 0; self->i < 3; self->i++) QUEUE_SPAWN(self->i, AIO_CALL(queue_taker, .queue = self->queue));
    AIO_AWAIT(aio_sleep(0));
    aio_task_cancel(self->t[1]);
    self->item = 7;
    CHECK_INT(aio_queue_put_nowait(self->queue, &self->item), 0);
    aio_task_cancel(self->t[0]);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "!!7");
    CHECK_INT(((struct queue_taker *)self->t[2])->item, 7);
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

QUEUE_CREW(queue_cancelled_putter);
SCENARIO(queue_cancelled_putter)
{
    AIO_BEGIN(queue_cancelled_putter);
    queue_log[0] = 0;
    self->queue = aio_queue_create(int, .maxsize = 1);
    REQUIRE(self->queue);
    AIO_AWAIT(aio_queue_put(self->queue, &self->item));
    for (self->i = 0; self->i < 3; self->i++)
        QUEUE_SPAWN(self->i, AIO_CALL(queue_giver, .queue = self->queue, .item = self->i));
    AIO_AWAIT(aio_sleep(0));
    aio_task_cancel(self->t[1]);
    CHECK_INT(aio_queue_get_nowait(self->queue, &self->item), 0);
    aio_task_cancel(self->t[0]);
    for (self->i = 0; self->i < 3; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "!!c");
    CHECK_INT(aio_queue_get_nowait(self->queue, &self->item), 0);
    CHECK_INT(self->item, 2);
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

/* A getter that was called finds that another was quicker, and waits again. asyncio's get() has no turn while there is
 * something to get. */
QUEUE_CREW(queue_overtaken_getter);
SCENARIO(queue_overtaken_getter)
{
    AIO_BEGIN(queue_overtaken_getter);
    queue_log[0] = 0;
    self->queue = aio_queue_create(int);
    REQUIRE(self->queue);
    QUEUE_SPAWN(0, AIO_CALL(queue_taker, .queue = self->queue));
    AIO_AWAIT(aio_sleep(0));
    self->item = 1;
    REQUIRE(aio_queue_put_nowait(self->queue, &self->item) == 0);
    AIO_AWAIT(self->item, aio_queue_get(self->queue, int));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "");
    self->item = 2;
    CHECK_INT(aio_queue_put_nowait(self->queue, &self->item), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "2");
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

/* Who was called, overtaken and then cancelled has nothing to hand on: those behind it keep their order. */
QUEUE_CREW(queue_overtaken_cancelled);
SCENARIO(queue_overtaken_cancelled)
{
    AIO_BEGIN(queue_overtaken_cancelled);
    queue_log[0] = 0;
    self->queue = aio_queue_create(int, .maxsize = 1);
    REQUIRE(self->queue);
    for (self->i = 0; self->i < 3; self->i++) QUEUE_SPAWN(self->i, AIO_CALL(queue_taker, .queue = self->queue));
    AIO_AWAIT(aio_sleep(0));
    REQUIRE(aio_queue_put_nowait(self->queue, &self->i) == 0);
    CHECK_INT(aio_queue_get_nowait(self->queue, &self->item), 0);
    aio_task_cancel(self->t[0]);
    AIO_AWAIT(aio_sleep(0));
    for (self->i = 1; self->i <= 2; self->i++) {
        AIO_AWAIT(aio_sleep(0));
        REQUIRE(aio_queue_put_nowait(self->queue, &self->i) == 0);
        AIO_AWAIT(aio_sleep(0));
    }
    CHECK_STR(queue_log, "!12");
    CHECK_INT(((struct queue_taker *)self->t[1])->item, 1);
    CHECK_INT(((struct queue_taker *)self->t[2])->item, 2);
    aio_unref_all(self->t, 3);
    REQUIRE(aio_queue_put_nowait(self->queue, &self->i) == 0);
    for (self->i = 0; self->i < 3; self->i++)
        QUEUE_SPAWN(self->i, AIO_CALL(queue_giver, .queue = self->queue, .item = self->i));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_queue_get_nowait(self->queue, &self->item), 0);
    REQUIRE(aio_queue_put_nowait(self->queue, &self->i) == 0);
    aio_task_cancel(self->t[0]);
    AIO_AWAIT(aio_sleep(0));
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_AWAIT(aio_sleep(0));
        CHECK_INT(aio_queue_get_nowait(self->queue, &self->item), 0);
        CHECK_INT(self->item, self->i ? self->i : 3);
        AIO_AWAIT(aio_sleep(0));
    }
    CHECK_STR(queue_log, "!12!bc");
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

/* What is put was copied by the call: a C local may be put although the put waits. */
QUEUE_CREW(queue_put_copies);
static aio_future *queue_put_local(aio_queue *queue, int value)
{
    int local = value;
    return aio_queue_put(queue, &local);
}
struct queue_local_giver { aio_task task; aio_queue *queue; };
static AIO_CORO(queue_local_giver)
{
    AIO_BEGIN(queue_local_giver);
    AIO_AWAIT(queue_put_local(self->queue, 5));
    AIO_END;
}
SCENARIO(queue_put_copies)
{
    AIO_BEGIN(queue_put_copies);
    queue_log[0] = 0;
    self->queue = aio_queue_create(int, .maxsize = 1);
    REQUIRE(self->queue);
    AIO_AWAIT(queue_put_local(self->queue, 4));
    for (self->i = 0; self->i < 2; self->i++) QUEUE_SPAWN(self->i, AIO_CALL(queue_taker, .queue = self->queue));
    CHECK(aio_queue_full(self->queue));
    QUEUE_SPAWN(2, AIO_CALL(queue_local_giver, .queue = self->queue));
    for (self->i = 0; self->i < 4; self->i++) AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "45");
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

/* Join waits for task_done of every item, and is woken once, though work comes after it. */
QUEUE_CREW(queue_join);
struct queue_joiner { aio_task task; aio_queue *queue; };
static AIO_CORO(queue_joiner)
{
    AIO_BEGIN(queue_joiner);
    AIO_AWAIT(aio_queue_join(self->queue));
    queue_say('J');
    AIO_END;
}
SCENARIO(queue_join)
{
    AIO_BEGIN(queue_join);
    queue_log[0] = 0;
    self->queue = aio_queue_create(int);
    REQUIRE(self->queue);
    AIO_AWAIT(aio_queue_join(self->queue));
    for (self->i = 0; self->i < 2; self->i++) AIO_AWAIT(aio_queue_put(self->queue, &self->i));
    for (self->i = 0; self->i < 2; self->i++) QUEUE_SPAWN(self->i, AIO_CALL(queue_joiner, .queue = self->queue));
    AIO_AWAIT(self->item, aio_queue_get(self->queue, int));
    AIO_AWAIT(self->item, aio_queue_get(self->queue, int));
    CHECK_INT(aio_queue_task_done(self->queue), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "");
    CHECK_INT(aio_queue_task_done(self->queue), 0);
    CHECK_INT(aio_queue_task_done(self->queue), EINVAL);
    AIO_AWAIT(aio_queue_put(self->queue, &self->i));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "JJ");
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

/* Gets go on until it is empty; then they, and puts at once, raise. */
QUEUE_CREW(queue_shutdown);
SCENARIO(queue_shutdown)
{
    AIO_BEGIN(queue_shutdown);
    queue_log[0] = 0;
    self->queue = aio_queue_create(int, .maxsize = 1);
    REQUIRE(self->queue);
    self->item = 3;
    AIO_AWAIT(aio_queue_put(self->queue, &self->item));
    for (self->i = 0; self->i < 2; self->i++) QUEUE_SPAWN(self->i, AIO_CALL(queue_giver, .queue = self->queue));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_queue_shutdown(self->queue, false), 0);
    CHECK_INT(aio_queue_put_nowait(self->queue, &self->i), AIO_EQUEUESHUTDOWN);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "XX");
    CHECK_INT(aio_queue_size(self->queue), 1);
    AIO_AWAIT(self->item, aio_queue_get(self->queue, int));
    CHECK_INT(self->item, 3);
    CHECK_INT(aio_queue_get_nowait(self->queue, &self->item), AIO_EQUEUESHUTDOWN);
    QUEUE_SPAWN(2, AIO_CALL(queue_taker, .queue = self->queue));
    QUEUE_SPAWN(3, AIO_CALL(queue_giver, .queue = self->queue));
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "XXXX");
    CHECK_INT(aio_queue_task_done(self->queue), 0);
    AIO_AWAIT(aio_queue_join(self->queue));
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

/* Getters that wait raise; immediately, the items are dropped, count as done, and free who joins. */
QUEUE_CREW(queue_shutdown_now);
static int queue_dropped;
static void queue_drop(void *item) { queue_dropped = queue_dropped * 10 + *(int *)item; }
SCENARIO(queue_shutdown_now)
{
    AIO_BEGIN(queue_shutdown_now);
    queue_log[0] = 0;
    queue_dropped = 0;
    self->queue = aio_queue_create(int, .drop = queue_drop);
    REQUIRE(self->queue);
    for (self->i = 1; self->i <= 3; self->i++) AIO_AWAIT(aio_queue_put(self->queue, &self->i));
    QUEUE_SPAWN(0, AIO_CALL(queue_joiner, .queue = self->queue));
    AIO_AWAIT(self->item, aio_queue_get(self->queue, int));
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(aio_queue_shutdown(self->queue, true), 0);
    CHECK_INT(queue_dropped, 23);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "");
    CHECK_INT(aio_queue_task_done(self->queue), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "J");
    CHECK_INT(aio_queue_shutdown(self->queue, true), 0);
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

QUEUE_CREW(queue_shutdown_getters);
SCENARIO(queue_shutdown_getters)
{
    AIO_BEGIN(queue_shutdown_getters);
    queue_log[0] = 0;
    self->queue = aio_queue_create(int);
    REQUIRE(self->queue);
    for (self->i = 0; self->i < 3; self->i++) QUEUE_SPAWN(self->i, AIO_CALL(queue_taker, .queue = self->queue));
    AIO_AWAIT(aio_sleep(0));
    self->item = 5;
    CHECK_INT(aio_queue_put_nowait(self->queue, &self->item), 0);
    CHECK_INT(aio_queue_shutdown(self->queue, false), 0);
    AIO_AWAIT(aio_sleep(0));
    CHECK_STR(queue_log, "5XX");
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}

/* Called before the queue is freed, and begun behind that, or never. */
struct queue_freed_early { aio_task task; aio_queue *queue; aio_future *calls[4]; int i, item; };
SCENARIO(queue_freed_early)
{
    AIO_BEGIN(queue_freed_early);
    REQUIRE(self->queue = aio_queue_create(int, .maxsize = 1));
    REQUIRE(self->calls[0] = (aio_future *)aio_create_task(aio_queue_get(self->queue, int)));
    REQUIRE(self->calls[1] = (aio_future *)aio_create_task(aio_queue_next(self->queue, int)));
    REQUIRE(aio_queue_put_nowait(self->queue, &self->item) == 0);
    REQUIRE(self->calls[2] = (aio_future *)aio_create_task(aio_queue_put(self->queue, &self->item)));
    REQUIRE(self->calls[3] = (aio_future *)aio_queue_put(self->queue, &self->item));
    CHECK_INT(aio_queue_free(self->queue), 0);
    self->queue = NULL;
    aio_future_cancel(self->calls[3]);
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->calls[self->i]));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(self->i == 1 ? AIO_ESTOPITERATION : AIO_EQUEUESHUTDOWN);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        for (int i = 0; i < 4; i++) aio_unref(self->calls[i]);
        aio_queue_free(self->queue);
    AIO_END;
}

/* Freed while they wait, or were called but have not run yet: everyone gets an error, and nobody touches it. */
QUEUE_CREW(queue_freed);
SCENARIO(queue_freed)
{
    AIO_BEGIN(queue_freed);
    queue_log[0] = 0;
    queue_dropped = 0;
    self->queue = aio_queue_create(int, .drop = queue_drop);
    REQUIRE(self->queue);
    for (self->i = 0; self->i < 3; self->i++) QUEUE_SPAWN(self->i, AIO_CALL(queue_taker, .queue = self->queue));
    AIO_AWAIT(aio_sleep(0));
    self->item = 6;
    CHECK_INT(aio_queue_put_nowait(self->queue, &self->item), 0);
    aio_task_cancel(self->t[2]);
    CHECK_INT(aio_queue_free(self->queue), 0);
    self->queue = NULL;
    CHECK_INT(queue_dropped, 6);
    AIO_AWAIT(aio_sleep(0));
    CHECK_INT(strlen(queue_log), 3);
    CHECK(strchr(queue_log, '!') && strchr(queue_log, 'X') != strrchr(queue_log, 'X'));
    AIO_FINALLY;
    queue_dismiss(&self->queue, self->t);
    AIO_END;
}
