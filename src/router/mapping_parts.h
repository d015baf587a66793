// SPDX-License-Identifier: Apache-2.0
// What a mapping is made of; for mapping.c, which reads it, and mapping_build.c, which makes it.
#pragma once

#include "base/buf.h"
#include "router/pairs.h"

struct wz_mapping {
    struct wz_pairs devices;  // device id and route
    struct wz_pairs channels; // subtopic and channel name, of all devices
    struct wz_buf input;      // the type word of readings
    struct wz_buf output;     // the type word of commands
};
