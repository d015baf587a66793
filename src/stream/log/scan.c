// SPDX-License-Identifier: Apache-2.0
// Owns the rule of what a valid batch is, and the window through which a segment's file is read.
#include "stream/log/scan.h"

#include "base/fs.h"
#include "base/mem.h"

// How many bytes are read at a time by default.
#define SCAN_WINDOW 262144

// What the bytes at one place are.
enum verdict {
    VERDICT_VALID,
    VERDICT_FOREIGN, // a good batch that is not part of the stream
    VERDICT_BAD,
};

void wz_scan_init(struct wz_scan *scan, int fd, int64_t base_offset, int64_t pos, int64_t end_pos)
{
    uint8_t *bytes = scan->bytes;
    size_t cap = scan->cap;

    *scan = (struct wz_scan){.fd = fd,
                             .base_offset = base_offset,
                             .limit_offset = INT64_MAX,
                             .pos = pos,
                             .end_pos = end_pos,
                             .window = SCAN_WINDOW,
                             .bytes = bytes,
                             .cap = cap,
                             .bytes_pos = pos};
}

void wz_scan_release(struct wz_scan *scan)
{
    wz_free(scan->bytes);
    *scan = (struct wz_scan){.fd = -1};
}

// Reads up to LEN bytes, some at a time: a disk that is busy with a large read holds up everybody's
// syncs.
static int read_some(int fd, uint8_t *ret_bytes, size_t len, int64_t pos, size_t *ret_len)
{
    *ret_len = 0;
    while (*ret_len < len) {
        size_t want = len - *ret_len < SCAN_WINDOW ? len - *ret_len : SCAN_WINDOW;
        size_t got;
        int r = wz_fs_read(fd, ret_bytes + *ret_len, want, pos + (int64_t)*ret_len, &got);

        if (r < 0)
            return r;
        *ret_len += got;
        if (got < want)
            break;
    }
    return WZ_OK;
}

// Makes the window hold the LEN bytes at POS, or as many as there are before end_pos and the end of
// the file, and sets RET_S to all it holds from POS on.
static int fill(struct wz_scan *scan, int64_t pos, size_t len, struct wz_slice *ret_s)
{
    size_t want = len > scan->window ? len : scan->window;
    size_t keep = 0;
    size_t got;
    int r;

    if (scan->len > 0 && pos >= scan->bytes_pos && pos <= scan->bytes_pos + (int64_t)scan->len) {
        size_t skip = (size_t)(pos - scan->bytes_pos);

        keep = scan->len - skip;
        if (keep >= len || scan->bytes_pos + (int64_t)scan->len >= scan->end_pos) {
            *ret_s = wz_slice(scan->bytes + skip, keep);
            return WZ_OK;
        }
        memmove(scan->bytes, scan->bytes + skip, keep);
    }
    if (want > (size_t)(scan->end_pos - pos))
        want = (size_t)(scan->end_pos - pos);
    if (want > scan->cap) {
        scan->bytes = wz_realloc(scan->bytes, want);
        scan->cap = want;
    }
    scan->bytes_pos = pos;
    scan->len = keep;
    r = read_some(scan->fd, scan->bytes + keep, want - keep, pos + (int64_t)keep, &got);
    if (r < 0)
        return r;
    scan->len += got;
    *ret_s = wz_slice(scan->bytes, scan->len);
    return WZ_OK;
}

// Rules 1 to 6 of the format, for the bytes at the front of S, of which all are there.
static enum verdict judge(const struct wz_scan *scan, struct wz_slice s,
                          struct wz_batch_info *ret_info)
{
    struct wz_batch_info info;

    if (wz_batch_read(s, &info) != WZ_OK || info.epoch != -1 ||
        (info.attributes != WZ_BATCH_LOG_APPEND_TIME &&
         info.attributes != (WZ_BATCH_LOG_APPEND_TIME | WZ_BATCH_ZSTD)) ||
        info.last_offset - info.base_offset != info.count - 1 ||
        info.base_offset < scan->base_offset || info.last_offset - scan->base_offset > INT32_MAX ||
        info.sequence != (int32_t)(info.base_offset & INT32_MAX) ||
        !wz_batch_crc_ok(wz_slice_sub(s, 0, info.len)))
        return VERDICT_BAD;
    *ret_info = info;
    if (info.base_offset < scan->next_offset || info.last_offset >= scan->limit_offset)
        return VERDICT_FOREIGN;
    return VERDICT_VALID;
}

// Judges what stands at POS; RET_S is set to the batch when it is one.
static int look(struct wz_scan *scan, int64_t pos, struct wz_slice *ret_s,
                struct wz_batch_info *ret_info, enum verdict *ret_verdict)
{
    struct wz_slice s;
    int r = fill(scan, pos, WZ_BATCH_HEADER_LEN, &s);

