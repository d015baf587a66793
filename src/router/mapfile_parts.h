// SPDX-License-Identifier: Apache-2.0
// What a mapping text is made of; for mapfile.c, which reads it, and mapfile_documents.c, which
// compares it with documents.
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "store/store.h"

// id, name in the text, collection, member of the documents' bodies
#define WZ_MAPFILE_SECTION_TABLE(X)                                                                \
    X(DEVICE, "Device", DEVICES, "route")                                                          \
    X(SUBTOPIC, "Subtopic", SUBTOPICS, "channel")                                                  \
    X(TYPES, "Types", TYPES, "word")

// What an entry is: one of a section's, or a template, which stands in a mark anywhere.
enum wz_mapfile_kind {
#define WZ_MAPFILE_ENUM(id, name, collection, member) WZ_MAPFILE_##id,
    WZ_MAPFILE_SECTION_TABLE(WZ_MAPFILE_ENUM)
#undef WZ_MAPFILE_ENUM
        WZ_MAPFILE_SECTION_COUNT,
    WZ_MAPFILE_TEMPLATE = WZ_MAPFILE_SECTION_COUNT,
    WZ_MAPFILE_KIND_COUNT,
    WZ_MAPFILE_NONE = WZ_MAPFILE_KIND_COUNT,
};

// A mark begins so: a comment to those who do not know it.
#define WZ_MAPFILE_MARK "#:"

// Bytes of the text.
struct wz_mapfile_span {
    size_t pos;
    size_t len;
};

// A line: LEN bytes at POS of the text, with its end. An entry has a NAME and a VALUE (a template
// none), which it owns; VALUE_AT is how its value is written, with quotes if QUOTED. MORE is what
// its mark says: the other members of its document, or all of a template's; MARK_AT is the mark, of
// a template the object alone.
struct wz_mapfile_line {
    size_t pos;
    size_t len;
    enum wz_mapfile_kind section; // in force here; WZ_MAPFILE_NONE before the first
    enum wz_mapfile_kind kind;    // of an entry
    bool is_header;
    bool quoted;
    char *name; // NULL: no entry
    char *value;
    struct wz_mapfile_span value_at;
    json_t *more; // NULL: no mark
    struct wz_mapfile_span mark_at;
};

struct wz_mapfile {
    struct wz_buf text;
    struct wz_mapfile_line *lines;
    size_t count;
    struct wz_map names[WZ_MAPFILE_KIND_COUNT]; // name -> line
};

// The member of a kind's documents that is the value; NULL for templates, which have none.
const char *wz_mapfile_member(enum wz_mapfile_kind kind);

// Whether S holds nothing but text that can stand between quotes: UTF-8 without control characters.
bool wz_mapfile_can_say(struct wz_slice s);
