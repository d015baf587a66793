// SPDX-License-Identifier: Apache-2.0
#include "broker/entries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

static struct wz_entry *add(struct wz_entries *entries, uint64_t sequence)
{
    struct wz_entry *entry = NULL;

    assert_int_equal(wz_entries_add(entries, sequence, &entry), WZ_OK);
    return entry;
}

static void test_entries_are_nowhere_until_they_are_told(void **state)
{
    struct wz_entries entries = {0};
    const struct wz_entry *entry;

    (void)state;
    assert_null(wz_entries_at(&entries, 0));
    entry = add(&entries, 1000);
    assert_int_equal(entry->place.offset, -1);
    assert_int_equal(entry->place.mark, 0);
    assert_null(entry->shared);
    assert_ptr_equal(wz_entries_at(&entries, 1000), entry);
    assert_ptr_equal(add(&entries, 1000), entry); // once
    assert_null(wz_entries_at(&entries, 1000 - WZ_ENTRIES_CHUNK));
    assert_null(wz_entries_at(&entries, 1000 + WZ_ENTRIES_CHUNK));
    assert_null(wz_entries_at(&entries, UINT64_MAX));
    wz_entries_release(&entries);
    assert_null(wz_entries_at(&entries, 1000));
}

static void test_entries_do_not_move_when_others_come_and_go(void **state)
{
    struct wz_entries entries = {0};
    struct wz_entry *entry = add(&entries, 100000);

    (void)state;
    entry->place.offset = 7;
    for (uint64_t i = 1; i <= 2000; i++) { // in front of it, too
        add(&entries, 100000 + i * WZ_ENTRIES_CHUNK)->place.offset = 1;
        if (i < 1000)
            add(&entries, 100000 - i * WZ_ENTRIES_CHUNK)->place.offset = 1;
    }
    wz_entries_cut(&entries, 100000);
    assert_ptr_equal(wz_entries_at(&entries, 100000), entry);
    assert_int_equal(entry->place.offset, 7);
    wz_entries_release(&entries);
}

static void test_entries_lie_no_further_apart_than_the_span(void **state)
{
    const uint64_t chunk = WZ_ENTRIES_CHUNK;
    const uint64_t first = (uint64_t)1 << 40;
    const uint64_t last = first + WZ_ENTRIES_SPAN;
    struct wz_entries entries = {0};
    struct wz_entry *entry = NULL;

    (void)state;
    (void)add(&entries, first);
    assert_int_equal(wz_entries_add(&entries, last + chunk, &entry), WZ_ERR_LIMIT);
    assert_int_equal(wz_entries_add(&entries, 0, &entry), WZ_ERR_LIMIT);
    assert_int_equal(wz_entries_add(&entries, UINT64_MAX, &entry), WZ_ERR_LIMIT);
    assert_null(entry);
    (void)add(&entries, last);
    assert_int_equal(wz_entries_add(&entries, first - 2 * chunk, &entry), WZ_ERR_LIMIT);
    wz_entries_cut(&entries, last); // then there is room
    (void)add(&entries, last + WZ_ENTRIES_SPAN);
    assert_non_null(wz_entries_at(&entries, last));
    assert_null(wz_entries_at(&entries, first));
    wz_entries_release(&entries);
}

static void test_entries_that_go_in_front_cost_nothing(void **state)
{
    struct wz_entries entries = {0};

    (void)state;
    for (uint64_t sequence = 0; sequence < 1000000; sequence++) {
        add(&entries, sequence)->place.offset = (int64_t)sequence;
        if (sequence < 1000)
            continue;
        wz_entries_cut(&entries, sequence - 999);
        assert_int_equal(wz_entries_at(&entries, sequence - 999)->place.offset, sequence - 999);
    }
    assert_in_range(entries.count, 1000 / WZ_ENTRIES_CHUNK, 100);
    assert_in_range(entries.cap, 1, 1000);
    assert_null(wz_entries_at(&entries, 1000000 - 1000 - 2 * WZ_ENTRIES_CHUNK));
    wz_entries_cut(&entries, 2000000);
    assert_int_equal(entries.count, 0);
    assert_null(entries.chunks);
    wz_entries_cut(&entries, 3000000); // of none
    (void)add(&entries, 5);            // begins anew wherever it likes
    assert_non_null(wz_entries_at(&entries, 5));
    wz_entries_release(&entries);
}

// Whatever is put and cut, what lies above the cut is as it was put.
static void test_entries_are_what_a_plain_array_is(void **state)
{
    enum { RANGE = 20000 };
    const uint64_t base = ((uint64_t)1 << 33) - 777;
    int64_t *model = wz_alloc(RANGE * sizeof(*model));

    (void)state;
    for (unsigned seed = 1; seed <= 40; seed++) {
        struct wz_entries entries = {0};
        size_t low = 0; // cut up to here
        size_t high = 0;

        srandom(seed);
        for (int i = 0; i < RANGE; i++)
            model[i] = -1;
        for (int64_t stamp = 1; stamp <= 3000; stamp++) {
            long what = random() % 100;
            size_t at = what < 60 || high == low
                            ? high + (size_t)(random() % 3 == 0 ? random() % 200 : 0)
                            : low + (size_t)random() % (high - low);

            if (at >= RANGE)
                break;
            if (what < 90) {
                model[at] = stamp;
                add(&entries, base + at)->place.offset = stamp;
                high = at >= high ? at + 1 : high;
            } else {
                low = at < low + 500 ? at : low + 500;
                wz_entries_cut(&entries, base + low);
            }
        }
        for (size_t at = low; at < RANGE; at++) {
            const struct wz_entry *entry = wz_entries_at(&entries, base + at);

            if ((entry != NULL ? entry->place.offset : -1) != model[at])
                fail_msg("seed %u: entry %zu of %zu to %zu", seed, at, low, high);
        }
        wz_entries_release(&entries);
    }
    wz_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_are_nowhere_until_they_are_told),
        cmocka_unit_test(test_entries_do_not_move_when_others_come_and_go),
        cmocka_unit_test(test_entries_lie_no_further_apart_than_the_span),
        cmocka_unit_test(test_entries_that_go_in_front_cost_nothing),
        cmocka_unit_test(test_entries_are_what_a_plain_array_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
