// SPDX-License-Identifier: Apache-2.0
#include "stream/log/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"

// Adds a batch of one record at OFFSET.
static void add(struct wz_segment *seg, int64_t offset, const char *topic)
{
    static uint8_t space[6000];
    static const uint8_t body[5000];
    struct wz_record_parts parts = {
        .key = wz_slice_str(topic), .value = {wz_slice(body, sizeof(body))}, .value_count = 1};
    struct wz_batch_builder batch;
    struct wz_batch_info info;

    wz_batch_begin(&batch, space, sizeof(space), offset);
    wz_batch_add(&batch, &parts, wz_record_len(&parts, 0));
    wz_batch_finish(&batch, offset);
    wz_batch_seal(space, batch.len);
    assert_int_equal(wz_batch_read(wz_slice(space, batch.len), &info), WZ_OK);
    wz_segment_add(seg, wz_slice(space, batch.len), &info);
}

// Which block of SEG holds TOPIC first.
static uint32_t first_block(const struct wz_segment *seg, const char *topic)
{
    struct wz_filter filter;
    struct wz_blocks blocks;
    uint32_t block;

    assert_int_equal(wz_filter_init(&filter, wz_slice_str(topic)), WZ_OK);
    wz_blocks_init(&blocks, seg->index.count);
    wz_topics_select(seg->topics, &filter, &blocks);
    block = wz_blocks_next(&blocks, 0);
    wz_blocks_release(&blocks);
    wz_filter_release(&filter);
    return block;
}

static void test_segment_knows_what_was_added(void **state)
{
    struct wz_segment *seg = wz_segment_new(100);

    (void)state;
    add(seg, 107, "a");
    add(seg, 110, "b");
    assert_int_equal(seg->facts.first_offset, 107);
    assert_int_equal(seg->facts.last_offset, 110);
    assert_int_equal(seg->facts.first_ms, 107);
    assert_int_equal(seg->facts.last_ms, 110);
    assert_int_equal(seg->facts.record_count, 2);
    assert_int_equal(seg->index.count, 2);
    assert_int_equal(first_block(seg, "b"), 1);
    wz_segment_free(seg);
}

static void test_segment_goes_back_to_what_is_durable(void **state)
{
    struct wz_segment *seg = wz_segment_new(100);
    struct wz_seal before;

    (void)state;
    add(seg, 107, "a");
    seg->durable = seg->facts;
    before = seg->facts;
    add(seg, 110, "b");
    wz_segment_cut(seg);
    assert_memory_equal(&seg->facts, &before, sizeof(before));
    assert_int_equal(seg->index.count, 1);
    assert_int_equal(first_block(seg, "b"), 1); // none
    assert_int_equal(first_block(seg, "a"), 0);
    wz_segment_free(seg);
}

static void test_segment_files_are_read_back_and_damage_is_seen(void **state)
{
    struct wz_segment *seg = wz_segment_new(100);
    char dir[] = "segment-test-XXXXXX";
    char path[WZ_SEGMENT_PATH_MAX];
    struct wz_index index;
    struct wz_buf topics;
    struct wz_seal seal;

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int64_t offset = 100; offset < 120; offset++)
        add(seg, offset, offset % 2 ? "odd" : "even");
    assert_int_equal(wz_segment_save(seg, dir, WZ_SEAL_SEALED, &seal), WZ_OK);
    assert_int_equal(wz_segment_load(dir, &seal, &index, &topics), WZ_OK);
    assert_int_equal(index.count, 20);
    wz_index_release(&index);
    wz_buf_release(&topics);
    for (int i = 0; i < 3; i++) {
        struct wz_seal wrong = seal;

        wrong.file_crc[i]++;
        assert_int_equal(wz_segment_load(dir, &wrong, &index, &topics), WZ_ERR_CORRUPT);
    }
    for (int i = WZ_SEGMENT_INDEX; i <= WZ_SEGMENT_SEAL; i++) {
        wz_segment_path(dir, 100, (enum wz_segment_file)i, path);
        assert_int_equal(access(path, F_OK), i == WZ_SEGMENT_LOG ? -1 : 0);
        assert_int_equal(wz_fs_remove(path), WZ_OK);
    }
    assert_int_equal(wz_segment_load(dir, &seal, &index, &topics), WZ_ERR_CORRUPT);
    assert_int_equal(rmdir(dir), 0);
    wz_segment_free(seg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segment_knows_what_was_added),
        cmocka_unit_test(test_segment_goes_back_to_what_is_durable),
        cmocka_unit_test(test_segment_files_are_read_back_and_damage_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
