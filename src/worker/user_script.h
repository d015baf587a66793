// SPDX-License-Identifier: Apache-2.0
// The user's Python code: loaded, validated, called.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

// A script that was loaded. All zero is none. Its parts are references.
struct wz_user_script {
    PyObject *prelude;      // the Python side of this file: its functions by name, dict
    PyObject *filename;     // as it stands in tracebacks
    PyObject *handle_input; // the script's function
    PyObject *init;         // the same, or NULL when it has none
    PyObject *stop;         // the same
};

// Why something failed. LINE and COLUMN count from 1, 0 is "unknown"; TRACEBACK is Python's text.
struct wz_fault {
    uint32_t line;
    uint32_t column;
    struct wz_buf reason;
    struct wz_buf traceback;
};

// Gets ready; false with a Python exception.
bool wz_user_script_init(struct wz_user_script *script);

// Compiles CODE (UTF-8), runs its top level and checks its functions: handle_input must be there
// and take (msg, context), init and stop, if there, (context). False with RET_FAULT filled for what
// is wrong.
bool wz_user_script_load(struct wz_user_script *script, struct wz_slice name, struct wz_slice code,
                         struct wz_fault *ret_fault);

// Turns the exception that is set into a fault, and clears it.
void wz_user_script_fault(struct wz_user_script *script, struct wz_fault *ret_fault);

// Frees the texts.
void wz_fault_release(struct wz_fault *fault);
