// SPDX-License-Identifier: Apache-2.0
// Owns the way of records that pass:
//
//   raw-stream --source--> queue --- durable ---> rule ---> processed-stream = exchange processed
//                                                  |
//                                                  +--> dropped, counted
//
// What a topic's rule and new name are is worked out once and kept until the rules change, or until
// another topic needs the place.
#include "engine/passthrough.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/rand.h"
#include "engine/headed.h"
#include "engine/input_queue.h"
#include "engine/pass_ledger.h"
#include "engine/pass_rule.h"
#include "engine/source.h"

#define WINDOW_BYTES ((size_t)8 * 1024 * 1024)

// Records that one turn of the loop looks at.
#define TURN_COUNT 2048

// The position is kept at most so often, and when nothing passes, once raw-stream has gone on by so
// many records.
#define KEEP_MS 1000
#define KEEP_RECORDS 10000

// Places for topics whose rule is known; two for each topic. A power of two.
#define TOPIC_PLACES 131072

// Counters on the board are at most this old.
#define BOARD_MS 250

// What a topic's records meet.
struct topic {
    uint64_t hash;
    uint64_t version;          // of the rules it is for; of others nothing else counts
    struct wz_pass_rule *rule; // NULL: none
    struct wz_slice name;
    struct wz_slice out; // the name on processed-stream; empty: it would be none
    uint8_t bytes[];     // of the two
};

// Counted in a turn, added to the metrics at its end.
struct counts {
    int64_t seen;
    int64_t passed;
};

struct wz_passthrough {
    struct wz_passthrough_options options;
    struct wz_loop_part part;
    struct wz_bus_waiter waiter;
    uv_timer_t board_timer;
    struct wz_feeds *feeds;
    struct wz_source *source;
    struct wz_pass_ledger ledger;
    struct wz_pass_rule *rules; // all that are valid, in the order in which they are tried
    size_t rule_count;
    struct topic **topics; // TOPIC_PLACES, NULL where there is none
    uint64_t topics_seed;
    uint64_t version;            // of the rules
    struct wz_buf renamed;       // a new name while it is made
    struct wz_input_queue queue; // records to be decided on
    struct counts counts;
    bool applied; // there have been rules, or the news that there are none
    bool bound;
    bool moved;       // records have passed since the position was kept
    bool keep_wanted; // it is to be kept soon
    uint64_t kept_ms; // when it was, by the loop's clock
    bool stopped;
    int64_t stopped_at; // the position then; -1: it never began
    bool closed;
    int64_t gap_us;
};

static void on_filled(void *arg) { (void)arg; } // the end of the turn looks

static void on_closed(void *arg) { ((struct wz_passthrough *)arg)->closed = true; }

static size_t on_run(void *arg, const struct wz_block_run *run)
{
    struct wz_passthrough *pass = arg;

    wz_input_queue_push_run(&pass->queue, run);
    return wz_block_run_bytes(run).len;
}

static void on_gap(void *arg, enum wz_script_stream stream, int64_t count)
{
    struct wz_passthrough *pass = arg;

    (void)stream;
    wz_metric_add(WZ_METRIC_PASSTHROUGH_GAP, count);
    if (wz_log_allow(&pass->gap_us))
        WZ_LOG(WZ_LOG_WARN, "passthrough.gap", WZ_F_INT("records", count),
               WZ_F_STR("what", "they were removed from raw-stream before they could pass"));
}

// The board.

static json_t *describe(const struct wz_pass_rule *rule)
{
    const struct wz_pass_counts *counts = &rule->counts;

    return json_pack("{s:s, s:I, s:I, s:{s:I, s:I, s:I, s:I}}", "status",
                     rule->active ? "active" : "inactive", "seen", (json_int_t)counts->seen,
                     "passed", (json_int_t)counts->passed, "dropped", "rate",
                     (json_int_t)counts->rate, "unchanged", (json_int_t)counts->unchanged, "rename",
                     (json_int_t)counts->rename, "too_large", (json_int_t)counts->too_large);
}

