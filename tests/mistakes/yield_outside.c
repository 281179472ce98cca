/* A yield in a function that does not begin at all.
 * gcc: error: .AIO_BEGIN_GENERATOR_is_missing. undeclared
 * clang: error: use of undeclared identifier 'AIO_BEGIN_GENERATOR_is_missing' */
#include "../../aio.h"
struct numbers { aio_task task; int result; };
static AIO_CORO(numbers)
{
    AIO_YIELD(1);
    AIO_END;
}
void *make(void);
void *make(void) { return AIO_CALL(numbers); }
