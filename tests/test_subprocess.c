/* Subprocesses: coreutils and /bin/sh. Waits for a child have no time limit: the tests' time does not wait for
 * children. */

static const char *const sub_cat[] = { "cat", NULL };
static const char *const sub_sleep[] = { "sleep", "1000", NULL };
#define SUB_MAY .may = { EPIPE, AIO_EINCOMPLETE }

/* Exit status; killed by a signal; several who wait; nothing to signal afterwards. */
struct sub_codes { aio_task task; aio_process *one, *two; int code; };
SCENARIO(sub_codes)
{
    AIO_BEGIN(sub_codes);
    AIO_AWAIT(self->one, aio_create_subprocess_shell("exit 7"));
    CHECK(aio_process_pid(self->one) > 0);
    CHECK_PTR(aio_process_stdout(self->one), NULL);
    AIO_AWAIT(self->code, aio_process_wait(self->one));
    CHECK_INT(self->code, 7);
    CHECK_INT(aio_process_returncode(self->one), 7);
    AIO_AWAIT(self->code, aio_process_wait(self->one));
    CHECK_INT(self->code, 7);
    CHECK_INT(aio_process_kill(self->one), ESRCH);
    AIO_AWAIT(self->two, aio_create_subprocess_exec(sub_sleep));
    CHECK_INT(aio_process_returncode(self->two), AIO_RUNNING);
    CHECK_INT(aio_process_send_signal(self->two, 0), 0);
    CHECK_INT(aio_process_terminate(self->two), 0);
    AIO_AWAIT(self->code, aio_process_wait(self->two));
    CHECK_INT(self->code, -SIGTERM);
    AIO_FINALLY;
        aio_process_release(self->one);
        aio_process_release(self->two);
    AIO_END;
}

/* A program or directory that does not exist is named. */
struct sub_missing { aio_task task; aio_process *process; };
SCENARIO(sub_missing, .may = { ENOENT, ENOTDIR })
{
    static const char *const argv[] = { "aio-no-such-program", NULL };
    AIO_BEGIN(sub_missing);
    AIO_TRY {
        AIO_AWAIT(self->process, aio_create_subprocess_exec(argv, .in = AIO_PIPE, .out = AIO_PIPE));
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, ENOENT)) AIO_RERAISE();
        CHECK_STR(aio_caught(self)->message, "start aio-no-such-program: No such file or directory");
    } AIO_END_TRY
    AIO_TRY {
        AIO_AWAIT(self->process, aio_create_subprocess_exec(sub_cat, .cwd = "/aio-no-such-directory"));
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, ENOENT)) AIO_RERAISE();
        CHECK_STR(aio_caught(self)->message, "start cat in /aio-no-such-directory: No such file or directory");
    } AIO_END_TRY
    AIO_TRY {
        AIO_AWAIT(self->process, aio_create_subprocess_exec(sub_cat, .cwd = "/dev/null"));
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, ENOTDIR)) AIO_RERAISE();
        CHECK_STR(aio_caught(self)->message, "start cat in /dev/null: Not a directory");
    } AIO_END_TRY
    AIO_TRY {
        AIO_AWAIT(self->process, aio_create_subprocess_exec(sub_cat, .out = AIO_STDOUT));
        CHECK(false);
    } AIO_CATCH {
        if (!CHECK_INT(aio_caught(self)->code, EINVAL)) AIO_RERAISE();
    } AIO_END_TRY
    AIO_FINALLY;
        aio_process_release(self->process);
    AIO_END;
}

/* communicate: more than pipes hold, there and back; both outputs apart, and as one. */
struct sub_communicate { aio_task task; aio_process *cat, *both, *joined; aio_process_output got; char *input;
    size_t length; };
SCENARIO(sub_communicate, SUB_MAY)
{
    AIO_BEGIN(sub_communicate);
    self->length = seam.slice ? 2000 : 200000;
    self->input = (char *)malloc(self->length);
    for (size_t i = 0; i < self->length; i++) self->input[i] = (char)(i * 7 + i / 256);
    AIO_AWAIT(self->cat, aio_create_subprocess_exec(sub_cat, .in = AIO_PIPE, .out = AIO_PIPE));
    AIO_TRY {
        AIO_AWAIT(aio_process_communicate(self->cat, NULL, 1)); /* a length of nothing */
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EINVAL);
    } AIO_END_TRY;
    AIO_AWAIT(self->got, aio_process_communicate(self->cat, self->input, self->length));
    CHECK_INT(self->got.returncode, 0);
    CHECK_INT(self->got.out.length, self->length);
    if (self->got.out.length == self->length) CHECK(memcmp(self->got.out.data, self->input, self->length) == 0);
    CHECK_INT(self->got.err.length, 0);
    AIO_AWAIT(self->both, aio_create_subprocess_shell("echo out; echo err >&2; exit 3", .out = AIO_PIPE,
                                                      .err = AIO_PIPE));
    AIO_AWAIT(self->got, aio_process_communicate(self->both, NULL, 0));
    CHECK_BYTES(self->got.out.data, self->got.out.length, "out\n");
    CHECK_BYTES(self->got.err.data, self->got.err.length, "err\n");
    CHECK_INT(self->got.returncode, 3);
    AIO_AWAIT(self->joined, aio_create_subprocess_shell("echo out; echo err >&2", .in = AIO_DEVNULL, .out = AIO_PIPE,
                                                        .err = AIO_STDOUT));
    AIO_AWAIT(self->got, aio_process_communicate(self->joined, NULL, 0));
    CHECK_BYTES(self->got.out.data, self->got.out.length, "out\nerr\n");
    AIO_FINALLY;
        free(self->input);
        aio_process_release(self->cat);
        aio_process_release(self->both);
        aio_process_release(self->joined);
    AIO_END;
}

