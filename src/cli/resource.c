// SPDX-License-Identifier: Apache-2.0
#include "cli/resource.h"

#include <stdlib.h>

#include "base/mem.h"
#include "gateway/etag.h"
#include "gateway/uri.h"

const char *wz_resource_target(struct wz_buf *buf, const char *front, const char *name,
                               const char *rest)
{
    buf->len = 0;
    wz_buf_add_str(buf, "/api/v1/");
    wz_buf_add_str(buf, front);
    if (name != NULL)
        wz_uri_encode(buf, wz_slice_str(name));
    wz_buf_add_str(buf, rest);
    return wz_buf_str(buf);
}

json_t *wz_resource_ask(struct wz_cli *cli, const char *method, const char *target,
                        struct wz_slice body, int64_t *ret_revision, int *ret_r)
{
    struct wz_reply reply = {0};
    json_t *answer = NULL;

    *ret_r = wz_cli_ask(cli, method, body, &reply, target);
    if (*ret_r == WZ_OK) {
        answer = wz_client_json(&reply, &cli->problem);
        *ret_r = answer != NULL ? WZ_OK : WZ_ERR_PROTOCOL;
        if (ret_revision != NULL)
            *ret_revision = reply.revision;
    }
    wz_client_release_reply(&reply);
    return answer;
}

json_t *wz_resource_get(struct wz_cli *cli, const char *target, int *ret_r)
{
    return wz_resource_ask(cli, "GET", target, wz_slice(NULL, 0), NULL, ret_r);
}

int wz_resource_do(struct wz_cli *cli, const char *method, const char *target, struct wz_slice body)
{
    struct wz_reply reply = {0};
    int r = wz_cli_ask(cli, method, body, &reply, target);

    wz_client_release_reply(&reply);
    return r;
}

int wz_resource_send(struct wz_cli *cli, const char *method, const char *target, json_t *body)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    int r;

    json_decref(body);
    if (text == NULL)
        return wz_cli_exit(
            wz_problem_set(&cli->problem, WZ_ERR_INVALID, 0, "A word is not UTF-8."));
    r = wz_resource_do(cli, method, target, wz_slice_str(text));
    free(text); // jansson's own
    return wz_cli_exit(r);
}

int wz_resource_read_body(struct wz_cli *cli, const char *word, size_t max, struct wz_buf *ret_body)
{
    if (word[0] != '{')
        return wz_cli_load(cli, word, max, ret_body);
    wz_buf_add_str(ret_body, word);
    return WZ_OK;
}

int wz_resource_put(struct wz_cli *cli, const char *target, struct wz_slice body, const char *path,
                    size_t max, struct wz_reply *ret_reply)
{
    WZ_AUTO(wz_buf_release) struct wz_buf before = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf fields = {0};
    struct wz_ask ask = {.method = "PUT", .target = target, .body = body};
    char tag[WZ_ETAG_SIZE];
    int r = WZ_OK;

    if (path != NULL) {
        r = wz_cli_load(cli, path, max, &before);
        wz_etag_of(wz_buf_slice(&before), tag);
        wz_buf_addf(&fields, "If-Match: %s\r\n", tag);
        ask.fields = wz_buf_str(&fields);
    }
    if (r == WZ_OK)
        r = wz_cli_connect(cli, 0);
    return r < 0 ? r : wz_client_ask(cli->client, &ask, ret_reply, &cli->problem);
}

int wz_resource_remove(struct wz_cli *cli, const char *target)
{
    return wz_cli_exit(wz_resource_do(cli, "DELETE", target, wz_slice(NULL, 0)));
}

int wz_resource_show(struct wz_cli *cli, const char *target)
{
    int r;
    json_t *answer = wz_resource_get(cli, target, &r);
    int code = r == WZ_OK ? wz_cli_print_object(cli, answer) : wz_cli_exit(r);

    json_decref(answer);
    return code;
}

int wz_resource_list(struct wz_cli *cli, const char *target, wz_resource_row_fn row,
                     const struct wz_column *columns, size_t column_count)
{
    json_t *rows = json_array();
    json_t *item;
    size_t i;
    int r;
    json_t *answer = wz_resource_get(cli, target, &r);
    int code;

    json_array_foreach(json_object_get(answer, "items"), i, item)
    {
        (void)json_array_append_new(rows,
                                    row != NULL ? row(item) : json_incref(item)); // it is ours
    }
    code = r == WZ_OK ? wz_cli_print_rows(cli, rows, columns, column_count) : wz_cli_exit(r);
    json_decref(rows);
    json_decref(answer);
    return code;
}
