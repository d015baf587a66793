// SPDX-License-Identifier: Apache-2.0
// The order in which records reach workers, against a model of what workers do.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/patience_test.h"
#include "engine/lane.h"
#include "engine/rig_test.h"

#define RECORDS_MAX 20000
#define WORKERS_MAX 3

// A record with a worker.
struct held {
    int64_t offset;
    int64_t number;
    uint8_t lane;
    bool opens;
};

// A worker: what it holds, and the lanes whose records it defers.
struct model_worker {
    struct held held[RECORDS_MAX];
    size_t count;
    bool defers[WZ_LANE_COUNT];
};

// The workers, and what has become of each record.
struct model {
    struct rig *rig;
    struct wz_inputs inputs;
    struct wz_script_document document;
    struct model_worker workers[WORKERS_MAX];
    uint8_t lanes[RECORDS_MAX]; // by number
    bool answered[RECORDS_MAX];
    int64_t now_us;
    int64_t calls;
    int64_t deferred;
    int64_t given_up;
};

static void begin(struct model *model, struct rig *rig, int workers)
{
    json_t *body = json_pack("{s:s, s:i, s:[{s:s}]}", "code", "x", "workers", workers, "bindings",
                             "pattern", "in.#");
    struct wz_position positions[WZ_SCRIPT_STREAM_COUNT] = {{.base = 0}, {.base = -1}};

    memset(model, 0, sizeof(*model));
    model->rig = rig;
    model->inputs.options = rig_inputs_options(rig, model);
    model->inputs.options.source.window_bytes = 16384;
    wz_script_document_init(&model->document, body);
    json_decref(body);
    assert_int_equal(wz_inputs_bind(&model->inputs, &model->document, positions), WZ_OK);
}

static void end(struct model *model)
{
    wz_inputs_close(&model->inputs);
    wz_script_document_release(&model->document);
}

static void feed(struct model *model, int count)
{
    for (int i = 0; i < count; i++) {
        char topic[32];

        (void)snprintf(topic, sizeof(topic), "in.%d", rand_r(&model->rig->seed) % 12);
        model->lanes[model->rig->fed] = wz_lane_of(wz_slice_str(topic));
        rig_feed(model->rig, topic, 1);
    }
}

static void gather(struct wz_pieces *pieces, struct wz_buf *out)
{
    while (!wz_pieces_empty(pieces)) {
        uv_buf_t bytes;
        size_t len;

        assert_int_equal(wz_pieces_vector(pieces, &bytes, 1, &len), 1);
        wz_buf_add(out, bytes.base, len);
        wz_pieces_consume(pieces, len);
    }
}

// Gives a worker what it is to have.
static void give(struct model *model, int number)
{
    WZ_AUTO(wz_pieces_release) struct wz_pieces pieces = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf out = {0};
    struct model_worker *worker = &model->workers[number];
    struct wz_frame_record record;
    struct wz_frame_iter it;
    struct wz_frame frame;
    size_t len;

    wz_inputs_refill(&model->inputs);
    wz_inputs_give(&model->inputs, number, &pieces);
    gather(&pieces, &out);
    for (size_t at = 0; at < out.len; at += len) {
        assert_int_equal(wz_frame_read(wz_slice(out.ptr + at, out.len - at), &frame, &len), WZ_OK);
        assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
        while (wz_frame_next_record(&it, &record) == WZ_OK) {
            assert_int_equal(wz_lane_worker(record.lane, model->inputs.worker_count), number);
            worker->held[worker->count++] = (struct held){
                .offset = record.offset,
                .number = rig_number(record.body),
                .lane = record.lane,
                .opens = record.opens,
            };
        }
    }
    assert_int_equal(worker->count, wz_inputs_held(&model->inputs, number));
}

// It is called: all before it in its lane must be answered, and it must not.
static void check_call(struct model *model, const struct held *held)
{
    assert_int_equal(model->lanes[held->number], held->lane);
    assert_false(model->answered[held->number]);
    for (int64_t i = held->number - 1; i >= 0; i--)
        if (model->lanes[i] == held->lane) {
            assert_true(model->answered[i]);
            break;
        }
    model->calls++;
}

// A worker answers what it was given first.
static void answer(struct model *model, int number)
{
    struct model_worker *worker = &model->workers[number];
    struct held held = worker->held[0];
    struct wz_frame_record record;
    int dice = rand_r(&model->rig->seed) % 100;

    if (worker->count == 0)
        return;
    memmove(worker->held, worker->held + 1, --worker->count * sizeof(held));
    assert_true(wz_inputs_first(&model->inputs, number, &record));
    assert_int_equal(record.offset, held.offset);
    if (held.opens)
        worker->defers[held.lane] = false;
    if (worker->defers[held.lane]) {
        assert_int_equal(wz_inputs_defer(&model->inputs, number), WZ_OK);
        model->deferred++;
        return;
    }
    check_call(model, &held);
    if (dice < 85) {
        wz_inputs_answer(&model->inputs, number);
        model->answered[held.number] = true;
        return;
    }
    worker->defers[held.lane] = true;
    if (dice < 97 && wz_inputs_attempts(&model->inputs, &record) < 3) {
        wz_inputs_fail(&model->inputs, number, model->now_us, rand_r(&model->rig->seed) % 50);
        return;
    }
    wz_inputs_give_up(&model->inputs, number);
    model->answered[held.number] = true;
    model->given_up++;
}

static void forget_worker(struct model *model, int number)
{
    model->workers[number].count = 0;
    memset(model->workers[number].defers, 0, sizeof(model->workers[number].defers));
}

