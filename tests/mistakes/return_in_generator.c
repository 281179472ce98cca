/* A generator returns a value, which would reach nobody.
 * gcc: error: size of array .a_generator_gives_its_values_by_AIO_YIELD. is negative
 * clang: error: 'a_generator_gives_its_values_by_AIO_YIELD' declared as an array with a negative size */
#include "../../aio.h"
struct numbers { aio_task task; int result; };
static AIO_CORO(numbers)
{
    AIO_BEGIN_GENERATOR(numbers);
    AIO_YIELD(1);
    AIO_RETURN(2);
    AIO_END;
}
void *make(void);
void *make(void) { return AIO_CALL(numbers); }
