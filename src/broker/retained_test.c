// SPDX-License-Identifier: Apache-2.0
// Retained messages: what is kept, found and written. retained_model_test.c holds walks against a
// model.
#include "broker/retained.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/patience_test.h"
#include "broker/testretained_test.h"

#define PLENTY SIZE_MAX

static int64_t live_bytes(struct testretained *t)
{
    struct wz_journal_info info;

    wz_journal_info(t->journal, &info);
    return info.live_bytes;
}

// What FILTER finds: topics, each with "=" and its body, joined by spaces. Borrowed until the next
// call.
static const char *found(struct testretained *t, const char *filter)
{
    static char text[4096];
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = PLENTY;
    size_t len = 0;
    int r;

    text[0] = '\0';
    wz_retained_walk_init(&walk, wz_slice_str(filter));
    while ((r = wz_retained_next(t->retained, &walk, &budget, &msg)) == WZ_OK) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.*s=%.*s", len > 0 ? " " : "",
                                WZ_SLICE_FMT(msg.topic), WZ_SLICE_FMT(msg.body));
        assert_true(len < sizeof(text));
    }
    assert_int_equal(r, WZ_END);
    wz_retained_walk_release(&walk);
    return text;
}

static void test_retained_keeps_the_last_message_of_a_topic(void **state)
{
    struct testretained *t = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = PLENTY;

    assert_int_equal(testretained_put_message(t, WZ_SLICE_LIT("a/b"), WZ_SLICE_LIT("first"), 0),
                     WZ_OK);
    assert_int_equal(
        testretained_put_message(t, WZ_SLICE_LIT("a/b"), WZ_SLICE_LIT("the second"), 2), WZ_OK);
    assert_int_equal(wz_retained_count(t->retained), 1);
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("a/b"));
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("a/b")));
    assert_true(wz_slice_eq(msg.body, WZ_SLICE_LIT("the second")));
    assert_int_equal(msg.qos, 2);
    assert_true(msg.retain);
    assert_int_equal(msg.offset, -1);
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_END);
    wz_retained_walk_release(&walk);
}

static void test_retained_clears_a_topic_with_an_empty_body(void **state)
{
    struct testretained *t = *state;

    assert_int_equal(testretained_put(t, "a", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "b", "2"), WZ_OK);
    assert_int_equal(testretained_put(t, "a", ""), WZ_OK);
    assert_string_equal(found(t, "#"), "b=2");
    assert_int_equal(wz_retained_count(t->retained), 1);
    testretained_reopen(t);
    assert_string_equal(found(t, "#"), "b=2");
}

static void test_retained_writes_nothing_to_clear_what_is_not_there(void **state)
{
    struct testretained *t = *state;

    assert_int_equal(testretained_put(t, "a", "1"), WZ_OK);
    assert_int_equal(t->last_offset, 0);
    assert_int_equal(testretained_put(t, "b", ""), WZ_OK);
    assert_int_equal(t->last_offset, 0);
    assert_int_equal(testretained_put(t, "a", ""), WZ_OK);
    assert_int_equal(testretained_put(t, "a", ""), WZ_OK);
    assert_int_equal(t->last_offset, 1);
}

static void test_retained_is_there_again_after_reopening(void **state)
{
    struct testretained *t = *state;
    size_t bytes;
    int64_t live;

    assert_int_equal(testretained_put(t, "a", "old"), WZ_OK);
    assert_int_equal(testretained_put(t, "gone", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "a", "replaced"), WZ_OK);
    assert_int_equal(testretained_put(t, "back", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "gone", ""), WZ_OK);
    assert_int_equal(testretained_put(t, "back", ""), WZ_OK);
    assert_int_equal(testretained_put_message(t, WZ_SLICE_LIT("back"), WZ_SLICE_LIT("again"), 2),
                     WZ_OK);
    bytes = testretained_bytes();
    live = live_bytes(t);
    testretained_reopen(t);
    assert_string_equal(found(t, "#"), "a=replaced back=again");
    assert_int_equal(testretained_bytes(), bytes);
    assert_int_equal(live_bytes(t), live);
    assert_int_equal(testretained_put(t, "a", "after it"), WZ_OK);
    testretained_reopen(t);
    assert_string_equal(found(t, "#"), "a=after it back=again");
}

