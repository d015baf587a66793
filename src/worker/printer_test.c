// SPDX-License-Identifier: Apache-2.0
// Prints and log lines.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "worker/peer_test.h"

static void expect_log(struct peer *peer, enum wz_frame_log_source source,
                       enum wz_severity severity, const char *text)
{
    struct wz_frame frame = peer_expect(peer, WZ_FRAME_LOG);
    struct wz_frame_log log;

    assert_int_equal(wz_frame_get_log(frame.payload, &log), WZ_OK);
    assert_int_equal(log.source, source);
    assert_int_equal(log.severity, severity);
    peer_assert_text(log.text, text);
    assert_int_equal(log.offset, 9);
}

static void test_printer_sends_prints_and_logs_with_their_record(void **state)
{
    struct peer *peer = *state;
    struct wz_frame_result result;

    peer_start_script(peer, "import sys\n"
                            "def handle_input(msg, context):\n"
                            "    print('one', 2, end='')\n"
                            "    print('\\nthree')\n"
                            "    print('err\\ud800', file=sys.stderr)\n"
                            "    context.log('hot', severity='warning')\n"
                            "    context.log(25)\n"
                            "    context.log('x', 'loud')\n");
    peer_send_batch(peer, 9, 1, "{}");
    expect_log(peer, WZ_FRAME_LOG_STDOUT, WZ_SEVERITY_INFO, "one 2");
    expect_log(peer, WZ_FRAME_LOG_STDOUT, WZ_SEVERITY_INFO, "three");
    expect_log(peer, WZ_FRAME_LOG_STDERR, WZ_SEVERITY_ERROR, "err\\ud800");
    expect_log(peer, WZ_FRAME_LOG_CONTEXT, WZ_SEVERITY_WARNING, "hot");
    expect_log(peer, WZ_FRAME_LOG_CONTEXT, WZ_SEVERITY_INFO, "25");
    result = peer_expect_result(peer, 9);
    assert_int_equal(result.status, WZ_FRAME_EXCEPTION);
    peer_assert_contains(result.items, "severity must be 'debug', 'info', 'warning' or 'error'");
}

// A piece of 'x' and 2-byte characters, of WZ_FRAME_LOG_MAX bytes at the most.
static void expect_piece(struct peer *peer, size_t len)
{
    struct wz_frame frame = peer_expect(peer, WZ_FRAME_LOG);
    struct wz_frame_log log;

    assert_int_equal(wz_frame_get_log(frame.payload, &log), WZ_OK);
    assert_true(wz_utf8_valid(log.text));
    assert_int_equal(log.text.len, len);
}

static void test_printer_cuts_a_long_line_between_characters(void **state)
{
    struct peer *peer = *state;

    peer_start_script(peer, "def handle_input(msg, context):\n"
                            "    print('x' + '\u00e9' * 5000)\n"
                            "    context.log('x' + '\u00e9' * 5000)\n");
    peer_send_batch(peer, 9, 1, "{}");
    expect_piece(peer, WZ_FRAME_LOG_MAX - 1);
    expect_piece(peer, 1 + 2 * 5000 - (WZ_FRAME_LOG_MAX - 1));
    expect_piece(peer, WZ_FRAME_LOG_MAX - 1); // of a logged line the rest is dropped
    (void)peer_expect_result(peer, 9);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_printer_sends_prints_and_logs_with_their_record),
        TEST(test_printer_cuts_a_long_line_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
