// SPDX-License-Identifier: Apache-2.0
// Owns the bindings to the bus and the block that each feed fills. Records are given at the end of
// a turn, or when the block is full; a block that nobody has kept is filled again.
#include "engine/feeds.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/headed.h"
#include "engine/lane.h"

struct wz_feed {
    struct wz_list link;  // in FEEDS
    struct wz_list dirty; // there too while records wait
    struct wz_feeds *feeds;
    struct wz_list taps;
    enum wz_script_stream stream;
    struct wz_buf key; // the patterns in order, each with a NUL behind it
    struct wz_binding **bindings;
    size_t binding_count;
    struct wz_block *block; // or NULL
    uint32_t given;         // of its records
    int64_t end;            // all below it have come
};

struct wz_feeds {
    struct wz_bus *bus;
    wz_feeds_filled_fn filled;
    void *arg;
    struct wz_list all;
    struct wz_list dirty;
    bool headers;         // bodies have them in front
    struct wz_buf headed; // such a body
};

struct wz_feeds *wz_feeds_new(struct wz_bus *bus, wz_feeds_filled_fn filled, void *arg)
{
    struct wz_feeds *feeds = wz_zalloc(1, sizeof(*feeds));

    feeds->bus = bus;
    feeds->filled = filled;
    feeds->arg = arg;
    wz_list_init(&feeds->all);
    wz_list_init(&feeds->dirty);
    return feeds;
}

void wz_feeds_free(struct wz_feeds *feeds)
{
    if (!feeds)
        return;
    WZ_ASSERT(wz_list_empty(&feeds->all));
    wz_buf_release(&feeds->headed);
    wz_free(feeds);
}

void wz_feeds_add_headers(struct wz_feeds *feeds) { feeds->headers = true; }

static void drop_block(struct wz_feed *feed)
{
    if (feed->block)
        wz_block_unref(feed->block);
    feed->block = NULL;
    feed->given = 0;
}

static void give(struct wz_feed *feed)
{
    struct wz_block_run run = {.block = feed->block, .from = feed->given};
    struct wz_list *it;
    struct wz_list *tmp;

    wz_list_remove(&feed->dirty);
    if (!feed->block || feed->given == feed->block->count)
        return;
    run.to = feed->given = feed->block->count;
    WZ_LIST_EACH(it, tmp, &feed->taps)
    {
        struct wz_feeds_tap *tap = WZ_CONTAINER(it, struct wz_feeds_tap, link);

        tap->take(tap->arg, &run);
    }
    if (feed->block->max_bytes > WZ_BLOCK_BYTES)
        drop_block(feed); // of one long record
}

// Puts a record into the block, or into the next one.
static void add(struct wz_feed *feed, const struct wz_frame_record *record)
{
    size_t len = wz_frame_record_len(record);
    struct wz_block *block = feed->block;

    if (block && block->refs == 1 && feed->given == block->count) {
        block->count = 0;
        feed->given = 0;
    }
    if (block && wz_block_add(block, record))
        return;
    give(feed);
    drop_block(feed);
    feed->block = wz_block_new((uint8_t)feed->stream, len > WZ_BLOCK_BYTES ? len : WZ_BLOCK_BYTES);
    WZ_ASSERT(wz_block_add(feed->block, record));
}

// The body as it is given.
static struct wz_slice body_of(struct wz_feeds *feeds, const struct wz_message *msg)
{
    const struct wz_record_parts *parts = msg->record;

    if (!feeds->headers)
        return msg->body;
    feeds->headed.len = 0;
    wz_headed_put(&feeds->headed, parts ? parts->headers : NULL, parts ? parts->header_pieces : 0,
                  parts ? parts->header_count : 0, msg->body);
    return wz_buf_slice(&feeds->headed);
}

static int consume(void *arg, const struct wz_message *msg, void **slot,
                   struct wz_ticket *ret_ticket)
{
    struct wz_feed *feed = arg;
    struct wz_frame_record record = {
        .stream = (uint8_t)feed->stream,
        .hops = msg->hops,
        .lane = wz_lane_of(msg->topic),
        .offset = msg->offset,
        .append_ms = msg->append_ms,
        .topic = msg->topic,
    };

    (void)slot;
    (void)ret_ticket;
    if (msg->offset < feed->end)
        return WZ_OK; // by another binding
    feed->end = msg->offset + 1;
    record.body = body_of(feed->feeds, msg);
    add(feed, &record);
    if (wz_list_empty(&feed->dirty)) {
        wz_list_push(&feed->feeds->dirty, &feed->dirty);
        feed->feeds->filled(feed->feeds->arg);
    }
    return WZ_OK;
}

