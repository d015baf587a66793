// SPDX-License-Identifier: Apache-2.0
#include "router/seen_topics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "router/documents_test.h"

static bool see(struct wz_seen_topics *topics, const char *topic, int64_t time_ms)
{
    struct wz_seen_message message = {
        .topic = wz_slice_str(topic), .body = wz_slice_str("255"), .why = 3, .time_ms = time_ms};

    return wz_seen_topics_add(topics, &message);
}

static void see_number(struct wz_seen_topics *topics, uint64_t number)
{
    char topic[32];

    (void)snprintf(topic, sizeof(topic), "t/%llu", (unsigned long long)number);
    assert_true(see(topics, topic, 1));
}

static const struct wz_seen *find(const struct wz_seen_topics *topics, const char *topic)
{
    return wz_seen_topics_find(topics, wz_slice_str(topic));
}

static void test_seen_topics_are_counted_exactly_while_there_is_room(void **state)
{
    struct wz_seen_topics topics = {0};
    const struct wz_seen *seen;

    (void)state;
    for (uint64_t i = 0; i < WZ_SEEN_TOPICS_MAX; i++)
        for (uint64_t k = 0; k <= i % 5; k++)
            see_number(&topics, i);
    seen = find(&topics, "t/4");
    assert_int_equal(seen->count, 5);
    assert_int_equal(seen->over, 0);
    assert_int_equal(seen->why, 3);
    assert_memory_equal(wz_seen_sample(seen).ptr, "255", 3);
    assert_int_equal(topics.count, WZ_SEEN_TOPICS_MAX);
    wz_seen_topics_release(&topics);
}

// Against a model that has them all: the bounds of the paper hold, and memory is what it was.
static void test_seen_topics_keep_the_frequent_among_a_flood(void **state)
{
    struct wz_seen_topics topics = {0};
    uint64_t seed = 42;
    int64_t frequent = 0;
    int64_t all = 200000;
    const struct wz_seen *seen;

    (void)state;
    for (int64_t i = 0; i < all; i++) {
        if (i % 1000 == 0) {
            assert_true(see(&topics, "quiet/but/steady", i));
            frequent++;
        }
        see_number(&topics, next_random(&seed));
    }
    seen = find(&topics, "quiet/but/steady");
    assert_non_null(seen);
    assert_true(seen->count >= frequent && seen->count - seen->over <= frequent);
    assert_true(topics.heap[0].count <= all / WZ_SEEN_TOPICS_MAX + 1);
    assert_int_equal(topics.count, WZ_SEEN_TOPICS_MAX);
    assert_true(topics.by_topic.count == WZ_SEEN_TOPICS_MAX);
    assert_true(topics.bytes < (size_t)WZ_SEEN_TOPICS_MAX * 100);
    wz_seen_topics_release(&topics);
}

static void test_seen_topics_refuse_one_that_is_too_long(void **state)
{
    struct wz_seen_topics topics = {0};
    char topic[WZ_SEEN_TOPIC_BYTES + 2];

    (void)state;
    memset(topic, 'x', sizeof(topic));
    topic[WZ_SEEN_TOPIC_BYTES + 1] = '\0';
    assert_false(see(&topics, topic, 1));
    topic[WZ_SEEN_TOPIC_BYTES] = '\0';
    assert_true(see(&topics, topic, 1));
    wz_seen_topics_release(&topics);
}

static void test_seen_topics_bound_their_samples(void **state)
{
    struct wz_seen_topics topics = {0};
    char topic[WZ_SEEN_TOPIC_BYTES];
    uint8_t body[8192];

    (void)state;
    memset(body, 'y', sizeof(body));
    memset(topic, 'x', sizeof(topic));
    for (int i = 0; i < WZ_SEEN_TOPICS_MAX; i++) {
        struct wz_seen_message message = {
            .topic = wz_slice(topic, sizeof(topic)), .body = wz_slice(body, 8192), .time_ms = 1};

        (void)snprintf(topic, 16, "%015d", i);
        topic[15] = '/';
        memcpy(topic + sizeof(topic) - 7, "/config", 7);
        assert_true(wz_seen_topics_add(&topics, &message));
    }
    // Every topic is there; what is left of the room went to samples.
    assert_int_equal(topics.count, WZ_SEEN_TOPICS_MAX);
    assert_true(topics.bytes < WZ_SEEN_BYTES_MAX + (size_t)WZ_SEEN_TOPICS_MAX * 1200);
    wz_seen_topics_release(&topics);
}

