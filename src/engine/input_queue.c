// SPDX-License-Identifier: Apache-2.0
// Owns the bytes of queued records. Answered bytes at the front are given back when they are more
// than half of the buffer, so moving costs less than a copy for each record.
#include "engine/input_queue.h"

#include "base/mem.h"

// A buffer that has been emptied keeps at most this much memory.
#define WZ_INPUT_QUEUE_KEEP_BYTES 65536

static struct wz_slice tail_of(const struct wz_input_queue *queue, size_t from)
{
    return wz_slice(queue->buf.ptr + from, queue->buf.len - from);
}

void wz_input_queue_release(struct wz_input_queue *queue)
{
    wz_buf_release(&queue->buf);
    *queue = (struct wz_input_queue){0};
}

void wz_input_queue_push(struct wz_input_queue *queue, const struct wz_frame_record *record)
{
    wz_frame_put_record(&queue->buf, record);
    queue->count++;
}

void wz_input_queue_append(struct wz_input_queue *queue, struct wz_input_queue *other)
{
    WZ_ASSERT(other->sent == other->head);
    if (other->count == 0)
        return;
    wz_buf_add_slice(&queue->buf, tail_of(other, other->head));
    queue->count += other->count;
    wz_input_queue_clear(other);
}

// The record at byte FROM of the buffer. What the queue holds is its own: it cannot be malformed.
static size_t record_at(const struct wz_input_queue *queue, size_t from,
                        struct wz_frame_record *ret_record)
{
    struct wz_cursor cur = wz_cursor(tail_of(queue, from));

    wz_frame_get_record(&cur, ret_record);
    WZ_ASSERT(!cur.failed);
    return wz_frame_record_len(ret_record);
}

bool wz_input_queue_first(const struct wz_input_queue *queue, struct wz_frame_record *ret_record)
{
    if (queue->count == 0)
        return false;
    (void)record_at(queue, queue->head, ret_record); // its length is not wanted
    return true;
}

bool wz_input_queue_find(const struct wz_input_queue *queue, uint8_t stream, int64_t offset,
                         struct wz_frame_record *ret_record)
{
    for (size_t at = queue->head; at < queue->sent;) {
        at += record_at(queue, at, ret_record);
        if (ret_record->stream == stream && ret_record->offset == offset)
            return true;
    }
    return false;
}

bool wz_input_queue_has_sent(const struct wz_input_queue *queue, uint8_t lane)
{
    struct wz_frame_record record;

    for (size_t at = queue->head; at < queue->sent;) {
        at += record_at(queue, at, &record);
        if (record.lane == lane)
            return true;
    }
    return false;
}

void wz_input_queue_mark_opens(struct wz_input_queue *queue)
{
    if (queue->count > 0)
        wz_frame_record_set_opens(queue->buf.ptr + queue->head);
}

void wz_input_queue_take(struct wz_input_queue *queue, size_t max_bytes, uint32_t max_count,
                         struct wz_input_run *ret_run)
{
    struct wz_frame_record record;
    size_t at = queue->sent;
    uint32_t count = 0;

    *ret_run = (struct wz_input_run){0};
    if (at == queue->buf.len)
        return;
    while (at < queue->buf.len && count < max_count) {
        size_t len = record_at(queue, at, &record);

        if (count > 0 && at + len - queue->sent > max_bytes)
            break;
        at += len;
        count++;
    }
    ret_run->bytes = wz_slice(queue->buf.ptr + queue->sent, at - queue->sent);
    ret_run->count = count;
    queue->sent = at;
    queue->sent_count += count;
}

void wz_input_queue_sift(struct wz_input_queue *queue, uint8_t lane, struct wz_input_queue *other)
{
    struct wz_frame_record record;
    size_t to = queue->sent;

    for (size_t at = queue->sent; at < queue->buf.len;) {
        size_t len = record_at(queue, at, &record);

        if (record.lane == lane) {
            wz_buf_add(&other->buf, queue->buf.ptr + at, len);
            other->count++;
            queue->count--;
        } else {
            memmove(queue->buf.ptr + to, queue->buf.ptr + at, len);
            to += len;
        }
        at += len;
    }
    if (queue->buf.len > to)
        queue->buf.len = to;
    if (queue->count == 0)
        wz_input_queue_clear(queue);
}

void wz_input_queue_insert(struct wz_input_queue *queue, struct wz_input_queue *other)
{
    struct wz_slice more;
    uint8_t *at;

    WZ_ASSERT(other->sent == other->head);
    if (other->count == 0)
        return;
    more = tail_of(other, other->head);
    wz_buf_reserve(&queue->buf, more.len);
    at = queue->buf.ptr + queue->sent;
    memmove(at + more.len, at, queue->buf.len - queue->sent);
    memcpy(at, more.ptr, more.len);
    queue->buf.len += more.len;
    queue->count += other->count;
    wz_input_queue_clear(other);
}

void wz_input_queue_shift(struct wz_input_queue *queue)
{
    struct wz_frame_record record;

    WZ_ASSERT(queue->count > 0);
    queue->head += record_at(queue, queue->head, &record);
    queue->count--;
    if (queue->sent_count > 0)
        queue->sent_count--;
    if (queue->sent < queue->head)
        queue->sent = queue->head;
    if (queue->count == 0) {
        wz_input_queue_clear(queue);
    } else if (queue->head > queue->buf.len / 2) {
        wz_buf_consume(&queue->buf, queue->head);
        queue->sent -= queue->head;
        queue->head = 0;
    }
}

void wz_input_queue_rewind(struct wz_input_queue *queue)
{
    queue->sent = queue->head;
    queue->sent_count = 0;
}

void wz_input_queue_clear(struct wz_input_queue *queue)
{
    if (queue->buf.cap > WZ_INPUT_QUEUE_KEEP_BYTES)
        wz_buf_release(&queue->buf);
    queue->buf.len = 0;
    queue->head = 0;
    queue->sent = 0;
    queue->count = 0;
    queue->sent_count = 0;
}
