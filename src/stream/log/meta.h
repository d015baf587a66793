// SPDX-License-Identifier: Apache-2.0
// stream.meta: how far offsets are reserved, and whether the last stop was orderly.
#pragma once

#include "base/err.h"
#include "base/slice.h"

// The reserved end is never more than this many blocks above what is durable.
#define WZ_META_AHEAD_BLOCKS 16

// What a slot says.
struct wz_meta {
    uint64_t sequence;
    int64_t reserved_end;
    int64_t next_offset;
    int64_t last_ms;
    uint32_t block; // the most by which one write raises the reserved end
    bool clean;
};

// How much of the file could be believed.
enum wz_meta_state {
    WZ_META_NONE,    // no file, or no slot was ever written
    WZ_META_WHOLE,   // the newest slot is there for certain
    WZ_META_DAMAGED, // one slot is damaged: the other one may be out of date by one write
    WZ_META_LOST,    // no slot can be read
};

// Reads the file PATH; RET_META is zero unless a slot could be read.
WZ_MUST int wz_meta_load(const char *path, struct wz_meta *ret_meta, enum wz_meta_state *ret_state);

// Writes META, whose sequence is raised by one first, to the open file and makes it durable. After
// a failure it may be called again: it writes the whole of its slot anew.
WZ_MUST int wz_meta_save(int fd, struct wz_meta *meta);