static void put_on_board(struct wz_passthrough *pass)
{
    for (size_t i = 0; i < pass->rule_count; i++) {
        struct wz_pass_rule *rule = &pass->rules[i];

        if (rule->shown == rule->counts.seen)
            continue;
        rule->shown = rule->counts.seen;
        wz_board_set(pass->options.board, WZ_PASSTHROUGH_BOARD, rule->name, describe(rule));
    }
}

static void on_board_timer(uv_timer_t *timer) { put_on_board(timer->data); }

// Takes off what there are no documents of any more.
static void clear_board(struct wz_passthrough *pass, const struct wz_document *documents,
                        size_t count)
{
    json_t *section = wz_board_section(pass->options.board, WZ_PASSTHROUGH_BOARD);
    const char *name;
    json_t *value;

    for (size_t i = 0; i < count; i++)
        (void)json_object_del(section, documents[i].name); // fine when it is not there
    json_object_foreach(section, name, value)
        wz_board_remove(pass->options.board, WZ_PASSTHROUGH_BOARD, name);
    json_decref(section);
}

// Rules and topics.

static void free_topics(struct wz_passthrough *pass)
{
    for (size_t i = 0; pass->topics && i < TOPIC_PLACES; i++)
        wz_free(pass->topics[i]);
    wz_free(pass->topics);
}

static void free_rules(struct wz_pass_rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++)
        wz_pass_rule_release(&rules[i]);
    wz_free(rules);
}

static struct wz_pass_rule *find_rule(const struct wz_passthrough *pass, struct wz_slice topic)
{
    for (size_t i = 0; i < pass->rule_count; i++)
        if (wz_pass_rule_matches(&pass->rules[i], topic))
            return &pass->rules[i];
    return NULL;
}

static struct topic *topic_new(struct wz_passthrough *pass, struct wz_slice name, uint64_t hash)
{
    struct wz_pass_rule *rule = find_rule(pass, name);
    struct topic *topic;
    struct wz_slice out = {0};

    pass->renamed.len = 0;
    if (rule && wz_pass_rule_topic(rule, name, &pass->renamed))
        out = wz_buf_slice(&pass->renamed);
    topic = wz_alloc(sizeof(*topic) + name.len + out.len);
    *topic = (struct topic){
        .hash = hash,
        .version = pass->version,
        .rule = rule,
        .name = wz_slice(topic->bytes, name.len),
        .out = wz_slice(topic->bytes + name.len, out.len),
    };
    memcpy(topic->bytes, name.ptr, name.len);
    if (out.len > 0)
        memcpy(topic->bytes + name.len, out.ptr, out.len);
    return topic;
}

static bool is_topic(const struct wz_passthrough *pass, const struct topic *topic,
                     struct wz_slice name, uint64_t hash)
{
    return topic && topic->hash == hash && topic->version == pass->version &&
           wz_slice_eq(topic->name, name);
}

// What is known of a topic. The one used last has the first of the two places, and a new one takes
// that of the other: those who are seen often stay.
static struct topic *use_topic(struct wz_passthrough *pass, struct wz_slice name)
{
    uint64_t hash = wz_hash(name, pass->topics_seed);
    struct topic **pair;
    struct topic *topic;

    if (!pass->topics)
        pass->topics = wz_zalloc(TOPIC_PLACES, sizeof(*pass->topics));
    pair = &pass->topics[hash & (TOPIC_PLACES - 2)];
    if (is_topic(pass, pair[0], name, hash))
        return pair[0];
    topic = pair[1];
    if (!is_topic(pass, topic, name, hash)) {
        wz_free(topic);
        topic = topic_new(pass, name, hash);
    }
    pair[1] = pair[0];
    pair[0] = topic;
    return topic;
}

// Records.

static void mirror(struct wz_passthrough *pass, const struct wz_frame_record *record,
                   const struct wz_record_parts *parts, int64_t offset)
{
    const struct wz_record headers = {.headers = parts->headers[0],
                                      .header_count = parts->header_count - 1};
    const struct wz_message msg = {
        .topic = parts->key,
        .body = parts->value[0],
        .client = wz_record_header_find(&headers, "client"),
        .from = wz_record_header_find(&headers, "from"),
        .record = parts,
        .offset = offset,
        .append_ms = wz_log_last_time(pass->options.processed),
        .hops = record->hops,
    };
    struct wz_ticket ticket;

    // The bus was asked before, and nobody on a mirror may refuse.
    wz_ignore(wz_bus_publish(pass->options.bus, WZ_BUS_PROCESSED, &msg, &ticket));
}

