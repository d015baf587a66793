// SPDX-License-Identifier: Apache-2.0
// The set of durable queues over a real journal: what is declared, deleted and expired; a message
// for many of them; QoS 2 messages between journal and raw-stream; and what is refused.
#include "broker/queues.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/queues_inside.h"
#include "broker/testqueues_test.h"
#include "stream/reader.h"
#include "wire/mqtt.h"

static int set_up(void **state)
{
    struct testqueues *t = wz_zalloc(1, sizeof(*t));

    *state = t;
    testqueues_init(t);
    t->has_raw = true;
    testqueues_open(t);
    return 0;
}

static int tear_down(void **state)
{
    struct testqueues *t = *state;

    testqueues_close(t);
    testqueues_release(t);
    wz_free(t);
    return 0;
}

static int declare(struct testqueues *t, struct wz_slice name)
{
    struct wz_durable_queue *queue;
    int r;

    testqueues_begin(t);
    r = wz_queues_declare(t->queues, name, &queue);
    testqueues_end(t);
    return r;
}

static void delete_queue(struct testqueues *t, const char *name)
{
    testqueues_begin(t);
    wz_queues_delete(wz_queues_find(t->queues, wz_slice_str(name)));
    testqueues_end(t);
}

static struct wz_durable_queue *find(struct testqueues *t, const char *name)
{
    return wz_queues_find(t->queues, wz_slice_str(name));
}

static int64_t live_bytes(struct testqueues *t)
{
    struct wz_journal_info info;

    wz_journal_info(t->journal, &info);
    return info.live_bytes;
}

static void test_queues_are_found_by_their_names(void **state)
{
    struct testqueues *t = *state;
    char longest[65535];

    memset(longest, 'x', sizeof(longest));
    assert_null(find(t, "a"));
    for (int round = 0; round < 2; round++) {
        if (round == 0) {
            assert_int_equal(declare(t, WZ_SLICE_LIT("a")), WZ_OK);
            assert_int_equal(declare(t, WZ_SLICE_LIT("a b/\xc3\xa4")), WZ_OK);
            assert_int_equal(declare(t, wz_slice(longest, sizeof(longest))), WZ_OK);
        } else {
            testqueues_settle(t);
            testqueues_crash(t);
        }
        assert_int_equal(wz_queues_count(t->queues), 3);
        assert_true(wz_slice_eq(find(t, "a")->name, WZ_SLICE_LIT("a")));
        assert_non_null(find(t, "a b/\xc3\xa4"));
        assert_non_null(wz_queues_find(t->queues, wz_slice(longest, sizeof(longest))));
        assert_null(wz_queues_find(t->queues, wz_slice(longest, sizeof(longest) - 1)));
    }
}

static void test_queues_are_limited(void **state)
{
    struct testqueues *t = *state;

    t->limits.max_queues = 2;
    testqueues_reopen(t);
    assert_int_equal(declare(t, WZ_SLICE_LIT("a")), WZ_OK);
    assert_int_equal(declare(t, WZ_SLICE_LIT("b")), WZ_OK);
    assert_int_equal(declare(t, WZ_SLICE_LIT("c")), WZ_ERR_LIMIT);
    delete_queue(t, "a");
    assert_int_equal(declare(t, WZ_SLICE_LIT("c")), WZ_OK);
    t->limits.max_queues = 1; // what is there stays
    testqueues_settle(t);
    testqueues_reopen(t);
    assert_int_equal(wz_queues_count(t->queues), 2);
    assert_int_equal(declare(t, WZ_SLICE_LIT("d")), WZ_ERR_LIMIT);
}

static void test_queues_that_are_deleted_leave_nothing(void **state)
{
    struct testqueues *t = *state;
    int64_t before;

    testqueues_settle(t);
    before = live_bytes(t);
    for (int round = 0; round < 2; round++) {
        struct testconsumer consumer = {0};
        struct wz_durable_queue *queue = testqueues_bound(t, "q", "t", 2);
        uint16_t id;

        testconsumer_attach(&consumer, queue);
        for (uint32_t i = 0; i < 10; i++)
            testqueues_publish(t, "t", i, 2, 100);
        id = testconsumer_expect(t, &consumer, 0, 2, false);
        assert_int_equal(testconsumer_settle(t, &consumer, id, WZ_RELEASED), WZ_OK);
        assert_int_equal(testconsumer_settle(t, &consumer, id, WZ_SETTLED), WZ_OK);
        testqueues_begin(t);
        wz_queues_received(queue, 5, -1);
        testqueues_end(t);
        testqueues_settle(t);
        testconsumer_detach(&consumer, 1);
        delete_queue(t, "q");
        testqueues_publish(t, "t", 11, 2, 100); // goes nowhere
        assert_int_equal(wz_queues_count(t->queues), 0);
        assert_int_equal(testqueues_messages(t), 0);
        testqueues_settle(t);
        if (round == 1)
            testqueues_crash(t);
        assert_null(find(t, "q"));
    }
    // Nothing but the mark on raw-stream, which was put when a message came in.
    assert_in_range(live_bytes(t), before, before + 40);
}

