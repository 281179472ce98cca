/* Reports of what was forgotten, of slow steps; task dump and call graph. */
#include <setjmp.h>

static struct { int count; char text[4096]; int code; } debug_told;
static void debug_listen(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)loop, (void)arg;
    debug_told.count++;
    debug_told.code = exception ? exception->code : 0;
    snprintf(debug_told.text, sizeof debug_told.text, "%s", message);
}

static aio_loop *debug_loop(bool debug)
{
    aio_loop *loop = aio_new_event_loop();
    memset(&debug_told, 0, sizeof debug_told);
    aio_loop_set_exception_handler(loop, debug_listen, NULL);
    aio_loop_set_debug(loop, debug);
    aio_set_event_loop(loop);
    return loop;
}

/* "text (made at .../test_debug.c:line)" */
static bool debug_said(const char *text, int line)
{
    char end[64];
    snprintf(end, sizeof end, "test_debug.c:%d)", line);
    const char *at = strstr(debug_told.text, end);
    bool ok = line ? at && !at[strlen(end)] : !strstr(debug_told.text, "made");
    ok = ok && strncmp(debug_told.text, text, strlen(text)) == 0;
    if (!ok) printf("# it said: %s\n", debug_told.text);
    return ok;
}

struct debug_child { aio_task task; int code; double delay; };
static AIO_CORO(debug_child)
{
    AIO_BEGIN(debug_child);
    AIO_AWAIT(aio_sleep(self->delay));
    if (self->code) AIO_RAISE(self->code);
    AIO_END;
}

enum { DEBUG_UNAWAITED, DEBUG_UNSEEN, DEBUG_UNSEEN_NAMED, DEBUG_SEEN };
struct debug_forget { aio_task task; int mode, *line; struct debug_child *child; };
static AIO_CORO(debug_forget)
{
    AIO_BEGIN(debug_forget);
    *self->line = __LINE__ + 1;
    self->child = AIO_CALL(debug_child, .code = EIO);
    if (self->mode == DEBUG_UNSEEN_NAMED) self->child = aio_create_task(self->child, .name = "a name");
    else if (self->mode != DEBUG_UNAWAITED) self->child = aio_create_task(self->child);
    AIO_AWAIT(aio_sleep(1));
    CHECK_INT(debug_told.count, 0);
    if (self->mode == DEBUG_SEEN) CHECK_INT(aio_future_exception(self->child)->code, EIO);
    aio_unref(self->child);
    CHECK_INT(debug_told.count, self->mode != DEBUG_SEEN);
    AIO_END;
}

static int debug_forget_in(bool debug, int mode)
{
    int line = 0;
    aio_loop *loop = debug_loop(debug);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_forget, .mode = mode, .line = &line), NULL), 0);
    aio_loop_free(loop);
    return line;
}

TEST(debug_never_awaited)
{
    int line = debug_forget_in(true, DEBUG_UNAWAITED);
    CHECK_INT(debug_told.count, 1);
    CHECK(debug_said("coroutine 'debug_child' was never awaited", line));
}

TEST(debug_never_retrieved, .skip = KIND_OWN)
{
    int line = debug_forget_in(true, DEBUG_UNSEEN);
    CHECK(debug_said("error of 'debug_child' was never retrieved", line));
    CHECK_INT(debug_told.code, EIO);
    line = debug_forget_in(true, DEBUG_UNSEEN_NAMED);
    CHECK(debug_said("error of 'a name' was never retrieved", line));
    debug_forget_in(false, DEBUG_UNSEEN);
    CHECK(debug_said("error of 'debug_child' was never retrieved", 0));
    debug_forget_in(true, DEBUG_SEEN);
    CHECK_INT(debug_told.count, 0);
}

/* Made where no loop runs: reported in every mode, to the loop that is set or to stderr. */
TEST(debug_never_awaited_without_loop)
{
    aio_loop *loop = debug_loop(false);
    aio_unref(AIO_CALL(debug_child)); int line = __LINE__;
    CHECK_INT(debug_told.count, 1);
    CHECK(debug_said("coroutine 'debug_child' was never awaited", line));
    aio_loop_free(loop);
    signal_capture();
    aio_unref(AIO_CALL(debug_child));
    CHECK(strstr(signal_captured(), "aio.h: coroutine 'debug_child' was never awaited (made at ") != NULL);
}

/* What stands for another in a message has that one's name: in a report of it, one of its task, one of its error. */
struct debug_wrapped { aio_task task; int mode, *line; void *kept; };
static AIO_CORO(debug_wrapped)
{
    AIO_BEGIN(debug_wrapped);
    struct debug_child *made;
    *self->line = __LINE__ + 1;
    made = AIO_CALL(debug_child, .code = self->mode == 1 ? EIO : 0, .delay = self->mode == 2 ? 100 : 0);
    made = aio_wait_for(aio_wait_for(made, 50), 50);
    if (self->mode) made = aio_create_task(made);
    self->kept = made;
    AIO_AWAIT(aio_sleep(1));
    if (self->mode < 2) aio_unref(self->kept);
    AIO_END;
}
TEST(debug_wrapped_is_named)
{
    static const char *const said[] = { "coroutine 'debug_child' was never awaited (made ",
        "error of 'debug_child' was never retrieved (made ", "task 'debug_child' was destroyed but it is pending (at ",
        "'wait_for' was never released (made " };
    for (int mode = 0; mode < 4; mode++) {
        int line = 0;
        aio_loop *loop = debug_loop(true);
        CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_wrapped, .mode = mode, .line = &line), NULL), 0);
        aio_loop_close(loop);
        CHECK_INT(debug_told.count, 1);
        if (!CHECK(strncmp(debug_told.text, said[mode], strlen(said[mode])) == 0))
            printf("# it said: %s\n", debug_told.text);
        aio_loop_free(loop);
    }
}

struct debug_leave { aio_task task; int mode; void **keep; };
static AIO_CORO(debug_leave)
{
    AIO_BEGIN(debug_leave);
    if (self->mode == 0) *self->keep = aio_create_task(AIO_CALL(debug_child, .delay = 100), .name = "left");
    if (self->mode == 1) *self->keep = aio_future_create();
    if (self->mode == 2) *self->keep = AIO_CALL(debug_child);
    if (self->mode == 3) *self->keep = aio_create_task(AIO_CALL(debug_child, .code = EIO));
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}

/* What is still there when the loop closes. */
TEST(debug_left_behind)
{
    static const char *const said[] = {
        "task 'left' was destroyed but it is pending (at ", "'future' was never released (made at ",
        "coroutine 'debug_child' was never awaited (made at ", "error of 'debug_child' was never retrieved (made at " };
    for (int debug = 0; debug < 2; debug++)
        for (int mode = 0; mode < 4; mode++) {
            void *kept = NULL;
            aio_loop *loop = debug_loop(debug);
            CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_leave, .mode = mode, .keep = &kept), NULL), 0);
            CHECK_INT(debug_told.count, 0);
            CHECK_INT(aio_loop_close(loop), 0);
            CHECK_INT(debug_told.count, debug || mode == 0 || mode == 3);
            if (debug) CHECK(strncmp(debug_told.text, said[mode], strlen(said[mode])) == 0);
            aio_loop_free(loop);
        }
}

struct debug_page { aio_task task; aio_request *request; };
static AIO_CORO(debug_page)
{
    AIO_BEGIN(debug_page);
    AIO_AWAIT(aio_request_respond(self->request, 200, .text = "hello"));
    AIO_END;
}
static void *debug_page_handler(aio_request *request, void *arg)
{
    (void)arg;
    return AIO_CALL(debug_page, .request = request);
}
struct debug_never { aio_task task; };
static AIO_CORO(debug_never)
{
    AIO_BEGIN(debug_never);
    AIO_AWAIT(aio_sleep(1e6));
    AIO_END;
}
static void *debug_never_handler(aio_request *request, void *arg)
{
    (void)request, (void)arg;
    return AIO_CALL(debug_never);
}
struct debug_fetch { aio_task task; bool release; int line; aio_server *server; aio_session *session; aio_response *r;
    char url[60]; };
static AIO_CORO(debug_fetch)
{
    AIO_BEGIN(debug_fetch);
    AIO_AWAIT(self->server, aio_start_http_server(debug_page_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/x", aio_server_port(self->server));
    self->session = aio_session_open();
    REQUIRE(self->session);
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    if (self->release) aio_response_release(self->r);
    AIO_AWAIT(aio_session_close(self->session));
    aio_server_close(self->server);
    AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

/* A response that nobody releases is named when the loop closes, with the await that gave it. */
TEST(debug_response_left)
{
    for (int debug = 0; debug < 2; debug++)
        for (int release = 0; release < 2; release++) {
            aio_loop *loop = debug_loop(debug);
            CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_fetch, .release = release), NULL), 0);
            CHECK_INT(debug_told.count, 0);
            CHECK_INT(aio_loop_close(loop), 0);
            CHECK_INT(debug_told.count, debug && !release);
            if (debug_told.count) {
                CHECK(strstr(debug_told.text, "response of GET http://127.0.0.1:") == debug_told.text);
                CHECK(strstr(debug_told.text, "/x (made at tests/test_debug.c:"));
                CHECK(strstr(debug_told.text, ") was never released"));
            }
            aio_loop_free(loop);
        }
}

/* ---- slow steps ---- */

struct debug_slow { aio_task task; double took; int *line; };
static AIO_CORO(debug_slow)
{
    AIO_BEGIN(debug_slow);
    AIO_AWAIT(aio_sleep(1));
    *self->line = __LINE__ - 1;
    clock_advance(self->took);
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}

static int debug_slow_in(double took, double limit)
{
    int line = 0;
    aio_loop *loop = debug_loop(false);
    if (limit != 0) CHECK_INT(aio_loop_set_slow_callback_duration(loop, limit), 0);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_slow, .took = took, .line = &line), NULL), 0);
    aio_loop_free(loop);
    return line;
}

TEST(debug_slow_step)
{
    char where[64];
    int line = debug_slow_in(0.25, 0);
    CHECK_INT(debug_told.count, 1);
    CHECK(strstr(debug_told.text, "slow step: 250 ms in ") == debug_told.text);
    snprintf(where, sizeof where, "test_debug.c:%d, in debug_slow", line);
    CHECK(strstr(debug_told.text, where) != NULL);
    debug_slow_in(0.099, 0);
    CHECK_INT(debug_told.count, 0);
    debug_slow_in(0.1, 0);
    CHECK_INT(debug_told.count, 1);
    debug_slow_in(3, 5);
    CHECK_INT(debug_told.count, 0);
    debug_slow_in(5, 5);
    CHECK_INT(debug_told.count, 1);
    debug_slow_in(1000, AIO_UNLIMITED);
    CHECK_INT(debug_told.count, 0);
}

/* Who is told asks for the current task: that has ended, and there is none. */
static aio_loop *debug_asked;
static void debug_asks(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)exception;
    debug_asked = loop;
    CHECK(strstr(message, (const char *)arg) != NULL);
    CHECK_PTR(aio_current_task(), NULL);
}

struct debug_ends { aio_task task; double took; int code; };
static AIO_CORO(debug_ends)
{
    AIO_BEGIN(debug_ends);
    clock_advance(self->took);
    if (self->code) AIO_RAISE(self->code);
    AIO_END;
}

TEST(debug_task_that_ended_is_not_current)
{
    static char slow[] = "slow step", error[] = "never retrieved";
    aio_loop *loop = debug_loop(false);
    int line = 0;
    debug_asked = NULL;
    aio_loop_set_exception_handler(loop, debug_asks, slow);
    aio_unref(aio_loop_create_task(loop, AIO_CALL(debug_ends, .took = 1)));
    CHECK_INT(aio_loop_run_once(loop, 0), 0);
    CHECK_PTR(debug_asked, loop);
    debug_asked = NULL;
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_slow, .took = 1, .line = &line), NULL), 0);
    CHECK_PTR(debug_asked, loop); /* nor is one that waits again */
    debug_asked = NULL;
    aio_loop_set_exception_handler(loop, debug_asks, error);
    aio_unref(aio_loop_create_task(loop, AIO_CALL(debug_ends, .code = EPIPE)));
    CHECK_INT(aio_loop_run_once(loop, 0), 0);
    CHECK_PTR(debug_asked, loop);
    aio_loop_free(loop);
}

