// SPDX-License-Identifier: Apache-2.0
// Counters and gauges of the whole process, under Prometheus names. One table; any thread adds.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

// id, Prometheus name, type, help
#define WZ_METRICS_TABLE(X)                                                                        \
    X(MQTT_CONNECTIONS, "wyze_mqtt_connections", "gauge", "MQTT connections that are open")        \
    X(MQTT_SOCKETS, "wyze_mqtt_sockets_total", "counter", "MQTT connections that were opened")     \
    X(MQTT_CONNECTS, "wyze_mqtt_connects_total", "counter", "MQTT CONNECTs accepted")              \
    X(MQTT_REFUSED, "wyze_mqtt_refused_total", "counter",                                          \
      "connections refused or closed for an error")                                                \
    X(MQTT_RECEIVED, "wyze_mqtt_messages_received_total", "counter", "PUBLISH packets received")   \
    X(MQTT_SENT, "wyze_mqtt_messages_sent_total", "counter", "PUBLISH packets sent")               \
    X(MQTT_PAYLOAD_RECEIVED, "wyze_mqtt_payload_received_bytes_total", "counter",                  \
      "bytes of the payloads of PUBLISH packets received")                                         \
    X(MQTT_PAYLOAD_SENT, "wyze_mqtt_payload_sent_bytes_total", "counter",                          \
      "bytes of the payloads of PUBLISH packets sent")                                             \
    X(MQTT_PACKETS_RECEIVED, "wyze_mqtt_packets_received_total", "counter",                        \
      "MQTT packets of all kinds received")                                                        \
    X(MQTT_PACKETS_SENT, "wyze_mqtt_packets_sent_total", "counter",                                \
      "MQTT packets of all kinds sent")                                                            \
    X(MQTT_BYTES_RECEIVED, "wyze_mqtt_received_bytes_total", "counter",                            \
      "bytes read from MQTT connections")                                                          \
    X(MQTT_BYTES_SENT, "wyze_mqtt_sent_bytes_total", "counter",                                    \
      "bytes written to MQTT connections")                                                         \
    X(MQTT_DROPPED, "wyze_mqtt_messages_dropped_total", "counter",                                 \
      "messages not given to a subscriber that is too slow")                                       \
    X(QUEUES, "wyze_queues", "gauge", "durable queues: persistent MQTT sessions")                  \
    X(QUEUES_MESSAGES, "wyze_queues_messages", "gauge",                                            \
      "messages that wait in durable queues, or are on their way from them")                       \
    X(QUEUES_EXPIRED, "wyze_queues_expired_total", "counter",                                      \
      "durable queues deleted because nobody had used them for too long")                          \
    X(QUEUES_DROPPED, "wyze_queues_messages_refused_total", "counter",                             \
      "messages not put into a durable queue that is full")                                        \
    X(MEMORY_HELD, "wyze_memory_held_bytes", "gauge",                                              \
      "bytes that clients make wyze hold, as memory.max counts them")                              \
    X(MEMORY_STOPS, "wyze_memory_stops_total", "counter",                                          \
      "times a connection was not read from because memory was short")                             \
    X(MEMORY_CLOSED, "wyze_memory_closed_total", "counter",                                        \
      "connections closed because memory was short")                                               \
    X(RETAINED, "wyze_retained_messages", "gauge", "messages that are retained")                   \
    X(RETAINED_BYTES, "wyze_retained_bytes", "gauge",                                              \
      "bytes of retained messages, as mqtt.max_retained_bytes counts them")                        \
    X(RETAINED_REFUSED, "wyze_retained_refused_total", "counter",                                  \
      "messages not retained because a limit was reached")                                         \
    X(DEMUX_MAPPED, "wyze_demux_mapped_total", "counter", "messages that got a logical name")      \
    X(DEMUX_UNMAPPED, "wyze_demux_unmapped_total", "counter", "messages that no rule maps")        \
    X(UNMAPPED_DEVICE, "wyze_demux_unmapped_unknown_device_total", "counter",                      \
      "unmapped messages of which no device id is a prefix")                                       \
    X(UNMAPPED_TYPE, "wyze_demux_unmapped_unknown_type_total", "counter",                          \
      "unmapped messages that have none of the shapes of their device's topics")                   \
    X(UNMAPPED_UNSAFE, "wyze_demux_unmapped_unsafe_level_total", "counter",                        \
      "unmapped messages with a level that cannot be a word")                                      \
    X(UNMAPPED_COLLISION, "wyze_demux_unmapped_collision_total", "counter",                        \
      "unmapped messages whose topic would be another's")                                          \
    X(UNMAPPED_LONG, "wyze_demux_unmapped_too_long_total", "counter",                              \
      "unmapped messages whose topic would be too long")                                           \
    X(INBOX_KEPT, "wyze_inbox_kept_total", "counter", "unmapped messages that were kept")          \
    X(INBOX_REFUSED, "wyze_inbox_refused_total", "counter",                                        \
      "unmapped messages not kept because of inbox.max_rate, or as the disk takes nothing")        \
    X(INBOX_IGNORED, "wyze_inbox_ignored_total", "counter",                                        \
      "unmapped messages not kept because they are ignored")                                       \
    X(INBOX_REENTERED, "wyze_inbox_reentered_total", "counter",                                    \
      "messages that were kept unmapped and then put on raw-stream")                               \
    X(DEMUX_UNTYPED, "wyze_demux_untyped_total", "counter",                                        \
      "bodies that are not of their channel's type, kept as text")                                 \
    X(DEMUX_COMMANDS, "wyze_demux_commands_total", "counter", "commands sent to devices")          \
    X(DEMUX_COMMANDS_UNMAPPED, "wyze_demux_commands_unmapped_total", "counter",                    \
      "commands for which there is no device")                                                     \
    X(COMMANDS_EXPIRED, "wyze_commands_expired_total", "counter",                                  \
      "commands not sent because they were older than commands.expiry")                            \
    X(COMMANDS_DELAYED, "wyze_commands_delayed_total", "counter",                                  \
      "commands that had to wait because their topic had had commands.rate")                       \
    X(COMMANDS_UNDELIVERED, "wyze_commands_undelivered_total", "counter",                          \
      "commands sent while nobody had subscribed to the device's topic")                           \
    X(RECORDS_RAW, "wyze_stream_raw_records_total", "counter", "records put on raw-stream")        \
    X(RECORDS_PROCESSED, "wyze_stream_processed_records_total", "counter",                         \
      "records put on processed-stream")                                                           \
    X(STREAM_SYNCS, "wyze_stream_syncs_total", "counter", "times the log was made durable")        \
    X(STREAM_FAILURES, "wyze_stream_failures_total", "counter", "writes or syncs that failed")     \
    X(STREAM_CUT_BYTES, "wyze_stream_cut_bytes", "counter", "bytes cut off as torn at a start")    \
    X(STREAM_DAMAGED, "wyze_stream_damaged_batches_total", "counter", "batches found damaged")     \
    X(STREAM_PACKED, "wyze_stream_packed_segments_total", "counter", "segments compressed")        \
    X(STREAM_PACKED_SAVED, "wyze_stream_packed_saved_bytes_total", "counter",                      \
      "bytes by which compressed segments got shorter")                                            \
    X(DISK_FREE, "wyze_disk_free_bytes", "gauge",                                                  \
      "bytes free on the disk under the streams that has the least above its floor")               \
    X(DISK_LOW, "wyze_disk_low", "gauge",                                                          \
      "1 while no messages are taken in because less than streams.min_free is free")               \
    X(JOURNAL_LIVE, "wyze_journal_live_bytes", "gauge",                                            \
      "bytes of the journal's records that are the newest of their key, about")                    \
    X(JOURNAL_COMPACTIONS, "wyze_journal_compactions_total", "counter",                            \
      "segments of the journal compacted")                                                         \
    X(SCRIPT_INPUTS, "wyze_script_inputs_total", "counter", "messages given to scripts")           \
    X(SCRIPT_OUTPUTS, "wyze_script_outputs_total", "counter", "messages emitted by scripts")       \
    X(SCRIPT_ERRORS, "wyze_script_errors_total", "counter", "exceptions raised by scripts")        \
    X(SCRIPT_RESTARTS, "wyze_script_restarts_total", "counter", "workers started again")           \
    X(PASSTHROUGH_SEEN, "wyze_passthrough_records_total", "counter",                               \
      "records on raw-stream that a rule of the passthrough matched")                              \
    X(PASSTHROUGH_PASSED, "wyze_passthrough_passed_total", "counter",                              \
      "of those, records put on processed-stream")                                                 \
    X(PASSTHROUGH_RATE, "wyze_passthrough_rate_dropped_total", "counter",                          \
      "of those, records too soon after the one before")                                           \
    X(PASSTHROUGH_UNCHANGED, "wyze_passthrough_unchanged_dropped_total", "counter",                \
      "of those, records that had not changed enough")                                             \
    X(PASSTHROUGH_REFUSED, "wyze_passthrough_refused_total", "counter",                            \
      "of those, records whose new name is no topic, or that would be too large")                  \
    X(PASSTHROUGH_GAP, "wyze_passthrough_gap_records_total", "counter",                            \
      "records removed from raw-stream before they could pass")                                    \
    X(HTTP_REQUESTS, "wyze_http_requests_total", "counter", "API requests answered")

enum wz_metric {
#define WZ_METRICS_ENUM(id, name, type, help) WZ_METRIC_##id,
    WZ_METRICS_TABLE(WZ_METRICS_ENUM)
#undef WZ_METRICS_ENUM
        WZ_METRIC_COUNT,
};

// The values of all metrics; reached through the functions below.
extern _Atomic int64_t wz_metrics[WZ_METRIC_COUNT];

// Adds COUNT to a metric; negative for a gauge that falls.
static inline void wz_metric_add(enum wz_metric metric, int64_t count)
{
    atomic_fetch_add_explicit(&wz_metrics[metric], count, memory_order_relaxed);
}

// A metric's present value.
static inline int64_t wz_metric_get(enum wz_metric metric)
{
    return atomic_load_explicit(&wz_metrics[metric], memory_order_relaxed);
}

// Adds all metrics to RET_BUF in Prometheus' text format.
void wz_metrics_print(struct wz_buf *ret_buf);
