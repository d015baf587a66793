// SPDX-License-Identifier: Apache-2.0
#include "base/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_problem_says_what_where_and_how_to_mend_it(void **state)
{
    struct wz_problem problem;

    (void)state;
    memset(&problem, 'x', sizeof(problem));
    assert_int_equal(wz_problem_set(&problem, WZ_ERR_CONFLICT, 2103, "Route %s is taken.", "a.b"),
                     WZ_ERR_CONFLICT);
    assert_int_equal(problem.err, WZ_ERR_CONFLICT);
    assert_int_equal(problem.code, 2103);
    assert_string_equal(problem.what, "Route a.b is taken.");
    assert_string_equal(problem.where, "");
    assert_string_equal(problem.fix, "");
    wz_problem_where(&problem, "line %d", 4);
    wz_problem_fix(&problem, "Choose %s.", "another");
    assert_string_equal(problem.where, "line 4");
    assert_string_equal(problem.fix, "Choose another.");
}

static void test_problem_that_nobody_asks_for_still_gives_the_error(void **state)
{
    (void)state;
    assert_int_equal(wz_problem_set(NULL, WZ_ERR_IO, 4004, "It failed."), WZ_ERR_IO);
    wz_problem_where(NULL, "nowhere");
    wz_problem_fix(NULL, "nothing");
}

static void test_problem_cuts_a_text_that_is_too_long(void **state)
{
    static char xs[1000];
    struct wz_problem problem;

    (void)state;
    memset(xs, 'x', sizeof(xs) - 1);
    wz_ignore(wz_problem_set(&problem, WZ_ERR_INVALID, 1, "%s", xs)); // only its text counts here
    wz_problem_where(&problem, "%s", xs);
    wz_problem_fix(&problem, "%s", xs);
    assert_int_equal(strlen(problem.what), sizeof(problem.what) - 1);
    assert_int_equal(strlen(problem.where), sizeof(problem.where) - 1);
    assert_int_equal(strlen(problem.fix), sizeof(problem.fix) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problem_says_what_where_and_how_to_mend_it),
        cmocka_unit_test(test_problem_that_nobody_asks_for_still_gives_the_error),
        cmocka_unit_test(test_problem_cuts_a_text_that_is_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
