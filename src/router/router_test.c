// SPDX-License-Identifier: Apache-2.0
// The router between a real bus and two real logs; devices and readers are consumers on the bus.
#include "router/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "bus/embedded.h"
#include "router/documents_test.h"
#include "stream/reader.h"

#define DEADLINE_US ((int64_t)20 * 1000 * 1000)

struct world {
    struct wz_loop loop;
    struct wz_bus *bus;
    struct wz_log *raw;
    struct wz_log *processed;
    struct wz_journal *journal;
    struct wz_commands *commands;
    struct wz_router *router;
    struct wz_binding *watchers[3];
    struct wz_buf devices; // "topic=body/qos " of what was on amq.topic
    struct wz_buf seen;    // a line for each record on raw and processed
    char dir[32];
};

static int watch_devices(void *arg, const struct wz_message *msg, void **slot,
                         struct wz_ticket *ret_ticket)
{
    struct world *world = arg;

    (void)slot;
    (void)ret_ticket;
    wz_buf_addf(&world->devices, "%.*s=%.*s/%u%s ", WZ_SLICE_FMT(msg->topic),
                WZ_SLICE_FMT(msg->body), msg->qos, msg->retain ? "r" : "");
    return WZ_OK;
}

// What stands behind the stamps of a record's body.
static struct wz_slice unstamped(struct wz_slice body)
{
    const char *topic = memmem(body.ptr, body.len, "\"_topic\":", 9);

    assert_non_null(topic);
    return wz_slice(topic, (size_t)((const char *)body.ptr + body.len - topic));
}

static int watch_stream(void *arg, const struct wz_message *msg, void **slot,
                        struct wz_ticket *ret_ticket)
{
    struct world *world = arg;

    (void)slot;
    (void)ret_ticket;
    wz_buf_addf(&world->seen, "%.*s from %.*s by %.*s: %.*s\n", WZ_SLICE_FMT(msg->topic),
                WZ_SLICE_FMT(msg->from), WZ_SLICE_FMT(msg->client),
                WZ_SLICE_FMT(unstamped(msg->body)));
    return WZ_OK;
}

static struct wz_log *open_log(struct world *world, const char *name, size_t backlog_bytes)
{
    struct wz_log_options options = {.durability = WZ_DURABILITY_OS,
                                     .backlog_bytes = backlog_bytes,
                                     .loop_mail = &world->loop.mail};
    struct wz_log_recovery recovery;
    struct wz_log *log;
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/%s", world->dir, name);
    assert_int_equal(wz_log_open(path, &options, &log, &recovery, NULL), WZ_OK);
    return log;
}

static void watch(struct world *world, int index, enum wz_bus_exchange id,
                  wz_bus_consume_fn consume)
{
    assert_int_equal(wz_bus_bind(world->bus, id, WZ_SLICE_LIT("#"), consume, NULL, world,
                                 &world->watchers[index]),
                     WZ_OK);
}

// The mapping of the original description, under another route when ROUTE says so.
static void map_to(struct world *world, const char *route)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_mapping *mapping;

    add_device(lists, "mesh/b5ea3f/42", route);
    add_subtopic(lists, "M", "brightness");
    add_type(lists, "input", "status");
    add_type(lists, "output", "command");
    assert_int_equal(wz_mapping_compile(lists, &mapping, NULL), WZ_OK);
    for (int i = 0; i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&lists[i]);
    wz_mapping_unref(wz_router_set_mapping(world->router, mapping));
}

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    (void)arg; // who waits looks in the next turn
    (void)durable_end;
    (void)state_err;
}

static struct wz_commands *open_commands(struct world *world)
{
    struct wz_journal_options journal = {
        .loop = &world->loop, .durability = WZ_DURABILITY_OS, .on_durable = on_durable};
    struct wz_commands_options options = {.loop = &world->loop,
                                          .bus = world->bus,
                                          .processed = world->processed,
                                          .expiry_ms = 60000,
                                          .rate = 100};
    struct wz_log_recovery recovery;
    struct wz_commands *commands;
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/journal", world->dir);
    assert_int_equal(wz_journal_open(path, &journal, &world->journal, &recovery, NULL), WZ_OK);
    options.journal = world->journal;
    commands = wz_commands_new(&options);
    assert_int_equal(wz_journal_replay(world->journal, NULL), WZ_OK);
    assert_int_equal(wz_commands_recover(commands, NULL), WZ_OK);
    return commands;
}

