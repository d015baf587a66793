// SPDX-License-Identifier: Apache-2.0
// Walks over retained messages, held against a naive model from a seed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/testretained_test.h"
#include "topic/pattern.h"

#define PLENTY SIZE_MAX

// A naive model: topics that may be retained, in no order.

#define MODEL_TOPICS 120
#define TEXT_MAX 64

struct entry {
    char topic[TEXT_MAX];
    char body[16];
    unsigned qos;
    bool retained;
};

struct model {
    unsigned seed; // as it began
    unsigned random;
    struct entry entries[MODEL_TOPICS];
    int changes;
};

static int dice(struct model *model, int sides) { return rand_r(&model->random) % sides; }

// A topic, or a filter when WILD is not 0: the chance in percent that a level is a wildcard.
static void make_text(struct model *model, int wild, char ret_text[TEXT_MAX])
{
    static const char *const words[] = {"", "a", "b", "a-b", "a!", "$a", "aa", "\xc3\xbc", "0"};
    int depth;
    size_t len;

    do {
        depth = 1 + dice(model, 4);
        len = 0;
        ret_text[0] = '\0';
        for (int i = 0; i < depth; i++) {
            const char *word = words[dice(model, sizeof(words) / sizeof(words[0]))];

            if (dice(model, 100) < wild)
                word = i == depth - 1 && dice(model, 2) == 0 ? "#" : "+";
            len += (size_t)snprintf(ret_text + len, TEXT_MAX - len, "%s%s", i > 0 ? "/" : "", word);
        }
    } while (len == 0);
}

static bool has_topic(const struct model *model, int count, const char *topic)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(model->entries[i].topic, topic) == 0)
            return true;
    }
    return false;
}

static void model_init(struct model *model, unsigned seed)
{
    char topic[TEXT_MAX];

    *model = (struct model){.seed = seed, .random = seed};
    for (int i = 0; i < MODEL_TOPICS;) {
        make_text(model, 0, topic);
        if (!has_topic(model, i, topic))
            memcpy(model->entries[i++].topic, topic, sizeof(topic));
    }
}

// Puts or clears a few topics, in the model and in the set.
static void change(struct model *model, struct testretained *t, int times)
{
    for (int i = 0; i < times; i++) {
        struct entry *entry = &model->entries[dice(model, MODEL_TOPICS)];

        entry->retained = dice(model, 3) > 0;
        entry->qos = (unsigned)dice(model, 3);
        (void)snprintf(entry->body, sizeof(entry->body), "%d", model->changes++);
        assert_int_equal(testretained_put_message(t, wz_slice_str(entry->topic),
                                                  wz_slice_str(entry->retained ? entry->body : ""),
                                                  entry->qos),
                         WZ_OK);
    }
}

// The first that FILTER matches behind AFTER, NULL: of all; or NULL.
static const struct entry *expected_next(const struct model *model, const char *filter,
                                         const struct wz_slice *after)
{
    const struct entry *best = NULL;

    for (int i = 0; i < MODEL_TOPICS; i++) {
        const struct entry *entry = &model->entries[i];
        struct wz_slice topic = wz_slice_str(entry->topic);

        if (!entry->retained || (after != NULL && wz_slice_cmp(topic, *after) <= 0) ||
            (best != NULL && wz_slice_cmp(topic, wz_slice_str(best->topic)) > 0))
            continue;
        if (wz_pattern_match(&wz_topic_mqtt, wz_slice_str(filter), topic))
            best = entry;
    }
    return best;
}

static bool is_right(const struct entry *entry, const struct wz_message *msg)
{
    return wz_slice_eq(msg->topic, wz_slice_str(entry->topic)) &&
           wz_slice_eq(msg->body, wz_slice_str(entry->body)) && msg->qos == entry->qos;
}

// Takes one step and holds it against the model; WZ_END ends.
static int check_step(const struct model *model, struct testretained *t,
                      struct wz_retained_walk *walk, size_t budget)
{
    struct wz_slice after = wz_buf_slice(&walk->after);
    const struct entry *expected =
        expected_next(model, walk->filter, walk->started ? &after : NULL);
    struct wz_message msg;
    bool right;
    int r = wz_retained_next(t->retained, walk, &budget, &msg);

    after = wz_buf_slice(&walk->after);
    if (r == WZ_OK)
        right = expected != NULL && is_right(expected, &msg);
    else if (r == WZ_END)
        right = expected == NULL;
    else // it must not have gone past what it had to find
        right = r == WZ_AGAIN && budget == 0 &&
                (expected == NULL || !walk->started ||
                 wz_slice_cmp(wz_slice_str(expected->topic), after) > 0);
    if (!right)
        fail_msg("seed %u, filter \"%s\": result %d at \"%.*s\", expected \"%s\"", model->seed,
                 walk->filter, r, WZ_SLICE_FMT(after), expected ? expected->topic : "the end");
    return r;
}

// Walks to the end: at one go, or in small steps with up to CHANGES changes between two of them.
static void check_filter(struct model *model, struct testretained *t, const char *filter,
                         int changes)
{
    struct wz_retained_walk walk;
    int steps_left = 10000;

    wz_retained_walk_init(&walk, wz_slice_str(filter));
    while (check_step(model, t, &walk, changes > 0 ? (size_t)dice(model, 6) : PLENTY) != WZ_END) {
        if (--steps_left == 0)
            fail_msg("seed %u, filter \"%s\": the walk does not end", model->seed, filter);
        if (changes > 0)
            change(model, t, dice(model, changes + 1));
    }
    wz_retained_walk_release(&walk);
}

static size_t model_count(const struct model *model)
{
    size_t count = 0;

    for (int i = 0; i < MODEL_TOPICS; i++)
        count += model->entries[i].retained;
    return count;
}

static void model_clear(struct model *model, struct testretained *t)
{
    for (int i = 0; i < MODEL_TOPICS; i++)
        assert_int_equal(testretained_put(t, model->entries[i].topic, ""), WZ_OK);
    assert_int_equal(testretained_bytes(), 0);
}

static void test_retained_finds_what_a_look_at_all_of_them_finds(void **state)
{
    static struct model model;
    struct testretained *t = *state;
    char filter[TEXT_MAX];

    for (unsigned seed = 1; seed <= 20; seed++) {
        model_init(&model, seed);
        for (int round = 0; round < 4; round++) {
            change(&model, t, 60);
            if (round == 3)
                testretained_reopen(t);
            if (wz_retained_count(t->retained) != model_count(&model))
                fail_msg("seed %u: %zu retained, expected %zu", seed,
                         wz_retained_count(t->retained), model_count(&model));
            check_filter(&model, t, "#", 0);
            check_filter(&model, t, "$a/#", 0);
            for (int i = 0; i < 50; i++) {
                make_text(&model, 40, filter);
                check_filter(&model, t, filter, 0);
            }
        }
        model_clear(&model, t);
    }
}

static void test_retained_walks_are_right_whatever_is_changed_between_steps(void **state)
{
    static struct model model;
    struct testretained *t = *state;
    char filter[TEXT_MAX];

    for (unsigned seed = 101; seed <= 120; seed++) {
        model_init(&model, seed);
        change(&model, t, 100);
        for (int i = 0; i < 100; i++) {
            make_text(&model, 60, filter);
            check_filter(&model, t, filter, 3);
        }
        model_clear(&model, t);
    }
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, testretained_set_up, testretained_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_retained_finds_what_a_look_at_all_of_them_finds),
        TEST(test_retained_walks_are_right_whatever_is_changed_between_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
