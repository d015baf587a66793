// SPDX-License-Identifier: Apache-2.0
// What a person is told when something is refused: what, where, and how to mend it.
#pragma once

#include "base/err.h"

// A refusal. CODE is the stable number behind "WYZ-", from the table in docs/errors.md; ERR is what
// the function returned. All texts are complete plain sentences or empty.
struct wz_problem {
    int err;
    int code;
    char what[256];
    char where[256];
    char fix[256];
};

// Fills RET_PROBLEM (which may be NULL) and returns ERR. WHAT is formatted with the arguments.
int wz_problem_set(struct wz_problem *ret_problem, int err, int code, const char *what, ...)
    __attribute__((format(printf, 4, 5)));

// Adds where it is, formatted. Does nothing for NULL.
void wz_problem_where(struct wz_problem *problem, const char *where, ...)
    __attribute__((format(printf, 2, 3)));

// Adds how to mend it, formatted. Does nothing for NULL.
void wz_problem_fix(struct wz_problem *problem, const char *fix, ...)
    __attribute__((format(printf, 2, 3)));
