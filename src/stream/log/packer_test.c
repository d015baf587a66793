// SPDX-License-Identifier: Apache-2.0
// Segments that are compressed in the background, read before, meanwhile and afterwards, on a disk
// that fails or crashes at each step. The linker puts the functions below in front of those of
// base/fs.h.
#include "stream/log/packer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/patience_test.h"
#include "base/rand.h"
#include "stream/log/inside.h"
#include "stream/log/testlog_test.h"
#include "wire/codec.h"

#define RECORDS 2000
#define SEGMENT 100000
#define COPIES_MAX 400

// What the disk does on threads that are not the test's own.
static struct {
    struct testlog *copied; // whose folder is copied before each step; NULL: none
    struct testlog copies[COPIES_MAX];
    int copy_count;
    _Atomic int steps;
    _Atomic int fails_at; // the number of the step that fails; -1: none
    _Atomic bool full;    // no room for a copy
} disk;

static _Thread_local bool spared;

// Before a step: whether it fails.
static bool step(void)
{
    int number;

    if (spared)
        return false;
    number = disk.steps++;
    if (disk.copied != NULL && disk.copy_count < COPIES_MAX) {
        spared = true;
        testlog_copy(disk.copied, &disk.copies[disk.copy_count++]);
        spared = false;
    }
    return number == disk.fails_at;
}

#define WRAP(name, types, ...)                                                                     \
    int __real_wz_fs_##name types;                                                                 \
    int __wrap_wz_fs_##name types;                                                                 \
    int __wrap_wz_fs_##name types { return step() ? WZ_ERR_IO : __real_wz_fs_##name(__VA_ARGS__); }

WRAP(write, (int fd, struct iovec *pieces, int count, int64_t pos), fd, pieces, count, pos)
WRAP(sync, (int fd), fd)
WRAP(truncate, (int fd, int64_t len), fd, len)
WRAP(rename, (const char *from, const char *to), from, to)
WRAP(replace, (const char *dir, const char *name, struct wz_slice s), dir, name, s)
WRAP(remove, (const char *path), path)
WRAP(sync_dir, (const char *path), path)

int __real_wz_fs_space(const char *path, int64_t *ret_free, int64_t *ret_total);
int __wrap_wz_fs_space(const char *path, int64_t *ret_free, int64_t *ret_total);
int __wrap_wz_fs_space(const char *path, int64_t *ret_free, int64_t *ret_total)
{
    (void)path;
    *ret_total = 1000 * (int64_t)SEGMENT;
    *ret_free = disk.full ? *ret_total / 20 : *ret_total;
    return WZ_OK;
}

static void calm(void)
{
    disk.copied = NULL;
    disk.copy_count = 0;
    disk.steps = 0;
    disk.fails_at = -1;
    disk.full = false;
}

// A log of many segments, closed, none of which is compressed.
static void make(struct testlog *t)
{
    calm();
    testlog_init(t);
    t->opt.segment_bytes = SEGMENT;
    testlog_open(t);
    for (int i = 0; i < RECORDS; i += 100) {
        wz_log_set_time(t->log, 1770000000000 + i * 1000);
        testlog_append_many(t, 100, 300);
        testlog_settle(t);
    }
    assert_int_equal(testlog_close(t), WZ_OK);
    t->opt.compress = true;
    t->opt.compress_keep_free = 6;
}

static void finish(struct testlog *t)
{
    if (t->log != NULL)
        assert_int_equal(testlog_close(t), WZ_OK);
    testlog_release(t);
}

// How many sealed segments there are, and of these how many are of each packing and done with.
struct tally {
    int sealed;
    int of[3];
};

static struct tally tally_of(struct testlog *t)
{
    struct wz_shelf *shelf = wz_log_shelf(t->log);
    struct tally tally = {0};

