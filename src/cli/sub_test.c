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

static void test_sub_reads_what_is_there_without_a_server(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    fill(&t);
    assert_int_equal(TERMINAL(&t, "sub", "a.*", "--to", "end", "--count", "1"), 0);
    assert_string_equal(t.output, "{\"offset\":0,\"append_time\":\"2026-02-02T02:40:00.000Z\","
                                  "\"topic\":\"a.b\",\"headers\":{},\"body\":{\"n\":1.50}}\n");
    assert_int_equal(TERMINAL(&t, "sub", "#", "--from", "@1", "--to", "end", "--output=table"), 0);
    assert_string_equal(t.output, "a.b {\"n\":1.50}\na.b {\"n\":1.50}\n");
    assert_int_equal(TERMINAL(&t, "sub", "b.#", "--to", "end"), 0);
    assert_string_equal(t.output, "");
    terminal_close(&t);
}

static void test_sub_refuses_what_it_cannot_show(void **state)
{
    struct terminal t;

    (void)state;
    terminal_open(&t);
    fill(&t);
    assert_int_equal(TERMINAL(&t, "sub", "#"), WZ_EXIT_UNREACHABLE);
    assert_int_equal(TERMINAL(&t, "sub", "#", "--to", "soon"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "sub", "a#", "--to", "end"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "sub", "#", "--count", "0"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "sub", "#", "--stream", "x"), WZ_EXIT_INPUT);
    assert_int_equal(TERMINAL(&t, "sub", "#", "--to", "end", "--stream", "processed"),
                     WZ_EXIT_NOT_FOUND);
    terminal_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sub_reads_what_is_there_without_a_server),
        cmocka_unit_test(test_sub_refuses_what_it_cannot_show),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
