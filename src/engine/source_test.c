// SPDX-License-Identifier: Apache-2.0
// A source on a log on disk; the bus is this file's.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/patience_test.h"
#include "engine/input_queue.h"
#include "engine/lane.h"
#include "engine/source.h"
#include "loop/loop.h"
#include "topic/pattern.h"

#define WINDOW_BYTES 8192

struct wz_binding {
    bool used;
    char pattern[64];
    wz_bus_consume_fn consume;
    void *arg;
};

struct wz_bus {
    struct wz_binding bindings[4];
    bool refuse;
};

int wz_bus_bind(struct wz_bus *bus, enum wz_bus_exchange id, struct wz_slice pattern,
                wz_bus_consume_fn consume, wz_bus_forget_fn forget, void *arg,
                struct wz_binding **ret_binding)
{
    struct wz_binding *binding = bus->bindings;

    (void)forget;
    assert_int_equal(id, WZ_BUS_PROCESSED);
    if (bus->refuse)
        return WZ_ERR_LIMIT;
    while (binding->used)
        binding++;
    *binding = (struct wz_binding){.used = true, .consume = consume, .arg = arg};
    (void)snprintf(binding->pattern, sizeof(binding->pattern), "%.*s", WZ_SLICE_FMT(pattern));
    *ret_binding = binding;
    return WZ_OK;
}

void wz_bus_unbind(struct wz_bus *bus, struct wz_binding *binding)
{
    (void)bus;
    binding->used = false;
}

// A log, a source on it, and what is expected of it.
struct rig {
    struct wz_loop loop;
    struct wz_bus bus;
    struct wz_feeds *feeds;
    struct wz_log *log;
    struct wz_source *source;
    char dir[64];
    bool closed;
    uv_timer_t tick;
    struct wz_input_queue queue; // what it has given
    int64_t gap_count;
    int64_t appended; // of topic "a.n"
    int64_t taken;
    unsigned seed;
    unsigned turns;
};

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    (void)arg;
    (void)durable_end;
    (void)state_err;
}

static void on_filled(void *arg) { (void)arg; }

static size_t on_run(void *arg, const struct wz_block_run *run)
{
    wz_input_queue_push_run(&((struct rig *)arg)->queue, run);
    return wz_block_run_bytes(run).len;
}

static void on_gap(void *arg, enum wz_script_stream stream, int64_t count)
{
    assert_int_equal(stream, WZ_SCRIPT_PROCESSED);
    ((struct rig *)arg)->gap_count += count;
}

static void on_closed(void *arg) { ((struct rig *)arg)->closed = true; }

static void on_tick(uv_timer_t *timer) { (void)timer; }

