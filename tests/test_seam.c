/* The seam itself: nothing forgotten in it, and its faults reach real sockets and do no harm. */
#include <sys/resource.h>
#include <sys/time.h>

/* Every entry of the table is replaced, but for those that neither fail nor matter. */
TEST(seam_is_complete)
{
    typedef void (*entry)(void);
    static const size_t left_alone[] = {
        offsetof(struct aio__os, join), offsetof(struct aio__os, detach), offsetof(struct aio__os, cores),
        offsetof(struct aio__os, kill), offsetof(struct aio__os, freeaddrinfo), offsetof(struct aio__os, iconv),
        offsetof(struct aio__os, getpid), offsetof(struct aio__os, spawn_child), offsetof(struct aio__os, spawn_become),
#ifndef AIO_NO_TLS
        offsetof(struct aio__os, EVP_MD_CTX_free),
#endif
    };
#ifdef AIO_NO_TLS
    size_t end = sizeof(struct aio__os);
#else
    size_t end = offsetof(struct aio__os, BIO_clear_flags); /* from there on: AIO__TLS_CALLS, which cannot fail */
#endif
    for (size_t at = offsetof(struct aio__os, malloc); at + sizeof(entry) <= end; at += sizeof(entry)) {
        bool wanted = memcmp((char *)&aio__os + at, (char *)&seam_real + at, sizeof(entry)) == 0;
        for (size_t i = 0; i < sizeof left_alone / sizeof *left_alone; i++) wanted = wanted && left_alone[i] != at;
        if (wanted) fail("%s:%d: entry %zu of struct aio__os is not in harness_seam.h", __FILE__, __LINE__,
                         (at - offsetof(struct aio__os, malloc)) / sizeof(entry));
    }
}

/* ---- a peer that leaves in the middle of a call ---- */
static void *seam_reads_a_little(void *arg)
{
    int fd = *(int *)arg;
    char data[5000];
    size_t had = 0;
    for (ssize_t n; had < 20000 && (n = read(fd, data, sizeof data)) > 0; had += (size_t)n) ;
    close(fd);
    return NULL;
}

static volatile sig_atomic_t seam_sigpipes;
static void seam_on_sigpipe(int signum) { (void)signum, seam_sigpipes++; }

/* The real calls on blocking descriptors: each has sent a part when its peer leaves, and must not end the process. */
TEST(seam_no_sigpipe)
{
    enum { SIZE = 1 << 20 };
    char *data = calloc(1, SIZE);
    struct sigaction action = { .sa_handler = seam_on_sigpipe }, old;
    CHECK(data != NULL);
    sigemptyset(&action.sa_mask);
    sigaction(SIGPIPE, &action, &old);
    seam_sigpipes = 0;
    for (int i = 0; i < 2; i++) {
        int fds[2];
        pthread_t reader;
        ssize_t n;
        if (i == 0) {
            CHECK(pipe(fds) == 0);
            CHECK(pthread_create(&reader, NULL, seam_reads_a_little, &fds[0]) == 0);
            n = seam_real.pipe_write(fds[1], data, SIZE);
        } else {
#if AIO__LINUX
            FILE *file = tmpfile();
            CHECK(file && fwrite(data, 1, SIZE, file) == SIZE && fflush(file) == 0);
            CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
            CHECK(pthread_create(&reader, NULL, seam_reads_a_little, &fds[0]) == 0);
            n = seam_real.sendfile(fds[1], fileno(file), 0, SIZE);
            fclose(file);
#else
            continue;
#endif
        }
        CHECK(n >= 20000 && n < SIZE);
        pthread_join(reader, NULL);
        close(fds[1]);
    }
    sigaction(SIGPIPE, &old, NULL);
    free(data);
    CHECK(seam_sigpipes == 0);
}

/* ---- the real calls of the table, beyond what the system does by itself ---- */

struct seam_names { int count, code; int broken; };