/* Input that was written, and ended, by hand before. */
struct sub_ended_input { aio_task task; aio_process *process; aio_process_output got; };
SCENARIO(sub_ended_input, SUB_MAY)
{
    AIO_BEGIN(sub_ended_input);
    AIO_AWAIT(self->process, aio_create_subprocess_exec(sub_cat, .in = AIO_PIPE, .out = AIO_PIPE));
    REQUIRE(aio_stream_write(aio_process_stdin(self->process), "by hand", 7) == 0);
    REQUIRE(aio_stream_write_eof(aio_process_stdin(self->process)) == 0);
    REQUIRE(aio_stream_write_eof(aio_process_stdin(self->process)) == 0); /* once more is fine */
    AIO_AWAIT(self->got, aio_process_communicate(self->process, NULL, 0));
    CHECK_BYTES(self->got.out.data, self->got.out.length, "by hand");
    CHECK_INT(self->got.returncode, 0);
    AIO_FINALLY;
        aio_process_release(self->process);
    AIO_END;
}

/* communicate called before the process is released, and begun behind that, or never; released in its middle; and a
 * process that has ended when it is released is there until the last of them has. */
struct sub_begins_late { aio_task task; aio_process *process; aio_future *call; int i; };
SCENARIO(sub_begins_late, SUB_MAY)
{
    AIO_BEGIN(sub_begins_late);
    for (self->i = 0; self->i < 3; self->i++) {
        AIO_AWAIT(self->process, aio_create_subprocess_exec(self->i == 2 ? sub_sleep : sub_cat, .in = AIO_PIPE,
                                                            .out = AIO_PIPE));
        if (self->i == 1) {
            REQUIRE(aio_stream_write_eof(aio_process_stdin(self->process)) == 0);
            AIO_AWAIT(aio_process_wait(self->process));
        }
        REQUIRE(self->call = (aio_future *)aio_process_communicate(self->process, NULL, 0));
        aio_unref(self->call);
        REQUIRE(self->call = (aio_future *)aio_create_task(aio_process_communicate(self->process, "", 0)));
        if (self->i == 2) AIO_AWAIT(aio_sleep(0.01));
        aio_process_release(self->process);
        self->process = NULL;
        AIO_TRY {
            AIO_AWAIT(aio_ref(self->call));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(ECONNABORTED);
        } AIO_END_TRY;
        aio_unref(self->call);
        self->call = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->call);
        aio_process_release(self->process);
    AIO_END;
}

/* A program that reads nothing of its input: no error, and no SIGPIPE, which would end this process. */
struct sub_epipe { aio_task task; aio_process *process; aio_process_output got; char *input; };
SCENARIO(sub_epipe, SUB_MAY)
{
    AIO_BEGIN(sub_epipe);
    self->input = (char *)calloc(200000, 1);
    AIO_AWAIT(self->process, aio_create_subprocess_shell("exec <&-; echo done", .in = AIO_PIPE, .out = AIO_PIPE));
    AIO_AWAIT(self->got, aio_process_communicate(self->process, self->input, 200000));
    CHECK_BYTES(self->got.out.data, self->got.out.length, "done\n");
    CHECK_INT(self->got.returncode, 0);
    AIO_FINALLY;
        free(self->input);
        aio_process_release(self->process);
    AIO_END;
}

/* What does not reach a program names its stream and it. */
struct sub_names_stream { aio_task task; aio_process *process; aio_text line; char *input; };
SCENARIO(sub_names_stream, SUB_MAY)
{
    AIO_BEGIN(sub_names_stream);
    self->input = (char *)calloc(300000, 1); /* more than is kept without waiting */
    AIO_AWAIT(self->process, aio_create_subprocess_shell("exec <&-; echo done", .in = AIO_PIPE, .out = AIO_PIPE));
    AIO_AWAIT(self->line, aio_stream_readline(aio_process_stdout(self->process)));
    aio_stream_write(aio_process_stdin(self->process), self->input, 300000);
    AIO_TRY {
        AIO_AWAIT(aio_stream_drain(aio_process_stdin(self->process)));
        UNREACHED();
    } AIO_CATCH {
        CAUGHT(EPIPE);
        CHECK(strstr(aio_caught(self)->message, "the stdin of /bin/sh") != NULL);
    } AIO_END_TRY;
    AIO_FINALLY;
        free(self->input);
        aio_process_release(self->process);
    AIO_END;
}

