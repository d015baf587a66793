// SPDX-License-Identifier: Apache-2.0
// Owns the reading of records through the API for a script on trial. One connection serves the
// range and the looks back in turns, so the range is read in pages.
#include "cli/recorded.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codes.h"
#include "base/mem.h"
#include "engine/lane.h"
#include "engine/script_document.h"
#include "gateway/uri.h"
#include "stream/moment.h"
#include "topic/pattern.h"
#include "json/scan.h"
#include "json/text.h"

// Records of a page.
#define PAGE_RECORDS 500

// What a look back gives at the most, as the engine has it (src/engine/query.c).
#define LOOK_BACK_BYTES ((size_t)16 * 1024 * 1024)

// Later than any time that the API takes.
#define TIME_MAX_MS INT64_C(253402300799999)

static const char *const stream_names[] = {
    [WZ_SCRIPT_RAW] = "raw-stream",
    [WZ_SCRIPT_PROCESSED] = "processed-stream",
};

// The value of the member NAME (with its quotes) of an object; empty when it is not there.
static struct wz_slice find_member(struct wz_slice object, struct wz_slice name)
{
    struct wz_json_scan scan;
    struct wz_json_members walk;
    struct wz_json_member member;

    wz_json_scan(object, &scan);
    walk = (struct wz_json_members){.rest = scan.members};
    while (scan.kind == WZ_JSON_OBJECT && wz_json_members_next(&walk, &member)) {
        if (wz_slice_eq(member.name, name))
            return member.value;
    }
    return wz_slice(NULL, 0);
}

// The text of a JSON string; empty for anything else.
static void add_text(struct wz_buf *buf, struct wz_slice value)
{
    if (value.len >= 2 && value.ptr[0] == '"')
        wz_json_add_unescaped(buf, value);
}

static int64_t number_in(struct wz_slice text)
{
    WZ_AUTO(wz_buf_release) struct wz_buf copy = {0};

    wz_buf_add_slice(&copy, text);
    return strtoll(wz_buf_str(&copy), NULL, 10); // 0 for what is no number
}

static int64_t time_in(struct wz_slice value)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_moment moment;

    add_text(&text, value);
    if (wz_moment_parse(wz_buf_slice(&text), 0, &moment, NULL) < 0)
        return 0;
    return moment.kind == WZ_MOMENT_TIME ? moment.value : 0;
}

static uint8_t hops_in(struct wz_slice headers)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    add_text(&text, find_member(headers, WZ_SLICE_LIT("\"hops\"")));
    return (uint8_t)number_in(wz_buf_slice(&text));
}

// Reads a line of the API; its topic goes into TOPIC. False when it holds no whole record.
static bool read_line(struct wz_slice line, uint8_t stream, struct wz_buf *topic,
                      struct wz_frame_record *ret_record)
{
    struct wz_slice body = find_member(line, WZ_SLICE_LIT("\"body\""));
    struct wz_json_scan scan;

    topic->len = 0;
    add_text(topic, find_member(line, WZ_SLICE_LIT("\"topic\"")));
    wz_json_scan(body, &scan);
    if (scan.kind != WZ_JSON_OBJECT || topic->len == 0 || topic->len > WZ_FRAME_TOPIC_MAX)
        return false;
    *ret_record = (struct wz_frame_record){
        .stream = stream,
        .hops = hops_in(find_member(line, WZ_SLICE_LIT("\"headers\""))),
        .lane = wz_lane_of(wz_buf_slice(topic)),
        .offset = number_in(find_member(line, WZ_SLICE_LIT("\"offset\""))),
        .append_ms = time_in(find_member(line, WZ_SLICE_LIT("\"append_time\""))),
        .topic = wz_buf_slice(topic),
        .body = body,
    };
    return true;
}

// Asks once more over a new connection when the old one is gone: the server closes one on which
// nothing was asked while a script had much to do.
static int ask(struct wz_cli *cli, const char *target, struct wz_reply *ret_reply)
{
    bool old = cli->client != NULL;
    int r = wz_cli_ask(cli, "GET", wz_slice(NULL, 0), ret_reply, target);

    if (r != WZ_ERR_UNREACHABLE || !old)
        return r;
    wz_client_close(cli->client);
    cli->client = NULL;
    cli->problem = (struct wz_problem){0};
    return wz_cli_ask(cli, "GET", wz_slice(NULL, 0), ret_reply, target);
}

static void add_target(struct wz_buf *target, uint8_t stream, const char *from)
{
    wz_buf_addf(target, "/api/v1/streams/%s/records?from=", stream_names[stream]);
    wz_uri_encode(target, wz_slice_str(from));
}

