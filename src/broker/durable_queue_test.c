// SPDX-License-Identifier: Apache-2.0
// One durable queue over a real journal: what it gives out, in which order, and what of it is still
// there when it is opened again.
#include "broker/durable_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "broker/queues_inside.h"
#include "broker/testqueues_test.h"

#define IDS WZ_PACKET_ID_COUNT

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

struct world {
    struct testqueues t;
    struct testconsumer consumer;
    struct wz_durable_queue *queue;
};

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    *state = world;
    fetch_result = WZ_OK;
    testqueues_init(&world->t);
    testqueues_open(&world->t);
    world->queue = testqueues_bound(&world->t, "q", "t/#", 2);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    wz_buf_release(&world->consumer.direct);
    testqueues_close(&world->t);
    testqueues_release(&world->t);
    wz_free(world);
    return 0;
}

static void attach(struct world *world) { testconsumer_attach(&world->consumer, world->queue); }

static void detach(struct world *world)
{
    testconsumer_detach(&world->consumer, world->t.loop.now_ms);
}

static void reopen(struct world *world)
{
    testqueues_settle(&world->t);
    testqueues_reopen(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
}

static void publish(struct world *world, uint32_t number, unsigned qos)
{
    testqueues_publish(&world->t, "t/1", number, qos, 20);
}

static uint16_t expect(struct world *world, uint32_t number, unsigned qos, bool dup)
{
    return testconsumer_expect(&world->t, &world->consumer, number, qos, dup);
}

static void expect_none(struct world *world)
{
    testconsumer_expect_none(&world->t, &world->consumer);
}

static void settle(struct world *world, uint16_t packet_id)
{
    assert_int_equal(testconsumer_settle(&world->t, &world->consumer, packet_id, WZ_SETTLED),
                     WZ_OK);
}

static int release(struct world *world, uint16_t packet_id)
{
    return testconsumer_settle(&world->t, &world->consumer, packet_id, WZ_RELEASED);
}

// The client has it, PUBREL is due.
static uint16_t expect_released(struct world *world)
{
    struct wz_queued queued;

    assert_true(testconsumer_take(&world->t, &world->consumer, &queued));
    assert_null(queued.parcel);
    return queued.packet_id;
}

static void test_queue_gives_messages_in_order_and_forgets_what_is_settled(void **state)
{
    struct world *world = *state;
    uint16_t ids[10];

    attach(world);
    expect_none(world);
    for (uint32_t i = 0; i < 10; i++)
        publish(world, i, 1);
    for (uint32_t i = 0; i < 10; i++)
        ids[i] = expect(world, i, 1, false);
    assert_int_equal(wz_durable_queue_inflight(world->queue), 10);
    expect_none(world);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(ids[i], ids[0] + i);
        settle(world, ids[i]);
    }
    assert_int_equal(wz_durable_queue_inflight(world->queue), 0);
    assert_int_equal(testqueues_messages(&world->t), 0);
    detach(world);
    reopen(world);
    assert_int_equal(testqueues_messages(&world->t), 0);
    attach(world);
    expect_none(world);
    publish(world, 10, 1);
    assert_int_equal(expect(world, 10, 1, false), ids[9] + 1);
}

static void test_queue_takes_acks_in_any_order(void **state)
{
    static const uint32_t order[] = {7, 2, 3, 9, 0, 8, 5, 1};
    struct world *world = *state;
    uint16_t ids[10];

    for (uint32_t i = 0; i < 10; i++)
        publish(world, i, 1);
    attach(world);
    for (uint32_t i = 0; i < 10; i++)
        ids[i] = expect(world, i, 1, false);
    for (size_t i = 0; i < 8; i++)
        settle(world, ids[order[i]]);
    assert_int_equal(wz_durable_queue_inflight(world->queue), 2);
    assert_int_equal(testqueues_messages(&world->t), 2);
    detach(world);
    attach(world);
    assert_int_equal(expect(world, 4, 1, true), ids[4]);
    assert_int_equal(expect(world, 6, 1, true), ids[6]);
    expect_none(world);
    reopen(world);
    assert_int_equal(testqueues_messages(&world->t), 2);
    attach(world);
    assert_int_equal(expect(world, 4, 1, true), ids[4]);
    assert_int_equal(expect(world, 6, 1, true), ids[6]);
    expect_none(world);
}

