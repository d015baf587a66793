// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/input_queue.h"

static void push(struct wz_input_queue *queue, int64_t offset, size_t body_len)
{
    WZ_AUTO(wz_free_ptr) char *body = wz_alloc(body_len + 1);
    struct wz_frame_record record = {
        .offset = offset,
        .append_ms = offset * 2,
        .hops = 3,
        .topic = WZ_SLICE_LIT("a.b"),
        .body = wz_slice(body, body_len),
    };

    memset(body, 'x', body_len);
    wz_input_queue_push(queue, &record);
}

static int64_t first_offset(const struct wz_input_queue *queue)
{
    struct wz_frame_record record;

    return wz_input_queue_first(queue, &record) ? record.offset : -1;
}

static void test_input_queue_take_gives_runs_of_whole_records(void **state)
{
    struct wz_input_queue queue = {0};
    struct wz_input_run run;

    (void)state;
    for (int i = 0; i < 10; i++)
        push(&queue, i, 73); // 100 bytes each
    wz_input_queue_take(&queue, 350, 100, &run);
    assert_int_equal(run.count, 3);
    assert_int_equal(run.bytes.len, 300);
    wz_input_queue_take(&queue, 10, 100, &run); // one may always go
    assert_int_equal(run.count, 1);
    wz_input_queue_take(&queue, 100000, 4, &run);
    assert_int_equal(run.count, 4);
    wz_input_queue_take(&queue, 100000, 100, &run);
    assert_int_equal(run.count, 2);
    wz_input_queue_take(&queue, 100000, 100, &run);
    assert_int_equal(run.count, 0);
    assert_int_equal(queue.sent_count, 10);
    assert_int_equal(wz_input_queue_sent_bytes(&queue), 1000);
    wz_input_queue_release(&queue);
}

static void test_input_queue_rewind_makes_unanswered_records_wait_again(void **state)
{
    struct wz_input_queue queue = {0};
    struct wz_frame_record record;
    struct wz_input_run run;

    (void)state;
    for (int i = 0; i < 5; i++)
        push(&queue, i, 10);
    wz_input_queue_take(&queue, 100000, 4, &run);
    wz_input_queue_shift(&queue);
    assert_true(wz_input_queue_find(&queue, 3, &record));
    assert_int_equal(record.append_ms, 6);
    assert_int_equal(record.hops, 3);
    assert_false(wz_input_queue_find(&queue, 4, &record)); // waits, the worker has not got it
    wz_input_queue_rewind(&queue);
    assert_false(wz_input_queue_find(&queue, 3, &record));
    assert_int_equal(first_offset(&queue), 1);
    wz_input_queue_take(&queue, 100000, 100, &run);
    assert_int_equal(run.count, 4);
    wz_input_queue_release(&queue);
}

static void test_input_queue_append_moves_what_waits_elsewhere(void **state)
{
    struct wz_input_queue queue = {0};
    struct wz_input_queue other = {0};

    (void)state;
    wz_input_queue_append(&queue, &other);
    assert_int_equal(queue.count, 0);
    for (int i = 0; i < 4; i++)
        push(i < 2 ? &queue : &other, i, 20);
    wz_input_queue_shift(&other); // dropped from the front
    wz_input_queue_append(&queue, &other);
    assert_int_equal(other.count, 0);
    assert_int_equal(wz_input_queue_bytes(&other), 0);
    assert_int_equal(queue.count, 3);
    wz_input_queue_shift(&queue);
    wz_input_queue_shift(&queue);
    assert_int_equal(first_offset(&queue), 3);
    wz_input_queue_release(&queue);
    wz_input_queue_release(&other);
}

// Against a list of offsets, with pushes, takes, answers and crashes in a random order.
static void test_input_queue_holds_against_a_naive_model(void **state)
{
    struct wz_input_queue queue = {0};
    struct wz_input_run run;
    int64_t head = 0; // first unanswered
    int64_t sent = 0;
    int64_t end = 0;
    unsigned seed = 20260101;

    (void)state;
    for (int step = 0; step < 200000; step++) {
        int dice = rand_r(&seed) % 100;

        if (dice < 45) {
            push(&queue, end++, (size_t)(rand_r(&seed) % 300));
        } else if (dice < 60) {
            wz_input_queue_take(&queue, (size_t)(rand_r(&seed) % 2000), 8, &run);
            sent += run.count;
        } else if (dice < 99 && head < sent) {
            wz_input_queue_shift(&queue);
            head++;
        } else if (dice == 99) {
            wz_input_queue_rewind(&queue);
            sent = head;
        }
        assert_int_equal(queue.count, end - head);
        assert_int_equal(queue.sent_count, sent - head);
        assert_int_equal(first_offset(&queue), head < end ? head : -1);
    }
    wz_input_queue_release(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_queue_take_gives_runs_of_whole_records),
        cmocka_unit_test(test_input_queue_rewind_makes_unanswered_records_wait_again),
        cmocka_unit_test(test_input_queue_append_moves_what_waits_elsewhere),
        cmocka_unit_test(test_input_queue_holds_against_a_naive_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
