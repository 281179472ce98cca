/* The loop inside another one: its descriptor, its timeout, one pass. The way `embed` runs all scenarios so. With
 * epoll, or on the way `kqueue` with that. */
#if AIO__LINUX

/* Whether the descriptor can be read now. */
static bool embed_readable(const aio_loop *loop)
{
    struct pollfd fd = { aio_loop_fileno(loop), POLLIN, 0 };
    int n;
    while ((n = poll(&fd, 1, 0)) < 0 && errno == EINTR) { }
    return n == 1;
}

static bool embed_idle(aio_loop *loop) { return !embed_readable(loop) && aio_loop_timeout(loop) == AIO_UNLIMITED; }

static aio_loop *embed_open(void)
{
    aio_loop *loop = loop_open();
    const aio_policy *policy = aio_policy_find("epoll");
    if (strcmp(aio_loop_poller(loop), "poll") != 0) return loop;
    aio_loop_free(loop);
    aio_set_event_loop_policy(policy);
    return loop_open();
}

/* Another pass only where there is something to do. */
static int embed_pass(aio_loop *loop)
{
    CHECK(embed_readable(loop) || aio_loop_timeout(loop) == 0);
    return aio_loop_run_once(loop, 0);
}

TEST(embed_timeout_says_what_is_due)
{
    aio_loop *loop = embed_open();
    CHECK(embed_idle(loop));
    aio_handle late = aio_loop_call_later(loop, 2, loop_note, loop_b);
    CHECK_NEAR(aio_loop_timeout(loop), 2, 1e-9);
    aio_loop_call_later(loop, 0.5, loop_note, loop_a);
    CHECK_NEAR(aio_loop_timeout(loop), 0.5, 1e-9);
    CHECK_INT(aio_loop_run_once(loop, 0), 0);
    CHECK_STR(loop_log, "");
    clock_advance(0.5);
    CHECK_NEAR(aio_loop_timeout(loop), 0, 0);
    CHECK_INT(embed_pass(loop), 0);
    CHECK_STR(loop_log, "a");
    CHECK_NEAR(aio_loop_timeout(loop), 1.5, 1e-9);
    CHECK(aio_handle_cancel(late));
    CHECK(embed_idle(loop));
    aio_loop_call_soon(loop, loop_note, loop_c);
    CHECK_NEAR(aio_loop_timeout(loop), 0, 0);
    CHECK(!embed_readable(loop));
    CHECK_INT(embed_pass(loop), 0);
    CHECK_STR(loop_log, "ac");
    CHECK(embed_idle(loop));
    CHECK_NEAR(aio_loop_timeout(NULL), AIO_UNLIMITED, 0);
    CHECK_INT(aio_loop_close(loop), 0);
    CHECK_NEAR(aio_loop_timeout(loop), AIO_UNLIMITED, 0);
    aio_loop_free(loop);
}

/* One that is given time waits so long, and not longer than to the next timer. */
TEST(embed_run_once_waits)
{
    aio_loop *loop = embed_open();
    double start = aio_loop_time(loop);
    CHECK_INT(aio_loop_run_once(loop, AIO_NOW), 0);
    CHECK_NEAR(aio_loop_time(loop), start, 0);
    CHECK_INT(aio_loop_run_once(loop, 3), 0);
    CHECK_NEAR(aio_loop_time(loop), start + 3, 1e-9);
    aio_loop_call_later(loop, 1, loop_note, loop_a);
    CHECK_INT(aio_loop_run_once(loop, 0.25), 0);
    CHECK_NEAR(aio_loop_time(loop), start + 3.25, 1e-9);
    CHECK_STR(loop_log, "");
    CHECK_INT(aio_loop_run_once(loop, AIO_UNLIMITED), 0);
    CHECK_NEAR(aio_loop_time(loop), start + 4, 1e-9);
    CHECK_STR(loop_log, "a");
    aio_loop_free(loop);
}

static void embed_run_again(void *arg)
{
    aio_loop *other = (aio_loop *)arg;
    CHECK_INT(aio_loop_run_once(loop_used, 0), AIO_ELOOPRUNNING);
    CHECK_INT(aio_loop_run_once(other, 0), AIO_ELOOPRUNNING);
    loop_note(loop_a);
}

