// SPDX-License-Identifier: Apache-2.0
// One durable queue over a real journal: what it gives out, in which order, and what of it is still
// there when it is opened again.
#include "broker/durable_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "broker/queues_inside.h"
#include "broker/testqueue_test.h"

// While it is not WZ_OK, what every body that is fetched comes with.
static int fetch_result;

int __real_wz_fetch_next(struct wz_fetch *fetch, int64_t *ret_offset, struct wz_slice *ret_value,
                         int *ret_result);
int __wrap_wz_fetch_next(struct wz_fetch *fetch, int64_t *ret_offset, struct wz_slice *ret_value,
                         int *ret_result);

int __wrap_wz_fetch_next(struct wz_fetch *fetch, int64_t *ret_offset, struct wz_slice *ret_value,
                         int *ret_result)
{
    int r = __real_wz_fetch_next(fetch, ret_offset, ret_value, ret_result);

    if (r == WZ_OK && fetch_result != WZ_OK)
        *ret_result = fetch_result;
    return r;
}

static int set_up(void **state)
{
    fetch_result = WZ_OK;
    return testqueue_set_up(state);
}

static void test_queue_gives_messages_in_order_and_forgets_what_is_settled(void **state)
{
    struct testqueue *world = *state;
    uint16_t ids[10];

    testqueue_attach(world);
    testqueue_expect_none(world);
    for (uint32_t i = 0; i < 10; i++)
        testqueue_publish(world, i, 1);
    for (uint32_t i = 0; i < 10; i++)
        ids[i] = testqueue_expect(world, i, 1, false);
    assert_int_equal(wz_durable_queue_inflight(world->queue), 10);
    testqueue_expect_none(world);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(ids[i], ids[0] + i);
        testqueue_settle(world, ids[i]);
    }
    assert_int_equal(wz_durable_queue_inflight(world->queue), 0);
    assert_int_equal(testqueues_messages(&world->t), 0);
    testqueue_detach(world);
    testqueue_reopen(world);
    assert_int_equal(testqueues_messages(&world->t), 0);
    testqueue_attach(world);
    testqueue_expect_none(world);
    testqueue_publish(world, 10, 1);
    assert_int_equal(testqueue_expect(world, 10, 1, false), ids[9] + 1);
}

static void test_queue_takes_acks_in_any_order(void **state)
{
    static const uint32_t order[] = {7, 2, 3, 9, 0, 8, 5, 1};
    struct testqueue *world = *state;
    uint16_t ids[10];

    for (uint32_t i = 0; i < 10; i++)
        testqueue_publish(world, i, 1);
    testqueue_attach(world);
    for (uint32_t i = 0; i < 10; i++)
        ids[i] = testqueue_expect(world, i, 1, false);
    for (size_t i = 0; i < 8; i++)
        testqueue_settle(world, ids[order[i]]);
    assert_int_equal(wz_durable_queue_inflight(world->queue), 2);
    assert_int_equal(testqueues_messages(&world->t), 2);
    testqueue_detach(world);
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 4, 1, true), ids[4]);
    assert_int_equal(testqueue_expect(world, 6, 1, true), ids[6]);
    testqueue_expect_none(world);
    testqueue_reopen(world);
    assert_int_equal(testqueues_messages(&world->t), 2);
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 4, 1, true), ids[4]);
    assert_int_equal(testqueue_expect(world, 6, 1, true), ids[6]);
    testqueue_expect_none(world);
}

static void test_queue_gives_again_what_was_not_settled_and_says_so(void **state)
{
    struct testqueue *world = *state;
    uint16_t first;
    uint16_t second;

    for (uint32_t i = 0; i < 4; i++)
        testqueue_publish(world, i, i < 2 ? 1 : 2);
    testqueue_attach(world);
    first = testqueue_expect(world, 0, 1, false);
    second = testqueue_expect(world, 1, 1, false);
    testqueue_settle(world, first);
    testqueue_detach(world);
    assert_int_equal(wz_durable_queue_inflight(world->queue), 0);
    testqueue_publish(world, 4, 1);
    testqueue_attach(world);
    // An ack of before, for what was not given again yet, is nobody's.
    assert_int_equal(testconsumer_settle(&world->t, &world->consumer, second, WZ_SETTLED),
                     WZ_ERR_NOT_FOUND);
    assert_int_equal(testqueue_expect(world, 1, 1, true), second);
    (void)testqueue_expect(world, 2, 2, false);
    (void)testqueue_expect(world, 3, 2, false);
    (void)testqueue_expect(world, 4, 1, false);
    testqueue_expect_none(world);
}

