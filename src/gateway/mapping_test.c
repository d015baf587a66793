// SPDX-License-Identifier: Apache-2.0
#include "gateway/etag.h"
#include "gateway/stage_test.h"

// A mapping text of this test: the name of one device, or "bad".
static int import_text(void *arg, struct wz_slice text, const struct wz_api_documents *documents,
                       struct wz_api_changes *ret_changes, struct wz_problem *ret_problem)
{
    size_t count = documents->lists[WZ_COLLECTION_DEVICES].count;

    (void)arg;
    if (wz_slice_eq(text, WZ_SLICE_LIT("bad")))
        return wz_problem_set(ret_problem, WZ_ERR_INVALID, 2201, "line 1 is bad");
    ret_changes->items = wz_zalloc(2, sizeof(*ret_changes->items));
    ret_changes->items[ret_changes->count++] = (struct wz_store_change){
        .collection = WZ_COLLECTION_DEVICES,
        .name = wz_strndup(text.ptr, text.len),
        .body = json_object(),
    };
    for (size_t i = 0; i < count && i < 1; i++)
        ret_changes->items[ret_changes->count++] = (struct wz_store_change){
            .collection = WZ_COLLECTION_DEVICES,
            .name = wz_strdup(documents->lists[WZ_COLLECTION_DEVICES].items[i].name),
        };
    return WZ_OK;
}

static int export_text(void *arg, const struct wz_api_documents *documents, struct wz_buf *ret_text,
                       struct wz_problem *ret_problem)
{
    (void)arg;
    (void)ret_problem;
    for (size_t i = 0; i < documents->lists[WZ_COLLECTION_DEVICES].count; i++)
        wz_buf_addf(ret_text, "%s;", documents->lists[WZ_COLLECTION_DEVICES].items[i].name);
    return WZ_OK;
}

static void open_stage(struct stage *stage)
{
    stage_open(stage);
    stage->parts.import = import_text;
    stage->parts.export = export_text;
}

static void test_mapping_text_replaces_the_documents_and_comes_back(void **state)
{
    struct stage stage;

    (void)state;
    open_stage(&stage);
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/mapping", "", "one"), 200);
    assert_string_equal(stage_text(&stage), "{\"changed\":1}\n");
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/mapping", "", "two"), 200);
    assert_string_equal(stage_text(&stage), "{\"changed\":2}\n");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/mapping", "", ""), 200);
    assert_string_equal(stage_text(&stage), "two;");
    assert_true(stage_has(&stage, "Content-Type: text/plain; charset=utf-8\r\n"));
    stage_close(&stage);
}

static void test_mapping_text_that_is_refused_changes_nothing(void **state)
{
    struct stage stage;

    (void)state;
    open_stage(&stage);
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/mapping", "", "one"), 200);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/mapping", "", "bad"), 422);
    assert_non_null(strstr(stage_text(&stage), "WYZ-2201"));
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/mapping", "", "a\001b"), 422);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/mapping", "", ""), 200);
    assert_string_equal(stage_text(&stage), "one;");
    stage_close(&stage);
}

static int explain_topic(void *arg, const struct wz_api_documents *documents, struct wz_slice topic,
                         struct wz_slice body, json_t **ret_steps, struct wz_problem *ret_problem)
{
    (void)arg;
    (void)ret_problem;
    *ret_steps = json_pack("{s:i, s:i, s:i, s:s%, s:b, s:s%}", "devices",
                           (int)documents->lists[WZ_COLLECTION_DEVICES].count, "ignores",
                           (int)documents->lists[WZ_COLLECTION_IGNORES].count, "rules",
                           (int)documents->lists[WZ_COLLECTION_PASSTHROUGH].count, "topic",
                           (const char *)topic.ptr, topic.len, "given", body.ptr != NULL, "body",
                           body.ptr != NULL ? (const char *)body.ptr : "", body.len);
    return WZ_OK;
}

static void test_mapping_test_gives_topic_and_body_to_who_explains(void **state)
{
    struct stage stage;

    (void)state;
    open_stage(&stage);
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/mapping/test?topic=a", "", ""), 503);
    stage_close(&stage);
    open_stage(&stage);
    stage.parts.explain = explain_topic;
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/ignores/a", "", "{}"), 201);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/passthrough/r", "", "{}"), 201);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/passthrough/s", "", "{}"), 201);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/mapping/test?topic=a%2Fb&body=1", "", ""),
                     200);
    assert_string_equal(stage_text(&stage), "{\"devices\":0,\"ignores\":1,\"rules\":2,\"topic\":"
                                            "\"a/b\",\"given\":true,\"body\":\"1\"}\n");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/mapping/test?topic=a&body=", "", ""), 200);
    assert_non_null(strstr(stage_text(&stage), "\"given\":true"));
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/mapping/test?topic=a", "", ""), 200);
    assert_non_null(strstr(stage_text(&stage), "\"given\":false"));
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/mapping/test?body=1", "", ""), 422);
    assert_non_null(strstr(stage_text(&stage), "WYZ-6001"));
    stage_close(&stage);
}

static void test_mapping_text_is_put_only_if_it_is_still_as_it_was(void **state)
{
    struct stage stage;
    char fields[64];
    char tag[WZ_ETAG_SIZE];

    (void)state;
    open_stage(&stage);
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/mapping", "", "one"), 200);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/mapping", "", ""), 200);
    wz_etag_of(wz_slice_str(stage_text(&stage)), tag);
    (void)snprintf(fields, sizeof(fields), "ETag: %s\r\n", tag);
    assert_true(stage_has(&stage, fields));
    (void)snprintf(fields, sizeof(fields), "If-Match: %s\r\n", tag);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/mapping", fields, "two"), 200);
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/mapping", fields, "three"), 412);
    assert_non_null(strstr(stage_text(&stage), "changed since it was exported"));
    assert_int_equal(stage_ask(&stage, "PUT", "/api/v1/mapping", "If-Match: *\r\n", "three"), 200);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping_text_is_put_only_if_it_is_still_as_it_was),
        cmocka_unit_test(test_mapping_text_replaces_the_documents_and_comes_back),
        cmocka_unit_test(test_mapping_text_that_is_refused_changes_nothing),
        cmocka_unit_test(test_mapping_test_gives_topic_and_body_to_who_explains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