static void test_queues_of_one_name_have_nothing_in_common(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};
    uint8_t id[8];

    memcpy(id, testqueues_bound(t, "q", "t", 1)->id, sizeof(id));
    testqueues_publish(t, "t", 1, 1, 100);
    delete_queue(t, "q");
    for (int round = 0; round < 2; round++) {
        struct wz_durable_queue *queue = testqueues_queue(t, "q");

        assert_memory_not_equal(queue->id, id, sizeof(id));
        assert_int_equal(queue->bindings.count, 0);
        testconsumer_attach(&consumer, queue);
        testconsumer_expect_none(t, &consumer);
        testconsumer_detach(&consumer, 1);
        testqueues_settle(t);
        testqueues_crash(t);
    }
}

static void test_queues_share_the_body_of_a_message_for_many(void **state)
{
    enum { COUNT = 50, LEN = 100000 };
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};
    int64_t before;

    for (int i = 0; i < COUNT; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "q%d", i);
        (void)testqueues_bound(t, name, i % 2 == 0 ? "t" : "+", 1 + (unsigned)i % 2);
    }
    testqueues_settle(t);
    before = live_bytes(t);
    testqueues_publish(t, "t", 1, 2, LEN);
    testqueues_publish(t, "t", 2, 1, LEN);
    assert_in_range(live_bytes(t) - before, 2 * LEN, 2 * LEN + 2 * COUNT * 100);
    assert_int_equal(t->queues->shared.count, 2);
    assert_int_equal(testqueues_messages(t), 2 * COUNT);
    testqueues_settle(t);
    testqueues_crash(t);
    assert_int_equal(t->queues->shared.count, 2);
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        unsigned qos = 1 + (unsigned)i % 2;
        uint16_t id;

        (void)snprintf(name, sizeof(name), "q%d", i);
        testconsumer_attach(&consumer, find(t, name));
        id = testconsumer_expect(t, &consumer, 1, qos, true);
        if (qos == 2)
            assert_int_equal(testconsumer_settle(t, &consumer, id, WZ_RELEASED), WZ_OK);
        assert_int_equal(t->queues->shared.count, i + 1 < COUNT ? 2 : 1); // it needs no body now
        assert_int_equal(testconsumer_settle(t, &consumer, id, WZ_SETTLED), WZ_OK);
        (void)testconsumer_expect(t, &consumer, 2, 1, true);
        testconsumer_detach(&consumer, 1);
        if (i % 3 == 0)
            delete_queue(t, name); // with what it has not settled
    }
    testqueues_settle(t);
    assert_in_range(live_bytes(t), LEN, LEN + COUNT * 200);
    testqueues_crash(t);
    assert_int_equal(t->queues->shared.count, 1);
    assert_int_equal(testqueues_messages(t), COUNT - (COUNT + 2) / 3);
}

static void test_queues_forget_shared_bodies_that_nobody_needs(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumers[2] = {0};

    testconsumer_attach(&consumers[0], testqueues_bound(t, "a", "t", 1));
    testconsumer_attach(&consumers[1], testqueues_bound(t, "b", "t", 1));
    for (uint32_t i = 0; i < 500; i++) {
        testqueues_publish(t, "t", i, 1, 50);
        for (int k = 0; k < 2; k++)
            assert_int_equal(testconsumer_settle(t, &consumers[k],
                                                 testconsumer_expect(t, &consumers[k], i, 1, false),
                                                 WZ_SETTLED),
                             WZ_OK);
    }
    assert_int_equal(t->queues->shared.count, 0);
    testconsumer_detach(&consumers[0], 1);
    testconsumer_detach(&consumers[1], 1);
    testqueues_settle(t);
    testqueues_crash(t); // all of them are in the journal still
    assert_int_equal(t->queues->shared.count, 0);
    assert_int_equal(testqueues_messages(t), 0);
}

static void test_queues_that_are_full_refuse_for_themselves(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};

    t->limits.max_count = 2;
    testqueues_reopen(t);
    (void)testqueues_bound(t, "full", "#", 1);
    (void)testqueues_bound(t, "other", "t", 1);
    testqueues_publish(t, "u", 1, 1, 10);
    testqueues_publish(t, "u", 2, 1, 10);
    testqueues_publish(t, "u", 3, 1, 10);
    testqueues_publish(t, "t", 4, 1, 10);
    testqueues_publish(t, "t", 5, 1, 10);
    testqueues_publish(t, "t", 6, 1, 10); // both refuse
    assert_int_equal(testqueues_messages(t), 4);
    assert_int_equal(t->queues->shared.count, 2);
    testconsumer_attach(&consumer, find(t, "other"));
    (void)testconsumer_expect(t, &consumer, 4, 1, false);
    (void)testconsumer_expect(t, &consumer, 5, 1, false);
    testconsumer_expect_none(t, &consumer);
    testconsumer_detach(&consumer, 1);
}

static void settle_and_crash(struct testqueues *t)
{
    testqueues_settle(t);
    testqueues_crash(t);
}

