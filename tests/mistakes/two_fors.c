/* Two of a macro on a line.
 * gcc: error: duplicate label .one_AIO_ASYNC_FOR_a_line_
 * clang: error: redefinition of label 'one_AIO_ASYNC_FOR_a_line_ */
#include "../../aio.h"
struct wait { aio_task task; aio_stream *in; aio_text line; aio_task_group *group; };
AIO_CORO(wait);
AIO_CORO(wait)
{
    AIO_BEGIN(wait);
    AIO_ASYNC_FOR(self->line, aio_stream_readline(self->in)) { } AIO_ASYNC_FOR(self->line, aio_stream_readline(self->in)) { }
    AIO_END;
}
