// SPDX-License-Identifier: Apache-2.0
#include "stream/log/recovery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "stream/log/testlog_test.h"
#include "stream/log/topics_file.h"

#define FIRST_LOG "00000000000000000000.log"
#define FIRST_SEAL "00000000000000000000.seal"

static struct wz_buf load(const struct testlog *t, const char *name)
{
    struct wz_buf buf = {0};

    assert_int_equal(wz_fs_load(testlog_path(t, name), 1 << 30, &buf), WZ_OK);
    return buf;
}

static void store(const struct testlog *t, const char *name, struct wz_slice s)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)s.ptr, .iov_len = s.len};
    int fd = -1;

    assert_int_equal(wz_fs_open(testlog_path(t, name), WZ_FS_CREATE, &fd), WZ_OK);
    assert_int_equal(wz_fs_truncate(fd, 0), WZ_OK);
    assert_int_equal(wz_fs_write(fd, &piece, s.len > 0, 0), WZ_OK);
    wz_fs_close(fd);
}

// Fills T with COUNT groups of ten records, each group a batch, and copies its folder while it
// runs.
static void crash(struct testlog *t, int groups, struct testlog *ret_crashed)
{
    testlog_init(t);
    t->opt.reserve_offsets = 1000;
    testlog_open(t);
    for (int i = 0; i < groups; i++) {
        testlog_append_many(t, 10, 20);
        testlog_settle(t);
    }
    testlog_copy(t, ret_crashed);
}

static void done(struct testlog *t)
{
    if (t->log != NULL)
        assert_int_equal(testlog_close(t), WZ_OK);
    testlog_release(t);
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    while (len > 0 && bytes[len - 1] == 0)
        len--;
    return len == 0;
}

// The byte at which the last batch of WHOLE begins. The zeros that fill the last block are taken
// off.
static size_t last_batch_pos(struct wz_buf *whole)
{
    struct wz_batch_info info;
    size_t last = 0;
    size_t pos = 0;

    while (wz_batch_read(wz_slice(whole->ptr + pos, whole->len - pos), &info) == WZ_OK) {
        last = pos;
        pos += info.len;
    }
    assert_true(pos > 0 && is_zero(whole->ptr + pos, whole->len - pos));
    whole->len = pos;
    return last;
}

static void test_recovery_cuts_a_tail_torn_at_any_byte(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf whole = {0};
    struct testlog crashed;
    struct testlog t;
    size_t last;

    (void)state;
    crash(&t, 3, &crashed);
    whole = load(&crashed, FIRST_LOG);
    last = last_batch_pos(&whole);
    for (size_t len = last; len < whole.len; len++) {
        struct testlog again;
        int64_t end;

        testlog_copy(&crashed, &again);
        store(&again, FIRST_LOG, wz_slice(whole.ptr, len));
        testlog_open(&again);
        assert_int_equal(again.recovery.cut_bytes,
                         is_zero(whole.ptr + last, len - last) ? 0 : len - last);
        assert_int_equal(again.recovery.damaged_batches, 0);
        assert_int_equal(testlog_count(&again, NULL), 20);
        assert_true(wz_log_next_offset(again.log) >= 30);
        testlog_append_many(&again, 10, 20);
        testlog_settle(&again);
        assert_int_equal(testlog_count(&again, &end), 30);
        assert_int_equal(end, 1009);
        done(&again);
    }
    done(&crashed);
    done(&t);
}