static void test_queues_expire_when_nobody_has_used_them_for_long(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};
    struct testconsumer left = {0};
    int64_t now_ms;

    t->limits.expiry_ms = 10000000;
    testqueues_reopen(t);
    now_ms = t->loop.now_ms;
    testconsumer_attach(&consumer, testqueues_queue(t, "used"));
    testconsumer_attach(&left, testqueues_bound(t, "left", "t", 1));
    testconsumer_detach(&left, now_ms - 5000000);
    (void)testqueues_queue(t, "never"); // declared, never used
    testqueues_publish(t, "t", 1, 1, 10);
    wz_queues_expire(t->queues, now_ms + 4900000, now_ms + 4900000);
    assert_int_equal(wz_queues_count(t->queues), 3);
    wz_queues_expire(t->queues, now_ms + 5100000, now_ms + 5100000);
    assert_null(find(t, "left"));
    assert_int_equal(testqueues_messages(t), 0);
    wz_queues_expire(t->queues, now_ms + 11000000, now_ms + 11000000);
    assert_null(find(t, "never"));
    assert_int_equal(wz_queues_count(t->queues), 1);
    settle_and_crash(t); // who was there has left now
    consumer = (struct testconsumer){0};
    now_ms = t->loop.now_ms;
    assert_int_equal(wz_queues_count(t->queues), 1);
    wz_queues_expire(t->queues, now_ms + 9900000, now_ms + 9900000);
    assert_non_null(find(t, "used"));
    wz_queues_expire(t->queues, now_ms + 10100000, now_ms + 10100000);
    assert_int_equal(wz_queues_count(t->queues), 0);
}

static void test_queues_do_not_expire_because_the_clock_is_set(void **state)
{
    struct testqueues *t = *state;
    int64_t now_ms;

    t->limits.expiry_ms = 1000000;
    testqueues_reopen(t);
    now_ms = t->loop.now_ms;
    (void)testqueues_queue(t, "q");
    wz_queues_expire(t->queues, now_ms + 1, 1);
    wz_queues_expire(t->queues, now_ms + INT64_C(1000000000000), 1001); // 30 years in a second
    assert_int_equal(wz_queues_count(t->queues), 1);
    wz_queues_expire(t->queues, now_ms - INT64_C(1000000000000), 2001); // and back
    assert_int_equal(wz_queues_count(t->queues), 1);
    wz_queues_expire(t->queues, now_ms - INT64_C(1000000000000) + 999000, 1001001); // time goes on
    assert_int_equal(wz_queues_count(t->queues), 0);
}

// It is in the journal, too, that they were left at other times of the clock.
static void test_queues_were_left_as_long_ago_after_the_clock_was_set(void **state)
{
    struct testqueues *t = *state;
    int64_t now_ms;

    t->limits.expiry_ms = 10000000;
    testqueues_reopen(t);
    now_ms = t->loop.now_ms;
    (void)testqueues_queue(t, "q");
    (void)testqueues_queue(t, "r");
    wz_queues_expire(t->queues, now_ms + 1, 1);
    wz_queues_expire(t->queues, now_ms - 1000000, 1001); // back
    settle_and_crash(t);
    wz_queues_expire(t->queues, now_ms + 8990000, 1);
    assert_int_equal(wz_queues_count(t->queues), 2);
    wz_queues_expire(t->queues, now_ms + 9010000, 20001);
    assert_int_equal(wz_queues_count(t->queues), 0);
}

// One of thousands, at once.
static void test_queues_expire_as_soon_as_their_time_has_come(void **state)
{
    enum { COUNT = 3000, DUE = 2000 };
    struct testqueues *t = *state;
    int64_t now_ms;

    t->limits.max_queues = COUNT;
    t->limits.expiry_ms = 10000;
    testqueues_reopen(t);
    now_ms = t->loop.now_ms;
    for (int i = 0; i < 2 * COUNT; i++) {
        struct testconsumer consumer = {0};
        char name[16];

        (void)snprintf(name, sizeof(name), "%d", i % COUNT);
        if (i < COUNT) {
            (void)testqueues_queue(t, name);
        } else if (i != COUNT + DUE) {
            testconsumer_attach(&consumer, find(t, name));
            testconsumer_detach(&consumer, now_ms + 8000);
        }
    }
    wz_queues_expire(t->queues, now_ms + 15000, 1);
    assert_null(find(t, "2000"));
    assert_int_equal(wz_queues_count(t->queues), COUNT - 1);
}

static void test_queues_expire_in_their_order_after_a_start(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer first = {0};
    struct testconsumer second = {0};
    int64_t now_ms;

    t->limits.expiry_ms = 10000000;
    testqueues_reopen(t);
    now_ms = t->loop.now_ms;
    testconsumer_attach(&first, testqueues_queue(t, "first")); // made first, left last
    testconsumer_attach(&second, testqueues_queue(t, "second"));
    testconsumer_detach(&second, now_ms - 2000000);
    testconsumer_detach(&first, now_ms - 1000000);
    settle_and_crash(t);
    wz_queues_expire(t->queues, now_ms + 8500000, 1);
    assert_null(find(t, "second"));
    assert_non_null(find(t, "first"));
    wz_queues_expire(t->queues, now_ms + 9500000, 1000001);
    assert_null(find(t, "first"));
}

