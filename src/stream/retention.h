// SPDX-License-Identifier: Apache-2.0
// What the streams keep: how much of each, for how long, and how much of a disk stays free. It says
// what is to go, after each look at the disks (stream/space.h); the streams' writers remove it, in
// whole segments, oldest first. Loop thread only.
//
// Age is time that has gone by: a clock that is set makes nothing older, and nothing goes for its
// age within WZ_RETENTION_GRACE_MS of a start, for what the clock did before nobody has seen.
//
// Use:
//   1. wz_retention_new, wz_retention_add for each log;
//   2. wz_retention_look after each look of the space, wz_retention_durable in each log's
//      on_durable;
//   3. wz_retention_stop, before the logs are closed; wz_retention_free.
#pragma once

#include "stream/space.h"

struct wz_retention;

// So long after a start nothing goes for its age.
#define WZ_RETENTION_GRACE_MS ((int64_t)15 * 60 * 1000)

// The most logs.
#define WZ_RETENTION_LOGS_MAX 4

// The offset in LOG from which on somebody has yet to read what must not be lost; INT64_MAX: nobody
// has.
typedef int64_t (*wz_retention_needed_fn)(void *arg, const struct wz_log *log);

// How it is made.
struct wz_retention_options {
    const struct wz_space *space; // which watches all logs
    int keep_free;                // per cent of each disk; 0: whatever is left
    wz_retention_needed_fn needed;
    void *arg;
};

// Makes one without logs. The caller frees it.
struct wz_retention *wz_retention_new(const struct wz_retention_options *options);

// Frees it; NULL is fine. It must have been stopped if it was asked for something.
void wz_retention_free(struct wz_retention *retention);

// Takes in LOG, which stays the caller's.
void wz_retention_add(struct wz_retention *retention, struct wz_log *log,
                      const struct wz_log_caps *caps);

// The space has been looked at. NOW_MS is the wall clock's time, MONO_MS one that nobody sets.
void wz_retention_look(struct wz_retention *retention, int64_t now_ms, int64_t mono_ms);

// What was asked of a log, for who waits until it is done.
struct wz_retention_call {
    struct wz_list link;
    struct wz_log *log;
    int64_t below_offset;         // segments whose records all stand below are to go
    struct wz_log_removed before; // the retention's
    void (*done)(struct wz_retention_call *call, const struct wz_log_removed *removed);
    void *arg;
};

// The offset in LOG from which on nothing is removed, as somebody needs it; INT64_MAX: nobody does.
int64_t wz_retention_needed(const struct wz_retention *retention, const struct wz_log *log);

// Asks for segments to be removed; nothing that somebody needs. The call is the retention's until
// DONE, which says what went; on the loop thread, maybe before this returns.
void wz_retention_ask(struct wz_retention *retention, struct wz_retention_call *call);

// A log has got further: answers the calls that are done.
void wz_retention_durable(struct wz_retention *retention);

// Answers the calls that wait with what has gone by now; no more may be asked.
void wz_retention_stop(struct wz_retention *retention);

// The segment length for a log that may keep MAX_BYTES (0: no limit) when CONFIGURED is asked for:
// an eighth of it at the most.
int64_t wz_retention_segment_bytes(int64_t max_bytes, int64_t configured);
