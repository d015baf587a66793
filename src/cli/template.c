// SPDX-License-Identifier: Apache-2.0
// Owns `wyze template`.
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/resource.h"

#define TEMPLATE_MAX (1024 * 1024)

// The address of the template that the command names.
static const char *target_of(const struct wz_cli *cli, struct wz_buf *buf)
{
    return wz_resource_target(buf, "templates/", cli->args.words[0], "");
}

static json_t *row_of(const json_t *item)
{
    bool ready = json_is_true(json_object_get(item, "ready"));

    return json_pack("{s:O, s:s, s:O*}", "template", json_object_get(item, "name"), "kind",
                     ready ? "ready" : "own", "description",
                     json_object_get(json_object_get(item, "document"), "description"));
}

int wz_cmd_template_ls(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"TEMPLATE", "template"}, {"KIND", "kind"}, {"DESCRIPTION", "description"}};

    return wz_resource_list(cli, "/api/v1/templates", row_of, columns, 3);
}

int wz_cmd_template_get(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_resource_show(cli, target_of(cli, &target));
}

int wz_cmd_template_set(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    int r = wz_resource_read_body(cli, cli->args.words[1], TEMPLATE_MAX, &text);

    if (r == WZ_OK)
        r = wz_resource_do(cli, "PUT", target_of(cli, &target), wz_buf_slice(&text));
    return wz_cli_exit(r);
}

int wz_cmd_template_rm(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};

    return wz_resource_remove(cli, target_of(cli, &target));
}
