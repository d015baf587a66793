// SPDX-License-Identifier: Apache-2.0
// The MQTT door: clients of MQTT 3.1.1 over TCP, at the exchange amq.topic. Loop thread only.
#pragma once

#include "base/problem.h"
#include "broker/session.h"
#include "loop/listener.h"
#include "stream/space.h"

struct wz_mqtt;

// How the door is opened. All of it is needed but SPACE.
struct wz_mqtt_options {
    struct wz_loop *loop;
    struct wz_exchange *exchange; // amq.topic
    const char *host;
    int port; // 0: any free one
    struct wz_queues *queues;
    struct wz_retained *retained;
    struct wz_space *space; // NULL: there always is room
    struct wz_session_limits session;
    size_t max_packet_bytes;
    uint32_t max_connections;
    int64_t connect_timeout_ms;
    int64_t sys_interval_ms; // how often the topics of $SYS are published; 0: there are none
};

// Opens the door. RET_PROBLEM says why it cannot (the port is taken). The caller owns RET_MQTT.
WZ_MUST int wz_mqtt_open(const struct wz_mqtt_options *options, struct wz_mqtt **ret_mqtt,
                         struct wz_problem *ret_problem);

// Closes listener and connections; they go in the turns that follow.
void wz_mqtt_close(struct wz_mqtt *mqtt);

// Frees it, after the loop has returned; NULL is fine.
void wz_mqtt_free(struct wz_mqtt *mqtt);

// Something has become durable, or there is room on the disk again: sends the acks that waited for
// it, and lets publishers that were held up go on.
void wz_mqtt_durable(struct wz_mqtt *mqtt);

// The port it listens on.
int wz_mqtt_port(const struct wz_mqtt *mqtt);
