// SPDX-License-Identifier: Apache-2.0
// What a script says, and what is said of it: records of the stream script-log (topic: the script's
// name), lines of the program's log, and messages on the topics logs.<severity>.
#pragma once

#include "engine/egress.h"

// Lines of one script in the program's log within a second; what is more is counted.
#define WZ_SCRIPT_LOG_LINES 50

// Records of one script on script-log, and on the topics logs.<severity>, within a second; what is
// more is counted.
#define WZ_SCRIPT_LOG_RECORDS 1000

// One script's log. All zero but EGRESS and STREAM is a new one.
struct wz_script_log {
    struct wz_egress *egress;
    struct wz_log *stream; // script-log
    int64_t second_us;     // when the present second began
    int64_t line_count;    // in it
    int64_t record_count;
    int64_t dropped_count; // records that were not taken, not told yet
};

// Writes a line of a worker's; one from context.log is published too. WZ_ERR_BUSY: nothing was
// done, try again when the bus is ready.
WZ_MUST int wz_script_log_write(struct wz_script_log *log, const struct wz_frame_log *line,
                                const struct wz_cause *cause);

// Puts a line of the engine's about the script on script-log: that it crashed, or raised.
void wz_script_log_tell(struct wz_script_log *log, enum wz_severity severity, struct wz_slice text,
                        const struct wz_cause *cause);

// Whether the program's log may take one more line of this script now; tells, when a new second
// begins, how many it did not take.
bool wz_script_log_allow(struct wz_script_log *log);
