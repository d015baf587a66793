// SPDX-License-Identifier: Apache-2.0
// A shape: where a device's id, a subtopic and fixed levels stand in its physical topics, as in
// "tele/{device}/{subtopic}" (docs/formats/mapping.md).
#pragma once

#include "base/buf.h"
#include "base/err.h"

// The longest text of a shape.
#define WZ_SHAPE_TEXT_MAX 255

// All zero is none. The slices are parts of TEXT.
struct wz_shape {
    struct wz_buf text;      // with the type words in their places
    struct wz_slice before;  // fixed levels in front of the device; empty: none
    struct wz_slice between; // those between device and subtopic, where there is one
    struct wz_slice after;   // those behind all
    bool has_subtopic;
    uint32_t fixed_levels;
};

// The words that stand for {input} and {output}: one level each.
struct wz_shape_words {
    struct wz_slice input;
    struct wz_slice output;
};

// Reads a shape. NULL, and RET_SHAPE is the caller's to release; else what is wrong with it, as the
// end of a sentence that begins with "The shape", and RET_SHAPE is none.
const char *wz_shape_parse(struct wz_slice text, const struct wz_shape_words *words,
                           struct wz_shape *ret_shape);

// Frees what it holds.
void wz_shape_release(struct wz_shape *shape);

// Whether a topic has the fixed levels in front and behind; RET_MIDDLE is then what the device's id
// and what comes behind it stand in, which is not empty.
bool wz_shape_strip(const struct wz_shape *shape, struct wz_slice topic,
                    struct wz_slice *ret_middle);

// Whether the middle of a topic fits behind its first DEVICE_LEN bytes, which end at a level's end.
// RET_SUBTOPIC has a NULL pointer when there is none.
bool wz_shape_split(const struct wz_shape *shape, struct wz_slice middle, size_t device_len,
                    struct wz_slice *ret_subtopic);

// Adds the topic of a device and a subtopic (with a NULL pointer: none) to RET_TOPIC. False, and
// nothing is added, when it has a subtopic and the shape has no place for one.
bool wz_shape_write(const struct wz_shape *shape, struct wz_slice device, struct wz_slice subtopic,
                    struct wz_buf *ret_topic);

// Whether topics of OTHER are those of SHAPE too, for any device and any subtopic.
bool wz_shape_covers(const struct wz_shape *shape, const struct wz_shape *other);

// Whether TOPIC is what wz_shape_write would add.
bool wz_shape_makes(const struct wz_shape *shape, struct wz_slice device, struct wz_slice subtopic,
                    struct wz_slice topic);
