// SPDX-License-Identifier: Apache-2.0
// Every byte of every file of a small log is flipped in turn: what is read is right, at most one
// batch is lost, and it is told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "stream/log/testlog_test.h"

#define BATCHES 8
#define BATCH_RECORDS 5
#define RECORDS (BATCHES * BATCH_RECORDS)

// Reads all, forward or backward, with the pattern; every record must be right. Returns how many
// there are and adds how many damaged batches the reader has told.
static int64_t read_all(struct testlog *t, enum wz_direction direction, const char *pattern,
                        int64_t *ret_told)
{
    struct wz_reader_options opt = {.direction = direction,
                                    .position = direction == WZ_BACKWARD ? INT64_MAX : 0,
                                    .pattern = wz_slice_str(pattern)};
    struct wz_reader *reader;
    struct wz_record record;
    int64_t count = 0;

    assert_int_equal(wz_reader_open(t->log, &opt, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK) {
        assert_true(testlog_is_right(t, &record));
        count++;
    }
    *ret_told += wz_reader_damaged(reader);
    wz_reader_close(reader);
    return count;
}

// Opens the damaged folder and reads it in three ways.
static void check(struct testlog *t, const char *name, size_t pos, bool is_log)
{
    int64_t told = 0;
    int64_t counts[3];

    testlog_open(t);
    counts[0] = read_all(t, WZ_FORWARD, "", &told);
    counts[1] = read_all(t, WZ_BACKWARD, "", &told);
    counts[2] = read_all(t, WZ_FORWARD, "site.*.temp", &told);
    told += t->recovery.damaged_batches + t->recovery.cut_bytes;
    for (int i = 0; i < 3; i++) {
        if (counts[i] != RECORDS && !(is_log && counts[i] == RECORDS - BATCH_RECORDS && told > 0))
            fail_msg("%s byte %zu: way %d gave %lld records, told %lld", name, pos, i,
                     (long long)counts[i], (long long)told);
    }
    assert_true(!is_log || told > 0);
    assert_true(wz_log_next_offset(t->log) >= RECORDS);
    assert_int_equal(testlog_close(t), WZ_OK);
}

static void flip(const struct testlog *t, const char *name, size_t pos, int bit)
{
    uint8_t byte;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    size_t len;
    int fd = -1;

    assert_int_equal(wz_fs_open(testlog_path(t, name), WZ_FS_WRITE, &fd), WZ_OK);
    assert_int_equal(wz_fs_read(fd, &byte, 1, (int64_t)pos, &len), WZ_OK);
    byte ^= (uint8_t)(1 << bit);
    assert_int_equal(wz_fs_write(fd, &piece, 1, (int64_t)pos), WZ_OK);
    wz_fs_close(fd);
}

struct walk {
    struct testlog *t;
    int files;
};

static bool ends(const char *name, const char *end)
{
    size_t len = strlen(name);

    return len > strlen(end) && strcmp(name + len - strlen(end), end) == 0;
}

static int damage_file(const char *name, void *arg)
{
    struct walk *walk = arg;
    struct testlog *t = walk->t;
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    int64_t size = 0;

    if (strcmp(name, "lock") == 0)
        return WZ_OK;
    assert_int_equal(wz_fs_open(testlog_path(t, name), WZ_FS_READ, &fd), WZ_OK);
    assert_int_equal(wz_fs_size(fd, &size), WZ_OK);
    for (size_t pos = 0; pos < (size_t)size; pos++) {
        int bit = (int)(pos * 5 % 8);

        if (pos == 64 && strcmp(name, "stream.meta") == 0)
            pos = 4096; // the space between the slots
        t->opt.read_only = true;
        flip(t, name, pos, bit);
        check(t, name, pos, ends(name, ".log"));
        if (pos % 41 == 0) { // now and then with repair, in a copy
            struct testlog copy;

            testlog_copy(t, &copy);
            copy.opt.read_only = false;
            check(&copy, name, pos, ends(name, ".log"));
            testlog_open(&copy);
            assert_int_equal(copy.recovery.rebuilt_indexes, 0);
            assert_int_equal(testlog_close(&copy), WZ_OK);
            testlog_release(&copy);
        }
        flip(t, name, pos, bit);
    }
    walk->files++;
    return WZ_OK;
}

static void damage_all(bool orderly)
{
    struct testlog crashed;
    struct testlog t;
    struct walk walk = {0};

    testlog_init(&t);
    t.opt.segment_bytes = 1200;
    t.opt.reserve_offsets = 100;
    testlog_open(&t);
    for (int i = 0; i < BATCHES; i++) {
        testlog_append_many(&t, BATCH_RECORDS, 20);
        testlog_settle(&t);
    }
    if (orderly)
        assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_copy(&t, &crashed);
    walk.t = &crashed;
    assert_int_equal(wz_fs_walk(crashed.dir, damage_file, &walk), WZ_OK);
    assert_true(walk.files >= 10);
    testlog_release(&crashed);
    if (!orderly)
        assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_log_survives_a_flipped_bit_in_any_byte_after_a_stop(void **state)
{
    (void)state;
    damage_all(true);
}

static void test_log_survives_a_flipped_bit_in_any_byte_after_a_crash(void **state)
{
    (void)state;
    damage_all(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_survives_a_flipped_bit_in_any_byte_after_a_stop),
        cmocka_unit_test(test_log_survives_a_flipped_bit_in_any_byte_after_a_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
