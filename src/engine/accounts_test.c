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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_accounts_remove_a_script_in_steps_and_none_of_it_comes_back),
        TEST(test_accounts_give_two_scripts_of_a_name_an_account_each),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
