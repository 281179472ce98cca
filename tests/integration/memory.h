/* Allocations that fail, one after the other: to be included before aio.h, which then allocates here. Each block is
 * watched: what was written behind it, or is not given back, is found; and so is a secret in what is given back. */
#ifndef INTEGRATION_MEMORY_H
#define INTEGRATION_MEMORY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* which aio.h would have defined */
#endif
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_LOOP, MEMORY_CLIENT, MEMORY_BEFORE = 32, MEMORY_BEHIND = 32 };
static struct {
    long left[2];   /* allocations of aio.h's, and of the client's, until one fails; 0: none does */
    int  failed;
    long blocks[2]; /* that there are now; threads take and give them, too */
    const char *secret; /* NULL: none */
    int  spilled[2];    /* blocks that had it when they were given back */
} memory_;

static void memory_stop(const char *why)
{
    fprintf(stderr, "memory: %s\n", why);
    abort();
}

static bool memory_fails(int whose)
{
    if (__atomic_load_n(&memory_.left[whose], __ATOMIC_RELAXED) <= 0) return false;
    if (__atomic_sub_fetch(&memory_.left[whose], 1, __ATOMIC_RELAXED)) return false;
    memory_.failed++;
    return true;
}

static void *memory_take(size_t size, int whose)
{
    char *block = size > SIZE_MAX / 2 || memory_fails(whose) ? NULL
        : (char *)malloc(MEMORY_BEFORE + size + MEMORY_BEHIND);
    if (!block) return NULL;
    memcpy(block, &size, sizeof size);
    memcpy(block + sizeof size, &whose, sizeof whose);
    memset(block + MEMORY_BEFORE, 0xcd, size);
    memset(block + MEMORY_BEFORE + size, 0xa5, MEMORY_BEHIND);
    __atomic_add_fetch(&memory_.blocks[whose], 1, __ATOMIC_RELAXED);
    return block + MEMORY_BEFORE;
}

static void *memory_take_zeroed(size_t count, size_t size, int whose)
{
    void *block = memory_take(count * size, whose);
    return block ? memset(block, 0, count * size) : NULL;
}

static void memory_give(void *pointer, int whose)
{
    char *block = (char *)pointer - MEMORY_BEFORE;
    size_t size;
    int owner;
    if (!pointer) return;
    memcpy(&size, block, sizeof size);
    memcpy(&owner, block + sizeof size, sizeof owner);
    if (owner != whose) memory_stop("a block is given back to another than it came from, or twice");
    for (size_t i = 0; i < MEMORY_BEHIND; i++)
        if (block[MEMORY_BEFORE + size + i] != (char)0xa5) memory_stop("there was written behind a block");
    if (memory_.secret && memmem(block + MEMORY_BEFORE, size, memory_.secret, strlen(memory_.secret)))
        __atomic_add_fetch(&memory_.spilled[whose], 1, __ATOMIC_RELAXED);
    memset(block, 0xdd, MEMORY_BEFORE + size);
    __atomic_sub_fetch(&memory_.blocks[whose], 1, __ATOMIC_RELAXED);
    free(block);
}

static void *memory_retake(void *pointer, size_t size, int whose)
{
    size_t before = 0;
    void *block = memory_take(size, whose);
    if (!block || !pointer) return block;
    memcpy(&before, (char *)pointer - MEMORY_BEFORE, sizeof before);
    memcpy(block, pointer, before < size ? before : size);
    memory_give(pointer, whose);
    return block;
}

#define AIO_MALLOC(size)           memory_take((size), MEMORY_LOOP)
#define AIO_REALLOC(pointer, size) memory_retake((pointer), (size), MEMORY_LOOP)
#define AIO_FREE(pointer)          memory_give((pointer), MEMORY_LOOP)

#endif
