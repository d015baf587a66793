// SPDX-License-Identifier: Apache-2.0
#include "topic/pattern.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

struct valid_case {
    const char *pattern;
    bool valid;
};

struct match_case {
    const char *pattern;
    const char *topic;
    bool match;
};

static void check_valid(const struct wz_topic_form *form, const struct valid_case *cases,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (wz_pattern_valid(form, wz_slice_str(cases[i].pattern)) != cases[i].valid)
            fail_msg("\"%s\" should be %s", cases[i].pattern, cases[i].valid ? "valid" : "invalid");
    }
}

static void check_match(const struct wz_topic_form *form, const struct match_case *cases,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(wz_pattern_valid(form, wz_slice_str(cases[i].pattern)));
        if (wz_pattern_match(form, wz_slice_str(cases[i].pattern), wz_slice_str(cases[i].topic)) !=
            cases[i].match)
            fail_msg("\"%s\" should %smatch \"%s\"", cases[i].pattern, cases[i].match ? "" : "not ",
                     cases[i].topic);
    }
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// MQTT 3.1.1 section 4.7.1 with its own examples, and 4.7.3.
static void test_pattern_of_mqtt_is_valid_as_the_specification_says(void **state)
{
    static const struct valid_case cases[] = {
        {"#", true},
        {"sport/tennis/#", true},
        {"sport/tennis#", false},
        {"sport/tennis/#/ranking", false},
        {"+", true},
        {"+/tennis/#", true},
        {"sport+", false},
        {"sport/+/player1", true},
        {"/finance", true},
        {"/", true},
        {"//", true},
        {"+/+", true},
        {"a/+b/c", false},
        {"a/b+/c", false},
        {"a/##", false},
        {"a/#b", false},
        {"a/+#", false},
        {"++", false},
        {"#/", false},
        {"a b/c", true},
        {"$SYS/#", true},
        {"a.*.b", true},
        {"", false},
    };

    (void)state;
    check_valid(&wz_topic_mqtt, cases, COUNT(cases));
    assert_false(wz_pattern_valid(&wz_topic_mqtt, WZ_SLICE_LIT("a/\0/b")));
    assert_false(wz_pattern_valid(&wz_topic_mqtt, WZ_SLICE_LIT("\0")));
}

