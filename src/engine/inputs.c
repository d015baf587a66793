// SPDX-License-Identifier: Apache-2.0
// Owns the order in which a script's records reach its workers, the lanes that wait, and the search
// for the record that kills workers.
//
//   sources --record--> worker's queue (lane modulo workers) --> worker
//              |              ^  | failed, deferred
//              v              |  v
//            later <---- lane that waits
#include "engine/inputs.h"

#include "base/mem.h"
#include "engine/lane.h"

// The sources that there are.
#define EACH_SOURCE(inputs, i)                                                                     \
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++)                                               \
        if ((inputs)->sources[i])

static struct wz_input_queue *queue_of(const struct wz_inputs *inputs, int worker)
{
    return &inputs->workers[worker].queue;
}

static struct wz_input_queue *queue_of_lane(const struct wz_inputs *inputs, uint8_t lane)
{
    return queue_of(inputs, wz_lane_worker(lane, inputs->worker_count));
}

static void set_blocked(struct wz_inputs *inputs, struct wz_inputs_lane *lane, bool blocked)
{
    inputs->blocked_lanes += blocked - lane->blocked;
    lane->blocked = blocked;
}

void wz_inputs_push(struct wz_inputs *inputs, const struct wz_frame_record *record)
{
    struct wz_inputs_lane *lane = &inputs->lanes[record->lane];
    struct wz_frame_record opening;

    if (lane->waits) {
        wz_input_queue_push(&lane->later, record);
        return;
    }
    if (lane->blocked) {
        opening = *record;
        opening.opens = true;
        record = &opening;
        set_blocked(inputs, lane, false);
    }
    wz_input_queue_push(queue_of_lane(inputs, record->lane), record);
}

static size_t push_one(struct wz_inputs *inputs, struct wz_progress *progress,
                       const struct wz_frame_record *record)
{
    if (wz_progress_answered_before(progress, record->offset, record->lane))
        return 0;
    wz_progress_give(progress, record->offset);
    wz_inputs_push(inputs, record);
    return wz_frame_record_len(record);
}

// Records whose way is the same are kept as they came, in the block that others hold too.
static size_t on_run(void *arg, const struct wz_block_run *run)
{
    struct wz_inputs *inputs = arg;
    struct wz_progress *progress = &inputs->progress[run->block->stream];
    struct wz_frame_record record;
    size_t kept = 0;

    if (inputs->worker_count == 1 && inputs->blocked_lanes == 0 &&
        wz_progress_new_from(progress, run->block->entries[run->from].offset)) {
        wz_progress_give_run(progress, run);
        wz_input_queue_push_run(queue_of(inputs, 0), run);
        return wz_block_run_bytes(run).len;
    }
    for (uint32_t i = run->from; i < run->to; i++) {
        wz_block_get(run->block, i, &record);
        kept += push_one(inputs, progress, &record);
    }
    return kept;
}

static void close_source(struct wz_inputs *inputs, int i)
{
    wz_source_close(inputs->sources[i]);
    inputs->sources[i] = NULL;
    wz_progress_release(&inputs->progress[i]);
}

static struct wz_source *new_source(struct wz_inputs *inputs, enum wz_script_stream stream)
{
    struct wz_source_options options = inputs->options.source;

    options.stream = stream;
    options.log = inputs->options.logs[stream];
    options.run = on_run;
    options.run_arg = inputs;
    inputs->open_count++;
    return wz_source_new(&options);
}

static int bind_stream(struct wz_inputs *inputs, const struct wz_script_document *document,
                       enum wz_script_stream stream, const struct wz_position *kept)
{
    WZ_AUTO(wz_free_ptr)
    struct wz_slice *patterns = wz_zalloc(document->binding_count + 1, sizeof(*patterns));
    struct wz_position position = *kept;
    size_t count = 0;

    for (size_t i = 0; i < document->binding_count; i++)
        if (document->bindings[i].stream == stream)
            patterns[count++] = document->bindings[i].pattern;
    if (count == 0) {
        if (inputs->sources[stream])
            close_source(inputs, (int)stream);
        return WZ_OK;
    }
    if (!inputs->sources[stream])
        inputs->sources[stream] = new_source(inputs, stream);
    if (position.base < 0)
        position = (struct wz_position){.base = wz_log_next_offset(inputs->options.logs[stream])};
    wz_progress_start(&inputs->progress[stream], &position);
    wz_source_seek(inputs->sources[stream], position.base);
    return wz_source_bind(inputs->sources[stream], patterns, count);
}

