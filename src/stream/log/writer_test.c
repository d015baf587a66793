// SPDX-License-Identifier: Apache-2.0
#include "stream/log/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"

// A writer by itself, with what it needs.
struct rig {
    char dir[32];
    struct wz_mailbox mailbox;
    struct wz_mail letter;
    struct wz_shelf shelf;
    struct wz_writer *writer;
    struct wz_news news;
};

static struct rig rig;

static void take(struct wz_mail *mail)
{
    (void)mail;
    assert_true(wz_list_empty(&rig.news.done));
    wz_writer_take(rig.writer, &rig.news);
}

static void start(void)
{
    struct wz_writer_options opt = {.dir = rig.dir,
                                    .shelf = &rig.shelf,
                                    .meta_fd = -1,
                                    .meta = {.block = 100, .reserved_end = 100},
                                    .segment_bytes = 1000,
                                    .ahead_bytes = 1000,
                                    .mailbox = &rig.mailbox,
                                    .letter = &rig.letter};
    char path[64];

    rig = (struct rig){.dir = "writer-test-XXXXXX", .letter = {.run = take}};
    wz_list_init(&rig.news.done);
    assert_non_null(mkdtemp(rig.dir));
    wz_mailbox_init(&rig.mailbox, 4, NULL, NULL);
    wz_shelf_init(&rig.shelf);
    (void)snprintf(path, sizeof(path), "%s/stream.meta", rig.dir);
    assert_int_equal(wz_fs_open(path, WZ_FS_CREATE, &opt.meta_fd), WZ_OK);
    assert_int_equal(wz_writer_start(&opt, &rig.writer), WZ_OK);
}

static int remove_name(const char *name, void *arg)
{
    char path[300];

    (void)arg;
    (void)snprintf(path, sizeof(path), "%s/%s", rig.dir, name);
    return wz_fs_remove(path);
}

// Frees what came back, and tells how many they were.
static int free_done(void)
{
    int count = 0;

    for (; !wz_list_empty(&rig.news.done); count++)
        wz_free(WZ_CONTAINER(wz_list_shift(&rig.news.done), struct wz_pending, link));
    return count;
}

static void stop(int64_t next_offset)
{
    bool letter_out;

    assert_int_equal(wz_writer_stop(rig.writer, next_offset, &rig.news, &letter_out), WZ_OK);
    if (letter_out) // its letter is not to be run any more: the writer is gone
        rig.mailbox.first = NULL;
    (void)free_done();
    wz_shelf_release(&rig.shelf);
    wz_mailbox_release(&rig.mailbox);
    assert_int_equal(wz_fs_walk(rig.dir, remove_name, NULL), WZ_OK);
    assert_int_equal(rmdir(rig.dir), 0);
}

static void post(int64_t offset)
{
    struct wz_record_parts parts = {.key = WZ_SLICE_LIT("topic")};
    struct wz_pending *pending = wz_zalloc(1, sizeof(*pending) + 512);

    wz_list_init(&pending->link);
    wz_batch_begin(&pending->batch, pending->bytes, 512, offset);
    wz_batch_add(&pending->batch, &parts, wz_record_len(&parts, 0));
    wz_batch_finish(&pending->batch, 1);
    wz_writer_post(rig.writer, pending);
}

static void test_writer_gives_batches_back_when_they_are_durable(void **state)
{
    int back = 0;

    (void)state;
    start();
    for (int64_t offset = 0; offset < 50; offset++)
        post(offset);
    while (rig.news.durable_end < 50) {
        assert_true(wz_mailbox_wait(&rig.mailbox));
        assert_true(wz_mailbox_run(&rig.mailbox) > 0);
        back += free_done();
    }
    assert_int_equal(back, 50);
    assert_int_equal(rig.news.state_err, WZ_OK);
    assert_true(rig.shelf.count > 3); // segments of 1000 bytes
    stop(50);
}

static void test_writer_reserves_before_it_tells(void **state)
{
    struct wz_meta meta;
    enum wz_meta_state there;
    char path[64];

    (void)state;
    start();
    wz_writer_reserve(rig.writer, 300);
    while (rig.news.reserved_end < 300) {
        assert_true(wz_mailbox_wait(&rig.mailbox));
        assert_true(wz_mailbox_run(&rig.mailbox) > 0);
    }
    (void)snprintf(path, sizeof(path), "%s/stream.meta", rig.dir);
    assert_int_equal(wz_meta_load(path, &meta, &there), WZ_OK);
    assert_int_equal(meta.reserved_end, 300);
    assert_false(meta.clean);
    stop(0);
}

static void test_writer_makes_all_durable_before_it_stops(void **state)
{
    (void)state;
    start();
    for (int64_t offset = 0; offset < 5; offset++)
        post(offset);
    stop(5);
    assert_int_equal(rig.news.durable_end, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_gives_batches_back_when_they_are_durable),
        cmocka_unit_test(test_writer_reserves_before_it_tells),
        cmocka_unit_test(test_writer_makes_all_durable_before_it_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
