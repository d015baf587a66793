// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"

// Standard error goes into a pipe while a test runs.
struct capture {
    int saved;
    int read_end;
    char text[2048];
};

static void capture_start(struct capture *capture)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    capture->saved = dup(STDERR_FILENO);
    assert_true(capture->saved >= 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    capture->read_end = ends[0];
    assert_int_equal(close(ends[1]), 0);
}

// What was written since the start, as a C string.
static const char *capture_stop(struct capture *capture)
{
    ssize_t len;

    assert_true(dup2(capture->saved, STDERR_FILENO) >= 0);
    assert_int_equal(close(capture->saved), 0);
    len = read(capture->read_end, capture->text, sizeof(capture->text) - 1);
    assert_true(len >= 0);
    capture->text[len] = '\0';
    assert_int_equal(close(capture->read_end), 0);
    return capture->text;
}

// The line without its time, which must have the form of a time.
static const char *without_time(const char *line)
{
    regex_t form;

    assert_int_equal(regcomp(&form,
                             "^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:"
                             "[0-6][0-9]\\.[0-9]{3}Z ",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    assert_int_equal(regexec(&form, line, 0, NULL, 0), 0);
    regfree(&form);
    return line + strlen("2026-01-02T03:04:05.678Z ");
}

static void test_log_line_has_time_level_event_and_fields(void **state)
{
    struct capture capture;

    (void)state;
    capture_start(&capture);
    WZ_LOG(WZ_LOG_WARN, "disk.full", WZ_F_STR("path", "/data"), WZ_F_INT("bytes", -12),
           WZ_F_SLICE("client", WZ_SLICE_LIT("dice")), WZ_F_ERR(WZ_ERR_NOSPACE));
    assert_string_equal(
        without_time(capture_stop(&capture)),
        "warn disk.full path=\"/data\" bytes=-12 client=\"dice\" error=\"no-space\"\n");
}

static void test_log_line_may_have_no_fields(void **state)
{
    struct capture capture;

    (void)state;
    capture_start(&capture);
    wz_log_write(WZ_LOG_INFO, "start", &(const struct wz_log_field){.kind = WZ_LOG_END});
    assert_string_equal(without_time(capture_stop(&capture)), "info start\n");
}

static void test_log_escapes_what_a_peer_sent(void **state)
{
    struct capture capture;

    (void)state;
    capture_start(&capture);
    WZ_LOG(WZ_LOG_ERROR, "x", WZ_F_SLICE("a", WZ_SLICE_LIT("\"\\\n\0\x7f\xc3")),
           WZ_F_STR("b", "info fake\r"), WZ_F_SLICE("c", wz_slice(NULL, 0)));
    assert_string_equal(without_time(capture_stop(&capture)),
                        "error x a=\"\\\"\\\\\\x0a\\x00\\x7f\\xc3\" b=\"info fake\\x0d\" c=\"\"\n");
}

static void test_log_cuts_a_long_value(void **state)
{
    struct capture capture;
    const char *line;
    char xs[300];

    (void)state;
    memset(xs, 'x', sizeof(xs));
    capture_start(&capture);
    WZ_LOG(WZ_LOG_INFO, "x", WZ_F_SLICE("a", wz_slice(xs, 256)));
    line = without_time(capture_stop(&capture));
    assert_int_equal(strlen(line), strlen("info x a=\"\"\n") + 256);
    capture_start(&capture);
    WZ_LOG(WZ_LOG_INFO, "x", WZ_F_SLICE("a", wz_slice(xs, 257)));
    line = without_time(capture_stop(&capture));
    assert_non_null(strstr(line, "x...\"\n"));
    assert_int_equal(strlen(line), strlen("info x a=\"...\"\n") + 256);
}

static void test_log_shows_lines_up_to_its_level(void **state)
{
    struct capture capture;

    (void)state;
    capture_start(&capture);
    WZ_LOG(WZ_LOG_DEBUG, "hidden", WZ_F_INT("n", 1));
    assert_string_equal(capture_stop(&capture), "");
    wz_log_set_level(WZ_LOG_DEBUG);
    capture_start(&capture);
    WZ_LOG(WZ_LOG_DEBUG, "shown", WZ_F_INT("n", 1));
    assert_string_equal(without_time(capture_stop(&capture)), "debug shown n=1\n");
    wz_log_set_level(WZ_LOG_ERROR);
    capture_start(&capture);
    WZ_LOG(WZ_LOG_WARN, "hidden", WZ_F_INT("n", 1));
    wz_log_set_level(WZ_LOG_INFO);
    assert_string_equal(capture_stop(&capture), "");
}

static void test_log_allows_one_line_of_trouble_a_second(void **state)
{
    int64_t state_us = 0;
    int64_t before;

    (void)state;
    assert_true(wz_log_allow(&state_us));
    before = state_us;
    assert_false(wz_log_allow(&state_us));
    assert_true(state_us == before);
    state_us -= 1000000;
    assert_true(wz_log_allow(&state_us));
    assert_false(wz_log_allow(&state_us));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_line_has_time_level_event_and_fields),
        cmocka_unit_test(test_log_line_may_have_no_fields),
        cmocka_unit_test(test_log_escapes_what_a_peer_sent),
        cmocka_unit_test(test_log_cuts_a_long_value),
        cmocka_unit_test(test_log_shows_lines_up_to_its_level),
        cmocka_unit_test(test_log_allows_one_line_of_trouble_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
