// SPDX-License-Identifier: Apache-2.0
// Says step by step, for people, what a mapping makes of a topic, and what would have to change.
#pragma once

#include "router/mapping.h"
#include "store/store.h"

// What becomes of a message that a device publishes on PHYSICAL with BODY (NULL pointer: none is
// given), where IGNORES are the filters of what is not kept, as a JSON object, the caller's:
// "outcome", and as far as they are known "device", "route", "template", "captures", "shape",
// "subtopic", "channel", "declared" (by what the channel is), "type", "topic", "record" (the
// stamped body), "form", and the command back, "command" with "topic", "to" and "send". On a miss
// "why" and "fix", and when one of IGNORES keeps it out of the inbox, "ignored_by", the document,
// and "note".
json_t *wz_mapping_explain_in(const struct wz_mapping *mapping,
                              const struct wz_document_list *ignores, struct wz_slice physical,
                              struct wz_slice body);

// What becomes of a record on egress with the topic TOPIC, which ends in the word of commands:
// "device", "subtopic", "to", "send" and, with a body, "body", which the device gets; or "why" and
// "fix".
json_t *wz_mapping_explain_out(const struct wz_mapping *mapping, struct wz_slice topic,
                               struct wz_slice body);
