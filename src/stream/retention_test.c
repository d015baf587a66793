// SPDX-License-Identifier: Apache-2.0
// Retention over two small logs, on disks that say what the test wants.
#include "stream/retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/patience_test.h"
#include "stream/log/eraser.h"
#include "stream/reader.h"

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define TOTAL (1000 * MIB)
#define SEGMENT (64 * KIB)
#define RECORD 4000
#define BEGAN_MS ((int64_t)1770000000000)
#define HOUR_MS ((int64_t)3600 * 1000)

static _Atomic int64_t free_bytes;

int __wrap_wz_fs_space(const char *path, int64_t *ret_free, int64_t *ret_total);

// On the pool.
int __wrap_wz_fs_space(const char *path, int64_t *ret_free, int64_t *ret_total)
{
    (void)path;
    *ret_free = free_bytes;
    *ret_total = TOTAL;
    return WZ_OK;
}

struct world {
    char dirs[2][64];
    struct wz_loop loop;
    struct wz_log *logs[2];
    struct wz_space *space;
    struct wz_retention_options opt;
    struct wz_log_caps caps[2];
    struct wz_retention *retention;
    int64_t needed;
    int64_t wall_ms; // what the clocks say
    int64_t mono_ms;
    struct wz_log_removed answered; // of the last call
    int answers;
    int looks;
};

static void on_looked(void *arg) { (void)arg; }

// Whether the writers have removed what was asked for.
static bool is_done(const struct world *w)
{
    return wz_log_retained(w->logs[0]) && wz_log_retained(w->logs[1]);
}

static void on_measured(void *arg)
{
    struct world *w = arg;

    if (!is_done(w))
        return; // in a server a second lies between two looks
    w->looks++;
    wz_retention_look(w->retention, w->wall_ms, w->mono_ms);
}

static int64_t on_needed(void *arg, const struct wz_log *log)
{
    struct world *w = arg;

    return log == w->logs[0] ? w->needed : INT64_MAX;
}

static void open_logs(struct world *w)
{
    struct wz_log_options options = {.loop_mail = &w->loop.mail, .segment_bytes = SEGMENT};

    for (int i = 0; i < 2; i++)
        assert_int_equal(wz_log_open(w->dirs[i], &options, &w->logs[i], NULL, NULL), WZ_OK);
}

static void init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    free_bytes = TOTAL / 2;
    w->needed = INT64_MAX;
    w->wall_ms = BEGAN_MS;
    w->mono_ms = 5000;
    assert_int_equal(wz_loop_init(&w->loop), WZ_OK);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(w->dirs[i], sizeof(w->dirs[i]), "/tmp/wyze-keep-XXXXXX");
        assert_non_null(mkdtemp(w->dirs[i]));
    }
    open_logs(w);
}

static void start(struct world *w)
{
    struct wz_space_options options = {.loop = &w->loop,
                                       .min_free_bytes = 10 * MIB,
                                       .look_ms = 20,
                                       .looked = on_looked,
                                       .measured = on_measured,
                                       .arg = w};

    w->space = wz_space_new(&options);
    w->opt.space = w->space;
    w->opt.needed = on_needed;
    w->opt.arg = w;
    w->retention = wz_retention_new(&w->opt);
    for (int i = 0; i < 2; i++) {
        wz_space_watch(w->space, w->logs[i]);
        wz_retention_add(w->retention, w->logs[i], &w->caps[i]);
    }
    wz_space_start(w->space);
}

static void stop(struct world *w)
{
    wz_space_stop(w->space);
    wz_retention_stop(w->retention);
    wz_loop_stop(&w->loop);
    wz_loop_run(&w->loop);
    for (int i = 0; i < 2; i++)
        assert_int_equal(wz_log_close(w->logs[i]), WZ_OK);
    wz_space_free(w->space);
    wz_retention_free(w->retention);
    wz_loop_release(&w->loop);
}

static void finish(struct world *w)
{
    char command[160];

    stop(w);
    (void)snprintf(command, sizeof(command), "rm -rf %s %s", w->dirs[0], w->dirs[1]);
    assert_int_equal(system(command), 0);
}

