/* loadgen: asks a server for the same thing again and again, and says how long it took; loadgen --help lists its
 * options. With a rate, the times are those that a user would have waited, also while the server stood still. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
#include "histogram.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { HEADERS = 100, THREADS = 1024 };
static struct options {
    const char *url, *method, *body;
    const char *headers[2 * HEADERS + 1];
    int         connections, threads, header_count;
    double      duration, rate, timeout;
    bool        no_keep_alive, insecure, json;
} options = { NULL, "GET", NULL, { NULL }, 64, 1, 0, 10, 0, 30, false, false, false };

struct worker { /* a thread's */
    struct histogram times, uncorrected;
    uint64_t         done, bytes, bad, errors, timeouts, connects; /* done is read by the main thread, too */
    uint64_t         unsent;   /* was due, and the time was over before its turn came */
    double           connect_time;
    int              number, connections;
    double           began, ended;
    char             problem[200]; /* of its first error */
    aio_session     *session;
    aio_task_group  *group;
};

static volatile sig_atomic_t stopped;

static double now(void) { return aio_time(); }

static void count_up(uint64_t *counter) { __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED); }
static uint64_t seen(const uint64_t *counter) { return __atomic_load_n(counter, __ATOMIC_RELAXED); }

/* ---- one connection ---- */

struct connection {
    aio_task task; struct worker *worker;
    struct schedule schedule; double due, began;
    aio_session *session; aio_response *response; aio_text piece;
};

static void finished(struct connection *c)
{
    struct worker *w = c->worker;
    double at = now();
    histogram_add(&w->times, at - (options.rate > 0 ? c->due : c->began));
    histogram_add(&w->uncorrected, at - c->began);
    w->bytes += aio_response_bytes_received(c->response);
    w->bad += c->response->status >= 400;
    if (!c->response->times.reused) {
        w->connects++;
        w->connect_time += c->response->times.connect + c->response->times.tls;
    }
    count_up(&w->done);
}

static void failed(struct worker *w, const aio_exception *why)
{
    if (!w->problem[0]) snprintf(w->problem, sizeof w->problem, "%s", why->message);
    if (why->code == AIO_ETIMEOUT) w->timeouts++;
    count_up(&w->errors);
}

/* What is sent is Host and what the options say. */
static const char *const left_out[] = { "Accept", "Accept-Encoding", "User-Agent", NULL };

/* A sleep ends up to a millisecond late: the last one is spent in looking at the clock. */
static double nap(double left) { return left > 0.25 ? 0.25 : left > 0.002 ? left - 0.0015 : 0; }

static AIO_CORO(connection)
{
    AIO_BEGIN(connection);
    self->session = aio_session_open(.limit = 1, .headers = options.headers, .skip_auto_headers = left_out,
                                     .timeout = { .total = options.timeout }, .no_cookies = true,
                                     .no_auto_decompress = true, .force_close = options.no_keep_alive);
    if (!self->session) AIO_RAISE(errno, "no session: is a header invalid?");
    for (;;) {
        if (options.rate > 0) {
            self->due = schedule_next(&self->schedule);
            if (self->due >= self->worker->ended) AIO_RETURN();
            while (self->due > now() && !stopped) AIO_AWAIT(aio_sleep(nap(self->due - now())));
        }
        self->began = now();
        if (self->began >= self->worker->ended || stopped) {
            while (options.rate > 0 && self->due < self->worker->ended && !stopped) {
                self->worker->unsent++;
                self->due = schedule_next(&self->schedule);
            }
            AIO_RETURN();
        }
        AIO_TRY {
            AIO_AWAIT(self->response, aio_session_request(self->session, options.method, options.url,
                .file = options.body, .tls = { .verify = options.insecure ? AIO_VERIFY_NONE : AIO_VERIFY_FULL },
                .no_redirects = true));
            AIO_ASYNC_FOR(self->piece, aio_response_read_chunk(self->response)) { }
            finished(self);
        } AIO_CATCH {
            failed(self->worker, aio_caught(self));
            AIO_AWAIT(aio_sleep(0.01)); /* a server that is gone is not asked a million times */
        } AIO_END_TRY;
        aio_response_release(self->response);
        self->response = NULL;
    }
    AIO_FINALLY;
        aio_response_release(self->response);
        AIO_AWAIT(aio_session_close(self->session));
    AIO_END;
}