/* Somebody else has taken the status of a program. */
struct sub_lost { aio_task task; aio_process *process; int code; };
SCENARIO(sub_lost)
{
    AIO_BEGIN(sub_lost);
    AIO_AWAIT(self->process, aio_create_subprocess_shell("exit 3"));
    waitpid(aio_process_pid(self->process), NULL, 0);
    AIO_AWAIT(self->code, aio_process_wait(self->process));
    CHECK_INT(self->code, 255);
    CHECK_INT(aio_process_kill(self->process), ESRCH);
    AIO_FINALLY;
        aio_process_release(self->process);
    AIO_END;
}

/* A process that is released gives back its pipes at once, and itself as soon as the program has ended: it is not kept
 * until the loop ends. (Skipped is what ends the scenario before the program's end is heard of.) */
struct sub_given_back { aio_task task; aio_process *ended, *runs; aio_process_future *waiting; int code, fd; };
SCENARIO(sub_given_back, SUB_MAY, .skip = KIND_ALLOC | KIND_CALL | KIND_CANCEL)
{
    AIO_BEGIN(sub_given_back);
    AIO_AWAIT(self->ended, aio_create_subprocess_shell("exit 3", .out = AIO_PIPE));
    AIO_AWAIT(self->code, aio_process_wait(self->ended));
    self->fd = aio_stream_fileno(self->ended->streams[1]);
    aio_process_release(self->ended);
    self->ended = NULL;
    CHECK(fcntl(self->fd, F_GETFD) < 0);
    AIO_AWAIT(self->runs, aio_create_subprocess_exec(sub_sleep));
    self->waiting = aio_process_wait(self->runs);
    aio_process_release(self->runs);
    self->runs = NULL;
    AIO_AWAIT(self->code, self->waiting);
    CHECK_INT(self->code, -SIGKILL);
    CHECK(aio__ring_empty(&((aio__owned *)aio_get_running_loop()->processes)->ring));
    AIO_FINALLY;
        aio_process_release(self->ended);
        aio_process_release(self->runs);
    AIO_END;
}

/* One that has read enough, and one that reads all before it writes. */
struct sub_coreutils { aio_task task; aio_process *head, *sort; aio_process_output got; char *input; };
SCENARIO(sub_coreutils, SUB_MAY)
{
    static const char *const head[] = { "head", "-n", "1", NULL }, *const sort[] = { "sort", "-r", NULL };
    AIO_BEGIN(sub_coreutils);
    self->input = (char *)malloc(200000);
    for (int i = 0; i < 200000; i++) self->input[i] = "ab\ncd\n"[i % 6];
    AIO_AWAIT(self->head, aio_create_subprocess_exec(head, .in = AIO_PIPE, .out = AIO_PIPE));
    AIO_AWAIT(self->got, aio_process_communicate(self->head, self->input, 200000));
    CHECK_BYTES(self->got.out.data, self->got.out.length, "ab\n");
    CHECK_INT(self->got.returncode, 0);
    AIO_AWAIT(self->sort, aio_create_subprocess_exec(sort, .in = AIO_PIPE, .out = AIO_PIPE));
    AIO_AWAIT(self->got, aio_process_communicate(self->sort, self->input, 12));
    CHECK_BYTES(self->got.out.data, self->got.out.length, "cd\ncd\nab\nab\n");
    AIO_FINALLY;
        free(self->input);
        aio_process_release(self->head);
        aio_process_release(self->sort);
    AIO_END;
}

/* Streams of a process: a dialogue by lines; the end of its input ends it. */
struct sub_streams { aio_task task; aio_process *process; aio_text line; int code; };
SCENARIO(sub_streams, SUB_MAY)
{
    AIO_BEGIN(sub_streams);
    AIO_AWAIT(self->process, aio_create_subprocess_exec(sub_cat, .in = AIO_PIPE, .out = AIO_PIPE, .err = AIO_DEVNULL));
    REQUIRE(aio_stream_write(aio_process_stdin(self->process), "one\ntwo\n", 8) == 0);
    AIO_AWAIT(self->line, aio_stream_readline(aio_process_stdout(self->process)));
    CHECK_BYTES(self->line.data, self->line.length, "one\n");
    AIO_AWAIT(self->line, aio_stream_readline(aio_process_stdout(self->process)));
    CHECK_BYTES(self->line.data, self->line.length, "two\n");
    AIO_AWAIT(aio_stream_wait_closed(aio_process_stdin(self->process)));
    CHECK_PTR(aio_process_stdin(self->process), NULL);
    AIO_AWAIT(self->line, aio_stream_readline(aio_process_stdout(self->process)));
    CHECK_INT(self->line.length, 0);
    AIO_AWAIT(self->code, aio_process_wait(self->process));
    CHECK_INT(self->code, 0);
    AIO_FINALLY;
        aio_process_release(self->process);
    AIO_END;
}

