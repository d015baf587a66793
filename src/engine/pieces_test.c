// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/pieces.h"

// A block of COUNT records of a body of LEN bytes.
static struct wz_block *make(uint32_t count, size_t len)
{
    WZ_AUTO(wz_free_ptr) char *body = wz_alloc(len + 1);
    struct wz_block *block = wz_block_new(0, WZ_BLOCK_BYTES);

    for (uint32_t i = 0; i < count; i++) {
        struct wz_frame_record record = {.offset = i, .body = wz_slice(body, len)};

        memset(body, 'a' + (int)(i % 26), len);
        assert_true(wz_block_add(block, &record));
    }
    return block;
}

static void test_pieces_write_large_runs_from_their_block_and_copy_small_ones(void **state)
{
    struct wz_block *block = make(20, 100);
    struct wz_pieces pieces = {0};
    uv_buf_t vector[4];
    size_t len;

    (void)state;
    wz_buf_add_str(&pieces.own, "head");
    wz_pieces_add_run(&pieces, &(struct wz_block_run){block, 0, 2});
    wz_pieces_add_run(&pieces, &(struct wz_block_run){block, 2, 19});
    wz_buf_add_str(&pieces.own, "tail");
    assert_int_equal(block->refs, 2);
    assert_int_equal(wz_pieces_vector(&pieces, vector, 4, &len), 3);
    assert_int_equal(len, 8 + 19 * 126);
    assert_memory_equal(vector[0].base, "head", 4);
    assert_memory_equal(vector[0].base + 4, block->bytes, 2 * 126);
    assert_ptr_equal(vector[1].base, block->bytes + 2 * 126);
    assert_int_equal(vector[1].len, 17 * 126);
    assert_memory_equal(vector[2].base, "tail", 4);
    wz_pieces_clear(&pieces);
    assert_true(wz_pieces_empty(&pieces));
    assert_int_equal(block->refs, 1);
    wz_pieces_release(&pieces);
    wz_block_unref(block);
}

// Adds something, and the same to what is to come out.
static void add_some(struct wz_pieces *pieces, struct wz_block *block, struct wz_buf *wanted,
                     unsigned *seed)
{
    struct wz_block_run run = {.block = block, .from = (uint32_t)rand_r(seed) % 100};
    char text[32];

    if (rand_r(seed) % 2 == 0) {
        (void)snprintf(text, sizeof(text), "%d", rand_r(seed));
        wz_buf_add_str(&pieces->own, text);
        wz_buf_add_str(wanted, text);
        return;
    }
    run.to = run.from + 1 + (uint32_t)rand_r(seed) % (100 - run.from);
    wz_pieces_add_run(pieces, &run);
    wz_buf_add_slice(wanted, wz_block_run_bytes(&run));
}

// Takes out as much as the pipe would, and compares it.
static void write_some(struct wz_pieces *pieces, struct wz_buf *wanted, unsigned *seed)
{
    uv_buf_t vector[8];
    unsigned count;
    size_t at = 0;
    size_t len;

    count = wz_pieces_vector(pieces, vector, 1 + (unsigned)rand_r(seed) % 8, &len);
    assert_in_range(len, 0, wanted->len);
    for (unsigned i = 0; i < count; i++) {
        assert_memory_equal(vector[i].base, wanted->ptr + at, vector[i].len);
        at += vector[i].len;
    }
    assert_int_equal(at, len);
    len = len > 0 ? (size_t)rand_r(seed) % (len + 1) : 0;
    wz_pieces_consume(pieces, len);
    wz_buf_consume(wanted, len);
    assert_int_equal(wz_pieces_empty(pieces), wanted->len == 0);
}

static void test_pieces_come_out_in_order_however_they_are_written(void **state)
{
    struct wz_block *block = make(100, 90);
    struct wz_pieces pieces = {0};
    struct wz_buf wanted = {0};
    unsigned seed = 20261127;

    (void)state;
    for (int step = 0; step < 30000; step++) {
        if (rand_r(&seed) % 3 == 0)
            add_some(&pieces, block, &wanted, &seed);
        else
            write_some(&pieces, &wanted, &seed);
    }
    while (wanted.len > 0)
        write_some(&pieces, &wanted, &seed);
    assert_int_equal(wz_pieces_count(&pieces), 0);
    assert_int_equal(block->refs, 1);
    wz_buf_release(&wanted);
    wz_pieces_release(&pieces);
    wz_block_unref(block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_write_large_runs_from_their_block_and_copy_small_ones),
        cmocka_unit_test(test_pieces_come_out_in_order_however_they_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