    assert_int_equal(pthread_mutex_lock(&shelf->lock), 0);
    for (size_t i = 0; i + 1 < shelf->count; i++) {
        const struct wz_segment *seg = shelf->segments[i];

        tally.sealed++;
        if (seg->topics == NULL && !seg->held)
            tally.of[seg->facts.packing]++;
    }
    assert_int_equal(pthread_mutex_unlock(&shelf->lock), 0);
    return tally;
}

static void wait_tried(struct testlog *t)
{
    int64_t until_us = wz_clock_mono_us() + patience_us();
    struct tally tally = tally_of(t);

    while (tally.of[WZ_PACKING_ZSTD] + tally.of[WZ_PACKING_VAIN] < tally.sealed) {
        assert_true(wz_clock_mono_us() < until_us);
        (void)usleep(1000); // it is not told
        tally = tally_of(t);
    }
}

static int64_t size_of(struct testlog *t)
{
    struct wz_log_info info;

    wz_log_info(t->log, &info);
    return info.size_bytes;
}

// Holds what two readers give against one another to the end; returns how much it was.
static int64_t read_both(struct wz_log *a, struct wz_log *b,
                         const struct wz_reader_options *options)
{
    struct wz_reader *readers[2];
    struct wz_record records[2];
    int64_t count = 0;
    int r;

    assert_int_equal(wz_reader_open(a, options, &readers[0]), WZ_OK);
    assert_int_equal(wz_reader_open(b, options, &readers[1]), WZ_OK);
    while ((r = wz_reader_next(readers[0], &records[0])) == WZ_OK) {
        assert_int_equal(wz_reader_next(readers[1], &records[1]), WZ_OK);
        assert_int_equal(records[0].offset, records[1].offset);
        assert_int_equal(records[0].append_ms, records[1].append_ms);
        assert_true(wz_slice_eq(records[0].key, records[1].key));
        assert_true(wz_slice_eq(records[0].value, records[1].value));
        assert_int_equal(records[0].header_count, records[1].header_count);
        assert_true(wz_slice_eq(records[0].headers, records[1].headers));
        count++;
    }
    assert_int_equal(r, WZ_END);
    assert_int_equal(wz_reader_next(readers[1], &records[1]), WZ_END);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wz_reader_damaged(readers[i]), 0);
        wz_reader_close(readers[i]);
    }
    return count;
}

// Each way of reading gives the same from both.
static void check_same(struct wz_log *a, struct wz_log *b)
{
    static const char *const patterns[] = {"", "site.3.temp", "*.5.#", "nobody"};

    for (size_t p = 0; p < sizeof(patterns) / sizeof(patterns[0]); p++) {
        for (int64_t position = 0; position < RECORDS; position += 777) {
            struct wz_reader_options options = {.pattern = wz_slice_str(patterns[p]),
                                                .position = position};

            (void)read_both(a, b, &options);
            options.direction = WZ_BACKWARD;
            options.position = RECORDS - position;
            (void)read_both(a, b, &options);
        }
    }
    for (int64_t ms = -5000; ms < RECORDS * 1000; ms += 33333) {
        int64_t offsets[2];

        assert_int_equal(wz_log_find_time(a, 1770000000000 + ms, &offsets[0]), WZ_OK);
        assert_int_equal(wz_log_find_time(b, 1770000000000 + ms, &offsets[1]), WZ_OK);
        assert_int_equal(offsets[0], offsets[1]);
    }
}