static void open_world(struct world *world, size_t backlog_bytes)
{
    struct wz_router_options options = {.loop = &world->loop};

    assert_int_equal(wz_loop_init(&world->loop), WZ_OK);
    world->bus = wz_bus_new(&world->loop);
    (void)snprintf(world->dir, sizeof(world->dir), "/tmp/wz-router-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    options.bus = world->bus;
    options.raw = world->raw = open_log(world, "raw", backlog_bytes);
    options.processed = world->processed = open_log(world, "processed", backlog_bytes);
    options.commands = world->commands = open_commands(world);
    assert_int_equal(wz_router_open(&options, &world->router), WZ_OK);
    wz_journal_start(world->journal);
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    *state = world;
    open_world(world, 0);
    watch(world, 0, WZ_BUS_DEVICES, watch_devices);
    watch(world, 1, WZ_BUS_RAW, watch_stream);
    watch(world, 2, WZ_BUS_PROCESSED, watch_stream);
    map_to(world, "bedroom.light");
    return 0;
}

static void close_world(struct world *world)
{
    char command[64];

    for (int i = 0; i < 3; i++) {
        if (world->watchers[i] != NULL)
            wz_bus_unbind(world->bus, world->watchers[i]);
    }
    wz_commands_stop(world->commands);
    wz_journal_stop(world->journal);
    wz_bus_stop(world->bus);
    wz_loop_stop(&world->loop);
    wz_loop_run(&world->loop);
    wz_router_close(world->router);
    wz_commands_free(world->commands);
    assert_int_equal(wz_log_close(world->raw), WZ_OK);
    assert_int_equal(wz_log_close(world->processed), WZ_OK);
    assert_int_equal(wz_journal_close(world->journal), WZ_OK);
    wz_bus_free(world->bus);
    wz_loop_release(&world->loop);
    (void)snprintf(command, sizeof(command), "rm -r '%s'", world->dir);
    assert_int_equal(system(command), 0);
    wz_buf_release(&world->devices);
    wz_buf_release(&world->seen);
    wz_free(world);
}

static int tear_down(void **state)
{
    close_world(*state);
    return 0;
}

static int publish(struct world *world, enum wz_bus_exchange id, const char *topic,
                   const char *body)
{
    struct wz_message msg = {.topic = wz_slice_str(topic),
                             .body = wz_slice_str(body),
                             .client = WZ_SLICE_LIT("c"),
                             .offset = -1};
    struct wz_ticket ticket;

    return wz_bus_publish(world->bus, id, &msg, &ticket);
}

static void expect_seen(struct world *world, const char *text)
{
    assert_string_equal(wz_buf_str(&world->seen), text);
    world->seen.len = 0;
}

// Turns until all that is on processed-stream is durable, and one more.
static void settle(struct world *world)
{
    int64_t until_us = wz_clock_mono_us() + DEADLINE_US;

    while (wz_log_durable_end(world->processed) < wz_log_next_offset(world->processed) &&
           wz_clock_mono_us() < until_us)
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
}

// What devices get: a command leaves when its record is durable.
static void expect_devices(struct world *world, const char *text)
{
    settle(world);
    assert_string_equal(wz_buf_str(&world->devices), text);
    world->devices.len = 0;
}

static void test_router_reading_becomes_a_raw_record(void **state)
{
    struct world *world = *state;

    assert_int_equal(publish(world, WZ_BUS_DEVICES, "mesh/b5ea3f/42/M/status", "255"), WZ_OK);
    expect_seen(world, "bedroom.light.brightness from mesh/b5ea3f/42/M/status by c: "
                       "\"_topic\":\"bedroom.light.brightness\",\"value\":\"255\"}\n");
    assert_int_equal(publish(world, WZ_BUS_DEVICES, "mesh/b5ea3f/42/status", "{\"on\": true}"),
                     WZ_OK);
    expect_seen(world, "bedroom.light from mesh/b5ea3f/42/status by c: "
                       "\"_topic\":\"bedroom.light\",\"on\": true}\n");
}

static void test_router_ack_waits_for_the_record(void **state)
{
    struct world *world = *state;
    struct wz_message msg = {.topic = WZ_SLICE_LIT("mesh/b5ea3f/42/M/status"), .offset = -1};
    int64_t until_us = wz_clock_mono_us() + DEADLINE_US;
    struct wz_ticket ticket;

    assert_int_equal(wz_bus_publish(world->bus, WZ_BUS_DEVICES, &msg, &ticket), WZ_OK);
    assert_ptr_equal(ticket.stream, world->raw);
    assert_false(wz_ticket_safe(&ticket));
    wz_log_want(world->raw);
    while (!wz_ticket_safe(&ticket) && wz_clock_mono_us() < until_us)
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
    assert_true(wz_ticket_safe(&ticket));
    msg.topic = WZ_SLICE_LIT("nobody/status");
    assert_int_equal(wz_bus_publish(world->bus, WZ_BUS_DEVICES, &msg, &ticket), WZ_OK);
    assert_null(ticket.stream); // no duty: nothing to wait for
}

static void test_router_output_becomes_a_command(void **state)
{
    struct world *world = *state;

    assert_int_equal(
        publish(world, WZ_BUS_EGRESS, "bedroom.light.brightness.output", "{\"value\": 0}"), WZ_OK);
    expect_devices(world, "mesh/b5ea3f/42/M/command={\"value\":0}/1 ");
    expect_seen(world, "bedroom.light.brightness.output from egress by c: "
                       "\"_topic\":\"bedroom.light.brightness.output\",\"value\": 0}\n");
    assert_int_equal(publish(world, WZ_BUS_EGRESS, "bedroom.light.output", " on "), WZ_OK);
    expect_devices(world, "mesh/b5ea3f/42/command=on/1 ");
}

static void test_router_sends_no_command_where_there_is_none_to_send(void **state)
{
    static const char *const topics[] = {"bedroom.light.brightness", "output",
                                         "bedroom.light.outputs", "kitchen.lamp.output"};
    struct world *world = *state;
    int64_t records = wz_log_next_offset(world->processed);

    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
        assert_int_equal(publish(world, WZ_BUS_EGRESS, topics[i], "1"), WZ_OK);
    expect_devices(world, "");
    assert_int_equal(wz_log_next_offset(world->processed) - records, 4); // recorded all the same
}

static void test_router_leaves_a_command_of_a_client_alone(void **state)
{
    struct world *world = *state;
    int64_t records = wz_log_next_offset(world->raw);

    assert_int_equal(publish(world, WZ_BUS_DEVICES, "mesh/b5ea3f/42/M/command", "0"), WZ_OK);
    expect_devices(world, "mesh/b5ea3f/42/M/command=0/0 ");
    expect_seen(world, "");
    assert_int_equal(wz_log_next_offset(world->raw), records);
}

static void test_router_counts_what_no_rule_maps_and_records_nothing(void **state)
{
    static const char *const topics[] = {"mesh/b5ea3f/43/M/status", "mesh/b5ea3f/42/M/other",
                                         "mesh/b5ea3f/42/a.b/status"};
    struct world *world = *state;
    int64_t unmapped = wz_metric_get(WZ_METRIC_DEMUX_UNMAPPED);

    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
        assert_int_equal(publish(world, WZ_BUS_DEVICES, topics[i], "1"), WZ_OK);
    // The broker's own are nobody's readings.
    assert_int_equal(publish(world, WZ_BUS_DEVICES, "$SYS/status", "1"), WZ_ERR_INVALID);
    (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT); // counted in a turn, added at its end
    expect_seen(world, "");
    assert_int_equal(wz_metric_get(WZ_METRIC_DEMUX_UNMAPPED) - unmapped, 3);
}

static void test_router_does_not_record_that_a_retained_value_is_cleared(void **state)
{
    struct world *world = *state;
    struct wz_message msg = {
        .topic = WZ_SLICE_LIT("mesh/b5ea3f/42/M/status"), .offset = -1, .retain = true};
    struct wz_ticket ticket;

    assert_int_equal(wz_bus_publish(world->bus, WZ_BUS_DEVICES, &msg, &ticket), WZ_OK);
    expect_seen(world, "");
    msg.retain = false;
    assert_int_equal(wz_bus_publish(world->bus, WZ_BUS_DEVICES, &msg, &ticket), WZ_OK);
    expect_seen(world, "bedroom.light.brightness from mesh/b5ea3f/42/M/status by : "
                       "\"_topic\":\"bedroom.light.brightness\",\"value\":\"\"}\n");
}

static void test_router_follows_a_new_mapping_from_the_next_message_on(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 2; i++)
        assert_int_equal(publish(world, WZ_BUS_DEVICES, "mesh/b5ea3f/42/M/status", "1"), WZ_OK);
    world->seen.len = 0;
    map_to(world, "kitchen.lamp");
    assert_int_equal(publish(world, WZ_BUS_DEVICES, "mesh/b5ea3f/42/M/status", "1"), WZ_OK);
    expect_seen(world, "kitchen.lamp.brightness from mesh/b5ea3f/42/M/status by c: "
                       "\"_topic\":\"kitchen.lamp.brightness\",\"value\":\"1\"}\n");
    world->devices.len = 0;
    assert_int_equal(publish(world, WZ_BUS_EGRESS, "bedroom.light.brightness.output", "0"), WZ_OK);
    expect_devices(world, "");
    assert_int_equal(publish(world, WZ_BUS_EGRESS, "kitchen.lamp.brightness.output", "0"), WZ_OK);
    expect_devices(world, "mesh/b5ea3f/42/M/command=0/1 ");
}

