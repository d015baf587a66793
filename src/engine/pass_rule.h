// SPDX-License-Identifier: Apache-2.0
// Rules of the passthrough: documents of the collection "passthrough", each read into what decides
// about a record. Pure; any thread.
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/problem.h"
#include "engine/pass_value.h"

// The most rules.
#define WZ_PASS_RULES_MAX 256

// The order of a rule that says none.
#define WZ_PASS_ORDER 100

// What a rule has done since the start.
struct wz_pass_counts {
    int64_t seen;
    int64_t passed;
    int64_t rate;      // not passed: too soon after the one before,
    int64_t unchanged; // not changed enough,
    int64_t rename;    // the new name would be no topic,
    int64_t too_large; // with its header it would be too long for the stream
};

// A rule. Zero is "not asked for" in all that is optional.
struct wz_pass_rule {
    char *name;
    char *pattern;
    char *rename;
    int64_t order;
    double rate;          // records a second of a topic
    struct wz_buf member; // whose change counts, as a JSON string
    struct wz_pass_deadband deadband;
    int64_t atleast_ms; // passes after that time, changed or not
    bool active;
    uint64_t hash;   // of what it does: the same for rules of which nobody could tell a difference
    uint64_t number; // its owner's
    struct wz_pass_counts counts;
    int64_t shown; // its owner's, too
};

// Whether BODY can be the document of the rule NAME; WZ_ERR_INVALID with a problem.
WZ_MUST int wz_pass_rule_check(const char *name, json_t *body, struct wz_problem *ret_problem);

// Reads a document that was checked. The caller releases RET_RULE.
void wz_pass_rule_init(struct wz_pass_rule *ret_rule, const char *name, json_t *body);

// Frees what it holds.
void wz_pass_rule_release(struct wz_pass_rule *rule);

// The order in which rules are tried, for qsort.
int wz_pass_rule_cmp(const void *a, const void *b);

// Whether it decides about records of TOPIC, when none before it does.
bool wz_pass_rule_matches(const struct wz_pass_rule *rule, struct wz_slice topic);

// Adds the topic under which it lets records of TOPIC pass, which it matches. False when that would
// be none: RET_TOPIC is then as it was.
WZ_MUST bool wz_pass_rule_topic(const struct wz_pass_rule *rule, struct wz_slice topic,
                                struct wz_buf *ret_topic);

// Whether what it decides depends on the record of the topic that passed last.
static inline bool wz_pass_rule_remembers(const struct wz_pass_rule *rule)
{
    return rule->rate > 0 || rule->member.len > 0;
}
