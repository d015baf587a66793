// SPDX-License-Identifier: Apache-2.0
#include "broker/exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"

// A receiver that writes down what it gets, and counts the slots it has made and been told to
// forget.
struct listener {
    struct wz_receiver receiver;
    struct wz_exchange *exchange;
    struct wz_exchange_binding *bindings[4];
    int got;
    unsigned last_qos;
    char last_topic[64];
    struct wz_parcel *kept;
    int slots_made;
    int slots_forgotten;
    bool slot_was_there;
    int answer;
    struct wz_exchange *forward_to; // publishes there, from inside its receive
};

static bool any_topic(struct wz_slice topic)
{
    (void)topic;
    return true;
}

static int publish_to(struct wz_exchange *exchange, const char *topic)
{
    struct wz_message msg = {.topic = wz_slice_str(topic), .body = WZ_SLICE_LIT("body"), .qos = 2};
    struct wz_ticket ticket;

    return wz_exchange_publish(exchange, &msg, any_topic, &ticket);
}

static int receive(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot)
{
    struct listener *listener = arg;

    if (listener->answer < 0)
        return listener->answer;
    listener->got++;
    listener->last_qos = qos;
    (void)snprintf(listener->last_topic, sizeof(listener->last_topic), "%.*s",
                   WZ_SLICE_FMT(delivery->message->topic));
    if (listener->receiver.forget != NULL) {
        listener->slot_was_there = *slot != NULL;
        if (*slot == NULL) {
            *slot = wz_strndup(delivery->message->topic.ptr, delivery->message->topic.len);
            listener->slots_made++;
        }
        assert_string_equal(*slot, listener->last_topic);
    }
    if (listener->forward_to != NULL)
        assert_int_equal(publish_to(listener->forward_to, "forwarded"), WZ_OK);
    return WZ_OK;
}

static void forget(void *arg, void *slot)
{
    struct listener *listener = arg;

    listener->slots_forgotten++;
    wz_free(slot);
}

static void listener_init(struct listener *listener, struct wz_exchange *exchange)
{
    *listener = (struct listener){
        .receiver = {.receive = receive, .arg = listener},
        .exchange = exchange,
    };
}

static void bind_to(struct listener *listener, int index, const char *pattern, unsigned qos)
{
    assert_int_equal(wz_exchange_bind(listener->exchange, &listener->receiver,
                                      wz_slice_str(pattern), qos, &listener->bindings[index]),
                     WZ_OK);
}

static void unbind(struct listener *listener, int index)
{
    wz_exchange_unbind(listener->bindings[index]);
    listener->bindings[index] = NULL;
}

static void unbind_all(struct listener *listener)
{
    for (int i = 0; i < 4; i++) {
        if (listener->bindings[i] != NULL)
            unbind(listener, i);
    }
}

static void test_exchange_tells_how_many_a_topic_reaches(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener all;
    struct listener one;

    (void)state;
    listener_init(&all, exchange);
    listener_init(&one, exchange);
    bind_to(&all, 0, "#", 1);
    assert_int_equal(wz_exchange_receivers(exchange, WZ_SLICE_LIT("a/b")), 0); // not published to
    assert_int_equal(publish_to(exchange, "a/b"), WZ_OK);
    assert_int_equal(wz_exchange_receivers(exchange, WZ_SLICE_LIT("a/b")), 1);
    bind_to(&one, 0, "a/+", 1);
    bind_to(&one, 1, "a/b", 1);
    assert_int_equal(wz_exchange_receivers(exchange, WZ_SLICE_LIT("a/b")), 0); // not any more
    assert_int_equal(publish_to(exchange, "a/b"), WZ_OK);
    assert_int_equal(wz_exchange_receivers(exchange, WZ_SLICE_LIT("a/b")), 2);
    unbind_all(&one);
    unbind_all(&all);
    wz_exchange_free(exchange);
}

