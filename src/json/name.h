// SPDX-License-Identifier: Apache-2.0
// Escapes in strings, and the names that only wyze itself may give to members.
#pragma once

#include "base/slice.h"

// Takes the escape at the front of REST, which begins with a backslash, and returns its code point;
// two \u escapes that are a surrogate pair are one. A lone surrogate, and what is no escape, gives
// U+FFFD.
uint32_t wz_json_escape_next(struct wz_slice *rest);

// Whether NAME, a valid JSON string with its quotes, is a reserved one, also when it is escaped.
bool wz_json_name_reserved(struct wz_slice name);