static void test_queue_remembers_that_the_client_has_a_message(void **state)
{
    struct testqueue *world = *state;
    uint16_t ids[4];

    for (uint32_t i = 0; i < 4; i++)
        testqueue_publish(world, i, 2);
    testqueue_attach(world);
    for (uint32_t i = 0; i < 4; i++)
        ids[i] = testqueue_expect(world, i, 2, false);
    assert_int_equal(testqueue_release(world, ids[2]), WZ_OK);
    assert_int_equal(testqueue_release(world, ids[2]), WZ_OK); // PUBREC may come twice
    assert_int_equal(testqueue_release(world, ids[0]), WZ_OK);
    testqueue_settle(world, ids[0]);
    assert_int_equal(testqueues_messages(&world->t), 3);
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            testqueue_detach(world);
        else
            testqueue_reopen(world);
        testqueue_attach(world);
        assert_int_equal(testqueue_expect(world, 1, 2, true), ids[1]);
        assert_int_equal(testqueue_expect_released(world), ids[2]);
        assert_int_equal(testqueue_expect(world, 3, 2, true), ids[3]);
        testqueue_expect_none(world);
    }
    testqueue_settle(world, ids[2]);
    testqueue_reopen(world);
    testqueue_attach(world);
    assert_int_equal(testqueue_expect(world, 1, 2, true), ids[1]);
    assert_int_equal(testqueue_expect(world, 3, 2, true), ids[3]);
    testqueue_expect_none(world);
}

static void test_queue_refuses_what_does_not_fit_the_message(void **state)
{
    struct testqueue *world = *state;
    uint16_t one;
    uint16_t two;

    testqueue_publish(world, 0, 1);
    testqueue_publish(world, 1, 2);
    testqueue_attach(world);
    one = testqueue_expect(world, 0, 1, false);
    two = testqueue_expect(world, 1, 2, false);
    assert_int_equal(testqueue_release(world, one), WZ_ERR_PROTOCOL); // PUBREC for QoS 1
    assert_int_equal(testconsumer_settle(&world->t, &world->consumer, two, WZ_SETTLED),
                     WZ_ERR_PROTOCOL); // PUBACK or PUBCOMP for QoS 2 that was not released
    assert_int_equal(testqueue_release(world, 0), WZ_ERR_NOT_FOUND);
    assert_int_equal(testqueue_release(world, 999), WZ_ERR_NOT_FOUND);
    assert_int_equal(testqueues_messages(&world->t), 2);
    assert_int_equal(wz_durable_queue_inflight(world->queue), 2);
    testqueue_settle(world, one);
    assert_int_equal(testconsumer_settle(&world->t, &world->consumer, one, WZ_SETTLED),
                     WZ_ERR_NOT_FOUND);
}

static void test_queue_gives_nothing_out_before_it_is_durable(void **state)
{
    struct testqueue *world = *state;
    struct wz_queued queued;

    testqueue_attach(world);
    testqueues_settle(&world->t);
    testqueue_publish(world, 0, 1);
    assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
    assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
    (void)testqueue_expect(world, 0, 1, false); // after it was told
}

static void test_queue_is_limited_by_count_and_by_bytes(void **state)
{
    struct testqueue *world = *state;
    struct wz_durable_queue *other = testqueues_bound(&world->t, "other", "t/2", 1);

    world->t.queues->options.limits.max_count = 5;
    for (uint32_t i = 0; i < 8; i++)
        testqueue_publish(world, i, 1);
    assert_int_equal(world->queue->count, 5);
    assert_false(wz_durable_queue_has_room(world->queue));
    testqueues_publish(&world->t, "t/2", 8, 1, 20); // others have theirs
    assert_int_equal(other->count, 1);
    testqueue_attach(world);
    testqueue_settle(world, testqueue_expect(world, 0, 1, false));
    testqueue_publish(world, 9, 1);
    for (uint32_t i = 1; i < 5; i++)
        testqueue_settle(world, testqueue_expect(world, i, 1, false));
    testqueue_settle(world, testqueue_expect(world, 9, 1, false));
    testqueue_expect_none(world);
    world->t.queues->options.limits.max_bytes = 10000;
    for (uint32_t i = 0; i < 3; i++)
        testqueues_publish(&world->t, "t/1", i, 1, 6000); // what begins below it is taken
    assert_int_equal(world->queue->count, 2);
    testqueue_settle(world, testqueue_expect(world, 0, 1, false));
    assert_true(wz_durable_queue_has_room(world->queue));
    testqueue_settle(world, testqueue_expect(world, 1, 1, false));
    testqueue_expect_none(world);
    assert_int_equal(world->queue->bytes, 0);
}

