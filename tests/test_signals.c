/* Signal handlers in the loop, and SIGINT in aio_run. Each test has a process of its own, which raises them. */

static int signal_count, signal_other;
static void signal_hit(void *arg) { ++*(int *)arg; }

static void (*signal_disposition(int signum))(int)
{
    struct sigaction now_;
    return sigaction(signum, NULL, &now_) == 0 ? now_.sa_handler : SIG_ERR;
}

static void signal_foreign(int signum) { (void)signum; }

/* Delivered in the loop, once for several; removed, the default is back. */
struct signal_runs { aio_task task; };
SCENARIO(signal_runs)
{
    AIO_BEGIN(signal_runs);
    signal_count = signal_other = 0;
    {
        int code = aio_loop_add_signal_handler(aio_get_running_loop(), SIGUSR1, signal_hit, &signal_count);
        if (!code) code = aio_loop_add_signal_handler(aio_get_running_loop(), SIGUSR2, signal_hit, &signal_other);
        if (code) AIO_RAISE(code);
    }
    raise(SIGUSR1);
    CHECK_INT(signal_count, 0); /* not in the handler itself */
    AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(signal_count, 1);
    raise(SIGUSR1);
    raise(SIGUSR1);
    raise(SIGUSR2);
    AIO_AWAIT(aio_sleep(0.01));
    CHECK_INT(signal_count, 2);
    CHECK_INT(signal_other, 1);
    CHECK(aio_loop_remove_signal_handler(aio_get_running_loop(), SIGUSR1));
    CHECK(signal_disposition(SIGUSR1) == SIG_DFL);
    CHECK(!aio_loop_remove_signal_handler(aio_get_running_loop(), SIGUSR1));
    AIO_FINALLY;
    aio_loop_remove_signal_handler(aio_get_running_loop(), SIGUSR1);
    AIO_END;
}

/* What the loop had at its end is put back; what somebody else put in meanwhile is left. */
TEST(signal_put_back)
{
    aio_loop *loop = aio_new_event_loop();
    signal(SIGUSR1, signal_foreign);
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR1, signal_hit, &signal_count), 0);
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR2, signal_hit, &signal_count), 0);
    CHECK(signal_disposition(SIGUSR1) == aio__on_signal);
    signal(SIGUSR2, signal_foreign);
    aio_loop_free(loop);
    CHECK(signal_disposition(SIGUSR1) == signal_foreign);
    CHECK(signal_disposition(SIGUSR2) == signal_foreign);
}

/* The last callback given is the one that runs. */
TEST(signal_replaced)
{
    aio_loop *loop = aio_new_event_loop();
    signal_count = signal_other = 0;
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR1, signal_hit, &signal_count), 0);
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR1, signal_hit, &signal_other), 0);
    raise(SIGUSR1);
    aio_loop_stop(loop);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    aio_loop_stop(loop);
    CHECK_INT(aio_loop_run_forever(loop), 0);
    CHECK_INT(signal_count, 0);
    CHECK_INT(signal_other, 1);
    CHECK(aio_loop_remove_signal_handler(loop, SIGUSR1));
    CHECK(signal_disposition(SIGUSR1) == SIG_DFL);
    aio_loop_free(loop);
}

/* The loop is woken although a signal interrupts the call that wakes it. */
static ssize_t (*signal_real_write)(int, const void *, size_t);
static int signal_writes;
static ssize_t signal_write(int fd, const void *data, size_t size)
{
    if (signal_writes++) return signal_real_write(fd, data, size);
    errno = EINTR;
    return -1;
}

TEST(signal_wakes_in_spite_of_another)
{
    aio_loop *loop = aio_new_event_loop();
    signal_count = signal_writes = 0;
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR1, signal_hit, &signal_count), 0);
    signal_real_write = aio__os.write;
    aio__os.write = signal_write;
    struct pollfd wake = { loop->wake_read, POLLIN, 0 };
    CHECK_INT(poll(&wake, 1, 0), 0);
    raise(SIGUSR1);
    aio__os.write = signal_real_write;
    CHECK_INT(signal_writes, 2);
    CHECK_INT(poll(&wake, 1, 0), 1);
    aio_loop_free(loop);
}

