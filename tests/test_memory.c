/* Memory: slabs, objects with an allocation of their own, visiting, buffers, and what an empty process has. */

static void memory_open(aio__heap *heap)
{
    memset(heap, 0, sizeof *heap);
    aio__ring_clear(&heap->own);
}

TEST(memory_slots_are_reused_and_aligned, .skip = KIND_OWN)
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

TEST(memory_fills_several_blocks, .skip = KIND_OWN)
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
    ALWAYS(aio__pool_alloc(&heap, 10) == NULL);
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

/* What is opened says ENOMEM, wherever memory ends on the way. */
static aio_session *memory_session;
static void memory_close_session(aio_session *session) { aio_unref(aio_session_close(session)); }
static void memory_close_writer(aio_json_writer *writer)
{
    aio_text text;
    if (!aio_json_writer_finish(writer, &text, NULL)) aio_text_clear(&text);
}
#define MEMORY_OPENED(X)                                                                                       \
    X(aio_executor *, aio_executor_open(), (void)aio_executor_close)                                           \
    X(aio_resolver *, aio_resolver_open(.nameservers = "127.0.0.1"), aio_resolver_close)                       \
    X(aio_cookie_jar *, aio_cookie_jar_open(), aio_cookie_jar_unref)                                           \
    X(aio_inflate *, aio_inflate_open(), aio_inflate_close) X(aio_deflate *, aio_deflate_open(), aio_deflate_close) \
    X(aio_json_writer *, aio_json_writer_open(), memory_close_writer)                                          \
    X(aio_http_parser *, aio_http_parser_open(), aio_http_parser_close)                                        \
    X(aio_connector *, aio_connector_open(), aio_connector_unref)                                              \
    X(aio_session *, aio_session_open(.base_url = "http://a.test/"), memory_close_session)                     \
    X(aio_form *, aio_form_open(), aio_form_unref) X(aio_app *, aio_app_open(), aio_app_close)                 \
    X(aio_sse *, aio_sse_open(memory_session, "http://a.test/"), aio_sse_close)
#define MEMORY_OPEN(type, open, close)                        \
    for (long n = 1; ; n++) {                                 \
        errno = EINVAL;                                       \
        seam.fail_alloc = seam.allocations + n;               \
        type opened = open;                                   \
        int code = errno;                                     \
        seam.fail_alloc = seam.touched = 0;                   \
        if (!opened) CHECK_INT(code, ENOMEM);                 \
        if (opened) close(opened);                            \
        if (opened || n > 20) {                               \
            CHECK(n > 1 && opened);                           \
            break;                                            \
        }                                                     \
    }
