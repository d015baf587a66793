// SPDX-License-Identifier: Apache-2.0
// What a process has used, as the system tells.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct wz_usage {
    int64_t cpu_us;       // user and system time
    int64_t memory_bytes; // resident
};

// Reads the usage of the process PID. WZ_ERR_NOT_FOUND when there is none (PID 0 included).
WZ_MUST int wz_usage_read(int pid, struct wz_usage *ret_usage);

// Whether the process PID has ended, or is about to: none of its code runs any more.
bool wz_usage_ends(int pid);
