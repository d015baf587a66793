// SPDX-License-Identifier: Apache-2.0
#include "stream/log/shelf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// Three segments on a shelf: offsets 0 to 9, none, and 20 to 29; times are the offsets times ten.
static void make(struct wz_shelf *shelf, struct wz_segment *ret_segs[3])
{
    wz_shelf_init(shelf);
    for (int64_t i = 0; i < 3; i++) {
        ret_segs[i] = wz_segment_new(i * 10);
        wz_shelf_add(shelf, ret_segs[i]);
    }
    for (int64_t offset = 0; offset < 30; offset += offset == 9 ? 11 : 1) {
        static uint8_t space[256];
        struct wz_record_parts parts = {.key = WZ_SLICE_LIT("t")};
        struct wz_batch_builder batch;
        struct wz_batch_info info;

        wz_batch_begin(&batch, space, sizeof(space), offset);
        wz_batch_add(&batch, &parts, wz_record_len(&parts, 0));
        wz_batch_finish(&batch, offset * 10);
        wz_batch_seal(space, batch.len);
        assert_int_equal(wz_batch_read(wz_slice(space, batch.len), &info), WZ_OK);
        wz_shelf_publish(shelf, ret_segs[offset / 10], wz_slice(space, batch.len), &info);
    }
}

static void test_shelf_finds_segments_by_offset_and_time(void **state)
{
    struct wz_segment *segs[3];
    struct wz_shelf shelf;
    struct wz_place place;

    (void)state;
    make(&shelf, segs);
    for (int64_t offset = 0; offset < 30; offset++) {
        assert_int_equal(wz_shelf_find(&shelf, offset, &place), WZ_OK);
        assert_int_equal(place.id, segs[offset < 10 ? 0 : 2]->id);
        assert_int_equal(place.limit_offset, offset < 10 ? 10 : INT64_MAX);
        assert_int_equal(wz_shelf_find_below(&shelf, offset + 1, &place), WZ_OK);
        assert_int_equal(place.id, segs[offset < 20 ? 0 : 2]->id);
        assert_int_equal(wz_shelf_find_time(&shelf, offset * 10, &place), WZ_OK);
        assert_int_equal(place.id, segs[offset < 10 ? 0 : 2]->id);
    }
    assert_int_equal(wz_shelf_find(&shelf, 30, &place), WZ_END);
    assert_int_equal(wz_shelf_find_below(&shelf, 0, &place), WZ_END);
    assert_int_equal(wz_shelf_find_time(&shelf, 291, &place), WZ_END);
    wz_shelf_release(&shelf);
}

static void test_shelf_takes_back_what_did_not_become_durable(void **state)
{
    struct wz_log_info info = {.next_offset = 30};
    struct wz_segment *segs[3];
    struct wz_shelf shelf;
    struct wz_place place;

    (void)state;
    make(&shelf, segs);
    wz_shelf_cut(&shelf, segs[2]); // nothing of it ever was
    assert_int_equal(wz_shelf_find(&shelf, 10, &place), WZ_END);
    wz_shelf_info(&shelf, &info);
    assert_int_equal(info.last_ms, 90);
    assert_int_equal(info.segment_count, 3);
    wz_shelf_drop(&shelf, segs[2]);
    wz_shelf_info(&shelf, &info);
    assert_int_equal(info.segment_count, 2);
    wz_shelf_release(&shelf);
}

static void test_shelf_counts_a_damaged_place_once(void **state)
{
    struct wz_log_info info = {0};
    struct wz_segment *segs[3];
    struct wz_shelf shelf;

    (void)state;
    make(&shelf, segs);
    wz_shelf_damage(&shelf, 0, 100);
    wz_shelf_damage(&shelf, 0, 100);
    wz_shelf_damage(&shelf, 20, 100);
    wz_shelf_info(&shelf, &info);
    assert_int_equal(info.damaged_batches, 2);
    wz_shelf_release(&shelf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shelf_finds_segments_by_offset_and_time),
        cmocka_unit_test(test_shelf_takes_back_what_did_not_become_durable),
        cmocka_unit_test(test_shelf_counts_a_damaged_place_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
