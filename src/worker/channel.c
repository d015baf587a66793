// SPDX-License-Identifier: Apache-2.0
// Owns descriptor 3: blocking reads of many frames at a time, and the buffer in which results
// gather.
#include "worker/channel.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "worker/state.h"

#define WZ_CHANNEL_READ_BYTES (256 * 1024)

static void write_all(int fd, struct wz_slice s)
{
    while (s.len > 0) {
        ssize_t n = write(fd, s.ptr, s.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            _exit(1); // nobody is left to be told
        s = wz_slice_sub(s, (size_t)n, s.len - (size_t)n);
    }
}

void wz_channel_send(struct wz_channel *ch, struct wz_slice frames) { write_all(ch->fd, frames); }

// Puts the last result of a run into the frame, and with it the others.
static void end_run(struct wz_channel *ch)
{
    size_t start;

    if (ch->run == 0)
        return;
    start = wz_frame_result_open(&ch->results, ch->run_stream, ch->run_offset, ch->run - 1);
    wz_frame_result_close(&ch->results, start, WZ_FRAME_OK, 0);
    ch->result_count++;
    ch->run = 0;
}

void wz_channel_flush(struct wz_channel *ch)
{
    if (ch->result_count == 0 && ch->run == 0)
        return;
    end_run(ch);
    wz_state_put_changes(ch->state, &ch->results);
    wz_frame_list_close(&ch->results, 0, ch->result_count);
    write_all(ch->fd, wz_buf_slice(&ch->results));
    ch->results.len = 0;
    ch->result_count = 0;
    ch->flushed_us = wz_clock_mono_us();
}

void wz_channel_result_open(struct wz_channel *ch, enum wz_frame_type type, uint8_t stream,
                            int64_t offset)
{
    if (ch->list_type != type)
        wz_channel_flush(ch);
    ch->list_type = type;
    if (ch->results.len == 0)
        wz_frame_list_open(&ch->results, type);
    ch->stream = stream;
    ch->offset = offset;
    ch->result_start = wz_frame_result_open(&ch->results, stream, offset, ch->run);
}

void wz_channel_result_reset(struct wz_channel *ch)
{
    ch->results.len = ch->result_start + WZ_FRAME_RESULT_LEN;
}

size_t wz_channel_result_len(const struct wz_channel *ch)
{
    return ch->results.len - ch->result_start - WZ_FRAME_RESULT_LEN;
}

// Reads on behind what BUF holds.
static int fill(struct wz_channel *ch, struct wz_buf *buf)
{
    ssize_t n;

    wz_buf_reserve(buf, WZ_CHANNEL_READ_BYTES);
    do
        n = read(ch->fd, buf->ptr + buf->len, buf->cap - buf->len);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return WZ_END;
    buf->len += (size_t)n;
    return WZ_OK;
}

// IN is used up: what came in the meantime is the next IN.
static void take_ahead(struct wz_channel *ch)
{
    struct wz_buf empty = ch->in;

    empty.len = 0;
    ch->in = ch->ahead;
    ch->ahead = empty;
}

int wz_channel_next(struct wz_channel *ch, struct wz_frame *ret_frame)
{
    size_t len;
    int r;

    for (;;) {
        struct wz_slice rest = wz_slice(ch->in.ptr, ch->in.len);

        if (rest.len > 0)
            rest = wz_slice_sub(rest, ch->in_done, rest.len - ch->in_done);
        r = wz_frame_read(rest, ret_frame, &len);
        if (r == WZ_OK)
            ch->in_done += len;
        if (r != WZ_AGAIN)
            return r;
        wz_buf_consume(&ch->in, ch->in_done);
        ch->in_done = 0;
        if (ch->ahead.len > 0) {
            take_ahead(ch);
            continue;
        }
        wz_channel_flush(ch);
        if (fill(ch, &ch->in) != WZ_OK)
            return WZ_END;
    }
}

// Sends what is gathered, but for the open result.
static void flush_closed(struct wz_channel *ch)
{
    WZ_AUTO(wz_buf_release) struct wz_buf items = {0};
    size_t len = wz_channel_result_len(ch);

    if (ch->result_count == 0 && ch->run == 0)
        return;
    wz_buf_add(&items, ch->results.ptr + ch->results.len - len, len);
    ch->results.len = ch->result_start;
    wz_channel_flush(ch);
    wz_channel_result_open(ch, ch->list_type, ch->stream, ch->offset);
    wz_buf_add_slice(&ch->results, wz_buf_slice(&items));
}

// The frame at hand stays where it is in IN: a call works on it.
static void move_rest_ahead(struct wz_channel *ch)
{
    wz_buf_add(&ch->ahead, ch->in.ptr + ch->in_done, ch->in.len - ch->in_done);
    ch->in.len = ch->in_done;
}

int wz_channel_ask(struct wz_channel *ch, struct wz_slice request, enum wz_frame_type type,
                   struct wz_buf *ret_payload)
{
    struct wz_frame frame;
    size_t pos = 0;
    size_t len;
    int r;

    flush_closed(ch);
    write_all(ch->fd, request);
    move_rest_ahead(ch);
    for (;;) {
        r = wz_frame_read(wz_slice_sub(wz_buf_slice(&ch->ahead), pos, ch->ahead.len - pos), &frame,
                          &len);
        if (r == WZ_OK && frame.type == type)
            break;
        if (r == WZ_OK)
            pos += len;
        else if (r == WZ_AGAIN)
            r = fill(ch, &ch->ahead);
        if (r != WZ_OK)
            return r;
    }
    wz_buf_add_slice(ret_payload, frame.payload);
    memmove(ch->ahead.ptr + pos, ch->ahead.ptr + pos + len, ch->ahead.len - pos - len);
    ch->ahead.len -= len;
    return WZ_OK;
}

void wz_channel_result_close(struct wz_channel *ch, enum wz_frame_status status,
                             uint32_t item_count)
{
    if (status == WZ_FRAME_OK && item_count == 0) {
        ch->results.len = ch->result_start;
        ch->run++;
        ch->run_stream = ch->stream;
        ch->run_offset = ch->offset;
    } else {
        wz_frame_result_close(&ch->results, ch->result_start, status, item_count);
        ch->result_count++;
        ch->run = 0;
    }
    if (ch->results.len + ch->state->dirty_bytes >= WZ_CHANNEL_FLUSH_BYTES ||
        wz_clock_mono_us() - ch->flushed_us >= WZ_CHANNEL_FLUSH_US)
        wz_channel_flush(ch);
}
