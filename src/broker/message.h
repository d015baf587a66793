// SPDX-License-Identifier: Apache-2.0
// The one message type: what is published to an exchange, whoever published it.
#pragma once

#include "base/slice.h"

struct wz_record_parts;

// A message on its way. It is a view: all slices are borrowed from the publisher for the time of
// the call; who keeps a message keeps a copy of his own (see broker/parcel.h).
struct wz_message {
    struct wz_slice topic; // routing key: levels joined by '/' on amq.topic, words by '.' elsewhere
    struct wz_slice body;  // untouched bytes; on raw and processed the stamped JSON object
    struct wz_slice client; // who published it: MQTT client id, or empty
    struct wz_slice from;   // on raw and processed: the physical topic or the exchange it came from
    struct wz_slice script; // a script's output: its name, and the _id of the record behind it
    struct wz_slice parent;
    struct wz_slice commit;   // and which output of which step of the script it is
    struct wz_slice unmapped; // it was kept unmapped: its offset there, as decimal digits
    const struct wz_record_parts *record; // on raw and processed: as it was appended, or NULL
    int64_t timestamp_ms;                 // the publisher's own time, or 0
    int64_t offset;     // on raw and processed: its place on the stream; elsewhere -1
    int64_t append_ms;  // with the offset
    uint16_t packet_id; // of a QoS 2 message from a durable session, to be told if it comes again
    uint8_t qos;        // 0 to 2, as published
    uint8_t hops;       // how many scripts it has been through
    bool retain;
    bool recorded; // it came again after a crash: its record is there already,
    bool queued;   // or its place in durable queues is
};
