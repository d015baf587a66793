// SPDX-License-Identifier: Apache-2.0
// The client side of MQTT 3.1.1, as much of it as a load needs.

#ifndef WZ_BENCH_LOAD_MQTT_H
#define WZ_BENCH_LOAD_MQTT_H

struct wz_protocol;

// Sessions without keep-alive, clean or persistent, QoS 0 to 2. Static, never freed.
extern const struct wz_protocol wz_mqtt;

#endif
