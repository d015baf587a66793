// SPDX-License-Identifier: Apache-2.0
#include "stream/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "stream/testjournal_test.h"

#define FIRST_LOG "00000000000000000000.log"

static uint64_t random_state;

static uint32_t roll(uint32_t below)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((random_state >> 33) % below);
}

static int seed(void **state)
{
    const char *given = getenv("WYZE_TEST_SEED");

    (void)state;
    random_state = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("journal: WYZE_TEST_SEED=%llu\n", (unsigned long long)random_state);
    return 0;
}

static struct wz_journal_info info_of(struct testjournal *t)
{
    struct wz_journal_info info;

    wz_journal_info(t->journal, &info);
    return info;
}

// Opens a journal that holds a few records already.
static void start(struct testjournal *t)
{
    testjournal_init(t);
    testjournal_open(t);
    for (uint32_t key = 0; key < 10; key++)
        testjournal_put_one(t, key, key * 10);
    testjournal_run_until(t, testjournal_is_durable);
}

static void finish(struct testjournal *t)
{
    if (t->journal != NULL)
        testjournal_close(t);
    testjournal_release(t);
}

// Opens a copy of the folder as it is, and what an orderly stop leaves; both must hold what T does.
static void check_opened_again(struct testjournal *t)
{
    struct testjournal crashed;

    testjournal_run_until(t, testjournal_is_durable);
    testjournal_copy(t, &crashed);
    testjournal_open(&crashed);
    assert_false(crashed.recovery.clean);
    assert_memory_equal(crashed.values, t->values, sizeof(t->values));
    assert_int_equal(info_of(&crashed).live_bytes, testjournal_live_bytes(t));
    finish(&crashed);
    testjournal_close(t);
    testjournal_copy(t, &crashed);
    testjournal_open(&crashed);
    assert_true(crashed.recovery.clean);
    assert_memory_equal(crashed.values, t->values, sizeof(t->values));
    assert_true(testjournal_is_as_then(t, &crashed));
    finish(&crashed);
    testjournal_open(t);
}

static void test_journal_gives_back_the_newest_of_each_key(void **state)
{
    struct testjournal t;

    (void)state;
    start(&t);
    testjournal_begin(&t);
    testjournal_put(&t, 3, 1000); // another value
    testjournal_remove(&t, 4);
    testjournal_put(&t, 5, 7);
    testjournal_put(&t, 5, 8); // twice in a group
    testjournal_put(&t, 11, 9);
    testjournal_remove(&t, 11);
    testjournal_remove(&t, 6);
    testjournal_put(&t, 6, 6);
    testjournal_end(&t);
    check_opened_again(&t);
    testjournal_put_one(&t, 4, 44); // and again, with places that were read back
    testjournal_begin(&t);
    testjournal_remove(&t, 3);
    testjournal_end(&t);
    check_opened_again(&t);
    finish(&t);
}

static void test_journal_says_where_a_record_stands(void **state)
{
    struct testjournal t;

    (void)state;
    start(&t);
    testjournal_begin(&t);
    testjournal_put(&t, 20, 1);
    testjournal_put(&t, 21, 1);
    testjournal_end(&t);
    assert_int_equal(t.places[9].offset, 9);
    assert_int_equal(t.places[20].offset, 10);
    assert_int_equal(t.places[21].offset, 11);
    testjournal_close(&t);
    testjournal_open(&t);
    assert_int_equal(t.places[9].offset, 9);
    assert_int_equal(t.places[21].offset, 11);
    finish(&t);
}

// Writes a group behind what is there, tears the file's tail in it at each byte, and looks for the
// group.
static void tear(struct testjournal *t)
{
    WZ_AUTO(wz_buf_release) struct wz_buf log = {0};
    struct wz_batch_info batch = {0};
    size_t first = 0;
    char path[512];

    testjournal_run_until(t, testjournal_is_durable);
    (void)snprintf(path, sizeof(path), "%s/" FIRST_LOG, t->dir);
    assert_int_equal(wz_fs_load(path, 1 << 30, &log), WZ_OK);
    for (size_t pos = 0; wz_batch_read(wz_slice(log.ptr + pos, log.len - pos), &batch) == WZ_OK;
         pos += batch.len)
        first = pos;
    assert_int_equal(wz_batch_read(wz_slice(log.ptr + first, log.len - first), &batch), WZ_OK);
    for (size_t len = first; len < first + batch.len; len++) {
        struct testjournal torn;
        int fd = -1;

        testjournal_copy(t, &torn);
        (void)snprintf(path, sizeof(path), "%s/" FIRST_LOG, torn.dir);
        assert_int_equal(wz_fs_open(path, WZ_FS_WRITE, &fd), WZ_OK);
        assert_int_equal(wz_fs_truncate(fd, (int64_t)len), WZ_OK);
        wz_fs_close(fd);
        testjournal_open(&torn);
        assert_int_equal(torn.replayed_offset, batch.base_offset - 1);
        assert_true(testjournal_is_as_then(t, &torn));
        finish(&torn);
    }
}

