// SPDX-License-Identifier: Apache-2.0
#include "stream/space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/patience_test.h"

#define MIB ((int64_t)1024 * 1024)
#define FLOOR (64 * MIB)

// What the disks say: of a folder that ends in "b", and of the others.
static struct {
    _Atomic int64_t free_bytes;
    _Atomic int err;
    _Atomic int asked;
} disk_a, disk_b;

static const char *folders[2];

int __wrap_wz_fs_space(const char *path, int64_t *ret_free, int64_t *ret_total);

// On the pool.
int __wrap_wz_fs_space(const char *path, int64_t *ret_free, int64_t *ret_total)
{
    bool b = folders[1] != NULL && strcmp(path, folders[1]) == 0;

    *ret_free = b ? disk_b.free_bytes : disk_a.free_bytes;
    *ret_total = 1024 * MIB;
    if (b)
        disk_b.asked++;
    else
        disk_a.asked++;
    return b ? disk_b.err : disk_a.err;
}

struct world {
    char dirs[2][64];
    struct wz_loop loop;
    struct wz_log *logs[2];
    struct wz_space_options opt;
    struct wz_space *space;
    int looked;
};

static void on_looked(void *arg) { ((struct world *)arg)->looked++; }

static void init(struct world *w)
{
    struct wz_log_options options = {.loop_mail = &w->loop.mail};

    memset(w, 0, sizeof(*w));
    disk_a.free_bytes = disk_b.free_bytes = 1000 * MIB;
    disk_a.err = disk_b.err = WZ_OK;
    disk_a.asked = disk_b.asked = 0;
    assert_int_equal(wz_loop_init(&w->loop), WZ_OK);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(w->dirs[i], sizeof(w->dirs[i]), "/tmp/wyze-space-XXXXXX");
        assert_non_null(mkdtemp(w->dirs[i]));
        assert_int_equal(wz_log_open(w->dirs[i], &options, &w->logs[i], NULL, NULL), WZ_OK);
        folders[i] = w->dirs[i];
    }
    w->opt = (struct wz_space_options){
        .loop = &w->loop, .min_free_bytes = FLOOR, .looked = on_looked, .arg = w};
}

static void start(struct world *w)
{
    w->space = wz_space_new(&w->opt);
    wz_space_watch(w->space, w->logs[0]);
    wz_space_watch(w->space, w->logs[1]);
    wz_space_start(w->space);
}

