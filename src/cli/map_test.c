// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"

static const char text[] = "# mine\n[Device]\n\"mesh/b5/42\" = \"bedroom.light\"\n\n"
                           "[Types]\ninput = status\noutput = command\n";

static void write_file(const char *path, const char *content)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(content, file) >= 0 && fclose(file) == 0);
}

static void test_map_text_comes_back_byte_for_byte(void **state)
{
    char path[128];
    struct terminal t;

    (void)state;
    terminal_open(&t);
    (void)snprintf(path, sizeof(path), "%s/mapping.conf", t.folder);
    write_file(path, text);
    assert_int_equal(TERMINAL(&t, "map", "import", path), 0);
    assert_int_equal(TERMINAL(&t, "map", "export"), 0);
    assert_string_equal(t.output, text);
    assert_int_equal(TERMINAL(&t, "map", "export", path), 0);
    assert_int_equal(TERMINAL(&t, "map", "import", path), 0);
    assert_int_equal(TERMINAL(&t, "map", "import", "/tmp/wyze-none"), WZ_EXIT_NOT_FOUND);
    terminal_close(&t);
}

static void test_map_entries_are_set_and_removed_by_kind(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "map", "set", "device", "a/b", "c.d"), 0);
    assert_int_equal(TERMINAL(&t, "map", "set", "subtopic", "M", "brightness"), 0);
    assert_int_equal(TERMINAL(&t, "map", "set", "type", "input", "stat"), 0);
    assert_int_equal(TERMINAL(&t, "map", "set", "other", "a", "b"), WZ_EXIT_USAGE);
    assert_int_equal(TERMINAL(&t, "map", "ls", "--output", "table"), 0);
    assert_string_equal(t.output, "KIND      NAME   VALUE\n"
                                  "device    a/b    c.d\n"
                                  "subtopic  M      brightness\n"
                                  "type      input  stat\n");
    assert_int_equal(TERMINAL(&t, "map", "set", "subtopic", "M", "dim", "--set", "type=number"), 0);
    assert_int_equal(TERMINAL(&t, "map", "set", "subtopic", "M", "level", "--set", "send=value"),
                     0);
    assert_int_equal(TERMINAL(&t, "map", "export"), 0);
    assert_non_null(
        strstr(t.output, "\"M\" = \"level\" #: {\"type\": \"number\", \"send\": \"value\"}\n"));
    assert_int_equal(TERMINAL(&t, "map", "rm", "subtopic", "M"), 0);
    assert_int_equal(TERMINAL(&t, "map", "rm", "subtopic", "M"), WZ_EXIT_NOT_FOUND);
    terminal_close(&t);
}

static void test_map_test_shows_the_way_of_a_message_and_what_is_missing(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "map", "set", "device", "a/b", "c.d"), 0);
    assert_int_equal(TERMINAL(&t, "map", "test", "a/b/M/status", "255", "--output", "table"), 0);
    assert_non_null(strstr(t.output, "  outcome      mapped\n"));
    assert_non_null(strstr(t.output, "  topic        c.d.M\n"));
    assert_non_null(strstr(t.output, "\"value\":\"255\"}\n"));
    assert_int_equal(TERMINAL(&t, "map", "test", "c.d.output", "{\"x\": 1}"), 0);
    assert_non_null(strstr(t.output, "\"to\":\"a/b/command\""));
    assert_int_equal(TERMINAL(&t, "map", "test", "x/y/status", "--output", "table"), 0);
    assert_non_null(strstr(t.output, "  why          No device id stands in it.\n"));
    terminal_close(&t);
}

#define SCRIPT(stream, pattern)                                                                    \
    "{\"code\":\"def handle_input(msg, context): pass\","                                          \
    "\"bindings\":[{\"stream\":\"" stream "\",\"pattern\":\"" pattern "\"}]}"

static void test_map_test_shows_who_gets_the_record(void **state)
{
    char path[128];
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "map", "set", "device", "a/b", "c.d"), 0);
    assert_int_equal(TERMINAL(&t, "map", "test", "a/b/M/status", "--output", "table"), 0);
    assert_non_null(strstr(t.output, "  passthrough  none: no active rule matches\n"));
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "all", "#"), 0);
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "c", "c.#", "--rename", "home.{1}",
                              "--rate", "2", "--order", "7"),
                     0);
    assert_int_equal(TERMINAL(&t, "passthrough", "set", "off", "#", "--order", "1", "--inactive"),
                     0);
    (void)snprintf(path, sizeof(path), "%s/configuration", t.folder);
    write_file(path, "{\"format\":\"wyze configuration 1\",\"scripts\":{"
                     "\"on-raw\":" SCRIPT("raw", "c.#") ","
                                                        "\"on-new-name\":" SCRIPT(
                                                            "processed",
                                                            "home.#") ","
                                                                      "\"on-old-name\":" SCRIPT(
                                                                          "processed", "c.#") "}}");
    assert_int_equal(TERMINAL(&t, "import", path, "--merge"), 0);
    assert_int_equal(TERMINAL(&t, "map", "test", "a/b/M/status", "255", "--output", "table"), 0);
    assert_non_null(strstr(
        t.output,
        "  scripts      [\"on-raw\"]\n"
        "  passthrough  c, pattern c.#, on processed-stream as home.d.M\n"
        "               What came before decides. It passes when 0.5 s have gone by since the last "
        "of its topic that passed. The first of its topic passes.\n"
        "    scripts    [\"on-new-name\"]\n"
        "  passthrough  all, pattern #\n"
        "               It is not asked: c comes first, and decides alone.\n"
        "  command      "));
    assert_int_equal(TERMINAL(&t, "map", "test", "a/b/M/status"), 0);
    assert_non_null(strstr(t.output,
                           "\"passthrough\":[{\"rule\":\"c\",\"pattern\":\"c.#\","
                           "\"order\":7,\"decides\":true,\"topic\":\"home.d.M\",\"note\":"));
    terminal_close(&t);
}

static void test_map_test_shows_that_a_topic_is_ignored(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "map", "inbox", "ignore", "x/#"), 0);
    assert_int_equal(TERMINAL(&t, "map", "test", "x/y/status", "--output", "table"), 0);
    assert_non_null(strstr(t.output, "  ignored by   ignores/x/#\n"));
    assert_null(strstr(t.output, "passthrough")); // it does not come so far
    assert_int_equal(TERMINAL(&t, "map", "test", "y/status", "--output", "table"), 0);
    assert_null(strstr(t.output, "ignored by"));
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_text_comes_back_byte_for_byte),
        cmocka_unit_test(test_map_entries_are_set_and_removed_by_kind),
        cmocka_unit_test(test_map_test_shows_the_way_of_a_message_and_what_is_missing),
        cmocka_unit_test(test_map_test_shows_who_gets_the_record),
        cmocka_unit_test(test_map_test_shows_that_a_topic_is_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
