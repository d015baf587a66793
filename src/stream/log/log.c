// SPDX-License-Identifier: Apache-2.0
// Owns the loop thread's half of a log: the batch that collects appends, the buffers, the offsets.
// Finished batches go to the writer; its answers come back through the loop's mailbox. A batch is
// handed over when it is full, or when the loop is about to sleep and the writer has nothing to do:
// so batches grow with the load, and no timer is needed.
#include "stream/log.h"

#include "base/codes.h"
#include "base/fs.h"
#include "base/mem.h"
#include "stream/log/inside.h"
#include "stream/log/packer.h"
#include "stream/log/recovery.h"
#include "stream/log/writer.h"

#define SEGMENT_BYTES_DEFAULT (256ll * 1024 * 1024)
#define SEGMENT_BYTES_MAX (1024ll * 1024 * 1024) // positions in .index have 31 bits
#define RESERVE_DEFAULT (1ll << 20)
#define RESERVE_MAX (1ll << 30)
#define AHEAD_DEFAULT (16ll * 1024 * 1024)
#define BACKLOG_DEFAULT ((size_t)32 * 1024 * 1024)

// So many buffers of WZ_BATCH_MAX_BYTES are kept for the next batches.
#define SPARE_MAX 64

// A batch takes no more records so long after its first.
#define BATCH_MS 1000

// What the writer's answers run; it outlives the log when a letter is still on its way.
struct answer {
    struct wz_mail mail;
    struct wz_log *log; // NULL: the log is closed
};

struct wz_log {
    struct wz_shelf shelf;
    struct wz_cache *cache;
    struct wz_writer *writer; // NULL: read only
    struct wz_packer *packer; // NULL: segments stay as they are
    struct wz_log_options opt;
    char *dir;
    int lock_fd;
    struct answer *answer;

    struct wz_pending *open; // collects; NULL: none
    struct wz_list spare;    // buffers
    size_t spare_count;
    size_t held_bytes;    // of all buffers that are not spare
    size_t backlog_bytes; // appended and not durable
    int64_t appended_bytes;
    _Atomic int64_t next_offset;
    int64_t found_end;  // one past the last record found at opening
    int64_t opened_at;  // the next offset at opening
    int64_t posted_end; // all offsets below were handed to the writer
    int64_t durable_end;
    int64_t reserved_end;
    int64_t reserve_at; // when next_offset gets here, more is asked for
    int64_t now_ms;
    int64_t last_ms;   // of the batch begun last
    int state_err;     // told to the owner
    bool hurried;      // the writer has been told so
    bool wanted;       // somebody waits for what was appended so far
    uint64_t retains;  // the number of the last call of wz_writer_retain,
    uint64_t retained; // and that of the last one that is dealt with
    bool refused;      // an append, for want of reserved offsets; the owner waits to be told
};

static void options_init(struct wz_log_options *opt, const struct wz_log_options *given)
{
    *opt = *given;
    if (opt->segment_bytes <= 0)
        opt->segment_bytes = SEGMENT_BYTES_DEFAULT;
    if (opt->segment_bytes > SEGMENT_BYTES_MAX)
        opt->segment_bytes = SEGMENT_BYTES_MAX;
    if (opt->reserve_offsets <= 0)
        opt->reserve_offsets = RESERVE_DEFAULT;
    if (opt->reserve_offsets > RESERVE_MAX)
        opt->reserve_offsets = RESERVE_MAX;
    if (opt->ahead_bytes <= 0)
        opt->ahead_bytes = AHEAD_DEFAULT;
    if (opt->backlog_bytes == 0)
        opt->backlog_bytes = BACKLOG_DEFAULT;
}

static int64_t next_offset(const struct wz_log *log)
{
    return atomic_load_explicit(&log->next_offset, memory_order_relaxed);
}

// Sets aside or frees the buffer of a batch that is done with.
static void give_back(struct wz_log *log, struct wz_pending *pending)
{
    log->held_bytes -= pending->batch.cap;
    log->backlog_bytes -= pending->batch.len;
    if (pending->batch.cap != WZ_BATCH_MAX_BYTES || log->spare_count >= SPARE_MAX) {
        wz_free(pending);
        return;
    }
    wz_list_push(&log->spare, &pending->link);
    log->spare_count++;
}

