// SPDX-License-Identifier: Apache-2.0
// Owns the two mappings of a change: the one before it and the one after.
#include "router/mapping_keeper.h"

void wz_mapping_keeper_release(struct wz_mapping_keeper *keeper)
{
    wz_mapping_unref(keeper->newest);
    wz_mapping_unref(keeper->next);
    *keeper = (struct wz_mapping_keeper){0};
}

static void set(struct wz_mapping **place, struct wz_mapping *mapping)
{
    wz_mapping_unref(*place);
    *place = mapping;
}

int wz_mapping_keeper_check(struct wz_mapping_keeper *keeper, struct wz_store_view *view,
                            struct wz_problem *ret_problem)
{
    struct wz_mapping *mapping = NULL;
    size_t count;
    int r;

    if (keeper->newest != NULL && wz_store_view_changes(view, &count) != NULL)
        r = wz_mapping_rebuild(keeper->newest, view, &mapping, ret_problem);
    else
        r = wz_mapping_build(view, &mapping, ret_problem);
    set(&keeper->next, r == WZ_OK ? mapping : NULL);
    return r;
}

int wz_mapping_keeper_take(struct wz_mapping_keeper *keeper, struct wz_store_view *view,
                           struct wz_mapping **ret_mapping, struct wz_problem *ret_problem)
{
    struct wz_mapping *mapping = keeper->next;
    size_t count;
    int r = WZ_OK;

    keeper->next = NULL;
    // What was checked is what counts, if nothing else has changed.
    if (wz_store_view_changes(view, &count) == NULL || mapping == NULL) {
        wz_mapping_unref(mapping);
        mapping = NULL;
        r = wz_mapping_build(view, &mapping, ret_problem);
    }
    set(&keeper->newest, mapping);
    if (r == WZ_OK)
        *ret_mapping = wz_mapping_ref(mapping);
    return r;
}