static void test_queue_gives_again_what_was_not_settled_and_says_so(void **state)
{
    struct world *world = *state;
    uint16_t first;
    uint16_t second;

    for (uint32_t i = 0; i < 4; i++)
        publish(world, i, i < 2 ? 1 : 2);
    attach(world);
    first = expect(world, 0, 1, false);
    second = expect(world, 1, 1, false);
    settle(world, first);
    detach(world);
    assert_int_equal(wz_durable_queue_inflight(world->queue), 0);
    publish(world, 4, 1);
    attach(world);
    // An ack of before, for what was not given again yet, is nobody's.
    assert_int_equal(testconsumer_settle(&world->t, &world->consumer, second, WZ_SETTLED),
                     WZ_ERR_NOT_FOUND);
    assert_int_equal(expect(world, 1, 1, true), second);
    (void)expect(world, 2, 2, false);
    (void)expect(world, 3, 2, false);
    (void)expect(world, 4, 1, false);
    expect_none(world);
}

static void test_queue_remembers_that_the_client_has_a_message(void **state)
{
    struct world *world = *state;
    uint16_t ids[4];

    for (uint32_t i = 0; i < 4; i++)
        publish(world, i, 2);
    attach(world);
    for (uint32_t i = 0; i < 4; i++)
        ids[i] = expect(world, i, 2, false);
    assert_int_equal(release(world, ids[2]), WZ_OK);
    assert_int_equal(release(world, ids[2]), WZ_OK); // PUBREC may come twice
    assert_int_equal(release(world, ids[0]), WZ_OK);
    settle(world, ids[0]);
    assert_int_equal(testqueues_messages(&world->t), 3);
    for (int i = 0; i < 2; i++) {
        if (i == 0)
            detach(world);
        else
            reopen(world);
        attach(world);
        assert_int_equal(expect(world, 1, 2, true), ids[1]);
        assert_int_equal(expect_released(world), ids[2]);
        assert_int_equal(expect(world, 3, 2, true), ids[3]);
        expect_none(world);
    }
    settle(world, ids[2]);
    reopen(world);
    attach(world);
    assert_int_equal(expect(world, 1, 2, true), ids[1]);
    assert_int_equal(expect(world, 3, 2, true), ids[3]);
    expect_none(world);
}

static void test_queue_refuses_what_does_not_fit_the_message(void **state)
{
    struct world *world = *state;
    uint16_t one;
    uint16_t two;

    publish(world, 0, 1);
    publish(world, 1, 2);
    attach(world);
    one = expect(world, 0, 1, false);
    two = expect(world, 1, 2, false);
    assert_int_equal(release(world, one), WZ_ERR_PROTOCOL); // PUBREC for QoS 1
    assert_int_equal(testconsumer_settle(&world->t, &world->consumer, two, WZ_SETTLED),
                     WZ_ERR_PROTOCOL); // PUBACK or PUBCOMP for QoS 2 that was not released
    assert_int_equal(release(world, 0), WZ_ERR_NOT_FOUND);
    assert_int_equal(release(world, 999), WZ_ERR_NOT_FOUND);
    assert_int_equal(testqueues_messages(&world->t), 2);
    assert_int_equal(wz_durable_queue_inflight(world->queue), 2);
    settle(world, one);
    assert_int_equal(testconsumer_settle(&world->t, &world->consumer, one, WZ_SETTLED),
                     WZ_ERR_NOT_FOUND);
}

static void test_queue_gives_nothing_out_before_it_is_durable(void **state)
{
    struct world *world = *state;
    struct wz_queued queued;

    attach(world);
    testqueues_settle(&world->t);
    publish(world, 0, 1);
    assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
    assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
    (void)expect(world, 0, 1, false); // after it was told
}

