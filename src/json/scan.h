// SPDX-License-Identifier: Apache-2.0
// The scanner of the hot path: says in one pass over a message's body what it is, without building
// anything. JSON is RFC 8259's; a text that it rejects is a text for us too, never an error.
#pragma once

#include "base/slice.h"

// Nesting deeper than this is no JSON for us.
#define WZ_JSON_DEPTH_MAX 128

enum wz_json_kind {
    WZ_JSON_NONE, // not JSON (or too deep): text
    WZ_JSON_OBJECT,
    WZ_JSON_ARRAY,
    WZ_JSON_STRING,
    WZ_JSON_NUMBER,
    WZ_JSON_TRUE,
    WZ_JSON_FALSE,
    WZ_JSON_NULL,
};

// What wz_json_scan found. MEMBERS are, for an object, the bytes between its braces without white
// space at either end (empty for {}); for other kinds the value itself, trimmed.
struct wz_json_scan {
    enum wz_json_kind kind;
    struct wz_slice members;
    bool reserved; // an object with a member of a reserved name at its top level
};

// Scans the whole of BODY, white space around it allowed. Reserved names are those of design
// section 5 (_id _timestamp _topic _encoding _script _parent _received), compared after unescaping.
// Strings must be well-formed UTF-8; \u escapes of lone surrogates are allowed, as Python's json
// does.
void wz_json_scan(struct wz_slice body, struct wz_json_scan *ret_scan);

// Walks the top-level members of an object whose MEMBERS wz_json_scan gave.
struct wz_json_members {
    struct wz_slice rest;
};

// One member: NAME with its quotes as it stands, VALUE as it stands, WHOLE from the name's first
// quote to the value's last byte.
struct wz_json_member {
    struct wz_slice name;
    struct wz_slice value;
    struct wz_slice whole;
    bool reserved;
};

// The next member; false after the last one. Only for members that wz_json_scan has accepted.
bool wz_json_members_next(struct wz_json_members *members, struct wz_json_member *ret_member);
