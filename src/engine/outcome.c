// SPDX-License-Identifier: Apache-2.0
// Owns the failure policy.
#include "engine/outcome.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/utf8.h"
#include "engine/lane.h"
#include "engine/quarantine.h"
#include "engine/script_inside.h"
#include "json/scan.h"
#include "json/text.h"

// With so much that waits for the workers nothing is given out of quarantine.
#define RETRY_BYTES ((size_t)4 * 1024 * 1024)

// What the worker keeps to (src/worker/): an output's body, a remark, what a failed call had seen.
#define OUTPUT_MAX_BYTES ((size_t)1024 * 1024)
#define REMARK_MAX_BYTES 1000
#define SEEN_MAX_BYTES ((size_t)64 * 1024)

// What a worker gathers in one frame of results is less (src/worker/channel.c): 64 KiB, and one
// call's 10,000 outputs, or its traceback and what it saw. More would be more than a turn of the
// loop can do, or than the journal takes at a time.
#define FRAME_ITEMS_MAX 20000
#define FRAME_FAULTS_MAX ((size_t)256 * 1024)

// What a result's items say, besides outputs.
struct found {
    struct wz_slice trace;
    struct wz_slice remark;
    bool terminate;
    struct wz_buf seen; // a JSON object
};

static void found_release(struct found *found) { wz_buf_release(&found->seen); }

static void add_seen(struct found *found, const struct wz_frame_item *item)
{
    wz_buf_add_byte(&found->seen, found->seen.len == 0 ? '{' : ',');
    wz_json_add_string(&found->seen, item->topic);
    wz_buf_add_byte(&found->seen, ':');
    if (item->body.len > 0)
        wz_buf_add_slice(&found->seen, item->body);
    else
        wz_buf_add_str(&found->seen, "null");
}

// Walks a result's items; outputs go into the step at hand.
static int take_items(struct wz_script *script, const struct wz_frame_result *result,
                      const struct wz_cause *cause, struct found *ret_found)
{
    struct wz_frame_iter items = wz_frame_items(result);
    struct wz_frame_item item;
    bool ok = result->status == WZ_FRAME_OK;
    int r;

    while ((r = wz_frame_next_item(&items, &item)) == WZ_OK) {
        switch (item.kind) {
        case WZ_FRAME_ITEM_EMIT:
            wz_commits_output(&script->commits, &item, cause);
            break;
        case WZ_FRAME_ITEM_TRACE:
            ret_found->trace = item.body;
            break;
        case WZ_FRAME_ITEM_TERMINATE:
            ret_found->terminate = ok;
            ret_found->remark = item.body;
            break;
        case WZ_FRAME_ITEM_SEEN:
            add_seen(ret_found, &item);
            break;
        }
    }
    if (ret_found->seen.len > 0)
        wz_buf_add_byte(&ret_found->seen, '}');
    return r == WZ_END ? WZ_OK : r;
}

static void log_failure(struct wz_script *script, const struct wz_frame_record *record,
                        struct wz_slice reason, int attempt)
{
    struct wz_cause cause;

    wz_cause_init(&cause, record);
    wz_script_log_tell(&script->log, WZ_SEVERITY_ERROR, reason, &cause);
    if (!wz_script_log_allow(&script->log))
        return;
    WZ_LOG(WZ_LOG_WARN, "script.exception", WZ_F_STR("script", script->name),
           WZ_F_SLICE("topic", record->topic),
           WZ_F_SLICE("cause", wz_slice(cause.id, cause.id_len)), WZ_F_INT("attempt", attempt),
           WZ_F_SLICE("exception", wz_quarantine_short(reason)), WZ_F_SLICE("traceback", reason));
}

// Makes room in the window for COUNT messages that were not given up.
static void shift_window(struct wz_script *script, uint32_t count)
{
    if (count >= 64) {
        script->window_high = count < 128 ? script->window << (count - 64) : 0;
        script->window = 0;
    } else if (count > 0) {
        script->window_high = script->window_high << count | script->window >> (64 - count);
        script->window <<= count;
    }
    script->window_count = count < (uint32_t)(WZ_SCRIPT_WINDOW - script->window_count)
                               ? script->window_count + (int)count
                               : WZ_SCRIPT_WINDOW;
}

