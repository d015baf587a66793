// SPDX-License-Identifier: Apache-2.0
// Owns the folder, the loop and the keys of the journal's tests.
#include "stream/testjournal_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/patience_test.h"

#define STAMP_LEN 4
#define KEY_MAX 16

// What journal.c says a record costs besides its bytes, and the letter and the version.
#define RECORD_COST (16 + 2)

static uint8_t filling[4 * 1024 * 1024];

// The bytes behind the letter: the number, and a few more so that keys differ in length.
static struct wz_slice key_of(uint32_t key, uint8_t bytes[static KEY_MAX])
{
    struct wz_pen pen = wz_pen(bytes, KEY_MAX);

    wz_pen_put_u32(&pen, key);
    for (uint32_t i = 0; i < key % 7; i++)
        wz_pen_put_u8(&pen, (uint8_t)i);
    return wz_slice(bytes, (size_t)(pen.pos - bytes));
}

static char letter_of(uint32_t key) { return key % 2 == 0 ? 'R' : 'E'; }

// The number of a key that was read back; false when it is none.
static bool number_of(struct wz_slice s, uint32_t *ret_key)
{
    struct wz_cursor cur = wz_cursor(s);
    uint8_t bytes[KEY_MAX];
    uint32_t key = wz_cursor_get_u32(&cur);

    if (cur.failed || key >= TESTJOURNAL_KEYS || !wz_slice_eq(s, key_of(key, bytes)))
        return false;
    *ret_key = key;
    return true;
}

static int replay(void *arg, const struct wz_journal_record *record)
{
    struct testjournal *t = arg;
    struct testjournal_value value = {0};
    uint32_t key;

    if (!number_of(record->key, &key))
        return WZ_ERR_CORRUPT;
    if (!record->removed) {
        struct wz_cursor cur = wz_cursor(record->value);

        value.stamp = wz_cursor_get_u32(&cur);
        value.len = (uint32_t)wz_cursor_left(&cur);
        if (cur.failed || value.stamp == 0 || value.len > sizeof(filling) ||
            memcmp(cur.pos, filling, value.len) != 0)
            return WZ_ERR_CORRUPT;
    }
    assert_true(record->place.offset > t->replayed_offset);
    t->replayed_offset = record->place.offset;
    wz_journal_drop(t->journal, &t->places[key]);
    t->places[key] = record->removed ? WZ_JOURNAL_NOWHERE : record->place;
    t->values[key] = value;
    return WZ_OK;
}

static struct wz_journal_place *find(void *arg, struct wz_slice s)
{
    struct testjournal *t = arg;
    uint32_t key = 0;

    assert_true(number_of(s, &key));
    return t->places[key].offset >= 0 ? &t->places[key] : NULL;
}

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct testjournal *t = arg;

    assert_int_equal(state_err, WZ_OK);
    assert_true(durable_end >= t->durable_end);
    t->durable_end = durable_end;
    t->told_count++;
}

static void on_tick(uv_timer_t *tick) { (void)tick; }

static void init_at(struct testjournal *t)
{
    t->opt.on_durable = on_durable;
    t->opt.loop = &t->loop;
    t->opt.arg = t;
    for (int i = 0; i < 2; i++)
        t->kinds[i] =
            (struct wz_journal_kind){.letter = "RE"[i], .arg = t, .replay = replay, .find = find};
    if (filling[1] == 0) {
        for (size_t i = 0; i < sizeof(filling); i++)
            filling[i] = (uint8_t)(i % 251);
    }
}

void testjournal_init(struct testjournal *t)
{
    memset(t, 0, sizeof(*t));
    (void)snprintf(t->dir, sizeof(t->dir), "/tmp/wyze-journal-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    init_at(t);
}

static int remove_name(const char *name, void *arg)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", ((struct testjournal *)arg)->dir, name);
    return wz_fs_remove(path);
}

void testjournal_release(struct testjournal *t)
{
    assert_int_equal(wz_fs_walk(t->dir, remove_name, t), WZ_OK);
    assert_int_equal(rmdir(t->dir), 0);
    wz_free(t->ops);
}

