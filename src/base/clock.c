// SPDX-License-Identifier: Apache-2.0
// Owns the calls to the system's clocks.
#include "base/clock.h"

#include <time.h>

int64_t wz_clock_wall_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts); // cannot fail for this clock and a valid pointer
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t wz_clock_mono_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); // as above
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
