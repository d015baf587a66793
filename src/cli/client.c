// SPDX-License-Identifier: Apache-2.0
// Owns the HTTP client: one connection, one request at a time, blocking.
#include "cli/client.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cli/local.h"
#include "gateway/http.h"
#include "gateway/listen.h"

#define WZ_CLIENT_TIMEOUT_S 30
#define WZ_CLIENT_READ_BYTES (64 * 1024)

// An answer that is held whole in memory is not larger than this.
#define WZ_CLIENT_CONTENT_MAX (64 * 1024 * 1024)

struct wz_client {
    int fd;                 // -1 when LOCAL is there
    struct wz_local *local; // the API in this process
    char *host;             // for the field Host
    struct wz_buf input;    // received and not used yet
    struct wz_http_body body;
    bool ended;
};

static int refuse_url(const char *url, struct wz_problem *ret_problem)
{
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_UNREACHABLE,
                         "\"%.128s\" is not an address of a wyze.", url);
    wz_problem_fix(ret_problem, "Give it as http://127.0.0.1:5081.");
    return WZ_ERR_INVALID;
}

// Splits "http://host:port" and "http://[::1]:port"; the port may be left out.
static int split_url(const char *url, char **ret_host, char **ret_port)
{
    const char *start = url + strlen("http://");
    const char *close = start[0] == '[' ? strchr(start, ']') : NULL;
    const char *colon;
    size_t len;

    if (close != NULL) {
        start++;
        len = (size_t)(close - start);
        colon = close[1] == ':' ? close + 1 : NULL;
    } else {
        colon = strchr(start, ':');
        len = colon != NULL ? (size_t)(colon - start) : strcspn(start, "/");
    }
    if (len == 0)
        return WZ_ERR_INVALID;
    *ret_host = wz_strndup(start, len);
    *ret_port = colon != NULL ? wz_strndup(colon + 1, strcspn(colon + 1, "/")) : wz_strdup("5081");
    return WZ_OK;
}

static int connect_any(const struct addrinfo *list, int *ret_fd)
{
    int r = WZ_ERR_UNREACHABLE;

    for (; list != NULL; list = list->ai_next) {
        int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) == 0) {
            *ret_fd = fd;
            return WZ_OK;
        }
        wz_fs_close(fd);
    }
    return r;
}

static int connect_url(struct wz_client *client, const char *url, struct wz_problem *ret_problem)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    WZ_AUTO(wz_free_ptr) char *host = NULL;
    WZ_AUTO(wz_free_ptr) char *port = NULL;
    struct addrinfo *list;
    int r;

    if (strncmp(url, "http://", 7) != 0 || split_url(url, &host, &port) < 0)
        return refuse_url(url, ret_problem);
    if (getaddrinfo(host, port, &hints, &list) != 0)
        return refuse_url(url, ret_problem);
    r = connect_any(list, &client->fd);
    freeaddrinfo(list);
    if (r < 0) {
        (void)wz_problem_set(ret_problem, r, WZ_CODE_API_UNREACHABLE, "No wyze answers at %.128s.",
                             url);
        wz_problem_fix(ret_problem, "Start one with \"wyze run\", or give its address with --url.");
        return r;
    }
    client->host = wz_strdup(url + strlen("http://"));
    client->host[strcspn(client->host, "/")] = '\0';
    return WZ_OK;
}

// Connects to the socket in the data folder; where nobody answers, this process takes the API's
// part.
static int connect_data(struct wz_client *client, const struct wz_client_options *options,
                        struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf path = {0};
    int r;

    wz_buf_addf(&path, "%s/wyze.sock", options->data);
    client->host = wz_strdup("localhost");
    r = wz_listen_connect(wz_buf_str(&path), &client->fd);
    if (r == WZ_ERR_UNREACHABLE && options->needs != 0)
        return wz_local_open(options->data, options->needs, &client->local, ret_problem);
    if (r < 0) {
        (void)wz_problem_set(ret_problem, r, WZ_CODE_API_UNREACHABLE,
                             r == WZ_ERR_UNREACHABLE
                                 ? "No wyze runs with the data folder %.128s."
                                 : "The wyze of the data folder %.128s cannot be reached.",
                             options->data);
        wz_problem_fix(ret_problem, "Start it with \"wyze run\", or say with --data or --url where "
                                    "it is.");
    }
    return r;
}

