// SPDX-License-Identifier: Apache-2.0
#include "gateway/stage_test.h"

static void test_status_answers_on_each_of_its_addresses(void **state)
{
    static const struct {
        const char *target;
        const char *text;
    } cases[] = {
        {"/livez", "ok\n"},
        {"/readyz", "{\"ready\":true,\"reasons\":[]}"},
        {"/metrics", "wyze_stream_next_offset{stream=\"raw-stream\"} 1\n"},
        {"/metrics", "wyze_stream_size_bytes{stream=\"journal\"} "},
        {"/metrics", "# TYPE wyze_http_requests_total counter\n"},
        {"/api/v1/version", "{\"version\":\"" WZ_VERSION "\"}"},
        {"/api/v1/openapi.json", "\"openapi\": \"3.1.0\""},
        {"/api/v1/streams", "{\"items\":[{\"name\":\"raw-stream\",\"first_offset\":0,"},
        {"/api/v1/streams/raw-stream", "\"first_time\":\"2026-02-02T02:40:00.000Z\""},
        {"/api/v1/status", "\"listeners\":{\"mqtt\":{\"port\":1883}}"},
        {"/api/v1/status", "\"wyze_mqtt_connections\":"},
        {"/api/v1/status", "\"journal\":{\"name\":\"journal\","},
        {"/api/v1/status", "\"live_bytes\":"},
    };
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage.parts.journal = stage.parts.streams[0].log;
    stage_begin(&stage);
    (void)stage_append(&stage, "a", "{}", INT64_C(1770000000000));
    wz_board_set(stage.parts.board, "listeners", "mqtt", json_pack("{s:i}", "port", 1883));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(stage_ask(&stage, "GET", cases[i].target, "", ""), 200);
        if (strstr(stage_text(&stage), cases[i].text) == NULL)
            print_error("%s: %s\n", cases[i].target, stage_text(&stage));
        assert_non_null(strstr(stage_text(&stage), cases[i].text));
    }
    stage_close(&stage);
}

static void test_status_without_parts_still_answers(void **state)
{
    struct wz_api_parts none = {0};
    struct stage stage;

    (void)state;
    stage_open(&stage);
    wz_api_init(&stage.api, &none, NULL, NULL);
    stage.peer = wz_peer_new(&stage.api, stage_wake, NULL);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/status", "", ""), 200);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/devices", "", ""), 503);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/mapping", "", ""), 503);
    assert_int_equal(stage_ask(&stage, "GET", "/api/v1/streams/raw-stream", "", ""), 404);
    assert_int_equal(stage_ask(&stage, "POST", "/api/v1/publish", "",
                               "{\"exchange\":\"ingress\",\"topic\":\"a\",\"text\":\"\"}"),
                     503);
    assert_true(stage_has(&stage, "Retry-After: 1\r\n"));
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_answers_on_each_of_its_addresses),
        cmocka_unit_test(test_status_without_parts_still_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