/* Environment, directory, a descriptor for an output, and none but those in the child. */
struct sub_surroundings { aio_task task; aio_process *process, *file; aio_process_output got; FILE *to; int code,
    leaked; };
SCENARIO(sub_surroundings, SUB_MAY)
{
    static const char *const env[] = { "AIO_WORD=hello", NULL };
    char text[16];
    AIO_BEGIN(sub_surroundings);
    self->leaked = dup2(1, 77); /* without FD_CLOEXEC */
    AIO_AWAIT(self->process, aio_create_subprocess_shell("echo $AIO_WORD $HOME; pwd; test -e /dev/fd/77; echo $?",
                                                         .out = AIO_PIPE, .cwd = "/usr", .env = env));
    AIO_AWAIT(self->got, aio_process_communicate(self->process, NULL, 0));
    CHECK_BYTES(self->got.out.data, self->got.out.length, "hello\n/usr\n1\n");
    self->to = tmpfile();
    AIO_AWAIT(self->file, aio_create_subprocess_shell("echo here", .out = fileno(self->to)));
    AIO_AWAIT(self->code, aio_process_wait(self->file));
    rewind(self->to);
    CHECK(fgets(text, sizeof text, self->to) != NULL);
    CHECK_BYTES(text, 5, "here\n");
    AIO_FINALLY;
        close(self->leaked);
        if (self->to) fclose(self->to);
        aio_process_release(self->process);
        aio_process_release(self->file);
    AIO_END;
}

#if AIO__LINUX
static int sub_no_pidfd(pid_t pid)
{
    (void)pid;
    errno = ENOSYS;
    return -1;
}
#define SUB_WITHOUT_PIDFD (aio__os.pidfd_open = sub_no_pidfd)
#define SUB_WITH_PIDFD    (aio__os.pidfd_open = seam_pidfd_open)
#else
#define SUB_WITHOUT_PIDFD (void)0
#define SUB_WITH_PIDFD    (void)0
#endif

/* Where there are no pidfds a thread waits. */
struct sub_thread { aio_task task; aio_process *one, *two; int code; };
SCENARIO(sub_thread)
{
    AIO_BEGIN(sub_thread);
    SUB_WITHOUT_PIDFD;
    AIO_AWAIT(self->one, aio_create_subprocess_shell("exit 7"));
    CHECK(self->one->has_thread && !self->one->has_pidfd);
    AIO_AWAIT(self->two, aio_create_subprocess_exec(sub_sleep));
    AIO_AWAIT(self->code, aio_process_wait(self->one));
    CHECK_INT(self->code, 7);
    CHECK_INT(aio_process_kill(self->two), 0);
    AIO_AWAIT(self->code, aio_process_wait(self->two));
    CHECK_INT(self->code, -SIGKILL);
    AIO_FINALLY;
        SUB_WITH_PIDFD;
        aio_process_release(self->one);
        aio_process_release(self->two);
    AIO_END;
}

#ifdef __linux__
/* Whatever this process has open, the child has its standard streams, and here the directory that it lists. */
struct sub_descriptors { aio_task task; aio_process *process; aio_process_output got; int leaked[2]; };
SCENARIO(sub_descriptors, SUB_MAY)
{
    static const char *const argv[] = { "ls", "/proc/self/fd", NULL };
    AIO_BEGIN(sub_descriptors);
    self->leaked[0] = dup2(1, 78); /* without FD_CLOEXEC */
    self->leaked[1] = dup2(1, 1500);
    AIO_AWAIT(self->process, aio_create_subprocess_exec(argv, .in = AIO_PIPE, .out = AIO_PIPE, .err = AIO_PIPE));
    AIO_AWAIT(self->got, aio_process_communicate(self->process, NULL, 0));
    CHECK_BYTES(self->got.out.data, self->got.out.length, "0\n1\n2\n3\n");
    CHECK_INT(self->got.err.length, 0);
    AIO_FINALLY;
        for (int i = 0; i < 2; i++)
            if (self->leaked[i] >= 0) close(self->leaked[i]);
        aio_process_release(self->process);
    AIO_END;
}
#endif

/* A program that has closed its own standard streams, before it has a loop or after that: their numbers then come to be
 * those of its pipes, of the descriptor that tells of an end, and of copies of a descriptor that it gives itself. It
 * runs in a process of its own, with nothing to print to: a bit for each thing that is wrong. */
