// SPDX-License-Identifier: Apache-2.0
#include "broker/entries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

static void test_entries_are_nowhere_until_they_are_told(void **state)
{
    struct wz_entries entries = {0};
    const struct wz_entry *entry;

    (void)state;
    assert_null(wz_entries_at(&entries, 0));
    assert_int_equal(wz_entries_next(&entries, 0), UINT64_MAX);
    entry = wz_entries_add(&entries, 1000);
    assert_int_equal(entry->place.offset, -1);
    assert_int_equal(entry->place.mark, 0);
    assert_null(entry->shared);
    assert_ptr_equal(wz_entries_at(&entries, 1000), entry);
    assert_ptr_equal(wz_entries_add(&entries, 1000), entry); // once
    assert_null(wz_entries_at(&entries, 999));               // a neighbour
    assert_null(wz_entries_at(&entries, 1000 - WZ_ENTRIES_CHUNK));
    assert_null(wz_entries_at(&entries, 1000 + WZ_ENTRIES_CHUNK));
    assert_null(wz_entries_at(&entries, UINT64_MAX));
    wz_entries_release(&entries);
    assert_null(wz_entries_at(&entries, 1000));
}

static void test_entries_begin_anew_where_one_was_before(void **state)
{
    struct wz_entries entries = {0};

    (void)state;
    wz_entries_add(&entries, 5)->place.offset = 7;
    wz_entries_remove(&entries, 5);
    assert_null(wz_entries_at(&entries, 5));
    assert_int_equal(wz_entries_next(&entries, 0), UINT64_MAX);
    assert_int_equal(wz_entries_add(&entries, 5)->place.offset, -1);
    wz_entries_release(&entries);
}

static void test_entries_do_not_move_when_others_come_and_go(void **state)
{
    struct wz_entries entries = {0};
    struct wz_entry *entry = wz_entries_add(&entries, 1000000);

    (void)state;
    entry->place.offset = 7;
    for (uint64_t i = 1; i <= 2000; i++) { // in front of it, too
        (void)wz_entries_add(&entries, 1000000 + i * WZ_ENTRIES_CHUNK);
        (void)wz_entries_add(&entries, 1000000 - i * WZ_ENTRIES_CHUNK);
    }
    for (uint64_t i = 1; i <= 2000; i++) {
        wz_entries_remove(&entries, 1000000 - i * WZ_ENTRIES_CHUNK);
        wz_entries_remove(&entries, 1000000 + i * WZ_ENTRIES_CHUNK);
    }
    assert_ptr_equal(wz_entries_at(&entries, 1000000), entry);
    assert_int_equal(entry->place.offset, 7);
    wz_entries_release(&entries);
}

static void test_entries_that_go_in_front_cost_nothing(void **state)
{
    struct wz_entries entries = {0};

    (void)state;
    for (uint64_t sequence = 0; sequence < 1000000; sequence++) {
        wz_entries_add(&entries, sequence)->place.offset = (int64_t)sequence;
        if (sequence < 1000)
            continue;
        assert_int_equal(wz_entries_next(&entries, 0), sequence - 1000);
        wz_entries_remove(&entries, sequence - 1000);
        assert_int_equal(wz_entries_at(&entries, sequence - 999)->place.offset, sequence - 999);
    }
    assert_in_range(entries.count, 1000 / WZ_ENTRIES_CHUNK, 1000 / WZ_ENTRIES_CHUNK + 2);
    assert_in_range(entries.cap, 1, 100);
    assert_null(wz_entries_at(&entries, 1000000 - 1001));
    wz_entries_release(&entries);
}

