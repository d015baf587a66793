// SPDX-License-Identifier: Apache-2.0
// Owns the forms of the journal's keys and values, as a table.
#include "broker/journal_keys.h"

#include "base/cursor.h"
#include "broker/packet_shifts.h"
#include "topic/pattern.h"
#include "wire/frames.h"
#include "wire/mqtt.h"

#define VERSION 1
#define ID_BYTES 8

// No message has this sequence, and no shared body this number: there is always one more.
#define LAST "\xff\xff\xff\xff\xff\xff\xff\xff"

// The kind of a queue that is an MQTT session.
#define QUEUE_SESSION 1
// Of scripts: why one is halted, and the streams they read (engine/account.h).
#define HALT_MAX 2
#define SCRIPT_STREAMS 2

// Of the passthrough: how a value may be (engine/pass_value.h), and the longest topic.
#define PASS_VALUE_MAX 2
#define PASS_TOPIC_MAX 255

static const struct {
    char letter;
    const char *name;
} kinds[] = {
#define KIND(id, letter, name) {letter, name},
    WZ_JOURNAL_KEYS_TABLE(KIND)
#undef KIND
};

// What stands behind a key's letter: so many bytes, or that many and more.
static const struct {
    size_t len;
    bool more;
} forms[WZ_JOURNAL_KEY_COUNT] = {
    [WZ_JOURNAL_KEY_QUEUE] = {ID_BYTES, false},
    [WZ_JOURNAL_KEY_BINDING] = {ID_BYTES + 1, true},
    [WZ_JOURNAL_KEY_ENTRY] = {16, false},
    [WZ_JOURNAL_KEY_SHARED] = {8, false},
    [WZ_JOURNAL_KEY_HEAD] = {ID_BYTES, false},
    [WZ_JOURNAL_KEY_SHIFTS] = {ID_BYTES, false},
    [WZ_JOURNAL_KEY_RECEIVED] = {10, false},
    [WZ_JOURNAL_KEY_RETAINED] = {1, true},
    [WZ_JOURNAL_KEY_MARK] = {0, false},
    [WZ_JOURNAL_KEY_COMMANDS] = {0, true},
    [WZ_JOURNAL_KEY_SCRIPT] = {ID_BYTES, false},
    [WZ_JOURNAL_KEY_LEDGER] = {ID_BYTES, false},
    [WZ_JOURNAL_KEY_STATE] = {ID_BYTES + 2, true},
    [WZ_JOURNAL_KEY_OUTPUTS] = {20, false},
    [WZ_JOURNAL_KEY_STAGED] = {20, false},
    [WZ_JOURNAL_KEY_QUARANTINED] = {16, false},
    [WZ_JOURNAL_KEY_PASS_POSITION] = {0, false},
    [WZ_JOURNAL_KEY_PASS_RULE] = {8, false},
    [WZ_JOURNAL_KEY_PASS_STATE] = {8 + 1, true},
    [WZ_JOURNAL_KEY_REENTRY] = {0, true},
};

const char *wz_journal_key_name(enum wz_journal_key kind) { return kinds[kind].name; }

bool wz_journal_key_of_queue(enum wz_journal_key kind)
{
    return kind != WZ_JOURNAL_KEY_SHARED && kind != WZ_JOURNAL_KEY_RETAINED &&
           kind != WZ_JOURNAL_KEY_MARK && kind < WZ_JOURNAL_KEY_COMMANDS;
}

// A topic with its length in front, and a body.
static bool is_message(struct wz_cursor *cur)
{
    struct wz_slice topic = wz_cursor_get_bytes(cur, wz_cursor_get_u16(cur));

    return !cur->failed && wz_mqtt_topic_valid(topic);
}

static bool is_entry(struct wz_slice value)
{
    struct wz_cursor cur = wz_cursor(value);
    uint8_t qos = wz_cursor_get_u8(&cur);
    uint8_t flags;

    if (value.len == 1)
        return qos == UINT8_MAX;
    flags = wz_cursor_get_u8(&cur);
    if (qos < 1 || qos > 2 || flags > 3)
        return false;
    if ((flags & 2) != 0)
        return wz_cursor_left(&cur) == 8 && memcmp(cur.pos, LAST, 8) != 0;
    return is_message(&cur);
}

// A QoS and, while what is retained is walked over, 1 and the topic that the walk has come to.
static bool is_binding(struct wz_slice value)
{
    if (value.len == 0 || value.ptr[0] > 2)
        return false;
    return value.len == 1 ||
           (value.ptr[1] == 1 &&
            (value.len == 2 || wz_mqtt_topic_valid(wz_slice_sub(value, 2, value.len - 2))));
}

