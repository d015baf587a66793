// SPDX-License-Identifier: Apache-2.0
// Owns the two ways to a script's records and the seam between them.
//
//   live:    feed -----------------------------------> the script's inputs
//   behind:  stream, read by position on the pool ---> the script's inputs
//            feed --> tail (the newest, bounded)
//
// A live source with a window of records under way becomes behind at the next one. It reads on from
// there, half a window at a time, until it reaches what the tail still holds; then the tail is
// given and the source is live again. All of it runs on the loop thread but read_ahead.
#include "engine/source.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/headed.h"
#include "engine/input_queue.h"
#include "engine/lane.h"
#include "stream/reader.h"
#include "topic/pattern.h"

// How long to wait for records that were seen live and cannot be read yet, or for a disk that does
// not answer.
#define WZ_SOURCE_RETRY_MS 2
#define WZ_SOURCE_RETRY_ERROR_MS 1000

// Copies of a script's patterns for this stream.
struct patterns {
    char **items;
    size_t count;
};

// A read under way on the pool: everything it touches is its own.
struct read_job {
    uv_work_t work;
    bool running;
    bool stale; // the source was unbound since: what was read does not count
    struct wz_log *log;
    struct wz_reader *reader; // kept from read to read
    enum wz_script_stream stream;
    struct patterns patterns;
    int64_t from;
    size_t max_bytes;
    struct wz_input_queue out;
    bool headers;         // bodies have them in front
    struct wz_buf headed; // such a body
    int64_t next;         // where the next read goes on
    int64_t gap;          // records in front of it that are not there any more
    int64_t readable;     // all records below it can be read
    int err;
};

struct wz_source {
    struct wz_source_options options;
    struct wz_feeds_tap tap;
    bool bound;
    bool behind;
    bool closing;
    bool repattern;             // the next read uses other patterns than the one before
    struct patterns patterns;   // these; moved to the job then
    size_t under_way;           // bytes of records that were kept and not answered
    struct wz_input_queue tail; // while behind: the newest records, without a gap up to seen_end
    int64_t next_read;          // while behind: where reading goes on
    int64_t seen_end; // all records below it were seen, live or by reading, or are too old
    struct read_job job;
    uv_timer_t retry;
    int64_t warned_us;
};

static void patterns_release(struct patterns *patterns)
{
    for (size_t i = 0; i < patterns->count; i++)
        wz_free(patterns->items[i]);
    wz_free(patterns->items);
    *patterns = (struct patterns){0};
}

static void patterns_init(struct patterns *patterns, const struct wz_slice *items, size_t count)
{
    patterns->items = wz_zalloc(count + 1, sizeof(*patterns->items));
    patterns->count = count;
    for (size_t i = 0; i < count; i++)
        patterns->items[i] = wz_strndup(items[i].ptr, items[i].len);
}

// Whether one of them matches what a reader gives: of a single one it gives only what matches.
static bool patterns_match(const struct patterns *patterns, struct wz_slice topic)
{
    if (patterns->count == 1)
        return true;
    for (size_t i = 0; i < patterns->count; i++)
        if (wz_pattern_match(&wz_topic_amqp, wz_slice_str(patterns->items[i]), topic))
            return true;
    return false;
}

// The header is decimal digits; anything else counts as none.
static uint8_t record_hops(const struct wz_record *record)
{
    struct wz_slice digits = wz_record_header_find(record, "hops");
    unsigned hops = 0;

    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9' || hops > UINT8_MAX)
            return 0;
        hops = hops * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    return hops > UINT8_MAX ? UINT8_MAX : (uint8_t)hops;
}

static int open_reader(struct read_job *job)
{
    struct wz_reader_options options = {.direction = WZ_FORWARD, .position = job->from};

    if (job->reader && wz_reader_position(job->reader) == job->from)
        return WZ_OK;
    wz_reader_close(job->reader);
    job->reader = NULL;
    if (job->patterns.count == 1)
        options.pattern = wz_slice_str(job->patterns.items[0]);
    return wz_reader_open(job->log, &options, &job->reader);
}

// How many records from AT to the one that was read were trimmed off. The stream is asked for where
// it begins after the reading: it may have been trimmed meanwhile. What lies behind that, no record
// has.
static int64_t trimmed(const struct read_job *job, int64_t at, int64_t offset)
{
    struct wz_log_info info;
    int64_t first;

    if (offset <= at)
        return 0;
    wz_log_info(job->log, &info);
    first = info.first_ms > 0 ? info.first_offset : 0;
    if (first > offset)
        first = offset; // and gone on since
    return first > at ? first - at : 0;
}

// The body of a record as it is given.
static struct wz_slice body_of(struct read_job *job, const struct wz_record *record)
{
    if (!job->headers)
        return record->value;
    job->headed.len = 0;
    wz_headed_put(&job->headed, &record->headers, 1, record->header_count, record->value);
    return wz_buf_slice(&job->headed);
}

