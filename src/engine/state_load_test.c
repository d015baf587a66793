// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/lane.h"
#include "engine/rig_test.h"
#include "engine/state_load.h"

#define KEYS 9000

// What a worker has got: how often each key.
struct got {
    struct wz_state_load *load;
    int counts[KEYS];
    int wrong;
    int frames;
    int free_at; // after so many frames it is freed; 0: at the end
    bool done;
    int err;
};

static void put_keys(struct rig *rig, struct wz_account *account, int count, int round)
{
    int64_t unused;

    for (int key = 0; key < count; key++) {
        char name[32];
        char value[32];
        struct wz_frame_entry entry = {.lane = (uint8_t)(key % (WZ_LANE_SHARED + 1))};

        while (!wz_journal_ready(rig->journal))
            rig_turn(rig);
        wz_journal_begin(rig->journal);
        (void)snprintf(name, sizeof(name), "%d", key);
        (void)snprintf(value, sizeof(value), "\"value %d\"", key + round);
        entry.key = wz_slice_str(name);
        entry.value = wz_slice_str(value);
        wz_account_change(account, &entry);
        wz_journal_end(rig->journal, &unused);
    }
}

static void take_entry(struct got *got, const struct wz_frame_entry *entry)
{
    char text[64];
    int key;

    (void)snprintf(text, sizeof(text), "%.*s", WZ_SLICE_FMT(entry->key));
    key = (int)strtol(text, NULL, 10);
    got->counts[key]++;
    (void)snprintf(text, sizeof(text), "\"value %d\"", key);
    if (!wz_slice_eq(entry->value, wz_slice_str(text)) || entry->lane != key % (WZ_LANE_SHARED + 1))
        got->wrong++;
}

static void on_got(void *arg, struct wz_slice frames, bool done, int err)
{
    struct got *got = arg;
    struct wz_frame_entry entry;
    struct wz_frame_iter it;
    struct wz_frame frame;
    size_t len;

    for (size_t at = 0; at < frames.len; at += len) {
        assert_int_equal(wz_frame_read(wz_slice_sub(frames, at, frames.len - at), &frame, &len),
                         WZ_OK);
        assert_int_equal(frame.type, WZ_FRAME_STATE);
        assert_int_equal(wz_frame_iter_init(&it, frame.payload), WZ_OK);
        while (wz_frame_next_entry(&it, &entry) == WZ_OK)
            take_entry(got, &entry);
    }
    got->frames++;
    got->done = done || err < 0;
    got->err = err;
    if (got->free_at == got->frames) {
        wz_state_load_free(got->load); // from inside
        got->load = NULL;
        got->done = true;
    }
}

static void load(struct rig *rig, struct wz_account *account, int worker, int count,
                 struct got *got, void (*between)(struct rig *rig))
{
    got->done = false;
    got->frames = 0;
    got->load = wz_state_load_new(&rig->loop, account, worker, count, on_got, got);
    wz_state_load_next(got->load);
    while (!got->done) {
        int frames = got->frames;

        while (got->frames == frames)
            rig_turn(rig);
        if (got->done)
            break;
        if (between)
            between(rig);
        wz_state_load_next(got->load);
    }
    wz_state_load_free(got->load);
}

static void test_state_load_gives_a_worker_its_lanes(void **state)
{
    static struct got got;
    struct rig *rig = *state;
    struct wz_account *account = wz_accounts_use(rig->accounts, "probe");

    put_keys(rig, account, KEYS, 0);
    rig_settle(rig);
    for (int worker = 0; worker < 3; worker++) {
        load(rig, account, worker, 3, &got, NULL);
        for (int key = 0; key < KEYS; key++) {
            int lane = key % (WZ_LANE_SHARED + 1);

            assert_int_equal(got.counts[key], lane < WZ_LANE_COUNT && lane % 3 <= worker);
        }
    }
    load(rig, account, 0, 1, &got, NULL); // a single one has what is the script's, and no lane's
    for (int key = 0; key < KEYS; key++)
        assert_int_equal(got.counts[key], 1);
    assert_int_equal(got.wrong, 0);
    assert_int_equal(got.err, WZ_OK);
}

static void test_state_load_of_no_state_is_done_at_once(void **state)
{
    struct got got = {0};
    struct rig *rig = *state;

    got.load =
        wz_state_load_new(&rig->loop, wz_accounts_use(rig->accounts, "probe"), 0, 1, on_got, &got);
    wz_state_load_next(got.load);
    assert_true(got.done);
    assert_int_equal(got.frames, 1);
    wz_state_load_free(got.load);
}

// Another script's churn: the segments with the state are compacted while it is read.
static void churn(struct rig *rig)
{
    struct wz_account *other = wz_accounts_use(rig->accounts, "other");
    struct wz_journal_info info;
    int64_t compactions;

    wz_journal_info(rig->journal, &info);
    compactions = info.compactions;
    for (int round = 0; round < 200; round++)
        put_keys(rig, other, 500, round);
    other->used = false;
    for (int i = 0; i < 300 || (info.compactions == compactions && i < 100000); i++) {
        rig_turn(rig);
        wz_journal_info(rig->journal, &info);
    }
    rig_settle(rig);
}

static void test_state_load_finds_entries_that_compaction_moves(void **state)
{
    static struct got got;
    struct rig *rig = *state;
    struct wz_account *account;
    struct wz_journal_info before;
    struct wz_journal_info after;

    rig->segment_bytes = 65536;
    rig->compact_bytes = 65536;
    rig->start_journal = true;
    rig_reopen(rig);
    account = wz_accounts_use(rig->accounts, "probe");
    put_keys(rig, account, KEYS, 0);
    rig_settle(rig);
    wz_journal_info(rig->journal, &before);
    memset(&got, 0, sizeof(got));
    load(rig, account, 0, 2, &got, churn);
    wz_journal_info(rig->journal, &after);
    assert_true(after.compactions > before.compactions);
    assert_int_equal(got.err, WZ_OK);
    assert_int_equal(got.wrong, 0);
    for (int key = 0; key < KEYS; key++) {
        int lane = key % (WZ_LANE_SHARED + 1);

        assert_int_equal(got.counts[key], lane < WZ_LANE_COUNT && lane % 2 == 0);
    }
}

static void test_state_load_may_be_freed_at_any_time(void **state)
{
    static struct got got;
    struct rig *rig = *state;
    struct wz_account *account = wz_accounts_use(rig->accounts, "probe");

    put_keys(rig, account, KEYS, 0);
    rig_settle(rig);
    memset(&got, 0, sizeof(got));
    got.free_at = 1;
    load(rig, account, 0, 2, &got, NULL);
    assert_int_equal(got.frames, 1);
    got.load = wz_state_load_new(&rig->loop, account, 0, 2, on_got, &got);
    wz_state_load_next(got.load);
    wz_state_load_free(got.load); // while it reads
    wz_state_load_free(NULL);
    for (int i = 0; i < 20; i++)
        rig_turn(rig);
    assert_int_equal(got.frames, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_state_load_gives_a_worker_its_lanes),
        TEST(test_state_load_of_no_state_is_done_at_once),
        TEST(test_state_load_finds_entries_that_compaction_moves),
        TEST(test_state_load_may_be_freed_at_any_time),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