static void test_queue_counts_bodies_that_it_shares_as_its_own(void **state)
{
    struct testqueue *world = *state;
    uint16_t id;

    (void)testqueues_bound(&world->t, "other", "t/#", 2);
    world->t.limits.max_bytes = 10000;
    for (int round = 0; round < 2; round++) {
        testqueue_reopen(world);
        assert_int_equal(world->queue->count, 2 * round);
        for (uint32_t i = 0; i < 3; i++)
            testqueues_publish(&world->t, "t/1", i, 2, 6000);
        assert_int_equal(world->queue->count, 2);
        assert_in_range(world->queue->bytes, 12000, 12500);
    }
    testqueue_attach(world);
    id = testqueue_expect(world, 0, 2, true);
    assert_int_equal(testqueue_release(world, id), WZ_OK); // the body is not needed any more
    assert_in_range(world->queue->bytes, 6000, 6500);
    testqueue_settle(world, id);
    id = testqueue_expect(world, 1, 2, true);
    assert_int_equal(testqueue_release(world, id), WZ_OK);
    testqueue_settle(world, id);
    assert_int_equal(world->queue->bytes, 0);
}

static void test_queue_fetches_what_came_while_nobody_was_there(void **state)
{
    enum { COUNT = 3000 };
    struct testqueue *world = *state;

    for (uint32_t i = 0; i < COUNT; i++)
        testqueue_publish(world, i, 1 + i % 2);
    testqueue_attach(world);
    for (uint32_t i = 0; i < COUNT; i++)
        (void)testqueue_expect(world, i, 1 + i % 2, false);
    testqueue_expect_none(world);
    testqueue_reopen(world);
    testqueue_attach(world);
    for (uint32_t i = 0; i < COUNT; i++)
        (void)testqueue_expect(world, i, 1 + i % 2, i < 1000); // as far as it is guessed
    testqueue_expect_none(world);
}

static void test_queue_fetches_what_did_not_fit_into_memory(void **state)
{
    static const struct {
        uint32_t count;
        size_t len;
    } rows[] = {{3000, 5}, {40, 100000}, {1030, 300}, {3, 1000000}};
    struct testqueue *world = *state;
    uint32_t number = 0;

    testqueue_attach(world);
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        uint32_t first = number;
        uint32_t given = number;

        for (uint32_t i = 0; i < rows[row].count; i++) {
            testqueues_publish(&world->t, i % 2 == 0 ? "t/1" : "t/a/longer/one", number++, 1,
                               rows[row].len + i % 7);
            if (i % 16 == 0)
                testqueues_turn(&world->t);
            if (i % 8 == 0) // somebody takes some, but not as fast
                testqueue_settle(world, testqueue_expect(world, given++, 1, false));
        }
        while (given < number) {
            if (given == first + rows[row].count / 2) // more comes while it is fetched
                testqueues_publish(&world->t, "t/1", number++, 1, 50);
            testqueue_settle(world, testqueue_expect(world, given++, 1, false));
        }
        testqueue_expect_none(world);
        assert_int_equal(testqueues_messages(&world->t), 0);
    }
}

