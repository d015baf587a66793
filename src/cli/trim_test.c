// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_test.h"

#include "loop/mailbox.h"
#include "stream/reader.h"

#define RECORDS 200

// Puts records on a stream of the folder, in segments of 16; an orderly stop, or not.
static void fill(const struct terminal *t, const char *name, bool orderly)
{
    static uint8_t bytes[4000];
    struct wz_mailbox mail;
    struct wz_log_options options = {.loop_mail = &mail, .segment_bytes = 65536};
    struct wz_log *log;
    char path[128];
    char command[400];
    int64_t offset = 0;

    wz_mailbox_init(&mail, 64, NULL, NULL);
    (void)snprintf(path, sizeof(path), "%s/%s", t->folder, name);
    assert_int_equal(wz_log_open(path, &options, &log, NULL, NULL), WZ_OK);
    for (int i = 0; i < RECORDS; i++) {
        struct wz_record_parts parts = {
            .key = WZ_SLICE_LIT("a.b"), .value = {wz_slice(bytes, 4000)}, .value_count = 1};

        wz_log_set_time(log, INT64_C(1770000000000) + i * 1000);
        assert_int_equal(wz_log_append(log, &parts, &offset), WZ_OK);
    }
    while (wz_log_durable_end(log) <= offset) {
        wz_log_want(log);
        wz_log_flush(log);
        (void)(wz_mailbox_wait(&mail) && wz_mailbox_run(&mail));
    }
    (void)snprintf(command, sizeof(command), "cp -r %s %s.now", path, path);
    assert_int_equal(system(command), 0);
    assert_int_equal(wz_log_close(log), WZ_OK);
    (void)snprintf(command, sizeof(command),
                   "cd %s && if %s; then rm -r %s.now; else rm -r %s; mv %s.now %s; fi", t->folder,
                   orderly ? "true" : "false", name, name, name, name);
    assert_int_equal(system(command), 0);
    (void)wz_mailbox_run(&mail);
    wz_mailbox_release(&mail);
}

static bool has(const struct terminal *t, const char *text)
{
    return strstr(t->output, text) != NULL;
}

static void test_trim_says_what_would_go_and_what_went(void **state)
{
    struct terminal t;
    char would[sizeof(t.output)];

    (void)state;
    terminal_open(&t);
    fill(&t, "raw-stream", true);
    assert_int_equal(TERMINAL(&t, "log", "trim", "raw", "--offset", "100", "--dry-run"), 0);
    assert_true(has(&t, "\"dry_run\":true") && has(&t, "\"segments\":6,\"records\":96"));
    (void)snprintf(would, sizeof(would), "%s", strstr(t.output, "\"segments\""));
    assert_int_equal(TERMINAL(&t, "log", "info"), 0);
    assert_true(has(&t, "\"first_offset\":0,"));
    assert_int_equal(TERMINAL(&t, "log", "trim", "raw-stream", "--offset=100"), 0);
    assert_true(has(&t, "\"dry_run\":false"));
    assert_string_equal(would, strstr(t.output, "\"segments\""));
    assert_int_equal(TERMINAL(&t, "log", "verify"), 0);
    assert_true(has(&t, "\"records\":104,\"first_offset\":96,"));
    terminal_close(&t);
}

static void test_trim_takes_times_and_sizes(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    fill(&t, "processed-stream", true);
    assert_int_equal(TERMINAL(&t, "log", "trim", "processed", "--before", "2026-02-02T02:40:50Z"),
                     0);
    assert_true(has(&t, "\"first_offset\":48"));
    assert_int_equal(TERMINAL(&t, "log", "trim", "processed", "--keep", "200KiB"), 0);
    assert_true(has(&t, "\"first_offset\":160"));
    assert_int_equal(TERMINAL(&t, "log", "trim", "processed", "--keep", "0"), 0);
    assert_true(has(&t, "\"first_offset\":192")); // the one that is written to
    assert_int_equal(TERMINAL(&t, "log", "trim", "processed", "--keep", "0"), 0);
    assert_true(has(&t, "\"segments\":0"));
    terminal_close(&t);
}

static void test_trim_refuses_what_it_must_not_do(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    assert_int_equal(TERMINAL(&t, "log", "trim", "raw", "--offset", "1"), WZ_EXIT_NOT_FOUND);
    fill(&t, "journal", true);
    fill(&t, "raw-stream", true);
    fill(&t, "processed-stream", false);
    assert_int_equal(TERMINAL(&t, "log", "trim", "journal", "--offset", "1"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "log", "trim", "tube", "--offset", "1"), WZ_EXIT_NOT_FOUND);
    assert_int_equal(TERMINAL(&t, "log", "trim", "raw"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "log", "trim", "raw", "--offset", "1", "--keep", "1"),
                     WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "log", "trim", "raw", "--offset", "x"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "log", "trim", "raw", "--keep", "much"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "log", "trim", "raw", "--before", "soon"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "log", "trim", "processed", "--offset", "100"), WZ_EXIT_CONFLICT);
    assert_int_equal(TERMINAL(&t, "log", "verify", "processed"), 0);
    assert_true(has(&t, "\"records\":200,\"first_offset\":0,"));
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trim_says_what_would_go_and_what_went),
        cmocka_unit_test(test_trim_takes_times_and_sizes),
        cmocka_unit_test(test_trim_refuses_what_it_must_not_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
