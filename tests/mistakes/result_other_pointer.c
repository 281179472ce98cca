/* The result is a pointer to something else.
 * gcc: error: .*incompatible pointer type
 * clang: error: incompatible pointer types */
#include "../../aio.h"
struct find { aio_task task; int *result; };
AIO_CORO(find);
struct sum { aio_task task; char *text; };
AIO_CORO(sum);
AIO_CORO(sum)
{
    AIO_BEGIN(sum);
    AIO_AWAIT(self->text, AIO_CALL(find));
    AIO_END;
}