static void test_queue_is_limited_by_count_and_by_bytes(void **state)
{
    struct world *world = *state;
    struct wz_durable_queue *other = testqueues_bound(&world->t, "other", "t/2", 1);

    world->t.queues->options.limits.max_count = 5;
    for (uint32_t i = 0; i < 8; i++)
        publish(world, i, 1);
    assert_int_equal(world->queue->count, 5);
    assert_false(wz_durable_queue_has_room(world->queue));
    testqueues_publish(&world->t, "t/2", 8, 1, 20); // others have theirs
    assert_int_equal(other->count, 1);
    attach(world);
    settle(world, expect(world, 0, 1, false));
    publish(world, 9, 1);
    for (uint32_t i = 1; i < 5; i++)
        settle(world, expect(world, i, 1, false));
    settle(world, expect(world, 9, 1, false));
    expect_none(world);
    world->t.queues->options.limits.max_bytes = 10000;
    for (uint32_t i = 0; i < 3; i++)
        testqueues_publish(&world->t, "t/1", i, 1, 6000); // what begins below it is taken
    assert_int_equal(world->queue->count, 2);
    settle(world, expect(world, 0, 1, false));
    assert_true(wz_durable_queue_has_room(world->queue));
    settle(world, expect(world, 1, 1, false));
    expect_none(world);
    assert_int_equal(world->queue->bytes, 0);
}

static void test_queue_counts_bodies_that_it_shares_as_its_own(void **state)
{
    struct world *world = *state;
    uint16_t id;

    (void)testqueues_bound(&world->t, "other", "t/#", 2);
    world->t.limits.max_bytes = 10000;
    for (int round = 0; round < 2; round++) {
        reopen(world);
        assert_int_equal(world->queue->count, 2 * round);
        for (uint32_t i = 0; i < 3; i++)
            testqueues_publish(&world->t, "t/1", i, 2, 6000);
        assert_int_equal(world->queue->count, 2);
        assert_in_range(world->queue->bytes, 12000, 12500);
    }
    attach(world);
    id = expect(world, 0, 2, true);
    assert_int_equal(release(world, id), WZ_OK); // the body is not needed any more
    assert_in_range(world->queue->bytes, 6000, 6500);
    settle(world, id);
    id = expect(world, 1, 2, true);
    assert_int_equal(release(world, id), WZ_OK);
    settle(world, id);
    assert_int_equal(world->queue->bytes, 0);
}

static void test_queue_fetches_what_came_while_nobody_was_there(void **state)
{
    enum { COUNT = 3000 };
    struct world *world = *state;

    for (uint32_t i = 0; i < COUNT; i++)
        publish(world, i, 1 + i % 2);
    attach(world);
    for (uint32_t i = 0; i < COUNT; i++)
        (void)expect(world, i, 1 + i % 2, false);
    expect_none(world);
    reopen(world);
    attach(world);
    for (uint32_t i = 0; i < COUNT; i++)
        (void)expect(world, i, 1 + i % 2, i < 1000); // as far as it is guessed
    expect_none(world);
}

static void test_queue_fetches_what_did_not_fit_into_memory(void **state)
{
    static const struct {
        uint32_t count;
        size_t len;
    } rows[] = {{3000, 5}, {40, 100000}, {1030, 300}, {3, 1000000}};
    struct world *world = *state;
    uint32_t number = 0;

    attach(world);
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        uint32_t first = number;
        uint32_t given = number;

        for (uint32_t i = 0; i < rows[row].count; i++) {
            testqueues_publish(&world->t, i % 2 == 0 ? "t/1" : "t/a/longer/one", number++, 1,
                               rows[row].len + i % 7);
            if (i % 16 == 0)
                testqueues_turn(&world->t);
            if (i % 8 == 0) // somebody takes some, but not as fast
                settle(world, expect(world, given++, 1, false));
        }
        while (given < number) {
            if (given == first + rows[row].count / 2) // more comes while it is fetched
                testqueues_publish(&world->t, "t/1", number++, 1, 50);
            settle(world, expect(world, given++, 1, false));
        }
        expect_none(world);
        assert_int_equal(testqueues_messages(&world->t), 0);
    }
}

