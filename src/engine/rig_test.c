// SPDX-License-Identifier: Apache-2.0
// Owns the folders, the loop, the streams and the journal of the engine's tests, and what stands in
// for the router: outputs go onto processed-stream as they are.
#include "engine/rig_test.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/patience_test.h"
#include "bus/embedded.h"
#include "stream/reader.h"

#define ID_FORM "019c1c38-a47b-7cc3-98a2-%012lld"

enum { JOURNAL, RAW, PROCESSED, SCRIPT_LOG, DIR_COUNT };

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct rig *rig = arg;

    (void)durable_end;
    assert_int_equal(state_err, WZ_OK);
    if (rig->engine)
        wz_engine_durable(rig->engine);
    if (rig->durable)
        rig->durable(rig->durable_arg);
    if (rig->bus)
        wz_bus_durable(rig->bus);
}

static void on_filled(void *arg) { (void)arg; }

static void on_tick(uv_timer_t *timer)
{
    struct rig *rig = timer->data;

    wz_bus_durable(rig->bus); // who found it busy goes on
}

static void on_flush(void *arg)
{
    struct rig *rig = arg;

    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++)
        if (!rig->hold[i])
            wz_log_flush(rig->logs[i]);
    if (!rig->hold_journal)
        wz_log_flush(wz_journal_log(rig->journal));
}

// Outputs.

static void add_output(struct rig *rig, const struct rig_output *output)
{
    if ((rig->output_count & (rig->output_count - 1)) == 0) // full at each power of two
        rig->outputs = wz_realloc(rig->outputs, (2 * rig->output_count + 1) * sizeof(*output));
    rig->outputs[rig->output_count++] = *output;
}

static void drop_outputs(struct rig *rig)
{
    for (size_t i = 0; i < rig->output_count; i++) {
        wz_free(rig->outputs[i].topic);
        wz_free(rig->outputs[i].body);
        wz_free(rig->outputs[i].parent);
        wz_free(rig->outputs[i].commit);
    }
    wz_free(rig->outputs);
    rig->outputs = NULL;
    rig->output_count = 0;
}

static char *text_of(struct wz_slice s) { return wz_strndup(s.ptr, s.len); }

static char *header_of(const struct wz_record *record, const char *name)
{
    return text_of(wz_record_header_find(record, name));
}

