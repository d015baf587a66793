// SPDX-License-Identifier: Apache-2.0
// Owns `wyze device`.
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/edit.h"
#include "cli/resource.h"

// The address of the device that the command names.
static const char *target_of(const struct wz_cli *cli, struct wz_buf *buf)
{
    return wz_resource_target(buf, "devices/", cli->args.words[0], "");
}

static json_t *row_of(const json_t *item)
{
    json_t *document = json_object_get(item, "document");

    return json_pack("{s:O, s:O*, s:O*}", "device", json_object_get(item, "name"), "route",
                     json_object_get(document, "route"), "template",
                     json_object_get(document, "template"));
}

int wz_cmd_device_ls(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"DEVICE", "device"}, {"ROUTE", "route"}, {"TEMPLATE", "template"}};

    return wz_resource_list(cli, "/api/v1/devices", row_of, columns, 3);
}

int wz_cmd_device_get(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_resource_show(cli, target_of(cli, &target));
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

    return wz_resource_remove(cli, target_of(cli, &target));
}
