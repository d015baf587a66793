// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/usage.h"

// What a byte of memory takes at the most: a sanitizer keeps shadows of it.
#if defined(__SANITIZE_THREAD__)
#define TIMES 16
#elif defined(__has_feature)
#define TIMES (__has_feature(thread_sanitizer) ? 16 : 4)
#else
#define TIMES 4
#endif

static void test_usage_tells_time_and_memory_of_a_process(void **state)
{
    size_t len = (size_t)32 << 20;
    struct wz_usage before;
    struct wz_usage after;
    int64_t end_us = wz_clock_mono_us() + 5000000;
    char *bytes;

    (void)state;
    assert_int_equal(prctl(PR_SET_NAME, "a) R 1 (b", 0, 0, 0), 0); // the name may hold anything
    assert_int_equal(wz_usage_read(getpid(), &before), WZ_OK);
    bytes = malloc(len);
    assert_non_null(bytes);
    memset(bytes, 1, len);
    do
        assert_int_equal(wz_usage_read(getpid(), &after), WZ_OK);
    while (after.cpu_us < before.cpu_us + 50000 && wz_clock_mono_us() < end_us);
    assert_in_range(after.cpu_us - before.cpu_us, 50000, 5000000);
    assert_in_range(after.memory_bytes - before.memory_bytes, len / 2, TIMES * len);
    free(bytes);
}

static void test_usage_of_no_process_is_not_found(void **state)
{
    struct wz_usage usage;
    pid_t pid = fork();

    (void)state;
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(wz_usage_read(pid, &usage), WZ_ERR_NOT_FOUND);
    assert_int_equal(wz_usage_read(0, &usage), WZ_ERR_NOT_FOUND);
}

static void test_usage_ends_with_a_process_that_nobody_has_waited_for(void **state)
{
    int64_t end_us = wz_clock_mono_us() + 5000000;
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    assert_false(wz_usage_ends(pid));
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (!wz_usage_ends(pid))
        assert_true(wz_clock_mono_us() < end_us);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(wz_usage_ends(pid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage_tells_time_and_memory_of_a_process),
        cmocka_unit_test(test_usage_of_no_process_is_not_found),
        cmocka_unit_test(test_usage_ends_with_a_process_that_nobody_has_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
