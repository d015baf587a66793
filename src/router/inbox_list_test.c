// SPDX-License-Identifier: Apache-2.0
#include "router/inbox_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "router/documents_test.h"

static void see(struct wz_seen_topics *topics, struct wz_slice topic, struct wz_slice body,
                int64_t time_ms)
{
    struct wz_seen_message message = {
        .topic = topic, .body = body, .why = WZ_OUTCOME_UNKNOWN_DEVICE, .time_ms = time_ms};

    assert_true(wz_seen_topics_add(topics, &message));
}

// The list as compact JSON, the caller's to free.
static char *make(const struct wz_seen_topics *topics, int limit)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_inbox_list list = {.answer = json_object()};
    json_t *wish = limit > 0 ? json_pack("{s:i}", "limit", limit) : NULL;
    char *text;

    add_device(lists, "mapped", "route");
    assert_int_equal(wz_mapping_compile(lists, &list.mapping, NULL), WZ_OK);
    release_documents(lists);
    list.wish = wish;
    list.count = wz_seen_topics_copy(topics, &list.items);
    wz_inbox_list_make(&list);
    text = json_dumps(list.answer, JSON_COMPACT);
    wz_inbox_list_release(&list);
    json_decref(wish);
    return text;
}

static void test_inbox_list_says_all_of_a_topic(void **state)
{
    struct wz_seen_topics topics = {0};
    char *text;

    (void)state;
    see(&topics, WZ_SLICE_LIT("mapped/x/status"), WZ_SLICE_LIT("is left out"), 1);
    see(&topics, WZ_SLICE_LIT("a/b"), WZ_SLICE_LIT("x\0y"), 1770000000000);
    see(&topics, WZ_SLICE_LIT("a/b"), WZ_SLICE_LIT("z"), 1770000000500);
    text = make(&topics, 0);
    assert_string_equal(
        text, "{\"items\":[{\"topic\":\"a/b\",\"why\":\"unknown-device\",\"count\":2,\"over\":0,"
              "\"first\":\"2026-02-02T02:40:00.000Z\",\"last\":\"2026-02-02T02:40:00.500Z\","
              "\"per_minute\":2,\"sample\":\"x\\u0000y\",\"bytes\":3}],"
              "\"more\":false}");
    free(text);
    wz_seen_topics_release(&topics);
}

static void test_inbox_list_orders_cuts_and_wraps(void **state)
{
    struct wz_seen_topics topics = {0};
    char *text;

    (void)state;
    see(&topics, WZ_SLICE_LIT("b"), WZ_SLICE_LIT("\xff\xfe"), 1);
    see(&topics, WZ_SLICE_LIT("a"), WZ_SLICE_LIT(""), 1);
    see(&topics, WZ_SLICE_LIT("c"), WZ_SLICE_LIT("1"), 1);
    see(&topics, WZ_SLICE_LIT("c"), WZ_SLICE_LIT("1"), 1);
    see(&topics, WZ_SLICE_LIT("not UTF-8 \xff"), WZ_SLICE_LIT("1"), 1); // is left out
    text = make(&topics, 2);
    assert_non_null(strstr(text, "\"more\":true"));
    assert_true(strstr(text, "\"topic\":\"c\"") < strstr(text, "\"topic\":\"a\""));
    assert_null(strstr(text, "\"topic\":\"b\""));
    free(text);
    text = make(&topics, 3);
    assert_non_null(strstr(text, "\"sample\":\"//4=\",\"sample_encoding\":\"base64\""));
    assert_non_null(strstr(text, "\"more\":false"));
    free(text);
    wz_seen_topics_release(&topics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inbox_list_says_all_of_a_topic),
        cmocka_unit_test(test_inbox_list_orders_cuts_and_wraps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
