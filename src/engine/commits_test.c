// SPDX-License-Identifier: Apache-2.0
// Steps against a real journal and real streams; the test is the worker.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/commits.h"
#include "engine/rig_test.h"
#include "engine/state_load.h"

#define NAME "probe"

// A script without a process.
struct probe {
    struct rig *rig;
    struct wz_account *account;
    struct wz_egress egress;
    struct wz_commits commits;
    struct wz_inputs inputs;
    struct wz_script_document document;
    int64_t n; // its state: how many inputs there were
    struct wz_state_load *load;
    bool loading;
    int advanced;
};

static void on_advanced(void *arg) { ((struct probe *)arg)->advanced++; }

static void on_durable(void *arg)
{
    struct probe *probe = arg;

    wz_commits_advance(&probe->commits);
}

static void on_state(void *arg, struct wz_slice frames, bool done, int err)
{
    struct probe *probe = arg;
    struct wz_frame_entry entry;
    struct wz_frame_iter it;
    struct wz_frame frame;
    size_t len;

    assert_int_equal(err, WZ_OK);
    for (size_t at = 0; at < frames.len; at += len) {
        assert_int_equal(wz_frame_read(wz_slice_sub(frames, at, frames.len - at), &frame, &len),
                         WZ_OK);
        assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
        while (wz_frame_next_entry(&it, &entry) == WZ_OK)
            if (wz_slice_eq(entry.key, WZ_SLICE_LIT("n"))) {
                char text[32];

                (void)snprintf(text, sizeof(text), "%.*s", WZ_SLICE_FMT(entry.value));
                probe->n = strtoll(text, NULL, 10);
            }
    }
    probe->loading = !done;
    if (!done)
        wz_state_load_next(probe->load);
}

static void load_state(struct probe *probe)
{
    while (!wz_commits_written(&probe->commits, wz_commits_mark(&probe->commits)))
        rig_turn(probe->rig);
    probe->n = 0;
    probe->loading = true;
    probe->load = wz_state_load_new(&probe->rig->loop, probe->account, 0, 1, on_state, probe);
    wz_state_load_next(probe->load);
    while (probe->loading)
        rig_turn(probe->rig);
    wz_state_load_free(probe->load);
}

// Begins, or goes on after a crash, as a script does.
static void begin(struct probe *probe, struct rig *rig)
{
    json_t *body = json_pack("{s:s, s:[{s:s}]}", "code", "x", "bindings", "pattern", "in.#");
    struct wz_commits_options options = {.durable = true,
                                         .advanced = on_advanced,
                                         .busy = on_advanced, // the rig's tick goes on
                                         .arg = probe};

    *probe = (struct probe){.rig = rig};
    probe->egress = (struct wz_egress){.bus = rig->bus, .script = WZ_SLICE_LIT(NAME)};
    probe->account = wz_accounts_use(rig->accounts, NAME);
    options.journal = rig->journal;
    options.egress = &probe->egress;
    options.account = probe->account;
    memcpy(options.logs, rig->logs, sizeof(rig->logs));
    wz_commits_init(&probe->commits, &options,
                    wz_accounts_projection(rig->accounts, probe->account));
    rig->durable = on_durable;
    rig->durable_arg = probe;
    wz_commits_advance(&probe->commits);
    probe->inputs.options = rig_inputs_options(rig, probe);
    wz_script_document_init(&probe->document, body);
    json_decref(body);
    load_state(probe);
    assert_int_equal(wz_inputs_bind(&probe->inputs, &probe->document, probe->account->positions),
                     WZ_OK);
    probe->commits.stale = true;
    wz_commits_keep_positions(&probe->commits, &probe->inputs);
}

static void end(struct probe *probe)
{
    probe->rig->durable = NULL;
    wz_inputs_close(&probe->inputs);
    wz_commits_release(&probe->commits);
    wz_script_document_release(&probe->document);
    probe->account->used = false;
}

