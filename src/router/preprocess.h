// SPDX-License-Identifier: Apache-2.0
// The preprocessor: from a message's untouched body to a stamped record (docs/formats/record.md).
#pragma once

#include "base/buf.h"
#include "base/uuid.h"
#include "wire/batch.h"

// What a body was, as the record header `form` says it.
enum wz_form {
    WZ_FORM_OBJECT, // a JSON object; its members stand behind the stamps
    WZ_FORM_TEXT,   // text, as the string "value"
    WZ_FORM_BASE64, // not UTF-8: base64 in "value", and "_encoding"
    WZ_FORM_TYPED,  // other JSON, as its channel's type says, as it stands in "value"
    WZ_FORM_COUNT,
};

// id, word
#define WZ_BODY_TYPE_TABLE(X)                                                                      \
    X(TEXT, "text")                                                                                \
    X(NUMBER, "number")                                                                            \
    X(BOOLEAN, "boolean")                                                                          \
    X(JSON, "json")

// What a body that is no JSON object is taken for.
enum wz_body_type {
#define WZ_BODY_TYPE_ENUM(id, word) WZ_BODY_##id,
    WZ_BODY_TYPE_TABLE(WZ_BODY_TYPE_ENUM)
#undef WZ_BODY_TYPE_ENUM
        WZ_BODY_TYPE_COUNT,
};

// The word of a type ("number").
const char *wz_body_type_word(enum wz_body_type type);

// A message to be stamped. Slices are borrowed for the call.
struct wz_unstamped {
    struct wz_slice topic;      // logical
    struct wz_slice topic_text; // the topic as a JSON string with quotes and a comma behind it
    struct wz_slice from;       // encoded record header `from`
    struct wz_slice client;
    struct wz_slice body;
    enum wz_body_type type;
    struct wz_slice script; // a script's output: its name and the _id of its cause
    struct wz_slice parent;
    struct wz_slice commit;   // which output of which step of the script, or empty
    struct wz_slice unmapped; // its offset among the unmapped messages, or empty
    int64_t timestamp_ms;     // the publisher's own time; 0: now
    uint16_t packet_id;       // of a QoS 2 message that may come again after a crash, or 0
    uint8_t hops;
};

// Stamps messages, one after the other. One a loop thread.
struct wz_preprocess {
    struct wz_uuid_maker uuid;
    char stamps[96]; // {"_id":"...","_timestamp":...,"_topic":
    size_t stamps_len;
    int64_t stamped_ms; // the time that stands in them
    struct wz_buf members;
    struct wz_buf headers; // client, form, hops, packet, as they were for the last message
    struct wz_buf once;    // headers that no other message has
    struct wz_buf client;  // whose they are
    enum wz_form form;
    bool untyped; // the last body was not of its type, and became text
    uint16_t packet_id;
    uint8_t hops;
    int header_count;
};

// Starts it.
void wz_preprocess_init(struct wz_preprocess *pp);

// Frees what it holds.
void wz_preprocess_release(struct wz_preprocess *pp);

// Makes the record of a message that was taken at NOW_MS. RET_PARTS borrows from PP and SOURCE
// until the next call.
void wz_preprocess_stamp(struct wz_preprocess *pp, const struct wz_unstamped *source,
                         int64_t now_ms, struct wz_record_parts *ret_parts);

// Adds TOPIC as wz_unstamped's topic_text to BUF.
void wz_preprocess_add_topic_text(struct wz_buf *buf, struct wz_slice topic);

// Adds the record header `from` as wz_unstamped wants it to BUF.
void wz_preprocess_add_from(struct wz_buf *buf, struct wz_slice from);

// The word of a form ("object").
struct wz_slice wz_form_word(enum wz_form form);

// The form that a record's header says; WZ_FORM_OBJECT when it says none.
enum wz_form wz_form_find(struct wz_slice word);
