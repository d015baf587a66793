// SPDX-License-Identifier: Apache-2.0
// Runs real workers against a bus and streams in memory: the functions of bus.h and stream/ that
// the engine uses are defined here.
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "stream/reader.h"
#include "topic/pattern.h"

#define WITHIN_US (30 * 1000000LL)
#define RECORDS_MAX 200000
#define BINDINGS_MAX 16

struct wz_log {
    pthread_mutex_t lock;
    int64_t count;    // appended
    int64_t readable; // of those, written and so to be read
    bool slow;        // they become readable only now and then
    int64_t read_count;
    char (*topics)[32];
    char (*bodies)[160];
};

struct wz_reader {
    struct wz_log *log;
    int64_t position;
};

struct wz_binding {
    bool used;
    enum wz_bus_exchange exchange;
    char pattern[64];
    wz_bus_consume_fn consume;
    void *arg;
};

struct output {
    char *topic;
    char *body;
    char *parent;
    uint8_t hops;
};

struct wz_bus {
    struct wz_binding bindings[BINDINGS_MAX];
    struct output *outputs;
    size_t output_count;
    int64_t busy_every; // each so many outputs the bus is busy once; 0: never
    int64_t busy_left;
    struct wz_bus_waiter *waiter;
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
    for (int i = 0; i < BINDINGS_MAX; i++) {
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
    struct output *output;

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

// Everything a test needs.
struct rig {
    struct wz_loop loop;
    uv_timer_t tick;
    struct wz_bus bus;
    struct wz_log logs[2];
    struct wz_board *board;
    struct wz_engine *engine;
    bool stopped;
    int64_t revision;
};

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

static int setup(void **state)
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

static void stop_engine(struct rig *rig)
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

static int teardown(void **state)
{
    struct rig *rig = *state;

    stop_engine(rig);
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

static void start_engine(struct rig *rig, struct wz_engine_options options)
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

// Makes CODE, bound to raw by "in.#", the only script; NULL: no script.
static void apply(struct rig *rig, const char *code)
{
    struct wz_document document = {.name = (char *)"probe", .revision = ++rig->revision};

    if (code)
        document.body = json_pack("{s:s, s:[{s:s, s:s}, {s:s}]}", "code", code, "bindings",
                                  "stream", "raw", "pattern", "in.#", "pattern", "in.b");
    wz_engine_apply(rig->engine, &document, code ? 1 : 0);
    json_decref(document.body);
}

static void run_until(struct rig *rig, bool (*done)(struct rig *rig, int64_t num), int64_t num)
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

static int64_t board_int(struct rig *rig, const char *member)
{
    json_t *state = wz_board_get(rig->board, WZ_ENGINE_BOARD, "probe");
    int64_t num = json_integer_value(json_object_get(state, member));

    json_decref(state);
    return num;
}

static bool board_is(struct rig *rig, const char *member, const char *text)
{
    json_t *state = wz_board_get(rig->board, WZ_ENGINE_BOARD, "probe");
    const char *value = json_string_value(json_object_get(state, member));
    bool is = value && strstr(value, text);

    json_decref(state);
    return is;
}

static bool is_running(struct rig *rig, int64_t num)
{
    return board_is(rig, "status", "running") && board_int(rig, "revision") >= num;
}

static bool is_invalid(struct rig *rig, int64_t num)
{
    (void)num;
    return board_is(rig, "status", "invalid");
}

static bool has_outputs(struct rig *rig, int64_t num)
{
    return rig->bus.output_count >= (size_t)num;
}

static bool has_answered(struct rig *rig, int64_t num)
{
    return board_int(rig, "in") + board_int(rig, "skipped") >= num;
}

static bool has_lag(struct rig *rig, int64_t num) { return board_int(rig, "lag") == num; }

static bool has_restarted(struct rig *rig, int64_t num)
{
    return board_int(rig, "restarts") >= num && board_is(rig, "status", "running");
}

// Appends records of a body {"_id", "n": offset} to raw-stream and shows them on the exchange.
static void feed_hops(struct rig *rig, const char *topic, int64_t count, uint8_t hops)
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
        for (int b = 0; b < BINDINGS_MAX; b++) {
            struct wz_binding *binding = &rig->bus.bindings[b];

            if (binding->used && binding->exchange == WZ_BUS_RAW &&
                wz_pattern_match(&wz_topic_amqp, wz_slice_str(binding->pattern), msg.topic))
                assert_int_equal(binding->consume(binding->arg, &msg, NULL, NULL), WZ_OK);
        }
    }
}

static void feed(struct rig *rig, const char *topic, int64_t count)
{
    feed_hops(rig, topic, count, 0);
}

// The outputs are the numbers from FIRST on, all but MISSING, each once and in order.
static void assert_numbers(struct rig *rig, int64_t first, int64_t count, int64_t missing)
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

#define ECHO_CODE "def handle_input(msg, context):\n    context.emit('out', msg['n'])\n"

static void test_engine_gives_each_record_once_and_publishes_its_outputs(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    feed(rig, "in.a", 5); // before the script was there
    apply(rig, ECHO_CODE);
    feed(rig, "in.b", 5); // matches two bindings; the worker is not there yet
    run_until(rig, is_running, 0);
    feed_hops(rig, "in.a", 995, 3);
    feed(rig, "other", 1);
    run_until(rig, has_answered, 1000);
    assert_numbers(rig, 5, 1000, -1);
    assert_string_equal(rig->bus.outputs[0].topic, "out");
    assert_int_equal(rig->bus.outputs[0].hops, 1);
    assert_int_equal(rig->bus.outputs[999].hops, 4);
    assert_int_equal(board_int(rig, "lag"), 0);
}

static void test_engine_shows_an_invalid_script_and_runs_its_mend(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, "x = 1\ndef handle_input(msg context): pass\n");
    run_until(rig, is_invalid, 0);
    assert_true(board_is(rig, "remark", "SyntaxError"));
    assert_true(board_is(rig, "traceback", "^"));
    assert_int_equal(board_int(rig, "line"), 2);
    feed(rig, "in.a", 10);
    apply(rig, ECHO_CODE);
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 10);
    run_until(rig, has_answered, 10);
    assert_numbers(rig, 10, 10, -1);
}

