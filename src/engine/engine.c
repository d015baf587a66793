// SPDX-License-Identifier: Apache-2.0
// Owns the set of scripts, and does for all of them what happens once a turn or now and then:
// giving them records, going on when the bus is ready, putting counters on the board.
#include "engine/engine.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/intake.h"
#include "engine/requests.h"
#include "engine/script.h"

#define WZ_ENGINE_MAX_MESSAGE_MS 30000
#define WZ_ENGINE_LOAD_MS 10000
#define WZ_ENGINE_DRAIN_MS 5000
#define WZ_ENGINE_RETRY_MS 100
#define WZ_ENGINE_MAX_QUARANTINED 10000
#define WZ_ENGINE_WINDOW_BYTES (1024 * 1024)

// Counters on the board are at most this old.
#define WZ_ENGINE_BOARD_MS 250

// Waits for the bus. Of its own, because the bus holds it until it calls, which may be after the
// engine is gone.
struct waiter {
    struct wz_bus_waiter bus;
    struct wz_engine *engine; // NULL when that is gone
};

struct wz_engine {
    struct wz_engine_options options;
    struct wz_script_parts parts;
    struct wz_loop_part turn;
    struct wz_feeds *feeds;
    struct wz_courier *courier;
    struct wz_intake intake;
    struct wz_list scripts; // all of them, with those that are closing
    struct wz_list fed;     // records wait for their workers
    struct wz_list busy;    // they wait for the bus
    struct wz_list counted; // their counters are newer than the board
    bool filled;            // records wait in FEEDS
    uv_idle_t awake;        // runs while one or the other is, so that the loop does not sleep on it
    uv_timer_t board_timer;
    struct waiter *waiter;
    struct wz_requests *requests;
    int open_count; // handles
    bool stopping;
    wz_engine_stopped_fn stopped;
    void *stopped_arg;
};

static void put_on_board(struct wz_engine *engine, struct wz_script *script)
{
    // One that is closing is no longer of interest, and another may have its name already.
    if (!wz_script_closing(script))
        wz_board_set(engine->options.board, WZ_ENGINE_BOARD, wz_script_name(script),
                     wz_script_describe(script));
}

static void on_board_timer(uv_timer_t *timer)
{
    struct wz_engine *engine = timer->data;
    struct wz_list *link;

    while ((link = wz_list_shift(&engine->counted))) {
        wz_script_keep(WZ_SCRIPT_OF(link, counted));
        put_on_board(engine, WZ_SCRIPT_OF(link, counted));
    }
}

static void on_counted(void *arg, struct wz_script *script)
{
    struct wz_engine *engine = arg;
    struct wz_script_links *links = wz_script_links(script);

    if (!wz_list_empty(&links->counted) || engine->stopping)
        return;
    wz_list_push(&engine->counted, &links->counted);
    if (!uv_is_active((uv_handle_t *)&engine->board_timer))
        (void)uv_timer_start(&engine->board_timer, on_board_timer, WZ_ENGINE_BOARD_MS,
                             0); // fails on a closing handle only
}

static void on_changed(void *arg, struct wz_script *script) { put_on_board(arg, script); }

static void on_awake(uv_idle_t *idle) { (void)idle; }

static void stay_awake(struct wz_engine *engine)
{
    (void)uv_idle_start(&engine->awake, on_awake); // fails without a function only
}

static void on_filled(void *arg)
{
    struct wz_engine *engine = arg;

    engine->filled = true;
    stay_awake(engine);
}

static void on_fed(void *arg, struct wz_script *script)
{
    struct wz_engine *engine = arg;
    struct wz_script_links *links = wz_script_links(script);

    if (!wz_list_empty(&links->fed))
        return;
    if (wz_list_empty(&engine->fed))
        stay_awake(engine);
    wz_list_push(&engine->fed, &links->fed);
}

static void on_wake(void *arg)
{
    struct wz_engine *engine = arg;

    wz_log_set_time(engine->options.script_log, engine->options.loop->now_ms);
}

// At the end of the loop's turn: everything that came is in the scripts' queues.
static void on_flush(void *arg)
{
    struct wz_engine *engine = arg;
    struct wz_list *link;

    wz_log_flush(engine->options.script_log);
    if (!uv_is_active((uv_handle_t *)&engine->awake))
        return;
    engine->filled = false;
    wz_feeds_flush(engine->feeds);
    while ((link = wz_list_shift(&engine->fed))) {
        struct wz_script *script = WZ_SCRIPT_OF(link, fed);

        wz_script_pump(script);
        on_counted(engine, script); // its lag grows even if it never answers
    }
    if (!engine->filled)
        (void)uv_idle_stop(&engine->awake); // cannot fail
}

