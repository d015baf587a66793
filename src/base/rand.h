// SPDX-License-Identifier: Apache-2.0
// The only way to random bytes.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Fills LEN bytes from the kernel's generator; good for keys. Ends the process if it has none.
void wz_rand_bytes(void *ret_bytes, size_t len);

// 64 random bits, from the same source.
uint64_t wz_rand_u64(void);