static void test_queue_fetches_around_what_is_settled_or_released(void **state)
{
    enum { COUNT = 2000 };
    struct testqueue *world = *state;
    uint16_t *ids = wz_alloc(COUNT * sizeof(*ids));
    uint64_t guess;

    for (uint32_t i = 0; i < COUNT; i++)
        testqueue_publish(world, i, 2);
    testqueue_attach(world);
    for (uint32_t i = 0; i < COUNT; i++)
        ids[i] = testqueue_expect(world, i, 2, false);
    for (uint32_t i = 0; i < COUNT; i++) {
        if (i % 3 != 1 && !(i > 700 && i < 1500))
            assert_int_equal(testqueue_release(world, ids[i]), WZ_OK);
        if (i % 3 == 0 && !(i > 700 && i < 1500))
            testqueue_settle(world, ids[i]);
    }
    testqueue_reopen(world);
    guess = world->queue->sent_end;
    testqueue_attach(world);
    for (uint32_t i = 0; i < COUNT; i++) {
        if (i % 3 == 1 || (i > 700 && i < 1500))
            assert_int_equal(testqueue_expect(world, i, 2, i < guess), ids[i]);
        else if (i % 3 == 2)
            assert_int_equal(testqueue_expect_released(world), ids[i]);
    }
    testqueue_expect_none(world);
    wz_free(ids);
}

static void test_queue_may_be_left_while_it_fetches(void **state)
{
    struct testqueue *world = *state;
    struct wz_queued queued;

    for (uint32_t i = 0; i < 100; i++)
        testqueues_publish(&world->t, "t/1", i, 1, 5000);
    testqueues_settle(&world->t);
    for (int round = 0; round < 20; round++) {
        testqueue_attach(world);
        assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
        assert_true(wz_fetcher_busy(world->queue->fetcher));
        for (int i = 0; i < round % 3; i++)
            testqueues_turn(&world->t);
        wz_durable_queue_trim(world->queue);
        testqueue_detach(world);
    }
    testqueue_attach(world);
    for (uint32_t i = 0; i < 100; i++)
        (void)testqueue_expect(world, i, 1, false);
}

static void test_queue_frees_memory_that_is_not_in_use(void **state)
{
    struct testqueue *world = *state;
    uint16_t id;

    testqueue_attach(world);
    testqueue_publish(world, 0, 1);
    id = testqueue_expect(world, 0, 1, false);
    testqueue_publish(world, 1, 1);
    wz_durable_queue_trim(world->queue);
    assert_non_null(world->queue->ready); // the second one waits in it
    testqueue_settle(world, id);
    testqueue_settle(world, testqueue_expect(world, 1, 1, false));
    wz_durable_queue_trim(world->queue);
    assert_null(world->queue->ready);
    assert_null(world->queue->given);
    assert_null(world->queue->fetcher);
    assert_null(world->queue->entries.chunks);
    testqueue_publish(world, 2, 1);
    testqueue_settle(world, testqueue_expect(world, 2, 1, false));
}

static void test_queue_tries_again_when_the_disk_does_not_answer(void **state)
{
    struct testqueue *world = *state;
    struct wz_queued queued;

    for (uint32_t i = 0; i < 10; i++)
        testqueue_publish(world, i, 1);
    testqueues_settle(&world->t);
    testqueue_attach(world);
    fetch_result = WZ_ERR_IO;
    assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
    testqueue_publish(world, 10, 1); // it waits for this one, too
    while (wz_fetcher_busy(world->queue->fetcher))
        testqueues_turn(&world->t);
    testqueues_settle(&world->t);
    assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
    while (wz_fetcher_busy(world->queue->fetcher))
        testqueues_turn(&world->t);
    fetch_result = WZ_OK;
    testqueue_publish(world, 11, 1);
    for (uint32_t i = 0; i < 12; i++)
        (void)testqueue_expect(world, i, 1, false);
    testqueue_expect_none(world);
}

// Looks for BYTES in the files of the journal and changes them where they are found first.
static int damage_name(const char *name, void *arg)
{
    const struct testqueues *t = arg;
    WZ_AUTO(wz_buf_release) struct wz_buf buf = {0};
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    struct iovec piece = {.iov_base = (char[]){"damaged"}, .iov_len = 7};
    char path[512];
    uint8_t *place;

    (void)snprintf(path, sizeof(path), "%s/%s", t->dir, name);
    if (strcmp(name, "lock") == 0 || wz_fs_load(path, (size_t)1 << 30, &buf) < 0)
        return WZ_OK;
    place = memmem(buf.ptr, buf.len, "t/damage", 8);
    if (place == NULL)
        return WZ_OK;
    assert_int_equal(wz_fs_open(path, WZ_FS_WRITE, &fd), WZ_OK);
    return wz_fs_write(fd, &piece, 1, (int64_t)(place - buf.ptr));
}