static void debug_slow_call(void *arg)
{
    (void)arg;
    clock_advance(0.5);
}

TEST(debug_slow_callback)
{
    char address[64];
    aio_loop *loop = debug_loop(false);
    aio_loop_call_later(loop, 1, debug_slow_call, NULL);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_ensure_future(AIO_CALL(debug_child, .delay = 5)), NULL), 0);
    CHECK_INT(debug_told.count, 1);
    snprintf(address, sizeof address, "slow step: 500 ms in callback %p", (void *)(uintptr_t)debug_slow_call);
    CHECK_STR(debug_told.text, address);
    CHECK_INT(aio_loop_set_slow_callback_duration(loop, NAN), EINVAL);
    CHECK_INT(aio_loop_set_slow_callback_duration(loop, -3), EINVAL);
    CHECK_INT(aio_loop_set_slow_callback_duration(NULL, 1), EINVAL);
    aio_loop_free(loop);
}

/* Waiting is not working: a long sleep, or a long wait of the poller, is no slow step. */
TEST(debug_idle_is_not_slow)
{
    aio_loop *loop = debug_loop(false);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_child, .delay = 3600), NULL), 0);
    CHECK_INT(debug_told.count, 0);
    aio_loop_free(loop);
}

/* ---- who awaits what ---- */

static char debug_dump[32768];
/* What `print` writes, with the folders of file names cut off. */
static const char *debug_print(void (*print)(const void *, void *), const void *what)
{
    size_t used = 0;
    FILE *file = tmpfile();
    if (!file) return "";
    print(what, file);
    rewind(file);
    static char line[4096];
    debug_dump[0] = 0;
    while (fgets(line, sizeof line, file)) {
        char *name = strstr(line, "tests/"), *start = line + strspn(line, " ");
        int n = snprintf(debug_dump + used, sizeof debug_dump - used, "%.*s%s", (int)(start - line), line,
                         name ? name + 6 : start);
        used += n > 0 && (size_t)n < sizeof debug_dump - used ? (size_t)n : 0;
    }
    fclose(file);
    return debug_dump;
}

static void debug_print_tasks(const void *what, void *file)
{
    (void)what;
    aio_print_tasks(file);
}

struct debug_inner { aio_task task; };
static AIO_CORO(debug_inner)
{
    AIO_BEGIN(debug_inner);
    AIO_AWAIT(aio_sleep(100));
    AIO_END;
}
enum { DEBUG_INNER_LINE = __LINE__ - 3 };

struct debug_outer { aio_task task; };
static AIO_CORO(debug_outer)
{
    AIO_BEGIN(debug_outer);
    AIO_AWAIT(AIO_CALL(debug_inner));
    AIO_END;
}
enum { DEBUG_OUTER_LINE = __LINE__ - 3 };

struct debug_tree { aio_task task; void *children[2]; };
static AIO_CORO(debug_tree)
{
    AIO_BEGIN(debug_tree);
    self->children[0] = aio_create_task(AIO_CALL(debug_outer), .name = "left");
    self->children[1] = aio_create_task(AIO_CALL(debug_inner), .name = "right");
    AIO_AWAIT(aio_gather(self->children, 2));
    AIO_FINALLY;
    aio_unref_all(self->children, 2);
    AIO_END;
}
enum { DEBUG_TREE_LINE = __LINE__ - 5 };

/* Who prints its own call graph before it has awaited anything has started. */
struct debug_begins { aio_task task; };
static AIO_CORO(debug_begins)
{
    AIO_BEGIN(debug_begins);
    debug_print(aio_print_call_graph, self);
    CHECK(strstr(debug_dump, "task 'begins' (running)\n  test_debug.c") == debug_dump);
    CHECK(strstr(debug_dump, ", in debug_begins\n") != NULL);
    AIO_END;
}

struct debug_graph_of_first_step { aio_task task; struct debug_begins *begins; };
SCENARIO(debug_graph_of_first_step)
{
    AIO_BEGIN(debug_graph_of_first_step);
    self->begins = aio_create_task(AIO_CALL(debug_begins), .name = "begins");
    AIO_AWAIT(aio_ref(self->begins));
    AIO_FINALLY;
    aio_unref(self->begins);
    AIO_END;
}

struct debug_graph { aio_task task; struct debug_tree *tree; char text[1024]; };
SCENARIO(debug_graph)
{
    AIO_BEGIN(debug_graph);
    self->tree = aio_create_task(AIO_CALL(debug_tree), .name = "tree");
    if (!self->tree) AIO_RAISE(ENOMEM);
    CHECK_STR(debug_print(aio_print_call_graph, self->tree),
              "task 'tree'\n  test_debug.c, in debug_tree (not started)\n");
    AIO_AWAIT(aio_sleep(0.01));
    REQUIRE(self->tree->children[0] && self->tree->children[1] && !aio_future_done(self->tree));
    snprintf(self->text, sizeof self->text,
             "task 'tree'\n"
             "  test_debug.c:%d, in debug_tree\n"
             "  gather\n"
             "    task 'left'\n"
             "      test_debug.c:%d, in debug_outer\n"
             "      test_debug.c:%d, in debug_inner\n"
             "      sleep\n"
             "    task 'right'\n"
             "      test_debug.c:%d, in debug_inner\n"
             "      sleep\n", DEBUG_TREE_LINE, DEBUG_OUTER_LINE, DEBUG_INNER_LINE, DEBUG_INNER_LINE);
    CHECK_STR(debug_print(aio_print_call_graph, self->tree), self->text);
    snprintf(self->text, sizeof self->text,
             "task 'right'\n"
             "  test_debug.c:%d, in debug_inner\n"
             "  sleep\n"
             "awaited by gather\n"
             "  awaited by task 'tree'\n"
             "    test_debug.c:%d, in debug_tree\n", DEBUG_INNER_LINE, DEBUG_TREE_LINE);
    CHECK_STR(debug_print(aio_print_call_graph, self->tree->children[1]), self->text);
    debug_print(aio_print_call_graph, self);
    CHECK(strstr(debug_dump, "task 'debug_graph' (running)\n  test_debug.c:") == debug_dump);
    CHECK(strncmp(debug_print(debug_print_tasks, NULL), "4 tasks\n", 8) == 0);
    CHECK(strstr(debug_dump, "task 'debug_graph' (running)\n") != NULL);
    snprintf(self->text, sizeof self->text,
             "task 'left'\n  test_debug.c:%d, in debug_outer\n  test_debug.c:%d, in debug_inner\n  awaits sleep\n",
             DEBUG_OUTER_LINE, DEBUG_INNER_LINE);
    CHECK(strstr(debug_dump, self->text) != NULL);
    AIO_AWAIT((struct debug_tree *)aio_ref(self->tree));
    CHECK(!strstr(debug_print(debug_print_tasks, NULL), "'tree'")); /* it is over, though somebody holds it */
    AIO_FINALLY;
    aio_unref(self->tree);
    AIO_END;
}

/* A child that is done is no more waited for, though who waits has not heard of it. */
struct debug_gathers { aio_task task; aio_future **of; };
static AIO_CORO(debug_gathers)
{
    AIO_BEGIN(debug_gathers);
    AIO_AWAIT(aio_gather(self->of, 2));
    AIO_END;
}
enum { DEBUG_GATHERS_LINE = __LINE__ - 3 };

struct debug_child_done { aio_task task; aio_future *of[2]; struct debug_gathers *waits; char text[200]; };
SCENARIO(debug_child_done)
{
    AIO_BEGIN(debug_child_done);
    for (int i = 0; i < 2; i++) REQUIRE(self->of[i] = aio_future_create());
    REQUIRE(self->waits = aio_create_task(AIO_CALL(debug_gathers, .of = self->of)));
    AIO_AWAIT(aio_sleep(0));
    for (int left = 2; left >= 0; left--) {
        snprintf(self->text, sizeof self->text,
                 "task 'debug_gathers'\n  test_debug.c:%d, in debug_gathers\n  gather\n%s%s",
                 DEBUG_GATHERS_LINE, left > 0 ? "    future\n" : "", left > 1 ? "    future\n" : "");
        CHECK_STR(debug_print(aio_print_call_graph, self->waits), self->text);
        if (left) CHECK_INT(aio_future_set_done(self->of[left - 1]), 0);
    }
    AIO_AWAIT((struct debug_gathers *)aio_ref(self->waits));
    AIO_FINALLY;
    if (self->waits) aio_task_cancel(self->waits);
    aio_unref(self->waits);
    aio_unref_all(self->of, 2);
    AIO_END;
}

/* Who waits for a lock or a queue is named after that. */
struct debug_waiter { aio_task task; aio_lock *lock; aio_queue *queue; int item; };
static AIO_CORO(debug_waiter)
{
    AIO_BEGIN(debug_waiter);
    if (self->lock) AIO_AWAIT(aio_lock_acquire(self->lock));
    else AIO_AWAIT(self->item, aio_queue_get(self->queue, int));
    AIO_END;
}

struct debug_waiters { aio_task task; aio_lock lock; aio_queue *queue; struct debug_waiter *waiters[2]; };
SCENARIO(debug_waiters)
{
    AIO_BEGIN(debug_waiters);
    self->queue = aio_queue_create(int);
    if (!self->queue) AIO_RAISE(ENOMEM);
    AIO_AWAIT(aio_lock_acquire(&self->lock));
    self->waiters[0] = aio_create_task(AIO_CALL(debug_waiter, .lock = &self->lock));
    self->waiters[1] = aio_create_task(AIO_CALL(debug_waiter, .queue = self->queue));
    if (!self->waiters[0] || !self->waiters[1]) AIO_RAISE(ENOMEM);
    AIO_AWAIT(aio_sleep(0.01));
    debug_print(debug_print_tasks, NULL);
    CHECK(strstr(debug_dump, ", in aio_lock_acquire\n") != NULL);
    CHECK(strstr(debug_dump, ", in aio_queue_get\n") != NULL);
    AIO_FINALLY;
    aio_lock_destroy(&self->lock);
    aio_queue_free(self->queue);
    aio_unref_all(self->waiters, 2);
    AIO_END;
}

/* A task that starts another eagerly is not the current one meanwhile, and awaits nothing all the same. */
struct debug_eager { aio_task task; aio_task *parent; };
static AIO_CORO(debug_eager)
{
    AIO_BEGIN(debug_eager);
    debug_print(aio_print_call_graph, self->parent);
    CHECK(strstr(debug_dump, "task 'debug_eager_parent'\n  test_debug.c:") == debug_dump);
    CHECK(strstr(debug_print(debug_print_tasks, NULL), "awaits") == NULL);
    CHECK(aio_task_cancel(self->parent));
    AIO_END;
}

struct debug_eager_parent { aio_task task; struct debug_eager *eager; };
SCENARIO(debug_eager_parent)
{
    AIO_BEGIN(debug_eager_parent);
    AIO_AWAIT(aio_sleep(0.01));
    self->eager = aio_create_task(AIO_CALL(debug_eager, .parent = &self->task), .eager_start = true);
    if (!self->eager) AIO_RAISE(ENOMEM);
    AIO_TRY {
        AIO_AWAIT(aio_sleep(1));
        UNREACHED();
    } AIO_CATCH_ALL {
        CAUGHT(AIO_ECANCELLED);
        aio_task_uncancel(self);
    } AIO_END_TRY;
    AIO_FINALLY;
    aio_unref(self->eager);
    AIO_END;
}

/* Two tasks that await each other: the walk ends. */
struct debug_circle { aio_task task; struct debug_circle **other; };
static AIO_CORO(debug_circle)
{
    AIO_BEGIN(debug_circle);
    AIO_AWAIT((struct debug_circle *)aio_ref(*self->other));
    AIO_END;
}

struct debug_circles { aio_task task; struct debug_circle *one, *two; };
SCENARIO(debug_circles)
{
    AIO_BEGIN(debug_circles);
    self->one = aio_create_task(AIO_CALL(debug_circle, .other = &self->two), .name = "one");
    self->two = aio_create_task(AIO_CALL(debug_circle, .other = &self->one), .name = "two");
    if (!self->one || !self->two) AIO_RAISE(ENOMEM);
    AIO_AWAIT(aio_sleep(0.01));
    CHECK(strstr(debug_print(aio_print_call_graph, self->one), "(a circle: see above)\n") != NULL);
    CHECK(strstr(debug_dump, "awaited by task 'two'") != NULL);
    CHECK(aio_task_cancel(self->one)); /* which does not go round for ever */
    AIO_AWAIT(aio_sleep(0.01));
    CHECK(aio_future_cancelled(self->one) && aio_future_cancelled(self->two));
    AIO_FINALLY;
    aio_unref(self->one);
    aio_unref(self->two);
    AIO_END;
}

