// SPDX-License-Identifier: Apache-2.0
#include "bus/bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "broker/queues.h"
#include "bus/embedded.h"

#define DEADLINE_US ((int64_t)20 * 1000 * 1000)

// Stands for a log of which only the durable end is looked at.
static struct fake_log {
    int64_t durable_end;
    int wanted;
} fake_log;

static struct wz_log *fake(void) { return (struct wz_log *)(void *)&fake_log; }

int64_t __real_wz_log_durable_end(const struct wz_log *log);
int64_t __wrap_wz_log_durable_end(const struct wz_log *log);
void __real_wz_log_want(struct wz_log *log);
void __wrap_wz_log_want(struct wz_log *log);

int64_t __wrap_wz_log_durable_end(const struct wz_log *log)
{
    return log == fake() ? fake_log.durable_end : __real_wz_log_durable_end(log);
}

void __wrap_wz_log_want(struct wz_log *log)
{
    if (log == fake())
        fake_log.wanted++;
    else
        __real_wz_log_want(log);
}

// Stands for the durable queues, which have every message on the journal that is the fake log.
static struct {
    bool ready;
    int asked;
    int published;
} fake_queues;

bool __wrap_wz_queues_ready(struct wz_queues *queues);
int __wrap_wz_queues_publish(struct wz_queues *queues, struct wz_exchange *exchange,
                             const struct wz_message *msg, wz_topic_valid_fn valid,
                             struct wz_ticket *ret_ticket);

bool __wrap_wz_queues_ready(struct wz_queues *queues)
{
    assert_ptr_equal(queues, &fake_queues);
    fake_queues.asked++;
    return fake_queues.ready;
}

int __wrap_wz_queues_publish(struct wz_queues *queues, struct wz_exchange *exchange,
                             const struct wz_message *msg, wz_topic_valid_fn valid,
                             struct wz_ticket *ret_ticket)
{
    int r = wz_exchange_publish(exchange, msg, valid, ret_ticket);

    assert_ptr_equal(queues, &fake_queues);
    fake_queues.published++;
    ret_ticket->journal = fake();
    ret_ticket->journal_offset = 7;
    return r;
}

struct world {
    struct wz_loop loop;
    struct wz_bus *bus;
    struct wz_mailbox replies;
    int answered;
};

// A consumer that writes down what it gets.
struct consumer {
    struct wz_binding *binding;
    int got;
    int answer;
    int slots;
    int forgotten;
    bool slow; // its messages wait for the log
    int64_t offset;
};

static int consume(void *arg, const struct wz_message *msg, void **slot,
                   struct wz_ticket *ret_ticket)
{
    struct consumer *consumer = arg;

    if (consumer->answer < 0)
        return consumer->answer;
    consumer->got++;
    if (*slot == NULL) {
        *slot = wz_strndup(msg->topic.ptr, msg->topic.len);
        consumer->slots++;
    }
    if (consumer->slow)
        *ret_ticket = (struct wz_ticket){.stream = fake(), .offset = consumer->offset++};
    return WZ_OK;
}

static void forget(void *arg, void *slot)
{
    struct consumer *consumer = arg;

    consumer->forgotten++;
    wz_free(slot);
}

