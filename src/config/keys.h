// SPDX-License-Identifier: Apache-2.0
// The one table of configuration keys: the parser, --help and docs/configuration.md come from it.
// A flag is the key with '.' and '_' as '-' (--mqtt-max-packet), an environment variable WYZE_ and
// the key in capitals with '.' as '_' (WYZE_MQTT_MAX_PACKET).
#pragma once

// id, key, type (config/value.h), default, least, most, words of a choice, help.
// Sizes are in bytes and durations in milliseconds; a range of 0 to 0 means that there is none.
#define WZ_CONFIG_TABLE(X)                                                                         \
    X(CONFIG, "config", PATH, "", 0, 0, NULL,                                                      \
      "the configuration file; when not given, wyze.yaml in the current folder if it is there")    \
    X(COMMANDS_EXPIRY, "commands.expiry", DURATION, "60s", 0, 3650 * WZ_DAY_MS, NULL,              \
      "a command that could not be sent for so long is not sent any more; 0: it always is")        \
    X(COMMANDS_RATE, "commands.rate", COUNT, "100", 1, 1000000, NULL,                              \
      "commands a second to one topic, and at once; more wait in their order")                     \
    X(DATA, "data", PATH, "", 0, 0, NULL,                                                          \
      "the folder of everything wyze keeps; empty: /var/lib/wyze for root, else "                  \
      "$XDG_DATA_HOME/wyze or ~/.local/share/wyze")                                                \
    X(DURABILITY, "durability", CHOICE, "fsync", 0, 0, "fsync|os",                                 \
      "when a message counts as kept: fsync, after it is on the disk; os, after the operating "    \
      "system has it")                                                                             \
    X(HTTP_LISTEN, "http.listen", ADDRESS, "127.0.0.1:5081", 0, 0, NULL,                           \
      "where the API listens, or off")                                                             \
    X(INBOX_MAX_BYTES, "inbox.max_bytes", SIZE, "64MiB", 8 * WZ_MIB, 64 * WZ_GIB, NULL,            \
      "how much is kept of messages that no rule maps; the oldest go")                             \
    X(INBOX_MAX_RATE, "inbox.max_rate", SIZE, "1MiB", 0, WZ_GIB, NULL,                             \
      "how much of them is kept in a second; what is beyond is counted only; 0B: nothing is kept") \
    X(LOG_LEVEL, "log.level", CHOICE, "info", 0, 0, "error|warn|info|debug",                       \
      "the least important lines that the program's own log shows")                                \
    X(MEMORY_MAX, "memory.max", SIZE, "256MiB", 16 * WZ_MIB, WZ_TIB, NULL,                         \
      "what clients make wyze hold: partial packets, output that they do not take, messages and "  \
      "acks that wait in memory, subscriptions")                                                   \
    X(MQTT_CONNECT_TIMEOUT, "mqtt.connect_timeout", DURATION, "10s", 100, 10 * WZ_MINUTE_MS, NULL, \
      "how long a new connection may take until its CONNECT is complete")                          \
    X(MQTT_LISTEN, "mqtt.listen", ADDRESS, "127.0.0.1:1883", 0, 0, NULL,                           \
      "where the MQTT door listens, or off")                                                       \
    X(MQTT_MAX_CONNECTIONS, "mqtt.max_connections", COUNT, "20000", 1, 1000000, NULL,              \
      "MQTT connections open at one time")                                                         \
    X(MQTT_MAX_INFLIGHT, "mqtt.max_inflight", COUNT, "1000", 1, 65535, NULL,                       \
      "messages of QoS 1 and 2 sent to a session and not yet acknowledged by it")                  \
    X(MQTT_MAX_PACKET, "mqtt.max_packet", SIZE, "1MiB", 1024, 2 * WZ_MIB, NULL,                    \
      "the largest MQTT packet that is taken in")                                                  \
    X(MQTT_MAX_QUEUED, "mqtt.max_queued", COUNT, "100000", 1, 100000000, NULL,                     \
      "messages that wait for one session")                                                        \
    X(MQTT_MAX_QUEUED_BYTES, "mqtt.max_queued_bytes", SIZE, "64MiB", 64 * WZ_KIB, WZ_TIB, NULL,    \
      "bytes of the messages that wait for one session")                                           \
    X(MQTT_MAX_RETAINED, "mqtt.max_retained", COUNT, "100000", 1, 100000000, NULL,                 \
      "topics with a retained message")                                                            \
    X(MQTT_MAX_RETAINED_BYTES, "mqtt.max_retained_bytes", SIZE, "64MiB", 64 * WZ_KIB, WZ_TIB,      \
      NULL, "bytes of retained messages, which are held in memory")                                \
    X(MQTT_MAX_SESSIONS, "mqtt.max_sessions", COUNT, "100000", 1, 250000, NULL,                    \
      "persistent sessions, whether their clients are there or not")                               \
    X(MQTT_MAX_SUBSCRIPTIONS, "mqtt.max_subscriptions", COUNT, "10000", 1, 10000000, NULL,         \
      "subscriptions of one session")                                                              \
    X(MQTT_MAX_TOPIC, "mqtt.max_topic", SIZE, "65535", 16, 65535, NULL,                            \
      "the longest topic or filter in bytes")                                                      \
    X(MQTT_MAX_TOPIC_LEVELS, "mqtt.max_topic_levels", COUNT, "128", 1, 128, NULL,                  \
      "the most levels of a topic or filter")                                                      \
    X(MQTT_SESSION_EXPIRY, "mqtt.session_expiry", DURATION, "30d", 1000, 3650 * WZ_DAY_MS, NULL,   \
      "how long a persistent session is kept for a client that does not come back")                \
    X(MQTT_SYS_INTERVAL, "mqtt.sys_interval", DURATION, "10s", 0, WZ_DAY_MS, NULL,                 \
      "how often the values under $SYS/broker/ are made anew and published; 0: there are none")    \
    X(SCRIPTS_MAX_MESSAGE_TIME, "scripts.max_message_time", DURATION, "30s", 10, WZ_DAY_MS, NULL,  \
      "how long a script may take for one message before its worker is ended")                     \
    X(SCRIPTS_MAX_STATE, "scripts.max_state", SIZE, "256MiB", 64 * WZ_KIB, WZ_TIB, NULL,           \
      "bytes of the state of a script, for each of its workers; each key counts for its bytes, "   \
      "its value's and 100 more, and a call that would go beyond fails")                           \
    X(SCRIPTS_RETRY_DELAY, "scripts.retry_delay", DURATION, "100ms", 1, WZ_DAY_MS, NULL,           \
      "how long a message on which a script failed waits before it is tried again; the second "    \
      "time four times as long, the third 16 times; then it goes into quarantine")                 \
    X(SCRIPTS_SANDBOX, "scripts.sandbox", CHOICE, "full", 0, 0, "full|without-landlock",           \
      "what keeps scripts from the machine: full, all that docs/sandbox.md tells, and a kernel "   \
      "that cannot do it runs none; without-landlock, they run there too and can read every "      \
      "file that wyze can")                                                                        \
    X(SCRIPTS_WINDOW, "scripts.window", SIZE, "1MiB", 4 * WZ_KIB, 256 * WZ_MIB, NULL,              \
      "bytes of messages that are under way to one worker")                                        \
    X(SCRIPTS_LOG_BYTES, "scripts.log_bytes", SIZE, "64MiB", WZ_MIB, 64 * WZ_GIB, NULL,            \
      "how much of what scripts say is kept")                                                      \
    X(STREAMS_COMPRESSION, "streams.compression", CHOICE, "zstd", 0, 0, "zstd|none",               \
      "whether the files of raw-stream and processed-stream that are full are compressed")         \
    X(STREAMS_KEEP_FREE, "streams.keep_free", COUNT, "5", 0, 90, NULL,                             \
      "per cent of the disk that stay free: with less, the oldest segments of the largest stream " \
      "are removed; 0: none are")                                                                  \
    X(STREAMS_MIN_FREE, "streams.min_free", SIZE, "64MiB", 0, WZ_TIB, NULL,                        \
      "with less free on the disk no messages are taken in, so that those that are there can be "  \
      "taken out; when not given, at most a twentieth of the disk; 0B: no such floor")             \
    X(STREAMS_PROCESSED_AGE, "streams.processed_age", DURATION, "0ms", 0, 36500 * WZ_DAY_MS, NULL, \
      "how long records of processed-stream are kept; 0: for ever")                                \
    X(STREAMS_PROCESSED_BYTES, "streams.processed_bytes", SIZE, "10GiB", 0, 1024 * WZ_TIB, NULL,   \
      "how much of processed-stream is kept: beyond, its oldest segments are removed; 0B: all")    \
    X(STREAMS_RAW_AGE, "streams.raw_age", DURATION, "0ms", 0, 36500 * WZ_DAY_MS, NULL,             \
      "how long records of raw-stream are kept; 0: for ever")                                      \
    X(STREAMS_RAW_BYTES, "streams.raw_bytes", SIZE, "10GiB", 0, 1024 * WZ_TIB, NULL,               \
      "how much of raw-stream is kept: beyond, its oldest segments are removed; 0B: all")          \
    X(STREAMS_SEGMENT_BYTES, "streams.segment_bytes", SIZE, "256MiB", WZ_MIB, WZ_GIB, NULL,        \
      "the length at which a stream begins its next file, but an eighth of what is kept of it at " \
      "the most")

#define WZ_KIB INT64_C(1024)
#define WZ_MIB (1024 * WZ_KIB)
#define WZ_GIB (1024 * WZ_MIB)
#define WZ_TIB (1024 * WZ_GIB)
#define WZ_MINUTE_MS INT64_C(60000)
#define WZ_DAY_MS (24 * 60 * WZ_MINUTE_MS)

enum wz_config_key {
#define WZ_CONFIG_ENUM(id, key, type, preset, least, most, words, help) WZ_CONFIG_##id,
    WZ_CONFIG_TABLE(WZ_CONFIG_ENUM)
#undef WZ_CONFIG_ENUM
        WZ_CONFIG_KEY_COUNT,
};
