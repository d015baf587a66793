// SPDX-License-Identifier: Apache-2.0
// Owns a bus and streams in memory: the functions of bus.h and stream/ that the engine uses are
// defined here.
#include "engine/rig_test.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "stream/reader.h"
#include "topic/pattern.h"

#define WITHIN_US (30 * 1000000LL)
#define RECORDS_MAX 200000

struct wz_reader {
    struct wz_log *log;
    int64_t position;
};

int64_t wz_log_next_offset(const struct wz_log *log) { return log->count; }

int wz_reader_open(struct wz_log *log, const struct wz_reader_options *options,
                   struct wz_reader **ret_reader)
{
    *ret_reader = wz_zalloc(1, sizeof(**ret_reader));
    (*ret_reader)->log = log;
    (*ret_reader)->position = options->position;
    return WZ_OK;
}

void wz_reader_close(struct wz_reader *reader) { wz_free(reader); }

int wz_reader_next(struct wz_reader *reader, struct wz_record *ret_record)
{
    struct wz_log *log = reader->log;
    int r = WZ_END;

    pthread_mutex_lock(&log->lock);
    if (reader->position < log->readable) {
        *ret_record = (struct wz_record){
            .offset = reader->position,
            .append_ms = 1000 + reader->position,
            .key = wz_slice_str(log->topics[reader->position]),
            .value = wz_slice_str(log->bodies[reader->position]),
        };
        reader->position++;
        log->read_count++;
        r = WZ_OK;
    }
    pthread_mutex_unlock(&log->lock);
    return r;
}

int64_t wz_reader_position(const struct wz_reader *reader) { return reader->position; }

int wz_bus_bind(struct wz_bus *bus, enum wz_bus_exchange id, struct wz_slice pattern,
                wz_bus_consume_fn consume, wz_bus_forget_fn forget, void *arg,
                struct wz_binding **ret_binding)
{
    (void)forget;
    for (int i = 0; i < RIG_BINDINGS_MAX; i++) {
        struct wz_binding *binding = &bus->bindings[i];

        if (binding->used)
            continue;
        *binding =
            (struct wz_binding){.used = true, .exchange = id, .consume = consume, .arg = arg};
        (void)snprintf(binding->pattern, sizeof(binding->pattern), "%.*s", WZ_SLICE_FMT(pattern));
        *ret_binding = binding;
        return WZ_OK;
    }
    return WZ_ERR_LIMIT;
}

void wz_bus_unbind(struct wz_bus *bus, struct wz_binding *binding)
{
    (void)bus;
    binding->used = false;
}

int wz_bus_publish(struct wz_bus *bus, enum wz_bus_exchange id, const struct wz_message *msg,
                   struct wz_ticket *ret_ticket)
{
    struct rig_output *output;

    (void)ret_ticket;
    assert_int_equal(id, WZ_BUS_EGRESS);
    if (bus->busy_every > 0 && --bus->busy_left <= 0) {
        bus->busy_left = bus->busy_every;
        return WZ_ERR_BUSY;
    }
    if ((bus->output_count & (bus->output_count - 1)) == 0) // full at each power of two
        bus->outputs = wz_realloc(bus->outputs, (2 * bus->output_count + 1) * sizeof(*output));
    output = &bus->outputs[bus->output_count++];
    output->topic = wz_strndup(msg->topic.ptr, msg->topic.len);
    output->body = wz_strndup(msg->body.ptr, msg->body.len);
    output->parent = wz_strndup(msg->parent.ptr, msg->parent.len);
    output->hops = msg->hops;
    return WZ_OK;
}

void wz_bus_on_ready(struct wz_bus *bus, struct wz_bus_waiter *waiter)
{
    waiter->waiting = true;
    bus->waiter = waiter;
}

static void on_tick(uv_timer_t *timer)
{
    struct rig *rig = timer->data;
    struct wz_bus_waiter *waiter = rig->bus.waiter;

    pthread_mutex_lock(&rig->logs[0].lock);
    rig->logs[0].readable = rig->logs[0].count;
    pthread_mutex_unlock(&rig->logs[0].lock);
    if (!waiter)
        return;
    rig->bus.waiter = NULL;
    waiter->waiting = false;
    waiter->ready(waiter->arg);
}

