// SPDX-License-Identifier: Apache-2.0
// A mapping text that is accepted must come back from the documents it makes as the same bytes, and
// leave nothing to change when it is imported again; so must the text that is written without it.
#include "base/err.h"
#include "base/mem.h"
#include "router/documents_test.h"
#include "router/mapfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

// Imports TEXT; how many changes that took, or -1 when it is refused.
static long import(struct wz_document_list *lists, struct wz_slice text)
{
    struct wz_mapfile_changes changes = {0};
    struct wz_mapfile *file = NULL;
    long count;

    if (wz_mapfile_parse(text, &file, NULL) < 0)
        return -1;
    wz_mapfile_changes(file, lists, &changes);
    apply_changes(lists, changes.items, changes.count);
    count = (long)changes.count;
    wz_mapfile_changes_release(&changes);
    wz_mapfile_free(file);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    WZ_AUTO(wz_buf_release) struct wz_buf again = {0};
    WZ_AUTO(wz_buf_release) struct wz_buf fresh = {0};
    struct wz_document_list lists[WZ_COLLECTION_COUNT] = {0};
    struct wz_slice text = wz_slice(bytes, len);

    if (import(lists, text) >= 0) {
        WZ_ASSERT(wz_mapfile_export(lists, &again, NULL) == WZ_OK);
        WZ_ASSERT(wz_slice_eq(wz_buf_slice(&again), text));
        WZ_ASSERT(import(lists, text) == 0);
        wz_document_list_release(&lists[WZ_COLLECTION_SETTINGS]);
        WZ_ASSERT(wz_mapfile_export(lists, &fresh, NULL) == WZ_OK);
        WZ_ASSERT(import(lists, wz_buf_slice(&fresh)) == 1); // the text that is kept
    }
    release_documents(lists);
    return 0;
}
