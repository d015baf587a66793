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
        .lane = (uint8_t)(offset % 5),
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
        push(&queue, i, 71); // 100 bytes each
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
    assert_true(wz_input_queue_find(&queue, 0, 3, &record));
    assert_int_equal(record.append_ms, 6);
    assert_int_equal(record.hops, 3);
    assert_false(wz_input_queue_find(&queue, 1, 3, &record)); // of another stream
    assert_false(wz_input_queue_find(&queue, 0, 4, &record)); // waits, the worker has not got it
    wz_input_queue_rewind(&queue);
    assert_false(wz_input_queue_find(&queue, 0, 3, &record));
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

// A queue as three lists: offsets, and which of them are with the worker.
struct model {
    int64_t offsets[100000];
    bool opens[100000];
    size_t count;
    size_t sent;
};

// What is in the lists, in order: OFFSET modulo 5 is the lane.
static void check(const struct wz_input_queue *queue, const struct model *model)
{
    struct wz_cursor cur =
        wz_cursor(wz_slice(queue->buf.ptr + queue->head, queue->buf.len - queue->head));
    struct wz_frame_record record;

    assert_int_equal(queue->count, model->count);
    assert_int_equal(queue->sent_count, model->sent);
    assert_int_equal(first_offset(queue), model->count > 0 ? model->offsets[0] : -1);
    for (size_t i = 0; i < model->count; i++) {
        if (i == model->sent)
            assert_int_equal(cur.pos - queue->buf.ptr, queue->sent);
        wz_frame_get_record(&cur, &record);
        assert_int_equal(record.offset, model->offsets[i]);
        assert_int_equal(record.opens, model->opens[i]);
    }
    assert_int_equal(wz_cursor_left(&cur), 0);
}

static void model_remove(struct model *model, size_t i)
{
    memmove(&model->offsets[i], &model->offsets[i + 1],
            (model->count - i - 1) * sizeof(model->offsets[0]));
    memmove(&model->opens[i], &model->opens[i + 1],
            (model->count - i - 1) * sizeof(model->opens[0]));
    model->count--;
}

static void model_insert(struct model *model, size_t i, int64_t offset, bool opens)
{
    memmove(&model->offsets[i + 1], &model->offsets[i],
            (model->count - i) * sizeof(model->offsets[0]));
    memmove(&model->opens[i + 1], &model->opens[i], (model->count - i) * sizeof(model->opens[0]));
    model->offsets[i] = offset;
    model->opens[i] = opens;
    model->count++;
}

// Takes a lane aside, marks what comes first of it, and puts it in front of what waits.
static void turn_lane(struct wz_input_queue *queue, struct model *model, uint8_t lane)
{
    struct wz_input_queue aside = {0};
    size_t to = model->sent;

    wz_input_queue_sift(queue, lane, &aside);
    for (size_t i = model->sent; i < model->count; i++) {
        int64_t offset = model->offsets[i];
        bool opens = model->opens[i];

        if (offset % 5 != lane)
            continue;
        model_remove(model, i);
        model_insert(model, to, offset, opens || to == model->sent);
        to++;
    }
    assert_int_equal(aside.count, to - model->sent);
    wz_input_queue_mark_opens(&aside);
    wz_input_queue_insert(queue, &aside);
    assert_int_equal(aside.count, 0);
    wz_input_queue_release(&aside);
}

static bool has_sent(const struct model *model, uint8_t lane)
{
    for (size_t i = 0; i < model->sent; i++)
        if (model->offsets[i] % 5 == lane)
            return true;
    return false;
}

// Against lists: pushes, takes, answers, crashes, lanes that are sifted out and put back.
static void test_input_queue_holds_against_a_naive_model(void **state)
{
    static struct model model;
    struct wz_input_queue queue = {0};
    struct wz_input_run run;
    int64_t end = 0;
    unsigned seed = 20260101;

    (void)state;
    for (int step = 0; step < 60000; step++) {
        int dice = rand_r(&seed) % 100;
        uint8_t lane = (uint8_t)(rand_r(&seed) % 5);

        if (dice < 38) {
            push(&queue, end, (size_t)(rand_r(&seed) % 300));
            model_insert(&model, model.count, end++, false);
        } else if (dice < 60) {
            wz_input_queue_take(&queue, (size_t)(rand_r(&seed) % 2000), 8, &run);
            model.sent += run.count;
        } else if (dice < 95 && model.sent > 0) {
            wz_input_queue_shift(&queue);
            model_remove(&model, 0);
            model.sent--;
        } else if (dice < 98) {
            turn_lane(&queue, &model, lane);
        } else if (dice == 99) {
            wz_input_queue_rewind(&queue);
            model.sent = 0;
        }
        assert_int_equal(wz_input_queue_has_sent(&queue, lane), has_sent(&model, lane));
        if (step % 7 == 0)
            check(&queue, &model);
    }
    check(&queue, &model);
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
