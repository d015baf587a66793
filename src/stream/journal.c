// SPDX-License-Identifier: Apache-2.0
// Owns groups on their way into the journal's log, replaying, and compaction.
//
// States of compaction: IDLE --much was put--> LOOK (on the pool) --too much is dead--> READ (on
// the pool) --> COPY --> PAUSE --> READ ... until the oldest segment has been read --> SETTLE (all
// that was put becomes durable) --trim--> IDLE.
#include "stream/journal.h"

#include "base/codes.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "stream/reader.h"

#define VERSION 1

#define SEGMENT_BYTES_MAX (32ll * 1024 * 1024)

// Smaller journals than this many segments are not compacted, unless told.
#define COMPACT_SEGMENTS 2

#define BACKLOG_DEFAULT ((size_t)64 * 1024 * 1024)

// So much room is kept for the event that begins next: a message of the largest packet for as many
// queues as there may be (mqtt.max_sessions).
#define EVENT_RECORDS (4 * WZ_JOURNAL_GROUP_RECORDS)
#define EVENT_ROOM (6 * (size_t)WZ_BATCH_LIMIT_BYTES)

// What a record takes besides key and value, about.
#define RECORD_COST 16

// When room on the disk is short, it is compacted as soon as a compaction gives back more than it
// takes: so many segments are dead, and this part of what is alive.
#define SHORT_SEGMENTS 2
#define SHORT_PART 8

// How much is read for one step of a compaction.
#define STEP_BYTES (64 * 1024)

// Between two steps of a compaction lies PAUSE_FACTOR times what the last one took, so that it is
// not felt; but not when the journal is SWOLLEN_FACTOR times what is alive in it.
#define PAUSE_FACTOR 4
#define PAUSE_MAX_MS 100
#define SWOLLEN_FACTOR 4

// Whether to compact is looked at each time this part of a segment has been put: a compaction frees
// a segment, so the journal shrinks faster than it grows.
#define LOOK_PART 32

#define KINDS 32

enum state {
    IDLE,
    LOOK,
    READ,
    COPY,
    PAUSE,
    SETTLE,
};

// A record of the group at hand; its bytes lie in the journal's STAGED.
struct staged {
    size_t key_pos;
    size_t key_len;
    size_t value_len; // 0: removed
};

// A record that a step has copied: its key and value stand in the step's BYTES.
struct copied {
    int64_t offset;
    size_t key_len;
    size_t value_len;
};

// A step's looking or reading, on the pool. Everything in it is the pool's while it runs.
struct step {
    uv_work_t work;
    struct wz_log *log;
    struct wz_reader *reader;
    struct wz_buf bytes; // keys and values of RECORDS
    struct copied *records;
    size_t count;
    size_t cap;
    size_t done;     // copied so far
    size_t done_pos; // in BYTES
    int64_t end_offset;
    int64_t size_bytes; // of the journal when this compaction began
    bool behind;        // the writer had not come to all of it by then
    uint64_t took_ns;   // reading and copying, since the last pause
    bool at_end;
    int err;
    bool running;
};

struct wz_journal {
    struct wz_journal_options opt;
    struct wz_loop_part part;
    struct wz_log *log;
    const struct wz_journal_kind *kinds[KINDS];
    int kind_count;

    int depth; // of groups
    struct wz_buf bytes;
    struct staged *staged;
    size_t staged_count;
    size_t staged_cap;
    struct wz_record_parts *parts;
    size_t parts_cap;
    int64_t last_offset; // of the group at hand, as far as it was appended; -1: not at all

    int64_t live_bytes;
    int64_t shown_bytes; // of these, in the metrics
    int64_t put_bytes;   // since it was looked at whether to compact
    int64_t look_bytes;
    int64_t compactions;
    int64_t trimmed_end; // what is below it was compacted, and is to go
    enum state state;
    uv_timer_t *pause;     // NULL: not started, or stopped; it frees itself
    int64_t settle_offset; // the last one that must be durable before the segment goes
    struct step step;
    bool short_of_room; // said since it was looked at last
    bool stopping;
};

static void on_pause(uv_timer_t *timer);
static void compact(struct wz_journal *journal);

// The log has something new to say: what waited goes on.
static void on_durable(void *arg, int64_t durable_end, int state_err)
{
    struct wz_journal *journal = arg;

    if (journal->log != NULL)
        compact(journal);
    if (journal->opt.on_durable != NULL)
        journal->opt.on_durable(journal->opt.arg, durable_end, state_err);
}

