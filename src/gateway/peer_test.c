// SPDX-License-Identifier: Apache-2.0
#include "gateway/stage_test.h"

#include "base/clock.h"
#include "loop/budget.h"

#define HOST " HTTP/1.1\r\nHost: localhost\r\n"

// How often TEXT stands in the answer.
static int count(struct stage *stage, const char *text)
{
    const char *at = wz_buf_str(&stage->answer);
    int n = 0;

    while ((at = strstr(at, text)) != NULL) {
        at += strlen(text);
        n++;
    }
    return n;
}

static void test_peer_answers_pipelined_requests_in_order(void **state)
{
    struct wz_slice text =
        WZ_SLICE_LIT("\r\nGET /livez" HOST "\r\nPUT /api/v1/settings/a" HOST
                     "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
                     "GET /api/v1/settings/a" HOST "\r\nHEAD /livez" HOST "\r\n");
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    assert_int_equal(stage_exchange(&stage, text), WZ_AGAIN);
    assert_int_equal(count(&stage, "HTTP/1.1 200 OK\r\n"), 3);
    assert_int_equal(count(&stage, "HTTP/1.1 201 Created\r\n"), 1);
    assert_int_equal(count(&stage, "\r\n\r\nok\n"), 1);
    assert_int_equal(count(&stage, "{}\n"), 2);
    assert_true(wz_peer_wants_input(stage.peer));
    stage_close(&stage);
}

static void test_peer_takes_requests_byte_by_byte(void **state)
{
    struct wz_slice text =
        WZ_SLICE_LIT("PUT /api/v1/settings/a" HOST "Content-Length: 7\r\n\r\n{\"b\":1}"
                     "GET /api/v1/settings/a" HOST "Connection: close\r\n\r\n");
    WZ_AUTO(wz_buf_release) struct wz_buf all = {0};
    struct stage stage;
    int r = WZ_AGAIN;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (size_t i = 0; i < text.len; i++) {
        r = stage_exchange(&stage, wz_slice_sub(text, i, 1));
        wz_buf_add_slice(&all, wz_buf_slice(&stage.answer));
    }
    assert_int_equal(r, WZ_END);
    assert_non_null(strstr(wz_buf_str(&all), "HTTP/1.1 201 Created\r\n"));
    assert_non_null(strstr(wz_buf_str(&all), "Connection: close\r\n"));
    stage_close(&stage);
}