// The same topic, some records apart: near ones are read back together.
static void test_retained_reads_back_what_changed_soon_or_late(void **state)
{
    struct testretained *t = *state;
    char expected[4096];
    char topic[32];
    char body[32];
    size_t bytes;
    size_t len;
    int64_t live;

    for (int apart = 1; apart < 100; apart += 7) {
        len = 0;
        for (int i = 0; i < 3 * apart; i++) { // set, set or cleared, set if the number is even
            (void)snprintf(topic, sizeof(topic), "%03d", i % apart);
            (void)snprintf(body, sizeof(body), "%d", i);
            if ((i / apart == 1 && i % 3 == 0) || (i / apart == 2 && i % 2 != 0))
                body[0] = '\0';
            assert_int_equal(testretained_put(t, topic, body), WZ_OK);
            if (i / apart == 2 && i % 2 == 0)
                len += (size_t)snprintf(expected + len, sizeof(expected) - len, "%s%s=%s",
                                        len > 0 ? " " : "", topic, body);
        }
        bytes = testretained_bytes();
        live = live_bytes(t);
        testretained_reopen(t);
        assert_string_equal(found(t, "+"), expected);
        assert_int_equal(testretained_bytes(), bytes);
        assert_int_equal(live_bytes(t), live);
        for (int i = 0; i < apart; i++) {
            (void)snprintf(topic, sizeof(topic), "%03d", i);
            assert_int_equal(testretained_put(t, topic, ""), WZ_OK);
        }
    }
}

static int keep_value(void *arg, const struct wz_journal_record *record)
{
    assert_true(wz_slice_eq(record->key, WZ_SLICE_LIT("a/b")));
    wz_buf_add_slice(arg, record->value);
    return WZ_OK;
}

static void test_retained_values_stand_in_the_journal_as_documented(void **state)
{
    static const uint8_t expected[] = {2, 1, 2, 3, 4, 5, 6, 7, 8, 'b', 'o', 'd', 'y'};
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    struct wz_journal_kind kind = {.letter = 'R', .arg = &value, .replay = keep_value};
    struct testretained *t = *state;

    assert_int_equal(testretained_put_message(t, WZ_SLICE_LIT("a/b"), WZ_SLICE_LIT("body"), 2),
                     WZ_OK);
    testretained_close(t);
    testretained_open_journal(t);
    wz_journal_join(t->journal, &kind);
    assert_int_equal(wz_journal_replay(t->journal, NULL), WZ_OK);
    assert_int_equal(value.len, sizeof(expected));
    assert_memory_equal(value.ptr, expected, sizeof(expected));
}

static void test_retained_counts_bytes_until_the_last_is_cleared(void **state)
{
    struct testretained *t = *state;
    size_t one;
    size_t two;

    assert_int_equal(testretained_bytes(), 0);
    assert_int_equal(testretained_put(t, "a", "123"), WZ_OK);
    one = testretained_bytes();
    assert_true(one > 4); // what a message costs besides its own bytes counts, too
    assert_int_equal(testretained_put(t, "a", "12345"), WZ_OK);
    assert_int_equal(testretained_bytes(), one + 2);
    assert_int_equal(testretained_put(t, "longer", "1"), WZ_OK);
    two = testretained_bytes();
    assert_int_equal(two, one + 2 + one + 5 - 2);
    assert_int_equal(testretained_put(t, "a", ""), WZ_OK);
    assert_int_equal(testretained_put(t, "longer", ""), WZ_OK);
    assert_int_equal(testretained_bytes(), 0);
    assert_int_equal(wz_retained_count(t->retained), 0);
    assert_int_equal(live_bytes(t), 0);
    testretained_reopen(t);
    assert_int_equal(testretained_bytes(), 0);
    assert_int_equal(live_bytes(t), 0);
}

// The limits.

