// SPDX-License-Identifier: Apache-2.0
// Owns the five exchanges, publications from other threads until they are durable, and those who
// wait for the bus to take messages again.
#include "bus/bus.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "broker/exchange.h"
#include "broker/queues.h"
#include "broker/sys_topics.h"
#include "bus/embedded.h"
#include "stream/space.h"
#include "wire/mqtt.h"

// A logical topic's length at the most (AMQP's short string).
#define TOPIC_MAX 255

struct wz_bus {
    struct wz_loop *loop;
    struct wz_exchange *exchanges[WZ_BUS_COUNT];
    struct wz_mail *pending; // posts that wait for the disk, newest first
    struct wz_bus_waiter *waiters;
    struct wz_queues *queues;     // NULL: none
    const struct wz_space *space; // NULL: there always is room
};

// A consumer's binding: the broker's receiver and what the consumer gave.
struct wz_binding {
    struct wz_receiver receiver;
    struct wz_exchange_binding *binding;
    wz_bus_consume_fn consume;
    wz_bus_forget_fn forget;
    void *arg;
};

static const struct {
    const char *name;
    const struct wz_topic_form *form;
    bool first; // whether its consumer may refuse: it then is the only one, and asked first
} exchanges[WZ_BUS_COUNT] = {
    [WZ_BUS_DEVICES] = {"amq.topic", &wz_topic_mqtt, true},
    [WZ_BUS_INGRESS] = {"ingress", &wz_topic_amqp, true},
    [WZ_BUS_RAW] = {"raw", &wz_topic_amqp, false},
    [WZ_BUS_EGRESS] = {"egress", &wz_topic_amqp, true},
    [WZ_BUS_PROCESSED] = {"processed", &wz_topic_amqp, false},
};

bool wz_bus_topic_valid(struct wz_slice topic)
{
    struct wz_words words = wz_words(topic, '.');
    struct wz_slice word;

    if (topic.len == 0 || topic.len > TOPIC_MAX || !wz_utf8_valid(topic))
        return false;
    for (size_t i = 0; i < topic.len; i++) {
        if (topic.ptr[i] < 0x20 || topic.ptr[i] == 0x7f)
            return false;
    }
    while (wz_words_next(&words, &word)) {
        if (word.len == 0 || (word.len == 1 && (word.ptr[0] == '*' || word.ptr[0] == '#')))
            return false;
    }
    return true;
}

struct wz_bus *wz_bus_new(struct wz_loop *loop)
{
    struct wz_bus *bus = wz_zalloc(1, sizeof(*bus));

    bus->loop = loop;
    for (int id = 0; id < WZ_BUS_COUNT; id++)
        bus->exchanges[id] = wz_exchange_new(exchanges[id].form);
    return bus;
}

void wz_bus_free(struct wz_bus *bus)
{
    if (bus == NULL)
        return;
    WZ_ASSERT(bus->pending == NULL);
    for (int id = 0; id < WZ_BUS_COUNT; id++)
        wz_exchange_free(bus->exchanges[id]);
    wz_free(bus);
}

void wz_bus_join_queues(struct wz_bus *bus, struct wz_queues *queues) { bus->queues = queues; }

void wz_bus_join_space(struct wz_bus *bus, const struct wz_space *space) { bus->space = space; }

struct wz_exchange *wz_bus_exchange(struct wz_bus *bus, enum wz_bus_exchange id)
{
    return bus->exchanges[id];
}

const char *wz_bus_exchange_name(enum wz_bus_exchange id) { return exchanges[id].name; }

enum wz_bus_exchange wz_bus_exchange_find(struct wz_slice name)
{
    int id = 0;

    while (id < WZ_BUS_COUNT && !wz_slice_eq(name, wz_slice_str(exchanges[id].name)))
        id++;
    return (enum wz_bus_exchange)id;
}

static int receive(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot)
{
    struct wz_binding *binding = arg;

    (void)qos; // a consumer takes every message as it was published
    return binding->consume(binding->arg, delivery->message, slot, &delivery->ticket);
}

static void forget(void *arg, void *slot)
{
    struct wz_binding *binding = arg;

    binding->forget(binding->arg, slot);
}

int wz_bus_bind(struct wz_bus *bus, enum wz_bus_exchange id, struct wz_slice pattern,
                wz_bus_consume_fn consume, wz_bus_forget_fn forget_slot, void *arg,
                struct wz_binding **ret_binding)
{
    struct wz_binding *binding;
    int r;

    if (!wz_pattern_valid(exchanges[id].form, pattern))
        return WZ_ERR_INVALID;
    binding = wz_alloc(sizeof(*binding));
    *binding = (struct wz_binding){
        .receiver = {.receive = receive,
                     .forget = forget_slot != NULL ? forget : NULL,
                     .arg = binding,
                     .asked_first = exchanges[id].first},
        .consume = consume,
        .forget = forget_slot,
        .arg = arg,
    };
    r = wz_exchange_bind(bus->exchanges[id], &binding->receiver, pattern, 2, &binding->binding);
    if (r < 0) {
        wz_free(binding);
        return r;
    }
    *ret_binding = binding;
    return WZ_OK;
}

