// SPDX-License-Identifier: Apache-2.0
#include "cli/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

static const struct wz_option options[] = {
    {"--from", "WHEN", ""}, {"--on", "X", ""}, {"--json", NULL, ""}, {"-h", NULL, ""}};

static int read_args(struct wz_args *args, struct wz_problem *problem, int argc, const char **argv)
{
    return wz_args_read(argc, (char **)(uintptr_t)argv, options, 4, args, problem);
}

static void test_args_tell_options_from_words(void **state)
{
    const char *argv[] = {"a.#", "--from", "-1h", "-5", "-", "--json", "--on=x=y", "--", "--from"};
    struct wz_problem problem;
    struct wz_args args;

    (void)state;
    assert_int_equal(read_args(&args, &problem, 9, argv), WZ_OK);
    assert_string_equal(wz_args_value(&args, "--from"), "-1h");
    assert_string_equal(wz_args_value(&args, "--on"), "x=y");
    assert_non_null(wz_args_value(&args, "--json"));
    assert_null(wz_args_value(&args, "-h"));
    assert_int_equal(args.word_count, 4);
    assert_string_equal(args.words[1], "-5");
    assert_string_equal(args.words[3], "--from");
}

static void test_args_keep_every_value_of_a_repeated_option(void **state)
{
    const char *argv[] = {"--on", "a", "--from", "b", "--on", "c"};
    struct wz_problem problem;
    struct wz_args args;

    (void)state;
    assert_int_equal(read_args(&args, &problem, 6, argv), WZ_OK);
    assert_string_equal(wz_args_each(&args, "--on", 0), "a");
    assert_string_equal(wz_args_each(&args, "--on", 1), "c");
    assert_null(wz_args_each(&args, "--on", 2));
}

static void test_args_refuse_with_what_may_be_meant(void **state)
{
    static const struct {
        const char *arg;
        const char *text;
    } cases[] = {
        {"--form", "Did you mean --from?"},
        {"--zzzzzzzz", ""},
        {"--from", "Give it as --from WHEN."},
        {"--json=1", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *argv[] = {cases[i].arg};
        struct wz_problem problem;
        struct wz_args args;

        assert_int_equal(read_args(&args, &problem, 1, argv), WZ_ERR_INVALID);
        assert_string_equal(problem.fix, cases[i].text);
    }
}

static void test_args_refuse_too_many(void **state)
{
    const char *argv[WZ_ARGS_WORDS_MAX + 1];
    struct wz_problem problem;
    struct wz_args args;

    (void)state;
    for (int i = 0; i <= WZ_ARGS_WORDS_MAX; i++)
        argv[i] = "a";
    assert_int_equal(read_args(&args, &problem, WZ_ARGS_WORDS_MAX, argv), WZ_OK);
    assert_int_equal(read_args(&args, &problem, WZ_ARGS_WORDS_MAX + 1, argv), WZ_ERR_INVALID);
    for (int i = 0; i <= WZ_ARGS_WORDS_MAX; i++)
        argv[i] = "--json";
    assert_int_equal(read_args(&args, &problem, WZ_ARGS_WORDS_MAX + 1, argv), WZ_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_args_tell_options_from_words),
        cmocka_unit_test(test_args_keep_every_value_of_a_repeated_option),
        cmocka_unit_test(test_args_refuse_with_what_may_be_meant),
        cmocka_unit_test(test_args_refuse_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