static bool is_shifts(struct wz_slice value)
{
    struct wz_packet_shifts shifts = {0};
    int r = wz_packet_shifts_decode(&shifts, value);

    wz_packet_shifts_release(&shifts);
    return r == WZ_OK;
}

// A name and why it does not run.
static bool is_script(struct wz_cursor *cur)
{
    uint8_t halt = wz_cursor_get_u8(cur);
    struct wz_slice name;

    (void)wz_cursor_get_u64(cur); // the document's revision
    name = wz_cursor_get_bytes(cur, wz_cursor_get_u16(cur));
    return !cur->failed && halt <= HALT_MAX && name.len > 0;
}

static bool is_position(struct wz_cursor *cur)
{
    uint8_t count;

    (void)wz_cursor_get_u64(cur); // the base
    count = wz_cursor_get_u8(cur);
    for (int i = 0; i < count; i++) {
        if (wz_cursor_get_u8(cur) >= WZ_LANE_COUNT)
            return false;
        (void)wz_cursor_get_u64(cur); // the lane's end
    }
    return !cur->failed;
}

// Two commits and a mark, a position a stream.
static bool is_ledger(struct wz_cursor *cur)
{
    (void)wz_cursor_get_bytes(cur, 3 * sizeof(uint64_t));
    return wz_cursor_get_u8(cur) == SCRIPT_STREAMS && is_position(cur) && is_position(cur) &&
           wz_cursor_left(cur) == 0;
}

static bool is_outputs(struct wz_cursor *cur)
{
    (void)wz_cursor_get_u32(cur); // which one is the first
    do {
        uint8_t flags = wz_cursor_get_u8(cur);
        uint8_t parent_len;
        uint8_t topic_len;

        (void)wz_cursor_get_u8(cur); // hops
        parent_len = wz_cursor_get_u8(cur);
        topic_len = wz_cursor_get_u8(cur);
        (void)wz_cursor_get_bytes(cur, (size_t)parent_len + topic_len + wz_cursor_get_u32(cur));
        if (flags > 1 || topic_len == 0)
            return false;
    } while (!cur->failed && wz_cursor_left(cur) > 0);
    return !cur->failed;
}

static bool is_staged(struct wz_cursor *cur)
{
    struct wz_frame_iter it = {.cur = *cur, .left = 1};
    struct wz_frame_entry change;

    return wz_frame_next_entry(&it, &change) == WZ_OK &&
           wz_frame_next_entry(&it, &change) == WZ_END;
}

static bool is_quarantined(struct wz_cursor *cur)
{
    uint8_t stream = wz_cursor_get_u8(cur);
    size_t len;

    (void)wz_cursor_get_bytes(cur, 1 + 4 + 3 * sizeof(uint64_t)); // hops, attempts, offset, times
    len = wz_cursor_get_u16(cur);
    len += wz_cursor_get_u32(cur);
    len += wz_cursor_get_u32(cur);
    (void)wz_cursor_get_bytes(cur, len);
    return !cur->failed && stream < SCRIPT_STREAMS;
}

// What it does, whether it remembers, its name, and the member whose change counts.
static bool is_pass_rule(struct wz_cursor *cur)
{
    uint8_t remembers;
    struct wz_slice name;

    (void)wz_cursor_get_u64(cur); // what it does
    remembers = wz_cursor_get_u8(cur);
    name = wz_cursor_get_bytes(cur, wz_cursor_get_u16(cur));
    return !cur->failed && remembers <= 1 && name.len > 0;
}

// An offset, a time, and a value.
static bool is_pass_state(struct wz_slice value)
{
    return value.len == 2 * 8 + 1 + 8 + 2 * 8 && value.ptr[16] <= PASS_VALUE_MAX;
}

