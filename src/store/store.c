// SPDX-License-Identifier: Apache-2.0
// Owns the store thread: the only one that uses the database after it was opened. Calls come as
// letters and are answered as letters; between them the thread looks for other processes' changes.
#include "store/store.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codes.h"
#include "base/fs.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/document.h"
#include "store/sqlite.h"

// Calls that may wait at one time, and the time between looks at other processes' changes.
#define WZ_STORE_CALLS_MAX 1024
#define WZ_STORE_POLL_MS 250

// What could not be read is read again after so many of these times.
#define WZ_STORE_RETRY_POLLS 12

struct wz_store_view {
    struct wz_store *store;
    unsigned changed;
    const struct wz_store_change *changes; // NULL: not known
    size_t change_count;
    bool failed; // something could not be read
};

struct wz_store {
    struct wz_sqlite *db;
    struct wz_store_options options;
    struct wz_mailbox calls;
    struct wz_mail stop_mail;
    int wake_fd; // an eventfd: readable when there are letters
    pthread_t thread;

    // Of the store thread only.
    bool stopping;
    int64_t version;  // of the data, as we last saw it
    int64_t own;      // changes that we have made, and one
    int64_t poll_us;  // when to look again
    unsigned untold;  // changes that could not be read
    int64_t retry_us; // when to try that again
    bool gone;        // the file is not where it was
    int64_t trouble_us;

    // LOCK guards the mail.run of the calls that wz_store_do waits for: NULL means answered.
    pthread_mutex_t lock;
    pthread_cond_t answered;
};

static void log_problem(struct wz_store *store, const char *event, const struct wz_problem *problem)
{
    if (wz_log_allow(&store->trouble_us))
        WZ_LOG(WZ_LOG_ERROR, event, WZ_F_ERR(problem->err), WZ_F_STR("what", problem->what),
               WZ_F_STR("where", problem->where), WZ_F_STR("fix", problem->fix));
}

// Gives LIST to who looks, if it could be read.
static int give_list(struct wz_store_view *view, int r, struct wz_document_list *list,
                     const struct wz_problem *problem, struct wz_document_list *ret_list)
{
    if (r == WZ_OK) {
        *ret_list = *list;
        return WZ_OK;
    }
    wz_document_list_release(list);
    view->failed = true;
    log_problem(view->store, "store.read", problem); // whoever looks is told no more than R
    return r;
}

int wz_store_view_list(struct wz_store_view *view, enum wz_collection collection,
                       struct wz_document_list *ret_list)
{
    struct wz_document_list list = {0};
    struct wz_problem problem = {0};
    int r = wz_sqlite_list(view->store->db, collection, NULL, &list, &problem);

    return give_list(view, r, &list, &problem, ret_list);
}

int wz_store_view_get(struct wz_store_view *view, enum wz_collection collection, const char *name,
                      struct wz_document_list *ret_list)
{
    struct wz_document_list list = {0};
    struct wz_problem problem = {0};
    int r = wz_sqlite_list(view->store->db, collection, name, &list, &problem);

    return give_list(view, r, &list, &problem, ret_list);
}

int wz_store_view_removed(struct wz_store_view *view, struct wz_document_list *ret_list)
{
    struct wz_document_list list = {0};
    struct wz_problem problem = {0};
    int r = wz_sqlite_removed(view->store->db, WZ_COLLECTION_SCRIPTS, &list, &problem);

    return give_list(view, r, &list, &problem, ret_list);
}

unsigned wz_store_view_changed(const struct wz_store_view *view) { return view->changed; }

const struct wz_store_change *wz_store_view_changes(const struct wz_store_view *view,
                                                    size_t *ret_count)
{
    *ret_count = view->change_count;
    return view->changes;
}

// Tells of changes, and of those that could not be read before, in one state of the database.
// CHANGES may be NULL: they are not known.
static void tell_changed(struct wz_store *store, unsigned changed,
                         const struct wz_store_change *changes, size_t change_count)
{
    struct wz_store_view view = {.store = store, .changed = changed | store->untold};
    struct wz_problem problem;

    if (store->untold == 0 && changes != NULL) {
        view.changes = changes;
        view.change_count = change_count;
    }

    if (store->options.changed == NULL || view.changed == 0)
        return;
    store->untold = 0;
    if (wz_sqlite_begin(store->db, WZ_SQLITE_READ, &problem) < 0) {
        log_problem(store, "store.read", &problem);
        view.failed = true;
    } else {
        store->options.changed(store->options.arg, &view, view.changed);
        if (wz_sqlite_commit(store->db, &problem) < 0)
            log_problem(store, "store.read", &problem);
    }
    if (view.failed) {
        store->untold = view.changed;
        store->retry_us = wz_clock_mono_us() + WZ_STORE_RETRY_POLLS * store->options.poll_ms * 1000;
    }
}

