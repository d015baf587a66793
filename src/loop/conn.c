// SPDX-License-Identifier: Apache-2.0
// Owns reading into the turn's input area and writing what was gathered. A partial packet is copied
// in front of the next read, so that decoders always see whole runs of bytes.
#include "loop/conn.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/mem.h"

// Output is gathered in pieces of this size; a longer packet gets one of its own.
#define CHUNK_BYTES (16 * 1024)

// Pieces given to the system in one call.
#define WRITE_PIECES 64

// Counts that a buffer of the connection had BEFORE bytes and has AFTER.
static void count(struct wz_conn *conn, size_t before, size_t after)
{
    conn->bytes += after - before; // may wrap on its way
    wz_budget_count(&conn->loop->budget, before, after);
}

// Whether memory allows the next read: always into what is there, else if it may hold more.
static bool may_read(const struct wz_conn *conn)
{
    const struct wz_budget *budget = &conn->loop->budget;

    if (conn->held.len <= WZ_CONN_HELD_COPY)
        return conn->bytes <= WZ_BUDGET_SMALL || wz_budget_allows(budget, conn->bytes);
    return conn->held.cap - conn->held.len >= WZ_CONN_READ_BYTES || budget->passing == conn ||
           wz_budget_allows(budget, conn->bytes + WZ_CONN_READ_BYTES);
}

// Room behind what is held, which lies in a buffer of its own.
static uv_buf_t alloc_held(struct wz_conn *conn)
{
    size_t cap = conn->held.cap;

    wz_buf_reserve(&conn->held, WZ_CONN_READ_BYTES);
    count(conn, cap, conn->held.cap);
    return uv_buf_init((char *)conn->held.ptr + conn->held.len, WZ_CONN_READ_BYTES);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct wz_conn *conn = handle->data;
    struct wz_loop *loop = conn->loop;
    size_t left = WZ_LOOP_INPUT_BYTES - loop->input_used;

    (void)suggested; // 64 KiB always; ours depends on what is left of the turn
    *ret_buf = uv_buf_init(NULL, 0);
    if (conn->fresh.len > 0 || conn->ended || !wz_list_empty(&conn->ready))
        return; // it has had its share of this turn
    if (!may_read(conn))
        return; // on_read is told, and stops it
    if (conn->held.len > WZ_CONN_HELD_COPY) {
        *ret_buf = alloc_held(conn);
        return;
    }
    if (left < (size_t)2 * WZ_CONN_HELD_COPY) {
        if (wz_list_empty(&conn->late))
            wz_list_push(&loop->late, &conn->late);
        return; // the turn's share of all is used up; those who come late are read behind it
    }
    left = left - conn->held.len < WZ_CONN_READ_BYTES ? left - conn->held.len : WZ_CONN_READ_BYTES;
    if (left > WZ_CONN_HELD_COPY &&
        !wz_budget_allows(&loop->budget, loop->input_used + WZ_CONN_READ_BYTES))
        left = WZ_CONN_HELD_COPY; // what stays of it must not be much
    if (conn->held.len > 0)
        memcpy(loop->input + loop->input_used, conn->held.ptr, conn->held.len);
    *ret_buf = uv_buf_init((char *)loop->input + loop->input_used + conn->held.len, (unsigned)left);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct wz_conn *conn = stream->data;
    struct wz_loop *loop = conn->loop;

    if (got == UV_ENOBUFS && !may_read(conn)) {
        wz_budget_stop(&loop->budget, conn);
        (void)uv_read_stop(stream); // cannot fail
    }
    if (got == UV_ENOBUFS || got == 0 || conn->closing)
        return;
    if (got > 0 && conn->traffic != NULL)
        conn->traffic->read_bytes += got;
    if (got < 0) {
        conn->ended = true;
        conn->end_err = got == UV_EOF ? WZ_OK : WZ_ERR_CLOSED;
        (void)uv_read_stop(stream); // cannot fail
    } else if (conn->held.len > WZ_CONN_HELD_COPY) {
        conn->held.len += (size_t)got;
    } else {
        conn->fresh = wz_slice(buf->base - conn->held.len, conn->held.len + (size_t)got);
        loop->input_used += (conn->fresh.len + 63) & ~(size_t)63;
        count(conn, conn->held.cap, 0);
        wz_buf_release(&conn->held);
    }
    wz_list_remove(&conn->late);
    if (wz_list_empty(&conn->ready))
        wz_list_push(&loop->ready, &conn->ready);
}

