// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/mem.h"

static const struct wz_column columns[] = {{"NAME", "name"}, {"N", "n"}, {"LAST", "last"}};

static void test_output_tables_are_as_wide_as_their_cells(void **state)
{
    json_t *rows = json_pack("[{s:s,s:i,s:s},{s:s,s:n}]", "name", "l\xc3\xa4nger", "n", 12345,
                             "last", "x", "name", "b", "n");
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    (void)state;
    wz_output_add_rows(&text, WZ_OUTPUT_TABLE, rows, columns, 3);
    assert_string_equal(wz_buf_str(&text), "NAME    N      LAST\n"
                                           "l\xc3\xa4nger  12345  x\n"
                                           "b              \n");
    json_decref(rows);
}

static void test_output_lines_hold_the_whole_row(void **state)
{
    json_t *rows = json_pack("[{s:s,s:i},{s:b}]", "name", "a", "more", 1, "z", 1);
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    (void)state;
    wz_output_add_rows(&text, WZ_OUTPUT_JSON, rows, columns, 3);
    assert_string_equal(wz_buf_str(&text), "{\"name\":\"a\",\"more\":1}\n{\"z\":true}\n");
    json_decref(rows);
}

static void test_output_shows_an_object_by_its_members(void **state)
{
    json_t *object = json_pack("{s:s,s:[i,i]}", "a", "b", "longer", 1, 2);
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    (void)state;
    wz_output_add_object(&text, WZ_OUTPUT_TABLE, object);
    assert_string_equal(wz_buf_str(&text), "a       b\nlonger  [1,2]\n");
    json_decref(object);
}

static void test_output_lines_keep_their_ends_and_tabs(void **state)
{
    static const struct {
        const char *text;
        const char *lines;
    } cases[] = {
        {"", ""},
        {"a", "a\n"},
        {"a\n\n\tb\t\n", "a\n\n\tb\t\n"},
        {"\t\x1b[2J\t\r\n\xff", "\t\\x1b[2J\t\\x0d\n\\xff\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

        wz_output_add_lines(&text, wz_slice_str(cases[i].text));
        assert_string_equal(wz_buf_str(&text), cases[i].lines);
    }
}

static void test_output_never_lets_a_terminal_be_steered(void **state)
{
    static const struct {
        const char *text;
        const char *safe;
    } cases[] = {
        {"plain \xc3\xa4 \xe2\x82\xac", "plain \xc3\xa4 \xe2\x82\xac"},
        {"\x1b[2J", "\\x1b[2J"},
        {"a\nb\t\x7f", "a\\x0ab\\x09\\x7f"},
        {"\xc2\x9b"
         "2J",
         "\\xc2\\x9b2J"},
        {"\xff\xc3", "\\xff\\xc3"},
        {"\xe2\x80\xa9\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf",
         "\xe2\x80\xa9\\xe2\\x80\\xaa\\xe2\\x80\\xae\xe2\x80\xaf"},
        {"\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa",
         "\xe2\x81\xa5\\xe2\\x81\\xa6\\xe2\\x81\\xa9\xe2\x81\xaa"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

        wz_output_add_safe(&text, wz_slice_str(cases[i].text));
        assert_string_equal(wz_buf_str(&text), cases[i].safe);
    }
}

static void test_output_form_is_chosen_by_its_word(void **state)
{
    enum wz_output_form form;
    struct wz_problem problem;

    (void)state;
    assert_int_equal(wz_output_choose("table", &form, &problem), WZ_OK);
    assert_int_equal(form, WZ_OUTPUT_TABLE);
    assert_int_equal(wz_output_choose("json", &form, &problem), WZ_OK);
    assert_int_equal(form, WZ_OUTPUT_JSON);
    assert_int_equal(wz_output_choose("xml", &form, &problem), WZ_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_tables_are_as_wide_as_their_cells),
        cmocka_unit_test(test_output_lines_hold_the_whole_row),
        cmocka_unit_test(test_output_shows_an_object_by_its_members),
        cmocka_unit_test(test_output_lines_keep_their_ends_and_tabs),
        cmocka_unit_test(test_output_never_lets_a_terminal_be_steered),
        cmocka_unit_test(test_output_form_is_chosen_by_its_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