/* ---- the same as data ---- */

/* A tree of what `write` writes; NULL, as an error, without memory. */
static aio_json *debug_json(void (*write)(aio_json_writer *, const void *), const void *what)
{
    aio_text text = { NULL, 0 };
    const char *reason = NULL;
    aio_json_writer *writer = aio_json_writer_open();
    if (!writer) return NULL;
    write(writer, what);
    int code = aio_json_writer_finish(writer, &text, &reason);
    if (code != ENOMEM) CHECK_STR(reason ? reason : "", "");
    aio_json *tree = code ? NULL : aio_json_parse(text.data, text.length, NULL);
    if (!code && !touched()) CHECK(tree != NULL);
    aio_text_clear(&text);
    return tree;
}

static void debug_json_tasks(aio_json_writer *writer, const void *what)
{
    (void)what;
    aio_json_write_tasks(writer);
}

#define DEBUG_JSON(path, expected) CHECK_STR(aio_json_string(self->json, path, "(none)").data, expected)

static bool debug_frame_is(const aio_frame *frame, const char *name, int line)
{
    return CHECK_STR(frame->name, name) && CHECK_INT(frame->line, line) && CHECK(strstr(frame->file, "test_debug.c"));
}

struct debug_data { aio_task task; struct debug_tree *tree; aio_json *json; aio_future *plain; const aio_json *one; };
SCENARIO(debug_data)
{
    AIO_BEGIN(debug_data);
    aio_frame frames[3];
    const aio_future *futures[3];
    self->tree = aio_create_task(AIO_CALL(debug_tree), .name = "tr\xff\xc3\xa9" "e");
    if (!self->tree) AIO_RAISE(ENOMEM);
    CHECK_INT(aio_task_get_stack(self->tree, frames, 3), 1);
    debug_frame_is(frames, "debug_tree", 0); /* has not started */
    CHECK_INT(aio_future_awaits(self->tree, futures, 3), 0);
    AIO_AWAIT(aio_sleep(0.01));
    REQUIRE(self->tree->children[0] && self->tree->children[1] && !aio_future_done(self->tree));
    CHECK_INT(aio_task_get_stack(self->tree->children[0], frames, 3), 2);
    debug_frame_is(&frames[0], "debug_outer", DEBUG_OUTER_LINE);
    debug_frame_is(&frames[1], "debug_inner", DEBUG_INNER_LINE);
    memset(frames, 0, sizeof frames);
    CHECK_INT(aio_task_get_stack(self->tree->children[0], frames, 1), 2);
    debug_frame_is(&frames[0], "debug_outer", DEBUG_OUTER_LINE);
    CHECK(!frames[1].name);
    CHECK_INT(aio_task_get_stack(self->tree->children[0], NULL, 0), 2);
    CHECK_STR(aio_future_kind_name(self->tree), "task");
    REQUIRE(aio_future_awaits(self->tree, futures, 3) == 1);
    CHECK_STR(aio_future_kind_name(futures[0]), "gather");
    CHECK_INT(aio_task_get_stack(futures[0], frames, 3), 0);
    CHECK_INT(aio_future_awaits(futures[0], NULL, 0), 2);
    CHECK_INT(aio_future_awaits(futures[0], &futures[1], 2), 2);
    CHECK(futures[1] == self->tree->children[0] && futures[2] == self->tree->children[1]);
    futures[1] = NULL;
    CHECK_INT(aio_future_awaited_by(self->tree->children[0], &futures[1], 2), 1);
    CHECK(futures[1] == futures[0]);
    CHECK_INT(aio_future_awaited_by(futures[1], &futures[2], 1), 1);
    CHECK(futures[2] == (aio_future *)(void *)self->tree);
    CHECK_INT(aio_future_awaited_by(futures[1], NULL, 0), 1);
    CHECK_INT(aio_future_awaited_by(self->tree, futures, 3), 0);
    CHECK_INT(aio_future_awaits(self, futures, 3), 0); /* it runs */
    self->json = debug_json(aio_json_write_call_graph, self->tree);
    if (!self->json) AIO_RAISE(ENOMEM);
    DEBUG_JSON("kind", "task");
    DEBUG_JSON("name", "tr\xef\xbf\xbd\xc3\xa9" "e");
    DEBUG_JSON("state", "pending");
    CHECK(aio_json_uint(self->json, "id", 0) == (uintptr_t)self->tree);
    CHECK_INT(aio_json_count(aio_json_get(self->json, "stack")), 1);
    DEBUG_JSON("stack[0].name", "debug_tree");
    CHECK_INT(aio_json_int(self->json, "stack[0].line", 0), DEBUG_TREE_LINE);
    CHECK(strstr(aio_json_string(self->json, "stack[0].file", "").data, "test_debug.c") != NULL);
    DEBUG_JSON("awaits[0].kind", "gather");
    CHECK(!aio_json_get(self->json, "awaits[0].name") && !aio_json_get(self->json, "awaits[0].stack"));
    CHECK_INT(aio_json_count(aio_json_get(self->json, "awaits[0].awaits")), 2);
    DEBUG_JSON("awaits[0].awaits[0].name", "left");
    DEBUG_JSON("awaits[0].awaits[0].stack[1].name", "debug_inner");
    DEBUG_JSON("awaits[0].awaits[0].awaits[0].kind", "sleep");
    DEBUG_JSON("awaits[0].awaits[1].name", "right");
    CHECK_INT(aio_json_count(aio_json_get(self->json, "awaited_by")), 0);
    CHECK(!aio_json_get(self->json, "cut") && !aio_json_get(self->json, "left_out"));
    CHECK(!aio_json_get(self->json, "more"));
    aio_json_free(self->json);
    self->json = debug_json(aio_json_write_call_graph, self->tree->children[1]);
    if (!self->json) AIO_RAISE(ENOMEM);
    DEBUG_JSON("name", "right");
    DEBUG_JSON("awaited_by[0].kind", "gather");
    DEBUG_JSON("awaited_by[0].awaited_by[0].stack[0].name", "debug_tree");
    CHECK(aio_json_uint(self->json, "awaited_by[0].awaited_by[0].id", 0) == (uintptr_t)self->tree);
    CHECK(!aio_json_get(self->json, "awaited_by[0].awaits"));
    aio_json_free(self->json);
    self->json = debug_json(debug_json_tasks, NULL);
    if (!self->json) AIO_RAISE(ENOMEM);
    CHECK_INT(aio_json_count(self->json), 4);
    for (size_t i = 0; i < 4; i++) {
        self->one = aio_json_element(self->json, i);
        bool running = aio_json_uint(self->one, "id", 0) == (uintptr_t)self;
        CHECK_STR(aio_json_string(self->one, "state", "").data, running ? "running" : "pending");
        CHECK_STR(aio_json_string(self->one, "kind", "").data, "task");
        CHECK_INT(aio_json_count(aio_json_get(self->one, "awaits")), !running);
        if (aio_json_uint(self->one, "id", 0) != (uintptr_t)self->tree) continue;
        CHECK_STR(aio_json_string(self->one, "awaits[0].kind", "").data, "gather");
        CHECK(!aio_json_get(self->one, "awaits[0].awaits"));
    }
    aio_json_free(self->json);
    self->json = NULL;
    aio_task_cancel(self->tree);
    AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(aio_task_get_stack(self->tree, frames, 3) + aio_future_awaits(self->tree, futures, 3)
              + aio_future_awaited_by(self->tree, futures, 3), 0);
    self->json = debug_json(aio_json_write_call_graph, self->tree);
    if (!self->json) AIO_RAISE(ENOMEM);
    DEBUG_JSON("state", "cancelled");
    CHECK(!aio_json_get(self->json, "stack") && !aio_json_get(self->json, "awaits"));
    AIO_FINALLY;
    aio_json_free(self->json);
    aio_unref(self->tree);
    AIO_END;
}

/* A callback that waits for a future is no awaitable, and nothing is written for it. */
static void debug_called(aio_future *future, void *arg) { (void)future, (void)arg; }
TEST(debug_awaited_by_callback)
{
    const aio_future *futures[2] = { NULL, NULL };
    aio_loop *loop = debug_loop(false);
    aio_future *future = aio_future_create();
    futures[0] = future;
    CHECK_INT(aio_future_add_done_callback(future, debug_called, NULL), 0);
    CHECK_INT(aio_future_awaited_by(future, futures, 2), 0);
    CHECK(futures[0] == future && !futures[1]);
    aio_future_set_done(future);
    CHECK_INT(aio_loop_run_until_complete(loop, aio_sleep(0), NULL), 0);
    aio_unref(future);
    aio_loop_free(loop);
}

/* Of what is done there is no more to say than that. */
struct debug_done { aio_task task; aio_future *future; struct debug_child *child; aio_json *json; int i; };
SCENARIO(debug_done)
{
    AIO_BEGIN(debug_done);
    REQUIRE(self->future = aio_future_create());
    REQUIRE(self->child = aio_create_task(AIO_CALL(debug_child), .name = "child"));
    CHECK_INT(aio_future_set_done(self->future), 0);
    AIO_AWAIT((struct debug_child *)aio_ref(self->child));
    CHECK_INT(aio_future_awaits(self->child, NULL, 0) + aio_future_awaits(self->future, NULL, 0), 0);
    CHECK_STR(debug_print(aio_print_call_graph, self->future), "future (done)\n");
    CHECK_STR(debug_print(aio_print_call_graph, self->child), "task 'child' (done)\n");
    for (self->i = 0; self->i < 2; self->i++) {
        const void *what;
        what = self->i ? (const void *)self->child : self->future;
        REQUIRE(self->json = debug_json(aio_json_write_call_graph, what));
        DEBUG_JSON("kind", self->i ? "task" : "future");
        DEBUG_JSON("state", "done");
        CHECK(!aio_json_get(self->json, "stack") && !aio_json_get(self->json, "awaits"));
        aio_json_free(self->json);
        self->json = NULL;
    }
    AIO_FINALLY;
    aio_json_free(self->json);
    aio_unref(self->child);
    aio_unref(self->future);
    AIO_END;
}

/* What a gather and a group of very many wait for, at one glance: the time it takes grows as they do. */
struct debug_awaits_many { aio_task task; aio_future **many, *gather; const aio_future **found; int count, i;
    aio_task_group *group; };
static AIO_CORO(debug_awaits_many)
{
    AIO_BEGIN(debug_awaits_many);
    self->count = 300000;
    self->many = (aio_future **)calloc((size_t)self->count, sizeof *self->many);
    self->found = (const aio_future **)calloc((size_t)self->count + 1, sizeof *self->found);
    REQUIRE(self->many && self->found);
    for (self->i = 0; self->i < self->count; self->i++) REQUIRE(self->many[self->i] = aio_future_create());
    REQUIRE(self->gather = aio_gather(self->many, (size_t)self->count));
    CHECK_INT(aio_future_awaits(self->gather, self->found, (size_t)self->count), self->count);
    for (self->i = 0; self->i < self->count; self->i++) CHECK_PTR(self->found[self->i], self->many[self->i]);
    AIO_TASK_GROUP(self->group) {
        for (self->i = 0; self->i < self->count; self->i++)
            REQUIRE(aio_task_group_create_task(self->group, AIO_CALL(debug_child, .delay = 100)));
        CHECK_INT(aio_future_awaits(self->group, self->found, (size_t)self->count), self->count);
        CHECK_STR(aio_future_kind_name(self->found[self->count - 1]), "task");
        aio_task_group_cancel(self->group);
    }
    AIO_FINALLY;
        aio_unref(self->gather);
        for (self->i = 0; self->i < self->count; self->i++) aio_unref(self->many[self->i]);
        free(self->many);
        free(self->found);
    AIO_END;
}
TEST(debug_awaits_of_many)
{
    CHECK_INT(aio_run(AIO_CALL(debug_awaits_many)), 0);
}

