// SPDX-License-Identifier: Apache-2.0
// Owns the questions about scripts, and the reads of the journal that they take.
#include "engine/requests.h"

#include "base/codes.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/quarantine.h"
#include "stream/fetch.h"
#include "json/text.h"

#define PART "scripts"

// Of one answer: items unless told, at the most, and bytes of them.
#define ITEMS_DEFAULT 100
#define ITEMS_MAX 1000
#define BYTES_MAX ((size_t)4 * 1024 * 1024)

struct wz_requests {
    struct wz_requests_options options;
    struct wz_list lookups;
    struct wz_list removals;
};

// What is looked for: a message by its number, or an entry of the state by lane and key.
struct wanted {
    uint64_t number;
    uint8_t *id;
    size_t id_len;
};

// A question that reads the journal.
struct lookup {
    struct wz_list link;
    struct wz_requests *requests;
    struct wz_desk_call *call;
    struct wz_fetcher *fetcher;
    // Uses what was read of one; below 0: the question fails with it.
    int (*use)(struct lookup *lookup, struct wz_script *script, const struct wanted *wanted,
               struct wz_slice value);
    bool entries; // of the state
    struct wanted *wanted;
    size_t count;
    size_t done;
    size_t bytes;
    bool more; // there are others behind these
    int moves;
    int64_t offset; // of what is read next
    bool waits;     // until that is durable: before, it cannot be read
    json_t *items;  // NULL: a count is the answer
    int64_t next;
};

// A question that is answered when a script's removal is durable.
struct removal {
    struct wz_list link;
    struct wz_desk_call *call;
    int64_t end; // all of it is below this offset of the journal; -1: not all of it is put
};

static int refuse(struct wz_desk_call *call, int err, const char *what)
{
    return wz_problem_set(&call->problem, err,
                          err == WZ_ERR_NOT_FOUND ? WZ_CODE_SCRIPT_NOT_FOUND : WZ_CODE_API_BUSY,
                          "%s", what);
}