static void test_packer_changes_nothing_but_the_size(void **state)
{
    struct testlog plain;
    struct testlog t;
    struct tally tally;
    int64_t before;

    (void)state;
    make(&t);
    testlog_copy(&t, &plain);
    plain.opt.compress = false;
    testlog_open(&plain);
    testlog_open(&t);
    before = size_of(&plain);
    wait_tried(&t);
    tally = tally_of(&t);
    assert_true(tally.sealed > 5);
    assert_int_equal(tally.of[WZ_PACKING_ZSTD], tally.sealed);
    assert_true(size_of(&t) < before / 2);
    assert_int_equal(testlog_count(&t, NULL), RECORDS);
    check_same(plain.log, t.log);
    for (int i = 0; i < 2; i++) { // opened again, and with all that can be made anew
        assert_int_equal(testlog_close(&t), WZ_OK);
        testlog_open(&t);
        assert_int_equal(t.recovery.rebuilt_indexes, 0);
        assert_int_equal(t.recovery.damaged_batches, 0);
        check_same(plain.log, t.log);
        if (i == 0) {
            char command[256];

            (void)snprintf(command, sizeof(command), "rm %s/*.seal %s/*.topics", t.dir, t.dir);
            assert_int_equal(system(command), 0);
        }
    }
    assert_int_equal(tally_of(&t).of[WZ_PACKING_ZSTD], tally.sealed); // it is known again
    finish(&plain);
    finish(&t);
}

static void test_packer_leaves_readers_undisturbed(void **state)
{
    static const struct wz_reader_options options[] = {
        {.position = 0},
        {.position = 0, .pattern = {.ptr = (const uint8_t *)"site.2.temp", .len = 11}},
        {.position = 1234},
        {.direction = WZ_BACKWARD, .position = INT64_MAX},
        {.direction = WZ_BACKWARD,
         .position = 2000,
         .pattern = {.ptr = (const uint8_t *)"site.2.temp", .len = 11}},
    };
    struct wz_reader *readers[5];
    int64_t counts[5] = {0};
    struct wz_record record;
    struct testlog t;

    (void)state;
    make(&t);
    disk.full = true; // nothing happens yet
    testlog_open(&t);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(wz_reader_open(t.log, &options[i], &readers[i]), WZ_OK);
        for (int n = 0; n < 150; n++, counts[i]++)
            assert_int_equal(wz_reader_next(readers[i], &record), WZ_OK);
    }
    assert_int_equal(tally_of(&t).of[WZ_PACKING_NONE], tally_of(&t).sealed);
    disk.full = false;
    wait_tried(&t);
    for (int i = 0; i < 5; i++) {
        int r;

        while ((r = wz_reader_next(readers[i], &record)) == WZ_OK) {
            assert_true(testlog_is_right(&t, &record));
            counts[i]++;
        }
        assert_int_equal(r, WZ_END);
        assert_int_equal(wz_reader_damaged(readers[i]), 0);
        wz_reader_close(readers[i]);
    }
    assert_int_equal(counts[0], RECORDS);
    assert_int_equal(counts[1], (RECORDS + 4) / 7);
    assert_int_equal(counts[2], RECORDS - 1234);
    assert_int_equal(counts[3], RECORDS);
    assert_int_equal(counts[4], (2000 + 4) / 7);
    finish(&t);
}

// Who looks at a folder without its lock, while its owner compresses.
static void test_packer_does_not_mislead_who_only_looks(void **state)
{
    struct testlog looking;
    struct testlog plain;
    struct testlog t;

    (void)state;
    make(&t);
    testlog_copy(&t, &plain);
    plain.opt.compress = false;
    testlog_open(&plain);
    looking = t;
    looking.opt = (struct wz_log_options){.read_only = true};
    testlog_open(&looking);
    check_same(plain.log, looking.log); // now it has the indexes in memory
    testlog_open(&t);
    wait_tried(&t);
    check_same(plain.log, looking.log);
    wz_log_trim(t.log, 500);
    testlog_append_many(&t, 1, 10);
    testlog_settle(&t);
    assert_true(testlog_count(&looking, NULL) > RECORDS - 700);
    assert_int_equal(wz_log_close(looking.log), WZ_OK);
    finish(&plain);
    finish(&t);
}

// Opens folder number NUMBER in whatever state: all records are there and right. Of some, what is
// not compressed can be then.
static void check_whole(struct testlog *t, int number)
{
    t->opt.compress = number % 5 == 0;
    testlog_open(t);
    assert_int_equal(t->recovery.damaged_batches, 0);
    assert_int_equal(testlog_count(t, NULL), RECORDS);
    if (t->opt.compress) {
        wait_tried(t);
        assert_int_equal(testlog_count(t, NULL), RECORDS);
        assert_int_equal(tally_of(t).of[WZ_PACKING_ZSTD], tally_of(t).sealed);
    }
    finish(t);
}