static int failures_in_window(const struct wz_script *script)
{
    const int low = script->window_count < 64 ? script->window_count : 64;
    const int high = script->window_count - low;
    uint64_t low_mask = low == 64 ? UINT64_MAX : (UINT64_C(1) << low) - 1;
    uint64_t high_mask = high == 64 ? UINT64_MAX : (UINT64_C(1) << high) - 1;

    return __builtin_popcountll(script->window & low_mask) +
           __builtin_popcountll(script->window_high & high_mask);
}

// COUNT messages are settled for good; the last one may have been given up.
static void settle(struct wz_script *script, uint32_t count, bool given_up)
{
    script->in_count += count;
    wz_metric_add(WZ_METRIC_SCRIPT_INPUTS, count);
    shift_window(script, count);
    script->window |= given_up ? 1 : 0;
}

// The last line of a reason, as much of it as a remark may hold.
static struct wz_slice short_remark(struct wz_slice reason)
{
    return wz_utf8_head(wz_quarantine_short(reason), REMARK_MAX_BYTES);
}

static void park_if_hopeless(struct wz_script *script, struct wz_slice reason)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_slice last = short_remark(reason);
    int failures = failures_in_window(script);

    if (script->halting)
        return;
    if (script->account->by_number.count >= script->parts->max_quarantined)
        wz_buf_addf(&text, "its quarantine is full (%zu messages); the last one failed with ",
                    script->parts->max_quarantined);
    else if (script->window_count >= WZ_SCRIPT_WINDOW_MIN && failures * 2 > script->window_count)
        wz_buf_addf(&text, "%d of the last %d messages failed, the last one with ", failures,
                    script->window_count);
    else
        return;
    wz_buf_add_slice(&text, last);
    wz_script_halt(script, WZ_HALT_PARKED, wz_buf_slice(&text));
}

// The first record that the worker holds goes into quarantine, or stays there.
static void give_up(struct wz_script *script, int number, const struct wz_frame_record *record,
                    struct wz_slice reason, struct wz_slice seen)
{
    WZ_AUTO(wz_buf_release) struct wz_buf value = {0};
    bool again = record->stream == WZ_INPUTS_QUARANTINED;
    struct wz_quarantine message = {
        .record = *record,
        .attempts = (uint32_t)wz_inputs_attempts(&script->inputs, record) + 1,
        .time_ms = wz_clock_wall_ms(),
        .reason = reason,
        .seen = seen,
    };

    if (again) {
        struct wz_quarantined *known =
            wz_account_find_quarantined(script->account, (uint64_t)record->offset);

        if (known) {
            message.record.stream = known->stream;
            message.record.offset = known->offset;
            message.attempts = known->attempts + 1;
            known->retrying = false;
        }
    }
    wz_quarantine_put(&value, &message);
    wz_commits_quarantine(&script->commits, again ? (uint64_t)record->offset : 0,
                          wz_buf_slice(&value));
    WZ_LOG(WZ_LOG_WARN, "script.quarantined", WZ_F_STR("script", script->name),
           WZ_F_SLICE("topic", record->topic), WZ_F_INT("offset", message.record.offset),
           WZ_F_SLICE("reason", wz_quarantine_short(reason)));
    wz_inputs_give_up(&script->inputs, number);
    settle(script, 1, true);
    park_if_hopeless(script, reason);
}

static void take_failure(struct wz_script *script, int number, const struct wz_frame_record *record,
                         const struct wz_frame_result *result, const struct found *found)
{
    int attempts = wz_inputs_attempts(&script->inputs, record);
    int64_t delay_us = script->parts->retry_ms * 1000;

    script->error_count++;
    wz_metric_add(WZ_METRIC_SCRIPT_ERRORS, 1);
    log_failure(script, record, found->trace, attempts + 1);
    if (result->status == WZ_FRAME_REFUSED || attempts + 1 >= WZ_SCRIPT_ATTEMPTS ||
        record->stream == WZ_INPUTS_QUARANTINED) {
        give_up(script, number, record, found->trace, wz_buf_slice(&found->seen));
        return;
    }
    for (int i = 0; i < attempts; i++)
        delay_us *= 4;
    script->retry_count++;
    wz_inputs_fail(&script->inputs, number, wz_clock_mono_us(), delay_us);
}

void wz_outcome_release(struct wz_script *script, struct wz_quarantined *message)
{
    struct wz_cursor cur = wz_cursor(wz_slice(message->id, sizeof(message->id)));

    message->leaving = true;
    wz_commits_release_message(&script->commits, wz_cursor_get_u64(&cur));
}

