/* Two of a macro on a line.
 * gcc: error: duplicate label .one_AIO_TRY_a_line_
 * clang: error: redefinition of label 'one_AIO_TRY_a_line_ */
#include "../../aio.h"
struct wait { aio_task task; aio_stream *in; aio_text line; aio_task_group *group; };
AIO_CORO(wait);
AIO_CORO(wait)
{
    AIO_BEGIN(wait);
    AIO_TRY { AIO_TRY { AIO_RAISE(5); } AIO_CATCH { } AIO_END_TRY; } AIO_CATCH { } AIO_END_TRY;
    AIO_END;
}
