// SPDX-License-Identifier: Apache-2.0
// The program's own log: one line an event on standard error, as time, level, event name, fields.
//   2026-01-02T03:04:05.678Z info mqtt.connect client="dice" address="127.0.0.1:4711"
// Any thread may write. Whatever a peer sent goes through a field, which escapes it.
#pragma once

#include <stdint.h>

#include "base/slice.h"

enum wz_log_level {
    WZ_LOG_ERROR, // an operator must act
    WZ_LOG_WARN,  // going on, worse, and how
    WZ_LOG_INFO,  // life cycle
    WZ_LOG_DEBUG, // a message
};

enum wz_log_kind {
    WZ_LOG_END,
    WZ_LOG_STR,
    WZ_LOG_SLICE,
    WZ_LOG_INT,
};

// One named value of a line; made by the macros below.
struct wz_log_field {
    enum wz_log_kind kind;
    const char *name;
    const char *str;
    struct wz_slice slice;
    int64_t num;
};

#define WZ_F_STR(n, v) ((struct wz_log_field){.kind = WZ_LOG_STR, .name = (n), .str = (v)})
#define WZ_F_SLICE(n, v) ((struct wz_log_field){.kind = WZ_LOG_SLICE, .name = (n), .slice = (v)})
#define WZ_F_INT(n, v) ((struct wz_log_field){.kind = WZ_LOG_INT, .name = (n), .num = (v)})
#define WZ_F_ERR(err) WZ_F_STR("error", wz_err_word(err))

// Writes a line when LEVEL is shown. EVENT is a stable dotted name. Fields follow:
//   WZ_LOG(WZ_LOG_INFO, "mqtt.connect", WZ_F_SLICE("client", id), WZ_F_INT("port", port));
#define WZ_LOG(level, event, ...)                                                                  \
    wz_log_write((level), (event),                                                                 \
                 (const struct wz_log_field[]){__VA_ARGS__ __VA_OPT__(, ){.kind = WZ_LOG_END}})

// What WZ_LOG calls; FIELDS ends with one of kind WZ_LOG_END.
void wz_log_write(enum wz_log_level level, const char *event, const struct wz_log_field *fields);

// Shows lines up to LEVEL; info to begin with. Call before threads start.
void wz_log_set_level(enum wz_log_level level);

// Allows a line of trouble that may come once a message: true at most once a second for STATE,
// which starts as zero and belongs to one thread.
bool wz_log_allow(int64_t *state_us);
