// SPDX-License-Identifier: Apache-2.0
// Owns a reader: it knows its place by offset, looks the segment up on the shelf, and walks runs of
// blocks through a window. Forward, a run is the rest of the segment, or the next blocks that hold
// a wanted topic; backward it is one block, whose records are collected and given out from the end.
// A reader belongs to one thread at a time.
#include "stream/reader.h"

#include "base/fs.h"
#include "base/mem.h"
#include "stream/log/filter.h"
#include "stream/log/inside.h"
#include "stream/log/scan.h"
#include "stream/log/topics_file.h"
#include "wire/codec.h"

// The topic index of a live segment is asked again when this many blocks have come since.
#define UNASKED_BLOCKS 64

struct wz_reader {
    struct wz_log *log;
    struct wz_filter filter;
    enum wz_direction direction;
    int64_t
        position; // forward: next offset to look at; backward: records below it are still to come
    int64_t limit_ms;
    int64_t damaged;
    bool ended; // the limit in time was met
    const atomic_bool *cancelled;

    // The segment it stands in; fd is -1 when in none.
    struct wz_place place;
    int fd;
    struct wz_sealed *sealed; // its indexes, if it is not live and they are needed
    struct wz_blocks blocks;  // that hold wanted topics; blocks not below its count are all read
    uint32_t block;           // forward: the next to look at; backward: the one looked at last

    // The run at hand.
    struct wz_scan scan;
    bool in_batch;
    struct wz_record_iter it;

    // What compressed batches are without compression: that at hand, or backward those of the block
    // at hand.
    struct wz_codec codec;
    struct wz_buf *unpacked;
    size_t unpacked_count;
    size_t unpacked_cap;

    // Backward: the records of the block at hand.
    struct wz_record *records;
    size_t record_count;
    size_t record_cap;
};

int wz_reader_open(struct wz_log *log, const struct wz_reader_options *options,
                   struct wz_reader **ret_reader)
{
    struct wz_filter filter;
    struct wz_reader *reader;
    int r = wz_filter_init(&filter, options->pattern);

    if (r < 0)
        return r;
    reader = wz_zalloc(1, sizeof(*reader));
    reader->log = log;
    reader->filter = filter;
    reader->direction = options->direction;
    reader->position = options->position > 0 ? options->position : 0;
    reader->limit_ms = options->limit_ms;
    reader->cancelled = options->cancelled;
    reader->fd = -1;
    *ret_reader = reader;
    return WZ_OK;
}

// Leaves the segment at hand.
static void leave(struct wz_reader *reader)
{
    // The next one may not need it, and whoever reads live stays in one that does not.
    for (size_t i = 0; i < reader->unpacked_cap; i++)
        wz_buf_release(&reader->unpacked[i]);
    wz_codec_release(&reader->codec);
    wz_fs_close(reader->fd);
    reader->fd = -1;
    wz_cache_unref(wz_log_cache(reader->log), reader->sealed);
    reader->sealed = NULL;
    wz_blocks_release(&reader->blocks);
    reader->in_batch = false;
}

void wz_reader_close(struct wz_reader *reader)
{
    if (reader == NULL)
        return;
    leave(reader);
    wz_filter_release(&reader->filter);
    wz_scan_release(&reader->scan);
    wz_free(reader->unpacked);
    wz_free(reader->records);
    wz_free(reader);
}

int64_t wz_reader_position(const struct wz_reader *reader) { return reader->position; }

int64_t wz_reader_segment(const struct wz_reader *reader)
{
    return reader->place.facts.base_offset;
}

int64_t wz_reader_damaged(const struct wz_reader *reader) { return reader->damaged; }

