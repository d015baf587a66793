// SPDX-License-Identifier: Apache-2.0
// Owns the stream of unmapped messages and what is asked about it at the desk.
//
// The desk's part is "inbox". "ls" lists topics (args "limit"),
// "reenter" lets what is kept enter raw-stream (args "devices"), "forget" drops what is kept of
// topics (args "topics"). A list is made on the pool from a copy.
#include "router/inbox.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/codes.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "broker/ticket.h"
#include "router/inbox_list.h"
#include "stream/reader.h"

#define PART "inbox"

// What a record takes beside its topic and body, about.
#define RECORD_BYTES 64

// The board is written to at most so often.
#define SHOW_MS 1000

// Topics that are looked at in one turn after the mapping has changed, whether it maps them now.
#define PRUNE_TOPICS 32

// Counted in a turn, added to the metrics at its end.
struct counts {
    int64_t why[WZ_OUTCOME_COUNT];
    int64_t kept;
    int64_t refused;
    int64_t ignored;
};

// What was kept before the start is listed on the pool.
struct load {
    uv_work_t work;
    struct wz_inbox *inbox;
    int64_t end; // what comes later is listed as it comes
    struct wz_seen_topics seen;
    int err;
};

struct wz_inbox {
    struct wz_inbox_options options;
    struct wz_loop_part part;
    struct wz_reentry *reentry;
    struct wz_seen_topics seen;
    struct wz_trie *ignores;
    struct wz_mapping *mapping;
    struct wz_buf headers;
    struct counts counts;
    int64_t room; // bytes that may be written now
    int64_t room_us;
    int64_t size_bytes;   // of the stream when it was looked at last,
    int64_t unseen_bytes; // and what was written since
    uv_timer_t timer;     // runs until the board may be written to again
    bool changed;         // since it was shown
    uint32_t prune_next;
    bool prunes;
    bool loading;
    bool stopped;
};

// A question at the desk that is answered later.
struct ask {
    uv_work_t work;
    struct wz_reentry_wish wish;
    struct wz_inbox *inbox;
    struct wz_desk_call *call;
    struct wz_inbox_list list;
    json_t *what;
};

// Taking in.

bool wz_inbox_ignores(const struct wz_inbox *inbox, struct wz_slice topic)
{
    return inbox->ignores != NULL && wz_inbox_trie_has(inbox->ignores, topic);
}

void wz_inbox_ignore(struct wz_inbox *inbox)
{
    inbox->counts.ignored++;
    inbox->changed = true;
}

static void add_header(struct wz_inbox *inbox, struct wz_slice key, struct wz_slice value)
{
    struct wz_buf *buf = &inbox->headers;
    size_t room = key.len + value.len + (size_t)2 * WZ_VARINT32_MAX;
    struct wz_pen pen;

    wz_buf_reserve(buf, room);
    pen = wz_pen(buf->ptr + buf->len, room);
    wz_record_header_put(&pen, key, value);
    WZ_ASSERT(!pen.failed);
    buf->len = (size_t)(pen.pos - buf->ptr);
}

static int append(struct wz_inbox *inbox, const struct wz_message *msg, enum wz_outcome why,
                  int64_t *ret_offset)
{
    struct wz_record_parts parts = {
        .key = msg->topic, .value = {msg->body}, .value_count = 1, .header_pieces = 1};
    char digits[24];

    inbox->headers.len = 0;
    add_header(inbox, WZ_SLICE_LIT("why"), wz_slice_str(wz_outcome_word(why)));
    parts.header_count = 1;
    if (msg->client.len > 0) {
        add_header(inbox, WZ_SLICE_LIT("client"), msg->client);
        parts.header_count++;
    }
    if (msg->timestamp_ms != 0) {
        (void)snprintf(digits, sizeof(digits), "%lld", (long long)msg->timestamp_ms);
        add_header(inbox, WZ_SLICE_LIT("time"), wz_slice_str(digits));
        parts.header_count++;
    }
    parts.headers[0] = wz_buf_slice(&inbox->headers);
    return wz_log_append(inbox->options.unmapped, &parts, ret_offset);
}

