// SPDX-License-Identifier: Apache-2.0
// Owns the building of a mapping anew when some of its documents have changed: devices that have
// not are copied from the mapping before, without a look at their documents.
#include "router/mapping.h"

#include "base/codes.h"
#include "base/mem.h"
#include "router/mapping_build.h"

// What is known of the documents that have changed.
struct again {
    struct wz_mapping_build *build;
    const struct wz_mapping *before;
    struct wz_store_view *view;
    const struct wz_store_change *changes;
    size_t count;
    struct wz_map by_name; // the last change of each device
    uint32_t *profiles;    // by number of a profile before: the present number + 1
};

// The present profile of a device that had profile BEFORE, which has nothing of a device's own.
static int profile_again(struct again *again, struct wz_mapping_subject subject, uint32_t before,
                         uint32_t *ret_profile)
{
    if (again->profiles[before] == 0) {
        const char *name = again->before->profiles[before].template;
        uint32_t profile;
        int r = wz_mapping_build_profile(again->build, subject, name, &profile);

        if (r < 0)
            return r;
        again->profiles[before] = profile + 1;
    }
    *ret_profile = again->profiles[before] - 1;
    return WZ_OK;
}

static int read_again(struct again *again, const char *name)
{
    struct wz_document_list list = {0};
    int r = wz_store_view_get(again->view, WZ_COLLECTION_DEVICES, name, &list);

    if (r == WZ_OK && list.count > 0)
        r = wz_mapping_build_add(again->build, &list.items[0]);
    wz_document_list_release(&list);
    return r;
}

// Adds a device that has not changed.
static int keep_device(struct again *again, uint32_t number, const char *name)
{
    const struct wz_device_table *before = &again->before->devices;
    struct wz_mapping_subject subject = {WZ_COLLECTION_DEVICES, name};
    uint32_t profile;
    uint32_t present;
    int r;

    if (again->before->profiles[before->profiles[number]].own)
        return read_again(again, name);
    r = profile_again(again, subject, before->profiles[number], &profile);
    if (r < 0)
        return r;
    r = wz_device_table_copy(&again->build->mapping->devices, before, number, profile, &present);
    if (r == WZ_ERR_EXISTS) // as a changed one has its route now
        return wz_mapping_refuse_taken(again->build, subject, wz_device_id(before, number),
                                       wz_device_key(before, number, WZ_SIDE_LOGICAL), present);
    return r;
}

static int keep_devices(struct again *again)
{
    const struct wz_device_table *before = &again->before->devices;
    char name[WZ_DOCUMENT_NAME_MAX + 1];

    for (uint32_t i = wz_device_next(before, UINT32_MAX); i != UINT32_MAX;
         i = wz_device_next(before, i)) {
        struct wz_slice id = wz_device_id(before, i);
        int r;

        if (wz_map_get(&again->by_name, id) != NULL)
            continue;
        memcpy(name, id.ptr, id.len); // an id is a document's name
        name[id.len] = '\0';
        r = keep_device(again, i, name);
        if (r < 0)
            return r;
    }
    return WZ_OK;
}

static int change_devices(struct again *again)
{
    for (size_t i = 0; i < again->count; i++) {
        const struct wz_store_change *change = &again->changes[i];
        struct wz_document document = {.name = (char *)(uintptr_t)change->name,
                                       .body = change->body};
        int r;

        if (change->collection != WZ_COLLECTION_DEVICES || change->body == NULL ||
            wz_map_get(&again->by_name, wz_slice_str(change->name)) != change)
            continue;
        r = wz_mapping_build_add(again->build, &document);
        if (r < 0)
            return r;
    }
    return WZ_OK;
}

// The devices of the mapping before, but for those that have changed. These come last, so that a
// problem is told of them.
static int add_devices_again(struct again *again)
{
    const struct wz_device_table *before = &again->before->devices;
    uint32_t captured = 0;
    uint32_t exact = 0;
    int r;

    for (size_t i = 0; i < again->count; i++) {
        const struct wz_store_change *change = &again->changes[i];

        if (change->collection != WZ_COLLECTION_DEVICES)
            continue;
        (void)wz_map_put(&again->by_name, wz_slice_str(change->name), (void *)(uintptr_t)change);
        if (change->body != NULL && wz_mapping_has_captures(change->name, change->body))
            captured++;
        else if (change->body != NULL)
            exact++;
    }
    wz_device_table_init(&again->build->mapping->devices, before->exact.count + exact,
                         before->captured.count + captured);
    again->profiles = wz_zalloc(again->before->profile_count, sizeof(again->profiles[0]));
    r = keep_devices(again);
    if (r == WZ_OK)
        r = change_devices(again);
    wz_map_release(&again->by_name);
    wz_free(again->profiles);
    return r;
}

int wz_mapping_rebuild(struct wz_mapping *before, struct wz_store_view *view,
                       struct wz_mapping **ret_mapping, struct wz_problem *ret_problem)
{
    struct wz_mapping_build build = {.mapping = wz_mapping_empty(), .ret_problem = ret_problem};
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct again again = {.build = &build, .before = before, .view = view};
    int r = wz_mapping_read_shared(view, lists, ret_problem);

    again.changes = wz_store_view_changes(view, &again.count);
    if (r == WZ_OK)
        r = wz_mapping_build_begin(&build, lists);
    if (r == WZ_OK)
        r = add_devices_again(&again);
    r = wz_mapping_build_end(&build, r, ret_mapping);
    for (size_t i = 0; i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&lists[i]);
    return r;
}
