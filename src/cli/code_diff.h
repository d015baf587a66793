// SPDX-License-Identifier: Apache-2.0
// What differs between two texts of a script, for people.
#pragma once

#include "base/buf.h"

// A text and the name under which it is shown.
struct wz_code_text {
    const char *label;
    const char *text;
};

// Adds what the program diff says in its unified form; where there is none, all lines of BEFORE
// with a "-" in front and all of AFTER with a "+". Adds nothing when they are the same.
void wz_code_diff_add(struct wz_buf *buf, const struct wz_code_text *before,
                      const struct wz_code_text *after);