/* A generator that stands at its AIO_YIELD has no task: the one that drove it to there may be gone. */
struct debug_values { aio_task task; int result; };
static AIO_CORO(debug_values)
{
    AIO_BEGIN_GENERATOR(debug_values);
    AIO_AWAIT(aio_sleep(0.01));
    AIO_YIELD(1);
    AIO_END;
}
enum { DEBUG_VALUES_LINE = __LINE__ - 3 };

struct debug_first { aio_task task; struct debug_values *values; int result; };
static AIO_CORO(debug_first)
{
    AIO_BEGIN(debug_first);
    AIO_AWAIT(self->result, aio_anext(self->values));
    AIO_END;
}

struct debug_yielded { aio_task task; struct debug_values *values; aio_json *json; char text[80]; };
SCENARIO(debug_yielded)
{
    AIO_BEGIN(debug_yielded);
    aio_frame frames[2];
    const aio_future *futures[2];
    REQUIRE(self->values = AIO_CALL(debug_values));
    AIO_AWAIT(aio_create_task(AIO_CALL(debug_first, .values = self->values)));
    CHECK_INT(aio_task_get_stack(self->values, frames, 2), 1);
    debug_frame_is(frames, "debug_values", DEBUG_VALUES_LINE);
    CHECK_INT(aio_future_awaits(self->values, futures, 2) + aio_future_awaited_by(self->values, futures, 2), 0);
    snprintf(self->text, sizeof self->text, "coroutine 'debug_values'\n  test_debug.c:%d, in debug_values\n",
             DEBUG_VALUES_LINE);
    CHECK_STR(debug_print(aio_print_call_graph, self->values), self->text);
    self->json = debug_json(aio_json_write_call_graph, self->values);
    if (!self->json) AIO_RAISE(ENOMEM);
    CHECK_INT(aio_json_count(aio_json_get(self->json, "stack")), 1);
    CHECK_INT(aio_json_count(aio_json_get(self->json, "awaits")), 0);
    AIO_FINALLY;
        aio_json_free(self->json);
        AIO_AWAIT(aio_generator_close(self->values));
    AIO_END;
}

struct debug_data_circles { aio_task task; struct debug_circle *one, *two; aio_json *json; };
SCENARIO(debug_data_circles)
{
    AIO_BEGIN(debug_data_circles);
    self->one = aio_create_task(AIO_CALL(debug_circle, .other = &self->two), .name = "one");
    self->two = aio_create_task(AIO_CALL(debug_circle, .other = &self->one), .name = "two");
    if (!self->one || !self->two) AIO_RAISE(ENOMEM);
    AIO_AWAIT(aio_sleep(0.01));
    self->json = debug_json(aio_json_write_call_graph, self->one);
    if (!self->json) AIO_RAISE(ENOMEM);
    DEBUG_JSON("awaits[0].name", "two");
    DEBUG_JSON("awaits[0].awaits[0].name", "one");
    CHECK(aio_json_bool(self->json, "awaits[0].awaits[0].cut", false));
    CHECK(!aio_json_get(self->json, "awaits[0].awaits[0].stack"));
    DEBUG_JSON("awaited_by[0].name", "two");
    CHECK(aio_json_bool(self->json, "awaited_by[0].awaited_by[0].cut", false));
    aio_task_cancel(self->one);
    AIO_AWAIT(aio_sleep(0.01));
    AIO_FINALLY;
    aio_json_free(self->json);
    aio_unref(self->one);
    aio_unref(self->two);
    AIO_END;
}

/* Long and wide ones are cut. */
struct debug_deep { aio_task task; int depth; aio_future *gate; };
static AIO_CORO(debug_deep)
{
    AIO_BEGIN(debug_deep);
    if (self->depth) AIO_AWAIT(AIO_CALL(debug_deep, .depth = self->depth - 1, .gate = self->gate));
    else AIO_AWAIT((aio_future *)aio_ref(self->gate));
    AIO_END;
}

TEST(debug_graph_bounds)
{
    aio_loop *loop = debug_loop(false);
    aio_future *gate = aio_future_create();
    aio_task *deep = (aio_task *)(void *)aio_ensure_future(AIO_CALL(debug_deep, .depth = 999, .gate = gate));
    aio_loop_stop(loop);
    aio_loop_run_forever(loop);
    CHECK(strstr(debug_print(aio_print_call_graph, deep), "\n  ... 936 more\n") != NULL);
    int lines = 0;
    for (const char *c = debug_dump; *c; c++) lines += *c == '\n';
    CHECK_INT(lines, 1 + 64 + 1 + 1);
    CHECK(strstr(debug_print(aio_print_call_graph, gate), "future\nawaited by task 'debug_deep'\n") == debug_dump);
    aio_print_call_graph(NULL, stderr);
    aio_print_call_graph(deep, NULL);
    aio_json *json = debug_json(aio_json_write_call_graph, deep);
    CHECK_INT(aio_task_get_stack(deep, NULL, 0), 1000);
    CHECK_INT(aio_json_count(aio_json_get(json, "stack")), 64);
    CHECK_INT(aio_json_int(json, "left_out", 0), 936);
    CHECK_STR(aio_json_string(json, "awaits[0].kind", "").data, "future");
    aio_json_free(json);
    json = debug_json(aio_json_write_call_graph, gate);
    CHECK_STR(aio_json_string(json, "awaited_by[0].name", "").data, "debug_deep");
    aio_json_free(json);
    json = debug_json(aio_json_write_call_graph, NULL);
    CHECK_INT(aio_json_kind_of(json), AIO_JSON_NULL);
    aio_json_free(json);
    CHECK_INT(aio_task_get_stack(NULL, NULL, 0), 0);
    CHECK_INT(aio_future_awaits(NULL, NULL, 0) + aio_future_awaited_by(NULL, NULL, 0), 0);
    CHECK_STR(aio_future_kind_name(NULL), "");
    aio_print_tasks(NULL);
    aio_future_set_done(gate);
    CHECK_INT(aio_loop_run_until_complete(loop, deep, NULL), 0);
    aio_unref(gate);
    aio_loop_free(loop);
    CHECK_STR(debug_print(debug_print_tasks, NULL), "0 tasks\n");
}

/* More than 100 of one, and more than 64 in a row. */
TEST(debug_data_bounds)
{
    enum { WIDE = 101, LONG = 70 };
    aio_loop *loop = debug_loop(false);
    void *gates[WIDE], *chain[LONG];
    for (int i = 0; i < WIDE; i++) gates[i] = aio_future_create();
    for (int i = 0; i < LONG; i++) {
        chain[i] = i ? aio_gather(&chain[i - 1], 1) : aio_gather(gates, WIDE);
        CHECK(chain[i] != NULL);
    }
    aio_json *json = debug_json(aio_json_write_call_graph, chain[0]);
    CHECK_INT(aio_json_count(aio_json_get(json, "awaits")), 100);
    CHECK(aio_json_bool(json, "more", false));
    aio_json_free(json);
    json = debug_json(aio_json_write_call_graph, chain[LONG - 1]);
    const aio_json *at = json;
    int depth = 0;
    for (; aio_json_get(at, "awaits[0]"); at = aio_json_get(at, "awaits[0]")) depth++;
    CHECK_INT(depth, 64);
    CHECK(aio_json_bool(at, "cut", false));
    aio_json_free(json);
    for (int i = 0; i < WIDE; i++) aio_future_set_done(gates[i]);
    aio_loop_run_until_complete(loop, aio_ref(chain[LONG - 1]), NULL);
    aio_unref_all(chain, LONG);
    aio_unref_all(gates, WIDE);
    aio_loop_free(loop);
    json = debug_json(debug_json_tasks, NULL);
    CHECK_INT(aio_json_count(json), 0);
    aio_json_free(json);
}

struct debug_signal { aio_task task; };
static AIO_CORO(debug_signal)
{
    AIO_BEGIN(debug_signal);
    CHECK_INT(aio_print_tasks_on_signal(aio_get_running_loop(), SIGUSR1), 0);
    CHECK_INT(aio_print_tasks_on_signal(aio_get_running_loop(), SIGKILL), EINVAL);
    raise(SIGUSR1);
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}

TEST(debug_on_signal)
{
    signal_capture();
    int code = aio_run(AIO_CALL(debug_signal));
    const char *text = signal_captured();
    CHECK_INT(code, 0);
    CHECK(strstr(text, "1 task\ntask 'debug_signal'\n") == text);
}

/* ---- misuse ---- */

enum { MISUSE_TAKEN, MISUSE_UNREF, MISUSE_RUNNING, MISUSE_AWAITED, MISUSE_AGAIN, MISUSE_CANCEL, MISUSE_LIST };
enum { MISUSE_MADE = __LINE__ + 5 };
struct debug_misuse { aio_task task; int mode; struct debug_child *child; aio_future *future, *list; };
static AIO_CORO(debug_misuse)
{
    AIO_BEGIN(debug_misuse);
    self->child = aio_create_task(AIO_CALL(debug_child));
    self->future = aio_sleep(1);
    if (self->mode == MISUSE_RUNNING) aio_unref(self->child), aio_unref(self->child);
    if (self->mode == MISUSE_UNREF) aio_unref(self->future), aio_unref(self->future);
    AIO_AWAIT(self->child);
    if (self->mode == MISUSE_TAKEN) printf("%d\n", aio_future_done(self->child));
    if (self->mode == MISUSE_CANCEL) aio_task_cancel(self->child);
    if (self->mode == MISUSE_AGAIN) AIO_AWAIT(self->child);
    if (self->mode == MISUSE_LIST) AIO_AWAIT(aio_gather(&self->child, 1));
    AIO_AWAIT(self->future);
    AIO_END;
}

static void debug_run_misuse(int mode, bool debug)
{
    aio_loop *loop = debug_loop(debug);
    aio_loop_run_until_complete(loop, AIO_CALL(debug_misuse, .mode = mode), NULL);
    aio_loop_free(loop);
}

static const char *debug_line(const char *format, int first, int second, int third)
{
    static char text[400];
    snprintf(text, sizeof text, format, first, second, third);
    return text;
}

/* What is freed and used again is named, with where it was made, where it went, and where it is used. */
TEST(debug_misuse_is_named)
{
    const int made = MISUSE_MADE;
    CHECK_ABORTS(debug_line("aio.h: task 'debug_child' (made at tests/test_debug.c:%d) was taken by the await at "
                            "tests/test_debug.c:%d, and is used again (aio_future_done at tests/test_debug.c:%d)",
                            made, made + 4, made + 5), debug_run_misuse(MISUSE_TAKEN, true));
    CHECK_ABORTS(debug_line(":%d) was taken by the await at tests/test_debug.c:%d, and is used again (aio_task_cancel at "
                            "tests/test_debug.c:%d)", made, made + 4, made + 6), debug_run_misuse(MISUSE_CANCEL, true));
    CHECK_ABORTS(debug_line(":%d) was taken by the await at tests/test_debug.c:%d, and is used again (AIO_AWAIT at "
                            "tests/test_debug.c:%d)", made, made + 4, made + 7), debug_run_misuse(MISUSE_AGAIN, true));
    CHECK_ABORTS(debug_line(":%d) was taken by the await at tests/test_debug.c:%d, and is used again (aio_gather in "
                            "'debug_misuse', at or after tests/test_debug.c:%d)", made, made + 4, made + 4),
                 debug_run_misuse(MISUSE_LIST, true));
}

