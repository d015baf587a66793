// SPDX-License-Identifier: Apache-2.0
#include "cli/bindings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct wz_option options[] = {{"--on", "X", ""}};

// The bindings as compact JSON, or the problem's place and text; the caller frees it.
static char *read_text(const char *code, const char *on)
{
    const char *argv[] = {"--on", on};
    struct wz_problem problem = {0};
    struct wz_args args;
    json_t *bindings;
    char *text;

    assert_int_equal(
        wz_args_read(on != NULL ? 2 : 0, (char **)(uintptr_t)argv, options, 1, &args, &problem),
        WZ_OK);
    bindings = wz_bindings_read(wz_slice_str(code), &args, &problem);
    if (bindings == NULL)
        return strdup(problem.where);
    text = json_dumps(bindings, JSON_COMPACT);
    json_decref(bindings);
    return text;
}

static void test_bindings_come_from_comment_lines(void **state)
{
    static const struct {
        const char *code;
        const char *on;
        const char *bindings;
    } cases[] = {
        {"", NULL, "[]"},
        {"x = 1\n", NULL, "[]"},
        {"# wyze: on raw:a.#\n", NULL, "[{\"stream\":\"raw\",\"pattern\":\"a.#\"}]"},
        {"x\r\n  #  wyze:  on  raw:a, processed:b.*\r\n", NULL,
         "[{\"stream\":\"raw\",\"pattern\":\"a\"},{\"stream\":\"processed\",\"pattern\":\"b.*\"}]"},
        {"# wyze: on raw:a\n# wyze: on raw:b", NULL,
         "[{\"stream\":\"raw\",\"pattern\":\"a\"},{\"stream\":\"raw\",\"pattern\":\"b\"}]"},
        {"# wyze: on raw:a\n", "raw:z", "[{\"stream\":\"raw\",\"pattern\":\"z\"}]"},
        {"# wyze: off raw:a\n#wyze: on raw:a\n", NULL, "[]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = read_text(cases[i].code, cases[i].on);

        assert_string_equal(text, cases[i].bindings);
        free(text);
    }
}

static void test_bindings_name_is_that_of_the_file(void **state)
{
    static const char *const cases[][2] = {
        {"alarm.py", "alarm"}, {"/a.py/b.c.py", "b.c"}, {"../x", "x"}, {".py", ".py"}, {"a/", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *name = wz_bindings_name(cases[i][0]);

        assert_string_equal(name, cases[i][1]);
        wz_free(name);
    }
}

static void test_bindings_that_cannot_be_read_are_refused_with_their_line(void **state)
{
    static const struct {
        const char *code;
        const char *on;
        const char *where;
    } cases[] = {
        {"\n# wyze: on bedroom.#\n", NULL, "line 2 of the script"},
        {"# wyze: on raw:\n", NULL, "line 1 of the script"},
        {"# wyze: on raw:a#\n", NULL, "line 1 of the script"},
        {"# wyze: on other:a\n", NULL, "line 1 of the script"},
        {"", "raw", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = read_text(cases[i].code, cases[i].on);

        assert_string_equal(text, cases[i].where);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bindings_come_from_comment_lines),
        cmocka_unit_test(test_bindings_name_is_that_of_the_file),
        cmocka_unit_test(test_bindings_that_cannot_be_read_are_refused_with_their_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
