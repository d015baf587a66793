// SPDX-License-Identifier: Apache-2.0
// Owns the retained messages: nodes in a table, which finds the one of a topic, and in a skip list
// in the order of the topics' bytes, for walks. A topic is a node, one block with its links, the
// bytes of the topic and the place of its key in the journal; its body is a second block, which is
// exchanged when the message is replaced. Loop thread only.
//
//   head[2] ----------------------> c/d -------------> nobody
//   head[1] --------> a/b --------> c/d -------------> nobody
//   head[0] --> a --> a/b --> b --> c/d --> c/e -----> nobody
//
// What the journal holds at a start comes in no order: it is gathered in the table alone, and
// sorted and linked once, when the first one asks.
//
// How high a node reaches is drawn from a generator that nobody outside can foresee, so nobody can
// choose topics that make the list slow.
#include "broker/retained.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "base/rand.h"
#include "broker/topic_table.h"
#include "topic/pattern.h"
#include "wire/mqtt.h"

#define LETTER 'R'

// One node of four reaches one level higher: enough for 4^12 topics, and slower only beyond.
#define LEVELS 12

// What stands in a value before the body: QoS and time.
#define VALUE_HEAD_LEN 9

// A topic and its message.
struct node {
    struct wz_journal_place place;
    uint8_t *body; // owned
    uint32_t body_len;
    uint16_t topic_len;
    uint8_t qos;
    uint8_t height;
    struct node *next[]; // one of each level, HEIGHT of them, once linked; the topic's bytes follow
};

// What a message takes besides the bytes of topic and body: its node with the links of a usual
// height, what the allocator adds to two blocks, and the table.
#define MESSAGE_COST (sizeof(struct node) + 2 * sizeof(struct node *) + 32 + WZ_TOPIC_TABLE_COST)

struct wz_retained {
    struct wz_journal *journal;
    struct wz_journal_kind kind;
    struct wz_retained_limits limits;
    struct wz_topic_table *table;
    struct node *head[LEVELS];
    bool linked; // all nodes are; before, none is
    size_t count;
    size_t bytes;
    uint64_t random;
};

// The links that lead over a place in the order, one of each level.
struct path {
    struct node **links[LEVELS];
};

static struct wz_slice topic_of(const struct node *node)
{
    return wz_slice(&node->next[node->height], node->topic_len);
}

static struct wz_slice topic_of_item(const void *item) { return topic_of(item); }

// The first node whose topic is not below TOPIC, or NULL. RET_PATH may be NULL.
static struct node *seek(struct wz_retained *retained, struct wz_slice topic, struct path *ret_path)
{
    struct node **tower = retained->head;
    struct node *not_below = NULL; // is not compared again on the levels further down

    for (int level = LEVELS - 1; level >= 0; level--) {
        struct node *node;

        while ((node = tower[level]) != not_below && wz_slice_cmp(topic_of(node), topic) < 0)
            tower = node->next;
        not_below = node;
        if (ret_path != NULL)
            ret_path->links[level] = &tower[level];
    }
    return not_below;
}

// The node of TOPIC, or NULL.
static struct node *get(const struct wz_retained *retained, struct wz_slice topic)
{
    return wz_topic_table_get(retained->table, topic);
}

// SplitMix64: every state gives another number, and the first one comes from the kernel.
static uint64_t next_random(struct wz_retained *retained)
{
    uint64_t num = retained->random += 0x9e3779b97f4a7c15;

    num = (num ^ num >> 30) * 0xbf58476d1ce4e5b9;
    num = (num ^ num >> 27) * 0x94d049bb133111eb;
    return num ^ num >> 31;
}

static uint8_t choose_height(struct wz_retained *retained)
{
    uint64_t num = next_random(retained) | (uint64_t)1 << (2 * (LEVELS - 1)); // the last level

    return (uint8_t)(1 + __builtin_ctzll(num) / 2);
}

static size_t cost_of(size_t topic_len, size_t body_len)
{
    return MESSAGE_COST + topic_len + body_len;
}

// Makes a node without a body, which is not linked yet.
static struct node *node_new(struct wz_retained *retained, struct wz_slice topic)
{
    uint8_t height = choose_height(retained);
    size_t links_len = height * sizeof(struct node *);
    struct node *node = wz_alloc(sizeof(*node) + links_len + topic.len);

