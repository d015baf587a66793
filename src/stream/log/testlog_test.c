// SPDX-License-Identifier: Apache-2.0
// Owns the folder and the records of the log's tests.
#include "stream/log/testlog_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"

// Big enough for every value that a test asks for.
static uint8_t letters[2 * 1024 * 1024];

static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct testlog *t = arg;

    assert_true(durable_end >= t->durable_end);
    t->durable_end = durable_end;
    t->state_changes += state_err != t->state_err;
    t->state_err = state_err;
}

void testlog_init(struct testlog *t)
{
    *t = (struct testlog){.topics = 7};
    (void)snprintf(t->dir, sizeof(t->dir), "/tmp/wyze-log-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    wz_mailbox_init(&t->mailbox, 16, NULL, NULL);
    t->opt = (struct wz_log_options){.loop_mail = &t->mailbox, .on_durable = on_durable, .arg = t};
    if (letters[0] == 0) {
        for (size_t i = 0; i < sizeof(letters); i++)
            letters[i] = (uint8_t)('a' + i % 23);
    }
}

const char *testlog_path(const struct testlog *t, const char *name)
{
    static char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", t->dir, name);
    return path;
}

static int remove_name(const char *name, void *arg)
{
    return wz_fs_remove(testlog_path(arg, name));
}

void testlog_release(struct testlog *t)
{
    assert_int_equal(wz_fs_walk(t->dir, remove_name, t), WZ_OK);
    assert_int_equal(rmdir(t->dir), 0);
    wz_ignore((int)wz_mailbox_run(&t->mailbox)); // a letter of a closed log frees itself
    wz_mailbox_release(&t->mailbox);
}

void testlog_open(struct testlog *t)
{
    struct wz_problem problem = {0};
    int r = wz_log_open(t->dir, &t->opt, &t->log, &t->recovery, &problem);

    if (r < 0)
        fail_msg("%s %s", problem.what, problem.where);
    t->durable_end = wz_log_durable_end(t->log);
    t->state_err = WZ_OK;
    t->state_changes = 0;
}

int testlog_close(struct testlog *t)
{
    int r = wz_log_close(t->log);

    t->log = NULL;
    return r;
}

// The topic and the first bytes of the value follow from the offset.
static void expect(const struct testlog *t, int64_t offset, char ret_key[32], char ret_head[32])
{
    (void)snprintf(ret_key, 32, "site.%u.temp", (unsigned)((uint64_t)offset % t->topics));
    (void)snprintf(ret_head, 32, "{\"n\":%lld,\"v\":", (long long)offset);
}

int testlog_append(struct testlog *t, size_t len)
{
    int64_t offset = wz_log_next_offset(t->log);
    char key[32];
    char head[32];
    int64_t given;
    int r;

    expect(t, offset, key, head);
    r = wz_log_append(
        t->log,
        &(struct wz_record_parts){.key = wz_slice_str(key),
                                  .value = {wz_slice_str(head), wz_slice(letters, len)},
                                  .value_count = 2},
        &given);
    if (r == WZ_OK)
        assert_int_equal(given, offset);
    return r;
}

int testlog_append_group(struct testlog *t, size_t count, size_t len)
{
    struct wz_record_parts *parts = wz_zalloc(count, sizeof(*parts));
    char(*texts)[2][32] = wz_zalloc(count, sizeof(*texts));
    int64_t offset = wz_log_next_offset(t->log);
    int64_t given;
    int r;

    for (size_t i = 0; i < count; i++) {
        expect(t, offset + (int64_t)i, texts[i][0], texts[i][1]);
        parts[i] =
            (struct wz_record_parts){.key = wz_slice_str(texts[i][0]),
                                     .value = {wz_slice_str(texts[i][1]), wz_slice(letters, len)},
                                     .value_count = 2};
    }
    r = wz_log_append_group(t->log, parts, count, &given);
    if (r == WZ_OK)
        assert_int_equal(given, offset);
    wz_free(parts);
    wz_free(texts);
    return r;
}

void testlog_wait(struct testlog *t)
{
    assert_true(wz_mailbox_wait(&t->mailbox));
    assert_true(wz_mailbox_run(&t->mailbox) > 0);
}

void testlog_settle(struct testlog *t)
{
    while (t->durable_end < wz_log_next_offset(t->log)) {
        wz_log_flush(t->log);
        testlog_wait(t);
    }
}

void testlog_append_many(struct testlog *t, int count, size_t len)
{
    for (int i = 0; i < count; i++) {
        int r = testlog_append(t, len);

        while (r == WZ_ERR_BUSY) {
            wz_log_flush(t->log);
            testlog_wait(t);
            r = testlog_append(t, len);
        }
        assert_int_equal(r, WZ_OK);
    }
    wz_log_flush(t->log);
}

bool testlog_is_right(const struct testlog *t, const struct wz_record *record)
{
    char key[32];
    char head[32];
    size_t len;

    expect(t, record->offset, key, head);
    len = strlen(head);
    return wz_slice_eq(record->key, wz_slice_str(key)) && record->value.len >= len &&
           wz_slice_starts(record->value, wz_slice_str(head)) &&
           memcmp(record->value.ptr + len, letters, record->value.len - len) == 0;
}

int64_t testlog_count(struct testlog *t, int64_t *ret_last)
{
    struct wz_reader *reader;
    struct wz_record record;
    int64_t last = -1;
    int64_t count = 0;
    int r;

    assert_int_equal(wz_reader_open(t->log, &(struct wz_reader_options){0}, &reader), WZ_OK);
    while ((r = wz_reader_next(reader, &record)) == WZ_OK) {
        if (!testlog_is_right(t, &record) || record.offset <= last)
            fail_msg("offset %lld behind %lld is wrong", (long long)record.offset, (long long)last);
        last = record.offset;
        count++;
    }
    assert_int_equal(r, WZ_END);
    wz_reader_close(reader);
    if (ret_last != NULL)
        *ret_last = last;
    return count;
}

struct copying {
    const struct testlog *from;
    const struct testlog *to;
};

static int copy_name(const char *name, void *arg)
{
    struct copying *copying = arg;
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    int r = wz_fs_load(testlog_path(copying->from, name), 1 << 30, &buf);
    struct iovec piece = {.iov_base = buf.ptr, .iov_len = buf.len};

    if (r == WZ_OK)
        r = wz_fs_open(testlog_path(copying->to, name), WZ_FS_CREATE, &fd);
    if (r == WZ_OK && buf.len > 0)
        r = wz_fs_write(fd, &piece, 1, 0);
    return r;
}

void testlog_copy(const struct testlog *t, struct testlog *ret_copy)
{
    struct copying copying = {.from = t, .to = ret_copy};

    testlog_init(ret_copy);
    ret_copy->topics = t->topics;
    ret_copy->opt = t->opt;
    ret_copy->opt.loop_mail = &ret_copy->mailbox;
    ret_copy->opt.arg = ret_copy;
    assert_int_equal(wz_fs_walk(t->dir, copy_name, &copying), WZ_OK);
}
