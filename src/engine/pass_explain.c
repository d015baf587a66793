// SPDX-License-Identifier: Apache-2.0
// Owns the words for what rules of the passthrough make of a topic.
#include "engine/pass_explain.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/pass_rule.h"

// What a rule that remembers asks of a record.
static void add_conditions(struct wz_buf *buf, const struct wz_pass_rule *rule)
{
    const struct wz_pass_deadband *band = &rule->deadband;

    wz_buf_add_str(buf, "What came before decides. It passes when ");
    if (rule->member.len > 0) {
        wz_buf_add_slice(buf, wz_buf_slice(&rule->member)); // in quotes
        wz_buf_add_str(buf, " differs");
        if (band->width > 0)
            wz_buf_addf(buf, " by more than %g%s", band->relative ? band->width * 100 : band->width,
                        band->relative ? "%" : "");
        wz_buf_add_str(buf, " from that of the last of its topic that passed");
        if (rule->atleast_ms > 0)
            wz_buf_addf(buf, ", or %g s have gone by since", (double)rule->atleast_ms / 1000);
    }
    if (rule->member.len > 0 && rule->rate > 0)
        wz_buf_add_str(buf, "; and when ");
    if (rule->rate > 0)
        wz_buf_addf(buf, "%g s have gone by since the last of its topic that passed",
                    1 / rule->rate);
    wz_buf_add_str(buf, ". The first of its topic passes.");
}

// NAME can be an object's key and so is UTF-8, as is what it and topics are made of.
static void set_text(json_t *object, const char *key, const char *text)
{
    (void)json_object_set_new(object, key, json_string(text));
}

static void describe_deciding(json_t *entry, const struct wz_pass_rule *rule, struct wz_slice topic)
{
    WZ_AUTO(wz_buf_release) struct wz_buf passed = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf note = {0};

    if (!wz_pass_rule_topic(rule, topic, &passed)) {
        set_text(entry, "note",
                 "It is dropped: its new name would be no topic, or that of a command.");
        return;
    }
    set_text(entry, "topic", wz_buf_str(&passed));
    if (!wz_pass_rule_remembers(rule))
        return;
    add_conditions(&note, rule);
    set_text(entry, "note", wz_buf_str(&note));
}

// FIRST is the rule that decides.
static json_t *describe(const struct wz_pass_rule *rule, const struct wz_pass_rule *first,
                        struct wz_slice topic)
{
    WZ_AUTO(wz_buf_release) struct wz_buf note = {0};
    json_t *entry = json_pack("{s:s, s:s, s:I, s:b}", "rule", rule->name, "pattern", rule->pattern,
                              "order", (json_int_t)rule->order, "decides", rule == first);

    if (rule == first) {
        describe_deciding(entry, rule, topic);
        return entry;
    }
    wz_buf_addf(&note, "It is not asked: %s comes first, and decides alone.", first->name);
    set_text(entry, "note", wz_buf_str(&note));
    return entry;
}

json_t *wz_pass_explain(const struct wz_document_list *documents, struct wz_slice topic)
{
    struct wz_pass_rule *rules = wz_zalloc(documents->count + 1, sizeof(*rules));
    const struct wz_pass_rule *first = NULL;
    json_t *entries = json_array();
    size_t count = 0;

    for (size_t i = 0; i < documents->count; i++) {
        const struct wz_document *document = &documents->items[i];

        // One that another program has put there wrongly does nothing.
        if (wz_pass_rule_check(document->name, document->body, NULL) == WZ_OK)
            wz_pass_rule_init(&rules[count++], document->name, document->body);
    }
    qsort(rules, count, sizeof(*rules), wz_pass_rule_cmp);
    for (size_t i = 0; i < count; i++) {
        if (!wz_pass_rule_matches(&rules[i], topic))
            continue;
        first = first != NULL ? first : &rules[i];
        (void)json_array_append_new(entries, describe(&rules[i], first, topic)); // all is UTF-8
    }
    for (size_t i = 0; i < count; i++)
        wz_pass_rule_release(&rules[i]);
    wz_free(rules);
    return entries;
}
