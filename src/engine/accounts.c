// SPDX-License-Identifier: Apache-2.0
// Owns the set of accounts, and the look at processed-stream after a crash.
#include "engine/accounts.h"

#include "base/codes.h"
#include "base/log.h"
#include "base/mem.h"
#include "stream/reader.h"

static const char letters[] = {'C', 'L', 'S', 'O', 'Z', 'X'};

#define LETTER_COUNT (sizeof(letters) / sizeof(letters[0]))

// One kind of keys: which letter is all that tells them apart.
struct kind {
    struct wz_journal_kind kind;
    struct wz_accounts *accounts;
};

struct wz_accounts {
    struct wz_journal *journal;
    struct kind kinds[LETTER_COUNT];
    struct wz_map by_id;
    struct wz_list all;
    struct wz_list leaving;    // to be taken out, as the journal takes it
    struct wz_map projections; // of struct found, by id
    uint64_t last_id;
};

// What was found of an account on processed-stream.
struct found {
    uint8_t id[8];
    struct wz_projection projection;
};

static struct wz_slice id_of(const struct wz_account *account)
{
    return wz_slice(account->id, sizeof(account->id));
}

static struct wz_account *add_account(struct wz_accounts *accounts, uint64_t id, const char *name)
{
    struct wz_account *account = wz_account_new(accounts->journal, id, name);

    (void)wz_map_put(&accounts->by_id, id_of(account), account); // it is new
    wz_list_push(&accounts->all, &account->link);
    if (id > accounts->last_id)
        accounts->last_id = id;
    return account;
}

static int replay(void *arg, const struct wz_journal_record *record)
{
    struct kind *kind = arg;
    struct wz_cursor key = wz_cursor(record->key);
    struct wz_slice id = wz_cursor_get_bytes(&key, 8);
    struct wz_cursor number = wz_cursor(id);
    struct wz_account *account;

    if (key.failed)
        return WZ_ERR_CORRUPT;
    account = wz_map_get(&kind->accounts->by_id, id);
    if (!account)
        account = add_account(kind->accounts, wz_cursor_get_u64(&number), NULL);
    return wz_account_replay(account, kind->kind.letter, &key, record);
}

static struct wz_journal_place *find(void *arg, struct wz_slice key)
{
    struct kind *kind = arg;
    struct wz_cursor cur = wz_cursor(key);
    struct wz_account *account = wz_map_get(&kind->accounts->by_id, wz_cursor_get_bytes(&cur, 8));

    return account ? wz_account_find(account, kind->kind.letter, &cur) : NULL;
}

struct wz_accounts *wz_accounts_new(struct wz_journal *journal)
{
    struct wz_accounts *accounts = wz_zalloc(1, sizeof(*accounts));

    accounts->journal = journal;
    wz_list_init(&accounts->all);
    wz_list_init(&accounts->leaving);
    for (size_t i = 0; i < LETTER_COUNT; i++) {
        struct kind *kind = &accounts->kinds[i];

        kind->accounts = accounts;
        kind->kind = (struct wz_journal_kind){letters[i], kind, replay, find};
        wz_journal_join(journal, &kind->kind);
    }
    return accounts;
}

static void free_account(struct wz_accounts *accounts, struct wz_account *account)
{
    struct found *found = wz_map_remove(&accounts->projections, id_of(account));

    wz_free(found);
    (void)wz_map_remove(&accounts->by_id, id_of(account)); // it is there
    wz_account_free(account);
}

void wz_accounts_free(struct wz_accounts *accounts)
{
    struct wz_list *heads[] = {&accounts->all, &accounts->leaving};

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        while (!wz_list_empty(heads[i]))
            free_account(accounts, WZ_CONTAINER(heads[i]->next, struct wz_account, link));
    wz_map_release(&accounts->by_id);
    wz_map_release(&accounts->projections);
    wz_free(accounts);
}

// Projection.

// Writes decimal digits and a dot; printf would be a tenth of what an output costs.
static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    size_t n = sizeof(digits);

    do {
        digits[--n] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    memcpy(to, digits + n, sizeof(digits) - n);
    to += sizeof(digits) - n;
    *to++ = '.';
    return to;
}

