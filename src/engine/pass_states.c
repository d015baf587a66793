// SPDX-License-Identifier: Apache-2.0
// Owns the entries. One that is not there any more stays until the journal has forgotten it.
#include "engine/pass_states.h"

#include <stdlib.h>

#include "base/mem.h"
#include "broker/journal_keys.h"

#define LETTER 'V'
#define NUMBER_BYTES 8
#define KEY_BYTES_MAX (NUMBER_BYTES + 255)
#define VALUE_BYTES (2 * 8 + 1 + 8 + 2 * 8)

struct entry {
    struct wz_list order;
    struct wz_list change; // in DIRTY or SAVING
    struct wz_pass_last now;
    struct wz_pass_last frozen;
    struct wz_journal_place place;
    bool there; // NOW counts
    bool saving;
    bool frozen_there; // FROZEN counts
    bool again;        // it has changed since it was frozen
    uint16_t key_len;
    uint8_t key[];
};

#define ENTRY_OF(link, member) WZ_CONTAINER(link, struct entry, member)

void wz_pass_states_init(struct wz_pass_states *states, struct wz_journal *journal, size_t max)
{
    *states =
        (struct wz_pass_states){.journal = journal, .max = max > 0 ? max : WZ_PASS_STATES_MAX};
    wz_list_init(&states->order);
    wz_list_init(&states->dirty);
    wz_list_init(&states->saving);
}

static void free_entry(struct wz_pass_states *states, struct entry *entry)
{
    wz_list_remove(&entry->order);
    wz_list_remove(&entry->change);
    (void)wz_map_remove(&states->by_key, wz_slice(entry->key, entry->key_len)); // it is there
    wz_free(entry);
}

void wz_pass_states_release(struct wz_pass_states *states)
{
    struct entry *entry;
    size_t state = 0;

    while ((entry = wz_map_next(&states->by_key, &state)))
        free_entry(states, entry);
    wz_map_release(&states->by_key);
}

// The key of a rule and a topic, in BYTES.
static struct wz_slice make_key(uint64_t rule, struct wz_slice topic, uint8_t bytes[KEY_BYTES_MAX])
{
    struct wz_pen pen = wz_pen(bytes, KEY_BYTES_MAX);

    wz_pen_put_u64(&pen, rule);
    wz_pen_put_slice(&pen, topic);
    WZ_ASSERT(!pen.failed); // topics of records are not longer
    return wz_slice(bytes, NUMBER_BYTES + topic.len);
}

static struct entry *use(struct wz_pass_states *states, struct wz_slice key)
{
    struct entry *entry = wz_map_get(&states->by_key, key);

    if (entry)
        return entry;
    entry = wz_alloc(sizeof(*entry) + key.len);
    *entry = (struct entry){.place = WZ_JOURNAL_NOWHERE, .key_len = (uint16_t)key.len};
    memcpy(entry->key, key.ptr, key.len);
    wz_list_init(&entry->order);
    wz_list_init(&entry->change);
    (void)wz_map_put(&states->by_key, wz_slice(entry->key, entry->key_len), entry); // it is new
    return entry;
}

static void changed(struct wz_pass_states *states, struct entry *entry)
{
    if (entry->saving)
        entry->again = true;
    else if (wz_list_empty(&entry->change))
        wz_list_push(&states->dirty, &entry->change);
}

static void drop(struct wz_pass_states *states, struct entry *entry)
{
    entry->there = false;
    states->count--;
    wz_list_remove(&entry->order);
    if (entry->saving || entry->place.offset >= 0)
        changed(states, entry);
    else
        free_entry(states, entry);
}

// Moves an entry behind all others; forgets those that are too many.
static void touch(struct wz_pass_states *states, struct entry *entry)
{
    if (!entry->there)
        states->count++;
    entry->there = true;
    wz_list_remove(&entry->order);
    wz_list_push(&states->order, &entry->order);
    while (states->count > states->max)
        drop(states, ENTRY_OF(states->order.next, order));
}

static void put_last(struct wz_pen *pen, const struct wz_pass_last *last)
{
    uint64_t bits;

    memcpy(&bits, &last->value.number, sizeof(bits));
    wz_pen_put_u64(pen, (uint64_t)last->offset);
    wz_pen_put_u64(pen, (uint64_t)last->append_ms);
    wz_pen_put_u8(pen, (uint8_t)last->value.kind);
    wz_pen_put_u64(pen, bits);
    wz_pen_put_u64(pen, last->value.hash[0]);
    wz_pen_put_u64(pen, last->value.hash[1]);
}

static void get_last(struct wz_slice value, struct wz_pass_last *ret_last)
{
    struct wz_cursor cur = wz_cursor(value);
    uint64_t bits;

    *ret_last = (struct wz_pass_last){.offset = (int64_t)wz_cursor_get_u64(&cur)};
    ret_last->append_ms = (int64_t)wz_cursor_get_u64(&cur);
    ret_last->value.kind = (enum wz_pass_value_kind)wz_cursor_get_u8(&cur);
    bits = wz_cursor_get_u64(&cur);
    memcpy(&ret_last->value.number, &bits, sizeof(bits));
    ret_last->value.hash[0] = wz_cursor_get_u64(&cur);
    ret_last->value.hash[1] = wz_cursor_get_u64(&cur);
}

