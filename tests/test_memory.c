/* Memory: slabs, objects with an allocation of their own, visiting, buffers, and what an empty process has. */

static void memory_open(aio__heap *heap)
{
    memset(heap, 0, sizeof *heap);
    aio__ring_clear(&heap->own);
}

TEST(memory_slots_are_reused_and_aligned)
{
    aio__heap heap;
    memory_open(&heap);
    for (size_t size = 1; size <= AIO__SLAB_MAX; size += 13) {
        void *one = aio__pool_alloc(&heap, size), *two = aio__pool_alloc(&heap, size);
        CHECK(one && two && one != two);
        CHECK_INT((uintptr_t)one % AIO__GRAIN, 0);
        CHECK_INT((uintptr_t)two % AIO__GRAIN, 0);
        memset(one, 0xAB, size);
        memset(two, 0xCD, size);
        CHECK_INT(((unsigned char *)one)[size - 1], 0xAB); /* they do not overlap */
        aio__pool_free(&heap, one, size);
        CHECK_PTR(aio__pool_alloc(&heap, size), one); /* last in, first out */
        aio__pool_free(&heap, one, size);
        aio__pool_free(&heap, two, size);
    }
    aio__heap_clear(&heap);
}

TEST(memory_fills_several_blocks)
{
    enum { COUNT = 5000, SIZE = 100 };
    aio__heap heap;
    memory_open(&heap);
    unsigned char **objects = (unsigned char **)malloc(COUNT * sizeof *objects);
    for (int i = 0; i < COUNT; i++) {
        objects[i] = (unsigned char *)aio__pool_alloc(&heap, SIZE);
        memset(objects[i], i % 251, SIZE);
    }
    int spoiled = 0;
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < SIZE; k++) spoiled += objects[i][k] != i % 251;
    CHECK_INT(spoiled, 0);
    long blocks = seam.live;
    CHECK(blocks >= COUNT * 112 / 65536 && blocks <= COUNT * 112 / 65536 + 2);
    for (int i = 0; i < COUNT; i++) aio__pool_free(&heap, objects[i], SIZE);
    for (int i = 0; i < COUNT; i++) CHECK(aio__pool_alloc(&heap, SIZE) != NULL);
    CHECK_INT(seam.live, blocks); /* all of it from what was given back */
    free(objects);
    aio__heap_clear(&heap);
    CHECK_INT(seam.live, 0);
}

TEST(memory_large_objects_stand_alone)
{
    aio__heap heap;
    memory_open(&heap);
    char *large = (char *)aio__pool_alloc(&heap, AIO__SLAB_MAX + 1);
    CHECK_INT(seam.live, 1);
    memset(large, 1, AIO__SLAB_MAX + 1);
    aio__pool_free(&heap, large, AIO__SLAB_MAX + 1);
    CHECK_INT(seam.live, 0);
    CHECK(aio__pool_alloc(&heap, 2 * AIO__SLAB_MAX) != NULL);
    aio__heap_clear(&heap); /* gives it back, too */
}

static void memory_sum(void *object, void *arg) { *(int *)arg += ((int *)object)[8]; }

TEST(memory_each_visits_the_living)
{
    enum { COUNT = 3000 };
    aio__heap heap;
    int sum = 0, expected = 0, *objects[COUNT];
    memory_open(&heap);
    for (int i = 0; i < COUNT; i++) {
        size_t size = i % 7 == 0 ? AIO__SLAB_MAX + 8 : 48 + (size_t)(i % 5) * 160;
        objects[i] = (int *)aio__pool_alloc(&heap, size);
        memset(objects[i], 0, size);
        objects[i][0] = 1; /* where a future has its owners */
        objects[i][8] = i;
    }
    for (int i = 0; i < COUNT; i++) {
        size_t size = i % 7 == 0 ? AIO__SLAB_MAX + 8 : 48 + (size_t)(i % 5) * 160;
        if (i % 3 == 0) aio__pool_free(&heap, objects[i], size);
        else expected += i;
    }
    aio__heap_each(&heap, memory_sum, &sum);
    CHECK_INT(sum, expected);
    aio__heap_clear(&heap);
    sum = 0;
    aio__heap_each(&heap, memory_sum, &sum);
    CHECK_INT(sum, 0);
}

TEST(memory_refuses_when_there_is_none)
{
    aio__heap heap;
    memory_open(&heap);
    seam.fail_alloc = 1;
    seam.fail_on = true;
    aio__out_of_memory = false;
    CHECK(aio__pool_alloc(&heap, 10) == NULL);
    ALWAYS(aio__out_of_memory);
    ALWAYS(aio__pool_alloc(&heap, 5000) == NULL);
    ALWAYS(aio__malloc(0) == NULL);
    ALWAYS(aio__strndup("abc", 3) == NULL);
    ALWAYS(aio_new_event_loop() == NULL);
    ALWAYS(errno == ENOMEM);
    ALWAYS(AIO_CALL(loop_forever) == NULL);
    aio__out_of_memory = false;
    seam.fail_alloc = 0;
    void *slot = aio__pool_alloc(&heap, 10);
    ALWAYS(slot != NULL);
    aio__pool_free(&heap, slot, 10);
    aio__heap_clear(&heap);
}

TEST(memory_zero_and_null)
{
    void *none = aio__malloc(0), *grown = aio__realloc(NULL, 0);
    CHECK(none && grown);
    aio__free(none);
    aio__free(grown);
    aio__free(NULL);
    char *copy = aio__strndup("abcdef", 3);
    CHECK_STR(copy, "abc");
    aio__free(copy);
    unsigned char *zero = (unsigned char *)aio__calloc(100);
    for (int i = 0; i < 100; i++) CHECK_INT(zero[i], 0);
    aio__free(zero);
}

