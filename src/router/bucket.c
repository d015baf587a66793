// SPDX-License-Identifier: Apache-2.0
// Owns the buckets. A bucket's state is one time, that at which it is full again (the generic cell
// rate algorithm of ATM): a full one can be forgotten, for it says nothing.
#include "router/bucket.h"

#include "base/mem.h"

#define SECOND_US 1000000

void wz_buckets_init(struct wz_buckets *buckets, int64_t rate, size_t max)
{
    *buckets = (struct wz_buckets){.interval_us = SECOND_US / rate, .max = max};
    buckets->burst_us = buckets->interval_us * rate;
    wz_list_init(&buckets->idle);
    wz_list_init(&buckets->drained);
    wz_list_init(&buckets->waiting);
}

static struct wz_bucket *bucket_of(struct wz_list *link)
{
    return WZ_CONTAINER(link, struct wz_bucket, link);
}

static void bucket_free(struct wz_buckets *buckets, struct wz_bucket *bucket)
{
    wz_list_remove(&bucket->link);
    (void)wz_map_remove(&buckets->by_topic, wz_bucket_topic(bucket)); // it is there
    wz_buf_release(&bucket->device);
    wz_free(bucket);
}

void wz_buckets_release(struct wz_buckets *buckets)
{
    struct wz_list *lists[] = {&buckets->idle, &buckets->drained, &buckets->waiting};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        while (!wz_list_empty(lists[i]))
            bucket_free(buckets, bucket_of(lists[i]->next));
    wz_map_release(&buckets->by_topic);
}

struct wz_bucket *wz_buckets_find(const struct wz_buckets *buckets, struct wz_slice topic)
{
    return wz_map_get(&buckets->by_topic, topic);
}

// Makes room for one more; false when every bucket has something to say.
static bool make_room(struct wz_buckets *buckets, int64_t now_us)
{
    struct wz_list *oldest = buckets->idle.next;

    if (buckets->by_topic.count < buckets->max)
        return true;
    if (wz_list_empty(&buckets->idle) || bucket_of(oldest)->full_us > now_us)
        return false;
    bucket_free(buckets, bucket_of(oldest));
    return true;
}

struct wz_bucket *wz_buckets_use(struct wz_buckets *buckets, struct wz_slice topic, int64_t now_us)
{
    struct wz_bucket *bucket = wz_map_get(&buckets->by_topic, topic);

    if (bucket == NULL) {
        if (!make_room(buckets, now_us))
            return NULL;
        bucket = wz_alloc(sizeof(*bucket) + topic.len);
        *bucket = (struct wz_bucket){
            .last = -1, .place = WZ_JOURNAL_NOWHERE, .topic_len = (uint32_t)topic.len};
        memcpy(bucket->topic, topic.ptr, topic.len);
        (void)wz_map_put(&buckets->by_topic, wz_bucket_topic(bucket), bucket); // it is new
        wz_list_init(&bucket->link);
    } else if (wz_bucket_waits(bucket) || bucket->place.offset >= 0) {
        return bucket;
    }
    wz_list_remove(&bucket->link);
    wz_list_push(&buckets->idle, &bucket->link);
    return bucket;
}

bool wz_bucket_take(const struct wz_buckets *buckets, struct wz_bucket *bucket, int64_t now_us)
{
    int64_t full_us = bucket->full_us > now_us ? bucket->full_us : now_us;

    if (full_us + buckets->interval_us - now_us > buckets->burst_us)
        return false;
    bucket->full_us = full_us + buckets->interval_us;
    return true;
}

void wz_bucket_give_back(const struct wz_buckets *buckets, struct wz_bucket *bucket)
{
    bucket->full_us -= buckets->interval_us;
}

int64_t wz_bucket_token_us(const struct wz_buckets *buckets, const struct wz_bucket *bucket)
{
    return bucket->full_us + buckets->interval_us - buckets->burst_us;
}

// Puts it into the list where it belongs.
static void place(struct wz_buckets *buckets, struct wz_bucket *bucket)
{
    struct wz_list *list = &buckets->idle;

    if (wz_bucket_waits(bucket))
        list = &buckets->waiting;
    else if (bucket->place.offset >= 0)
        list = &buckets->drained;
    wz_list_remove(&bucket->link);
    wz_list_push(list, &bucket->link);
}

void wz_bucket_wait(struct wz_buckets *buckets, struct wz_bucket *bucket, int64_t offset,
                    int64_t due_us)
{
    bool waits = wz_bucket_waits(bucket);

    bucket->last = offset;
    if (waits)
        return;
    bucket->from = offset;
    bucket->due_us = due_us;
    place(buckets, bucket);
}

void wz_bucket_advance(struct wz_buckets *buckets, struct wz_bucket *bucket, int64_t from,
                       int64_t due_us)
{
    bucket->from = from;
    bucket->due_us = due_us;
    place(buckets, bucket);
}

void wz_bucket_settle(struct wz_buckets *buckets, struct wz_bucket *bucket)
{
    place(buckets, bucket);
}
