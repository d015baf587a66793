// SPDX-License-Identifier: Apache-2.0
// What the broker says of itself under $SYS/broker/: names, forms and averages of mosquitto 2.0.
// The values are in no stream, journal or set of retained messages. Loop thread only.
#pragma once

#include "broker/exchange.h"
#include "loop/loop.h"

struct wz_sys_topics;

// The numbers behind the topics. All but the first four and the three that are said to be of now
// count from the start on and never fall.
enum wz_sys_number {
    WZ_SYS_CLIENTS_TOTAL,
    WZ_SYS_CLIENTS_CONNECTED,
    WZ_SYS_CLIENTS_DISCONNECTED, // persistent sessions whose clients are not there
    WZ_SYS_CLIENTS_MAXIMUM,      // connected at one time
    WZ_SYS_CLIENTS_EXPIRED,      // persistent sessions
    WZ_SYS_SOCKETS,
    WZ_SYS_CONNECTS,
    WZ_SYS_PACKETS_RECEIVED,
    WZ_SYS_PACKETS_SENT,
    WZ_SYS_BYTES_RECEIVED,
    WZ_SYS_BYTES_SENT,
    WZ_SYS_PUBLISH_RECEIVED,
    WZ_SYS_PUBLISH_SENT,
    WZ_SYS_PUBLISH_DROPPED,
    WZ_SYS_PAYLOAD_RECEIVED, // bytes
    WZ_SYS_PAYLOAD_SENT,     // bytes
    WZ_SYS_STORED,           // messages of now
    WZ_SYS_SUBSCRIPTIONS,    // of now
    WZ_SYS_RETAINED,         // messages of now
    WZ_SYS_NUMBER_COUNT,
};

// Reads all numbers as they are now.
typedef void (*wz_sys_read_fn)(void *arg, int64_t ret_numbers[WZ_SYS_NUMBER_COUNT]);

// How they are made; all of it is needed, and borrowed.
struct wz_sys_topics_options {
    struct wz_loop *loop;
    struct wz_exchange *exchange; // amq.topic
    int64_t interval_ms;
    wz_sys_read_fn read;
    void *arg;
};

// Whether a topic is "$SYS" or below it, where nobody but the broker publishes.
bool wz_sys_topics_own(struct wz_slice topic);

// Makes the values of now and publishes them from now on every INTERVAL_MS. The caller owns it.
struct wz_sys_topics *wz_sys_topics_new(const struct wz_sys_topics_options *options);

// Publishes no more; NULL is fine.
void wz_sys_topics_stop(struct wz_sys_topics *sys);

// Frees it after wz_sys_topics_stop, when the loop has returned; NULL is fine.
void wz_sys_topics_free(struct wz_sys_topics *sys);

// What is done every INTERVAL_MS: makes the values of NOW_MS, on the loop's own clock, and
// publishes those that have changed, at QoS 0, and always the uptime.
void wz_sys_topics_publish(struct wz_sys_topics *sys, int64_t now_ms);

// The next value whose topic matches a well-formed filter, as a view borrowed until the values are
// made anew: as it was published last, with the retain flag. *AT is 0 at first. Takes what it
// looked at off *BUDGET: WZ_AGAIN when that is used up and there is more to look at, WZ_END at the
// end.
WZ_MUST int wz_sys_topics_next(const struct wz_sys_topics *sys, struct wz_slice filter, size_t *at,
                               size_t *budget, struct wz_message *ret_msg);
