// SPDX-License-Identifier: Apache-2.0
// Owns `wyze map`: the mapping as text, and entry by entry.
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/edit.h"
#include "cli/resource.h"
#include "gateway/uri.h"

#define WZ_MAP_TEXT_MAX (64 * 1024 * 1024)

// The kinds of entries: how a person calls them, where they are kept, and under which member.
static const struct kind {
    const char *name;
    const char *collection;
    const char *member;
} kinds[] = {
    {"device", "devices", "route"},
    {"subtopic", "subtopics", "channel"},
    {"type", "types", "word"},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

int wz_cmd_map_export(struct wz_cli *cli)
{
    const char *path = cli->args.word_count > 0 ? cli->args.words[0] : NULL;
    struct wz_reply reply = {0};
    int r = wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, "/api/v1/mapping");
    int code = r == WZ_OK ? wz_cli_save(cli, path, wz_buf_slice(&reply.content)) : wz_cli_exit(r);

    wz_client_release_reply(&reply);
    return code;
}

int wz_cmd_map_import(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_reply reply = {0};
    int r = wz_cli_load(cli, cli->args.words[0], WZ_MAP_TEXT_MAX, &text);

    if (r == WZ_OK)
        r = wz_resource_put(cli, "/api/v1/mapping", wz_buf_slice(&text),
                            wz_args_value(&cli->args, "--if-still"), WZ_MAP_TEXT_MAX, &reply);
    if (r == WZ_OK)
        wz_cli_tell_changed(cli, &reply);
    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}

// Adds the entries of one kind to ROWS.
static int add_entries(struct wz_cli *cli, const struct kind *kind, json_t *rows)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    json_t *answer;
    json_t *item;
    size_t i;
    int r;

    answer = wz_resource_get(cli, wz_resource_target(&target, kind->collection, NULL, ""), &r);
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        json_t *value = json_object_get(json_object_get(item, "document"), kind->member);

        (void)json_array_append_new(rows, json_pack("{s:s, s:O, s:O*}", "kind", kind->name, "name",
                                                    json_object_get(item, "name"), "value",
                                                    value)); // made of what jansson has parsed
    }
    json_decref(answer);
    return r;
}

int wz_cmd_map_ls(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"KIND", "kind"}, {"NAME", "name"}, {"VALUE", "value"}};
    json_t *rows = json_array();
    int code;
    int r = WZ_OK;

    for (size_t i = 0; i < KIND_COUNT && r == WZ_OK; i++)
        r = add_entries(cli, &kinds[i], rows);
    code = r == WZ_OK ? wz_cli_print_rows(cli, rows, columns, 3) : wz_cli_exit(r);
    json_decref(rows);
    return code;
}

// The kind that the command's first word names, or NULL.
static const struct kind *find_kind(const struct wz_cli *cli)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(cli->args.words[0], kinds[i].name) == 0)
            return &kinds[i];
    return NULL;
}

// Writes the address of the entry that the command's first two words name. False, with a problem,
// when there is no such kind.
static bool read_target(struct wz_cli *cli, struct wz_buf *ret_target)
{
    const struct kind *kind = find_kind(cli);

    if (kind != NULL) {
        wz_buf_addf(ret_target, "/api/v1/%s/", kind->collection);
        wz_uri_encode(ret_target, wz_slice_str(cli->args.words[1]));
        return true;
    }
    (void)wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0,
                         "A mapping has no entries of the kind \"%.32s\".", cli->args.words[0]);
    wz_problem_fix(&cli->problem, "There are device, subtopic and type.");
    return false;
}

static int edit_entry(struct wz_cli *cli, json_t *body)
{
    int r = wz_edit_set_text(cli, body, find_kind(cli)->member, cli->args.words[2]);

    return r == WZ_OK ? wz_edit_by_options(cli, body) : r;
}

int wz_cmd_map_set(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    if (!read_target(cli, &target))
        return WZ_EXIT_USAGE;
    return wz_cli_exit(wz_edit_document(cli, wz_buf_str(&target), edit_entry));
}