static void test_seen_topics_tell_the_rate_and_when(void **state)
{
    struct wz_seen_topics topics = {0};
    const struct wz_seen *seen;

    (void)state;
    for (int64_t i = 0; i < 6000; i++)
        assert_true(see(&topics, "a", 1000 + i * 100)); // ten a second for ten minutes
    seen = find(&topics, "a");
    assert_true(seen->rate > 9.5 && seen->rate < 10.5);
    assert_int_equal(seen->first_ms, 1000);
    assert_int_equal(seen->last_ms, 1000 + 5999 * 100);
    assert_true(see(&topics, "a", 500)); // the clock was set back
    assert_int_equal(seen->last_ms, 1000 + 5999 * 100);
    wz_seen_topics_release(&topics);
}

// Removing in any order leaves the others with their counts, and the heap in order.
static void test_seen_topics_forget_one_and_keep_the_others(void **state)
{
    struct wz_seen_topics topics = {0};
    uint64_t seed = 7;
    int64_t counts[200] = {0};
    char topic[32];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        uint64_t number = next_random(&seed) % 200;

        see_number(&topics, number);
        counts[number]++;
        number = next_random(&seed) % 200;
        if (i % 3 > 0)
            continue;
        (void)snprintf(topic, sizeof(topic), "t/%llu", (unsigned long long)number);
        assert_int_equal(wz_seen_topics_remove(&topics, wz_slice_str(topic)), counts[number] > 0);
        counts[number] = 0;
    }
    for (int i = 0; i < 200; i++) {
        (void)snprintf(topic, sizeof(topic), "t/%d", i);
        assert_int_equal(find(&topics, topic) != NULL ? find(&topics, topic)->count : 0, counts[i]);
    }
    for (uint32_t i = 1; i < topics.count; i++)
        assert_true(topics.heap[(i - 1) / 2].count <= topics.heap[i].count);
    wz_seen_topics_release(&topics);
}

static void test_seen_topics_copies_outlive_and_merge(void **state)
{
    struct wz_seen_topics topics = {0};
    struct wz_seen_topics other = {0};
    struct wz_seen *items;
    uint32_t count;

    (void)state;
    assert_true(see(&topics, "a", 5));
    assert_true(see(&topics, "b", 6));
    count = wz_seen_topics_copy(&topics, &items);
    wz_seen_topics_release(&topics);
    assert_true(see(&other, "a", 9));
    for (uint32_t i = 0; i < count; i++)
        wz_seen_topics_merge(&other, &items[i]);
    wz_seen_copies_free(items, count);
    assert_int_equal(find(&other, "a")->count, 2);
    assert_int_equal(find(&other, "a")->first_ms, 5);
    assert_int_equal(find(&other, "a")->last_ms, 9);
    assert_int_equal(find(&other, "b")->count, 1);
    wz_seen_topics_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seen_topics_are_counted_exactly_while_there_is_room),
        cmocka_unit_test(test_seen_topics_keep_the_frequent_among_a_flood),
        cmocka_unit_test(test_seen_topics_refuse_one_that_is_too_long),
        cmocka_unit_test(test_seen_topics_bound_their_samples),
        cmocka_unit_test(test_seen_topics_tell_the_rate_and_when),
        cmocka_unit_test(test_seen_topics_forget_one_and_keep_the_others),
        cmocka_unit_test(test_seen_topics_copies_outlive_and_merge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