static int64_t arg_int(const struct wz_desk_call *call, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(call->args, name);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static bool has_arg(const struct wz_desk_call *call, const char *name)
{
    return json_object_get(call->args, name) != NULL;
}

static size_t limit_of(const struct wz_desk_call *call)
{
    int64_t limit = arg_int(call, "limit", ITEMS_DEFAULT);

    return limit < 1 ? 1 : limit > ITEMS_MAX ? ITEMS_MAX : (size_t)limit;
}

static void set_int(json_t *object, const char *name, int64_t value)
{
    WZ_ASSERT(json_object_set_new(object, name, json_integer(value)) == 0);
}

// A text that may hold anything: what is no UTF-8 is replaced by a word about it.
static void set_text(json_t *object, const char *name, struct wz_slice text)
{
    json_t *value = json_stringn((const char *)text.ptr, text.len);

    if (!value)
        value = json_string("(not UTF-8)");
    WZ_ASSERT(json_object_set_new(object, name, value) == 0);
}

// A text that is JSON.
static void set_json(json_t *object, const char *name, struct wz_slice text)
{
    json_t *value = json_loadb((const char *)text.ptr, text.len, JSON_DECODE_ANY, NULL);

    if (value)
        WZ_ASSERT(json_object_set_new(object, name, value) == 0);
    else
        set_text(object, name, text);
}

static void free_lookup(struct lookup *lookup)
{
    wz_list_remove(&lookup->link);
    wz_fetcher_free(lookup->fetcher);
    for (size_t i = 0; i < lookup->count; i++)
        wz_free(lookup->wanted[i].id);
    wz_free(lookup->wanted);
    json_decref(lookup->items);
    wz_free(lookup);
}

static void finish(struct lookup *lookup, int r)
{
    json_t *answer = NULL;
    bool more = lookup->more || lookup->done < lookup->count;

    if (r == WZ_OK) {
        answer = json_object();
        if (lookup->items)
            WZ_ASSERT(json_object_set(answer, "items", lookup->items) == 0);
        else
            set_int(answer, "count", (int64_t)lookup->done);
        if (!lookup->entries && lookup->done > 0)
            set_int(answer, "last", (int64_t)lookup->wanted[lookup->done - 1].number);
        if (lookup->entries)
            set_int(answer, "next", lookup->next);
        WZ_ASSERT(json_object_set_new(answer, "more", json_boolean(more)) == 0);
    } else if (lookup->call->problem.code == 0) {
        (void)refuse(lookup->call, r, "The journal cannot be read.");
    }
    wz_desk_answer(lookup->call, r, answer);
    free_lookup(lookup);
}

// Where it stands now; NULL: it is gone.
static struct wz_journal_place *place_of(const struct lookup *lookup, struct wz_script *script,
                                         const struct wanted *wanted)
{
    struct wz_account *account = wz_script_account(script);
    struct wz_quarantined *message;
    struct wz_state_entry *entry;

    if (lookup->entries) {
        entry = wz_map_get(&account->state, wz_slice(wanted->id, wanted->id_len));
        return entry ? &entry->place : NULL;
    }
    message = wz_account_find_quarantined(account, wanted->number);
    return message ? &message->place : NULL;
}

// Reads the record at OFFSET, once it is durable.
static void read_at(struct lookup *lookup, int64_t offset)
{
    struct wz_log *log = wz_journal_log(lookup->requests->options.journal);

    lookup->offset = offset;
    lookup->waits = offset >= wz_log_durable_end(log);
    if (lookup->waits)
        wz_log_want(log);
    else
        wz_fetcher_start(lookup->fetcher, &offset, 1, BYTES_MAX);
}

static void answer_removal(struct removal *removal, int result)
{
    wz_desk_answer(removal->call, result, NULL);
    wz_list_remove(&removal->link);
    wz_free(removal);
}

// The disk does not take it. The document is gone all the same, and after a crash so is the rest,
// unless one of its name is made before that.
static void answer_unsafe(struct removal *removal, int state)
{
    WZ_LOG(WZ_LOG_WARN, "script.removal", WZ_F_STR("script", removal->call->name), WZ_F_ERR(state),
           WZ_F_STR("what",
                    "the disk takes nothing: a new script of this name would find what this "
                    "one has kept, if wyze is killed before it does"));
    answer_removal(removal, WZ_OK);
}

// Answers when it is durable, or when the disk does not take it.
static void wait_for_removal(struct wz_requests *requests, struct removal *removal)
{
    struct wz_log *log = wz_journal_log(requests->options.journal);
    int state = wz_log_state(log);

    if (removal->end < 0 && wz_accounts_disowned(requests->options.accounts))
        removal->end = wz_log_next_offset(log);
    if (removal->end >= 0 && wz_log_durable_end(log) >= removal->end)
        answer_removal(removal, WZ_OK);
    else if (state < 0)
        answer_unsafe(removal, state);
    else
        wz_log_want(log);
}

void wz_requests_durable(struct wz_requests *requests)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &requests->removals)
    {
        wait_for_removal(requests, WZ_CONTAINER(it, struct removal, link));
    }

    WZ_LIST_EACH(it, tmp, &requests->lookups)
    {
        struct lookup *lookup = WZ_CONTAINER(it, struct lookup, link);

        if (lookup->waits)
            read_at(lookup, lookup->offset);
    }
}

// Reads on, or answers.
static void look_on(struct lookup *lookup)
{
    struct wz_requests *requests = lookup->requests;
    struct wz_script *script = requests->options.find(requests->options.arg, lookup->call->name);
    int64_t offset = -1;

    if (!script) {
        finish(lookup, refuse(lookup->call, WZ_ERR_NOT_FOUND, "The script is gone."));
        return;
    }
    while (lookup->done < lookup->count && lookup->bytes < BYTES_MAX) {
        struct wz_journal_place *place = place_of(lookup, script, &lookup->wanted[lookup->done]);

        offset = place ? place->offset : -1;
        if (offset >= 0)
            break;
        lookup->done++; // it has gone since
    }
    if (offset < 0 || lookup->bytes >= BYTES_MAX)
        finish(lookup, WZ_OK);
    else
        read_at(lookup, offset);
}

