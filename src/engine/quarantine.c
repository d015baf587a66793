// SPDX-License-Identifier: Apache-2.0
// Owns the layout of the values of 'X' (docs/formats/journal.md).
#include "engine/quarantine.h"

#include "base/cursor.h"
#include "engine/lane.h"

#define FRONT_LEN (1 + 1 + 4 + 8 + 8 + 8 + 2 + 4 + 4)

void wz_quarantine_put(struct wz_buf *buf, const struct wz_quarantine *message)
{
    const struct wz_frame_record *record = &message->record;
    struct wz_slice reason = message->reason;
    uint8_t bytes[FRONT_LEN];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));

    if (reason.len > WZ_QUARANTINE_REASON_MAX)
        reason =
            wz_slice_sub(reason, reason.len - WZ_QUARANTINE_REASON_MAX, WZ_QUARANTINE_REASON_MAX);
    wz_pen_put_u8(&pen, record->stream);
    wz_pen_put_u8(&pen, record->hops);
    wz_pen_put_u32(&pen, message->attempts);
    wz_pen_put_u64(&pen, (uint64_t)record->offset);
    wz_pen_put_u64(&pen, (uint64_t)record->append_ms);
    wz_pen_put_u64(&pen, (uint64_t)message->time_ms);
    wz_pen_put_u16(&pen, (uint16_t)record->topic.len);
    wz_pen_put_u32(&pen, (uint32_t)reason.len);
    wz_pen_put_u32(&pen, (uint32_t)message->seen.len);
    wz_buf_add(buf, bytes, sizeof(bytes));
    wz_buf_add_slice(buf, record->topic);
    wz_buf_add_slice(buf, reason);
    wz_buf_add_slice(buf, message->seen);
    wz_buf_add_slice(buf, record->body);
}

int wz_quarantine_get(struct wz_slice value, struct wz_quarantine *ret_message)
{
    struct wz_cursor cur = wz_cursor(value);
    struct wz_quarantine message = {0};
    size_t topic_len;
    size_t reason_len;
    size_t seen_len;

    message.record.stream = wz_cursor_get_u8(&cur);
    message.record.hops = wz_cursor_get_u8(&cur);
    message.attempts = wz_cursor_get_u32(&cur);
    message.record.offset = (int64_t)wz_cursor_get_u64(&cur);
    message.record.append_ms = (int64_t)wz_cursor_get_u64(&cur);
    message.time_ms = (int64_t)wz_cursor_get_u64(&cur);
    topic_len = wz_cursor_get_u16(&cur);
    reason_len = wz_cursor_get_u32(&cur);
    seen_len = wz_cursor_get_u32(&cur);
    message.record.topic = wz_cursor_get_bytes(&cur, topic_len);
    message.reason = wz_cursor_get_bytes(&cur, reason_len);
    message.seen = wz_cursor_get_bytes(&cur, seen_len);
    if (cur.failed)
        return WZ_ERR_CORRUPT;
    message.record.body = wz_cursor_get_bytes(&cur, wz_cursor_left(&cur));
    message.record.lane = wz_lane_of(message.record.topic);
    *ret_message = message;
    return WZ_OK;
}

struct wz_slice wz_quarantine_short(struct wz_slice reason)
{
    while (reason.len > 0 && reason.ptr[reason.len - 1] == '\n')
        reason.len--;
    for (size_t i = reason.len; i > 0; i--)
        if (reason.ptr[i - 1] == '\n')
            return wz_slice_sub(reason, i, reason.len - i);
    return reason;
}
