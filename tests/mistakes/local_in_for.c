/* A loop's variable is lost at the await.
 * gcc, beside: warning: switch jumps over variable initialization
 * clang: warning: variable 'i' (may be|is used) uninitialized */
#include "../../aio.h"
int printf(const char *, ...);
struct count { aio_task task; };
AIO_CORO(count);
AIO_CORO(count)
{
    AIO_BEGIN(count);
    for (int i = 0; i < 3; i++) {
        AIO_AWAIT(aio_sleep(1));
        printf("%d\n", i);
    }
    AIO_END;
}
