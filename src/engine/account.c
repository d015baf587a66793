// SPDX-License-Identifier: Apache-2.0
// Owns the keys of one script in the journal.
#include "engine/account.h"

#include "base/mem.h"

// How many keys of a script that is gone are taken out in one group.
#define REMOVE_STEP 1000

static struct wz_slice id_slice(const struct wz_account *account)
{
    return wz_slice(account->id, sizeof(account->id));
}

struct wz_account *wz_account_new(struct wz_journal *journal, uint64_t id, const char *name)
{
    struct wz_account *account = wz_zalloc(1, sizeof(*account));
    struct wz_pen pen = wz_pen(account->id, sizeof(account->id));

    wz_pen_put_u64(&pen, id);
    account->journal = journal;
    account->name = name ? wz_strdup(name) : NULL;
    account->place = WZ_JOURNAL_NOWHERE;
    account->ledger_place = WZ_JOURNAL_NOWHERE;
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++)
        account->positions[i].base = -1;
    wz_list_init(&account->link);
    wz_list_init(&account->outputs);
    wz_list_init(&account->staged);
    wz_list_init(&account->quarantine);
    return account;
}

static void free_parts(struct wz_list *parts)
{
    struct wz_list *link;

    while ((link = wz_list_shift(parts))) {
        struct wz_stored_part *part = WZ_CONTAINER(link, struct wz_stored_part, link);

        wz_buf_release(&part->value);
        wz_free(part);
    }
}

void wz_account_free(struct wz_account *account)
{
    struct wz_state_entry *entry;
    struct wz_list *link;
    size_t walk = 0;

    while ((entry = wz_map_next(&account->state, &walk)))
        wz_free(entry);
    wz_map_release(&account->state);
    free_parts(&account->outputs);
    free_parts(&account->staged);
    while ((link = wz_list_shift(&account->quarantine)))
        wz_free(WZ_CONTAINER(link, struct wz_quarantined, link));
    wz_map_release(&account->by_number);
    wz_list_remove(&account->link);
    wz_free(account->name);
    wz_free(account->remark);
    wz_free(account);
}

uint64_t wz_account_number(const struct wz_account *account)
{
    struct wz_cursor cur = wz_cursor(id_slice(account));

    return wz_cursor_get_u64(&cur);
}

// A key: the script's id and what follows.
struct key {
    uint8_t bytes[8 + 1 + WZ_STATE_KEY_MAX];
    size_t len;
};

static struct wz_slice make_key(struct key *key, const struct wz_account *account,
                                struct wz_slice rest)
{
    struct wz_pen pen = wz_pen(key->bytes, sizeof(key->bytes));

    wz_pen_put_slice(&pen, id_slice(account));
    wz_pen_put_slice(&pen, rest);
    WZ_ASSERT(!pen.failed);
    return wz_slice(key->bytes, (size_t)(pen.pos - key->bytes));
}

static void put(struct wz_account *account, char letter, struct wz_slice rest,
                const struct wz_slice *pieces, int count, struct wz_journal_place *place)
{
    struct key key;

    wz_journal_put(account->journal, letter, make_key(&key, account, rest), pieces, count, place);
}

static void take_out(struct wz_account *account, char letter, struct wz_slice rest,
                     struct wz_journal_place *place)
{
    struct key key;

    wz_journal_remove(account->journal, letter, make_key(&key, account, rest), place);
}

void wz_account_put(struct wz_account *account)
{
    uint8_t bytes[1 + 8 + 2];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_slice pieces[3];
    int count = 2;

    if (account->gone)
        return;
    wz_pen_put_u8(&pen, (uint8_t)account->halt);
    wz_pen_put_u64(&pen, (uint64_t)account->halt_revision);
    wz_pen_put_u16(&pen, (uint16_t)strlen(account->name));
    pieces[0] = wz_slice(bytes, sizeof(bytes));
    pieces[1] = wz_slice_str(account->name);
    if (account->remark && account->remark[0])
        pieces[count++] = wz_slice_str(account->remark);
    put(account, 'C', (struct wz_slice){0}, pieces, count, &account->place);
}

