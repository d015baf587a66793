// SPDX-License-Identifier: Apache-2.0
#include "topic/trie.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

// Values are counters: a match counts up.
static void count_up(void *arg, void *value)
{
    (void)arg;
    ++*(int *)value;
}

static int matches(struct wz_trie *trie, const char *topic, int *counter)
{
    *counter = 0;
    wz_trie_match(trie, wz_slice_str(topic), count_up, NULL);
    return *counter;
}

static void test_trie_of_mqtt_follows_the_specification(void **state)
{
    static const struct {
        const char *pattern;
        const char *topic;
        int count;
    } cases[] = {
        {"sport/#", "sport", 1},
        {"sport/#", "sport/a/b", 1},
        {"sport/+", "sport", 0},
        {"+/+", "/finance", 1},
        {"+", "/finance", 0},
        {"#", "$SYS/a", 0},
        {"+/a", "$SYS/a", 0},
        {"$SYS/#", "$SYS/a", 1},
        {"$SYS/+", "$SYS/a", 1},
        {"a/b", "a/b", 1},
        {"a/b", "a", 0},
        {"a//b", "a//b", 1},
        {"a-word-of-more-than-sixteen-bytes/#", "a-word-of-more-than-sixteen-bytes/x", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_trie *trie = wz_trie_new(&wz_topic_mqtt);
        int counter;

        assert_int_equal(wz_trie_add(trie, wz_slice_str(cases[i].pattern), &counter), WZ_OK);
        assert_int_equal(matches(trie, cases[i].topic, &counter), cases[i].count);
        wz_trie_free(trie);
    }
}

static void test_trie_holds_a_value_once_a_pattern(void **state)
{
    struct wz_trie *trie = wz_trie_new(&wz_topic_amqp);
    int a;
    int b = 0;

    (void)state;
    assert_int_equal(wz_trie_add(trie, WZ_SLICE_LIT("x.#"), &a), WZ_OK);
    assert_int_equal(wz_trie_add(trie, WZ_SLICE_LIT("x.#"), &a), WZ_ERR_EXISTS);
    assert_int_equal(wz_trie_add(trie, WZ_SLICE_LIT("x.#"), &b), WZ_OK);
    assert_int_equal(wz_trie_add(trie, WZ_SLICE_LIT("x.*"), &a), WZ_OK);
    assert_int_equal(wz_trie_count(trie), 3);
    assert_int_equal(matches(trie, "x.y", &a), 2);
    assert_int_equal(b, 1);
    wz_trie_free(trie);
}

static void test_trie_reports_a_pattern_once_however_it_matches(void **state)
{
    struct wz_trie *trie = wz_trie_new(&wz_topic_amqp);
    int counter;

    (void)state;
    assert_int_equal(wz_trie_add(trie, WZ_SLICE_LIT("#.#.a.#.#"), &counter), WZ_OK);
    assert_int_equal(matches(trie, "a.a.a.a.a", &counter), 1);
    wz_trie_free(trie);
}

static void test_trie_removes_what_was_added_and_nothing_else(void **state)
{
    struct wz_trie *trie = wz_trie_new(&wz_topic_amqp);
    int a;
    int b;

    (void)state;
    assert_int_equal(wz_trie_add(trie, WZ_SLICE_LIT("a.b"), &a), WZ_OK);
    assert_int_equal(wz_trie_add(trie, WZ_SLICE_LIT("a.b.c"), &b), WZ_OK);
    assert_int_equal(wz_trie_remove(trie, WZ_SLICE_LIT("a"), &a), WZ_ERR_NOT_FOUND);
    assert_int_equal(wz_trie_remove(trie, WZ_SLICE_LIT("a.b"), &b), WZ_ERR_NOT_FOUND);
    assert_int_equal(wz_trie_remove(trie, WZ_SLICE_LIT("a.b.x"), &a), WZ_ERR_NOT_FOUND);
    assert_int_equal(wz_trie_remove(trie, WZ_SLICE_LIT("a.b"), &a), WZ_OK);
    assert_int_equal(wz_trie_remove(trie, WZ_SLICE_LIT("a.b"), &a), WZ_ERR_NOT_FOUND);
    assert_int_equal(matches(trie, "a.b", &a), 0);
    assert_int_equal(matches(trie, "a.b.c", &b), 1);
    assert_int_equal(wz_trie_count(trie), 1);
    wz_trie_free(trie);
}

// "a.a...a" with COUNT words.
static void add_words(struct wz_buf *buf, int count)
{
    for (int i = 0; i < count; i++)
        wz_buf_add_str(buf, i == 0 ? "a" : ".a");
}

static void test_trie_refuses_a_pattern_that_is_too_deep(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf fits = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf deep = {0};
    struct wz_trie *trie = wz_trie_new(&wz_topic_amqp);
    int counter;

    (void)state;
    add_words(&fits, WZ_TRIE_DEPTH_MAX);
    add_words(&deep, WZ_TRIE_DEPTH_MAX + 1);
    assert_int_equal(wz_trie_add(trie, wz_buf_slice(&fits), &counter), WZ_OK);
    assert_int_equal(wz_trie_add(trie, wz_buf_slice(&deep), &counter), WZ_ERR_LIMIT);
    assert_int_equal(wz_trie_add(trie, WZ_SLICE_LIT("#"), &counter), WZ_OK);
    assert_int_equal(matches(trie, wz_buf_str(&fits), &counter), 2);
    assert_int_equal(matches(trie, wz_buf_str(&deep), &counter), 0);
    wz_trie_free(trie);
}

static void test_trie_with_many_wildcards_is_matched_in_bounded_time(void **state)
{
    struct wz_trie *trie = wz_trie_new(&wz_topic_amqp);
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    int counters[64] = {0};

    (void)state;
    for (int i = 0; i < 64; i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf pattern = {0};

        for (int j = 0; j <= i; j++)
            wz_buf_add_str(&pattern, j % 2 == 0 ? "#." : "a.");
        wz_buf_add_str(&pattern, "#");
        assert_int_equal(wz_trie_add(trie, wz_buf_slice(&pattern), &counters[i]), WZ_OK);
    }
    add_words(&topic, WZ_TRIE_DEPTH_MAX);
    // One that tries all ways would not end before the test's time does.
    wz_trie_match(trie, wz_buf_slice(&topic), count_up, NULL);
    for (int i = 0; i < 64; i++)
        assert_int_equal(counters[i], 1);
    wz_trie_free(trie);
}

// Random words, patterns and topics, the same in each run.
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 10;
}

