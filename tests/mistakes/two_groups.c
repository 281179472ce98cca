/* Two of a macro on a line.
 * gcc: error: duplicate label .one_AIO_TASK_GROUP_a_line_
 * clang: error: redefinition of label 'one_AIO_TASK_GROUP_a_line_ */
#include "../../aio.h"
struct wait { aio_task task; aio_stream *in; aio_text line; aio_task_group *group; };
AIO_CORO(wait);
AIO_CORO(wait)
{
    AIO_BEGIN(wait);
    AIO_TASK_GROUP(self->group) { AIO_TASK_GROUP(self->group) { } }
    AIO_END;
}
