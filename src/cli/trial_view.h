// SPDX-License-Identifier: Apache-2.0
// What a trial shows: a line for each thing that happens, and a summary of it all.
#pragma once

#include "cli/compare.h"
#include "cli/output.h"
#include "engine/trial.h"

struct wz_trial_view {
    enum wz_output_form form;
    const char *compare;          // the deployed script's name, borrowed; NULL: nothing is compared
    struct wz_frame_record input; // at hand, borrowed; offset -1: none
    json_t *outputs;              // of the input at hand, when it is compared
    struct wz_buf text;           // to be printed
    struct wz_buf times;          // uint32_t: microseconds of each input
    int64_t input_count;
    int64_t output_count;
    int64_t error_count;
    int64_t comparisons[WZ_COMPARISON_COUNT];
};

// Makes a view; release it.
void wz_trial_view_init(struct wz_trial_view *view, enum wz_output_form form, const char *compare);
void wz_trial_view_release(struct wz_trial_view *view);

// Begins with INPUT, borrowed up to the end; NULL: with init or stop.
void wz_trial_view_begin(struct wz_trial_view *view, const struct wz_frame_record *input);

// What a call puts out and logs.
void wz_trial_view_output(struct wz_trial_view *view, const struct wz_frame_item *item);
void wz_trial_view_log(struct wz_trial_view *view, const struct wz_frame_log *line);

// Ends it: prints what became of it. DEPLOYED: what the deployed script emitted, or NULL. Returns
// an exit code.
WZ_MUST int wz_trial_view_end(struct wz_trial_view *view, const struct wz_trial_result *result,
                              const json_t *deployed);

// Prints what there is to be printed on standard output. Returns an exit code.
WZ_MUST int wz_trial_view_flush(struct wz_trial_view *view);

// Prints the summary on standard error.
void wz_trial_view_summary(struct wz_trial_view *view, size_t state_count);

// Whether a call failed, or something differs.
bool wz_trial_view_failed(const struct wz_trial_view *view);
