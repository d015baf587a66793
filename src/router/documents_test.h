// SPDX-License-Identifier: Apache-2.0
// Documents for the tests of the mapping, without a store, and random numbers.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/store.h"

// Adds a document whose body is {MEMBER: VALUE}.
static inline void add_document(struct wz_document_list *list, const char *name, const char *member,
                                const char *value)
{
    json_t *body = json_object();

    if (member != NULL && json_object_set_new(body, member, json_string(value)) != 0)
        abort();
    list->items = wz_realloc(list->items, (list->count + 1) * sizeof(list->items[0]));
    list->items[list->count++] =
        (struct wz_document){.name = wz_strdup(name), .revision = 1, .body = body};
}

static inline void add_device(struct wz_document_list *lists, const char *id, const char *route)
{
    add_document(&lists[WZ_COLLECTION_DEVICES], id, "route", route);
}

static inline void add_subtopic(struct wz_document_list *lists, const char *name,
                                const char *channel)
{
    add_document(&lists[WZ_COLLECTION_SUBTOPICS], name, "channel", channel);
}

static inline void add_type(struct wz_document_list *lists, const char *name, const char *word)
{
    add_document(&lists[WZ_COLLECTION_TYPES], name, "word", word);
}

// Reads {"devices": {ID: ROUTE or BODY}, "templates": {...}, "subtopics": {S: CHANNEL or BODY}}.
static inline void add_documents(const char *text, struct wz_document_list *lists)
{
    json_t *all = json_loads(text, 0, NULL);
    const char *collection;
    json_t *documents;

    if (all == NULL)
        abort();
    json_object_foreach(all, collection, documents)
    {
        enum wz_collection number = wz_collection_find(collection);
        struct wz_document_list *list = &lists[number];
        const char *name;
        json_t *body;

        json_object_foreach(documents, name, body)
        {
            const char *member = number == WZ_COLLECTION_DEVICES ? "route" : "channel";

            add_document(list, name, json_is_string(body) ? member : NULL, json_string_value(body));
            if (json_is_object(body))
                (void)json_object_update(list->items[list->count - 1].body, body);
        }
    }
    json_decref(all);
}

// Makes the changes in the lists, which stay ordered by name, as a store would.
static inline void apply_changes(struct wz_document_list *lists,
                                 const struct wz_store_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct wz_document_list *list = &lists[changes[i].collection];
        size_t at = 0;
        bool found;

        while (at < list->count && strcmp(list->items[at].name, changes[i].name) < 0)
            at++;
        found = at < list->count && strcmp(list->items[at].name, changes[i].name) == 0;
        if (found) {
            wz_free(list->items[at].name);
            json_decref(list->items[at].body);
            list->count--;
            memmove(&list->items[at], &list->items[at + 1],
                    (list->count - at) * sizeof(list->items[0]));
        }
        if (changes[i].body == NULL)
            continue;
        list->items = (struct wz_document *)wz_realloc(list->items,
                                                       (list->count + 1) * sizeof(list->items[0]));
        memmove(&list->items[at + 1], &list->items[at],
                (list->count - at) * sizeof(list->items[0]));
        list->items[at] = (struct wz_document){.name = wz_strdup(changes[i].name),
                                               .body = json_deep_copy(changes[i].body)};
        list->count++;
    }
}

static inline void release_documents(struct wz_document_list *lists)
{
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&lists[i]);
}

// A random generator that a seed repeats (splitmix64).
static inline uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}
