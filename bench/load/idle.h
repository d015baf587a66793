// SPDX-License-Identifier: Apache-2.0
// Connections and sessions that do nothing, to see what one costs the server.

#ifndef WZ_BENCH_LOAD_IDLE_H
#define WZ_BENCH_LOAD_IDLE_H

struct wz_options;
struct wz_protocol;

// Opens the connections one after the other, prints the result with the latencies of opening,
// and holds them until stdin ends.
void wz_idle_run(const char *mode, const struct wz_protocol *protocol,
                 const struct wz_options *options);

// The same with persistent sessions, each with a subscription to a topic of its own: device n,
// subtopic 0. They are left when stdin ends.
void wz_idle_run_sessions(const char *mode, const struct wz_protocol *protocol,
                          const struct wz_options *options);

#endif
