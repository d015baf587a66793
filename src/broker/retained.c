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
// sorted and linked once, when the first one asks. A record that is read back becomes a node at
// once; it goes into the table when some more have been read, and the place there, which is
// seldom in the cache, has been fetched meanwhile.
//
// How high a node reaches is drawn from a generator that nobody outside can foresee, so nobody can
// choose topics that make the list slow.
#include "broker/retained.h"

#include "base/cursor.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/name_sort.h"
#include "base/rand.h"
#include "broker/journal_keys.h"
#include "broker/topic_table.h"
#include "topic/pattern.h"

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

// So many records that were read back wait for their place in the table.
#define ARRIVALS 32

// So many nodes ahead of the one that is linked are fetched into the cache.
#define LINK_AHEAD 8

// A record that was read back.
struct arrival {
    struct node *node; // owned; not counted, nor in the table
    uint64_t hash;
    bool removed; // the topic is gone: of NODE nothing but that counts
};

struct wz_retained {
    struct wz_journal *journal;
    struct wz_journal_kind kind;
    struct wz_retained_limits limits;
    struct wz_topic_table *table;
    struct node *head[LEVELS];
    bool linked; // all nodes are; before, none is
    size_t count;
    size_t bytes;
    size_t told_count; // put up as metrics
    size_t told_bytes;
    uint64_t random;
    struct arrival arrivals[ARRIVALS]; // a ring
    size_t arrived_count;              // since the beginning
    size_t taken_count;                // of those, into the table
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

// Makes a node without a body, which is in the table and in the order not yet.
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
    return node;
}

static void node_free(struct node *node)
{
    wz_free(node->body);
    wz_free(node);
}

// Counts a node that is in the table, and one that is not any more.
static void count_in(struct wz_retained *retained, const struct node *node)
{
    retained->count++;
    retained->bytes += cost_of(node->topic_len, node->body_len);
}

static void count_out(struct wz_retained *retained, const struct node *node)
{
    retained->count--;
    retained->bytes -= cost_of(node->topic_len, node->body_len);
}

// Puts up how many there are, and their bytes.
static void tell(struct wz_retained *retained, size_t count, size_t bytes)
{
    wz_metric_add(WZ_METRIC_RETAINED, (int64_t)count - (int64_t)retained->told_count);
    wz_metric_add(WZ_METRIC_RETAINED_BYTES, (int64_t)bytes - (int64_t)retained->told_bytes);
    retained->told_count = count;
    retained->told_bytes = bytes;
}

// Makes a node without a body and puts it where it belongs.
static struct node *insert(struct wz_retained *retained, struct wz_slice topic)
{
    struct node *node = node_new(retained, topic);
    struct path path;

    wz_topic_table_put(retained->table, node);
    count_in(retained, node);
    (void)seek(retained, topic, &path);
    for (int level = 0; level < node->height; level++) {
        node->next[level] = *path.links[level];
        *path.links[level] = node;
    }
    return node;
}

// Takes a node that is not linked out of the table.
static void forget(struct wz_retained *retained, struct node *node)
{
    WZ_ASSERT(node->place.offset < 0);
    wz_topic_table_remove(retained->table, node);
    count_out(retained, node);
    node_free(node);
}

// Takes the message of FRESH, which was read back later, over into NODE, and frees FRESH.
static void replace(struct wz_retained *retained, struct node *node, struct node *fresh)
{
    uint8_t *body = node->body;

    count_out(retained, node);
    node->place = fresh->place;
    node->body = fresh->body;
    node->body_len = fresh->body_len;
    node->qos = fresh->qos;
    count_in(retained, node);
    fresh->body = body;
    node_free(fresh);
}

// Takes the oldest record that waits into the table.
static void take_arrival(struct wz_retained *retained)
{
    struct arrival *arrival = &retained->arrivals[retained->taken_count++ % ARRIVALS];
    struct node *fresh = arrival->node;
    struct node *node = wz_topic_table_get_hashed(retained->table, topic_of(fresh), arrival->hash);

    if (node != NULL)
        wz_journal_drop(retained->journal, &node->place);
    if (arrival->removed) {
        if (node != NULL)
            forget(retained, node);
        node_free(fresh);
    } else if (node != NULL) {
        replace(retained, node, fresh);
    } else {
        wz_topic_table_put_hashed(retained->table, fresh, arrival->hash);
        count_in(retained, fresh);
    }
}

static void take_arrivals(struct wz_retained *retained)
{
    while (retained->taken_count < retained->arrived_count)
        take_arrival(retained);
}

static struct wz_slice name_of(const void *arg, const void *item)
{
    (void)arg;
    return topic_of(item);
}

