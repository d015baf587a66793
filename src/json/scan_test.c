// SPDX-License-Identifier: Apache-2.0
#include "json/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const valid[] = {
    "{}",
    "[]",
    "\"\"",
    "0",
    "true",
    "false",
    "null",
    "{\"value\":23.51,\"unit\":\"C\",\"seq\":123456,\"pad\":"
    "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
    "[1,[2,[3,{\"a\":[{}]}]],\"x\"]",
    "{\"a\":{\"b\":[true,false,null]},\"c\":\"\"}",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\\ud800\"",
    "\"gr\xc3\xbc\xc3\x9f"
    "e \xe2\x82\xac \xf0\x9f\x98\x80 and more than sixteen bytes\"",
    " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } }\n",
    "[[],[[]],{},[{}]]",
    "\"\x7f\"",
};

static struct wz_json_scan scan(struct wz_slice body)
{
    struct wz_json_scan found;

    wz_json_scan(body, &found);
    return found;
}

static struct wz_json_scan scan_text(const char *text) { return scan(wz_slice_str(text)); }

static void test_scan_tells_the_kind_and_the_trimmed_members(void **state)
{
    static const struct {
        const char *body;
        enum wz_json_kind kind;
        const char *members;
    } cases[] = {
        {"{\"a\":1}", WZ_JSON_OBJECT, "\"a\":1"},
        {" { \"a\" : 1 } ", WZ_JSON_OBJECT, "\"a\" : 1"},
        {"{}", WZ_JSON_OBJECT, ""},
        {"{ \n }", WZ_JSON_OBJECT, ""},
        {"{\"a\":1,\"a\":2}", WZ_JSON_OBJECT, "\"a\":1,\"a\":2"},
        {" [1] ", WZ_JSON_ARRAY, "[1]"},
        {"\"x\"\n", WZ_JSON_STRING, "\"x\""},
        {" -1.5e+3 ", WZ_JSON_NUMBER, "-1.5e+3"},
        {"true", WZ_JSON_TRUE, "true"},
        {"\tfalse", WZ_JSON_FALSE, "false"},
        {"null", WZ_JSON_NULL, "null"},
        {" plain text ", WZ_JSON_NONE, "plain text"},
        {"", WZ_JSON_NONE, ""},
        {" ", WZ_JSON_NONE, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct wz_json_scan found = scan_text(cases[i].body);

        assert_int_equal(found.kind, cases[i].kind);
        assert_true(wz_slice_eq(found.members, wz_slice_str(cases[i].members)));
        assert_false(found.reserved);
    }
    assert_int_equal(scan(wz_slice(NULL, 0)).kind, WZ_JSON_NONE);
}

static void test_scan_accepts_what_the_grammar_allows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(valid); i++) {
        if (scan_text(valid[i]).kind == WZ_JSON_NONE)
            fail_msg("%s", valid[i]);
    }
}

static const char *const invalid[] = {
    "{",
    "}",
    "[",
    "]",
    "\"",
    "{]",
    "[}",
    "[1}",
    "{\"a\":1]",
    "{,}",
    "[,]",
    "[1,]",
    "[,1]",
    "[1,,2]",
    "[1 2]",
    "{\"a\":1,}",
    "{,\"a\":1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\" 1}",
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\"::1}",
    "{}{}",
    "[][]",
    "1 2",
    "{} x",
    "true false",
    "tru",
    "truE",
    "True",
    "nul",
    "nulll",
    "truee",
    "'a'",
    "\"a",
    "a\"",
    "\"a\"b",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\",
    "\"\\u\"",
    "\"\\\"",
    "\"a\nb\"",
    "\"\t\"",
    "\"\x01\"",
    "\"\x1f\"",
    "\xef\xbb\xbf{}",
    "{}\v",
    "\f{}",
    "\xc2\xa0{}",
    "/* */ 1",
    "1 // x",
    "undefined",
    "[1]]",
    "{\"a\":[}",
    "{\"a\":{]}",
    ":",
    ",",
    "\\",
    "[\"a\":1]",
    "{[]:1}",
    "{\"a\":tru}",
    "\"\x80\"",
    "\"\xc0\xaf\"",
    "\"\xc3\"",
    "\"\xed\xa0\x80\"",
    "\"\xf4\x90\x80\x80\"",
    "\"\xe2\x82\"",
    "\"\xff\"",
    "\xc3\xbc",
    "\"\xf8\x88\x80\x80\x80\"",
    "{\"\xc3\":1}",
    "[1,2",
    "{\"a\":1,\"b\"",
    "-",
    "[-]",
    "{\"a\":-}",
};

