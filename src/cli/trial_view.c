// SPDX-License-Identifier: Apache-2.0
// Owns the lines that a trial prints, and its counts.
#include "cli/trial_view.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "cli/exit.h"
#include "json/text.h"

void wz_trial_view_init(struct wz_trial_view *view, enum wz_output_form form, const char *compare)
{
    *view = (struct wz_trial_view){.form = form, .compare = compare, .input.offset = -1};
    view->outputs = json_array();
}

void wz_trial_view_release(struct wz_trial_view *view)
{
    json_decref(view->outputs);
    wz_buf_release(&view->text);
    wz_buf_release(&view->times);
}

// Bytes as a JSON string; those that are not UTF-8 as {"base64":".."}.
static void add_string(struct wz_buf *buf, struct wz_slice s)
{
    if (wz_utf8_valid(s)) {
        wz_json_add_string(buf, s);
        return;
    }
    wz_buf_add_str(buf, "{\"base64\":");
    wz_json_add_base64(buf, s);
    wz_buf_add_byte(buf, '}');
}

static void add_body(struct wz_buf *buf, const struct wz_frame_item *item)
{
    if (item->body_kind == WZ_FRAME_BODY_OBJECT || item->body_kind == WZ_FRAME_BODY_NUMBER)
        wz_buf_add_slice(buf, item->body);
    else
        add_string(buf, item->body);
}

// Begins a line of JSON: {"kind":"log","offset":7
static void open_line(struct wz_trial_view *view, const char *kind)
{
    wz_buf_addf(&view->text, "{\"kind\":\"%s\"", kind);
    if (view->input.offset >= 0)
        wz_buf_addf(&view->text, ",\"offset\":%lld", (long long)view->input.offset);
}

static void close_line(struct wz_trial_view *view) { wz_buf_add_str(&view->text, "}\n"); }

// Begins a line for people: "@7 log   "
static void open_row(struct wz_trial_view *view, const char *kind)
{
    if (view->input.offset >= 0)
        wz_buf_addf(&view->text, "@%lld ", (long long)view->input.offset);
    wz_buf_addf(&view->text, "%-5s ", kind);
}

// Adds a text of several lines, those behind the first one indented, and ends the line.
static void add_safe_lines(struct wz_buf *buf, struct wz_slice text)
{
    bool first = true;

    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    while (text.len > 0) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.ptr) : text.len;

        if (!first)
            wz_buf_add_str(buf, "    ");
        first = false;
        wz_output_add_safe(buf, wz_slice_sub(text, 0, len));
        wz_buf_add_byte(buf, '\n');
        len += end != NULL;
        text = wz_slice_sub(text, len, text.len - len);
    }
    if (first)
        wz_buf_add_byte(buf, '\n');
}

void wz_trial_view_begin(struct wz_trial_view *view, const struct wz_frame_record *input)
{
    view->input = input != NULL ? *input : (struct wz_frame_record){.offset = -1};
    (void)json_array_clear(view->outputs); // it is an array
}

void wz_trial_view_output(struct wz_trial_view *view, const struct wz_frame_item *item)
{
    WZ_AUTO(wz_buf_release) struct wz_buf body = {0};

    view->output_count++;
    if (view->compare != NULL) {
        wz_comparison_add(view->outputs, item);
        return;
    }
    add_body(&body, item);
    if (view->form == WZ_OUTPUT_JSON) {
        open_line(view, "output");
        wz_buf_add_str(&view->text, ",\"topic\":");
        wz_json_add_string(&view->text, item->topic);
        wz_buf_add_str(&view->text, ",\"body\":");
        wz_buf_add_slice(&view->text, wz_buf_slice(&body));
        wz_buf_addf(&view->text, ",\"persistent\":%s", item->persistent ? "true" : "false");
        close_line(view);
        return;
    }
    open_row(view, "out");
    wz_output_add_safe(&view->text, item->topic);
    wz_buf_add_byte(&view->text, ' ');
    wz_output_add_safe(&view->text, wz_buf_slice(&body));
    wz_buf_add_byte(&view->text, '\n');
}

