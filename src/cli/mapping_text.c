// SPDX-License-Identifier: Apache-2.0
// Owns the meeting of mapping file and API.
#include "cli/mapping_text.h"

#include "router/mapfile.h"

int wz_mapping_text_import(void *arg, struct wz_slice text,
                           const struct wz_api_documents *documents,
                           struct wz_api_changes *ret_changes, struct wz_problem *ret_problem)
{
    struct wz_mapfile_changes changes;
    struct wz_mapfile *file;
    int r = wz_mapfile_parse(text, &file, ret_problem);

    (void)arg; // text and documents are all there is to it
    if (r < 0)
        return r;
    wz_mapfile_changes(file, documents->lists, &changes);
    wz_mapfile_free(file);
    *ret_changes = (struct wz_api_changes){.items = changes.items, .count = changes.count};
    return WZ_OK;
}

int wz_mapping_text_export(void *arg, const struct wz_api_documents *documents,
                           struct wz_buf *ret_text, struct wz_problem *ret_problem)
{
    (void)arg; // likewise
    return wz_mapfile_export(documents->lists, ret_text, ret_problem);
}
