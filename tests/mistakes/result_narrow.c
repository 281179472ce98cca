/* The result does not fit.
 * gcc -Wconversion: warning: conversion from .int. to .char. may change value
 * clang -Wconversion, beside: warning: implicit conversion loses integer precision */
#include "../../aio.h"
struct add { aio_task task; int result; };
AIO_CORO(add);
struct sum { aio_task task; char letter; };
AIO_CORO(sum);
AIO_CORO(sum)
{
    AIO_BEGIN(sum);
    AIO_AWAIT(self->letter, AIO_CALL(add));
    AIO_END;
}