size_t wz_commit_text(const struct wz_account *account, uint64_t commit, uint32_t index,
                      char ret_text[WZ_COMMIT_TEXT_MAX])
{
    char *to = put_number(ret_text, wz_account_number(account));

    to = put_number(to, commit);
    to = put_number(to, index);
    return (size_t)(to - ret_text) - 1; // without the last dot
}

// Reads decimal digits off the front of S, up to a dot or the end.
static bool get_number(struct wz_slice *s, uint64_t *ret_number)
{
    size_t i = 0;

    *ret_number = 0;
    for (; i < s->len && s->ptr[i] != '.'; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9' || i > 19)
            return false;
        *ret_number = *ret_number * 10 + (uint64_t)(s->ptr[i] - '0');
    }
    if (i == 0)
        return false;
    if (i < s->len)
        i++;
    *s = wz_slice_sub(*s, i, s->len - i);
    return true;
}

// Notes an output that is at OFFSET.
static void note_output(struct wz_accounts *accounts, struct wz_slice text, int64_t offset)
{
    uint64_t id;
    uint64_t commit;
    uint64_t index;
    uint8_t bytes[8];
    struct wz_pen pen = wz_pen(bytes, sizeof(bytes));
    struct wz_account *account;
    struct found *found;

    if (!get_number(&text, &id) || !get_number(&text, &commit) || !get_number(&text, &index))
        return;
    wz_pen_put_u64(&pen, id);
    account = wz_map_get(&accounts->by_id, wz_slice(bytes, sizeof(bytes)));
    if (!account || offset < account->mark)
        return; // of a script that is gone; its number may be another's by now
    found = wz_map_get(&accounts->projections, wz_slice(bytes, sizeof(bytes)));
    if (!found) {
        found = wz_zalloc(1, sizeof(*found));
        memcpy(found->id, bytes, sizeof(bytes));
        (void)wz_map_put(&accounts->projections, wz_slice(found->id, sizeof(found->id)),
                         found); // it is new
    }
    if (commit < found->projection.commit)
        return;
    if (commit > found->projection.commit || index + 1 > found->projection.index)
        found->projection = (struct wz_projection){commit, (uint32_t)index + 1};
}

// Reads processed-stream from where outputs that the journal does not know as projected may be.
static int look_for_outputs(struct wz_accounts *accounts, struct wz_log *processed, int64_t from)
{
    struct wz_reader_options options = {.direction = WZ_FORWARD, .position = from};
    struct wz_reader *reader;
    struct wz_record record;
    int r = wz_reader_open(processed, &options, &reader);

    if (r < 0)
        return r;
    while ((r = wz_reader_next(reader, &record)) == WZ_OK) {
        struct wz_slice text = wz_record_header_find(&record, "commit");

        if (text.len > 0)
            note_output(accounts, text, record.offset);
    }
    wz_reader_close(reader);
    return r == WZ_END ? WZ_OK : r;
}

// Outputs and changes of a commit that did not come to its end never were; changes of one that did
// are made: each is a group of its own, for all of them together may be more than the journal takes
// at a time.
static int finish_commits(struct wz_account *account)
{
    struct wz_list *it;
    struct wz_list *tmp;
    int64_t unused;
    int r = wz_journal_wait(account->journal);

    if (r < 0)
        return r;
    wz_journal_begin(account->journal);
    WZ_LIST_EACH(it, tmp, &account->outputs)
    {
        struct wz_stored_part *part = WZ_CONTAINER(it, struct wz_stored_part, link);

        if (wz_stored_part_commit(part) > account->commit)
            wz_account_remove_outputs(account, part);
    }
    wz_journal_end(account->journal, &unused);
    while (!wz_list_empty(&account->staged) && (r = wz_journal_wait(account->journal)) == WZ_OK) {
        wz_journal_begin(account->journal);
        if (wz_account_apply_staged(account) < 0)
            WZ_LOG(WZ_LOG_ERROR, "script.state-lost", WZ_F_STR("script", account->name));
        wz_journal_end(account->journal, &unused);
    }
    return r;
}

