// SPDX-License-Identifier: Apache-2.0
// Owns what is said about streams as a whole.
#include "gateway/streams.h"

#include "base/codes.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/handlers.h"
#include "stream/moment.h"

static json_t *describe_time(int64_t time_ms)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    if (time_ms <= 0)
        return json_null();
    wz_moment_add_time(&text, time_ms);
    return json_stringn((const char *)text.ptr, text.len);
}

// A limit, of which 0 is none.
static json_t *describe_cap(int64_t cap) { return cap > 0 ? json_integer(cap) : json_null(); }

// How many records were removed, by reason.
static json_t *describe_removed(const struct wz_log *log)
{
    json_t *object = json_object();

    for (int i = 0; i < WZ_LOG_REASON_COUNT; i++) {
        struct wz_log_removed removed;

        wz_log_removed(log, (enum wz_log_reason)i, &removed);
        (void)json_object_set_new(object, wz_log_reason_word((enum wz_log_reason)i),
                                  json_integer(removed.records)); // our own words
    }
    return object;
}

json_t *wz_streams_describe(const struct wz_api_stream *stream)
{
    struct wz_log_info info;

    wz_log_info(stream->log, &info);
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:I, s:o, s:o, s:i, s:o, s:I, s:s}", "name",
                     stream->name, "first_offset", (json_int_t)info.first_offset, "next_offset",
                     (json_int_t)info.next_offset, "first_time", describe_time(info.first_ms),
                     "last_time", describe_time(info.last_ms), "size_bytes",
                     (json_int_t)info.size_bytes, "max_bytes", describe_cap(stream->caps.max_bytes),
                     "max_age_ms", describe_cap(stream->caps.max_age_ms), "segments",
                     info.segment_count, "removed_records", describe_removed(stream->log),
                     "damaged_batches", (json_int_t)info.damaged_batches, "state",
                     wz_err_word(wz_log_state(stream->log)));
}

json_t *wz_streams_list(const struct wz_api *api)
{
    json_t *list = json_array();

    for (size_t i = 0; i < api->parts.stream_count; i++)
        (void)json_array_append_new(list,
                                    wz_streams_describe(&api->parts.streams[i])); // never NULL
    return list;
}

// The gauges of a stream: how they are called and where they stand.
struct gauge {
    const char *name;
    const char *help;
    int64_t (*read)(const struct wz_log_info *info);
};

static int64_t read_first(const struct wz_log_info *info) { return info->first_offset; }

static int64_t read_next(const struct wz_log_info *info) { return info->next_offset; }

static int64_t read_size(const struct wz_log_info *info) { return info->size_bytes; }

static int64_t read_segments(const struct wz_log_info *info) { return info->segment_count; }

static void print_gauge(const struct gauge *gauge, const struct wz_api_stream *stream,
                        struct wz_buf *ret_buf)
{
    struct wz_log_info info;

    wz_log_info(stream->log, &info);
    wz_buf_addf(ret_buf, "%s{stream=\"%s\"} %lld\n", gauge->name, stream->name,
                (long long)gauge->read(&info));
}

// A counter of what was removed: how it is called and where it stands.
struct removal {
    const char *name;
    const char *help;
    int64_t (*read)(const struct wz_log_removed *removed);
};

static int64_t read_removed_segments(const struct wz_log_removed *removed)
{
    return removed->segments;
}

static int64_t read_removed_records(const struct wz_log_removed *removed)
{
    return removed->records;
}

static int64_t read_removed_bytes(const struct wz_log_removed *removed) { return removed->bytes; }

