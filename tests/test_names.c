/* Names: lookups that fail, hang, are given up; through a getaddrinfo and a getnameinfo of our own. */
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

/* Any address: hangs while shut, then names.status, or a name and the port. */
static int names_getnameinfo(const struct sockaddr *address, socklen_t length, aio_nameinfo *found, int flags)
{
    if ((flags & NI_NUMERICHOST) && (flags & NI_NUMERICSERV)) {
        if (!names.status) return seam_getnameinfo(address, length, found, flags);
        errno = EMFILE;
        return names.status;
    }
    pthread_mutex_lock(&names.mutex);
    names.calls++;
    names.inside++;
    pthread_cond_broadcast(&names.changed);
    if (names.shut) {
        names.hung++;
        SEAM_ADD(seam.lookups, -1);
        SEAM_ADD(seam.idle, 1);
        while (names.shut) pthread_cond_wait(&names.changed, &names.mutex);
    }
    names.inside--;
    int status = names.status;
    pthread_mutex_unlock(&names.mutex);
    errno = EMFILE;
    if (status) return status;
    if (seam_fault(CALL_getnameinfo, -1)) return seam.error;
    strcpy(found->host, "name.test");
    snprintf(found->service, sizeof found->service, "%d",
             ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port));
    return 0;
}

static void names_begin(bool shut)
{
    names.shut = shut;
    names.calls = names.most = 0;
    aio__os.getaddrinfo = names_getaddrinfo;
    aio__os.freeaddrinfo = names_freeaddrinfo;
    aio__os.getnameinfo = names_getnameinfo;
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
    aio__os.getnameinfo = seam_getnameinfo;
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
    aio_unref(self->lookup);
    self->lookup = aio__resolve(aio_get_running_loop(), "127.0.0.2", 81, AF_INET, 0);
    AIO_AWAIT(aio_ref(self->lookup));
    CHECK_INT(self->lookup->result->count, 1);
    CHECK_INT(self->lookup->result->at[0].storage.ss_family, AF_INET);
    CHECK_INT(((struct sockaddr_in *)(void *)&self->lookup->result->at[0].storage)->sin_port, htons(81));
    CHECK_INT(((struct sockaddr_in *)(void *)&self->lookup->result->at[0].storage)->sin_addr.s_addr, htonl(0x7f000002));
    CHECK_INT(self->lookup->result->at[0].length, sizeof(struct sockaddr_in));
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
        { EAI_NONAME, AIO_ERESOLVE }, { EAI_AGAIN, AIO_ERESOLVE }, { EAI_SYSTEM, EMFILE }, { EAI_MEMORY, ENOMEM },
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

/* ---- aio_loop_getaddrinfo, aio_loop_getnameinfo ---- */

static bool names_is(const aio_addresses *found, size_t i, const char *text, int type, int proto)
{
    char shown[80];
    return CHECK_STR(aio_addresses_text(found, i, shown, sizeof shown), text)
        && CHECK_INT(aio_addresses_type(found, i), type) && CHECK_INT(aio_addresses_proto(found, i), proto);
}
#define NAMES_ASK(...) \
    aio_addresses_free(self->found), self->found = NULL; \
    AIO_AWAIT(self->found, aio_loop_getaddrinfo(aio_get_running_loop(), __VA_ARGS__))

/* What is numeric takes no thread, whatever it is asked for. */
struct names_asked_numbers { aio_task task; aio_addresses *found; };
SCENARIO(names_asked_numbers, .may = { AIO_ERESOLVE })
{
    AIO_BEGIN(names_asked_numbers);
    NAMES_ASK("127.0.0.1", 80);
    CHECK(aio_addresses_count(self->found) >= 2); /* a stream, datagrams, and glibc has raw ones */
    names_is(self->found, 0, "127.0.0.1:80", SOCK_STREAM, IPPROTO_TCP);
    names_is(self->found, 1, "127.0.0.1:80", SOCK_DGRAM, IPPROTO_UDP);
    CHECK(!aio_addresses_canonname(self->found) && !aio_addresses_canonname(NULL));
    CHECK_INT(aio_addresses_type(self->found, 99) + aio_addresses_proto(self->found, 99), 0);
    names_is(self->found, aio_addresses_count(self->found), "", 0, 0);
    CHECK_INT(aio_addresses_family(self->found, 0), AF_INET);
    CHECK_INT(aio_addresses_family(self->found, aio_addresses_count(self->found)), 0);
    size_t length;
    length = 1;
    CHECK_PTR(aio_addresses_sockaddr(self->found, aio_addresses_count(self->found), &length), NULL);
    CHECK_INT(length, 0);
    NAMES_ASK("::1", 0, .type = SOCK_DGRAM, .service = "53");
    CHECK_INT(aio_addresses_count(self->found), 1);
    names_is(self->found, 0, "[::1]:53", SOCK_DGRAM, IPPROTO_UDP);
    NAMES_ASK("127.0.0.1", 1, .proto = IPPROTO_TCP, .flags = AI_CANONNAME | AI_NUMERICHOST);
    CHECK_INT(aio_addresses_count(self->found), 1);
    names_is(self->found, 0, "127.0.0.1:1", SOCK_STREAM, IPPROTO_TCP);
    CHECK_STR(aio_addresses_canonname(self->found), "127.0.0.1");
    NAMES_ASK(NULL, 80, .family = AF_INET, .type = SOCK_STREAM, .flags = AI_PASSIVE);
    names_is(self->found, 0, "0.0.0.0:80", SOCK_STREAM, IPPROTO_TCP);
    NAMES_ASK(NULL, 80, .family = AF_INET6, .type = SOCK_STREAM);
    names_is(self->found, 0, "[::1]:80", SOCK_STREAM, IPPROTO_TCP);
    if (!seam.fired) CHECK_INT(seam.calls[CALL_thread], 0);
    AIO_FINALLY;
        aio_addresses_free(self->found);
    AIO_END;
}

struct names_asked_thread { aio_task task; aio_addresses *found; };
SCENARIO(names_asked_thread, .may = { AIO_ERESOLVE })
{
    AIO_BEGIN(names_asked_thread);
    NAMES_ASK("localhost", 80, .family = AF_INET, .type = SOCK_STREAM, .flags = AI_CANONNAME);
    names_is(self->found, 0, "127.0.0.1:80", SOCK_STREAM, IPPROTO_TCP);
    CHECK_STR(aio_addresses_canonname(self->found), "localhost");
    if (!seam.fired) CHECK_INT(seam.calls[CALL_thread], 1);
    if (getservbyname("https", "tcp")) { /* where the system knows services */
        NAMES_ASK("127.0.0.1", 0, .type = SOCK_STREAM, .service = "https");
        names_is(self->found, 0, "127.0.0.1:443", SOCK_STREAM, IPPROTO_TCP);
    }
    AIO_FINALLY;
        aio_addresses_free(self->found);
    AIO_END;
}

struct names_of_address_thread { aio_task task; aio_nameinfo names; struct sockaddr_in address; };
SCENARIO(names_of_address_thread, .may = { AIO_ERESOLVE })
{
    AIO_BEGIN(names_of_address_thread);
    names_begin(false);
    self->address.sin_family = AF_INET;
    self->address.sin_port = htons(80);
    self->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    AIO_AWAIT(self->names, aio_loop_getnameinfo(aio_get_running_loop(), &self->address, sizeof self->address,
                                                NI_NUMERICHOST | NI_NUMERICSERV));
    CHECK_STR(self->names.host, "127.0.0.1");
    CHECK_STR(self->names.service, "80");
    if (!seam.fired) CHECK_INT(seam.calls[CALL_thread], 0);
    AIO_AWAIT(self->names, aio_loop_getnameinfo(aio_get_running_loop(), &self->address, sizeof self->address,
                                                NI_NUMERICSERV)); /* half of it is no number */
    CHECK_STR(self->names.host, "name.test");
    CHECK_STR(self->names.service, "80");
    if (!seam.fired) CHECK_INT(seam.calls[CALL_thread], 1);
    AIO_FINALLY;
        names_end();
    AIO_END;
}

/* libc's own: a number for what has no name, which NI_NAMEREQD refuses; a family that it does not know. */
struct names_of_nobody_thread { aio_task task; aio_nameinfo names; struct sockaddr_in6 address; };
SCENARIO(names_of_nobody_thread, .may = { AIO_ERESOLVE })
{
    AIO_BEGIN(names_of_nobody_thread);
    self->address.sin6_family = AF_INET6;
    self->address.sin6_port = htons(65000);
    self->address.sin6_addr.s6_addr[15] = 1;
    AIO_AWAIT(self->names, aio_loop_getnameinfo(aio_get_running_loop(), &self->address, sizeof self->address,
                                                NI_NUMERICHOST | NI_DGRAM));
    CHECK_STR(self->names.host, "::1");
    CHECK_STR(self->names.service, "65000");
    AIO_TRY {
        AIO_AWAIT(aio_loop_getnameinfo(aio_get_running_loop(), &self->address, sizeof self->address,
                                       NI_NUMERICHOST | NI_NUMERICSERV | NI_NAMEREQD));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ERESOLVE);
        CHECK(strncmp(aio_caught(self)->message, "resolve [::1]:65000: ", 21) == 0);
        CHECK_STR(aio_caught(self)->phase, "resolve");
    } AIO_END_TRY;
    self->address.sin6_family = 250;
    AIO_TRY {
        AIO_AWAIT(aio_loop_getnameinfo(aio_get_running_loop(), &self->address, sizeof self->address, 0));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ERESOLVE);
    } AIO_END_TRY;
    AIO_END;
}

