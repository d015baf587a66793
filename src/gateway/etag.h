// SPDX-License-Identifier: Apache-2.0
// The entity tag of a text that stands for many documents (RFC 9110 section 8.8.3), made of the
// text alone: who has kept it can ask whether it still holds.
#pragma once

#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"

#define WZ_ETAG_SIZE 19

// Writes the tag, with its quotes: 16 hexadecimal digits of the text's XXH3.
static inline void wz_etag_of(struct wz_slice text, char ret_tag[WZ_ETAG_SIZE])
{
    (void)snprintf(ret_tag, WZ_ETAG_SIZE, "\"%016" PRIx64 "\"", wz_hash(text, 0)); // it fits
}
