// SPDX-License-Identifier: Apache-2.0
// Owns the publishing of a message through the API. Its body goes on as the bytes it came in, so no
// number is printed anew.
#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/api.h"
#include "gateway/handlers.h"
#include "json/scan.h"
#include "json/text.h"

// The members of a publish request, as they stand in its body.
struct members {
    struct wz_slice exchange;
    struct wz_slice topic;
    struct wz_slice body;
    struct wz_slice text;
    struct wz_slice base64;
};

// A message on its way to the bus on behalf of a request.
struct task {
    struct wz_bus_post post;
    struct wz_request *req;
    struct wz_buf topic;
    struct wz_buf body;
};

static void free_task(struct task *task)
{
    wz_buf_release(&task->topic);
    wz_buf_release(&task->body);
    wz_request_unref(task->req);
    wz_free(task);
}

static int refuse(struct wz_problem *ret_problem, const char *what, const char *fix)
{
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST, "%s", what);
    wz_problem_fix(ret_problem, "%s", fix);
    return WZ_ERR_INVALID;
}

static int read_members(struct wz_slice body, struct members *members,
                        struct wz_problem *ret_problem)
{
    const struct {
        const char *name;
        struct wz_slice *value;
    } known[] = {
        {"\"exchange\"", &members->exchange}, {"\"topic\"", &members->topic},
        {"\"body\"", &members->body},         {"\"text\"", &members->text},
        {"\"base64\"", &members->base64},
    };
    struct wz_json_scan scan;
    struct wz_json_members walk;
    struct wz_json_member member;

    wz_json_scan(body, &scan);
    if (scan.kind != WZ_JSON_OBJECT)
        return refuse(ret_problem, "The request's body is not a JSON object.", "");
    walk = (struct wz_json_members){.rest = scan.members};
    while (wz_json_members_next(&walk, &member)) {
        size_t i = 0;

        while (i < 5 && !wz_slice_eq(member.name, wz_slice_str(known[i].name)))
            i++;
        if (i == 5 || known[i].value->ptr != NULL)
            return refuse(ret_problem, "The request has a member that is unknown or given twice.",
                          "Give topic, exchange, and one of body, text or base64.");
        *known[i].value = member.value;
    }
    return WZ_OK;
}

// Adds the text of a JSON string; WZ_ERR_INVALID when VALUE is none.
static int add_string(struct wz_slice value, const char *name, struct wz_buf *ret_buf,
                      struct wz_problem *ret_problem)
{
    if (value.len < 2 || value.ptr[0] != '"') {
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                             "The member \"%s\" is missing or no string.", name);
        return WZ_ERR_INVALID;
    }
    wz_json_add_unescaped(ret_buf, value);
    return WZ_OK;
}