// Opens the .log at PLACE. WZ_ERR_NOT_FOUND when it is gone, or another file has taken its place.
static int open_log(struct wz_log *log, const struct wz_place *place, int *ret_fd)
{
    char path[WZ_SEGMENT_PATH_MAX];
    uint64_t file_id;
    int fd;
    int r;

    wz_segment_path(wz_log_dir(log), place->facts.base_offset, WZ_SEGMENT_LOG, path);
    r = wz_fs_open(path, WZ_FS_READ, &fd);
    if (r < 0)
        return r;
    r = wz_fs_identity(fd, &file_id);
    if (r == WZ_OK && place->file_id != 0 && place->file_id != file_id)
        r = WZ_ERR_NOT_FOUND;
    if (r < 0) {
        wz_fs_close(fd);
        return r;
    }
    *ret_fd = fd;
    return WZ_OK;
}

// The block of the segment at hand from which on to look for OFFSET, and how many there are.
// WZ_ERR_NOT_FOUND, here and below, when the segment is not live any more.
static int block_of(struct wz_reader *reader, int64_t offset, uint32_t *ret_block,
                    uint32_t *ret_count)
{
    if (reader->place.live)
        return wz_shelf_block_of(wz_log_shelf(reader->log), reader->place.id, offset, ret_block,
                                 ret_count);
    *ret_block = 0;
    *ret_count = 0;
    if (reader->sealed != NULL) {
        *ret_block =
            wz_index_find_offset(&reader->sealed->index, offset - reader->place.facts.base_offset);
        *ret_count = reader->sealed->index.count;
    }
    return WZ_OK;
}

// Where BLOCK of the segment at hand begins and ends.
static int block_range(struct wz_reader *reader, uint32_t block, int64_t *ret_pos,
                       int64_t *ret_end_pos)
{
    int64_t len = reader->place.facts.log_len;

    if (reader->place.live)
        return wz_shelf_block(wz_log_shelf(reader->log), reader->place.id, block, ret_pos,
                              ret_end_pos);
    *ret_pos = 0;
    *ret_end_pos = len;
    if (reader->sealed != NULL) {
        *ret_pos = wz_index_pos(&reader->sealed->index, block, len);
        *ret_end_pos = wz_index_pos(&reader->sealed->index, block + 1, len);
    }
    return WZ_OK;
}

// Asks the topic index which blocks of the segment at hand are wanted. The last block of a live one
// may still grow, so it stays outside.
static int select_blocks(struct wz_reader *reader)
{
    struct wz_shelf *shelf = wz_log_shelf(reader->log);
    int r;

    wz_blocks_release(&reader->blocks);
    if (wz_filter_all(&reader->filter))
        return WZ_OK;
    if (reader->place.live) {
        r = wz_shelf_select(shelf, reader->place.id, &reader->filter, &reader->blocks);
        if (r == WZ_OK && reader->blocks.count > 0)
            reader->blocks.count--;
        return r;
    }
    wz_blocks_init(&reader->blocks, reader->sealed->index.count);
    wz_topics_file_select(wz_buf_slice(&reader->sealed->topics), &reader->filter, &reader->blocks);
    return WZ_OK;
}

static void scan_run(struct wz_reader *reader, int64_t pos, int64_t end_pos)
{
    wz_scan_init(&reader->scan, reader->fd, reader->place.facts.base_offset, pos, end_pos);
    reader->scan.limit_offset = reader->place.limit_offset;
}

// Counts COUNT damaged places before byte POS; for the log once, however many readers meet them.
static void count_damage(struct wz_reader *reader, int64_t count, int64_t pos)
{
    if (count == 0)
        return;
    reader->damaged += count;
    wz_shelf_damage(wz_log_shelf(reader->log), reader->place.facts.base_offset, pos);
}

