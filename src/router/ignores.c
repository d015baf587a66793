// SPDX-License-Identifier: Apache-2.0
// Owns what a filter of topics to be ignored is.
#include "router/ignores.h"

#include "base/codes.h"

int wz_ignore_check(const char *name, const json_t *body, struct wz_problem *ret_problem)
{
    struct wz_slice filter = wz_slice_str(name);
    struct wz_words words = wz_words(filter, '/');
    struct wz_slice word;
    size_t count = 0;
    const char *member;
    json_t *value;

    while (wz_words_next(&words, &word))
        count++;
    if (!wz_pattern_valid(&wz_topic_mqtt, filter) || count > WZ_TRIE_DEPTH_MAX) {
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
