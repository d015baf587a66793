// SPDX-License-Identifier: Apache-2.0
// Texts that are printed from tables, so that they cannot say anything else than the program does.
#pragma once

#include "base/buf.h"

// Adds the flags of all keys, with their defaults, for the --help of a command that runs a server.
void wz_page_help(struct wz_buf *buf);

// Adds docs/configuration.md.
void wz_page_configuration(struct wz_buf *buf);

// Adds docs/errors.md.
void wz_page_errors(struct wz_buf *buf);
