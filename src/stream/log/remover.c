// SPDX-License-Identifier: Apache-2.0
// Owns the removal of old segments: off the shelf first, where readers look, then from the disk.
#include "stream/log/remover.h"

#include "base/log.h"
#include "base/metrics.h"

void wz_remover_init(struct wz_remover *remover, const char *dir, struct wz_shelf *shelf)
{
    *remover = (struct wz_remover){.dir = dir, .shelf = shelf, .doomed_base = -1};
}

// Says and counts what went for a reason.
static void note_removed(struct wz_remover *remover)
{
    const struct wz_seal *facts = &remover->doomed;
    const char *name = strrchr(remover->dir, '/');
    enum wz_log_reason reason = remover->doomed_reason;

    if (reason == WZ_LOG_REASON_COUNT)
        return;
    atomic_fetch_add_explicit(&remover->removed[reason].segments, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&remover->removed[reason].records, facts->record_count,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&remover->removed[reason].bytes, facts->log_len,
                              memory_order_relaxed);
    WZ_LOG(WZ_LOG_INFO, "stream.removed",
           WZ_F_STR("stream", name != NULL ? name + 1 : remover->dir),
           WZ_F_STR("reason", wz_log_reason_word(reason)),
           WZ_F_INT("first_offset", facts->base_offset),
           WZ_F_INT("last_offset", facts->last_offset), WZ_F_INT("last_ms", facts->last_ms),
           WZ_F_INT("records", facts->record_count), WZ_F_INT("bytes", facts->log_len));
}

// Removes the files of the segment that was taken off the shelf last, durably before any other: one
// whose files cannot be removed comes back at the next start, and then all that came behind it must
// still be there. Returns whether none is left.
static bool remove_doomed(struct wz_remover *remover)
{
    if (remover->doomed_base < 0)
        return true;
    if (wz_segment_remove(remover->dir, remover->doomed_base) < 0) {
        wz_metric_add(WZ_METRIC_STREAM_FAILURES, 1);
        return false;
    }
    remover->doomed_base = -1;
    note_removed(remover);
    return true;
}

void wz_remover_trim(struct wz_remover *remover, int64_t end)
{
    while (remove_doomed(remover) && wz_shelf_trim(remover->shelf, end, &remover->doomed_base))
        remover->doomed_reason = WZ_LOG_REASON_COUNT;
}

void wz_remover_retain(struct wz_remover *remover, struct wz_log_limits *limits)
{
    while (remove_doomed(remover) &&
           wz_shelf_retain(remover->shelf, limits, &remover->doomed, &remover->doomed_reason))
        remover->doomed_base = remover->doomed.base_offset;
}

void wz_remover_removed(const struct wz_remover *remover, enum wz_log_reason reason,
                        struct wz_log_removed *ret_removed)
{
    *ret_removed = (struct wz_log_removed){
        .segments = atomic_load_explicit(&remover->removed[reason].segments, memory_order_relaxed),
        .records = atomic_load_explicit(&remover->removed[reason].records, memory_order_relaxed),
        .bytes = atomic_load_explicit(&remover->removed[reason].bytes, memory_order_relaxed),
    };
}
