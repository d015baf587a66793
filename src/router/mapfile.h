// SPDX-License-Identifier: Apache-2.0
// The mapping as text (docs/formats/mapping.md): sections [Device], [Subtopic] and [Types] of lines
// "physical" = "logical", with what these lines cannot say in comments that begin with "#:". A text
// that was imported is kept in the store beside the documents it stands for, so an export gives the
// same bytes, and after a change differs in the lines concerned only. Any thread.
#pragma once

#include "base/buf.h"
#include "base/problem.h"
#include "store/store.h"

// The longest text.
#define WZ_MAPFILE_TEXT_MAX (64 * 1024 * 1024)

// The documents of "settings" that keep the text: this one, then it with ".2", ".3" and so on, each
// {"text": ...} with at most so many bytes of it.
#define WZ_MAPFILE_DOCUMENT "mapping-file"
#define WZ_MAPFILE_PIECE_MAX (384 * 1024)

// A text that was read.
struct wz_mapfile;

// Changes for WZ_STORE_APPLY. The list owns the names and bodies.
struct wz_mapfile_changes {
    struct wz_store_change *items;
    size_t count;
};

// Reads a text, which is copied. WZ_ERR_INVALID or WZ_ERR_TOO_LARGE with a problem that names line
// and column ("mapping file:3:17", in characters from 1). What the entries say is checked when they
// are saved. The caller owns RET_FILE.
WZ_MUST int wz_mapfile_parse(struct wz_slice text, struct wz_mapfile **ret_file,
                             struct wz_problem *ret_problem);

// Frees it; NULL is fine.
void wz_mapfile_free(struct wz_mapfile *file);

// Works out the changes that replace the mapping in LISTS, one list a collection, as a whole by
// that of FILE, and keep its text. What is there already and says the same is not touched. The
// caller releases RET_CHANGES.
void wz_mapfile_changes(const struct wz_mapfile *file,
                        const struct wz_document_list lists[WZ_COLLECTION_COUNT],
                        struct wz_mapfile_changes *ret_changes);

// Frees what the list holds.
void wz_mapfile_changes_release(struct wz_mapfile_changes *changes);

// Adds the mapping in LISTS as text. WZ_ERR_UNSUPPORTED, with a problem that names them, when there
// are documents that the text form cannot say, for their control characters or a value that is
// none; RET_TEXT is untouched then.
WZ_MUST int wz_mapfile_export(const struct wz_document_list lists[WZ_COLLECTION_COUNT],
                              struct wz_buf *ret_text, struct wz_problem *ret_problem);
