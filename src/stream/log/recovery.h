// SPDX-License-Identifier: Apache-2.0
// Opening: from a folder, in whatever state, to a shelf of segments and the offset to go on with.
#pragma once

#include "stream/log/meta.h"
#include "stream/log/shelf.h"

// What is to be opened.
struct wz_recovery_options {
    const char *dir;
    bool read_only;
    bool unindexed; // keys are not topics
    uint32_t block; // offsets to be reserved at a time
};

// What was found; RET_X of wz_recover.
struct wz_recovered {
    struct wz_segment *seg; // the shelf's last one, open for writing; NULL: none
    struct wz_meta meta;    // as it stands in the file; reserved for the offsets to come
    int meta_fd;            // -1 when read only
    int64_t found_end;      // no record is at or behind it
    int64_t next_offset;
    int64_t last_ms;
    struct wz_log_recovery report;
};

// Follows "Opening" in docs/formats/log.md, with the lock already taken. RET_PROBLEM may be NULL.
// On failure the shelf may hold some segments.
WZ_MUST int wz_recover(const struct wz_recovery_options *options, struct wz_shelf *shelf,
                       struct wz_recovered *ret_recovered, struct wz_problem *ret_problem);

// Scans the whole of the segment that FACTS describe, which ends at its log_len, and makes its
// indexes anew in memory: RET_SEG is the caller's. For indexes that turn out to be damaged.
WZ_MUST int wz_recover_indexes(const struct wz_recovery_options *options,
                               const struct wz_seal *facts, int64_t limit_offset,
                               struct wz_segment **ret_seg);
