// SPDX-License-Identifier: Apache-2.0
// The frames of both sides of a worker's pipe: all slices lie inside the payload, and what a
// decoder takes, written again, becomes the same bytes.
#include "base/mem.h"
#include "wire/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

// What was written again must be the frame that was read.
static void check_same(struct wz_slice payload, const struct wz_buf *again)
{
    WZ_ASSERT(again->len == WZ_FRAME_HEADER_LEN + payload.len);
    if (payload.len > 0)
        WZ_ASSERT(memcmp(again->ptr + WZ_FRAME_HEADER_LEN, payload.ptr, payload.len) == 0);
}

static void check_load(struct wz_slice payload, struct wz_buf *again)
{
    struct wz_frame_load load;

    if (wz_frame_get_load(payload, &load) < 0)
        return;
    wz_frame_put_load(again, &load);
    check_same(payload, again);
}

static void check_invalid(struct wz_slice payload, struct wz_buf *again)
{
    struct wz_frame_invalid invalid;

    if (wz_frame_get_invalid(payload, &invalid) < 0)
        return;
    wz_frame_put_invalid(again, &invalid);
    check_same(payload, again);
}

static void check_log(struct wz_slice payload, struct wz_buf *again)
{
    struct wz_frame_log log;

    if (wz_frame_get_log(payload, &log) < 0)
        return;
    wz_frame_put_log(again, &log);
    check_same(payload, again);
}

static void check_query(struct wz_slice payload, struct wz_buf *again)
{
    struct wz_frame_query query;

    if (wz_frame_get_query(payload, &query) < 0)
        return;
    wz_frame_put_query(again, &query);
    check_same(payload, again);
}

// Writes the records of a list again; WZ_END when all of them could be read.
static int write_records(struct wz_slice list, struct wz_buf *again, uint32_t *ret_count)
{
    struct wz_frame_record record;
    struct wz_frame_iter it;
    int r = wz_frame_iter_init(&it, list);

    *ret_count = 0;
    while (r == WZ_OK) {
        r = wz_frame_next_record(&it, &record);
        if (r == WZ_OK) {
            wz_frame_put_record(again, &record);
            ++*ret_count;
        }
    }
    return r;
}

static void check_batch(struct wz_slice payload, struct wz_buf *again)
{
    size_t start = wz_frame_list_open(again, WZ_FRAME_BATCH);
    uint32_t count;

    if (write_records(payload, again, &count) != WZ_END)
        return;
    wz_frame_list_close(again, start, count);
    check_same(payload, again);
}

static void check_found(struct wz_slice payload, struct wz_buf *again)
{
    struct wz_frame_found found;
    uint32_t count;
    size_t start;

    if (wz_frame_get_found(payload, &found) < 0)
        return;
    if (found.error.len > 0) {
        wz_frame_put_not_found(again, found.error);
    } else {
        start = wz_frame_found_open(again);
        if (write_records(found.records, again, &count) != WZ_END)
            return;
        wz_frame_found_close(again, start, count);
    }
    check_same(payload, again);
}

// Writes the entries that are left again; WZ_END when all of them could be read.
static int write_entries(struct wz_frame_iter *it, struct wz_buf *again, uint32_t *ret_count)
{
    struct wz_frame_entry entry;
    int r;

    *ret_count = 0;
    while ((r = wz_frame_next_entry(it, &entry)) == WZ_OK) {
        wz_frame_put_entry(again, &entry);
        ++*ret_count;
    }
    return r;
}

static void check_state(struct wz_slice payload, struct wz_buf *again)
{
    size_t start = wz_frame_list_open(again, WZ_FRAME_STATE);
    struct wz_frame_iter it;
    uint32_t count;

    if (wz_frame_iter_init(&it, payload) < 0 || write_entries(&it, again, &count) != WZ_END)
        return;
    wz_frame_list_close(again, start, count);
    check_same(payload, again);
}

static int write_items(const struct wz_frame_result *result, struct wz_buf *again)
{
    struct wz_frame_iter it = wz_frame_items(result);
    struct wz_frame_item item;
    int r;

    while ((r = wz_frame_next_item(&it, &item)) == WZ_OK)
        wz_frame_put_item(again, &item);
    return r;
}

static void check_results(struct wz_slice payload, struct wz_buf *again)
{
    size_t start = wz_frame_list_open(again, WZ_FRAME_RESULT);
    struct wz_frame_result result;
    struct wz_frame_iter it;
    uint32_t count = 0;
    uint32_t changes;
    size_t place;

    if (wz_frame_iter_init(&it, payload) < 0)
        return;
    while (wz_frame_next_result(&it, &result) == WZ_OK) {
        place = wz_frame_result_open(again, result.stream, result.offset, result.before);
        if (write_items(&result, again) != WZ_END)
            return;
        wz_frame_result_close(again, place, result.status, result.item_count);
        count++;
    }
    if (it.left > 0 || wz_frame_changes(&it) < 0)
        return;
    wz_frame_put_change_count(again, it.left);
    if (write_entries(&it, again, &changes) != WZ_END)
        return;
    wz_frame_list_close(again, start, count);
    check_same(payload, again);
}

typedef void (*check_fn)(struct wz_slice payload, struct wz_buf *again);

static const check_fn checks[] = {
    [WZ_FRAME_LOAD] = check_load,       [WZ_FRAME_BATCH] = check_batch,
    [WZ_FRAME_STATE] = check_state,     [WZ_FRAME_FOUND] = check_found,
    [WZ_FRAME_INVALID] = check_invalid, [WZ_FRAME_STARTED] = check_results,
    [WZ_FRAME_RESULT] = check_results,  [WZ_FRAME_DRAINED] = check_results,
    [WZ_FRAME_LOG] = check_log,         [WZ_FRAME_QUERY] = check_query,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct wz_slice rest = wz_slice(bytes, len);
    struct wz_frame frame;
    size_t frame_len;

    while (wz_frame_read(rest, &frame, &frame_len) == WZ_OK) {
        WZ_AUTO(wz_free_ptr) uint8_t *copy = wz_alloc(frame.payload.len);
        WZ_AUTO(wz_buf_release) struct wz_buf again = {0};

        WZ_ASSERT(frame_len <= rest.len);
        rest = wz_slice_sub(rest, frame_len, rest.len - frame_len);
        if (frame.payload.len > 0) // a piece of memory of its own shows a read past the payload
            memcpy(copy, frame.payload.ptr, frame.payload.len);
        frame.payload.ptr = copy;
        if (checks[frame.type] != NULL)
            checks[frame.type](frame.payload, &again);
    }
    return 0;
}