TEST(embed_wrong)
{
    aio_loop *loop = embed_open(), *other = aio_new_event_loop();
    CHECK_INT(aio_loop_run_once(NULL, 0), EINVAL);
    CHECK_INT(aio_loop_run_once(loop, -7), EINVAL);
    CHECK_INT(aio_loop_run_once(loop, (double)NAN), EINVAL);
    aio_loop_call_soon(loop, embed_run_again, other);
    CHECK_INT(aio_loop_run_once(loop, 0), 0);
    CHECK_STR(loop_log, "a");
    CHECK(aio_get_running_loop() == NULL);
    CHECK(!aio_loop_is_running(loop));
    errno = 0;
    CHECK(aio_loop_fileno(NULL) == -1 && errno == EINVAL);
    aio_loop_close(loop);
    CHECK_INT(aio_loop_run_once(loop, 0), AIO_ELOOPCLOSED);
    CHECK(aio_loop_fileno(loop) == -1 && errno == AIO_ELOOPCLOSED);
    aio_loop_free(loop);
    aio_loop_free(other);
    aio_set_event_loop_policy(aio_policy_find("poll"));
    loop = loop_open();
    errno = 0;
    CHECK(aio_loop_fileno(loop) == -1 && errno == ENOTSUP);
    CHECK_INT(aio_loop_run_once(loop, 0), 0);
    aio_loop_free(loop);
}

/* aio_loop_stop ends the pass after its iteration, and tells the program. */
TEST(embed_stop)
{
    aio_loop *loop = embed_open();
    aio_loop_call_soon(loop, loop_stop_it, loop_a);
    aio_loop_call_soon(loop, loop_calls_b, loop_c);
    CHECK_INT(aio_loop_run_once(loop, AIO_UNLIMITED), AIO_ESTOPPED);
    CHECK_STR(loop_log, "ac");
    CHECK_INT(embed_pass(loop), 0);
    CHECK_STR(loop_log, "acb");
    aio_loop_stop(loop);
    CHECK_NEAR(aio_loop_timeout(loop), 0, 0);
    CHECK_INT(aio_loop_run_once(loop, AIO_UNLIMITED), AIO_ESTOPPED);
    CHECK(embed_idle(loop));
    aio_loop_free(loop);
}

/* What never ends by itself does not keep the pass. */
struct embed_spin { aio_task task; long result; bool *enough; };
static AIO_CORO(embed_spin)
{
    AIO_BEGIN(embed_spin);
    while (!*self->enough) {
        self->result++;
        AIO_AWAIT(aio_sleep(0));
    }
    AIO_END;
}

TEST(embed_pass_ends)
{
    aio_loop *loop = embed_open();
    bool enough = false;
    struct embed_spin *spin = aio_loop_create_task(loop, AIO_CALL(embed_spin, .enough = &enough), .name = "spin");
    CHECK_STR(aio_task_name(spin), "spin");
    CHECK_INT(embed_pass(loop), 0);
    CHECK(spin->result > 1 && spin->result <= AIO__POLL_STEPS + AIO__RECENT);
    CHECK_INT(embed_pass(loop), 0);
    enough = true;
    CHECK_INT(embed_pass(loop), 0);
    CHECK(aio_future_done(spin));
    CHECK(embed_idle(loop));
    aio_unref(spin);
    aio_loop_free(loop);
}

/* What the program calls between the passes: tasks, futures, queues, cancels. */
struct embed_worker { aio_task task; aio_queue *queue; int item, result; };
static AIO_CORO(embed_worker)
{
    AIO_BEGIN(embed_worker);
    AIO_ASYNC_FOR(self->item, aio_queue_next(self->queue, int)) {
        self->result += self->item;
    }
    AIO_AWAIT(aio_future_create());
    AIO_END;
}

