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

enum wz_mapfile_section {
#define WZ_MAPFILE_ENUM(id, name, collection, member) WZ_MAPFILE_##id,
    WZ_MAPFILE_SECTION_TABLE(WZ_MAPFILE_ENUM)
#undef WZ_MAPFILE_ENUM
        WZ_MAPFILE_SECTION_COUNT,
};

// A line: LEN bytes at POS of the text, with its end. An entry has a NAME and a VALUE, which it
// owns; its value as it is written, with quotes if QUOTED, is VALUE_LEN bytes at VALUE_POS.
struct wz_mapfile_line {
    size_t pos;
    size_t len;
    enum wz_mapfile_section section; // in force here; WZ_MAPFILE_SECTION_COUNT before the first
    bool is_header;
    bool quoted;
    char *name; // NULL: no entry
    char *value;
    size_t value_pos;
    size_t value_len;
};

struct wz_mapfile {
    struct wz_buf text;
    struct wz_mapfile_line *lines;
    size_t count;
    struct wz_map names[WZ_MAPFILE_SECTION_COUNT]; // name -> line
};

// Whether S holds nothing but text that can stand between quotes: UTF-8 without control characters.
bool wz_mapfile_can_say(struct wz_slice s);
