/* `return;` where AIO_RETURN is meant.
 * gcc: error: .return. with no value
 * clang: error: non-void function 'add_coro' should return a value */
#include "../../aio.h"
struct add { aio_task task; int result; };
AIO_CORO(add);
AIO_CORO(add)
{
    AIO_BEGIN(add);
    AIO_AWAIT(aio_sleep(1));
    if (self->result == 3) return;
    AIO_END;
}