static void on_wake(void *arg)
{
    struct wz_journal *journal = arg;

    wz_log_set_time(journal->log, journal->opt.loop->now_ms);
}

// Brings the metrics up to LIVE_BYTES.
static void show(struct wz_journal *journal, int64_t live_bytes)
{
    if (live_bytes == journal->shown_bytes)
        return;
    wz_metric_add(WZ_METRIC_JOURNAL_LIVE, live_bytes - journal->shown_bytes);
    journal->shown_bytes = live_bytes;
}

static void on_flush(void *arg)
{
    struct wz_journal *journal = arg;

    wz_log_flush(journal->log);
    show(journal, journal->live_bytes);
}

int wz_journal_open(const char *dir, const struct wz_journal_options *options,
                    struct wz_journal **ret_journal, struct wz_log_recovery *ret_recovery,
                    struct wz_problem *ret_problem)
{
    struct wz_journal *journal = wz_zalloc(1, sizeof(*journal));
    struct wz_log_options log = {
        .durability = options->durability,
        .segment_bytes = options->segment_bytes,
        .ahead_bytes = options->ahead_bytes,
        .backlog_bytes = options->backlog_bytes > 0 ? options->backlog_bytes : BACKLOG_DEFAULT,
        .keys_unindexed = true,
        .loop_mail = &options->loop->mail,
        .on_durable = on_durable,
        .arg = journal,
    };
    int r;

    if (log.segment_bytes <= 0 || log.segment_bytes > SEGMENT_BYTES_MAX)
        log.segment_bytes = SEGMENT_BYTES_MAX;
    if (log.backlog_bytes < EVENT_ROOM)
        log.backlog_bytes = EVENT_ROOM; // with less nothing could ever begin
    journal->opt = *options;
    journal->last_offset = -1;
    journal->look_bytes = log.segment_bytes / LOOK_PART;
    journal->opt.backlog_bytes = log.backlog_bytes;
    journal->opt.segment_bytes = log.segment_bytes;
    if (journal->opt.compact_bytes <= 0)
        journal->opt.compact_bytes = COMPACT_SEGMENTS * log.segment_bytes;
    r = wz_log_open(dir, &log, &journal->log, ret_recovery, ret_problem);
    if (r < 0) {
        wz_free(journal);
        return r;
    }
    journal->part = (struct wz_loop_part){.wake = on_wake, .flush = on_flush, .arg = journal};
    wz_list_init(&journal->part.link);
    *ret_journal = journal;
    return WZ_OK;
}

void wz_journal_start(struct wz_journal *journal)
{
    wz_loop_join(journal->opt.loop, &journal->part);
    on_wake(journal);
    journal->pause = wz_alloc(sizeof(*journal->pause));
    (void)uv_timer_init(&journal->opt.loop->uv, journal->pause); // cannot fail
    journal->pause->data = journal;
}

void wz_journal_join(struct wz_journal *journal, const struct wz_journal_kind *kind)
{
    WZ_ASSERT(journal->kind_count < KINDS);
    journal->kinds[journal->kind_count++] = kind;
}

static const struct wz_journal_kind *kind_of(const struct wz_journal *journal, struct wz_slice key)
{
    for (int i = 0; i < journal->kind_count; i++) {
        if (key.len > 0 && journal->kinds[i]->letter == (char)key.ptr[0])
            return journal->kinds[i];
    }
    return NULL;
}

static uint32_t cost_of(size_t key_len, size_t value_len)
{
    return (uint32_t)(key_len + value_len + RECORD_COST);
}

// Gives a record to its kind.
static int replay_record(struct wz_journal *journal, const struct wz_record *record)
{
    const struct wz_journal_kind *kind = kind_of(journal, record->key);
    struct wz_journal_record replayed = {.removed = record->value_null};
    int r;

    if (kind == NULL)
        return WZ_ERR_UNSUPPORTED;
    if (!record->value_null) {
        if (record->value.len == 0)
            return WZ_ERR_CORRUPT;
        if (record->value.ptr[0] != VERSION)
            return WZ_ERR_UNSUPPORTED;
        replayed.value = wz_slice_sub(record->value, 1, record->value.len - 1);
    }
    replayed.key = wz_slice_sub(record->key, 1, record->key.len - 1);
    replayed.place = (struct wz_journal_place){.offset = record->offset,
                                               .len = cost_of(record->key.len, record->value.len)};
    if (!replayed.removed)
        journal->live_bytes += replayed.place.len;
    r = kind->replay(kind->arg, &replayed);
    return r;
}

