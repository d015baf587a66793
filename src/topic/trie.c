// SPDX-License-Identifier: Apache-2.0
// Owns the subscription trie. A node is one cache line and stands for a pattern's first words;
// nodes lie in one array and name each other by number, so 100,000 of them are one block of memory.
// The two wildcard children hang at the node, all others are found in one hash table for the whole
// trie, keyed by parent and word.
//
//   nodes   [root] [bedroom] [light] [#] ...
//   edges   hash(root, "bedroom") -> 1, hash(1, "light") -> 2, ...
//
// Matching goes through the topic's words with the set of all nodes that stand for what was read so
// far. A many-node, once in the set, stays in it. A node of another kind comes into the set from
// its parent alone; only a many-node can come twice (from its parent and by staying), which its
// mark tells. So the cost of a word is at most the number of nodes, however many wildcards there
// are.
#include "topic/trie.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "topic/set.h"

// Words up to this length stand inside their node.
#define WZ_TRIE_WORD_NEAR 16

// Number 0 is the root, which is nobody's child: as a child it means "none".
#define WZ_TRIE_ROOT 0u

enum kind {
    KIND_WORD,
    KIND_ONE,
    KIND_MANY,
};

struct node {
    union {
        uint8_t near[WZ_TRIE_WORD_NEAR];
        uint8_t *far; // owned, when word_len is larger
    };
    struct wz_set values;
    uint32_t word_len;
    uint32_t hash;   // of parent and word, for the edge table
    uint32_t parent; // in the list of free nodes: the next one
    uint32_t one;
    uint32_t many;
    uint32_t word_children;
    uint32_t mark; // of a many-node: the match that has met it
    uint8_t kind;
};

_Static_assert(sizeof(struct node) == 64, "a node is one cache line");

struct states {
    uint32_t *ids;
    size_t count;
    size_t cap;
};

// What a match needs; reused, so that a match allocates nothing.
struct scratch {
    struct states now;
    struct states next;
    uint32_t match;
    bool busy;
};

struct wz_trie {
    const struct wz_topic_form *form;
    uint64_t seed;
    struct node *nodes;
    uint32_t node_count; // places in use or in the free list, the root too
    uint32_t node_cap;
    uint32_t free_first;
    uint32_t *edges; // node numbers, 0 where there is none
    uint32_t edge_count;
    uint32_t edge_cap; // a power of two
    size_t pair_count;
    struct scratch *scratch;
};

struct wz_trie *wz_trie_new(const struct wz_topic_form *form)
{
    struct wz_trie *trie = wz_zalloc(1, sizeof(*trie));

    trie->form = form;
    trie->seed = wz_rand_u64();
    trie->node_cap = 8;
    trie->nodes = wz_zalloc(trie->node_cap, sizeof(*trie->nodes));
    trie->node_count = 1;
    trie->edge_cap = 8;
    trie->edges = wz_zalloc(trie->edge_cap, sizeof(*trie->edges));
    trie->scratch = wz_zalloc(1, sizeof(*trie->scratch));
    return trie;
}

static void node_release(struct node *node)
{
    wz_set_release(&node->values);
    if (node->word_len > WZ_TRIE_WORD_NEAR)
        wz_free(node->far);
    *node = (struct node){0};
}

void wz_trie_free(struct wz_trie *trie)
{
    if (trie == NULL)
        return;
    for (uint32_t i = 0; i < trie->node_count; i++)
        node_release(&trie->nodes[i]);
    wz_free(trie->nodes);
    wz_free(trie->edges);
    wz_free(trie->scratch->now.ids);
    wz_free(trie->scratch->next.ids);
    wz_free(trie->scratch);
    wz_free(trie);
}

static struct wz_slice node_word(const struct node *node)
{
    return wz_slice(node->word_len > WZ_TRIE_WORD_NEAR ? node->far : node->near, node->word_len);
}

