// SPDX-License-Identifier: Apache-2.0
#include "router/testcommands_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/patience_test.h"
#include "bus/embedded.h"
#include "router/documents_test.h"
#include "router/preprocess.h"
#include "stream/reader.h"
#include "stream/testjournal_test.h"

#define DEVICES 16

// The journal of the test's device: the key 'R', the numbers that it has got as its value.
static void remember(struct testcommands *t, int number, struct wz_ticket *ret_ticket)
{
    char key[12];
    struct wz_slice value = WZ_SLICE_LIT("x");

    t->place = WZ_JOURNAL_NOWHERE; // nothing is ever compacted here
    (void)snprintf(key, sizeof(key), "%d", number);
    wz_journal_begin(t->journal);
    wz_journal_put(t->journal, 'R', wz_slice_str(key), &value, 1, &t->place);
    wz_journal_end(t->journal, &ret_ticket->journal_offset);
    ret_ticket->journal = wz_journal_log(t->journal);
}

static int replay(void *arg, const struct wz_journal_record *record)
{
    struct testcommands *t = arg;
    char key[12] = {0};
    int number;

    assert_true(record->key.len < sizeof(key));
    memcpy(key, record->key.ptr, record->key.len);
    number = (int)strtol(key, NULL, 10);
    assert_true(number < t->count);
    t->replayed[number] = true;
    return WZ_OK;
}

static struct wz_journal_place *find(void *arg, struct wz_slice key)
{
    (void)arg;
    (void)key;
    return NULL;
}

static int on_command(void *arg, const struct wz_message *msg, void **slot,
                      struct wz_ticket *ret_ticket)
{
    struct testcommands *t = arg;
    struct testcommands_got *got = &t->got[t->got_count];
    char text[64] = {0};
    char name[4];

    (void)slot;
    if (t->busy)
        return WZ_ERR_BUSY;
    assert_int_equal(msg->qos, 1);
    (void)snprintf(text, sizeof(text), "%.*s %.*s", WZ_SLICE_FMT(msg->topic),
                   WZ_SLICE_FMT(msg->body));
    assert_int_equal(sscanf(text, "%3s/%d/command {\"n\":%d}", name, &got->topic, &got->number), 3);
    got->renamed = strcmp(name, "new") == 0;
    got->whole = strstr(text, "value") != NULL;
    assert_true(t->got_count++ < 4 * TESTCOMMANDS_MAX - 1);
    assert_true(got->number < t->count);
    assert_int_equal(got->topic, t->topics[got->number]);
    assert_true(t->journaled[got->number] ||
                t->offsets[got->number] < wz_log_durable_end(t->processed));
    remember(t, got->number, ret_ticket);
    return WZ_OK;
}

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct testcommands *t = arg;

    (void)durable_end;
    assert_int_equal(state_err, WZ_OK);
    if (t->bus != NULL)
        wz_bus_durable(t->bus);
}

static void on_wake(void *arg)
{
    struct testcommands *t = arg;

    wz_log_set_time(t->processed, t->loop.now_ms);
}

static void on_flush(void *arg)
{
    struct testcommands *t = arg;

    if (!t->held)
        wz_log_flush(t->processed);
}

static void on_tick(uv_timer_t *tick) { (void)tick; }

void testcommands_init(struct testcommands *t)
{
    memset(t, 0, sizeof(*t));
    (void)snprintf(t->dir, sizeof(t->dir), "/tmp/wz-commands-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    t->options.rate = 100;
    t->options.expiry_ms = 60000;
}

void testcommands_release(struct testcommands *t)
{
    char command[96];

    (void)snprintf(command, sizeof(command), "rm -r '%s'", t->dir);
    assert_int_equal(system(command), 0);
}

void testcommands_map(struct testcommands *t, bool renamed)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_mapping *mapping;

    for (int i = 0; i < DEVICES; i++) {
        char id[32];
        char route[32];

        (void)snprintf(id, sizeof(id), "%s/%d", renamed ? "new" : "dev", i);
        (void)snprintf(route, sizeof(route), "d%d", i);
        add_device(lists, id, route);
        if (t->value_alone)
            assert_int_equal(json_object_set_new(lists[WZ_COLLECTION_DEVICES].items[i].body, "send",
                                                 json_string("value")),
                             0);
    }
    assert_int_equal(wz_mapping_compile(lists, &mapping, NULL), WZ_OK);
    release_documents(lists);
    wz_commands_set_mapping(t->commands, mapping);
    wz_mapping_unref(t->mapping);
    t->mapping = mapping;
}