static void free_feed(struct wz_feed *feed)
{
    for (size_t i = 0; i < feed->binding_count; i++)
        wz_bus_unbind(feed->feeds->bus, feed->bindings[i]);
    wz_free(feed->bindings);
    wz_list_remove(&feed->link);
    wz_list_remove(&feed->dirty);
    wz_buf_release(&feed->key);
    drop_block(feed);
    wz_free(feed);
}

static int bind_feed(struct wz_feed *feed, const struct wz_slice *patterns, size_t count)
{
    enum wz_bus_exchange exchange = feed->stream == WZ_SCRIPT_RAW ? WZ_BUS_RAW : WZ_BUS_PROCESSED;

    feed->bindings = wz_zalloc(count + 1, sizeof(struct wz_binding *));
    for (size_t i = 0; i < count; i++) {
        int r = wz_bus_bind(feed->feeds->bus, exchange, patterns[i], consume, NULL, feed,
                            &feed->bindings[i]);

        if (r < 0)
            return r;
        feed->binding_count++;
    }
    return WZ_OK;
}

static int by_text(const void *a, const void *b)
{
    return wz_slice_cmp(*(const struct wz_slice *)a, *(const struct wz_slice *)b);
}

// The same for the same patterns in whatever order.
static void make_key(const struct wz_slice *patterns, size_t count, struct wz_buf *ret_key)
{
    WZ_AUTO(wz_free_ptr) struct wz_slice *sorted = wz_zalloc(count + 1, sizeof(*sorted));

    memcpy(sorted, patterns, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_text);
    for (size_t i = 0; i < count; i++) {
        wz_buf_add_slice(ret_key, sorted[i]);
        wz_buf_add_byte(ret_key, 0);
    }
}

static struct wz_feed *find(const struct wz_feeds *feeds, enum wz_script_stream stream,
                            const struct wz_buf *key)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, (struct wz_list *)&feeds->all)
    {
        struct wz_feed *feed = WZ_CONTAINER(it, struct wz_feed, link);

        if (feed->stream == stream && wz_slice_eq(wz_buf_slice(&feed->key), wz_buf_slice(key)))
            return feed;
    }
    return NULL;
}

static struct wz_feed *make_feed(struct wz_feeds *feeds, enum wz_script_stream stream,
                                 struct wz_buf *key)
{
    struct wz_feed *feed = wz_zalloc(1, sizeof(*feed));

    feed->feeds = feeds;
    feed->stream = stream;
    feed->key = *key;
    *key = (struct wz_buf){0};
    wz_list_init(&feed->taps);
    wz_list_init(&feed->dirty);
    wz_list_init(&feed->link);
    wz_list_push(&feeds->all, &feed->link);
    return feed;
}

int wz_feeds_join(struct wz_feeds *feeds, struct wz_feeds_tap *tap, enum wz_script_stream stream,
                  const struct wz_slice *patterns, size_t count)
{
    WZ_AUTO(wz_buf_release) struct wz_buf key = {0};
    struct wz_feed *feed;
    int r = WZ_OK;

    WZ_ASSERT(!tap->feed);
    make_key(patterns, count, &key);
    feed = find(feeds, stream, &key);
    if (feed) {
        give(feed); // what came before is not for TAP
    } else {
        feed = make_feed(feeds, stream, &key);
        r = bind_feed(feed, patterns, count);
    }
    if (r < 0) {
        free_feed(feed);
        return r;
    }
    tap->feed = feed;
    wz_list_init(&tap->link);
    wz_list_push(&feed->taps, &tap->link);
    return WZ_OK;
}

void wz_feeds_leave(struct wz_feeds_tap *tap)
{
    struct wz_feed *feed = tap->feed;

    if (!feed)
        return;
    tap->feed = NULL;
    wz_list_remove(&tap->link);
    if (wz_list_empty(&feed->taps))
        free_feed(feed);
}

void wz_feeds_settle(const struct wz_feeds_tap *tap)
{
    if (tap->feed)
        give(tap->feed);
}

void wz_feeds_flush(struct wz_feeds *feeds)
{
    struct wz_list *link;

    while ((link = wz_list_shift(&feeds->dirty)))
        give(WZ_CONTAINER(link, struct wz_feed, dirty));
}