// REVISION is there, where EXPECTED should be.
static int refuse_conflict(enum wz_collection collection, const char *name, int64_t expected,
                           int64_t revision, struct wz_problem *ret_problem)
{
    if (revision == 0)
        wz_problem_set(ret_problem, WZ_ERR_CONFLICT, WZ_CODE_DOCUMENT_CONFLICT,
                       "The document is not there any more.");
    else if (expected == WZ_REVISION_NONE)
        wz_problem_set(ret_problem, WZ_ERR_CONFLICT, WZ_CODE_DOCUMENT_CONFLICT,
                       "The document is there already.");
    else
        wz_problem_set(ret_problem, WZ_ERR_CONFLICT, WZ_CODE_DOCUMENT_CONFLICT,
                       "The document was changed by somebody else: it has revision %lld, not %lld.",
                       (long long)revision, (long long)expected);
    wz_problem_where(ret_problem, "%s/%s", wz_collection_name(collection), name);
    wz_problem_fix(ret_problem, "Read it again, and make the change to what is there now.");
    return WZ_ERR_CONFLICT;
}

static int refuse_missing(enum wz_collection collection, const char *name,
                          struct wz_problem *ret_problem)
{
    wz_problem_set(ret_problem, WZ_ERR_NOT_FOUND, WZ_CODE_DOCUMENT_NOT_FOUND,
                   "There is no document of that name.");
    wz_problem_where(ret_problem, "%s/%s", wz_collection_name(collection), name);
    wz_problem_fix(ret_problem, "List the collection to see the names that are there.");
    return WZ_ERR_NOT_FOUND;
}

// Writes a document over REVISION.
static int write_body(struct wz_store *store, const struct wz_store_change *change,
                      int64_t revision, struct wz_problem *ret_problem)
{
    WZ_AUTO(wz_buf_release) struct wz_buf text = {0};
    struct wz_sqlite_row row = {
        .collection = change->collection, .name = change->name, .revision = revision + 1};
    struct wz_sqlite_version version = {.collection = change->collection,
                                        .name = change->name,
                                        .revision = revision + 1,
                                        .time_ms = wz_clock_wall_ms()};
    int r = wz_document_encode(change->collection, change->name, change->body, &text, ret_problem);

    if (r < 0)
        return r;
    row.body = wz_buf_slice(&text);
    r = wz_sqlite_put(store->db, &row, ret_problem);
    if (r == WZ_OK && change->collection == WZ_COLLECTION_SCRIPTS)
        r = wz_sqlite_put_version(store->db, &version, ret_problem);
    return r;
}

// Writes one change over REVISION, the one that is there.
static int write_change(struct wz_store *store, const struct wz_store_change *change,
                        int64_t revision, struct wz_problem *ret_problem)
{
    int r = wz_document_check_name(change->collection, change->name, ret_problem);

    if (r == WZ_OK && change->collection == WZ_COLLECTION_SCRIPTS)
        r = wz_sqlite_keep_version(store->db, change->collection, change->name, ret_problem);
    if (r < 0)
        return r;
    if (change->body == NULL)
        return wz_sqlite_delete(store->db, change->collection, change->name, ret_problem);
    return write_body(store, change, revision, ret_problem);
}

// PUT and DELETE, inside a transaction.
static int write_one(struct wz_store *store, struct wz_store_call *call)
{
    struct wz_store_change change = {.collection = call->collection, .name = call->name};
    int64_t revision = 0;
    int r = wz_sqlite_revision(store->db, call->collection, call->name, &revision, &call->problem);

    if (r < 0)
        return r;
    if (call->op == WZ_STORE_DELETE && revision == 0)
        return refuse_missing(call->collection, call->name, &call->problem);
    if (call->expected_revision != WZ_REVISION_ANY && call->expected_revision != revision) {
        call->revision = revision;
        return refuse_conflict(call->collection, call->name, call->expected_revision, revision,
                               &call->problem);
    }
    if (call->op == WZ_STORE_PUT) {
        change.body = call->body;
        call->revision = revision + 1;
    }
    return write_change(store, &change, revision, &call->problem);
}