static void release(struct wz_script *script, uint64_t number)
{
    struct wz_quarantined *message = wz_account_find_quarantined(script->account, number);

    if (message)
        wz_outcome_release(script, message);
}

// The first record that the worker holds is done.
static void take_ok(struct wz_script *script, int number, const struct wz_frame_record *record)
{
    if (record->stream == WZ_INPUTS_QUARANTINED)
        release(script, (uint64_t)record->offset);
    wz_inputs_answer(&script->inputs, number);
    settle(script, 1, false);
}

static int take_record(struct wz_script *script, int number, const struct wz_frame_result *result)
{
    struct found found WZ_AUTO(found_release) = {0};
    struct wz_frame_record record;
    struct wz_cause cause;
    int r;

    if (!wz_inputs_first(&script->inputs, number, &record) || record.stream != result->stream ||
        record.offset != result->offset)
        return WZ_ERR_PROTOCOL; // cannot be: check_place has passed it
    wz_cause_init(&cause, &record);
    r = take_items(script, result, &cause, &found);
    if (r < 0)
        return r;
    switch (result->status) {
    case WZ_FRAME_OK:
        take_ok(script, number, &record);
        if (found.terminate)
            wz_script_halt(script, WZ_HALT_TERMINATED, found.remark);
        return WZ_OK;
    case WZ_FRAME_DEFERRED:
        return wz_inputs_defer(&script->inputs, number);
    default:
        take_failure(script, number, &record, result, &found);
        return WZ_OK;
    }
}

// Records in front of a result's that are ok and have no items.
static int take_run(struct wz_script *script, int number, uint32_t count)
{
    struct wz_frame_record record;

    while (count > 0) {
        uint32_t done = wz_inputs_answer_many(&script->inputs, number, count);

        settle(script, done, false);
        count -= done;
        if (count == 0)
            break;
        if (!wz_inputs_first(&script->inputs, number, &record))
            return WZ_ERR_PROTOCOL;       // as in take_record
        take_ok(script, number, &record); // out of quarantine
        count--;
    }
    return WZ_OK;
}

// The result of init or stop.
static int take_call(struct wz_script *script, const struct wz_frame_result *result)
{
    struct found found WZ_AUTO(found_release) = {0};
    const struct wz_cause none = {0};
    int r = take_items(script, result, &none, &found);

    if (r < 0)
        return r;
    if (result->status != WZ_FRAME_OK) {
        script->error_count++;
        WZ_LOG(WZ_LOG_WARN, "script.exception", WZ_F_STR("script", script->name),
               WZ_F_SLICE("exception", wz_quarantine_short(found.trace)),
               WZ_F_SLICE("traceback", found.trace));
    }
    if (found.terminate)
        wz_script_halt(script, WZ_HALT_TERMINATED, found.remark);
    return WZ_OK;
}

// Whether a call has ended the script.
static bool has_ended(const struct wz_script *script)
{
    return script->halting && script->halt == WZ_HALT_TERMINATED;
}

static int take_results(struct wz_script *script, int number, enum wz_frame_type type,
                        struct wz_frame_iter *it)
{
    struct wz_frame_result result;
    int r;

    while ((r = wz_frame_next_result(it, &result)) == WZ_OK) {
        // A call that ends the script is the worker's last: the rest was not tried.
        if (has_ended(script) && result.status == WZ_FRAME_DEFERRED)
            continue;
        if (type == WZ_FRAME_RESULT)
            r = take_run(script, number, result.before);
        else
            r = take_call(script, &result);
        if (r == WZ_OK && type == WZ_FRAME_RESULT)
            r = take_record(script, number, &result);
        if (r < 0)
            return r;
    }
    return r == WZ_END ? WZ_OK : r;
}

static int take_changes(struct wz_script *script, struct wz_frame_iter *it)
{
    struct wz_frame_entry change;
    int r = wz_frame_changes(it);

    while (r == WZ_OK) {
        r = wz_frame_next_entry(it, &change);
        if (r == WZ_OK)
            wz_commits_change(&script->commits, &change);
    }
    return r == WZ_END ? WZ_OK : r;
}