int wz_client_open(const struct wz_client_options *options, struct wz_client **ret_client,
                   struct wz_problem *ret_problem)
{
    struct wz_client *client = wz_zalloc(1, sizeof(*client));
    struct timeval timeout = {.tv_sec = options->timeout_s > 0 ? options->timeout_s
                                                               : WZ_CLIENT_TIMEOUT_S};
    int r;

    client->fd = -1;
    r = options->url != NULL ? connect_url(client, options->url, ret_problem)
                             : connect_data(client, options, ret_problem);
    if (r == WZ_OK && client->fd >= 0 &&
        (setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
         setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0))
        r = wz_problem_set(ret_problem, wz_err_from_errno(errno), WZ_CODE_API_UNREACHABLE,
                           "The connection cannot be used.");
    if (r < 0) {
        wz_client_close(client);
        return r;
    }
    *ret_client = client;
    return WZ_OK;
}

void wz_client_close(struct wz_client *client)
{
    if (client == NULL)
        return;
    wz_fs_close(client->fd);
    wz_local_close(client->local);
    wz_buf_release(&client->input);
    wz_free(client->host);
    wz_free(client);
}

bool wz_client_remote(const struct wz_client *client) { return client->local == NULL; }

static int report(int err, struct wz_problem *ret_problem)
{
    return wz_problem_set(ret_problem, err, WZ_CODE_API_UNREACHABLE,
                          err == WZ_ERR_TIMEOUT ? "The server does not answer."
                                                : "The server's answer ended too early.");
}

