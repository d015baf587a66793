// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_map_gives_back_what_was_put(void **state)
{
    struct wz_map map = {0};
    char keys[1000][16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "key-%d", i);
        assert_null(wz_map_put(&map, wz_slice_str(keys[i]), keys[i]));
    }
    assert_int_equal(map.count, 1000);
    for (int i = 0; i < 1000; i++)
        assert_ptr_equal(wz_map_get(&map, wz_slice_str(keys[i])), keys[i]);
    assert_null(wz_map_get(&map, WZ_SLICE_LIT("key-1000")));
    wz_map_release(&map);
}

static void test_map_replaces_and_returns_the_old_value(void **state)
{
    struct wz_map map = {0};
    int a;
    int b;

    (void)state;
    assert_null(wz_map_put(&map, WZ_SLICE_LIT("k"), &a));
    assert_ptr_equal(wz_map_put(&map, WZ_SLICE_LIT("k"), &b), &a);
    assert_ptr_equal(wz_map_get(&map, WZ_SLICE_LIT("k")), &b);
    assert_int_equal(map.count, 1);
    wz_map_release(&map);
}

static void test_map_survives_endless_putting_and_removing(void **state)
{
    struct wz_map map = {0};
    char keys[8][16];

    (void)state;
    for (int i = 0; i < 8; i++)
        (void)snprintf(keys[i], sizeof(keys[i]), "%d", i);
    for (int round = 0; round < 10000; round++) {
        char *key = keys[round % 8];

        assert_null(wz_map_put(&map, wz_slice_str(key), key));
        assert_ptr_equal(wz_map_remove(&map, wz_slice_str(key)), key);
        assert_null(wz_map_remove(&map, wz_slice_str(key)));
    }
    assert_true(map.size <= 16);
    wz_map_release(&map);
}

static void test_map_of_one_entry_is_small(void **state)
{
    struct wz_map map = {0};
    int a;

    (void)state;
    assert_null(wz_map_put(&map, WZ_SLICE_LIT("k"), &a));
    assert_int_equal(map.size, 2);
    assert_null(wz_map_get(&map, WZ_SLICE_LIT("j")));
    assert_ptr_equal(wz_map_get(&map, WZ_SLICE_LIT("k")), &a);
    wz_map_release(&map);
}

static void test_map_walk_meets_each_value_once(void **state)
{
    struct wz_map map = {0};
    char keys[100][16];
    size_t walk = 0;
    int met = 0;

    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%d", i);
        (void)wz_map_put(&map, wz_slice_str(keys[i]), keys[i]);
    }
    for (char *value; (value = wz_map_next(&map, &walk)) != NULL; met++)
        assert_ptr_equal(wz_map_remove(&map, wz_slice_str(value)), value);
    assert_int_equal(met, 100);
    assert_int_equal(map.count, 0);
    wz_map_release(&map);
}

static void test_map_takes_an_empty_key(void **state)
{
    struct wz_map map = {0};
    int a;

    (void)state;
    assert_null(wz_map_put(&map, wz_slice(NULL, 0), &a));
    assert_ptr_equal(wz_map_get(&map, WZ_SLICE_LIT("")), &a);
    assert_ptr_equal(wz_map_remove(&map, wz_slice(NULL, 0)), &a);
    wz_map_release(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_gives_back_what_was_put),
        cmocka_unit_test(test_map_replaces_and_returns_the_old_value),
        cmocka_unit_test(test_map_survives_endless_putting_and_removing),
        cmocka_unit_test(test_map_of_one_entry_is_small),
        cmocka_unit_test(test_map_walk_meets_each_value_once),
        cmocka_unit_test(test_map_takes_an_empty_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