static bool is_value(enum wz_journal_key kind, struct wz_slice value)
{
    struct wz_cursor cur = wz_cursor(value);

    switch (kind) {
    case WZ_JOURNAL_KEY_QUEUE:
        return value.len > 9 && value.ptr[0] == QUEUE_SESSION;
    case WZ_JOURNAL_KEY_BINDING:
        return is_binding(value);
    case WZ_JOURNAL_KEY_ENTRY:
        return is_entry(value);
    case WZ_JOURNAL_KEY_SHARED:
        return is_message(&cur);
    case WZ_JOURNAL_KEY_SHIFTS:
        return is_shifts(value);
    case WZ_JOURNAL_KEY_RECEIVED:
        return value.len == 9 && value.ptr[8] <= 2;
    case WZ_JOURNAL_KEY_RETAINED:
        return value.len > 9 && value.ptr[0] <= 2;
    case WZ_JOURNAL_KEY_SCRIPT:
        return is_script(&cur);
    case WZ_JOURNAL_KEY_LEDGER:
        return is_ledger(&cur);
    case WZ_JOURNAL_KEY_STATE:
        return value.len > 0 && value.len <= WZ_STATE_VALUE_MAX;
    case WZ_JOURNAL_KEY_OUTPUTS:
        return is_outputs(&cur);
    case WZ_JOURNAL_KEY_STAGED:
        return is_staged(&cur);
    case WZ_JOURNAL_KEY_QUARANTINED:
        return is_quarantined(&cur);
    case WZ_JOURNAL_KEY_PASS_POSITION:
        return value.len == 3 * 8;
    case WZ_JOURNAL_KEY_PASS_RULE:
        return is_pass_rule(&cur);
    case WZ_JOURNAL_KEY_PASS_STATE:
        return is_pass_state(value);
    case WZ_JOURNAL_KEY_REENTRY: // how far, marks, or what was wished
        return value.len == 24 || value.len == 512 || (value.len > 0 && value.ptr[0] == '{');
    default: // a number
        return value.len == 8;
    }
}

static bool is_key(enum wz_journal_key kind, struct wz_slice rest)
{
    if (forms[kind].more ? rest.len < forms[kind].len : rest.len != forms[kind].len)
        return false;
    if (kind == WZ_JOURNAL_KEY_RECEIVED) // packet identifiers begin with 1
        return rest.ptr[8] != 0 || rest.ptr[9] != 0;
    if (kind == WZ_JOURNAL_KEY_REENTRY)
        return rest.len == 0 || (rest.len == 1 && rest.ptr[0] == 's') ||
               (rest.len == 9 && rest.ptr[0] == 'm');
    if (kind == WZ_JOURNAL_KEY_ENTRY)
        return memcmp(rest.ptr + ID_BYTES, LAST, 8) != 0;
    if (kind == WZ_JOURNAL_KEY_SHARED)
        return memcmp(rest.ptr, LAST, 8) != 0;
    if (kind == WZ_JOURNAL_KEY_STATE)
        return rest.ptr[ID_BYTES] <= WZ_LANE_SHARED && rest.len <= ID_BYTES + 1 + WZ_STATE_KEY_MAX;
    if (kind == WZ_JOURNAL_KEY_PASS_STATE)
        return rest.len <= 8 + PASS_TOPIC_MAX;
    if (kind == WZ_JOURNAL_KEY_BINDING)
        return wz_pattern_valid(&wz_topic_mqtt, wz_slice_sub(rest, 8, rest.len - 8));
    return kind != WZ_JOURNAL_KEY_RETAINED || wz_mqtt_topic_valid(rest);
}

// Looks at a key without its letter, and its value without the version.
static int check(enum wz_journal_key kind, struct wz_slice key, struct wz_slice value)
{
    if (!is_key(kind, key))
        return WZ_ERR_CORRUPT;
    if (is_value(kind, value))
        return WZ_OK;
    // A queue that is none of ours has a form that we cannot know.
    return kind == WZ_JOURNAL_KEY_QUEUE && value.len > 0 && value.ptr[0] != QUEUE_SESSION
               ? WZ_ERR_UNSUPPORTED
               : WZ_ERR_CORRUPT;
}

int wz_journal_key_check(struct wz_slice key, struct wz_slice value, enum wz_journal_key *ret_kind)
{
    struct wz_slice rest;
    int kind = 0;

    while (kind < WZ_JOURNAL_KEY_COUNT && (key.len == 0 || key.ptr[0] != kinds[kind].letter))
        kind++;
    if (kind == WZ_JOURNAL_KEY_COUNT)
        return WZ_ERR_UNSUPPORTED;
    *ret_kind = (enum wz_journal_key)kind;
    rest = wz_slice_sub(key, 1, key.len - 1);
    if (value.ptr == NULL)
        return is_key(*ret_kind, rest) ? WZ_OK : WZ_ERR_CORRUPT;
    if (value.len == 0 || value.ptr[0] != VERSION)
        return is_key(*ret_kind, rest) ? WZ_ERR_UNSUPPORTED : WZ_ERR_CORRUPT;
    return check(*ret_kind, rest, wz_slice_sub(value, 1, value.len - 1));
}

int wz_journal_key_check_record(enum wz_journal_key kind, const struct wz_journal_record *record)
{
    if (record->removed)
        return is_key(kind, record->key) ? WZ_OK : WZ_ERR_CORRUPT;
    return check(kind, record->key, record->value);
}
