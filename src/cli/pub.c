// SPDX-License-Identifier: Apache-2.0
// Owns `wyze pub`.
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "json/text.h"

#define WZ_PUB_BODY_MAX (1024 * 1024)

// The exchange that a topic of this look is for: levels are MQTT's, a last word "output" is a
// command, all else is a reading.
static const char *choose_exchange(const char *topic)
{
    const char *dot = strrchr(topic, '.');

    if (strchr(topic, '/') != NULL)
        return "amq.topic";
    return dot != NULL && strcmp(dot, ".output") == 0 ? "egress" : "ingress";
}

int wz_cmd_pub(struct wz_cli *cli)
{
    const char *topic = cli->args.words[0];
    const char *exchange = wz_args_value(&cli->args, "--exchange");
    WZ_AUTO(wz_buf_release) struct wz_buf message = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf request = {0};
    struct wz_slice body = wz_slice_str(cli->args.words[1]);
    struct wz_reply reply = {0};
    int r;

    if (!wz_utf8_valid(wz_slice_str(topic)))
        return wz_cli_exit(
            wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0, "The topic is not UTF-8."));
    if (strcmp(cli->args.words[1], "-") == 0) {
        r = wz_cli_load(cli, "-", WZ_PUB_BODY_MAX, &message);
        if (r < 0)
            return wz_cli_exit(r);
        body = wz_buf_slice(&message);
    }
    wz_buf_add_str(&request, "{\"exchange\":");
    wz_json_add_string(&request,
                       wz_slice_str(exchange != NULL ? exchange : choose_exchange(topic)));
    wz_buf_add_str(&request, ",\"topic\":");
    wz_json_add_string(&request, wz_slice_str(topic));
    // As text, so that the bytes arrive as they were given, JSON or not.
    if (wz_utf8_valid(body)) {
        wz_buf_add_str(&request, ",\"text\":");
        wz_json_add_string(&request, body);
    } else {
        wz_buf_add_str(&request, ",\"base64\":");
        wz_json_add_base64(&request, body);
    }
    wz_buf_add_byte(&request, '}');
    r = wz_cli_ask(cli, "POST", wz_buf_slice(&request), &reply, "/api/v1/publish");
    wz_client_release_reply(&reply);
    return wz_cli_exit(r);
}
