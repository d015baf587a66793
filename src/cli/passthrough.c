// SPDX-License-Identifier: Apache-2.0
// Owns `wyze passthrough`.
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/resource.h"

// The address of the rule that the command names.
static const char *target_of(const struct wz_cli *cli, struct wz_buf *buf)
{
    return wz_resource_target(buf, "passthrough/", cli->args.words[0], "");
}

// A row of the list: what the rule says, and what it has done if a server runs.
static json_t *row_of(const json_t *item)
{
    const json_t *document = json_object_get(item, "document");
    const json_t *live = json_object_get(item, "live");
    const json_t *change = json_object_get(document, "change");
    json_t *row = json_object();
    json_int_t dropped = 0;
    const char *reason;
    json_t *count;

    json_object_foreach(json_object_get(live, "dropped"), reason, count) dropped +=
        json_integer_value(count);
    (void)json_object_set(row, "name", json_object_get(item, "name")); // made of what jansson has
    (void)json_object_set(row, "pattern", json_object_get(document, "pattern")); // parsed, as are
    (void)json_object_set(row, "order", json_object_get(document, "order"));     // all of these;
    (void)json_object_set(row, "rename", json_object_get(document, "rename"));   // what is not
    (void)json_object_set(row, "rate", json_object_get(document, "rate"));       // there stays out
    (void)json_object_set(row, "change", json_object_get(change, "member"));
    (void)json_object_set_new(row, "active",
                              json_boolean(!json_is_false(json_object_get(document, "active"))));
    if (live != NULL) {
        (void)json_object_set(row, "passed", json_object_get(live, "passed"));
        (void)json_object_set_new(row, "dropped", json_integer(dropped));
    }
    return row;
}

int wz_cmd_passthrough_ls(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"RULE", "name"},     {"PATTERN", "pattern"}, {"ORDER", "order"},
        {"RENAME", "rename"}, {"RATE", "rate"},       {"CHANGE", "change"},
        {"ACTIVE", "active"}, {"PASSED", "passed"},   {"DROPPED", "dropped"},
    };

    return wz_resource_list(cli, "/api/v1/passthrough", row_of, columns,
                            sizeof(columns) / sizeof(columns[0]));
}

int wz_cmd_passthrough_get(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_resource_show(cli, target_of(cli, &target));
}

// Sets a member to the value of an option, if that was given: a number if it is one and TEXT does
// not say otherwise.
static void set_member(const struct wz_cli *cli, json_t *object, const char *option, bool text)
{
    const char *value = wz_args_value(&cli->args, option);
    json_t *number = value != NULL && !text ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;

    if (value == NULL)
        return;
    if (json_is_number(number)) {
        (void)json_object_set_new(object, option + 2, number); // the object and the name are ours
        return;
    }
    json_decref(number);
    if (json_object_set_new(object, option + 2, json_string(value)) < 0)
        (void)json_object_set_new(object, option + 2, json_null()); // not UTF-8: to be refused
}

// The document that the command's options say.
static json_t *make_document(const struct wz_cli *cli)
{
    json_t *document = json_pack("{s:s}", "pattern", cli->args.words[1]);
    json_t *change = json_object();

    if (document == NULL) {
        json_decref(change);
        return NULL;
    }
    set_member(cli, document, "--rename", true);
    set_member(cli, document, "--order", false);
    set_member(cli, document, "--rate", false);
    set_member(cli, document, "--description", true);
    if (wz_args_value(&cli->args, "--inactive") != NULL)
        (void)json_object_set_new(document, "active", json_false()); // our own name
    if (wz_args_value(&cli->args, "--change") != NULL &&
        json_object_set_new(change, "member", json_string(wz_args_value(&cli->args, "--change"))) <
            0)
        (void)json_object_set_new(change, "member", json_null()); // not UTF-8: to be refused
    set_member(cli, change, "--deadband", false);
    set_member(cli, change, "--atleast", true);
    if (json_object_size(change) > 0)
        (void)json_object_set(document, "change", change); // our own name
    json_decref(change);
    return document;
}

int wz_cmd_passthrough_set(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_resource_send(cli, "PUT", target_of(cli, &target), make_document(cli));
}

int wz_cmd_passthrough_rm(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_resource_remove(cli, target_of(cli, &target));
}