static void test_journal_group_is_whole_or_not_there(void **state)
{
    struct testjournal t;

    (void)state;
    start(&t);
    testjournal_begin(&t);
    for (uint32_t key = 5; key < 12; key++)
        testjournal_put(&t, key, 5);
    testjournal_remove(&t, 2);
    testjournal_put(&t, 4, 30);
    testjournal_end(&t);
    tear(&t);
    check_opened_again(&t);
    finish(&t);
}

static void test_journal_groups_nest(void **state)
{
    struct wz_log *log;
    struct testjournal t;

    (void)state;
    start(&t);
    log = wz_journal_log(t.journal);
    testjournal_begin(&t);
    testjournal_put(&t, 1, 5);
    testjournal_begin(&t);
    testjournal_put(&t, 2, 5);
    testjournal_begin(&t);
    testjournal_end(&t);
    testjournal_end(&t);
    assert_int_equal(wz_log_next_offset(log), 10); // nothing is appended yet
    testjournal_remove(&t, 3);
    testjournal_end(&t);
    assert_int_equal(wz_log_next_offset(log), 13);
    tear(&t);
    check_opened_again(&t);
    finish(&t);
}

static void test_journal_group_without_records_is_none(void **state)
{
    struct testjournal t;
    int64_t offset = 77;

    (void)state;
    start(&t);
    wz_journal_begin(t.journal);
    wz_journal_end(t.journal, &offset);
    assert_int_equal(offset, 77);
    assert_int_equal(wz_log_next_offset(wz_journal_log(t.journal)), 10);
    finish(&t);
}

static void test_journal_takes_a_group_of_any_size(void **state)
{
    static const struct {
        int count;
        uint32_t len;
    } cases[] = {
        {WZ_JOURNAL_GROUP_RECORDS, 0},
        {WZ_JOURNAL_GROUP_RECORDS + 1, 0},
        {200000, 10},
        {5000, 700},
        {1000, 16000},
        {9, 2000000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct testjournal t;

        start(&t);
        testjournal_begin(&t);
        for (int n = 0; n < cases[i].count; n++) {
            if (n % 10 == 7)
                testjournal_remove(&t, (uint32_t)(n - 1) % TESTJOURNAL_KEYS);
            else
                testjournal_put(&t, (uint32_t)n % TESTJOURNAL_KEYS, cases[i].len);
        }
        testjournal_end(&t);
        check_opened_again(&t);
        finish(&t);
    }
}

static void test_journal_takes_a_record_as_large_as_a_group(void **state)
{
    // The letter, the key, the version and the stamp are 10 bytes, what is added for it 16.
    uint32_t len = (uint32_t)WZ_JOURNAL_GROUP_BYTES - 26;
    struct testjournal t;

    (void)state;
    start(&t);
    testjournal_begin(&t);
    testjournal_put(&t, 1, 10);
    testjournal_put(&t, 0, len);
    testjournal_put(&t, 7, len); // its key has the same length
    testjournal_end(&t);
    check_opened_again(&t);
    finish(&t);
}

static void test_journal_counts_the_bytes_that_live(void **state)
{
    struct testjournal t;

    (void)state;
    testjournal_init(&t);
    testjournal_open(&t);
    assert_int_equal(info_of(&t).live_bytes, 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 200; i++) {
            testjournal_begin(&t);
            for (uint32_t n = roll(6); n > 0; n--) {
                uint32_t key = roll(300);

                if (t.places[key].offset < 0 || roll(3) > 0)
                    testjournal_put(&t, key, roll(200));
                else
                    testjournal_remove(&t, key);
            }
            testjournal_end(&t);
        }
        assert_int_equal(info_of(&t).live_bytes, testjournal_live_bytes(&t));
        if (round % 5 == 4)
            check_opened_again(&t);
        assert_int_equal(info_of(&t).live_bytes, testjournal_live_bytes(&t));
    }
    for (uint32_t key = 0; key < 300; key++) { // others cover them
        wz_journal_drop(t.journal, &t.places[key]);
        assert_int_equal(t.places[key].offset, -1);
        wz_journal_drop(t.journal, &t.places[key]); // once is enough
        t.values[key].stamp = 0;
        assert_int_equal(info_of(&t).live_bytes, testjournal_live_bytes(&t));
    }
    assert_int_equal(info_of(&t).live_bytes, 0);
    finish(&t);
}

