// SPDX-License-Identifier: Apache-2.0
// What names in a mapping may look like: levels of MQTT topics, words of logical topics.
#pragma once

#include "base/slice.h"

// The longest logical topic (AMQP 0-9-1's short string).
#define WZ_TOPIC_MAX 255

// The last word of a logical topic that is a command.
#define WZ_MAPPING_COMMAND_WORD "output"

// NULL when S can be an MQTT topic level, or several with '/' between them; else what is wrong, as
// the end of a sentence.
const char *wz_rule_levels(struct wz_slice s);

// The same for a single level of at most WZ_TOPIC_MAX bytes.
const char *wz_rule_level(struct wz_slice s);

// NULL when S is a topic of words, none of which marks commands; else what is wrong. CODE is the
// problem's then, if it is that of another rule than the caller's.
const char *wz_rule_words(struct wz_slice s, int *code);
