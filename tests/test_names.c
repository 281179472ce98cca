/* Names: lookups that fail, hang, are given up; through a getaddrinfo of our own. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t  changed;
    bool            shut;          /* slow.test hangs */
    int             status, inside, hung, most, calls;
} names = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0, 0, 0, 0, 0 };

enum { NAMES_MANY = 12, NAMES_OURS = 0x4000000 };
struct names_list { struct addrinfo info[NAMES_MANY]; struct sockaddr_in address[NAMES_MANY]; };

/* slow.test: hangs while shut, then has one address; many.test: 12 addresses; all others: names.status. */
static int names_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                             struct addrinfo **found)
{
    if (hints->ai_flags & AI_NUMERICHOST) return seam_getaddrinfo(host, service, hints, found);
    pthread_mutex_lock(&names.mutex);
    names.calls++;
    if (++names.inside > names.most) names.most = names.inside;
    pthread_cond_broadcast(&names.changed);
    if (names.shut && !strcmp(host, "slow.test")) {
        names.hung++;
        SEAM_ADD(seam.lookups, -1);
        SEAM_ADD(seam.idle, 1);
        while (names.shut) pthread_cond_wait(&names.changed, &names.mutex);
    }
    names.inside--;
    int count = !strcmp(host, "many.test") ? NAMES_MANY : 1, status = names.status;
    pthread_mutex_unlock(&names.mutex);
    if (strcmp(host, "many.test") && strcmp(host, "slow.test")) {
        if (!status) return seam_getaddrinfo(host, service, hints, found);
        errno = EMFILE;
        return status;
    }
    struct names_list *list = (struct names_list *)calloc(1, sizeof *list);
    for (int i = 0; i < count; i++) {
        list->address[i].sin_family = AF_INET;
        list->address[i].sin_port = htons((uint16_t)atoi(service));
        list->address[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)i);
        list->info[i].ai_flags = NAMES_OURS;
        list->info[i].ai_family = AF_INET;
        list->info[i].ai_addr = (struct sockaddr *)&list->address[i];
        list->info[i].ai_addrlen = sizeof list->address[i];
        list->info[i].ai_next = i + 1 < count ? &list->info[i + 1] : NULL;
    }
    *found = list->info;
    return 0;
}

static void names_freeaddrinfo(struct addrinfo *found)
{
    if (found->ai_flags == NAMES_OURS) free(found);
    else seam_real.freeaddrinfo(found);
}

static void names_begin(bool shut)
{
    names.shut = shut;
    names.calls = names.most = 0;
    aio__os.getaddrinfo = names_getaddrinfo;
    aio__os.freeaddrinfo = names_freeaddrinfo;
}

static void names_release(void)
{
    pthread_mutex_lock(&names.mutex);
    names.shut = false;
    SEAM_ADD(seam.lookups, names.hung);
    SEAM_ADD(seam.idle, -names.hung);
    names.hung = 0;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.mutex);
}

static int names_inside(void)
{
    pthread_mutex_lock(&names.mutex);
    int inside = names.inside;
    pthread_mutex_unlock(&names.mutex);
    return inside;
}

/* As long as it takes: the watchdog knows when that is too long. */
static void names_until_inside(int count)
{
    pthread_mutex_lock(&names.mutex);
    while (names.inside < count) pthread_cond_wait(&names.changed, &names.mutex);
    pthread_mutex_unlock(&names.mutex);
}

/* Nothing is in the threads' queue any more; answers that the loop has not looked at may be. */
static void names_end(void)
{
    names_release();
    while (SEAM_GET(seam.threads) > 0) poll(NULL, 0, 1);
    names.status = 0;
    aio__os.getaddrinfo = seam_getaddrinfo;
}