static void open_logs(struct testcommands *t)
{
    struct wz_log_options log = {.durability = WZ_DURABILITY_OS,
                                 .reserve_offsets = 10000,
                                 .loop_mail = &t->loop.mail,
                                 .on_durable = on_durable,
                                 .arg = t};
    struct wz_journal_options journal = {
        .loop = &t->loop, .durability = WZ_DURABILITY_OS, .on_durable = on_durable, .arg = t};
    struct wz_log_recovery recovery;
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/processed", t->dir);
    assert_int_equal(wz_log_open(path, &log, &t->processed, &recovery, NULL), WZ_OK);
    (void)snprintf(path, sizeof(path), "%s/journal", t->dir);
    assert_int_equal(wz_journal_open(path, &journal, &t->journal, &recovery, NULL), WZ_OK);
}

void testcommands_open(struct testcommands *t)
{
    assert_int_equal(wz_loop_init(&t->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&t->loop.uv, &t->tick), 0);
    assert_int_equal(uv_timer_start(&t->tick, on_tick, 1, 1), 0);
    open_logs(t);
    t->bus = wz_bus_new(&t->loop);
    t->options.loop = &t->loop;
    t->options.bus = t->bus;
    t->options.processed = t->processed;
    t->options.journal = t->journal;
    t->kind = (struct wz_journal_kind){'R', t, replay, find};
    memset(t->replayed, 0, sizeof(t->replayed));
    wz_journal_join(t->journal, &t->kind);
    t->commands = wz_commands_new(&t->options);
    assert_int_equal(wz_journal_replay(t->journal, NULL), WZ_OK);
    assert_int_equal(wz_commands_recover(t->commands, NULL), WZ_OK);
    t->part = (struct wz_loop_part){.wake = on_wake, .flush = on_flush, .arg = t};
    wz_loop_join(&t->loop, &t->part);
    wz_journal_start(t->journal);
    assert_int_equal(
        wz_bus_bind(t->bus, WZ_BUS_DEVICES, WZ_SLICE_LIT("#"), on_command, NULL, t, &t->devices),
        WZ_OK);
    testcommands_map(t, false);
}

void testcommands_close(struct testcommands *t)
{
    wz_commands_stop(t->commands);
    wz_journal_stop(t->journal);
    uv_close((uv_handle_t *)&t->tick, NULL);
    wz_loop_stop(&t->loop);
    wz_loop_run(&t->loop);
    wz_commands_put_position(t->commands);
    wz_commands_free(t->commands);
    wz_mapping_unref(t->mapping);
    t->mapping = NULL;
    wz_bus_unbind(t->bus, t->devices);
    if (t->subscriber != NULL)
        wz_bus_unbind(t->bus, t->subscriber);
    t->subscriber = NULL;
    wz_loop_leave(&t->part);
    assert_int_equal(wz_journal_close(t->journal), WZ_OK);
    assert_int_equal(wz_log_close(t->processed), WZ_OK);
    wz_bus_stop(t->bus);
    wz_bus_free(t->bus);
    t->bus = NULL;
    wz_loop_release(&t->loop);
}

static void copy(const char *from_dir, const char *to_dir, const char *name)
{
    char from[96];
    char to[96];

    (void)snprintf(from, sizeof(from), "%s/%s", from_dir, name);
    (void)snprintf(to, sizeof(to), "%s/%s", to_dir, name);
    assert_int_equal(wz_fs_make_folders(to), WZ_OK);
    assert_int_equal(testjournal_copy_files(from, to), WZ_OK);
}

// With the header `passed` if that is not empty.
static int64_t append(struct testcommands *t, struct wz_slice key, struct wz_slice value,
                      struct wz_slice exchange, struct wz_slice passed)
{
    uint8_t bytes[128];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_record_parts parts = {
        .key = key, .value = {value}, .value_count = 1, .header_pieces = 1, .header_count = 2};
    int64_t offset;