static void test_scan_rejects_what_the_grammar_forbids(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(invalid); i++) {
        if (scan_text(invalid[i]).kind != WZ_JSON_NONE)
            fail_msg("%s", invalid[i]);
    }
    assert_int_equal(scan(WZ_SLICE_LIT("{}\0")).kind, WZ_JSON_NONE);
    assert_int_equal(scan(WZ_SLICE_LIT("\"\0\"")).kind, WZ_JSON_NONE);
    assert_int_equal(scan(WZ_SLICE_LIT("\0")).kind, WZ_JSON_NONE);
}

static void test_scan_knows_the_grammar_of_numbers(void **state)
{
    static const struct {
        const char *text;
        bool number;
    } cases[] = {
        {"0", true},
        {"-0", true},
        {"7", true},
        {"-7", true},
        {"10", true},
        {"0.5", true},
        {"-0.0", true},
        {"1e5", true},
        {"1E5", true},
        {"1e+5", true},
        {"1E-5", true},
        {"1.25e10", true},
        {"0e0", true},
        {"1e400", true},
        {"-1e-400", true},
        {"123456789012345678901234567890123456789012345678901234567890.1234567890", true},
        {"01", false},
        {"-01", false},
        {"00", false},
        {"1.", false},
        {".5", false},
        {"-.5", false},
        {"+1", false},
        {"-", false},
        {"--1", false},
        {"1e", false},
        {"1e+", false},
        {"1.e5", false},
        {"1.5.2", false},
        {"0x10", false},
        {"1_000", false},
        {"NaN", false},
        {"Infinity", false},
        {"-Infinity", false},
        {"1f", false},
        {"1e5.5", false},
        {"- 1", false},
        {"1 .5", false},
        {"\xd9\xa1", false},
        {"1e--5", false},
        {"0e", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf inside = {0};
        enum wz_json_kind kind = scan_text(cases[i].text).kind;

        if (kind != (cases[i].number ? WZ_JSON_NUMBER : WZ_JSON_NONE))
            fail_msg("%s", cases[i].text);
        wz_buf_addf(&inside, "{\"a\":[%s]}", cases[i].text);
        if ((scan(wz_buf_slice(&inside)).kind == WZ_JSON_OBJECT) != cases[i].number)
            fail_msg("%s", wz_buf_str(&inside));
    }
}

// COUNT levels, arrays and objects by turns as the bits of SHAPE say, with INSIDE in the middle.
static void nest(struct wz_buf *ret_buf, int count, unsigned shape, const char *inside)
{
    for (int i = 0; i < count; i++)
        wz_buf_add_str(ret_buf, (shape >> (i % 8) & 1) != 0 ? "{\"a\":" : "[");
    wz_buf_add_str(ret_buf, inside);
    for (int i = count - 1; i >= 0; i--)
        wz_buf_add_byte(ret_buf, (shape >> (i % 8) & 1) != 0 ? '}' : ']');
}

static void test_scan_accepts_128_levels_and_no_more(void **state)
{
    static const unsigned shapes[] = {0x00, 0xff, 0xaa, 0x55, 0x0f, 0x13};

    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf fits = {0};
        WZ_AUTO(wz_buf_release) struct wz_buf deep = {0};

        nest(&fits, WZ_JSON_DEPTH_MAX, shapes[i], "1");
        assert_int_not_equal(scan(wz_buf_slice(&fits)).kind, WZ_JSON_NONE);
        nest(&deep, WZ_JSON_DEPTH_MAX + 1, shapes[i], "1");
        assert_int_equal(scan(wz_buf_slice(&deep)).kind, WZ_JSON_NONE);
        for (size_t j = fits.len - WZ_JSON_DEPTH_MAX; j < fits.len; j++) { // one wrong bracket
            fits.ptr[j] ^= ']' ^ '}';
            assert_int_equal(scan(wz_buf_slice(&fits)).kind, WZ_JSON_NONE);
            fits.ptr[j] ^= ']' ^ '}';
        }
    }
    assert_int_equal(scan_text("[[],[],[[],[]]]").kind, WZ_JSON_ARRAY);
}

