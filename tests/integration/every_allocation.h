/* Each allocation of an operation of an example's client fails once, those of aio.h and those of the client by turns:
 * ENOMEM is raised, or nobody has noticed. Then the client is as well as before: it gets its own answers, and when it
 * is closed, all of its blocks are given back, none with the password in it. Included between aio.h and the client's
 * header, whose allocations it takes over. */
#ifndef INTEGRATION_EVERY_ALLOCATION_H
#define INTEGRATION_EVERY_ALLOCATION_H

#include <errno.h>
#include <strings.h>
#include <unistd.h>
#include "expect.h"
#include "every_await.h"

#define malloc(size)           memory_take((size), MEMORY_CLIENT)
#define calloc(count, size)    memory_take_zeroed((count), (size), MEMORY_CLIENT)
#define realloc(pointer, size) memory_retake((pointer), (size), MEMORY_CLIENT)
#define free(pointer)          memory_give((pointer), MEMORY_CLIENT)

/* True when the operation has made fewer than n allocations. */
static bool allocation_failed(aio_loop *loop, const relay_subject *subject, const char *at, const await_case *one,
                              int whose, long n, bool warm)
{
    long before = memory_.blocks[MEMORY_CLIENT];
    void *client = subject->open(at);
    if (warm) await_well(loop, subject->session(client, (int)n), one, (int)n);
    aio_exception *error = NULL;
    aio_task *task = (aio_task *)aio_loop_create_task(loop, (aio_task *)one->operation(client, (int)n));
    memory_.failed = 0;
    memory_.left[whose] = n;
    while (!aio_future_done(task)) aio_loop_run_once(loop, 1);
    bool failed = memory_.failed;
    memory_.left[whose] = 0;
    int code = aio_loop_run_until_complete(loop, aio_ref(task), &error);
    aio_unref(task);
    if (code && (!failed || code != ENOMEM || !error || !*error->message)) {
        printf("%s, %s's allocation %ld: %d %s\n", one->name, whose == MEMORY_LOOP ? "the loop" : "the client", n, code,
               error ? error->message : "");
        failures++;
    }
    aio_exception_unref(error);
    await_well(loop, subject->session(client, 100000 + (int)n), one, (int)n);
    subject->close(client);
    for (int i = 0; i < 400 && memory_.blocks[MEMORY_CLIENT] != before; i++) aio_loop_run_once(loop, 0.01);
    if (memory_.blocks[MEMORY_CLIENT] != before) {
        printf("%s, allocation %ld: %ld blocks are not given back\n", one->name, n,
               memory_.blocks[MEMORY_CLIENT] - before);
        failures++;
    }
    if (memory_.spilled[MEMORY_LOOP] || memory_.spilled[MEMORY_CLIENT]) {
        printf("%s, allocation %ld: the password is in %d blocks of the loop's and %d of the client's\n", one->name, n,
               memory_.spilled[MEMORY_LOOP], memory_.spilled[MEMORY_CLIENT]);
        failures++;
    }
    memory_.spilled[MEMORY_LOOP] = memory_.spilled[MEMORY_CLIENT] = 0;
    return !failed;
}

/* Prints how many allocations each makes. The password is $SECRET, if there is one. */
static int every_allocation(const relay_subject *subject, const char *at, const await_case *cases, size_t count)
{
    long context = memory_.blocks[MEMORY_LOOP]; /* of TLS, which is ended after this */
    aio_loop *loop = aio_new_event_loop();
    if (!loop) return 1;
    memory_.secret = getenv("SECRET");
    aio_set_event_loop(loop);
    for (size_t i = 0; i < 4 * count && failures < 5; i++) {
        long n = 1;
        while (n < 5000 && failures < 5
               && !allocation_failed(loop, subject, at, &cases[i / 4], (int)(i / 2 % 2), n, i % 2)) n++;
        printf("%s%s: %ld allocations of %s\n", cases[i / 4].name, i % 2 ? ", connected" : "", n,
               i / 2 % 2 == MEMORY_LOOP ? "the loop" : "the client");
    }
    aio_set_event_loop(NULL);
    aio_loop_free(loop);
    EXPECT(!memory_.blocks[MEMORY_CLIENT] && (context || !memory_.blocks[MEMORY_LOOP]));
    return failures != 0;
}

#endif
