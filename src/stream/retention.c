// SPDX-License-Identifier: Apache-2.0
// Owns what is asked of the streams' writers so that the streams keep within their limits.
#include "stream/retention.h"

#include "base/log.h"
#include "base/mem.h"

// The wall clock has been set when it has gone on by so much more, or less, than time.
#define JUMP_MS 1000

// A segment is this part of a stream at the most, so that it goes in small steps.
#define SEGMENT_PART 8
#define SEGMENT_BYTES_MIN ((int64_t)64 * 1024)

// Room is made before messages are refused: so much above the floor for that, as a part of it.
#define AHEAD_PART 2

struct keep {
    struct wz_log *log;
    struct wz_log_caps caps;
};

struct wz_retention {
    struct wz_retention_options opt;
    struct keep keeps[WZ_RETENTION_LOGS_MAX];
    size_t count;
    struct wz_list calls; // that wait
    int64_t wall_ms;      // the clocks at the last look
    int64_t mono_ms;
    int64_t started_ms; // of the second
    bool looked;
    bool resting; // what the disks said last may be out of date
};

struct wz_retention *wz_retention_new(const struct wz_retention_options *options)
{
    struct wz_retention *retention = wz_zalloc(1, sizeof(*retention));

    retention->opt = *options;
    wz_list_init(&retention->calls);
    return retention;
}

void wz_retention_free(struct wz_retention *retention)
{
    if (retention == NULL)
        return;
    WZ_ASSERT(wz_list_empty(&retention->calls));
    wz_free(retention);
}

void wz_retention_add(struct wz_retention *retention, struct wz_log *log,
                      const struct wz_log_caps *caps)
{
    WZ_ASSERT(retention->count < WZ_RETENTION_LOGS_MAX);
    retention->keeps[retention->count++] = (struct keep){.log = log, .caps = *caps};
}

int64_t wz_retention_segment_bytes(int64_t max_bytes, int64_t configured)
{
    int64_t bytes = max_bytes / SEGMENT_PART;

    if (max_bytes == 0 || bytes > configured)
        return configured;
    return bytes > SEGMENT_BYTES_MIN ? bytes : SEGMENT_BYTES_MIN;
}

// Tells the logs when the wall clock was set.
static void follow_clock(struct wz_retention *retention, int64_t now_ms, int64_t mono_ms)
{
    int64_t jump_ms = (now_ms - retention->wall_ms) - (mono_ms - retention->mono_ms);

    retention->wall_ms = now_ms;
    retention->mono_ms = mono_ms;
    if (!retention->looked) {
        retention->looked = true;
        retention->started_ms = mono_ms;
        return;
    }
    if (jump_ms < JUMP_MS && jump_ms > -JUMP_MS)
        return;
    WZ_LOG(WZ_LOG_WARN, "retention.clock", WZ_F_INT("jump_ms", jump_ms));
    for (size_t i = 0; i < retention->count; i++)
        wz_log_clock_set(retention->keeps[i].log, jump_ms);
}

// How much is missing on the disk under a log; 0: nothing.
static int64_t missing(const struct wz_retention *retention, const struct wz_space_view *view)
{
    int64_t least = view->total_bytes / 100 * retention->opt.keep_free;
    int64_t ahead = view->floor_bytes + view->floor_bytes / AHEAD_PART;

    if (retention->opt.keep_free == 0 || !view->known)
        return 0;
    if (least < ahead)
        least = ahead;
    if (view->free_bytes + view->erased_bytes >= least)
        return 0;
    return least - view->free_bytes - view->erased_bytes;
}

// Whether a writer has not done yet what was asked for, or something has gone for a disk's sake and
// the disks have not been looked at since: what is missing may be there already.
static bool is_resting(struct wz_retention *retention)
{
    bool resting = retention->resting;

    retention->resting = false;
    for (size_t i = 0; i < retention->count; i++)
        retention->resting = retention->resting || !wz_log_retained(retention->keeps[i].log);
    return resting || retention->resting;
}

