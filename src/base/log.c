// SPDX-License-Identifier: Apache-2.0
// Owns the form of log lines. A line is built in a buffer and leaves with one write, so lines of
// different threads do not mix.
#include "base/log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

// A peer's text is cut to this many bytes in a line.
#define WZ_LOG_VALUE_MAX 256

static enum wz_log_level shown = WZ_LOG_INFO;

static void add_escaped(struct wz_buf *line, struct wz_slice s)
{
    size_t len = s.len < WZ_LOG_VALUE_MAX ? s.len : WZ_LOG_VALUE_MAX;

    wz_buf_add_byte(line, '"');
    for (size_t i = 0; i < len; i++) {
        uint8_t c = s.ptr[i];

        if (c == '"' || c == '\\')
            wz_buf_addf(line, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            wz_buf_addf(line, "\\x%02x", c);
        else
            wz_buf_add_byte(line, c);
    }
    wz_buf_add_str(line, len < s.len ? "...\"" : "\"");
}

static void add_time(struct wz_buf *line)
{
    int64_t now_ms = wz_clock_wall_ms();
    time_t seconds = now_ms / 1000;
    struct tm tm;
    char text[32];

    (void)gmtime_r(&seconds, &tm); // fails only past the year 2^31
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    wz_buf_addf(line, "%s.%03dZ", text, (int)(now_ms % 1000));
}

void wz_log_write(enum wz_log_level level, const char *event, const struct wz_log_field *fields)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    WZ_AUTO(wz_buf_release) struct wz_buf line = {0};

    if (level > shown)
        return;
    add_time(&line);
    wz_buf_addf(&line, " %s %s", names[level], event);
    for (; fields->kind != WZ_LOG_END; fields++) {
        wz_buf_addf(&line, " %s=", fields->name);
        if (fields->kind == WZ_LOG_INT)
            wz_buf_addf(&line, "%lld", (long long)fields->num);
        else
            add_escaped(&line,
                        fields->kind == WZ_LOG_STR ? wz_slice_str(fields->str) : fields->slice);
    }
    wz_buf_add_byte(&line, '\n');
    if (write(STDERR_FILENO, line.ptr, line.len) < 0)
        return; // nobody is left to be told
}

void wz_log_set_level(enum wz_log_level level) { shown = level; }

bool wz_log_allow(int64_t *state_us)
{
    int64_t now_us = wz_clock_mono_us();

    if (*state_us != 0 && now_us - *state_us < 1000000)
        return false;
    *state_us = now_us;
    return true;
}