// Reads the outputs that are on disk.
static void read_outputs(struct rig *rig)
{
    struct wz_reader_options options = {.direction = WZ_FORWARD};
    struct wz_reader *reader;
    struct wz_record record;

    drop_outputs(rig);
    assert_int_equal(wz_reader_open(rig->logs[WZ_SCRIPT_PROCESSED], &options, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK) {
        char *hops = header_of(&record, "hops");
        const struct rig_output output = {
            .topic = text_of(record.key),
            .body = text_of(record.value),
            .parent = header_of(&record, "parent"),
            .commit = header_of(&record, "commit"),
            .hops = (uint8_t)strtoul(hops, NULL, 10),
            .offset = record.offset,
        };

        wz_free(hops);
        add_output(rig, &output);
    }
    wz_reader_close(reader);
}

// Stands in for the router. Headers: hops, parent, commit.
static int on_egress(void *arg, const struct wz_message *msg, void **slot,
                     struct wz_ticket *ret_ticket)
{
    struct rig *rig = arg;
    uint8_t bytes[256];
    char hops[8];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_record_parts parts = {.key = msg->topic, .value = {msg->body}, .value_count = 1};
    struct wz_message mirror = *msg;
    struct wz_ticket unused;

    (void)slot;
    (void)ret_ticket;
    if (rig->busy_every > 0 && --rig->busy_left <= 0) {
        rig->busy_left = rig->busy_every;
        rig->busy_count++;
        return WZ_ERR_BUSY;
    }
    if (rig->published)
        rig->published(rig->published_arg, rig, msg);
    (void)snprintf(hops, sizeof(hops), "%d", msg->hops);
    wz_record_header_put(&pen, WZ_SLICE_LIT("hops"), wz_slice_str(hops));
    wz_record_header_put(&pen, WZ_SLICE_LIT("parent"), msg->parent);
    wz_record_header_put(&pen, WZ_SLICE_LIT("commit"), msg->commit);
    parts.headers[0] = wz_slice(bytes, (size_t)(pen.pos - bytes));
    parts.header_pieces = 1;
    parts.header_count = 3;
    if (wz_log_append(rig->logs[WZ_SCRIPT_PROCESSED], &parts, &mirror.offset) == WZ_ERR_BUSY)
        return WZ_ERR_BUSY;
    add_output(rig, &(struct rig_output){.topic = text_of(msg->topic),
                                         .body = text_of(msg->body),
                                         .parent = text_of(msg->parent),
                                         .commit = text_of(msg->commit),
                                         .hops = msg->hops,
                                         .offset = mirror.offset});
    return wz_bus_publish(rig->bus, WZ_BUS_PROCESSED, &mirror, &unused);
}

// Opening and closing.

static void make_dir(char dir[static 64])
{
    (void)snprintf(dir, 64, "/tmp/wyze-engine-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static void open_logs(struct rig *rig)
{
    struct wz_log_options log = {
        .durability = WZ_DURABILITY_OS,
        .segment_bytes = rig->segment_bytes,
        .loop_mail = &rig->loop.mail,
        .on_durable = on_durable,
        .arg = rig,
    };
    struct wz_journal_options journal = {
        .loop = &rig->loop,
        .durability = WZ_DURABILITY_OS,
        .segment_bytes = rig->segment_bytes,
        .compact_bytes = rig->compact_bytes,
        .on_durable = on_durable,
        .arg = rig,
    };
    struct wz_log_recovery recovery;
    struct wz_problem problem;

    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++) {
        assert_int_equal(wz_log_open(rig->dirs[RAW + i], &log, &rig->logs[i], &recovery, &problem),
                         WZ_OK);
        wz_log_set_time(rig->logs[i], 1770000000000);
    }
    assert_int_equal(
        wz_log_open(rig->dirs[SCRIPT_LOG], &log, &rig->script_log, &recovery, &problem), WZ_OK);
    assert_int_equal(
        wz_journal_open(rig->dirs[JOURNAL], &journal, &rig->journal, &recovery, &problem), WZ_OK);
    rig->accounts = wz_accounts_new(rig->journal);
    if (wz_journal_replay(rig->journal, &problem) < 0)
        fail_msg("%s", problem.what);
    if (wz_accounts_recover(rig->accounts, rig->logs[WZ_SCRIPT_PROCESSED], &problem) < 0)
        fail_msg("%s", problem.what);
}

static void open_rig(struct rig *rig)
{
    assert_int_equal(wz_loop_init(&rig->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&rig->loop.uv, &rig->tick), 0);
    rig->tick.data = rig;
    assert_int_equal(uv_timer_start(&rig->tick, on_tick, 1, 1), 0);
    rig->bus = wz_bus_new(&rig->loop);
    rig->feeds = wz_feeds_new(rig->bus, on_filled, NULL);
    assert_int_equal(
        wz_bus_bind(rig->bus, WZ_BUS_EGRESS, WZ_SLICE_LIT("#"), on_egress, NULL, rig, &rig->egress),
        WZ_OK);
    open_logs(rig);
    read_outputs(rig);
    rig->board = wz_board_new();
    rig->desk = wz_desk_new(&rig->loop);
    rig->part = (struct wz_loop_part){.flush = on_flush, .arg = rig};
    wz_loop_join(&rig->loop, &rig->part);
    if (rig->start_journal)
        wz_journal_start(rig->journal);
}

static void close_rig(struct rig *rig)
{
    rig_stop(rig);
    wz_bus_durable(rig->bus); // the bus calls when the engine is gone, too
    wz_journal_stop(rig->journal);
    uv_close((uv_handle_t *)&rig->tick, NULL);
    wz_loop_leave(&rig->part);
    wz_loop_stop(&rig->loop);
    wz_loop_run(&rig->loop);
    wz_feeds_free(rig->feeds);
    wz_bus_unbind(rig->bus, rig->egress);
    wz_bus_stop(rig->bus);
    wz_bus_free(rig->bus);
    rig->bus = NULL;
    wz_accounts_free(rig->accounts);
    assert_int_equal(wz_journal_close(rig->journal), WZ_OK);
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++)
        assert_int_equal(wz_log_close(rig->logs[i]), WZ_OK);
    assert_int_equal(wz_log_close(rig->script_log), WZ_OK);
    wz_board_free(rig->board);
    wz_desk_free(rig->desk);
    wz_loop_release(&rig->loop);
}

static int remove_name(const char *name, void *arg)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
    return wz_fs_remove(path);
}

