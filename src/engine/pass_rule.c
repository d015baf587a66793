// SPDX-License-Identifier: Apache-2.0
// Owns the shape of passthrough documents.
#include "engine/pass_rule.h"

#include <math.h>
#include <stdlib.h>

#include "base/codes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "config/value.h"
#include "engine/pass_rename.h"
#include "topic/trie.h"
#include "json/text.h"

#define RATE_MAX 1000.0
#define MEMBER_BYTES_MAX 256
#define ORDER_MAX 1000000
#define ATLEAST_MAX_MS ((int64_t)366 * 24 * 60 * 60 * 1000)

// A member: its name, whether a value is of its type, and how a person calls that.
struct member {
    const char *name;
    bool (*fits)(const json_t *value);
    const char *type;
};

static bool is_string(const json_t *value) { return json_is_string(value); }

static bool is_boolean(const json_t *value) { return json_is_boolean(value); }

static bool is_object(const json_t *value) { return json_is_object(value); }

static bool is_number(const json_t *value) { return json_is_number(value); }

static bool is_integer(const json_t *value) { return json_is_integer(value); }

static bool is_band(const json_t *value) { return json_is_number(value) || json_is_string(value); }

static const struct member rule_members[] = {
    {"pattern", is_string, "a text"},     {"order", is_integer, "a whole number"},
    {"rename", is_string, "a text"},      {"rate", is_number, "a number"},
    {"change", is_object, "an object"},   {"active", is_boolean, "true or false"},
    {"description", is_string, "a text"}, {NULL, NULL, NULL},
};

static const struct member change_members[] = {
    {"member", is_string, "a text"},
    {"deadband", is_band, "a number, or a text like \"10%\""},
    {"atleast", is_string, "a text like \"10m\""},
    {NULL, NULL, NULL},
};

static int refuse(struct wz_problem *problem, const char *what, const char *fix)
{
    (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_PASSTHROUGH_INVALID, "%s", what);
    wz_problem_fix(problem, "%s", fix);
    return WZ_ERR_INVALID;
}

static int check_members(json_t *object, const struct member *members, struct wz_problem *problem)
{
    const struct member *member;
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        for (member = members; member->name && strcmp(member->name, key) != 0;)
            member++;
        if (!member->name) {
            (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_PASSTHROUGH_INVALID,
                                 "there is no member \"%s\"", key);
            wz_problem_fix(problem, "take it out, or look at its spelling");
            return WZ_ERR_INVALID;
        }
        if (!member->fits(value)) {
            (void)wz_problem_set(problem, WZ_ERR_INVALID, WZ_CODE_PASSTHROUGH_INVALID,
                                 "\"%s\" must be %s", key, member->type);
            wz_problem_fix(problem, "give it a value of that type");
            return WZ_ERR_INVALID;
        }
    }
    return WZ_OK;
}

static struct wz_slice string_of(const json_t *object, const char *key)
{
    const json_t *string = json_object_get(object, key);

    return wz_slice(json_string_value(string), json_string_length(string));
}

// Whether there may be topics of that many words, none of which is empty.
static bool has_words(struct wz_slice pattern)
{
    struct wz_words words = wz_words(pattern, '.');
    struct wz_slice word;
    int count = 0;

    while (count <= WZ_TRIE_DEPTH_MAX && wz_words_next(&words, &word)) {
        if (word.len == 0)
            return false;
        count++;
    }
    return count <= WZ_TRIE_DEPTH_MAX;
}

static int check_pattern(const json_t *body, struct wz_problem *problem)
{
    struct wz_slice pattern = string_of(body, "pattern");

    if (pattern.len > 0 && wz_pattern_valid(&wz_topic_amqp, pattern) && has_words(pattern))
        return WZ_OK;
    return refuse(problem, "a rule needs a \"pattern\" of topics",
                  "write words joined by '.', '*' for one word, '#' for any number of words");
}

static int check_numbers(const json_t *body, struct wz_problem *problem)
{
    const json_t *order = json_object_get(body, "order");
    const json_t *rate = json_object_get(body, "rate");

    if (json_integer_value(order) < -ORDER_MAX || json_integer_value(order) > ORDER_MAX)
        return refuse(problem, "\"order\" must be a whole number from -1000000 to 1000000",
                      "rules are tried from the smallest order to the largest");
    if (rate && !(json_number_value(rate) > 0 && json_number_value(rate) <= RATE_MAX))
        return refuse(problem, "\"rate\" must be more than 0 and at most 1000",
                      "it is in records a second of each topic: 0.1 is one in ten seconds");
    return WZ_OK;
}

// Reads "0.5" or "10%"; false when it is none.
static bool read_band(const json_t *band, struct wz_pass_deadband *ret_deadband)
{
    const char *text = json_string_value(band);
    char *end;

    *ret_deadband = (struct wz_pass_deadband){.width = json_number_value(band)};
    if (text) {
        ret_deadband->width = strtod(text, &end) / 100;
        ret_deadband->relative = true;
        if (text[0] < '0' || text[0] > '9' || strcmp(end, "%") != 0)
            return false;
    }
    return isfinite(ret_deadband->width) && ret_deadband->width >= 0;
}

