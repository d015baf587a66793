// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"

#include "loop/mailbox.h"
#include "stream/reader.h"

struct writer {
    struct wz_mailbox mail;
    int64_t durable_end;
};

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct writer *writer = arg;

    assert_int_equal(state_err, WZ_OK);
    writer->durable_end = durable_end;
}

// Puts three records on the raw-stream of the folder.
static void fill(const struct terminal *t)
{
    struct writer writer = {0};
    struct wz_log_options options = {
        .loop_mail = &writer.mail, .on_durable = on_durable, .arg = &writer};
    struct wz_log_recovery recovery;
    struct wz_log *log;
    char path[128];
    int64_t offset = 0;

    wz_mailbox_init(&writer.mail, 64, NULL, NULL);
    (void)snprintf(path, sizeof(path), "%s/raw-stream", t->folder);
    assert_int_equal(wz_log_open(path, &options, &log, &recovery, NULL), WZ_OK);
    wz_log_set_time(log, INT64_C(1770000000000));
    for (int i = 0; i < 3; i++) {
        struct wz_record_parts parts = {
            .key = WZ_SLICE_LIT("a.b"), .value = {WZ_SLICE_LIT("{\"n\":1.50}")}, .value_count = 1};

        assert_int_equal(wz_log_append(log, &parts, &offset), WZ_OK);
    }
    assert_int_equal(wz_log_close(log), WZ_OK);
    (void)wz_mailbox_run(&writer.mail);
    wz_mailbox_release(&writer.mail);
}

static void test_log_verify_tells_whole_from_damaged(void **state)
{
    char path[160];
    struct terminal t;
    FILE *file;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "log", "verify"), WZ_EXIT_NOT_FOUND);
    fill(&t);
    assert_int_equal(TERMINAL(&t, "log", "verify"), 0);
    assert_non_null(strstr(t.output, "\"state\":\"whole\",\"records\":3,"));
    assert_int_equal(TERMINAL(&t, "log", "info"), 0);
    assert_non_null(strstr(t.output, "\"name\":\"raw-stream\",\"first_offset\":0,"));
    (void)snprintf(path, sizeof(path), "%s/raw-stream/%020d.log", t.folder, 0);
    file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 70, SEEK_SET), 0);
    assert_true(fputc('X', file) == 'X' && fclose(file) == 0);
    (void)snprintf(path, sizeof(path), "%s/raw-stream", t.folder);
    assert_int_equal(TERMINAL(&t, "log", "verify", path), WZ_EXIT_FAILED);
    assert_non_null(strstr(t.output, "\"state\":\"damaged\""));
    terminal_close(&t);
}

static void test_log_verify_finds_a_stream_by_its_name(void **state)
{
    static const char *const names[] = {"raw", "raw-stream"};
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "log", "verify", "raw"), WZ_EXIT_NOT_FOUND);
    fill(&t);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(TERMINAL(&t, "log", "verify", names[i]), 0);
        assert_non_null(strstr(t.output, "\"state\":\"whole\",\"records\":3,"));
    }
    assert_int_equal(TERMINAL(&t, "log", "verify", "journal"), WZ_EXIT_NOT_FOUND);
    assert_int_not_equal(TERMINAL(&t, "log", "verify", "ra"), 0); // no name: a folder
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_verify_tells_whole_from_damaged),
        cmocka_unit_test(test_log_verify_finds_a_stream_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