/* What else ends, and is used again. The first word is the member of struct debug_ended. */
#define DEBUG_USES(X) \
    X(stream, aio_stream_fileno, (o->stream)) X(stream, aio_stream_peername, (o->stream, text, sizeof text)) \
    X(stream, aio_stream_sockname, (o->stream, text, sizeof text)) X(stream, aio_stream_read, (o->stream, 1)) \
    X(stream, aio_stream_readline, (o->stream)) X(stream, aio_stream_readexactly, (o->stream, 2)) \
    X(stream, aio_stream_readuntil, (o->stream, "x", 1)) X(stream, aio_stream_read_all, (o->stream, 0)) \
    X(stream, aio_stream_at_eof, (o->stream)) X(stream, aio_stream_unread, (o->stream)) \
    X(stream, aio_stream_consume, (o->stream, 1)) X(stream, aio_stream_write, (o->stream, "x", 1)) \
    X(stream, aio_stream_write_buffer_size, (o->stream)) X(stream, aio_stream_write_eof, (o->stream)) \
    X(stream, aio_stream_set_write_buffer_limits, (o->stream, 2, 1)) X(stream, aio_stream_drain, (o->stream)) \
    X(stream, aio_stream_can_write_eof, (o->stream)) X(stream, aio_stream_is_closing, (o->stream)) \
    X(stream, aio_stream_close, (o->stream)) X(stream, aio_stream_abort, (o->stream)) \
    X(stream, aio_stream_wait_closed, (o->stream)) X(stream, aio_stream_start_tls, (o->stream, NULL, NULL)) \
    X(response, aio_response_read, (o->response)) X(response, aio_response_read_chunk, (o->response)) \
    X(response, aio_response_read_some, (o->response, 1)) X(response, aio_response_readexactly, (o->response, 1)) \
    X(response, aio_response_readuntil, (o->response, "x", 1)) X(response, aio_response_readline, (o->response)) \
    X(response, aio_response_text_with, (o->response, NULL)) X(response, aio_response_json_with, (o->response, NULL)) \
    X(response, aio_response_head, (o->response)) X(response, aio_response_trailers, (o->response)) \
    X(response, aio_response_bytes_sent, (o->response)) X(response, aio_response_bytes_received, (o->response)) \
    X(response, aio_response_raise_for_status, (o->response)) X(response, aio_response_upgrade, (o->response)) \
    X(response, aio_response_release, (o->response)) X(response, aio_response_close, (o->response)) \
    X(ws, aio_ws_receive, (o->ws)) X(ws, aio_ws_send_text, (o->ws, "x", 1)) \
    X(ws, aio_ws_send_bytes, (o->ws, "x", 1)) X(ws, aio_ws_ping, (o->ws, "", 0)) \
    X(ws, aio_ws_pong, (o->ws, "", 0)) X(ws, aio_ws_close, (o->ws, 0, NULL)) X(ws, aio_ws_close_code, (o->ws)) \
    X(ws, aio_ws_exception, (o->ws)) X(ws, aio_ws_protocol, (o->ws)) X(ws, aio_ws_compresses, (o->ws)) \
    X(ws, aio_ws_stream, (o->ws)) X(ws, aio_ws_send_chunk, (o->ws, AIO_WS_TEXT, "x", 1, true)) \
    X(ws, aio_ws_release, (o->ws)) \
    X(jar, aio_cookie_jar_set, (o->jar, NULL, "a", "b")) X(jar, aio_cookie_jar_next, (o->jar, NULL)) \
    X(jar, aio_cookie_jar_filter, (o->jar, NULL, &piece)) X(jar, aio_cookie_jar_count, (o->jar)) \
    X(jar, aio_cookie_jar_clear, (o->jar, NULL, NULL)) X(jar, aio_cookie_jar_ref, (o->jar)) \
    X(jar, aio_cookie_jar_save, (o->jar, "/dev/null")) X(jar, aio_cookie_jar_load, (o->jar, "/dev/null", NULL)) \
    X(jar, aio_cookie_jar_update, (o->jar, NULL, "", 0, NULL)) X(jar, aio_cookie_jar_unref, (o->jar)) \
    X(connector, aio_connector_ref, (o->connector)) X(connector, aio_connector_busy, (o->connector)) \
    X(connector, aio_connector_idle, (o->connector)) X(connector, aio_connector_unref, (o->connector)) \
    X(session, aio_session_busy, (o->session)) X(session, aio_session_idle, (o->session)) \
    X(session, aio_session_cookie_jar, (o->session)) \
    X(server, aio_server_port, (o->server)) X(server, aio_server_client_count, (o->server)) \
    X(server, aio_server_close, (o->server)) X(server, aio_server_close_clients, (o->server)) \
    X(server, aio_server_abort_clients, (o->server)) X(server, aio_server_wait_closed, (o->server)) \
    X(server, aio_server_serve_forever, (o->server))

struct debug_hold { aio_task task; aio_request *request; aio_ws *ws; aio_ws_message message; };
static AIO_CORO(debug_hold)
{
    AIO_BEGIN(debug_hold);
    AIO_AWAIT(self->ws, aio_request_upgrade_websocket(self->request));
    AIO_ASYNC_FOR(self->message, aio_ws_receive(self->ws)) { }
    AIO_FINALLY;
        aio_ws_release(self->ws);
    AIO_END;
}
static void *debug_hold_handler(aio_request *request, void *arg)
{
    (void)arg;
    return strcmp(request->path.data, "/ws") ? AIO_CALL(debug_page, .request = request)
                                             : (void *)AIO_CALL(debug_hold, .request = request);
}

struct debug_ended { aio_task task; aio_server *server; aio_stream *stream; aio_session *session; aio_ws *ws;
    aio_response *response; aio_cookie_jar *jar; aio_connector *connector; char url[60]; int says; };

static void debug_use(void *of, int use)
{
    struct debug_ended *o = (struct debug_ended *)of;
    char text[100];
    aio_text piece;
#define DEBUG_USE(member, function, arguments) if (!use--) (void)function arguments;
    DEBUG_USES(DEBUG_USE)
#undef DEBUG_USE
    (void)text, (void)piece;
}

/* What it says before it ends the program. */
static sigjmp_buf debug_abort;
static void debug_on_abort(int number) { siglongjmp(debug_abort, number); }
static const char *debug_used(void (*uses)(void *, int), void *o, int use)
{
    static struct sigaction before;
    struct sigaction now_;
    memset(&now_, 0, sizeof now_);
    now_.sa_handler = debug_on_abort;
    sigaction(SIGABRT, &now_, &before);
    signal_capture();
    if (!sigsetjmp(debug_abort, 1)) uses(o, use);
    sigaction(SIGABRT, &before, NULL);
    return signal_captured();
}

/* What is said of each: made and ended after these lines, counted from the coroutine's first await. */
enum { ENDED_FIRST = __LINE__ + 21 };
static const struct { const char *member, *kind, *how; int made, ended; } debug_ends[] = {
    { "stream", "stream", "closed", 1, 9 }, { "response", "response", "released", 6, 9 },
    { "ws", "WebSocket", "released", 8, 9 }, { "jar", "cookie jar", "given back", 1, 9 },
    { "connector", "connector", "closed", 1, 9 }, { "session", "session", "closed", 1, 9 },
    { "server", "server", "closed", 0, 15 },
};
static const char *debug_ended_text(const char *member, const char *function)
{
    static char text[400];
    int i = 0;
    while (strcmp(member, debug_ends[i].member) != 0) i++;
    snprintf(text, sizeof text, "aio.h: %s (made after tests/test_debug.c:%d) was %s after tests/test_debug.c:%d, and is "
             "used again (%s in 'debug_ended', at or after tests/test_debug.c:%d)\n", debug_ends[i].kind,
             ENDED_FIRST + debug_ends[i].made, debug_ends[i].how, ENDED_FIRST + debug_ends[i].ended, function,
             ENDED_FIRST + 16);
    return text;
}
static AIO_CORO(debug_ended)
{
    AIO_BEGIN(debug_ended);
    AIO_AWAIT(self->server, aio_start_http_server(debug_hold_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
    self->session = aio_session_open();
    self->connector = aio_connector_open();
    self->jar = aio_cookie_jar_open();
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
    strcat(self->url, "ws");
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url));
    AIO_AWAIT(aio_sleep(0));
    aio_stream_close(self->stream);
    aio_response_release(self->response);
    aio_ws_release(self->ws);
    aio_cookie_jar_unref(self->jar);
    aio_connector_unref(self->connector);
    AIO_AWAIT(aio_session_close(self->session));
    AIO_AWAIT(aio_server_wait_closed(self->server));
#define DEBUG_USE(member, function, arguments) \
    CHECK_STR(debug_used(debug_use, self, self->says++), debug_ended_text(#member, #function));
    DEBUG_USES(DEBUG_USE)
#undef DEBUG_USE
    AIO_TRY {
        AIO_AWAIT(aio_session_close(self->session));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
        CHECK_STR(aio_caught(self)->message, debug_line("the session (made after tests/test_debug.c:%d) was closed after "
                                                        "tests/test_debug.c:%d", ENDED_FIRST + 1, ENDED_FIRST + 9, 0));
    } AIO_END_TRY;
    AIO_TRY {
        AIO_AWAIT(self->response, aio_session_get(self->session, "http://127.0.0.1/"));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(AIO_ERUNTIME);
        CHECK(strstr(aio_caught(self)->message, debug_line("the session (made after tests/test_debug.c:%d) was closed after "
                                                           "tests/test_debug.c:%d", ENDED_FIRST + 1, ENDED_FIRST + 9, 0)));
    } AIO_END_TRY;
    AIO_END;
}

TEST(debug_ended_is_named)
{
    aio_loop *loop = debug_loop(true);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_ended), NULL), 0);
    aio_loop_free(loop);
}

/* A WebSocket that is released while its close goes on: the place that is said is that of the release. */
struct debug_ws_left { aio_task task; aio_server *server; aio_session *session; aio_ws *ws; aio_future *close;
    char url[60]; };
static void debug_ws_use(void *of, int use) { (void)use, (void)aio_ws_close_code(((struct debug_ws_left *)of)->ws); }
enum { DEBUG_WS_LEFT_LINE = __LINE__ + 9 };
static AIO_CORO(debug_ws_left)
{
    AIO_BEGIN(debug_ws_left);
    AIO_AWAIT(self->server, aio_start_http_server(debug_hold_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/ws", aio_server_port(self->server));
    REQUIRE(self->session = aio_session_open());
    AIO_AWAIT(self->ws, aio_ws_connect(self->session, self->url));
    REQUIRE(self->close = (aio_future *)(void *)aio_create_task(aio_ws_close(self->ws, 0, NULL)));
    AIO_AWAIT(aio_sleep(0));
    aio_ws_release(self->ws);
    AIO_AWAIT((aio_future *)aio_ref(self->close));
    aio_unref(self->close);
    self->close = NULL;
    AIO_AWAIT(aio_sleep(0));
    CHECK(strstr(debug_used(debug_ws_use, self, 0),
                 debug_line("was released after tests/test_debug.c:%d, and is", DEBUG_WS_LEFT_LINE, 0, 0)));
    AIO_FINALLY;
        aio_unref(self->close);
        AIO_AWAIT(aio_session_close(self->session));
        aio_server_abort_clients(self->server);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}

TEST(debug_websocket_left_by_its_close)
{
    aio_loop *loop = debug_loop(true);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_ws_left), NULL), 0);
    aio_loop_free(loop);
}

