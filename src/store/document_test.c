// SPDX-License-Identifier: Apache-2.0
#include "store/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/mem.h"

static void test_collection_find_takes_every_name_back(void **state)
{
    (void)state;
    for (int i = 0; i < WZ_COLLECTION_COUNT; i++)
        assert_int_equal(wz_collection_find(wz_collection_name((enum wz_collection)i)), i);
    assert_int_equal(wz_collection_find("device"), WZ_COLLECTION_COUNT);
    assert_int_equal(wz_collection_find(""), WZ_COLLECTION_COUNT);
}

static void test_document_check_name_keeps_the_rules(void **state)
{
    static const struct {
        const char *name;
        int result;
    } vectors[] = {
        {"mesh/b5ea3f/42", WZ_OK}, {"a", WZ_OK},
        {" .*#+\"'=\\", WZ_OK},    {"\xc3\xa4\xf0\x9f\x92\xa1", WZ_OK},
        {"\xc2\xa0", WZ_OK},       {"", WZ_ERR_INVALID},
        {"a\nb", WZ_ERR_INVALID},  {"a\tb", WZ_ERR_INVALID},
        {"\x7f", WZ_ERR_INVALID},  {"\xc2\x85", WZ_ERR_INVALID},
        {"\xff", WZ_ERR_INVALID},  {"\xed\xa0\x80", WZ_ERR_INVALID},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_int_equal(wz_document_check_name(WZ_COLLECTION_DEVICES, vectors[i].name, NULL),
                         vectors[i].result);
}

static void test_document_check_name_keeps_the_longest_length(void **state)
{
    char name[WZ_DOCUMENT_NAME_MAX + 2];
    struct wz_problem problem;
    (void)state;

    memset(name, 'x', sizeof(name));
    name[WZ_DOCUMENT_NAME_MAX] = '\0';
    assert_int_equal(wz_document_check_name(WZ_COLLECTION_DEVICES, name, NULL), WZ_OK);
    name[WZ_DOCUMENT_NAME_MAX] = 'x';
    name[WZ_DOCUMENT_NAME_MAX + 1] = '\0';
    assert_int_equal(wz_document_check_name(WZ_COLLECTION_DEVICES, name, &problem), WZ_ERR_INVALID);
    assert_int_equal(problem.code, WZ_CODE_DOCUMENT_NAME);
    assert_string_equal(problem.where, "devices");
}

// An object whose compact text has LEN bytes.
static json_t *object_of(size_t len)
{
    char *filler = wz_alloc(len);
    json_t *body = json_object();

    memset(filler, 'x', len);
    json_object_set_new(body, "x", json_stringn(filler, len - strlen("{\"x\":\"\"}")));
    wz_free(filler);
    return body;
}

static void test_document_encode_keeps_the_largest_body(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    json_t *fits = object_of(WZ_DOCUMENT_BODY_MAX);
    json_t *over = object_of(WZ_DOCUMENT_BODY_MAX + 1);
    struct wz_problem problem;
    (void)state;

    assert_int_equal(wz_document_encode(WZ_COLLECTION_SCRIPTS, "s", over, &text, &problem),
                     WZ_ERR_TOO_LARGE);
    assert_int_equal(problem.code, WZ_CODE_DOCUMENT_TOO_LARGE);
    assert_string_equal(problem.where, "scripts/s");
    assert_int_equal(text.len, 0);
    assert_int_equal(wz_document_encode(WZ_COLLECTION_SCRIPTS, "s", fits, &text, NULL), WZ_OK);
    assert_int_equal(text.len, WZ_DOCUMENT_BODY_MAX);
    json_decref(fits);
    json_decref(over);
}

static void test_document_body_comes_back_as_it_was(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"z\":1,\"a\":[true,null,{\"x\":\"\\u0000\"}],\"m\":1.5}",
        "{\"big\":9007199254740993,\"text\":\"\xc3\xa4\\n\"}",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf again = {0};
        json_t *body = NULL;

        assert_int_equal(wz_document_decode(wz_slice_str(texts[i]), &body), WZ_OK);
        assert_int_equal(wz_document_encode(WZ_COLLECTION_TYPES, "t", body, &again, NULL), WZ_OK);
        assert_string_equal(wz_buf_str(&again), texts[i]);
        json_decref(body);
    }
}

static void test_document_decode_refuses_what_is_no_object(void **state)
{
    static const char *const texts[] = {"", "[]", "1", "{", "{} x", "null"};
    json_t *body = NULL;
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(wz_document_decode(wz_slice_str(texts[i]), &body), WZ_ERR_CORRUPT);
    assert_null(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collection_find_takes_every_name_back),
        cmocka_unit_test(test_document_check_name_keeps_the_rules),
        cmocka_unit_test(test_document_check_name_keeps_the_longest_length),
        cmocka_unit_test(test_document_encode_keeps_the_largest_body),
        cmocka_unit_test(test_document_body_comes_back_as_it_was),
        cmocka_unit_test(test_document_decode_refuses_what_is_no_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