static void set_halt(struct wz_account *account, enum wz_halt halt, int64_t revision,
                     struct wz_slice remark)
{
    char *text = remark.len > 0 ? wz_strndup(remark.ptr, remark.len) : NULL;

    wz_free(account->remark);
    account->remark = text;
    account->halt = halt;
    account->halt_revision = revision;
}

void wz_account_halt(struct wz_account *account, enum wz_halt halt, int64_t revision,
                     struct wz_slice remark)
{
    set_halt(account, halt, revision, remark);
    wz_account_put(account);
}

static int read_account(struct wz_account *account, struct wz_slice value)
{
    struct wz_cursor cur = wz_cursor(value);
    uint8_t halt = wz_cursor_get_u8(&cur);
    int64_t revision = (int64_t)wz_cursor_get_u64(&cur);
    struct wz_slice name = wz_cursor_get_bytes(&cur, wz_cursor_get_u16(&cur));

    if (cur.failed || name.len == 0 || halt > WZ_HALT_PARKED)
        return WZ_ERR_CORRUPT;
    wz_free(account->name);
    account->name = wz_strndup(name.ptr, name.len);
    set_halt(account, (enum wz_halt)halt, revision,
             wz_cursor_get_bytes(&cur, wz_cursor_left(&cur)));
    return WZ_OK;
}

static int read_ledger(struct wz_account *account, struct wz_slice value)
{
    struct wz_cursor cur = wz_cursor(value);
    uint8_t count;

    account->commit = wz_cursor_get_u64(&cur);
    account->projected = wz_cursor_get_u64(&cur);
    account->mark = (int64_t)wz_cursor_get_u64(&cur);
    count = wz_cursor_get_u8(&cur);
    if (cur.failed || count != WZ_SCRIPT_STREAM_COUNT)
        return WZ_ERR_CORRUPT;
    for (int i = 0; i < count; i++)
        wz_position_get(&cur, &account->positions[i]);
    return cur.failed || wz_cursor_left(&cur) > 0 ? WZ_ERR_CORRUPT : WZ_OK;
}

void wz_account_put_ledger(struct wz_account *account, uint64_t commit, struct wz_slice positions)
{
    uint8_t bytes[8 + 8 + 8];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    const struct wz_slice pieces[] = {wz_slice(bytes, sizeof(bytes)), positions};
    struct wz_cursor cur = wz_cursor(positions);

    account->commit = commit;
    (void)wz_cursor_get_u8(&cur); // their count
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++)
        wz_position_get(&cur, &account->positions[i]);
    WZ_ASSERT(!cur.failed);
    wz_pen_put_u64(&pen, commit);
    wz_pen_put_u64(&pen, account->projected);
    wz_pen_put_u64(&pen, (uint64_t)account->mark);
    put(account, 'L', (struct wz_slice){0}, pieces, 2, &account->ledger_place);
}

static struct wz_stored_part *add_part(struct wz_list *parts, struct wz_slice id)
{
    struct wz_stored_part *part = wz_zalloc(1, sizeof(*part));

    part->place = WZ_JOURNAL_NOWHERE;
    memcpy(part->id, id.ptr, sizeof(part->id));
    wz_list_push(parts, &part->link);
    return part;
}

static void free_part(struct wz_stored_part *part)
{
    wz_list_remove(&part->link);
    wz_buf_release(&part->value);
    wz_free(part);
}

static void forget_part(struct wz_account *account, struct wz_stored_part *part)
{
    wz_journal_drop(account->journal, &part->place);
    free_part(part);
}

static void put_part(struct wz_account *account, char letter, uint64_t commit, uint32_t number,
                     struct wz_slice value)
{
    uint8_t id[12];
    struct wz_pen pen = wz_pen(id, sizeof(id));
    struct wz_stored_part *part;

