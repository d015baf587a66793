// SPDX-License-Identifier: Apache-2.0
// For the tests of durable queues: queues over a real journal, and if wanted a raw-stream, in
// folders of their own on a real loop; messages that tell from their number what they must hold.
#pragma once

#include "broker/queues.h"
#include "broker/retained.h"

// The world of a durable queue.
struct testqueues {
    char dir[64]; // the journal's
    char raw_dir[64];
    struct wz_loop loop;
    uv_timer_t tick; // the loop turns even when nothing happens
    struct wz_journal_options journal_options;
    struct wz_queues_limits limits;
    struct wz_retained_limits retained_limits;
    bool has_raw;
    struct wz_exchange *exchange;
    struct wz_log *raw;
    struct wz_journal *journal;
    struct wz_queues *queues;
    struct wz_retained *retained;
    struct wz_problem problem;
    void (*durable)(void *arg); // told after the queues; may be NULL
    void *arg;
};

// Who takes messages out of a queue in a test.
struct testconsumer {
    struct wz_consumer consumer;
    struct wz_durable_queue *queue;
    struct wz_buf direct; // "topic=number " of each message at QoS 0
    int told;             // how often ready was called
};

// For cmocka, around each test: *STATE is a struct testqueues with a raw-stream, opened.
int testqueues_set_up(void **state);
int testqueues_tear_down(void **state);

// Makes empty folders; limits and options may be changed before testqueues_open.
void testqueues_init(struct testqueues *t);

// Removes the folders; everything must be closed.
void testqueues_release(struct testqueues *t);

// Opens everything and reads the journal, without taking part in the turns; returns what
// wz_journal_replay or wz_queues_recover returned.
WZ_MUST int testqueues_load(struct testqueues *t);

// The same, and the journal starts; the test fails if that fails.
void testqueues_open(struct testqueues *t);

// Closes everything in order; the test fails if the journal's end does.
void testqueues_close(struct testqueues *t);

// Closes and opens again.
void testqueues_reopen(struct testqueues *t);

// Goes on from what is on disk now, as after a crash: what was not handed to the writer is lost.
void testqueues_crash(struct testqueues *t);

// The steps of a crash: copies what is on disk to new folders; takes these for the world's own,
// which is closed.
void testqueues_copy(const struct testqueues *t, char ret_dir[static 64],
                     char ret_raw_dir[static 64]);
void testqueues_move(struct testqueues *t, const char dir[static 64],
                     const char raw_dir[static 64]);

// Goes on from what is on disk when all of it is durable.
void testqueues_settle_and_crash(struct testqueues *t);

// A turn of the loop, of two milliseconds at the most.
void testqueues_turn(struct testqueues *t);

// Turns until everything is durable and told.
void testqueues_settle(struct testqueues *t);

// Turns until no compaction runs either, and the writer has nothing more to do.
void testqueues_rest(struct testqueues *t);

// Begins a group, when one may begin; ends it.
void testqueues_begin(struct testqueues *t);
void testqueues_end(struct testqueues *t);

// A queue of that name, new or there.
struct wz_durable_queue *testqueues_queue(struct testqueues *t, const char *name);

// The same, bound to FILTER.
struct wz_durable_queue *testqueues_bound(struct testqueues *t, const char *name,
                                          const char *filter, unsigned qos);

// The queue of that name, or NULL.
struct wz_durable_queue *testqueues_find(struct testqueues *t, const char *name);

// Deletes the queue of that name, which is there.
void testqueues_delete(struct testqueues *t, const char *name);

// Puts a record as it is into the journal.
void testqueues_put(struct testqueues *t, char letter, struct wz_slice key, struct wz_slice value);

// Publishes message NUMBER with a body of LEN bytes, at least 4.
void testqueues_publish(struct testqueues *t, const char *topic, uint32_t number, unsigned qos,
                        size_t len);

// How many messages are in all queues.
size_t testqueues_messages(const struct testqueues *t);

// The number of a message whose body is as testqueues_publish has made it; the test fails if it is
// not.
uint32_t testqueues_number(const struct wz_message *msg);

// Attaches and detaches in a group of their own.
void testconsumer_attach(struct testconsumer *consumer, struct wz_durable_queue *queue);
void testconsumer_detach(struct testconsumer *consumer, int64_t now_ms);

// The next message; false when nothing comes any more. Asks again only when it was told to.
bool testconsumer_take(struct testqueues *t, struct testconsumer *consumer,
                       struct wz_queued *ret_queued);

// Takes the next message, which must have NUMBER and be there; returns its packet identifier.
uint16_t testconsumer_expect(struct testqueues *t, struct testconsumer *consumer, uint32_t number,
                             unsigned qos, bool dup);

// The test fails if another message comes.
void testconsumer_expect_none(struct testqueues *t, struct testconsumer *consumer);

// Settles in a group of its own.
WZ_MUST int testconsumer_settle(struct testqueues *t, struct testconsumer *consumer,
                                uint16_t packet_id, enum wz_settlement settlement);
