// SPDX-License-Identifier: Apache-2.0
// A session without a socket: the connection is a buffer that the test empties.
#include "broker/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "broker/testqueues_test.h"

#define OUT_BYTES 4096

// What stands for the connection's output.
static uint8_t output[OUT_BYTES * 4];

uint8_t *__wrap_wz_conn_reserve(struct wz_conn *conn, size_t len);
void __wrap_wz_conn_commit(struct wz_conn *conn, size_t len);

uint8_t *__wrap_wz_conn_reserve(struct wz_conn *conn, size_t len)
{
    assert_true(conn->out_bytes + len <= sizeof(output));
    return output + conn->out_bytes;
}

void __wrap_wz_conn_commit(struct wz_conn *conn, size_t len) { conn->out_bytes += len; }

struct world {
    struct testqueues t;
    struct wz_conn conn;
    struct wz_session_limits limits;
    struct wz_session_counts counts;
    struct wz_list pumps;
    struct wz_session session;
};

// Starts the session; a persistent one with its queue.
static void init_session(struct world *world, struct wz_durable_queue *durable)
{
    struct wz_session_options options = {
        .exchange = world->t.exchange,
        .conn = &world->conn,
        .limits = &world->limits,
        .counts = &world->counts,
        .pumps = &world->pumps,
        .queues = world->t.queues,
        .retained = world->t.retained,
        .durable = durable,
    };

    testqueues_begin(&world->t);
    wz_session_init(&world->session, &options);
    testqueues_end(&world->t);
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    *state = world;
    testqueues_init(&world->t);
    testqueues_open(&world->t);
    world->conn.loop = &world->t.loop;
    world->limits = (struct wz_session_limits){.max_inflight = 3,
                                               .max_subscriptions = 2,
                                               .max_queued = 4,
                                               .max_queued_bytes = 1 << 20,
                                               .max_out_bytes = OUT_BYTES};
    wz_list_init(&world->pumps);
    init_session(world, NULL);
    wz_session_start(&world->session);
    return 0;
}

static void release_session(struct world *world)
{
    testqueues_begin(&world->t);
    wz_session_release(&world->session, world->t.loop.now_ms);
    testqueues_end(&world->t);
    assert_true(wz_list_empty(&world->pumps));
}

static int tear_down(void **state)
{
    struct world *world = *state;

    release_session(world);
    testqueues_close(&world->t);
    testqueues_release(&world->t);
    wz_free(world);
    return 0;
}

static bool any_topic(struct wz_slice topic) { return topic.len > 0; }

// Publishes a message of one byte, NUMBER, on "t".
static void publish(struct world *world, unsigned qos, uint8_t number)
{
    struct wz_message msg = {.topic = WZ_SLICE_LIT("t"),
                             .body = wz_slice(&number, 1),
                             .qos = (uint8_t)qos,
                             .retain = true};
    struct wz_ticket ticket;

    assert_int_equal(
        wz_queues_publish(world->t.queues, world->t.exchange, &msg, any_topic, &ticket), WZ_OK);
}

// Takes all output; RET_NUMBERS gets the bodies, RET_IDS the packet identifiers. Returns how many.
static int sent(struct world *world, uint8_t *ret_numbers, uint16_t *ret_ids)
{
    struct wz_slice rest = wz_slice(output, world->conn.out_bytes);
    struct wz_mqtt_frame frame;
    int count = 0;

    while (rest.len > 0) {
        struct wz_mqtt_publish packet;

        assert_int_equal(wz_mqtt_frame_read(rest, OUT_BYTES, &frame), WZ_OK);
        assert_int_equal(wz_mqtt_publish_read(&frame, &packet), WZ_OK);
        assert_false(packet.retain || packet.dup);
        ret_numbers[count] = packet.payload.ptr[0];
        ret_ids[count++] = packet.packet_id;
        rest = wz_slice_sub(rest, frame.len, rest.len - frame.len);
    }
    world->conn.out_bytes = 0;
    return count;
}

static void acked(struct world *world, enum wz_mqtt_type type, uint16_t packet_id)
{
    testqueues_begin(&world->t);
    assert_int_equal(wz_session_acked(&world->session, type, packet_id), WZ_OK);
    testqueues_end(&world->t);
}

static void test_session_grants_what_it_can_deliver(void **state)
{
    struct world *world = *state;

    assert_int_equal(wz_session_subscribe(&world->session, WZ_SLICE_LIT("a"), 0), 0);
    assert_int_equal(wz_session_subscribe(&world->session, WZ_SLICE_LIT("b"), 2), 2);
    assert_int_equal(wz_session_subscribe(&world->session, WZ_SLICE_LIT("c"), 0),
                     WZ_MQTT_SUBACK_FAILURE);
    assert_int_equal(wz_session_subscribe(&world->session, WZ_SLICE_LIT("a"), 1), 1);
    wz_session_unsubscribe(&world->session, WZ_SLICE_LIT("never"));
    wz_session_unsubscribe(&world->session, WZ_SLICE_LIT("a"));
    assert_int_equal(wz_session_subscribe(&world->session, WZ_SLICE_LIT("c"), 0), 0);
}

