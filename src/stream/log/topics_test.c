// SPDX-License-Identifier: Apache-2.0
#include "stream/log/topics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "stream/log/topics_file.h"

#define TOPICS 300
#define BLOCKS 500
#define MANY 40000
#define GROWTH 500

// Which topic is in which block: every topic in some.
static bool is_in(uint32_t topic, uint32_t block)
{
    return (topic * 7919 + block * 104729) % 17 == 0;
}

static struct wz_slice name_of(uint32_t topic)
{
    static char names[TOPICS][16];
    int len = snprintf(names[topic], sizeof(names[topic]), "t.%u", (unsigned)topic);

    return wz_slice(names[topic], (size_t)len);
}

static struct wz_topics *make(void)
{
    struct wz_topics *topics = wz_topics_new();

    for (uint32_t block = 0; block < BLOCKS; block++) {
        struct wz_slice keys[TOPICS * 2];
        size_t count = 0;

        for (uint32_t topic = 0; topic < TOPICS; topic++) {
            if (!is_in(topic, block))
                continue;
            keys[count++] = name_of(topic);
            keys[count++] = name_of(topic); // a topic may come again
        }
        wz_topics_add(topics, block, keys, count);
    }
    return topics;
}

// Holds the index up to block END against the rule.
static void check(const struct wz_topics *topics, uint32_t end)
{
    for (uint32_t topic = 0; topic < TOPICS; topic++) {
        struct wz_filter filter;
        struct wz_blocks blocks;

        assert_int_equal(wz_filter_init(&filter, name_of(topic)), WZ_OK);
        wz_blocks_init(&blocks, BLOCKS);
        wz_topics_select(topics, &filter, &blocks);
        for (uint32_t block = 0; block < BLOCKS; block++)
            assert_int_equal(wz_blocks_next(&blocks, block) == block,
                             block < end && is_in(topic, block));
        wz_blocks_release(&blocks);
        wz_filter_release(&filter);
    }
}

static void test_topics_know_the_blocks_of_every_topic(void **state)
{
    struct wz_topics *topics = make();

    (void)state;
    check(topics, BLOCKS);
    wz_topics_free(topics);
}

static void test_topics_come_back_from_their_file(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf first = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf second = {0};
    struct wz_topics *topics = make();
    struct wz_topics *back;

    (void)state;
    wz_topics_encode(topics, BLOCKS, &first);
    assert_int_equal(wz_topics_file_check(wz_buf_slice(&first)), WZ_OK);
    back = wz_topics_load(wz_buf_slice(&first));
    check(back, BLOCKS);
    wz_topics_encode(back, BLOCKS, &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.ptr, second.ptr, first.len);
    wz_topics_free(back);
    wz_topics_free(topics);
}

static void test_topics_are_cut_as_if_the_rest_had_never_been(void **state)
{
    struct wz_topics *topics = make();

    (void)state;
    wz_topics_cut(topics, 250);
    check(topics, 250);
    wz_topics_free(topics);
}

// Says that BLOCK holds a topic of that number, one of many.
static void add_number(struct wz_topics *topics, uint32_t block, uint32_t number)
{
    char name[16];
    int len = snprintf(name, sizeof(name), "n.%u", (unsigned)number);
    struct wz_slice key = wz_slice(name, (size_t)len);

    wz_topics_add(topics, block, &key, 1);
}

// Copies TOPICS, which get some hundred more in each step: those of a number from FIRST on.
static struct wz_topics *copy_growing(struct wz_topics *topics, uint32_t first)
{
    struct wz_topics_copy *copy = wz_topics_copy_begin(topics);
    uint32_t number = first;
    int steps = 0;

    for (bool more = true; more; steps++) {
        more = wz_topics_copy_step(copy, topics);
        for (int i = 0; i < GROWTH; i++)
            add_number(topics, BLOCKS + 1, number++);
    }
    assert_in_range(steps, 4, 100);
    return wz_topics_copy_end(copy);
}

static void test_topics_are_copied_as_they_were_when_it_began(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf before = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf copied = {0};
    struct wz_topics *topics = make();
    struct wz_topics *copy;

    (void)state;
    for (uint32_t number = 0; number < MANY; number++)
        add_number(topics, BLOCKS, number);
    wz_topics_encode(topics, BLOCKS + 1, &before);
    copy = copy_growing(topics, MANY - GROWTH); // topics that are there, too
    assert_true(wz_topics_size(topics) > wz_topics_size(copy));
    wz_topics_encode(copy, BLOCKS + 1, &copied);
    assert_int_equal(before.len, copied.len);
    assert_memory_equal(before.ptr, copied.ptr, before.len);
    wz_topics_free(copy);
    wz_topics_free(topics);
}

static void test_topics_of_nothing_are_copied(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf bytes = {0};
    struct wz_topics *topics = wz_topics_new();
    struct wz_topics_copy *copy = wz_topics_copy_begin(topics);
    struct wz_topics *made;

    (void)state;
    assert_false(wz_topics_copy_step(copy, topics));
    made = wz_topics_copy_end(copy);
    assert_int_equal(wz_topics_size(made), 0);
    wz_topics_encode(made, 0, &bytes);
    assert_int_equal(wz_topics_file_check(wz_buf_slice(&bytes)), WZ_OK);
    wz_topics_free(made);
    wz_topics_free(topics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics_know_the_blocks_of_every_topic),
        cmocka_unit_test(test_topics_come_back_from_their_file),
        cmocka_unit_test(test_topics_are_cut_as_if_the_rest_had_never_been),
        cmocka_unit_test(test_topics_are_copied_as_they_were_when_it_began),
        cmocka_unit_test(test_topics_of_nothing_are_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