static void test_retained_refuses_topics_above_the_count(void **state)
{
    struct testretained *t = *state;
    int64_t offset;

    t->limits.max_count = 2;
    testretained_reopen(t);
    assert_int_equal(testretained_put(t, "a", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "b", "2"), WZ_OK);
    offset = t->last_offset;
    assert_int_equal(testretained_put(t, "c", "3"), WZ_ERR_LIMIT);
    assert_int_equal(t->last_offset, offset);
    assert_int_equal(testretained_put(t, "a", "4"), WZ_OK); // one of those that are there
    assert_int_equal(testretained_put(t, "b", ""), WZ_OK);
    assert_int_equal(testretained_put(t, "c", "5"), WZ_OK);
    assert_string_equal(found(t, "#"), "a=4 c=5");
}

static void test_retained_has_no_older_message_for_one_above_the_bytes(void **state)
{
    struct testretained *t = *state;

    assert_int_equal(testretained_put(t, "a", "12345"), WZ_OK);
    t->limits.max_bytes = 2 * testretained_bytes();
    testretained_reopen(t);
    assert_int_equal(testretained_put(t, "b", "123456"), WZ_ERR_LIMIT);
    assert_int_equal(testretained_put(t, "b", "12345"), WZ_OK);
    assert_int_equal(testretained_bytes(), t->limits.max_bytes);
    assert_int_equal(testretained_put(t, "a", "54321"), WZ_OK);
    assert_int_equal(testretained_put(t, "b", "123456"), WZ_ERR_LIMIT);
    assert_string_equal(found(t, "#"), "a=54321");
    testretained_reopen(t);
    assert_string_equal(found(t, "#"), "a=54321");
}

static void test_retained_keeps_what_is_replayed_above_the_limits(void **state)
{
    struct testretained *t = *state;

    assert_int_equal(testretained_put(t, "a", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "b", "2"), WZ_OK);
    assert_int_equal(testretained_put(t, "c", "3"), WZ_OK);
    t->limits.max_count = 1;
    testretained_reopen(t);
    assert_string_equal(found(t, "#"), "a=1 b=2 c=3");
    assert_int_equal(testretained_put(t, "d", "4"), WZ_ERR_LIMIT);
    assert_int_equal(testretained_put(t, "a", "5"), WZ_ERR_LIMIT); // and comes below the limit so
    assert_int_equal(testretained_put(t, "b", ""), WZ_OK);
    assert_int_equal(testretained_put(t, "c", "6"), WZ_OK);
    assert_string_equal(found(t, "#"), "c=6");
}

// What filters find.

