// SPDX-License-Identifier: Apache-2.0
// The quick way from a Python value to JSON text.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "base/buf.h"

// Adds VALUE as JSON to BUF, as json.dumps writes it without ASCII escapes and without spaces. It
// knows None, bool, int of 64 bits, finite float, str, list and dict with str keys, none of them of
// an inherited type, nested up to 100 levels. False for anything else, without an exception: then
// BUF is as it was. Runs none of the script's code.
bool wz_dump(struct wz_buf *buf, PyObject *value);
