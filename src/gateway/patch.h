// SPDX-License-Identifier: Apache-2.0
// JSON Merge Patch (RFC 7396).
#pragma once

#include <jansson.h>

// What TARGET becomes under PATCH, as a new value that the caller owns; neither is changed. TARGET
// may be NULL, which stands for nothing there.
json_t *wz_patch_apply(const json_t *target, json_t *patch);