static void test_session_keeps_order_through_window_and_queue(void **state)
{
    struct world *world = *state;
    uint8_t numbers[16];
    uint16_t ids[16];
    uint8_t next = 1;

    (void)wz_session_subscribe(&world->session, WZ_SLICE_LIT("t"), 1);
    for (uint8_t i = 1; i <= 7; i++) // three on their way, four wait
        publish(world, 1, i);
    assert_int_equal(world->session.clean->queue.count, 4);
    assert_int_equal(world->counts.dropped, 0);
    while (next <= 7) {
        int count = sent(world, numbers, ids);

        assert_in_range(count, 1, 3);
        for (int i = 0; i < count; i++)
            assert_int_equal(numbers[i], next++);
        for (int i = 0; i < count; i++)
            acked(world, WZ_MQTT_PUBACK, ids[i]);
        wz_session_pump(&world->session);
    }
    assert_int_equal(world->session.clean->sent.count, 0);
    wz_session_pump(&world->session);
    assert_true(wz_list_empty(&world->pumps));
    assert_int_equal(world->counts.sent, 7);
}

static void test_session_drops_and_counts_what_its_queue_cannot_hold(void **state)
{
    struct world *world = *state;
    uint8_t numbers[16];
    uint16_t ids[16];

    (void)wz_session_subscribe(&world->session, WZ_SLICE_LIT("t"), 1);
    for (uint8_t i = 1; i <= 9; i++)
        publish(world, 1, i);
    assert_int_equal(world->counts.dropped, 2);
    assert_int_equal(world->session.clean->queue.count, 4);
    world->limits.max_inflight = 100;
    wz_session_pump(&world->session);
    assert_int_equal(sent(world, numbers, ids), 7); // the last two were refused, none before them
    for (uint8_t i = 0; i < 7; i++)
        assert_int_equal(numbers[i], i + 1);
}

static void test_session_qos_0_is_dropped_when_the_output_is_full(void **state)
{
    struct world *world = *state;
    uint8_t numbers[OUT_BYTES];
    uint16_t ids[OUT_BYTES];
    int64_t published = 0;

    (void)wz_session_subscribe(&world->session, WZ_SLICE_LIT("t"), 1);
    while (world->counts.dropped == 0) {
        publish(world, 0, 1);
        published++;
    }
    assert_in_range(world->conn.out_bytes, OUT_BYTES, OUT_BYTES + 16);
    assert_int_equal(world->counts.sent, published - 1);
    publish(world, 1, 2); // QoS 1 waits instead
    assert_int_equal(world->session.clean->queue.count, 1);
    wz_session_pump(&world->session);
    assert_int_equal(world->session.clean->queue.count, 1);
    assert_int_equal(sent(world, numbers, ids), published - 1);
    wz_session_pump(&world->session);
    assert_int_equal(sent(world, numbers, ids), 1);
    assert_int_equal(numbers[0], 2);
    assert_int_not_equal(ids[0], 0);
}

static void test_session_ignores_acks_of_what_it_has_not_sent(void **state)
{
    struct world *world = *state;
    uint8_t numbers[4];
    uint16_t ids[4];

    acked(world, WZ_MQTT_PUBACK, 1);
    (void)wz_session_subscribe(&world->session, WZ_SLICE_LIT("t"), 1);
    for (uint8_t i = 1; i <= 4; i++)
        publish(world, 1, i);
    assert_int_equal(sent(world, numbers, ids), 3);
    acked(world, WZ_MQTT_PUBACK, 999);
    wz_session_pump(&world->session);
    assert_int_equal(sent(world, numbers, ids), 0);
    acked(world, WZ_MQTT_PUBACK, ids[1]);
    acked(world, WZ_MQTT_PUBACK, ids[1]); // twice opens the window once
    wz_session_pump(&world->session);
    assert_int_equal(sent(world, numbers, ids), 1);
    assert_int_equal(numbers[0], 4);
    assert_int_equal(world->session.clean->sent.count, 3);
}

static void test_session_ends_with_messages_that_wait(void **state)
{
    struct world *world = *state;

    (void)wz_session_subscribe(&world->session, WZ_SLICE_LIT("t"), 1);
    (void)wz_session_subscribe(&world->session, WZ_SLICE_LIT("#"), 0);
    for (uint8_t i = 1; i <= 7; i++)
        publish(world, 1, i);
    assert_false(wz_list_empty(&world->pumps));
    // The end of the test releases it: nothing may be left or leak.
}