static void test_queue_goes_on_behind_a_message_that_is_damaged(void **state)
{
    struct testqueue *world = *state;

    for (uint32_t i = 0; i < 10; i++) {
        testqueues_publish(&world->t, i == 4 ? "t/damage" : "t/1", i, 1, 20);
        testqueues_settle(&world->t); // a batch each
    }
    testqueue_reopen(world);
    assert_int_equal(wz_fs_walk(world->t.dir, damage_name, &world->t), WZ_OK);
    testqueue_attach(world);
    for (uint32_t i = 0; i < 10; i++) {
        if (i != 4)
            (void)testqueue_expect(world, i, 1, true);
    }
    testqueue_expect_none(world);
    assert_int_equal(testqueues_messages(&world->t), 9);
    assert_int_equal(wz_durable_queue_inflight(world->queue), 9);
}

static void test_queue_keeps_what_was_retained_apart(void **state)
{
    struct testqueue *world = *state;

    for (int round = 0; round < 3; round++) {
        struct wz_message msg = {.topic = WZ_SLICE_LIT("t/1"),
                                 .body = WZ_SLICE_LIT("kept"),
                                 .qos = 1,
                                 .retain = round != 1};
        struct wz_queued queued;

        if (round == 0) // from memory, else from the disk
            testqueue_attach(world);
        testqueues_begin(&world->t);
        assert_int_equal(wz_durable_queue_push(world->queue, &msg, 1), WZ_OK);
        testqueues_end(&world->t);
        if (round > 0)
            testqueue_attach(world);
        assert_true(testconsumer_take(&world->t, &world->consumer, &queued));
        assert_int_equal(queued.retain, round != 1);
        assert_int_equal(queued.parcel->message.body.len, 4);
        testqueue_settle(world, queued.packet_id);
        testqueue_detach(world);
    }
}

static void test_queue_gives_at_the_lower_qos_and_directly_at_none(void **state)
{
    struct testqueue *world = *state;
    struct wz_durable_queue *low = testqueues_bound(&world->t, "low", "u", 1);
    struct testconsumer consumer = {0};

    (void)testqueues_bound(&world->t, "low", "v", 0);
    (void)testqueues_bound(&world->t, "low", "v/#", 2); // the higher of two that match
    testqueues_publish(&world->t, "u", 1, 0, 10);       // nobody is there to have it
    testconsumer_attach(&consumer, low);
    testqueues_publish(&world->t, "u", 2, 0, 10);
    testqueues_publish(&world->t, "u", 3, 2, 10);
    testqueues_publish(&world->t, "v", 4, 2, 10);
    testqueues_publish(&world->t, "v", 5, 1, 10);
    assert_string_equal(wz_buf_str(&consumer.direct), "u=2 ");
    (void)testconsumer_expect(&world->t, &consumer, 3, 1, false);
    (void)testconsumer_expect(&world->t, &consumer, 4, 2, false);
    (void)testconsumer_expect(&world->t, &consumer, 5, 1, false);
    testconsumer_expect_none(&world->t, &consumer);
    testconsumer_detach(&consumer, 1);
}

static int add_filter(struct testqueue *world, const char *filter, unsigned qos)
{
    int r;

    testqueues_begin(&world->t);
    r = wz_durable_queue_bind(world->queue, wz_slice_str(filter), qos);
    testqueues_end(&world->t);
    return r;
}

static void drop_filter(struct testqueue *world, const char *filter)
{
    testqueues_begin(&world->t);
    wz_durable_queue_unbind(world->queue, wz_slice_str(filter));
    testqueues_end(&world->t);
}

