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

static size_t out_len(struct wz_pieces *out)
{
    uv_buf_t vector[32];
    size_t len;

    (void)wz_pieces_vector(out, vector, 32, &len);
    return len;
}

static void test_input_queue_take_gives_runs_of_whole_records(void **state)
{
    struct wz_input_queue queue = {0};
    struct wz_pieces out = {0};

    (void)state;
    for (int i = 0; i < 10; i++)
        push(&queue, i, 71); // 100 bytes each
    assert_int_equal(wz_input_queue_take(&queue, 350, 100, &out), 3);
    assert_int_equal(out_len(&out), 300);
    assert_int_equal(wz_input_queue_take(&queue, 10, 100, &out), 1); // one may always go
    assert_int_equal(wz_input_queue_take(&queue, 100000, 4, &out), 4);
    assert_int_equal(wz_input_queue_take(&queue, 100000, 100, &out), 2);
    assert_int_equal(wz_input_queue_take(&queue, 100000, 100, &out), 0);
    assert_int_equal(out_len(&out), 1000);
    wz_pieces_release(&out);
    assert_int_equal(queue.sent_count, 10);
    assert_int_equal(wz_input_queue_sent_bytes(&queue), 1000);
    wz_input_queue_release(&queue);
}

static void test_input_queue_rewind_makes_unanswered_records_wait_again(void **state)
{
    struct wz_input_queue queue = {0};
    struct wz_frame_record record;
    struct wz_pieces out = {0};

    (void)state;
    for (int i = 0; i < 5; i++)
        push(&queue, i, 10);
    assert_int_equal(wz_input_queue_take(&queue, 100000, 4, &out), 4);
    wz_input_queue_shift(&queue);
    assert_true(wz_input_queue_find(&queue, 0, 3, &record));
    assert_int_equal(record.append_ms, 6);
    assert_int_equal(record.hops, 3);
    assert_false(wz_input_queue_find(&queue, 1, 3, &record)); // of another stream
    assert_false(wz_input_queue_find(&queue, 0, 4, &record)); // waits, the worker has not got it
    wz_input_queue_rewind(&queue);
    assert_false(wz_input_queue_find(&queue, 0, 3, &record));
    assert_int_equal(first_offset(&queue), 1);
    assert_int_equal(wz_input_queue_take(&queue, 100000, 100, &out), 4);
    wz_pieces_release(&out);
    wz_input_queue_release(&queue);
}