static void remove_dir(char *dir)
{
    assert_int_equal(wz_fs_walk(dir, remove_name, dir), WZ_OK);
    assert_int_equal(rmdir(dir), 0);
}

struct copying {
    const char *from;
    const char *to;
};

static int copy_name(const char *name, void *arg)
{
    const struct copying *copying = arg;
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    struct iovec piece;
    char path[512];
    int r;

    if (strcmp(name, "lock") == 0)
        return WZ_OK;
    (void)snprintf(path, sizeof(path), "%s/%s", copying->from, name);
    r = wz_fs_load(path, (size_t)1 << 30, &buf);
    if (r < 0)
        return r == WZ_ERR_NOT_FOUND ? WZ_OK : r; // it went meanwhile
    (void)snprintf(path, sizeof(path), "%s/%s", copying->to, name);
    r = wz_fs_open(path, WZ_FS_CREATE, &fd);
    piece = (struct iovec){.iov_base = buf.ptr, .iov_len = buf.len};
    if (r == WZ_OK && buf.len > 0)
        r = wz_fs_write(fd, &piece, 1, 0);
    return r;
}

int rig_setup(void **state)
{
    struct rig *rig = wz_zalloc(1, sizeof(*rig));

    wz_log_set_level(WZ_LOG_ERROR);
    for (int i = 0; i < DIR_COUNT; i++)
        make_dir(rig->dirs[i]);
    rig->seed = 20260217;
    open_rig(rig);
    *state = rig;
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *rig = *state;

    close_rig(rig);
    drop_outputs(rig);
    for (int i = 0; i < DIR_COUNT; i++)
        remove_dir(rig->dirs[i]);
    wz_free(rig);
    return 0;
}

void rig_reopen(struct rig *rig)
{
    close_rig(rig);
    open_rig(rig);
}

// The journal is copied first. What its copy refers to is on the streams by then, and the loop does
// not turn meanwhile: it is what a crash could have left.
void rig_crash(struct rig *rig)
{
    char dirs[DIR_COUNT][64];

    for (int i = 0; i < DIR_COUNT; i++) {
        struct copying copying = {.from = rig->dirs[i], .to = dirs[i]};

        make_dir(dirs[i]);
        assert_int_equal(wz_fs_walk(rig->dirs[i], copy_name, &copying), WZ_OK);
    }
    close_rig(rig);
    for (int i = 0; i < DIR_COUNT; i++) {
        remove_dir(rig->dirs[i]);
        memcpy(rig->dirs[i], dirs[i], sizeof(dirs[i]));
    }
    open_rig(rig);
}

// The engine.

static void on_stopped(void *arg) { ((struct rig *)arg)->stopped = true; }

void rig_stop(struct rig *rig)
{
    if (!rig->engine)
        return;
    rig->stopped = false;
    wz_engine_stop(rig->engine, on_stopped, rig);
    while (!rig->stopped)
        rig_turn(rig);
    wz_engine_free(rig->engine);
    rig->engine = NULL;
}

