/* What AIO_ASYNC_FOR is to give is of another type.
 * gcc: error: incompatible types when assigning
 * clang: error: assigning to 'char \*' from incompatible type */
#include "../../aio.h"
struct lines { aio_task task; char *line; aio_stream *in; };
AIO_CORO(lines);
AIO_CORO(lines)
{
    AIO_BEGIN(lines);
    AIO_ASYNC_FOR(self->line, aio_stream_readline(self->in)) { }
    AIO_END;
}