#define S(text) WZ_SLICE_LIT(text)
#define ID "\0\0\0\0\0\0\0\1"

static void put(struct testqueues *t, char letter, struct wz_slice key, struct wz_slice value)
{
    struct wz_journal_place place = WZ_JOURNAL_NOWHERE;

    testqueues_begin(t);
    wz_journal_put(t->journal, letter, key, &value, 1, &place);
    testqueues_end(t);
}

// Whatever the clock was set to while nobody watched it.
static void test_queues_neither_expire_at_a_start_nor_stay_for_ever(void **state)
{
    const struct {
        struct wz_slice value;
        int64_t expiry_ms;
        int64_t left_ms; // from the start on
    } rows[] = {
        {S("\1\0\0\0\0\0\0\0\1q"), 10000000, 900000},           // 1970
        {S("\1\0\0\0\0\0\0\0\1q"), 500000, 500000},             // the same, at the most
        {S("\1\x7f\0\0\0\0\0\0\1q"), 10000000, 10000000},       // not in our time
        {S("\1\xff\xff\xff\xff\xff\xff\xff\xffq"), 1000, 1000}, // before 1970
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct testqueues t;
        int64_t now_ms;

        testqueues_init(&t);
        t.limits.expiry_ms = rows[i].expiry_ms;
        testqueues_open(&t);
        put(&t, 'Q', S(ID), rows[i].value);
        testqueues_settle(&t);
        testqueues_crash(&t);
        now_ms = t.loop.now_ms + rows[i].left_ms;
        wz_queues_expire(t.queues, now_ms, 1);
        if (wz_queues_count(t.queues) != 1)
            fail_msg("row %zu: it expires too early", i);
        wz_queues_expire(t.queues, now_ms + 1000, 1001);
        if (wz_queues_count(t.queues) != 0)
            fail_msg("row %zu: it stays", i);
        testqueues_close(&t);
        testqueues_release(&t);
    }
}

static void test_queues_never_expire_without_an_expiry(void **state)
{
    struct testqueues *t = *state;

    (void)testqueues_queue(t, "q");
    wz_queues_expire(t->queues, INT64_MAX, INT64_MAX);
    assert_int_equal(wz_queues_count(t->queues), 1);
}

static void test_queues_expire_all_of_many(void **state)
{
    struct testqueues *t = *state;

    wz_log_set_level(WZ_LOG_WARN);
    t->limits.max_queues = 5000;
    t->limits.expiry_ms = 10;
    testqueues_reopen(t);
    for (int i = 0; i < 2500; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(declare(t, wz_slice_str(name)), WZ_OK);
    }
    for (int i = 0; i < 3; i++)
        wz_queues_expire(t->queues, t->loop.now_ms + 1000000, t->loop.now_ms + 1000000);
    assert_int_equal(wz_queues_count(t->queues), 0);
    wz_log_set_level(WZ_LOG_INFO);
}

// QoS 2 messages that come in.

// Puts a record on raw-stream as the router does for CLIENT's message; no header without packet.
static int64_t record(struct testqueues *t, const char *client, const char *packet)
{
    uint8_t headers[128];
    struct wz_pen pen = wz_pen(headers, sizeof(headers));
    struct wz_record_parts parts = {
        .key = WZ_SLICE_LIT("topic"), .value = {WZ_SLICE_LIT("{}")}, .value_count = 1};
    int64_t offset;

    wz_record_header_put(&pen, WZ_SLICE_LIT("client"), wz_slice_str(client));
    parts.header_count = 1;
    if (packet != NULL) {
        wz_record_header_put(&pen, WZ_SLICE_LIT("packet"), wz_slice_str(packet));
        parts.header_count++;
    }
    parts.headers[0] = wz_slice(headers, (size_t)(pen.pos - headers));
    parts.header_pieces = 1;
    assert_int_equal(wz_log_append(t->raw, &parts, &offset), WZ_OK);
    return offset;
}

static void receive(struct testqueues *t, const char *name, uint16_t packet_id, int64_t offset)
{
    testqueues_begin(t);
    wz_queues_received(find(t, name), packet_id, offset);
    testqueues_end(t);
}

// What is known of a message: "", "there", "unrecorded" or "unqueued".
static const char *known(struct testqueues *t, const char *name, uint16_t packet_id)
{
    const struct wz_received_message *message =
        wz_received_get(&find(t, name)->received, packet_id);

    if (message == NULL)
        return "";
    assert_false(message->unrecorded && message->unqueued);
    return message->unrecorded ? "unrecorded" : message->unqueued ? "unqueued" : "there";
}

// The journal gets to the disk, and what was recorded meanwhile does not.
static void settle_journal_and_crash(struct testqueues *t)
{
    struct wz_log *log = wz_journal_log(t->journal);

    do
        testqueues_turn(t);
    while (t->queues->marks || wz_log_durable_end(log) < wz_log_next_offset(log));
    testqueues_crash(t);
}

