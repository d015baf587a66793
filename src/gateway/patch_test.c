// SPDX-License-Identifier: Apache-2.0
#include "gateway/patch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

// The cases of RFC 7396, appendix A.
static void test_patch_does_what_the_rfc_shows(void **state)
{
    static const char *const cases[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *target = json_loads(cases[i][0], JSON_DECODE_ANY, NULL);
        json_t *before = json_deep_copy(target);
        json_t *patch = json_loads(cases[i][1], JSON_DECODE_ANY, NULL);
        json_t *wanted = json_loads(cases[i][2], JSON_DECODE_ANY, NULL);
        json_t *result = wz_patch_apply(target, patch);

        assert_true(json_equal(result, wanted));
        assert_true(json_equal(target, before));
        json_decref(target);
        json_decref(before);
        json_decref(patch);
        json_decref(wanted);
        json_decref(result);
    }
}

static void test_patch_makes_an_object_of_nothing(void **state)
{
    json_t *patch = json_pack("{s:i, s:n}", "a", 1, "b");
    json_t *result = wz_patch_apply(NULL, patch);

    (void)state;
    assert_int_equal(json_object_size(result), 1);
    json_decref(result);
    json_decref(patch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patch_does_what_the_rfc_shows),
        cmocka_unit_test(test_patch_makes_an_object_of_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