// Only bytes are read here: libuv sees the end or an error by itself and tells it.
bool wz_conn_read_late(struct wz_conn *conn)
{
    uv_os_fd_t fd;
    uv_buf_t buf;
    ssize_t got;

    if (conn->loop->input_used + (size_t)2 * WZ_CONN_HELD_COPY > WZ_LOOP_INPUT_BYTES)
        return false;
    wz_list_remove(&conn->late);
    if (conn->paused || conn->draining || !wz_list_empty(&conn->stopped) ||
        uv_fileno((uv_handle_t *)&conn->tcp, &fd) < 0)
        return true;
    on_alloc((uv_handle_t *)&conn->tcp, 0, &buf);
    if (buf.len == 0) {
        on_read((uv_stream_t *)&conn->tcp, UV_ENOBUFS, &buf);
        return true;
    }
    do
        got = recv(fd, buf.base, buf.len, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        on_read((uv_stream_t *)&conn->tcp, got, &buf);
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct wz_conn *conn = handle->data;

    while (conn->out_first != NULL) {
        struct wz_conn_chunk *next = conn->out_first->next;

        wz_free(conn->out_first);
        conn->out_first = next;
    }
    wz_buf_release(&conn->held);
    count(conn, conn->bytes, 0);
    wz_free(conn->write);
    conn->write = NULL;
    conn->ops->closed(conn);
}

void wz_conn_accept(struct wz_conn *conn, struct wz_loop *loop, uv_stream_t *listener,
                    const struct wz_conn_ops *ops)
{
    conn->loop = loop;
    conn->ops = ops;
    wz_list_init(&conn->ready);
    wz_list_init(&conn->dirty);
    wz_list_init(&conn->late);
    wz_list_init(&conn->all);
    wz_list_init(&conn->stopped);
    (void)uv_tcp_init(&loop->uv, &conn->tcp); // makes no socket yet, cannot fail
    conn->tcp.data = conn;
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) < 0 ||
        uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) < 0) {
        conn->closing = true;
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
        return;
    }
    wz_budget_join(&loop->budget, conn);
    (void)uv_tcp_nodelay(&conn->tcp, 1);       // an answer without it is late, not wrong
    (void)uv_tcp_keepalive(&conn->tcp, 1, 60); // likewise: MQTT's keep-alive does the rest
}

// Keeps what input() has left of INPUT, which may lie in held itself: there it stays, unless it is
// so little that the long packet's buffer is not needed any more.
static void keep(struct wz_conn *conn, struct wz_slice input, size_t used)
{
    struct wz_slice rest = wz_slice_sub(input, used, input.len - used);
    struct wz_buf before = conn->held;

    if (rest.len > WZ_CONN_HELD_COPY && input.ptr == before.ptr) {
        wz_buf_consume(&conn->held, used);
        return;
    }
    conn->held = (struct wz_buf){0};
    wz_buf_add_slice(&conn->held, rest);
    wz_buf_release(&before);
}

void wz_conn_decode(struct wz_conn *conn)
{
    struct wz_slice input = conn->fresh.len > 0 ? conn->fresh : wz_buf_slice(&conn->held);
    size_t cap = conn->held.cap;
    ssize_t used = 0;

    conn->fresh = (struct wz_slice){0};
    if (conn->draining)
        return;
    if (input.len > 0 && !conn->paused)
        used = conn->ops->input(conn, input);
    if (conn->draining)
        return;
    if (used < 0) {
        wz_conn_close(conn, WZ_CONN_DRAIN, (int)used);
        return;
    }
    WZ_ASSERT((size_t)used <= input.len);
    if (used > 0)
        wz_budget_passed(&conn->loop->budget, conn);
    keep(conn, input, (size_t)used);
    count(conn, cap, conn->held.cap);
    wz_conn_ease(conn);
    if (conn->ended && !conn->paused)
        wz_conn_close(conn, WZ_CONN_NOW, conn->end_err);
}