TEST(signal_wrong)
{
    aio_loop *loop = aio_new_event_loop(), *other = aio_new_event_loop();
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGKILL, signal_hit, NULL), EINVAL);
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGSTOP, signal_hit, NULL), EINVAL);
    CHECK_INT(aio_loop_add_signal_handler(loop, 0, signal_hit, NULL), EINVAL);
    CHECK_INT(aio_loop_add_signal_handler(loop, -1, signal_hit, NULL), EINVAL);
    CHECK_INT(aio_loop_add_signal_handler(loop, 100000, signal_hit, NULL), EINVAL);
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR1, NULL, NULL), EINVAL);
    CHECK_INT(aio_loop_add_signal_handler(NULL, SIGUSR1, signal_hit, NULL), EINVAL);
    CHECK(!aio_loop_remove_signal_handler(loop, SIGUSR1));
    CHECK(!aio_loop_remove_signal_handler(loop, -5));
    CHECK(!aio_loop_remove_signal_handler(NULL, SIGUSR1));
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR1, signal_hit, &signal_count), 0);
    CHECK_INT(aio_loop_add_signal_handler(other, SIGUSR1, signal_hit, &signal_other), EBUSY);
    CHECK(!aio_loop_remove_signal_handler(other, SIGUSR1));
    aio_loop_close(loop);
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR1, signal_hit, NULL), AIO_ELOOPCLOSED);
    CHECK_INT(aio_loop_add_signal_handler(other, SIGUSR1, signal_hit, &signal_other), 0);
    aio_loop_free(other);
    aio_loop_free(loop);
}

/* Loops come and go while another thread is hit by the signal all the time: no handler writes where it must not. */
static int signal_storm_over;
static void *signal_storm(void *arg)
{
    while (!SEAM_GET(signal_storm_over)) pthread_kill(pthread_self(), SIGUSR1);
    return arg;
}

TEST(signal_threads_storm)
{
    pthread_t thread;
    signal_storm_over = 0;
    signal(SIGUSR1, SIG_IGN);
    pthread_create(&thread, NULL, signal_storm, NULL);
    for (int i = 0; i < 200; i++) {
        int hits = 0;
        aio_loop *loop = aio_new_event_loop();
        CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR1, signal_hit, &hits), 0);
        while (!hits) { /* however long the other thread takes to run; the watchdog ends it */
            aio_loop_stop(loop);
            aio_loop_run_forever(loop);
        }
        aio_loop_free(loop);
    }
    SEAM_SET(signal_storm_over, 1);
    pthread_join(thread, NULL);
    CHECK(signal_disposition(SIGUSR1) == SIG_IGN);
}

/* ---- SIGINT ---- */

enum { INTERRUPT_NONE, INTERRUPT_ONCE, INTERRUPT_SWALLOW, INTERRUPT_TWICE, INTERRUPT_OWN, INTERRUPT_LOOK,
       INTERRUPT_RAISE };
struct interrupt { aio_task task; int mode; int *cleaned; };
static AIO_CORO(interrupt)
{
    AIO_BEGIN(interrupt);
    if (self->mode == INTERRUPT_LOOK) *self->cleaned = signal_disposition(SIGINT) == aio__on_signal;
    if (self->mode == INTERRUPT_LOOK) AIO_RETURN();
    if (self->mode == INTERRUPT_OWN)
        aio_loop_add_signal_handler(aio_get_running_loop(), SIGINT, signal_hit, &signal_count);
    AIO_TRY {
        raise(SIGINT);
        if (self->mode == INTERRUPT_TWICE) raise(SIGINT);
        AIO_AWAIT(aio_sleep(1));
    } AIO_CATCH_ALL {
        if (self->mode == INTERRUPT_RAISE) AIO_RAISE(EIO);
        if (self->mode != INTERRUPT_SWALLOW) AIO_RERAISE();
    } AIO_END_TRY
    if (self->mode != INTERRUPT_OWN) AIO_RETURN();
    aio_loop_remove_signal_handler(aio_get_running_loop(), SIGINT);
    raise(SIGINT); /* aio_run's own is back */
    AIO_AWAIT(aio_sleep(1));
    AIO_FINALLY;
    AIO_AWAIT(aio_sleep(1));
    if (self->cleaned && self->mode != INTERRUPT_LOOK) ++*self->cleaned;
    AIO_END;
}