static void test_retained_finds_by_filter_in_the_order_of_bytes(void **state)
{
    static const char *const topics[] = {"b",       "a/b",  "a",       "a-b", "a/b/c", "A",
                                         "a/c",     "$SYS", "$SYS/up", "/a",  "/a/b",  "a//b",
                                         "a-b/c/d", "a/",   "a0",      "/",   "//",    "\xc3\xbc/x",
                                         "z/",      "z//",  "z",       "%",   "a!",    "a/b/"};
    static const struct {
        const char *filter;
        const char *found;
    } cases[] = {
        {"a", "a=1"},
        {"nobody", ""},
        {"a/b", "a/b=1"},
        {"a/", "a/=1"},
        {"$SYS/up", "$SYS/up=1"},
        {"a/#", "a=1 a/=1 a//b=1 a/b=1 a/b/=1 a/b/c=1 a/c=1"},
        {"a/b/#", "a/b=1 a/b/=1 a/b/c=1"},
        {"a/+", "a/=1 a/b=1 a/c=1"},
        {"a/+/#", "a/=1 a//b=1 a/b=1 a/b/=1 a/b/c=1 a/c=1"},
        {"a/+/b", "a//b=1"},
        {"+/b", "a/b=1"},
        {"+", "%=1 A=1 a=1 a!=1 a-b=1 a0=1 b=1 z=1"},
        {"+/+", "/=1 /a=1 a/=1 a/b=1 a/c=1 z/=1 \xc3\xbc/x=1"},
        {"/#", "/=1 //=1 /a=1 /a/b=1"},
        {"/+", "/=1 /a=1"},
        {"//#", "/=1 //=1"},
        {"z/#", "z=1 z/=1 z//=1"},
        {"$SYS/#", "$SYS=1 $SYS/up=1"},
        {"$SYS/+", "$SYS/up=1"},
        {"+/up", ""},
        {"\xc3\xbc/#", "\xc3\xbc/x=1"},
        {"nobody/#", ""},
        {"#", "%=1 /=1 //=1 /a=1 /a/b=1 A=1 a=1 a!=1 a-b=1 a-b/c/d=1 a/=1 a//b=1 a/b=1 a/b/=1 "
              "a/b/c=1 a/c=1 a0=1 b=1 z=1 z/=1 z//=1 \xc3\xbc/x=1"},
    };
    struct testretained *t = *state;

    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
        assert_int_equal(testretained_put(t, topics[i], "1"), WZ_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(found(t, cases[i].filter), cases[i].found);
    testretained_reopen(t);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(found(t, cases[i].filter), cases[i].found);
}

static void test_retained_takes_the_longest_topics(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf filter = {0};
    struct testretained *t = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = PLENTY;

    for (int i = 0; i < UINT16_MAX / 2; i++)
        wz_buf_add_str(&topic, "/x");
    wz_buf_add_slice(&filter, wz_buf_slice(&topic));
    wz_buf_add_byte(&topic, 'y');
    wz_buf_add_str(&filter, "/#");
    filter.ptr[1] = '+';
    assert_int_equal(topic.len, UINT16_MAX);
    assert_int_equal(testretained_put_message(t, wz_buf_slice(&topic), WZ_SLICE_LIT("long"), 1),
                     WZ_OK);
    topic.ptr[topic.len - 1] = '/';
    assert_int_equal(testretained_put_message(t, wz_buf_slice(&topic), WZ_SLICE_LIT("last"), 1),
                     WZ_OK);
    testretained_reopen(t);
    assert_int_equal(wz_retained_count(t->retained), 2);
    wz_retained_walk_init(&walk, wz_buf_slice(&filter));
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, wz_buf_slice(&topic)));
    assert_true(wz_slice_eq(msg.body, WZ_SLICE_LIT("last")));
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_END);
    wz_retained_walk_release(&walk);
    assert_int_equal(testretained_put_message(t, wz_buf_slice(&topic), WZ_SLICE_LIT(""), 1), WZ_OK);
    assert_int_equal(wz_retained_count(t->retained), 1);
}

static void test_retained_orders_bytes_above_127_behind_all_others(void **state)
{
    struct testretained *t = *state;

    assert_int_equal(testretained_put(t, "\xf0\x9f\x8c\xa1", "4"), WZ_OK); // U+1F321
    assert_int_equal(testretained_put(t, "\xef\xbf\xbf", "3"), WZ_OK);     // U+FFFF
    assert_int_equal(testretained_put(t, "\x7f", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "\xc2\x80", "2"), WZ_OK); // U+0080
    assert_int_equal(testretained_put(t, "\x01", "0"), WZ_OK);
    testretained_reopen(t);
    assert_string_equal(found(t, "+"), "\x01=0 \x7f=1 \xc2\x80=2 \xef\xbf\xbf=3 "
                                       "\xf0\x9f\x8c\xa1=4");
}

// Walks.

static void test_retained_walk_looks_at_no_more_than_its_budget(void **state)
{
    struct testretained *t = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = 0;
    char topic[32];

    for (int i = 0; i < 50; i++) {
        (void)snprintf(topic, sizeof(topic), "a/%02d/%s", i, i == 20 || i == 49 ? "yes" : "no");
        assert_int_equal(testretained_put(t, topic, "1"), WZ_OK);
        (void)snprintf(topic, sizeof(topic), "b/%02d/yes", i);
        assert_int_equal(testretained_put(t, topic, "1"), WZ_OK);
    }
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("a/+/yes"));
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_AGAIN);
    budget = 15;
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_AGAIN);
    assert_int_equal(budget, 0);
    budget = 15;
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("a/20/yes")));
    assert_int_equal(budget, 9); // 15 and 6 make 21 topics
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_AGAIN);
    assert_int_equal(budget, 0);
    budget = 100;
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("a/49/yes")));
    assert_int_equal(budget, 80);
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_END);
    assert_int_equal(budget, 80); // what is behind the filter's beginning is not looked at
    wz_retained_walk_release(&walk);
}

