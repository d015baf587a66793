// SPDX-License-Identifier: Apache-2.0
// The configuration as it is in force: each key's value is that of its flag, else of its
// environment variable, else of the file, else its default. Immutable once loaded, so any thread
// may read it.
#pragma once

#include "config/keys.h"
#include "config/value.h"

struct wz_config;

// Where values come from. All zero: defaults and ./wyze.yaml only. Everything is borrowed for the
// call.
struct wz_config_sources {
    const char *const *args;      // flags and their values only: "--mqtt-listen", "X" or "--data=X"
    size_t arg_count;             //
    const char *const *env;       // "NAME=value", NULL at the end, as environ; may be NULL
    const char *const *other_env; // WYZE_ names that other parts read, NULL at the end; may be NULL
};

// Reads all sources. Every wrong value and unknown name is refused with a problem that says where
// it stands (the flag, the variable, file:line:column), what is allowed, and, for a name, which one
// may be meant. The caller owns RET_CONFIG.
WZ_MUST int wz_config_load(const struct wz_config_sources *sources, struct wz_config **ret_config,
                           struct wz_problem *ret_problem);

// Frees it; NULL is fine.
void wz_config_free(struct wz_config *config);

// The text of a STRING, PATH or CHOICE key, never NULL; borrowed as long as the configuration
// lives. "data" is never empty; "config" is, when there is no file.
const char *wz_config_str(const struct wz_config *config, enum wz_config_key key);

// The number of a SIZE (bytes), DURATION (ms), COUNT, BOOL (0 or 1) or CHOICE key (the index of its
// word: the first is 0).
int64_t wz_config_int(const struct wz_config *config, enum wz_config_key key);

// The address of an ADDRESS key, borrowed as long as the configuration lives.
const struct wz_address *wz_config_address(const struct wz_config *config, enum wz_config_key key);

// Where the value of a key comes from, for people: "--data", "WYZE_DATA", "wyze.yaml:3:7" or
// "default".
const char *wz_config_where(const struct wz_config *config, enum wz_config_key key);

// Whether ARG ("--mqtt-listen", "--mqtt-listen=X") is the flag of a key, for who parses a command
// line that has other flags too. Every such flag takes a value.
bool wz_config_is_flag(const char *arg);
