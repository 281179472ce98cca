/* A local with an initial value is lost at the await.
 * gcc, beside: warning: switch jumps over variable initialization
 * clang: warning: variable 'n' (may be|is used) uninitialized */
#include "../../aio.h"
int printf(const char *, ...);
struct keep { aio_task task; };
AIO_CORO(keep);
AIO_CORO(keep)
{
    AIO_BEGIN(keep);
    int n = 5;
    AIO_AWAIT(aio_sleep(1));
    printf("%d\n", n);
    AIO_END;
}