struct names_numeric_thread { aio_task task; aio__lookup_future *lookup; };
SCENARIO(names_numeric_thread, .may = { AIO_ERESOLVE })
{
    AIO_BEGIN(names_numeric_thread);
    self->lookup = aio__resolve(aio_get_running_loop(), "::1", 80, 0, 0);
    AIO_AWAIT(aio_ref(self->lookup));
    CHECK_INT(self->lookup->result->count, 1);
    CHECK_INT(self->lookup->result->at[0].storage.ss_family, AF_INET6);
    CHECK_INT(((struct sockaddr_in6 *)(void *)&self->lookup->result->at[0].storage)->sin6_port, htons(80));
    CHECK_INT(self->lookup->result->at[0].length, sizeof(struct sockaddr_in6));
    if (!seam.fired) CHECK_INT(seam.calls[CALL_getaddrinfo], 0); /* an address needs no question */
    aio_unref(self->lookup);
    self->lookup = aio__resolve(aio_get_running_loop(), "127.1", 80, 0, 0); /* nor one for short a thread */
    AIO_AWAIT(aio_ref(self->lookup));
    CHECK_INT(self->lookup->result->at[0].storage.ss_family, AF_INET);
    if (!seam.fired) CHECK_INT(seam.calls[CALL_thread], 0);
    aio_unref(self->lookup);
    self->lookup = aio__resolve(aio_get_running_loop(), "localhost", 80, AF_INET, 0);
    AIO_AWAIT(aio_ref(self->lookup));
    CHECK(self->lookup->result->count >= 1);
    if (!seam.fired) CHECK_INT(seam.calls[CALL_thread], 1);
    AIO_FINALLY;
        aio_unref(self->lookup);
    AIO_END;
}