static void emit(struct probe *probe, const struct wz_cause *cause, size_t len)
{
    WZ_AUTO(wz_buf_release) struct wz_buf body = {0};
    struct wz_frame_item item = {
        .kind = WZ_FRAME_ITEM_EMIT, .persistent = true, .topic = WZ_SLICE_LIT("out")};

    wz_buf_addf(&body, "%lld", (long long)probe->n);
    while (body.len < len)
        wz_buf_add_byte(&body, ' ');
    item.body = wz_buf_slice(&body);
    wz_commits_output(&probe->commits, &item, cause);
}

static void change(struct probe *probe, const char *key, size_t len)
{
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    struct wz_frame_entry entry = {.lane = WZ_LANE_SHARED, .key = wz_slice_str(key)};

    wz_buf_addf(&value, "%lld", (long long)probe->n);
    while (value.len < len)
        wz_buf_add_byte(&value, ' ');
    entry.value = wz_buf_slice(&value);
    wz_commits_change(&probe->commits, &entry);
}

// How large the answers are.
struct sizes {
    size_t output;
    size_t value; // of further changes, COUNT of them
    int count;
};

// Answers up to MAX records in one frame: each counts up, and emits its number.
static int work(struct probe *probe, int max, const struct sizes *sizes)
{
    WZ_AUTO(wz_pieces_release) struct wz_pieces out = {0};
    struct wz_frame_record record;
    struct wz_cause cause;
    int count = 0;

    wz_inputs_refill(&probe->inputs);
    wz_inputs_give(&probe->inputs, 0, &out);
    while (count < max && wz_inputs_first(&probe->inputs, 0, &record)) {
        wz_cause_init(&cause, &record);
        probe->n++;
        emit(probe, &cause, sizes->output);
        wz_inputs_answer(&probe->inputs, 0);
        count++;
    }
    if (count > 0)
        change(probe, "n", 0);
    for (int i = 0; count > 0 && i < sizes->count; i++) {
        char key[32];

        (void)snprintf(key, sizeof(key), "k%d", i);
        change(probe, key, sizes->value);
    }
    wz_commits_close(&probe->commits, &probe->inputs);
    return count;
}

static bool is_idle(struct rig *rig, int64_t num)
{
    struct probe *probe = rig->durable_arg;

    (void)num;
    return wz_commits_idle(&probe->commits);
}

// Waits until all of raw-stream is durable.
static void settle_raw(struct rig *rig)
{
    while (wz_log_durable_end(rig->logs[0]) < wz_log_next_offset(rig->logs[0]))
        rig_turn(rig);
}

static const struct sizes small = {0};

static void test_commits_publish_a_step_when_it_is_durable(void **state)
{
    struct rig *rig = *state;
    struct probe probe;

    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    rig->hold_journal = true;
    rig_feed(rig, "in.a", 3);
    rig_settle(rig);
    assert_int_equal(work(&probe, 10, &small), 3);
    for (int i = 0; i < 20; i++)
        rig_turn(rig);
    assert_int_equal(rig->output_count, 0); // it is put and not durable
    assert_false(wz_commits_idle(&probe.commits));
    rig->hold_journal = false;
    rig_run_until(rig, is_idle, 0);
    rig_assert_counted(rig, 0, 3);
    assert_string_equal(rig->outputs[0].commit, "1.2.0");
    assert_string_equal(rig->outputs[2].commit, "1.2.2");
    end(&probe);
}

static void test_commits_put_a_step_when_its_inputs_are_durable(void **state)
{
    struct rig *rig = *state;
    struct probe probe;
    int64_t end_offset;

    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    rig->hold[WZ_SCRIPT_RAW] = true;
    rig_feed(rig, "in.a", 3);
    end_offset = wz_log_next_offset(wz_journal_log(rig->journal));
    assert_int_equal(work(&probe, 10, &small), 3);
    for (int i = 0; i < 20; i++)
        rig_turn(rig);
    assert_int_equal(wz_log_next_offset(wz_journal_log(rig->journal)), end_offset);
    rig->hold[WZ_SCRIPT_RAW] = false;
    rig_run_until(rig, is_idle, 0);
    assert_true(wz_log_next_offset(wz_journal_log(rig->journal)) > end_offset);
    rig_assert_counted(rig, 0, 3);
    end(&probe);
}

