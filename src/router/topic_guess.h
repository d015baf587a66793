// SPDX-License-Identifier: Apache-2.0
// Guesses from an unmapped topic and a sample of its bodies which device it is of. Pure.
#pragma once

#include <jansson.h>

#include "base/slice.h"

// Topics of more levels are not guessed at.
#define WZ_GUESS_LEVELS_MAX 16

// A topic, cut into levels.
struct wz_guess_topic {
    struct wz_slice text;
    struct wz_slice sample;
    struct wz_slice levels[WZ_GUESS_LEVELS_MAX];
    size_t count;
};

// A guess. All but the counts is borrowed from the topic or a literal.
struct wz_guess {
    size_t from;          // the device's id is the topic's levels from this one
    size_t to;            // up to this one, which is not of it; 0: no device
    const char *template; // NULL: none is needed
    struct wz_slice ignore;
    const char *because; // NULL: nothing was guessed
};

// Cuts a topic into levels. False when it has too many, or empty ones.
bool wz_guess_cut(struct wz_slice topic, struct wz_slice sample, struct wz_guess_topic *ret_topic);

// By the topics of known makers: Tasmota, zigbee2mqtt, Shelly, rtl_433, ESPHome, and Home
// Assistant's discovery, which is to be ignored.
struct wz_guess wz_guess_known(const struct wz_guess_topic *topic);

// What topics that were seen have in common. All zero is nothing.
struct wz_guess_crowd {
    uint64_t *hashes;
    size_t count;
    size_t cap;
};

// Adds a topic; then, when all are there, wz_guess_crowd_sort.
void wz_guess_crowd_add(struct wz_guess_crowd *crowd, const struct wz_guess_topic *topic);
void wz_guess_crowd_sort(struct wz_guess_crowd *crowd);
void wz_guess_crowd_release(struct wz_guess_crowd *crowd);

// By what it has in common with others: INPUT is the type word of readings. There always is a
// guess.
struct wz_guess wz_guess_common(const struct wz_guess_crowd *crowd,
                                const struct wz_guess_topic *topic, struct wz_slice input);

// The slice of the topic that a guess says is the device's id.
struct wz_slice wz_guess_id(const struct wz_guess_topic *topic, const struct wz_guess *guess);