struct sub_closed { aio_task task; int result, given[2]; aio_process *all, *one, *own; aio_process_output got; };
static AIO_CORO(sub_closed)
{
    AIO_BEGIN(sub_closed);
    AIO_AWAIT(self->all, aio_create_subprocess_shell("cat; echo wrong >&2", .in = AIO_PIPE, .out = AIO_PIPE,
                                                     .err = AIO_PIPE));
    AIO_AWAIT(self->got, aio_process_communicate(self->all, "hello", 5));
    if (self->got.out.length != 5 || memcmp(self->got.out.data, "hello", 5) != 0) self->result |= 1;
    if (self->got.err.length != 6 || self->got.returncode) self->result |= 2;
    AIO_AWAIT(self->one, aio_create_subprocess_shell("cat; echo wrong >&2", .in = AIO_DEVNULL, .out = AIO_PIPE,
                                                     .err = AIO_STDOUT));
    AIO_AWAIT(self->got, aio_process_communicate(self->one, NULL, 0));
    if (self->got.out.length != 6 || self->got.returncode) self->result |= 4;
    AIO_AWAIT(self->own, aio_create_subprocess_shell("cat; echo right", .in = AIO_DEVNULL, .out = self->given[1],
                                                     .err = AIO_DEVNULL));
    AIO_AWAIT(aio_process_wait(self->own));
    char said[8];
    if (read(self->given[0], said, sizeof said) != 6 || memcmp(said, "right\n", 6) != 0) self->result |= 16;
    AIO_FINALLY;
        aio_process_release(self->all);
        aio_process_release(self->one);
        aio_process_release(self->own);
    AIO_END;
}

static void sub_close(int which)
{
    for (int i = 0; i < 3; i++)
        if (which >> i & 1) close(i);
}

static int sub_closed_streams(int which, bool late)
{
    int given[2];
    if (pipe2(given, O_CLOEXEC | O_NONBLOCK)) return 32;
    if (!late) sub_close(which);
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    if (late) sub_close(which);
    struct sub_closed *task =
        (struct sub_closed *)aio_create_task(AIO_CALL(sub_closed, .given = { given[0], given[1] }));
    int code = aio_loop_run_until_complete(loop, aio_ref(task), NULL), result = code ? 64 : task->result;
    aio_unref(task);
    aio_loop_free(loop);
    for (int i = 0; i < 3; i++)
        if (which >> i & 1 && fcntl(i, F_GETFD) >= 0) result |= 8; /* left open */
    return result;
}

TEST(sub_closed_streams)
{
    int status = 0;
    for (int i = 2; i < 16; i++) { /* i / 2: those that are closed */
        fflush(NULL);
        pid_t child = fork();
        if (!child) _exit(sub_closed_streams(i / 2, i % 2));
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
    }
}

/* A session, and a group, of its own; a signal to the group reaches what the program has started. */
struct sub_groups { aio_task task; aio_process *session, *group, *plain; aio_text line; int code; };
SCENARIO(sub_groups, SUB_MAY)
{
    AIO_BEGIN(sub_groups);
    AIO_AWAIT(self->session, aio_create_subprocess_exec(sub_sleep, .new_session = true));
    CHECK_INT(getsid(aio_process_pid(self->session)), aio_process_pid(self->session));
    AIO_AWAIT(self->plain, aio_create_subprocess_exec(sub_sleep));
    CHECK_INT(getpgid(aio_process_pid(self->plain)), getpgid(0));
    AIO_AWAIT(self->group, aio_create_subprocess_shell("sleep 3 2>/dev/null & echo ready; wait", .out = AIO_PIPE,
                                                       .new_group = true));
    CHECK_INT(getpgid(aio_process_pid(self->group)), aio_process_pid(self->group));
    CHECK_INT(getsid(aio_process_pid(self->group)), getsid(0));
    AIO_AWAIT(self->line, aio_stream_readline(aio_process_stdout(self->group)));
    CHECK_BYTES(self->line.data, self->line.length, "ready\n");
    CHECK_INT(kill(-aio_process_pid(self->group), SIGKILL), 0);
    AIO_AWAIT(self->line, aio_stream_read_all(aio_process_stdout(self->group), 0)); /* which both had open */
    AIO_AWAIT(self->code, aio_process_wait(self->group));
    CHECK_INT(self->code, -SIGKILL);
    AIO_FINALLY;
        if (self->group && aio_process_returncode(self->group) == AIO_RUNNING)
            kill(-aio_process_pid(self->group), SIGKILL);
        aio_process_release(self->session);
        aio_process_release(self->plain);
        aio_process_release(self->group);
    AIO_END;
}

/* A child dies of SIGPIPE although this process ignores it; nothing of its own input is left to it; a signal of the
 * user's choice is its return code. */
struct sub_signals { aio_task task; aio_process *pipe, *null, *user; aio_process_output got; int code;
    void (*before)(int); };
