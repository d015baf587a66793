// SPDX-License-Identifier: Apache-2.0
#include "broker/topic_table.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

// So many that every part of the table has grown a few times.
#define ITEMS 60000
#define ROUNDS 6

struct item {
    char topic[24];
    bool there; // the naive model
    int met;    // by a walk
};

struct world {
    struct wz_topic_table *table;
    struct item *items;
    size_t count; // of those that are there
    unsigned seed;
    unsigned random;
};

// What is allocated now, and how often it was; the table's calls come here.
static size_t held_bytes;
static int allocations;

void *__real_wz_zalloc(size_t count, size_t size);
void *__wrap_wz_zalloc(size_t count, size_t size);
void __real_wz_free(void *ptr);
void __wrap_wz_free(void *ptr);

void *__wrap_wz_zalloc(size_t count, size_t size)
{
    void *ptr = __real_wz_zalloc(count, size);

    held_bytes += malloc_usable_size(ptr);
    allocations++;
    return ptr;
}

void __wrap_wz_free(void *ptr)
{
    held_bytes -= malloc_usable_size(ptr);
    __real_wz_free(ptr);
}

static struct wz_slice topic_of(const void *item)
{
    return wz_slice_str(((const struct item *)item)->topic);
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    world->table = wz_topic_table_new(topic_of);
    world->items = wz_zalloc(ITEMS, sizeof(world->items[0]));
    for (int i = 0; i < ITEMS; i++)
        (void)snprintf(world->items[i].topic, sizeof(world->items[i].topic), "site/%d/s%d", i / 100,
                       i % 100);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    wz_topic_table_free(world->table);
    wz_free(world->items);
    wz_free(world);
    return 0;
}

static void put(struct world *world, struct item *item)
{
    wz_topic_table_put(world->table, item);
    item->there = true;
    world->count++;
}

static void take_out(struct world *world, struct item *item)
{
    wz_topic_table_remove(world->table, item);
    item->there = false;
    world->count--;
}

static void check_item(const struct world *world, const struct item *item)
{
    const void *found = wz_topic_table_get(world->table, topic_of(item));

    if (found != (item->there ? item : NULL))
        fail_msg("seed %u: \"%s\" is %s", world->seed, item->topic,
                 found == NULL ? "not found" : "found, or another is");
}

// Holds all of the table, by topic and by a walk, against the model.
static void check(const struct world *world)
{
    struct item *item;
    size_t state = 0;
    size_t met = 0;

    for (int i = 0; i < ITEMS; i++) {
        world->items[i].met = 0;
        check_item(world, &world->items[i]);
    }
    while ((item = wz_topic_table_next(world->table, &state)) != NULL) {
        if (!item->there || ++item->met > 1)
            fail_msg("seed %u: the walk meets \"%s\"", world->seed, item->topic);
        met++;
    }
    assert_int_equal(met, world->count);
    assert_null(wz_topic_table_next(world->table, &state)); // an end stays one
}

static void test_topic_table_is_empty_at_first(void **state)
{
    struct world *world = *state;

    check(world);
}

static void test_topic_table_finds_what_was_put_however_it_grows(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < ITEMS; i++) {
        put(world, &world->items[i]);
        if ((i & (i + 1)) == 0) // at powers of two
            check(world);
    }
    check(world);
}

static void test_topic_table_finds_by_a_hash_that_was_asked_for_ahead(void **state)
{
    struct world *world = *state;
    uint64_t *hashes = wz_zalloc(ITEMS, sizeof(hashes[0]));

    for (int i = 0; i < ITEMS; i++) // of an empty table: what grows keeps them
        hashes[i] = wz_topic_table_hash(world->table, topic_of(&world->items[i]));
    for (int i = 0; i < ITEMS; i++) {
        struct item *item = &world->items[i];

        assert_null(wz_topic_table_get_hashed(world->table, topic_of(item), hashes[i]));
        wz_topic_table_put_hashed(world->table, item, hashes[i]);
        item->there = true;
        world->count++;
        assert_ptr_equal(wz_topic_table_get_hashed(world->table, topic_of(item), hashes[i]), item);
    }
    check(world);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(wz_topic_table_hash(world->table, topic_of(&world->items[i])), hashes[i]);
    wz_free(hashes);
}

