// SPDX-License-Identifier: Apache-2.0
// Random records and crashes at any point, held against a naive model that goes through raw-stream
// as it is in the end: what has passed is what the rules let pass when nothing ever crashes, each
// record once, in the same order.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"
#include "engine/testpass_test.h"

#define TRIALS 5
#define STEPS 400
#define STATES 64

// Those of the model.
#define RULES                                                                                      \
    "{\"keep\":{\"pattern\":\"keep.#\"},"                                                          \
    "\"change\":{\"pattern\":\"change.*\",\"rename\":\"c.{1}\",\"change\":{\"member\":\"v\","      \
    "\"deadband\":1,\"atleast\":\"5s\"}},"                                                         \
    "\"rate\":{\"pattern\":\"rate.#\",\"rename\":\"all.rates\",\"rate\":2}}"

// What the model remembers of a topic.
struct state {
    char topic[64];
    int64_t offset;
    int64_t append_ms;
    double value;
};

struct model {
    struct testpass *t;
    uint64_t seed;
    struct state states[STATES];
    size_t state_count;
    size_t max_states;
};

static int below(struct model *model, int limit)
{
    model->seed = model->seed * 6364136223846793005u + 1442695040888963407u;
    return (int)((model->seed >> 33) % (uint64_t)limit);
}

static struct state *find_state(struct model *model, const char *topic)
{
    for (size_t i = 0; i < model->state_count; i++)
        if (strcmp(model->states[i].topic, topic) == 0)
            return &model->states[i];
    return NULL;
}

static void remember(struct model *model, const struct state *state)
{
    struct state *found = find_state(model, state->topic);
    size_t oldest = 0;

    if (!found)
        found = &model->states[model->state_count++];
    *found = *state;
    if (model->state_count <= model->max_states)
        return;
    for (size_t i = 1; i < model->state_count; i++)
        if (model->states[i].offset < model->states[oldest].offset)
            oldest = i;
    model->states[oldest] = model->states[--model->state_count];
}

// Whether the rules let a record pass that comes next. RET_TOPIC is its new name.
static bool passes(struct model *model, const struct testpass_record *record, char *ret_topic,
                   size_t len)
{
    struct state now = {.offset = record->offset, .append_ms = record->append_ms};
    const struct state *last;
    bool change = strncmp(record->topic, "change.", 7) == 0;
    const char *value = strstr(record->body, "\"v\":");

    (void)snprintf(now.topic, sizeof(now.topic), "%s", record->topic);
    assert_non_null(value);
    now.value = strtod(value + 4, NULL);
    (void)snprintf(ret_topic, len, "%s", record->topic);
    if (strncmp(record->topic, "keep.", 5) == 0)
        return true;
    if (!change && strncmp(record->topic, "rate.", 5) != 0)
        return false;
    if (change)
        (void)snprintf(ret_topic, len, "c.%s", record->topic + 7);
    else
        (void)snprintf(ret_topic, len, "all.rates");
    last = find_state(model, record->topic);
    if (last && change && now.value - last->value <= 1 && last->value - now.value <= 1 &&
        now.append_ms - last->append_ms < 5000)
        return false;
    if (last && !change && now.append_ms - last->append_ms < 500)
        return false;
    remember(model, &now);
    return true;
}

static void feed(struct model *model)
{
    static const char *const kinds[] = {"keep", "change", "change", "rate", "rate", "other"};
    char topic[64];
    char members[32];

    (void)snprintf(topic, sizeof(topic), "%s.%d", kinds[below(model, 6)], below(model, 6));
    (void)snprintf(members, sizeof(members), ",\"v\":%d", below(model, 5));
    model->t->now_ms += below(model, 3) == 0 ? below(model, 900) : 0;
    (void)testpass_feed(model->t, topic, members);
}

static void let_go(struct testpass *t) { t->hold[0] = t->hold[1] = t->hold_journal = false; }

static void step(struct model *model)
{
    struct testpass *t = model->t;
    int what = below(model, 100);

    if (what < 50)
        feed(model);
    else if (what < 85)
        testpass_turn(t);
    else if (what < 93)
        t->hold[below(model, 2)] = below(model, 2) == 0;
    else if (what < 95)
        t->hold_journal = below(model, 2) == 0;
    else if (what < 97)
        testpass_crash(t);
    else if (what < 98)
        testpass_reopen(t);
    else
        let_go(t);
}

// Holds processed-stream against the model; the test fails where they differ.
static void compare(struct model *model, const struct testpass_records *raw,
                    const struct testpass_records *processed)
{
    size_t at = 0;

    model->state_count = 0;
    for (size_t i = 0; i < raw->count; i++) {
        const struct testpass_record *record = &raw->items[i];
        char topic[80];

        if (!passes(model, record, topic, sizeof(topic)))
            continue;
        if (at == processed->count)
            fail_msg("%s at %lld did not pass", record->topic, (long long)record->offset);
        if (processed->items[at].passed != record->offset)
            fail_msg("%lld has passed, not %s at %lld", (long long)processed->items[at].passed,
                     record->topic, (long long)record->offset);
        assert_string_equal(processed->items[at].topic, topic);
        assert_string_equal(processed->items[at].body, record->body);
        at++;
    }
    if (at < processed->count)
        fail_msg("%lld has passed", (long long)processed->items[at].passed);
}