// A group of random changes to the first KEYS keys.
static void change(struct testjournal *t, uint32_t keys, uint32_t len)
{
    testjournal_begin(t);
    for (uint32_t n = 1 + roll(20); n > 0; n--) {
        uint32_t key = roll(keys);

        if (t->places[key].offset < 0 || roll(6) > 0)
            testjournal_put(t, key, roll(len));
        else
            testjournal_remove(t, key);
    }
    testjournal_end(t);
}

static bool is_mostly_alive(struct testjournal *t)
{
    struct wz_journal_info info = info_of(t);

    return info.size_bytes <= 3 * info.live_bytes + 4 * t->opt.segment_bytes;
}

static void test_journal_stays_small_and_whole_whatever_is_put(void **state)
{
    struct wz_journal_info info;
    struct testjournal t;
    int64_t compactions = 0;
    int64_t put_bytes = 0;

    (void)state;
    testjournal_init(&t);
    t.opt.segment_bytes = (int64_t)128 * 1024;
    t.opt.compact_bytes = (int64_t)256 * 1024;
    testjournal_open(&t);
    for (int i = 0; i < 6000; i++) {
        change(&t, 3000, 150);
        if (i % 10 == 0)
            testjournal_run_until(&t, testjournal_is_durable);
        testjournal_run_until(&t, is_mostly_alive); // at once, unless the disk is slow
        info = info_of(&t);
        assert_int_equal(info.live_bytes, testjournal_live_bytes(&t));
        if (i % 2000 == 1000) {
            compactions += info.compactions;
            check_opened_again(&t);
        }
    }
    for (size_t i = 0; i < t.op_count; i++)
        put_bytes += t.ops[i].value.len;
    info = info_of(&t);
    assert_true(compactions + info.compactions > 20);
    assert_true(info.size_bytes < put_bytes / 2);
    testjournal_run_until(&t, testjournal_is_idle);
    check_opened_again(&t);
    finish(&t);
}

static void test_journal_that_is_all_alive_is_not_compacted(void **state)
{
    struct testjournal t;

    (void)state;
    testjournal_init(&t);
    t.opt.segment_bytes = (int64_t)64 * 1024;
    t.opt.compact_bytes = (int64_t)64 * 1024;
    testjournal_open(&t);
    for (uint32_t key = 0; key < TESTJOURNAL_KEYS; key++) {
        testjournal_put_one(&t, key, 200);
        if (key % 100 == 0)
            testjournal_run_until(&t, testjournal_is_durable);
    }
    testjournal_run_until(&t, testjournal_is_durable);
    assert_true(testjournal_is_idle(&t));
    assert_int_equal(info_of(&t).compactions, 0);
    assert_true(info_of(&t).size_bytes > TESTJOURNAL_KEYS * 200);
    finish(&t);
}

static void test_journal_smaller_than_its_least_size_is_not_compacted(void **state)
{
    struct testjournal t;

    (void)state;
    testjournal_init(&t);
    t.opt.segment_bytes = (int64_t)64 * 1024;
    t.opt.compact_bytes = (int64_t)8 * 1024 * 1024;
    testjournal_open(&t);
    for (int i = 0; i < 20000; i++) {
        testjournal_put_one(&t, 1, 200);
        if (i % 100 == 0)
            testjournal_run_until(&t, testjournal_is_durable);
    }
    testjournal_run_until(&t, testjournal_is_durable);
    assert_int_equal(info_of(&t).compactions, 0);
    finish(&t);
}

