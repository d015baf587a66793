// SPDX-License-Identifier: Apache-2.0
#include "stream/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "stream/log/testlog_test.h"

static void test_log_gives_back_what_was_appended(void **state)
{
    struct testlog t;
    int64_t last;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    assert_true(t.recovery.clean);
    testlog_append_many(&t, 5000, 300);
    testlog_settle(&t);
    assert_int_equal(t.durable_end, 5000);
    assert_int_equal(wz_log_backlog(t.log), 0);
    assert_int_equal(testlog_count(&t, &last), 5000);
    assert_int_equal(last, 4999);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_goes_on_exactly_after_an_orderly_stop(void **state)
{
    struct wz_log_info info;
    struct testlog t;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    testlog_append_many(&t, 1000, 100);
    assert_int_equal(testlog_close(&t), WZ_OK);
    assert_int_equal(t.durable_end, 1000);
    testlog_open(&t);
    assert_true(t.recovery.clean);
    assert_int_equal(wz_log_next_offset(t.log), 1000);
    testlog_append_many(&t, 10, 100);
    testlog_settle(&t);
    assert_int_equal(testlog_count(&t, NULL), 1010);
    wz_log_info(t.log, &info);
    assert_int_equal(info.first_offset, 0);
    assert_int_equal(info.next_offset, 1010);
    assert_int_equal(info.segment_count, 1);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_goes_on_at_the_reserved_end_after_a_crash(void **state)
{
    struct testlog crashed;
    struct testlog t;
    int64_t last;

    (void)state;
    testlog_init(&t);
    t.opt.reserve_offsets = 4000;
    testlog_open(&t);
    testlog_append_many(&t, 1000, 100);
    testlog_settle(&t);
    testlog_copy(&t, &crashed);
    testlog_open(&crashed);
    assert_false(crashed.recovery.clean);
    assert_int_equal(crashed.recovery.cut_bytes, 0);
    assert_int_equal(wz_log_next_offset(crashed.log), 4000);
    assert_int_equal(wz_log_count_from(crashed.log, 1000), 0);
    assert_int_equal(wz_log_count_from(crashed.log, 2500), 0);
    testlog_append_many(&crashed, 10, 100);
    assert_int_equal(wz_log_count_from(crashed.log, 0), 1010);
    assert_int_equal(wz_log_count_from(crashed.log, 2500), 10);
    assert_int_equal(wz_log_count_from(crashed.log, 4007), 3);
    testlog_settle(&crashed);
    assert_int_equal(testlog_count(&crashed, &last), 1010);
    assert_int_equal(last, 4009);
    assert_int_equal(testlog_close(&crashed), WZ_OK);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&crashed);
    testlog_release(&t);
}

static void test_log_reserves_ahead_of_what_is_appended(void **state)
{
    struct testlog crashed;
    struct testlog t;

    (void)state;
    testlog_init(&t);
    t.opt.reserve_offsets = 100;
    testlog_open(&t);
    for (int i = 0; i < 20; i++) {
        testlog_append_many(&t, 77, 10);
        testlog_copy(&t, &crashed);
        testlog_open(&crashed);
        assert_true(wz_log_next_offset(crashed.log) >= wz_log_next_offset(t.log));
        assert_int_equal(testlog_close(&crashed), WZ_OK);
        testlog_release(&crashed);
    }
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_is_busy_when_its_backlog_is_full(void **state)
{
    struct testlog t;
    int r = WZ_OK;
    int count = 0;

    (void)state;
    testlog_init(&t);
    t.opt.backlog_bytes = (size_t)256 * 1024;
    testlog_open(&t);
    while (r == WZ_OK && count < 100000) {
        r = testlog_append(&t, 1000);
        count += r == WZ_OK;
    }
    assert_int_equal(r, WZ_ERR_BUSY);
    assert_true(wz_log_backlog(t.log) <= t.opt.backlog_bytes);
    testlog_settle(&t);
    assert_int_equal(testlog_append(&t, 1000), WZ_OK);
    testlog_settle(&t);
    assert_int_equal(testlog_count(&t, NULL), count + 1);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_takes_a_large_record_and_refuses_a_larger(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf big = {0};
    struct wz_record_parts parts = {.value_count = 1};
    struct testlog t;
    int64_t offset;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    testlog_append_many(&t, 3, 10);
    testlog_append_many(&t, 1, 2000000);
    testlog_append_many(&t, 3, 10);
    testlog_settle(&t);
    assert_int_equal(testlog_count(&t, NULL), 7);
    wz_buf_reserve(&big, WZ_BATCH_LIMIT_BYTES);
    memset(big.ptr, 'x', WZ_BATCH_LIMIT_BYTES);
    parts.value[0] = wz_slice(big.ptr, WZ_BATCH_LIMIT_BYTES - 50);
    assert_int_equal(wz_log_append(t.log, &parts, &offset), WZ_ERR_TOO_LARGE);
    assert_int_equal(wz_log_next_offset(t.log), 7);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

// What is said of a record when it is appended is what is read, also where its batch waits and
// others come to it later.
static void test_log_append_time_is_what_was_said(void **state)
{
    static const int64_t clock[] = {1000, 1005, 900, 1999, 2000, 2001, 9000, 3000};
    static const int64_t said[] = {1000, 1000, 1000, 1000, 2000, 2000, 9000, 9000};
    struct wz_reader *reader;
    struct wz_record record;
    struct testlog t;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    for (size_t i = 0; i < sizeof(clock) / sizeof(clock[0]); i++) {
        wz_log_set_time(t.log, clock[i]);
        assert_int_equal(testlog_append(&t, 10), WZ_OK);
        assert_int_equal(wz_log_last_time(t.log), said[i]);
    }
    testlog_settle(&t);
    assert_int_equal(wz_reader_open(t.log, &(struct wz_reader_options){0}, &reader), WZ_OK);
    for (size_t i = 0; i < sizeof(clock) / sizeof(clock[0]); i++) {
        assert_int_equal(wz_reader_next(reader, &record), WZ_OK);
        assert_int_equal(record.append_ms, said[i]);
    }
    wz_reader_close(reader);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_append_time_never_goes_back(void **state)
{
    static const int64_t clock[] = {1000, 5000, 2000, -7, 5001, 4000};
    struct wz_reader *reader;
    struct wz_record record;
    struct testlog t;
    int64_t last = 0;
    int64_t most = 0;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    for (size_t i = 0; i < sizeof(clock) / sizeof(clock[0]); i++) {
        wz_log_set_time(t.log, clock[i]);
        most = clock[i] > most ? clock[i] : most;
        testlog_append_many(&t, 2, 10);
        assert_int_equal(wz_log_last_time(t.log), most);
        testlog_settle(&t);
        if (i == 3) {
            assert_int_equal(testlog_close(&t), WZ_OK);
            testlog_open(&t);
        }
    }
    assert_int_equal(wz_reader_open(t.log, &(struct wz_reader_options){0}, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK) {
        assert_true(record.append_ms >= last);
        last = record.append_ms;
    }
    assert_int_equal(last, 5001);
    wz_reader_close(reader);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_begins_segments_and_seals_them(void **state)
{
    struct wz_log_info info;
    struct testlog t;
    struct stat st;

    (void)state;
    testlog_init(&t);
    t.opt.segment_bytes = 100000;
    testlog_open(&t);
    for (int i = 0; i < 50; i++) {
        testlog_append_many(&t, 100, 100);
        testlog_settle(&t);
    }
    wz_log_info(t.log, &info);
    assert_true(info.segment_count > 5);
    assert_int_equal(testlog_count(&t, NULL), 5000);
    assert_int_equal(testlog_close(&t), WZ_OK);
    assert_int_equal(stat(testlog_path(&t, "00000000000000000000.log"), &st), 0);
    assert_true(st.st_size <= 100000 && (st.st_mode & 0777) == 0600);
    assert_true(st.st_blocks * 512 < st.st_size + 8192); // what was taken ahead is given back
    assert_int_equal(stat(t.dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    testlog_open(&t);
    assert_int_equal(t.recovery.rebuilt_indexes, 0);
    assert_int_equal(testlog_count(&t, NULL), 5000);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_is_refused_to_a_second_owner(void **state)
{
    struct wz_log_recovery recovery;
    struct wz_problem problem = {0};
    struct wz_log *second;
    struct testlog t;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    assert_int_equal(wz_log_open(t.dir, &t.opt, &second, &recovery, &problem), WZ_ERR_LOCKED);
    assert_non_null(strstr(problem.what, "process"));
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_opened_read_only_changes_nothing(void **state)
{
    struct testlog looked;
    struct testlog t;
    int64_t offset;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    testlog_append_many(&t, 500, 100);
    testlog_settle(&t);
    looked = t; // the same folder, while the first one runs
    looked.opt.read_only = true;
    testlog_open(&looked);
    assert_int_equal(testlog_count(&looked, NULL), 500);
    assert_int_equal(wz_log_append(looked.log, &(struct wz_record_parts){0}, &offset),
                     WZ_ERR_CLOSED);
    assert_int_equal(testlog_close(&looked), WZ_OK);
    testlog_append_many(&t, 500, 100);
    testlog_settle(&t);
    assert_int_equal(testlog_count(&t, NULL), 1000);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_with_durability_os_does_the_same(void **state)
{
    struct testlog t;

    (void)state;
    testlog_init(&t);
    t.opt.durability = WZ_DURABILITY_OS;
    t.opt.segment_bytes = 100000;
    testlog_open(&t);
    testlog_append_many(&t, 3000, 100);
    testlog_settle(&t);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_open(&t);
    assert_int_equal(testlog_count(&t, NULL), 3000);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_takes_no_more_space_ahead_than_it_may(void **state)
{
    struct testlog t;
    struct stat st;

    (void)state;
    testlog_init(&t);
    t.opt.ahead_bytes = 65536;
    testlog_open(&t);
    for (int i = 0; i < 40; i++) {
        testlog_append_many(&t, 10, 500);
        testlog_settle(&t);
        assert_int_equal(stat(testlog_path(&t, "00000000000000000000.log"), &st), 0);
        assert_true(st.st_blocks * 512 <= st.st_size + 65536 + 16384);
    }
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

// After a sync that nobody waited for the next one is put off. But who waits is not held up, though
// what he waits for was handed over before he came and nothing comes behind it.
static void test_log_does_not_put_off_what_somebody_waits_for(void **state)
{
    struct testlog t;
    int64_t least_us = INT64_MAX;

    (void)state;
    testlog_init(&t);
    testlog_open(&t);
    for (int i = 0; i < 20; i++) {
        int64_t start_us;

        for (int k = 0; k < 2; k++) { // nobody waits for the second
            testlog_append_many(&t, 1, 100);
            testlog_settle(&t);
        }
        testlog_append_many(&t, 1, 100);
        wz_log_flush(t.log);
        start_us = wz_clock_mono_us();
        wz_log_want(t.log);
        testlog_settle(&t);
        if (wz_clock_mono_us() - start_us < least_us)
            least_us = wz_clock_mono_us() - start_us;
    }
    assert_in_range(least_us, 0, 3000); // it would be 5,000 less what appending takes
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_gives_back_what_was_appended),
        cmocka_unit_test(test_log_goes_on_exactly_after_an_orderly_stop),
        cmocka_unit_test(test_log_goes_on_at_the_reserved_end_after_a_crash),
        cmocka_unit_test(test_log_reserves_ahead_of_what_is_appended),
        cmocka_unit_test(test_log_is_busy_when_its_backlog_is_full),
        cmocka_unit_test(test_log_takes_a_large_record_and_refuses_a_larger),
        cmocka_unit_test(test_log_append_time_is_what_was_said),
        cmocka_unit_test(test_log_append_time_never_goes_back),
        cmocka_unit_test(test_log_begins_segments_and_seals_them),
        cmocka_unit_test(test_log_is_refused_to_a_second_owner),
        cmocka_unit_test(test_log_opened_read_only_changes_nothing),
        cmocka_unit_test(test_log_with_durability_os_does_the_same),
        cmocka_unit_test(test_log_takes_no_more_space_ahead_than_it_may),
        cmocka_unit_test(test_log_does_not_put_off_what_somebody_waits_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