TEST(embed_calls_between_passes)
{
    aio_loop *loop = embed_open(), *closed = aio_new_event_loop();
    aio_queue *queue = aio_queue_create(int);
    int two = 2, three = 3;
    aio_set_event_loop(loop); /* which hears that the coroutine was never awaited */
    errno = 0;
    CHECK(aio_loop_create_task(NULL, AIO_CALL(embed_worker, .queue = queue)) == NULL && errno == AIO_ENOLOOP);
    struct embed_worker *worker = aio_loop_create_task(loop, AIO_CALL(embed_worker, .queue = queue));
    CHECK_INT(embed_pass(loop), 0);
    CHECK(embed_idle(loop));
    CHECK_INT(aio_queue_put_nowait(queue, &two), 0);
    CHECK_INT(aio_queue_put_nowait(queue, &three), 0);
    CHECK_INT(embed_pass(loop), 0);
    CHECK_INT(worker->result, 5);
    CHECK_INT(aio_queue_shutdown(queue, false), 0);
    CHECK_INT(embed_pass(loop), 0);
    CHECK(!aio_future_done(worker));
    aio_task *sleeper = (aio_task *)(void *)aio_create_task(AIO_CALL(loop_forever)); /* in the one that was set */
    CHECK_INT(embed_pass(loop), 0);
    CHECK(aio_task_cancel(worker) && aio_task_cancel(sleeper));
    CHECK_INT(embed_pass(loop), 0);
    CHECK(aio_future_cancelled(worker) && aio_future_cancelled(sleeper));
    CHECK(embed_idle(loop));
    aio_unref(worker);
    aio_unref(sleeper);
    aio_queue_free(queue);
    aio_loop_close(closed);
    CHECK(aio_loop_create_task(closed, AIO_CALL(loop_forever)) == NULL && errno == AIO_ELOOPCLOSED);
    aio_loop_free(closed);
    aio_loop_free(loop);
}

static void *embed_thread(void *loop)
{
    return (void *)(intptr_t)aio_loop_call_soon_threadsafe((aio_loop *)loop, loop_note, loop_a);
}

/* Other threads and signals make the descriptor readable, once each. */
TEST(embed_wakes)
{
    aio_loop *loop = embed_open();
    pthread_t thread;
    void *code;
    CHECK(pthread_create(&thread, NULL, embed_thread, loop) == 0 && pthread_join(thread, &code) == 0 && !code);
    CHECK(embed_readable(loop));
    CHECK_INT(embed_pass(loop), 0);
    CHECK_STR(loop_log, "a");
    CHECK(embed_idle(loop));
    CHECK_INT(aio_loop_call_soon_threadsafe(loop, loop_note, loop_b), 0); /* from its own, between two passes */
    CHECK(embed_readable(loop));
    CHECK_INT(embed_pass(loop), 0);
    CHECK_INT(aio_loop_add_signal_handler(loop, SIGUSR1, loop_note, loop_c), 0);
    raise(SIGUSR1);
    CHECK(embed_readable(loop));
    CHECK_INT(embed_pass(loop), 0);
    CHECK_STR(loop_log, "abc");
    CHECK(embed_idle(loop));
    aio_loop_free(loop);
}

static void embed_read(void *arg)
{
    char byte;
    CHECK(read(*(int *)arg, &byte, 1) == 1);
    loop_note(loop_a);
}

/* Of a descriptor that the program watches, too, also one that was added between two passes. */
TEST(embed_descriptors)
{
    aio_loop *loop = embed_open();
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(aio_loop_add_reader(loop, fds[0], embed_read, &fds[0]), 0);
    CHECK(embed_idle(loop));
    CHECK_INT(write(fds[1], "xy", 2), 2);
    CHECK(embed_readable(loop));
    CHECK_INT(embed_pass(loop), 0);
    CHECK_STR(loop_log, "a");
    CHECK(embed_readable(loop)); /* half of it is left */
    CHECK_INT(embed_pass(loop), 0);
    CHECK_STR(loop_log, "aa");
    aio_loop_run_once(loop, 0);
    CHECK(embed_idle(loop));
    CHECK_INT(write(fds[1], "z", 1), 1);
    CHECK(aio_loop_remove_reader(loop, fds[0]));
    CHECK(embed_idle(loop));
    aio_loop_free(loop);
    close(fds[0]);
    close(fds[1]);
}

/* Whoever has asked for it once watches it from then on, whatever the loop is told to wait for later. */
TEST(embed_descriptor_asked_for_once)
{
    aio_loop *loop = embed_open();
    struct pollfd once = { aio_loop_fileno(loop), POLLIN, 0 };
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    CHECK_INT(aio_loop_add_reader(loop, fds[0], embed_read, &fds[0]), 0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    CHECK_INT(poll(&once, 1, 0), 1);
    CHECK_INT(aio_loop_run_once(loop, 0), 0);
    CHECK_STR(loop_log, "a");
    aio_loop_run_once(loop, 0);
    CHECK_INT(poll(&once, 1, 0), 0);
    CHECK_INT(write(fds[1], "y", 1), 1); /* it is asked for again by itself */
    CHECK_INT(poll(&once, 1, 0), 1);
    CHECK_INT(aio_loop_run_once(loop, 0), 0);
    CHECK_STR(loop_log, "aa");
    aio_loop_free(loop);
    close(fds[0]);
    close(fds[1]);
}
#endif