static bool is_small(struct testjournal *t)
{
    return info_of(t).size_bytes <= 4 * t->opt.segment_bytes;
}

// The writer is behind what was put when its size is looked at, and nothing is put later.
static void test_journal_that_was_put_at_once_is_compacted_in_the_end(void **state)
{
    struct testjournal t;

    (void)state;
    testjournal_init(&t);
    t.opt.segment_bytes = (int64_t)64 * 1024;
    t.opt.compact_bytes = (int64_t)64 * 1024;
    t.opt.durability = WZ_DURABILITY_OS;
    testjournal_open(&t);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 5000; i++)
            testjournal_put_one(&t, 1, 200);
        testjournal_run_until(&t, is_small);
    }
    finish(&t);
}

// Room on the disk is short: what is dead goes, though it is less than half; what is alive is not
// copied without end.
static void test_journal_gives_back_what_is_dead_when_it_is_asked_to(void **state)
{
    struct wz_journal_info before;
    struct wz_journal_info after;
    struct testjournal t;

    (void)state;
    testjournal_init(&t);
    t.opt.segment_bytes = (int64_t)64 * 1024;
    t.opt.compact_bytes = (int64_t)8 * 1024 * 1024;
    testjournal_open(&t);
    for (uint32_t i = 0; i < 5000; i++) { // at the beginning 300 KiB that are put again
        testjournal_put_one(&t, i < 1500 ? i % 100 : i % TESTJOURNAL_KEYS, 200);
        if (i % 100 == 0)
            testjournal_run_until(&t, testjournal_is_durable);
    }
    testjournal_run_until(&t, testjournal_is_durable);
    before = info_of(&t);
    assert_true(before.size_bytes > before.live_bytes + 4 * t.opt.segment_bytes);
    assert_true(before.size_bytes < 2 * before.live_bytes);
    assert_int_equal(before.compactions, 0);
    // The writer removes a segment when it comes to it: it is asked until it has.
    for (int i = 0, small = 0; small < 100; i++) {
        assert_in_range(i, 0, 10000);
        wz_journal_give_back(t.journal);
        testjournal_run_until(&t, testjournal_has_looked);
        testjournal_run_until(&t, testjournal_is_idle);
        after = info_of(&t);
        small += after.size_bytes < before.size_bytes - 2 * t.opt.segment_bytes;
    }
    assert_true(after.compactions > 0 && after.compactions < 50);
    assert_int_equal(after.live_bytes, before.live_bytes);
    check_opened_again(&t);
    finish(&t);
}

static int64_t damaged_told;

static void on_damaged(void *arg, int64_t batches)
{
    (void)arg;
    damaged_told += batches;
}

// Changes a byte of the file NAME in the journal's folder.
static void damage(const struct testjournal *t, const char *name, int64_t pos)
{
    uint8_t byte = 0xff;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    char path[160];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", t->dir, name);
    assert_int_equal(wz_fs_open(path, WZ_FS_WRITE, &fd), WZ_OK);
    assert_int_equal(wz_fs_write(fd, &piece, 1, pos), WZ_OK);
    wz_fs_close(fd);
}

static void test_journal_tells_of_damage_before_its_segment_goes(void **state)
{
    int64_t counted = wz_metric_get(WZ_METRIC_STREAM_DAMAGED);
    struct testjournal t;

    (void)state;
    damaged_told = 0;
    testjournal_init(&t);
    t.opt.segment_bytes = (int64_t)64 * 1024;
    t.opt.on_damaged = on_damaged;
    testjournal_open(&t);
    for (int i = 0; i < 100; i++) { // more than a segment: nothing is written to the first any more
        testjournal_put_one(&t, 7, 1000);
        testjournal_run_until(&t, testjournal_is_durable);
    }
    damage(&t, FIRST_LOG, 500);
    for (int i = 0; info_of(&t).compactions == 0; i++) {
        assert_int_equal(damaged_told, 0);
        testjournal_put_one(&t, 8, 1000);
        testjournal_run_until(&t, testjournal_is_durable);
        if (testjournal_is_compacting(&t))
            testjournal_run_until(&t, testjournal_is_idle);
    }
    assert_int_equal(damaged_told, 1);
    assert_int_equal(wz_metric_get(WZ_METRIC_STREAM_DAMAGED), counted + 1);
    finish(&t);
}