static int refuse(int r, int64_t offset, struct wz_problem *ret_problem)
{
    bool newer = r == WZ_ERR_UNSUPPORTED;

    (void)wz_problem_set(ret_problem, r, newer ? WZ_CODE_JOURNAL_NEWER : WZ_CODE_JOURNAL_RECORD,
                         newer ? "The journal holds a record of a kind that this version does not "
                                 "know, at offset %lld."
                               : "The journal holds a record that cannot be read, at offset %lld.",
                         (long long)offset);
    wz_problem_fix(ret_problem, newer
                                    ? "It was left as it is. Run the version that made it."
                                    : "It was left as it is. Move the folder journal away to start "
                                      "without sessions and retained messages.");
    return r;
}

int wz_journal_replay(struct wz_journal *journal, struct wz_problem *ret_problem)
{
    struct wz_reader_options options = {0};
    struct wz_reader *reader;
    struct wz_record record;
    int r = wz_reader_open(journal->log, &options, &reader);

    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO, "The journal cannot be read: %s.",
                              wz_err_text(r));
    while ((r = wz_reader_next(reader, &record)) == WZ_OK) {
        r = replay_record(journal, &record);
        if (r < 0) {
            r = refuse(r, record.offset, ret_problem);
            break;
        }
    }
    wz_reader_close(reader);
    if (r < 0 && r != WZ_ERR_UNSUPPORTED && r != WZ_ERR_CORRUPT)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO, "The journal cannot be read: %s.",
                              wz_err_text(r));
    journal->put_bytes = journal->look_bytes; // it is looked at soon
    return r < 0 ? r : WZ_OK;
}

bool wz_journal_ready(struct wz_journal *journal)
{
    return journal->depth > 0 || wz_log_ready(journal->log, EVENT_RECORDS, EVENT_ROOM);
}

int wz_journal_wait(struct wz_journal *journal)
{
    struct wz_mailbox *mail = &journal->opt.loop->mail;

    while (!wz_journal_ready(journal)) {
        int r = wz_log_state(journal->log);

        if (r < 0)
            return r;
        wz_log_flush(journal->log);
        (void)wz_mailbox_wait(mail); // for the writer's answer: nobody has closed it yet
        (void)wz_mailbox_run(mail);  // how many there were does not matter
    }
    return WZ_OK;
}

void wz_journal_begin(struct wz_journal *journal) { journal->depth++; }

// Appends what is staged, as one batch.
static void append_staged(struct wz_journal *journal)
{
    int64_t offset;
    int r;

    if (journal->staged_count > journal->parts_cap) {
        journal->parts_cap = journal->staged_cap;
        journal->parts = wz_realloc(journal->parts, journal->parts_cap * sizeof(journal->parts[0]));
    }
    for (size_t i = 0; i < journal->staged_count; i++) {
        const struct staged *staged = &journal->staged[i];
        const uint8_t *key = journal->bytes.ptr + staged->key_pos;

        journal->parts[i] = (struct wz_record_parts){
            .key = wz_slice(key, staged->key_len),
            .value = {wz_slice(key + staged->key_len, staged->value_len)},
            .value_count = staged->value_len > 0,
        };
    }
    r = wz_log_append_group(journal->log, journal->parts, journal->staged_count, &offset);
    WZ_ASSERT(r == WZ_OK); // the journal was ready, and the group fits
    journal->last_offset = offset + (int64_t)journal->staged_count - 1;
    journal->staged_count = 0;
    journal->bytes.len = 0;
}

// Whether the group at hand has room for one more record of LEN bytes of key and value.
static bool fits(const struct wz_journal *journal, size_t len)
{
    return journal->staged_count < WZ_JOURNAL_GROUP_RECORDS &&
           journal->bytes.len + journal->staged_count * RECORD_COST + len + RECORD_COST <=
               WZ_JOURNAL_GROUP_BYTES;
}

static struct staged *stage(struct wz_journal *journal, char letter, struct wz_slice key)
{
    struct staged *staged;

