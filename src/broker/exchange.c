// SPDX-License-Identifier: Apache-2.0
// Owns bindings and the topic cache. An entry of the cache names the receivers of one topic; it is
// resolved anew when the bindings have changed since, at its next use.
#include "broker/exchange.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"

// One receiver of a topic.
struct target {
    struct wz_receiver *receiver;
    void *slot;
    uint8_t qos;
};

// A topic and its receivers, the one that is asked first in front.
struct entry {
    uint64_t version; // the bindings it was resolved for
    struct target *targets;
    uint32_t target_count;
    uint32_t topic_len;
    char topic[];
};

// A place of the table. The hash stands in it, so that another topic's entry is not looked at.
struct place {
    uint64_t hash;
    struct entry *entry; // NULL: empty
};

struct wz_exchange {
    const struct wz_topic_form *form;
    struct wz_trie *trie;
    struct place *table; // open addressing, a power of two, at most half full
    size_t table_size;
    size_t entry_count;
    size_t entry_bytes;
    size_t hand; // where the next entry is sought that makes room for another
    uint64_t version;
    uint64_t forgotten; // slots of entries that were resolved for a version below are
    uint64_t seed;
    size_t max_len; // of topics and patterns
    size_t max_words;
    struct wz_budget *budget; // NULL: none
    bool publishing;
};

#define TABLE_FIRST 64

// What a binding costs beside its pattern's bytes, each of which stands in three places: here, in a
// word of the trie, and where its retained messages are looked for. Each word is a node of the trie
// and its place in a table.
#define BINDING_BYTES 256
#define BINDING_WORD_BYTES 96

// The cache lines of a slot that are fetched ahead: a route of the router and its bytes.
#define SLOT_LINES 4
#define LINE_BYTES 64

struct wz_exchange *wz_exchange_new(const struct wz_topic_form *form)
{
    struct wz_exchange *exchange = wz_zalloc(1, sizeof(*exchange));

    exchange->form = form;
    exchange->trie = wz_trie_new(form);
    exchange->table_size = TABLE_FIRST;
    exchange->table = wz_zalloc(TABLE_FIRST, sizeof(struct place));
    exchange->max_len = SIZE_MAX;
    exchange->max_words = WZ_TRIE_DEPTH_MAX;
    exchange->version = 1;
    exchange->seed = wz_rand_u64();
    return exchange;
}

void wz_exchange_limit(struct wz_exchange *exchange, size_t max_len, size_t max_words)
{
    exchange->max_len = max_len;
    exchange->max_words = max_words < WZ_TRIE_DEPTH_MAX ? max_words : WZ_TRIE_DEPTH_MAX;
}

void wz_exchange_keep_under(struct wz_exchange *exchange, struct wz_budget *budget)
{
    exchange->budget = budget;
}

static void targets_free(struct target *targets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct wz_receiver *receiver = targets[i].receiver;

        if (targets[i].slot != NULL && receiver->forget != NULL)
            receiver->forget(receiver->arg, targets[i].slot);
    }
    wz_free(targets);
}

void wz_exchange_forget(struct wz_exchange *exchange) { exchange->forgotten = ++exchange->version; }

// Frees everything that is cached, slots too.
static void drop(struct wz_exchange *exchange)
{
    WZ_ASSERT(!exchange->publishing);
    for (size_t i = 0; i < exchange->table_size; i++) {
        struct entry *entry = exchange->table[i].entry;

        if (entry == NULL)
            continue;
        targets_free(entry->targets, entry->target_count);
        wz_free(entry);
    }
    wz_free(exchange->table);
    exchange->table_size = TABLE_FIRST;
    exchange->table = wz_zalloc(TABLE_FIRST, sizeof(struct place));
    exchange->entry_count = 0;
    exchange->entry_bytes = 0;
}

void wz_exchange_free(struct wz_exchange *exchange)
{
    if (exchange == NULL)
        return;
    drop(exchange);
    WZ_ASSERT(wz_trie_count(exchange->trie) == 0);
    wz_trie_free(exchange->trie);
    wz_free(exchange->table);
    wz_free(exchange);
}

