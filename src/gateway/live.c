// SPDX-License-Identifier: Apache-2.0
// Owns live reading: server-sent events (HTML Living Standard, section 9.2). What a client has not
// taken yet stays in the log, where its reader stands, never in memory; so a client may be any time
// behind, unless it says by max_lag that it would rather miss records than be late.
#include "base/clock.h"
#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/handlers.h"
#include "gateway/record_json.h"
#include "gateway/streams.h"
#include "stream/moment.h"

// A client that has heard nothing for this long gets a comment.
#define WZ_LIVE_SIGN_US (15 * 1000000)

struct live {
    const char *stream; // its name
    struct wz_log *log;
    struct wz_reader *reader;
    struct wz_buf pattern;
    int64_t position; // what the client knows to go on from
    int64_t max_lag;  // 0: none
    int64_t sign_us;  // when the client was last sent something
    int64_t damaged_told;
    bool greeted;
};

static void free_live(void *source)
{
    struct live *live = source;

    wz_reader_close(live->reader);
    wz_buf_release(&live->pattern);
    wz_free(live);
}

static int open_reader(struct live *live)
{
    struct wz_reader_options options = {.position = live->position,
                                        .pattern = wz_buf_slice(&live->pattern)};

    wz_reader_close(live->reader);
    live->reader = NULL;
    live->damaged_told = 0;
    return wz_reader_open(live->log, &options, &live->reader);
}

// Tells of records that the client will not get: those below the first one there is, and, beyond
// max_lag, those that it is late for.
static int skip(struct live *live, struct wz_buf *buf)
{
    struct wz_log_info info;
    int64_t to = live->position;

    wz_log_info(live->log, &info);
    if (to < info.first_offset)
        to = info.first_offset;
    if (live->max_lag > 0 && info.next_offset - to > live->max_lag)
        to = info.next_offset;
    if (to == live->position)
        return WZ_OK;
    wz_buf_addf(buf, "event: gap\nid: %lld\ndata: {\"from\":%lld,\"to\":%lld,\"skipped\":%lld}\n\n",
                (long long)to, (long long)live->position, (long long)to,
                (long long)(to - live->position));
    live->position = to;
    return open_reader(live);
}

// Reads as many records as fit the budget.
static int add_events(struct live *live, struct wz_buf *buf, size_t budget)
{
    while (buf->len < budget) {
        struct wz_record record;
        int r = wz_reader_next(live->reader, &record);

        wz_streams_tell_damage(live->stream, live->reader, &live->damaged_told);
        if (r == WZ_END)
            live->position = wz_reader_position(live->reader);
        if (r != WZ_OK)
            return r;
        live->position = record.offset + 1;
        wz_buf_addf(buf, "id: %lld\ndata: ", (long long)live->position);
        wz_record_json_add(buf, &record);
        wz_buf_add_str(buf, "\n\n");
    }
    return WZ_OK;
}

static int next_events(struct wz_request *req, struct wz_buf *ret_buf, size_t budget)
{
    struct live *live = req->source;
    int64_t now_us = wz_clock_mono_us();
    int r;

    if (!live->greeted)
        wz_buf_add_str(ret_buf, "retry: 1000\n\n");
    live->greeted = true;
    r = skip(live, ret_buf);
    if (r == WZ_OK)
        r = add_events(live, ret_buf, budget);
    if (r < 0)
        return r;
    // An event without data is not dispatched, but its id counts: the client resumes from there.
    if (ret_buf->len == 0 && now_us - live->sign_us >= WZ_LIVE_SIGN_US)
        wz_buf_addf(ret_buf, ": still here\nid: %lld\n\n", (long long)live->position);
    if (ret_buf->len > 0)
        live->sign_us = now_us;
    return r == WZ_END ? WZ_AGAIN : WZ_OK;
}

// A position given as plain digits, as in Last-Event-ID.
static bool parse_id(struct wz_slice s, int64_t *ret_position)
{
    int64_t position = 0;

    if (s.len == 0 || s.len > 18) // more digits would overflow
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        position = position * 10 + (s.ptr[i] - '0');
    }
    *ret_position = position;
    return true;
}

static int read_position(struct wz_request *req, struct live *live, struct wz_problem *ret_problem)
{
    struct wz_slice id = wz_http_field(&req->head, "Last-Event-ID");
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_moment moment = {.kind = WZ_MOMENT_END};
    int r;

    if (id.len > 0) {
        if (parse_id(id, &live->position))
            return WZ_OK;
        return wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_STREAM_POSITION,
                              "The Last-Event-ID is not one that was given out here.");
    }
    r = wz_request_param(req, "from", &text, ret_problem);
    if (r == WZ_OK)
        r = wz_moment_parse(wz_buf_slice(&text), wz_clock_wall_ms(), &moment, ret_problem);
    if (r < 0 && r != WZ_ERR_NOT_FOUND)
        return r;
    // An offset stays as it is, also below the first record: the client then hears of the gap.
    if (moment.kind == WZ_MOMENT_OFFSET) {
        live->position = moment.value;
        return WZ_OK;
    }
    r = wz_moment_find(&moment, live->log, &live->position);
    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO, "The stream cannot be read: %s.",
                              wz_err_text(r));
    return WZ_OK;
}

static int read_max_lag(struct wz_request *req, struct live *live, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    int r = wz_request_param(req, "max_lag", &text, ret_problem);

    if (r == WZ_ERR_NOT_FOUND)
        return WZ_OK;
    if (r < 0)
        return r;
    if (parse_id(wz_buf_slice(&text), &live->max_lag) && live->max_lag > 0)
        return WZ_OK;
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                         "The parameter \"max_lag\" is not a number of records.");
    wz_problem_fix(ret_problem, "Give a number from 1 on, or leave it out.");
    return WZ_ERR_INVALID;
}

static int prepare(struct wz_request *req, struct live *live, struct wz_problem *ret_problem)
{
    int r = read_position(req, live, ret_problem);

    if (r == WZ_OK)
        r = read_max_lag(req, live, ret_problem);
    if (r == WZ_OK) {
        r = wz_request_param(req, "pattern", &live->pattern, ret_problem);
        r = r == WZ_ERR_NOT_FOUND ? WZ_OK : r;
    }
    if (r < 0)
        return r;
    r = open_reader(live);
    if (r < 0)
        (void)wz_problem_set(ret_problem, r, WZ_CODE_STREAM_POSITION,
                             "The stream cannot be read so: %s.", wz_err_text(r));
    if (r == WZ_ERR_INVALID)
        wz_problem_fix(ret_problem,
                       "In a pattern words are joined by '.', '*' stands for one word, "
                       "'#' for any number.");
    return r;
}

void wz_handle_live(struct wz_request *req)
{
    const struct wz_api_stream *stream = wz_streams_of_request(req);
    struct wz_problem problem;
    struct live *live;
    int r;

    if (stream == NULL)
        return;
    live = wz_zalloc(1, sizeof(*live));
    live->stream = stream->name;
    live->log = stream->log;
    live->sign_us = wz_clock_mono_us();
    r = prepare(req, live, &problem);
    if (r < 0) {
        wz_answer_problem(req, r == WZ_ERR_INVALID ? 400 : 0, &problem);
        free_live(live);
        return;
    }
    wz_list_push(&req->api->live, &req->live);
    wz_answer_content(req, "text/event-stream", next_events, live, free_live);
}
