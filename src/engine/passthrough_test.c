// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/testpass_test.h"

// So many turns are enough for whatever does not happen.
static void turn_some(struct testpass *t)
{
    for (int i = 0; i < 30; i++)
        testpass_turn(t);
}

static void feed_value(struct testpass *t, const char *topic, const char *value)
{
    char members[64];

    (void)snprintf(members, sizeof(members), ",\"v\":%s", value);
    (void)testpass_feed(t, topic, members);
}

static void test_passthrough_copies_records_as_they_are(void **state)
{
    struct testpass *t = *state;
    struct testpass_records raw;
    struct testpass_records processed;

    testpass_apply(t, "{\"r\":{\"pattern\":\"a.#\",\"rename\":\"b.{1}\"}}");
    testpass_feed(t, "a.x", ",\"s\" : [1, 2],\"s\":3");
    testpass_feed(t, "c.x", "");
    testpass_feed(t, "a.y.z", "");
    testpass_wait_passed(t, 2);
    raw = testpass_read(t, 0);
    processed = testpass_read(t, 1);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(processed.items[i].body, raw.items[2 * i].body);
        assert_string_equal(processed.items[i].headers, "form=object;hops=3;");
        assert_int_equal(processed.items[i].passed, raw.items[2 * i].offset);
    }
    testpass_free_records(&raw);
    testpass_free_records(&processed);
    testpass_assert_topics(t, "b.x b.y.z ");
    assert_int_equal(t->live_count, 2);
}

static void test_passthrough_tries_rules_in_their_order(void **state)
{
    struct testpass *t = *state;

    testpass_apply(t, "{\"a\":{\"pattern\":\"x.#\",\"rename\":\"last.{1}\"},"
                      "\"b\":{\"pattern\":\"x.y\",\"rename\":\"first\",\"order\":1},"
                      "\"c\":{\"pattern\":\"#\",\"rename\":\"off\",\"order\":0,\"active\":false}}");
    testpass_feed(t, "x.y", "");
    testpass_feed(t, "x.z", "");
    testpass_feed(t, "w", "");
    testpass_settle(t);
    testpass_assert_topics(t, "first last.z ");
}

// More than it keeps in mind, and each of them again and again.
static void test_passthrough_finds_the_rule_of_any_number_of_topics(void **state)
{
    struct testpass *t = *state;
    struct testpass_records processed;
    int64_t passed = 0;

    testpass_apply(t, "{\"r\":{\"pattern\":\"a.*\",\"rename\":\"b.{1}\"}}");
    for (int i = 0; i < 200000; i++) {
        char topic[32];

        (void)snprintf(topic, sizeof(topic), "a.%d", i % 3 == 0 ? i % 17 : i);
        testpass_feed(t, topic, "");
        if (i % 500 == 0)
            testpass_turn(t);
    }
    for (int i = 0; i < 20000 && passed < 200000; i++) {
        testpass_turn(t);
        passed = wz_log_next_offset(t->logs[1]);
    }
    testpass_wait_passed(t, 200000);
    processed = testpass_read(t, 1);
    for (size_t i = 0; i < processed.count; i++) {
        char stamp[64];

        (void)snprintf(stamp, sizeof(stamp), "\"_topic\":\"a.%s\"",
                       processed.items[i].topic + strlen("b."));
        assert_non_null(strstr(processed.items[i].body, stamp));
    }
    testpass_free_records(&processed);
}

static void test_passthrough_waits_until_raw_stream_is_durable(void **state)
{
    struct testpass *t = *state;

    testpass_apply(t, "{\"r\":{\"pattern\":\"#\"}}");
    testpass_settle(t);
    t->hold[0] = true;
    testpass_feed(t, "a", "");
    turn_some(t);
    testpass_assert_topics(t, "");
    assert_int_equal(t->live_count, 0);
    t->hold[0] = false;
    testpass_settle(t);
    testpass_assert_topics(t, "a ");
}

static void test_passthrough_lets_nothing_pass_by_rules_that_a_crash_could_take(void **state)
{
    struct testpass *t = *state;

    testpass_settle(t);
    t->hold_journal = true;
    testpass_apply(t, "{\"r\":{\"pattern\":\"#\"}}");
    testpass_feed(t, "a", "");
    turn_some(t);
    testpass_assert_topics(t, "");
    t->hold_journal = false;
    testpass_settle(t);
    testpass_assert_topics(t, "a ");
}

