// SPDX-License-Identifier: Apache-2.0
// Where the program is that runs scripts.
#pragma once

#include "base/buf.h"

// Adds the path of wyze-python: beside this program, or where the build or an installation puts it.
void wz_worker_path_add(struct wz_buf *buf);
