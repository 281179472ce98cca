/* How the tests are run: a run, the runs of a way, the ways of a test, the processes of all. Included by harness.h. */
enum { SEEDS = 4 };

/* ---- one run ---- */
static void count_future(void *object, void *arg)
{
    if (!(((aio_future *)object)->flags & (AIO__F_DEAD | AIO__F_STATIC))) ++*(int *)arg;
}

/* One iteration of a loop that lives inside another one, which knows only its descriptor and its timeout. */
static int iterate_embedded(aio_loop *loop)
{
    struct pollfd fds[2] = { { aio_loop_fileno(loop), POLLIN, 0 }, { -1, 0, 0 } }; /* two: it may have sockets */
    double timeout = aio_loop_timeout(loop);
    aio__running = loop; /* the time of the tests asks for its jobs */
    int wait = timeout < 0 ? -1 : aio__milliseconds((int64_t)(timeout * 1e9 + 0.5));
    aio__os.poll(fds, 1 + (loop->descriptor_count > 1), wait);
    aio__running = NULL;
    aio_loop_stop(loop); /* a pass may have many of them */
    int code = aio_loop_run_once(loop, 0);
    return code == AIO_ESTOPPED ? 0 : code;
}

/* Runs iterations of the loop, as aio_loop_run_forever does, until the task is done or stands at iteration `until`. */
static int iterate(aio_loop *loop, const aio_task *root, long *iteration, long until)
{
    int code = 0;
    bool embedded = now.w->kind == KIND_EMBED;
    if (!embedded) aio__run_begin(loop);
    for (; !code && *iteration != until && (root ? root->future.state < AIO__DONE : loop->task_count > 0); ++*iteration)
        code = embedded ? iterate_embedded(loop) : aio__run_once(loop, INT64_MAX);
    loop->running = loop->stopping = false;
    aio__running = NULL;
    return code;
}

/* Cancels what is left, waits for it and for jobs, lets callbacks run. A poller may fail once, too. */
static void tear_down(aio_loop *loop)
{
    long iteration = 0;
    for (int i = 0; i < 4 && loop->task_count; i++) {
        aio_task *left[64];
        size_t count = aio_all_tasks(left, 64);
        for (size_t k = 0; k < count && k < 64; k++) aio_task_cancel(left[k]);
        aio_unref_all(left, count < 64 ? count : 64);
        iterate(loop, NULL, &iteration, iteration + 100000);
    }
    aio_future *jobs_over = loop->executor ? aio_loop_shutdown_default_executor(loop) : NULL;
    if (jobs_over) aio__run_until_done(loop, jobs_over);
    aio_unref(jobs_over);
    for (int i = 0; i < 4; i++) {
        aio_loop_stop(loop);
        aio_loop_run_forever(loop);
    }
}

/* The scenario in a loop; gives its code, and its error as a new owner. */
static int run_scenario(aio_loop *loop, long cancel_at, bool again, aio_exception **error)
{
    long iteration = 0;
    aio_task *root = (aio_task *)aio_create_task((aio_task *)now.t->scenario());
    if (!root) return seam.touched ? seam.touched : errno;
    int code = iterate(loop, root, &iteration, cancel_at);
    for (int i = 0; i <= again && cancel_at >= 0 && !code && aio_task_cancel(root); i++) {
        now.cancelled = seam.fired = true;
        code = iterate(loop, root, &iteration, i < again ? iteration + 1 : -1);
    }
    if (!code) code = iterate(loop, root, &iteration, -1);
    now.iterations = iteration;
    tear_down(loop);
    if (root->future.error) {
        *error = aio_exception_ref(aio_future_exception(root));
        if (!code) code = (*error)->code;
    } else if (root->future.state < AIO__DONE) fail("the scenario does not end");
    aio_unref(root);
    return code;
}

/* Whether a scenario may end so. */
static bool permitted(int code, const aio_exception *error)
{
    if (code == 0) return true;
    if (!touched()) return false;
    if (code == seam.touched || (now.cancelled && code == AIO_ECANCELLED)) return true;
    for (size_t i = 0; i < sizeof now.t->may / sizeof *now.t->may; i++)
        if (code == now.t->may[i]) return true;
    bool all = code == AIO_EGROUP && error && error->member_count > 0;
    for (int i = 0; all && i < error->member_count; i++) all = permitted(error->members[i]->code, error->members[i]);
    return all;
}

static void run_in_loop(long cancel_at, bool again)
{
    aio_exception *error = NULL;
    int futures = 0;
    aio_loop *loop = seam.loop = aio_new_event_loop();
    int code = loop ? 0 : errno;
    if (loop) {
        aio_loop_set_exception_handler(loop, on_report, NULL);
        aio_set_event_loop(loop);
        code = run_scenario(loop, cancel_at, again, &error);
        aio__heap_each(&loop->frames, count_future, &futures);
        aio_loop_free(loop);
    }
    if (!permitted(code, error)) {
        fail("the scenario ended with %d (%s)", code, aio_code_name(code));
        if (now.failures <= MOST) aio_exception_print(error, stdout);
    }
    if (futures) fail("%d futures are left", futures);
    if (!touched() && now.reports) fail("the loop reported: %s", now.report);
    if (!touched() && now.wanted_report) fail("the loop did not report: %s", now.wanted_report);
    aio_exception_unref(error);
    seam.loop = NULL;
}

