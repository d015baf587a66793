// SPDX-License-Identifier: Apache-2.0
// What a deployed script has really emitted, beside what a script on trial emits for the same
// records. Lines of context.log, which are on processed-stream too, are left out.
#pragma once

#include "base/map.h"
#include "cli/cli.h"
#include "wire/frames.h"

enum wz_comparison {
    WZ_COMPARISON_SAME,
    WZ_COMPARISON_CHANGED, // both emit, but not the same
    WZ_COMPARISON_NEW,     // only the one on trial emits
    WZ_COMPARISON_MISSING, // only the deployed one did
    WZ_COMPARISON_COUNT,
};

// The word of a result ("changed").
const char *wz_comparison_word(enum wz_comparison result);

// What the deployed script has emitted, by the record behind it. All zero is empty; release it.
struct wz_deployed {
    struct wz_map outputs; // of struct output_list
    size_t bytes;
    int64_t account; // whose outputs these are; a script of its name that was removed had another
    bool found;      // any output
};

// Reads what the script NAME has emitted since SINCE_MS; what another of that name emitted before
// it was removed does not count. WZ_ERR_TOO_LARGE when that is more than fits into memory,
// WZ_ERR_NOT_FOUND when there is neither such a script nor an output. On failure the cli's problem
// is filled.
WZ_MUST int wz_deployed_load(struct wz_deployed *deployed, struct wz_cli *cli, const char *name,
                             int64_t since_ms);

// Its outputs for the record INPUT, [{"topic", "body"}], borrowed; NULL: none.
json_t *wz_deployed_find(const struct wz_deployed *deployed, const struct wz_frame_record *input);

// Frees what it holds.
void wz_deployed_release(struct wz_deployed *deployed);

// Adds an output of a script on trial to OUTPUTS, in the form in which it would be kept.
void wz_comparison_add(json_t *outputs, const struct wz_frame_item *item);

// Compares the outputs for a record; DEPLOYED may be NULL.
enum wz_comparison wz_comparison_of(const json_t *outputs, const json_t *deployed);
