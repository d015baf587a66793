// SPDX-License-Identifier: Apache-2.0
// What the command line asks for. One table gives the names, the ranges, the defaults and the
// help text.

#ifndef WZ_BENCH_LOAD_OPTIONS_H
#define WZ_BENCH_LOAD_OPTIONS_H

#include <stdint.h>
#include <stdio.h>

struct wz_options {
    const char *topic;  // A pattern: the first %d is the device, the second the subtopic.
    const char *answer; // The pattern of the topics on which answers come.
    const char *filter; // What subscribers subscribe to.
    uint64_t port;      // Of 127.0.0.1: a load is never sent elsewhere.
    uint64_t publishers;
    uint64_t subscribers;
    uint64_t devices;
    uint64_t subtopics;
    uint64_t body_bytes;
    uint64_t qos;
    uint64_t window;         // Messages in flight per connection when acks are waited for.
    uint64_t messages;       // In all; 0: for as long as seconds says.
    uint64_t seconds;        // Of publishing.
    uint64_t rate;           // Messages a second of mqtt-rtt and mqtt-acks.
    uint64_t direct;         // 1: answers are the readings themselves, seen by another connection.
    uint64_t idle_ms;        // How long a subscriber waits for a message that may never come.
    uint64_t slow_us;        // A pause of the subscriber after every read of 4 KiB.
    uint64_t connections;    // Of the modes that open connections and hold them.
    uint64_t retain;         // 1: messages are retained.
    const char *client;      // What the names of persistent sessions begin with.
    uint64_t persistent_pub; // 1: publishers have persistent sessions.
    uint64_t persistent_sub; // 1: subscribers do.
    uint64_t resume;         // 1: subscribers go on with a session that must be there.
};

// Reads argv[0] to argv[argc - 1] as pairs of --name and value. The strings of the result point
// into argv. Ends the program with exit code 2 on a name or value that is not in the table.
void wz_options_read(int argc, char **argv, struct wz_options *ret_options);

// Writes one line an option.
void wz_options_help(FILE *out);

#endif
