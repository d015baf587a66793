// SPDX-License-Identifier: Apache-2.0
// Owns the counters of Space-Saving: a heap with the least count on top, so that the topic whose
// place is taken is found at once and a message moves its counter a few places at the most.
#include "router/seen_topics.h"

#include <math.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"

// The time in which what was seen loses its weight in the rate.
#define RATE_MS 60000.0

// A sample is taken anew at most so often.
#define SAMPLE_MS 1000

static void unref(struct wz_seen_text *text)
{
    if (text != NULL && atomic_fetch_sub_explicit(&text->refs, 1, memory_order_acq_rel) == 1)
        wz_free(text);
}

static size_t text_bytes(const struct wz_seen_text *text)
{
    return sizeof(*text) + text->topic_len + text->sample_len;
}

void wz_seen_topics_release(struct wz_seen_topics *topics)
{
    for (uint32_t i = 0; i < topics->count; i++)
        unref(topics->items[i].text);
    wz_map_release(&topics->by_topic);
    wz_free(topics->items);
    wz_free(topics->heap);
    *topics = (struct wz_seen_topics){0};
}

// The heap.

static void put(struct wz_seen_topics *topics, uint32_t pos, struct wz_seen_place place)
{
    topics->heap[pos] = place;
    topics->items[place.index].heap_pos = pos;
}

static void sift_down(struct wz_seen_topics *topics, uint32_t pos)
{
    struct wz_seen_place place = topics->heap[pos];

    for (;;) {
        uint32_t child = 2 * pos + 1;

        if (child >= topics->count)
            break;
        if (child + 1 < topics->count && topics->heap[child + 1].count < topics->heap[child].count)
            child++;
        if (topics->heap[child].count >= place.count)
            break;
        put(topics, pos, topics->heap[child]);
        pos = child;
    }
    put(topics, pos, place);
}

static void sift_up(struct wz_seen_topics *topics, uint32_t pos)
{
    struct wz_seen_place place = topics->heap[pos];

    while (pos > 0 && topics->heap[(pos - 1) / 2].count > place.count) {
        put(topics, pos, topics->heap[(pos - 1) / 2]);
        pos = (pos - 1) / 2;
    }
    put(topics, pos, place);
}

static void set_count(struct wz_seen_topics *topics, struct wz_seen *seen, int64_t count)
{
    seen->count = count;
    topics->heap[seen->heap_pos].count = count;
    sift_down(topics, seen->heap_pos);
    sift_up(topics, seen->heap_pos);
}

// Texts.

// Whether a body is one of those that Home Assistant's discovery makes suggestions from.
static bool tells_of_device(struct wz_slice topic)
{
    struct wz_slice end = WZ_SLICE_LIT("/config");

    return topic.len > end.len &&
           wz_slice_eq(wz_slice_sub(topic, topic.len - end.len, end.len), end);
}

static struct wz_seen_text *text_new(const struct wz_seen_topics *topics, struct wz_slice topic,
                                     struct wz_slice body)
{
    size_t most = tells_of_device(topic) ? WZ_SEEN_LONG_SAMPLE_BYTES : (size_t)WZ_SEEN_SAMPLE_BYTES;
    struct wz_slice sample = body;
    struct wz_seen_text *text;

    if (sample.len > most)
        sample = wz_utf8_head(wz_slice(body.ptr, body.len), most);
    if (topics->bytes + topic.len + sample.len > WZ_SEEN_BYTES_MAX)
        sample.len = 0;
    text = wz_alloc(sizeof(*text) + topic.len + sample.len);
    *text = (struct wz_seen_text){
        .refs = 1,
        .topic_len = (uint32_t)topic.len,
        .sample_len = (uint32_t)sample.len,
        .body_len = (uint32_t)body.len,
    };
    memcpy(text->bytes, topic.ptr, topic.len);
    if (sample.len > 0)
        memcpy(text->bytes + topic.len, sample.ptr, sample.len);
    return text;
}

// Gives an entry a text, whose reference is taken over, of the same topic or of another.
static void set_text(struct wz_seen_topics *topics, struct wz_seen *seen, struct wz_seen_text *text)
{
    struct wz_seen_text *before = seen->text;

    if (before != NULL) {
        (void)wz_map_remove(&topics->by_topic, wz_seen_topic(seen));
        topics->bytes -= text_bytes(before);
    }
    seen->text = text;
    topics->bytes += text_bytes(text);
    (void)wz_map_put(&topics->by_topic, wz_seen_topic(seen), seen);
    unref(before);
}

// Entries.

// An entry for a topic that has none: a place of its own, or that of the one with the least count.
static struct wz_seen *entry_take(struct wz_seen_topics *topics, struct wz_seen_text *text)
{
    struct wz_seen *seen;

