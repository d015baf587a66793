// SPDX-License-Identifier: Apache-2.0
// Owns the handlers that say how the program is.
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "gateway/answer.h"
#include "gateway/handlers.h"
#include "gateway/openapi.h"
#include "gateway/streams.h"
#include "stream/moment.h"
#include "stream/space.h"

void wz_handle_livez(struct wz_request *req)
{
    wz_answer_text(req, 200, "text/plain; charset=utf-8", WZ_SLICE_LIT("ok\n"));
}

// Adds why nothing is being made durable on a stream, if so.
static void add_reason(json_t *reasons, const char *name, const struct wz_log *log)
{
    int state = wz_log_state(log);

    if (state != WZ_OK)
        (void)json_array_append_new(reasons, json_pack("{s:s, s:s, s:s}", "stream", name, "state",
                                                       wz_err_word(state), "reason",
                                                       wz_err_text(state))); // our own texts
}

// Adds that no messages are taken in, if so.
static void add_low(json_t *reasons, const struct wz_api_parts *parts)
{
    if (wz_space_low(parts->space))
        (void)json_array_append_new(
            reasons, json_pack("{s:s, s:s, s:s}", "stream", "all", "state", "low-space", "reason",
                               "no messages are taken in: less than streams.min_free is free on "
                               "the disk")); // our own texts
}

// Ready means: what is published now becomes durable.
void wz_handle_readyz(struct wz_request *req)
{
    const struct wz_api_parts *parts = &req->api->parts;
    json_t *reasons = json_array();
    bool ready;

    for (size_t i = 0; i < parts->stream_count; i++)
        add_reason(reasons, parts->streams[i].name, parts->streams[i].log);
    if (parts->journal != NULL)
        add_reason(reasons, "journal", parts->journal);
    add_low(reasons, parts);
    ready = json_array_size(reasons) == 0;
    wz_answer_json(req, ready ? 200 : 503,
                   json_pack("{s:b, s:o}", "ready", ready, "reasons", reasons));
}

void wz_handle_metrics(struct wz_request *req)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    wz_metrics_print(&text);
    wz_streams_print_metrics(req->api, &text);
    wz_answer_text(req, 200, "text/plain; version=0.0.4; charset=utf-8", wz_buf_slice(&text));
}

void wz_handle_openapi(struct wz_request *req)
{
    wz_answer_text(req, 200, "application/json", wz_slice(wz_openapi_json, wz_openapi_json_len));
}

void wz_handle_version(struct wz_request *req)
{
    wz_answer_json(req, 200, json_pack("{s:s}", "version", WZ_VERSION));
}

static json_t *list_counters(void)
{
    static const char *const names[] = {
#define WZ_METRICS_NAME(id, name, type, help) name,
        WZ_METRICS_TABLE(WZ_METRICS_NAME)
#undef WZ_METRICS_NAME
    };
    json_t *counters = json_object();

    for (size_t i = 0; i < WZ_METRIC_COUNT; i++)
        (void)json_object_set_new(counters, names[i],
                                  json_integer(wz_metric_get((enum wz_metric)i))); // our own names
    return counters;
}

static json_t *board_section(const struct wz_api *api, const char *section)
{
    return api->parts.board != NULL ? wz_board_section(api->parts.board, section) : json_object();
}

// One entry; an empty object when there is none.
static json_t *board_entry(const struct wz_api *api, const char *section, const char *name)
{
    json_t *entry = api->parts.board != NULL ? wz_board_get(api->parts.board, section, name) : NULL;

    return entry != NULL ? entry : json_object();
}

// The journal as a stream is described, and how much of it counts; null when there is none.
static json_t *describe_journal(const struct wz_api *api)
{
    const struct wz_api_stream stream = {.name = "journal", .log = api->parts.journal};
    json_t *object;

    if (stream.log == NULL)
        return json_null();
    object = wz_streams_describe(&stream);
    (void)json_object_set_new(object, "live_bytes",
                              json_integer(wz_metric_get(WZ_METRIC_JOURNAL_LIVE))); // our own name
    return object;
}

void wz_handle_status(struct wz_request *req)
{
    const struct wz_api *api = req->api;
    WZ_AUTO(wz_buf_release) struct wz_buf started = {0};
    int64_t uptime_ms = (wz_clock_mono_us() - api->parts.started_us) / 1000;

    wz_moment_add_time(&started, api->parts.started_ms);
    wz_answer_json(req, 200,
                   json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
                             WZ_VERSION, "started", wz_buf_str(&started), "uptime_ms",
                             (json_int_t)uptime_ms, "listeners", board_section(api, "listeners"),
                             "streams", wz_streams_list(api), "journal", describe_journal(api),
                             "scripts", board_section(api, "scripts"), "passthrough",
                             board_section(api, "passthrough"), "inbox",
                             board_entry(api, "inbox", "state"), "counters", list_counters()));
}
