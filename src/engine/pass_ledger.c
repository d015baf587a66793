// SPDX-License-Identifier: Apache-2.0
// Owns three kinds of keys (docs/formats/journal.md): T the position, U the rules, V what they
// remember.
//
// Keeping a position is in three steps, while records go on passing:
//   1. the position, processed-stream's end and what has changed of the memory are noted;
//   2. when processed-stream is durable up to there, the memory is put as it was noted;
//   3. behind all of it, the position.
// So what the journal remembers never comes from a record that a crash can still take back. It may
// be newer than the position: then reading processed-stream from there finds the same again.
#include "engine/pass_ledger.h"

#include "base/codes.h"
#include "base/mem.h"
#include "broker/journal_keys.h"
#include "stream/reader.h"
#include "json/scan.h"
#include "json/text.h"

// Keys of the memory that are put in a turn.
#define SAVE_COUNT 512

enum { POSITION, RULE, STATE };

static const char letters[] = {[POSITION] = 'T', [RULE] = 'U', [STATE] = 'V'};

// A rule that the journal has, or is to have or to lose.
struct known {
    struct wz_list link;
    uint64_t number;
    uint64_t hash;
    struct wz_slice name;
    struct wz_slice member; // a JSON string, or empty
    struct wz_journal_place place;
    bool remembers;
    bool used; // by the rules at hand
    bool gone;
    uint8_t bytes[]; // of name and member
};

#define KNOWN_OF(at) WZ_CONTAINER(at, struct known, link)

static struct known *find_known(const struct wz_pass_ledger *ledger, uint64_t number)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, (struct wz_list *)&ledger->rules)
    {
        if (KNOWN_OF(it)->number == number)
            return KNOWN_OF(it);
    }
    return NULL;
}

static void free_known(struct known *known)
{
    wz_list_remove(&known->link);
    wz_free(known);
}

static struct known *add_known(struct wz_pass_ledger *ledger, uint64_t number, struct wz_slice name,
                               struct wz_slice member)
{
    struct known *known = wz_alloc(sizeof(*known) + name.len + member.len);

    *known = (struct known){.number = number, .place = WZ_JOURNAL_NOWHERE};
    memcpy(known->bytes, name.ptr, name.len);
    if (member.len > 0)
        memcpy(known->bytes + name.len, member.ptr, member.len);
    known->name = wz_slice(known->bytes, name.len);
    known->member = wz_slice(known->bytes + name.len, member.len);
    wz_list_push(&ledger->rules, &known->link);
    if (ledger->next_number <= number)
        ledger->next_number = number + 1;
    return known;
}

// The journal.

static int replay_position(void *arg, const struct wz_journal_record *record)
{
    struct wz_pass_ledger *ledger = arg;
    struct wz_cursor cur = wz_cursor(record->value);
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_PASS_POSITION, record);

    if (r < 0)
        return r;
    wz_journal_drop(ledger->journal, &ledger->place);
    ledger->place = record->removed ? WZ_JOURNAL_NOWHERE : record->place;
    if (record->removed)
        return WZ_OK;
    ledger->raw = (int64_t)wz_cursor_get_u64(&cur);
    ledger->processed_at = (int64_t)wz_cursor_get_u64(&cur);
    ledger->next_number = wz_cursor_get_u64(&cur);
    return WZ_OK;
}

static int replay_rule(void *arg, const struct wz_journal_record *record)
{
    struct wz_pass_ledger *ledger = arg;
    struct wz_cursor key = wz_cursor(record->key);
    struct wz_cursor cur = wz_cursor(record->value);
    uint64_t number = wz_cursor_get_u64(&key);
    struct known *known = find_known(ledger, number);
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_PASS_RULE, record);
    struct wz_slice name;
    uint64_t hash;
    bool remembers;

    if (r < 0)
        return r;
    if (known) {
        wz_journal_drop(ledger->journal, &known->place);
        free_known(known);
    }
    if (record->removed)
        return WZ_OK;
    hash = wz_cursor_get_u64(&cur);
    remembers = wz_cursor_get_u8(&cur) > 0;
    name = wz_cursor_get_bytes(&cur, wz_cursor_get_u16(&cur));
    known = add_known(ledger, number, name, wz_cursor_get_bytes(&cur, wz_cursor_left(&cur)));
    known->hash = hash;
    known->remembers = remembers;
    known->place = record->place;
    return WZ_OK;
}

