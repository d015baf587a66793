// SPDX-License-Identifier: Apache-2.0
// Owns the check of documents: each tier judges its own.
#include "cli/document_check.h"

#include "base/codes.h"
#include "base/mem.h"
#include "engine/pass_rule.h"
#include "engine/script_document.h"
#include "router/ignores.h"
#include "router/mapping_keeper.h"

static int check_mapping(struct wz_mapping_keeper *keeper, struct wz_store_view *view,
                         struct wz_problem *ret_problem)
{
    struct wz_mapping_keeper own = {0};
    int r = wz_mapping_keeper_check(keeper != NULL ? keeper : &own, view, ret_problem);

    wz_mapping_keeper_release(&own);
    return r;
}

static int check_scripts(struct wz_store_view *view, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_document_list_release) struct wz_document_list list = {0};
    int r = wz_store_view_list(view, WZ_COLLECTION_SCRIPTS, &list);

    for (size_t i = 0; r == WZ_OK && i < list.count; i++)
        r = wz_script_document_check(list.items[i].name, list.items[i].body, ret_problem);
    return r;
}

static int check_passthrough(struct wz_store_view *view, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_document_list_release) struct wz_document_list list = {0};
    int r = wz_store_view_list(view, WZ_COLLECTION_PASSTHROUGH, &list);

    for (size_t i = 0; r == WZ_OK && i < list.count; i++)
        r = wz_pass_rule_check(list.items[i].name, list.items[i].body, ret_problem);
    if (r < 0 || list.count <= WZ_PASS_RULES_MAX)
        return r;
    (void)wz_problem_set(ret_problem, WZ_ERR_INVALID, WZ_CODE_PASSTHROUGH_INVALID,
                         "there may be at most %d rules", WZ_PASS_RULES_MAX);
    wz_problem_where(ret_problem, "passthrough");
    wz_problem_fix(ret_problem, "join patterns with '*' and '#'");
    return WZ_ERR_INVALID;
}

static int check_ignores(struct wz_store_view *view, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_document_list_release) struct wz_document_list list = {0};
    int r = wz_store_view_list(view, WZ_COLLECTION_IGNORES, &list);

    for (size_t i = 0; r == WZ_OK && i < list.count; i++)
        r = wz_ignore_check(list.items[i].name, list.items[i].body, ret_problem);
    return r;
}

int wz_document_check(void *arg, struct wz_store_view *view, struct wz_problem *ret_problem)
{
    unsigned changed = wz_store_view_changed(view);
    int r = WZ_OK;

    if ((changed & WZ_MAPPING_COLLECTIONS) != 0)
        r = check_mapping(arg, view, ret_problem);
    if (r == WZ_OK && (changed & 1u << WZ_COLLECTION_SCRIPTS) != 0)
        r = check_scripts(view, ret_problem);
    if (r == WZ_OK && (changed & 1u << WZ_COLLECTION_PASSTHROUGH) != 0)
        r = check_passthrough(view, ret_problem);
    if (r == WZ_OK && (changed & 1u << WZ_COLLECTION_IGNORES) != 0)
        r = check_ignores(view, ret_problem);
    return r;
}