    if (topics->items == NULL) {
        topics->items = wz_zalloc(WZ_SEEN_TOPICS_MAX, sizeof(topics->items[0]));
        topics->heap = wz_zalloc(WZ_SEEN_TOPICS_MAX, sizeof(topics->heap[0]));
    }
    if (topics->count < WZ_SEEN_TOPICS_MAX) {
        uint32_t index = topics->count++;

        seen = &topics->items[index];
        *seen = (struct wz_seen){.heap_pos = index};
        topics->heap[index] = (struct wz_seen_place){.index = index};
        sift_up(topics, index);
    } else {
        seen = &topics->items[topics->heap[0].index];
        seen->over = seen->count;
        seen->rate = 0;
    }
    set_text(topics, seen, text);
    return seen;
}

static void count_time(struct wz_seen *seen, int64_t time_ms)
{
    double since = (double)(time_ms - seen->last_ms);

    // A clock that was set back leaves the rate as it is.
    seen->rate = seen->rate * (since > 0 ? exp(-since / RATE_MS) : 1) + 1000 / RATE_MS;
    if (time_ms > seen->last_ms)
        seen->last_ms = time_ms;
    if (time_ms < seen->first_ms)
        seen->first_ms = time_ms;
}

bool wz_seen_topics_add(struct wz_seen_topics *topics, const struct wz_seen_message *message)
{
    struct wz_seen *seen;

    if (message->topic.len > WZ_SEEN_TOPIC_BYTES)
        return false;
    seen = wz_map_get(&topics->by_topic, message->topic);
    if (seen == NULL) {
        seen = entry_take(topics, text_new(topics, message->topic, message->body));
        seen->first_ms = message->time_ms;
        seen->last_ms = message->time_ms;
    } else if (message->time_ms - seen->last_ms >= SAMPLE_MS) {
        set_text(topics, seen, text_new(topics, message->topic, message->body));
    }
    seen->why = message->why;
    count_time(seen, message->time_ms);
    set_count(topics, seen, seen->count + 1);
    return true;
}

void wz_seen_topics_merge(struct wz_seen_topics *topics, const struct wz_seen *other)
{
    struct wz_seen *seen = wz_map_get(&topics->by_topic, wz_seen_topic(other));

    if (seen == NULL) {
        atomic_fetch_add_explicit(&other->text->refs, 1, memory_order_relaxed);
        seen = entry_take(topics, other->text);
        seen->first_ms = other->first_ms;
        seen->last_ms = other->last_ms;
        seen->why = other->why;
        seen->rate = other->rate;
    }
    if (other->first_ms < seen->first_ms)
        seen->first_ms = other->first_ms;
    if (other->last_ms > seen->last_ms)
        seen->last_ms = other->last_ms;
    seen->over += other->over;
    set_count(topics, seen, seen->count + other->count);
}

bool wz_seen_topics_remove(struct wz_seen_topics *topics, struct wz_slice topic)
{
    struct wz_seen *seen = wz_map_remove(&topics->by_topic, topic);
    uint32_t index;
    uint32_t pos;
    uint32_t last;

    if (seen == NULL)
        return false;
    index = (uint32_t)(seen - topics->items);
    pos = seen->heap_pos;
    topics->bytes -= text_bytes(seen->text);
    unref(seen->text);
    last = --topics->count;
    if (pos != last) { // the heap's last place moves up
        put(topics, pos, topics->heap[last]);
        sift_down(topics, pos);
        sift_up(topics, topics->items[topics->heap[pos].index].heap_pos);
    }
    if (index != last) { // the last entry moves to where this one was
        *seen = topics->items[last];
        topics->heap[seen->heap_pos].index = index;
        (void)wz_map_put(&topics->by_topic, wz_seen_topic(seen), seen);
    }
    return true;
}

const struct wz_seen *wz_seen_topics_find(const struct wz_seen_topics *topics,
                                          struct wz_slice topic)
{
    return wz_map_get(&topics->by_topic, topic);
}

uint32_t wz_seen_topics_copy(const struct wz_seen_topics *topics, struct wz_seen **ret_items)
{
    struct wz_seen *items = wz_zalloc(topics->count + 1, sizeof(items[0]));

    for (uint32_t i = 0; i < topics->count; i++) {
        items[i] = topics->items[i];
        atomic_fetch_add_explicit(&items[i].text->refs, 1, memory_order_relaxed);
    }
    *ret_items = items;
    return topics->count;
}

void wz_seen_copies_free(struct wz_seen *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        unref(items[i].text);
    wz_free(items);
}
