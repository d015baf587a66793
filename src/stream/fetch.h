// SPDX-License-Identifier: Apache-2.0
// Reading single records of a log by their offsets, on libuv's pool: for who keeps offsets in
// memory and bodies on disk.
#pragma once

#include "loop/loop.h"
#include "stream/reader.h"

struct wz_fetch;

// Called on the loop thread with a finished fetch; go through it with wz_fetch_next.
typedef void (*wz_fetch_fn)(void *arg, struct wz_fetch *fetch);

// A fetcher of one log for one customer: one fetch at a time. It keeps its place in the log, so the
// next fetch goes on where the last one ended.
struct wz_fetcher;

// Makes a fetcher on LOG, which must outlive it. DONE is called for each fetch.
struct wz_fetcher *wz_fetcher_new(struct wz_loop *loop, struct wz_log *log, wz_fetch_fn done,
                                  void *arg);

// Frees it, or, while a fetch is under way, when that has come back; DONE is not called any more.
// The loop must run until then. NULL is fine.
void wz_fetcher_free(struct wz_fetcher *fetcher);

// Fetches the COUNT records at OFFSETS, which are copied, best in ascending order; at most
// MAX_BYTES of them and one more. None may be under way.
void wz_fetcher_start(struct wz_fetcher *fetcher, const int64_t *offsets, size_t count,
                      size_t max_bytes);

// Whether a fetch is under way.
bool wz_fetcher_busy(const struct wz_fetcher *fetcher);

// The next record of a finished fetch, in the order of the offsets; its value is borrowed until
// DONE returns. WZ_END after the last one that was read, which need not be the last asked for.
// RET_RESULT is WZ_OK, WZ_ERR_NOT_FOUND when there is no readable record at that offset (its
// segment went, or it is damaged), or why the disk does not answer.
WZ_MUST int wz_fetch_next(struct wz_fetch *fetch, int64_t *ret_offset, struct wz_slice *ret_value,
                          int *ret_result);
