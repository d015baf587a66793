// SPDX-License-Identifier: Apache-2.0
// Devices that send readings at a fixed rate and wait for what answers each: a command, or the ack.

#ifndef WZ_BENCH_LOAD_ECHO_H
#define WZ_BENCH_LOAD_ECHO_H

struct wz_options;
struct wz_protocol;

// Runs for the options' seconds or messages and prints the latencies. Open loop: readings leave
// by the clock whether answers come or not, and a latency counts from the time at which its
// reading was due, so that a server that stops for a while is seen to have stopped.
void wz_echo_run(const char *mode, const struct wz_protocol *protocol,
                 const struct wz_options *options);

// The same, but a reading is answered by its ack: the options' QoS is 1.
void wz_echo_run_acks(const char *mode, const struct wz_protocol *protocol,
                      const struct wz_options *options);

#endif