// The next buffer for a batch without compression.
static struct wz_buf *unpacked_next(struct wz_reader *reader)
{
    if (reader->unpacked_count == reader->unpacked_cap) {
        size_t cap = reader->unpacked_cap == 0 ? 1 : reader->unpacked_cap * 2;

        reader->unpacked = wz_realloc(reader->unpacked, cap * sizeof(reader->unpacked[0]));
        memset(reader->unpacked + reader->unpacked_cap, 0,
               (cap - reader->unpacked_cap) * sizeof(reader->unpacked[0]));
        reader->unpacked_cap = cap;
    }
    return &reader->unpacked[reader->unpacked_count++];
}

// Starts a walk over the records of the batch S. One that cannot be decompressed is damaged.
static int walk_batch(struct wz_reader *reader, struct wz_slice s, const struct wz_batch_info *info,
                      struct wz_record_iter *ret_it)
{
    struct wz_batch_info unpacked = *info;
    int r = WZ_OK;

    if ((info->attributes & WZ_BATCH_CODEC) != 0)
        r = wz_codec_unpack(&reader->codec, s, info, unpacked_next(reader), &s, &unpacked);
    if (r < 0) {
        count_damage(reader, 1, reader->scan.pos);
        return r;
    }
    wz_record_iter_init(ret_it, s, &unpacked);
    return WZ_OK;
}

// A segment that is on the shelf, and whose file somebody has removed or replaced: it costs no more
// than its own records.
static void pass_missing(struct wz_reader *reader)
{
    const struct wz_seal *facts = &reader->place.facts;

    count_damage(reader, 1, 0);
    if (reader->direction == WZ_FORWARD && reader->position <= facts->last_offset)
        reader->position = facts->last_offset + 1;
    if (reader->direction == WZ_BACKWARD && reader->position > facts->base_offset)
        reader->position = facts->base_offset;
}

// Opens the segment of reader->place; with its indexes, unless it is live or read from its start.
// WZ_ERR_NOT_FOUND when the shelf is to be asked again.
static int open_place(struct wz_reader *reader)
{
    const struct wz_seal *facts = &reader->place.facts;
    bool from_start = reader->direction == WZ_FORWARD && wz_filter_all(&reader->filter) &&
                      reader->position <= facts->first_offset;
    int r = open_log(reader->log, &reader->place, &reader->fd);

    if (r == WZ_OK && !reader->place.live && !from_start)
        r = wz_cache_get(wz_log_cache(reader->log), &reader->place, &reader->sealed);
    if (r == WZ_OK) {
        wz_fs_no_readahead(reader->fd);
        return WZ_OK;
    }
    if (r != WZ_ERR_NOT_FOUND)
        return r;
    r = wz_log_look_again(reader->log, &reader->place);
    if (r == WZ_ERR_NOT_FOUND)
        pass_missing(reader);
    return r < 0 ? r : WZ_ERR_NOT_FOUND;
}

// Whether the record is to be given out.
static bool wanted(const struct wz_reader *reader, const struct wz_record *record)
{
    return wz_filter_all(&reader->filter) ||
           (!record->key_null && wz_filter_match(&reader->filter, record->key));
}

static bool is_cancelled(const struct wz_reader *reader)
{
    return reader->cancelled && atomic_load_explicit(reader->cancelled, memory_order_relaxed);
}

// Forward: finds the place of the position in the segment at hand anew, and starts a run there; an
// empty one when the topic index is to say where to begin.
static int start_forward(struct wz_reader *reader)
{
    int64_t pos;
    int64_t end_pos;
    uint32_t count;
    int r = block_of(reader, reader->position, &reader->block, &count);

    if (r == WZ_OK)
        r = select_blocks(reader);
    if (r == WZ_OK)
        r = block_range(reader, reader->block, &pos, &end_pos);
    if (r < 0)
        return r;
    if (reader->block < reader->blocks.count)
        scan_run(reader, pos, pos);
    else
        scan_run(reader, pos, reader->place.facts.log_len);
    return WZ_OK;
}