int wz_cmd_map_rm(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    if (!read_target(cli, &target))
        return WZ_EXIT_USAGE;
    return wz_resource_remove(cli, wz_buf_str(&target));
}

static void add_line(struct wz_buf *buf, const char *label, json_t *value)
{
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT);

    wz_buf_addf(buf, "  %-12s ", label);
    wz_output_add_safe(buf, wz_slice_str(text != NULL ? text : json_string_value(value)));
    wz_buf_add_byte(buf, '\n');
    free(text);
}

// A text, made safe; nothing when it is missing.
static void add_text(struct wz_buf *buf, const char *before, json_t *text)
{
    if (!json_is_string(text))
        return;
    wz_buf_add_str(buf, before);
    wz_output_add_safe(buf, wz_slice_str(json_string_value(text)));
}

// The rules of the passthrough that a reading meets, in the order in which they are tried: which
// one decides, under which name the record passes, and who sees it then.
static void add_rules(struct wz_buf *buf, json_t *rules)
{
    json_t *rule;
    size_t i;

    if (json_array_size(rules) == 0)
        wz_buf_add_str(buf, "  passthrough  none: no active rule matches\n");
    json_array_foreach(rules, i, rule)
    {
        add_text(buf, "  passthrough  ", json_object_get(rule, "rule"));
        add_text(buf, ", pattern ", json_object_get(rule, "pattern"));
        add_text(buf, ", on processed-stream as ", json_object_get(rule, "topic"));
        wz_buf_add_byte(buf, '\n');
        if (json_object_get(rule, "note") != NULL)
            add_line(buf, "", json_object_get(rule, "note"));
        if (json_object_get(rule, "scripts") != NULL)
            add_line(buf, "  scripts", json_object_get(rule, "scripts"));
    }
}

// The steps as lines, in the order in which they are made; what a step has not come to is left out.
static void add_steps(struct wz_buf *buf, json_t *steps)
{
    static const struct {
        const char *member;
        const char *label;
    } lines[] = {
        {"outcome", "outcome"},
        {"device", "device"},
        {"template", "template"},
        {"captures", "captures"},
        {"route", "route"},
        {"shape", "shape"},
        {"subtopic", "subtopic"},
        {"channel", "channel"},
        {"declared", "declared by"},
        {"type", "type"},
        {"topic", "topic"},
        {"record", "record"},
        {"form", "form"},
        {"note", "note"},
        {"scripts", "scripts"},
        {"passthrough", NULL},
        {"command", "command"},
        {"to", "goes to"},
        {"send", "as its"},
        {"body", "body"},
        {"why", "why"},
        {"fix", "fix"},
        {"ignored_by", "ignored by"},
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        json_t *value = json_object_get(steps, lines[i].member);

        if (value != NULL && lines[i].label != NULL)
            add_line(buf, lines[i].label, value);
        else if (value != NULL)
            add_rules(buf, value);
    }
}

// Prints the way in, which every topic has, and the way out, for the topic of a command.
static int print_steps(struct wz_cli *cli, json_t *answer)
{
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    json_t *in = json_object_get(answer, "in");
    json_t *out = json_object_get(answer, "out");

    if (cli->form == WZ_OUTPUT_JSON)
        return wz_cli_print_object(cli, answer);
    wz_buf_add_str(&buf, "From a device, on this topic:\n");
    add_steps(&buf, in);
    if (out != NULL) {
        wz_buf_add_str(&buf, "To a device, as a command of this topic:\n");
        add_steps(&buf, out);
    }
    return wz_output_write(wz_buf_slice(&buf));
}

int wz_cmd_map_test(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    json_t *answer;
    int code;
    int r;

    wz_buf_add_str(&target, "/api/v1/mapping/test?topic=");
    wz_uri_encode(&target, wz_slice_str(cli->args.words[0]));
    if (cli->args.word_count > 1) {
        wz_buf_add_str(&target, "&body=");
        wz_uri_encode(&target, wz_slice_str(cli->args.words[1]));
    }
    answer = wz_resource_get(cli, wz_buf_str(&target), &r);
    code = r == WZ_OK ? print_steps(cli, answer) : wz_cli_exit(r);
    json_decref(answer);
    return code;
}