// Takes over what the writer has done; returns whether the owner must hear of it.
static bool take_news(struct wz_log *log, struct wz_news *news)
{
    bool tell = news->durable_end != log->durable_end || news->state_err != log->state_err ||
                news->retained != log->retained;

    while (!wz_list_empty(&news->done))
        give_back(log, WZ_CONTAINER(wz_list_shift(&news->done), struct wz_pending, link));
    if (news->durable_end != log->durable_end)
        log->hurried = false;
    log->durable_end = news->durable_end;
    log->state_err = news->state_err;
    log->retained = news->retained;
    if (news->reserved_end > log->reserved_end) {
        log->reserved_end = news->reserved_end;
        log->reserve_at = log->reserved_end - log->opt.reserve_offsets / 2;
        tell = tell || log->refused;
        log->refused = false;
    }
    return tell;
}

static void tell_owner(const struct wz_log *log)
{
    if (log->opt.on_durable != NULL)
        log->opt.on_durable(log->opt.arg, log->durable_end, log->state_err);
}

// Runs on the loop thread when the writer has news.
static void run_answer(struct wz_mail *mail)
{
    struct answer *answer = WZ_CONTAINER(mail, struct answer, mail);
    struct wz_log *log = answer->log;
    struct wz_news news;

    if (log == NULL) {
        wz_free(answer);
        return;
    }
    wz_writer_take(log->writer, &news);
    if (take_news(log, &news))
        tell_owner(log);
}

// Frees a log of which any part may not be there yet.
static void log_free(struct wz_log *log)
{
    while (!wz_list_empty(&log->spare))
        wz_free(WZ_CONTAINER(wz_list_shift(&log->spare), struct wz_pending, link));
    wz_free(log->open);
    wz_cache_free(log->cache);
    wz_shelf_release(&log->shelf);
    wz_fs_close(log->lock_fd);
    wz_free(log->dir);
    wz_free(log);
}

static int take_lock(struct wz_log *log, struct wz_problem *ret_problem)
{
    char path[WZ_SEGMENT_PATH_MAX];
    pid_t owner = 0;
    int r = WZ_ERR_TOO_LARGE;

    if (snprintf(path, sizeof(path), "%s/lock", log->dir) < (int)sizeof(path)) {
        r = wz_fs_mkdir(log->dir);
        if (r == WZ_OK)
            r = wz_fs_lock(path, &log->lock_fd, &owner);
    }
    if (r == WZ_OK)
        return WZ_OK;
    if (r == WZ_ERR_LOCKED) {
        (void)wz_problem_set(ret_problem, r, WZ_CODE_STREAM_LOCKED,
                             "The stream is in use by process %ld.", (long)owner);
        wz_problem_fix(ret_problem, "Stop that process, or give this one another data folder.");
    } else {
        int code = r == WZ_ERR_NOSPACE ? WZ_CODE_STREAM_FULL : WZ_CODE_STREAM_IO;

        (void)wz_problem_set(ret_problem, r, code, "The stream's folder cannot be used: %s.",
                             wz_err_text(r));
    }
    wz_problem_where(ret_problem, "%s", log->dir);
    return r;
}

static int start_writer(struct wz_log *log, struct wz_recovered *found)
{
    struct wz_writer_options opt = {
        .dir = log->dir,
        .shelf = &log->shelf,
        .seg = found->seg,
        .meta_fd = found->meta_fd,
        .meta = found->meta,
        .durability = log->opt.durability,
        .segment_bytes = log->opt.segment_bytes,
        .ahead_bytes = log->opt.ahead_bytes,
        .durable_end = found->next_offset,
        .last_ms = found->last_ms,
        .mailbox = log->opt.loop_mail,
    };
    int r;

    log->answer = wz_zalloc(1, sizeof(*log->answer));
    log->answer->mail.run = run_answer;
    log->answer->log = log;
    opt.letter = &log->answer->mail;
    r = wz_writer_start(&opt, &log->writer);
    if (r < 0)
        wz_free(log->answer);
    return r;
}

static int load_jumps(struct wz_log *log, int64_t next_offset, struct wz_problem *ret_problem)
{
    struct wz_jumps jumps;
    int r = wz_jumps_load(log->dir, next_offset, &jumps);

    if (r < 0)
        return wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO,
                              "How the clock was set cannot be read: %s.", wz_err_text(r));
    wz_shelf_set_jumps(&log->shelf, jumps);
    return WZ_OK;
}

static int open_log(struct wz_log *log, struct wz_log_recovery *ret_recovery,
                    struct wz_problem *ret_problem)
{
    struct wz_recovery_options opt = {.dir = log->dir,
                                      .read_only = log->opt.read_only,
                                      .unindexed = log->opt.keys_unindexed,
                                      .block = (uint32_t)log->opt.reserve_offsets};
    struct wz_recovered found;
    int r = log->opt.read_only ? WZ_OK : take_lock(log, ret_problem);