static void on_fetched(void *arg, struct wz_fetch *fetch)
{
    struct lookup *lookup = arg;
    struct wz_requests *requests = lookup->requests;
    struct wz_script *script = requests->options.find(requests->options.arg, lookup->call->name);
    struct wz_slice value;
    int64_t offset;
    int result = WZ_ERR_NOT_FOUND;
    int r;

    if (wz_fetch_next(fetch, &offset, &value, &result) != WZ_OK)
        result = WZ_ERR_IO;
    if (result == WZ_ERR_NOT_FOUND && ++lookup->moves < 10) {
        look_on(lookup); // compaction has moved it
        return;
    }
    lookup->moves = 0;
    if (result < 0 || value.len < 1) {
        finish(lookup, result < 0 ? result : WZ_ERR_CORRUPT);
        return;
    }
    value = wz_slice_sub(value, 1, value.len - 1); // behind the version
    r = script ? lookup->use(lookup, script, &lookup->wanted[lookup->done], value) : WZ_OK;
    if (r < 0) {
        finish(lookup, lookup->done > 0 && r == WZ_ERR_BUSY ? WZ_OK : r);
        return;
    }
    lookup->bytes += value.len;
    lookup->done++;
    look_on(lookup);
}

static struct lookup *new_lookup(struct wz_requests *requests, struct wz_desk_call *call,
                                 size_t cap)
{
    struct lookup *lookup = wz_zalloc(1, sizeof(*lookup));

    lookup->requests = requests;
    lookup->call = call;
    lookup->wanted = wz_zalloc(cap + 1, sizeof(*lookup->wanted));
    lookup->fetcher = wz_fetcher_new(requests->options.loop,
                                     wz_journal_log(requests->options.journal), on_fetched, lookup);
    wz_list_push(&requests->lookups, &lookup->link);
    return lookup;
}

static uint64_t number_of(const struct wz_quarantined *message)
{
    struct wz_cursor cur = wz_cursor(wz_slice(message->id, sizeof(message->id)));

    return wz_cursor_get_u64(&cur);
}

// The messages that the arguments name: the one of NUMBER, or those behind AFTER.
static void choose_messages(struct lookup *lookup, struct wz_script *script, size_t limit)
{
    const struct wz_desk_call *call = lookup->call;
    struct wz_account *account = wz_script_account(script);
    uint64_t after = (uint64_t)arg_int(call, "after", 0);
    struct wz_list *it;
    struct wz_list *tmp;

    if (has_arg(call, "number")) {
        lookup->wanted[lookup->count++].number = (uint64_t)arg_int(call, "number", 0);
        return;
    }
    WZ_LIST_EACH(it, tmp, &account->quarantine)
    {
        const struct wz_quarantined *message = WZ_CONTAINER(it, struct wz_quarantined, link);

        if (number_of(message) <= after || message->leaving || message->retrying)
            continue;
        if (lookup->count == limit) {
            lookup->more = true;
            return;
        }
        lookup->wanted[lookup->count++].number = number_of(message);
    }
}

static json_t *describe(uint64_t number, const struct wz_quarantine *message)
{
    json_t *item = json_object();

    set_int(item, "number", (int64_t)number);
    set_text(item, "topic", message->record.topic);
    set_text(item, "stream",
             wz_slice_str(message->record.stream < WZ_SCRIPT_STREAM_COUNT
                              ? wz_script_stream_word((enum wz_script_stream)message->record.stream)
                              : "?"));
    set_int(item, "offset", message->record.offset);
    set_int(item, "time", message->time_ms);
    set_int(item, "attempts", message->attempts);
    set_text(item, "reason", wz_quarantine_short(message->reason));
    return item;
}