    *node = (struct node){
        .place = WZ_JOURNAL_NOWHERE,
        .topic_len = (uint16_t)topic.len,
        .height = height,
    };
    memcpy(&node->next[height], topic.ptr, topic.len);
    wz_topic_table_put(retained->table, node);
    retained->count++;
    retained->bytes += cost_of(topic.len, 0);
    return node;
}

// Makes a node without a body and links it.
static struct node *insert(struct wz_retained *retained, struct wz_slice topic)
{
    struct node *node = node_new(retained, topic);
    struct path path;

    (void)seek(retained, topic, &path);
    for (int level = 0; level < node->height; level++) {
        node->next[level] = *path.links[level];
        *path.links[level] = node;
    }
    return node;
}

static void node_free(struct wz_retained *retained, struct node *node)
{
    retained->count--;
    retained->bytes -= cost_of(node->topic_len, node->body_len);
    wz_free(node->body);
    wz_free(node);
}

// A node to be sorted.
struct sorted {
    uint64_t front[2]; // the sixteen bytes of its topic behind what all topics begin with
    struct node *node;
};

static int by_topic(const void *left, const void *right)
{
    const struct sorted *a = left;
    const struct sorted *b = right;

    if (a->front[0] != b->front[0])
        return a->front[0] < b->front[0] ? -1 : 1;
    if (a->front[1] != b->front[1])
        return a->front[1] < b->front[1] ? -1 : 1;
    return wz_slice_cmp(topic_of(a->node), topic_of(b->node));
}

// How many bytes all topics have in common at their beginning.
static size_t common_len(const struct sorted *nodes, size_t count)
{
    struct wz_slice first = count > 0 ? topic_of(nodes[0].node) : (struct wz_slice){0};
    size_t len = first.len;

    for (size_t i = 1; i < count; i++) {
        struct wz_slice topic = topic_of(nodes[i].node);
        size_t same = 0;

        while (same < len && same < topic.len && topic.ptr[same] == first.ptr[same])
            same++;
        len = same;
    }
    return len;
}

// Sorts them by their topics. A missing byte counts as 0, which no topic holds.
static void sort(struct sorted *nodes, size_t count)
{
    size_t common = common_len(nodes, count);

    for (size_t i = 0; i < count; i++) {
        struct wz_slice topic = topic_of(nodes[i].node);

        for (size_t k = 0; k < 16; k++) {
            uint64_t *front = &nodes[i].front[k / 8];

            *front = *front << 8 | (common + k < topic.len ? topic.ptr[common + k] : 0);
        }
    }
    qsort(nodes, count, sizeof(nodes[0]), by_topic);
}

void wz_retained_settle(struct wz_retained *retained)
{
    struct node **links[LEVELS];
    struct sorted *nodes;
    struct node *node;
    size_t walk = 0;
    size_t count = 0;

    if (retained->linked)
        return;
    retained->linked = true;
    nodes = wz_alloc((retained->count + 1) * sizeof(nodes[0]));
    while ((node = wz_topic_table_next(retained->table, &walk)) != NULL)
        nodes[count++].node = node;
    sort(nodes, count);
    for (int level = 0; level < LEVELS; level++)
        links[level] = &retained->head[level];
    for (size_t i = 0; i < count; i++) {
        node = nodes[i].node;
        for (int level = 0; level < node->height; level++) {
            *links[level] = node;
            links[level] = &node->next[level];
        }
    }
    for (int level = 0; level < LEVELS; level++)
        *links[level] = NULL;
    wz_free(nodes);
}

// Takes a linked node out; its place must be nowhere.
static void take_out(struct wz_retained *retained, struct node *node)
{
    struct path path;

    WZ_ASSERT(node->place.offset < 0);
    (void)seek(retained, topic_of(node), &path);
    for (int level = 0; level < node->height; level++)
        *path.links[level] = node->next[level];
    wz_topic_table_remove(retained->table, node);
    node_free(retained, node);
}

static void set_message(struct wz_retained *retained, struct node *node, struct wz_slice body,
                        uint8_t qos)
{
    uint8_t *copy = wz_alloc(body.len);

    memcpy(copy, body.ptr, body.len); // before the old one goes, whose bytes these may be
    wz_free(node->body);
    retained->bytes += body.len;
    retained->bytes -= node->body_len;
    node->body = copy;
    node->body_len = (uint32_t)body.len;
    node->qos = qos;
}

