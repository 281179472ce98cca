/* An await in a plain function.
 * gcc: error: .AIO_BEGIN_is_missing. undeclared
 * clang: error: use of undeclared identifier 'AIO_BEGIN_is_missing' */
#include "../../aio.h"
int nap(void);
int nap(void)
{
    AIO_AWAIT(aio_sleep(1));
    return 0;
}
