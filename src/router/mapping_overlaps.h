// SPDX-License-Identifier: Apache-2.0
// What devices of a mapping may not be to one another: no topic is one of two devices, and no
// device is hidden by others.
#pragma once

#include "base/err.h"

struct wz_mapping_build;

// Refuses a mapping with a device that takes topics of another, or gets none. All devices are
// there, and sealed. WZ_ERR_INVALID, with a problem.
WZ_MUST int wz_mapping_overlaps_check(const struct wz_mapping_build *build);
