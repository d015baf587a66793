// SPDX-License-Identifier: Apache-2.0
// Scripts that go, and those that have their names afterwards.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/quarantine.h"
#include "engine/rig_test.h"

// A script that is gone while its keys are taken out in steps, and a crash after any of them: none
// of it is another's who has the name later.
static void test_accounts_remove_a_script_in_steps_and_none_of_it_comes_back(void **state)
{
    struct rig *rig = *state;

    for (int turns = 0; turns < 5; turns++) {
        struct wz_account *account = wz_accounts_use(rig->accounts, "probe");

        assert_int_equal(account->state.count, 0);
        assert_int_equal(account->positions[0].base, -1);
        assert_int_equal(account->commit, 0);
        assert_int_equal(account->by_number.count, 0);
        rig_begin_group(rig);
        wz_account_put(account);
        for (int key = 0; key < 3500; key++)
            rig_put_change(account, key, "1");
        (void)wz_account_quarantine(account, WZ_SLICE_LIT("q")); // nobody asks for it
        rig_put_position(account, 12, 500);
        rig_end_group(rig);
        rig_settle(rig);
        wz_accounts_remove(rig->accounts, account); // the first step
        for (int i = 0; i < turns; i++)
            wz_accounts_durable(rig->accounts);
        rig_settle(rig);
        rig_crash(rig);
    }
}

static void test_accounts_give_two_scripts_of_a_name_an_account_each(void **state)
{
    struct rig *rig = *state;
    struct wz_account *first = wz_accounts_use(rig->accounts, "probe");
    struct wz_account *second = wz_accounts_use(rig->accounts, "probe"); // the first is closing

    assert_ptr_not_equal(first, second);
    assert_int_equal(wz_account_number(second), wz_account_number(first) + 1);
    first->used = false;
    assert_ptr_equal(wz_accounts_use(rig->accounts, "probe"), first);
}

static void test_accounts_forget_a_script_that_nobody_uses(void **state)
{
    struct rig *rig = *state;
    const char *const names[] = {"probe", "other"};
    struct wz_account *account;

    for (int i = 0; i < 2; i++) {
        account = wz_accounts_use(rig->accounts, names[i]);
        rig_begin_group(rig);
        wz_account_put(account);
        rig_put_change(account, 1, "1");
        rig_put_position(account, 12, 500);
        rig_end_group(rig);
    }
    wz_accounts_forget(rig->accounts, "probe"); // it is used
    rig_settle(rig);
    rig_crash(rig);
    account = wz_accounts_use(rig->accounts, "probe");
    assert_int_equal(account->state.count, 1);
    account->used = false;
    wz_accounts_forget(rig->accounts, "probe");
    rig_settle(rig);
    rig_crash(rig);
    account = wz_accounts_use(rig->accounts, "probe");
    assert_int_equal(account->state.count, 0);
    assert_int_equal(account->positions[WZ_SCRIPT_RAW].base, -1);
    assert_int_equal(wz_accounts_use(rig->accounts, "other")->state.count, 1);
}

// A script whose document is gone, that goes on for a while, and a crash meanwhile: another of its
// name finds nothing, and keeps what is its own.
static void test_accounts_leave_nothing_of_a_disowned_script_to_another_of_its_name(void **state)
{
    struct rig *rig = *state;
    struct wz_account *old = wz_accounts_use(rig->accounts, "probe");
    struct wz_account *account;

    rig_begin_group(rig);
    wz_account_put(old);
    rig_put_change(old, 1, "1");
    rig_put_position(old, 12, 500);
    rig_end_group(rig);
    rig_settle(rig);
    assert_true(wz_accounts_disowned(rig->accounts));
    wz_accounts_disown(rig->accounts, old);
    assert_true(wz_accounts_disowned(rig->accounts));
    account = wz_accounts_use(rig->accounts, "probe");
    rig_begin_group(rig);
    wz_account_put(account);
    rig_put_change(account, 2, "2");
    rig_end_group(rig);
    rig_begin_group(rig);
    wz_account_halt(old, WZ_HALT_PARKED, 1, WZ_SLICE_LIT("late"));
    rig_put_position(old, 13, 600);
    rig_end_group(rig);
    rig_settle(rig);
    rig_crash(rig);
    account = wz_accounts_use(rig->accounts, "probe");
    assert_int_equal(account->halt, WZ_HALT_NONE);
    assert_int_equal(account->state.count, 1);
    assert_int_equal(account->positions[WZ_SCRIPT_RAW].base, -1);
    assert_int_equal(wz_accounts_use(rig->accounts, "probe")->state.count, 0); // there is no other
}