    wz_pen_put_u64(&pen, commit);
    wz_pen_put_u32(&pen, number);
    part = add_part(letter == 'O' ? &account->outputs : &account->staged, wz_slice(id, sizeof(id)));
    put(account, letter, wz_slice(id, sizeof(id)), &value, 1, &part->place);
}

void wz_account_put_outputs(struct wz_account *account, uint64_t commit, uint32_t part,
                            struct wz_slice outputs)
{
    put_part(account, 'O', commit, part, outputs);
}

void wz_account_put_staged(struct wz_account *account, uint64_t commit, uint32_t part,
                           struct wz_slice changes)
{
    put_part(account, 'Z', commit, part, changes);
}

static void take_part_out(struct wz_account *account, char letter, struct wz_stored_part *part)
{
    take_out(account, letter, wz_slice(part->id, sizeof(part->id)), &part->place);
    free_part(part);
}

bool wz_account_remove_staged(struct wz_account *account)
{
    if (wz_list_empty(&account->staged))
        return false;
    take_part_out(account, 'Z', WZ_CONTAINER(account->staged.next, struct wz_stored_part, link));
    return true;
}

void wz_account_remove_outputs(struct wz_account *account, struct wz_stored_part *part)
{
    take_part_out(account, 'O', part);
}

uint64_t wz_stored_part_commit(const struct wz_stored_part *part)
{
    struct wz_cursor cur = wz_cursor(wz_slice(part->id, sizeof(part->id)));

    return wz_cursor_get_u64(&cur);
}

uint32_t wz_stored_part_number(const struct wz_stored_part *part)
{
    struct wz_cursor cur = wz_cursor(wz_slice(part->id, sizeof(part->id)));

    (void)wz_cursor_get_u64(&cur); // the commit
    return wz_cursor_get_u32(&cur);
}

void wz_account_project(struct wz_account *account, uint64_t commit, int64_t mark)
{
    struct wz_list *it;
    struct wz_list *tmp;

    account->projected = commit;
    account->mark = mark;
    WZ_LIST_EACH(it, tmp, &account->outputs)
    {
        struct wz_stored_part *part = WZ_CONTAINER(it, struct wz_stored_part, link);

        if (wz_stored_part_commit(part) <= commit)
            forget_part(account, part);
    }
}

static struct wz_slice entry_id(const struct wz_state_entry *entry)
{
    return wz_slice(entry->id, entry->id_len);
}

static void forget_entry(struct wz_account *account, struct wz_state_entry *entry)
{
    (void)wz_map_remove(&account->state, entry_id(entry)); // it is there
    account->state_bytes -= entry->id_len + entry->value_len;
    wz_free(entry);
}

// The entry of that lane and key, made if there is none.
static struct wz_state_entry *hold_entry(struct wz_account *account, struct wz_slice id)
{
    struct wz_state_entry *entry = wz_map_get(&account->state, id);

    if (entry)
        return entry;
    entry = wz_zalloc(1, sizeof(*entry) + id.len);
    entry->place = WZ_JOURNAL_NOWHERE;
    entry->id_len = (uint16_t)id.len;
    memcpy(entry->id, id.ptr, id.len);
    (void)wz_map_put(&account->state, entry_id(entry), entry); // it is new
    account->state_bytes += id.len;
    return entry;
}

void wz_account_change(struct wz_account *account, const struct wz_frame_entry *change)
{
    uint8_t bytes[1 + WZ_STATE_KEY_MAX];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_slice id = wz_slice(bytes, 1 + change->key.len);
    struct wz_state_entry *entry;

    wz_pen_put_u8(&pen, change->lane);
    wz_pen_put_slice(&pen, change->key);
    WZ_ASSERT(!pen.failed);
    if (change->removed) {
        entry = wz_map_get(&account->state, id);
        if (entry) {
            take_out(account, 'S', id, &entry->place);
            forget_entry(account, entry);
        }
        return;
    }
    entry = hold_entry(account, id);
    account->state_bytes -= entry->value_len;
    account->state_bytes += change->value.len;
    entry->value_len = (uint32_t)change->value.len;
    put(account, 'S', id, &change->value, 1, &entry->place);
}