static void finish(struct world *w)
{
    char command[160];

    wz_space_stop(w->space);
    wz_loop_stop(&w->loop);
    wz_loop_run(&w->loop);
    wz_space_free(w->space);
    assert_int_equal(wz_metric_get(WZ_METRIC_DISK_LOW), 0);
    assert_int_equal(wz_metric_get(WZ_METRIC_DISK_FREE), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(wz_log_close(w->logs[i]), WZ_OK);
    wz_loop_release(&w->loop);
    (void)snprintf(command, sizeof(command), "rm -rf %s %s", w->dirs[0], w->dirs[1]);
    assert_int_equal(system(command), 0);
}

// Turns until the disks have been looked at from now on, and what they said has been taken over.
static void look(struct world *w)
{
    int64_t until_us = wz_clock_mono_us() + patience_us();
    int before = disk_b.asked;

    // Two: the first may have been under way.
    while (disk_b.asked < before + 2) {
        assert_true(wz_clock_mono_us() < until_us);
        (void)uv_run(&w->loop.uv, UV_RUN_ONCE);
    }
    for (int i = 0; i < 20; i++)
        (void)uv_run(&w->loop.uv, UV_RUN_NOWAIT);
}

static void append(struct world *w, struct wz_log *log, size_t len)
{
    static uint8_t bytes[65536];
    struct wz_record_parts parts = {
        .key = WZ_SLICE_LIT("k"), .value = {wz_slice(bytes, len)}, .value_count = 1};
    int64_t offset;
    int r;

    while ((r = wz_log_append(log, &parts, &offset)) == WZ_ERR_BUSY) {
        wz_log_flush(log);
        (void)wz_mailbox_run(&w->loop.mail);
    }
    assert_int_equal(r, WZ_OK);
}

static void test_space_floor_is_at_most_a_part_of_the_disk(void **state)
{
    struct wz_space_options options = {.min_free_bytes = 64 * MIB, .floor_part = 20};

    (void)state;
    assert_int_equal(wz_space_floor(&options, 100000 * MIB), 64 * MIB);
    assert_int_equal(wz_space_floor(&options, 1000 * MIB), 50 * MIB);
    options.floor_part = 0;
    assert_int_equal(wz_space_floor(&options, 1000 * MIB), 64 * MIB);
    options.min_free_bytes = 0;
    assert_int_equal(wz_space_floor(&options, 1000 * MIB), 0);
}

static void test_space_is_known_before_the_first_message(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    disk_a.free_bytes = FLOOR - 1;
    start(&w);
    assert_true(wz_space_low(w.space));
    assert_false(wz_space_takes(w.space));
    assert_int_equal(w.looked, 1);
    assert_int_equal(wz_metric_get(WZ_METRIC_DISK_LOW), 1);
    assert_int_equal(wz_metric_get(WZ_METRIC_DISK_FREE), FLOOR - 1);
    assert_int_equal(wz_space_floor_bytes(w.space), FLOOR);
    finish(&w);
}

static void test_space_counts_what_was_appended_since_the_look(void **state)
{
    struct world w;
    int64_t taken;

    (void)state;
    init(&w);
    disk_b.free_bytes = FLOOR + 3 * MIB;
    start(&w);
    assert_true(wz_space_takes(w.space));
    while (wz_space_takes(w.space)) {
        append(&w, w.logs[0], 1000); // both logs count, whichever the disk is of
        append(&w, w.logs[1], 1000);
        taken = wz_log_appended(w.logs[0]) + wz_log_appended(w.logs[1]);
        assert_true(taken <= 3 * MIB + 4096);
    }
    assert_true(taken > 3 * MIB);
    assert_int_equal(w.looked, 0); // not from inside
    (void)uv_run(&w.loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(w.looked, 1);
    finish(&w);
}

static void test_space_looks_when_much_was_appended(void **state)
{
    struct world w;
    int64_t until_us = wz_clock_mono_us() + patience_us();

    (void)state;
    init(&w);
    start(&w);
    while (disk_a.asked < 8) {
        assert_true(wz_clock_mono_us() < until_us);
        for (int i = 0; i < 100; i++)
            append(&w, w.logs[0], 60000);
        (void)uv_run(&w.loop.uv, UV_RUN_NOWAIT);
        wz_log_flush(w.logs[0]);
    }
    assert_true(wz_log_appended(w.logs[0]) < 200 * MIB);
    finish(&w);
}

static void test_space_is_enough_again_a_quarter_above_the_floor(void **state)
{
    struct world w;
    int looked;

    (void)state;
    init(&w);
    start(&w);
    disk_a.free_bytes = FLOOR - 1;
    look(&w);
    assert_true(wz_space_low(w.space));
    looked = w.looked;
    disk_a.free_bytes = FLOOR + FLOOR / 4 - 1;
    look(&w);
    assert_true(wz_space_low(w.space));
    assert_true(w.looked > looked); // each time as long as it is low
    disk_a.free_bytes = FLOOR + FLOOR / 4;
    look(&w);
    assert_false(wz_space_low(w.space));
    assert_true(wz_space_takes(w.space));
    looked = w.looked;
    look(&w);
    assert_int_equal(w.looked, looked); // and not again
    finish(&w);
}

static void test_space_of_a_disk_that_does_not_answer_is_what_it_was(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    disk_a.err = WZ_ERR_IO;
    disk_b.err = WZ_ERR_IO;
    disk_b.free_bytes = 0;
    start(&w);
    assert_true(wz_space_takes(w.space));
    disk_b.err = WZ_OK;
    look(&w);
    assert_false(wz_space_takes(w.space));
    disk_b.err = WZ_ERR_IO;
    disk_b.free_bytes = 1000 * MIB;
    look(&w);
    assert_false(wz_space_takes(w.space));
    finish(&w);
}

static void test_space_without_a_floor_is_shown_and_never_low(void **state)
{
    struct world w;

    (void)state;
    init(&w);
    w.opt.min_free_bytes = 0;
    disk_a.free_bytes = 0;
    start(&w);
    append(&w, w.logs[0], 60000);
    look(&w);
    assert_true(wz_space_takes(w.space));
    assert_false(wz_space_low(w.space));
    assert_int_equal(w.looked, 0);
    disk_a.free_bytes = 77;
    look(&w);
    assert_int_equal(wz_metric_get(WZ_METRIC_DISK_FREE), 77);
    finish(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_space_floor_is_at_most_a_part_of_the_disk),
        cmocka_unit_test(test_space_is_known_before_the_first_message),
        cmocka_unit_test(test_space_counts_what_was_appended_since_the_look),
        cmocka_unit_test(test_space_looks_when_much_was_appended),
        cmocka_unit_test(test_space_is_enough_again_a_quarter_above_the_floor),
        cmocka_unit_test(test_space_of_a_disk_that_does_not_answer_is_what_it_was),
        cmocka_unit_test(test_space_without_a_floor_is_shown_and_never_low),
    };

    return cmocka_run_group_tests_name("stream/space", tests, NULL, NULL);
}
