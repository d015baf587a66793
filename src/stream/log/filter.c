// SPDX-License-Identifier: Apache-2.0
// Owns the choice of topics of one reader.
#include "stream/log/filter.h"

int wz_filter_init(struct wz_filter *filter, struct wz_slice pattern)
{
    struct wz_words words = wz_words(pattern, wz_topic_amqp.separator);
    struct wz_slice word;

    *filter = (struct wz_filter){.literal = true};
    if (pattern.len == 0 || wz_slice_eq(pattern, WZ_SLICE_LIT("#")))
        return WZ_OK;
    if (!wz_pattern_valid(&wz_topic_amqp, pattern))
        return WZ_ERR_INVALID;
    while (wz_words_next(&words, &word)) {
        if (word.len == 1 && (*word.ptr == wz_topic_amqp.one || *word.ptr == wz_topic_amqp.many))
            filter->literal = false;
        else if (filter->literal)
            filter->prefix_len = (size_t)(word.ptr + word.len - pattern.ptr);
    }
    wz_buf_add_slice(&filter->pattern, pattern);
    return WZ_OK;
}

void wz_filter_release(struct wz_filter *filter) { wz_buf_release(&filter->pattern); }

bool wz_filter_match(const struct wz_filter *filter, struct wz_slice topic)
{
    struct wz_slice pattern = wz_buf_slice(&filter->pattern);

    if (pattern.len == 0)
        return true;
    if (filter->literal)
        return wz_slice_eq(pattern, topic);
    if (!wz_slice_starts(topic, wz_slice_sub(pattern, 0, filter->prefix_len)))
        return false; // most topics end here, and cheaply
    return wz_pattern_match(&wz_topic_amqp, pattern, topic);
}