static int set_up(void **state)
{
    struct world *world = wz_zalloc(1, sizeof(*world));

    *state = world;
    fake_log = (struct fake_log){0};
    assert_int_equal(wz_loop_init(&world->loop), WZ_OK);
    world->bus = wz_bus_new(&world->loop);
    wz_mailbox_init(&world->replies, 4, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    wz_bus_stop(world->bus);
    (void)wz_mailbox_run(&world->replies);
    wz_mailbox_release(&world->replies);
    wz_loop_stop(&world->loop);
    wz_loop_run(&world->loop);
    wz_bus_free(world->bus);
    wz_loop_release(&world->loop);
    wz_free(world);
    return 0;
}

static void consumer_bind(struct world *world, struct consumer *consumer, enum wz_bus_exchange id,
                          const char *pattern)
{
    assert_int_equal(wz_bus_bind(world->bus, id, wz_slice_str(pattern), consume, forget, consumer,
                                 &consumer->binding),
                     WZ_OK);
}

static int publish(struct world *world, enum wz_bus_exchange id, struct wz_slice topic)
{
    struct wz_message msg = {.topic = topic, .offset = -1};
    struct wz_ticket ticket;

    return wz_bus_publish(world->bus, id, &msg, &ticket);
}

static void test_bus_exchanges_are_found_by_their_names(void **state)
{
    (void)state;
    for (int id = 0; id < WZ_BUS_COUNT; id++) {
        const char *name = wz_bus_exchange_name((enum wz_bus_exchange)id);

        assert_int_equal(wz_bus_exchange_find(wz_slice_str(name)), id);
    }
    assert_string_equal(wz_bus_exchange_name(WZ_BUS_DEVICES), "amq.topic");
    assert_int_equal(wz_bus_exchange_find(WZ_SLICE_LIT("ra")), WZ_BUS_COUNT);
    assert_int_equal(wz_bus_exchange_find(WZ_SLICE_LIT("")), WZ_BUS_COUNT);
}

static void test_bus_takes_only_topics_that_the_exchange_allows(void **state)
{
    static const struct {
        const char *topic;
        size_t len;
        bool devices; // allowed there
        bool others;
    } rows[] = {
        {"a", 1, true, true},        {"a.b.c", 5, true, true},   {"a/b", 3, true, true},
        {"", 0, false, false},       {"a..b", 4, true, false},   {".a", 2, true, false},
        {"a.", 2, true, false},      {"a.*", 3, true, false},    {"#", 1, false, false},
        {"a.b*", 4, true, true},     {"a/+", 3, false, true},    {"a\n", 2, true, false},
        {"a\x7f", 2, true, false},   {"a\0b", 3, false, false},  {"\xff", 1, false, false},
        {"\xc3\xa4", 2, true, true}, {"$SYS/a", 6, false, true}, {"$SYSTEM", 7, true, true},
    };
    struct world *world = *state;
    char longest[256];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct wz_slice topic = wz_slice(rows[i].topic, rows[i].len);

        for (int id = 0; id < WZ_BUS_COUNT; id++) {
            bool allowed = id == WZ_BUS_DEVICES ? rows[i].devices : rows[i].others;

            if ((publish(world, (enum wz_bus_exchange)id, topic) == WZ_OK) != allowed)
                fail_msg("row %zu, exchange %d", i, id);
        }
    }
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(publish(world, WZ_BUS_EGRESS, wz_slice(longest, 255)), WZ_OK);
    assert_int_equal(publish(world, WZ_BUS_EGRESS, wz_slice(longest, 256)), WZ_ERR_INVALID);
    assert_int_equal(publish(world, WZ_BUS_DEVICES, wz_slice(longest, 256)), WZ_OK);
}

static void test_bus_patterns_have_the_form_of_their_exchange(void **state)
{
    struct world *world = *state;
    struct consumer devices = {0};
    struct consumer ingress = {0};
    struct wz_binding *none = NULL;

    assert_int_equal(wz_bus_bind(world->bus, WZ_BUS_DEVICES, WZ_SLICE_LIT("a/#/b"), consume, forget,
                                 &devices, &none),
                     WZ_ERR_INVALID);
    assert_int_equal(wz_bus_bind(world->bus, WZ_BUS_RAW, WZ_SLICE_LIT("a.b*c"), consume, forget,
                                 &devices, &none),
                     WZ_ERR_INVALID);
    assert_null(none);
    assert_false(wz_bus_wanted(world->bus, WZ_BUS_DEVICES));
    consumer_bind(world, &devices, WZ_BUS_DEVICES, "a/+/c");
    consumer_bind(world, &ingress, WZ_BUS_INGRESS, "a.*.c");
    assert_true(wz_bus_wanted(world->bus, WZ_BUS_DEVICES));
    assert_int_equal(publish(world, WZ_BUS_DEVICES, WZ_SLICE_LIT("a/b/c")), WZ_OK);
    assert_int_equal(publish(world, WZ_BUS_DEVICES, WZ_SLICE_LIT("a.b.c")), WZ_OK);
    assert_int_equal(publish(world, WZ_BUS_INGRESS, WZ_SLICE_LIT("a.b.c")), WZ_OK);
    assert_int_equal(devices.got, 1);
    assert_int_equal(ingress.got, 1);
    wz_bus_unbind(world->bus, devices.binding);
    wz_bus_unbind(world->bus, ingress.binding);
    assert_false(wz_bus_wanted(world->bus, WZ_BUS_DEVICES));
}

static void test_bus_forgets_what_consumers_have_resolved(void **state)
{
    struct world *world = *state;
    struct consumer consumer = {0};

    consumer_bind(world, &consumer, WZ_BUS_EGRESS, "#");
    for (int i = 0; i < 3; i++)
        assert_int_equal(publish(world, WZ_BUS_EGRESS, WZ_SLICE_LIT("a")), WZ_OK);
    assert_int_equal(consumer.slots, 1);
    wz_bus_forget(world->bus);
    assert_int_equal(publish(world, WZ_BUS_EGRESS, WZ_SLICE_LIT("a")), WZ_OK);
    assert_int_equal(consumer.forgotten, 1);
    assert_int_equal(consumer.slots, 2);
    wz_bus_unbind(world->bus, consumer.binding);
    assert_int_equal(consumer.forgotten, 2);
}