static void on_bus_ready(void *arg)
{
    struct waiter *waiter = arg;
    struct wz_engine *engine = waiter->engine;
    struct wz_list again;
    struct wz_list *link;

    if (!engine) {
        wz_free(waiter);
        return;
    }
    // Each gets one try: those that find the bus busy again wait for the next call.
    wz_list_init(&again);
    while ((link = wz_list_shift(&engine->busy)))
        wz_list_push(&again, link);
    while ((link = wz_list_shift(&again)))
        wz_script_resume(WZ_SCRIPT_OF(link, busy));
}

static void on_busy(void *arg, struct wz_script *script)
{
    struct wz_engine *engine = arg;

    wz_list_push(&engine->busy, &wz_script_links(script)->busy);
    wz_bus_on_ready(engine->options.bus, &engine->waiter->bus);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct wz_engine *engine = handle->data;

    if (--engine->open_count == 0)
        engine->stopped(engine->stopped_arg);
}

static void finish_stop(struct wz_engine *engine)
{
    if (!engine->stopping || !wz_list_empty(&engine->scripts) || engine->open_count < 2 ||
        uv_is_closing((uv_handle_t *)&engine->awake))
        return;
    wz_loop_leave(&engine->turn);
    uv_close((uv_handle_t *)&engine->awake, on_handle_closed);
    uv_close((uv_handle_t *)&engine->board_timer, on_handle_closed);
}

static void on_gone(void *arg, struct wz_script *script)
{
    struct wz_engine *engine = arg;

    // Deleted from the store, or the engine stops; a script of the same name may be there anew.
    wz_list_remove(&wz_script_links(script)->all);
    wz_script_free(script);
    finish_stop(engine);
}

static struct wz_script_parts make_parts(struct wz_engine *engine)
{
    const struct wz_engine_options *options = &engine->options;

    return (struct wz_script_parts){
        .loop = options->loop,
        .bus = options->bus,
        .feeds = engine->feeds,
        .courier = engine->courier,
        .intake = &engine->intake,
        .script_log = options->script_log,
        .journal = options->journal,
        .accounts = options->accounts,
        .logs = {[WZ_SCRIPT_RAW] = options->raw, [WZ_SCRIPT_PROCESSED] = options->processed},
        .worker_path = options->worker_path,
        .max_message_ms =
            options->max_message_ms > 0 ? options->max_message_ms : WZ_ENGINE_MAX_MESSAGE_MS,
        .load_ms = options->load_ms > 0 ? options->load_ms : WZ_ENGINE_LOAD_MS,
        .drain_ms = options->drain_ms > 0 ? options->drain_ms : WZ_ENGINE_DRAIN_MS,
        .retry_ms = options->retry_ms > 0 ? options->retry_ms : WZ_ENGINE_RETRY_MS,
        .max_state_bytes =
            options->max_state_bytes > 0 ? options->max_state_bytes : WZ_STATE_MAX_BYTES,
        .window_bytes = options->window_bytes > 0 ? options->window_bytes : WZ_ENGINE_WINDOW_BYTES,
        .max_quarantined =
            options->max_quarantined > 0 ? options->max_quarantined : WZ_ENGINE_MAX_QUARANTINED,
        .without_landlock = options->without_landlock,
        .events = {.fed = on_fed,
                   .busy = on_busy,
                   .changed = on_changed,
                   .counted = on_counted,
                   .gone = on_gone,
                   .arg = engine},
    };
}

static struct wz_script *find_script(struct wz_engine *engine, const char *name)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &engine->scripts)
    {
        struct wz_script *script = WZ_SCRIPT_OF(it, all);

        if (!wz_script_closing(script) && strcmp(wz_script_name(script), name) == 0)
            return script;
    }
    return NULL;
}

static struct wz_script *on_find(void *arg, const char *name) { return find_script(arg, name); }

static void on_restart_all(void *arg)
{
    struct wz_engine *engine = arg;
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_LIST_EACH(it, tmp, &engine->scripts) { wz_script_restart(WZ_SCRIPT_OF(it, all)); }
}

static struct wz_requests *make_requests(struct wz_engine *engine)
{
    const struct wz_requests_options options = {
        .loop = engine->options.loop,
        .desk = engine->options.desk,
        .journal = engine->options.journal,
        .accounts = engine->options.accounts,
        .find = on_find,
        .restart_all = on_restart_all,
        .arg = engine,
    };

    return wz_requests_new(&options);
}