static void test_pattern_of_mqtt_matches_as_the_specification_says(void **state)
{
    static const struct match_case cases[] = {
        {"sport/tennis/player1/#", "sport/tennis/player1", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
        {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
        {"sport/tennis/player1/#", "sport/tennis/player10", false},
        {"sport/#", "sport", true},
        {"sport/#", "sport/", true},
        {"sport/#", "sports", false},
        {"sport/tennis/+", "sport/tennis/player1", true},
        {"sport/tennis/+", "sport/tennis/player1/ranking", false},
        {"sport/+", "sport", false},
        {"sport/+", "sport/", true},
        {"+/+", "/finance", true},
        {"/+", "/finance", true},
        {"+", "/finance", false},
        {"#", "/", true},
        {"#", "a/b/c/d", true},
        {"+/monitor/Clients", "$SYS/monitor/Clients", false},
        {"#", "$SYS/monitor", false},
        {"#", "$SYS", false},
        {"+", "$SYS", false},
        {"+/#", "$SYS/a", false},
        {"$SYS/#", "$SYS/monitor", true},
        {"$SYS/#", "$SYS", true},
        {"$SYS/+", "$SYS/monitor", true},
        {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
        {"a/#", "a/$SYS", true},
        {"a/+", "a/$x", true},
        {"ACCOUNTS", "Accounts", false},
        {"a//b", "a//b", true},
        {"a/+/b", "a//b", true},
        {"a/b", "a/b/", false},
        {"a/*", "a/b", false},
    };

    (void)state;
    check_match(&wz_topic_mqtt, cases, COUNT(cases));
}

static void test_pattern_of_amqp_is_valid_with_many_anywhere(void **state)
{
    static const struct valid_case cases[] = {
        {"", true},        {"#", true},      {"*", true},   {"#.#", true},   {"a.#.b", true},
        {"#.a.#", true},   {"*.#.*", true},  {"a*", false}, {"a.b#", false}, {"a.**", false},
        {"a.#*", false},   {"a..b", true},   {".", true},   {"a.+", true},   {"a/b", true},
        {"a.#b.c", false}, {"$SYS.#", true},
    };

    (void)state;
    check_valid(&wz_topic_amqp, cases, COUNT(cases));
    assert_false(wz_pattern_valid(&wz_topic_amqp, WZ_SLICE_LIT("a.\0")));
}

// AMQP 0-9-1 section 3.1.3.3.
static void test_pattern_of_amqp_matches_many_as_zero_or_more_words(void **state)
{
    static const struct match_case cases[] = {
        {"#", "", true},
        {"#", "a", true},
        {"#", "a.b.c", true},
        {"#", "$SYS.a", true},
        {"*", "a", true},
        {"*", "", true},
        {"*", "a.b", false},
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"a.#", "a", true},
        {"a.#", "a.b", true},
        {"a.#", "a.b.c", true},
        {"a.#", "b", false},
        {"a.#", "ab", false},
        {"#.b", "b", true},
        {"#.b", "a.b", true},
        {"#.b", "a.b.b", true},
        {"#.b", "a.b.c", false},
        {"a.#.b", "a.b", true},
        {"a.#.b", "a.x.b", true},
        {"a.#.b", "a.x.y.b", true},
        {"a.#.b", "a.b.b", true},
        {"a.#.b", "a", false},
        {"a.#.b", "b", false},
        {"a.#.b", "a.b.c", false},
        {"#.#", "", true},
        {"#.#", "a", true},
        {"#.a.#", "a", true},
        {"#.a.#", "x.a.y", true},
        {"#.a.#", "x.y", false},
        {"#.a.#.a.#", "a.x.a", true},
        {"#.a.#.a.#", "x.a.x", false},
        {"*.#", "a", true},
        {"*.#", "a.b", true},
        {"#.*", "a", true},
        {"#.*", "a.b.c", true},
        {"*.#.*", "a", false},
        {"*.#.*", "a.b", true},
        {"a.*.b", "a..b", true},
        {"a.*.b", "a.b", false},
        {"*.orange.*", "quick.orange.rabbit", true},
        {"*.*.rabbit", "quick.orange.rabbit", true},
        {"lazy.#", "lazy.pink.rabbit", true},
        {"*.orange.*", "quick.orange.male.rabbit", false},
        {"a.#.b.#.c", "a.b.x.c.b.c", true},
        {"a.#.b.#.c", "a.c.b", false},
        {"a.*.#.c", "a.c", false},
        {"a.*.#.c", "a.x.c", true},
        {"a.+", "a.b", false},
    };

    (void)state;
    check_match(&wz_topic_amqp, cases, COUNT(cases));
}

static void test_pattern_with_many_wildcards_is_matched_in_bounded_time(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf pattern = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};

    (void)state;
    for (int i = 0; i < 60; i++)
        wz_buf_add_str(&pattern, "#.a.");
    wz_buf_add_str(&pattern, "b");
    for (int i = 0; i < 126; i++)
        wz_buf_add_str(&topic, "a.");
    wz_buf_add_str(&topic, "c");
    // One that tries all ways would not end before the test's time does.
    assert_false(wz_pattern_match(&wz_topic_amqp, wz_buf_slice(&pattern), wz_buf_slice(&topic)));
}

static void test_words_of_a_topic_are_one_more_than_its_separators(void **state)
{
    static const struct {
        const char *topic;
        const char *words[5];
    } cases[] = {
        {"", {""}},       {"a", {"a"}},      {"a.b", {"a", "b"}}, {"a..b", {"a", "", "b"}},
        {".", {"", ""}},  {"a.", {"a", ""}}, {".a", {"", "a"}},   {"..", {"", "", ""}},
        {"a/b", {"a/b"}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct wz_words words = wz_words(wz_slice_str(cases[i].topic), '.');
        struct wz_slice word;
        size_t count = 0;

        while (wz_words_next(&words, &word)) {
            assert_non_null(cases[i].words[count]);
            assert_true(wz_slice_eq(word, wz_slice_str(cases[i].words[count])));
            count++;
        }
        assert_null(cases[i].words[count]);
        assert_false(wz_words_next(&words, &word));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pattern_of_mqtt_is_valid_as_the_specification_says),
        cmocka_unit_test(test_pattern_of_mqtt_matches_as_the_specification_says),
        cmocka_unit_test(test_pattern_of_amqp_is_valid_with_many_anywhere),
        cmocka_unit_test(test_pattern_of_amqp_matches_many_as_zero_or_more_words),
        cmocka_unit_test(test_pattern_with_many_wildcards_is_matched_in_bounded_time),
        cmocka_unit_test(test_words_of_a_topic_are_one_more_than_its_separators),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