static void test_retained_walk_looks_at_one_topic_without_wildcards(void **state)
{
    struct testretained *t = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = 0;

    assert_int_equal(testretained_put(t, "a", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "a/b", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "aa", "1"), WZ_OK);
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("a"));
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_AGAIN);
    budget = 9;
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_END);
    assert_int_equal(budget, 8);
    wz_retained_walk_release(&walk);
}

static void test_retained_walk_leaves_out_what_stands_between_a_topic_and_its_children(void **state)
{
    struct testretained *t = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = 9;
    char topic[32];

    assert_int_equal(testretained_put(t, "a", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "a/b", "1"), WZ_OK);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(topic, sizeof(topic), "a-%d", i);
        assert_int_equal(testretained_put(t, topic, "1"), WZ_OK);
    }
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("a/#"));
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_END);
    assert_int_equal(budget, 7);
    wz_retained_walk_release(&walk);
}

static void test_retained_walk_sees_changes_that_lie_ahead(void **state)
{
    struct testretained *t = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = PLENTY;

    assert_int_equal(testretained_put(t, "b", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "d", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "f", "1"), WZ_OK);
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("+"));
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("b")));
    assert_int_equal(testretained_put(t, "a", "behind"), WZ_OK);
    assert_int_equal(testretained_put(t, "b", ""), WZ_OK); // where the walk stands
    assert_int_equal(testretained_put(t, "c", "new"), WZ_OK);
    assert_int_equal(testretained_put(t, "d", ""), WZ_OK);
    assert_int_equal(testretained_put(t, "f", "replaced"), WZ_OK);
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("c")));
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
    assert_true(wz_slice_eq(msg.topic, WZ_SLICE_LIT("f")));
    assert_true(wz_slice_eq(msg.body, WZ_SLICE_LIT("replaced")));
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_END);
    wz_retained_walk_release(&walk);
}

// The journal.

static void test_retained_refuses_values_that_cannot_be_read(void **state)
{
    static const uint8_t good[] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 'x'};
    static const uint8_t bad_qos[] = {3, 0, 0, 0, 0, 0, 0, 0, 1, 'x'};
    static const struct {
        const char *topic;
        const uint8_t *value;
        size_t len;
        int result;
    } cases[] = {
        {"a", good, sizeof(good), WZ_OK},
        {"a", good, sizeof(good) - 1, WZ_ERR_CORRUPT}, // without a body
        {"a", good, 5, WZ_ERR_CORRUPT},
        {"a", good, 1, WZ_ERR_CORRUPT},
        {"a", good, 0, WZ_ERR_CORRUPT},
        {"a", bad_qos, sizeof(bad_qos), WZ_ERR_CORRUPT},
        {"", good, sizeof(good), WZ_ERR_CORRUPT},
        {"a/+", good, sizeof(good), WZ_ERR_CORRUPT},
        {"a/#", good, sizeof(good), WZ_ERR_CORRUPT},
        {"a\xff", good, sizeof(good), WZ_ERR_CORRUPT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_journal_place place = WZ_JOURNAL_NOWHERE;
        struct wz_slice piece = wz_slice(cases[i].value, cases[i].len);
        void *own;
        struct testretained *t;
        int64_t offset;

        assert_int_equal(testretained_set_up(&own), 0);
        t = own;
        wz_journal_begin(t->journal);
        wz_journal_put(t->journal, 'R', wz_slice_str(cases[i].topic), &piece, piece.len > 0,
                       &place);
        wz_journal_end(t->journal, &offset);
        testretained_close(t);
        assert_int_equal(testretained_open(t), cases[i].result);
        assert_int_equal(testretained_tear_down(&own), 0);
    }
}

static void test_retained_reads_a_removal_of_what_is_not_there(void **state)
{
    struct wz_journal_place place = WZ_JOURNAL_NOWHERE;
    struct testretained *t = *state;

    wz_journal_begin(t->journal);
    wz_journal_remove(t->journal, 'R', WZ_SLICE_LIT("a"), &place);
    wz_journal_end(t->journal, &t->last_offset);
    testretained_reopen(t);
    assert_int_equal(wz_retained_count(t->retained), 0);
    assert_int_equal(live_bytes(t), 0);
}

