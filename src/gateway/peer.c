// SPDX-License-Identifier: Apache-2.0
// Owns the states of an HTTP connection:
//
//   HEAD --> BODY --> HANDLED --> CONTENT --> HEAD ...        (keep-alive)
//     |        |         |           +------> LINGER --> DONE (refused: drain what still comes)
//     +--------+---------+-------------------> DONE           (close)
#include "gateway/peer.h"

#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/route.h"
#include "loop/budget.h"

enum state {
    HEAD,    // a request's head is coming in, or none yet
    BODY,    // its body is coming in
    HANDLED, // with the API, until it is answered
    CONTENT, // the answer's head is out, its content follows
    LINGER,  // the last answer is out; input is dropped
    DONE,    // nothing more, close
};

struct wz_peer {
    struct wz_api *api;
    wz_peer_wake_fn wake;
    void *arg;
    enum state state;
    int64_t since_us;    // when something last moved
    struct wz_buf input; // not used yet
    size_t looked;       // so much of the input holds no end of a head
    struct wz_buf ready; // output made outside an answer
    struct wz_request *req;
    struct wz_http_body body;
    size_t content_pos; // so much of the answer's content is out
    size_t lent_bytes;  // counted
    struct wz_peer_group *group;
    bool busy;    // takes a slot of the group
    bool refused; // the rest of the input cannot be understood
    bool close;   // after this answer
    bool chunked;
};

struct wz_peer *wz_peer_new(struct wz_api *api, wz_peer_wake_fn wake, void *arg)
{
    struct wz_peer *peer = wz_zalloc(1, sizeof(*peer));

    peer->api = api;
    peer->wake = wake;
    peer->arg = arg;
    peer->since_us = wz_clock_mono_us();
    return peer;
}

void wz_peer_join(struct wz_peer *peer, struct wz_peer_group *group) { peer->group = group; }

// Counts what the connection holds. False when there is no memory for it: then as before.
static bool count(struct wz_peer *peer)
{
    struct wz_budget *budget = peer->api->parts.budget;
    const struct wz_request *req = peer->req;
    size_t bytes = peer->input.cap + peer->ready.cap;

    if (req != NULL)
        bytes += req->head_bytes.cap + req->body.cap + req->fields.cap + req->content.cap;
    if (bytes <= WZ_PEER_FREE_BYTES)
        bytes = 0;
    if (budget == NULL || bytes == peer->lent_bytes)
        return true;
    if (!wz_budget_lend(budget, peer->lent_bytes, bytes))
        return false;
    peer->lent_bytes = bytes;
    return true;
}

// Whether the request at hand may begin; takes a slot for it.
static bool take_slot(struct wz_peer *peer)
{
    if (peer->group == NULL || wz_route_is_vital(peer->req))
        return true;
    if (peer->group->busy >= peer->group->busy_max)
        return false;
    peer->group->busy++;
    peer->busy = true;
    return true;
}

static void leave_slot(struct wz_peer *peer)
{
    if (peer->busy)
        peer->group->busy--;
    peer->busy = false;
}

void wz_peer_free(struct wz_peer *peer)
{
    if (peer == NULL)
        return;
    leave_slot(peer);
    if (peer->lent_bytes > 0)
        wz_ignore(wz_budget_lend(peer->api->parts.budget, peer->lent_bytes, 0)); // less is fine
    wz_request_abandon(peer->req);
    wz_buf_release(&peer->input);
    wz_buf_release(&peer->ready);
    wz_free(peer);
}

static void enter(struct wz_peer *peer, enum state state)
{
    peer->state = state;
    peer->since_us = wz_clock_mono_us();
}

// Says that there is no memory for the answer at hand, in its place.
static void withdraw_answer(struct wz_request *req)
{
    wz_buf_release(&req->fields);
    wz_buf_release(&req->content);
    req->answered = false;
    wz_api_refuse(req, WZ_ERR_NOSPACE);
}

// There is an answer, which counts from now on: it may be long before the client takes it.
static void wake(void *arg)
{
    struct wz_peer *peer = arg;

    if (!count(peer) && peer->req->answered && peer->req->next_content == NULL &&
        peer->req->content.len > WZ_PEER_FREE_BYTES)
        withdraw_answer(peer->req); // which wakes again
    else
        peer->wake(peer->arg);
}

// Answers the request at hand, or one that could not be read, with a refusal, and closes then.
static void refuse(struct wz_peer *peer, int err)
{
    int ignored;

    if (peer->req == NULL)
        peer->req = wz_request_new(peer->api, wz_slice(NULL, 0), &ignored);
    peer->req->wake = wake;
    peer->req->wake_arg = peer;
    peer->refused = true;
    peer->close = true;
    enter(peer, HANDLED);
    wz_api_refuse(peer->req, err);
}

// Refuses a request for which there is no memory.
static void refuse_large(struct wz_peer *peer)
{
    if (peer->req != NULL)
        wz_buf_release(&peer->req->body);
    wz_buf_release(&peer->input);
    refuse(peer, WZ_ERR_NOSPACE);
}