// The offset of the first record at or after MOMENT, as the API has it.
static int find_offset(struct wz_cli *cli, uint8_t stream, const char *moment, int64_t *ret_offset)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    struct wz_reply reply = {0};
    json_t *page = NULL;
    json_t *first;
    const char *next;
    int r;

    add_target(&target, stream, moment);
    wz_buf_add_str(&target, "&limit=1&format=json");
    r = ask(cli, wz_buf_str(&target), &reply);
    if (r == WZ_OK)
        page = wz_client_json(&reply, &cli->problem);
    wz_client_release_reply(&reply);
    if (r < 0)
        return r;
    first = json_array_get(json_object_get(page, "items"), 0);
    next = json_string_value(json_object_get(page, "next"));
    if (first != NULL)
        *ret_offset = json_integer_value(json_object_get(first, "offset"));
    else if (next != NULL && next[0] == '@')
        *ret_offset = strtoll(next + 1, NULL, 10);
    else
        r = WZ_ERR_PROTOCOL;
    json_decref(page);
    return r;
}

// Asks for lines; a LIMIT that makes the answer too long is lowered.
static int ask_lines(struct wz_cli *cli, const char *target, int *limit, struct wz_buf *ret_lines)
{
    for (;;) {
        WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
        struct wz_reply reply = {0};
        int r;

        wz_buf_addf(&text, "%s&limit=%d", target, *limit);
        r = ask(cli, wz_buf_str(&text), &reply);
        if (r == WZ_OK) {
            ret_lines->len = 0;
            wz_buf_add_slice(ret_lines, wz_buf_slice(&reply.content));
        }
        wz_client_release_reply(&reply);
        if (r != WZ_ERR_TOO_LARGE || *limit <= 1)
            return r;
        *limit = *limit / 4 > 0 ? *limit / 4 : 1;
        cli->problem = (struct wz_problem){0};
        wz_client_close(cli->client); // the rest of the answer is on its way in it
        cli->client = NULL;
    }
}

// Takes a line off LINES at POS; false at their end.
static bool take_line(const struct wz_buf *lines, size_t *pos, struct wz_slice *ret_line)
{
    struct wz_slice rest;
    const uint8_t *end;

    if (*pos == lines->len)
        return false;
    rest = wz_slice(lines->ptr + *pos, lines->len - *pos);
    end = memchr(rest.ptr, '\n', rest.len);
    if (end == NULL)
        return false;
    *ret_line = wz_slice(rest.ptr, (size_t)(end - rest.ptr));
    *pos += ret_line->len + 1;
    return true;
}

int wz_recorded_open(struct wz_recorded *recorded, const struct wz_recorded_options *options)
{
    int r;

    *recorded = (struct wz_recorded){.options = *options, .limit = PAGE_RECORDS};
    r = find_offset(options->cli, options->stream, options->from, &recorded->next);
    if (r == WZ_OK)
        r = find_offset(options->cli, options->stream, options->to, &recorded->end);
    return r;
}

// Reads the next page; WZ_END when there is none.
static int read_page(struct wz_recorded *recorded)
{
    const struct wz_recorded_options *options = &recorded->options;
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    char from[32];

    if (recorded->next >= recorded->end)
        return WZ_END;
    (void)snprintf(from, sizeof(from), "@%lld", (long long)recorded->next);
    add_target(&target, options->stream, from);
    wz_buf_addf(&target, "&to=@%lld", (long long)recorded->end);
    if (json_array_size(options->patterns) == 1) {
        wz_buf_add_str(&target, "&pattern=");
        wz_uri_encode(&target,
                      wz_slice_str(json_string_value(json_array_get(options->patterns, 0))));
    }
    recorded->pos = 0;
    recorded->page.len = 0;
    return ask_lines(options->cli, wz_buf_str(&target), &recorded->limit, &recorded->page);
}

static bool matches(const json_t *patterns, struct wz_slice topic)
{
    json_t *pattern;
    size_t i;

    json_array_foreach(patterns, i, pattern)
    {
        if (wz_pattern_match(&wz_topic_amqp, wz_slice_str(json_string_value(pattern)), topic))
            return true;
    }
    return false;
}

int wz_recorded_next(struct wz_recorded *recorded, struct wz_frame_record *ret_record)
{
    struct wz_slice line;

    for (;;) {
        if (!take_line(&recorded->page, &recorded->pos, &line)) {
            int64_t before = recorded->next;
            int r = read_page(recorded);

            if (r != WZ_OK)
                return r;
            if (recorded->page.len == 0)
                recorded->next = recorded->end > before ? recorded->end : before; // nothing is left
            continue;
        }
        recorded->next = number_in(find_member(line, WZ_SLICE_LIT("\"offset\""))) + 1;
        if (read_line(line, recorded->options.stream, &recorded->topic, ret_record) &&
            matches(recorded->options.patterns, ret_record->topic)) {
            recorded->line = line;
            return WZ_OK;
        }
    }
}

