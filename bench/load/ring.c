// SPDX-License-Identifier: Apache-2.0
// Builds the ring and finds messages in it.

#include "ring.h"

#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "options.h"
#include "protocol.h"

// Twice the largest window, so that the ids in flight differ; and writes are large.
#define MIN_COUNT 32768u
// Above the range of ids they come round in half of it.
#define WRAPPED_ID_COUNT 32768u
#define SEQ_DIGITS 10

void wz_ring_topic(const char *pattern, uint64_t device, uint64_t subtopic,
                   struct wz_bytes *ret_topic)
{
    uint64_t numbers[2] = {device, subtopic};
    unsigned used = 0;

    ret_topic->len = 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        if (at[0] == '%' && at[1] == 'd' && used < 2) {
            wz_bytes_print(ret_topic, "%llu", (unsigned long long)numbers[used++]);
            at++;
        } else {
            wz_bytes_put_u8(ret_topic, (uint8_t)*at);
        }
    }
    wz_bytes_put_u8(ret_topic, 0);
    if (used != 2 || ret_topic->len > 256)
        wz_fail_usage("the topic pattern \"%s\" needs two %%d and at most 255 bytes", pattern);
}

void wz_ring_body(uint64_t number, size_t len, struct wz_bytes *ret_body)
{
    uint64_t seq = WZ_RING_FIRST_SEQ + number;

    ret_body->len = 0;
    wz_bytes_print(ret_body, "{\"value\":%.2f,\"unit\":\"C\",\"seq\":%llu,\"pad\":\"",
                   20.0 + (double)(seq % 1000) / 100, (unsigned long long)seq);
    while (ret_body->len + 2 < len)
        wz_bytes_put_u8(ret_body, 'x');
    wz_bytes_put(ret_body, "\"}", 2);
    if (ret_body->len != len)
        wz_fail_usage("a body cannot have %zu bytes", len);
}

uint64_t wz_ring_find_seq(const uint8_t *body, size_t len)
{
    const uint8_t *end = body + len;
    const uint8_t *at = memmem(body, len, "\"seq\":", 6);
    uint64_t seq = 0;
    int digits = 0;

    if (at == NULL)
        return UINT64_MAX;
    for (at += 6; at < end && *at == ' '; at++)
        continue;
    for (; at < end && *at >= '0' && *at <= '9' && digits < SEQ_DIGITS; at++, digits++)
        seq = seq * 10 + (uint64_t)(*at - '0');
    return digits == SEQ_DIGITS && seq >= WZ_RING_FIRST_SEQ ? seq - WZ_RING_FIRST_SEQ : UINT64_MAX;
}

// A multiple of the topics, so that the next turn goes on with the first topic, and, when ids
// come round within a turn, a multiple of the ids.
size_t wz_ring_count(uint64_t topic_count)
{
    uint64_t turns = (MIN_COUNT + topic_count - 1) / topic_count;
    uint64_t count = topic_count * turns;

    if (count > WZ_PROTOCOL_MAX_ID)
        count = (count + WRAPPED_ID_COUNT - 1) / WRAPPED_ID_COUNT * WRAPPED_ID_COUNT;
    return count;
}

struct wz_ring *wz_ring_new(const struct wz_protocol *protocol, const struct wz_options *options,
                            unsigned conn)
{
    uint64_t topic_count = options->devices * options->subtopics;
    struct wz_ring *ring = calloc(1, sizeof(*ring));
    struct wz_bytes topic = {0};
    struct wz_bytes body = {0};

    if (ring == NULL)
        wz_fail("out of memory");
    ring->count = wz_ring_count(topic_count);
    ring->id_count = ring->count <= WZ_PROTOCOL_MAX_ID ? (uint32_t)ring->count : WRAPPED_ID_COUNT;
    ring->starts = calloc(ring->count + 1, sizeof(*ring->starts));
    if (ring->starts == NULL)
        wz_fail("out of memory");
    for (size_t i = 0; i < ring->count; i++) {
        uint64_t place = i % topic_count;

        // Neighbours in the ring are different devices, as they are in life.
        wz_ring_topic(options->topic, place % options->devices, place / options->devices, &topic);
        wz_ring_body(i, options->body_bytes, &body);
        protocol->publish(&ring->packets,
                          &(struct wz_publish){.topic = (const char *)topic.data,
                                               .body = body.data,
                                               .len = body.len,
                                               .qos = (unsigned)options->qos,
                                               .id = 1 + (uint32_t)i % ring->id_count,
                                               .conn = conn,
                                               .retain = options->retain != 0});
        ring->starts[i + 1] = ring->packets.len;
    }
    wz_bytes_release(&topic);
    wz_bytes_release(&body);
    return ring;
}

void wz_ring_free(struct wz_ring *ring)
{
    if (ring == NULL)
        return;
    wz_bytes_release(&ring->packets);
    free(ring->starts);
    free(ring);
}

uint64_t wz_ring_bytes_before(const struct wz_ring *ring, uint64_t n)
{
    return n / ring->count * ring->packets.len + ring->starts[n % ring->count];
}

uint64_t wz_ring_messages_begun(const struct wz_ring *ring, uint64_t bytes)
{
    uint64_t turns = bytes / ring->packets.len;
    size_t rest = (size_t)(bytes % ring->packets.len);
    size_t low = 0;
    size_t high = ring->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ring->starts[middle] < rest)
            low = middle + 1;
        else
            high = middle;
    }
    return turns * ring->count + low;
}
