// SPDX-License-Identifier: Apache-2.0
#include "stream/log/blocks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_blocks_are_walked_in_both_directions(void **state)
{
    static const uint32_t members[] = {0, 1, 63, 64, 100, 127, 128, 199};
    struct wz_blocks blocks;
    uint32_t at = 0;

    (void)state;
    wz_blocks_init(&blocks, 200);
    for (size_t i = 0; i < 8; i++)
        wz_blocks_add(&blocks, members[i]);
    wz_blocks_add(&blocks, 200); // not below the count
    for (size_t i = 0; i < 8; i++, at++) {
        at = wz_blocks_next(&blocks, at);
        assert_int_equal(at, members[i]);
    }
    assert_int_equal(wz_blocks_next(&blocks, at), 200);
    at = UINT32_MAX;
    for (size_t i = 8; i-- > 0;) {
        at = wz_blocks_prev(&blocks, at);
        assert_int_equal(at, members[i]);
    }
    assert_int_equal(wz_blocks_prev(&blocks, at), UINT32_MAX);
    wz_blocks_release(&blocks);
}

static void test_blocks_of_nothing_are_empty(void **state)
{
    struct wz_blocks blocks = {0};

    (void)state;
    assert_int_equal(wz_blocks_next(&blocks, 0), 0);
    assert_int_equal(wz_blocks_prev(&blocks, 5), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_walked_in_both_directions),
        cmocka_unit_test(test_blocks_of_nothing_are_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