int testjournal_try_open(struct testjournal *t)
{
    int r;

    for (int i = 0; i < TESTJOURNAL_KEYS; i++) {
        t->places[i] = WZ_JOURNAL_NOWHERE;
        t->values[i] = (struct testjournal_value){0};
    }
    t->replayed_offset = -1;
    assert_int_equal(wz_loop_init(&t->loop), WZ_OK);
    assert_int_equal(uv_timer_init(&t->loop.uv, &t->tick), 0);
    assert_int_equal(uv_timer_start(&t->tick, on_tick, 1, 1), 0);
    r = wz_journal_open(t->dir, &t->opt, &t->journal, &t->recovery, &t->problem);
    if (r < 0)
        fail_msg("%s %s", t->problem.what, t->problem.where);
    wz_journal_join(t->journal, &t->kinds[0]);
    wz_journal_join(t->journal, &t->kinds[1]);
    t->durable_end = wz_log_durable_end(wz_journal_log(t->journal));
    r = wz_journal_replay(t->journal, &t->problem);
    if (r == WZ_OK)
        wz_journal_start(t->journal);
    return r;
}

void testjournal_open(struct testjournal *t)
{
    if (testjournal_try_open(t) < 0)
        fail_msg("%s: %s", t->dir, t->problem.what);
}

void testjournal_close(struct testjournal *t)
{
    wz_journal_stop(t->journal);
    uv_close((uv_handle_t *)&t->tick, NULL);
    wz_loop_stop(&t->loop);
    wz_loop_run(&t->loop);
    assert_int_equal(wz_journal_close(t->journal), WZ_OK);
    t->journal = NULL;
    wz_loop_release(&t->loop);
}

static void note(struct testjournal *t, uint32_t key, struct testjournal_value value)
{
    if (t->op_count == t->op_cap) {
        t->op_cap = t->op_cap > 0 ? t->op_cap * 2 : 1024;
        t->ops = wz_realloc(t->ops, t->op_cap * sizeof(t->ops[0]));
    }
    t->ops[t->op_count++] =
        (struct testjournal_op){.group_offset = INT64_MAX, .key = key, .value = value};
    t->values[key] = value;
}

void testjournal_begin(struct testjournal *t)
{
    if (t->depth++ == 0)
        t->group_offset = wz_log_next_offset(wz_journal_log(t->journal));
    wz_journal_begin(t->journal);
}

void testjournal_put(struct testjournal *t, uint32_t key, uint32_t len)
{
    struct testjournal_value value = {.stamp = ++t->last_stamp, .len = len};
    struct wz_journal_place *place = &t->places[key];
    uint8_t stamp[STAMP_LEN];
    uint8_t bytes[KEY_MAX];
    struct wz_pen pen = wz_pen(stamp, sizeof(stamp));
    struct wz_slice pieces[WZ_JOURNAL_PIECES];

    wz_pen_put_u32(&pen, value.stamp);
    pieces[0] = wz_slice(stamp, sizeof(stamp));
    pieces[1] = wz_slice(filling, len / 2);
    pieces[2] = wz_slice(filling + len / 2, len - len / 2);
    place->mark = key;
    wz_journal_put(t->journal, letter_of(key), key_of(key, bytes), pieces, len > 1 ? 3 : 1, place);
    assert_int_equal(place->mark, key);
    note(t, key, (struct testjournal_value){.stamp = value.stamp, .len = len > 1 ? len : 0});
}

void testjournal_remove(struct testjournal *t, uint32_t key)
{
    uint8_t bytes[KEY_MAX];

    wz_journal_remove(t->journal, letter_of(key), key_of(key, bytes), &t->places[key]);
    assert_int_equal(t->places[key].offset, -1);
    note(t, key, (struct testjournal_value){0});
}