static void test_queues_know_a_qos_2_message_until_it_is_released(void **state)
{
    struct testqueues *t = *state;
    struct wz_ticket ticket;

    (void)testqueues_queue(t, "q");
    receive(t, "q", 1, record(t, "q", "1"));
    receive(t, "q", 65535, record(t, "q", "65535"));
    receive(t, "q", 2, -1); // without a record
    receive(t, "q", 3, record(t, "q", "3"));
    for (int round = 0; round < 3; round++) {
        assert_string_equal(known(t, "q", 1), "there");
        assert_string_equal(known(t, "q", 65535), "there");
        assert_string_equal(known(t, "q", 2), "there");
        assert_string_equal(known(t, "q", 4), "");
        testqueues_begin(t);
        wz_queues_forget_received(find(t, "q"), 3);
        wz_queues_forget_received(find(t, "q"), 3); // PUBREL may come twice
        testqueues_end(t);
        assert_string_equal(known(t, "q", 3), "");
        wz_queues_received_ticket(t->queues, wz_received_get(&find(t, "q")->received, 1), &ticket);
        assert_ptr_equal(ticket.stream, t->raw);
        assert_ptr_equal(ticket.journal, wz_journal_log(t->journal));
        testqueues_settle(t);
        assert_true(wz_ticket_safe(&ticket));
        if (round == 0)
            testqueues_reopen(t);
        else
            testqueues_crash(t);
    }
    wz_queues_received_ticket(t->queues, wz_received_get(&find(t, "q")->received, 2), &ticket);
    assert_null(ticket.stream);
}

static void test_queues_see_which_records_a_crash_has_lost(void **state)
{
    struct testqueues *t = *state;

    (void)testqueues_queue(t, "q");
    receive(t, "q", 1, record(t, "q", "1"));
    testqueues_settle(t);
    receive(t, "q", 2, record(t, "q", "2"));
    settle_journal_and_crash(t);
    assert_string_equal(known(t, "q", 1), "there");
    assert_string_equal(known(t, "q", 2), "unrecorded");
    receive(t, "q", 2, record(t, "q", "2")); // it has come again
    settle_and_crash(t);
    assert_string_equal(known(t, "q", 2), "there");
}

static void test_queues_see_which_places_a_crash_has_lost(void **state)
{
    struct testqueues *t = *state;
    int64_t offset;

    (void)testqueues_queue(t, "q");
    (void)testqueues_queue(t, "r");
    receive(t, "r", 9, record(t, "r", "9"));
    testqueues_settle(t);
    offset = record(t, "q", "7"); // what belongs to it in the journal does not get to the disk
    (void)record(t, "q", NULL);   // was no QoS 2 message
    (void)record(t, "gone", "3"); // is no client of ours any more
    (void)record(t, "r", "65536");
    (void)record(t, "r", "x");
    settle_and_crash(t);
    assert_string_equal(known(t, "q", 7), "unqueued");
    assert_int_equal(wz_received_get(&find(t, "q")->received, 7)->offset, offset);
    assert_int_equal(find(t, "q")->received.count, 1);
    assert_int_equal(find(t, "r")->received.count, 1);
    assert_string_equal(known(t, "r", 9), "there");
    receive(t, "q", 7, offset); // it has come again
    settle_and_crash(t);
    assert_string_equal(known(t, "q", 7), "there");
}

static void test_queues_do_not_take_what_is_released_for_lost(void **state)
{
    struct testqueues *t = *state;

    (void)testqueues_queue(t, "q");
    receive(t, "q", 1, record(t, "q", "1"));
    testqueues_begin(t);
    wz_queues_forget_received(find(t, "q"), 1);
    testqueues_end(t);
    settle_and_crash(t);
    assert_string_equal(known(t, "q", 1), "");
    testqueues_reopen(t);
    assert_string_equal(known(t, "q", 1), "");
}

static void test_queues_still_see_at_the_second_opening_what_a_crash_has_lost(void **state)
{
    struct testqueues *t = *state;

    (void)testqueues_queue(t, "q");
    (void)testqueues_queue(t, "r");
    testqueues_settle(t);
    receive(t, "q", 2, record(t, "q", "2"));
    settle_journal_and_crash(t);
    assert_string_equal(known(t, "q", 2), "unrecorded");
    testqueues_turn(t); // offsets go on behind a gap, so a mark is put
    testqueues_settle(t);
    (void)record(t, "q", "7");
    settle_and_crash(t);
    assert_string_equal(known(t, "q", 7), "unqueued");
    for (int round = 0; round < 3; round++) { // Q has not come back, others are there
        assert_string_equal(known(t, "q", 2), "unrecorded");
        assert_string_equal(known(t, "q", 7), "unqueued");
        receive(t, "r", 1, record(t, "r", "1"));
        testqueues_settle(t);
        if (round == 0)
            testqueues_reopen(t);
        else
            testqueues_crash(t);
    }
}

// What is refused or dropped at opening.