/* The other things that end; the lines are counted from the coroutine's first await. */
#define DEBUG_MORE_USES(X) \
    X(endpoint, aio_datagram_port, (o->endpoint)) X(endpoint, aio_datagram_fileno, (o->endpoint)) \
    X(endpoint, aio_datagram_sockname, (o->endpoint, text, sizeof text)) \
    X(endpoint, aio_datagram_drain, (o->endpoint)) \
    X(endpoint, aio_datagram_peername, (o->endpoint, text, sizeof text)) \
    X(endpoint, aio_datagram_sendto, (o->endpoint, "x", 1, "127.0.0.1:9")) \
    X(endpoint, aio_datagram_receive, (o->endpoint)) X(endpoint, aio_datagram_close, (o->endpoint)) \
    X(endpoint, aio_datagram_wait_closed, (o->endpoint)) X(endpoint, aio_datagram_abort, (o->endpoint)) \
    X(process, aio_process_stdin, (o->process)) X(process, aio_process_stdout, (o->process)) \
    X(process, aio_process_stderr, (o->process)) X(process, aio_process_pid, (o->process)) \
    X(process, aio_process_returncode, (o->process)) X(process, aio_process_wait, (o->process)) \
    X(process, aio_process_send_signal, (o->process, SIGTERM)) X(process, aio_process_release, (o->process)) \
    X(process, aio_process_communicate, (o->process, NULL, 0)) \
    X(running, aio_process_wait, (o->running)) X(running, aio_process_release, (o->running)) \
    X(resolver, aio_resolver_clear_cache, (o->resolver)) X(resolver, aio_resolver_cache_count, (o->resolver)) \
    X(resolver, aio_resolver_resolve, (o->resolver, "a.test", 80)) \
    X(resolver, aio_resolver_query, (o->resolver, "a.test", AIO_DNS_A)) X(resolver, aio_resolver_close, (o->resolver)) \
    X(transport, aio_transport_pause_reading, (o->transport)) \
    X(transport, aio_transport_resume_reading, (o->transport)) \
    X(transport, aio_transport_is_reading, (o->transport)) X(transport, aio_transport_get_self, (o->transport)) \
    X(transport, aio_transport_set_protocol, (o->transport, NULL, NULL)) \
    X(transport, aio_transport_get_protocol, (o->transport)) \
    X(form, aio_form_ref, (o->form)) X(form, aio_form_add_with, (o->form, "a", NULL)) \
    X(form, aio_form_unref, (o->form)) \
    X(app, aio_app_problem, (o->app)) X(app, aio_app_route, (o->app, "GET", "/", debug_page_handler, NULL)) \
    X(app, aio_app_use, (o->app, debug_page_handler, NULL)) X(app, aio_app_close, (o->app)) \
    X(sse, aio_sse_next, (o->sse)) X(sse, aio_sse_close, (o->sse)) \
    X(parts, aio_multipart_next, (o->parts)) X(parts, aio_multipart_close, (o->parts)) \
    X(parser, aio_http_parser_feed, (o->parser, &piece, &piece)) X(parser, aio_http_parser_finish, (o->parser)) \
    X(parser, aio_http_parser_expect, (o->parser, "GET")) X(parser, aio_http_parser_message, (o->parser)) \
    X(parser, aio_http_parser_close, (o->parser)) DEBUG_TLS_USES(X) DEBUG_REQUEST_USES(X)
#define DEBUG_REQUEST_USES(X) \
    X(request, aio_request_respond_with, (o->request, 200, NULL)) \
    X(request, aio_request_start_with, (o->request, 200, NULL)) \
    X(request, aio_request_chunk, (o->request, "x", 1)) X(request, aio_request_end, (o->request)) \
    X(request, aio_request_read, (o->request)) X(request, aio_request_read_chunk, (o->request)) \
    X(request, aio_request_text_with, (o->request, NULL)) X(request, aio_request_json_with, (o->request, NULL)) \
    X(request, aio_request_multipart_with, (o->request, NULL)) X(request, aio_request_trailers, (o->request)) \
    X(request, aio_request_set_trailer, (o->request, "A", "b")) \
    X(request, aio_request_set_header, (o->request, "A", "b")) \
    X(request, aio_request_query_next, (o->request, &position, &piece, &piece)) \
    X(request, aio_request_status, (o->request)) \
    X(request, aio_request_sendfile, (o->request, 0, 0, 1)) X(request, aio_request_cookie, (o->request, "a")) \
    X(request, aio_request_set_cookie_with, (o->request, "a", "b", NULL)) \
    X(request, aio_request_delete_cookie_with, (o->request, "a", NULL)) \
    X(request, aio_request_fail, (o->request, 404, NULL)) \
    X(request, aio_request_upgrade_with, (o->request, NULL)) X(request, aio_request_next, (o->request)) \
    X(request, aio_request_param, (o->request, "a")) X(request, aio_request_route, (o->request))
#ifdef AIO_NO_TLS
#define DEBUG_TLS_USES(X)
#else
#define DEBUG_TLS_USES(X) \
    X(tls, aio_tls_context_ref, (o->tls)) X(tls, aio_tls_context_add_host, (o->tls, "a.test", NULL)) \
    X(tls, aio_stream_start_tls, (o->live, o->tls, "a.test")) X(tls, aio_tls_context_unref, (o->tls)) \
    X(digest, aio_digest_auth_ref, (o->digest)) X(digest, aio_digest_auth_challenged, (o->digest, NULL, NULL, false)) \
    X(digest, aio_digest_auth_informed, (o->digest, NULL, NULL)) \
    X(digest, aio_digest_auth_authorize, (o->digest, NULL, "GET", "/", NULL, &piece)) \
    X(digest, aio_digest_auth_unref, (o->digest))
#endif

struct debug_finished { aio_task task; aio_datagram_endpoint *endpoint; aio_process *process, *running;
    aio_resolver *resolver; aio_transport *transport; aio_stream *live; aio_form *form; aio_app *app; aio_sse *sse;
    aio_multipart *parts; aio_http_parser *parser; aio_tls_context *tls; aio_digest_auth *digest; aio_request *request;
    aio_server *server; aio_session *session; aio_response *response; char url[60]; int says, requests, line; };

static aio_request *debug_request;
static void *debug_keep_handler(aio_request *request, void *arg)
{
    (void)arg;
    debug_request = request;
    return AIO_CALL(debug_page, .request = request);
}

static void debug_use_more(void *of, int use)
{
    struct debug_finished *o = (struct debug_finished *)of;
    char text[100];
    size_t position = 0;
    aio_text piece = { "", 0 };
#define DEBUG_USE(member, function, arguments) if (!use--) (void)function arguments;
    DEBUG_MORE_USES(DEBUG_USE)
    DEBUG_REQUEST_USES(DEBUG_USE)
#undef DEBUG_USE
    (void)text, (void)piece, (void)position;
}

static aio_text_task *debug_no_source(void *arg) { return (void)arg, NULL; }

static void debug_open_all(struct debug_finished *self)
{
    self->resolver = aio_resolver_open(.nameservers = "127.0.0.1");
    self->form = aio_form_open();
    self->app = aio_app_open();
    self->session = aio_session_open();
    self->sse = aio_sse_open(self->session, "http://127.0.0.1/");
    self->parts = aio__multipart_open(aio__text("multipart/mixed; boundary=x", 27), debug_no_source, NULL, NULL);
    self->parser = aio_http_parser_open();
    self->tls = aio_tls_context_create(.verify = AIO_VERIFY_NONE);
    self->digest = aio_digest_auth_open("user", "password");
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/?a=b", aio_server_port(self->server));
}

static void debug_end_all(struct debug_finished *self)
{
    aio_datagram_close(self->endpoint);
    aio_process_release(self->process);
    aio_process_release(self->running);
    aio_resolver_close(self->resolver);
    aio_stream_close(self->transport);
    aio_form_unref(self->form);
    aio_app_close(self->app);
    aio_sse_close(self->sse);
    aio_multipart_close(self->parts);
    aio_http_parser_close(self->parser);
    aio_tls_context_unref(self->tls);
    aio_digest_auth_unref(self->digest);
    aio_response_release(self->response);
    self->request = debug_request;
}

enum { FINISHED_FIRST = __LINE__ + 28, FINISHED_OPEN = FINISHED_FIRST + 7, FINISHED_END = FINISHED_FIRST + 9 };
static const struct { const char *member, *kind, *how; int made; } debug_finishes[] = {
    { "endpoint", "datagram endpoint", "closed", FINISHED_FIRST },
    { "process", "process", "released", FINISHED_FIRST + 1 }, { "running", "process", "released", FINISHED_FIRST + 2 },
    { "transport", "stream", "closed", FINISHED_FIRST + 5 }, { "resolver", "resolver", "closed", FINISHED_OPEN },
    { "form", "form", "given back", FINISHED_OPEN }, { "app", "application", "closed", FINISHED_OPEN },
    { "sse", "event source", "closed", FINISHED_OPEN }, { "parts", "multipart", "closed", FINISHED_OPEN },
    { "parser", "HTTP parser", "closed", FINISHED_OPEN }, { "tls", "TLS context", "given back", FINISHED_OPEN },
    { "digest", "Digest authentication", "given back", FINISHED_OPEN },
    { "request", "request", "ended with its handler", 0 },
};
static const char *debug_finished_text(const char *member, const char *function, int line)
{
    static char text[400];
    char made[60] = "", at[60] = "";
    int i = 0;
    while (strcmp(member, debug_finishes[i].member) != 0) i++;
    int first = debug_finishes[i].made;
    if (first) snprintf(made, sizeof made, " (made after tests/test_debug.c:%d)", first);
    if (first) snprintf(at, sizeof at, " after tests/test_debug.c:%d", FINISHED_END);
    snprintf(text, sizeof text, "aio.h: %s%s was %s%s, and is used again (%s in 'debug_finished', at or after "
             "tests/test_debug.c:%d)\n", debug_finishes[i].kind, made, debug_finishes[i].how, at, function, line);
    return text;
}

static AIO_CORO(debug_finished)
{
    AIO_BEGIN(debug_finished);
    AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    AIO_AWAIT(self->process, aio_create_subprocess_shell("exit 3"));
    AIO_AWAIT(self->running, aio_create_subprocess_shell("read x", .in = AIO_PIPE));
    AIO_AWAIT(aio_process_wait(self->process));
    AIO_AWAIT(self->server, aio_start_http_server(debug_keep_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->transport, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    AIO_AWAIT(self->live, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    AIO_AWAIT(aio_sleep(0));
    debug_open_all(self);
    AIO_AWAIT(self->response, aio_session_get(self->session, self->url));
    debug_end_all(self);
#define DEBUG_USE(member, function, arguments) \
    CHECK_STR(debug_used(debug_use_more, self, self->says++), debug_finished_text(#member, #function, self->line));
    self->line = FINISHED_END;
    DEBUG_MORE_USES(DEBUG_USE)
    self->requests = self->says;
    DEBUG_REQUEST_USES(DEBUG_USE)
    aio_stream_close(self->live);
    AIO_AWAIT(aio_session_close(self->session));
    AIO_AWAIT(aio_server_wait_closed(self->server));
    self->says = self->requests;
    self->line = __LINE__ - 2;
    DEBUG_REQUEST_USES(DEBUG_USE)
#undef DEBUG_USE
    AIO_END;
}

TEST(debug_finished_is_named)
{
    aio_loop *loop = debug_loop(true);
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_finished), NULL), 0);
    aio_loop_free(loop);
    CHECK_INT(debug_told.count, 0);
}

/* What is not closed when the loop ends: a session, a server, a stream, ..., each alone. */
struct debug_unclosed { aio_task task; int mode; aio_server *server; aio_stream *stream, *other; aio_process *process;
    aio_datagram_endpoint *endpoint; };
enum { UNCLOSED_FIRST = __LINE__ + 5 };
static AIO_CORO(debug_unclosed)
{
    int fds[2];
    AIO_BEGIN(debug_unclosed);
    AIO_AWAIT(aio_sleep(0));
    if (self->mode == 0) aio_session_open();
    if (self->mode == 1) AIO_AWAIT(self->server, aio_start_http_server(debug_page_handler, NULL, "127.0.0.1", 0));
    if (self->mode == 2 && CHECK(!pipe(fds) && !close(fds[1]))) AIO_AWAIT(self->stream, aio_connect_read_pipe(fds[0]));
    if (self->mode == 3) aio_resolver_open(.nameservers = "127.0.0.1");
    if (self->mode == 4) AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
    if (self->mode >= 5) AIO_AWAIT(self->process, aio_create_subprocess_shell("read x", .in = AIO_PIPE));
    if (self->mode == 6) aio_process_terminate(self->process);
    if (self->mode == 6) AIO_AWAIT(aio_process_wait(self->process));
    AIO_END;
}

TEST(debug_unclosed_is_named)
{
    static const struct { const char *kind, *how; int line; } rows[] = {
        { "session", "closed", 0 }, { "server", "closed", 2 }, { "stream", "closed", 3 }, { "resolver", "closed", 0 },
        { "datagram endpoint", "closed", 5 }, { "process", "released", 6 }, { "process", "released", 6 },
    };
    char wanted[100];
    for (int mode = 0; mode < 7; mode++)
        for (int debug = 0; debug < 2; debug++) {
            aio_loop *loop = debug_loop(debug);
            CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_unclosed, .mode = mode), NULL), 0);
            CHECK_INT(debug_told.count, 0);
            aio_loop_close(loop);
            CHECK_INT(debug_told.count, debug);
            snprintf(wanted, sizeof wanted, "%s (made after tests/test_debug.c:%d) was never %s", rows[mode].kind,
                     UNCLOSED_FIRST + rows[mode].line, rows[mode].how);
            if (debug) CHECK_STR(debug_told.text, wanted);
            aio_loop_free(loop);
        }
}

