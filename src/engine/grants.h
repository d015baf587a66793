// SPDX-License-Identifier: Apache-2.0
// What a script's document changes of its sandbox: the members "limits" and "grants" of
// docs/sandbox.md, and the words of the worker's command line that they become.
#pragma once

#include <jansson.h>

#include "base/problem.h"

// The most folders, and ports, that one script is granted.
#define WZ_GRANTS_MAX 32

// The longest path of a folder, in bytes.
#define WZ_GRANTS_PATH_MAX 1024

// Words for a worker; the strings are its own, and NULL stands behind the last.
struct wz_grants {
    char **words;
    size_t count;
};

// Says whether the two members (objects, or NULL: left out) are sound: known members only, each in
// its range. WZ_OK, or WZ_ERR_INVALID with what is wrong and how to mend it at RET_PROBLEM (which
// may be NULL), whose place is left empty.
WZ_MUST int wz_grants_check(json_t *limits, json_t *grants, struct wz_problem *ret_problem);

// Makes the words of members that wz_grants_check accepts. The caller releases RET_GRANTS.
void wz_grants_init(struct wz_grants *ret_grants, const json_t *limits, const json_t *grants);

// Adds one more word, which is copied.
void wz_grants_add(struct wz_grants *grants, const char *word);

// Frees the words.
void wz_grants_release(struct wz_grants *grants);
