// SPDX-License-Identifier: Apache-2.0
// docs/openapi.json, as it was when the program was built; made by the build.
#pragma once

#include <stddef.h>

// The text.
extern const unsigned char wz_openapi_json[];

// Its length in bytes.
extern const size_t wz_openapi_json_len;
