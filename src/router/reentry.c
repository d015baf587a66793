// SPDX-License-Identifier: Apache-2.0
// Owns the run. Keys in the journal: 'W' how far it is, 'W' 's' what was wished, 'W' 'm' marks.
//
// What holds: a record that is on raw-stream, durable or not, has its mark in memory; one whose
// mark is in the journal is durable on raw-stream; one on raw-stream whose mark is not in the
// journal stands at or behind RAW_FROM of the newest 'W' there, and the 'W' is there as long as
// there is such a one.
#include "router/reentry.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "base/log.h"
#include "base/mem.h"
#include "router/kept_marks.h"
#include "stream/reader.h"

// A piece: so many records, so many bytes of them, and so many bytes looked at, at the most.
#define PIECE_RECORDS 256
#define PIECE_BYTES ((size_t)256 * 1024)
#define PIECE_LOOKED_AT ((size_t)4 * 1024 * 1024)

#define WISHES_MAX 64

enum step {
    STEP_IDLE,
    STEP_BEGINS,
    STEP_READS,
    STEP_APPENDS,
    STEP_SYNCS,
};

// A record of a piece; the positions are in the piece's bytes.
struct item {
    int64_t offset;
    int64_t time_ms;
    size_t topic_pos;
    size_t topic_len;
    size_t client_len; // behind the topic
    size_t body_len;   // behind the client
};

// One reading on the pool.
struct piece {
    uv_work_t work;
    struct wz_reentry *reentry;
    struct wz_mapping *mapping;
    int64_t position; // what is behind was not looked at
    struct item items[PIECE_RECORDS];
    size_t count;
    struct wz_buf bytes;
    int err;
};

struct wz_reentry {
    struct wz_reentry_options options;
    struct wz_journal_kind kind;
    wz_reentry_append_fn append;
    void *append_arg;
    struct wz_mapping *mapping;
    struct wz_marks marks;
    struct wz_list wishes; // the first is the one whose run begins
    size_t wish_count;

    enum step step;
    json_t *what;           // of the run
    struct wz_map selected; // ids of devices, or topics; they are in WHAT
    bool forgets;           // the run only marks
    bool everything;        // every device
    int64_t position;       // of the stream of unmapped messages, as far as the run is
    int64_t end;            // where it ends
    int64_t raw_from;
    int64_t began_at;  // in the journal
    int64_t sync_last; // of raw-stream: what the piece waits for; -1: nothing
    struct wz_journal_place place;
    struct wz_journal_place what_place;
    struct wz_reader *reader; // the pool's while a piece is read
    struct piece *piece;
    size_t next; // of its items
    struct wz_reentry_counts counts;
    bool stopped;
};

// The journal.

static int replay_state(struct wz_reentry *reentry, const struct wz_journal_record *record)
{
    struct wz_cursor cur = wz_cursor(record->value);
    int64_t position = (int64_t)wz_cursor_get_u64(&cur);
    int64_t end = (int64_t)wz_cursor_get_u64(&cur);
    int64_t raw_from = (int64_t)wz_cursor_get_u64(&cur);

    wz_journal_drop(reentry->options.journal, &reentry->place);
    reentry->place = WZ_JOURNAL_NOWHERE;
    if (record->removed)
        return WZ_OK;
    if (cur.failed || wz_cursor_left(&cur) > 0 || position < 0 || end < 0 || raw_from < 0)
        return WZ_ERR_CORRUPT;
    reentry->place = record->place;
    reentry->position = position;
    reentry->end = end;
    reentry->raw_from = raw_from;
    return WZ_OK;
}

static int replay_what(struct wz_reentry *reentry, const struct wz_journal_record *record)
{
    wz_journal_drop(reentry->options.journal, &reentry->what_place);
    reentry->what_place = WZ_JOURNAL_NOWHERE;
    json_decref(reentry->what);
    reentry->what = NULL;
    if (record->removed)
        return WZ_OK;
    reentry->what = json_loadb((const char *)record->value.ptr, record->value.len, 0, NULL);
    if (!json_is_object(reentry->what))
        return WZ_ERR_CORRUPT;
    reentry->what_place = record->place;
    return WZ_OK;
}

