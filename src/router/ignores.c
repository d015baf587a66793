// SPDX-License-Identifier: Apache-2.0
// Owns what a filter of topics to be ignored is.
#include "router/ignores.h"

#include "base/codes.h"

static size_t count_levels(struct wz_slice s)
{
    struct wz_words words = wz_words(s, '/');
    struct wz_slice word;
    size_t count = 0;

    while (wz_words_next(&words, &word))
        count++;
    return count;
}

int wz_ignore_check(const char *name, const json_t *body, struct wz_problem *ret_problem)
{
    struct wz_slice filter = wz_slice_str(name);
    const char *member;
    json_t *value;

    if (!wz_pattern_valid(&wz_topic_mqtt, filter) || count_levels(filter) > WZ_TRIE_DEPTH_MAX) {
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_INBOX_IGNORE,
                             "\"%.128s\" is no MQTT filter.", name);
        wz_problem_where(ret_problem, "ignores/%.200s", name);
        wz_problem_fix(ret_problem,
                       "Write it as for a subscription: a/+/b, a/#; at most 128 levels.");
        return WZ_ERR_INVALID;
    }
    json_object_foreach((json_t *)(uintptr_t)body, member, value) // it only reads
    {
        if (strcmp(member, "description") == 0 && json_is_string(value))
            continue;
        (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_INBOX_IGNORE,
                             "An ignored filter has no member \"%.64s\" like this.", member);
        wz_problem_where(ret_problem, "ignores/%.200s", name);
        wz_problem_fix(ret_problem, "It may have \"description\", a text.");
        return WZ_ERR_INVALID;
    }
    return WZ_OK;
}

// As a trie of that filter alone would match.
static bool matches(struct wz_slice filter, struct wz_slice topic)
{
    return wz_pattern_valid(&wz_topic_mqtt, filter) && count_levels(filter) <= WZ_TRIE_DEPTH_MAX &&
           count_levels(topic) <= WZ_TRIE_DEPTH_MAX &&
           wz_pattern_match(&wz_topic_mqtt, filter, topic);
}

const char *wz_ignores_find(const struct wz_document_list *list, struct wz_slice topic)
{
    for (size_t i = 0; i < list->count; i++)
        if (matches(wz_slice_str(list->items[i].name), topic))
            return list->items[i].name;
    return NULL;
}

struct wz_trie *wz_ignores_compile(const struct wz_document_list *list)
{
    static char mark; // what stands at a filter does not matter, only that something does
    struct wz_trie *trie;

    if (list->count == 0)
        return NULL;
    trie = wz_trie_new(&wz_topic_mqtt);
    for (size_t i = 0; i < list->count; i++) {
        struct wz_slice filter = wz_slice_str(list->items[i].name);

        // One that another program has put there wrongly matches nothing.
        if (wz_pattern_valid(&wz_topic_mqtt, filter))
            wz_ignore(wz_trie_add(trie, filter, &mark));
    }
    return trie;
}