static void test_exchange_gives_a_message_once_at_the_highest_qos(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener one;
    struct listener two;

    (void)state;
    listener_init(&one, exchange);
    listener_init(&two, exchange);
    bind_to(&one, 0, "a/+", 0);
    bind_to(&one, 1, "a/#", 2);
    bind_to(&one, 2, "#", 1);
    bind_to(&two, 0, "a/b", 1);
    assert_int_equal(publish_to(exchange, "a/b"), WZ_OK);
    assert_int_equal(one.got, 1);
    assert_int_equal(one.last_qos, 2);
    assert_int_equal(two.got, 1);
    assert_int_equal(two.last_qos, 1);
    unbind_all(&one);
    unbind_all(&two);
    wz_exchange_free(exchange);
}

static void test_exchange_follows_every_change_of_the_bindings(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener one;

    (void)state;
    listener_init(&one, exchange);
    assert_false(wz_exchange_bound(exchange));
    assert_int_equal(publish_to(exchange, "a/b"), WZ_OK); // cached without receivers
    bind_to(&one, 0, "a/b", 0);
    assert_true(wz_exchange_bound(exchange));
    assert_int_equal(publish_to(exchange, "a/b"), WZ_OK);
    assert_int_equal(one.got, 1);
    assert_int_equal(one.last_qos, 0);
    wz_exchange_rebind(one.bindings[0], 1);
    assert_int_equal(publish_to(exchange, "a/b"), WZ_OK);
    assert_int_equal(one.last_qos, 1);
    bind_to(&one, 1, "a/#", 2);
    assert_int_equal(publish_to(exchange, "a/b"), WZ_OK);
    assert_int_equal(one.last_qos, 2);
    unbind(&one, 1);
    assert_int_equal(publish_to(exchange, "a/b"), WZ_OK);
    assert_int_equal(one.last_qos, 1);
    assert_int_equal(one.got, 4);
    unbind(&one, 0);
    assert_int_equal(publish_to(exchange, "a/b"), WZ_OK);
    assert_int_equal(one.got, 4);
    assert_int_equal(wz_exchange_cached(exchange), 1);
    wz_exchange_free(exchange);
}

static void test_exchange_never_calls_a_receiver_that_has_gone(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener *gone = wz_alloc(sizeof(*gone));
    struct listener stays;

    (void)state;
    listener_init(gone, exchange);
    listener_init(&stays, exchange);
    bind_to(gone, 0, "#", 1);
    bind_to(&stays, 0, "#", 1);
    assert_int_equal(publish_to(exchange, "a"), WZ_OK);
    unbind_all(gone);
    wz_free(gone); // the sanitizer sees whoever looks at it again
    assert_int_equal(publish_to(exchange, "a"), WZ_OK);
    assert_int_equal(stays.got, 2);
    unbind_all(&stays);
    wz_exchange_free(exchange);
}

static void test_exchange_keeps_a_slot_over_changes_of_other_bindings(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener one;
    struct listener other;

    (void)state;
    listener_init(&one, exchange);
    listener_init(&other, exchange);
    one.receiver.forget = forget;
    bind_to(&one, 0, "#", 1);
    assert_int_equal(publish_to(exchange, "a"), WZ_OK);
    assert_int_equal(publish_to(exchange, "b"), WZ_OK);
    assert_int_equal(one.slots_made, 2);
    bind_to(&other, 0, "a", 0);
    bind_to(&one, 1, "a", 2);
    assert_int_equal(publish_to(exchange, "a"), WZ_OK);
    assert_true(one.slot_was_there);
    unbind(&other, 0);
    assert_int_equal(publish_to(exchange, "a"), WZ_OK);
    assert_true(one.slot_was_there);
    assert_int_equal(one.slots_made, 2);
    assert_int_equal(one.slots_forgotten, 0);
    unbind_all(&one);
    assert_int_equal(one.slots_forgotten, 2);
    wz_exchange_free(exchange);
    assert_int_equal(one.slots_forgotten, 2);
}

static void test_exchange_forgets_each_slot_once(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener one;
    char topic[16];

    (void)state;
    listener_init(&one, exchange);
    one.receiver.forget = forget;
    bind_to(&one, 0, "#", 1);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(topic, sizeof(topic), "t/%d", i);
        assert_int_equal(publish_to(exchange, topic), WZ_OK);
    }
    assert_int_equal(wz_exchange_cached(exchange), 300);
    wz_exchange_forget(exchange);
    assert_int_equal(one.slots_forgotten, 0); // however many there are, nobody waits for it
    assert_int_equal(publish_to(exchange, "t/0"), WZ_OK);
    assert_false(one.slot_was_there);
    assert_int_equal(one.slots_forgotten, 1);
    assert_int_equal(publish_to(exchange, "t/0"), WZ_OK);
    assert_true(one.slot_was_there);
    unbind_all(&one);
    assert_int_equal(one.slots_made, 301);
    assert_int_equal(one.slots_forgotten, 301);
    wz_exchange_free(exchange);
}