static void test_router_takes_ingress_as_it_is_named(void **state)
{
    struct world *world = *state;

    assert_int_equal(publish(world, WZ_BUS_INGRESS, "feed.eur.output", "{\"rate\":1.08}"), WZ_OK);
    expect_seen(world, "feed.eur.output from ingress by c: "
                       "\"_topic\":\"feed.eur.output\",\"rate\":1.08}\n");
    expect_devices(world, ""); // only egress makes commands
}

// Who binds later gets what comes from then on, also of a topic that nobody listened to before.
static void test_router_shows_raw_records_to_those_who_listen_now(void **state)
{
    struct world *world = *state;

    wz_bus_unbind(world->bus, world->watchers[1]);
    assert_int_equal(wz_bus_bind(world->bus, WZ_BUS_RAW, WZ_SLICE_LIT("feed.a"), watch_stream, NULL,
                                 world, &world->watchers[1]),
                     WZ_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(publish(world, WZ_BUS_INGRESS, "feed.b", "{}"), WZ_OK);
        expect_seen(world, "");
        assert_int_equal(publish(world, WZ_BUS_INGRESS, "feed.a", "{}"), WZ_OK);
        expect_seen(world, "feed.a from ingress by c: \"_topic\":\"feed.a\"}\n");
    }
    wz_bus_unbind(world->bus, world->watchers[1]);
    watch(world, 1, WZ_BUS_RAW, watch_stream);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(publish(world, WZ_BUS_INGRESS, "feed.b", "{}"), WZ_OK);
        expect_seen(world, "feed.b from ingress by c: \"_topic\":\"feed.b\"}\n");
    }
}