TEST(memory_opens)
{
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    CHECK(memory_session = aio_session_open());
    MEMORY_OPENED(MEMORY_OPEN)
    memory_close_session(memory_session);
    aio_loop_free(loop);
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

/* ---- what stands at the edges ---- */

static void *memory_none(size_t size) { return (void)size, NULL; }
static void *memory_dirty(size_t size) { return memset(malloc(size), 0xA5, size); }
static int memory_asked;
static void *memory_no_more(void *memory, size_t size) { return (void)memory, (void)size, memory_asked++, NULL; }

/* An allocator need not set errno, and its memory need not be zero. */
TEST(memory_of_other_allocators)
{
    aio__os.malloc = memory_none;
    aio__out_of_memory = false;
    errno = 0;
    CHECK_PTR(aio__malloc(5), NULL);
    CHECK_INT(errno, ENOMEM);
    CHECK(aio__out_of_memory);
    CHECK_PTR(aio__calloc(5), NULL);
    aio__os.malloc = memory_dirty;
    unsigned char *zero = (unsigned char *)aio__calloc(50);
    for (int i = 0; i < 50; i++) CHECK_INT(zero[i], 0);
    free(zero);
    aio__os.malloc = seam_malloc;
}

/* valgrind is known by what it preloads, and sees objects from then on. */
TEST(memory_valgrind_is_seen, .skip = KIND_DEBUG)
{
    const char *had = getenv("LD_PRELOAD");
    bool on = aio__on_valgrind, plain = aio__plain;
    char *before = had ? strdup(had) : NULL;
    static const char *const rows[] = { NULL, "/lib/other.so", "/usr/libexec/vgpreload_memcheck-amd64-linux.so" };
    for (int i = 0; i < 3; i++) {
        aio__on_valgrind = aio__plain = false;
        unsetenv("LD_PRELOAD");
        if (rows[i]) setenv("LD_PRELOAD", rows[i], 1);
        aio__valgrind_look();
        CHECK_INT(aio__on_valgrind, i == 2);
        CHECK_INT(aio__plain, i == 2);
    }
    unsetenv("LD_PRELOAD");
    if (before) setenv("LD_PRELOAD", before, 1);
    free(before);
    aio__on_valgrind = on;
    aio__plain = plain;
}

/* A block is used up to its last slot, and the largest objects of slabs are in them; without slabs none is. */
TEST(memory_blocks_are_full, .skip = KIND_OWN)
{
    static const size_t sizes[] = { 16, 1024 };
    aio__heap heap;
    memory_open(&heap);
    for (int i = 0; i < 2; i++) {
        size_t slots = aio__slots_a_block(sizes[i]), class_ = sizes[i] / AIO__GRAIN - 1;
        CHECK_INT(slots, i ? 63 : 4091);
        for (size_t k = 0; k < slots; k++) CHECK(aio__pool_alloc(&heap, sizes[i]) != NULL);
        CHECK_INT(heap.block_count[class_], 1);
        CHECK_INT(seam.live, 2 * i + 1);
        void *last = aio__pool_alloc(&heap, sizes[i]);
        CHECK_INT(heap.block_count[class_], 2);
        aio__pool_free(&heap, last, sizes[i]);
        CHECK_PTR(aio__pool_alloc(&heap, sizes[i]), last);
        aio__pool_free(&heap, last, sizes[i]); /* a slot is free when all are given back */
    }
    aio__heap_clear(&heap);
    for (int i = 0; i < AIO__CLASSES; i++)
        CHECK(!heap.free[i] && !heap.bump[i] && !heap.end[i] && !heap.blocks[i] && !heap.block_count[i]);
    CHECK_INT(seam.live, 0);
    aio__plain = true;
    void *one = aio__pool_alloc(&heap, 16), *two = aio__pool_alloc(&heap, 16);
    CHECK_INT(seam.live, 2);
    aio__pool_free(&heap, one, 16);
    CHECK_INT(seam.live, 1);
    aio__pool_free(&heap, two, 16);
    aio__plain = false;
}

static void memory_count(void *object, void *arg) { (void)object, ++*(int *)arg; }

static long memory_free_slots(const aio__heap *heap, size_t class_)
{
    long count = 0;
    for (const aio__slot *slot = heap->free[class_]; slot; slot = slot->next) count++;
    return count;
}

/* Of twenty blocks, all free, the newest and four others stay, and work; with one slot in use, its block stays, too. */
TEST(memory_trims, .skip = KIND_OWN)
{
    enum { BLOCKS = 20, SLOTS = 63, CLASS = AIO__CLASSES - 1, SIZE = AIO__SLAB_MAX };
    static void *all[BLOCKS * SLOTS];
    for (int used = 0; used < 2; used++) {
        aio__heap heap;
        int living = 0;
        memory_open(&heap);
        for (int i = 0; i < BLOCKS * SLOTS; i++) {
            all[i] = aio__pool_alloc(&heap, SIZE);
            memset(all[i], 0, SIZE);
            *(uint32_t *)all[i] = 1;
        }
        aio__block_head *newest = heap.blocks[CLASS];
        for (int i = 0; i < BLOCKS * SLOTS; i++) {
            int k = i * 37 % (BLOCKS * SLOTS); /* in no order */
            if (!used || k != 9 * SLOTS + 5) aio__pool_free(&heap, all[k], SIZE);
        }
        CHECK_INT(seam.live, BLOCKS);
        CHECK(aio__trim_class(&heap, CLASS));
        CHECK_PTR(heap.blocks[CLASS], newest);
        CHECK_INT(heap.block_count[CLASS], 5 + used);
        CHECK_INT(seam.live, 5 + used);
        CHECK_INT(memory_free_slots(&heap, CLASS), (5 + used) * SLOTS - used);
        aio__heap_each(&heap, memory_count, &living);
        CHECK_INT(living, used);
        for (int i = 0; i < (5 + used) * SLOTS - used; i++) CHECK(aio__pool_alloc(&heap, SIZE) != NULL);
        CHECK_INT(seam.live, 5 + used);
        CHECK(!aio__trim_class(&heap, CLASS));
        aio__heap_clear(&heap);
        CHECK_INT(seam.live, 0);
    }
}

/* From which count of blocks, and up to which count of slots, a class is looked at. */
TEST(memory_trims_within_limits)
{
    static const struct { int class_; uint32_t blocks; bool looks; } rows[] = {
        { AIO__CLASSES - 1, 16, false }, { AIO__CLASSES - 1, 17, true }, { 0, 32, true }, { 0, 33, false },
        { 62, 2048, true }, { 62, 2049, false }, /* 64 slots a block: 131072 */
    };
    aio__heap heap;
    memory_open(&heap);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        heap.block_count[rows[i].class_] = rows[i].blocks; /* it has none in truth */
        CHECK_INT(aio__trim_class(&heap, (size_t)rows[i].class_), rows[i].looks);
        CHECK_INT(seam.live, 0);
        heap.block_count[rows[i].class_] = 0;
    }
    heap.block_count[0] = 20;
    seam.fail_alloc = seam.allocations + 1;
    ALWAYS(!aio__trim_class(&heap, 0));
}