static int replay_state(void *arg, const struct wz_journal_record *record)
{
    return wz_pass_states_replay(&((struct wz_pass_ledger *)arg)->states, record);
}

static struct wz_journal_place *find_position(void *arg, struct wz_slice key)
{
    struct wz_pass_ledger *ledger = arg;

    return key.len == 0 && ledger->place.offset >= 0 ? &ledger->place : NULL;
}

static struct wz_journal_place *find_rule(void *arg, struct wz_slice key)
{
    struct wz_cursor cur = wz_cursor(key);
    struct known *known = find_known(arg, wz_cursor_get_u64(&cur));

    return known && known->place.offset >= 0 ? &known->place : NULL;
}

static struct wz_journal_place *find_state(void *arg, struct wz_slice key)
{
    return wz_pass_states_find(&((struct wz_pass_ledger *)arg)->states, key);
}

void wz_pass_ledger_init(struct wz_pass_ledger *ledger, struct wz_journal *journal,
                         struct wz_log *processed, size_t max_states)
{
    *ledger = (struct wz_pass_ledger){
        .journal = journal,
        .processed = processed,
        .kinds = {{letters[POSITION], ledger, replay_position, find_position},
                  {letters[RULE], ledger, replay_rule, find_rule},
                  {letters[STATE], ledger, replay_state, find_state}},
        .next_number = 1,
        .place = WZ_JOURNAL_NOWHERE,
        .raw = -1,
        .processed_at = -1,
        .rules_offset = -1,
    };
    wz_list_init(&ledger->rules);
    wz_pass_states_init(&ledger->states, journal, max_states);
    for (size_t i = 0; i < sizeof(letters); i++)
        wz_journal_join(journal, &ledger->kinds[i]);
}

void wz_pass_ledger_release(struct wz_pass_ledger *ledger)
{
    while (!wz_list_empty(&ledger->rules))
        free_known(KNOWN_OF(ledger->rules.next));
    wz_pass_states_release(&ledger->states);
}

static void put_position(struct wz_pass_ledger *ledger)
{
    uint8_t bytes[3 * 8];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_slice value = wz_slice(bytes, sizeof(bytes));

    wz_pen_put_u64(&pen, (uint64_t)ledger->raw);
    wz_pen_put_u64(&pen, (uint64_t)ledger->processed_at);
    wz_pen_put_u64(&pen, ledger->next_number);
    wz_journal_put(ledger->journal, letters[POSITION], wz_slice(NULL, 0), &value, 1,
                   &ledger->place);
}

// The header.

// Writes decimal digits; printf would be a good part of what a record costs.
static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    size_t pos = sizeof(digits);

    do {
        digits[--pos] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(to, digits + pos, sizeof(digits) - pos);
    return to + (sizeof(digits) - pos);
}

size_t wz_passed_text(uint64_t rule, int64_t offset, int64_t append_ms,
                      char ret_text[WZ_PASSED_TEXT_MAX])
{
    char *to = put_number(ret_text, rule);

    *to++ = '.';
    to = put_number(to, (uint64_t)offset);
    *to++ = '.';
    to = put_number(to, (uint64_t)append_ms);
    return (size_t)(to - ret_text);
}

// Reads decimal digits off the front of S, up to a dot or the end.
static bool get_number(struct wz_slice *s, uint64_t *ret_number)
{
    size_t i = 0;

    *ret_number = 0;
    for (; i < s->len && s->ptr[i] != '.'; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9' || i > 18)
            return false;
        *ret_number = *ret_number * 10 + (uint64_t)(s->ptr[i] - '0');
    }
    if (i == 0)
        return false;
    *s = wz_slice_sub(*s, i < s->len ? i + 1 : i, i < s->len ? s->len - i - 1 : 0);
    return true;
}

