// SPDX-License-Identifier: Apache-2.0
// Owns the queue and the consumer of the tests of one durable queue.
#include "broker/testqueue_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

int testqueue_set_up(void **state)
{
    struct testqueue *world = wz_zalloc(1, sizeof(*world));

    *state = world;
    testqueues_init(&world->t);
    testqueues_open(&world->t);
    world->queue = testqueues_bound(&world->t, "q", "t/#", 2);
    return 0;
}

int testqueue_tear_down(void **state)
{
    struct testqueue *world = *state;

    wz_buf_release(&world->consumer.direct);
    testqueues_close(&world->t);
    testqueues_release(&world->t);
    wz_free(world);
    return 0;
}

void testqueue_attach(struct testqueue *world)
{
    testconsumer_attach(&world->consumer, world->queue);
}

void testqueue_detach(struct testqueue *world)
{
    testconsumer_detach(&world->consumer, world->t.loop.now_ms);
}

void testqueue_reopen(struct testqueue *world)
{
    testqueues_settle(&world->t);
    testqueues_reopen(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
}

void testqueue_publish(struct testqueue *world, uint32_t number, unsigned qos)
{
    testqueues_publish(&world->t, "t/1", number, qos, 20);
}

uint16_t testqueue_expect(struct testqueue *world, uint32_t number, unsigned qos, bool dup)
{
    return testconsumer_expect(&world->t, &world->consumer, number, qos, dup);
}

void testqueue_expect_none(struct testqueue *world)
{
    testconsumer_expect_none(&world->t, &world->consumer);
}

void testqueue_settle(struct testqueue *world, uint16_t packet_id)
{
    assert_int_equal(testconsumer_settle(&world->t, &world->consumer, packet_id, WZ_SETTLED),
                     WZ_OK);
}

int testqueue_release(struct testqueue *world, uint16_t packet_id)
{
    return testconsumer_settle(&world->t, &world->consumer, packet_id, WZ_RELEASED);
}

uint16_t testqueue_expect_released(struct testqueue *world)
{
    struct wz_queued queued;

    assert_true(testconsumer_take(&world->t, &world->consumer, &queued));
    assert_null(queued.parcel);
    return queued.packet_id;
}