// Starts a run over the next wanted blocks. WZ_END when the topic index names no more.
static int run_blocks(struct wz_reader *reader)
{
    uint32_t first = wz_blocks_next(&reader->blocks, reader->block);
    uint32_t last = first;
    int64_t pos;
    int64_t end_pos;
    int64_t none;
    int r;

    if (first >= reader->blocks.count) {
        reader->block = reader->blocks.count;
        return WZ_END;
    }
    while (last + 1 < reader->blocks.count && wz_blocks_next(&reader->blocks, last + 1) == last + 1)
        last++;
    r = block_range(reader, first, &pos, &none);
    if (r == WZ_OK)
        r = block_range(reader, last, &none, &end_pos);
    if (r < 0)
        return r;
    reader->block = last + 1;
    scan_run(reader, pos, end_pos);
    return WZ_OK;
}

// Goes on to what stands behind all blocks that the topic index was asked about.
static int run_tail(struct wz_reader *reader, int64_t pos)
{
    int64_t len = reader->place.facts.log_len;
    uint32_t block;
    uint32_t count;
    int r;

    if (pos >= len)
        return WZ_END;
    if (reader->place.live && !wz_filter_all(&reader->filter)) {
        r = block_of(reader, reader->position, &block, &count);
        if (r < 0)
            return r;
        // Blocks that the index was asked about and that hold nothing wanted lie behind, too: the
        // position stays at the last record that was given out.
        if (block < reader->block)
            block = reader->block;
        if (count > block && count - block > UNASKED_BLOCKS)
            return start_forward(reader);
    }
    if (pos != reader->scan.end_pos) {
        scan_run(reader, pos, len);
        return WZ_OK;
    }
    reader->scan.limit_offset = reader->place.limit_offset;
    reader->scan.pos = pos;
    reader->scan.end_pos = len;
    return WZ_OK;
}

// Starts the next run in the segment at hand. WZ_END when it holds no more for now.
static int next_run(struct wz_reader *reader)
{
    int64_t pos = reader->scan.end_pos;
    int64_t end_pos;
    int r = wz_shelf_refresh(wz_log_shelf(reader->log), &reader->place);

    if (r < 0)
        return r;
    if (reader->scan.pos < pos && pos <= reader->place.facts.log_len)
        count_damage(reader, 1, pos); // what should have been batches is none
    if (reader->block < reader->blocks.count) {
        r = run_blocks(reader);
        if (r != WZ_END)
            return r;
        r = block_range(reader, reader->block, &pos, &end_pos);
        if (r < 0)
            return r;
    }
    return run_tail(reader, pos);
}

// Goes into the segment that holds the position. WZ_END when there is none yet.
static int next_segment(struct wz_reader *reader)
{
    struct wz_place place;
    int r = wz_shelf_find(wz_log_shelf(reader->log), reader->position, &place);

    if (r != WZ_OK)
        return r;
    if (reader->fd >= 0 && place.id == reader->place.id)
        return WZ_OK; // it has grown meanwhile
    leave(reader);
    reader->place = place;
    r = open_place(reader);
    if (r == WZ_OK)
        r = start_forward(reader);
    if (r < 0)
        leave(reader);
    return r;
}

// What to do when the run at hand has ended: a next run, a next segment, or WZ_END.
static int go_on(struct wz_reader *reader)
{
    int r = WZ_END;

    if (reader->fd >= 0)
        r = next_run(reader);
    if (r == WZ_END) {
        if (reader->fd >= 0 && reader->position <= reader->place.facts.last_offset)
            reader->position = reader->place.facts.last_offset + 1;
        r = next_segment(reader);
    }
    if (r == WZ_ERR_NOT_FOUND) { // it was sealed or replaced in between: look again
        leave(reader);
        r = WZ_OK;
    }
    return r;
}