// The place of TOPIC in the table, or the empty place where it belongs.
static struct place *place_of(const struct wz_exchange *exchange, struct wz_slice topic,
                              uint64_t hash)
{
    size_t mask = exchange->table_size - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct place *place = &exchange->table[i];

        if (place->entry == NULL || (place->hash == hash && place->entry->topic_len == topic.len &&
                                     memcmp(place->entry->topic, topic.ptr, topic.len) == 0))
            return place;
    }
}

static void table_grow(struct wz_exchange *exchange)
{
    struct place *old = exchange->table;
    size_t old_size = exchange->table_size;

    exchange->table_size *= 2;
    exchange->table = wz_zalloc(exchange->table_size, sizeof(struct place));
    for (size_t i = 0; i < old_size; i++) {
        struct entry *entry = old[i].entry;

        if (entry != NULL)
            *place_of(exchange, wz_slice(entry->topic, entry->topic_len), old[i].hash) = old[i];
    }
    wz_free(old);
}

// Whether there is no room for a topic, or for another receiver of one that is cached.
static bool cache_full(const struct wz_exchange *exchange, bool one_more)
{
    return (one_more && exchange->entry_count >= WZ_EXCHANGE_CACHE_TOPICS) ||
           exchange->entry_bytes >= WZ_EXCHANGE_CACHE_BYTES;
}

static struct entry *entry_add(struct wz_exchange *exchange, struct wz_slice topic, uint64_t hash)
{
    struct entry *entry = wz_alloc(sizeof(*entry) + topic.len);

    if ((exchange->entry_count + 1) * 2 > exchange->table_size)
        table_grow(exchange);
    *entry = (struct entry){.topic_len = (uint32_t)topic.len};
    memcpy(entry->topic, topic.ptr, topic.len);
    *place_of(exchange, topic, hash) = (struct place){.hash = hash, .entry = entry};
    exchange->entry_count++;
    exchange->entry_bytes += sizeof(*entry) + topic.len;
    return entry;
}

// What resolve gathers.
struct gathered {
    struct target *targets;
    uint32_t count;
    uint32_t cap;
};

static void gather(void *arg, void *value)
{
    struct gathered *gathered = arg;
    struct wz_exchange_binding *binding = value;

    if (gathered->count == gathered->cap) {
        gathered->cap = gathered->cap > 0 ? gathered->cap * 2 : 1;
        gathered->targets =
            wz_realloc(gathered->targets, gathered->cap * sizeof(*gathered->targets));
    }
    gathered->targets[gathered->count++] =
        (struct target){.receiver = binding->receiver, .qos = binding->qos};
}

// Those asked first in front; bindings of one receiver together, the highest QoS in front.
static int target_order(const void *left, const void *right)
{
    const struct target *a = left;
    const struct target *b = right;

    if (a->receiver->asked_first != b->receiver->asked_first)
        return a->receiver->asked_first ? -1 : 1;
    if (a->receiver != b->receiver)
        return (uintptr_t)a->receiver < (uintptr_t)b->receiver ? -1 : 1;
    return (int)b->qos - (int)a->qos;
}

static void resolve(struct wz_exchange *exchange, struct entry *entry)
{
    struct gathered gathered = {0};
    struct target *old = entry->targets;
    uint32_t old_count = entry->target_count;
    uint32_t count = 0;

    wz_trie_match(exchange->trie, wz_slice(entry->topic, entry->topic_len), gather, &gathered);
    if (gathered.count > 1)
        qsort(gathered.targets, gathered.count, sizeof(*gathered.targets), target_order);
    for (uint32_t i = 0; i < gathered.count; i++) {
        if (count > 0 && gathered.targets[count - 1].receiver == gathered.targets[i].receiver)
            continue;
        gathered.targets[count++] = gathered.targets[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < old_count; k++) {
            if (old[k].receiver != gathered.targets[i].receiver ||
                entry->version < exchange->forgotten)
                continue;
            gathered.targets[i].slot = old[k].slot;
            old[k].slot = NULL;
        }
    }
    targets_free(old, old_count);
    if (count < gathered.cap) // what is counted is what is held
        gathered.targets = wz_realloc(gathered.targets, count * sizeof(struct target));
    entry->targets = gathered.targets;
    entry->target_count = count;
    entry->version = exchange->version;
    exchange->entry_bytes -= old_count * sizeof(struct target);
    exchange->entry_bytes += count * sizeof(struct target);
}

