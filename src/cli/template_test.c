// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"
#include "router/ready_templates.h"

#define LAMP "{\"input\":\"state\",\"channels\":{\"M\":\"level\"},\"description\":\"Lamps\"}"

static void test_template_is_set_shown_and_removed(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "template", "set", "lamp", LAMP), 0);
    assert_int_equal(TERMINAL(&t, "template", "get", "lamp"), 0);
    assert_string_equal(t.output, LAMP "\n");
    assert_int_equal(TERMINAL(&t, "template", "set", "lamp", "{\"type\":\"float\"}"),
                     WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "template", "set", "lamp", "{"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "template", "set", "lamp", "/tmp/wyze-none"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "device", "set", "a", "b", "--template", "lamp"), 0);
    assert_int_equal(TERMINAL(&t, "template", "rm", "lamp"), WZ_EXIT_INPUT); // it is in use
    assert_int_equal(TERMINAL(&t, "device", "rm", "a"), 0);
    assert_int_equal(TERMINAL(&t, "template", "rm", "lamp"), 0);
    assert_int_equal(TERMINAL(&t, "template", "rm", "lamp"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "template", "get", "lamp"), WZ_EXIT_NOT_FOUND);
    terminal_close(&t);
}

static void test_template_of_a_ready_ones_name_takes_its_place(void **state)
{
    char ready[sizeof((struct terminal *)0)->output];
    char path[128];
    struct terminal t;
    FILE *file;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "template", "get", "tasmota"), 0);
    memcpy(ready, t.output, sizeof(ready));
    assert_non_null(strstr(ready, "cmnd/{device}/{subtopic}"));
    assert_int_equal(TERMINAL(&t, "template", "rm", "tasmota"), WZ_EXIT_NOT_FOUND);
    (void)snprintf(path, sizeof(path), "%s/tasmota.json", t.folder);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(ready, file) >= 0 && fclose(file) == 0);
    assert_int_equal(TERMINAL(&t, "template", "set", "tasmota", path), 0);
    assert_int_equal(TERMINAL(&t, "template", "ls", "--output", "table"), 0);
    assert_non_null(strstr(t.output, "\ntasmota      own    Tasmota"));
    assert_non_null(strstr(t.output, "\nzigbee2mqtt  ready  zigbee2mqtt"));
    assert_int_equal(TERMINAL(&t, "template", "rm", "tasmota"), 0);
    assert_int_equal(TERMINAL(&t, "template", "get", "tasmota"), 0);
    assert_string_equal(t.output, ready);
    terminal_close(&t);
}

static void test_template_ls_has_all_ready_ones(void **state)
{
    struct terminal t;
    int lines = 0;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "template", "ls", "--json"), 0);
    for (const char *c = t.output; *c != '\0'; c++)
        lines += *c == '\n';
    assert_int_equal(lines, WZ_READY_TEMPLATE_COUNT);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template_is_set_shown_and_removed),
        cmocka_unit_test(test_template_of_a_ready_ones_name_takes_its_place),
        cmocka_unit_test(test_template_ls_has_all_ready_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