// Reads a value as it stands in the journal.
static int read_value(struct wz_slice value, uint8_t *ret_qos, struct wz_slice *ret_body)
{
    struct wz_cursor cur = wz_cursor(value);
    uint8_t qos = wz_cursor_get_u8(&cur);

    (void)wz_cursor_get_u64(&cur); // the time is for those who read the journal
    if (cur.failed || qos > 2 || wz_cursor_left(&cur) == 0)
        return WZ_ERR_CORRUPT; // a message without a body is never retained (3.3.1.3)
    *ret_qos = qos;
    *ret_body = wz_cursor_get_bytes(&cur, wz_cursor_left(&cur));
    return WZ_OK;
}

// Takes what the journal holds: the newest record of a topic comes last.
static int replay(void *arg, const struct wz_journal_record *record)
{
    struct wz_retained *retained = arg;
    struct wz_slice body = {0};
    struct node *node;
    uint8_t qos = 0;

    if (!wz_mqtt_topic_valid(record->key) ||
        (!record->removed && read_value(record->value, &qos, &body) < 0))
        return WZ_ERR_CORRUPT;
    WZ_ASSERT(!retained->linked);
    node = get(retained, record->key);
    if (node != NULL)
        wz_journal_drop(retained->journal, &node->place);
    if (record->removed) {
        if (node != NULL) {
            wz_topic_table_remove(retained->table, node);
            node_free(retained, node);
        }
        return WZ_OK;
    }
    if (node == NULL)
        node = node_new(retained, record->key);
    set_message(retained, node, body, qos);
    node->place = record->place;
    return WZ_OK;
}

static struct wz_journal_place *find(void *arg, struct wz_slice key)
{
    struct node *node = get(arg, key);

    return node != NULL ? &node->place : NULL;
}

struct wz_retained *wz_retained_new(struct wz_journal *journal,
                                    const struct wz_retained_limits *limits)
{
    struct wz_retained *retained = wz_zalloc(1, sizeof(*retained));

    retained->journal = journal;
    retained->kind =
        (struct wz_journal_kind){.letter = LETTER, .arg = retained, .replay = replay, .find = find};
    retained->limits = *limits;
    retained->table = wz_topic_table_new(topic_of_item);
    retained->random = wz_rand_u64();
    wz_journal_join(journal, &retained->kind);
    return retained;
}

void wz_retained_free(struct wz_retained *retained)
{
    struct node *node;
    size_t walk = 0;

    if (retained == NULL)
        return;
    while ((node = wz_topic_table_next(retained->table, &walk)) != NULL)
        node_free(retained, node);
    wz_topic_table_free(retained->table);
    wz_free(retained);
}

// Whether MSG may stand in the place of NODE, which may be NULL.
static bool has_room(const struct wz_retained *retained, const struct node *node,
                     const struct wz_message *msg)
{
    size_t count = retained->count;
    size_t bytes = retained->bytes;

    if (node != NULL) {
        count--;
        bytes -= cost_of(node->topic_len, node->body_len);
    }
    return count < retained->limits.max_count &&
           bytes + cost_of(msg->topic.len, msg->body.len) <= retained->limits.max_bytes;
}

int wz_retained_put(struct wz_retained *retained, const struct wz_message *msg, int64_t now_ms)
{
    uint8_t value_head[VALUE_HEAD_LEN];
    struct wz_pen pen = wz_pen(value_head, sizeof(value_head));
    struct wz_slice pieces[] = {wz_slice(value_head, sizeof(value_head)), msg->body};
    struct node *node = get(retained, msg->topic);
    bool clears = msg->body.len == 0;

    wz_retained_settle(retained);
    if (clears || !has_room(retained, node, msg)) {
        if (node != NULL) {
            wz_journal_remove(retained->journal, LETTER, msg->topic, &node->place);
            take_out(retained, node);
        }
        return clears ? WZ_OK : WZ_ERR_LIMIT;
    }
    wz_pen_put_u8(&pen, msg->qos);
    wz_pen_put_u64(&pen, (uint64_t)now_ms);
    if (node == NULL)
        node = insert(retained, msg->topic);
    wz_journal_put(retained->journal, LETTER, msg->topic, pieces, 2, &node->place);
    set_message(retained, node, msg->body, msg->qos);
    return WZ_OK;
}