static int replay(void *arg, const struct wz_journal_record *record)
{
    struct wz_reentry *reentry = arg;

    if (record->key.len == 0)
        return replay_state(reentry, record);
    if (record->key.ptr[0] == 'm')
        return wz_marks_replay(&reentry->marks, reentry->options.journal, record);
    return record->key.len == 1 && record->key.ptr[0] == 's' ? replay_what(reentry, record)
                                                             : WZ_ERR_CORRUPT;
}

static struct wz_journal_place *find(void *arg, struct wz_slice key)
{
    struct wz_reentry *reentry = arg;
    struct wz_journal_place *place = &reentry->place;

    if (key.len > 0 && key.ptr[0] == 'm')
        return wz_marks_find(&reentry->marks, key);
    if (key.len > 0)
        place = &reentry->what_place;
    return place->offset >= 0 ? place : NULL;
}

static void put_state(struct wz_reentry *reentry)
{
    uint8_t bytes[24];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_slice value = wz_slice(bytes, sizeof(bytes));

    reentry->raw_from = wz_log_next_offset(reentry->options.raw);
    wz_pen_put_u64(&pen, (uint64_t)reentry->position);
    wz_pen_put_u64(&pen, (uint64_t)reentry->end);
    wz_pen_put_u64(&pen, (uint64_t)reentry->raw_from);
    wz_journal_put(reentry->options.journal, WZ_MARKS_LETTER, (struct wz_slice){0}, &value, 1,
                   &reentry->place);
}

static void remove_state(struct wz_reentry *reentry)
{
    struct wz_journal *journal = reentry->options.journal;

    if (reentry->what_place.offset >= 0)
        wz_journal_remove(journal, WZ_MARKS_LETTER, WZ_SLICE_LIT("s"), &reentry->what_place);
    if (reentry->place.offset >= 0)
        wz_journal_remove(journal, WZ_MARKS_LETTER, (struct wz_slice){0}, &reentry->place);
}

// What was wished.

static void select_all(struct wz_reentry *reentry, json_t *names)
{
    json_t *name;
    size_t i;

    json_array_foreach(names, i, name)
    {
        if (json_is_string(name))
            (void)wz_map_put(&reentry->selected,
                             wz_slice(json_string_value(name), json_string_length(name)), name);
    }
}

static void set_what(struct wz_reentry *reentry, json_t *what)
{
    json_t *forget = json_object_get(what, "forget");
    json_t *devices = json_object_get(what, "devices");

    reentry->what = what;
    reentry->forgets = forget != NULL;
    reentry->everything = forget == NULL && devices == NULL;
    select_all(reentry, forget != NULL ? forget : devices);
}

static void unset_what(struct wz_reentry *reentry)
{
    wz_map_release(&reentry->selected);
    reentry->selected = (struct wz_map){0};
    json_decref(reentry->what);
    reentry->what = NULL;
}

// Whether a record is wished. On the pool.
static bool is_wished(const struct piece *piece, struct wz_slice topic)
{
    const struct wz_reentry *reentry = piece->reentry;
    struct wz_translation translation;

    if (reentry->forgets)
        return wz_map_get(&reentry->selected, topic) != NULL;
    return wz_mapping_in(piece->mapping, topic, &translation) == WZ_OUTCOME_MAPPED &&
           (reentry->everything ||
            wz_map_get(&reentry->selected,
                       wz_mapping_device_id(piece->mapping, translation.device)) != NULL);
}

// Pieces.

static void piece_free(struct piece *piece)
{
    wz_mapping_unref(piece->mapping);
    wz_buf_release(&piece->bytes);
    wz_free(piece);
}