int64_t wz_accounts_needed(const struct wz_accounts *accounts)
{
    int64_t from = INT64_MAX;
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &accounts->all)
    {
        const struct wz_account *account = WZ_CONTAINER(it, struct wz_account, link);

        if (!wz_list_empty(&account->outputs) && account->mark < from)
            from = account->mark;
    }
    return from;
}

// Puts all accounts in order. RET_FROM: where to look for outputs; INT64_MAX: there are none.
static int finish_all(struct wz_accounts *accounts, int64_t *ret_from)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &accounts->all)
    {
        struct wz_account *account = WZ_CONTAINER(it, struct wz_account, link);
        int r;

        if (!account->name) { // its last keys, in a segment that is still there
            wz_accounts_remove(accounts, account);
            continue;
        }
        wz_account_settle(account);
        r = finish_commits(account);
        if (r < 0)
            return r;
    }
    *ret_from = wz_accounts_needed(accounts);
    return WZ_OK;
}

int wz_accounts_recover(struct wz_accounts *accounts, struct wz_log *processed,
                        struct wz_problem *ret_problem)
{
    int64_t from = INT64_MAX;
    int r = finish_all(accounts, &from);

    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO,
                              "what a crash left half done cannot be put into the journal: %s",
                              wz_err_text(r));
    if (from < INT64_MAX)
        r = look_for_outputs(accounts, processed, from);
    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO,
                              "processed-stream could not be read: %s", wz_err_text(r));
    return WZ_OK;
}

struct wz_projection wz_accounts_projection(const struct wz_accounts *accounts,
                                            const struct wz_account *account)
{
    struct found *found = wz_map_get(&accounts->projections, id_of(account));

    return found ? found->projection : (struct wz_projection){0};
}

// The set.

struct wz_account *wz_accounts_use(struct wz_accounts *accounts, const char *name)
{
    struct wz_account *account;
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &accounts->all)
    {
        account = WZ_CONTAINER(it, struct wz_account, link);
        if (!account->used && strcmp(account->name, name) == 0) {
            account->used = true;
            return account;
        }
    }
    account = add_account(accounts, accounts->last_id + 1, name);
    account->used = true;
    return account;
}

// Takes the names of those out that are gone, as the journal takes it.
static void take_names_out(struct wz_accounts *accounts)
{
    struct wz_list *it;
    struct wz_list *tmp;
    int64_t unused;

    WZ_LIST_EACH(it, tmp, &accounts->all)
    {
        struct wz_account *account = WZ_CONTAINER(it, struct wz_account, link);

        if (!account->gone || account->place.offset < 0)
            continue;
        if (!wz_journal_ready(accounts->journal))
            return;
        wz_journal_begin(accounts->journal);
        wz_account_remove_name(account);
        wz_journal_end(accounts->journal, &unused);
    }
}

void wz_accounts_disown(struct wz_accounts *accounts, struct wz_account *account)
{
    account->gone = true;
    take_names_out(accounts);
}

bool wz_accounts_disowned(const struct wz_accounts *accounts)
{
    const struct wz_list *heads[] = {&accounts->all, &accounts->leaving};

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        for (const struct wz_list *it = heads[i]->next; it != heads[i]; it = it->next) {
            const struct wz_account *account = WZ_CONTAINER(it, struct wz_account, link);

            if (account->gone && account->place.offset >= 0)
                return false;
        }
    }
    return true;
}

void wz_accounts_remove(struct wz_accounts *accounts, struct wz_account *account)
{
    account->used = true; // nobody is to find it
    account->gone = true;
    wz_list_remove(&account->link);
    wz_list_push(&accounts->leaving, &account->link);
    wz_accounts_durable(accounts);
}

void wz_accounts_forget(struct wz_accounts *accounts, const char *name)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &accounts->all)
    {
        struct wz_account *account = WZ_CONTAINER(it, struct wz_account, link);

        if (!account->used && strcmp(account->name, name) == 0)
            wz_accounts_remove(accounts, account);
    }
}

void wz_accounts_durable(struct wz_accounts *accounts)
{
    take_names_out(accounts);
    while (!wz_list_empty(&accounts->leaving)) {
        struct wz_account *account = WZ_CONTAINER(accounts->leaving.next, struct wz_account, link);

        if (!wz_account_remove(account))
            return; // the rest when the journal has got further
        free_account(accounts, account);
    }
}
