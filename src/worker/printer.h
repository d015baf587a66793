// SPDX-License-Identifier: Apache-2.0
// What stands in for sys.stdout and sys.stderr: each whole line becomes a LOG frame.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

struct wz_context;

// Puts both in place; lines name the input that CONTEXT stands at. False with a Python exception.
bool wz_printer_install(struct wz_context *context);