static void test_queue_fetches_around_what_is_settled_or_released(void **state)
{
    enum { COUNT = 2000 };
    struct world *world = *state;
    uint16_t *ids = wz_alloc(COUNT * sizeof(*ids));
    uint64_t guess;

    for (uint32_t i = 0; i < COUNT; i++)
        publish(world, i, 2);
    attach(world);
    for (uint32_t i = 0; i < COUNT; i++)
        ids[i] = expect(world, i, 2, false);
    for (uint32_t i = 0; i < COUNT; i++) {
        if (i % 3 != 1 && !(i > 700 && i < 1500))
            assert_int_equal(release(world, ids[i]), WZ_OK);
        if (i % 3 == 0 && !(i > 700 && i < 1500))
            settle(world, ids[i]);
    }
    reopen(world);
    guess = world->queue->sent_end;
    attach(world);
    for (uint32_t i = 0; i < COUNT; i++) {
        if (i % 3 == 1 || (i > 700 && i < 1500))
            assert_int_equal(expect(world, i, 2, i < guess), ids[i]);
        else if (i % 3 == 2)
            assert_int_equal(expect_released(world), ids[i]);
    }
    expect_none(world);
    wz_free(ids);
}

static void test_queue_may_be_left_while_it_fetches(void **state)
{
    struct world *world = *state;
    struct wz_queued queued;

    for (uint32_t i = 0; i < 100; i++)
        testqueues_publish(&world->t, "t/1", i, 1, 5000);
    testqueues_settle(&world->t);
    for (int round = 0; round < 20; round++) {
        attach(world);
        assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
        assert_true(wz_fetcher_busy(world->queue->fetcher));
        for (int i = 0; i < round % 3; i++)
            testqueues_turn(&world->t);
        wz_durable_queue_trim(world->queue);
        detach(world);
    }
    attach(world);
    for (uint32_t i = 0; i < 100; i++)
        (void)expect(world, i, 1, false);
}

static void test_queue_frees_memory_that_is_not_in_use(void **state)
{
    struct world *world = *state;
    uint16_t id;

    attach(world);
    publish(world, 0, 1);
    id = expect(world, 0, 1, false);
    publish(world, 1, 1);
    wz_durable_queue_trim(world->queue);
    assert_non_null(world->queue->ready); // the second one waits in it
    settle(world, id);
    settle(world, expect(world, 1, 1, false));
    wz_durable_queue_trim(world->queue);
    assert_null(world->queue->ready);
    assert_null(world->queue->given);
    assert_null(world->queue->fetcher);
    assert_null(world->queue->entries.chunks);
    publish(world, 2, 1);
    settle(world, expect(world, 2, 1, false));
}

static void test_queue_tries_again_when_the_disk_does_not_answer(void **state)
{
    struct world *world = *state;
    struct wz_queued queued;

    for (uint32_t i = 0; i < 10; i++)
        publish(world, i, 1);
    testqueues_settle(&world->t);
    attach(world);
    fetch_result = WZ_ERR_IO;
    assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
    publish(world, 10, 1); // it waits for this one, too
    while (wz_fetcher_busy(world->queue->fetcher))
        testqueues_turn(&world->t);
    testqueues_settle(&world->t);
    assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
    while (wz_fetcher_busy(world->queue->fetcher))
        testqueues_turn(&world->t);
    fetch_result = WZ_OK;
    publish(world, 11, 1);
    for (uint32_t i = 0; i < 12; i++)
        (void)expect(world, i, 1, false);
    expect_none(world);
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
    struct world *world = *state;

    for (uint32_t i = 0; i < 10; i++) {
        testqueues_publish(&world->t, i == 4 ? "t/damage" : "t/1", i, 1, 20);
        testqueues_settle(&world->t); // a batch each
    }
    reopen(world);
    assert_int_equal(wz_fs_walk(world->t.dir, damage_name, &world->t), WZ_OK);
    attach(world);
    for (uint32_t i = 0; i < 10; i++) {
        if (i != 4)
            (void)expect(world, i, 1, true);
    }
    expect_none(world);
    assert_int_equal(testqueues_messages(&world->t), 9);
    assert_int_equal(wz_durable_queue_inflight(world->queue), 9);
}

