// SPDX-License-Identifier: Apache-2.0
// Owns the rules of memory that is short.
//
//   bytes   0 ........................... 3/4 max ........ 7/8 max (mark) ........ max
//           nobody holds more than is left to the mark     the small ones, and     nothing but
//                                         | below: those   one packet at a time    acks and 4 KiB
//                                         | who were stopped go on                 of each packet
//
// A partial packet for which reading is stopped would never give its memory back, and if all that
// is held are such packets, nothing would go on. So one of them at a time, the longest waiting
// first, reads on to the end of its packet whatever it takes. It is closed when it does not send
// that end. If half of what is above the mark stays held all the same, by many who do not read or
// do not send the end of their packets, those who hold the most are closed.
#include "loop/budget.h"

#include "base/err.h"
#include "base/log.h"
#include "base/metrics.h"
#include "loop/conn.h"

#define TICK_MS 1000

// For so long the one that reads on may be silent, and so long may it take in all.
#define SILENCE_MS 2000
#define PASS_MS 10000

// After so many ticks far above the mark, connections are closed, so many in a tick.
#define HIGH_TICKS 2
#define RELIEF_MAX 256

static void close_conn(struct wz_budget *budget, struct wz_conn *conn, const char *why)
{
    char peer[64];

    wz_metric_add(WZ_METRIC_MEMORY_CLOSED, 1);
    if (wz_log_allow(&budget->close_us)) {
        wz_conn_peer(conn, peer);
        WZ_LOG(WZ_LOG_WARN, "memory.closed", WZ_F_STR("address", peer),
               WZ_F_INT("held_bytes", (int64_t)wz_conn_bytes(conn)), WZ_F_STR("why", why));
    }
    wz_conn_close(conn, WZ_CONN_NOW, WZ_ERR_LIMIT);
}

static struct wz_conn *largest(const struct wz_budget *budget)
{
    struct wz_conn *found = NULL;
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &budget->conns)
    {
        struct wz_conn *conn = WZ_CONTAINER(it, struct wz_conn, all);

        if (wz_conn_bytes(conn) > (found != NULL ? wz_conn_bytes(found) : 0))
            found = conn;
    }
    return found;
}

// Closes, largest first, until what is left is below the mark.
static void relieve(struct wz_budget *budget)
{
    size_t left = budget->bytes; // the count itself falls when they are freed

    for (int i = 0; i < RELIEF_MAX && left >= budget->mark; i++) {
        struct wz_conn *conn = largest(budget);

        if (conn == NULL)
            return;
        left -= wz_conn_bytes(conn);
        close_conn(budget, conn, "memory.max is near, and it holds the most");
    }
}

static bool is_high(const struct wz_budget *budget)
{
    return budget->bytes >= budget->mark + (budget->max - budget->mark) / 2;
}

static bool passing_is_overdue(struct wz_budget *budget)
{
    uint64_t now_ms = uv_now(budget->timer.loop);
    size_t len = wz_conn_partial(budget->passing);

    if (len != budget->passing_len)
        budget->heard_ms = now_ms;
    budget->passing_len = len;
    return now_ms - budget->heard_ms >= SILENCE_MS || now_ms - budget->passing_ms >= PASS_MS;
}

static void on_tick(uv_timer_t *timer)
{
    struct wz_budget *budget = timer->data;

    if (budget->passing != NULL && passing_is_overdue(budget))
        close_conn(budget, budget->passing, "memory.max is near, and its packet has no end");
    budget->high_ticks = is_high(budget) ? budget->high_ticks + 1 : 0;
    if (budget->high_ticks >= HIGH_TICKS)
        relieve(budget);
    if (wz_budget_is_tight(budget) || budget->passing != NULL || !wz_list_empty(&budget->unread) ||
        !wz_list_empty(&budget->waiting))
        return;
    (void)uv_timer_stop(timer); // cannot fail
    if (budget->logged)
        WZ_LOG(WZ_LOG_INFO, "memory.eased", WZ_F_INT("held_bytes", (int64_t)budget->bytes));
    budget->logged = false;
}

