// SPDX-License-Identifier: Apache-2.0
// Owns the order of a turn. libuv calls the read callbacks first (conn.c: they only collect), then
// check: decode and route; then, in the next round before it sleeps, prepare: flush.
//
//   poll: bytes into the input area ... check: decode, route ... prepare: flush ... poll
//
// libuv asks the connections in the same order each time, so those who find the area used up wait
// in a line of their own, which check serves when the area is free again.
#include "loop/loop.h"

#include "base/clock.h"
#include "base/mem.h"
#include "loop/conn.h"

static void woken(struct wz_loop *loop)
{
    struct wz_list *it;
    struct wz_list *tmp;

    loop->now_ms = wz_clock_wall_ms();
    WZ_LIST_EACH(it, tmp, &loop->parts)
    {
        struct wz_loop_part *part = WZ_CONTAINER(it, struct wz_loop_part, link);

        if (part->wake != NULL)
            part->wake(part->arg);
    }
}

static void decode(struct wz_loop *loop)
{
    struct wz_list *link;

    while ((link = wz_list_shift(&loop->ready)) != NULL)
        wz_conn_decode(WZ_CONTAINER(link, struct wz_conn, ready));
    loop->input_used = 0;
}

static void on_check(uv_check_t *check)
{
    struct wz_loop *loop = check->data;

    woken(loop);
    decode(loop);
    if (wz_list_empty(&loop->late))
        return;
    while (!wz_list_empty(&loop->late) &&
           wz_conn_read_late(WZ_CONTAINER(loop->late.next, struct wz_conn, late)))
        ;
    decode(loop);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct wz_loop *loop = prepare->data;
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &loop->parts)
    {
        struct wz_loop_part *part = WZ_CONTAINER(it, struct wz_loop_part, link);

        if (part->flush != NULL)
            part->flush(part->arg);
    }
    while ((it = wz_list_shift(&loop->dirty)) != NULL)
        wz_conn_flush(WZ_CONTAINER(it, struct wz_conn, dirty));
    wz_budget_settle(&loop->budget);
}

static void on_async(uv_async_t *async)
{
    struct wz_loop *loop = async->data;

    loop->now_ms = wz_clock_wall_ms();
    (void)wz_mailbox_run(&loop->mail); // how many there were does not matter
}

static void wake_loop(void *arg)
{
    struct wz_loop *loop = arg;

    (void)uv_async_send(&loop->async); // fails only on a closed handle, and nobody listens then
}

void wz_loop_again(struct wz_loop *loop) { wake_loop(loop); }

int wz_loop_init(struct wz_loop *loop)
{
    *loop = (struct wz_loop){.now_ms = wz_clock_wall_ms()};
    if (uv_loop_init(&loop->uv) < 0)
        return WZ_ERR_LIMIT;
    if (uv_async_init(&loop->uv, &loop->async, on_async) < 0) {
        (void)uv_loop_close(&loop->uv); // nothing is open in it
        return WZ_ERR_LIMIT;
    }
    (void)uv_prepare_init(&loop->uv, &loop->prepare); // these four cannot fail
    (void)uv_check_init(&loop->uv, &loop->check);
    (void)uv_prepare_start(&loop->prepare, on_prepare);
    (void)uv_check_start(&loop->check, on_check);
    wz_budget_init(&loop->budget, &loop->uv);
    loop->async.data = loop;
    loop->prepare.data = loop;
    loop->check.data = loop;
    wz_mailbox_init(&loop->mail, WZ_LOOP_MAIL_MAX, wake_loop, loop);
    wz_list_init(&loop->parts);
    wz_list_init(&loop->ready);
    wz_list_init(&loop->dirty);
    wz_list_init(&loop->late);
    loop->input = wz_alloc(WZ_LOOP_INPUT_BYTES);
    return WZ_OK;
}

void wz_loop_release(struct wz_loop *loop)
{
    (void)wz_mailbox_run(&loop->mail); // last answers find their owners before these are freed
    wz_mailbox_release(&loop->mail);
    WZ_ASSERT(uv_loop_close(&loop->uv) == 0);
    wz_free(loop->input);
}

void wz_loop_run(struct wz_loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); // returns when no handle is left
}

void wz_loop_stop(struct wz_loop *loop)
{
    wz_mailbox_close(&loop->mail);
    uv_close((uv_handle_t *)&loop->async, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    wz_budget_close(&loop->budget);
}

void wz_loop_join(struct wz_loop *loop, struct wz_loop_part *part)
{
    wz_list_push(&loop->parts, &part->link);
}

void wz_loop_leave(struct wz_loop_part *part) { wz_list_remove(&part->link); }