static void test_session_frees_an_identifier_of_qos_2_when_both_are_done(void **state)
{
    struct world *world = *state;
    uint8_t numbers[16];
    uint16_t ids[16];

    (void)wz_session_subscribe(&world->session, WZ_SLICE_LIT("t"), 2);
    for (uint8_t i = 1; i <= 5; i++) // three on their way, two wait
        publish(world, 2, i);
    assert_int_equal(sent(world, numbers, ids), 3);
    acked(world, WZ_MQTT_PUBREC, ids[0]);
    acked(world, WZ_MQTT_PUBREC, ids[0]); // may come twice
    acked(world, WZ_MQTT_PUBREC, 999);
    wz_session_pump(&world->session);
    assert_int_equal(world->session.clean->sent.count, 3);
    assert_int_equal(sent(world, numbers, ids + 3), 0); // its identifier is still in use
    acked(world, WZ_MQTT_PUBCOMP, ids[0]);
    acked(world, WZ_MQTT_PUBCOMP, ids[0]);
    wz_session_pump(&world->session);
    assert_int_equal(sent(world, numbers, ids + 3), 1);
    assert_int_equal(numbers[0], 4);
    assert_int_equal(world->session.clean->sent.count, 3);
    assert_int_equal(world->session.clean->completing.count, 0);
    wz_session_trim(&world->session);
}

// Makes the world's session a persistent one, subscribed to "t".
static struct wz_durable_queue *make_lasting(struct world *world)
{
    struct wz_durable_queue *durable = testqueues_queue(&world->t, "s");

    release_session(world);
    init_session(world, durable);
    testqueues_begin(&world->t);
    assert_int_equal(wz_session_subscribe(&world->session, WZ_SLICE_LIT("t"), 1), 1);
    testqueues_end(&world->t);
    return durable;
}

// Turns until so much is on its way.
static void run_until_inflight(struct world *world, size_t count)
{
    for (int i = 0; wz_durable_queue_inflight(world->session.options.durable) < count; i++) {
        assert_in_range(i, 0, 10000);
        testqueues_turn(&world->t);
    }
}

static void test_session_that_lasts_sends_nothing_before_it_has_started(void **state)
{
    struct world *world = *state;
    struct wz_durable_queue *durable = make_lasting(world);
    uint8_t numbers[16];
    uint16_t ids[16];

    publish(world, 0, 1); // now or never
    publish(world, 1, 2);
    testqueues_settle(&world->t);
    wz_session_pump(&world->session);
    assert_int_equal(world->conn.out_bytes, 0);
    assert_int_equal(world->counts.dropped, 1);
    wz_session_start(&world->session);
    run_until_inflight(world, 1);
    publish(world, 0, 3);
    assert_int_equal(sent(world, numbers, ids), 2);
    assert_int_equal(numbers[0], 2);
    assert_int_equal(numbers[1], 3);
    assert_int_equal(durable->count, 1);
}

static void test_session_that_lasts_keeps_to_its_window(void **state)
{
    struct world *world = *state;
    struct wz_durable_queue *durable = make_lasting(world);
    uint8_t numbers[16];
    uint16_t ids[16];

    wz_session_start(&world->session);
    for (uint8_t i = 1; i <= 7; i++)
        publish(world, 1, i);
    run_until_inflight(world, 3);
    testqueues_settle(&world->t);
    assert_int_equal(sent(world, numbers, ids), 3);
    acked(world, WZ_MQTT_PUBACK, ids[1]);
    acked(world, WZ_MQTT_PUBACK, ids[1]);
    assert_false(wz_list_empty(&world->session.pump)); // the door pumps at the end of the turn
    wz_session_pump(&world->session);
    assert_int_equal(sent(world, numbers, ids), 1);
    assert_int_equal(numbers[0], 4);
    world->conn.out_bytes = OUT_BYTES; // nor does it send what the peer does not read
    acked(world, WZ_MQTT_PUBACK, ids[0]);
    wz_session_pump(&world->session);
    assert_int_equal(world->conn.out_bytes, OUT_BYTES);
    assert_false(wz_list_empty(&world->session.pump));
    world->conn.out_bytes = 0;
    wz_session_pump(&world->session);
    assert_int_equal(sent(world, numbers, ids), 1);
    assert_int_equal(numbers[0], 5);
    release_session(world);
    assert_int_equal(durable->count, 5); // what is not settled stays
    assert_null(durable->consumer);
    init_session(world, NULL);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_session_grants_what_it_can_deliver),
        TEST(test_session_keeps_order_through_window_and_queue),
        TEST(test_session_drops_and_counts_what_its_queue_cannot_hold),
        TEST(test_session_qos_0_is_dropped_when_the_output_is_full),
        TEST(test_session_ignores_acks_of_what_it_has_not_sent),
        TEST(test_session_ends_with_messages_that_wait),
        TEST(test_session_frees_an_identifier_of_qos_2_when_both_are_done),
        TEST(test_session_that_lasts_sends_nothing_before_it_has_started),
        TEST(test_session_that_lasts_keeps_to_its_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
