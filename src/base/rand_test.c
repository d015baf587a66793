// SPDX-License-Identifier: Apache-2.0
// The linker puts __wrap_getrandom in the place of getrandom.
#include "base/rand.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

ssize_t __real_getrandom(void *ret_bytes, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *ret_bytes, size_t len, unsigned flags);

static int calls;
static size_t most; // bytes of one call, 0 for no limit
static int interrupts;

ssize_t __wrap_getrandom(void *ret_bytes, size_t len, unsigned flags)
{
    calls++;
    if (interrupts > 0) {
        interrupts--;
        errno = EINTR;
        return -1;
    }
    if (most > 0 && len > most)
        len = most;
    return __real_getrandom(ret_bytes, len, flags);
}

static int setup(void **state)
{
    (void)state;
    calls = 0;
    most = 0;
    interrupts = 0;
    return 0;
}

static void test_rand_goes_on_after_short_answers_and_signals(void **state)
{
    unsigned char bytes[1002];
    int zeros = 0;

    (void)state;
    memset(bytes, 0, sizeof(bytes));
    most = 7;
    interrupts = 3;
    wz_rand_bytes(bytes + 1, 1000);
    assert_int_equal(calls, 3 + (1000 + 6) / 7);
    assert_int_equal(bytes[0] | bytes[1001], 0);
    for (int i = 1; i <= 1000; i++)
        zeros += bytes[i] == 0;
    assert_true(zeros < 50); // about four are due; a piece left out would be seen
}

static void test_rand_of_no_bytes_asks_for_none(void **state)
{
    (void)state;
    wz_rand_bytes(NULL, 0);
    assert_int_equal(calls, 0);
}

static void test_rand_numbers_differ_in_all_bits(void **state)
{
    uint64_t first = wz_rand_u64();
    uint64_t changed = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        changed |= first ^ wz_rand_u64();
    assert_true(changed == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rand_goes_on_after_short_answers_and_signals, setup),
        cmocka_unit_test_setup(test_rand_of_no_bytes_asks_for_none, setup),
        cmocka_unit_test_setup(test_rand_numbers_differ_in_all_bits, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
