// SPDX-License-Identifier: Apache-2.0
// The inbox over real logs and a journal, asked at its desk.
#include "router/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/patience_test.h"
#include "broker/ticket.h"
#include "router/documents_test.h"
#include "router/ignores.h"
#include "stream/reader.h"

struct world {
    char dir[64];
    struct wz_loop loop;
    struct wz_loop_part part;
    uv_timer_t tick;
    struct wz_log *raw;
    struct wz_log *unmapped;
    struct wz_journal *journal;
    struct wz_board *board;
    struct wz_desk *desk;
    struct wz_inbox *inbox;
    struct wz_inbox_options options;
    int64_t segment_bytes;
    bool answered;
};

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct world *world = arg;

    (void)durable_end;
    (void)state_err;
    if (world->inbox != NULL)
        wz_inbox_durable(world->inbox);
}

static void on_tick(uv_timer_t *tick) { (void)tick; }

static void on_flush(void *arg) { wz_log_flush(((struct world *)arg)->raw); }

static struct wz_log *open_log(struct world *world, const char *name)
{
    struct wz_log_options options = {.durability = WZ_DURABILITY_OS,
                                     .segment_bytes = world->segment_bytes,
                                     .keys_unindexed = true,
                                     .loop_mail = &world->loop.mail,
                                     .on_durable = on_durable,
                                     .arg = world};
    struct wz_log_recovery recovery;
    struct wz_log *log;
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/%s", world->dir, name);
    assert_int_equal(wz_log_open(path, &options, &log, &recovery, NULL), WZ_OK);
    return log;
}

static void map_device(struct world *world, const char *id)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_mapping *mapping;

    if (id != NULL)
        add_device(lists, id, "route");
    assert_int_equal(wz_mapping_compile(lists, &mapping, NULL), WZ_OK);
    release_documents(lists);
    wz_inbox_set_mapping(world->inbox, mapping);
    wz_mapping_unref(mapping);
}

static int append(void *arg, const struct wz_message *msg, int64_t *ret_offset)
{
    struct world *world = arg;
    struct wz_record_parts parts = {.key = msg->topic, .value = {msg->body}, .value_count = 1};

    return wz_log_append(world->raw, &parts, ret_offset);
}

static void open_world(struct world *world)
{
    struct wz_journal_options journal = {.loop = &world->loop,
                                         .durability = WZ_DURABILITY_OS,
                                         .on_durable = on_durable,
                                         .arg = world};
    struct wz_log_recovery recovery;
    char path[96];

    assert_int_equal(wz_loop_init(&world->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&world->loop.uv, &world->tick), 0);
    assert_int_equal(uv_timer_start(&world->tick, on_tick, 1, 1), 0);
    world->raw = open_log(world, "raw");
    world->unmapped = open_log(world, "unmapped");
    (void)snprintf(path, sizeof(path), "%s/journal", world->dir);
    assert_int_equal(wz_journal_open(path, &journal, &world->journal, &recovery, NULL), WZ_OK);
    world->board = wz_board_new();
    world->desk = wz_desk_new(&world->loop);
    world->options.loop = &world->loop;
    world->options.journal = world->journal;
    world->options.raw = world->raw;
    world->options.unmapped = world->unmapped;
    world->options.board = world->board;
    world->options.desk = world->desk;
    world->inbox = wz_inbox_new(&world->options);
    assert_int_equal(wz_journal_replay(world->journal, NULL), WZ_OK);
    assert_int_equal(wz_inbox_recover(world->inbox, NULL), WZ_OK);
    wz_inbox_set_append(world->inbox, append, world);
    world->part = (struct wz_loop_part){.flush = on_flush, .arg = world};
    wz_loop_join(&world->loop, &world->part);
    wz_journal_start(world->journal);
    map_device(world, NULL);
}