static void test_scan_sees_reserved_names_at_the_top_only(void **state)
{
    static const struct {
        const char *body;
        bool reserved;
    } cases[] = {
        {"{\"_id\":1}", true},
        {"{\"a\":{\"b\":[1]},\"_received\":{}}", true},
        {"{\"\\u005fid\":1}", true},
        {"{\"_\\u0069d\":1}", true},
        {"{\"a\":1,\"\\u005f\\u0074opic\":1}", true},
        {"{\"a\":{\"_id\":1}}", false},
        {"{\"a\":[{\"_id\":1}]}", false},
        {"{\"a\":\"_id\"}", false},
        {"{\"_idx\":1}", false},
        {"{\"\":1}", false},
        {"{\"\\n\":1}", false},
        {"[{\"_id\":1}]", false},
        {"\"_id\"", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct wz_json_scan found = scan_text(cases[i].body);

        assert_int_not_equal(found.kind, WZ_JSON_NONE);
        if (found.reserved != cases[i].reserved)
            fail_msg("%s", cases[i].body);
    }
}

// One page that can be read, between two that cannot.
static uint8_t *guarded_page(size_t page)
{
    uint8_t *pages = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_READ | PROT_WRITE), 0);
    return pages + page;
}

// Each truncation stands once at the start of its page, and once at the end.
static void test_scan_never_reads_outside_any_truncation(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *guarded = guarded_page(page);

    (void)state;
    for (size_t i = 0; i < COUNT(valid); i++) {
        size_t whole = strlen(valid[i]);
        size_t needed = whole;

        while (valid[i][needed - 1] == '\n')
            needed--;
        for (size_t len = 0; len < whole; len++) {
            uint8_t *at_end = guarded + page - len;

            memcpy(guarded, valid[i], len);
            assert_int_equal(scan(wz_slice(guarded, len)).kind != WZ_JSON_NONE, len >= needed);
            memcpy(at_end, valid[i], len);
            assert_int_equal(scan(wz_slice(at_end, len)).kind != WZ_JSON_NONE, len >= needed);
        }
    }
    assert_int_equal(munmap(guarded - page, 3 * page), 0);
}

// A string of LEN bytes with the two bytes of PAIR somewhere is JSON just when it is UTF-8.
static void test_scan_checks_utf8_at_every_place_in_a_string(void **state)
{
    static const char *const pairs[] = {"\xc3\xa4", "\xc3",     "\xa4",
                                        "\xc3\xc3", "\xc0\x80", "\xed\xa0"};

    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        for (size_t len = 2; len < 40; len++) {
            for (size_t place = 0; place + 2 <= len; place++) {
                uint8_t body[64];

                memset(body, 'x', len + 2);
                body[0] = '"';
                body[len + 1] = '"';
                memcpy(body + 1 + place, pairs[i], strlen(pairs[i]));
                assert_int_equal(scan(wz_slice(body, len + 2)).kind == WZ_JSON_STRING,
                                 wz_utf8_valid(wz_slice(body, len + 2)));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_tells_the_kind_and_the_trimmed_members),
        cmocka_unit_test(test_scan_accepts_what_the_grammar_allows),
        cmocka_unit_test(test_scan_rejects_what_the_grammar_forbids),
        cmocka_unit_test(test_scan_knows_the_grammar_of_numbers),
        cmocka_unit_test(test_scan_accepts_128_levels_and_no_more),
        cmocka_unit_test(test_scan_sees_reserved_names_at_the_top_only),
        cmocka_unit_test(test_scan_never_reads_outside_any_truncation),
        cmocka_unit_test(test_scan_checks_utf8_at_every_place_in_a_string),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
