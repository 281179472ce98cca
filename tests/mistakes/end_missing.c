/* AIO_END is left out, and another coroutine follows.
 * gcc: error: .AIO_END_is_missing. defined as wrong kind of tag
 * clang: error: use of 'AIO_END_is_missing' with tag type that does not match */
#include "../../aio.h"
struct wait { aio_task task; };
static AIO_CORO(wait)
{
    AIO_BEGIN(wait);
    AIO_AWAIT(aio_sleep(1));
}
struct other { aio_task task; };
static AIO_CORO(other)
{
    AIO_BEGIN(other);
    AIO_AWAIT(AIO_CALL(wait));
    AIO_END;
}
int main(void) { return aio_run(AIO_CALL(other)); }
