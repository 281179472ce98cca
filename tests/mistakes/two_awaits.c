/* Two awaits on a line.
 * gcc: error: duplicate label .one_await_a_line_
 * clang: error: redefinition of label 'one_await_a_line_ */
#include "../../aio.h"
struct wait { aio_task task; };
AIO_CORO(wait);
AIO_CORO(wait)
{
    AIO_BEGIN(wait);
    AIO_AWAIT(aio_sleep(1)); AIO_AWAIT(aio_sleep(1));
    AIO_END;
}