TEST(memory_rings)
{
    aio__node a, items[6];
    aio__ring_clear(&a);
    CHECK(aio__ring_empty(&a));
    for (int i = 0; i < 6; i++) aio__ring_insert(&a, &items[i]);
    CHECK(!aio__ring_empty(&a));
    aio__ring_remove(&items[4]);
    CHECK_PTR(items[4].next, NULL);
    static const int order[] = { 0, 1, 2, 3, 5 };
    aio__node *node = a.next;
    for (int i = 0; i < 5; i++, node = node->next) CHECK_PTR(node, &items[order[i]]);
    CHECK_PTR(node, &a);
    CHECK_PTR(a.prev, &items[5]);
    while (!aio__ring_empty(&a)) aio__ring_remove(a.next);
    CHECK_PTR(a.prev, &a);
}

TEST(memory_idle_task_is_small)
{
    CHECK_INT(sizeof(void *) == 8 ? sizeof(aio_task) : 104, 104);
    CHECK_INT(sizeof(aio_future) <= 40, 1);
    CHECK_INT(((offsetof(aio_task, node)) & sizeof(void *)) != 0, 1);
}

/* A buffer that is taken from at the front and added to at the end moves what is left while that is little, so that it
 * stays as it is, and grows otherwise, so that no byte is moved again and again. */
TEST(memory_buffers_are_compacted)
{
    aio__buffer buffer;
    char text[200];
    memset(&buffer, 0, sizeof buffer);
    for (int i = 0; i < 200; i++) text[i] = (char)i;
    CHECK(aio__buffer_append(&buffer, text, 200));
    size_t capacity = buffer.capacity;
    char *data = buffer.data;
    for (int i = 0; i < 100; i++) {
        buffer.start += 150;
        CHECK_BYTES(buffer.data + buffer.start, buffer.end - buffer.start, text + 150, 50);
        CHECK(aio__buffer_append(&buffer, text, 150));
        CHECK_PTR(buffer.data, data);
        CHECK_INT(buffer.capacity, capacity);
        CHECK_INT(buffer.end - buffer.start, 200);
        CHECK_BYTES(buffer.data + buffer.start, 50, text + 150, 50);
        buffer.start += 50;
        CHECK(aio__buffer_append(&buffer, text + 150, 50)); /* 0 to 149, 150 to 199 */
        CHECK_BYTES(buffer.data + buffer.start, buffer.end - buffer.start, text, 200);
    }
    while (buffer.capacity - buffer.end < 60) CHECK(aio__buffer_append(&buffer, text, 1));
    buffer.start++; /* one byte: to move all the others for it would not do */
    size_t length = buffer.end - buffer.start;
    capacity = buffer.capacity;
    CHECK(aio__buffer_reserve(&buffer, capacity - length));
    CHECK(buffer.capacity > capacity);
    CHECK_INT(buffer.end - buffer.start, length);
    CHECK_BYTES(buffer.data + buffer.start, 50, text + 1, 50);
    CHECK(!aio__buffer_reserve(&buffer, SIZE_MAX / 2));
    aio__free(buffer.data);
}

struct memory_one { aio_task task; aio_event *event; };
static AIO_CORO(memory_one)
{
    AIO_BEGIN(memory_one);
    AIO_AWAIT(aio_event_wait(self->event));
    AIO_END;
}

static uint32_t memory_blocks(const aio_loop *loop)
{
    uint32_t count = 0;
    for (int i = 0; i < AIO__CLASSES; i++) count += loop->frames.block_count[i];
    return count;
}

/* Slabs go back when a crowd has gone and the loop has nothing to do; who is left is as he was. */
struct memory_goes_back { aio_task task; struct memory_one **all; int i; uint32_t most; aio_event leave, stay; };
SCENARIO(memory_goes_back, .skip = KIND_ALLOC | KIND_CALL | KIND_SLICE | KIND_CANCEL | KIND_DEBUG) /* 20,000 tasks */
{
    enum { COUNT = 20000 };
    AIO_BEGIN(memory_goes_back);
    self->all = calloc(COUNT, sizeof *self->all);
    for (self->i = 0; self->i < COUNT; self->i++) {
        self->all[self->i] =
            aio_create_task(AIO_CALL(memory_one, .event = self->i % 5000 == 77 ? &self->stay : &self->leave));
        REQUIRE(self->all[self->i]);
    }
    AIO_AWAIT(aio_sleep(0.01));
    self->most = memory_blocks(aio__running);
    aio_event_set(&self->leave);
    for (self->i = 0; self->i < COUNT; self->i++) {
        if (self->i % 5000 == 77) continue;
        AIO_AWAIT(self->all[self->i]);
        self->all[self->i] = NULL;
    }
    CHECK_INT(memory_blocks(aio__running), self->most);
    AIO_AWAIT(aio_sleep(0.01));
    if (!aio__plain) {
        CHECK(self->most > 30 * sizeof(void *) / 8); /* tasks are half as large with 32 bits */
        CHECK(memory_blocks(aio__running) < 14);
    }
    for (self->i = 0; self->i < COUNT; self->i++) {
        CHECK((self->all[self->i] != NULL) == (self->i % 5000 == 77));
        CHECK(!self->all[self->i] || !aio_future_done(self->all[self->i]));
        if (!self->all[self->i]) self->all[self->i] = aio_create_task(AIO_CALL(memory_one, .event = &self->stay));
        REQUIRE(self->all[self->i]);
    }
    aio_event_set(&self->stay);
    for (self->i = 0; self->i < COUNT; self->i++) {
        AIO_AWAIT(self->all[self->i]);
        self->all[self->i] = NULL;
    }
    AIO_FINALLY;
    if (self->all) aio_unref_all(self->all, COUNT);
    free(self->all);
    AIO_END;
}
