/* Response heads, strict and lax, whole and in pieces. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif
#include "http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_head_compare(data, size, false, false);
    fuzz_head_compare(data, size, false, true);
    return 0;
}