int wz_account_apply_staged(struct wz_account *account)
{
    struct wz_stored_part *part = WZ_CONTAINER(account->staged.next, struct wz_stored_part, link);
    struct wz_frame_iter it = {.cur = wz_cursor(wz_buf_slice(&part->value)), .left = UINT32_MAX};
    struct wz_frame_entry change;
    int r = WZ_OK;

    if (wz_stored_part_commit(part) <= account->commit) {
        while (wz_cursor_left(&it.cur) > 0 && (r = wz_frame_next_entry(&it, &change)) == WZ_OK)
            wz_account_change(account, &change);
    }
    take_part_out(account, 'Z', part);
    return r == WZ_OK ? WZ_OK : WZ_ERR_CORRUPT;
}

void wz_account_clear_state(struct wz_account *account)
{
    struct wz_state_entry *entry;
    size_t walk = 0;

    while ((entry = wz_map_next(&account->state, &walk))) {
        take_out(account, 'S', entry_id(entry), &entry->place);
        forget_entry(account, entry);
    }
}

static struct wz_quarantined *add_quarantined(struct wz_account *account, struct wz_slice id)
{
    struct wz_quarantined *message = wz_zalloc(1, sizeof(*message));
    struct wz_cursor cur = wz_cursor(id);
    uint64_t number = wz_cursor_get_u64(&cur);

    message->place = WZ_JOURNAL_NOWHERE;
    memcpy(message->id, id.ptr, sizeof(message->id));
    wz_list_push(&account->quarantine, &message->link);
    (void)wz_map_put(&account->by_number, wz_slice(message->id, sizeof(message->id)),
                     message); // it is new
    if (number > account->last_quarantined)
        account->last_quarantined = number;
    return message;
}

struct wz_quarantined *wz_account_quarantine(struct wz_account *account, struct wz_slice value)
{
    uint8_t id[8];
    struct wz_pen pen = wz_pen(id, sizeof(id));
    struct wz_quarantined *message;

    wz_pen_put_u64(&pen, account->last_quarantined + 1);
    message = add_quarantined(account, wz_slice(id, sizeof(id)));
    wz_account_quarantine_again(account, message, value);
    return message;
}

void wz_account_quarantine_again(struct wz_account *account, struct wz_quarantined *message,
                                 struct wz_slice value)
{
    put(account, 'X', wz_slice(message->id, sizeof(message->id)), &value, 1, &message->place);
}

static void forget_quarantined(struct wz_account *account, struct wz_quarantined *message)
{
    wz_list_remove(&message->link);
    (void)wz_map_remove(&account->by_number,
                        wz_slice(message->id, sizeof(message->id))); // it is there
    wz_free(message);
}

void wz_account_release(struct wz_account *account, struct wz_quarantined *message)
{
    take_out(account, 'X', wz_slice(message->id, sizeof(message->id)), &message->place);
    forget_quarantined(account, message);
}

struct wz_quarantined *wz_account_find_quarantined(const struct wz_account *account,
                                                   uint64_t number)
{
    uint8_t id[8];
    struct wz_pen pen = wz_pen(id, sizeof(id));

    wz_pen_put_u64(&pen, number);
    return wz_map_get(&account->by_number, wz_slice(id, sizeof(id)));
}

// Takes out up to REMOVE_STEP entries of the state; whether none is left.
static bool remove_state(struct wz_account *account)
{
    struct wz_state_entry *entry;
    size_t walk = 0;
    int left = REMOVE_STEP;

    while (left-- > 0 && (entry = wz_map_next(&account->state, &walk))) {
        take_out(account, 'S', entry_id(entry), &entry->place);
        forget_entry(account, entry);
    }
    return account->state.count == 0;
}

void wz_account_remove_name(struct wz_account *account)
{
    take_out(account, 'C', (struct wz_slice){0}, &account->place);
}

