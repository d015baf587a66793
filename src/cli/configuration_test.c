// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
}

static void test_configuration_goes_to_a_file_and_comes_back(void **state)
{
    char path[128];
    struct terminal t;

    (void)state;
    terminal_open(&t);
    (void)snprintf(path, sizeof(path), "%s/wyze.json", t.folder);
    assert_int_equal(TERMINAL(&t, "device", "set", "a/b", "c.d"), 0);
    assert_int_equal(TERMINAL(&t, "export", path), 0);
    assert_int_equal(TERMINAL(&t, "device", "rm", "a/b"), 0);
    assert_int_equal(TERMINAL(&t, "import", path), 0);
    assert_int_equal(TERMINAL(&t, "device", "get", "a/b"), 0);
    assert_int_equal(TERMINAL(&t, "device", "set", "e", "f"), 0);
    assert_int_equal(TERMINAL(&t, "import", "--merge", path), 0);
    assert_int_equal(TERMINAL(&t, "device", "get", "e"), 0);
    assert_int_equal(TERMINAL(&t, "import", path), 0);
    assert_int_equal(TERMINAL(&t, "device", "get", "e"), WZ_EXIT_NOT_FOUND);
    terminal_close(&t);
}

static void test_configuration_that_breaks_a_rule_is_refused_whole(void **state)
{
    char path[128];
    struct terminal t;

    (void)state;
    terminal_open(&t);
    (void)snprintf(path, sizeof(path), "%s/wyze.json", t.folder);
    write_file(path, "{\"format\":\"wyze configuration 1\",\"devices\":{\"a\":{\"route\":\"r\"},"
                     "\"b\":{\"route\":\"r\"}}}");
    assert_int_equal(TERMINAL(&t, "import", path), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "device", "get", "a"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "import", "/tmp/wyze-none"), WZ_EXIT_NOT_FOUND);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configuration_goes_to_a_file_and_comes_back),
        cmocka_unit_test(test_configuration_that_breaks_a_rule_is_refused_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
