// SPDX-License-Identifier: Apache-2.0
// What a log lends to its readers.
#pragma once

#include "stream/log/cache.h"
#include "stream/log/shelf.h"

// The segments of LOG; borrowed.
struct wz_shelf *wz_log_shelf(struct wz_log *log);

// The indexes of sealed segments that were used last; borrowed.
struct wz_cache *wz_log_cache(struct wz_log *log);

// The folder of LOG; borrowed.
const char *wz_log_dir(const struct wz_log *log);

// Somebody has found that the file of the segment at PLACE is gone, or is another one. WZ_OK: the
// shelf is to be asked again, which knows better by now or in a moment. A log without a writer
// looks at what stands there. WZ_ERR_NOT_FOUND: it is not the log's doing.
WZ_MUST int wz_log_look_again(struct wz_log *log, const struct wz_place *place);
