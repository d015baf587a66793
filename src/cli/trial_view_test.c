// SPDX-License-Identifier: Apache-2.0
// What a trial prints, taken from standard output and standard error.
#include "cli/trial_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/exit.h"

// A literal as a slice, in an initializer.
#define SLICE(text)                                                                                \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static const struct wz_frame_record input = {
    .offset = 7, .topic = SLICE("a.b"), .body = SLICE("{\"value\":\"\\u001b\"}")};

// Standard output and error, held while a test writes to them.
struct capture {
    FILE *file;
    int kept[2];
};

static void capture_begin(struct capture *capture)
{
    capture->file = tmpfile();
    assert_non_null(capture->file);
    for (int i = 0; i < 2; i++) {
        capture->kept[i] = dup(STDOUT_FILENO + i);
        assert_true(dup2(fileno(capture->file), STDOUT_FILENO + i) >= 0);
    }
}

static void capture_end(struct capture *capture, char *ret_text, size_t cap)
{
    size_t len;

    (void)fflush(stderr);
    for (int i = 0; i < 2; i++) {
        assert_true(dup2(capture->kept[i], STDOUT_FILENO + i) >= 0);
        (void)close(capture->kept[i]);
    }
    rewind(capture->file);
    len = fread(ret_text, 1, cap - 1, capture->file);
    ret_text[len] = '\0';
    (void)fclose(capture->file);
}

// A call with an output, a log line and a RESULT, and the summary.
static void play(enum wz_output_form form, struct wz_trial_result *result, char *ret_text,
                 size_t cap)
{
    static const struct wz_frame_item item = {.kind = WZ_FRAME_ITEM_EMIT,
                                              .body_kind = WZ_FRAME_BODY_TEXT,
                                              .persistent = true,
                                              .topic = SLICE("out"),
                                              .body = SLICE("x\"\x1b[1m")};
    static const struct wz_frame_log line = {
        .source = WZ_FRAME_LOG_CONTEXT, .severity = WZ_SEVERITY_WARNING, .text = SLICE("one\ntwo")};
    struct wz_trial_view view;
    struct capture capture;

    wz_trial_view_init(&view, form, NULL);
    capture_begin(&capture);
    wz_trial_view_begin(&view, &input);
    wz_trial_view_log(&view, &line);
    if (!result->failed)
        wz_trial_view_output(&view, &item);
    assert_int_equal(wz_trial_view_end(&view, result, NULL), WZ_EXIT_OK);
    wz_trial_view_summary(&view, 3);
    capture_end(&capture, ret_text, cap);
    assert_int_equal(wz_trial_view_failed(&view), result->failed);
    wz_trial_view_release(&view);
}

static void test_trial_view_shows_people_lines_and_no_control_characters(void **state)
{
    struct wz_trial_result result = {.time_us = 40};
    char text[4096];

    (void)state;
    play(WZ_OUTPUT_TABLE, &result, text, sizeof(text));
    assert_string_equal(text, "@7 log   warning one\n    two\n@7 out   out \"x\\\"\\u001b[1m\"\n"
                              "1 input, 1 output, 0 errors; 3 keys in the state\n"
                              "time per input: mean 40 us, p50 40 us, p99 40 us, max 40 us\n");
    result.failed = true;
    wz_buf_add_str(&result.reason, "Traceback:\n  x\nError: \x1b\n");
    play(WZ_OUTPUT_TABLE, &result, text, sizeof(text));
    assert_non_null(strstr(text, "@7 fails a.b {\"value\":\"\\u001b\"}\n    Traceback:\n      x\n"
                                 "    Error: \\x1b\n1 input, 0 outputs, 1 error;"));
    wz_trial_result_release(&result);
}

static void test_trial_view_shows_programs_a_line_of_json_each(void **state)
{
    struct wz_trial_result result = {.time_us = 40};
    char text[4096];
    size_t lines = 0;

    (void)state;
    play(WZ_OUTPUT_JSON, &result, text, sizeof(text));
    assert_non_null(strstr(text, "{\"kind\":\"log\",\"offset\":7,\"severity\":\"warning\","
                                 "\"source\":\"log\",\"message\":\"one\\ntwo\"}\n"));
    assert_non_null(strstr(text, "{\"inputs\":1,\"outputs\":1,\"errors\":0,\"state_keys\":3,"
                                 "\"mean_us\":40,\"p50_us\":40,\"p99_us\":40,\"max_us\":40}\n"));
    for (size_t i = 0; text[i] != '\0'; i++)
        lines += text[i] == '\n';
    assert_int_equal(lines, 3); // with the summary
    result.failed = true;
    wz_buf_add_str(&result.reason, "\xff");
    play(WZ_OUTPUT_JSON, &result, text, sizeof(text));
    assert_non_null(strstr(text, "{\"kind\":\"error\",\"offset\":7,\"topic\":\"a.b\",\"body\":"
                                 "{\"value\":\"\\u001b\"},\"traceback\":{\"base64\":\"/w==\"}}\n"));
    wz_trial_result_release(&result);
}

static void test_trial_view_measures_the_spread_of_times(void **state)
{
    struct wz_trial_view view;
    struct capture capture;
    char text[4096];

    (void)state;
    wz_trial_view_init(&view, WZ_OUTPUT_TABLE, NULL);
    capture_begin(&capture);
    for (int i = 200; i > 0; i--) {
        struct wz_trial_result result = {.time_us = i};

        wz_trial_view_begin(&view, &input);
        assert_int_equal(wz_trial_view_end(&view, &result, NULL), WZ_EXIT_OK);
    }
    wz_trial_view_summary(&view, 1);
    capture_end(&capture, text, sizeof(text));
    assert_string_equal(text, "200 inputs, 0 outputs, 0 errors; 1 key in the state\n"
                              "time per input: mean 100 us, p50 100 us, p99 198 us, max 200 us\n");
    wz_trial_view_release(&view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trial_view_shows_people_lines_and_no_control_characters),
        cmocka_unit_test(test_trial_view_shows_programs_a_line_of_json_each),
        cmocka_unit_test(test_trial_view_measures_the_spread_of_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
