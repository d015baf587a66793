// SPDX-License-Identifier: Apache-2.0
// The values that a configuration key can have, from their text and back.
#pragma once

#include "base/buf.h"
#include "base/problem.h"

enum wz_value_type {
    WZ_VALUE_STRING,   // any text
    WZ_VALUE_PATH,     // a file or folder
    WZ_VALUE_ADDRESS,  // "127.0.0.1:1883", "[::1]:1883", "localhost:1883" or "off"
    WZ_VALUE_SIZE,     // "256MiB": a number and B, KiB, MiB, GiB, TiB, kB, MB, GB or TB
    WZ_VALUE_DURATION, // "60s": a number and ms, s, m, h or d
    WZ_VALUE_COUNT,    // "20000"
    WZ_VALUE_CHOICE,   // one of some words
    WZ_VALUE_BOOL,     // "true" or "false"
};

// Where to listen. HOST is a numeric address without brackets. PORT 0 lets the system choose. OFF:
// nowhere, the rest is empty.
struct wz_address {
    char host[64];
    uint16_t port;
    bool off;
};

// What a value may be. LEAST and MOST both 0: no range. WORDS are those of a choice, "fsync|os".
struct wz_value_rule {
    enum wz_value_type type;
    int64_t least;
    int64_t most;
    const char *words;
};

// A value. NUMBER holds bytes, milliseconds, a count, 0 or 1, or the index of a choice's word. The
// value owns TEXT (a string, a path, the word of a choice; else NULL).
struct wz_value {
    int64_t number;
    struct wz_address address;
    char *text;
};

// Frees what the value holds.
void wz_value_release(struct wz_value *value);

// Reads TEXT. WZ_ERR_INVALID when it does not follow RULE: RET_PROBLEM then says what is wrong and
// how to mend it, NAME being the name that its user knows the value by; "where" is left empty. The
// caller releases RET_VALUE.
WZ_MUST int wz_value_parse(const struct wz_value_rule *rule, const char *name, const char *text,
                           struct wz_value *ret_value, struct wz_problem *ret_problem);

// Whether an address that is not off can be reached from this machine only.
bool wz_address_is_loopback(const struct wz_address *address);

// Adds a number as a value's text ("256MiB", "1m", "20000") for SIZE, DURATION and COUNT.
void wz_value_add_number(struct wz_buf *buf, enum wz_value_type type, int64_t number);

// Adds what values follow RULE, in words ("1MiB to 1GiB", "fsync or os").
void wz_value_add_allowed(struct wz_buf *buf, const struct wz_value_rule *rule);