void wz_trial_view_log(struct wz_trial_view *view, const struct wz_frame_log *line)
{
    static const char *const sources[] = {"print", "stderr", "log"};
    const char *severity = wz_severity_word(line->severity);

    if (view->form == WZ_OUTPUT_JSON) {
        open_line(view, "log");
        wz_buf_addf(&view->text, ",\"severity\":\"%s\",\"source\":\"%s\",\"message\":", severity,
                    sources[line->source]);
        add_string(&view->text, line->text);
        close_line(view);
        return;
    }
    open_row(view, "log");
    wz_buf_addf(&view->text, "%s ", severity);
    add_safe_lines(&view->text, line->text);
}

// The input at hand, for people: topic and body.
static void add_input_row(struct wz_trial_view *view, const char *kind)
{
    open_row(view, kind);
    wz_output_add_safe(&view->text, view->input.topic);
    wz_buf_add_byte(&view->text, ' ');
    wz_output_add_safe(&view->text, view->input.body);
    wz_buf_add_byte(&view->text, '\n');
}

// The input at hand as members of a line: ,"topic":..,"body":..
static void add_input_members(struct wz_trial_view *view)
{
    if (view->input.offset < 0)
        return;
    wz_buf_add_str(&view->text, ",\"topic\":");
    wz_json_add_string(&view->text, view->input.topic);
    wz_buf_add_str(&view->text, ",\"body\":");
    wz_buf_add_slice(&view->text, view->input.body);
}

static void show_failure(struct wz_trial_view *view, const struct wz_trial_result *result)
{
    struct wz_slice reason = wz_buf_slice(&result->reason);

    view->error_count++;
    if (view->form == WZ_OUTPUT_JSON) {
        open_line(view, "error");
        add_input_members(view);
        wz_buf_add_str(&view->text, ",\"traceback\":");
        add_string(&view->text, reason);
        close_line(view);
        return;
    }
    if (view->input.offset >= 0)
        add_input_row(view, "fails");
    else
        open_row(view, "fails");
    wz_buf_add_str(&view->text, view->input.offset >= 0 ? "    " : "");
    add_safe_lines(&view->text, reason);
}

static void show_end(struct wz_trial_view *view, const struct wz_trial_result *result)
{
    if (view->form == WZ_OUTPUT_JSON) {
        open_line(view, "end");
        wz_buf_add_str(&view->text, ",\"remark\":");
        add_string(&view->text, wz_buf_slice(&result->reason));
        close_line(view);
        return;
    }
    open_row(view, "ends");
    add_safe_lines(&view->text, wz_buf_slice(&result->reason));
}

static void add_json(struct wz_buf *buf, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    WZ_ASSERT(text != NULL); // it was made or parsed by jansson
    wz_buf_add_str(buf, text);
    free(text);
}

// Outputs for people, a line each.
static void add_outputs(struct wz_trial_view *view, char mark, const json_t *outputs)
{
    json_t *output;
    size_t i;

    json_array_foreach(outputs, i, output)
    {
        WZ_AUTO(wz_buf_release) struct wz_buf body = {0};
        const char *topic = json_string_value(json_object_get(output, "topic"));

        add_json(&body, json_object_get(output, "body"));
        wz_buf_addf(&view->text, "    %c ", mark);
        wz_output_add_safe(&view->text, wz_slice_str(topic));
        wz_buf_add_byte(&view->text, ' ');
        wz_output_add_safe(&view->text, wz_buf_slice(&body));
        wz_buf_add_byte(&view->text, '\n');
    }
}

static void show_comparison(struct wz_trial_view *view, const json_t *deployed)
{
    enum wz_comparison result = wz_comparison_of(view->outputs, deployed);

    view->comparisons[result]++;
    if (result == WZ_COMPARISON_SAME)
        return;
    if (view->form == WZ_OUTPUT_TABLE) {
        add_input_row(view, wz_comparison_word(result));
        add_outputs(view, '-', deployed);
        add_outputs(view, '+', view->outputs);
        return;
    }
    open_line(view, wz_comparison_word(result));
    add_input_members(view);
    wz_buf_add_str(&view->text, ",\"deployed\":");
    if (deployed != NULL)
        add_json(&view->text, deployed);
    else
        wz_buf_add_str(&view->text, "[]");
    wz_buf_add_str(&view->text, ",\"outputs\":");
    add_json(&view->text, view->outputs);
    close_line(view);
}

