// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/progress.h"

#define RECORDS 4000

// A stream with gaps: what was given and answered of it, and where a restart would begin.
struct model {
    int64_t offsets[RECORDS];
    uint8_t lanes[RECORDS];
    bool given[RECORDS]; // since the last start
    bool answered[RECORDS];
    size_t next; // to be given
    unsigned seed;
};

static void make_stream(struct model *model)
{
    int64_t offset = 0;

    for (size_t i = 0; i < RECORDS; i++) {
        offset += 1 + rand_r(&model->seed) % 3;
        model->offsets[i] = offset;
        model->lanes[i] = (uint8_t)(rand_r(&model->seed) % (i % 2 ? 3 : WZ_LANE_COUNT));
    }
}

// The end that a source would tell.
static int64_t end_of(const struct model *model)
{
    return model->next > 0 ? model->offsets[model->next - 1] + 1 : 0;
}

// Gives the next one unless its position says that it was answered; that must be what was.
static void give(struct model *model, struct wz_progress *progress)
{
    size_t i = model->next++;
    bool before = wz_progress_answered_before(progress, model->offsets[i], model->lanes[i]);

    assert_int_equal(before, model->answered[i]);
    if (before)
        return;
    model->given[i] = true;
    wz_progress_give(progress, model->offsets[i]);
}

static void add(struct wz_block *block, const struct model *model, size_t i)
{
    const struct wz_frame_record record = {.offset = model->offsets[i], .lane = model->lanes[i]};

    assert_true(wz_block_add(block, &record));
}

// Gives the next ones in a run, where none was answered before.
static void give_run(struct model *model, struct wz_progress *progress)
{
    size_t count = 1 + (size_t)rand_r(&model->seed) % 100;
    struct wz_block *block = wz_block_new(0, WZ_BLOCK_BYTES);
    struct wz_block_run run = {.block = block};

    if (!wz_progress_new_from(progress, model->offsets[model->next]))
        count = 0;
    for (; run.to < count && model->next < RECORDS; run.to++) {
        assert_false(model->answered[model->next]);
        add(block, model, model->next);
        model->given[model->next++] = true;
    }
    run.from = run.to / 3; // the others by themselves
    for (uint32_t i = 0; i < run.from; i++)
        wz_progress_give(progress, block->entries[i].offset);
    if (run.from < run.to)
        wz_progress_give_run(progress, &run);
    wz_block_unref(block);
}

// Answers a run: the first ones of all lanes, or of every second one.
static void answer_run(struct model *model, struct wz_progress *progress)
{
    size_t count = 1 + (size_t)rand_r(&model->seed) % 20;
    bool all = rand_r(&model->seed) % 2 == 0;
    struct wz_block *block = wz_block_new(0, WZ_BLOCK_BYTES);
    struct wz_block_run run = {.block = block};

    for (size_t i = 0; i < model->next && run.to < count; i++) {
        if (!model->given[i] || model->answered[i] || (!all && model->lanes[i] % 2 == 0))
            continue;
        model->answered[i] = true;
        add(block, model, i);
        run.to++;
    }
    if (run.to > 0)
        wz_progress_answer_run(progress, &run);
    wz_block_unref(block);
}

// Answers the first of a lane by chance.
static void answer(struct model *model, struct wz_progress *progress)
{
    uint8_t lane = (uint8_t)(rand_r(&model->seed) % WZ_LANE_COUNT);

    for (size_t i = 0; i < model->next; i++) {
        if (!model->given[i] || model->answered[i] || model->lanes[i] != lane)
            continue;
        model->answered[i] = true;
        wz_progress_answer(progress, model->offsets[i], lane);
        return;
    }
}

// As after a restart, at the position that is kept at this moment.
static void restart(struct model *model, struct wz_progress *progress)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    struct wz_position position;
    struct wz_cursor cur;

    wz_progress_put(progress, end_of(model), &buf);
    cur = wz_cursor(wz_buf_slice(&buf));
    wz_position_get(&cur, &position);
    assert_false(cur.failed);
    assert_int_equal(wz_cursor_left(&cur), 0);
    wz_progress_start(progress, &position);
    model->next = 0;
    while (model->next < RECORDS && model->offsets[model->next] < position.base) {
        assert_true(model->answered[model->next]); // it is not read again
        model->next++;
    }
    memset(model->given, 0, sizeof(model->given));
}

static void test_progress_position_covers_exactly_what_was_answered(void **state)
{
    static struct model model;
    struct wz_progress progress = {0};
    struct wz_position start = {0};

    (void)state;
    model.seed = 815;
    make_stream(&model);
    wz_progress_start(&progress, &start);
    for (int step = 0; step < 30000; step++) {
        int dice = rand_r(&model.seed) % 100;

        if (dice < 30 && model.next < RECORDS)
            give(&model, &progress);
        else if (dice < 31 && model.next < RECORDS)
            give_run(&model, &progress);
        else if (dice < 33)
            answer_run(&model, &progress);
        else if (dice < 99)
            answer(&model, &progress);
        else if (rand_r(&model.seed) % 4 == 0)
            restart(&model, &progress);
    }
    restart(&model, &progress);
    while (model.next < RECORDS)
        give(&model, &progress);
    for (size_t i = 0; i < RECORDS; i++) // all that is left, in the order of the stream
        if (!model.answered[i])
            wz_progress_answer(&progress, model.offsets[i], model.lanes[i]);
    assert_int_equal(wz_progress_base(&progress, end_of(&model)), end_of(&model));
    wz_progress_release(&progress);
}

static void test_progress_position_of_what_was_answered_in_order_names_no_lane(void **state)
{
    struct wz_progress progress = {0};
    struct wz_position start = {.base = 5};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    wz_progress_start(&progress, &start);
    wz_progress_give(&progress, 6);
    wz_progress_give(&progress, 9);
    wz_progress_answer(&progress, 6, 1);
    assert_int_equal(wz_progress_base(&progress, 10), 9);
    wz_progress_answer(&progress, 9, 2);
    wz_progress_put(&progress, 12, &buf);
    assert_int_equal(buf.len, 9);
    assert_memory_equal(buf.ptr, "\0\0\0\0\0\0\0\x0c\0", 9);
    wz_progress_release(&progress);
}

static void test_progress_refuses_a_position_that_is_cut_short_or_of_no_lane(void **state)
{
    struct wz_progress progress = {0};
    struct wz_position position = {0};
    struct wz_cursor cur;
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    wz_progress_start(&progress, &position);
    for (int64_t i = 0; i < 4; i++)
        wz_progress_give(&progress, i);
    wz_progress_answer(&progress, 3, 63);
    wz_progress_answer(&progress, 2, 7);
    wz_progress_put(&progress, 4, &buf);
    assert_int_equal(buf.len, 9 + 2 * 9);
    for (size_t len = 0; len < buf.len; len++) {
        cur = wz_cursor(wz_slice(buf.ptr, len));
        wz_position_get(&cur, &position);
        assert_true(cur.failed);
    }
    buf.ptr[9 + 9] = WZ_LANE_COUNT;
    cur = wz_cursor(wz_buf_slice(&buf));
    wz_position_get(&cur, &position);
    assert_true(cur.failed);
    wz_progress_release(&progress);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress_position_covers_exactly_what_was_answered),
        cmocka_unit_test(test_progress_position_of_what_was_answered_in_order_names_no_lane),
        cmocka_unit_test(test_progress_refuses_a_position_that_is_cut_short_or_of_no_lane),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