static void test_exchange_refusal_comes_before_anybody_has_the_message(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener before;
    struct listener asked;
    struct listener after;

    (void)state;
    listener_init(&before, exchange);
    listener_init(&asked, exchange);
    listener_init(&after, exchange);
    asked.receiver.asked_first = true;
    asked.answer = WZ_ERR_BUSY;
    bind_to(&before, 0, "#", 1);
    bind_to(&asked, 0, "a/#", 0);
    bind_to(&asked, 1, "#", 2);
    bind_to(&after, 0, "#", 1);
    assert_int_equal(publish_to(exchange, "a/b"), WZ_ERR_BUSY);
    assert_int_equal(before.got + after.got, 0);
    asked.answer = WZ_OK;
    assert_int_equal(publish_to(exchange, "a/b"), WZ_OK);
    assert_int_equal(before.got, 1);
    assert_int_equal(asked.got, 1);
    assert_int_equal(after.got, 1);
    unbind_all(&before);
    unbind_all(&asked);
    unbind_all(&after);
    wz_exchange_free(exchange);
}

static void test_exchange_failure_of_one_who_may_not_refuse_concerns_nobody_else(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener listeners[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        listener_init(&listeners[i], exchange);
        listeners[i].answer = i == 1 ? WZ_ERR_BUSY : WZ_OK;
        bind_to(&listeners[i], 0, "#", 1);
    }
    assert_int_equal(publish_to(exchange, "a"), WZ_OK);
    assert_int_equal(listeners[0].got + listeners[2].got, 2);
    for (int i = 0; i < 3; i++)
        unbind_all(&listeners[i]);
    wz_exchange_free(exchange);
}

static int keep(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot)
{
    struct listener *listener = arg;

    (void)qos;
    (void)slot;
    listener->kept = wz_delivery_keep(delivery);
    delivery->ticket = (struct wz_ticket){.offset = 42};
    return WZ_OK;
}

static void test_exchange_message_is_copied_once_for_all_who_keep_it(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct wz_message msg = {.topic = WZ_SLICE_LIT("a"), .body = WZ_SLICE_LIT("b")};
    struct wz_ticket ticket = {.offset = 1};
    struct listener one;
    struct listener two;

    (void)state;
    listener_init(&one, exchange);
    listener_init(&two, exchange);
    one.receiver.receive = keep;
    two.receiver.receive = keep;
    bind_to(&one, 0, "#", 1);
    bind_to(&two, 0, "#", 1);
    assert_int_equal(wz_exchange_publish(exchange, &msg, any_topic, &ticket), WZ_OK);
    assert_int_equal(ticket.offset, 42);
    assert_ptr_equal(one.kept, two.kept);
    assert_int_equal(one.kept->refs, 2);
    wz_parcel_unref(one.kept);
    wz_parcel_unref(two.kept);
    unbind_all(&one);
    unbind_all(&two);
    wz_exchange_free(exchange);
}

static int valid_calls;

static bool not_bad(struct wz_slice topic)
{
    valid_calls++;
    return !wz_slice_eq(topic, WZ_SLICE_LIT("bad"));
}

static void test_exchange_asks_once_whether_a_topic_is_valid(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct wz_message good = {.topic = WZ_SLICE_LIT("good")};
    struct wz_message bad = {.topic = WZ_SLICE_LIT("bad")};
    struct wz_ticket ticket;

    (void)state;
    valid_calls = 0;
    assert_int_equal(wz_exchange_publish(exchange, &bad, not_bad, &ticket), WZ_ERR_INVALID);
    assert_int_equal(wz_exchange_publish(exchange, &bad, not_bad, &ticket), WZ_ERR_INVALID);
    assert_int_equal(wz_exchange_cached(exchange), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wz_exchange_publish(exchange, &good, not_bad, &ticket), WZ_OK);
    assert_int_equal(valid_calls, 3);
    wz_exchange_free(exchange);
}