static size_t count_words(const struct wz_exchange *exchange, struct wz_slice s)
{
    size_t words = 1;

    for (size_t i = 0; i < s.len; i++)
        words += s.ptr[i] == exchange->form->separator;
    return words;
}

// What a binding keeps of the budget. A tier's, which is asked first, is no peer's.
static size_t kept_bytes(const struct wz_exchange_binding *binding)
{
    struct wz_slice pattern = wz_exchange_binding_pattern(binding);

    if (binding->exchange->budget == NULL || binding->receiver->asked_first)
        return 0;
    return BINDING_BYTES + 3 * pattern.len +
           BINDING_WORD_BYTES * count_words(binding->exchange, pattern);
}

// Whether a topic or pattern is longer, or has more words, than is allowed: it is refused, for it
// would reach nobody.
static bool is_too_large(const struct wz_exchange *exchange, struct wz_slice s)
{
    return s.len > exchange->max_len || count_words(exchange, s) > exchange->max_words;
}

int wz_exchange_bind(struct wz_exchange *exchange, struct wz_receiver *receiver,
                     struct wz_slice pattern, unsigned qos,
                     struct wz_exchange_binding **ret_binding)
{
    struct wz_exchange_binding *binding;
    int r;

    if (is_too_large(exchange, pattern))
        return WZ_ERR_LIMIT;
    binding = wz_alloc(sizeof(*binding) + pattern.len);
    r = wz_trie_add(exchange->trie, pattern, binding);
    if (r < 0) {
        wz_free(binding);
        return r;
    }
    *binding = (struct wz_exchange_binding){
        .receiver = receiver,
        .exchange = exchange,
        .pattern_len = pattern.len,
        .qos = (uint8_t)qos,
    };
    if (pattern.len > 0)
        memcpy(binding->pattern, pattern.ptr, pattern.len);
    exchange->version++;
    if (exchange->budget != NULL)
        wz_budget_keep(exchange->budget, 0, kept_bytes(binding));
    *ret_binding = binding;
    return WZ_OK;
}

void wz_exchange_rebind(struct wz_exchange_binding *binding, unsigned qos)
{
    if (binding->qos == qos)
        return;
    binding->qos = (uint8_t)qos;
    binding->exchange->version++;
}

void wz_exchange_unbind(struct wz_exchange_binding *binding)
{
    struct wz_exchange *exchange = binding->exchange;

    WZ_ASSERT(!exchange->publishing);
    // It is there: bind put it there.
    wz_ignore(wz_trie_remove(exchange->trie, wz_exchange_binding_pattern(binding), binding));
    exchange->version++;
    if (exchange->budget != NULL)
        wz_budget_keep(exchange->budget, kept_bytes(binding), 0);
    if (binding->receiver->forget != NULL)
        drop(exchange); // its slots go while the receiver is still there
    wz_free(binding);
}

// Hands the message to the receivers of an entry.
static int hand_out(struct entry *entry, const struct wz_message *msg, struct wz_ticket *ret_ticket)
{
    struct wz_delivery delivery = {.message = msg};
    int r = WZ_OK;

    for (uint32_t i = 0; i < entry->target_count; i++) {
        struct target *target = &entry->targets[i];

        r = target->receiver->receive(target->receiver->arg, &delivery, target->qos, &target->slot);
        if (r < 0 && i == 0 && target->receiver->asked_first)
            break;
        r = WZ_OK; // only who is asked first may refuse
    }
    wz_parcel_unref(delivery.parcel);
    *ret_ticket = delivery.ticket;
    return r;
}

// Takes the entry at place I out, and moves those behind it up that would not be found any more.
static void take_out(struct wz_exchange *exchange, size_t i)
{
    size_t mask = exchange->table_size - 1;

    for (size_t k = (i + 1) & mask; exchange->table[k].entry != NULL; k = (k + 1) & mask) {
        size_t home = exchange->table[k].hash & mask;

        if (((k - home) & mask) < ((k - i) & mask))
            continue;
        exchange->table[i] = exchange->table[k];
        i = k;
    }
    exchange->table[i].entry = NULL;
    exchange->entry_count--;
}

// Forgets one entry that is not KEPT, all in turn, so that no message waits until many are
// forgotten. There is one, and none is in use but KEPT.
static void evict(struct wz_exchange *exchange, const struct entry *kept)
{
    size_t mask = exchange->table_size - 1;
    struct entry *entry;

    while (exchange->table[exchange->hand & mask].entry == NULL ||
           exchange->table[exchange->hand & mask].entry == kept)
        exchange->hand++;
    exchange->hand &= mask;
    entry = exchange->table[exchange->hand].entry;
    take_out(exchange, exchange->hand++);
    exchange->entry_bytes -=
        sizeof(*entry) + entry->topic_len + entry->target_count * sizeof(struct target);
    targets_free(entry->targets, entry->target_count);
    wz_free(entry);
}

// The entry whose hash is HASH, or NULL; the topic is not compared.
static const struct entry *find_hash(const struct wz_exchange *exchange, uint64_t hash)
{
    size_t mask = exchange->table_size - 1;
    size_t i = hash & mask;

    while (exchange->table[i].entry != NULL && exchange->table[i].hash != hash)
        i = (i + 1) & mask;
    return exchange->table[i].entry;
}

// AT may be NULL: nothing is there.
static void fetch_lines(const void *at, int count)
{
    for (int i = 0; at != NULL && i < count; i++)
        __builtin_prefetch((const char *)at + (ptrdiff_t)i * LINE_BYTES);
}

// Each pass reads what the one before has asked for, so that memory is waited for once for all
// topics and not four times for each.
void wz_exchange_expect(const struct wz_exchange *exchange, const struct wz_slice *topics,
                        size_t count)
{
    uint64_t hashes[WZ_EXCHANGE_EXPECT_MAX];
    const struct entry *entries[WZ_EXCHANGE_EXPECT_MAX];

    WZ_ASSERT(count <= WZ_EXCHANGE_EXPECT_MAX);
    for (size_t i = 0; i < count; i++) {
        hashes[i] = wz_hash(topics[i], exchange->seed);
        fetch_lines(&exchange->table[hashes[i] & (exchange->table_size - 1)], 1);
    }
    for (size_t i = 0; i < count; i++) {
        entries[i] = find_hash(exchange, hashes[i]);
        if (entries[i] != NULL)
            fetch_lines(entries[i], 2);
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i] != NULL)
            fetch_lines(entries[i]->targets, 1);
    }
    for (size_t i = 0; i < count; i++) {
        if (entries[i] != NULL && entries[i]->target_count > 0)
            fetch_lines(entries[i]->targets[0].slot, SLOT_LINES);
    }
}

int wz_exchange_publish(struct wz_exchange *exchange, const struct wz_message *msg,
                        wz_topic_valid_fn valid, struct wz_ticket *ret_ticket)
{
    uint64_t hash = wz_hash(msg->topic, exchange->seed);
    struct entry *entry = place_of(exchange, msg->topic, hash)->entry;
    bool outermost = !exchange->publishing;
    int r;

    if (entry == NULL && (is_too_large(exchange, msg->topic) || !valid(msg->topic)))
        return WZ_ERR_INVALID;
    // What is resolved may grow. Inside another publish its entry is in use.
    if ((entry == NULL || entry->version != exchange->version) && outermost) {
        while (exchange->entry_count > 0 && cache_full(exchange, entry == NULL)) {
            evict(exchange, NULL);
            entry = place_of(exchange, msg->topic, hash)->entry; // it may have been that one
        }
    }
    if (entry == NULL)
        entry = entry_add(exchange, msg->topic, hash);
    exchange->publishing = true;
    if (entry->version != exchange->version) {
        resolve(exchange, entry);
        while (outermost && exchange->entry_count > 1 && cache_full(exchange, false))
            evict(exchange, entry);
    }
    r = hand_out(entry, msg, ret_ticket);
    exchange->publishing = !outermost;
    return r;
}

uint32_t wz_exchange_receivers(const struct wz_exchange *exchange, struct wz_slice topic)
{
    const struct entry *entry = place_of(exchange, topic, wz_hash(topic, exchange->seed))->entry;

    return entry != NULL && entry->version == exchange->version ? entry->target_count : 0;
}

uint64_t wz_exchange_version(const struct wz_exchange *exchange) { return exchange->version; }

size_t wz_exchange_cached(const struct wz_exchange *exchange) { return exchange->entry_count; }

bool wz_exchange_bound(const struct wz_exchange *exchange)
{
    return wz_trie_count(exchange->trie) > 0;
}