static int setup(void **state)
{
    struct rig *rig = wz_zalloc(1, sizeof(*rig));
    struct wz_log_recovery recovery;
    struct wz_log_options options = {.on_durable = on_durable, .arg = rig};

    rig->seed = 4711;
    assert_int_equal(wz_loop_init(&rig->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&rig->loop.uv, &rig->tick), 0);
    assert_int_equal(uv_timer_start(&rig->tick, on_tick, 1, 1), 0);
    (void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/wyze-source-test-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    options.loop_mail = &rig->loop.mail;
    options.durability = WZ_DURABILITY_OS;
    options.segment_bytes = 256 * 1024;
    assert_int_equal(wz_log_open(rig->dir, &options, &rig->log, &recovery, NULL), WZ_OK);
    wz_log_set_time(rig->log, 1770000000000);
    rig->feeds = wz_feeds_new(&rig->bus, on_filled, rig);
    rig->source = wz_source_new(&(struct wz_source_options){
        .uv = &rig->loop.uv,
        .feeds = rig->feeds,
        .log = rig->log,
        .stream = WZ_SCRIPT_PROCESSED,
        .window_bytes = WINDOW_BYTES,
        .run = on_run,
        .run_arg = rig,
        .filled = on_filled,
        .gap = on_gap,
        .closed = on_closed,
        .arg = rig,
    });
    *state = rig;
    return 0;
}

static int remove_file(const char *name, void *arg)
{
    struct rig *rig = arg;
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
    return wz_fs_remove(path);
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    wz_source_close(rig->source);
    while (!rig->closed)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    wz_feeds_free(rig->feeds);
    assert_int_equal(wz_log_close(rig->log), WZ_OK);
    uv_close((uv_handle_t *)&rig->tick, NULL);
    wz_loop_stop(&rig->loop);
    wz_loop_run(&rig->loop);
    wz_loop_release(&rig->loop);
    wz_input_queue_release(&rig->queue);
    assert_int_equal(wz_fs_walk(rig->dir, remove_file, rig), WZ_OK);
    assert_int_equal(rmdir(rig->dir), 0);
    wz_free(rig);
    return 0;
}

// Appends a record with a header "hops" and shows it on the exchange.
static void append(struct rig *rig, const char *topic, int64_t num)
{
    char body[64];
    uint8_t header[32];
    struct wz_pen pen = wz_pen(header, sizeof(header));
    struct wz_record_parts parts = {.key = wz_slice_str(topic), .value_count = 1};
    struct wz_message msg = {.topic = wz_slice_str(topic), .hops = 12, .append_ms = 1770000000000};

    (void)snprintf(body, sizeof(body), "{\"n\":%lld}", (long long)num);
    wz_record_header_put(&pen, WZ_SLICE_LIT("hops"), WZ_SLICE_LIT("12"));
    parts.value[0] = wz_slice_str(body);
    parts.headers[0] = wz_slice(header, (size_t)(pen.pos - header));
    parts.header_pieces = 1;
    parts.header_count = 1;
    while (wz_log_append(rig->log, &parts, &msg.offset) == WZ_ERR_BUSY)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    msg.body = parts.value[0];
    for (size_t i = 0; i < 4; i++) {
        struct wz_binding *binding = &rig->bus.bindings[i];

        if (binding->used &&
            wz_pattern_match(&wz_topic_amqp, wz_slice_str(binding->pattern), msg.topic))
            assert_int_equal(binding->consume(binding->arg, &msg, NULL, NULL), WZ_OK);
    }
}

// As many of the topic wanted, with others in between.
static void append_some(struct rig *rig, int count)
{
    for (int i = 0; i < count; i++) {
        if (rand_r(&rig->seed) % 3 == 0)
            append(rig, "b.other", -1);
        append(rig, "a.n", rig->appended++);
    }
    if (++rig->turns % 4 > 0) // else within the turn
        wz_feeds_flush(rig->feeds);
    wz_log_flush(rig->log);
}

static void bind_to(struct rig *rig, const char *first, const char *second)
{
    const struct wz_slice patterns[] = {wz_slice_str(first), wz_slice_str(second ? second : "")};

    assert_int_equal(wz_source_bind(rig->source, patterns, second ? 2 : 1), WZ_OK);
}

// Answers up to COUNT records: each must be the one that is due.
static void take(struct rig *rig, int count)
{
    struct wz_input_queue *queue = &rig->queue;
    struct wz_frame_record record;
    char body[64];

    for (; count > 0 && wz_input_queue_first(queue, &record); count--) {
        (void)snprintf(body, sizeof(body), "{\"n\":%lld}", (long long)rig->taken++);
        assert_true(wz_slice_eq(record.body, wz_slice_str(body)));
        assert_true(wz_slice_eq(record.topic, WZ_SLICE_LIT("a.n")));
        assert_int_equal(record.hops, 12);
        assert_int_equal(record.stream, WZ_SCRIPT_PROCESSED);
        assert_int_equal(record.append_ms, 1770000000000);
        assert_int_equal(record.lane, wz_lane_of(record.topic));
        wz_input_queue_shift(queue);
        wz_source_answered(rig->source, wz_frame_record_len(&record));
        assert_in_range(wz_input_queue_bytes(queue), 0, 5 * WINDOW_BYTES / 2);
    }
    wz_source_refill(rig->source);
}

static void take_all(struct rig *rig)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();

    while (rig->taken < rig->appended) {
        assert_true(wz_clock_mono_us() < end_us);
        take(rig, 1000);
        wz_feeds_flush(rig->feeds); // as at the end of each turn
        wz_log_flush(rig->log);
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    }
    while (!wz_source_idle(rig->source)) {
        assert_true(wz_clock_mono_us() < end_us);
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    }
    assert_int_equal(wz_source_end(rig->source), wz_log_next_offset(rig->log));
    assert_int_equal(rig->queue.count, 0);
}

