// SPDX-License-Identifier: Apache-2.0
// Owns the letters that carry documents from the store thread, which reads and checks them, to the
// loop thread, where they come into force. Each letter carries all documents of its kind as
// they are now: the last one that came is what holds.
#include "node/documents.h"

#include "base/codes.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/document_check.h"
#include "engine/accounts.h"
#include "engine/engine.h"
#include "engine/passthrough.h"
#include "node/parts.h"
#include "router/ignores.h"
#include "router/router.h"
#include "store/store.h"

// A new mapping on its way from the store thread to the loop; or what is wrong with it.
struct mapping_mail {
    struct wz_mail mail;
    struct wz_node *node;
    struct wz_mapping *mapping; // NULL: PROBLEM
    struct wz_problem problem;
};

// A mapping that is not in force any more. To free one of many devices takes a while.
struct retired_mapping {
    uv_work_t work;
    struct wz_mapping *mapping;
};

static void free_retired(uv_work_t *work)
{
    wz_mapping_unref(((struct retired_mapping *)work->data)->mapping);
}

static void on_retired_freed(uv_work_t *work, int status)
{
    (void)status; // it is not cancelled
    wz_free(work->data);
}

static void retire(struct wz_node *node, struct wz_mapping *mapping)
{
    struct retired_mapping *retired = wz_zalloc(1, sizeof(*retired));

    retired->mapping = mapping;
    retired->work.data = retired;
    // It fails without a function only.
    (void)uv_queue_work(&node->loop.uv, &retired->work, free_retired, on_retired_freed);
}

static void on_mapping(struct wz_mail *mail)
{
    struct mapping_mail *letter = WZ_CONTAINER(mail, struct mapping_mail, mail);
    struct wz_node *node = letter->node;

    if (letter->mapping == NULL && !node->mapped) {
        *node->problem = letter->problem; // the start fails with it
    } else if (letter->mapping == NULL) {
        WZ_LOG(WZ_LOG_ERROR, "mapping.refused", WZ_F_STR("what", letter->problem.what),
               WZ_F_STR("where", letter->problem.where), WZ_F_STR("fix", letter->problem.fix));
    } else if (node->router != NULL) {
        retire(node, wz_router_set_mapping(node->router, letter->mapping));
        letter->mapping = NULL;
        node->mapped = true;
    }
    wz_mapping_unref(letter->mapping);
    wz_free(letter);
}

static void mapping_send(struct wz_node *node, struct wz_store_view *view)
{
    struct mapping_mail *letter = wz_zalloc(1, sizeof(*letter));

    letter->mail.run = on_mapping;
    letter->node = node;
    if (wz_mapping_keeper_take(&node->keeper, view, &letter->mapping, &letter->problem) < 0)
        letter->mapping = NULL;
    wz_mailbox_answer(&node->loop.mail, &letter->mail);
}

// The scripts on their way from the store thread to the loop.
struct scripts_mail {
    struct wz_mail mail;
    struct wz_node *node;
    struct wz_document_list list;
    struct wz_document_list removed; // after the start, and when another process changed something
};

static void free_scripts_mail(struct scripts_mail *letter)
{
    wz_document_list_release(&letter->list);
    wz_document_list_release(&letter->removed);
    wz_free(letter);
}

static void on_scripts(struct wz_mail *mail)
{
    struct scripts_mail *letter = WZ_CONTAINER(mail, struct scripts_mail, mail);

    if (letter->node->engine != NULL) {
        wz_engine_apply(letter->node->engine, letter->list.items, letter->list.count);
        for (size_t i = 0; i < letter->removed.count; i++)
            wz_accounts_forget(letter->node->accounts, letter->removed.items[i].name);
    }
    free_scripts_mail(letter);
}

static void scripts_send(struct wz_node *node, struct wz_store_view *view, unsigned changed)
{
    struct scripts_mail *letter = wz_zalloc(1, sizeof(*letter));
    int r = wz_store_view_list(view, WZ_COLLECTION_SCRIPTS, &letter->list);

    if (r == WZ_OK && changed == WZ_STORE_ALL)
        r = wz_store_view_removed(view, &letter->removed);
    if (r < 0) {
        WZ_LOG(WZ_LOG_ERROR, "scripts.unreadable", WZ_F_ERR(r));
        free_scripts_mail(letter);
        return;
    }
    letter->mail.run = on_scripts;
    letter->node = node;
    wz_mailbox_answer(&node->loop.mail, &letter->mail);
}