static void test_topic_table_compares_topics_whole(void **state)
{
    struct world *world = *state;

    put(world, &world->items[0]);
    assert_null(wz_topic_table_get(world->table, WZ_SLICE_LIT("")));
    assert_null(wz_topic_table_get(world->table, WZ_SLICE_LIT("site/0/s")));
    assert_null(wz_topic_table_get(world->table, WZ_SLICE_LIT("site/0/s00")));
    assert_ptr_equal(wz_topic_table_get(world->table, WZ_SLICE_LIT("site/0/s0")), world->items);
}

static void test_topic_table_is_empty_again_when_all_are_removed(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < ITEMS; i++)
        put(world, &world->items[i]);
    for (int i = 0; i < ITEMS; i++)
        take_out(world, &world->items[(long)i * 7919 % ITEMS]); // each once
    assert_int_equal(world->count, 0);
    check(world);
    put(world, &world->items[5]);
    check(world);
}

static void test_topic_table_takes_what_it_says_and_gives_it_back(void **state)
{
    struct world *world = *state;
    size_t before = held_bytes;
    size_t full;

    for (int i = 0; i < ITEMS; i++)
        put(world, &world->items[i]);
    full = held_bytes - before;
    assert_in_range(full, ITEMS * WZ_TOPIC_TABLE_COST / 2, ITEMS * WZ_TOPIC_TABLE_COST * 3 / 2);
    for (int i = 0; i < ITEMS; i++)
        take_out(world, &world->items[i]);
    assert_true(held_bytes - before < full / 8);
}

static void test_topic_table_does_not_grow_when_topics_come_and_go(void **state)
{
    struct world *world = *state;
    int before;

    for (int i = 0; i < ITEMS / 2; i++)
        put(world, &world->items[i]);
    before = allocations;
    for (int i = 0; i < ITEMS; i++) {
        put(world, &world->items[ITEMS - 1]);
        take_out(world, &world->items[ITEMS - 1]);
    }
    assert_true(allocations - before <= 1);
    check(world);
}

// Changes items at random, which are put with a chance of PUTS percent, removed otherwise.
static void change(struct world *world, int times, int puts)
{
    for (int i = 0; i < times; i++) {
        struct item *item = &world->items[rand_r(&world->random) % ITEMS];
        bool puts_it = rand_r(&world->random) % 100 < puts;

        if (puts_it && !item->there)
            put(world, item);
        else if (!puts_it && item->there)
            take_out(world, item);
        check_item(world, item);
        check_item(world, &world->items[rand_r(&world->random) % ITEMS]);
    }
}

static void test_topic_table_is_right_whatever_is_put_and_removed(void **state)
{
    struct world *world = *state;

    for (unsigned seed = 1; seed <= ROUNDS; seed++) {
        world->seed = world->random = seed;
        change(world, 2 * ITEMS, 90);
        check(world);
        change(world, 2 * ITEMS, 50);
        check(world);
        change(world, 2 * ITEMS, 5); // and it shrinks
        check(world);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_topic_table_is_empty_at_first),
        TEST(test_topic_table_finds_what_was_put_however_it_grows),
        TEST(test_topic_table_finds_by_a_hash_that_was_asked_for_ahead),
        TEST(test_topic_table_compares_topics_whole),
        TEST(test_topic_table_is_empty_again_when_all_are_removed),
        TEST(test_topic_table_takes_what_it_says_and_gives_it_back),
        TEST(test_topic_table_does_not_grow_when_topics_come_and_go),
        TEST(test_topic_table_is_right_whatever_is_put_and_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
