// SPDX-License-Identifier: Apache-2.0
#include "cli/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

// The outputs for what a script emits on TOPIC, as text that the caller frees.
static char *outputs_of(const char *topic, struct wz_slice body)
{
    const struct wz_frame_item item = {
        .kind = WZ_FRAME_ITEM_EMIT, .topic = wz_slice_str(topic), .body = body};
    json_t *outputs = json_array();
    char *text;

    wz_comparison_add(outputs, &item);
    text = json_dumps(outputs, JSON_COMPACT);
    json_decref(outputs);
    return text;
}

static void test_comparison_takes_bodies_as_records_have_them(void **state)
{
    static const struct {
        const char *topic;
        struct wz_slice body;
        const char *outputs;
    } cases[] = {
        {"a", {(const uint8_t *)"{\"n\": 1.0}", 10}, "[{\"topic\":\"a\",\"body\":{\"n\":1.0}}]"},
        {"a", {(const uint8_t *)" x\n", 3}, "[{\"topic\":\"a\",\"body\":{\"value\":\"x\"}}]"},
        {"a", {(const uint8_t *)"7", 1}, "[{\"topic\":\"a\",\"body\":{\"value\":\"7\"}}]"},
        {"a", {(const uint8_t *)"[1]", 3}, "[{\"topic\":\"a\",\"body\":{\"value\":\"[1]\"}}]"},
        {"a", {NULL, 0}, "[{\"topic\":\"a\",\"body\":{\"value\":\"\"}}]"},
        {"a",
         {(const uint8_t *)"\xff", 1},
         "[{\"topic\":\"a\",\"body\":{\"value\":\"/w==\",\"_encoding\":\"base64\"}}]"},
        {"logs.info", {(const uint8_t *)"7", 1}, "[]"},
        {"logs.mine",
         {(const uint8_t *)"7", 1},
         "[{\"topic\":\"logs.mine\",\"body\":{\"value\":\"7\"}}]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *outputs = outputs_of(cases[i].topic, cases[i].body);

        assert_string_equal(outputs, cases[i].outputs);
        free(outputs);
    }
}

static void test_comparison_tells_same_changed_new_and_missing(void **state)
{
    static const struct {
        const char *outputs;
        const char *deployed;
        const char *word;
    } cases[] = {
        {"[]", NULL, "same"},
        {"[]", "[]", "same"},
        {"[1, {\"a\": 2}]", "[1, {\"a\": 2}]", "same"},
        {"[1, 2]", "[2, 1]", "changed"},
        {"[1]", "[1, 1]", "changed"},
        {"[1]", "[]", "new"},
        {"[1]", NULL, "new"},
        {"[]", "[1]", "missing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *outputs = json_loads(cases[i].outputs, 0, NULL);
        json_t *deployed =
            cases[i].deployed != NULL ? json_loads(cases[i].deployed, 0, NULL) : NULL;

        assert_string_equal(wz_comparison_word(wz_comparison_of(outputs, deployed)), cases[i].word);
        json_decref(outputs);
        json_decref(deployed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comparison_takes_bodies_as_records_have_them),
        cmocka_unit_test(test_comparison_tells_same_changed_new_and_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
