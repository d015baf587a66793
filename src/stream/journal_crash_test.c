// SPDX-License-Identifier: Apache-2.0
// Crashes and power cuts at every step of a journal's writer, compaction above all. The linker puts
// the functions below in front of those of base/fs.h: before the writer's thread does something to
// the disk, the folder may be copied as it is then, or as a power cut would leave it. Each copy
// must open to what the journal held after one of its groups, none that was durable missing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "stream/testjournal_test.h"

#define COPIES_MAX 60
#define FILES_MAX 4096
#define GHOSTS_MAX 16

// What the folder was at one moment.
struct copy {
    char dir[64];
    int64_t durable_end; // as told by then
    const char *step;
    bool power_cut;
};

// What the disk holds for certain of a file.
struct file {
    ino_t inode;
    int64_t durable_len;
};

// A file that was removed, which is not durable yet.
struct ghost {
    char name[64];
    struct wz_buf bytes;
};

// The writer's own while it runs, but for RUNNING.
static struct {
    struct testjournal *t;
    _Atomic bool running;
    bool eager;        // each removal is to be looked at
    _Atomic bool held; // a sync does not end
    struct copy copies[COPIES_MAX];
    int copy_count;
    int removing_count; // of the copies, taken while a segment was being removed
    struct file files[FILES_MAX];
    int file_count;
    struct ghost ghosts[GHOSTS_MAX];
    int ghost_count;
} disk;

static uint64_t test_random;
static uint64_t disk_random;

// Set on the test's thread, and while a copy is made: nothing is looked at then.
static _Thread_local bool spared;

static uint32_t roll(uint64_t *random, uint32_t below)
{
    *random = *random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((*random >> 33) % below);
}

static struct file *file_of(ino_t inode)
{
    for (int i = 0; i < disk.file_count; i++) {
        if (disk.files[i].inode == inode)
            return &disk.files[i];
    }
    WZ_ASSERT(disk.file_count < FILES_MAX);
    disk.files[disk.file_count] = (struct file){.inode = inode};
    return &disk.files[disk.file_count++];
}

