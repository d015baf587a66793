// SPDX-License-Identifier: Apache-2.0
// The packet identifiers of one durable queue over a real journal: none is given twice at a time,
// also where one stays in use while all others go round, and where a crash makes sequences begin
// again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/patience_test.h"
#include "broker/queues_inside.h"
#include "broker/testqueue_test.h"

#define IDS WZ_PACKET_ID_COUNT

static void test_queue_gives_no_identifier_twice_at_a_time(void **state)
{
    enum { COUNT = 150000, STUCK = 40000 }; // and these are never settled: 0, 7, STUCK
    struct testqueue *world = *state;
    uint16_t first = 0;
    uint16_t seventh = 0;
    uint16_t stuck = 0;
    uint16_t last = 0;

    testqueue_attach(world);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint16_t id;

        testqueue_publish(world, i, 1);
        if (i % 512 != 511 && i + 1 < COUNT)
            continue;
        for (uint32_t n = i - i % 512; n <= i; n++) {
            id = testqueue_expect(world, n, 1, false);
            if (n > 7 && (id == first || id == seventh || (n > STUCK && id == stuck)))
                fail_msg("message %u has %u, which is in use", n, id);
            first = n == 0 ? id : first;
            seventh = n == 7 ? id : seventh;
            stuck = n == STUCK ? id : stuck;
            last = id;
            if (n != 0 && n != 7 && n != STUCK && n + 1 < COUNT)
                testqueue_settle(world, id);
        }
    }
    assert_int_equal(world->queue->count, 4);
    testqueue_reopen(world);
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 0, 1, true), first);
    assert_int_equal(testqueue_expect(world, 7, 1, true), seventh);
    assert_int_equal(testqueue_expect(world, STUCK, 1, true), stuck);
    assert_int_equal(testqueue_expect(world, COUNT - 1, 1, true), last);
    testqueue_settle(world, first); // the first of the shifts are needed no more
    testqueue_reopen(world);
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 7, 1, true), seventh);
    assert_int_equal(testqueue_expect(world, STUCK, 1, true), stuck);
    assert_int_equal(testqueue_expect(world, COUNT - 1, 1, true), last);
}

static void test_queue_has_an_identifier_durable_before_it_is_given(void **state)
{
    struct testqueue *world = *state;
    struct wz_queued queued;
    uint16_t first;
    uint16_t id;

    testqueue_attach(world);
    testqueue_publish(world, 0, 1);
    first = testqueue_expect(world, 0, 1, false);
    for (uint32_t i = 1; i < IDS; i++) {
        testqueue_publish(world, i, 1);
        testqueue_settle(world, testqueue_expect(world, i, 1, false));
        if (i % 4096 == 0)
            testqueues_settle(&world->t);
    }
    testqueues_settle(&world->t);
    testqueue_publish(world, IDS, 1); // would have the first one's
    testqueues_settle(&world->t);
    assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
    assert_int_equal(world->queue->shifts.count, 1); // but the disk does not have it yet
    id = testqueue_expect(world, IDS, 1, false);
    assert_int_not_equal(id, first);
    assert_int_equal(world->queue->shifts.count, 1);
    testqueues_crash(&world->t); // with nothing but what was durable when it was given
    world->queue = testqueues_queue(&world->t, "q");
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 0, 1, true), first);
    assert_int_equal(testqueue_expect(world, IDS, 1, true), id);
}

// A journal that is compacted all the time.
static void use_small_segments(struct testqueue *world)
{
    testqueues_settle(&world->t);
    world->t.journal_options.segment_bytes = 64 * 1024;
    world->t.journal_options.compact_bytes = 128 * 1024;
    testqueue_reopen(world);
}

// Messages from FIRST on, given and settled; none has an identifier of IDS, which end with 0.
static void pass(struct testqueue *world, uint32_t first, uint32_t count, const uint16_t *ids)
{
    for (uint32_t n = first; n < first + count; n++) {
        uint16_t id;

        for (uint32_t i = n; (n - first) % 256 == 0 && i < n + 256 && i < first + count; i++)
            testqueue_publish(world, i, 1);
        id = testqueue_expect(world, n, 1, false);
        for (const uint16_t *in_use = ids; *in_use != 0; in_use++) {
            if (*in_use == id)
                fail_msg("message %u has %u, which is in use", n, id);
        }
        testqueue_settle(world, id);
    }
}