int wz_pass_states_replay(struct wz_pass_states *states, const struct wz_journal_record *record)
{
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_PASS_STATE, record);
    struct entry *entry;

    if (r < 0)
        return r;
    entry = use(states, record->key);
    wz_journal_drop(states->journal, &entry->place);
    if (record->removed) {
        free_entry(states, entry);
        return WZ_OK;
    }
    entry->place = record->place;
    entry->there = true;
    get_last(record->value, &entry->now);
    return WZ_OK;
}

struct wz_journal_place *wz_pass_states_find(struct wz_pass_states *states, struct wz_slice key)
{
    struct entry *entry = wz_map_get(&states->by_key, key);

    return entry && entry->place.offset >= 0 ? &entry->place : NULL;
}

void wz_pass_states_restore(struct wz_pass_states *states, uint64_t rule, struct wz_slice topic,
                            const struct wz_pass_last *last)
{
    uint8_t bytes[KEY_BYTES_MAX];
    struct entry *entry = use(states, make_key(rule, topic, bytes));

    if (entry->there && entry->now.offset >= last->offset)
        return;
    entry->there = true;
    entry->now = *last;
    changed(states, entry);
}

static uint64_t rule_of(const struct entry *entry)
{
    struct wz_cursor cur = wz_cursor(wz_slice(entry->key, NUMBER_BYTES));

    return wz_cursor_get_u64(&cur);
}

static int by_offset(const void *a, const void *b)
{
    const struct entry *const *one = a;
    const struct entry *const *other = b;
    int64_t by = (*one)->now.offset - (*other)->now.offset;

    return by < 0 ? -1 : by > 0 ? 1 : 0;
}

void wz_pass_states_settle(struct wz_pass_states *states, wz_pass_states_known_fn known, void *arg)
{
    WZ_AUTO(wz_free_ptr)
    struct entry **entries = wz_zalloc(states->by_key.count + 1, sizeof(struct entry *));
    struct entry *entry;
    size_t count = 0;
    size_t state = 0;

    while ((entry = wz_map_next(&states->by_key, &state)))
        entries[count++] = entry;
    qsort(entries, count, sizeof(entries[0]), by_offset);
    for (size_t i = 0; i < count; i++) {
        entry = entries[i];
        entry->there = false;
        if (known(arg, rule_of(entry))) {
            touch(states, entry); // the first ones go when there are too many
        } else {
            states->count++; // drop takes it off
            drop(states, entry);
        }
    }
}

const struct wz_pass_last *wz_pass_states_get(const struct wz_pass_states *states, uint64_t rule,
                                              struct wz_slice topic)
{
    uint8_t bytes[KEY_BYTES_MAX];
    const struct entry *entry = wz_map_get(&states->by_key, make_key(rule, topic, bytes));

    return entry && entry->there ? &entry->now : NULL;
}

void wz_pass_states_set(struct wz_pass_states *states, uint64_t rule, struct wz_slice topic,
                        const struct wz_pass_last *last)
{
    uint8_t bytes[KEY_BYTES_MAX];
    struct entry *entry = use(states, make_key(rule, topic, bytes));

    entry->now = *last;
    changed(states, entry);
    touch(states, entry);
}

void wz_pass_states_forget(struct wz_pass_states *states, uint64_t rule)
{
    struct entry *entry;
    size_t state = 0;

    while ((entry = wz_map_next(&states->by_key, &state)))
        if (entry->there && rule_of(entry) == rule)
            drop(states, entry);
}

void wz_pass_states_freeze(struct wz_pass_states *states)
{
    struct wz_list *link;

    WZ_ASSERT(wz_list_empty(&states->saving));
    while ((link = wz_list_shift(&states->dirty))) {
        struct entry *entry = ENTRY_OF(link, change);

        entry->frozen = entry->now;
        entry->frozen_there = entry->there;
        entry->saving = true;
        entry->again = false;
        wz_list_push(&states->saving, link);
    }
}

// Puts an entry as it was frozen.
static void save(struct wz_pass_states *states, struct entry *entry)
{
    uint8_t bytes[VALUE_BYTES];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_slice value = wz_slice(bytes, sizeof(bytes));
    struct wz_slice key = wz_slice(entry->key, entry->key_len);

    if (entry->frozen_there) {
        put_last(&pen, &entry->frozen);
        wz_journal_put(states->journal, LETTER, key, &value, 1, &entry->place);
    } else if (entry->place.offset >= 0) {
        wz_journal_remove(states->journal, LETTER, key, &entry->place);
    }
    entry->saving = false;
    if (entry->again)
        wz_list_push(&states->dirty, &entry->change); // also what has gone since, to be taken out
    else if (!entry->there)
        free_entry(states, entry);
}

bool wz_pass_states_save(struct wz_pass_states *states, size_t max)
{
    struct wz_list *link;

    while (max-- > 0 && (link = wz_list_shift(&states->saving)))
        save(states, ENTRY_OF(link, change));
    return wz_list_empty(&states->saving);
}