static int64_t time_of(const struct wz_record *record)
{
    struct wz_slice text = wz_record_header_find(record, "time");
    int64_t time_ms = 0;

    for (size_t i = 0; i < text.len && i < 18 && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        time_ms = time_ms * 10 + (text.ptr[i] - '0');
    return time_ms > 0 ? time_ms : record->append_ms;
}

static void add_item(struct piece *piece, const struct wz_record *record)
{
    struct wz_slice client = wz_record_header_find(record, "client");

    piece->items[piece->count++] = (struct item){
        .offset = record->offset,
        .time_ms = time_of(record),
        .topic_pos = piece->bytes.len,
        .topic_len = record->key.len,
        .client_len = client.len,
        .body_len = record->value.len,
    };
    if (piece->reentry->forgets)
        return; // it is only marked
    wz_buf_add_slice(&piece->bytes, record->key);
    wz_buf_add_slice(&piece->bytes, client);
    wz_buf_add_slice(&piece->bytes, record->value);
}

// On the pool, which has the marks and the wish to itself meanwhile.
static void read_piece(uv_work_t *work)
{
    struct piece *piece = work->data;
    struct wz_reentry *reentry = piece->reentry;
    struct wz_reader_options options = {.position = piece->position};
    size_t looked_at = 0;
    struct wz_record record;

    if (reentry->reader == NULL)
        piece->err = wz_reader_open(reentry->options.unmapped, &options, &reentry->reader);
    while (piece->err == WZ_OK && piece->count < PIECE_RECORDS && piece->bytes.len < PIECE_BYTES &&
           looked_at < PIECE_LOOKED_AT) {
        piece->err = wz_reader_next(reentry->reader, &record);
        if (piece->err < 0)
            return;
        if (piece->err == WZ_END || record.offset >= reentry->end) {
            piece->err = WZ_OK;
            piece->position = reentry->end;
            return;
        }
        piece->position = record.offset + 1;
        looked_at += record.key.len + record.value.len + 1;
        if (!wz_marks_has(&reentry->marks, record.offset) && is_wished(piece, record.key))
            add_item(piece, &record);
    }
}

static void on_read(uv_work_t *work, int status)
{
    struct piece *piece = work->data;
    struct wz_reentry *reentry = piece->reentry;

    (void)status; // nobody cancels it
    if (piece->err < 0) {
        WZ_LOG(WZ_LOG_ERROR, "inbox.unreadable", WZ_F_ERR(piece->err),
               WZ_F_STR("what", "the re-entry ends here; what is left is still kept"));
        piece->position = reentry->end;
    }
    reentry->piece = piece;
    reentry->next = 0;
    reentry->sync_last = -1;
    reentry->step = STEP_APPENDS;
    wz_reentry_advance(reentry);
}

static void start_reading(struct wz_reentry *reentry)
{
    struct piece *piece = wz_zalloc(1, sizeof(*piece));

    reentry->step = STEP_READS;
    piece->work.data = piece;
    piece->reentry = reentry;
    piece->mapping = wz_mapping_ref(reentry->mapping);
    piece->position = reentry->position;
    // Fails only without a function to run.
    WZ_ASSERT(uv_queue_work(&reentry->options.loop->uv, &piece->work, read_piece, on_read) == 0);
}

// Steps. Each returns whether the next one may be made at once.

static bool begin(struct wz_reentry *reentry)
{
    struct wz_reentry_wish *wish;
    struct wz_slice value;
    char *text;

    if (wz_list_empty(&reentry->wishes) || !wz_journal_ready(reentry->options.journal))
        return false;
    wish = WZ_CONTAINER(reentry->wishes.next, struct wz_reentry_wish, link);
    set_what(reentry, json_deep_copy(wish->what));
    reentry->position = 0;
    reentry->end = wz_log_next_offset(reentry->options.unmapped);
    text = json_dumps(reentry->what, JSON_COMPACT);
    value = wz_slice_str(text);
    wz_journal_begin(reentry->options.journal);
    wz_journal_put(reentry->options.journal, WZ_MARKS_LETTER, WZ_SLICE_LIT("s"), &value, 1,
                   &reentry->what_place);
    put_state(reentry);
    wz_journal_end(reentry->options.journal, &reentry->began_at);
    free(text);
    reentry->step = STEP_BEGINS;
    return true;
}

static bool wait_for_beginning(struct wz_reentry *reentry)
{
    struct wz_log *log = wz_journal_log(reentry->options.journal);
    struct wz_reentry_wish *wish;

    if (wz_log_durable_end(log) <= reentry->began_at) {
        wz_log_want(log);
        return false;
    }
    if (wz_log_durable_end(reentry->options.unmapped) < reentry->end) {
        wz_log_want(reentry->options.unmapped); // what is not written yet cannot be read
        return false;
    }
    wish = WZ_CONTAINER(wz_list_shift(&reentry->wishes), struct wz_reentry_wish, link);
    reentry->wish_count--;
    wish->began(wish, WZ_OK);
    start_reading(reentry);
    return false;
}

// Appends one record, or marks it alone. False: not now.
static bool do_item(struct wz_reentry *reentry, const struct item *item)
{
    const uint8_t *bytes = reentry->piece->bytes.ptr;
    char digits[24];
    int64_t offset = -1;
    int r;

    if (reentry->forgets) {
        reentry->counts.forgotten++;
        wz_marks_set(&reentry->marks, item->offset);
        return true;
    }
    (void)snprintf(digits, sizeof(digits), "%lld", (long long)item->offset);
    r = reentry->append(
        reentry->append_arg,
        &(struct wz_message){
            .topic = wz_slice(bytes + item->topic_pos, item->topic_len),
            .client = wz_slice(bytes + item->topic_pos + item->topic_len, item->client_len),
            .body = wz_slice(bytes + item->topic_pos + item->topic_len + item->client_len,
                             item->body_len),
            .unmapped = wz_slice_str(digits),
            .timestamp_ms = item->time_ms,
            .offset = -1,
        },
        &offset);
    if (r == WZ_ERR_BUSY)
        return false;
    if (r < 0 || offset < 0)
        return true; // the mapping has changed since: it stays kept
    reentry->counts.entered++;
    reentry->sync_last = offset;
    wz_marks_set(&reentry->marks, item->offset);
    return true;
}

static bool append_piece(struct wz_reentry *reentry)
{
    struct piece *piece = reentry->piece;

    if (reentry->append == NULL && !reentry->forgets)
        return false;
    for (; reentry->next < piece->count; reentry->next++)
        if (!do_item(reentry, &piece->items[reentry->next]))
            return false;
    reentry->position = piece->position;
    reentry->piece = NULL;
    piece_free(piece);
    reentry->step = STEP_SYNCS;
    return true;
}

static void end_run(struct wz_reentry *reentry)
{
    wz_reader_close(reentry->reader);
    reentry->reader = NULL;
    unset_what(reentry);
    reentry->step = STEP_IDLE;
}

static bool sync_piece(struct wz_reentry *reentry)
{
    struct wz_journal *journal = reentry->options.journal;
    struct wz_log *raw = reentry->options.raw;
    bool ended = reentry->position >= reentry->end;
    struct wz_log_info info;
    int64_t unused;

    if (reentry->sync_last >= 0 && wz_log_durable_end(raw) <= reentry->sync_last) {
        wz_log_want(raw);
        return false;
    }
    if (!wz_journal_ready(journal))
        return false;
    wz_log_info(reentry->options.unmapped, &info);
    wz_journal_begin(journal);
    wz_marks_put(&reentry->marks, journal, info.first_offset);
    if (ended)
        remove_state(reentry);
    else
        put_state(reentry);
    wz_journal_end(journal, &unused);
    reentry->counts.pieces++;
    if (ended)
        end_run(reentry);
    else
        start_reading(reentry);
    return ended;
}

static bool make_step(struct wz_reentry *reentry)
{
    switch (reentry->step) {
    case STEP_IDLE:
        return begin(reentry);
    case STEP_BEGINS:
        return wait_for_beginning(reentry);
    case STEP_APPENDS:
        return append_piece(reentry);
    case STEP_SYNCS:
        return sync_piece(reentry);
    default:
        return false; // what is read comes back
    }
}

void wz_reentry_advance(struct wz_reentry *reentry)
{
    while (!reentry->stopped && reentry->mapping != NULL && make_step(reentry))
        continue;
}

// From outside.

struct wz_reentry *wz_reentry_new(const struct wz_reentry_options *options)
{
    struct wz_reentry *reentry = wz_zalloc(1, sizeof(*reentry));

    reentry->options = *options;
    reentry->place = WZ_JOURNAL_NOWHERE;
    reentry->what_place = WZ_JOURNAL_NOWHERE;
    reentry->sync_last = -1;
    wz_list_init(&reentry->wishes);
    reentry->kind = (struct wz_journal_kind){
        .letter = WZ_MARKS_LETTER, .arg = reentry, .replay = replay, .find = find};
    wz_journal_join(options->journal, &reentry->kind);
    return reentry;
}

// Marks what of the run is on raw-stream.
static int look_for_entered(struct wz_reentry *reentry)
{
    struct wz_reader_options options = {.position = reentry->raw_from};
    struct wz_reader *reader;
    struct wz_record record;
    int r = wz_reader_open(reentry->options.raw, &options, &reader);

    if (r < 0)
        return r;
    while ((r = wz_reader_next(reader, &record)) == WZ_OK) {
        struct wz_slice text = wz_record_header_find(&record, "unmapped");
        int64_t offset = 0;

        if (text.len == 0)
            continue;
        for (size_t i = 0; i < text.len && i < 18; i++)
            offset = offset * 10 + (text.ptr[i] - '0');
        wz_marks_set(&reentry->marks, offset);
        reentry->sync_last = record.offset;
    }
    wz_reader_close(reader);
    return r == WZ_END ? WZ_OK : r;
}

int wz_reentry_recover(struct wz_reentry *reentry)
{
    json_t *what = reentry->what;

    if (reentry->place.offset < 0 || what == NULL) {
        unset_what(reentry);
        return WZ_OK;
    }
    set_what(reentry, what);
    reentry->step = STEP_SYNCS; // what is found is durable before it is marked in the journal
    return look_for_entered(reentry);
}

void wz_reentry_set_append(struct wz_reentry *reentry, wz_reentry_append_fn append, void *arg)
{
    reentry->append = append;
    reentry->append_arg = arg;
}

void wz_reentry_set_mapping(struct wz_reentry *reentry, struct wz_mapping *mapping)
{
    wz_mapping_unref(reentry->mapping);
    reentry->mapping = mapping != NULL ? wz_mapping_ref(mapping) : NULL;
}

int wz_reentry_run(struct wz_reentry *reentry, struct wz_reentry_wish *wish)
{
    size_t len = json_dumpb(wish->what, NULL, 0, JSON_COMPACT);

    if (len == 0 || len > WZ_REENTRY_WISH_BYTES)
        return WZ_ERR_TOO_LARGE;
    if (reentry->stopped || reentry->wish_count >= WISHES_MAX)
        return WZ_ERR_BUSY;
    reentry->wish_count++;
    wz_list_push(&reentry->wishes, &wish->link);
    wz_reentry_advance(reentry);
    return WZ_OK;
}

bool wz_reentry_done(const struct wz_reentry *reentry, int64_t offset)
{
    return wz_marks_has(&reentry->marks, offset);
}

json_t *wz_reentry_describe(const struct wz_reentry *reentry)
{
    bool runs = reentry->step != STEP_IDLE;

    return json_pack("{s:b, s:I, s:I, s:I}", "running", runs, "position",
                     (json_int_t)(runs ? reentry->position : 0), "end",
                     (json_int_t)(runs ? reentry->end : 0), "waiting",
                     (json_int_t)reentry->wish_count);
}

struct wz_reentry_counts wz_reentry_take_counts(struct wz_reentry *reentry)
{
    struct wz_reentry_counts counts = reentry->counts;

    reentry->counts = (struct wz_reentry_counts){0};
    return counts;
}

void wz_reentry_stop(struct wz_reentry *reentry)
{
    struct wz_list *link;

    reentry->stopped = true;
    while ((link = wz_list_shift(&reentry->wishes)) != NULL) {
        struct wz_reentry_wish *wish = WZ_CONTAINER(link, struct wz_reentry_wish, link);

        wish->began(wish, WZ_ERR_CLOSED);
    }
    reentry->wish_count = 0;
}

void wz_reentry_free(struct wz_reentry *reentry)
{
    if (reentry == NULL)
        return;
    wz_reader_close(reentry->reader);
    if (reentry->piece != NULL)
        piece_free(reentry->piece);
    unset_what(reentry);
    wz_marks_release(&reentry->marks);
    wz_mapping_unref(reentry->mapping);
    wz_free(reentry);
}
