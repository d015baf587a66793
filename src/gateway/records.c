// SPDX-License-Identifier: Apache-2.0
// Owns playback: a range of a stream as lines or as a page. Each request reads with a reader of its
// own, as much at a time as the connection has room for.
#include "base/clock.h"
#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/handlers.h"
#include "gateway/record_json.h"
#include "gateway/streams.h"
#include "stream/moment.h"

#define WZ_PAGE_LIMIT 100               // records of a page when not said
#define WZ_PAGE_LIMIT_MAX 10000         // records of a page at the most
#define WZ_PAGE_BYTES (4 * 1024 * 1024) // a page ends once it is longer than this

// A range that is being read: offsets from LOW to below HIGH.
struct range {
    const char *stream; // its name
    struct wz_reader *reader;
    enum wz_direction direction;
    int64_t low;
    int64_t high;
    int64_t left; // records that may still come; -1: any number
    int64_t next; // where a next range goes on
    int64_t damaged_told;
};

static void free_range(void *source)
{
    struct range *range = source;

    if (range->reader != NULL)
        wz_streams_tell_damage(range->stream, range->reader, &range->damaged_told);
    wz_reader_close(range->reader);
    wz_free(range);
}

// The next record of the range; WZ_END when there is none.
static int next_record(struct range *range, struct wz_record *ret_record)
{
    int r;

    if (range->left == 0)
        return WZ_END;
    r = wz_reader_next(range->reader, ret_record);
    if (r == WZ_OK && range->direction == WZ_FORWARD && ret_record->offset >= range->high)
        r = WZ_END;
    if (r == WZ_OK && range->direction == WZ_BACKWARD && ret_record->offset < range->low)
        r = WZ_END;
    if (r != WZ_OK) {
        range->next = range->direction == WZ_FORWARD ? range->high : range->low;
        return r;
    }
    if (range->left > 0)
        range->left--;
    range->next = ret_record->offset + (range->direction == WZ_FORWARD ? 1 : 0);
    return WZ_OK;
}

static int next_lines(struct wz_request *req, struct wz_buf *ret_buf, size_t budget)
{
    struct range *range = req->source;

    while (ret_buf->len < budget) {
        struct wz_record record;
        int r = next_record(range, &record);

        if (r != WZ_OK)
            return r;
        wz_record_json_add(ret_buf, &record);
        wz_buf_add_byte(ret_buf, '\n');
    }
    return WZ_OK;
}

// Answers with one JSON object that holds the records and where to go on.
static void answer_page(struct wz_request *req, struct range *range)
{
    struct wz_buf *text = &req->content; // which may be long, so it is not copied
    struct wz_problem problem;
    struct wz_record record;
    bool first = true;
    int r = WZ_OK;

    wz_buf_add_str(text, "{\"items\":[");
    while (text->len < WZ_PAGE_BYTES && (r = next_record(range, &record)) == WZ_OK) {
        if (!first)
            wz_buf_add_byte(text, ',');
        first = false;
        wz_record_json_add(text, &record);
    }
    if (r < 0) {
        wz_buf_release(text);
        (void)wz_problem_set(&problem, r, WZ_CODE_STREAM_IO, "The stream cannot be read: %s.",
                             wz_err_text(r));
        wz_answer_problem(req, 0, &problem);
    } else {
        wz_buf_addf(text, "],\"next\":\"@%lld\",\"more\":%s}\n", (long long)range->next,
                    r == WZ_OK || range->left == 0 ? "true" : "false");
        wz_answer_text(req, 200, "application/json", wz_slice(NULL, 0));
    }
    free_range(range);
}

static int refuse(struct wz_problem *ret_problem, const char *what, const char *fix)
{
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST, "%s", what);
    wz_problem_fix(ret_problem, "%s", fix);
    return WZ_ERR_INVALID;
}

// One of two words as a parameter; RET_SECOND is left alone when it is not given.
static int read_choice(struct wz_request *req, const char *name, const char *const words[2],
                       bool *ret_second, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    int r = wz_request_param(req, name, &text, ret_problem);

    if (r == WZ_ERR_NOT_FOUND)
        return WZ_OK;
    if (r < 0)
        return r;
    *ret_second = strcmp(wz_buf_str(&text), words[1]) == 0;
    if (*ret_second || strcmp(wz_buf_str(&text), words[0]) == 0)
        return WZ_OK;
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                         "The parameter \"%s\" is neither %s nor %s.", name, words[0], words[1]);
    return WZ_ERR_INVALID;
}