static void memory_fill(aio__heap *heap, size_t count)
{
    for (size_t i = 0; i < count; i++) *(uint32_t *)aio__pool_alloc(heap, AIO__GRAIN) = 1;
}

/* A class that keeps its blocks grows by large ones, used to their ends, of large pages if the system has some; without
 * memory for one a small one does. */
TEST(memory_grows_by_large_blocks, .skip = KIND_OWN)
{
    enum { SMALL = 33, SLOTS = 4091, LARGE = AIO__LARGE_BLOCK };
    const size_t size = (size_t)LARGE * AIO__SLAB_BLOCK, slots = (size - AIO__BLOCK_FIRST) / AIO__GRAIN;
    for (int way = 0; way < 3; way++) { /* it has all, no memory, no large pages */
        aio__heap heap;
        int living = 0;
        memory_open(&heap);
        memory_fill(&heap, SMALL * SLOTS);
        CHECK_INT(heap.block_count[0], SMALL);
        errno = EDOM;
        aio__out_of_memory = false;
        if (way == 1) seam.fail_alloc = seam.allocations + 1;
#if AIO__LINUX
        seam.fail_call = CALL_madvise;
        seam.error = EINVAL;
        seam.fail_at = way == 2 ? seam.calls[CALL_madvise] + 1 : 0;
        long advised = seam.calls[CALL_madvise];
#endif
        memory_fill(&heap, 1);
        seam.touched = 0; /* all that follows counts */
        CHECK(!aio__out_of_memory);
#if AIO__LINUX
        CHECK_INT(seam.calls[CALL_madvise], advised + (way != 1));
        CHECK(way == 1 || errno == EDOM);
#endif
        CHECK_INT(seam.live, SMALL + 1);
        CHECK_INT(heap.block_count[0], SMALL + (way == 1 ? 1 : LARGE));
        CHECK_INT(heap.blocks[0]->size, way == 1 ? AIO__SLAB_BLOCK : size);
        memory_fill(&heap, (way == 1 ? SLOTS : slots) - 1);
        CHECK_INT(seam.live, SMALL + 1);
        CHECK_INT((char *)heap.blocks[0] + heap.blocks[0]->size - heap.bump[0], 0);
        memory_fill(&heap, 1);
        CHECK_INT(seam.live, SMALL + 2);
        CHECK_INT(heap.block_count[0], SMALL + (way == 1 ? 1 : LARGE) + LARGE);
        aio__heap_each(&heap, memory_count, &living);
        CHECK_INT(living, SMALL * SLOTS + (way == 1 ? SLOTS : (int)slots) + 1);
        CHECK(!aio__trim_class(&heap, 0));
        seam.fail_alloc = 0;
        aio__heap_clear(&heap);
        CHECK_INT(seam.live, 0);
    }
}