// Whether the stream has grown so far beyond its size that nothing is added until the writer, which
// takes the oldest away, has caught up.
static bool is_overfull(const struct wz_inbox *inbox)
{
    return inbox->size_bytes + inbox->unseen_bytes > inbox->options.max_bytes / 4 * 5;
}

// Whether so much more may be written now. A message that is larger than what there is room for is
// written and owed, so that large ones are kept too.
static bool has_room(const struct wz_inbox *inbox)
{
    return inbox->room > 0 && !is_overfull(inbox) && wz_log_state(inbox->options.unmapped) == WZ_OK;
}

void wz_inbox_take(struct wz_inbox *inbox, const struct wz_message *msg, enum wz_outcome why,
                   struct wz_ticket *ret_ticket)
{
    struct wz_seen_message seen = {.topic = msg->topic,
                                   .body = msg->body,
                                   .why = (int)why,
                                   .time_ms = inbox->options.loop->now_ms};
    int64_t bytes = (int64_t)(msg->topic.len + msg->body.len + msg->client.len) + RECORD_BYTES;
    int64_t offset;

    inbox->counts.why[why]++;
    inbox->changed = true;
    (void)wz_seen_topics_add(&inbox->seen, &seen); // one that is too long is kept all the same
    if (!has_room(inbox) || append(inbox, msg, why, &offset) < 0) {
        inbox->counts.refused++;
        return;
    }
    inbox->room -= bytes;
    inbox->unseen_bytes += bytes;
    inbox->counts.kept++;
    *ret_ticket = (struct wz_ticket){.stream = inbox->options.unmapped, .offset = offset};
}

// Lets the oldest segment go when there is too much.
static void trim(struct wz_inbox *inbox)
{
    struct wz_log *log = inbox->options.unmapped;
    struct wz_log_info info;
    int64_t end;

    if (inbox->unseen_bytes < inbox->options.max_bytes / 64 && !is_overfull(inbox))
        return;
    wz_log_info(log, &info);
    inbox->unseen_bytes = 0;
    inbox->size_bytes = info.size_bytes + (int64_t)wz_log_backlog(log);
    end = inbox->size_bytes > inbox->options.max_bytes ? wz_log_first_segment_end(log) : -1;
    if (end >= 0)
        wz_log_trim(log, end);
}

// The loop's turns.

static void refill(struct wz_inbox *inbox)
{
    int64_t now_us = wz_clock_mono_us();
    int64_t rate = inbox->options.max_rate;
    int64_t passed_us = now_us - inbox->room_us;

    if (passed_us > 1000000)
        passed_us = 1000000;
    if (passed_us * rate < 1000000)
        return; // not a byte yet
    inbox->room += rate * passed_us / 1000000;
    if (inbox->room > rate)
        inbox->room = rate;
    inbox->room_us = now_us;
}

static void on_wake(void *arg)
{
    struct wz_inbox *inbox = arg;

    wz_log_set_time(inbox->options.unmapped, inbox->options.loop->now_ms);
    refill(inbox);
}

// What the mapping maps now, or is ignored, is no longer listed.
static void prune(struct wz_inbox *inbox)
{
    struct wz_translation translation;

    for (int i = 0; i < PRUNE_TOPICS && inbox->prunes; i++) {
        const struct wz_seen *seen;

        if (inbox->prune_next >= inbox->seen.count) {
            inbox->prunes = false;
            return;
        }
        seen = &inbox->seen.items[inbox->prune_next];
        if (wz_mapping_in(inbox->mapping, wz_seen_topic(seen), &translation) == WZ_OUTCOME_MAPPED ||
            wz_inbox_ignores(inbox, wz_seen_topic(seen)))
            (void)wz_seen_topics_remove(&inbox->seen, wz_seen_topic(seen)); // another comes here
        else
            inbox->prune_next++;
    }
    wz_loop_again(inbox->options.loop);
}