// A journal that takes nothing at present: the name goes out when it does again.
static void test_accounts_take_a_name_out_when_the_journal_takes_it(void **state)
{
    struct rig *rig = *state;
    struct wz_account *old = wz_accounts_use(rig->accounts, "probe");
    struct wz_account *other = wz_accounts_use(rig->accounts, "other");
    WZ_AUTO(wz_free_ptr) char *value = wz_alloc(WZ_STATE_VALUE_MAX);

    memset(value, '7', WZ_STATE_VALUE_MAX);
    rig_begin_group(rig);
    wz_account_put(old);
    rig_put_change(old, 1, "1");
    rig_end_group(rig);
    rig_settle(rig);
    rig->hold_journal = true;
    while (wz_journal_ready(rig->journal)) {
        rig_begin_group(rig);
        wz_account_put_outputs(other, 1, 0, wz_slice(value, WZ_STATE_VALUE_MAX));
        rig_end_group(rig);
    }
    wz_accounts_disown(rig->accounts, old);
    assert_false(wz_accounts_disowned(rig->accounts));
    rig->hold_journal = false;
    rig_settle(rig);
    wz_accounts_durable(rig->accounts);
    assert_true(wz_accounts_disowned(rig->accounts));
    rig_settle(rig);
    rig_crash(rig);
    assert_int_equal(wz_accounts_use(rig->accounts, "probe")->state.count, 0);
}

#define LARGE_SCRIPTS 3
#define LARGE_CHANGES 24

// A commit of 24 MiB that is durable, and whose changes are still to be made.
static void put_large_commit(struct rig *rig, struct wz_account *account, struct wz_slice value)
{
    for (int i = 0; i < LARGE_CHANGES; i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf change = {0};
        char key[16];
        struct wz_frame_entry entry = {.lane = WZ_LANE_SHARED, .value = value};

        (void)snprintf(key, sizeof(key), "key%d", i);
        entry.key = wz_slice_str(key);
        wz_frame_put_entry(&change, &entry);
        rig_begin_group(rig);
        wz_account_put_staged(account, 1, (uint32_t)i, wz_buf_slice(&change));
        rig_end_group(rig);
    }
    rig_begin_group(rig);
    wz_account_put(account);
    rig_put_position(account, 1, 500);
    rig_end_group(rig);
}

// More than the journal takes before the loop runs: what is still to be done must not be too much
// for a start.
static void test_accounts_finish_more_than_the_journal_takes_at_a_time(void **state)
{
    struct rig *rig = *state;
    const char *const names[LARGE_SCRIPTS] = {"a", "b", "c"};
    WZ_AUTO(wz_free_ptr) char *value = wz_alloc(WZ_STATE_VALUE_MAX);

    memset(value, '7', WZ_STATE_VALUE_MAX);
    for (int i = 0; i < LARGE_SCRIPTS; i++)
        put_large_commit(rig, wz_accounts_use(rig->accounts, names[i]),
                         wz_slice(value, WZ_STATE_VALUE_MAX));
    rig_settle(rig);
    rig_crash(rig);
    rig_settle(rig);
    rig_crash(rig); // so it is all in the journal
    for (int i = 0; i < LARGE_SCRIPTS; i++) {
        struct wz_account *account = wz_accounts_use(rig->accounts, names[i]);

        assert_int_equal(account->state.count, LARGE_CHANGES);
        assert_true(account->state_bytes > (size_t)LARGE_CHANGES * WZ_STATE_VALUE_MAX);
        assert_true(wz_list_empty(&account->staged));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_accounts_remove_a_script_in_steps_and_none_of_it_comes_back),
        TEST(test_accounts_give_two_scripts_of_a_name_an_account_each),
        TEST(test_accounts_forget_a_script_that_nobody_uses),
        TEST(test_accounts_leave_nothing_of_a_disowned_script_to_another_of_its_name),
        TEST(test_accounts_take_a_name_out_when_the_journal_takes_it),
        TEST(test_accounts_finish_more_than_the_journal_takes_at_a_time),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
