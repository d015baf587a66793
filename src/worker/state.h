// SPDX-License-Identifier: Apache-2.0
// A script's state inside the worker: values by key, what the call at hand has touched, and what
// the engine has not been told yet.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "worker/body.h"

// The most bytes of changes that one call may make.
#define WZ_STATE_CHANGES_MAX_BYTES (16 * 1024 * 1024)

// The most bytes of SEEN items of one result.
#define WZ_STATE_SEEN_MAX_BYTES (64 * 1024)

// In place of a lane: the call has none, and no state.
#define WZ_STATE_NO_LANE 0xff

// A key that the call at hand has got or set.
struct wz_state_touch {
    PyObject *key;
    PyObject *before;  // as it was before the call; NULL: it was not there
    size_t change_len; // of the change that it makes, in a frame
    size_t cost;       // what its entry counts for, when it is changed
    bool changed;
};

// Values that never change (None, bool, int of 64 bits, float, str) are in the tables as they are,
// all others as bytes, their JSON text. All zero is an empty one that must be initialised. Use, for
// each call:
//   1. wz_state_begin
//   2. wz_state_get, wz_state_set
//   3. wz_state_keep, or wz_state_put_seen and wz_state_undo
struct wz_state {
    struct wz_body_codec *codec;
    PyObject *tables[WZ_LANE_COUNT + 1]; // dicts; NULL: nothing in it yet
    PyObject *dirty[WZ_LANE_COUNT + 1];  // dicts of the keys that changed since put_changes
    size_t dirty_bytes;                  // at least what these changes take in a frame
    uint8_t lane;                        // of the call at hand
    struct wz_state_touch *touches;
    size_t touch_count;
    size_t touch_cap;
    PyObject *touch_index; // dict of their places, when there are many
    size_t change_bytes;   // of the call at hand
    size_t max_bytes;      // what all entries may count for, with WZ_STATE_ENTRY_COST each
    size_t bytes;          // what they count for
    size_t kept_bytes;     // the same, before the call at hand
};

// Gets an empty state ready that may count for MAX_BYTES; CODEC must outlive it.
void wz_state_init(struct wz_state *state, struct wz_body_codec *codec, size_t max_bytes);

// Keeps an entry that the engine sent, also where it is more than the state may count for. False
// with an exception when its value is no JSON.
bool wz_state_load(struct wz_state *state, const struct wz_frame_entry *entry);

// Begins a call whose state is that of LANE; WZ_STATE_NO_LANE: it may not get nor set.
void wz_state_begin(struct wz_state *state, uint8_t lane);

// The value at KEY, a new reference that is the caller's own; NULL without an exception when there
// is none, with one when KEY is not fit.
PyObject *wz_state_get(struct wz_state *state, PyObject *key);

// Puts VALUE at KEY; NULL takes the key out. WZ_ERR_INVALID with an exception when key or value are
// not fit; without one WZ_ERR_LIMIT when the call changes too much, WZ_ERR_TOO_LARGE when the state
// would count for more than it may, and for more than before the call.
WZ_MUST int wz_state_set(struct wz_state *state, PyObject *key, PyObject *value);

// Ends a call that counts.
void wz_state_keep(struct wz_state *state);

// Adds a SEEN item for each key that the call has touched, as far as they fit; returns how many.
uint32_t wz_state_put_seen(struct wz_state *state, struct wz_buf *buf);

// Ends a call that does not count: all is as it was before it.
void wz_state_undo(struct wz_state *state);

// Adds the count of changes since the last time and the changes of all calls that counted, each key
// once. In the middle of a call its own changes are not among them; nothing may be changed
// meanwhile.
void wz_state_put_changes(struct wz_state *state, struct wz_buf *buf);