static void test_packer_may_crash_at_any_step(void **state)
{
    struct testlog t;

    (void)state;
    make(&t);
    disk.full = true;
    testlog_open(&t);
    disk.copied = &t;
    disk.full = false;
    wait_tried(&t);
    disk.copied = NULL;
    finish(&t);
    assert_true(disk.copy_count > 40);
    for (int i = 0; i < disk.copy_count; i++) {
        if (i < 20 || i % 11 == 0) // the first segments, and some of the others
            check_whole(&disk.copies[i], i);
        else
            testlog_release(&disk.copies[i]);
    }
}

// A power cut may keep any of the new names and forget any other: those of all segments together.
static void test_packer_may_lose_power_at_any_step(void **state)
{
    static const char *const ends[] = {"log", "index", "timeindex", "topics", "seal"};
    struct testlog before;
    struct testlog after;

    (void)state;
    make(&before);
    testlog_copy(&before, &after);
    testlog_open(&after);
    wait_tried(&after);
    assert_int_equal(testlog_close(&after), WZ_OK);
    for (unsigned kept = 0; kept < 32; kept++) {
        struct testlog t;

        testlog_copy(&before, &t);
        for (int i = 0; i < 5; i++) {
            char command[256];

            (void)snprintf(command, sizeof(command), "cp %s/*.%s %s", after.dir, ends[i], t.dir);
            if (kept & 1u << i)
                assert_int_equal(system(command), 0);
        }
        check_whole(&t, (int)kept);
    }
    finish(&before);
    finish(&after);
}

static void test_packer_survives_a_disk_that_fails_at_any_step(void **state)
{
    int steps;

    (void)state;
    for (int fails_at = 0, last = 1; fails_at < last; fails_at++) {
        struct testlog t;

        make(&t);
        testlog_open(&t);
        disk.steps = 0;
        disk.fails_at = fails_at;
        wait_tried(&t);
        steps = disk.steps;
        last = steps < 17 ? steps : 17; // of the segments that come first
        assert_int_equal(testlog_count(&t, NULL), RECORDS);
        disk.fails_at = -1;
        assert_int_equal(testlog_close(&t), WZ_OK);
        check_whole(&t, fails_at);
    }
}

// How many records the batch has that holds byte POS of the file at PATH.
static int records_at(const char *path, int64_t pos)
{
    static uint8_t bytes[SEGMENT];
    struct wz_batch_info info = {0};
    FILE *file = fopen(path, "r");
    struct wz_slice left = wz_slice(bytes, 0);

    assert_non_null(file);
    left.len = fread(bytes, 1, sizeof(bytes), file);
    assert_int_equal(fclose(file), 0);
    for (; pos >= 0; pos -= (int64_t)info.len) {
        left = wz_slice_sub(left, info.len, left.len - info.len);
        assert_int_equal(wz_batch_read(left, &info), WZ_OK);
    }
    assert_true(info.count > 10 && info.count < 100); // a part of one that had 100
    return info.count;
}

