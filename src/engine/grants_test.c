// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/codes.h"
#include "base/mem.h"
#include "engine/grants.h"

// "limits", "grants" and the words they become; NULL: they are refused.
static const struct {
    const char *limits;
    const char *grants;
    const char *words;
} members[] = {
    {"{}", "{}", ""},
    {"{\"memory\":\"64MiB\"}", "{}", "memory=67108864"},
    {"{\"memory\":67108864}", "{}", "memory=67108864"},
    {"{\"memory\":\"1TiB\"}", "{}", "memory=1099511627776"},
    {"{\"memory\":67108863}", "{}", NULL},
    {"{\"memory\":\"2TiB\"}", "{}", NULL},
    {"{\"memory\":-1}", "{}", NULL},
    {"{\"memory\":true}", "{}", NULL},
    {"{\"memory\":\"much\"}", "{}", NULL},
    {"{\"cpu\":1}", "{}", NULL},
    {"{}", "{\"network\":true}", "network"},
    {"{}", "{\"network\":false,\"threads\":false}", ""},
    {"{}", "{\"network\":[443,1883]}", "port=443 port=1883"},
    {"{}", "{\"network\":[]}", NULL},
    {"{}", "{\"network\":[0]}", NULL},
    {"{}", "{\"network\":[65536]}", NULL},
    {"{}", "{\"network\":[\"443\"]}", NULL},
    {"{}", "{\"network\":443}", NULL},
    {"{}", "{\"threads\":true}", "threads"},
    {"{}", "{\"threads\":1}", NULL},
    {"{}", "{\"read\":[\"/a\",\"/b.c/..d\"],\"write\":[\"/device\"]}",
     "read=/a read=/b.c/..d write=/device"},
    {"{}", "{\"read\":\"/a\"}", NULL},
    {"{}", "{\"read\":[]}", NULL},
    {"{}", "{\"read\":[\"a\"]}", NULL},
    {"{}", "{\"read\":[\"\"]}", NULL},
    {"{}", "{\"read\":[\"/\"]}", NULL},
    {"{}", "{\"read\":[\"/a/\"]}", NULL},
    {"{}", "{\"read\":[\"/a//b\"]}", NULL},
    {"{}", "{\"read\":[\"/a/./b\"]}", NULL},
    {"{}", "{\"write\":[\"/a/..\"]}", NULL},
    {"{}", "{\"write\":[\"/proc\"]}", NULL},
    {"{}", "{\"write\":[\"/sys/fs\"]}", NULL},
    {"{}", "{\"read\":[\"/dev/shm\"]}", NULL},
    {"{}", "{\"read\":[\"/a\\u0000b\"]}", NULL},
    {"{}", "{\"exec\":true}", NULL},
};

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, JSON_ALLOW_NUL, NULL);

    assert_non_null(value);
    return value;
}

static void test_grants_become_words_or_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_t *limits = parse(members[i].limits);
        json_t *grants = parse(members[i].grants);
        struct wz_problem problem = {0};
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
        struct wz_grants words;

        if (wz_grants_check(limits, grants, &problem) == WZ_OK) {
            wz_grants_init(&words, limits, grants);
            for (size_t k = 0; k < words.count; k++)
                wz_buf_addf(&text, "%s%s", k > 0 ? " " : "", words.words[k]);
            wz_grants_release(&words);
            if (!members[i].words || strcmp(members[i].words, wz_buf_str(&text)) != 0)
                fail_msg("%s %s become \"%s\"", members[i].limits, members[i].grants,
                         wz_buf_str(&text));
        } else {
            if (members[i].words)
                fail_msg("%s %s: %s", members[i].limits, members[i].grants, problem.what);
            assert_int_equal(problem.code, WZ_CODE_SCRIPT_INVALID);
            assert_true(problem.fix[0] != '\0');
        }
        json_decref(limits);
        json_decref(grants);
    }
}

static void test_grants_have_a_number_and_a_length(void **state)
{
    json_t *ports = json_array();
    json_t *grants = json_pack("{s:o}", "network", ports);
    char path[WZ_GRANTS_PATH_MAX + 2] = "/";

    (void)state;
    for (int i = 0; i < WZ_GRANTS_MAX; i++)
        json_array_append_new(ports, json_integer(1 + i));
    assert_int_equal(wz_grants_check(NULL, grants, NULL), WZ_OK);
    json_array_append_new(ports, json_integer(99));
    assert_int_equal(wz_grants_check(NULL, grants, NULL), WZ_ERR_INVALID);
    json_decref(grants);

    memset(path + 1, 'a', WZ_GRANTS_PATH_MAX - 1);
    grants = json_pack("{s:[s]}", "read", path);
    assert_int_equal(wz_grants_check(NULL, grants, NULL), WZ_OK);
    json_decref(grants);
    path[WZ_GRANTS_PATH_MAX] = 'a';
    grants = json_pack("{s:[s]}", "read", path);
    assert_int_equal(wz_grants_check(NULL, grants, NULL), WZ_ERR_INVALID);
    json_decref(grants);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grants_become_words_or_are_refused),
        cmocka_unit_test(test_grants_have_a_number_and_a_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
