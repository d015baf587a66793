// SPDX-License-Identifier: Apache-2.0
// Serves at the desk, as the part "streams", those who want segments removed. Loop thread only.
//
//   "needed"  -> {"needed_offset": N}: nothing is removed from there on; null: nothing is held
//   "trim", {"below_offset": N} -> {"segments": N, "records": N, "bytes": N}: what went
#pragma once

#include "bus/desk.h"
#include "stream/retention.h"

struct wz_trimmer;

// Makes one without streams. What is pointed to must outlive it; the caller frees it.
struct wz_trimmer *wz_trimmer_new(struct wz_desk *desk, struct wz_retention *retention);

// Takes in the stream NAME, which is borrowed.
void wz_trimmer_add(struct wz_trimmer *trimmer, const char *name, struct wz_log *log);

// Serves nobody any more, and stops the retention, so that those who wait are answered.
void wz_trimmer_stop(struct wz_trimmer *trimmer);

// Frees it; NULL is fine.
void wz_trimmer_free(struct wz_trimmer *trimmer);