    if (journal->staged_count == journal->staged_cap) {
        journal->staged_cap = journal->staged_cap > 0 ? journal->staged_cap * 2 : 16;
        journal->staged =
            wz_realloc(journal->staged, journal->staged_cap * sizeof(journal->staged[0]));
    }
    staged = &journal->staged[journal->staged_count++];
    *staged = (struct staged){.key_pos = journal->bytes.len, .key_len = 1 + key.len};
    wz_buf_add_byte(&journal->bytes, (uint8_t)letter);
    wz_buf_add_slice(&journal->bytes, key);
    return staged;
}

void wz_journal_drop(struct wz_journal *journal, struct wz_journal_place *place)
{
    if (place->offset >= 0) {
        journal->live_bytes -= place->len;
        journal->put_bytes += place->len; // as much more is dead
    }
    place->offset = -1;
}

void wz_journal_put(struct wz_journal *journal, char letter, struct wz_slice key,
                    const struct wz_slice *pieces, int count, struct wz_journal_place *place)
{
    int64_t offset;
    size_t len = 2 + key.len;
    struct staged *staged;
    size_t start;

    WZ_ASSERT(journal->depth > 0 && count <= WZ_JOURNAL_PIECES);
    for (int i = 0; i < count; i++)
        len += pieces[i].len;
    if (!fits(journal, len))
        append_staged(journal);
    // Offsets are without gaps while a log is open: this is the record's already.
    offset = wz_log_next_offset(journal->log) + (int64_t)journal->staged_count;
    staged = stage(journal, letter, key);
    start = journal->bytes.len;
    wz_buf_add_byte(&journal->bytes, VERSION);
    for (int i = 0; i < count; i++)
        wz_buf_add_slice(&journal->bytes, pieces[i]);
    staged->value_len = journal->bytes.len - start;
    wz_journal_drop(journal, place);
    place->offset = offset;
    place->len = cost_of(staged->key_len, staged->value_len);
    journal->live_bytes += place->len;
    journal->put_bytes += place->len;
}

void wz_journal_remove(struct wz_journal *journal, char letter, struct wz_slice key,
                       struct wz_journal_place *place)
{
    WZ_ASSERT(journal->depth > 0);
    if (!fits(journal, 1 + key.len))
        append_staged(journal);
    (void)stage(journal, letter, key);
    wz_journal_drop(journal, place);
    journal->put_bytes += cost_of(1 + key.len, 0);
}

void wz_journal_end(struct wz_journal *journal, int64_t *ret_offset)
{
    WZ_ASSERT(journal->depth > 0);
    if (--journal->depth > 0)
        return;
    if (journal->staged_count > 0)
        append_staged(journal);
    if (journal->last_offset >= 0)
        *ret_offset = journal->last_offset;
    journal->last_offset = -1;
    if (journal->put_bytes >= journal->look_bytes && journal->state == IDLE)
        compact(journal);
}

// Compaction.

// On the pool.
static void read_step(uv_work_t *work)
{
    struct step *step = WZ_CONTAINER(work, struct step, work);
    uint64_t begun_ns = uv_hrtime();
    struct wz_record record;
    int r = WZ_OK;

    while (step->bytes.len < STEP_BYTES && (r = wz_reader_next(step->reader, &record)) == WZ_OK &&
           record.offset < step->end_offset) {
        if (record.value_null)
            continue; // what it removed is in segments that are gone
        if (step->count == step->cap) {
            step->cap = step->cap > 0 ? step->cap * 2 : 1024;
            step->records = wz_realloc(step->records, step->cap * sizeof(step->records[0]));
        }
        step->records[step->count++] = (struct copied){
            .offset = record.offset, .key_len = record.key.len, .value_len = record.value.len};
        wz_buf_add_slice(&step->bytes, record.key);
        wz_buf_add_slice(&step->bytes, record.value);
    }
    step->at_end = r != WZ_OK || step->bytes.len < STEP_BYTES;
    step->err = r < 0 ? r : WZ_OK;
    step->took_ns += uv_hrtime() - begun_ns;
}

static void after_step(uv_work_t *work, int status)
{
    struct step *step = WZ_CONTAINER(work, struct step, work);
    struct wz_journal *journal = WZ_CONTAINER(step, struct wz_journal, step);

    (void)status; // nobody cancels it
    step->running = false;
    journal->state = COPY;
    compact(journal);
}

