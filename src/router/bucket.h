// SPDX-License-Identifier: Apache-2.0
// A token bucket for each topic, and where those of its commands stand that wait for a token. It
// has no clock: times are given, in microseconds that never go back. Loop thread only.
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "router/command.h"
#include "stream/journal.h"

// Topics with a bucket at the most.
#define WZ_BUCKETS_MAX 65536

// One topic. FROM to LAST, both included, are the offsets between which all commands of the topic
// wait; nothing waits when LAST is below FROM.
struct wz_bucket {
    struct wz_list link; // of the one list that it is in
    int64_t full_us;     // when it has all its tokens again
    int64_t due_us;      // while it waits: when it is looked at
    int64_t from;
    int64_t last;
    struct wz_journal_place place; // of its key in the journal,
    int64_t kept;                  // and the offset there
    uint64_t mapping;              // which mapping DEVICE is of; 0: none
    struct wz_buf device;          // the physical topic, empty when there is no device
    enum wz_send send;             // with the device
    uint32_t topic_len;
    char topic[];
};

struct wz_buckets {
    struct wz_map by_topic;
    struct wz_list idle;    // nothing waits, not in the journal; the least recently used first
    struct wz_list drained; // nothing waits any more, and the journal does not know it yet
    struct wz_list waiting; // in the order in which they are looked at
    int64_t interval_us;    // from token to token
    int64_t burst_us;       // of all tokens of a full bucket
    size_t max;
};

// Makes an empty set of at most MAX buckets, each of RATE tokens a second and RATE at once.
void wz_buckets_init(struct wz_buckets *buckets, int64_t rate, size_t max);

// Frees what it holds.
void wz_buckets_release(struct wz_buckets *buckets);

// The bucket of TOPIC, made when there is none, in the place of one that is full if there are too
// many. NULL when none can be made now.
struct wz_bucket *wz_buckets_use(struct wz_buckets *buckets, struct wz_slice topic, int64_t now_us);

// The bucket of TOPIC, or NULL.
struct wz_bucket *wz_buckets_find(const struct wz_buckets *buckets, struct wz_slice topic);

// Takes a token; false when there is none.
bool wz_bucket_take(const struct wz_buckets *buckets, struct wz_bucket *bucket, int64_t now_us);

// Gives the last token back.
void wz_bucket_give_back(const struct wz_buckets *buckets, struct wz_bucket *bucket);

// When there is a token.
int64_t wz_bucket_token_us(const struct wz_buckets *buckets, const struct wz_bucket *bucket);

// Whether commands of the topic wait.
static inline bool wz_bucket_waits(const struct wz_bucket *bucket)
{
    return bucket->from <= bucket->last;
}

// Its topic, borrowed.
static inline struct wz_slice wz_bucket_topic(const struct wz_bucket *bucket)
{
    return wz_slice(bucket->topic, bucket->topic_len);
}

// The command at OFFSET, behind all others of the topic, waits from now on.
void wz_bucket_wait(struct wz_buckets *buckets, struct wz_bucket *bucket, int64_t offset,
                    int64_t due_us);

// The commands below FROM do not wait any more; those that do are looked at at DUE_US, behind all
// other topics that wait.
void wz_bucket_advance(struct wz_buckets *buckets, struct wz_bucket *bucket, int64_t from,
                       int64_t due_us);

// Its key was taken out of the journal, or found there, while nothing waits.
void wz_bucket_settle(struct wz_buckets *buckets, struct wz_bucket *bucket);