static void open_log(struct wz_log *log)
{
    pthread_mutex_init(&log->lock, NULL);
    log->topics = wz_zalloc(RECORDS_MAX, sizeof(*log->topics));
    log->bodies = wz_zalloc(RECORDS_MAX, sizeof(*log->bodies));
}

int rig_setup(void **state)
{
    struct rig *rig = wz_zalloc(1, sizeof(*rig));

    wz_log_set_level(WZ_LOG_ERROR);
    assert_int_equal(wz_loop_init(&rig->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&rig->loop.uv, &rig->tick), 0);
    rig->tick.data = rig;
    assert_int_equal(uv_timer_start(&rig->tick, on_tick, 2, 2), 0);
    open_log(&rig->logs[0]);
    open_log(&rig->logs[1]);
    rig->board = wz_board_new();
    *state = rig;
    return 0;
}

static void on_stopped(void *arg) { ((struct rig *)arg)->stopped = true; }

void rig_stop(struct rig *rig)
{
    if (!rig->engine)
        return;
    rig->stopped = false;
    wz_engine_stop(rig->engine, on_stopped, rig);
    while (!rig->stopped)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    wz_engine_free(rig->engine);
    rig->engine = NULL;
}

int rig_teardown(void **state)
{
    struct rig *rig = *state;

    rig_stop(rig);
    while (rig->bus.waiter) // the bus calls when the engine is gone, too
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&rig->tick, NULL);
    wz_loop_stop(&rig->loop);
    wz_loop_run(&rig->loop);
    wz_loop_release(&rig->loop);
    for (size_t i = 0; i < rig->bus.output_count; i++) {
        wz_free(rig->bus.outputs[i].topic);
        wz_free(rig->bus.outputs[i].body);
        wz_free(rig->bus.outputs[i].parent);
    }
    wz_free(rig->bus.outputs);
    for (int i = 0; i < 2; i++) {
        wz_free(rig->logs[i].topics);
        wz_free(rig->logs[i].bodies);
    }
    wz_board_free(rig->board);
    wz_free(rig);
    return 0;
}

void rig_start(struct rig *rig, struct wz_engine_options options)
{
    options.loop = &rig->loop;
    options.bus = &rig->bus;
    options.board = rig->board;
    options.raw = &rig->logs[0];
    options.processed = &rig->logs[1];
    if (!options.worker_path)
        options.worker_path = WZ_WORKER_PATH;
    rig->engine = wz_engine_new(&options);
}

// Takes over BODY; NULL: no script.
static void apply(struct rig *rig, json_t *body)
{
    struct wz_document document = {
        .name = (char *)"probe", .revision = ++rig->revision, .body = body};

    wz_engine_apply(rig->engine, &document, body ? 1 : 0);
    json_decref(body);
}

static json_t *make_body(const char *code)
{
    return json_pack("{s:s, s:[{s:s, s:s}, {s:s}]}", "code", code, "bindings", "stream", "raw",
                     "pattern", "in.#", "pattern", "in.b");
}

void rig_apply(struct rig *rig, const char *code) { apply(rig, code ? make_body(code) : NULL); }

void rig_apply_writing(struct rig *rig, const char *code, const char *folder)
{
    json_t *body = make_body(code);

    json_object_set_new(body, "grants", json_pack("{s:[s]}", "write", folder));
    apply(rig, body);
}

void rig_run_until(struct rig *rig, bool (*done)(struct rig *rig, int64_t num), int64_t num)
{
    int64_t end_us = wz_clock_mono_us() + WITHIN_US;

    while (!done(rig, num)) {
        if (wz_clock_mono_us() > end_us) {
            json_t *state = wz_board_section(rig->board, WZ_ENGINE_BOARD);
            char *text = json_dumps(state, 0);

            print_error("outputs %zu, board %s\n", rig->bus.output_count, text);
            fail_msg("not within %lld s", WITHIN_US / 1000000);
        }
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    }
}