static void begin_step(struct wz_journal *journal)
{
    struct step *step = &journal->step;

    step->count = 0;
    step->done = 0;
    step->done_pos = 0;
    step->bytes.len = 0;
    step->running = true;
    journal->state = READ;
    wz_ignore(uv_queue_work(&journal->opt.loop->uv, &step->work, read_step,
                            after_step)); // fails without a function only
}

static void end_compaction(struct wz_journal *journal)
{
    wz_reader_close(journal->step.reader);
    journal->step.reader = NULL;
    wz_free(journal->step.records);
    journal->step.records = NULL;
    journal->step.cap = 0;
    wz_buf_release(&journal->step.bytes);
    journal->state = IDLE;
}

// Whether a journal of SIZE_BYTES is to be compacted.
static bool is_due(const struct wz_journal *journal, int64_t size_bytes)
{
    int64_t dead = size_bytes - journal->live_bytes;

    if (size_bytes >= journal->opt.compact_bytes && size_bytes >= 2 * journal->live_bytes)
        return true;
    return journal->short_of_room && dead >= SHORT_SEGMENTS * journal->opt.segment_bytes &&
           dead >= journal->live_bytes / SHORT_PART;
}

// On the pool: the log's lock is nothing for the loop to wait for.
static void look_step(uv_work_t *work)
{
    struct step *step = WZ_CONTAINER(work, struct step, work);
    struct wz_log_info info;

    wz_log_info(step->log, &info);
    step->size_bytes = info.size_bytes;
    step->end_offset = wz_log_first_segment_end(step->log);
}

// When the segment is gone, or the writer has caught up, there may be more to do.
static void look_later(struct wz_journal *journal)
{
    if (journal->pause != NULL)
        (void)uv_timer_start(journal->pause, on_pause, PAUSE_MAX_MS, 0); // has a function
}

static void after_look(uv_work_t *work, int status)
{
    struct step *step = WZ_CONTAINER(work, struct step, work);
    struct wz_journal *journal = WZ_CONTAINER(step, struct wz_journal, step);
    struct wz_reader_options options = {0}; // from the first record there is
    bool due = is_due(journal, step->size_bytes) && step->end_offset >= 0;

    (void)status; // nobody cancels it
    step->running = false;
    journal->state = IDLE;
    journal->short_of_room = false;
    if (due && step->end_offset <= journal->trimmed_end) {
        wz_log_trim(journal->log, step->end_offset); // the writer has not come to it, or could not
        look_later(journal);
    } else if (due && !journal->stopping &&
               wz_reader_open(step->log, &options, &step->reader) == WZ_OK) {
        begin_step(journal);
        return;
    } else if (!due && step->behind) {
        look_later(journal); // more than it was by then
    }
    compact(journal); // much may have been put meanwhile
}

static void look(struct wz_journal *journal)
{
    struct step *step = &journal->step;

    journal->put_bytes = 0;
    journal->state = LOOK;
    step->log = journal->log;
    step->behind = wz_log_durable_end(journal->log) < wz_log_next_offset(journal->log);
    step->running = true;
    wz_ignore(uv_queue_work(&journal->opt.loop->uv, &step->work, look_step,
                            after_look)); // fails without a function only
}

// Puts again what was read and is still the newest of its key, as far as there is room now.
static bool copy(struct wz_journal *journal)
{
    struct step *step = &journal->step;
    int64_t offset; // all there is by then is waited for

    while (step->done < step->count) {
        if (!wz_journal_ready(journal))
            return false;
        wz_journal_begin(journal);
        for (; step->done < step->count && journal->bytes.len < WZ_BATCH_MAX_BYTES / 2;
             step->done++) {
            const struct copied *copied = &step->records[step->done];
            struct wz_slice key = wz_slice(step->bytes.ptr + step->done_pos, copied->key_len);
            struct wz_slice value = wz_slice(key.ptr + key.len, copied->value_len);
            const struct wz_journal_kind *kind = kind_of(journal, key);
            struct wz_slice rest = wz_slice_sub(key, 1, key.len - 1);
            struct wz_journal_place *place = kind->find(kind->arg, rest);
            struct wz_slice piece = wz_slice_sub(value, 1, value.len - 1);

            step->done_pos += copied->key_len + copied->value_len;
            if (place != NULL && place->offset == copied->offset)
                wz_journal_put(journal, kind->letter, rest, &piece, 1, place);
        }
        wz_journal_end(journal, &offset);
    }
    return true;
}