// Some never go: what lies between them costs neither memory nor a walk.
static void test_entries_keep_memory_for_what_is_there_alone(void **state)
{
    const uint64_t stuck[] = {3, 4, 700000, 700000 + ((uint64_t)1 << 40)};
    struct wz_entries entries = {0};
    uint64_t seen = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(stuck) / sizeof(stuck[0]); i++)
        (void)wz_entries_add(&entries, stuck[i]);
    for (uint64_t sequence = 5; sequence < 700000; sequence++) { // all at once
        (void)wz_entries_add(&entries, sequence);
        if (sequence >= 600000)
            wz_entries_remove(&entries, sequence - 599995);
    }
    for (uint64_t sequence = 100005; sequence < 700000; sequence++)
        wz_entries_remove(&entries, sequence);
    for (uint64_t sequence = 700001; sequence < 5000000; sequence++) { // one after the other
        (void)wz_entries_add(&entries, sequence);
        wz_entries_remove(&entries, sequence);
    }
    assert_in_range(entries.count, 3, 4);
    assert_in_range(entries.cap, 3, 256);
    for (size_t i = 0; i < sizeof(stuck) / sizeof(stuck[0]); i++) {
        seen = wz_entries_next(&entries, seen);
        assert_int_equal(seen++, stuck[i]);
    }
    assert_int_equal(wz_entries_next(&entries, seen), UINT64_MAX);
    wz_entries_release(&entries);
}

static void test_entries_that_go_one_by_one_use_the_same_memory(void **state)
{
    struct wz_entries entries = {0};
    struct wz_entry *entry = wz_entries_add(&entries, 0);

    (void)state;
    for (uint64_t sequence = 0; sequence < 10000; sequence++) {
        assert_ptr_equal(wz_entries_add(&entries, sequence), entry + sequence % WZ_ENTRIES_CHUNK);
        wz_entries_remove(&entries, sequence);
    }
    assert_int_equal(entries.count, 1);
    wz_entries_release(&entries);
}

// The model: what is put at each sequence from a base on; -1: not there.
struct model {
    int64_t stamps[20000];
    size_t high; // none from here on
};

static void operate(struct wz_entries *entries, struct model *model, uint64_t base, int64_t stamp)
{
    const size_t range = sizeof(model->stamps) / sizeof(model->stamps[0]);
    long what = random() % 100;
    size_t at = model->high; // mostly at the end, sometimes behind a gap, sometimes between
    size_t count = what < 95 ? 1 : 200;

    if (what < 5)
        at += (size_t)random() % 300;
    else if (what >= 50 && model->high > 0)
        at = (size_t)random() % model->high;
    for (; count > 0 && at < range; count--, at++) {
        if (what < 60) {
            model->stamps[at] = stamp;
            wz_entries_add(entries, base + at)->place.offset = stamp;
            model->high = at >= model->high ? at + 1 : model->high;
        } else if (model->stamps[at] >= 0) {
            model->stamps[at] = -1;
            wz_entries_remove(entries, base + at);
        }
    }
}

static void check(const struct wz_entries *entries, const struct model *model, uint64_t base,
                  unsigned seed)
{
    uint64_t sequence = 0;

    for (size_t at = 0; at < model->high; at++) {
        const struct wz_entry *entry = wz_entries_at(entries, base + at);

        if ((entry != NULL ? entry->place.offset : -1) != model->stamps[at])
            fail_msg("seed %u: entry %zu of %zu", seed, at, model->high);
        if (entry == NULL)
            continue;
        sequence = wz_entries_next(entries, sequence);
        if (sequence++ != base + at)
            fail_msg("seed %u: not %zu but %llu is next", seed, at, (unsigned long long)sequence);
    }
    if (wz_entries_next(entries, sequence) != UINT64_MAX)
        fail_msg("seed %u: one more", seed);
}

static void test_entries_are_what_a_plain_array_is(void **state)
{
    const uint64_t base = ((uint64_t)1 << 33) - 777;
    struct model *model = wz_alloc(sizeof(*model));

    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct wz_entries entries = {0};

        srandom(seed);
        memset(model->stamps, 0xff, sizeof(model->stamps)); // -1
        model->high = 0;
        for (int64_t stamp = 1; stamp <= 4000; stamp++) {
            operate(&entries, model, base, stamp);
            if (stamp % 200 == 0)
                check(&entries, model, base, seed);
        }
        wz_entries_release(&entries);
    }
    wz_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_are_nowhere_until_they_are_told),
        cmocka_unit_test(test_entries_begin_anew_where_one_was_before),
        cmocka_unit_test(test_entries_do_not_move_when_others_come_and_go),
        cmocka_unit_test(test_entries_that_go_in_front_cost_nothing),
        cmocka_unit_test(test_entries_keep_memory_for_what_is_there_alone),
        cmocka_unit_test(test_entries_that_go_one_by_one_use_the_same_memory),
        cmocka_unit_test(test_entries_are_what_a_plain_array_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