static void test_commits_take_frames_that_wait_as_one_step(void **state)
{
    struct rig *rig = *state;
    struct probe probe;

    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    rig->hold[WZ_SCRIPT_RAW] = true;
    rig_feed(rig, "in.a", 1);
    assert_int_equal(work(&probe, 1, &small), 1); // this one is waited for
    for (int i = 0; i < 5; i++) {
        rig_feed(rig, "in.a", 2);
        assert_int_equal(work(&probe, 2, &small), 2);
    }
    rig->hold[WZ_SCRIPT_RAW] = false;
    rig_run_until(rig, is_idle, 0);
    rig_assert_counted(rig, 0, 11);
    assert_string_equal(rig->outputs[0].commit, "1.2.0");
    assert_string_equal(rig->outputs[1].commit, "1.3.0");
    assert_string_equal(rig->outputs[10].commit, "1.3.9");
    end(&probe);
}

// Under steady load there is always an input that is not durable yet.
static void test_commits_go_on_while_more_keeps_coming(void **state)
{
    struct rig *rig = *state;
    struct probe probe;

    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    for (int i = 0; i < 300; i++) {
        rig->hold[WZ_SCRIPT_RAW] = true;
        rig_feed(rig, "in.a", 1);
        assert_int_equal(work(&probe, 1, &small), 1);
        rig_turn(rig);
        rig->hold[WZ_SCRIPT_RAW] = false;
        wz_log_flush(rig->logs[WZ_SCRIPT_RAW]);
        rig->hold[WZ_SCRIPT_RAW] = true;
        rig_feed(rig, "in.a", 1); // answered before the first is durable
        assert_int_equal(work(&probe, 1, &small), 1);
        rig_turn(rig);
    }
    assert_in_range(rig->output_count, 300, 600);
    rig->hold[WZ_SCRIPT_RAW] = false;
    rig_run_until(rig, is_idle, 0);
    rig_assert_counted(rig, 0, 600);
    end(&probe);
}

static void test_commits_wait_for_a_busy_bus_in_order(void **state)
{
    struct rig *rig = *state;
    struct probe probe;

    begin(&probe, rig);
    rig->busy_every = 3;
    for (int i = 0; i < 50; i++) {
        rig_feed(rig, "in.a", 5);
        (void)work(&probe, 4, &small);
        rig_turn(rig);
        wz_commits_advance(&probe.commits);
    }
    while (work(&probe, 4, &small) > 0)
        wz_commits_advance(&probe.commits);
    while (!wz_commits_idle(&probe.commits)) {
        wz_commits_advance(&probe.commits);
        rig_turn(rig);
    }
    assert_in_range(rig->busy_count, 50, 1000);
    rig_assert_counted(rig, 0, 250);
    end(&probe);
}

static void test_commits_have_room_for_so_much_on_its_way(void **state)
{
    struct rig *rig = *state;
    const struct sizes large = {.output = 300000};
    struct probe probe;
    int frames = 0;

    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    rig->busy_every = 1;
    while (wz_commits_ready(&probe.commits)) {
        rig_feed(rig, "in.a", 1);
        settle_raw(rig);
        frames += work(&probe, 1, &large);
    }
    assert_in_range(frames, WZ_COMMITS_MAX_BYTES / 300000, WZ_COMMITS_MAX_BYTES / 300000 + 2);
    rig->busy_every = 0;
    wz_commits_advance(&probe.commits);
    rig_run_until(rig, is_idle, 0);
    assert_int_equal(probe.commits.bytes, 0);
    rig_assert_counted(rig, 0, frames);
    end(&probe);
}

