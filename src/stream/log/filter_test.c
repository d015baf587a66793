// SPDX-License-Identifier: Apache-2.0
#include "stream/log/filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_filter_lets_through_what_its_pattern_matches(void **state)
{
    static const struct {
        const char *pattern;
        const char *topic;
        bool matches;
    } cases[] = {
        {"", "a.b", true},      {"#", "a.b", true},         {"a.b", "a.b", true},
        {"a.b", "a.bc", false}, {"a.*", "a.b", true},       {"a.*", "a.b.c", false},
        {"a.b.#", "a.b", true}, {"a.b.#", "a.b.c.d", true}, {"a.b.#", "a.bc", false},
        {"*.b", "a.b", true},   {"a.*.c", "a.x.c", true},   {"a.*.c", "a.x.d", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_filter filter;

        assert_int_equal(wz_filter_init(&filter, wz_slice_str(cases[i].pattern)), WZ_OK);
        assert_int_equal(wz_filter_match(&filter, wz_slice_str(cases[i].topic)), cases[i].matches);
        assert_int_equal(wz_filter_all(&filter), i < 2);
        wz_filter_release(&filter);
    }
}

static void test_filter_refuses_what_is_no_pattern(void **state)
{
    struct wz_filter filter;

    (void)state;
    assert_int_equal(wz_filter_init(&filter, WZ_SLICE_LIT("a.b#")), WZ_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_lets_through_what_its_pattern_matches),
        cmocka_unit_test(test_filter_refuses_what_is_no_pattern),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