static void count(struct wz_inbox *inbox)
{
    static const enum wz_metric metrics[WZ_OUTCOME_COUNT] = {
        [WZ_OUTCOME_UNKNOWN_DEVICE] = WZ_METRIC_UNMAPPED_DEVICE,
        [WZ_OUTCOME_UNKNOWN_TYPE] = WZ_METRIC_UNMAPPED_TYPE,
        [WZ_OUTCOME_UNSAFE_LEVEL] = WZ_METRIC_UNMAPPED_UNSAFE,
        [WZ_OUTCOME_COLLISION] = WZ_METRIC_UNMAPPED_COLLISION,
        [WZ_OUTCOME_TOO_LONG] = WZ_METRIC_UNMAPPED_LONG,
    };
    struct wz_reentry_counts done = wz_reentry_take_counts(inbox->reentry);
    struct counts *counts = &inbox->counts;

    if (done.entered > 0)
        wz_metric_add(WZ_METRIC_INBOX_REENTERED, done.entered);
    if (done.pieces > 0)
        inbox->changed = true; // if only in how far the run is
    for (int why = WZ_OUTCOME_UNKNOWN_DEVICE; why < WZ_OUTCOME_COUNT; why++)
        if (counts->why[why] > 0)
            wz_metric_add(metrics[why], counts->why[why]);
    if (counts->kept > 0)
        wz_metric_add(WZ_METRIC_INBOX_KEPT, counts->kept);
    if (counts->refused > 0)
        wz_metric_add(WZ_METRIC_INBOX_REFUSED, counts->refused);
    if (counts->ignored > 0)
        wz_metric_add(WZ_METRIC_INBOX_IGNORED, counts->ignored);
    *counts = (struct counts){0};
}

// What is said of it in the status, and with each list.
static json_t *describe(const struct wz_inbox *inbox)
{
    struct wz_log_info info;

    wz_log_info(inbox->options.unmapped, &info);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:b, s:o}", "topics", (json_int_t)inbox->seen.count,
                     "kept_bytes", (json_int_t)info.size_bytes, "max_bytes",
                     (json_int_t)inbox->options.max_bytes, "first_offset",
                     (json_int_t)info.first_offset, "next_offset", (json_int_t)info.next_offset,
                     "loading", inbox->loading, "reentry", wz_reentry_describe(inbox->reentry));
}

static void on_timer(uv_timer_t *timer) { (void)timer; } // the turn that it makes is what counts

static void show(struct wz_inbox *inbox)
{
    uv_handle_t *timer = (uv_handle_t *)&inbox->timer;

    if (!inbox->changed || inbox->options.board == NULL || uv_is_active(timer) ||
        uv_is_closing(timer))
        return;
    inbox->changed = false;
    wz_board_set(inbox->options.board, PART, "state", describe(inbox));
    wz_ignore(uv_timer_start(&inbox->timer, on_timer, SHOW_MS, 0)); // fails when it closes only
}

static void on_flush(void *arg)
{
    struct wz_inbox *inbox = arg;

    wz_reentry_advance(inbox->reentry);
    wz_log_flush(inbox->options.unmapped);
    trim(inbox);
    if (inbox->prunes && inbox->mapping != NULL)
        prune(inbox);
    count(inbox);
    show(inbox);
}

// What was kept before the start.

static enum wz_outcome find_why(struct wz_slice word)
{
    for (int why = 0; why < WZ_OUTCOME_COUNT; why++)
        if (wz_slice_eq(word, wz_slice_str(wz_outcome_word((enum wz_outcome)why))))
            return (enum wz_outcome)why;
    return WZ_OUTCOME_UNKNOWN_DEVICE;
}

// On the pool: nothing re-enters until it is done, so the marks stay as they are.
static void load_all(uv_work_t *work)
{
    struct load *load = work->data;
    struct wz_reader_options options = {.direction = WZ_BACKWARD, .position = load->end};
    struct wz_reader *reader;
    struct wz_record record;

    load->err = wz_reader_open(load->inbox->options.unmapped, &options, &reader);
    if (load->err < 0)
        return;
    while ((load->err = wz_reader_next(reader, &record)) == WZ_OK) {
        struct wz_seen_message message = {
            .topic = record.key, .body = record.value, .time_ms = record.append_ms};

        if (wz_reentry_done(load->inbox->reentry, record.offset))
            continue;
        message.why = (int)find_why(wz_record_header_find(&record, "why"));
        (void)wz_seen_topics_add(&load->seen, &message); // as above
    }
    wz_reader_close(reader);
}