static void test_commits_count_a_small_step_for_what_it_takes(void **state)
{
    struct rig *rig = *state;
    struct probe probe;

    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    rig->hold_journal = true; // what is put does not become durable
    for (int i = 0; i < 20; i++) {
        rig_feed(rig, "in.a", 1);
        settle_raw(rig);
        assert_int_equal(work(&probe, 1, &small), 1);
    }
    assert_true(probe.commits.bytes > (size_t)20 * 1024);
    rig->hold_journal = false;
    rig_run_until(rig, is_idle, 0);
    assert_int_equal(probe.commits.bytes, 0);
    end(&probe);
}

// Goes on until all is counted, and holds it against the inputs.
static void finish(struct probe *probe)
{
    struct rig *rig = probe->rig;

    rig->busy_every = 0;
    while (probe->n < rig->fed) {
        (void)work(probe, 100, &small);
        rig_turn(rig);
    }
    while (!wz_commits_idle(&probe->commits)) {
        wz_commits_advance(&probe->commits);
        rig_turn(rig);
    }
    rig_assert_counted(rig, 0, rig->fed);
}

// Crashes at any point of steps of any size.
static void crash_often(struct rig *rig, int rounds, const struct sizes *max)
{
    struct probe probe;

    print_message("seed %u\n", rig->seed);
    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0); // where it begins is kept
    for (int round = 0; round < rounds; round++) {
        struct sizes sizes = {0};

        if (rand_r(&rig->seed) % 3 == 0)
            sizes = (struct sizes){
                .output = max->output > 0 ? (size_t)rand_r(&rig->seed) % max->output : 0,
                .value = max->value,
                .count = max->count > 0 ? rand_r(&rig->seed) % max->count : 0};
        rig->busy_every = rand_r(&rig->seed) % 6;
        rig->hold_journal = rand_r(&rig->seed) % 4 == 0;
        rig->hold[WZ_SCRIPT_PROCESSED] = rand_r(&rig->seed) % 4 == 0;
        rig_feed(rig, rand_r(&rig->seed) % 2 ? "in.a" : "in.b", rand_r(&rig->seed) % 6);
        (void)work(&probe, rand_r(&rig->seed) % 8, &sizes);
        for (int turns = rand_r(&rig->seed) % 4; turns > 0; turns--) {
            rig_turn(rig);
            wz_commits_advance(&probe.commits);
        }
        if (rand_r(&rig->seed) % 4 != 0)
            continue;
        settle_raw(rig); // a message that is not durable may go with the crash
        rig->hold_journal = false;
        end(&probe);
        rig_crash(rig);
        begin(&probe, rig);
    }
    rig->hold_journal = false;
    rig->hold[WZ_SCRIPT_PROCESSED] = false;
    finish(&probe);
    end(&probe);
    rig_crash(rig);
    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    assert_int_equal(probe.n, rig->fed);
    rig_assert_counted(rig, 0, rig->fed);
    end(&probe);
}

static void test_commits_count_each_input_once_whenever_it_crashes(void **state)
{
    crash_often(*state, 150, &small);
}

static void test_commits_of_several_groups_count_once_whenever_it_crashes(void **state)
{
    crash_often(*state, 24, &(struct sizes){.output = 900000, .value = 80000, .count = 50});
}

static void test_commits_of_many_changes_are_there_whole_or_not_at_all(void **state)
{
    struct rig *rig = *state;
    const struct sizes many = {.value = 1, .count = 70000}; // more than a group has records
    struct probe probe;
    bool there = false;

    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    for (int round = 0; round < 18; round++) {
        int64_t n = probe.n;

        rig_feed(rig, "in.a", 1);
        rig_settle(rig);
        while (work(&probe, 1, &many) == 0) // it is read from the stream, after a crash
            rig_turn(rig);
        rig->busy_every = 1; // nothing is published before the crash
        for (int turns = round % 6; turns > 0; turns--)
            rig_turn(rig);
        rig->busy_every = 0;
        end(&probe);
        rig_crash(rig);
        begin(&probe, rig);
        assert_in_range(probe.n, n, n + 1);
        there = there || probe.n > n;
        assert_int_equal(probe.account->state.count, there ? 70001 : probe.n > 0);
        finish(&probe);
    }
    end(&probe);
}

