// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/pass_rule.h"

static json_t *parse(const char *text)
{
    json_t *body = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    assert_non_null(body);
    return body;
}

static struct wz_pass_rule make(const char *name, const char *text)
{
    struct wz_pass_rule rule;
    json_t *body = parse(text);

    assert_int_equal(wz_pass_rule_check(name, body, NULL), WZ_OK);
    wz_pass_rule_init(&rule, name, body);
    json_decref(body);
    return rule;
}

static void test_pass_rule_reads_all_there_is(void **state)
{
    struct wz_pass_rule rule =
        make("r", "{\"pattern\":\"kitchen.#\",\"order\":-3,\"rename\":\"home.{1}\",\"rate\":0.5,"
                  "\"change\":{\"member\":\"va\\\"lue\",\"deadband\":\"10%\",\"atleast\":\"10m\"},"
                  "\"active\":false,\"description\":\"why\"}");

    (void)state;
    assert_string_equal(rule.name, "r");
    assert_string_equal(rule.pattern, "kitchen.#");
    assert_string_equal(rule.rename, "home.{1}");
    assert_int_equal(rule.order, -3);
    assert_true(rule.rate == 0.5);
    assert_string_equal(wz_buf_str(&rule.member), "\"va\\\"lue\"");
    assert_true(rule.deadband.relative && rule.deadband.width == 0.1);
    assert_int_equal(rule.atleast_ms, 600000);
    assert_false(rule.active);
    assert_true(wz_pass_rule_remembers(&rule));
    wz_pass_rule_release(&rule);
}

static void test_pass_rule_has_defaults(void **state)
{
    struct wz_pass_rule rule = make("r", "{\"pattern\":\"a\"}");

    (void)state;
    assert_null(rule.rename);
    assert_int_equal(rule.order, WZ_PASS_ORDER);
    assert_true(rule.active);
    assert_false(wz_pass_rule_remembers(&rule));
    wz_pass_rule_release(&rule);
}

