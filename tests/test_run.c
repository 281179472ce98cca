/* aio_run and the Runner: what they do at the end, what they give, what they print. */

static char run_log[512]; /* what happened, in order */
static void run_note(const char *what)
{
    size_t used = strlen(run_log);
    snprintf(run_log + used, sizeof run_log - used, "%s;", what);
}

struct run_child { aio_task task; const char *name; int code; bool stubborn, spawns, stops; };
static AIO_CORO(run_child)
{
    AIO_BEGIN(run_child);
    AIO_TRY {
        AIO_AWAIT(aio_sleep(1000));
    } AIO_CATCH_ALL {
        if (!self->stubborn) AIO_RERAISE();
        AIO_AWAIT(aio_sleep(5));
        run_note("swallowed");
    } AIO_END_TRY
    AIO_FINALLY;
    if (self->stops) aio_loop_stop(aio_get_running_loop());
    AIO_AWAIT(aio_sleep(1));
    run_note(self->name);
    if (self->spawns) aio_unref(aio_create_task(AIO_CALL(run_child, .name = "spawned")));
    if (self->code) AIO_RAISE(self->code, "%s failed", self->name);
    AIO_END;
}

static void *run_job(void *arg)
{
    struct timespec while_ = { 0, 10000000 };
    nanosleep(&while_, NULL);
    SEAM_SET(*(int *)arg, 1);
    return NULL;
}

enum { RUN_FINE, RUN_RAISES, RUN_STOPS, RUN_NESTED, RUN_CANCELLED };
struct run_main {
    aio_task task;
    int result, mode, *job, child_code;
    const char *child;
    bool stubborn, spawns, stops;
};
static AIO_CORO(run_main)
{
    AIO_BEGIN(run_main);
    if (self->child)
        aio_unref(aio_create_task(AIO_CALL(run_child, .name = self->child, .code = self->child_code,
                                           .stubborn = self->stubborn, .spawns = self->spawns,
                                           .stops = self->stops), .name = self->child));
    if (self->job) aio_unref(aio_to_thread(run_job, self->job));
    AIO_AWAIT(aio_sleep(1));
    if (self->mode == RUN_RAISES) AIO_RAISE(EACCES, "no entry");
    if (self->mode == RUN_NESTED) self->result = aio_run(AIO_CALL(run_main));
    if (self->mode == RUN_STOPS) aio_loop_stop(aio_get_running_loop());
    if (self->mode == RUN_STOPS) AIO_AWAIT(aio_sleep(1));
    if (self->mode == RUN_CANCELLED) aio_task_cancel(self);
    if (self->mode == RUN_CANCELLED) AIO_AWAIT(aio_sleep(1));
    run_note("main");
    AIO_END;
}

static const char *run_text;
static int run_captured(void *coroutine)
{
    run_log[0] = 0;
    signal_capture();
    int code = aio_run((aio_task *)coroutine);
    run_text = signal_captured();
    ALWAYS(aio_get_event_loop() == NULL);
    return code;
}

TEST(run_fine)
{
    CHECK_INT(run_captured(AIO_CALL(run_main)), 0);
    CHECK_STR(run_text, "");
    CHECK_STR(run_log, "main;");
}

TEST(run_error)
{
    CHECK_INT(run_captured(AIO_CALL(run_main, .mode = RUN_RAISES)), 1);
    CHECK(strstr(run_text, "Traceback (most recent await last):\n") == run_text);
    CHECK(strstr(run_text, ", in run_main\nPermissionError: no entry\n") != NULL);
}

TEST(run_cancelled)
{
    CHECK_INT(run_captured(AIO_CALL(run_main, .mode = RUN_CANCELLED)), 1);
    CHECK(strstr(run_text, "CancelledError: cancelled\n") != NULL);
    CHECK(strstr(run_text, "KeyboardInterrupt") == NULL);
}

TEST(run_stopped)
{
    CHECK_INT(run_captured(AIO_CALL(run_main, .mode = RUN_STOPS)), 1);
    CHECK_STR(run_text, "RuntimeError: event loop stopped before Future completed\n");
    CHECK_STR(run_log, "");
}

