// SPDX-License-Identifier: Apache-2.0
// The table of options and its reader.

#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

// A text option has no range; its default is text.
struct option {
    const char *name;
    size_t place;
    const char *initial;
    uint64_t min;
    uint64_t max;
    const char *help;
};

// Versions of clang-format differ on a macro that is a brace.
// clang-format off
#define TEXT(member, initial, help)                                                                \
    {"--" #member, offsetof(struct wz_options, member), initial, 0, 0, help}
#define NUMBER(name, member, initial, min, max, help)                                              \
    {name, offsetof(struct wz_options, member), #initial, min, max, help}
// clang-format on

static const struct option options_table[] = {
    NUMBER("--port", port, 1883, 1, 65535, "port of the server on 127.0.0.1"),
    TEXT(topic, "bench/%d/s%d/status", "topics to publish on: %d is the device, then the subtopic"),
    TEXT(answer, "bench/%d/s%d/command", "topics on which the answers of mqtt-rtt come"),
    TEXT(filter, "bench/#", "what subscribers subscribe to"),
    NUMBER("--publishers", publishers, 4, 1, 256, "connections that publish"),
    NUMBER("--subscribers", subscribers, 1, 1, 256, "connections that subscribe"),
    NUMBER("--devices", devices, 100, 1, 1000000, "devices in the topics"),
    NUMBER("--subtopics", subtopics, 10, 1, 1000, "subtopics of each device"),
    NUMBER("--body", body_bytes, 100, 64, 65000, "bytes of a body, a JSON object"),
    NUMBER("--qos", qos, 0, 0, 2, "quality of service of messages and subscriptions"),
    NUMBER("--window", window, 200, 1, 16384, "messages in flight per connection at QoS 1 and 2"),
    NUMBER("--messages", messages, 0, 0, 1000000000000, "messages in all, 0: until --seconds"),
    NUMBER("--seconds", seconds, 5, 1, 86400, "time of publishing when --messages is 0"),
    NUMBER("--rate", rate, 5000, 1, 1000000, "messages a second of mqtt-rtt and mqtt-acks"),
    NUMBER("--direct", direct, 0, 0, 1, "1: mqtt-rtt from device to device, without a script"),
    NUMBER("--idle-ms", idle_ms, 2000, 1, 600000, "silence after which subscribers give up"),
    NUMBER("--slow-us", slow_us, 0, 0, 10000000, "pause of a subscriber after reading 4 KiB"),
    NUMBER("--connections", connections, 5000, 1, 25000, "connections of the holding modes"),
    NUMBER("--retain", retain, 0, 0, 1, "1: messages are retained"),
    NUMBER("--persistent-pub", persistent_pub, 0, 0, 1, "1: publishers have persistent sessions"),
    NUMBER("--persistent-sub", persistent_sub, 0, 0, 1, "1: subscribers have persistent sessions"),
    NUMBER("--resume", resume, 0, 0, 1,
           "1: persistent subscribers must find their sessions and do not subscribe again"),
    TEXT(client, "wyze-load", "what the client ids of persistent sessions begin with"),
};

#define OPTION_COUNT (sizeof(options_table) / sizeof(options_table[0]))

static void store(const struct option *option, const char *text, struct wz_options *options)
{
    char *member = (char *)options + option->place;
    unsigned long long value;
    char *end;

    if (option->max == 0) {
        memcpy(member, &text, sizeof(text));
        return;
    }
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < option->min || value > option->max)
        wz_fail_usage("%s takes a number from %llu to %llu, not \"%s\"", option->name,
                      (unsigned long long)option->min, (unsigned long long)option->max, text);
    memcpy(member, &(uint64_t){value}, sizeof(uint64_t));
}

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(options_table[i].name, name) == 0)
            return &options_table[i];
    }
    wz_fail_usage("no option is called \"%s\"; see wyze-load help", name);
}

void wz_options_read(int argc, char **argv, struct wz_options *ret_options)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        store(&options_table[i], options_table[i].initial, ret_options);
    for (int i = 0; i < argc; i += 2) {
        const struct option *option = find_option(argv[i]);

        if (i + 1 == argc)
            wz_fail_usage("%s needs a value", option->name);
        store(option, argv[i + 1], ret_options);
    }
}

void wz_options_help(FILE *out)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        (void)fprintf(out, "  %-17s %-22s %s\n", options_table[i].name, options_table[i].initial,
                      options_table[i].help);
}
