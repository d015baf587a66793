// SPDX-License-Identifier: Apache-2.0
// Patterns over topics, in two spellings of one thing: words with a separator, one wildcard for
// exactly one word and one for zero or more.
#pragma once

#include "base/err.h"
#include "base/slice.h"

// How topics and patterns are spelt.
struct wz_topic_form {
    uint8_t separator; // between words
    uint8_t one;       // exactly one word
    uint8_t many;      // zero or more words
    bool many_last;    // the many-wildcard may only stand last
    bool hide_dollar;  // a wildcard in front does not match topics that start with '$'
    bool not_empty;    // a pattern has at least one byte
};

// MQTT 3.1.1 section 4.7: "a/+/#".
extern const struct wz_topic_form wz_topic_mqtt;

// AMQP 0-9-1 section 3.1.3.3 (topic exchange): "a.*.#".
extern const struct wz_topic_form wz_topic_amqp;

// Whether S is a well-formed pattern: wildcards stand alone in their word, '#' where the form
// allows it; not empty for MQTT, no NUL. UTF-8 is the caller's to check.
bool wz_pattern_valid(const struct wz_topic_form *form, struct wz_slice s);

// Whether the pattern, which must be valid, matches the topic. Its cost is bounded by the product
// of their word counts, never exponential.
bool wz_pattern_match(const struct wz_topic_form *form, struct wz_slice pattern,
                      struct wz_slice topic);

// A walk over the words of a topic. "a..b" has the words "a", "" and "b"; an empty topic has one
// empty word.
struct wz_words {
    struct wz_slice rest;
    uint8_t separator;
    bool ended;
};

// Starts a walk over the words of S.
static inline struct wz_words wz_words(struct wz_slice s, uint8_t separator)
{
    return (struct wz_words){.rest = s, .separator = separator};
}

// The next word into RET_WORD; false after the last one.
bool wz_words_next(struct wz_words *words, struct wz_slice *ret_word);
