// SPDX-License-Identifier: Apache-2.0
// Owns the printing of rows and problems.
#include "cli/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "cli/exit.h"

int wz_output_choose(const char *format, enum wz_output_form *ret_form,
                     struct wz_problem *ret_problem)
{
    if (format == NULL) {
        *ret_form = isatty(STDOUT_FILENO) ? WZ_OUTPUT_TABLE : WZ_OUTPUT_JSON;
        return WZ_OK;
    }
    *ret_form = strcmp(format, "table") == 0 ? WZ_OUTPUT_TABLE : WZ_OUTPUT_JSON;
    if (*ret_form == WZ_OUTPUT_TABLE || strcmp(format, "json") == 0)
        return WZ_OK;
    return wz_problem_set(ret_problem, WZ_ERR_INVALID, 0,
                          "The output is table or json, not \"%.32s\".", format);
}

// Whether a character of LEN bytes makes a terminal do something, or turns the order round in which
// it shows the others: U+202A to U+202E, U+2066 to U+2069.
static bool is_control(const uint8_t *c, size_t len)
{
    if (len == 1)
        return c[0] < 0x20 || c[0] == 0x7f;
    if (len == 2)
        return c[0] == 0xc2 && c[1] < 0xa0;
    return len == 3 && c[0] == 0xe2 &&
           ((c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae) ||
            (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

void wz_output_add_safe(struct wz_buf *buf, struct wz_slice text)
{
    while (text.len > 0) {
        size_t len = wz_utf8_char(text);

        if (len == 0 || is_control(text.ptr, len)) {
            len = len == 0 ? 1 : len;
            for (size_t i = 0; i < len; i++)
                wz_buf_addf(buf, "\\x%02x", text.ptr[i]);
        } else {
            wz_buf_add(buf, text.ptr, len);
        }
        text = wz_slice_sub(text, len, text.len - len);
    }
}

static void add_line(struct wz_buf *buf, struct wz_slice line)
{
    const uint8_t *tab;

    while (line.len > 0 && (tab = memchr(line.ptr, '\t', line.len))) {
        size_t len = (size_t)(tab - line.ptr);

        wz_output_add_safe(buf, wz_slice_sub(line, 0, len));
        wz_buf_add_byte(buf, '\t');
        line = wz_slice_sub(line, len + 1, line.len - len - 1);
    }
    wz_output_add_safe(buf, line);
    wz_buf_add_byte(buf, '\n');
}

void wz_output_add_lines(struct wz_buf *buf, struct wz_slice text)
{
    while (text.len > 0) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;

        add_line(buf, wz_slice_sub(text, 0, len));
        len += end ? 1 : 0;
        text = wz_slice_sub(text, len, text.len - len);
    }
}

static void add_json_line(struct wz_buf *buf, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    WZ_ASSERT(text != NULL); // it was made or parsed by jansson
    wz_buf_add_str(buf, text);
    wz_buf_add_byte(buf, '\n');
    free(text);
}

// Adds a value as a cell shows it: texts bare, nothing for what is not there.
static void add_cell(struct wz_buf *buf, const json_t *value)
{
    char *text;

    if (value == NULL || json_is_null(value))
        return;
    if (json_is_string(value)) {
        wz_output_add_safe(buf, wz_slice(json_string_value(value), json_string_length(value)));
        return;
    }
    text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    WZ_ASSERT(text != NULL); // as above
    wz_output_add_safe(buf, wz_slice_str(text));
    free(text);
}

// How many characters a terminal shows for the bytes.
static size_t width_of(struct wz_slice text)
{
    size_t width = 0;

    for (size_t i = 0; i < text.len; i++)
        width += (text.ptr[i] & 0xc0) != 0x80;
    return width;
}

static void add_padded(struct wz_buf *buf, struct wz_slice text, size_t width, bool last)
{
    size_t have = width_of(text);

    wz_buf_add_slice(buf, text);
    for (; !last && have < width + 2; have++)
        wz_buf_add_byte(buf, ' ');
    if (last)
        wz_buf_add_byte(buf, '\n');
}

static size_t column_width(const json_t *rows, const struct wz_column *column)
{
    size_t width = strlen(column->title);

    for (size_t i = 0; i < json_array_size(rows); i++) {
        WZ_AUTO(wz_buf_release) struct wz_buf cell = {0};
        size_t have;

        add_cell(&cell, json_object_get(json_array_get(rows, i), column->member));
        have = width_of(wz_buf_slice(&cell));
        width = have > width ? have : width;
    }
    return width;
}

static void add_table(struct wz_buf *buf, const json_t *rows, const struct wz_column *columns,
                      size_t column_count)
{
    size_t *widths = wz_zalloc(column_count, sizeof(*widths));

    for (size_t c = 0; c < column_count; c++) {
        widths[c] = column_width(rows, &columns[c]);
        add_padded(buf, wz_slice_str(columns[c].title), widths[c], c + 1 == column_count);
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        for (size_t c = 0; c < column_count; c++) {
            WZ_AUTO(wz_buf_release) struct wz_buf cell = {0};

            add_cell(&cell, json_object_get(json_array_get(rows, i), columns[c].member));
            add_padded(buf, wz_buf_slice(&cell), widths[c], c + 1 == column_count);
        }
    }
    wz_free(widths);
}

void wz_output_add_rows(struct wz_buf *buf, enum wz_output_form form, const json_t *rows,
                        const struct wz_column *columns, size_t column_count)
{
    if (form == WZ_OUTPUT_TABLE) {
        add_table(buf, rows, columns, column_count);
        return;
    }
    for (size_t i = 0; i < json_array_size(rows); i++)
        add_json_line(buf, json_array_get(rows, i));
}

void wz_output_add_object(struct wz_buf *buf, enum wz_output_form form, const json_t *object)
{
    void *it;
    size_t width = 0;

    if (form == WZ_OUTPUT_JSON) {
        add_json_line(buf, object);
        return;
    }
    for (it = json_object_iter((json_t *)(uintptr_t)object); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        size_t len = strlen(json_object_iter_key(it));

        width = len > width ? len : width;
    }
    for (it = json_object_iter((json_t *)(uintptr_t)object); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        add_padded(buf, wz_slice_str(json_object_iter_key(it)), width, false);
        add_cell(buf, json_object_iter_value(it));
        wz_buf_add_byte(buf, '\n');
    }
}

int wz_output_write(struct wz_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes.ptr, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return WZ_EXIT_FAILED;
        bytes = wz_slice_sub(bytes, (size_t)n, bytes.len - (size_t)n);
    }
    return WZ_EXIT_OK;
}

void wz_output_lines(struct wz_slice text)
{
    WZ_AUTO(wz_buf_release) struct wz_buf safe = {0};

    wz_output_add_lines(&safe, text);
    (void)fprintf(stderr, "%s\n", wz_buf_str(&safe)); // nobody is left to be told
}

void wz_output_problem(const struct wz_problem *problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    wz_buf_add_str(&text, "wyze: ");
    wz_output_add_safe(
        &text, wz_slice_str(problem->what[0] != '\0' ? problem->what : wz_err_text(problem->err)));
    if (problem->code != 0)
        wz_buf_addf(&text, " (WYZ-%d)", problem->code);
    if (problem->where[0] != '\0') {
        wz_buf_add_str(&text, "\n  where: ");
        wz_output_add_safe(&text, wz_slice_str(problem->where));
    }
    if (problem->fix[0] != '\0') {
        wz_buf_add_str(&text, "\n  mend:  ");
        wz_output_add_safe(&text, wz_slice_str(problem->fix));
    }
    (void)fprintf(stderr, "%s\n", wz_buf_str(&text)); // nobody is left to be told
}