static void restart(struct world *w)
{
    stop(w);
    assert_int_equal(wz_loop_init(&w->loop), WZ_OK);
    w->mono_ms = 7;
    open_logs(w);
    start(w);
}

// Turns until there have been COUNT looks more, and their news.
static void look(struct world *w, int count)
{
    int64_t until_us = wz_clock_mono_us() + patience_us();
    int before = w->looks;

    while (w->looks <= before + count || !is_done(w)) { // the first may have been under way
        assert_true(wz_clock_mono_us() < until_us);
        (void)uv_run(&w->loop.uv, UV_RUN_ONCE);
    }
    for (int i = 0; i < 50; i++)
        (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
}

static void append(struct world *w, int i, int count)
{
    static uint8_t bytes[RECORD];
    struct wz_record_parts parts = {
        .key = WZ_SLICE_LIT("k"), .value = {wz_slice(bytes, RECORD)}, .value_count = 1};
    int64_t offset = -1;
    int r;

    wz_log_set_time(w->logs[i], w->wall_ms);
    for (int n = 0; n < count; n++) {
        while ((r = wz_log_append(w->logs[i], &parts, &offset)) == WZ_ERR_BUSY)
            (void)wz_mailbox_run(&w->loop.mail);
        assert_int_equal(r, WZ_OK);
    }
    while (wz_log_durable_end(w->logs[i]) <= offset) {
        wz_log_want(w->logs[i]);
        wz_log_flush(w->logs[i]);
        assert_true(wz_mailbox_wait(&w->loop.mail));
        (void)wz_mailbox_run(&w->loop.mail);
    }
}

static struct wz_log_info info_of(const struct world *w, int i)
{
    struct wz_log_info info;

    wz_log_info(w->logs[i], &info);
    return info;
}

static int64_t removed(const struct world *w, int i, enum wz_log_reason reason)
{
    struct wz_log_removed removed;

    wz_log_removed(w->logs[i], reason, &removed);
    assert_true((removed.segments > 0) == (removed.records > 0));
    return removed.segments;
}

static void test_retention_keeps_a_log_within_its_bytes(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.caps[0].max_bytes = 4 * SEGMENT;
    start(&w);
    append(&w, 0, 200);
    append(&w, 1, 200);
    look(&w, 2);
    assert_true(info_of(&w, 0).size_bytes <= 4 * SEGMENT);
    assert_true(info_of(&w, 0).size_bytes > 3 * SEGMENT - RECORD);
    assert_true(removed(&w, 0, WZ_LOG_REASON_SIZE) > 5);
    assert_int_equal(info_of(&w, 0).next_offset, 200);
    assert_int_equal(info_of(&w, 1).first_offset, 0);
    assert_int_equal(removed(&w, 1, WZ_LOG_REASON_SIZE), 0);
    finish(&w);
}

static void test_retention_leaves_what_somebody_needs(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.caps[0].max_bytes = 2 * SEGMENT;
    w.needed = 100;
    start(&w);
    append(&w, 0, 200);
    look(&w, 2);
    assert_true(info_of(&w, 0).first_offset > 50 && info_of(&w, 0).first_offset <= 100);
    w.needed = INT64_MAX;
    look(&w, 2);
    assert_true(info_of(&w, 0).size_bytes <= 2 * SEGMENT);
    finish(&w);
}

static void test_retention_never_takes_the_segment_that_is_written(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.caps[0].max_bytes = 1;
    w.opt.keep_free = 90;
    start(&w);
    append(&w, 0, 100);
    append(&w, 1, 5);
    look(&w, 4);
    assert_int_equal(info_of(&w, 0).segment_count, 1);
    assert_true(info_of(&w, 0).first_ms > 0);
    assert_int_equal(info_of(&w, 1).first_offset, 0);
    finish(&w);
}

static void test_retention_removes_what_is_older_than_it_may_be(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.caps[0].max_age_ms = HOUR_MS;
    start(&w);
    append(&w, 0, 100);
    w.wall_ms += HOUR_MS / 2;
    w.mono_ms += HOUR_MS / 2;
    append(&w, 0, 100);
    look(&w, 2);
    assert_int_equal(info_of(&w, 0).first_offset, 0);
    w.wall_ms += HOUR_MS / 2 + 1;
    w.mono_ms += HOUR_MS / 2 + 1;
    look(&w, 2);
    assert_true(info_of(&w, 0).first_offset > 80 && info_of(&w, 0).first_offset <= 100);
    assert_true(removed(&w, 0, WZ_LOG_REASON_AGE) > 3);
    assert_int_equal(info_of(&w, 1).first_offset, 0);
    finish(&w);
}

static void test_retention_removes_nothing_for_its_age_soon_after_a_start(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    start(&w);
    append(&w, 0, 100);
    w.caps[0].max_age_ms = HOUR_MS;
    w.wall_ms += 10 * HOUR_MS; // it was down for so long
    restart(&w);
    look(&w, 2);
    w.wall_ms += WZ_RETENTION_GRACE_MS - 1;
    w.mono_ms += WZ_RETENTION_GRACE_MS - 1;
    look(&w, 2);
    assert_int_equal(info_of(&w, 0).first_offset, 0);
    w.wall_ms++;
    w.mono_ms++;
    look(&w, 2);
    assert_true(info_of(&w, 0).first_offset > 0);
    finish(&w);
}

// The clock is set forward by a year, and back, and wyze started again in between.
static void test_retention_removes_nothing_because_the_clock_is_set(void **state)
{
    const int64_t year_ms = 8760 * HOUR_MS;
    struct world w;

    (void)state;
    init(&w);
    w.caps[0].max_age_ms = HOUR_MS;
    start(&w);
    append(&w, 0, 100);
    w.wall_ms += WZ_RETENTION_GRACE_MS;
    w.mono_ms += WZ_RETENTION_GRACE_MS;
    look(&w, 2);
    for (int way = 0; way < 3; way++) {
        w.wall_ms += way == 1 ? -year_ms : year_ms;
        look(&w, 2);
        assert_int_equal(info_of(&w, 0).first_offset, 0);
    }
    restart(&w);
    look(&w, 1);
    w.wall_ms += WZ_RETENTION_GRACE_MS;
    w.mono_ms += WZ_RETENTION_GRACE_MS;
    look(&w, 2);
    assert_int_equal(info_of(&w, 0).first_offset, 0);
    w.wall_ms += HOUR_MS;
    w.mono_ms += HOUR_MS;
    look(&w, 2);
    assert_true(info_of(&w, 0).first_offset > 0); // they do age
    finish(&w);
}

static void test_retention_frees_a_disk_from_the_largest_log(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.opt.keep_free = 5;
    start(&w);
    append(&w, 0, 100);
    append(&w, 1, 200);
    look(&w, 2);
    assert_int_equal(info_of(&w, 1).first_offset, 0);
    free_bytes = 50 * MIB - 1;
    look(&w, 1);
    free_bytes = 50 * MIB;
    look(&w, 3);
    assert_int_equal(removed(&w, 1, WZ_LOG_REASON_DISK), 1);
    assert_int_equal(info_of(&w, 0).first_offset, 0);
    free_bytes = 49 * MIB; // down to the other one, then from both
    look(&w, 12);
    assert_true(info_of(&w, 0).first_offset > 0);
    assert_int_equal(info_of(&w, 0).segment_count, 1);
    assert_int_equal(info_of(&w, 1).segment_count, 1);
    assert_false(wz_space_low(w.space));
    finish(&w);
}

static void test_retention_counts_what_is_being_erased_as_free(void **state)
{
    char path[] = "/tmp/wyze-erased-test-XXXXXX";
    int64_t until_us = wz_clock_mono_us() + patience_us();
    int fd = mkstemp(path);
    int reader = -1;
    struct world w;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 20 * MIB), 0);
    assert_int_equal(wz_fs_open(path, WZ_FS_READ, &reader), WZ_OK);
    assert_int_equal(wz_fs_remove(path), WZ_OK);
    wz_eraser_close(fd); // it waits for the reader
    init(&w);
    w.opt.keep_free = 5;
    start(&w);
    append(&w, 0, 100);
    free_bytes = 40 * MIB;
    look(&w, 3);
    assert_int_equal(removed(&w, 0, WZ_LOG_REASON_DISK), 0);
    wz_fs_close(reader);
    while (wz_eraser_pending() > 0)
        assert_true(wz_clock_mono_us() < until_us);
    look(&w, 3);
    assert_true(removed(&w, 0, WZ_LOG_REASON_DISK) > 0);
    finish(&w);
}