void testjournal_end(struct testjournal *t)
{
    int64_t offset = -1;

    wz_journal_end(t->journal, &offset);
    if (--t->depth > 0 || t->grouped_count == t->op_count) {
        assert_int_equal(offset, -1);
        return;
    }
    assert_int_equal(offset, t->group_offset + (int64_t)(t->op_count - t->grouped_count) - 1);
    for (; t->grouped_count < t->op_count; t->grouped_count++)
        t->ops[t->grouped_count].group_offset = offset;
}

void testjournal_put_one(struct testjournal *t, uint32_t key, uint32_t len)
{
    testjournal_begin(t);
    testjournal_put(t, key, len);
    testjournal_end(t);
}

void testjournal_turn(struct testjournal *t) { uv_run(&t->loop.uv, UV_RUN_ONCE); }

void testjournal_run_until(struct testjournal *t, bool (*done)(struct testjournal *t))
{
    int64_t end_us = wz_clock_mono_us() + patience_us();

    while (!done(t)) {
        if (wz_clock_mono_us() > end_us)
            fail_msg("not within %lld s", patience_us() / 1000000);
        wz_log_want(wz_journal_log(t->journal));
        testjournal_turn(t);
    }
}

bool testjournal_is_durable(struct testjournal *t)
{
    struct wz_log *log = wz_journal_log(t->journal);

    return wz_log_durable_end(log) == wz_log_next_offset(log);
}

bool testjournal_is_ready(struct testjournal *t) { return wz_journal_ready(t->journal); }

bool testjournal_has_looked(struct testjournal *t)
{
    struct wz_journal_info info;

    wz_journal_info(t->journal, &info);
    return !info.looking;
}

bool testjournal_is_compacting(struct testjournal *t)
{
    struct wz_journal_info info;

    wz_journal_info(t->journal, &info);
    return info.compacting;
}

bool testjournal_is_idle(struct testjournal *t) { return !testjournal_is_compacting(t); }

int64_t testjournal_live_bytes(const struct testjournal *t)
{
    int64_t live = 0;

    for (uint32_t key = 0; key < TESTJOURNAL_KEYS; key++) {
        uint8_t bytes[KEY_MAX];

        if (t->values[key].stamp != 0)
            live +=
                (int64_t)(key_of(key, bytes).len + STAMP_LEN + t->values[key].len + RECORD_COST);
    }
    return live;
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
        return r == WZ_ERR_NOT_FOUND ? WZ_OK : r;
    (void)snprintf(path, sizeof(path), "%s/%s", copying->to, name);
    r = wz_fs_open(path, WZ_FS_CREATE, &fd);
    piece = (struct iovec){.iov_base = buf.ptr, .iov_len = buf.len};
    if (r == WZ_OK && buf.len > 0)
        r = wz_fs_write(fd, &piece, 1, 0);
    return r;
}

int testjournal_copy_files(const char *from, const char *to)
{
    struct copying copying = {.from = from, .to = to};

    return wz_fs_walk(from, copy_name, &copying);
}

void testjournal_copy(const struct testjournal *t, struct testjournal *ret_copy)
{
    testjournal_init(ret_copy);
    ret_copy->opt = t->opt;
    init_at(ret_copy);
    assert_int_equal(testjournal_copy_files(t->dir, ret_copy->dir), WZ_OK);
}

bool testjournal_is_as_then(const struct testjournal *t, const struct testjournal *again)
{
    struct testjournal_value *values = wz_zalloc(TESTJOURNAL_KEYS, sizeof(*values));
    bool same = true;

    for (size_t i = 0; i < t->op_count; i++) {
        if (t->ops[i].group_offset <= again->replayed_offset)
            values[t->ops[i].key] = t->ops[i].value;
    }
    for (int key = 0; key < TESTJOURNAL_KEYS; key++) {
        bool equal = values[key].stamp == again->values[key].stamp &&
                     values[key].len == again->values[key].len;

        if (!equal && same)
            print_error("key %d: %u of %u bytes, not %u of %u\n", key, again->values[key].stamp,
                        again->values[key].len, values[key].stamp, values[key].len);
        same = same && equal;
    }
    wz_free(values);
    return same;
}