uint8_t *wz_conn_reserve(struct wz_conn *conn, size_t len)
{
    struct wz_conn_chunk *chunk = conn->out_last;

    if (chunk == NULL || chunk->cap - chunk->len < len) {
        size_t cap = len < CHUNK_BYTES - sizeof(*chunk) ? CHUNK_BYTES - sizeof(*chunk) : len;

        chunk = wz_alloc(sizeof(*chunk) + cap);
        count(conn, 0, sizeof(*chunk) + cap);
        *chunk = (struct wz_conn_chunk){.cap = cap};
        if (conn->out_last != NULL)
            conn->out_last->next = chunk;
        else
            conn->out_first = chunk;
        conn->out_last = chunk;
    }
    return chunk->bytes + chunk->len;
}

void wz_conn_commit(struct wz_conn *conn, size_t len)
{
    conn->out_last->len += len;
    conn->out_bytes += len;
    if (wz_list_empty(&conn->dirty) && conn->write == NULL && !conn->closing)
        wz_list_push(&conn->loop->dirty, &conn->dirty);
}

// Takes LEN written bytes off the front of the output.
static void written(struct wz_conn *conn, size_t len)
{
    conn->out_bytes -= len;
    if (conn->traffic != NULL)
        conn->traffic->written_bytes += (int64_t)len;
    while (conn->out_first != NULL) {
        struct wz_conn_chunk *chunk = conn->out_first;
        size_t part = chunk->len - chunk->pos;

        if (part > len) {
            chunk->pos += len;
            return;
        }
        len -= part;
        conn->out_first = chunk->next;
        if (conn->out_first == NULL)
            conn->out_last = NULL;
        count(conn, sizeof(*chunk) + chunk->cap, 0);
        wz_free(chunk);
    }
}

static unsigned gather(const struct wz_conn *conn, uv_buf_t *ret_bufs, size_t *ret_len)
{
    unsigned count = 0;

    *ret_len = 0;
    for (struct wz_conn_chunk *chunk = conn->out_first; chunk != NULL && count < WRITE_PIECES;
         chunk = chunk->next) {
        size_t len = chunk->len - chunk->pos;

        ret_bufs[count++] = uv_buf_init((char *)chunk->bytes + chunk->pos, (unsigned)len);
        *ret_len += len;
    }
    return count;
}

static void on_written(uv_write_t *write, int status)
{
    struct wz_conn *conn = write->handle->data;
    size_t len = (size_t)(uintptr_t)write->data;

    wz_free(conn->write);
    conn->write = NULL;
    if (conn->closing)
        return;
    if (status < 0) {
        wz_conn_close(conn, WZ_CONN_NOW, WZ_ERR_CLOSED);
        return;
    }
    written(conn, len);
    wz_conn_flush(conn);
}

// Writes as much as the peer takes at once: WZ_OK when that was all, else WZ_AGAIN.
static int write_now(struct wz_conn *conn)
{
    while (conn->out_first != NULL) {
        uv_buf_t bufs[WRITE_PIECES];
        size_t len;
        unsigned count = gather(conn, bufs, &len);
        int done = uv_try_write((uv_stream_t *)&conn->tcp, bufs, count);

        if (done == UV_EAGAIN || done == 0)
            return WZ_AGAIN;
        if (done < 0)
            return WZ_ERR_CLOSED;
        written(conn, (size_t)done);
    }
    return WZ_OK;
}

// Lets libuv wait until the peer takes more; what is written stays where it is until then.
static int write_later(struct wz_conn *conn)
{
    uv_buf_t bufs[WRITE_PIECES];
    size_t len;
    unsigned count = gather(conn, bufs, &len);

    conn->write = wz_alloc(sizeof(*conn->write));
    conn->write->data = (void *)(uintptr_t)len;
    if (uv_write(conn->write, (uv_stream_t *)&conn->tcp, bufs, count, on_written) < 0) {
        wz_free(conn->write);
        conn->write = NULL;
        return WZ_ERR_CLOSED;
    }
    return WZ_OK;
}