void wz_bus_unbind(struct wz_bus *bus, struct wz_binding *binding)
{
    (void)bus; // the binding knows its exchange
    wz_exchange_unbind(binding->binding);
    wz_free(binding);
}

int wz_bus_publish(struct wz_bus *bus, enum wz_bus_exchange id, const struct wz_message *msg,
                   struct wz_ticket *ret_ticket)
{
    struct wz_exchange *exchange = bus->exchanges[id];
    wz_topic_valid_fn valid = id == WZ_BUS_DEVICES ? wz_mqtt_topic_valid : wz_bus_topic_valid;

    if (id == WZ_BUS_DEVICES && wz_sys_topics_own(msg->topic))
        return WZ_ERR_INVALID;
    if (wz_space_low(bus->space))
        return WZ_ERR_BUSY;
    if (bus->queues == NULL)
        return wz_exchange_publish(exchange, msg, valid, ret_ticket);
    if (!wz_queues_ready(bus->queues))
        return WZ_ERR_BUSY;
    return wz_queues_publish(bus->queues, exchange, msg, valid, ret_ticket);
}

bool wz_bus_takes(const struct wz_bus *bus)
{
    return !wz_space_low(bus->space) && (bus->queues == NULL || wz_queues_ready(bus->queues));
}

uint32_t wz_bus_receivers(const struct wz_bus *bus, enum wz_bus_exchange id, struct wz_slice topic)
{
    return wz_exchange_receivers(bus->exchanges[id], topic);
}

uint64_t wz_bus_version(const struct wz_bus *bus, enum wz_bus_exchange id)
{
    return wz_exchange_version(bus->exchanges[id]);
}

bool wz_bus_wanted(const struct wz_bus *bus, enum wz_bus_exchange id)
{
    return wz_exchange_bound(bus->exchanges[id]);
}

void wz_bus_forget(struct wz_bus *bus)
{
    for (int id = 0; id < WZ_BUS_COUNT; id++)
        wz_exchange_forget(bus->exchanges[id]);
}

static void answer(struct wz_bus_post *post, int result)
{
    post->result = result;
    post->mail.run = post->done;
    wz_mailbox_answer(post->reply_to, &post->mail);
}

static void on_post(struct wz_mail *mail)
{
    struct wz_bus_post *post = WZ_CONTAINER(mail, struct wz_bus_post, mail);
    struct wz_bus *bus = post->bus;
    int r = wz_bus_publish(bus, post->exchange, &post->message, &post->ticket);

    if (r == WZ_ERR_BUSY && wz_space_low(bus->space))
        r = WZ_ERR_NOSPACE; // it may last
    if (r < 0 || wz_ticket_safe(&post->ticket)) {
        answer(post, r);
        return;
    }
    wz_ticket_want(&post->ticket);
    mail->next = bus->pending;
    bus->pending = mail;
}

int wz_bus_post(struct wz_bus *bus, struct wz_bus_post *post)
{
    post->bus = bus;
    post->mail.run = on_post;
    return wz_mailbox_post(&bus->loop->mail, &post->mail);
}

void wz_bus_on_ready(struct wz_bus *bus, struct wz_bus_waiter *waiter)
{
    if (waiter->waiting)
        return;
    waiter->waiting = true;
    waiter->next = bus->waiters;
    bus->waiters = waiter;
}

void wz_bus_off_ready(struct wz_bus *bus, struct wz_bus_waiter *waiter)
{
    struct wz_bus_waiter **place = &bus->waiters;

    while (*place != NULL && *place != waiter)
        place = &(*place)->next;
    if (*place != NULL)
        *place = waiter->next;
    waiter->waiting = false;
}

void wz_bus_durable(struct wz_bus *bus)
{
    struct wz_mail **place = &bus->pending;
    struct wz_bus_waiter *waiter = bus->waiters;

    while (*place != NULL) {
        struct wz_bus_post *post = WZ_CONTAINER(*place, struct wz_bus_post, mail);

        if (wz_ticket_safe(&post->ticket)) {
            *place = post->mail.next;
            answer(post, WZ_OK);
        } else {
            place = &(*place)->next;
        }
    }
    if (wz_space_low(bus->space))
        return; // nothing would be taken of them
    bus->waiters = NULL;
    while (waiter != NULL) {
        struct wz_bus_waiter *next = waiter->next;

        waiter->waiting = false;
        waiter->ready(waiter->arg);
        waiter = next;
    }
}

void wz_bus_stop(struct wz_bus *bus)
{
    while (bus->pending != NULL) {
        struct wz_bus_post *post = WZ_CONTAINER(bus->pending, struct wz_bus_post, mail);

        bus->pending = post->mail.next;
        answer(post, WZ_ERR_CLOSED);
    }
}
