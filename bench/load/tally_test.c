// SPDX-License-Identifier: Apache-2.0
#include "tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_tally_of_all_that_was_published_is_even(void **state)
{
    struct wz_tally *tally = wz_tally_new(4);

    (void)state;
    wz_tally_publish(tally, 3, 6); // 3, 0, 1, 2, 3, 0.
    for (uint64_t n = 3; n < 9; n++)
        wz_tally_receive(tally, n % 4);
    assert_int_equal(wz_tally_lost(tally), 0);
    assert_int_equal(wz_tally_doubled(tally), 0);
    assert_int_equal(tally->strange, 0);
    wz_tally_free(tally);
}

static void test_tally_sees_a_doubled_message_in_place_of_a_lost_one(void **state)
{
    struct wz_tally *tally = wz_tally_new(4);

    (void)state;
    wz_tally_publish(tally, 0, 2);
    wz_tally_receive(tally, 0);
    wz_tally_receive(tally, 0);
    wz_tally_receive(tally, UINT64_MAX);
    assert_int_equal(wz_tally_lost(tally), 1);
    assert_int_equal(wz_tally_doubled(tally), 1);
    assert_int_equal(tally->strange, 1);
    wz_tally_free(tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tally_of_all_that_was_published_is_even),
        cmocka_unit_test(test_tally_sees_a_doubled_message_in_place_of_a_lost_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