static void random_text(struct wz_buf *ret_buf, const struct wz_topic_form *form, bool pattern,
                        uint32_t *seed)
{
    static const char *const words[] = {"a", "b", "c", "", "$x", "a-long-word-beside-the-node"};
    uint32_t count = 1 + next_random(seed) % 6;

    wz_buf_consume(ret_buf, ret_buf->len);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t pick = next_random(seed) % (pattern ? 10 : 6);

        if (i > 0)
            wz_buf_add_byte(ret_buf, form->separator);
        if (pick < 6)
            wz_buf_add_str(ret_buf, words[pick]);
        else if (pick < 8 || (form->many_last && i + 1 < count))
            wz_buf_add_byte(ret_buf, form->one);
        else
            wz_buf_add_byte(ret_buf, form->many);
    }
    if (pattern && form->not_empty && ret_buf->len == 0)
        wz_buf_add_byte(ret_buf, form->many);
}

#define PATTERNS 3000

struct entry {
    struct wz_buf pattern;
    int counter;
    bool in;
};

// Adds or removes an entry in the trie; what is there already under the same text is another value.
static void toggle(struct wz_trie *trie, struct entry *entry)
{
    struct wz_slice pattern = wz_buf_slice(&entry->pattern);

    if (entry->in)
        assert_int_equal(wz_trie_remove(trie, pattern, &entry->counter), WZ_OK);
    else
        assert_int_equal(wz_trie_add(trie, pattern, &entry->counter), WZ_OK);
    entry->in = !entry->in;
}