static void test_exchange_cache_makes_room_when_it_holds_too_many_topics(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener one;
    char topic[32];

    (void)state;
    listener_init(&one, exchange);
    one.receiver.forget = forget;
    bind_to(&one, 0, "#", 1);
    for (int i = 0; i < WZ_EXCHANGE_CACHE_TOPICS; i++) {
        (void)snprintf(topic, sizeof(topic), "flood/%d", i);
        assert_int_equal(publish_to(exchange, topic), WZ_OK);
    }
    assert_int_equal(wz_exchange_cached(exchange), WZ_EXCHANGE_CACHE_TOPICS);
    assert_int_equal(publish_to(exchange, "one more"), WZ_OK);
    assert_int_equal(wz_exchange_cached(exchange), WZ_EXCHANGE_CACHE_TOPICS);
    assert_int_equal(one.slots_forgotten, 1);
    for (int i = 0; i < 3 * WZ_EXCHANGE_CACHE_TOPICS; i++) { // old ones and new ones
        (void)snprintf(topic, sizeof(topic), "flood/%d", i % 2 == 0 ? i : i / 5);
        assert_int_equal(publish_to(exchange, topic), WZ_OK); // receive sees the right slot
        assert_int_equal(wz_exchange_cached(exchange), WZ_EXCHANGE_CACHE_TOPICS);
    }
    assert_int_equal(one.got, 4 * WZ_EXCHANGE_CACHE_TOPICS + 1);
    assert_int_equal(one.slots_made - one.slots_forgotten, WZ_EXCHANGE_CACHE_TOPICS);
    unbind_all(&one);
    wz_exchange_free(exchange);
}

static void test_exchange_expects_topics_without_any_effect(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct wz_slice topics[WZ_EXCHANGE_EXPECT_MAX];
    char names[WZ_EXCHANGE_EXPECT_MAX][32];
    struct listener one;

    (void)state;
    for (int i = 0; i < WZ_EXCHANGE_EXPECT_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "next/%d", i);
        topics[i] = wz_slice_str(names[i]);
    }
    wz_exchange_expect(exchange, topics, 0);
    wz_exchange_expect(exchange, topics, WZ_EXCHANGE_EXPECT_MAX);
    assert_int_equal(wz_exchange_cached(exchange), 0);
    listener_init(&one, exchange);
    one.receiver.forget = forget;
    assert_int_equal(publish_to(exchange, names[0]), WZ_OK); // cached without a receiver
    bind_to(&one, 0, "next/+", 1);
    assert_int_equal(publish_to(exchange, names[1]), WZ_OK); // and with one
    wz_exchange_expect(exchange, topics, WZ_EXCHANGE_EXPECT_MAX);
    assert_int_equal(wz_exchange_cached(exchange), 2);
    assert_int_equal(one.slots_made, 1);
    assert_int_equal(publish_to(exchange, names[1]), WZ_OK);
    assert_int_equal(one.got, 2);
    unbind_all(&one);
    wz_exchange_free(exchange);
}

static void test_exchange_cache_makes_room_when_its_topics_are_too_long(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    const size_t len = 65535;
    char *topic = wz_zalloc(len + 1, 1);
    size_t most = 0;

    (void)state;
    memset(topic, 't', len);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(topic, 16, "%06d", i);
        topic[6] = 't';
        assert_int_equal(publish_to(exchange, topic), WZ_OK);
        if (wz_exchange_cached(exchange) > most)
            most = wz_exchange_cached(exchange);
    }
    assert_in_range(most, 1, WZ_EXCHANGE_CACHE_BYTES / len + 1);
    wz_free(topic);
    wz_exchange_free(exchange);
}