static void test_queue_keeps_what_was_retained_apart(void **state)
{
    struct world *world = *state;

    for (int round = 0; round < 3; round++) {
        struct wz_message msg = {.topic = WZ_SLICE_LIT("t/1"),
                                 .body = WZ_SLICE_LIT("kept"),
                                 .qos = 1,
                                 .retain = round != 1};
        struct wz_queued queued;

        if (round == 0) // from memory, else from the disk
            attach(world);
        testqueues_begin(&world->t);
        assert_int_equal(wz_durable_queue_push(world->queue, &msg, 1), WZ_OK);
        testqueues_end(&world->t);
        if (round > 0)
            attach(world);
        assert_true(testconsumer_take(&world->t, &world->consumer, &queued));
        assert_int_equal(queued.retain, round != 1);
        assert_int_equal(queued.parcel->message.body.len, 4);
        settle(world, queued.packet_id);
        detach(world);
    }
}

static void test_queue_gives_at_the_lower_qos_and_directly_at_none(void **state)
{
    struct world *world = *state;
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

static int add_filter(struct world *world, const char *filter, unsigned qos)
{
    int r;

    testqueues_begin(&world->t);
    r = wz_durable_queue_bind(world->queue, wz_slice_str(filter), qos);
    testqueues_end(&world->t);
    return r;
}

static void drop_filter(struct world *world, const char *filter)
{
    testqueues_begin(&world->t);
    wz_durable_queue_unbind(world->queue, wz_slice_str(filter));
    testqueues_end(&world->t);
}

static void test_queue_bindings_outlast_what_they_are_made_in(void **state)
{
    struct world *world = *state;
    uint16_t id;

    world->t.limits.max_bindings = 4;
    reopen(world);
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
        attach(world);
        testqueues_publish(&world->t, "a", 1, 2, 10);
        testqueues_publish(&world->t, "b/x", 2, 2, 10);
        testqueues_publish(&world->t, "c", 3, 2, 10);
        testqueues_publish(&world->t, "d", 4, 2, 10);
        testqueues_publish(&world->t, "t/1", 5, 2, 10);
        assert_string_equal(wz_buf_str(&world->consumer.direct), "d=4 ");
        id = expect(world, 1, 2, false);
        assert_int_equal(release(world, id), WZ_OK);
        settle(world, id);
        settle(world, expect(world, 2, 1, false));
        expect_none(world);
        detach(world);
        reopen(world);
    }
}

static void test_queue_refuses_a_filter_that_is_too_deep(void **state)
{
    struct world *world = *state;
    char filter[1000];

    for (size_t i = 0; i < sizeof(filter) - 1; i++)
        filter[i] = i % 2 == 0 ? '+' : '/';
    filter[sizeof(filter) - 2] = '\0';
    filter[sizeof(filter) - 1] = '\0';
    assert_int_equal(add_filter(world, filter, 1), WZ_ERR_LIMIT);
    reopen(world); // it is not in the journal
    assert_int_equal(world->queue->bindings.count, 1);
}