/* What was made before debug mode began is not told of: nobody has kept where it was made. */
TEST(debug_begins_late)
{
    for (int mode = 0; mode < 7; mode++) {
        aio_loop *loop = debug_loop(false);
        CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_unclosed, .mode = mode), NULL), 0);
        aio_loop_set_debug(loop, true);
        aio_loop_close(loop);
        CHECK_INT(debug_told.count, 0);
        aio_loop_free(loop);
    }
}

/* A session that is left with an idle connection goes with its loop, as does one that is closed while a response lives. */
struct debug_idle { aio_task task; bool live; aio_server *server; aio_session *session; aio_response *r; char url[60]; };
static AIO_CORO(debug_idle)
{
    AIO_BEGIN(debug_idle);
    AIO_AWAIT(self->server, aio_start_http_server(debug_page_handler, NULL, "127.0.0.1", 0));
    snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/x", aio_server_port(self->server));
    self->session = aio_session_open();
    AIO_AWAIT(self->r, aio_session_get(self->session, self->url));
    if (self->live) aio_unref(aio_session_close(self->session));
    aio_response_release(self->r);
    AIO_END;
}
TEST(debug_session_left_idle)
{
    for (int debug = 0; debug < 2; debug++)
        for (int live = 0; live < 2; live++) {
            aio_loop *loop = debug_loop(debug);
            CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_idle, .live = live), NULL), 0);
            aio_loop_free(loop);
        }
}

/* Who hears of what was forgotten may end it, or all of it at the first word, or leave it and make more of each kind;
 * the loop that closes can be neither run nor closed meanwhile. */
enum { TIDY_ONE, TIDY_ALL, TIDY_MAKE, TIDY_WAYS, TIDY_THINGS = 7, TIDY_KINDS = 10 };
static const char *const debug_tidied[TIDY_KINDS] = {
    "session (", "response of GET ", "server (", "stream (", "resolver (", "datagram endpoint (", "process (",
    "'future' was never released", "coroutine 'debug_child' was never awaited", "task 'left' was destroyed" };
static struct { int way, heard[TIDY_KINDS], made; bool ended[TIDY_KINDS][2]; aio_session *session[2];
    aio_response *response[2]; aio_server *server[2]; aio_stream *stream[2]; aio_resolver *resolver[2];
    aio_datagram_endpoint *endpoint[2]; aio_process *process[2]; void *future[2], *coroutine[2], *pending[2]; } debug_litter;

static void debug_tidy_one(int kind, int i)
{
    if (debug_litter.ended[kind][i]) return;
    debug_litter.ended[kind][i] = true;
    if (kind == 0) aio_unref(aio_session_close(debug_litter.session[i]));
    if (kind == 1) aio_response_release(debug_litter.response[i]);
    if (kind == 2) aio_unref(aio_server_wait_closed(debug_litter.server[i]));
    if (kind == 3) aio_stream_close(debug_litter.stream[i]);
    if (kind == 4) aio_resolver_close(debug_litter.resolver[i]);
    if (kind == 5) aio_datagram_close(debug_litter.endpoint[i]);
    if (kind == 6) aio_process_release(debug_litter.process[i]);
    if (kind == 7) aio_unref(debug_litter.future[i]);
    if (kind == 8) aio_unref(debug_litter.coroutine[i]);
    if (kind == 9) aio_task_cancel(debug_litter.pending[i]);
    if (kind == 9) aio_unref(debug_litter.pending[i]);
}

static void debug_tidy_make(aio_loop *loop)
{
    if (debug_litter.made++ >= 9) return;
    aio_session_open();
    aio_resolver_open(.nameservers = "127.0.0.1");
    aio_future_create();
    aio_loop_call_later(loop, 1, debug_slow_call, NULL);
    aio_unref(aio_create_task(aio_create_datagram_endpoint(.local_host = "127.0.0.1")));
    aio_unref(aio_create_task(aio_start_http_server(debug_page_handler, NULL, "127.0.0.1", 0)));
}

static void debug_tidy(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    int kind = 0;
    (void)exception, (void)arg;
    while (kind < TIDY_KINDS && strncmp(message, debug_tidied[kind], strlen(debug_tidied[kind])) != 0) kind++;
    if (kind == TIDY_KINDS) return; /* what the servers' clients had */
    int nth = debug_litter.heard[kind]++;
    CHECK_INT(aio_loop_close(loop), AIO_ELOOPRUNNING);
    CHECK_INT(aio_loop_run_forever(loop), AIO_ELOOPCLOSED);
    if (debug_litter.way == TIDY_ONE && nth < 2) debug_tidy_one(kind, nth);
    for (int i = 0; debug_litter.way == TIDY_ALL && i < 2 * TIDY_KINDS; i++)
        if ((kind < TIDY_THINGS) == (i / 2 < TIDY_THINGS)) debug_tidy_one(i / 2, i % 2); /* futures come later */
    if (debug_litter.way == TIDY_MAKE) debug_tidy_make(loop);
}

/* Who hears of tasks at the end may begin with threads and signals again, as the loop had before, and make a task for
 * each: it ends all the same, and nothing comes to it later. */
static struct { int heard, jobs; } debug_late;
static void *debug_late_job(void *arg)
{
    (void)arg;
    __atomic_add_fetch(&debug_late.jobs, 1, __ATOMIC_SEQ_CST);
    return NULL;
}
static void debug_late_signal(void *arg) { (void)arg; }
static void debug_begin_anew(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)exception, (void)arg;
    if (strncmp(message, "task '", 6) != 0) return;
    debug_late.heard++;
    if (debug_late.heard > 100) return;
    aio_unref(aio_loop_run_in_executor(loop, NULL, debug_late_job, NULL));
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR1, debug_late_signal, NULL), 0);
    aio_unref(aio_create_task(AIO_CALL(debug_child, .delay = 100)));
}
struct debug_used { aio_task task; };
static AIO_CORO(debug_used)
{
    AIO_BEGIN(debug_used);
    CHECK_INT(aio_loop_add_signal_handler(aio_get_running_loop(), SIGUSR1, debug_late_signal, NULL), 0);
    AIO_AWAIT(aio_loop_run_in_executor(aio_get_running_loop(), NULL, debug_late_job, NULL));
    for (int i = 0; i < 3; i++) aio_unref(aio_create_task(AIO_CALL(debug_child, .delay = 100)));
    AIO_AWAIT(aio_sleep(0));
    AIO_END;
}
TEST(debug_begins_anew_at_close)
{
    for (int debug = 0; debug < 2; debug++) {
        aio_loop *loop = debug_loop(debug);
        memset(&debug_late, 0, sizeof debug_late);
        aio_set_event_loop(loop);
        CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_used), NULL), 0);
        aio_loop_set_exception_handler(loop, debug_begin_anew, NULL);
        CHECK_INT(aio_loop_close(loop), 0);
        CHECK(debug_late.heard >= 3 && debug_late.heard < 10);
        CHECK_PTR(loop->executor, NULL);
        CHECK_PTR(__atomic_load_n(&aio__signal_table[SIGUSR1].loop, __ATOMIC_SEQ_CST), NULL);
        aio_loop_free(loop);
    }
}

struct debug_litters { aio_task task; int i; char url[60]; };
static AIO_CORO(debug_litters)
{
    AIO_BEGIN(debug_litters);
    for (self->i = 0; self->i < 2; self->i++) {
        AIO_AWAIT(debug_litter.server[self->i], aio_start_http_server(debug_page_handler, NULL, "127.0.0.1", 0));
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/x", aio_server_port(debug_litter.server[self->i]));
        AIO_AWAIT(debug_litter.stream[self->i],
                  aio_open_connection("127.0.0.1", aio_server_port(debug_litter.server[self->i])));
        AIO_AWAIT(debug_litter.endpoint[self->i], aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
        AIO_AWAIT(debug_litter.process[self->i], aio_create_subprocess_shell("read x", .in = AIO_PIPE));
        debug_litter.session[self->i] = aio_session_open();
        debug_litter.resolver[self->i] = aio_resolver_open(.nameservers = "127.0.0.1");
        AIO_AWAIT(debug_litter.response[self->i], aio_session_get(debug_litter.session[self->i], self->url));
        debug_litter.future[self->i] = aio_future_create();
        debug_litter.coroutine[self->i] = AIO_CALL(debug_child);
        debug_litter.pending[self->i] = aio_create_task(AIO_CALL(debug_child, .delay = 100), .name = "left");
    }
    AIO_END;
}

TEST(debug_tidied_at_close)
{
    for (int way = 0; way < TIDY_WAYS; way++) {
        aio_loop *loop = debug_loop(true);
        memset(&debug_litter, 0, sizeof debug_litter);
        debug_litter.way = way;
        CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_litters), NULL), 0);
        CHECK_INT(debug_told.count, 0);
        aio_loop_set_exception_handler(loop, debug_tidy, NULL);
        CHECK_INT(aio_loop_close(loop), 0);
        int things = 0;
        for (int kind = 0; kind < TIDY_KINDS; kind++) {
            int heard = debug_litter.heard[kind];
            things += kind < TIDY_THINGS ? heard : 0;
            if (!CHECK(way == TIDY_ALL ? heard <= 2 : way == TIDY_ONE ? heard == 2 : heard >= 2))
                printf("# way %d, '%s...': %d times\n", way, debug_tidied[kind], heard);
        }
        if (way == TIDY_ALL) CHECK_INT(things, 1);
        aio_loop_free(loop);
    }
}

/* A datagram is awaited, a request is being served, or sent, or a lookup has begun when the loop closes: nothing is left,
 * with debug mode and without it. */
struct debug_cut { aio_task task; int mode; aio_server *server; aio_datagram_endpoint *endpoint; aio_stream *stream;
    aio_resolver *resolver; aio_datagram datagram; char url[60]; };
static AIO_CORO(debug_cut)
{
    AIO_BEGIN(debug_cut);
    if (self->mode == 0) {
        AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
        AIO_AWAIT(self->datagram, aio_datagram_receive(self->endpoint));
    } else if (self->mode == 1) {
        AIO_AWAIT(self->server, aio_start_http_server(debug_never_handler, NULL, "127.0.0.1", 0));
        AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
        aio_stream_write(self->stream, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
        AIO_AWAIT(aio_stream_readline(self->stream));
    } else if (self->mode == 2) {
        AIO_AWAIT(self->server, aio_start_http_server(debug_never_handler, NULL, "127.0.0.1", 0));
        snprintf(self->url, sizeof self->url, "http://127.0.0.1:%d/", aio_server_port(self->server));
        AIO_AWAIT(aio_session_get(aio_session_open(), self->url));
    } else {
        AIO_AWAIT(self->endpoint, aio_create_datagram_endpoint(.local_host = "127.0.0.1"));
        snprintf(self->url, sizeof self->url, "127.0.0.1:%d", aio_datagram_port(self->endpoint));
        self->resolver = aio_resolver_open(.nameservers = self->url);
        AIO_AWAIT(aio_resolver_resolve(self->resolver, "a.test", 80));
    }
    AIO_END;
}

static void debug_stop(void *loop) { aio_loop_stop((aio_loop *)loop); }
TEST(debug_cut_short)
{
    for (int mode = 0; mode < 8; mode++) {
        aio_loop *loop = debug_loop(mode / 4);
        struct debug_cut *cut = aio_create_task(AIO_CALL(debug_cut, .mode = mode % 4));
        aio_loop_call_later(loop, 0.05, debug_stop, loop);
        aio_loop_run_forever(loop);
        CHECK(!aio_future_done(cut));
        aio_unref(cut);
        aio_loop_free(loop);
    }
}

/* With a sleep that the timer heap still has, and with a task that only the loop has any more; in every mode. */
TEST(debug_unref_twice, .skip = KIND_OWN)
{
    const int made = MISUSE_MADE;
    CHECK_ABORTS(debug_line("aio.h: one aio_unref too many: 'debug_child' (made at tests/test_debug.c:%d) is still the "
                            "loop's, which runs it (aio_unref at tests/test_debug.c:%d)", made, made + 2, 0),
                 debug_run_misuse(MISUSE_RUNNING, true));
    CHECK_ABORTS(debug_line("aio.h: one aio_unref too many: 'debug_child' is still the loop's, which runs it (aio_unref "
                            "at tests/test_debug.c:%d)", made + 2, 0, 0), debug_run_misuse(MISUSE_RUNNING, false));
    CHECK_ABORTS(debug_line("(aio_unref at tests/test_debug.c:%d)", made + 3, 0, 0),
                 debug_run_misuse(MISUSE_UNREF, true));
    CHECK_ABORTS(debug_line("(aio_unref at tests/test_debug.c:%d)", made + 3, 0, 0),
                 debug_run_misuse(MISUSE_UNREF, false));
}

/* Futures that were dropped: of the library's functions, too. A call that cannot know its line names the await before. */
enum { DROP_SLEEP, DROP_FUTURE, DROP_EVENT, DROPS };
static aio_event debug_drop_event; /* outlives what is dropped */
struct debug_drop { aio_task task; int mode; aio_future *kept; };
enum { DROP_FIRST = __LINE__ + 4 };
static AIO_CORO(debug_drop)
{
    AIO_BEGIN(debug_drop);
    AIO_AWAIT(aio_sleep(0));
    if (self->mode == DROP_SLEEP) aio_sleep(1);
    if (self->mode == DROP_FUTURE) aio_future_create();
    if (self->mode == DROP_EVENT) aio_event_wait(&debug_drop_event);
    AIO_AWAIT(aio_sleep(2));
    AIO_END;
}

TEST(debug_dropped_futures_are_named)
{
    static const char *const names[] = { "'sleep'", "'future'", "" };
    for (int mode = 0; mode < DROPS; mode++) {
        char wanted[100];
        aio_loop *loop = debug_loop(true);
        CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(debug_drop, .mode = mode), NULL), 0);
        aio_loop_free(loop);
        CHECK_INT(debug_told.count, 1);
        snprintf(wanted, sizeof wanted, "%s:%d)", mode == DROP_EVENT ? "(made after tests/test_debug.c"
                 : "(made at tests/test_debug.c", DROP_FIRST + (mode == DROP_EVENT ? 0 : mode + 1));
        if (!CHECK(strstr(debug_told.text, names[mode]) && strstr(debug_told.text, wanted)))
            printf("# %s, wanted %s\n", debug_told.text, wanted);
    }
}