// Puts a record on processed-stream, as it is but for its name and one header more.
static int append(struct wz_passthrough *pass, const struct topic *topic,
                  const struct wz_frame_record *record, const struct wz_headed *headed)
{
    char text[WZ_PASSED_TEXT_MAX];
    size_t text_len = wz_passed_text(topic->rule->number, record->offset, record->append_ms, text);
    uint8_t header[WZ_PASSED_TEXT_MAX + 32];
    struct wz_pen pen = wz_pen(header, sizeof(header));
    struct wz_record_parts parts = {
        .key = topic->out,
        .value = {headed->value},
        .value_count = 1,
        .header_pieces = 2,
        .header_count = headed->header_count + 1,
    };
    int64_t offset;
    int r;

    wz_record_header_put(&pen, WZ_SLICE_LIT("passed"), wz_slice(text, text_len));
    parts.headers[0] = headed->headers;
    parts.headers[1] = wz_slice(header, (size_t)(pen.pos - header));
    r = wz_log_append(pass->options.processed, &parts, &offset);
    if (r == WZ_OK && wz_bus_wanted(pass->options.bus, WZ_BUS_PROCESSED))
        mirror(pass, record, &parts, offset);
    return r;
}

// Whether a record passes by what its rule remembers; if not, the count of the reason. RET_NOW is
// what is to be remembered of it.
static int64_t *judge(const struct wz_passthrough *pass, struct wz_pass_rule *rule,
                      const struct wz_frame_record *record, struct wz_slice body,
                      struct wz_pass_last *ret_now)
{
    const struct wz_pass_last *last =
        wz_pass_states_get(&pass->ledger.states, rule->number, record->topic);
    int64_t since_ms;

    *ret_now = (struct wz_pass_last){.offset = record->offset, .append_ms = record->append_ms};
    if (rule->member.len > 0)
        wz_pass_value_find(body, wz_buf_slice(&rule->member), &ret_now->value);
    if (!last)
        return NULL;
    since_ms = record->append_ms - last->append_ms;
    if (rule->member.len > 0 && (rule->atleast_ms == 0 || since_ms < rule->atleast_ms) &&
        !wz_pass_value_changed(&last->value, &ret_now->value, &rule->deadband))
        return &rule->counts.unchanged;
    if (rule->rate > 0 && (double)since_ms * rule->rate < 1000)
        return &rule->counts.rate;
    return NULL;
}

static void count_drop(struct wz_pass_rule *rule, const int64_t *reason)
{
    wz_metric_add(reason == &rule->counts.rate        ? WZ_METRIC_PASSTHROUGH_RATE
                  : reason == &rule->counts.unchanged ? WZ_METRIC_PASSTHROUGH_UNCHANGED
                                                      : WZ_METRIC_PASSTHROUGH_REFUSED,
                  1);
}

// Lets a record pass, or drops it. WZ_ERR_BUSY: not now; nothing was done.
static int decide(struct wz_passthrough *pass, const struct wz_frame_record *record)
{
    const struct topic *topic = use_topic(pass, record->topic);
    struct wz_pass_rule *rule = topic->rule;
    struct wz_headed headed;
    struct wz_pass_last now;
    int64_t *reason = NULL;
    int r = WZ_OK;

    if (!rule)
        return WZ_OK;
    WZ_ASSERT(wz_headed_get(record->body, &headed)); // our own source made it
    if (topic->out.len == 0)
        reason = &rule->counts.rename;
    else if (wz_pass_rule_remembers(rule))
        reason = judge(pass, rule, record, headed.value, &now);
    if (!reason)
        r = append(pass, topic, record, &headed);
    if (r == WZ_ERR_TOO_LARGE)
        reason = &rule->counts.too_large;
    else if (r < 0)
        return r;
    rule->counts.seen++;
    pass->counts.seen++;
    if (reason) {
        ++*reason;
        count_drop(rule, reason);
        return WZ_OK;
    }
    rule->counts.passed++;
    pass->counts.passed++;
    pass->moved = true;
    if (wz_pass_rule_remembers(rule))
        wz_pass_states_set(&pass->ledger.states, rule->number, record->topic, &now);
    return WZ_OK;
}

