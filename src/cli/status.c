// SPDX-License-Identifier: Apache-2.0
// Owns `wyze status`, `wyze ready` and `wyze version`.
#include "cli/commands.h"
#include "cli/resource.h"

int wz_cmd_status(struct wz_cli *cli) { return wz_resource_show(cli, "/api/v1/status"); }

int wz_cmd_ready(struct wz_cli *cli)
{
    struct wz_reply reply = {0};
    int r = wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, "/readyz");

    if (r == WZ_ERR_BUSY)
        (void)wz_problem_set(&cli->problem, r, 0,
                             "The server is up, but what is published does not become durable.");
    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}

int wz_cmd_version(struct wz_cli *cli)
{
    struct wz_reply reply = {0};
    json_t *versions = json_pack("{s:s}", "version", WZ_VERSION);
    json_t *answer = NULL;
    const char *server;
    int code;

    if (wz_cli_ask(cli, "GET", wz_slice(NULL, 0), &reply, "/api/v1/version") == WZ_OK)
        answer = wz_client_json(&reply, &cli->problem);
    server = json_string_value(json_object_get(answer, "version"));
    if (server != NULL)
        (void)json_object_set_new(versions, "server", json_string(server)); // parsed by jansson
    cli->problem = (struct wz_problem){0}; // that no server runs is an answer, too
    code = wz_cli_print_object(cli, versions);
    json_decref(versions);
    json_decref(answer);
    wz_client_release_reply(&reply);
    return code;
}