static void test_journal_shows_what_is_alive_in_the_metrics(void **state)
{
    struct testjournal t;

    (void)state;
    start(&t);
    testjournal_turn(&t);
    assert_int_equal(wz_metric_get(WZ_METRIC_JOURNAL_LIVE), testjournal_live_bytes(&t));
    testjournal_close(&t);
    assert_int_equal(wz_metric_get(WZ_METRIC_JOURNAL_LIVE), 0);
    finish(&t);
}

// Puts until a compaction is running.
static void start_compaction(struct testjournal *t)
{
    testjournal_init(t);
    t->opt.segment_bytes = (int64_t)1024 * 1024;
    t->opt.compact_bytes = (int64_t)1024 * 1024;
    testjournal_open(t);
    while (!testjournal_is_compacting(t)) {
        change(t, 2000, 1000);
        testjournal_run_until(t, testjournal_is_ready);
        testjournal_turn(t);
    }
}

static void test_journal_stops_while_it_compacts(void **state)
{
    int running = 0;

    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct testjournal t;

        start_compaction(&t);
        for (int i = 0; i < turns; i++) {
            if (roll(2))
                change(&t, 2000, 1000);
            testjournal_turn(&t);
        }
        running += testjournal_is_compacting(&t);
        testjournal_close(&t);
        testjournal_open(&t);
        assert_true(t.recovery.clean);
        assert_true(testjournal_is_as_then(&t, &t));
        testjournal_put_one(&t, 0, 10); // and goes on where it was
        testjournal_run_until(&t, testjournal_is_idle);
        check_opened_again(&t);
        finish(&t);
    }
    assert_true(running > 0);
}

static void test_journal_begins_no_compaction_once_it_is_stopped(void **state)
{
    struct testjournal t;

    (void)state;
    start_compaction(&t);
    testjournal_run_until(&t, testjournal_is_idle);
    wz_journal_stop(t.journal);
    for (int i = 0; i < 500; i++) {
        change(&t, 2000, 1000);
        assert_false(testjournal_is_compacting(&t));
        testjournal_run_until(&t, testjournal_is_ready);
    }
    check_opened_again(&t);
    finish(&t);
}

static void test_journal_is_not_ready_while_its_backlog_is_full(void **state)
{
    struct testjournal t;
    int told;

    (void)state;
    testjournal_init(&t);
    t.opt.backlog_bytes = (size_t)32 * 1024 * 1024;
    testjournal_open(&t);
    for (uint32_t key = 0; testjournal_is_ready(&t); key++) {
        assert_true(key < 64);
        testjournal_put_one(&t, key, 1024 * 1024);
    }
    told = t.told_count;
    testjournal_run_until(&t, testjournal_is_ready);
    assert_true(t.told_count > told);
    testjournal_put_one(&t, 100, 1024 * 1024);
    check_opened_again(&t);
    finish(&t);
}

static void test_journal_with_a_small_backlog_becomes_ready(void **state)
{
    struct testjournal t;

    (void)state;
    testjournal_init(&t);
    t.opt.backlog_bytes = 4096;
    testjournal_open(&t);
    for (uint32_t key = 0; key < 100; key++) {
        testjournal_run_until(&t, testjournal_is_ready);
        testjournal_put_one(&t, key, 1000);
    }
    check_opened_again(&t);
    finish(&t);
}

// A record as no journal of this version writes it.
struct foreign {
    const char *key;
    size_t key_len; // -1: none
    const char *value;
    size_t value_len; // -1: none
    int r;
    int code;
};

#define NONE SIZE_MAX

// The bytes of the first segment's batches.
static struct wz_buf records_of(const struct testjournal *t)
{
    struct wz_buf log = {0};
    struct wz_batch_info batch;
    size_t pos = 0;
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/" FIRST_LOG, t->dir);
    assert_int_equal(wz_fs_load(path, 1 << 30, &log), WZ_OK);
    while (wz_batch_read(wz_slice(log.ptr + pos, log.len - pos), &batch) == WZ_OK)
        pos += batch.len;
    log.len = pos;
    return log;
}

