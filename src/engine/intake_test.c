// SPDX-License-Identifier: Apache-2.0
#include "engine/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define LARGE (WZ_INTAKE_SMALL_BYTES + 1)
#define MEMBERS 5

// Members, and in which order they were let go on.
struct crowd {
    struct wz_intake intake;
    struct wz_intake_member members[MEMBERS];
    int turns[MEMBERS];
    int turn_count;
};

static struct crowd crowd;

static void on_turn(void *arg)
{
    struct wz_intake_member *member = arg;

    crowd.turns[crowd.turn_count++] = (int)(member - crowd.members);
}

static int gather(void **state)
{
    (void)state;
    crowd = (struct crowd){0};
    wz_intake_init(&crowd.intake);
    for (int i = 0; i < MEMBERS; i++) {
        crowd.members[i] = (struct wz_intake_member){.go_on = on_turn, .arg = &crowd.members[i]};
        wz_intake_join(&crowd.intake, &crowd.members[i]);
    }
    return 0;
}

static int scatter(void **state)
{
    (void)state;
    for (int i = 0; i < MEMBERS; i++)
        wz_intake_leave(&crowd.members[i]);
    return crowd.intake.large;
}

static bool holds(int i, size_t bytes) { return wz_intake_holds(&crowd.members[i], bytes); }

static void test_intake_lets_small_frames_pass(void **state)
{
    (void)state;
    for (int i = 0; i < MEMBERS; i++)
        assert_true(holds(i, WZ_INTAKE_SMALL_BYTES));
    assert_true(holds(0, LARGE));
    assert_true(holds(1, LARGE));
    assert_true(holds(2, WZ_INTAKE_SMALL_BYTES));
    assert_int_equal(crowd.turn_count, 0);
}

static void test_intake_gives_large_frames_turns_in_order(void **state)
{
    (void)state;
    assert_true(holds(0, LARGE));
    assert_true(holds(1, LARGE));
    assert_false(holds(2, LARGE));
    assert_false(holds(3, LARGE));
    assert_false(holds(2, LARGE)); // it waits still
    assert_true(holds(0, 10 * LARGE));
    assert_true(holds(1, 0));
    assert_int_equal(crowd.turn_count, 1);
    assert_int_equal(crowd.turns[0], 2);
    assert_true(holds(2, 2 * LARGE));
    assert_false(holds(1, LARGE)); // behind the one that waits
    assert_true(holds(2, 0));
    assert_true(holds(0, 0));
    assert_int_equal(crowd.turn_count, 3);
    assert_int_equal(crowd.turns[1], 3);
    assert_int_equal(crowd.turns[2], 1);
}

static void test_intake_that_is_left_gives_the_turn_on(void **state)
{
    (void)state;
    assert_true(holds(0, LARGE));
    assert_true(holds(1, LARGE));
    assert_false(holds(2, LARGE));
    assert_false(holds(3, LARGE));
    wz_intake_leave(&crowd.members[2]); // while it waits
    wz_intake_leave(&crowd.members[0]);
    assert_int_equal(crowd.turn_count, 1);
    assert_int_equal(crowd.turns[0], 3);
    assert_true(wz_intake_holds(&crowd.members[0], LARGE)); // in none it never waits
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, gather, scatter)
    const struct CMUnitTest tests[] = {
        TEST(test_intake_lets_small_frames_pass),
        TEST(test_intake_gives_large_frames_turns_in_order),
        TEST(test_intake_that_is_left_gives_the_turn_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
