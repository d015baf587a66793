// SPDX-License-Identifier: Apache-2.0
// What results mean for a script: what counts, what is tried again, what goes into quarantine, when
// the script is ended.
#pragma once

#include "engine/script.h"
#include "engine/worker.h"

// Takes a frame of results (RESULT, STARTED, DRAINED) of a worker's. WZ_ERR_PROTOCOL for what is
// none.
WZ_MUST int wz_outcome_take(struct wz_script *script, struct wz_worker *worker,
                            enum wz_frame_type type, struct wz_slice payload);

// A worker that ran has died, WHY says how: finds out whether it is a record that kills workers.
void wz_outcome_death(struct wz_script *script, struct wz_worker *worker, const char *why);

// Gives a message in quarantine to the script again; VALUE is what the journal has of it. Errors
// are wz_script_retry's.
WZ_MUST int wz_outcome_retry(struct wz_script *script, uint64_t number, struct wz_slice value);

// Where a message that is with a worker out of quarantine stood. WZ_ERR_NOT_FOUND.
WZ_MUST int wz_outcome_origin(const struct wz_script *script, uint64_t number, uint8_t *ret_stream,
                              int64_t *ret_offset);

// Takes a message out of quarantine, in the step at hand.
void wz_outcome_release(struct wz_script *script, struct wz_quarantined *message);

// No message is with a worker out of quarantine any more.
void wz_outcome_recall(struct wz_script *script);

// Forgets how often messages failed: the code is another.
void wz_outcome_forget(struct wz_script *script);

// The script may run again.
void wz_outcome_unhalt(struct wz_script *script);