// Drops the empty lines that may stand in front of a request (RFC 9112, section 2.2).
static void skip_empty_lines(struct wz_peer *peer)
{
    size_t len = 0;

    while (len + 1 < peer->input.len && peer->input.ptr[len] == '\r' &&
           peer->input.ptr[len + 1] == '\n')
        len += 2;
    if (len > 0)
        wz_buf_consume(&peer->input, len);
}

// Begins the request whose head, of LEN bytes, is at the front of the input.
static void begin_request(struct wz_peer *peer, size_t len)
{
    struct wz_http_head *head;
    int r;

    peer->req = wz_request_new(peer->api, wz_slice(peer->input.ptr, len), &r);
    peer->req->wake = wake;
    peer->req->wake_arg = peer;
    wz_buf_consume(&peer->input, len);
    peer->looked = 0;
    head = &peer->req->head;
    if (r < 0) {
        refuse(peer, r);
        return;
    }
    peer->close = head->close;
    if (head->content_length > (int64_t)wz_route_body_max(peer->req)) {
        refuse(peer, WZ_ERR_TOO_LARGE);
        return;
    }
    wz_http_body_of_request(&peer->body, head);
    enter(peer, BODY);
    if (peer->input.len == 0 && peer->body.state != WZ_HTTP_BODY_DONE && head->minor > 0 &&
        wz_http_field(head, "Expect").len > 0) {
        wz_buf_add_str(&peer->ready, "HTTP/1.1 100 Continue\r\n\r\n");
        wake(peer);
    }
}

// Looks for a head in the input; false when there is none yet.
static bool read_head(struct wz_peer *peer)
{
    size_t len;

    skip_empty_lines(peer);
    len = wz_http_head_len(wz_buf_slice(&peer->input), peer->looked);
    if (len > WZ_HTTP_HEAD_MAX || (len == 0 && peer->input.len > WZ_HTTP_HEAD_MAX)) {
        refuse(peer, WZ_ERR_LIMIT);
        return true;
    }
    if (len == 0) {
        peer->looked = peer->input.len;
        return false;
    }
    begin_request(peer, len);
    return true;
}

// Takes the body's bytes off the input; false when more of them have to come.
static bool read_body(struct wz_peer *peer)
{
    struct wz_slice input = wz_buf_slice(&peer->input);
    struct wz_slice piece;
    size_t body_max = wz_route_body_max(peer->req);
    int r;

    while ((r = wz_http_body_next(&peer->body, &input, &piece)) == WZ_OK) {
        if (peer->req->body.len + piece.len > body_max) {
            refuse(peer, WZ_ERR_TOO_LARGE);
            return true;
        }
        wz_buf_add_slice(&peer->req->body, piece);
    }
    wz_buf_consume(&peer->input, peer->input.len - input.len);
    if (r == WZ_AGAIN)
        return false;
    if (r < 0) {
        refuse(peer, r);
        return true;
    }
    if (!count(peer)) {
        refuse_large(peer);
        return true;
    }
    enter(peer, HANDLED);
    if (take_slot(peer))
        wz_api_handle(peer->api, peer->req);
    else
        wz_api_refuse(peer->req, WZ_ERR_BUSY);
    return true;
}

// Goes as far as the input carries.
static void advance(struct wz_peer *peer)
{
    bool moved = true;

    while (moved) {
        if (peer->state == HEAD)
            moved = read_head(peer);
        else if (peer->state == BODY)
            moved = read_body(peer);
        else
            moved = false;
    }
}

void wz_peer_input(struct wz_peer *peer, struct wz_slice bytes)
{
    if (peer->refused || peer->state >= LINGER)
        return;
    if (peer->state == HEAD && peer->input.len == 0)
        peer->since_us = wz_clock_mono_us();
    wz_buf_add_slice(&peer->input, bytes);
    advance(peer);
    if (!count(peer) && (peer->state == HEAD || peer->state == BODY))
        refuse_large(peer);
}

enum wz_peer_rest wz_peer_rest(const struct wz_peer *peer, int64_t *ret_since_us)
{
    *ret_since_us = peer->since_us;
    if (peer->state == HANDLED || peer->state == CONTENT)
        return WZ_PEER_BUSY;
    return peer->state == BODY || peer->input.len > 0 ? WZ_PEER_ASKING : WZ_PEER_IDLE;
}

bool wz_peer_wants_input(const struct wz_peer *peer)
{
    return peer->state == HEAD || peer->state == BODY || peer->refused;
}

static void add_date(struct wz_buf *buf)
{
    time_t now = (time_t)(wz_clock_wall_ms() / 1000);
    struct tm tm;
    char text[64];

    if (gmtime_r(&now, &tm) == NULL)
        return;
    if (strftime(text, sizeof(text), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm) > 0)
        wz_buf_add_str(buf, text);
}

