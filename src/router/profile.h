// SPDX-License-Identifier: Apache-2.0
// A profile: all that devices of one kind have in common beside their ids and routes. It is made of
// a template's members and a device's own, which take their places; each device without either has
// the first profile of a mapping. docs/formats/mapping.md has the members.
#pragma once

#include <jansson.h>

#include "base/problem.h"
#include "router/command.h"
#include "router/pairs.h"
#include "router/shape.h"

// The most reading shapes of a device, and shapes of topics that are left alone.
#define WZ_READINGS_MAX 8
#define WZ_IGNORED_MAX 8

// No reading shape in particular.
#define WZ_READING_ANY UINT8_MAX

// What is said of a channel beside its name.
struct wz_channel_info {
    enum wz_body_type type;
    enum wz_send send;
    bool has_type; // it is its own, and no preset
    bool has_send;
    uint8_t reading; // the shape its readings have, or WZ_READING_ANY
};

// Channels: subtopics and their names. All zero is none.
struct wz_channels {
    struct wz_pairs pairs;
    struct wz_channel_info *info; // one for each
};

// One of the shapes of readings. Topics of one with a PREFIX have it between route and channel.
struct wz_reading {
    char *name; // or NULL
    struct wz_shape shape;
    struct wz_buf prefix; // words
};

struct wz_profile {
    char *template;      // the name of the template that it follows, or NULL
    bool own;            // a device has members of its own
    struct wz_buf input; // type words
    struct wz_buf output;
    struct wz_reading readings[WZ_READINGS_MAX]; // in the order of trial
    uint8_t reading_count;
    struct wz_shape command;
    struct wz_shape ignored[WZ_IGNORED_MAX];
    uint8_t ignored_count;
    struct wz_channels channels;   // its own; those of all devices count beside
    struct wz_channel_info preset; // of channels that say nothing, and of the route itself
};

// What a profile is made of.
struct wz_profile_source {
    const char *where;     // the document that a problem is told of: "templates/tasmota"
    json_t *layers[2];     // bodies: a template's or NULL, a device's or NULL
    struct wz_slice input; // the type words where neither has its own
    struct wz_slice output;
};

// Makes a profile. WZ_ERR_INVALID, with a problem, when a member is wrong. The caller releases
// RET_PROFILE, which is none after a failure.
WZ_MUST int wz_profile_init(struct wz_profile *ret_profile, const struct wz_profile_source *source,
                            struct wz_problem *ret_problem);

// Frees what it holds.
void wz_profile_release(struct wz_profile *profile);

// Whether a device's own members make its profile another than its template's.
bool wz_profile_differs(json_t *device);

// Adds a channel to channels that have room for it (wz_channels_init). BODY is a text, its name, or
// an object. WZ_ERR_INVALID, with a problem told of WHERE, when it is wrong.
WZ_MUST int wz_channels_add(struct wz_channels *channels, const char *where, const char *subtopic,
                            json_t *body, struct wz_problem *ret_problem);

// Makes room for CAP channels.
void wz_channels_init(struct wz_channels *channels, uint32_t cap);

// Frees what they hold.
void wz_channels_release(struct wz_channels *channels);
