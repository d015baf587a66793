// SPDX-License-Identifier: Apache-2.0
// Owns how an entry of the inbox is said.
#include "router/inbox_list.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "stream/moment.h"
#include "json/text.h"

static int by_count(const void *left, const void *right)
{
    const struct wz_seen *a = left;
    const struct wz_seen *b = right;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return wz_slice_cmp(wz_seen_topic(a), wz_seen_topic(b));
}

static json_t *time_text(int64_t time_ms)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};

    wz_moment_add_time(&text, time_ms);
    return json_stringn((const char *)text.ptr, text.len);
}

static void add_sample(json_t *item, const struct wz_seen *seen)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_slice sample = wz_seen_sample(seen);

    if (wz_utf8_valid(sample)) {
        (void)json_object_set_new(item, "sample",
                                  json_stringn(sample.len > 0 ? (const char *)sample.ptr : "",
                                               sample.len)); // it is UTF-8
    } else {
        wz_json_add_base64(&text, sample);
        (void)json_object_set_new(item, "sample",
                                  json_stringn((const char *)text.ptr + 1,
                                               text.len - 2)); // without its quotes
        (void)json_object_set_new(item, "sample_encoding", json_string("base64")); // likewise
    }
    (void)json_object_set_new(item, "bytes", json_integer(seen->text->body_len)); // likewise
}

// An entry, or NULL when its topic cannot stand in JSON.
static json_t *describe(const struct wz_seen *seen)
{
    struct wz_slice topic = wz_seen_topic(seen);
    json_t *name = json_stringn((const char *)topic.ptr, topic.len);
    json_t *item;

    if (name == NULL)
        return NULL;
    item = json_pack("{s:o, s:s, s:I, s:I, s:o, s:o, s:I}", "topic", name, "why",
                     wz_outcome_word((enum wz_outcome)seen->why), "count", (json_int_t)seen->count,
                     "over", (json_int_t)seen->over, "first", time_text(seen->first_ms), "last",
                     time_text(seen->last_ms), "per_minute", (json_int_t)llround(seen->rate * 60));
    add_sample(item, seen);
    return item;
}

static bool is_listed(const struct wz_inbox_list *list, const struct wz_seen *seen)
{
    struct wz_translation translation;

    return wz_mapping_in(list->mapping, wz_seen_topic(seen), &translation) != WZ_OUTCOME_MAPPED;
}

void wz_inbox_list_make(struct wz_inbox_list *list)
{
    json_t *limit = json_object_get(list->wish, "limit");
    json_int_t most = json_is_integer(limit) ? json_integer_value(limit) : WZ_INBOX_LIST_TOPICS;
    json_t *items = json_array();
    bool more = false;

    if (list->count > 0)
        qsort(list->items, list->count, sizeof(list->items[0]), by_count);
    for (uint32_t i = 0; i < list->count && !more; i++) {
        json_t *item = is_listed(list, &list->items[i]) ? describe(&list->items[i]) : NULL;

        if (item == NULL)
            continue;
        more = (json_int_t)json_array_size(items) >= most;
        if (more)
            json_decref(item);
        else
            (void)json_array_append_new(items, item); // it is one
    }
    (void)json_object_set_new(list->answer, "items", items); // our own names
    (void)json_object_set_new(list->answer, "more", json_boolean(more));
}

void wz_inbox_list_release(struct wz_inbox_list *list)
{
    wz_seen_copies_free(list->items, list->count);
    wz_mapping_unref(list->mapping);
    json_decref(list->answer);
}

static void note(void *arg, void *value)
{
    (void)value; // which filter it is does not matter
    *(bool *)arg = true;
}

bool wz_inbox_trie_has(const struct wz_trie *trie, struct wz_slice topic)
{
    bool found = false;

    wz_trie_match(trie, topic, note, &found);
    return found;
}