static void test_passthrough_lets_pass_what_changed(void **state)
{
    struct testpass *t = *state;

    testpass_apply(t, "{\"r\":{\"pattern\":\"#\",\"change\":{\"member\":\"v\",\"deadband\":1,"
                      "\"atleast\":\"10s\"}}}");
    feed_value(t, "a", "20");
    feed_value(t, "a", "20.5"); // no
    feed_value(t, "b", "20");   // by itself
    feed_value(t, "a", "21.5");
    feed_value(t, "a", "20.6"); // no: 21.5 was the last that passed
    testpass_settle(t);
    testpass_assert_topics(t, "a b a ");
    t->now_ms += 9999;
    feed_value(t, "a", "21.5"); // no
    testpass_settle(t);
    t->now_ms += 1;
    feed_value(t, "a", "21.5");
    testpass_settle(t);
    testpass_assert_topics(t, "a b a a ");
    testpass_apply(t, "{\"r\":{\"pattern\":\"#\",\"change\":{\"member\":\"v\",\"deadband\":1,"
                      "\"atleast\":\"10s\"},\"description\":\"so the board is new\"}}");
    assert_int_equal(testpass_count(t, "r", "seen", NULL), 7);
    assert_int_equal(testpass_count(t, "r", "passed", NULL), 4);
    assert_int_equal(testpass_count(t, "r", "dropped", "unchanged"), 3);
}

static void test_passthrough_keeps_the_rate(void **state)
{
    struct testpass *t = *state;
    static const int steps_ms[] = {0, 499, 1, 499, 1, 5000, 100};

    testpass_apply(t, "{\"r\":{\"pattern\":\"#\",\"rate\":2}}");
    for (size_t i = 0; i < sizeof(steps_ms) / sizeof(steps_ms[0]); i++) {
        t->now_ms += steps_ms[i];
        testpass_feed(t, "a", "");
        if (i == 0)
            testpass_feed(t, "b", "");
        testpass_settle(t); // a batch has one time
    }
    testpass_assert_topics(t, "a b a a a ");
}

static void test_passthrough_counts_what_has_no_new_name(void **state)
{
    struct testpass *t = *state;
    int64_t until = wz_clock_mono_us() + 10 * 1000000LL;

    testpass_apply(t, "{\"r\":{\"pattern\":\"a.*\",\"rename\":\"{1}\"}}");
    testpass_feed(t, "a.output", "");
    testpass_feed(t, "a.b", "");
    testpass_settle(t);
    testpass_assert_topics(t, "b ");
    while (testpass_count(t, "r", "dropped", "rename") != 1 && wz_clock_mono_us() < until)
        testpass_turn(t); // the board is a little behind
    assert_int_equal(testpass_count(t, "r", "dropped", "rename"), 1);
    assert_int_equal(testpass_count(t, "r", "passed", NULL), 1);
}

static void test_passthrough_begins_with_what_comes_after_a_rule(void **state)
{
    struct testpass *t = *state;

    testpass_feed(t, "a", "");
    testpass_settle(t);
    testpass_apply(t, "{\"r\":{\"pattern\":\"b\"}}");
    testpass_feed(t, "c", "");
    testpass_settle(t);
    testpass_apply(t, "{\"r\":{\"pattern\":\"b\"},\"s\":{\"pattern\":\"#\",\"rename\":\"n.{1}\"}}");
    testpass_feed(t, "b", "");
    testpass_feed(t, "a", "");
    testpass_settle(t);
    testpass_assert_topics(t, "b n.a ");
    testpass_apply(t, "{}");
    testpass_feed(t, "b", "");
    testpass_settle(t);
    testpass_apply(t, "{\"r\":{\"pattern\":\"b\"}}");
    testpass_feed(t, "b", "");
    testpass_settle(t);
    testpass_assert_topics(t, "b n.a b ");
}