// The crash comes at once: what was not durable is lost, and nothing else.
static void test_queue_is_after_a_crash_what_was_durable(void **state)
{
    struct world *world = *state;
    uint16_t ids[20];

    for (uint32_t i = 0; i < 20; i++)
        publish(world, i, 2);
    attach(world);
    for (uint32_t i = 0; i < 20; i++)
        ids[i] = expect(world, i, 2, false);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(release(world, ids[i]), WZ_OK);
    settle(world, ids[0]);
    settle(world, ids[4]);
    testqueues_settle(&world->t);
    publish(world, 20, 1); // lost, as these acks are
    settle(world, ids[1]);
    settle(world, ids[5]);
    assert_int_equal(release(world, ids[6]), WZ_OK);
    testqueues_crash(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
    assert_int_equal(testqueues_messages(&world->t), 18);
    attach(world);
    for (uint32_t i = 1; i < 20; i++) {
        if (i == 4)
            continue;
        assert_int_equal(i < 6 ? expect_released(world) : expect(world, i, 2, true), ids[i]);
    }
    expect_none(world);
}

static void test_queue_gives_no_identifier_twice_at_a_time(void **state)
{
    enum { COUNT = 150000, STUCK = 40000 }; // and these are never settled: 0, 7, STUCK
    struct world *world = *state;
    uint16_t first = 0;
    uint16_t seventh = 0;
    uint16_t stuck = 0;
    uint16_t last = 0;

    attach(world);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint16_t id;

        publish(world, i, 1);
        if (i % 512 != 511 && i + 1 < COUNT)
            continue;
        for (uint32_t n = i - i % 512; n <= i; n++) {
            id = expect(world, n, 1, false);
            if (n > 7 && (id == first || id == seventh || (n > STUCK && id == stuck)))
                fail_msg("message %u has %u, which is in use", n, id);
            first = n == 0 ? id : first;
            seventh = n == 7 ? id : seventh;
            stuck = n == STUCK ? id : stuck;
            last = id;
            if (n != 0 && n != 7 && n != STUCK && n + 1 < COUNT)
                settle(world, id);
        }
    }
    assert_int_equal(world->queue->count, 4);
    reopen(world);
    attach(world);
    assert_int_equal(expect(world, 0, 1, true), first);
    assert_int_equal(expect(world, 7, 1, true), seventh);
    assert_int_equal(expect(world, STUCK, 1, true), stuck);
    assert_int_equal(expect(world, COUNT - 1, 1, true), last);
    settle(world, first); // the first of the shifts are needed no more
    reopen(world);
    attach(world);
    assert_int_equal(expect(world, 7, 1, true), seventh);
    assert_int_equal(expect(world, STUCK, 1, true), stuck);
    assert_int_equal(expect(world, COUNT - 1, 1, true), last);
}

static void test_queue_has_an_identifier_durable_before_it_is_given(void **state)
{
    struct world *world = *state;
    struct wz_queued queued;
    uint16_t first;
    uint16_t id;

    attach(world);
    publish(world, 0, 1);
    first = expect(world, 0, 1, false);
    for (uint32_t i = 1; i < IDS; i++) {
        publish(world, i, 1);
        settle(world, expect(world, i, 1, false));
        if (i % 4096 == 0)
            testqueues_settle(&world->t);
    }
    testqueues_settle(&world->t);
    publish(world, IDS, 1); // would have the first one's
    testqueues_settle(&world->t);
    assert_int_equal(wz_durable_queue_next(world->queue, &queued), WZ_AGAIN);
    assert_int_equal(world->queue->shifts.count, 1); // but the disk does not have it yet
    id = expect(world, IDS, 1, false);
    assert_int_not_equal(id, first);
    assert_int_equal(world->queue->shifts.count, 1);
    testqueues_crash(&world->t); // with nothing but what was durable when it was given
    world->queue = testqueues_queue(&world->t, "q");
    attach(world);
    assert_int_equal(expect(world, 0, 1, true), first);
    assert_int_equal(expect(world, IDS, 1, true), id);
}

// A journal that is compacted all the time.
static void use_small_segments(struct world *world)
{
    testqueues_settle(&world->t);
    world->t.journal_options.segment_bytes = 64 * 1024;
    world->t.journal_options.compact_bytes = 128 * 1024;
    reopen(world);
}

// Messages from FIRST on, given and settled; none has an identifier of IDS, which end with 0.
static void pass(struct world *world, uint32_t first, uint32_t count, const uint16_t *ids)
{
    for (uint32_t n = first; n < first + count; n++) {
        uint16_t id;

        for (uint32_t i = n; (n - first) % 256 == 0 && i < n + 256 && i < first + count; i++)
            publish(world, i, 1);
        id = expect(world, n, 1, false);
        for (const uint16_t *in_use = ids; *in_use != 0; in_use++) {
            if (*in_use == id)
                fail_msg("message %u has %u, which is in use", n, id);
        }
        settle(world, id);
    }
}

