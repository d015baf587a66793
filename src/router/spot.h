// SPDX-License-Identifier: Apache-2.0
// A spot: a device, one of the shapes of its readings, and a subtopic. Physical topics and logical
// ones each name one, and each spot has one topic of either kind.
#pragma once

#include "router/mapping.h"
#include "router/mapping_parts.h"

// All slices are borrowed from the topic, the mapping or LEVELS.
struct wz_spot {
    struct wz_device_match device;
    const struct wz_profile *profile;
    uint8_t reading;
    struct wz_slice subtopic; // its pointer is NULL when there is none
};

// Reads a physical topic by the shapes of a use, in the order of trial. Whether there is a spot;
// for another use than readings only the device and the subtopic count.
bool wz_spot_find(const struct wz_mapping *mapping, enum wz_shape_use use, struct wz_slice physical,
                  struct wz_spot *ret_spot);

// Finds the device whose topic it would be, were the levels behind that others. Of RET_SPOT device
// and profile are set.
bool wz_spot_near(const struct wz_mapping *mapping, struct wz_slice physical,
                  struct wz_spot *ret_spot);

// Reads a logical topic, without the word of commands; one that is too long is nobody's. LEVELS is
// room for a subtopic that is made of words.
bool wz_spot_read(const struct wz_mapping *mapping, struct wz_slice topic,
                  char levels[WZ_TOPIC_MAX], struct wz_spot *ret_spot);

// The channel that a spot's subtopic is declared to be. Whether there is one.
bool wz_spot_channel(const struct wz_mapping *mapping, const struct wz_spot *spot,
                     struct wz_slice *ret_name, struct wz_channel_info *ret_info);

// Writes the logical topic of a spot. What is MAPPED is not looked at from the other side.
enum wz_outcome wz_spot_name(const struct wz_mapping *mapping, const struct wz_spot *spot,
                             struct wz_translation *ret_translation);

// Whether the topic of readings from a spot is PHYSICAL.
bool wz_spot_has_topic(const struct wz_mapping *mapping, const struct wz_spot *spot,
                       struct wz_slice physical);

// Writes the topic of a spot in a shape; its length, or 0 when it has none or is too long.
size_t wz_spot_write(const struct wz_mapping *mapping, const struct wz_spot *spot,
                     const struct wz_shape *shape, char ret_text[WZ_COMMAND_TOPIC_MAX]);

// What of a command's body a spot gets.
enum wz_send wz_spot_send(const struct wz_mapping *mapping, const struct wz_spot *spot);
