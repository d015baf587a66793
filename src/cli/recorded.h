// SPDX-License-Identifier: Apache-2.0
// Records as the API gives them, in the form in which a worker gets them: a range in the order of
// its stream, a page at a time, and what a script looks back at.
#pragma once

#include "cli/cli.h"
#include "wire/frames.h"

// A range. FROM and TO as the API has them; PATTERNS, an array of texts, is borrowed.
struct wz_recorded_options {
    struct wz_cli *cli;
    uint8_t stream; // enum wz_script_stream
    const char *from;
    const char *to;
    const json_t *patterns;
};

// A walk over a range. Release it.
struct wz_recorded {
    struct wz_recorded_options options;
    int64_t next; // the offset of the next record, if it is there and matches
    int64_t end;
    int limit;            // of a page
    struct wz_buf page;   // lines
    size_t pos;           // of the next line in PAGE
    struct wz_slice line; // of the record at hand
    struct wz_buf topic;  // of it
};

// Finds where the range begins and ends: TO may be "end", which is then the end of this moment. On
// failure the cli's problem is filled.
WZ_MUST int wz_recorded_open(struct wz_recorded *recorded,
                             const struct wz_recorded_options *options);

// The next record that matches, borrowed until the next call; WZ_END after the last. Records that
// are damaged are left out.
WZ_MUST int wz_recorded_next(struct wz_recorded *recorded, struct wz_frame_record *ret_record);

// The number of the account of the script that emitted the record at hand; 0: none is said.
int64_t wz_recorded_account(const struct wz_recorded *recorded);

// Adds a FOUND frame for what a script asks while the walk has come to where it is: what ASKED says
// of the records that stand before the one at hand.
void wz_recorded_look_back(struct wz_recorded *recorded, const struct wz_frame_query *asked,
                           struct wz_buf *ret_frame);

// Frees what it holds.
void wz_recorded_release(struct wz_recorded *recorded);