// The present state. Inside a transaction.
static int read_state(struct wz_store *store, struct wz_store_state *ret_state,
                      struct wz_problem *ret_problem)
{
    ret_state->own = store->own;
    return wz_sqlite_data_version(store->db, &ret_state->others, ret_problem);
}

// Refuses an APPLY that was made for another state. Inside a transaction.
static int check_state(struct wz_store *store, struct wz_store_call *call)
{
    struct wz_store_state state;
    int r = WZ_OK;

    if (call->expected.own != 0)
        r = read_state(store, &state, &call->problem);
    if (r < 0 || call->expected.own == 0 ||
        (state.own == call->expected.own && state.others == call->expected.others))
        return r;
    wz_problem_set(&call->problem, WZ_ERR_CONFLICT, WZ_CODE_DOCUMENT_CONFLICT,
                   "Somebody else is changing documents all the time.");
    wz_problem_fix(&call->problem, "Try again.");
    return WZ_ERR_CONFLICT;
}

// APPLY, inside a transaction.
static int write_all(struct wz_store *store, struct wz_store_call *call)
{
    int checked = check_state(store, call);

    if (checked < 0)
        return checked;
    for (size_t i = 0; i < call->change_count; i++) {
        const struct wz_store_change *change = &call->changes[i];
        int64_t revision = 0;
        int r = wz_sqlite_revision(store->db, change->collection, change->name, &revision,
                                   &call->problem);

        if (r == WZ_OK && change->new &&revision != 0)
            r = refuse_conflict(change->collection, change->name, WZ_REVISION_NONE, revision,
                                &call->problem);
        if (r == WZ_OK)
            r = write_change(store, change, revision, &call->problem);
        if (r < 0)
            return r;
    }
    return WZ_OK;
}

static unsigned collections_of(const struct wz_store_call *call)
{
    unsigned changed = 0;

    if (call->op != WZ_STORE_APPLY)
        return 1U << call->collection;
    for (size_t i = 0; i < call->change_count; i++)
        changed |= 1U << call->changes[i].collection;
    return changed;
}

// Whether another process has changed something that nobody was told of yet. Inside a transaction.
static bool is_behind(struct wz_store *store)
{
    int64_t version;
    struct wz_problem problem;

    return store->untold != 0 || wz_sqlite_data_version(store->db, &version, &problem) < 0 ||
           version != store->version;
}

static int do_write(struct wz_store *store, struct wz_store_call *call)
{
    struct wz_store_change one = {.collection = call->collection,
                                  .name = call->name,
                                  .body = call->op == WZ_STORE_PUT ? call->body : NULL};
    struct wz_store_view view = {.store = store, .changed = collections_of(call)};
    int r = wz_sqlite_begin(store->db, WZ_SQLITE_WRITE, &call->problem);

    if (r < 0)
        return r;
    if (!is_behind(store)) {
        view.changes = call->op == WZ_STORE_APPLY ? call->changes : &one;
        view.change_count = call->op == WZ_STORE_APPLY ? call->change_count : 1;
    }
    r = call->op == WZ_STORE_APPLY ? write_all(store, call) : write_one(store, call);
    if (r == WZ_OK && store->options.check != NULL)
        r = store->options.check(store->options.arg, &view, &call->problem);
    if (r < 0) {
        wz_sqlite_rollback(store->db);
        return r;
    }
    r = wz_sqlite_commit(store->db, &call->problem);
    store->own++;
    if (r == WZ_OK)
        tell_changed(store, view.changed, view.changes, view.change_count);
    return r;
}

// SNAPSHOT.
static int read_all(struct wz_store *store, struct wz_store_call *call)
{
    struct wz_problem problem;
    int r = wz_sqlite_begin(store->db, WZ_SQLITE_READ, &call->problem);

    if (r < 0)
        return r;
    r = read_state(store, &call->state, &call->problem);
    for (size_t i = 0; r == WZ_OK && i < WZ_COLLECTION_COUNT; i++)
        r = wz_sqlite_list(store->db, (enum wz_collection)i, NULL, &call->lists[i], &call->problem);
    wz_ignore(wz_sqlite_commit(store->db, &problem)); // it has only read
    for (size_t i = 0; r < 0 && i < WZ_COLLECTION_COUNT; i++)
        wz_document_list_release(&call->lists[i]);
    return r;
}

