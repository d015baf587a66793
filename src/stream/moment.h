// SPDX-License-Identifier: Apache-2.0
// Where in a stream somebody wants to read, as people write it.
#pragma once

#include "base/buf.h"
#include "stream/reader.h"

enum wz_moment_kind {
    WZ_MOMENT_FIRST,  // "first": the first record there is
    WZ_MOMENT_END,    // "end": behind the last one
    WZ_MOMENT_OFFSET, // "@123"
    WZ_MOMENT_TIME,   // "2026-01-02T03:04:05Z", "-1h"
};

struct wz_moment {
    enum wz_moment_kind kind;
    int64_t value; // an offset, or milliseconds since the epoch
};

// Reads "first", "end", "@OFFSET", a time of RFC 3339, or a time before NOW_MS: "-" and a
// number with ms, s, m, h, d or w. WZ_ERR_INVALID, with the problem filled, for anything else.
WZ_MUST int wz_moment_parse(struct wz_slice s, int64_t now_ms, struct wz_moment *ret_moment,
                            struct wz_problem *ret_problem);

// The offset in LOG of the first record at or after the moment; never below the first record, nor
// above the next one.
WZ_MUST int wz_moment_find(const struct wz_moment *moment, struct wz_log *log, int64_t *ret_offset);

// Adds a time as RFC 3339 has it, in UTC with milliseconds.
void wz_moment_add_time(struct wz_buf *buf, int64_t time_ms);
