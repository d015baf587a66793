// SPDX-License-Identifier: Apache-2.0
// Templates that are there from the start, for devices that many people own (docs/templates.md). A
// document of the same name takes the place of one.
#pragma once

#include <jansson.h>

// How many there are.
#define WZ_READY_TEMPLATE_COUNT 7

// The body of the ready template NAME, a new reference, or NULL.
json_t *wz_ready_template(const char *name);

// The name of the ready template NAME, which stays when NAME is gone, or NULL.
const char *wz_ready_template_find(const char *name);

// The name of the one at INDEX, below WZ_READY_TEMPLATE_COUNT, in the order of bytes.
const char *wz_ready_template_name(int index);
