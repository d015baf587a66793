// SPDX-License-Identifier: Apache-2.0
// Owns `wyze template`.
#include "base/mem.h"
#include "cli/commands.h"
#include "gateway/uri.h"

#define TEMPLATE_MAX (1024 * 1024)

// The address of the template that the command names.
static const char *target_of(struct wz_cli *cli, struct wz_buf *buf)
{
    wz_buf_add_str(buf, "/api/v1/templates/");
    wz_uri_encode(buf, wz_slice_str(cli->args.words[0]));
    return wz_buf_str(buf);
}

int wz_cmd_template_ls(struct wz_cli *cli)
{
    static const struct wz_column columns[] = {
        {"TEMPLATE", "template"}, {"KIND", "kind"}, {"DESCRIPTION", "description"}};
    struct wz_reply reply = {0};
    json_t *answer;
    json_t *rows;
    json_t *item;
    size_t i;
    int code = wz_cli_exit(wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, "/api/v1/templates"));

    if (code != WZ_EXIT_OK)
        return code;
    answer = wz_client_json(&reply, &cli->problem);
    rows = json_array();
    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        bool ready = json_is_true(json_object_get(item, "ready"));
        json_t *description = json_object_get(json_object_get(item, "document"), "description");

        (void)json_array_append_new(
            rows, json_pack("{s:O, s:s, s:O*}", "template", json_object_get(item, "name"), "kind",
                            ready ? "ready" : "own", "description",
                            description)); // made of what jansson has parsed
    }
    code = answer != NULL ? wz_cli_print_rows(cli, rows, columns, 3) : WZ_EXIT_FAILED;
    json_decref(rows);
    json_decref(answer);
    wz_client_release_reply(&reply);
    return code;
}

int wz_cmd_template_get(struct wz_cli *cli)
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

int wz_cmd_template_set(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    const char *body = cli->args.words[1];
    struct wz_reply reply = {0};
    int r = WZ_OK;

    if (body[0] == '{')
        wz_buf_add_str(&text, body);
    else
        r = wz_cli_load(cli, body, TEMPLATE_MAX, &text);
    if (r == WZ_OK)
        r = wz_cli_ask(cli, "PUT", wz_buf_slice(&text), &reply, target_of(cli, &target));
    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}

int wz_cmd_template_rm(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    struct wz_reply reply = {0};
    int r = wz_cli_ask(cli, "DELETE", wz_slice(NULL, 0), &reply, target_of(cli, &target));

    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}
