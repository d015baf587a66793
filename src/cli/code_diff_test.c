// SPDX-License-Identifier: Apache-2.0
#include "cli/code_diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct wz_code_text before = {"revision 1", "a\nb\nc\nd\ne\nf\ng\nh\n"};
static const struct wz_code_text after = {"revision 2", "a\nb\nc\nd\ne\nf\ng\ni\n"};

static void test_code_diff_shows_what_changed(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};

    (void)state;
    wz_code_diff_add(&buf, &before, &after);
    assert_string_equal(wz_buf_str(&buf), "--- revision 1\n+++ revision 2\n@@ -5,4 +5,4 @@\n"
                                          " e\n f\n g\n-h\n+i\n");
    buf.len = 0;
    wz_code_diff_add(&buf, &after, &after);
    assert_int_equal(buf.len, 0);
}

static void test_code_diff_without_the_program_shows_both(void **state)
{
    static const struct wz_code_text one = {"1", "a\nb"};
    static const struct wz_code_text two = {"2", ""};
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    WZ_AUTO(wz_free_ptr) char *path = wz_strdup(getenv("PATH"));

    (void)state;
    assert_int_equal(setenv("PATH", "/nonexistent", 1), 0);
    wz_code_diff_add(&buf, &one, &two);
    assert_string_equal(wz_buf_str(&buf), "--- 1\n+++ 2\n-a\n-b\n");
    buf.len = 0;
    wz_code_diff_add(&buf, &one, &one);
    assert_int_equal(buf.len, 0);
    assert_int_equal(setenv("PATH", path, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_diff_shows_what_changed),
        cmocka_unit_test(test_code_diff_without_the_program_shows_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
