// SPDX-License-Identifier: Apache-2.0
// The passthrough's keys on a journal on disk, and what is read from processed-stream at a start;
// crashes are passthrough_crash_test.c's.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "engine/pass_ledger.h"

struct rig {
    char dirs[3][64]; // journal, raw, processed
    struct wz_loop loop;
    struct wz_journal *journal;
    struct wz_log *raw;
    struct wz_log *processed;
    struct wz_pass_ledger ledger;
};

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    (void)arg;
    (void)durable_end;
    assert_int_equal(state_err, WZ_OK);
}

static void open_rig(struct rig *rig)
{
    struct wz_journal_options journal = {
        .loop = &rig->loop, .durability = WZ_DURABILITY_OS, .on_durable = on_durable};
    struct wz_log_options log = {.durability = WZ_DURABILITY_OS, .on_durable = on_durable};
    struct wz_log_recovery recovery;
    struct wz_problem problem;

    assert_int_equal(wz_loop_init(&rig->loop), WZ_OK);
    log.loop_mail = &rig->loop.mail;
    assert_int_equal(wz_journal_open(rig->dirs[0], &journal, &rig->journal, &recovery, &problem),
                     WZ_OK);
    assert_int_equal(wz_log_open(rig->dirs[1], &log, &rig->raw, &recovery, &problem), WZ_OK);
    assert_int_equal(wz_log_open(rig->dirs[2], &log, &rig->processed, &recovery, &problem), WZ_OK);
    wz_pass_ledger_init(&rig->ledger, rig->journal, rig->processed, 0);
    assert_int_equal(wz_journal_replay(rig->journal, &problem), WZ_OK);
    assert_int_equal(wz_pass_ledger_recover(&rig->ledger, rig->raw, &problem), WZ_OK);
}

static void close_rig(struct rig *rig)
{
    wz_journal_stop(rig->journal);
    wz_loop_stop(&rig->loop);
    wz_loop_run(&rig->loop);
    assert_int_equal(wz_log_close(rig->raw), WZ_OK);
    assert_int_equal(wz_log_close(rig->processed), WZ_OK);
    assert_int_equal(wz_journal_close(rig->journal), WZ_OK);
    wz_pass_ledger_release(&rig->ledger);
    wz_loop_release(&rig->loop);
}

static void reopen(struct rig *rig)
{
    close_rig(rig);
    open_rig(rig);
}

static int setup(void **state)
{
    struct rig *rig = wz_zalloc(1, sizeof(*rig));

    for (int i = 0; i < 3; i++) {
        (void)snprintf(rig->dirs[i], sizeof(rig->dirs[i]), "/tmp/wyze-ledger-XXXXXX");
        assert_non_null(mkdtemp(rig->dirs[i]));
    }
    open_rig(rig);
    *state = rig;
    return 0;
}

static int remove_name(const char *name, void *arg)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
    return wz_fs_remove(path);
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    close_rig(rig);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wz_fs_walk(rig->dirs[i], remove_name, rig->dirs[i]), WZ_OK);
        assert_int_equal(rmdir(rig->dirs[i]), 0);
    }
    wz_free(rig);
    return 0;
}

static void append(struct wz_log *log, const char *passed, const char *body)
{
    uint8_t header[128];
    struct wz_pen pen = wz_pen(header, sizeof(header));
    struct wz_record_parts parts = {.key = WZ_SLICE_LIT("t"), .value_count = 1};
    int64_t unused;

    parts.value[0] = wz_slice_str(body);
    if (passed) {
        wz_record_header_put(&pen, WZ_SLICE_LIT("passed"), wz_slice_str(passed));
        parts.headers[0] = wz_slice(header, (size_t)(pen.pos - header));
        parts.header_pieces = 1;
        parts.header_count = 1;
    }
    assert_int_equal(wz_log_append(log, &parts, &unused), WZ_OK);
}

// Makes rules of the names, which do what their letter says, all there are; and puts them. The
// numbers they have.
static void apply(struct rig *rig, const char *names, uint64_t *ret_numbers)
{
    wz_pass_ledger_begin_rules(&rig->ledger);
    for (size_t i = 0; names[i] != '\0'; i++) {
        char name[] = {names[i], '\0'};
        struct wz_pass_rule rule = {.name = name, .hash = (uint64_t)names[i], .rate = 1};

        wz_buf_add_str(&rule.member, "\"v\"");
        ret_numbers[i] = wz_pass_ledger_number(&rig->ledger, &rule);
        wz_buf_release(&rule.member);
    }
    wz_pass_ledger_end_rules(&rig->ledger);
    // Closing makes durable what this puts.
    wz_ignore((int)wz_pass_ledger_settled(&rig->ledger));
}