static void test_source_starts_at_the_end_of_the_stream(void **state)
{
    struct rig *rig = *state;

    append_some(rig, 10);
    rig->taken = rig->appended;
    wz_source_seek(rig->source, wz_log_next_offset(rig->log));
    bind_to(rig, "a.#", NULL);
    append_some(rig, 10);
    take_all(rig);
    assert_false(wz_source_behind(rig->source));
}

static void test_source_gives_a_record_of_two_patterns_once(void **state)
{
    struct rig *rig = *state;

    bind_to(rig, "a.#", "*.n");
    append_some(rig, 1000);
    assert_true(wz_source_behind(rig->source)); // and read with both patterns
    take_all(rig);
    append_some(rig, 10);
    take_all(rig);
}

static void test_source_skips_and_doubles_nothing_between_live_and_behind(void **state)
{
    struct rig *rig = *state;
    int turns_behind = 0;

    bind_to(rig, "a.*", NULL);
    for (int turn = 0; turn < 3000; turn++) {
        int dice = rand_r(&rig->seed) % 100;

        append_some(rig, dice < 5 ? 400 : dice % 10);
        take(rig, rand_r(&rig->seed) % 60);
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
        turns_behind += wz_source_behind(rig->source);
    }
    assert_in_range(turns_behind, 100, 2999);
    take_all(rig);
    append_some(rig, 5);
    assert_false(wz_source_behind(rig->source));
    take_all(rig);
}

// What was given and not answered comes again: the position is the first of that.
static void forget(struct rig *rig)
{
    struct wz_frame_record first;
    int64_t offset = wz_source_end(rig->source);

    if (wz_input_queue_first(&rig->queue, &first))
        offset = first.offset;
    wz_input_queue_clear(&rig->queue);
    wz_source_seek(rig->source, offset);
}

static void test_source_goes_on_from_its_position_when_bound_again(void **state)
{
    struct rig *rig = *state;

    bind_to(rig, "a.n", NULL);
    for (int round = 0; round < 30; round++) {
        append_some(rig, rand_r(&rig->seed) % 500);
        take(rig, rand_r(&rig->seed) % 300);
        if (round % 2 == 0)
            uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
        wz_source_unbind(rig->source); // sometimes with a read under way
        forget(rig);
        append_some(rig, rand_r(&rig->seed) % 50);
        bind_to(rig, round % 3 == 0 ? "#.n" : "a.n", round % 5 == 0 ? "a.*" : NULL);
    }
    take_all(rig);
}

// What has come and was not given yet is not behind its end.
static void test_source_is_not_idle_while_records_wait_in_its_feed(void **state)
{
    struct rig *rig = *state;

    bind_to(rig, "a.n", NULL);
    assert_true(wz_source_idle(rig->source));
    append(rig, "a.n", rig->appended++);
    assert_false(wz_source_idle(rig->source));
    take_all(rig);
}

static void test_source_that_the_bus_refuses_takes_nothing(void **state)
{
    struct rig *rig = *state;
    const struct wz_slice pattern = WZ_SLICE_LIT("a.n");

    rig->bus.refuse = true;
    assert_int_equal(wz_source_bind(rig->source, &pattern, 1), WZ_ERR_LIMIT);
    rig->bus.refuse = false;
    append_some(rig, 3);
    assert_int_equal(rig->queue.count, 0);
    bind_to(rig, "a.n", NULL); // from where it would have begun
    take_all(rig);
}