static bool copy_timed(struct wz_journal *journal)
{
    uint64_t begun_ns = uv_hrtime();
    bool done = copy(journal);

    journal->step.took_ns += uv_hrtime() - begun_ns;
    return done;
}

static void tell_damage(const struct wz_journal *journal)
{
    int64_t batches = wz_reader_damaged(journal->step.reader);

    if (batches > 0 && journal->opt.on_damaged != NULL)
        journal->opt.on_damaged(journal->opt.arg, batches);
}

// Waits for the copies, and for what has replaced the records that were left behind: it stands
// behind them, but may not be durable yet.
static void settle(struct wz_journal *journal)
{
    tell_damage(journal);
    journal->settle_offset = wz_log_next_offset(journal->log) - 1;
    journal->state = SETTLE;
}

static void on_pause(uv_timer_t *timer)
{
    struct wz_journal *journal = timer->data;

    if (journal->state == PAUSE) {
        begin_step(journal);
    } else if (journal->state == IDLE) {
        journal->put_bytes = journal->look_bytes;
        compact(journal);
    }
}

// Begins the next step, after a pause that is as long as the last ones were dear.
static void begin_step_later(struct wz_journal *journal)
{
    struct step *step = &journal->step;
    uint64_t pause_ms = step->took_ns * PAUSE_FACTOR / 1000000;

    if (pause_ms > 0)
        step->took_ns = 0;
    if (pause_ms == 0 || journal->pause == NULL ||
        step->size_bytes > SWOLLEN_FACTOR * journal->live_bytes + journal->opt.compact_bytes) {
        begin_step(journal);
        return;
    }
    journal->state = PAUSE;
    (void)uv_timer_start(journal->pause, on_pause,
                         pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS, 0); // has a function
}

// Takes a compaction as far as it goes now.
static void compact(struct wz_journal *journal)
{
    struct step *step = &journal->step;

    if (journal->state == IDLE && !journal->stopping && journal->put_bytes >= journal->look_bytes)
        look(journal);
    if ((journal->state == COPY || journal->state == PAUSE) && journal->stopping)
        end_compaction(journal);
    if (journal->state == COPY && copy_timed(journal)) {
        if (step->err < 0)
            end_compaction(journal); // the disk does not answer: another time
        else if (!step->at_end)
            begin_step_later(journal);
        else
            settle(journal);
    }
    if (journal->state == SETTLE && wz_log_durable_end(journal->log) > journal->settle_offset) {
        wz_log_trim(journal->log, step->end_offset);
        journal->trimmed_end = step->end_offset;
        journal->compactions++;
        wz_metric_add(WZ_METRIC_JOURNAL_COMPACTIONS, 1);
        end_compaction(journal);
        look_later(journal);
    }
}

void wz_journal_give_back(struct wz_journal *journal)
{
    journal->short_of_room = true;
    journal->put_bytes = journal->look_bytes; // it is looked at now, or when this compaction ends
    compact(journal);
}

static void on_timer_closed(uv_handle_t *handle) { wz_free(handle); }

void wz_journal_stop(struct wz_journal *journal)
{
    journal->stopping = true;
    if (journal->pause != NULL)
        uv_close((uv_handle_t *)journal->pause, on_timer_closed);
    journal->pause = NULL;
    if (journal->state == PAUSE)
        end_compaction(journal);
}

int wz_journal_close(struct wz_journal *journal)
{
    struct wz_log *log;
    int r;

    if (journal == NULL)
        return WZ_OK;
    WZ_ASSERT(!journal->step.running && journal->depth == 0);
    end_compaction(journal);
    show(journal, 0);
    wz_loop_leave(&journal->part);
    log = journal->log;
    journal->log = NULL;
    r = wz_log_close(log);
    wz_buf_release(&journal->bytes);
    wz_free(journal->staged);
    wz_free(journal->parts);
    wz_free(journal);
    return r;
}

struct wz_log *wz_journal_log(struct wz_journal *journal) { return journal->log; }

void wz_journal_info(struct wz_journal *journal, struct wz_journal_info *ret_info)
{
    struct wz_log_info info;

    wz_log_info(journal->log, &info);
    *ret_info = (struct wz_journal_info){
        .size_bytes = info.size_bytes,
        .live_bytes = journal->live_bytes,
        .compactions = journal->compactions,
        .looking = journal->state == LOOK,
        .compacting = journal->state > LOOK,
    };
}