// On the pool.
static void read_ahead(uv_work_t *work)
{
    struct read_job *job = WZ_CONTAINER(work, struct read_job, work);
    struct wz_record record;
    int64_t at = job->from;
    int64_t segment = -1; // the last one that was read from
    int r = open_reader(job);

    job->next = job->from;
    job->gap = 0;
    while (r == WZ_OK && wz_input_queue_bytes(&job->out) < job->max_bytes) {
        r = wz_reader_next(job->reader, &record);
        // What is trimmed off is whole segments, and one that is being read is read to its end.
        if (r == WZ_OK && wz_reader_segment(job->reader) != segment) {
            segment = wz_reader_segment(job->reader);
            job->gap += trimmed(job, at, record.offset);
        }
        at = r == WZ_OK ? record.offset + 1 : at;
        if (r == WZ_OK && !record.key_null && !record.value_null &&
            patterns_match(&job->patterns, record.key))
            wz_input_queue_push(&job->out, &(struct wz_frame_record){
                                               .stream = (uint8_t)job->stream,
                                               .hops = record_hops(&record),
                                               .lane = wz_lane_of(record.key),
                                               .offset = record.offset,
                                               .append_ms = record.append_ms,
                                               .topic = record.key,
                                               .body = body_of(job, &record),
                                           });
    }
    if (r >= 0)
        job->next = wz_reader_position(job->reader);
    if (r == WZ_END && job->next < job->readable)
        job->next = job->readable; // offsets that no record has
    job->err = r < 0 ? r : WZ_OK;
}

static void drop_job(struct read_job *job)
{
    wz_reader_close(job->reader);
    job->reader = NULL;
    wz_input_queue_release(&job->out);
    wz_buf_release(&job->headed);
    patterns_release(&job->patterns);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct wz_source *source = handle->data;
    wz_source_closed_fn closed = source->options.closed;
    void *arg = source->options.arg;

    drop_job(&source->job);
    patterns_release(&source->patterns);
    wz_input_queue_release(&source->tail);
    wz_free(source);
    closed(arg);
}

static void on_retry(uv_timer_t *timer) { wz_source_refill(timer->data); }

static void retry_later(struct wz_source *source, uint64_t ms)
{
    wz_ignore(uv_timer_start(&source->retry, on_retry, ms, 0)); // fails on a closing handle only
}

// Drops from the tail what has been read from the stream.
static void trim_tail(struct wz_source *source)
{
    struct wz_block_run first;
    uint32_t read = 1;

    while (read > 0 && wz_input_queue_front(&source->tail, &first)) {
        read = wz_block_run_below(&first, source->next_read);
        wz_input_queue_drop(&source->tail, read);
    }
}

static void give(struct wz_source *source, const struct wz_block_run *run)
{
    source->under_way += source->options.run(source->options.run_arg, run);
}

// Gives all that is in QUEUE.
static void give_all(struct wz_source *source, struct wz_input_queue *queue)
{
    struct wz_block_run run;

    while (wz_input_queue_front(queue, &run)) {
        give(source, &run);
        wz_input_queue_drop(queue, wz_block_run_count(&run));
    }
}

static void on_read(uv_work_t *work, int status)
{
    struct wz_source *source = work->data;
    struct read_job *job = &source->job;
    bool progress = job->next > job->from;

    (void)status; // nobody cancels it
    job->running = false;
    if (source->closing) {
        uv_close((uv_handle_t *)&source->retry, on_timer_closed);
        return;
    }
    if (job->stale) {
        wz_input_queue_clear(&job->out);
        wz_source_refill(source);
        return;
    }
    if (job->err < 0 && wz_log_allow(&source->warned_us))
        WZ_LOG(WZ_LOG_ERROR, "script.read", WZ_F_ERR(job->err),
               WZ_F_STR("stream", wz_script_stream_word(source->options.stream)),
               WZ_F_INT("offset", job->from));
    if (job->gap > 0)
        source->options.gap(source->options.arg, source->options.stream, job->gap);
    give_all(source, &job->out);
    source->next_read = job->next;
    if (source->seen_end < source->next_read)
        source->seen_end = source->next_read;
    trim_tail(source);
    if (job->err < 0 || !progress)
        retry_later(source, job->err < 0 ? WZ_SOURCE_RETRY_ERROR_MS : WZ_SOURCE_RETRY_MS);
    else
        wz_source_refill(source);
    source->options.filled(source->options.arg);
}

static void start_read(struct wz_source *source)
{
    struct read_job *job = &source->job;

    if (source->repattern) {
        drop_job(job);
        job->patterns = source->patterns;
        source->patterns = (struct patterns){0};
        source->repattern = false;
    }
    job->from = source->next_read;
    job->readable = wz_log_durable_end(source->options.log);
    job->max_bytes = source->options.window_bytes / 2;
    job->stale = false;
    job->running = true;
    job->work.data = source;
    // Fails only without a function to run.
    WZ_ASSERT(uv_queue_work(source->options.uv, &job->work, read_ahead, on_read) == 0);
}

// Whether everything up to the tail, or up to the last record seen, has been read.
static bool caught_up(const struct wz_source *source)
{
    struct wz_frame_record first;

    if (wz_input_queue_first(&source->tail, &first))
        return source->next_read >= first.offset;
    return source->next_read >= source->seen_end;
}

