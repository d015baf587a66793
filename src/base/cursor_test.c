// SPDX-License-Identifier: Apache-2.0
#include "base/cursor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_cursor_reads_integers_big_endian(void **state)
{
    struct wz_cursor cur = wz_cursor(
        WZ_SLICE_LIT("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12"));

    (void)state;
    assert_int_equal(wz_cursor_get_u8(&cur), 0x01);
    assert_int_equal(wz_cursor_get_u16(&cur), 0x0203);
    assert_int_equal(wz_cursor_get_u32(&cur), 0x04050607);
    assert_int_equal(wz_cursor_get_u64(&cur), 0x08090a0b0c0d0e0f);
    assert_int_equal(wz_cursor_get_uint(&cur, 3), 0x101112);
    assert_int_equal(wz_cursor_left(&cur), 0);
    assert_false(cur.failed);
}

static void test_cursor_that_ran_over_stays_failed(void **state)
{
    struct wz_cursor cur = wz_cursor(WZ_SLICE_LIT("abc"));

    (void)state;
    assert_int_equal(wz_cursor_get_u32(&cur), 0);
    assert_true(cur.failed);
    assert_int_equal(wz_cursor_get_u8(&cur), 0); // the three bytes are not given out any more
    assert_int_equal(wz_cursor_get_bytes(&cur, 1).len, 0);
    assert_int_equal(wz_cursor_get_bytes(&cur, 0).len, 0);
    assert_true(cur.failed);
}

static void test_cursor_refuses_a_length_that_lies(void **state)
{
    static const size_t lies[] = {5, SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 63};

    (void)state;
    for (size_t i = 0; i < COUNT(lies); i++) {
        struct wz_cursor cur = wz_cursor(WZ_SLICE_LIT("abcd"));

        assert_int_equal(wz_cursor_get_bytes(&cur, lies[i]).len, 0);
        assert_true(cur.failed);
    }
}

static void test_cursor_over_nothing_has_nothing(void **state)
{
    struct wz_cursor cur = wz_cursor(wz_slice(NULL, 0));

    (void)state;
    assert_int_equal(wz_cursor_left(&cur), 0);
    assert_int_equal(wz_cursor_get_bytes(&cur, 0).len, 0);
    assert_false(cur.failed);
    assert_int_equal(wz_cursor_get_varint(&cur), 0);
    assert_true(cur.failed);
}

static const struct {
    int64_t value;
    const char *bytes;
    size_t len;
} varints[] = {
    {0, "\x00", 1},
    {-1, "\x01", 1},
    {1, "\x02", 1},
    {63, "\x7e", 1},
    {-64, "\x7f", 1},
    {64, "\x80\x01", 2},
    {-65, "\x81\x01", 2},
    {8191, "\xfe\x7f", 2},
    {-8192, "\xff\x7f", 2},
    {8192, "\x80\x80\x01", 3},
    {INT32_MAX, "\xfe\xff\xff\xff\x0f", 5},
    {INT32_MIN, "\xff\xff\xff\xff\x0f", 5},
    {INT64_MAX, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
    {INT64_MIN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
};

static void test_cursor_varints_are_those_of_kafka_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(varints); i++) {
        uint8_t bytes[WZ_VARINT64_MAX];
        struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
        struct wz_cursor cur = wz_cursor(wz_slice(varints[i].bytes, varints[i].len));

        wz_pen_put_varint(&pen, varints[i].value);
        assert_false(pen.failed);
        assert_int_equal(pen.pos - bytes, varints[i].len);
        assert_memory_equal(bytes, varints[i].bytes, varints[i].len);
        assert_int_equal(wz_varint_len(varints[i].value), varints[i].len);
        assert_true(wz_cursor_get_varint(&cur) == varints[i].value);
        assert_false(cur.failed);
        assert_int_equal(wz_cursor_left(&cur), 0);
    }
}

static void test_cursor_refuses_every_truncation_of_a_varint(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(varints); i++) {
        for (size_t len = 0; len < varints[i].len; len++) {
            WZ_AUTO(wz_free_ptr) uint8_t *bytes = wz_alloc(len);
            struct wz_cursor cur = wz_cursor(wz_slice(bytes, len));

            memcpy(bytes, varints[i].bytes, len);
            assert_int_equal(wz_cursor_get_varint(&cur), 0);
            assert_true(cur.failed);
        }
    }
}

static void test_cursor_refuses_a_varint_of_more_than_64_bits(void **state)
{
    static const struct wz_slice cases[] = {
        {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},
        {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},
        {(const uint8_t *)"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11},
        {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct wz_cursor cur = wz_cursor(cases[i]);

        assert_int_equal(wz_cursor_get_varint(&cur), 0);
        assert_true(cur.failed);
        assert_int_equal(wz_cursor_left(&cur), 0);
    }
}

static void test_cursor_varint_lengths_hold_at_every_power_of_two(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 63; bit++) {
        for (int64_t near = -2; near <= 2; near++) {
            uint8_t bytes[WZ_VARINT64_MAX];
            int64_t value = ((int64_t)1 << bit) + near;
            struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
            struct wz_cursor cur;

            wz_pen_put_varint(&pen, -value);
            assert_int_equal(pen.pos - bytes, wz_varint_len(-value));
            cur = wz_cursor(wz_slice(bytes, (size_t)(pen.pos - bytes)));
            assert_true(wz_cursor_get_varint(&cur) == -value);
        }
    }
}

static void test_pen_writes_integers_big_endian(void **state)
{
    uint8_t bytes[20];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));

    (void)state;
    wz_pen_put_u8(&pen, 0x01);
    wz_pen_put_u16(&pen, 0x0203);
    wz_pen_put_u32(&pen, 0x04050607);
    wz_pen_put_u64(&pen, 0x08090a0b0c0d0e0f);
    wz_pen_put_uint(&pen, 0xff101112, 3);
    wz_pen_put_slice(&pen, WZ_SLICE_LIT("ab"));
    wz_pen_put_slice(&pen, wz_slice(NULL, 0));
    assert_false(pen.failed);
    assert_ptr_equal(pen.pos, bytes + 20);
    assert_memory_equal(bytes,
                        "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12"
                        "ab",
                        20);
}

static void test_pen_writes_nothing_of_what_does_not_fit(void **state)
{
    uint8_t bytes[8] = "........";
    struct wz_pen pen = wz_pen(bytes, 3);

    (void)state;
    wz_pen_put_u32(&pen, 0x41424344);
    assert_true(pen.failed);
    assert_memory_equal(bytes, "........", 8);
    wz_pen_put_u16(&pen, 0x4142); // what fits is written still, but the pen stays failed
    assert_true(pen.failed);
    assert_memory_equal(bytes + 3, ".....", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor_reads_integers_big_endian),
        cmocka_unit_test(test_cursor_that_ran_over_stays_failed),
        cmocka_unit_test(test_cursor_refuses_a_length_that_lies),
        cmocka_unit_test(test_cursor_over_nothing_has_nothing),
        cmocka_unit_test(test_cursor_varints_are_those_of_kafka_both_ways),
        cmocka_unit_test(test_cursor_refuses_every_truncation_of_a_varint),
        cmocka_unit_test(test_cursor_refuses_a_varint_of_more_than_64_bits),
        cmocka_unit_test(test_cursor_varint_lengths_hold_at_every_power_of_two),
        cmocka_unit_test(test_pen_writes_integers_big_endian),
        cmocka_unit_test(test_pen_writes_nothing_of_what_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
