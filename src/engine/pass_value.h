// SPDX-License-Identifier: Apache-2.0
// The value of one member of a record, as far as it takes to tell whether another one differs.
#pragma once

#include "base/slice.h"

enum wz_pass_value_kind {
    WZ_PASS_MISSING, // the record has no such member
    WZ_PASS_NUMBER,  // a number, or a text that is one
    WZ_PASS_OTHER,   // any other JSON
};

// A value. All zero is a missing one.
struct wz_pass_value {
    uint64_t hash[2]; // of its bytes as they stand (XXH3, 128 bits)
    double number;
    enum wz_pass_value_kind kind;
};

// When a value counts as changed; zero: when it differs at all.
struct wz_pass_deadband {
    double width;  // by more than this,
    bool relative; // or by more than this part of the older one's amount
};

// Finds the member MEMBER, a JSON string with its quotes, in the record's body, which must be a
// JSON object. Of several the last one counts, as in Python.
void wz_pass_value_find(struct wz_slice body, struct wz_slice member,
                        struct wz_pass_value *ret_value);

// Whether NOW differs from LAST.
bool wz_pass_value_changed(const struct wz_pass_value *last, const struct wz_pass_value *now,
                           const struct wz_pass_deadband *deadband);