static void test_pass_ledger_writes_what_it_reads(void **state)
{
    char text[WZ_PASSED_TEXT_MAX];
    size_t len = wz_passed_text(UINT64_MAX, INT64_MAX, INT64_MAX, text);

    (void)state;
    assert_int_equal(len, 20 + 1 + 19 + 1 + 19);
    assert_true(len <= sizeof(text));
    len = wz_passed_text(7, 0, 1770000000000, text);
    assert_true(wz_slice_eq(wz_slice(text, len), WZ_SLICE_LIT("7.0.1770000000000")));
}

static void test_pass_ledger_gives_no_number_twice(void **state)
{
    struct rig *rig = *state;
    uint64_t numbers[4];

    apply(rig, "ab", numbers);
    assert_true(numbers[0] == 1 && numbers[1] == 2);
    reopen(rig);
    apply(rig, "ba", numbers);
    assert_true(numbers[0] == 2 && numbers[1] == 1);
    apply(rig, "a", numbers);
    assert_true(numbers[0] == 1);
    reopen(rig);
    apply(rig, "abc", numbers);
    assert_true(numbers[0] == 1 && numbers[1] == 3 && numbers[2] == 4);
    apply(rig, "", numbers);
    reopen(rig);
    apply(rig, "a", numbers);
    assert_true(numbers[0] == 5);
}

static void test_pass_ledger_settles_when_the_rules_are_durable(void **state)
{
    struct rig *rig = *state;
    uint64_t numbers[1];

    assert_true(wz_pass_ledger_settled(&rig->ledger));
    apply(rig, "a", numbers);
    assert_false(wz_pass_ledger_settled(&rig->ledger));
    wz_log_flush(wz_journal_log(rig->journal));
    while (!wz_pass_ledger_settled(&rig->ledger)) {
        (void)wz_mailbox_wait(&rig->loop.mail); // nobody has closed it
        (void)wz_mailbox_run(&rig->loop.mail);
    }
}

static void test_pass_ledger_goes_on_behind_what_has_passed(void **state)
{
    struct rig *rig = *state;
    uint64_t numbers[1];
    const struct wz_pass_last *last;

    apply(rig, "a", numbers);
    for (int i = 0; i < 10; i++)
        append(rig->raw, NULL, "{}");
    append(rig->processed, "1.3.1770000000003", "{\"_id\":\"i\",\"_topic\":\"a.\\u0062\",\"v\":5}");
    append(rig->processed, "99.4.1770000000004", "{\"_id\":\"i\",\"_topic\":\"a.c\",\"v\":6}");
    append(rig->processed, NULL, "{\"_id\":\"i\",\"_topic\":\"a.b\",\"v\":7}"); // a script's
    append(rig->processed, "1.x.3", "{\"_topic\":\"a.b\",\"v\":8}");            // nobody's
    append(rig->processed, "1.9", "{\"_topic\":\"a.b\",\"v\":8}");
    append(rig->processed, "1.99999999999999999999.1", "{\"_topic\":\"a.b\",\"v\":8}");
    append(rig->processed, "1..1", "{\"_topic\":\"a.b\",\"v\":8}");
    reopen(rig);
    assert_int_equal(rig->ledger.resume, 5);
    last = wz_pass_states_get(&rig->ledger.states, 1, WZ_SLICE_LIT("a.b"));
    assert_non_null(last);
    assert_int_equal(last->offset, 3);
    assert_int_equal(last->append_ms, 1770000000003);
    assert_true(last->value.kind == WZ_PASS_NUMBER && last->value.number == 5);
    assert_null(wz_pass_states_get(&rig->ledger.states, 99, WZ_SLICE_LIT("a.c")));
}

static void test_pass_ledger_does_not_go_on_behind_the_end(void **state)
{
    struct rig *rig = *state;
    uint64_t numbers[1];

    apply(rig, "a", numbers);
    append(rig->raw, NULL, "{}");
    append(rig->processed, "1.5000.1", "{}"); // of a raw-stream that was taken away
    reopen(rig);
    assert_int_equal(rig->ledger.resume, 1);
}

static void test_pass_ledger_begins_at_the_end(void **state)
{
    struct rig *rig = *state;

    append(rig->raw, NULL, "{}");
    append(rig->processed, "1.0.1", "{}");
    reopen(rig); // no position was ever kept
    assert_int_equal(rig->ledger.resume, 1);
    assert_int_equal(rig->ledger.processed_at, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_pass_ledger_writes_what_it_reads),
        TEST(test_pass_ledger_gives_no_number_twice),
        TEST(test_pass_ledger_settles_when_the_rules_are_durable),
        TEST(test_pass_ledger_goes_on_behind_what_has_passed),
        TEST(test_pass_ledger_does_not_go_on_behind_the_end),
        TEST(test_pass_ledger_begins_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
