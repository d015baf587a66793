// SPDX-License-Identifier: Apache-2.0
#include "router/name_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codes.h"

struct row {
    struct wz_slice text;
    const char *wrong; // NULL: nothing
};

// Versions of clang-format differ on a macro that is a brace.
// clang-format off
#define ROW(text, wrong) {{(const uint8_t *)(text), sizeof(text) - 1}, (wrong)}
// clang-format on

static void check(const char *wrong, const struct row *row)
{
    print_message("%.*s\n", WZ_SLICE_FMT(row->text));
    if (row->wrong == NULL)
        assert_null(wrong);
    else
        assert_string_equal(wrong, row->wrong);
}

// A character of each plane of Unicode.
static void test_name_rules_take_every_plane(void **state)
{
    (void)state;
    for (uint32_t plane = 1; plane <= 16; plane++) {
        uint32_t c = plane << 16 | 0x1234;
        const uint8_t bytes[] = {(uint8_t)(0xf0 | c >> 18), (uint8_t)(0x80 | (c >> 12 & 0x3f)),
                                 (uint8_t)(0x80 | (c >> 6 & 0x3f)), (uint8_t)(0x80 | (c & 0x3f))};
        struct wz_slice text = wz_slice(bytes, sizeof(bytes));
        int code = 0;

        assert_null(wz_rule_levels(text));
        assert_null(wz_rule_level(text));
        assert_null(wz_rule_words(text, &code));
    }
}

static void test_name_rules_of_levels(void **state)
{
    static const struct row rows[] = {
        ROW("a", NULL),
        ROW("a/b", NULL),
        ROW("..", NULL),
        ROW("a.*b$^(|)[]?\\", NULL),
        ROW("{x}", NULL),
        ROW("", "is empty"),
        ROW("/a", "contains an empty level"),
        ROW("a/", "contains an empty level"),
        ROW("a//b", "contains an empty level"),
        ROW("/", "contains an empty level"),
        ROW("+", "contains a wildcard, '+' or '#'"),
        ROW("a/b#", "contains a wildcard, '+' or '#'"),
        ROW("a\0b", "contains a control character"),
        ROW("a\x1f", "contains a control character"),
        ROW("a\x7f", "contains a control character"),
        ROW("a\xc2\x80", "contains a control character"), // C1
        ROW("\xc2\x9f", "contains a control character"),
        ROW("\xc2\xa0", NULL),
        ROW("\xc3", "is not UTF-8"),
        ROW("\xed\xa0\x80", "is not UTF-8"), // a surrogate
        ROW("\xf4\x90\x80\x80", "is not UTF-8"),
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(wz_rule_levels(rows[i].text), &rows[i]);
}

static void test_name_rules_of_one_level(void **state)
{
    static const struct row rows[] = {
        ROW("a", NULL),
        ROW("a/b", "is more than one level"),
        ROW("", "is empty"),
    };
    char text[WZ_TOPIC_MAX + 1];
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(wz_rule_level(rows[i].text), &rows[i]);
    memset(text, 'a', sizeof(text));
    assert_null(wz_rule_level(wz_slice(text, WZ_TOPIC_MAX)));
    assert_string_equal(wz_rule_level(wz_slice(text, WZ_TOPIC_MAX + 1)),
                        "is longer than 255 bytes");
}

static void test_name_rules_of_words(void **state)
{
    static const struct row rows[] = {
        ROW("a", NULL),
        ROW("a.b", NULL),
        ROW("outputs.noutput", NULL),
        ROW("a b", NULL),
        ROW("{x}.$y", NULL),
        ROW("", "is empty"),
        ROW(".", "contains an empty word"),
        ROW("a.", "contains an empty word"),
        ROW(".a", "contains an empty word"),
        ROW("a..b", "contains an empty word"),
        ROW("a/b", "contains one of '/', '*', '#' and '+'"),
        ROW("*", "contains one of '/', '*', '#' and '+'"),
        ROW("a#", "contains one of '/', '*', '#' and '+'"),
        ROW("a+b", "contains one of '/', '*', '#' and '+'"),
        ROW("a\0b", "contains a control character"),
        ROW("a\xc2\x85.b", "contains a control character"), // C1
        ROW("\xff", "is not UTF-8"),
    };
    char text[WZ_TOPIC_MAX + 1];
    int code = 1;
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        check(wz_rule_words(rows[i].text, &code), &rows[i]);
    memset(text, 'a', sizeof(text));
    assert_null(wz_rule_words(wz_slice(text, WZ_TOPIC_MAX), &code));
    assert_non_null(wz_rule_words(wz_slice(text, WZ_TOPIC_MAX + 1), &code));
    assert_int_equal(code, 1);
}

static void test_name_rules_keep_the_word_of_commands(void **state)
{
    static const char *const texts[] = {"output", "a.output", "output.a", "a.output.b"};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int code = 0;

        assert_non_null(wz_rule_words(wz_slice_str(texts[i]), &code));
        assert_int_equal(code, WZ_CODE_MAPPING_OUTPUT_WORD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_rules_take_every_plane),
        cmocka_unit_test(test_name_rules_of_levels),
        cmocka_unit_test(test_name_rules_of_one_level),
        cmocka_unit_test(test_name_rules_of_words),
        cmocka_unit_test(test_name_rules_keep_the_word_of_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