// Subscribers that come and go leave nothing behind in what the cache is counted to hold: else it
// would make room again and again for nothing.
static void test_exchange_cache_makes_no_room_because_subscribers_come_and_go(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener one;
    struct listener many[64];

    (void)state;
    listener_init(&one, exchange);
    one.receiver.forget = forget;
    bind_to(&one, 0, "#", 1);
    assert_int_equal(publish_to(exchange, "a"), WZ_OK);
    for (int i = 0; i < 64; i++)
        listener_init(&many[i], exchange);
    for (int round = 0; round < 40000; round++) {
        for (int i = 0; i < 64 && (round == 0 || i < 1); i++)
            bind_to(&many[i], 0, "a", 1);
        for (int i = 0; i < 64 && round == 0; i++)
            bind_to(&many[i], 1, "#", 1);
        assert_int_equal(publish_to(exchange, "a"), WZ_OK);
        unbind(&many[0], 0);
    }
    assert_int_equal(publish_to(exchange, "b"), WZ_OK);
    assert_int_equal(one.slots_forgotten, 0);
    assert_int_equal(wz_exchange_cached(exchange), 2);
    for (int i = 0; i < 64; i++)
        unbind_all(&many[i]);
    unbind_all(&one);
    wz_exchange_free(exchange);
}

// Topics that were cached while few listened grow when many come.
static void test_exchange_cache_makes_room_when_its_topics_have_too_many_receivers(void **state)
{
    enum { TOPICS = 64, RECEIVERS = 40000 };
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener *many = wz_alloc(RECEIVERS * sizeof(*many));
    char topic[16];

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < TOPICS; i++) {
            (void)snprintf(topic, sizeof(topic), "t/%d", i);
            assert_int_equal(publish_to(exchange, topic), WZ_OK);
        }
        for (int i = 0; i < RECEIVERS && round == 0; i++) {
            listener_init(&many[i], exchange);
            bind_to(&many[i], 0, "#", 1);
        }
    }
    assert_int_equal(many[0].got, TOPICS);
    // A receiver of a topic takes three words.
    assert_true(wz_exchange_cached(exchange) * RECEIVERS * 3 * sizeof(void *) <
                WZ_EXCHANGE_CACHE_BYTES);
    for (int i = 0; i < RECEIVERS; i++)
        unbind_all(&many[i]);
    wz_free(many);
    wz_exchange_free(exchange);
}

static void test_exchange_receiver_may_publish_to_another_exchange(void **state)
{
    struct wz_exchange *in = wz_exchange_new(&wz_topic_mqtt);
    struct wz_exchange *out = wz_exchange_new(&wz_topic_amqp);
    struct listener one;
    struct listener two;

    (void)state;
    listener_init(&one, in);
    listener_init(&two, out);
    one.forward_to = out;
    bind_to(&one, 0, "#", 1);
    bind_to(&two, 0, "#", 1);
    assert_int_equal(publish_to(in, "a"), WZ_OK);
    assert_int_equal(publish_to(in, "b"), WZ_OK);
    assert_int_equal(two.got, 2);
    assert_string_equal(two.last_topic, "forwarded");
    unbind_all(&one);
    unbind_all(&two);
    wz_exchange_free(in);
    wz_exchange_free(out);
}

static int forward_once(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot)
{
    struct listener *listener = arg;
    char topic[16];

    (void)qos;
    (void)slot;
    listener->got++;
    if (!wz_slice_eq(delivery->message->topic, WZ_SLICE_LIT("start")))
        return WZ_OK;
    for (int i = 0; i < 200; i++) { // the table grows under the message that is being handed out
        (void)snprintf(topic, sizeof(topic), "n/%d", i);
        assert_int_equal(publish_to(listener->exchange, topic), WZ_OK);
    }
    return WZ_OK;
}

static void test_exchange_receiver_may_publish_to_its_own_exchange(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct listener one;
    struct listener two;

    (void)state;
    listener_init(&one, exchange);
    listener_init(&two, exchange);
    one.receiver.receive = forward_once;
    bind_to(&one, 0, "#", 1);
    bind_to(&two, 0, "start", 1);
    assert_int_equal(publish_to(exchange, "start"), WZ_OK);
    assert_int_equal(one.got, 201);
    assert_int_equal(two.got, 1);
    unbind_all(&one); // allowed again: nothing is being published
    unbind_all(&two);
    wz_exchange_free(exchange);
}

