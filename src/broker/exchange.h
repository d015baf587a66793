// SPDX-License-Identifier: Apache-2.0
// A topic exchange: bindings, and a cache that gives a topic's receivers in one look-up.
#pragma once

#include "broker/parcel.h"
#include "topic/trie.h"

struct wz_exchange;

// Receives a message that matched. SLOT is this receiver's own word for the topic, kept with the
// topic while it is cached, NULL at first. WZ_ERR_BUSY only from a receiver that is asked first
// (see wz_receiver): then nobody has had the message.
typedef int (*wz_receive_fn)(void *arg, struct wz_delivery *delivery, unsigned qos, void **slot);

// Frees a slot.
typedef void (*wz_receiver_forget_fn)(void *arg, void *slot);

// Somebody who receives: a session, a queue, a tier. A receiver with several matching bindings gets
// a message once, at the highest of their QoS (MQTT 3.1.1, 3.3.5). It stays its owner's.
struct wz_receiver {
    wz_receive_fn receive;
    wz_receiver_forget_fn forget; // NULL when it uses no slots
    void *arg;
    bool asked_first; // may refuse; at most one an exchange
};

// One pattern of one receiver.
struct wz_exchange_binding {
    struct wz_receiver *receiver;
    struct wz_exchange *exchange;
    size_t pattern_len;
    uint8_t qos;
    char pattern[];
};

// A binding's pattern, borrowed for as long as the binding is there.
static inline struct wz_slice wz_exchange_binding_pattern(const struct wz_exchange_binding *binding)
{
    return wz_slice(binding->pattern, binding->pattern_len);
}

// Makes an exchange whose topics and patterns are of FORM; the caller frees it.
struct wz_exchange *wz_exchange_new(const struct wz_topic_form *form);

// Sets the longest topic in bytes, and the most words of a topic or pattern, up to
// WZ_TRIE_DEPTH_MAX; before that only the latter holds.
void wz_exchange_limit(struct wz_exchange *exchange, size_t max_len, size_t max_words);

// Keeps bindings under BUDGET, which must outlive the exchange: each with about what it costs,
// here, in the trie and with its owner. Set before there are any; without it nobody counts them.
void wz_exchange_keep_under(struct wz_exchange *exchange, struct wz_budget *budget);

// Frees it; all bindings must be gone.
void wz_exchange_free(struct wz_exchange *exchange);

// Binds a receiver; PATTERN must be valid in the exchange's form. WZ_ERR_LIMIT when it is too long
// or too deep.
// The exchange owns the binding, wz_exchange_unbind frees it.
WZ_MUST int wz_exchange_bind(struct wz_exchange *exchange, struct wz_receiver *receiver,
                             struct wz_slice pattern, unsigned qos,
                             struct wz_exchange_binding **ret_binding);

// Changes a binding's QoS.
void wz_exchange_rebind(struct wz_exchange_binding *binding, unsigned qos);

// Ends and frees a binding. Not from inside wz_exchange_publish.
void wz_exchange_unbind(struct wz_exchange_binding *binding);

// Gives the message to all receivers whose bindings match. WZ_ERR_BUSY when the one that is asked
// first refuses; WZ_ERR_INVALID when VALID, asked once for a topic that is not cached, says no, or
// the topic is too long or has too many words.
// RET_TICKET is what an ack has to wait for.
typedef bool (*wz_topic_valid_fn)(struct wz_slice topic);
WZ_MUST int wz_exchange_publish(struct wz_exchange *exchange, const struct wz_message *msg,
                                wz_topic_valid_fn valid, struct wz_ticket *ret_ticket);

// Says that messages to COUNT topics, at most WZ_EXCHANGE_EXPECT_MAX, come next: what is cached of
// them is on its way from memory when they do. A hint without effect otherwise, worth its price for
// WZ_EXCHANGE_WIDE cached topics and more: fewer stay in the processor's own caches.
void wz_exchange_expect(const struct wz_exchange *exchange, const struct wz_slice *topics,
                        size_t count);

#define WZ_EXCHANGE_EXPECT_MAX 16
#define WZ_EXCHANGE_WIDE 2048

// Forgets all slots: for a change that concerns all topics. What it costs does not depend on how
// many are cached: each topic's slots are freed with its next message, or when another takes its
// place.
void wz_exchange_forget(struct wz_exchange *exchange);

// Whether there are any bindings.
bool wz_exchange_bound(const struct wz_exchange *exchange);

// How many receivers the bindings give TOPIC, which was published to last: 0 for one that is not
// cached as the bindings are now.
uint32_t wz_exchange_receivers(const struct wz_exchange *exchange, struct wz_slice topic);

// Changes whenever a topic may get other receivers; never 0.
uint64_t wz_exchange_version(const struct wz_exchange *exchange);

// How many topics are cached.
size_t wz_exchange_cached(const struct wz_exchange *exchange);

// More topics than this, or more bytes of their names and receivers, are not cached: each new one
// then takes the place of another.
#define WZ_EXCHANGE_CACHE_TOPICS (128 * 1024)
#define WZ_EXCHANGE_CACHE_BYTES (48 * 1024 * 1024)