    if (r < 0)
        return r;
    *ret_verdict = VERDICT_BAD;
    if (wz_batch_read(s, ret_info) == WZ_AGAIN && ret_info->len > 0 &&
        pos + (int64_t)ret_info->len <= scan->end_pos) {
        r = fill(scan, pos, ret_info->len, &s);
        if (r < 0)
            return r;
    }
    *ret_verdict = judge(scan, s, ret_info);
    if (*ret_verdict != VERDICT_BAD)
        *ret_s = wz_slice_sub(s, 0, ret_info->len);
    return WZ_OK;
}

// The first place in S at which the fixed bytes of a batch's header stand; s.len when there is
// none.
static size_t candidate(struct wz_slice s)
{
    static const uint8_t fixed[] = {0xff, 0xff, 0xff, 0xff, 2}; // leader epoch, magic
    size_t pos = 0;

    while (pos + WZ_BATCH_HEADER_LEN <= s.len) {
        const uint8_t *hit = memmem(s.ptr + pos + WZ_BATCH_EPOCH_POS,
                                    s.len - pos - WZ_BATCH_EPOCH_POS, fixed, sizeof(fixed));

        if (hit == NULL)
            break;
        pos = (size_t)(hit - s.ptr) - WZ_BATCH_EPOCH_POS;
        if (pos + WZ_BATCH_HEADER_LEN > s.len)
            break;
        if (s.ptr[pos + WZ_BATCH_ATTRIBUTES_POS] == 0 &&
            (s.ptr[pos + WZ_BATCH_ATTRIBUTES_POS + 1] & ~WZ_BATCH_ZSTD) == WZ_BATCH_LOG_APPEND_TIME)
            return pos;
        pos++;
    }
    return s.len;
}

// Looks where the bad batch at POS says it ends: WZ_OK with that place when a batch stands there.
static int resync_by_length(struct wz_scan *scan, int64_t pos, int64_t *ret_pos)
{
    struct wz_batch_info info;
    enum verdict verdict;
    struct wz_cursor cur;
    struct wz_slice s;
    int r = fill(scan, pos, WZ_BATCH_HEADER_LEN, &s);

    if (r < 0)
        return r;
    cur = wz_cursor(s);
    (void)wz_cursor_get_u64(&cur); // base offset
    pos += WZ_BATCH_PREFIX_LEN + (int64_t)wz_cursor_get_u32(&cur);
    if (cur.failed || pos >= scan->end_pos)
        return WZ_END;
    r = look(scan, pos, &s, &info, &verdict);
    if (r < 0)
        return r;
    if (verdict == VERDICT_BAD)
        return WZ_END;
    *ret_pos = pos;
    return WZ_OK;
}

// Looks for the next batch behind the bad bytes at POS: WZ_OK with its place, or WZ_END. What a
// record says inside is not taken for a batch unless the length of its own batch is damaged too.
static int resync(struct wz_scan *scan, int64_t pos, int64_t *ret_pos)
{
    struct wz_batch_info info;
    enum verdict verdict;
    struct wz_slice s;
    int r = resync_by_length(scan, pos, ret_pos);

    if (r != WZ_END)
        return r;
    for (pos++; pos + WZ_BATCH_HEADER_LEN <= scan->end_pos; pos++) {
        size_t skip;

        r = fill(scan, pos, WZ_BATCH_HEADER_LEN, &s);
        if (r < 0)
            return r;
        if (s.len < WZ_BATCH_HEADER_LEN)
            break;
        skip = candidate(s);
        if (skip == s.len) { // none in the window: go on where one could still begin
            pos += (int64_t)(s.len - WZ_BATCH_HEADER_LEN);
            continue;
        }
        pos += (int64_t)skip;
        r = look(scan, pos, &s, &info, &verdict);
        if (r < 0)
            return r;
        if (verdict != VERDICT_BAD) {
            *ret_pos = pos;
            return WZ_OK;
        }
    }
    return WZ_END;
}

int wz_scan_next(struct wz_scan *scan, struct wz_slice *ret_batch, struct wz_batch_info *ret_info)
{
    enum verdict verdict;
    int r;

    while (scan->pos < scan->end_pos) {
        r = look(scan, scan->pos, ret_batch, ret_info, &verdict);
        if (r < 0)
            return r;
        if (verdict == VERDICT_BAD) {
            r = resync(scan, scan->pos, &scan->pos);
            if (r != WZ_OK)
                return r;
            scan->damaged++;
            continue;
        }
        scan->pos += (int64_t)ret_info->len;
        if (verdict == VERDICT_VALID) {
            scan->next_offset = ret_info->last_offset + 1;
            return WZ_OK;
        }
    }
    return WZ_END;
}
