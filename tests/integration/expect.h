/* What the programs that try the examples' clients expect: each that is not so is printed with its line, and counted.
 * EXPECT_CODE is for a handler, NOT_REACHED for behind what must raise. */
#ifndef INTEGRATION_EXPECT_H
#define INTEGRATION_EXPECT_H

#include <stdio.h>
#include <string.h>

static int failures;
#define EXPECT(condition) \
    do { if (!(condition)) { printf("line %d: %s\n", __LINE__, #condition); failures++; } } while (0)
#define NOT_REACHED() do { printf("line %d is reached\n", __LINE__); failures++; } while (0)
#define EXPECT_TEXT(got, wanted)                                                                        \
    do {                                                                                                \
        const char *text_ = (got);                                                                      \
        if (!text_ || strcmp(text_, (wanted))) {                                                        \
            printf("line %d: %s is %s, not %s\n", __LINE__, #got, text_ ? text_ : "NULL", (wanted));    \
            failures++;                                                                                 \
        }                                                                                               \
    } while (0)
#define EXPECT_CODE(wanted)                                                                             \
    do {                                                                                                \
        if (aio_caught(self)->code == ENOMEM) AIO_RERAISE(); /* which is never wanted */                \
        if (aio_caught(self)->code != (wanted)) {                                                       \
            printf("line %d: %d: %s\n", __LINE__, aio_caught(self)->code, aio_caught(self)->message);   \
            failures++;                                                                                 \
        }                                                                                               \
    } while (0)

#endif
