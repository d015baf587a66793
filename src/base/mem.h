// SPDX-License-Identifier: Apache-2.0
// Allocation that cannot fail: it ends the process instead. So everything a peer can make grow is
// held under a named limit before it gets here.
#pragma once

#include <stddef.h>

// Runs FN(&variable) when the variable goes out of scope.
#define WZ_AUTO(fn) __attribute__((cleanup(fn)))

// SIZE bytes, not cleared; the caller owns them and gives them to wz_free.
void *wz_alloc(size_t size) __attribute__((malloc, returns_nonnull));

// SIZE bytes at an address that is a multiple of ALIGNMENT, a power of two of at least 8; for
// free().
void *wz_alloc_aligned(size_t alignment, size_t size) __attribute__((returns_nonnull));

// COUNT elements of SIZE bytes, cleared.
void *wz_zalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));

// Grows or shrinks; PTR may be NULL.
void *wz_realloc(void *ptr, size_t size) __attribute__((returns_nonnull));

// A copy of LEN bytes with a NUL behind them.
char *wz_strndup(const void *bytes, size_t len) __attribute__((returns_nonnull));

// A copy of a C string.
char *wz_strdup(const char *text) __attribute__((returns_nonnull));

// Frees what the functions above gave; NULL is fine.
void wz_free(void *ptr);

// For WZ_AUTO(wz_free_ptr) on a local pointer: frees what the pointer at PTR_TO_PTR points to.
void wz_free_ptr(void *ptr_to_ptr);

// Gives memory that is free back to the system. The allocations of all threads wait meanwhile: for
// when much was needed once, and nobody is served yet.
void wz_mem_give_back(void);