void wz_retained_walk_init(struct wz_retained_walk *walk, struct wz_slice filter)
{
    *walk = (struct wz_retained_walk){
        .filter = wz_strndup(filter.ptr, filter.len),
        .filter_len = filter.len,
    };
}

void wz_retained_walk_release(struct wz_retained_walk *walk)
{
    wz_free(walk->filter);
    walk->filter = NULL;
    wz_buf_release(&walk->after);
}

// Where in the order a filter's topics are: all that begin with PREFIX, which ends in front of the
// first wildcard, and before them PARENT: "a/#" matches "a" too (4.7.1.2). Between "a" and "a/..."
// there may be any number of others, such as "a-b".
struct span {
    struct wz_slice prefix;
    struct wz_slice parent; // empty when there is none
    bool whole;             // no wildcard: PREFIX is the one topic
};

static struct span span_of(struct wz_slice filter)
{
    struct span span = {.prefix = {.ptr = filter.ptr}};
    size_t len = 0;

    // In a well-formed filter these bytes are nothing but wildcards.
    while (len < filter.len && filter.ptr[len] != wz_topic_mqtt.one &&
           filter.ptr[len] != wz_topic_mqtt.many)
        len++;
    span.prefix.len = len;
    span.whole = len == filter.len;
    if (len > 0 && !span.whole && filter.ptr[len] == wz_topic_mqtt.many)
        span.parent = wz_slice_sub(filter, 0, len - 1);
    return span;
}

static bool is_in(const struct span *span, struct wz_slice topic)
{
    if (span->whole)
        return wz_slice_eq(topic, span->prefix);
    return wz_slice_starts(topic, span->prefix) ||
           (span->parent.len > 0 && wz_slice_eq(topic, span->parent));
}

// The first node of a walk that has not started, or the first behind the topic it has come to.
static struct node *resume(struct wz_retained *retained, const struct wz_retained_walk *walk,
                           const struct span *span)
{
    struct wz_slice after = wz_buf_slice(&walk->after);
    struct node *node;

    if (span->whole) // there is no more than the one
        return walk->started ? NULL : get(retained, span->prefix);
    if (!walk->started && span->parent.len > 0 && (node = get(retained, span->parent)) != NULL)
        return node;
    if (!walk->started || wz_slice_cmp(after, span->prefix) < 0)
        return seek(retained, span->prefix, NULL);
    node = seek(retained, after, NULL);
    return node != NULL && wz_slice_eq(topic_of(node), after) ? node->next[0] : node;
}

static struct wz_message message_of(const struct node *node)
{
    return (struct wz_message){
        .topic = topic_of(node),
        .body = wz_slice(node->body, node->body_len),
        .offset = -1,
        .qos = node->qos,
        .retain = true,
    };
}

int wz_retained_next(struct wz_retained *retained, struct wz_retained_walk *walk, size_t *budget,
                     struct wz_message *ret_msg)
{
    struct wz_slice filter = wz_slice(walk->filter, walk->filter_len);
    struct span span = span_of(filter);
    const struct node *seen = NULL;
    struct node *node;
    int r = WZ_END;

    wz_retained_settle(retained);
    node = resume(retained, walk, &span);
    for (; node != NULL && is_in(&span, topic_of(node)); node = node->next[0]) {
        if (*budget == 0) {
            r = WZ_AGAIN;
            break;
        }
        --*budget;
        seen = node;
        // The parent matches always, so what follows it here begins with the prefix.
        if (wz_pattern_match(&wz_topic_mqtt, filter, topic_of(node))) {
            *ret_msg = message_of(node);
            r = WZ_OK;
            break;
        }
    }
    if (seen != NULL) {
        walk->started = true;
        walk->after.len = 0;
        wz_buf_add_slice(&walk->after, topic_of(seen));
    }
    return r;
}

size_t wz_retained_count(const struct wz_retained *retained) { return retained->count; }

size_t wz_retained_bytes(const struct wz_retained *retained) { return retained->bytes; }