int wz_trial_view_end(struct wz_trial_view *view, const struct wz_trial_result *result,
                      const json_t *deployed)
{
    if (view->input.offset >= 0) {
        uint32_t time_us = result->time_us < UINT32_MAX ? (uint32_t)result->time_us : UINT32_MAX;

        view->input_count++;
        wz_buf_add(&view->times, &time_us, sizeof(time_us));
    }
    if (result->failed)
        show_failure(view, result);
    if (result->ended)
        show_end(view, result);
    if (view->compare != NULL && view->input.offset >= 0)
        show_comparison(view, deployed);
    return wz_trial_view_flush(view);
}

int wz_trial_view_flush(struct wz_trial_view *view)
{
    int code = wz_output_write(wz_buf_slice(&view->text));

    view->text.len = 0;
    return code;
}

// The summary.

static int by_time(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

// Microseconds of one input: on average, and so many parts of all take no longer.
struct spread {
    uint32_t mean;
    uint32_t p50;
    uint32_t p99;
    uint32_t max;
};

static struct spread spread_of(const struct wz_trial_view *view)
{
    uint32_t *times = (uint32_t *)(void *)view->times.ptr;
    size_t count = view->times.len / sizeof(*times);
    uint64_t sum = 0;

    if (count == 0)
        return (struct spread){0};
    qsort(times, count, sizeof(*times), by_time);
    for (size_t i = 0; i < count; i++)
        sum += times[i];
    return (struct spread){.mean = (uint32_t)(sum / count),
                           .p50 = times[(count - 1) / 2],
                           .p99 = times[(count - 1) * 99 / 100],
                           .max = times[count - 1]};
}

static const char *plural(int64_t count) { return count == 1 ? "" : "s"; }

static void print_for_people(const struct wz_trial_view *view, const struct spread *us,
                             size_t state_count)
{
    (void)fprintf(stderr,
                  "%lld input%s, %lld output%s, %lld error%s; %zu key%s in the state\n"
                  "time per input: mean %u us, p50 %u us, p99 %u us, max %u us\n",
                  (long long)view->input_count, plural(view->input_count),
                  (long long)view->output_count, plural(view->output_count),
                  (long long)view->error_count, plural(view->error_count), state_count,
                  plural((int64_t)state_count), us->mean, us->p50, us->p99,
                  us->max); // nobody is left to be told
    if (view->compare == NULL)
        return;
    (void)fprintf(stderr, "compared with %s: %lld same, %lld changed, %lld new, %lld missing\n",
                  view->compare, (long long)view->comparisons[WZ_COMPARISON_SAME],
                  (long long)view->comparisons[WZ_COMPARISON_CHANGED],
                  (long long)view->comparisons[WZ_COMPARISON_NEW],
                  (long long)view->comparisons[WZ_COMPARISON_MISSING]); // as above
}

static void print_for_programs(const struct wz_trial_view *view, const struct spread *us,
                               size_t state_count)
{
    json_t *summary = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "inputs", (json_int_t)view->input_count,
        "outputs", (json_int_t)view->output_count, "errors", (json_int_t)view->error_count,
        "state_keys", (json_int_t)state_count, "mean_us", (json_int_t)us->mean, "p50_us",
        (json_int_t)us->p50, "p99_us", (json_int_t)us->p99, "max_us", (json_int_t)us->max);
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    for (int i = 0; i < WZ_COMPARISON_COUNT && view->compare != NULL; i++)
        (void)json_object_set_new(summary, wz_comparison_word((enum wz_comparison)i),
                                  json_integer(view->comparisons[i])); // the object is ours
    add_json(&text, summary);
    (void)fprintf(stderr, "%s\n", wz_buf_str(&text)); // nobody is left to be told
    json_decref(summary);
}

void wz_trial_view_summary(struct wz_trial_view *view, size_t state_count)
{
    struct spread us = spread_of(view);

    wz_ignore(wz_trial_view_flush(view)); // what an interrupted call has logged
    if (view->form == WZ_OUTPUT_JSON)
        print_for_programs(view, &us, state_count);
    else
        print_for_people(view, &us, state_count);
}

bool wz_trial_view_failed(const struct wz_trial_view *view)
{
    return view->error_count > 0 || view->comparisons[WZ_COMPARISON_CHANGED] > 0 ||
           view->comparisons[WZ_COMPARISON_NEW] > 0 || view->comparisons[WZ_COMPARISON_MISSING] > 0;
}
