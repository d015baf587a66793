// SPDX-License-Identifier: Apache-2.0
// Message bodies between bytes and Python: a record's JSON to a dict, what a script emits to bytes.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "wire/frames.h"
#include "worker/parse.h"

// The longest body that a script may emit.
#define WZ_BODY_MAX_BYTES (1024 * 1024)

// Python's own scanner and encoder for JSON, looked up once.
struct wz_body_codec {
    struct wz_buf text; // what was encoded last
    struct wz_parse_names names;
    PyObject *scan;      // json.decoder's scan_once
    PyObject *loads;     // json.loads, for what the scanner does not take
    PyObject *encode;    // json.encoder's c_make_encoder(...)
    PyObject *markers;   // its set of containers under way
    PyObject *empty;     // ""
    PyObject *zero;      // 0
    PyObject *unbase64;  // binascii.a2b_base64
    PyObject *value_key; // "value"
};

// Looks everything up; false with a Python exception when Python's json is not there.
bool wz_body_codec_init(struct wz_body_codec *codec);

// The Python object that the JSON text S stands for, a new reference; NULL with an exception.
PyObject *wz_body_decode(struct wz_body_codec *codec, struct wz_slice s);

// The same for a record's body, in which a value that was base64 becomes bytes.
PyObject *wz_body_decode_record(struct wz_body_codec *codec, struct wz_slice s);

// A body as bytes: SLICE borrows from OWNER, a reference to be dropped when the bytes were used, or
// from the codec up to the next encoding, when OWNER is NULL.
struct wz_body {
    enum wz_frame_body kind;
    struct wz_slice slice;
    PyObject *owner;
};

// Encodes what a script emits (dict, str, bytes, int, float, bool). False with a TypeError for
// anything else, or a ValueError for what is too long or has no JSON form.
bool wz_body_encode(struct wz_body_codec *codec, PyObject *value, struct wz_body *ret_body);

// Encodes VALUE as JSON; its kind is left alone. False with an exception when it has no JSON form.
bool wz_body_encode_json(struct wz_body_codec *codec, PyObject *value, struct wz_body *ret_body);
