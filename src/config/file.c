// SPDX-License-Identifier: Apache-2.0
// Owns the walk over a YAML file's events. Maps may nest as deep as the longest key has dots, lists
// and aliases have no meaning here and are refused.
#include "config/file.h"

#include <yaml.h>

#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"

// No key has more parts.
#define WZ_CONFIG_FILE_DEPTH_MAX 8

struct walk {
    const char *path;
    wz_config_entry_fn fn;
    void *arg;
    struct wz_problem *ret_problem;
    struct wz_buf key;                            // of the entry at hand, with dots
    size_t key_len[WZ_CONFIG_FILE_DEPTH_MAX + 1]; // of the map at each depth
    size_t depth;                                 // maps that are open
    bool have_key;                                // a key was read, its value is next
    yaml_mark_t key_mark;
};

static int refuse(struct walk *walk, yaml_mark_t mark, const char *what, const char *fix)
{
    wz_problem_set(walk->ret_problem, WZ_ERR_INVALID, WZ_CODE_CONFIG_FILE, "%s", what);
    wz_problem_where(walk->ret_problem, "%s:%zu:%zu", walk->path, mark.line + 1, mark.column + 1);
    wz_problem_fix(walk->ret_problem, "%s", fix);
    return WZ_ERR_INVALID;
}

static int on_map(struct walk *walk, yaml_mark_t mark)
{
    if (walk->depth == WZ_CONFIG_FILE_DEPTH_MAX)
        return refuse(walk, mark, "The maps are nested too deep.", "See docs/configuration.md.");
    walk->key_len[++walk->depth] = walk->key.len;
    walk->have_key = false;
    return WZ_OK;
}

static void on_map_end(struct walk *walk)
{
    walk->depth--;
    walk->have_key = false;
}

static void on_key(struct walk *walk, const yaml_event_t *event)
{
    walk->key.len = walk->key_len[walk->depth];
    if (walk->key.len > 0)
        wz_buf_add_byte(&walk->key, '.');
    wz_buf_add(&walk->key, event->data.scalar.value, event->data.scalar.length);
    walk->key_mark = event->start_mark;
    walk->have_key = true;
}

static int on_scalar(struct walk *walk, const yaml_event_t *event)
{
    struct wz_config_entry entry = {
        .value = (const char *)event->data.scalar.value,
        .key_line = walk->key_mark.line + 1,
        .key_column = walk->key_mark.column + 1,
        .line = event->start_mark.line + 1,
        .column = event->start_mark.column + 1,
    };

    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL)
        return refuse(walk, event->start_mark, "There is a NUL character here.", "Take it out.");
    if (walk->depth == 0)
        return event->data.scalar.length == 0
                   ? WZ_OK // a file with nothing but comments
                   : refuse(walk, event->start_mark, "The file is not a map of keys and values.",
                            "Write lines of the form: mqtt.listen: 127.0.0.1:1883");
    if (!walk->have_key) {
        on_key(walk, event);
        return WZ_OK;
    }
    walk->have_key = false;
    entry.empty =
        event->data.scalar.length == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    entry.key = wz_buf_str(&walk->key);
    return walk->fn(walk->arg, &entry, walk->ret_problem);
}

static int on_event(struct walk *walk, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_MAPPING_START_EVENT:
        if (walk->depth > 0 && !walk->have_key)
            return refuse(walk, event->start_mark, "A key cannot be a map.", "Write a plain word.");
        return on_map(walk, event->start_mark);
    case YAML_MAPPING_END_EVENT:
        on_map_end(walk);
        return WZ_OK;
    case YAML_SCALAR_EVENT:
        return on_scalar(walk, event);
    case YAML_SEQUENCE_START_EVENT:
        return refuse(walk, event->start_mark, "A list has no meaning here.", "Write one value.");
    case YAML_ALIAS_EVENT:
        return refuse(walk, event->start_mark, "An alias has no meaning here.", "Write the value.");
    default:
        return WZ_OK;
    }
}

static int refuse_syntax(struct walk *walk, const yaml_parser_t *parser)
{
    char what[200];
    bool decoding = parser->error == YAML_READER_ERROR;

    (void)snprintf(what, sizeof(what), "This is not YAML: %s.",
                   parser->problem != NULL ? parser->problem : "it cannot be read");
    return refuse(walk, decoding ? parser->mark : parser->problem_mark, what,
                  decoding ? "Save the file as UTF-8 text."
                           : "Mend the line, or see docs/configuration.md.");
}

static int parse(struct walk *walk, yaml_parser_t *parser)
{
    int documents = 0;
    bool ended = false;
    int r = WZ_OK;

    while (!ended && r == WZ_OK) {
        yaml_event_t event;

        if (yaml_parser_parse(parser, &event) == 0)
            return refuse_syntax(walk, parser);
        ended = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT && ++documents == 2)
            r = refuse(walk, event.start_mark, "A second document begins here.",
                       "Keep one document in the file.");
        else
            r = on_event(walk, &event);
        yaml_event_delete(&event);
    }
    return r;
}

int wz_config_file_read(const char *path, wz_config_entry_fn fn, void *arg,
                        struct wz_problem *ret_problem)
{
    struct walk walk = {.path = path, .fn = fn, .arg = arg, .ret_problem = ret_problem};
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    yaml_parser_t parser;
    int r = wz_fs_load(path, WZ_CONFIG_FILE_MAX, &text);

    if (r == WZ_ERR_NOT_FOUND)
        return r;
    if (r < 0) {
        wz_problem_set(ret_problem, r, WZ_CODE_CONFIG_FILE, "The file cannot be read: %s.",
                       wz_err_text(r));
        wz_problem_where(ret_problem, "%s", path);
        wz_problem_fix(ret_problem, "Give a text file of at most 1 MiB that you may read.");
        return r;
    }
    WZ_ASSERT(yaml_parser_initialize(&parser) == 1);
    yaml_parser_set_input_string(&parser, (const uint8_t *)wz_buf_str(&text), text.len);
    r = parse(&walk, &parser);
    yaml_parser_delete(&parser);
    wz_buf_release(&walk.key);
    return r;
}