TEST(run_nested)
{
    CHECK_INT(run_captured(AIO_CALL(run_main, .mode = RUN_NESTED)), 0);
    CHECK_STR(run_text, "aio.h: aio_run: this event loop is already running\n");
    CHECK_STR(run_log, "main;");
}

/* What aio_run printed is the system's text for this code. */
static void run_said(int code)
{
    char text[100];
    snprintf(text, sizeof text, "aio.h: aio_run: %s\n", strerror(code));
    CHECK_STR(run_text, text);
}

TEST(run_null)
{
    CHECK_INT(run_captured(NULL), 1);
    run_said(EINVAL);
    seam.fail_alloc = seam.allocations + 1;
    ALWAYS(run_captured(AIO_CALL(run_main)) == 1);
    seam.touched = 0;
    run_said(ENOMEM);
}

/* What is left is cancelled and waited for, and its finally may await. */
TEST(run_cancels_rest)
{
    CHECK_INT(run_captured(AIO_CALL(run_main, .child = "child")), 0);
    CHECK_STR(run_text, "");
    CHECK_STR(run_log, "main;child;");
    CHECK_INT(run_captured(AIO_CALL(run_main, .child = "child", .stubborn = true)), 0);
    CHECK_STR(run_log, "main;swallowed;child;");
    CHECK_INT(run_captured(AIO_CALL(run_main, .child = "child", .spawns = true)), 0);
    CHECK_STR(run_text, "");
    CHECK_STR(run_log, "main;child;spawned;");
    CHECK_INT(run_captured(AIO_CALL(run_main, .child = "child", .stops = true)), 0); /* that does not cut it short */
    CHECK_STR(run_text, "");
    CHECK_STR(run_log, "main;child;");
}

/* A task that starts its successor whenever it is cancelled does not keep the program. */
static int run_lives;
struct run_phoenix { aio_task task; };
static AIO_CORO(run_phoenix)
{
    AIO_BEGIN(run_phoenix);
    run_lives++;
    AIO_AWAIT(aio_sleep(1000));
    AIO_FINALLY;
        aio_unref(aio_create_task(AIO_CALL(run_phoenix)));
    AIO_END;
}

struct run_supervised { aio_task task; int count, i; };
static AIO_CORO(run_supervised)
{
    AIO_BEGIN(run_supervised);
    for (self->i = 0; self->i < self->count; self->i++) aio_unref(aio_create_task(AIO_CALL(run_phoenix)));
    AIO_AWAIT(aio_sleep(0));
    AIO_END;
}

TEST(run_ends_what_begins_again)
{
    static const int counts[] = { 1, 3, 64, 65 };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        run_lives = 0;
        CHECK_INT(run_captured(AIO_CALL(run_supervised, .count = counts[i])), 0);
        CHECK(strstr(run_text, "was destroyed but it is pending") != NULL); /* the latest ones */
        CHECK(run_lives <= counts[i] * (AIO__RUN_ROUNDS + 1));
    }
}

TEST(run_reports_rest)
{
    CHECK_INT(run_captured(AIO_CALL(run_main, .child = "lost", .child_code = EIO, .mode = RUN_RAISES)), 1);
    const char *first = strstr(run_text, "unhandled error of task 'lost' while the program was ending\n");
    const char *second = first ? strstr(first, "OSError: lost failed\n") : NULL;
    CHECK(second && strstr(second, "PermissionError: no entry\n"));
}

TEST(run_ends_executor)
{
    int job = 0;
    CHECK_INT(run_captured(AIO_CALL(run_main, .job = &job)), 0);
    CHECK_INT(SEAM_GET(job), 1);
}

/* Every allocation in turn, and all after it: an end in order, with a message. */
TEST(run_out_of_memory)
{
    int codes[2] = { 0, 0 };
    for (int on = 0; on < 2; on++) {
        long n = 0;
        do {
            aio__plain = true;
            seam.fail_alloc = seam.allocations + ++n;
            seam.fail_on = on;
            seam.fired = false;
            int code = run_captured(AIO_CALL(run_main, .child = "child", .spawns = true));
            ALWAYS(code == 0 || (code == 1 && strlen(run_text) > 0));
            codes[code]++;
            ALWAYS(seam.live == 0);
        } while (seam.fired && n < 1000);
        ALWAYS(n > 5 && n < 1000);
    }
    seam.touched = 0;
    aio__plain = false;
    CHECK(codes[0] > 0 && codes[1] > 0);
}

