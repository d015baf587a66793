// SPDX-License-Identifier: Apache-2.0
#include "json/name.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_name_escape_gives_its_code_point(void **state)
{
    static const struct {
        const char *text;
        uint32_t code_point;
        size_t len;
    } cases[] = {
        {"\\\"x", '"', 2},
        {"\\\\x", '\\', 2},
        {"\\/x", '/', 2},
        {"\\b", '\b', 2},
        {"\\f", '\f', 2},
        {"\\n", '\n', 2},
        {"\\r", '\r', 2},
        {"\\t", '\t', 2},
        {"\\u0000x", 0, 6},
        {"\\u005fx", '_', 6},
        {"\\u20AC", 0x20ac, 6},
        {"\\uffff", 0xffff, 6},
        {"\\ud83d\\ude00x", 0x1f600, 12},
        {"\\uD800\\uDC00", 0x10000, 12},
        {"\\udbff\\udfff", 0x10ffff, 12},
        {"\\ud83dx", 0xfffd, 6},
        {"\\ud83d\\n", 0xfffd, 6},
        {"\\ud83d\\u0041", 0xfffd, 6},
        {"\\ud83d\\ud83d", 0xfffd, 6},
        {"\\ude00\\ud83d", 0xfffd, 6},
        {"\\ud83d\\ude0", 0xfffd, 6},
        {"\\u12", 0xfffd, 2},
        {"\\u12g4", 0xfffd, 2},
        {"\\x", 0xfffd, 2},
        {"\\", 0xfffd, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_slice rest = wz_slice_str(cases[i].text);
        size_t before = rest.len;

        assert_int_equal(wz_json_escape_next(&rest), cases[i].code_point);
        assert_int_equal(before - rest.len, cases[i].len);
    }
}

static void test_name_is_reserved_also_when_escaped(void **state)
{
    static const struct {
        const char *name;
        bool reserved;
    } cases[] = {
        {"\"_id\"", true},
        {"\"_timestamp\"", true},
        {"\"_topic\"", true},
        {"\"_encoding\"", true},
        {"\"_script\"", true},
        {"\"_parent\"", true},
        {"\"_received\"", true},
        {"\"\\u005fid\"", true},
        {"\"\\u005F\\u0069\\u0064\"", true},
        {"\"_\\u0069d\"", true},
        {"\"_tim\\u0065stamp\"", true},
        {"\"\\u005f\\u0074\\u0069\\u006d\\u0065\\u0073\\u0074\\u0061\\u006d\\u0070\"", true},
        {"\"_ID\"", false},
        {"\"_\"", false},
        {"\"\"", false},
        {"\"_i\"", false},
        {"\"_idx\"", false},
        {"\"id\"", false},
        {"\"_id\\u0000\"", false},
        {"\"_i\\u0044\"", false},
        {"\"_timestamps\"", false},
        {"\"_\\u0169d\"", false},
        {"\"_\xc3\xa4\"", false},
        {"\"\\\\u005fid\"", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (wz_json_name_reserved(wz_slice_str(cases[i].name)) != cases[i].reserved)
            fail_msg("%s", cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_escape_gives_its_code_point),
        cmocka_unit_test(test_name_is_reserved_also_when_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
