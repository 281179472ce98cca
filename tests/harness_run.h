/* Runs the tests: which, each in a process of its own, several at a time, and what became of it. */
#include "harness_ways.h"

#include <sys/resource.h>

enum { JOBS_MAX = 64, SLOWEST = 10 };

static struct job { /* a place for a child */
    pid_t       child; /* 0: nobody */
    const test *t;
} child_of[JOBS_MAX];
static struct { const char *name; double seconds; } slowest[SLOWEST]; /* by processor time, the slowest first */
static struct shared *places; /* what the child in each place says of itself */

/* The ways of a test from `first` on, in a child. */
static void job_start(int place, const test *t, int first)
{
    with_parent = &places[place];
    with_parent->done = false;
    with_parent->way = first;
    child_of[place].t = t;
    fflush(stdout);
    child_of[place].child = fork();
    if (child_of[place].child > 0) return;
    if (child_of[place].child == 0) {
        signal(SIGINT, SIG_DFL); /* a shell's background jobs ignore it */
        run_ways(t, first);
        exit(0);
    }
    printf("not ok - %s: fork: %s\n", t->name, strerror(errno));
    with_parent->failed++;
    child_of[place].child = 0;
}

/* One of the slowest? */
static void job_took(const test *t, const struct rusage *usage)
{
    double seconds = (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec)
                     + (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
    int i = SLOWEST - 1;
    if (seconds <= slowest[i].seconds) return;
    for (; i > 0 && slowest[i - 1].seconds < seconds; i--) slowest[i] = slowest[i - 1];
    slowest[i].name = t->name;
    slowest[i].seconds = seconds;
}

/* A child has ended. Where it was ended by a way, the ways after that one follow in a new child. */
static void job_end(int place, int status)
{
    const struct shared *told = &places[place];
    const test *t = child_of[place].t;
    child_of[place].child = 0;
    if (told->done && status == 0) return;
    const char *name = ways[told->way].name;
    printf("not ok - %s %s: ", t->name, told->done ? "at its end" : name);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) printf("hangs (over %ld s)", options.seconds);
    else if (WIFSIGNALED(status)) printf("%s", strsignal(WTERMSIG(status)));
    else printf("exit status %d", WEXITSTATUS(status));
    printf("\n#   %s, alone: build/test --seed %llu --way %s --at %ld %s\n", t->file, (unsigned long long)options.seed,
           name, told->run, t->name);
    places[place].failed++;
    if (!told->done && told->way + 1 < WAYS) job_start(place, t, told->way + 1);
}

/* Waits until a place is free, and gives it; -1: nobody is left to wait for. */
static int job_place(int jobs, bool all)
{
    for (;;) {
        int status, free_place = -1, busy = 0;
        for (int i = 0; i < jobs; i++) {
            if (child_of[i].child) busy++;
            else free_place = i;
        }
        if (all ? !busy : free_place >= 0) return free_place;
        struct rusage usage;
        pid_t child = wait4(-1, &status, 0, &usage);
        for (int i = 0; child > 0 && i < jobs; i++) {
            if (child_of[i].child != child) continue;
            job_took(child_of[i].t, &usage);
            job_end(i, status);
        }
    }
}

/* For a test of the harness: runs a test as its own parent, counted in its own place. */
static void run_waiting(const test *t)
{
    memset(child_of, 0, sizeof child_of);
    job_start((int)(with_parent - places), t, 0);
    job_place(JOBS_MAX, true);
}

static bool selected(const test *t, char **names, int count)
{
    bool exact = false;
    for (int i = 0; i < count; i++) {
        exact = false;
        for (const test *other = tests; other; other = other->next) exact = exact || !strcmp(other->name, names[i]);
        if (exact ? !strcmp(t->name, names[i]) : strstr(t->name, names[i]) != NULL) return true;
    }
    return count == 0;
}

/* The options before the names; gives the index of the first name. */
static int read_options(int argc, char **argv, bool *list)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *name = argv[i];
        if (!strcmp(name, "--list")) *list = true;
        else if (!strcmp(name, "--torture")) options.torture = true;
        else if (!strcmp(name, "--here")) options.here = true;
        else if (++i == argc) return -1;
        else if (!strcmp(name, "--way")) options.way = argv[i];
        else if (!strcmp(name, "--at")) options.at = strtol(argv[i], NULL, 10);
        else if (!strcmp(name, "--seed")) options.seed = strtoull(argv[i], NULL, 10);
        else if (!strcmp(name, "--seconds")) options.seconds = strtol(argv[i], NULL, 10);
        else if (!strcmp(name, "--sample")) options.sample = strtol(argv[i], NULL, 10);
        else if (!strcmp(name, "--jobs")) options.jobs = strtol(argv[i], NULL, 10);
        else return -1;
    }
    if (options.sample < 0) options.sample = options.torture ? 0 : 40;
    if (options.jobs <= 0) options.jobs = 2 * sysconf(_SC_NPROCESSORS_ONLN); /* they wait, too */
    if (options.jobs < 1 || options.here) options.jobs = 1;
    if (options.jobs > JOBS_MAX) options.jobs = JOBS_MAX;
    return i;
}

static void run_one(const test *t)
{
    if (options.here) run_ways(t, 0);
    else job_start(job_place((int)options.jobs, false), t, 0);
}

static int harness_main(int argc, char **argv)
{
    bool list = false;
    int first = read_options(argc, argv, &list);
    const char *poller = getenv("AIO_POLLER");
    unsetenv("LD_PRELOAD"); /* valgrind: the ways say whether objects are allocations of their own */
    options.poller = poller && *poller ? poller : NULL;
    long count = 0, passed = 0, failed = 0;
    if (first < 0) {
        fprintf(stderr, "usage: %s [--list] [--torture] [--way NAME,...] [--at RUN] [--seed N] [--sample N] "
                "[--seconds N] [--jobs N] [--here] [NAME...]\n", argv[0]);
        return 2;
    }
    places = (struct shared *)mmap(NULL, JOBS_MAX * sizeof *places, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                                   -1, 0);
    with_parent = places;
    if (!port_hold(&dead_port, false)) {
        perror("a port to hold");
        return 2;
    }
    if (!list) printf("# seed %llu\n", (unsigned long long)options.seed);
    for (const test *t = tests; t; t = t->next) {
        if (!selected(t, argv + first, argc - first)) continue;
        count++;
        if (list) puts(t->name);
        else run_one(t);
    }
    job_place((int)options.jobs, true);
    if (list) return 0;
    if (!count) printf("# no such test\n");
    for (int i = 0; i < JOBS_MAX; i++) {
        passed += places[i].passed;
        failed += places[i].failed;
    }
    printf("# the most processor time:");
    for (int i = 0; i < SLOWEST && slowest[i].name; i++) printf(" %s %.1f s", slowest[i].name, slowest[i].seconds);
    printf("\n%ld passed, %ld failed\n", passed, failed);
    return failed || !passed;
}