// Takes from the copy of a file what was not synced: of a segment all or some of it; of its
// indexes, which are not synced, anything.
static int cut_file(const char *name, void *arg)
{
    const struct copy *copy = arg;
    size_t len = strlen(name);
    char path[512];
    struct stat st;
    int64_t keep;

    (void)snprintf(path, sizeof(path), "%s/%s", disk.t->dir, name);
    if (stat(path, &st) < 0)
        return WZ_OK; // a ghost: it was durable when it was removed
    keep = st.st_size;
    if (strcmp(name + len - 4, ".log") == 0) {
        int64_t durable = file_of(st.st_ino)->durable_len;

        if (durable < keep)
            keep = durable +
                   (roll(&disk_random, 2) ? roll(&disk_random, (uint32_t)(keep - durable) + 1) : 0);
    } else if (strcmp(name, "stream.meta") != 0 && roll(&disk_random, 4) == 0) {
        keep /= 2;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", copy->dir, name);
    WZ_ASSERT(truncate(path, keep) == 0);
    return WZ_OK;
}

// Brings back files whose removal may have been forgotten.
static void bring_back(const struct copy *copy)
{
    for (int i = 0; i < disk.ghost_count; i++) {
        const struct ghost *ghost = &disk.ghosts[i];
        struct iovec piece = {.iov_base = ghost->bytes.ptr, .iov_len = ghost->bytes.len};
        char path[512];
        int fd = -1;

        if (roll(&disk_random, 3) == 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", copy->dir, ghost->name);
        WZ_ASSERT(wz_fs_open(path, WZ_FS_CREATE, &fd) == WZ_OK);
        if (ghost->bytes.len > 0)
            WZ_ASSERT(wz_fs_write(fd, &piece, 1, 0) == WZ_OK);
        wz_fs_close(fd);
    }
}

static void take_copy(const char *step)
{
    struct copy *copy = &disk.copies[disk.copy_count++];

    *copy = (struct copy){
        .durable_end = disk.t->durable_end, .step = step, .power_cut = roll(&disk_random, 2) == 0};
    (void)snprintf(copy->dir, sizeof(copy->dir), "/tmp/wyze-crash-XXXXXX");
    WZ_ASSERT(mkdtemp(copy->dir) != NULL);
    WZ_ASSERT(testjournal_copy_files(disk.t->dir, copy->dir) == WZ_OK);
    if (!copy->power_cut)
        return;
    WZ_ASSERT(wz_fs_walk(copy->dir, cut_file, copy) == WZ_OK);
    bring_back(copy);
}

// Is called before each thing that the writer does to the disk; one of EVERY times the folder is
// copied. Returns whether it is the writer.
static bool before(const char *step, uint32_t every)
{
    if (spared || !disk.running)
        return false;
    if (disk.copy_count < COPIES_MAX && roll(&disk_random, every) == 0) {
        spared = true;
        take_copy(step);
        spared = false;
        disk.removing_count += strcmp(step, "remove") == 0 || strcmp(step, "sync_dir") == 0;
    }
    return true;
}

int __real_wz_fs_write(int fd, struct iovec *pieces, int count, int64_t pos);
int __wrap_wz_fs_write(int fd, struct iovec *pieces, int count, int64_t pos);
int __wrap_wz_fs_write(int fd, struct iovec *pieces, int count, int64_t pos)
{
    before("write", 150);
    return __real_wz_fs_write(fd, pieces, count, pos);
}

int __real_wz_fs_sync(int fd);
int __wrap_wz_fs_sync(int fd);
int __wrap_wz_fs_sync(int fd)
{
    bool writer = before("sync", 150);
    int r = disk.running ? __real_wz_fs_sync(fd) : WZ_OK; // of the copies nothing has to last
    struct stat st;

    while (writer && disk.held)
        (void)usleep(100); // fails for a signal only
    if (writer && r == WZ_OK) {
        WZ_ASSERT(fstat(fd, &st) == 0);
        file_of(st.st_ino)->durable_len = st.st_size;
    }
    return r;
}

int __real_wz_fs_truncate(int fd, int64_t len);
int __wrap_wz_fs_truncate(int fd, int64_t len);
int __wrap_wz_fs_truncate(int fd, int64_t len)
{
    before("truncate", 20);
    return __real_wz_fs_truncate(fd, len);
}

int __real_wz_fs_rename(const char *from, const char *to);
int __wrap_wz_fs_rename(const char *from, const char *to);
int __wrap_wz_fs_rename(const char *from, const char *to)
{
    before("rename", 100);
    return __real_wz_fs_rename(from, to);
}

int __real_wz_fs_replace(const char *dir, const char *name, struct wz_slice s);
int __wrap_wz_fs_replace(const char *dir, const char *name, struct wz_slice s);
int __wrap_wz_fs_replace(const char *dir, const char *name, struct wz_slice s)
{
    before("replace", 20);
    return __real_wz_fs_replace(dir, name, s);
}

int __real_wz_fs_remove(const char *path);
int __wrap_wz_fs_remove(const char *path);
int __wrap_wz_fs_remove(const char *path)
{
    struct ghost *ghost;
    struct stat st;

    if (!before("remove", 12) || stat(path, &st) < 0)
        return __real_wz_fs_remove(path);
    WZ_ASSERT(disk.ghost_count < GHOSTS_MAX);
    ghost = &disk.ghosts[disk.ghost_count++];
    *ghost = (struct ghost){0};
    (void)snprintf(ghost->name, sizeof(ghost->name), "%s", strrchr(path, '/') + 1);
    WZ_ASSERT(wz_fs_load(path, (size_t)1 << 30, &ghost->bytes) == WZ_OK);
    file_of(st.st_ino)->durable_len = 0; // the inode may come again
    return __real_wz_fs_remove(path);
}

static void forget_ghosts(void)
{
    while (disk.ghost_count > 0)
        wz_buf_release(&disk.ghosts[--disk.ghost_count].bytes);
}

int __real_wz_fs_sync_dir(const char *path);
int __wrap_wz_fs_sync_dir(const char *path);
int __wrap_wz_fs_sync_dir(const char *path)
{
    bool writer = before("sync_dir", disk.eager ? 1 : 3);
    int r = disk.running ? __real_wz_fs_sync_dir(path) : WZ_OK;

    if (writer && r == WZ_OK)
        forget_ghosts();
    return r;
}

static void start(struct testjournal *t)
{
    disk.t = t;
    disk.eager = false;
    disk.copy_count = 0;
    disk.removing_count = 0;
    disk.file_count = 0;
    testjournal_init(t);
    t->opt.segment_bytes = (int64_t)64 * 1024;
    t->opt.compact_bytes = (int64_t)64 * 1024;
    testjournal_open(t);
    disk.running = true;
}

// Opens what was copied at one moment.
static void check_copy(const struct testjournal *t, const struct copy *copy)
{
    struct testjournal again;

    testjournal_init(&again);
    assert_int_equal(testjournal_copy_files(copy->dir, again.dir), WZ_OK);
    again.opt.segment_bytes = t->opt.segment_bytes;
    testjournal_open(&again);
    if (again.recovery.damaged_batches > 0 || again.replayed_offset + 1 < copy->durable_end ||
        !testjournal_is_as_then(t, &again))
        fail_msg("%s: before %s%s: up to %lld, %lld durable, %lld damaged", copy->dir, copy->step,
                 copy->power_cut ? ", power cut" : "", (long long)again.replayed_offset,
                 (long long)copy->durable_end, (long long)again.recovery.damaged_batches);
    testjournal_close(&again);
    testjournal_release(&again);
}

static int remove_name(const char *name, void *arg)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
    return wz_fs_remove(path);
}

static int64_t compactions_of(struct testjournal *t)
{
    struct wz_journal_info info;

    wz_journal_info(t->journal, &info);
    return info.compactions;
}

static void finish(struct testjournal *t)
{
    testjournal_run_until(t, testjournal_is_durable);
    assert_true(compactions_of(t) >= 5);
    testjournal_close(t);
    disk.running = false;
    forget_ghosts();
    assert_true(disk.removing_count > 0);
    for (int i = 0; i < disk.copy_count; i++) {
        check_copy(t, &disk.copies[i]);
        assert_int_equal(wz_fs_walk(disk.copies[i].dir, remove_name, disk.copies[i].dir), WZ_OK);
        assert_int_equal(rmdir(disk.copies[i].dir), 0);
    }
    testjournal_release(t);
}

// A group of changes to the first KEYS keys.
static void change(struct testjournal *t, uint32_t keys)
{
    testjournal_begin(t);
    for (uint32_t n = 1 + roll(&test_random, 8); n > 0; n--) {
        uint32_t key = roll(&test_random, keys);

        if (t->places[key].offset < 0 || roll(&test_random, 3) > 0)
            testjournal_put(t, key, roll(&test_random, 200));
        else
            testjournal_remove(t, key);
    }
    testjournal_end(t);
}

static int seed(void **state)
{
    const char *given = getenv("WYZE_TEST_SEED");

    (void)state;
    test_random = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("journal_crash: WYZE_TEST_SEED=%llu\n", (unsigned long long)test_random);
    disk_random = test_random + 1;
    return 0;
}

static void test_journal_opens_to_a_whole_state_after_a_crash_at_any_step(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        uint32_t keys = 50 + roll(&test_random, 600);
        struct testjournal t;

        start(&t);
        for (int i = 0; i < 2500 || compactions_of(&t) < 5; i++) {
            change(&t, keys);
            if (roll(&test_random, 4) == 0)
                testjournal_turn(&t);
            if (roll(&test_random, 50) == 0)
                testjournal_run_until(&t, testjournal_is_durable);
        }
        finish(&t);
    }
}