static void test_commits_read_back_a_large_frame_as_one(void **state)
{
    struct rig *rig = *state;
    const struct sizes large = {.output = 700000};
    struct probe probe;

    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    rig_feed(rig, "in.a", 8);
    rig_settle(rig);
    rig->busy_every = 1;
    assert_int_equal(work(&probe, 8, &large), 8); // 5.6 MB: parts of two commits if it were split
    rig_settle(rig);
    end(&probe);
    rig->busy_every = 0;
    rig_crash(rig);
    assert_int_equal(rig->output_count, 0);
    begin(&probe, rig);
    finish(&probe);
    for (size_t i = 0; i < 8; i++) {
        char commit[32];

        (void)snprintf(commit, sizeof(commit), "1.2.%zu", i);
        assert_string_equal(rig->outputs[i].commit, commit);
    }
    end(&probe);
}

static void test_commits_of_a_script_that_is_not_durable_leave_nothing_in_the_journal(void **state)
{
    struct rig *rig = *state;
    struct probe probe;
    int64_t end_offset;

    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    probe.commits.options.durable = false;
    end_offset = wz_log_next_offset(wz_journal_log(rig->journal));
    rig->hold[WZ_SCRIPT_RAW] = true; // it waits for nothing
    rig_feed(rig, "in.a", 3);
    assert_int_equal(work(&probe, 3, &small), 3);
    rig_assert_counted(rig, 0, 3);
    assert_string_equal(rig->outputs[0].commit, "");
    wz_commits_keep_positions(&probe.commits, &probe.inputs);
    assert_true(wz_commits_idle(&probe.commits));
    assert_int_equal(wz_log_next_offset(wz_journal_log(rig->journal)), end_offset);
    rig->hold[WZ_SCRIPT_RAW] = false;
    end(&probe);
}

static void test_commits_mark_is_written_whatever_comes_later(void **state)
{
    struct rig *rig = *state;
    struct probe probe;
    uint64_t mark;

    begin(&probe, rig);
    rig_feed(rig, "in.a", 1);
    (void)work(&probe, 1, &small);
    mark = wz_commits_mark(&probe.commits);
    assert_false(wz_commits_written(&probe.commits, mark));
    for (int i = 0; i < 1000 && !wz_commits_written(&probe.commits, mark); i++) {
        rig_feed(rig, "in.a", 1); // always one that is not written
        (void)work(&probe, 1, &small);
        rig_turn(rig);
    }
    assert_true(wz_commits_written(&probe.commits, mark));
    rig_run_until(rig, is_idle, 0);
    end(&probe);
}

// Another script, of which a crash finds an output to be published.
static void on_third_output(void *arg, struct rig *rig, const struct wz_message *msg)
{
    (void)msg;
    if (++*(int *)arg < 3)
        return;
    rig->busy_every = 1; // no more
    rig->busy_left = 0;
}

// Leaves two steps of two outputs each in the journal, three of the outputs on processed-stream.
static void leave_a_step_and_a_half(struct rig *rig)
{
    struct probe probe;
    int count = 0;

    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    rig_feed(rig, "in.a", 4);
    rig_settle(rig);
    rig->hold_journal = true;
    for (int i = 0; i < 2; i++) {
        (void)work(&probe, 2, &small);
        (void)wz_commits_mark(&probe.commits); // the next frame is another step
    }
    rig->published = on_third_output;
    rig->published_arg = &count;
    rig->hold_journal = false;
    while (count < 3)
        rig_turn(rig);
    rig_settle(rig);
    rig->published = NULL;
    end(&probe);
    rig_crash(rig);
    rig->busy_every = 0;
    assert_int_equal(rig->output_count, 3);
}

