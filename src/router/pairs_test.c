// SPDX-License-Identifier: Apache-2.0
#include "router/pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_pairs_are_found_by_either_side(void **state)
{
    struct wz_pairs pairs;
    uint32_t index;
    (void)state;

    wz_pairs_init(&pairs, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        char left[16];
        char right[16];

        (void)snprintf(left, sizeof(left), "l%u", i);
        (void)snprintf(right, sizeof(right), "r%u", 999 - i);
        assert_int_equal(wz_pairs_add(&pairs, wz_slice_str(left), wz_slice_str(right), &index),
                         WZ_OK);
        assert_int_equal(index, i);
    }
    assert_true(wz_pairs_find(&pairs, WZ_SIDE_PHYSICAL, WZ_SLICE_LIT("l7"), &index));
    assert_int_equal(index, 7);
    assert_true(wz_pairs_find(&pairs, WZ_SIDE_LOGICAL, WZ_SLICE_LIT("r7"), &index));
    assert_int_equal(index, 992);
    assert_true(wz_slice_eq(wz_pairs_get(&pairs, 992, WZ_SIDE_PHYSICAL), WZ_SLICE_LIT("l992")));
    assert_true(wz_slice_eq(wz_pairs_get(&pairs, 992, WZ_SIDE_LOGICAL), WZ_SLICE_LIT("r7")));
    assert_false(wz_pairs_find(&pairs, WZ_SIDE_LOGICAL, WZ_SLICE_LIT("l7"), &index));
    assert_false(wz_pairs_find(&pairs, WZ_SIDE_PHYSICAL, WZ_SLICE_LIT("l1000"), &index));
    wz_pairs_release(&pairs);
}

static void test_pairs_add_names_the_pair_that_is_in_the_way(void **state)
{
    struct wz_pairs pairs;
    uint32_t index = 9;
    (void)state;

    wz_pairs_init(&pairs, 3);
    assert_int_equal(wz_pairs_add(&pairs, WZ_SLICE_LIT("a"), WZ_SLICE_LIT("x"), &index), WZ_OK);
    assert_int_equal(wz_pairs_add(&pairs, WZ_SLICE_LIT("b"), WZ_SLICE_LIT("y"), &index), WZ_OK);
    assert_int_equal(wz_pairs_add(&pairs, WZ_SLICE_LIT("a"), WZ_SLICE_LIT("z"), &index),
                     WZ_ERR_EXISTS);
    assert_int_equal(index, 0);
    assert_int_equal(wz_pairs_add(&pairs, WZ_SLICE_LIT("c"), WZ_SLICE_LIT("y"), &index),
                     WZ_ERR_EXISTS);
    assert_int_equal(index, 1);
    assert_int_equal(pairs.count, 2);
    wz_pairs_release(&pairs);
}

static void test_pairs_find_longest_ends_at_a_separator(void **state)
{
    static const struct {
        const char *text;
        int index; // -1: none
    } vectors[] = {
        {"a", 0}, {"a/b", 1}, {"a/b/c", 1}, {"a/bb", 0}, {"a/b/c/d", 2},         {"aa", -1},
        {"", -1}, {"/a", -1}, {"a/", 0},    {"b", -1},   {"a/b/c/d/e/f/g/h", 2},
    };
    struct wz_pairs pairs;
    uint32_t index;
    (void)state;

    wz_pairs_init(&pairs, 3);
    assert_int_equal(wz_pairs_add(&pairs, WZ_SLICE_LIT("a"), WZ_SLICE_LIT("x"), &index), WZ_OK);
    assert_int_equal(wz_pairs_add(&pairs, WZ_SLICE_LIT("a/b"), WZ_SLICE_LIT("y"), &index), WZ_OK);
    assert_int_equal(wz_pairs_add(&pairs, WZ_SLICE_LIT("a/b/c/d"), WZ_SLICE_LIT("z"), &index),
                     WZ_OK);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        bool found = wz_pairs_find_longest(&pairs, WZ_SIDE_PHYSICAL, wz_slice_str(vectors[i].text),
                                           '/', &index);

        assert_int_equal(found ? (int)index : -1, vectors[i].index);
    }
    wz_pairs_release(&pairs);
}

static void test_pairs_without_pairs_find_nothing(void **state)
{
    struct wz_pairs pairs = {0};
    uint32_t index;
    (void)state;

    assert_false(wz_pairs_find(&pairs, WZ_SIDE_LOGICAL, WZ_SLICE_LIT("a"), &index));
    assert_false(wz_pairs_find_longest(&pairs, WZ_SIDE_LOGICAL, WZ_SLICE_LIT("a"), '.', &index));
    wz_pairs_release(&pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_are_found_by_either_side),
        cmocka_unit_test(test_pairs_add_names_the_pair_that_is_in_the_way),
        cmocka_unit_test(test_pairs_find_longest_ends_at_a_separator),
        cmocka_unit_test(test_pairs_without_pairs_find_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