static int do_read(struct wz_store *store, struct wz_store_call *call)
{
    const char *name = call->op == WZ_STORE_LIST ? NULL : call->name;
    int r;

    if (call->op == WZ_STORE_SNAPSHOT)
        return read_all(store, call);
    if (call->op == WZ_STORE_VERSIONS)
        r = wz_sqlite_versions(store->db, call->collection, name, &call->list, &call->problem);
    else
        r = wz_sqlite_list(store->db, call->collection, name, &call->list, &call->problem);

    if (r < 0)
        wz_document_list_release(&call->list);
    else if (name != NULL && call->list.count == 0)
        r = refuse_missing(call->collection, name, &call->problem);
    return r;
}

static void answer(struct wz_store *store, struct wz_store_call *call)
{
    if (call->reply_to != NULL) {
        call->mail.run = call->done;
        wz_mailbox_answer(call->reply_to, &call->mail);
        return;
    }
    WZ_ASSERT(pthread_mutex_lock(&store->lock) == 0);
    call->mail.run = NULL;
    (void)pthread_cond_broadcast(&store->answered); // cannot fail for a valid condition
    WZ_ASSERT(pthread_mutex_unlock(&store->lock) == 0);
}

static void run_call(struct wz_mail *mail)
{
    struct wz_store_call *call = WZ_CONTAINER(mail, struct wz_store_call, mail);
    struct wz_store *store = call->store;

    if (call->op < WZ_STORE_PUT)
        call->result = do_read(store, call);
    else
        call->result = do_write(store, call);
    if (call->result == WZ_ERR_CORRUPT) // somebody must mend it, whoever asked
        log_problem(store, "store.read", &call->problem);
    answer(store, call);
}

static void run_stop(struct wz_mail *mail)
{
    WZ_CONTAINER(mail, struct wz_store, stop_mail)->stopping = true;
}

// Says it once when the file is not where it was any more, and once when it is back.
static void look_for_file(struct wz_store *store)
{
    bool gone = wz_sqlite_moved(store->db);

    if (gone && !store->gone)
        WZ_LOG(WZ_LOG_ERROR, "store.gone",
               WZ_F_STR("what", "the database file was removed or replaced; no document can be "
                                "changed until it is put back or wyze is started anew"));
    else if (!gone && store->gone)
        WZ_LOG(WZ_LOG_INFO, "store.back", WZ_F_STR("what", "documents can be changed again"));
    store->gone = gone;
}

static void look_for_changes(struct wz_store *store)
{
    int64_t now_us = wz_clock_mono_us();
    int64_t version = store->version;
    struct wz_problem problem;

    if (store->options.changed == NULL || now_us < store->poll_us)
        return;
    store->poll_us = now_us + store->options.poll_ms * 1000;
    look_for_file(store);
    if (wz_sqlite_data_version(store->db, &version, &problem) < 0) {
        log_problem(store, "store.read", &problem);
        return;
    }
    if (version != store->version)
        tell_changed(store, WZ_STORE_ALL, NULL, 0);
    else if (now_us >= store->retry_us)
        tell_changed(store, 0, NULL, 0);
    store->version = version;
}

// Sleeps until there are letters or it is time to look for changes.
static void sleep_until_work(struct wz_store *store)
{
    struct pollfd fd = {.fd = store->wake_fd, .events = POLLIN};
    int64_t left_us = store->poll_us - wz_clock_mono_us();
    int timeout_ms = store->options.changed == NULL ? -1 : (int)(left_us / 1000 + 1);
    uint64_t count;

    if (store->options.changed != NULL && left_us <= 0)
        timeout_ms = 0;
    // Errors (EINTR, EAGAIN) only make the thread look for letters once more than needed.
    if (poll(&fd, 1, timeout_ms) > 0 && read(store->wake_fd, &count, sizeof(count)) < 0)
        WZ_ASSERT(errno == EINTR || errno == EAGAIN);
}