struct wz_engine *wz_engine_new(const struct wz_engine_options *options)
{
    struct wz_engine *engine = wz_zalloc(1, sizeof(*engine));

    engine->options = *options;
    engine->feeds = wz_feeds_new(options->bus, on_filled, engine);
    engine->courier = wz_courier_new();
    wz_intake_init(&engine->intake);
    engine->parts = make_parts(engine);
    wz_list_init(&engine->scripts);
    wz_list_init(&engine->fed);
    wz_list_init(&engine->busy);
    wz_list_init(&engine->counted);
    engine->waiter = wz_zalloc(1, sizeof(*engine->waiter));
    engine->waiter->engine = engine;
    engine->waiter->bus = (struct wz_bus_waiter){.ready = on_bus_ready, .arg = engine->waiter};
    (void)uv_idle_init(&options->loop->uv, &engine->awake); // these two cannot fail
    (void)uv_timer_init(&options->loop->uv, &engine->board_timer);
    engine->awake.data = engine;
    engine->board_timer.data = engine;
    engine->open_count = 2;
    engine->turn = (struct wz_loop_part){.wake = on_wake, .flush = on_flush, .arg = engine};
    wz_loop_join(options->loop, &engine->turn);
    on_wake(engine);
    engine->requests = make_requests(engine);
    return engine;
}

static void refuse_document(struct wz_engine *engine, const char *name,
                            const struct wz_problem *problem)
{
    WZ_LOG(WZ_LOG_WARN, "script.refused", WZ_F_STR("script", name), WZ_F_STR("what", problem->what),
           WZ_F_STR("where", problem->where));
    wz_board_set(engine->options.board, WZ_ENGINE_BOARD, name,
                 json_pack("{s:s, s:s}", "status", "invalid", "remark", problem->what));
}

// Whether one of the documents has that name; whether that one is sound.
static bool has_name(const struct wz_document *documents, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(documents[i].name, name) == 0)
            return true;
    return false;
}

static bool has_document(const struct wz_document *documents, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(documents[i].name, name) == 0)
            return wz_script_document_check(name, documents[i].body, NULL) == WZ_OK;
    return false;
}

void wz_engine_apply(struct wz_engine *engine, const struct wz_document *documents, size_t count)
{
    struct wz_list *it;
    struct wz_list *tmp;

    if (engine->stopping)
        return;
    WZ_LIST_EACH(it, tmp, &engine->scripts)
    {
        struct wz_script *script = WZ_SCRIPT_OF(it, all);

        if (has_document(documents, count, wz_script_name(script)))
            continue;
        wz_board_remove(engine->options.board, WZ_ENGINE_BOARD, wz_script_name(script));
        wz_script_close(script, !has_name(documents, count, wz_script_name(script)));
    }
    for (size_t i = 0; i < count; i++) {
        struct wz_script *script = find_script(engine, documents[i].name);
        struct wz_problem problem = {0};

        if (wz_script_document_check(documents[i].name, documents[i].body, &problem) < 0) {
            refuse_document(engine, documents[i].name, &problem);
            continue;
        }
        if (!script) {
            script = wz_script_new(&engine->parts, documents[i].name);
            wz_list_push(&engine->scripts, &wz_script_links(script)->all);
        }
        wz_script_apply(script, documents[i].revision, documents[i].body);
    }
}

void wz_engine_durable(struct wz_engine *engine)
{
    struct wz_list *it;
    struct wz_list *tmp;

    wz_accounts_durable(engine->options.accounts);
    if (engine->requests)
        wz_requests_durable(engine->requests);
    WZ_LIST_EACH(it, tmp, &engine->scripts) { wz_script_durable(WZ_SCRIPT_OF(it, all)); }
}

void wz_engine_stop(struct wz_engine *engine, wz_engine_stopped_fn stopped, void *arg)
{
    struct wz_list *it;
    struct wz_list *tmp;

    WZ_ASSERT(!engine->stopping);
    engine->stopping = true;
    wz_requests_free(engine->requests);
    engine->requests = NULL;
    engine->stopped = stopped;
    engine->stopped_arg = arg;
    WZ_LIST_EACH(it, tmp, &engine->scripts) { wz_script_close(WZ_SCRIPT_OF(it, all), false); }
    finish_stop(engine);
}

void wz_engine_free(struct wz_engine *engine)
{
    WZ_ASSERT(engine->open_count == 0);
    wz_feeds_free(engine->feeds);
    wz_courier_free(engine->courier);
    engine->waiter->engine = NULL;
    if (!engine->waiter->bus.waiting)
        wz_free(engine->waiter);
    wz_free(engine);
}