static int next_batch(struct wz_reader *reader)
{
    struct wz_batch_info info;
    struct wz_slice batch;
    int r;

    for (;;) {
        if (is_cancelled(reader))
            return WZ_ERR_CLOSED;
        r = reader->fd >= 0 ? wz_scan_next(&reader->scan, &batch, &info) : WZ_END;
        count_damage(reader, reader->scan.damaged, reader->scan.pos);
        reader->scan.damaged = 0;
        if (r < 0)
            return r;
        if (r == WZ_END) {
            r = go_on(reader);
            if (r != WZ_OK)
                return r;
            continue;
        }
        if (reader->limit_ms != 0 && info.max_ms > reader->limit_ms) {
            reader->ended = true;
            return WZ_END;
        }
        if (info.last_offset < reader->position)
            continue;
        reader->unpacked_count = 0;
        if (walk_batch(reader, batch, &info, &reader->it) < 0)
            continue;
        reader->in_batch = true;
        return WZ_OK;
    }
}

static int next_forward(struct wz_reader *reader, struct wz_record *ret_record)
{
    int r;

    for (;;) {
        while (reader->in_batch && wz_record_next(&reader->it, ret_record) == WZ_OK) {
            if (ret_record->offset < reader->position)
                continue;
            reader->position = ret_record->offset + 1;
            if (wanted(reader, ret_record))
                return WZ_OK;
        }
        if (reader->in_batch && reader->it.info.last_offset >= reader->position)
            reader->position = reader->it.info.last_offset + 1;
        reader->in_batch = false;
        r = next_batch(reader);
        if (r != WZ_OK)
            return r;
    }
}

static void keep_record(struct wz_reader *reader, const struct wz_record *record)
{
    if (reader->record_count == reader->record_cap) {
        reader->record_cap = reader->record_cap == 0 ? 512 : reader->record_cap * 2;
        reader->records =
            wz_realloc(reader->records, reader->record_cap * sizeof(reader->records[0]));
    }
    reader->records[reader->record_count++] = *record;
}

// Backward: collects the wanted records of the bytes from POS to END_POS, all of which stay in the
// window until the next block.
static int collect(struct wz_reader *reader, int64_t pos, int64_t end_pos)
{
    struct wz_batch_info info;
    struct wz_record record;
    struct wz_slice batch;
    int r;

    scan_run(reader, pos, end_pos);
    reader->scan.window = (size_t)(end_pos - pos);
    reader->unpacked_count = 0;
    while ((r = wz_scan_next(&reader->scan, &batch, &info)) == WZ_OK) {
        struct wz_record_iter it;

        if (info.base_offset >= reader->position)
            break;
        if (info.max_ms < reader->limit_ms) {
            reader->ended = true;
            continue;
        }
        if (walk_batch(reader, batch, &info, &it) < 0)
            continue;
        while (wz_record_next(&it, &record) == WZ_OK) {
            if (record.offset < reader->position && wanted(reader, &record))
                keep_record(reader, &record);
        }
    }
    count_damage(reader, reader->scan.damaged + (r == WZ_END && reader->scan.pos < end_pos), pos);
    return r < 0 ? r : WZ_OK;
}

// Backward: goes into the last segment with records below the position.
static int start_backward(struct wz_reader *reader)
{
    uint32_t count;
    int r = wz_shelf_find_below(wz_log_shelf(reader->log), reader->position, &reader->place);

    if (r != WZ_OK)
        return r;
    r = open_place(reader);
    if (r == WZ_OK)
        r = select_blocks(reader);
    if (r == WZ_OK)
        r = block_of(reader, reader->position, &reader->block, &count);
    if (r < 0) {
        leave(reader);
        return r;
    }
    // The next block may begin with a batch that begins below the position. One more, as the last
    // one looked at.
    reader->block = reader->block + 2 < count ? reader->block + 2 : count;
    return WZ_OK;
}

