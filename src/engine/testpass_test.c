// SPDX-License-Identifier: Apache-2.0
// Owns the folders, the loop, the streams and the journal of the passthrough's tests.
#include "engine/testpass_test.h"

#include <setjmp.h>
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
#include "stream/reader.h"

enum { JOURNAL, RAW, PROCESSED, DIR_COUNT };

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct testpass *t = arg;

    (void)durable_end;
    assert_int_equal(state_err, WZ_OK);
    if (t->pass)
        wz_passthrough_durable(t->pass);
    if (t->bus)
        wz_bus_durable(t->bus);
}

static void on_tick(uv_timer_t *timer) { (void)timer; }

static void on_flush(void *arg)
{
    struct testpass *t = arg;

    for (int i = 0; i < 2; i++)
        if (!t->hold[i])
            wz_log_flush(t->logs[i]);
    if (!t->hold_journal)
        wz_log_flush(wz_journal_log(t->journal));
}

static int on_live(void *arg, const struct wz_message *msg, void **slot,
                   struct wz_ticket *ret_ticket)
{
    struct testpass *t = arg;

    (void)slot;
    (void)ret_ticket;
    assert_true(msg->offset >= t->live_end);
    assert_non_null(msg->record);
    t->live_end = msg->offset + 1;
    t->live_count++;
    return WZ_OK;
}

static void open_logs(struct testpass *t)
{
    struct wz_journal_options journal = {.loop = &t->loop,
                                         .durability = WZ_DURABILITY_OS,
                                         .segment_bytes = 64 * 1024,
                                         .on_durable = on_durable,
                                         .arg = t};
    struct wz_log_recovery recovery;
    struct wz_problem problem;

    for (int i = 0; i < 2; i++) {
        struct wz_log_options log = {.durability = WZ_DURABILITY_OS,
                                     .segment_bytes = 64 * 1024,
                                     .reserve_offsets = 1000,
                                     .backlog_bytes = i == 1 ? t->backlog_bytes : 0,
                                     .loop_mail = &t->loop.mail,
                                     .on_durable = on_durable,
                                     .arg = t};

        assert_int_equal(wz_log_open(t->dirs[RAW + i], &log, &t->logs[i], &recovery, &problem),
                         WZ_OK);
        wz_log_set_time(t->logs[i], t->now_ms);
    }
    assert_int_equal(wz_journal_open(t->dirs[JOURNAL], &journal, &t->journal, &recovery, &problem),
                     WZ_OK);
}

static void apply(struct testpass *t)
{
    size_t count = json_object_size(t->rules);
    WZ_AUTO(wz_free_ptr)
    struct wz_document *documents = wz_zalloc(count + 1, sizeof(*documents));
    const char *name;
    json_t *body;
    size_t i = 0;

    json_object_foreach(t->rules, name, body) documents[i++] =
        (struct wz_document){.name = (char *)(uintptr_t)name, .revision = 1, .body = body};
    wz_passthrough_apply(t->pass, documents, count);
}

static void open_all(struct testpass *t)
{
    struct wz_problem problem = {0};
    struct wz_passthrough_options options = {.window_bytes = t->window_bytes,
                                             .max_states = t->max_states,
                                             .keep_ms = t->keep_ms > 0 ? t->keep_ms : 1};

    t->live_count = 0;
    t->live_end = 0;
    assert_int_equal(wz_loop_init(&t->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&t->loop.uv, &t->tick), 0);
    assert_int_equal(uv_timer_start(&t->tick, on_tick, 1, 1), 0);
    t->bus = wz_bus_new(&t->loop);
    t->board = wz_board_new();
    open_logs(t);
    options.loop = &t->loop;
    options.bus = t->bus;
    options.board = t->board;
    options.raw = t->logs[0];
    options.processed = t->logs[1];
    options.journal = t->journal;
    t->pass = wz_passthrough_new(&options);
    if (wz_journal_replay(t->journal, &problem) < 0 ||
        wz_passthrough_recover(t->pass, &problem) < 0)
        fail_msg("%s", problem.what);
    assert_int_equal(
        wz_bus_bind(t->bus, WZ_BUS_PROCESSED, WZ_SLICE_LIT("#"), on_live, NULL, t, &t->live),
        WZ_OK);
    t->part = (struct wz_loop_part){.flush = on_flush, .arg = t};
    wz_loop_join(&t->loop, &t->part);
    if (t->rules)
        apply(t);
}