// The rules of the passthrough on their way from the store thread to the loop.
struct rules_mail {
    struct wz_mail mail;
    struct wz_node *node;
    struct wz_document_list list;
};

static void on_rules(struct wz_mail *mail)
{
    struct rules_mail *letter = WZ_CONTAINER(mail, struct rules_mail, mail);

    if (letter->node->passthrough != NULL)
        wz_passthrough_apply(letter->node->passthrough, letter->list.items, letter->list.count);
    wz_document_list_release(&letter->list);
    wz_free(letter);
}

static void rules_send(struct wz_node *node, struct wz_store_view *view)
{
    struct rules_mail *letter = wz_zalloc(1, sizeof(*letter));
    int r = wz_store_view_list(view, WZ_COLLECTION_PASSTHROUGH, &letter->list);

    if (r < 0) {
        WZ_LOG(WZ_LOG_ERROR, "passthrough.unreadable", WZ_F_ERR(r));
        wz_free(letter);
        return;
    }
    letter->mail.run = on_rules;
    letter->node = node;
    wz_mailbox_answer(&node->loop.mail, &letter->mail);
}

// Filters of topics that are not to be kept, on their way from the store thread to the loop.
struct ignores_mail {
    struct wz_mail mail;
    struct wz_node *node;
    struct wz_trie *ignores;
};

static void on_ignores(struct wz_mail *mail)
{
    struct ignores_mail *letter = WZ_CONTAINER(mail, struct ignores_mail, mail);

    if (letter->node->router != NULL)
        wz_router_set_ignores(letter->node->router, letter->ignores);
    else
        wz_trie_free(letter->ignores);
    wz_free(letter);
}

static void ignores_send(struct wz_node *node, struct wz_store_view *view)
{
    WZ_AUTO(wz_document_list_release) struct wz_document_list list = {0};
    int r = wz_store_view_list(view, WZ_COLLECTION_IGNORES, &list);
    struct ignores_mail *letter;

    if (r < 0) {
        WZ_LOG(WZ_LOG_ERROR, "ignores.unreadable", WZ_F_ERR(r));
        return;
    }
    letter = wz_zalloc(1, sizeof(*letter));
    letter->mail.run = on_ignores;
    letter->node = node;
    letter->ignores = wz_ignores_compile(&list);
    wz_mailbox_answer(&node->loop.mail, &letter->mail);
}

// On the store thread, inside a change.
static int on_store_check(void *arg, struct wz_store_view *view, struct wz_problem *ret_problem)
{
    struct wz_node *node = arg;

    return wz_document_check(&node->keeper, view, ret_problem);
}

// On the store thread, at the start and after a change.
static void on_store_changed(void *arg, struct wz_store_view *view, unsigned changed)
{
    if ((changed & WZ_MAPPING_COLLECTIONS) != 0)
        mapping_send(arg, view);
    if ((changed & 1u << WZ_COLLECTION_IGNORES) != 0)
        ignores_send(arg, view);
    if ((changed & 1u << WZ_COLLECTION_SCRIPTS) != 0)
        scripts_send(arg, view, changed);
    if ((changed & 1u << WZ_COLLECTION_PASSTHROUGH) != 0)
        rules_send(arg, view);
}

int wz_node_store_open(struct wz_node *node)
{
    struct wz_store_options options = {
        .check = on_store_check,
        .changed = on_store_changed,
        .arg = node,
    };
    char path[WZ_NODE_PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/store.db", wz_config_str(node->config, WZ_CONFIG_DATA));
    return wz_store_open(path, &options, &node->store, node->problem);
}

int wz_node_documents_wait(struct wz_node *node)
{
    // The store thread answers after it has sent all it has.
    struct wz_store_call call = {.op = WZ_STORE_LIST, .collection = WZ_COLLECTION_TYPES};
    int r = wz_store_do(node->store, &call);

    if (r < 0) {
        *node->problem = call.problem;
        return r;
    }
    wz_document_list_release(&call.list);
    (void)wz_mailbox_run(&node->loop.mail); // how many there were does not matter
    if (node->mapped)
        return WZ_OK;
    if (node->problem->code != 0)
        return node->problem->err;
    return wz_problem_set(node->problem, WZ_ERR_IO, WZ_CODE_STORE_IO,
                          "The mapping could not be read from the store.");
}
