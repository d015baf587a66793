// SPDX-License-Identifier: Apache-2.0
// Re-entry between real logs and a journal; what appends to raw-stream is the test. Message number
// N is of topic "dT/v", T = N modulo TOPICS; its body is N. The mapping has the first MAPPED
// devices.
#include "router/reentry.h"

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
#include "base/rand.h"
#include "router/documents_test.h"
#include "stream/reader.h"
#include "stream/testjournal_test.h"

#define TOPICS 6
#define MAPPED 4
#define MESSAGES_MAX 8192
#define TRIALS 20
#define STEPS 150

struct world {
    char dir[64];
    struct wz_loop loop;
    struct wz_loop_part part;
    uv_timer_t tick;
    struct wz_log *raw;
    struct wz_log *unmapped;
    struct wz_journal *journal;
    struct wz_reentry *reentry;
    int count;               // numbers that were given
    int began;               // wishes that were answered with WZ_OK,
    int closed;              // and with WZ_ERR_CLOSED
    int busy;                // so many appends are refused
    int found[MESSAGES_MAX]; // on raw-stream, by number
    uint64_t seed;
    bool held; // what goes to raw-stream is not written
};

// A wish and its memory.
struct asked {
    struct wz_reentry_wish wish;
    struct world *world;
    json_t *what;
};

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct world *world = arg;

    (void)durable_end;
    assert_int_equal(state_err, WZ_OK);
    if (world->reentry != NULL)
        wz_reentry_advance(world->reentry);
}

static void on_flush(void *arg)
{
    struct world *world = arg;

    wz_reentry_advance(world->reentry);
    if (!world->held)
        wz_log_flush(world->raw);
    wz_log_flush(world->unmapped);
}

static void on_tick(uv_timer_t *tick) { (void)tick; }

static int append(void *arg, const struct wz_message *msg, int64_t *ret_offset)
{
    struct world *world = arg;
    struct wz_record_parts parts = {
        .key = msg->topic, .value = {msg->body}, .value_count = 1, .header_pieces = 1};
    uint8_t bytes[64];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));

    if (world->busy > 0) {
        world->busy--;
        return WZ_ERR_BUSY;
    }
    assert_true(wz_slice_eq(msg->client, WZ_SLICE_LIT("gw")));
    assert_int_equal(msg->timestamp_ms, 1234567890123);
    wz_record_header_put(&pen, WZ_SLICE_LIT("unmapped"), msg->unmapped);
    parts.headers[0] = wz_slice(bytes, (size_t)(pen.pos - bytes));
    parts.header_count = 1;
    return wz_log_append(world->raw, &parts, ret_offset);
}

static void map_devices(struct world *world)
{
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_mapping *mapping;
    char name[8];

    for (int i = 0; i < MAPPED; i++) {
        (void)snprintf(name, sizeof(name), "d%d", i);
        add_device(lists, name, name);
    }
    add_type(lists, "input", "v");
    assert_int_equal(wz_mapping_compile(lists, &mapping, NULL), WZ_OK);
    release_documents(lists);
    wz_reentry_set_mapping(world->reentry, mapping);
    wz_mapping_unref(mapping);
}