static void close_all(struct testpass *t)
{
    wz_passthrough_stop(t->pass);
    wz_journal_stop(t->journal);
    uv_close((uv_handle_t *)&t->tick, NULL);
    wz_loop_leave(&t->part);
    wz_loop_stop(&t->loop);
    wz_loop_run(&t->loop);
    wz_passthrough_put_position(t->pass);
    wz_passthrough_free(t->pass);
    t->pass = NULL;
    wz_bus_unbind(t->bus, t->live);
    wz_bus_stop(t->bus);
    wz_bus_free(t->bus);
    t->bus = NULL;
    for (int i = 0; i < 2; i++)
        assert_int_equal(wz_log_close(t->logs[i]), WZ_OK);
    assert_int_equal(wz_journal_close(t->journal), WZ_OK);
    wz_board_free(t->board);
    wz_loop_release(&t->loop);
}

int testpass_setup(void **state)
{
    struct testpass *t = wz_zalloc(1, sizeof(*t));

    wz_log_set_level(WZ_LOG_ERROR);
    t->now_ms = 1770000000000;
    for (int i = 0; i < DIR_COUNT; i++) {
        (void)snprintf(t->dirs[i], sizeof(t->dirs[i]), "/tmp/wyze-pass-XXXXXX");
        assert_non_null(mkdtemp(t->dirs[i]));
    }
    open_all(t);
    *state = t;
    return 0;
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

int testpass_teardown(void **state)
{
    struct testpass *t = *state;

    close_all(t);
    for (int i = 0; i < DIR_COUNT; i++)
        remove_dir(t->dirs[i]);
    json_decref(t->rules);
    wz_free(t);
    return 0;
}

void testpass_reopen(struct testpass *t)
{
    close_all(t);
    open_all(t);
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

// The journal is copied first, then raw-stream. What a copy refers to is in those behind it by
// then, and the loop does not turn meanwhile: it is what a crash could have left.
void testpass_crash(struct testpass *t)
{
    char dirs[DIR_COUNT][64];

    for (int i = 0; i < DIR_COUNT; i++) {
        struct copying copying = {.from = t->dirs[i], .to = dirs[i]};

        (void)snprintf(dirs[i], sizeof(dirs[i]), "/tmp/wyze-pass-XXXXXX");
        assert_non_null(mkdtemp(dirs[i]));
        assert_int_equal(wz_fs_walk(t->dirs[i], copy_name, &copying), WZ_OK);
    }
    close_all(t);
    for (int i = 0; i < DIR_COUNT; i++) {
        remove_dir(t->dirs[i]);
        memcpy(t->dirs[i], dirs[i], sizeof(dirs[i]));
    }
    open_all(t);
}

void testpass_apply(struct testpass *t, const char *rules)
{
    json_decref(t->rules);
    t->rules = json_loads(rules, 0, NULL);
    assert_non_null(t->rules);
    apply(t);
}

int64_t testpass_feed(struct testpass *t, const char *topic, const char *members)
{
    char body[512];
    uint8_t header[64];
    struct wz_pen pen = wz_pen(header, sizeof(header));
    struct wz_record_parts parts = {
        .key = wz_slice_str(topic), .value_count = 1, .header_pieces = 1, .header_count = 2};
    struct wz_message msg = {.topic = parts.key, .hops = 3, .record = &parts};
    struct wz_ticket unused;

    (void)snprintf(body, sizeof(body), "{\"_id\":\"x\",\"_topic\":\"%s\",\"n\":%lld%s}", topic,
                   (long long)t->fed++, members);
    wz_record_header_put(&pen, WZ_SLICE_LIT("form"), WZ_SLICE_LIT("object"));
    wz_record_header_put(&pen, WZ_SLICE_LIT("hops"), WZ_SLICE_LIT("3"));
    parts.value[0] = wz_slice_str(body);
    parts.headers[0] = wz_slice(header, (size_t)(pen.pos - header));
    for (int i = 0; i < 2; i++)
        wz_log_set_time(t->logs[i], t->now_ms);
    while (wz_log_append(t->logs[0], &parts, &msg.offset) == WZ_ERR_BUSY)
        testpass_turn(t);
    msg.append_ms = wz_log_last_time(t->logs[0]);
    msg.body = parts.value[0];
    assert_int_equal(wz_bus_publish(t->bus, WZ_BUS_RAW, &msg, &unused), WZ_OK);
    return msg.offset;
}

void testpass_turn(struct testpass *t) { uv_run(&t->loop.uv, UV_RUN_ONCE); }

static bool is_durable(const struct wz_log *log)
{
    return wz_log_durable_end(log) >= wz_log_next_offset(log);
}

// Whether all is durable that was asked for, and stays so for some turns.
void testpass_settle(struct testpass *t)
{
    int64_t until = wz_clock_mono_us() + patience_us();
    int quiet = 0;

    while (quiet < 15) {
        int64_t ends[] = {wz_log_next_offset(t->logs[1]),
                          wz_log_next_offset(wz_journal_log(t->journal))};

        testpass_turn(t);
        quiet = is_durable(t->logs[0]) && is_durable(t->logs[1]) &&
                        is_durable(wz_journal_log(t->journal)) &&
                        ends[0] == wz_log_next_offset(t->logs[1]) &&
                        ends[1] == wz_log_next_offset(wz_journal_log(t->journal))
                    ? quiet + 1
                    : 0;
        if (wz_clock_mono_us() > until)
            fail_msg("it does not settle");
    }
}

static void add_record(struct testpass_records *records, const struct wz_record *record)
{
    WZ_AUTO(wz_buf_release) struct wz_buf headers = {0};
    struct wz_slice rest = record->headers;
    struct wz_record_header header;
    struct testpass_record *made;

    if ((records->count & (records->count - 1)) == 0) // full at each power of two
        records->items =
            wz_realloc(records->items, (2 * records->count + 1) * sizeof(*records->items));
    made = &records->items[records->count++];
    *made = (struct testpass_record){
        .offset = record->offset, .append_ms = record->append_ms, .passed = -1};
    (void)snprintf(made->topic, sizeof(made->topic), "%.*s", WZ_SLICE_FMT(record->key));
    made->body = wz_strndup(record->value.ptr, record->value.len);
    while (wz_record_header_next(&rest, &header) == WZ_OK) {
        if (wz_slice_eq(header.key, WZ_SLICE_LIT("passed"))) {
            const uint8_t *dot = memchr(header.value.ptr, '.', header.value.len);

            assert_non_null(dot);
            made->passed = strtoll((const char *)dot + 1, NULL, 10);
        } else {
            wz_buf_addf(&headers, "%.*s=%.*s;", WZ_SLICE_FMT(header.key),
                        WZ_SLICE_FMT(header.value));
        }
    }
    made->headers = wz_strdup(wz_buf_str(&headers));
}

struct testpass_records testpass_read(struct testpass *t, int stream)
{
    struct testpass_records records = {0};
    struct wz_reader_options options = {.direction = WZ_FORWARD};
    struct wz_reader *reader;
    struct wz_record record;

    assert_int_equal(wz_reader_open(t->logs[stream], &options, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK)
        add_record(&records, &record);
    wz_reader_close(reader);
    return records;
}

void testpass_free_records(struct testpass_records *records)
{
    for (size_t i = 0; i < records->count; i++) {
        wz_free(records->items[i].body);
        wz_free(records->items[i].headers);
    }
    wz_free(records->items);
    *records = (struct testpass_records){0};
}

static void add_topics(struct testpass *t, struct wz_buf *buf)
{
    struct testpass_records records = testpass_read(t, 1);

    for (size_t i = 0; i < records.count; i++)
        wz_buf_addf(buf, "%s ", records.items[i].topic);
    testpass_free_records(&records);
}

void testpass_assert_topics(struct testpass *t, const char *topics)
{
    WZ_AUTO(wz_buf_release) struct wz_buf found = {0};
    int64_t until = wz_clock_mono_us() + patience_us();

    add_topics(t, &found);
    while (strcmp(wz_buf_str(&found), topics) != 0 && wz_clock_mono_us() < until) {
        testpass_turn(t);
        found.len = 0;
        add_topics(t, &found);
    }
    assert_string_equal(wz_buf_str(&found), topics);
}

void testpass_wait_passed(struct testpass *t, size_t count)
{
    int64_t until = wz_clock_mono_us() + patience_us();
    size_t found = 0;

    while (found < count && wz_clock_mono_us() < until) {
        struct testpass_records records;

        testpass_settle(t);
        records = testpass_read(t, 1);
        found = records.count;
        testpass_free_records(&records);
    }
    assert_int_equal(found, count);
}

int64_t testpass_count(struct testpass *t, const char *name, const char *member, const char *reason)
{
    json_t *entry = wz_board_get(t->board, WZ_PASSTHROUGH_BOARD, name);
    const json_t *count = json_object_get(entry, member);
    int64_t number;

    if (reason)
        count = json_object_get(count, reason);
    number = json_is_integer(count) ? json_integer_value(count) : -1;
    json_decref(entry);
    return number;
}
