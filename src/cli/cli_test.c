// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

static int run(const char *a, const char *b, const char *c, const char *d)
{
    const char *argv[] = {"wyze", a, b, c, d, NULL};
    int argc = 1;

    while (argv[argc] != NULL)
        argc++;
    return wz_cli_main(argc, (char **)(uintptr_t)argv);
}

static void test_cli_ends_with_the_code_of_what_happened(void **state)
{
    (void)state;
    assert_int_equal(run(NULL, NULL, NULL, NULL), WZ_EXIT_USAGE);
    assert_int_equal(run("help", NULL, NULL, NULL), WZ_EXIT_OK);
    assert_int_equal(run("help", "map", NULL, NULL), WZ_EXIT_OK);
    assert_int_equal(run("help", "map", "set", NULL), WZ_EXIT_OK);
    assert_int_equal(run("pub", "--help", NULL, NULL), WZ_EXIT_OK);
    assert_int_equal(run("pbu", "a", NULL, NULL), WZ_EXIT_USAGE);
    assert_int_equal(run("map", NULL, NULL, NULL), WZ_EXIT_USAGE);
    assert_int_equal(run("map", "sett", "a", "b"), WZ_EXIT_USAGE);
    assert_int_equal(run("pub", "a", NULL, NULL), WZ_EXIT_USAGE);
    assert_int_equal(run("pub", "--nope", NULL, NULL), WZ_EXIT_USAGE);
    assert_int_equal(run("ready", "--data", "/tmp/wyze-none", NULL), WZ_EXIT_UNREACHABLE);
    assert_int_equal(run("--data", "/tmp/wyze-none", "ready", NULL), WZ_EXIT_UNREACHABLE);
    assert_int_equal(run("device", "ls", "--data=/tmp/wyze-none", NULL), WZ_EXIT_UNREACHABLE);
    assert_int_equal(run("ready", "--url", "ftp://x", NULL), WZ_EXIT_INPUT);
    assert_int_equal(run("ready", "--output", "xml", NULL), WZ_EXIT_INPUT);
    assert_int_equal(run("script", "check", "/tmp/wyze-none.py", NULL), WZ_EXIT_NOT_FOUND);
}

static void test_cli_table_can_be_told_apart_and_explained(void **state)
{
    (void)state;
    for (size_t i = 0; i < wz_command_count; i++) {
        const struct wz_command *command = &wz_commands[i];

        assert_true(command->least_words <= command->most_words);
        assert_true(strlen(command->summary) > 0);
        assert_non_null(strstr(command->example, "wyze "));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(command->name, wz_commands[j].name);
    }
}

static void test_cli_has_an_exit_code_for_each_kind_of_error(void **state)
{
    static const struct {
        int err;
        int code;
    } cases[] = {
        {WZ_OK, WZ_EXIT_OK},
        {WZ_ERR_IO, WZ_EXIT_FAILED},
        {WZ_ERR_INVALID, WZ_EXIT_INPUT},
        {WZ_ERR_NOT_FOUND, WZ_EXIT_NOT_FOUND},
        {WZ_ERR_CONFLICT, WZ_EXIT_CONFLICT},
        {WZ_ERR_AUTH, WZ_EXIT_AUTH},
        {WZ_ERR_UNREACHABLE, WZ_EXIT_UNREACHABLE},
        {WZ_ERR_TIMEOUT, WZ_EXIT_TIMEOUT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(wz_cli_exit(cases[i].err), cases[i].code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli_ends_with_the_code_of_what_happened),
        cmocka_unit_test(test_cli_table_can_be_told_apart_and_explained),
        cmocka_unit_test(test_cli_has_an_exit_code_for_each_kind_of_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