void wz_source_refill(struct wz_source *source)
{
    bool had;

    if (!source->bound || !source->behind || source->job.running ||
        source->under_way > source->options.window_bytes / 2)
        return;
    if (!caught_up(source)) {
        if (!uv_is_active((uv_handle_t *)&source->retry))
            start_read(source);
        return;
    }
    had = source->tail.count > 0;
    give_all(source, &source->tail);
    source->behind = false;
    wz_reader_close(source->job.reader);
    source->job.reader = NULL;
    if (had)
        source->options.filled(source->options.arg);
}

// Gives live records as far as the window takes them; RUN is what is left, for the tail.
static void give_live(struct wz_source *source, struct wz_block_run *run)
{
    size_t window = source->options.window_bytes;
    size_t room = source->under_way < window ? window - source->under_way : 0;
    struct wz_block_run now = *run;
    uint32_t fit = wz_block_run_fit(run, room);

    if (fit == 0 && source->under_way == 0)
        fit = 1;
    run->from += fit;
    now.to = run->from;
    if (fit > 0)
        give(source, &now);
    if (run->from == run->to)
        return;
    source->behind = true;
    source->next_read = run->block->entries[run->from].offset;
}

// Keeps live records in the tail, and the tail within the window.
static void push_tail(struct wz_source *source, const struct wz_block_run *run)
{
    struct wz_input_queue *tail = &source->tail;
    struct wz_block_run first;

    wz_input_queue_push_run(tail, run);
    while (tail->count > 1 && wz_input_queue_bytes(tail) > source->options.window_bytes &&
           wz_input_queue_front(tail, &first)) {
        size_t more = wz_input_queue_bytes(tail) - source->options.window_bytes;
        uint32_t drop = wz_block_run_fit(&first, more - 1) + 1;

        if (drop > wz_block_run_count(&first))
            drop = wz_block_run_count(&first);
        wz_input_queue_drop(tail, drop < tail->count ? drop : drop - 1);
    }
}

// Live records have come.
static void on_run(void *arg, const struct wz_block_run *all)
{
    struct wz_source *source = arg;
    struct wz_block_run run = *all;

    run.from += wz_block_run_below(&run, source->seen_end); // by reading
    if (run.from == run.to)
        return;
    source->seen_end = run.block->entries[run.to - 1].offset + 1;
    if (!source->behind)
        give_live(source, &run);
    if (run.from < run.to)
        push_tail(source, &run);
    source->options.filled(source->options.arg);
}

struct wz_source *wz_source_new(const struct wz_source_options *options)
{
    struct wz_source *source = wz_zalloc(1, sizeof(*source));

    source->options = *options;
    source->tap = (struct wz_feeds_tap){.take = on_run, .arg = source};
    source->job.log = options->log;
    source->job.stream = options->stream;
    source->job.headers = options->headers;
    WZ_ASSERT(uv_timer_init(options->uv, &source->retry) == 0);
    source->retry.data = source;
    wz_source_seek(source, wz_log_next_offset(options->log));
    return source;
}

int wz_source_bind(struct wz_source *source, const struct wz_slice *patterns, size_t count)
{
    int64_t end = wz_log_next_offset(source->options.log);
    int r;

    wz_source_unbind(source);
    r = wz_feeds_join(source->options.feeds, &source->tap, source->options.stream, patterns, count);
    if (r < 0)
        return r;
    patterns_release(&source->patterns);
    patterns_init(&source->patterns, patterns, count);
    source->repattern = true;
    source->bound = true;
    source->behind = source->next_read < end;
    if (source->seen_end < end)
        source->seen_end = end;
    wz_source_refill(source);
    return WZ_OK;
}

void wz_source_unbind(struct wz_source *source)
{
    if (!source->bound)
        return;
    source->bound = false;
    source->job.stale = source->job.running;
    wz_feeds_leave(&source->tap);
    source->under_way = 0;
    wz_input_queue_clear(&source->tail);
    wz_ignore(uv_timer_stop(&source->retry)); // cannot fail
}

void wz_source_seek(struct wz_source *source, int64_t offset)
{
    WZ_ASSERT(!source->bound);
    source->next_read = offset;
    source->seen_end = offset;
}

void wz_source_answered(struct wz_source *source, size_t len)
{
    if (!source->bound)
        return; // it forgot what was under way
    WZ_ASSERT(source->under_way >= len);
    source->under_way -= len;
}

int64_t wz_source_end(const struct wz_source *source)
{
    return source->behind ? source->next_read : source->seen_end;
}

bool wz_source_idle(struct wz_source *source)
{
    wz_feeds_settle(&source->tap);
    if (!source->bound || source->behind || source->under_way > 0)
        return false;
    source->seen_end = wz_log_next_offset(source->options.log);
    return true;
}

bool wz_source_behind(const struct wz_source *source) { return source->bound && source->behind; }

void wz_source_close(struct wz_source *source)
{
    wz_source_unbind(source);
    source->closing = true;
    if (!source->job.running)
        uv_close((uv_handle_t *)&source->retry, on_timer_closed);
}
