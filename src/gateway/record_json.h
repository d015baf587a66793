// SPDX-License-Identifier: Apache-2.0
// A record as the API shows it, on one line.
#pragma once

#include "base/buf.h"
#include "wire/batch.h"

// Adds {"offset":..,"append_time":"..","topic":"..","headers":{..},"body":..} without a line end.
// The body's bytes stay as they are, but that line ends in it, which can only be white space
// between tokens, become spaces. A body that is not JSON is a string.
void wz_record_json_add(struct wz_buf *buf, const struct wz_record *record);
