/* What coroutines.cpp is linked with. */
#define AIO_IMPLEMENTATION
#include "../../aio.h"