static void test_queues_refuse_a_journal_that_they_cannot_read(void **state)
{
    const struct {
        char letter;
        struct wz_slice key;
        struct wz_slice value;
        int result;
    } rows[] = {
        {'Q', S("\0\0\0\0\0\0\1"), S("\1\0\0\0\0\0\0\0\0q"), WZ_ERR_CORRUPT},
        {'Q', S(ID), S("\1\0\0\0\0\0\0\0\0"), WZ_ERR_CORRUPT}, // no name
        {'Q', S(ID), S("\1\0\0\0\0\0\0\0"), WZ_ERR_CORRUPT},
        {'Q', S(ID), S("\2\0\0\0\0\0\0\0\0q"), WZ_ERR_UNSUPPORTED},
        {'B', S("\0\0\0\0\0\0\1"), S("\1"), WZ_ERR_CORRUPT},
        {'B', S(ID), S("\1"), WZ_ERR_CORRUPT}, // no filter
        {'B', S(ID "a#"), S("\1"), WZ_ERR_CORRUPT},
        {'B', S(ID "a"), S("\3"), WZ_ERR_CORRUPT},
        {'B', S(ID "a"), S("\1\2"), WZ_ERR_CORRUPT},
        {'B', S(ID "a"), S("\1\1+"), WZ_ERR_CORRUPT}, // no topic
        {'E', S(ID), S("\1\0\0\1tx"), WZ_ERR_CORRUPT},
        {'E', S(ID "\0\0\0\0\0\0\0\0\0"), S("\1\0\0\1tx"), WZ_ERR_CORRUPT},
        {'E', S(ID "\0\0\0\0\0\0\0\0"), S("\0\0\0\1tx"), WZ_ERR_CORRUPT},
        {'E', S(ID "\0\0\0\0\0\0\0\0"), S("\3\0\0\1tx"), WZ_ERR_CORRUPT},
        {'E', S(ID "\0\0\0\0\0\0\0\0"), S("\1\0\0\5tx"), WZ_ERR_CORRUPT},
        {'E', S(ID "\0\0\0\0\0\0\0\0"), S("\1\2\0\0\0\0\0\0\0"), WZ_ERR_CORRUPT},
        {'E', S(ID "\0\0\0\0\0\0\0\0"), S("\xff\0"), WZ_ERR_CORRUPT},
        {'E', S(ID "\0\0\0\0\0\0\0\0"), S("\1\4\0\1tx"), WZ_ERR_CORRUPT}, // another flag
        {'E', S(ID "\0\0\0\0\0\0\0\0"), S("\1\0\0\1+x"), WZ_ERR_CORRUPT}, // no topic
        {'E', S(ID "\xff\xff\xff\xff\xff\xff\xff\xff"), S("\1\0\0\1tx"), WZ_ERR_CORRUPT},
        {'H', S("\0\0\0\0\0\0\1"), S("\0\0\0\0\0\0\0\0"), WZ_ERR_CORRUPT},
        {'H', S(ID), S("\0\0\0\0\0\0\0"), WZ_ERR_CORRUPT},
        {'H', S(ID), S("\0\0\0\0\0\0\0\0\0"), WZ_ERR_CORRUPT},
        {'N', S(ID), S("\0"), WZ_ERR_CORRUPT},
        {'N', S("\0"), S("\0\0\0\0\0\0\0\0\0\1"), WZ_ERR_CORRUPT},
        {'I', S(ID), S("\0\0\0\0\0\0\0\0\0"), WZ_ERR_CORRUPT},
        {'I', S(ID "\0\0"), S("\0\0\0\0\0\0\0\0\0"), WZ_ERR_CORRUPT},
        {'I', S(ID "\0\1"), S("\0\0\0\0\0\0\0\0"), WZ_ERR_CORRUPT},
        {'I', S(ID "\0\1"), S("\0\0\0\0\0\0\0\0\3"), WZ_ERR_CORRUPT},
        {'M', S("\0\0\0\0\0\0\1"), S("\0\1tx"), WZ_ERR_CORRUPT},
        {'M', S("\0\0\0\0\0\0\0\1\1"), S("\0\1tx"), WZ_ERR_CORRUPT},
        {'M', S(ID), S("\0\3tx"), WZ_ERR_CORRUPT}, // shorter than its topic
        {'P', S(""), S("\0"), WZ_ERR_CORRUPT},
        {'Z', S(ID), S("\0"), WZ_ERR_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct testqueues t;
        int r;

        testqueues_init(&t);
        testqueues_open(&t);
        put(&t, rows[i].letter, rows[i].key, rows[i].value);
        testqueues_settle(&t);
        testqueues_close(&t);
        r = testqueues_load(&t);
        if (r != rows[i].result)
            fail_msg("row %zu: %d", i, r);
        assert_int_not_equal(t.problem.code, 0);
        testqueues_close(&t);
        testqueues_release(&t);
    }
}

static void test_queues_drop_what_belongs_to_none(void **state)
{
    struct testqueues *t = *state;

    (void)testqueues_queue(t, "q"); // has number 1
    put(t, 'B', S("\0\0\0\0\0\0\0\2t"), S("\1"));
    put(t, 'E', S("\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0"), S("\1\0\0\1tx"));
    put(t, 'E', S("\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\1"), S("\1\2\0\0\0\0\0\0\0\7"));
    put(t, 'H', S("\0\0\0\0\0\0\0\2"), S("\0\0\0\0\0\0\0\0"));
    put(t, 'I', S("\0\0\0\0\0\0\0\2\0\1"), S("\0\0\0\0\0\0\0\0\0"));
    put(t, 'M', S("\0\0\0\0\0\0\0\7"), S("\0\1tx"));
    settle_and_crash(t);
    assert_int_equal(wz_queues_count(t->queues), 1);
    assert_int_equal(testqueues_messages(t), 0);
    assert_int_equal(t->queues->shared.count, 0);
    testqueues_publish(t, "t", 1, 1, 10);                 // is bound to nothing
    assert_int_equal(testqueues_queue(t, "r")->id[7], 3); // the number is not given again
}

static void test_queues_lose_no_more_than_the_message_whose_body_is_gone(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};

    (void)testqueues_bound(t, "q", "t", 1);
    (void)testqueues_bound(t, "r", "t", 1);
    testqueues_publish(t, "t", 1, 1, 10);
    put(t, 'E', S(ID "\0\0\0\0\0\0\0\1"), S("\1\2\0\0\0\0\0\0\0\x63")); // 99 is nowhere
    settle_and_crash(t);
    testqueues_publish(t, "t", 3, 1, 10);
    testconsumer_attach(&consumer, find(t, "q"));
    (void)testconsumer_expect(t, &consumer, 1, 1, true);
    (void)testconsumer_expect(t, &consumer, 3, 1, false);
    testconsumer_expect_none(t, &consumer);
    testconsumer_detach(&consumer, 1);
    settle_and_crash(t);
    assert_int_equal(find(t, "q")->count, 2);
    assert_int_equal(t->queues->shared.count, 2);
}

