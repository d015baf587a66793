// SPDX-License-Identifier: Apache-2.0
// What a mapping is made of; for mapping.c, which reads it, and mapping_build.h, which makes it.
#pragma once

#include "router/device_table.h"
#include "router/profile.h"

// What topics of a shape are.
enum wz_shape_use {
    WZ_SHAPE_COMMAND,
    WZ_SHAPE_IGNORED,
    WZ_SHAPE_READING,
    WZ_SHAPE_USE_COUNT,
};

// A profile that has a shape; of readings, which of them it is.
struct wz_shape_user {
    uint32_t profile;
    uint8_t reading;
};

// A shape and all profiles that have it, in their order. The shape is the first one's.
struct wz_used_shape {
    struct wz_shape shape; // borrowed
    struct wz_shape_user *users;
    uint32_t user_count;
};

// Different shapes of one use.
struct wz_shape_list {
    struct wz_used_shape *items;
    uint32_t count;
};

struct wz_mapping {
    _Atomic int refs;
    struct wz_device_table devices;
    struct wz_channels channels; // of all devices
    struct wz_profile *profiles; // the first is that of devices without a template
    uint32_t profile_count;
    struct wz_shape_list shapes[WZ_SHAPE_USE_COUNT];
};
