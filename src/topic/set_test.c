// SPDX-License-Identifier: Apache-2.0
#include "topic/set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MEMBERS 500

static char members[MEMBERS];

static void test_set_holds_one_member_without_a_table(void **state)
{
    struct wz_set set = {0};
    uint32_t walk = 0;

    (void)state;
    assert_false(wz_set_remove(&set, &members[0]));
    assert_true(wz_set_add(&set, &members[0]));
    assert_false(wz_set_add(&set, &members[0]));
    assert_int_equal(set.cap, 0);
    assert_false(wz_set_remove(&set, &members[1]));
    assert_ptr_equal(wz_set_next(&set, &walk), &members[0]);
    assert_null(wz_set_next(&set, &walk));
    assert_true(wz_set_remove(&set, &members[0]));
    assert_int_equal(set.count, 0);
    wz_set_release(&set);
}

// The set must hold just the members that IN says, each met once in a walk.
static void check_members(const struct wz_set *set, const bool *in)
{
    bool met[MEMBERS] = {false};
    uint32_t walk = 0;
    uint32_t count = 0;

    for (char *value; (value = wz_set_next(set, &walk)) != NULL; count++) {
        ptrdiff_t i = value - members;

        assert_true(i >= 0 && i < MEMBERS);
        assert_true(in[i] && !met[i]);
        met[i] = true;
    }
    assert_int_equal(count, set->count);
    assert_memory_equal(met, in, sizeof(met));
}

static void test_set_agrees_with_a_plain_array_through_random_changes(void **state)
{
    struct wz_set set = {0};
    bool in[MEMBERS] = {false};
    uint32_t seed = 4711;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        // Phases of mostly adding and mostly removing let the table grow and shrink.
        bool add = (round / 2500 % 2 == 0) == ((seed >> 24 & 7) > 1);
        uint32_t i;

        seed = seed * 1664525u + 1013904223u;
        i = (seed >> 8) % MEMBERS;
        if (add)
            assert_int_equal(wz_set_add(&set, &members[i]), !in[i]);
        else
            assert_int_equal(wz_set_remove(&set, &members[i]), in[i]);
        in[i] = add;
        if (round % 50 == 0)
            check_members(&set, in);
    }
    wz_set_release(&set);
}

static void test_set_gives_back_its_table_when_members_go(void **state)
{
    struct wz_set set = {0};

    (void)state;
    for (int i = 0; i < MEMBERS; i++)
        assert_true(wz_set_add(&set, &members[i]));
    assert_true(set.cap >= MEMBERS && set.cap <= 4 * MEMBERS);
    for (int i = 0; i < MEMBERS - 1; i++)
        assert_true(wz_set_remove(&set, &members[i]));
    assert_int_equal(set.cap, 0);
    assert_ptr_equal(set.value, &members[MEMBERS - 1]);
    wz_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_holds_one_member_without_a_table),
        cmocka_unit_test(test_set_agrees_with_a_plain_array_through_random_changes),
        cmocka_unit_test(test_set_gives_back_its_table_when_members_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