static void *run_thread(void *arg)
{
    struct wz_store *store = arg;
    struct wz_problem problem;

    (void)pthread_setname_np(pthread_self(), "wyze-store"); // only a name
    if (wz_sqlite_data_version(store->db, &store->version, &problem) < 0)
        log_problem(store, "store.read", &problem);
    tell_changed(store, WZ_STORE_ALL, NULL, 0);
    while (!store->stopping) {
        sleep_until_work(store);
        (void)wz_mailbox_run(&store->calls); // how many does not matter
        look_for_changes(store);
    }
    return NULL;
}

static void wake(void *arg)
{
    struct wz_store *store = arg;
    uint64_t one = 1;

    // It fails only when 2^64 - 2 wakes are waiting, and then it is readable.
    if (write(store->wake_fd, &one, sizeof(one)) < 0)
        WZ_ASSERT(errno == EAGAIN || errno == EINTR);
}

static int start(struct wz_store *store, const char *path, struct wz_problem *ret_problem)
{
    int r;

    store->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->wake_fd < 0) {
        r = wz_err_from_errno(errno);
        goto fail;
    }
    r = pthread_create(&store->thread, NULL, run_thread, store);
    if (r == 0)
        return WZ_OK;
    r = wz_err_from_errno(r);
fail:
    wz_problem_set(ret_problem, r, WZ_CODE_STORE_ACCESS,
                   "The store's thread cannot be started: %s.", wz_err_text(r));
    wz_problem_where(ret_problem, "%s", path);
    wz_problem_fix(ret_problem, "Raise the limits of open files and of processes.");
    return r;
}

static void free_store(struct wz_store *store)
{
    wz_sqlite_close(store->db);
    wz_fs_close(store->wake_fd);
    wz_mailbox_release(&store->calls);
    (void)pthread_cond_destroy(&store->answered); // both fail only while in use, which is a bug
    (void)pthread_mutex_destroy(&store->lock);
    wz_free(store);
}

int wz_store_open(const char *path, const struct wz_store_options *options,
                  struct wz_store **ret_store, struct wz_problem *ret_problem)
{
    struct wz_sqlite *db;
    struct wz_store *store;
    int r = wz_sqlite_open(path, &db, ret_problem);

    if (r < 0)
        return r;
    store = wz_zalloc(1, sizeof(*store));
    store->db = db;
    store->wake_fd = -1;
    store->own = 1;
    store->options = *options;
    if (store->options.poll_ms == 0)
        store->options.poll_ms = WZ_STORE_POLL_MS;
    wz_mailbox_init(&store->calls, WZ_STORE_CALLS_MAX, wake, store);
    WZ_ASSERT(pthread_mutex_init(&store->lock, NULL) == 0);
    WZ_ASSERT(pthread_cond_init(&store->answered, NULL) == 0);
    r = start(store, path, ret_problem);
    if (r < 0) {
        free_store(store);
        return r;
    }
    *ret_store = store;
    return WZ_OK;
}

void wz_store_close(struct wz_store *store)
{
    wz_mailbox_close(&store->calls);
    store->stop_mail.run = run_stop;
    wz_mailbox_answer(&store->calls, &store->stop_mail);
    WZ_ASSERT(pthread_join(store->thread, NULL) == 0);
    free_store(store);
}

int wz_store_send(struct wz_store *store, struct wz_store_call *call)
{
    call->store = store;
    call->mail.run = run_call;
    call->result = WZ_OK;
    call->problem = (struct wz_problem){0};
    call->revision = 0;
    call->list = (struct wz_document_list){0};
    return wz_mailbox_post(&store->calls, &call->mail);
}

int wz_store_do(struct wz_store *store, struct wz_store_call *call)
{
    int r;

    call->reply_to = NULL;
    r = wz_store_send(store, call);
    if (r < 0) {
        wz_problem_set(&call->problem, r, WZ_CODE_STORE_BUSY, "The store cannot take the call: %s.",
                       wz_err_text(r));
        return r;
    }
    WZ_ASSERT(pthread_mutex_lock(&store->lock) == 0);
    while (call->mail.run != NULL)
        (void)pthread_cond_wait(&store->answered, &store->lock); // cannot fail with the lock held
    WZ_ASSERT(pthread_mutex_unlock(&store->lock) == 0);
    return call->result;
}