// Whether an item may be in a result: of its status, and not larger than the worker makes it. A
// script can write to the pipe itself.
static bool item_allowed(const struct wz_frame_result *result, const struct wz_frame_item *item)
{
    switch (item->kind) {
    case WZ_FRAME_ITEM_EMIT:
        return result->status == WZ_FRAME_OK && item->body.len <= OUTPUT_MAX_BYTES;
    case WZ_FRAME_ITEM_TERMINATE:
        return result->status == WZ_FRAME_OK && item->body.len <= REMARK_MAX_BYTES;
    default:
        return result->status == WZ_FRAME_EXCEPTION || result->status == WZ_FRAME_REFUSED;
    }
}

// What a look at a frame has come to.
struct check {
    const struct wz_script *script;
    int number; // of the worker
    enum wz_frame_type type;
    struct wz_input_walk walk; // over the records that it holds
    uint64_t failed;           // lanes that wait by what the frame says, a bit each
    bool ended;                // a call has ended the script
    size_t results;
    size_t items;
    size_t faults; // bytes
};

static int check_items(struct check *check, const struct wz_frame_result *result)
{
    struct wz_frame_iter items = wz_frame_items(result);
    struct wz_frame_item item;
    size_t seen = 0;
    int r;

    while ((r = wz_frame_next_item(&items, &item)) == WZ_OK) {
        if (item.kind == WZ_FRAME_ITEM_SEEN)
            seen += item.topic.len + item.body.len;
        check->ended = check->ended || item.kind == WZ_FRAME_ITEM_TERMINATE;
        if (!item_allowed(result, &item) || seen > SEEN_MAX_BYTES)
            return WZ_ERR_PROTOCOL;
    }
    return r == WZ_END ? WZ_OK : r;
}

// Whether a worker that starts can take the entry: or nothing would ever start with this state.
static bool is_readable(const struct wz_frame_entry *change)
{
    struct wz_json_scan scan = {.kind = WZ_JSON_NULL};

    if (!change->removed)
        wz_json_scan(change->value, &scan);
    return scan.kind != WZ_JSON_NONE && wz_utf8_valid(change->key);
}

// Whether the entry is of the worker's part of the state. Another's may be on its way to that one.
static bool change_allowed(const struct wz_script *script, int number,
                           const struct wz_frame_entry *change)
{
    if (!is_readable(change))
        return false;
    if (script->share_count == 1)
        return change->lane == WZ_LANE_SHARED;
    return change->lane < WZ_LANE_COUNT &&
           wz_lane_worker(change->lane, script->share_count) == number;
}

// Whether the result is of the record that is next, and may be: only lanes that wait are deferred.
static bool check_place(struct check *check, const struct wz_frame_result *result)
{
    const struct wz_inputs *inputs = &check->script->inputs;
    struct wz_input_walk *walk = &check->walk;

    if (check->type != WZ_FRAME_RESULT)
        return result->offset == -1 && result->before == 0;
    if (!wz_inputs_pass(inputs, check->number, result->before, walk) ||
        walk->stream != result->stream || walk->offset != result->offset)
        return false;
    if (result->status == WZ_FRAME_DEFERRED)
        return (check->failed >> walk->lane & 1) != 0 || wz_inputs_lane_waits(inputs, walk->lane);
    if (result->status != WZ_FRAME_OK)
        check->failed |= UINT64_C(1) << walk->lane;
    return true;
}

static int check_results(struct check *check, struct wz_frame_iter *it)
{
    struct wz_frame_result result;
    int r;

    while ((r = wz_frame_next_result(it, &result)) == WZ_OK) {
        check->results++;
        check->items += result.item_count;
        if (result.status != WZ_FRAME_OK)
            check->faults += result.items.len;
        // As take_results: what is behind the call that ends the script is not looked for.
        if (!(check->ended && result.status == WZ_FRAME_DEFERRED) && !check_place(check, &result))
            return WZ_ERR_PROTOCOL;
        r = check_items(check, &result);
        if (r < 0)
            return r;
    }
    return r == WZ_END ? WZ_OK : r;
}

static int check_changes(const struct check *check, struct wz_frame_iter *it)
{
    const struct wz_script *script = check->script;
    struct wz_frame_entry change;
    bool adds = false;
    int r = wz_frame_changes(it);

    while (r == WZ_OK && (r = wz_frame_next_entry(it, &change)) == WZ_OK) {
        adds = adds || !change.removed;
        r = change_allowed(script, check->number, &change) ? WZ_OK : WZ_ERR_PROTOCOL;
    }
    if (r == WZ_END && adds && wz_account_state_cost(script->account) > script->state_bound)
        r = WZ_ERR_PROTOCOL;
    return r == WZ_END ? WZ_OK : r;
}

