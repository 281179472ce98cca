/* Two of a macro on a line.
 * gcc: error: duplicate label .one_AIO_TIMEOUT_a_line_
 * clang: error: redefinition of label 'one_AIO_TIMEOUT_a_line_ */
#include "../../aio.h"
struct wait { aio_task task; aio_stream *in; aio_text line; aio_task_group *group; };
AIO_CORO(wait);
AIO_CORO(wait)
{
    AIO_BEGIN(wait);
    AIO_TIMEOUT(1) { AIO_TIMEOUT(2) { } }
    AIO_END;
}
