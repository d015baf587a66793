// SPDX-License-Identifier: Apache-2.0
#include "json/text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "json/scan.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef void (*add_fn)(struct wz_buf *buf, struct wz_slice s);

// FN must turn FROM into TO, behind what the buffer holds already.
static void check(add_fn fn, struct wz_slice from, const char *to)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    wz_buf_add_byte(&buf, '>');
    fn(&buf, from);
    if (strcmp(wz_buf_str(&buf) + 1, to) != 0)
        fail_msg("%.*s gives %s, not %s", WZ_SLICE_FMT(from), wz_buf_str(&buf) + 1, to);
}

static void test_text_string_escapes_only_what_it_must(void **state)
{
    static const char *const cases[][2] = {
        {"", "\"\""},
        {"plain", "\"plain\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
        {"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
        {"a/b", "\"a/b\""},
        {"gr\xc3\xbc\xc3\x9f"
         "e \xf0\x9f\x98\x80",
         "\"gr\xc3\xbc\xc3\x9f"
         "e \xf0\x9f\x98\x80\""},
        {"a long run of plain bytes\nand another one",
         "\"a long run of plain bytes\\nand another one\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check(wz_json_add_string, wz_slice_str(cases[i][0]), cases[i][1]);
    check(wz_json_add_string, WZ_SLICE_LIT("a\0b"), "\"a\\u0000b\"");
}

// RFC 4648 section 10.
static const char *const base64_vectors[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xfe", "+//+"},
};

static void test_text_base64_gives_the_vectors_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(base64_vectors); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
        WZ_AUTO(wz_buf_release) struct wz_buf back = {0};

        wz_buf_addf(&text, "\"%s\"", base64_vectors[i][1]);
        check(wz_json_add_base64, wz_slice_str(base64_vectors[i][0]), wz_buf_str(&text));
        assert_int_equal(wz_json_add_decoded_base64(&back, wz_slice_str(base64_vectors[i][1])),
                         WZ_OK);
        assert_true(wz_slice_eq(wz_buf_slice(&back), wz_slice_str(base64_vectors[i][0])));
    }
}

static void test_text_base64_refuses_what_it_never_writes(void **state)
{
    static const char *const cases[] = {
        "Z",     "Zg",   "Zg=",   "Zm9",  "Zg==Zg==", "Zg=v",  "Z===", "====",
        "Zm9v ", "Zm-v", "Zm9v=", "Zh==", "Zm9=",     "Zm\n9", "=m9v", "Zm9v\xc3\xbc",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

        wz_buf_add_str(&buf, "kept");
        if (wz_json_add_decoded_base64(&buf, wz_slice_str(cases[i])) != WZ_ERR_INVALID)
            fail_msg("%s", cases[i]);
        assert_string_equal(wz_buf_str(&buf), "kept");
    }
}

static void test_text_compact_takes_white_space_only_between_tokens(void **state)
{
    static const char *const cases[][2] = {
        {"{ \"a\" : [ 1 , 2 ] ,\r\n\t\"b\" : { } }", "{\"a\":[1,2],\"b\":{}}"},
        {" \"a b  c\" ", "\"a b  c\""},
        {"[\" \\\" \", \"\\\\\" , \" \\u0020 \"]", "[\" \\\" \",\"\\\\\",\" \\u0020 \"]"},
        {"\"name\" : \"x  y\"", "\"name\":\"x  y\""},
        {"[\"a very long string  with  spaces\\\\\" , \"next  one\"]",
         "[\"a very long string  with  spaces\\\\\",\"next  one\"]"},
        {"true", "true"},
        {"{}", "{}"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check(wz_json_add_compact, wz_slice_str(cases[i][0]), cases[i][1]);
}

static void test_text_unescaped_gives_what_a_string_stands_for(void **state)
{
    static const char *const cases[][2] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\"a\\ud83db\"", "a\xef\xbf\xbd"
                          "b"},
        {"\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                               "A"},
        {"\"gr\xc3\xbcn\"", "gr\xc3\xbcn"},
        {"\"a run of more than sixteen bytes\\tand on\"",
         "a run of more than sixteen bytes\tand on"},
        {"\"\\u07ff\\u0800\\uffff\"", "\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"},
    };
    WZ_AUTO(wz_buf_release) struct wz_buf nul = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check(wz_json_add_unescaped, wz_slice_str(cases[i][0]), cases[i][1]);
    wz_json_add_unescaped(&nul, WZ_SLICE_LIT("\"a\\u0000b\""));
    assert_true(wz_slice_eq(wz_buf_slice(&nul), WZ_SLICE_LIT("a\0b")));
}

static void test_text_string_of_any_character_is_json_and_comes_back(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 0x80; c++) {
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
        WZ_AUTO(wz_buf_release) struct wz_buf back = {0};
        uint8_t bytes[] = {'x', (uint8_t)c, (uint8_t)c, 'y'};
        struct wz_json_scan found;

        wz_json_add_string(&text, wz_slice(bytes, sizeof(bytes)));
        wz_json_scan(wz_buf_slice(&text), &found);
        assert_int_equal(found.kind, WZ_JSON_STRING);
        wz_json_add_unescaped(&back, wz_buf_slice(&text));
        assert_true(wz_slice_eq(wz_buf_slice(&back), wz_slice(bytes, sizeof(bytes))));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_string_escapes_only_what_it_must),
        cmocka_unit_test(test_text_base64_gives_the_vectors_both_ways),
        cmocka_unit_test(test_text_base64_refuses_what_it_never_writes),
        cmocka_unit_test(test_text_compact_takes_white_space_only_between_tokens),
        cmocka_unit_test(test_text_unescaped_gives_what_a_string_stands_for),
        cmocka_unit_test(test_text_string_of_any_character_is_json_and_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
