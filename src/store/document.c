// SPDX-License-Identifier: Apache-2.0
// Owns the collections' names and the rules for documents.
#include "store/document.h"

#include "base/codes.h"
#include "base/mem.h"
#include "base/utf8.h"

static const char *const names[] = {
#define WZ_COLLECTION_NAME(id, name) name,
    WZ_COLLECTION_TABLE(WZ_COLLECTION_NAME)
#undef WZ_COLLECTION_NAME
};

const char *wz_collection_name(enum wz_collection collection)
{
    WZ_ASSERT(collection < WZ_COLLECTION_COUNT);
    return names[collection];
}

enum wz_collection wz_collection_find(const char *name)
{
    int collection = 0;

    while (collection < WZ_COLLECTION_COUNT && strcmp(names[collection], name) != 0)
        collection++;
    return (enum wz_collection)collection;
}

void wz_document_release(struct wz_document *document)
{
    wz_free(document->name);
    json_decref(document->body);
    *document = (struct wz_document){0};
}

const struct wz_document *wz_document_list_find(const struct wz_document_list *list,
                                                const char *name)
{
    size_t low = 0;
    size_t high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(list->items[middle].name, name);

        if (order == 0)
            return &list->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void wz_document_list_release(struct wz_document_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        wz_document_release(&list->items[i]);
    wz_free(list->items);
    *list = (struct wz_document_list){0};
}

// Whether there is a control character: C0, DEL or C1 (U+0080 to U+009F, C2 80 to C2 9F in UTF-8).
static bool has_control(struct wz_slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 0x20 || s.ptr[i] == 0x7f ||
            (s.ptr[i] == 0xc2 && i + 1 < s.len && s.ptr[i + 1] < 0xa0))
            return true;
    return false;
}

int wz_document_check_name(enum wz_collection collection, const char *name,
                           struct wz_problem *ret_problem)
{
    struct wz_slice s = wz_slice_str(name);
    const char *wrong = NULL;

    if (s.len == 0)
        wrong = "is empty";
    else if (s.len > WZ_DOCUMENT_NAME_MAX)
        wrong = "is longer than 1024 bytes";
    else if (!wz_utf8_valid(s))
        wrong = "is not UTF-8";
    else if (has_control(s))
        wrong = "contains a control character";
    if (wrong == NULL)
        return WZ_OK;
    wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_DOCUMENT_NAME, "The name %s.", wrong);
    wz_problem_where(ret_problem, "%s", wz_collection_name(collection));
    wz_problem_fix(ret_problem, "Give a name of 1 to 1024 bytes of text on one line.");
    return WZ_ERR_INVALID;
}

static int add_text(const char *bytes, size_t len, void *arg)
{
    wz_buf_add(arg, bytes, len);
    return 0;
}

int wz_document_encode(enum wz_collection collection, const char *name, const json_t *body,
                       struct wz_buf *ret_text, struct wz_problem *ret_problem)
{
    size_t before = ret_text->len;
    int r = WZ_OK;

    if (!json_is_object(body) || json_dump_callback(body, add_text, ret_text, JSON_COMPACT) != 0)
        r = wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_DOCUMENT_BODY,
                           "The body is not a JSON object.");
    else if (ret_text->len - before > WZ_DOCUMENT_BODY_MAX)
        r = wz_problem_set(ret_problem, WZ_ERR_TOO_LARGE, WZ_CODE_DOCUMENT_TOO_LARGE,
                           "The body has %zu bytes.", ret_text->len - before);
    if (r == WZ_OK)
        return WZ_OK;
    ret_text->len = before;
    wz_problem_where(ret_problem, "%s/%s", wz_collection_name(collection), name);
    wz_problem_fix(ret_problem, "Give a JSON object of at most 1 MiB.");
    return r;
}

int wz_document_decode(struct wz_slice s, json_t **ret_body)
{
    json_t *body = json_loadb((const char *)s.ptr, s.len, JSON_ALLOW_NUL, NULL);

    if (!json_is_object(body)) {
        json_decref(body);
        return WZ_ERR_CORRUPT;
    }
    *ret_body = body;
    return WZ_OK;
}