// How many of raw-stream the model lets pass.
static size_t expected(struct model *model)
{
    struct testpass_records raw = testpass_read(model->t, 0);
    size_t count = 0;
    char topic[80];

    model->state_count = 0;
    for (size_t i = 0; i < raw.count; i++)
        count += passes(model, &raw.items[i], topic, sizeof(topic));
    testpass_free_records(&raw);
    return count;
}

static void run_trial(struct testpass *t, uint64_t seed)
{
    struct model model = {.t = t, .seed = seed};
    struct testpass_records raw;
    struct testpass_records processed;

    model.max_states = below(&model, 2) == 0 ? 4 : STATES - 1;
    t->max_states = model.max_states;
    t->window_bytes = below(&model, 2) == 0 ? 1500 : 0;
    t->keep_ms = below(&model, 2) == 0 ? 1 : 20;
    t->backlog_bytes = below(&model, 3) == 0 ? 8192 : 0;
    testpass_apply(t, RULES);
    testpass_reopen(t);
    testpass_settle(t);
    for (int i = 0; i < STEPS; i++)
        step(&model);
    let_go(t);
    testpass_crash(t);
    testpass_wait_passed(t, expected(&model));
    raw = testpass_read(t, 0);
    processed = testpass_read(t, 1);
    compare(&model, &raw, &processed);
    testpass_free_records(&raw);
    testpass_free_records(&processed);
}

static void test_passthrough_is_the_same_through_crashes(void **state)
{
    const char *given = getenv("WZ_SEED");
    uint64_t first = given ? strtoull(given, NULL, 0) : wz_rand_u64();

    (void)state;
    for (uint64_t i = 0; i < (given ? 1 : TRIALS); i++) {
        void *t;

        print_message("WZ_SEED=%llu\n", (unsigned long long)(first + i));
        assert_int_equal(testpass_setup(&t), 0);
        run_trial(t, first + i);
        assert_int_equal(testpass_teardown(&t), 0);
    }
}

// Rules come and go; one is always there.
static void change_rules(struct model *model)
{
    static const char *const others[] = {
        "\"a\":{\"pattern\":\"change.*\",\"change\":{\"member\":\"v\"}}",
        "\"a\":{\"pattern\":\"change.*\",\"change\":{\"member\":\"v\",\"deadband\":2}}",
        "\"b\":{\"pattern\":\"rate.#\",\"rate\":1,\"order\":1}",
        "\"c\":{\"pattern\":\"*.1\",\"rename\":\"ones.{1}\",\"order\":200}",
    };
    WZ_AUTO(wz_buf_release) struct wz_buf rules = {0};

    wz_buf_add_str(&rules, "{\"keep\":{\"pattern\":\"keep.#\",\"order\":0}");
    if (below(model, 2) == 0)
        wz_buf_addf(&rules, ",%s", others[below(model, 2)]);
    for (int i = 2; i < 4; i++)
        if (below(model, 2) == 0)
            wz_buf_addf(&rules, ",%s", others[i]);
    wz_buf_add_str(&rules, "}");
    testpass_apply(model->t, wz_buf_str(&rules));
}

static void check_once(struct testpass *t)
{
    struct testpass_records raw = testpass_read(t, 0);
    struct testpass_records processed = testpass_read(t, 1);
    size_t at = 0;

    for (size_t i = 0; i < raw.count; i++) {
        const struct testpass_record *record = &raw.items[i];
        bool passed = at < processed.count && processed.items[at].passed == record->offset;

        if (!passed && strncmp(record->topic, "keep.", 5) == 0)
            fail_msg("%s at %lld did not pass", record->topic, (long long)record->offset);
        if (passed && strncmp(record->topic, "other.", 6) == 0 &&
            strcmp(processed.items[at].topic, "ones.other") != 0)
            fail_msg("%s at %lld has passed", record->topic, (long long)record->offset);
        at += passed;
    }
    if (at < processed.count)
        fail_msg("%lld has passed twice, or before others", (long long)processed.items[at].passed);
    testpass_free_records(&raw);
    testpass_free_records(&processed);
}

static size_t count_keep(struct testpass *t, int stream)
{
    struct testpass_records records = testpass_read(t, stream);
    size_t count = 0;

    for (size_t i = 0; i < records.count; i++)
        count += strncmp(records.items[i].topic, "keep.", 5) == 0;
    testpass_free_records(&records);
    return count;
}

static void test_passthrough_lets_each_pass_once_while_rules_change(void **state)
{
    const char *given = getenv("WZ_SEED");
    uint64_t first = given ? strtoull(given, NULL, 0) : wz_rand_u64();

    (void)state;
    for (uint64_t i = 0; i < (given ? 1 : TRIALS); i++) {
        struct model model = {.seed = first + i};
        void *t;

        print_message("WZ_SEED=%llu\n", (unsigned long long)(first + i));
        assert_int_equal(testpass_setup(&t), 0);
        model.t = t;
        change_rules(&model);
        testpass_settle(t);
        for (int k = 0; k < STEPS; k++) {
            if (below(&model, 25) == 0)
                change_rules(&model);
            step(&model);
        }
        let_go(t);
        testpass_crash(t);
        for (int k = 0; k < 1000 && count_keep(t, 0) > count_keep(t, 1); k++)
            testpass_settle(t);
        check_once(t);
        assert_int_equal(testpass_teardown(&t), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passthrough_is_the_same_through_crashes),
        cmocka_unit_test(test_passthrough_lets_each_pass_once_while_rules_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
