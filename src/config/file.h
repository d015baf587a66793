// SPDX-License-Identifier: Apache-2.0
// The configuration file: YAML in which groups are nested maps or dots in a key.
#pragma once

#include "base/problem.h"
#include "base/slice.h"

// A file larger than this is refused.
#define WZ_CONFIG_FILE_MAX (1024 * 1024)

// One entry: the KEY with dots, its VALUE's text, and where each begins (from 1). An entry without
// a value ("mqtt:" and nothing) has an empty one and EMPTY set.
struct wz_config_entry {
    const char *key;
    const char *value;
    size_t key_line;
    size_t key_column;
    size_t line;
    size_t column;
    bool empty;
};

// Called for each entry, in the file's order; a negative result, with the problem filled, ends the
// reading and becomes its result.
typedef int (*wz_config_entry_fn)(void *arg, const struct wz_config_entry *entry,
                                  struct wz_problem *ret_problem);

// Reads the file PATH. WZ_ERR_NOT_FOUND, without a problem, when it is not there; else a problem
// that names file, line and column.
WZ_MUST int wz_config_file_read(const char *path, wz_config_entry_fn fn, void *arg,
                                struct wz_problem *ret_problem);