    wz_record_header_put(&pen, WZ_SLICE_LIT("from"), exchange);
    wz_record_header_put(&pen, WZ_SLICE_LIT("form"), WZ_SLICE_LIT("object"));
    if (passed.len > 0)
        wz_record_header_put(&pen, WZ_SLICE_LIT("passed"), passed);
    parts.header_count += passed.len > 0;
    parts.headers[0] = wz_slice(bytes, (size_t)(pen.pos - bytes));
    assert_int_equal(wz_log_append(t->processed, &parts, &offset), WZ_OK);
    return offset;
}

// Appends the command of that number.
static void add(struct testcommands *t, int number, int64_t append_ms)
{
    struct wz_command command = {
        .append_ms = append_ms, .form = WZ_FORM_OBJECT, .journaled = t->journaled[number]};
    char key[32];
    char value[96];

    (void)snprintf(key, sizeof(key), "d%d.output", t->topics[number]);
    (void)snprintf(value, sizeof(value),
                   "{\"_id\":\"x\",\"_topic\":\"%s\",\"n\":%d,\"value\":{\"n\":%d}}", key, number,
                   number);
    command.topic = wz_slice_str(key);
    command.value = wz_slice_str(value);
    wz_log_set_time(t->processed, append_ms);
    command.offset =
        append(t, command.topic, command.value, WZ_SLICE_LIT("egress"), wz_slice(NULL, 0));
    t->offsets[number] = command.offset;
    wz_commands_add(t->commands, &command);
}

static int add_next(struct testcommands *t, int topic, int64_t age_ms, bool journaled)
{
    assert_true(t->count < TESTCOMMANDS_MAX);
    t->topics[t->count] = topic;
    t->journaled[t->count] = journaled;
    add(t, t->count, t->loop.now_ms - age_ms);
    return t->count++;
}

int testcommands_add(struct testcommands *t, int topic, int64_t age_ms)
{
    return add_next(t, topic, age_ms, false);
}

int testcommands_add_journaled(struct testcommands *t, int topic)
{
    return add_next(t, topic, 0, true);
}

// As the engine does it when it starts.
static void append_lost(struct testcommands *t)
{
    struct wz_reader_options options = {.position = 0};
    bool there[TESTCOMMANDS_MAX] = {0};
    struct wz_reader *reader;
    struct wz_record record;

    assert_int_equal(wz_reader_open(t->processed, &options, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK) {
        for (int number = 0; number < t->count; number++)
            there[number] = there[number] || t->offsets[number] == record.offset;
    }
    wz_reader_close(reader);
    for (int number = 0; number < t->count; number++) {
        if (t->journaled[number] && !there[number])
            add(t, number, t->loop.now_ms);
    }
}

void testcommands_crash(struct testcommands *t)
{
    char dir[sizeof(t->dir)] = "/tmp/wz-commands-XXXXXX";

    assert_non_null(mkdtemp(dir));
    // The journal first: what it says of processed-stream is there in any later copy of that.
    copy(t->dir, dir, "journal");
    copy(t->dir, dir, "processed");
    testcommands_close(t);
    testcommands_release(t);
    memcpy(t->dir, dir, sizeof(dir));
    t->busy = false;
    t->held = false;
    testcommands_open(t);
    append_lost(t);
}

void testcommands_add_other(struct testcommands *t, bool passed_through)
{
    if (passed_through)
        (void)append(t, WZ_SLICE_LIT("d1.output"), WZ_SLICE_LIT("{\"n\":1}"),
                     WZ_SLICE_LIT("egress"), WZ_SLICE_LIT("1.7.1770000000000")); // of that device
    else
        (void)append(t, WZ_SLICE_LIT("d1.outputs"), WZ_SLICE_LIT("{\"n\":1}"),
                     WZ_SLICE_LIT("egress"), wz_slice(NULL, 0));
}

void testcommands_turn(struct testcommands *t) { (void)uv_run(&t->loop.uv, UV_RUN_NOWAIT); }

void testcommands_wait(struct testcommands *t, int count)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();

    while (t->got_count < count) {
        if (wz_clock_mono_us() > end_us)
            fail_msg("%d commands wanted, %d came", count, t->got_count);
        (void)uv_run(&t->loop.uv, UV_RUN_ONCE);
    }
}

void testcommands_run_ms(struct testcommands *t, int64_t ms)
{
    int64_t end_us = wz_clock_mono_us() + ms * 1000;

    while (wz_clock_mono_us() < end_us)
        (void)uv_run(&t->loop.uv, UV_RUN_ONCE);
}