/* ---- one thread ---- */

/* Each connection's requests are as far from each other as the rate says, and lie evenly between those of others. */
static struct schedule schedule_of(const struct worker *w, int number)
{
    double interval = options.rate > 0 ? options.connections / options.rate : 0;
    double place = (number * options.threads + w->number) / (double)options.connections;
    struct schedule schedule = { w->began + interval * place, interval, 0 };
    return schedule;
}

struct work { aio_task task; struct worker *worker; int i; };
static AIO_CORO(work)
{
    AIO_BEGIN(work);
    AIO_TASK_GROUP(self->worker->group) {
        for (self->i = 0; self->i < self->worker->connections; self->i++) {
            if (!aio_task_group_create_task(self->worker->group,
                                            AIO_CALL(connection, .worker = self->worker,
                                                     .schedule = schedule_of(self->worker, self->i))))
                AIO_RAISE(ENOMEM);
        }
    }
    AIO_END;
}

static void *thread(void *arg)
{
    struct worker *w = (struct worker *)arg;
    w->began = now();
    w->ended = w->began + options.duration;
    int status = aio_run(AIO_CALL(work, .worker = w), .keep_sigint = true);
    w->ended = now();
    return status ? aio_job_raise(AIO_ERUNTIME, "a thread has failed") : NULL;
}

/* ---- all of them ---- */

static uint64_t all_done(const struct worker *workers)
{
    uint64_t done = 0;
    for (int i = 0; i < options.threads; i++) done += seen(&workers[i].done);
    return done;
}

struct show { aio_task task; struct worker *workers; double began; uint64_t before; };
static AIO_CORO(show)
{
    AIO_BEGIN(show);
    for (;;) {
        self->before = all_done(self->workers);
        AIO_AWAIT(aio_sleep(1));
        fprintf(stderr, "\r%4.0f s  %8llu a second  ", now() - self->began,
                (unsigned long long)(all_done(self->workers) - self->before));
    }
    AIO_END;
}

static const double percents[] = { 50, 75, 90, 99, 99.9, 99.99 };
enum { PERCENTS = sizeof percents / sizeof *percents };

static void print_times(const char *title, const struct histogram *h)
{
    printf("%s\n", title);
    for (int i = 0; i < PERCENTS; i++)
        printf("  %-5g %%   %10.3f ms\n", percents[i], 1e3 * histogram_percentile(h, percents[i]));
    printf("  longest   %10.3f ms\n", 1e-3 * (double)h->most);
    printf("  mean      %10.3f ms\n", h->total ? 1e-3 * h->sum / (double)h->total : 0);
}

static void print_text(const struct worker *all, double seconds)
{
    if (isatty(2)) fprintf(stderr, "\r%60s\r", "");
    printf("%d connections in %d threads, %.3f s: %s %s\n", options.connections, options.threads, seconds,
           options.method, options.url);
    printf("requests    %10llu   %.1f a second\n", (unsigned long long)all->done, (double)all->done / seconds);
    printf("received    %10.3f MB %.3f MB a second\n", (double)all->bytes / 1e6, (double)all->bytes / 1e6 / seconds);
    printf("connections %10llu   %.3f ms to make one\n", (unsigned long long)all->connects,
           all->connects ? 1e3 * all->connect_time / (double)all->connects : 0);
    if (all->bad) printf("status 4xx, 5xx %6llu\n", (unsigned long long)all->bad);
    if (all->errors) printf("errors      %10llu   the first: %s\n", (unsigned long long)all->errors, all->problem);
    if (all->unsent)
        printf("not sent    %10llu   were due: the server does not keep up with this rate\n",
               (unsigned long long)all->unsent);
    if (all->timeouts) printf("  timeouts  %10llu\n", (unsigned long long)all->timeouts);
    print_times(options.rate > 0 ? "times, from when each request should have gone out" : "times", &all->times);
    if (options.rate > 0) print_times("times, from when each did go out", &all->uncorrected);
}

