// SPDX-License-Identifier: Apache-2.0
// Logs that lose their oldest segments. The linker puts the functions below in front of those of
// base/fs.h, so that removing fails when it is told to.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "stream/log/testlog_test.h"

#define SEGMENTS_MAX 100
#define RECORDS 5000

// What the disk is to do on the writer's thread; it works on the test's own.
static struct {
    _Atomic int removes_left; // so many files can be removed, then none; -1: all
    _Atomic bool sync_dir_fails;
} disk;

static _Thread_local bool spared;

int __real_wz_fs_remove(const char *path);
int __wrap_wz_fs_remove(const char *path);
int __wrap_wz_fs_remove(const char *path)
{
    if (!spared && disk.removes_left == 0)
        return WZ_ERR_IO;
    if (!spared && disk.removes_left > 0)
        disk.removes_left--;
    return __real_wz_fs_remove(path);
}

int __real_wz_fs_sync_dir(const char *path);
int __wrap_wz_fs_sync_dir(const char *path);
int __wrap_wz_fs_sync_dir(const char *path)
{
    return !spared && disk.sync_dir_fails ? WZ_ERR_IO : __real_wz_fs_sync_dir(path);
}

// The segments that are on disk, by their base offsets.
struct bases {
    int64_t base[SEGMENTS_MAX];
    int count;
};

static int see_name(const char *name, void *arg)
{
    struct bases *bases = arg;
    size_t len = strlen(name);

    if (len > 4 && strcmp(name + len - 4, ".log") == 0) {
        assert_true(bases->count < SEGMENTS_MAX);
        bases->base[bases->count++] = strtoll(name, NULL, 10);
    }
    return WZ_OK;
}

static struct bases bases_of(const struct testlog *t)
{
    struct bases bases = {.count = 0};

    assert_int_equal(wz_fs_walk(t->dir, see_name, &bases), WZ_OK);
    return bases;
}

// Opens a log of many segments.
static void start(struct testlog *t)
{
    disk.removes_left = -1;
    disk.sync_dir_fails = false;
    testlog_init(t);
    t->opt.segment_bytes = 50000;
    testlog_open(t);
    testlog_append_many(t, RECORDS, 100);
    testlog_settle(t);
    assert_true(bases_of(t).count > 8);
}

static void finish(struct testlog *t)
{
    if (t->log != NULL)
        assert_int_equal(testlog_close(t), WZ_OK);
    testlog_release(t);
}

// Trims and waits until the writer has done it: it does so before it writes what comes then.
static void trim(struct testlog *t, int64_t offset)
{
    wz_log_trim(t->log, offset);
    testlog_append_many(t, 1, 100);
    testlog_settle(t);
}

static int64_t first_offset(struct testlog *t)
{
    struct wz_log_info info;

    wz_log_info(t->log, &info);
    return info.first_offset;
}

static void test_trim_removes_whole_segments_below_the_offset(void **state)
{
    struct bases before;
    struct bases after;
    struct testlog t;

    (void)state;
    start(&t);
    before = bases_of(&t);
    assert_int_equal(wz_log_first_segment_end(t.log), before.base[1]);
    trim(&t, before.base[1] - 1);
    assert_int_equal(bases_of(&t).count, before.count);
    trim(&t, before.base[1]);
    assert_int_equal(first_offset(&t), before.base[1]);
    trim(&t, before.base[4] + 1); // which is in the middle of the fifth
    trim(&t, before.base[2]);     // gone already
    after = bases_of(&t);
    assert_int_equal(after.base[0], before.base[4]);
    assert_int_equal(wz_log_first_segment_end(t.log), before.base[5]);
    assert_int_equal(first_offset(&t), before.base[4]);
    assert_int_equal(testlog_count(&t, NULL), wz_log_next_offset(t.log) - before.base[4]);
    finish(&t);
}

static void test_trim_leaves_no_file_of_a_segment_behind(void **state)
{
    static const char *const ends[] = {"log", "index", "timeindex", "topics", "seal"};
    struct bases before;
    struct testlog t;

    (void)state;
    start(&t);
    before = bases_of(&t);
    trim(&t, before.base[3]);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        for (int n = 0; n < 4; n++) {
            char name[64];

            (void)snprintf(name, sizeof(name), "%020lld.%s", (long long)before.base[n], ends[i]);
            assert_int_equal(access(testlog_path(&t, name), F_OK), n < 3 ? -1 : 0);
        }
    }
    finish(&t);
}

