// SPDX-License-Identifier: Apache-2.0
#include "gateway/stage_test.h"

#include "base/clock.h"

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