static void write_times(aio_json_writer *json, const char *name, const struct histogram *h)
{
    char percent[16];
    aio_json_write_name(json, name);
    aio_json_write_object(json);
    for (int i = 0; i < PERCENTS; i++) {
        snprintf(percent, sizeof percent, "%g", percents[i]);
        aio_json_write_name(json, percent);
        aio_json_write_double(json, histogram_percentile(h, percents[i]));
    }
    aio_json_write_name(json, "max");
    aio_json_write_double(json, 1e-6 * (double)h->most);
    aio_json_write_name(json, "mean");
    aio_json_write_double(json, h->total ? 1e-6 * h->sum / (double)h->total : 0);
    aio_json_write_end(json);
}

static int print_json(const struct worker *all, double seconds)
{
    const struct { const char *name; uint64_t value; } counts[] = {
        { "connections", (uint64_t)options.connections }, { "threads", (uint64_t)options.threads },
        { "requests", all->done }, { "bytes", all->bytes }, { "connects", all->connects }, { "bad_statuses", all->bad },
        { "errors", all->errors }, { "timeouts", all->timeouts }, { "unsent", all->unsent }
    };
    aio_json_writer *json = aio_json_writer_open(.indent = 2);
    aio_text text;
    if (!json) return ENOMEM;
    aio_json_write_object(json);
    aio_json_write_name(json, "url");
    aio_json_write_string(json, options.url);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        aio_json_write_name(json, counts[i].name);
        aio_json_write_uint(json, counts[i].value);
    }
    aio_json_write_name(json, "seconds");
    aio_json_write_double(json, seconds);
    aio_json_write_name(json, "requests_per_second");
    aio_json_write_double(json, (double)all->done / seconds);
    write_times(json, "latency", &all->times);
    write_times(json, "latency_uncorrected", &all->uncorrected);
    aio_json_write_end(json);
    int code = aio_json_writer_finish(json, &text, NULL);
    if (!code) printf("%s\n", text.data);
    aio_text_clear(&text);
    return code;
}

/* The numbers of all threads in the first one's; gives how long they took. */
static double add_up(struct worker *workers)
{
    double seconds = workers->ended - workers->began;
    for (int i = 1; i < options.threads; i++) {
        const struct worker *w = &workers[i];
        histogram_merge(&workers->times, &w->times);
        histogram_merge(&workers->uncorrected, &w->uncorrected);
        workers->done += w->done;
        workers->bytes += w->bytes;
        workers->bad += w->bad;
        workers->errors += w->errors;
        workers->timeouts += w->timeouts;
        workers->unsent += w->unsent;
        workers->connects += w->connects;
        workers->connect_time += w->connect_time;
        if (w->ended - w->began > seconds) seconds = w->ended - w->began;
        if (!workers->problem[0]) memcpy(workers->problem, w->problem, sizeof w->problem);
    }
    return seconds;
}

static int print(struct worker *workers)
{
    double seconds = add_up(workers);
    if (options.json) return print_json(workers, seconds);
    print_text(workers, seconds);
    return 0;
}

/* Ctrl-C ends the measurement, whose result is shown all the same. */
struct measure { aio_task task; struct worker *workers; aio_job_future **threads; struct show *show; int i, failed; };
static void stop(void *arg) { (void)arg; stopped = 1; }
static AIO_CORO(measure)
{
    AIO_BEGIN(measure);
    self->workers = (struct worker *)calloc((size_t)options.threads, sizeof *self->workers);
    self->threads = (aio_job_future **)calloc((size_t)options.threads, sizeof *self->threads);
    if (!self->workers || !self->threads) AIO_RAISE(ENOMEM);
    aio_loop_add_signal_handler(aio_get_running_loop(), SIGINT, stop, NULL);
    if (aio_loop_set_default_executor(aio_get_running_loop(), aio_executor_open(.max_workers = options.threads)))
        AIO_RAISE(ENOMEM);
    for (self->i = 0; self->i < options.threads; self->i++) {
        struct worker *w = &self->workers[self->i];
        w->number = self->i;
        w->connections = options.connections / options.threads + (self->i < options.connections % options.threads);
        self->threads[self->i] = aio_to_thread(thread, w);
    }
    if (isatty(2)) self->show = aio_create_task(AIO_CALL(show, .workers = self->workers, .began = now()));
    AIO_AWAIT(aio_gather(self->threads, (size_t)options.threads, .return_exceptions = true));
    for (self->i = 0; self->i < options.threads; self->i++)
        if (aio_future_exception(self->threads[self->i]))
            AIO_RAISE_EXCEPTION(aio_future_exception(self->threads[self->i]));
    if (print(self->workers)) AIO_RAISE(ENOMEM);
    AIO_FINALLY;
        stopped = 1;
        if (self->show) aio_task_cancel(self->show);
        aio_unref(self->show);
        if (self->threads) aio_unref_all(self->threads, (size_t)options.threads);
        free(self->threads);
        free(self->workers);
    AIO_END;
}

