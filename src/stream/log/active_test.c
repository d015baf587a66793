// SPDX-License-Identifier: Apache-2.0
#include "stream/log/active.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"

// A batch of one record is as long as this; so many go into a segment.
#define BATCH_BYTES 512
#define BATCHES_MAX 3

// An active segment by itself.
struct rig {
    char dir[32];
    struct wz_shelf shelf;
    struct wz_active active;
    uint8_t bytes[BATCH_BYTES];
    struct wz_batch_builder batch; // the last one
};

static void start(struct rig *rig)
{
    struct wz_active_options options = {
        .dir = rig->dir,
        .shelf = &rig->shelf,
        .segment_bytes = BATCHES_MAX * BATCH_BYTES,
        .ahead_bytes = 64 * 1024,
    };

    *rig = (struct rig){.dir = "active-test-XXXXXX"};
    assert_non_null(mkdtemp(rig->dir));
    wz_shelf_init(&rig->shelf);
    wz_active_init(&rig->active, &options);
}

static int remove_name(const char *name, void *arg)
{
    const struct rig *rig = arg;
    char path[300];

    (void)snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
    return wz_fs_remove(path);
}

static void stop(struct rig *rig)
{
    wz_active_release(&rig->active);
    wz_shelf_release(&rig->shelf);
    assert_int_equal(wz_fs_walk(rig->dir, remove_name, rig), WZ_OK);
    assert_int_equal(rmdir(rig->dir), 0);
}

// Makes the batch of the record OFFSET, appended at OFFSET ms.
static const struct wz_batch_builder *make_batch(struct rig *rig, int64_t offset)
{
    static const char value[BATCH_BYTES] = {0};
    struct wz_record_parts parts = {
        .key = WZ_SLICE_LIT("topic"), .value = {wz_slice(value, 300)}, .value_count = 1};

    wz_batch_begin(&rig->batch, rig->bytes, sizeof(rig->bytes), offset);
    parts.value[0].len += sizeof(rig->bytes) - rig->batch.len - wz_record_len(&parts, 0);
    assert_true(wz_batch_fits(&rig->batch, wz_record_len(&parts, 0)));
    wz_batch_add(&rig->batch, &parts, wz_record_len(&parts, 0));
    wz_batch_finish(&rig->batch, offset);
    wz_batch_seal(rig->bytes, rig->batch.len);
    assert_int_equal(rig->batch.len, BATCH_BYTES);
    return &rig->batch;
}

// Writes and shows it.
static void write_one(struct rig *rig, int64_t offset)
{
    const struct wz_batch_builder *batch = make_batch(rig, offset);
    struct iovec piece = {.iov_base = rig->bytes, .iov_len = batch->len};

    assert_int_equal(wz_active_ready(&rig->active, batch), WZ_OK);
    assert_int_equal(wz_active_write(&rig->active, &piece, 1, (int64_t)batch->len), WZ_OK);
    wz_active_publish(&rig->active, wz_slice(rig->bytes, batch->len));
}

// Makes all that was written durable.
static void settle(struct rig *rig, int64_t last_ms)
{
    assert_int_equal(wz_active_sync(&rig->active), WZ_OK);
    assert_int_equal(wz_active_settle(&rig->active), last_ms);
}

static struct wz_log_info info_of(struct rig *rig)
{
    struct wz_log_info info = {0};

    wz_shelf_info(&rig->shelf, &info);
    return info;
}

// The length of a segment's file on the disk; -1: there is none.
static int64_t file_len(const struct rig *rig, int64_t base_offset)
{
    char path[WZ_SEGMENT_PATH_MAX];
    struct stat file;

    wz_segment_path(rig->dir, base_offset, WZ_SEGMENT_LOG, path);
    return stat(path, &file) == 0 ? (int64_t)file.st_size : -1;
}

static void test_active_leaves_a_full_segment_and_begins_another(void **state)
{
    struct rig rig;

    (void)state;
    start(&rig);
    for (int64_t offset = 0; offset < BATCHES_MAX; offset++) {
        assert_false(wz_active_is_full(&rig.active, 0, make_batch(&rig, offset)));
        write_one(&rig, offset);
    }
    settle(&rig, BATCHES_MAX - 1);
    assert_true(wz_active_is_full(&rig.active, 0, make_batch(&rig, BATCHES_MAX)));
    write_one(&rig, BATCHES_MAX);
    settle(&rig, BATCHES_MAX);
    assert_int_equal(info_of(&rig).segment_count, 2);
    assert_int_equal(file_len(&rig, 0), BATCHES_MAX * BATCH_BYTES); // what was taken ahead is back
    assert_true(file_len(&rig, BATCHES_MAX) >= BATCH_BYTES);
    stop(&rig);
}

