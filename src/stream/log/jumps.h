// SPDX-License-Identifier: Apache-2.0
// How the wall clock was set while records were appended: by how much those of before are younger
// than their append times say. Plain data, guarded by whoever holds it; its file is `jumps`
// (docs/formats/log.md).
#pragma once

#include "base/buf.h"
#include "base/err.h"

// The file's name.
#define WZ_JUMPS_NAME "jumps"

// Jumps that are remembered; beyond, the two oldest count as one.
#define WZ_JUMPS_MAX 4096

// As an age that nobody knows.
#define WZ_JUMPS_UNKNOWN_MS (INT64_MAX / 4)

// Records below END were appended before the clock was set forward by MS.
struct wz_jump {
    int64_t end;
    int64_t ms;
};

// Ascending by end. All zero is an empty list that owns nothing.
struct wz_jumps {
    struct wz_jump *items;
    size_t count;
    size_t cap;
};

// Frees what it holds and leaves an empty list.
void wz_jumps_release(struct wz_jumps *jumps);

// The clock was set by MS when the next offset was END, not below any before. One that is set back
// takes back what it was set forward last; it makes nothing older.
void wz_jumps_add(struct wz_jumps *jumps, int64_t end, int64_t ms);

// Forgets what is of no record at or above FIRST_OFFSET.
void wz_jumps_cut(struct wz_jumps *jumps, int64_t first_offset);

// By how many milliseconds the record at OFFSET is younger than it says.
int64_t wz_jumps_ms(const struct wz_jumps *jumps, int64_t offset);

// Adds the bytes of the file.
void wz_jumps_encode(const struct wz_jumps *jumps, struct wz_buf *ret_buf);

// Reads them into RET_JUMPS, which the caller releases; WZ_ERR_CORRUPT for anything else.
WZ_MUST int wz_jumps_decode(struct wz_slice s, struct wz_jumps *ret_jumps);

// Reads the file in the folder DIR. One that is damaged says that of no record below END the age is
// known; one that is not there, that the clock was never set.
WZ_MUST int wz_jumps_load(const char *dir, int64_t end, struct wz_jumps *ret_jumps);
