// SPDX-License-Identifier: Apache-2.0
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_buf_holds_all_that_was_added(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    wz_buf_add(&buf, "ab", 2);
    wz_buf_add_slice(&buf, WZ_SLICE_LIT("cd"));
    wz_buf_add_str(&buf, "ef");
    wz_buf_add_byte(&buf, 'g');
    wz_buf_addf(&buf, "%d-%s", 12, "x");
    wz_buf_add(&buf, NULL, 0);
    wz_buf_add_slice(&buf, wz_slice(NULL, 0));
    assert_true(wz_slice_eq(wz_buf_slice(&buf), WZ_SLICE_LIT("abcdefg12-x")));
}

static void test_buf_keeps_its_bytes_as_it_grows(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    for (int i = 0; i < 100000; i++)
        wz_buf_add_byte(&buf, (uint8_t)(i * 7));
    assert_int_equal(buf.len, 100000);
    assert_true(buf.cap >= buf.len && buf.cap <= 2 * buf.len);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf.ptr[i], (uint8_t)(i * 7));
}

static void test_buf_reserve_makes_room_without_changing_the_length(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    uint8_t *before;

    (void)state;
    wz_buf_add_str(&buf, "x");
    wz_buf_reserve(&buf, 1000);
    assert_int_equal(buf.len, 1);
    assert_true(buf.cap >= 1001);
    before = buf.ptr;
    for (int i = 0; i < 1000; i++)
        wz_buf_add_byte(&buf, 'y');
    assert_ptr_equal(buf.ptr, before);
}

static void test_buf_formats_text_of_any_length(void **state)
{
    for (size_t len = 0; len < 300; len++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

        wz_buf_addf(&buf, "%*s|", (int)len, "");
        assert_int_equal(buf.len, len + 1);
        assert_int_equal(buf.ptr[len], '|');
    }
    (void)state;
}

static void test_buf_consume_takes_from_the_front(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    wz_buf_consume(&buf, 0);
    wz_buf_add_str(&buf, "abcdef");
    wz_buf_consume(&buf, 2);
    assert_true(wz_slice_eq(wz_buf_slice(&buf), WZ_SLICE_LIT("cdef")));
    wz_buf_consume(&buf, 0);
    wz_buf_consume(&buf, 4);
    assert_int_equal(buf.len, 0);
    wz_buf_add_str(&buf, "g");
    assert_true(wz_slice_eq(wz_buf_slice(&buf), WZ_SLICE_LIT("g")));
}

static void test_buf_str_ends_with_a_nul_that_does_not_count(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    assert_string_equal(wz_buf_str(&buf), "");
    for (int i = 0; i < 64; i++) // just as many as the first allocation holds
        wz_buf_add_byte(&buf, 'x');
    assert_int_equal(strlen(wz_buf_str(&buf)), 64);
    assert_int_equal(buf.len, 64);
}

static void test_buf_release_leaves_an_empty_buffer(void **state)
{
    struct wz_buf buf = {0};

    (void)state;
    wz_buf_add_str(&buf, "x");
    wz_buf_release(&buf);
    assert_null(buf.ptr);
    assert_int_equal(buf.len + buf.cap, 0);
    wz_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_holds_all_that_was_added),
        cmocka_unit_test(test_buf_keeps_its_bytes_as_it_grows),
        cmocka_unit_test(test_buf_reserve_makes_room_without_changing_the_length),
        cmocka_unit_test(test_buf_formats_text_of_any_length),
        cmocka_unit_test(test_buf_consume_takes_from_the_front),
        cmocka_unit_test(test_buf_str_ends_with_a_nul_that_does_not_count),
        cmocka_unit_test(test_buf_release_leaves_an_empty_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
