// SPDX-License-Identifier: Apache-2.0
#include "router/mapfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/mem.h"
#include "router/mapfile_parts.h"

// The entries of a text as "kind name=value more" lines.
static void note_entries(const struct wz_mapfile *file, struct wz_buf *buf)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct wz_mapfile_line *line = &file->lines[i];
        char *more;

        if (line->name == NULL)
            continue;
        wz_buf_addf(buf, "%d %s=%s", (int)line->kind, line->name,
                    line->value != NULL ? line->value : "-");
        more = line->more != NULL ? json_dumps(line->more, JSON_COMPACT) : NULL;
        wz_buf_addf(buf, "%s%s\n", more != NULL ? " " : "", more != NULL ? more : "");
        free(more);
    }
}

static void test_mapfile_parse_reads_what_people_write(void **state)
{
    static const char *const vectors[][2] = {
        {"", ""},
        {"\n\n# only a comment\n", ""},
        {"[Device]\n\"mesh/b5ea3f/42\" = \"bedroom.light\"\n\n[Subtopic]\n\"M\" = "
         "\"brightness\"\n\n[Types]\ninput = status\noutput = command\n",
         "0 mesh/b5ea3f/42=bedroom.light\n1 M=brightness\n2 input=status\n2 output=command\n"},
        {"[device]\na=b", "0 a=b\n"},
        {"  [ DEVICE ]  ; the devices\n\ta b  =  c d  # comment\n", "0 a b=c d\n"},
        {"[Device]\r\na = b\r\n", "0 a=b\n"},
        {"\xef\xbb\xbf[Device]\na = b\n", "0 a=b\n"},
        {"[Device]\na=b=c\n", "0 a=b=c\n"},
        {"[Device]\na#b = c#d;e\n", "0 a#b=c#d;e\n"},
        {"[Device]\n\"a # b\" = \"c ; d\"#comment\n", "0 a # b=c ; d\n"},
        {"[Device]\n\"a\\\"b\\\\c\" = \"\"\n", "0 a\"b\\c=\n"},
        {"[Device]\na\\b = c\\d\n", "0 a\\b=c\\d\n"},
        {"[Device]\n\xc3\xa4 = \xe2\x82\xac\n", "0 \xc3\xa4=\xe2\x82\xac\n"},
        {"[Device]\na = x\n[Types]\n[Device]\nb = y\n", "0 a=x\n0 b=y\n"},
        {"[Device]\na = [x]\n", "0 a=[x]\n"},
        {"[Device]\na = x\n[Subtopic]\na = x\n", "0 a=x\n1 a=x\n"},
        {"[Device]\na = b #: {\"x\":1}\nc = d#: {}\n", "0 a=b {\"x\":1}\n0 c=d#: {}\n"},
        {"[Device]\n\"c\" = \"d\"#:{\"x\" : {}}#: {}\n", "0 c=d {\"x\":{}}\n"},
        {"[Device]\na = b # : {}\n#\n", "0 a=b\n"},
        {"#: template t {\"a\":[1]}\n \t#:\ttemplate  \"a \\\"b\" {};\n",
         "3 t=- {\"a\":[1]}\n3 a \"b=- {}\n"},
        {"[Types]\n#: template input {}\ninput = a\n", "3 input=- {}\n2 input=a\n"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf entries = {0};
        struct wz_problem problem = {0};
        struct wz_mapfile *file = NULL;
        int r = wz_mapfile_parse(wz_slice_str(vectors[i][0]), &file, &problem);

        print_message("%zu: %s %s\n", i, problem.what, problem.where);
        assert_int_equal(r, WZ_OK);
        note_entries(file, &entries);
        assert_string_equal(wz_buf_str(&entries), vectors[i][1]);
        wz_mapfile_free(file);
    }
}

static void test_mapfile_parse_refuses_with_line_and_column(void **state)
{
    static const struct {
        const char *text;
        const char *where;
        int code;
    } vectors[] = {
        {"a = b\n", "1:1", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\n\n  a\n", "3:4", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\na =\n", "2:4", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\na = # b\n", "2:5", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\n= b\n", "2:1", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\n\"\" = b\n", "2:1", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\n\"a = b\n", "2:1", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\n\"\xc3\xa4\xc3\xa4\" = \"b\n", "2:8", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\n\"a\\b\" = c\n", "2:3", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\n\"a\" = c\\", NULL, 0},
        {"[Device]\n\"a\\", "2:3", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\n\"a\" \"b\" = c\n", "2:5", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\n\"a\" = \"b\" c\n", "2:11", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\na\"b = c\n", "2:2", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\na = b\"c\n", "2:6", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\na\tb = c\n", "2:1", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device\na = c\n", "1:1", WZ_CODE_MAPFILE_SYNTAX},
        {"[Devices]\n", "1:2", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device] a = b\n", "1:10", WZ_CODE_MAPFILE_SYNTAX},
        {"[]\n", "1:2", WZ_CODE_MAPFILE_SYNTAX},
        {"[Types]\nin = x\n", "2:1", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\na = b\n\"a\" = c\n", "3:1", WZ_CODE_MAPFILE_DUPLICATE},
        {"# \xff\n", "1:3", WZ_CODE_MAPFILE_SYNTAX},
        {"# \x01\n", "1:3", WZ_CODE_MAPFILE_SYNTAX},
        {"# a\rb\n", "1:4", WZ_CODE_MAPFILE_SYNTAX},
        {"# \xc2\x85\n", "1:3", WZ_CODE_MAPFILE_SYNTAX},
        {"\xef\xbb\xbf"
         "a = b\n",
         "1:1", WZ_CODE_MAPFILE_SYNTAX},
        {"\n\xef\xbb\xbf[Device]\n", "2:1", WZ_CODE_MAPFILE_SYNTAX},
        {"#: a note\n", "1:1", WZ_CODE_MAPFILE_SYNTAX},
        {"#: template\n", "1:12", WZ_CODE_MAPFILE_SYNTAX},
        {"#: template \"\" {}\n", "1:13", WZ_CODE_MAPFILE_SYNTAX},
        {"#: template t\n", "1:14", WZ_CODE_MAPFILE_SYNTAX},
        {"#: template t {\n", "1:15", WZ_CODE_MAPFILE_SYNTAX},
        {"#: template t []\n", "1:15", WZ_CODE_MAPFILE_SYNTAX},
        {"#: template t {} x\n", "1:18", WZ_CODE_MAPFILE_SYNTAX},
        {"#: template t {}\n#: template \"t\" {}\n", "2:13", WZ_CODE_MAPFILE_DUPLICATE},
        {"[Device]\na = b #: note\n", "2:10", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\na = b #: {\"x\":1,\"x\":2}\n", "2:10", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\na = b #: {\"x\":1e999}\n", "2:10", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\na = b #: {\"route\":\"c\"}\n", "2:7", WZ_CODE_MAPFILE_SYNTAX},
        {"[Device]\na = b #: {} x\n", "2:13", WZ_CODE_MAPFILE_SYNTAX},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct wz_problem problem = {0};
        struct wz_mapfile *file = NULL;
        int r = wz_mapfile_parse(wz_slice_str(vectors[i].text), &file, &problem);

        print_message("%zu: %s | %s | %s\n", i, problem.what, problem.where, problem.fix);
        wz_mapfile_free(file);
        if (vectors[i].where == NULL) {
            assert_int_equal(r, WZ_OK);
            continue;
        }
        assert_int_equal(r, WZ_ERR_INVALID);
        assert_int_equal(problem.code, vectors[i].code);
        assert_string_equal(problem.where + strlen("mapping file:"), vectors[i].where);
        assert_string_not_equal(problem.fix, "");
    }
}

static void test_mapfile_parse_refuses_nul_and_long_names(void **state)
{
    char text[WZ_DOCUMENT_NAME_MAX + 32];
    struct wz_problem problem = {0};
    struct wz_mapfile *file = NULL;
    int len;
    (void)state;

    assert_int_equal(wz_mapfile_parse(WZ_SLICE_LIT("[Device]\na\0b = c\n"), &file, &problem),
                     WZ_ERR_INVALID);
    assert_string_equal(problem.where, "mapping file:2:2");
    for (int more = 0; more < 2; more++) {
        len = snprintf(text, sizeof(text), "[Device]\n%0*d = x\n", WZ_DOCUMENT_NAME_MAX + more, 0);
        assert_int_equal(wz_mapfile_parse(wz_slice(text, (size_t)len), &file, &problem),
                         more == 0 ? WZ_OK : WZ_ERR_INVALID);
        wz_mapfile_free(more == 0 ? file : NULL);
    }
}

static void test_mapfile_parse_refuses_a_text_that_is_too_large(void **state)
{
    char *text = wz_zalloc(1, WZ_MAPFILE_TEXT_MAX + 1);
    struct wz_mapfile *file = NULL;
    (void)state;

    assert_int_equal(wz_mapfile_parse(wz_slice(text, WZ_MAPFILE_TEXT_MAX + 1), &file, NULL),
                     WZ_ERR_TOO_LARGE);
    wz_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapfile_parse_reads_what_people_write),
        cmocka_unit_test(test_mapfile_parse_refuses_with_line_and_column),
        cmocka_unit_test(test_mapfile_parse_refuses_nul_and_long_names),
        cmocka_unit_test(test_mapfile_parse_refuses_a_text_that_is_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