static void clear_workers(struct wz_inputs *inputs)
{
    for (int i = 0; i < inputs->worker_count; i++)
        wz_input_queue_release(queue_of(inputs, i));
    wz_free(inputs->workers);
    inputs->workers = NULL;
    inputs->worker_count = 0;
    for (int i = 0; i < WZ_LANE_COUNT; i++) {
        wz_input_queue_release(&inputs->lanes[i].deferred);
        wz_input_queue_release(&inputs->lanes[i].later);
        inputs->lanes[i] = (struct wz_inputs_lane){.offset = -1};
    }
    inputs->waiting_lanes = 0;
    inputs->blocked_lanes = 0;
    inputs->failed_lanes = 0;
}

int wz_inputs_bind(struct wz_inputs *inputs, const struct wz_script_document *document,
                   const struct wz_position *positions)
{
    wz_inputs_unbind(inputs);
    inputs->worker_count = document->workers;
    inputs->workers = wz_zalloc((size_t)document->workers, sizeof(*inputs->workers));
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++) {
        int r = bind_stream(inputs, document, (enum wz_script_stream)i, &positions[i]);

        if (r < 0) {
            wz_inputs_unbind(inputs);
            return r;
        }
    }
    return WZ_OK;
}

void wz_inputs_unbind(struct wz_inputs *inputs)
{
    EACH_SOURCE(inputs, i) wz_source_unbind(inputs->sources[i]);
    clear_workers(inputs);
}

void wz_inputs_close(struct wz_inputs *inputs)
{
    clear_workers(inputs);
    EACH_SOURCE(inputs, i) close_source(inputs, i);
}

size_t wz_inputs_held(const struct wz_inputs *inputs, int worker)
{
    return worker < inputs->worker_count ? queue_of(inputs, worker)->sent_count : 0;
}

// Whether what waits fills a frame.
static bool is_frame(size_t bytes, size_t count)
{
    return bytes >= WZ_INPUTS_FRAME_BYTES || count >= WZ_INPUTS_FRAME_RECORDS;
}

// A worker that has something to do is given more in whole frames only: what comes meanwhile is one
// frame, and wakes it once.
static bool may_give(const struct wz_inputs *inputs, int worker)
{
    const struct wz_input_queue *queue = queue_of(inputs, worker);
    size_t held = wz_inputs_held(inputs, worker);

    if (inputs->workers[worker].careful > 0)
        return held == 0;
    return held == 0 || (wz_input_queue_sent_bytes(queue) < WZ_INPUTS_FLIGHT_BYTES &&
                         is_frame(queue->bytes - queue->sent_bytes, queue->count - held));
}

void wz_inputs_give(struct wz_inputs *inputs, int worker, struct wz_pieces *out)
{
    struct wz_input_queue *queue = queue_of(inputs, worker);

    while (queue->count > queue->sent_count && may_give(inputs, worker)) {
        size_t start = wz_frame_list_open(&out->own, WZ_FRAME_BATCH);
        size_t before = wz_input_queue_sent_bytes(queue);
        uint32_t count = wz_input_queue_take(
            queue, WZ_INPUTS_FRAME_BYTES,
            inputs->workers[worker].careful > 0 ? 1 : WZ_INPUTS_FRAME_RECORDS, out);

        wz_frame_list_close_apart(&out->own, start, count,
                                  wz_input_queue_sent_bytes(queue) - before);
    }
}

bool wz_inputs_first(const struct wz_inputs *inputs, int worker, struct wz_frame_record *ret_record)
{
    return wz_inputs_held(inputs, worker) > 0 &&
           wz_input_queue_first(queue_of(inputs, worker), ret_record);
}

bool wz_inputs_find(const struct wz_inputs *inputs, int worker, uint8_t stream, int64_t offset,
                    struct wz_frame_record *ret_record)
{
    return worker < inputs->worker_count &&
           wz_input_queue_find(queue_of(inputs, worker), stream, offset, ret_record);
}

bool wz_inputs_pass(const struct wz_inputs *inputs, int worker, uint32_t count,
                    struct wz_input_walk *walk)
{
    return worker < inputs->worker_count &&
           wz_input_queue_pass(queue_of(inputs, worker), count, walk);
}

bool wz_inputs_lane_waits(const struct wz_inputs *inputs, uint8_t lane)
{
    return inputs->lanes[lane].waits;
}

static void set_failed(struct wz_inputs *inputs, uint8_t lane, int64_t offset)
{
    inputs->failed_lanes += (offset >= 0) - (inputs->lanes[lane].offset >= 0);
    inputs->lanes[lane].offset = offset;
}

