// SPDX-License-Identifier: Apache-2.0
// What is read back of a script, after crashes and compactions.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/quarantine.h"
#include "engine/rig_test.h"

#define KEYS 300

static void test_account_reads_back_what_was_put_of_every_kind(void **state)
{
    struct rig *rig = *state;
    struct wz_account *account = wz_accounts_use(rig->accounts, "probe");
    struct wz_stored_part *part;
    struct wz_quarantined *message;

    rig_begin_group(rig);
    wz_account_halt(account, WZ_HALT_PARKED, 7, WZ_SLICE_LIT("it failed"));
    rig_put_change(account, 1, "11");
    rig_put_change(account, 2, "22");
    rig_put_change(account, 2, NULL);
    rig_put_change(account, 1, "111");
    wz_account_put_outputs(account, 5, 0, WZ_SLICE_LIT("parts"));
    wz_account_put_outputs(account, 5, 1, WZ_SLICE_LIT("more"));
    rig_put_position(account, 5, 4711);
    message = wz_account_quarantine(account, WZ_SLICE_LIT("first"));
    (void)wz_account_quarantine(account, WZ_SLICE_LIT("second")); // it is found by its number
    wz_account_release(account, message);
    rig_end_group(rig);
    rig_settle(rig);
    rig_crash(rig);
    account = wz_accounts_use(rig->accounts, "probe");
    assert_int_equal(wz_account_number(account), 1);
    assert_int_equal(account->halt, WZ_HALT_PARKED);
    assert_int_equal(account->halt_revision, 7);
    assert_string_equal(account->remark, "it failed");
    assert_int_equal(account->state.count, 1);
    assert_int_equal(account->state_bytes, 1 + 4 + 3);
    assert_int_equal(account->commit, 5);
    assert_int_equal(account->positions[WZ_SCRIPT_RAW].base, 4711);
    assert_int_equal(account->positions[WZ_SCRIPT_PROCESSED].base, -1);
    part = WZ_CONTAINER(account->outputs.next, struct wz_stored_part, link);
    assert_int_equal(wz_stored_part_commit(part), 5);
    assert_int_equal(wz_stored_part_number(part), 0);
    assert_true(wz_slice_eq(wz_buf_slice(&part->value), WZ_SLICE_LIT("parts")));
    assert_null(wz_account_find_quarantined(account, 1));
    assert_non_null(wz_account_find_quarantined(account, 2));
    assert_int_equal(account->last_quarantined, 2); // numbers are not given twice
}

static void test_account_finishes_changes_of_a_commit_that_counts_and_drops_others(void **state)
{
    struct rig *rig = *state;
    struct wz_account *account = wz_accounts_use(rig->accounts, "probe");
    WZ_AUTO(wz_buf_release) struct wz_buf change = {0};
    struct wz_frame_entry entry = {.lane = 3, .key = WZ_SLICE_LIT("k"), .value = WZ_SLICE_LIT("1")};
    const uint8_t id[] = {3, 'k'};
    const uint8_t second[] = {3, 'l'};
    const uint8_t other[] = {3, 'm'};

    rig_begin_group(rig);
    wz_account_put(account);
    rig_put_position(account, 8, 1);
    wz_frame_put_entry(&change, &entry);
    entry.key = WZ_SLICE_LIT("l");
    wz_frame_put_entry(&change, &entry);
    wz_account_put_staged(account, 8, 0, wz_buf_slice(&change)); // its ledger is there
    change.len = 0;
    entry.key = WZ_SLICE_LIT("m");
    wz_frame_put_entry(&change, &entry);
    wz_account_put_staged(account, 9, 0, wz_buf_slice(&change)); // the crash came before it
    wz_account_put_outputs(account, 9, 0, WZ_SLICE_LIT("never"));
    rig_end_group(rig);
    rig_settle(rig);
    rig_crash(rig);
    account = wz_accounts_use(rig->accounts, "probe");
    assert_non_null(wz_map_get(&account->state, wz_slice(id, sizeof(id))));
    assert_non_null(wz_map_get(&account->state, wz_slice(second, sizeof(second))));
    assert_null(wz_map_get(&account->state, wz_slice(other, sizeof(other))));
    assert_true(wz_list_empty(&account->staged));
    assert_true(wz_list_empty(&account->outputs));
    rig_settle(rig);
    rig_crash(rig); // and that is durable
    account = wz_accounts_use(rig->accounts, "probe");
    assert_int_equal(account->state.count, 2);
}

