// SPDX-License-Identifier: Apache-2.0
// A circular, doubly linked list that lives inside its members.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// A link, or the head of a list. A link that is in no list points to itself.
struct wz_list {
    struct wz_list *prev;
    struct wz_list *next;
};

// The struct of TYPE whose MEMBER is the link at PTR.
#define WZ_CONTAINER(ptr, type, member) ((type *)(void *)(((char *)(ptr)) - offsetof(type, member)))

// Walks a list; the member at hand may be removed. IT and TMP are struct wz_list pointers.
#define WZ_LIST_EACH(it, tmp, head)                                                                \
    for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head); (it) = (tmp), (tmp) = (it)->next)

// Makes an empty list, or a link that is in no list.
static inline void wz_list_init(struct wz_list *list)
{
    list->prev = list;
    list->next = list;
}

// Whether the list has no members, or the link is in no list.
static inline bool wz_list_empty(const struct wz_list *list) { return list->next == list; }

// Adds LINK, which must be in no list, behind the last member.
static inline void wz_list_push(struct wz_list *head, struct wz_list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

// Takes LINK out of its list; fine when it is in none.
static inline void wz_list_remove(struct wz_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    wz_list_init(link);
}

// Takes the first member out; NULL when the list is empty.
static inline struct wz_list *wz_list_shift(struct wz_list *head)
{
    struct wz_list *link = head->next;

    if (link == head)
        return NULL;
    wz_list_remove(link);
    return link;
}
