// SPDX-License-Identifier: Apache-2.0
// The arguments of the context's methods: by position or by name, topics among them.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "base/slice.h"

#define WZ_ARGUMENTS_MAX 4

// The parameters of a method: names, how many there are, how many must be given.
struct wz_signature {
    const char *method;
    const char *names[WZ_ARGUMENTS_MAX];
    int count;
    int needed;
};

// Sorts the arguments of a fast call into VALUES, borrowed, by the signature; absent ones stay as
// they are. False with a TypeError.
bool wz_arguments_bind(const struct wz_signature *sig, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *keywords, PyObject **values);

// The topic that VALUE, a str, holds: 1 to 255 bytes of words joined by '.'; borrowed from it.
// False with a TypeError or a ValueError.
bool wz_arguments_topic(PyObject *value, struct wz_slice *ret_topic);

// The same for a pattern, in which a word may be '*' or '#'.
bool wz_arguments_pattern(PyObject *value, struct wz_slice *ret_pattern);
