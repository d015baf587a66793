// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mqtt.h"
#include "options.h"
#include "protocol.h"
static struct wz_ring *ring_of(uint64_t devices, uint64_t subtopics)
{
    struct wz_options options = {
        .topic = "bench/%d/s%d/status",
        .devices = devices,
        .subtopics = subtopics,
        .body_bytes = 100,
        .qos = 1,
    };

    return wz_ring_new(&wz_mqtt, &options, 0);
}

static void test_ring_has_each_topic_equally_often_and_ids_that_come_round(void **state)
{
    static const uint64_t devices[] = {1, 3, 100, 5999, 10000};

    (void)state;
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        struct wz_ring *ring = ring_of(devices[i], 10);

        assert_true(ring->count >= devices[i] * 10);
        assert_true(ring->id_count <= WZ_PROTOCOL_MAX_ID);
        assert_true(ring->id_count >= 2 * 16384);
        assert_int_equal(ring->count % ring->id_count, 0);
        assert_int_equal(ring->starts[ring->count], ring->packets.len);
        wz_ring_free(ring);
    }
}

static void test_ring_finds_messages_by_bytes_in_every_turn(void **state)
{
    struct wz_ring *ring = ring_of(11, 3);

    (void)state;
    for (uint64_t n = 1; n < 3 * ring->count; n += 997) {
        uint64_t end = wz_ring_bytes_before(ring, n);

        assert_int_equal(wz_ring_messages_begun(ring, end), n);
        assert_int_equal(wz_ring_messages_begun(ring, end + 1), n + 1);
        assert_int_equal(wz_ring_messages_begun(ring, end - 1), n);
    }
    wz_ring_free(ring);
}

static void test_ring_body_is_an_object_of_the_length_asked_for(void **state)
{
    struct wz_bytes body = {0};
    static const char expected[] =
        "{\"value\":21.23,\"unit\":\"C\",\"seq\":1000000123,\"pad\":\"xx\"}";

    (void)state;
    wz_ring_body(123, sizeof(expected) - 1, &body);
    assert_int_equal(body.len, sizeof(expected) - 1);
    assert_memory_equal(body.data, expected, body.len);
    wz_bytes_release(&body);
}

static void test_ring_topic_puts_the_device_first(void **state)
{
    struct wz_bytes topic = {0};

    (void)state;
    wz_ring_topic("bench/%d/s%d/status", 12, 3, &topic);
    assert_string_equal(topic.data, "bench/12/s3/status");
    wz_bytes_release(&topic);
}

static void test_ring_finds_the_number_of_a_body_again(void **state)
{
    static const char spaced[] = "{\"seq\": 1000000007}";
    static const char foreign[] = "{\"seq\":7}";
    struct wz_bytes body = {0};

    (void)state;
    wz_ring_body(123, 100, &body);
    assert_int_equal(wz_ring_find_seq(body.data, body.len), 123);
    assert_int_equal(wz_ring_find_seq((const uint8_t *)spaced, sizeof(spaced) - 1), 7);
    assert_true(wz_ring_find_seq((const uint8_t *)foreign, sizeof(foreign) - 1) == UINT64_MAX);
    assert_true(wz_ring_find_seq((const uint8_t *)"hi", 2) == UINT64_MAX);
    wz_bytes_release(&body);
}

static void test_ring_ids_fit_whatever_the_number_of_topics(void **state)
{
    static const uint64_t topic_counts[] = {1, 1000, 65535, 65536, 1000000};

    (void)state;
    for (size_t i = 0; i < sizeof(topic_counts) / sizeof(topic_counts[0]); i++) {
        size_t count = wz_ring_count(topic_counts[i]);

        assert_true(count >= topic_counts[i]);
        assert_true(count <= WZ_PROTOCOL_MAX_ID || count % 32768 == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ring_has_each_topic_equally_often_and_ids_that_come_round),
        cmocka_unit_test(test_ring_finds_messages_by_bytes_in_every_turn),
        cmocka_unit_test(test_ring_body_is_an_object_of_the_length_asked_for),
        cmocka_unit_test(test_ring_topic_puts_the_device_first),
        cmocka_unit_test(test_ring_finds_the_number_of_a_body_again),
        cmocka_unit_test(test_ring_ids_fit_whatever_the_number_of_topics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
