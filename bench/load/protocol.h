// SPDX-License-Identifier: Apache-2.0
// What the load needs of a protocol: MQTT 3.1.1 (mqtt.c) and NATS (nats.c). Pure codecs; they
// share no code with the server under test, so that a mistake is not made on both sides.

#ifndef WZ_BENCH_LOAD_PROTOCOL_H
#define WZ_BENCH_LOAD_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wz_bytes;

// The largest id of a message in flight: MQTT's packet identifiers have 16 bits.
#define WZ_PROTOCOL_MAX_ID 65535u

enum wz_event_kind {
    // The answer to a hello, a subscribe or a ping; they come in order. The id is 1 when the
    // hello found its session, else 0.
    WZ_EVENT_REPLY,
    WZ_EVENT_MESSAGE,  // A message of a subscription.
    WZ_EVENT_RECEIVED, // The server has the QoS 2 message with this id and waits for its release.
    WZ_EVENT_ACK,      // The message with this id is the server's, finally.
    WZ_EVENT_RELEASE,  // The server will not send the QoS 2 message with this id again.
    WZ_EVENT_PING,     // The server asks whether the client lives.
    WZ_EVENT_REFUSED,  // The server said no; the body, which may be empty, says why.
};

// One thing the server said. Pointers are borrowed from the bytes that were decoded.
struct wz_event {
    enum wz_event_kind kind;
    uint32_t id;
    unsigned qos;  // Of a message; above 0 it wants an answer.
    bool repeated; // The server says that it may have sent this message before.
    const uint8_t *body;
    size_t len;
    const char *reply; // The subject that NATS takes the ack on, or NULL.
    size_t reply_len;
};

// How a session opens. The string is borrowed.
struct wz_hello {
    const char *client;
    bool persistent; // The server keeps the session when the connection ends. MQTT only.
};

// One message to encode. All pointers are borrowed. With qos 0 the id is not sent.
struct wz_publish {
    const char *topic;
    const uint8_t *body;
    size_t len;
    unsigned qos;
    uint32_t id;
    unsigned conn; // The number of the connection: NATS acks come to an inbox of its own.
    bool retain;   // MQTT only.
};

struct wz_protocol {
    const char *name;
    // Encodes what opens a session; answered by one WZ_EVENT_REPLY.
    void (*hello)(struct wz_bytes *out, const struct wz_hello *hello);
    // Encodes a subscription; id is 1 or more and unique in the connection. One reply.
    void (*subscribe)(struct wz_bytes *out, const char *filter, unsigned qos, uint16_t id);
    // Encodes a message.
    void (*publish)(struct wz_bytes *out, const struct wz_publish *publish);
    // Encodes a question that the server answers when it has read all that came before.
    void (*ping)(struct wz_bytes *out);
    // Encodes what the event wants to be answered with; nothing when it wants nothing.
    void (*answer)(struct wz_bytes *out, const struct wz_event *event);
    // Decodes whole packets into at most cap events and tells in ret_used how many bytes they
    // took. Returns the number of events. Ends the program on bytes it does not understand.
    size_t (*decode)(const uint8_t *data, size_t len, struct wz_event *events, size_t cap,
                     size_t *ret_used);
};

#endif
