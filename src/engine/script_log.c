// SPDX-License-Identifier: Apache-2.0
// Owns the rate at which a script fills the program's log.
#include "engine/script_log.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "json/text.h"

#define WZ_SECOND_US 1000000

bool wz_script_log_allow(struct wz_script_log *log)
{
    int64_t now_us = wz_clock_mono_us();

    if (log->second_us == 0 || now_us - log->second_us >= WZ_SECOND_US) {
        if (log->line_count > WZ_SCRIPT_LOG_LINES)
            WZ_LOG(WZ_LOG_WARN, "script.log-dropped", WZ_F_SLICE("script", log->egress->script),
                   WZ_F_INT("lines", log->line_count - WZ_SCRIPT_LOG_LINES));
        log->second_us = now_us;
        log->line_count = 0;
    }
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
    return wz_egress_publish(log->egress, &output);
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
    static const char *const sources[] = {"stdout", "stderr", "log"};

    // The worker sends UTF-8; a script that writes to the pipe itself may send anything.
    if (line->source == WZ_FRAME_LOG_CONTEXT && wz_utf8_valid(line->text)) {
        int r = publish(log, line, cause);

        if (r < 0)
            return r;
    }
    if (wz_script_log_allow(log))
        WZ_LOG(levels[line->severity], "script.log", WZ_F_SLICE("script", log->egress->script),
               WZ_F_STR("source", sources[line->source]), WZ_F_SLICE("message", line->text),
               WZ_F_SLICE("cause", wz_slice(cause->id, cause->id_len)));
    return WZ_OK;
}