// All nodes of the table in their order; RET_COUNT is how many. The caller frees them.
static struct wz_named *sorted_nodes(const struct wz_retained *retained, size_t *ret_count)
{
    struct wz_named *nodes = wz_alloc(retained->count * sizeof(nodes[0]));
    struct node *node;
    size_t walk = 0;
    size_t count = 0;

    while ((node = wz_topic_table_next(retained->table, &walk)) != NULL)
        nodes[count++].item = node;
    wz_name_sort(nodes, count, name_of, NULL);
    *ret_count = count;
    return nodes;
}

void wz_retained_settle(struct wz_retained *retained)
{
    struct node **links[LEVELS];
    struct wz_named *nodes;
    size_t count;

    if (retained->linked)
        return;
    take_arrivals(retained);
    retained->linked = true;
    nodes = sorted_nodes(retained, &count);
    for (int level = 0; level < LEVELS; level++)
        links[level] = &retained->head[level];
    for (size_t i = 0; i < count; i++) {
        struct node *node = (struct node *)(uintptr_t)nodes[i].item;

        if (i + LINK_AHEAD < count)
            __builtin_prefetch(nodes[i + LINK_AHEAD].item, 1);
        for (int level = 0; level < node->height; level++) {
            *links[level] = node;
            links[level] = &node->next[level];
        }
    }
    for (int level = 0; level < LEVELS; level++)
        *links[level] = NULL;
    wz_free(nodes);
    tell(retained, retained->count, retained->bytes);
}

// Takes a linked node out; its place must be nowhere.
static void take_out(struct wz_retained *retained, struct node *node)
{
    struct path path;

    (void)seek(retained, topic_of(node), &path);
    for (int level = 0; level < node->height; level++)
        *path.links[level] = node->next[level];
    forget(retained, node);
}

static void set_message(struct node *node, struct wz_slice body, uint8_t qos)
{
    uint8_t *copy = wz_alloc(body.len);

    memcpy(copy, body.ptr, body.len); // before the old one goes, whose bytes these may be
    wz_free(node->body);
    node->body = copy;
    node->body_len = (uint32_t)body.len;
    node->qos = qos;
}

// Fills in the message of a value as it stands in the journal; its form has been looked at.
static void read_value(struct node *node, struct wz_slice value)
{
    struct wz_cursor cur = wz_cursor(value);
    uint8_t qos = wz_cursor_get_u8(&cur);

    (void)wz_cursor_get_u64(&cur); // the time is for those who read the journal
    set_message(node, wz_cursor_get_bytes(&cur, wz_cursor_left(&cur)), qos);
}

// Takes what the journal holds: the newest record of a topic comes last.
static int replay(void *arg, const struct wz_journal_record *record)
{
    struct wz_retained *retained = arg;
    struct arrival *arrival = &retained->arrivals[retained->arrived_count % ARRIVALS];
    int r = wz_journal_key_check_record(WZ_JOURNAL_KEY_RETAINED, record);

    if (r < 0)
        return r;
    WZ_ASSERT(!retained->linked);
    if (retained->arrived_count - retained->taken_count == ARRIVALS)
        take_arrival(retained);
    arrival->node = node_new(retained, record->key);
    arrival->hash = wz_topic_table_hash(retained->table, record->key);
    arrival->removed = record->removed;
    retained->arrived_count++;
    if (!record->removed) {
        read_value(arrival->node, record->value);
        arrival->node->place = record->place;
    }
    return WZ_OK;
}

static struct wz_journal_place *find(void *arg, struct wz_slice key)
{
    struct node *node;

    take_arrivals(arg);
    node = get(arg, key);
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
    take_arrivals(retained);
    while ((node = wz_topic_table_next(retained->table, &walk)) != NULL)
        node_free(node);
    wz_topic_table_free(retained->table);
    tell(retained, 0, 0);
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
    bool clears = msg->body.len == 0;
    struct node *node;

    wz_retained_settle(retained);
    node = get(retained, msg->topic);
    if (clears || !has_room(retained, node, msg)) {
        if (node != NULL) {
            wz_journal_remove(retained->journal, LETTER, msg->topic, &node->place);
            take_out(retained, node);
            tell(retained, retained->count, retained->bytes);
        }
        return clears ? WZ_OK : WZ_ERR_LIMIT;
    }
    wz_pen_put_u8(&pen, msg->qos);
    wz_pen_put_u64(&pen, (uint64_t)now_ms);
    if (node == NULL)
        node = insert(retained, msg->topic);
    wz_journal_put(retained->journal, LETTER, msg->topic, pieces, 2, &node->place);
    count_out(retained, node);
    set_message(node, msg->body, msg->qos);
    count_in(retained, node);
    tell(retained, retained->count, retained->bytes);
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

size_t wz_retained_count(struct wz_retained *retained)
{
    take_arrivals(retained);
    return retained->count;
}
