// SPDX-License-Identifier: Apache-2.0
// The devices of a mapping, found by the front of a physical topic or of a logical one: those with
// an id of their own, and those whose ids have captures, levels in braces that stand for any one
// level: "mesh/{node}/{unit}" = "site.{node}.{unit}".
//
// It is filled first, then read by any number of threads.
#pragma once

#include "router/pairs.h"

// The most captures of a device.
#define WZ_CAPTURES_MAX 8

// What ids, or routes, with captures have in common that have as many levels and the captures at
// the same places.
struct wz_capture_form {
    uint32_t parts;    // levels or words
    uint32_t captures; // a bit for each that is one
};

// What is known of a device with captures beside its two keys, which have '+' for each.
struct wz_captured {
    char *id; // with the names of its captures
    uint8_t count;
    uint8_t order[WZ_CAPTURES_MAX]; // of the id's captures, the places in the route
};

// All zero is an empty table that owns nothing.
struct wz_device_table {
    struct wz_pairs exact;    // id and route
    struct wz_pairs captured; // keys
    struct wz_captured *info; // one for each of CAPTURED
    uint32_t *profiles;       // one for each device, those without captures first
    uint32_t cap;
    struct wz_capture_form *forms[WZ_SIDE_COUNT];
    uint32_t form_count[WZ_SIDE_COUNT];
};

// A device that was found, and what its captures stand for.
struct wz_device_match {
    uint32_t number;
    size_t len;      // of the text that is its id or route
    uint32_t levels; // of the id, or words of the route
    uint32_t literal_levels;
    uint8_t capture_count;                     // 0: an id of its own
    struct wz_slice captures[WZ_CAPTURES_MAX]; // in the order of the id
};

// A walk over the devices whose id, or route, a text begins with.
struct wz_device_walk {
    const struct wz_device_table *table;
    enum wz_side side;
    struct wz_slice text;
    size_t len; // what is to be tried next, of the exact ones
    uint32_t form;
};

// Makes room for so many devices.
void wz_device_table_init(struct wz_device_table *table, uint32_t exact, uint32_t captured);

// Frees what it holds.
void wz_device_table_release(struct wz_device_table *table);

// Whether an id or its route has captures: a level or word that begins with '{' and ends with '}'.
bool wz_device_captures(struct wz_slice id, struct wz_slice route);

// Adds a device with its profile's number. WZ_ERR_EXISTS when its id or route, whatever its
// captures are called, is there already: RET_NUMBER is that device. WZ_ERR_INVALID when captures
// are wrong: RET_WRONG is then the end of a sentence that begins with "The device". Else RET_NUMBER
// is its own; it counts until the table is sealed only.
WZ_MUST int wz_device_table_add(struct wz_device_table *table, struct wz_slice id,
                                struct wz_slice route, uint32_t profile, uint32_t *ret_number,
                                const char **ret_wrong);

// Adds a device of another table, as wz_device_table_add.
WZ_MUST int wz_device_table_copy(struct wz_device_table *table, const struct wz_device_table *from,
                                 uint32_t number, uint32_t profile, uint32_t *ret_number);

// Says that all are there; before it nothing is found.
void wz_device_table_seal(struct wz_device_table *table);

// Starts a walk.
struct wz_device_walk wz_device_walk(const struct wz_device_table *table, enum wz_side side,
                                     struct wz_slice text);

// The next device: those with an id of their own come first, then the longer, then those with more
// literal levels or words. A capture stands for any level, also one that cannot be a word.
bool wz_device_walk_next(struct wz_device_walk *walk, struct wz_device_match *ret_match);

// Whether S can be both a level and a word, so that the bus takes a topic of such words.
bool wz_device_safe(struct wz_slice s);

// Writes the id or route of a device that was found to RET_TEXT, which has room for CAP bytes; 0
// when that is not enough.
size_t wz_device_write(const struct wz_device_table *table, const struct wz_device_match *match,
                       enum wz_side side, char *ret_text, size_t cap);

// The id of device NUMBER as it was added, borrowed.
struct wz_slice wz_device_id(const struct wz_device_table *table, uint32_t number);

// The number behind NUMBER, or the first for UINT32_MAX; UINT32_MAX behind the last.
uint32_t wz_device_next(const struct wz_device_table *table, uint32_t number);

// The id or route of device NUMBER, with '+' for captures; borrowed.
struct wz_slice wz_device_key(const struct wz_device_table *table, uint32_t number,
                              enum wz_side side);

// Finds a device by its whole id or route, with '+' for captures, among those that have captures or
// those that have none.
bool wz_device_find_key(const struct wz_device_table *table, enum wz_side side, struct wz_slice key,
                        bool captured, uint32_t *ret_number);
