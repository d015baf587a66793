// SPDX-License-Identifier: Apache-2.0
#include "gateway/near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_near_counts_single_letters(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},       {"", "abc", 3},   {"abc", "abc", 0},       {"abc", "abd", 1},
        {"abc", "acb", 1}, {"abc", "ac", 1}, {"status", "statsu", 1}, {"kitten", "sitting", 3},
        {"ab", "ba", 1},   {"a", "b", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_slice a = wz_slice_str(cases[i].a);
        struct wz_slice b = wz_slice_str(cases[i].b);

        assert_int_equal(wz_near_distance(a, b), cases[i].distance);
        assert_int_equal(wz_near_distance(b, a), cases[i].distance);
    }
}

static void test_near_is_bounded(void **state)
{
    char text[WZ_NEAR_MAX + 2];

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_int_equal(wz_near_distance(wz_slice(text, WZ_NEAR_MAX), wz_slice(text, WZ_NEAR_MAX)), 0);
    assert_int_equal(wz_near_distance(wz_slice(text, WZ_NEAR_MAX + 1), wz_slice(text, 1)),
                     SIZE_MAX);
    assert_false(wz_near_enough(wz_slice(text, WZ_NEAR_MAX + 1), wz_slice(text, 1)));
}

static void test_near_takes_a_third_of_the_letters(void **state)
{
    (void)state;
    assert_true(wz_near_enough(WZ_SLICE_LIT("/livz"), WZ_SLICE_LIT("/livez")));
    assert_false(wz_near_enough(WZ_SLICE_LIT("/abc"), WZ_SLICE_LIT("/livez")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near_counts_single_letters),
        cmocka_unit_test(test_near_is_bounded),
        cmocka_unit_test(test_near_takes_a_third_of_the_letters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