    if (r < 0)
        return r;
    r = wz_recover(&opt, &log->shelf, &found, ret_problem);
    if (r < 0)
        return r;
    r = load_jumps(log, found.next_offset, ret_problem);
    if (r < 0) {
        wz_fs_close(found.meta_fd);
        return r;
    }
    atomic_store_explicit(&log->next_offset, found.next_offset, memory_order_relaxed);
    log->found_end = found.found_end;
    log->opened_at = found.next_offset;
    log->posted_end = found.next_offset;
    log->durable_end = found.next_offset;
    log->reserved_end = found.meta.reserved_end;
    log->reserve_at = log->reserved_end - log->opt.reserve_offsets / 2;
    log->last_ms = found.last_ms;
    log->now_ms = found.last_ms;
    *ret_recovery = found.report;
    if (log->opt.read_only)
        return WZ_OK;
    r = start_writer(log, &found);
    if (r < 0)
        (void)wz_problem_set(ret_problem, r, WZ_CODE_STREAM_IO,
                             "The writer's thread cannot be started: %s.", wz_err_text(r));
    if (r == WZ_OK && log->opt.compress)
        log->packer = wz_packer_start(log->dir, &log->shelf, log->opt.compress_keep_free);
    return r;
}

int wz_log_open(const char *dir, const struct wz_log_options *options, struct wz_log **ret_log,
                struct wz_log_recovery *ret_recovery, struct wz_problem *ret_problem)
{
    struct wz_log *log = wz_zalloc(1, sizeof(*log));
    struct wz_log_recovery recovery;
    int r;

    options_init(&log->opt, options);
    log->dir = wz_strdup(dir);
    log->lock_fd = -1;
    wz_list_init(&log->spare);
    wz_shelf_init(&log->shelf);
    log->shelf.unindexed = log->opt.keys_unindexed;
    log->cache = wz_cache_new(log->dir, &log->opt);
    r = open_log(log, &recovery, ret_problem);
    if (r < 0) {
        log_free(log);
        return r;
    }
    if (ret_recovery != NULL)
        *ret_recovery = recovery;
    *ret_log = log;
    return WZ_OK;
}

// Ends the batch at hand and gives it to the writer.
static void post_open(struct wz_log *log)
{
    struct wz_pending *pending = log->open;

    wz_batch_finish(&pending->batch, log->last_ms);
    pending->wanted = log->wanted;
    log->wanted = false;
    log->open = NULL;
    log->posted_end = next_offset(log);
    wz_writer_post(log->writer, pending);
}

void wz_log_want(struct wz_log *log) { log->wanted = true; }

int wz_log_close(struct wz_log *log)
{
    struct wz_news news;
    bool letter_out;
    int r = WZ_OK;

    wz_packer_stop(log->packer);
    if (log->writer != NULL) {
        if (log->open != NULL)
            post_open(log);
        r = wz_writer_stop(log->writer, next_offset(log), &news, &letter_out);
        log->writer = NULL;
        if (take_news(log, &news))
            tell_owner(log);
        if (letter_out)
            log->answer->log = NULL; // it frees itself when it comes out of the mailbox
        else
            wz_free(log->answer);
    }
    log_free(log);
    return r;
}

// Opens a batch with room for LEN bytes of a first record.
static int open_batch(struct wz_log *log, size_t len)
{
    size_t cap = WZ_BATCH_HEADER_LEN + len;
    struct wz_pending *pending;

    if (cap < WZ_BATCH_MAX_BYTES)
        cap = WZ_BATCH_MAX_BYTES;
    if (cap > WZ_BATCH_LIMIT_BYTES)
        return WZ_ERR_TOO_LARGE;
    if (log->held_bytes + cap > log->opt.backlog_bytes && log->held_bytes > 0)
        return WZ_ERR_BUSY;
    if (cap == WZ_BATCH_MAX_BYTES && log->spare_count > 0) {
        pending = WZ_CONTAINER(wz_list_shift(&log->spare), struct wz_pending, link);
        log->spare_count--;
    } else {
        pending = wz_alloc(sizeof(*pending) + cap);
    }
    wz_list_init(&pending->link);
    pending->sealed = false;
    wz_batch_begin(&pending->batch, pending->bytes, cap, next_offset(log));
    log->held_bytes += cap;
    log->backlog_bytes += WZ_BATCH_HEADER_LEN;
    log->appended_bytes += WZ_BATCH_HEADER_LEN;
    log->open = pending;
    if (log->now_ms > log->last_ms)
        log->last_ms = log->now_ms;
    return WZ_OK;
}