static void test_queue_bindings_outlast_what_they_are_made_in(void **state)
{
    struct testqueue *world = *state;
    uint16_t id;

    world->t.limits.max_bindings = 4;
    testqueue_reopen(world);
    assert_int_equal(add_filter(world, "a", 1), WZ_OK);
    assert_int_equal(add_filter(world, "b/+", 1), WZ_OK);
    assert_int_equal(add_filter(world, "c", 2), WZ_OK);
    assert_int_equal(add_filter(world, "d", 2), WZ_ERR_LIMIT);
    assert_int_equal(add_filter(world, "a", 2), WZ_OK); // the one that is there
    drop_filter(world, "never");
    drop_filter(world, "c");
    drop_filter(world, "t/#");
    assert_int_equal(add_filter(world, "d", 0), WZ_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(world->queue->bindings.count, 3);
        testqueue_attach(world);
        testqueues_publish(&world->t, "a", 1, 2, 10);
        testqueues_publish(&world->t, "b/x", 2, 2, 10);
        testqueues_publish(&world->t, "c", 3, 2, 10);
        testqueues_publish(&world->t, "d", 4, 2, 10);
        testqueues_publish(&world->t, "t/1", 5, 2, 10);
        assert_string_equal(wz_buf_str(&world->consumer.direct), "d=4 ");
        id = testqueue_expect(world, 1, 2, false);
        assert_int_equal(testqueue_release(world, id), WZ_OK);
        testqueue_settle(world, id);
        testqueue_settle(world, testqueue_expect(world, 2, 1, false));
        testqueue_expect_none(world);
        testqueue_detach(world);
        testqueue_reopen(world);
    }
}

static void test_queue_refuses_a_filter_that_is_too_deep(void **state)
{
    struct testqueue *world = *state;
    char filter[1000];

    for (size_t i = 0; i < sizeof(filter) - 1; i++)
        filter[i] = i % 2 == 0 ? '+' : '/';
    filter[sizeof(filter) - 2] = '\0';
    filter[sizeof(filter) - 1] = '\0';
    assert_int_equal(add_filter(world, filter, 1), WZ_ERR_LIMIT);
    testqueue_reopen(world); // it is not in the journal
    assert_int_equal(world->queue->bindings.count, 1);
}

// The crash comes at once: what was not durable is lost, and nothing else.
static void test_queue_is_after_a_crash_what_was_durable(void **state)
{
    struct testqueue *world = *state;
    uint16_t ids[20];

    for (uint32_t i = 0; i < 20; i++)
        testqueue_publish(world, i, 2);
    testqueue_attach(world);
    for (uint32_t i = 0; i < 20; i++)
        ids[i] = testqueue_expect(world, i, 2, false);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(testqueue_release(world, ids[i]), WZ_OK);
    testqueue_settle(world, ids[0]);
    testqueue_settle(world, ids[4]);
    testqueues_settle(&world->t);
    testqueue_publish(world, 20, 1); // lost, as these acks are
    testqueue_settle(world, ids[1]);
    testqueue_settle(world, ids[5]);
    assert_int_equal(testqueue_release(world, ids[6]), WZ_OK);
    testqueues_crash(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
    assert_int_equal(testqueues_messages(&world->t), 18);
    testqueue_attach(world);
    for (uint32_t i = 1; i < 20; i++) {
        if (i == 4)
            continue;
        assert_int_equal(
            i < 6 ? testqueue_expect_released(world) : testqueue_expect(world, i, 2, true), ids[i]);
    }
    testqueue_expect_none(world);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, testqueue_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_queue_gives_messages_in_order_and_forgets_what_is_settled),
        TEST(test_queue_takes_acks_in_any_order),
        TEST(test_queue_gives_again_what_was_not_settled_and_says_so),
        TEST(test_queue_remembers_that_the_client_has_a_message),
        TEST(test_queue_refuses_what_does_not_fit_the_message),
        TEST(test_queue_gives_nothing_out_before_it_is_durable),
        TEST(test_queue_is_limited_by_count_and_by_bytes),
        TEST(test_queue_counts_bodies_that_it_shares_as_its_own),
        TEST(test_queue_fetches_what_came_while_nobody_was_there),
        TEST(test_queue_fetches_what_did_not_fit_into_memory),
        TEST(test_queue_fetches_around_what_is_settled_or_released),
        TEST(test_queue_may_be_left_while_it_fetches),
        TEST(test_queue_frees_memory_that_is_not_in_use),
        TEST(test_queue_tries_again_when_the_disk_does_not_answer),
        TEST(test_queue_goes_on_behind_a_message_that_is_damaged),
        TEST(test_queue_keeps_what_was_retained_apart),
        TEST(test_queue_gives_at_the_lower_qos_and_directly_at_none),
        TEST(test_queue_bindings_outlast_what_they_are_made_in),
        TEST(test_queue_refuses_a_filter_that_is_too_deep),
        TEST(test_queue_is_after_a_crash_what_was_durable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