static void test_passthrough_remembers_as_long_as_a_rule_is_the_same(void **state)
{
    struct testpass *t = *state;
    static const char *const same[] = {
        "{\"r\":{\"pattern\":\"#\",\"change\":{\"member\":\"v\"}}}",
        "{\"r\":{\"pattern\":\"#\",\"change\":{\"member\":\"v\"},\"description\":\"d\"}}",
        ("{\"r\":{\"pattern\":\"#\",\"change\":{\"member\":\"v\"},\"order\":7},"
         "\"s\":{\"pattern\":\"z\"}}"),
    };

    for (size_t i = 0; i < 3; i++) {
        testpass_apply(t, same[i]);
        feed_value(t, "a", "1");
        testpass_settle(t);
        testpass_assert_topics(t, "a ");
    }
    testpass_apply(t, "{}");
    testpass_settle(t);
    testpass_apply(t, same[0]);
    feed_value(t, "a", "1");
    feed_value(t, "a", "1");
    testpass_settle(t);
    testpass_assert_topics(t, "a a "); // it was removed, and has forgotten
    testpass_apply(t, "{\"q\":{\"pattern\":\"#\",\"change\":{\"member\":\"v\"}}}");
    feed_value(t, "a", "1");
    testpass_settle(t);
    testpass_assert_topics(t, "a a a "); // another name
}

static void test_passthrough_reads_what_is_more_than_its_window(void **state)
{
    struct testpass *t = *state;
    struct testpass_records raw;
    struct testpass_records processed;

    t->window_bytes = 4000;
    testpass_apply(t, "{\"r\":{\"pattern\":\"a\"},\"s\":{\"pattern\":\"b\"}}");
    testpass_reopen(t);
    for (int i = 0; i < 3000; i++) {
        testpass_feed(t, i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "c", "");
        if (i % 400 == 399)
            testpass_turn(t);
    }
    testpass_wait_passed(t, 2000);
    processed = testpass_read(t, 1);
    raw = testpass_read(t, 0);
    for (size_t i = 0; i < 2000; i++) {
        assert_string_equal(processed.items[i].body, raw.items[i / 2 * 3 + i % 2].body);
        assert_string_equal(processed.items[i].headers, "form=object;hops=3;");
    }
    testpass_free_records(&raw);
    testpass_free_records(&processed);
}

static void test_passthrough_waits_for_processed_stream(void **state)
{
    struct testpass *t = *state;

    t->backlog_bytes = 8192;
    testpass_apply(t, "{\"r\":{\"pattern\":\"#\",\"change\":{\"member\":\"v\"}}}");
    testpass_reopen(t);
    testpass_settle(t);
    t->hold[1] = true;
    for (int i = 0; i < 3000; i++)
        feed_value(t, "a", i % 2 == 0 ? "1" : "2");
    for (int i = 0; i < 100; i++)
        testpass_turn(t);
    t->hold[1] = false;
    testpass_wait_passed(t, 3000);
}

static void test_passthrough_shows_on_the_board_what_cannot_be_a_rule(void **state)
{
    struct testpass *t = *state;
    json_t *section;

    testpass_apply(t, "{\"bad\":{\"pattern\":7},\"good\":{\"pattern\":\"a\"},"
                      "\"off\":{\"pattern\":\"b\",\"active\":false}}");
    section = wz_board_section(t->board, WZ_PASSTHROUGH_BOARD);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(section, "bad"), "status")), "invalid");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(section, "good"), "status")), "active");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(section, "off"), "status")), "inactive");
    json_decref(section);
    testpass_feed(t, "a", "");
    testpass_settle(t);
    testpass_assert_topics(t, "a ");
    testpass_apply(t, "{\"bad\":{\"pattern\":\"x\"}}");
    section = wz_board_section(t->board, WZ_PASSTHROUGH_BOARD);
    assert_int_equal(json_object_size(section), 1);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(section, "bad"), "status")), "active");
    json_decref(section);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, testpass_setup, testpass_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_passthrough_copies_records_as_they_are),
        TEST(test_passthrough_tries_rules_in_their_order),
        TEST(test_passthrough_finds_the_rule_of_any_number_of_topics),
        TEST(test_passthrough_waits_until_raw_stream_is_durable),
        TEST(test_passthrough_lets_nothing_pass_by_rules_that_a_crash_could_take),
        TEST(test_passthrough_lets_pass_what_changed),
        TEST(test_passthrough_keeps_the_rate),
        TEST(test_passthrough_counts_what_has_no_new_name),
        TEST(test_passthrough_begins_with_what_comes_after_a_rule),
        TEST(test_passthrough_remembers_as_long_as_a_rule_is_the_same),
        TEST(test_passthrough_reads_what_is_more_than_its_window),
        TEST(test_passthrough_waits_for_processed_stream),
        TEST(test_passthrough_shows_on_the_board_what_cannot_be_a_rule),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
