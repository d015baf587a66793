// SPDX-License-Identifier: Apache-2.0
// wyze-load MODE [--option value]...: loads a server on 127.0.0.1 and prints one line of JSON.

#include <stdio.h>
#include <string.h>

#include "echo.h"
#include "fail.h"
#include "flow.h"
#include "idle.h"
#include "mqtt.h"
#include "nats.h"
#include "options.h"

struct mode {
    const char *name;
    void (*run)(const struct mode *mode, struct wz_options *options);
    const struct wz_protocol *protocol;
    enum wz_flow_parts parts; // Of a flow.
    const char *help;
};

static void run_flow(const struct mode *mode, struct wz_options *options)
{
    wz_flow_run(mode->name, mode->protocol, options, mode->parts);
}

static void run_core_nats(const struct mode *mode, struct wz_options *options)
{
    options->qos = 0;
    run_flow(mode, options);
}

static void run_jetstream(const struct mode *mode, struct wz_options *options)
{
    options->qos = 1;
    run_flow(mode, options);
}

static void run_echo(const struct mode *mode, struct wz_options *options)
{
    wz_echo_run(mode->name, mode->protocol, options);
}

static void run_acks(const struct mode *mode, struct wz_options *options)
{
    options->qos = 1;
    wz_echo_run_acks(mode->name, mode->protocol, options);
}

static void run_idle(const struct mode *mode, struct wz_options *options)
{
    wz_idle_run(mode->name, mode->protocol, options);
}

static void run_sessions(const struct mode *mode, struct wz_options *options)
{
    wz_idle_run_sessions(mode->name, mode->protocol, options);
}

// One message for each topic.
static void run_retain(const struct mode *mode, struct wz_options *options)
{
    options->retain = 1;
    if (options->messages == 0)
        options->messages = options->devices * options->subtopics;
    run_flow(mode, options);
}

static const struct mode modes[] = {
    {"mqtt-pub", run_flow, &wz_mqtt, WZ_FLOW_PUBLISH,
     "publish at full speed; at QoS 1 and 2 with a window and the latency of the last ack"},
    {"mqtt-sub", run_flow, &wz_mqtt, WZ_FLOW_SUBSCRIBE,
     "count messages until --messages came to each or none came for --idle-ms"},
    {"mqtt-pubsub", run_flow, &wz_mqtt, WZ_FLOW_BOTH, "both in one process, with what got lost"},
    {"mqtt-rtt", run_echo, &wz_mqtt, 0, "readings at --rate, latency until the answer"},
    {"mqtt-acks", run_acks, &wz_mqtt, 0, "QoS 1 readings at --rate, latency until the ack"},
    {"mqtt-idle", run_idle, &wz_mqtt, 0, "open --connections, hold them until stdin ends"},
    {"mqtt-sessions", run_sessions, &wz_mqtt, 0,
     "mqtt-idle with persistent sessions, each subscribed once to a topic of its own"},
    {"mqtt-retain", run_retain, &wz_mqtt, WZ_FLOW_PUBLISH,
     "mqtt-pub of one retained message a topic, or --messages"},
    {"nats-pub", run_core_nats, &wz_nats, WZ_FLOW_PUBLISH, "mqtt-pub at QoS 0 for core NATS"},
    {"nats-pubsub", run_core_nats, &wz_nats, WZ_FLOW_BOTH, "mqtt-pubsub at QoS 0 for core NATS"},
    {"nats-js-pub", run_jetstream, &wz_nats, WZ_FLOW_PUBLISH,
     "mqtt-pub at QoS 1 for JetStream; makes the stream BENCH of --filter in files"},
    {"nats-js-pubsub", run_jetstream, &wz_nats, WZ_FLOW_BOTH,
     "nats-js-pub with durable push consumers that ack every message"},
    {"nats-idle", run_idle, &wz_nats, 0, "mqtt-idle for NATS"},
};

#define MODE_COUNT (sizeof(modes) / sizeof(modes[0]))

static int print_help(void)
{
    (void)printf("wyze-load MODE [--option VALUE]...\n\nModes:\n");
    for (size_t i = 0; i < MODE_COUNT; i++)
        (void)printf("  %-14s %s\n", modes[i].name, modes[i].help);
    (void)printf("\nOptions and their defaults:\n");
    wz_options_help(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    struct wz_options options;

    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)
        return print_help();
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (strcmp(argv[1], modes[i].name) != 0)
            continue;
        wz_options_read(argc - 2, argv + 2, &options);
        modes[i].run(&modes[i], &options);
        return 0;
    }
    wz_fail_usage("no mode is called \"%s\"; see wyze-load help", argv[1]);
}