TEST(run_out_of_descriptors)
{
#if AIO__LINUX
    seam.fail_call = strcmp(aio_get_event_loop_policy()->name, "epoll") ? CALL_eventfd : CALL_epoll_create1;
#else
    seam.fail_call = CALL_pipe;
#endif
    seam.fail_at = seam.calls[seam.fail_call] + 1;
    seam.error = EMFILE;
    ALWAYS(run_captured(AIO_CALL(run_main)) == 1);
    seam.touched = 0;
    run_said(EMFILE);
}

/* ---- Runner ---- */

TEST(run_runner)
{
    run_log[0] = 0;
    aio_exception *error;
    aio_runner *runner = aio_runner_open();
    CHECK(runner && aio_runner_loop(runner));
    CHECK_INT(aio_runner_run(runner, AIO_CALL(run_main, .child = "child"), &error), 0);
    CHECK_PTR(error, NULL);
    CHECK_INT(aio_runner_run(runner, AIO_CALL(run_main, .mode = RUN_RAISES), &error), 1);
    CHECK_INT(error->code, EACCES);
    aio_exception_unref(error);
    CHECK_INT(aio_runner_run(runner, NULL, &error), 1);
    CHECK_INT(error->code, EINVAL);
    aio_exception_unref(error);
    CHECK_STR(run_log, "main;"); /* the child lives on from run to run */
    aio_runner_close(runner);
    CHECK_STR(run_log, "main;child;");
    CHECK_PTR(aio_runner_loop(NULL), NULL);
    CHECK_INT(aio_runner_run(NULL, AIO_CALL(run_main), NULL), 1);
    aio_runner_close(NULL);
}

/* While a runner is closed its loop is the thread's, for whoever hears of what was left. */
static aio_loop *run_heard_in;
static void run_hears(aio_loop *loop, const char *message, const aio_exception *exception, void *arg)
{
    (void)loop, (void)exception, (void)arg;
    CHECK(strstr(message, "was never closed"));
    run_heard_in = aio_get_event_loop();
}

struct run_leaves { aio_task task; };
static AIO_CORO(run_leaves)
{
    AIO_BEGIN(run_leaves);
    aio_session_open();
    AIO_END;
}

TEST(run_runner_closes)
{
    aio_loop *mine = aio_new_event_loop();
    aio_set_event_loop(mine);
    aio_runner *runner = aio_runner_open(.debug = true);
    aio_loop *its = aio_runner_loop(runner);
    run_heard_in = NULL;
    aio_loop_set_exception_handler(its, run_hears, NULL);
    CHECK_INT(aio_runner_run(runner, AIO_CALL(run_leaves), NULL), 0);
    aio_runner_close(runner);
    CHECK_PTR(run_heard_in, its);
    CHECK_PTR(aio_get_event_loop(), mine);
    aio_loop_free(mine);
}

/* What the program has set stays set, and nothing is set again that is gone. */
TEST(run_runner_leaves_what_is_set)
{
    aio_loop *first = aio_new_event_loop(), *second = aio_new_event_loop();
    aio_set_event_loop(first);
    aio_runner *runner = aio_runner_open();
    CHECK_INT(aio_runner_run(runner, AIO_CALL(run_main), NULL), 0);
    CHECK_PTR(aio_get_event_loop(), first);
    aio_set_event_loop(second);
    aio_loop_free(first);
    CHECK_INT(aio_runner_run(runner, AIO_CALL(run_main), NULL), 0);
    CHECK_PTR(aio_get_event_loop(), second);
    aio_runner_close(runner);
    CHECK_PTR(aio_get_event_loop(), second);
    runner = aio_runner_open();
    aio_loop_free(second);
    CHECK_INT(aio_runner_run(runner, AIO_CALL(run_main), NULL), 0);
    CHECK_PTR(aio_get_event_loop(), NULL);
    aio_set_event_loop(aio_runner_loop(runner));
    CHECK_INT(aio_runner_run(runner, AIO_CALL(run_main), NULL), 0);
    CHECK_PTR(aio_get_event_loop(), aio_runner_loop(runner));
    aio_runner_close(runner);
    CHECK_PTR(aio_get_event_loop(), NULL);
}

