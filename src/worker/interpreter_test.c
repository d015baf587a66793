// SPDX-License-Identifier: Apache-2.0
// What is left of the outside inside the process.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "worker/peer_test.h"

static void test_interpreter_has_no_environment_and_no_descriptors(void **state)
{
    struct wz_frame_result result;
    struct wz_frame_iter it;
    struct wz_frame_item item;

    peer_start_script(
        *state, "import os, sys\n"
                "def handle_input(msg, context):\n"
                "    def is_open(fd):\n"
                "        try: return bool(os.fstat(fd))\n"
                "        except OSError: return False\n"
                "    open_fds = [fd for fd in range(4, 4096) if is_open(fd)]\n"
                "    env = {k: v for k, v in os.environ.items() if k != 'LC_CTYPE'}\n"
                "    context.emit('t', f'{env} {open_fds} {sys.prefix} {sys.flags.isolated}')\n");
    peer_send_batch(*state, 1, 1, "{}");
    result = peer_expect_result(*state, 1);
    it = wz_frame_items(&result);
    assert_int_equal(wz_frame_next_item(&it, &item), WZ_OK);
    peer_assert_text(item.body, "{} [] /usr 1");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, peer_setup, peer_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_interpreter_has_no_environment_and_no_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