/* Each in both: libc fails; as told by name. */
struct names_asked_fail_thread { aio_task task; struct sockaddr_in address; int i; };
SCENARIO(names_asked_fail_thread)
{
    static const int statuses[] = { EAI_NONAME, EAI_AGAIN, EAI_SYSTEM, EAI_MEMORY };
    AIO_BEGIN(names_asked_fail_thread);
    names_begin(false);
    self->address.sin_family = AF_INET;
    self->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (self->i = 0; self->i < 12; self->i++) {
        names.status = statuses[self->i % 4];
        AIO_TRY {
            if (self->i < 4) AIO_AWAIT(aio_loop_getaddrinfo(aio_get_running_loop(), "nowhere.test", 0, .service = "x"));
            else AIO_AWAIT(aio_loop_getnameinfo(aio_get_running_loop(), &self->address, sizeof self->address,
                                                self->i < 8 ? 0 : NI_NUMERICHOST | NI_NUMERICSERV));
            CHECK(false);
        } AIO_CATCH {
            int status = statuses[self->i % 4];
            char message[200];
            CAUGHT(status == EAI_MEMORY ? ENOMEM : status == EAI_SYSTEM ? EMFILE : AIO_ERESOLVE);
            snprintf(message, sizeof message, "resolve %s: %s", self->i < 4 ? "nowhere.test (x)" : "127.0.0.1:0",
                     status == EAI_SYSTEM ? strerror(EMFILE) : gai_strerror(status));
            CHECK_STR(aio_caught(self)->message, status == EAI_MEMORY ? "out of memory" : message);
        } AIO_END_TRY;
    }
    AIO_FINALLY;
        names_end();
    AIO_END;
}