static struct wz_log *open_log(struct world *world, const char *name)
{
    struct wz_log_options options = {.durability = WZ_DURABILITY_OS,
                                     .reserve_offsets = 5000,
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

static void open_world(struct world *world)
{
    struct wz_journal_options journal = {.loop = &world->loop,
                                         .durability = WZ_DURABILITY_OS,
                                         .on_durable = on_durable,
                                         .arg = world};
    struct wz_reentry_options options = {.loop = &world->loop};
    struct wz_log_recovery recovery;
    char path[96];

    assert_int_equal(wz_loop_init(&world->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&world->loop.uv, &world->tick), 0);
    assert_int_equal(uv_timer_start(&world->tick, on_tick, 1, 1), 0);
    world->raw = open_log(world, "raw");
    world->unmapped = open_log(world, "unmapped");
    (void)snprintf(path, sizeof(path), "%s/journal", world->dir);
    assert_int_equal(wz_journal_open(path, &journal, &world->journal, &recovery, NULL), WZ_OK);
    options.journal = world->journal;
    options.raw = world->raw;
    options.unmapped = world->unmapped;
    world->reentry = wz_reentry_new(&options);
    assert_int_equal(wz_journal_replay(world->journal, NULL), WZ_OK);
    assert_int_equal(wz_reentry_recover(world->reentry), WZ_OK);
    wz_reentry_set_append(world->reentry, append, world);
    world->part = (struct wz_loop_part){.flush = on_flush, .arg = world};
    wz_loop_join(&world->loop, &world->part);
    wz_journal_start(world->journal);
    map_devices(world);
}

static void close_world(struct world *world)
{
    wz_reentry_stop(world->reentry);
    wz_journal_stop(world->journal);
    uv_close((uv_handle_t *)&world->tick, NULL);
    wz_loop_stop(&world->loop);
    wz_loop_run(&world->loop);
    wz_loop_leave(&world->part);
    wz_reentry_free(world->reentry);
    world->reentry = NULL;
    assert_int_equal(wz_journal_close(world->journal), WZ_OK);
    assert_int_equal(wz_log_close(world->raw), WZ_OK);
    assert_int_equal(wz_log_close(world->unmapped), WZ_OK);
    wz_loop_release(&world->loop);
}

static void make_world(struct world *world)
{
    memset(world, 0, sizeof(*world));
    (void)snprintf(world->dir, sizeof(world->dir), "/tmp/wz-reentry-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    open_world(world);
}

static void remove_world(struct world *world)
{
    char command[96];

    (void)snprintf(command, sizeof(command), "rm -r '%s'", world->dir);
    assert_int_equal(system(command), 0);
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

// The disk as it is now is what there is after the crash. The journal is copied first: what it says
// of raw-stream is there in any later copy of that.
static void crash(struct world *world)
{
    char dir[sizeof(world->dir)] = "/tmp/wz-reentry-XXXXXX";

    assert_non_null(mkdtemp(dir));
    copy(world->dir, dir, "journal");
    copy(world->dir, dir, "raw");
    copy(world->dir, dir, "unmapped");
    close_world(world);
    remove_world(world);
    memcpy(world->dir, dir, sizeof(dir));
    world->held = false;
    open_world(world);
}

static void keep(struct world *world)
{
    struct wz_record_parts parts = {.value_count = 1, .header_pieces = 1, .header_count = 2};
    uint8_t bytes[64];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    char topic[16];
    char body[16];
    int64_t offset;

    (void)snprintf(topic, sizeof(topic), "d%d/v", world->count % TOPICS);
    (void)snprintf(body, sizeof(body), "%d", world->count++);
    wz_record_header_put(&pen, WZ_SLICE_LIT("client"), WZ_SLICE_LIT("gw"));
    wz_record_header_put(&pen, WZ_SLICE_LIT("time"), WZ_SLICE_LIT("1234567890123"));
    parts.key = wz_slice_str(topic);
    parts.value[0] = wz_slice_str(body);
    parts.headers[0] = wz_slice(bytes, (size_t)(pen.pos - bytes));
    assert_int_equal(wz_log_append(world->unmapped, &parts, &offset), WZ_OK);
}

static void keep_all(struct world *world, int count)
{
    for (int i = 0; i < count; i++)
        keep(world);
    while (wz_log_durable_end(world->unmapped) < wz_log_next_offset(world->unmapped))
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
}

static void on_began(struct wz_reentry_wish *wish, int result)
{
    struct asked *asked = wish->arg;

    if (result == WZ_OK)
        asked->world->began++;
    else
        asked->world->closed += result == WZ_ERR_CLOSED;
    json_decref(asked->what);
    wz_free(asked);
}

static int wish(struct world *world, const char *text)
{
    struct asked *asked = wz_zalloc(1, sizeof(*asked));
    int r;

    asked->world = world;
    asked->what = json_loads(text, 0, NULL);
    assert_non_null(asked->what);
    asked->wish = (struct wz_reentry_wish){.what = asked->what, .began = on_began, .arg = asked};
    wz_list_init(&asked->wish.link);
    r = wz_reentry_run(world->reentry, &asked->wish);
    if (r < 0)
        on_began(&asked->wish, r);
    return r;
}

static bool runs(const struct world *world)
{
    json_t *said = wz_reentry_describe(world->reentry);
    bool is = json_is_true(json_object_get(said, "running")) ||
              json_integer_value(json_object_get(said, "waiting")) > 0;

    json_decref(said);
    return is;
}

static void run_to_end(struct world *world)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();

    while (runs(world)) {
        assert_true(wz_clock_mono_us() < end_us);
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
    }
}

// Reads raw-stream: how often each message is there. They are in their order in each run.
static void look(struct world *world)
{
    struct wz_reader_options options = {.position = 0};
    struct wz_reader *reader;
    struct wz_record record;
    char text[16];

    memset(world->found, 0, sizeof(world->found));
    wz_log_flush(world->raw);
    while (wz_log_durable_end(world->raw) < wz_log_next_offset(world->raw) &&
           wz_log_backlog(world->raw) > 0)
        (void)uv_run(&world->loop.uv, UV_RUN_ONCE);
    assert_int_equal(wz_reader_open(world->raw, &options, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK) {
        (void)snprintf(text, sizeof(text), "%.*s", WZ_SLICE_FMT(record.value));
        world->found[strtol(text, NULL, 10)]++;
    }
    wz_reader_close(reader);
}

static void test_reentry_gives_all_that_is_mapped_once(void **state)
{
    struct world *world = wz_alloc(sizeof(*world));

    (void)state;
    make_world(world);
    keep_all(world, 2000); // several pieces
    world->busy = 3;
    assert_int_equal(wish(world, "{}"), WZ_OK);
    run_to_end(world);
    assert_int_equal(world->began, 1);
    assert_int_equal(wish(world, "{}"), WZ_OK);
    run_to_end(world);
    look(world);
    for (int i = 0; i < world->count; i++)
        assert_int_equal(world->found[i], i % TOPICS < MAPPED);
    close_world(world);
    open_world(world);
    assert_int_equal(wish(world, "{}"), WZ_OK);
    run_to_end(world);
    look(world);
    for (int i = 0; i < world->count; i++)
        assert_int_equal(world->found[i], i % TOPICS < MAPPED);
    close_world(world);
    remove_world(world);
    wz_free(world);
}

static void test_reentry_keeps_to_the_devices_that_are_wished(void **state)
{
    struct world *world = wz_alloc(sizeof(*world));

    (void)state;
    make_world(world);
    keep_all(world, 60);
    assert_int_equal(wish(world, "{\"forget\":[\"d0/v\"]}"), WZ_OK);
    assert_int_equal(wish(world, "{\"devices\":[\"d1\",\"d0\",\"d5\"]}"), WZ_OK);
    run_to_end(world);
    look(world);
    for (int i = 0; i < world->count; i++)
        assert_int_equal(world->found[i], i % TOPICS == 1);
    assert_int_equal(wz_reentry_take_counts(world->reentry).forgotten, 10);
    close_world(world);
    remove_world(world);
    wz_free(world);
}

static void test_reentry_answers_who_waits_when_it_stops(void **state)
{
    struct world *world = wz_alloc(sizeof(*world));
    char *text = wz_zalloc(WZ_REENTRY_WISH_BYTES + 100, 1);

    (void)state;
    make_world(world);
    keep_all(world, 10);
    memcpy(text, "{\"devices\":[\"", 13);
    memset(text + 13, 'x', WZ_REENTRY_WISH_BYTES);
    memcpy(text + 13 + WZ_REENTRY_WISH_BYTES, "\"]}", 4);
    assert_int_equal(wish(world, text), WZ_ERR_TOO_LARGE);
    world->busy = 1000000; // the first run does not come to an end
    for (int i = 0; i < 64; i++)
        assert_int_equal(wish(world, "{}"), WZ_OK);
    assert_int_equal(wish(world, "{}"), WZ_ERR_BUSY);
    close_world(world);
    assert_int_equal(world->began + world->closed, 64);
    remove_world(world);
    wz_free(text);
    wz_free(world);
}

// Crashes at any point, against a naive model: each message is on raw-stream at most once always,
// and once in the end if it is mapped and still kept.

static int below(struct world *world, int limit)
{
    return (int)(next_random(&world->seed) % (uint64_t)limit);
}

static void assert_none_twice(struct world *world)
{
    look(world);
    for (int i = 0; i < world->count; i++)
        if (world->found[i] > 1)
            fail_msg("message %d is there %d times", i, world->found[i]);
}

static void run_trial(struct world *world, uint64_t seed)
{
    make_world(world);
    world->seed = seed;
    for (int i = 0; i < STEPS; i++) {
        int what = below(world, 100);

        if (what < 25)
            for (int n = below(world, 100); n > 0 && world->count < MESSAGES_MAX; n--)
                keep(world);
        else if (what < 75)
            (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
        else if (what < 80)
            world->busy = below(world, 5);
        else if (what < 90)
            wz_ignore(wish(world, below(world, 2) > 0 ? "{}" : "{\"devices\":[\"d0\",\"d2\"]}"));
        else if (what < 92)
            map_devices(world);
        else if (what < 95)
            world->held = !world->held;
        else
            crash(world);
    }
    crash(world);
    assert_none_twice(world);
    keep_all(world, 1); // all that is left of the others is durable too
    assert_int_equal(wish(world, "{}"), WZ_OK);
    run_to_end(world);
    assert_none_twice(world);
}

// Numbers that are on the stream of unmapped messages.
static void assert_none_missing(struct world *world)
{
    struct wz_reader_options options = {.position = 0};
    struct wz_reader *reader;
    struct wz_record record;
    char text[16];

    assert_int_equal(wz_reader_open(world->unmapped, &options, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK) {
        int number;

        (void)snprintf(text, sizeof(text), "%.*s", WZ_SLICE_FMT(record.value));
        number = (int)strtol(text, NULL, 10);
        if (number % TOPICS < MAPPED && world->found[number] != 1)
            fail_msg("message %d is missing", number);
    }
    wz_reader_close(reader);
}

static void test_reentry_gives_each_once_through_crashes(void **state)
{
    const char *given = getenv("WZ_SEED");
    uint64_t first = given != NULL ? strtoull(given, NULL, 0) : wz_rand_u64();
    struct world *world = wz_alloc(sizeof(*world));

    (void)state;
    for (uint64_t i = 0; i < (given != NULL ? 1 : TRIALS); i++) {
        print_message("WZ_SEED=%llu\n", (unsigned long long)(first + i));
        run_trial(world, first + i);
        assert_none_missing(world);
        close_world(world);
        remove_world(world);
    }
    wz_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reentry_gives_all_that_is_mapped_once),
        cmocka_unit_test(test_reentry_keeps_to_the_devices_that_are_wished),
        cmocka_unit_test(test_reentry_answers_who_waits_when_it_stops),
        cmocka_unit_test(test_reentry_gives_each_once_through_crashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