static int seam_each_name(void *arg, const char *name)
{
    struct seam_names *names = (struct seam_names *)arg;
    (void)name;
    names->count++;
    if (names->broken) dup2(1, names->broken); /* the folder's descriptor is no folder any more */
    errno = EIO;
    return names->code;
}

/* An error of readdir is one, what a callback leaves in errno is none, and its code ends the list. */
TEST(seam_listdir)
{
    struct seam_names all = { 0, 0, 0 }, first = { 0, EXDEV, 0 }, broken = { 0, 0, 0 };
    CHECK_INT(seam_real.listdir("/nowhere", seam_each_name, &all), ENOENT);
    CHECK_INT(seam_real.listdir("/", seam_each_name, &all), 0);
    CHECK(all.count > 4);
    CHECK_INT(seam_real.listdir("/", seam_each_name, &first), EXDEV);
    CHECK_INT(first.count, 1);
    broken.broken = dup(0);
    close(broken.broken); /* the next descriptor is the folder's */
    CHECK_INT(seam_real.listdir("/", seam_each_name, &broken), ENOTDIR);
    CHECK_INT(broken.count, all.count);
}

struct seam_cond { pthread_cond_t condition; pthread_mutex_t mutex; };

static void *seam_signals(void *arg)
{
    struct seam_cond *c = (struct seam_cond *)arg;
    pthread_mutex_lock(&c->mutex); /* so it waits by now */
    pthread_cond_signal(&c->condition);
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

/* Waits end with their time, not before, and are not in the past, however their nanoseconds add up. */
TEST(seam_cond_waits)
{
    static const int64_t waits[] = { 999999999, INT64_C(100000000000), INT64_MAX, -1 };
    struct seam_cond c;
    memset(&c, 0x55, sizeof c);
    CHECK_INT(seam_real.cond_init(&c.condition), 0);
    CHECK_INT(seam_real.mutex_init(&c.mutex), 0);
    pthread_mutex_lock(&c.mutex);
    CHECK_INT(seam_real.cond_wait(&c.condition, &c.mutex, 0), ETIMEDOUT);
    for (int i = 0; i < 2; i++) { /* a second may end within one of them */
        int64_t began = seam_real.clock();
        CHECK_INT(seam_real.cond_wait(&c.condition, &c.mutex, 30000000), ETIMEDOUT);
        CHECK(seam_real.clock() - began >= 30000000);
    }
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        pthread_t thread;
        CHECK_INT(pthread_create(&thread, NULL, seam_signals, &c), 0);
        CHECK_INT(seam_real.cond_wait(&c.condition, &c.mutex, waits[i]), 0);
        pthread_mutex_unlock(&c.mutex);
        pthread_join(thread, NULL);
        pthread_mutex_lock(&c.mutex);
    }
    pthread_mutex_unlock(&c.mutex);
    pthread_cond_destroy(&c.condition);
    pthread_mutex_destroy(&c.mutex);
}

/* ---- what a child becomes ---- */

static aio__spawn seam_spawn_of(const char *const *argv)
{
    aio__spawn spawn;
    memset(&spawn, 0, sizeof spawn);
    spawn.argv = (char *const *)(uintptr_t)argv;
    spawn.user = spawn.group = -1;
    return spawn;
}

/* What a function gives in a child of ours: at most 255. */
static int seam_in_child(int (*function)(int), int arg)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (!child) _exit(function(arg));
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int seam_become(const aio__spawn *spawn)
{
    errno = EBUSY; /* what is there before is no error */
    return seam_real.spawn_become(spawn);
}

static int seam_limit(bool processes, rlim_t most)
{
    struct rlimit limit;
    if ((processes ? getrlimit(RLIMIT_NPROC, &limit) : getrlimit(RLIMIT_NOFILE, &limit)) < 0) return -1;
    limit.rlim_cur = most;
    return processes ? setrlimit(RLIMIT_NPROC, &limit) : setrlimit(RLIMIT_NOFILE, &limit);
}

