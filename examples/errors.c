/* errors: try, finally, cancel, timeout, and the traceback of an error that nobody catches. */
#define AIO_IMPLEMENTATION
#include "../aio.h"
#include <errno.h>
#include <stdio.h>

struct divide { aio_task task; int result; int a, b; };
static AIO_CORO(divide)
{
    AIO_BEGIN(divide);
    if (self->b == 0) AIO_RAISE(EDOM, "%d / %d: division by zero", self->a, self->b);
    AIO_RETURN(self->a / self->b);
    AIO_END;
}

struct patient { aio_task task; };
static AIO_CORO(patient)
{
    AIO_BEGIN(patient);
    AIO_AWAIT(aio_sleep(3600));
    AIO_FINALLY; /* runs on every way out, and may await */
        AIO_AWAIT(aio_sleep(0.01));
        puts("patient: cleaned up");
    AIO_END;
}

struct errors { aio_task task; int quotient; struct patient *waiting; };
static AIO_CORO(errors)
{
    AIO_BEGIN(errors);
    AIO_TRY {
        AIO_AWAIT(self->quotient, AIO_CALL(divide, .a = 7, .b = 0));
    } AIO_CATCH {
        printf("caught %s: %s\n", aio_code_name(aio_caught(self)->code), aio_caught(self)->message);
    } AIO_END_TRY;
    AIO_TRY {
        AIO_TIMEOUT(0.05) {
            AIO_AWAIT(AIO_CALL(patient));
        }
    } AIO_CATCH {
        printf("caught %s\n", aio_code_name(aio_caught(self)->code));
    } AIO_END_TRY;
    self->waiting = aio_create_task(AIO_CALL(patient));
    AIO_AWAIT(aio_sleep(0.01));
    aio_task_cancel(self->waiting);
    AIO_TRY {
        AIO_AWAIT(self->waiting);
    } AIO_CATCH_ALL { /* AIO_CATCH lets a cancellation pass */
        printf("caught %s\n", aio_code_name(aio_caught(self)->code));
    } AIO_END_TRY;
    AIO_AWAIT(self->quotient, AIO_CALL(divide, .a = 1, .b = 0)); /* ends aio_run, with a traceback */
    AIO_END;
}

int main(void) { return aio_run(AIO_CALL(errors)) == 1 ? 0 : 1; }
