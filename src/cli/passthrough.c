// SPDX-License-Identifier: Apache-2.0
// Owns `wyze passthrough`.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "gateway/uri.h"

// The address of the rule that the command names.
static const char *target_of(struct wz_cli *cli, struct wz_buf *buf)
{
    wz_buf_add_str(buf, "/api/v1/passthrough/");
    wz_uri_encode(buf, wz_slice_str(cli->args.words[0]));
    return wz_buf_str(buf);
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
    struct wz_reply reply = {0};
    json_t *answer;
    json_t *rows;
    json_t *item;
    size_t i;
    int code =
        wz_cli_exit(wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, "/api/v1/passthrough"));

    if (code != WZ_EXIT_OK)
        return code;
    answer = wz_client_json(&reply, &cli->problem);
    rows = json_array();
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        (void)json_array_append_new(rows, row_of(item)); // the array is ours
    }
    code = answer != NULL
               ? wz_cli_print_rows(cli, rows, columns, sizeof(columns) / sizeof(columns[0]))
               : WZ_EXIT_FAILED;
    json_decref(rows);
    json_decref(answer);
    wz_client_release_reply(&reply);
    return code;
}

int wz_cmd_passthrough_get(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    struct wz_reply reply = {0};
    json_t *document;
    int code =
        wz_cli_exit(wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, target_of(cli, &target)));

    if (code != WZ_EXIT_OK)
        return code;
    document = wz_client_json(&reply, &cli->problem);
    code = document != NULL ? wz_cli_print_object(cli, document) : WZ_EXIT_FAILED;
    json_decref(document);
    wz_client_release_reply(&reply);
    return code;
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
    struct wz_reply reply = {0};
    json_t *document = make_document(cli);
    char *text;
    int r;

    if (document == NULL)
        return wz_cli_exit(
            wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0, "The pattern is not UTF-8."));
    text = json_dumps(document, JSON_COMPACT);
    WZ_ASSERT(text != NULL); // jansson has made it
    r = wz_cli_ask(cli, "PUT", wz_slice_str(text), &reply, target_of(cli, &target));
    free(text);
    json_decref(document);
    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}

int wz_cmd_passthrough_rm(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    struct wz_reply reply = {0};
    int r = wz_cli_ask(cli, "DELETE", wz_slice(NULL, 0), &reply, target_of(cli, &target));

    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}