struct names_fail_thread { aio_task task; int i; };
SCENARIO(names_fail_thread)
{
    static const struct { int status, code; } cases[] = {
        { EAI_NONAME, AIO_ERESOLVE }, { EAI_AGAIN, AIO_ERESOLVE }, { EAI_SYSTEM, AIO_ERESOLVE }, { EAI_MEMORY, ENOMEM },
    };
    AIO_BEGIN(names_fail_thread);
    names_begin(false);
    for (self->i = 0; self->i < 4; self->i++) {
        names.status = cases[self->i].status;
        AIO_TRY {
            AIO_AWAIT(aio_open_connection("nowhere.test", 80));
            CHECK(false);
        } AIO_CATCH {
            CAUGHT(cases[self->i].code);
            int status = cases[self->i].status; /* the system's own words for it */
            char message[200];
            snprintf(message, sizeof message, "resolve nowhere.test: %s",
                     status == EAI_SYSTEM ? strerror(EMFILE) : gai_strerror(status));
            CHECK_STR(aio_caught(self)->message, status == EAI_MEMORY ? "out of memory" : message);
            if (self->i < 3) CHECK_STR(aio_caught(self)->phase, "resolve");
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        names_end();
    AIO_END;
}

struct names_many_thread { aio_task task; };
SCENARIO(names_many_thread, SERVER_MAY)
{
    AIO_BEGIN(names_many_thread);
    names_begin(false);
    AIO_TRY {
        AIO_AWAIT(aio_open_connection("many.test", dead_port));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(ECONNREFUSED);
        const char *message = aio_caught(self)->message;
        CHECK(strncmp(message, "connect to 127.0.0.1:", 21) == 0);
        CHECK(strstr(message, " (many.test): Connection refused; connect to 127.0.0.2:") != NULL);
        CHECK(strstr(message, " refused; and ") != NULL); /* what has no room is counted */
        CHECK_STR(message + strlen(message) - 5, " more");
    } AIO_END_TRY;
    AIO_FINALLY;
        names_end();
    AIO_END;
}

/* A lookup that hangs: a cancel is heard at once, and the answer that comes later is freed by its thread. */
struct names_hang_thread { aio_task task; aio_task *connect; double began; };
SCENARIO(names_hang_thread)
{
    AIO_BEGIN(names_hang_thread);
    names_begin(true);
    self->connect = (aio_task *)aio_create_task((aio_task *)aio_open_connection("slow.test", 80));
    REQUIRE(self->connect);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    names_until_inside(touched() ? names_inside() : 1);
    CHECK(!aio_future_done(self->connect));
    aio_task_cancel(self->connect);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_future_cancelled(self->connect));
    CHECK_INT(names_inside(), 1);
    AIO_FINALLY;
        if (self->connect) aio_task_cancel(self->connect);
        aio_unref(self->connect);
        names_end();
    AIO_END;
}

/* More lookups than threads: the others wait for their turn. */
struct names_queue_thread { aio_task task; aio__lookup_future *lookups[20]; int i; };
SCENARIO(names_queue_thread)
{
    AIO_BEGIN(names_queue_thread);
    names_begin(true);
    for (self->i = 0; self->i < 20; self->i++) {
        self->lookups[self->i] = aio__resolve(aio_get_running_loop(), "slow.test", 80, 0, 0);
        REQUIRE(self->lookups[self->i]);
    }
    if (!touched()) names_until_inside(AIO__LOOKUP_THREADS);
    CHECK_INT(names_inside(), AIO__LOOKUP_THREADS);
    aio_future_cancel(self->lookups[3]);   /* one that is being looked up */
    aio_future_cancel(self->lookups[19]);  /* and one in the queue */
    names_release();
    for (self->i = 0; self->i < 19; self->i++)
        if (self->i != 3) AIO_AWAIT(aio_ref(self->lookups[self->i]));
    CHECK_INT(names.most, AIO__LOOKUP_THREADS);
    CHECK_INT(names.calls, 19); /* the one that was cancelled in the queue was not */
    AIO_FINALLY;
        aio_unref_all(self->lookups, 20);
        names_end();
    AIO_END;
}

static int names_no_thread(pthread_t *id, void *(*run)(void *), void *arg)
{
    (void)id, (void)run, (void)arg;
    return EAGAIN;
}

struct names_no_thread_left { aio_task task; };
SCENARIO(names_no_thread_left)
{
    AIO_BEGIN(names_no_thread_left);
    aio__os.thread = names_no_thread;
    AIO_TRY {
        AIO_AWAIT(aio_open_connection("localhost", 80));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(EAGAIN);
        CHECK(strncmp(aio_caught(self)->message, "resolve localhost: no thread", 28) == 0);
    } AIO_END_TRY;
    AIO_FINALLY;
        aio__os.thread = seam_thread;
    AIO_END;
}

/* A loop that is closed while its lookups hang does not wait for them. */
TEST(names_loop_closed_thread)
{
    names_begin(true);
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio__lookup_future *lookups[10];
    for (int i = 0; i < 10; i++) CHECK((lookups[i] = aio__resolve(loop, "slow.test", 80, 0, 0)) != NULL);
    names_until_inside(AIO__LOOKUP_THREADS);
    aio_unref(lookups[0]); /* forgotten; the others are let die with the loop */
    aio_loop_free(loop);
    CHECK_INT(names_inside(), AIO__LOOKUP_THREADS);
    loop = aio_new_event_loop(); /* an answer that the loop has not looked at when it is closed */
    aio_set_event_loop(loop);
    names_release();
    aio__lookup_future *late = aio__resolve(loop, "slow.test", 80, 0, 0);
    CHECK(late != NULL);
    names_end();
    aio_loop_free(loop);
}

/* The same by the real clock: a lookup that hangs for ever delays neither a timeout, nor a cancel, nor the end of the
 * loop, nor that of the program. Else the alarm ends it. */
struct names_hang_program { aio_task task; aio_task *connect; int i; };
static AIO_CORO(names_hang_program)
{
    AIO_BEGIN(names_hang_program);
    for (self->i = 1; self->i <= 3; self->i++) {
        self->connect = (aio_task *)aio_create_task(aio_open_connection("slow.test", 80));
        AIO_AWAIT(aio_sleep(0));
        AIO_AWAIT(aio_sleep(0));
        names_until_inside(self->i);
        if (self->i == 3) AIO_RETURN(); /* aio_run cancels it */
        if (self->i == 2) aio_task_cancel(self->connect);
        AIO_TRY {
            AIO_TIMEOUT(0.1) AIO_AWAIT(aio_ref(self->connect));
            _exit(11);
        } AIO_CATCH_ALL {
            if (aio_caught(self)->code != (self->i == 2 ? AIO_ECANCELLED : AIO_ETIMEOUT)) _exit(12);
        } AIO_END_TRY;
        aio_unref(self->connect);
        self->connect = NULL;
    }
    AIO_FINALLY;
        aio_unref(self->connect);
    AIO_END;
}

TEST(names_hang_program_thread)
{
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        aio__os = seam_real;
        names_begin(true);
        alarm((unsigned)options.seconds);
        exit(aio_run(AIO_CALL(names_hang_program)));
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
}