bool wz_account_remove(struct wz_account *account)
{
    struct wz_list *it;
    struct wz_list *tmp;
    int64_t unused;
    bool done;

    if (!wz_journal_ready(account->journal))
        return false;
    wz_journal_begin(account->journal);
    if (account->place.offset >= 0)
        wz_account_remove_name(account);
    if (account->ledger_place.offset >= 0)
        take_out(account, 'L', (struct wz_slice){0}, &account->ledger_place);
    done = remove_state(account);
    if (done) {
        while (!wz_list_empty(&account->outputs))
            wz_account_remove_outputs(
                account, WZ_CONTAINER(account->outputs.next, struct wz_stored_part, link));
        while (wz_account_remove_staged(account))
            ;
        WZ_LIST_EACH(it, tmp, &account->quarantine)
        {
            wz_account_release(account, WZ_CONTAINER(it, struct wz_quarantined, link));
        }
    }
    wz_journal_end(account->journal, &unused);
    return done;
}

// Reading back.

// Puts a list in the order of ids, which are SIZE bytes at OFFSET behind each link. Copies that
// compaction made come late; there are few.
static void sort_list(struct wz_list *list, size_t offset, size_t size)
{
    struct wz_list *it;
    struct wz_list *tmp;
    struct wz_list sorted;

    wz_list_init(&sorted);
    WZ_LIST_EACH(it, tmp, list)
    {
        struct wz_list *before = sorted.prev;

        wz_list_remove(it);
        while (before != &sorted && memcmp((char *)before + offset, (char *)it + offset, size) > 0)
            before = before->prev;
        wz_list_push(before->next, it); // in front of what follows
    }
    while ((it = wz_list_shift(&sorted)))
        wz_list_push(list, it);
}

void wz_account_settle(struct wz_account *account)
{
    size_t number = offsetof(struct wz_quarantined, id) - offsetof(struct wz_quarantined, link);

    sort_list(&account->quarantine, number, sizeof(((struct wz_quarantined *)0)->id));
    wz_account_project(account, account->projected, account->mark);
}

static struct wz_stored_part *part_of(struct wz_list *link)
{
    return WZ_CONTAINER(link, struct wz_stored_part, link);
}

// The link behind which a part of that ID stands or would stand: parts are kept in order, and come
// in order but for copies that compaction made.
static struct wz_list *seek_part(struct wz_list *parts, struct wz_slice id)
{
    struct wz_list *it = parts->prev;

    while (it != parts && memcmp(part_of(it)->id, id.ptr, id.len) > 0)
        it = it->prev;
    return it;
}

static struct wz_stored_part *find_part(struct wz_list *parts, struct wz_slice id)
{
    struct wz_list *it;

    // They are taken out from the front.
    if (!wz_list_empty(parts) && memcmp(part_of(parts->next)->id, id.ptr, id.len) == 0)
        return part_of(parts->next);
    it = seek_part(parts, id);
    return it != parts && memcmp(part_of(it)->id, id.ptr, id.len) == 0 ? part_of(it) : NULL;
}

static int replay_part(struct wz_account *account, struct wz_list *parts, struct wz_slice id,
                       const struct wz_journal_record *record)
{
    struct wz_stored_part *part;

    if (id.len != sizeof(part->id))
        return WZ_ERR_CORRUPT;
    part = find_part(parts, id);
    if (record->removed) {
        if (part)
            forget_part(account, part);
        return WZ_OK;
    }
    if (!part) {
        struct wz_list *before = seek_part(parts, id);

        part = add_part(parts, id);
        wz_list_remove(&part->link);
        wz_list_push(before->next, &part->link); // in front of what follows
    }
    wz_journal_drop(account->journal, &part->place);
    part->place = record->place;
    part->value.len = 0;
    wz_buf_add_slice(&part->value, record->value);
    return WZ_OK;
}