static void test_engine_ends_a_top_level_that_never_returns(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){.load_ms = 300});
    apply(rig, "while True: pass\n");
    run_until(rig, is_invalid, 0);
    assert_true(board_is(rig, "remark", "the top level did not return within 300 ms"));
}

static void test_engine_flags_a_script_whose_process_ends_while_it_is_loaded(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, "import os\nos._exit(3)\n");
    run_until(rig, is_invalid, 0);
    assert_true(board_is(rig, "remark", "exited with code 3 while it was loaded"));
}

static void test_engine_skips_the_record_at_which_workers_die(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, "import os\n"
               "def handle_input(msg, context):\n"
               "    context.emit('out', msg['n'])\n"
               "    if msg['n'] == 50: os._exit(1)\n");
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 100);
    run_until(rig, has_answered, 100);
    assert_numbers(rig, 0, 99, 50);
    assert_int_equal(board_int(rig, "skipped"), 1);
    assert_in_range(board_int(rig, "restarts"), 3, 4);
}

static void test_engine_loses_and_doubles_nothing_when_a_worker_dies_once(void **state)
{
    struct rig *rig = *state;
    char flag[] = "/tmp/wyze-engine-test-XXXXXX";
    WZ_AUTO(wz_buf_release) struct wz_buf code = {0};

    assert_non_null(mkdtemp(flag));
    wz_buf_addf(&code,
                "import os, signal\n"
                "def handle_input(msg, context):\n"
                "    context.emit('out', msg['n'])\n"
                "    if msg['n'] %% 700 == 699 and not os.path.exists(f'%s/{msg[\"n\"]}'):\n"
                "        open(f'%s/{msg[\"n\"]}', 'w').close()\n"
                "        os.kill(os.getpid(), signal.SIGSEGV)\n",
                flag, flag);
    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, wz_buf_str(&code));
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 2000);
    run_until(rig, has_outputs, 1000);
    feed(rig, "in.a", 1000);
    run_until(rig, has_answered, 3000);
    assert_numbers(rig, 0, 3000, -1);
    assert_int_equal(board_int(rig, "restarts"), 4);
    for (int n = 699; n < 3000; n += 700) {
        char path[64];

        (void)snprintf(path, sizeof(path), "%s/%d", flag, n);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(flag), 0);
}