/* Every block of any number is found by its first and by its last byte, in whatever order they were. */
TEST(memory_trim_finds_blocks)
{
    enum { SLABS = 40, BLOCK = 4096 };
    static char memory[SLABS * BLOCK];
    for (size_t count = 1; count <= SLABS; count++) {
        aio__trim all[SLABS];
        for (size_t i = 0; i < count; i++) {
            all[i].block = (aio__block_head *)(void *)&memory[(i * 41 + 7) % count * BLOCK];
            all[i].free_ = 0;
        }
        aio__trim_sort(all, count);
        for (size_t i = 0; i < count; i++) {
            CHECK_PTR(all[i].block, &memory[i * BLOCK]);
            CHECK_PTR(aio__trim_of(all, count, (aio__slot *)(void *)&memory[i * BLOCK]), &all[i]);
            CHECK_PTR(aio__trim_of(all, count, (aio__slot *)(void *)&memory[(i + 1) * BLOCK - 16]), &all[i]);
        }
    }
}

/* A buffer grows when what is asked for does not fit, and not before. */
TEST(memory_buffers_grow_at_their_edges)
{
    aio__buffer b;
    char text[256];
    memset(text, 'x', sizeof text);
    memset(&b, 0, sizeof b);
    CHECK(aio__buffer_append(&b, NULL, 0));
    CHECK_PTR(b.data, NULL);
    CHECK(aio__buffer_append(&b, text, 1));
    CHECK_INT(b.capacity, 256);
    CHECK(aio__buffer_append(&b, text, 255)); /* it fits */
    CHECK_INT(b.capacity, 256);
    b.start = 128; /* half of it, and as much is asked for: it moves */
    CHECK(aio__buffer_reserve(&b, 128));
    CHECK_INT(b.capacity, 256);
    CHECK_INT(b.start, 0);
    CHECK_INT(b.end, 128);
    b.end = 256;
    b.start = 200;
    CHECK(aio__buffer_reserve(&b, 201)); /* moving alone would not do */
    CHECK(b.capacity - b.end >= 201);
    CHECK_INT(b.end, 56);
    CHECK(b.capacity < 1000);
    memory_asked = 0;
    aio__os.realloc = memory_no_more;
    CHECK(!aio__buffer_reserve(&b, SIZE_MAX / 4 + 1));
    CHECK_INT(memory_asked, 0);
    CHECK(!aio__buffer_reserve(&b, SIZE_MAX / 4));
    CHECK_INT(memory_asked, 1);
    size_t end = b.end;
    while (b.capacity - b.end >= 256) b.end += 256;
    b.end = b.capacity;
    CHECK(!aio__buffer_append(&b, text, 1));
    CHECK(!AIO__PUT(&b, "x"));
    CHECK(!aio__buffer_insert(&b, 0, text, 1));
    CHECK_INT(b.end, b.capacity);
    aio__os.realloc = seam_realloc;
    b.end = end;
    b.end = b.start = 0;
    CHECK(AIO__PUT(&b, "hello") && aio__buffer_insert(&b, 2, "--", 2) && aio__buffer_append(&b, "!", 1));
    CHECK_BYTES(b.data, b.end, "he--llo!");
    aio__free(b.data);
}

/* One of secrets at least doubles when what is asked for does not fit, and not before; what it had is erased. */
static char memory_left[257];
static void memory_keep(void *memory)
{
    if (memory) memcpy(memory_left, memory, sizeof memory_left);
    seam_free(memory);
}

