// SPDX-License-Identifier: Apache-2.0
#include "gateway/etag.h"
#include "gateway/stage_test.h"

#define PATH "/api/v1/configuration"

static void test_configuration_comes_back_as_it_was_given(void **state)
{
    struct stage stage;
    char *text;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    assert_int_equal(
        stage_ask(&stage, "PUT", PATH, "",
                  "{\"format\":\"wyze configuration 1\",\"devices\":{\"a/b\":{\"route\":"
                  "\"r\"}},\"types\":{\"input\":{\"word\":\"in\"}}}"),
        200);
    assert_string_equal(stage_text(&stage), "{\"changed\":2}\n");
    assert_int_equal(stage_ask(&stage, "GET", PATH, "", ""), 200);
    assert_non_null(strstr(stage_text(&stage), "\"a/b\": {"));
    text = wz_strdup(stage_text(&stage));
    assert_int_equal(stage_ask(&stage, "PUT", PATH, "", text), 200);
    assert_string_equal(stage_text(&stage), "{\"changed\":0}\n");
    wz_free(text);
    stage_close(&stage);
}

static void test_configuration_that_is_imported_takes_the_place_of_what_was(void **state)
{
    static const char first[] =
        "{\"format\":\"wyze configuration 1\",\"devices\":{\"a\":{\"route\":"
        "\"r\"},\"b\":{\"route\":\"s\"}},\"subtopics\":{\"M\":{\"channel\":"
        "\"m\"}}}";
    static const char second[] =
        "{\"format\":\"wyze configuration 1\",\"devices\":{\"a\":{\"route\":\"t\"}}}";
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    assert_int_equal(stage_ask(&stage, "PUT", PATH, "", first), 200);
    assert_int_equal(stage_ask(&stage, "PUT", PATH "?mode=merge", "", second), 200);
    assert_string_equal(stage_text(&stage), "{\"changed\":1}\n");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/devices/b", "", ""), 200);
    assert_int_equal(stage_ask(&stage, "PUT", PATH "?mode=replace", "", second), 200);
    assert_string_equal(stage_text(&stage), "{\"changed\":1}\n");
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/devices/b", "", ""), 404);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/subtopics/M", "", ""),
                     200); // not in the file
    stage_close(&stage);
}

static void test_configuration_that_is_wrong_changes_nothing(void **state)
{
    static const struct {
        const char *path;
        const char *body;
        const char *where;
    } vectors[] = {
        {PATH, "[]", NULL},
        {PATH, "{}", "format"},
        {PATH, "{\"format\":\"wyze configuration 2\"}", "format"},
        {PATH, "{\"format\":\"wyze configuration 1\",\"device\":{}}", "device"},
        {PATH, "{\"format\":\"wyze configuration 1\",\"devices\":[]}", "devices"},
        {PATH, "{\"format\":\"wyze configuration 1\",\"devices\":{\"b\":{},\"c\":1}}", "c"},
        {PATH "?mode=all", "{\"format\":\"wyze configuration 1\"}", NULL},
    };
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        char where[64];

        assert_int_equal(stage_ask(&stage, "PUT", vectors[i].path, "", vectors[i].body), 422);
        (void)snprintf(where, sizeof(where), "\"where\":\"%s\"",
                       vectors[i].where != NULL ? vectors[i].where : "");
        if (vectors[i].where != NULL)
            assert_non_null(strstr(stage_text(&stage), where));
        assert_int_equal(stage_ask(&stage, "GET", "/api/v1/devices/b", "", ""), 404);
    }
    stage_close(&stage);
}

static void test_configuration_is_put_only_if_it_is_still_as_it_was(void **state)
{
    struct stage stage;
    char fields[64];
    char tag[WZ_ETAG_SIZE];

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    assert_int_equal(
        stage_ask(&stage, "PUT", PATH, "",
                  "{\"format\":\"wyze configuration 1\",\"devices\":{\"a\":{\"route\":\"r\"}}}"),
        200);
    assert_int_equal(stage_ask(&stage, "GET", PATH, "", ""), 200);
    wz_etag_of(wz_slice_str(stage_text(&stage)), tag);
    (void)snprintf(fields, sizeof(fields), "ETag: %s\r\n", tag);
    assert_true(stage_has(&stage, fields));
    (void)snprintf(fields, sizeof(fields), "If-Match: %s\r\n", tag);
    assert_int_equal(
        stage_ask(&stage, "PUT", PATH, fields,
                  "{\"format\":\"wyze configuration 1\",\"devices\":{\"a\":{\"route\":\"s\"}}}"),
        200);
    assert_int_equal(
        stage_ask(&stage, "PUT", PATH, fields,
                  "{\"format\":\"wyze configuration 1\",\"devices\":{\"a\":{\"route\":\"t\"}}}"),
        412);
    assert_non_null(strstr(stage_text(&stage), "changed since it was exported"));
    assert_int_equal(
        stage_ask(&stage, "PUT", PATH, "If-Match: *\r\n",
                  "{\"format\":\"wyze configuration 1\",\"devices\":{\"a\":{\"route\":\"t\"}}}"),
        200);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configuration_is_put_only_if_it_is_still_as_it_was),
        cmocka_unit_test(test_configuration_comes_back_as_it_was_given),
        cmocka_unit_test(test_configuration_that_is_imported_takes_the_place_of_what_was),
        cmocka_unit_test(test_configuration_that_is_wrong_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
