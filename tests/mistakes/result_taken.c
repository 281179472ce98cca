/* A task that an await has taken is read.
 * run -fsanitize=address: heap-use-after-free
 * run AIO_DEBUG=1 -fsanitize=address: use-after-poison
 * run valgrind: Invalid read of size 4 */
#define AIO_STATIC
#define AIO_IMPLEMENTATION
#define AIO_NO_TLS
#include "../../aio.h"
#include <stdio.h>
struct add { aio_task task; int result; };
static AIO_CORO(add)
{
    AIO_BEGIN(add);
    AIO_RETURN(3);
    AIO_END;
}
struct sum { aio_task task; struct add *add; };
static AIO_CORO(sum)
{
    AIO_BEGIN(sum);
    self->add = aio_create_task(AIO_CALL(add));
    AIO_AWAIT(self->add);
    printf("%d\n", self->add->result);
    AIO_END;
}
int main(void) { return aio_run(AIO_CALL(sum)); }
