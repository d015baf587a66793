// SPDX-License-Identifier: Apache-2.0
// How long a test waits for what has to come.
#pragma once

#include <stdlib.h>

// A minute, in microseconds: a machine may be busy. TEST_PATIENCE_S says otherwise, in seconds, for
// programs that were broken on purpose, where it will not come.
static inline long long patience_us(void)
{
    const char *seconds = getenv("TEST_PATIENCE_S");
    long said = seconds != NULL ? strtol(seconds, NULL, 10) : 0;

    return (long long)(said > 0 ? said : 60) * 1000000;
}
