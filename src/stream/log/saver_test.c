// SPDX-License-Identifier: Apache-2.0
// Segments with many topics, which are saved behind the writer's back. The linker puts the function
// below in front of that of base/fs.h, so that saving waits, or fails, when it is told to.
#include "stream/log/saver.h"

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

#define TOPICS 5000
#define SEGMENT_BYTES (1024 * 1024)
#define RECORDS 20000 // a good two segments
#define LOOK_US 20000

// What the disk is to do with .topics files that are finished on other threads than the test's.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool waits;
    int fails_left;
    int count; // of those that came
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static _Thread_local bool spared;

int __real_wz_fs_rename(const char *from, const char *to);
int __wrap_wz_fs_rename(const char *from, const char *to);
int __wrap_wz_fs_rename(const char *from, const char *to)
{
    bool fails = false;

    if (!spared && wz_slice_eq(wz_slice_str(to + strlen(to) - 7), WZ_SLICE_LIT(".topics"))) {
        assert_int_equal(pthread_mutex_lock(&disk.lock), 0);
        disk.count++;
        while (disk.waits)
            (void)pthread_cond_wait(&disk.changed, &disk.lock);
        fails = disk.fails_left > 0;
        disk.fails_left -= fails;
        assert_int_equal(pthread_mutex_unlock(&disk.lock), 0);
    }
    return fails ? WZ_ERR_IO : __real_wz_fs_rename(from, to);
}

static void disk_set(bool waits, int fails)
{
    assert_int_equal(pthread_mutex_lock(&disk.lock), 0);
    disk.waits = waits;
    disk.fails_left = fails;
    disk.count = 0;
    (void)pthread_cond_broadcast(&disk.changed);
    assert_int_equal(pthread_mutex_unlock(&disk.lock), 0);
}

// Lets those go that wait; returns how many have come.
static int disk_let_go(void)
{
    int count;

    assert_int_equal(pthread_mutex_lock(&disk.lock), 0);
    disk.waits = false;
    count = disk.count;
    (void)pthread_cond_broadcast(&disk.changed);
    assert_int_equal(pthread_mutex_unlock(&disk.lock), 0);
    return count;
}

static bool is_there(const char *dir, enum wz_segment_file file, int64_t base)
{
    char path[WZ_SEGMENT_PATH_MAX];

    wz_segment_path(dir, base, file, path);
    return access(path, F_OK) == 0;
}

static void load(const char *dir, enum wz_segment_file file, int64_t base, struct wz_buf *ret_buf)
{
    char path[WZ_SEGMENT_PATH_MAX];

    wz_segment_path(dir, base, file, path);
    assert_int_equal(wz_fs_load(path, SIZE_MAX / 4, ret_buf), WZ_OK);
}

// The log over it.

// How many records of the topic of offset 0 a reader finds.
static int count_topic(struct testlog *t)
{
    struct wz_reader_options options = {.pattern = WZ_SLICE_LIT("site.0.temp")};
    struct wz_reader *reader;
    struct wz_record record;
    int count = 0;
    int r;

    assert_int_equal(wz_reader_open(t->log, &options, &reader), WZ_OK);
    while ((r = wz_reader_next(reader, &record)) == WZ_OK) {
        assert_int_equal(record.offset, (int64_t)count * TOPICS);
        count++;
    }
    assert_int_equal(r, WZ_END);
    wz_reader_close(reader);
    return count;
}

static void check_records(struct testlog *t)
{
    assert_int_equal(testlog_count(t, NULL), RECORDS);
    assert_int_equal(count_topic(t), RECORDS / TOPICS);
}

// Fills two segments and begins a third, while the first cannot be saved.
static void start(struct testlog *t)
{
    disk_set(true, 0);
    testlog_init(t);
    t->topics = TOPICS;
    t->opt.segment_bytes = SEGMENT_BYTES;
    testlog_open(t);
    testlog_append_many(t, RECORDS, 100);
    testlog_settle(t);
}

static void test_saver_lets_records_become_durable_meanwhile(void **state)
{
    struct wz_log_info info;
    struct testlog t;

    (void)state;
    start(&t); // which would not come back else
    wz_log_info(t.log, &info);
    assert_int_equal(info.segment_count, 3);
    assert_false(is_there(t.dir, WZ_SEGMENT_SEAL, 0));
    check_records(&t);
    assert_int_equal(disk_let_go(), 1); // one after the other
    check_records(&t);
    assert_int_equal(testlog_close(&t), WZ_OK);
    assert_true(is_there(t.dir, WZ_SEGMENT_SEAL, 0));
    testlog_open(&t);
    assert_true(t.recovery.clean);
    assert_int_equal(t.recovery.rebuilt_indexes, 0);
    check_records(&t);
    assert_int_equal(testlog_close(&t), WZ_OK);
    testlog_release(&t);
}

