// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/pass_rename.h"

static void test_pass_rename_puts_in_what_wildcards_matched(void **state)
{
    static const struct {
        const char *template;
        const char *pattern;
        const char *topic;
        const char *made; // NULL: none
    } cases[] = {
        {"home", "kitchen.#", "kitchen.lamp", "home"},
        {"home.{topic}", "#", "kitchen.lamp", "home.kitchen.lamp"},
        {"{1}.temp", "*.temperature", "hall.temperature", "hall.temp"},
        {"{2}.{1}", "*.*.t", "a.b.t", "b.a"},
        {"x{1}y", "a.*", "a.b", "xby"},
        {"home.{1}", "kitchen.#", "kitchen.lamp.level", "home.lamp.level"},
        {"home.{1}", "kitchen.#", "kitchen", "home"},
        {"{1}.home", "#.kitchen", "kitchen", "home"},
        {"a.{1}.b", "k.#", "k", "a.b"},
        {"a.{1}{2}", "#.k.#", "k", "a"},
        {"{1}-{2}", "#.m.#", "a.m.b.m.c", "a-b.m.c"},
        {"{1}-{2}", "#.m.#", "m.m", "-m"},
        {"{1}.{2}", "#.*", "a.b.c", "a.b.c"},
        {"{1}", "a.#", "a", NULL},            // nothing
        {"{1}", "a.*", "a.output", NULL},     // a command
        {"x.{1}", "a.#", "a.b.output", NULL}, // also here
        {"x{1}", "a.*", "a.output", "xoutput"},
        {"{1}x", "a.*", "a.output", "outputx"},
        {"{3}", "a.*", "a.b", NULL},
        {"{", "a.*", "a.b", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf made = {0};
        bool done;

        wz_buf_add_str(&made, ">");
        done = wz_pass_rename(wz_slice_str(cases[i].template), wz_slice_str(cases[i].pattern),
                              wz_slice_str(cases[i].topic), &made);
        if (done != (cases[i].made != NULL) ||
            (done && strcmp(wz_buf_str(&made) + 1, cases[i].made) != 0))
            fail_msg("%s of %s: %s", cases[i].template, cases[i].topic, wz_buf_str(&made));
        if (!done)
            assert_int_equal(made.len, 1);
    }
}

static void test_pass_rename_makes_no_topic_that_is_too_long(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf made = {0};

    (void)state;
    while (topic.len < 253)
        wz_buf_add_str(&topic, "w");
    assert_true(
        wz_pass_rename(WZ_SLICE_LIT("a.{topic}"), WZ_SLICE_LIT("#"), wz_buf_slice(&topic), &made));
    wz_buf_add_str(&topic, "w");
    assert_false(
        wz_pass_rename(WZ_SLICE_LIT("a.{topic}"), WZ_SLICE_LIT("#"), wz_buf_slice(&topic), &made));
}

// A pattern of the most wildcards there can be, whose last word is not there until the end.
static void test_pass_rename_takes_no_time_with_many_wildcards(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf pattern = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf made = {0};

    (void)state;
    for (int i = 0; i < 63; i++)
        wz_buf_add_str(&pattern, "#.a.");
    wz_buf_add_str(&pattern, "#.z");
    for (int i = 0; i < 120; i++)
        wz_buf_add_str(&topic, "a.");
    wz_buf_add_str(&topic, "z");
    assert_true(wz_pass_rename(WZ_SLICE_LIT("x.{64}"), wz_buf_slice(&pattern), wz_buf_slice(&topic),
                               &made));
    assert_int_equal(made.len, 1 + 2 * (120 - 63));
}

static void test_pass_rename_is_refused_where_that_can_be_told(void **state)
{
    static const struct {
        const char *template;
        const char *pattern;
        const char *said; // NULL: fine
    } cases[] = {
        {"home", "a.#", NULL},
        {"home.{topic}", "a", NULL},
        {"{1}.{2}", "*.#", NULL},
        {"{1}", "a.#", NULL}, // it depends on the topic
        {"{2}", "a.#", "cannot be understood at \"{2}\""},
        {"x.{0}", "a.#", "cannot be understood at \"{0}\""},
        {"x.{1", "a.#", "cannot be understood at \"{1\""},
        {"x}.y", "a.#", "cannot be understood at \"}.y\""},
        {"{Topic}", "a.#", "cannot be understood"},
        {"{1}", "a", "cannot be understood"},
        {"", "a", "does not give a topic"},
        {"a..b", "a", "does not give a topic"},
        {"a.*", "a", "does not give a topic"},
        {"#", "a", "does not give a topic"},
        {"a.\n", "a", "does not give a topic"},
        {"\xff", "a", "does not give a topic"},
        {"a.output", "a", "topic of a command"},
        {"output", "a", "topic of a command"},
        {"{1}.output", "*", "topic of a command"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_problem problem = {0};
        int r = wz_pass_rename_check(wz_slice_str(cases[i].template),
                                     wz_slice_str(cases[i].pattern), &problem);

        if ((r == WZ_OK) != (cases[i].said == NULL) ||
            (r < 0 && (!strstr(problem.what, cases[i].said) || problem.fix[0] == '\0')))
            fail_msg("%s: %d %s", cases[i].template, r, problem.what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pass_rename_puts_in_what_wildcards_matched),
        cmocka_unit_test(test_pass_rename_makes_no_topic_that_is_too_long),
        cmocka_unit_test(test_pass_rename_takes_no_time_with_many_wildcards),
        cmocka_unit_test(test_pass_rename_is_refused_where_that_can_be_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
