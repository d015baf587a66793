// SPDX-License-Identifier: Apache-2.0
// Owns `wyze export` and `wyze import`: the whole configuration as one file.
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/resource.h"

#define CONFIGURATION_MAX (128 * 1024 * 1024)

int wz_cmd_export(struct wz_cli *cli)
{
    const char *path = cli->args.word_count > 0 ? cli->args.words[0] : NULL;
    struct wz_reply reply = {0};
    int r = wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, "/api/v1/configuration");
    int code = r == WZ_OK ? wz_cli_save(cli, path, wz_buf_slice(&reply.content)) : wz_cli_exit(r);

    wz_client_release_reply(&reply);
    return code;
}

int wz_cmd_import(struct wz_cli *cli)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    bool merges = wz_args_value(&cli->args, "--merge") != NULL;
    struct wz_reply reply = {0};
    int r = wz_cli_load(cli, cli->args.words[0], CONFIGURATION_MAX, &text);

    if (r == WZ_OK)
        r = wz_resource_put(cli,
                            merges ? "/api/v1/configuration?mode=merge" : "/api/v1/configuration",
                            wz_buf_slice(&text), wz_args_value(&cli->args, "--if-still"),
                            CONFIGURATION_MAX, &reply);
    if (r == WZ_OK)
        wz_cli_tell_changed(cli, &reply);
    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}