/* What was freed is held back for a while, in bounds. */
struct debug_large { aio_task task; char large[100000]; };
static AIO_CORO(debug_large)
{
    AIO_BEGIN(debug_large);
    AIO_END;
}
struct debug_keeps { aio_task task; int i; bool debug; };
SCENARIO(debug_keeps)
{
    AIO_BEGIN(debug_keeps);
    self->debug = aio_loop_get_debug(aio_get_running_loop());
    aio_loop_set_debug(aio_get_running_loop(), true);
    for (self->i = 0; self->i < 20; self->i++) {
        AIO_AWAIT(AIO_CALL(debug_large));
        if (self->i == 4 && !aio__on_valgrind) CHECK(aio_get_running_loop()->kept_bytes > 400000);
    }
    CHECK(aio_get_running_loop()->kept_bytes <= AIO__KEPT_MAX);
    AIO_FINALLY;
        aio_loop_set_debug(aio_get_running_loop(), self->debug);
    AIO_END;
}

/* Reports of one kind are counted after the first ten of a second, and summed up after it; a handler gets each. */
TEST(debug_reports_are_summed_up, .skip = KIND_DEBUG)
{
    char text[8192];
    size_t length;
    aio_loop *loop = aio_new_event_loop();
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO), lines = 0;
    CHECK(loop && file);
    fflush(stderr);
    dup2(fileno(file), STDERR_FILENO);
    for (int i = 0; i < 5000; i++) aio__report(loop, NULL, "many: %d", i);
    aio__report(loop, NULL, "another: %d", 1);
    CHECK_INT(aio_loop_run_until_complete(loop, aio__sleep_until(loop, seam_now + 1500000000), NULL), 0);
    for (int i = 0; i < 12; i++) aio__report(loop, NULL, "many: %d", i);
    aio_loop_set_exception_handler(loop, on_report, NULL);
    for (int i = 0; i < 20; i++) aio__report(loop, NULL, "many: %d", i);
    CHECK_INT(now.reports, 20);
    now.reports = 0;
    aio_loop_free(loop);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    length = fread(text, 1, sizeof text - 1, file);
    text[length] = 0;
    fclose(file);
    for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
    CHECK_INT(lines, 10 + 1 + 1 + 10 + 1);
    CHECK(strstr(text, "many: 9\naio.h: another: 1\naio.h: 4990 more of the kind of the above, the latest: many: 4999\n"
                       "aio.h: many: 0\n"));
    CHECK(strstr(text, "many: 9\naio.h: 2 more of the kind of the above, the latest: many: 11\n"));
}

/* ---- states ---- */

/* What must hold of a stream's states: a turn that leaves it otherwise is named; without debug mode it is made. */
TEST(debug_stream_states)
{
    enum { READING, WRITING, LIFE };
    static const struct { int which, to; const char *wrong; } rows[] = {
        { READING, AIO__READING_FAILED, "reading has failed without an error" },
        { WRITING, AIO__WRITING_LOST, "writing has failed without an error" },
        { WRITING, AIO__WRITING_ENDED, "there are bytes behind the end" },
        { LIFE, AIO__LIFE_DOOMED, "it waits for the handler of no server" },
        { READING, AIO__READING_EOF, NULL }, { WRITING, AIO__WRITING_ENDING, NULL }, { LIFE, AIO__LIFE_CLOSING, NULL },
    };
    char wanted[100];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        aio__buffer unsent;
        aio_stream s;
        memset(&s, 0, sizeof s);
        s.out = &unsent;
        uint8_t *state = rows[i].which == READING ? &s.reading : rows[i].which == WRITING ? &s.writing : &s.life;
        snprintf(wanted, sizeof wanted, "aio.h: %s (a stream's states:0)\n", rows[i].wrong ? rows[i].wrong : "");
        s.loop = debug_loop(true);
        if (rows[i].wrong) CHECK_ABORTS(wanted, aio__stream_turn(&s, state, rows[i].to));
        CHECK_INT(*state, 0);
        aio_loop_set_debug(s.loop, !rows[i].wrong);
        aio__stream_turn(&s, state, rows[i].to);
        CHECK_INT(*state, rows[i].to);
        aio_loop_free(s.loop);
    }
}

/* Every pair of a connection's states, with a stream and without: those that may not follow are named. */
TEST(debug_connection_states)
{
    enum { STATES = AIO__CONNECTION_GONE + 1 };
    /* Connecting and gone are without a stream, the others with one. */
    static const char may[STATES][STATES + 1] = { "cu.g", "c.i.", ".u.g", "...." };
    aio_loop *loop = debug_loop(true);
    aio_connector connector;
    aio__origin origin;
    aio__connection connection;
    aio_stream stream;
    memset(&connector, 0, sizeof connector);
    memset(&origin, 0, sizeof origin);
    memset(&stream, 0, sizeof stream);
    connector.loop = loop;
    origin.connector = &connector;
    for (int i = 0; i < STATES * STATES * 2; i++) {
        int from = i / 2 / STATES, to = i / 2 % STATES;
        bool has = i % 2, wants = to == AIO__CONNECTION_IN_USE || to == AIO__CONNECTION_IDLE;
        bool fine = may[from][to] != '.' && has == wants;
        memset(&connection, 0, sizeof connection);
        connection.origin = &origin;
        connection.stream = has ? &stream : NULL;
        connection.state = (uint8_t)from;
        if (!fine) CHECK_ABORTS("aio.h: one leads to another that it cannot lead to (the states of a connection:0)\n",
                                aio__connection_turn(&connection, to));
        aio_loop_set_debug(loop, fine);
        aio__connection_turn(&connection, to);
        CHECK_INT(connection.state, to);
        aio_loop_set_debug(loop, true);
    }
    aio_loop_free(loop);
}

#ifndef AIO_NO_TLS
/* The same of a TLS connection's: our close_notify goes once, none after a failure, and no end is taken back. */
TEST(debug_tls_states)
{
    enum { STATES = AIO__TLS_FAILED + 1 };
    /* handshake, open, said, awaited, closed, cut, failed */
    static const char may[STATES][STATES + 1] = { ".os...f", "..s...f", "...acu.", "...acu.", ".....u.", ".......",
                                                  "......." };
    aio_loop *loop = debug_loop(true);
    for (int i = 0; i < STATES * STATES; i++) {
        int from = i / STATES, to = i % STATES;
        bool fine = may[from][to] != '.';
        aio__tls tls;
        memset(&tls, 0, sizeof tls);
        tls.loop = loop;
        tls.state = (uint8_t)from;
        if (!fine) CHECK_ABORTS("aio.h: one leads to another that it cannot lead to (the states of TLS:0)\n",
                                aio__tls_turn(&tls, to));
        aio_loop_set_debug(loop, fine);
        aio__tls_turn(&tls, to);
        CHECK_INT(tls.state, to);
        aio_loop_set_debug(loop, true);
    }
    aio_loop_free(loop);
}
#endif

enum { TASK_LEAF, TASK_DONE, TASK_LINE, TASK_NOTHING, TASK_AWAITED, TASK_RING, TASK_FINE };
static void debug_break(struct debug_child *task, int how)
{
    static aio_future other;
    static aio__node elsewhere;
    switch (how) {
    case TASK_LEAF: task->task.link.leaf = NULL; break;
    case TASK_DONE: task->task.future.state = AIO__DONE; break;
    case TASK_LINE: task->task.line = AIO__START; break;
    case TASK_NOTHING: task->task.awaiting = NULL; break;
    case TASK_AWAITED: other.state = AIO__DONE; task->task.awaiting = &other; break;
    case TASK_RING: task->task.node.next = &elsewhere; break;
    }
    aio__task_assert(&task->task);
}

struct debug_broken { aio_task task; aio_future *future; };
static AIO_CORO(debug_broken)
{
    AIO_BEGIN(debug_broken);
    self->task.link.leaf = NULL;
    AIO_AWAIT(aio_ref(self->future));
    AIO_END;
}

/* What must hold of a task that waits, one by one; and that debug mode looks at it when one begins to. */
TEST(debug_task_states)
{
    static const char *const wrong[] = { "another coroutine is the innermost one", "the task is done",
        "its line is not one of an await", "what it waits for is done", "what it waits for is done",
        "it is in no ring of waiters" };
    char wanted[100];
    aio_loop *loop = debug_loop(true);
    aio_future *future = AIO_FUTURE(aio_future);
    struct debug_child *task = aio_create_task(AIO_CALL(debug_child, .delay = 1));
    aio_loop_call_soon(loop, debug_stop, loop);
    aio_loop_run_forever(loop);
    for (int how = 0; how < TASK_FINE; how++) {
        snprintf(wanted, sizeof wanted, "aio.h: %s (a waiting task's invariant:", wrong[how]);
        CHECK_ABORTS(wanted, debug_break(task, how));
    }
    debug_break(task, TASK_FINE);
    snprintf(wanted, sizeof wanted, "aio.h: %s (a waiting task's invariant:", wrong[TASK_LEAF]);
    CHECK_ABORTS(wanted, aio_loop_run_until_complete(loop, AIO_CALL(debug_broken, .future = future), NULL));
    CHECK_INT(aio_loop_run_until_complete(loop, task, NULL), 0);
    aio_unref(future);
    aio_loop_free(loop);
}

/* What must hold of an exchange that lets go of its connection. */
TEST(debug_exchange_states)
{
    aio__operation op;
    aio__exchange x;
    aio__connection connection;
    aio_stream stream, other;
    memset(&op, 0, sizeof op);
    memset(&x, 0, sizeof x);
    memset(&connection, 0, sizeof connection);
    memset(&stream, 0, sizeof stream);
    memset(&other, 0, sizeof other);
    x.op = &op;
    x.ticket.got = &connection;
    connection.stream = &stream;
    op.refs = 1;
    aio__exchange_assert(&x, NULL);
    aio__exchange_assert(&x, &stream);
    CHECK_ABORTS("aio.h: the body is read from another stream than the connection's (an exchange's invariant:0)\n",
                 aio__exchange_assert(&x, &other));
    op.refs = 0;
    CHECK_ABORTS("aio.h: its operation has ended (an exchange's invariant:0)\n", aio__exchange_assert(&x, &stream));
}
