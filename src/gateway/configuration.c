// SPDX-License-Identifier: Apache-2.0
// Owns the whole configuration over HTTP: all documents as one JSON object, by collection and name
// (docs/formats/configuration.md).
#include "base/codes.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/gather.h"
#include "gateway/handlers.h"

#define FORMAT "wyze configuration 1"

// All documents as a text, which jansson has allocated.
static char *make_text(const struct wz_gather *gather)
{
    json_t *all = json_pack("{s:s}", "format", FORMAT);
    char *text;

    for (int i = 0; i < WZ_COLLECTION_COUNT; i++) {
        const struct wz_document_list *list = &gather->documents.lists[i];
        json_t *documents = json_object();

        // Names and bodies are what jansson has parsed.
        for (size_t j = 0; j < list->count; j++)
            (void)json_object_set(documents, list->items[j].name, list->items[j].body);
        (void)json_object_set_new(all, wz_collection_name((enum wz_collection)i), documents);
    }
    text = json_dumps(all, JSON_INDENT(1));
    json_decref(all);
    WZ_ASSERT(text != NULL);
    return text;
}

static void export(struct wz_gather *gather)
{
    char *text = make_text(gather);

    wz_gather_tell(gather, "application/json", wz_slice_str(text));
    free(text);
}

static void add_change(struct wz_api_changes *changes, enum wz_collection collection,
                       const char *name, json_t *body)
{
    if ((changes->count & (changes->count - 1)) == 0) // grows at each power of two
        changes->items = wz_realloc(changes->items, (changes->count > 0 ? 2 * changes->count : 1) *
                                                        sizeof(changes->items[0]));
    changes->items[changes->count++] = (struct wz_store_change){
        .collection = collection, .name = wz_strdup(name), .body = json_incref(body)};
}

static int refuse(struct wz_problem *ret_problem, const char *where, const char *what)
{
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST, "%s", what);
    wz_problem_where(ret_problem, "%s", where);
    wz_problem_fix(ret_problem, "Give what wyze export writes: docs/formats/configuration.md.");
    return WZ_ERR_INVALID;
}

// What changes one collection into DOCUMENTS. Those that are not named go, if REPLACES.
static int change_collection(struct wz_gather *gather, enum wz_collection collection,
                             json_t *documents, bool replaces, struct wz_problem *ret_problem)
{
    const struct wz_document_list *list = &gather->documents.lists[collection];
    const char *name;
    json_t *body;

    if (!json_is_object(documents))
        return refuse(ret_problem, wz_collection_name(collection), "The collection is no object.");
    for (size_t i = 0; replaces && i < list->count; i++)
        if (json_object_get(documents, list->items[i].name) == NULL)
            add_change(&gather->changes, collection, list->items[i].name, NULL);
    json_object_foreach(documents, name, body)
    {
        const struct wz_document *document = wz_document_list_find(list, name);

        if (!json_is_object(body))
            return refuse(ret_problem, name, "The document is no object.");
        if (document == NULL || !json_equal(document->body, body))
            add_change(&gather->changes, collection, name, body);
    }
    return WZ_OK;
}

static int change_all(struct wz_gather *gather, json_t *all, bool replaces,
                      struct wz_problem *ret_problem)
{
    const char *format = json_string_value(json_object_get(all, "format"));
    const char *name;
    json_t *documents;

    if (format == NULL || strcmp(format, FORMAT) != 0)
        return refuse(ret_problem, "format", "The member \"format\" is not \"" FORMAT "\".");
    json_object_foreach(all, name, documents)
    {
        enum wz_collection collection = wz_collection_find(name);
        int r;

        if (strcmp(name, "format") == 0)
            continue;
        if (collection == WZ_COLLECTION_COUNT)
            return refuse(ret_problem, name, "There is no such collection.");
        r = change_collection(gather, collection, documents, replaces, ret_problem);
        if (r < 0)
            return r;
    }
    return WZ_OK;
}

// Whether the documents are still those for which the request has a condition; else it is answered.
static bool is_still(struct wz_gather *gather)
{
    char *text;
    bool still;

    if (wz_http_field(&gather->req->head, "If-Match").ptr == NULL)
        return true;
    text = make_text(gather);
    still = wz_gather_still(gather, wz_slice_str(text));
    free(text);
    return still;
}

// The first word says whether what is not named stays.
static void import(struct wz_gather *gather)
{
    struct wz_problem problem = {0};
    bool merges = wz_slice_eq(wz_buf_slice(&gather->words[0]), WZ_SLICE_LIT("merge"));
    json_t *all;
    int r;

    if (!is_still(gather))
        return;
    all = wz_request_object(gather->req, &problem);
    r = problem.err;
    if (all != NULL)
        r = change_all(gather, all, !merges, &problem);
    json_decref(all);
    if (r == WZ_OK) {
        gather->exact = true; // another import may be under way
        wz_gather_apply(gather);
        return;
    }
    problem.err = r;
    wz_gather_refuse(gather, &problem);
}

void wz_handle_configuration_get(struct wz_request *req)
{
    struct wz_gather *gather = wz_gather_new(req, export);

    if (gather != NULL)
        wz_gather_begin(gather);
}

void wz_handle_configuration_put(struct wz_request *req)
{
    struct wz_gather *gather = wz_gather_new(req, import);
    struct wz_problem problem = {0};
    int r;

    if (gather == NULL)
        return;
    r = wz_request_param(req, "mode", &gather->words[0], &problem);
    if (r == WZ_OK && !wz_slice_eq(wz_buf_slice(&gather->words[0]), WZ_SLICE_LIT("merge")) &&
        !wz_slice_eq(wz_buf_slice(&gather->words[0]), WZ_SLICE_LIT("replace"))) {
        r = wz_problem_set(&problem, WZ_ERR_INVALID, WZ_CODE_API_REQUEST,
                           "The parameter \"mode\" is neither replace nor merge.");
        wz_problem_fix(&problem, "Write ?mode=merge to keep what is not named.");
    }
    if (r < 0 && r != WZ_ERR_NOT_FOUND)
        wz_gather_refuse(gather, &problem);
    else
        wz_gather_begin(gather);
}