// Adds the answer's head. Whether content follows.
static bool add_head(struct wz_peer *peer, struct wz_buf *buf)
{
    struct wz_request *req = peer->req;
    bool none = req->status == 204 || req->status == 304;

    peer->chunked = false;
    wz_buf_addf(buf, "HTTP/1.1 %d %s\r\n", req->status, wz_http_reason(req->status));
    add_date(buf);
    wz_buf_add_str(buf, "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n");
    wz_buf_add_slice(buf, wz_buf_slice(&req->fields));
    if (req->next_content == NULL && !none) {
        wz_buf_addf(buf, "Content-Length: %zu\r\n", req->content.len);
    } else if (req->next_content != NULL && req->head.minor > 0) {
        peer->chunked = true;
        wz_buf_add_str(buf, "Transfer-Encoding: chunked\r\n");
    } else if (!none) {
        peer->close = true;
    }
    if (peer->close)
        wz_buf_add_str(buf, "Connection: close\r\n");
    wz_buf_add_str(buf, "\r\n");
    peer->content_pos = 0;
    return !req->head_only && (req->next_content != NULL || (!none && req->content.len > 0));
}

// The answer is out: on to the next request, or to the end.
static void finish(struct wz_peer *peer)
{
    wz_request_abandon(peer->req);
    peer->req = NULL;
    leave_slot(peer);
    (void)count(peer); // less is fine
    if (peer->refused)
        enter(peer, LINGER);
    else if (peer->close)
        enter(peer, DONE);
    else
        enter(peer, HEAD);
    advance(peer);
}

// Adds more of a content that is at hand: what a slow client has not taken is here once.
static int add_part(struct wz_peer *peer, struct wz_buf *buf, size_t budget)
{
    struct wz_slice content = wz_buf_slice(&peer->req->content);
    size_t left = content.len - peer->content_pos;
    size_t len = left < budget ? left : budget;

    wz_buf_add_slice(buf, wz_slice_sub(content, peer->content_pos, len));
    peer->content_pos += len;
    if (len < left)
        return WZ_OK;
    finish(peer);
    return WZ_END;
}

// Adds more content of an answer.
static int add_content(struct wz_peer *peer, struct wz_buf *buf, size_t budget)
{
    WZ_AUTO(wz_buf_release) struct wz_buf piece = {0};
    int r;

    if (peer->req->next_content == NULL)
        return add_part(peer, buf, budget);
    r = peer->req->next_content(peer->req, &piece, budget);
    if (r < 0) {
        enter(peer, DONE); // without the last chunk, so that the client sees that it is cut
        return WZ_END;
    }
    if (peer->chunked)
        wz_http_add_chunk(buf, piece.ptr, piece.len);
    else
        wz_buf_add_slice(buf, wz_buf_slice(&piece));
    if (r == WZ_END) {
        if (peer->chunked)
            wz_http_add_last_chunk(buf);
        finish(peer);
    }
    return r;
}

// Begins the answer.
static void begin_answer(struct wz_peer *peer, struct wz_buf *buf)
{
    if (add_head(peer, buf))
        enter(peer, CONTENT);
    else
        finish(peer);
}

int wz_peer_output(struct wz_peer *peer, struct wz_buf *ret_buf, size_t budget)
{
    size_t before = ret_buf->len;
    int r = WZ_OK;

    wz_buf_add_slice(ret_buf, wz_buf_slice(&peer->ready));
    peer->ready.len = 0;
    while (r == WZ_OK && ret_buf->len - before < budget) {
        if (peer->state == CONTENT) {
            r = add_content(peer, ret_buf, budget - (ret_buf->len - before));
            r = r == WZ_END && peer->state != DONE ? WZ_OK : r;
        } else if (peer->state == HANDLED && peer->req->answered) {
            begin_answer(peer, ret_buf);
        } else {
            break;
        }
    }
    if (ret_buf->len > before)
        peer->since_us = wz_clock_mono_us();
    if (peer->state == DONE)
        return WZ_END;
    return ret_buf->len > before ? WZ_OK : WZ_AGAIN;
}

int wz_peer_tick(struct wz_peer *peer, int64_t now_us)
{
    int64_t age_us = now_us - peer->since_us;

    switch (peer->state) {
    case HEAD:
        if (peer->input.len == 0)
            return age_us > WZ_PEER_IDLE_US ? WZ_END : WZ_OK;
        // fall through
    case BODY:
        if (age_us > WZ_PEER_REQUEST_US)
            refuse(peer, WZ_ERR_TIMEOUT);
        return WZ_OK;
    case HANDLED:
        return WZ_OK; // whoever works on it will answer
    case CONTENT:
        return age_us > WZ_PEER_IDLE_US ? WZ_END : WZ_OK;
    case LINGER:
        return age_us > WZ_PEER_LINGER_US ? WZ_END : WZ_OK;
    case DONE: // what is on its way still gets the time that any output has
        return age_us > WZ_PEER_IDLE_US ? WZ_END : WZ_OK;
    }
    return WZ_OK;
}