static int use_in_list(struct lookup *lookup, struct wz_script *script, const struct wanted *wanted,
                       struct wz_slice value)
{
    struct wz_quarantine message;
    int r = wz_quarantine_get(value, &message);

    (void)script; // the value says it all
    if (r < 0)
        return r;
    return json_array_append_new(lookup->items, describe(wanted->number, &message)) == 0
               ? WZ_OK
               : WZ_ERR_INVALID;
}

static int use_whole(struct lookup *lookup, struct wz_script *script, const struct wanted *wanted,
                     struct wz_slice value)
{
    struct wz_quarantine message;
    json_t *item;
    int r = wz_quarantine_get(value, &message);

    (void)script; // as above
    if (r < 0)
        return r;
    item = describe(wanted->number, &message);
    set_text(item, "traceback", message.reason);
    set_json(item, "body", message.record.body);
    if (message.seen.len > 0)
        set_json(item, "state", message.seen);
    return json_array_append_new(lookup->items, item) == 0 ? WZ_OK : WZ_ERR_INVALID;
}

static int use_retry(struct lookup *lookup, struct wz_script *script, const struct wanted *wanted,
                     struct wz_slice value)
{
    int r = wz_script_retry(script, wanted->number, value);

    if (r == WZ_ERR_CLOSED)
        return refuse(lookup->call, WZ_ERR_BUSY, "The script does not run: start it first.");
    if (r == WZ_ERR_BUSY)
        return refuse(lookup->call, r, "The script has enough to do: try again.");
    return r;
}

static int use_state(struct lookup *lookup, struct wz_script *script, const struct wanted *wanted,
                     struct wz_slice value)
{
    json_t *item = json_object();

    (void)script; // as above
    set_text(item, "key", wz_slice(wanted->id + 1, wanted->id_len - 1));
    if (wanted->id[0] < WZ_LANE_SHARED)
        set_int(item, "lane", wanted->id[0]);
    set_json(item, "value", value);
    return json_array_append_new(lookup->items, item) == 0 ? WZ_OK : WZ_ERR_INVALID;
}

static void list_quarantine(struct wz_requests *requests, struct wz_script *script,
                            struct wz_desk_call *call)
{
    size_t limit = limit_of(call);
    struct lookup *lookup = new_lookup(requests, call, limit);

    lookup->use = has_arg(call, "number") ? use_whole : use_in_list;
    lookup->items = json_array();
    choose_messages(lookup, script, limit);
    look_on(lookup);
}

static bool is_there(struct wz_script *script, struct wz_desk_call *call)
{
    if (!has_arg(call, "number") ||
        wz_account_find_quarantined(wz_script_account(script),
                                    (uint64_t)arg_int(call, "number", 0)))
        return true;
    (void)refuse(call, WZ_ERR_NOT_FOUND, "There is no message of that number in quarantine.");
    wz_desk_answer(call, WZ_ERR_NOT_FOUND, NULL);
    return false;
}

static void retry(struct wz_requests *requests, struct wz_script *script, struct wz_desk_call *call)
{
    struct lookup *lookup = new_lookup(requests, call, ITEMS_MAX);

    lookup->use = use_retry;
    choose_messages(lookup, script, limit_of(call));
    look_on(lookup);
}

static void drop(struct wz_requests *requests, struct wz_script *script, struct wz_desk_call *call)
{
    struct lookup *lookup = new_lookup(requests, call, ITEMS_MAX);
    int r = WZ_OK;

    choose_messages(lookup, script, limit_of(call));
    while (r == WZ_OK && lookup->done < lookup->count) {
        r = wz_script_drop(script, lookup->wanted[lookup->done].number);
        if (r == WZ_OK)
            lookup->done++;
    }
    if (r == WZ_ERR_BUSY)
        (void)refuse(call, r, "The script is trying that message just now.");
    finish(lookup, lookup->done > 0 ? WZ_OK : r);
}

