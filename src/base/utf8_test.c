// SPDX-License-Identifier: Apache-2.0
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

// The bytes of a code point, also of one that UTF-8 does not have; returns how many.
static size_t encode(uint32_t c, uint8_t ret_bytes[4])
{
    if (c < 0x80) {
        ret_bytes[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        ret_bytes[0] = (uint8_t)(0xc0 | c >> 6);
        ret_bytes[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        ret_bytes[0] = (uint8_t)(0xe0 | c >> 12);
        ret_bytes[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        ret_bytes[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    ret_bytes[0] = (uint8_t)(0xf0 | c >> 18);
    ret_bytes[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    ret_bytes[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    ret_bytes[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

static void test_utf8_takes_every_character_and_no_surrogate(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x1fffff; c++) {
        uint8_t bytes[4];
        size_t len = encode(c, bytes);
        bool good = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);

        assert_int_equal(wz_utf8_char(wz_slice(bytes, len)), good ? len : 0);
        assert_int_equal(wz_utf8_valid(wz_slice(bytes, len)), good);
    }
}

// All sequences of up to three bytes: just those that encode gives are good.
static void test_utf8_takes_no_other_form_of_two_or_three_bytes(void **state)
{
    (void)state;
    for (uint32_t bits = 0x800000; bits <= 0xffffff; bits++) {
        uint8_t bytes[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        uint32_t two = (bytes[0] & 0x1fu) << 6 | (bytes[1] & 0x3f);
        uint32_t three = (bytes[0] & 0x0fu) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3f);
        uint8_t again[4];
        size_t want = 0;

        if (encode(two, again) == 2 && memcmp(again, bytes, 2) == 0)
            want = 2;
        else if (encode(three, again) == 3 && memcmp(again, bytes, 3) == 0 &&
                 (three < 0xd800 || three > 0xdfff))
            want = 3;
        if (wz_utf8_char(wz_slice(bytes, 3)) != want)
            fail_msg("%06x", bits);
    }
}

static void test_utf8_refuses_what_rfc_3629_refuses(void **state)
{
    static const char *const cases[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2\x41",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe2\x82",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf0\x9f\x98",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xf0\x9f\x98\x41",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_false(wz_utf8_valid(wz_slice_str(cases[i])));
        assert_int_equal(wz_utf8_char(wz_slice_str(cases[i])), 0);
    }
}

// The quick way over ASCII must not step over a bad byte, nor read past the end.
static void test_utf8_sees_a_bad_byte_at_any_place_of_any_length(void **state)
{
    (void)state;
    for (size_t len = 1; len < 40; len++) {
        WZ_AUTO(wz_free_ptr) uint8_t *bytes = wz_alloc(len);

        memset(bytes, 'x', len);
        assert_true(wz_utf8_valid(wz_slice(bytes, len)));
        for (size_t place = 0; place < len; place++) {
            bytes[place] = 0xff;
            assert_false(wz_utf8_valid(wz_slice(bytes, len)));
            if (place + 1 < len) {
                uint8_t after = bytes[place + 1];

                memcpy(bytes + place, "\xc3\xa4", 2);
                assert_true(wz_utf8_valid(wz_slice(bytes, len)));
                bytes[place + 1] = after;
            }
            bytes[place] = 'x';
        }
        bytes[len - 1] = 0xc3; // a character that is cut off
        assert_false(wz_utf8_valid(wz_slice(bytes, len)));
    }
}

static void test_utf8_of_nothing_is_valid_and_has_no_character(void **state)
{
    (void)state;
    assert_true(wz_utf8_valid(wz_slice(NULL, 0)));
    assert_int_equal(wz_utf8_char(wz_slice(NULL, 0)), 0);
    assert_true(wz_utf8_valid(WZ_SLICE_LIT("a\0b")));
}

static void assert_text(struct wz_slice s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr, text, s.len);
}

static void test_utf8_is_cut_between_characters(void **state)
{
    const struct wz_slice text = WZ_SLICE_LIT("a\xc3\xa4\xe2\x82\xac"); // a, two bytes, three
    static const char *const heads[] = {"", "a", "a", "a\xc3\xa4", "a\xc3\xa4", "a\xc3\xa4"};
    static const char *const tails[] = {
        "", "", "", "\xe2\x82\xac", "\xe2\x82\xac", "\xc3\xa4\xe2\x82\xac"};

    (void)state;
    for (size_t max = 0; max < text.len; max++) {
        assert_text(wz_utf8_head(text, max), heads[max]);
        assert_text(wz_utf8_tail(text, max), tails[max]);
    }
    assert_int_equal(wz_utf8_head(text, 6).len, 6);
    assert_int_equal(wz_utf8_tail(text, 7).len, 6);
    assert_int_equal(wz_utf8_head(WZ_SLICE_LIT("\x80\x80\x80"), 2).len, 0);
    assert_int_equal(wz_utf8_tail(WZ_SLICE_LIT("\x80\x80\x80"), 2).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_takes_every_character_and_no_surrogate),
        cmocka_unit_test(test_utf8_takes_no_other_form_of_two_or_three_bytes),
        cmocka_unit_test(test_utf8_refuses_what_rfc_3629_refuses),
        cmocka_unit_test(test_utf8_sees_a_bad_byte_at_any_place_of_any_length),
        cmocka_unit_test(test_utf8_of_nothing_is_valid_and_has_no_character),
        cmocka_unit_test(test_utf8_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