static void test_trim_never_removes_the_written_segment(void **state)
{
    struct wz_log_info info;
    struct bases before;
    struct testlog t;

    (void)state;
    start(&t);
    before = bases_of(&t);
    trim(&t, INT64_MAX);
    wz_log_info(t.log, &info);
    assert_int_equal(info.segment_count, 1);
    assert_int_equal(info.first_offset, before.base[before.count - 1]);
    assert_int_equal(info.next_offset, RECORDS + 1);
    assert_int_equal(wz_log_first_segment_end(t.log), -1);
    trim(&t, INT64_MAX);
    assert_int_equal(bases_of(&t).count, 1);
    assert_int_equal(testlog_count(&t, NULL), RECORDS + 2 - before.base[before.count - 1]);
    finish(&t);
}

static void test_trim_is_durable_over_opening(void **state)
{
    struct testlog crashed;
    struct testlog t;
    struct bases before;
    int64_t count;

    (void)state;
    start(&t);
    before = bases_of(&t);
    trim(&t, before.base[3]);
    count = RECORDS + 1 - before.base[3];
    testlog_copy(&t, &crashed);
    testlog_open(&crashed);
    assert_int_equal(first_offset(&crashed), before.base[3]);
    assert_int_equal(testlog_count(&crashed, NULL), count);
    finish(&crashed);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_open(&t);
    assert_int_equal(t.recovery.rebuilt_indexes, 0);
    assert_int_equal(first_offset(&t), before.base[3]);
    assert_int_equal(testlog_count(&t, NULL), count);
    trim(&t, before.base[5]); // opened segments go as well as new ones
    assert_int_equal(first_offset(&t), before.base[5]);
    finish(&t);
}

static void test_trim_asked_just_before_the_stop_is_done(void **state)
{
    struct bases before;
    struct testlog t;

    (void)state;
    start(&t);
    before = bases_of(&t);
    wz_log_trim(t.log, before.base[3]);
    assert_int_equal(testlog_close(&t), WZ_OK);
    assert_int_equal(bases_of(&t).base[0], before.base[3]);
    finish(&t);
}

// Reads on until the end; RET_LAST is the offset of the last record. Each record must be right.
static int64_t read_on(struct testlog *t, struct wz_reader *reader, int64_t *ret_last)
{
    struct wz_record record;
    int64_t count = 0;
    int r;

    while ((r = wz_reader_next(reader, &record)) == WZ_OK) {
        assert_true(testlog_is_right(t, &record));
        *ret_last = record.offset;
        count++;
    }
    assert_int_equal(r, WZ_END);
    assert_int_equal(wz_reader_damaged(reader), 0);
    return count;
}