static void test_router_record_on_the_stream_is_what_the_mirror_showed(void **state)
{
    struct world *world = *state;
    struct wz_reader_options everything = {0};
    int64_t until_us = wz_clock_mono_us() + DEADLINE_US;
    struct wz_reader *reader;
    struct wz_record record;
    int r = WZ_END;

    assert_int_equal(publish(world, WZ_BUS_DEVICES, "mesh/b5ea3f/42/M/status", "255"), WZ_OK);
    assert_int_equal(wz_reader_open(world->raw, &everything, &reader), WZ_OK);
    while (r == WZ_END && wz_clock_mono_us() < until_us) {
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
        r = wz_reader_next(reader, &record);
    }
    assert_int_equal(r, WZ_OK);
    assert_true(wz_slice_eq(record.key, WZ_SLICE_LIT("bedroom.light.brightness")));
    assert_true(
        wz_slice_eq(unstamped(record.value), WZ_SLICE_LIT("\"_topic\":\"bedroom.light.brightness\","
                                                          "\"value\":\"255\"}")));
    assert_true(wz_slice_eq(wz_record_header_find(&record, "from"),
                            WZ_SLICE_LIT("mesh/b5ea3f/42/M/status")));
    assert_true(wz_slice_eq(wz_record_header_find(&record, "form"), WZ_SLICE_LIT("text")));
    assert_true(wz_slice_eq(wz_record_header_find(&record, "client"), WZ_SLICE_LIT("c")));
    wz_reader_close(reader);
}

// A full backlog refuses the message before anybody has it; when there is room, it is taken.
static void test_router_refuses_whole_when_the_log_cannot_take_more(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));
    int64_t until_us = wz_clock_mono_us() + DEADLINE_US;
    int taken = 0;
    int r = WZ_OK;

    (void)state;
    open_world(world, 128 * 1024);
    map_to(world, "bedroom.light");
    watch(world, 0, WZ_BUS_RAW, watch_stream);
    while (r == WZ_OK && taken < 1000000) {
        world->seen.len = 0;
        r = publish(world, WZ_BUS_DEVICES, "mesh/b5ea3f/42/M/status", "255");
        if (r == WZ_OK)
            taken++;
    }
    assert_int_equal(r, WZ_ERR_BUSY);
    expect_seen(world, "");
    assert_int_equal(wz_log_next_offset(world->raw), taken);
    while (r == WZ_ERR_BUSY && wz_clock_mono_us() < until_us) {
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
        r = publish(world, WZ_BUS_DEVICES, "mesh/b5ea3f/42/M/status", "255");
    }
    assert_int_equal(r, WZ_OK);
    assert_int_equal(wz_log_next_offset(world->raw), taken + 1);
    close_world(world);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_router_reading_becomes_a_raw_record),
        TEST(test_router_ack_waits_for_the_record),
        TEST(test_router_output_becomes_a_command),
        TEST(test_router_sends_no_command_where_there_is_none_to_send),
        TEST(test_router_leaves_a_command_of_a_client_alone),
        TEST(test_router_counts_what_no_rule_maps_and_records_nothing),
        TEST(test_router_does_not_record_that_a_retained_value_is_cleared),
        TEST(test_router_follows_a_new_mapping_from_the_next_message_on),
        TEST(test_router_takes_ingress_as_it_is_named),
        TEST(test_router_shows_raw_records_to_those_who_listen_now),
        TEST(test_router_record_on_the_stream_is_what_the_mirror_showed),
        cmocka_unit_test(test_router_refuses_whole_when_the_log_cannot_take_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
