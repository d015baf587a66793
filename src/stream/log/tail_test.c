// SPDX-License-Identifier: Apache-2.0
#include "stream/log/tail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

// A number like one by chance, the same in each run.
static size_t by_chance(void)
{
    static uint64_t state = 7;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33);
}

// A file that nobody else sees, on the disk of the build or, for comparison, in memory.
static int make_file(void)
{
    char path[] = "tail-test-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    return fd;
}

static void assert_holds(int fd, const struct wz_buf *model)
{
    uint8_t *bytes = wz_alloc(model->len + 2 * WZ_TAIL_BLOCK);
    size_t got;

    assert_int_equal(wz_fs_set_direct(fd, false), WZ_OK);
    assert_int_equal(wz_fs_read(fd, bytes, model->len + 2 * WZ_TAIL_BLOCK, 0, &got), WZ_OK);
    assert_true(got >= model->len && got < model->len + WZ_TAIL_BLOCK);
    assert_memory_equal(bytes, model->ptr, model->len);
    for (size_t i = model->len; i < got; i++)
        assert_int_equal(bytes[i], 0);
    wz_free(bytes);
}

static void write_random(struct wz_tail *tail, struct wz_buf *model, size_t most)
{
    struct iovec pieces[4];
    size_t start = model->len;
    int count = 1 + (int)(by_chance() % 4);

    for (int i = 0; i < count; i++) {
        pieces[i].iov_len = by_chance() % most;
        for (size_t k = 0; k < pieces[i].iov_len; k++)
            wz_buf_add_byte(model, (uint8_t)by_chance());
    }
    for (int i = 0; i < count; i++) {
        pieces[i].iov_base = model->ptr + start;
        start += pieces[i].iov_len;
    }
    assert_int_equal(wz_tail_write(tail, pieces, count), WZ_OK);
}

static void test_tail_writes_what_it_is_given_whatever_the_lengths(void **state)
{
    static const size_t most[] = {10, 5000, 70000, (size_t)3 * WZ_TAIL_BYTES / 2};
    WZ_AUTO(wz_buf_release) struct wz_buf model = {0};
    struct wz_tail tail = {0};
    int fd = make_file();

    (void)state;
    assert_int_equal(wz_tail_open(&tail, fd, 0), WZ_OK);
    for (int i = 0; i < 60; i++)
        write_random(&tail, &model, most[i % 4]);
    wz_tail_release(&tail);
    assert_holds(fd, &model);
    wz_fs_close(fd);
}

static void test_tail_goes_on_in_the_middle_of_a_block(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf model = {0};
    struct wz_tail tail = {0};
    int fd = make_file();

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(wz_fs_set_direct(fd, false), WZ_OK);
        assert_int_equal(wz_tail_open(&tail, fd, (int64_t)model.len), WZ_OK);
        write_random(&tail, &model, 3000);
        wz_tail_release(&tail);
    }
    assert_holds(fd, &model);
    wz_fs_close(fd);
}

static void test_tail_writes_through_the_cache_where_it_has_to(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf model = {0};
    struct wz_tail tail = {0};
    int fd = make_file();

    (void)state;
    assert_int_equal(wz_tail_open(&tail, fd, 0), WZ_OK);
    tail.direct = false;
    assert_int_equal(wz_fs_set_direct(fd, false), WZ_OK);
    for (int i = 0; i < 20; i++)
        write_random(&tail, &model, 5000);
    wz_tail_release(&tail);
    assert_holds(fd, &model);
    wz_fs_close(fd);
}

static void test_tail_takes_the_same_again_after_a_failure(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf model = {0};
    struct wz_tail tail = {0};
    uint8_t more[WZ_TAIL_BLOCK + 100];
    struct iovec piece = {.iov_base = more, .iov_len = sizeof(more)};
    int fd = make_file();

    (void)state;
    memset(more, 'm', sizeof(more));
    assert_int_equal(wz_tail_open(&tail, fd, 0), WZ_OK);
    write_random(&tail, &model, 3000);
    tail.fd = -1; // nothing can be written
    assert_true(wz_tail_write(&tail, &piece, 1) < 0);
    tail.fd = fd;
    assert_int_equal(wz_tail_write(&tail, &piece, 1), WZ_OK);
    wz_buf_add(&model, more, sizeof(more));
    wz_tail_release(&tail);
    assert_holds(fd, &model);
    wz_fs_close(fd);
}

static void test_tail_refuses_a_file_that_is_shorter_than_its_end(void **state)
{
    struct wz_tail tail = {0};
    int fd = make_file();

    (void)state;
    assert_int_equal(wz_tail_open(&tail, fd, 100), WZ_ERR_IO);
    wz_fs_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tail_writes_what_it_is_given_whatever_the_lengths),
        cmocka_unit_test(test_tail_goes_on_in_the_middle_of_a_block),
        cmocka_unit_test(test_tail_writes_through_the_cache_where_it_has_to),
        cmocka_unit_test(test_tail_takes_the_same_again_after_a_failure),
        cmocka_unit_test(test_tail_refuses_a_file_that_is_shorter_than_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
