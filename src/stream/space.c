// SPDX-License-Identifier: Apache-2.0
// Owns the watch over the room on the disks.
//
// States: ENOUGH --less than the floor is left--> LOW --a look finds the floor and a quarter of it
// more--> ENOUGH.
#include "stream/space.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "stream/log/eraser.h"
#include "stream/log/inside.h"

// How often the disks are looked at, and after how much was appended.
#define LOOK_MS 1000
#define LOOK_BYTES (4ll * 1024 * 1024)

// With less than this above the floor it is worked out anew for each message: in one turn more may
// come in than the floor is high.
#define NEAR_BYTES (256ll * 1024 * 1024)

// So much more than the floor, as a part of it, must be free until messages are taken in again.
#define CALM_PART 4

// One log and the disk under it.
struct disk {
    struct wz_log *log;
    struct wz_space_view view;
};

// What a disk answers, and its log. The pool's while a look runs.
struct answer {
    int64_t free_bytes;
    int64_t erased_bytes;
    int64_t total_bytes;
    struct wz_log_info info;
    int err;
};

struct wz_space {
    struct wz_space_options opt;
    struct wz_loop_part part;
    uv_timer_t timer;
    uv_work_t work;
    struct disk disks[WZ_SPACE_LOGS_MAX];
    struct answer answers[WZ_SPACE_LOGS_MAX];
    size_t count;
    int64_t begun_settled;  // when the look that runs began: bytes that were written by then
    int64_t begun_appended; // and appended
    int64_t settled;        // the same of the last look that has ended
    int64_t room_bytes;     // then free above the floor, where it was least; INT64_MAX: unknown
    int64_t calm_bytes;     // the same above what ends LOW
    size_t tightest;        // where
    int64_t shown_free;     // as the metrics have it
    bool looking;
    bool near;
    bool told; // what LOOKED was told last
    bool stopping;
    _Atomic bool low;
};

int64_t wz_space_floor(const struct wz_space_options *options, int64_t total_bytes)
{
    int64_t most = options->floor_part > 0 ? total_bytes / options->floor_part : INT64_MAX;

    return options->min_free_bytes < most ? options->min_free_bytes : most;
}

static int64_t appended(const struct wz_space *space)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < space->count; i++)
        bytes += wz_log_appended(space->disks[i].log);
    return bytes;
}

static int64_t settled(const struct wz_space *space)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < space->count; i++)
        bytes +=
            wz_log_appended(space->disks[i].log) - (int64_t)wz_log_backlog(space->disks[i].log);
    return bytes;
}

bool wz_space_low(const struct wz_space *space)
{
    return space != NULL && atomic_load_explicit(&space->low, memory_order_relaxed);
}

static void set_low(struct wz_space *space, bool low)
{
    if (low == wz_space_low(space))
        return;
    atomic_store_explicit(&space->low, low, memory_order_relaxed);
    wz_metric_add(WZ_METRIC_DISK_LOW, low ? 1 : -1);
}

// Works out anew whether there is too little room. That there is enough again is for a look to say.
static void judge(struct wz_space *space)
{
    int64_t left;

    if (space->room_bytes == INT64_MAX)
        return;
    left = space->room_bytes - (appended(space) - space->settled);
    space->near = left < NEAR_BYTES;
    if (left < 0)
        set_low(space, true);
}

static void tell(struct wz_space *space)
{
    space->told = wz_space_low(space);
    space->opt.looked(space->opt.arg);
}

// On the pool, and once before the loop runs.
static void ask(uv_work_t *work)
{
    struct wz_space *space = WZ_CONTAINER(work, struct wz_space, work);

    for (size_t i = 0; i < space->count; i++) {
        struct answer *answer = &space->answers[i];

        // First: what becomes free from here on counts twice for a moment, and not never.
        answer->erased_bytes = wz_eraser_pending();
        answer->err =
            wz_fs_space(wz_log_dir(space->disks[i].log), &answer->free_bytes, &answer->total_bytes);
        wz_log_info(space->disks[i].log, &answer->info);
    }
}

static void begin(struct wz_space *space)
{
    space->looking = true;
    space->begun_appended = appended(space);
    space->begun_settled = settled(space);
}

static void take_answer(const struct wz_space *space, const struct answer *answer,
                        struct wz_space_view *view)
{
    view->log_bytes = answer->info.size_bytes;
    view->log_segments = answer->info.segment_count;
    if (answer->err < 0)
        return;
    view->known = true;
    view->free_bytes = answer->free_bytes;
    view->erased_bytes = answer->erased_bytes;
    view->total_bytes = answer->total_bytes;
    view->floor_bytes = wz_space_floor(&space->opt, answer->total_bytes);
}