// As a compaction leaves it whose segment has not gone yet: the body has one keeper, which comes
// again.
static void test_queues_keep_a_shared_body_whose_message_is_read_twice(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};
    struct wz_queued queued;

    (void)testqueues_queue(t, "q");
    put(t, 'M', S("\0\0\0\0\0\0\0\7"), S("\0\1tbody"));
    put(t, 'E', S(ID "\0\0\0\0\0\0\0\0"), S("\1\2\0\0\0\0\0\0\0\7"));
    put(t, 'E', S(ID "\0\0\0\0\0\0\0\0"), S("\1\2\0\0\0\0\0\0\0\7"));
    settle_and_crash(t);
    assert_int_equal(t->queues->shared.count, 1);
    testconsumer_attach(&consumer, find(t, "q"));
    assert_true(testconsumer_take(t, &consumer, &queued));
    assert_true(wz_slice_eq(queued.parcel->message.body, S("body")));
    assert_int_equal(testconsumer_settle(t, &consumer, queued.packet_id, WZ_SETTLED), WZ_OK);
    assert_int_equal(t->queues->shared.count, 0);
    testconsumer_detach(&consumer, 1);
}

// When the removal of the first was damaged, both come back.
static void test_queues_bear_two_of_one_name(void **state)
{
    struct testqueues *t = *state;
    struct testconsumer consumer = {0};

    put(t, 'Q', S(ID), S("\1\0\0\0\0\0\0\0\1q"));
    put(t, 'B', S(ID "t"), S("\1"));
    put(t, 'Q', S("\0\0\0\0\0\0\0\2"), S("\1\0\0\0\0\0\0\0\1q"));
    put(t, 'B', S("\0\0\0\0\0\0\0\2t"), S("\1"));
    t->limits.expiry_ms = 1000;
    settle_and_crash(t);
    assert_int_equal(find(t, "q")->id[7], 2);
    testconsumer_attach(&consumer, find(t, "q"));
    testqueues_publish(t, "t", 1, 1, 10);
    (void)testconsumer_expect(t, &consumer, 1, 1, false);
    testconsumer_expect_none(t, &consumer);
    wz_queues_expire(t->queues, t->loop.now_ms + 100000, t->loop.now_ms + 100000); // the other one
    assert_int_equal(find(t, "q")->id[7], 2);
    assert_int_equal(testqueues_messages(t), 1);
    testconsumer_detach(&consumer, 1);
    delete_queue(t, "q");
    assert_null(find(t, "q"));
    assert_int_equal(testqueues_messages(t), 0);
}