// The second life publishes the rest and loses it: what the first has published must be found by
// the third, though the step before it is done with.
static void test_commits_find_what_an_earlier_life_has_published_of_a_step(void **state)
{
    struct rig *rig = *state;
    struct probe probe;

    leave_a_step_and_a_half(rig);
    rig->hold[WZ_SCRIPT_PROCESSED] = true;
    begin(&probe, rig);
    probe.commits.stale = true;
    wz_commits_keep_positions(&probe.commits, &probe.inputs);
    while (!wz_commits_written(&probe.commits, wz_commits_mark(&probe.commits)))
        rig_turn(rig);
    assert_int_equal(rig->output_count, 4);
    end(&probe);
    rig_crash(rig);
    assert_int_equal(rig->output_count, 3);
    rig->hold[WZ_SCRIPT_PROCESSED] = false;
    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    rig_assert_counted(rig, 0, 4);
    end(&probe);
}

static void leave_outputs(struct rig *rig, const char *name)
{
    static const struct wz_progress none;
    struct wz_account *account = wz_accounts_use(rig->accounts, name);
    WZ_AUTO(wz_buf_release) struct wz_buf positions = {0};
    int64_t unused;

    wz_buf_add_byte(&positions, WZ_SCRIPT_STREAM_COUNT);
    wz_progress_put(&none, 0, &positions);
    wz_progress_put(&none, 0, &positions);
    wz_journal_begin(rig->journal);
    wz_account_put(account);
    wz_account_put_outputs(account, 1, 0, WZ_SLICE_LIT("not looked at"));
    wz_account_put_ledger(account, 1, wz_buf_slice(&positions));
    wz_journal_end(rig->journal, &unused);
}

// Of a number that another script had before, which is gone: what it had published is not this
// one's.
static void test_commits_of_another_script_of_that_number_are_not_taken_for_its_own(void **state)
{
    struct rig *rig = *state;
    struct wz_message old = {.topic = WZ_SLICE_LIT("old"),
                             .body = WZ_SLICE_LIT("0"),
                             .commit = WZ_SLICE_LIT("1.900.7"),
                             .offset = -1,
                             .qos = 1};
    struct wz_ticket unused;
    struct probe probe;

    assert_int_equal(wz_bus_publish(rig->bus, WZ_BUS_EGRESS, &old, &unused), WZ_OK);
    rig_settle(rig);
    begin(&probe, rig);
    rig_run_until(rig, is_idle, 0);
    leave_outputs(rig, "other"); // for which processed-stream is read from its beginning
    rig_feed(rig, "in.a", 2);
    rig_settle(rig);
    rig->busy_every = 1;
    (void)work(&probe, 2, &small);
    rig_settle(rig);
    end(&probe);
    rig->busy_every = 0;
    rig_crash(rig);
    begin(&probe, rig);
    while (!wz_commits_idle(&probe.commits))
        rig_turn(rig);
    assert_int_equal(rig->output_count, 3);
    assert_string_equal(rig->outputs[1].body, "1");
    assert_string_equal(rig->outputs[2].body, "2");
    end(&probe);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_commits_publish_a_step_when_it_is_durable),
        TEST(test_commits_put_a_step_when_its_inputs_are_durable),
        TEST(test_commits_take_frames_that_wait_as_one_step),
        TEST(test_commits_go_on_while_more_keeps_coming),
        TEST(test_commits_wait_for_a_busy_bus_in_order),
        TEST(test_commits_have_room_for_so_much_on_its_way),
        TEST(test_commits_count_a_small_step_for_what_it_takes),
        TEST(test_commits_count_each_input_once_whenever_it_crashes),
        TEST(test_commits_of_several_groups_count_once_whenever_it_crashes),
        TEST(test_commits_of_many_changes_are_there_whole_or_not_at_all),
        TEST(test_commits_read_back_a_large_frame_as_one),
        TEST(test_commits_find_what_an_earlier_life_has_published_of_a_step),
        TEST(test_commits_of_a_script_that_is_not_durable_leave_nothing_in_the_journal),
        TEST(test_commits_mark_is_written_whatever_comes_later),
        TEST(test_commits_of_another_script_of_that_number_are_not_taken_for_its_own),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
