// SPDX-License-Identifier: Apache-2.0
#include "config/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"
#include "config/name.h"

static void assert_page(const char *path, void (*print)(struct wz_buf *buf))
{
    WZ_AUTO(wz_buf_release) struct wz_buf committed = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf printed = {0};

    assert_int_equal(wz_fs_load(path, 1 << 20, &committed), WZ_OK);
    print(&printed);
    assert_string_equal(wz_buf_str(&committed), wz_buf_str(&printed));
}

static void test_page_configuration_is_the_committed_page(void **state)
{
    (void)state;
    assert_page(WZ_DOCS_DIR "/configuration.md", wz_page_configuration);
}

static void test_page_errors_is_the_committed_page(void **state)
{
    (void)state;
    assert_page(WZ_DOCS_DIR "/errors.md", wz_page_errors);
}

static void test_page_errors_has_each_number_once_and_in_order(void **state)
{
    static const int numbers[] = {
#define WZ_CODE_NUMBER(name, number, title) number,
        WZ_CODE_TABLE(WZ_CODE_NUMBER)
#undef WZ_CODE_NUMBER
    };
    (void)state;

    for (size_t i = 1; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        assert_true(numbers[i - 1] < numbers[i]);
}

static void test_page_help_lists_every_flag_in_lines_that_fit_a_terminal(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf help = {0};
    char flag[WZ_NAME_MAX];
    (void)state;

    wz_page_help(&help);
    for (int key = 0; key < WZ_CONFIG_KEY_COUNT; key++) {
        wz_name_spell(WZ_NAME_FLAG, (enum wz_config_key)key, flag);
        assert_non_null(strstr(wz_buf_str(&help), flag));
    }
    for (const char *line = wz_buf_str(&help); *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_in_range(strcspn(line, "\n"), 1, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_configuration_is_the_committed_page),
        cmocka_unit_test(test_page_errors_is_the_committed_page),
        cmocka_unit_test(test_page_errors_has_each_number_once_and_in_order),
        cmocka_unit_test(test_page_help_lists_every_flag_in_lines_that_fit_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
