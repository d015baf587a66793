// SPDX-License-Identifier: Apache-2.0
// New names for records that pass: a template in which {topic} stands for the whole topic and {1},
// {2} and so on for what the pattern's wildcards have matched, counted from the left.
#pragma once

#include "base/buf.h"
#include "base/problem.h"

// Whether TEMPLATE can be used with PATTERN, which must be valid. WZ_ERR_INVALID, with the
// problem's "what" and "fix" filled, when it asks for a wildcard that the pattern has not, or can
// never give an allowed topic.
WZ_MUST int wz_pass_rename_check(struct wz_slice template, struct wz_slice pattern,
                                 struct wz_problem *ret_problem);

// Adds to RET_TOPIC what TEMPLATE makes of TOPIC, which PATTERN matches. Where a '#' has matched no
// words, the dot beside it is left out, too. False when that is no topic for a record, or ends in
// the word that marks commands: RET_TOPIC is then as it was.
WZ_MUST bool wz_pass_rename(struct wz_slice template, struct wz_slice pattern,
                            struct wz_slice topic, struct wz_buf *ret_topic);