int64_t rig_board_int(struct rig *rig, const char *member)
{
    json_t *state = wz_board_get(rig->board, WZ_ENGINE_BOARD, "probe");
    int64_t num = json_integer_value(json_object_get(state, member));

    json_decref(state);
    return num;
}

bool rig_board_is(struct rig *rig, const char *member, const char *text)
{
    json_t *state = wz_board_get(rig->board, WZ_ENGINE_BOARD, "probe");
    const char *value = json_string_value(json_object_get(state, member));
    bool is = value && strstr(value, text);

    json_decref(state);
    return is;
}

bool rig_is_running(struct rig *rig, int64_t num)
{
    return rig_board_is(rig, "status", "running") && rig_board_int(rig, "revision") >= num;
}

bool rig_is_invalid(struct rig *rig, int64_t num)
{
    (void)num;
    return rig_board_is(rig, "status", "invalid");
}

bool rig_has_outputs(struct rig *rig, int64_t num) { return rig->bus.output_count >= (size_t)num; }

bool rig_has_answered(struct rig *rig, int64_t num)
{
    return rig_board_int(rig, "in") + rig_board_int(rig, "skipped") >= num;
}

bool rig_has_lag(struct rig *rig, int64_t num) { return rig_board_int(rig, "lag") == num; }

bool rig_has_restarted(struct rig *rig, int64_t num)
{
    return rig_board_int(rig, "restarts") >= num && rig_board_is(rig, "status", "running");
}

// Appends records of a body {"_id", "n": offset} to raw-stream and shows them on the exchange.
void rig_feed_hops(struct rig *rig, const char *topic, int64_t count, uint8_t hops)
{
    struct wz_log *log = &rig->logs[0];

    for (int64_t i = 0; i < count; i++) {
        int64_t offset = log->count;
        struct wz_message msg = {.offset = offset, .append_ms = 1000 + offset, .hops = hops};

        assert_true(offset < RECORDS_MAX);
        pthread_mutex_lock(&log->lock);
        (void)snprintf(log->topics[offset], sizeof(log->topics[0]), "%s", topic);
        (void)snprintf(log->bodies[offset], sizeof(log->bodies[0]),
                       "{\"_id\":\"019c1c38-a47b-7cc3-98a2-%012lld\",\"n\":%lld}",
                       (long long)offset, (long long)offset);
        log->count++;
        if (!log->slow)
            log->readable = log->count;
        pthread_mutex_unlock(&log->lock);
        msg.topic = wz_slice_str(log->topics[offset]);
        msg.body = wz_slice_str(log->bodies[offset]);
        for (int b = 0; b < RIG_BINDINGS_MAX; b++) {
            struct wz_binding *binding = &rig->bus.bindings[b];

            if (binding->used && binding->exchange == WZ_BUS_RAW &&
                wz_pattern_match(&wz_topic_amqp, wz_slice_str(binding->pattern), msg.topic))
                assert_int_equal(binding->consume(binding->arg, &msg, NULL, NULL), WZ_OK);
        }
    }
}

void rig_feed(struct rig *rig, const char *topic, int64_t count)
{
    rig_feed_hops(rig, topic, count, 0);
}

// The outputs are the numbers from FIRST on, all but MISSING, each once and in order.
void rig_assert_numbers(struct rig *rig, int64_t first, int64_t count, int64_t missing)
{
    int64_t expected = first;

    assert_int_equal(rig->bus.output_count, count);
    for (size_t i = 0; i < rig->bus.output_count; i++) {
        char id[48];

        if (expected == missing)
            expected++;
        (void)snprintf(id, sizeof(id), "019c1c38-a47b-7cc3-98a2-%012lld", (long long)expected);
        assert_int_equal(strtoll(rig->bus.outputs[i].body, NULL, 10), expected);
        assert_string_equal(rig->bus.outputs[i].parent, id);
        expected++;
    }
}
