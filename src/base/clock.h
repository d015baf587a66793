// SPDX-License-Identifier: Apache-2.0
// The only way to the time.
#pragma once

#include <stdint.h>

// Milliseconds since the epoch, UTC; jumps when somebody sets the clock.
int64_t wz_clock_wall_ms(void);

// Microseconds that never go backwards, from an arbitrary start.
int64_t wz_clock_mono_us(void);