static void test_peer_refuses_and_takes_no_more(void **state)
{
    static const struct {
        const char *text;
        const char *status;
    } cases[] = {
        {"\x16\x03\x01\r\n\r\n", "400"},
        {"GET /livez HTTP/1.1\r\n\r\n", "400"},
        {"GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n", "501"},
        {"PUT /api/v1/settings/a" HOST "Content-Length: 2097153\r\n\r\n", "413"},
        {"PUT /api/v1/settings/a" HOST "Transfer-Encoding: chunked\r\n\r\nno\r\n", "400"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char status[32];
        struct stage stage;

        stage_open(&stage);
        stage_begin(&stage);
        (void)snprintf(status, sizeof(status), "HTTP/1.1 %s ", cases[i].status);
        assert_int_equal(stage_exchange(&stage, wz_slice_str(cases[i].text)), WZ_AGAIN);
        assert_true(stage_has(&stage, status));
        assert_true(stage_has(&stage, "Connection: close\r\n"));
        assert_int_equal(stage_exchange(&stage, WZ_SLICE_LIT("GET /livez" HOST "\r\n")), WZ_AGAIN);
        assert_int_equal(stage.answer.len, 0);
        assert_int_equal(wz_peer_tick(stage.peer, wz_clock_mono_us() + WZ_PEER_LINGER_US + 1),
                         WZ_END);
        stage_close(&stage);
    }
}

static void test_peer_refuses_a_head_without_end(void **state)
{
    char text[WZ_HTTP_HEAD_MAX + 100];
    struct stage stage;

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /livez" HOST "X: ", strlen("GET /livez" HOST "X: "));
    stage_open(&stage);
    stage_begin(&stage);
    (void)stage_exchange(&stage, wz_slice(text, sizeof(text)));
    assert_true(stage_has(&stage, "HTTP/1.1 431 "));
    stage_close(&stage);
}

static void test_peer_refuses_foreign_hosts_and_origins(void **state)
{
    static const struct {
        const char *head;
        const char *status;
    } cases[] = {
        {"GET /livez HTTP/1.1\r\nHost: localhost:5081\r\n", "200"},
        {"GET /livez HTTP/1.1\r\nHost: 127.0.0.1:5081\r\n", "200"},
        {"GET /livez HTTP/1.1\r\nHost: [::1]:5081\r\n", "200"},
        {"GET /livez HTTP/1.1\r\nHost: example.com\r\n", "403"},
        {"GET /livez HTTP/1.1\r\nHost: 127.0.0.1.example.com\r\n", "403"},
        {"GET /livez HTTP/1.1\r\nHost: 10.0.0.1\r\n", "403"},
        {"GET /livez HTTP/1.1\r\nHost:\r\n", "403"},
        {"DELETE /api/v1/settings/a" HOST "Origin: http://example.com\r\n", "403"},
        {"DELETE /api/v1/settings/a" HOST "Origin: null\r\n", "403"},
        {"DELETE /api/v1/settings/a" HOST "Origin: http://localhost\r\n", "404"},
        {"GET /livez" HOST "Origin: http://example.com\r\n", "200"},
    };
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char status[32];
        char text[256];

        (void)snprintf(text, sizeof(text), "%s\r\n", cases[i].head);
        (void)snprintf(status, sizeof(status), "HTTP/1.1 %s ", cases[i].status);
        (void)stage_exchange(&stage, wz_slice_str(text));
        if (!stage_has(&stage, status))
            print_error("case %zu\n", i);
        assert_true(stage_has(&stage, status));
        assert_false(stage_has(&stage, "Access-Control"));
    }
    stage_close(&stage);
}

static void test_peer_gives_up_on_who_is_silent(void **state)
{
    int64_t now_us = wz_clock_mono_us();
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    assert_int_equal(wz_peer_tick(stage.peer, now_us + 1000000), WZ_OK);
    assert_int_equal(wz_peer_tick(stage.peer, now_us + WZ_PEER_IDLE_US + 1000000), WZ_END);
    (void)stage_exchange(&stage, WZ_SLICE_LIT("GET /li"));
    assert_int_equal(wz_peer_tick(stage.peer, now_us + WZ_PEER_REQUEST_US + 10000000), WZ_OK);
    (void)stage_exchange(&stage, wz_slice(NULL, 0));
    assert_true(stage_has(&stage, "HTTP/1.1 408 "));
    stage_close(&stage);
}

static void test_peer_that_goes_leaves_its_work_to_end_by_itself(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    wz_peer_input(stage.peer, WZ_SLICE_LIT("GET /api/v1/settings" HOST "\r\n"));
    assert_int_equal(stage.api.under_way, 1);
    wz_peer_free(stage.peer);
    stage.peer = NULL;
    while (stage.api.under_way > 0) {
        assert_true(wz_mailbox_wait(&stage.api.mail));
        (void)wz_mailbox_run(&stage.api.mail);
    }
    stage_close(&stage);
}