static void test_exchange_refuses_a_pattern_that_is_too_deep(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct wz_exchange_binding *binding = NULL;
    struct listener one;
    char deep[2 * WZ_TRIE_DEPTH_MAX + 2];

    (void)state;
    listener_init(&one, exchange);
    for (size_t i = 0; i < sizeof(deep); i++)
        deep[i] = i % 2 == 0 ? 'a' : '/';
    assert_int_equal(
        wz_exchange_bind(exchange, &one.receiver, wz_slice(deep, sizeof(deep) - 1), 0, &binding),
        WZ_ERR_LIMIT);
    assert_null(binding);
    assert_false(wz_exchange_bound(exchange));
    wz_exchange_free(exchange);
}

static void test_exchange_refuses_what_is_above_its_limits(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    struct wz_exchange_binding *binding;
    struct listener one;

    (void)state;
    listener_init(&one, exchange);
    wz_exchange_limit(exchange, 9, 3);
    assert_int_equal(publish_to(exchange, "a/b/c"), WZ_OK);
    assert_int_equal(publish_to(exchange, "123456789"), WZ_OK);
    assert_int_equal(publish_to(exchange, "a/b/c/d"), WZ_ERR_INVALID);
    assert_int_equal(publish_to(exchange, "1234567890"), WZ_ERR_INVALID);
    assert_int_equal(
        wz_exchange_bind(exchange, &one.receiver, WZ_SLICE_LIT("a/b/c/#"), 0, &binding),
        WZ_ERR_LIMIT);
    assert_int_equal(
        wz_exchange_bind(exchange, &one.receiver, WZ_SLICE_LIT("1234567890"), 0, &binding),
        WZ_ERR_LIMIT);
    assert_false(wz_exchange_bound(exchange));
    wz_exchange_free(exchange);
}

static void test_exchange_refuses_a_topic_that_is_too_deep_to_be_matched(void **state)
{
    struct wz_exchange *exchange = wz_exchange_new(&wz_topic_mqtt);
    char topic[2 * WZ_TRIE_DEPTH_MAX + 2] = "a";

    (void)state;
    for (size_t i = 1; i < WZ_TRIE_DEPTH_MAX; i++)
        memcpy(topic + strlen(topic), "/a", 3);
    assert_int_equal(publish_to(exchange, topic), WZ_OK);
    memcpy(topic + strlen(topic), "/a", 3);
    assert_int_equal(publish_to(exchange, topic), WZ_ERR_INVALID);
    wz_exchange_free(exchange);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange_refuses_what_is_above_its_limits),
        cmocka_unit_test(test_exchange_refuses_a_topic_that_is_too_deep_to_be_matched),
        cmocka_unit_test(test_exchange_tells_how_many_a_topic_reaches),
        cmocka_unit_test(test_exchange_gives_a_message_once_at_the_highest_qos),
        cmocka_unit_test(test_exchange_follows_every_change_of_the_bindings),
        cmocka_unit_test(test_exchange_never_calls_a_receiver_that_has_gone),
        cmocka_unit_test(test_exchange_keeps_a_slot_over_changes_of_other_bindings),
        cmocka_unit_test(test_exchange_forgets_each_slot_once),
        cmocka_unit_test(test_exchange_refusal_comes_before_anybody_has_the_message),
        cmocka_unit_test(test_exchange_failure_of_one_who_may_not_refuse_concerns_nobody_else),
        cmocka_unit_test(test_exchange_message_is_copied_once_for_all_who_keep_it),
        cmocka_unit_test(test_exchange_asks_once_whether_a_topic_is_valid),
        cmocka_unit_test(test_exchange_cache_makes_room_when_it_holds_too_many_topics),
        cmocka_unit_test(test_exchange_expects_topics_without_any_effect),
        cmocka_unit_test(test_exchange_cache_makes_room_when_its_topics_are_too_long),
        cmocka_unit_test(test_exchange_cache_makes_no_room_because_subscribers_come_and_go),
        cmocka_unit_test(test_exchange_cache_makes_room_when_its_topics_have_too_many_receivers),
        cmocka_unit_test(test_exchange_receiver_may_publish_to_another_exchange),
        cmocka_unit_test(test_exchange_receiver_may_publish_to_its_own_exchange),
        cmocka_unit_test(test_exchange_refuses_a_pattern_that_is_too_deep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
