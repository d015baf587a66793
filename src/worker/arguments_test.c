// SPDX-License-Identifier: Apache-2.0
// How arguments find their parameters, by position and by name.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "worker/peer_test.h"

// A call, and the line that comes of it.
static const struct {
    const char *call;
    const char *line;
} calls[] = {
    {"context.emit('t', 1)", "t 1"},
    {"context.emit(body=1, topic='t')", "t 1"},
    {"context.emit('t', persistent=False, body=1)", "t 1"},
    {"context.emit(*('t',), **{'body': 1})", "t 1"},
    {"context.emit()", "TypeError: emit() misses its argument 'topic'"},
    {"context.emit(body=1)", "TypeError: emit() misses its argument 'topic'"},
    {"context.emit('t', 1, True, 4, 5)", "TypeError: emit() takes at most 3 arguments (5 given)"},
    {"context.emit('t', 1, topic='u')", "TypeError: emit() got a second argument 'topic'"},
    {"context.emit('t', 1, qos=1)", "TypeError: emit() got an unexpected argument 'qos'"},
    {"context.set_state('k')", "TypeError: set_state() misses its argument 'value'"},
    {"context.unset_state()", "TypeError: unset_state() misses its argument 'key'"},
    {"context.get_state('k', 1, 2)", "TypeError: get_state() takes at most 2 arguments (3 given)"},
    {"context.lookback('a', '1h', None, 1, 5)",
     "TypeError: lookback() takes at most 4 arguments (5 given)"},
    {"context.last(pattern='a')", "TypeError: last() got an unexpected argument 'pattern'"},
    {"context.terminate()", "TypeError: terminate() misses its argument 'remark'"},
    {"context.terminate(5)", "TypeError: remark must be a str, not int"},
    {"context.terminate('\u00e4' * 501)",
     "ValueError: remark must be of at most 1000 bytes, this one has 1002"},
    {"context.log()", "TypeError: log() misses its argument 'message'"},
};

static void test_arguments_go_by_position_and_by_name(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};
    char body[32];

    wz_buf_add_str(&code, "def handle_input(msg, context):\n");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        wz_buf_addf(&code, "    if msg['case'] == %zu: %s\n", i, calls[i].call);
    peer_start_script(*state, wz_buf_str(&code));
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        (void)snprintf(body, sizeof(body), "{\"case\":%zu}", i);
        peer_send_batch(*state, (int64_t)i, 1, body);
        peer_assert_result(peer_expect(*state, WZ_FRAME_RESULT), calls[i].line);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_arguments_go_by_position_and_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