// Recovery.

// The topic under which a record came in: what the stamp _topic says.
static bool find_topic(struct wz_slice body, struct wz_buf *ret_topic)
{
    struct wz_json_members walk = {0};
    struct wz_json_member member;

    if (body.len > 2)
        walk.rest = wz_slice_sub(body, 1, body.len - 2);
    while (wz_json_members_next(&walk, &member)) {
        if (!wz_slice_eq(member.name, WZ_SLICE_LIT("\"_topic\"")))
            continue;
        if (member.value.len < 2 || member.value.ptr[0] != '"')
            return false;
        wz_json_add_unescaped(ret_topic, member.value);
        return ret_topic->len <= 255;
    }
    return false;
}

// A record on processed-stream that may have passed.
static void note(struct wz_pass_ledger *ledger, const struct wz_record *record)
{
    WZ_AUTO(wz_buf_release) struct wz_buf topic = {0};
    struct wz_slice text = wz_record_header_find(record, "passed");
    struct wz_pass_last last = {0};
    const struct known *known;
    uint64_t number;
    uint64_t offset;
    uint64_t append_ms;

    if (text.len == 0 || !get_number(&text, &number) || !get_number(&text, &offset) ||
        !get_number(&text, &append_ms))
        return;
    if (ledger->resume <= (int64_t)offset)
        ledger->resume = (int64_t)offset + 1;
    known = find_known(ledger, number);
    if (!known || !known->remembers || !find_topic(record->value, &topic))
        return;
    last.offset = (int64_t)offset;
    last.append_ms = (int64_t)append_ms;
    if (known->member.len > 0)
        wz_pass_value_find(record->value, known->member, &last.value);
    wz_pass_states_restore(&ledger->states, number, wz_buf_slice(&topic), &last);
}

static int read_processed(struct wz_pass_ledger *ledger)
{
    struct wz_reader_options options = {.direction = WZ_FORWARD, .position = ledger->processed_at};
    struct wz_reader *reader;
    struct wz_record record;
    int r = wz_reader_open(ledger->processed, &options, &reader);

    if (r < 0)
        return r;
    while ((r = wz_reader_next(reader, &record)) == WZ_OK)
        note(ledger, &record);
    wz_reader_close(reader);
    return r == WZ_END ? WZ_OK : r;
}

static bool is_known(void *arg, uint64_t rule) { return find_known(arg, rule) != NULL; }

int wz_pass_ledger_recover(struct wz_pass_ledger *ledger, const struct wz_log *raw,
                           struct wz_problem *ret_problem)
{
    int64_t end = wz_log_next_offset(raw);
    int r = WZ_OK;

    ledger->resume = ledger->raw;
    if (ledger->raw < 0) { // never kept: what is there was there before
        ledger->raw = ledger->resume = end;
        ledger->processed_at = wz_log_next_offset(ledger->processed);
    } else {
        r = read_processed(ledger);
    }
    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO,
                              "processed-stream could not be read: %s", wz_err_text(r));
    if (ledger->resume > end) // of a stream that was taken away
        ledger->resume = end;
    wz_pass_states_settle(&ledger->states, is_known, ledger);
    return WZ_OK;
}

// Rules.

void wz_pass_ledger_begin_rules(struct wz_pass_ledger *ledger)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &ledger->rules) { KNOWN_OF(it)->used = false; }
}

uint64_t wz_pass_ledger_number(struct wz_pass_ledger *ledger, const struct wz_pass_rule *rule)
{
    struct wz_slice name = wz_slice_str(rule->name);
    struct known *known;
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &ledger->rules)
    {
        known = KNOWN_OF(it);
        if (known->gone || known->hash != rule->hash || !wz_slice_eq(known->name, name))
            continue;
        known->used = true;
        return known->number;
    }
    known = add_known(ledger, ledger->next_number, name, wz_buf_slice(&rule->member));
    known->hash = rule->hash;
    known->remembers = wz_pass_rule_remembers(rule);
    known->used = true;
    ledger->rules_stale = true;
    return known->number;
}