void rig_start(struct rig *rig, struct wz_engine_options options)
{
    options.loop = &rig->loop;
    options.bus = rig->bus;
    options.board = rig->board;
    options.desk = rig->desk;
    options.raw = rig->logs[WZ_SCRIPT_RAW];
    options.processed = rig->logs[WZ_SCRIPT_PROCESSED];
    options.script_log = rig->script_log;
    options.journal = rig->journal;
    options.accounts = rig->accounts;
    if (!options.worker_path)
        options.worker_path = WZ_WORKER_PATH;
    if (options.load_ms == 0) // a machine that is busy takes its time to start a worker
        options.load_ms = patience_us() / 1000;
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

static json_t *make_body(const char *code, int workers)
{
    return json_pack("{s:s, s:i, s:[{s:s, s:s}, {s:s}]}", "code", code, "workers", workers,
                     "bindings", "stream", "raw", "pattern", "in.#", "pattern", "in.b");
}

void rig_apply_workers(struct rig *rig, const char *code, int workers)
{
    apply(rig, code ? make_body(code, workers) : NULL);
}

void rig_apply_writing(struct rig *rig, const char *code, const char *folder)
{
    json_t *body = make_body(code, 1);

    json_object_set_new(body, "grants", json_pack("{s:[s]}", "write", folder));
    apply(rig, body);
}

void rig_apply_stopped(struct rig *rig, const char *code)
{
    json_t *body = make_body(code, 1);

    json_object_set_new(body, "active", json_false());
    apply(rig, body);
}

void rig_apply(struct rig *rig, const char *code) { rig_apply_workers(rig, code, 1); }

// A stream that was empty before a crash seems to begin with one.
static void on_gap(void *arg, enum wz_script_stream stream, int64_t count)
{
    (void)arg;
    (void)stream;
    (void)count;
}

struct wz_inputs_options rig_inputs_options(struct rig *rig, void *arg)
{
    return (struct wz_inputs_options){
        .source = {.uv = &rig->loop.uv,
                   .feeds = rig->feeds,
                   .window_bytes = 1 << 20,
                   .filled = on_filled,
                   .gap = on_gap,
                   .closed = on_filled,
                   .arg = arg},
        .logs = {rig->logs[0], rig->logs[1]},
    };
}

// Input.

static void feed_one(struct rig *rig, const char *topic, uint8_t hops)
{
    char body[128];
    struct wz_record_parts parts = {.key = wz_slice_str(topic), .value_count = 1};
    struct wz_message msg = {.topic = parts.key, .append_ms = 1770000000000, .hops = hops};
    struct wz_ticket unused;

    (void)snprintf(body, sizeof(body), "{\"_id\":\"" ID_FORM "\",\"n\":%lld}", (long long)rig->fed,
                   (long long)rig->fed);
    rig->fed++;
    parts.value[0] = wz_slice_str(body);
    while (wz_log_append(rig->logs[WZ_SCRIPT_RAW], &parts, &msg.offset) == WZ_ERR_BUSY)
        rig_turn(rig);
    msg.body = parts.value[0];
    assert_int_equal(wz_bus_publish(rig->bus, WZ_BUS_RAW, &msg, &unused), WZ_OK);
}

void rig_feed_hops(struct rig *rig, const char *topic, int64_t count, uint8_t hops)
{
    for (int64_t i = 0; i < count; i++)
        feed_one(rig, topic, hops);
    wz_feeds_flush(rig->feeds);
}

void rig_feed(struct rig *rig, const char *topic, int64_t count)
{
    rig_feed_hops(rig, topic, count, 0);
}

int64_t rig_number(struct wz_slice body)
{
    char text[160];
    const char *at;

    (void)snprintf(text, sizeof(text), "%.*s", WZ_SLICE_FMT(body));
    at = strstr(text, "\"n\":");
    assert_non_null(at);
    return strtoll(at + 4, NULL, 10);
}

// Accounts.

void rig_put_change(struct wz_account *account, int key, const char *value)
{
    char name[32];
    struct wz_frame_entry entry = {.lane = (uint8_t)(key % (WZ_LANE_SHARED + 1))};

    (void)snprintf(name, sizeof(name), "key%d", key);
    entry.key = wz_slice_str(name);
    entry.removed = value == NULL;
    entry.value = wz_slice_str(value ? value : "");
    wz_account_change(account, &entry);
}

void rig_end_group(struct rig *rig)
{
    int64_t unused;

    wz_journal_end(rig->journal, &unused);
}

void rig_begin_group(struct rig *rig)
{
    while (!wz_journal_ready(rig->journal))
        rig_turn(rig);
    wz_journal_begin(rig->journal);
}

void rig_put_position(struct wz_account *account, uint64_t commit, int64_t base)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    static const struct wz_progress none;

    wz_buf_add_byte(&buf, WZ_SCRIPT_STREAM_COUNT);
    wz_progress_put(&none, base, &buf);
    wz_progress_put(&none, -1, &buf);
    wz_account_put_ledger(account, commit, wz_buf_slice(&buf));
}

