// SPDX-License-Identifier: Apache-2.0
// The load generator's clock: one reading serves a whole batch of messages.

#ifndef WZ_BENCH_LOAD_CLOCK_H
#define WZ_BENCH_LOAD_CLOCK_H

#include <stdint.h>
#include <time.h>

// Nanoseconds of the monotonic clock. Never fails on Linux.
static inline uint64_t wz_clock_now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); // A valid clock id cannot be refused.
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif
