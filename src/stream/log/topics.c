// SPDX-License-Identifier: Apache-2.0
// Owns the topic index of a growing segment: a table of topics, and for each a chain of the blocks
// that hold it, newest first, through one array. Adding is what the writer does for every record,
// so it hashes a whole batch first and lets the cache misses overlap.
#include "stream/log/topics.h"

#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/name_sort.h"
#include "base/rand.h"
#include "stream/log/topics_file.h"

#define NONE UINT32_MAX

// How many keys are hashed before the first is looked up.
#define HASH_AHEAD 64

// How much is copied at a time, while others wait.
#define COPY_STEP_BYTES ((size_t)256 * 1024)

// So many topics ahead of the one that is encoded its name is fetched into the cache, and at twice
// that the topic.
#define ENCODE_AHEAD 8

struct topic {
    uint64_t hash;
    uint32_t name_pos; // in names
    uint32_t name_len;
    uint32_t newest;     // of its chain, in postings
    uint32_t last_block; // == postings[newest].block
    uint32_t count;      // of its chain
};

// One block of one topic, and the one before it.
struct posting {
    uint32_t block;
    uint32_t prev;
    uint32_t topic;
};

struct wz_topics {
    uint64_t seed;
    struct wz_buf names;
    struct topic *topics;
    uint32_t count;
    uint32_t cap;
    uint32_t *slots; // number of a topic, or NONE
    uint32_t slot_count;
    struct posting *postings;
    uint32_t posting_count;
    uint32_t posting_cap;
};

struct wz_topics *wz_topics_new(void)
{
    struct wz_topics *topics = wz_zalloc(1, sizeof(*topics));

    topics->seed = wz_rand_u64();
    topics->slot_count = 64;
    topics->slots = wz_alloc(topics->slot_count * sizeof(topics->slots[0]));
    memset(topics->slots, 0xff, topics->slot_count * sizeof(topics->slots[0]));
    return topics;
}

void wz_topics_free(struct wz_topics *topics)
{
    if (topics == NULL)
        return;
    wz_buf_release(&topics->names);
    wz_free(topics->topics);
    wz_free(topics->slots);
    wz_free(topics->postings);
    wz_free(topics);
}

static struct wz_slice name_of(const struct wz_topics *topics, const struct topic *topic)
{
    return wz_slice(topics->names.ptr + topic->name_pos, topic->name_len);
}

static void place(struct wz_topics *topics, uint32_t number)
{
    uint32_t mask = topics->slot_count - 1;
    uint32_t at = (uint32_t)topics->topics[number].hash & mask;

    while (topics->slots[at] != NONE)
        at = (at + 1) & mask;
    topics->slots[at] = number;
}

static void grow_slots(struct wz_topics *topics)
{
    topics->slot_count *= 2;
    topics->slots = wz_realloc(topics->slots, topics->slot_count * sizeof(topics->slots[0]));
    memset(topics->slots, 0xff, topics->slot_count * sizeof(topics->slots[0]));
    for (uint32_t i = 0; i < topics->count; i++)
        place(topics, i);
}

static uint32_t find(const struct wz_topics *topics, struct wz_slice key, uint64_t hash)
{
    uint32_t mask = topics->slot_count - 1;

    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        uint32_t number = topics->slots[at];

        if (number == NONE)
            return NONE;
        if (topics->topics[number].hash == hash &&
            wz_slice_eq(name_of(topics, &topics->topics[number]), key))
            return number;
    }
}

static uint32_t add_topic(struct wz_topics *topics, struct wz_slice key, uint64_t hash)
{
    if (topics->count == topics->cap) {
        topics->cap = topics->cap == 0 ? 64 : topics->cap * 2;
        topics->topics = wz_realloc(topics->topics, topics->cap * sizeof(topics->topics[0]));
    }
    topics->topics[topics->count] = (struct topic){.hash = hash,
                                                   .name_pos = (uint32_t)topics->names.len,
                                                   .name_len = (uint32_t)key.len,
                                                   .newest = NONE,
                                                   .last_block = NONE};
    wz_buf_add_slice(&topics->names, key);
    topics->count++;
    if (topics->count > topics->slot_count / 2)
        grow_slots(topics);
    else
        place(topics, topics->count - 1);
    return topics->count - 1;
}

static void add_posting(struct wz_topics *topics, struct topic *topic, uint32_t block)
{
    if (topics->posting_count == topics->posting_cap) {
        topics->posting_cap = topics->posting_cap == 0 ? 256 : topics->posting_cap * 2;
        topics->postings =
            wz_realloc(topics->postings, topics->posting_cap * sizeof(topics->postings[0]));
    }
    topics->postings[topics->posting_count] = (struct posting){
        .block = block, .prev = topic->newest, .topic = (uint32_t)(topic - topics->topics)};
    topic->newest = topics->posting_count++;
    topic->last_block = block;
    topic->count++;
}

static void add_some(struct wz_topics *topics, uint32_t block, const struct wz_slice *keys,
                     size_t count)
{
    uint64_t hashes[HASH_AHEAD];
    uint32_t mask = topics->slot_count - 1;

    for (size_t i = 0; i < count; i++) {
        hashes[i] = wz_hash(keys[i], topics->seed);
        __builtin_prefetch(&topics->slots[(uint32_t)hashes[i] & mask]);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t number = topics->slots[(uint32_t)hashes[i] & mask];

        if (number != NONE)
            __builtin_prefetch(&topics->topics[number]);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t number = topics->slots[(uint32_t)hashes[i] & mask];

        if (number != NONE)
            __builtin_prefetch(topics->names.ptr + topics->topics[number].name_pos);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t number = find(topics, keys[i], hashes[i]);

        if (number == NONE)
            number = add_topic(topics, keys[i], hashes[i]);
        if (topics->topics[number].last_block != block)
            add_posting(topics, &topics->topics[number], block);
        mask = topics->slot_count - 1;
    }
}

void wz_topics_add(struct wz_topics *topics, uint32_t block, const struct wz_slice *keys,
                   size_t count)
{
    for (size_t i = 0; i < count; i += HASH_AHEAD)
        add_some(topics, block, keys + i, count - i < HASH_AHEAD ? count - i : HASH_AHEAD);
}

void wz_topics_cut(struct wz_topics *topics, uint32_t block)
{
    for (uint32_t i = 0; i < topics->count; i++) {
        struct topic *topic = &topics->topics[i];

        while (topic->newest != NONE && topics->postings[topic->newest].block >= block) {
            topic->newest = topics->postings[topic->newest].prev;
            topic->count--;
        }
        topic->last_block = topic->newest == NONE ? NONE : topics->postings[topic->newest].block;
    }
    // The array is in the order of blocks, so what was cut is its end.
    while (topics->posting_count > 0 && topics->postings[topics->posting_count - 1].block >= block)
        topics->posting_count--;
}

static void select_topic(const struct wz_topics *topics, const struct topic *topic,
                         struct wz_blocks *ret_blocks)
{
    for (uint32_t at = topic->newest; at != NONE; at = topics->postings[at].prev)
        wz_blocks_add(ret_blocks, topics->postings[at].block);
}

void wz_topics_select(const struct wz_topics *topics, const struct wz_filter *filter,
                      struct wz_blocks *ret_blocks)
{
    if (filter->literal) {
        struct wz_slice key = wz_buf_slice(&filter->pattern);
        uint32_t number = find(topics, key, wz_hash(key, topics->seed));

        if (number != NONE)
            select_topic(topics, &topics->topics[number], ret_blocks);
        return;
    }
    for (uint32_t i = 0; i < topics->count; i++) {
        if (wz_filter_match(filter, name_of(topics, &topics->topics[i])))
            select_topic(topics, &topics->topics[i], ret_blocks);
    }
}

static struct wz_slice name_of_item(const void *arg, const void *item)
{
    return name_of(arg, item);
}

// The topics that some block holds, in the order of their names; RET_COUNT is how many. The caller
// frees them.
static struct wz_named *sorted_topics(const struct wz_topics *topics, uint32_t *ret_count)
{
    struct wz_named *order = wz_alloc(topics->count * sizeof(order[0]));
    uint32_t count = 0;

    for (uint32_t i = 0; i < topics->count; i++) {
        if (topics->topics[i].count > 0)
            order[count++].item = &topics->topics[i];
    }
    wz_name_sort(order, count, name_of_item, topics);
    *ret_count = count;
    return order;
}

// Fills BLOCKS with the blocks of the first topic, ascending, then those of the second, and so on;
// ENDS gets where those of each topic end. It goes through the postings once, from front to back:
// the chains would miss the cache at each step.
static void list_blocks(const struct wz_topics *topics, uint32_t *blocks, uint32_t *ends)
{
    uint32_t start = 0;

    for (uint32_t i = 0; i < topics->count; i++) {
        ends[i] = start;
        start += topics->topics[i].count;
    }
    WZ_ASSERT(start == topics->posting_count);
    for (uint32_t at = 0; at < topics->posting_count; at++) {
        const struct posting *posting = &topics->postings[at];

        blocks[ends[posting->topic]++] = posting->block;
    }
}

void wz_topics_encode(const struct wz_topics *topics, uint32_t block_count, struct wz_buf *ret_buf)
{
    uint32_t *ends = wz_alloc(((size_t)topics->count + 1) * sizeof(ends[0]));
    uint32_t *blocks = wz_alloc(((size_t)topics->posting_count + 1) * sizeof(blocks[0]));
    struct wz_topics_file file;
    uint32_t count;
    struct wz_named *order = sorted_topics(topics, &count);

    list_blocks(topics, blocks, ends);
    wz_topics_file_begin(&file, count, block_count);
    for (uint32_t i = 0; i < count; i++) {
        const struct topic *topic = order[i].item;

        if (i + 2 * ENCODE_AHEAD < count)
            __builtin_prefetch(order[i + 2 * ENCODE_AHEAD].item);
        if (i + ENCODE_AHEAD < count)
            __builtin_prefetch(name_of(topics, order[i + ENCODE_AHEAD].item).ptr);
        wz_topics_file_add(&file, name_of(topics, topic),
                           blocks + ends[topic - topics->topics] - topic->count, topic->count);
    }
    wz_topics_file_end(&file, ret_buf);
    wz_free(order);
    wz_free(ends);
    wz_free(blocks);
}

size_t wz_topics_size(const struct wz_topics *topics)
{
    return (size_t)topics->count + topics->posting_count;
}

struct wz_topics_copy {
    struct wz_topics *made; // its counts say what is copied; its arrays have room for all
    size_t names_len;       // of what is to be copied
    uint32_t count;
    uint32_t posting_count;
};

struct wz_topics_copy *wz_topics_copy_begin(const struct wz_topics *topics)
{
    struct wz_topics_copy *copy = wz_zalloc(1, sizeof(*copy));

    copy->made = wz_zalloc(1, sizeof(*copy->made));
    copy->names_len = topics->names.len;
    copy->count = topics->count;
    copy->posting_count = topics->posting_count;
    wz_buf_reserve(&copy->made->names, topics->names.len);
    copy->made->topics = wz_alloc(topics->count * sizeof(topics->topics[0]));
    copy->made->postings = wz_alloc(topics->posting_count * sizeof(topics->postings[0]));
    return copy;
}

// How many things of SIZE bytes to copy in one step, of LEFT.
static size_t step_of(size_t left, size_t size)
{
    return left < COPY_STEP_BYTES / size ? left : COPY_STEP_BYTES / size;
}

bool wz_topics_copy_step(struct wz_topics_copy *copy, const struct wz_topics *topics)
{
    struct wz_topics *made = copy->made;
    size_t count;

    WZ_ASSERT(topics->posting_count >= copy->posting_count);
    if (made->names.len < copy->names_len) {
        count = step_of(copy->names_len - made->names.len, 1);
        wz_buf_add(&made->names, topics->names.ptr + made->names.len, count);
    } else if (made->count < copy->count) {
        count = step_of(copy->count - made->count, sizeof(made->topics[0]));
        memcpy(made->topics + made->count, topics->topics + made->count,
               count * sizeof(made->topics[0]));
        made->count += (uint32_t)count;
    } else if (made->posting_count < copy->posting_count) {
        count = step_of(copy->posting_count - made->posting_count, sizeof(made->postings[0]));
        memcpy(made->postings + made->posting_count, topics->postings + made->posting_count,
               count * sizeof(made->postings[0]));
        made->posting_count += (uint32_t)count;
    }
    return made->posting_count < copy->posting_count || made->count < copy->count ||
           made->names.len < copy->names_len;
}

struct wz_topics *wz_topics_copy_end(struct wz_topics_copy *copy)
{
    struct wz_topics *made = copy->made;

    // A topic may have got more blocks before it was copied; the chains are not needed.
    for (uint32_t i = 0; i < made->count; i++)
        made->topics[i].count = 0;
    for (uint32_t at = 0; at < made->posting_count; at++)
        made->topics[made->postings[at].topic].count++;
    wz_free(copy);
    return made;
}

// Makes room for COUNT topics, so that nothing is moved while they come.
static void reserve(struct wz_topics *topics, uint32_t count, size_t names_len)
{
    wz_buf_reserve(&topics->names, names_len);
    topics->cap = count;
    topics->topics = wz_realloc(topics->topics, count * sizeof(topics->topics[0]));
    while (topics->slot_count / 2 < count)
        topics->slot_count *= 2;
    topics->slots = wz_realloc(topics->slots, topics->slot_count * sizeof(topics->slots[0]));
    memset(topics->slots, 0xff, topics->slot_count * sizeof(topics->slots[0]));
}

// Fills the topics of a file in, and counts how many of them each block holds.
static void load_names(struct wz_topics *topics, struct wz_slice s, uint32_t block_count,
                       uint32_t *counts)
{
    struct wz_topics_entry entries[HASH_AHEAD];
    uint64_t hashes[HASH_AHEAD];
    uint32_t at = 0;
    uint32_t got;

    do {
        for (got = 0; got < HASH_AHEAD && wz_topics_file_get(s, at + got, &entries[got]); got++) {
            hashes[got] = wz_hash(entries[got].name, topics->seed);
            __builtin_prefetch(&topics->slots[(uint32_t)hashes[got] & (topics->slot_count - 1)], 1);
        }
        for (uint32_t i = 0; i < got; i++) {
            wz_ignore((int)add_topic(topics, entries[i].name, hashes[i]));
            for (uint32_t k = 0; k < entries[i].count; k++) {
                uint32_t block = wz_topics_entry_next(&entries[i]);

                if (block < block_count) // the checksum was right, yet nothing is taken on trust
                    counts[block]++;
            }
        }
        at += got;
    } while (got == HASH_AHEAD);
}

// Fills NUMBERS with the topics of the first block, then those of the second, and so on; STARTS
// says where those of a block begin, and afterwards where they end.
static void sort_by_block(struct wz_slice s, uint32_t block_count, uint32_t *starts,
                          uint32_t *numbers)
{
    struct wz_topics_entry entry;

    for (uint32_t i = 0; wz_topics_file_get(s, i, &entry); i++) {
        for (uint32_t k = 0; k < entry.count; k++) {
            uint32_t block = wz_topics_entry_next(&entry);

            if (block < block_count)
                numbers[starts[block]++] = i;
        }
    }
}

// Turns counts into where each block's topics start; returns how many there are in all.
static uint32_t add_up(uint32_t *counts, uint32_t block_count)
{
    uint32_t total = 0;

    for (uint32_t block = 0; block < block_count; block++) {
        uint32_t count = counts[block];

        counts[block] = total;
        total += count;
    }
    return total;
}

struct wz_topics *wz_topics_load(struct wz_slice s)
{
    struct wz_topics *topics = wz_topics_new();
    uint32_t block_count = wz_topics_file_blocks(s);
    uint32_t *starts = wz_zalloc((size_t)block_count + 1, sizeof(starts[0]));
    uint32_t *numbers;
    uint32_t at = 0;

    reserve(topics, wz_topics_file_topics(s), wz_topics_file_names_len(s));
    load_names(topics, s, block_count, starts);
    numbers = wz_alloc(((size_t)add_up(starts, block_count) + 1) * sizeof(numbers[0]));
    sort_by_block(s, block_count, starts, numbers);
    for (uint32_t block = 0; block < block_count; block++) {
        for (; at < starts[block]; at++) {
            struct topic *topic = &topics->topics[numbers[at]];

            if (topic->last_block != block)
                add_posting(topics, topic, block);
        }
    }
    wz_free(starts);
    wz_free(numbers);
    return topics;
}