static void test_engine_kills_a_worker_that_takes_too_long(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){.max_message_ms = 100});
    apply(rig, "def handle_input(msg, context):\n"
               "    while msg['n'] == 3: pass\n"
               "    context.emit('out', msg['n'])\n");
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 6);
    run_until(rig, has_answered, 6);
    assert_numbers(rig, 0, 5, 3);
    assert_true(has_restarted(rig, 3));
}

static void test_engine_reads_the_stream_when_a_script_is_behind(void **state)
{
    struct rig *rig = *state;

    rig->logs[0].slow = true;
    start_engine(rig, (struct wz_engine_options){.window_bytes = 8192});
    apply(rig, ECHO_CODE);
    run_until(rig, is_running, 0);
    for (int i = 0; i < 400; i++) { // live records keep coming while it catches up
        feed(rig, "in.a", i % 3 == 0 ? 300 : 20);
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    }
    run_until(rig, has_answered, rig->logs[0].count);
    assert_in_range(rig->logs[0].read_count, 10000, rig->logs[0].count * 2);
    assert_numbers(rig, 0, rig->logs[0].count, -1);
    rig->logs[0].read_count = 0;
    feed(rig, "in.a", 20); // live again
    run_until(rig, has_outputs, rig->logs[0].count);
    assert_numbers(rig, 0, rig->logs[0].count, -1);
    assert_int_equal(rig->logs[0].read_count, 0);
}

static void test_engine_publishes_each_output_once_when_the_bus_is_busy(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, "def handle_input(msg, context):\n"
               "    context.log('x')\n"
               "    context.emit('out', msg['n'])\n");
    rig->bus.busy_every = 7;
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 500);
    run_until(rig, has_answered, 500);
    assert_int_equal(rig->bus.output_count, 1000);
    for (size_t i = 0, expected = 0, logs = 0; i < 1000; i++) {
        if (strcmp(rig->bus.outputs[i].topic, "out") == 0)
            assert_int_equal(strtoll(rig->bus.outputs[i].body, NULL, 10), expected++);
        else
            assert_true(++logs <= 500);
    }
}

static void test_engine_stops_outputs_of_outputs_at_the_seventeenth(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, ECHO_CODE);
    run_until(rig, is_running, 0);
    feed_hops(rig, "in.a", 1, 16);
    feed_hops(rig, "in.a", 1, 15);
    run_until(rig, has_answered, 2);
    assert_int_equal(rig->bus.output_count, 1);
    assert_int_equal(rig->bus.outputs[0].hops, 16);
    assert_string_equal(rig->bus.outputs[0].body, "1");
    assert_int_equal(board_int(rig, "refused"), 1);
}

static void test_engine_goes_on_after_an_exception(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, "def handle_input(msg, context):\n"
               "    context.emit('out', msg['n'])\n"
               "    if msg['n'] == 2: raise ValueError('no')\n");
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 5);
    run_until(rig, has_answered, 5);
    assert_numbers(rig, 0, 4, 2);
    assert_int_equal(board_int(rig, "errors"), 1);
    assert_int_equal(board_int(rig, "restarts"), 0);
}

static void test_engine_publishes_logs_with_their_cause(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, "def init(context):\n"
               "    context.log('here \"I\" am')\n"
               "def handle_input(msg, context):\n"
               "    context.log('hot', 'warning')\n");
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 1);
    run_until(rig, has_answered, 1);
    assert_int_equal(rig->bus.output_count, 2);
    assert_string_equal(rig->bus.outputs[0].topic, "logs.info");
    assert_string_equal(rig->bus.outputs[0].body,
                        "{\"message\":\"here \\\"I\\\" am\",\"script\":\"probe\"}");
    assert_string_equal(rig->bus.outputs[0].parent, "");
    assert_string_equal(rig->bus.outputs[1].topic, "logs.warning");
    assert_string_equal(rig->bus.outputs[1].parent, "019c1c38-a47b-7cc3-98a2-000000000000");
}

