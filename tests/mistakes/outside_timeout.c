/* A coroutine's macro in a plain function.
 * gcc: error: .AIO_BEGIN_is_missing. undeclared
 * clang: error: use of undeclared identifier 'AIO_BEGIN_is_missing' */
#include "../../aio.h"
int nap(aio_stream *s);
int nap(aio_stream *s)
{
    aio_text line = { 0 };
    AIO_TIMEOUT(1) { }
    return s && line.length;
}