static void measure(struct wz_space *space)
{
    space->room_bytes = INT64_MAX;
    space->calm_bytes = INT64_MAX;
    for (size_t i = 0; i < space->count; i++) {
        struct wz_space_view *view = &space->disks[i].view;
        int64_t room;

        take_answer(space, &space->answers[i], view);
        if (!view->known)
            continue; // a disk that does not answer is the writer's to tell
        room = view->free_bytes - view->floor_bytes;
        if (room < space->room_bytes) {
            space->room_bytes = room;
            space->tightest = i;
        }
        if (room - view->floor_bytes / CALM_PART < space->calm_bytes)
            space->calm_bytes = room - view->floor_bytes / CALM_PART;
    }
}

// Takes over what the disks have answered.
static void end(struct wz_space *space)
{
    bool was_low = wz_space_low(space);
    int64_t taken;

    space->looking = false;
    space->settled = space->begun_settled;
    measure(space);
    wz_metric_add(WZ_METRIC_DISK_FREE, wz_space_free_bytes(space) - space->shown_free);
    space->shown_free = wz_space_free_bytes(space);
    if (space->opt.measured != NULL)
        space->opt.measured(space->opt.arg);
    if (space->opt.min_free_bytes == 0)
        return;
    taken = appended(space) - space->settled;
    if (was_low && space->calm_bytes - taken >= 0)
        set_low(space, false);
    judge(space);
    if (wz_space_low(space) || was_low || space->told)
        tell(space);
}

static void after_ask(uv_work_t *work, int status)
{
    struct wz_space *space = WZ_CONTAINER(work, struct wz_space, work);

    (void)status; // nobody cancels it
    if (space->stopping)
        space->looking = false;
    else
        end(space);
}

static void look(struct wz_space *space)
{
    if (space->looking || space->stopping)
        return;
    begin(space);
    wz_ignore(uv_queue_work(&space->opt.loop->uv, &space->work, ask,
                            after_ask)); // fails without a function only
}

static void on_timer(uv_timer_t *timer) { look(timer->data); }

static void on_flush(void *arg)
{
    struct wz_space *space = arg;

    if (appended(space) - space->begun_appended >= LOOK_BYTES)
        look(space);
    if (space->opt.min_free_bytes == 0)
        return;
    judge(space);
    if (wz_space_low(space) && !space->told)
        tell(space);
}

struct wz_space *wz_space_new(const struct wz_space_options *options)
{
    struct wz_space *space = wz_zalloc(1, sizeof(*space));

    space->opt = *options;
    space->room_bytes = INT64_MAX;
    space->part = (struct wz_loop_part){.flush = on_flush, .arg = space};
    wz_list_init(&space->part.link);
    return space;
}

void wz_space_watch(struct wz_space *space, struct wz_log *log)
{
    WZ_ASSERT(space->count < WZ_SPACE_LOGS_MAX);
    space->disks[space->count++].log = log;
}

void wz_space_start(struct wz_space *space)
{
    uint64_t look_ms = space->opt.look_ms > 0 ? (uint64_t)space->opt.look_ms : LOOK_MS;

    (void)uv_timer_init(&space->opt.loop->uv, &space->timer); // these two cannot fail
    (void)uv_timer_start(&space->timer, on_timer, look_ms, look_ms);
    space->timer.data = space;
    wz_loop_join(space->opt.loop, &space->part);
    begin(space);
    ask(&space->work);
    end(space);
}

void wz_space_stop(struct wz_space *space)
{
    if (space->stopping)
        return;
    space->stopping = true;
    if (space->timer.data != NULL) // it was started
        uv_close((uv_handle_t *)&space->timer, NULL);
}

void wz_space_free(struct wz_space *space)
{
    if (space == NULL)
        return;
    WZ_ASSERT(!space->looking);
    set_low(space, false);
    wz_metric_add(WZ_METRIC_DISK_FREE, -space->shown_free);
    wz_loop_leave(&space->part);
    wz_free(space);
}

bool wz_space_takes(struct wz_space *space)
{
    if (space == NULL)
        return true;
    if (space->near && !wz_space_low(space))
        judge(space);
    return !wz_space_low(space);
}

int64_t wz_space_free_bytes(const struct wz_space *space)
{
    return space->disks[space->tightest].view.free_bytes;
}

int64_t wz_space_floor_bytes(const struct wz_space *space)
{
    return space->disks[space->tightest].view.floor_bytes;
}

const struct wz_space_view *wz_space_view(const struct wz_space *space, const struct wz_log *log)
{
    size_t i = 0;

    while (i < space->count && space->disks[i].log != log)
        i++;
    WZ_ASSERT(i < space->count); // who asks has it watched
    return &space->disks[i].view;
}
