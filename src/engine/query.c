// SPDX-License-Identifier: Apache-2.0
// Owns one look back: it reads backward, and turns what it found round.
#include "engine/query.h"

#include "base/list.h"
#include "base/mem.h"
#include "engine/lane.h"
#include "stream/reader.h"

// The most records, and bytes of them, in an answer.
#define QUERY_RECORDS_MAX 10000
#define QUERY_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct wz_query {
    uv_work_t work;
    struct wz_log *log;
    struct wz_frame_query asked;
    char *pattern;
    wz_query_fn found;
    void *arg;
    atomic_bool cancelled;  // set by the loop thread
    struct wz_buf backward; // records, newest first
    struct wz_buf lengths;  // size_t of each
    uint32_t count;
    int err;
};

static void keep(struct wz_query *query, const struct wz_record *record)
{
    const struct wz_frame_record found = {
        .stream = query->asked.stream,
        .lane = wz_lane_of(record->key),
        .offset = record->offset,
        .append_ms = record->append_ms,
        .topic = record->key,
        .body = record->value,
    };
    size_t len = wz_frame_record_len(&found);

    wz_frame_put_record(&query->backward, &found);
    wz_buf_add(&query->lengths, &len, sizeof(len));
    query->count++;
}

// On the pool.
static void look(uv_work_t *work)
{
    struct wz_query *query = WZ_CONTAINER(work, struct wz_query, work);
    const struct wz_frame_query *asked = &query->asked;
    struct wz_reader_options options = {
        .direction = WZ_BACKWARD,
        .position = asked->before,
        .pattern = wz_slice_str(query->pattern),
        .limit_ms = asked->since_ms,
        .cancelled = &query->cancelled,
    };
    struct wz_reader *reader;
    struct wz_record record;
    int64_t end;

    if (asked->until_ms > 0) {
        query->err = wz_log_find_time(query->log, asked->until_ms, &end);
        if (query->err < 0)
            return;
        if (end < options.position)
            options.position = end;
    }
    query->err = wz_reader_open(query->log, &options, &reader);
    if (query->err < 0)
        return;
    while (query->count < asked->limit && query->backward.len < QUERY_BYTES_MAX) {
        query->err = wz_reader_next(reader, &record);
        if (query->err != WZ_OK)
            break;
        if (!record.key_null && !record.value_null)
            keep(query, &record);
    }
    wz_reader_close(reader);
}

static void put_answer(struct wz_query *query, struct wz_buf *frame)
{
    size_t at = query->backward.len;
    size_t start;
    size_t len;

    if (query->err < 0) {
        wz_frame_put_not_found(frame, wz_slice_str(wz_err_text(query->err)));
        return;
    }
    start = wz_frame_found_open(frame);
    wz_buf_reserve(frame, query->backward.len);
    for (uint32_t i = query->count; i > 0; i--) {
        memcpy(&len, query->lengths.ptr + (i - 1) * sizeof(len), sizeof(len));
        at -= len;
        wz_buf_add(frame, query->backward.ptr + at, len);
    }
    wz_frame_found_close(frame, start, query->count);
}

static void on_done(uv_work_t *work, int status)
{
    struct wz_query *query = WZ_CONTAINER(work, struct wz_query, work);
    WZ_AUTO(wz_buf_release) struct wz_buf frame = {0};

    (void)status; // nobody cancels the work
    if (!query->cancelled) {
        put_answer(query, &frame);
        query->found(query->arg, wz_buf_slice(&frame));
    }
    wz_buf_release(&query->backward);
    wz_buf_release(&query->lengths);
    wz_free(query->pattern);
    wz_free(query);
}

struct wz_query *wz_query_start(uv_loop_t *uv, struct wz_log *log,
                                const struct wz_frame_query *asked, wz_query_fn found, void *arg)
{
    struct wz_query *query = wz_zalloc(1, sizeof(*query));

    query->log = log;
    query->asked = *asked;
    query->pattern = wz_strndup(asked->pattern.ptr, asked->pattern.len);
    if (query->asked.limit > QUERY_RECORDS_MAX)
        query->asked.limit = QUERY_RECORDS_MAX;
    query->found = found;
    query->arg = arg;
    // Fails only without a function to run.
    WZ_ASSERT(uv_queue_work(uv, &query->work, look, on_done) == 0);
    return query;
}

void wz_query_cancel(struct wz_query *query)
{
    if (query)
        atomic_store_explicit(&query->cancelled, true, memory_order_relaxed);
}