static void test_saver_loses_nothing_when_the_process_dies_meanwhile(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf made = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf rebuilt = {0};
    struct testlog copy;
    struct testlog t;

    (void)state;
    start(&t);
    testlog_copy(&t, &copy);
    (void)disk_let_go();
    assert_int_equal(testlog_close(&t), WZ_OK);
    assert_false(is_there(copy.dir, WZ_SEGMENT_TOPICS, 0));
    testlog_open(&copy);
    assert_false(copy.recovery.clean);
    assert_int_equal(copy.recovery.damaged_batches, 0);
    assert_int_equal(copy.recovery.cut_bytes, 0);
    check_records(&copy);
    load(t.dir, WZ_SEGMENT_TOPICS, 0, &made);
    load(copy.dir, WZ_SEGMENT_TOPICS, 0, &rebuilt);
    assert_int_equal(made.len, rebuilt.len);
    assert_memory_equal(made.ptr, rebuilt.ptr, made.len);
    assert_int_equal(testlog_close(&copy), WZ_OK);
    testlog_release(&copy);
    testlog_release(&t);
}

// A saver alone.

struct world {
    char dir[64];
    struct wz_shelf shelf;
    struct wz_saver *saver;
};

// Adds a batch with a record of each topic from FIRST on to SEG, which is on the shelf.
static void publish(struct world *world, struct wz_segment *seg, int first, int count)
{
    static uint8_t space[WZ_BATCH_MAX_BYTES];
    struct wz_batch_builder batch;
    struct wz_batch_info info;
    char topic[32];

    wz_batch_begin(&batch, space, sizeof(space),
                   seg->facts.batch_count > 0 ? seg->facts.last_offset + 1
                                              : seg->facts.base_offset);
    for (int i = 0; i < count; i++) {
        struct wz_record_parts parts;

        (void)snprintf(topic, sizeof(topic), "t.%d", (int)((int64_t)(first + i) * 7919 % 1000003));
        parts = (struct wz_record_parts){
            .key = wz_slice_str(topic), .value = {WZ_SLICE_LIT("x")}, .value_count = 1};
        wz_batch_add(&batch, &parts, wz_record_len(&parts, batch.count));
    }
    wz_batch_finish(&batch, 1);
    wz_batch_seal(space, batch.len);
    assert_int_equal(wz_batch_read(wz_slice(space, batch.len), &info), WZ_OK);
    wz_shelf_publish(&world->shelf, seg, wz_slice(space, batch.len), &info);
}

// Puts a segment of COUNT topics on the shelf.
static struct wz_segment *add(struct world *world, int64_t base_offset, int count)
{
    struct wz_segment *seg = wz_segment_new(base_offset);