static int digit64(uint8_t c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != 0 ? strchr(digits, c) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

// Adds what base64 text stands for (RFC 4648, section 4, with its padding).
static bool add_base64(struct wz_slice s, struct wz_buf *ret_buf)
{
    if (s.len % 4 != 0)
        return false;
    for (size_t i = 0; i < s.len; i += 4) {
        int pad = i + 4 == s.len ? (s.ptr[i + 3] == '=') + (s.ptr[i + 2] == '=') : 0;
        uint32_t bits = 0;

        for (size_t j = 0; j < 4; j++) {
            int digit = j < 4 - (size_t)pad ? digit64(s.ptr[i + j]) : 0;

            if (digit < 0)
                return false;
            bits = bits << 6 | (uint32_t)digit;
        }
        for (int j = 0; j < 3 - pad; j++)
            wz_buf_add_byte(ret_buf, (uint8_t)(bits >> (16 - 8 * j)));
    }
    return true;
}

static int read_body(const struct members *members, struct wz_buf *ret_body,
                     struct wz_problem *ret_problem)
{
    int given =
        (members->body.ptr != NULL) + (members->text.ptr != NULL) + (members->base64.ptr != NULL);
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    int r;

    if (given != 1)
        return refuse(ret_problem, "There must be one of \"body\", \"text\" and \"base64\".",
                      "Give any JSON as body, a text as text, or bytes as base64.");
    if (members->body.ptr != NULL) {
        wz_buf_add_slice(ret_body, members->body);
        return WZ_OK;
    }
    if (members->text.ptr != NULL)
        return add_string(members->text, "text", ret_body, ret_problem);
    r = add_string(members->base64, "base64", &text, ret_problem);
    if (r < 0)
        return r;
    if (!add_base64(wz_buf_slice(&text), ret_body))
        return refuse(ret_problem, "The member \"base64\" is not base64.",
                      "Use the alphabet of RFC 4648, section 4, with padding.");
    return WZ_OK;
}

static int read_exchange(const struct members *members, enum wz_bus_exchange *ret_id,
                         struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf name = {0};
    int r = add_string(members->exchange, "exchange", &name, ret_problem);

    if (r < 0)
        return r;
    *ret_id = wz_bus_exchange_find(wz_buf_slice(&name));
    if (*ret_id != WZ_BUS_DEVICES && *ret_id != WZ_BUS_INGRESS && *ret_id != WZ_BUS_EGRESS)
        return refuse(ret_problem, "There is no exchange of that name to publish to.",
                      "Use ingress, egress or amq.topic.");
    return WZ_OK;
}

// Where the message went: the stream and offset of its record, if it has one.
static json_t *describe_place(const struct wz_api *api, const struct wz_ticket *ticket)
{
    for (size_t i = 0; i < api->parts.stream_count && ticket->stream != NULL; i++) {
        if (api->parts.streams[i].log == ticket->stream)
            return json_pack("{s:s, s:I}", "stream", api->parts.streams[i].name, "offset",
                             (json_int_t)ticket->offset);
    }
    return json_object();
}

static void answer_posted(struct wz_mail *mail)
{
    struct task *task = WZ_CONTAINER(mail, struct task, post.mail);
    struct wz_problem problem;

    task->req->api->under_way--;
    if (task->post.result == WZ_OK) {
        wz_answer_json(task->req, 200, describe_place(task->req->api, &task->post.ticket));
    } else {
        bool full = task->post.result == WZ_ERR_NOSPACE;

        (void)wz_problem_set(&problem, task->post.result,
                             full ? WZ_CODE_STREAM_FULL : WZ_CODE_API_REQUEST,
                             "The message was not taken: %s.", wz_err_text(task->post.result));
        if (full)
            wz_problem_fix(&problem, "Less than streams.min_free is free on the disk of the "
                                     "streams: make room; then try again.");
        if (task->post.result == WZ_ERR_INVALID)
            wz_problem_fix(&problem, "A topic has at most 255 bytes, words joined by '.' (by '/' "
                                     "on amq.topic), no wildcards, and is not below $SYS.");
        wz_answer_problem(task->req, full ? 503 : 0, &problem);
    }
    free_task(task);
}

static int read_task(struct task *task, struct wz_problem *ret_problem)
{
    struct members members = {0};
    int r = read_members(wz_buf_slice(&task->req->body), &members, ret_problem);

    if (r == WZ_OK)
        r = read_exchange(&members, &task->post.exchange, ret_problem);
    if (r == WZ_OK)
        r = add_string(members.topic, "topic", &task->topic, ret_problem);
    if (r == WZ_OK)
        r = read_body(&members, &task->body, ret_problem);
    if (r == WZ_OK && task->topic.len == 0)
        r = refuse(ret_problem, "The topic is empty.", "");
    return r;
}

void wz_handle_publish(struct wz_request *req)
{
    struct wz_api *api = req->api;
    struct task *task = wz_zalloc(1, sizeof(*task));
    struct wz_problem problem;
    int r;

    task->req = wz_request_ref(req);
    r = read_task(task, &problem);
    if (r < 0) {
        wz_answer_problem(req, 400, &problem);
        free_task(task);
        return;
    }
    task->post.message = (struct wz_message){.topic = wz_buf_slice(&task->topic),
                                             .body = wz_buf_slice(&task->body),
                                             .offset = -1,
                                             .qos = 1};
    task->post.reply_to = &api->mail;
    task->post.done = answer_posted;
    r = api->parts.bus != NULL ? wz_bus_post(api->parts.bus, &task->post) : WZ_ERR_CLOSED;
    if (r == WZ_OK) {
        api->under_way++;
        return;
    }
    (void)wz_problem_set(&problem, r, WZ_CODE_API_BUSY, "The message cannot be taken now.");
    wz_problem_fix(&problem, "Try again.");
    wz_answer_problem(req, 503, &problem);
    free_task(task);
}
