// SPDX-License-Identifier: Apache-2.0
// From a record to the bytes that a device gets (design: Out).
#pragma once

#include "router/preprocess.h"

// What of a record's body a device gets.
enum wz_send {
    WZ_SEND_BODY,
    WZ_SEND_VALUE, // its member "value" alone, where it has one
};

// Adds to RET_BODY what the device gets for a record with the body VALUE (a stamped JSON object) of
// the given form: stamps taken off, "_received" put back, compact; a wrapped text as that text,
// wrapped bytes as these bytes. With WZ_SEND_VALUE, of an object with a member "value" that alone:
// a text as it is, other JSON compact. WZ_ERR_INVALID when VALUE is no JSON object.
WZ_MUST int wz_command_body(struct wz_slice value, enum wz_form form, enum wz_send send,
                            struct wz_buf *ret_body);
