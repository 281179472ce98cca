/* The text of a .netrc: what is found in it lies within it. */
#ifndef FUZZ_REPLAY
#define AIO_IMPLEMENTATION
#include "../../aio.h"
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const hosts[] = { "a", "b.test", "" };
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        aio_text user, password;
        char *text = (char *)malloc(size ? size : 1);
        if (!text) abort();
        memcpy(text, data, size);
        if (aio__netrc_find(text, size, aio__text(hosts[i], strlen(hosts[i])), &user, &password)) {
            if (!user.length && !password.length) abort();
            if (user.length && (user.data < text || user.data + user.length > text + size)) abort();
            if (password.length && (password.data < text || password.data + password.length > text + size)) abort();
        }
        free(text);
    }
    return 0;
}