static void list_state(struct wz_requests *requests, struct wz_script *script,
                       struct wz_desk_call *call)
{
    size_t limit = limit_of(call);
    struct lookup *lookup = new_lookup(requests, call, limit);
    struct wz_account *account = wz_script_account(script);
    size_t walk = (size_t)arg_int(call, "after", 0);
    struct wz_state_entry *entry;

    lookup->use = use_state;
    lookup->entries = true;
    lookup->items = json_array();
    while (lookup->count < limit && (entry = wz_map_next(&account->state, &walk))) {
        struct wanted *wanted = &lookup->wanted[lookup->count++];

        wanted->id = wz_alloc(entry->id_len);
        wanted->id_len = entry->id_len;
        memcpy(wanted->id, entry->id, entry->id_len);
    }
    lookup->next = (int64_t)walk;
    lookup->more = wz_map_next(&account->state, &walk) != NULL;
    look_on(lookup);
}

// Its script, if it ran, was closed before this was asked; what nobody used goes here.
static void forget(struct wz_requests *requests, struct wz_desk_call *call)
{
    struct removal *removal = wz_zalloc(1, sizeof(*removal));

    removal->call = call;
    removal->end = -1;
    wz_list_push(&requests->removals, &removal->link);
    if (!requests->options.find(requests->options.arg, call->name))
        wz_accounts_forget(requests->options.accounts, call->name);
    wait_for_removal(requests, removal);
}

static void serve(void *arg, struct wz_desk_call *call)
{
    struct wz_requests *requests = arg;
    struct wz_script *script;

    if (strcmp(call->what, "restart-all") == 0) {
        requests->options.restart_all(requests->options.arg);
        wz_desk_answer(call, WZ_OK, json_object());
        return;
    }
    if (strcmp(call->what, "forget") == 0) {
        forget(requests, call);
        return;
    }
    script = requests->options.find(requests->options.arg, call->name);
    if (!script) {
        (void)refuse(call, WZ_ERR_NOT_FOUND, "There is no script of that name.");
        wz_desk_answer(call, WZ_ERR_NOT_FOUND, NULL);
    } else if (strcmp(call->what, "restart") == 0) {
        wz_script_restart(script);
        wz_desk_answer(call, WZ_OK, json_object());
    } else if (!is_there(script, call)) {
        return;
    } else if (strcmp(call->what, "quarantine") == 0) {
        list_quarantine(requests, script, call);
    } else if (strcmp(call->what, "retry") == 0) {
        retry(requests, script, call);
    } else if (strcmp(call->what, "drop") == 0) {
        drop(requests, script, call);
    } else if (strcmp(call->what, "state") == 0) {
        list_state(requests, script, call);
    } else {
        wz_desk_answer(call, refuse(call, WZ_ERR_INVALID, "The engine knows no such thing."), NULL);
    }
}

struct wz_requests *wz_requests_new(const struct wz_requests_options *options)
{
    struct wz_requests *requests = wz_zalloc(1, sizeof(*requests));

    requests->options = *options;
    wz_list_init(&requests->lookups);
    wz_list_init(&requests->removals);
    wz_desk_serve(options->desk, PART, serve, requests);
    return requests;
}

void wz_requests_free(struct wz_requests *requests)
{
    wz_desk_serve(requests->options.desk, PART, NULL, NULL);
    while (!wz_list_empty(&requests->lookups)) {
        struct lookup *lookup = WZ_CONTAINER(requests->lookups.next, struct lookup, link);

        finish(lookup, refuse(lookup->call, WZ_ERR_CLOSED, "The engine stops."));
    }
    while (!wz_list_empty(&requests->removals)) {
        struct removal *removal = WZ_CONTAINER(requests->removals.next, struct removal, link);

        answer_removal(removal, refuse(removal->call, WZ_ERR_CLOSED, "The engine stops."));
    }
    wz_free(requests);
}