static void test_peer_refuses_what_there_is_no_memory_for(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_budget budget = {.max = 400 * 1000};
    struct stage stage;
    int r;

    (void)state;
    stage_open(&stage);
    stage.parts.budget = &budget;
    stage_begin(&stage);
    // A body.
    wz_buf_addf(&text, "PUT /api/v1/settings/a" HOST "Content-Length: %d\r\n\r\n{\"b\":\"", 300000);
    (void)stage_exchange(&stage, wz_buf_slice(&text));
    text.len = 0;
    while (text.len < 10000)
        wz_buf_add_byte(&text, 'x');
    for (int i = 0; i < 12; i++)
        assert_int_equal(stage_exchange(&stage, wz_buf_slice(&text)), WZ_AGAIN);
    assert_in_range(atomic_load(&budget.lent), 120 * 1000, 200 * 1000);
    for (int i = 0; !stage_has(&stage, "HTTP/1.1 503") && i < 10; i++)
        (void)stage_exchange(&stage, wz_buf_slice(&text));
    assert_true(stage_has(&stage, "HTTP/1.1 503"));
    assert_int_equal(count(&stage, "WYZ-6005"), 1);
    assert_int_equal(atomic_load(&budget.lent), 0);
    // An answer.
    wz_peer_free(stage.peer);
    stage.peer = wz_peer_new(&stage.api, stage_wake, NULL);
    for (int i = 0; i < 30; i++)
        (void)stage_append(&stage, "a", wz_buf_str(&text), INT64_C(1770000000000));
    r = stage_exchange(
        &stage, WZ_SLICE_LIT("GET /api/v1/streams/raw-stream/records?format=json" HOST "\r\n"));
    assert_int_equal(r, WZ_AGAIN);
    assert_true(stage_has(&stage, "HTTP/1.1 503"));
    assert_int_equal(atomic_load(&budget.lent), 0);
    r = stage_exchange(
        &stage,
        WZ_SLICE_LIT("GET /api/v1/streams/raw-stream/records?format=json&limit=3" HOST "\r\n"));
    assert_int_equal(r, WZ_AGAIN);
    assert_true(stage_has(&stage, "HTTP/1.1 200"));
    assert_int_equal(atomic_load(&budget.lent), 0); // it is out
    stage_close(&stage);
}

static void test_peer_takes_a_slot_while_its_answer_is_not_out(void **state)
{
    static const char live[] = "GET /api/v1/streams/raw-stream/live" HOST "\r\n";
    struct wz_peer_group group = {.busy_max = 1};
    struct wz_slice text = wz_slice(live, sizeof(live) - 1);
    struct wz_peer *first;
    int64_t since_us;
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    wz_peer_join(stage.peer, &group);
    assert_int_equal(wz_peer_rest(stage.peer, &since_us), WZ_PEER_IDLE);
    (void)stage_exchange(&stage, WZ_SLICE_LIT("GET /api/v1/settings" HOST));
    assert_int_equal(wz_peer_rest(stage.peer, &since_us), WZ_PEER_ASKING);
    (void)stage_exchange(&stage, WZ_SLICE_LIT("\r\n"));
    assert_int_equal(group.busy, 0);
    (void)stage_exchange(&stage, text);
    assert_true(stage_has(&stage, "HTTP/1.1 200"));
    assert_int_equal(group.busy, 1);
    assert_int_equal(wz_peer_rest(stage.peer, &since_us), WZ_PEER_BUSY);
    first = stage.peer;
    stage.peer = wz_peer_new(&stage.api, stage_wake, NULL);
    wz_peer_join(stage.peer, &group);
    (void)stage_exchange(&stage, text);
    assert_true(stage_has(&stage, "HTTP/1.1 503"));
    assert_int_equal(count(&stage, "WYZ-6005"), 1);
    (void)stage_exchange(&stage, WZ_SLICE_LIT("GET /readyz" HOST "\r\nGET /livez" HOST
                                              "\r\nGET /metrics" HOST "\r\n"));
    assert_int_equal(count(&stage, "HTTP/1.1 200"), 3);
    wz_peer_free(first);
    assert_int_equal(group.busy, 0);
    (void)stage_exchange(&stage, text);
    assert_true(stage_has(&stage, "HTTP/1.1 200"));
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_answers_pipelined_requests_in_order),
        cmocka_unit_test(test_peer_takes_requests_byte_by_byte),
        cmocka_unit_test(test_peer_refuses_and_takes_no_more),
        cmocka_unit_test(test_peer_refuses_a_head_without_end),
        cmocka_unit_test(test_peer_refuses_foreign_hosts_and_origins),
        cmocka_unit_test(test_peer_gives_up_on_who_is_silent),
        cmocka_unit_test(test_peer_that_goes_leaves_its_work_to_end_by_itself),
        cmocka_unit_test(test_peer_refuses_what_there_is_no_memory_for),
        cmocka_unit_test(test_peer_takes_a_slot_while_its_answer_is_not_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