// A position as a parameter, in the place of UNSAID.
static int read_moment(struct wz_request *req, const char *name, enum wz_moment_kind unsaid,
                       struct wz_moment *ret_moment, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    int r = wz_request_param(req, name, &text, ret_problem);

    *ret_moment = (struct wz_moment){.kind = unsaid};
    if (r == WZ_ERR_NOT_FOUND)
        return WZ_OK;
    if (r < 0)
        return r;
    r = wz_moment_parse(wz_buf_slice(&text), wz_clock_wall_ms(), ret_moment, ret_problem);
    if (r < 0)
        wz_problem_where(ret_problem, "parameter %s", name);
    return r;
}

static int read_limit(struct wz_request *req, bool page, int64_t *ret_limit,
                      struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    int r = wz_request_param(req, "limit", &text, ret_problem);
    char *end;
    long long limit;

    *ret_limit = page ? WZ_PAGE_LIMIT : -1;
    if (r == WZ_ERR_NOT_FOUND)
        return WZ_OK;
    if (r < 0)
        return r;
    limit = strtoll(wz_buf_str(&text), &end, 10);
    // A number begins with a digit; strtoll would read over blanks and a sign.
    if (text.len == 0 || text.ptr[0] < '0' || text.ptr[0] > '9' || *end != '\0' || text.len > 15 ||
        limit < 1 || (page && limit > WZ_PAGE_LIMIT_MAX))
        return refuse(ret_problem, "The parameter \"limit\" is not valid.",
                      "Give a number from 1 on, for a JSON page at most 10000.");
    *ret_limit = limit;
    return WZ_OK;
}

// Reads the range that the request asks for.
static int read_range(struct wz_request *req, struct wz_log *log, struct range *range,
                      struct wz_problem *ret_problem)
{
    static const char *const directions[] = {"forward", "backward"};
    bool backward = false;
    struct wz_moment from;
    struct wz_moment to;
    int64_t start;
    int64_t stop;
    int r = read_choice(req, "direction", directions, &backward, ret_problem);

    if (r == WZ_OK)
        r = read_moment(req, "from", backward ? WZ_MOMENT_END : WZ_MOMENT_FIRST, &from,
                        ret_problem);
    if (r == WZ_OK)
        r = read_moment(req, "to", backward ? WZ_MOMENT_FIRST : WZ_MOMENT_END, &to, ret_problem);
    if (r < 0)
        return r;
    range->direction = backward ? WZ_BACKWARD : WZ_FORWARD;
    r = wz_moment_find(&from, log, &start);
    if (r == WZ_OK)
        r = wz_moment_find(&to, log, &stop);
    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO, "The stream cannot be read: %s.",
                              wz_err_text(r));
    range->low = backward ? stop : start;
    range->high = backward ? start : stop;
    range->next = start;
    return WZ_OK;
}

static int open_reader(struct wz_request *req, struct wz_log *log, struct range *range,
                       struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf pattern = {0};
    struct wz_reader_options options = {.direction = range->direction};
    int r = wz_request_param(req, "pattern", &pattern, ret_problem);

    if (r < 0 && r != WZ_ERR_NOT_FOUND)
        return r;
    options.pattern = wz_buf_slice(&pattern);
    options.position = range->direction == WZ_FORWARD ? range->low : range->high;
    r = wz_reader_open(log, &options, &range->reader);
    if (r == WZ_ERR_INVALID)
        return refuse(ret_problem, "The parameter \"pattern\" is not a topic pattern.",
                      "Words are joined by '.', '*' stands for one word, '#' for any number.");
    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO, "The stream cannot be read: %s.",
                              wz_err_text(r));
    return WZ_OK;
}

// Whether a page is wanted: said by the parameter format, else by Accept.
static int read_format(struct wz_request *req, bool *ret_page, struct wz_problem *ret_problem)
{
    static const char *const formats[] = {"ndjson", "json"};
    struct wz_slice accept = wz_http_field(&req->head, "Accept");
    struct wz_slice json = WZ_SLICE_LIT("application/json");

    *ret_page = accept.len > 0 && memmem(accept.ptr, accept.len, json.ptr, json.len) != NULL;
    return read_choice(req, "format", formats, ret_page, ret_problem);
}

void wz_handle_records(struct wz_request *req)
{
    const struct wz_api_stream *stream = wz_streams_of_request(req);
    struct wz_problem problem;
    struct range *range;
    bool page = false;
    int r;

    if (stream == NULL)
        return;
    range = wz_zalloc(1, sizeof(*range));
    range->stream = stream->name;
    r = read_format(req, &page, &problem);
    if (r == WZ_OK)
        r = read_limit(req, page, &range->left, &problem);
    if (r == WZ_OK)
        r = read_range(req, stream->log, range, &problem);
    if (r == WZ_OK)
        r = open_reader(req, stream->log, range, &problem);
    if (r < 0) {
        wz_answer_problem(req, r == WZ_ERR_INVALID ? 400 : 0, &problem);
        free_range(range);
    } else if (page) {
        answer_page(req, range);
    } else {
        wz_answer_content(req, "application/x-ndjson", next_lines, range, free_range);
    }
}
