// SPDX-License-Identifier: Apache-2.0
// What a script is called and listens to, as its file and the command line say it.
#pragma once

#include <jansson.h>

#include "base/slice.h"
#include "cli/args.h"

// The name that a script in the file PATH has: without folder and ".py". The caller owns it.
char *wz_bindings_name(const char *path);

// The bindings of the options --on, or, when none is given, of the lines "# wyze: on STREAM:PATTERN
// ..." in CODE, as the array that a script's document holds: empty when neither says anything.
// NULL, with the problem filled, for one that cannot be read. The caller owns it.
json_t *wz_bindings_read(struct wz_slice code, const struct wz_args *args,
                         struct wz_problem *ret_problem);
