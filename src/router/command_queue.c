// SPDX-License-Identifier: Apache-2.0
// Owns the bytes of queued commands: for each a head and the bytes of topic and value behind it.
// Bytes in front that are not in use are given back when they are more than half, so moving costs
// less than a copy for each command.
#include "router/command_queue.h"

#include "base/mem.h"

// A queue that has been emptied keeps at most this much memory.
#define KEEP_BYTES 65536

struct head {
    int64_t offset;
    int64_t append_ms;
    uint32_t topic_len;
    uint32_t value_len;
    enum wz_form form;
    bool journaled;
};

void wz_command_queue_release(struct wz_command_queue *queue)
{
    wz_buf_release(&queue->buf);
    queue->head = 0;
}

void wz_command_queue_push(struct wz_command_queue *queue, const struct wz_command *command)
{
    struct head head = {
        .offset = command->offset,
        .append_ms = command->append_ms,
        .topic_len = (uint32_t)command->topic.len,
        .value_len = (uint32_t)command->value.len,
        .form = command->form,
        .journaled = command->journaled,
    };

    wz_buf_add(&queue->buf, &head, sizeof(head));
    wz_buf_add_slice(&queue->buf, command->topic);
    wz_buf_add_slice(&queue->buf, command->value);
}

bool wz_command_queue_first(const struct wz_command_queue *queue, struct wz_command *ret_command)
{
    const uint8_t *at;
    struct head head;

    if (wz_command_queue_bytes(queue) == 0)
        return false;
    at = queue->buf.ptr + queue->head;
    memcpy(&head, at, sizeof(head));
    at += sizeof(head);
    *ret_command = (struct wz_command){
        .offset = head.offset,
        .append_ms = head.append_ms,
        .topic = wz_slice(at, head.topic_len),
        .value = wz_slice(at + head.topic_len, head.value_len),
        .form = head.form,
        .journaled = head.journaled,
    };
    return true;
}

void wz_command_queue_shift(struct wz_command_queue *queue)
{
    struct wz_command first;

    WZ_ASSERT(wz_command_queue_first(queue, &first));
    queue->head += sizeof(struct head) + first.topic.len + first.value.len;
    if (queue->head == queue->buf.len) {
        wz_command_queue_clear(queue);
    } else if (queue->head > queue->buf.len / 2 && queue->head > KEEP_BYTES) {
        wz_buf_consume(&queue->buf, queue->head);
        queue->head = 0;
    }
}

void wz_command_queue_clear(struct wz_command_queue *queue)
{
    queue->head = 0;
    queue->buf.len = 0;
    if (queue->buf.cap > KEEP_BYTES)
        wz_buf_release(&queue->buf);
}

size_t wz_command_queue_bytes(const struct wz_command_queue *queue)
{
    return queue->buf.len - queue->head;
}
