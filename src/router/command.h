// SPDX-License-Identifier: Apache-2.0
// From a record to the bytes that a device gets (design: Out).
#pragma once

#include "router/preprocess.h"

// Adds to RET_BODY what the device gets for a record with the body VALUE (a stamped JSON object) of
// the given form: stamps taken off, "_received" put back, compact; a wrapped text as that text,
// wrapped bytes as these bytes. WZ_ERR_INVALID when VALUE is no JSON object.
WZ_MUST int wz_command_body(struct wz_slice value, enum wz_form form, struct wz_buf *ret_body);