/* stderr of what is between begin and end. */
static int signal_stderr, signal_pipe[2];
static void signal_capture(void)
{
    CHECK_INT(pipe(signal_pipe), 0);
    signal_stderr = dup(2);
    dup2(signal_pipe[1], 2);
    close(signal_pipe[1]);
}

static const char *signal_captured(void)
{
    static char text[4096];
    fflush(stderr);
    dup2(signal_stderr, 2);
    close(signal_stderr);
    ssize_t n = read(signal_pipe[0], text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    close(signal_pipe[0]);
    return text;
}

TEST(signal_interrupt, .skip = KIND_DEBUG)
{
    int cleaned = 0;
    signal_capture();
    int code = aio_run(AIO_CALL(interrupt, .mode = INTERRUPT_ONCE, .cleaned = &cleaned));
    const char *text = signal_captured();
    CHECK_INT(code, 130);
    CHECK_INT(cleaned, 1);
    CHECK(strstr(text, "in interrupt\nKeyboardInterrupt\n") != NULL);
    CHECK(signal_disposition(SIGINT) == SIG_DFL);
}

/* Whoever pressed Ctrl-C is told where the program was, not where aio.h was, unless in debug mode. */
struct interrupt_within { aio_task task; aio_queue *queue; int item; };
static AIO_CORO(interrupt_within)
{
    AIO_BEGIN(interrupt_within);
    self->queue = aio_queue_create(int);
    raise(SIGINT);
    AIO_AWAIT(self->item, aio_queue_get(self->queue, int));
    AIO_FINALLY;
        aio_queue_free(self->queue);
    AIO_END;
}

TEST(signal_interrupt_names_no_private_coroutine, .skip = KIND_DEBUG)
{
    for (int debug = 0; debug < 2; debug++) {
        signal_capture();
        int code = aio_run(AIO_CALL(interrupt_within), .debug = debug);
        const char *text = signal_captured();
        CHECK_INT(code, 130);
        CHECK(strstr(text, "in interrupt_within\n") && strstr(text, "KeyboardInterrupt\n"));
        CHECK_INT(strstr(text, "aio.h:") != NULL, debug);
        CHECK_INT(strstr(text, "Traceback") != NULL, debug);
    }
}

/* A program that catches the cancel ends as it likes. */
TEST(signal_interrupt_swallowed)
{
    CHECK_INT(aio_run(AIO_CALL(interrupt, .mode = INTERRUPT_SWALLOW)), 0);
    signal_capture();
    int code = aio_run(AIO_CALL(interrupt, .mode = INTERRUPT_RAISE)); /* an error of its own in place of it */
    CHECK(strstr(signal_captured(), "KeyboardInterrupt") == NULL);
    CHECK_INT(code, 1);
    CHECK(signal_disposition(SIGINT) == SIG_DFL);
}

TEST(signal_interrupt_twice)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) _exit(aio_run(AIO_CALL(interrupt, .mode = INTERRUPT_TWICE)));
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

/* The user's own handler takes its place while it is there. */
TEST(signal_interrupt_own)
{
    signal_count = 0;
    signal_capture();
    int code = aio_run(AIO_CALL(interrupt, .mode = INTERRUPT_OWN));
    signal_captured();
    CHECK_INT(signal_count, 1);
    CHECK_INT(code, 130);
    CHECK(signal_disposition(SIGINT) == SIG_DFL);
}