// Which of the logs whose disk is short of room is to give some, and how much: the largest that has
// more than one segment, down to the size of the next one, or half of what is missing. NULL when
// none can.
static const struct keep *giver_of(const struct wz_retention *retention, int64_t *ret_bytes)
{
    const struct keep *giver = NULL;
    int64_t largest = 0;
    int64_t next = 0;

    for (size_t i = 0; i < retention->count; i++) {
        const struct keep *keep = &retention->keeps[i];
        const struct wz_space_view *view = wz_space_view(retention->opt.space, keep->log);
        int64_t bytes = missing(retention, view);

        if (bytes == 0 || view->log_segments < 2)
            continue;
        if (view->log_bytes <= largest) {
            next = view->log_bytes > next ? view->log_bytes : next;
            continue;
        }
        next = largest;
        largest = view->log_bytes;
        giver = keep;
        *ret_bytes = bytes;
    }
    if (giver != NULL && *ret_bytes > largest - next)
        *ret_bytes = largest - next > *ret_bytes / 2 ? largest - next : (*ret_bytes + 1) / 2;
    return giver;
}

int64_t wz_retention_needed(const struct wz_retention *retention, const struct wz_log *log)
{
    return retention->opt.needed != NULL ? retention->opt.needed(retention->opt.arg, log)
                                         : INT64_MAX;
}

// Asks for what is beyond the limits of one log.
static void ask_for(struct wz_retention *retention, const struct keep *keep, int64_t free_bytes)
{
    const struct wz_space_view *view = wz_space_view(retention->opt.space, keep->log);
    bool aged = keep->caps.max_age_ms > 0 &&
                retention->mono_ms - retention->started_ms >= WZ_RETENTION_GRACE_MS;
    struct wz_log_limits limits = {
        .max_bytes = keep->caps.max_bytes,
        .before_ms = aged ? retention->wall_ms - keep->caps.max_age_ms : 0,
        .free_bytes = free_bytes,
    };

    if (view->log_segments < 2 || !wz_log_retained(keep->log))
        return;
    if (!aged && free_bytes == 0 && (limits.max_bytes == 0 || view->log_bytes <= limits.max_bytes))
        return;
    limits.needed_offset = wz_retention_needed(retention, keep->log);
    wz_log_retain(keep->log, &limits);
    retention->resting = retention->resting || free_bytes > 0;
}

void wz_retention_look(struct wz_retention *retention, int64_t now_ms, int64_t mono_ms)
{
    const struct keep *giver = NULL;
    int64_t bytes = 0;

    follow_clock(retention, now_ms, mono_ms);
    if (!is_resting(retention))
        giver = giver_of(retention, &bytes);
    for (size_t i = 0; i < retention->count; i++) {
        const struct keep *keep = &retention->keeps[i];

        ask_for(retention, keep, keep == giver ? bytes : 0);
    }
    wz_retention_durable(retention); // a log without news may be done, too
}

void wz_retention_ask(struct wz_retention *retention, struct wz_retention_call *call)
{
    struct wz_log_limits limits = {.below_offset = call->below_offset,
                                   .needed_offset = wz_retention_needed(retention, call->log)};

    wz_log_removed(call->log, WZ_LOG_REASON_ASKED, &call->before);
    wz_list_init(&call->link);
    wz_list_push(&retention->calls, &call->link);
    wz_log_retain(call->log, &limits);
}

// Takes the call out and answers it.
static void answer(struct wz_retention_call *call)
{
    struct wz_log_removed removed;

    wz_log_removed(call->log, WZ_LOG_REASON_ASKED, &removed);
    removed.segments -= call->before.segments;
    removed.records -= call->before.records;
    removed.bytes -= call->before.bytes;
    wz_list_remove(&call->link);
    call->done(call, &removed);
}

void wz_retention_durable(struct wz_retention *retention)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &retention->calls)
    {
        struct wz_retention_call *call = WZ_CONTAINER(it, struct wz_retention_call, link);

        if (wz_log_retained(call->log))
            answer(call);
    }
}

void wz_retention_stop(struct wz_retention *retention)
{
    while (!wz_list_empty(&retention->calls))
        answer(WZ_CONTAINER(retention->calls.next, struct wz_retention_call, link));
}
