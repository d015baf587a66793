// SPDX-License-Identifier: Apache-2.0
#include "router/ignores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codes.h"
#include "router/documents_test.h"
#include "router/inbox_list.h"

static int check(const char *name, const char *body_text)
{
    struct wz_problem problem = {0};
    json_t *body = json_loads(body_text, 0, NULL);
    int r = wz_ignore_check(name, body, &problem);

    assert_int_equal(problem.code, r < 0 ? WZ_CODE_INBOX_IGNORE : 0);
    json_decref(body);
    return r;
}

static void test_ignores_are_mqtt_filters_with_a_note(void **state)
{
    char deep[600] = "a";

    (void)state;
    assert_int_equal(check("a/#", "{}"), WZ_OK);
    assert_int_equal(check("+/b", "{\"description\":\"noise\"}"), WZ_OK);
    assert_int_equal(check("a/#/b", "{}"), WZ_ERR_INVALID);
    assert_int_equal(check("a+", "{}"), WZ_ERR_INVALID);
    assert_int_equal(check("a", "{\"description\":1}"), WZ_ERR_INVALID);
    assert_int_equal(check("a", "{\"other\":\"x\"}"), WZ_ERR_INVALID);
    for (size_t i = 0; i < 128; i++)
        memcpy(deep + 1 + 2 * i, "/a", 3);
    assert_int_equal(check(deep, "{}"), WZ_ERR_INVALID);
}

static void test_ignores_match_topics_by_any_filter(void **state)
{
    struct wz_document_list list = {0};
    char deep[600] = "a";
    struct wz_trie *trie;

    (void)state;
    for (size_t i = 0; i < 128; i++)
        memcpy(deep + 1 + 2 * i, "/b", 3);
    assert_null(wz_ignores_compile(&list));
    assert_null(wz_ignores_find(&list, WZ_SLICE_LIT("a")));
    add_document(&list, "a/#", NULL, NULL);
    add_document(&list, "+/b", NULL, NULL);
    add_document(&list, "wrong/#/x", NULL, NULL); // as another program might have put it there
    trie = wz_ignores_compile(&list);
    assert_true(wz_inbox_trie_has(trie, WZ_SLICE_LIT("a")));
    assert_true(wz_inbox_trie_has(trie, WZ_SLICE_LIT("a/b")));
    assert_true(wz_inbox_trie_has(trie, WZ_SLICE_LIT("x/b")));
    assert_false(wz_inbox_trie_has(trie, WZ_SLICE_LIT("x/b/c")));
    assert_false(wz_inbox_trie_has(trie, wz_slice_str(deep)));
    assert_string_equal(wz_ignores_find(&list, WZ_SLICE_LIT("a")), "a/#");
    assert_string_equal(wz_ignores_find(&list, WZ_SLICE_LIT("a/b")), "a/#");
    assert_string_equal(wz_ignores_find(&list, WZ_SLICE_LIT("x/b")), "+/b");
    assert_null(wz_ignores_find(&list, WZ_SLICE_LIT("x/b/c")));
    assert_null(wz_ignores_find(&list, WZ_SLICE_LIT("wrong/a/x")));
    assert_null(wz_ignores_find(&list, wz_slice_str(deep)));
    wz_trie_free(trie);
    wz_document_list_release(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ignores_are_mqtt_filters_with_a_note),
        cmocka_unit_test(test_ignores_match_topics_by_any_filter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
