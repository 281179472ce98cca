/* A local that was assigned is lost at the await.
 * gcc -O2 -Wall: warning: .n. (may be|is) used uninitialized
 * clang: warning: variable 'n' (may be|is used) uninitialized */
#include "../../aio.h"
int printf(const char *, ...);
struct keep { aio_task task; int start; };
AIO_CORO(keep);
AIO_CORO(keep)
{
    int n;
    AIO_BEGIN(keep);
    n = self->start;
    AIO_AWAIT(aio_sleep(1));
    printf("%d\n", n);
    AIO_END;
}