// Asks for the next block of offsets, unless that would run too far ahead of what is durable.
static void reserve_more(struct wz_log *log)
{
    int64_t end = log->reserved_end + log->opt.reserve_offsets;

    if (end > log->durable_end + WZ_META_AHEAD_BLOCKS * log->opt.reserve_offsets)
        return;
    log->reserve_at = INT64_MAX; // until the answer
    wz_writer_reserve(log->writer, end);
}

// The way of LEN bytes of records that do not fit the batch at hand.
static int make_room(struct wz_log *log, size_t len)
{
    if (len > WZ_BATCH_LIMIT_BYTES - WZ_BATCH_HEADER_LEN)
        return WZ_ERR_TOO_LARGE;
    if (log->open != NULL)
        post_open(log);
    return open_batch(log, len);
}

// Whether COUNT offsets may be handed out now; asks for more in time.
static int check_offsets(struct wz_log *log, int64_t count)
{
    int64_t end = next_offset(log) + count;

    if (log->writer == NULL)
        return WZ_ERR_CLOSED;
    if (end > log->reserve_at)
        reserve_more(log);
    if (end > log->reserved_end) {
        log->refused = true;
        return WZ_ERR_BUSY;
    }
    return WZ_OK;
}

static void add(struct wz_log *log, const struct wz_record_parts *parts, size_t len)
{
    wz_batch_add(&log->open->batch, parts, len);
    log->backlog_bytes += len;
    log->appended_bytes += (int64_t)len;
    atomic_store_explicit(&log->next_offset, next_offset(log) + 1, memory_order_relaxed);
}

int wz_log_append(struct wz_log *log, const struct wz_record_parts *parts, int64_t *ret_offset)
{
    int64_t offset = next_offset(log);
    int r = check_offsets(log, 1);
    size_t len;

    if (r < 0)
        return r;
    len = wz_record_len(parts, log->open != NULL ? log->open->batch.count : 0);
    if (log->open == NULL || !wz_batch_fits(&log->open->batch, len)) {
        len = wz_record_len(parts, 0);
        r = make_room(log, len);
        if (r < 0)
            return r;
    }
    add(log, parts, len);
    *ret_offset = offset;
    return WZ_OK;
}

// The bytes of a group whose first record is number INDEX of its batch.
static size_t group_len(const struct wz_record_parts *parts, size_t count, int32_t index)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += wz_record_len(&parts[i], index + (int32_t)i);
    return len;
}

int wz_log_append_group(struct wz_log *log, const struct wz_record_parts *parts, size_t count,
                        int64_t *ret_offset)
{
    int64_t offset = next_offset(log);
    int r = count < INT32_MAX / 2 ? check_offsets(log, (int64_t)count) : WZ_ERR_TOO_LARGE;
    const struct wz_batch_builder *batch = log->open != NULL ? &log->open->batch : NULL;

    if (r < 0)
        return r;
    if (batch == NULL || batch->count + (int32_t)count > WZ_BATCH_MAX_RECORDS ||
        !wz_batch_fits(batch, group_len(parts, count, batch->count))) {
        r = make_room(log, group_len(parts, count, 0));
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < count; i++)
        add(log, &parts[i], wz_record_len(&parts[i], log->open->batch.count));
    *ret_offset = offset;
    return WZ_OK;
}

bool wz_log_ready(struct wz_log *log, int64_t count, size_t len)
{
    return check_offsets(log, count) == WZ_OK && log->held_bytes + len <= log->opt.backlog_bytes;
}

int64_t wz_log_first_segment_end(struct wz_log *log) { return wz_shelf_first_end(&log->shelf); }

void wz_log_trim(struct wz_log *log, int64_t offset)
{
    if (log->writer != NULL)
        wz_writer_trim(log->writer, offset);
}

const char *wz_log_reason_word(enum wz_log_reason reason)
{
    static const char *const words[] = {
        [WZ_LOG_REASON_SIZE] = "size",
        [WZ_LOG_REASON_AGE] = "age",
        [WZ_LOG_REASON_DISK] = "disk",
        [WZ_LOG_REASON_ASKED] = "asked",
    };

    return words[reason];
}

void wz_log_retain(struct wz_log *log, const struct wz_log_limits *limits)
{
    if (log->writer != NULL)
        log->retains = wz_writer_retain(log->writer, limits);
}