static void close_world(struct world *world)
{
    wz_inbox_stop(world->inbox);
    wz_journal_stop(world->journal);
    uv_close((uv_handle_t *)&world->tick, NULL);
    wz_loop_stop(&world->loop);
    wz_loop_run(&world->loop);
    wz_loop_leave(&world->part);
    wz_inbox_free(world->inbox);
    world->inbox = NULL;
    assert_int_equal(wz_journal_close(world->journal), WZ_OK);
    assert_int_equal(wz_log_close(world->raw), WZ_OK);
    assert_int_equal(wz_log_close(world->unmapped), WZ_OK);
    wz_board_free(world->board);
    wz_desk_free(world->desk);
    wz_loop_release(&world->loop);
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    (void)snprintf(world->dir, sizeof(world->dir), "/tmp/wz-inbox-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    world->options.max_bytes = 64 * 1024 * 1024;
    world->options.max_rate = 64 * 1024 * 1024;
    open_world(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    char command[96];

    close_world(world);
    (void)snprintf(command, sizeof(command), "rm -r '%s'", world->dir);
    assert_int_equal(system(command), 0);
    wz_free(world);
    return 0;
}

// Whether it is kept.
static bool take(struct world *world, const char *topic, const char *body)
{
    struct wz_message msg = {.topic = wz_slice_str(topic),
                             .body = wz_slice_str(body),
                             .client = WZ_SLICE_LIT("c"),
                             .timestamp_ms = 77,
                             .offset = -1};
    struct wz_ticket ticket = {0};

    wz_inbox_take(world->inbox, &msg, WZ_OUTCOME_UNKNOWN_DEVICE, &ticket);
    assert_true(ticket.stream == NULL || ticket.stream == world->unmapped);
    return ticket.stream != NULL;
}

static void on_answer(struct wz_mail *mail)
{
    struct wz_desk_call *call = WZ_CONTAINER(mail, struct wz_desk_call, mail);
    struct world *world = (struct world *)(uintptr_t)call->name;

    world->answered = true;
}

// Asks, and waits for the answer, which is the caller's.
static json_t *ask(struct world *world, const char *what, const char *args_text)
{
    struct wz_desk_call call = {.part = "inbox",
                                .what = what,
                                .name = (const char *)world, // only to find the way back
                                .args = json_loads(args_text, 0, NULL),
                                .reply_to = &world->loop.mail,
                                .done = on_answer};
    int64_t end_us = wz_clock_mono_us() + patience_us();

    world->answered = false;
    assert_int_equal(wz_desk_ask(world->desk, &call), WZ_OK);
    while (!world->answered) {
        assert_true(wz_clock_mono_us() < end_us);
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
    }
    json_decref(call.args);
    assert_int_equal(call.result, WZ_OK);
    return call.answer;
}

// "topic count, topic count"
static void expect_listed(struct world *world, const char *text)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();
    WZ_AUTO(wz_buf_release) struct wz_buf said = {0};

    for (;;) {
        json_t *answer = ask(world, "ls", "{}");
        bool loading = json_is_true(json_object_get(answer, "loading"));
        json_t *item;
        size_t i;

        said.len = 0;
        json_array_foreach(json_object_get(answer, "items"), i, item)
        {
            wz_buf_addf(&said, "%s%s %lld", i > 0 ? ", " : "",
                        json_string_value(json_object_get(item, "topic")),
                        (long long)json_integer_value(json_object_get(item, "count")));
        }
        json_decref(answer);
        if (!loading && strcmp(wz_buf_str(&said), text) == 0)
            return;
        if (wz_clock_mono_us() > end_us)
            fail_msg("%s, not %s", wz_buf_str(&said), text);
    }
}

static void test_inbox_keeps_the_untouched_message_and_why(void **state)
{
    struct world *world = *state;
    struct wz_reader_options options = {.position = 0};
    struct wz_reader *reader;
    struct wz_record record;

    assert_true(take(world, "a/b", "body"));
    wz_log_flush(world->unmapped);
    while (wz_log_durable_end(world->unmapped) == 0)
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
    assert_int_equal(wz_reader_open(world->unmapped, &options, &reader), WZ_OK);
    assert_int_equal(wz_reader_next(reader, &record), WZ_OK);
    assert_true(wz_slice_eq(record.key, WZ_SLICE_LIT("a/b")));
    assert_true(wz_slice_eq(record.value, WZ_SLICE_LIT("body")));
    assert_true(wz_slice_eq(wz_record_header_find(&record, "why"), WZ_SLICE_LIT("unknown-device")));
    assert_true(wz_slice_eq(wz_record_header_find(&record, "client"), WZ_SLICE_LIT("c")));
    assert_true(wz_slice_eq(wz_record_header_find(&record, "time"), WZ_SLICE_LIT("77")));
    wz_reader_close(reader);
}

static void test_inbox_lists_what_it_has_and_what_there_was_before(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 3; i++)
        assert_true(take(world, "often", "1"));
    assert_true(take(world, "once", "1"));
    expect_listed(world, "often 3, once 1");
    close_world(world);
    open_world(world);
    assert_true(take(world, "once", "2"));
    expect_listed(world, "often 3, once 2");
}

