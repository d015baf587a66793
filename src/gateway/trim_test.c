// SPDX-License-Identifier: Apache-2.0
#include "gateway/stage_test.h"
#include "gateway/streams.h"

// Where a body's words lead.
static int64_t offset_of(struct stage *stage, const char *text)
{
    json_t *body = json_loads(text, 0, NULL);
    struct wz_problem problem;
    int64_t offset = -1;

    assert_non_null(body);
    if (wz_streams_trim_offset(body, stage->parts.streams[0].log, &offset, &problem) < 0)
        offset = -1;
    json_decref(body);
    return offset;
}

static void test_trim_knows_where_its_words_lead(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (int i = 0; i < 3; i++) // each a batch of its own
        assert_int_equal(stage_append(&stage, "a.b", "{}", 1770000000000 + i * 60000), i);
    assert_int_equal(offset_of(&stage, "{\"offset\": 2}"), 2);
    assert_int_equal(offset_of(&stage, "{\"before\": \"2026-02-02T02:41:00Z\"}"), 1);
    assert_int_equal(offset_of(&stage, "{\"before\": \"first\"}"), 0);
    assert_int_equal(offset_of(&stage, "{\"keep_bytes\": 0}"), 0); // one segment stays
    assert_int_equal(offset_of(&stage, "{}"), -1);
    assert_int_equal(offset_of(&stage, "{\"offset\": -2}"), -1);
    assert_int_equal(offset_of(&stage, "{\"offset\": \"2\"}"), -1);
    assert_int_equal(offset_of(&stage, "{\"before\": 2}"), -1);
    assert_int_equal(offset_of(&stage, "{\"before\": \"soon\"}"), -1);
    assert_int_equal(offset_of(&stage, "{\"keep_bytes\": -1}"), -1);
    assert_int_equal(offset_of(&stage, "{\"offset\": 2, \"before\": \"-1h\"}"), -1);
    stage_close(&stage);
}

static void test_trim_is_refused_for_what_it_cannot_do(void **state)
{
    static const struct {
        const char *path;
        const char *body;
        int status;
    } cases[] = {
        {"journal", "{\"offset\": 2}", 400},
        {"tube", "{\"offset\": 2}", 404},
        {"raw-stream", "{}", 400},
        {"raw-stream", "[]", 400},
        {"raw-stream", "{\"offset\": 2, \"other\": 3}", 400},
        {"raw-stream", "{\"offset\": 2, \"dry_run\": 1}", 400},
        {"raw-stream", "{\"offset\": 2}", 503}, // no server
    };
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[64];

        (void)snprintf(path, sizeof(path), "/api/v1/streams/%s/trim", cases[i].path);
        (void)stage_ask(&stage, "POST", path, "", cases[i].body);
        assert_int_equal(stage.status, cases[i].status);
    }
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim_knows_where_its_words_lead),
        cmocka_unit_test(test_trim_is_refused_for_what_it_cannot_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