/* A getnameinfo that hangs: timed, cancelled, and let die with its loop; what comes late goes nowhere. */
struct names_asked_hang_thread { aio_task task; aio_task *asking; struct sockaddr_in address; };
SCENARIO(names_asked_hang_thread)
{
    AIO_BEGIN(names_asked_hang_thread);
    names_begin(true);
    self->address.sin_family = AF_INET;
    AIO_TRY {
        AIO_TIMEOUT(2)
            AIO_AWAIT(aio_loop_getnameinfo(aio_get_running_loop(), &self->address, sizeof self->address, 0));
        CHECK(false);
    } AIO_CATCH {
        CAUGHT(AIO_ETIMEOUT);
    } AIO_END_TRY;
    self->asking = (aio_task *)aio_create_task(
        aio_loop_getnameinfo(aio_get_running_loop(), &self->address, sizeof self->address, 0));
    REQUIRE(self->asking);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK(!aio_future_done(self->asking));
    aio_task_cancel(self->asking);
    AIO_AWAIT(aio_sleep(0));
    AIO_AWAIT(aio_sleep(0));
    CHECK(aio_future_cancelled(self->asking));
    AIO_FINALLY;
        if (self->asking) aio_task_cancel(self->asking);
        aio_unref(self->asking);
        names_end();
    AIO_END;
}