static const int seam_failures[] = { EPERM, EPERM, EBADF, EMFILE, ENOENT, EPERM, EPERM, EPERM, EBADF, EBADF };

static int seam_become_fails_child(int i)
{
    static const gid_t groups[] = { 1 };
    static const int closed = 1000, low = 3;
    aio__spawn spawn = seam_spawn_of(NULL);
    if (i == 0) spawn.new_session = setpgid(0, 0) == 0;
    if (i == 1) spawn.new_group = setsid() > 0;
    if (i == 2) spawn.stdio[1] = closed;
    if (i == 3) spawn.stdio[2] = seam_limit(false, 3) == 0 ? AIO_DEVNULL : AIO_INHERIT;
    if (i == 4) spawn.cwd = "/nowhere";
    if (i >= 5 && i < 8 && geteuid() == 0 && setuid(12345) < 0) return seam_failures[i]; /* as the others have it */
    if (i == 5) spawn.groups = groups;
    if (i == 5) spawn.group_count = 1;
    if (i == 6) spawn.group = 54321;
    if (i == 7) spawn.user = 54321;
    if (i == 8) spawn.pass_fds = &closed;
    if (i >= 8) spawn.pass_fd_count = 1;
    if (i == 9) spawn.pass_fds = &low; /* it is closed, and opening the null device gives it for a while */
    if (i == 9) spawn.stdio[1] = AIO_DEVNULL;
    if (i == 9) close(low);
    return seam_become(&spawn);
}

TEST(seam_become_fails)
{
    for (int i = 0; i < (int)(sizeof seam_failures / sizeof *seam_failures); i++)
        CHECK_INT(seam_in_child(seam_become_fails_child, i), seam_failures[i]);
}

/* A bit for each thing that is wrong. */
static int seam_become_all_child(int unused)
{
    (void)unused;
    int pipe_[2], kept = 90, high = 100, wrong = 0;
    struct stat null, in, out, error;
    char folder[100];
    if (pipe(pipe_) < 0 || dup2(pipe_[1], kept) < 0 || dup2(pipe_[1], high) < 0) return 255;
    close(3); /* whatever it was: the lowest that is closed on exec */
    if (dup2(pipe_[1], 3) < 0) return 255;
    fcntl(3, F_SETFD, 0);
    close(0);
    aio__spawn spawn = seam_spawn_of(NULL);
    spawn.new_session = spawn.new_group = true;
    spawn.stdio[0] = AIO_DEVNULL; /* opening it gives 0 */
    spawn.stdio[1] = kept;
    spawn.stdio[2] = AIO_STDOUT;
    spawn.cwd = "/usr";
    spawn.umask = -1;
    spawn.pass_fds = &kept;
    spawn.pass_fd_count = 1;
#if AIO__LINUX && defined(SYS_close_range)
    if (syscall(SYS_close_range, ~0u, ~0u, 4) == 0 && seam_limit(false, 95) < 0) return 255;
#endif
    if (seam_become(&spawn) != 0) return 254;
    if (getsid(0) != getpid() || getpgid(0) != getpid()) wrong |= 1;
    if (stat("/dev/null", &null) < 0 || fstat(0, &in) < 0 || in.st_rdev != null.st_rdev) wrong |= 2;
    if (fstat(kept, &null) < 0 || fstat(1, &out) < 0 || fstat(2, &error) < 0) wrong |= 4;
    if (out.st_ino != null.st_ino || error.st_ino != null.st_ino) wrong |= 8;
    if (!getcwd(folder, sizeof folder) || strcmp(folder, "/usr") != 0) wrong |= 16;
    if (umask(0) != 0) wrong |= 32;
    if (fcntl(kept, F_GETFD) != 0) wrong |= 64;
    if (fcntl(high, F_GETFD) != FD_CLOEXEC || fcntl(3, F_GETFD) != FD_CLOEXEC) wrong |= 128;
    return wrong;
}