// Ten records, of which two are answered and two wait; long ones have a block of their own.
static void test_input_queue_walk_passes_what_the_worker_holds(void **state)
{
    struct wz_input_queue queue = {0};
    struct wz_pieces out = {0};

    (void)state;
    for (int i = 0; i < 10; i++)
        push(&queue, i, i % 3 == 0 ? 70000 : 10);
    (void)wz_input_queue_take(&queue, 1000000, 8, &out);
    wz_input_queue_shift(&queue);
    wz_input_queue_shift(&queue);
    for (uint32_t step = 0; step < 8; step++) {
        struct wz_input_walk walk = {0};
        int64_t at = 1;

        while (wz_input_queue_pass(&queue, step, &walk)) {
            at += step + 1;
            assert_int_equal(walk.offset, at);
            assert_int_equal(walk.lane, at % 5);
            assert_int_equal(walk.stream, 0);
        }
        assert_int_equal(at, 1 + 6 / (step + 1) * (step + 1));
        assert_false(wz_input_queue_pass(&queue, UINT32_MAX, &walk));
    }
    wz_pieces_release(&out);
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

static void test_input_queue_marks_a_record_for_itself_alone(void **state)
{
    struct wz_block *block = wz_block_new(0, 1000);
    struct wz_block_run run = {.block = block, .to = 2};
    struct wz_input_queue queue = {0};
    struct wz_frame_record record = {.offset = 7};

    (void)state;
    assert_true(wz_block_add(block, &record));
    record.offset = 8;
    assert_true(wz_block_add(block, &record));
    wz_input_queue_push_run(&queue, &run);
    wz_input_queue_mark_opens(&queue);
    assert_true(wz_input_queue_first(&queue, &record));
    assert_true(record.opens);
    assert_int_equal(record.offset, 7);
    wz_block_get(block, 0, &record); // another queue's too
    assert_false(record.opens);
    wz_input_queue_shift(&queue);
    assert_true(wz_input_queue_first(&queue, &record));
    assert_false(record.opens);
    assert_int_equal(record.offset, 8);
    wz_input_queue_release(&queue);
    wz_block_unref(block);
}

// A queue as three lists: offsets, and which of them are with the worker.
struct model {
    int64_t offsets[100000];
    bool opens[100000];
    size_t count;
    size_t sent;
};

// The records of RUNS: those of the lists from FROM on, whose number is returned. OFFSET modulo 5
// is the lane.
static size_t check_runs(const struct wz_input_runs *runs, const struct model *model, size_t from)
{
    struct wz_frame_record record;
    size_t n = from;

    for (size_t i = 0; i < runs->count; i++) {
        const struct wz_block_run *run = &runs->ring[(runs->head + i) & (runs->cap - 1)];

        assert_in_range(run->to, run->from + 1, run->block->count);
        for (uint32_t at = run->from; at < run->to; at++, n++) {
            wz_block_get(run->block, at, &record);
            assert_int_equal(record.offset, model->offsets[n]);
            assert_int_equal(record.opens, model->opens[n]);
        }
    }
    return n - from;
}

static size_t bytes_of(const struct wz_input_runs *runs)
{
    size_t bytes = 0;

    for (size_t i = 0; i < runs->count; i++)
        bytes += wz_block_run_bytes(&runs->ring[(runs->head + i) & (runs->cap - 1)]).len;
    return bytes;
}

// What is in the lists, in order.
static void check(const struct wz_input_queue *queue, const struct model *model)
{
    assert_int_equal(queue->count, model->count);
    assert_int_equal(queue->sent_count, model->sent);
    assert_int_equal(first_offset(queue), model->count > 0 ? model->offsets[0] : -1);
    assert_int_equal(check_runs(&queue->sent, model, 0), model->sent);
    assert_int_equal(check_runs(&queue->waiting, model, model->sent), model->count - model->sent);
    assert_int_equal(wz_input_queue_sent_bytes(queue), bytes_of(&queue->sent));
    assert_int_equal(wz_input_queue_bytes(queue),
                     bytes_of(&queue->sent) + bytes_of(&queue->waiting));
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

// Adds a run of records of a block that another queue may hold too.
static void push_shared(struct wz_input_queue *queue, struct wz_input_queue *witness,
                        struct model *model, int64_t *end, unsigned *seed)
{
    struct wz_block *block = wz_block_new(0, WZ_BLOCK_BYTES);
    struct wz_block_run run = {.block = block, .to = 1 + (uint32_t)rand_r(seed) % 8};

    for (uint32_t i = 0; i < run.to; i++) {
        struct wz_frame_record record = {.offset = *end, .lane = (uint8_t)(*end % 5)};

        assert_true(wz_block_add(block, &record));
        model_insert(model, model->count, (*end)++, false);
    }
    wz_input_queue_push_run(queue, &run);
    if (rand_r(seed) % 2 == 0)
        wz_input_queue_push_run(witness, &run);
    wz_block_unref(block);
}

// Nothing that another queue does shows in the records of this one.
static void check_witness(struct wz_input_queue *witness)
{
    struct wz_frame_record record;
    int64_t last = -1;

    while (wz_input_queue_first(witness, &record)) {
        assert_true(record.offset > last);
        assert_false(record.opens);
        last = record.offset;
        wz_input_queue_shift(witness);
    }
}

static void drop_run(struct wz_input_queue *queue, struct model *model, unsigned *seed)
{
    struct wz_block_run run;
    uint32_t count;

    assert_true(wz_input_queue_front(queue, &run));
    count = 1 + (uint32_t)rand_r(seed) % wz_block_run_count(&run);
    wz_input_queue_drop(queue, count);
    model->sent -= count;
    while (count-- > 0)
        model_remove(model, 0);
}

// Against lists: pushes, takes, answers, crashes, lanes that are sifted out and put back.
static void test_input_queue_holds_against_a_naive_model(void **state)
{
    static struct model model;
    struct wz_input_queue queue = {0};
    struct wz_input_queue witness = {0};
    struct wz_pieces out = {0};
    int64_t end = 0;
    unsigned seed = 20260101;

    (void)state;
    for (int step = 0; step < 60000; step++) {
        int dice = rand_r(&seed) % 100;
        uint8_t lane = (uint8_t)(rand_r(&seed) % 5);

        if (dice < 1) {
            push_shared(&queue, &witness, &model, &end, &seed);
        } else if (dice < 38) {
            push(&queue, end, (size_t)(rand_r(&seed) % 300));
            model_insert(&model, model.count, end++, false);
        } else if (dice < 60) {
            wz_pieces_clear(&out);
            model.sent += wz_input_queue_take(&queue, (size_t)(rand_r(&seed) % 2000), 8, &out);
        } else if (dice < 62 && model.sent > 0) {
            drop_run(&queue, &model, &seed);
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
    check_witness(&witness);
    wz_pieces_release(&out);
    wz_input_queue_release(&witness);
    wz_input_queue_release(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_queue_take_gives_runs_of_whole_records),
        cmocka_unit_test(test_input_queue_rewind_makes_unanswered_records_wait_again),
        cmocka_unit_test(test_input_queue_walk_passes_what_the_worker_holds),
        cmocka_unit_test(test_input_queue_append_moves_what_waits_elsewhere),
        cmocka_unit_test(test_input_queue_marks_a_record_for_itself_alone),
        cmocka_unit_test(test_input_queue_holds_against_a_naive_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