// Backward: collects the block before the one looked at last, or leaves the segment.
static int previous_block(struct wz_reader *reader)
{
    int64_t pos;
    int64_t end_pos;
    int r;

    if (reader->block > reader->blocks.count)
        reader->block--;
    else
        reader->block = wz_blocks_prev(&reader->blocks, reader->block);
    if (reader->block == UINT32_MAX) {
        if (reader->place.facts.first_offset < reader->position)
            reader->position = reader->place.facts.first_offset;
        leave(reader);
        return WZ_OK;
    }
    r = block_range(reader, reader->block, &pos, &end_pos);
    return r < 0 ? r : collect(reader, pos, end_pos);
}

static int next_backward(struct wz_reader *reader, struct wz_record *ret_record)
{
    int r;

    while (reader->record_count == 0) {
        if (reader->ended)
            return WZ_END;
        if (is_cancelled(reader))
            return WZ_ERR_CLOSED;
        r = reader->fd >= 0 ? previous_block(reader) : start_backward(reader);
        if (r == WZ_ERR_NOT_FOUND) { // it was sealed or replaced in between: look again
            leave(reader);
            continue;
        }
        if (r != WZ_OK)
            return r;
    }
    *ret_record = reader->records[--reader->record_count];
    reader->position = ret_record->offset;
    return WZ_OK;
}

int wz_reader_next(struct wz_reader *reader, struct wz_record *ret_record)
{
    if (reader->direction == WZ_BACKWARD)
        return next_backward(reader, ret_record);
    return reader->ended ? WZ_END : next_forward(reader, ret_record);
}

// From which byte of the place on to look for time MS.
static int time_pos(struct wz_log *log, const struct wz_place *place, int64_t ms, int64_t *ret_pos)
{
    struct wz_sealed *sealed;
    int r;

    *ret_pos = place->pos;
    if (place->live)
        return WZ_OK;
    r = wz_cache_get(wz_log_cache(log), place, &sealed);
    if (r < 0)
        return r;
    *ret_pos =
        wz_index_pos(&sealed->index, wz_index_find_time(&sealed->index, ms), place->facts.log_len);
    wz_cache_unref(wz_log_cache(log), sealed);
    return WZ_OK;
}

// The offset of the first record in the segment at PLACE of time MS or later.
static int find_in(struct wz_log *log, const struct wz_place *place, int64_t ms,
                   int64_t *ret_offset)
{
    WZ_AUTO(wz_scan_release) struct wz_scan scan = {0};
    WZ_AUTO(wz_fs_close_auto) int fd = -1;
    struct wz_batch_info info;
    struct wz_slice batch;
    int64_t pos = 0;
    int r = open_log(log, place, &fd);

    if (r == WZ_OK)
        r = time_pos(log, place, ms, &pos);
    if (r < 0)
        return r;
    wz_scan_init(&scan, fd, place->facts.base_offset, pos, place->facts.log_len);
    scan.window = WZ_BATCH_MAX_BYTES;
    while ((r = wz_scan_next(&scan, &batch, &info)) == WZ_OK && info.max_ms < ms)
        ;
    if (r < 0)
        return r;
    // Where the batch that should be there is damaged, what comes behind it.
    *ret_offset = r == WZ_OK ? info.base_offset : place->facts.last_offset + 1;
    return WZ_OK;
}

int wz_log_find_time(struct wz_log *log, int64_t time_ms, int64_t *ret_offset)
{
    struct wz_place place;
    int r;

    for (;;) {
        r = wz_shelf_find_time(wz_log_shelf(log), time_ms, &place);
        if (r == WZ_END) {
            *ret_offset = wz_log_next_offset(log);
            return WZ_OK;
        }
        r = find_in(log, &place, time_ms, ret_offset);
        if (r != WZ_ERR_NOT_FOUND)
            return r;
        r = wz_log_look_again(log, &place); // it was replaced in between
        if (r == WZ_ERR_NOT_FOUND) {        // as in pass_missing
            *ret_offset = place.facts.last_offset + 1;
            return WZ_OK;
        }
        if (r < 0)
            return r;
    }
}
