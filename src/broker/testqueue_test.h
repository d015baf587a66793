// SPDX-License-Identifier: Apache-2.0
// For the tests of one durable queue: the queue "q", bound to "t/#" at QoS 2, and who takes
// messages out of it.
#pragma once

#include "broker/testqueues_test.h"

struct testqueue {
    struct testqueues t;
    struct testconsumer consumer;
    struct wz_durable_queue *queue; // borrowed; another one after a crash
};

// For cmocka, around each test: *STATE is a struct testqueue.
int testqueue_set_up(void **state);
int testqueue_tear_down(void **state);

// Attaches and detaches the consumer.
void testqueue_attach(struct testqueue *world);
void testqueue_detach(struct testqueue *world);

// Closes all in order when everything is durable, and opens it again; nobody is attached then.
void testqueue_reopen(struct testqueue *world);

// Publishes message NUMBER for the queue, with a body of 20 bytes.
void testqueue_publish(struct testqueue *world, uint32_t number, unsigned qos);

// Takes the next message, which must have NUMBER and be there; returns its packet identifier.
uint16_t testqueue_expect(struct testqueue *world, uint32_t number, unsigned qos, bool dup);

// The test fails if another message comes.
void testqueue_expect_none(struct testqueue *world);

// Takes the next one, whose message the client has and whose PUBREL is due; returns its packet
// identifier.
uint16_t testqueue_expect_released(struct testqueue *world);

// The client is done with a message; the test fails if that is refused.
void testqueue_settle(struct testqueue *world, uint16_t packet_id);

// The client has a message of QoS 2; returns what wz_durable_queue_settle returned.
WZ_MUST int testqueue_release(struct testqueue *world, uint16_t packet_id);
