// SPDX-License-Identifier: Apache-2.0
// How a script's messages reach the bus: with its name, the record behind them, and a limit on how
// often an output may cause an output.
#pragma once

#include "base/uuid.h"
#include "bus/bus.h"
#include "wire/frames.h"

// A message that has been through this many scripts causes none any more (design section 8).
#define WZ_HOPS_MAX 16

// The record that caused a message. All zero: none.
struct wz_cause {
    char id[WZ_UUID_TEXT_LEN];
    size_t id_len; // 0 when the record's _id is not known
    uint8_t hops;
};

// A message that a script causes.
struct wz_output {
    struct wz_slice topic;
    struct wz_slice body;
    struct wz_slice parent; // the _id of the record behind it; empty: none
    struct wz_slice commit; // the record header, or empty
    uint8_t hops;           // of the message
    bool persistent;
};

// One script's way to the exchange egress.
struct wz_egress {
    struct wz_bus *bus;
    struct wz_slice script; // its name, borrowed
    int64_t out_count;      // published
    int64_t refused_count;  // not published: too many hops, or not allowed by the bus
    int64_t warned_us;
};

// What RECORD is as a cause: copies what is needed.
void wz_cause_init(struct wz_cause *ret_cause, const struct wz_frame_record *record);

// Publishes an output. WZ_ERR_BUSY: try again when the bus is ready. What can never be published is
// counted, logged, and WZ_OK.
WZ_MUST int wz_egress_publish(struct wz_egress *egress, const struct wz_output *output);

// The same for a line of the script's log, which is no output of it.
WZ_MUST int wz_egress_say(struct wz_egress *egress, const struct wz_output *line);