void wz_conn_flush(struct wz_conn *conn)
{
    int r = conn->write == NULL ? write_now(conn) : WZ_OK;

    if (r == WZ_AGAIN && !conn->draining)
        r = write_later(conn);
    if (r < 0)
        wz_conn_close(conn, WZ_CONN_NOW, WZ_ERR_CLOSED);
    else if (conn->draining)
        wz_conn_close(conn, WZ_CONN_NOW, conn->end_err);
    else
        wz_conn_ease(conn);
}

// Offers to the system what connections have gathered in this turn. Nobody is closed here: their
// owners may be in the middle of something. What fails is left for the end of the turn.
static void offer_all(struct wz_loop *loop)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &loop->dirty)
    {
        struct wz_conn *conn = WZ_CONTAINER(it, struct wz_conn, dirty);
        int r = conn->draining ? WZ_ERR_CLOSED : write_now(conn);

        if (r == WZ_AGAIN)
            r = write_later(conn);
        if (r == WZ_OK && wz_list_empty(&conn->stopped))
            wz_list_remove(&conn->dirty); // else the end of the turn may ease it
    }
}

bool wz_conn_may_send(struct wz_conn *conn)
{
    const struct wz_budget *budget = &conn->loop->budget;

    if (wz_budget_is_tight(budget))
        offer_all(conn->loop);
    return conn->write != NULL ? wz_budget_allows(budget, conn->bytes) : !wz_budget_is_full(budget);
}

// Reads, unless the connection ends, or its owner or the budget has stopped it.
static void read_on(struct wz_conn *conn)
{
    if (conn->paused || conn->ended || conn->draining || !wz_list_empty(&conn->stopped))
        return;
    if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) < 0)
        wz_conn_close(conn, WZ_CONN_NOW, WZ_ERR_CLOSED);
}

void wz_conn_ease(struct wz_conn *conn)
{
    if (wz_list_empty(&conn->stopped) || !may_read(conn))
        return;
    wz_list_remove(&conn->stopped);
    read_on(conn);
}

void wz_conn_pause(struct wz_conn *conn)
{
    conn->paused = true;
    (void)uv_read_stop((uv_stream_t *)&conn->tcp); // cannot fail
}

void wz_conn_resume(struct wz_conn *conn)
{
    if (!conn->paused || conn->closing)
        return;
    conn->paused = false;
    read_on(conn);
    if (conn->closing)
        return;
    if ((conn->held.len > 0 || conn->ended) && wz_list_empty(&conn->ready)) {
        wz_list_push(&conn->loop->ready, &conn->ready);
        (void)uv_async_send(&conn->loop->async); // else the loop may go to sleep over it
    }
}

void wz_conn_close(struct wz_conn *conn, enum wz_conn_how how, int err)
{
    if (conn->closing)
        return;
    if (!conn->draining) {
        conn->end_err = err;
        conn->draining = true;
        (void)uv_read_stop((uv_stream_t *)&conn->tcp); // cannot fail
        wz_list_remove(&conn->stopped);
        conn->ops->end(conn, err);
    }
    if (how == WZ_CONN_DRAIN) {
        if (wz_list_empty(&conn->dirty))
            wz_list_push(&conn->loop->dirty, &conn->dirty);
        return;
    }
    conn->closing = true;
    wz_list_remove(&conn->ready);
    wz_list_remove(&conn->dirty);
    wz_list_remove(&conn->late);
    wz_budget_leave(&conn->loop->budget, conn);
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

void wz_conn_peer(const struct wz_conn *conn, char ret_text[64])
{
    struct sockaddr_storage addr;
    int len = sizeof(addr);
    char host[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addr;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&addr;

    ret_text[0] = '\0';
    if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&addr, &len) < 0)
        return;
    if (addr.ss_family == AF_INET && uv_ip4_name(v4, host, sizeof(host)) == 0)
        (void)snprintf(ret_text, 64, "%s:%u", host, ntohs(v4->sin_port));
    else if (addr.ss_family == AF_INET6 && uv_ip6_name(v6, host, sizeof(host)) == 0)
        (void)snprintf(ret_text, 64, "[%s]:%u", host, ntohs(v6->sin6_port));
}
