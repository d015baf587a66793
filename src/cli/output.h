// SPDX-License-Identifier: Apache-2.0
// What commands print: data on standard output, as a table for people or as JSON lines for
// programs; all else on standard error.
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/problem.h"

enum wz_output_form {
    WZ_OUTPUT_TABLE,
    WZ_OUTPUT_JSON,
};

// A column: its title, and the member of a row's object that it shows.
struct wz_column {
    const char *title;
    const char *member;
};

// The form to print in: FORMAT ("table", "json" or NULL), else a table when standard output is a
// terminal. WZ_ERR_INVALID for another word.
WZ_MUST int wz_output_choose(const char *format, enum wz_output_form *ret_form,
                             struct wz_problem *ret_problem);

// Adds ROWS, an array of objects, to BUF: as a table with a line of titles, each column as wide as
// its widest cell, or as one line of JSON a row. Control characters are shown as escapes.
void wz_output_add_rows(struct wz_buf *buf, enum wz_output_form form, const json_t *rows,
                        const struct wz_column *columns, size_t column_count);

// Adds one object: as "title value" lines, or as a line of JSON.
void wz_output_add_object(struct wz_buf *buf, enum wz_output_form form, const json_t *object);

// Adds text so that a terminal shows it and does nothing else with it.
void wz_output_add_safe(struct wz_buf *buf, struct wz_slice text);

// Adds lines of text in the same way, but for their ends and tabs.
void wz_output_add_lines(struct wz_buf *buf, struct wz_slice text);

// Writes the bytes on standard output; WZ_EXIT_FAILED when they do not get there.
WZ_MUST int wz_output_write(struct wz_slice bytes);

// Shows lines of text on standard error, in the same way.
void wz_output_lines(struct wz_slice text);

// Tells a person of a problem on standard error.
void wz_output_problem(const struct wz_problem *problem);
