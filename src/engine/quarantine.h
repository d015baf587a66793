// SPDX-License-Identifier: Apache-2.0
// A message that a script could not take, as the journal keeps it: the record, why, and the state
// that the call looked at. Pure.
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "wire/frames.h"

// One message. Slices are borrowed.
struct wz_quarantine {
    struct wz_frame_record record; // stream and offset: where it came from
    uint32_t attempts;             // that failed
    int64_t time_ms;               // of the last one, since the epoch
    struct wz_slice reason;        // a traceback, or a text; the last line says it in short
    struct wz_slice seen;          // a JSON object: the state as it was before the call
};

// The longest reason that is kept: of a longer one its end.
#define WZ_QUARANTINE_REASON_MAX 65536

// Adds its value to BUF.
void wz_quarantine_put(struct wz_buf *buf, const struct wz_quarantine *message);

// Reads a value. WZ_ERR_CORRUPT for one that does not add up.
WZ_MUST int wz_quarantine_get(struct wz_slice value, struct wz_quarantine *ret_message);

// The last line of a reason that says something: an exception with its text.
struct wz_slice wz_quarantine_short(struct wz_slice reason);
