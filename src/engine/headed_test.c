// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/headed.h"

static void test_headed_gives_back_what_was_put(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    const struct wz_slice pieces[] = {WZ_SLICE_LIT("ab"), WZ_SLICE_LIT(""), WZ_SLICE_LIT("cde")};
    struct wz_headed headed;

    (void)state;
    wz_headed_put(&buf, pieces, 3, 7, WZ_SLICE_LIT("{\"a\":1}"));
    assert_true(wz_headed_get(wz_buf_slice(&buf), &headed));
    assert_int_equal(headed.header_count, 7);
    assert_true(wz_slice_eq(headed.headers, WZ_SLICE_LIT("abcde")));
    assert_true(wz_slice_eq(headed.value, WZ_SLICE_LIT("{\"a\":1}")));
    // The value is all that follows; what is cut off before it is noticed.
    for (size_t len = 0; len < 11; len++)
        assert_false(wz_headed_get(wz_slice(buf.ptr, len), &headed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headed_gives_back_what_was_put),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