bool wz_log_retained(const struct wz_log *log) { return log->retained == log->retains; }

void wz_log_plan(struct wz_log *log, const struct wz_log_limits *limits,
                 struct wz_log_removed *ret_removed, int64_t *ret_offset)
{
    wz_shelf_plan(&log->shelf, limits, ret_removed, ret_offset);
}

void wz_log_removed(const struct wz_log *log, enum wz_log_reason reason,
                    struct wz_log_removed *ret_removed)
{
    *ret_removed = (struct wz_log_removed){0};
    if (log->writer != NULL)
        wz_writer_removed(log->writer, reason, ret_removed);
}

void wz_log_clock_set(struct wz_log *log, int64_t jump_ms)
{
    if (log->writer != NULL)
        wz_writer_clock_set(log->writer, jump_ms, next_offset(log));
}

void wz_log_flush(struct wz_log *log)
{
    if (log->durable_end == log->posted_end) {
        if (log->open != NULL)
            post_open(log);
    } else if (log->wanted && !log->hurried) {
        wz_writer_hurry(log->writer);
        log->hurried = true;
    }
}

void wz_log_set_time(struct wz_log *log, int64_t now_ms)
{
    log->now_ms = now_ms;
    if (log->open != NULL && now_ms - log->last_ms >= BATCH_MS)
        post_open(log);
}

int64_t wz_log_last_time(const struct wz_log *log) { return log->last_ms; }

int64_t wz_log_durable_end(const struct wz_log *log) { return log->durable_end; }

int64_t wz_log_next_offset(const struct wz_log *log) { return next_offset(log); }

int64_t wz_log_count_from(const struct wz_log *log, int64_t offset)
{
    int64_t skipped_from = offset > log->found_end ? offset : log->found_end;
    int64_t skipped = skipped_from < log->opened_at ? log->opened_at - skipped_from : 0;

    return next_offset(log) - offset - skipped;
}

size_t wz_log_backlog(const struct wz_log *log) { return log->backlog_bytes; }

int64_t wz_log_appended(const struct wz_log *log) { return log->appended_bytes; }

int wz_log_state(const struct wz_log *log)
{
    return log->writer != NULL ? wz_writer_state(log->writer) : WZ_OK;
}

void wz_log_info(struct wz_log *log, struct wz_log_info *ret_info)
{
    // A log without records begins where it began to append: what is not written yet is not
    // missing.
    struct wz_log_info info = {.first_offset = log->opened_at, .next_offset = next_offset(log)};

    wz_shelf_info(&log->shelf, &info);
    info.rebuilt_indexes = wz_cache_rebuilt(log->cache);
    *ret_info = info;
}

void wz_log_watch(struct wz_log *log, wz_log_written_fn fn, void *arg)
{
    wz_shelf_watch(&log->shelf, fn, arg);
}

int wz_log_look_again(struct wz_log *log, const struct wz_place *place)
{
    struct wz_recovery_options opt = {
        .dir = log->dir, .read_only = true, .unindexed = log->opt.keys_unindexed};
    struct wz_seal facts = {.base_offset = place->facts.base_offset};
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    struct wz_place now = *place;
    char path[WZ_SEGMENT_PATH_MAX];
    struct wz_segment *seg;
    int r;

    if (wz_shelf_refresh(&log->shelf, &now) < 0 || now.held)
        return WZ_OK;
    if (!log->opt.read_only)
        return WZ_ERR_NOT_FOUND;
    wz_segment_path(log->dir, facts.base_offset, WZ_SEGMENT_LOG, path);
    r = wz_fs_open(path, WZ_FS_READ, &fd);
    if (r == WZ_ERR_NOT_FOUND) {
        wz_shelf_forget(&log->shelf, place->id);
        return WZ_OK;
    }
    if (r == WZ_OK)
        r = wz_fs_size(fd, &facts.log_len);
    if (r == WZ_OK)
        r = wz_recover_indexes(&opt, &facts, now.limit_offset, &seg);
    if (r == WZ_OK)
        (void)wz_shelf_replace(&log->shelf, place->id, seg); // it is there: nobody else removes it
    return r == WZ_ERR_NOT_FOUND ? WZ_OK : r; // removed just now: the next look says so
}

struct wz_shelf *wz_log_shelf(struct wz_log *log) { return &log->shelf; }

struct wz_cache *wz_log_cache(struct wz_log *log) { return log->cache; }

const char *wz_log_dir(const struct wz_log *log) { return log->dir; }
