/* AIO_BEGIN is left out.
 * gcc: error: .AIO_BEGIN_is_missing. undeclared
 * clang: error: use of undeclared identifier 'AIO_BEGIN_is_missing' */
#include "../../aio.h"
struct wait { aio_task task; };
AIO_CORO(wait);
AIO_CORO(wait)
{
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}