SCENARIO(sub_signals, SUB_MAY)
{
    AIO_BEGIN(sub_signals);
    self->before = signal(SIGPIPE, SIG_IGN);
    AIO_AWAIT(self->pipe, aio_create_subprocess_shell("kill -PIPE $$; echo ignored", .out = AIO_PIPE));
    AIO_AWAIT(self->got, aio_process_communicate(self->pipe, NULL, 0));
    CHECK_INT(self->got.returncode, -SIGPIPE);
    CHECK_INT(self->got.out.length, 0);
    AIO_AWAIT(self->null, aio_create_subprocess_exec(sub_cat, .in = AIO_DEVNULL, .out = AIO_PIPE));
    AIO_AWAIT(self->got, aio_process_communicate(self->null, NULL, 0));
    CHECK_INT(self->got.returncode, 0);
    CHECK_INT(self->got.out.length, 0);
    AIO_AWAIT(self->user, aio_create_subprocess_exec(sub_sleep));
    CHECK_INT(aio_process_send_signal(self->user, SIGUSR1), 0);
    AIO_AWAIT(self->code, aio_process_wait(self->user));
    CHECK_INT(self->code, -SIGUSR1);
    CHECK_INT(aio_process_send_signal(self->user, SIGUSR1), ESRCH);
    CHECK_INT(aio_process_send_signal(NULL, SIGUSR1), EINVAL);
    AIO_FINALLY;
        if (self->before != SIG_ERR) signal(SIGPIPE, self->before);
        aio_process_release(self->pipe);
        aio_process_release(self->null);
        aio_process_release(self->user);
    AIO_END;
}

/* What this thread blocks, and this process ignores, stops no signal to a child, unless it is to; one that a fork makes
 * neither. */
struct sub_masks { aio_task task; aio_process *plain, *kept; int code, umask; bool blocked; sigset_t before;
    void (*ignored)(int); };
SCENARIO(sub_masks, SUB_MAY)
{
    AIO_BEGIN(sub_masks);
    static const char *const sleep_5[] = { "sleep", "5", NULL }; /* no longer, where the signal does not come */
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGUSR1);
    self->blocked = pthread_sigmask(SIG_BLOCK, &mask, &self->before) == 0;
    self->ignored = signal(SIGINT, SIG_IGN);
    for (self->umask = 0; self->umask <= 022; self->umask += 022) {
        AIO_AWAIT(self->plain, aio_create_subprocess_shell("kill -INT $$; exit 3", .umask = self->umask));
        AIO_AWAIT(self->code, aio_process_wait(self->plain));
        CHECK_INT(self->code, -SIGINT);
        aio_process_release(self->plain);
        self->plain = NULL;
        AIO_AWAIT(self->plain, aio_create_subprocess_exec(sleep_5, .umask = self->umask)); /* some shells unblock */
        CHECK_INT(aio_process_terminate(self->plain), 0);
        AIO_AWAIT(self->code, aio_process_wait(self->plain));
        CHECK_INT(self->code, -SIGTERM);
        aio_process_release(self->plain);
        self->plain = NULL;
        AIO_AWAIT(self->kept, aio_create_subprocess_shell("kill -INT $$; kill -USR1 $$; exit 3", .keep_signals = true,
                                                          .umask = self->umask));
        AIO_AWAIT(self->code, aio_process_wait(self->kept));
        CHECK_INT(self->code, 3);
        aio_process_release(self->kept);
        self->kept = NULL;
    }
    AIO_FINALLY;
        if (self->blocked) {
            pthread_sigmask(SIG_SETMASK, &self->before, NULL);
            signal(SIGINT, self->ignored);
        }
        aio_process_release(self->plain);
        aio_process_release(self->kept);
    AIO_END;
}

/* Several wait; the one that is cancelled leaves the program, and the others, alone. (A fault, or a cancel, may end the
 * scenario before the child's end is heard of, for which the others' future is kept.) */
struct sub_wait { aio_task task; int result; aio_process *process; };
static AIO_CORO(sub_wait)
{
    AIO_BEGIN(sub_wait);
    AIO_AWAIT(self->result, aio_process_wait(self->process));
    AIO_END;
}

struct sub_waiters { aio_task task; aio_process *process; struct sub_wait *waits[3]; int i; };
SCENARIO(sub_waiters, .skip = KIND_ALLOC | KIND_CANCEL)
{
    AIO_BEGIN(sub_waiters);
    AIO_AWAIT(self->process, aio_create_subprocess_exec(sub_sleep));
    for (self->i = 0; self->i < 3; self->i++) {
        self->waits[self->i] = aio_create_task(AIO_CALL(sub_wait, .process = self->process));
        REQUIRE(self->waits[self->i]);
    }
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_task_cancel(self->waits[0]));
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_future_cancelled(self->waits[0]));
    CHECK_INT(aio_process_returncode(self->process), AIO_RUNNING);
    CHECK_INT(aio_process_kill(self->process), 0);
    AIO_AWAIT(aio_wait(self->waits, 3));
    for (self->i = 1; self->i < 3; self->i++) CHECK_INT(self->waits[self->i]->result, -SIGKILL);
    AIO_FINALLY;
        for (int i = 0; i < 3; i++)
            if (self->waits[i]) aio_task_cancel(self->waits[i]);
        aio_unref_all(self->waits, 3);
        aio_process_release(self->process);
    AIO_END;
}

