// SPDX-License-Identifier: Apache-2.0
// Topics that were seen, the most frequent of them, in bounded memory: Space-Saving (Metwally,
// Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in Data Streams, 2005).
// As long as there were no more than WZ_SEEN_TOPICS_MAX of them, each count is exact. Then a new
// topic takes the place of the one with the least count and goes on from its count: a count is
// never too low, and too high by no more than is told with it; a topic that has more than its share
// (all messages / WZ_SEEN_TOPICS_MAX) is always there.
#pragma once

#include <stdatomic.h>

#include "base/map.h"

// The most topics.
#define WZ_SEEN_TOPICS_MAX 4096

// A longer topic can be no device's (WZ_DOCUMENT_NAME_MAX): it is not listed.
#define WZ_SEEN_TOPIC_BYTES 1024

// So much of a body is kept as a sample, so much of one that tells of a device, and so much of all
// topics and samples together; beyond it topics have no sample.
#define WZ_SEEN_SAMPLE_BYTES 256
#define WZ_SEEN_LONG_SAMPLE_BYTES 4096
#define WZ_SEEN_BYTES_MAX (8 * 1024 * 1024)

// A topic and a sample of its bodies; immutable, counted, for any thread.
struct wz_seen_text {
    _Atomic int refs;
    uint32_t topic_len;
    uint32_t sample_len;
    uint32_t body_len; // of the whole body
    uint8_t bytes[];   // topic, sample
};

// A topic that was seen. Times are of the wall clock; RATE is in messages a second, the newest
// minute counting most.
struct wz_seen {
    struct wz_seen_text *text;
    int64_t count;
    int64_t over; // COUNT is too high by at most so much
    int64_t first_ms;
    int64_t last_ms;
    double rate;
    int why; // what the last one was told by
    uint32_t heap_pos;
};

// A place in the heap, with the count, so that sifting looks nowhere else.
struct wz_seen_place {
    int64_t count;
    uint32_t index;
};

// All zero is none.
struct wz_seen_topics {
    struct wz_seen *items; // WZ_SEEN_TOPICS_MAX, from the first one on
    struct wz_seen_place *heap;
    struct wz_map by_topic;
    uint32_t count;
    size_t bytes;
};

// One message of a topic; the slices are copied.
struct wz_seen_message {
    struct wz_slice topic;
    struct wz_slice body;
    int why;
    int64_t time_ms;
};

// The parts of a text.
static inline struct wz_slice wz_seen_topic(const struct wz_seen *seen)
{
    return wz_slice(seen->text->bytes, seen->text->topic_len);
}

static inline struct wz_slice wz_seen_sample(const struct wz_seen *seen)
{
    return wz_slice(seen->text->bytes + seen->text->topic_len, seen->text->sample_len);
}

// Frees all.
void wz_seen_topics_release(struct wz_seen_topics *topics);

// Counts a message. False when its topic is too long to be listed.
bool wz_seen_topics_add(struct wz_seen_topics *topics, const struct wz_seen_message *message);

// Adds what was seen elsewhere of a topic.
void wz_seen_topics_merge(struct wz_seen_topics *topics, const struct wz_seen *seen);

// Forgets a topic; whether it was there.
bool wz_seen_topics_remove(struct wz_seen_topics *topics, struct wz_slice topic);

// What is known of a topic, or NULL; borrowed until the next change.
const struct wz_seen *wz_seen_topics_find(const struct wz_seen_topics *topics,
                                          struct wz_slice topic);

// All of them, in no order, as they are now, for any thread; the caller gives RET_ITEMS to
// wz_seen_copies_free.
uint32_t wz_seen_topics_copy(const struct wz_seen_topics *topics, struct wz_seen **ret_items);

// Frees copies.
void wz_seen_copies_free(struct wz_seen *items, uint32_t count);