// Whoever wants one record of a long batch decompresses a part of it.
static void test_packer_splits_long_batches(void **state)
{
    static uint8_t bytes[16 * SEGMENT];
    WZ_AUTO(wz_codec_release) struct wz_codec codec = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_slice left = wz_slice(bytes, 0);
    int64_t next_offset = 0;
    struct testlog t;
    FILE *file;

    (void)state;
    calm();
    testlog_init(&t);
    t.opt.segment_bytes = 10 * SEGMENT;
    testlog_open(&t);
    testlog_append_many(&t, 8000, 250);
    testlog_settle(&t);
    assert_int_equal(testlog_close(&t), WZ_OK);
    t.opt.compress = true;
    testlog_open(&t);
    wait_tried(&t);
    assert_int_equal(tally_of(&t).of[WZ_PACKING_ZSTD], tally_of(&t).sealed);
    file = fopen(testlog_path(&t, "00000000000000000000.log"), "r");
    assert_non_null(file);
    left.len = fread(bytes, 1, sizeof(bytes), file);
    assert_int_equal(fclose(file), 0);
    assert_true(left.len > 10000 && left.len < sizeof(bytes));
    while (left.len > 0) {
        struct wz_batch_info info;
        struct wz_slice batch;
        size_t len;

        assert_int_equal(wz_batch_read(left, &info), WZ_OK);
        len = info.len;
        assert_int_equal(info.base_offset, next_offset);
        next_offset = info.last_offset + 1;
        assert_int_equal(
            wz_codec_unpack(&codec, wz_slice_sub(left, 0, len), &info, &buf, &batch, &info), WZ_OK);
        assert_true(batch.len < 25 * 1024);
        left = wz_slice_sub(left, len, left.len - len);
    }
    assert_true(next_offset > 2000);
    assert_int_equal(testlog_count(&t, NULL), 8000);
    finish(&t);
}

static void test_packer_makes_a_damaged_byte_cost_one_batch(void **state)
{
    char path[160];
    struct testlog t;
    struct stat st;
    int damage = 0;

    (void)state;
    make(&t);
    testlog_open(&t);
    wait_tried(&t);
    assert_int_equal(testlog_close(&t), WZ_OK);
    (void)snprintf(path, sizeof(path), "%s/%020d.log", t.dir, 0);
    assert_int_equal(stat(path, &st), 0);
    for (int64_t pos = 30; pos < st.st_size * 3 / 5; pos += st.st_size / 8, damage++) {
        for (int sealed = 0; sealed < 2; sealed++) {
            struct testlog damaged;
            struct wz_log_info info;
            FILE *file;
            int lost;
            int c;

            testlog_copy(&t, &damaged);
            lost = records_at(testlog_path(&damaged, "00000000000000000000.log"), pos);
            file = fopen(testlog_path(&damaged, "00000000000000000000.log"), "r+");
            assert_non_null(file);
            assert_int_equal(fseek(file, pos, SEEK_SET), 0);
            c = fgetc(file);
            assert_int_equal(fseek(file, pos, SEEK_SET), 0);
            assert_true(fputc(c ^ 1, file) >= 0 && fclose(file) == 0);
            if (!sealed)
                assert_int_equal(wz_fs_remove(testlog_path(&damaged, "00000000000000000000.seal")),
                                 WZ_OK);
            testlog_open(&damaged);
            assert_int_equal(testlog_count(&damaged, NULL), RECORDS - lost);
            wz_log_info(damaged.log, &info);
            assert_int_equal(info.damaged_batches, 1);
            finish(&damaged);
        }
    }
    assert_true(damage > 4);
    finish(&t);
}

// A batch whose checksum is right and that zstd cannot read.
static void test_packer_makes_a_frame_that_is_none_cost_one_batch(void **state)
{
    static uint8_t bytes[SEGMENT];
    struct testlog t;

    (void)state;
    make(&t);
    testlog_open(&t);
    wait_tried(&t);
    assert_int_equal(testlog_close(&t), WZ_OK);
    for (int sealed = 0; sealed < 2; sealed++) {
        const char *path = testlog_path(&t, "00000000000000000000.log");
        struct wz_batch_info info;
        struct wz_log_info said;
        FILE *file = fopen(path, "r+");
        size_t len;

        assert_non_null(file);
        len = fread(bytes, 1, sizeof(bytes), file);
        assert_int_equal(wz_batch_read(wz_slice(bytes, len), &info), WZ_OK);
        bytes[WZ_BATCH_HEADER_LEN] = 'X'; // where zstd's magic begins
        wz_batch_seal(bytes, info.len);
        rewind(file);
        assert_int_equal(fwrite(bytes, 1, len, file), len);
        assert_int_equal(fclose(file), 0);
        if (sealed)
            assert_int_equal(wz_fs_remove(testlog_path(&t, "00000000000000000000.seal")), WZ_OK);
        testlog_open(&t);
        assert_int_equal(testlog_count(&t, NULL), RECORDS - info.count);
        wz_log_info(t.log, &said);
        assert_int_equal(said.damaged_batches, 1);
        assert_int_equal(testlog_close(&t), WZ_OK);
    }
    finish(&t);
}

