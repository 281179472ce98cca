/* `return 7;` where AIO_RETURN is meant.
 * gcc: error: .*AIO_RETURN_is_missing
 * clang: error: .*AIO_RETURN_is_missing */
#include "../../aio.h"
struct add { aio_task task; int result; };
AIO_CORO(add);
AIO_CORO(add)
{
    AIO_BEGIN(add);
    AIO_AWAIT(aio_sleep(1));
    if (self->result == 3) return 7;
    AIO_END;
}