void wz_pass_ledger_end_rules(struct wz_pass_ledger *ledger)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &ledger->rules)
    {
        struct known *known = KNOWN_OF(it);

        if (known->used || known->gone)
            continue;
        known->gone = true;
        wz_pass_states_forget(&ledger->states, known->number);
        ledger->rules_stale = true;
    }
}

static void put_rule(struct wz_pass_ledger *ledger, struct known *known)
{
    uint8_t key_bytes[8];
    uint8_t bytes[8 + 1 + 2];
    struct wz_pen key = wz_pen(key_bytes, sizeof(key_bytes));
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_slice key_slice = wz_slice(key_bytes, sizeof(key_bytes));
    struct wz_slice pieces[] = {wz_slice(bytes, sizeof(bytes)), known->name, known->member};

    wz_pen_put_u64(&key, known->number);
    if (known->gone) {
        if (known->place.offset >= 0)
            wz_journal_remove(ledger->journal, letters[RULE], key_slice, &known->place);
        free_known(known);
        return;
    }
    wz_pen_put_u64(&pen, known->hash);
    wz_pen_put_u8(&pen, known->remembers);
    wz_pen_put_u16(&pen, (uint16_t)known->name.len);
    wz_journal_put(ledger->journal, letters[RULE], key_slice, pieces, known->member.len > 0 ? 3 : 2,
                   &known->place);
}

// Puts what has changed of the rules, and the next number: it is never given twice.
static void put_rules(struct wz_pass_ledger *ledger)
{
    struct wz_list *it;
    struct wz_list *tmp;

    wz_journal_begin(ledger->journal);
    WZ_LIST_EACH(it, tmp, &ledger->rules)
    {
        if (KNOWN_OF(it)->gone || KNOWN_OF(it)->place.offset < 0)
            put_rule(ledger, KNOWN_OF(it));
    }
    put_position(ledger);
    wz_journal_end(ledger->journal, &ledger->rules_offset);
    ledger->rules_stale = false;
}

bool wz_pass_ledger_settled(struct wz_pass_ledger *ledger)
{
    struct wz_log *log = wz_journal_log(ledger->journal);

    if (ledger->rules_stale) {
        if (!wz_journal_ready(ledger->journal))
            return false;
        put_rules(ledger);
    }
    if (ledger->rules_offset < 0)
        return true;
    if (wz_log_durable_end(log) <= ledger->rules_offset) {
        wz_log_want(log);
        return false;
    }
    ledger->rules_offset = -1;
    return true;
}

// The position.

void wz_pass_ledger_keep(struct wz_pass_ledger *ledger, int64_t raw)
{
    if (ledger->keeping)
        return;
    ledger->keeping = true;
    ledger->keep_raw = raw;
    ledger->keep_processed = wz_log_next_offset(ledger->processed);
    wz_pass_states_freeze(&ledger->states);
}

bool wz_pass_ledger_advance(struct wz_pass_ledger *ledger)
{
    int64_t unused;
    bool done;

    if (!ledger->keeping)
        return false;
    if (wz_log_durable_end(ledger->processed) < ledger->keep_processed) {
        wz_log_want(ledger->processed);
        return false;
    }
    if (!wz_journal_ready(ledger->journal))
        return false;
    wz_journal_begin(ledger->journal);
    done = wz_pass_states_save(&ledger->states, SAVE_COUNT);
    if (done) {
        ledger->raw = ledger->keep_raw;
        ledger->processed_at = ledger->keep_processed;
        ledger->keeping = false;
        put_position(ledger);
    }
    wz_journal_end(ledger->journal, &unused);
    return !done;
}

bool wz_pass_ledger_finish(struct wz_pass_ledger *ledger)
{
    while (ledger->keeping && wz_journal_ready(ledger->journal) && wz_pass_ledger_advance(ledger))
        continue;
    return !ledger->keeping;
}