static void test_packer_leaves_what_would_get_no_shorter(void **state)
{
    static uint8_t noise[4000];
    struct wz_record_parts parts = {
        .key = WZ_SLICE_LIT("site.1.temp"), .value = {wz_slice(noise, 4000)}, .value_count = 1};
    struct stat before;
    struct stat after;
    struct testlog t;
    int64_t steps;

    (void)state;
    calm();
    testlog_init(&t);
    t.opt.segment_bytes = SEGMENT;
    t.opt.compress = true;
    testlog_open(&t);
    for (int i = 0; i < 300; i++) {
        int64_t offset;

        wz_rand_bytes(noise, sizeof(noise));
        assert_int_equal(wz_log_append(t.log, &parts, &offset), WZ_OK);
        testlog_settle(&t);
    }
    assert_int_equal(stat(testlog_path(&t, "00000000000000000000.log"), &before), 0);
    wait_tried(&t);
    assert_true(tally_of(&t).sealed > 3);
    assert_int_equal(tally_of(&t).of[WZ_PACKING_VAIN], tally_of(&t).sealed);
    assert_int_equal(stat(testlog_path(&t, "00000000000000000000.log"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(access(testlog_path(&t, "00000000000000000000.log.new"), F_OK), -1);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_open(&t);
    assert_int_equal(tally_of(&t).of[WZ_PACKING_VAIN], tally_of(&t).sealed); // it is remembered
    steps = disk.steps;
    assert_int_equal(tally_of(&t).of[WZ_PACKING_NONE], 0);
    assert_int_equal(disk.steps, steps);
    finish(&t);
}

// What is damaged is left as it is on the disk: what can still be told from it is not thrown away.
static void test_packer_leaves_a_damaged_segment(void **state)
{
    char path[160];
    struct stat before;
    struct stat after;
    struct testlog t;
    FILE *file;
    int c;

    (void)state;
    make(&t);
    (void)snprintf(path, sizeof(path), "%s", testlog_path(&t, "00000000000000000000.log"));
    file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 20000, SEEK_SET), 0);
    c = fgetc(file);
    assert_int_equal(fseek(file, 20000, SEEK_SET), 0);
    assert_true(fputc(c ^ 1, file) >= 0 && fclose(file) == 0);
    assert_int_equal(stat(path, &before), 0);
    testlog_open(&t);
    wait_tried(&t);
    assert_int_equal(tally_of(&t).of[WZ_PACKING_VAIN], 1);
    assert_true(tally_of(&t).of[WZ_PACKING_ZSTD] > 3);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(testlog_count(&t, NULL), RECORDS - 100);
    finish(&t);
}

static void test_packer_brings_no_removed_segment_back(void **state)
{
    struct testlog t;

    (void)state;
    make(&t);
    for (int i = 0; i < 10; i++) {
        struct testlog trimmed;
        int64_t until_us = wz_clock_mono_us() + i * 6000;
        struct wz_log_info info;

        testlog_copy(&t, &trimmed);
        testlog_open(&trimmed);
        while (wz_clock_mono_us() < until_us)
            (void)usleep(500);
        wz_log_trim(trimmed.log, INT64_MAX);
        testlog_append_many(&trimmed, 1, 10);
        testlog_settle(&trimmed);
        wait_tried(&trimmed);
        wz_log_trim(trimmed.log, INT64_MAX); // what was held then
        testlog_append_many(&trimmed, 1, 10);
        testlog_settle(&trimmed);
        assert_int_equal(testlog_close(&trimmed), WZ_OK);
        trimmed.opt.compress = false;
        testlog_open(&trimmed);
        assert_int_equal(trimmed.recovery.orphans, 0);
        wz_log_info(trimmed.log, &info);
        assert_int_equal(info.segment_count, 1);
        finish(&trimmed);
    }
    finish(&t);
}

static void test_packer_waits_for_room_on_the_disk(void **state)
{
    struct testlog t;

    (void)state;
    make(&t);
    disk.full = true;
    testlog_open(&t);
    (void)usleep(200000); // an absence can only be waited out
    assert_int_equal(tally_of(&t).of[WZ_PACKING_NONE], tally_of(&t).sealed);
    finish(&t);
}

// Readers and the writer at work meanwhile.
struct reading {
    struct testlog *t;
    _Atomic bool stopping;
    int64_t rounds;
    bool wrong;
};

static void *read_all(void *arg)
{
    struct reading *reading = arg;

    spared = true;
    while (!reading->stopping || reading->rounds == 0) {
        struct wz_reader_options options = {.position = reading->rounds % 3 * 500};
        struct wz_reader *reader;
        struct wz_record record;
        int64_t next = options.position;

        if (reading->rounds % 2 == 1)
            options.pattern = WZ_SLICE_LIT("site.4.temp");
        WZ_ASSERT(wz_reader_open(reading->t->log, &options, &reader) == WZ_OK);
        while (wz_reader_next(reader, &record) == WZ_OK) {
            reading->wrong = reading->wrong || !testlog_is_right(reading->t, &record) ||
                             (reading->rounds % 2 == 0 && record.offset != next);
            next = record.offset + 1;
        }
        reading->wrong = reading->wrong || wz_reader_damaged(reader) != 0 || next < RECORDS - 7;
        wz_reader_close(reader);
        reading->rounds++;
    }
    return NULL;
}

static void test_packer_works_beside_readers_and_writer(void **state)
{
    struct reading readings[3];
    pthread_t threads[3];
    struct testlog t;

    (void)state;
    make(&t);
    testlog_open(&t);
    for (int i = 0; i < 3; i++) {
        readings[i] = (struct reading){.t = &t};
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readings[i]), 0);
    }
    for (int i = 0; i < 20; i++) {
        testlog_append_many(&t, 200, 300);
        testlog_settle(&t);
    }
    wait_tried(&t);
    for (int i = 0; i < 3; i++) {
        readings[i].stopping = true;
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(readings[i].wrong);
        assert_true(readings[i].rounds > 0);
    }
    assert_int_equal(testlog_count(&t, NULL), RECORDS + 20 * 200);
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packer_changes_nothing_but_the_size),
        cmocka_unit_test(test_packer_splits_long_batches),
        cmocka_unit_test(test_packer_leaves_readers_undisturbed),
        cmocka_unit_test(test_packer_does_not_mislead_who_only_looks),
        cmocka_unit_test(test_packer_may_crash_at_any_step),
        cmocka_unit_test(test_packer_may_lose_power_at_any_step),
        cmocka_unit_test(test_packer_survives_a_disk_that_fails_at_any_step),
        cmocka_unit_test(test_packer_makes_a_damaged_byte_cost_one_batch),
        cmocka_unit_test(test_packer_makes_a_frame_that_is_none_cost_one_batch),
        cmocka_unit_test(test_packer_leaves_what_would_get_no_shorter),
        cmocka_unit_test(test_packer_leaves_a_damaged_segment),
        cmocka_unit_test(test_packer_brings_no_removed_segment_back),
        cmocka_unit_test(test_packer_waits_for_room_on_the_disk),
        cmocka_unit_test(test_packer_works_beside_readers_and_writer),
    };

    spared = true;
    return cmocka_run_group_tests_name("stream/packer", tests, NULL, NULL);
}