static int replay_state(struct wz_account *account, struct wz_slice id,
                        const struct wz_journal_record *record)
{
    struct wz_state_entry *entry;

    if (id.len < 2 || id.len > 1 + WZ_STATE_KEY_MAX || id.ptr[0] > WZ_LANE_SHARED)
        return WZ_ERR_CORRUPT;
    if (record->removed) {
        entry = wz_map_get(&account->state, id);
        if (entry) {
            wz_journal_drop(account->journal, &entry->place);
            forget_entry(account, entry);
        }
        return WZ_OK;
    }
    if (record->value.len > WZ_STATE_VALUE_MAX)
        return WZ_ERR_CORRUPT;
    entry = hold_entry(account, id);
    wz_journal_drop(account->journal, &entry->place);
    account->state_bytes += record->value.len;
    account->state_bytes -= entry->value_len;
    entry->value_len = (uint32_t)record->value.len;
    entry->place = record->place;
    return WZ_OK;
}

static int replay_quarantined(struct wz_account *account, struct wz_slice id,
                              const struct wz_journal_record *record)
{
    struct wz_cursor cur = wz_cursor(id);
    uint64_t number = wz_cursor_get_u64(&cur);
    struct wz_quarantined *message;

    if (id.len != sizeof(message->id))
        return WZ_ERR_CORRUPT;
    message = wz_account_find_quarantined(account, number);
    if (message)
        wz_journal_drop(account->journal, &message->place);
    if (record->removed) {
        if (message)
            forget_quarantined(account, message);
        if (number > account->last_quarantined)
            account->last_quarantined = number;
        return WZ_OK;
    }
    if (!message)
        message = add_quarantined(account, id);
    message->place = record->place;
    return WZ_OK;
}

static int replay_name(struct wz_account *account, const struct wz_journal_record *record)
{
    wz_journal_drop(account->journal, &account->place);
    if (record->removed) { // its script is gone
        wz_free(account->name);
        account->name = NULL;
        return WZ_OK;
    }
    account->place = record->place;
    return read_account(account, record->value);
}

static int replay_ledger(struct wz_account *account, const struct wz_journal_record *record)
{
    int r;

    wz_journal_drop(account->journal, &account->ledger_place);
    if (record->removed)
        return WZ_OK;
    account->ledger_place = record->place;
    r = read_ledger(account, record->value);
    if (r == WZ_OK)
        wz_account_project(account, account->projected, account->mark);
    return r;
}

int wz_account_replay(struct wz_account *account, char letter, struct wz_cursor *key,
                      const struct wz_journal_record *record)
{
    struct wz_slice rest = wz_cursor_get_bytes(key, wz_cursor_left(key));

    switch (letter) {
    case 'C':
        return replay_name(account, record);
    case 'L':
        return replay_ledger(account, record);
    case 'S':
        return replay_state(account, rest, record);
    case 'O':
        return replay_part(account, &account->outputs, rest, record);
    case 'Z':
        return replay_part(account, &account->staged, rest, record);
    default:
        return replay_quarantined(account, rest, record);
    }
}

struct wz_journal_place *wz_account_find(struct wz_account *account, char letter,
                                         struct wz_cursor *key)
{
    struct wz_slice rest = wz_cursor_get_bytes(key, wz_cursor_left(key));
    struct wz_cursor cur = wz_cursor(rest);
    struct wz_stored_part *part;
    struct wz_state_entry *entry;
    struct wz_quarantined *message;

    switch (letter) {
    case 'C':
        return &account->place;
    case 'L':
        return &account->ledger_place;
    case 'S':
        entry = wz_map_get(&account->state, rest);
        return entry ? &entry->place : NULL;
    case 'O':
    case 'Z':
        if (rest.len != sizeof(part->id))
            return NULL;
        part = find_part(letter == 'O' ? &account->outputs : &account->staged, rest);
        return part ? &part->place : NULL;
    default:
        message =
            rest.len == 8 ? wz_account_find_quarantined(account, wz_cursor_get_u64(&cur)) : NULL;
        return message ? &message->place : NULL;
    }
}