static int read_atleast(const json_t *change, int64_t *ret_ms, struct wz_problem *problem)
{
    static const struct wz_value_rule rule = {
        .type = WZ_VALUE_DURATION, .least = 1, .most = ATLEAST_MAX_MS};
    const char *text = json_string_value(json_object_get(change, "atleast"));
    struct wz_value value;
    int r;

    *ret_ms = 0;
    if (!text)
        return WZ_OK;
    r = wz_value_parse(&rule, "atleast", text, &value, problem);
    if (r < 0) {
        if (problem)
            problem->code = WZ_CODE_PASSTHROUGH_INVALID;
        return r;
    }
    *ret_ms = value.number;
    wz_value_release(&value);
    return WZ_OK;
}

static int check_change(json_t *change, struct wz_problem *problem)
{
    struct wz_slice member = string_of(change, "member");
    struct wz_pass_deadband deadband;
    int64_t unused;
    int r = check_members(change, change_members, problem);

    if (r < 0)
        return r;
    if (member.len == 0 || member.len > MEMBER_BYTES_MAX)
        return refuse(problem, "\"change\" must name a \"member\" of at most 256 bytes",
                      "write {\"member\": \"value\"}");
    if (json_object_get(change, "deadband") &&
        !read_band(json_object_get(change, "deadband"), &deadband))
        return refuse(problem,
                      "\"deadband\" must be a number that is not negative, or a percentage",
                      "write 0.5, or \"10%\" of the value that passed last");
    return read_atleast(change, &unused, problem);
}

int wz_pass_rule_check(const char *name, json_t *body, struct wz_problem *ret_problem)
{
    json_t *change = json_object_get(body, "change");
    int r = json_is_object(body) ? check_members(body, rule_members, ret_problem)
                                 : refuse(ret_problem, "a rule must be an object",
                                          "write {\"pattern\": \"kitchen.#\"}");

    if (r == WZ_OK)
        r = check_pattern(body, ret_problem);
    if (r == WZ_OK)
        r = check_numbers(body, ret_problem);
    if (r == WZ_OK && json_object_get(body, "rename"))
        r = wz_pass_rename_check(string_of(body, "rename"), string_of(body, "pattern"),
                                 ret_problem);
    if (r == WZ_OK && change)
        r = check_change(change, ret_problem);
    if (r < 0)
        wz_problem_where(ret_problem, "passthrough/%s", name);
    return r;
}

// Of what it does, as text in which members have one order.
static uint64_t hash_of(const json_t *body)
{
    static const char *const members[] = {"pattern", "rename", "rate", "change"};
    json_t *object = json_object();
    char *text;
    uint64_t hash;

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (json_object_get(body, members[i]))
            (void)json_object_set(object, members[i],
                                  json_object_get(body, members[i])); // our own names
    text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    WZ_ASSERT(text != NULL); // it was parsed by jansson
    hash = wz_hash(wz_slice_str(text), 0);
    free(text);
    json_decref(object);
    return hash;
}

void wz_pass_rule_init(struct wz_pass_rule *ret_rule, const char *name, json_t *body)
{
    const json_t *change = json_object_get(body, "change");
    const char *rename = json_string_value(json_object_get(body, "rename"));
    const json_t *order = json_object_get(body, "order");

    *ret_rule = (struct wz_pass_rule){
        .name = wz_strdup(name),
        .pattern = wz_strdup(json_string_value(json_object_get(body, "pattern"))),
        .rename = rename ? wz_strdup(rename) : NULL,
        .order = order ? json_integer_value(order) : WZ_PASS_ORDER,
        .rate = json_number_value(json_object_get(body, "rate")),
        .active = !json_is_false(json_object_get(body, "active")),
        .hash = hash_of(body),
    };
    if (!change)
        return;
    wz_json_add_string(&ret_rule->member, string_of(change, "member"));
    if (json_object_get(change, "deadband"))
        (void)read_band(json_object_get(change, "deadband"),
                        &ret_rule->deadband);                     // it was checked,
    wz_ignore(read_atleast(change, &ret_rule->atleast_ms, NULL)); // so was this
}

void wz_pass_rule_release(struct wz_pass_rule *rule)
{
    wz_free(rule->name);
    wz_free(rule->pattern);
    wz_free(rule->rename);
    wz_buf_release(&rule->member);
    *rule = (struct wz_pass_rule){0};
}

bool wz_pass_rule_matches(const struct wz_pass_rule *rule, struct wz_slice topic)
{
    return rule->active && wz_pattern_match(&wz_topic_amqp, wz_slice_str(rule->pattern), topic);
}

bool wz_pass_rule_topic(const struct wz_pass_rule *rule, struct wz_slice topic,
                        struct wz_buf *ret_topic)
{
    if (rule->rename)
        return wz_pass_rename(wz_slice_str(rule->rename), wz_slice_str(rule->pattern), topic,
                              ret_topic);
    wz_buf_add_slice(ret_topic, topic);
    return true;
}

int wz_pass_rule_cmp(const void *a, const void *b)
{
    const struct wz_pass_rule *one = a;
    const struct wz_pass_rule *other = b;

    if (one->order != other->order)
        return one->order < other->order ? -1 : 1;
    return strcmp(one->name, other->name);
}