static void test_queue_costs_no_more_behind_a_message_that_stays(void **state)
{
    enum { COUNT = 3 * IDS };
    struct world *world = *state;
    struct wz_journal_info info;
    uint16_t ids[2] = {0};

    use_small_segments(world);
    attach(world);
    publish(world, 0, 1);
    ids[0] = expect(world, 0, 1, false);
    pass(world, 1, COUNT, ids);
    testqueues_rest(&world->t);
    assert_int_equal(world->queue->head, 0);
    assert_int_equal(world->queue->tail, COUNT + 1);
    assert_in_range(world->queue->entries.count, 1, 2);
    assert_in_range(world->queue->entries.cap, 1, 64);
    assert_in_range(world->queue->shifts.count, 1, 2); // its identifier's turn came three times
    wz_journal_info(world->t.journal, &info);
    assert_in_range(info.live_bytes, 1, 1024);
    assert_in_range(info.size_bytes, 1, 256 * 1024); // of 20 MB that were put
    detach(world);
    attach(world);
    assert_int_equal(expect(world, 0, 1, true), ids[0]);
    expect_none(world);
    testqueues_crash(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
    attach(world);
    assert_int_equal(expect(world, 0, 1, true), ids[0]);
    expect_none(world);
    settle(world, ids[0]);
    assert_int_equal(world->queue->head, world->queue->tail);
}

// Compaction has left every record of those behind the first one behind, all settled: sequences
// begin again where the last one is that is known. There were COUNT. Returns the first one's
// identifier.
static uint16_t begin_again(struct world *world, uint32_t count)
{
    struct testconsumer other = {0};
    uint16_t ids[2] = {0};

    use_small_segments(world);
    attach(world);
    publish(world, 0, 1);
    ids[0] = expect(world, 0, 1, false);
    pass(world, 1, count, ids);
    detach(world);
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
    attach(world);
    assert_int_equal(expect(world, 0, 1, true), ids[0]);
    return ids[0];
}

// What was known of identifiers behind that is not true any more, where others are in use,
static void test_queue_gives_identifiers_anew_where_sequences_begin_again(void **state)
{
    struct world *world = *state;
    uint16_t ids[3] = {begin_again(world, 2 * IDS)};
    uint16_t last;

    pass(world, 1, 9, ids);
    publish(world, 10, 1);
    ids[1] = expect(world, 10, 1, false); // stays, too
    pass(world, 11, IDS + 100, ids);
    publish(world, 0, 1);
    last = expect(world, 0, 1, false);
    testqueues_settle(&world->t);
    testqueues_crash(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
    attach(world);
    assert_int_equal(expect(world, 0, 1, true), ids[0]);
    assert_int_equal(expect(world, 10, 1, true), ids[1]);
    assert_int_equal(expect(world, 0, 1, true), last);
}

// nor where none is.
static void test_queue_gives_the_same_identifier_after_sequences_have_begun_again(void **state)
{
    struct world *world = *state;
    const uint16_t none = 0;
    uint16_t last;

    settle(world, begin_again(world, IDS + 100));
    pass(world, 1, IDS + 100, &none);
    publish(world, 0, 1);
    last = expect(world, 0, 1, false);
    testqueues_settle(&world->t);
    testqueues_crash(&world->t);
    world->queue = testqueues_queue(&world->t, "q");
    attach(world);
    assert_int_equal(expect(world, 0, 1, true), last);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
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
        TEST(test_queue_gives_no_identifier_twice_at_a_time),
        TEST(test_queue_has_an_identifier_durable_before_it_is_given),
        TEST(test_queue_costs_no_more_behind_a_message_that_stays),
        TEST(test_queue_gives_identifiers_anew_where_sequences_begin_again),
        TEST(test_queue_gives_the_same_identifier_after_sequences_have_begun_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
