// SPDX-License-Identifier: Apache-2.0
// The compiled mapping: from a physical topic to a logical one and back (docs/formats/mapping.md).
// It is immutable: built from documents on any thread, then read by any number of them without a
// lock.
//
// What holds for every mapping that was built: a physical topic has at most one logical topic, two
// physical topics never have the same one, and a command to a logical topic goes to the device and
// subtopic whose readings have that topic, or nowhere.
#pragma once

#include "base/problem.h"
#include "router/name_rules.h"
#include "router/profile.h"
#include "store/store.h"

struct wz_mapping;

// The collections that a mapping is made of, a bit each.
#define WZ_MAPPING_COLLECTIONS                                                                     \
    (1U << WZ_COLLECTION_TYPES | 1U << WZ_COLLECTION_SUBTOPICS | 1U << WZ_COLLECTION_TEMPLATES |   \
     1U << WZ_COLLECTION_DEVICES)

// The longest physical topic of a command: device id, subtopic and the fixed levels of its shape
// with their separators.
#define WZ_COMMAND_TOPIC_MAX                                                                       \
    (WZ_DOCUMENT_NAME_MAX + 1 + WZ_DOCUMENT_NAME_MAX + 1 + 2 * WZ_SHAPE_TEXT_MAX)

// The type words as long as no document says otherwise.
#define WZ_MAPPING_INPUT_PRESET "status"
#define WZ_MAPPING_OUTPUT_PRESET "command"

// id, word
#define WZ_OUTCOME_TABLE(X)                                                                        \
    X(MAPPED, "mapped")                                                                            \
    X(COMMAND, "command")               /* to a device: leave it alone */                          \
    X(IGNORED, "ignored")               /* its device's template says to leave it alone */         \
    X(HIDDEN, "hidden")                 /* begins with '$': never demuxed */                       \
    X(UNKNOWN_DEVICE, "unknown-device") /* no device id is a prefix */                             \
    X(UNKNOWN_TYPE, "unknown-type")     /* it has none of the shapes of its device's topics */     \
    X(UNSAFE_LEVEL, "unsafe-level")     /* a level cannot be a word */                             \
    X(COLLISION, "collision")           /* the topic would be another's */                         \
    X(TOO_LONG, "too-long")             /* the topic would be longer than WZ_TOPIC_MAX */

// What becomes of a physical topic.
enum wz_outcome {
#define WZ_OUTCOME_ENUM(id, word) WZ_OUTCOME_##id,
    WZ_OUTCOME_TABLE(WZ_OUTCOME_ENUM)
#undef WZ_OUTCOME_ENUM
        WZ_OUTCOME_COUNT,
};

// The stable word of an outcome ("unknown-device").
const char *wz_outcome_word(enum wz_outcome outcome);

// The logical topic of a reading. DEVICE is its device's number in this mapping.
struct wz_translation {
    uint32_t device;
    enum wz_body_type type;
    size_t route_len; // of the topic
    size_t topic_len;
    char topic[WZ_TOPIC_MAX + 1]; // without a NUL
};

// The physical topic of a command.
struct wz_command_topic {
    uint32_t device;
    enum wz_send send;
    size_t topic_len;
    char topic[WZ_COMMAND_TOPIC_MAX]; // without a NUL
};

// A mapping without devices: everything is unmapped. The caller owns it.
struct wz_mapping *wz_mapping_empty(void);

// Builds a mapping from the documents in LISTS, one list a collection, of which types, subtopics,
// templates and devices are read. WZ_ERR_INVALID, with a problem that names the document and how to
// mend it, when they break a rule. The caller owns RET_MAPPING.
WZ_MUST int wz_mapping_compile(const struct wz_document_list lists[WZ_COLLECTION_COUNT],
                               struct wz_mapping **ret_mapping, struct wz_problem *ret_problem);

// The same, from the documents that VIEW shows; for the store's check and changed functions.
WZ_MUST int wz_mapping_build(struct wz_store_view *view, struct wz_mapping **ret_mapping,
                             struct wz_problem *ret_problem);

// The same, where BEFORE is the mapping of the documents as they were before the changes that VIEW
// knows of: the other devices are taken from there.
WZ_MUST int wz_mapping_rebuild(struct wz_mapping *before, struct wz_store_view *view,
                               struct wz_mapping **ret_mapping, struct wz_problem *ret_problem);

// Another reference, for any thread.
struct wz_mapping *wz_mapping_ref(struct wz_mapping *mapping);

// Gives a reference back; the last one frees it. NULL is fine.
void wz_mapping_unref(struct wz_mapping *mapping);

// What becomes of a physical topic; RET_TRANSLATION is set for WZ_OUTCOME_MAPPED only. The cost is
// bounded by the longest device id and the number of different shapes and forms of captures,
// however long the topic is and however many devices there are.
enum wz_outcome wz_mapping_in(const struct wz_mapping *mapping, struct wz_slice physical,
                              struct wz_translation *ret_translation);

// The physical topic of a command whose logical topic ends in the word "output". WZ_ERR_NOT_FOUND
// when no device has it.
WZ_MUST int wz_mapping_out(const struct wz_mapping *mapping, struct wz_slice topic,
                           struct wz_command_topic *ret_command);

// The device id of a device's number, with the names of its captures, borrowed as long as the
// mapping lives.
struct wz_slice wz_mapping_device_id(const struct wz_mapping *mapping, uint32_t device);