/* Nothing is asked for: it stays as it is; or a group of its own, and as root its numbers, 0 being one. */
static int seam_become_little_child(int i)
{
    static const gid_t groups[] = { 777, 778 };
    gid_t had[8];
    int wrong = 0;
    aio__spawn spawn = seam_spawn_of(NULL);
    bool root = geteuid() == 0 && setgroups(2, groups) == 0;
    pid_t session = getsid(0), group = getpgid(0);
    umask(027);
    spawn.new_group = i == 1;
    if (i == 2 && (!root || setregid(54321, 54321) < 0)) return 0;
    if (i == 2) spawn.group = 0;
    if (i == 3 && (!root || setreuid(54321, 0) < 0)) return 0;
    if (i == 3) spawn.user = 0;
    if (seam_become(&spawn) != 0) return 254;
    if (getsid(0) != session || getpgid(0) != (i == 1 ? getpid() : group)) wrong |= 1;
    if (umask(0) != 027) wrong |= 2;
    if (root && getgroups(8, had) != (i < 2 ? 2 : 0)) wrong |= 4;
    if (root && (getgid() || getegid() || getuid() || geteuid())) wrong |= 8;
    return wrong;
}

TEST(seam_become)
{
    CHECK_INT(seam_in_child(seam_become_all_child, 0), 0);
    for (int i = 0; i < 4; i++) CHECK_INT(seam_in_child(seam_become_little_child, i), 0);
}

/* ---- programs by fork ---- */

static const char *const seam_missing[] = { "/nowhere/program", NULL };

/* No more of anything: the code is told, and nothing is left. */
static int seam_fork_fails_child(int i)
{
    static const int codes[] = { EMFILE, EMFILE, EAGAIN, ENOENT };
    aio__spawn spawn = seam_spawn_of(seam_missing);
    pid_t pid = -1;
    sigset_t before, after;
    int wrong = 0;
    for (int fd = 3; fd < 1000; fd++) close(fd);
    sigemptyset(&before);
    sigaddset(&before, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (i < 2) seam_limit(false, i ? 5 : 3); /* the pipe is 3 and 4, and the end above 2 one more */
    if (i == 2 && geteuid() == 0 && setuid(12345) < 0) return 0;
    if (i == 2) seam_limit(true, 0);
    errno = EBUSY;
    if (seam_real.spawn_fork(&pid, &spawn) != codes[i]) wrong |= 1;
    if (fcntl(3, F_GETFD) >= 0 || fcntl(4, F_GETFD) >= 0 || fcntl(5, F_GETFD) >= 0) wrong |= 2;
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    if (!sigismember(&after, SIGUSR1) || sigismember(&after, SIGUSR2) || sigismember(&after, SIGTERM)) wrong |= 4;
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD) wrong |= 8;
    return wrong;
}

TEST(seam_fork_fails)
{
    for (int i = 0; i < 4; i++) CHECK_INT(seam_in_child(seam_fork_fails_child, i), 0);
}

static void seam_on_alarm(int signum) { (void)signum; }

