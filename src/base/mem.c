// SPDX-License-Identifier: Apache-2.0
// Owns nothing: a thin skin over malloc that never returns NULL.
#include "base/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

void *wz_alloc(size_t size)
{
    void *ptr = malloc(size > 0 ? size : 1);

    WZ_ASSERT(ptr != NULL);
    return ptr;
}

void *wz_alloc_aligned(size_t alignment, size_t size)
{
    void *ptr = NULL;

    WZ_ASSERT(posix_memalign(&ptr, alignment, size) == 0);
    return ptr;
}

void *wz_zalloc(size_t count, size_t size)
{
    void *ptr = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

    WZ_ASSERT(ptr != NULL);
    return ptr;
}

void *wz_realloc(void *ptr, size_t size)
{
    void *grown = realloc(ptr, size > 0 ? size : 1);

    WZ_ASSERT(grown != NULL);
    return grown;
}

char *wz_strndup(const void *bytes, size_t len)
{
    char *copy = wz_alloc(len + 1);

    if (len > 0)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

char *wz_strdup(const char *text) { return wz_strndup(text, strlen(text)); }

void wz_free(void *ptr) { free(ptr); }

void wz_free_ptr(void *ptr_to_ptr)
{
    void **ptr = ptr_to_ptr;

    free(*ptr);
    *ptr = NULL;
}

void wz_mem_give_back(void) { (void)malloc_trim(0); }