static void test_engine_goes_on_behind_the_last_answer_when_a_script_changes(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, ECHO_CODE);
    run_until(rig, is_running, 0);
    for (int version = 0; version < 5; version++) {
        WZ_AUTO(wz_buf_release) struct wz_buf code = {0};

        feed(rig, "in.a", 3000);
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
        wz_buf_addf(&code, "# %d\n" ECHO_CODE, version);
        apply(rig, wz_buf_str(&code));
        feed(rig, "in.a", 100);
    }
    run_until(rig, has_answered, 15500);
    assert_numbers(rig, 0, 15500, -1);
    assert_int_equal(board_int(rig, "restarts"), 0);
}

static void test_engine_does_not_restart_for_a_new_description(void **state)
{
    struct rig *rig = *state;
    struct wz_document document = {.name = (char *)"probe", .revision = 1};

    start_engine(rig, (struct wz_engine_options){0});
    document.body =
        json_pack("{s:s, s:s}", "code", "def init(context): context.emit('up', 1)\n" ECHO_CODE,
                  "description", "a");
    wz_engine_apply(rig->engine, &document, 1);
    run_until(rig, is_running, 1);
    json_object_set_new(document.body, "description", json_string("b"));
    document.revision = 2;
    wz_engine_apply(rig->engine, &document, 1);
    run_until(rig, is_running, 2);
    assert_int_equal(rig->bus.output_count, 1);
    json_object_set_new(document.body, "config", json_pack("{s:i}", "a", 1));
    document.revision = 3;
    wz_engine_apply(rig->engine, &document, 1);
    run_until(rig, has_outputs, 2);
    json_decref(document.body);
}

static bool is_off_board(struct rig *rig, int64_t num)
{
    json_t *state = wz_board_get(rig->board, WZ_ENGINE_BOARD, "probe");
    bool off = !state && num == 0;

    json_decref(state);
    return off;
}

static bool is_stopped(struct rig *rig, int64_t num)
{
    (void)num;
    return board_is(rig, "status", "stopped");
}

static void test_engine_ends_scripts_that_are_gone_or_not_active(void **state)
{
    struct rig *rig = *state;
    struct wz_document document = {.name = (char *)"probe", .revision = 9};

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, ECHO_CODE);
    run_until(rig, is_running, 0);
    document.body = json_pack("{s:s, s:b, s:[{s:s}]}", "code", ECHO_CODE, "active", 0, "bindings",
                              "pattern", "in.#");
    wz_engine_apply(rig->engine, &document, 1);
    run_until(rig, is_stopped, 0);
    feed(rig, "in.a", 3);
    json_object_set_new(document.body, "active", json_true());
    document.revision++;
    wz_engine_apply(rig->engine, &document, 1); // goes on where it stopped
    run_until(rig, has_outputs, 3);
    assert_numbers(rig, 0, 3, -1);
    json_decref(document.body);
    apply(rig, NULL);
    run_until(rig, is_off_board, 0);
    feed(rig, "in.a", 3);
    for (int i = 0; i < 20; i++)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    assert_int_equal(rig->bus.output_count, 3);
    assert_true(is_off_board(rig, 0));
}

static void test_engine_stop_waits_for_what_workers_hold(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, "import time\n"
               "def handle_input(msg, context):\n"
               "    time.sleep(0.1)\n"
               "    context.emit('out', msg['n'])\n");
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 3);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    stop_engine(rig);
    assert_numbers(rig, 0, 3, -1);
}

static void test_engine_stop_kills_what_does_not_end(void **state)
{
    struct rig *rig = *state;
    int64_t began_us;

    start_engine(rig, (struct wz_engine_options){.drain_ms = 200});
    apply(rig, "def handle_input(msg, context):\n    while True: pass\n");
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 1);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    began_us = wz_clock_mono_us();
    stop_engine(rig);
    assert_in_range(wz_clock_mono_us() - began_us, 150000, 5000000);
    assert_int_equal(rig->bus.output_count, 0);
}

static void test_engine_stop_does_not_wait_for_a_busy_bus(void **state)
{
    struct rig *rig = *state;
    int64_t began_us;

    start_engine(rig, (struct wz_engine_options){.drain_ms = 200});
    apply(rig, ECHO_CODE);
    run_until(rig, is_running, 0);
    rig->bus.busy_every = 1; // always
    feed(rig, "in.a", 10);
    for (int i = 0; i < 20; i++)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    began_us = wz_clock_mono_us();
    stop_engine(rig);
    assert_in_range(wz_clock_mono_us() - began_us, 150000, 5000000);
    assert_int_equal(rig->bus.output_count, 0);
}

