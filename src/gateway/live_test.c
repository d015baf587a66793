// SPDX-License-Identifier: Apache-2.0
#include "gateway/stage_test.h"

#define LIVE "/api/v1/streams/raw-stream/live"
#define T0 INT64_C(1770000000000)

// Begins to follow; what has come is in stage->answer.
static void follow(struct stage *stage, const char *query, const char *fields)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    wz_buf_addf(&text, "GET " LIVE "%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", query, fields);
    assert_int_equal(stage_exchange(stage, wz_buf_slice(&text)), WZ_AGAIN);
    assert_true(stage_has(stage, "HTTP/1.1 200 OK\r\n"));
    assert_true(stage_has(stage, "Content-Type: text/event-stream\r\n"));
}

// Takes what has come since.
static void go_on(struct stage *stage)
{
    wz_api_wake_live(&stage->api);
    assert_int_equal(stage_exchange(stage, wz_slice(NULL, 0)), WZ_AGAIN);
}

static void test_live_shows_records_as_they_come(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    (void)stage_append(&stage, "a", "{\"n\":0}", T0);
    follow(&stage, "?pattern=a", "");
    assert_false(stage_has(&stage, "\"offset\""));
    (void)stage_append(&stage, "b", "{\"n\":1}", T0);
    (void)stage_append(&stage, "a", "{\"n\":2}", T0);
    go_on(&stage);
    assert_true(stage_has(&stage, "id: 3\ndata: {\"offset\":2,"));
    assert_false(stage_has(&stage, "\"offset\":1,"));
    go_on(&stage);
    assert_int_equal(stage.answer.len, 0);
    stage_close(&stage);
}

static void test_live_resumes_exactly_behind_the_last_event(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (int i = 0; i < 5; i++)
        (void)stage_append(&stage, "a", "{}", T0);
    follow(&stage, "?from=first", "Last-Event-ID: 3\r\n");
    assert_false(stage_has(&stage, "\"offset\":2,"));
    assert_true(stage_has(&stage, "id: 4\ndata: {\"offset\":3,"));
    assert_true(stage_has(&stage, "id: 5\ndata: {\"offset\":4,"));
    stage_close(&stage);
}

static void test_live_tells_one_who_is_too_late_what_he_misses(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (int i = 0; i < 20; i++)
        (void)stage_append(&stage, "a", "{}", T0);
    follow(&stage, "?from=@2&max_lag=10", "");
    assert_true(
        stage_has(&stage, "event: gap\nid: 20\ndata: {\"from\":2,\"to\":20,\"skipped\":18}\n\n"));
    assert_false(stage_has(&stage, "\"offset\""));
    (void)stage_append(&stage, "a", "{}", T0);
    go_on(&stage);
    assert_true(stage_has(&stage, "id: 21\ndata: {\"offset\":20,"));
    assert_false(stage_has(&stage, "event: gap"));
    stage_close(&stage);
}

static void test_live_readers_that_are_behind_get_all_of_it_in_turns(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf out = {0};
    struct wz_slice request =
        WZ_SLICE_LIT("GET " LIVE "?from=first HTTP/1.1\r\nHost: localhost\r\n\r\n");
    struct stage stage;
    int turns = 0;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (int i = 0; i < 500; i++)
        (void)stage_append(&stage, "a", "{}", T0);
    wz_peer_input(stage.peer, request);
    for (; wz_peer_output(stage.peer, &out, 4096) == WZ_OK; turns++) {
        assert_true(out.len < 4096 + 1024);
        if (strstr(wz_buf_str(&out), "\"offset\":499,") != NULL)
            break;
        out.len = 0;
    }
    assert_true(turns > 5);
    stage_close(&stage);
}

static void test_live_that_is_asked_for_wrongly_is_refused(void **state)
{
    static const struct {
        const char *query;
        const char *fields;
    } cases[] = {
        {"?from=soon", ""},
        {"?max_lag=0", ""},
        {"?max_lag=many", ""},
        {"?pattern=a%23b", ""},
        {"", "Last-Event-ID: abc\r\n"},
        {"", "Last-Event-ID: 12345678901234567890\r\n"},
    };
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char target[128];

        (void)snprintf(target, sizeof(target), LIVE "%s", cases[i].query);
        assert_int_equal(stage_ask(&stage, "GET", target, cases[i].fields, ""), 400);
    }
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_shows_records_as_they_come),
        cmocka_unit_test(test_live_resumes_exactly_behind_the_last_event),
        cmocka_unit_test(test_live_tells_one_who_is_too_late_what_he_misses),
        cmocka_unit_test(test_live_readers_that_are_behind_get_all_of_it_in_turns),
        cmocka_unit_test(test_live_that_is_asked_for_wrongly_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
