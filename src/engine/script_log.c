// SPDX-License-Identifier: Apache-2.0
// Owns the rate at which a script fills the program's log.
#include "engine/script_log.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "json/text.h"

#define WZ_SECOND_US 1000000

static const char *const source_words[] = {"print", "stderr", "log", "engine"};

#define SOURCE_ENGINE 3

// Puts a record on script-log, or counts one that is too many, or that the stream does not take.
static void put_record(struct wz_script_log *log, int source, enum wz_severity severity,
                       struct wz_slice text, const struct wz_cause *cause)
{
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    struct wz_record_parts parts = {.key = log->egress->script, .value_count = 1};
    int64_t offset;

    if (++log->record_count > WZ_SCRIPT_LOG_RECORDS) {
        log->dropped_count++;
        return;
    }
    wz_buf_addf(&value,
                "{\"severity\":\"%s\",\"source\":\"%s\",\"message\":", wz_severity_word(severity),
                source_words[source]);
    wz_json_add_string(&value, text);
    if (cause->id_len > 0) {
        wz_buf_add_str(&value, ",\"cause\":\"");
        wz_buf_add(&value, cause->id, cause->id_len);
        wz_buf_add_byte(&value, '"');
    }
    wz_buf_add_byte(&value, '}');
    parts.value[0] = wz_buf_slice(&value);
    if (wz_log_append(log->stream, &parts, &offset) < 0)
        log->dropped_count++;
}

static void begin_second(struct wz_script_log *log, int64_t now_us)
{
    static const struct wz_cause none;
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    log->second_us = now_us;
    log->line_count = 0;
    log->record_count = 0;
    if (log->dropped_count == 0)
        return;
    wz_buf_addf(&text, "%lld lines were dropped", (long long)log->dropped_count);
    log->dropped_count = 0;
    put_record(log, SOURCE_ENGINE, WZ_SEVERITY_WARNING, wz_buf_slice(&text), &none);
}

// Begins the next second when it is time.
static void look_at_clock(struct wz_script_log *log)
{
    int64_t now_us = wz_clock_mono_us();

    if (log->second_us != 0 && now_us - log->second_us < WZ_SECOND_US)
        return;
    if (log->line_count > WZ_SCRIPT_LOG_LINES)
        WZ_LOG(WZ_LOG_WARN, "script.log-dropped", WZ_F_SLICE("script", log->egress->script),
               WZ_F_INT("lines", log->line_count - WZ_SCRIPT_LOG_LINES));
    begin_second(log, now_us);
}

bool wz_script_log_allow(struct wz_script_log *log)
{
    look_at_clock(log);
    return ++log->line_count <= WZ_SCRIPT_LOG_LINES;
}

static int publish(struct wz_script_log *log, const struct wz_frame_log *line,
                   const struct wz_cause *cause)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf body = {0};
    struct wz_output output = {
        .parent = wz_slice(cause->id, cause->id_len),
        .hops = (uint8_t)(cause->hops + 1),
        .persistent = true,
    };

    wz_buf_addf(&topic, "logs.%s", wz_severity_word(line->severity));
    wz_buf_add_str(&body, "{\"message\":");
    wz_json_add_string(&body, line->text);
    wz_buf_add_str(&body, ",\"script\":");
    wz_json_add_string(&body, log->egress->script);
    wz_buf_add_byte(&body, '}');
    output.topic = wz_buf_slice(&topic);
    output.body = wz_buf_slice(&body);
    return wz_egress_say(log->egress, &output);
}

int wz_script_log_write(struct wz_script_log *log, const struct wz_frame_log *line,
                        const struct wz_cause *cause)
{
    static const enum wz_log_level levels[WZ_SEVERITY_COUNT] = {
        [WZ_SEVERITY_DEBUG] = WZ_LOG_DEBUG,
        [WZ_SEVERITY_INFO] = WZ_LOG_INFO,
        [WZ_SEVERITY_WARNING] = WZ_LOG_WARN,
        [WZ_SEVERITY_ERROR] = WZ_LOG_ERROR,
    };
    bool allowed;

    // The worker sends UTF-8; a script that writes to the pipe itself may send anything. What is
    // too much for script-log is too much for processed-stream: it is no step's, nothing else
    // bounds it.
    look_at_clock(log);
    if (line->source == WZ_FRAME_LOG_CONTEXT && wz_utf8_valid(line->text) &&
        log->record_count < WZ_SCRIPT_LOG_RECORDS) {
        int r = publish(log, line, cause);

        if (r < 0)
            return r;
    }
    allowed = wz_script_log_allow(log);
    if (wz_utf8_valid(line->text))
        put_record(log, (int)line->source, line->severity, line->text, cause);
    if (allowed)
        WZ_LOG(levels[line->severity], "script.log", WZ_F_SLICE("script", log->egress->script),
               WZ_F_STR("source", source_words[line->source]), WZ_F_SLICE("message", line->text),
               WZ_F_SLICE("cause", wz_slice(cause->id, cause->id_len)));
    return WZ_OK;
}

void wz_script_log_tell(struct wz_script_log *log, enum wz_severity severity, struct wz_slice text,
                        const struct wz_cause *cause)
{
    look_at_clock(log);
    if (wz_utf8_valid(text))
        put_record(log, SOURCE_ENGINE, severity, text, cause);
}
