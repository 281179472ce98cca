/* The struct does not begin with the task.
 * gcc: error: size of array .struct_begins_with_aio_task. is negative
 * clang: error: 'struct_begins_with_aio_task' declared as an array with a negative size */
#include "../../aio.h"
struct late { int n; aio_task task; };
AIO_CORO(late);
AIO_CORO(late)
{
    AIO_BEGIN(late);
    AIO_AWAIT(aio_sleep(1));
    AIO_END;
}
