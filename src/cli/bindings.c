// SPDX-License-Identifier: Apache-2.0
// Owns the reading of "raw:bedroom.#".
#include "cli/bindings.h"

#include "base/codes.h"
#include "base/mem.h"
#include "topic/pattern.h"

// Adds "STREAM:PATTERN" to BINDINGS. LINE is where it stands, 0 for the command line.
static int add(json_t *bindings, struct wz_slice text, size_t line, struct wz_problem *ret_problem)
{
    const uint8_t *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    size_t len = colon != NULL ? (size_t)(colon - text.ptr) : 0;
    struct wz_slice stream = wz_slice_sub(text, 0, len);
    struct wz_slice pattern =
        colon != NULL ? wz_slice_sub(text, len + 1, text.len - len - 1) : wz_slice(NULL, 0);
    bool known =
        wz_slice_eq(stream, WZ_SLICE_LIT("raw")) || wz_slice_eq(stream, WZ_SLICE_LIT("processed"));
    json_t *binding = NULL;

    if (known && pattern.len > 0 && wz_pattern_valid(&wz_topic_amqp, pattern))
        binding = json_pack("{s:s%, s:s%}", "stream", (const char *)stream.ptr, stream.len,
                            "pattern", (const char *)pattern.ptr, pattern.len);
    if (binding != NULL)
        return json_array_append_new(bindings, binding) == 0 ? WZ_OK : WZ_ERR_INVALID;
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_SCRIPT_INVALID,
                         "\"%.*s\" does not say what the script listens to.",
                         (int)(text.len < 128 ? text.len : 128), (const char *)text.ptr);
    if (line > 0)
        wz_problem_where(ret_problem, "line %zu of the script", line);
    wz_problem_fix(ret_problem, "Give it as raw:PATTERN or processed:PATTERN (raw:bedroom.#).");
    return WZ_ERR_INVALID;
}

static bool is_blank(uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == ','; }

// Takes the next word off REST; an empty one at the end.
static struct wz_slice take_word(struct wz_slice *rest)
{
    struct wz_slice word;
    size_t len = 0;

    while (rest->len > 0 && is_blank(rest->ptr[0]))
        *rest = wz_slice_sub(*rest, 1, rest->len - 1);
    while (len < rest->len && !is_blank(rest->ptr[len]))
        len++;
    word = wz_slice_sub(*rest, 0, len);
    *rest = wz_slice_sub(*rest, len, rest->len - len);
    return word;
}

// Adds what a line says if it is a comment "# wyze: on ...".
static int add_line(json_t *bindings, struct wz_slice line, size_t number,
                    struct wz_problem *ret_problem)
{
    struct wz_slice word = take_word(&line);
    int r = WZ_OK;

    if (!wz_slice_eq(word, WZ_SLICE_LIT("#")) ||
        !wz_slice_eq(take_word(&line), WZ_SLICE_LIT("wyze:")) ||
        !wz_slice_eq(take_word(&line), WZ_SLICE_LIT("on")))
        return WZ_OK;
    while (r == WZ_OK) {
        word = take_word(&line);
        if (word.len == 0)
            break;
        r = add(bindings, word, number, ret_problem);
    }
    return r;
}

static int add_code(json_t *bindings, struct wz_slice code, struct wz_problem *ret_problem)
{
    size_t number = 1;
    int r = WZ_OK;

    for (; code.len > 0 && r == WZ_OK; number++) {
        const uint8_t *end = memchr(code.ptr, '\n', code.len);
        size_t len = end != NULL ? (size_t)(end - code.ptr) : code.len;

        r = add_line(bindings, wz_slice_sub(code, 0, len), number, ret_problem);
        len += end != NULL;
        code = wz_slice_sub(code, len, code.len - len);
    }
    return r;
}

char *wz_bindings_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len;

    path = slash != NULL ? slash + 1 : path;
    len = strlen(path);
    if (len > 3 && strcmp(path + len - 3, ".py") == 0)
        len -= 3;
    return wz_strndup(path, len);
}

json_t *wz_bindings_read(struct wz_slice code, const struct wz_args *args,
                         struct wz_problem *ret_problem)
{
    json_t *bindings = json_array();
    const char *given;
    int r = WZ_OK;

    for (size_t i = 0; r == WZ_OK && (given = wz_args_each(args, "--on", i)) != NULL; i++)
        r = add(bindings, wz_slice_str(given), 0, ret_problem);
    if (r == WZ_OK && json_array_size(bindings) == 0)
        r = add_code(bindings, code, ret_problem);
    if (r == WZ_OK)
        return bindings;
    json_decref(bindings);
    return NULL;
}