static void test_retention_makes_room_before_messages_are_refused(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.opt.keep_free = 1; // which is the floor
    start(&w);
    append(&w, 0, 100);
    free_bytes = 15 * MIB;
    look(&w, 2);
    assert_int_equal(removed(&w, 0, WZ_LOG_REASON_DISK), 0);
    free_bytes = 15 * MIB - 1;
    look(&w, 2);
    assert_true(removed(&w, 0, WZ_LOG_REASON_DISK) > 0);
    assert_false(wz_space_low(w.space));
    finish(&w);
}

static void on_done(struct wz_retention_call *call, const struct wz_log_removed *removed)
{
    struct world *w = (struct world *)call->arg;

    w->answered = *removed;
    w->answers++;
}

static void test_retention_answers_what_it_was_asked_for(void **state)
{
    struct wz_retention_call call = {.below_offset = 60, .done = on_done};
    struct wz_log_limits limits = {.below_offset = 60, .needed_offset = 40};
    struct wz_log_removed plan;
    struct world w;
    int64_t offset;

    (void)state;
    init(&w);
    w.needed = 40;
    start(&w);
    append(&w, 0, 100);
    wz_log_plan(w.logs[0], &limits, &plan, &offset);
    call.log = w.logs[0];
    call.arg = &w;
    wz_retention_ask(w.retention, &call);
    look(&w, 1);
    assert_int_equal(w.answers, 1);
    assert_memory_equal(&w.answered, &plan, sizeof(plan));
    assert_true(plan.records > 20 && plan.records <= 40);
    assert_int_equal(info_of(&w, 0).first_offset, plan.records);
    assert_int_equal(offset, plan.records);
    wz_retention_ask(w.retention, &call);
    wz_retention_stop(w.retention); // who waits is answered
    assert_int_equal(w.answers, 2);
    assert_int_equal(w.answered.segments, 0);
    finish(&w);
}