static void test_bus_mirrors_are_refused_by_nobody(void **state)
{
    struct world *world = *state;
    struct consumer busy = {.answer = WZ_ERR_BUSY};

    consumer_bind(world, &busy, WZ_BUS_RAW, "#");
    assert_int_equal(publish(world, WZ_BUS_RAW, WZ_SLICE_LIT("a")), WZ_OK);
    wz_bus_unbind(world->bus, busy.binding);
    consumer_bind(world, &busy, WZ_BUS_INGRESS, "#");
    assert_int_equal(publish(world, WZ_BUS_INGRESS, WZ_SLICE_LIT("a")), WZ_ERR_BUSY);
    wz_bus_unbind(world->bus, busy.binding);
}

// A post and the world it answers to.
struct letter {
    struct wz_bus_post post;
    struct world *world;
    bool done;
};

static void on_done(struct wz_mail *mail)
{
    struct letter *letter = WZ_CONTAINER(mail, struct letter, post.mail);

    assert_false(letter->done);
    letter->done = true;
    letter->world->answered++;
}

static struct letter letter_to(struct world *world, const char *topic)
{
    return (struct letter){
        .post = {.exchange = WZ_BUS_EGRESS,
                 .message = {.topic = wz_slice_str(topic), .offset = -1},
                 .reply_to = &world->replies,
                 .done = on_done},
        .world = world,
    };
}

static void settle(struct world *world)
{
    for (int i = 0; i < 3; i++) {
        (void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
        (void)wz_mailbox_run(&world->replies);
    }
}

static void test_bus_answers_a_post_when_it_is_durable(void **state)
{
    struct world *world = *state;
    struct consumer consumer = {.slow = true};
    struct letter letters[3];

    consumer_bind(world, &consumer, WZ_BUS_EGRESS, "#");
    for (int i = 0; i < 3; i++) {
        letters[i] = letter_to(world, "a");
        assert_int_equal(wz_bus_post(world->bus, &letters[i].post), WZ_OK);
    }
    settle(world);
    assert_int_equal(consumer.got, 3);
    assert_int_equal(world->answered, 0);
    assert_in_range(fake_log.wanted, 1, 3);
    fake_log.durable_end = 2;
    wz_bus_durable(world->bus);
    settle(world);
    assert_true(letters[0].done && letters[1].done && !letters[2].done);
    assert_int_equal(letters[1].post.result, WZ_OK);
    assert_int_equal(letters[1].post.ticket.offset, 1);
    wz_bus_stop(world->bus);
    settle(world);
    assert_true(letters[2].done);
    assert_int_equal(letters[2].post.result, WZ_ERR_CLOSED);
    wz_bus_unbind(world->bus, consumer.binding);
}

static void test_bus_answers_a_post_that_is_refused_at_once(void **state)
{
    struct world *world = *state;
    struct consumer busy = {.answer = WZ_ERR_BUSY};
    struct letter invalid = letter_to(world, "a..b");
    struct letter refused = letter_to(world, "a");
    struct letter unwanted = letter_to(world, "b");

    consumer_bind(world, &busy, WZ_BUS_EGRESS, "a");
    assert_int_equal(wz_bus_post(world->bus, &invalid.post), WZ_OK);
    assert_int_equal(wz_bus_post(world->bus, &refused.post), WZ_OK);
    assert_int_equal(wz_bus_post(world->bus, &unwanted.post), WZ_OK);
    settle(world);
    assert_int_equal(world->answered, 3);
    assert_int_equal(invalid.post.result, WZ_ERR_INVALID);
    assert_int_equal(refused.post.result, WZ_ERR_BUSY);
    assert_int_equal(unwanted.post.result, WZ_OK); // nobody has a duty for it
    wz_bus_unbind(world->bus, busy.binding);
}

static void test_bus_puts_messages_into_the_queues_that_have_joined(void **state)
{
    struct world *world = *state;
    struct consumer consumer = {0};
    struct letter letter = letter_to(world, "a");

    fake_queues.ready = false;
    fake_queues.published = 0;
    wz_bus_join_queues(world->bus, (struct wz_queues *)(void *)&fake_queues);
    consumer_bind(world, &consumer, WZ_BUS_EGRESS, "#");
    assert_int_equal(publish(world, WZ_BUS_EGRESS, WZ_SLICE_LIT("a")), WZ_ERR_BUSY);
    assert_int_equal(consumer.got, 0); // nothing was done
    fake_queues.ready = true;
    assert_int_equal(publish(world, WZ_BUS_EGRESS, WZ_SLICE_LIT("a")), WZ_OK);
    assert_int_equal(publish(world, WZ_BUS_EGRESS, WZ_SLICE_LIT("a..b")), WZ_ERR_INVALID);
    assert_int_equal(fake_queues.published, 2);
    assert_int_equal(consumer.got, 1);
    assert_int_equal(wz_bus_post(world->bus, &letter.post), WZ_OK);
    settle(world);
    assert_int_equal(consumer.got, 2);
    assert_false(letter.done); // waits for the journal
    fake_log.durable_end = 8;
    wz_bus_durable(world->bus);
    settle(world);
    assert_true(letter.done);
    wz_bus_unbind(world->bus, consumer.binding);
}

static void *post_many(void *arg)
{
    struct letter *letters = arg;

    for (int i = 0; i < 500; i++)
        assert_int_equal(wz_bus_post(letters[i].world->bus, &letters[i].post), WZ_OK);
    return NULL;
}

static void test_bus_takes_posts_from_other_threads(void **state)
{
    struct world *world = *state;
    struct consumer consumer = {0};
    struct letter *letters = wz_alloc(1000 * sizeof(*letters));
    int64_t until_us = wz_clock_mono_us() + DEADLINE_US;
    pthread_t threads[2];

    consumer_bind(world, &consumer, WZ_BUS_EGRESS, "#");
    for (int i = 0; i < 1000; i++)
        letters[i] = letter_to(world, "a");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &letters[500 * i]), 0);
    while (world->answered < 1000 && wz_clock_mono_us() < until_us)
        settle(world);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(world->answered, 1000);
    assert_int_equal(consumer.got, 1000);
    wz_bus_unbind(world->bus, consumer.binding);
    wz_free(letters);
}