static void print_removed(const struct wz_api *api, struct wz_buf *ret_buf)
{
    static const struct removal removals[] = {
        {"wyze_stream_removed_segments_total", "segments removed to keep within limits",
         read_removed_segments},
        {"wyze_stream_removed_records_total", "records in them", read_removed_records},
        {"wyze_stream_removed_bytes_total", "bytes of them", read_removed_bytes},
    };

    for (size_t c = 0; c < sizeof(removals) / sizeof(removals[0]); c++) {
        wz_buf_addf(ret_buf, "# HELP %s %s\n# TYPE %s counter\n", removals[c].name,
                    removals[c].help, removals[c].name);
        for (size_t i = 0; i < api->parts.stream_count * WZ_LOG_REASON_COUNT; i++) {
            const struct wz_api_stream *stream = &api->parts.streams[i / WZ_LOG_REASON_COUNT];
            enum wz_log_reason reason = (enum wz_log_reason)(i % WZ_LOG_REASON_COUNT);
            struct wz_log_removed removed;

            wz_log_removed(stream->log, reason, &removed);
            wz_buf_addf(ret_buf, "%s{stream=\"%s\",reason=\"%s\"} %lld\n", removals[c].name,
                        stream->name, wz_log_reason_word(reason),
                        (long long)removals[c].read(&removed));
        }
    }
}

void wz_streams_print_metrics(const struct wz_api *api, struct wz_buf *ret_buf)
{
    static const struct gauge gauges[] = {
        {"wyze_stream_first_offset", "the first offset there is", read_first},
        {"wyze_stream_next_offset", "the offset that the next record gets", read_next},
        {"wyze_stream_size_bytes", "bytes of the stream's segments", read_size},
        {"wyze_stream_segments", "segments of the stream", read_segments},
    };

    const struct wz_api_stream journal = {.name = "journal", .log = api->parts.journal};

    for (size_t g = 0; g < sizeof(gauges) / sizeof(gauges[0]) && api->parts.stream_count > 0; g++) {
        wz_buf_addf(ret_buf, "# HELP %s %s\n# TYPE %s gauge\n", gauges[g].name, gauges[g].help,
                    gauges[g].name);
        for (size_t i = 0; i < api->parts.stream_count; i++)
            print_gauge(&gauges[g], &api->parts.streams[i], ret_buf);
        if (journal.log != NULL)
            print_gauge(&gauges[g], &journal, ret_buf);
    }
    if (api->parts.stream_count > 0)
        print_removed(api, ret_buf);
}

void wz_streams_tell_damage(const char *name, const struct wz_reader *reader, int64_t *told)
{
    static int64_t log_us; // the gateway's thread alone comes here
    int64_t damaged = wz_reader_damaged(reader);

    if (damaged <= *told || !wz_log_allow(&log_us))
        return;
    *told = damaged;
    WZ_LOG(WZ_LOG_WARN, "stream.damaged", WZ_F_STR("stream", name),
           WZ_F_INT("damaged_batches", damaged),
           WZ_F_STR("what", "their records are not served; wyze log verify names the places"));
}

const struct wz_api_stream *wz_streams_of_request(struct wz_request *req)
{
    const char *name = wz_request_capture(req, 0);
    const struct wz_api_stream *stream = wz_api_stream_find(req->api, name);
    WZ_AUTO(wz_buf_release) struct wz_buf names = {0};
    struct wz_problem problem;

    if (stream != NULL)
        return stream;
    for (size_t i = 0; i < req->api->parts.stream_count; i++)
        wz_buf_addf(&names, "%s%s", i > 0 ? ", " : "", req->api->parts.streams[i].name);
    (void)wz_problem_set(&problem, WZ_ERR_NOT_FOUND, WZ_CODE_STREAM_NOT_FOUND,
                         "There is no stream \"%.64s\".", name);
    wz_problem_fix(&problem, "Streams: %s.", names.len > 0 ? wz_buf_str(&names) : "none");
    wz_answer_problem(req, 404, &problem);
    return NULL;
}

void wz_handle_streams(struct wz_request *req)
{
    wz_answer_json(req, 200, json_pack("{s:o}", "items", wz_streams_list(req->api)));
}

void wz_handle_stream(struct wz_request *req)
{
    const struct wz_api_stream *stream = wz_streams_of_request(req);

    if (stream != NULL)
        wz_answer_json(req, 200, wz_streams_describe(stream));
}