/* ---- fork() inside a running loop ---- */

struct run_names { aio_task task; aio_stream *stream; };
static AIO_CORO(run_names)
{
    AIO_BEGIN(run_names);
    AIO_AWAIT(aio_sleep(0.01));
    AIO_TRY {
        AIO_AWAIT(self->stream, aio_open_connection("localhost", dead_port)); /* a thread looks the name up */
        UNREACHED();
    } AIO_CATCH {
        if (aio_caught(self)->code != ECONNREFUSED) AIO_RERAISE();
    } AIO_END_TRY;
    AIO_END;
}

static int run_hits;
static void run_hit(void *arg)
{
    (void)arg;
    run_hits++;
}

/* What is wrong in the child: 0 for nothing. */
static int run_in_child(aio_loop *parents)
{
    struct sigaction usr1;
    aio__os = seam_real; /* time that goes on without the parent's threads */
    alarm((unsigned)options.seconds);
    if (aio_get_running_loop() || aio_get_event_loop() || aio_current_task()) return 1;
    if (sigaction(SIGUSR1, NULL, &usr1) || usr1.sa_handler != SIG_DFL) return 2;
    if (aio_run(AIO_CALL(run_names))) return 3;
    if (aio_run(AIO_CALL(run_names))) return 4;
    return now.failures || !parents->running ? 5 : 0;
}

/* A lock of AddressSanitizer's own that another thread holds stays held in the child (LLVM and gcc of these years): with
 * it, the threads that looked the name up have ended before. */
static void run_lone(void)
{
    for (int tasks = 2; AIO__ADDRESS_CHECKED && tasks > 1;) {
        DIR *all = opendir("/proc/self/task");
        for (tasks = -2; all && readdir(all); tasks++) { } /* "." and ".." */
        if (all) closedir(all);
        if (tasks > 1) nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    }
}

struct run_forks { aio_task task; aio_loop *loop; pid_t child; int status; };
static AIO_CORO(run_forks)
{
    AIO_BEGIN(run_forks);
    self->loop = aio_get_running_loop();
    CHECK_INT(aio_loop_add_signal_handler(self->loop, SIGUSR1, run_hit, NULL), 0);
    AIO_AWAIT(AIO_CALL(run_names));
    fflush(stdout);
    run_lone();
    self->child = fork();
    if (self->child == 0) _exit(run_in_child(self->loop));
    CHECK(waitpid(self->child, &self->status, 0) == self->child && WIFEXITED(self->status));
    CHECK_INT(WEXITSTATUS(self->status), 0);
    raise(SIGUSR1);
    AIO_AWAIT(AIO_CALL(run_names));
    CHECK_INT(run_hits, 1);
    AIO_END;
}

/* The child may run a loop of its own; the parent's goes on as if nothing had been. */
TEST(run_fork_thread)
{
    run_hits = 0;
    CHECK_INT(aio_run(AIO_CALL(run_forks)), 0);
}

struct run_poller { aio_task task; const char *name; };
static AIO_CORO(run_poller)
{
    AIO_BEGIN(run_poller);
    CHECK_STR(aio_loop_poller(aio_get_running_loop()), self->name);
    AIO_END;
}

TEST(run_with_poller)
{
    CHECK_INT(aio_run(AIO_CALL(run_poller, .name = "poll"), .poller = "poll"), 0);
    if (aio_policy_find("epoll")) CHECK_INT(aio_run(AIO_CALL(run_poller, .name = "epoll"), .poller = "epoll"), 0);
    CHECK_INT(aio_run(AIO_CALL(run_poller, .name = ""), .poller = "kqueue-of-nowhere"), 1);
    aio_runner *runner = aio_runner_open(.poller = "none");
    CHECK(!runner && errno == EINVAL);
    aio_runner_close(runner);
}
