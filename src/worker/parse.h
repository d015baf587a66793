// SPDX-License-Identifier: Apache-2.0
// The quick way from JSON text to a Python value.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/slice.h"

#define WZ_PARSE_NAMES 256

// Names of members that came before, so that each is made once. Zero is empty; it is never freed.
struct wz_parse_names {
    PyObject *items[WZ_PARSE_NAMES]; // by a hash of the bytes; a later one takes the place
};

// The value that json.loads makes of TEXT, a new reference. NULL, without an exception, when there
// is something in it that is left to json.loads: an escape, a whole number of more than 18 digits,
// NaN or an infinity, over 64 levels, white space behind the value, or no JSON at all.
PyObject *wz_parse(struct wz_parse_names *names, struct wz_slice text);