/* A task that is cancelled while it waits, and releases in its finally, kills. */
struct sub_waiter { aio_task task; aio_process *process; int code; };
static AIO_CORO(sub_waiter)
{
    AIO_BEGIN(sub_waiter);
    AIO_AWAIT(self->process, aio_create_subprocess_exec(sub_sleep, .in = AIO_PIPE, .out = AIO_PIPE));
    AIO_AWAIT(self->code, aio_process_wait(self->process));
    AIO_FINALLY;
        aio_process_release(self->process);
    AIO_END;
}

struct sub_killed { aio_task task; struct sub_waiter *waiter; int pid; bool leave; };
static AIO_CORO(sub_killed)
{
    AIO_BEGIN(sub_killed);
    self->waiter = aio_create_task(AIO_CALL(sub_waiter));
    AIO_AWAIT(aio_sleep(0.01));
    CHECK(self->waiter->process != NULL && self->waiter->process->pid > 0);
    if (self->leave) self->waiter->process = NULL; /* it is the loop's end that kills */
    else aio_task_cancel(self->waiter);
    AIO_FINALLY;
        aio_unref(self->waiter);
    AIO_END;
}

/* After the loop there is no child: neither one that runs nor one that nobody has waited for. With pidfd and thread. */
TEST(sub_no_zombies)
{
    for (int i = 0; i < 4; i++) {
        aio_loop *loop = aio_new_event_loop();
        aio_loop_set_exception_handler(loop, fd_no_report, NULL);
        aio_set_event_loop(loop);
        if (i & 1) SUB_WITHOUT_PIDFD;
        CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(sub_killed, .leave = (i & 2) != 0), NULL), 0);
        SUB_WITH_PIDFD;
        aio_loop_free(loop);
        errno = 0;
        CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
        CHECK_INT(errno, ECHILD);
    }
}

/* Descriptors by their numbers, and no others; a umask; what fails in the child is told. */
struct sub_passed { aio_task task; aio_process *process; aio_process_output output; int pipe[2], other, gone, i;
                    char command[200]; };