static void test_inbox_lists_nothing_that_is_mapped_or_ignored(void **state)
{
    struct world *world = *state;
    struct wz_document_list list = {0};

    assert_true(take(world, "dev/x/status", "1"));
    assert_true(take(world, "noise/1", "1"));
    assert_true(take(world, "other", "1"));
    map_device(world, "dev");
    add_document(&list, "noise/#", NULL, NULL);
    wz_inbox_set_ignores(world->inbox, wz_ignores_compile(&list));
    wz_document_list_release(&list);
    assert_true(wz_inbox_ignores(world->inbox, WZ_SLICE_LIT("noise/2")));
    assert_false(wz_inbox_ignores(world->inbox, WZ_SLICE_LIT("other")));
    expect_listed(world, "other 1");
}

static void test_inbox_lets_what_is_kept_enter_or_forgets_it(void **state)
{
    struct world *world = *state;

    assert_true(take(world, "dev/x/status", "1"));
    assert_true(take(world, "gone", "1"));
    wz_log_flush(world->unmapped);
    map_device(world, "dev");
    json_decref(ask(world, "forget", "{\"topics\":[\"gone\"]}"));
    json_decref(ask(world, "reenter", "{\"devices\":[\"dev\"]}"));
    while (wz_log_durable_end(world->raw) == 0)
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
    assert_int_equal(wz_log_next_offset(world->raw), 1);
    expect_listed(world, "");
    close_world(world);
    open_world(world);
    expect_listed(world, ""); // it is marked
}

static bool board_says_it_runs(struct world *world)
{
    json_t *state = wz_board_get(world->board, "inbox", "state");
    bool runs = json_is_true(json_object_get(json_object_get(state, "reentry"), "running"));

    json_decref(state);
    return runs;
}

static void test_inbox_shows_that_a_run_that_found_nothing_has_ended(void **state)
{
    struct world *world = *state;
    int64_t end_us = wz_clock_mono_us() + 2500 * 1000; // the board has nothing more to show

    while (wz_clock_mono_us() < end_us)
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
    json_decref(ask(world, "reenter", "{}")); // as it begins
    end_us = wz_clock_mono_us() + patience_us();
    while (board_says_it_runs(world)) {
        assert_true(wz_clock_mono_us() < end_us);
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
    }
}

static void test_inbox_counts_what_is_beyond_the_rate(void **state)
{
    struct world *world = *state;
    int64_t before = wz_metric_get(WZ_METRIC_INBOX_REFUSED);
    int kept = 0;
    char body[1001];

    memset(body, 'x', 1000);
    body[1000] = '\0';
    close_world(world);
    world->options.max_rate = 5000;
    open_world(world);
    for (int i = 0; i < 20; i++)
        kept += take(world, "t", body);
    assert_int_equal(kept, 5); // the fifth is owed in part
    expect_listed(world, "t 20");
    assert_int_equal(wz_metric_get(WZ_METRIC_INBOX_REFUSED) - before, 15);
}

static void test_inbox_lets_the_oldest_go_beyond_its_size(void **state)
{
    struct world *world = *state;
    int64_t end_us = wz_clock_mono_us() + patience_us();
    struct wz_log_info info;
    char body[8001];

    memset(body, 'x', 8000);
    body[8000] = '\0';
    close_world(world);
    world->options.max_bytes = 1024 * 1024;
    world->segment_bytes = world->options.max_bytes / 8;
    open_world(world);
    do { // as the writer gets there; what comes faster is not kept
        (void)take(world, "t", body);
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
        wz_log_info(world->unmapped, &info);
        assert_true(info.size_bytes < world->options.max_bytes * 3 / 2);
        assert_true(wz_clock_mono_us() < end_us);
    } while (info.first_offset < 200);
    assert_true(info.size_bytes > world->options.max_bytes / 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_inbox_keeps_the_untouched_message_and_why),
        TEST(test_inbox_lists_what_it_has_and_what_there_was_before),
        TEST(test_inbox_lists_nothing_that_is_mapped_or_ignored),
        TEST(test_inbox_lets_what_is_kept_enter_or_forgets_it),
        TEST(test_inbox_shows_that_a_run_that_found_nothing_has_ended),
        TEST(test_inbox_counts_what_is_beyond_the_rate),
        TEST(test_inbox_lets_the_oldest_go_beyond_its_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
