// SPDX-License-Identifier: Apache-2.0
// Owns the reading and writing of positions and times.
#include "stream/moment.h"

#include <stdio.h>
#include <time.h>

#include "base/codes.h"

#define WZ_DIGITS_MAX 18

// Takes a number off the front of S: at least one digit, at most WZ_DIGITS_MAX.
static bool take_number(struct wz_slice *s, int64_t *ret_number)
{
    int64_t number = 0;
    size_t len = 0;

    for (; len < s->len && s->ptr[len] >= '0' && s->ptr[len] <= '9'; len++) {
        if (len == WZ_DIGITS_MAX)
            return false;
        number = number * 10 + (s->ptr[len] - '0');
    }
    *s = wz_slice_sub(*s, len, s->len - len);
    *ret_number = number;
    return len > 0;
}

// Takes a number of exactly DIGITS digits between LEAST and MOST.
static bool take_field(struct wz_slice *s, size_t digits, int least, int most, int *ret_number)
{
    struct wz_slice front = wz_slice(s->ptr, s->len < digits ? s->len : digits);
    int64_t number;

    if (!take_number(&front, &number) || front.len > 0 || s->len < digits)
        return false;
    *s = wz_slice_sub(*s, digits, s->len - digits);
    *ret_number = (int)number;
    return number >= least && number <= most;
}

static bool take_char(struct wz_slice *s, const char *chars)
{
    if (s->len == 0 || s->ptr[0] == 0 || strchr(chars, s->ptr[0]) == NULL)
        return false;
    *s = wz_slice_sub(*s, 1, s->len - 1);
    return true;
}

// Takes ".123456" as milliseconds; nothing there is 0.
static bool take_fraction(struct wz_slice *s, int *ret_ms)
{
    int scale = 100;

    *ret_ms = 0;
    if (!take_char(s, "."))
        return true;
    if (s->len == 0 || s->ptr[0] < '0' || s->ptr[0] > '9')
        return false;
    for (; s->len > 0 && s->ptr[0] >= '0' && s->ptr[0] <= '9'; scale /= 10) {
        *ret_ms += (s->ptr[0] - '0') * scale;
        *s = wz_slice_sub(*s, 1, s->len - 1);
    }
    return true;
}

// Takes "Z" or "+02:00" as minutes east. A space stands for '+', as queries are decoded.
static bool take_zone(struct wz_slice *s, int *ret_minutes)
{
    int sign = s->len > 0 && s->ptr[0] == '-' ? -1 : 1;
    int hours;
    int minutes;

    *ret_minutes = 0;
    if (take_char(s, "Zz"))
        return true;
    if (!take_char(s, "+- ") || !take_field(s, 2, 0, 23, &hours) || !take_char(s, ":") ||
        !take_field(s, 2, 0, 59, &minutes))
        return false;
    *ret_minutes = sign * (hours * 60 + minutes);
    return true;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (leap && month == 2 ? 1 : 0);
}

// RFC 3339, section 5.6.
static bool parse_time(struct wz_slice s, int64_t *ret_ms)
{
    struct tm tm = {0};
    int year;
    int month;
    int ms;
    int zone;

    if (!take_field(&s, 4, 1970, 9999, &year) || !take_char(&s, "-") ||
        !take_field(&s, 2, 1, 12, &month) || !take_char(&s, "-") ||
        !take_field(&s, 2, 1, days_of_month(year, month), &tm.tm_mday) || !take_char(&s, "Tt ") ||
        !take_field(&s, 2, 0, 23, &tm.tm_hour) || !take_char(&s, ":") ||
        !take_field(&s, 2, 0, 59, &tm.tm_min) || !take_char(&s, ":") ||
        !take_field(&s, 2, 0, 60, &tm.tm_sec) || !take_fraction(&s, &ms) || !take_zone(&s, &zone) ||
        s.len > 0)
        return false;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    *ret_ms = ((int64_t)timegm(&tm) - (int64_t)zone * 60) * 1000 + ms;
    return true;
}

// "1h" as milliseconds.
static bool parse_span(struct wz_slice s, int64_t *ret_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000},
    };
    int64_t number;

    if (!take_number(&s, &number))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (wz_slice_eq(s, wz_slice_str(units[i].unit)))
            return !__builtin_mul_overflow(number, units[i].ms, ret_ms);
    }
    return false;
}

static bool parse(struct wz_slice s, int64_t now_ms, struct wz_moment *moment)
{
    int64_t span;

    if (wz_slice_eq(s, WZ_SLICE_LIT("first"))) {
        *moment = (struct wz_moment){.kind = WZ_MOMENT_FIRST};
        return true;
    }
    if (wz_slice_eq(s, WZ_SLICE_LIT("end"))) {
        *moment = (struct wz_moment){.kind = WZ_MOMENT_END};
        return true;
    }
    if (take_char(&s, "@")) {
        moment->kind = WZ_MOMENT_OFFSET;
        return take_number(&s, &moment->value) && s.len == 0;
    }
    moment->kind = WZ_MOMENT_TIME;
    if (!take_char(&s, "-"))
        return parse_time(s, &moment->value);
    if (!parse_span(s, &span))
        return false;
    moment->value = span < now_ms ? now_ms - span : 0;
    return true;
}

int wz_moment_parse(struct wz_slice s, int64_t now_ms, struct wz_moment *ret_moment,
                    struct wz_problem *ret_problem)
{
    struct wz_moment moment = {0};

    if (parse(s, now_ms, &moment)) {
        *ret_moment = moment;
        return WZ_OK;
    }
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_STREAM_POSITION,
                         "\"%.*s\" is neither a position nor a time.",
                         (int)(s.len < 64 ? s.len : 64), (const char *)s.ptr);
    wz_problem_fix(ret_problem, "Give first, end, @OFFSET, a time before now as -1h or -30s, or a "
                                "time as 2026-01-02T03:04:05Z.");
    return WZ_ERR_INVALID;
}

int wz_moment_find(const struct wz_moment *moment, struct wz_log *log, int64_t *ret_offset)
{
    struct wz_log_info info;
    int64_t offset = moment->value;

    wz_log_info(log, &info);
    if (moment->kind == WZ_MOMENT_TIME) {
        int r = wz_log_find_time(log, moment->value, &offset);

        if (r < 0)
            return r;
    }
    if (moment->kind == WZ_MOMENT_END || offset > info.next_offset)
        offset = info.next_offset;
    if (moment->kind == WZ_MOMENT_FIRST || offset < info.first_offset)
        offset = info.first_offset;
    *ret_offset = offset;
    return WZ_OK;
}

void wz_moment_add_time(struct wz_buf *buf, int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm tm;
    char text[32];

    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
        return;
    wz_buf_addf(buf, "%s.%03dZ", text, (int)(time_ms % 1000));
}