// Puts behind a sync that does not end, until a compaction begins; it has not read anything yet.
static void start_compaction_behind_a_sync(struct testjournal *t)
{
    for (;;) {
        disk.held = true;
        testjournal_put_one(t, 1000, 100);
        testjournal_turn(t);
        for (int n = 0; n < 40 && !testjournal_is_compacting(t); n++) {
            testjournal_put_one(t, 1000, 100);
            testjournal_turn(t);
        }
        if (testjournal_is_compacting(t))
            return;
        disk.held = false;
        testjournal_run_until(t, testjournal_is_durable);
    }
}

// All that a compaction finds is replaced while it reads, and nothing of that is durable yet.
static void test_journal_keeps_what_is_replaced_until_the_new_is_durable(void **state)
{
    struct testjournal t;

    (void)state;
    start(&t);
    disk.eager = true;
    for (int i = 0; i < 10; i++) {
        start_compaction_behind_a_sync(&t);
        for (uint32_t key = 0; key < 100; key++)
            testjournal_put_one(&t, key, 100);
        for (int n = 0; n < 100 && testjournal_is_compacting(&t); n++)
            testjournal_turn(&t);
        disk.held = false;
        testjournal_run_until(&t, testjournal_is_idle);
        testjournal_run_until(&t, testjournal_is_durable); // and trimmed
    }
    finish(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal_opens_to_a_whole_state_after_a_crash_at_any_step),
        cmocka_unit_test(test_journal_keeps_what_is_replaced_until_the_new_is_durable),
    };

    spared = true;
    return cmocka_run_group_tests(tests, seed, NULL);
}