static void test_active_counts_what_is_about_to_be_written(void **state)
{
    struct rig rig;
    const struct wz_batch_builder *batch;

    (void)state;
    start(&rig);
    assert_false(wz_active_is_full(&rig.active, 0, make_batch(&rig, 0))); // there is none
    write_one(&rig, 0);
    batch = make_batch(&rig, 1);
    assert_false(wz_active_is_full(&rig.active, (BATCHES_MAX - 2) * BATCH_BYTES, batch));
    assert_true(wz_active_is_full(&rig.active, (BATCHES_MAX - 2) * BATCH_BYTES + 1, batch));
    stop(&rig);
}

static void test_active_takes_back_what_is_not_settled_when_poisoned(void **state)
{
    struct rig rig;

    (void)state;
    start(&rig);
    write_one(&rig, 0);
    settle(&rig, 0);
    write_one(&rig, 1);
    assert_int_equal(info_of(&rig).size_bytes, 2 * BATCH_BYTES);
    wz_active_poison(&rig.active);
    assert_int_equal(info_of(&rig).size_bytes, BATCH_BYTES);
    assert_int_equal(file_len(&rig, 0), BATCH_BYTES);
    write_one(&rig, 1); // goes into a fresh one
    settle(&rig, 1);
    assert_int_equal(info_of(&rig).segment_count, 2);
    assert_true(file_len(&rig, 1) >= BATCH_BYTES);
    stop(&rig);
}

static void test_active_drops_a_poisoned_segment_that_holds_nothing(void **state)
{
    struct rig rig;

    (void)state;
    start(&rig);
    write_one(&rig, 0);
    wz_active_poison(&rig.active);
    assert_int_equal(info_of(&rig).segment_count, 0);
    write_one(&rig, 0); // its file is there, and made anew
    settle(&rig, 0);
    assert_int_equal(info_of(&rig).segment_count, 1);
    assert_int_equal(info_of(&rig).size_bytes, BATCH_BYTES);
    stop(&rig);
}

// Reads the seal of a segment.
static struct wz_seal seal_of(const struct rig *rig, int64_t base_offset)
{
    struct wz_buf buf = {0};
    struct wz_seal seal;
    char path[WZ_SEGMENT_PATH_MAX];

    wz_segment_path(rig->dir, base_offset, WZ_SEGMENT_SEAL, path);
    assert_int_equal(wz_fs_load(path, WZ_SEAL_LEN, &buf), WZ_OK);
    assert_int_equal(wz_seal_decode(wz_buf_slice(&buf), &seal), WZ_OK);
    wz_buf_release(&buf);
    return seal;
}

static void test_active_saves_the_last_segment_at_the_end(void **state)
{
    struct rig rig;
    struct wz_index index = {0};
    struct wz_buf topics = {0};
    struct wz_seal seal;

    (void)state;
    start(&rig);
    write_one(&rig, 0);
    settle(&rig, 0);
    assert_int_equal(wz_active_finish(&rig.active), WZ_OK);
    assert_int_equal(file_len(&rig, 0), BATCH_BYTES);
    seal = seal_of(&rig, 0);
    assert_int_equal(seal.state, WZ_SEAL_CHECKPOINT);
    assert_int_equal(seal.log_len, BATCH_BYTES);
    assert_int_equal(wz_segment_load(rig.dir, &seal, &index, &topics), WZ_OK);
    wz_index_release(&index);
    wz_buf_release(&topics);
    stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_active_leaves_a_full_segment_and_begins_another),
        cmocka_unit_test(test_active_counts_what_is_about_to_be_written),
        cmocka_unit_test(test_active_takes_back_what_is_not_settled_when_poisoned),
        cmocka_unit_test(test_active_drops_a_poisoned_segment_that_holds_nothing),
        cmocka_unit_test(test_active_saves_the_last_segment_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