TEST(names_asked_loop_closed_thread)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    names_begin(true);
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
    aio_nameinfo found;
    aio__address of = { .length = sizeof address };
    memcpy(&of.storage, &address, sizeof address);
    memset(&found, '-', sizeof found);
    CHECK(aio__lookup_names(loop, &of, 0, &found) != NULL);
    names_until_inside(1);
    aio_loop_free(loop);
    names_end();
    CHECK_INT(found.host[0], '-');
}

static int names_refused(aio_loop *loop, void *awaitable, int code, const char *why)
{
    const aio_exception *error = awaitable && aio_future_done(awaitable) ? aio_future_exception(awaitable) : NULL;
    int ok = CHECK(error) && CHECK_INT(error->code, code) && CHECK(strstr(error->message, why));
    (void)loop;
    aio_unref(awaitable);
    return ok;
}

static void *names_elsewhere(void *arg)
{
    aio_loop *loop = (aio_loop *)arg, *own = aio_new_event_loop();
    aio_set_event_loop(own);
    names_refused(own, aio_loop_getaddrinfo(loop, "127.0.0.1", 80), AIO_EWRONGTHREAD, "");
    names_refused(own, aio_loop_getnameinfo(loop, &names, 16, 0), AIO_EWRONGTHREAD, "");
    aio_loop_free(own);
    return NULL;
}

struct names_elsewhere_run { aio_task task; };
static AIO_CORO(names_elsewhere_run)
{
    AIO_BEGIN(names_elsewhere_run);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, names_elsewhere, aio_get_running_loop()) == 0);
    pthread_join(thread, NULL);
    AIO_END;
}

TEST(names_asked_refused_thread)
{
    char name[300];
    memset(name, 'a', sizeof name);
    name[256] = 0;
    aio_loop *loop = aio_new_event_loop();
    aio_set_event_loop(loop);
#define REFUSED(code, why, ...) names_refused(loop, aio_loop_getaddrinfo(__VA_ARGS__), (code), (why))
    REFUSED(EINVAL, "the port is not in 0..65535", loop, "a.test", 65536);
    REFUSED(EINVAL, "the port is not in 0..65535", loop, "a.test", -1);
    REFUSED(EINVAL, "too long", loop, name, 1);
    REFUSED(EINVAL, "there is no host", loop, "", 80);
    REFUSED(EINVAL, "it is a URL", loop, "http://a.test/", 1);
    REFUSED(EINVAL, "a port and a service", loop, "a.test", 1, .service = "http");
    REFUSED(EINVAL, "empty or too long", loop, "a.test", 0, .service = "");
    name[32] = 0;
    REFUSED(EINVAL, "empty or too long", loop, "a.test", 0, .service = name);
    REFUSED(AIO_ENOLOOP, "", NULL, "a.test", 1);
#undef REFUSED
    names_refused(loop, aio_loop_getnameinfo(loop, NULL, 16, 0), EINVAL, "no address");
    names_refused(loop, aio_loop_getnameinfo(loop, name, 0, 0), EINVAL, "no address");
    names_refused(loop, aio_loop_getnameinfo(loop, name, sizeof(struct sockaddr_storage) + 1, 0), EINVAL, "no address");
    names_refused(loop, aio_loop_getnameinfo(NULL, name, 16, 0), AIO_ENOLOOP, "");
    CHECK_INT(aio_loop_run_until_complete(loop, AIO_CALL(names_elsewhere_run), NULL), 0);
    aio_loop_free(loop);
}