// The word's hash is secret already; the parent only has to be spread over it.
static uint32_t edge_hash(uint64_t word_hash, uint32_t parent)
{
    uint64_t mixed = (word_hash ^ parent * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;

    return (uint32_t)(mixed >> 32);
}

static uint32_t edge_find(const struct wz_trie *trie, uint32_t parent, struct wz_slice word,
                          uint64_t word_hash)
{
    uint32_t mask = trie->edge_cap - 1;
    uint32_t hash = edge_hash(word_hash, parent);

    for (uint32_t i = hash & mask; trie->edges[i] != 0; i = (i + 1) & mask) {
        const struct node *node = &trie->nodes[trie->edges[i]];

        if (node->hash == hash && node->parent == parent && wz_slice_eq(node_word(node), word))
            return trie->edges[i];
    }
    return 0;
}

static void edge_place(struct wz_trie *trie, uint32_t id)
{
    uint32_t mask = trie->edge_cap - 1;
    uint32_t i = trie->nodes[id].hash & mask;

    while (trie->edges[i] != 0)
        i = (i + 1) & mask;
    trie->edges[i] = id;
}

static void edge_add(struct wz_trie *trie, uint32_t id)
{
    if ((trie->edge_count + 1) > trie->edge_cap / 4 * 3) {
        uint32_t *old = trie->edges;
        uint32_t old_cap = trie->edge_cap;

        trie->edge_cap *= 2;
        trie->edges = wz_zalloc(trie->edge_cap, sizeof(*trie->edges));
        for (uint32_t i = 0; i < old_cap; i++) {
            if (old[i] != 0)
                edge_place(trie, old[i]);
        }
        wz_free(old);
    }
    edge_place(trie, id);
    trie->edge_count++;
}

static void edge_remove(struct wz_trie *trie, uint32_t id)
{
    uint32_t mask = trie->edge_cap - 1;
    uint32_t i = trie->nodes[id].hash & mask;

    while (trie->edges[i] != id)
        i = (i + 1) & mask;
    // Entries that were pushed past the gap move back into it, so no search stops short.
    for (uint32_t j = (i + 1) & mask; trie->edges[j] != 0; j = (j + 1) & mask) {
        uint32_t want = trie->nodes[trie->edges[j]].hash & mask;

        if (((j - want) & mask) >= ((j - i) & mask)) {
            trie->edges[i] = trie->edges[j];
            i = j;
        }
    }
    trie->edges[i] = 0;
    trie->edge_count--;
}

static uint32_t node_take(struct wz_trie *trie)
{
    uint32_t id = trie->free_first;

    if (id != 0) {
        trie->free_first = trie->nodes[id].parent;
        trie->nodes[id].parent = 0;
        return id;
    }
    if (trie->node_count == trie->node_cap) {
        WZ_ASSERT(trie->node_cap < UINT32_MAX / 2);
        trie->node_cap += trie->node_cap / 2;
        trie->nodes = wz_realloc(trie->nodes, trie->node_cap * sizeof(*trie->nodes));
    }
    id = trie->node_count++;
    trie->nodes[id] = (struct node){0};
    return id;
}

static enum kind word_kind(const struct wz_topic_form *form, struct wz_slice word)
{
    if (word.len != 1)
        return KIND_WORD;
    if (word.ptr[0] == form->one)
        return KIND_ONE;
    return word.ptr[0] == form->many ? KIND_MANY : KIND_WORD;
}

static uint32_t child_find(const struct wz_trie *trie, uint32_t parent, struct wz_slice word)
{
    switch (word_kind(trie->form, word)) {
    case KIND_ONE:
        return trie->nodes[parent].one;
    case KIND_MANY:
        return trie->nodes[parent].many;
    default:
        return edge_find(trie, parent, word, wz_hash(word, trie->seed));
    }
}

static void node_set_word(struct node *node, struct wz_slice word)
{
    node->word_len = (uint32_t)word.len;
    if (word.len > WZ_TRIE_WORD_NEAR)
        node->far = (uint8_t *)wz_strndup(word.ptr, word.len);
    else if (word.len > 0)
        memcpy(node->near, word.ptr, word.len);
}

static uint32_t child_make(struct wz_trie *trie, uint32_t parent, struct wz_slice word)
{
    uint32_t id = node_take(trie);
    struct node *node = &trie->nodes[id];

    node->parent = parent;
    node->kind = (uint8_t)word_kind(trie->form, word);
    if (node->kind == KIND_ONE) {
        trie->nodes[parent].one = id;
    } else if (node->kind == KIND_MANY) {
        trie->nodes[parent].many = id;
    } else {
        node->hash = edge_hash(wz_hash(word, trie->seed), parent);
        node_set_word(node, word);
        trie->nodes[parent].word_children++;
        edge_add(trie, id);
    }
    return id;
}

static size_t word_count(const struct wz_trie *trie, struct wz_slice s)
{
    struct wz_words words = wz_words(s, trie->form->separator);
    struct wz_slice word;
    size_t count = 0;

    while (wz_words_next(&words, &word))
        count++;
    return count;
}

int wz_trie_add(struct wz_trie *trie, struct wz_slice pattern, void *value)
{
    struct wz_words words = wz_words(pattern, trie->form->separator);
    uint32_t id = WZ_TRIE_ROOT;
    struct wz_slice word;

    WZ_ASSERT(value != NULL && !trie->scratch->busy);
    if (word_count(trie, pattern) > WZ_TRIE_DEPTH_MAX)
        return WZ_ERR_LIMIT;
    while (wz_words_next(&words, &word)) {
        uint32_t child = child_find(trie, id, word);

        id = child != 0 ? child : child_make(trie, id, word);
    }
    if (!wz_set_add(&trie->nodes[id].values, value))
        return WZ_ERR_EXISTS;
    trie->pair_count++;
    return WZ_OK;
}

// Takes away the node and those above it that hold neither values nor children any more.
static void prune(struct wz_trie *trie, uint32_t id)
{
    while (id != WZ_TRIE_ROOT) {
        struct node *node = &trie->nodes[id];
        struct node *parent = &trie->nodes[node->parent];
        uint32_t parent_id = node->parent;

        if (node->values.count > 0 || node->word_children > 0 || node->one != 0 || node->many != 0)
            return;
        if (node->kind == KIND_ONE) {
            parent->one = 0;
        } else if (node->kind == KIND_MANY) {
            parent->many = 0;
        } else {
            edge_remove(trie, id);
            parent->word_children--;
        }
        node_release(node);
        node->parent = trie->free_first;
        trie->free_first = id;
        id = parent_id;
    }
}

int wz_trie_remove(struct wz_trie *trie, struct wz_slice pattern, void *value)
{
    struct wz_words words = wz_words(pattern, trie->form->separator);
    uint32_t id = WZ_TRIE_ROOT;
    struct wz_slice word;

    WZ_ASSERT(!trie->scratch->busy);
    while (wz_words_next(&words, &word)) {
        id = child_find(trie, id, word);
        if (id == 0)
            return WZ_ERR_NOT_FOUND;
    }
    if (!wz_set_remove(&trie->nodes[id].values, value))
        return WZ_ERR_NOT_FOUND;
    trie->pair_count--;
    prune(trie, id);
    return WZ_OK;
}

static void states_push(struct states *states, uint32_t id)
{
    if (states->count == states->cap) {
        states->cap = states->cap > 0 ? states->cap * 2 : 64;
        states->ids = wz_realloc(states->ids, states->cap * sizeof(*states->ids));
    }
    states->ids[states->count++] = id;
}

// Puts a node in the set, and the many-nodes below it, which match no word too. One that was met
// before is in the set already, with those below it.
static void enter(const struct wz_trie *trie, struct states *states, uint32_t id)
{
    while (id != 0) {
        struct node *node = &trie->nodes[id];

        if (node->kind == KIND_MANY) {
            if (node->mark == trie->scratch->match)
                return;
            node->mark = trie->scratch->match;
        }
        states_push(states, id);
        id = node->many;
    }
}

// From the nodes before WORD to those behind it. HIDDEN: the root's wildcards do not count.
static void advance(const struct wz_trie *trie, struct wz_slice word, bool hidden)
{
    const struct states *now = &trie->scratch->now;
    struct states *next = &trie->scratch->next;
    uint64_t word_hash = wz_hash(word, trie->seed);

    next->count = 0;
    for (size_t i = 0; i < now->count; i++) {
        uint32_t id = now->ids[i];
        const struct node *node = &trie->nodes[id];

        if (node->kind == KIND_MANY)
            states_push(next, id);
        if (node->one != 0 && !(hidden && id == WZ_TRIE_ROOT))
            enter(trie, next, node->one);
        if (node->word_children > 0)
            enter(trie, next, edge_find(trie, id, word, word_hash));
    }
}

// Begins a match: the set holds the root and what matches before the first word.
static void begin(const struct wz_trie *trie, bool hidden)
{
    struct scratch *scratch = trie->scratch;

    if (++scratch->match == 0) { // after 2^32 matches old marks would seem new
        for (uint32_t i = 0; i < trie->node_count; i++)
            trie->nodes[i].mark = 0;
        scratch->match = 1;
    }
    scratch->now.count = 0;
    states_push(&scratch->now, WZ_TRIE_ROOT);
    if (!hidden)
        enter(trie, &scratch->now, trie->nodes[WZ_TRIE_ROOT].many);
}

void wz_trie_match(const struct wz_trie *trie, struct wz_slice topic, wz_trie_match_fn fn,
                   void *arg)
{
    struct wz_words words = wz_words(topic, trie->form->separator);
    struct scratch *scratch = trie->scratch;
    bool hidden = trie->form->hide_dollar && topic.len > 0 && topic.ptr[0] == '$';
    struct wz_slice word;

    WZ_ASSERT(!scratch->busy);
    begin(trie, hidden);
    for (size_t depth = 0; wz_words_next(&words, &word); depth++) {
        struct states before = scratch->now;

        if (depth == WZ_TRIE_DEPTH_MAX || before.count == 0)
            return;
        advance(trie, word, hidden);
        scratch->now = scratch->next;
        scratch->next = before;
    }
    scratch->busy = true;
    for (size_t i = 0; i < scratch->now.count; i++) {
        uint32_t walk = 0;

        for (void *value;
             (value = wz_set_next(&trie->nodes[scratch->now.ids[i]].values, &walk)) != NULL;)
            fn(arg, value);
    }
    scratch->busy = false;
}

size_t wz_trie_count(const struct wz_trie *trie) { return trie->pair_count; }