static void test_engine_shows_the_lag_of_a_script_that_never_answers(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){.drain_ms = 100, .window_bytes = 8192});
    apply(rig, "def handle_input(msg, context):\n    while True: pass\n");
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 10);
    run_until(rig, has_lag, 10);
    feed(rig, "in.a", 500);
    run_until(rig, has_lag, 510);
}

static void test_engine_runs_a_document_made_anew_under_its_old_revision(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, "def init(context): context.emit('first', 1)\n" ECHO_CODE);
    run_until(rig, has_outputs, 1);
    rig->revision--;
    apply(rig, "def init(context): context.emit('second', 1)\n" ECHO_CODE);
    run_until(rig, has_outputs, 2);
    assert_string_equal(rig->bus.outputs[1].topic, "second");
}

static void test_engine_tries_again_when_the_worker_cannot_be_started(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){.worker_path = "/nowhere/wyze-python"});
    apply(rig, ECHO_CODE);
    assert_true(board_is(rig, "status", "starting"));
    assert_true(board_is(rig, "remark", "cannot be started from /nowhere/wyze-python"));
}

static void test_engine_puts_a_document_of_the_wrong_shape_on_the_board(void **state)
{
    struct rig *rig = *state;
    struct wz_document document = {.name = (char *)"probe", .revision = 1};

    start_engine(rig, (struct wz_engine_options){0});
    document.body = json_pack("{s:s, s:i}", "code", ECHO_CODE, "speed", 3);
    wz_engine_apply(rig->engine, &document, 1);
    json_decref(document.body);
    assert_true(is_invalid(rig, 0));
    assert_true(board_is(rig, "remark", "there is no member \"speed\""));
}

static void test_engine_ends_a_worker_that_breaks_the_protocol(void **state)
{
    struct rig *rig = *state;

    start_engine(rig, (struct wz_engine_options){0});
    apply(rig, "import os\n"
               "def handle_input(msg, context):\n"
               "    if msg['n'] == 1: os.write(3, b'\\xff' * 100)\n"
               "    context.emit('out', msg['n'])\n");
    run_until(rig, is_running, 0);
    feed(rig, "in.a", 3);
    run_until(rig, has_answered, 3);
    assert_numbers(rig, 0, 2, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_engine_gives_each_record_once_and_publishes_its_outputs),
        TEST(test_engine_shows_an_invalid_script_and_runs_its_mend),
        TEST(test_engine_ends_a_top_level_that_never_returns),
        TEST(test_engine_flags_a_script_whose_process_ends_while_it_is_loaded),
        TEST(test_engine_skips_the_record_at_which_workers_die),
        TEST(test_engine_loses_and_doubles_nothing_when_a_worker_dies_once),
        TEST(test_engine_kills_a_worker_that_takes_too_long),
        TEST(test_engine_reads_the_stream_when_a_script_is_behind),
        TEST(test_engine_publishes_each_output_once_when_the_bus_is_busy),
        TEST(test_engine_stops_outputs_of_outputs_at_the_seventeenth),
        TEST(test_engine_goes_on_after_an_exception),
        TEST(test_engine_publishes_logs_with_their_cause),
        TEST(test_engine_goes_on_behind_the_last_answer_when_a_script_changes),
        TEST(test_engine_does_not_restart_for_a_new_description),
        TEST(test_engine_ends_scripts_that_are_gone_or_not_active),
        TEST(test_engine_stop_waits_for_what_workers_hold),
        TEST(test_engine_stop_kills_what_does_not_end),
        TEST(test_engine_stop_does_not_wait_for_a_busy_bus),
        TEST(test_engine_shows_the_lag_of_a_script_that_never_answers),
        TEST(test_engine_runs_a_document_made_anew_under_its_old_revision),
        TEST(test_engine_tries_again_when_the_worker_cannot_be_started),
        TEST(test_engine_puts_a_document_of_the_wrong_shape_on_the_board),
        TEST(test_engine_ends_a_worker_that_breaks_the_protocol),
    };

    (void)signal(SIGPIPE, SIG_IGN); // as in the program
    return cmocka_run_group_tests(tests, NULL, NULL);
}