SCENARIO(sub_passed, .may = { AIO_EINCOMPLETE })
{
    static const char *const missing[] = { "/nowhere/program", NULL };
    int wrong = 2;
    AIO_BEGIN(sub_passed);
    ALWAYS(pipe(self->pipe) == 0);
    self->other = dup(0);
    snprintf(self->command, sizeof self->command, "umask; echo passed >&%d; (: >&%d) 2>/dev/null || echo closed",
             self->pipe[1], self->other);
    AIO_AWAIT(self->process, aio_create_subprocess_shell(self->command, .out = AIO_PIPE, .pass_fds = &self->pipe[1],
                                                         .pass_fd_count = 1, .umask = 027));
    AIO_AWAIT(self->output, aio_process_communicate(self->process, NULL, 0));
    CHECK_INT(self->output.returncode, 0);
    CHECK_BYTES(self->output.out.data, self->output.out.length, "0027\nclosed\n");
    char said[8];
    CHECK_INT(read(self->pipe[0], said, sizeof said), 7);
    for (self->i = 0; self->i < 4; self->i++) {
        AIO_TRY {
            self->gone = dup(0); /* a pipe of ours is to have the number */
            close(self->gone);
            if (self->i == 3) AIO_AWAIT(aio_create_subprocess_shell("exit", .out = AIO_PIPE, .pass_fds = &self->gone,
                                                                    .pass_fd_count = 1));
            if (self->i == 0) AIO_AWAIT(aio_create_subprocess_exec(missing, .umask = 027));
            if (self->i == 1) AIO_AWAIT(aio_create_subprocess_shell("exit", .umask = 027, .cwd = "/nowhere"));
            if (self->i == 2) AIO_AWAIT(aio_create_subprocess_shell("exit", .pass_fds = &wrong, .pass_fd_count = 1));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(self->i == 3 ? EBADF : self->i == 2 ? EINVAL : ENOENT);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        fd_close_pair(self->pipe);
        if (self->other > 0) close(self->other);
        aio_process_release(self->process);
    AIO_END;
}

/* Users and groups by name, or by a number in its place; who is not there is named. */
struct sub_named { aio_task task; aio_process *process; aio_process_output output; int i; char expected[80]; };
SCENARIO(sub_named, .may = { AIO_EINCOMPLETE, EAGAIN })
{
    static const char *const extra[] = { "777", "daemon", NULL }, *const gone[] = { "778", "no such group", NULL };
    static const char *const argv[] = { "/bin/true", NULL };
    static const char *const said[] = { "start /bin/true: user \"no such user\": there is none of that name",
                                        "start /bin/true: group \"4294967295\": there is none of that name",
                                        "start /bin/true: group \"no such group\": there is none of that name",
                                        "create_subprocess: a number and a name for one",
                                        "create_subprocess: a user or group below 0", "create_subprocess: no program",
                                        "create_subprocess: no program", "create_subprocess: no program" };
    static const char *const none[] = { NULL }, *const empty[] = { "", NULL };
    AIO_BEGIN(sub_named);
    snprintf(self->expected, sizeof self->expected, "%d\n54321\n54321 %d 777\n", (int)getpwnam("nobody")->pw_uid,
             (int)getgrnam("daemon")->gr_gid);
    AIO_TRY {
        AIO_AWAIT(self->process, aio_create_subprocess_shell("id -u; id -g; id -G", .out = AIO_PIPE,
            .user_name = "nobody", .group_name = "54321", .extra_groups = extra));
        CHECK_INT(geteuid(), 0);
        AIO_AWAIT(self->output, aio_process_communicate(self->process, NULL, 0));
        CHECK_BYTES(self->output.out.data, self->output.out.length, self->expected);
    } AIO_CATCH {
        if (geteuid() == 0) AIO_RERAISE();
        CAUGHT(EPERM);
    } AIO_END_TRY;
    for (self->i = 0; self->i < 8; self->i++) {
        AIO_TRY {
            if (self->i == 5) AIO_AWAIT(aio_create_subprocess_exec(NULL));
            if (self->i == 6) AIO_AWAIT(aio_create_subprocess_exec(none));
            if (self->i == 7) AIO_AWAIT(aio_create_subprocess_exec(empty));
            if (self->i == 0) AIO_AWAIT(aio_create_subprocess_exec(argv, .user_name = "no such user"));
            if (self->i == 1) AIO_AWAIT(aio_create_subprocess_exec(argv, .group_name = "4294967295"));
            if (self->i == 2) AIO_AWAIT(aio_create_subprocess_exec(argv, .extra_groups = gone));
            if (self->i == 3) AIO_AWAIT(aio_create_subprocess_exec(argv, .user = 1, .user_name = "nobody"));
            if (self->i == 4) AIO_AWAIT(aio_create_subprocess_exec(argv, .user = -2));
            UNREACHED();
        } AIO_CATCH {
            CAUGHT(EINVAL);
            if (!seam.fired) CHECK_STR(aio_caught(self)->message, said[self->i]);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        aio_process_release(self->process);
    AIO_END;
}

/* "root" is a user as any other: who may not become it is told, not left as it is. */
struct sub_root_named { aio_task task; aio_process *process; int code; };
SCENARIO(sub_root_named, .may = { EAGAIN })
{
    static const char *const argv[] = { "/bin/true", NULL };
    AIO_BEGIN(sub_root_named);
    AIO_TRY {
        AIO_AWAIT(self->process, aio_create_subprocess_exec(argv, .user_name = "root"));
        CHECK_INT(geteuid(), 0);
        AIO_AWAIT(self->code, aio_process_wait(self->process));
        CHECK_INT(self->code, 0);
    } AIO_CATCH {
        if (geteuid() == 0) AIO_RERAISE();
        CAUGHT(EPERM);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_process_release(self->process);
    AIO_END;
}

/* Root's program as somebody else, in no group of root's; others may not. */
struct sub_user { aio_task task; aio_process *process; aio_process_output output; };
SCENARIO(sub_user, .may = { AIO_EINCOMPLETE })
{
    AIO_BEGIN(sub_user);
    AIO_TRY {
        AIO_AWAIT(self->process, aio_create_subprocess_shell("id -u; id -g; id -G", .out = AIO_PIPE, .user = 12345,
                                                             .group = 54321));
        CHECK_INT(geteuid(), 0);
        AIO_AWAIT(self->output, aio_process_communicate(self->process, NULL, 0));
        CHECK_BYTES(self->output.out.data, self->output.out.length, "12345\n54321\n54321\n");
    } AIO_CATCH {
        if (geteuid() == 0) AIO_RERAISE();
        CAUGHT(EPERM);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio_process_release(self->process);
    AIO_END;
}

/* Accounts in numbers: from 0 to the last one, which is not the one that means none. */
TEST(sub_account_numbers)
{
    static const struct { const char *text; int64_t is; } cases[] = {
        { "0", 0 }, { "9", 9 }, { "190", 190 }, { "4294967294", 4294967294 }, { "4294967295", -1 }, { "", -1 },
        { "18446744073709551617", -1 }, { "1a", -1 }, { "/", -1 }, { ":", -1 }, { "-1", -1 }, { " 1", -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK(aio__account_number(cases[i].text) == cases[i].is);
}
