// SPDX-License-Identifier: Apache-2.0
#include "engine/pass_explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

// What is said of TOPIC, as text, with the rules in RULES, an object of documents by name.
static void assert_said(const char *rules, const char *topic, const char *expected)
{
    json_t *object = json_loads(rules, 0, NULL);
    struct wz_document items[8] = {0};
    struct wz_document_list list = {.items = items};
    const char *name;
    json_t *body;
    json_t *said;
    char *text;

    assert_non_null(object);
    json_object_foreach(object, name, body) items[list.count++] =
        (struct wz_document){.name = (char *)(uintptr_t)name, .revision = 1, .body = body};
    said = wz_pass_explain(&list, wz_slice_str(topic));
    text = json_dumps(said, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(said);
    json_decref(object);
}

static void test_pass_explain_names_rules_in_the_order_in_which_they_are_tried(void **state)
{
    (void)state;
    assert_said(
        "{\"b\":{\"pattern\":\"a.#\"},\"c\":{\"pattern\":\"#\",\"order\":7,\"rename\":\"x.{1}\"},"
        "\"a\":{\"pattern\":\"a.b\"},\"other\":{\"pattern\":\"b.#\",\"order\":1}}",
        "a.b",
        "[{\"rule\":\"c\",\"pattern\":\"#\",\"order\":7,\"decides\":true,\"topic\":\"x.a.b\"},"
        "{\"rule\":\"a\",\"pattern\":\"a.b\",\"order\":100,\"decides\":false,"
        "\"note\":\"It is not asked: c comes first, and decides alone.\"},"
        "{\"rule\":\"b\",\"pattern\":\"a.#\",\"order\":100,\"decides\":false,"
        "\"note\":\"It is not asked: c comes first, and decides alone.\"}]");
}

static void test_pass_explain_leaves_out_rules_that_are_not_in_force(void **state)
{
    (void)state;
    assert_said("{}", "a", "[]");
    assert_said("{\"off\":{\"pattern\":\"#\",\"active\":false},\"wrong\":{\"pattern\":\"a.#.\"},"
                "\"worse\":{\"pattern\":\"#\",\"rate\":\"1\"},\"on\":{\"pattern\":\"*\"}}",
                "a",
                "[{\"rule\":\"on\",\"pattern\":\"*\",\"order\":100,\"decides\":true,"
                "\"topic\":\"a\"}]");
}

static void test_pass_explain_says_when_the_new_name_is_none(void **state)
{
    (void)state;
    assert_said(
        "{\"r\":{\"pattern\":\"a.*\",\"rename\":\"b.{1}\"},\"s\":{\"pattern\":\"#\"}}", "a.output",
        "[{\"rule\":\"r\",\"pattern\":\"a.*\",\"order\":100,\"decides\":true,"
        "\"note\":\"It is dropped: its new name would be no topic, or that of a command.\"},"
        "{\"rule\":\"s\",\"pattern\":\"#\",\"order\":100,\"decides\":false,"
        "\"note\":\"It is not asked: r comes first, and decides alone.\"}]");
}

static void test_pass_explain_says_what_came_before_decides(void **state)
{
    static const char *const vectors[][2] = {
        {"\"rate\":0.1", "10 s have gone by since the last of its topic that passed"},
        {"\"change\":{\"member\":\"value\"}",
         "\\\"value\\\" differs from that of the last of its topic that passed"},
        {"\"rate\":2,\"change\":{\"member\":\"v\",\"deadband\":0.5,\"atleast\":\"10m\"}",
         "\\\"v\\\" differs by more than 0.5 from that of the last of its topic that passed, or "
         "600 s "
         "have gone by since; and when 0.5 s have gone by since the last of its topic that passed"},
        {"\"change\":{\"member\":\"v\",\"deadband\":\"10%\"}",
         "\\\"v\\\" differs by more than 10% from that of the last of its topic that passed"},
    };
    char rules[256];
    char expected[512];

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        (void)snprintf(rules, sizeof(rules), "{\"r\":{\"pattern\":\"#\",%s}}", vectors[i][0]);
        (void)snprintf(
            expected, sizeof(expected),
            "[{\"rule\":\"r\",\"pattern\":\"#\",\"order\":100,\"decides\":true,"
            "\"topic\":\"a\",\"note\":\"What came before decides. It passes when %s. The "
            "first of its topic passes.\"}]",
            vectors[i][1]);
        assert_said(rules, "a", expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pass_explain_names_rules_in_the_order_in_which_they_are_tried),
        cmocka_unit_test(test_pass_explain_leaves_out_rules_that_are_not_in_force),
        cmocka_unit_test(test_pass_explain_says_when_the_new_name_is_none),
        cmocka_unit_test(test_pass_explain_says_what_came_before_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