static void die(struct model *model, int number)
{
    struct wz_frame_record record;

    if (wz_inputs_blame(&model->inputs, number, &record)) {
        int64_t n = rig_number(record.body);

        assert_false(model->answered[n]);
        model->answered[n] = true;
        model->given_up++;
        wz_inputs_give_up(&model->inputs, number);
    }
    forget_worker(model, number);
    wz_inputs_rewind(&model->inputs, number);
}

// As when the script is deployed anew, or wyze started anew: with other workers, from the
// positions.
static void restart(struct model *model)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_position positions[WZ_SCRIPT_STREAM_COUNT];
    int64_t ends[WZ_SCRIPT_STREAM_COUNT];
    struct wz_cursor cur;

    wz_inputs_put_positions(&model->inputs, &buf, ends);
    cur = wz_cursor(wz_buf_slice(&buf));
    assert_int_equal(wz_cursor_get_u8(&cur), WZ_SCRIPT_STREAM_COUNT);
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++)
        wz_position_get(&cur, &positions[i]);
    assert_false(cur.failed);
    for (int i = 0; i < model->inputs.worker_count; i++)
        forget_worker(model, i);
    model->document.workers = 1 + rand_r(&model->rig->seed) % WORKERS_MAX;
    assert_int_equal(wz_inputs_bind(&model->inputs, &model->document, positions), WZ_OK);
}

static void step(struct model *model)
{
    int dice = rand_r(&model->rig->seed) % 1000;
    int number = rand_r(&model->rig->seed) % model->inputs.worker_count;

    model->now_us += rand_r(&model->rig->seed) % 10;
    if (dice < 100 && model->rig->fed < RECORDS_MAX - 400)
        feed(model, dice == 0 ? 300 : dice % 8);
    else if (dice < 300)
        give(model, number);
    else if (dice < 900)
        answer(model, number);
    else if (dice < 960)
        (void)wz_inputs_open_lanes(&model->inputs,
                                   model->now_us); // when the next is does not matter
    else if (dice < 990)
        (void)uv_run(&model->rig->loop.uv, UV_RUN_NOWAIT);
    else if (dice < 995)
        die(model, number);
    else if (dice < 997)
        restart(model);
}

static void run_model(struct rig *rig, int workers)
{
    static struct model model;

    begin(&model, rig, workers);
    for (int i = 0; i < 40000; i++)
        step(&model);
    for (int64_t end_us = wz_clock_mono_us() + patience_us();
         wz_inputs_lag(&model.inputs) > 0 && wz_clock_mono_us() < end_us;) {
        model.now_us += 100;
        for (int i = 0; i < model.inputs.worker_count; i++) {
            give(&model, i);
            while (model.workers[i].count > 0)
                answer(&model, i);
        }
        (void)wz_inputs_open_lanes(&model.inputs, model.now_us);
        rig_turn(rig);
    }
    assert_int_equal(wz_inputs_lag(&model.inputs), 0);
    for (int64_t i = 0; i < rig->fed; i++)
        assert_true(model.answered[i]);
    assert_in_range(model.calls, 1000, RECORDS_MAX * 4);
    assert_in_range(model.deferred, 10, RECORDS_MAX * 4);
    assert_in_range(model.given_up, 1, RECORDS_MAX);
    end(&model);
}

static void test_inputs_keep_the_order_of_each_lane_with_one_worker(void **state)
{
    run_model(*state, 1);
}

static void test_inputs_keep_the_order_of_each_lane_with_several_workers(void **state)
{
    run_model(*state, WORKERS_MAX);
}

static void test_inputs_count_the_failures_of_one_record_alone(void **state)
{
    static struct model model;
    struct wz_frame_record record;

    begin(&model, *state, 1);
    rig_feed(*state, "in.a", 2);
    while (wz_inputs_held(&model.inputs, 0) < 2) {
        give(&model, 0);
        rig_turn(*state);
    }
    wz_inputs_fail(&model.inputs, 0, 0, 5);
    assert_int_equal(wz_inputs_defer(&model.inputs, 0), WZ_OK);
    model.workers[0].count = 0;
    assert_int_equal(wz_inputs_open_lanes(&model.inputs, 4), 5);
    give(&model, 0);
    assert_int_equal(wz_inputs_held(&model.inputs, 0),
                     0); // it waits, and so does what is behind it
    assert_int_equal(wz_inputs_open_lanes(&model.inputs, 5), -1);
    give(&model, 0);
    assert_true(model.workers[0].held[0].opens);
    assert_false(model.workers[0].held[1].opens);
    assert_true(wz_inputs_first(&model.inputs, 0, &record));
    assert_int_equal(wz_inputs_attempts(&model.inputs, &record), 1);
    wz_inputs_answer(&model.inputs, 0);
    // Another of that offset, from another stream or out of quarantine, has not failed.
    assert_int_equal(wz_inputs_attempts(&model.inputs, &record), 0);
    end(&model);
}

static void test_inputs_do_not_take_deferred_for_a_lane_that_does_not_wait(void **state)
{
    static struct model model;

    begin(&model, *state, 1);
    assert_int_equal(wz_inputs_defer(&model.inputs, 0), WZ_ERR_PROTOCOL); // it holds nothing
    rig_feed(*state, "in.a", 1);
    while (wz_inputs_held(&model.inputs, 0) < 1) {
        give(&model, 0);
        rig_turn(*state);
    }
    assert_int_equal(wz_inputs_defer(&model.inputs, 0), WZ_ERR_PROTOCOL);
    end(&model);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_inputs_keep_the_order_of_each_lane_with_one_worker),
        TEST(test_inputs_keep_the_order_of_each_lane_with_several_workers),
        TEST(test_inputs_count_the_failures_of_one_record_alone),
        TEST(test_inputs_do_not_take_deferred_for_a_lane_that_does_not_wait),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