static void check_refused(const struct foreign *foreign)
{
    WZ_AUTO(wz_buf_release) struct wz_buf before = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf after = {0};
    struct wz_record_parts parts = {.value = {wz_slice(foreign->value, foreign->value_len)},
                                    .value_count = foreign->value_len != NONE};
    struct testjournal t;
    int64_t offset;

    if (foreign->key_len != NONE)
        parts.key = wz_slice(foreign->key, foreign->key_len);
    start(&t);
    assert_int_equal(wz_log_append(wz_journal_log(t.journal), &parts, &offset), WZ_OK);
    testjournal_put_one(&t, 2, 20);
    testjournal_close(&t);
    before = records_of(&t);
    assert_int_equal(testjournal_try_open(&t), foreign->r);
    assert_int_equal(t.problem.err, foreign->r);
    assert_int_equal(t.problem.code, foreign->code);
    assert_non_null(strstr(t.problem.what, "offset 10."));
    assert_true(strlen(t.problem.fix) > 0);
    testjournal_close(&t);
    after = records_of(&t);
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.ptr, before.ptr, after.len);
    finish(&t);
}

static void test_journal_refuses_what_it_does_not_know(void **state)
{
    static const struct foreign cases[] = {
        {"Zkey", 4, "\1x", 2, WZ_ERR_UNSUPPORTED, WZ_CODE_JOURNAL_NEWER},
        {"Zkey", 4, "", NONE, WZ_ERR_UNSUPPORTED, WZ_CODE_JOURNAL_NEWER},
        {"", 0, "\1x", 2, WZ_ERR_UNSUPPORTED, WZ_CODE_JOURNAL_NEWER},
        {"", NONE, "\1x", 2, WZ_ERR_UNSUPPORTED, WZ_CODE_JOURNAL_NEWER},
        {"R\0\0\0\0", 5, "\2abcd", 5, WZ_ERR_UNSUPPORTED, WZ_CODE_JOURNAL_NEWER},
        {"R\0\0\0\0", 5, "\0abcd", 5, WZ_ERR_UNSUPPORTED, WZ_CODE_JOURNAL_NEWER},
        {"R\0\0\0\0", 5, "", 0, WZ_ERR_CORRUPT, WZ_CODE_JOURNAL_RECORD},
        {"R\0\0\0\0", 5, "\1abc", 4, WZ_ERR_CORRUPT, WZ_CODE_JOURNAL_RECORD},
        {"R\xff", 2, "\1abcd", 5, WZ_ERR_CORRUPT, WZ_CODE_JOURNAL_RECORD},
        {"R", 1, "\1abcd", 5, WZ_ERR_CORRUPT, WZ_CODE_JOURNAL_RECORD},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_refused(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal_gives_back_the_newest_of_each_key),
        cmocka_unit_test(test_journal_says_where_a_record_stands),
        cmocka_unit_test(test_journal_group_is_whole_or_not_there),
        cmocka_unit_test(test_journal_groups_nest),
        cmocka_unit_test(test_journal_group_without_records_is_none),
        cmocka_unit_test(test_journal_takes_a_group_of_any_size),
        cmocka_unit_test(test_journal_takes_a_record_as_large_as_a_group),
        cmocka_unit_test(test_journal_counts_the_bytes_that_live),
        cmocka_unit_test(test_journal_stays_small_and_whole_whatever_is_put),
        cmocka_unit_test(test_journal_that_is_all_alive_is_not_compacted),
        cmocka_unit_test(test_journal_smaller_than_its_least_size_is_not_compacted),
        cmocka_unit_test(test_journal_that_was_put_at_once_is_compacted_in_the_end),
        cmocka_unit_test(test_journal_gives_back_what_is_dead_when_it_is_asked_to),
        cmocka_unit_test(test_journal_tells_of_damage_before_its_segment_goes),
        cmocka_unit_test(test_journal_shows_what_is_alive_in_the_metrics),
        cmocka_unit_test(test_journal_stops_while_it_compacts),
        cmocka_unit_test(test_journal_begins_no_compaction_once_it_is_stopped),
        cmocka_unit_test(test_journal_is_not_ready_while_its_backlog_is_full),
        cmocka_unit_test(test_journal_with_a_small_backlog_becomes_ready),
        cmocka_unit_test(test_journal_refuses_what_it_does_not_know),
    };

    return cmocka_run_group_tests(tests, seed, NULL);
}
