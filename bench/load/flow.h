// SPDX-License-Identifier: Apache-2.0
// Publishers at full speed, subscribers that count, or both, on one epoll loop.

#ifndef WZ_BENCH_LOAD_FLOW_H
#define WZ_BENCH_LOAD_FLOW_H

struct wz_options;
struct wz_protocol;

// Which parts of a flow a mode runs.
enum wz_flow_parts {
    WZ_FLOW_PUBLISH = 1,
    WZ_FLOW_SUBSCRIBE = 2,
    WZ_FLOW_BOTH = 3,
};

// Runs to the end and prints the result under the mode's name: until all messages are published
// and read by the server, and until the subscribers have them all or hear nothing any more.
void wz_flow_run(const char *mode, const struct wz_protocol *protocol,
                 const struct wz_options *options, enum wz_flow_parts parts);

#endif