TEST(memory_buffers_of_secrets_grow_at_their_edges)
{
    aio__buffer b;
    char text[514];
    memset(&b, 0, sizeof b);
    memset(text, 'x', sizeof text);
    CHECK(aio__buffer_append_secret(&b, text, 0) && aio__buffer_append_secret(&b, text, 1));
    CHECK_INT(b.capacity, 256);
    char *data = b.data;
    CHECK(aio__buffer_append_secret(&b, text, 255)); /* it fits */
    CHECK_PTR(b.data, data);
    CHECK_INT(b.capacity, 256);
    CHECK(aio__buffer_append_secret(&b, text, 1));
    CHECK_INT(b.capacity, 513);
    aio__os.free = memory_keep;
    CHECK(aio__buffer_append_secret(&b, text, 257));
    aio__os.free = seam_free;
    CHECK_INT(b.capacity, 1283);
    CHECK_BYTES(b.data, b.end, text, 514);
    aio__os.malloc = memory_none;
    data = b.data;
    CHECK(!aio__buffer_append_secret(&b, text, 513 + 257));
    CHECK(b.data == data && b.end == 514 && b.capacity == 1283);
    aio__os.malloc = seam_malloc;
    for (size_t i = 0; i < sizeof memory_left; i++) CHECK_INT(memory_left[i], 0);
    aio__free(b.data);
}

/* ---- files, whole ---- */

static int memory_writes, memory_close_code;

/* Interrupted, nothing, one byte, and then all. */
static ssize_t memory_write(int fd, const void *data, size_t size)
{
    errno = EINTR;
    if (memory_writes++ == 0) return -1;
    errno = EBUSY;
    if (memory_writes == 2) return 0;
    return write(fd, data, memory_writes == 3 ? 1 : size);
}

static int memory_close(int fd)
{
    close(fd);
    errno = memory_close_code;
    return -1;
}

TEST(memory_file_is_read)
{
    char path[80];
    aio__buffer text;
    int file = -1;
    snprintf(path, sizeof path, "/tmp/aio-memory-%d", (int)getpid());
    CHECK_INT(aio__file_replace(path, "0123456789", 10), 0);
    for (size_t most = 9; most < 12; most++) {
        memset(&text, 0x77, sizeof text); /* whatever is in it */
        errno = EBUSY;
        CHECK_INT(aio__file_read(path, most, &text), most < 10 ? AIO_ELIMIT : 0);
        CHECK_STR(text.data, most < 10 ? "012345678" : "0123456789");
        CHECK_INT(text.end, most < 10 ? 9 : 10);
        aio__free(text.data);
    }
    seam.fail_call = CALL_read;
    for (int i = 0; i < 2; i++) { /* interrupted; and an error after the first piece */
        seam.error = i ? EIO : EINTR;
        seam.fail_at = seam.calls[CALL_read] + 2;
        int code = aio__file_read(path, 100, &text);
        ALWAYS(code == (i ? EIO : 0));
        ALWAYS(text.end == 10 && !strcmp(text.data, "0123456789"));
        aio__free(text.data);
    }
    seam.fail_at = 0;
    seam.fail_alloc = seam.allocations + 1;
    ALWAYS(aio__file_read(path, 100, &text) == ENOMEM && !text.data);
    seam.fail_alloc = 0;
    ALWAYS(aio__file_read("/nowhere", 100, &text) == ENOENT && !text.data);
    int saved = dup(0);
    close(0); /* the file's descriptor is 0 */
    errno = EINTR;
    ALWAYS(aio__file_read(path, 100, &text) == 0 && text.end == 10);
    aio__free(text.data);
    for (int i = 0; i < 2; i++) {
        errno = i ? EINTR : EBUSY;
        ALWAYS(aio__file_replace(path, "zero", 4) == 0);
    }
    ALWAYS(fcntl(0, F_GETFD) < 0 && (file = open(path, O_RDONLY)) == 0);
    dup2(saved, 0);
    close(saved);
    unlink(path);
}

