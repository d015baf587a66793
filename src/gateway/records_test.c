// SPDX-License-Identifier: Apache-2.0
#include "gateway/stage_test.h"

#define RECORDS "/api/v1/streams/raw-stream/records"
#define T0 INT64_C(1770000000000)

// Ten records, offsets 0 to 9, a second apart, on topics a.even and a.odd.
static void stage_fill(struct stage *stage)
{
    for (int i = 0; i < 10; i++) {
        char body[32];

        (void)snprintf(body, sizeof(body), "{\"n\":%d.00}", i);
        (void)stage_append(stage, i % 2 == 0 ? "a.even" : "a.odd", body, T0 + i * 1000);
    }
}

// The offsets in the last answer, as text.
static const char *offsets(struct stage *stage)
{
    static char text[128];
    const char *at = stage_text(stage);
    size_t len = 0;

    text[0] = '\0';
    while ((at = strstr(at, "{\"offset\":")) != NULL) {
        at += strlen("{\"offset\":");
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%ld ", strtol(at, NULL, 10));
    }
    return text;
}

static void test_records_of_a_range_come_in_both_directions(void **state)
{
    static const struct {
        const char *query;
        const char *offsets;
    } cases[] = {
        {"", "0 1 2 3 4 5 6 7 8 9 "},
        {"?from=@7", "7 8 9 "},
        {"?from=@2&to=@5", "2 3 4 "},
        {"?from=@5&to=@2", ""},
        {"?from=2026-02-02T02:40:07.500Z", "8 9 "},
        {"?to=2026-02-02T02:40:01Z", "0 "},
        {"?from=end", ""},
        {"?from=@100", ""},
        {"?limit=2", "0 1 "},
        {"?direction=backward", "9 8 7 6 5 4 3 2 1 0 "},
        {"?direction=backward&from=@5&to=@2", "4 3 2 "},
        {"?direction=backward&limit=3", "9 8 7 "},
        {"?pattern=a.odd", "1 3 5 7 9 "},
        {"?pattern=*.even&direction=backward&limit=2", "8 6 "},
        {"?pattern=b.%23", ""},
    };
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    stage_fill(&stage);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char target[256];

        (void)snprintf(target, sizeof(target), RECORDS "%s", cases[i].query);
        assert_int_equal(stage_ask(&stage, "GET", target, "", ""), 200);
        if (strcmp(offsets(&stage), cases[i].offsets) != 0)
            print_error("case %zu\n", i);
        assert_string_equal(offsets(&stage), cases[i].offsets);
    }
    stage_close(&stage);
}

static void test_records_are_lines_whose_bodies_keep_their_bytes(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    (void)stage_append(&stage, "a", "{\"n\":1.500,\n \"n\":2}", T0);
    (void)stage_append(&stage, "b", "no \"json\"", T0 + 1);
    (void)stage_append(&stage, "c", "\xff", T0 + 2);
    assert_int_equal(stage_ask(&stage, "GET", RECORDS, "", ""), 200);
    assert_true(stage_has(&stage, "Content-Type: application/x-ndjson\r\n"));
    assert_string_equal(
        stage_text(&stage),
        "{\"offset\":0,\"append_time\":\"2026-02-02T02:40:00.000Z\",\"topic\":\"a\","
        "\"headers\":{\"from\":\"a/b\"},\"body\":{\"n\":1.500,  \"n\":2}}\n"
        "{\"offset\":1,\"append_time\":\"2026-02-02T02:40:00.001Z\",\"topic\":\"b\","
        "\"headers\":{\"from\":\"a/b\"},\"body\":\"no \\\"json\\\"\"}\n"
        "{\"offset\":2,\"append_time\":\"2026-02-02T02:40:00.002Z\",\"topic\":\"c\","
        "\"headers\":{\"from\":\"a/b\"},\"body\":{\"base64\":\"/w==\"}}\n");
    stage_close(&stage);
}

static void test_records_as_pages_lead_to_the_next_page(void **state)
{
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    stage_fill(&stage);
    assert_int_equal(stage_ask(&stage, "GET", RECORDS "?limit=4&pattern=a.odd",
                               "Accept: application/json\r\n", ""),
                     200);
    assert_string_equal(offsets(&stage), "1 3 5 7 ");
    assert_non_null(strstr(stage_text(&stage), "],\"next\":\"@8\",\"more\":true}"));
    assert_int_equal(stage_ask(&stage, "GET", RECORDS "?format=json&pattern=a.odd&from=@8", "", ""),
                     200);
    assert_string_equal(offsets(&stage), "9 ");
    assert_non_null(strstr(stage_text(&stage), "],\"next\":\"@10\",\"more\":false}"));
    assert_int_equal(
        stage_ask(&stage, "GET", RECORDS "?format=json&direction=backward&limit=3", "", ""), 200);
    assert_non_null(strstr(stage_text(&stage), "],\"next\":\"@7\",\"more\":true}"));
    stage_close(&stage);
}

static void test_records_that_are_asked_for_wrongly_are_refused(void **state)
{
    static const struct {
        const char *target;
        int status;
        const char *text;
    } cases[] = {
        {RECORDS "?from=yesterday", 400, "parameter from"},
        {RECORDS "?to=-1y", 400, "parameter to"},
        {RECORDS "?limit=0", 400, "limit"},
        {RECORDS "?limit=1x", 400, "limit"},
        {RECORDS "?limit=10001&format=json", 400, "10000"},
        {RECORDS "?format=xml", 400, "ndjson"},
        {RECORDS "?direction=up", 400, "backward"},
        {RECORDS "?pattern=a%23", 400, "pattern"},
        {RECORDS "?pattern=%zz", 400, "percent"},
        {"/api/v1/streams/other/records", 404, "raw-stream"},
    };
    struct stage stage;

    (void)state;
    stage_open(&stage);
    stage_begin(&stage);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (stage_ask(&stage, "GET", cases[i].target, "", "") != cases[i].status)
            print_error("case %zu: %d\n", i, stage.status);
        assert_int_equal(stage.status, cases[i].status);
        assert_non_null(strstr(stage_text(&stage), cases[i].text));
    }
    stage_close(&stage);
}

static void test_records_of_a_long_range_leave_in_bounded_turns(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf out = {0};
    struct wz_slice request = WZ_SLICE_LIT("GET " RECORDS " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    char body[2000];
    struct stage stage;
    int turns = 0;

    (void)state;
    memset(body, ' ', sizeof(body));
    memcpy(body, "{}", 2);
    body[sizeof(body) - 1] = '\0';
    stage_open(&stage);
    stage_begin(&stage);
    for (int i = 0; i < 100; i++)
        (void)stage_append(&stage, "a", body, T0);
    wz_peer_input(stage.peer, request);
    for (; wz_peer_output(stage.peer, &out, 16384) == WZ_OK; turns++) {
        assert_true(out.len < 16384 + 4096);
        out.len = 0;
    }
    assert_true(turns > 10);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_of_a_range_come_in_both_directions),
        cmocka_unit_test(test_records_are_lines_whose_bodies_keep_their_bytes),
        cmocka_unit_test(test_records_as_pages_lead_to_the_next_page),
        cmocka_unit_test(test_records_that_are_asked_for_wrongly_are_refused),
        cmocka_unit_test(test_records_of_a_long_range_leave_in_bounded_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