static int send_all(struct wz_client *client, struct wz_slice bytes, struct wz_problem *ret_problem)
{
    if (client->local != NULL) {
        wz_local_send(client->local, bytes);
        return WZ_OK;
    }
    while (bytes.len > 0) {
        ssize_t n = send(client->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return WZ_OK; // refused already: the answer says why
        if (n < 0)
            return report(errno == EAGAIN ? WZ_ERR_TIMEOUT : WZ_ERR_UNREACHABLE, ret_problem);
        bytes = wz_slice_sub(bytes, (size_t)n, bytes.len - (size_t)n);
    }
    return WZ_OK;
}

// Adds what has come to the input; WZ_END when no more comes.
static int receive(struct wz_client *client, struct wz_problem *ret_problem)
{
    ssize_t n;

    if (client->local != NULL)
        return wz_local_receive(client->local, &client->input);
    wz_buf_reserve(&client->input, WZ_CLIENT_READ_BYTES);
    do {
        n = recv(client->fd, client->input.ptr + client->input.len, WZ_CLIENT_READ_BYTES, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return report(errno == EAGAIN ? WZ_ERR_TIMEOUT : WZ_ERR_UNREACHABLE, ret_problem);
    client->input.len += (size_t)n;
    return n > 0 ? WZ_OK : WZ_END;
}

// The revision in an ETag like "3", or 0.
static int64_t read_tag(const struct wz_http_head *head)
{
    struct wz_slice tag = wz_http_field(head, "ETag");
    int64_t revision = 0;

    for (size_t i = 1; i + 1 < tag.len && i < 18 && tag.ptr[i] >= '0' && tag.ptr[i] <= '9'; i++)
        revision = revision * 10 + (tag.ptr[i] - '0');
    return revision;
}

// Reads the head of the answer to METHOD; passes over "100 Continue".
static int read_head(struct wz_client *client, const char *method, struct wz_reply *ret_reply,
                     struct wz_problem *ret_problem)
{
    struct wz_http_head head;
    size_t len;
    int r;

    do {
        while ((len = wz_http_head_len(wz_buf_slice(&client->input), 0)) == 0) {
            if (client->input.len > WZ_HTTP_HEAD_MAX)
                return report(WZ_ERR_PROTOCOL, ret_problem);
            r = receive(client, ret_problem);
            if (r == WZ_END)
                return report(WZ_ERR_UNREACHABLE, ret_problem);
            if (r < 0)
                return r;
        }
        r = wz_http_read_answer(wz_slice(client->input.ptr, len), &head);
        if (r < 0)
            return wz_problem_set(ret_problem, r, WZ_CODE_API_UNREACHABLE,
                                  "What answers there is no wyze.");
        ret_reply->status = head.status;
        ret_reply->revision = read_tag(&head);
        wz_http_body_of_answer(&client->body, &head, wz_slice_str(method));
        wz_buf_consume(&client->input, len);
    } while (head.status < 200);
    return WZ_OK;
}

int wz_client_begin(struct wz_client *client, const struct wz_ask *ask, struct wz_reply *ret_reply,
                    struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    int r;

    *ret_reply = (struct wz_reply){0};
    wz_buf_addf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", ask->method, ask->target, client->host);
    if (ask->fields != NULL)
        wz_buf_add_str(&text, ask->fields);
    if (strcmp(ask->method, "GET") != 0)
        wz_buf_addf(&text, "Content-Length: %zu\r\n", ask->body.len);
    wz_buf_add_str(&text, "\r\n");
    wz_buf_add_slice(&text, ask->body);
    r = send_all(client, wz_buf_slice(&text), ret_problem);
    if (r == WZ_OK)
        r = read_head(client, ask->method, ret_reply, ret_problem);
    return r;
}

int wz_client_next(struct wz_client *client, struct wz_buf *ret_buf, struct wz_problem *ret_problem)
{
    for (;;) {
        struct wz_slice input = wz_buf_slice(&client->input);
        struct wz_slice piece;
        int r = wz_http_body_next(&client->body, &input, &piece);

        if (r == WZ_OK)
            wz_buf_add_slice(ret_buf, piece);
        wz_buf_consume(&client->input, client->input.len - input.len);
        if (r == WZ_OK || r == WZ_END)
            return r;
        if (r == WZ_AGAIN)
            r = receive(client, ret_problem);
        else
            r = report(r, ret_problem);
        if (r == WZ_END)
            return client->body.state == WZ_HTTP_BODY_UNTIL_END
                       ? WZ_END
                       : report(WZ_ERR_UNREACHABLE, ret_problem);
        if (r < 0)
            return r;
    }
}

static int err_of_status(int status)
{
    switch (status) {
    case 401:
    case 403:
        return WZ_ERR_AUTH;
    case 404:
        return WZ_ERR_NOT_FOUND;
    case 408:
    case 504:
        return WZ_ERR_TIMEOUT;
    case 409:
    case 412:
        return WZ_ERR_CONFLICT;
    case 503:
        return WZ_ERR_BUSY;
    case 507:
        return WZ_ERR_NOSPACE;
    default:
        return status < 500 ? WZ_ERR_INVALID : WZ_ERR_IO;
    }
}

// Makes a problem of an answer that is one.
static int read_problem(const struct wz_reply *reply, struct wz_problem *ret_problem)
{
    json_t *object = json_loadb((const char *)reply->content.ptr, reply->content.len, 0, NULL);
    const char *what = json_string_value(json_object_get(object, "detail"));
    const char *where = json_string_value(json_object_get(object, "where"));
    const char *fix = json_string_value(json_object_get(object, "fix"));
    const char *code = json_string_value(json_object_get(object, "code"));
    int number =
        code != NULL && strncmp(code, "WYZ-", 4) == 0 ? (int)strtol(code + 4, NULL, 10) : 0;

    (void)wz_problem_set(ret_problem, err_of_status(reply->status), number, "%s",
                         what != NULL ? what : wz_http_reason(reply->status));
    wz_problem_where(ret_problem, "%s", where != NULL ? where : "");
    wz_problem_fix(ret_problem, "%s", fix != NULL ? fix : "");
    json_decref(object);
    return err_of_status(reply->status);
}

int wz_client_ask(struct wz_client *client, const struct wz_ask *ask, struct wz_reply *ret_reply,
                  struct wz_problem *ret_problem)
{
    int r = wz_client_begin(client, ask, ret_reply, ret_problem);

    while (r == WZ_OK && ret_reply->content.len <= WZ_CLIENT_CONTENT_MAX)
        r = wz_client_next(client, &ret_reply->content, ret_problem);
    if (r == WZ_OK)
        r = wz_problem_set(ret_problem, WZ_ERR_TOO_LARGE, 0, "The server's answer is too large.");
    if (r == WZ_END)
        r = ret_reply->status < 400 ? WZ_OK : read_problem(ret_reply, ret_problem);
    if (r < 0)
        wz_client_release_reply(ret_reply);
    return r;
}

json_t *wz_client_json(const struct wz_reply *reply, struct wz_problem *ret_problem)
{
    json_t *value = json_loadb((const char *)reply->content.ptr, reply->content.len,
                               JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    if (value == NULL)
        (void)wz_problem_set(ret_problem, WZ_ERR_PROTOCOL, WZ_CODE_API_UNREACHABLE,
                             "What answers there is no wyze.");
    return value;
}

void wz_client_release_reply(struct wz_reply *reply) { wz_buf_release(&reply->content); }
