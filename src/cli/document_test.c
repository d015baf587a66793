// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"
#include "store/store.h"

// Of each collection, a document that may be saved, and its name.
static const char *const vectors[][3] = {
    {"types", "input", "{\"word\":\"state\"}"},
    {"subtopics", "M", "{\"channel\":\"brightness\"}"},
    {"templates", "lamp", "{\"input\":\"state\"}"},
    {"devices", "mesh/b5ea3f/42", "{\"route\":\"bedroom.light\"}"},
    {"ignores", "homeassistant/#", "{}"},
    {"scripts", "alarm", "{\"code\":\"def handle_input(msg, context): pass\",\"active\":false}"},
    {"passthrough", "kitchen", "{\"pattern\":\"kitchen.#\"}"},
    {"settings", "colour", "{\"is\":\"blue\"}"},
};

static void test_document_of_each_kind_is_listed_shown_and_removed(void **state)
{
    bool seen[WZ_COLLECTION_COUNT] = {false};
    struct terminal t;

    (void)state;
    terminal_open(&t);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const char *const *v = vectors[i];
        char row[128];

        seen[wz_collection_find(v[0])] = true;
        assert_int_equal(TERMINAL(&t, "document", "set", v[0], v[1], v[2]), 0);
        assert_int_equal(TERMINAL(&t, "document", "ls", v[0]), 0);
        (void)snprintf(row, sizeof(row), "{\"name\":\"%s\",\"revision\":1", v[1]);
        assert_non_null(strstr(t.output, row));
        assert_int_equal(TERMINAL(&t, "document", "get", v[0], v[1]), 0);
        (void)snprintf(row, sizeof(row), "{\"name\":\"%s\",\"revision\":1,\"document\":{", v[1]);
        assert_non_null(strstr(t.output, row));
        assert_int_equal(TERMINAL(&t, "document", "rm", v[0], v[1]), 0);
        assert_int_equal(TERMINAL(&t, "document", "get", v[0], v[1]), WZ_EXIT_NOT_FOUND);
    }
    for (int i = 0; i < WZ_COLLECTION_COUNT; i++)
        assert_true(seen[i]);
    terminal_close(&t);
}

// Saves the device a with a route, in the REVISION that is given, if any. Returns the exit code.
static int save(struct terminal *t, const char *route, const char *revision)
{
    char body[64];

    (void)snprintf(body, sizeof(body), "{\"route\":\"%s\"}", route);
    if (revision == NULL)
        return TERMINAL(t, "document", "set", "devices", "a", body);
    return TERMINAL(t, "document", "set", "devices", "a", body, "--revision", revision);
}

static void test_document_is_changed_in_its_revision_alone(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(save(&t, "b", "0"), 0);
    assert_int_equal(save(&t, "c", "0"), WZ_EXIT_CONFLICT); // it is there
    assert_int_equal(save(&t, "c", "1"), 0);
    assert_int_equal(save(&t, "d", "1"), WZ_EXIT_CONFLICT); // it is in another by now
    assert_int_equal(TERMINAL(&t, "document", "rm", "devices", "a", "--revision", "1"),
                     WZ_EXIT_CONFLICT);
    assert_int_equal(save(&t, "d", NULL), 0);
    assert_int_equal(TERMINAL(&t, "document", "get", "devices", "a"), 0);
    assert_string_equal(t.output,
                        "{\"name\":\"a\",\"revision\":3,\"document\":{\"route\":\"d\"}}\n");
    assert_int_equal(TERMINAL(&t, "document", "rm", "devices", "a", "--revision", "3"), 0);
    terminal_close(&t);
}

static void test_document_says_what_it_cannot_take(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "document", "ls", "lamps"), WZ_EXIT_INPUT);
    assert_int_equal(save(&t, "b", "x"), WZ_EXIT_INPUT);
    assert_int_equal(save(&t, "b", "-1"), WZ_EXIT_INPUT);
    assert_int_equal(save(&t, "b/c", NULL), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "document", "set", "devices", "a", "{"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "document", "ls", "devices"), 0);
    assert_string_equal(t.output, "");
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document_of_each_kind_is_listed_shown_and_removed),
        cmocka_unit_test(test_document_is_changed_in_its_revision_alone),
        cmocka_unit_test(test_document_says_what_it_cannot_take),
    };

    return cmocka_run_group_tests_name("cli/document", tests, NULL, NULL);
}
