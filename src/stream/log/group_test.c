// SPDX-License-Identifier: Apache-2.0
// Groups of records, and logs whose keys are no topics: what the journal needs of a log.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "stream/log/testlog_test.h"
#include "stream/log/topics_file.h"

// Whether one batch of the first segment holds the COUNT records from OFFSET on.
static bool is_in_one_batch(const struct testlog *t, int64_t offset, int64_t count)
{
    WZ_AUTO(wz_buf_release) struct wz_buf log = {0};
    struct wz_batch_info info;
    bool found = false;

    assert_int_equal(wz_fs_load(testlog_path(t, "00000000000000000000.log"), 1 << 30, &log), WZ_OK);
    for (size_t pos = 0;
         wz_batch_read(wz_slice(log.ptr + pos, log.len - pos), &info) == WZ_OK && !found;
         pos += info.len)
        found = info.base_offset <= offset && info.last_offset >= offset + count - 1;
    return found;
}

static void test_log_group_is_one_batch(void **state)
{
    static const struct {
        int before; // records that stand in the open batch
        size_t before_len;
        size_t count;
        size_t len;
    } cases[] = {
        {0, 0, 1, 10},        {0, 0, 5, 10}, {2, 10, 3, 10}, // joins the open batch
        {60, 1000, 20, 1000},                                // does not fit it: 64 KiB
        {500, 10, 20, 10},                                   // does not fit it: 512 records
        {500, 10, 12, 10},                                   // fits it exactly
        {3, 10, 100, 2000},                                  // longer than 64 KiB
        {3, 10, 513, 10},                                    // more than 512 records
        {3, 10, 20000, 30},                                  // both
        {0, 0, 2, 2000000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t before = cases[i].before;
        int64_t count = (int64_t)cases[i].count;
        struct testlog t;

        testlog_init(&t);
        testlog_open(&t);
        for (int n = 0; n < cases[i].before; n++)
            assert_int_equal(testlog_append(&t, cases[i].before_len), WZ_OK);
        assert_int_equal(testlog_append_group(&t, cases[i].count, cases[i].len), WZ_OK);
        assert_int_equal(wz_log_next_offset(t.log), before + count);
        assert_int_equal(testlog_append(&t, 10), WZ_OK);
        assert_int_equal(testlog_append_group(&t, 2, 10), WZ_OK);
        testlog_settle(&t);
        if (!is_in_one_batch(&t, before, count) || !is_in_one_batch(&t, before + count + 1, 2))
            fail_msg("case %zu: not in one batch", i);
        assert_int_equal(testlog_count(&t, NULL), before + count + 3);
        assert_int_equal(testlog_close(&t), WZ_OK);
        testlog_open(&t);
        assert_int_equal(testlog_count(&t, NULL), before + count + 3);
        assert_int_equal(testlog_close(&t), WZ_OK);
        testlog_release(&t);
    }
}

static void test_log_refuses_a_group_that_no_batch_holds(void **state)
{
    struct testlog t;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    testlog_append_many(&t, 3, 10);
    assert_int_equal(testlog_append_group(&t, 3, 1500000), WZ_ERR_TOO_LARGE);
    assert_int_equal(testlog_append_group(&t, 300000, 10), WZ_ERR_TOO_LARGE);
    assert_int_equal(wz_log_next_offset(t.log), 3);
    assert_int_equal(testlog_append_group(&t, 3, 10), WZ_OK);
    testlog_settle(&t);
    assert_int_equal(testlog_count(&t, NULL), 6);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_group_waits_for_room_as_a_whole(void **state)
{
    struct testlog t;
    int count = 0;

    (void)state;
    testlog_init(&t);
    t.opt.backlog_bytes = (size_t)4 * 1024 * 1024;
    t.opt.reserve_offsets = 1000;
    testlog_open(&t);
    while (wz_log_ready(t.log, 300, (size_t)1024 * 1024)) {
        assert_int_equal(testlog_append_group(&t, 300, 3000), WZ_OK);
        count += 300;
    }
    assert_int_equal(wz_log_next_offset(t.log), count);
    for (int i = 0; i < 20; i++) { // by now past the offsets that were reserved at opening
        while (!wz_log_ready(t.log, 300, (size_t)1024 * 1024)) {
            wz_log_flush(t.log);
            testlog_wait(&t);
        }
        assert_int_equal(testlog_append_group(&t, 300, 3000), WZ_OK);
        count += 300;
    }
    testlog_settle(&t);
    assert_int_equal(testlog_count(&t, NULL), count);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_has_none_of_a_group_whose_tail_is_torn(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf log = {0};
    const char *name = "00000000000000000000.log";
    struct wz_batch_info info;
    struct testlog t;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    assert_int_equal(testlog_append_group(&t, 10, 20), WZ_OK);
    testlog_settle(&t);
    assert_int_equal(testlog_append_group(&t, 600, 200), WZ_OK);
    testlog_settle(&t);
    assert_int_equal(wz_fs_load(testlog_path(&t, name), 1 << 30, &log), WZ_OK);
    assert_int_equal(wz_batch_read(wz_buf_slice(&log), &info), WZ_OK);
    for (int i = 0; i < 40; i++) {
        size_t first = info.len;
        struct wz_batch_info group;
        struct testlog torn;
        int fd = -1;

        assert_int_equal(wz_batch_read(wz_slice(log.ptr + first, log.len - first), &group), WZ_OK);
        testlog_copy(&t, &torn);
        assert_int_equal(wz_fs_open(testlog_path(&torn, name), WZ_FS_WRITE, &fd), WZ_OK);
        assert_int_equal(
            wz_fs_truncate(fd, (int64_t)(first + group.len - 1 - (size_t)i * group.len / 40)),
            WZ_OK);
        wz_fs_close(fd);
        testlog_open(&torn);
        assert_int_equal(testlog_count(&torn, NULL), 10);
        assert_int_equal(testlog_close(&torn), WZ_OK);
        testlog_release(&torn);
    }
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

// Whether the .topics file of the first segment is whole and names no topic.
static bool names_no_topic(const struct testlog *t)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topics = {0};
    struct wz_topics_entry entry;

    assert_int_equal(wz_fs_load(testlog_path(t, "00000000000000000000.topics"), 1 << 30, &topics),
                     WZ_OK);
    assert_int_equal(wz_topics_file_check(wz_buf_slice(&topics)), WZ_OK);
    assert_true(wz_topics_file_blocks(wz_buf_slice(&topics)) > 0);
    return !wz_topics_file_get(wz_buf_slice(&topics), 0, &entry);
}

static void test_log_without_indexed_keys_names_no_topic(void **state)
{
    static const char *const gone[] = {NULL, "00000000000000000000.seal",
                                       "00000000000000000000.topics", "00000000000000000000.index"};
    struct testlog t;

    (void)state;
    testlog_init(&t);
    t.opt.segment_bytes = 100000;
    t.opt.keys_unindexed = true;
    testlog_open(&t);
    testlog_append_many(&t, 500, 100);
    testlog_settle(&t);
    assert_int_equal(testlog_close(&t), WZ_OK);
    assert_true(names_no_topic(&t)); // at a checkpoint
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
        if (gone[i] != NULL)
            assert_int_equal(wz_fs_remove(testlog_path(&t, gone[i])), WZ_OK);
        testlog_open(&t);
        testlog_append_many(&t, 500, 100);
        testlog_settle(&t);
        assert_int_equal(testlog_count(&t, NULL), 1000 + 500 * (int64_t)i);
        assert_int_equal(testlog_close(&t), WZ_OK);
        assert_true(names_no_topic(&t)); // sealed, and made anew at opening
    }
    testlog_release(&t);
}

// Damages the .topics file of the first segment without changing its length.
static void damage_topics(const struct testlog *t)
{
    uint8_t byte = 0xff;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    int fd = -1;

    assert_int_equal(wz_fs_open(testlog_path(t, "00000000000000000000.topics"), WZ_FS_WRITE, &fd),
                     WZ_OK);
    assert_int_equal(wz_fs_write(fd, &piece, 1, 0), WZ_OK);
    wz_fs_close(fd);
}

static void test_log_without_indexed_keys_names_none_in_files_made_anew_for_a_reader(void **state)
{
    struct wz_reader *reader;
    struct wz_record record;
    struct testlog t;

    (void)state;
    testlog_init(&t);
    t.opt.segment_bytes = 50000;
    t.opt.keys_unindexed = true;
    testlog_open(&t);
    testlog_append_many(&t, 2000, 100);
    testlog_settle(&t);
    damage_topics(&t);
    assert_int_equal(wz_reader_open(t.log, &(struct wz_reader_options){.position = 100}, &reader),
                     WZ_OK);
    assert_int_equal(wz_reader_next(reader, &record), WZ_OK);
    assert_int_equal(record.offset, 100);
    wz_reader_close(reader);
    assert_true(names_no_topic(&t));
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_group_is_one_batch),
        cmocka_unit_test(test_log_refuses_a_group_that_no_batch_holds),
        cmocka_unit_test(test_log_group_waits_for_room_as_a_whole),
        cmocka_unit_test(test_log_has_none_of_a_group_whose_tail_is_torn),
        cmocka_unit_test(test_log_without_indexed_keys_names_no_topic),
        cmocka_unit_test(test_log_without_indexed_keys_names_none_in_files_made_anew_for_a_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