// Looks at a whole frame before anything of it counts: it says something, for nothing answered
// would count as progress, of records that the worker holds, and not more than the worker may.
static int check_frame(const struct wz_script *script, int number, enum wz_frame_type type,
                       struct wz_slice payload)
{
    struct check check = {
        .script = script, .number = number, .type = type, .ended = has_ended(script)};
    struct wz_frame_iter it;
    int r = wz_frame_iter_init(&it, payload);

    if (r == WZ_OK)
        r = check_results(&check, &it);
    if (r == WZ_OK &&
        (check.results == 0 || check.items > FRAME_ITEMS_MAX || check.faults > FRAME_FAULTS_MAX))
        r = WZ_ERR_PROTOCOL;
    return r == WZ_OK ? check_changes(&check, &it) : r;
}

int wz_outcome_take(struct wz_script *script, struct wz_worker *worker, enum wz_frame_type type,
                    struct wz_slice payload)
{
    struct wz_frame_iter it;
    int r = check_frame(script, wz_worker_number(worker), type, payload);

    if (r == WZ_OK)
        r = wz_frame_iter_init(&it, payload);
    if (r == WZ_OK)
        r = take_results(script, wz_worker_number(worker), type, &it);
    if (r == WZ_OK)
        r = take_changes(script, &it);
    wz_commits_close(&script->commits, script->bound ? &script->inputs : NULL);
    if (script->halting)
        wz_script_end_workers(script);
    if (!wz_commits_ready(&script->commits))
        wz_worker_pause(worker);
    return r;
}

void wz_outcome_death(struct wz_script *script, struct wz_worker *worker, const char *why)
{
    int number = wz_worker_number(worker);
    struct wz_frame_record record;
    char text[160];

    if (!wz_inputs_blame(&script->inputs, number, &record))
        return;
    (void)snprintf(text, sizeof(text), "%d workers died at it; the last one %s",
                   WZ_INPUTS_DEATHS_MAX, why);
    script->error_count++;
    wz_metric_add(WZ_METRIC_SCRIPT_ERRORS, 1);
    give_up(script, number, &record, wz_slice_str(text), (struct wz_slice){0});
    wz_commits_close(&script->commits, &script->inputs);
    if (script->halting)
        wz_script_end_workers(script);
}

int wz_outcome_retry(struct wz_script *script, uint64_t number, struct wz_slice value)
{
    struct wz_quarantined *known = wz_account_find_quarantined(script->account, number);
    struct wz_quarantine message;
    struct wz_frame_record record;
    int r;

    if (!known)
        return WZ_ERR_NOT_FOUND;
    if (known->retrying || known->leaving || wz_inputs_waiting_bytes(&script->inputs) > RETRY_BYTES)
        return WZ_ERR_BUSY;
    r = wz_quarantine_get(value, &message);
    if (r < 0)
        return r;
    known->retrying = true;
    known->stream = message.record.stream;
    known->offset = message.record.offset;
    known->attempts = message.attempts;
    record = message.record;
    record.stream = WZ_INPUTS_QUARANTINED;
    record.offset = (int64_t)number;
    wz_inputs_push(&script->inputs, &record);
    wz_script_feed(script);
    return WZ_OK;
}

int wz_outcome_origin(const struct wz_script *script, uint64_t number, uint8_t *ret_stream,
                      int64_t *ret_offset)
{
    const struct wz_quarantined *known = wz_account_find_quarantined(script->account, number);

    if (!known || !known->retrying)
        return WZ_ERR_NOT_FOUND;
    *ret_stream = known->stream;
    *ret_offset = known->offset;
    return WZ_OK;
}

void wz_outcome_recall(struct wz_script *script)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &script->account->quarantine)
    {
        WZ_CONTAINER(it, struct wz_quarantined, link)->retrying = false;
    }
}

void wz_outcome_forget(struct wz_script *script) { script->window_count = 0; }

void wz_outcome_unhalt(struct wz_script *script)
{
    script->halt = WZ_HALT_NONE;
    wz_free(script->halt_remark);
    script->halt_remark = NULL;
    wz_outcome_forget(script);
    wz_commits_halt(&script->commits, WZ_HALT_NONE, script->revision, (struct wz_slice){0});
    wz_commits_close(&script->commits, script->bound ? &script->inputs : NULL);
}