static void test_recovery_keeps_what_stands_behind_a_damaged_batch(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf whole = {0};
    struct testlog crashed;
    struct testlog t;
    struct wz_log_info info;

    (void)state;
    crash(&t, 5, &crashed);
    whole = load(&crashed, FIRST_LOG);
    whole.ptr[whole.len / 2] ^= 1;
    store(&crashed, FIRST_LOG, wz_buf_slice(&whole));
    testlog_open(&crashed);
    assert_int_equal(crashed.recovery.damaged_batches, 1);
    assert_int_equal(crashed.recovery.cut_bytes, 0);
    assert_int_equal(testlog_count(&crashed, NULL), 40);
    testlog_append_many(&crashed, 10, 20);
    assert_int_equal(testlog_close(&crashed), WZ_OK);
    testlog_open(&crashed); // from the checkpoint: still known, still not served
    assert_int_equal(crashed.recovery.damaged_batches, 1);
    assert_int_equal(testlog_count(&crashed, NULL), 50);
    wz_log_info(crashed.log, &info);
    assert_int_equal(info.damaged_batches, 1);
    done(&crashed);
    done(&t);
}

static void test_recovery_never_reuses_offsets_whatever_became_of_the_meta_file(void **state)
{
    static const struct {
        int slots[2]; // flipped
        int64_t next;
    } cases[] = {
        {{0, 0}, 2000},
        {{1, 0}, 0}, // which of the two is the newer one the test need not know
        {{0, 1}, 0},
        {{1, 1}, 30 + 16 * (1 << 20)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct testlog crashed;
        struct testlog t;
        struct wz_buf meta;

        crash(&t, 3, &crashed);
        testlog_append_many(&t, 970, 20); // into the second block
        testlog_settle(&t);
        meta = load(&t, "stream.meta");
        for (int slot = 0; slot < 2; slot++)
            meta.ptr[slot * 4096 + 30] ^= (uint8_t)cases[i].slots[slot];
        store(&crashed, "stream.meta", wz_buf_slice(&meta));
        testlog_open(&crashed);
        assert_true(wz_log_next_offset(crashed.log) >= 2000);
        if (cases[i].next != 0)
            assert_int_equal(wz_log_next_offset(crashed.log), cases[i].next);
        assert_int_equal(testlog_count(&crashed, NULL), 30);
        wz_buf_release(&meta);
        done(&crashed);
        done(&t);
    }
}

static void test_recovery_goes_far_ahead_without_the_meta_file(void **state)
{
    struct testlog crashed;
    struct testlog t;

    (void)state;
    crash(&t, 3, &crashed);
    assert_int_equal(wz_fs_remove(testlog_path(&crashed, "stream.meta")), WZ_OK);
    testlog_open(&crashed);
    assert_int_equal(wz_log_next_offset(crashed.log), 30 + 16 * (1 << 20));
    assert_int_equal(testlog_count(&crashed, NULL), 30);
    done(&crashed);
    done(&t);
}

static void test_recovery_prefers_the_later_segment(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf whole = {0};
    struct testlog crashed;
    struct testlog t;
    size_t last;
    int64_t end;

    (void)state;
    crash(&t, 3, &crashed);
    whole = load(&crashed, FIRST_LOG);
    last = last_batch_pos(&whole);
    // As after a failed sync whose cut was lost: the batch stands in both segments.
    store(&crashed, "00000000000000000020.log",
          wz_slice_sub(wz_buf_slice(&whole), last, whole.len - last));
    testlog_open(&crashed);
    assert_int_equal(testlog_count(&crashed, &end), 30);
    assert_int_equal(end, 29);
    assert_int_equal(testlog_close(&crashed), WZ_OK);
    testlog_open(&crashed);
    assert_int_equal(testlog_count(&crashed, NULL), 30);
    done(&crashed);
    done(&t);
}

static void test_recovery_removes_unfinished_files_and_no_others(void **state)
{
    struct testlog t;

    (void)state;
    testlog_init(&t);
    store(&t, "00000000000000000000.seal.new", WZ_SLICE_LIT("x"));
    store(&t, "notes.txt", WZ_SLICE_LIT("y"));
    store(&t, "1.log", WZ_SLICE_LIT("z"));
    testlog_open(&t);
    assert_int_equal(access(testlog_path(&t, "00000000000000000000.seal.new"), F_OK), -1);
    assert_int_equal(access(testlog_path(&t, "notes.txt"), F_OK), 0);
    assert_int_equal(access(testlog_path(&t, "1.log"), F_OK), 0);
    assert_int_equal(testlog_count(&t, NULL), 0);
    done(&t);
}

// What the format says the index files of a .log are, made the plain way.
struct naive {
    struct wz_buf files[3];
    uint32_t blocks;
};

static void put(struct wz_buf *buf, uint64_t value, size_t len)
{
    while (len-- > 0)
        wz_buf_add_byte(buf, (uint8_t)(value >> (8 * len)));
}

static struct naive naive_indexes(struct wz_slice log, int64_t base)
{
    struct naive naive = {0};
    struct wz_batch_info info;
    size_t block_pos = 0;
    int64_t last_ms = -1;

    for (size_t pos = 0; pos < log.len; pos += info.len) {
        assert_int_equal(wz_batch_read(wz_slice_sub(log, pos, log.len - pos), &info), WZ_OK);
        if (pos > 0 && pos - block_pos < 4096)
            continue;
        block_pos = pos;
        naive.blocks++;
        put(&naive.files[0], (uint64_t)(info.last_offset - base), 4);
        put(&naive.files[0], pos, 4);
        if (info.max_ms > last_ms) {
            put(&naive.files[1], (uint64_t)info.max_ms, 8);
            put(&naive.files[1], (uint64_t)(info.last_offset - base), 4);
            last_ms = info.max_ms;
        }
    }
    return naive;
}

// Holds .topics against the records: for each topic, exactly the blocks that hold it.
static void check_topics(struct wz_slice log, struct wz_slice index, struct wz_slice topics)
{
    struct wz_topics_entry entry;

    assert_int_equal(wz_topics_file_check(topics), WZ_OK);
    for (uint32_t i = 0; wz_topics_file_get(topics, i, &entry); i++) {
        uint32_t listed = 0;
        uint32_t next = wz_topics_entry_next(&entry);

        for (uint32_t block = 0; block < index.len / 8; block++) {
            struct wz_cursor cur = wz_cursor(wz_slice_sub(index, block * 8 + 4, 4));
            size_t pos = wz_cursor_get_u32(&cur);
            size_t end = log.len;
            bool holds = false;
            struct wz_batch_info info;

            if ((block + 1) * 8 < index.len) {
                cur = wz_cursor(wz_slice_sub(index, (block + 1) * 8 + 4, 4));
                end = wz_cursor_get_u32(&cur);
            }
            for (; pos < end; pos += info.len) {
                struct wz_record_iter it;
                struct wz_record record;

                assert_int_equal(wz_batch_read(wz_slice_sub(log, pos, end - pos), &info), WZ_OK);
                wz_record_iter_init(&it, wz_slice_sub(log, pos, info.len), &info);
                while (wz_record_next(&it, &record) == WZ_OK)
                    holds = holds || wz_slice_eq(record.key, entry.name);
            }
            assert_int_equal(holds, listed < entry.count && next == block);
            if (holds && ++listed < entry.count)
                next = wz_topics_entry_next(&entry);
        }
        assert_int_equal(listed, entry.count);
    }
}

static void test_recovery_makes_the_same_indexes_that_writing_made(void **state)
{
    static const char *const names[] = {"00000000000000000000.index",
                                        "00000000000000000000.timeindex",
                                        "00000000000000000000.topics", FIRST_SEAL};
    WZ_AUTO(wz_buf_release) struct wz_buf log = {0};
    struct naive naive;
    struct testlog t;

    (void)state;
    testlog_init(&t);
    t.topics = 40;
    t.opt.segment_bytes = 200000;
    testlog_open(&t);
    for (int i = 0; i < 400; i++) {
        wz_log_set_time(t.log, 1000 + i / 3 * 5);
        testlog_append_many(&t, 1 + i % 13, (size_t)(i * 37 % 600));
        testlog_settle(&t);
    }
    assert_int_equal(testlog_close(&t), WZ_OK);
    log = load(&t, FIRST_LOG);
    naive = naive_indexes(wz_buf_slice(&log), 0);
    assert_true(naive.blocks > 20);
    for (int gone = -1; gone < 4; gone++) {
        if (gone >= 0)
            assert_int_equal(wz_fs_remove(testlog_path(&t, names[gone])), WZ_OK);
        testlog_open(&t);
        assert_int_equal(t.recovery.rebuilt_indexes, gone >= 0 && gone < 3);
        assert_int_equal(testlog_close(&t), WZ_OK);
        for (int i = 0; i < 3; i++) {
            WZ_AUTO(wz_buf_release) struct wz_buf file = load(&t, names[i]);

            if (i < 2) {
                assert_int_equal(file.len, naive.files[i].len);
                assert_memory_equal(file.ptr, naive.files[i].ptr, file.len);
            } else {
                check_topics(wz_buf_slice(&log), wz_buf_slice(&naive.files[0]),
                             wz_buf_slice(&file));
            }
        }
    }
    for (int i = 0; i < 3; i++)
        wz_buf_release(&naive.files[i]);
    testlog_release(&t);
}

static bool is_there(const struct testlog *t, const char *name)
{
    return access(testlog_path(t, name), F_OK) == 0;
}

// As a power cut leaves them that keeps the removal of the .log and not the others.
static void test_recovery_removes_what_is_left_of_a_segment_without_its_log(void **state)
{
    static const char *const orphans[] = {"00000000000000000000.index",
                                          "00000000000000000000.timeindex",
                                          "00000000000000000000.topics", FIRST_SEAL};
    static const char other[] = "00000000000000000000.txt";
    struct testlog t;
    int64_t records;

    (void)state;
    testlog_init(&t);
    t.opt.segment_bytes = 20000;
    testlog_open(&t);
    for (int i = 0; i < 20; i++) {
        testlog_append_many(&t, 10, 500);
        testlog_settle(&t);
    }
    assert_int_equal(testlog_close(&t), WZ_OK);
    assert_int_equal(wz_fs_remove(testlog_path(&t, FIRST_LOG)), WZ_OK);
    store(&t, other, WZ_SLICE_LIT("x"));
    t.opt.read_only = true;
    testlog_open(&t);
    records = testlog_count(&t, NULL);
    assert_int_equal(testlog_close(&t), WZ_OK);
    assert_true(records > 0 && records < 200);
    for (size_t i = 0; i < 4; i++)
        assert_true(is_there(&t, orphans[i]));
    t.opt.read_only = false;
    for (int opened = 0; opened < 2; opened++) {
        testlog_open(&t);
        assert_int_equal(t.recovery.orphans, opened == 0);
        assert_int_equal(t.recovery.rebuilt_indexes, 0);
        assert_int_equal(testlog_count(&t, NULL), records);
        assert_int_equal(testlog_close(&t), WZ_OK);
        for (size_t i = 0; i < 4; i++)
            assert_false(is_there(&t, orphans[i]));
    }
    assert_true(is_there(&t, other));
    testlog_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovery_cuts_a_tail_torn_at_any_byte),
        cmocka_unit_test(test_recovery_keeps_what_stands_behind_a_damaged_batch),
        cmocka_unit_test(test_recovery_never_reuses_offsets_whatever_became_of_the_meta_file),
        cmocka_unit_test(test_recovery_goes_far_ahead_without_the_meta_file),
        cmocka_unit_test(test_recovery_prefers_the_later_segment),
        cmocka_unit_test(test_recovery_removes_unfinished_files_and_no_others),
        cmocka_unit_test(test_recovery_removes_what_is_left_of_a_segment_without_its_log),
        cmocka_unit_test(test_recovery_makes_the_same_indexes_that_writing_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