// Decides on the first records of RUN that are durable, at most MAX. Returns how many; RET_BUSY: no
// more can be done now.
static uint32_t decide_run(struct wz_passthrough *pass, const struct wz_block_run *run,
                           uint32_t max, bool *ret_busy)
{
    uint32_t durable = wz_block_run_below(run, wz_log_durable_end(pass->options.raw));
    struct wz_frame_record record;
    uint32_t count = 0;

    *ret_busy = true;
    for (; count < durable && count < max; count++) {
        if (!wz_bus_takes(pass->options.bus)) {
            wz_bus_on_ready(pass->options.bus, &pass->waiter);
            return count;
        }
        wz_block_get(run->block, run->from + count, &record);
        if (decide(pass, &record) < 0)
            return count; // when the disk has got further
    }
    *ret_busy = count < wz_block_run_count(run);
    return count;
}

// Decides on what is durable.
static void pump(struct wz_passthrough *pass)
{
    struct wz_block_run run;
    uint32_t left = TURN_COUNT;
    bool busy = false;

    if (pass->stopped || !pass->bound || !wz_pass_ledger_settled(&pass->ledger))
        return;
    while (!busy && left > 0 && wz_input_queue_front(&pass->queue, &run)) {
        uint32_t count = decide_run(pass, &run, left, &busy);

        left -= count;
        run.to = run.from + count;
        if (count == 0)
            break;
        wz_source_answered(pass->source, wz_block_run_bytes(&run).len);
        wz_input_queue_drop(&pass->queue, count);
    }
    if (left < TURN_COUNT)
        wz_source_refill(pass->source);
    if ((left == 0 || !busy) && pass->queue.count > 0)
        wz_loop_again(pass->options.loop);
}

static void on_bus_ready(void *arg) { pump(arg); }

// The position.

// All of raw-stream below it is decided on.
static int64_t position(struct wz_passthrough *pass)
{
    struct wz_frame_record first;

    if (!pass->applied)
        return pass->ledger.resume;
    if (!pass->bound)
        return wz_log_next_offset(pass->options.raw);
    (void)wz_source_idle(
        pass->source); // records may come to the queue; else its end is the stream's
    return wz_input_queue_first(&pass->queue, &first) ? first.offset : wz_source_end(pass->source);
}

static void keep(struct wz_passthrough *pass)
{
    const struct wz_passthrough_options *options = &pass->options;
    uint64_t now_ms = uv_now(&options->loop->uv);
    uint64_t keep_ms = (uint64_t)(options->keep_ms > 0 ? options->keep_ms : KEEP_MS);
    int64_t durable_end = wz_log_durable_end(options->raw);
    bool far = durable_end - pass->ledger.raw >= KEEP_RECORDS;

    if (pass->applied && !pass->ledger.keeping &&
        (pass->keep_wanted || ((pass->moved || far) && now_ms - pass->kept_ms >= keep_ms))) {
        int64_t at = position(pass);

        pass->keep_wanted = false;
        pass->moved = false;
        pass->kept_ms = now_ms;
        wz_pass_ledger_keep(&pass->ledger, at < durable_end ? at : durable_end);
    }
    if (wz_pass_ledger_advance(&pass->ledger))
        wz_loop_again(options->loop);
}

