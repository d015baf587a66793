// SPDX-License-Identifier: Apache-2.0
#include "gateway/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_uri_decodes_what_it_encodes(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf bytes = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf back = {0};

    (void)state;
    for (int c = 1; c < 256; c++)
        wz_buf_add_byte(&bytes, (uint8_t)c);
    wz_uri_encode(&text, wz_buf_slice(&bytes));
    for (size_t i = 0; i < text.len; i++)
        assert_true(text.ptr[i] > 0x20 && text.ptr[i] < 0x7f &&
                    strchr("/?&=+#", text.ptr[i]) == NULL);
    assert_int_equal(wz_uri_decode(wz_buf_slice(&text), &back), WZ_OK);
    assert_true(wz_slice_eq(wz_buf_slice(&back), wz_buf_slice(&bytes)));
}

static void test_uri_refuses_wrong_encoding_and_leaves_the_buffer(void **state)
{
    static const char *const texts[] = {"%", "a%2", "%zz", "%2g", "%00", "ab%"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

        wz_buf_add_str(&buf, "kept");
        assert_int_equal(wz_uri_decode(wz_slice_str(texts[i]), &buf), WZ_ERR_INVALID);
        assert_string_equal(wz_buf_str(&buf), "kept");
    }
}

static void test_uri_splits_path_and_query(void **state)
{
    struct wz_slice path;
    struct wz_slice query;

    (void)state;
    wz_uri_split(WZ_SLICE_LIT("/a/b?c=d?e"), &path, &query);
    assert_true(wz_slice_eq(path, WZ_SLICE_LIT("/a/b")));
    assert_true(wz_slice_eq(query, WZ_SLICE_LIT("c=d?e")));
    wz_uri_split(WZ_SLICE_LIT("/a"), &path, &query);
    assert_true(wz_slice_eq(path, WZ_SLICE_LIT("/a")));
    assert_int_equal(query.len, 0);
}

static void test_uri_finds_the_first_parameter_of_a_name(void **state)
{
    struct wz_slice query = WZ_SLICE_LIT("&&ab=0&a=%23+x%2B&a=2&flag&bad=%z");
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    assert_int_equal(wz_uri_query_find(query, "a", &buf), WZ_OK);
    assert_string_equal(wz_buf_str(&buf), "# x+");
    buf.len = 0;
    assert_int_equal(wz_uri_query_find(query, "flag", &buf), WZ_OK);
    assert_int_equal(buf.len, 0);
    assert_int_equal(wz_uri_query_find(query, "b", &buf), WZ_ERR_NOT_FOUND);
    assert_int_equal(wz_uri_query_find(query, "bad", &buf), WZ_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uri_decodes_what_it_encodes),
        cmocka_unit_test(test_uri_refuses_wrong_encoding_and_leaves_the_buffer),
        cmocka_unit_test(test_uri_splits_path_and_query),
        cmocka_unit_test(test_uri_finds_the_first_parameter_of_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
