// SPDX-License-Identifier: Apache-2.0
// Where the tiers meet: the five exchanges, who publishes to them and who consumes from them. All
// of it belongs to the loop thread; other threads publish through wz_bus_post.
#pragma once

#include "broker/message.h"
#include "broker/ticket.h"
#include "loop/mailbox.h"

struct wz_bus;
struct wz_exchange;
struct wz_binding;

enum wz_bus_exchange {
    WZ_BUS_DEVICES,   // amq.topic: MQTT clients, and the commands to them
    WZ_BUS_INGRESS,   // data sources; what is published here enters the system
    WZ_BUS_RAW,       // live mirror of raw-stream
    WZ_BUS_EGRESS,    // what is to be sent out: scripts' outputs, applications
    WZ_BUS_PROCESSED, // live mirror of processed-stream
    WZ_BUS_COUNT,
};

// Called for each message that matches a binding, on the loop thread. SLOT is the consumer's own
// word for this topic, NULL at first, kept until the topic leaves the cache. A consumer that takes
// on a duty for the message sets RET_TICKET. Returns WZ_OK, or WZ_ERR_BUSY when it cannot take the
// message now: the publisher must then try again later.
typedef int (*wz_bus_consume_fn)(void *arg, const struct wz_message *msg, void **slot,
                                 struct wz_ticket *ret_ticket);

// Frees what a consumer has put in its slot; may be NULL if it puts nothing there.
typedef void (*wz_bus_forget_fn)(void *arg, void *slot);

// The name of an exchange as users and AMQP know it ("amq.topic").
const char *wz_bus_exchange_name(enum wz_bus_exchange id);

// The exchange NAME, or WZ_BUS_COUNT when there is none.
enum wz_bus_exchange wz_bus_exchange_find(struct wz_slice name);

// Binds a consumer to the messages of an exchange whose topics match PATTERN: AMQP form ("a.*.#"),
// on WZ_BUS_DEVICES the MQTT form ("a/+/#"). WZ_ERR_INVALID for a bad pattern. The caller gives
// RET_BINDING to wz_bus_unbind.
WZ_MUST int wz_bus_bind(struct wz_bus *bus, enum wz_bus_exchange id, struct wz_slice pattern,
                        wz_bus_consume_fn consume, wz_bus_forget_fn forget, void *arg,
                        struct wz_binding **ret_binding);

// Ends a binding; its slots are forgotten. Not from inside its own consumer.
void wz_bus_unbind(struct wz_bus *bus, struct wz_binding *binding);

// Publishes on the loop thread. RET_TICKET says what an ack has to wait for. WZ_ERR_BUSY when a
// consumer cannot take it now: nothing was done, try again when wz_bus_on_ready calls.
// WZ_ERR_INVALID for a topic that the exchange does not allow; what is below $SYS is the broker's.
WZ_MUST int wz_bus_publish(struct wz_bus *bus, enum wz_bus_exchange id,
                           const struct wz_message *msg, struct wz_ticket *ret_ticket);

// Whether the bus takes messages now, as far as that does not depend on who consumes them: else
// wz_bus_publish would say WZ_ERR_BUSY.
bool wz_bus_takes(const struct wz_bus *bus);

// Whether TOPIC may be published to an exchange other than amq.topic: words joined by '.', none of
// them empty or a wildcard; UTF-8 without control characters, at most 255 bytes.
bool wz_bus_topic_valid(struct wz_slice topic);

// How many were bound to TOPIC, the tiers among them, when it was published to the exchange just
// now.
uint32_t wz_bus_receivers(const struct wz_bus *bus, enum wz_bus_exchange id, struct wz_slice topic);

// Whether anybody is bound to the exchange at all: who has to build a message first may ask.
bool wz_bus_wanted(const struct wz_bus *bus, enum wz_bus_exchange id);

// Changes whenever a topic of the exchange may get other receivers; never 0. Who publishes to a
// topic again and again may remember that nobody received it.
uint64_t wz_bus_version(const struct wz_bus *bus, enum wz_bus_exchange id);

// Forgets what all consumers have resolved for their topics: called when the mapping has changed.
void wz_bus_forget(struct wz_bus *bus);

// A publication from another thread. The sender owns it, and the bytes that its message borrows,
// until DONE has run on the thread of REPLY_TO.
struct wz_bus_post {
    struct wz_mail mail;
    enum wz_bus_exchange exchange;
    struct wz_message message;
    struct wz_mailbox *reply_to;
    wz_mail_fn done; // gets &mail

    struct wz_bus *bus;      // the bus's, while it is under way
    int result;              // WZ_OK once the message is as safe as durability says
    struct wz_ticket ticket; // set with the result
};

// Publishes from any thread; DONE runs when the message is durable or refused: with WZ_ERR_BUSY
// when it cannot be taken now, WZ_ERR_NOSPACE while room on the disk is short. WZ_ERR_BUSY when too
// much is under way, WZ_ERR_CLOSED at the end: then DONE does not run.
WZ_MUST int wz_bus_post(struct wz_bus *bus, struct wz_bus_post *post);

// Called on the loop thread when publishing may work again after WZ_ERR_BUSY.
typedef void (*wz_bus_ready_fn)(void *arg);

// A wish to be called once when the bus takes messages again; LINK and fields belong to the bus
// while it waits.
struct wz_bus_waiter {
    struct wz_bus_waiter *next;
    wz_bus_ready_fn ready;
    void *arg;
    bool waiting;
};

// Registers WAITER for one call; fine when it waits already.
void wz_bus_on_ready(struct wz_bus *bus, struct wz_bus_waiter *waiter);

// Takes the wish back; fine when WAITER does not wait. Not from inside a ready function.
void wz_bus_off_ready(struct wz_bus *bus, struct wz_bus_waiter *waiter);
