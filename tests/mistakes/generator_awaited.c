/* A generator is awaited as a coroutine is.
 * run -fsanitize=address: RuntimeError: a generator was awaited: AIO_ASYNC_FOR or aio_anext drives it */
#define AIO_STATIC
#define AIO_IMPLEMENTATION
#define AIO_NO_TLS
#include "../../aio.h"
struct numbers { aio_task task; int result; };
static AIO_CORO(numbers)
{
    AIO_BEGIN_GENERATOR(numbers);
    AIO_YIELD(1);
    AIO_END;
}
struct first { aio_task task; int number; };
static AIO_CORO(first)
{
    AIO_BEGIN(first);
    AIO_AWAIT(self->number, AIO_CALL(numbers));
    AIO_END;
}
int main(void) { return aio_run(AIO_CALL(first)); }