static void less_careful(struct wz_inputs_worker *share, uint32_t count)
{
    share->careful = share->careful > count ? share->careful - count : 0;
}

// The first records that the worker holds, all in RUN, are answered.
static void answer_run(struct wz_inputs *inputs, int worker, const struct wz_block_run *run)
{
    struct wz_inputs_worker *share = &inputs->workers[worker];
    uint8_t stream = run->block->stream;

    if (stream < WZ_SCRIPT_STREAM_COUNT) {
        wz_progress_answer_run(&inputs->progress[stream], run);
        wz_source_answered(inputs->sources[stream], wz_block_run_bytes(run).len);
    }
    for (uint32_t i = run->from; i < run->to && inputs->failed_lanes > 0; i++)
        set_failed(inputs, run->block->entries[i].lane, -1); // the next one's failures are its own
    less_careful(share, wz_block_run_count(run));
    wz_input_queue_drop(&share->queue, wz_block_run_count(run));
}

void wz_inputs_answer(struct wz_inputs *inputs, int worker)
{
    struct wz_block_run run;

    WZ_ASSERT(wz_input_queue_front(queue_of(inputs, worker), &run));
    run.to = run.from + 1;
    answer_run(inputs, worker, &run);
}

uint32_t wz_inputs_answer_many(struct wz_inputs *inputs, int worker, uint32_t count)
{
    struct wz_block_run run;
    uint32_t done = 0;

    while (done < count && wz_inputs_held(inputs, worker) > 0) {
        WZ_ASSERT(wz_input_queue_front(queue_of(inputs, worker), &run));
        if (run.block->stream >= WZ_SCRIPT_STREAM_COUNT)
            break;
        if (wz_block_run_count(&run) > count - done)
            run.to = run.from + (count - done);
        answer_run(inputs, worker, &run);
        done += wz_block_run_count(&run);
    }
    return done;
}

// Moves the first record that WORKER holds to its lane.
static void move_to_lane(struct wz_inputs *inputs, int worker, struct wz_frame_record *record)
{
    struct wz_inputs_worker *share = &inputs->workers[worker];

    wz_input_queue_push(&inputs->lanes[record->lane].deferred, record);
    less_careful(share, 1);
    wz_input_queue_shift(&share->queue);
}

int wz_inputs_attempts(const struct wz_inputs *inputs, const struct wz_frame_record *record)
{
    const struct wz_inputs_lane *lane = &inputs->lanes[record->lane];

    return lane->offset == record->offset ? lane->attempts : 0;
}

static void start_waiting(struct wz_inputs *inputs, uint8_t number, int64_t due_us)
{
    struct wz_inputs_lane *lane = &inputs->lanes[number];

    if (!lane->waits)
        inputs->waiting_lanes++;
    lane->waits = true;
    set_blocked(inputs, lane, true);
    lane->due_us = due_us;
    wz_input_queue_sift(queue_of_lane(inputs, number), number, &lane->later);
}

void wz_inputs_fail(struct wz_inputs *inputs, int worker, int64_t now_us, int64_t delay_us)
{
    struct wz_frame_record record;
    struct wz_inputs_lane *lane;

    WZ_ASSERT(wz_inputs_first(inputs, worker, &record));
    lane = &inputs->lanes[record.lane];
    lane->attempts = wz_inputs_attempts(inputs, &record) + 1;
    set_failed(inputs, record.lane, record.offset);
    start_waiting(inputs, record.lane, now_us + delay_us);
    move_to_lane(inputs, worker, &record);
}

int wz_inputs_defer(struct wz_inputs *inputs, int worker)
{
    struct wz_frame_record record;

    if (!wz_inputs_first(inputs, worker, &record) || !inputs->lanes[record.lane].waits)
        return WZ_ERR_PROTOCOL;
    move_to_lane(inputs, worker, &record);
    return WZ_OK;
}

void wz_inputs_give_up(struct wz_inputs *inputs, int worker)
{
    struct wz_frame_record record;

    WZ_ASSERT(wz_input_queue_first(queue_of(inputs, worker), &record));
    start_waiting(inputs, record.lane, 0);
    wz_inputs_answer(inputs, worker);
}

// Whether the worker still holds records of the lane: it answers them with "deferred" first.
static bool lane_in_flight(const struct wz_inputs *inputs, uint8_t lane)
{
    return wz_input_queue_has_sent(queue_of_lane(inputs, lane), lane);
}

