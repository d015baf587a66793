// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/codes.h"
#include "engine/script_document.h"

// Documents, and what is said of them; NULL: they are fine.
static const struct {
    const char *name;
    const char *body;
    const char *what;
    const char *where;
} documents[] = {
    {"alarm", "{\"code\":\"\"}", NULL, NULL},
    {"alarm", "{\"code\":\"x\",\"description\":\"d\",\"active\":false,\"config\":{\"a\":1}}", NULL,
     NULL},
    {"alarm", "{\"code\":\"x\",\"bindings\":[{\"pattern\":\"a.*.#\"}]}", NULL, NULL},
    {"alarm", "{\"code\":\"x\",\"bindings\":[{\"stream\":\"processed\",\"pattern\":\"#\"}]}", NULL,
     NULL},
    {"alarm", "{\"code\":\"x\",\"limits\":{\"memory\":\"1GiB\"},\"grants\":{\"read\":[\"/srv\"]}}",
     NULL, NULL},
    {"alarm", "{\"code\":\"x\",\"limits\":[]}", "\"limits\" must be an object", "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"grants\":true}", "\"grants\" must be an object", "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"limits\":{\"memory\":1}}", "\"memory\" of \"limits\"",
     "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"grants\":{\"read\":[\"/\"]}}", "\"read\" of \"grants\"",
     "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"grants\":{\"exec\":true}}",
     "there is no member \"exec\" of \"grants\"", "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"start\":\"now\"}", NULL, NULL},
    {"alarm", "{\"code\":\"x\",\"start\":\"first\"}", NULL, NULL},
    {"alarm", "{\"code\":\"x\",\"start\":\"@7\"}", NULL, NULL},
    {"alarm", "{\"code\":\"x\",\"start\":\"-1h\"}", NULL, NULL},
    {"alarm", "{\"code\":\"x\",\"start\":\"2026-01-02T03:04:05Z\"}", NULL, NULL},
    {"alarm", "{\"code\":\"x\",\"start\":7}", "\"start\" must be a text", "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"start\":\"yesterday\"}",
     "\"start\" does not say where the script begins: \"yesterday\"", "scripts/alarm"},
    {"", "{\"code\":\"x\"}", "a script's name must be", "scripts/"},
    {"a/b", "{\"code\":\"x\"}", "a script's name must be", "scripts/a/b"},
    {".", "{\"code\":\"x\"}", "a script's name must be", "scripts/."},
    {"..", "{\"code\":\"x\"}", "a script's name must be", "scripts/.."},
    {"a\nb", "{\"code\":\"x\"}", "a script's name must be", "scripts/a\nb"},
    {"alarm", "[]", "a script's document must be an object", "scripts/alarm"},
    {"alarm", "{}", "the script has no code", "scripts/alarm"},
    {"alarm", "{\"code\":1}", "\"code\" must be a text", "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"activ\":true}", "there is no member \"activ\"", "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"active\":1}", "\"active\" must be true or false", "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"config\":[]}", "\"config\" must be an object", "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"bindings\":{}}", "\"bindings\" must be a list", "scripts/alarm"},
    {"alarm", "{\"code\":\"x\",\"bindings\":[{\"pattern\":\"a\"},3]}",
     "a binding must be an object", "scripts/alarm, binding 2"},
    {"alarm", "{\"code\":\"x\",\"bindings\":[{\"stream\":\"raw\"}]}",
     "a binding needs a pattern of topics", "scripts/alarm, binding 1"},
    {"alarm", "{\"code\":\"x\",\"bindings\":[{\"pattern\":\"a*.b\"}]}",
     "a binding needs a pattern of topics", "scripts/alarm, binding 1"},
    {"alarm", "{\"code\":\"x\",\"bindings\":[{\"pattern\":\"\"}]}",
     "a binding needs a pattern of topics", "scripts/alarm, binding 1"},
    {"alarm", "{\"code\":\"x\",\"bindings\":[{\"pattern\":\"a\",\"stream\":\"live\"}]}",
     "there is no stream of that name", "scripts/alarm, binding 1"},
    {"alarm", "{\"code\":\"x\",\"bindings\":[{\"pattern\":\"a\",\"topic\":\"b\"}]}",
     "there is no member \"topic\"", "scripts/alarm, binding 1"},
};

static void test_script_document_check_names_what_is_wrong_and_where(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        json_t *body = json_loads(documents[i].body, 0, NULL);
        struct wz_problem problem = {0};
        int r = wz_script_document_check(documents[i].name, body, &problem);

        assert_non_null(body);
        json_decref(body);
        if (!documents[i].what) {
            assert_int_equal(r, WZ_OK);
            continue;
        }
        assert_int_equal(r, WZ_ERR_INVALID);
        if (!strstr(problem.what, documents[i].what))
            fail_msg("\"%s\" is said of %s", problem.what, documents[i].body);
        assert_string_equal(problem.where, documents[i].where);
        assert_true(problem.fix[0] != '\0');
        assert_true(problem.code == WZ_CODE_SCRIPT_INVALID ||
                    problem.code == WZ_CODE_DOCUMENT_NAME);
    }
}

static void test_script_document_check_limits_the_bindings(void **state)
{
    json_t *bindings = json_array();
    json_t *body = json_pack("{s:s, s:O}", "code", "x", "bindings", bindings);

    (void)state;
    for (int i = 0; i < WZ_SCRIPT_BINDINGS_MAX; i++)
        json_array_append_new(bindings, json_pack("{s:s}", "pattern", "a"));
    assert_int_equal(wz_script_document_check("alarm", body, NULL), WZ_OK);
    json_array_append_new(bindings, json_pack("{s:s}", "pattern", "a"));
    assert_int_equal(wz_script_document_check("alarm", body, NULL), WZ_ERR_INVALID);
    json_decref(body);
    json_decref(bindings);
}

static void test_script_document_init_fills_in_what_is_left_out(void **state)
{
    json_t *body = json_pack("{s:s, s:[{s:s}, {s:s, s:s}], s:{s:[i]}, s:{s:b}}", "code", "x = 1",
                             "bindings", "pattern", "a.#", "stream", "processed", "pattern", "b",
                             "config", "limits", 3, "grants", "threads", 1);
    struct wz_script_document document;

    (void)state;
    wz_script_document_init(&document, body);
    json_decref(body); // it keeps a reference of its own
    assert_true(document.active);
    assert_true(wz_slice_eq(document.code, WZ_SLICE_LIT("x = 1")));
    assert_int_equal(document.binding_count, 2);
    assert_int_equal(document.bindings[0].stream, WZ_SCRIPT_RAW);
    assert_int_equal(document.bindings[1].stream, WZ_SCRIPT_PROCESSED);
    assert_true(wz_slice_eq(document.bindings[1].pattern, WZ_SLICE_LIT("b")));
    assert_string_equal(wz_buf_str(&document.config), "{\"limits\":[3]}");
    assert_int_equal(document.grants.count, 1);
    assert_string_equal(document.grants.words[0], "threads");
    wz_script_document_release(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script_document_check_names_what_is_wrong_and_where),
        cmocka_unit_test(test_script_document_check_limits_the_bindings),
        cmocka_unit_test(test_script_document_init_fills_in_what_is_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