    wz_shelf_add(&world->shelf, seg);
    for (int i = 0; i < count; i += 100)
        publish(world, seg, i, 100);
    return seg;
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    (void)snprintf(world->dir, sizeof(world->dir), "/tmp/wyze-saver-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    wz_shelf_init(&world->shelf);
    world->saver = wz_saver_new(world->dir, &world->shelf);
    disk_set(false, 0);
    *state = world;
    return 0;
}

static int remove_name(const char *name, void *arg)
{
    const struct world *world = arg;
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", world->dir, name);
    return wz_fs_remove(path);
}

static int tear_down(void **state)
{
    struct world *world = *state;

    (void)disk_let_go();
    wz_saver_free(world->saver);
    wz_shelf_release(&world->shelf);
    assert_int_equal(wz_fs_walk(world->dir, remove_name, world), WZ_OK);
    assert_int_equal(rmdir(world->dir), 0);
    wz_free(world);
    return 0;
}

static bool is_live(struct world *world, int64_t offset)
{
    struct wz_place place;

    assert_int_equal(wz_shelf_find(&world->shelf, offset, &place), WZ_OK);
    return place.live;
}

// Whether the files of the segment BASE hold what TOPICS did, and its seal says so.
static void check_files(struct world *world, int64_t base, const struct wz_buf *topics,
                        const struct wz_seal *facts, enum wz_seal_state state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf bytes = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf saved = {0};
    struct wz_index index;
    struct wz_seal seal;

    load(world->dir, WZ_SEGMENT_SEAL, base, &bytes);
    assert_int_equal(wz_seal_decode(wz_buf_slice(&bytes), &seal), WZ_OK);
    assert_int_equal(seal.state, state);
    assert_int_equal(seal.log_len, facts->log_len);
    assert_int_equal(seal.last_offset, facts->last_offset);
    assert_int_equal(wz_segment_load(world->dir, &seal, &index, &saved), WZ_OK);
    assert_int_equal(saved.len, topics->len);
    assert_memory_equal(saved.ptr, topics->ptr, saved.len);
    wz_index_release(&index);
}

static void test_saver_seals_a_segment_once(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topics = {0};
    struct world *world = *state;
    struct wz_segment *seg = add(world, 0, TOPICS);
    struct wz_seal facts = seg->facts;

    wz_topics_encode(seg->topics, seg->index.count, &topics);
    disk_set(true, 0);
    wz_saver_seal(world->saver, seg);
    wz_saver_seal(world->saver, seg);
    assert_true(is_live(world, 0));
    (void)disk_let_go();
    wz_saver_wait(world->saver);
    wz_saver_seal(world->saver, seg);
    wz_saver_wait(world->saver);
    assert_int_equal(disk_let_go(), 1);
    assert_false(is_live(world, 0));
    check_files(world, 0, &topics, &facts, WZ_SEAL_SEALED);
}

static void test_saver_saves_few_topics_at_once(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topics = {0};
    struct world *world = *state;
    struct wz_segment *seg = add(world, 0, 200);
    struct wz_seal facts = seg->facts;

    spared = true; // no other thread has to do with it
    wz_topics_encode(seg->topics, seg->index.count, &topics);
    wz_saver_checkpoint(world->saver, seg);
    check_files(world, 0, &topics, &facts, WZ_SEAL_CHECKPOINT);
    wz_saver_seal(world->saver, seg);
    check_files(world, 0, &topics, &facts, WZ_SEAL_SEALED);
    assert_false(is_live(world, 0));
    assert_int_equal(disk_let_go(), 0);
    spared = false;
}

static void test_saver_takes_a_checkpoint_of_what_grows(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topics = {0};
    struct world *world = *state;
    struct wz_segment *seg = add(world, 0, 100 * TOPICS);
    struct wz_seal facts = seg->facts;

    wz_topics_encode(seg->topics, seg->index.count, &topics);
    disk_set(true, 0);
    wz_saver_checkpoint(world->saver, seg);
    for (int i = 0; i < 100; i++) // old topics, and some that are new
        publish(world, seg, 100 * TOPICS - 5000 + 100 * i, 100);
    (void)disk_let_go();
    wz_saver_wait(world->saver);
    assert_true(is_live(world, 0));
    check_files(world, 0, &topics, &facts, WZ_SEAL_CHECKPOINT);
    topics.len = 0;
    facts = seg->facts;
    wz_topics_encode(seg->topics, seg->index.count, &topics);
    wz_saver_seal(world->saver, seg);
    wz_saver_wait(world->saver);
    check_files(world, 0, &topics, &facts, WZ_SEAL_SEALED);
}

static void test_saver_takes_a_segment_again_that_could_not_be_saved(void **state)
{
    struct world *world = *state;
    struct wz_segment *seg = add(world, 0, TOPICS);
    int64_t failures = wz_metric_get(WZ_METRIC_STREAM_FAILURES);

    disk_set(false, 1);
    wz_saver_seal(world->saver, seg);
    wz_saver_wait(world->saver);
    assert_true(is_live(world, 0));
    assert_int_equal(wz_metric_get(WZ_METRIC_STREAM_FAILURES), failures + 1);
    wz_saver_seal(world->saver, seg);
    wz_saver_wait(world->saver);
    assert_false(is_live(world, 0));
}

struct late {
    struct world *world;
    struct wz_segment *seg;
    _Atomic bool posted;
};

static void *post_late(void *arg)
{
    struct late *late = arg;

    wz_saver_seal(late->world->saver, late->seg);
    late->posted = true;
    return NULL;
}

static void test_saver_makes_who_has_too_many_wait(void **state)
{
    struct world *world = *state;
    struct late late = {.world = world};
    pthread_t thread;

    disk_set(true, 0);
    for (int64_t i = 0; i < 4; i++)
        wz_saver_seal(world->saver, add(world, i * TOPICS, TOPICS));
    late.seg = add(world, 4 * (int64_t)TOPICS, TOPICS);
    assert_int_equal(pthread_create(&thread, NULL, post_late, &late), 0);
    (void)usleep(LOOK_US); // time enough to be wrong in
    assert_false(late.posted);
    (void)disk_let_go();
    assert_int_equal(pthread_join(thread, NULL), 0);
    wz_saver_wait(world->saver);
    for (int64_t i = 0; i < 5; i++)
        assert_false(is_live(world, i * TOPICS));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_saver_lets_records_become_durable_meanwhile),
        cmocka_unit_test(test_saver_loses_nothing_when_the_process_dies_meanwhile),
        TEST(test_saver_seals_a_segment_once),
        TEST(test_saver_saves_few_topics_at_once),
        TEST(test_saver_takes_a_checkpoint_of_what_grows),
        TEST(test_saver_takes_a_segment_again_that_could_not_be_saved),
        TEST(test_saver_makes_who_has_too_many_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