static void test_account_drops_parts_that_were_projected(void **state)
{
    struct rig *rig = *state;
    struct wz_account *account = wz_accounts_use(rig->accounts, "probe");

    rig_begin_group(rig);
    wz_account_put(account);
    for (uint64_t commit = 1; commit <= 4; commit++)
        wz_account_put_outputs(account, commit, 0, WZ_SLICE_LIT("x"));
    wz_account_project(account, 3, 77);
    rig_put_position(account, 4, 9);
    rig_end_group(rig);
    rig_settle(rig);
    rig_crash(rig);
    account = wz_accounts_use(rig->accounts, "probe");
    assert_int_equal(account->projected, 3);
    assert_int_equal(account->mark, 77);
    assert_ptr_equal(account->outputs.next, account->outputs.prev);
    assert_int_equal(
        wz_stored_part_commit(WZ_CONTAINER(account->outputs.next, struct wz_stored_part, link)), 4);
}

// What a model says is in the state, by key.
static void check_state(const struct wz_account *account, char values[KEYS][24])
{
    size_t count = 0;

    for (int key = 0; key < KEYS; key++) {
        uint8_t id[32];
        struct wz_state_entry *entry;
        int len = snprintf((char *)id + 1, sizeof(id) - 1, "key%d", key);

        id[0] = (uint8_t)(key % (WZ_LANE_SHARED + 1));
        entry = wz_map_get(&account->state, wz_slice(id, (size_t)len + 1));
        assert_int_equal(entry != NULL, values[key][0] != 0);
        if (entry) {
            assert_int_equal(entry->value_len, strlen(values[key]));
            count++;
        }
    }
    assert_int_equal(account->state.count, count);
}

static void test_account_holds_against_a_model_through_crashes_and_compaction(void **state)
{
    struct rig *rig = *state;
    char values[KEYS][24] = {{0}};
    struct wz_journal_info info;
    int64_t compactions = 0;
    uint64_t commit = 0;

    rig->segment_bytes = 65536;
    rig->compact_bytes = 65536;
    rig->start_journal = true;
    rig_reopen(rig);
    for (int round = 0; round < 30; round++) {
        struct wz_account *account = wz_accounts_use(rig->accounts, "probe");

        check_state(account, values);
        assert_int_equal(account->commit, commit);
        for (int i = 0; i < 150; i++) {
            rig_begin_group(rig);
            for (int j = rand_r(&rig->seed) % 20; j >= 0; j--) {
                int key = rand_r(&rig->seed) % KEYS;

                values[key][0] = 0;
                if (rand_r(&rig->seed) % 4 != 0)
                    (void)snprintf(values[key], sizeof(values[key]), "%.*s",
                                   1 + rand_r(&rig->seed) % 20, "12345678901234567890");
                rig_put_change(account, key, values[key][0] ? values[key] : NULL);
            }
            wz_account_put_outputs(account, ++commit, 0, WZ_SLICE_LIT("outputs"));
            if (account->place.offset < 0)
                wz_account_put(account);
            rig_put_position(account, commit, (int64_t)commit);
            rig_end_group(rig);
            wz_account_project(account, commit, 0);
            if (i % 10 == 0)
                rig_turn(rig);
        }
        rig_settle(rig);
        wz_journal_info(rig->journal, &info);
        compactions += info.compactions;
        if (round % 2 == 0)
            rig_crash(rig);
        else
            rig_reopen(rig);
    }
    assert_in_range(compactions, 3, 100000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_account_reads_back_what_was_put_of_every_kind),
        TEST(test_account_finishes_changes_of_a_commit_that_counts_and_drops_others),
        TEST(test_account_drops_parts_that_were_projected),
        TEST(test_account_holds_against_a_model_through_crashes_and_compaction),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
