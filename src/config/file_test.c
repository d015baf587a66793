// SPDX-License-Identifier: Apache-2.0
#include "config/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"

static char path[] = "/tmp/wyze-file-test-XXXXXX";

static void write_file(const char *text, size_t len)
{
    assert_int_equal(truncate(path, 0), 0);
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)text, .iov_len = len};

    assert_int_equal(wz_fs_open(path, WZ_FS_WRITE, &fd), WZ_OK);
    assert_int_equal(wz_fs_write(fd, &piece, 1, 0), WZ_OK);
}

static int note_entry(void *arg, const struct wz_config_entry *entry,
                      struct wz_problem *ret_problem)
{
    (void)ret_problem;
    wz_buf_addf(arg, "%s=%s@%zu:%zu/%zu:%zu%s;", entry->key, entry->value, entry->key_line,
                entry->key_column, entry->line, entry->column, entry->empty ? "!" : "");
    return WZ_OK;
}

static void test_config_file_read_gives_keys_values_and_places(void **state)
{
    static const struct {
        const char *text;
        const char *entries;
    } vectors[] = {
        {"", ""},
        {"# nothing\n\n", ""},
        {"data: /x\n", "data=/x@1:1/1:7;"},
        {"mqtt.listen: off\n", "mqtt.listen=off@1:1/1:14;"},
        {"mqtt:\n  listen: \"off\"\n  max_packet: 1MiB\ndata: x\n",
         "mqtt.listen=off@2:3/2:11;mqtt.max_packet=1MiB@3:3/3:15;data=x@4:1/4:7;"},
        {"{mqtt: {listen: off}, data: x}", "mqtt.listen=off@1:9/1:17;data=x@1:23/1:29;"},
        {"mqtt:\ndata: ''\n", "mqtt=@1:1/1:6!;data=@2:1/2:7;"},
        {"a: {}\n", ""},
        {"\xef\xbb\xbf"
         "data: x\r\n",
         "data=x@1:1/1:7;"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf seen = {0};

        write_file(vectors[i].text, strlen(vectors[i].text));
        print_message("%s\n", vectors[i].text);
        assert_int_equal(wz_config_file_read(path, note_entry, &seen, NULL), WZ_OK);
        assert_string_equal(wz_buf_str(&seen), vectors[i].entries);
    }
}

static void test_config_file_read_refuses_with_line_and_column(void **state)
{
    static const struct {
        const char *text;
        const char *place;
    } vectors[] = {
        {"just text\n", ":1:1"},       {"- a\n- b\n", ":1:1"},
        {"data: [x]\n", ":1:7"},       {"a: &x 1\nb: *x\n", ":2:4"},
        {"? {a: b}\n: c\n", ":1:3"},   {"data: x\n---\ndata: y\n", ":2:1"},
        {"data: \"x\n", ":2:1"},       {"data: x\n\tlisten: y\n", ":2:1"},
        {"data: \"a\\0b\"\n", ":1:7"}, {"a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}\n", ":1:32"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf seen = {0};
        struct wz_problem problem = {0};

        write_file(vectors[i].text, strlen(vectors[i].text));
        print_message("%s", vectors[i].text);
        assert_int_equal(wz_config_file_read(path, note_entry, &seen, &problem), WZ_ERR_INVALID);
        assert_int_equal(problem.code, WZ_CODE_CONFIG_FILE);
        assert_string_equal(problem.where + strlen(path), vectors[i].place);
        assert_string_not_equal(problem.fix, "");
    }
}

static void test_config_file_read_refuses_bytes_that_are_not_utf8(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf seen = {0};
    struct wz_problem problem = {0};
    (void)state;

    write_file("data: \xff\xfe\n", 9);
    assert_int_equal(wz_config_file_read(path, note_entry, &seen, &problem), WZ_ERR_INVALID);
    assert_non_null(strstr(problem.fix, "UTF-8"));
}

static void test_config_file_read_refuses_a_file_that_is_too_large(void **state)
{
    WZ_AUTO(wz_buf_release) struct wz_buf seen = {0};
    struct wz_problem problem = {0};
    (void)state;

    assert_int_equal(truncate(path, WZ_CONFIG_FILE_MAX + 1), 0);
    assert_int_equal(wz_config_file_read(path, note_entry, &seen, &problem), WZ_ERR_TOO_LARGE);
    assert_string_equal(problem.where, path);
}

static void test_config_file_read_says_when_there_is_no_file(void **state)
{
    (void)state;
    assert_int_equal(wz_config_file_read("/nowhere/at/all", note_entry, NULL, NULL),
                     WZ_ERR_NOT_FOUND);
}

static int make_file(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    wz_fs_close(fd);
    return fd < 0;
}

static int drop_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_file_read_gives_keys_values_and_places),
        cmocka_unit_test(test_config_file_read_refuses_with_line_and_column),
        cmocka_unit_test(test_config_file_read_refuses_bytes_that_are_not_utf8),
        cmocka_unit_test(test_config_file_read_refuses_a_file_that_is_too_large),
        cmocka_unit_test(test_config_file_read_says_when_there_is_no_file),
    };

    return cmocka_run_group_tests(tests, make_file, drop_file);
}