/* Nothing of a handler is left when its loop has gone: the next run's Ctrl-C is its own. */
TEST(signal_interrupt_after_another_loop)
{
    int cleaned = 0;
    aio_loop *loop = aio_new_event_loop();
    signal_count = 0;
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGINT, signal_hit, &signal_count), 0);
    aio_loop_free(loop);
    signal_capture();
    int code = aio_run(AIO_CALL(interrupt, .mode = INTERRUPT_ONCE, .cleaned = &cleaned));
    signal_captured();
    CHECK_INT(code, 130);
    CHECK_INT(cleaned, 1);
    CHECK_INT(signal_count, 0);
    CHECK(signal_disposition(SIGINT) == SIG_DFL);
}

/* In the last step of a run it is not lost: asyncio's task, which was asked to cancel, ends cancelled. */
struct interrupt_last { aio_task task; int code; bool signals; };
static AIO_CORO(interrupt_last)
{
    AIO_BEGIN(interrupt_last);
    AIO_AWAIT(aio_sleep(0.01));
    if (self->signals) raise(SIGINT);
    if (self->code) AIO_RAISE(self->code);
    AIO_END;
}

TEST(signal_interrupt_last)
{
    aio_exception *error = NULL;
    signal_capture();
    int code = aio_run(AIO_CALL(interrupt_last, .signals = true));
    CHECK_STR(signal_captured(), getenv("AIO_DEBUG") ? "CancelledError: interrupted by SIGINT\nKeyboardInterrupt\n"
                                                     : "KeyboardInterrupt\n");
    CHECK_INT(code, 130);
    signal_capture();
    code = aio_run(AIO_CALL(interrupt_last, .signals = true, .code = EIO)); /* an error of its own in place of it */
    CHECK(strstr(signal_captured(), "KeyboardInterrupt") == NULL);
    CHECK_INT(code, 1);
    aio_runner *runner = aio_runner_open();
    CHECK_INT(aio_runner_run(runner, AIO_CALL(interrupt_last, .signals = true), &error), 130);
    CHECK(error && error->code == AIO_ECANCELLED && !strcmp(error->message, "interrupted by SIGINT"));
    aio_exception_unref(error);
    CHECK_INT(aio_runner_run(runner, AIO_CALL(interrupt_last), &error), 0);
    CHECK_PTR(error, NULL);
    aio_runner_close(runner);
    CHECK(signal_disposition(SIGINT) == SIG_DFL);
}

/* Without memory for its own text it is a cancel all the same. */
struct interrupt_poor { aio_task task; aio_future *wait; };
static AIO_CORO(interrupt_poor)
{
    AIO_BEGIN(interrupt_poor);
    AIO_TRY {
        self->wait = aio_sleep(1);
        raise(SIGINT);
        seam.fail_alloc = seam.allocations + 1;
        seam.fail_on = true;
        AIO_AWAIT(self->wait);
    } AIO_CATCH {
        signal_count = aio_caught(self)->code; /* not as an error */
    } AIO_END_TRY;
    AIO_FINALLY;
    seam.fail_alloc = 0;
    seam.fail_on = false;
    AIO_END;
}

TEST(signal_interrupt_without_memory)
{
    signal_count = 0;
    signal_capture();
    int code = aio_run(AIO_CALL(interrupt_poor));
    ALWAYS(strstr(signal_captured(), "KeyboardInterrupt\n") != NULL);
    seam.touched = 0;
    CHECK_INT(code, 130);
    CHECK_INT(signal_count, 0);
}

/* Several that wait for the loop are heard in the order in which they came; one that comes meanwhile, after them. */
static char signal_order[8];
static void signal_name(void *arg)
{
    char *end = signal_order + strlen(signal_order);
    if (strlen(signal_order) < sizeof signal_order - 1) *end = *(const char *)arg;
    if (*(const char *)arg == 't' && strlen(signal_order) < 4) raise(SIGTERM);
}