/* ---- what is asked for ---- */

static const char usage[] =
    "usage: loadgen [OPTION...] URL\n"
    "  -c, --connections N    kept busy at once (64)\n"
    "  -t, --threads N        each with a loop and its part of the connections (1)\n"
    "  -d, --duration S       seconds (10)\n"
    "  -r, --rate N           requests a second in all; times then count from when each should have gone out\n"
    "  -m, --method NAME      (GET)\n"
    "  -b, --body FILE        what is sent with each\n"
    "  -H, --header \"Name: value\"\n"
    "      --timeout S        of a request (30)\n"
    "      --no-keep-alive    a connection for each request\n"
    "      --insecure         certificates are not verified\n"
    "      --json             the result as JSON\n";
static const char hint[] = "loadgen --help lists the options\n";

static int add_header(char *text)
{
    char *colon = strchr(text, ':');
    if (!colon || options.header_count == HEADERS) return -1;
    *colon++ = 0;
    options.headers[2 * options.header_count] = text;
    options.headers[2 * options.header_count++ + 1] = colon + strspn(colon, " ");
    return 0;
}

/* Takes an option; gives how many words it has, or 0 for what is none. */
static int read_option(char **words)
{
    static const struct {
        const char *brief, *name;
        int *number; double *real; const char **text; bool *flag;
        double least;
    } known[] = {
        { "-c", "--connections", &options.connections, NULL, NULL, NULL, 1 },
        { "-t", "--threads", &options.threads, NULL, NULL, NULL, 1 },
        { "-d", "--duration", NULL, &options.duration, NULL, NULL, 0.001 },
        { "-r", "--rate", NULL, &options.rate, NULL, NULL, 0.001 },
        { "-m", "--method", NULL, NULL, &options.method, NULL, 0 },
        { "-b", "--body", NULL, NULL, &options.body, NULL, 0 },
        { "-H", "--header", NULL, NULL, NULL, NULL, 0 },
        { "", "--timeout", NULL, &options.timeout, NULL, NULL, 0.001 },
        { "", "--no-keep-alive", NULL, NULL, NULL, &options.no_keep_alive, 0 },
        { "", "--insecure", NULL, NULL, NULL, &options.insecure, 0 },
        { "", "--json", NULL, NULL, NULL, &options.json, 0 }
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(words[0], known[i].brief) != 0 && strcmp(words[0], known[i].name) != 0) continue;
        if (known[i].flag) return *known[i].flag = true;
        if (!words[1]) return 0;
        if (known[i].text) *known[i].text = words[1];
        else if (!known[i].number && !known[i].real) return add_header(words[1]) ? 0 : 2;
        else {
            char *end;
            double value = strtod(words[1], &end);
            if (end == words[1] || *end || !(value >= known[i].least) || value > 1e9) return 0;
            if (known[i].number) *known[i].number = (int)value;
            else *known[i].real = value;
        }
        return 2;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) return fputs(usage, stdout) < 0;
    for (int i = 1, words; i < argc; i += words) {
        words = argv[i][0] == '-' ? read_option(argv + i) : 1;
        if (!words || (argv[i][0] != '-' && options.url)) {
            fprintf(stderr, "loadgen: %s %s: not understood\n%s", argv[i], argv[i + 1] ? argv[i + 1] : "", hint);
            return 2;
        }
        if (argv[i][0] != '-') options.url = argv[i];
    }
    if (!options.url || options.threads > options.connections || options.threads > THREADS) {
        fprintf(stderr, "loadgen: %s\n%s",
                options.url ? "too many threads: each needs a connection" : "a URL is missing", hint);
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    return aio_run(AIO_CALL(measure));
}