static void test_retention_segments_are_an_eighth_at_the_most(void **state)
{
    (void)state;
    assert_int_equal(wz_retention_segment_bytes(0, 256 * MIB), 256 * MIB);
    assert_int_equal(wz_retention_segment_bytes(10240 * MIB, 256 * MIB), 256 * MIB);
    assert_int_equal(wz_retention_segment_bytes(1024 * MIB, 256 * MIB), 128 * MIB);
    assert_int_equal(wz_retention_segment_bytes(1, 256 * MIB), 64 * KIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retention_keeps_a_log_within_its_bytes),
        cmocka_unit_test(test_retention_leaves_what_somebody_needs),
        cmocka_unit_test(test_retention_never_takes_the_segment_that_is_written),
        cmocka_unit_test(test_retention_removes_what_is_older_than_it_may_be),
        cmocka_unit_test(test_retention_removes_nothing_for_its_age_soon_after_a_start),
        cmocka_unit_test(test_retention_removes_nothing_because_the_clock_is_set),
        cmocka_unit_test(test_retention_frees_a_disk_from_the_largest_log),
        cmocka_unit_test(test_retention_counts_what_is_being_erased_as_free),
        cmocka_unit_test(test_retention_makes_room_before_messages_are_refused),
        cmocka_unit_test(test_retention_answers_what_it_was_asked_for),
        cmocka_unit_test(test_retention_segments_are_an_eighth_at_the_most),
    };

    return cmocka_run_group_tests_name("stream/retention", tests, NULL, NULL);
}