/* Memory with a mark behind it, once. */
static void *memory_marked(size_t size)
{
    char *memory = memory_asked++ ? NULL : (char *)seam_malloc(size + 1);
    if (memory) memory[size] = '!';
    return memory;
}

/* Without memory for the rest, what has been read is there, with its NUL, and nothing is written behind it. */
TEST(memory_file_is_read_in_part)
{
    char path[80], whole[5000];
    aio__buffer text;
    snprintf(path, sizeof path, "/tmp/aio-memory-part-%d", (int)getpid());
    memset(whole, 'x', sizeof whole);
    CHECK_INT(aio__file_replace(path, whole, sizeof whole), 0);
    memory_asked = 0;
    aio__os.malloc = memory_marked;
    CHECK_INT(aio__file_read(path, sizeof whole, &text), ENOMEM);
    aio__os.malloc = seam_malloc;
    CHECK_INT(memory_asked, 2);
    if (CHECK(text.data)) {
        CHECK_INT(text.data[text.capacity], '!');
        CHECK_BYTES(text.data, text.end, whole, 4095);
        CHECK_INT(text.data[text.end], 0);
    }
    aio__free(text.data);
    unlink(path);
}

static int memory_files(const char *folder)
{
    DIR *all = opendir(folder);
    int count = 0;
    while (all && readdir(all)) count++;
    if (all) closedir(all);
    return count - 2;
}

/* Whichever step fails: its code, nothing beside the file, which is as it was, and no step after it but the clearing. */
TEST(memory_file_is_replaced)
{
    static const int calls[] = { CALL_getentropy, CALL_create, CALL_write, CALL_fsync, CALL_close, CALL_rename };
    char folder[] = "/tmp/aio-memory-XXXXXX", path[80];
    aio__buffer text;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/file", folder);
    errno = EBUSY;
    CHECK_INT(aio__file_replace(path, "before", 6), 0);
    aio__os.write = memory_write;
    memory_writes = 0;
    CHECK_INT(aio__file_replace(path, "written", 7), 0);
    aio__os.write = seam_write;
    CHECK_INT(aio__file_read(path, 100, &text), 0);
    CHECK_STR(text.data, "written");
    aio__free(text.data);
    CHECK_INT(memory_files(folder), 1);
    for (int i = 0; i < 6; i++) {
        long at[6];
        for (int k = 0; k < 6; k++) at[k] = seam.calls[calls[k]];
        seam.fail_call = calls[i];
        seam.error = EIO;
        seam.fail_at = seam.calls[calls[i]] + 1;
        ALWAYS(aio__file_replace(path, "after", 5) == EIO);
        for (int k = 0; k < 6; k++) /* a file that was made is closed in any case */
            ALWAYS(seam.calls[calls[k]] - at[k] == (k <= i || (calls[k] == CALL_close && i > 1)));
        ALWAYS(memory_files(folder) == 1);
    }
    seam.error = EINTR;
    seam.fail_call = CALL_close;
    seam.fail_at = seam.calls[CALL_close] + 1;
    ALWAYS(aio__file_replace(path, "whole", 5) == 0);
    seam.fail_call = CALL_write; /* the first error is the one that is told */
    seam.error = ENOSPC;
    seam.fail_at = seam.calls[CALL_write] + 1;
    aio__os.close = memory_close;
    memory_close_code = EIO;
    ALWAYS(aio__file_replace(path, "after", 5) == ENOSPC);
    aio__os.close = seam_close;
    seam.fail_at = 0;
    seam.fail_alloc = seam.allocations + 1;
    ALWAYS(aio__file_replace(path, "after", 5) == ENOMEM);
    seam.fail_alloc = 0;
    ALWAYS(aio__file_read(path, 100, &text) == 0 && !strcmp(text.data, "whole"));
    aio__free(text.data);
    ALWAYS(memory_files(folder) == 1);
    unlink(path);
    rmdir(folder);
}
