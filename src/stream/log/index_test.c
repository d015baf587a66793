// SPDX-License-Identifier: Apache-2.0
#include "stream/log/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

// Batches of 3000 bytes, ten offsets and one millisecond each two: every second one begins a block.
static struct wz_index make(void)
{
    struct wz_index index = {0};

    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(wz_index_add(&index, i * 3000, 3000, i * 10 + 9, 1000 + i / 2), i / 2);
    return index;
}

static void test_index_has_a_block_each_4096_bytes(void **state)
{
    struct wz_index index = make();

    (void)state;
    assert_int_equal(index.count, 50);
    assert_int_equal(index.time_count, 50);
    assert_int_equal(wz_index_pos(&index, 7, -1), 42000);
    assert_int_equal(wz_index_pos(&index, 50, 300000), 300000);
    wz_index_release(&index);
}

static void test_index_finds_the_block_to_begin_with(void **state)
{
    struct wz_index index = make();

    (void)state;
    assert_int_equal(wz_index_find_offset(&index, 0), 0);
    assert_int_equal(wz_index_find_offset(&index, 29), 0);
    assert_int_equal(wz_index_find_offset(&index, 30), 1);
    assert_int_equal(wz_index_find_offset(&index, INT64_MAX), 49);
    assert_int_equal(wz_index_find_time(&index, 0), 0);
    assert_int_equal(wz_index_find_time(&index, 1010), 9);
    assert_int_equal(wz_index_find_time(&index, INT64_MAX), 49);
    wz_index_release(&index);
}

static void test_index_comes_back_from_its_bytes_and_refuses_others(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf bytes = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf times = {0};
    struct wz_index index = make();
    struct wz_index back;

    (void)state;
    wz_index_encode(&index, &bytes, &times);
    assert_int_equal(bytes.len, 50 * WZ_INDEX_ENTRY_LEN);
    assert_int_equal(times.len, 50 * WZ_INDEX_TIME_LEN);
    assert_int_equal(wz_index_decode(wz_buf_slice(&bytes), wz_buf_slice(&times), &back), WZ_OK);
    assert_int_equal(back.count, index.count);
    assert_memory_equal(back.entries, index.entries, 50 * sizeof(back.entries[0]));
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(back.times[i].ms, index.times[i].ms);
    wz_index_release(&back);
    bytes.len--;
    assert_int_equal(wz_index_decode(wz_buf_slice(&bytes), wz_buf_slice(&times), &back),
                     WZ_ERR_CORRUPT);
    bytes.len++;
    bytes.ptr[8 * WZ_INDEX_ENTRY_LEN] = 0x7f; // does not ascend
    assert_int_equal(wz_index_decode(wz_buf_slice(&bytes), wz_buf_slice(&times), &back),
                     WZ_ERR_CORRUPT);
    wz_index_release(&index);
}

static void test_index_without_blocks_comes_back_from_its_bytes(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf bytes = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf times = {0};
    struct wz_index index = {0};
    struct wz_index back;

    (void)state;
    wz_index_encode(&index, &bytes, &times);
    assert_int_equal(bytes.len, 0);
    assert_int_equal(times.len, 0);
    assert_int_equal(wz_index_decode(wz_buf_slice(&bytes), wz_buf_slice(&times), &back), WZ_OK);
    assert_int_equal(back.count, 0);
    wz_index_release(&back);
}

static void test_index_is_cut_as_if_the_rest_had_never_been(void **state)
{
    struct wz_index index = make();

    (void)state;
    wz_index_cut(&index, 60001);
    assert_int_equal(index.count, 11);
    assert_int_equal(index.time_count, 11);
    assert_int_equal(wz_index_add(&index, 66000, 3000, 229, 5000), 11);
    wz_index_release(&index);
}

static void test_index_has_as_many_blocks_of_what_is_compressed(void **state)
{
    struct wz_index index = make();
    struct wz_index packed = {0};
    struct wz_index back;
    struct wz_buf bytes = {0};
    struct wz_buf times = {0};

    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(wz_index_add(&packed, i * 300, 3000, i * 10 + 9, 1000 + i / 2), i / 2);
    for (uint32_t i = 0; i < 50; i++)
        assert_int_equal(packed.entries[i].last_rel, index.entries[i].last_rel);
    wz_index_encode(&packed, &bytes, &times);
    assert_int_equal(wz_index_decode(wz_buf_slice(&bytes), wz_buf_slice(&times), &back), WZ_OK);
    assert_int_equal(back.count, 50);
    wz_index_release(&index);
    wz_index_release(&packed);
    wz_index_release(&back);
    wz_buf_release(&bytes);
    wz_buf_release(&times);
}

static void test_index_is_copied_with_all_it_knows(void **state)
{
    struct wz_buf bytes[4] = {{0}};
    struct wz_index index = {0};
    struct wz_index copy;

    (void)state;
    for (uint32_t i = 0; i < 200; i++)
        (void)wz_index_add(&index, i * WZ_INDEX_BLOCK_BYTES, WZ_INDEX_BLOCK_BYTES, i * 7,
                           (int64_t)i / 3);
    wz_index_copy(&index, &copy);
    wz_index_encode(&copy, &bytes[0], &bytes[1]);
    wz_index_encode(&index, &bytes[2], &bytes[3]);
    assert_int_equal(copy.count, 200);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(bytes[i].len, bytes[i + 2].len);
        assert_memory_equal(bytes[i].ptr, bytes[i + 2].ptr, bytes[i].len);
    }
    wz_index_release(&index);
    wz_index_release(&copy);
    for (int i = 0; i < 4; i++)
        wz_buf_release(&bytes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index_has_a_block_each_4096_bytes),
        cmocka_unit_test(test_index_finds_the_block_to_begin_with),
        cmocka_unit_test(test_index_comes_back_from_its_bytes_and_refuses_others),
        cmocka_unit_test(test_index_without_blocks_comes_back_from_its_bytes),
        cmocka_unit_test(test_index_is_cut_as_if_the_rest_had_never_been),
        cmocka_unit_test(test_index_has_as_many_blocks_of_what_is_compressed),
        cmocka_unit_test(test_index_is_copied_with_all_it_knows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