static void test_source_counts_what_was_trimmed_before_it_was_read(void **state)
{
    struct rig *rig = *state;
    struct wz_log_info info;
    int64_t end_us = wz_clock_mono_us() + patience_us();
    int64_t first;

    append_some(rig, 20000);
    wz_source_seek(rig->source, 5);
    while (wz_log_durable_end(rig->log) < wz_log_next_offset(rig->log)) {
        wz_log_flush(rig->log);
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    }
    do { // whole segments go, some time
        wz_log_trim(rig->log, wz_log_next_offset(rig->log));
        wz_log_flush(rig->log);
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
        wz_log_info(rig->log, &info);
        assert_true(wz_clock_mono_us() < end_us);
    } while (info.segment_count > 1 || info.first_offset == 0);
    first = info.first_offset;
    bind_to(rig, "a.n", NULL);
    while (rig->queue.count == 0) {
        assert_true(wz_clock_mono_us() < end_us);
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    }
    assert_int_equal(rig->gap_count, first - 5);
    {
        struct wz_frame_record record;
        char text[64];

        assert_true(wz_input_queue_first(&rig->queue, &record));
        assert_in_range(record.offset, first, first + 100);
        (void)snprintf(text, sizeof(text), "%.*s", WZ_SLICE_FMT(record.body));
        rig->taken = strtoll(text + 5, NULL, 10);
    }
    take_all(rig); // all the rest, without a further gap
    assert_int_equal(rig->gap_count, first - 5);
}

// Waits until all is written, and then until all segments but the last one are gone.
static void trim_all(struct rig *rig)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();
    struct wz_log_info info;

    do {
        assert_true(wz_clock_mono_us() < end_us);
        wz_log_flush(rig->log);
        if (wz_log_durable_end(rig->log) == wz_log_next_offset(rig->log))
            wz_log_trim(rig->log, wz_log_next_offset(rig->log));
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
        wz_log_info(rig->log, &info);
    } while (wz_log_durable_end(rig->log) < wz_log_next_offset(rig->log) || info.segment_count > 1);
}

// A source in the middle of a segment that goes, with one reader for all it reads: what it misses
// is what it counts, once.
static void test_source_counts_each_gap_once_while_the_stream_is_trimmed(void **state)
{
    struct rig *rig = *state;
    struct wz_frame_record record;
    int64_t end_us = wz_clock_mono_us() + patience_us();
    int64_t last = -1;
    int64_t missed = 0;

    bind_to(rig, "a.n", NULL);
    for (int turn = 0; turn < 2000 || last < wz_log_next_offset(rig->log) - 1; turn++) {
        assert_true(wz_clock_mono_us() < end_us);
        if (turn % 500 == 100) {
            for (int i = 0; i < 20000; i++)
                append(rig, "a.n", rig->appended++);
            wz_feeds_flush(rig->feeds);
            trim_all(rig);
        }
        for (int i = 0; i < 60 && wz_input_queue_first(&rig->queue, &record); i++) {
            assert_true(record.offset > last);
            missed += record.offset - last - 1;
            last = record.offset;
            wz_input_queue_shift(&rig->queue);
            wz_source_answered(rig->source, wz_frame_record_len(&record));
        }
        wz_source_refill(rig->source);
        uv_run(&rig->loop.uv, turn < 2000 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    }
    assert_in_range(missed, 10000, 100000);
    assert_in_range(rig->gap_count, missed / 2, missed);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_source_starts_at_the_end_of_the_stream),
        TEST(test_source_gives_a_record_of_two_patterns_once),
        TEST(test_source_skips_and_doubles_nothing_between_live_and_behind),
        TEST(test_source_goes_on_from_its_position_when_bound_again),
        TEST(test_source_is_not_idle_while_records_wait_in_its_feed),
        TEST(test_source_that_the_bus_refuses_takes_nothing),
        TEST(test_source_counts_what_was_trimmed_before_it_was_read),
        TEST(test_source_counts_each_gap_once_while_the_stream_is_trimmed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