static void test_queues_stand_in_the_journal_as_documented(void **state)
{
    const struct {
        struct wz_slice key;
        struct wz_slice value; // with a key of no value: removed
    } rows[] = {
        {S("Q" ID), S("\1\1\0\0\0\0\0\0\0\0q")},
        {S("B" ID "t/+"), S("\1\2")},
        {S("E" ID "\0\0\0\0\0\0\0\0"), S("\1\2\0\0\3t/1body")},
        {S("E" ID "\0\0\0\0\0\0\0\1"), S("\1\1\1\0\1tkept")},
        {S("E" ID "\0\0\0\0\0\0\0\0"), S("\1\xff")},
        {S("I" ID "\1\2"), S("\1\xff\xff\xff\xff\xff\xff\xff\xff\0")},
        {S("E" ID "\0\0\0\0\0\0\0\1"), S("")},
        {S("I" ID "\1\2"), S("")},
        {S("H" ID), S("\1\0\0\0\0\0\0\0\2")},
    };
    struct testqueues *t = *state;
    struct wz_reader_options options = {0};
    struct testconsumer consumer = {0};
    struct wz_durable_queue *queue;
    struct wz_message msg = {.topic = S("t/1"), .body = S("body"), .qos = 2, .retain = true};
    struct wz_ticket ticket;
    struct wz_reader *reader;
    struct wz_record record;
    uint16_t ids[2];
    size_t seen = 0;

    queue = testqueues_queue(t, "q");
    testconsumer_attach(&consumer, queue);
    testqueues_begin(t);
    assert_int_equal(wz_durable_queue_bind(queue, S("t/+"), 2), WZ_OK);
    testqueues_end(t);
    assert_int_equal(wz_queues_publish(t->queues, t->exchange, &msg, wz_mqtt_topic_valid, &ticket),
                     WZ_OK);
    msg = (struct wz_message){.topic = S("t"), .body = S("kept"), .retain = true};
    testqueues_begin(t);
    assert_int_equal(wz_durable_queue_push(queue, &msg, 1), WZ_OK);
    testqueues_end(t);
    for (int i = 0; i < 2; i++) {
        struct wz_queued queued;

        assert_true(testconsumer_take(t, &consumer, &queued));
        ids[i] = queued.packet_id;
    }
    assert_int_equal(testconsumer_settle(t, &consumer, ids[0], WZ_RELEASED), WZ_OK);
    receive(t, "q", 0x102, -1);
    assert_int_equal(testconsumer_settle(t, &consumer, ids[1], WZ_SETTLED), WZ_OK);
    testqueues_begin(t);
    wz_queues_forget_received(queue, 0x102);
    testqueues_end(t);
    assert_int_equal(testconsumer_settle(t, &consumer, ids[0], WZ_SETTLED), WZ_OK);
    testqueues_settle(t);
    assert_int_equal(wz_reader_open(wz_journal_log(t->journal), &options, &reader), WZ_OK);
    while (wz_reader_next(reader, &record) == WZ_OK) {
        // The marks of raw-stream stand between them; the queue is first declared, then used.
        if (record.key.ptr[0] == 'P' || (seen == 0 && record.value.ptr[9] != 0))
            continue;
        assert_true(seen < sizeof(rows) / sizeof(rows[0]));
        assert_int_equal(record.key.len, rows[seen].key.len);
        assert_memory_equal(record.key.ptr, rows[seen].key.ptr, record.key.len);
        assert_int_equal(record.value_null, rows[seen].value.len == 0);
        assert_int_equal(record.value.len, rows[seen].value.len);
        if (record.value.len > 0)
            assert_memory_equal(record.value.ptr, rows[seen].value.ptr, record.value.len);
        seen++;
    }
    assert_int_equal(seen, sizeof(rows) / sizeof(rows[0]));
    wz_reader_close(reader);
    testconsumer_detach(&consumer, 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_queues_are_found_by_their_names),
        TEST(test_queues_are_limited),
        TEST(test_queues_that_are_deleted_leave_nothing),
        TEST(test_queues_of_one_name_have_nothing_in_common),
        TEST(test_queues_share_the_body_of_a_message_for_many),
        TEST(test_queues_forget_shared_bodies_that_nobody_needs),
        TEST(test_queues_that_are_full_refuse_for_themselves),
        TEST(test_queues_expire_when_nobody_has_used_them_for_long),
        TEST(test_queues_do_not_expire_because_the_clock_is_set),
        TEST(test_queues_were_left_as_long_ago_after_the_clock_was_set),
        TEST(test_queues_expire_as_soon_as_their_time_has_come),
        TEST(test_queues_expire_in_their_order_after_a_start),
        cmocka_unit_test(test_queues_neither_expire_at_a_start_nor_stay_for_ever),
        TEST(test_queues_never_expire_without_an_expiry),
        TEST(test_queues_expire_all_of_many),
        TEST(test_queues_know_a_qos_2_message_until_it_is_released),
        TEST(test_queues_see_which_records_a_crash_has_lost),
        TEST(test_queues_see_which_places_a_crash_has_lost),
        TEST(test_queues_do_not_take_what_is_released_for_lost),
        TEST(test_queues_still_see_at_the_second_opening_what_a_crash_has_lost),
        cmocka_unit_test(test_queues_refuse_a_journal_that_they_cannot_read),
        TEST(test_queues_drop_what_belongs_to_none),
        TEST(test_queues_lose_no_more_than_the_message_whose_body_is_gone),
        TEST(test_queues_keep_a_shared_body_whose_message_is_read_twice),
        TEST(test_queues_bear_two_of_one_name),
        TEST(test_queues_stand_in_the_journal_as_documented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