void wz_budget_init(struct wz_budget *budget, uv_loop_t *loop)
{
    *budget = (struct wz_budget){.mark = SIZE_MAX, .max = SIZE_MAX};
    wz_list_init(&budget->conns);
    wz_list_init(&budget->unread);
    wz_list_init(&budget->waiting);
    (void)uv_timer_init(loop, &budget->timer); // cannot fail
    budget->timer.data = budget;
}

void wz_budget_limit(struct wz_budget *budget, size_t max_bytes)
{
    budget->max = max_bytes;
    budget->mark = max_bytes - max_bytes / 8;
}

void wz_budget_close(struct wz_budget *budget) { uv_close((uv_handle_t *)&budget->timer, NULL); }

static void ease(struct wz_list *stopped)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, stopped) { wz_conn_ease(WZ_CONTAINER(it, struct wz_conn, stopped)); }
}

// Lets the one that has waited longest read on. Not one whose owner has paused it: that one's
// packet is whole, or it has to read first.
static void pass_next(struct wz_budget *budget)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &budget->waiting)
    {
        struct wz_conn *conn = WZ_CONTAINER(it, struct wz_conn, stopped);

        if (conn->paused)
            continue;
        budget->passing = conn;
        budget->passing_len = wz_conn_partial(conn);
        budget->passing_ms = uv_now(budget->timer.loop);
        budget->heard_ms = budget->passing_ms;
        wz_conn_ease(conn);
        return;
    }
}

// What is lent counts from the turn after on; meanwhile the one who lends has looked at SHOWN.
bool wz_budget_lend(struct wz_budget *budget, size_t before, size_t after)
{
    size_t lent = atomic_fetch_add(&budget->lent, after - before) - before + after; // may wrap

    if (after <= before ||
        (lent <= budget->max / 2 && atomic_load(&budget->shown) + (after - before) <= budget->max))
        return true;
    atomic_fetch_sub(&budget->lent, after - before);
    return false;
}

static void count_lent(struct wz_budget *budget)
{
    size_t lent = atomic_load_explicit(&budget->lent, memory_order_relaxed);

    wz_budget_count(budget, budget->lent_seen, lent);
    budget->lent_seen = lent;
    if (budget->bytes > budget->most)
        budget->most = budget->bytes;
    if (budget->bytes != atomic_load_explicit(&budget->shown, memory_order_relaxed))
        atomic_store_explicit(&budget->shown, budget->bytes, memory_order_relaxed);
}

void wz_budget_settle(struct wz_budget *budget)
{
    count_lent(budget);
    if (budget->bytes != budget->told)
        wz_metric_add(WZ_METRIC_MEMORY_HELD, (int64_t)(budget->bytes - budget->told));
    budget->told = budget->bytes;
    if (budget->passing != NULL && budget->passing->paused)
        budget->passing = NULL;
    if (!wz_budget_is_tight(budget) && wz_list_empty(&budget->unread) &&
        wz_list_empty(&budget->waiting))
        return;
    if (budget->bytes < budget->mark - budget->max / 8) {
        ease(&budget->waiting);
        ease(&budget->unread);
    } else if (budget->passing == NULL && !wz_budget_is_full(budget)) {
        pass_next(budget);
    }
    if (uv_is_active((uv_handle_t *)&budget->timer))
        return;
    (void)uv_timer_start(&budget->timer, on_tick, TICK_MS, TICK_MS); // cannot fail
    budget->logged = wz_log_allow(&budget->short_us);
    if (budget->logged)
        WZ_LOG(WZ_LOG_WARN, "memory.short", WZ_F_INT("held_bytes", (int64_t)budget->bytes),
               WZ_F_STR("what", "who holds the most is not read from until there is room again"));
}

void wz_budget_join(struct wz_budget *budget, struct wz_conn *conn)
{
    wz_list_push(&budget->conns, &conn->all);
}

void wz_budget_leave(struct wz_budget *budget, struct wz_conn *conn)
{
    wz_list_remove(&conn->all);
    wz_list_remove(&conn->stopped);
    wz_budget_passed(budget, conn);
}

void wz_budget_stop(struct wz_budget *budget, struct wz_conn *conn)
{
    if (!wz_list_empty(&conn->stopped))
        return;
    wz_list_push(wz_conn_partial(conn) > 0 ? &budget->waiting : &budget->unread, &conn->stopped);
    wz_metric_add(WZ_METRIC_MEMORY_STOPS, 1);
}
