// SPDX-License-Identifier: Apache-2.0
// Looking back at records in front of the one at hand: the engine is asked, and the call waits.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

struct wz_context;

// The most records that one look gives, and how many it gives when the script does not say.
#define WZ_LOOKBACK_LIMIT_MAX 10000
#define WZ_LOOKBACK_LIMIT 1000

// The bodies of the records that match PATTERN, a new list of dicts, oldest first; SINCE, UNTIL and
// LIMIT may be NULL, as when the script leaves them out. NULL with an exception. Ends the process
// when the engine has closed the pipe or breaks the protocol.
PyObject *wz_lookback_range(struct wz_context *context, PyObject *pattern, PyObject *since,
                            PyObject *until, PyObject *limit);

// The body of the newest record of TOPIC, a new reference; None when there is none. Else as above.
PyObject *wz_lookback_last(struct wz_context *context, PyObject *topic);