static void check_topic(struct wz_trie *trie, struct entry *entries,
                        const struct wz_topic_form *form, struct wz_slice topic)
{
    for (int i = 0; i < PATTERNS; i++)
        entries[i].counter = 0;
    wz_trie_match(trie, topic, count_up, NULL);
    for (int i = 0; i < PATTERNS; i++) {
        struct wz_slice pattern = wz_buf_slice(&entries[i].pattern);
        int want = entries[i].in && wz_pattern_match(form, pattern, topic);

        if (entries[i].counter != want)
            fail_msg("pattern \"%.*s\" topic \"%.*s\": met %d times, not %d", WZ_SLICE_FMT(pattern),
                     WZ_SLICE_FMT(topic), entries[i].counter, want);
    }
}

static void compare_with_patterns(const struct wz_topic_form *form, uint32_t seed)
{
    struct entry *entries = wz_zalloc(PATTERNS, sizeof(*entries));
    struct wz_trie *trie = wz_trie_new(form);
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};

    for (int i = 0; i < PATTERNS; i++) {
        random_text(&entries[i].pattern, form, true, &seed);
        assert_true(wz_pattern_valid(form, wz_buf_slice(&entries[i].pattern)));
        toggle(trie, &entries[i]);
    }
    for (int round = 0; round < 1500; round++) {
        random_text(&topic, form, false, &seed);
        check_topic(trie, entries, form, wz_buf_slice(&topic));
        for (int i = 0; i < 20; i++)
            toggle(trie, &entries[next_random(&seed) % PATTERNS]);
    }
    for (int i = 0; i < PATTERNS; i++) {
        if (entries[i].in)
            toggle(trie, &entries[i]);
        wz_buf_release(&entries[i].pattern);
    }
    assert_int_equal(wz_trie_count(trie), 0);
    wz_trie_free(trie);
    wz_free(entries);
}

static void test_trie_agrees_with_patterns_one_by_one(void **state)
{
    (void)state;
    compare_with_patterns(&wz_topic_mqtt, 1);
    compare_with_patterns(&wz_topic_amqp, 2);
}

static size_t heap_in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void test_trie_of_many_subscriptions_stays_small(void **state)
{
    static char values[100000];
    struct wz_trie *trie = wz_trie_new(&wz_topic_mqtt);
    size_t before = heap_in_use();
    size_t after;
    char pattern[64];

    (void)state;
    for (int i = 0; i < 100000; i++) {
        (void)snprintf(pattern, sizeof(pattern), "site/%d/device-%d/status", i / 100, i);
        assert_int_equal(wz_trie_add(trie, wz_slice_str(pattern), &values[i]), WZ_OK);
    }
    after = heap_in_use();
    assert_int_equal(wz_trie_count(trie), 100000);
    assert_true(after - before < (size_t)100000 * 250); // a sanitizer's allocator shows 0
    wz_trie_free(trie);
}

static void test_trie_uses_the_nodes_of_removed_patterns_again(void **state)
{
    struct wz_trie *trie = wz_trie_new(&wz_topic_mqtt);
    size_t before = heap_in_use();
    char pattern[64];
    int counter;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        (void)snprintf(pattern, sizeof(pattern), "gone-%d/+/a-word-that-is-not-short-%d/#", i, i);
        assert_int_equal(wz_trie_add(trie, wz_slice_str(pattern), &counter), WZ_OK);
        assert_int_equal(wz_trie_remove(trie, wz_slice_str(pattern), &counter), WZ_OK);
    }
    assert_true(heap_in_use() - before < 65536); // a sanitizer's allocator shows 0
    assert_int_equal(matches(trie, pattern, &counter), 0);
    wz_trie_free(trie);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trie_of_mqtt_follows_the_specification),
        cmocka_unit_test(test_trie_holds_a_value_once_a_pattern),
        cmocka_unit_test(test_trie_reports_a_pattern_once_however_it_matches),
        cmocka_unit_test(test_trie_removes_what_was_added_and_nothing_else),
        cmocka_unit_test(test_trie_refuses_a_pattern_that_is_too_deep),
        cmocka_unit_test(test_trie_with_many_wildcards_is_matched_in_bounded_time),
        cmocka_unit_test(test_trie_agrees_with_patterns_one_by_one),
        cmocka_unit_test(test_trie_of_many_subscriptions_stays_small),
        cmocka_unit_test(test_trie_uses_the_nodes_of_removed_patterns_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