// At the end of the loop's turn.
static void on_flush(void *arg)
{
    struct wz_passthrough *pass = arg;

    wz_feeds_flush(pass->feeds);
    pump(pass);
    keep(pass);
    if (pass->counts.seen == 0)
        return;
    wz_metric_add(WZ_METRIC_PASSTHROUGH_SEEN, pass->counts.seen);
    wz_metric_add(WZ_METRIC_PASSTHROUGH_PASSED, pass->counts.passed);
    wz_metric_add(WZ_METRIC_RECORDS_PROCESSED, pass->counts.passed);
    pass->counts = (struct counts){0};
    if (!uv_is_active((uv_handle_t *)&pass->board_timer))
        wz_ignore(uv_timer_start(&pass->board_timer, on_board_timer, BOARD_MS,
                                 0)); // fails on a closing handle only
}

void wz_passthrough_durable(struct wz_passthrough *pass)
{
    pump(pass);
    if (!pass->stopped)
        keep(pass);
}

// A change of the rules.

// The valid ones of the documents, in their order. The caller frees them.
static struct wz_pass_rule *read_rules(struct wz_passthrough *pass,
                                       const struct wz_document *documents, size_t count,
                                       size_t *ret_count)
{
    struct wz_pass_rule *rules = wz_zalloc(count + 1, sizeof(*rules));

    *ret_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct wz_problem problem = {0};

        if (wz_pass_rule_check(documents[i].name, documents[i].body, &problem) == WZ_OK) {
            wz_pass_rule_init(&rules[(*ret_count)++], documents[i].name, documents[i].body);
            continue;
        }
        WZ_LOG(WZ_LOG_WARN, "passthrough.refused", WZ_F_STR("rule", documents[i].name),
               WZ_F_STR("what", problem.what), WZ_F_STR("fix", problem.fix));
        wz_board_set(pass->options.board, WZ_PASSTHROUGH_BOARD, documents[i].name,
                     json_pack("{s:s, s:s}", "status", "invalid", "remark", problem.what));
    }
    qsort(rules, *ret_count, sizeof(*rules), wz_pass_rule_cmp);
    return rules;
}

// Numbers the rules that are in force; those that were in force before go on counting.
static void number_rules(struct wz_passthrough *pass, struct wz_pass_rule *rules, size_t count)
{
    wz_pass_ledger_begin_rules(&pass->ledger);
    for (size_t i = 0; i < count; i++)
        if (rules[i].active)
            rules[i].number = wz_pass_ledger_number(&pass->ledger, &rules[i]);
    wz_pass_ledger_end_rules(&pass->ledger);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < pass->rule_count; k++)
            if (strcmp(rules[i].name, pass->rules[k].name) == 0)
                rules[i].counts = pass->rules[k].counts;
    for (size_t i = 0; i < count; i++)
        rules[i].shown = -1; // it may be another kind of entry
}

// Whether the same rules are in force, in the same order.
static bool same_rules(const struct wz_passthrough *pass, const struct wz_pass_rule *rules,
                       size_t count)
{
    size_t k = 0;

    for (size_t i = 0; i < count; i++) {
        if (!rules[i].active)
            continue;
        while (k < pass->rule_count && !pass->rules[k].active)
            k++;
        if (k == pass->rule_count || pass->rules[k++].number != rules[i].number)
            return false;
    }
    while (k < pass->rule_count && !pass->rules[k].active)
        k++;
    return k == pass->rule_count;
}

// Takes, from FROM on, what the rules in force match.
static void bind_rules(struct wz_passthrough *pass, int64_t from)
{
    WZ_AUTO(wz_free_ptr)
    struct wz_slice *patterns = wz_zalloc(pass->rule_count + 1, sizeof(*patterns));
    size_t count = 0;
    int r;

    for (size_t i = 0; i < pass->rule_count; i++) {
        struct wz_slice pattern = wz_slice_str(pass->rules[i].pattern);
        size_t k = 0;

        while (k < count && !wz_slice_eq(patterns[k], pattern))
            k++;
        if (pass->rules[i].active && k == count)
            patterns[count++] = pattern;
    }
    if (count == 0)
        return;
    wz_source_seek(pass->source, from);
    r = wz_source_bind(pass->source, patterns, count);
    if (r < 0)
        WZ_LOG(WZ_LOG_ERROR, "passthrough.bind", WZ_F_ERR(r));
    pass->bound = r == WZ_OK;
}

