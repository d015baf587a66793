// SPDX-License-Identifier: Apache-2.0
// The board on which the parts put up how they are, for the API to read: a JSON object for each
// (section, name). Any thread writes and reads; nothing on a message's way does.
#pragma once

#include <jansson.h>

#include "base/err.h"

struct wz_board;

// Makes an empty board; the caller frees it.
struct wz_board *wz_board_new(void);

// Frees it with all that stands on it.
void wz_board_free(struct wz_board *board);

// Puts VALUE (its reference is taken over) at SECTION and NAME in place of what stood there.
void wz_board_set(struct wz_board *board, const char *section, const char *name, json_t *value);

// Takes an entry away; fine when there is none.
void wz_board_remove(struct wz_board *board, const char *section, const char *name);

// A deep copy of an entry, or NULL; the caller owns the reference.
json_t *wz_board_get(struct wz_board *board, const char *section, const char *name);

// A deep copy of a section as an object of its entries by name (empty when there is none).
json_t *wz_board_section(struct wz_board *board, const char *section);
