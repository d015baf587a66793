// SPDX-License-Identifier: Apache-2.0
// Owns `wyze device`.
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/edit.h"
#include "gateway/uri.h"

// The address of the device that the command names.
static const char *target_of(struct wz_cli *cli, struct wz_buf *buf)
{
    wz_buf_add_str(buf, "/api/v1/devices/");
    wz_uri_encode(buf, wz_slice_str(cli->args.words[0]));
    return wz_buf_str(buf);
}

int wz_cmd_device_ls(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"DEVICE", "device"}, {"ROUTE", "route"}, {"TEMPLATE", "template"}};
    struct wz_reply reply = {0};
    json_t *answer;
    json_t *rows;
    json_t *item;
    size_t i;
    int code = wz_cli_exit(wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, "/api/v1/devices"));

    if (code != WZ_EXIT_OK)
        return code;
    answer = wz_client_json(&reply, &cli->problem);
    rows = json_array();
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        json_t *document = json_object_get(item, "document");

        (void)json_array_append_new(
            rows, json_pack("{s:O, s:O*, s:O*}", "device", json_object_get(item, "name"), "route",
                            json_object_get(document, "route"), "template",
                            json_object_get(document, "template"))); // parsed
    }
    code = answer != NULL ? wz_cli_print_rows(cli, rows, columns, 3) : WZ_EXIT_FAILED;
    json_decref(rows);
    json_decref(answer);
    wz_client_release_reply(&reply);
    return code;
}

int wz_cmd_device_get(struct wz_cli *cli)
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

static int edit_device(struct wz_cli *cli, json_t *body)
{
    const char *template = wz_args_value(&cli->args, "--template");
    int r = WZ_OK;

    if (cli->args.word_count > 1)
        r = wz_edit_set_text(cli, body, "route", cli->args.words[1]);
    if (r == WZ_OK && template != NULL)
        r = wz_edit_set_text(cli, body, "template", template);
    return r == WZ_OK ? wz_edit_by_options(cli, body) : r;
}

int wz_cmd_device_set(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_cli_exit(wz_edit_document(cli, target_of(cli, &target), edit_device));
}

int wz_cmd_device_rm(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    struct wz_reply reply = {0};
    int r = wz_cli_ask(cli, "DELETE", wz_slice(NULL, 0), &reply, target_of(cli, &target));

    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}