// Somebody who waits for the bus, and waits again when he is called.
struct waiting {
    struct wz_bus_waiter waiter;
    struct wz_bus *bus;
    int calls;
    bool again;
};

static void on_ready(void *arg)
{
    struct waiting *waiting = arg;

    waiting->calls++;
    if (waiting->again)
        wz_bus_on_ready(waiting->bus, &waiting->waiter);
}

static void test_bus_calls_each_waiter_once(void **state)
{
    struct world *world = *state;
    struct waiting one = {.waiter = {.ready = on_ready, .arg = &one}, .bus = world->bus};
    struct waiting two = {
        .waiter = {.ready = on_ready, .arg = &two}, .bus = world->bus, .again = true};

    wz_bus_on_ready(world->bus, &one.waiter);
    wz_bus_on_ready(world->bus, &one.waiter);
    wz_bus_on_ready(world->bus, &two.waiter);
    wz_bus_durable(world->bus);
    assert_int_equal(one.calls, 1);
    assert_int_equal(two.calls, 1);
    two.again = false;
    wz_bus_durable(world->bus);
    wz_bus_durable(world->bus);
    assert_int_equal(one.calls, 1);
    assert_int_equal(two.calls, 2);
}

static void test_bus_calls_nobody_who_took_his_wish_back(void **state)
{
    struct world *world = *state;
    struct waiting one = {.waiter = {.ready = on_ready, .arg = &one}, .bus = world->bus};
    struct waiting two = {.waiter = {.ready = on_ready, .arg = &two}, .bus = world->bus};

    wz_bus_off_ready(world->bus, &one.waiter); // it does not wait
    wz_bus_on_ready(world->bus, &one.waiter);
    wz_bus_on_ready(world->bus, &two.waiter);
    wz_bus_off_ready(world->bus, &one.waiter);
    wz_bus_durable(world->bus);
    assert_int_equal(one.calls, 0);
    assert_int_equal(two.calls, 1);
    wz_bus_on_ready(world->bus, &one.waiter);
    wz_bus_durable(world->bus);
    assert_int_equal(one.calls, 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_bus_exchanges_are_found_by_their_names),
        TEST(test_bus_takes_only_topics_that_the_exchange_allows),
        TEST(test_bus_patterns_have_the_form_of_their_exchange),
        TEST(test_bus_forgets_what_consumers_have_resolved),
        TEST(test_bus_mirrors_are_refused_by_nobody),
        TEST(test_bus_answers_a_post_when_it_is_durable),
        TEST(test_bus_answers_a_post_that_is_refused_at_once),
        TEST(test_bus_puts_messages_into_the_queues_that_have_joined),
        TEST(test_bus_takes_posts_from_other_threads),
        TEST(test_bus_calls_each_waiter_once),
        TEST(test_bus_calls_nobody_who_took_his_wish_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
