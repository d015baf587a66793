// SPDX-License-Identifier: Apache-2.0
// Owns descriptor 3: blocking reads of many frames at a time, and the buffer in which results
// gather.
#include "worker/channel.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"

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

void wz_channel_flush(struct wz_channel *ch)
{
    if (ch->result_count == 0)
        return;
    wz_frame_list_close(&ch->results, 0, ch->result_count);
    write_all(ch->fd, wz_buf_slice(&ch->results));
    ch->results.len = 0;
    ch->result_count = 0;
    ch->flushed_us = wz_clock_mono_us();
}

static int fill(struct wz_channel *ch)
{
    ssize_t n;

    wz_channel_flush(ch);
    wz_buf_reserve(&ch->in, WZ_CHANNEL_READ_BYTES);
    do
        n = read(ch->fd, ch->in.ptr + ch->in.len, ch->in.cap - ch->in.len);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return WZ_END;
    ch->in.len += (size_t)n;
    return WZ_OK;
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
        if (fill(ch) != WZ_OK)
            return WZ_END;
    }
}

void wz_channel_result_open(struct wz_channel *ch, enum wz_frame_type type, uint8_t stream,
                            int64_t offset)
{
    if (ch->list_type != type)
        wz_channel_flush(ch);
    if (ch->result_count == 0) {
        ch->results.len = 0;
        ch->list_type = type;
        wz_frame_list_open(&ch->results, type);
    }
    ch->result_start = wz_frame_result_open(&ch->results, stream, offset);
}

void wz_channel_result_reset(struct wz_channel *ch)
{
    ch->results.len = ch->result_start + WZ_FRAME_RESULT_LEN;
}

size_t wz_channel_result_len(const struct wz_channel *ch)
{
    return ch->results.len - ch->result_start - WZ_FRAME_RESULT_LEN;
}

void wz_channel_result_close(struct wz_channel *ch, enum wz_frame_status status,
                             uint32_t item_count)
{
    wz_frame_result_close(&ch->results, ch->result_start, status, item_count);
    ch->result_count++;
    if (ch->results.len >= WZ_CHANNEL_FLUSH_BYTES ||
        wz_clock_mono_us() - ch->flushed_us >= WZ_CHANNEL_FLUSH_US)
        wz_channel_flush(ch);
}
