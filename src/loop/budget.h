// SPDX-License-Identifier: Apache-2.0
// The memory that peers make a loop hold: one count, one limit, and who is not read from at it.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "base/err.h"
#include "base/list.h"

// Who holds no more than this is not stopped: the front of a packet and one piece of output.
#define WZ_BUDGET_SMALL (20 * 1024)

struct wz_conn;

// The budget of a loop, embedded in it. What is counted: input that is not decoded yet and output
// that is not taken yet, by the capacity of their buffers, messages that wait in memory, each once,
// what owners of connections hold for them (wz_conn_hold), what is kept for longer than that, and
// what other threads have borrowed. Fields are budget.c's but for these functions.
struct wz_budget {
    uv_timer_t timer;        // runs while memory is short
    struct wz_list conns;    // all that are open
    struct wz_list unread;   // not read from: they hold too much output
    struct wz_list waiting;  // not read from: they need room for a packet; longest first
    struct wz_conn *passing; // the one of these that reads on to the end of its packet, or NULL
    size_t passing_len;      // how much of the packet it had when it was last looked at,
    uint64_t heard_ms;       // when that had grown
    uint64_t passing_ms;     // and when it was let go on
    size_t bytes;            // held now,
    size_t most;             // that was held at the end of a turn, since the door gave memory back
    size_t kept;             // and of that what only its owner's own doings give back
    size_t told;             // as the metric has it
    size_t mark;             // seven eighths of max: what all may share
    size_t max;
    atomic_size_t lent;  // to other threads,
    size_t lent_seen;    // and what of it is in BYTES
    atomic_size_t shown; // BYTES, for other threads
    unsigned high_ticks; // for how long much of the last eighth has been held
    int64_t short_us;    // when that was logged last,
    int64_t close_us;    // and when a close was
    bool logged;         // that memory is short: that it is not any more will be, too
};

// Makes a budget without a limit. Nothing of it can fail.
void wz_budget_init(struct wz_budget *budget, uv_loop_t *loop);

// Sets the limit; the last eighth is for those who hold little and for one packet at a time.
void wz_budget_limit(struct wz_budget *budget, size_t max_bytes);

// Closes its timer.
void wz_budget_close(struct wz_budget *budget);

// The end of a turn, when output has been written: lets those go on for whom there is room again.
void wz_budget_settle(struct wz_budget *budget);

// Takes in a connection that has been opened.
void wz_budget_join(struct wz_budget *budget, struct wz_conn *conn);

// Lets go of a connection that closes; what it holds counts until it is freed.
void wz_budget_leave(struct wz_budget *budget, struct wz_conn *conn);

// Puts a connection that may not be read from in its line; fine when it is in it.
void wz_budget_stop(struct wz_budget *budget, struct wz_conn *conn);

// Counts that one who held BEFORE bytes holds AFTER of them.
static inline void wz_budget_count(struct wz_budget *budget, size_t before, size_t after)
{
    budget->bytes += after - before; // may wrap on its way
}

// Counts that one who kept BEFORE bytes keeps AFTER of them: they are held, and no connection that
// is not read from, nor one that is closed, gives them back.
static inline void wz_budget_keep(struct wz_budget *budget, size_t before, size_t after)
{
    budget->kept += after - before; // as above
    wz_budget_count(budget, before, after);
}

// Another thread, which has BEFORE bytes, wants AFTER. False, and nothing is counted, when that is
// more and half of all is with other threads or all of it is held. Any thread.
WZ_MUST bool wz_budget_lend(struct wz_budget *budget, size_t before, size_t after);

// A connection has used up a packet: if it was let go on for it, that ends.
static inline void wz_budget_passed(struct wz_budget *budget, const struct wz_conn *conn)
{
    if (budget->passing == conn)
        budget->passing = NULL;
}

// Whether one who holds so much may hold more: nobody may hold more than is free. So the largest
// are stopped first, the small ones hardly ever, and nobody has to be compared with the others.
static inline bool wz_budget_allows(const struct wz_budget *budget, size_t bytes)
{
    return budget->bytes < budget->mark && bytes < budget->mark - budget->bytes;
}

// Whether one may keep so many bytes: nobody may keep more than is left of half of all, so that the
// other half is there for what comes and goes.
static inline bool wz_budget_may_keep(const struct wz_budget *budget, size_t bytes)
{
    return budget->kept < budget->max / 2 && bytes < budget->max / 2 - budget->kept &&
           wz_budget_allows(budget, bytes);
}

// Whether all that may be shared is held.
static inline bool wz_budget_is_tight(const struct wz_budget *budget)
{
    return budget->bytes >= budget->mark;
}

// Whether the limit itself is reached.
static inline bool wz_budget_is_full(const struct wz_budget *budget)
{
    return budget->bytes >= budget->max;
}