static void test_queue_costs_no_more_behind_a_message_that_stays(void **state)
{
    enum { COUNT = 3 * IDS };
    struct testqueue *world = *state;
    struct wz_journal_info info;
    int64_t end_us;
    uint16_t ids[2] = {0};

    use_small_segments(world);
    testqueue_attach(world);
    testqueue_publish(world, 0, 1);
    ids[0] = testqueue_expect(world, 0, 1, false);
    pass(world, 1, COUNT, ids);
    testqueues_rest(&world->t);
    assert_int_equal(world->queue->head, 0);
    assert_int_equal(world->queue->tail, COUNT + 1);
    assert_in_range(world->queue->entries.count, 1, 2);
    assert_in_range(world->queue->entries.cap, 1, 64);
    assert_in_range(world->queue->shifts.count, 1, 2); // its identifier's turn came three times
    // The writer removes what is compacted, in its own time.
    end_us = wz_clock_mono_us() + patience_us();
    do {
        (void)uv_run(&world->t.loop.uv, UV_RUN_NOWAIT);
        (void)usleep(1000);
        wz_journal_info(world->t.journal, &info);
    } while (info.size_bytes > (int64_t)256 * 1024 && wz_clock_mono_us() < end_us);
    assert_in_range(info.live_bytes, 1, 1024);
    assert_in_range(info.size_bytes, 1, 256 * 1024); // of 20 MB that were put
    testqueue_detach(world);
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 0, 1, true), ids[0]);
    testqueue_expect_none(world);
    testqueues_crash(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 0, 1, true), ids[0]);
    testqueue_expect_none(world);
    testqueue_settle(world, ids[0]);
    assert_int_equal(world->queue->head, world->queue->tail);
}

// Compaction has left every record of those behind the first one behind, all settled: sequences
// begin again where the last one is that is known. There were COUNT. Returns the first one's
// identifier.
static uint16_t begin_again(struct testqueue *world, uint32_t count)
{
    struct testconsumer other = {0};
    uint16_t ids[2] = {0};

    use_small_segments(world);
    testqueue_attach(world);
    testqueue_publish(world, 0, 1);
    ids[0] = testqueue_expect(world, 0, 1, false);
    pass(world, 1, count, ids);
    testqueue_detach(world);
    assert_in_range(world->queue->shifts.count, 1, 2);
    testconsumer_attach(&other, testqueues_bound(&world->t, "other", "o", 1));
    for (uint32_t i = 0; i < 40; i++) { // others come and go
        uint16_t id;

        testqueues_publish(&world->t, "o", i, 1, 20000);
        id = testconsumer_expect(&world->t, &other, i, 1, false);
        assert_int_equal(testconsumer_settle(&world->t, &other, id, WZ_SETTLED), WZ_OK);
        testqueues_rest(&world->t);
    }
    testconsumer_detach(&other, 1);
    testqueues_crash(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
    assert_int_equal(world->queue->tail, 1); // else the tests show nothing
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 0, 1, true), ids[0]);
    return ids[0];
}

// What was known of identifiers behind that is not true any more, where others are in use,
static void test_queue_gives_identifiers_anew_where_sequences_begin_again(void **state)
{
    struct testqueue *world = *state;
    uint16_t ids[3] = {begin_again(world, 2 * IDS)};
    uint16_t last;

    pass(world, 1, 9, ids);
    testqueue_publish(world, 10, 1);
    ids[1] = testqueue_expect(world, 10, 1, false); // stays, too
    pass(world, 11, IDS + 100, ids);
    testqueue_publish(world, 0, 1);
    last = testqueue_expect(world, 0, 1, false);
    testqueues_settle(&world->t);
    testqueues_crash(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 0, 1, true), ids[0]);
    assert_int_equal(testqueue_expect(world, 10, 1, true), ids[1]);
    assert_int_equal(testqueue_expect(world, 0, 1, true), last);
}

// nor where none is.
static void test_queue_gives_the_same_identifier_after_sequences_have_begun_again(void **state)
{
    struct testqueue *world = *state;
    const uint16_t none = 0;
    uint16_t last;

    testqueue_settle(world, begin_again(world, IDS + 100));
    pass(world, 1, IDS + 100, &none);
    testqueue_publish(world, 0, 1);
    last = testqueue_expect(world, 0, 1, false);
    testqueues_settle(&world->t);
    testqueues_crash(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 0, 1, true), last);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, testqueue_set_up, testqueue_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_queue_gives_no_identifier_twice_at_a_time),
        TEST(test_queue_has_an_identifier_durable_before_it_is_given),
        TEST(test_queue_costs_no_more_behind_a_message_that_stays),
        TEST(test_queue_gives_identifiers_anew_where_sequences_begin_again),
        TEST(test_queue_gives_the_same_identifier_after_sequences_have_begun_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
