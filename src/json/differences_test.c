// SPDX-License-Identifier: Apache-2.0
#include "json/differences_test.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_differences_from_jansson_are_the_listed_ones(void **state)
{
    static const struct {
        const char *body;
        int row;
    } cases[] = {
        {"1e400", 0},
        {"[-1e999]", 0},
        {"\"\\ud800\"", 1},
        {"[\"\\udc00x\"]", 1},
        {"\"\\ud83d\\u0041\"", 1},
        {"{\"a\\u0000\":1}", 2},
        {"{\"a\":1}", -1},
        {"01", -1},
        {"\"\\u0000\"", -1},
        {"1e-400", -1},
        {"NaN", -1},
        {"123456789012345678901234567890", -1},
    };
    WZ_AUTO(wz_buf_release) struct wz_buf deep = {0};
    int row;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(wz_json_agrees(wz_slice_str(cases[i].body), &row));
        assert_int_equal(row, cases[i].row);
    }
    for (int i = 0; i < 129; i++)
        wz_buf_add_byte(&deep, '[');
    for (int i = 0; i < 129; i++)
        wz_buf_add_byte(&deep, ']');
    assert_true(wz_json_agrees(wz_buf_slice(&deep), &row));
    assert_int_equal(row, WZ_JSON_REFUSED_DEPTH);
    assert_true(wz_json_agrees(WZ_SLICE_LIT("[1\0,2]"), &row));
    assert_int_equal(row, WZ_JSON_REFUSED_NUL);
    assert_true(wz_json_agrees(WZ_SLICE_LIT("null\0"), &row));
    assert_int_equal(row, WZ_JSON_REFUSED_NUL);
    assert_true(wz_json_agrees(WZ_SLICE_LIT("[\0]"), &row));
    assert_int_equal(row, -1);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 9;
}

// Changes, removes or adds some bytes of a document.
static void mutate(struct wz_buf *buf, uint32_t *seed)
{
    static const char bytes[] = "{}[]\",:\\ueE+-.0159tfn \t\n\x01\x80\xc3\xa9\xed\xa0\xff/bdD8aul";

    for (uint32_t times = next_random(seed) % 4; times > 0 && buf->len > 0; times--) {
        uint32_t pos = next_random(seed) % (uint32_t)buf->len;
        uint8_t byte = (uint8_t)bytes[next_random(seed) % (sizeof(bytes) - 1)];
        uint32_t what = next_random(seed) % 3;

        if (what == 0) {
            buf->ptr[pos] = byte;
        } else if (what == 1) {
            memmove(buf->ptr + pos, buf->ptr + pos + 1, buf->len - pos - 1);
            buf->len--;
        } else {
            wz_buf_add_byte(buf, 0);
            memmove(buf->ptr + pos + 1, buf->ptr + pos, buf->len - pos - 1);
            buf->ptr[pos] = byte;
        }
    }
}

static void test_differences_on_mutated_documents_are_the_listed_ones(void **state)
{
    static const char *const documents[] = {
        "{\"value\":23.51,\"unit\":\"C\",\"seq\":123456,\"list\":[1,2,-3e5,0.25]}",
        "[true,false,null,{},[],\"\",\"a\\n\\u00e9\\ud83d\\ude00\",{\"a\":{\"b\":[{}]}}]",
        "\"gr\xc3\xbcn, \xe2\x82\xac \xf0\x9f\x98\x80 and more\"",
        " { \"a\" : [ 1 , 2 ] , \"b\" : { \"c\" : -0.5E-10 } } ",
        "-123.456e+78",
        "{\"\":\"\",\"\\u0061\":\"\\\\\\\"\\/\\b\\f\\n\\r\\t\"}",
    };
    uint32_t seed = 2026;
    int accepted = 0;

    (void)state;
    for (int round = 0; round < 120000; round++) {
        WZ_AUTO(wz_buf_release) struct wz_buf body = {0};
        struct wz_json_scan found;
        int row;

        wz_buf_add_str(&body, documents[(unsigned)round % COUNT(documents)]);
        mutate(&body, &seed);
        wz_json_scan(wz_buf_slice(&body), &found);
        accepted += found.kind != WZ_JSON_NONE;
        if (!wz_json_agrees(wz_buf_slice(&body), &row))
            fail_msg("round %d: %s", round, wz_buf_str(&body));
    }
    assert_in_range(accepted, 20000, 100000); // the mutations reach both sides
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences_from_jansson_are_the_listed_ones),
        cmocka_unit_test(test_differences_on_mutated_documents_are_the_listed_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