/* One run, number n. `arm` has set what is to happen in `seam`. */
static void run_test(long cancel_at, bool again)
{
    alarm((unsigned)options.seconds);
    with_parent->run = now.n;
    now.runs++;
    now.cancelled = false;
    if (now.t->skip & KIND_DEBUG) unsetenv("AIO_DEBUG");
    now.reports = 0;
    now.wanted_report = NULL;
    const char *poller = options.poller ? options.poller : now.w->poller;
    aio_set_event_loop_policy(poller ? aio_policy_find(poller) : NULL);
    int descriptors = seam_descriptors();
#ifndef AIO_NO_TLS
    ERR_clear_error();
#endif
    if (now.t->function) now.t->function();
    else run_in_loop(cancel_at, again);
    for (int i = 0; i < 1000 && SEAM_GET(seam.threads) > 0; i++) poll(NULL, 0, 1);
    aio_set_event_loop_policy(NULL);
    if (seam.threads) fail("%ld threads are left", seam.threads);
    if (seam.live) fail("%ld allocations are left", seam.live);
    if (seam.bad_close) fail("a descriptor was closed that was not open");
#ifndef AIO_NO_TLS
    if (seam.mistaken) fail("%s with an error of others in OpenSSL's queue", seam.mistaken);
    unsigned long error = seam_tls_left();
    if (error) fail("OpenSSL's queue has an error: %s", ERR_error_string(error, NULL));
#endif
    int left = seam_descriptors() - descriptors;
    if (left) fail("%d descriptors are left", left);
}

/* ---- the runs of a way ---- */
/* How many runs this way has, by what an untouched one counted. */
static long way_runs(const struct seam *counts)
{
    long total = 0;
    switch (now.w->kind) {
    case KIND_ALLOC: return counts->allocations;
    case KIND_CANCEL: return now.iterations;
    case KIND_CALL:
        for (int call = 0; call < CALLS; call++)
            for (int e = 0; seam_calls[call].errors[e]; e++) total += counts->calls[call];
        return total;
    case KIND_PLAIN: case KIND_EMBED: return 1;
    default: return now.w->variant == SLICE_ONE ? 1 : SEEDS;
    }
}

/* Says in `seam` which call fails in run n. */
static void way_arm_call(long n, const struct seam *counts)
{
    for (int call = 0; call < CALLS; call++)
        for (int e = 0; seam_calls[call].errors[e]; e++, n -= counts->calls[call]) {
            if (n >= counts->calls[call]) continue;
            seam.fail_call = call;
            seam.error = seam_calls[call].errors[e];
            seam.fail_at = n + 1;
            return;
        }
}

/* Run n; -1: the untouched one that counts. */
static void way_run(long n, const struct seam *counts)
{
    int kind = now.w->kind, variant = now.w->variant;
    seam_begin(kind == KIND_ALLOC || (kind == KIND_PLAIN && variant), options.seed + (uint64_t)n);
    now.n = n;
    if (kind == KIND_ALLOC) seam.fail_alloc = n + 1;
    if (kind == KIND_ALLOC) seam.fail_on = variant;
    if (kind == KIND_SLICE) seam.slice = variant;
    if (kind == KIND_SHUFFLE) seam.shuffle = true;
    if (kind == KIND_CALL && n >= 0) way_arm_call(n, counts);
    run_test(kind == KIND_CANCEL ? n : -1, kind == KIND_CANCEL && variant);
}

/* All of them, or a sample. With --torture it ends with a run that the fault no longer reached. */
static void way_runs_all(void)
{
    struct seam counts = { 0 };
    bool counted = now.w->kind & (KIND_ALLOC | KIND_CALL | KIND_CANCEL);
    if (counted) {
        way_run(-1, &counts);
        counts = seam;
    }
    if (now.failures) return;
    long total = way_runs(&counts);
    double step = !options.sample || total <= options.sample ? 1 : (double)total / (double)options.sample;
    if (options.at >= -1) {
        way_run(options.at, &counts);
        return;
    }
    for (double n = 0; n < (double)total && now.failures < MOST; n += step) way_run((long)n, &counts);
    bool on = options.torture && (now.w->kind & (KIND_ALLOC | KIND_CANCEL));
    for (long n = total; on && n < 2 * total + 100 && seam.fired && now.failures < MOST; n++) way_run(n, &counts);
}

/* --way NAME, or several with commas between them. */
static bool way_wanted(const char *name)
{
    size_t length = strlen(name);
    for (const char *at = options.way; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, name, length) && (at[length] == ',' || !at[length])) return true;
    return !options.way;
}

static bool way_applies(const test *t, const struct way *w)
{
    if (!way_wanted(w->name)) return false;
    if (t->function && w->kind != KIND_PLAIN) return false;
    if (w->poller && (!aio_policy_find(w->poller) || (options.poller && strcmp(options.poller, w->poller) != 0)))
        return false;
    if (t->skip & KIND_OWN && w->kind == KIND_PLAIN && w->variant) return false;
    return !(t->skip & w->kind);
}

static void run_ways(const test *t, int first)
{
    seam_install();
    for (int i = first; i < WAYS; i++) {
        if (!way_applies(t, &ways[i])) continue;
        memset(&now, 0, sizeof now);
        now.t = t;
        now.w = &ways[i];
        with_parent->way = i;
        way_runs_all();
        printf("%sok - %s %s", now.failures ? "not " : "", t->name, now.w->name);
        printf(now.runs > 1 ? ": %ld runs\n" : "\n", now.runs);
        fflush(stdout);
        ++*(now.failures ? &with_parent->failed : &with_parent->passed);
        if (t->skip & KIND_AGAIN) break;
    }
    alarm(0);
    with_parent->done = true;
}