static void test_pass_rule_is_refused_with_place_and_fix(void **state)
{
    static const struct {
        const char *body;
        const char *said;
    } cases[] = {
        {"[]", "must be an object"},
        {"{}", "\"pattern\""},
        {"{\"pattern\":\"\"}", "\"pattern\""},
        {"{\"pattern\":\"a.b#\"}", "\"pattern\""},
        {"{\"pattern\":\"a..b\"}", "\"pattern\""},
        {"{\"pattern\":\"#.\"}", "\"pattern\""},
        {"{\"pattern\":7}", "\"pattern\" must be a text"},
        {"{\"pattern\":\"a\",\"patern\":\"b\"}", "no member \"patern\""},
        {"{\"pattern\":\"a\",\"order\":1.5}", "\"order\" must be a whole number"},
        {"{\"pattern\":\"a\",\"order\":1000001}", "\"order\" must be"},
        {"{\"pattern\":\"a\",\"order\":-9223372036854775808}", "\"order\" must be"},
        {"{\"pattern\":\"a\",\"rate\":0}", "\"rate\" must be"},
        {"{\"pattern\":\"a\",\"rate\":-1}", "\"rate\" must be"},
        {"{\"pattern\":\"a\",\"rate\":1000.5}", "\"rate\" must be"},
        {"{\"pattern\":\"a\",\"rate\":\"1\"}", "\"rate\" must be a number"},
        {"{\"pattern\":\"a\",\"rename\":\"x.output\"}", "topic of a command"},
        {"{\"pattern\":\"a\",\"rename\":\"x\\u0000y\"}", "does not give a topic"},
        {"{\"pattern\":\"a\",\"rename\":null}", "\"rename\" must be a text"},
        {"{\"pattern\":\"a\",\"active\":1}", "\"active\" must be true or false"},
        {"{\"pattern\":\"a\",\"change\":\"value\"}", "\"change\" must be an object"},
        {"{\"pattern\":\"a\",\"change\":{}}", "must name a \"member\""},
        {"{\"pattern\":\"a\",\"change\":{\"member\":\"\"}}", "must name a \"member\""},
        {"{\"pattern\":\"a\",\"change\":{\"member\":\"v\",\"band\":1}}", "no member \"band\""},
        {"{\"pattern\":\"a\",\"change\":{\"member\":\"v\",\"deadband\":-1}}", "\"deadband\""},
        {"{\"pattern\":\"a\",\"change\":{\"member\":\"v\",\"deadband\":\"1\"}}", "\"deadband\""},
        {"{\"pattern\":\"a\",\"change\":{\"member\":\"v\",\"deadband\":\"%\"}}", "\"deadband\""},
        {"{\"pattern\":\"a\",\"change\":{\"member\":\"v\",\"deadband\":\"-1%\"}}", "\"deadband\""},
        {"{\"pattern\":\"a\",\"change\":{\"member\":\"v\",\"deadband\":\"nan%\"}}", "\"deadband\""},
        {"{\"pattern\":\"a\",\"change\":{\"member\":\"v\",\"atleast\":\"10\"}}", "atleast"},
        {"{\"pattern\":\"a\",\"change\":{\"member\":\"v\",\"atleast\":\"0s\"}}", "atleast"},
        {"{\"pattern\":\"a\",\"change\":{\"member\":\"v\",\"atleast\":10}}", "\"atleast\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_problem problem = {0};
        json_t *body = parse(cases[i].body);
        int r = wz_pass_rule_check("r", body, &problem);

        if (r != WZ_ERR_INVALID || problem.code != 2301 || !strstr(problem.what, cases[i].said) ||
            strcmp(problem.where, "passthrough/r") != 0 || problem.fix[0] == '\0')
            fail_msg("%s: %d WYZ-%d %s", cases[i].body, r, problem.code, problem.what);
        assert_int_equal(wz_pass_rule_check("r", body, NULL), WZ_ERR_INVALID);
        json_decref(body);
    }
}

static void test_pass_rule_has_at_most_as_many_words_as_the_bus_takes(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf pattern = {0};

    (void)state;
    wz_buf_add_str(&pattern, "a");
    for (int words = 2; words <= 129; words++) {
        json_t *body;

        wz_buf_add_str(&pattern, ".a");
        body = json_pack("{s:s}", "pattern", wz_buf_str(&pattern));
        assert_int_equal(wz_pass_rule_check("r", body, NULL),
                         words <= 128 ? WZ_OK : WZ_ERR_INVALID);
        json_decref(body);
    }
}

static void test_pass_rules_are_tried_in_order_then_by_name(void **state)
{
    struct wz_pass_rule rules[] = {
        make("b", "{\"pattern\":\"x\"}"),
        make("c", "{\"pattern\":\"x\",\"order\":1}"),
        make("a", "{\"pattern\":\"x\"}"),
        make("d", "{\"pattern\":\"x\",\"order\":101}"),
    };
    char names[5] = "";

    (void)state;
    qsort(rules, 4, sizeof(rules[0]), wz_pass_rule_cmp);
    for (int i = 0; i < 4; i++) {
        names[i] = rules[i].name[0];
        wz_pass_rule_release(&rules[i]);
    }
    assert_string_equal(names, "cabd");
}

static void test_pass_rule_is_told_from_one_that_does_something_else(void **state)
{
    static const char *const same[] = {
        "{\"pattern\":\"x\",\"rate\":1,\"change\":{\"member\":\"v\",\"deadband\":1}}",
        "{\"change\":{\"deadband\":1,\"member\":\"v\"},\"rate\":1,\"pattern\":\"x\",\"order\":5}",
        ("{\"pattern\":\"x\",\"rate\":1,\"change\":{\"member\":\"v\",\"deadband\":1},"
         "\"active\":true,\"description\":\"d\"}"),
    };
    static const char *const others[] = {
        "{\"pattern\":\"y\",\"rate\":1,\"change\":{\"member\":\"v\",\"deadband\":1}}",
        "{\"pattern\":\"x\",\"rate\":2,\"change\":{\"member\":\"v\",\"deadband\":1}}",
        "{\"pattern\":\"x\",\"rate\":1,\"change\":{\"member\":\"w\",\"deadband\":1}}",
        ("{\"pattern\":\"x\",\"rate\":1,\"change\":{\"member\":\"v\",\"deadband\":1},"
         "\"rename\":\"z\"}"),
    };
    struct wz_pass_rule first = make("r", same[0]);

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct wz_pass_rule rule = make("r", same[i]);

        assert_true(rule.hash == first.hash);
        wz_pass_rule_release(&rule);
    }
    for (size_t i = 0; i < 4; i++) {
        struct wz_pass_rule rule = make("r", others[i]);

        assert_true(rule.hash != first.hash);
        wz_pass_rule_release(&rule);
    }
    wz_pass_rule_release(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pass_rule_reads_all_there_is),
        cmocka_unit_test(test_pass_rule_has_defaults),
        cmocka_unit_test(test_pass_rule_is_refused_with_place_and_fix),
        cmocka_unit_test(test_pass_rule_has_at_most_as_many_words_as_the_bus_takes),
        cmocka_unit_test(test_pass_rules_are_tried_in_order_then_by_name),
        cmocka_unit_test(test_pass_rule_is_told_from_one_that_does_something_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
