// SPDX-License-Identifier: Apache-2.0
// The Python interpreter inside the worker: Debian's, isolated from whoever started the process.
#pragma once

#include <stdbool.h>

// Starts it: UTF-8, no environment, no user's site folder, no signal handlers, no bytecode files.
// False after saying why on standard error.
bool wz_interpreter_start(void);