void wz_passthrough_apply(struct wz_passthrough *pass, const struct wz_document *documents,
                          size_t count)
{
    int64_t from;
    size_t rule_count;
    struct wz_pass_rule *rules;
    bool same;

    if (pass->stopped)
        return;
    from = position(pass);
    clear_board(pass, documents, count);
    rules = read_rules(pass, documents, count, &rule_count);
    number_rules(pass, rules, rule_count);
    same = pass->applied && same_rules(pass, rules, rule_count);
    if (!same) {
        wz_source_unbind(pass->source);
        wz_input_queue_clear(&pass->queue);
        pass->bound = false;
    }
    pass->version++; // what is known of topics does not count any more
    free_rules(pass->rules, pass->rule_count);
    pass->rules = rules;
    pass->rule_count = rule_count;
    if (!same)
        bind_rules(pass, from);
    pass->keep_wanted = pass->keep_wanted || !same;
    pass->applied = true;
    put_on_board(pass);
    wz_loop_again(pass->options.loop);
}

// Life.

struct wz_passthrough *wz_passthrough_new(const struct wz_passthrough_options *options)
{
    struct wz_passthrough *pass = wz_zalloc(1, sizeof(*pass));

    pass->options = *options;
    pass->topics_seed = wz_rand_u64();
    pass->waiter = (struct wz_bus_waiter){.ready = on_bus_ready, .arg = pass};
    wz_pass_ledger_init(&pass->ledger, options->journal, options->processed, options->max_states);
    pass->feeds = wz_feeds_new(options->bus, on_filled, pass);
    wz_feeds_add_headers(pass->feeds);
    pass->source = wz_source_new(&(struct wz_source_options){
        .uv = &options->loop->uv,
        .feeds = pass->feeds,
        .log = options->raw,
        .stream = WZ_SCRIPT_RAW,
        .headers = true,
        .window_bytes = options->window_bytes > 0 ? options->window_bytes : WINDOW_BYTES,
        .run = on_run,
        .run_arg = pass,
        .filled = on_filled,
        .gap = on_gap,
        .closed = on_closed,
        .arg = pass,
    });
    wz_ignore(uv_timer_init(&options->loop->uv, &pass->board_timer)); // cannot fail
    pass->board_timer.data = pass;
    pass->part = (struct wz_loop_part){.flush = on_flush, .arg = pass};
    wz_loop_join(options->loop, &pass->part);
    return pass;
}

int wz_passthrough_recover(struct wz_passthrough *pass, struct wz_problem *ret_problem)
{
    return wz_pass_ledger_recover(&pass->ledger, pass->options.raw, ret_problem);
}

void wz_passthrough_stop(struct wz_passthrough *pass)
{
    if (pass->stopped)
        return;
    pass->stopped_at = pass->applied ? position(pass) : -1;
    pass->stopped = true;
    wz_bus_off_ready(pass->options.bus, &pass->waiter);
    wz_loop_leave(&pass->part);
    uv_close((uv_handle_t *)&pass->board_timer, NULL);
    wz_source_close(pass->source);
}

void wz_passthrough_put_position(struct wz_passthrough *pass)
{
    const struct wz_passthrough_options *options = &pass->options;
    int64_t durable_end = wz_log_durable_end(options->raw);

    if (!pass->stopped || pass->stopped_at < 0 ||
        wz_log_durable_end(options->processed) < wz_log_next_offset(options->processed) ||
        !wz_pass_ledger_finish(&pass->ledger))
        return; // the one that was kept last is right, too
    wz_pass_ledger_keep(&pass->ledger,
                        pass->stopped_at < durable_end ? pass->stopped_at : durable_end);
    wz_ignore(wz_pass_ledger_finish(&pass->ledger)); // likewise
}

void wz_passthrough_free(struct wz_passthrough *pass)
{
    if (!pass)
        return;
    WZ_ASSERT(pass->closed);
    wz_feeds_free(pass->feeds);
    wz_input_queue_release(&pass->queue);
    free_topics(pass);
    free_rules(pass->rules, pass->rule_count);
    wz_pass_ledger_release(&pass->ledger);
    wz_buf_release(&pass->renamed);
    wz_free(pass);
}