static void open_lane(struct wz_inputs *inputs, uint8_t number)
{
    struct wz_inputs_lane *lane = &inputs->lanes[number];
    struct wz_input_queue *queue = queue_of_lane(inputs, number);

    lane->waits = false;
    inputs->waiting_lanes--;
    wz_input_queue_append(&lane->deferred, &lane->later);
    if (lane->deferred.count > 0)
        set_blocked(inputs, lane, false);
    wz_input_queue_mark_opens(&lane->deferred);
    wz_input_queue_insert(queue, &lane->deferred);
}

int64_t wz_inputs_open_lanes(struct wz_inputs *inputs, int64_t now_us)
{
    int64_t next = -1;

    for (uint8_t i = 0; i < WZ_LANE_COUNT && inputs->waiting_lanes > 0; i++) {
        struct wz_inputs_lane *lane = &inputs->lanes[i];

        if (!lane->waits)
            continue;
        if (lane->due_us <= now_us && !lane_in_flight(inputs, i))
            open_lane(inputs, i);
        else if (lane->due_us > now_us && (next < 0 || lane->due_us < next))
            next = lane->due_us;
    }
    return next;
}

void wz_inputs_refill(struct wz_inputs *inputs)
{
    EACH_SOURCE(inputs, i) wz_source_refill(inputs->sources[i]);
}

void wz_inputs_rewind(struct wz_inputs *inputs, int worker)
{
    if (worker >= inputs->worker_count)
        return;
    wz_input_queue_rewind(queue_of(inputs, worker));
    // What it had been given of a lane that waits comes before what has come since.
    for (uint8_t i = 0; i < WZ_LANE_COUNT && inputs->waiting_lanes > 0; i++)
        if (inputs->lanes[i].waits && wz_lane_worker(i, inputs->worker_count) == worker)
            wz_input_queue_sift(queue_of(inputs, worker), i, &inputs->lanes[i].deferred);
}

bool wz_inputs_blame(struct wz_inputs *inputs, int worker, struct wz_frame_record *ret_record)
{
    struct wz_inputs_worker *share = &inputs->workers[worker];
    size_t held = wz_inputs_held(inputs, worker);

    if (share->careful < held)
        share->careful = held;
    if (held != 1 || !wz_inputs_first(inputs, worker, ret_record))
        return false;
    if (share->death_offset != ret_record->offset || share->death_stream != ret_record->stream)
        share->deaths = 0;
    share->death_offset = ret_record->offset;
    share->death_stream = ret_record->stream;
    if (++share->deaths < WZ_INPUTS_DEATHS_MAX)
        return false;
    share->deaths = 0;
    return true;
}

void wz_inputs_put_positions(const struct wz_inputs *inputs, struct wz_buf *buf, int64_t *ret_ends)
{
    static const struct wz_progress none;

    wz_buf_add_byte(buf, WZ_SCRIPT_STREAM_COUNT);
    for (int i = 0; i < WZ_SCRIPT_STREAM_COUNT; i++) {
        ret_ends[i] = 0;
        if (inputs->sources[i]) {
            ret_ends[i] = wz_source_end(inputs->sources[i]);
            wz_progress_put(&inputs->progress[i], ret_ends[i], buf);
        } else {
            wz_progress_put(&none, -1, buf);
        }
    }
}

void wz_inputs_settle(struct wz_inputs *inputs)
{
    EACH_SOURCE(inputs, i) wz_ignore(wz_source_idle(inputs->sources[i])); // or it cannot be
}

size_t wz_inputs_waiting_bytes(const struct wz_inputs *inputs)
{
    size_t bytes = 0;

    for (int i = 0; i < inputs->worker_count; i++)
        bytes += wz_input_queue_bytes(queue_of(inputs, i));
    for (int i = 0; i < WZ_LANE_COUNT && inputs->waiting_lanes > 0; i++)
        bytes += wz_input_queue_bytes(&inputs->lanes[i].deferred) +
                 wz_input_queue_bytes(&inputs->lanes[i].later);
    return bytes;
}

int64_t wz_inputs_lag(const struct wz_inputs *inputs)
{
    int64_t lag = 0;

    EACH_SOURCE(inputs, i)
    {
        if (!wz_source_idle(inputs->sources[i]))
            lag += wz_log_count_from(
                inputs->options.logs[i],
                wz_progress_base(&inputs->progress[i], wz_source_end(inputs->sources[i])));
    }
    return lag;
}

bool wz_inputs_behind(const struct wz_inputs *inputs)
{
    bool behind = false;

    EACH_SOURCE(inputs, i) behind = behind || wz_source_behind(inputs->sources[i]);
    return behind;
}