static void test_trim_lets_a_reader_in_a_removed_segment_go_on(void **state)
{
    static const struct {
        const char *pattern;
        enum wz_direction direction;
        int64_t position;
        int64_t last;
        int64_t least; // records, behind the first ten
    } cases[] = {
        {"", WZ_FORWARD, 0, RECORDS, 1},
        {"", WZ_FORWARD, 100, RECORDS, 1},
        {"site.3.#", WZ_FORWARD, 0, RECORDS - 6, 0},
        {"", WZ_BACKWARD, 200, 0, 0},
        {"", WZ_BACKWARD, INT64_MAX, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_reader_options options = {.pattern = wz_slice_str(cases[i].pattern),
                                            .direction = cases[i].direction,
                                            .position = cases[i].position};
        struct wz_reader *reader;
        struct wz_record record;
        struct testlog t;
        int64_t last = -1;

        start(&t);
        assert_int_equal(wz_reader_open(t.log, &options, &reader), WZ_OK);
        for (int n = 0; n < 10; n++)
            assert_int_equal(wz_reader_next(reader, &record), WZ_OK);
        trim(&t, INT64_MAX);
        assert_int_equal(bases_of(&t).count, 1);
        assert_true(read_on(&t, reader, &last) >= cases[i].least);
        if (cases[i].direction == WZ_FORWARD)
            assert_true(last >= cases[i].last && last <= RECORDS);
        wz_reader_close(reader);
        finish(&t);
    }
}

static void test_trim_lets_a_reader_find_what_is_left(void **state)
{
    struct wz_reader *reader;
    struct wz_record record;
    struct bases before;
    struct testlog t;
    int64_t offset;

    (void)state;
    start(&t);
    before = bases_of(&t);
    trim(&t, before.base[3]);
    assert_int_equal(wz_reader_open(t.log, &(struct wz_reader_options){.position = 7}, &reader),
                     WZ_OK);
    assert_int_equal(wz_reader_next(reader, &record), WZ_OK);
    assert_int_equal(record.offset, before.base[3]);
    wz_reader_close(reader);
    assert_int_equal(wz_log_find_time(t.log, 0, &offset), WZ_OK);
    assert_int_equal(offset, before.base[3]);
    finish(&t);
}

// What is on disk is the end of what there was, without a gap: the segments from base[FIRST] on.
static void check_left(struct testlog *t, const struct bases *before, int first)
{
    struct bases left = bases_of(t);
    struct testlog crashed;

    assert_true(left.count >= before->count - first);
    for (int i = first; i < before->count; i++)
        assert_int_equal(left.base[i - first], before->base[i]);
    testlog_copy(t, &crashed);
    testlog_open(&crashed);
    assert_int_equal(crashed.recovery.damaged_batches, 0);
    assert_int_equal(first_offset(&crashed), before->base[first]);
    assert_int_equal(testlog_count(&crashed, NULL),
                     wz_log_next_offset(t->log) - before->base[first]);
    finish(&crashed);
}

static void test_trim_removes_nothing_behind_a_segment_that_stays(void **state)
{
    (void)state;
    for (int left = 0; left < 12; left++) {
        int64_t failures = wz_metric_get(WZ_METRIC_STREAM_FAILURES);
        struct bases before;
        struct testlog t;

        start(&t);
        before = bases_of(&t);
        disk.removes_left = left;
        trim(&t, before.base[4]);
        assert_true(wz_metric_get(WZ_METRIC_STREAM_FAILURES) > failures);
        check_left(&t, &before, left / 5); // five files a segment, the .log last
        trim(&t, before.base[6]);          // fails again
        check_left(&t, &before, left / 5);
        disk.removes_left = -1;
        trim(&t, before.base[5]);
        check_left(&t, &before, 6); // the highest that was asked for counts
        assert_int_equal(testlog_close(&t), WZ_OK);
        testlog_open(&t);
        assert_int_equal(first_offset(&t), before.base[6]);
        finish(&t);
    }
}

static void test_trim_removes_nothing_more_before_the_removal_is_durable(void **state)
{
    struct bases before;
    struct testlog t;

    (void)state;
    start(&t);
    before = bases_of(&t);
    disk.sync_dir_fails = true;
    wz_log_trim(t.log, before.base[4]);
    testlog_append_many(&t, 1, 100);
    testlog_settle(&t);
    check_left(&t, &before, 1);
    disk.sync_dir_fails = false;
    trim(&t, before.base[4]);
    check_left(&t, &before, 4);
    finish(&t);
}

static void test_trim_cut_short_at_any_step_leaves_a_whole_log(void **state)
{
    static const char *const ends[] = {"seal", "index", "timeindex", "topics"};
    struct testlog t;

    (void)state;
    start(&t);
    for (unsigned gone = 1; gone < 16; gone++) { // whatever of it the disk has remembered
        struct testlog crashed;

        testlog_copy(&t, &crashed);
        for (int i = 0; i < 4; i++) {
            char name[64];

            (void)snprintf(name, sizeof(name), "%020d.%s", 0, ends[i]);
            if (gone & 1u << i)
                assert_int_equal(wz_fs_remove(testlog_path(&crashed, name)), WZ_OK);
        }
        testlog_open(&crashed);
        assert_int_equal(crashed.recovery.damaged_batches, 0);
        assert_int_equal(first_offset(&crashed), 0);
        assert_int_equal(testlog_count(&crashed, NULL), RECORDS);
        trim(&crashed, wz_log_first_segment_end(crashed.log));
        assert_true(first_offset(&crashed) > 0);
        finish(&crashed);
    }
    finish(&t);
}

static void test_trim_does_not_mind_files_without_their_log(void **state)
{
    struct bases before;
    struct testlog t;

    (void)state;
    start(&t);
    before = bases_of(&t);
    assert_int_equal(testlog_close(&t), WZ_OK);
    assert_int_equal(wz_fs_remove(testlog_path(&t, "00000000000000000000.log")), WZ_OK);
    testlog_open(&t);
    assert_int_equal(first_offset(&t), before.base[1]);
    assert_int_equal(testlog_count(&t, NULL), RECORDS - before.base[1]);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim_removes_whole_segments_below_the_offset),
        cmocka_unit_test(test_trim_leaves_no_file_of_a_segment_behind),
        cmocka_unit_test(test_trim_never_removes_the_written_segment),
        cmocka_unit_test(test_trim_is_durable_over_opening),
        cmocka_unit_test(test_trim_asked_just_before_the_stop_is_done),
        cmocka_unit_test(test_trim_lets_a_reader_in_a_removed_segment_go_on),
        cmocka_unit_test(test_trim_lets_a_reader_find_what_is_left),
        cmocka_unit_test(test_trim_removes_nothing_behind_a_segment_that_stays),
        cmocka_unit_test(test_trim_removes_nothing_more_before_the_removal_is_durable),
        cmocka_unit_test(test_trim_cut_short_at_any_step_leaves_a_whole_log),
        cmocka_unit_test(test_trim_does_not_mind_files_without_their_log),
    };

    spared = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