// Waiting.

void rig_turn(struct rig *rig) { (void)uv_run(&rig->loop.uv, UV_RUN_ONCE); }

void rig_run_until(struct rig *rig, bool (*done)(struct rig *rig, int64_t num), int64_t num)
{
    int64_t end_us = wz_clock_mono_us() + patience_us();

    while (!done(rig, num)) {
        if (wz_clock_mono_us() > end_us) {
            json_t *state = wz_board_section(rig->board, WZ_ENGINE_BOARD);
            char *text = json_dumps(state, 0);

            print_error("outputs %zu, board %s\n", rig->output_count, text);
            fail_msg("not within %lld s", patience_us() / 1000000);
        }
        rig_turn(rig);
    }
}

static bool is_durable(struct wz_log *log)
{
    return wz_log_durable_end(log) == wz_log_next_offset(log);
}

static bool all_durable(struct rig *rig, int64_t num)
{
    (void)num;
    return is_durable(rig->logs[0]) && is_durable(rig->logs[1]) &&
           is_durable(wz_journal_log(rig->journal));
}

void rig_settle(struct rig *rig) { rig_run_until(rig, all_durable, 0); }

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

bool rig_is_parked(struct rig *rig, int64_t num)
{
    (void)num;
    return rig_board_is(rig, "status", "parked");
}

bool rig_is_stopped(struct rig *rig, int64_t num)
{
    (void)num;
    return rig_board_is(rig, "status", "stopped");
}

bool rig_has_outputs(struct rig *rig, int64_t num) { return rig->output_count >= (size_t)num; }

bool rig_has_answered(struct rig *rig, int64_t num) { return rig_board_int(rig, "in") >= num; }

bool rig_has_lag(struct rig *rig, int64_t num) { return rig_board_int(rig, "lag") == num; }

bool rig_has_restarted(struct rig *rig, int64_t num)
{
    return rig_board_int(rig, "restarts") >= num && rig_board_is(rig, "status", "running");
}

// What came out.

void rig_assert_numbers(struct rig *rig, int64_t first, int64_t count, int64_t missing)
{
    int64_t expected = first;

    assert_int_equal(rig->output_count, count);
    for (size_t i = 0; i < rig->output_count; i++) {
        char id[48];

        if (expected == missing)
            expected++;
        (void)snprintf(id, sizeof(id), ID_FORM, (long long)expected);
        assert_int_equal(strtoll(rig->outputs[i].body, NULL, 10), expected);
        assert_string_equal(rig->outputs[i].parent, id);
        expected++;
    }
}

void rig_assert_counted(struct rig *rig, int64_t first, int64_t count)
{
    WZ_AUTO(wz_free_ptr) bool *seen = wz_zalloc((size_t)count + 1, sizeof(*seen));

    for (size_t i = 0; i < rig->output_count; i++) {
        const char *id = strrchr(rig->outputs[i].parent, '-');
        int64_t cause;

        assert_non_null(id);
        cause = strtoll(id + 1, NULL, 10) - first;
        assert_int_equal(strtoll(rig->outputs[i].body, NULL, 10), i + 1);
        assert_in_range(cause, 0, count - 1);
        assert_false(seen[cause]);
        seen[cause] = true;
    }
    assert_int_equal(rig->output_count, count);
}