TEST(signal_order_of_arrival)
{
    static const struct { int signum; const char *name; } of[] = { { SIGHUP, "h" }, { SIGTERM, "t" }, { SIGUSR1, "u" } };
    aio_loop *loop = aio_new_event_loop();
    for (unsigned late = 0; late < 2; late++) {
        aio__signal_arrivals = late ? UINT_MAX - 3 : 0; /* the numbers begin anew */
        memset(signal_order, 0, sizeof signal_order);
        for (int i = 0; i < 3; i++)
            CHECK_INT(aio_loop_add_signal_handler(loop, of[i].signum, signal_name, (void *)(uintptr_t)of[i].name), 0);
        raise(SIGUSR1);
        raise(SIGTERM);
        raise(SIGHUP);
        raise(SIGUSR1);
        for (int i = 0; i < 3; i++) {
            aio_loop_stop(loop);
            CHECK_INT(aio_loop_run_forever(loop), 0);
        }
        CHECK_STR(signal_order, "utht");
    }
    aio_loop_free(loop);
}

static void signal_nothing(void *arg) { (void)arg; }

/* A handler of the program's for SIGINT that is removed gives the place back to aio_run, whose one acts once; unless the
 * program has set something else meanwhile. */
static int signal_flags(int signum)
{
    struct sigaction action;
    return sigaction(signum, NULL, &action) == 0 ? action.sa_flags : -1;
}

struct signal_given_back { aio_task task; };
static AIO_CORO(signal_given_back)
{
    aio_loop *loop = aio_get_running_loop();
    AIO_BEGIN(signal_given_back);
    CHECK(signal_flags(SIGINT) & (int)SA_RESETHAND);
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGINT, signal_nothing, NULL), 0);
    CHECK(!(signal_flags(SIGINT) & (int)SA_RESETHAND));
    CHECK(aio_loop_remove_signal_handler(loop, SIGINT));
    CHECK(signal_disposition(SIGINT) == aio__on_signal && (signal_flags(SIGINT) & (int)SA_RESETHAND));
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGINT, signal_nothing, NULL), 0);
    signal(SIGINT, SIG_IGN);
    CHECK(aio_loop_remove_signal_handler(loop, SIGINT));
    CHECK(signal_disposition(SIGINT) == SIG_IGN);
    AIO_END;
}

TEST(signal_interrupt_given_back)
{
    CHECK_INT(aio_run(AIO_CALL(signal_given_back)), 0);
    CHECK(signal_disposition(SIGINT) == SIG_IGN);
    signal(SIGINT, SIG_DFL);
}

/* Only where SIGINT has its default action, and only during the run. */
TEST(signal_interrupt_left_alone)
{
    int ours = -1;
    CHECK_INT(aio_run(AIO_CALL(interrupt, .mode = INTERRUPT_LOOK, .cleaned = &ours)), 0);
    CHECK_INT(ours, 1);
    CHECK_INT(aio_run(AIO_CALL(interrupt, .mode = INTERRUPT_LOOK, .cleaned = &ours), .keep_sigint = true), 0);
    CHECK_INT(ours, 0);
    signal(SIGINT, signal_foreign);
    CHECK_INT(aio_run(AIO_CALL(interrupt, .mode = INTERRUPT_LOOK, .cleaned = &ours)), 0);
    CHECK_INT(ours, 0);
    CHECK(signal_disposition(SIGINT) == signal_foreign);
    signal(SIGINT, SIG_DFL);
}

/* The last iterations of a run, with SIGINT given back to the program already. */
struct interrupt_late { aio_task task; int *default_; };
static AIO_CORO(interrupt_late)
{
    AIO_BEGIN(interrupt_late);
    AIO_AWAIT(aio_sleep(100));
    AIO_FINALLY;
    *self->default_ = signal_disposition(SIGINT) == SIG_DFL;
    AIO_END;
}

struct interrupt_spawn { aio_task task; int *default_; };
static AIO_CORO(interrupt_spawn)
{
    AIO_BEGIN(interrupt_spawn);
    aio_unref(aio_create_task(AIO_CALL(interrupt_late, .default_ = self->default_)));
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}

TEST(signal_interrupt_only_main)
{
    int default_ = -1;
    CHECK_INT(aio_run(AIO_CALL(interrupt_spawn, .default_ = &default_)), 0);
    CHECK_INT(default_, 1);
}
