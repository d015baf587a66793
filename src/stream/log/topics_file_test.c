// SPDX-License-Identifier: Apache-2.0
#include "stream/log/topics_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct wz_buf make(void)
{
    static const uint32_t first[] = {0, 3, 200};
    static const uint32_t second[] = {7};
    struct wz_topics_file file;
    struct wz_buf buf = {0};

    wz_topics_file_begin(&file, 2, 201);
    wz_topics_file_add(&file, WZ_SLICE_LIT("a.b"), first, 3);
    wz_topics_file_add(&file, WZ_SLICE_LIT("a.c"), second, 1);
    wz_topics_file_end(&file, &buf);
    return buf;
}

static void test_topics_file_is_read_where_it_lies(void **state)
{
    struct wz_buf buf = make();
    struct wz_slice s = wz_buf_slice(&buf);
    struct wz_topics_entry entry;

    (void)state;
    assert_int_equal(wz_topics_file_check(s), WZ_OK);
    assert_int_equal(wz_topics_file_blocks(s), 201);
    assert_true(wz_topics_file_get(s, 0, &entry));
    assert_true(wz_slice_eq(entry.name, WZ_SLICE_LIT("a.b")));
    assert_int_equal(entry.count, 3);
    assert_int_equal(wz_topics_entry_next(&entry), 0);
    assert_int_equal(wz_topics_entry_next(&entry), 3);
    assert_int_equal(wz_topics_entry_next(&entry), 200);
    assert_false(wz_topics_file_get(s, 2, &entry));
    wz_buf_release(&buf);
}

static void test_topics_file_selects_by_topic_and_by_pattern(void **state)
{
    static const struct {
        const char *pattern;
        uint32_t first;
        uint32_t second;
    } cases[] = {
        {"a.b", 0, 3}, {"a.c", 7, 201}, {"a.*", 0, 3}, {"a.d", 201, 201}, {"x.#", 201, 201}};
    struct wz_buf buf = make();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wz_filter filter;
        struct wz_blocks blocks;

        assert_int_equal(wz_filter_init(&filter, wz_slice_str(cases[i].pattern)), WZ_OK);
        wz_blocks_init(&blocks, 201);
        wz_topics_file_select(wz_buf_slice(&buf), &filter, &blocks);
        assert_int_equal(wz_blocks_next(&blocks, 0), cases[i].first);
        assert_int_equal(wz_blocks_next(&blocks, cases[i].first + 1), cases[i].second);
        wz_blocks_release(&blocks);
        wz_filter_release(&filter);
    }
    wz_buf_release(&buf);
}

static void test_topics_file_refuses_every_flipped_bit_and_truncation(void **state)
{
    struct wz_buf buf = make();

    (void)state;
    for (size_t i = 0; i < buf.len * 8; i++) {
        buf.ptr[i / 8] ^= (uint8_t)(1 << (i % 8));
        assert_int_equal(wz_topics_file_check(wz_buf_slice(&buf)), WZ_ERR_CORRUPT);
        buf.ptr[i / 8] ^= (uint8_t)(1 << (i % 8));
    }
    for (size_t len = 0; len < buf.len; len++)
        assert_int_equal(wz_topics_file_check(wz_slice(buf.ptr, len)), WZ_ERR_CORRUPT);
    wz_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics_file_is_read_where_it_lies),
        cmocka_unit_test(test_topics_file_selects_by_topic_and_by_pattern),
        cmocka_unit_test(test_topics_file_refuses_every_flipped_bit_and_truncation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