int64_t wz_recorded_account(const struct wz_recorded *recorded)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_slice headers = find_member(recorded->line, WZ_SLICE_LIT("\"headers\""));

    add_text(&text, find_member(headers, WZ_SLICE_LIT("\"commit\"")));
    return number_in(wz_buf_slice(&text)); // up to the first dot
}

// The offset that a look back begins below: the record at hand, without one where the walk stands,
// and no later than UNTIL.
static int find_before(struct wz_recorded *recorded, const struct wz_frame_query *asked,
                       int64_t *ret_before)
{
    WZ_AUTO(wz_buf_release) struct wz_buf until = {0};
    int64_t before = asked->before;
    int64_t position;
    int r = WZ_OK;

    if (before == INT64_MAX && asked->stream == recorded->options.stream)
        before = recorded->next;
    if (before == INT64_MAX)
        r = find_offset(recorded->options.cli, asked->stream, "end", &before);
    if (r == WZ_OK && asked->until_ms > 0) {
        wz_moment_add_time(&until, asked->until_ms < TIME_MAX_MS ? asked->until_ms : TIME_MAX_MS);
        r = find_offset(recorded->options.cli, asked->stream, wz_buf_str(&until), &position);
        if (r == WZ_OK && position < before)
            before = position;
    }
    *ret_before = before;
    return r;
}

// Asks for the records, newest first.
static int ask_back(struct wz_recorded *recorded, const struct wz_frame_query *asked,
                    struct wz_buf *ret_lines)
{
    WZ_AUTO(wz_buf_release) struct wz_buf target = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf since = {0};
    char from[32];
    int limit = (int)asked->limit;
    int64_t before;
    int r = find_before(recorded, asked, &before);

    if (r < 0)
        return r;
    (void)snprintf(from, sizeof(from), "@%lld", (long long)before);
    add_target(&target, asked->stream, from);
    wz_buf_add_str(&target, "&direction=backward&pattern=");
    wz_uri_encode(&target, asked->pattern);
    if (asked->since_ms > 0) {
        wz_moment_add_time(&since, asked->since_ms < TIME_MAX_MS ? asked->since_ms : TIME_MAX_MS);
        wz_buf_add_str(&target, "&to=");
        wz_uri_encode(&target, wz_buf_slice(&since));
    }
    return ask_lines(recorded->options.cli, wz_buf_str(&target), &limit, ret_lines);
}

// Puts the records of the lines into an open FOUND frame, the last line first.
static uint32_t put_found(const struct wz_buf *lines, uint8_t stream, struct wz_buf *frame)
{
    WZ_AUTO(wz_buf_release) struct wz_buf kept = {0}; // struct wz_slice of each line
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    struct wz_frame_record record;
    struct wz_slice line;
    size_t bytes = 0;
    size_t pos = 0;
    uint32_t count = 0;

    while (bytes < LOOK_BACK_BYTES && take_line(lines, &pos, &line)) {
        bytes += line.len;
        wz_buf_add(&kept, &line, sizeof(line));
    }
    for (size_t at = kept.len; at > 0; at -= sizeof(line)) {
        memcpy(&line, kept.ptr + at - sizeof(line), sizeof(line));
        if (!read_line(line, stream, &topic, &record))
            continue;
        wz_frame_put_record(frame, &record);
        count++;
    }
    return count;
}

void wz_recorded_look_back(struct wz_recorded *recorded, const struct wz_frame_query *asked,
                           struct wz_buf *ret_frame)
{
    WZ_AUTO(wz_buf_release) struct wz_buf lines = {0};
    struct wz_cli *cli = recorded->options.cli;
    size_t start;
    int r = WZ_ERR_PROTOCOL;

    if (asked->stream < WZ_SCRIPT_STREAM_COUNT && asked->limit > 0)
        r = ask_back(recorded, asked, &lines);
    if (r < 0) {
        wz_frame_put_not_found(ret_frame, cli->problem.what[0] != '\0'
                                              ? wz_slice_str(cli->problem.what)
                                              : wz_slice_str(wz_err_text(r)));
        cli->problem = (struct wz_problem){0}; // the script is told
        return;
    }
    start = wz_frame_found_open(ret_frame);
    wz_frame_found_close(ret_frame, start, put_found(&lines, asked->stream, ret_frame));
}

void wz_recorded_release(struct wz_recorded *recorded)
{
    wz_buf_release(&recorded->page);
    wz_buf_release(&recorded->topic);
}
