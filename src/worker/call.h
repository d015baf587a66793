// SPDX-License-Identifier: Apache-2.0
// A call of one of the script's functions, and what becomes of it: outputs and changes that count,
// or the reason why none do.
#pragma once

#include "worker/context.h"
#include "worker/user_script.h"

// What calls need, and what they leave behind. CONTEXT and SCRIPT are borrowed.
struct wz_caller {
    struct wz_context *context;
    struct wz_user_script *script;
    bool laned;       // each lane has a state of its own
    uint64_t waiting; // a bit for each lane in which a call has failed
    bool ended;       // a call has ended the script: none follows
};

// Calls init, if the script has it; its result goes into a STARTED frame. False with RET_FAULT
// filled when it fails: then there is no result.
bool wz_call_init(struct wz_caller *caller, struct wz_fault *ret_fault);

// Calls handle_input for a record, or defers the record when its lane waits; its result goes into a
// RESULT frame.
void wz_call_handle_input(struct wz_caller *caller, const struct wz_frame_record *record);

// Calls stop, if the script has it and has been STARTED; its result goes into a DRAINED frame.
void wz_call_stop(struct wz_caller *caller, bool started);