static void test_retained_outlives_compactions(void **state)
{
    static uint8_t body[4096];
    struct testretained *t = *state;
    struct wz_journal_info info = {0};
    int64_t end_us = wz_clock_mono_us() + patience_us();
    int64_t live;
    char topic[32];

    t->options.segment_bytes = (int64_t)256 * 1024;
    t->options.compact_bytes = 1;
    testretained_reopen(t);
    assert_int_equal(testretained_put(t, "first", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "cleared", "1"), WZ_OK);
    assert_int_equal(testretained_put(t, "cleared", ""), WZ_OK);
    for (int i = 0; info.compactions < 8; i++) {
        assert_true(wz_clock_mono_us() < end_us);
        (void)snprintf(topic, sizeof(topic), "t/%d", i % 20);
        body[0] = (uint8_t)i;
        assert_int_equal(
            testretained_put_message(t, wz_slice_str(topic), wz_slice(body, sizeof(body)), 1),
            WZ_OK);
        if (i % 16 == 0)
            testretained_turn(t);
        wz_journal_info(t->journal, &info);
    }
    assert_int_equal(testretained_put(t, "last", "3"), WZ_OK);
    live = live_bytes(t);
    testretained_reopen(t);
    assert_int_equal(live_bytes(t), live);
    assert_int_equal(wz_retained_count(t->retained), 22);
    assert_string_equal(found(t, "+"), "first=1 last=3");
}

static void test_retained_holds_thousands_of_topics(void **state)
{
    const unsigned count = 20000;
    struct testretained *t = *state;
    struct wz_retained_walk walk;
    struct wz_message msg;
    size_t budget = PLENTY;
    char topic[32];

    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(topic, sizeof(topic), "site/%05u", i * 7919 % count); // each once
        assert_int_equal(testretained_put(t, topic, "1"), WZ_OK);
    }
    for (unsigned i = 0; i < count; i += 2) {
        (void)snprintf(topic, sizeof(topic), "site/%05u", i);
        assert_int_equal(testretained_put(t, topic, ""), WZ_OK);
    }
    testretained_reopen(t);
    assert_int_equal(wz_retained_count(t->retained), count / 2);
    wz_retained_walk_init(&walk, WZ_SLICE_LIT("site/+"));
    for (unsigned i = 1; i < count; i += 2) {
        (void)snprintf(topic, sizeof(topic), "site/%05u", i);
        assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_OK);
        assert_true(wz_slice_eq(msg.topic, wz_slice_str(topic)));
    }
    assert_int_equal(wz_retained_next(t->retained, &walk, &budget, &msg), WZ_END);
    assert_int_equal(PLENTY - budget, count / 2);
    wz_retained_walk_release(&walk);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, testretained_set_up, testretained_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_retained_keeps_the_last_message_of_a_topic),
        TEST(test_retained_clears_a_topic_with_an_empty_body),
        TEST(test_retained_writes_nothing_to_clear_what_is_not_there),
        TEST(test_retained_is_there_again_after_reopening),
        TEST(test_retained_reads_back_what_changed_soon_or_late),
        TEST(test_retained_values_stand_in_the_journal_as_documented),
        TEST(test_retained_counts_bytes_until_the_last_is_cleared),
        TEST(test_retained_refuses_topics_above_the_count),
        TEST(test_retained_has_no_older_message_for_one_above_the_bytes),
        TEST(test_retained_keeps_what_is_replayed_above_the_limits),
        TEST(test_retained_finds_by_filter_in_the_order_of_bytes),
        TEST(test_retained_takes_the_longest_topics),
        TEST(test_retained_orders_bytes_above_127_behind_all_others),
        TEST(test_retained_walk_looks_at_no_more_than_its_budget),
        TEST(test_retained_walk_looks_at_one_topic_without_wildcards),
        TEST(test_retained_walk_leaves_out_what_stands_between_a_topic_and_its_children),
        TEST(test_retained_walk_sees_changes_that_lie_ahead),
        cmocka_unit_test(test_retained_refuses_values_that_cannot_be_read),
        TEST(test_retained_reads_a_removal_of_what_is_not_there),
        TEST(test_retained_outlives_compactions),
        TEST(test_retained_holds_thousands_of_topics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
