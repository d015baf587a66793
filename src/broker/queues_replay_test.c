// SPDX-License-Identifier: Apache-2.0
// What durable queues make of a journal when they are opened over it: QoS 2 messages between
// journal and raw-stream, of which a crash has lost one or the other; what is refused, and what is
// dropped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/queues_inside.h"
#include "broker/testqueues_test.h"
#include "stream/reader.h"
#include "wire/mqtt.h"

#define S(text) WZ_SLICE_LIT(text)
#define ID "\0\0\0\0\0\0\0\1"

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
    wz_queues_received(testqueues_find(t, name), packet_id, offset);
    testqueues_end(t);
}

// What is known of a message: "", "there", "unrecorded" or "unqueued".
static const char *known(struct testqueues *t, const char *name, uint16_t packet_id)
{
    const struct wz_received_message *message =
        wz_received_get(&testqueues_find(t, name)->received, packet_id);

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
        wz_queues_forget_received(testqueues_find(t, "q"), 3);
        wz_queues_forget_received(testqueues_find(t, "q"), 3); // PUBREL may come twice
        testqueues_end(t);
        assert_string_equal(known(t, "q", 3), "");
        wz_queues_received_ticket(t->queues, wz_received_get(&testqueues_find(t, "q")->received, 1),
                                  &ticket);
        assert_ptr_equal(ticket.stream, t->raw);
        assert_ptr_equal(ticket.journal, wz_journal_log(t->journal));
        testqueues_settle(t);
        assert_true(wz_ticket_safe(&ticket));
        if (round == 0)
            testqueues_reopen(t);
        else
            testqueues_crash(t);
    }
    wz_queues_received_ticket(t->queues, wz_received_get(&testqueues_find(t, "q")->received, 2),
                              &ticket);
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
    testqueues_settle_and_crash(t);
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
    testqueues_settle_and_crash(t);
    assert_string_equal(known(t, "q", 7), "unqueued");
    assert_int_equal(wz_received_get(&testqueues_find(t, "q")->received, 7)->offset, offset);
    assert_int_equal(testqueues_find(t, "q")->received.count, 1);
    assert_int_equal(testqueues_find(t, "r")->received.count, 1);
    assert_string_equal(known(t, "r", 9), "there");
    receive(t, "q", 7, offset); // it has come again
    testqueues_settle_and_crash(t);
    assert_string_equal(known(t, "q", 7), "there");
}

static void test_queues_do_not_take_what_is_released_for_lost(void **state)
{
    struct testqueues *t = *state;

    (void)testqueues_queue(t, "q");
    receive(t, "q", 1, record(t, "q", "1"));
    testqueues_begin(t);
    wz_queues_forget_received(testqueues_find(t, "q"), 1);
    testqueues_end(t);
    testqueues_settle_and_crash(t);
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
    testqueues_settle_and_crash(t);
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
        testqueues_put(&t, rows[i].letter, rows[i].key, rows[i].value);
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
    testqueues_put(t, 'B', S("\0\0\0\0\0\0\0\2t"), S("\1"));
    testqueues_put(t, 'E', S("\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0"), S("\1\0\0\1tx"));
    testqueues_put(t, 'E', S("\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\1"), S("\1\2\0\0\0\0\0\0\0\7"));
    testqueues_put(t, 'H', S("\0\0\0\0\0\0\0\2"), S("\0\0\0\0\0\0\0\0"));
    testqueues_put(t, 'I', S("\0\0\0\0\0\0\0\2\0\1"), S("\0\0\0\0\0\0\0\0\0"));
    testqueues_put(t, 'M', S("\0\0\0\0\0\0\0\7"), S("\0\1tx"));
    testqueues_settle_and_crash(t);
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
    testqueues_put(t, 'E', S(ID "\0\0\0\0\0\0\0\1"), S("\1\2\0\0\0\0\0\0\0\x63")); // 99 is nowhere
    testqueues_settle_and_crash(t);
    testqueues_publish(t, "t", 3, 1, 10);
    testconsumer_attach(&consumer, testqueues_find(t, "q"));
    (void)testconsumer_expect(t, &consumer, 1, 1, true);
    (void)testconsumer_expect(t, &consumer, 3, 1, false);
    testconsumer_expect_none(t, &consumer);
    testconsumer_detach(&consumer, 1);
    testqueues_settle_and_crash(t);
    assert_int_equal(testqueues_find(t, "q")->count, 2);
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
    testqueues_put(t, 'M', S("\0\0\0\0\0\0\0\7"), S("\0\1tbody"));
    testqueues_put(t, 'E', S(ID "\0\0\0\0\0\0\0\0"), S("\1\2\0\0\0\0\0\0\0\7"));
    testqueues_put(t, 'E', S(ID "\0\0\0\0\0\0\0\0"), S("\1\2\0\0\0\0\0\0\0\7"));
    testqueues_settle_and_crash(t);
    assert_int_equal(t->queues->shared.count, 1);
    testconsumer_attach(&consumer, testqueues_find(t, "q"));
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

    testqueues_put(t, 'Q', S(ID), S("\1\0\0\0\0\0\0\0\1q"));
    testqueues_put(t, 'B', S(ID "t"), S("\1"));
    testqueues_put(t, 'Q', S("\0\0\0\0\0\0\0\2"), S("\1\0\0\0\0\0\0\0\1q"));
    testqueues_put(t, 'B', S("\0\0\0\0\0\0\0\2t"), S("\1"));
    t->limits.expiry_ms = 1000;
    testqueues_settle_and_crash(t);
    assert_int_equal(testqueues_find(t, "q")->id[7], 2);
    testconsumer_attach(&consumer, testqueues_find(t, "q"));
    testqueues_publish(t, "t", 1, 1, 10);
    (void)testconsumer_expect(t, &consumer, 1, 1, false);
    testconsumer_expect_none(t, &consumer);
    wz_queues_expire(t->queues, t->loop.now_ms + 100000, t->loop.now_ms + 100000); // the other one
    assert_int_equal(testqueues_find(t, "q")->id[7], 2);
    assert_int_equal(testqueues_messages(t), 1);
    testconsumer_detach(&consumer, 1);
    testqueues_delete(t, "q");
    assert_null(testqueues_find(t, "q"));
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
        if (record.key.ptr[0] == 'P' || (seen == 0 && !wz_slice_eq(record.value, rows[0].value)))
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
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, testqueues_set_up, testqueues_tear_down)
    const struct CMUnitTest tests[] = {
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