static void on_loaded(uv_work_t *work, int status)
{
    struct load *load = work->data;
    struct wz_inbox *inbox = load->inbox;

    (void)status; // nobody cancels it
    if (load->err < 0)
        WZ_LOG(WZ_LOG_WARN, "inbox.unreadable", WZ_F_ERR(load->err),
               WZ_F_STR("what", "not all topics that were kept are listed"));
    for (uint32_t i = 0; i < load->seen.count; i++) {
        load->seen.items[i].rate = 0; // they came in an order of their own
        wz_seen_topics_merge(&inbox->seen, &load->seen.items[i]);
    }
    wz_seen_topics_release(&load->seen);
    wz_free(load);
    inbox->loading = false;
    inbox->changed = true;
    inbox->prune_next = 0;
    inbox->prunes = true;
    wz_reentry_set_mapping(inbox->reentry, inbox->mapping);
    wz_reentry_advance(inbox->reentry);
}

static void start_loading(struct wz_inbox *inbox)
{
    struct load *load = wz_zalloc(1, sizeof(*load));

    inbox->loading = true;
    load->work.data = load;
    load->inbox = inbox;
    load->end = wz_log_next_offset(inbox->options.unmapped);
    // Fails only without a function to run.
    WZ_ASSERT(uv_queue_work(&inbox->options.loop->uv, &load->work, load_all, on_loaded) == 0);
}

// The desk.

static void ask_free(struct ask *ask)
{
    json_decref(ask->what);
    wz_free(ask);
}

static void list_topics(uv_work_t *work)
{
    struct ask *ask = work->data;

    wz_inbox_list_make(&ask->list);
}

static void on_listed(uv_work_t *work, int status)
{
    struct ask *ask = work->data;
    json_t *answer = ask->list.answer;

    (void)status; // nobody cancels it
    ask->list.answer = NULL;
    wz_inbox_list_release(&ask->list);
    wz_desk_answer(ask->call, WZ_OK, answer);
    ask_free(ask);
}

static void answer_list(struct wz_inbox *inbox, struct wz_desk_call *call)
{
    struct ask *ask = wz_zalloc(1, sizeof(*ask));

    ask->call = call;
    ask->work.data = ask;
    ask->list.wish = call->args;
    ask->list.answer = describe(inbox);
    ask->list.mapping = wz_mapping_ref(inbox->mapping);
    ask->list.count = wz_seen_topics_copy(&inbox->seen, &ask->list.items);
    // Fails only without a function to run.
    WZ_ASSERT(uv_queue_work(&inbox->options.loop->uv, &ask->work, list_topics, on_listed) == 0);
}

static int refuse(struct wz_desk_call *call, int err, const char *what)
{
    return wz_problem_set(&call->problem, err, WZ_CODE_API_BUSY, "%s", what);
}

static void on_began(struct wz_reentry_wish *wish, int result)
{
    struct ask *ask = wish->arg;

    if (result < 0)
        (void)refuse(ask->call, result, "wyze stops.");
    wz_desk_answer(ask->call, result, result < 0 ? NULL : json_object());
    ask_free(ask);
}

// Begins a run; WHAT is taken over.
static void run(struct wz_inbox *inbox, struct wz_desk_call *call, json_t *what)
{
    struct ask *ask = wz_zalloc(1, sizeof(*ask));
    int r;

    ask->call = call;
    ask->what = what;
    ask->wish = (struct wz_reentry_wish){.what = what, .began = on_began, .arg = ask};
    wz_list_init(&ask->wish.link);
    inbox->changed = true;
    r = wz_reentry_run(inbox->reentry, &ask->wish);
    if (r == WZ_OK)
        return;
    wz_desk_answer(call,
                   refuse(call, r,
                          r == WZ_ERR_BUSY ? "Too many re-entries wait."
                                           : "There are too many devices or topics at once."),
                   NULL);
    ask_free(ask);
}

static void forget_topics(struct wz_inbox *inbox, struct wz_desk_call *call)
{
    json_t *topics = json_object_get(call->args, "topics");
    json_t *topic;
    size_t i;

    json_array_foreach(topics, i, topic)
    {
        if (json_is_string(topic))
            (void)wz_seen_topics_remove(
                &inbox->seen, wz_slice(json_string_value(topic), json_string_length(topic)));
    }
    run(inbox, call, json_pack("{s:O}", "forget", topics));
}

