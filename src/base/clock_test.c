// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static void test_clock_wall_is_the_systems_time_in_milliseconds(void **state)
{
    time_t before = time(NULL);
    int64_t now_ms = wz_clock_wall_ms();
    time_t after = time(NULL);

    (void)state;
    assert_true(now_ms >= ((int64_t)before - 1) * 1000); // time() may lag by a tick
    assert_true(now_ms < ((int64_t)after + 2) * 1000);
}

static void test_clock_mono_counts_microseconds_and_never_goes_back(void **state)
{
    const struct timespec pause = {.tv_nsec = 3000000};
    int64_t start_us = wz_clock_mono_us();
    int64_t before_us = start_us;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        int64_t now_us = wz_clock_mono_us();

        assert_true(now_us >= before_us);
        before_us = now_us;
    }
    start_us = wz_clock_mono_us();
    assert_int_equal(nanosleep(&pause, NULL), 0);
    assert_true(wz_clock_mono_us() - start_us >= 3000);
    assert_true(wz_clock_mono_us() - start_us < 3000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_wall_is_the_systems_time_in_milliseconds),
        cmocka_unit_test(test_clock_mono_counts_microseconds_and_never_goes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