/* Signals interrupt the wait for what the child says, and for its end; who ignores SIGCHLD has nothing to wait for. */
TEST(seam_fork_is_interrupted)
{
    struct sigaction action, old;
    static const struct itimerval often = { { 0, 100 }, { 0, 100 } };
    struct itimerval limit; /* the test's own, which goes on */
    static const char *const argv[] = { "/bin/true", NULL };
    aio__spawn spawn = seam_spawn_of(seam_missing), good = seam_spawn_of(argv);
    pid_t pid = -1;
    int status = -1;
    memset(&action, 0, sizeof action); /* no SA_RESTART */
    action.sa_handler = seam_on_alarm;
    sigaction(SIGALRM, &action, &old);
    setitimer(ITIMER_REAL, &often, &limit);
    for (int i = 0; i < 8; i++) {
        CHECK_INT(seam_real.spawn_fork(&pid, &spawn), ENOENT);
        CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
    }
    setitimer(ITIMER_REAL, &limit, NULL);
    sigaction(SIGALRM, &old, NULL);
    errno = EINTR;
    CHECK_INT(seam_real.spawn_fork(&pid, &good), 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    signal(SIGCHLD, SIG_IGN);
    CHECK_INT(seam_real.spawn_fork(&pid, &spawn), ENOENT);
    signal(SIGCHLD, SIG_DFL);
}

/* What we ignore and block does not reach the program, unless it is to; its environment is ours, or its own. */
TEST(seam_fork_signals)
{
    static const char *const argv[] = { "sh", "-c", "kill -INT $$; kill -USR1 $$; exit $AIO_NUMBER", NULL };
    static const char *const env[] = { "AIO_NUMBER=7", "PATH=/usr/bin:/bin", NULL };
    aio__spawn spawn = seam_spawn_of(argv);
    sigset_t mask, before;
    pid_t pid = -1;
    int status = 0;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &mask, &before);
    signal(SIGINT, SIG_IGN);
    CHECK_INT(seam_real.spawn_fork(&pid, &spawn), 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    signal(SIGINT, SIG_DFL);
    CHECK_INT(seam_real.spawn_fork(&pid, &spawn), 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    signal(SIGINT, SIG_IGN);
    spawn.keep_signals = true;
    setenv("AIO_NUMBER", "5", 1);
    for (int i = 0; i < 2; i++) {
        if (i) spawn.env = (char *const *)(uintptr_t)env;
        CHECK_INT(seam_real.spawn_fork(&pid, &spawn), 0);
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -1, i ? 7 : 5);
    }
    unsetenv("AIO_NUMBER");
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

AIO__NOINLINE static void seam_soil_stack(void)
{
    volatile unsigned char below[4096];
    for (size_t i = 0; i < sizeof below; i++) below[i] = 0x55;
}

/* posix_spawn: what cannot be opened starts nothing, whatever else is asked for; a session is a group, too; and a
 * group is the program's own. */
TEST(seam_spawns)
{
    static const char *const argv[] = { "sleep", "100", NULL };
    aio__spawn spawn = seam_spawn_of(argv);
    pid_t pid = -1;
    spawn.stdio[0] = INT_MAX;
    spawn.cwd = "/";
    CHECK_INT(seam_real.spawn(&pid, &spawn), EBADF);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
    spawn.stdio[0] = AIO_INHERIT;
    spawn.new_session = spawn.new_group = true;
    CHECK_INT(seam_real.spawn(&pid, &spawn), 0);
    if (pid > 0) {
        CHECK_INT(getsid(pid), pid);
        kill(pid, SIGKILL);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
    }
    spawn.new_session = false;
    seam_soil_stack(); /* nothing of it is taken */
    CHECK_INT(seam_real.spawn(&pid, &spawn), 0);
    if (pid > 0) {
        CHECK_INT(getpgid(pid), pid);
        kill(pid, SIGKILL);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
    }
}

/* ---- descriptors and connects ---- */

TEST(seam_fd_prepares)
{
    int fds[2];
    CHECK_INT(pipe(fds), 0);
    seam.fail_call = CALL_fcntl;
    seam.error = EBADF;
    for (int i = 1; i < 4; i++) { /* each of its three calls */
        seam.fail_at = seam.calls[CALL_fcntl] + i;
        errno = 0;
        ALWAYS(aio__fd_prepare(fds[1]) == -1);
        ALWAYS(errno == EBADF);
        ALWAYS(fcntl(fds[1], F_GETFL) == (i < 3 ? O_WRONLY : O_WRONLY | O_NONBLOCK));
    }
    seam.fail_at = 0;
    for (int i = 0; i < 2; i++) { /* O_RDONLY is 0 */
        ALWAYS(aio__fd_prepare(fds[i]) == 0);
        ALWAYS(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        ALWAYS(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
    }
    seam.fail_call = CALL_close;
    seam.fail_at = seam.calls[CALL_close] + 1;
    seam.error = EIO;
    errno = EXDEV;
    ALWAYS(aio__close_failed(fds[0]) == -1);
    ALWAYS(errno == EXDEV);
    ALWAYS(fcntl(fds[0], F_GETFD) == -1);
    close(fds[1]);
}

/* A connect that stands at once, also when it was interrupted, and whatever errno was. */
TEST(seam_connects)
{
    static const int stale[] = { EINTR, EBUSY };
    struct sockaddr_storage address, local;
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&address;
    socklen_t length = sizeof address, own = sizeof(sa_family_t);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    memset(&local, 0, sizeof local);
    local.ss_family = AF_UNIX;
    CHECK_INT(bind(listener, (struct sockaddr *)&local, own), 0); /* a name of the kernel's */
    CHECK_INT(getsockname(listener, (struct sockaddr *)&local, &length), 0);
    CHECK_INT(listen(listener, 8), 0);
    memset(&address, 0, sizeof address);
    in->sin_family = AF_INET;
    in->sin_port = htons(9);
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 2; i++) {
        int packets = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
        errno = stale[i];
        CHECK_INT(aio__socket_connect(packets, &address, sizeof *in), 0);
        errno = stale[i];
        CHECK_INT(aio__socket_connect(client, &local, length), 0);
        close(packets);
        close(client);
    }
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    seam.fail_call = CALL_connect;
    seam.error = EINTR;
    seam.fail_at = seam.calls[CALL_connect] + 1;
    CHECK_INT(aio__socket_connect(client, &local, length), 0);
    CHECK_INT(seam.calls[CALL_connect], seam.fail_at + 1);
    seam.fail_at = 0;
    close(client);
    close(listener);
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_INT(aio__socket_connect(client, &local, length), ECONNREFUSED);
    close(client);
}

struct seam_serve { aio_task task; aio_stream *stream; aio_text line; };
static AIO_CORO(seam_serve)
{
    AIO_BEGIN(seam_serve);
    AIO_ASYNC_FOR(self->line, aio_stream_readline(self->stream)) {
        aio_stream_write(self->stream, self->line.data, self->line.length);
        AIO_AWAIT(aio_stream_drain(self->stream));
    }
    AIO_END;
}

static void *seam_handler(aio_stream *stream, void *arg)
{
    (void)arg;
    return AIO_CALL(seam_serve, .stream = stream);
}

struct seam_echo { aio_task task; aio_server *server; aio_stream *stream; aio_text line; int i; char wanted[32]; };
SCENARIO(seam_echo, .may = { ECONNRESET, AIO_EINCOMPLETE, AIO_EDISCONNECTED, EPIPE })
{
    AIO_BEGIN(seam_echo);
    AIO_AWAIT(self->server, aio_start_server(seam_handler, NULL, "127.0.0.1", 0));
    AIO_AWAIT(self->stream, aio_open_connection("127.0.0.1", aio_server_port(self->server)));
    for (self->i = 0; self->i < 5; self->i++) {
        snprintf(self->wanted, sizeof self->wanted, "line %d of five\n", self->i);
        REQUIRE(aio_stream_write(self->stream, self->wanted, strlen(self->wanted)) == 0);
        AIO_AWAIT(self->line, aio_stream_readline(self->stream));
        CHECK_BYTES(self->line.data, self->line.length, self->wanted);
    }
    AIO_FINALLY;
        aio_stream_abort(self->stream);
        if (self->server) aio_server_abort_clients(self->server);
        if (self->server) AIO_AWAIT(aio_server_wait_closed(self->server));
    AIO_END;
}
