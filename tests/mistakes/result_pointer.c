/* The result is an int, and what is to hold it a pointer.
 * gcc: error: .* makes pointer from integer
 * clang: error: incompatible integer to pointer conversion */
#include "../../aio.h"
struct add { aio_task task; int result; };
AIO_CORO(add);
struct sum { aio_task task; char *text; };
AIO_CORO(sum);
AIO_CORO(sum)
{
    AIO_BEGIN(sum);
    AIO_AWAIT(self->text, AIO_CALL(add));
    AIO_END;
}
