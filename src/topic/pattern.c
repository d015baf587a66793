// SPDX-License-Identifier: Apache-2.0
// Owns the two spellings of patterns and the match of one pattern with one topic. A topic has one
// word more than it has separators, so the empty topic has one empty word.
#include "topic/pattern.h"

const struct wz_topic_form wz_topic_mqtt = {
    .separator = '/',
    .one = '+',
    .many = '#',
    .many_last = true,
    .hide_dollar = true,
    .not_empty = true,
};

const struct wz_topic_form wz_topic_amqp = {
    .separator = '.',
    .one = '*',
    .many = '#',
};

bool wz_words_next(struct wz_words *words, struct wz_slice *ret_word)
{
    struct wz_slice rest = words->rest;
    const uint8_t *end = rest.len > 0 ? memchr(rest.ptr, words->separator, rest.len) : NULL;
    size_t len;

    if (words->ended)
        return false;
    if (end == NULL) {
        words->ended = true;
        *ret_word = rest;
        return true;
    }
    len = (size_t)(end - rest.ptr);
    *ret_word = wz_slice(rest.ptr, len);
    words->rest = wz_slice_sub(rest, len + 1, rest.len - len - 1);
    return true;
}

static bool is(struct wz_slice word, uint8_t wildcard)
{
    return word.len == 1 && word.ptr[0] == wildcard;
}

bool wz_pattern_valid(const struct wz_topic_form *form, struct wz_slice s)
{
    struct wz_words words = wz_words(s, form->separator);
    struct wz_slice word;

    if (s.len == 0)
        return !form->not_empty;
    if (memchr(s.ptr, '\0', s.len) != NULL)
        return false;
    while (wz_words_next(&words, &word)) {
        if (word.len > 1 && (memchr(word.ptr, form->one, word.len) != NULL ||
                             memchr(word.ptr, form->many, word.len) != NULL))
            return false;
        if (form->many_last && is(word, form->many) && !words.ended)
            return false;
    }
    return true;
}

// A place in the pattern, with its word; ENDED is past the last one.
struct place {
    struct wz_words words;
    struct wz_slice word;
    bool ended;
};

static void step(struct place *place)
{
    place->ended = !wz_words_next(&place->words, &place->word);
}

static bool hidden(const struct wz_topic_form *form, struct wz_slice pattern, struct wz_slice topic)
{
    return form->hide_dollar && topic.len > 0 && topic.ptr[0] == '$' && pattern.len > 0 &&
           (pattern.ptr[0] == form->one || pattern.ptr[0] == form->many);
}

// Goes through the topic once; when a word does not fit, the last many-wildcard takes one word more
// and the rest is tried again from there. An earlier one need not be asked again: whatever it could
// take more, the last one can take too.
bool wz_pattern_match(const struct wz_topic_form *form, struct wz_slice pattern,
                      struct wz_slice topic)
{
    struct place at = {.words = wz_words(pattern, form->separator)};
    struct place on = {.words = wz_words(topic, form->separator)};
    struct place after_many; // the pattern behind its last many-wildcard
    struct place taken;      // the first topic word that the wildcard has not taken
    bool any_many = false;

    if (hidden(form, pattern, topic))
        return false;
    step(&at);
    step(&on);
    while (!on.ended || !at.ended) {
        if (!at.ended && is(at.word, form->many)) {
            step(&at);
            after_many = at;
            taken = on;
            any_many = true;
        } else if (!at.ended && !on.ended &&
                   (is(at.word, form->one) || wz_slice_eq(at.word, on.word))) {
            step(&at);
            step(&on);
        } else if (any_many && !taken.ended) {
            step(&taken);
            at = after_many;
            on = taken;
        } else {
            return false;
        }
    }
    return true;
}
