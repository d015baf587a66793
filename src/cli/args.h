// SPDX-License-Identifier: Apache-2.0
// A command's arguments: options and what stands between them.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/problem.h"

// The most options of a command, and times that one may be repeated.
#define WZ_ARGS_OPTIONS_MAX 16
#define WZ_ARGS_WORDS_MAX 16

// An option: "--from" takes a VALUE ("WHEN", as the help shows it), a flag has NULL there.
struct wz_option {
    const char *name;
    const char *value;
    const char *help;
};

// What was given. Everything is borrowed from argv.
struct wz_args {
    const struct wz_option *options;
    size_t option_count;
    const char *values[WZ_ARGS_OPTIONS_MAX]; // the last one given; "" for a flag; NULL: not given
    const char *all[WZ_ARGS_WORDS_MAX];      // every "OPTION value" of repeatable options
    size_t all_of[WZ_ARGS_WORDS_MAX];        // which option ALL belongs to
    size_t all_count;
    const char *words[WZ_ARGS_WORDS_MAX]; // what is no option
    size_t word_count;
};

// Reads the arguments by OPTIONS. "--x=v" and "--x v" are one; after "--" nothing is an option, and
// "-", "-5" and the like never are. WZ_ERR_INVALID with a problem that names what is wrong and, for
// an unknown option, the one that may be meant.
WZ_MUST int wz_args_read(int argc, char **argv, const struct wz_option *options,
                         size_t option_count, struct wz_args *ret_args,
                         struct wz_problem *ret_problem);

// The value of the option NAME, or NULL when it was not given.
const char *wz_args_value(const struct wz_args *args, const char *name);

// Value number INDEX of the option NAME, which may be given several times; NULL after the last.
const char *wz_args_each(const struct wz_args *args, const char *name, size_t index);
