// SPDX-License-Identifier: Apache-2.0
// The trie must find just the patterns that match one by one. The first byte chooses the form; then
// follow lines, the topic first and the patterns after it.
#include "base/err.h"
#include "topic/trie.h"

#define PATTERNS_MAX 64

struct entry {
    struct wz_slice pattern;
    int met;
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void meet(void *arg, void *value)
{
    (void)arg;
    ((struct entry *)value)->met++;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const struct wz_topic_form *form =
        len > 0 && bytes[0] % 2 == 0 ? &wz_topic_mqtt : &wz_topic_amqp;
    struct wz_words lines =
        wz_words(len > 0 ? wz_slice(bytes + 1, len - 1) : (struct wz_slice){0}, '\n');
    struct wz_trie *trie;
    struct entry entries[PATTERNS_MAX] = {0};
    size_t count = 0;
    struct wz_slice topic;
    struct wz_words words;
    struct wz_slice line;
    size_t depth = 0;

    if (!wz_words_next(&lines, &topic))
        return 0;
    trie = wz_trie_new(form);
    while (count < PATTERNS_MAX && wz_words_next(&lines, &line)) {
        entries[count].pattern = line;
        if (wz_pattern_valid(form, line) && wz_trie_add(trie, line, &entries[count]) == WZ_OK)
            count++;
    }
    for (words = wz_words(topic, form->separator); wz_words_next(&words, &line);)
        depth++;
    wz_trie_match(trie, topic, meet, NULL);
    for (size_t i = 0; i < count; i++) {
        bool match = wz_pattern_match(form, entries[i].pattern, topic);

        WZ_ASSERT(entries[i].met == (match && depth <= WZ_TRIE_DEPTH_MAX));
        WZ_ASSERT(wz_trie_remove(trie, entries[i].pattern, &entries[i]) == WZ_OK);
    }
    WZ_ASSERT(wz_trie_count(trie) == 0);
    wz_trie_free(trie);
    return 0;
}