static void serve(void *arg, struct wz_desk_call *call)
{
    struct wz_inbox *inbox = arg;
    json_t *devices = json_object_get(call->args, "devices");

    if (inbox->stopped || inbox->mapping == NULL)
        wz_desk_answer(call, refuse(call, WZ_ERR_CLOSED, "wyze starts, or stops."), NULL);
    else if (strcmp(call->what, "ls") == 0)
        answer_list(inbox, call);
    else if (strcmp(call->what, "reenter") == 0)
        run(inbox, call, devices != NULL ? json_pack("{s:O}", "devices", devices) : json_object());
    else if (strcmp(call->what, "forget") == 0 &&
             json_is_array(json_object_get(call->args, "topics")))
        forget_topics(inbox, call);
    else
        wz_desk_answer(call, refuse(call, WZ_ERR_INVALID, "The inbox knows no such thing."), NULL);
}

// From outside.

struct wz_inbox *wz_inbox_new(const struct wz_inbox_options *options)
{
    struct wz_reentry_options reentry = {.loop = options->loop,
                                         .journal = options->journal,
                                         .raw = options->raw,
                                         .unmapped = options->unmapped};
    struct wz_inbox *inbox = wz_zalloc(1, sizeof(*inbox));

    inbox->options = *options;
    inbox->room = options->max_rate;
    inbox->room_us = wz_clock_mono_us();
    inbox->changed = true;
    wz_ignore(uv_timer_init(&options->loop->uv, &inbox->timer)); // cannot fail
    inbox->reentry = wz_reentry_new(&reentry);
    inbox->part = (struct wz_loop_part){.wake = on_wake, .flush = on_flush, .arg = inbox};
    wz_loop_join(options->loop, &inbox->part);
    inbox->unseen_bytes = options->max_bytes; // its size is looked at now
    trim(inbox);
    on_wake(inbox);
    if (options->desk != NULL)
        wz_desk_serve(options->desk, PART, serve, inbox);
    return inbox;
}

int wz_inbox_recover(struct wz_inbox *inbox, struct wz_problem *ret_problem)
{
    int r = wz_reentry_recover(inbox->reentry);

    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO, "raw-stream could not be read: %s",
                              wz_err_text(r));
    start_loading(inbox);
    return WZ_OK;
}

void wz_inbox_set_append(struct wz_inbox *inbox, wz_reentry_append_fn append_fn, void *arg)
{
    wz_reentry_set_append(inbox->reentry, append_fn, arg);
}

void wz_inbox_set_mapping(struct wz_inbox *inbox, struct wz_mapping *mapping)
{
    wz_mapping_unref(inbox->mapping);
    inbox->mapping = mapping != NULL ? wz_mapping_ref(mapping) : NULL;
    inbox->prune_next = 0;
    inbox->prunes = true;
    if (!inbox->loading)
        wz_reentry_set_mapping(inbox->reentry, mapping);
}

void wz_inbox_set_ignores(struct wz_inbox *inbox, struct wz_trie *ignores)
{
    wz_trie_free(inbox->ignores);
    inbox->ignores = ignores;
    inbox->prune_next = 0;
    inbox->prunes = true;
}

void wz_inbox_durable(struct wz_inbox *inbox) { wz_reentry_advance(inbox->reentry); }

void wz_inbox_stop(struct wz_inbox *inbox)
{
    inbox->stopped = true;
    uv_close((uv_handle_t *)&inbox->timer, NULL);
    wz_reentry_stop(inbox->reentry);
}

void wz_inbox_free(struct wz_inbox *inbox)
{
    if (inbox == NULL)
        return;
    if (inbox->options.desk != NULL)
        wz_desk_serve(inbox->options.desk, PART, NULL, NULL);
    wz_loop_leave(&inbox->part);
    wz_reentry_free(inbox->reentry);
    wz_seen_topics_release(&inbox->seen);
    wz_trie_free(inbox->ignores);
    wz_mapping_unref(inbox->mapping);
    wz_buf_release(&inbox->headers);
    wz_free(inbox);
}
