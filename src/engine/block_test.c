// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/block.h"

static char body[WZ_BLOCK_BYTES];

// A record of LEN bytes at OFFSET; its lane is the offset's modulo 7.
static struct wz_frame_record make(int64_t offset, size_t len)
{
    return (struct wz_frame_record){
        .stream = 1,
        .hops = 3,
        .lane = (uint8_t)(offset % 7),
        .offset = offset,
        .append_ms = offset * 2,
        .topic = WZ_SLICE_LIT("a.b"),
        .body = wz_slice(body, len - WZ_FRAME_RECORD_LEN - 3),
    };
}

static void add(struct wz_block *block, int64_t offset, size_t len)
{
    struct wz_frame_record record = make(offset, len);

    assert_true(wz_block_add(block, &record));
}

static void test_block_gives_records_back_as_they_were(void **state)
{
    struct wz_block *block = wz_block_new(1, 4096);
    struct wz_frame_record record;

    (void)state;
    for (uint32_t i = 0; i < 30; i++)
        add(block, i * 10, 100 + i);
    for (uint32_t i = 0; i < 30; i++) {
        struct wz_frame_record wanted = make(i * 10, 100 + i);

        wz_block_get(block, i, &record);
        assert_int_equal(record.stream, 1);
        assert_int_equal(record.hops, 3);
        assert_int_equal(record.lane, wanted.lane);
        assert_int_equal(record.offset, wanted.offset);
        assert_int_equal(record.append_ms, wanted.append_ms);
        assert_true(wz_slice_eq(record.topic, wanted.topic));
        assert_true(wz_slice_eq(record.body, wanted.body));
        assert_int_equal(block->entries[i].lane, wanted.lane);
        assert_int_equal(block->entries[i].offset, wanted.offset);
    }
    wz_block_unref(block);
}

static void test_block_is_full_of_bytes_or_of_records(void **state)
{
    struct wz_block *large = wz_block_new(1, 1000);
    struct wz_block *block = wz_block_new(1, WZ_BLOCK_BYTES);
    struct wz_frame_record record = make(2, 401);

    (void)state;
    add(large, 0, 300);
    add(large, 1, 300);
    assert_false(wz_block_add(large, &record));
    add(large, 2, 400); // to the last byte
    assert_int_equal(large->count, 3);
    for (int i = 0; i < WZ_BLOCK_RECORDS; i++)
        add(block, i, 40);
    record = make(WZ_BLOCK_RECORDS, 40);
    assert_false(wz_block_add(block, &record));
    wz_block_unref(large);
    wz_block_unref(block);
}

static void test_block_does_not_move_bytes_that_somebody_holds(void **state)
{
    struct wz_block *block = wz_block_new(1, WZ_BLOCK_BYTES);
    struct wz_block_run run = {.block = wz_block_ref(block), .to = 1};
    struct wz_slice before;

    (void)state;
    add(block, 0, 100);
    before = wz_block_run_bytes(&run);
    for (int i = 1; i < 500; i++)
        add(block, i, 100);
    assert_ptr_equal(wz_block_run_bytes(&run).ptr, before.ptr);
    assert_int_equal(wz_block_run_bytes(&run).len, 100);
    wz_block_unref(block);
    assert_int_equal(run.block->refs, 1); // and lives as long as it is held
    assert_int_equal(run.block->count, 500);
    wz_block_unref(run.block);
}

// Against a walk over the records.
static void test_block_run_finds_how_many_fit_and_how_many_are_below(void **state)
{
    struct wz_block *block = wz_block_new(1, WZ_BLOCK_BYTES);
    unsigned seed = 20260303;
    int64_t offset = 5;

    (void)state;
    for (int i = 0; i < 200; i++) {
        add(block, offset, (size_t)(40 + rand_r(&seed) % 200));
        offset += 1 + rand_r(&seed) % 4;
    }
    for (int round = 0; round < 20000; round++) {
        struct wz_block_run run = {.block = block, .from = (uint32_t)rand_r(&seed) % 200};
        size_t bytes = (size_t)rand_r(&seed) % 30000;
        int64_t below = rand_r(&seed) % (offset + 10);
        uint32_t fit = 0;
        uint32_t count = 0;

        run.to = run.from + (uint32_t)rand_r(&seed) % (201 - run.from);
        while (run.from + fit < run.to &&
               block->entries[run.from + fit].end - wz_block_start(block, run.from) <= bytes)
            fit++;
        while (run.from + count < run.to && block->entries[run.from + count].offset < below)
            count++;
        assert_int_equal(wz_block_run_fit(&run, bytes), fit);
        assert_int_equal(wz_block_run_below(&run, below), count);
    }
    wz_block_unref(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_gives_records_back_as_they_were),
        cmocka_unit_test(test_block_is_full_of_bytes_or_of_records),
        cmocka_unit_test(test_block_does_not_move_bytes_that_somebody_holds),
        cmocka_unit_test(test_block_run_finds_how_many_fit_and_how_many_are_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
